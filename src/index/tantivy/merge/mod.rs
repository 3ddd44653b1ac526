//! Several segments as one. Terms and lists come out as if all documents had been collected anew, byte for byte if none is left
//! out, but they are copied, list by list, and no document is read again. Columns are merged by Tantivy.
//!
//! Tantivy's own merge of lists opens a cursor of a few KiB for each, and nearly every list has one document. Here such a list is a
//! few bytes that are read as they lie there.

mod places;
mod terms;
#[cfg(test)]
mod tests;

use ::tantivy::columnar::{ColumnarReader, MergeRowOrder, ShuffleMergeOrder, StackMergeOrder, merge_columnar};
use ::tantivy::directory::{OwnedBytes, TerminatingWrite};
use ::tantivy::fastfield::{AliveBitSet, write_alive_bitset};
use ::tantivy::index::SegmentComponent;
use ::tantivy::{BitSet, Directory, DocId, Segment, SegmentReader, TantivyError};

use crate::index::tantivy::fast_fields;
use crate::index::tantivy::piece::Columns;
use crate::index::tantivy::segment::shell;
use places::Places;
use terms::Lists;

/// Where a merge goes another way, lest it take memory for each document.
#[derive(Clone, Copy)]
struct MergeLimits {
    /// Lists of more documents are not collected, but read beside each other.
    collected_max: u32,
    /// A segment of more documents is not put in order within one time. The hot index has fewer.
    put_in_order_max: DocId,
}

const LIMITS: MergeLimits = MergeLimits { collected_max: 65_536, put_in_order_max: 65_536 };

/// A segment, and what is to be kept of it if not all is. All that a merge reads is open: a hot index may remove the files.
#[derive(Clone)]
pub struct Part {
    reader: SegmentReader,
    columns: Columns,
    columnar: ColumnarReader,
    lists: Lists,
    left: Option<AliveBitSet>,
}

impl Part {
    /// All of a segment.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn whole(reader: SegmentReader) -> Result<Part, TantivyError> {
        let columns = Columns::open(&reader)?;
        let columnar = ColumnarReader::open(reader.open_read(SegmentComponent::FastFields)?)?;
        let lists = Lists::open(&reader)?;
        Ok(Part { reader, columns, columnar, lists, left: None })
    }

    /// Only these documents of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn only(reader: SegmentReader, left: &BitSet) -> Result<Part, TantivyError> {
        let mut bytes = Vec::new();
        write_alive_bitset(left, &mut bytes)?;
        let left = AliveBitSet::open(OwnedBytes::new(bytes));
        Ok(Part { left: Some(left), ..Part::whole(reader)? })
    }
}

/// Writes the segment that these are together, newest first.
///
/// # Errors
/// When one of them cannot be read, or what the directory says.
pub fn write(parts: Vec<Part>, into: impl Into<Box<dyn Directory>>) -> Result<(), TantivyError> {
    write_within(parts, into, LIMITS)
}

fn write_within(
    mut parts: Vec<Part>,
    into: impl Into<Box<dyn Directory>>,
    limits: MergeLimits,
) -> Result<(), TantivyError> {
    let places = Places::of(&mut parts, limits);
    let segment = shell(into, places.docs())?;
    terms::write(&parts, &places, &segment, limits)?;
    write_columns(&parts, places, &segment)
}

fn write_columns(parts: &[Part], places: Places, segment: &Segment) -> Result<(), TantivyError> {
    let readers: Vec<&ColumnarReader> = parts.iter().map(|part| &part.columnar).collect();
    let order = match places.is_stacked() {
        true => MergeRowOrder::Stack(StackMergeOrder::stack(&readers)),
        false => MergeRowOrder::Shuffled(ShuffleMergeOrder {
            new_row_id_to_old_row_id: places.into_from(),
            alive_bitsets: parts.iter().map(|part| part.left.as_ref().map(|left| left.bitset().clone())).collect(),
        }),
    };
    let mut into = segment.open_write(fast_fields::FILE)?;
    merge_columnar(&readers, &fast_fields::columns(&segment.schema()), order, &mut into)?;
    Ok(into.terminate()?)
}
