//! The hits of one piece in any order, read as they are asked for: a page costs about a page.
//!
//! Documents are sorted by time, newest first, and nearly so by `seq`. A file per way of using that; each looks at the
//! question's time while it works, and ends with `TooBroad` rather than early.

mod bitmap;
mod by_seq;
mod newest;
mod oldest;
mod seq_bitmaps;
mod seq_blocks;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ::tantivy::query::Weight;

pub use seq_bitmaps::SeqBitmaps;
pub use seq_blocks::SeqBlocks;

use crate::index::tantivy::piece::Piece;
use crate::index::{EngineError, Hit, Order, Patience, Within};
use crate::query::{Filter, Node, Query};
use by_seq::BySeq;
use newest::NewestFirst;
use oldest::OldestFirst;

/// What is asked of each piece.
pub struct Question {
    /// The query, made for this question: its patience is in it.
    pub weight: Arc<dyn Weight>,
    /// The query as text, under which a piece keeps what it found.
    text: String,
    /// Every entry matches.
    is_everything: bool,
    /// A scorer is dear to make: it reads a dictionary first.
    is_dear: bool,
    /// A part of the log is asked for. A scorer over a piece of which only some lies there reads all its documents first.
    has_seq_range: bool,
    /// In which order.
    pub order: Order,
    /// Behind which hit to begin.
    pub after: Option<Hit>,
    /// In which part of the log.
    pub within: Within,
    /// How long it may take.
    pub patience: Arc<Patience>,
}

impl Question {
    /// `weight` is that of `query`, and `text` what answers to it are kept under.
    pub fn new(
        query: &Query,
        text: String,
        weight: Arc<dyn Weight>,
        order: Order,
        after: Option<Hit>,
        within: Within,
        patience: Arc<Patience>,
    ) -> Question {
        let (mut is_dear, mut has_seq_range) = (false, false);
        query.root.each_filter(&mut |filter| {
            is_dear |= filter.is_pattern();
            has_seq_range |= matches!(filter, Filter::Seq(_) | Filter::Received(_));
        });
        let is_everything = query.root == Node::All;
        // No entry outside these matches, so nobody has to look there.
        let (from, to) = query.seq_bounds();
        let within = within.and(Within { from, to: to.unwrap_or(within.to) });
        Question { weight, text, is_everything, is_dear, has_seq_range, order, after, within, patience }
    }

    /// Whether each further scorer over this piece would be dear, so that one should do.
    fn is_dear_in(&self, piece: &Piece) -> bool {
        self.is_dear || (self.has_seq_range && !piece.is_inside(self.within))
    }

    /// Whether a matching entry is part of the answer.
    fn wants(&self, hit: Hit) -> bool {
        self.within.holds(hit.seq) && self.after.is_none_or(|after| self.order.rank(hit) > self.order.rank(after))
    }
}

/// Hits of one piece, in order.
pub enum PieceHits {
    /// Newest first.
    Newest(NewestFirst),
    /// Oldest first.
    Oldest(OldestFirst),
    /// By `seq`, either way.
    BySeq(BySeq),
    /// Found elsewhere, and sorted.
    Ready(std::vec::IntoIter<Hit>),
}

impl PieceHits {
    /// Begins to read the hits of a piece.
    pub fn open(piece: Arc<Piece>, question: Arc<Question>) -> Result<PieceHits, EngineError> {
        question.patience.check()?;
        Ok(match question.order {
            Order::TimeDesc => PieceHits::Newest(NewestFirst::open(piece, question)?),
            Order::TimeAsc => PieceHits::Oldest(OldestFirst::open(piece, question)?),
            Order::SeqDesc | Order::SeqAsc => PieceHits::BySeq(BySeq::open(piece, question)),
        })
    }
}

impl Iterator for PieceHits {
    type Item = Result<Hit, EngineError>;

    fn next(&mut self) -> Option<Result<Hit, EngineError>> {
        match self {
            PieceHits::Newest(hits) => hits.next().transpose(),
            PieceHits::Oldest(hits) => hits.next().transpose(),
            PieceHits::BySeq(hits) => hits.next().transpose(),
            PieceHits::Ready(hits) => hits.next().map(Ok),
        }
    }
}
