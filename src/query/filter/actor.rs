//! `actor:u_81`, `actor:user/u_81`, `actor:u_*`: who did it. In `actor:svc\/a/7` the type itself has a slash.

use std::fmt::{self, Display, Formatter};
use std::ops::ControlFlow;

use super::{EachMatch, Filter, Match};
use crate::query::error::ParseError;
use crate::query::lex::{Raw, Shape, is};
use crate::query::parse::Reading;
use crate::query::pattern::Pattern;
use crate::query::print;
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
    /// The border is the first slash that is not escaped; between quotes, the first.
    pub typed: Option<(String, Pattern)>,
}

impl Actor {
    pub(in crate::query) fn parse(raw: &Raw, reading: &Reading<'_>) -> Result<Filter, ParseError> {
        Ok(Filter::Actor(Actor { id: Pattern::read(raw, reading)?, typed: typed(raw, reading)? }))
    }

    /// Whether it asks for this actor, folded, by its whole id or by both.
    pub fn names(&self, kind: &str, id: &str) -> bool {
        let is_id = |pattern: &Pattern| matches!(pattern, Pattern::Exact(text) if text == id);
        is_id(&self.id) || self.typed.as_ref().is_some_and(|(wanted, pattern)| wanted == kind && is_id(pattern))
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
    let Some(slash) = raw.type_border() else { return Ok(None) };
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
        f.write_str("actor:")?;
        let type_bytes = self.typed.as_ref().map(|(kind, _)| kind.len());
        if plain_border(&self.id) == type_bytes {
            return self.id.fmt(f);
        }
        // Slashes before the border are escaped, all of them if there is none.
        let mut to_escape = type_bytes.unwrap_or(usize::MAX);
        match &self.id {
            Pattern::Exact(text) => slashes_escaped(text, true, &mut to_escape, f),
            Pattern::Wildcard(pattern) => {
                pattern.print(|text, first, f| slashes_escaped(text, first, &mut to_escape, f), f)
            }
            Pattern::Regex(pattern) => pattern.fmt(f),
        }
    }
}

/// Where the id's text would be divided if it was printed as it is.
fn plain_border(id: &Pattern) -> Option<usize> {
    match id {
        // What begins with a slash is quoted.
        Pattern::Exact(text) => text.find('/').filter(|slash| *slash > 0 && slash + 1 < text.len()),
        // A slash in front is escaped.
        Pattern::Wildcard(pattern) => {
            let text = pattern.literal_prefix();
            text.char_indices().find(|(at, c)| *at > 0 && *c == '/').map(|(at, _)| at)
        }
        Pattern::Regex(_) => None,
    }
}

/// `text` unquoted, with a backslash before each slash among its next `to_escape` bytes.
fn slashes_escaped(text: &str, first: bool, to_escape: &mut usize, f: &mut Formatter<'_>) -> fmt::Result {
    let (escaped, rest) = text.split_at(text.len().min(*to_escape));
    *to_escape -= escaped.len();
    for (n, piece) in escaped.split('/').enumerate() {
        if n > 0 {
            f.write_str("\\/")?;
        }
        print::bare(piece, first && n == 0, f)?;
    }
    print::bare(rest, first && escaped.is_empty(), f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Catalogue;
    use crate::query::{Env, Node, parse};

    #[test]
    fn a_value_is_divided_at_its_first_slash_that_is_not_escaped() {
        let env = Env { now_ms: 0, catalogue: Catalogue::builtin() };
        for (text, whole, typed, printed) in [
            ("actor:svc/a/7", "svc/a/7", Some(("svc", "a/7")), "actor:svc/a/7"),
            ("actor:svc\\/a/7", "svc/a/7", Some(("svc/a", "7")), "actor:svc\\/a/7"),
            ("actor:\\s\\v\\c\\/a/7\\/8", "svc/a/7/8", Some(("svc/a", "7/8")), "actor:svc\\/a/7/8"),
            ("actor:svc\\/a\\/7", "svc/a/7", None, "actor:svc\\/a\\/7"),
            ("actor:\"svc/a/7\"", "svc/a/7", Some(("svc", "a/7")), "actor:svc/a/7"),
            ("actor:\"s c/7\"", "s c/7", Some(("s c", "7")), "actor:\"s c/7\""),
            ("actor:s\\ c\\/-\\(/7", "s c/-(/7", Some(("s c/-(", "7")), "actor:s\\ c\\/-\\(/7"),
            ("actor:\\-\\/a", "-/a", None, "actor:\\-\\/a"),
            ("actor:\\/a", "/a", None, "actor:\"/a\""),
            ("actor:a/", "a/", None, "actor:a/"),
        ] {
            let query = parse(text, &env).unwrap();
            let Node::Filter(Filter::Actor(actor)) = &query.root else { panic!("{text}: {query:?}") };
            assert_eq!(actor.id, Pattern::Exact(whole.to_owned()), "{text}");
            let typed = typed.map(|(kind, id)| (kind.to_owned(), Pattern::Exact(id.to_owned())));
            assert_eq!(actor.typed, typed, "{text}");
            assert_eq!(query.to_string(), printed, "{text}");
        }
        let printed = |text| parse(text, &env).unwrap().to_string();
        for text in [
            "actor:a/*",
            "actor:a\\/b/*",
            "actor:a\\/*",
            "actor:a*/b",
            "actor:a\\/?b\\/c",
            "actor:/a\\/b/",
            "actor:\\/\\/*",
            "actor:é\\/*",
        ] {
            assert_eq!(printed(text), text);
        }
    }
}
