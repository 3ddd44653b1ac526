//! The terms of a span's documents, collected and written as Tantivy's own writer would, byte for byte, in half the time.
//!
//! Tantivy keeps a growing list for every term, so each occurrence meets several places of memory that nothing else has
//! met lately, and at the end each list is decoded and put in the new order of documents. Here occurrences are written one behind the
//! other, as numbers of terms, document by document. At the end they are dealt out to their terms, document by document in the final
//! order: so each list is in order when it is full. Tantivy's `InvertedIndexSerializer` writes them.

use std::hash::BuildHasher;
use std::net::Ipv6Addr;

use ::tantivy::index::{Segment, SegmentComponent};
use ::tantivy::postings::{FieldSerializer, InvertedIndexSerializer};
use ::tantivy::schema::{Facet, Field, IndexRecordOption, Schema};
use ::tantivy::{Directory, DocId, TantivyDocument, TantivyError};
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::index::tantivy::schema::Document;
use crate::text;

/// Between the last word of a value and the first of the next, so that no phrase reaches across.
const GAP: u32 = 1;

/// Stands between the levels of a facet's path.
const BETWEEN_LEVELS: u8 = 0;

/// The files that are written here.
const FILES: [SegmentComponent; 3] = [SegmentComponent::Terms, SegmentComponent::Postings, SegmentComponent::Positions];

/// An entry in two: what it is found by, and the columns, which Tantivy writes.
pub struct Halves<'a> {
    /// Takes the columns.
    pub columns: TantivyDocument,
    /// Takes the rest.
    pub inverted: &'a mut Inverted,
}

impl Document for Halves<'_> {
    fn facet(&mut self, field: Field, path: Facet) {
        let levels = path.encoded_str();
        // The root is in every document.
        self.inverted.add_term(field, b"");
        let ends = levels.bytes().enumerate().skip(1).filter(|(_, byte)| *byte == BETWEEN_LEVELS).map(|(end, _)| end);
        ends.chain([levels.len()]).for_each(|end| self.inverted.add_term(field, &levels.as_bytes()[..end]));
        self.columns.facet(field, path);
    }

    fn term(&mut self, field: Field, term: &str) {
        self.inverted.add_term(field, term.as_bytes());
        if self.inverted.of(field).is_column {
            self.columns.term(field, term);
        }
    }

    fn words(&mut self, field: Field, text: &str) {
        self.inverted.add_words(field, text);
    }

    fn ip(&mut self, field: Field, address: Ipv6Addr) {
        self.columns.ip(field, address);
    }

    fn date(&mut self, field: Field, ms: i64) {
        self.columns.date(field, ms);
    }

    fn number(&mut self, field: Field, number: u64) {
        self.columns.number(field, number);
    }
}

/// What documents are found by.
pub struct Inverted {
    fields: Vec<OfField>,
    /// The number of a field and the bytes of a term, one behind the other.
    keys: Vec<u8>,
    /// Where in `keys` each term ends.
    key_ends: Vec<usize>,
    /// Terms by their hash, which is drawn anew each time: nobody can send terms that collide.
    by_key: HashTable<Slot>,
    hasher: DefaultHashBuilder,
    /// In the order in which they came.
    occurrences: Vec<Occurrence>,
    /// Where in `occurrences` each document ends.
    doc_ends: Vec<usize>,
    /// The key that is looked for.
    wanted: Vec<u8>,
}

struct OfField {
    has_positions: bool,
    is_column: bool,
    occurrences: u64,
    /// Where the next value of this document begins.
    next_position: u32,
}

struct Slot {
    hash: u64,
    term: u32,
}

/// Of a term in a document, or of a document in a term's list.
#[derive(Clone, Copy, Default)]
struct Occurrence {
    number: u32,
    position: u32,
}

impl Inverted {
    /// Of documents with this schema.
    pub fn new(schema: &Schema) -> Inverted {
        let fields = schema.fields().map(|(_, entry)| OfField {
            has_positions: entry.field_type().index_record_option() == Some(IndexRecordOption::WithFreqsAndPositions),
            is_column: entry.is_fast(),
            occurrences: 0,
            next_position: 0,
        });
        Inverted {
            fields: fields.collect(),
            keys: Vec::new(),
            key_ends: Vec::new(),
            by_key: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            occurrences: Vec::new(),
            doc_ends: Vec::new(),
            wanted: Vec::new(),
        }
    }

    /// The document has this term.
    pub fn add_term(&mut self, field: Field, term: &[u8]) {
        self.add(field, term, 0);
    }

    /// The document has the words of this text.
    pub fn add_words(&mut self, field: Field, text: &str) {
        let first = self.of(field).next_position;
        let mut end = first;
        text::tokens(text, &mut |token| {
            let position = first + token.position;
            end = end.max(position + 1);
            self.add(field, token.text.as_bytes(), position);
        });
        self.of(field).next_position = end + GAP;
    }

    /// What comes now is of the next document.
    pub fn end_document(&mut self) {
        self.doc_ends.push(self.occurrences.len());
        self.fields.iter_mut().for_each(|field| field.next_position = 0);
    }

    fn of(&mut self, field: Field) -> &mut OfField {
        &mut self.fields[field.field_id() as usize]
    }

    fn add(&mut self, field: Field, term: &[u8], position: u32) {
        self.of(field).occurrences += 1;
        self.wanted.clear();
        self.wanted.extend_from_slice(&field_prefix(field));
        self.wanted.extend_from_slice(term);
        let hash = self.hasher.hash_one(self.wanted.as_slice());
        let (keys, key_ends, wanted) = (&self.keys, &self.key_ends, &self.wanted);
        let is_wanted = |slot: &Slot| slot.hash == hash && key(keys, key_ends, slot.term) == wanted.as_slice();
        let number = match self.by_key.find(hash, is_wanted) {
            Some(slot) => slot.term,
            None => {
                let term = u32::try_from(self.key_ends.len()).expect("a span has fewer terms than 32 bits can count");
                self.by_key.insert_unique(hash, Slot { hash, term }, |slot| slot.hash);
                self.keys.extend_from_slice(&self.wanted);
                self.key_ends.push(self.keys.len());
                term
            }
        };
        self.occurrences.push(Occurrence { number, position });
    }

    /// Writes terms, postings and positions of the segment, in place of those that are there. `newest_first` has the
    /// numbers that documents were added with, in the order in which they stand in the segment.
    ///
    /// # Errors
    /// What the directory says.
    pub fn write(mut self, segment: &Segment, newest_first: &[DocId]) -> Result<(), TantivyError> {
        self.by_key = HashTable::new();
        let terms = self.terms_in_order();
        let (dealt, ends) = self.deal(&terms, newest_first);
        for file in FILES {
            segment.index().directory().delete(&segment.relative_path(file)).map_err(|error| {
                TantivyError::InternalError(format!("what is to be written again is in the way: {error}"))
            })?;
        }
        let mut serializer = InvertedIndexSerializer::open(segment)?;
        let (mut n, mut start) = (0, 0);
        for (field_id, of_field) in (0..).zip(&self.fields) {
            let field = Field::from_field_id(field_id);
            let prefix = field_prefix(field);
            if of_field.occurrences == 0 {
                continue;
            }
            let mut into = serializer.new_field(field, of_field.occurrences, None)?;
            let mut positions = Vec::new();
            while let Some(term) = terms.get(n).and_then(|term| self.key(*term).strip_prefix(&prefix)) {
                let list = &dealt[start..ends[n]];
                if of_field.has_positions {
                    write_positions(&mut into, term, list, &mut positions)?;
                } else {
                    write_documents(&mut into, term, list)?;
                }
                (n, start) = (n + 1, ends[n]);
            }
            into.close()?;
        }
        serializer.close()?;
        Ok(())
    }

    fn key(&self, term: u32) -> &[u8] {
        key(&self.keys, &self.key_ends, term)
    }

    /// By field, then by bytes.
    fn terms_in_order(&self) -> Vec<u32> {
        let terms = 0..self.key_ends.len() as u32;
        // Most are told apart by their first bytes, and those are at hand.
        let mut terms: Vec<(u128, u32)> = terms.map(|term| (first_bytes(self.key(term)), term)).collect();
        terms.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.key(a.1).cmp(self.key(b.1))));
        terms.into_iter().map(|(_, term)| term).collect()
    }

    /// The occurrences in documents of each term, one term behind the other, and where each one's end.
    fn deal(&mut self, terms: &[u32], newest_first: &[DocId]) -> (Vec<Occurrence>, Vec<usize>) {
        let mut next = vec![0_usize; terms.len()];
        self.occurrences.iter().for_each(|of| next[of.number as usize] += 1);
        let mut ends = Vec::with_capacity(terms.len());
        let mut end = 0;
        for term in terms {
            let start = end;
            end += std::mem::replace(&mut next[*term as usize], start);
            ends.push(end);
        }
        let mut dealt = vec![Occurrence::default(); self.occurrences.len()];
        for (doc, added) in (0..).zip(newest_first) {
            let added = *added as usize;
            let start = if added == 0 { 0 } else { self.doc_ends[added - 1] };
            for Occurrence { number: term, position } in &self.occurrences[start..self.doc_ends[added]] {
                let place = &mut next[*term as usize];
                dealt[*place] = Occurrence { number: doc, position: *position };
                *place += 1;
            }
        }
        self.occurrences = Vec::new();
        (dealt, ends)
    }
}

fn key<'a>(keys: &'a [u8], ends: &[usize], term: u32) -> &'a [u8] {
    let term = term as usize;
    let start = if term == 0 { 0 } else { ends[term - 1] };
    &keys[start..ends[term]]
}

/// Sorts as the number of the field does.
fn field_prefix(field: Field) -> [u8; 2] {
    u16::try_from(field.field_id()).expect("a schema has a few dozen fields").to_be_bytes()
}

/// Of two keys that begin otherwise, these are in the order of the keys.
fn first_bytes(key: &[u8]) -> u128 {
    let mut first = [0; 16];
    let len = key.len().min(first.len());
    first[..len].copy_from_slice(&key[..len]);
    u128::from_be_bytes(first)
}

/// How often a term is in documents matters to ranking only, which nobody does: there are no field norms.
const DOC_FREQ_FOR_RANKING: u32 = 0;

fn write_documents(into: &mut FieldSerializer<'_>, term: &[u8], list: &[Occurrence]) -> Result<(), TantivyError> {
    into.new_term(term, DOC_FREQ_FOR_RANKING, false)?;
    for in_doc in list.chunk_by(|a, b| a.number == b.number) {
        into.write_doc(in_doc[0].number, 0, &[]);
    }
    Ok(into.close_term()?)
}

fn write_positions(
    into: &mut FieldSerializer<'_>,
    term: &[u8],
    list: &[Occurrence],
    deltas: &mut Vec<u32>,
) -> Result<(), TantivyError> {
    into.new_term(term, DOC_FREQ_FOR_RANKING, true)?;
    for in_doc in list.chunk_by(|a, b| a.number == b.number) {
        deltas.clear();
        let mut before = 0;
        for Occurrence { position, .. } in in_doc {
            deltas.push(position - std::mem::replace(&mut before, *position));
        }
        into.write_doc(in_doc[0].number, deltas.len() as u32, deltas);
    }
    Ok(into.close_term()?)
}
