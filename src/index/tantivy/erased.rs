//! What is erased and still in an index: until a span is written again without it, nothing is found by it.
//!
//! The key of what is sealed is destroyed at once, and whatever is indexed from then on does not have the values. What was
//! indexed before has them in fields of their own; which documents these are is known by the numbers of the keys that they
//! were sealed under. A document's part counts there as if it had never been indexed.

use std::collections::HashMap;
use std::sync::Arc;

use ::tantivy::index::SegmentId;
use ::tantivy::query::{BitSetDocSet, ConstScorer, EmptyScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use ::tantivy::schema::IndexRecordOption;
use ::tantivy::{BitSet, DocId, DocSet, Score, SegmentReader, TERMINATED, Term};

use crate::event::PartKind;
use crate::index::tantivy::docset::explain;
use crate::index::tantivy::{schema, terms};
use crate::seq::Seq;

/// An erasure of which a part of the index may know nothing yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Where it was asked for.
    pub requested: Seq,
    /// The keys that are destroyed.
    pub keys: Vec<u64>,
}

/// The documents of one segment of which a part is erased, by part. Each list rises.
#[derive(Debug, Default)]
pub struct ErasedDocs {
    content: Vec<DocId>,
    who: Vec<DocId>,
}

impl ErasedDocs {
    /// What these erasures erase here; `None` if nothing.
    pub fn find<'a>(
        reader: &SegmentReader,
        pending: impl Iterator<Item = &'a Pending>,
    ) -> ::tantivy::Result<Option<ErasedDocs>> {
        let field = schema::current().fields.key;
        let index = reader.inverted_index(field)?;
        let mut found = ErasedDocs::default();
        for key in pending.flat_map(|pending| &pending.keys) {
            for part in PartKind::ALL {
                let term = Term::from_field_text(field, &terms::sealed_under(part, *key));
                let Some(mut postings) = index.read_postings(&term, IndexRecordOption::Basic)? else { continue };
                let docs = found.of_mut(part);
                let mut doc = postings.doc();
                while doc != TERMINATED {
                    docs.push(doc);
                    doc = postings.advance();
                }
            }
        }
        for part in PartKind::ALL {
            each_once(found.of_mut(part));
        }
        Ok((!found.is_empty()).then_some(found))
    }

    /// The same and these.
    pub fn and(&self, more: &ErasedDocs) -> ErasedDocs {
        let mut all = ErasedDocs { content: self.content.clone(), who: self.who.clone() };
        for part in PartKind::ALL {
            let docs = all.of_mut(part);
            docs.extend_from_slice(more.of(part));
            each_once(docs);
        }
        all
    }

    /// Every document of a segment: what is said where it cannot be found out.
    pub fn everything(reader: &SegmentReader) -> ErasedDocs {
        let docs: Vec<DocId> = (0..reader.max_doc()).collect();
        ErasedDocs { content: docs.clone(), who: docs }
    }

    /// Those of which this part is erased.
    pub fn of(&self, part: PartKind) -> &[DocId] {
        match part {
            PartKind::Content => &self.content,
            PartKind::Who => &self.who,
        }
    }

    /// Those of which any part is, each once, rising.
    pub fn all(&self) -> Vec<DocId> {
        let mut all = [&*self.content, &self.who].concat();
        each_once(&mut all);
        all
    }

    fn of_mut(&mut self, part: PartKind) -> &mut Vec<DocId> {
        match part {
            PartKind::Content => &mut self.content,
            PartKind::Who => &mut self.who,
        }
    }

    fn is_empty(&self) -> bool {
        self.content.is_empty() && self.who.is_empty()
    }
}

/// Each once, rising.
fn each_once(docs: &mut Vec<DocId>) {
    docs.sort_unstable();
    docs.dedup();
}

/// What is erased in each segment that knows nothing of it yet.
pub type BySegment = Arc<HashMap<SegmentId, Arc<ErasedDocs>>>;

/// The documents of which this part is erased.
#[derive(Clone, Debug)]
pub struct IsErased {
    /// The part.
    pub part: PartKind,
    /// The documents.
    pub docs: BySegment,
}

impl Query for IsErased {
    fn weight(&self, _: EnableScoring<'_>) -> ::tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for IsErased {
    fn scorer(&self, reader: &SegmentReader, _: Score) -> ::tantivy::Result<Box<dyn Scorer>> {
        let Some(erased) = self.docs.get(&reader.segment_id()) else { return Ok(Box::new(EmptyScorer)) };
        let mut docs = BitSet::with_max_value(reader.max_doc());
        for doc in erased.of(self.part) {
            docs.insert(*doc);
        }
        Ok(Box::new(ConstScorer::from(BitSetDocSet::from(docs))))
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> ::tantivy::Result<Explanation> {
        explain(self, reader, doc)
    }
}
