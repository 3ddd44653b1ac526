//! The terms of a span's documents, collected and written as Tantivy's own writer would, byte for byte, in a fraction of the time.
//!
//! Tantivy keeps one table of all terms and for each a list that grows, so that every occurrence of a word waits for
//! several places in memory that are in no cache. Here occurrences are only put behind one another, in one of 256 buckets by
//! the hash of their term. Now and then each bucket is worked off alone, so that all of it is in the cache: which term is it, which
//! document, where in it? At the end these are dealt out to the lists of their terms, again bucket by bucket, and Tantivy's
//! `InvertedIndexSerializer` writes them in the order of terms.

use std::hash::BuildHasher;
use std::ops::Range;

use ::tantivy::index::{Segment, SegmentComponent};
use ::tantivy::postings::{FieldSerializer, InvertedIndexSerializer};
use ::tantivy::schema::{Facet, Field, FieldEntry, IndexRecordOption, Schema};
use ::tantivy::{DocId, TantivyError};
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::index::tantivy::term_filter::FilterWriter;
use crate::text;

/// Between the last word of a value and the first of the next, so that no phrase reaches across.
const GAP: u32 = 1;

/// Stands between the levels of a facet's path.
const BETWEEN_LEVELS: u8 = 0;

/// Tantivy's files that are written here.
pub const FILES: [SegmentComponent; 3] =
    [SegmentComponent::Terms, SegmentComponent::Postings, SegmentComponent::Positions];

/// Whether it is kept where in a document a term of this field stands.
pub fn has_positions(field: &FieldEntry) -> bool {
    field.field_type().index_record_option() == Some(IndexRecordOption::WithFreqsAndPositions)
}

/// What documents are found by.
pub struct Inverted<S = DefaultHashBuilder> {
    fields: Vec<OfField>,
    buckets: Vec<Bucket>,
    /// Is drawn anew each time: nobody can send terms that crowd one bucket.
    hasher: S,
    /// How many documents have ended.
    docs: u32,
    /// Occurrences that were not worked off yet.
    fresh: usize,
    /// At so many they are.
    fresh_max: usize,
}

struct OfField {
    has_positions: bool,
    occurrences: u64,
    /// Where the next value of this document begins.
    next_position: u32,
}

/// Some of the terms, and where they are.
#[derive(Default)]
struct Bucket {
    /// The number of a field and the bytes of a term for each of `fresh`, one behind the other.
    fresh_keys: Vec<u8>,
    fresh: Vec<Fresh>,
    /// The same for each term, by its number.
    keys: Vec<u8>,
    key_ends: Vec<usize>,
    /// Hash and number of each term.
    terms: HashTable<(u32, u32)>,
    /// In the order in which they came.
    occurrences: Vec<Occurrence>,
}

/// An occurrence of a term whose number is not known yet.
struct Fresh {
    hash: u32,
    /// Where in `fresh_keys` its key ends.
    key_end: u32,
    added: u32,
    position: u32,
}

struct Occurrence {
    /// The number of the term in its bucket.
    term: u32,
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

/// The terms of a bucket, each with its documents in order.
struct Dealt {
    keys: Vec<u8>,
    key_ends: Vec<usize>,
    postings: Vec<Posting>,
    posting_ends: Vec<usize>,
}

/// A term as it is written.
struct Term<'a> {
    /// The first bytes of its key, by which most are told apart: these are at hand.
    first: u128,
    key: &'a [u8],
    postings: &'a [Posting],
}

impl Term<'_> {
    fn field(&self) -> Field {
        Field::from_field_id((self.first >> (u128::BITS - 8 * FIELD_BYTES as u32)) as u32)
    }
}

/// A key begins with its field.
const FIELD_BYTES: usize = 2;
/// So many terms are asked of the memory at a time: about as many as it looks for at once.
const ASKED_FOR: usize = 16;
const BUCKETS: usize = 256;
/// A document has about so many: a generated event 92.
const OCCURRENCES: usize = 96;
/// So many occurrences, with their keys about 14 MB, are worked off at a time: about 2,000 in a bucket.
const FRESH_MAX: usize = 512 << 10;

impl Inverted {
    /// Of about so many documents with this schema.
    pub fn new(schema: &Schema, about: usize) -> Inverted {
        let mut inverted = Inverted::hashed_by(DefaultHashBuilder::default(), FRESH_MAX, schema);
        for bucket in &mut inverted.buckets {
            bucket.occurrences.reserve(about * OCCURRENCES / BUCKETS);
        }
        inverted
    }
}

impl<S: BuildHasher> Inverted<S> {
    fn hashed_by(hasher: S, fresh_max: usize, schema: &Schema) -> Inverted<S> {
        let fields = schema.fields().map(|(_, entry)| OfField {
            has_positions: has_positions(entry),
            occurrences: 0,
            next_position: 0,
        });
        let buckets = std::iter::repeat_with(Bucket::default).take(BUCKETS).collect();
        Inverted { fields: fields.collect(), buckets, hasher, docs: 0, fresh: 0, fresh_max }
    }

    /// The document has this term.
    pub fn add_term(&mut self, field: Field, term: &[u8]) {
        self.add(field, term, 0);
    }

    /// The document has this path, and is found by each of its levels.
    pub fn add_facet(&mut self, field: Field, path: &Facet) {
        let levels = path.encoded_str();
        // The root is in every document.
        self.add_term(field, b"");
        let ends = levels.bytes().enumerate().skip(1).filter(|(_, byte)| *byte == BETWEEN_LEVELS).map(|(end, _)| end);
        ends.chain([levels.len()]).for_each(|end| self.add_term(field, &levels.as_bytes()[..end]));
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
        if self.fresh >= self.fresh_max {
            self.buckets.iter_mut().for_each(Bucket::work_off);
            self.fresh = 0;
        }
        self.fields.iter_mut().for_each(|field| field.next_position = 0);
    }

    fn of(&mut self, field: Field) -> &mut OfField {
        &mut self.fields[field.field_id() as usize]
    }

    fn add(&mut self, field: Field, term: &[u8], position: u32) {
        self.of(field).occurrences += 1;
        let hash = self.hasher.hash_one((field.field_id(), term));
        let bucket = &mut self.buckets[(hash >> 56) as usize];
        bucket.fresh_keys.extend_from_slice(&field_prefix(field));
        bucket.fresh_keys.extend_from_slice(term);
        let key_end = u32::try_from(bucket.fresh_keys.len()).expect("the terms of a document have less than 4 GB");
        bucket.fresh.push(Fresh { hash: hash as u32, key_end, added: self.docs, position });
        self.fresh += 1;
    }

    /// Writes [`FILES`] of the segment and its filters, which are not there yet. `places` says for each document, in the
    /// order in which they came, where it stands in the segment.
    ///
    /// # Errors
    /// What the directory says.
    pub fn write(self, segment: &Segment, places: &[DocId]) -> Result<(), TantivyError> {
        let dealt: Vec<Dealt> = self.buckets.into_iter().map(|bucket| bucket.deal(places)).collect();
        let terms = in_order(&dealt);
        let mut serializer = InvertedIndexSerializer::open(segment)?;
        let mut filters = FilterWriter::create(segment)?;
        let mut positions = Vec::new();
        for terms in terms.chunk_by(|a, b| a.field() == b.field()) {
            let field = terms[0].field();
            let OfField { occurrences, has_positions, .. } = self.fields[field.field_id() as usize];
            let mut into = serializer.new_field(field, occurrences, None)?;
            filters.begin_field(terms.len());
            for terms in terms.chunks(ASKED_FOR) {
                // They lie anywhere. Asked for together, they come together.
                let asked = terms.iter().fold(0, |asked, term| asked ^ u32::from(term.key[0]) ^ term.postings[0].doc);
                std::hint::black_box(asked);
                for Term { key, postings, .. } in terms {
                    let bytes = &key[FIELD_BYTES..];
                    filters.add(bytes);
                    match has_positions {
                        true => write_positions(&mut into, bytes, postings, &mut positions)?,
                        false => write_documents(&mut into, bytes, postings)?,
                    }
                }
            }
            into.close()?;
            filters.end_field(field)?;
        }
        serializer.close()?;
        filters.close()?;
        Ok(())
    }
}

impl Bucket {
    /// Finds out which terms the fresh ones are of.
    fn work_off(&mut self) {
        let Bucket { fresh_keys, fresh, keys, key_ends, terms, occurrences } = self;
        let mut start = 0;
        for Fresh { hash, key_end, added, position } in fresh.drain(..) {
            let key = &fresh_keys[start..key_end as usize];
            start = key_end as usize;
            let is_it = |(other, term): &(u32, u32)| *other == hash && keys[range(key_ends, *term as usize)] == *key;
            let term = match terms.find(spread(hash), is_it) {
                Some((_, term)) => *term,
                None => {
                    let term = u32::try_from(key_ends.len()).expect("a span has fewer terms than 32 bits can count");
                    terms.insert_unique(spread(hash), (hash, term), |(hash, _)| spread(*hash));
                    keys.extend_from_slice(key);
                    key_ends.push(keys.len());
                    term
                }
            };
            occurrences.push(Occurrence { term, added, position });
        }
        fresh_keys.clear();
    }

    /// Deals its occurrences out to the lists of its terms.
    fn deal(mut self, places: &[DocId]) -> Dealt {
        self.work_off();
        let Bucket { keys, key_ends, occurrences, .. } = self;
        let mut next = vec![0; key_ends.len()];
        occurrences.iter().for_each(|occurrence| next[occurrence.term as usize] += 1);
        let mut end = 0;
        for next in &mut next {
            let start = end;
            end += std::mem::replace(next, start);
        }
        let mut postings = vec![Posting::default(); occurrences.len()];
        // Events come nearly in the order of time, and stand in the reverse.
        for in_doc in occurrences.chunk_by(|a, b| a.added == b.added).rev() {
            for Occurrence { term, added, position } in in_doc {
                let place = &mut next[*term as usize];
                postings[*place] = Posting { doc: places[*added as usize], position: *position };
                *place += 1;
            }
        }
        // Behind the last of each.
        let posting_ends = next;
        for term in 0..posting_ends.len() {
            let postings = &mut postings[range(&posting_ends, term)];
            if !postings.is_sorted_by_key(|posting| posting.doc) {
                // The positions in one document stay in the order in which they came.
                postings.sort_by_key(|posting| posting.doc);
            }
        }
        Dealt { keys, key_ends, postings, posting_ends }
    }
}

impl Dealt {
    fn terms(&self) -> impl Iterator<Item = Term<'_>> {
        (0..self.key_ends.len()).map(|term| {
            let key = &self.keys[range(&self.key_ends, term)];
            Term { first: first_bytes(key), key, postings: &self.postings[range(&self.posting_ends, term)] }
        })
    }
}

/// By field, then by bytes.
fn in_order(dealt: &[Dealt]) -> Vec<Term<'_>> {
    let mut terms = Vec::with_capacity(dealt.iter().map(|bucket| bucket.key_ends.len()).sum());
    terms.extend(dealt.iter().flat_map(Dealt::terms));
    terms.sort_unstable_by(|a, b| a.first.cmp(&b.first).then_with(|| a.key.cmp(b.key)));
    terms
}

/// Where the nth of some things is that stand behind one another.
fn range(ends: &[usize], n: usize) -> Range<usize> {
    let start = if n == 0 { 0 } else { ends[n - 1] };
    start..ends[n]
}

/// All bits of a table's hash count.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

/// Sorts as the number of the field does.
fn field_prefix(field: Field) -> [u8; FIELD_BYTES] {
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
pub const DOC_FREQ_FOR_RANKING: u32 = 0;

/// Each position in a document as it is written: from the one before it.
pub fn extend_with_deltas(deltas: &mut Vec<u32>, positions: impl Iterator<Item = u32>) {
    let mut before = 0;
    deltas.extend(positions.map(|position| position - std::mem::replace(&mut before, position)));
}

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
        extend_with_deltas(deltas, in_doc.iter().map(|posting| posting.position));
        into.write_doc(in_doc[0].doc, deltas.len() as u32, deltas);
    }
    Ok(into.close_term()?)
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};

    use ::tantivy::Index;
    use proptest::prelude::*;

    use super::*;
    use crate::index::tantivy::schema;

    /// There are four hashes.
    #[derive(Default)]
    struct Crowding(DefaultHasher);

    impl Hasher for Crowding {
        fn finish(&self) -> u64 {
            self.0.finish() & (1 << 63 | 1)
        }

        fn write(&mut self, bytes: &[u8]) {
            self.0.write(bytes);
        }
    }

    /// What is written of documents with a value and a text each, which stand in the order of the numbers beside them.
    fn written<S: BuildHasher>(mut inverted: Inverted<S>, documents: &[(u32, String, String)]) -> Vec<Vec<u8>> {
        let schema = schema::current();
        for (_, value, text) in documents {
            inverted.add_term(schema.fields.source, value.as_bytes());
            inverted.add_words(schema.fields.text, text);
            inverted.add_words(schema.fields.text, value);
            inverted.end_document();
        }
        let mut order: Vec<DocId> = (0..documents.len() as DocId).collect();
        order.sort_by_key(|doc| documents[*doc as usize].0);
        let segment = Index::create_in_ram(schema.schema.clone()).new_segment();
        let mut places = vec![0; order.len()];
        (0..).zip(order).for_each(|(place, doc)| places[doc as usize] = place);
        inverted.write(&segment, &places).unwrap();
        FILES.map(|file| segment.open_read(file).unwrap().read_bytes().unwrap().to_vec()).into()
    }

    proptest! {
        #[test]
        fn terms_of_one_hash_are_told_apart_and_working_off_early_changes_nothing(
            documents in prop::collection::vec((any::<u32>(), "[ab]{0,3}", "[ab ]{0,9}"), 1..60),
            fresh_max in 1_usize..50,
        ) {
            let schema = &schema::current().schema;
            let crowded = Inverted::hashed_by(BuildHasherDefault::<Crowding>::default(), fresh_max, schema);
            prop_assert!(written(crowded, &documents) == written(Inverted::new(schema, documents.len()), &documents));
        }
    }
}
