//! What is known of erasures without reading the whole log: those that are not done, who is on hold, and which keys were destroyed.
//!
//! All of it can be read from the log again. The file says how far it was read, so that a start reads only what came after.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::durable::{self, Disk};
pub use crate::event::erasures::REQUESTED;
use crate::event::erasures::Requested;
use crate::event::row::hex;
use crate::event::{Entry, Kind, Subject};
use crate::index::source::Source;
use crate::index::{EngineError, Within};
use crate::keyring::{self, Whose};
use crate::seq::Seq;

/// The file's name in the data directory.
const FILE: &str = "erasures.json";
/// Sixteen million destroyed keys, and some.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Entries read between two lines that tell of it.
const ENTRIES_PER_LINE: u64 = 1_000_000;

/// Nothing is left of it.
pub const DONE: &str = "erasure.done";
/// Somebody may not be erased.
pub const HELD: &str = "erasure.held";
/// They may again.
pub const HOLD_LIFTED: &str = "erasure.hold_lifted";

/// Somebody, in the log of their tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Person {
    /// Whose they are.
    pub tenant: String,
    /// `contact`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What their tenant knows them by.
    pub id: String,
}

impl Person {
    /// Somebody of this tenant.
    pub fn of(tenant: &str, subject: &Subject) -> Person {
        Person { tenant: tenant.to_owned(), kind: subject.kind.clone(), id: subject.id.clone() }
    }

    /// As the keyring knows them.
    pub fn as_subject(&self) -> keyring::Subject<'_> {
        keyring::Subject { tenant: &self.tenant, kind: &self.kind, id: &self.id }
    }
}

/// An erasure that is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Its name: the id of the entry that began it.
    pub id: String,
    /// Who is erased.
    pub person: Person,
    /// Where it was asked for.
    pub requested: Seq,
    /// When that was received, ms.
    pub requested_ms: u64,
    /// The keys that it destroys.
    pub keys: Vec<u64>,
}

/// What is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// The log was read up to here.
    through: Seq,
    /// Not done, in the order of the log.
    pub pending: Vec<Erasure>,
    /// Who may not be erased.
    pub holds: Vec<Person>,
    /// Keys that were destroyed.
    pub destroyed: Vec<Destroyed>,
    /// Numbers of keys below this were given.
    pub keys_below: u64,
    /// The hash of the last entry that was read: by it another log is told from this one.
    last_hash: Option<String>,
    /// An entry may be in the log that is not here: it is read again at the next start.
    #[serde(skip)]
    pub is_stale: bool,
}

/// A key that was destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destroyed {
    /// Its number.
    pub key: u64,
    /// It was made at this ms or before; one that was made later is another.
    pub until_ms: u64,
    /// Whose it was.
    pub whose: Whose,
}

/// Tells whose a person's keys are.
pub type Tell<'a> = dyn Fn(&Person) -> Whose + 'a;

impl Book {
    /// What the file says, and the log behind it; without a file all of the log is read, once.
    ///
    /// # Errors
    /// When file or log cannot be read.
    pub fn open(disk: &dyn Disk, dir: &Path, source: &Source, tell: &Tell<'_>) -> Result<Book, EngineError> {
        let end = source.reader().durable();
        let mut book = match Book::load(disk, dir) {
            Ok(Some(book)) if book.through <= end && book.is_of(source)? => book,
            found => {
                match found {
                    Ok(Some(_)) => warn!("{FILE} is not of this log as it is: the log is read for erasures"),
                    Ok(None) if end == Seq::ZERO => {}
                    Ok(None) => info!("{FILE} is not there: the log is read for erasures"),
                    Err(error) => warn!("{FILE} cannot be read, so the log is read for erasures: {error}"),
                }
                Book::default()
            }
        };
        book.read(source, end, tell)?;
        Ok(book)
    }

    fn is_of(&self, source: &Source) -> Result<bool, EngineError> {
        Ok(hash_below(source, self.through)? == self.last_hash)
    }

    fn load(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Book>> {
        let path = dir.join(FILE);
        if !disk.exists(&path)? {
            return Ok(None);
        }
        let bytes = durable::read_small(disk, &path, FILE_BYTES_MAX)?;
        serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other)
    }

    /// Writes it down: the next start reads the log from here.
    ///
    /// # Errors
    /// When the disk fails; then the next start reads more.
    pub fn save(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        if self.is_stale {
            return Ok(());
        }
        durable::replace(disk, dir, FILE, &serde_json::to_vec(self).map_err(io::Error::other)?)
    }

    /// Nothing below this is news: entries of erasures come only by way of this book.
    ///
    /// # Errors
    /// When the last entry cannot be read.
    pub fn known_through(&mut self, source: &Source, end: Seq) -> Result<(), EngineError> {
        if end > self.through {
            (self.last_hash, self.through) = (hash_below(source, end)?, end);
        }
        Ok(())
    }

    fn read(&mut self, source: &Source, end: Seq, tell: &Tell<'_>) -> Result<(), EngineError> {
        let within = Within { from: self.through, to: end };
        source.rows(within, |row| {
            let read = row.seq.0 - within.from.0;
            if read > 0 && read.is_multiple_of(ENTRIES_PER_LINE) {
                info!("read {read} entries for erasures, up to {} of {end}", row.seq);
            }
            // Of an older keyring none is given twice.
            self.keys_below = self.keys_below.max(row.key_max + 1);
            if row.kind == Kind::Erasure {
                self.take(&row.entry()?, tell);
            }
            Ok(())
        })?;
        self.known_through(source, end)
    }

    /// An erasure is entered.
    pub fn begin(&mut self, erasure: Erasure, until_ms: u64, tell: &Tell<'_>) {
        let whose = tell(&erasure.person);
        self.destroyed.extend(erasure.keys.iter().map(|key| Destroyed { key: *key, until_ms, whose }));
        self.pending.push(erasure);
    }

    /// Takes in what an entry says.
    fn take(&mut self, entry: &Entry, tell: &Tell<'_>) {
        let event = &entry.event;
        if let Some(Requested { who, keys, until_ms }) = event.requested_erasure() {
            let (person, id) = (Person::of(&event.tenant, &who), event.id.clone());
            let (requested, requested_ms) = (entry.seq, entry.received_ms);
            let erasure = Erasure { id, person, requested, requested_ms, keys };
            return self.begin(erasure, until_ms.unwrap_or(requested_ms), tell);
        }
        let Some(person) = event.target_subject().map(|who| Person::of(&event.tenant, &who)) else { return };
        match event.action.as_str() {
            DONE => {
                let done = event.detail.as_ref().and_then(|detail| detail.get("erasure")?.as_str());
                self.pending.retain(|erasure| Some(erasure.id.as_str()) != done);
            }
            HELD if !self.holds.contains(&person) => self.holds.push(person),
            HOLD_LIFTED => self.holds.retain(|held| *held != person),
            _ => {}
        }
    }
}

/// The hash of the last entry below this.
fn hash_below(source: &Source, end: Seq) -> Result<Option<String>, EngineError> {
    let Some(last) = end.0.checked_sub(1) else { return Ok(None) };
    source.with_row(Seq(last), |row| Some(hex(&row.hash)))
}
