//! Free text: words, phrases, `refun*`, `word~`, `/regex/`.
//!
//! A word or phrase matches where its tokens stand at consecutive positions of one value. Wildcards, fuzzy words and
//! regexes are compared with single tokens, which include whole emails, ids and addresses.

use std::fmt::{self, Display, Formatter, Write};
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use levenshtein_automata::{DFA, Distance, LevenshteinAutomatonBuilder, SINK_STATE};

use super::{EachMatch, Filter, Match};
use crate::query::error::{ParseError, code};
use crate::query::lex::{Char, Raw, Shape, is, text_of};
use crate::query::limits::PHRASE_TOKENS_MAX;
use crate::query::parse::Reading;
use crate::query::pattern::{RegexPattern, WildPattern};
use crate::query::print;
use crate::query::view::{View, Word};
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
            Shape::Bare | Shape::Bracket if raw.has_wildcard() => match unspaced(raw) {
                Some(text) => word(&text, raw)?,
                None if raw.chars.iter().any(|char| char.c.is_whitespace()) => return Err(spaced(raw)),
                None => Words::Wildcard(WildPattern::read(raw, reading)?),
            },
            Shape::Bare | Shape::Bracket => match fuzzy(raw)? {
                Some((word, distance)) => Words::Fuzzy(Fuzzy::read(&word, distance, reading)?),
                None => word(&raw.text(), raw)?,
            },
        };
        Ok(Filter::Words(words))
    }

    pub(in crate::query) fn each_match(&self, view: &View<'_>, each: &mut EachMatch<'_>) -> ControlFlow<()> {
        let mut each_like = |is_match: &dyn Fn(&str) -> bool| {
            let mut found = view.words().iter().filter(|word| is_match(word.text));
            found.try_for_each(|word| each(Match::Words { value: word.place.value, folded: word.folded }))
        };
        match self {
            Words::Word { tokens, .. } | Words::Phrase { tokens, .. } => match tokens.as_slice() {
                [single] => each_like(&|token| token == single),
                _ => each_stretch(tokens, view, each),
            },
            Words::Wildcard(pattern) => each_like(&|token| pattern.is_match(token)),
            Words::Fuzzy(fuzzy) => each_like(&|token| fuzzy.is_match(token)),
            Words::Regex(pattern) => each_like(&|token| pattern.is_match(token)),
        }
    }
}

/// What stands between stars, if it is of a script in which each character is a token: there no token begins like several of them, and
/// the characters themselves are what `東京*` is meant to find.
fn unspaced(raw: &Raw) -> Option<String> {
    let is_star = |char: &Char| is(char, '*');
    let from = raw.chars.iter().position(|char| !is_star(char))?;
    let to = raw.chars.iter().rposition(|char| !is_star(char))?;
    let inner = &raw.chars[from..=to];
    let has_wildcard = inner.iter().any(|char| is(char, '*') || is(char, '?'));
    let text = text_of(inner);
    (!has_wildcard && inner.len() > 1 && text::is_unspaced(&text)).then_some(text)
}

/// A token has no spaces, so that a pattern with some would never find anything.
fn spaced(raw: &Raw) -> ParseError {
    let advice =
        "a wildcard stands in one word; expected words that stand together in quotes, such as \"access denied\"";
    ParseError::value(raw.at, format!("\"{}\" with a space", raw.text()), advice)
}

fn word(text: &str, raw: &Raw) -> Result<Words, ParseError> {
    Ok(Words::Word { tokens: tokens(text, raw)?, text: text::fold(text).into_owned() })
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

/// A place where words of a phrase stand, one bit for each of them.
struct Step<'a> {
    /// Covers all words that share the place.
    word: Word<'a>,
    bits: u128,
    /// Bit n: the first n + 1 tokens stand up to here.
    up_to: u128,
}

impl Step<'_> {
    /// Whether `next` is the position behind this one.
    fn is_before(&self, next: &Step<'_>) -> bool {
        let (place, next) = (self.word.place, next.word.place);
        place.value == next.value && place.position + 1 == next.position
    }
}

/// Shows each place where `tokens` stand at consecutive positions of one value, from the first to the last of them.
/// Shift-and, forwards to find out and backwards to know where: places that follow each other come as one stretch.
fn each_stretch(tokens: &[String], view: &View<'_>, each: &mut EachMatch<'_>) -> ControlFlow<()> {
    let mut steps = steps(tokens, view);
    let last = 1_u128 << (tokens.len() - 1);
    let mut is_found = false;
    for at in 0..steps.len() {
        let follows = at > 0 && steps[at - 1].is_before(&steps[at]);
        let before = if follows { steps[at - 1].up_to } else { 0 };
        steps[at].up_to = (before << 1 | 1) & steps[at].bits;
        is_found |= steps[at].up_to & last != 0;
    }
    if !is_found {
        return ControlFlow::Continue(());
    }
    // Bit n: token n stands at the next place, with all the others around it.
    let mut behind = 0_u128;
    let mut stretch: Option<Word<'_>> = None;
    for at in (0..steps.len()).rev() {
        let is_followed = steps.get(at + 1).is_some_and(|next| steps[at].is_before(next));
        let goes_on = if is_followed { (behind >> 1) & steps[at].up_to } else { 0 };
        let whole = goes_on | (steps[at].up_to & last);
        behind = whole;
        if whole == 0 {
            continue;
        }
        let word = &steps[at].word;
        match &mut stretch {
            Some(stretch) if goes_on != 0 => stretch.folded.start = word.folded.start,
            _ => {
                show(stretch.take(), each)?;
                stretch = Some(word.clone());
            }
        }
    }
    show(stretch, each)
}

fn show(stretch: Option<Word<'_>>, each: &mut EachMatch<'_>) -> ControlFlow<()> {
    match stretch {
        Some(word) => each(Match::Words { value: word.place.value, folded: word.folded }),
        None => ControlFlow::Continue(()),
    }
}

/// Where words of the phrase stand, in the order of the text. Variants of one word share their place.
fn steps<'a>(tokens: &[String], view: &'a View<'_>) -> Vec<Step<'a>> {
    let mut steps: Vec<Step<'a>> = Vec::new();
    for word in view.words().iter() {
        let is_it = |token: &String| token == word.text;
        let bits = tokens.iter().enumerate().filter(|(_, token)| is_it(token)).fold(0, |bits, (n, _)| bits | 1 << n);
        if bits != 0 {
            steps.push(Step { word, bits, up_to: 0 });
        }
    }
    steps.sort_by_key(|step| step.word.place);
    steps.dedup_by(|later, step| {
        let is_same = later.word.place == step.word.place;
        if is_same {
            step.bits |= later.bits;
            step.word.folded.start = step.word.folded.start.min(later.word.folded.start);
            step.word.folded.end = step.word.folded.end.max(later.word.folded.end);
        }
        is_same
    });
    steps
}

/// `word~`, `word~1`, `word~2`: the word, and the distance if it is said.
fn fuzzy(raw: &Raw) -> Result<Option<(Raw, Option<u8>)>, ParseError> {
    let Some(tilde) = raw.chars.iter().rposition(|char| is(char, '~')) else {
        return Ok(None);
    };
    let distance = match text_of(&raw.chars[tilde + 1..]).as_str() {
        "" => None,
        "1" => Some(1),
        "2" => Some(2),
        other if other.chars().all(|c| c.is_ascii_digit() || c == '.') => {
            return Err(ParseError::value(
                raw.chars[tilde].at,
                format!("\"~{other}\""),
                "expected ~, ~1 or ~2; quote a text that contains a tilde",
            ));
        }
        _ => return Ok(None),
    };
    Ok(Some((Raw::new(raw.at, Shape::Bare, raw.chars[..tilde].to_vec()), distance)))
}

impl Fuzzy {
    fn read(word: &Raw, distance: Option<u8>, reading: &Reading<'_>) -> Result<Fuzzy, ParseError> {
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
        // A state is a table of 256 numbers here, a quarter of what one of a pattern takes.
        if !reading.spend_states(automaton.num_states().div_ceil(4)) {
            return Err(ParseError::new(
                code::PATTERN_TOO_COMPLEX,
                word.at,
                "fuzzy words with too many states together",
                "expected fewer or shorter ones",
            ));
        }
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
