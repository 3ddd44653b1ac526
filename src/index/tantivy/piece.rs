//! One immutable Tantivy segment with what a search needs at hand: its columns and its bounds.
//! A span is one piece; the hot index is a few.

use std::collections::VecDeque;
use std::sync::Arc;

use ::tantivy::columnar::{ColumnValues, StrColumn};
use ::tantivy::query::{Scorer, Weight};
use ::tantivy::{DateTime, DocId, DocSet, SegmentReader, TERMINATED};

use crate::index::{EngineError, Hit, Order, Within, bucket_of};
use crate::seq::Seq;

/// The two columns that order and paging read.
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
        let (mut low, mut high) = (0, self.time.num_vals());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.time_ms(middle) >= ms {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low
    }

    fn hit(&self, doc: DocId) -> Hit {
        Hit { time_ms: self.time_ms(doc), seq: Seq(self.seq.get_val(doc)) }
    }
}

/// One immutable segment. Never empty.
pub struct Piece {
    /// Tantivy's reader.
    pub reader: SegmentReader,
    /// Its columns.
    pub columns: Columns,
    /// Oldest and newest time, ms.
    pub time_ms: (i64, i64),
    /// Lowest and highest seq.
    pub seq: (Seq, Seq),
}

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
        Ok(Some(Piece { reader, columns, time_ms, seq }))
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

    /// The matching documents that lie within, as a scorer over documents.
    pub fn scorer(&self, weight: &dyn Weight) -> Result<Box<dyn Scorer>, EngineError> {
        Ok(weight.scorer(&self.reader, 1.0)?)
    }

    /// How many documents match.
    pub fn count(&self, weight: &dyn Weight, within: Within) -> Result<u64, EngineError> {
        if self.is_inside(within) {
            return Ok(u64::from(weight.count(&self.reader)?));
        }
        let mut scorer = self.scorer(weight)?;
        let mut count = 0;
        while scorer.doc() != TERMINATED {
            count += u64::from(within.holds(Seq(self.columns.seq.get_val(scorer.doc()))));
            scorer.advance();
        }
        Ok(count)
    }

    /// Adds the matching documents to the buckets of `edges` that their times lie in.
    pub fn count_by_time(
        &self,
        weight: &dyn Weight,
        within: Within,
        edges: &[i64],
        counts: &mut [u64],
    ) -> Result<(), EngineError> {
        let check_seq = !self.is_inside(within);
        let mut scorer = self.scorer(weight)?;
        // Times fall along the documents, so the bucket is nearly always the last one again.
        let mut bucket: Option<usize> = None;
        while scorer.doc() != TERMINATED {
            let doc = scorer.doc();
            scorer.advance();
            if check_seq && !within.holds(Seq(self.columns.seq.get_val(doc))) {
                continue;
            }
            let time_ms = self.columns.time_ms(doc);
            if bucket.is_none_or(|bucket| !(edges[bucket]..edges[bucket + 1]).contains(&time_ms)) {
                bucket = bucket_of(edges, time_ms);
            }
            if let Some(bucket) = bucket {
                counts[bucket] += 1;
            }
        }
        Ok(())
    }

    /// Its hits in `order`, beginning after `after`.
    pub fn hits(
        self: &Arc<Self>,
        weight: &dyn Weight,
        order: Order,
        after: Option<Hit>,
        within: Within,
    ) -> Result<PieceHits, EngineError> {
        let mut scorer = self.scorer(weight)?;
        if order == Order::TimeDesc {
            if let Some(after) = after {
                // Documents newer than the cursor cannot come any more. (Adding 1 keeps those of the same ms.)
                let start = self.columns.first_doc_before(after.time_ms.saturating_add(1));
                if scorer.doc() < start {
                    scorer.seek(start);
                }
            }
            let newest = NewestFirst { piece: self.clone(), scorer, after, within, run: VecDeque::new() };
            return Ok(PieceHits::Lazy(newest));
        }
        let mut hits = Vec::new();
        while scorer.doc() != TERMINATED {
            let hit = self.columns.hit(scorer.doc());
            if within.holds(hit.seq) && after.is_none_or(|after| order.rank(hit) > order.rank(after)) {
                hits.push(hit);
            }
            scorer.advance();
        }
        hits.sort_unstable_by_key(|hit| order.rank(*hit));
        Ok(PieceHits::Ready(hits.into_iter()))
    }
}

/// Hits of one piece, in order.
pub enum PieceHits {
    /// Newest first, straight from document order: work is done as hits are taken.
    Lazy(NewestFirst),
    /// Any other order: all of them, sorted.
    Ready(std::vec::IntoIter<Hit>),
}

impl Iterator for PieceHits {
    type Item = Hit;

    fn next(&mut self) -> Option<Hit> {
        match self {
            PieceHits::Lazy(hits) => hits.next(),
            PieceHits::Ready(hits) => hits.next(),
        }
    }
}

/// Reads a scorer in document order. Documents of equal time may lie in any order of `seq`, so a whole
/// run of equal times is read before its first hit is handed out.
pub struct NewestFirst {
    piece: Arc<Piece>,
    scorer: Box<dyn Scorer>,
    after: Option<Hit>,
    within: Within,
    run: VecDeque<Hit>,
}

impl NewestFirst {
    fn read_run(&mut self) {
        while self.run.is_empty() && self.scorer.doc() != TERMINATED {
            let time_ms = self.piece.columns.time_ms(self.scorer.doc());
            while self.scorer.doc() != TERMINATED {
                let hit = self.piece.columns.hit(self.scorer.doc());
                if hit.time_ms != time_ms {
                    break;
                }
                let order = Order::TimeDesc;
                if self.within.holds(hit.seq) && self.after.is_none_or(|after| order.rank(hit) > order.rank(after)) {
                    self.run.push_back(hit);
                }
                self.scorer.advance();
            }
            self.run.make_contiguous().sort_unstable_by_key(|hit| Order::TimeDesc.rank(*hit));
        }
    }
}

impl Iterator for NewestFirst {
    type Item = Hit;

    fn next(&mut self) -> Option<Hit> {
        if self.run.is_empty() {
            self.read_run();
        }
        self.run.pop_front()
    }
}
