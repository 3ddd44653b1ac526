//! Small Tantivy queries of our own: a time range, a range of `seq`, and what a negation excludes.
//!
//! Documents of every index are sorted by time, newest first, so a time range is an interval of documents
//! found by binary search. A range of `seq` that holds a whole segment costs nothing.

use std::sync::Arc;

use ::tantivy::query::{
    AllScorer, BitSetDocSet, ConstScorer, EmptyScorer, EnableScoring, Explanation, Query, Scorer, Weight,
};
use ::tantivy::{BitSet, DocId, DocSet, Score, SegmentReader, TERMINATED, TantivyError};

use crate::index::tantivy::piece::Columns;
use crate::index::{Pace, Patience};

/// Entries with `from_ms <= time < to_ms`.
#[derive(Clone, Debug)]
pub struct TimeRange {
    pub from_ms: Option<i64>,
    pub to_ms: Option<i64>,
}

/// Entries with `from <= seq < to`.
#[derive(Clone, Debug)]
pub struct SeqRange {
    pub from: u64,
    pub to: u64,
    /// Where only some documents of a segment match, all are looked at.
    pub patience: Arc<Patience>,
}

/// The documents `next..end`.
struct Interval {
    doc: DocId,
    end: DocId,
}

impl Interval {
    fn new(start: DocId, end: DocId) -> Interval {
        Interval { doc: if start < end { start } else { TERMINATED }, end }
    }
}

impl DocSet for Interval {
    fn advance(&mut self) -> DocId {
        self.seek(self.doc.saturating_add(1))
    }

    fn seek(&mut self, target: DocId) -> DocId {
        self.doc = if target < self.end { target.max(self.doc) } else { TERMINATED };
        self.doc
    }

    fn doc(&self) -> DocId {
        self.doc
    }

    fn size_hint(&self) -> u32 {
        self.end.saturating_sub(self.doc)
    }

    fn count_including_deleted(&mut self) -> u32 {
        let left = if self.doc == TERMINATED { 0 } else { self.end - self.doc };
        self.doc = TERMINATED;
        left
    }
}

impl Query for TimeRange {
    fn weight(&self, _: EnableScoring<'_>) -> ::tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for TimeRange {
    fn scorer(&self, reader: &SegmentReader, _: Score) -> ::tantivy::Result<Box<dyn Scorer>> {
        let columns = Columns::open(reader)?;
        let start = self.to_ms.map_or(0, |to| columns.first_doc_before(to));
        let end = self.from_ms.map_or(reader.max_doc(), |from| columns.first_doc_before(from));
        Ok(Box::new(ConstScorer::from(Interval::new(start, end))))
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> ::tantivy::Result<Explanation> {
        explain(self, reader, doc)
    }
}

impl Query for SeqRange {
    fn weight(&self, _: EnableScoring<'_>) -> ::tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for SeqRange {
    fn scorer(&self, reader: &SegmentReader, _: Score) -> ::tantivy::Result<Box<dyn Scorer>> {
        let seq = Columns::open(reader)?.seq;
        if self.from >= self.to || self.to <= seq.min_value() || self.from > seq.max_value() {
            return Ok(Box::new(EmptyScorer));
        }
        if self.from <= seq.min_value() && seq.max_value() < self.to {
            return Ok(Box::new(AllScorer::new(reader.max_doc())));
        }
        let mut docs = BitSet::with_max_value(reader.max_doc());
        let mut pace = Pace::of_documents();
        for doc in 0..reader.max_doc() {
            // Half a range is not an answer: fail, and `Piece::scorer` says why.
            pace.step(&self.patience).map_err(|error| TantivyError::InternalError(error.to_string()))?;
            if (self.from..self.to).contains(&seq.get_val(doc)) {
                docs.insert(doc);
            }
        }
        Ok(Box::new(ConstScorer::from(BitSetDocSet::from(docs))))
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> ::tantivy::Result<Explanation> {
        explain(self, reader, doc)
    }
}

/// What a negation excludes.
///
/// Tantivy 0.27 asks an excluded set for documents that it has already passed (`Exclude` calls `seek_danger` with
/// whatever document comes next), which a phrase does not allow. Asked through this, it is sought forward only.
#[derive(Clone, Debug)]
pub struct Excluded(pub Arc<dyn Query>);

struct ExcludedWeight(Box<dyn Weight>);

struct ExcludedDocs(Box<dyn Scorer>);

impl Query for Excluded {
    fn weight(&self, scoring: EnableScoring<'_>) -> ::tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(ExcludedWeight(self.0.weight(scoring)?)))
    }
}

impl Weight for ExcludedWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> ::tantivy::Result<Box<dyn Scorer>> {
        Ok(Box::new(ExcludedDocs(self.0.scorer(reader, boost)?)))
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> ::tantivy::Result<Explanation> {
        self.0.explain(reader, doc)
    }
}

// Without a `seek_danger` of its own: the provided one looks at `doc` before it seeks.
impl DocSet for ExcludedDocs {
    fn advance(&mut self) -> DocId {
        self.0.advance()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        self.0.seek(target)
    }

    fn doc(&self) -> DocId {
        self.0.doc()
    }

    fn size_hint(&self) -> u32 {
        self.0.size_hint()
    }
}

impl Scorer for ExcludedDocs {
    fn score(&mut self) -> Score {
        self.0.score()
    }
}

/// The explanation of a document that a scorer of `weight` finds; nothing here has a score worth explaining.
pub fn explain(weight: &dyn Weight, reader: &SegmentReader, doc: DocId) -> ::tantivy::Result<Explanation> {
    let mut scorer = weight.scorer(reader, 1.0)?;
    match scorer.seek(doc) == doc {
        true => Ok(Explanation::new("range", 1.0)),
        false => Err(TantivyError::InvalidArgument(format!("document {doc} does not match"))),
    }
}
