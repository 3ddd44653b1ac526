//! `seq:100..200`, `seq:>=100`, `seq:7`: a place in the log. Both ends of a range are included.

use std::fmt::{self, Display, Formatter};

use super::Filter;
use crate::query::error::{ParseError, code};
use crate::query::lex::Raw;
use crate::query::range::{Side, Written};
use crate::query::view::View;
use crate::seq::Seq;

/// A run of the log; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeqRange {
    /// Included.
    pub from: Seq,
    /// Excluded; more than `from`.
    pub to: Option<Seq>,
}

impl SeqRange {
    pub(in crate::query) fn parse(raw: &Raw) -> Result<Filter, ParseError> {
        // Ends are counted as included ones until the end, so that the largest number needs no care.
        let empty = || {
            ParseError::new(
                code::EMPTY_RANGE,
                raw.at,
                format!("empty range \"{}\"", raw.text()),
                "expected the smaller number first",
            )
        };
        let above = |n: u64| n.checked_add(1).ok_or_else(empty);
        let below = |n: u64| n.checked_sub(1).ok_or_else(empty);
        let (from, last) = match Written::read(raw)? {
            Written::One(side) => (number(&side)?, Some(number(&side)?)),
            Written::From(side) => (number(&side)?, None),
            Written::Above(side) => (above(number(&side)?)?, None),
            Written::UpTo(side) => (0, Some(number(&side)?)),
            Written::Below(side) => (0, Some(below(number(&side)?)?)),
            Written::Dots(None, None) => return Err(expected(raw.at, &raw.text())),
            Written::Dots(from, to) => {
                (from.map_or(Ok(0), |side| number(&side))?, to.map(|side| number(&side)).transpose()?)
            }
            Written::Bracket { from, from_included, to, to_included } => {
                let from = from
                    .map_or(Ok(0), |side| number(&side).and_then(|n| if from_included { Ok(n) } else { above(n) }))?;
                let to = to.map(|side| number(&side).and_then(|n| if to_included { Ok(n) } else { below(n) }));
                (from, to.transpose()?)
            }
        };
        if last.is_some_and(|last| last < from) {
            return Err(empty());
        }
        Ok(Filter::Seq(SeqRange { from: Seq(from), to: last.and_then(|last| last.checked_add(1)).map(Seq) }))
    }

    pub(in crate::query) fn matches(&self, view: &View<'_>) -> bool {
        let seq = view.entry.seq;
        self.from <= seq && self.to.is_none_or(|to| seq < to)
    }
}

fn number(side: &Side) -> Result<u64, ParseError> {
    let digits = !side.text.is_empty() && side.text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| side.text.parse().ok()).flatten().ok_or_else(|| expected(side.at, &side.text))
}

fn expected(at: usize, found: &str) -> ParseError {
    ParseError::value(at, format!("\"{found}\""), "expected a number, or a range such as 100..200 or >=100")
}

impl Display for SeqRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.to {
            None => write!(f, "seq:>={}", self.from),
            Some(Seq(to)) if to == self.from.0 + 1 => write!(f, "seq:{}", self.from),
            Some(Seq(to)) => write!(f, "seq:{}..{}", self.from, to.saturating_sub(1)),
        }
    }
}
