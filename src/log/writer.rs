//! The one appender: a batch is one `pwrite` and one `fdatasync`; after a failed sync nothing more is accepted.
//!
//! Assigning seqs, extending the tree and waiting for the sync's caller are the business of the room above.

use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::RwLock;
use tracing::{info, warn};

use super::Options;
use super::commit::{COMMIT_BYTES, Commit};
use super::frame::{self, FrameType, PAYLOAD_BYTES_MAX, framed_bytes};
use super::head::{HeadError, HeadFile};
use super::header::{Form, HEADER_BYTES, Header};
use super::seal;
use super::segments::{Active, Offsets, OldSegment, Shared, segment_path};
use crate::clock;
use crate::durable::{self, Disk, DiskFile, write_all};
use crate::hash::Sha256;
use crate::seq::Seq;

/// A start after a failed sync finds this file in `log/` and goes on in a new segment.
pub(super) const SYNC_FAILED: &str = "SYNC-FAILED";

/// One event to append: the frame's flags and the EVENT payload, already encoded.
#[derive(Clone, Copy, Debug)]
pub struct Framed<'a> {
    /// Kept in the frame header; their meaning is the caller's.
    pub flags: u8,
    /// See [`super::Payload::encode`].
    pub payload: &'a [u8],
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// No room. The file is cut back to the last COMMIT; the writer goes on working, and may succeed later.
    #[error("the disk is full; free some space")]
    Full(#[source] io::Error),
    /// A write or sync failed, so nobody knows what is on disk. This writer is done: open the log again.
    #[error("the log could not be synced; whether the batch is kept is unknown until the log is opened again")]
    SyncFailed(#[source] io::Error),
    /// An earlier call failed so.
    #[error("the log stopped after a failed sync; start again")]
    Stopped,
    /// An event, or the batch as a whole, is longer than the format allows.
    #[error("event {index} of the batch has {found} bytes, at most {max} fit")]
    TooLarge {
        /// Its place in the batch.
        index: usize,
        /// Its bytes (or the batch's up to it).
        found: u64,
        /// The limit that was passed.
        max: u64,
    },
    /// The active segment is finished: call [`Writer::roll`] first.
    #[error("the active segment is finished and a new one must be begun first")]
    NeedsRoll,
}

/// Appends batches to the active segment.
pub struct Writer {
    shared: Arc<Shared>,
    head: Arc<HeadFile>,
    options: Options,
    active: Arc<Active>,
    header: Header,
    state: State,
    /// Events in the log.
    size: Seq,
    /// Behind the last COMMIT.
    end: u64,
    /// The file's length, reserved room included.
    allocated: u64,
    /// The next batch's number.
    batch: u32,
    prev_commit_offset: u64,
    /// Of the segment's bytes before `end`.
    sha256: Sha256,
    /// The batch being written; kept for its capacity.
    buffer: Vec<u8>,
    /// Where the batch's events begin; kept for its capacity.
    starts: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Takes batches.
    Open,
    /// Ends with a SEAL (or must not be trusted with more): the next call is `roll`.
    Finished,
    /// A sync failed.
    Stopped,
}

/// Where recovery left the active segment.
pub(super) struct Resume {
    pub active: Arc<Active>,
    pub header: Header,
    pub state: State,
    pub size: Seq,
    pub end: u64,
    pub allocated: u64,
    pub batch: u32,
    pub prev_commit_offset: u64,
    pub sha256: Sha256,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("size", &self.size)
            .field("end", &self.end)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, head: Arc<HeadFile>, options: Options, resume: Resume) -> Writer {
        Writer {
            shared,
            head,
            options,
            active: resume.active,
            header: resume.header,
            state: resume.state,
            size: resume.size,
            end: resume.end,
            allocated: resume.allocated,
            batch: resume.batch,
            prev_commit_offset: resume.prev_commit_offset,
            sha256: resume.sha256,
            buffer: Vec::new(),
            starts: Vec::new(),
        }
    }

    /// Events in the log: the next event's seq.
    pub fn size(&self) -> Seq {
        self.size
    }

    /// The HEAD file, for a publisher on another thread.
    pub fn head(&self) -> &Arc<HeadFile> {
        &self.head
    }

    /// Publishes a signed checkpoint. It must not speak of more than is durable.
    pub fn write_head(&self, checkpoint: &str) -> Result<(), HeadError> {
        self.head.write(checkpoint)
    }

    /// Appends `events` as one batch with seqs from [`Writer::size`] on. `root` is the tree's root after them.
    ///
    /// When this answers `Ok` the events are on disk and readable. One `pwrite`, one `fdatasync`; no events, no work.
    pub fn append(
        &mut self,
        events: &[Framed<'_>],
        root: &[u8; 32],
        wall_ns: u64,
        keyring_generation: u32,
    ) -> Result<(), AppendError> {
        self.check_state()?;
        if events.is_empty() {
            return Ok(());
        }
        let bytes = check_sizes(events)?;
        let n = events.len() as u64;
        let size = self.size.plus(n);

        self.buffer.clear();
        self.starts.clear();
        for (seq, event) in (self.size.0..).zip(events) {
            self.starts.push(((self.end + self.buffer.len() as u64) / 8) as u32);
            frame::write(
                &mut self.buffer,
                &self.header.salt,
                FrameType::Event,
                event.flags,
                Seq(seq),
                self.batch,
                event.payload,
            );
        }
        let commit_at = self.end + self.buffer.len() as u64;
        let commit = Commit {
            size,
            root: *root,
            first_seq: self.size,
            n: events.len() as u32,
            bytes,
            wall_ns,
            prev_commit_offset: self.prev_commit_offset,
            keyring_generation,
        };
        frame::write(&mut self.buffer, &self.header.salt, FrameType::Commit, 0, size, self.batch, &commit.encode());

        self.write_buffer()?;
        self.sync_active()?;

        self.sha256.update(&self.buffer);
        self.end += self.buffer.len() as u64;
        self.prev_commit_offset = commit_at;
        self.batch += 1;
        self.size = size;
        {
            let mut offsets = self.active.offsets.write();
            offsets.starts.extend_from_slice(&self.starts);
            offsets.end = self.end;
        }
        self.shared.publish(size);
        Ok(())
    }

    /// Whether [`Writer::roll`] must come before a batch of `next_events` events whose frames take `next_bytes`
    /// (the sum of [`framed_bytes`] of the payloads). A segment without events is never rolled.
    pub fn needs_roll(&self, now_ns: u64, next_bytes: u64, next_events: u64) -> bool {
        if self.state == State::Finished {
            return true;
        }
        let events = self.size.0 - self.header.first_seq.0;
        if events == 0 {
            return false;
        }
        self.end + next_bytes + framed_bytes(COMMIT_BYTES) > self.options.segment_bytes_max
            || events + next_events > self.options.segment_events_max
            || now_ns.saturating_sub(self.header.created_ns) >= self.options.segment_age_max_ns
    }

    /// Ends the active segment with a SEAL and begins a new one. `root` is the tree's root at [`Writer::size`].
    ///
    /// Before this call the caller syncs `tree/` and `tree/tenants` up to [`Writer::size`]: a start trusts them there.
    pub fn roll(&mut self, root: &[u8; 32]) -> Result<(), AppendError> {
        if self.state == State::Stopped || self.shared.is_stopped() {
            return Err(AppendError::Stopped);
        }
        if self.size == self.header.first_seq {
            return Ok(());
        }
        if self.state == State::Open {
            self.seal(root)?;
        }
        self.begin_segment(root)
    }

    fn check_state(&self) -> Result<(), AppendError> {
        match self.state {
            _ if self.shared.is_stopped() => Err(AppendError::Stopped),
            State::Open => Ok(()),
            State::Finished => Err(AppendError::NeedsRoll),
            State::Stopped => Err(AppendError::Stopped),
        }
    }

    fn seal(&mut self, root: &[u8; 32]) -> Result<(), AppendError> {
        let sha256 = self.sha256.clone().finalize();
        let payload = seal::encode(self.size, root, &sha256, &self.active.offsets.read().starts, self.end);
        self.buffer.clear();
        frame::write(&mut self.buffer, &self.header.salt, FrameType::Seal, 0, self.size, self.batch, &payload);
        self.write_buffer()?;
        // The reserved room is given back: the SEAL ends the file.
        let end = self.end + self.buffer.len() as u64;
        self.active.file.truncate(end).map_err(|e| self.stop(e))?;
        self.sync_active()?;
        self.end = end;
        self.allocated = end;
        self.state = State::Finished;
        Ok(())
    }

    fn begin_segment(&mut self, root: &[u8; 32]) -> Result<(), AppendError> {
        let header = Header {
            log_id: self.header.log_id,
            segment_no: self.header.segment_no + 1,
            first_seq: self.size,
            root_at_start: *root,
            created_ns: clock::now_ns(),
            salt: durable::random().map_err(AppendError::Full)?,
        };
        let created = create_segment(&*self.shared.disk, &self.shared.log_dir, &header, self.options.preallocate_bytes);
        let (file, allocated) = match created {
            Ok(created) => created,
            Err(CreateError::Write(e)) if durable::is_full(&e) => return Err(AppendError::Full(e)),
            Err(CreateError::Write(e) | CreateError::Sync(e)) => return Err(self.stop(e)),
        };
        let end = HEADER_BYTES as u64;
        let active = Arc::new(Active {
            file,
            first: self.size,
            salt: header.salt,
            offsets: RwLock::new(Offsets { starts: Vec::new(), end }),
        });
        let old = OldSegment {
            first: self.header.first_seq,
            end: self.size,
            bytes: self.end,
            salt: self.header.salt,
            sealed: None,
        };
        self.shared.roll(old, Arc::clone(&active));
        info!(
            segment = %self.size,
            finished = %self.header.first_seq,
            "began log segment {} after finishing segment {}",
            self.size,
            self.header.first_seq
        );
        self.sha256 = Sha256::new_with_prefix(header.encode(Form::Log));
        self.active = active;
        self.header = header;
        self.end = end;
        self.allocated = allocated;
        self.batch = 0;
        self.prev_commit_offset = 0;
        self.state = State::Open;
        self.forget_failed_sync();
        Ok(())
    }

    /// One `pwrite` of the buffer at `end`, after reserving room. On a full disk the file is cut back to `end`.
    fn write_buffer(&mut self) -> Result<(), AppendError> {
        let end = self.end + self.buffer.len() as u64;
        self.reserve(end);
        match write_all(&*self.active.file, &self.buffer, self.end) {
            Ok(()) => {
                self.allocated = self.allocated.max(end);
                Ok(())
            }
            Err(e) if durable::is_full(&e) => {
                // Cut and synced at once, so that no part of this batch is found behind the next one after a crash.
                self.active.file.truncate(self.end).map_err(|e| self.stop(e))?;
                self.allocated = self.end;
                self.sync_active()?;
                warn!(segment = %self.header.first_seq, "the disk is full: cut a batch of {} bytes back", self.buffer.len());
                Err(AppendError::Full(e))
            }
            Err(e) => Err(self.stop(e)),
        }
    }

    /// Reserves room up to at least `end`, in steps. A failure here is none yet: the write itself will tell.
    fn reserve(&mut self, end: u64) {
        let step = self.options.preallocate_bytes;
        if step == 0 || end <= self.allocated {
            return;
        }
        let target = end.next_multiple_of(step);
        if self.active.file.allocate(self.allocated, target - self.allocated).is_ok() {
            self.allocated = target;
        }
    }

    fn sync_active(&mut self) -> Result<(), AppendError> {
        self.active.file.sync_data().map_err(|e| self.stop(e))
    }

    /// Nobody knows what is on disk: stop everyone, and leave a note for the next start (as well as that can be done now).
    fn stop(&mut self, error: io::Error) -> AppendError {
        self.state = State::Stopped;
        self.shared.stop();
        let note = self.shared.log_dir.join(SYNC_FAILED);
        let noted = self.shared.disk.create(&note).and_then(|_| self.shared.disk.sync_dir(&self.shared.log_dir));
        if let Err(e) = noted.or_else(|e| if e.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(e) }) {
            warn!("could not leave the note {} for the next start: {e}", note.display());
        }
        AppendError::SyncFailed(error)
    }

    fn forget_failed_sync(&self) {
        let note = self.shared.log_dir.join(SYNC_FAILED);
        match self.shared.disk.remove(&note) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            // It only costs one more segment at the next start.
            Err(e) => warn!("could not remove {}: {e}", note.display()),
        }
    }
}

/// The batch's frame bytes, if every length fits its field.
fn check_sizes(events: &[Framed<'_>]) -> Result<u32, AppendError> {
    let mut bytes = 0;
    for (index, event) in events.iter().enumerate() {
        if event.payload.len() > PAYLOAD_BYTES_MAX {
            return Err(AppendError::TooLarge {
                index,
                found: event.payload.len() as u64,
                max: PAYLOAD_BYTES_MAX as u64,
            });
        }
        bytes += framed_bytes(event.payload.len());
        if bytes > u64::from(u32::MAX) {
            return Err(AppendError::TooLarge { index, found: bytes, max: u64::from(u32::MAX) });
        }
    }
    Ok(bytes as u32)
}

/// Which half of creating a segment failed.
pub(super) enum CreateError {
    /// Before anything was promised: the half-made file is gone again.
    Write(io::Error),
    /// A sync.
    Sync(io::Error),
}

/// Creates a segment file with its header, durable; answers the file and its length.
pub(super) fn create_segment(
    disk: &dyn Disk,
    log_dir: &std::path::Path,
    header: &Header,
    preallocate_bytes: u64,
) -> Result<(Arc<dyn DiskFile>, u64), CreateError> {
    let path = segment_path(log_dir, header.first_seq);
    let file = disk.create(&path).map_err(CreateError::Write)?;
    if let Err(e) = write_all(&*file, &header.encode(Form::Log), 0) {
        // The name must be free for the next attempt; if it cannot be freed, that attempt says so.
        let _ = disk.remove(&path);
        return Err(CreateError::Write(e));
    }
    let mut allocated = HEADER_BYTES as u64;
    if preallocate_bytes > allocated && file.allocate(0, preallocate_bytes).is_ok() {
        allocated = preallocate_bytes;
    }
    file.sync_data().map_err(CreateError::Sync)?;
    disk.sync_dir(log_dir).map_err(CreateError::Sync)?;
    Ok((file, allocated))
}
