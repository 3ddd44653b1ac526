//! What is known of erasures without reading the whole log: those that are not done, who is on hold, and which keys were destroyed.
//!
//! All of it can be read from the log again. The file says how far it was read, so that a start reads only what came after.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::durable::{self, Disk};
use crate::event::{Entry, Kind, Outcome, Subject};
use crate::index::source::Source;
use crate::index::{EngineError, Within};
use crate::json::Json;
use crate::seq::Seq;

/// The file's name in the data directory.
const FILE: &str = "erasures.json";
/// Sixteen million destroyed keys, and some.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Entries read between two lines that tell of it.
const ENTRIES_PER_LINE: u64 = 1_000_000;

/// The actions of erasures.
pub const REQUESTED: &str = "erasure.requested";
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
    /// Keys that were destroyed, and when that was asked for, ms.
    pub destroyed: Vec<(u64, u64)>,
}

impl Book {
    /// What the file says, and the log behind it. Where nothing was ever sealed no file means that there is nothing to know.
    ///
    /// # Errors
    /// When file or log cannot be read.
    pub fn open(disk: &dyn Disk, dir: &Path, source: &Source, was_sealed: bool) -> Result<Book, EngineError> {
        let end = source.reader().durable();
        let mut book = match Book::load(disk, dir) {
            Ok(Some(book)) if book.through <= end => book,
            found => {
                match found {
                    Ok(Some(_)) => warn!("{FILE} knows more than the log: the log is read for erasures"),
                    Ok(None) if !was_sealed => return Ok(Book { through: end, ..Book::default() }),
                    Ok(None) => info!("{FILE} is not there: the log is read for erasures"),
                    Err(error) => warn!("{FILE} cannot be read, so the log is read for erasures: {error}"),
                }
                Book::default()
            }
        };
        book.read(source, end)?;
        Ok(book)
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
        durable::replace(disk, dir, FILE, &serde_json::to_vec(self).map_err(io::Error::other)?)
    }

    /// Nothing below this is news: entries of erasures come only by way of this book.
    pub fn known_through(&mut self, end: Seq) {
        self.through = self.through.max(end);
    }

    fn read(&mut self, source: &Source, end: Seq) -> Result<(), EngineError> {
        let within = Within { from: self.through, to: end };
        source.rows(within, |row| {
            let read = row.seq.0 - within.from.0;
            if read > 0 && read.is_multiple_of(ENTRIES_PER_LINE) {
                info!("read {read} entries for erasures, up to {} of {end}", row.seq);
            }
            if row.kind == Kind::Erasure {
                self.take(&row.entry()?);
            }
            Ok(())
        })?;
        self.through = end;
        Ok(())
    }

    /// Takes in what an entry says.
    pub fn take(&mut self, entry: &Entry) {
        let event = &entry.event;
        let Some((kind, id)) =
            event.target.as_ref().and_then(|target| Some((target.kind.clone()?, target.id.clone()?)))
        else {
            return;
        };
        let person = Person { tenant: event.tenant.clone(), kind, id };
        match event.action.as_str() {
            REQUESTED if event.outcome == Outcome::Success => {
                let (requested, requested_ms, keys) = (entry.seq, entry.received_ms, keys(event.detail.as_ref()));
                self.destroyed.extend(keys.iter().map(|key| (*key, requested_ms)));
                self.pending.push(Erasure { id: event.id.clone(), person, requested, requested_ms, keys });
            }
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

fn keys(detail: Option<&Json>) -> Vec<u64> {
    match detail.and_then(|detail| detail.get("keys")) {
        Some(Json::Array(keys)) => keys
            .iter()
            .filter_map(|key| match key {
                Json::Number(token) => token.parse().ok(),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}
