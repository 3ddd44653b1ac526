//! `target:c_9`, `email:*@acme.com`, `outcome:failure`, …: a field whose whole value is compared.

use std::fmt::{self, Display, Formatter};
use std::ops::ControlFlow;

use super::{EachMatch, Filter, Match};
use crate::query::error::ParseError;
use crate::query::lex::{Raw, Shape};
use crate::query::parse::{Reading, did_you_mean};
use crate::query::pattern::Pattern;
use crate::query::values::{self, ValueField};
use crate::query::view::View;

/// Any of the field's values matches the pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Which field.
    pub field: ValueField,
    /// For the tenant always [`Pattern::Exact`] and not folded.
    pub pattern: Pattern,
}

const OUTCOMES: [&str; 4] = ["success", "failure", "denied", "unknown"];

impl Value {
    pub(in crate::query) fn parse(field: ValueField, raw: &Raw, reading: &Reading<'_>) -> Result<Filter, ParseError> {
        let pattern = if field == ValueField::Tenant { tenant(raw)? } else { Pattern::read(raw, reading)? };
        if let (ValueField::Outcome, Pattern::Exact(outcome)) = (field, &pattern)
            && !OUTCOMES.contains(&outcome.as_str())
        {
            return Err(ParseError::value(
                raw.at,
                format!("unknown outcome \"{outcome}\""),
                did_you_mean(outcome, &OUTCOMES).unwrap_or_else(|| format!("expected {}", OUTCOMES.join(", "))),
            ));
        }
        Ok(Filter::Value(Value { field, pattern }))
    }

    pub(in crate::query) fn each_match(&self, view: &View<'_>, each: &mut EachMatch<'_>) -> ControlFlow<()> {
        let mut flow = ControlFlow::Continue(());
        values::field_values(self.field, view.event(), &mut |value, shown| {
            if flow.is_continue() && self.pattern.is_match(value) {
                flow = each(Match::Values(shown));
            }
        });
        flow
    }
}

/// Tenants isolate: a pattern over them would be an accident.
fn tenant(raw: &Raw) -> Result<Pattern, ParseError> {
    let exact = raw.shape == Shape::Quoted || (raw.shape == Shape::Bare && !raw.has_wildcard());
    if !exact || raw.chars.is_empty() {
        return Err(ParseError::value(
            raw.at,
            format!("tenant \"{}\"", raw.text()),
            "expected one tenant's exact name; quote it if it contains * or ?",
        ));
    }
    Ok(Pattern::Exact(raw.text()))
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.field.as_str(), self.pattern)
    }
}
