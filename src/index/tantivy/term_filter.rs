//! Which terms a span does not have, told without its dictionaries.
//!
//! To look a term up, Tantivy unpacks a block of a dictionary and goes through it: some 20 µs, whether the term is there or
//! not. A rare word, an id or an address is looked for in each span and stands in one or two. So beside its dictionaries a
//! span has a Bloom filter of each field's terms, which tells most strangers from them by one line of memory. It lets
//! about one stranger in thirty through, and never keeps a term out.
//!
//! The file: the filters, one behind the other | for each `field u32 | at u64 | blocks u32` | how many `u32` | `crc32c u32`
//! of table and number, all little-endian; behind it Tantivy's own footer, so that it is checked as Tantivy's files are. A
//! filter is blocks of 64 bytes; a term sets [`BITS`] bits of one block (Putze, Sanders, Singler: "Cache-, Hash- and
//! Space-Efficient Bloom Filters", 2007).

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ::tantivy::directory::{OwnedBytes, TerminatingWrite, WritePtr};
use ::tantivy::error::DataCorruption;
use ::tantivy::index::SegmentId;
use ::tantivy::query::{EmptyScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use ::tantivy::schema::Field;
use ::tantivy::{Directory, DocId, Score, SeekDangerResult, Segment, SegmentReader, TERMINATED, TantivyError, Term};

use crate::index::tantivy::docset::explain;

const FILE: &str = "terms.filter";
const BLOCK_BYTES: usize = 64;
/// A term sets so many bits of its block.
const BITS: u32 = 5;
/// Of a filter, for each of its terms.
const BYTES_PER_TERM: usize = 1;
/// A filter is held in memory while it is made. With more terms than this has bytes it lets more strangers through.
const FILTER_BYTES_MAX: usize = 64 << 20;
const ENTRY_BYTES: usize = 16;
const TAIL_BYTES: usize = 8;

/// What a filter knows of a term: FNV-1a (draft-eastlake-fnv), then the last steps of MurmurHash3, for FNV leaves its high
/// bits poor. Who sends terms that collide makes the filter let more strangers through.
fn hash(term: &[u8]) -> u64 {
    let fnv = term
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (fnv ^ fnv >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ mixed >> 33
}

/// The block of a filter of so many that a term is in.
fn block_of(hash: u64, blocks: usize) -> usize {
    (((hash >> 32) * blocks as u64) >> 32) as usize
}

/// Its bits there. Multiplied by an odd number, the half that chose the block has no say in the upper bits of these.
fn bits_of(hash: u64) -> impl Iterator<Item = usize> {
    let spread = (hash & u64::from(u32::MAX)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..BITS).map(move |n| (spread >> (64 - 9 * (n + 1))) as usize % (8 * BLOCK_BYTES))
}

/// Writes the filters of a segment, field by field.
pub struct FilterWriter {
    out: WritePtr,
    at: u64,
    table: Vec<u8>,
    fields: u32,
    filter: Vec<u8>,
}

impl FilterWriter {
    /// Into the segment's directory.
    ///
    /// # Errors
    /// What the directory says.
    pub fn create(segment: &Segment) -> Result<FilterWriter, TantivyError> {
        let out = segment.index().directory().open_write(Path::new(FILE))?;
        Ok(FilterWriter { out, at: 0, table: Vec::new(), fields: 0, filter: Vec::new() })
    }

    /// What comes now are terms of the next field, about so many.
    pub fn begin_field(&mut self, about: usize) {
        let bytes = (about * BYTES_PER_TERM).clamp(1, FILTER_BYTES_MAX);
        self.filter.clear();
        self.filter.resize(bytes.next_multiple_of(BLOCK_BYTES), 0);
    }

    /// The field has this term.
    pub fn add(&mut self, term: &[u8]) {
        let hash = hash(term);
        let at = block_of(hash, self.filter.len() / BLOCK_BYTES) * BLOCK_BYTES;
        bits_of(hash).for_each(|bit| self.filter[at + bit / 8] |= 1 << (bit % 8));
    }

    /// All terms of the field were told.
    ///
    /// # Errors
    /// What the directory says.
    pub fn end_field(&mut self, field: Field) -> io::Result<()> {
        self.out.write_all(&self.filter)?;
        self.table.extend_from_slice(&field.field_id().to_le_bytes());
        self.table.extend_from_slice(&self.at.to_le_bytes());
        self.table.extend_from_slice(&((self.filter.len() / BLOCK_BYTES) as u32).to_le_bytes());
        self.at += self.filter.len() as u64;
        self.fields += 1;
        Ok(())
    }

    /// All fields were.
    ///
    /// # Errors
    /// What the directory says.
    pub fn close(mut self) -> io::Result<()> {
        self.table.extend_from_slice(&self.fields.to_le_bytes());
        self.out.write_all(&self.table)?;
        self.out.write_all(&crc32c::crc32c(&self.table).to_le_bytes())?;
        self.out.terminate()
    }
}

/// The filters of a segment. Mapped, not in memory.
pub struct TermFilters {
    bytes: OwnedBytes,
    /// Where each field's is. A field without terms has none.
    fields: Vec<(Field, Range<usize>)>,
}

impl TermFilters {
    /// Those of the segment in this directory.
    ///
    /// # Errors
    /// When they cannot be read, or are not what was written.
    pub fn open(directory: &dyn Directory) -> Result<TermFilters, TantivyError> {
        let bytes = directory.open_read(Path::new(FILE))?.read_bytes()?;
        let fields =
            table(&bytes).ok_or_else(|| DataCorruption::comment_only(format!("{FILE} is not what was written")))?;
        Ok(TermFilters { bytes, fields })
    }

    /// False if no document of the segment has the term.
    fn may_have(&self, term: &HashedTerm) -> bool {
        let Some((_, range)) = self.fields.iter().find(|(field, _)| *field == term.field) else {
            return false;
        };
        let filter = &self.bytes[range.clone()];
        let at = block_of(term.hash, filter.len() / BLOCK_BYTES) * BLOCK_BYTES;
        bits_of(term.hash).all(|bit| filter[at + bit / 8] & 1 << (bit % 8) != 0)
    }
}

fn table(bytes: &[u8]) -> Option<Vec<(Field, Range<usize>)>> {
    let (rest, crc) = bytes.split_last_chunk::<4>()?;
    let (_, count) = rest.split_last_chunk::<4>()?;
    let table_bytes = (u32::from_le_bytes(*count) as usize).checked_mul(ENTRY_BYTES)?;
    let filters = bytes.len().checked_sub(TAIL_BYTES)?.checked_sub(table_bytes)?;
    if crc32c::crc32c(&rest[filters..]) != u32::from_le_bytes(*crc) {
        return None;
    }
    let entry = |entry: &[u8; ENTRY_BYTES]| {
        let (field, rest) = entry.split_first_chunk()?;
        let (at, rest) = rest.split_first_chunk()?;
        let at = usize::try_from(u64::from_le_bytes(*at)).ok()?;
        let blocks = u32::from_le_bytes(*rest.first_chunk()?) as usize;
        let range = at..at.checked_add(blocks.checked_mul(BLOCK_BYTES)?)?;
        let is_there = !range.is_empty() && range.end <= filters;
        is_there.then_some((Field::from_field_id(u32::from_le_bytes(*field)), range))
    };
    bytes[filters..].as_chunks().0.iter().take(table_bytes / ENTRY_BYTES).map(entry).collect()
}

/// A term as filters know it.
#[derive(Clone, Copy, Debug)]
struct HashedTerm {
    field: Field,
    hash: u64,
}

/// The filters of all segments that have some.
pub type FiltersBySegment = Arc<HashMap<SegmentId, Arc<TermFilters>>>;

/// A query that nothing matches in a segment which lacks one of these terms.
#[derive(Clone)]
pub struct IfThere {
    query: Arc<dyn Query>,
    terms: Vec<HashedTerm>,
    filters: FiltersBySegment,
}

impl IfThere {
    /// `query`, which matches only documents with all of `terms`.
    pub fn new<'a>(
        query: impl Query,
        terms: impl IntoIterator<Item = &'a Term>,
        filters: &FiltersBySegment,
    ) -> IfThere {
        let hashed = |term: &Term| HashedTerm { field: term.field(), hash: hash(term.serialized_value_bytes()) };
        IfThere { query: Arc::new(query), terms: terms.into_iter().map(hashed).collect(), filters: filters.clone() }
    }
}

impl fmt::Debug for IfThere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.query.fmt(f)
    }
}

impl Query for IfThere {
    fn weight(&self, scoring: EnableScoring<'_>) -> ::tantivy::Result<Box<dyn Weight>> {
        let weight = self.query.weight(scoring)?;
        Ok(Box::new(IfThereWeight { weight, terms: self.terms.clone(), filters: self.filters.clone() }))
    }
}

struct IfThereWeight {
    weight: Box<dyn Weight>,
    terms: Vec<HashedTerm>,
    filters: FiltersBySegment,
}

impl IfThereWeight {
    fn may_match(&self, reader: &SegmentReader) -> bool {
        let filters = self.filters.get(&reader.segment_id());
        filters.is_none_or(|filters| self.terms.iter().all(|term| filters.may_have(term)))
    }
}

impl Weight for IfThereWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> ::tantivy::Result<Box<dyn Scorer>> {
        match self.may_match(reader) {
            true => self.weight.scorer(reader, boost),
            false => Ok(Box::new(EmptyScorer)),
        }
    }

    // A phrase beside other conditions is looked for from where they are, not from the segment's first document on.
    fn scorer_danger(
        &self,
        reader: &SegmentReader,
        target: DocId,
        boost: Score,
    ) -> ::tantivy::Result<(SeekDangerResult, Box<dyn Scorer>)> {
        match self.may_match(reader) {
            true => self.weight.scorer_danger(reader, target, boost),
            false => Ok((SeekDangerResult::SeekLowerBound(TERMINATED), Box::new(EmptyScorer))),
        }
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> ::tantivy::Result<Explanation> {
        explain(self, reader, doc)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ::tantivy::Index;
    use proptest::prelude::*;

    use super::*;
    use crate::index::tantivy::schema;

    /// Filters that let nothing through.
    pub fn of_nothing() -> Arc<TermFilters> {
        Arc::new(filters(&[], 0).1)
    }

    /// Whether the filters of a segment let each of its terms through and hardly anything else.
    pub fn are_apt(segment: &Segment) -> bool {
        let filters = TermFilters::open(segment.index().directory()).unwrap();
        let reader = SegmentReader::open(segment).unwrap();
        segment.schema().fields().filter(|(_, entry)| entry.is_indexed()).all(|(field, _)| {
            let lets_through = |term: &[u8]| filters.may_have(&HashedTerm { field, hash: hash(term) });
            let inverted = reader.inverted_index(field).unwrap();
            let mut terms = inverted.terms().stream().unwrap();
            let mut all = true;
            while let Some((term, _)) = terms.next() {
                all &= lets_through(term);
            }
            let strangers = (0..1_000).filter(|n| lets_through(format!("no term {n}").as_bytes())).count();
            all && strangers < 300
        })
    }

    /// The filters of fields with these terms, each made for `about` of them, as they are read again.
    fn filters(fields: &[Vec<Vec<u8>>], about: usize) -> (Index, TermFilters) {
        let index = Index::create_in_ram(schema::current().schema.clone());
        let mut writer = FilterWriter::create(&index.new_segment()).unwrap();
        for (id, terms) in (0..).zip(fields) {
            writer.begin_field(about);
            terms.iter().for_each(|term| writer.add(term));
            writer.end_field(Field::from_field_id(2 * id)).unwrap();
        }
        writer.close().unwrap();
        let filters = TermFilters::open(index.directory()).unwrap();
        (index, filters)
    }

    fn asked(field: u32, term: &[u8]) -> HashedTerm {
        HashedTerm { field: Field::from_field_id(field), hash: hash(term) }
    }

    proptest! {
        #[test]
        fn no_term_is_taken_for_a_stranger_however_small_the_filter_is(
            fields in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..200), 0..5,
            ),
            about in 0_usize..400,
        ) {
            let (_, filters) = filters(&fields, about);
            for (id, terms) in (0..).zip(&fields) {
                prop_assert!(terms.iter().all(|term| filters.may_have(&asked(2 * id, term))));
                // No such field was told.
                prop_assert!(!filters.may_have(&asked(2 * id + 1, b"anything")));
            }
        }
    }

    #[test]
    fn most_strangers_are_known_as_such() {
        let term = |n: u32| format!("u_{n}").into_bytes();
        let terms: Vec<Vec<u8>> = (0..100_000).map(term).collect();
        let (_, filters) = filters(&[terms], 100_000);
        let let_through = (100_000..200_000).filter(|n| filters.may_have(&asked(0, &term(*n)))).count();
        assert!((500..4_500).contains(&let_through), "{let_through} of 100,000");
    }

    #[test]
    fn a_file_that_is_not_as_it_was_written_is_refused() {
        let (index, _) = filters(&[vec![b"a".to_vec()], vec![b"b".to_vec()]], 10);
        let bytes = index.directory().open_read(Path::new(FILE)).unwrap().read_bytes().unwrap();
        let at = bytes.len() - TAIL_BYTES - 2 * ENTRY_BYTES;
        assert_eq!((at, table(&bytes).map(|table| table.len())), (2 * BLOCK_BYTES, Some(2)));
        for bit in 0..8 * (bytes.len() - at) {
            let mut rotten = bytes.to_vec();
            rotten[at + bit / 8] ^= 1 << (bit % 8);
            assert_eq!(table(&rotten), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(table(&bytes[..len]), None, "{len} bytes");
        }
    }
}
