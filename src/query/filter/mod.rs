//! One condition on an entry. A file per kind: how it is parsed, printed and matched.
//!
//! A filter shows what it matched, so that it can be marked; it holds if there is anything to show. So nothing is ever
//! marked that did not match.

mod action;
mod actor;
mod change;
mod detail;
mod has;
mod ip;
mod seq;
mod target_type;
mod time;
mod value;
mod words;

pub use action::Action;
pub use actor::Actor;
pub use change::Change;
pub use detail::{Condition, Detail, End, Number, Text, ValueRange};
pub use has::Has;
pub use ip::{Cidr, Ip};
pub use seq::SeqRange;
pub use target_type::TargetType;
pub use time::TimeRange;
pub use value::Value;
pub use words::{Fuzzy, Words};

use std::ops::{ControlFlow, Range};

use super::pattern::Pattern;
use super::shown::Shown;
use super::view::View;

/// One condition. Plain data: an index reads the fields and builds its own query.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Free text.
    Words(Words),
    /// A field whose whole value is compared.
    Value(Value),
    /// Who did it.
    Actor(Actor),
    /// What was done.
    Action(Action),
    /// The type of what it was done to.
    TargetType(TargetType),
    /// When it happened, by the sender's clock.
    Time(TimeRange),
    /// When we received it, by our clock.
    Received(TimeRange),
    /// Its place in the log.
    Seq(SeqRange),
    /// The address it came from.
    Ip(Ip),
    /// One of the changed fields.
    Change(Change),
    /// A value inside `detail`.
    Detail(Detail),
    /// A member is present.
    Has(Has),
}

impl Filter {
    /// Whether it runs an automaton over a term dictionary: what to narrow when a search is too broad.
    pub fn is_pattern(&self) -> bool {
        let dear = |pattern: &Pattern| pattern.automaton().is_some();
        match self {
            Filter::Words(Words::Wildcard(_) | Words::Fuzzy(_) | Words::Regex(_)) => true,
            Filter::Words(Words::Word { .. } | Words::Phrase { .. }) => false,
            Filter::Value(value) => dear(&value.pattern),
            Filter::Actor(actor) => dear(&actor.id),
            Filter::Action(action) => matches!(action, Action::Pattern(_)),
            Filter::TargetType(TargetType(pattern)) | Filter::Ip(Ip::Text(pattern)) => dear(pattern),
            Filter::Change(change) => {
                [Some(&change.field), change.before.as_ref(), change.after.as_ref()].into_iter().flatten().any(dear)
            }
            Filter::Detail(detail) => match &detail.condition {
                Condition::Is { pattern, network, .. } => dear(pattern) || network.is_some(),
                Condition::Exists | Condition::Number(_) | Condition::Text(_) => true,
            },
            Filter::Time(_) | Filter::Received(_) | Filter::Seq(_) | Filter::Ip(Ip::Network(_)) | Filter::Has(_) => {
                false
            }
        }
    }

    pub(super) fn matches(&self, view: &View<'_>) -> bool {
        self.each_match(view, &mut |_| ControlFlow::Break(())).is_break()
    }

    /// Shows every match to `each`, until that has enough. A filter without a match does not hold.
    pub(super) fn each_match(&self, view: &View<'_>, each: &mut EachMatch<'_>) -> ControlFlow<()> {
        match self {
            Filter::Words(words) => words.each_match(view, each),
            Filter::Value(value) => value.each_match(view, each),
            Filter::Actor(actor) => actor.each_match(view, each),
            Filter::Action(action) => action.each_match(view, each),
            Filter::TargetType(target_type) => target_type.each_match(view, each),
            Filter::Time(range) => unmarked(range.contains(view.event().time.ms), each),
            Filter::Received(range) => {
                // A time beyond what i64 can say is later than every bound.
                let received_ms = i64::try_from(view.entry.received_ms).unwrap_or(i64::MAX);
                unmarked(range.contains(received_ms), each)
            }
            Filter::Seq(range) => unmarked(range.matches(view), each),
            Filter::Ip(ip) => ip.each_match(view, each),
            Filter::Change(change) => change.each_match(view, each),
            Filter::Detail(detail) => detail.each_match(view, each),
            Filter::Has(has) => unmarked(has.matches(view), each),
        }
    }
}

/// What in an entry makes a filter hold.
pub(super) enum Match<'a> {
    /// These values, each as a whole.
    Values(&'a [Shown<'a>]),
    /// A stretch of a text value.
    Words {
        /// The value's number among the [`values::text_values`](super::values::text_values).
        value: u32,
        /// Bytes of the folded value.
        folded: Range<usize>,
    },
    /// Something that nobody has to be shown: a time, a place in the log, a presence.
    Unmarked,
}

/// Takes matches until it has enough.
pub(super) type EachMatch<'a> = dyn FnMut(Match<'_>) -> ControlFlow<()> + 'a;

fn unmarked(holds: bool, each: &mut EachMatch<'_>) -> ControlFlow<()> {
    if holds { each(Match::Unmarked) } else { ControlFlow::Continue(()) }
}
