//! Newest first: straight down the documents.

use std::collections::VecDeque;
use std::sync::Arc;

use ::tantivy::query::Scorer;
use ::tantivy::{DocSet, TERMINATED};

use super::Question;
use crate::index::tantivy::piece::Piece;
use crate::index::{EngineError, Hit, Order, Pace};

/// Reads a scorer in document order.
///
/// Where documents of equal time stand in any order of `seq`, a whole run of equal times is read before its first hit is
/// handed out. In a piece in exact order nothing is collected.
pub struct NewestFirst {
    piece: Arc<Piece>,
    question: Arc<Question>,
    scorer: Box<dyn Scorer>,
    /// Hits of one time, sorted.
    run: VecDeque<Hit>,
    pace: Pace,
}

impl NewestFirst {
    pub(super) fn open(piece: Arc<Piece>, question: Arc<Question>) -> Result<NewestFirst, EngineError> {
        let mut scorer = piece.scorer(question.weight.as_ref(), &question.patience)?;
        let start = question.after.map_or(0, |after| first_doc(&piece, after));
        if scorer.doc() < start {
            scorer.seek(start);
        }
        Ok(NewestFirst { piece, question, scorer, run: VecDeque::new(), pace: Pace::of_documents() })
    }

    pub(super) fn next(&mut self) -> Result<Option<Hit>, EngineError> {
        if self.piece.is_exact {
            return self.next_wanted();
        }
        if self.run.is_empty() {
            self.read_run()?;
        }
        Ok(self.run.pop_front())
    }

    fn next_wanted(&mut self) -> Result<Option<Hit>, EngineError> {
        while self.scorer.doc() != TERMINATED {
            self.pace.step(&self.question.patience)?;
            let hit = self.piece.columns.hit(self.scorer.doc());
            self.scorer.advance();
            if self.question.wants(hit) {
                return Ok(Some(hit));
            }
        }
        Ok(None)
    }

    fn read_run(&mut self) -> Result<(), EngineError> {
        let Some(first) = self.next_wanted()? else {
            return Ok(());
        };
        self.run.push_back(first);
        while self.scorer.doc() != TERMINATED {
            self.pace.step(&self.question.patience)?;
            let hit = self.piece.columns.hit(self.scorer.doc());
            if hit.time_ms != first.time_ms {
                break;
            }
            self.scorer.advance();
            if self.question.wants(hit) {
                self.run.push_back(hit);
            }
        }
        self.run.make_contiguous().sort_unstable_by_key(|hit| Order::TimeDesc.rank(*hit));
        Ok(())
    }
}

/// The first document that can come after this hit.
fn first_doc(piece: &Piece, after: Hit) -> u32 {
    let columns = &piece.columns;
    match piece.is_exact {
        true => columns.first_doc_where(|doc| Order::TimeDesc.rank(columns.hit(doc)) > Order::TimeDesc.rank(after)),
        // The first one of its time.
        false => columns.first_doc_where(|doc| columns.time_ms(doc) <= after.time_ms),
    }
}
