//! What writer and readers share: which segments there are, where their events begin, and how far the log is durable.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::frame::{self, FRAME_HEADER_BYTES, FrameType};
use super::header::{HEADER_BYTES, array};
use super::reader::ReadError;
use super::scan::{Walk, Walker};
use super::seal;
use crate::durable::{Disk, DiskFile, read_exact};
use crate::seq::Seq;

/// Open files of old segments that we keep (each is a descriptor; 256 stays far below the usual limit of 1,024).
const OLD_FILES_MAX: usize = 256;

/// One segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its first event.
    pub first: Seq,
    /// The event after its last.
    pub end: Seq,
    /// Its bytes; for the active segment without the reserved room.
    pub bytes: u64,
    /// Whether events may still be added to it.
    pub is_active: bool,
}

/// The state behind every writer, reader and HEAD file of one log.
pub(super) struct Shared {
    pub disk: Arc<dyn Disk>,
    pub log_dir: PathBuf,
    /// Events that are durable and readable. Written by the writer after its sync, after the offsets.
    durable: AtomicU64,
    /// A sync failed: nobody may say anything about the log until it is opened again.
    stopped: AtomicBool,
    /// The segments. Held for a look-up, or for the moment in which a new segment becomes the active one.
    table: RwLock<Table>,
    /// Open files of old segments, most recently used last. Held for a look-up, never while reading a file.
    old_files: Mutex<Vec<Arc<OldFile>>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("log_dir", &self.log_dir).field("durable", &self.durable).finish_non_exhaustive()
    }
}

pub(super) struct Table {
    pub old: Vec<OldSegment>,
    pub active: Arc<Active>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct OldSegment {
    pub first: Seq,
    pub end: Seq,
    pub bytes: u64,
    pub salt: [u8; 8],
}

/// The segment that grows.
pub(super) struct Active {
    pub file: Arc<dyn DiskFile>,
    pub first: Seq,
    pub salt: [u8; 8],
    /// Held to look one event up, or to add a batch.
    pub offsets: RwLock<Offsets>,
}

/// Where events begin, in 8-byte units, and where the last frame ends, in bytes.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    pub starts: Vec<u32>,
    pub end: u64,
}

impl Offsets {
    /// Bytes `start..upper` hold event `i` (and perhaps a COMMIT behind it).
    fn bounds(&self, i: usize) -> Option<(u64, u64)> {
        let start = u64::from(*self.starts.get(i)?) * 8;
        let upper = self.starts.get(i + 1).map_or(self.end, |next| u64::from(*next) * 8);
        Some((start, upper))
    }
}

/// An old segment's open file.
struct OldFile {
    file: Arc<dyn DiskFile>,
    first: Seq,
    offsets: OldOffsets,
}

enum OldOffsets {
    /// In the file's SEAL.
    Sealed { table_at: u64, n: u64, seal_at: u64 },
    /// Found by walking the frames, since there is no SEAL (a start after a failed sync leaves a segment so).
    Walked(Offsets),
}

/// Where an event lies.
pub(super) struct Located {
    pub file: Arc<dyn DiskFile>,
    /// First seq of the segment.
    pub segment: Seq,
    /// First seq behind the segment, as far as it is durable.
    pub end: Seq,
    pub salt: [u8; 8],
    pub start: u64,
    pub upper: u64,
}

impl Shared {
    pub fn new(disk: Arc<dyn Disk>, log_dir: PathBuf, durable: Seq, table: Table) -> Shared {
        Shared {
            disk,
            log_dir,
            durable: AtomicU64::new(durable.0),
            stopped: AtomicBool::new(false),
            table: RwLock::new(table),
            old_files: Mutex::new(Vec::new()),
        }
    }

    pub fn durable(&self) -> Seq {
        Seq(self.durable.load(Ordering::Acquire))
    }

    /// Makes events below `size` readable; their offsets are in place.
    pub fn publish(&self, size: Seq) {
        self.durable.store(size.0, Ordering::Release);
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Puts the active segment among the old ones and begins a new one.
    pub fn roll(&self, old: OldSegment, active: Arc<Active>) {
        let mut table = self.table.write();
        table.old.push(old);
        table.active = active;
    }

    pub fn segments(&self) -> Vec<SegmentInfo> {
        let table = self.table.read();
        let mut all: Vec<SegmentInfo> = table
            .old
            .iter()
            .map(|s| SegmentInfo { first: s.first, end: s.end, bytes: s.bytes, is_active: false })
            .collect();
        let bytes = table.active.offsets.read().end;
        all.push(SegmentInfo { first: table.active.first, end: self.durable(), bytes, is_active: true });
        all
    }

    /// Finds a durable event.
    pub fn locate(&self, seq: Seq) -> Result<Located, ReadError> {
        if self.is_stopped() {
            return Err(ReadError::Stopped);
        }
        let durable = self.durable();
        if seq >= durable {
            return Err(ReadError::NotThere { seq, durable });
        }
        let old = {
            let table = self.table.read();
            let active = &table.active;
            if seq >= active.first {
                let (start, upper) = active
                    .offsets
                    .read()
                    .bounds((seq.0 - active.first.0) as usize)
                    .ok_or(ReadError::NotThere { seq, durable })?;
                return Ok(Located {
                    file: Arc::clone(&active.file),
                    segment: active.first,
                    end: durable,
                    salt: active.salt,
                    start,
                    upper,
                });
            }
            let i = table.old.partition_point(|s| s.end <= seq);
            table.old[i]
        };
        let file = self.old_file(&old)?;
        let (start, upper) = file
            .bounds(seq)
            .map_err(|source| ReadError::Io { segment: old.first, seq, source })?
            .ok_or(ReadError::Corrupt {
                segment: old.first,
                offset: HEADER_BYTES as u64,
                seq,
                why: "the segment holds fewer events than the next one's header says",
            })?;
        Ok(Located { file: Arc::clone(&file.file), segment: old.first, end: old.end, salt: old.salt, start, upper })
    }

    fn old_file(&self, segment: &OldSegment) -> Result<Arc<OldFile>, ReadError> {
        {
            let mut files = self.old_files.lock();
            if let Some(i) = files.iter().rposition(|f| f.first == segment.first) {
                // Only sometimes moved to the end: the order need not be exact, and moving costs.
                if i + OLD_FILES_MAX / 2 < files.len() {
                    let file = files.remove(i);
                    files.push(file);
                }
                return Ok(Arc::clone(files.iter().rfind(|f| f.first == segment.first).expect("it was found above")));
            }
        }
        let opened = Arc::new(self.open_old(segment)?);
        let mut files = self.old_files.lock();
        if files.len() >= OLD_FILES_MAX {
            files.remove(0);
        }
        files.push(Arc::clone(&opened));
        Ok(opened)
    }

    fn open_old(&self, segment: &OldSegment) -> Result<OldFile, ReadError> {
        let io = |source| ReadError::Io { segment: segment.first, seq: segment.first, source };
        let file = self.disk.open_read(&segment_path(&self.log_dir, segment.first)).map_err(io)?;
        if let Some(offsets) = sealed_offsets(&*file, segment).map_err(io)? {
            return Ok(OldFile { file, first: segment.first, offsets });
        }
        let mut found = Offsets::default();
        let mut walker = Walker::new(Arc::clone(&file), segment.salt, HEADER_BYTES as u64, segment.bytes);
        while let Walk::Frame { at, head, .. } = walker.next_frame().map_err(io)? {
            if matches!(head.frame_type, FrameType::Event | FrameType::Excised) {
                found.starts.push((at / 8) as u32);
            }
            found.end = at + head.framed_bytes();
        }
        Ok(OldFile { file, first: segment.first, offsets: OldOffsets::Walked(found) })
    }
}

impl OldFile {
    fn bounds(&self, seq: Seq) -> io::Result<Option<(u64, u64)>> {
        let i = seq.0 - self.first.0;
        match &self.offsets {
            OldOffsets::Walked(offsets) => Ok(offsets.bounds(i as usize)),
            OldOffsets::Sealed { n, .. } if i >= *n => Ok(None),
            OldOffsets::Sealed { table_at, n, seal_at } => {
                let mut two = [0; 8];
                let is_last = i + 1 == *n;
                read_exact(&*self.file, &mut two[..if is_last { 4 } else { 8 }], table_at + 4 * i)?;
                let start = u64::from(u32::from_le_bytes(array(&two, 0))) * 8;
                let upper = if is_last { *seal_at } else { u64::from(u32::from_le_bytes(array(&two, 4))) * 8 };
                Ok(Some((start, upper)))
            }
        }
    }
}

/// Looks for a SEAL at the end of the file. `None` sends the caller to walk the frames.
fn sealed_offsets(file: &dyn DiskFile, segment: &OldSegment) -> io::Result<Option<OldOffsets>> {
    let len = file.len()?;
    let mut last = [0; 8];
    read_exact(file, &mut last, len.saturating_sub(8))?;
    let seal_at = u64::from_le_bytes(last);
    if seal_at < HEADER_BYTES as u64 || seal_at.saturating_add((FRAME_HEADER_BYTES + seal::TABLE_AT) as u64) > len {
        return Ok(None);
    }
    let mut bytes = vec![0; (len - seal_at).min((FRAME_HEADER_BYTES + frame::PAYLOAD_BYTES_MAX) as u64) as usize];
    read_exact(file, &mut bytes, seal_at)?;
    let Some(head) = frame::decode(&bytes, &segment.salt) else {
        return Ok(None);
    };
    let payload = &bytes[FRAME_HEADER_BYTES..];
    if head.frame_type != FrameType::Seal || !head.fits(payload) {
        return Ok(None);
    }
    let n = segment.end.0 - segment.first.0;
    Ok(seal::decode(payload).filter(|s| u64::from(s.n) == n && s.seal_at == seal_at).map(|_| OldOffsets::Sealed {
        table_at: seal_at + (FRAME_HEADER_BYTES + seal::TABLE_AT) as u64,
        n,
        seal_at,
    }))
}

/// `log/00000000000000262144.log`
pub(super) fn segment_path(log_dir: &Path, first: Seq) -> PathBuf {
    log_dir.join(format!("{:020}.log", first.0))
}
