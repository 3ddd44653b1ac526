//! Keeps the index up with the log: one thread feeds the hot index, two build spans, one merges them, and every step
//! publishes a new `View`.
//!
//! Events go to the hot index and are searchable a tenth of a second later. When the hot index has a span's worth it
//! is frozen, a new one begins, and the frozen one is merged into a span. When the log is a whole span ahead (a bulk
//! load, a lost index) the hot index is skipped and waits, and spans are built straight from the log. What was in the log at
//! start and is in no span yet is answered by scanning. Eight neighbouring spans of a size become one, in the
//! background and behind everything else.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ::tantivy::DocId;
use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use tracing::{error, info, warn};

use crate::durable::Disk;
use crate::index::source::Source;
use crate::index::tantivy::erased::{ErasedDocs, Pending};
use crate::index::tantivy::hot::{FrozenHot, Hot};
use crate::index::tantivy::ids as id_hashes;
use crate::index::tantivy::piece::Piece;
use crate::index::tantivy::span::{self, Place, Span, SpanError, SpanLimits};
use crate::index::tantivy::view::View;
use crate::index::{EngineError, Within};
use crate::seq::Seq;
use crate::store::ids::Ids;
use crate::store::watermarks::Watermarks;
use crate::store::worker::step_back;

/// The hot index is committed at most this often while it is behind.
const TICK: Duration = Duration::from_millis(100);
/// While it keeps up it is committed at most this often, unless somebody is held up by it. A commit is a Tantivy segment, even of
/// one event: for events that come one by one, a thousand a second, commits cost more than a processor.
const COMMITS_APART: Duration = Duration::from_millis(50);
/// After a failure (a full disk, most likely) building a span is tried again this much later.
const RETRY: Duration = Duration::from_secs(2);
/// After a failure merging is tried again this much later: it may read and write gigabytes, and nobody waits for it.
const MERGE_RETRY: Duration = Duration::from_secs(60);
/// Spans waiting to be built, at most; then the indexer waits too, so that memory stays bounded.
const SPANS_WAITING_MAX: usize = 2;
/// Threads that build spans: one would leave half of a two-core machine idle during a bulk load.
const BUILDERS: usize = 2;
/// So many spans wait to be merged, at most; then indexing waits for the merger. A bulk load outruns it for a while.
const SPANS_MAX: usize = 512;
/// Events added to the hot index between two looks at the clock.
const EVENTS_PER_LOOK: u64 = 256;

/// The index of a running store.
pub struct Indexer {
    shared: Arc<Shared>,
    /// Guards the threads until `stop` takes them.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What an index is started with.
pub struct Setup {
    /// Publishes spans.
    pub disk: Arc<dyn Disk>,
    /// Where they live.
    pub index_dir: PathBuf,
    /// Where they are cut.
    pub limits: SpanLimits,
    /// Bytes that must stay free on a disk of so many: appends are refused below it, so no merge may go there.
    pub free_floor: Box<dyn Fn(u64) -> u64 + Send + Sync>,
    /// Remove no span that may be right once the log is repaired.
    pub is_read_only: bool,
    /// The log.
    pub source: Source,
    /// Raised as events become searchable.
    pub marks: Arc<Watermarks>,
    /// The spans, for whoever looks up ids.
    pub spans: Arc<ArcSwap<Vec<Arc<Span>>>>,
    /// Told when spans have taken over.
    pub ids: Arc<Ids>,
    /// What was asked to be erased and is not known to be out of the index. Its keys are destroyed.
    pub pending: Vec<Pending>,
}

struct Shared {
    disk: Arc<dyn Disk>,
    index_dir: PathBuf,
    limits: SpanLimits,
    free_floor: Box<dyn Fn(u64) -> u64 + Send + Sync>,
    source: Source,
    marks: Arc<Watermarks>,
    ids: Arc<Ids>,
    view: ArcSwap<View>,
    spans: Arc<ArcSwap<Vec<Arc<Span>>>>,
    /// What the log held at start, or the end of the last span that was set aside; below this a missing span is answered by
    /// scanning. Raised under the lock of `parts`.
    scanned_below: AtomicU64,
    /// Guards nothing; held while a span is set aside.
    setting_aside: Mutex<()>,
    /// Guards what the two threads hand each other; held for moments, never while indexing.
    parts: Mutex<Parts>,
    work: Condvar,
    is_stopping: Arc<AtomicBool>,
    /// The indexer has ended, having frozen what it had: nothing is added to `waiting` any more.
    is_fed: AtomicBool,
    /// Events indexed into spans since the start, for `/metrics` and `reindex`.
    indexed: AtomicU64,
    /// Guards what is erased and may still be indexed; held while pieces are looked up, below the lock of `parts`.
    erased: Mutex<Erased>,
}

/// What is erased and may still be indexed.
#[derive(Default)]
struct Erased {
    /// Sorted by where it was asked for.
    pending: Vec<Pending>,
    /// What was asked for below this can be opened by nobody who begins now.
    through: Seq,
    /// Asked for, and its keys may still be there.
    undestroyed: Vec<Seq>,
    /// What was asked for below this is to leave the index now.
    purging_below: Seq,
    /// What became of each piece that was looked at, by its id.
    adjusted: HashMap<u64, Adjusted>,
    /// Whether something is to leave each piece now, by its id.
    is_due: HashMap<u64, bool>,
    /// Purges that failed since the start.
    failed: usize,
    /// Directories of spans that were written again and could not be removed.
    left_behind: Vec<Arc<Span>>,
}

/// A piece without what is erased.
#[derive(Clone)]
struct Adjusted {
    piece: Arc<Piece>,
    /// What was asked for below this is not in it.
    through: Seq,
}

impl Erased {
    fn of(mut pending: Vec<Pending>) -> Erased {
        pending.sort_by_key(|pending| pending.requested);
        let mut erased = Erased { pending, ..Erased::default() };
        erased.raise_through();
        erased
    }

    /// Nobody can open any more what was asked for below the first whose keys may be there.
    fn raise_through(&mut self) {
        let end = self.pending.last().map_or(Seq::ZERO, |last| last.requested.plus(1));
        let end = self.undestroyed.iter().min().map_or(end, |first| end.min(*first));
        self.through = self.through.max(end);
    }

    /// What a piece knows nothing of that was built when all below `through` had been destroyed.
    fn unknown_to(&self, through: Seq) -> &[Pending] {
        &self.pending[self.pending.partition_point(|pending| pending.requested < through)..]
    }

    /// A piece without what is erased.
    fn adjust(&self, piece: &Arc<Piece>, through: Seq, kept: &mut HashMap<u64, Adjusted>) -> Arc<Piece> {
        let Some(last) = self.unknown_to(through).last() else { return piece.clone() };
        // Only what is new is looked up: of a day there may be thousands.
        let known = self.adjusted.get(&piece.id).cloned();
        let known = known.unwrap_or(Adjusted { piece: piece.clone(), through });
        let unknown = self.unknown_to(known.through);
        let adjusted = match ErasedDocs::find(&piece.reader, unknown.iter()) {
            Ok(None) => known.piece,
            Ok(Some(docs)) => {
                let docs = match &known.piece.erased {
                    Some(before) => before.and(&docs),
                    None => docs,
                };
                Arc::new(piece.without(Arc::new(docs)))
            }
            Err(error) => {
                error!(
                    "what is erased in a part of the index cannot be looked up, so nothing sealed is found there: {error}"
                );
                Arc::new(piece.without(Arc::new(ErasedDocs::everything(&piece.reader))))
            }
        };
        kept.insert(piece.id, Adjusted { piece: adjusted.clone(), through: last.requested.plus(1) });
        adjusted
    }

    /// The documents of a span that are to be written again.
    fn due_in(&mut self, span: &Span) -> ::tantivy::Result<Option<Vec<DocId>>> {
        if !self.is_due_in(span)? {
            return Ok(None);
        }
        // Whatever else is erased goes as well: afterwards the span says that it has none of it.
        let unknown = self.unknown_to(span.summary.erased_through);
        Ok(ErasedDocs::find(&span.piece.reader, unknown.iter())?.map(|docs| docs.all()))
    }

    /// Whether a span is to be written again; looked up once in each round.
    fn is_due_in(&mut self, span: &Span) -> ::tantivy::Result<bool> {
        if let Some(is_due) = self.is_due.get(&span.piece.id) {
            return Ok(*is_due);
        }
        let unknown = self.unknown_to(span.summary.erased_through);
        let due = unknown.iter().filter(|pending| pending.requested < self.purging_below);
        let is_due = ErasedDocs::find(&span.piece.reader, due)?.is_some();
        self.is_due.insert(span.piece.id, is_due);
        Ok(is_due)
    }
}

/// The parts of the index that are not spans.
struct Parts {
    /// Each until its span is built.
    frozen: Vec<Arc<FrozenHot>>,
    hot: Vec<Arc<Piece>>,
    /// What had been erased when the index of these pieces was begun: after a failure they may be those of the one before.
    hot_pieces_through: Seq,
    hot_run: Within,
    waiting: VecDeque<Job>,
    /// Spans being built, each by what had been erased when it was begun.
    building: Vec<Seq>,
    /// What had been erased when the hot index was begun.
    hot_erased_through: Seq,
    fault: Option<String>,
    /// The last merge failed: nothing waits for the merger, and no answer is worse for it.
    is_merging_in_vain: bool,
    /// Ids from here on are not forgotten, whatever spans there are: one of these is being set aside.
    keeps_ids_from: Option<Seq>,
}

impl Parts {
    /// A span that was being built is, or is not any more.
    fn built(&mut self, through: Seq) {
        let at = self.building.iter().position(|known| *known == through);
        self.building.swap_remove(at.expect("each build that ends was begun"));
    }
}

/// A span to be built.
#[derive(Clone)]
enum Job {
    /// From the log.
    Log(Within),
    /// Out of a frozen hot index.
    Hot(Arc<FrozenHot>),
}

impl Indexer {
    /// Opens the spans on disk and starts the threads. Answers queries at once.
    pub fn start(setup: Setup) -> Result<Indexer, SpanError> {
        let Setup { disk, index_dir, limits, free_floor, is_read_only, source, marks, spans, ids, pending } = setup;
        let erased = Erased::of(pending);
        let erased_through = erased.through;
        let end = source.reader().durable();
        disk.create_dir(&index_dir).map_err(|source| SpanError::Io { path: index_dir.clone(), source })?;
        span::remove_unfinished(&index_dir)?;
        let open =
            span::open_all(&index_dir, end, is_read_only, &mut |error| warn!("a span has to be built again: {error}"))?;
        spans.store(Arc::new(open.into_iter().map(Arc::new).collect()));

        let gaps = span::gaps(&spans.load(), end);
        let next = hot_start(&source, limits, &gaps, end)?;
        let mut waiting = Vec::new();
        for gap in &gaps {
            let mut from = gap.from;
            while from < gap.to.min(next) {
                let (to, _) = span::cut(&source, limits, from, gap.to.min(next))?;
                waiting.push(Within { from, to });
                from = to;
            }
        }
        let missing: u64 = waiting.iter().map(|run| run.to.0 - run.from.0).sum();
        if missing > 0 {
            info!(missing, "building the spans of {missing} events from the log");
        }
        let waiting = waiting.into_iter().map(Job::Log).collect();
        let view = View::new(source.clone(), Vec::new(), Vec::new(), Seq::ZERO);
        let shared = Arc::new(Shared {
            disk,
            index_dir,
            limits,
            free_floor,
            source,
            marks,
            ids,
            view: ArcSwap::from_pointee(view),
            spans,
            scanned_below: AtomicU64::new(end.0),
            setting_aside: Mutex::default(),
            parts: Mutex::new(Parts {
                frozen: Vec::new(),
                hot: Vec::new(),
                hot_pieces_through: erased_through,
                hot_run: Within { from: next, to: next },
                waiting,
                building: Vec::new(),
                hot_erased_through: erased_through,
                fault: None,
                is_merging_in_vain: false,
                keeps_ids_from: None,
            }),
            work: Condvar::new(),
            is_stopping: Arc::default(),
            is_fed: AtomicBool::new(false),
            indexed: AtomicU64::new(0),
            erased: Mutex::new(erased),
        });
        shared.publish();

        let hot = Hot::new(next, erased_through)?;
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            thread::Builder::new()
                .name(name.into())
                .spawn(run)
                .map_err(|source| SpanError::Io { path: PathBuf::from(format!("thread {name}")), source })
        };
        let feeder = shared.clone();
        // The indexer first: `stop` waits for the threads in this order.
        let mut threads = vec![spawn("indexer", Box::new(move || feeder.feed_hot(hot)))?];
        for _ in 0..BUILDERS {
            let builder = shared.clone();
            threads.push(spawn("span-builder", Box::new(move || builder.build_spans()))?);
        }
        let merger = shared.clone();
        threads.push(spawn("span-merger", Box::new(move || merger.merge_spans()))?);
        Ok(Indexer { shared, threads: Mutex::new(threads) })
    }

    /// Everything searchable now.
    pub fn view(&self) -> Arc<View> {
        self.shared.view.load_full()
    }

    /// Events indexed into spans since the start.
    pub fn indexed(&self) -> u64 {
        self.shared.indexed.load(Ordering::Relaxed)
    }

    /// How many spans are waiting to be built or being built.
    pub fn unbuilt(&self) -> usize {
        let parts = self.shared.parts.lock();
        parts.waiting.len() + parts.building.len()
    }

    /// How many spans are being merged, or will be next.
    pub fn unmerged(&self) -> usize {
        self.shared.next_merge(&self.shared.spans.load()).map_or(0, |group| group.len())
    }

    /// Why indexing does not go on, if it does not.
    pub fn fault(&self) -> Option<String> {
        self.shared.parts.lock().fault.clone()
    }

    /// Whether every event below `end` is in a span.
    pub fn is_spanned(&self, end: Seq) -> bool {
        spanned_end(&self.shared.spans.load()) >= end
    }

    /// What the log held at start and no span holds yet.
    pub fn gaps_at_start(&self) -> Vec<Within> {
        span::gaps(&self.shared.spans.load(), self.shared.scanned_below())
    }

    /// The spans there are now.
    pub fn spans_now(&self) -> Arc<Vec<Arc<Span>>> {
        self.shared.spans.load_full()
    }

    /// Reads a span's files again, from the disk. A damaged one is taken out of service and its events are indexed again from the log; until
    /// that is done they are scanned. Answers what was wrong with it. `pace` as in [`span::damage`].
    ///
    /// # Errors
    /// When the events of a damaged one cannot be read from the log: then it stays.
    pub fn check_span(
        &self,
        span: &Arc<Span>,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<String>, EngineError> {
        self.shared.check_span(span, true, pace)
    }

    /// Nothing is found from now on by what was asked to be erased there. With `is_destroyed` its keys are gone; else
    /// [`Indexer::destroyed`] says when they are.
    pub fn erase(&self, pending: Vec<Pending>, is_destroyed: bool) {
        let mut erased = self.shared.erased.lock();
        if !is_destroyed {
            erased.undestroyed.extend(pending.iter().map(|pending| pending.requested));
        }
        erased.pending.extend(pending);
        erased.pending.sort_by_key(|pending| pending.requested);
        erased.raise_through();
        drop(erased);
        self.shared.publish();
    }

    /// The keys of all that was asked for below `below` are gone.
    pub fn destroyed(&self, below: Seq) {
        let mut erased = self.shared.erased.lock();
        erased.undestroyed.retain(|requested| *requested >= below);
        erased.raise_through();
    }

    /// What was asked to be erased below `below` leaves the index, files and all; [`Indexer::is_purged`] says when.
    pub fn purge(&self, below: Seq) {
        let mut erased = self.shared.erased.lock();
        erased.purging_below = below;
        erased.is_due.clear();
        drop(erased);
        self.shared.work.notify_all();
    }

    /// Whether nothing of what was asked to be erased below `below` is in the index any more.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn is_purged(&self, below: Seq) -> Result<bool, EngineError> {
        self.shared.is_purged(below)
    }

    /// What was asked to be erased below `below` is purged: nobody has to look for it any more.
    pub fn forget_purged(&self, below: Seq) {
        let mut erased = self.shared.erased.lock();
        erased.pending.retain(|pending| pending.requested >= below);
        erased.adjusted.clear();
        erased.is_due.clear();
        drop(erased);
        self.shared.publish();
    }

    /// Indexes what is durable, writes the last span and ends the threads.
    pub fn stop(&self) {
        self.shared.is_stopping.store(true, Ordering::Release);
        self.shared.work.notify_all();
        // The indexer first, however it ends; the builder then has only to finish what is waiting.
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                error!("an index thread had panicked; the index is rebuilt from the log where needed");
            }
            self.shared.is_fed.store(true, Ordering::Release);
            self.shared.work.notify_all();
        }
    }
}

/// Where the hot index begins: after the last span, unless so much follows that spans are built for it first.
fn hot_start(source: &Source, limits: SpanLimits, gaps: &[Within], end: Seq) -> Result<Seq, EngineError> {
    let Some(tail) = gaps.last().filter(|gap| gap.to == end) else {
        return Ok(end);
    };
    let mut from = tail.from;
    loop {
        let (to, is_full) = span::cut(source, limits, from, end)?;
        if !is_full {
            return Ok(from);
        }
        from = to;
    }
}

/// Everything below this is in a span.
fn spanned_end(spans: &[Arc<Span>]) -> Seq {
    let mut end = Seq::ZERO;
    for span in spans {
        if span.summary.first != end {
            break;
        }
        end = span.summary.last.plus(1);
    }
    end
}

impl Shared {
    fn scanned_below(&self) -> Seq {
        Seq(self.scanned_below.load(Ordering::Acquire))
    }

    fn set_aside(&self, damaged: &Arc<Span>) -> Result<bool, EngineError> {
        let run = damaged.summary.run();
        let _one_at_a_time = self.setting_aside.lock();
        if !self.spans.load().iter().any(|span| Arc::ptr_eq(span, damaged)) {
            return Ok(false);
        }
        // Its ids come first, and from the log, since its id file may be what is damaged: there must be no moment in which
        // a copy of one of its events is taken for a new one.
        self.parts.lock().keeps_ids_from = Some(run.from);
        let read = self.source.rows(run, |row| {
            self.ids.insert(id_hashes::hash(&row.head.tenant, &row.head.id), row.seq);
            Ok(())
        });
        let jobs = read.and_then(|()| self.cut_again(run));
        let mut parts = self.parts.lock();
        parts.keeps_ids_from = None;
        let jobs = jobs?;
        let mut spans = Vec::clone(&self.spans.load());
        let before = spans.len();
        spans.retain(|span| !Arc::ptr_eq(span, damaged));
        if spans.len() == before {
            return Ok(false);
        }
        self.spans.store(Arc::new(spans));
        self.scanned_below.fetch_max(run.to.0, Ordering::AcqRel);
        parts.waiting.extend(jobs);
        drop(parts);
        self.work.notify_all();
        self.publish();
        // Whoever still reads it has it mapped. If it cannot be removed, the next start finds its damage or does without it.
        if let Err(error) = span::remove(damaged) {
            warn!("a damaged span is in the way until the next start: {error}");
            self.erased.lock().left_behind.push(damaged.clone());
        }
        Ok(true)
    }

    /// The spans to be built of a run, as they are cut.
    fn cut_again(&self, run: Within) -> Result<Vec<Job>, EngineError> {
        let (mut jobs, mut from) = (Vec::new(), run.from);
        while from < run.to {
            let (to, _) = span::cut(&self.source, self.limits, from, run.to)?;
            jobs.push(Job::Log(Within { from, to }));
            from = to;
        }
        Ok(jobs)
    }

    fn check_span(
        &self,
        span: &Arc<Span>,
        is_past_cache: bool,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<String>, EngineError> {
        let why = match span::damage(&*self.disk, span, is_past_cache, pace) {
            Ok(None) => return Ok(None),
            Ok(Some(why)) => why,
            Err(error) => error.to_string(),
        };
        // One that was merged meanwhile is gone for good reason.
        if !self.set_aside(span)? {
            return Ok(None);
        }
        error!(
            "the span of events {} to {} was damaged and is built again: {why}",
            span.summary.first, span.summary.last
        );
        Ok(Some(why))
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// The indexer thread.
    fn feed_hot(&self, mut hot: Hot) {
        loop {
            let why = match catch_unwind(AssertUnwindSafe(|| self.try_feed_hot(&mut hot))) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it panicked".to_owned(),
            };
            self.report("indexing", &why);
            if self.is_stopping() {
                return;
            }
            thread::sleep(RETRY);
            // What is in a broken index is unknown: begin its run again, from the log.
            match self.new_hot(hot.run().0) {
                Ok(fresh) => {
                    self.parts.lock().hot_erased_through = fresh.erased_through();
                    hot = fresh;
                }
                Err(error) => self.report("starting an index in memory", &error.to_string()),
            }
        }
    }

    fn try_feed_hot(&self, hot: &mut Hot) -> Result<(), EngineError> {
        let mut last_commit = Instant::now();
        loop {
            // Looked at before `durable`: the writer has ended by then, so that nothing can follow what is read there.
            let is_stopping = self.is_stopping();
            let durable = self.source.reader().durable();
            if hot.erased_through() < self.erased.lock().purging_below {
                self.freeze(hot)?;
                if hot.is_empty() {
                    *hot = self.new_hot(hot.run().0)?;
                    self.parts.lock().hot_erased_through = hot.erased_through();
                }
            }
            let next = hot.run().1;
            if is_stopping && durable.0 - next.0 >= self.limits.events_max {
                // Too much to wait for: the next start goes on from here.
                return self.freeze(hot);
            }
            if durable.0 - next.0 >= self.limits.events_max && !is_stopping {
                // Whatever the hot index holds is made a span as it is: going on with it would index all this twice.
                self.freeze(hot)?;
                self.skip_a_span(hot, next, durable)?;
                continue;
            }
            if self.marks.get().searchable < hot.run().0 && next < durable && !is_stopping {
                // Behind a span that is being built nothing is found any sooner for being here, and if more comes a span is made of it
                // as well.
                let mut parts = self.parts.lock();
                self.work.wait_for(&mut parts, TICK);
                continue;
            }
            let is_early = next == durable && last_commit.elapsed() < COMMITS_APART;
            if is_early && !is_stopping && !self.marks.is_hurried() {
                self.marks.wait_unless_hurried(last_commit + COMMITS_APART);
                continue;
            }
            if next == durable || last_commit.elapsed() >= TICK {
                if self.commit(hot)? {
                    last_commit = Instant::now();
                }
                if next == durable {
                    if is_stopping {
                        return self.freeze(hot);
                    }
                    self.wait_for_events(next);
                    continue;
                }
            }
            let to = durable.min(next.plus(EVENTS_PER_LOOK));
            for entry in self.source.to_index(Within { from: next, to }) {
                hot.add(&entry?)?;
                if hot.len() >= self.limits.events_max || hot.body_bytes() >= self.limits.body_bytes_max {
                    self.commit(hot)?;
                    self.freeze(hot)?;
                    break;
                }
            }
        }
    }

    /// The log is a whole span ahead: have it built from the log, and go on behind it.
    fn skip_a_span(&self, hot: &mut Hot, next: Seq, durable: Seq) -> Result<(), EngineError> {
        let (to, _) = span::cut(&self.source, self.limits, next, durable)?;
        // Whatever can fail comes first: a run that is queued and read again would be built twice.
        let behind = self.new_hot(to)?;
        let mut parts = self.parts.lock();
        while !self.is_stopping() && (parts.waiting.len() >= SPANS_WAITING_MAX || self.is_merger_behind(&parts)) {
            self.work.wait_for(&mut parts, TICK);
        }
        parts.waiting.push_back(Job::Log(Within { from: next, to }));
        parts.hot = Vec::new();
        parts.hot_run = Within { from: to, to };
        parts.hot_erased_through = behind.erased_through();
        drop(parts);
        self.work.notify_all();
        *hot = behind;
        Ok(())
    }

    /// Whether spans pile up that the merger is about to make fewer.
    fn is_merger_behind(&self, parts: &Parts) -> bool {
        let spans = self.spans.load();
        spans.len() >= SPANS_MAX && !parts.is_merging_in_vain && self.next_merge(&spans).is_some()
    }

    fn next_merge(&self, spans: &[Arc<Span>]) -> Option<Range<usize>> {
        self.limits.next_merge(spans.iter().map(|span| &span.summary))
    }

    fn commit(&self, hot: &mut Hot) -> Result<bool, EngineError> {
        let (from, to) = hot.run();
        // Nothing new; or, after a failure, the run has not been read again as far as it is searchable already.
        let published = self.parts.lock().hot_run;
        if published.from == from && to <= published.to {
            return Ok(false);
        }
        hot.commit()?;
        let mut parts = self.parts.lock();
        parts.hot = hot.pieces();
        parts.hot_pieces_through = hot.erased_through();
        parts.hot_run = Within { from, to };
        drop(parts);
        self.publish();
        Ok(true)
    }

    /// Hands the hot index over to be replaced by a span, and begins a new one.
    fn freeze(&self, hot: &mut Hot) -> Result<(), EngineError> {
        if hot.is_empty() {
            return Ok(());
        }
        let to = hot.run().1;
        self.commit(hot)?;
        // Whatever can fail comes first: events taken out of the one and not handed over would be in no index.
        let next = self.new_hot(to)?;
        let frozen = Arc::new(hot.freeze()?);
        *hot = next;
        let mut parts = self.parts.lock();
        parts.frozen.push(frozen.clone());
        parts.hot = Vec::new();
        parts.hot_run = Within { from: to, to };
        parts.hot_erased_through = hot.erased_through();
        // Before all others: it is quick, and the memory that it holds is given back. Behind a rebuild of many spans such
        // indexes would pile up.
        parts.waiting.push_front(Job::Hot(frozen));
        drop(parts);
        self.work.notify_all();
        Ok(())
    }

    /// A hot index that begins there.
    fn new_hot(&self, first: Seq) -> Result<Hot, EngineError> {
        let through = self.erased.lock().through;
        Hot::new(first, through)
    }

    fn is_purged(&self, below: Seq) -> Result<bool, EngineError> {
        let parts = self.parts.lock();
        let mut erased = self.erased.lock();
        let spans = self.spans.load();
        // One that was built again since has its name.
        erased.left_behind.retain(|left| !spans.iter().any(|span| span.dir == left.dir));
        erased.left_behind.retain(|span| match span::remove(span) {
            Ok(()) => false,
            Err(error) => {
                warn!("a span with what was erased cannot be removed: {error}");
                true
            }
        });
        let is_in_memory = parts.hot_erased_through < below
            || (!parts.hot.is_empty() && parts.hot_pieces_through < below)
            || parts.frozen.iter().any(|frozen| frozen.erased_through < below)
            || parts.building.iter().any(|through| *through < below);
        if is_in_memory || !erased.left_behind.is_empty() {
            return Ok(false);
        }
        for span in spans.iter() {
            if erased.is_due_in(span)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn wait_for_events(&self, next: Seq) {
        // The timeout only means to look whether the store is stopping.
        self.marks.wait_durable_above(next, TICK);
    }

    fn place(&self) -> Place<'_> {
        Place { disk: &*self.disk, index_dir: &self.index_dir }
    }

    /// A span builder thread.
    fn build_spans(&self) {
        while let Some((job, through)) = self.next_job() {
            let mut count = |n| {
                self.indexed.fetch_add(n, Ordering::Relaxed);
            };
            let build = || match &job {
                Job::Log(run) => span::build(self.place(), &self.source, *run, through, &mut count),
                Job::Hot(hot) => {
                    let built = span::build_from_hot(self.place(), hot)?;
                    count(built.summary.events());
                    Ok(built)
                }
            };
            let built = catch_unwind(AssertUnwindSafe(build));
            let why = match built {
                Ok(Ok(span)) => {
                    self.take_span(span, through);
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it panicked".to_owned(),
            };
            self.parts.lock().built(through);
            self.report("building a span", &why);
            if self.is_stopping() {
                return;
            }
            // Behind the others, which it must not hold up; and from the log, lest the hot index be what is wrong.
            let run = match job {
                Job::Log(run) => run,
                Job::Hot(hot) => hot.run,
            };
            self.parts.lock().waiting.push_back(Job::Log(run));
            thread::sleep(RETRY);
        }
    }

    /// The next run to build; `None` when the store stops and nothing is left that must be written first.
    fn next_job(&self) -> Option<(Job, Seq)> {
        let mut parts = self.parts.lock();
        loop {
            if self.is_stopping() {
                // Only what is in memory is worth waiting for; the rest is built at the next start.
                parts.waiting.retain(|job| matches!(job, Job::Hot(_)));
            }
            if let Some(job) = parts.waiting.pop_front() {
                let through = match &job {
                    Job::Log(_) => self.erased.lock().through,
                    Job::Hot(hot) => hot.erased_through,
                };
                parts.building.push(through);
                self.work.notify_all();
                return Some((job, through));
            }
            if self.is_fed.load(Ordering::Acquire) {
                return None;
            }
            self.work.wait_for(&mut parts, TICK);
        }
    }

    fn take_span(&self, span: Span, through: Seq) {
        let run = span.summary.run();
        // Under the lock: the other builder may add its span at the same time.
        let mut parts = self.parts.lock();
        parts.built(through);
        let mut spans = Vec::clone(&self.spans.load());
        spans.push(Arc::new(span));
        spans.sort_by_key(|span| span.summary.first);
        let spanned = spanned_end(&spans);
        self.spans.store(Arc::new(spans));
        parts.frozen.retain(|frozen| frozen.run != run);
        parts.fault = None;
        // Under the lock, so that nobody is setting a span aside meanwhile.
        self.ids.forget_below(parts.keeps_ids_from.map_or(spanned, |from| from.min(spanned)));
        drop(parts);
        self.work.notify_all();
        self.publish();
    }

    /// The merger thread.
    fn merge_spans(&self) {
        step_back();
        while !self.is_stopping() {
            let spans = self.spans.load_full();
            if self.purge_one(&spans) {
                continue;
            }
            let Some(group) = self.next_merge(&spans) else {
                let mut parts = self.parts.lock();
                if !self.is_stopping() {
                    self.work.wait_for(&mut parts, TICK);
                }
                continue;
            };
            let group = &spans[group];
            // Merging would give rotten bytes a good checksum.
            let damaged = group.iter().map(|span| self.check_span(span, false, &mut |_| !self.is_stopping()));
            match damaged.reduce(|one, next| Ok(one?.or(next?))) {
                Some(Ok(Some(_))) => continue,
                Some(Err(error)) => {
                    error!("a damaged span cannot be set aside: {error}");
                    self.pause_merging();
                    continue;
                }
                Some(Ok(None)) | None => {}
            }
            if let Some(lacking) = self.lacks_room_for(group) {
                warn!("merging spans waits for {lacking} more bytes of free disk");
                self.pause_merging();
                continue;
            }
            let merge = || span::merge(self.place(), group, &self.is_stopping);
            let why = match catch_unwind(AssertUnwindSafe(merge)) {
                Ok(Ok(merged)) => {
                    self.take_merged(merged, group);
                    continue;
                }
                Ok(Err(_)) | Err(_) if self.is_stopping() => return,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it panicked".to_owned(),
            };
            // Not a fault: the spans that were there go on answering.
            warn!("merging spans failed and is tried again in {} s: {why}", MERGE_RETRY.as_secs());
            self.pause_merging();
        }
    }

    /// Writes the first span again that has to be. `false` if none has to be, or it failed and was waited for.
    fn purge_one(&self, spans: &[Arc<Span>]) -> bool {
        let (found, through) = {
            let mut erased = self.erased.lock();
            if erased.pending.is_empty() || erased.purging_below == Seq::ZERO {
                return false;
            }
            // Another one after a failure, so that one that cannot be written does not keep the others.
            let turned = spans.iter().cycle().skip(erased.failed % spans.len().max(1)).take(spans.len());
            let found = turned.into_iter().find_map(|span| match erased.due_in(span) {
                Ok(docs) => Some(Ok((span, docs?))),
                Err(error) => Some(Err(error)),
            });
            (found, erased.through)
        };
        let why = match found {
            None => return false,
            Some(Err(error)) => error.to_string(),
            Some(Ok((span, docs))) => {
                let old = std::slice::from_ref(span);
                // As before a merge: rotten bytes must not get a good checksum, and appends need their room.
                match self.check_span(span, false, &mut |_| !self.is_stopping()) {
                    Ok(None) => {}
                    Ok(Some(_)) => return true,
                    Err(error) => {
                        error!("a damaged span cannot be set aside: {error}");
                        self.pause_merging();
                        return true;
                    }
                }
                if let Some(lacking) = self.lacks_room_for(old) {
                    warn!("what was erased stays in the index's files until {lacking} more bytes of disk are free");
                    self.pause_merging();
                    return true;
                }
                let purge = || span::purge(self.place(), &self.source, span, &docs, through, &self.is_stopping);
                match catch_unwind(AssertUnwindSafe(purge)) {
                    Ok(Ok(purged)) => {
                        self.take_merged(purged, old);
                        return true;
                    }
                    Ok(Err(_)) | Err(_) if self.is_stopping() => return true,
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "it panicked".to_owned(),
                }
            }
        };
        error!("a span could not be written without what was erased, which is tried again: {why}");
        self.erased.lock().failed += 1;
        self.pause_merging();
        false
    }

    /// Bytes that are missing to hold the merged span beside the old ones without going below the floor of appends.
    fn lacks_room_for(&self, group: &[Arc<Span>]) -> Option<u64> {
        // Not knowing is no reason to wait: a full disk shows itself at the write.
        let space = self.disk.space(&self.index_dir).ok()?;
        let wanted: u64 = group.iter().map(|span| span::disk_bytes(span)).sum();
        wanted.saturating_add((self.free_floor)(space.total)).checked_sub(space.free).filter(|lacking| *lacking > 0)
    }

    fn pause_merging(&self) {
        let end = Instant::now() + MERGE_RETRY;
        let mut parts = self.parts.lock();
        parts.is_merging_in_vain = true;
        while !self.is_stopping() && Instant::now() < end {
            self.work.wait_for(&mut parts, TICK);
        }
    }

    fn take_merged(&self, merged: Span, old: &[Arc<Span>]) {
        let run = merged.summary.run();
        let mut parts = self.parts.lock();
        parts.is_merging_in_vain = false;
        let mut spans = Vec::clone(&self.spans.load());
        if !old.iter().all(|old| spans.iter().any(|span| Arc::ptr_eq(span, old))) {
            // One was found damaged and set aside: what was made of it is not to be trusted.
            drop(parts);
            if let Err(error) = span::remove(&merged) {
                warn!("a merged span is in the way until the next start: {error}");
            }
            return;
        }
        spans.retain(|span| !run.holds(span.summary.first));
        // Until they are removed what was erased may be in them.
        self.erased.lock().left_behind.extend(old.iter().cloned());
        spans.push(Arc::new(merged));
        spans.sort_by_key(|span| span.summary.first);
        self.spans.store(Arc::new(spans));
        drop(parts);
        self.work.notify_all();
        self.publish();
        // Whoever still reads them has them mapped.
        for span in old {
            match span::remove(span) {
                Ok(()) => self.erased.lock().left_behind.retain(|left| !Arc::ptr_eq(left, span)),
                Err(error) => warn!("a merged span is in the way until the next start: {error}"),
            }
        }
    }

    /// Puts spans, frozen and hot indexes and scanned gaps together, up to the first event that is in none.
    fn publish(&self) {
        let parts = self.parts.lock();
        let spans = self.spans.load();
        let scanned_below = self.scanned_below();
        let mut erased = self.erased.lock();
        let mut kept = HashMap::new();
        let of_span = |span: &Arc<Span>| vec![erased.adjust(&span.piece, span.summary.erased_through, &mut kept)];
        let mut covered: Vec<(Within, Vec<Arc<Piece>>)> = Vec::with_capacity(spans.len() + parts.frozen.len() + 1);
        covered.extend(spans.iter().map(|span| span.summary.run()).zip(spans.iter().map(of_span)));
        let mut of_memory = |pieces: &[Arc<Piece>], through| -> Vec<Arc<Piece>> {
            pieces.iter().map(|piece| erased.adjust(piece, through, &mut kept)).collect()
        };
        for frozen in &parts.frozen {
            covered.push((frozen.run, of_memory(&frozen.pieces, frozen.erased_through)));
        }
        covered.push((parts.hot_run, of_memory(&parts.hot, parts.hot_pieces_through)));
        // Those of pieces that are gone would hold their files.
        erased.adjusted = kept;
        covered.sort_by_key(|(run, _)| (run.from, run.to));

        let (mut pieces, mut gaps, mut searchable) = (Vec::new(), Vec::new(), Seq::ZERO);
        for (run, run_pieces) in covered {
            // A span replaces a frozen index over the same run; between the two steps both are here.
            if run.to <= searchable {
                continue;
            }
            if searchable < run.from {
                let gap = Within { from: searchable, to: run.from.min(scanned_below) };
                if gap.to < run.from {
                    break;
                }
                gaps.push(gap);
            }
            pieces.extend(run_pieces);
            searchable = run.to;
        }
        let tail = scanned_below;
        if searchable < tail {
            gaps.push(Within { from: searchable, to: tail });
            searchable = tail;
        }
        if searchable < self.view.load().searchable() {
            // After a failure a run is read again; what was searchable stays so, but for what was erased.
            let (view, mut kept) = (self.view.load(), HashMap::new());
            let pieces = view.pieces().iter().map(|piece| erased.adjust(piece, Seq::ZERO, &mut kept)).collect();
            self.view.store(Arc::new(view.with_pieces(pieces)));
            return;
        }
        self.view.store(Arc::new(View::new(self.source.clone(), pieces, gaps, searchable)));
        // Raised under the lock, so that a slower publisher cannot follow with an older view.
        self.marks.raise(|marks| marks.searchable = marks.searchable.max(searchable));
    }

    fn report(&self, what: &str, why: &str) {
        error!("{what} failed and is tried again: {why}");
        self.parts.lock().fault = Some(format!("{what}: {why}"));
    }
}
