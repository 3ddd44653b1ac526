//! `action:contacts`, `action:contact`, `action:contact.deleted`, `action:contact.*`: what was done.
//!
//! A plain name is a category, else a noun, else a whole action; which one is decided when the text is read, by the
//! catalogue of that moment. A quoted name is always the whole action; one that ends in its separator (`contact.`) is
//! always the noun.

use std::fmt::{self, Display, Formatter};
use std::ops::ControlFlow;

use super::{EachMatch, Filter, Match};
use crate::event;
use crate::query::error::ParseError;
use crate::query::lex::{Raw, Shape};
use crate::query::parse::Reading;
use crate::query::pattern::Pattern;
use crate::query::print;
use crate::query::shown;
use crate::query::values;
use crate::query::view::View;
use crate::text;

/// What was done. Names are folded.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// An action of one of the category's nouns.
    Category {
        /// The category.
        slug: String,
        /// What it consists of.
        nouns: Vec<String>,
    },
    /// An action of this noun.
    Noun(String),
    /// The same, written with its separator behind it, so that it needs no catalogue.
    NounOnly(String),
    /// A name the catalogue does not know, without `.` and `:`: an action of the noun, or the whole action.
    Unknown(String),
    /// The whole action.
    Exact(String),
    /// Compared with the whole action; never [`Pattern::Exact`].
    Pattern(Pattern),
}

impl Action {
    pub(in crate::query) fn parse(raw: &Raw, reading: &Reading<'_>) -> Result<Filter, ParseError> {
        let action = match Pattern::read(raw, reading)? {
            Pattern::Exact(name) if raw.shape == Shape::Quoted => Action::Exact(name),
            Pattern::Exact(name) => match noun_only(&name).map(str::to_owned) {
                Some(noun) => Action::NounOnly(noun),
                None if is_whole(&name) => Action::Exact(name),
                None => named(name, reading),
            },
            pattern @ (Pattern::Wildcard(_) | Pattern::Regex(_)) => Action::Pattern(pattern),
        };
        Ok(Filter::Action(action))
    }

    pub(in crate::query) fn each_match(&self, view: &View<'_>, each: &mut EachMatch<'_>) -> ControlFlow<()> {
        let event = view.event();
        if self.is_match(&values::action(event)) {
            each(Match::Values(&[shown::action(event)]))?;
        }
        ControlFlow::Continue(())
    }

    fn is_match(&self, action: &str) -> bool {
        match self {
            Action::Category { nouns, .. } => nouns.iter().any(|noun| noun == event::noun(action)),
            Action::Noun(noun) | Action::NounOnly(noun) => noun == event::noun(action),
            Action::Unknown(name) => name == event::noun(action) || name == action,
            Action::Exact(name) => name == action,
            Action::Pattern(pattern) => pattern.is_match(action),
        }
    }
}

/// No category and no noun contains these.
fn is_whole(name: &str) -> bool {
    name.contains(['.', ':'])
}

/// The noun of `contact.`.
fn noun_only(name: &str) -> Option<&str> {
    name.strip_suffix(['.', ':']).filter(|noun| !noun.is_empty() && !is_whole(noun))
}

fn named(name: String, reading: &Reading<'_>) -> Action {
    let catalogue = reading.env.catalogue;
    if let Some(nouns) = catalogue.nouns_of(&name) {
        let mut nouns: Vec<String> = nouns.iter().map(|noun| text::fold(noun).into_owned()).collect();
        // An unknown noun is its own category, so one that is spelt like this category belongs to it.
        if !catalogue.has_noun(&name) {
            nouns.push(name.clone());
        }
        Action::Category { slug: name, nouns }
    } else if catalogue.has_noun(&name) {
        Action::Noun(name)
    } else {
        Action::Unknown(name)
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("action:")?;
        match self {
            // Escapes instead of quotes where needed: quotes would make it a whole action.
            Action::Category { slug: name, .. } | Action::Noun(name) | Action::Unknown(name) => {
                print::bare(name, true, f)
            }
            Action::NounOnly(noun) => {
                print::bare(noun, true, f)?;
                f.write_str(".")
            }
            Action::Exact(name) if is_whole(name) && noun_only(name).is_none() => print::value(name, f),
            Action::Exact(name) => print::quoted(name, f),
            Action::Pattern(pattern) => pattern.fmt(f),
        }
    }
}
