//! Free text: words, phrases, `refun*`, `word~`, `/regex/`.
//!
//! A word or phrase matches where its tokens stand at consecutive positions of one value. Wildcards, fuzzy words and
//! regexes are compared with single tokens, which include whole emails, ids and addresses.

use std::fmt::{self, Display, Formatter, Write};
use std::sync::{Arc, OnceLock};

use levenshtein_automata::{DFA, Distance, LevenshteinAutomatonBuilder, SINK_STATE};

use super::Filter;
use crate::query::error::{ParseError, code};
use crate::query::lex::{Raw, Shape, is};
use crate::query::limits::PHRASE_TOKENS_MAX;
use crate::query::parse::Reading;
use crate::query::pattern::{RegexPattern, WildPattern};
use crate::query::print;
use crate::query::view::{Place, View};
use crate::text;

/// Words longer than this many characters may differ in two edits, others in one.
const SHORT_WORD_CHARS_MAX: usize = 5;

/// A condition on the free text of an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Words {
    /// One word. It may consist of several tokens (`c_8FQ2M0`), never of none.
    Word {
        /// Folded.
        text: String,
        /// What has to stand at consecutive positions of one value.
        tokens: Vec<String>,
    },
    /// Quoted words.
    Phrase {
        /// Folded.
        text: String,
        /// What has to stand at consecutive positions of one value.
        tokens: Vec<String>,
    },
    /// A single token, with wildcards.
    Wildcard(WildPattern),
    /// A single token within some edits.
    Fuzzy(Fuzzy),
    /// A single token.
    Regex(RegexPattern),
}

/// A word that may be misspelt.
#[derive(Clone)]
pub struct Fuzzy {
    /// Folded.
    pub term: String,
    /// Edits allowed, 1 or 2: a character inserted, removed or replaced, or two neighbours swapped.
    pub distance: u8,
    automaton: Arc<DFA>,
}

impl Words {
    /// The tokens of a word or phrase; none for the other kinds.
    pub fn tokens(&self) -> &[String] {
        match self {
            Words::Word { tokens, .. } | Words::Phrase { tokens, .. } => tokens,
            Words::Wildcard(_) | Words::Fuzzy(_) | Words::Regex(_) => &[],
        }
    }

    pub(in crate::query) fn parse(raw: &Raw, reading: &Reading<'_>) -> Result<Filter, ParseError> {
        let words = match raw.shape {
            Shape::Quoted => {
                let text = raw.text();
                Words::Phrase { tokens: tokens(&text, raw)?, text: text::fold(&text).into_owned() }
            }
            Shape::Regex => Words::Regex(RegexPattern::read(raw, reading)?),
            Shape::Bare | Shape::Bracket if raw.has_wildcard() => Words::Wildcard(WildPattern::read(raw, reading)?),
            Shape::Bare | Shape::Bracket => match fuzzy(raw) {
                Some((word, distance)) => Words::Fuzzy(Fuzzy::read(&word, distance)?),
                None => {
                    let text = raw.text();
                    Words::Word { tokens: tokens(&text, raw)?, text: text::fold(&text).into_owned() }
                }
            },
        };
        Ok(Filter::Words(words))
    }

    pub(in crate::query) fn matches(&self, view: &View<'_>) -> bool {
        let any = |matches: &dyn Fn(&str) -> bool| view.words().iter().any(|(token, _)| matches(token));
        match self {
            Words::Word { tokens, .. } | Words::Phrase { tokens, .. } => match tokens.as_slice() {
                [single] => any(&|token| token == single),
                _ => stand_together(tokens, view),
            },
            Words::Wildcard(pattern) => any(&|token| pattern.is_match(token)),
            Words::Fuzzy(fuzzy) => any(&|token| fuzzy.is_match(token)),
            Words::Regex(pattern) => any(&|token| pattern.is_match(token)),
        }
    }
}

fn tokens(text: &str, raw: &Raw) -> Result<Vec<String>, ParseError> {
    let tokens = text::query_tokens(text);
    if tokens.is_empty() {
        return Err(ParseError::value(
            raw.at,
            format!("\"{text}\""),
            "expected a word: this has no letter or digit to search for",
        ));
    }
    if tokens.len() > PHRASE_TOKENS_MAX {
        return Err(ParseError::value(
            raw.at,
            format!("phrase of {} words", tokens.len()),
            format!("expected at most {PHRASE_TOKENS_MAX}"),
        ));
    }
    Ok(tokens)
}

/// Whether `tokens` stand at consecutive positions of one value: shift-and, one bit per token of the phrase.
fn stand_together(tokens: &[String], view: &View<'_>) -> bool {
    // Where a word of the phrase stands, and which ones it is. Variants of one word share their position.
    let mut found: Vec<(Place, u128)> = Vec::new();
    for (text, place) in view.words().iter() {
        let bits = tokens.iter().enumerate().filter(|(_, token)| *token == text).fold(0, |bits, (n, _)| bits | 1 << n);
        if bits != 0 {
            found.push((place, bits));
        }
    }
    found.sort_unstable_by_key(|(place, _)| *place);
    let last = 1_u128 << (tokens.len() - 1);
    let mut previous: Option<Place> = None;
    // Bit n: the first n + 1 tokens stand up to the previous place, and up to the current one.
    let (mut before, mut now) = (0_u128, 0_u128);
    for (place, bits) in found {
        if previous != Some(place) {
            let follows = previous.is_some_and(|p| p.value == place.value && p.position + 1 == place.position);
            before = if follows { now } else { 0 };
            now = 0;
            previous = Some(place);
        }
        now |= (before << 1 | 1) & bits;
        if now & last != 0 {
            return true;
        }
    }
    false
}

/// `word~`, `word~1`, `word~2`: the word, and the distance if it is said.
fn fuzzy(raw: &Raw) -> Option<(Raw, Option<u8>)> {
    let (word, distance) = match raw.chars.as_slice() {
        [word @ .., tilde] if is(tilde, '~') => (word, None),
        [word @ .., tilde, one] if is(tilde, '~') && is(one, '1') => (word, Some(1)),
        [word @ .., tilde, two] if is(tilde, '~') && is(two, '2') => (word, Some(2)),
        _ => return None,
    };
    Some((Raw::new(raw.at, Shape::Bare, word.to_vec()), distance))
}

impl Fuzzy {
    fn read(word: &Raw, distance: Option<u8>) -> Result<Fuzzy, ParseError> {
        let term = text::fold(&word.text()).into_owned();
        if term.is_empty() {
            return Err(ParseError::syntax(word.at, "\"~\" alone", "expected a word before it"));
        }
        // The automaton grows with the word; no token is longer.
        if term.len() > FUZZY_BYTES_MAX {
            return Err(ParseError::new(
                code::PATTERN_TOO_COMPLEX,
                word.at,
                format!("fuzzy word of {} bytes", term.len()),
                format!("expected at most {FUZZY_BYTES_MAX}"),
            ));
        }
        let distance = distance.unwrap_or_else(|| Fuzzy::usual_distance(&term));
        let automaton = Arc::new(automaton_builder(distance).build_dfa(&term));
        Ok(Fuzzy { term, distance, automaton })
    }

    /// The distance of `term~`.
    fn usual_distance(term: &str) -> u8 {
        if term.chars().count() <= SHORT_WORD_CHARS_MAX { 1 } else { 2 }
    }

    /// Whether `token` is within the distance: the same automaton as Tantivy's fuzzy queries (transpositions cost one).
    pub fn is_match(&self, token: &str) -> bool {
        let mut state = self.automaton.initial_state();
        for &byte in token.as_bytes() {
            state = self.automaton.transition(state, byte);
            if state == SINK_STATE {
                return false;
            }
        }
        matches!(self.automaton.distance(state), Distance::Exact(_))
    }
}

/// Bytes of a fuzzy word; longer ones are ids, which nobody misspells.
const FUZZY_BYTES_MAX: usize = 64;

/// Building the tables takes milliseconds, building an automaton from them microseconds.
fn automaton_builder(distance: u8) -> &'static LevenshteinAutomatonBuilder {
    static ONE: OnceLock<LevenshteinAutomatonBuilder> = OnceLock::new();
    static TWO: OnceLock<LevenshteinAutomatonBuilder> = OnceLock::new();
    let (cell, distance) = if distance <= 1 { (&ONE, 1) } else { (&TWO, 2) };
    cell.get_or_init(|| LevenshteinAutomatonBuilder::new(distance, true))
}

impl PartialEq for Fuzzy {
    fn eq(&self, other: &Fuzzy) -> bool {
        (&self.term, self.distance) == (&other.term, other.distance)
    }
}

impl fmt::Debug for Fuzzy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fuzzy").field("term", &self.term).field("distance", &self.distance).finish()
    }
}

impl Display for Words {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Words::Word { text, .. } => print::bare(text, true, f),
            Words::Phrase { text, .. } => print::quoted(text, f),
            Words::Wildcard(pattern) => pattern.fmt(f),
            Words::Fuzzy(fuzzy) => {
                print::bare(&fuzzy.term, true, f)?;
                f.write_char('~')?;
                if fuzzy.distance == Fuzzy::usual_distance(&fuzzy.term) { Ok(()) } else { fuzzy.distance.fmt(f) }
            }
            Words::Regex(pattern) => pattern.fmt(f),
        }
    }
}
