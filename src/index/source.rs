//! Reads entries out of the log: record, payload, event. Scan, spans and rows all come through here, and so does the question
//! who may see what is about persons: it is asked once, of the source.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use crate::event::row::Added;
use crate::event::{self, BodyHead, Entry, Event, Kind, PartKind, Seen, SeenParts};
use crate::export::bundle::Content;
use crate::index::{EngineError, Within};
use crate::log::payload::Payload;
use crate::log::{Excised, FrameType, Parts, ReadError, Reader, Record};
use crate::privacy::{Plaintext, Vault};
use crate::seq::Seq;
use crate::tree::leaf::LEAF_BYTES;
use crate::tree::{Hash, Leaf};
use crate::verify;

/// To wake another core costs about as much as reading one sealed row.
const ROWS_PER_CORE_MIN: usize = 8;

/// What a reader gets of what is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Personal {
    /// As much of it as can be opened.
    Shown,
    /// None of it: entries are as if they had never told it.
    Hidden,
}

/// The log, read as entries.
#[derive(Clone)]
pub struct Source {
    reader: Reader,
    vault: Option<Arc<Vault>>,
    personal: Personal,
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
    /// The body bytes, a JSON object, with what was opened back in its place.
    pub body: Cow<'a, str>,
    /// What became of what is sealed.
    pub parts: SeenParts,
    /// Which members we filled in (`Draft::defaults`).
    pub defaults: u8,
    /// The highest number of a key that something of it is sealed under, 0 if nothing is.
    pub key_max: u64,
    /// Its content was cut out, and this stands for it.
    pub is_stand_in: bool,
}

/// An entry as it was hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Its place in the log, and of its leaf in the tree.
    pub seq: Seq,
    /// The leaf.
    pub leaf: [u8; LEAF_BYTES],
    /// What the leaf commits to.
    pub content: Content,
}

/// Where a record is while its row is shown, which lends from it.
type Place = OnceLock<Result<Stored, EngineError>>;

/// A record whose payload is an event's: its own or, if its content was cut out, that of its stand-in.
struct Stored {
    record: Record,
    /// What is left of one that was cut out: its leaf's hash.
    left: Option<Hash>,
}

impl Stored {
    fn of(record: Record) -> Result<Stored, EngineError> {
        match record.frame_type {
            FrameType::Event => Ok(Stored { record, left: None }),
            FrameType::Excised | FrameType::Commit | FrameType::Seal => Stored::stand_in(record),
        }
    }

    fn stand_in(record: Record) -> Result<Stored, EngineError> {
        let seq = record.seq;
        let excised = Excised::decode(&record.payload).map_err(|e| broken(seq, e))?;
        let leaf = verify::leaf_of_excised(&excised).map_err(|e| broken(seq, e))?;
        let Leaf { kind, received_ms, tenant_seq, .. } = leaf;
        let body = event::stand_in(seq, received_ms, excised.tenant, excised.by).body();
        let mut payload = Vec::new();
        Payload { kind, received_ms, tenant_seq, salt: [0; 16], body: body.as_bytes(), parts: Parts::NONE }
            .encode(&mut payload);
        Ok(Stored { record: Record { payload, ..record }, left: Some(leaf.hash()) })
    }

    fn payload(&self) -> Result<Payload<'_>, EngineError> {
        Payload::decode(&self.record.payload).map_err(|e| broken(self.record.seq, e))
    }
}

impl Source {
    /// Reads through `reader`, and opens nothing.
    pub fn new(reader: Reader) -> Source {
        Source { reader, vault: None, personal: Personal::Hidden }
    }

    /// The same with the keys of what is sealed. Nobody is shown it yet.
    pub fn with_vault(self, vault: Option<Arc<Vault>>) -> Source {
        Source { vault, ..self }
    }

    /// The same for those who may see what is sealed, or may not.
    pub fn seen(&self, personal: Personal) -> Source {
        Source { personal, ..self.clone() }
    }

    /// Whether what is sealed is shown.
    pub fn personal(&self) -> Personal {
        self.personal
    }

    /// The log's reader.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// One row, handed to `each` as bytes.
    pub fn with_row<T>(&self, seq: Seq, each: impl FnOnce(Row<'_>) -> T) -> Result<T, EngineError> {
        let stored = self.read(seq)?;
        Ok(each(self.row(&stored)?))
    }

    /// The rows of some entries, in the order of `seqs`, until `each` says no. They are read on all cores and then shown one
    /// by one, so give few: all are in memory together.
    pub fn with_rows(
        &self,
        seqs: &[Seq],
        mut each: impl FnMut(Row<'_>) -> Result<bool, EngineError>,
    ) -> Result<(), EngineError> {
        self.reader.announce(seqs);
        let records: Vec<Place> = seqs.iter().map(|_| Place::new()).collect();
        let places = seqs.par_iter().zip(&records).with_min_len(ROWS_PER_CORE_MIN);
        let rows: Vec<_> = places.map(|(seq, place)| self.read_row(*seq, place)).collect();
        let mut unread = None;
        for (n, row) in rows.into_iter().enumerate() {
            let Some(row) = row else {
                unread = Some(n);
                break;
            };
            if !each(row?)? {
                break;
            }
        }
        match unread.and_then(|n| records.into_iter().nth(n)?.into_inner()) {
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// What a proof of an entry begins with: its leaf, and what the leaf commits to.
    pub fn evidence(&self, seq: Seq) -> Result<Evidence, EngineError> {
        let record = self.reader.read(seq)?;
        if record.frame_type == FrameType::Excised {
            let Excised { leaf, by, tenant } = Excised::decode(&record.payload).map_err(|e| broken(seq, e))?;
            return Ok(Evidence { seq, leaf: *leaf, content: Content::CutOut { by, tenant: tenant.to_owned() } });
        }
        let payload = Payload::decode(&record.payload).map_err(|e| broken(seq, e))?;
        let leaf = leaf(seq, &payload)?.encode();
        Ok(Evidence { seq, leaf, content: Content::Whole { salt: payload.salt, body: payload.body.to_vec() } })
    }

    /// What was sealed of an entry, byte for byte, as far as the reader may see it and it can be opened.
    pub fn opened(&self, seq: Seq) -> Result<Vec<Plaintext>, EngineError> {
        let (Personal::Shown, Some(vault)) = (self.personal, &self.vault) else { return Ok(Vec::new()) };
        let stored = self.read(seq)?;
        let payload = stored.payload()?;
        vault.plaintexts(payload.salt, payload.parts).map_err(|e| broken(seq, e))
    }

    /// One entry.
    pub fn entry(&self, seq: Seq) -> Result<Entry, EngineError> {
        let stored = self.read(seq)?;
        self.row(&stored)?.entry()
    }

    fn read(&self, seq: Seq) -> Result<Stored, EngineError> {
        Stored::of(self.reader.read(seq)?)
    }

    /// `None` if it cannot be read: why is in its place then.
    fn read_row<'a>(&self, seq: Seq, place: &'a Place) -> Option<Result<Row<'a>, EngineError>> {
        Some(self.row(place.get_or_init(|| self.read(seq)).as_ref().ok()?))
    }

    fn stored(&self, within: Within) -> impl Iterator<Item = Result<Stored, EngineError>> + Send + use<> {
        self.reader.range(within.from, within.to).map(|record: Result<Record, ReadError>| Stored::of(record?))
    }

    /// The entries of a range, in order, with the length of each body in bytes.
    pub fn range(&self, within: Within) -> impl Iterator<Item = Result<(Entry, usize), EngineError>> + Send + use<> {
        let source = self.clone();
        self.stored(within).map(move |stored| {
            let stored = stored?;
            let row = source.row(&stored)?;
            Ok((row.entry()?, row.body.len()))
        })
    }

    /// The entries of a range as an index takes them.
    pub fn to_index(&self, within: Within) -> impl Iterator<Item = Result<ToIndex, EngineError>> + Send + use<> {
        let source = self.clone();
        self.stored(within).map(move |stored| source.indexed(&stored?))
    }

    /// One entry as an index takes it.
    pub fn one_to_index(&self, seq: Seq) -> Result<ToIndex, EngineError> {
        self.indexed(&self.read(seq)?)
    }

    fn indexed(&self, stored: &Stored) -> Result<ToIndex, EngineError> {
        let (record, payload) = (&stored.record, stored.payload()?);
        let seq = record.seq;
        let event = Event::from_body(body_of(seq, &payload)?).map_err(|e| broken(seq, e))?;
        let mut sealed = Vec::new();
        if !event.sealed.is_empty()
            && let Some(vault) = &self.vault
        {
            for kind in PartKind::ALL {
                let mut alone = event.without_personal();
                alone.sealed.retain(|digest| digest.kind == kind);
                if alone.sealed.is_empty() {
                    continue;
                }
                let seen = vault.open(&mut alone, payload.salt, payload.parts).map_err(|e| broken(seq, e))?;
                if seen.get(kind) == Some(Seen::Open) {
                    let of_kind = payload.parts.iter().filter(|part| part.kind == kind.as_byte());
                    let keys = of_kind.flat_map(|part| part.keys()).collect();
                    sealed.push(SealedPart { part: kind, keys, event: alone });
                }
            }
        }
        let bytes = if sealed.is_empty() { payload.body.len() } else { record.payload.len() };
        let (received_ms, kind) = (payload.received_ms, kind_of(seq, &payload)?);
        // Nothing is found by its hash, and the log's frames have checksums of their own.
        let (hash, parts) = (Hash::default(), SeenParts::default());
        Ok(ToIndex { entry: Entry { seq, received_ms, kind, hash, event, parts }, sealed, bytes })
    }

    /// The rows of a range, in order, as bytes.
    pub fn rows(
        &self,
        within: Within,
        mut each: impl FnMut(Row<'_>) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        for stored in self.stored(within) {
            each(self.row(&stored?)?)?;
        }
        Ok(())
    }

    /// The numbers of the keys that the entries of a range are sealed under, in order; those of which nothing is sealed are left out.
    pub fn keys_of(&self, within: Within, mut each: impl FnMut(Seq, &[u64]) -> bool) -> Result<(), EngineError> {
        let mut keys = Vec::new();
        for stored in self.stored(within) {
            let stored = stored?;
            keys.clear();
            keys.extend(stored.payload()?.parts.iter().flat_map(|part| part.keys()));
            if !each(stored.record.seq, &keys) {
                break;
            }
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
        let event = Event::from_body(&self.body).map_err(|e| broken(self.seq, e))?;
        let Row { seq, received_ms, kind, hash, parts, .. } = *self;
        Ok(Entry { seq, received_ms, kind, hash, event, parts })
    }

    /// What stands beside the body in an answer.
    pub fn added<'b>(&'b self, category: &'b str) -> Added<'b> {
        Added { seq: self.seq, received_ms: self.received_ms, hash: &self.hash, category, parts: self.parts }
    }

    /// What its sender said, as far as it can be read.
    pub fn told(&self) -> Result<Cow<'_, str>, EngineError> {
        if self.parts == SeenParts::default() {
            return Ok(Cow::Borrowed(&self.body));
        }
        let mut event = self.entry()?.event;
        event.sealed.clear();
        Ok(Cow::Owned(event.body()))
    }
}

/// A part that could be opened.
pub struct SealedPart {
    /// Which.
    pub part: PartKind,
    /// The numbers of the keys that it is sealed under.
    pub keys: Vec<u64>,
    /// The part alone, in an event that has nothing else of the kind.
    pub event: Event,
}

/// An entry as an index takes it.
pub struct ToIndex {
    /// As everybody sees it, without its hash and without what became of its parts.
    pub entry: Entry,
    /// What is sealed of it and can be opened.
    pub sealed: Vec<SealedPart>,
    /// What it takes of a span's bytes.
    pub bytes: usize,
}

impl Source {
    fn row<'a>(&self, stored: &'a Stored) -> Result<Row<'a>, EngineError> {
        let (seq, payload) = (stored.record.seq, stored.payload()?);
        let (body, kind) = (body_of(seq, &payload)?, kind_of(seq, &payload)?);
        let head = BodyHead::read(body).map_err(|e| broken(seq, e))?;
        let hash = stored.left.unwrap_or_else(|| verify::leaf(&payload, &head.tenant).hash());
        let (body, parts) = self.shown(seq, &payload, body)?;
        let key_max = payload.parts.iter().flat_map(|part| part.keys()).max().unwrap_or(0);
        let (received_ms, is_stand_in) = (payload.received_ms, stored.left.is_some());
        Ok(Row { seq, received_ms, hash, kind, head, body, parts, defaults: stored.record.flags, key_max, is_stand_in })
    }

    /// What the reader sees of a body, and what became of its sealed parts.
    fn shown<'a>(
        &self,
        seq: Seq,
        payload: &Payload<'a>,
        body: &'a str,
    ) -> Result<(Cow<'a, str>, SeenParts), EngineError> {
        // By far the usual case, told without reading the body: one that names parts which are not there is found by `verify`.
        if payload.parts.is_empty() {
            return Ok((Cow::Borrowed(body), SeenParts::default()));
        }
        let mut event = Event::from_body(body).map_err(|e| broken(seq, e))?;
        let Some(vault) = &self.vault else {
            return Ok((Cow::Borrowed(body), all(&event, Seen::Hidden)));
        };
        match self.personal {
            // That it was erased is for everybody to know.
            Personal::Hidden => {
                let mut parts = all(&event, Seen::Hidden);
                for part in payload.parts.iter() {
                    if vault.is_erased(&part).map_err(|e| broken(seq, e))?
                        && let Some(kind) = PartKind::from_byte(part.kind)
                    {
                        parts.set(kind, Seen::Erased);
                    }
                }
                Ok((Cow::Borrowed(body), parts))
            }
            Personal::Shown => {
                let parts = vault.open(&mut event, payload.salt, payload.parts).map_err(|e| broken(seq, e))?;
                Ok((Cow::Owned(event.body()), parts))
            }
        }
    }
}

fn all(event: &Event, seen: Seen) -> SeenParts {
    let mut parts = SeenParts::default();
    event.sealed.iter().for_each(|digest| parts.set(digest.kind, seen));
    parts
}

/// The leaf hash of an event's payload as it lies in the log.
pub fn leaf_hash_of(seq: Seq, payload: &[u8]) -> Result<Hash, EngineError> {
    let payload = Payload::decode(payload).map_err(|e| broken(seq, e))?;
    Ok(leaf(seq, &payload)?.hash())
}

fn leaf(seq: Seq, payload: &Payload<'_>) -> Result<Leaf, EngineError> {
    let head = BodyHead::read(body_of(seq, payload)?).map_err(|e| broken(seq, e))?;
    Ok(verify::leaf(payload, &head.tenant))
}

fn body_of<'a>(seq: Seq, payload: &Payload<'a>) -> Result<&'a str, EngineError> {
    std::str::from_utf8(payload.body).map_err(|e| broken(seq, e))
}

fn kind_of(seq: Seq, payload: &Payload<'_>) -> Result<Kind, EngineError> {
    Kind::from_byte(payload.kind).ok_or_else(|| broken(seq, "unknown kind"))
}

fn broken(seq: Seq, why: impl ToString) -> EngineError {
    EngineError::Record { seq, why: why.to_string() }
}
