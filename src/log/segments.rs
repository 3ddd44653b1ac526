//! What writer and readers share: which segments there are, where their events begin, and how far the log is durable.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::blocks::{Block, Blocks};
use super::frame::{self, FRAME_HEADER_BYTES, FrameType};
use super::header::{HEADER_BYTES, array};
use super::reader::ReadError;
use super::scan::{Walk, Walker};
use super::seal;
use super::sealed::{Flaw, Footer, SealedError, SealedFile};
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
    /// What its footer says, if it is sealed.
    pub sealed: Option<SealedInfo>,
}

/// What a sealed segment's footer says about the whole of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedInfo {
    /// The tree's root at the segment's end.
    pub root: [u8; 32],
    /// SHA-256 of the segment as it was appended, before its SEAL: the same however it is compressed.
    pub sha256: [u8; 32],
    /// Its length then.
    pub log_bytes: u64,
}

impl SealedInfo {
    pub(super) fn of(footer: &Footer) -> SealedInfo {
        SealedInfo { root: footer.root, sha256: footer.sha256, log_bytes: footer.log_bytes }
    }
}

/// The state behind every writer, reader and HEAD file of one log.
pub(super) struct Shared {
    pub disk: Arc<dyn Disk>,
    pub log_dir: PathBuf,
    /// Events that are durable and readable. Written by the writer after its sync, after the offsets.
    durable: AtomicU64,
    /// A sync failed: nobody may say anything about the log until it is opened again.
    stopped: AtomicBool,
    /// The segments. Held for a look-up, or for the moment in which a new segment becomes the active one or a sealed file
    /// takes a `.log`'s place.
    table: RwLock<Table>,
    /// Open files of old segments, most recently used last. Held for a look-up, never while reading a file.
    old_files: Mutex<Vec<Arc<OldFile>>>,
    /// Decompressed blocks of sealed segments.
    blocks: Blocks,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("log_dir", &self.log_dir).field("durable", &self.durable).finish_non_exhaustive()
    }
}

pub(super) struct Table {
    pub old: Vec<OldSegment>,
    /// `None` if the log ended in the damage of a sealed segment: nothing can be appended then.
    pub active: Option<Arc<Active>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OldSegment {
    pub first: Seq,
    pub end: Seq,
    pub bytes: u64,
    pub salt: [u8; 8],
    /// Set if its file is a `.seg`.
    pub sealed: Option<SealedInfo>,
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
    first: Seq,
    form: OldForm,
}

enum OldForm {
    Log { file: Arc<dyn DiskFile>, offsets: OldOffsets },
    Sealed(Arc<SealedFile>),
}

enum OldOffsets {
    /// In the file's SEAL frame.
    InSeal { table_at: u64, n: u64, seal_at: u64 },
    /// Found by walking the frames, since there is no SEAL (a start after a failed sync leaves a segment so).
    Walked(Offsets),
}

/// Where an event lies.
pub(super) struct Located {
    /// First seq of the segment.
    pub segment: Seq,
    /// First seq behind the segment, as far as it is durable.
    pub end: Seq,
    pub place: Place,
}

/// Where in its file.
pub(super) enum Place {
    /// Bytes `start..upper` of a `.log` hold it.
    Log { file: Arc<dyn DiskFile>, salt: [u8; 8], start: u64, upper: u64 },
    /// A block of a `.seg` holds it.
    Sealed(Arc<SealedFile>),
}

impl Shared {
    pub fn new(
        disk: Arc<dyn Disk>,
        log_dir: PathBuf,
        durable: Seq,
        table: Table,
        block_cache_bytes_max: usize,
    ) -> Shared {
        Shared {
            disk,
            log_dir,
            durable: AtomicU64::new(durable.0),
            stopped: AtomicBool::new(false),
            table: RwLock::new(table),
            old_files: Mutex::new(Vec::new()),
            blocks: Blocks::new(block_cache_bytes_max),
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
        table.active = Some(active);
    }

    /// A finished segment.
    pub fn finished(&self, first: Seq) -> Option<OldSegment> {
        let table = self.table.read();
        table.old.iter().find(|old| old.first == first).copied()
    }

    /// From now on the segment is read from its sealed file. Readers that have the `.log` open finish with it.
    pub fn replace(&self, sealed: OldSegment) {
        let mut table = self.table.write();
        if let Some(old) = table.old.iter_mut().find(|old| old.first == sealed.first) {
            *old = sealed;
        }
        drop(table);
        // An open file that nobody uses would hold the disk's room although its name is gone.
        self.old_files.lock().retain(|file| file.first != sealed.first);
    }

    pub fn segments(&self) -> Vec<SegmentInfo> {
        let table = self.table.read();
        let mut all: Vec<SegmentInfo> = table
            .old
            .iter()
            .map(|s| SegmentInfo { first: s.first, end: s.end, bytes: s.bytes, is_active: false, sealed: s.sealed })
            .collect();
        if let Some(active) = &table.active {
            let (first, bytes) = (active.first, active.offsets.read().end);
            all.push(SegmentInfo { first, end: self.durable(), bytes, is_active: true, sealed: None });
        }
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
        let not_there = || ReadError::NotThere { seq, durable };
        loop {
            let old = {
                let table = self.table.read();
                if let Some(active) = table.active.as_ref().filter(|active| seq >= active.first) {
                    let bounds = active.offsets.read().bounds((seq.0 - active.first.0) as usize);
                    let (start, upper) = bounds.ok_or_else(not_there)?;
                    let place = Place::Log { file: Arc::clone(&active.file), salt: active.salt, start, upper };
                    return Ok(Located { segment: active.first, end: durable, place });
                }
                let i = table.old.partition_point(|s| s.end <= seq);
                *table.old.get(i).ok_or_else(not_there)?
            };
            match self.locate_old(&old, seq) {
                // It was sealed after we had looked where it is: then it is in the table as sealed.
                Err(ReadError::Io { source, .. })
                    if source.kind() == io::ErrorKind::NotFound && self.finished(old.first) != Some(old) => {}
                located => return located,
            }
        }
    }

    fn locate_old(&self, old: &OldSegment, seq: Seq) -> Result<Located, ReadError> {
        let opened = self.old_file(old)?;
        let place = match &opened.form {
            OldForm::Sealed(sealed) => Place::Sealed(Arc::clone(sealed)),
            OldForm::Log { file, offsets } => {
                let bounds = offsets.find(&**file, seq.0 - old.first.0);
                let (start, upper) = bounds
                    .map_err(|source| ReadError::Io { segment: old.first, seq, source })?
                    .ok_or(ReadError::Corrupt {
                        segment: old.first,
                        offset: HEADER_BYTES as u64,
                        seq,
                        why: "the segment holds fewer events than the next one's header says",
                    })?;
                Place::Log { file: Arc::clone(file), salt: old.salt, start, upper }
            }
        };
        Ok(Located { segment: old.first, end: old.end, place })
    }

    /// The block of a sealed segment that holds an event, from the cache or from the disk.
    pub fn block(&self, sealed: &SealedFile, seq: Seq) -> Result<Arc<Block>, ReadError> {
        let first = sealed.footer.first;
        let n = sealed.block_of(seq).ok_or(ReadError::Corrupt {
            segment: first,
            offset: sealed.footer.commits_at,
            seq,
            why: "the segment holds fewer events than the next one's header says",
        })?;
        self.blocks.get((first, n), || sealed.read_single(n)).map_err(|e| unread(e, first, seq))
    }

    /// These events will be read soon. It is only a hint, and about sealed segments: what is newer the system still has. Neighbours
    /// are in one block, which is announced once.
    pub fn announce(&self, seqs: &[Seq]) {
        let mut last = None;
        for seq in seqs {
            let Ok(Located { place: Place::Sealed(sealed), .. }) = self.locate(*seq) else { continue };
            let Some(n) = sealed.block_of(*seq) else { continue };
            let key = (sealed.footer.first, n);
            if last.replace(key) != Some(key) && !self.blocks.has(key) {
                sealed.announce(n, n + 1);
            }
        }
    }

    fn old_file(&self, segment: &OldSegment) -> Result<Arc<OldFile>, ReadError> {
        {
            let mut files = self.old_files.lock();
            if let Some(i) = files.iter().rposition(|f| f.is_of(segment)) {
                // Only sometimes moved to the end: the order need not be exact, and moving costs.
                if i + OLD_FILES_MAX / 2 < files.len() {
                    let file = files.remove(i);
                    files.push(file);
                }
                return Ok(Arc::clone(files.iter().rfind(|f| f.is_of(segment)).expect("it was found above")));
            }
        }
        let opened = Arc::new(OldFile { first: segment.first, form: self.open_old(segment)? });
        let mut files = self.old_files.lock();
        // Not kept if it was sealed meanwhile: `replace` has been here already.
        if self.finished(segment.first).is_some_and(|now| opened.is_of(&now)) {
            if files.len() >= OLD_FILES_MAX {
                files.remove(0);
            }
            files.push(Arc::clone(&opened));
        }
        Ok(opened)
    }

    fn open_old(&self, segment: &OldSegment) -> Result<OldForm, ReadError> {
        let first = segment.first;
        let io = |source| ReadError::Io { segment: first, seq: first, source };
        if segment.sealed.is_some() {
            let file = self.disk.open_read(&sealed_path(&self.log_dir, first)).map_err(io)?;
            let sealed = SealedFile::open(file, first).map_err(|e| unread(e, first, first))?;
            return Ok(OldForm::Sealed(Arc::new(sealed)));
        }
        let file = self.disk.open_read(&segment_path(&self.log_dir, first)).map_err(io)?;
        if let Some(offsets) = sealed_offsets(&*file, segment).map_err(io)? {
            return Ok(OldForm::Log { file, offsets });
        }
        let mut found = Offsets::default();
        let mut walker = Walker::new(Arc::clone(&file), segment.salt, HEADER_BYTES as u64, segment.bytes);
        while let Walk::Frame { at, head, .. } = walker.next_frame().map_err(io)? {
            if matches!(head.frame_type, FrameType::Event | FrameType::Excised) {
                found.starts.push((at / 8) as u32);
            }
            found.end = at + head.framed_bytes();
        }
        Ok(OldForm::Log { file, offsets: OldOffsets::Walked(found) })
    }
}

impl OldFile {
    fn is_of(&self, segment: &OldSegment) -> bool {
        self.first == segment.first && matches!(self.form, OldForm::Sealed(_)) == segment.sealed.is_some()
    }
}

impl OldOffsets {
    /// Where the segment's event `i` lies.
    fn find(&self, file: &dyn DiskFile, i: u64) -> io::Result<Option<(u64, u64)>> {
        match self {
            OldOffsets::Walked(offsets) => Ok(offsets.bounds(i as usize)),
            OldOffsets::InSeal { n, .. } if i >= *n => Ok(None),
            OldOffsets::InSeal { table_at, n, seal_at } => {
                let mut two = [0; 8];
                let is_last = i + 1 == *n;
                read_exact(file, &mut two[..if is_last { 4 } else { 8 }], table_at + 4 * i)?;
                let start = u64::from(u32::from_le_bytes(array(&two, 0))) * 8;
                let upper = if is_last { *seal_at } else { u64::from(u32::from_le_bytes(array(&two, 4))) * 8 };
                Ok(Some((start, upper)))
            }
        }
    }
}

/// A read of `seq` that failed in the sealed segment that begins at `segment`. The flaw may be of a neighbour in the same
/// block; what was asked for cannot be handed out all the same.
pub(super) fn unread(error: SealedError, segment: Seq, seq: Seq) -> ReadError {
    match error {
        SealedError::Io(source) => ReadError::Io { segment, seq, source },
        SealedError::Flaw(Flaw { at, why, .. }) => ReadError::Corrupt { segment, offset: at, seq, why },
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
    Ok(seal::decode(payload).filter(|s| u64::from(s.n) == n && s.seal_at == seal_at).map(|_| OldOffsets::InSeal {
        table_at: seal_at + (FRAME_HEADER_BYTES + seal::TABLE_AT) as u64,
        n,
        seal_at,
    }))
}

/// `log/00000000000000262144.log`
pub(super) fn segment_path(log_dir: &Path, first: Seq) -> PathBuf {
    log_dir.join(format!("{:020}.log", first.0))
}

/// `log/00000000000000262144.seg`
pub(super) fn sealed_path(log_dir: &Path, first: Seq) -> PathBuf {
    log_dir.join(format!("{:020}.seg", first.0))
}

/// `log/00000000000000262144.seg.tmp`: a segment that is being sealed.
pub(super) fn temporary_path(log_dir: &Path, first: Seq) -> PathBuf {
    log_dir.join(format!("{:020}.seg.tmp", first.0))
}
