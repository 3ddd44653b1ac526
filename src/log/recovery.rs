//! Opening a log: finds the segments, `.log` or `.seg`, scans from HEAD's, and tells a torn tail (cut, kept in quarantine,
//! reported) from corruption (nothing is touched; events before it are still served).
//!
//! The three rules are spelled out in FORMAT.md under "Recovery".

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use tracing::warn;

use super::commit::Commit;
use super::head::{self, Head, HeadFile, SLOT_BYTES, Slots};
use super::header::{Form, HEADER_BYTES, Header, HeaderError};
use super::reader::Reader;
use super::scan::Step;
use super::sealed::{Flaw, SealedError, SealedFile};
use super::sealed_scan::SealedScan;
use super::sealing::Sealer;
use super::segment_scan::SegmentScan;
use super::segments::{
    Active, Offsets, OldSegment, SealedInfo, Shared, Table, sealed_path, segment_path, temporary_path,
};
use super::writer::{CreateError, Resume, SYNC_FAILED, State, Writer, create_segment};
use super::{Corrupt, OpenError, Opened, Options, Recovered, Start, TornTail, VisitError, Visitor, hex};
use crate::clock;
use crate::durable::{self, Disk, DiskFile, read_up_to, write_all};
use crate::hash::Sha256;
use crate::seq::Seq;

/// Opens the log in the data directory `dir`, making an empty one if there is none. The caller holds the directory's LOCK.
///
/// Reads every segment's header, then scans from the segment of event HEAD.size - 1, showing `visitor` whole batches.
/// Corruption is no error here: [`Opened::read_only`] says what is wrong, and the events before it can be read.
pub fn open(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: &Options,
    visitor: &mut dyn Visitor,
) -> Result<Opened, OpenError> {
    Recovery {
        log_dir: dir.join("log"),
        dir: dir.to_owned(),
        disk,
        options: options.clone(),
        corrupt: None,
        leftovers: Vec::new(),
    }
    .run(visitor)
}

struct Recovery {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    log_dir: PathBuf,
    options: Options,
    /// The first corruption found.
    corrupt: Option<Corrupt>,
    /// What a crash while sealing left, in a log that is otherwise sound.
    leftovers: Vec<Leftover>,
}

/// A segment whose header was read.
struct Found {
    header: Header,
    file: Arc<dyn DiskFile>,
    bytes: u64,
    /// Where it ends and what else its footer says, if it is a `.seg`.
    sealed: Option<(Seq, SealedInfo)>,
}

/// A file in `log/` that should not be there.
enum Leftover {
    /// A `.seg` that was never finished.
    Temporary(PathBuf),
    /// A `.log` beside the whole `.seg` that was made of it.
    Replaced(PathBuf),
    /// A `.seg` that is not whole, beside the `.log` that it was to replace.
    Broken(Seq),
}

/// The files of one segment, by name.
#[derive(Clone, Copy, Default)]
struct Names {
    has_log: bool,
    has_sealed: bool,
}

/// What a scan over the last segments learned.
struct Scanned {
    /// Index of the last segment that the scan was in.
    last: usize,
    scan: SegmentScan,
    root: [u8; 32],
    keyring_generation: u32,
    /// Set if the last segment ends with a SEAL: where.
    sealed_end: Option<u64>,
    /// Set if the last segment ends with a torn tail.
    torn_at: Option<u64>,
}

impl Recovery {
    fn run(mut self, visitor: &mut dyn Visitor) -> Result<Opened, OpenError> {
        let created = self.make_directories()?;
        self.settle_names()?;
        let mut slots = self.open_head()?;
        let head = slots.latest.clone();
        let (mut found, headless) = self.find_segments(head.as_ref())?;
        if found.is_empty() {
            found.push(self.create_first(&mut slots)?);
        }
        let (scanned_from, scanned) = self.scan(&found, head.as_ref(), visitor)?;
        if slots.latest.is_none() {
            self.replace_lost_head(&mut slots, &found, &scanned)?;
        }
        let torn = self.settle_tail(&found[scanned.last], &scanned)?;
        let broken_copies = self.clear_leftovers()?;
        if self.corrupt.is_some() || self.options.read_only {
            slots.file = None;
        }
        let report = Recovered {
            log_id: found[0].header.log_id,
            size: scanned.scan.seq(),
            root: scanned.root,
            keyring_generation: scanned.keyring_generation,
            scanned_from,
            head: slots.latest.clone(),
            torn,
            broken_copies,
            headless,
            created,
            after_failed_sync: self.exists(&self.log_dir.join(SYNC_FAILED))?,
        };
        self.finish(found, scanned, slots, report)
    }

    /// Answers whether there was no log before.
    fn make_directories(&self) -> Result<bool, OpenError> {
        let is_new = !self.exists(&self.log_dir)?;
        if self.options.read_only {
            return if is_new { Err(OpenError::NoLog { path: self.dir.clone() }) } else { Ok(false) };
        }
        for dir in [&self.dir, &self.log_dir, &self.dir.join("quarantine")] {
            self.disk.create_dir(dir).map_err(at(dir))?;
        }
        Ok(is_new)
    }

    /// Makes durable the names that are there. A start that failed at a sync may have left a HEAD or a segment that only the
    /// cache knows: events would follow into a file that is gone after a power cut.
    fn settle_names(&self) -> Result<(), OpenError> {
        if self.options.read_only {
            return Ok(());
        }
        for dir in [&self.dir, &self.log_dir] {
            self.disk.sync_dir(dir).map_err(at(dir))?;
        }
        Ok(())
    }

    fn open_head(&self) -> Result<Slots, OpenError> {
        let path = self.dir.join("HEAD");
        if !self.exists(&path)? {
            return Ok(Slots::default());
        }
        self.open_file(&path)
            .and_then(|file| {
                self.forget_cache_of(&*file)?;
                Slots::read(file)
            })
            .map_err(at(&path))
    }

    /// What we trust must have come from the disk, not from pages that a failed sync left behind.
    fn forget_cache_of(&self, file: &dyn DiskFile) -> io::Result<()> {
        if self.options.read_only { Ok(()) } else { file.forget_cache() }
    }

    /// Reads all segment headers, oldest first, up to the first one that does not fit.
    fn find_segments(&mut self, head: Option<&Head>) -> Result<(Vec<Found>, Option<PathBuf>), OpenError> {
        let names = self.segment_names()?;
        let count = names.len();
        let mut found: Vec<Found> = Vec::new();
        let mut headless = None;
        for (i, (first, names)) in names.iter().enumerate() {
            if names.has_sealed && (!names.has_log || self.is_whole_copy(*first)?) {
                match self.find_sealed(*first)? {
                    Ok(sealed) => match misfit(found.last(), &sealed.header, *first) {
                        None => {
                            found.push(sealed);
                            continue;
                        }
                        Some(why) => self.found_corrupt(*first, 0, *first, why),
                    },
                    Err(Flaw { at, seq, why }) => self.found_corrupt(*first, at, seq, why.to_owned()),
                }
                break;
            }
            let path = segment_path(&self.log_dir, *first);
            let file = self.open_file(&path).map_err(at(&path))?;
            if i + 1 == count {
                self.forget_cache_of(&*file).map_err(at(&path))?;
            }
            let bytes = file.len().map_err(at(&path))?;
            let mut head_bytes = vec![0; HEADER_BYTES];
            let got = read_up_to(&*file, &mut head_bytes, 0).map_err(at(&path))?;
            let refused = match Header::decode(&head_bytes[..got], Form::Log) {
                Ok(header) => match misfit(found.last(), &header, *first) {
                    None => {
                        found.push(Found { header, file, bytes, sealed: None });
                        continue;
                    }
                    Some(why) => why,
                },
                Err(e) => {
                    // A segment is sealed only once the next one is there to stay.
                    let may_be_missing = i + 1 == count && found.last().is_none_or(|f| f.sealed.is_none());
                    let was_published = head.is_some_and(|h| h.size > *first);
                    if may_be_missing && !was_published && never_began(&*file, bytes, e).map_err(at(&path))? {
                        headless = Some(self.quarantine_segment(*first, path)?);
                        continue;
                    }
                    e.to_string()
                }
            };
            self.found_corrupt(*first, 0, *first, refused);
            break;
        }
        match (found.is_empty(), &self.corrupt, head) {
            (true, Some(corrupt), _) => Err(corrupt.clone().into()),
            (true, None, Some(head)) if head.size > Seq::ZERO => Err(Corrupt {
                segment: Seq::ZERO,
                offset: 0,
                seq: Seq::ZERO,
                why: format!("HEAD speaks of {} events, but there is no segment", head.size),
            }
            .into()),
            _ => Ok((found, headless)),
        }
    }

    /// The segments that there are files of, oldest first. Temporary files are noted down.
    fn segment_names(&mut self) -> Result<Vec<(Seq, Names)>, OpenError> {
        let mut segments: BTreeMap<Seq, Names> = BTreeMap::new();
        for name in self.disk.list(&self.log_dir).map_err(at(&self.log_dir))? {
            let Some((digits, ending)) = name.split_once('.') else { continue };
            if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                continue;
            }
            let Ok(first) = digits.parse().map(Seq) else { continue };
            match ending {
                "log" => segments.entry(first).or_default().has_log = true,
                "seg" => segments.entry(first).or_default().has_sealed = true,
                "seg.tmp" => self.leftovers.push(Leftover::Temporary(temporary_path(&self.log_dir, first))),
                _ => {}
            }
        }
        Ok(segments.into_iter().collect())
    }

    /// Opens a segment of which there is only a `.seg`, or one that is known to be whole.
    fn find_sealed(&self, first: Seq) -> Result<Result<Found, Flaw>, OpenError> {
        let path = sealed_path(&self.log_dir, first);
        let file = self.disk.open_read(&path).map_err(at(&path))?;
        match SealedFile::open(Arc::clone(&file), first) {
            Ok(SealedFile { header, footer, bytes, .. }) => {
                let sealed = Some((footer.end, SealedInfo::of(&footer)));
                Ok(Ok(Found { header, file, bytes, sealed }))
            }
            Err(SealedError::Flaw(flaw)) => Ok(Err(flaw)),
            Err(SealedError::Io(source)) => Err(OpenError::Io { path, source }),
        }
    }

    /// Both files of a segment are there: we crashed before the `.log` was removed, or somebody copied files. Reads all of the
    /// `.seg` and answers whether it is the one to go on with; notes down which file has to go.
    fn is_whole_copy(&mut self, first: Seq) -> Result<bool, OpenError> {
        let (path, log_path) = (sealed_path(&self.log_dir, first), segment_path(&self.log_dir, first));
        let log = self.disk.open_read(&log_path).map_err(at(&log_path))?;
        let mut head = vec![0; HEADER_BYTES];
        let got = read_up_to(&*log, &mut head, 0).map_err(at(&log_path))?;
        let header = Header::decode(&head[..got], Form::Log).ok();
        let file = self.disk.open_read(&path).map_err(at(&path))?;
        file.forget_cache().map_err(at(&path))?;
        let is_whole = match is_whole(file, first, header.as_ref()) {
            Ok(is_whole) => is_whole,
            Err(source) => return Err(OpenError::Io { path, source }),
        };
        self.leftovers.push(match is_whole {
            true => Leftover::Replaced(log_path),
            false => Leftover::Broken(first),
        });
        Ok(is_whole)
    }

    /// Removes what a crash while sealing left, and moves a broken `.seg` away. Nothing in a corrupt log.
    fn clear_leftovers(&self) -> Result<Vec<PathBuf>, OpenError> {
        let mut moved = Vec::new();
        if self.options.read_only || self.corrupt.is_some() || self.leftovers.is_empty() {
            return Ok(moved);
        }
        // The name that stays must be there to stay before the other one goes.
        self.disk.sync_dir(&self.log_dir).map_err(at(&self.log_dir))?;
        for leftover in &self.leftovers {
            match leftover {
                Leftover::Temporary(path) => self.disk.remove(path).map_err(at(path))?,
                Leftover::Replaced(path) => {
                    self.disk.remove(path).map_err(at(path))?;
                    warn!("removed {}, which is sealed", path.display());
                }
                Leftover::Broken(first) => {
                    let to = self.quarantine_file(*first, &sealed_path(&self.log_dir, *first), "seg")?;
                    warn!(segment = %first, "moved a broken copy of segment {first} to {}", to.display());
                    moved.push(to);
                }
            }
        }
        self.disk.sync_dir(&self.log_dir).map_err(at(&self.log_dir))?;
        Ok(moved)
    }

    /// A log is made in this order: HEAD (size 0), then the first segment. Events can only come after both.
    fn create_first(&self, slots: &mut Slots) -> Result<Found, OpenError> {
        if self.options.read_only {
            return Err(OpenError::NoLog { path: self.dir.clone() });
        }
        let random = |source| OpenError::Io { path: self.log_dir.clone(), source };
        let header = Header {
            log_id: durable::random().map_err(random)?,
            segment_no: 0,
            first_seq: Seq::ZERO,
            root_at_start: empty_root(),
            created_ns: clock::now_ns(),
            salt: durable::random().map_err(random)?,
        };
        if slots.latest.is_none() {
            self.write_first_head(slots, &header.log_id)?;
        }
        let path = segment_path(&self.log_dir, Seq::ZERO);
        match create_segment(&*self.disk, &self.log_dir, &header, self.options.preallocate_bytes) {
            Ok((file, bytes)) => Ok(Found { header, file, bytes, sealed: None }),
            Err(CreateError::Write(source) | CreateError::Sync(source)) => Err(OpenError::Io { path, source }),
        }
    }

    /// Both slots unreadable: fine for a log that never had an event, corruption otherwise.
    fn replace_lost_head(&mut self, slots: &mut Slots, found: &[Found], scanned: &Scanned) -> Result<(), OpenError> {
        let first = &found[scanned.last].header.first_seq;
        if scanned.scan.seq() > Seq::ZERO || scanned.torn_at.is_some() {
            let why = "both HEAD slots are unreadable, but the log has events".to_owned();
            self.found_corrupt(*first, scanned.scan.at(), scanned.scan.seq(), why);
            return Ok(());
        }
        if self.corrupt.is_some() || self.options.read_only {
            return Ok(());
        }
        self.write_first_head(slots, &found[0].header.log_id)
    }

    fn write_first_head(&self, slots: &mut Slots, log_id: &[u8; 16]) -> Result<(), OpenError> {
        let path = self.dir.join("HEAD");
        let checkpoint = head::of_empty_log(&format!("annals/{}", hex(log_id)), &empty_root());
        let mut bytes = head::encode(&checkpoint).expect("a checkpoint without signatures fits a slot");
        bytes.resize(2 * SLOT_BYTES, 0);
        let write = || {
            let file = match &slots.file {
                Some(file) => Arc::clone(file),
                None => self.disk.create(&path)?,
            };
            write_all(&*file, &bytes, 0)?;
            file.sync_data()?;
            self.disk.sync_dir(&self.dir)?;
            Slots::read(file)
        };
        *slots = write().map_err(at(&path))?;
        Ok(())
    }

    fn scan(
        &mut self,
        found: &[Found],
        head: Option<&Head>,
        visitor: &mut dyn Visitor,
    ) -> Result<(Seq, Scanned), OpenError> {
        let newest = found.len() - 1;
        let wanted = head.map_or(found[newest].header.first_seq, |h| Seq(h.size.0.saturating_sub(1)));
        // The first segment begins at 0, so at least one lies at or before the wanted event.
        let mut begin = found.partition_point(|f| f.header.first_seq <= wanted) - 1;
        if self.start(&found[begin], visitor)? == Start::FromTheBeginning && begin > 0 {
            begin = 0;
            self.start(&found[0], visitor)?;
        }
        let header = &found[begin].header;
        if let Some(head) = head.filter(|h| h.size == header.first_seq && h.root != header.root_at_start) {
            let why = format!("HEAD's root at size {} is not the segment's root_at_start", head.size);
            self.found_corrupt(header.first_seq, 48, header.first_seq, why);
        }
        let mut scanned = Scanned {
            last: begin,
            scan: self.batches(&found[begin], begin == newest)?,
            root: header.root_at_start,
            keyring_generation: 0,
            sealed_end: None,
            torn_at: None,
        };
        while self.corrupt_at_or_after(found, &scanned).is_none() {
            self.scan_segment(&found[scanned.last], scanned.last == newest, head, &mut scanned, visitor)?;
            if self.corrupt_at_or_after(found, &scanned).is_some() || scanned.last == newest {
                break;
            }
            let next = &found[scanned.last + 1];
            let (size, root) = (scanned.scan.seq(), scanned.root);
            if next.header.first_seq != size || next.header.root_at_start != root {
                let why = format!(
                    "the next segment begins at event {} with root {}, this one ends at event {size} with root {}",
                    next.header.first_seq,
                    hex(&next.header.root_at_start),
                    hex(&root)
                );
                let segment = found[scanned.last].header.first_seq;
                self.found_corrupt(segment, scanned.scan.at(), size, why);
                break;
            }
            scanned.last += 1;
            scanned.sealed_end = None;
            scanned.scan = self.batches(next, scanned.last == newest)?;
        }
        let (end, end_at) = (scanned.scan.seq(), scanned.scan.at());
        if let Some(head) = head.filter(|h| end < h.size) {
            let why = format!("the log ends before event {end}, but HEAD speaks of {} events", head.size);
            self.found_corrupt(found[scanned.last].header.first_seq, end_at, end, why);
        }
        if self.corrupt.is_none() && found[newest].sealed.is_some() {
            // It was there, durable, before this one was sealed; what it held was acknowledged.
            let why = "it is sealed, but the segment after it, which takes the events, is missing".to_owned();
            self.found_corrupt(found[newest].header.first_seq, end_at, end, why);
        }
        Ok((found[begin].header.first_seq, scanned))
    }

    /// Corruption found during the scan, as opposed to a bad header behind the segments that can be scanned.
    fn corrupt_at_or_after(&self, found: &[Found], scanned: &Scanned) -> Option<&Corrupt> {
        let last_good = found[found.len() - 1].header.first_seq;
        self.corrupt.as_ref().filter(|c| c.segment <= last_good && c.segment >= found[scanned.last].header.first_seq)
    }

    fn start(&mut self, found: &Found, visitor: &mut dyn Visitor) -> Result<Start, OpenError> {
        let first = found.header.first_seq;
        match visitor.start(first, &found.header.root_at_start) {
            Ok(start) if start == Start::Here || first > Seq::ZERO => Ok(start),
            Ok(_) => {
                let why = "the first segment's root_at_start is not the root of an empty tree".to_owned();
                self.found_corrupt(first, 48, first, why);
                Ok(Start::Here)
            }
            Err(VisitError::Failed(e)) => Err(OpenError::Visitor(e)),
            Err(e @ (VisitError::RootMismatch { .. } | VisitError::Corrupt(_))) => {
                self.found_corrupt(first, 48, first, e.to_string());
                Ok(Start::Here)
            }
        }
    }

    fn batches(&self, found: &Found, is_newest: bool) -> Result<SegmentScan, OpenError> {
        let first = found.header.first_seq;
        let path = found.path(&self.log_dir);
        if is_newest {
            // What we trust must have come from the disk, not from pages that a failed sync left behind.
            found.file.forget_cache().map_err(at(&path))?;
        }
        let opened = SegmentScan::open(Arc::clone(&found.file), first, found.sealed.is_some(), None);
        // It was whole when the segments were found, a moment ago.
        let (_, scan) = opened.map_err(at(&path))??;
        scan.read_ahead().map_err(at(&path))
    }

    /// Goes through one segment to its end, its torn tail or its corruption.
    fn scan_segment(
        &mut self,
        found: &Found,
        is_newest: bool,
        head: Option<&Head>,
        scanned: &mut Scanned,
        visitor: &mut dyn Visitor,
    ) -> Result<(), OpenError> {
        let segment = found.header.first_seq;
        let path = found.path(&self.log_dir);
        let scan = &mut scanned.scan;
        loop {
            match scan.step().map_err(at(&path))? {
                Step::Clean => return Ok(()),
                Step::Sealed { root, .. } if root != scanned.root => {
                    let why = format!("the SEAL's root is {}, the last COMMIT's {}", hex(&root), hex(&scanned.root));
                    self.found_corrupt(segment, scan.at(), scan.seq(), why);
                    return Ok(());
                }
                Step::Sealed { end, .. } => {
                    scanned.sealed_end = Some(end);
                    return Ok(());
                }
                Step::Batch { at: begin, commit } => {
                    let disagreement = match head.and_then(|head| against_head(&commit, head)) {
                        Some(why) => Some(why),
                        None => show(scan, &commit, visitor)?,
                    };
                    if let Some(why) = disagreement {
                        self.found_corrupt(segment, begin, commit.first_seq, why);
                        scan.undo_batch();
                        return Ok(());
                    }
                    scanned.root = commit.root;
                    scanned.keyring_generation = commit.keyring_generation;
                }
                Step::Invalid { at: byte, why } => {
                    match self.rule_broken(scan, byte, is_newest, head).map_err(at(&path))? {
                        Some(rule) => self.found_corrupt(segment, byte, scan.seq(), format!("{why}; {rule}")),
                        None => scanned.torn_at = Some(byte),
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Why an invalid frame cannot be the torn end of a batch that was never acknowledged; `None` if it can.
    fn rule_broken(
        &self,
        scan: &mut SegmentScan,
        byte: u64,
        is_newest: bool,
        head: Option<&Head>,
    ) -> io::Result<Option<String>> {
        let scan = match scan {
            SegmentScan::Log(scan) => scan,
            SegmentScan::Sealed(_) | SegmentScan::Ahead(_) => {
                return Ok(Some("the segment was whole when it was sealed".to_owned()));
            }
        };
        if let Some(head) = head.filter(|h| scan.seq < h.size) {
            return Ok(Some(format!("HEAD speaks of {} events", head.size)));
        }
        if !is_newest {
            return Ok(Some("another segment follows".to_owned()));
        }
        // A batch is only written after the one before it was durable.
        Ok(scan.later_batch_after(byte)?.map(|later| format!("a frame of a later batch lies at byte {later}")))
    }

    /// Cuts a torn tail (its copy is kept), and makes durable what the scan found.
    fn settle_tail(&self, found: &Found, scanned: &Scanned) -> Result<Option<TornTail>, OpenError> {
        if found.sealed.is_some() {
            // Whole since it was sealed, or corrupt.
            return Ok(None);
        }
        let segment = found.header.first_seq;
        let path = segment_path(&self.log_dir, segment);
        let offset = scanned.scan.at();
        let mut torn = None;
        if scanned.torn_at.is_some() && self.corrupt.is_none() {
            let tail = read_tail(&*found.file, offset).map_err(at(&path))?;
            let mut quarantined_to = None;
            if !self.options.read_only {
                quarantined_to = Some(self.quarantine_tail(segment, offset, &tail)?);
                // Everything from here reads as zeros again, as after a clean end.
                found.file.truncate(offset).map_err(at(&path))?;
                let bytes = tail.len();
                warn!(segment = %segment, bytes, "cut a torn tail of {bytes} bytes from segment {segment} at byte {offset}");
            }
            torn = Some(TornTail { segment, offset, bytes: tail.len() as u64, quarantined_to });
        }
        if !self.options.read_only {
            if let Some(end) = scanned.sealed_end.filter(|_| self.corrupt.is_none()) {
                // A crash between the SEAL and the giving back of reserved room.
                found.file.truncate(end).map_err(at(&path))?;
            }
            found.file.sync_data().map_err(at(&path))?;
        }
        Ok(torn)
    }

    fn quarantine_tail(&self, segment: Seq, offset: u64, tail: &[u8]) -> Result<PathBuf, OpenError> {
        let dir = self.dir.join("quarantine");
        let path = dir.join(format!("{:020}-{offset}-{}.tail", segment.0, clock::now_ns()));
        let keep = || {
            let copy = self.disk.create(&path)?;
            write_all(&*copy, tail, 0)?;
            copy.sync_data()?;
            self.disk.sync_dir(&dir)
        };
        keep()
            .inspect_err(|_| {
                // Half a copy is none; the next attempt has another name.
                let _ = self.disk.remove(&path);
            })
            .map_err(at(&path))?;
        Ok(path)
    }

    /// Moves a newest segment that never began out of the way; answers where it is now.
    fn quarantine_segment(&self, first: Seq, path: PathBuf) -> Result<PathBuf, OpenError> {
        if self.options.read_only {
            return Ok(path);
        }
        let to = self.quarantine_file(first, &path, "log")?;
        warn!(segment = %first, "moved segment {first}, which has no whole header and no frames, to {}", to.display());
        Ok(to)
    }

    fn quarantine_file(&self, first: Seq, path: &Path, ending: &str) -> Result<PathBuf, OpenError> {
        let dir = self.dir.join("quarantine");
        let to = dir.join(format!("{:020}-{}.{ending}", first.0, clock::now_ns()));
        let shift = || {
            self.disk.rename(path, &to)?;
            self.disk.sync_dir(&dir)?;
            self.disk.sync_dir(&self.log_dir)
        };
        shift().map_err(at(path))?;
        Ok(to)
    }

    /// Builds writer and readers over what was found.
    fn finish(
        self,
        mut found: Vec<Found>,
        scanned: Scanned,
        slots: Slots,
        report: Recovered,
    ) -> Result<Opened, OpenError> {
        found.truncate(scanned.last + 1);
        let ends: Vec<Seq> = found.iter().skip(1).map(|f| f.header.first_seq).chain([report.size]).collect();
        let mut old: Vec<OldSegment> = found.iter().zip(ends).map(|(f, end)| f.to_old(end)).collect();
        let last = found.pop().expect("a log has at least one segment here");
        let path = segment_path(&self.log_dir, last.header.first_seq);
        let mut scan = match scanned.scan {
            SegmentScan::Log(scan) => Some(scan),
            SegmentScan::Sealed(_) | SegmentScan::Ahead(_) => None,
        };
        let mut active = None;
        if let Some(scan) = &mut scan {
            old.pop();
            active = Some(Arc::new(Active {
                file: Arc::clone(&last.file),
                first: last.header.first_seq,
                salt: last.header.salt,
                offsets: RwLock::new(Offsets { starts: std::mem::take(&mut scan.starts), end: scan.at }),
            }));
        }
        // Of a segment whose first event cannot be trusted there is nothing to read.
        old.retain(|segment| segment.first < segment.end);
        let table = Table { old, active: active.clone() };
        let cache_bytes = self.options.block_cache_bytes_max;
        let shared = Arc::new(Shared::new(self.disk, self.log_dir, report.size, table, cache_bytes));
        let head = Arc::new(HeadFile::new(Arc::clone(&shared), slots));

        let (mut writer, mut sealer) = (None, None);
        if let (Some(active), Some(scan), None, false) = (active, scan, &self.corrupt, self.options.read_only) {
            let has_events = report.size > last.header.first_seq;
            let is_finished = scanned.sealed_end.is_some() || (report.after_failed_sync && has_events);
            let resume = Resume {
                active,
                header: last.header,
                state: if is_finished { State::Finished } else { State::Open },
                size: report.size,
                end: scanned.sealed_end.unwrap_or(scan.at),
                allocated: last.file.len().map_err(at(&path))?,
                batch: scan.batch,
                prev_commit_offset: scan.prev_commit_offset,
                sha256: scan.sha256,
            };
            sealer = Some(Sealer::new(Arc::clone(&shared), self.options.seal_level));
            writer = Some(Writer::new(Arc::clone(&shared), Arc::clone(&head), self.options, resume));
        }
        Ok(Opened { writer, reader: Reader::new(shared), sealer, head, report, read_only: self.corrupt })
    }

    fn found_corrupt(&mut self, segment: Seq, offset: u64, seq: Seq, why: String) {
        let corrupt = Corrupt { segment, offset, seq, why };
        // The earliest place is the one to report; what lies behind it may be its consequence.
        if self.corrupt.as_ref().is_none_or(|known| seq < known.seq) {
            self.corrupt = Some(corrupt);
        }
    }

    fn open_file(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        if self.options.read_only { self.disk.open_read(path) } else { self.disk.open(path) }
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenError> {
        self.disk.exists(path).map_err(at(path))
    }
}

impl Found {
    fn path(&self, log_dir: &Path) -> PathBuf {
        match self.sealed {
            Some(_) => sealed_path(log_dir, self.header.first_seq),
            None => segment_path(log_dir, self.header.first_seq),
        }
    }

    fn to_old(&self, end: Seq) -> OldSegment {
        OldSegment {
            first: self.header.first_seq,
            end,
            bytes: self.bytes,
            salt: self.header.salt,
            sealed: self.sealed.map(|(_, info)| info),
        }
    }
}

/// Shows a batch to the visitor; answers what it objects to.
fn show(scan: &SegmentScan, commit: &Commit, visitor: &mut dyn Visitor) -> Result<Option<String>, OpenError> {
    let mut shown = scan.each_event(|head, payload| visitor.event(head.seq, head.frame_type, head.flags, payload));
    if shown.is_ok() {
        shown = visitor.commit(commit);
    }
    match shown {
        Ok(()) => Ok(None),
        Err(VisitError::Failed(e)) => Err(OpenError::Visitor(e)),
        Err(e @ (VisitError::RootMismatch { .. } | VisitError::Corrupt(_))) => Ok(Some(e.to_string())),
    }
}

/// What a batch and HEAD disagree about.
fn against_head(commit: &Commit, head: &Head) -> Option<String> {
    if commit.size == head.size && commit.root != head.root {
        return Some(format!(
            "the root at size {} is {}, but HEAD has {}",
            head.size,
            hex(&commit.root),
            hex(&head.root)
        ));
    }
    if commit.first_seq < head.size && head.size < commit.size {
        return Some(format!("HEAD's size {} lies inside a batch", head.size));
    }
    None
}

/// Why a segment's header does not fit the segment before it.
fn misfit(before: Option<&Found>, header: &Header, name: Seq) -> Option<String> {
    if header.first_seq != name {
        return Some("the header's first_seq is not the file's name".to_owned());
    }
    let Some(before) = before else {
        let is_first = header.segment_no == 0 && name == Seq::ZERO;
        return (!is_first).then(|| "the segments before it are missing".to_owned());
    };
    if before.header.log_id != header.log_id {
        return Some("the segment belongs to another log".to_owned());
    }
    if before.header.segment_no + 1 != header.segment_no {
        return Some("a segment before it is missing".to_owned());
    }
    let (end, info) = before.sealed?;
    if end != name || info.root != header.root_at_start {
        let (root, ours) = (hex(&info.root), hex(&header.root_at_start));
        return Some(format!(
            "the sealed segment before it ends at event {end} with root {root}, this one begins with root {ours}"
        ));
    }
    None
}

/// Whether a `.seg` is whole, and of the segment with this header if the `.log` still has one.
fn is_whole(file: Arc<dyn DiskFile>, first: Seq, header: Option<&Header>) -> io::Result<bool> {
    let sealed = match SealedFile::open(file, first) {
        Ok(sealed) => Arc::new(sealed),
        Err(SealedError::Flaw(_)) => return Ok(false),
        Err(SealedError::Io(e)) => return Err(e),
    };
    if header.is_some_and(|header| *header != sealed.header) {
        return Ok(false);
    }
    let mut scan = SealedScan::new(sealed);
    loop {
        match scan.step()? {
            Step::Batch { .. } => {}
            Step::Sealed { .. } => return Ok(true),
            Step::Clean | Step::Invalid { .. } => return Ok(false),
        }
    }
}

/// Whether a file without a valid header is what a crash leaves while a segment is being created.
fn never_began(file: &dyn DiskFile, bytes: u64, error: HeaderError) -> io::Result<bool> {
    match error {
        HeaderError::Version { .. } | HeaderError::Fields => Ok(false),
        HeaderError::Short | HeaderError::Magic | HeaderError::Checksum { .. } => {
            Ok(bytes <= HEADER_BYTES as u64 || read_tail(file, HEADER_BYTES as u64)?.is_empty())
        }
    }
}

/// The bytes from `offset` to the file's last byte that is not zero.
///
/// A tail is one batch (a few MiB; at most one request), so it may be held in memory.
fn read_tail(file: &dyn DiskFile, offset: u64) -> io::Result<Vec<u8>> {
    const PIECE: usize = 1 << 20;
    let mut tail = Vec::new();
    let mut zeros = 0;
    let mut at = offset;
    let mut piece = vec![0; PIECE];
    loop {
        let got = read_up_to(file, &mut piece, at)?;
        match piece[..got].iter().rposition(|b| *b != 0) {
            Some(last) => {
                tail.resize(tail.len() + zeros, 0);
                tail.extend_from_slice(&piece[..=last]);
                zeros = got - last - 1;
            }
            None => zeros += got,
        }
        if got < PIECE {
            return Ok(tail);
        }
        at += got as u64;
    }
}

/// The root of a tree without leaves (RFC 6962): SHA-256 of nothing.
fn empty_root() -> [u8; 32] {
    Sha256::digest(b"")
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    |source| OpenError::Io { path, source }
}
