//! A snapshot of everything searchable: the pieces of spans and hot index, and the log itself where neither is
//! ready. This is what the `Engine` seam shows of Tantivy.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use ::tantivy::query::{EnableScoring, Weight};

use crate::index::scan::Scan;
use crate::index::source::{Personal, Source};
use crate::index::tantivy::counts::{self, CountCache, CountLimits, Counting};
use crate::index::tantivy::erased::BySegment;
use crate::index::tantivy::hits::{PieceHits, Question};
use crate::index::tantivy::lower::lower;
use crate::index::tantivy::piece::Piece;
use crate::index::tantivy::schema;
use crate::index::tantivy::term_filter::FiltersBySegment;
use crate::index::{Counts, Engine, EngineError, FacetValue, Hit, Hits, Order, Patience, Within};
use crate::query::{FacetField, Query};
use crate::seq::Seq;

/// At most this many events are answered from the log while their spans are being rebuilt: about two seconds of
/// scanning. Beyond it a question gets `Rebuilding`, rather than an answer after minutes.
pub const SCANNED_EVENTS_MAX: u64 = 262_144;

/// Begins the text of a query over what is sealed too; no query's text begins so.
const PERSONAL: char = '\u{1}';

/// A snapshot: it never changes, whatever is appended, indexed or merged meanwhile.
pub struct View {
    source: Source,
    pieces: Arc<[Arc<Piece>]>,
    gaps: Arc<[Within]>,
    searchable: Seq,
    patience: Arc<Patience>,
    cache: Arc<CountCache>,
}

impl View {
    /// A view of `[0, searchable)`: `pieces` and `gaps` together hold each of these events exactly once.
    pub fn new(source: Source, pieces: Vec<Arc<Piece>>, gaps: Vec<Within>, searchable: Seq) -> View {
        let patience = Arc::new(Patience::endless());
        let cache = Arc::new(CountCache::new(CountLimits::default()));
        View { source, pieces: pieces.into(), gaps: gaps.into(), searchable, patience, cache }
    }

    /// The same view with what was counted over its pieces before, and room for what will be.
    pub fn counting(&self, cache: Arc<CountCache>) -> View {
        View { cache, ..self.patient(self.patience.clone()) }
    }

    /// The same view for one question whose time is limited.
    pub fn patient(&self, patience: Arc<Patience>) -> View {
        let View { source, pieces, gaps, searchable, patience: _, cache } = self;
        let (source, cache) = (source.clone(), cache.clone());
        View { source, pieces: pieces.clone(), gaps: gaps.clone(), searchable: *searchable, patience, cache }
    }

    /// The same view for those who may see what is sealed, or may not.
    pub fn seen(&self, personal: Personal) -> View {
        View { source: self.source.seen(personal), ..self.patient(self.patience.clone()) }
    }

    /// A query as text, under which answers are kept: those of one who may see what is sealed are not another's.
    pub(super) fn text_of(&self, query: &Query) -> String {
        match self.source.personal() {
            Personal::Hidden => query.to_string(),
            Personal::Shown => format!("{PERSONAL}{query}"),
        }
    }

    /// Every event below this is in the view.
    pub fn searchable(&self) -> Seq {
        self.searchable
    }

    /// How many events are answered from the log because no span holds them yet.
    pub fn missing(&self) -> u64 {
        self.gaps.iter().map(|gap| gap.to.0 - gap.from.0).sum()
    }

    /// The same view with other pieces over the same entries.
    pub fn with_pieces(&self, pieces: Vec<Arc<Piece>>) -> View {
        View { pieces: pieces.into(), ..self.patient(self.patience.clone()) }
    }

    /// Its pieces.
    pub fn pieces(&self) -> &[Arc<Piece>] {
        &self.pieces
    }

    /// Number of Tantivy segments.
    pub fn piece_count(&self) -> usize {
        self.pieces.len()
    }

    /// How long its question may take, shared by all who work on it.
    pub fn patience(&self) -> &Arc<Patience> {
        &self.patience
    }

    pub(super) fn cache(&self) -> &CountCache {
        &self.cache
    }

    pub(super) fn weight(&self, query: &Query) -> Result<Arc<dyn Weight>, EngineError> {
        let schema = schema::current();
        let received_at = |ms| self.source.first_received_at(ms, self.searchable);
        let lowered = lower(&query.root, schema, &received_at, &self.patience, self.sealed(), &self.filters())?;
        Ok(Arc::from(lowered.weight(EnableScoring::disabled_from_schema(&schema.schema))?))
    }

    /// Which terms the pieces lack, of those that can tell.
    fn filters(&self) -> FiltersBySegment {
        let filters = |piece: &Arc<Piece>| Some((piece.reader.segment_id(), piece.filters.clone()?));
        Arc::new(self.pieces.iter().filter_map(filters).collect())
    }

    /// For those who may see what is sealed: what of it is erased and still in a piece.
    fn sealed(&self) -> Option<BySegment> {
        let erased = |piece: &Arc<Piece>| Some((piece.reader.segment_id(), piece.erased.clone()?));
        match self.source.personal() {
            Personal::Hidden => None,
            Personal::Shown => Some(Arc::new(self.pieces.iter().filter_map(erased).collect())),
        }
    }

    fn scans(&self, within: Within) -> Result<Vec<Scan>, EngineError> {
        let missing = self.missing();
        if missing > SCANNED_EVENTS_MAX {
            return Err(EngineError::Rebuilding { missing });
        }
        let overlap = self.gaps.iter().map(|gap| gap.and(within)).filter(|gap| gap.from < gap.to);
        let scan = |gap| Scan::new(self.source.clone(), gap).patient(self.patience.clone());
        Ok(overlap.map(scan).collect())
    }

    /// The pieces that can hold an answer: not outside `within`, not outside the times that the query asks for.
    pub(super) fn candidates(&self, query: &Query, within: Within) -> impl Iterator<Item = &Arc<Piece>> {
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
    fn patience(&self) -> &Patience {
        &self.patience
    }

    fn hits(&self, query: &Query, order: Order, after: Option<Hit>, within: Within) -> Result<Hits<'_>, EngineError> {
        let after_rank = after.map(|after| order.rank(after));
        let mut waiting: Vec<Arc<Piece>> = self
            .candidates(query, within)
            .filter(|piece| after_rank.is_none_or(|after| piece.worst_rank(order) > after))
            .cloned()
            .collect();
        // The best piece last, so that it is popped first.
        waiting.sort_by_key(|piece| Reverse(piece.best_rank(order)));
        let question =
            Question::new(query, self.text_of(query), self.weight(query)?, order, after, within, self.patience.clone());
        let question = Arc::new(question);
        let mut merge = Merge { question, waiting, open: Vec::new(), heads: BinaryHeap::new(), taken: None };
        for scan in self.scans(within)? {
            let hits = scan.collect(query, order, after, within)?;
            merge.push(PieceHits::Ready(hits.into_iter()))?;
        }
        Ok(Box::new(merge))
    }

    fn total(&self, query: &Query, within: Within) -> Result<u64, EngineError> {
        let mut total = Counting::of(self, query, within).total()?;
        for scan in self.scans(within)? {
            total += scan.total(query, within)?;
        }
        Ok(total)
    }

    fn histogram(&self, query: &Query, within: Within, edges: &[i64]) -> Result<Vec<u64>, EngineError> {
        let mut counts = Counting::of(self, query, within).histogram(edges)?;
        for scan in self.scans(within)? {
            let scanned = scan.histogram(query, within, edges)?;
            counts.iter_mut().zip(scanned).for_each(|(count, more)| *count += more);
        }
        Ok(counts)
    }

    fn time_ends(&self, query: &Query, within: Within) -> Result<Option<(i64, i64)>, EngineError> {
        let mut ends = Counting::of(self, query, within).time_ends()?;
        for scan in self.scans(within)? {
            let scanned = scan.time_ends(query, within)?;
            ends = ends.into_iter().chain(scanned).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        }
        Ok(ends)
    }

    fn counts(&self, query: &Query, within: Within, fields: &[FacetField]) -> Result<Counts, EngineError> {
        let scans = self.scans(within)?;
        let scanned = scans.iter().map(|scan| scan.counts(query, within, fields)).collect::<Result<_, _>>()?;
        Counting::of(self, query, within).facets(fields, scanned)
    }

    fn newest(
        &self,
        field: FacetField,
        values: &[FacetValue],
        within: Within,
    ) -> Result<Vec<Option<Hit>>, EngineError> {
        let mut newest = counts::newest(self, field, values, within)?;
        for scan in self.scans(within)? {
            for (best, scanned) in newest.iter_mut().zip(scan.newest(field, values, within)?) {
                *best = best.iter().copied().chain(scanned).min_by_key(|hit| Order::TimeDesc.rank(*hit));
            }
        }
        Ok(newest)
    }
}

/// Merges the hits of pieces. A piece is opened only when no better hit can come from those already open, and asked for
/// its next hit only when that is needed.
struct Merge {
    question: Arc<Question>,
    /// The best one last.
    waiting: Vec<Arc<Piece>>,
    /// Each with the hit it will give next.
    open: Vec<(Hit, PieceHits)>,
    heads: BinaryHeap<Reverse<((i64, u64), usize)>>,
    /// The one whose hit was handed out, and that has to say its next.
    taken: Option<usize>,
}

impl Merge {
    fn push(&mut self, mut hits: PieceHits) -> Result<(), EngineError> {
        if let Some(hit) = hits.next().transpose()? {
            self.heads.push(Reverse((self.question.order.rank(hit), self.open.len())));
            self.open.push((hit, hits));
        }
        Ok(())
    }

    fn advance_taken(&mut self) -> Result<(), EngineError> {
        let Some(index) = self.taken.take() else {
            return Ok(());
        };
        let (head, hits) = &mut self.open[index];
        match hits.next().transpose()? {
            Some(next) => {
                *head = next;
                self.heads.push(Reverse((self.question.order.rank(next), index)));
            }
            // Let go of what it holds: an export runs through every piece of the log.
            None => *hits = PieceHits::Ready(Vec::new().into_iter()),
        }
        Ok(())
    }

    fn open_what_may_come_first(&mut self) -> Result<(), EngineError> {
        while let Some(piece) = self.waiting.last() {
            let best = self.heads.peek().map(|Reverse((rank, _))| *rank);
            if best.is_some_and(|best| best < piece.best_rank(self.question.order)) {
                return Ok(());
            }
            let piece = self.waiting.pop().expect("it was just looked at");
            self.push(PieceHits::open(piece, self.question.clone())?)?;
        }
        Ok(())
    }

    fn take(&mut self) -> Result<Option<Hit>, EngineError> {
        self.advance_taken()?;
        self.open_what_may_come_first()?;
        let Some(Reverse((_, index))) = self.heads.pop() else {
            return Ok(None);
        };
        self.taken = Some(index);
        Ok(Some(self.open[index].0))
    }
}

impl Iterator for Merge {
    type Item = Result<Hit, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let taken = self.take();
        if taken.is_err() {
            // Nothing comes after an error: what is left would be a part of the answer.
            self.waiting.clear();
            self.heads.clear();
        }
        taken.transpose()
    }
}
