//! In the order of the log, or backwards: what pollers and tails read.
//!
//! Documents are not in this order, so hits are found a window of `seq` at a time: the blocks of documents that can
//! hold the window are read and no others, and windows grow. Where that would mean to read most of a large piece, or to
//! make a dear scorer again, all that matches is written into a bitmap over `seq` once, which the piece keeps for the
//! next page; from then on only the times of the hits are looked up.

use std::cmp::Reverse;
use std::sync::Arc;

use ::tantivy::DocSet;

use super::Question;
use super::bitmap::Bitmap;
use crate::index::tantivy::piece::Piece;
use crate::index::{EngineError, Hit, Order, Pace, Within};
use crate::seq::Seq;

/// A piece of at most so many documents is one window: reading all of it takes a millisecond or two.
const SMALL_DOCUMENTS: u32 = if cfg!(test) { 12 } else { 65_536 };
/// Seqs of the first window, or hits of the first helping from a bitmap.
const FIRST_WINDOW: u64 = if cfg!(test) { 3 } else { 4_096 };
/// A window grows no further: it bounds the hits that are held, 16 bytes each.
const WINDOW_MAX: u64 = if cfg!(test) { 24 } else { 262_144 };
/// A window of more than this part of a piece's seqs, or in more than this part of its blocks, calls for a bitmap.
const WIDE_PART: u64 = if cfg!(test) { 4 } else { 16 };
const SCATTERED_PART: usize = 4;

/// Reads windows of `seq`.
pub struct BySeq {
    piece: Arc<Piece>,
    question: Arc<Question>,
    /// What is not read yet.
    left: Within,
    way: Way,
    /// Seqs of the next window, or hits of the next helping from a bitmap.
    window: u64,
    /// Hits of the last window, the next one last.
    ready: Vec<Hit>,
    pace: Pace,
}

/// How the hits of a window are found.
enum Way {
    /// By a scorer over the blocks around the window.
    Blocks,
    /// These match.
    Bitmap(Arc<Bitmap>),
    /// All match, and no seq is missing.
    Everything,
}

impl BySeq {
    pub(super) fn open(piece: Arc<Piece>, question: Arc<Question>) -> BySeq {
        let of_piece = Within { from: piece.seq.0, to: piece.seq.1.plus(1) };
        let mut left = question.within.and(of_piece);
        match (question.order, question.after) {
            (_, None) | (Order::TimeAsc | Order::TimeDesc, _) => {}
            (Order::SeqAsc, Some(after)) => left.from = left.from.max(Seq(after.seq.0.saturating_add(1))),
            (Order::SeqDesc, Some(after)) => left.to = left.to.min(after.seq),
        }
        let way = match question.is_everything && piece.is_seq_dense() {
            true => Way::Everything,
            false => piece.seq_bitmaps.get(&question.text).map_or(Way::Blocks, Way::Bitmap),
        };
        let window = if is_small(&piece) { u64::MAX } else { FIRST_WINDOW };
        BySeq { piece, question, left, way, window, ready: Vec::new(), pace: Pace::of_documents() }
    }

    pub(super) fn next(&mut self) -> Result<Option<Hit>, EngineError> {
        while self.ready.is_empty() && self.left.from < self.left.to {
            self.read_window()?;
        }
        Ok(self.ready.pop())
    }

    fn read_window(&mut self) -> Result<(), EngineError> {
        let asked = self.first_of_left(self.window);
        let window = match &self.way {
            Way::Blocks if self.needs_bitmap(asked)? => {
                self.way = Way::Bitmap(self.make_bitmap()?);
                return Ok(());
            }
            Way::Blocks | Way::Everything => asked,
            Way::Bitmap(bitmap) => match self.helping(bitmap) {
                Some(window) => window,
                None => {
                    self.left.from = self.left.to;
                    return Ok(());
                }
            },
        };
        match &self.way {
            Way::Blocks => self.collect_scored(window)?,
            Way::Bitmap(bitmap) => {
                let (bitmap, first) = (bitmap.clone(), self.piece.seq.0.0);
                self.collect_known(window, |seq| bitmap.holds(seq.0 - first))?;
            }
            Way::Everything => self.collect_known(window, |_| true)?,
        }
        // The next one is popped from the end.
        let order = self.question.order;
        self.ready.sort_unstable_by_key(|hit| Reverse(order.rank(*hit)));
        match order {
            Order::SeqDesc => self.left.to = window.from,
            Order::SeqAsc | Order::TimeAsc | Order::TimeDesc => self.left.from = window.to,
        }
        self.window = self.window.saturating_mul(4);
        if !is_small(&self.piece) {
            self.window = self.window.min(WINDOW_MAX);
        }
        Ok(())
    }

    /// The next `n` seqs, whether they match or not.
    fn first_of_left(&self, n: u64) -> Within {
        let Within { from, to } = self.left;
        match self.question.order {
            Order::SeqDesc => Within { from: from.max(Seq(to.0.saturating_sub(n))), to },
            Order::SeqAsc | Order::TimeAsc | Order::TimeDesc => {
                Within { from, to: to.min(Seq(from.0.saturating_add(n))) }
            }
        }
    }

    /// Where the next hits stand, as many as a window is to have; none if nothing matches any more.
    fn helping(&self, bitmap: &Bitmap) -> Option<Within> {
        let first = self.piece.seq.0.0;
        let (from, to) = (self.left.from.0 - first, self.left.to.0 - first);
        let is_down = self.question.order == Order::SeqDesc;
        let step = |at: u64| match is_down {
            true => bitmap.last_below(at).filter(|n| *n >= from),
            false => bitmap.first_from(at).filter(|n| *n < to),
        };
        let mut last = step(if is_down { to } else { from })?;
        for _ in 1..self.window {
            match step(if is_down { last } else { last + 1 }) {
                Some(n) => last = n,
                None => break,
            }
        }
        Some(match is_down {
            true => Within { from: Seq(first + last), to: self.left.to },
            false => Within { from: self.left.from, to: Seq(first + last + 1) },
        })
    }

    fn needs_bitmap(&self, window: Within) -> Result<bool, EngineError> {
        if is_small(&self.piece) {
            return Ok(false);
        }
        let seqs = |within: Within| within.to.0 - within.from.0;
        let of_piece = self.piece.seq.1.0 - self.piece.seq.0.0 + 1;
        let blocks = self.piece.seq_blocks(&self.question.patience)?;
        Ok(self.question.is_dear_in(&self.piece)
            || seqs(window) * WIDE_PART > of_piece
            || blocks.around(window).count() * SCATTERED_PART > blocks.count())
    }

    /// Reads all that matches in the piece. It is kept only when it is whole.
    fn make_bitmap(&mut self) -> Result<Arc<Bitmap>, EngineError> {
        let (piece, question) = (&self.piece, &self.question);
        let mut bitmap = Bitmap::new(piece.seq.1.0 - piece.seq.0.0 + 1);
        let mut scorer = piece.scorer(question.weight.as_ref(), &question.patience)?;
        while scorer.doc() < piece.reader.max_doc() {
            self.pace.step(&question.patience)?;
            bitmap.insert(piece.columns.seq.get_val(scorer.doc()) - piece.seq.0.0);
            scorer.advance();
        }
        let bitmap = Arc::new(bitmap);
        piece.seq_bitmaps.keep(&question.text, bitmap.clone());
        Ok(bitmap)
    }

    fn collect_scored(&mut self, window: Within) -> Result<(), EngineError> {
        let (piece, question) = (&self.piece, &self.question);
        let mut scorer = piece.scorer(question.weight.as_ref(), &question.patience)?;
        for documents in piece.seq_blocks(&question.patience)?.around(window) {
            if scorer.doc() < documents.start {
                scorer.seek(documents.start);
            }
            while scorer.doc() < documents.end {
                self.pace.step(&question.patience)?;
                let hit = piece.columns.hit(scorer.doc());
                if window.holds(hit.seq) {
                    self.ready.push(hit);
                }
                scorer.advance();
            }
        }
        Ok(())
    }

    fn collect_known(&mut self, window: Within, matches: impl Fn(Seq) -> bool) -> Result<(), EngineError> {
        let (piece, question) = (&self.piece, &self.question);
        for documents in piece.seq_blocks(&question.patience)?.around(window) {
            for doc in documents {
                self.pace.step(&question.patience)?;
                let seq = Seq(piece.columns.seq.get_val(doc));
                if window.holds(seq) && matches(seq) {
                    self.ready.push(Hit { time_ms: piece.columns.time_ms(doc), seq });
                }
            }
        }
        Ok(())
    }
}

/// Small, or with seqs of other pieces in between, which only a small piece of the hot index has.
fn is_small(piece: &Piece) -> bool {
    piece.reader.max_doc() <= SMALL_DOCUMENTS || !piece.is_seq_dense()
}
