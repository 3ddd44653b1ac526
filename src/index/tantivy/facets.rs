//! Counts facets through the ordinal columns: one pass over a piece serves the total and every facet,
//! although each facet ignores its own filter.
//!
//! The pass runs over the documents that match everything but the facet filters. A document that fails none of
//! these counts everywhere; one that fails exactly one counts in that facet only.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::tantivy::columnar::{Column, StrColumn};
use ::tantivy::query::Weight;
use ::tantivy::{BitSet, DocSet, TERMINATED};

use crate::index::tantivy::piece::Piece;
use crate::index::{Counts, EngineError, FacetCounts, FacetValue, Within};
use crate::query::FacetField;
use crate::seq::Seq;

/// The weights of a query taken apart for counting.
pub struct Weights {
    /// What every facet obeys.
    pub rest: Arc<dyn Weight>,
    /// The filters that one facet each ignores.
    pub own: Vec<(FacetField, Arc<dyn Weight>)>,
}

/// Counts summed over pieces.
pub struct Tally {
    total: u64,
    facets: Vec<(FacetField, BTreeMap<FacetValue, u64>)>,
}

/// One facet's column in one piece, with a counter for each ordinal.
struct Ordinals {
    field: FacetField,
    column: StrColumn,
    ords: Column<u64>,
    counts: Vec<u64>,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new(fields: &[FacetField]) -> Tally {
        Tally { total: 0, facets: fields.iter().map(|field| (*field, BTreeMap::new())).collect() }
    }

    /// Adds the counts of one piece.
    pub fn add_piece(&mut self, piece: &Piece, weights: &Weights, within: Within) -> Result<(), EngineError> {
        let own = weights
            .own
            .iter()
            .map(|(field, weight)| Ok((*field, matching(piece, weight.as_ref())?)))
            .collect::<Result<Vec<_>, EngineError>>()?;
        let mut ordinals = Vec::with_capacity(self.facets.len());
        for (field, _) in &self.facets {
            ordinals.extend(Ordinals::open(*field, piece)?);
        }
        let check_seq = !piece.is_inside(within);
        let mut scorer = piece.scorer(weights.rest.as_ref())?;
        while scorer.doc() != TERMINATED {
            let doc = scorer.doc();
            scorer.advance();
            if check_seq && !within.holds(Seq(piece.columns.seq.get_val(doc))) {
                continue;
            }
            let mut failed = own.iter().filter(|(_, docs)| !docs.contains(doc)).map(|(field, _)| *field);
            let (first, second) = (failed.next(), failed.next());
            self.total += u64::from(first.is_none());
            if second.is_some() {
                continue;
            }
            for facet in &mut ordinals {
                if first.is_none_or(|own| own == facet.field)
                    && let Some(ord) = facet.ords.first(doc)
                {
                    facet.counts[ord as usize] += 1;
                }
            }
        }
        ordinals.iter().try_for_each(|facet| self.take(facet))
    }

    /// Adds counts that were made elsewhere (a scanned part of the log).
    pub fn add(&mut self, counts: Counts) {
        self.total += counts.total;
        for ((_, sums), facet) in self.facets.iter_mut().zip(counts.facets) {
            for (value, count) in facet.values {
                *sums.entry(value).or_default() += count;
            }
        }
    }

    /// The sums.
    pub fn finish(self) -> Counts {
        let facets = self
            .facets
            .into_iter()
            .map(|(field, values)| FacetCounts { field, values: values.into_iter().collect() })
            .collect();
        Counts { total: self.total, facets }
    }

    fn take(&mut self, facet: &Ordinals) -> Result<(), EngineError> {
        let (_, sums) = self
            .facets
            .iter_mut()
            .find(|(field, _)| *field == facet.field)
            .expect("ordinals are opened for the fields of the tally only");
        let (ords, counts): (Vec<u64>, Vec<u64>) =
            (0..).zip(&facet.counts).filter(|(_, count)| **count > 0).map(|(ord, count)| (ord, *count)).unzip();
        let mut counts = counts.into_iter();
        let mut broken = None;
        // In one walk through the dictionary: looking each ordinal up would read its block from the beginning every time.
        let found = facet.column.dictionary().sorted_ords_to_term_cb(&ords, |term| {
            let count = counts.next().expect("there is a count for every ordinal");
            match std::str::from_utf8(term) {
                Ok(term) => *sums.entry(facet.value(term)).or_default() += count,
                Err(error) => broken = Some(error),
            }
        });
        if !found.map_err(::tantivy::TantivyError::from)? || broken.is_some() {
            let name = facet.field.as_str();
            return Err(::tantivy::TantivyError::InternalError(format!("the column {name} lacks terms")).into());
        }
        Ok(())
    }
}

impl Ordinals {
    fn open(field: FacetField, piece: &Piece) -> Result<Option<Ordinals>, EngineError> {
        let Some(column) = piece.str_column(field.as_str())? else {
            return Ok(None);
        };
        let ords = column.ords().clone();
        let counts = vec![0; column.num_terms()];
        Ok(Some(Ordinals { field, column, ords, counts }))
    }

    fn value(&self, term: &str) -> FacetValue {
        match self.field {
            FacetField::Actor | FacetField::Action | FacetField::TargetType => {
                // A facet is encoded as its levels joined by NUL, which no value contains.
                let (parent, value) = term.split_once('\0').unwrap_or(("", term));
                FacetValue { parent: parent.to_owned(), value: value.to_owned() }
            }
            FacetField::Tenant | FacetField::Outcome | FacetField::Source => {
                FacetValue { parent: String::new(), value: term.to_owned() }
            }
        }
    }
}

fn matching(piece: &Piece, weight: &dyn Weight) -> Result<BitSet, EngineError> {
    let mut docs = BitSet::with_max_value(piece.reader.max_doc());
    let mut scorer = piece.scorer(weight)?;
    while scorer.doc() != TERMINATED {
        docs.insert(scorer.doc());
        scorer.advance();
    }
    Ok(docs)
}
