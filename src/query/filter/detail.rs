//! `detail.plan:pro`, `detail.amount:>100`, `detail.source:10.8.0.0/16`, `detail.ticket:*`: a value inside the payload.
//!
//! A path names what is under it as `flatten` says: a dot in a key equals nesting, an array adds each of its elements.

mod range;

use std::fmt::{self, Display, Formatter, Write};
use std::ops::ControlFlow;

pub use range::{End, Number, Text, ValueRange};

use super::{Cidr, EachMatch, Filter, Match};
use crate::query::error::ParseError;
use crate::query::lex::{Raw, Shape};
use crate::query::parse::Reading;
use crate::query::pattern::Pattern;
use crate::query::print;
use crate::query::shown::Shown;
use crate::query::values;
use crate::query::view::View;
use crate::text::{self, Leaf};

/// A scalar at `path` fits the condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    /// Folded, segments joined by dots.
    pub path: String,
    /// What the scalar has to be.
    pub condition: Condition,
}

/// What a scalar inside `detail` has to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Its text, folded, matches; or it is a number equal to `number`; or a text that is an address in `network`.
    Is {
        /// Compared with the whole text.
        pattern: Pattern,
        /// The key of the number that an exact pattern spells, see [`text::number_key`].
        number: Option<[u8; 10]>,
        /// What an exact pattern spells that was written as a network, not between quotes.
        network: Option<Cidr>,
    },
    /// Any scalar, at the path or below it.
    Exists,
    /// A number in the range, or a text that is one (see [`text::decimal_key`]).
    Number(ValueRange<Number>),
    /// Its text, folded, lies in the range.
    Text(ValueRange<Text>),
}

impl Detail {
    pub(in crate::query) fn exists(path: &str) -> Filter {
        Filter::Detail(Detail { path: path.to_owned(), condition: Condition::Exists })
    }

    pub(in crate::query) fn parse(path: &str, raw: &Raw, reading: &Reading<'_>) -> Result<Filter, ParseError> {
        let condition = match range::read(raw)? {
            Some(condition) => condition,
            None => Condition::is(Pattern::read(raw, reading)?, network(raw)?),
        };
        Ok(Filter::Detail(Detail { path: path.to_owned(), condition }))
    }

    /// The same with everything but wildcards taken literally: how parameters are read.
    pub(in crate::query) fn parse_value(path: &str, raw: &Raw, reading: &Reading<'_>) -> Result<Filter, ParseError> {
        let condition = Condition::is(Pattern::read(raw, reading)?, None);
        Ok(Filter::Detail(Detail { path: path.to_owned(), condition }))
    }

    pub(in crate::query) fn each_match(&self, view: &View<'_>, each: &mut EachMatch<'_>) -> ControlFlow<()> {
        let mut flow = ControlFlow::Continue(());
        values::detail_leaves(view.event(), &mut |path, leaf, at| {
            if flow.is_continue() && self.covers(path) && self.condition.holds(&leaf) {
                flow = match self.condition {
                    Condition::Exists => each(Match::Unmarked),
                    Condition::Is { .. } | Condition::Number(_) | Condition::Text(_) => {
                        each(Match::Values(&[Shown { at, text: values::leaf_text(&leaf) }]))
                    }
                };
            }
        });
        flow
    }

    fn covers(&self, path: &str) -> bool {
        match path.strip_prefix(self.path.as_str()) {
            Some("") => true,
            Some(below) => self.condition == Condition::Exists && below.starts_with('.'),
            None => false,
        }
    }
}

impl Condition {
    fn is(pattern: Pattern, network: Option<Cidr>) -> Condition {
        let number = match &pattern {
            Pattern::Exact(text) => text::number_key(text),
            Pattern::Wildcard(_) | Pattern::Regex(_) => None,
        };
        Condition::Is { pattern, number, network }
    }

    fn holds(&self, leaf: &Leaf<'_>) -> bool {
        match self {
            Condition::Exists => true,
            Condition::Is { pattern, number, network } => {
                let text = text::fold_value(values::leaf_text(leaf));
                pattern.is_match(&text)
                    || number.is_some_and(|number| number_of(leaf) == Some(number))
                    || network.is_some_and(|network| network.contains_text(&text))
            }
            Condition::Number(range) => {
                number_of(leaf).or_else(|| decimal_of(leaf)).is_some_and(|key| range.contains(&key))
            }
            Condition::Text(range) => range.contains(text::fold_value(values::leaf_text(leaf)).as_bytes()),
        }
    }
}

/// The network that is spelled without quotes.
fn network(raw: &Raw) -> Result<Option<Cidr>, ParseError> {
    let text = raw.text();
    if raw.shape != Shape::Bare || !Cidr::is_meant(&text) {
        return Ok(None);
    }
    let misspelled = || {
        let expected = "expected a network such as 203.0.113.0/24; quote it to find that text";
        ParseError::value(raw.at, format!("\"{text}\""), expected)
    };
    Cidr::read(&text).ok_or_else(misspelled).map(Some)
}

fn number_of(leaf: &Leaf<'_>) -> Option<[u8; 10]> {
    match leaf {
        Leaf::Number(token) => text::number_key(token),
        Leaf::Text(_) | Leaf::Bool(_) => None,
    }
}

fn decimal_of(leaf: &Leaf<'_>) -> Option<[u8; 10]> {
    match leaf {
        Leaf::Text(text) => text::decimal_key(text),
        Leaf::Number(_) | Leaf::Bool(_) => None,
    }
}

impl Display for Detail {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("detail.")?;
        print::bare(&self.path, false, f)?;
        f.write_char(':')?;
        match &self.condition {
            Condition::Exists => f.write_str("*"),
            // Without quotes it would ask for the absence of a value.
            Condition::Is { pattern: Pattern::Exact(text), .. } if text == "null" => print::quoted(text, f),
            // Digits, dots, colons and a slash: nothing that needs protection.
            Condition::Is { pattern: Pattern::Exact(text), network: Some(_), .. } => f.write_str(text),
            Condition::Is { pattern: Pattern::Exact(text), .. } if Cidr::is_meant(text) => print::quoted(text, f),
            Condition::Is { pattern, .. } => pattern.fmt(f),
            Condition::Number(range) => range.fmt(f),
            Condition::Text(range) => range.fmt(f),
        }
    }
}
