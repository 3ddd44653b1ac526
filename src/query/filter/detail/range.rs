//! `detail.amount:>100`, `detail.code:[400 TO 499]`, `detail.at:>="2026-11-01"`: between two numbers, or, where the ends are
//! quoted, between two texts.

use std::fmt::{self, Display, Formatter, Write};
use std::ops::{Bound, RangeBounds};

use super::Condition;
use crate::query::error::{ParseError, code};
use crate::query::lex::{Raw, Shape, is};
use crate::query::print;
use crate::query::range::{Side, Written};
use crate::text;

/// What lies between two ends; at least one of them is given, and something may lie there.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueRange<E> {
    /// The smaller end.
    pub from: Bound<E>,
    /// The larger end.
    pub to: Bound<E>,
}

/// What a range can end at.
pub trait End: Display {
    /// Bytes in whose order ends lie, and what lies between them.
    fn place(&self) -> &[u8];
}

/// A number as it was written, and its place among all numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// As written.
    pub token: String,
    /// Its key, see [`text::number_key`].
    pub key: [u8; 10],
}

/// A folded text. Texts lie in the order of their bytes in UTF-8, which is that of their characters' numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Text(pub String);

impl<E: End> ValueRange<E> {
    /// Whether what has this place lies in it.
    pub fn contains(&self, place: &[u8]) -> bool {
        let ends = (self.from.as_ref().map(E::place), self.to.as_ref().map(E::place));
        RangeBounds::<[u8]>::contains(&ends, place)
    }

    fn is_empty(&self) -> bool {
        match (&self.from, &self.to) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(from), Bound::Included(to)) => from.place() > to.place(),
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
                from.place() >= to.place()
            }
        }
    }

    fn read(
        from: Bound<Side>,
        to: Bound<Side>,
        raw: &Raw,
        end: fn(Side) -> Result<E, ParseError>,
    ) -> Result<Self, ParseError> {
        let range = ValueRange { from: each(from, end)?, to: each(to, end)? };
        if range.is_empty() {
            let found = format!("empty range \"{}\"", raw.text());
            return Err(ParseError::new(
                code::EMPTY_RANGE,
                raw.at,
                found,
                "expected the smaller end first and something in between",
            ));
        }
        Ok(range)
    }
}

/// The range that `raw` is, if it is one. `1..b` and the like are texts; behind `>` there must be a number or a quoted text.
pub(super) fn read(raw: &Raw) -> Result<Option<Condition>, ParseError> {
    if raw.shape == Shape::Regex || raw.shape == Shape::Quoted {
        return Ok(None);
    }
    let is_comparison = raw.chars.first().is_some_and(|char| is(char, '>') || is(char, '<'));
    if raw.shape == Shape::Bare && raw.has_wildcard() && !is_comparison {
        return Ok(None);
    }
    let (from, to) = match Written::read(raw)? {
        Written::One(_) => return Ok(None),
        Written::From(side) => (Bound::Included(side), Bound::Unbounded),
        Written::Above(side) => (Bound::Excluded(side), Bound::Unbounded),
        Written::UpTo(side) => (Bound::Unbounded, Bound::Included(side)),
        Written::Below(side) => (Bound::Unbounded, Bound::Excluded(side)),
        Written::Dots(from, to) => {
            let is_number = |side: &Side| text::number_key(&side.text).is_some();
            let is_range = from.is_some() || to.is_some();
            if !is_range || !from.iter().chain(&to).all(is_number) {
                return Ok(None);
            }
            (bound(from, true), bound(to, true))
        }
        Written::Bracket { from: None, to: None, .. } => {
            let found = format!("range \"{}\"", raw.text());
            return Err(ParseError::value(raw.at, found, "expected a number or a quoted text on at least one side"));
        }
        Written::Bracket { from, from_included, to, to_included } => {
            (bound(from, from_included), bound(to, to_included))
        }
    };
    // In brackets a number is one also between quotes, which is how rules write it.
    let is_text = |end: &Bound<Side>| match end {
        Bound::Unbounded => false,
        Bound::Included(side) | Bound::Excluded(side) => {
            side.is_quoted && (is_comparison || text::number_key(&side.text).is_none())
        }
    };
    if is_text(&from) || is_text(&to) {
        return ValueRange::read(from, to, raw, text_end).map(Condition::Text).map(Some);
    }
    ValueRange::read(from, to, raw, number_end).map(Condition::Number).map(Some)
}

fn bound(side: Option<Side>, is_included: bool) -> Bound<Side> {
    match side {
        None => Bound::Unbounded,
        Some(side) if is_included => Bound::Included(side),
        Some(side) => Bound::Excluded(side),
    }
}

fn each<E>(bound: Bound<Side>, end: fn(Side) -> Result<E, ParseError>) -> Result<Bound<E>, ParseError> {
    Ok(match bound {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(side) => Bound::Included(end(side)?),
        Bound::Excluded(side) => Bound::Excluded(end(side)?),
    })
}

fn number_end(side: Side) -> Result<Number, ParseError> {
    match text::number_key(&side.text) {
        Some(key) => Ok(Number { token: side.text, key }),
        None => Err(ParseError::value(
            side.at,
            format!("\"{}\"", side.text),
            "expected a number, or a text in quotes, not an empty one; a value that is not a range is quoted as a whole",
        )),
    }
}

fn text_end(side: Side) -> Result<Text, ParseError> {
    match side.is_quoted {
        true => Ok(Text(text::fold_value(&side.text).into_owned())),
        false => Err(ParseError::value(
            side.at,
            format!("\"{}\"", side.text),
            "expected a text in quotes, as the other end is one",
        )),
    }
}

impl End for Number {
    fn place(&self) -> &[u8] {
        &self.key
    }
}

impl End for Text {
    fn place(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.token)
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print::quoted(&self.0, f)
    }
}

impl<E: End> Display for ValueRange<E> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (&self.from, &self.to) {
            (Bound::Included(from), Bound::Unbounded) => write!(f, ">={from}"),
            (Bound::Excluded(from), Bound::Unbounded) => write!(f, ">{from}"),
            (Bound::Unbounded, Bound::Included(to)) => write!(f, "<={to}"),
            (Bound::Unbounded, Bound::Excluded(to)) => write!(f, "<{to}"),
            (from, to) => {
                f.write_char(if matches!(from, Bound::Excluded(_)) { '{' } else { '[' })?;
                write_end(from, f)?;
                f.write_str(" TO ")?;
                write_end(to, f)?;
                f.write_char(if matches!(to, Bound::Excluded(_)) { '}' } else { ']' })
            }
        }
    }
}

fn write_end<E: End>(bound: &Bound<E>, f: &mut Formatter<'_>) -> fmt::Result {
    match bound {
        Bound::Unbounded => f.write_char('*'),
        Bound::Included(end) | Bound::Excluded(end) => end.fmt(f),
    }
}
