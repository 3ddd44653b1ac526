//! `target_type:did`: the type of what it was done to. Related objects do not count.

use std::fmt::{self, Display, Formatter};
use std::ops::ControlFlow;

use super::{EachMatch, Filter, Match};
use crate::query::error::ParseError;
use crate::query::lex::Raw;
use crate::query::parse::Reading;
use crate::query::pattern::Pattern;
use crate::query::shown;
use crate::query::values;
use crate::query::view::View;

/// The target's type matches the pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetType(pub Pattern);

impl TargetType {
    pub(in crate::query) fn parse(raw: &Raw, reading: &Reading<'_>) -> Result<Filter, ParseError> {
        Ok(Filter::TargetType(TargetType(Pattern::read(raw, reading)?)))
    }

    pub(in crate::query) fn each_match(&self, view: &View<'_>, each: &mut EachMatch<'_>) -> ControlFlow<()> {
        let event = view.event();
        if values::target_type(event).is_some_and(|kind| self.0.is_match(&kind)) {
            each(Match::Values(shown::target_type(event).as_slice()))?;
        }
        ControlFlow::Continue(())
    }
}

impl Display for TargetType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "target_type:{}", self.0)
    }
}
