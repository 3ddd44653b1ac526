//! The slow twin of the index: evaluates a query event by event from the log. It defines what is right,
//! answers for the part of the log that is not indexed yet, and drives the property tests.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::source::{Personal, Source};
use super::{
    Counts, Engine, EngineError, FacetCounts, FacetValue, Hit, Hits, Order, Parts, Patience, Within, bucket_of,
    facet_value,
};
use crate::event::Entry;
use crate::query::{FacetField, Query};

/// Answers from the log alone.
pub struct Scan {
    source: Source,
    within: Within,
    patience: Arc<Patience>,
}

/// Entries read between two looks at the clock: a scan reads about 100 in a ms.
const ENTRIES_PER_LOOK: u64 = 256;

impl Scan {
    /// Scans the part of the log that `within` names, and no more.
    pub fn new(source: Source, within: Within) -> Scan {
        Scan { source, within, patience: Arc::new(Patience::endless()) }
    }

    /// The same, for a question whose time is limited.
    pub fn patient(self, patience: Arc<Patience>) -> Scan {
        Scan { patience, ..self }
    }

    /// The same for those who may see what is sealed, or may not.
    pub fn seen(self, personal: Personal) -> Scan {
        Scan { source: self.source.seen(personal), ..self }
    }

    /// The part of the log it answers for.
    pub fn within(&self) -> Within {
        self.within
    }

    fn entries(&self, within: Within) -> impl Iterator<Item = Result<Entry, EngineError>> + '_ {
        self.source.range(self.within.and(within)).map(|entry| {
            let (entry, _) = entry?;
            if entry.seq.0.is_multiple_of(ENTRIES_PER_LOOK) {
                self.patience.check()?;
            }
            Ok(entry)
        })
    }

    /// All hits, sorted. `Engine::hits` hands them out one by one.
    pub fn collect(
        &self,
        query: &Query,
        order: Order,
        after: Option<Hit>,
        within: Within,
    ) -> Result<Vec<Hit>, EngineError> {
        let mut hits = Vec::new();
        for entry in self.entries(within) {
            let entry = entry?;
            let hit = Hit { time_ms: entry.event.time.ms, seq: entry.seq };
            let is_ahead = after.is_none_or(|after| order.rank(hit) > order.rank(after));
            if is_ahead && query.matches(&entry) {
                hits.push(hit);
            }
        }
        hits.sort_by_key(|hit| order.rank(*hit));
        Ok(hits)
    }
}

impl Engine for Scan {
    fn patience(&self) -> &Patience {
        &self.patience
    }

    fn hits(&self, query: &Query, order: Order, after: Option<Hit>, within: Within) -> Result<Hits<'_>, EngineError> {
        let hits = self.collect(query, order, after, within)?;
        Ok(Box::new(hits.into_iter().map(Ok)))
    }

    fn total(&self, query: &Query, within: Within) -> Result<u64, EngineError> {
        let mut total = 0;
        for entry in self.entries(within) {
            total += u64::from(query.matches(&entry?));
        }
        Ok(total)
    }

    fn histogram(&self, query: &Query, within: Within, edges: &[i64]) -> Result<Vec<u64>, EngineError> {
        let mut counts = vec![0; edges.len().saturating_sub(1)];
        for entry in self.entries(within) {
            let entry = entry?;
            if let Some(bucket) = bucket_of(edges, entry.event.time.ms)
                && query.matches(&entry)
            {
                counts[bucket] += 1;
            }
        }
        Ok(counts)
    }

    fn time_ends(&self, query: &Query, within: Within) -> Result<Option<(i64, i64)>, EngineError> {
        let mut ends = None;
        for entry in self.entries(within) {
            let entry = entry?;
            if query.matches(&entry) {
                let ms = entry.event.time.ms;
                ends = Some(ends.map_or((ms, ms), |(oldest, newest): (i64, i64)| (oldest.min(ms), newest.max(ms))));
            }
        }
        Ok(ends)
    }

    fn counts(&self, query: &Query, within: Within, fields: &[FacetField]) -> Result<Counts, EngineError> {
        let parts = Parts::of(query);
        let mut total = 0;
        let mut counted: Vec<BTreeMap<FacetValue, u64>> = vec![BTreeMap::new(); fields.len()];
        for entry in self.entries(within) {
            let entry = entry?;
            if !parts.rest.matches(&entry) {
                continue;
            }
            let mut failed = parts.own.iter().filter(|(_, node)| !node.matches(&entry)).map(|(field, _)| *field);
            let (first, second) = (failed.next(), failed.next());
            total += u64::from(first.is_none());
            if second.is_some() {
                continue;
            }
            for (field, counts) in fields.iter().zip(&mut counted) {
                if first.is_none_or(|own| own == *field)
                    && let Some(value) = facet_value(*field, &entry)
                {
                    *counts.entry(value).or_default() += 1;
                }
            }
        }
        let facets = fields
            .iter()
            .zip(counted)
            .map(|(field, values)| FacetCounts { field: *field, values: values.into_iter().collect() })
            .collect();
        Ok(Counts { total, facets })
    }

    fn newest(
        &self,
        field: FacetField,
        values: &[FacetValue],
        within: Within,
    ) -> Result<Vec<Option<Hit>>, EngineError> {
        let mut newest: HashMap<FacetValue, Hit> = HashMap::new();
        for entry in self.entries(within) {
            let entry = entry?;
            if let Some(value) = facet_value(field, &entry) {
                let hit = Hit { time_ms: entry.event.time.ms, seq: entry.seq };
                let best = newest.entry(value).or_insert(hit);
                if Order::TimeDesc.rank(hit) < Order::TimeDesc.rank(*best) {
                    *best = hit;
                }
            }
        }
        Ok(values.iter().map(|value| newest.get(value).copied()).collect())
    }
}
