//! One condition on an entry. A file per kind: how it is parsed, printed and matched.

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
pub use detail::{Bound, Condition, Detail, Number, NumberRange};
pub use has::Has;
pub use ip::{Cidr, Ip};
pub use seq::SeqRange;
pub use target_type::TargetType;
pub use time::TimeRange;
pub use value::Value;
pub use words::{Fuzzy, Words};

use super::pattern::Pattern;
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
                Condition::Is { pattern, .. } => dear(pattern),
                Condition::Exists | Condition::Number(_) => true,
            },
            Filter::Time(_) | Filter::Received(_) | Filter::Seq(_) | Filter::Ip(Ip::Network(_)) | Filter::Has(_) => {
                false
            }
        }
    }

    pub(super) fn matches(&self, view: &View<'_>) -> bool {
        match self {
            Filter::Words(words) => words.matches(view),
            Filter::Value(value) => value.matches(view),
            Filter::Actor(actor) => actor.matches(view),
            Filter::Action(action) => action.matches(view),
            Filter::TargetType(target_type) => target_type.matches(view),
            Filter::Time(range) => range.contains(view.event().time.ms),
            // A time beyond what i64 can say is later than every bound.
            Filter::Received(range) => range.contains(i64::try_from(view.entry.received_ms).unwrap_or(i64::MAX)),
            Filter::Seq(range) => range.matches(view),
            Filter::Ip(ip) => ip.matches(view),
            Filter::Change(change) => change.matches(view),
            Filter::Detail(detail) => detail.matches(view),
            Filter::Has(has) => has.matches(view),
        }
    }
}
