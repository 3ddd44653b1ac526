//! `change:role`, `change:role=agent`, `change:status>approved`, `change:role=agent>admin`: one of the changed fields.

use std::fmt::{self, Display, Formatter};
use std::ops::{ControlFlow, Range};

use super::{EachMatch, Filter, Match};
use crate::query::error::ParseError;
use crate::query::lex::{Raw, Shape, is};
use crate::query::parse::Reading;
use crate::query::pattern::Pattern;
use crate::query::shown::{self, Shown};
use crate::query::values::{self, Spelling};
use crate::query::view::View;

/// One change of the event fits all of these.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The changed field's name.
    pub field: Pattern,
    /// The value before, where it matters. No value matches no pattern.
    pub before: Option<Pattern>,
    /// The value after, where it matters.
    pub after: Option<Pattern>,
}

impl Change {
    pub(in crate::query) fn parse(raw: &Raw, reading: &Reading<'_>) -> Result<Filter, ParseError> {
        if raw.shape != Shape::Bare {
            let field = Pattern::read(raw, reading)?;
            return Ok(Filter::Change(Change { field, before: None, after: None }));
        }
        let operator = |range: Range<usize>, c: char| {
            let at = raw.chars[range.clone()].iter().position(|char| is(char, c));
            at.map(|at| range.start + at)
        };
        let end = raw.chars.len();
        let arrow = operator(0..end, '>');
        let equals = operator(0..arrow.unwrap_or(end), '=');
        let piece = |range: Range<usize>| {
            let part = raw.part(range);
            if part.chars.is_empty() && part.shape == Shape::Bare {
                return Err(ParseError::value(
                    part.at,
                    format!("change \"{}\" with nothing here", raw.text()),
                    "expected field=before>after; an empty value is written \"\"",
                ));
            }
            Pattern::read(&part, reading)
        };
        Ok(Filter::Change(Change {
            field: piece(0..equals.or(arrow).unwrap_or(end))?,
            before: equals.map(|at| piece(at + 1..arrow.unwrap_or(end))).transpose()?,
            after: arrow.map(|at| piece(at + 1..end)).transpose()?,
        }))
    }

    pub(in crate::query) fn each_match(&self, view: &View<'_>, each: &mut EachMatch<'_>) -> ControlFlow<()> {
        for (index, change) in values::changes(view.event()).enumerate() {
            let at = shown::CHANGES.item(index);
            let parts = [
                ("field", Some(&self.field), Some(&change.field)),
                ("before", self.before.as_ref(), change.before.as_ref()),
                ("after", self.after.as_ref(), change.after.as_ref()),
            ];
            if parts.iter().all(|(_, wanted, value)| fits(*wanted, *value)) {
                for (key, wanted, value) in parts {
                    if let (Some(_), Some(value)) = (wanted, value) {
                        each(Match::Values(&[Shown { at: &at.member(key), text: &value.text }]))?;
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }
}

fn fits(wanted: Option<&Pattern>, value: Option<&Spelling<'_>>) -> bool {
    match wanted {
        Some(pattern) => value.is_some_and(|value| pattern.is_match(&value.folded)),
        None => true,
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "change:{}", self.field)?;
        if let Some(before) = &self.before {
            write!(f, "={before}")?;
        }
        if let Some(after) = &self.after {
            write!(f, ">{after}")?;
        }
        Ok(())
    }
}
