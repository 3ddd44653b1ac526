//! A pattern over the values of a facet of one level.
//!
//! Tantivy indexes every level above a facet's value as well, up to the root, which is the empty term and stands in
//! every document that has the facet. A pattern that matches the empty text must not find these.

use std::fmt;
use std::sync::Arc;

use ::tantivy::query::{AutomatonWeight, EnableScoring, Query, Weight};
use ::tantivy::schema::Field;
use tantivy_fst::{Automaton, Regex};

/// Documents with a value of the facet that the whole of `regex` matches.
#[derive(Clone)]
pub struct FacetPattern {
    pub field: Field,
    pub regex: Arc<Regex>,
}

impl Query for FacetPattern {
    fn weight(&self, _: EnableScoring<'_>) -> ::tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(AutomatonWeight::new(self.field, NotEmpty(self.regex.clone()))))
    }
}

impl fmt::Debug for FacetPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FacetPattern").field("field", &self.field).finish_non_exhaustive()
    }
}

/// What the regex matches, but for the empty text. A state also says whether anything was read.
struct NotEmpty(Arc<Regex>);

impl Automaton for NotEmpty {
    type State = (bool, <Regex as Automaton>::State);

    fn start(&self) -> Self::State {
        (false, self.0.start())
    }

    fn is_match(&self, (is_read, state): &Self::State) -> bool {
        *is_read && self.0.is_match(state)
    }

    fn can_match(&self, (_, state): &Self::State) -> bool {
        self.0.can_match(state)
    }

    fn will_always_match(&self, (is_read, state): &Self::State) -> bool {
        *is_read && self.0.will_always_match(state)
    }

    fn accept(&self, (_, state): &Self::State, byte: u8) -> Self::State {
        (true, self.0.accept(state, byte))
    }
}
