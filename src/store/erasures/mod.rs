//! Erasing somebody: what was told about them can be read and found by nobody any more, and every entry and proof stays.
//!
//! An erasure is entered, the keys are destroyed, and from then on nothing opens. What the index still has is left out of
//! answers at once, and leaves its files in a round that does for all erasures of some hours together. Then it is entered
//! that it is done. A crash at any point is made good at the next start: what is entered and not done is begun again.

mod book;

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tracing::{error, info, warn};

use book::Destroyed;
pub use book::{DONE, Erasure, HELD, HOLD_LIFTED, Person, REQUESTED};

use crate::clock;
use crate::durable::{Disk, crash_point};
use crate::event::{Kind, Object, Outcome};
use crate::index::source::Source;
use crate::index::tantivy::erased::Pending;
use crate::index::{EngineError, Within};
use crate::json::Json;
use crate::keyring::KeyringError;
use crate::privacy::Vault;
use crate::seq::Seq;
use crate::store::StoreError;
use crate::store::indexer::Indexer;
use crate::store::own::{Own, number};
use crate::store::worker::{Stop, panic_text};
use crate::store::writer::{Append, AppendError, Receipt, ToWrite, Verdict, Writer};
use book::Book;

/// Erasures in one call, at most.
pub const ERASURES_MAX: usize = 10_000;
/// A look whether a purge is due, or has come to its end.
const LOOK: Duration = Duration::from_millis(100);
/// How far the log is known is written down this often, and after so many entries: after a crash a start reads what came since.
const SAVE_EVERY: Duration = Duration::from_secs(600);
const SAVE_EVENTS: u64 = 262_144;
/// After a failure a purge is tried again this much later.
const RETRY: Duration = Duration::from_secs(10);

/// Who is to be erased, and the entry that says so: actor, reason, where it came from.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Who.
    pub person: Person,
    /// Who asks, and why. Action and target are set here.
    pub own: Own,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is begun: nothing about them can be read any more.
    Begun(Erasure),
    /// It was begun before, and nothing was sealed for them since.
    Known(String),
    /// They are on hold. That somebody asked is entered.
    Held,
}

/// Why nobody was erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// Nothing is sealed here.
    #[error("nothing is sealed here, so nobody can be erased: subject_types says who can be")]
    NoKeyring,
    /// It cannot be entered.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// It is entered, and is tried again: keys could not be destroyed.
    #[error("the erasure is entered, and its keys could not be destroyed, which is tried again")]
    Keyring(#[from] KeyringError),
    /// What was asked before cannot be looked up.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What erasing needs.
pub struct Erasing {
    /// The keys.
    pub vault: Arc<Vault>,
    indexer: Arc<Indexer>,
    source: Source,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    purge_after: Duration,
    /// Guards what is known. Held from the look whether somebody may be erased until their keys are destroyed.
    book: Mutex<Book>,
    /// Held by many while they seal and queue; by one while keys are destroyed: what was sealed with a key stands in the queue before
    /// the entry that ends it.
    sealing: RwLock<()>,
    /// How far the log was known when it was last written down.
    known: AtomicU64,
    /// What the book says, for those who only look.
    now: ArcSwap<Now>,
    /// Turned true when a write to the keyring could not be confirmed and the process must end.
    is_poisoned: Arc<watch::Sender<bool>>,
}

/// What it works with.
pub struct Tools {
    /// What the book says.
    pub reapplied: Reapplied,
    /// The keys.
    pub vault: Arc<Vault>,
    /// Leaves out what is erased.
    pub indexer: Arc<Indexer>,
    /// The log.
    pub source: Source,
    /// Holds the book.
    pub disk: Arc<dyn Disk>,
    /// The data directory.
    pub dir: PathBuf,
    /// What is erased leaves the files of the index so long after it was asked for.
    pub purge_after: Duration,
    /// Turned true when a write to the keyring could not be confirmed and the process must end.
    pub is_poisoned: Arc<watch::Sender<bool>>,
}

/// What is known now.
#[derive(Debug, Default)]
pub struct Now {
    /// Erasures that are not done.
    pub pending: Vec<Erasure>,
    /// Who may not be erased.
    pub holds: Vec<Person>,
}

/// What the book says at a start, its keys destroyed.
pub struct Reapplied {
    book: Book,
}

impl Reapplied {
    /// What may still be in the index.
    pub fn pending(&self) -> Vec<Pending> {
        self.book.pending.iter().map(pending).collect()
    }
}

/// Reads which erasures there are, and destroys every key again that one of them destroyed: the keyring may be an older one. Where
/// nothing is written such keys only count as destroyed.
///
/// # Errors
/// When the log cannot be read, or a key not be destroyed.
pub fn reapply(
    vault: &Vault,
    source: &Source,
    disk: &dyn Disk,
    dir: &Path,
    is_read_only: bool,
) -> Result<Reapplied, StoreError> {
    let keyring = vault.keyring();
    let book = Book::open(disk, dir, source, &|person| keyring.whose(&person.as_subject()))?;
    let mut alive = Vec::new();
    for Destroyed { key, until_ms, whose } in &book.destroyed {
        if keyring.alive(*key)?.is_some_and(|(made_ms, of)| made_ms <= *until_ms && of == *whose) {
            alive.push(*key);
        }
    }
    if !alive.is_empty() {
        warn!("{} keys are there that an erasure destroyed: they are destroyed again", alive.len());
        match is_read_only {
            true => keyring.deny(&alive),
            false => drop(keyring.erase_all(&alive, clock::now_ms())?),
        }
    }
    let last_ms = book.destroyed.iter().map(|destroyed| destroyed.until_ms).max();
    last_ms.into_iter().for_each(|last_ms| vault.not_before(last_ms + 1));
    keyring.skip_to(book.keys_below);
    if !is_read_only && let Err(error) = book.save(disk, dir) {
        warn!("the next start reads the log for erasures again: {error}");
    }
    Ok(Reapplied { book })
}

fn pending(erasure: &Erasure) -> Pending {
    Pending { requested: erasure.requested, keys: erasure.keys.clone() }
}

impl Erasing {
    /// Over these.
    pub fn new(tools: Tools) -> Erasing {
        let Tools { reapplied: Reapplied { book }, vault, indexer, source, disk, dir, purge_after, is_poisoned } =
            tools;
        let now = ArcSwap::from_pointee(Now { pending: book.pending.clone(), holds: book.holds.clone() });
        let known = AtomicU64::new(source.reader().durable().0);
        let (book, sealing) = (Mutex::new(book), RwLock::default());
        Erasing { known, vault, indexer, source, disk, dir, purge_after, book, sealing, now, is_poisoned }
    }

    /// Seals what is about persons and queues the request.
    pub fn append(
        &self,
        writer: &Writer,
        append: Append,
    ) -> Result<tokio::sync::oneshot::Receiver<super::Answer>, AppendError> {
        // Whoever has nothing to seal does not wait for an erasure.
        let has_personal = append.drafts.iter().any(|draft| !draft.personal.is_empty());
        let _sealing = has_personal.then(|| self.sealing.read());
        let sealed = ToWrite::seal(append, Some(&self.vault)).inspect_err(|_| self.end_if_poisoned())?;
        writer.append(sealed)
    }

    /// What is known now.
    pub fn now(&self) -> Arc<Now> {
        self.now.load_full()
    }

    /// Erases these. `known` tells the id of the last erasure of somebody for whom nothing is sealed.
    pub fn erase(
        &self,
        writer: &Writer,
        wanted: Vec<Wanted>,
        known: impl Fn(&Person) -> Result<Option<String>, EngineError>,
    ) -> Result<Vec<Asked>, EraseError> {
        let keyring = self.vault.keyring();
        let keys_of = |person: &Person| keyring.keys_of(&person.as_subject());
        let mut book = self.book.lock();
        // Before anybody has to wait to seal.
        let mut before = HashMap::new();
        for Wanted { person, .. } in &wanted {
            if !before.contains_key(person) && keys_of(person)?.is_empty() {
                let pending = book.pending.iter().rev().find(|erasure| erasure.person == *person);
                let id = pending.map_or_else(|| known(person), |erasure| Ok(Some(erasure.id.clone())))?;
                before.insert(person.clone(), id);
            }
        }
        let sealing = self.sealing.write();
        let mut asked: Vec<Option<Asked>> = Vec::with_capacity(wanted.len());
        let mut entries: Vec<(usize, Wanted, Vec<u64>)> = Vec::new();
        let mut seen: HashMap<Person, usize> = HashMap::new();
        let mut again = Vec::new();
        for (n, wanted) in wanted.into_iter().enumerate() {
            let person = &wanted.person;
            if let Some(first) = seen.get(person) {
                again.push((n, *first));
                asked.push(None);
                continue;
            }
            seen.insert(person.clone(), n);
            if book.holds.contains(person) {
                entries.push((n, wanted, Vec::new()));
                asked.push(Some(Asked::Held));
                continue;
            }
            let keys = keys_of(person)?;
            if keys.is_empty()
                && let Some(Some(id)) = before.get(person)
            {
                asked.push(Some(Asked::Known(id.clone())));
                continue;
            }
            entries.push((n, wanted, keys));
            asked.push(None);
        }
        let mut untils = Vec::with_capacity(entries.len());
        let mut drafts = Vec::with_capacity(entries.len());
        for (n, wanted, keys) in &entries {
            let mut until_ms = 0;
            for key in keys {
                until_ms = keyring.alive(*key)?.map_or(until_ms, |(made_ms, _)| until_ms.max(made_ms));
            }
            untils.push(until_ms);
            drafts.push(request(wanted, keys, until_ms, asked[*n] == Some(Asked::Held)));
        }
        crash_point("erasure.asked");
        let receipts = enter(writer, drafts)?;
        crash_point("erasure.entered");
        // From here on it is entered: if anything fails, the next start reads it in the log.
        let was_stale = std::mem::replace(&mut book.is_stale, true);
        let (mut begun, mut last_ms) = (Vec::new(), 0);
        for (((n, wanted, keys), receipt), until_ms) in entries.into_iter().zip(receipts).zip(untils) {
            if asked[n].is_none() {
                let requested_ms = self.source.with_row(receipt.seq, |row| row.received_ms)?;
                let erasure =
                    Erasure { id: receipt.id, person: wanted.person, requested: receipt.seq, requested_ms, keys };
                last_ms = last_ms.max(requested_ms).max(until_ms);
                book.begin(erasure.clone(), until_ms.max(requested_ms), &|person| keyring.whose(&person.as_subject()));
                asked[n] = Some(Asked::Begun(erasure.clone()));
                begun.push(erasure);
            }
        }
        self.vault.not_before(last_ms + 1);
        let keys: Vec<u64> = begun.iter().flat_map(|erasure| erasure.keys.iter().copied()).collect();
        let destroyed = keyring.erase_all(&keys, clock::now_ms());
        crash_point("erasure.destroyed");
        if destroyed.is_err() {
            // Nothing opens with them and nothing more is sealed with them, whatever the file has.
            keyring.deny(&keys);
        }
        drop(sealing);
        // Nothing is found by it also if that failed: the purge tries again.
        self.indexer.erase(begun.iter().map(pending).collect(), destroyed.is_ok());
        crash_point("erasure.left_out");
        book.is_stale = was_stale;
        self.save(&mut book);
        crash_point("erasure.saved");
        self.end_if_poisoned();
        destroyed?;
        for (n, first) in again {
            asked[n] = asked[first].clone().map(|asked| match asked {
                Asked::Begun(erasure) => Asked::Known(erasure.id),
                asked => asked,
            });
        }
        Ok(asked.into_iter().flatten().collect())
    }

    /// A keyring that cannot confirm a write ends the process, as a log does.
    fn end_if_poisoned(&self) {
        if self.vault.keyring().is_poisoned() {
            error!("a write to the keyring could not be confirmed");
            self.is_poisoned.send_replace(true);
        }
    }

    /// Says that these may not be erased, or may again, with one write. Answers of how many that was not so before.
    pub fn hold(&self, writer: &Writer, wanted: Vec<Wanted>, is_held: bool) -> Result<usize, EraseError> {
        let mut book = self.book.lock();
        let mut persons: Vec<Person> = Vec::new();
        let mut entries = Vec::new();
        for Wanted { person, mut own } in wanted {
            if book.holds.contains(&person) == is_held || persons.contains(&person) {
                continue;
            }
            own.action = if is_held { HELD } else { HOLD_LIFTED };
            about(&mut own, &person);
            entries.push(own);
            persons.push(person);
        }
        enter(writer, entries)?;
        let changed = persons.len();
        match is_held {
            true => book.holds.extend(persons),
            false => book.holds.retain(|held| !persons.contains(held)),
        }
        self.save(&mut book);
        Ok(changed)
    }

    /// Writes the book, and tells what it says.
    fn save(&self, book: &mut Book) {
        self.now.store(Arc::new(Now { pending: book.pending.clone(), holds: book.holds.clone() }));
        book.keys_below = self.vault.keyring().next();
        let end = self.source.reader().durable();
        self.known.store(end.0, Ordering::Relaxed);
        let known = book.known_through(&self.source, end);
        let saved = known
            .map_err(|error| error.to_string())
            .and_then(|()| book.save(&*self.disk, &self.dir).map_err(|error| error.to_string()));
        if let Err(error) = saved {
            warn!("the next start reads the log for erasures again: {error}");
        }
    }

    /// Writes down how far the log is known, so that the next start reads little.
    pub fn close(&self) {
        self.save(&mut self.book.lock());
    }

    /// The thread that purges.
    pub fn run(&self, writer: &Writer, stop: &Stop) {
        let mut counted = None;
        let mut saved = Instant::now();
        while !stop.is_set() {
            let behind = self.source.reader().durable().0.saturating_sub(self.known.load(Ordering::Relaxed));
            if saved.elapsed() >= SAVE_EVERY || behind >= SAVE_EVENTS {
                self.close();
                saved = Instant::now();
            }
            let now_ms = clock::now_ms();
            let is_due = |erasure: &Erasure| {
                u128::from(now_ms.saturating_sub(erasure.requested_ms)) >= self.purge_after.as_millis()
            };
            let now = self.now();
            let pending = &now.pending;
            if !pending.iter().any(is_due) {
                stop.wait(LOOK);
                continue;
            }
            let purge = || self.purge(writer, pending, &mut counted, stop);
            let why = match catch_unwind(AssertUnwindSafe(purge)) {
                Ok(Ok(true)) => {
                    info!("{} erasures are done", pending.len());
                    continue;
                }
                Ok(Ok(false)) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => panic_text(&*panic).to_owned(),
            };
            error!("a purge failed and is tried again: {why}");
            stop.wait(RETRY);
        }
    }

    /// Has everything that is erased leave the index, and enters that it did. `false` if it was stopped. `counted` is what was counted
    /// the last time, for the same erasures.
    fn purge(
        &self,
        writer: &Writer,
        pending: &[Erasure],
        counted: &mut Option<(Seq, Vec<Counted>)>,
        stop: &Stop,
    ) -> Result<bool, EraseError> {
        let Some(below) = pending.iter().map(|erasure| erasure.requested.plus(1)).max() else { return Ok(true) };
        self.destroy_again(pending)?;
        self.indexer.destroyed(below);
        self.indexer.purge(below);
        crash_point("purge.begun");
        while !self.indexer.is_purged(below)? {
            if stop.is_set() {
                return Ok(false);
            }
            stop.wait(LOOK);
        }
        let is_counted = counted.as_ref().is_some_and(|(of, counts)| *of == below && counts.len() == pending.len());
        if !is_counted {
            *counted = self.count(pending, below, stop)?.map(|counts| (below, counts));
        }
        let Some((_, counts)) = counted else { return Ok(false) };
        let done = pending.iter().zip(&*counts).map(|(erasure, counted)| done(erasure, counted)).collect();
        let mut book = self.book.lock();
        crash_point("purge.counted");
        enter(writer, done)?;
        crash_point("purge.done");
        let done: HashSet<&str> = pending.iter().map(|erasure| erasure.id.as_str()).collect();
        book.pending.retain(|erasure| !done.contains(erasure.id.as_str()));
        self.save(&mut book);
        drop(book);
        *counted = None;
        self.indexer.forget_purged(below);
        Ok(true)
    }

    /// Those of their keys that are still there, after a failure.
    fn destroy_again(&self, pending: &[Erasure]) -> Result<(), KeyringError> {
        let (keyring, mut alive) = (self.vault.keyring(), Vec::new());
        for erasure in pending {
            let whose = keyring.whose(&erasure.person.as_subject());
            for key in &erasure.keys {
                if keyring.alive(*key)?.is_some_and(|(_, of)| of == whose) {
                    alive.push(*key);
                }
            }
        }
        if alive.is_empty() {
            return Ok(());
        }
        let _sealing = self.sealing.write();
        let erased = keyring.erase_all(&alive, clock::now_ms());
        self.end_if_poisoned();
        erased.map(drop)
    }

    /// How many entries were sealed for each, and which the first and the last are. All of the log before is read, once for all of them.
    fn count(&self, pending: &[Erasure], below: Seq, stop: &Stop) -> Result<Option<Vec<Counted>>, EngineError> {
        let mut counts = vec![Counted::default(); pending.len()];
        let keys = pending.iter().enumerate().flat_map(|(n, erasure)| erasure.keys.iter().map(move |key| (*key, n)));
        let by_key: HashMap<u64, usize> = keys.collect();
        if by_key.is_empty() {
            return Ok(Some(counts));
        }
        self.source.keys_of(Within::below(below), |seq, keys| {
            let mut erased: Vec<usize> = keys.iter().filter_map(|key| by_key.get(key).copied()).collect();
            erased.sort_unstable();
            erased.dedup();
            erased.into_iter().for_each(|n| counts[n].take(seq));
            !stop.is_set()
        })?;
        Ok((!stop.is_set()).then_some(counts))
    }
}

/// The entries of somebody.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    entries: u64,
    ends: Option<(Seq, Seq)>,
}

impl Counted {
    fn take(&mut self, seq: Seq) {
        self.entries += 1;
        self.ends = Some((self.ends.map_or(seq, |(first, _)| first), seq));
    }
}

/// The entry that begins an erasure, or says that it was not begun.
fn request(wanted: &Wanted, keys: &[u64], until_ms: u64, is_held: bool) -> Own {
    let mut own = wanted.own.clone();
    own.action = REQUESTED;
    about(&mut own, &wanted.person);
    if let Json::Object(members) = &mut own.detail {
        match is_held {
            true => members.push(("refused".to_owned(), Json::String("on hold".into()))),
            false => {
                members.push(("keys".to_owned(), Json::Array(keys.iter().map(|key| number(*key)).collect())));
                if until_ms > 0 {
                    members.push(("until_ms".to_owned(), number(until_ms)));
                }
            }
        }
    }
    own.outcome = if is_held { Outcome::Denied } else { Outcome::Success };
    own
}

fn done(erasure: &Erasure, counted: &Counted) -> Own {
    let mut detail = vec![
        ("erasure".to_owned(), Json::String(erasure.id.as_str().into())),
        ("requested_seq".to_owned(), number(erasure.requested.0)),
        ("entries".to_owned(), number(counted.entries)),
    ];
    if let Some((first, last)) = counted.ends {
        detail.extend([("first_seq".to_owned(), number(first.0)), ("last_seq".to_owned(), number(last.0))]);
    }
    let mut own = Own::of_server(DONE, Json::Object(detail));
    about(&mut own, &erasure.person);
    own
}

fn about(own: &mut Own, person: &Person) {
    own.tenant.clone_from(&person.tenant);
    own.target = Some(Object { kind: Some(person.kind.clone()), id: Some(person.id.clone()), name: None });
}

/// Enters all of them in one batch. Their ids are ours, so none can be taken.
fn enter(writer: &Writer, entries: Vec<Own>) -> Result<Vec<Receipt>, AppendError> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let drafts = entries.into_iter().map(Own::into_draft).collect();
    let append = Append { drafts, skip_conflicts: false, kind: Kind::Erasure };
    let answer = writer.append(ToWrite::seal(append, None)?)?;
    let verdicts = answer.blocking_recv().unwrap_or(Err(AppendError::SyncFailed))?;
    let receipts = verdicts.into_iter().filter_map(|verdict| match verdict {
        Verdict::Stored(receipt) => Some(receipt),
        Verdict::Conflict { .. } => None,
    });
    Ok(receipts.collect())
}
