//! A tree of filters as a Tantivy query. What it means is defined by `Query::matches`; the property test holds the
//! two against each other.

use std::ops::Bound;
use std::sync::Arc;

use ::tantivy::Term;
use ::tantivy::query::{
    AllQuery, BooleanQuery, EmptyQuery, FuzzyTermQuery, Occur, PhraseQuery, Query, RangeQuery, TermQuery,
};
use ::tantivy::schema::{Facet, Field, IndexRecordOption};
use regex_syntax::escape;
use tantivy_fst::Regex;

use crate::event::noun;
use crate::index::tantivy::docset::{Excluded, SeqRange, TimeRange};
use crate::index::tantivy::erased::{BySegment, IsErased};
use crate::index::tantivy::schema::{IndexSchema, value_fields};
use crate::index::tantivy::short_text::ShortText;
use crate::index::tantivy::term_filter::{FiltersBySegment, IfThere};
use crate::index::tantivy::term_scan::{self, TermScan, Watch};
use crate::index::tantivy::terms;
use crate::index::{EngineError, Patience};
use crate::query::filter::{
    Action, Actor, Change, Cidr, Condition, Detail, End, Filter, Ip, Number, Text, ValueRange, Words,
};
use crate::query::{Node, Pattern};
use crate::seq::Seq;

/// Finds the first seq received at or after a ms: `received` never falls along the log, so it needs no index.
pub type ReceivedAt<'a> = dyn Fn(u64) -> Result<Seq, EngineError> + 'a;

/// The Tantivy query for `node`, for one question: what is dear in it stops when `patience` ends. `sealed` is given for those who may
/// see what is sealed: what of it is erased and still indexed.
pub fn lower(
    node: &Node,
    schema: &IndexSchema,
    received_at: &ReceivedAt<'_>,
    patience: &Arc<Patience>,
    sealed: Option<BySegment>,
    filters: &FiltersBySegment,
) -> Result<Box<dyn Query>, EngineError> {
    let sealed = sealed.as_ref();
    Lower { schema, received_at, patience, sealed, filters, is_hidden: false, filter: "".into() }.node(node)
}

/// What is said in the place of a filter that the caller did not write.
const HIDDEN: &str = "the question, by a time range for instance";

struct Lower<'a> {
    schema: &'a IndexSchema,
    received_at: &'a ReceivedAt<'a>,
    patience: &'a Arc<Patience>,
    /// What is sealed is asked over too, but for what is erased.
    sealed: Option<&'a BySegment>,
    /// Which segments lack which terms.
    filters: &'a FiltersBySegment,
    /// Inside a restriction.
    is_hidden: bool,
    /// The filter that is being lowered, as one would write it, if it runs over a dictionary.
    filter: Arc<str>,
}

type Lowered = Result<Box<dyn Query>, EngineError>;

impl Lower<'_> {
    fn node(&self, node: &Node) -> Lowered {
        match node {
            Node::All => Ok(Box::new(AllQuery)),
            Node::And(members) => self.all_of(members),
            Node::Or(members) => {
                Ok(any_of(members.iter().map(|member| self.node(member)).collect::<Result<Vec<_>, _>>()?))
            }
            Node::Not(member) => self.all_of(std::slice::from_ref(&Node::Not(member.clone()))),
            Node::Fixed(member) => Lower { is_hidden: true, filter: self.filter.clone(), ..*self }.node(member),
            Node::Filter(filter) => self.filter(filter),
        }
    }

    /// Negations become exclusions; a conjunction of nothing else excludes from everything.
    fn all_of(&self, members: &[Node]) -> Lowered {
        let mut clauses = Vec::with_capacity(members.len() + 1);
        for member in members {
            clauses.push(match member {
                Node::Not(inner) => (Occur::MustNot, Box::new(Excluded(self.node(inner)?.into())) as Box<dyn Query>),
                Node::All | Node::And(_) | Node::Or(_) | Node::Fixed(_) | Node::Filter(_) => {
                    (Occur::Must, self.node(member)?)
                }
            });
        }
        if clauses.iter().all(|(occur, _)| *occur == Occur::MustNot) {
            clauses.push((Occur::Must, Box::new(AllQuery)));
        }
        Ok(Box::new(BooleanQuery::new(clauses)))
    }

    fn filter(&self, filter: &Filter) -> Lowered {
        if !filter.is_pattern() {
            return self.lowered(filter);
        }
        // The caller did not write it, and cannot narrow it.
        let written = if self.is_hidden { HIDDEN.to_owned() } else { filter.to_string() };
        self.patience.suspect(&written);
        Lower { filter: written.into(), ..*self }.lowered(filter)
    }

    fn term(&self, field: Field, value: &str) -> Box<dyn Query> {
        self.with(Term::from_field_text(field, value))
    }

    fn facet<'a>(&self, field: Field, path: impl IntoIterator<Item = &'a str>) -> Box<dyn Query> {
        self.with(Term::from_facet(field, &Facet::from_path(path)))
    }

    fn with(&self, term: Term) -> Box<dyn Query> {
        let query = TermQuery::new(term.clone(), IndexRecordOption::Basic);
        Box::new(IfThere::new(query, [&term], self.filters))
    }

    fn watch(&self) -> Watch {
        Watch { patience: self.patience.clone(), filter: self.filter.clone() }
    }

    fn accepted(&self, field: Field, automaton: &Arc<Regex>) -> Box<dyn Query> {
        Box::new(TermScan::accepted(field, automaton.clone(), self.watch()))
    }

    /// A pattern made here, out of those that passed on their own.
    fn regex(&self, field: Field, source: &str) -> Lowered {
        let regex = Regex::new(source).map_err(|error| EngineError::TooComplex { why: error.to_string() })?;
        Ok(self.accepted(field, &Arc::new(regex)))
    }

    fn seq_range(&self, from: u64, to: u64) -> Box<dyn Query> {
        Box::new(SeqRange { from, to, patience: self.patience.clone() })
    }

    /// What is asked of a field, asked of the same values where they are sealed too. A value is in one field or in the other, so
    /// what asks about one value may be asked of each alone.
    fn over(&self, field: Field, ask: impl Fn(Field) -> Lowered) -> Lowered {
        let mut asked = vec![ask(field)?];
        if let Some(erased) = self.sealed {
            for (part, twin) in self.schema.fields.twins(field) {
                let sealed = ask(twin)?;
                if erased.is_empty() {
                    asked.push(sealed);
                    continue;
                }
                let is_erased: Arc<dyn Query> = Arc::new(IsErased { part, docs: erased.clone() });
                let left =
                    vec![(Occur::Must, sealed), (Occur::MustNot, Box::new(Excluded(is_erased)) as Box<dyn Query>)];
                asked.push(Box::new(BooleanQuery::new(left)));
            }
        }
        Ok(any_of(asked))
    }

    fn lowered(&self, filter: &Filter) -> Lowered {
        let fields = &self.schema.fields;
        match filter {
            Filter::Words(words) => self.over(fields.text, |field| self.words(field, words)),
            Filter::Value(value) => {
                let (_, field) = value_fields(fields)
                    .into_iter()
                    .find(|(value_field, _)| *value_field == value.field)
                    .expect("every value field is indexed");
                self.over(field, |field| self.pattern(field, &value.pattern))
            }
            Filter::Actor(actor) => self.actor(actor),
            Filter::Action(action) => self.action(action),
            Filter::TargetType(target_type) => Ok(match (&target_type.0, target_type.0.automaton()) {
                (_, Some(regex)) => {
                    let scan = TermScan::accepted(fields.target_type, regex.clone(), self.watch());
                    Box::new(scan.below_the_root())
                }
                // The facet of no name is the root, which every entry with a target type has.
                (Pattern::Exact(kind), None) if kind.is_empty() => Box::new(EmptyQuery),
                (Pattern::Exact(kind), None) => self.facet(fields.target_type, [kind.as_str()]),
                (Pattern::Wildcard(_) | Pattern::Regex(_), None) => Box::new(EmptyQuery),
            }),
            Filter::Time(range) => Ok(Box::new(TimeRange { from_ms: range.from_ms, to_ms: range.to_ms })),
            Filter::Received(range) => {
                let seq_at = |ms: i64| Ok::<_, EngineError>((self.received_at)(u64::try_from(ms).unwrap_or(0))?.0);
                let from = range.from_ms.map_or(Ok(0), seq_at)?;
                let to = range.to_ms.map_or(Ok(u64::MAX), seq_at)?;
                Ok(self.seq_range(from, to))
            }
            Filter::Seq(range) => Ok(self.seq_range(range.from.0, range.to.map_or(u64::MAX, |to| to.0))),
            Filter::Ip(Ip::Text(pattern)) => self.over(fields.ip_raw, |field| self.pattern(field, pattern)),
            Filter::Ip(Ip::Network(network)) => self.over(fields.ip, |field| Ok(ip_network(field, network))),
            Filter::Change(change) => self.over(fields.change, |field| self.change(field, change)),
            Filter::Detail(detail) => self.over(fields.detail, |field| self.detail(field, detail)),
            Filter::Has(has) => self.over(fields.has, |field| Ok(self.term(field, has.0.as_str()))),
        }
    }

    fn words(&self, field: Field, words: &Words) -> Lowered {
        match words {
            Words::Word { tokens, .. } | Words::Phrase { tokens, .. } => Ok(match tokens.as_slice() {
                [] => Box::new(EmptyQuery),
                [token] => self.term(field, token),
                tokens => {
                    let terms: Vec<Term> = tokens.iter().map(|token| Term::from_field_text(field, token)).collect();
                    Box::new(IfThere::new(PhraseQuery::new(terms.clone()), &terms, self.filters))
                }
            }),
            Words::Wildcard(pattern) => Ok(self.accepted(field, pattern.automaton())),
            Words::Regex(pattern) => Ok(self.accepted(field, pattern.automaton())),
            Words::Fuzzy(fuzzy) => {
                let query = FuzzyTermQuery::new(Term::from_field_text(field, &fuzzy.term), fuzzy.distance, true);
                Ok(Box::new(TermScan::accepted(field, Arc::new(query.automaton()?), self.watch())))
            }
        }
    }

    fn pattern(&self, field: Field, pattern: &Pattern) -> Lowered {
        Ok(match (pattern, pattern.automaton()) {
            (Pattern::Exact(value), _) => self.term(field, value),
            (_, Some(automaton)) => self.accepted(field, automaton),
            (Pattern::Wildcard(_) | Pattern::Regex(_), None) => Box::new(EmptyQuery),
        })
    }

    fn actor(&self, actor: &Actor) -> Lowered {
        let fields = &self.schema.fields;
        let by_id = self.pattern(fields.actor_id, &actor.id)?;
        let Some((kind, id)) = &actor.typed else {
            return Ok(by_id);
        };
        let by_type = match id {
            Pattern::Exact(id) => self.facet(fields.actor, [kind.as_str(), id.as_str()]),
            Pattern::Wildcard(_) | Pattern::Regex(_) => {
                self.regex(fields.actor, &format!("{}\0{}", escape(kind), source(id)))?
            }
        };
        Ok(any_of(vec![by_id, by_type]))
    }

    fn action(&self, action: &Action) -> Lowered {
        let field = self.schema.fields.action;
        let of_noun = |noun: &str| self.facet(field, [noun]);
        let whole = |action: &str| self.facet(field, [noun(action), action]);
        Ok(match action {
            Action::Category { nouns, .. } => any_of(nouns.iter().map(|noun| of_noun(noun)).collect()),
            Action::Noun(noun) | Action::NounOnly(noun) => of_noun(noun),
            Action::Unknown(name) => any_of(vec![of_noun(name), whole(name)]),
            Action::Exact(name) => whole(name),
            // A facet is its levels joined by NUL: noun, then whole action.
            Action::Pattern(pattern) => self.regex(field, &format!("(?s:.*)\0{}", source(pattern)))?,
        })
    }

    fn change(&self, field: Field, change: &Change) -> Lowered {
        let parts = [Some(&change.field), change.before.as_ref(), change.after.as_ref()];
        let is_exact = parts.iter().flatten().all(|part| matches!(part, Pattern::Exact(_)));
        let part = |pattern: &Pattern| match pattern {
            Pattern::Exact(value) if is_exact => value.clone(),
            pattern => source(pattern),
        };
        let changed = part(&change.field);
        let wanted = match (&change.before, &change.after) {
            (None, None) => terms::change_field(&changed),
            (Some(before), None) => terms::change_before(&changed, &part(before)),
            (None, Some(after)) => terms::change_after(&changed, &part(after)),
            (Some(before), Some(after)) => terms::change_both(&changed, &part(before), &part(after)),
        };
        if is_exact { Ok(self.term(field, &wanted)) } else { self.regex(field, &wanted) }
    }

    fn detail(&self, field: Field, detail: &Detail) -> Lowered {
        let path = detail.path.as_str();
        match &detail.condition {
            // At the path, or below it.
            Condition::Exists => Ok(any_of(
                [format!("{path}\0"), format!("{path}.")]
                    .map(|prefix| {
                        Box::new(TermScan::beginning(field, prefix.as_bytes(), self.watch())) as Box<dyn Query>
                    })
                    .into(),
            )),
            Condition::Is { pattern: Pattern::Exact(value), number, network } => {
                let as_text = self.term(field, &terms::detail_text(path, value));
                let as_number = number.as_ref().map(|key| self.term(field, &terms::detail_number(path, key)));
                let as_network = network.map(|network| self.addresses(field, path, network));
                Ok(any_of(std::iter::once(as_text).chain(as_number).chain(as_network).collect()))
            }
            Condition::Is { pattern, .. } => self.regex(field, &terms::detail_text(&escape(path), &source(pattern))),
            Condition::Number(range) => {
                let at = |term: fn(&str, &[u8; 10]) -> String| move |number: &Number| term(path, &number.key);
                let numbers = self.range(field, range, &terms::detail_number_prefix(path), at(terms::detail_number));
                let decimals = self.range(field, range, &terms::detail_decimal_prefix(path), at(terms::detail_decimal));
                Ok(any_of(vec![numbers, decimals]))
            }
            Condition::Text(range) => {
                let at = |text: &Text| terms::detail_text(path, &text.0);
                Ok(self.range(field, range, &terms::detail_text(path, ""), at))
            }
        }
    }

    /// The terms that begin with `prefix` and lie between what the ends of `range` would be as terms.
    fn range<E: End>(
        &self,
        field: Field,
        range: &ValueRange<E>,
        prefix: &str,
        term: impl Fn(&E) -> String,
    ) -> Box<dyn Query> {
        let at = |end: &E| term(end).into_bytes();
        let prefix = prefix.as_bytes();
        let from = match range.from.as_ref().map(at) {
            Bound::Unbounded => Bound::Included(prefix.to_owned()),
            given => given,
        };
        let to = match range.to.as_ref().map(at) {
            Bound::Unbounded => term_scan::behind(prefix),
            given => given,
        };
        Box::new(TermScan::between(field, from, to, self.watch()))
    }

    /// The texts at this path that are addresses in `network`.
    fn addresses(&self, field: Field, path: &str, network: Cidr) -> Box<dyn Query> {
        let texts = ShortText {
            beginning: terms::detail_text(path, "").into_bytes(),
            may_have: |byte| byte.is_ascii_hexdigit() || byte == b'.' || byte == b':',
            fits: move |text: &str| network.contains_text(text),
        };
        Box::new(TermScan::accepted(field, Arc::new(texts), self.watch()))
    }
}

fn any_of(mut members: Vec<Box<dyn Query>>) -> Box<dyn Query> {
    match members.len() {
        0 => Box::new(EmptyQuery),
        1 => members.remove(0),
        _ => Box::new(BooleanQuery::union(members)),
    }
}

/// A pattern as part of a larger regex.
fn source(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Exact(value) => escape(value),
        Pattern::Wildcard(_) | Pattern::Regex(_) => format!("(?:{})", pattern.regex_source()),
    }
}

fn ip_network(field: Field, network: &Cidr) -> Box<dyn Query> {
    let at = |address| Bound::Included(Term::from_field_ip_addr(field, address));
    any_of(network.ranges().map(|(first, last)| Box::new(RangeQuery::new(at(first), at(last))) as _).collect())
}
