//! `change:role`, `change:role=agent`, `change:status>approved`, `change:role=agent>admin`: one of the changed fields.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use super::Filter;
use crate::query::error::ParseError;
use crate::query::lex::{Raw, Shape, is};
use crate::query::parse::Reading;
use crate::query::pattern::Pattern;
use crate::query::values;
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

    pub(in crate::query) fn matches(&self, view: &View<'_>) -> bool {
        let fits = |wanted: &Option<Pattern>, value: Option<&str>| match wanted {
            Some(pattern) => value.is_some_and(|value| pattern.is_match(value)),
            None => true,
        };
        values::changes(view.event()).any(|change| {
            self.field.is_match(&change.field)
                && fits(&self.before, change.before.as_deref())
                && fits(&self.after, change.after.as_deref())
        })
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
