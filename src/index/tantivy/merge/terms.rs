//! The terms of several segments as those of one.
//!
//! Short lists are collected and put in order, which they mostly are already. Long ones are read beside each other, so that a term of
//! every document takes no more memory than another. Only of the hot index, whose order is another, they are collected too: it is small.

use std::ops::Range;
use std::sync::Arc;

use ::tantivy::directory::{CompositeFile, OwnedBytes};
use ::tantivy::error::DataCorruption;
use ::tantivy::index::{InvertedIndexReader, SegmentComponent};
use ::tantivy::positions::PositionReader;
use ::tantivy::postings::{FieldSerializer, InvertedIndexSerializer, Postings, SegmentPostings, TermInfo};
use ::tantivy::schema::{Field, IndexRecordOption};
use ::tantivy::termdict::TermStreamer;
use ::tantivy::{DocId, DocSet, Segment, SegmentReader, TERMINATED, TantivyError};

use super::places::{NOWHERE, OfPart, Places};
use super::{MergeLimits, Part};
use crate::index::tantivy::inverted::{DOC_FREQ_FOR_RANKING, extend_with_deltas, has_positions};
use crate::index::tantivy::term_filter::FilterWriter;

/// A list of fewer documents is plain numbers; from here on it is in blocks (Tantivy's `COMPRESSION_BLOCK_SIZE`).
const BLOCK_DOCS: u32 = 128;
/// A term that stands in more places, in bytes of its positions, is not collected either: it would take some thirty times as much.
const POSITIONS_BYTES_MAX: usize = 1 << 20;
/// The postings of a field begin with the number of its occurrences.
const HEAD_BYTES: usize = 8;
/// No blocks: what `positions` of fewer than 128 begin with.
const NO_BLOCKS: u8 = 0x80;

/// Writes what the documents of `segment` are found by.
///
/// # Errors
/// When a part cannot be read, or what the directory says.
pub fn write(parts: &[Part], places: &Places, segment: &Segment, limits: MergeLimits) -> Result<(), TantivyError> {
    let mut serializer = InvertedIndexSerializer::open(segment)?;
    let mut filters = FilterWriter::create(segment)?;
    for (field, entry) in segment.schema().fields().filter(|(_, entry)| entry.is_indexed()) {
        let source = |(part, places)| Source::open(part, field, places);
        let sources = parts.iter().zip(places.parts()).map(source).collect::<Result<Vec<_>, _>>()?;
        if sources.iter().all(|source| source.inverted.terms().num_terms() == 0) {
            continue;
        }
        let occurrences = sources.iter().map(|source| source.inverted.total_num_tokens()).sum();
        let into = serializer.new_field(field, occurrences, None)?;
        // A term of several is counted several times: the filter is the better for it.
        filters.begin_field(sources.iter().map(|source| source.inverted.terms().num_terms()).sum());
        let filter = &mut filters;
        Merge { into, filter, has_positions: has_positions(entry), limits, list: List::default() }.run(&sources)?;
        filters.end_field(field)?;
    }
    serializer.close()?;
    Ok(filters.close()?)
}

/// Where a segment's lists are.
#[derive(Clone)]
pub struct Lists {
    postings: CompositeFile,
    positions: CompositeFile,
}

impl Lists {
    /// Those of this segment.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn open(reader: &SegmentReader) -> Result<Lists, TantivyError> {
        let open = |file| Ok::<_, TantivyError>(CompositeFile::open(&reader.open_read(file)?)?);
        Ok(Lists { postings: open(SegmentComponent::Postings)?, positions: open(SegmentComponent::Positions)? })
    }
}

/// A field in one of the segments.
struct Source<'a> {
    inverted: Arc<InvertedIndexReader>,
    postings: OwnedBytes,
    positions: OwnedBytes,
    places: &'a OfPart,
}

impl<'a> Source<'a> {
    fn open(part: &Part, field: Field, places: &'a OfPart) -> Result<Source<'a>, TantivyError> {
        let bytes = |file: &CompositeFile, head| match file.open_read(field) {
            Some(slice) => slice.slice_from(head).read_bytes(),
            None => Ok(OwnedBytes::empty()),
        };
        Ok(Source {
            inverted: part.reader.inverted_index(field)?,
            postings: bytes(&part.lists.postings, HEAD_BYTES)?,
            positions: bytes(&part.lists.positions, 0)?,
            places,
        })
    }

    fn place(&self, doc: DocId) -> Result<DocId, TantivyError> {
        self.places.to.get(doc as usize).copied().ok_or_else(|| damaged("a list names a document that is not there"))
    }

    fn cursor(&self, info: &TermInfo, has_positions: bool) -> Result<SegmentPostings, TantivyError> {
        let option = if has_positions { IndexRecordOption::WithFreqsAndPositions } else { IndexRecordOption::Basic };
        Ok(self.inverted.read_postings_from_terminfo(info, option)?)
    }
}

struct Merge<'a> {
    into: FieldSerializer<'a>,
    filter: &'a mut FilterWriter,
    has_positions: bool,
    limits: MergeLimits,
    list: List,
}

impl Merge<'_> {
    fn run(mut self, sources: &[Source<'_>]) -> Result<(), TantivyError> {
        let streams = sources.iter().map(|source| source.inverted.terms().stream()).collect::<Result<Vec<_>, _>>()?;
        let mut terms = Terms::of(streams);
        let mut lists = Vec::new();
        while let Some(term) = terms.next(&mut lists) {
            let docs = lists.iter().fold(0_u32, |docs, (_, info)| docs.saturating_add(info.doc_freq));
            let positions: usize = lists.iter().map(|(_, info)| info.positions_range.len()).sum();
            let is_long = docs > self.limits.collected_max || positions > POSITIONS_BYTES_MAX;
            match is_long && lists.iter().all(|(n, _)| sources[*n].places.is_rising) {
                true => self.side_by_side(term, sources, &lists)?,
                false => self.collected(term, sources, &lists)?,
            }
        }
        Ok(self.into.close()?)
    }

    fn collected(
        &mut self,
        term: &[u8],
        sources: &[Source<'_>],
        lists: &[(usize, TermInfo)],
    ) -> Result<(), TantivyError> {
        self.list.clear();
        for (n, info) in lists {
            self.list.read(&sources[*n], info, self.has_positions)?;
        }
        let List { postings, deltas, .. } = &mut self.list;
        postings.retain(|posting| posting.doc != NOWHERE);
        if postings.is_empty() {
            return Ok(());
        }
        if !postings.is_sorted_by_key(|posting| posting.doc) {
            postings.sort_unstable_by_key(|posting| posting.doc);
        }
        self.filter.add(term);
        self.into.new_term(term, DOC_FREQ_FOR_RANKING, self.has_positions)?;
        for posting in postings {
            self.into.write_doc(posting.doc, posting.count, &deltas[posting.deltas()]);
        }
        Ok(self.into.close_term()?)
    }

    fn side_by_side(
        &mut self,
        term: &[u8],
        sources: &[Source<'_>],
        lists: &[(usize, TermInfo)],
    ) -> Result<(), TantivyError> {
        let open = |(n, info): &(usize, TermInfo)| Cursor::open(&sources[*n], info, self.has_positions);
        let mut cursors = lists.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        cursors.retain(|cursor| cursor.place != TERMINATED);
        if cursors.is_empty() {
            return Ok(());
        }
        self.filter.add(term);
        self.into.new_term(term, DOC_FREQ_FOR_RANKING, self.has_positions)?;
        let List { deltas, absolute, .. } = &mut self.list;
        deltas.clear();
        while let Some(best) = (0..cursors.len()).min_by_key(|n| cursors[*n].place) {
            let others = (0..).zip(&cursors).filter(|(n, _)| *n != best).map(|(_, cursor)| cursor.place);
            let end = others.min().unwrap_or(TERMINATED);
            let cursor = &mut cursors[best];
            while cursor.place < end {
                if self.has_positions {
                    deltas.clear();
                    cursor.postings.positions(absolute);
                    extend_with_deltas(deltas, absolute.iter().copied());
                }
                self.into.write_doc(cursor.place, deltas.len() as u32, deltas);
                cursor.postings.advance();
                cursor.settle()?;
            }
            cursors.retain(|cursor| cursor.place != TERMINATED);
        }
        Ok(self.into.close_term()?)
    }
}

/// The documents of a term, and where it stands in each.
#[derive(Default)]
struct List {
    postings: Vec<Posting>,
    /// Of each position from the one before it in the same document.
    deltas: Vec<u32>,
    /// Positions of one document.
    absolute: Vec<u32>,
}

struct Posting {
    doc: DocId,
    /// Where in the deltas its own begin, and how many they are.
    first: u32,
    count: u32,
}

impl Posting {
    fn deltas(&self) -> Range<usize> {
        self.first as usize..self.first as usize + self.count as usize
    }
}

impl List {
    fn clear(&mut self) {
        self.postings.clear();
        self.deltas.clear();
    }

    /// Adds the documents of one segment; those that are left out may be nowhere.
    fn read(&mut self, source: &Source<'_>, info: &TermInfo, has_positions: bool) -> Result<(), TantivyError> {
        if info.doc_freq >= BLOCK_DOCS {
            return self.read_blocks(source, info, has_positions);
        }
        let mut numbers = Numbers(source.postings.get(info.postings_range.clone()).unwrap_or_default());
        let (mut doc, from) = (0_u32, self.postings.len());
        for _ in 0..info.doc_freq {
            doc = doc.wrapping_add(numbers.next()?);
            self.postings.push(Posting { doc: source.place(doc)?, first: 0, count: 0 });
        }
        if has_positions {
            let before = self.deltas.len();
            let mut first = before as u32;
            for posting in &mut self.postings[from..] {
                posting.first = first;
                posting.count = numbers.next()?;
                first = first.checked_add(posting.count).ok_or_else(|| damaged("a term stands in too many places"))?;
            }
            self.read_deltas(source, info, first as usize - before)?;
        }
        Ok(())
    }

    fn read_deltas(&mut self, source: &Source<'_>, info: &TermInfo, count: usize) -> Result<(), TantivyError> {
        match source.positions.get(info.positions_range.clone()) {
            Some([NO_BLOCKS, numbers @ ..]) => {
                let mut numbers = Numbers(numbers);
                for _ in 0..count {
                    self.deltas.push(numbers.next()?);
                }
            }
            Some(_) => {
                let before = self.deltas.len();
                self.deltas.resize(before + count, 0);
                let mut reader = PositionReader::open(source.positions.slice(info.positions_range.clone()))?;
                reader.read(0, &mut self.deltas[before..]);
            }
            None => return Err(damaged("the positions of a term are not there")),
        }
        Ok(())
    }

    fn read_blocks(&mut self, source: &Source<'_>, info: &TermInfo, has_positions: bool) -> Result<(), TantivyError> {
        let mut cursor = Cursor::open(source, info, has_positions)?;
        while cursor.place != TERMINATED {
            let first = self.deltas.len();
            if has_positions {
                cursor.postings.positions(&mut self.absolute);
                extend_with_deltas(&mut self.deltas, self.absolute.iter().copied());
            }
            let count = (self.deltas.len() - first) as u32;
            let first = u32::try_from(first).map_err(|_| damaged("a term stands in too many places"))?;
            self.postings.push(Posting { doc: cursor.place, first, count });
            cursor.postings.advance();
            cursor.settle()?;
        }
        Ok(())
    }
}

/// A long list as it is read.
struct Cursor<'a> {
    postings: SegmentPostings,
    source: &'a Source<'a>,
    /// Where its document goes; `TERMINATED` behind the last one.
    place: DocId,
}

impl<'a> Cursor<'a> {
    fn open(source: &'a Source<'a>, info: &TermInfo, has_positions: bool) -> Result<Cursor<'a>, TantivyError> {
        let mut cursor = Cursor { postings: source.cursor(info, has_positions)?, source, place: TERMINATED };
        cursor.settle()?;
        Ok(cursor)
    }

    /// Goes on to the first document, from this one on, that is not left out.
    fn settle(&mut self) -> Result<(), TantivyError> {
        self.place = loop {
            match self.postings.doc() {
                TERMINATED => break TERMINATED,
                doc => match self.source.place(doc)? {
                    NOWHERE => self.postings.advance(),
                    place => break place,
                },
            };
        };
        Ok(())
    }
}

/// Terms of several dictionaries, in order.
struct Terms<'a> {
    streams: Vec<TermStreamer<'a>>,
    /// Those that have a term, in the order of their terms.
    order: Vec<usize>,
    term: Vec<u8>,
    /// Those whose term is told, before they go on.
    told: Vec<usize>,
}

impl<'a> Terms<'a> {
    fn of(streams: Vec<TermStreamer<'a>>) -> Terms<'a> {
        let told = (0..streams.len()).collect();
        Terms { streams, order: Vec::new(), term: Vec::new(), told }
    }

    /// The next term, with the number of each segment that has it, in their order, and where its list is there.
    fn next(&mut self, lists: &mut Vec<(usize, TermInfo)>) -> Option<&[u8]> {
        let Terms { streams, order, term, told } = self;
        for n in told.drain(..) {
            if streams[n].advance() {
                let at = order.partition_point(|other| (streams[*other].key(), *other) < (streams[n].key(), n));
                order.insert(at, n);
            }
        }
        term.clear();
        term.extend_from_slice(streams[*order.first()?].key());
        let same = order.iter().take_while(|n| streams[**n].key() == term).count();
        told.extend(order.drain(..same));
        lists.clear();
        lists.extend(told.iter().map(|n| (*n, streams[*n].value().clone())));
        Some(term)
    }
}

/// Numbers of seven bits a byte, the lowest first; the last byte of each has the eighth bit set.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn next(&mut self) -> Result<u32, TantivyError> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let (byte, rest) = self.0.split_first().ok_or_else(|| damaged("a list ends in a number"))?;
            self.0 = rest;
            number |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 != 0 {
                return Ok(number);
            }
            shift += 7;
        }
    }
}

fn damaged(what: &str) -> TantivyError {
    DataCorruption::comment_only(what).into()
}
