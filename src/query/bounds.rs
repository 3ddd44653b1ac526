//! What can be told from a query without looking at an entry: its facet filters, and the times and places it is
//! confined to.

use super::filter::{Filter, TargetType, Value};
use super::values::ValueField;
use super::{Node, Query};
use crate::seq::Seq;

/// Fields that are counted, each ignoring its own filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FacetField {
    /// Who did it.
    Actor,
    /// What was done.
    Action,
    /// The type of what it was done to.
    TargetType,
    /// The tenant.
    Tenant,
    /// How it ended.
    Outcome,
    /// The sending system.
    Source,
}

impl FacetField {
    /// Every facet, in the order of the documentation.
    pub const ALL: [FacetField; 6] = [
        FacetField::Actor,
        FacetField::Action,
        FacetField::TargetType,
        FacetField::Tenant,
        FacetField::Outcome,
        FacetField::Source,
    ];

    /// The name of the field in a query text.
    pub fn as_str(self) -> &'static str {
        match self {
            FacetField::Actor => "actor",
            FacetField::Action => "action",
            FacetField::TargetType => "target_type",
            FacetField::Tenant => "tenant",
            FacetField::Outcome => "outcome",
            FacetField::Source => "source",
        }
    }
}

impl Filter {
    /// The facet this filter is about.
    pub fn facet(&self) -> Option<FacetField> {
        match self {
            Filter::Actor(_) => Some(FacetField::Actor),
            Filter::Action(_) => Some(FacetField::Action),
            Filter::TargetType(TargetType(_)) => Some(FacetField::TargetType),
            Filter::Value(Value { field, .. }) => match field {
                ValueField::Tenant => Some(FacetField::Tenant),
                ValueField::Outcome => Some(FacetField::Outcome),
                ValueField::Source => Some(FacetField::Source),
                ValueField::Target
                | ValueField::OnBehalfOf
                | ValueField::Id
                | ValueField::Email
                | ValueField::ActorName
                | ValueField::TargetName
                | ValueField::Request
                | ValueField::Session
                | ValueField::UserAgent => None,
            },
            Filter::Words(_)
            | Filter::Time(_)
            | Filter::Received(_)
            | Filter::Seq(_)
            | Filter::Ip(_)
            | Filter::Change(_)
            | Filter::Detail(_)
            | Filter::Has(_) => None,
        }
    }
}

impl Query {
    /// The members that all have to match.
    fn members(&self) -> &[Node] {
        match &self.root {
            Node::All => &[],
            Node::And(members) => members,
            Node::Or(_) | Node::Not(_) | Node::Fixed(_) | Node::Filter(_) => std::slice::from_ref(&self.root),
        }
    }

    /// Takes the facet filters out: the rest, and for each field that has any, what an entry has to fit there.
    ///
    /// A facet filter is a member of the topmost AND that is a filter on the field, or an OR of only such.
    pub fn split_facets(&self) -> (Node, Vec<(FacetField, Node)>) {
        let mut rest = Vec::new();
        let mut facets: Vec<(FacetField, Vec<Node>)> = Vec::new();
        for member in self.members() {
            match facet_of(member) {
                None => rest.push(member.clone()),
                Some(field) => match facets.iter_mut().find(|(known, _)| *known == field) {
                    Some((_, members)) => members.push(member.clone()),
                    None => facets.push((field, vec![member.clone()])),
                },
            }
        }
        let facets = facets.into_iter().map(|(field, members)| (field, Node::and(members))).collect();
        (Node::and(rest), facets)
    }

    /// No entry with a time outside matches: ms since 1970, the first included, the second excluded.
    pub fn time_bounds(&self) -> (Option<i64>, Option<i64>) {
        let mut bounds = (None, None);
        for member in self.members() {
            if let Node::Filter(Filter::Time(range)) = member {
                bounds.0 = bounds.0.max(range.from_ms);
                bounds.1 = smaller(bounds.1, range.to_ms);
            }
        }
        bounds
    }

    /// What it asks besides the times that `time_bounds` names.
    pub fn without_time(&self) -> Query {
        let is_other = |member: &&Node| !matches!(member, Node::Filter(Filter::Time(_)));
        Query { root: Node::and(self.members().iter().filter(is_other).cloned().collect()) }
    }

    /// No entry with a seq outside matches: the first included, the second excluded.
    pub fn seq_bounds(&self) -> (Seq, Option<Seq>) {
        let mut bounds = (Seq::ZERO, None);
        for member in self.members() {
            if let Node::Filter(Filter::Seq(range)) = member {
                bounds.0 = bounds.0.max(range.from);
                bounds.1 = smaller(bounds.1, range.to);
            }
        }
        bounds
    }
}

/// The smaller of two upper bounds, of which either may be missing.
fn smaller<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, None) => a,
        (None, b) => b,
    }
}

fn facet_of(member: &Node) -> Option<FacetField> {
    match member {
        Node::Filter(filter) => filter.facet(),
        Node::Or(choices) => {
            let first = choices.first().and_then(filter_facet)?;
            choices.iter().all(|choice| filter_facet(choice) == Some(first)).then_some(first)
        }
        Node::All | Node::And(_) | Node::Not(_) | Node::Fixed(_) => None,
    }
}

fn filter_facet(node: &Node) -> Option<FacetField> {
    match node {
        Node::Filter(filter) => filter.facet(),
        Node::All | Node::And(_) | Node::Or(_) | Node::Not(_) | Node::Fixed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Catalogue;
    use crate::query::{Env, parse};

    fn parsed(text: &str) -> Query {
        parse(text, &Env { now_ms: 86_400_000, catalogue: Catalogue::builtin() }).unwrap()
    }

    #[test]
    fn a_facet_filter_is_a_positive_member_of_the_topmost_and() {
        for (text, rest, facets) in [
            ("actor:a", "*", "actor=actor:a"),
            ("actor:(a OR b)", "*", "actor=actor:a OR actor:b"),
            ("x actor:(a OR b) action:contact", "x", "actor=actor:a OR actor:b; action=action:contact"),
            ("actor:a x actor:b*", "x", "actor=actor:a actor:b*"),
            ("-actor:a outcome:denied", "-actor:a", "outcome=outcome:denied"),
            ("actor:a OR x", "actor:a OR x", ""),
            ("actor:a OR source:b", "actor:a OR source:b", ""),
            ("tenant:t target_type:did target:d", "target:d", "tenant=tenant:t; target_type=target_type:did"),
        ] {
            let (left, found) = parsed(text).split_facets();
            let found: Vec<String> = found.iter().map(|(field, node)| format!("{}={node}", field.as_str())).collect();
            assert_eq!((left.to_string().as_str(), found.join("; ").as_str()), (rest, facets), "{text}");
        }
    }

    #[test]
    fn bounds_come_from_what_all_answers_have_to_fit() {
        let time = |text| parsed(text).time_bounds();
        assert_eq!(time("x"), (None, None));
        assert_eq!(time("time:1970-01-02"), (Some(86_400_000), Some(172_800_000)));
        assert_eq!(time("time:>=1970-01-02 time:1970 x"), (Some(86_400_000), Some(31_536_000_000)));
        assert_eq!(time("time:1970 OR x"), (None, None));
        assert_eq!(time("-time:1970"), (None, None));
        let rest = |text| parsed(text).without_time().to_string();
        assert_eq!(rest("time:1970"), "*");
        assert_eq!(rest("x time:1970 (a OR b) time:>=1971"), "x (a OR b)");
        assert_eq!(rest("x -time:1970"), parsed("x -time:1970").to_string());
        let seq = |text| parsed(text).seq_bounds();
        assert_eq!(seq("x"), (Seq(0), None));
        assert_eq!(seq("seq:5..9 seq:>=7 x"), (Seq(7), Some(Seq(10))));
        assert_eq!(seq("seq:5 OR x"), (Seq(0), None));
    }
}
