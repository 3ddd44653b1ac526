//! From the page's state to the query tree that engine, export and tail work with.
//!
//! Each part of the state becomes one node, so that a facet can be counted without its own part. A facet ignores what
//! was chosen in its menu, never what the query text says: else a click would not give the number that stood beside it.

use crate::event::Catalogue;
use crate::query::filter::{Filter, TimeRange};
use crate::query::{self, Env, FacetField, Node, Query};

use super::state::{Fault, State};

/// The value of `action` that stands for everything outside the ten categories.
pub const OTHER: &str = "other";
/// The ten categories of the strip, each with a colour of its own.
pub const CATEGORIES: [&str; 10] =
    ["auth", "team", "contacts", "conversations", "campaigns", "senders", "dids", "billing", "consent", "pricing"];

/// A part of the state that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The query text.
    Text,
    /// The chosen actors.
    Actors,
    /// People or system.
    Kind,
    /// The chosen actions.
    Actions,
    /// The chosen types.
    Types,
    /// The one target.
    Target,
    /// The range of time.
    Time,
}

/// The state as conditions, one for each part that says something.
#[derive(Clone, Debug)]
pub struct Conditions {
    parts: Vec<(Part, Node)>,
}

impl Conditions {
    /// Reads a state at this moment. The faults name the parameters that cannot be read.
    pub fn read(state: &State, catalogue: &Catalogue, now_ms: u64) -> Result<Conditions, Vec<Fault>> {
        let env = Env { now_ms, catalogue };
        let (mut parts, mut faults) = (Vec::new(), Vec::new());
        let mut take = |part, field, values: &[String]| {
            let mut nodes = Vec::with_capacity(values.len());
            for value in values {
                match node(field, value, &env) {
                    Ok(node) => nodes.push(node),
                    Err(why) => faults.push(Fault { field, text: value.clone(), why }),
                }
            }
            match Node::or(nodes) {
                Node::All => {}
                node => parts.push((part, node)),
            }
        };
        take(Part::Text, "q", Some(&state.q).filter(|q| !q.is_empty()).cloned().as_slice());
        take(Part::Actors, "actor", &state.actors);
        let kind = state.actor_kind.map(|kind| format!("{}/*", kind.word()));
        take(Part::Kind, "actor", kind.as_slice());
        take(Part::Actions, "action", &state.actions);
        take(Part::Types, "target_type", &state.target_types);
        take(Part::Target, "target", state.target.as_slice());
        let (from_ms, to_ms) = state.range.bounds(now_ms.cast_signed());
        if from_ms.is_some() || to_ms.is_some() {
            parts.push((Part::Time, Node::Filter(Filter::Time(TimeRange { from_ms, to_ms }))));
        }
        if faults.is_empty() { Ok(Conditions { parts }) } else { Err(faults) }
    }

    /// The whole query.
    pub fn query(&self) -> Query {
        self.select(|_| true)
    }

    /// The query without one part.
    pub fn without(&self, left_out: &[Part]) -> Query {
        self.select(|part| !left_out.contains(&part))
    }

    /// Only the range of time: everything that the same page shows without a filter.
    pub fn time_only(&self) -> Query {
        self.select(|part| part == Part::Time)
    }

    /// What people typed: what is marked in the entries.
    pub fn text(&self) -> Query {
        self.select(|part| part == Part::Text)
    }

    /// The query that facets are counted under: none of them ignores what the text says.
    pub fn counted(&self, left_out: &[Part]) -> Query {
        let kept = self.parts.iter().filter(|(part, _)| !left_out.contains(part));
        let members = kept.map(|(part, node)| match part {
            Part::Text => opaque(node.clone()),
            Part::Actors | Part::Kind | Part::Actions | Part::Types | Part::Target | Part::Time => node.clone(),
        });
        Query { root: Node::and(members.collect()) }
    }

    /// Whether the action facet has to be counted apart: a condition that is no plain choice of actions is not one that
    /// the facet ignores by itself.
    pub fn has_odd_actions(&self) -> bool {
        let is_choice =
            |node: &Node| matches!(node, Node::Filter(filter) if filter.facet() == Some(FacetField::Action));
        self.parts.iter().any(|(part, node)| {
            *part == Part::Actions
                && match node {
                    Node::Or(members) => !members.iter().all(is_choice),
                    node => !is_choice(node),
                }
        })
    }

    fn select(&self, is_kept: impl Fn(Part) -> bool) -> Query {
        let kept = self.parts.iter().filter(|(part, _)| is_kept(*part));
        Query { root: Node::and(kept.map(|(_, node)| node.clone()).collect()) }
    }
}

/// A node that says the same and is no facet filter to anybody.
fn opaque(node: Node) -> Node {
    if let Node::And(members) = node {
        return Node::And(members.into_iter().map(opaque).collect());
    }
    let has_facet = !Query { root: node.clone() }.split_facets().1.is_empty();
    if has_facet { Node::Fixed(Box::new(node)) } else { node }
}

/// What one parameter of the address says, or why it cannot be read.
pub fn node(field: &'static str, value: &str, env: &Env<'_>) -> Result<Node, String> {
    if field == "action" && value == OTHER {
        let choice = |slug: &&str| query::from_params(&[("action".to_owned(), (*slug).to_owned())], env);
        let categories = CATEGORIES.iter().filter_map(|slug| choice(slug).ok());
        return Ok(Node::negate(Node::or(categories.map(|read| read.query.root).collect())));
    }
    let read = query::from_params(&[(field.to_owned(), value.to_owned())], env);
    read.map(|read| read.query.root).map_err(|error| sentence(&error.error.to_string()))
}

/// What an error says, as a sentence.
fn sentence(text: &str) -> String {
    format!("{}.", super::format::capital(text))
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;

    fn read(query: &str) -> Conditions {
        let state = State::read(query, Tz::UTC).state;
        Conditions::read(&state, Catalogue::builtin(), 1_795_181_527_412).unwrap()
    }

    #[test]
    fn a_state_is_the_tree_of_its_parts() {
        let all =
            read("q=maya&actor=u_1&actor=u_2&action=contacts&target_type=did&target=d_1&range=all&actor_kind=user");
        assert_eq!(
            all.query().to_string(),
            "maya (actor:u_1 OR actor:u_2) actor:user/* action:contacts target_type:did target:d_1"
        );
        assert_eq!(
            all.without(&[Part::Text, Part::Kind, Part::Actors]).to_string(),
            "action:contacts target_type:did target:d_1"
        );
        assert_eq!(read("").query().to_string(), "time:>=2026-11-13T13:32:07.412Z");
    }

    #[test]
    fn no_facet_ignores_what_the_text_says() {
        let fields = |query: &str| {
            let (_, facets) = read(query).counted(&[]).split_facets();
            facets.into_iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(fields("q=actor:u_1+action:contacts&action=team"), ["action"]);
        assert_eq!(fields("q=actor:u_1"), Vec::<&str>::new());
        assert!(read("action=other").has_odd_actions() && !read("action=team&action=user.invited").has_odd_actions());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let state = State::read("q=actr:a&actor=x", Tz::UTC).state;
        let faults = Conditions::read(&state, Catalogue::builtin(), 0).unwrap_err();
        assert_eq!((faults.len(), faults[0].field), (1, "q"));
        assert!(faults[0].why.starts_with("Unknown field"), "{}", faults[0].why);
    }
}
