//! Reads entries out of the log: record, payload, event. Scan, spans and rows all come through here.

use rayon::prelude::*;

use crate::event::{BodyHead, Entry, Event, Kind};
use crate::index::{EngineError, Within};
use crate::log::payload::Payload;
use crate::log::{Reader, Record};
use crate::seq::Seq;
use crate::tree::leaf::LEAF_BYTES;
use crate::tree::{self, Hash, Leaf};
use crate::verify;

/// To wake another core costs about as much as reading one sealed row.
const ROWS_PER_CORE_MIN: usize = 8;

/// The log, read as entries.
#[derive(Clone)]
pub struct Source {
    reader: Reader,
}

/// A stored event as bytes, for callers that render or copy it without taking it apart.
pub struct Row<'a> {
    /// Its place in the log.
    pub seq: Seq,
    /// Our clock when it was appended, ms.
    pub received_ms: u64,
    /// Its leaf hash.
    pub hash: [u8; 32],
    /// What the record is.
    pub kind: Kind,
    /// Id, tenant and action.
    pub head: BodyHead<'a>,
    /// The body bytes, a JSON object.
    pub body: &'a str,
    /// Which members we filled in (`Draft::defaults`).
    pub defaults: u8,
}

/// An entry as it was hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Its place in the log, and of its leaf in the tree.
    pub seq: Seq,
    /// The leaf.
    pub leaf: [u8; LEAF_BYTES],
    /// What keeps the commitment from being guessed.
    pub salt: [u8; 16],
    /// The body, byte for byte.
    pub body: Vec<u8>,
}

impl Source {
    /// Reads through `reader`.
    pub fn new(reader: Reader) -> Source {
        Source { reader }
    }

    /// The log's reader.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// One row, handed to `each` as bytes.
    pub fn with_row<T>(&self, seq: Seq, each: impl FnOnce(Row<'_>) -> T) -> Result<T, EngineError> {
        let record = self.reader.read(seq)?;
        Ok(each(row(&record)?))
    }

    /// The rows of some entries, in the order of `seqs`, until `each` says no. They are read on all cores and then shown one
    /// by one, so give few: all are in memory together.
    pub fn with_rows(
        &self,
        seqs: &[Seq],
        mut each: impl FnMut(Row<'_>) -> Result<bool, EngineError>,
    ) -> Result<(), EngineError> {
        let read = |seq: &Seq| self.reader.read(*seq);
        let records: Vec<_> = seqs.par_iter().with_min_len(ROWS_PER_CORE_MIN).map(read).collect();
        for record in records {
            if !each(row(&record?)?)? {
                break;
            }
        }
        Ok(())
    }

    /// What a proof of an entry begins with: its leaf, and what the leaf commits to.
    pub fn evidence(&self, seq: Seq) -> Result<Evidence, EngineError> {
        let record = self.reader.read(seq)?;
        let payload = Payload::decode(&record.payload).map_err(|e| broken(seq, e))?;
        let leaf = leaf(seq, &payload)?;
        Ok(Evidence { seq, leaf: leaf.encode(), salt: payload.salt, body: payload.body.to_vec() })
    }

    /// One entry.
    pub fn entry(&self, seq: Seq) -> Result<Entry, EngineError> {
        let record = self.reader.read(seq)?;
        row(&record)?.entry()
    }

    /// The entries of a range, in order, with the length of each body in bytes.
    pub fn range(&self, within: Within) -> impl Iterator<Item = Result<(Entry, usize), EngineError>> + Send + use<> {
        self.reader.range(within.from, within.to).map(|record| {
            let record = record?;
            let row = row(&record)?;
            Ok((row.entry()?, row.body.len()))
        })
    }

    /// The rows of a range, in order, as bytes.
    pub fn rows(
        &self,
        within: Within,
        mut each: impl FnMut(Row<'_>) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        for record in self.reader.range(within.from, within.to) {
            each(row(&record?)?)?;
        }
        Ok(())
    }

    /// The first seq below `to` whose `received` is at or after `ms`, or `to`. `received` never falls along the log.
    pub fn first_received_at(&self, ms: u64, to: Seq) -> Result<Seq, EngineError> {
        let (mut low, mut high) = (0, to.0);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.with_row(Seq(middle), |row| row.received_ms)? < ms {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Ok(Seq(low))
    }
}

impl Row<'_> {
    /// The row as an entry.
    pub fn entry(&self) -> Result<Entry, EngineError> {
        let event = Event::from_body(self.body).map_err(|e| broken(self.seq, e))?;
        Ok(Entry { seq: self.seq, received_ms: self.received_ms, kind: self.kind, hash: self.hash, event })
    }
}

fn row(record: &Record) -> Result<Row<'_>, EngineError> {
    let seq = record.seq;
    let payload = Payload::decode(&record.payload).map_err(|e| broken(seq, e))?;
    let body = std::str::from_utf8(payload.body).map_err(|e| broken(seq, e))?;
    let kind = Kind::from_byte(payload.kind).ok_or_else(|| broken(seq, "unknown kind"))?;
    let head = BodyHead::read(body).map_err(|e| broken(seq, e))?;
    let leaf = verify::leaf(&payload, &head.tenant);
    Ok(Row {
        seq,
        received_ms: payload.received_ms,
        hash: tree::leaf_hash(&leaf.encode()),
        kind,
        head,
        body,
        defaults: record.flags,
    })
}

/// The leaf hash of an event's payload as it lies in the log.
pub fn leaf_hash_of(seq: Seq, payload: &[u8]) -> Result<Hash, EngineError> {
    let payload = Payload::decode(payload).map_err(|e| broken(seq, e))?;
    Ok(leaf(seq, &payload)?.hash())
}

fn leaf(seq: Seq, payload: &Payload<'_>) -> Result<Leaf, EngineError> {
    let body = std::str::from_utf8(payload.body).map_err(|e| broken(seq, e))?;
    let head = BodyHead::read(body).map_err(|e| broken(seq, e))?;
    Ok(verify::leaf(payload, &head.tenant))
}

fn broken(seq: Seq, why: impl ToString) -> EngineError {
    EngineError::Record { seq, why: why.to_string() }
}
