//! One immutable Tantivy segment with what a search needs at hand: its columns and its bounds.
//! A span is one piece; the hot index is a few.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use ::tantivy::columnar::{ColumnValues, StrColumn};
use ::tantivy::query::{Scorer, Weight};
use ::tantivy::{DateTime, DocId, SegmentReader};

use crate::index::tantivy::erased::ErasedDocs;
use crate::index::tantivy::hits::{SeqBitmaps, SeqBlocks};
use crate::index::tantivy::term_filter::TermFilters;
use crate::index::{EngineError, Hit, Order, Patience, Within};
use crate::seq::Seq;

/// The two columns that order and paging read.
#[derive(Clone)]
pub struct Columns {
    time: Arc<dyn ColumnValues<DateTime>>,
    /// Seq of each document.
    pub seq: Arc<dyn ColumnValues<u64>>,
}

impl Columns {
    /// Opens them; cheap, the bytes are mapped.
    pub fn open(reader: &SegmentReader) -> ::tantivy::Result<Columns> {
        let fast = reader.fast_fields();
        Ok(Columns { time: fast.column_first_or_default("time")?, seq: fast.column_first_or_default("seq")? })
    }

    /// Time of a document, ms.
    pub fn time_ms(&self, doc: DocId) -> i64 {
        self.time.get_val(doc).into_timestamp_millis()
    }

    /// The first document whose time is before `ms` (documents are sorted newest first), or the number of documents.
    pub fn first_doc_before(&self, ms: i64) -> DocId {
        self.first_doc_where(|doc| self.time_ms(doc) < ms)
    }

    /// The first document of which this is so, if it is so of every later one too, or the number of documents.
    pub fn first_doc_where(&self, is_so: impl Fn(DocId) -> bool) -> DocId {
        let (mut low, mut high) = (0, self.time.num_vals());
        while low < high {
            let middle = low + (high - low) / 2;
            match is_so(middle) {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        low
    }

    /// Whether documents of equal time are sorted too, by falling `seq`: then document order is answer order. Reads both
    /// columns.
    pub fn is_exactly_ordered(&self) -> bool {
        let ranks = (0..self.time.num_vals()).map(|doc| Order::TimeDesc.rank(self.hit(doc)));
        ranks.is_sorted_by(|one, next| one < next)
    }

    /// Where a document stands.
    pub fn hit(&self, doc: DocId) -> Hit {
        Hit { time_ms: self.time_ms(doc), seq: Seq(self.seq.get_val(doc)) }
    }
}

/// One immutable segment. Never empty.
pub struct Piece {
    /// No other piece of this process has it: what was computed over the piece is kept under it.
    pub id: u64,
    /// Tantivy's reader.
    pub reader: SegmentReader,
    /// Its columns.
    pub columns: Columns,
    /// Oldest and newest time, ms.
    pub time_ms: (i64, i64),
    /// Lowest and highest seq.
    pub seq: (Seq, Seq),
    /// Documents are in exactly the order newest first, see [`Columns::is_exactly_ordered`]. False if nobody looked.
    pub is_exact: bool,
    /// What of it is erased and still indexed in it.
    pub erased: Option<Arc<ErasedDocs>>,
    /// Which terms it does not have. A hot index cannot tell.
    pub filters: Option<Arc<TermFilters>>,
    /// What matches certain queries, by seq.
    pub seq_bitmaps: SeqBitmaps,
    seq_blocks: OnceLock<SeqBlocks>,
}

fn next_id() -> u64 {
    static NEXT_ID: AtomicU64 = AtomicU64::new(0);
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// At most so many documents are looked at for their exact order when a piece is opened, about a millisecond; of a larger
/// piece whoever built it has to say.
const EXACT_CHECK_DOCUMENTS_MAX: u32 = 65_536;

impl Piece {
    /// Takes a segment in; `None` when it holds no document.
    pub fn open(reader: SegmentReader) -> Result<Option<Piece>, EngineError> {
        let docs = reader.max_doc();
        if docs == 0 {
            return Ok(None);
        }
        let columns = Columns::open(&reader)?;
        let time_ms = (columns.time_ms(docs - 1), columns.time_ms(0));
        let seq = (Seq(columns.seq.min_value()), Seq(columns.seq.max_value()));
        let id = next_id();
        let is_exact = docs <= EXACT_CHECK_DOCUMENTS_MAX && columns.is_exactly_ordered();
        let (seq_bitmaps, seq_blocks) = (SeqBitmaps::default(), OnceLock::new());
        Ok(Some(Piece {
            id,
            reader,
            columns,
            time_ms,
            seq,
            is_exact,
            erased: None,
            filters: None,
            seq_bitmaps,
            seq_blocks,
        }))
    }

    /// The same in which this does not count any more. What was computed over the other one is not taken for what is so here.
    pub fn without(&self, erased: Arc<ErasedDocs>) -> Piece {
        let Piece { reader, columns, time_ms, seq, is_exact, .. } = self;
        Piece {
            id: next_id(),
            reader: reader.clone(),
            columns: columns.clone(),
            time_ms: *time_ms,
            seq: *seq,
            is_exact: *is_exact,
            erased: Some(erased),
            filters: self.filters.clone(),
            seq_bitmaps: SeqBitmaps::default(),
            seq_blocks: OnceLock::new(),
        }
    }

    /// Where which seqs stand; read when first asked for.
    pub fn seq_blocks(&self, patience: &Patience) -> Result<&SeqBlocks, EngineError> {
        if let Some(blocks) = self.seq_blocks.get() {
            return Ok(blocks);
        }
        let blocks = SeqBlocks::of(&self.columns, patience)?;
        Ok(self.seq_blocks.get_or_init(|| blocks))
    }

    /// Whether it has every seq between its lowest and its highest.
    pub fn is_seq_dense(&self) -> bool {
        self.seq.1.0 - self.seq.0.0 + 1 == u64::from(self.reader.max_doc())
    }

    /// The best rank any of its hits can have.
    pub fn best_rank(&self, order: Order) -> (i64, u64) {
        match order {
            Order::TimeDesc => (!self.time_ms.1, 0),
            Order::TimeAsc => (self.time_ms.0, 0),
            Order::SeqDesc | Order::SeqAsc => {
                let seq = if order == Order::SeqDesc { self.seq.1 } else { self.seq.0 };
                order.rank(Hit { time_ms: 0, seq })
            }
        }
    }

    /// The worst rank any of its hits can have.
    pub fn worst_rank(&self, order: Order) -> (i64, u64) {
        match order {
            Order::TimeDesc => (!self.time_ms.0, u64::MAX),
            Order::TimeAsc => (self.time_ms.1, u64::MAX),
            Order::SeqDesc | Order::SeqAsc => {
                let seq = if order == Order::SeqDesc { self.seq.0 } else { self.seq.1 };
                order.rank(Hit { time_ms: 0, seq })
            }
        }
    }

    /// Whether all of it lies within.
    pub fn is_inside(&self, within: Within) -> bool {
        within.from <= self.seq.0 && self.seq.1 < within.to
    }

    /// Whether none of it lies within.
    pub fn is_outside(&self, within: Within) -> bool {
        self.seq.1 < within.from || within.to <= self.seq.0
    }

    /// A string column, for counting by ordinal.
    pub fn str_column(&self, name: &str) -> Result<Option<StrColumn>, EngineError> {
        Ok(self.reader.fast_fields().str(name)?)
    }

    /// The matching documents: all of them, or `TooBroad`. The one way to a scorer; what is dear in a weight fails when
    /// time is up, and here it is said why.
    pub fn scorer(&self, weight: &dyn Weight, patience: &Patience) -> Result<Box<dyn Scorer>, EngineError> {
        patience.settle(weight.scorer(&self.reader, 1.0))
    }
}
