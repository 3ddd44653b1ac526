//! The one thread that appends: it takes the requests that have piled up, gives every event its place, and answers
//! only when all of them are on disk.
//!
//! A batch either is on disk whole or never was: on a full disk tree and tenants go back to where they were; after a
//! failed sync nobody knows, so everything stops.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{oneshot, watch};
use tracing::{error, info};

use crate::clock;
use crate::durable::{self, Disk};
use crate::event::{DEFAULT_ID, Draft, Kind, PartKind, Seen, add_sealed, same_content};
use crate::index::EngineError;
use crate::index::source::Source;
use crate::index::tantivy::ids;
use crate::log::{self, Framed, Parts, Payload, framed_bytes};
use crate::privacy::{Sealed, Vault};
use crate::seq::Seq;
use crate::store::arrivals::Arrivals;
use crate::store::ids::Ids;
use crate::store::publisher::Tip;
use crate::store::reserve::Reserve;
use crate::store::trunk::Trunk;
use crate::store::watermarks::Watermarks;
use crate::store::{Settings, StoreMetrics};

/// Requests waiting for the writer, at most; further ones get `QueueFull`.
pub const QUEUE_REQUESTS_MAX: usize = 4_096;
/// Bytes of bodies waiting for the writer, at most.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;
/// Bytes of bodies in one batch, unless a single request is larger.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// How often the room on the disk is looked at.
const SPACE_LOOK: Duration = Duration::from_millis(500);
/// Where there is no keyring.
const NO_KEYRING_GENERATION: u32 = 0;

/// One request: it is stored whole, or (unless `skip_conflicts`) not at all.
pub struct Append {
    /// The events, checked.
    pub drafts: Vec<Draft>,
    /// Store the rest when an id is taken by another event.
    pub skip_conflicts: bool,
    /// What the records are: the door only sends `Kind::Event`.
    pub kind: Kind,
}

/// An event as it may be written: what is about persons is not in it any more.
struct Ready {
    draft: Draft,
    sealed: Option<Sealed>,
}

/// A request of which nothing is in clear that should not be. The only way to one is [`ToWrite::seal`].
pub struct ToWrite {
    events: Vec<Ready>,
    skip_conflicts: bool,
    kind: Kind,
}

impl ToWrite {
    /// Seals what is about persons, and returns when the keys are on disk.
    ///
    /// # Errors
    /// When something is to be sealed and cannot be.
    pub fn seal(append: Append, vault: Option<&Vault>) -> Result<ToWrite, AppendError> {
        let Append { drafts, skip_conflicts, kind } = append;
        let failed = |error: &dyn std::error::Error| AppendError::Keyring { why: with_causes(error) };
        let now_ms = clock::now_ms();
        let mut events = Vec::with_capacity(drafts.len());
        let mut has_sealed = false;
        for mut draft in drafts {
            let sealed = match (draft.personal.is_empty(), vault) {
                (true, _) => None,
                (false, None) => return Err(AppendError::Keyring { why: "there is no keyring".into() }),
                (false, Some(vault)) => {
                    let sealed = vault.seal(&draft.tenant, &draft.personal, now_ms).map_err(|error| failed(&error))?;
                    add_sealed(&mut draft.body, &sealed.digests);
                    Some(sealed)
                }
            };
            has_sealed |= sealed.is_some();
            events.push(Ready { draft, sealed });
        }
        if let Some(vault) = vault.filter(|_| has_sealed) {
            vault.keyring().sync().map_err(|error| failed(&error))?;
        }
        Ok(ToWrite { events, skip_conflicts, kind })
    }

    /// Whether it may use the room that is kept back: few entries do, about the log itself, who looks at it, and what must be erased from it.
    fn may_use_reserve(&self) -> bool {
        match self.kind {
            Kind::Erasure | Kind::Control | Kind::Own => true,
            Kind::Event => false,
        }
    }

    fn bytes(&self) -> usize {
        let parts = |ready: &Ready| ready.sealed.as_ref().map_or(0, |sealed| sealed.parts.parts().bytes());
        self.events.iter().map(|ready| ready.draft.body.len() + parts(ready)).sum()
    }
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the log, since now or (`duplicate`) since an earlier request.
    Stored(Receipt),
    /// The id is taken by an event with other content.
    Conflict {
        /// The id.
        id: String,
        /// Where the other event is.
        seq: Seq,
    },
}

/// Proof of what was stored where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The event's id.
    pub id: String,
    /// Its place in the log.
    pub seq: Seq,
    /// Its leaf hash.
    pub hash: [u8; 32],
    /// It was there before.
    pub duplicate: bool,
}

/// Why a request was not stored. Nothing of it was, except after `SyncFailed`, where nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Too much is waiting.
    #[error("{QUEUE_REQUESTS_MAX} requests or {QUEUE_BYTES_MAX} bytes are waiting already")]
    QueueFull,
    /// An id is taken by an event with other content.
    #[error("the id is taken by another event at seq {seq}")]
    Conflict {
        /// Which event of the request, from 0.
        index: usize,
        /// Its id.
        id: String,
        /// Where the other event is.
        seq: Seq,
    },
    /// Not enough room.
    #[error("the disk has {free} bytes free, less than the {floor} it must keep")]
    DiskFull {
        /// Bytes free.
        free: u64,
        /// Bytes that must stay free.
        floor: u64,
    },
    /// The disk was full in the middle of writing; the batch was taken back.
    #[error("the disk is full: {free} bytes are free, and the events do not fit")]
    NoRoom {
        /// Bytes free.
        free: u64,
    },
    /// Events with their own id cannot be taken while the ids are read again.
    #[error("the ids of earlier events are being read again")]
    IdsRebuilding,
    /// The clock cannot be right.
    #[error("the clock is {ahead_ms} ms ahead of where it should be; start with --accept-clock if it is right")]
    ClockStepped {
        /// By how much, ms.
        ahead_ms: u64,
    },
    /// The newest event lies in the future.
    #[error("the log is {ahead_ms} ms ahead of the clock; start with --accept-clock if the clock is right")]
    LogAhead {
        /// By how much, ms.
        ahead_ms: u64,
    },
    /// The log is served read-only.
    #[error("the log is read-only: {why}")]
    ReadOnly {
        /// Why.
        why: String,
    },
    /// A sync failed: whether the request is stored shows after a restart.
    #[error("a write to disk could not be confirmed; whether the events are stored shows after a restart")]
    SyncFailed,
    /// The log or an id file could not be read to look for duplicates.
    #[error("earlier events could not be read: {why}")]
    Read {
        /// What failed.
        why: String,
    },
    /// What is about persons cannot be sealed, and in clear it is not stored.
    #[error("what is about persons cannot be sealed: {why}")]
    Keyring {
        /// What failed.
        why: String,
    },
    /// The store is stopping.
    #[error("the store is stopping")]
    Stopping,
}

/// What a request is answered with.
pub type Answer = Result<Vec<Verdict>, AppendError>;

struct Request {
    append: ToWrite,
    bytes: usize,
    reply: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Queue {
    requests: VecDeque<Request>,
    bytes: usize,
}

/// The writer thread, from outside.
pub struct Writer {
    shared: Arc<Shared>,
    /// Guards the thread until `stop` takes it.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A writer that panicked must not leave requests waiting for ever: the process ends as after a failed sync.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        if thread::panicking() {
            error!("the writer thread panicked");
            self.0.is_poisoned.send_replace(true);
            self.0.refuse_everything();
        }
    }
}

struct Shared {
    /// Guards the requests that wait; held to add or take some.
    queue: Mutex<Queue>,
    arrived: Condvar,
    is_stopping: AtomicBool,
    is_poisoned: Arc<watch::Sender<bool>>,
}

impl Shared {
    fn refuse_everything(&self) {
        let mut queue = self.queue.lock();
        self.is_stopping.store(true, Ordering::Release);
        for request in queue.requests.drain(..) {
            let _ = request.reply.send(Err(AppendError::SyncFailed));
        }
    }
}

/// What the writer thread works with.
pub struct Tools {
    /// Appends.
    pub log: log::Writer,
    /// Tree and tenants.
    pub trunk: Trunk,
    /// Reads earlier events, what is sealed of them too, to tell duplicates.
    pub source: Source,
    /// The keys of what is sealed.
    pub vault: Option<Arc<Vault>>,
    /// Finds them.
    pub ids: Arc<Ids>,
    /// Raised after each sync.
    pub marks: Arc<Watermarks>,
    /// Turned true when a sync failed and the process must end.
    pub is_poisoned: Arc<watch::Sender<bool>>,
    /// Told the root after each sync, for HEAD.
    pub tip: Arc<Tip>,
    /// Counts.
    pub metrics: Arc<StoreMetrics>,
    /// Tells how much room is left.
    pub disk: Arc<dyn Disk>,
    /// Limits.
    pub settings: Settings,
    /// Says what `received` is.
    pub arrivals: Arc<Arrivals>,
    /// Room for entries about the log itself on a full disk.
    pub reserve: Arc<Reserve>,
}

impl Writer {
    /// Starts the thread.
    pub fn start(tools: Tools) -> std::io::Result<Writer> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            arrived: Condvar::new(),
            is_stopping: AtomicBool::new(false),
            is_poisoned: tools.is_poisoned.clone(),
        });
        let (mut thread, guard) = (Thread::new(tools, shared.clone()), Guard(shared.clone()));
        let run = move || {
            let _guard = guard;
            thread.run();
        };
        let handle = thread::Builder::new().name("writer".into()).spawn(run)?;
        Ok(Writer { shared, thread: Mutex::new(Some(handle)) })
    }

    /// Queues a request. The answer comes when it is on disk.
    pub fn append(&self, append: ToWrite) -> Result<oneshot::Receiver<Answer>, AppendError> {
        let bytes = append.bytes();
        let mut queue = self.shared.queue.lock();
        if self.shared.is_stopping.load(Ordering::Acquire) {
            return Err(AppendError::Stopping);
        }
        let is_full = queue.requests.len() >= QUEUE_REQUESTS_MAX || queue.bytes + bytes > QUEUE_BYTES_MAX;
        if is_full && !queue.requests.is_empty() {
            return Err(AppendError::QueueFull);
        }
        let (reply, answer) = oneshot::channel();
        queue.bytes += bytes;
        queue.requests.push_back(Request { append, bytes, reply });
        drop(queue);
        self.shared.arrived.notify_one();
        Ok(answer)
    }

    /// Requests and bytes waiting.
    pub fn queued(&self) -> (usize, usize) {
        let queue = self.shared.queue.lock();
        (queue.requests.len(), queue.bytes)
    }

    /// Turns true when a sync failed and the process must end.
    pub fn poisoned(&self) -> watch::Receiver<bool> {
        self.shared.is_poisoned.subscribe()
    }

    /// Stores what waits, then ends the thread.
    pub fn stop(&self) {
        // Under the lock: the thread looks at the flag and begins to wait under it, so it cannot miss the call.
        let queue = self.shared.queue.lock();
        self.shared.is_stopping.store(true, Ordering::Release);
        self.shared.arrived.notify_all();
        drop(queue);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            error!("the writer thread had panicked");
        }
    }
}

/// A batch being put together: the drafts that will be appended, each at its place.
#[derive(Default)]
struct Batch {
    events: Vec<(Ready, Kind)>,
    by_id: HashMap<u64, Vec<usize>>,
    hashes: Vec<[u8; 32]>,
}

/// What is known of an event before its batch is written.
enum Staged {
    /// It is this one of the batch; `duplicate` if an earlier event of the batch is the same.
    InBatch { index: usize, duplicate: bool },
    /// It met an event that is durable already.
    Known(Verdict),
    /// It met an event of the batch with other content.
    ConflictInBatch { index: usize },
}

struct Thread {
    tools: Tools,
    shared: Arc<Shared>,
    space_looked: Option<Instant>,
    space: Result<(), AppendError>,
}

/// Whether its sender chose its id.
fn has_own_id(ready: &Ready) -> bool {
    ready.draft.defaults & DEFAULT_ID == 0
}

fn unread(why: &dyn std::fmt::Display) -> AppendError {
    AppendError::Read { why: why.to_string() }
}

impl Thread {
    fn new(tools: Tools, shared: Arc<Shared>) -> Thread {
        Thread { tools, shared, space_looked: None, space: Ok(()) }
    }

    fn run(&mut self) {
        while let Some(requests) = self.next_requests() {
            self.handle(requests);
            if *self.shared.is_poisoned.borrow() {
                self.shared.refuse_everything();
                return;
            }
        }
        if let Err(error) = self.tools.trunk.sync_tiles() {
            // Not needed for correctness: recovery computes the tree again from the log.
            info!("the tree was not synced on the way out: {error}");
        }
    }

    /// Whole requests up to a batch's size, all of which may use the reserve or none; `None` when the store is stopping and nothing waits.
    fn next_requests(&self) -> Option<Vec<Request>> {
        let mut queue = self.shared.queue.lock();
        while queue.requests.is_empty() {
            if self.shared.is_stopping.load(Ordering::Acquire) {
                return None;
            }
            self.shared.arrived.wait(&mut queue);
        }
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(request) = queue.requests.front() {
            let is_of_kind = |taken: &Request| taken.append.may_use_reserve() == request.append.may_use_reserve();
            if !taken.is_empty() && (bytes + request.bytes > BATCH_BYTES_MAX || !taken.iter().all(is_of_kind)) {
                break;
            }
            bytes += request.bytes;
            queue.bytes -= request.bytes;
            taken.extend(queue.requests.pop_front());
        }
        Some(taken)
    }

    fn handle(&mut self, requests: Vec<Request>) {
        let may_use_reserve = requests.iter().all(|request| request.append.may_use_reserve());
        let mut batch = Batch::default();
        let mut staged = Vec::with_capacity(requests.len());
        for request in requests {
            let len = batch.events.len();
            let outcome = self.stage(request.append, &mut batch);
            if outcome.is_err() {
                batch.cut(len);
            }
            staged.push((request.reply, outcome));
        }
        let first = self.tools.log.size();
        let mut written = self.write(&mut batch);
        if may_use_reserve && matches!(written, Err(AppendError::NoRoom { .. })) && self.tools.reserve.release() {
            // The batch is put together anew: what was staged in the tree for it was dropped.
            self.space_looked = None;
            batch.hashes.clear();
            written = self.write(&mut batch);
        }
        for (reply, outcome) in staged {
            // The event that had the id first is not stored either, so that is no conflict to tell of.
            let met_in_batch = matches!(&outcome, Err(AppendError::Conflict { seq, .. }) if *seq >= first);
            let outcome = match &written {
                Err(error) if met_in_batch => Err(error.clone()),
                _ => outcome,
            };
            let answer = outcome.and_then(|events| {
                // A request that only met durable events is not touched by a failure of the others.
                let is_known = events.iter().all(|event| matches!(event, Staged::Known(_)));
                if !is_known {
                    written.clone()?;
                }
                Ok(events.into_iter().map(|event| batch.verdict(event, first)).collect())
            });
            // Who asked may have hung up; the events are stored all the same.
            let _ = reply.send(answer);
        }
    }

    /// Finds a place in the batch for every event of a request. Nothing is given to the log or the tree yet, so a
    /// request that fails leaves no trace.
    fn stage(&mut self, append: ToWrite, batch: &mut Batch) -> Result<Vec<Staged>, AppendError> {
        self.check_clock()?;
        if !append.may_use_reserve() {
            self.check_space()?;
        }
        let first = self.tools.log.size();
        let mut staged = Vec::with_capacity(append.events.len());
        let hash = |Ready { draft, .. }: &Ready| ids::hash(&draft.tenant, &draft.id);
        let hashes: Vec<u64> = append.events.iter().map(hash).collect();
        let stored = match append.events.iter().any(has_own_id) && self.tools.ids.is_ready() {
            true => Some(self.tools.ids.candidates(&hashes).map_err(|error| unread(&error))?),
            false => None,
        };
        for (index, ready) in append.events.into_iter().enumerate() {
            let conflict = |id: &str, seq| AppendError::Conflict { index, id: id.to_owned(), seq };
            let candidates = stored.as_ref().map(|stored| &*stored[index]);
            let event = self.stage_one((hashes[index], ready), append.kind, candidates, batch)?;
            match &event {
                Staged::Known(Verdict::Conflict { id, seq }) if !append.skip_conflicts => {
                    return Err(conflict(id, *seq));
                }
                Staged::ConflictInBatch { index } if !append.skip_conflicts => {
                    return Err(conflict(&batch.events[*index].0.draft.id, first.plus(*index as u64)));
                }
                Staged::InBatch { .. } | Staged::Known(_) | Staged::ConflictInBatch { .. } => staged.push(event),
            }
        }
        Ok(staged)
    }

    /// `candidates` are stored events that may have its id, if that can be known yet.
    fn stage_one(
        &mut self,
        (id_hash, ready): (u64, Ready),
        kind: Kind,
        candidates: Option<&[Seq]>,
        batch: &mut Batch,
    ) -> Result<Staged, AppendError> {
        if has_own_id(&ready) {
            if let Some(staged) = batch.find(id_hash, &ready.draft) {
                return Ok(staged);
            }
            let candidates = candidates.ok_or(AppendError::IdsRebuilding)?;
            if let Some(verdict) = self.find_stored(candidates, &ready.draft)? {
                return Ok(Staged::Known(verdict));
            }
        }
        Ok(Staged::InBatch { index: batch.push(id_hash, ready, kind), duplicate: false })
    }

    fn find_stored(&self, candidates: &[Seq], draft: &Draft) -> Result<Option<Verdict>, AppendError> {
        for &seq in candidates {
            let verdict = self.tools.source.with_row(seq, |row| {
                // What stands for an entry has an id that nobody sent.
                if row.is_stand_in || row.head.id != draft.id || row.head.tenant != draft.tenant {
                    return Ok(None);
                }
                // What was erased counts as the same.
                let is_there = |kind: PartKind| row.parts.get(kind).is_none_or(|seen| seen == Seen::Open);
                let is_same = same_content(&row.told()?, row.defaults, &draft.told(is_there), draft.defaults);
                Ok(Some(match is_same {
                    true => Verdict::Stored(Receipt { id: draft.id.clone(), seq, hash: row.hash, duplicate: true }),
                    false => Verdict::Conflict { id: draft.id.clone(), seq },
                }))
            });
            if let Some(verdict) = verdict.flatten().map_err(|error: EngineError| unread(&error))? {
                return Ok(Some(verdict));
            }
        }
        Ok(None)
    }

    fn write(&mut self, batch: &mut Batch) -> Result<(), AppendError> {
        if batch.events.is_empty() {
            return Ok(());
        }
        let payloads = self.seal_batch(batch);
        let written = self.write_sealed(batch, &payloads);
        // After a failed sync it may be there at the next start: until then nothing is promised beyond it.
        if written != Err(AppendError::SyncFailed) {
            self.tools.arrivals.settle(self.tools.log.size());
        }
        written
    }

    fn write_sealed(&mut self, batch: &Batch, payloads: &[Vec<u8>]) -> Result<(), AppendError> {
        let bytes = payloads.iter().map(|payload| framed_bytes(payload.len())).sum();
        let events = payloads.len() as u64;
        if self.tools.log.needs_roll(clock::now_ns(), bytes, events) {
            self.roll()?;
        }
        let tools = &mut self.tools;
        let framed: Vec<Framed<'_>> = payloads
            .iter()
            .zip(&batch.events)
            .map(|(payload, (ready, _))| Framed { flags: ready.draft.defaults, payload })
            .collect();
        let first = tools.log.size();
        let root = tools.trunk.root();
        let generation = tools.vault.as_ref().map_or(NO_KEYRING_GENERATION, |vault| vault.keyring().generation_used());
        let before = Instant::now();
        if let Err(error) = tools.log.append(&framed, &root, clock::now_ns(), generation) {
            return Err(self.failed(error));
        }
        tools.metrics.batch(events, bytes, before.elapsed());
        if let Err(error) = tools.trunk.keep() {
            error!("the tree's files could not be written; this is tried again with the next batch: {error}");
        }
        for (id_hash, indexes) in &batch.by_id {
            indexes.iter().for_each(|index| tools.ids.insert(*id_hash, first.plus(*index as u64)));
        }
        let size = tools.log.size();
        tools.tip.set(size, root);
        tools.marks.raise(|marks| marks.durable = size);
        Ok(())
    }

    /// Gives every event of the batch its `received`, its number and its leaf.
    fn seal_batch(&mut self, batch: &mut Batch) -> Vec<Vec<u8>> {
        let tools = &mut self.tools;
        let end = tools.log.size().plus(batch.events.len() as u64);
        let received_ms = tools.arrivals.stamp(end, clock::now_ms());
        let time = clock::rfc3339_ms(received_ms.cast_signed());
        tools.trunk.begin();
        let mut payloads = Vec::with_capacity(batch.events.len());
        for (Ready { draft, sealed }, kind) in &mut batch.events {
            if let Some(at) = draft.time_at {
                draft.body.replace_range(at..at + time.len(), &time);
            }
            let (kind, body) = (kind.as_byte(), draft.body.as_bytes());
            let salt = sealed.as_ref().map_or_else(rand::random, |sealed| sealed.salt);
            let parts = sealed.as_ref().map_or(Parts::NONE, |sealed| sealed.parts.parts());
            let (tenant_seq, hash) = tools.trunk.push(kind, received_ms, &draft.tenant, &salt, body);
            let payload = Payload { kind, received_ms, tenant_seq, salt, body, parts };
            let mut bytes = Vec::with_capacity(payload.encoded_bytes());
            payload.encode(&mut bytes);
            payloads.push(bytes);
            batch.hashes.push(hash);
        }
        payloads
    }

    fn roll(&mut self) -> Result<(), AppendError> {
        // The batch is staged in the trunk already: the segment ends before it.
        let tools = &mut self.tools;
        if let Err(error) = tools.trunk.sync() {
            if durable::is_full(&error) {
                return Err(self.no_room());
            }
            return Err(AppendError::Read { why: format!("the tree cannot be synced: {error}") });
        }
        let root = tools.trunk.kept_root();
        match tools.log.roll(&root) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&mut self, error: log::AppendError) -> AppendError {
        error!("appending failed: {}", with_causes(&error));
        match error {
            log::AppendError::Full { .. } => self.no_room(),
            _ => {
                self.shared.is_poisoned.send_replace(true);
                AppendError::SyncFailed
            }
        }
    }

    fn no_room(&self) -> AppendError {
        AppendError::NoRoom { free: self.tools.disk.space(&self.tools.settings.dir).map_or(0, |space| space.free) }
    }

    fn check_clock(&self) -> Result<(), AppendError> {
        match self.tools.arrivals.clock_stepped_ms(clock::now_ms()) {
            Some(ahead_ms) => Err(AppendError::ClockStepped { ahead_ms }),
            None => Ok(()),
        }
    }

    fn check_space(&mut self) -> Result<(), AppendError> {
        if self.space_looked.is_none_or(|looked| looked.elapsed() >= SPACE_LOOK) {
            self.space_looked = Some(Instant::now());
            self.space = match self.tools.disk.space(&self.tools.settings.dir) {
                Ok(space) => {
                    let floor = self.tools.settings.free_floor(space.total);
                    self.tools.metrics.set_space(space.free, floor);
                    match space.free < floor {
                        true => Err(AppendError::DiskFull { free: space.free, floor }),
                        false if self.tools.reserve.ensure() => Ok(()),
                        false => Err(AppendError::DiskFull { free: space.free, floor: self.tools.reserve.wanted() }),
                    }
                }
                // Not knowing is no reason to refuse: a full disk shows itself at the write.
                Err(_) => Ok(()),
            };
        }
        self.space.clone()
    }
}

impl Batch {
    fn push(&mut self, id_hash: u64, ready: Ready, kind: Kind) -> usize {
        let index = self.events.len();
        self.by_id.entry(id_hash).or_default().push(index);
        self.events.push((ready, kind));
        index
    }

    /// An event of this very batch with the same id.
    fn find(&self, id_hash: u64, draft: &Draft) -> Option<Staged> {
        let index = *self.by_id.get(&id_hash)?.iter().find(|index| {
            let other = self.draft(**index);
            other.id == draft.id && other.tenant == draft.tenant
        })?;
        let other = self.draft(index);
        Some(match same_content(&other.told(|_| true), other.defaults, &draft.told(|_| true), draft.defaults) {
            true => Staged::InBatch { index, duplicate: true },
            false => Staged::ConflictInBatch { index },
        })
    }

    fn draft(&self, index: usize) -> &Draft {
        &self.events[index].0.draft
    }

    fn cut(&mut self, len: usize) {
        self.events.truncate(len);
        self.by_id.retain(|_, indexes| {
            indexes.retain(|index| *index < len);
            !indexes.is_empty()
        });
    }

    /// What to answer, now that the batch is written.
    fn verdict(&self, staged: Staged, first: Seq) -> Verdict {
        let id = |index: usize| self.draft(index).id.clone();
        let seq = |index: usize| first.plus(index as u64);
        match staged {
            Staged::Known(verdict) => verdict,
            Staged::InBatch { index, duplicate } => {
                Verdict::Stored(Receipt { id: id(index), seq: seq(index), hash: self.hashes[index], duplicate })
            }
            Staged::ConflictInBatch { index } => Verdict::Conflict { id: id(index), seq: seq(index) },
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
