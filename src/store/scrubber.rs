//! The thread that reads everything again, slowly, before anybody needs it: every frame and block of the log with its
//! checksums, every leaf against `tree/L0`, the tree's levels against each other, HEAD and the kept notes against the tree,
//! and the files of the index's spans.
//!
//! It changes nothing in the log: what it finds it says, loudly, and `annals repair` mends it from a backup. A damaged span is
//! built again from the log. What it read stands in `integrity`; what a segment must be is the business of `log`.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::clock;
use crate::durable::{Disk, read_small};
use crate::log::{FrameType, Reader, ScrubError, Slot, inspect_slots};
use crate::seq::Seq;
use crate::store::indexer::Indexer;
use crate::store::integrity::{Found, Record, Round};
use crate::store::leaves::Leaves;
use crate::store::watermarks::Watermarks;
use crate::store::worker::{Stop, Worker, panic_text, step_back};
use crate::tree::files::NOTES;
use crate::tree::note::NOTE_BYTES_MAX;
use crate::tree::tile_reader::TileError;
use crate::tree::tiles::TILE_HASHES;
use crate::tree::{TileReader, VerifierKey};
use crate::verify::HeldNote;

/// A store that was never scrubbed begins this much after its start, unless rounds follow each other sooner: a start has enough
/// to read.
const FIRST_ROUND_AFTER: Duration = Duration::from_secs(3600);
/// Whether a round is due is looked at this often.
const LOOK: Duration = Duration::from_secs(1);
/// After a panic, or when the tree could not be read, this long.
const RETRY: Duration = Duration::from_secs(60);
/// How often a line says how far it is, in events.
const PROGRESS_EVENTS: u64 = 10_000_000;
/// A half-written slot of HEAD is looked at again, so often and so much later.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);
const HEAD_BYTES_MAX: u64 = 16 << 10;

/// How often, and how fast, everything is read again.
#[derive(Clone, Copy, Debug)]
pub struct ScrubSettings {
    /// From the beginning of a round to that of the next; `None` never.
    pub period: Option<Duration>,
    /// Bytes read in a second, at most.
    pub bytes_per_s: u64,
}

/// The scrubber thread, from outside. Dropping it ends the thread.
pub struct Scrubber(Worker);

/// What the thread works with.
pub struct Tools {
    /// From the beginning of a round to that of the next.
    pub period: Duration,
    /// Bytes read in a second, at most.
    pub bytes_per_s: u64,
    /// Reads segments.
    pub reader: Reader,
    /// What they are held against.
    pub tree: Arc<TileReader>,
    /// Says how far the log is signed: so far is read.
    pub marks: Arc<Watermarks>,
    /// Verifies the kept notes.
    pub key: Option<VerifierKey>,
    /// Has the spans.
    pub indexer: Arc<Indexer>,
    /// Told what was found.
    pub record: Arc<Record>,
    /// Reads and writes the small files.
    pub disk: Arc<dyn Disk>,
    /// The data directory.
    pub dir: PathBuf,
}

impl Scrubber {
    /// Starts the thread.
    pub fn start(tools: Tools) -> io::Result<Scrubber> {
        Ok(Scrubber(Worker::start("scrubber", move |stop| Scrub { tools, stop, pace: Pace::new() }.run())?))
    }

    /// Ends the thread soon; the next start goes on with the segment at hand.
    pub fn stop(&self) {
        self.0.stop();
    }
}

struct Scrub<'a> {
    tools: Tools,
    stop: &'a Stop,
    pace: Pace,
}

/// Why a round does not go on now.
#[derive(Debug, thiserror::Error)]
enum Paused {
    #[error("stopped")]
    Stopped,
    #[error("the tree cannot be read")]
    Tree(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Scrub<'_> {
    fn run(mut self) {
        step_back();
        let started_ms = clock::now_ms();
        while !self.stop.is_set() {
            if !self.is_due(started_ms) {
                self.stop.wait(LOOK);
                continue;
            }
            match catch_unwind(AssertUnwindSafe(|| self.round())) {
                Ok(Ok(())) | Ok(Err(Paused::Stopped)) => {}
                Ok(Err(why)) => {
                    error!("scrubbing stops and goes on in {} s: {why}", RETRY.as_secs());
                    self.stop.wait(RETRY);
                }
                Err(panic) => {
                    let why = panic_text(&*panic);
                    error!("scrubbing stops and goes on in {} s: it panicked: {why}", RETRY.as_secs());
                    self.stop.wait(RETRY);
                }
            }
        }
    }

    /// A round that was begun goes on at once; the first one waits a while.
    fn is_due(&self, started_ms: u64) -> bool {
        if self.tools.marks.get().signed == Seq::ZERO {
            return false;
        }
        let now = self.tools.record.get();
        let wait = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let due_ms = match (&now.running, &now.checked) {
            (Some(_), _) => 0,
            (None, Some(checked)) => checked.began_ms.saturating_add(wait(self.tools.period)),
            (None, None) => started_ms.saturating_add(wait(self.tools.period.min(FIRST_ROUND_AFTER))),
        };
        clock::now_ms() >= due_ms
    }

    fn round(&mut self) -> Result<(), Paused> {
        let signed = self.tools.marks.get().signed;
        let record = self.tools.record.clone();
        record.change(|now| {
            now.running.get_or_insert_with(|| Round {
                began_ms: clock::now_ms(),
                of_events: signed,
                events: Seq::ZERO,
                bytes: 0,
                found: Vec::new(),
                found_count: 0,
            });
        });
        self.save();
        while let Some(next) = self.next_segment() {
            self.segment(next)?;
            self.save();
        }
        self.notes_and_head()?;
        self.spans()?;
        let mut ended = None;
        record.change(|now| {
            now.checked = now.running.take().map(|round| round.end(clock::now_ms()));
            ended.clone_from(&now.checked);
        });
        self.save();
        let Some(ended) = ended else { return Ok(()) };
        let (events, bytes, findings) = (ended.events, ended.bytes, ended.found_count);
        match findings {
            0 => info!(events = %events, bytes, "scrubbed {events} events, {bytes} bytes: all as it was written"),
            _ => error!(events = %events, bytes, findings, "scrubbed {events} events: {findings} FINDINGS, see above"),
        }
        Ok(())
    }

    /// The first segment that the round has not read, and is to read.
    fn next_segment(&self) -> Option<Seq> {
        let round = self.tools.record.get().running?;
        let segments = self.tools.reader.segments();
        // A round goes on in the middle of the segment that was growing when its events ended.
        let next = segments.iter().rfind(|segment| segment.first <= round.events)?;
        (round.events < round.of_events).then_some(next.first)
    }

    fn segment(&mut self, first: Seq) -> Result<(), Paused> {
        let Some(round) = self.tools.record.get().running else { return Ok(()) };
        let info = self.tools.reader.segments().into_iter().find(|segment| segment.first == first);
        // The signed size now is what the tree is complete to; a finished segment lies below it as a whole, soon.
        let signed = self.tools.marks.get().signed;
        let Some(info) = info else { return Ok(()) };
        if !info.is_active && signed < info.end {
            self.stop.wait(LOOK);
            return if self.stop.is_set() { Err(Paused::Stopped) } else { Ok(()) };
        }
        self.tools.tree.forget_cache().map_err(|error| Paused::Tree(Box::new(error)))?;
        let tools = &self.tools;
        let mut leaves = Leaves::new(&tools.tree, if info.is_active { signed } else { info.end });
        let mut is_the_leaf = |seq: Seq, frame_type: FrameType, payload: &[u8]| leaves.check(seq, frame_type, payload);
        let (stop, pace, rate) = (self.stop, &mut self.pace, tools.bytes_per_s);
        let mut keep_pace = |bytes: u64, seq: Seq| {
            tools.record.change(|now| {
                if let Some(round) = &mut now.running {
                    round.bytes += bytes;
                    if seq.0 / PROGRESS_EVENTS > round.events.0 / PROGRESS_EVENTS {
                        info!("scrubbed {seq} of {} events", round.of_events);
                    }
                    round.events = round.events.max(seq);
                }
            });
            pace.take(bytes, rate, stop)
        };
        let scrubbed = tools.reader.scrub(first, round.of_events, &mut is_the_leaf, &mut keep_pace);
        let behind = info.end.min(round.of_events.max(round.events));
        let is_as_before =
            self.tools.reader.segments().iter().any(|now| now.first == first && now.is_active == info.is_active);
        match scrubbed {
            // It grew beyond what was to be read while it was read: again, now that it is finished.
            Ok(Some(_)) | Err(_) if !is_as_before => self.go_back(first),
            Ok(Some(scrubbed)) => {
                self.tree(first, scrubbed.end, [(first, scrubbed.root_at_start), (scrubbed.end, scrubbed.root)])?;
                self.reached(scrubbed.end.max(behind));
            }
            Ok(None) => self.reached(behind),
            Err(ScrubError::Stopped { .. }) => {
                // The next start reads this segment from its beginning.
                self.go_back(first);
                return Err(Paused::Stopped);
            }
            Err(ScrubError::Damaged(corrupt)) => {
                self.found(Found {
                    segment: Some(corrupt.segment),
                    offset: Some(corrupt.offset),
                    seq: Some(corrupt.seq),
                    why: corrupt.why,
                });
                self.reached(behind);
            }
            Err(ScrubError::Io { path, segment, offset, seq, source }) => {
                let why = format!("{} cannot be read: {source}", path.display());
                self.found(Found { segment: Some(segment), offset: Some(offset), seq: Some(seq), why });
                self.reached(behind);
            }
            Err(ScrubError::Tree { source, .. }) => match source.downcast::<TileError>() {
                Ok(error) => {
                    self.found(of_tree(Some(first), error.to_string()));
                    self.reached(behind);
                }
                Err(source) => {
                    self.go_back(first);
                    return Err(Paused::Tree(source));
                }
            },
        }
        Ok(())
    }

    /// Each level above the leaves of `first..end` against the one below it, and the roots that they lead to.
    fn tree(&mut self, first: Seq, end: Seq, roots: [(Seq, [u8; 32]); 2]) -> Result<(), Paused> {
        let (mut from, mut to, mut level) = (first.0, end.0, 0);
        while to / TILE_HASHES > 0 {
            level += 1;
            (from, to) = (from / TILE_HASHES, to / TILE_HASHES);
            for index in from..to {
                match self.tools.tree.is_root_of_tile(level, index) {
                    Ok(true) => {}
                    Ok(false) => {
                        let why = format!("tree/L{level}, hash {index} is not the root of the tile below it");
                        self.found(of_tree(None, why));
                    }
                    Err(error) => self.found(of_tree(None, error.to_string())),
                }
                if self.stop.is_set() {
                    self.go_back(first);
                    return Err(Paused::Stopped);
                }
            }
        }
        for (size, root) in roots {
            match self.tools.tree.root(size.0) {
                Ok(computed) if computed == root => {}
                Ok(_) => self.found(of_tree(Some(size), format!("the tree has another root at {size} than the log"))),
                Err(error) => self.found(of_tree(Some(size), error.to_string())),
            }
        }
        Ok(())
    }

    /// What was signed: HEAD, and the checkpoints that are kept.
    fn notes_and_head(&mut self) -> Result<(), Paused> {
        for slot in self.slots()? {
            match slot {
                Slot::Held(head) if head.size > Seq::ZERO => {
                    if self.tools.tree.root(head.size.0).ok() != Some(head.root) {
                        let why = format!("HEAD has another root at {} than the tree", head.size);
                        self.found(of_tree(Some(head.size), why));
                    }
                }
                Slot::Held(_) | Slot::Empty => {}
                Slot::Damaged { why } => self.found(of_tree(None, format!("a slot of HEAD is damaged: {why}"))),
            }
        }
        let dir = self.tools.dir.join(NOTES);
        let names = match self.tools.disk.list(&dir) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                self.found(of_tree(None, format!("{NOTES}/ cannot be listed: {error}")));
                Vec::new()
            }
        };
        let signed = self.tools.marks.get().signed;
        for file in names.iter().filter(|name| name.ends_with(".note")) {
            let name = format!("{NOTES}/{file}");
            let text = match read_small(&*self.tools.disk, &dir.join(file), NOTE_BYTES_MAX as u64) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) => {
                    self.found(of_tree(None, format!("{name} cannot be read: {error}")));
                    continue;
                }
            };
            // Who signed it is looked at by `annals verify`: a note of a key that was replaced has not rotted.
            let finding = match HeldNote::read(&name, &text, None) {
                Ok(note) => {
                    let root = self.tools.tree.root(note.checkpoint.size).ok();
                    let origin = self.tools.key.as_ref().map(|key| key.name());
                    note.against(signed.0, root, origin)
                }
                Err(finding) => Some(finding),
            };
            if let Some(finding) = finding {
                self.found(of_tree(None, finding.to_string()));
            }
        }
        Ok(())
    }

    /// A damaged slot only if it stays so: the publisher may be writing it.
    fn slots(&self) -> Result<[Slot; 2], Paused> {
        let mut looks = 0;
        loop {
            looks += 1;
            let bytes = read_small(&*self.tools.disk, &self.tools.dir.join("HEAD"), HEAD_BYTES_MAX);
            let slots = inspect_slots(&bytes.unwrap_or_default());
            if looks == LOOKS || !slots.iter().any(|slot| matches!(slot, Slot::Damaged { .. })) {
                return Ok(slots);
            }
            self.stop.wait(PAUSE);
            if self.stop.is_set() {
                return Err(Paused::Stopped);
            }
        }
    }

    fn spans(&mut self) -> Result<(), Paused> {
        let indexer = self.tools.indexer.clone();
        for span in indexer.spans_now().iter() {
            let (stop, pace, rate) = (self.stop, &mut self.pace, self.tools.bytes_per_s);
            let record = &self.tools.record;
            let checked = indexer.check_span(span, &mut |bytes| {
                record.change(|now| now.running.iter_mut().for_each(|round| round.bytes += bytes));
                pace.take(bytes, rate, stop)
            });
            let run = format!("the span of events {} to {}", span.summary.first, span.summary.last);
            match checked {
                Ok(None) => {}
                Ok(Some(why)) => {
                    self.tools.record.change(|now| now.spans_rebuilt += 1);
                    warn!("{run} is being built again: {why}");
                }
                Err(error) => {
                    self.found(of_tree(
                        Some(span.summary.first),
                        format!("{run} is damaged and cannot be rebuilt: {error}"),
                    ));
                }
            }
            if self.stop.is_set() {
                return Err(Paused::Stopped);
            }
        }
        Ok(())
    }

    fn found(&self, found: Found) {
        let number = |n: Option<u64>| n.map_or_else(|| "none".to_owned(), |n| n.to_string());
        error!(
            segment = number(found.segment.map(|seq| seq.0)),
            offset = number(found.offset),
            seq = number(found.seq.map(|seq| seq.0)),
            "SCRUBBING FOUND DAMAGE: {found}"
        );
        self.tools.record.change(|now| now.running.iter_mut().for_each(|round| round.add(found.clone())));
        self.save();
    }

    fn reached(&self, seq: Seq) {
        let to = |round: &mut Round| round.events = round.events.max(seq);
        self.tools.record.change(|now| now.running.iter_mut().for_each(to));
    }

    fn go_back(&self, first: Seq) {
        self.tools.record.change(|now| now.running.iter_mut().for_each(|round| round.events = first));
        self.save();
    }

    fn save(&self) {
        if let Err(error) = self.tools.record.save(&*self.tools.disk, &self.tools.dir) {
            // A full disk, say. It costs reading some of it again.
            warn!("how far scrubbing is could not be kept: {error}");
        }
    }
}

fn of_tree(seq: Option<Seq>, why: String) -> Found {
    Found { segment: None, offset: None, seq, why }
}

/// Keeps to a rate: what was read since the last pause may be as much as the time allows.
struct Pace {
    began: Instant,
    bytes: u64,
}

impl Pace {
    fn new() -> Pace {
        Pace { began: Instant::now(), bytes: 0 }
    }

    /// Waits as long as these bytes should have taken; answers whether to go on.
    fn take(&mut self, bytes: u64, bytes_per_s: u64, stop: &Stop) -> bool {
        self.bytes += bytes;
        let due = Duration::from_secs_f64(self.bytes as f64 / bytes_per_s.max(1) as f64);
        let ahead = due.saturating_sub(self.began.elapsed());
        if ahead > Duration::ZERO {
            stop.wait(ahead);
        } else if due + Duration::from_secs(1) < self.began.elapsed() {
            // What was not read while there was nothing to do is not made up for.
            *self = Pace::new();
        }
        !stop.is_set()
    }
}
