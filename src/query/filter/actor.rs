//! `actor:u_81`, `actor:user/u_81`, `actor:u_*`: who did it.

use std::fmt::{self, Display, Formatter};
use std::ops::ControlFlow;

use super::{EachMatch, Filter, Match};
use crate::query::error::ParseError;
use crate::query::lex::{Raw, Shape, is};
use crate::query::parse::Reading;
use crate::query::pattern::Pattern;
use crate::query::shown;
use crate::query::values;
use crate::query::view::View;
use crate::text;

/// The actor's id matches `id`, or type and id match `typed`.
#[derive(Clone, Debug, PartialEq)]
pub struct Actor {
    /// The whole value, as an id.
    pub id: Pattern,
    /// The same value read as `type/id`, if it has a slash behind a type without wildcards: the type, folded, and the id.
    pub typed: Option<(String, Pattern)>,
}

impl Actor {
    pub(in crate::query) fn parse(raw: &Raw, reading: &Reading<'_>) -> Result<Filter, ParseError> {
        Ok(Filter::Actor(Actor { id: Pattern::read(raw, reading)?, typed: typed(raw, reading)? }))
    }

    pub(in crate::query) fn each_match(&self, view: &View<'_>, each: &mut EachMatch<'_>) -> ControlFlow<()> {
        let (kind, id) = values::actor(view.event());
        let [shown_kind, shown_id] = shown::actor(view.event());
        if self.id.is_match(&id) {
            each(Match::Values(&[shown_id]))?;
        }
        if let Some((wanted, pattern)) = &self.typed
            && *wanted == kind
            && pattern.is_match(&id)
        {
            each(Match::Values(&[shown_kind, shown_id]))?;
        }
        ControlFlow::Continue(())
    }
}

fn typed(raw: &Raw, reading: &Reading<'_>) -> Result<Option<(String, Pattern)>, ParseError> {
    if !matches!(raw.shape, Shape::Bare | Shape::Quoted) {
        return Ok(None);
    }
    let Some(slash) = raw.chars.iter().position(|char| char.c == '/') else {
        return Ok(None);
    };
    let (kind, id) = (&raw.chars[..slash], &raw.chars[slash + 1..]);
    if kind.is_empty() || id.is_empty() || kind.iter().any(|char| is(char, '*') || is(char, '?')) {
        return Ok(None);
    }
    let kind: String = kind.iter().map(|char| char.c).collect();
    let id = Raw::new(id[0].at, raw.shape, id.to_vec());
    Ok(Some((text::fold_value(&kind).into_owned(), Pattern::read(&id, reading)?)))
}

impl Display for Actor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "actor:{}", self.id)
    }
}
