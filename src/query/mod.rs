//! The query language: text to a tree of filters, and back.
//!
//! One text drives API, page, CLI, export and restrictions. [`parse`] reads it, `Display` prints it in one
//! canonical form (`parse(print(q)) == q`), [`Query::matches`] decides one entry. What an index does with the tree is
//! the index's matter; which values of an event a field has is said once, in [`values`], and scan and index both call it.
//!
//! Every filter has a file in `filter/`: how it is parsed, printed and matched. Times are resolved when parsed, so a
//! printed query means the same tomorrow.

mod bounds;
pub mod error;
pub mod filter;
mod highlight;
mod lex;
pub mod limits;
#[cfg(test)]
mod matches_tests;
mod origin;
mod params;
mod parse;
pub mod pattern;
mod print;
mod range;
#[cfg(test)]
pub(crate) mod samples;
pub mod shown;
pub mod values;
mod view;
mod without;

pub use bounds::FacetField;
pub use error::{ParamError, ParseError};
pub use filter::Filter;
pub use highlight::{Highlight, Highlights, Mark, highlights};
pub use origin::Origin;
pub use params::{FromParams, actor_literal, from_params, literal};
pub use parse::parse;
pub use pattern::Pattern;
pub use values::{Member, ValueField};

use crate::event::{Catalogue, Entry};
use view::View;

/// What a query text means beyond its letters: the moment that `time:24h` counts back from, and the action tree.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// Wall clock, ms since 1970.
    pub now_ms: u64,
    /// Decides whether `action:x` is a category, a noun or an action.
    pub catalogue: &'a Catalogue,
}

/// A whole query. Printed by `Display`.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// In normal form, see [`Node`].
    pub root: Node,
}

/// A tree of filters, in normal form: no `And` directly in an `And` and no `Or` in an `Or`, both with at least two
/// members in the order they were written, no `Not` of a `Not`, no `All` inside `And` or `Or`.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Every entry; printed `*`.
    All,
    /// Every member matches.
    And(Vec<Node>),
    /// At least one member matches.
    Or(Vec<Node>),
    /// The member does not match.
    Not(Box<Node>),
    /// Matches as its member does, and no facet takes it for its own filter: what the caller may not widen.
    Fixed(Box<Node>),
    /// One condition.
    Filter(Filter),
}

impl Query {
    /// The query that every entry matches.
    pub fn all() -> Query {
        Query { root: Node::All }
    }

    /// Entries that match both.
    pub fn and(self, other: Query) -> Query {
        Query { root: Node::and(vec![self.root, other.root]) }
    }

    /// Those of the entries that match a restriction, whatever a facet leaves out.
    pub fn narrowed(self, restriction: &Query) -> Query {
        match &restriction.root {
            Node::All => self,
            root => self.and(Query { root: Node::Fixed(Box::new(root.clone())) }),
        }
    }

    /// Whether `entry` is an answer. This is what every index has to agree with.
    pub fn matches(&self, entry: &Entry) -> bool {
        self.root.holds(&View::new(entry))
    }
}

impl Node {
    /// The normal form of "all of `members`".
    pub fn and(members: Vec<Node>) -> Node {
        let mut flat = Vec::with_capacity(members.len());
        for member in members {
            match member {
                Node::All => {}
                Node::And(inner) => flat.extend(inner),
                Node::Or(_) | Node::Not(_) | Node::Fixed(_) | Node::Filter(_) => flat.push(member),
            }
        }
        match flat.len() {
            0 => Node::All,
            1 => flat.remove(0),
            _ => Node::And(flat),
        }
    }

    /// The normal form of "any of `members`". An empty list of choices restricts nothing and gives [`Node::All`].
    pub fn or(members: Vec<Node>) -> Node {
        let mut flat = Vec::with_capacity(members.len());
        for member in members {
            match member {
                Node::All => return Node::All,
                Node::Or(inner) => flat.extend(inner),
                Node::And(_) | Node::Not(_) | Node::Fixed(_) | Node::Filter(_) => flat.push(member),
            }
        }
        match flat.len() {
            0 => Node::All,
            1 => flat.remove(0),
            _ => Node::Or(flat),
        }
    }

    /// The normal form of "not `member`".
    pub fn negate(member: Node) -> Node {
        match member {
            Node::Not(inner) => *inner,
            Node::All | Node::And(_) | Node::Or(_) | Node::Fixed(_) | Node::Filter(_) => Node::Not(Box::new(member)),
        }
    }

    /// Shows every filter that somebody wrote to `each`, in the order they are printed: not those of a restriction.
    pub fn each_filter<'a>(&'a self, each: &mut dyn FnMut(&'a Filter)) {
        match self {
            Node::All | Node::Fixed(_) => {}
            Node::And(members) | Node::Or(members) => members.iter().for_each(|member| member.each_filter(each)),
            Node::Not(member) => member.each_filter(each),
            Node::Filter(filter) => each(filter),
        }
    }

    /// Levels of `And`, `Or` and `Not` above the deepest filter.
    fn depth(&self) -> usize {
        match self {
            Node::All | Node::Filter(_) => 0,
            Node::And(members) | Node::Or(members) => 1 + members.iter().map(Node::depth).max().unwrap_or(0),
            Node::Not(member) => 1 + member.depth(),
            Node::Fixed(member) => member.depth(),
        }
    }

    fn holds(&self, view: &View<'_>) -> bool {
        match self {
            Node::All => true,
            Node::And(members) => members.iter().all(|member| member.holds(view)),
            Node::Or(members) => members.iter().any(|member| member.holds(view)),
            Node::Not(member) => !member.holds(view),
            Node::Fixed(member) => member.holds(view),
            Node::Filter(filter) => filter.matches(view),
        }
    }
}
