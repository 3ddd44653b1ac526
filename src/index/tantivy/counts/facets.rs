//! Facets: how often each value occurs among the documents that match, counted through the ordinal columns.
//!
//! Counts are kept as lists of (ordinal, count), one for each block of the piece. The blocks that lie wholly inside the
//! time range and the part of the log that is asked about are summed; what an edge cuts is counted again. Facets that
//! obey the same filters share one pass over their documents.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use ::tantivy::DocId;
use ::tantivy::columnar::Column;

use super::cache::{Key, Of};
use super::docs::{self, Docs};
use super::scope::{self, Scope};
use super::terms::{Terms, value_of};
use super::{Counting, Filter, is_kept, parallel};
use crate::index::tantivy::piece::Piece;
use crate::index::{Counts, EngineError, FacetCounts, FacetValue};
use crate::query::FacetField;

/// Documents between two looks at the clock.
const DOCS_PER_LOOK: usize = 65_536;
/// The values of a field with more of them are read as they are needed, not kept.
const KEPT_TERMS_MAX: usize = 131_072;

/// Ordinals that occur, each with how often; in no order.
type List = Box<[(u32, u32)]>;

/// A list for each block of a grid.
struct Lists(Box<[List]>);

/// What one piece adds to the answer.
struct PieceCounts {
    total: u64,
    /// One for each field that was asked for; `None` where the piece has no value.
    facets: Vec<Option<PieceFacet>>,
}

/// The values of one facet in one piece.
struct PieceFacet {
    terms: Arc<Terms>,
    /// Numbers in `terms`, and counts.
    counts: Vec<(u32, u64)>,
}

impl Counting<'_> {
    /// Total and facets; `scanned` are those of the parts of the log that no piece holds.
    pub fn facets(&self, fields: &[FacetField], scanned: Vec<Counts>) -> Result<Counts, EngineError> {
        let pieces = self.each_piece(|scope| self.count_piece(scope, fields))?;
        let total = pieces.iter().map(|piece| piece.total).chain(scanned.iter().map(|counts| counts.total)).sum();
        let facets = fields.iter().enumerate().map(|(index, field)| {
            let pieces = pieces.iter().filter_map(|piece| piece.facets[index].as_ref());
            let scanned = scanned.iter().flat_map(|counts| &counts.facets[index].values);
            FacetCounts { field: *field, values: sum(*field, pieces, scanned) }
        });
        Ok(Counts { total, facets: facets.collect() })
    }

    fn count_piece(&self, scope: &Scope<'_>, fields: &[FacetField]) -> Result<PieceCounts, EngineError> {
        let mut counts: Vec<Vec<(u32, u64)>> = vec![Vec::new(); fields.len()];
        let own = |field: &FacetField| self.own.iter().any(|(own, _)| own == field).then_some(*field);
        let mut waiting: Vec<usize> = (0..fields.len()).collect();
        while let Some(first) = waiting.first() {
            // All facets that ignore the same filter, or none.
            let ignored = own(&fields[*first]);
            let together = waiting.extract_if(.., |index| own(&fields[*index]) == ignored).collect::<Vec<usize>>();
            let these: Vec<FacetField> = together.iter().map(|index| fields[*index]).collect();
            for (index, counted) in together.iter().zip(self.count_fields(scope, ignored, &these)?) {
                counts[*index] = counted;
            }
        }
        let facets = fields.iter().zip(counts).map(|(field, counts)| self.with_terms(scope.piece, *field, counts));
        let facets = facets.collect::<Result<_, EngineError>>()?;
        // After the facets, which need the same documents one by one.
        let total = self.all(scope)?.count(&scope.interval);
        Ok(PieceCounts { total, facets })
    }

    /// Ordinals and counts of each field, by ordinal.
    fn count_fields(
        &self,
        scope: &Scope<'_>,
        ignored: Option<FacetField>,
        fields: &[FacetField],
    ) -> Result<Vec<Vec<(u32, u64)>>, EngineError> {
        let is_whole: Vec<bool> = scope.grid.blocks().map(|block| scope.is_whole(&block)).collect();
        let mut sums: Vec<Sum> = fields.iter().map(|_| Sum::default()).collect();
        if is_whole.contains(&true) {
            for (lists, sum) in self.lists(scope, ignored, fields)?.iter().zip(&mut sums) {
                let whole = lists.0.iter().zip(&is_whole).filter(|(_, is_whole)| **is_whole);
                whole.for_each(|(list, _)| sum.add(list));
            }
        }
        let cut = scope.grid.blocks().zip(&is_whole).filter(|(_, is_whole)| !**is_whole);
        let cut = cut.map(|(block, _)| docs::intersection(&block, &scope.interval));
        let cut: Vec<Range<DocId>> = cut.filter(|range| !range.is_empty()).collect();
        if !cut.is_empty() {
            let sets = std::iter::once(self.ignoring(scope, ignored)?).chain(scope.pinned.clone());
            let docs = Docs::in_all(sets.collect());
            for lists in self.count_ranges(scope.piece, &docs, cut, fields)? {
                lists.iter().zip(&mut sums).for_each(|(list, sum)| sum.add(list));
            }
        }
        Ok(sums.into_iter().map(Sum::finish).collect())
    }

    /// What is kept of each field, or else counted now, all that are missing in one pass.
    fn lists(
        &self,
        scope: &Scope<'_>,
        ignored: Option<FacetField>,
        fields: &[FacetField],
    ) -> Result<Vec<Arc<Lists>>, EngineError> {
        let filters: Arc<[Arc<str>]> = self.filters(ignored).map(|filter: &Filter| filter.text.clone()).collect();
        let of = |field| Of::Lists { filters: filters.clone(), field, grid: scope.grid };
        let get = |field: &FacetField| self.view.cache().get(&Key { piece: scope.piece.id, of: of(*field) });
        let mut known: Vec<Option<Arc<Lists>>> = fields.iter().map(get).collect();
        let missing: Vec<FacetField> =
            fields.iter().zip(&known).filter(|(_, lists)| lists.is_none()).map(|(field, _)| *field).collect();
        if !missing.is_empty() {
            let docs = self.ignoring(scope, ignored)?;
            let mut counted = self.count_blocks(scope, &docs, &missing)?.into_iter();
            for (field, lists) in fields.iter().zip(&mut known).filter(|(_, lists)| lists.is_none()) {
                let counted = Arc::new(counted.next().expect("every missing field was counted"));
                self.keep(scope.piece, of(*field), &counted, counted.bytes());
                *lists = Some(counted);
            }
        }
        Ok(known.into_iter().flatten().collect())
    }

    fn count_blocks(&self, scope: &Scope<'_>, docs: &Docs, fields: &[FacetField]) -> Result<Vec<Lists>, EngineError> {
        let task_docs = self.view.cache().limits().shared_docs_min;
        // A block that is the whole piece is more than one task.
        let tasks: Vec<Vec<Range<DocId>>> =
            scope.grid.blocks().map(|block| scope::cut(block, task_docs).collect()).collect();
        let sizes: Vec<usize> = tasks.iter().map(Vec::len).collect();
        let ranges = tasks.into_iter().flatten().collect();
        let mut counted = self.count_ranges(scope.piece, docs, ranges, fields)?.into_iter();
        let mut lists: Vec<Vec<List>> = vec![Vec::new(); fields.len()];
        for size in sizes {
            let first = counted.next().expect("there is a result for every task");
            let mut sums: Vec<Sum> = Vec::new();
            for more in counted.by_ref().take(size - 1) {
                sums.resize_with(fields.len(), Sum::default);
                more.iter().zip(&mut sums).for_each(|(list, sum)| sum.add(list));
            }
            let mut sums = sums.into_iter();
            for (lists, first) in lists.iter_mut().zip(first) {
                lists.push(match sums.next() {
                    None => first,
                    Some(mut sum) => {
                        sum.add(&first);
                        sum.list()
                    }
                });
            }
        }
        Ok(lists.into_iter().map(|lists| Lists(lists.into())).collect())
    }

    /// For each range a list for each field.
    fn count_ranges(
        &self,
        piece: &Piece,
        docs: &Docs,
        ranges: Vec<Range<DocId>>,
        fields: &[FacetField],
    ) -> Result<Vec<Vec<List>>, EngineError> {
        let columns =
            fields.iter().map(|field| Ok(piece.str_column(field.as_str())?.map(|column| column.ords().clone())));
        let columns: Vec<Option<Column<u64>>> = columns.collect::<Result<_, EngineError>>()?;
        let to_count: u64 = ranges.iter().map(|range| docs.count(range)).sum();
        let patience = self.view.patience();
        parallel::each(
            self.is_shared(to_count),
            ranges,
            || columns.iter().map(|column| column.as_ref().map(Counter::new)).collect::<Vec<_>>(),
            |counters, range| {
                let mut docs_since_look = 0;
                docs.each_chunk(&range, |docs| {
                    counters.iter_mut().flatten().for_each(|counter| counter.add(docs));
                    docs_since_look += docs.len();
                    if docs_since_look >= DOCS_PER_LOOK {
                        docs_since_look = 0;
                        patience.check()?;
                    }
                    Ok::<(), EngineError>(())
                })?;
                patience.check()?;
                Ok(counters.iter_mut().map(|counter| counter.as_mut().map_or(List::default(), Counter::take)).collect())
            },
        )
    }

    fn with_terms(
        &self,
        piece: &Piece,
        field: FacetField,
        mut counts: Vec<(u32, u64)>,
    ) -> Result<Option<PieceFacet>, EngineError> {
        if counts.is_empty() {
            return Ok(None);
        }
        let cache = self.view.cache();
        if let Some(terms) = cache.get(&Key { piece: piece.id, of: Of::Terms(field) }) {
            return Ok(Some(PieceFacet { terms, counts }));
        }
        let Some(column) = piece.str_column(field.as_str())? else {
            return Ok(None);
        };
        if is_kept(cache, piece) && column.num_terms() <= KEPT_TERMS_MAX {
            let terms = Arc::new(Terms::all(&column)?);
            self.keep(piece, Of::Terms(field), &terms, terms.bytes());
            return Ok(Some(PieceFacet { terms, counts }));
        }
        let terms = Arc::new(Terms::some(&column, counts.iter().map(|(ordinal, _)| *ordinal))?);
        (0..).zip(&mut counts).for_each(|(number, (ordinal, _))| *ordinal = number);
        Ok(Some(PieceFacet { terms, counts }))
    }
}

impl Lists {
    fn bytes(&self) -> usize {
        self.0.iter().map(|list| size_of::<List>() + size_of_val(&**list)).sum()
    }
}

/// Counts the ordinals of one column.
struct Counter<'a> {
    ords: &'a Column<u64>,
    values: Vec<Option<u64>>,
    /// By ordinal.
    counts: Vec<u32>,
    /// Ordinals whose count is not 0.
    seen: Vec<u32>,
}

impl<'a> Counter<'a> {
    fn new(ords: &'a Column<u64>) -> Counter<'a> {
        let terms = if ords.values.num_vals() == 0 { 0 } else { ords.max_value() as usize + 1 };
        Counter { ords, values: Vec::new(), counts: vec![0; terms], seen: Vec::new() }
    }

    fn add(&mut self, docs: &[DocId]) {
        self.values.clear();
        self.values.resize(docs.len(), None);
        self.ords.first_vals(docs, &mut self.values);
        for ordinal in self.values.iter().flatten() {
            let count = &mut self.counts[*ordinal as usize];
            if *count == 0 {
                self.seen.push(*ordinal as u32);
            }
            *count += 1;
        }
    }

    /// What was counted since the last time.
    fn take(&mut self) -> List {
        let counts = &mut self.counts;
        self.seen.drain(..).map(|ordinal| (ordinal, std::mem::take(&mut counts[ordinal as usize]))).collect()
    }
}

/// Lists summed by ordinal. No piece has 2^32 documents, so no sum goes beyond.
#[derive(Default)]
struct Sum(Vec<u32>);

impl Sum {
    fn add(&mut self, list: &List) {
        let len = list.iter().map(|(ordinal, _)| *ordinal as usize + 1).max().unwrap_or(0);
        if len > self.0.len() {
            self.0.resize(len, 0);
        }
        list.iter().for_each(|(ordinal, count)| self.0[*ordinal as usize] += count);
    }

    fn list(self) -> List {
        (0..).zip(self.0).filter(|(_, count)| *count > 0).collect()
    }

    fn finish(self) -> Vec<(u32, u64)> {
        self.list().iter().map(|(ordinal, count)| (*ordinal, u64::from(*count))).collect()
    }
}

/// The values of all pieces together, sorted.
fn sum<'a>(
    field: FacetField,
    pieces: impl Iterator<Item = &'a PieceFacet>,
    scanned: impl Iterator<Item = &'a (FacetValue, u64)>,
) -> Vec<(FacetValue, u64)> {
    let mut sums: HashMap<&str, u64> = HashMap::new();
    for piece in pieces {
        sums.reserve(piece.counts.len().saturating_sub(sums.len()));
        for (number, count) in &piece.counts {
            *sums.entry(piece.terms.get(*number)).or_default() += count;
        }
    }
    let mut values: HashMap<FacetValue, u64> =
        sums.into_iter().map(|(term, count)| (value_of(field, term), count)).collect();
    for (value, count) in scanned {
        *values.entry(value.clone()).or_default() += count;
    }
    let mut values: Vec<(FacetValue, u64)> = values.into_iter().collect();
    values.sort_unstable();
    values
}
