//! An engine for a caller who does not see everything: it answers as if the log had only the entries that a restriction lets
//! through. Whoever is given this one cannot ask past it.

use super::{Counts, Engine, EngineError, FacetValue, Hit, Hits, Order, Patience, Within, choice};
use crate::query::{FacetField, Node, Query};

/// An engine under a restriction.
pub struct Narrowed<'a> {
    engine: &'a dyn Engine,
    sight: &'a Query,
}

impl<'a> Narrowed<'a> {
    /// What `engine` has, as far as it matches `sight`.
    pub fn new(engine: &'a dyn Engine, sight: &'a Query) -> Narrowed<'a> {
        Narrowed { engine, sight }
    }

    fn narrow(&self, query: &Query) -> Query {
        query.clone().narrowed(self.sight)
    }
}

impl Engine for Narrowed<'_> {
    fn patience(&self) -> &Patience {
        self.engine.patience()
    }

    fn hits(&self, query: &Query, order: Order, after: Option<Hit>, within: Within) -> Result<Hits<'_>, EngineError> {
        self.engine.hits(&self.narrow(query), order, after, within)
    }

    fn total(&self, query: &Query, within: Within) -> Result<u64, EngineError> {
        self.engine.total(&self.narrow(query), within)
    }

    fn histogram(&self, query: &Query, within: Within, edges: &[i64]) -> Result<Vec<u64>, EngineError> {
        self.engine.histogram(&self.narrow(query), within, edges)
    }

    fn time_ends(&self, query: &Query, within: Within) -> Result<Option<(i64, i64)>, EngineError> {
        self.engine.time_ends(&self.narrow(query), within)
    }

    fn counts(&self, query: &Query, within: Within, fields: &[FacetField]) -> Result<Counts, EngineError> {
        self.engine.counts(&self.narrow(query), within, fields)
    }

    fn newest(
        &self,
        field: FacetField,
        values: &[FacetValue],
        within: Within,
    ) -> Result<Vec<Option<Hit>>, EngineError> {
        if self.sight.root == Node::All {
            return self.engine.newest(field, values, within);
        }
        // The newest of all may be out of sight: each value is a question of its own.
        let newest = |value: &FacetValue| {
            let query = Query { root: Node::Filter(choice(field, value)) };
            self.hits(&query, Order::TimeDesc, None, within)?.next().transpose()
        };
        values.iter().map(newest).collect()
    }
}
