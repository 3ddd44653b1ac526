//! Keeps the index up with the log: one thread feeds the hot index, two build spans, and every step publishes a
//! new `View`.
//!
//! Events go to the hot index and are searchable a tenth of a second later. When the hot index has a span's worth it
//! is frozen, a new one begins, and the span over the frozen run is built from the log; then the frozen index
//! is dropped. When the log is a whole span ahead (a bulk load, a lost index) the hot index is skipped and spans
//! are built straight away. What was in the log at start and is in no span yet is answered by scanning.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use tracing::{error, info, warn};

use crate::durable::Disk;
use crate::index::source::Source;
use crate::index::tantivy::hot::Hot;
use crate::index::tantivy::piece::Piece;
use crate::index::tantivy::span::{self, Span, SpanError, SpanLimits};
use crate::index::tantivy::view::View;
use crate::index::{EngineError, Within};
use crate::seq::Seq;
use crate::store::ids::Ids;
use crate::store::watermarks::Watermarks;

/// The hot index is committed at most this often.
const TICK: Duration = Duration::from_millis(100);
/// After a failure (a full disk, most likely) building a span is tried again this much later.
const RETRY: Duration = Duration::from_secs(2);
/// Spans waiting to be built, at most; then the indexer waits too, so that memory stays bounded.
const SPANS_WAITING_MAX: usize = 2;
/// Threads that build spans: one would leave half of a two-core machine idle during a bulk load.
const BUILDERS: usize = 2;
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
}

struct Shared {
    disk: Arc<dyn Disk>,
    index_dir: PathBuf,
    limits: SpanLimits,
    source: Source,
    marks: Arc<Watermarks>,
    ids: Arc<Ids>,
    view: ArcSwap<View>,
    spans: Arc<ArcSwap<Vec<Arc<Span>>>>,
    /// What the log held at start; below this a missing span is answered by scanning.
    end_at_start: Seq,
    /// Guards what the two threads hand each other; held for moments, never while indexing.
    parts: Mutex<Parts>,
    work: Condvar,
    is_stopping: AtomicBool,
    /// The indexer has ended, having frozen what it had: nothing is added to `waiting` any more.
    is_fed: AtomicBool,
    /// Events indexed into spans since the start, for `/metrics` and `reindex`.
    indexed: AtomicU64,
}

/// The parts of the index that are not spans.
struct Parts {
    frozen: Vec<Frozen>,
    hot: Vec<Arc<Piece>>,
    hot_run: Within,
    waiting: VecDeque<Within>,
    building: usize,
    fault: Option<String>,
}

/// A hot index that takes no more events, until its span is built.
struct Frozen {
    run: Within,
    pieces: Vec<Arc<Piece>>,
    /// Keeps the files in memory alive as long as the pieces.
    _index: Hot,
}

impl Indexer {
    /// Opens the spans on disk and starts the threads. Answers queries at once.
    pub fn start(setup: Setup) -> Result<Indexer, SpanError> {
        let Setup { disk, index_dir, limits, is_read_only, source, marks, spans, ids } = setup;
        let end = source.reader().durable();
        disk.create_dir(&index_dir).map_err(|source| SpanError::Io { path: index_dir.clone(), source })?;
        span::remove_unfinished(&index_dir)?;
        let open =
            span::open_all(&index_dir, end, is_read_only, &mut |error| warn!("a span has to be built again: {error}"))?;
        spans.store(Arc::new(open.into_iter().map(Arc::new).collect()));

        let gaps = span::gaps(&spans.load(), end);
        let next = hot_start(&source, limits, &gaps, end)?;
        let mut waiting = VecDeque::new();
        for gap in &gaps {
            let mut from = gap.from;
            while from < gap.to.min(next) {
                let (to, _) = span::cut(&source, limits, from, gap.to.min(next))?;
                waiting.push_back(Within { from, to });
                from = to;
            }
        }
        let missing: u64 = waiting.iter().map(|run| run.to.0 - run.from.0).sum();
        if missing > 0 {
            info!(missing, "building the spans of {missing} events from the log");
        }
        let view = View::new(source.clone(), Vec::new(), Vec::new(), Seq::ZERO);
        let shared = Arc::new(Shared {
            disk,
            index_dir,
            limits,
            source,
            marks,
            ids,
            view: ArcSwap::from_pointee(view),
            spans,
            end_at_start: end,
            parts: Mutex::new(Parts {
                frozen: Vec::new(),
                hot: Vec::new(),
                hot_run: Within { from: next, to: next },
                waiting,
                building: 0,
                fault: None,
            }),
            work: Condvar::new(),
            is_stopping: AtomicBool::new(false),
            is_fed: AtomicBool::new(false),
            indexed: AtomicU64::new(0),
        });
        shared.publish();

        let hot = Hot::new(next)?;
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
        parts.waiting.len() + parts.building
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
        span::gaps(&self.shared.spans.load(), self.shared.end_at_start)
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
            match Hot::new(hot.run().0) {
                Ok(fresh) => hot = fresh,
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
            let next = hot.run().1;
            if is_stopping && durable.0 - next.0 >= self.limits.events_max {
                // Too much to wait for: the next start goes on from here.
                return self.freeze(hot);
            }
            if self.may_skip(hot) && durable.0 - next.0 >= self.limits.events_max && !is_stopping {
                self.skip_a_span(hot, next, durable)?;
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
            for entry in self.source.range(Within { from: next, to }) {
                let (entry, body_len) = entry?;
                hot.add(&entry, body_len)?;
                if hot.len() >= self.limits.events_max || hot.body_bytes() >= self.limits.body_bytes_max {
                    self.commit(hot)?;
                    self.freeze(hot)?;
                    break;
                }
            }
        }
    }

    /// Nothing that is searchable lies in the hot index.
    fn may_skip(&self, hot: &Hot) -> bool {
        let published = self.parts.lock().hot_run;
        hot.is_empty() && published.from == published.to
    }

    /// The log is a whole span ahead: have it built from the log, and go on behind it.
    fn skip_a_span(&self, hot: &mut Hot, next: Seq, durable: Seq) -> Result<(), EngineError> {
        let (to, _) = span::cut(&self.source, self.limits, next, durable)?;
        let mut parts = self.parts.lock();
        while parts.waiting.len() >= SPANS_WAITING_MAX && !self.is_stopping() {
            self.work.wait_for(&mut parts, TICK);
        }
        parts.waiting.push_back(Within { from: next, to });
        parts.hot = Vec::new();
        parts.hot_run = Within { from: to, to };
        drop(parts);
        self.work.notify_all();
        *hot = Hot::new(to)?;
        Ok(())
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
        let (from, to) = hot.run();
        // Already done, but for a run that was read again after a failure.
        hot.commit()?;
        let old = std::mem::replace(hot, Hot::new(to)?);
        let run = Within { from, to };
        let mut parts = self.parts.lock();
        parts.frozen.push(Frozen { run, pieces: old.pieces(), _index: old });
        parts.hot = Vec::new();
        parts.hot_run = Within { from: to, to };
        parts.waiting.push_back(run);
        drop(parts);
        self.work.notify_all();
        Ok(())
    }

    fn wait_for_events(&self, next: Seq) {
        // The timeout only means to look whether the store is stopping.
        self.marks.wait_durable_above(next, TICK);
    }

    /// A span builder thread.
    fn build_spans(&self) {
        while let Some(run) = self.next_run() {
            let build = || {
                span::build(&*self.disk, &self.index_dir, &self.source, run, 0, &mut |n| {
                    self.indexed.fetch_add(n, Ordering::Relaxed);
                })
            };
            let built = catch_unwind(AssertUnwindSafe(build));
            self.parts.lock().building -= 1;
            let why = match built {
                Ok(Ok(span)) => {
                    self.take_span(span);
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it panicked".to_owned(),
            };
            self.report("building a span", &why);
            if self.is_stopping() {
                return;
            }
            // Behind the others, which it must not hold up.
            self.parts.lock().waiting.push_back(run);
            thread::sleep(RETRY);
        }
    }

    /// The next run to build; `None` when the store stops and nothing is left that must be written first.
    fn next_run(&self) -> Option<Within> {
        let mut parts = self.parts.lock();
        loop {
            if self.is_stopping() {
                // Only what is in memory is worth waiting for; the rest is built at the next start.
                let frozen: Vec<Within> = parts.frozen.iter().map(|frozen| frozen.run).collect();
                parts.waiting.retain(|run| frozen.contains(run));
            }
            if let Some(run) = parts.waiting.pop_front() {
                parts.building += 1;
                self.work.notify_all();
                return Some(run);
            }
            if self.is_fed.load(Ordering::Acquire) {
                return None;
            }
            self.work.wait_for(&mut parts, TICK);
        }
    }

    fn take_span(&self, span: Span) {
        let run = Within { from: span.summary.first, to: span.summary.last.plus(1) };
        // Under the lock: the other builder may add its span at the same time.
        let mut parts = self.parts.lock();
        let mut spans = Vec::clone(&self.spans.load());
        spans.push(Arc::new(span));
        spans.sort_by_key(|span| span.summary.first);
        let spanned = spanned_end(&spans);
        self.spans.store(Arc::new(spans));
        parts.frozen.retain(|frozen| frozen.run != run);
        parts.fault = None;
        drop(parts);
        self.publish();
        self.ids.forget_below(spanned);
    }

    /// Puts spans, frozen and hot indexes and scanned gaps together, up to the first event that is in none.
    fn publish(&self) {
        let parts = self.parts.lock();
        let spans = self.spans.load();
        let mut covered: Vec<(Within, Vec<Arc<Piece>>)> = spans
            .iter()
            .map(|span| (Within { from: span.summary.first, to: span.summary.last.plus(1) }, vec![span.piece.clone()]))
            .collect();
        covered.extend(parts.frozen.iter().map(|frozen| (frozen.run, frozen.pieces.clone())));
        covered.push((parts.hot_run, parts.hot.clone()));
        covered.sort_by_key(|(run, _)| (run.from, run.to));

        let (mut pieces, mut gaps, mut searchable) = (Vec::new(), Vec::new(), Seq::ZERO);
        for (run, run_pieces) in covered {
            // A span replaces a frozen index over the same run; between the two steps both are here.
            if run.to <= searchable {
                continue;
            }
            if searchable < run.from {
                let gap = Within { from: searchable, to: run.from.min(self.end_at_start) };
                if gap.to < run.from {
                    break;
                }
                gaps.push(gap);
            }
            pieces.extend(run_pieces);
            searchable = run.to;
        }
        let tail = self.end_at_start;
        if searchable < tail {
            gaps.push(Within { from: searchable, to: tail });
            searchable = tail;
        }
        if searchable < self.view.load().searchable() {
            // After a failure a run is read again; what was searchable stays so.
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
