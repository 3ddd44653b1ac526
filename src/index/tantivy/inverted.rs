//! The terms of a span's documents, collected and written as Tantivy's own writer would, byte for byte, in a fraction of the time.
//!
//! Tantivy keeps one table of all terms and for each a list that grows, so that every occurrence of a word waits for
//! several places in memory that are in no cache. Here occurrences are only put behind one another, in one of 256 buckets by
//! the hash of their term. At the end each bucket is worked off alone, while all of it is in the cache: its terms are told apart,
//! and its occurrences dealt out to their lists. Tantivy's `InvertedIndexSerializer` writes these, in the order of terms.

use std::hash::BuildHasher;
use std::net::Ipv6Addr;
use std::ops::Range;

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
pub struct Inverted<S = DefaultHashBuilder> {
    fields: Vec<OfField>,
    buckets: Vec<Bucket>,
    /// Is drawn anew each time: nobody can send terms that crowd one bucket.
    hasher: S,
    /// How many documents have ended.
    docs: u32,
}

struct OfField {
    has_positions: bool,
    is_column: bool,
    occurrences: u64,
    /// Where the next value of this document begins.
    next_position: u32,
}

/// Occurrences of some terms, in the order in which they came.
#[derive(Default)]
struct Bucket {
    /// The number of a field and the bytes of a term, one behind the other.
    keys: Vec<u8>,
    occurrences: Vec<Occurrence>,
}

struct Occurrence {
    hash: u32,
    /// Where in the bucket's keys its own ends.
    key_end: u32,
    /// The number that its document was added with.
    added: u32,
    position: u32,
}

/// A document in a term's list.
#[derive(Clone, Copy, Default)]
struct Posting {
    doc: DocId,
    position: u32,
}

/// The terms of all buckets.
#[derive(Default)]
struct Terms {
    keys: Vec<u8>,
    terms: Vec<Term>,
    postings: Vec<Posting>,
}

struct Term {
    key: Range<usize>,
    postings: Range<usize>,
}

const BUCKETS: usize = 256;

impl Inverted {
    /// Of documents with this schema.
    pub fn new(schema: &Schema) -> Inverted {
        Inverted::hashed_by(DefaultHashBuilder::default(), schema)
    }
}

impl<S: BuildHasher> Inverted<S> {
    fn hashed_by(hasher: S, schema: &Schema) -> Inverted<S> {
        let fields = schema.fields().map(|(_, entry)| OfField {
            has_positions: entry.field_type().index_record_option() == Some(IndexRecordOption::WithFreqsAndPositions),
            is_column: entry.is_fast(),
            occurrences: 0,
            next_position: 0,
        });
        let buckets = std::iter::repeat_with(Bucket::default).take(BUCKETS).collect();
        Inverted { fields: fields.collect(), buckets, hasher, docs: 0 }
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
        self.docs += 1;
        self.fields.iter_mut().for_each(|field| field.next_position = 0);
    }

    fn of(&mut self, field: Field) -> &mut OfField {
        &mut self.fields[field.field_id() as usize]
    }

    fn add(&mut self, field: Field, term: &[u8], position: u32) {
        self.of(field).occurrences += 1;
        let hash = self.hasher.hash_one((field.field_id(), term));
        let bucket = &mut self.buckets[(hash >> 56) as usize];
        bucket.keys.extend_from_slice(&field_prefix(field));
        bucket.keys.extend_from_slice(term);
        let key_end = u32::try_from(bucket.keys.len()).expect("the terms of a span have less than a terabyte");
        bucket.occurrences.push(Occurrence { hash: hash as u32, key_end, added: self.docs, position });
    }

    /// Writes terms, postings and positions of the segment, in place of those that are there. `newest_first` has the
    /// numbers that documents were added with, in the order in which they stand in the segment.
    ///
    /// # Errors
    /// What the directory says.
    pub fn write(self, segment: &Segment, newest_first: &[DocId]) -> Result<(), TantivyError> {
        let mut doc_of = vec![0; newest_first.len()];
        (0..).zip(newest_first).for_each(|(doc, added)| doc_of[*added as usize] = doc);
        let mut terms = Terms::default();
        self.buckets.into_iter().for_each(|bucket| terms.take(bucket, &doc_of));
        let in_order = terms.in_order();
        for file in FILES {
            segment.index().directory().delete(&segment.relative_path(file)).map_err(|error| {
                TantivyError::InternalError(format!("what is to be written again is in the way: {error}"))
            })?;
        }
        let mut serializer = InvertedIndexSerializer::open(segment)?;
        let mut in_order = in_order.into_iter().peekable();
        for (field_id, of_field) in (0..).zip(&self.fields).filter(|(_, of_field)| of_field.occurrences > 0) {
            let field = Field::from_field_id(field_id);
            let prefix = field_prefix(field);
            let mut into = serializer.new_field(field, of_field.occurrences, None)?;
            let mut positions = Vec::new();
            while let Some(term) = in_order.next_if(|term| terms.key(*term).starts_with(&prefix)) {
                let key = &terms.key(term)[prefix.len()..];
                let postings = &terms.postings[terms.terms[term as usize].postings.clone()];
                if of_field.has_positions {
                    write_positions(&mut into, key, postings, &mut positions)?;
                } else {
                    write_documents(&mut into, key, postings)?;
                }
            }
            into.close()?;
        }
        serializer.close()?;
        Ok(())
    }
}

impl Terms {
    /// Takes the terms of a bucket, each with its documents in order.
    fn take(&mut self, bucket: Bucket, doc_of: &[DocId]) {
        let Bucket { keys, occurrences } = bucket;
        let first_term = self.terms.len();
        let mut by_key: HashTable<(u32, u32)> = HashTable::new();
        let mut of = Vec::with_capacity(occurrences.len());
        let mut start = 0;
        for Occurrence { hash, key_end, .. } in &occurrences {
            let key = &keys[start..*key_end as usize];
            start = *key_end as usize;
            let is_it = |(other, term): &(u32, u32)| other == hash && self.key(*term) == key;
            let term = match by_key.find(spread(*hash), is_it) {
                Some((_, term)) => *term,
                None => {
                    let term = u32::try_from(self.terms.len()).expect("a span has fewer terms than 32 bits can count");
                    by_key.insert_unique(spread(*hash), (*hash, term), |(hash, _)| spread(*hash));
                    let key_start = self.keys.len();
                    self.keys.extend_from_slice(key);
                    self.terms.push(Term { key: key_start..self.keys.len(), postings: 0..0 });
                    term
                }
            };
            // For now, how many there are.
            self.terms[term as usize].postings.end += 1;
            of.push(term);
        }
        let terms = &mut self.terms;
        let mut end = self.postings.len();
        for Term { postings, .. } in &mut terms[first_term..] {
            let start = end;
            end += postings.end;
            // Its end is where the next one comes.
            *postings = start..start;
        }
        self.postings.resize(end, Posting::default());
        // Events come nearly in the order of time, and stand in the reverse.
        let mut at = occurrences.len();
        for in_doc in occurrences.chunk_by(|a, b| a.added == b.added).rev() {
            at -= in_doc.len();
            for (Occurrence { added, position, .. }, term) in in_doc.iter().zip(&of[at..]) {
                let place = &mut terms[*term as usize].postings.end;
                self.postings[*place] = Posting { doc: doc_of[*added as usize], position: *position };
                *place += 1;
            }
        }
        for Term { postings, .. } in &terms[first_term..] {
            let postings = &mut self.postings[postings.clone()];
            if !postings.is_sorted_by_key(|posting| posting.doc) {
                // The positions in one document stay in the order in which they came.
                postings.sort_by_key(|posting| posting.doc);
            }
        }
    }

    fn key(&self, term: u32) -> &[u8] {
        &self.keys[self.terms[term as usize].key.clone()]
    }

    /// By field, then by bytes.
    fn in_order(&self) -> Vec<u32> {
        let terms = 0..self.terms.len() as u32;
        // Most are told apart by their first bytes, and those are at hand.
        let mut terms: Vec<(u128, u32)> = terms.map(|term| (first_bytes(self.key(term)), term)).collect();
        terms.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.key(a.1).cmp(self.key(b.1))));
        terms.into_iter().map(|(_, term)| term).collect()
    }
}

/// All bits of a table's hash count.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
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

fn write_documents(into: &mut FieldSerializer<'_>, term: &[u8], postings: &[Posting]) -> Result<(), TantivyError> {
    into.new_term(term, DOC_FREQ_FOR_RANKING, false)?;
    for in_doc in postings.chunk_by(|a, b| a.doc == b.doc) {
        into.write_doc(in_doc[0].doc, 0, &[]);
    }
    Ok(into.close_term()?)
}

fn write_positions(
    into: &mut FieldSerializer<'_>,
    term: &[u8],
    postings: &[Posting],
    deltas: &mut Vec<u32>,
) -> Result<(), TantivyError> {
    into.new_term(term, DOC_FREQ_FOR_RANKING, true)?;
    for in_doc in postings.chunk_by(|a, b| a.doc == b.doc) {
        deltas.clear();
        let mut before = 0;
        for Posting { position, .. } in in_doc {
            deltas.push(position - std::mem::replace(&mut before, *position));
        }
        into.write_doc(in_doc[0].doc, deltas.len() as u32, deltas);
    }
    Ok(into.close_term()?)
}
