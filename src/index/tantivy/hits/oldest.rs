//! Oldest first: up the documents from the last one, a window at a time.
//!
//! A scorer only moves forward, so each window has one of its own, which first seeks there. Windows grow, so that all of
//! them together cost little more than one walk. Where a scorer is dear to make it is read once, into a bitmap.

use std::ops::Range;
use std::sync::Arc;

use ::tantivy::{DocId, DocSet};

use super::Question;
use super::bitmap::Bitmap;
use crate::index::tantivy::piece::Piece;
use crate::index::{EngineError, Hit, Order, Pace};

/// Documents of the first window: with them comes a page of a query that matches often.
const FIRST_WINDOW: u32 = if cfg!(test) { 2 } else { 1_024 };
/// A window grows no further than this many documents, which bounds the hits that are held.
const WINDOW_MAX: u32 = if cfg!(test) { 16 } else { 1 << 20 };

/// Reads windows of documents backwards.
pub struct OldestFirst {
    piece: Arc<Piece>,
    question: Arc<Question>,
    /// All that matches, where making a scorer again would be dear.
    matching: Option<Bitmap>,
    /// Documents from here on are done.
    end: DocId,
    window: u32,
    /// Hits of the last window, the next one last.
    ready: Vec<Hit>,
    pace: Pace,
}

impl OldestFirst {
    pub(super) fn open(piece: Arc<Piece>, question: Arc<Question>) -> Result<OldestFirst, EngineError> {
        let end = question.after.map_or(piece.reader.max_doc(), |after| end_doc(&piece, after));
        let mut pace = Pace::of_documents();
        let matching = match question.is_dear_in(&piece) {
            true => Some(matching(&piece, &question, end, &mut pace)?),
            false => None,
        };
        Ok(OldestFirst { piece, question, matching, end, window: FIRST_WINDOW, ready: Vec::new(), pace })
    }

    pub(super) fn next(&mut self) -> Result<Option<Hit>, EngineError> {
        while self.ready.is_empty() && self.end > 0 {
            self.read_window()?;
        }
        Ok(self.ready.pop())
    }

    fn read_window(&mut self) -> Result<(), EngineError> {
        let mut start = self.end.saturating_sub(self.window);
        let columns = &self.piece.columns;
        if !self.piece.is_exact {
            // Documents of one time go together: any of them may be the next hit.
            let time_ms = columns.time_ms(start);
            start = columns.first_doc_where(|doc| columns.time_ms(doc) <= time_ms);
        }
        self.collect(start..self.end)?;
        if !self.piece.is_exact {
            self.ready.sort_unstable_by_key(|hit| std::cmp::Reverse(Order::TimeAsc.rank(*hit)));
        }
        self.end = start;
        self.window = self.window.saturating_mul(2).min(WINDOW_MAX);
        Ok(())
    }

    /// Documents of an exact piece are then in the order in which they are popped.
    fn collect(&mut self, documents: Range<DocId>) -> Result<(), EngineError> {
        let (piece, question) = (&self.piece, &self.question);
        if let Some(matching) = &self.matching {
            let mut next = matching.first_from(documents.start.into());
            while let Some(doc) = next.and_then(|doc| DocId::try_from(doc).ok()).filter(|doc| *doc < documents.end) {
                self.pace.step(&question.patience)?;
                self.ready.extend(Some(piece.columns.hit(doc)).filter(|hit| question.wants(*hit)));
                next = matching.first_from(u64::from(doc) + 1);
            }
            return Ok(());
        }
        let mut scorer = piece.scorer(question.weight.as_ref(), &question.patience)?;
        if scorer.doc() < documents.start {
            scorer.seek(documents.start);
        }
        // The end of a scorer is a document number beyond all others.
        while scorer.doc() < documents.end {
            self.pace.step(&question.patience)?;
            self.ready.extend(Some(piece.columns.hit(scorer.doc())).filter(|hit| question.wants(*hit)));
            scorer.advance();
        }
        Ok(())
    }
}

fn matching(piece: &Piece, question: &Question, end: DocId, pace: &mut Pace) -> Result<Bitmap, EngineError> {
    let mut matching = Bitmap::new(end.into());
    let mut scorer = piece.scorer(question.weight.as_ref(), &question.patience)?;
    while scorer.doc() < end {
        pace.step(&question.patience)?;
        matching.insert(scorer.doc().into());
        scorer.advance();
    }
    Ok(matching)
}

/// The first document of those at the end that come no later than this hit.
fn end_doc(piece: &Piece, after: Hit) -> DocId {
    let columns = &piece.columns;
    match piece.is_exact {
        true => columns.first_doc_where(|doc| Order::TimeAsc.rank(columns.hit(doc)) <= Order::TimeAsc.rank(after)),
        false => columns.first_doc_where(|doc| columns.time_ms(doc) < after.time_ms),
    }
}
