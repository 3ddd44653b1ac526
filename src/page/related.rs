//! The pages that an entry leads to: each link adds a filter, or finds what the entry has in common with others.

use crate::event::{Event, Object, Party};

use super::range::Range;
use super::state::{State, condition};
use crate::query::{actor_literal, literal};

/// How far around an entry its neighbours are, ms.
const AROUND_MS: i64 = 15 * 60_000;

/// What an open entry links to.
pub fn of(event: &Event) -> Vec<(&'static str, State)> {
    let all = State { range: Range::All, ..State::default() };
    let mut related = Vec::new();
    if let Some(target) = &event.target
        && let Some(state) = to_target(&all, target)
    {
        related.push(("Same target", state));
    }
    related.push(("Same actor", State { actors: vec![actor_value(&event.actor)], ..all.clone() }));
    if let Some(request) = &event.context.request_id {
        related.push(("Same request", State { q: condition("request", request), ..all.clone() }));
    }
    let (from, to) = (event.time.ms.saturating_sub(AROUND_MS), event.time.ms.saturating_add(AROUND_MS));
    related.push(("15 min around", State { range: Range::Between { from: Some(from), to: Some(to) }, ..all }));
    related
}

/// The value of `actor` that chooses this one.
pub fn actor_value(actor: &Party) -> String {
    actor_literal(&actor.kind, &actor.id)
}

/// The value of `action` that chooses exactly this one.
pub fn action_value(action: &str) -> String {
    let is_plain =
        action.contains(['.', ':']) && !action.ends_with(['.', ':']) && !action.contains(['*', '?', '\\', '"']);
    if is_plain { action.to_owned() } else { quoted(action) }
}

/// An action in quotes: only itself, whatever the catalogue or a pattern would make of it.
pub fn quoted(action: &str) -> String {
    format!("\"{}\"", literal(action))
}

/// The page with this target as one more filter, if something of it can be asked for.
pub fn to_target(state: &State, target: &Object) -> Option<State> {
    let fresh = state.fresh();
    match (&target.id, &target.kind, &target.name) {
        (Some(id), Some(kind), _) => Some(State { target: Some(literal(&format!("{kind}/{id}"))), ..fresh }),
        (Some(id), None, _) => Some(State { target: Some(literal(id)), ..fresh }),
        (None, _, Some(name)) => {
            let wanted = condition("target_name", name);
            let q = if fresh.q.is_empty() { wanted } else { format!("({}) {wanted}", fresh.q) };
            Some(State { q, ..fresh })
        }
        (None, Some(kind), None) => Some(State { target_types: vec![literal(kind)], ..fresh }),
        (None, None, None) => None,
    }
}
