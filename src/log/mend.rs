//! Takes what can still be trusted out of several copies of one segment, and puts a whole one together from it.
//!
//! A copy is a `.log` or a `.seg`, of this directory or of a backup. An event is taken from the first copy in which its frame is
//! whole and the room above says that it is the right one; a COMMIT from the first in which it is whole and fits. Nothing is
//! made up: what no copy holds is a [`Gap`]. Whether the roots are right is asked of the room above, too.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::commit::{COMMIT_BYTES, Commit};
use super::dictionary;
use super::frame::{self, FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader, FrameType};
use super::header::{Form, HEADER_BYTES, Header};
use super::scan::Step;
use super::seal;
use super::sealed::{SealedError, SealedFile};
use super::sealing::{Packer, SEAL_LEVEL};
use super::segment_scan::SegmentScan;
use super::{Corrupt, VisitError};
use crate::durable::{Disk, DiskFile, read_up_to, write_all};
use crate::hash::Sha256;
use crate::seq::Seq;

/// A file of a segment, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// Its first event, as the name says.
    pub first: Seq,
    /// Whether it is a `.seg`.
    pub is_sealed: bool,
    /// Where it is.
    pub path: PathBuf,
}

impl SegmentFile {
    /// What a file of this name in `log_dir` is, if it is one of a segment.
    pub fn parse(log_dir: &Path, name: &str) -> Option<SegmentFile> {
        let (digits, ending) = name.split_once('.')?;
        let is_sealed = match ending {
            "log" => false,
            "seg" => true,
            _ => return None,
        };
        let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let first = digits.parse().ok().filter(|_| is_number).map(Seq)?;
        Some(SegmentFile { first, is_sealed, path: log_dir.join(name) })
    }

    /// What its header says; `None` if that is not whole.
    pub fn place(&self, disk: &dyn Disk) -> io::Result<Option<SegmentPlace>> {
        let file = disk.open_read(&self.path)?;
        let mut head = vec![0; HEADER_BYTES];
        let got = read_up_to(&*file, &mut head, 0)?;
        let form = if self.is_sealed { Form::Sealed } else { Form::Log };
        let header = Header::decode(&head[..got], form).ok().filter(|header| header.first_seq == self.first);
        Ok(header.map(|header| header.place()))
    }

    /// All of them in a data directory, in the order of their first events.
    pub fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<SegmentFile>> {
        let log_dir = dir.join("log");
        Ok(disk.list(&log_dir)?.iter().filter_map(|name| SegmentFile::parse(&log_dir, name)).collect())
    }
}

/// What a segment's header says of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentPlace {
    /// Which log.
    pub log_id: [u8; 16],
    /// Its number.
    pub segment_no: u64,
    /// Its first event.
    pub first: Seq,
    /// The tree's root there.
    pub root_at_start: [u8; 32],
}

/// What is shown of a segment that is read strictly: each whole batch.
pub trait Judge {
    /// An event.
    fn event(&mut self, seq: Seq, frame_type: FrameType, payload: &[u8]) -> Result<(), VisitError>;
    /// The end of its batch.
    fn commit(&mut self, commit: &Commit) -> Result<(), VisitError>;
}

/// Reads a file as a start would and shows its batches. Answers its place and where it ends (behind the last good batch), and
/// the first thing that is wrong with it, if anything is. Half a batch behind the end is wrong here; the caller knows better.
pub fn read_strictly(
    disk: &dyn Disk,
    file: &SegmentFile,
    judge: &mut dyn Judge,
) -> io::Result<(Option<SegmentPlace>, Seq, Option<Corrupt>)> {
    let first = file.first;
    let corrupt = |offset, seq, why: String| Some(Corrupt { segment: first, offset, seq, why });
    let (header, mut scan) = match SegmentScan::open(disk.open_read(&file.path)?, first, file.is_sealed, None)? {
        Ok(opened) => opened,
        Err(flaw) => return Ok((None, first, Some(flaw))),
    };
    let place = Some(header.place());
    let mut root = header.root_at_start;
    loop {
        let seq = scan.seq();
        match scan.step()? {
            Step::Batch { at, commit } => {
                let judged = scan
                    .each_event(|head, payload| judge.event(head.seq, head.frame_type, payload))
                    .and_then(|()| judge.commit(&commit));
                match judged {
                    Ok(()) => root = commit.root,
                    Err(VisitError::Failed(error)) => return Err(io::Error::other(error)),
                    Err(error) => return Ok((place, seq, corrupt(at, seq, error.to_string()))),
                }
            }
            Step::Sealed { root: sealed, .. } if sealed != root => {
                return Ok((
                    place,
                    seq,
                    corrupt(scan.at(), seq, "the SEAL has another root than the last COMMIT".into()),
                ));
            }
            Step::Sealed { .. } | Step::Clean => return Ok((place, seq, None)),
            Step::Invalid { at, why } => return Ok((place, seq, corrupt(at, seq, why.to_owned()))),
        }
    }
}

/// What is whole in one copy of a segment.
#[derive(Debug)]
pub struct Remains {
    header: Option<Header>,
    /// Whole frames, wherever they lay.
    bytes: Vec<u8>,
    /// Events, each with its frame in `bytes`.
    events: BTreeMap<Seq, Framed>,
    /// By batch.
    commits: BTreeMap<u32, Commit>,
    /// The file, if it is a `.log`: what follows its last batch is copied from it.
    log: Option<Arc<dyn DiskFile>>,
}

impl Remains {
    /// Of a copy that is not there.
    pub fn nothing() -> Remains {
        Remains { header: None, bytes: Vec::new(), events: BTreeMap::new(), commits: BTreeMap::new(), log: None }
    }

    /// Reads a copy. `header` is that of another copy, in case this one's is damaged: without it nothing can be told apart.
    pub fn read(disk: &dyn Disk, file: &SegmentFile, header: Option<&Remains>) -> io::Result<Remains> {
        let open = disk.open_read(&file.path)?;
        let given = header.and_then(|remains| remains.header.clone());
        let mut remains = Remains { log: (!file.is_sealed).then(|| open.clone()), ..Remains::nothing() };
        match file.is_sealed {
            true => remains.read_sealed(open, file.first)?,
            false => remains.read_log(&*open, given)?,
        }
        remains.header.take_if(|header| header.first_seq != file.first);
        Ok(remains)
    }

    /// Puts an EXCISED frame in the place of an event's: what `payload` makes of the event's payload, which must be as long, or nothing
    /// if that is `None`. Says whether there is one now.
    pub fn cut_out(&mut self, seq: Seq, payload: impl FnOnce(FrameType, &[u8]) -> Option<Vec<u8>>) -> bool {
        let (Some(header), Some((head, range))) = (&self.header, self.events.get_mut(&seq)) else { return false };
        let before = &self.bytes[range.start + FRAME_HEADER_BYTES..][..head.payload_len as usize];
        let Some(after) = payload(head.frame_type, before).filter(|after| after.len() == before.len()) else {
            return false;
        };
        let mut framed = Vec::with_capacity(range.len());
        frame::write(&mut framed, &header.salt, FrameType::Excised, 0, seq, head.batch, &after);
        let Some(head_now) = frame::decode(&framed, &header.salt) else { return false };
        self.bytes[range.clone()].copy_from_slice(&framed);
        *head = head_now;
        true
    }

    /// Whether there is an EXCISED frame for it.
    pub fn is_cut_out(&self, seq: Seq) -> bool {
        self.events.get(&seq).is_some_and(|(head, _)| head.frame_type == FrameType::Excised)
    }

    /// Only its header, if that is whole.
    pub fn header_only(&self) -> Option<Remains> {
        let header = self.header.clone()?;
        Some(Remains { header: Some(header), ..Remains::nothing() })
    }

    /// Where it says that it belongs, if its header is whole.
    pub fn place(&self) -> Option<SegmentPlace> {
        self.header.as_ref().map(Header::place)
    }

    fn read_sealed(&mut self, file: Arc<dyn DiskFile>, first: Seq) -> io::Result<()> {
        let sealed = match SealedFile::open(file, first) {
            Ok(sealed) => sealed,
            // Without the footer nobody knows where the blocks are.
            Err(SealedError::Flaw(_)) => return Ok(()),
            Err(SealedError::Io(error)) => return Err(error),
        };
        for n in 0..sealed.footer.blocks.len() {
            match sealed.read_block(n) {
                Ok(block) => {
                    let at = self.bytes.len();
                    self.bytes.extend_from_slice(&block.bytes);
                    for (start, head) in &block.frames {
                        let start = at + *start as usize;
                        self.events.insert(head.seq, (*head, start..start + head.framed_bytes() as usize));
                    }
                }
                Err(SealedError::Flaw(_)) => {}
                Err(SealedError::Io(error)) => return Err(error),
            }
        }
        match sealed.read_commits() {
            Ok(commits) => self.commits = (0..).zip(commits).collect(),
            Err(SealedError::Flaw(_)) => {}
            Err(SealedError::Io(error)) => return Err(error),
        }
        self.header = Some(sealed.header);
        Ok(())
    }

    fn read_log(&mut self, file: &dyn DiskFile, given: Option<Header>) -> io::Result<()> {
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        let got = read_up_to(file, &mut bytes, 0)?;
        bytes.truncate(got);
        self.header = Header::decode(&bytes, Form::Log).ok();
        let Some(salt) = self.header.as_ref().or(given.as_ref()).map(|header| header.salt) else {
            return Ok(());
        };
        let mut at = HEADER_BYTES;
        while at + FRAME_HEADER_BYTES <= bytes.len() {
            let found = if bytes[at..at + 4] == *FRAME_MAGIC { frame::decode(&bytes[at..], &salt) } else { None };
            let Some(head) = found else {
                // The framing is lost here; the next frame with a good checksum has it again.
                at += 8;
                continue;
            };
            let range = at..at + head.framed_bytes() as usize;
            let Some(framed) = bytes.get(range.clone()) else { break };
            let (payload, padding) = framed[FRAME_HEADER_BYTES..].split_at(head.payload_len as usize);
            if head.fits(payload) && padding.iter().all(|byte| *byte == 0) {
                match head.frame_type {
                    FrameType::Event | FrameType::Excised => drop(self.events.insert(head.seq, (head, range.clone()))),
                    FrameType::Commit => {
                        let commit = Commit::decode(payload).filter(|commit| commit.size == head.seq);
                        self.commits.extend(commit.map(|commit| (head.batch, commit)));
                    }
                    // It is computed again.
                    FrameType::Seal => {}
                }
            }
            at = range.end;
        }
        self.bytes = bytes;
        Ok(())
    }
}

/// What no copy holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("segment {segment} cannot be put together, event {seq} (byte {offset} of the .log): {why}")]
pub struct Gap {
    /// First seq of the segment.
    pub segment: Seq,
    /// Where it would lie in the `.log`.
    pub offset: u64,
    /// The first event that it concerns.
    pub seq: Seq,
    /// What is missing.
    pub why: String,
}

/// Which events came from a copy other than the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The first of a run of events.
    pub first: Seq,
    /// Its last.
    pub last: Seq,
    /// The number of the copy.
    pub copy: usize,
}

/// A frame in some bytes.
type Framed = (FrameHeader, Range<usize>);

/// A whole segment.
#[derive(Debug)]
pub struct Mended {
    header: Header,
    /// The `.log`: header, frames, COMMITs; for a finished one also the SEAL.
    log: Vec<u8>,
    batches: Vec<(Commit, Vec<Framed>)>,
    sha256: [u8; 32],
    /// Where the frames end, before a SEAL.
    end_at: usize,
    /// Behind its last event.
    pub end: Seq,
    /// What came from copies other than the first.
    pub taken: Vec<Taken>,
    /// COMMITs, and headers, that did.
    pub others_taken: u32,
}

/// What a segment has to hold.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Its first event.
    pub first: Seq,
    /// Behind its last one, if another segment follows; then it is finished.
    pub end: Option<Seq>,
    /// It must reach this, in any case.
    pub at_least: Seq,
}

/// Puts a segment together. `is_right` says of an event whose frame is whole whether it is the one that belongs there. The copies
/// are asked in their order; all must be of one segment, which the caller has looked at ([`Remains::place`]).
pub fn mend(
    copies: &[&Remains],
    wanted: Wanted,
    is_right: &mut dyn FnMut(Seq, FrameType, &[u8]) -> bool,
) -> Result<Mended, Gap> {
    let Wanted { first, end, at_least } = wanted;
    let gap = |offset: usize, seq, why: String| Gap { segment: first, offset: offset as u64, seq, why };
    let with_header = copies.iter().enumerate().find_map(|(i, copy)| Some((i, copy.header.clone()?)));
    let (i, header) = with_header.ok_or_else(|| gap(0, first, "its header is whole in no copy".into()))?;
    let mut mended = Mended {
        log: header.encode(Form::Log),
        header,
        batches: Vec::new(),
        sha256: [0; 32],
        end_at: 0,
        end: first,
        taken: Vec::new(),
        others_taken: u32::from(i > 0),
    };
    let mut prev_commit_offset = 0;
    for batch in 0.. {
        let next = mended.end;
        let begin = mended.log.len();
        let fits = |commit: &&Commit| {
            commit.first_seq == next && commit.size > next && end.is_none_or(|end| commit.size <= end)
        };
        let found = copies.iter().enumerate().find_map(|(i, copy)| Some((i, *copy.commits.get(&batch).filter(fits)?)));
        let Some((i, commit)) = found else {
            let is_later = copies.iter().any(|copy| copy.commits.range(batch + 1..).next().is_some());
            let is_enough = match end {
                Some(end) => next == end,
                None => next >= at_least && !is_later,
            };
            if is_enough {
                break;
            }
            return Err(gap(begin, next, format!("the COMMIT of batch {batch} is whole in no copy")));
        };
        mended.others_taken += u32::from(i > 0);
        let mut events = Vec::new();
        for seq in (next.0..commit.size.0).map(Seq) {
            let mut is_whole_somewhere = false;
            let mut chosen = None;
            // What was cut out of one copy is not brought back from another.
            let in_order =
                [true, false].into_iter().flat_map(|cut| copies.iter().enumerate().map(move |copy| (cut, copy)));
            for (is_cut_out, (i, copy)) in in_order {
                let is_it =
                    |head: &FrameHeader| head.batch == batch && (head.frame_type == FrameType::Excised) == is_cut_out;
                let Some((head, range)) = copy.events.get(&seq).filter(|(head, _)| is_it(head)) else { continue };
                let framed = &copy.bytes[range.clone()];
                let payload = &framed[FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + head.payload_len as usize];
                is_whole_somewhere = true;
                if is_right(seq, head.frame_type, payload) {
                    chosen = Some((i, head, framed));
                    break;
                }
            }
            let Some((i, head, framed)) = chosen else {
                let why = match is_whole_somewhere {
                    true => "its frame is whole, but its leaf is not the one in the tree",
                    false => "its frame is whole in no copy",
                };
                return Err(gap(mended.log.len(), seq, why.into()));
            };
            let at = mended.log.len();
            mended.log.extend_from_slice(framed);
            events.push((*head, at..mended.log.len()));
            if i > 0 {
                mended.take(seq, i);
            }
        }
        let bytes = (mended.log.len() - begin) as u64;
        if !commit.closes(next, commit.size, bytes, prev_commit_offset) {
            return Err(gap(begin, next, format!("the COMMIT of batch {batch} does not fit its events")));
        }
        prev_commit_offset = mended.log.len() as u64;
        let salt = mended.header.salt;
        frame::write(&mut mended.log, &salt, FrameType::Commit, 0, commit.size, batch, &commit.encode());
        mended.end = commit.size;
        mended.batches.push((commit, events));
    }
    mended.end_at = mended.log.len();
    mended.sha256 = Sha256::digest(&mended.log);
    Ok(mended)
}

impl Mended {
    fn take(&mut self, seq: Seq, copy: usize) {
        match self.taken.last_mut().filter(|taken| taken.copy == copy && taken.last.plus(1) == seq) {
            Some(taken) => taken.last = seq,
            None => self.taken.push(Taken { first: seq, last: seq, copy }),
        }
    }

    /// Where it belongs.
    pub fn place(&self) -> SegmentPlace {
        self.header.place()
    }

    fn payload(&self, head: &FrameHeader, range: &Range<usize>) -> &[u8] {
        &self.log[range.start + FRAME_HEADER_BYTES..][..head.payload_len as usize]
    }

    /// Shows its batches.
    pub fn show(&self, judge: &mut dyn Judge) -> Result<(), (Seq, VisitError)> {
        for (commit, events) in &self.batches {
            for (head, range) in events {
                judge.event(head.seq, head.frame_type, self.payload(head, range)).map_err(|error| (head.seq, error))?;
            }
            judge.commit(commit).map_err(|error| (commit.first_seq, error))?;
        }
        Ok(())
    }

    /// Writes it to `path`, durable, as a `.seg` or a `.log`. `before` is the damaged copy in its place: what follows the last batch
    /// of a `.log` that has no SEAL is taken from there as it is.
    pub fn write(
        &self,
        disk: &dyn Disk,
        path: &Path,
        is_sealed: bool,
        before: Option<&Remains>,
        is_finished: bool,
    ) -> io::Result<()> {
        if disk.exists(path)? {
            disk.remove(path)?;
        }
        let file = disk.create(path)?;
        match is_sealed {
            true => {
                self.pack(&file)?;
                file.make_read_only()?;
            }
            false => {
                write_all(&*file, &self.log, 0)?;
                let tail = self.tail(before)?;
                match is_finished && tail.as_ref().is_none_or(|tail| tail.iter().any(|byte| *byte != 0)) {
                    true => write_all(&*file, &self.seal(), self.end_at as u64)?,
                    false => write_all(&*file, &tail.unwrap_or_default(), self.end_at as u64)?,
                }
            }
        }
        file.sync_data()?;
        file.forget_cache()
    }

    /// What lies behind the last batch in the file that is there: room that was reserved, half a batch, a SEAL.
    fn tail(&self, before: Option<&Remains>) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = before.and_then(|remains| remains.log.as_ref()) else { return Ok(None) };
        let len = file.len()?.saturating_sub(self.end_at as u64);
        let mut tail = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        let got = read_up_to(&**file, &mut tail, self.end_at as u64)?;
        tail.truncate(got);
        Ok(Some(tail))
    }

    fn seal(&self) -> Vec<u8> {
        let starts: Vec<u32> =
            self.batches.iter().flat_map(|(_, events)| events).map(|(_, range)| (range.start / 8) as u32).collect();
        let root = self.root();
        let payload = seal::encode(self.end, &root, &self.sha256, &starts, self.end_at as u64);
        let mut out = Vec::new();
        let batch = self.batches.len() as u32;
        frame::write(&mut out, &self.header.salt, FrameType::Seal, 0, self.end, batch, &payload);
        out
    }

    fn root(&self) -> [u8; 32] {
        self.batches.last().map_or(self.header.root_at_start, |(commit, _)| commit.root)
    }

    fn pack(&self, file: &Arc<dyn DiskFile>) -> io::Result<()> {
        let events: Vec<&Framed> = self.batches.iter().flat_map(|(_, events)| events).collect();
        let dictionary = dictionary::train(self.header.first_seq, self.end, |seq, samples| {
            let (head, range) = events[(seq.0 - self.header.first_seq.0) as usize];
            samples.extend_from_slice(self.payload(head, range));
            Ok::<(), io::Error>(())
        })?;
        let mut packer = Packer::new(file, &self.header, &dictionary, SEAL_LEVEL)?;
        let mut commits = Vec::with_capacity(self.batches.len() * COMMIT_BYTES);
        for (commit, events) in &self.batches {
            for (head, range) in events {
                packer.add(head, &self.log[range.clone()])?;
            }
            commits.extend_from_slice(&commit.encode());
        }
        packer.commits = commits;
        packer.finish(self.end, self.root(), self.sha256, self.end_at as u64).map(drop)
    }
}

impl Header {
    fn place(&self) -> SegmentPlace {
        SegmentPlace {
            log_id: self.log_id,
            segment_no: self.segment_no,
            first: self.first_seq,
            root_at_start: self.root_at_start,
        }
    }
}
