//! The store: log, tree, ids and index of one data directory as one thing that takes events and answers questions.
//!
//! One thread appends (`writer`), three keep the index (`indexer`), one writes HEAD (`publisher`), one seals (`sealer`), one reads
//! everything again (`scrubber`). Everything that was acknowledged is on disk; everything else can be computed from the log.

mod answers;
mod arrivals;
pub mod cursor;
pub mod erasures;
mod ids;
mod indexer;
pub mod integrity;
mod leaves;
pub mod metrics;
pub mod own;
mod promised;
mod publisher;
pub mod reserve;
pub mod scrubber;
mod sealer;
pub mod signing;
#[cfg(test)]
mod tests;
mod trunk;
pub mod watermarks;
pub mod worker;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tracing::{info, warn};

pub use answers::{
    Answers, FeedPage, NamedCount, PAGE_BYTES_MAX, Page, PageLimit, WINDOW_EVENTS, by_category, write_row,
};
pub use metrics::StoreMetrics;
pub use writer::{Answer, Append, AppendError, QUEUE_BYTES_MAX, QUEUE_REQUESTS_MAX, Receipt, Verdict};

use crate::clock;
use crate::durable::{self, Disk, Lock, LockError};
use crate::event::{Catalogue, Entry, Event, Intake, Kind, Outcome, SubjectTypes};
use crate::index::scan::Scan;
use crate::index::source::{Personal, Source};
use crate::index::tantivy::counts::{CacheStats, CountCache, CountLimits};
use crate::index::tantivy::ids as id_hashes;
use crate::index::tantivy::span::{SpanError, SpanLimits};
use crate::index::tantivy::view::View;
use crate::index::{Engine, EngineError, Order, Within};
use crate::json::Json;
use crate::keyring::kek::{Kek, KekFileError, NotAKek, SecretText};
use crate::keyring::{self, Keyring, KeyringError};
use crate::log::{self, Corrupt, Head, HeadFile, OpenError, Recovered};
use crate::privacy::Vault;
use crate::query::filter::{Action, Filter, Value};
use crate::query::{Node, Pattern, Query, ValueField};
use crate::repair;
use crate::seq::Seq;
use crate::text::fold_value;
use crate::tree::files::read_public_key;
use crate::tree::{SignerKey, TileReader, VerifierKey};
use arrivals::{Arrivals, Promise};
use cursor::Cursors;
use erasures::{Asked, EraseError, Erasing, Person, Reapplied, Wanted};
use ids::Ids;
use indexer::{Indexer, Setup};
use integrity::{Integrity, Record};
use own::{DEFAULT_TENANT, Own, number};
use promised::PromisedFile;
use publisher::{Desk, Publisher, Tip, newest_note};
use reserve::Reserve;
use scrubber::{ScrubSettings, Scrubber};
use sealer::Sealer;
use signing::SigningError;
use trunk::Trunk;
use watermarks::{Marks, Watermarks};
use worker::Worker;
use writer::{ToWrite, Tools, Writer};

/// Where the key-encryption key is if nothing else is said. No backup of ours has it.
pub const KEK_FILE: &str = "kek";
/// Up to this many events without a span have their ids read before the start returns; more, and it goes on behind.
const IDS_AT_START_MAX: u64 = 1_000_000;
/// A log that is further ahead of the clock than this stops appends.
const LOG_AHEAD_MAX_MS: u64 = 300_000;

/// How a store is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory.
    pub dir: PathBuf,
    /// Bytes that must stay free, or `None` for the default: 1 GiB or 5 % of the disk, whichever is more.
    pub free_bytes_min: Option<u64>,
    /// Take the clock as it is, whatever it says.
    pub accept_clock: bool,
    /// Serve reads of a corrupt log; refuse all writes.
    pub read_only: bool,
    /// Where spans are cut; tests use small ones.
    pub spans: SpanLimits,
    /// What counting may cost.
    pub counts: CountLimits,
    /// How large segments grow; tests use small ones. Whether only to look is said above.
    pub log: log::Options,
    /// The log's name in its checkpoints, or `None` for `annals/` and its id.
    pub origin: Option<String>,
    /// Go on with another signing key than the one that signed the newest checkpoint.
    pub accept_new_key: bool,
    /// A file, best on another machine's disk, that holds the newest signed checkpoint: a start refuses a directory that
    /// knows less.
    pub last_note: Option<PathBuf>,
    /// How often, and how fast, everything is read again.
    pub scrub: ScrubSettings,
    /// Bytes of the disk that are kept back for entries about the log itself; 0 keeps none.
    pub reserve_bytes: u64,
    /// Who can be erased, and where the key is that wraps theirs.
    pub privacy: Privacy,
}

/// What is sealed, and with what.
#[derive(Clone, Debug, Default)]
pub struct Privacy {
    /// Those of these types can be erased; empty, and nothing is sealed.
    pub types: SubjectTypes,
    /// The key-encryption key, if it is given and not in a file.
    pub kek: Option<SecretText>,
    /// The file that has it; made at the first start. `None` is [`KEK_FILE`] in the data directory.
    pub kek_file: Option<PathBuf>,
    /// Go on although the keyring is gone, and with it all that was sealed.
    pub accept_lost_keyring: bool,
    /// An erasure leaves the files of the index so long after it was asked for, those of that time together.
    pub purge_after: Duration,
}

impl Settings {
    fn free_floor(&self, total: u64) -> u64 {
        self.free_bytes_min.unwrap_or_else(|| (total / 20).max(1 << 30))
    }
}

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else has the directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The log is corrupt. Nothing was changed.
    #[error("{0}; nothing was changed. `serve --read-only` serves what is before it")]
    Corrupt(Corrupt),
    /// The index cannot be started.
    #[error("the index cannot be started: {0}")]
    Index(#[from] SpanError),
    /// The log cannot be signed, or should not be.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The keys of what is sealed.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// What wraps them.
    #[error("the key-encryption key in {0}")]
    NotAKek(String, #[source] NotAKek),
    /// They are gone.
    #[error(
        "{0} is not there, and entries of this log are sealed: put it back, or what was sealed is lost. To go on without: accept_lost_keyring"
    )]
    KeyringGone(PathBuf),
    /// They cannot be unwrapped.
    #[error(
        "{keyring} is there and {kek} is not: put the key-encryption key back, without it nothing that was sealed can be read (if it is lost: move {keyring} away and start with accept_lost_keyring)"
    )]
    NoKek {
        /// The keys.
        keyring: PathBuf,
        /// What should wrap them.
        kek: PathBuf,
    },
    /// Another file of the directory.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// An open data directory.
pub struct Store {
    settings: Settings,
    catalogue: Arc<Catalogue>,
    source: Source,
    /// Absent where nothing is sealed.
    erasing: Option<Arc<Erasing>>,
    eraser: Option<Worker>,
    marks: Arc<Watermarks>,
    metrics: Arc<StoreMetrics>,
    arrivals: Arc<Arrivals>,
    ids: Arc<Ids>,
    indexer: Arc<Indexer>,
    counts: Arc<CountCache>,
    writer: Result<Arc<Writer>, AppendError>,
    publisher: Option<Publisher>,
    sealer: Option<Sealer>,
    /// Absent where nothing is written, and where it is switched off.
    scrubber: Option<Scrubber>,
    integrity: Arc<Record>,
    signed: Arc<HeadFile>,
    public_key: Option<VerifierKey>,
    tree: Arc<TileReader>,
    /// The newest checkpoint that a witness signed too.
    cosigned: ArcSwapOption<String>,
    /// Guards why nothing more may be signed, for moments.
    dispute: Arc<Mutex<Option<String>>>,
    cursors: Cursors,
    report: Recovered,
    _lock: Box<dyn Lock>,
}

impl Store {
    /// Opens a data directory, makes it if it is not there, recovers it if it was not closed.
    pub fn open(disk: Arc<dyn Disk>, settings: Settings, catalogue: Arc<Catalogue>) -> Result<Store, StoreError> {
        let (dir, own_disk) = (settings.dir.clone(), disk.clone());
        disk.create_dir(&dir).map_err(failed(format!("cannot make {}", dir.display())))?;
        let lock = disk.lock(&dir.join("LOCK"))?;
        let tree_dir = dir.join("tree");
        let tree = Arc::new(TileReader::new(disk.clone(), &tree_dir));
        let mut trunk = Trunk::open(disk.clone(), tree_dir)
            .map_err(failed(format!("cannot open the tree in {}", dir.display())))?;
        let options = log::Options { read_only: settings.read_only, ..settings.log.clone() };
        let reserve_bytes = if settings.read_only { 0 } else { settings.reserve_bytes };
        let reserve = Arc::new(Reserve::find(disk.clone(), &dir, reserve_bytes));
        let opened = match log::open(disk.clone(), &dir, &options, &mut trunk) {
            // A start may have to write: the copy of a tail that it cuts, say.
            Err(OpenError::Io { source, .. }) if durable::is_full(&source) && reserve.release() => {
                log::open(disk.clone(), &dir, &options, &mut trunk)?
            }
            opened => opened?,
        };
        if let Some(corrupt) = &opened.read_only
            && !settings.read_only
        {
            return Err(StoreError::Corrupt(corrupt.clone()));
        }
        if opened.report.created {
            info!("a new log begins");
        }
        let cursor_key = cursor_key(&*disk, &dir).map_err(failed("cannot read or make the cursor key".into()))?;

        if opened.read_only.is_none() && !settings.read_only {
            let settled = match trunk.settle() {
                Err(error) if durable::is_full(&error) && reserve.release() => trunk.settle(),
                settled => settled,
            };
            match settled {
                // As when the disk is full while it runs: what is missing is written with the next batch, and nothing is signed
                // until then.
                Err(error) if durable::is_full(&error) => {
                    warn!("the disk is full: the tree's files lag behind the log")
                }
                settled => {
                    settled.map_err(failed(format!("cannot bring the tree in {} up to the log", dir.display())))?
                }
            }
        }
        let size = opened.report.size;
        let vault = open_vault(&*disk, &settings, &opened.report)?.map(Arc::new);
        let source = Source::new(opened.reader).with_vault(vault.clone());
        let signed = opened.report.head.as_ref().map_or(Seq::ZERO, |head| head.size.min(size));
        let sealed = source.reader().sealed();
        let reapplied = match &vault {
            Some(vault) => Some(erasures::reapply(vault, &source, &*disk, &dir, settings.read_only)?),
            None => None,
        };
        let marks = Arc::new(Watermarks::new(Marks { durable: size, searchable: Seq::ZERO, sealed, signed }));
        let spans = Arc::new(ArcSwap::default());
        let ids = Arc::new(Ids::new(spans.clone()));
        let indexer = Arc::new(Indexer::start(Setup {
            disk: disk.clone(),
            index_dir: dir.join("index"),
            limits: settings.spans,
            free_floor: {
                let settings = settings.clone();
                Box::new(move |total| settings.free_floor(total))
            },
            is_read_only: settings.read_only,
            source: source.clone(),
            marks: marks.clone(),
            spans,
            ids: ids.clone(),
            pending: reapplied.as_ref().map_or_else(Vec::new, Reapplied::pending),
        })?);
        start_ids(&ids, &indexer, &source, size).map_err(failed("cannot read the ids of the log".into()))?;

        let metrics = Arc::new(StoreMetrics::default());
        let promised = match opened.read_only.is_none() && !settings.read_only {
            true => Some(
                PromisedFile::open(disk.clone(), &dir)
                    .map_err(failed("cannot read or make the file promised".into()))?,
            ),
            false => None,
        };
        let (last_received_ms, now_ms) = (trunk.last_received_ms(), clock::now_ms());
        // Stamps are later than both, so both count as the log's time.
        let log_ms = last_received_ms.max(promised.as_ref().map_or(0, PromisedFile::through_ms));
        let ahead_ms = log_ms.saturating_sub(now_ms);
        let refusal = match (&opened.read_only, settings.read_only) {
            (Some(corrupt), _) => Some(AppendError::ReadOnly { why: corrupt.to_string() }),
            (None, true) => Some(AppendError::ReadOnly { why: "started with --read-only".into() }),
            (None, false) if ahead_ms > LOG_AHEAD_MAX_MS && !settings.accept_clock => {
                warn!("the log is {ahead_ms} ms ahead of the clock: appends are refused until --accept-clock");
                Some(AppendError::LogAhead { ahead_ms })
            }
            (None, false) => None,
        };
        let promised = promised.filter(|_| refusal.is_none());
        let arrivals =
            Arc::new(Arrivals::new(marks.clone(), last_received_ms, promised, settings.accept_clock, now_ms));
        let tip = Arc::new(Tip::new(size, opened.report.root));
        let is_poisoned = Arc::new(watch::Sender::new(false));
        let key = match opened.read_only.is_some() || settings.read_only {
            true => None,
            false => Some(signing_key(&*disk, &settings, &opened.report, &tree)?),
        };
        let public_key = key.as_ref().map(|key| key.public().clone()).or_else(|| read_public_key(&*disk, &dir));
        let signed = opened.head.clone();
        let dispute: Arc<Mutex<Option<String>>> = Arc::default();
        let publisher = match (&refusal, key) {
            (None, Some(key)) => {
                let noted = newest_note(&*disk, &dir).map_err(failed("cannot list the kept checkpoints".into()))?;
                let desk = Desk {
                    head: opened.head,
                    key,
                    tree: tree.clone(),
                    tip: tip.clone(),
                    marks: marks.clone(),
                    disk: disk.clone(),
                    dir: dir.clone(),
                    last_note: settings.last_note.clone(),
                    reserve: reserve.clone(),
                    fault: Arc::default(),
                    dispute: dispute.clone(),
                    noted: (Instant::now(), noted),
                    last_noted: (None, None),
                };
                Some(Publisher::start(desk, is_poisoned.clone()).map_err(failed("cannot start a thread".into()))?)
            }
            (Some(_), _) | (_, None) => None,
        };
        let integrity = Arc::new(Record::load(&*disk, &dir));
        let scrubber = match (&refusal, settings.scrub.period) {
            (None, Some(period)) => {
                let tools = scrubber::Tools {
                    period,
                    bytes_per_s: settings.scrub.bytes_per_s,
                    reader: source.reader().clone(),
                    tree: tree.clone(),
                    marks: marks.clone(),
                    key: public_key.clone(),
                    indexer: indexer.clone(),
                    record: integrity.clone(),
                    disk: disk.clone(),
                    dir: dir.clone(),
                };
                Some(Scrubber::start(tools).map_err(failed("cannot start a thread".into()))?)
            }
            (None, None) | (Some(_), _) => None,
        };
        let sealer = match opened.sealer {
            Some(log) => {
                let tools = sealer::Tools {
                    log,
                    source: source.clone(),
                    tree: tree.clone(),
                    marks: marks.clone(),
                    disk: disk.clone(),
                    dir: dir.clone(),
                };
                Some(Sealer::start(tools).map_err(failed("cannot start a thread".into()))?)
            }
            None => None,
        };
        if refusal.is_none() && opened.writer.is_some() {
            // Before anything else takes the room. Whether it is there is looked at again with the events.
            reserve.ensure();
        }
        let writer = match (refusal, opened.writer) {
            (None, Some(log)) => Ok(Arc::new(
                Writer::start(Tools {
                    reserve,
                    log,
                    trunk,
                    source: source.seen(Personal::Shown),
                    vault: vault.clone(),
                    ids: ids.clone(),
                    marks: marks.clone(),
                    is_poisoned: is_poisoned.clone(),
                    tip,
                    metrics: metrics.clone(),
                    disk: disk.clone(),
                    settings: settings.clone(),
                    arrivals: arrivals.clone(),
                })
                .map_err(failed("cannot start a thread".into()))?,
            )),
            (Some(refusal), _) => Err(refusal),
            (None, None) => Err(AppendError::ReadOnly { why: "the log has no writer".into() }),
        };
        let erasing = vault.zip(reapplied).map(|(vault, reapplied)| {
            let (indexer, source, purge_after) = (indexer.clone(), source.clone(), settings.privacy.purge_after);
            let is_poisoned = is_poisoned.clone();
            let tools = erasures::Tools { reapplied, vault, indexer, source, disk, dir, purge_after, is_poisoned };
            Arc::new(Erasing::new(tools))
        });
        let eraser = match (&erasing, &writer) {
            (Some(erasing), Ok(writer)) => {
                let (erasing, writer) = (erasing.clone(), writer.clone());
                let worker = Worker::start("eraser", move |stop| erasing.run(&writer, stop));
                Some(worker.map_err(failed("cannot start a thread".into()))?)
            }
            (Some(_), Err(_)) | (None, _) => None,
        };
        let report = opened.report;
        let counts = Arc::new(CountCache::new(settings.counts));
        let store = Store {
            settings,
            counts,
            catalogue,
            source,
            erasing,
            eraser,
            marks,
            metrics,
            arrivals,
            ids,
            indexer,
            writer,
            publisher,
            sealer,
            scrubber,
            integrity,
            signed,
            public_key,
            tree,
            cosigned: ArcSwapOption::empty(),
            dispute,
            cursors: Cursors::new(cursor_key),
            report,
            _lock: lock,
        };
        store.log_recovered()?;
        store.log_repaired(&*own_disk);
        Ok(store)
    }

    /// Seals what is about persons and queues the events; the answer comes when they are on disk. Where something is to be sealed it
    /// may write to the disk.
    pub fn append(&self, append: Append) -> Result<oneshot::Receiver<Answer>, AppendError> {
        let writer = self.writer.as_ref().map_err(Clone::clone)?;
        match &self.erasing {
            Some(erasing) => erasing.append(writer, append),
            None => writer.append(ToWrite::seal(append, None)?),
        }
    }

    /// Erases these persons, and returns when nothing about them can be read any more. Waits for the disk.
    ///
    /// # Errors
    /// When it cannot be entered, or keys cannot be destroyed.
    pub fn erase(&self, wanted: Vec<Wanted>) -> Result<Vec<Asked>, EraseError> {
        let (erasing, writer) = self.erasing()?;
        erasing.erase(writer, wanted, |person| self.last_erasure(person))
    }

    /// Says that these may not be erased, or may again. Answers of how many that was not so before. Waits for the disk.
    ///
    /// # Errors
    /// When it cannot be entered.
    pub fn hold(&self, wanted: Vec<Wanted>, is_held: bool) -> Result<usize, EraseError> {
        let (erasing, writer) = self.erasing()?;
        erasing.hold(writer, wanted, is_held)
    }

    /// Whether anything can be sealed here.
    pub fn seals(&self) -> bool {
        self.erasing.is_some()
    }

    /// Erasures that are not done, and who may not be erased.
    pub fn erasures(&self) -> Arc<erasures::Now> {
        self.erasing.as_ref().map_or_else(Arc::default, |erasing| erasing.now())
    }

    fn erasing(&self) -> Result<(&Erasing, &Writer), EraseError> {
        let writer = self.writer.as_ref().map_err(Clone::clone)?;
        Ok((self.erasing.as_ref().ok_or(EraseError::NoKeyring)?, writer))
    }

    /// The entry that an erasure of this id begins with and, once it is done, the one it ends with: ours, whatever others call theirs.
    ///
    /// # Errors
    /// When the index or the log cannot be read.
    pub fn erasure(&self, id: &str) -> Result<Option<(Entry, Option<Entry>)>, EngineError> {
        let Some(begun) = self.find_erasure(self.exact(ValueField::Id, id), |entry| {
            entry.event.id == id && entry.event.action == erasures::REQUESTED
        })?
        else {
            return Ok(None);
        };
        let of_erasure = Node::Filter(Filter::Action(Action::Exact(erasures::DONE.into())));
        let person = begun.event.target.as_ref().and_then(|target| target.id.clone()).unwrap_or_default();
        let about = Node::and(vec![of_erasure, self.exact(ValueField::Target, &person)]);
        let done = self.find_erasure(about, |entry| {
            entry.event.detail.as_ref().and_then(|detail| detail.get("erasure")?.as_str()) == Some(id)
        })?;
        Ok(Some((begun, done)))
    }

    fn exact(&self, field: ValueField, text: &str) -> Node {
        Node::Filter(Filter::Value(Value { field, pattern: Pattern::Exact(fold_value(text).into_owned()) }))
    }

    /// The newest entry of erasures that matches and is as wanted.
    fn find_erasure(&self, root: Node, is_wanted: impl Fn(&Entry) -> bool) -> Result<Option<Entry>, EngineError> {
        let view = self.view();
        for hit in view.hits(&Query { root }, Order::SeqDesc, None, Within::below(view.searchable()))? {
            let entry = self.source.entry(hit?.seq)?;
            if entry.kind == Kind::Erasure && is_wanted(&entry) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// The id of the last erasure of somebody that the index knows of.
    fn last_erasure(&self, person: &Person) -> Result<Option<String>, EngineError> {
        let tenant = Pattern::Exact(person.tenant.clone());
        let of_person = Node::and(vec![
            Node::Filter(Filter::Value(Value { field: ValueField::Tenant, pattern: tenant })),
            self.exact(ValueField::Target, &format!("{}/{}", person.kind, person.id)),
            self.exact(ValueField::Outcome, Outcome::Success.as_str()),
            Node::Filter(Filter::Action(Action::Exact(erasures::REQUESTED.into()))),
        ]);
        let is_theirs =
            |event: &Event| event.target_subject().is_some_and(|who| Person::of(&event.tenant, &who) == *person);
        let last = self.find_erasure(of_person, |entry| is_theirs(&entry.event))?;
        Ok(last.map(|entry| entry.event.id))
    }

    /// Why nothing can be appended, if so.
    pub fn refusal(&self) -> Option<&AppendError> {
        self.writer.as_ref().err()
    }

    /// Turns true when a sync failed and the process must end with exit code 5.
    pub fn poisoned(&self) -> Option<watch::Receiver<bool>> {
        self.writer.as_ref().ok().map(|writer| writer.poisoned())
    }

    /// Everything searchable now, without what is sealed; [`View::seen`] is for those who may see it.
    pub fn view(&self) -> Arc<View> {
        Arc::new(self.indexer.view().counting(self.counts.clone()))
    }

    /// What counting keeps, and how often that helps.
    pub fn counts_kept(&self) -> CacheStats {
        self.counts.stats()
    }

    /// The slow twin, over everything below `to`.
    pub fn scan(&self, to: Seq) -> Scan {
        Scan::new(self.source.clone(), Within::below(to))
    }

    /// Reads entries, without what is sealed of them; [`Source::seen`] is for those who may see it.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Names of actions and categories.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// Makes and reads cursors.
    pub fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    /// The newest checkpoint that was published, with its signatures. One of size 0 may be unsigned.
    pub fn signed(&self) -> Option<Head> {
        self.signed.latest()
    }

    /// The newest checkpoint that a witness signed too, if any did since the start.
    pub fn cosigned(&self) -> Option<String> {
        self.cosigned.load().as_deref().cloned()
    }

    /// A witness signed this checkpoint.
    pub fn set_cosigned(&self, note: String) {
        self.cosigned.store(Some(Arc::new(note)));
    }

    /// Somebody outside remembers another log (or, `None`, nobody does): nothing more is signed.
    pub fn set_dispute(&self, why: Option<String>) {
        *self.dispute.lock() = why;
    }

    /// What the log's checkpoints are verified with; `None` if nothing was ever signed here.
    pub fn public_key(&self) -> Option<&VerifierKey> {
        self.public_key.as_ref()
    }

    /// The hashes of the tree, up to the signed size.
    pub fn tree(&self) -> &Arc<TileReader> {
        &self.tree
    }

    /// Why nothing is signed at the moment, if so.
    pub fn signing_fault(&self) -> Option<String> {
        self.publisher.as_ref().and_then(Publisher::fault)
    }

    /// Whether everything was read again and found as it was written.
    pub fn integrity(&self) -> Integrity {
        self.integrity.get()
    }

    /// How far everything has come.
    pub fn marks(&self) -> Marks {
        self.marks.get()
    }

    /// To wait for more.
    pub fn watermarks(&self) -> &Arc<Watermarks> {
        &self.marks
    }

    /// Counters.
    pub fn metrics(&self) -> &StoreMetrics {
        &self.metrics
    }

    /// Bytes free and bytes that must stay free, when the writer last looked.
    pub fn space(&self) -> (u64, u64) {
        use std::sync::atomic::Ordering::Relaxed;
        (self.metrics.space_free.load(Relaxed), self.metrics.space_floor.load(Relaxed))
    }

    /// The latest ms of which no event at or after `next` was or will be received; `None` if nothing can be said yet.
    /// It follows the clock when `next` is the end of the log. Reads the log, and may write to the disk.
    pub fn complete_through(&self, next: Seq) -> Result<Option<u64>, EngineError> {
        let received_ms = |seq| self.source.with_row(seq, |row| row.received_ms);
        if next < self.marks().durable {
            return Ok(Some(received_ms(next)?.saturating_sub(1)));
        }
        let last_ms = match next.0.checked_sub(1) {
            Some(last) => received_ms(Seq(last))?,
            None => 0,
        };
        let through_ms = match self.arrivals.promise(next, last_ms, clock::now_ms()) {
            Promise::Through(ms) => ms,
            Promise::InTheLog => received_ms(next)?.saturating_sub(1),
        };
        Ok(Some(through_ms).filter(|ms| *ms > 0))
    }

    /// What recovery found.
    pub fn report(&self) -> &Recovered {
        &self.report
    }

    /// Requests and bytes waiting to be written.
    pub fn queued(&self) -> (usize, usize) {
        self.writer.as_ref().map_or((0, 0), |writer| writer.queued())
    }

    /// Whether events with their own id can be taken.
    pub fn ids_ready(&self) -> bool {
        self.ids.is_ready()
    }

    /// The index thread's trouble, if it has any.
    pub fn index_fault(&self) -> Option<String> {
        self.indexer.fault()
    }

    /// Events put into spans since the start, and how many spans are still to be built.
    pub fn spans_progress(&self) -> (u64, usize) {
        (self.indexer.indexed(), self.indexer.unbuilt())
    }

    /// How many spans are being merged, or will be next: while there are none and none is to be built, the index rests.
    pub fn spans_unmerged(&self) -> usize {
        self.indexer.unmerged()
    }

    /// Whether every durable event is in a span.
    pub fn is_spanned(&self) -> bool {
        self.indexer.is_spanned(self.marks().durable)
    }

    /// Intake rules as of now: what the door checks events against. Who writes one tenant writes no other.
    pub fn intake<'a>(&'a self, tenant: Option<&'a str>) -> Intake<'a> {
        Intake {
            now_ms: clock::now_ms(),
            tenant: tenant.unwrap_or(DEFAULT_TENANT),
            is_only_tenant: tenant.is_some(),
            catalogue: &self.catalogue,
            subject_types: self.erasing.as_ref().map(|erasing| erasing.vault.types()).filter(|types| !types.is_empty()),
        }
    }

    /// Stores what waits, writes HEAD and the last span, and ends all threads.
    pub fn close(&self) {
        self.eraser.iter().for_each(Worker::stop);
        self.scrubber.iter().for_each(Scrubber::stop);
        self.sealer.iter().for_each(Sealer::stop);
        if let Ok(writer) = &self.writer {
            writer.stop();
        }
        self.publisher.iter().for_each(Publisher::stop);
        self.indexer.stop();
        if let (Some(erasing), Ok(_)) = (&self.erasing, &self.writer) {
            erasing.close();
        }
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.settings.dir
    }

    /// A cut tail is itself an entry of the log.
    fn log_recovered(&self) -> Result<(), StoreError> {
        let Some(torn) = self.report.torn.as_ref().filter(|torn| torn.quarantined_to.is_some()) else {
            return Ok(());
        };
        let detail = Json::Object(vec![
            ("segment".into(), number(torn.segment.0)),
            ("offset".into(), number(torn.offset)),
            ("bytes".into(), number(torn.bytes)),
        ]);
        // On a full disk, say, it may fail: the cut is in our log, and quarantine/ has the bytes.
        if let Err(why) = self.enter(Own::of_server("log.recovered", detail)) {
            warn!("the recovery could not be entered in the log: {why}");
        }
        Ok(())
    }

    /// So is a repair. Its mark goes only when it is entered, and its id is known, so that it is entered once.
    fn log_repaired(&self, disk: &dyn Disk) {
        if self.refusal().is_some() {
            return;
        }
        let entered = repair::read_marks(disk, self.dir()).map_err(|error| error.to_string()).and_then(|marks| {
            for mark in &marks {
                let files = mark.files.iter().map(|file| Json::String(file.as_str().into())).collect();
                let detail =
                    Json::Object(vec![("files".into(), Json::Array(files)), ("events".into(), number(mark.events))]);
                let (time_ms, id) = (Some(mark.time_ms.cast_signed()), Some(mark.id.clone()));
                self.enter(Own { time_ms, id, ..Own::of_server("log.repaired", detail) })?;
            }
            match marks.is_empty() {
                true => Ok(()),
                false => disk.remove(&self.dir().join(repair::MARKER)).map_err(|error| error.to_string()),
            }
        });
        if let Err(why) = entered {
            warn!("a repair could not be entered in the log, the next start tries again: {why}");
        }
    }

    /// Enters something about the log itself, and waits for the disk.
    ///
    /// # Errors
    /// Why it was not entered, for people.
    pub fn enter(&self, own: Own) -> Result<Vec<Verdict>, String> {
        let append = Append { drafts: vec![own.into_draft()], skip_conflicts: false, kind: Kind::Control };
        match self.append(append).map(oneshot::Receiver::blocking_recv) {
            Ok(Ok(Ok(verdicts))) => Ok(verdicts),
            Ok(Ok(Err(error))) | Err(error) => Err(error.to_string()),
            Ok(Err(_)) => Err("the writer stopped".into()),
        }
    }
}

/// Whether the keys of a directory can be opened, without making any.
///
/// # Errors
/// Why they cannot.
pub fn check_keys(disk: &dyn Disk, dir: &Path, privacy: &Privacy) -> Result<(), StoreError> {
    let Some(outside) = keyring::Outside::open(disk, dir)? else { return Ok(()) };
    let kek = open_kek(disk, dir, privacy, &outside.log_id, true)?;
    Keyring::open_to_look(disk, dir, outside.log_id, kek).map(drop).map_err(StoreError::from)
}

/// The keys of what is sealed: made where something is to be sealed, opened where something was.
fn open_vault(disk: &dyn Disk, settings: &Settings, report: &Recovered) -> Result<Option<Vault>, StoreError> {
    let Privacy { types, accept_lost_keyring, .. } = &settings.privacy;
    let log_id = report.log_id;
    let keyring = settings.dir.join(keyring::FILE);
    let is_there = disk.exists(&keyring).map_err(failed(format!("cannot look for {}", keyring.display())))?;
    if !is_there && report.keyring_generation > 0 && !accept_lost_keyring {
        return Err(StoreError::KeyringGone(keyring));
    }
    if !is_there && (types.is_empty() || settings.read_only) {
        return Ok(None);
    }
    let kek = open_kek(disk, &settings.dir, &settings.privacy, &log_id, is_there)?;
    let keyring = match settings.read_only {
        true => Keyring::open_to_look(disk, &settings.dir, log_id, kek)?,
        false => Keyring::open(disk, &settings.dir, log_id, kek)?,
    };
    if !keyring.is_locked() {
        warn!("the system locks no memory for the keys (ulimit -l): they may be written to swap, so encrypt that");
    }
    Ok(Some(Vault::new(keyring, types.clone())))
}

/// The key-encryption key; a file is made if there is none and nothing was wrapped yet.
fn open_kek(
    disk: &dyn Disk,
    dir: &Path,
    privacy: &Privacy,
    log_id: &[u8; 16],
    is_wrapping: bool,
) -> Result<Kek, StoreError> {
    if let Some(text) = &privacy.kek {
        return Kek::parse(text.reveal(), log_id).map_err(|error| StoreError::NotAKek("the environment".into(), error));
    }
    let path = privacy.kek_file.clone().unwrap_or_else(|| dir.join(KEK_FILE));
    let what = format!("cannot read or make the key-encryption key {}", path.display());
    if !disk.exists(&path).map_err(failed(what.clone()))? {
        if is_wrapping {
            return Err(StoreError::NoKek { keyring: dir.join(keyring::FILE), kek: path });
        }
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(failed(what)(io::Error::other("expected the path of a file")));
        };
        let of = path.parent().filter(|of| !of.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Kek::make(disk, of, name).map_err(failed(what.clone()))?;
        info!("{} is new: it wraps the keys of all who can be erased; keep a copy apart from the data", path.display());
    }
    match Kek::read(disk, &path, log_id) {
        Ok(kek) => Ok(kek),
        Err(KekFileError::Io { source, .. }) => Err(failed(what)(source)),
        Err(KekFileError::NotAKek { source, .. }) => Err(StoreError::NotAKek(path.display().to_string(), source)),
    }
}

/// Hashes of the events that no span holds. First of all, from frames alone: until it is done, events with their own id
/// cannot be told from duplicates.
fn start_ids(ids: &Arc<Ids>, indexer: &Indexer, source: &Source, size: Seq) -> io::Result<()> {
    let gaps = indexer.gaps_at_start();
    let missing: u64 = gaps.iter().map(|gap| gap.to.0 - gap.from.0).sum();
    let read = {
        let (ids, source) = (ids.clone(), source.clone());
        move || {
            for gap in gaps {
                let taken = source.rows(gap, |row| {
                    ids.insert(id_hashes::hash(&row.head.tenant, &row.head.id), row.seq);
                    Ok(())
                });
                if let Err(error) = taken {
                    warn!("the ids of the log cannot be read, events with their own id are refused: {error}");
                    return;
                }
            }
            ids.set_ready();
        }
    };
    if missing <= IDS_AT_START_MAX {
        read();
        return Ok(());
    }
    info!("reading the ids of {missing} of {size} events");
    thread::Builder::new().name("ids".into()).spawn(read).map(drop)
}

/// The secret that cursors are signed with: made once, kept in the data directory.
fn cursor_key(disk: &dyn Disk, dir: &Path) -> io::Result<[u8; 32]> {
    const NAME: &str = "cursor.key";
    let path = dir.join(NAME);
    if disk.exists(&path)? {
        let file = disk.open_read(&path)?;
        let mut key = [0; 32];
        if durable::read_up_to(&*file, &mut key, 0)? == key.len() {
            return Ok(key);
        }
        warn!("{} is not whole and is made anew: cursors given out before are refused", path.display());
    }
    let key: [u8; 32] = rand::random();
    durable::replace(disk, dir, NAME, &key)?;
    Ok(key)
}

/// The key that signs, if this directory may be signed at all.
fn signing_key(
    disk: &dyn Disk,
    settings: &Settings,
    report: &Recovered,
    tree: &TileReader,
) -> Result<SignerKey, SigningError> {
    let origin = settings.origin.clone().unwrap_or_else(|| signing::default_origin(&report.log_id));
    let key = signing::load_or_make(disk, &settings.dir, &origin, report.head.as_ref(), settings.accept_new_key)?;
    if let Some(path) = &settings.last_note {
        signing::hold_against(disk, path, &key, tree, report.size.0)?;
    }
    Ok(key)
}

fn failed(what: String) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io { what, source }
}

impl From<EngineError> for StoreError {
    fn from(error: EngineError) -> StoreError {
        StoreError::Index(SpanError::Engine(error))
    }
}
