//! Answers queries: which events match, in what order, how many, and how they spread over the facets.
//!
//! `Engine` is the seam: `tantivy` answers fast from spans and the hot index, `scan` answers event by event
//! from the log and defines what is right. Nothing above this room may know which one runs. Answers are
//! `Hit`s (where an entry stands); the rows themselves come from the log.

mod narrowed;
mod patience;
pub mod scan;
pub mod source;
pub mod tantivy;

use std::borrow::Cow;
use std::time::Duration;

pub use narrowed::Narrowed;
pub use patience::{Pace, Patience};

use crate::event::{Entry, noun};
use crate::log::ReadError;
use crate::query::filter::{Action, Actor, Filter, TargetType, Value};
use crate::query::{FacetField, Node, Pattern, Query, ValueField, values};
use crate::seq::Seq;
use crate::text;

/// Where a matching entry stands: all that order and paging need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The event's own time, ms since 1970.
    pub time_ms: i64,
    /// Its place in the log.
    pub seq: Seq,
}

/// The order of an answer. Ties of `time` are broken by `seq` in the same direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Newest first: the order of the page and the default of the API.
    TimeDesc,
    /// Oldest first.
    TimeAsc,
    /// Last appended first.
    SeqDesc,
    /// First appended first: the order of the feed.
    SeqAsc,
}

impl Order {
    /// A key that sorts hits into this order, smallest first. `!x` reverses the order of any integer.
    pub fn rank(self, hit: Hit) -> (i64, u64) {
        match self {
            Order::TimeDesc => (!hit.time_ms, !hit.seq.0),
            Order::TimeAsc => (hit.time_ms, hit.seq.0),
            Order::SeqDesc => (0, !hit.seq.0),
            Order::SeqAsc => (0, hit.seq.0),
        }
    }
}

/// The part of the log that a question is about: `from` inclusive, `to` exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within {
    /// First seq that counts.
    pub from: Seq,
    /// First seq that no longer counts.
    pub to: Seq,
}

impl Within {
    /// Everything below `to`.
    pub fn below(to: Seq) -> Within {
        Within { from: Seq::ZERO, to }
    }

    /// Whether `seq` counts.
    pub fn holds(&self, seq: Seq) -> bool {
        self.from <= seq && seq < self.to
    }

    /// The part that lies in both.
    pub fn and(self, other: Within) -> Within {
        Within { from: self.from.max(other.from), to: self.to.min(other.to) }
    }
}

/// One value of a facet: `parent` is the actor's type or the action's noun, empty for flat facets.
/// Both are folded: they are the term that filter, count and click share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FacetValue {
    /// The level above, or empty.
    pub parent: String,
    /// The value itself.
    pub value: String,
}

/// The values of one facet with their counts; unordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacetCounts {
    /// Which facet.
    pub field: FacetField,
    /// Every value that occurs, with how many entries carry it. Sorted by value.
    pub values: Vec<(FacetValue, u64)>,
}

/// Total and facets of one query, from one pass. Each facet ignores its own filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// How many entries match the whole query.
    pub total: u64,
    /// One for each field that was asked for, in that order.
    pub facets: Vec<FacetCounts>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The index could not be read.
    #[error("the index cannot answer: {0}")]
    Index(#[from] ::tantivy::TantivyError),
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// A stored record is not an event (its checksum was right, so this is a fault of ours).
    #[error("the record at seq {seq} cannot be read as an event: {why}")]
    Record {
        /// Which record.
        seq: Seq,
        /// What the decoder said.
        why: String,
    },
    /// A pattern that passed on its own is too large in the place where it is asked for.
    #[error("the pattern is too complex here: {why}")]
    TooComplex {
        /// What the automaton's builder said.
        why: String,
    },
    /// It took too long: an answer is whole or none.
    #[error("the question took longer than {} s; narrow {}", limit.as_secs_f64(), filter.as_deref().unwrap_or("it, by a time range for instance"))]
    TooBroad {
        /// How long it was allowed to take.
        limit: Duration,
        /// The filter that took it, as one would write it, if it was one.
        filter: Option<String>,
    },
    /// Too much of the index is missing to answer from the log instead.
    #[error("the index is being rebuilt: {missing} events are not indexed yet")]
    Rebuilding {
        /// How many events would have to be scanned.
        missing: u64,
    },
}

/// Hits, one after the other, in the order that was asked for; work is done as they are taken.
pub type Hits<'a> = Box<dyn Iterator<Item = Result<Hit, EngineError>> + Send + 'a>;

/// Something that answers queries over a fixed, immutable view of the log.
pub trait Engine: Send + Sync {
    /// How long its questions may take. Whoever reads entries for an answer looks there as well.
    fn patience(&self) -> &Patience;

    /// The matching entries in `order`, beginning after `after`.
    fn hits(&self, query: &Query, order: Order, after: Option<Hit>, within: Within) -> Result<Hits<'_>, EngineError>;

    /// How many entries match.
    fn total(&self, query: &Query, within: Within) -> Result<u64, EngineError>;

    /// How many entries lie in each `[edges[i], edges[i + 1])` of time, ms. `edges` rise.
    fn histogram(&self, query: &Query, within: Within, edges: &[i64]) -> Result<Vec<u64>, EngineError>;

    /// The times of the oldest and the newest match, ms.
    fn time_ends(&self, query: &Query, within: Within) -> Result<Option<(i64, i64)>, EngineError>;

    /// Total and facet counts.
    fn counts(&self, query: &Query, within: Within, fields: &[FacetField]) -> Result<Counts, EngineError>;

    /// The newest entry with each of these values of a facet.
    fn newest(&self, field: FacetField, values: &[FacetValue], within: Within)
    -> Result<Vec<Option<Hit>>, EngineError>;
}

/// The bucket of `[edges[i], edges[i + 1])` that a time lies in.
pub(crate) fn bucket_of(edges: &[i64], time_ms: i64) -> Option<usize> {
    let after = edges.partition_point(|edge| *edge <= time_ms);
    (after > 0 && after < edges.len()).then(|| after - 1)
}

/// The facet value that an entry counts for, if it has one.
pub fn facet_value(field: FacetField, entry: &Entry) -> Option<FacetValue> {
    let event = &entry.event;
    let flat = |value: Cow<'_, str>| FacetValue { parent: String::new(), value: value.into_owned() };
    match field {
        FacetField::Actor => {
            let (kind, id) = values::actor(event);
            Some(FacetValue { parent: kind.into_owned(), value: id.into_owned() })
        }
        FacetField::Action => {
            let action = values::action(event);
            Some(FacetValue { parent: noun(&action).to_owned(), value: action.into_owned() })
        }
        FacetField::TargetType => values::target_type(event).map(flat),
        FacetField::Tenant => Some(flat(Cow::Borrowed(&event.tenant))),
        FacetField::Outcome => Some(flat(Cow::Borrowed(event.outcome.as_str()))),
        FacetField::Source => event.source.as_deref().map(text::fold_value).map(flat),
    }
}

/// The filter that chooses exactly one facet value.
pub fn choice(field: FacetField, value: &FacetValue) -> Filter {
    let exact = |text: &str| Pattern::Exact(text.to_owned());
    match field {
        FacetField::Actor => Filter::Actor(Actor {
            id: exact(&format!("{}/{}", value.parent, value.value)),
            typed: Some((value.parent.clone(), exact(&value.value))),
        }),
        FacetField::Action => Filter::Action(Action::Exact(value.value.clone())),
        FacetField::TargetType => Filter::TargetType(TargetType(exact(&value.value))),
        FacetField::Tenant => Filter::Value(Value { field: ValueField::Tenant, pattern: exact(&value.value) }),
        FacetField::Outcome => Filter::Value(Value { field: ValueField::Outcome, pattern: exact(&value.value) }),
        FacetField::Source => Filter::Value(Value { field: ValueField::Source, pattern: exact(&value.value) }),
    }
}

/// A query taken apart for counting: what every facet obeys, and the filters that one facet each ignores.
pub(crate) struct Parts {
    pub rest: Query,
    pub own: Vec<(FacetField, Query)>,
}

impl Parts {
    pub fn of(query: &Query) -> Parts {
        let (rest, own) = query.split_facets();
        let whole = |root: Node| Query { root };
        Parts { rest: whole(rest), own: own.into_iter().map(|(field, node)| (field, whole(node))).collect() }
    }
}
