//! Erasing somebody: what was told about them can be read and found by nobody any more, and every entry and proof stays.
//!
//! An erasure is entered, the keys are destroyed, and from then on nothing opens. What the index still has is left out of
//! answers at once, and leaves its files in a round that does for all erasures of some hours together. Then it is entered
//! that it is done. A crash at any point is made good at the next start: what is entered and not done is begun again.

mod book;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tracing::{error, info, warn};

pub use book::{DONE, Erasure, HELD, HOLD_LIFTED, Person, REQUESTED};

use crate::clock;
use crate::durable::Disk;
use crate::event::{Kind, Object, Outcome};
use crate::index::source::Source;
use crate::index::tantivy::erased::Pending;
use crate::index::{EngineError, Within};
use crate::json::Json;
use crate::keyring::{self, KeyringError};
use crate::privacy::Vault;
use crate::seq::Seq;
use crate::store::indexer::Indexer;
use crate::store::own::{Own, number};
use crate::store::worker::Stop;
use crate::store::writer::{Append, AppendError, Receipt, ToWrite, Verdict, Writer};
use book::Book;

/// Erasures in one call, at most.
pub const ERASURES_MAX: usize = 10_000;
/// A look whether a purge is due, or has come to its end.
const LOOK: Duration = Duration::from_millis(100);
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

/// Reads which erasures there are, and destroys every key again that one of them destroyed: the keyring may be an older one.
///
/// # Errors
/// When the log cannot be read, or a key not be destroyed.
pub fn reapply(
    vault: &Vault,
    source: &Source,
    disk: &dyn Disk,
    dir: &std::path::Path,
    is_read_only: bool,
) -> Result<Reapplied, crate::store::StoreError> {
    let keyring = vault.keyring();
    let book = Book::open(disk, dir, source, keyring.has_keys())?;
    let mut alive = Vec::new();
    for (key, asked_ms) in &book.destroyed {
        if keyring.created_ms(*key)?.is_some_and(|created_ms| created_ms <= *asked_ms) {
            alive.push(*key);
        }
    }
    if !alive.is_empty() {
        warn!("{} keys are there that an erasure destroyed: they are destroyed again", alive.len());
        if !is_read_only {
            keyring.erase_all(&alive, clock::now_ms())?;
        }
    }
    let last_ms = book.destroyed.iter().map(|(_, asked_ms)| *asked_ms).max();
    last_ms.into_iter().for_each(|last_ms| vault.not_before(last_ms + 1));
    Ok(Reapplied { book })
}

fn pending(erasure: &Erasure) -> Pending {
    Pending { requested: erasure.requested, keys: erasure.keys.clone() }
}

impl Erasing {
    /// Over these.
    pub fn new(
        reapplied: Reapplied,
        vault: Arc<Vault>,
        indexer: Arc<Indexer>,
        source: Source,
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        purge_after: Duration,
    ) -> Erasing {
        let (book, sealing) = (Mutex::new(reapplied.book), RwLock::default());
        Erasing { vault, indexer, source, disk, dir, purge_after, book, sealing }
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
        writer.append(ToWrite::seal(append, Some(&self.vault))?)
    }

    /// Erasures that are not done.
    pub fn pending(&self) -> Vec<Erasure> {
        self.book.lock().pending.clone()
    }

    /// Who may not be erased.
    pub fn holds(&self) -> Vec<Person> {
        self.book.lock().holds.clone()
    }

    /// Erases these. `known` tells the id of the last erasure of somebody for whom nothing is sealed.
    pub fn erase(
        &self,
        writer: &Writer,
        wanted: Vec<Wanted>,
        known: impl Fn(&Person) -> Result<Option<String>, EngineError>,
    ) -> Result<Vec<Asked>, EraseError> {
        let keyring = self.vault.keyring();
        let keys_of = |Person { tenant, kind, id }: &Person| keyring.keys_of(&keyring::Subject { tenant, kind, id });
        let mut book = self.book.lock();
        // Before anybody has to wait to seal.
        let mut before = HashMap::new();
        for Wanted { person, .. } in &wanted {
            if !before.contains_key(person) && keys_of(person).is_empty() {
                let pending = book.pending.iter().rev().find(|erasure| erasure.person == *person);
                let id = pending.map_or_else(|| known(person), |erasure| Ok(Some(erasure.id.clone())))?;
                before.insert(person.clone(), id);
            }
        }
        let _sealing = self.sealing.write();
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
            let keys = keys_of(person);
            if keys.is_empty()
                && let Some(Some(id)) = before.get(person)
            {
                asked.push(Some(Asked::Known(id.clone())));
                continue;
            }
            entries.push((n, wanted, keys));
            asked.push(None);
        }
        let drafts = entries.iter().map(|(n, wanted, keys)| {
            let is_held = asked[*n] == Some(Asked::Held);
            request(wanted, keys, is_held)
        });
        let receipts = enter(writer, drafts.collect())?;
        let mut begun = Vec::new();
        for ((n, wanted, keys), receipt) in entries.into_iter().zip(receipts) {
            if asked[n].is_none() {
                let requested_ms = self.source.with_row(receipt.seq, |row| row.received_ms)?;
                book.destroyed.extend(keys.iter().map(|key| (*key, requested_ms)));
                let erasure =
                    Erasure { id: receipt.id, person: wanted.person, requested: receipt.seq, requested_ms, keys };
                book.pending.push(erasure.clone());
                self.vault.not_before(requested_ms + 1);
                asked[n] = Some(Asked::Begun(erasure.clone()));
                begun.push(erasure);
            }
            book.known_through(receipt.seq.plus(1));
        }
        let keys: Vec<u64> = begun.iter().flat_map(|erasure| erasure.keys.iter().copied()).collect();
        // In the index too if it fails here: the round that follows tries again.
        let destroyed = keyring.erase_all(&keys, clock::now_ms());
        self.indexer.erase(begun.iter().map(pending).collect());
        destroyed?;
        for (n, first) in again {
            asked[n] = asked[first].clone().map(|asked| match asked {
                Asked::Begun(erasure) => Asked::Known(erasure.id),
                asked => asked,
            });
        }
        self.save(&book);
        Ok(asked.into_iter().flatten().collect())
    }

    /// Says that somebody may not be erased, or may again. `false` if that was so.
    pub fn hold(&self, writer: &Writer, person: Person, mut own: Own, is_held: bool) -> Result<bool, EraseError> {
        let mut book = self.book.lock();
        if book.holds.contains(&person) == is_held {
            return Ok(false);
        }
        own.action = if is_held { HELD } else { HOLD_LIFTED };
        about(&mut own, &person);
        let receipts = enter(writer, vec![own])?;
        match is_held {
            true => book.holds.push(person),
            false => book.holds.retain(|held| *held != person),
        }
        receipts.iter().for_each(|receipt| book.known_through(receipt.seq.plus(1)));
        self.save(&book);
        Ok(true)
    }

    fn save(&self, book: &Book) {
        if let Err(error) = book.save(&*self.disk, &self.dir) {
            warn!("the next start reads the log for erasures again: {error}");
        }
    }

    /// Writes down how far the log is known, so that the next start reads little.
    pub fn close(&self) {
        let mut book = self.book.lock();
        book.known_through(self.source.reader().durable());
        self.save(&book);
    }

    /// The thread that purges.
    pub fn run(&self, writer: &Writer, stop: &Stop) {
        while !stop.is_set() {
            let now_ms = clock::now_ms();
            let is_due = |erasure: &Erasure| {
                u128::from(now_ms.saturating_sub(erasure.requested_ms)) >= self.purge_after.as_millis()
            };
            let pending = self.pending();
            if !pending.iter().any(is_due) {
                stop.wait(LOOK);
                continue;
            }
            match self.purge(writer, &pending, stop) {
                Ok(true) => info!("{} erasures are done", pending.len()),
                Ok(false) => {}
                Err(error) => {
                    error!("a purge failed and is tried again: {error}");
                    stop.wait(RETRY);
                }
            }
        }
    }

    /// Has everything that is erased leave the index, and enters that it did. `false` if it was stopped.
    fn purge(&self, writer: &Writer, pending: &[Erasure], stop: &Stop) -> Result<bool, EraseError> {
        let Some(below) = pending.iter().map(|erasure| erasure.requested.plus(1)).max() else { return Ok(true) };
        let keys: Vec<u64> = pending.iter().flat_map(|erasure| erasure.keys.iter().copied()).collect();
        self.vault.keyring().erase_all(&keys, clock::now_ms())?;
        self.indexer.purge(below);
        while !self.indexer.is_purged(below)? {
            if stop.is_set() {
                return Ok(false);
            }
            stop.wait(LOOK);
        }
        let Some(counts) = self.count(pending, below, stop)? else { return Ok(false) };
        let done = pending.iter().zip(&counts).map(|(erasure, counted)| done(erasure, counted)).collect();
        let receipts = enter(writer, done)?;
        let mut book = self.book.lock();
        book.pending.retain(|erasure| !pending.contains(erasure));
        receipts.iter().for_each(|receipt| book.known_through(receipt.seq.plus(1)));
        self.save(&book);
        drop(book);
        self.indexer.forget_purged(below);
        Ok(true)
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
fn request(wanted: &Wanted, keys: &[u64], is_held: bool) -> Own {
    let mut own = wanted.own.clone();
    own.action = REQUESTED;
    about(&mut own, &wanted.person);
    if let Json::Object(members) = &mut own.detail {
        match is_held {
            true => members.push(("refused".to_owned(), Json::String("on hold".into()))),
            false => members.push(("keys".to_owned(), Json::Array(keys.iter().map(|key| number(*key)).collect()))),
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
    // The same after a crash: it is entered once.
    own.id = Some(done_id(&erasure.id));
    own
}

/// The id of the entry that an erasure ends with.
pub fn done_id(erasure: &str) -> String {
    format!("{erasure}-done")
}

fn about(own: &mut Own, person: &Person) {
    own.tenant.clone_from(&person.tenant);
    own.target = Some(Object { kind: Some(person.kind.clone()), id: Some(person.id.clone()), name: None });
}

/// Enters all of them in one batch; an id that is taken already is the entry itself.
fn enter(writer: &Writer, entries: Vec<Own>) -> Result<Vec<Receipt>, AppendError> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let drafts = entries.into_iter().map(Own::into_draft).collect();
    let append = Append { drafts, skip_conflicts: true, kind: Kind::Erasure };
    let answer = writer.append(ToWrite::seal(append, None)?)?;
    let verdicts = answer.blocking_recv().unwrap_or(Err(AppendError::SyncFailed))?;
    let receipt = |verdict| match verdict {
        Verdict::Stored(receipt) => receipt,
        Verdict::Conflict { id, seq } => Receipt { id, seq, hash: [0; 32], duplicate: true },
    };
    Ok(verdicts.into_iter().map(receipt).collect())
}
