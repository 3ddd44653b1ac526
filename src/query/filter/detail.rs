//! `detail.plan:pro`, `detail.amount:>100`, `detail.code:[400 TO 499]`, `detail.ticket:*`: a value inside the payload.
//!
//! A path names what is under it as `flatten` says: a dot in a key equals nesting, an array adds each of its elements.

use std::fmt::{self, Display, Formatter, Write};
use std::ops::ControlFlow;

use super::{EachMatch, Filter, Match};
use crate::query::error::{ParseError, code};
use crate::query::lex::{Raw, Shape, is};
use crate::query::parse::Reading;
use crate::query::pattern::Pattern;
use crate::query::print;
use crate::query::range::{Side, Written};
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
    /// Its text, folded, matches; or it is a number equal to `number`.
    Is {
        /// Compared with the whole text.
        pattern: Pattern,
        /// The key of the number that an exact pattern spells, see [`text::number_key`].
        number: Option<[u8; 10]>,
    },
    /// Any scalar, at the path or below it.
    Exists,
    /// A number in the range.
    Number(NumberRange),
}

/// A range of numbers; at least one side is bounded, and some number may lie in it.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberRange {
    /// The smaller end.
    pub from: Bound,
    /// The larger end.
    pub to: Bound,
}

/// One end of a [`NumberRange`].
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// Open.
    None,
    /// The number belongs to the range.
    Included(Number),
    /// The number does not.
    Excluded(Number),
}

/// A number as it was written, and its place among all numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// As written.
    pub token: String,
    /// Its key, see [`text::number_key`].
    pub key: [u8; 10],
}

impl Detail {
    pub(in crate::query) fn exists(path: &str) -> Filter {
        Filter::Detail(Detail { path: path.to_owned(), condition: Condition::Exists })
    }

    pub(in crate::query) fn parse(path: &str, raw: &Raw, reading: &Reading<'_>) -> Result<Filter, ParseError> {
        let condition = match range(raw)? {
            Some(range) => Condition::Number(range),
            None => Condition::is(Pattern::read(raw, reading)?),
        };
        Ok(Filter::Detail(Detail { path: path.to_owned(), condition }))
    }

    /// The same with everything but wildcards taken literally: how parameters are read.
    pub(in crate::query) fn parse_value(path: &str, raw: &Raw, reading: &Reading<'_>) -> Result<Filter, ParseError> {
        let condition = Condition::is(Pattern::read(raw, reading)?);
        Ok(Filter::Detail(Detail { path: path.to_owned(), condition }))
    }

    pub(in crate::query) fn each_match(&self, view: &View<'_>, each: &mut EachMatch<'_>) -> ControlFlow<()> {
        let mut flow = ControlFlow::Continue(());
        values::detail_leaves(view.event(), &mut |path, leaf, at| {
            if flow.is_continue() && self.covers(path) && self.condition.holds(&leaf) {
                flow = match self.condition {
                    Condition::Exists => each(Match::Unmarked),
                    Condition::Is { .. } | Condition::Number(_) => {
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
    fn is(pattern: Pattern) -> Condition {
        let number = match &pattern {
            Pattern::Exact(text) => text::number_key(text),
            Pattern::Wildcard(_) | Pattern::Regex(_) => None,
        };
        Condition::Is { pattern, number }
    }

    fn holds(&self, leaf: &Leaf<'_>) -> bool {
        match self {
            Condition::Exists => true,
            Condition::Is { pattern, number } => {
                pattern.is_match(&text::fold_value(values::leaf_text(leaf)))
                    || number.is_some_and(|number| number_of(leaf) == Some(number))
            }
            Condition::Number(range) => number_of(leaf).is_some_and(|key| range.contains(&key)),
        }
    }
}

fn number_of(leaf: &Leaf<'_>) -> Option<[u8; 10]> {
    match leaf {
        Leaf::Number(token) => text::number_key(token),
        Leaf::Text(_) | Leaf::Bool(_) => None,
    }
}

impl NumberRange {
    /// Whether the number with this key lies in it.
    pub fn contains(&self, key: &[u8; 10]) -> bool {
        let above = match &self.from {
            Bound::None => true,
            Bound::Included(number) => number.key <= *key,
            Bound::Excluded(number) => number.key < *key,
        };
        let below = match &self.to {
            Bound::None => true,
            Bound::Included(number) => *key <= number.key,
            Bound::Excluded(number) => *key < number.key,
        };
        above && below
    }

    fn is_empty(&self) -> bool {
        match (&self.from, &self.to) {
            (Bound::None, _) | (_, Bound::None) => false,
            (Bound::Included(from), Bound::Included(to)) => from.key > to.key,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
                from.key >= to.key
            }
        }
    }
}

/// The range that `raw` is, if it is one. `1..b` and the like are texts; behind `>` there must be a number.
fn range(raw: &Raw) -> Result<Option<NumberRange>, ParseError> {
    if raw.shape == Shape::Regex || raw.shape == Shape::Quoted {
        return Ok(None);
    }
    let is_comparison = raw.chars.first().is_some_and(|char| is(char, '>') || is(char, '<'));
    if raw.shape == Shape::Bare && raw.has_wildcard() && !is_comparison {
        return Ok(None);
    }
    let bound = |side: Option<Side>, included: bool| match side {
        None => Ok(Bound::None),
        Some(side) if included => number(side).map(Bound::Included),
        Some(side) => number(side).map(Bound::Excluded),
    };
    let (from, to) = match Written::read(raw)? {
        Written::One(_) => return Ok(None),
        Written::From(side) => (bound(Some(side), true)?, Bound::None),
        Written::Above(side) => (bound(Some(side), false)?, Bound::None),
        Written::UpTo(side) => (Bound::None, bound(Some(side), true)?),
        Written::Below(side) => (Bound::None, bound(Some(side), false)?),
        Written::Dots(from, to) => match (bound(from, true), bound(to, true)) {
            (Ok(from), Ok(to)) => (from, to),
            _ => return Ok(None),
        },
        Written::Bracket { from, from_included, to, to_included } => {
            (bound(from, from_included)?, bound(to, to_included)?)
        }
    };
    let range = NumberRange { from, to };
    match range {
        NumberRange { from: Bound::None, to: Bound::None } if raw.shape == Shape::Bare => Ok(None),
        NumberRange { from: Bound::None, to: Bound::None } => Err(ParseError::value(
            raw.at,
            format!("range \"{}\"", raw.text()),
            "expected a number on at least one side",
        )),
        range if range.is_empty() => Err(ParseError::new(
            code::EMPTY_RANGE,
            raw.at,
            format!("empty range \"{}\"", raw.text()),
            "expected the smaller number first",
        )),
        range => Ok(Some(range)),
    }
}

fn number(side: Side) -> Result<Number, ParseError> {
    match text::number_key(&side.text) {
        Some(key) => Ok(Number { token: side.text, key }),
        None => Err(ParseError::value(
            side.at,
            format!("\"{}\"", side.text),
            "expected a number; quote a value that is not a range",
        )),
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
            Condition::Is { pattern, .. } => pattern.fmt(f),
            Condition::Number(range) => range.fmt(f),
        }
    }
}

impl Display for NumberRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (&self.from, &self.to) {
            (Bound::Included(from), Bound::None) => write!(f, ">={}", from.token),
            (Bound::Excluded(from), Bound::None) => write!(f, ">{}", from.token),
            (Bound::None, Bound::Included(to)) => write!(f, "<={}", to.token),
            (Bound::None, Bound::Excluded(to)) => write!(f, "<{}", to.token),
            (from, to) => {
                f.write_char(if matches!(from, Bound::Excluded(_)) { '{' } else { '[' })?;
                write!(f, "{} TO {}", from.token(), to.token())?;
                f.write_char(if matches!(to, Bound::Excluded(_)) { '}' } else { ']' })
            }
        }
    }
}

impl Bound {
    fn token(&self) -> &str {
        match self {
            Bound::None => "*",
            Bound::Included(number) | Bound::Excluded(number) => &number.token,
        }
    }
}
