//! Exact counts that stay instant: totals, histograms and facets from sets of documents that are kept.
//!
//! A piece never changes, so what matches in it is found once. A query is taken apart: its time range is an interval of
//! documents, found by halving; each facet's own filters and the rest of the query are sets of documents of their own,
//! so that every combination of them (a facet ignores its own filter) is a conjunction of bits. A total is then a
//! difference of two running counts, a bucket of a histogram too; facets are lists of counts by block (`facets`).
//!
//! What is kept knows nothing of the time range nor of the pin of a cursor: both may move from question to question.

mod cache;
mod docs;
mod facets;
mod newest;
mod parallel;
mod scope;
mod terms;

use std::ops::Range;
use std::sync::Arc;

use ::tantivy::query::Weight;
use ::tantivy::{COLLECT_BLOCK_BUFFER_LEN, DocId, DocSet};
use parking_lot::Mutex;

pub use cache::{CacheStats, CountCache, CountLimits};
pub use newest::newest;

use crate::index::tantivy::piece::Piece;
use crate::index::tantivy::view::View;
use crate::index::{EngineError, Parts, Within};
use crate::query::{FacetField, Node, Query};
use cache::{Key, Of};
use docs::{Docs, DocsBuilder};
use scope::Scope;

/// Buffers of documents (64 each) between two looks at the clock.
const BUFFERS_PER_LOOK: u32 = 64;

/// One query over the pieces of a view.
pub struct Counting<'a> {
    view: &'a View,
    query: &'a Query,
    within: Within,
    time_ms: (Option<i64>, Option<i64>),
    /// Everything but the time range.
    whole: Filter,
    /// What every facet obeys.
    rest: Filter,
    /// The filters that one facet each ignores, by field.
    own: Vec<(FacetField, Filter)>,
}

/// A part of a query whose documents are kept under its canonical text.
struct Filter {
    text: Arc<str>,
    query: Query,
    /// Made when first needed: what is kept needs none. Held while it is made, so that it is made once.
    weight: Mutex<Option<Arc<dyn Weight>>>,
}

impl Filter {
    fn new(query: Query, view: &View) -> Filter {
        Filter { text: view.text_of(&query).into(), query, weight: Mutex::new(None) }
    }
}

impl<'a> Counting<'a> {
    /// Takes the query apart; nothing is looked up yet.
    pub fn of(view: &'a View, query: &'a Query, within: Within) -> Counting<'a> {
        let whole = query.without_time();
        let Parts { rest, own } = Parts::of(&whole);
        let mut own: Vec<_> = own.into_iter().map(|(field, query)| (field, Filter::new(query, view))).collect();
        own.sort_by_key(|(field, _)| *field);
        let time_ms = query.time_bounds();
        // Named if time runs out before they are looked up.
        query.root.each_filter(&mut |filter| {
            if filter.is_pattern() {
                view.patience().suspect(&filter.to_string());
            }
        });
        Counting { view, query, within, time_ms, whole: Filter::new(whole, view), rest: Filter::new(rest, view), own }
    }

    /// How many entries match.
    pub fn total(&self) -> Result<u64, EngineError> {
        let counts = self.each_piece(|scope| Ok(self.all(scope)?.count(&scope.interval)))?;
        Ok(counts.iter().sum())
    }

    /// How many entries lie in each `[edges[i], edges[i + 1])` of time, ms.
    pub fn histogram(&self, edges: &[i64]) -> Result<Vec<u64>, EngineError> {
        let counted = self.each_piece(|scope| {
            let docs = self.all(scope)?;
            let at: Vec<DocId> = edges.iter().map(|edge| scope.piece.columns.first_doc_before(*edge)).collect();
            // Times fall along the documents: the later edge stands before the earlier one.
            let bucket = |ends: &[DocId]| docs.count(&docs::intersection(&(ends[1]..ends[0]), &scope.interval));
            Ok(at.windows(2).map(bucket).collect::<Vec<u64>>())
        })?;
        let mut sums = vec![0; edges.len().saturating_sub(1)];
        for counts in counted {
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        Ok(sums)
    }

    /// The times of the oldest and the newest match, ms.
    pub fn time_ends(&self) -> Result<Option<(i64, i64)>, EngineError> {
        let ends = self.each_piece(|scope| {
            let ends = self.all(scope)?.ends(&scope.interval);
            Ok(ends.map(|(first, last)| (scope.piece.columns.time_ms(last), scope.piece.columns.time_ms(first))))
        })?;
        Ok(ends.into_iter().flatten().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))))
    }

    /// Asks every piece that can hold an answer.
    fn each_piece<T: Send>(
        &self,
        work: impl Fn(&Scope<'_>) -> Result<T, EngineError> + Sync + Send,
    ) -> Result<Vec<T>, EngineError> {
        let view = self.view;
        let pieces: Vec<&Piece> = view.candidates(self.query, self.within).map(|piece| &**piece).collect();
        let docs: u64 = pieces.iter().map(|piece| u64::from(piece.reader.max_doc())).sum();
        let answers = parallel::each(
            self.is_shared(docs),
            pieces,
            || (),
            |(), piece| {
                view.patience().check()?;
                let scope = Scope::of(piece, self.time_ms, self.within, view.cache(), view.patience())?;
                scope.map(|scope| work(&scope)).transpose()
            },
        )?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// The documents that match the query and lie within, somewhere in the interval or around it.
    fn all(&self, scope: &Scope<'_>) -> Result<Arc<Docs>, EngineError> {
        let filters: Vec<&Filter> = self.filters(None).collect();
        let known: Option<Vec<Arc<Docs>>> = filters.iter().map(|filter| self.kept(scope, filter)).collect();
        let mut sets = match known {
            Some(sets) => sets,
            // The whole query at once: the index skips what a dear filter would find among what the others leave out.
            None => vec![self.matching(scope, &self.whole)?],
        };
        sets.extend(scope.pinned.clone());
        Ok(Docs::in_all(sets))
    }

    /// The documents that match the query but for what it says of `ignored`, whether or not they lie within.
    fn ignoring(&self, scope: &Scope<'_>, ignored: Option<FacetField>) -> Result<Arc<Docs>, EngineError> {
        let sets = self.filters(ignored).map(|filter| self.matching(scope, filter));
        Ok(Docs::in_all(sets.collect::<Result<_, EngineError>>()?))
    }

    fn filters(&self, ignored: Option<FacetField>) -> impl Iterator<Item = &Filter> {
        let own = self.own.iter().filter(move |(field, _)| Some(*field) != ignored).map(|(_, filter)| filter);
        std::iter::once(&self.rest).chain(own)
    }

    /// The documents that match `filter`, at least those of the grid.
    fn matching(&self, scope: &Scope<'_>, filter: &Filter) -> Result<Arc<Docs>, EngineError> {
        if let Some(docs) = self.kept(scope, filter) {
            return Ok(docs);
        }
        let docs = Arc::new(self.find(scope, filter)?);
        self.keep(scope.piece, docs_of(filter, scope.grid.run()), &docs, docs.bytes());
        Ok(docs)
    }

    /// What is known of `filter` already: of the grid, or of the whole piece.
    fn kept(&self, scope: &Scope<'_>, filter: &Filter) -> Option<Arc<Docs>> {
        let piece = 0..scope.piece.reader.max_doc();
        if filter.query.root == Node::All {
            return Some(Arc::new(Docs::Run(piece)));
        }
        let get = |run| self.view.cache().get(&Key { piece: scope.piece.id, of: docs_of(filter, run) });
        match scope.grid.run() {
            run if run == piece => get(piece),
            run => get(piece).or_else(|| get(run)),
        }
    }

    /// Asks the index.
    fn find(&self, scope: &Scope<'_>, filter: &Filter) -> Result<Docs, EngineError> {
        let patience = self.view.patience();
        let run = scope.grid.run();
        let mut scorer = scope.piece.scorer(self.weight(filter)?.as_ref(), patience)?;
        patience.check()?;
        if scorer.doc() < run.start {
            scorer.seek(run.start);
        }
        let mut found = DocsBuilder::over(&run);
        let mut buffer = [0; COLLECT_BLOCK_BUFFER_LEN];
        let mut buffers = 0_u32;
        loop {
            let filled = scorer.fill_buffer(&mut buffer);
            let asked = buffer[..filled].partition_point(|doc| *doc < run.end);
            buffer[..asked].iter().for_each(|doc| found.insert(*doc));
            if asked < buffer.len() {
                break;
            }
            buffers += 1;
            if buffers.is_multiple_of(BUFFERS_PER_LOOK) {
                patience.check()?;
            }
        }
        // Whatever was cut short because time was up must not be taken for all there is.
        patience.check()?;
        Ok(found.finish())
    }

    fn weight(&self, filter: &Filter) -> Result<Arc<dyn Weight>, EngineError> {
        let mut made = filter.weight.lock();
        if let Some(weight) = &*made {
            return Ok(weight.clone());
        }
        let weight = self.view.weight(&filter.query)?;
        *made = Some(weight.clone());
        Ok(weight)
    }

    /// Keeps something of a piece that lives long enough.
    fn keep<T: Send + Sync + 'static>(&self, piece: &Piece, of: Of, value: &Arc<T>, bytes: usize) {
        if is_kept(self.view.cache(), piece) {
            self.view.cache().put(Key { piece: piece.id, of }, value.clone(), bytes);
        }
    }

    fn is_shared(&self, docs: u64) -> bool {
        docs >= u64::from(self.view.cache().limits().shared_docs_min)
    }
}

fn docs_of(filter: &Filter, run: Range<DocId>) -> Of {
    Of::Docs { filter: filter.text.clone(), start: run.start, end: run.end }
}

fn is_kept(cache: &CountCache, piece: &Piece) -> bool {
    piece.reader.max_doc() >= cache.limits().piece_docs_min
}
