//! Mends a data directory from backups: what rotted or was lost in the log is taken from any copy, event by event, if body,
//! commitment, leaf and the hash in `tree/L0` agree, and only if the roots of the whole come out as they were signed.
//!
//! Nothing that is damaged is thrown away: it is kept in `quarantine/`, and a file gets its name only when its mended form is
//! durable and was read back. How a segment is put together is the business of `log`; that nobody else has the directory is the
//! caller's, who holds its LOCK.

pub mod cut;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::durable::{self, Disk, read_small, read_up_to, write_all};
use crate::log::{
    Commit, Corrupt, FrameType, Gap, Head, Judge, Mended, Remains, SegmentFile, SegmentPlace, VisitError, Wanted,
    inspect_slots, latest, mend, read_strictly,
};
use crate::seq::Seq;
use crate::tree::files::read_public_key;
use crate::tree::tile_reader::TileError;
use crate::tree::tiles::TILE_HASHES;
use crate::tree::{Checkpoint, Frontier, Hash, LastTile, TileReader};
use crate::verify::excised::{self, CutCheck};
use crate::verify::leaf_of;
use cut::cut_segments;

/// What a repair leaves for the next start to enter in the log.
pub const MARKER: &str = "repaired";
/// The marker of many repairs.
pub const MARKER_BYTES_MAX: u64 = 1 << 20;
/// HEAD is two slots of 4 KiB.
const HEAD_BYTES_MAX: u64 = 8 << 10;
/// Copied at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Why nothing was looked at or changed.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// Neither directory says how far the log was.
    #[error("neither {dir} nor a backup has a readable HEAD")]
    NoHead {
        /// The directory.
        dir: PathBuf,
    },
    /// A backup is not one of this log.
    #[error("{backup} is a copy of another log: {found}, not {expected}")]
    OtherLog {
        /// Which backup.
        backup: PathBuf,
        /// What it calls itself.
        found: String,
        /// What this log calls itself.
        expected: String,
    },
    /// A file could not be read or written.
    #[error("cannot repair {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A place that was damaged and is not any more (or, in a dry run, need not be).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mending {
    /// The file, in the data directory.
    pub file: String,
    /// What was wrong with it.
    pub flaw: String,
    /// Runs of events that were taken from a copy: first, last, which file.
    pub taken: Vec<(Seq, Seq, PathBuf)>,
    /// Where the damaged file is kept; none in a dry run, or if there was none.
    pub kept: Option<PathBuf>,
}

/// What was found and done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Events in the log.
    pub events: Seq,
    /// What is mended.
    pub mended: Vec<Mending>,
    /// What is not, each with its place: no copy has it.
    pub unmended: Vec<String>,
    /// What is worth knowing.
    pub remarks: Vec<String>,
}

/// One repair, as the next start enters it in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The entry's id, so that it is entered once.
    pub id: String,
    /// When it was, ms.
    pub time_ms: u64,
    /// The files.
    pub files: Vec<String>,
    /// Events that were taken from a copy.
    pub events: u64,
}

/// Mends `dir` from `backups`; with `is_dry_run` only says what would be done. `progress` is told how many events were looked at.
///
/// # Errors
/// When it cannot be begun, or the disk fails in between. What cannot be mended is no error: see [`Outcome::unmended`].
pub fn repair(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    backups: &[PathBuf],
    is_dry_run: bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Outcome, RepairError> {
    let own = read_head(disk, dir)?;
    let mut outcome = Outcome::default();
    let mut head = own.clone();
    let mut head_from = None;
    for backup in backups {
        let theirs = read_head(disk, backup)?;
        if let (Some(own), Some(theirs)) = (&head, &theirs)
            && own.origin() != theirs.origin()
        {
            let (found, expected) = (theirs.origin().to_owned(), own.origin().to_owned());
            return Err(RepairError::OtherLog { backup: backup.clone(), found, expected });
        }
        if own.is_none() && theirs.as_ref().map(|head| head.size) > head.as_ref().map(|head| head.size) {
            (head, head_from) = (theirs, Some(backup.clone()));
        }
    }
    let head = head.ok_or_else(|| RepairError::NoHead { dir: dir.to_owned() })?;
    let key = read_public_key(&**disk, dir);
    if let (Some(key), Some(backup)) = (&key, &head_from)
        && Checkpoint::verified(&head.checkpoint, key).is_err()
    {
        outcome.unmended.push(format!("HEAD: that of {} is not signed by {}", backup.display(), key.name()));
    }
    let mut job = Job {
        disk,
        dir,
        backups,
        is_dry_run,
        leaves: Leaves::read(disk, dir, &head),
        head,
        log_id: None,
        frontier: Frontier::new(),
        root_at_head: None,
        wrong_leaves: 0,
        cuts: CutCheck::default(),
        outcome,
        progress,
    };
    if job.leaves.trusted == 0 && job.head.size > Seq::ZERO {
        let why = "tree/ does not lead to the root in HEAD: events are held against the roots in the log alone";
        job.outcome.remarks.push(why.into());
    }
    job.segments()?;
    if let Some(backup) = head_from.filter(|_| job.outcome.unmended.is_empty()) {
        job.mend_head(&backup)?;
    }
    job.mend_tree()?;
    job.cut_again()?;
    if !is_dry_run && !job.outcome.mended.is_empty() {
        job.leave_mark()?;
    }
    Ok(job.outcome)
}

struct Job<'a> {
    disk: &'a Arc<dyn Disk>,
    dir: &'a Path,
    backups: &'a [PathBuf],
    is_dry_run: bool,
    head: Head,
    leaves: Leaves,
    /// Of the first segment whose header is whole.
    log_id: Option<[u8; 16]>,
    /// The tree over the events so far.
    frontier: Frontier,
    root_at_head: Option<Hash>,
    /// Leaves that `tree/L0` has otherwise than the log.
    wrong_leaves: u64,
    /// What the log says was cut out of it, and what was.
    cuts: CutCheck,
    outcome: Outcome,
    progress: &'a mut dyn FnMut(u64),
}

/// `tree/L0` up to the size in HEAD, as far as it leads to the root there.
struct Leaves {
    reader: TileReader,
    /// All below this are what was signed.
    trusted: u64,
    tile: LastTile,
}

impl Leaves {
    fn read(disk: &Arc<dyn Disk>, dir: &Path, head: &Head) -> Leaves {
        let reader = TileReader::new(disk.clone(), &dir.join("tree"));
        let size = head.size.0;
        let grown = (|| {
            let mut frontier = Frontier::new();
            for tile in 0..size.div_ceil(TILE_HASHES) {
                reader
                    .tile(0, tile, (size - tile * TILE_HASHES).min(TILE_HASHES))?
                    .into_iter()
                    .for_each(|hash| frontier.push(hash));
            }
            Ok::<_, TileError>(frontier.root())
        })();
        let trusted = if grown.is_ok_and(|root| root == head.root) { size } else { 0 };
        Leaves { reader, trusted, tile: LastTile::default() }
    }

    /// The leaf that the tree has here, if that can be trusted.
    fn trusted(&mut self, seq: Seq) -> Option<Hash> {
        if seq.0 >= self.trusted { None } else { self.stored(seq, self.trusted) }
    }

    fn stored(&mut self, seq: Seq, end: u64) -> Option<Hash> {
        self.tile.leaf(&self.reader, seq.0, end).ok().flatten()
    }
}

/// Grows a tree over the events that it is shown and holds it against every COMMIT.
struct Grower<'a> {
    frontier: Frontier,
    leaves: &'a mut Leaves,
    head: &'a Head,
    root_at_head: Option<Hash>,
    wrong_leaves: u64,
    cuts: &'a mut CutCheck,
    progress: &'a mut dyn FnMut(u64),
}

impl Judge for Grower<'_> {
    fn event(&mut self, seq: Seq, frame_type: FrameType, payload: &[u8]) -> Result<(), VisitError> {
        // What exactly is wrong would quote the body.
        let leaf =
            leaf_of(frame_type, payload).map_err(|_| VisitError::Corrupt("it cannot be read as an event".into()))?;
        let hash = leaf.hash();
        if self.leaves.trusted(seq).is_some_and(|trusted| trusted != hash) {
            return Err(VisitError::Corrupt("its leaf is not the one in the tree".into()));
        }
        if self.leaves.trusted == 0 && self.leaves.stored(seq, self.head.size.0).is_some_and(|stored| stored != hash) {
            self.wrong_leaves += 1;
        }
        if let Some(cut) = excised::cut(frame_type, payload) {
            self.cuts.take(seq, cut);
        }
        self.frontier.push(hash);
        Ok(())
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), VisitError> {
        let computed = self.frontier.root();
        if computed != commit.root {
            return Err(VisitError::RootMismatch { computed });
        }
        if commit.size == self.head.size {
            self.root_at_head = Some(computed);
        }
        if commit.size == self.head.size && computed != self.head.root {
            return Err(VisitError::Corrupt("HEAD was signed over another root".into()));
        }
        (self.progress)(commit.size.0);
        Ok(())
    }
}

impl Job<'_> {
    fn segments(&mut self) -> Result<(), RepairError> {
        let own = self.list(self.dir)?;
        for file in &own {
            let place = file.place(&**self.disk).map_err(at(&file.path))?;
            self.log_id = self.log_id.or(place.map(|place| place.log_id));
        }
        let mut all = own.clone();
        for backup in self.backups {
            all.extend(self.list(backup)?);
        }
        // One that only a backup has was lost here, if there is more behind it or HEAD speaks of it.
        let newest = own.last().map_or(Seq::ZERO, |file| file.first);
        let firsts: BTreeSet<Seq> = all
            .iter()
            .map(|file| file.first)
            .filter(|first| own.iter().any(|file| file.first == *first) || *first < newest || *first < self.head.size)
            .collect();
        let firsts: Vec<Seq> = firsts.into_iter().collect();
        for (i, first) in firsts.iter().enumerate() {
            let wanted = Wanted { first: *first, end: firsts.get(i + 1).copied(), at_least: self.head.size };
            let own: Vec<SegmentFile> = own.iter().filter(|file| file.first == *first).cloned().collect();
            if !self.segment(wanted, own)? {
                let left = &firsts[i + 1..];
                if let (Some(from), false) = (left.first(), self.leaves.trusted > 0) {
                    self.outcome
                        .remarks
                        .push(format!("segments from {from} on were not looked at: the tree is not known there"));
                    return Ok(());
                }
                // The hashes in the tree bridge what is missing.
                let Some(end) = wanted.end.filter(|end| end.0 <= self.leaves.trusted) else { return Ok(()) };
                for seq in self.frontier.size()..end.0 {
                    match self.leaves.trusted(Seq(seq)) {
                        Some(hash) => self.frontier.push(hash),
                        None => return Ok(()),
                    }
                }
            }
        }
        if firsts.is_empty() && self.head.size > Seq::ZERO {
            self.outcome
                .unmended
                .push(format!("log/: no copy has a segment, HEAD speaks of {} events", self.head.size));
        }
        self.outcome.events = Seq(self.frontier.size());
        Ok(())
    }

    /// Looks at one segment and mends it if it has to be. Answers whether it is sound now (or could be).
    fn segment(&mut self, wanted: Wanted, own: Vec<SegmentFile>) -> Result<bool, RepairError> {
        let mut flaw = None;
        // A sealed file that is whole wins, as at a start.
        for file in own.iter().rev() {
            let mut grower = self.grower();
            let read = read_strictly(&**grower.1, file, &mut grower.0).map_err(at(&file.path));
            let (frontier, root_at_head, wrong) = grower.0.parts();
            let (place, end, found) = read?;
            let found = found.or_else(|| self.misplaced(file, place, end, wanted));
            match found {
                None => {
                    self.accept(frontier, root_at_head, wrong, place);
                    return Ok(true);
                }
                Some(found) => flaw = flaw.or(Some((file.clone(), found, end, frontier, root_at_head, wrong, place))),
            }
        }
        let sources = self.sources(wanted.first, &own)?;
        let why = match &flaw {
            Some((_, corrupt, ..)) => corrupt.to_string(),
            None => format!("segment {} is missing", wanted.first),
        };
        let mended = self.put_together(wanted, &sources);
        match (mended, flaw) {
            // Half a batch that was never acknowledged: the next start cuts it.
            (Ok((mended, ..)), Some((_, _, end, frontier, root_at_head, wrong, place)))
                if wanted.end.is_none()
                    && mended.end == end
                    && end >= self.head.size
                    && mended.taken.is_empty()
                    && mended.others_taken == 0 =>
            {
                self.accept(frontier, root_at_head, wrong, place);
                Ok(true)
            }
            (Ok((mended, frontier, root_at_head, wrong)), _) => {
                self.replace(wanted, &mended, &sources, &own, why)?;
                let place = Some(mended.place());
                self.accept(frontier, root_at_head, wrong, place);
                Ok(true)
            }
            (Err(gap), _) => {
                self.outcome.unmended.push(format!("{gap} ({why})"));
                Ok(false)
            }
        }
    }

    fn accept(&mut self, frontier: Frontier, root_at_head: Option<Hash>, wrong: u64, place: Option<SegmentPlace>) {
        self.frontier = frontier;
        self.root_at_head = self.root_at_head.or(root_at_head);
        self.wrong_leaves += wrong;
        self.log_id = self.log_id.or(place.map(|place| place.log_id));
    }

    fn grower(&mut self) -> (Grower<'_>, &Arc<dyn Disk>) {
        let grower = Grower {
            frontier: self.frontier.clone(),
            leaves: &mut self.leaves,
            head: &self.head,
            root_at_head: None,
            wrong_leaves: 0,
            cuts: &mut self.cuts,
            progress: self.progress,
        };
        (grower, self.disk)
    }

    /// What is wrong with a segment that is whole in itself.
    fn misplaced(&self, file: &SegmentFile, place: Option<SegmentPlace>, end: Seq, wanted: Wanted) -> Option<Corrupt> {
        let flaw = |offset, seq, why: String| Some(Corrupt { segment: file.first, offset, seq, why });
        let place = place?;
        if self.log_id.is_some_and(|id| id != place.log_id) {
            return flaw(16, file.first, "the segment belongs to another log".into());
        }
        if self.frontier.size() == file.first.0 && place.root_at_start != self.frontier.root() {
            return flaw(48, file.first, "its root_at_start is not that of the events before it".into());
        }
        if wanted.end.is_some_and(|due| end != due) || (wanted.end.is_none() && end < wanted.at_least) {
            let due = wanted.end.unwrap_or(wanted.at_least);
            return flaw(0, end, format!("it ends at event {end}, expected {due}"));
        }
        None
    }

    /// The copies of a segment: this directory's, or nothing in its place, then those of the backups.
    fn sources(&self, first: Seq, own: &[SegmentFile]) -> Result<Vec<(Option<SegmentFile>, Remains)>, RepairError> {
        let mut files: Vec<SegmentFile> = own.to_vec();
        for backup in self.backups {
            files.extend(self.list(backup)?.into_iter().filter(|file| file.first == first));
        }
        let mut sources: Vec<(Option<SegmentFile>, Remains)> = Vec::new();
        if own.is_empty() {
            sources.push((None, Remains::nothing()));
        }
        for file in &files {
            let remains = Remains::read(&**self.disk, file, None).map_err(at(&file.path))?;
            sources.push((Some(file.clone()), remains));
        }
        // One whose header is damaged can be read with another's.
        if let Some(good) = sources.iter().find_map(|(_, remains)| remains.header_only()) {
            for (source, remains) in &mut sources {
                if let Some(file) = source.as_ref().filter(|_| remains.place().is_none()) {
                    *remains = Remains::read(&**self.disk, file, Some(&good)).map_err(at(&file.path))?;
                }
            }
        }
        Ok(sources)
    }

    fn put_together(
        &mut self,
        wanted: Wanted,
        sources: &[(Option<SegmentFile>, Remains)],
    ) -> Result<(Mended, Frontier, Option<Hash>, u64), Gap> {
        let gap = |seq, why: String| Gap { segment: wanted.first, offset: 0, seq, why };
        let places: Vec<SegmentPlace> = sources.iter().filter_map(|(_, remains)| remains.place()).collect();
        if let [one, others @ ..] = &places[..]
            && (others.iter().any(|other| other != one) || self.log_id.is_some_and(|id| id != one.log_id))
        {
            return Err(gap(wanted.first, "the copies are of different logs".into()));
        }
        let copies: Vec<&Remains> = sources.iter().map(|(_, remains)| remains).collect();
        let leaves = &mut self.leaves;
        let mut is_right = |seq: Seq, frame_type: FrameType, payload: &[u8]| match leaf_of(frame_type, payload) {
            Ok(leaf) => leaves.trusted(seq).is_none_or(|trusted| trusted == leaf.hash()),
            Err(_) => false,
        };
        let mended = mend(&copies, wanted, &mut is_right)?;
        let mut grower = self.grower().0;
        let shown = mended.show(&mut grower);
        let (frontier, root_at_head, wrong) = grower.parts();
        shown.map_err(|(seq, error)| gap(seq, error.to_string()))?;
        if mended.place().root_at_start != self.frontier.root() {
            return Err(gap(wanted.first, "its root_at_start is not that of the events before it".into()));
        }
        Ok((mended, frontier, root_at_head, wrong))
    }

    fn replace(
        &mut self,
        wanted: Wanted,
        mended: &Mended,
        sources: &[(Option<SegmentFile>, Remains)],
        own: &[SegmentFile],
        flaw: String,
    ) -> Result<(), RepairError> {
        // The `.log` of this directory if it has one, else what it has, else what the backup has.
        let form = own.iter().find(|file| !file.is_sealed).or(own.first());
        let form = form.or_else(|| sources.iter().find_map(|(file, _)| file.as_ref()));
        let is_sealed = form.is_some_and(|file| file.is_sealed) && wanted.end.is_some();
        let name = format!("{:020}.{}", wanted.first.0, if is_sealed { "seg" } else { "log" });
        let taken = mended
            .taken
            .iter()
            .filter_map(|taken| Some((taken.first, taken.last, sources.get(taken.copy)?.0.as_ref()?.path.clone())));
        let mut mending = Mending { file: format!("log/{name}"), flaw, taken: taken.collect(), kept: None };
        if !self.is_dry_run {
            let (log_dir, quarantine) = (self.dir.join("log"), self.dir.join("quarantine"));
            let (path, part) = (log_dir.join(&name), log_dir.join(format!("{name}.mending")));
            let before = own.iter().any(|file| file.path == path).then(|| {
                let source = sources.iter().find(|(file, _)| file.as_ref().is_some_and(|file| file.path == path));
                source.map(|(_, remains)| remains)
            });
            let is_finished = wanted.end.is_some();
            mended.write(&**self.disk, &part, is_sealed, before.flatten(), is_finished).map_err(at(&part))?;
            self.prove(&part, is_sealed, wanted, mended)?;
            for file in own {
                let ending = if file.is_sealed { "seg" } else { "log" };
                let to = quarantine.join(format!("{:020}-{}.damaged.{ending}", file.first.0, clock::now_ns()));
                self.disk.create_dir(&quarantine).map_err(at(&quarantine))?;
                self.copy(&file.path, &to)?;
                mending.kept = Some(to);
            }
            self.disk.rename(&part, &path).map_err(at(&path))?;
            self.disk.sync_dir(&log_dir).map_err(at(&log_dir))?;
        }
        self.outcome.mended.push(mending);
        Ok(())
    }

    /// Reads the mended file back from the disk.
    fn prove(&mut self, part: &Path, is_sealed: bool, wanted: Wanted, mended: &Mended) -> Result<(), RepairError> {
        let file = SegmentFile { first: wanted.first, is_sealed, path: part.to_owned() };
        let (mut grower, disk) = self.grower();
        let (_, end, flaw) = read_strictly(&**disk, &file, &mut grower).map_err(at(part))?;
        // Half a batch may follow in the newest one.
        match flaw.filter(|_| end != mended.end || wanted.end.is_some()) {
            None if end == mended.end => Ok(()),
            None => Err(at(part)(io::Error::other(format!("read back, it ends at event {end}")))),
            Some(flaw) => Err(at(part)(io::Error::other(format!("read back: {flaw}")))),
        }
    }

    fn mend_head(&mut self, backup: &Path) -> Result<(), RepairError> {
        let mut kept = None;
        if !self.is_dry_run {
            let path = self.dir.join("HEAD");
            if self.disk.exists(&path).map_err(at(&path))? {
                let quarantine = self.dir.join("quarantine");
                self.disk.create_dir(&quarantine).map_err(at(&quarantine))?;
                let to = quarantine.join(format!("HEAD-{}.damaged", clock::now_ns()));
                self.copy(&path, &to)?;
                kept = Some(to);
            }
            let from = backup.join("HEAD");
            let bytes = read_small(&**self.disk, &from, HEAD_BYTES_MAX).map_err(at(&from))?;
            durable::replace(&**self.disk, self.dir, "HEAD", &bytes).map_err(at(&path))?;
        }
        let flaw = "neither of its slots can be read".to_owned();
        self.outcome.mended.push(Mending { file: "HEAD".into(), flaw, taken: Vec::new(), kept });
        let why = format!(
            "HEAD is that of {}: it cannot be told whether events after its {} were lost",
            backup.display(),
            self.head.size
        );
        self.outcome.remarks.push(why);
        Ok(())
    }

    /// A tree that does not lead to the root that was signed, beside a log that does, is computed again by the next start.
    fn mend_tree(&mut self) -> Result<(), RepairError> {
        let tree = self.dir.join("tree");
        let is_there = self.disk.exists(&tree.join("L0")).map_err(at(&tree))?;
        let is_log_sound = self.outcome.unmended.is_empty() && self.root_at_head == Some(self.head.root);
        if !is_there || !is_log_sound || self.head.size == Seq::ZERO {
            return Ok(());
        }
        let flaw = match self.leaves.trusted > 0 {
            true => match self.wrong_level()? {
                Some(why) => why,
                None => return Ok(()),
            },
            false => format!("tree/L0 does not lead to the root in HEAD ({} leaves differ)", self.wrong_leaves),
        };
        let mut kept = None;
        if !self.is_dry_run {
            let quarantine = self.dir.join("quarantine");
            self.disk.create_dir(&quarantine).map_err(at(&quarantine))?;
            let to = quarantine.join(format!("tree-{}.damaged", clock::now_ns()));
            self.disk.rename(&tree, &to).map_err(at(&tree))?;
            for dir in [&quarantine, &self.dir.to_owned()] {
                self.disk.sync_dir(dir).map_err(at(dir))?;
            }
            kept = Some(to);
        }
        self.outcome.mended.push(Mending { file: "tree/".into(), flaw, taken: Vec::new(), kept });
        self.outcome.remarks.push("tree/ is computed again from the log by the next start".into());
        Ok(())
    }

    /// What was cut out of the log and came back from a copy of before is cut out again.
    fn cut_again(&mut self) -> Result<(), RepairError> {
        let uncut = self.cuts.uncut();
        if uncut.is_empty() {
            return Ok(());
        }
        let log_dir = self.dir.join("log");
        let done = cut_segments(&**self.disk, self.dir, &uncut, self.is_dry_run, &mut |_| {}).map_err(at(&log_dir))?;
        let seqs: Vec<String> = uncut.iter().map(|(seq, _)| seq.to_string()).collect();
        for (path, why) in &done.failed {
            self.outcome.unmended.push(format!("{}: what was cut out of it is there again: {why}", path.display()));
        }
        if done.failed.is_empty() {
            let done = if self.is_dry_run { "would be" } else { "was" };
            self.outcome
                .remarks
                .push(format!("the content of entries {} {done} cut out again, as the log says", seqs.join(", ")));
        }
        Ok(())
    }

    fn wrong_level(&self) -> Result<Option<String>, RepairError> {
        let (mut hashes, mut level) = (self.head.size.0 / TILE_HASHES, 1);
        while hashes > 0 {
            for index in 0..hashes {
                match self.leaves.reader.is_root_of_tile(level, index) {
                    Ok(true) => {}
                    Ok(false) => {
                        return Ok(Some(format!("tree/L{level}, hash {index} is not the root of the tile below it")));
                    }
                    Err(TileError::Missing { .. }) => return Ok(Some(format!("tree/L{level} is too short"))),
                    Err(TileError::Io(source)) => return Err(at(&self.dir.join("tree"))(source)),
                }
            }
            (hashes, level) = (hashes / TILE_HASHES, level + 1);
        }
        Ok(None)
    }

    /// The next start enters the repair in the log.
    fn leave_mark(&self) -> Result<(), RepairError> {
        let path = self.dir.join(MARKER);
        let mut marks = read_marks(&**self.disk, self.dir).map_err(at(&path))?;
        let now = clock::now_ns();
        marks.push(Mark {
            id: format!("repair-{now}"),
            time_ms: clock::now_ms(),
            files: self.outcome.mended.iter().map(|mending| mending.file.clone()).collect(),
            events: self
                .outcome
                .mended
                .iter()
                .flat_map(|m| &m.taken)
                .map(|(first, last, _)| last.0 - first.0 + 1)
                .sum(),
        });
        let text = serde_json::to_vec(&marks).expect("marks are plain data");
        durable::replace(&**self.disk, self.dir, MARKER, &text).map_err(at(&path))
    }

    fn list(&self, dir: &Path) -> Result<Vec<SegmentFile>, RepairError> {
        match SegmentFile::list(&**self.disk, dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed.map_err(at(&dir.join("log"))),
        }
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<(), RepairError> {
        let source = self.disk.open_read(from).map_err(at(from))?;
        let target = self.disk.create(to).map_err(at(to))?;
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut done = 0;
        loop {
            let n = read_up_to(&*source, &mut buffer, done).map_err(at(from))?;
            if n == 0 {
                break;
            }
            write_all(&*target, &buffer[..n], done).map_err(at(to))?;
            done += n as u64;
        }
        target.sync_data().map_err(at(to))?;
        let dir = to.parent().expect("it lies in quarantine/");
        self.disk.sync_dir(dir).map_err(at(dir))
    }
}

impl Grower<'_> {
    fn parts(self) -> (Frontier, Option<Hash>, u64) {
        (self.frontier, self.root_at_head, self.wrong_leaves)
    }
}

/// The repairs that no start has entered in the log yet.
pub fn read_marks(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<Mark>> {
    match read_small(disk, &dir.join(MARKER), MARKER_BYTES_MAX) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn read_head(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Option<Head>, RepairError> {
    let path = dir.join("HEAD");
    match read_small(&**disk, &path, HEAD_BYTES_MAX) {
        Ok(bytes) => Ok(latest(&inspect_slots(&bytes)).cloned()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => Ok(None),
        Err(error) => Err(at(&path)(error)),
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> RepairError + use<> {
    let path = path.to_owned();
    move |source| RepairError::Io { path: path.clone(), source }
}
