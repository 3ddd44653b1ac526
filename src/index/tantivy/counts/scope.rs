//! What a question is about in one piece: which documents its time range leaves, which of them lie within the part of
//! the log that is asked about, and by which blocks results are kept.

use std::ops::Range;
use std::sync::Arc;

use ::tantivy::DocId;

use super::cache::CountCache;
use super::docs::{Docs, DocsBuilder, intersection};
use crate::index::tantivy::piece::Piece;
use crate::index::{EngineError, Patience, Within};
use crate::seq::Seq;

/// A time range that needs less than this part of a piece's blocks has only these looked at, not the whole piece.
const NARROW_PART: u32 = 4;

/// A run of documents of a piece, cut into blocks of equal size; the last may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grid {
    start: DocId,
    end: DocId,
    block_docs: DocId,
}

impl Grid {
    /// All of its documents.
    pub fn run(self) -> Range<DocId> {
        self.start..self.end
    }

    /// Its blocks.
    pub fn blocks(self) -> impl Iterator<Item = Range<DocId>> {
        cut(self.run(), self.block_docs)
    }
}

/// A run in parts of `docs` documents; the last may be shorter.
pub fn cut(run: Range<DocId>, docs: DocId) -> impl Iterator<Item = Range<DocId>> {
    let end = run.end;
    run.step_by(docs as usize).map(move |start| start..end.min(start.saturating_add(docs)))
}

/// One question in one piece.
pub struct Scope<'a> {
    /// The piece.
    pub piece: &'a Piece,
    /// The documents that the time range leaves. Never empty.
    pub interval: Range<DocId>,
    /// How results are kept. It holds the interval.
    pub grid: Grid,
    /// The documents of the interval that lie within; `None` if all do.
    pub pinned: Option<Arc<Docs>>,
}

impl<'a> Scope<'a> {
    /// `None` when the time range leaves nothing. `time_ms` is the first included and the first excluded again.
    pub fn of(
        piece: &'a Piece,
        time_ms: (Option<i64>, Option<i64>),
        within: Within,
        cache: &CountCache,
        patience: &Patience,
    ) -> Result<Option<Scope<'a>>, EngineError> {
        let docs = piece.reader.max_doc();
        let start = time_ms.1.map_or(0, |to| piece.columns.first_doc_before(to));
        let end = time_ms.0.map_or(docs, |from| piece.columns.first_doc_before(from));
        if start >= end {
            return Ok(None);
        }
        let interval = start..end;
        let is_pinned = !piece.is_inside(within);
        let block_docs = cache.limits().block_docs;
        let (first, last) = (start / block_docs, end.div_ceil(block_docs));
        let grid = if interval == (0..docs) && !is_pinned {
            Grid { start: 0, end: docs, block_docs: docs }
        } else if (last - first).saturating_mul(NARROW_PART) >= docs.div_ceil(block_docs) {
            Grid { start: 0, end: docs, block_docs }
        } else {
            Grid { start: first * block_docs, end: docs.min(last.saturating_mul(block_docs)), block_docs }
        };
        let pinned = match is_pinned {
            true => Some(Arc::new(pinned(piece, &interval, within, patience)?)),
            false => None,
        };
        Ok(Some(Scope { piece, interval, grid, pinned }))
    }

    /// Whether every document of `block` is asked about, so that what is kept of it answers.
    pub fn is_whole(&self, block: &Range<DocId>) -> bool {
        intersection(block, &self.interval) == *block && self.pinned.as_ref().is_none_or(|docs| docs.holds_all(block))
    }
}

/// The documents of `interval` that lie within. Blocks that lie wholly within, or not at all, are not looked at.
fn pinned(piece: &Piece, interval: &Range<DocId>, within: Within, patience: &Patience) -> Result<Docs, EngineError> {
    let mut found = DocsBuilder::over(interval);
    for (block, lowest, highest) in piece.seq_blocks(patience)?.all() {
        let asked = intersection(&block, interval);
        if within.holds(lowest) && within.holds(highest) {
            found.insert_run(asked);
        } else if lowest < within.to && within.from <= highest {
            patience.check()?;
            asked.filter(|doc| within.holds(Seq(piece.columns.seq.get_val(*doc)))).for_each(|doc| found.insert(doc));
        }
    }
    Ok(found.finish())
}
