//! A snapshot of everything searchable: the pieces of spans and hot index, and the log itself where neither is
//! ready. This is what the `Engine` seam shows of Tantivy.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use ::tantivy::query::{EnableScoring, Weight};

use crate::index::scan::Scan;
use crate::index::source::Source;
use crate::index::tantivy::facets::{Tally, Weights};
use crate::index::tantivy::lower::lower;
use crate::index::tantivy::piece::{Piece, PieceHits};
use crate::index::tantivy::schema;
use crate::index::{Counts, Engine, EngineError, Hit, Hits, Order, Parts, Within};
use crate::query::{FacetField, Query};
use crate::seq::Seq;

/// At most this many events are answered from the log while their spans are being rebuilt: about two seconds of
/// scanning. Beyond it a question gets `Rebuilding`, rather than an answer after minutes.
pub const SCANNED_EVENTS_MAX: u64 = 262_144;

/// A snapshot: it never changes, whatever is appended, indexed or merged meanwhile.
pub struct View {
    source: Source,
    pieces: Vec<Arc<Piece>>,
    gaps: Vec<Within>,
    searchable: Seq,
}

impl View {
    /// A view of `[0, searchable)`: `pieces` and `gaps` together hold each of these events exactly once.
    pub fn new(source: Source, pieces: Vec<Arc<Piece>>, gaps: Vec<Within>, searchable: Seq) -> View {
        View { source, pieces, gaps, searchable }
    }

    /// Every event below this is in the view.
    pub fn searchable(&self) -> Seq {
        self.searchable
    }

    /// How many events are answered from the log because no span holds them yet.
    pub fn missing(&self) -> u64 {
        self.gaps.iter().map(|gap| gap.to.0 - gap.from.0).sum()
    }

    /// Number of Tantivy segments.
    pub fn piece_count(&self) -> usize {
        self.pieces.len()
    }

    fn weight(&self, query: &Query) -> Result<Arc<dyn Weight>, EngineError> {
        let schema = schema::current();
        let lowered = lower(&query.root, schema, &|ms| self.source.first_received_at(ms, self.searchable))?;
        Ok(Arc::from(lowered.weight(EnableScoring::disabled_from_schema(&schema.schema))?))
    }

    fn scans(&self, within: Within) -> Result<Vec<Scan>, EngineError> {
        let missing = self.missing();
        if missing > SCANNED_EVENTS_MAX {
            return Err(EngineError::Rebuilding { missing });
        }
        let overlap = self.gaps.iter().map(|gap| gap.and(within)).filter(|gap| gap.from < gap.to);
        Ok(overlap.map(|gap| Scan::new(self.source.clone(), gap)).collect())
    }

    /// The pieces that can hold an answer: not outside `within`, not outside the times that the query asks for.
    fn candidates(&self, query: &Query, within: Within) -> impl Iterator<Item = &Arc<Piece>> {
        let (from, to) = query.time_bounds();
        let (seq_from, seq_to) = query.seq_bounds();
        let within = within.and(Within { from: seq_from, to: seq_to.unwrap_or(Seq(u64::MAX)) });
        self.pieces.iter().filter(move |piece| {
            !piece.is_outside(within)
                && from.is_none_or(|from| piece.time_ms.1 >= from)
                && to.is_none_or(|to| piece.time_ms.0 < to)
        })
    }
}

impl Engine for View {
    fn hits(&self, query: &Query, order: Order, after: Option<Hit>, within: Within) -> Result<Hits<'_>, EngineError> {
        let after_rank = after.map(|after| order.rank(after));
        let mut waiting: Vec<Arc<Piece>> = self
            .candidates(query, within)
            .filter(|piece| after_rank.is_none_or(|after| piece.worst_rank(order) > after))
            .cloned()
            .collect();
        // The best piece last, so that it is popped first.
        waiting.sort_by_key(|piece| Reverse(piece.best_rank(order)));
        let mut merge = Merge {
            weight: self.weight(query)?,
            order,
            after,
            within,
            waiting,
            open: Vec::new(),
            heads: BinaryHeap::new(),
        };
        for scan in self.scans(within)? {
            let hits = scan.collect(query, order, after, within)?;
            merge.push(PieceHits::Ready(hits.into_iter()));
        }
        Ok(Box::new(merge))
    }

    fn total(&self, query: &Query, within: Within) -> Result<u64, EngineError> {
        let weight = self.weight(query)?;
        let mut total = 0;
        for piece in self.candidates(query, within) {
            total += piece.count(weight.as_ref(), within)?;
        }
        for scan in self.scans(within)? {
            total += scan.total(query, within)?;
        }
        Ok(total)
    }

    fn histogram(&self, query: &Query, within: Within, edges: &[i64]) -> Result<Vec<u64>, EngineError> {
        let weight = self.weight(query)?;
        let mut counts = vec![0; edges.len().saturating_sub(1)];
        for piece in self.candidates(query, within) {
            piece.count_by_time(weight.as_ref(), within, edges, &mut counts)?;
        }
        for scan in self.scans(within)? {
            let scanned = scan.histogram(query, within, edges)?;
            counts.iter_mut().zip(scanned).for_each(|(count, more)| *count += more);
        }
        Ok(counts)
    }

    fn counts(&self, query: &Query, within: Within, fields: &[FacetField]) -> Result<Counts, EngineError> {
        let parts = Parts::of(query);
        let own = parts.own.iter().map(|(field, node)| Ok((*field, self.weight(node)?)));
        let weights = Weights { rest: self.weight(&parts.rest)?, own: own.collect::<Result<Vec<_>, EngineError>>()? };
        let mut tally = Tally::new(fields);
        for piece in self.candidates(&parts.rest, within) {
            tally.add_piece(piece, &weights, within)?;
        }
        for scan in self.scans(within)? {
            tally.add(scan.counts(query, within, fields)?);
        }
        Ok(tally.finish())
    }
}

/// Merges the hits of pieces. A piece is opened only when no better hit can come from those already open.
struct Merge {
    weight: Arc<dyn Weight>,
    order: Order,
    after: Option<Hit>,
    within: Within,
    waiting: Vec<Arc<Piece>>,
    /// Each with the hit it will give next.
    open: Vec<(Hit, PieceHits)>,
    heads: BinaryHeap<Reverse<((i64, u64), usize)>>,
}

impl Merge {
    fn push(&mut self, mut hits: PieceHits) {
        if let Some(hit) = hits.next() {
            self.heads.push(Reverse((self.order.rank(hit), self.open.len())));
            self.open.push((hit, hits));
        }
    }

    fn open_what_may_come_first(&mut self) -> Result<(), EngineError> {
        while let Some(piece) = self.waiting.last() {
            let best = self.heads.peek().map(|Reverse((rank, _))| *rank);
            if best.is_some_and(|best| best < piece.best_rank(self.order)) {
                return Ok(());
            }
            let piece = self.waiting.pop().expect("it was just looked at");
            self.push(piece.hits(self.weight.as_ref(), self.order, self.after, self.within)?);
        }
        Ok(())
    }
}

impl Iterator for Merge {
    type Item = Result<Hit, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.open_what_may_come_first() {
            self.waiting.clear();
            self.heads.clear();
            return Some(Err(error));
        }
        let Reverse((_, index)) = self.heads.pop()?;
        let (head, hits) = &mut self.open[index];
        let hit = *head;
        match hits.next() {
            Some(next) => {
                *head = next;
                self.heads.push(Reverse((self.order.rank(next), index)));
            }
            // Let go of what it holds: an export runs through every piece of the log.
            None => *hits = PieceHits::Ready(Vec::new().into_iter()),
        }
        Some(Ok(hit))
    }
}
