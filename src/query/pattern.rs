//! What a value is compared with: a whole value, a wildcard, or a regular expression.
//!
//! Wildcards and regexes become one automaton, the very one an index runs over its terms, so that scan and index cannot
//! differ. It sees folded text and matches from the first byte to the last. In a regex letters match in either case,
//! a dot matches line breaks too, and for `\w` every character beyond ASCII belongs to a word.

use std::fmt;
use std::sync::Arc;

use regex_syntax::ast::{self, Ast};
use regex_syntax::hir::{Class, Hir, HirKind};
use regex_syntax::utf8::Utf8Sequences;
use tantivy_fst::{Automaton, Regex};
use unicode_normalization::UnicodeNormalization;

use super::error::{ParseError, code};
use super::lex::{Raw, Shape, text_of};
use super::limits::{PATTERN_INSTRUCTIONS_MAX, QUERY_INSTRUCTIONS_MAX, QUERY_STATES_MAX};
use super::parse::Reading;
use super::print;
use crate::text;

/// What a folded value is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// The whole value, folded.
    Exact(String),
    /// `*` and `?` among folded text.
    Wildcard(WildPattern),
    /// A regular expression over the whole folded value.
    Regex(RegexPattern),
}

/// A text with wildcards.
#[derive(Clone)]
pub struct WildPattern {
    /// Folded texts and wildcards in order; two stars never stand together.
    pub parts: Vec<WildPart>,
    automaton: Compiled,
}

/// A piece of a wildcard pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WildPart {
    /// This text.
    Text(String),
    /// `*`: any number of characters, also none.
    Any,
    /// `?`: exactly one character.
    One,
}

/// A regular expression.
#[derive(Clone)]
pub struct RegexPattern {
    /// As it was written between the slashes, in NFC.
    pub source: String,
    automaton: Compiled,
}

#[derive(Clone)]
struct Compiled {
    regex: Arc<Regex>,
    source: String,
}

impl Pattern {
    /// Whether the whole of `value`, already folded, matches.
    pub fn is_match(&self, value: &str) -> bool {
        match self {
            Pattern::Exact(text) => text == value,
            Pattern::Wildcard(pattern) => pattern.is_match(value),
            Pattern::Regex(pattern) => pattern.is_match(value),
        }
    }

    /// The expression, in the syntax of `tantivy_fst::Regex`, that matches the same values. As part of a larger one it
    /// goes into a group of its own, `(?:…)`; the larger one may exceed what can be built.
    pub fn regex_source(&self) -> String {
        match self {
            Pattern::Exact(text) => regex_syntax::escape(text),
            Pattern::Wildcard(pattern) => pattern.regex_source().to_owned(),
            Pattern::Regex(pattern) => pattern.regex_source().to_owned(),
        }
    }

    /// The automaton that [`Pattern::is_match`] runs; none for an exact text, which needs none.
    pub fn automaton(&self) -> Option<&Arc<Regex>> {
        match self {
            Pattern::Exact(_) => None,
            Pattern::Wildcard(pattern) => Some(pattern.automaton()),
            Pattern::Regex(pattern) => Some(pattern.automaton()),
        }
    }

    /// A text that every matching value begins with, for a term dictionary to start at; may be empty.
    pub fn literal_prefix(&self) -> &str {
        match self {
            Pattern::Exact(text) => text,
            Pattern::Wildcard(pattern) => pattern.literal_prefix(),
            Pattern::Regex(_) => "",
        }
    }

    /// Reads a value: quoted or without wildcards it is exact.
    pub(super) fn read(raw: &Raw, reading: &Reading<'_>) -> Result<Pattern, ParseError> {
        match raw.shape {
            Shape::Quoted => Ok(Pattern::Exact(text::fold_value(&raw.text()).into_owned())),
            Shape::Regex => RegexPattern::read(raw, reading).map(Pattern::Regex),
            Shape::Bracket => Err(ParseError::value(
                raw.at,
                format!("range \"{}\"", raw.text()),
                "this field takes no ranges; quote a value that begins with a bracket",
            )),
            Shape::Bare if raw.chars.is_empty() => {
                Err(ParseError::value(raw.at, "no value", "expected a value; an empty one is written \"\""))
            }
            Shape::Bare if raw.has_wildcard() => WildPattern::read(raw, reading).map(Pattern::Wildcard),
            Shape::Bare => Ok(Pattern::Exact(text::fold_value(&raw.text()).into_owned())),
        }
    }
}

impl WildPattern {
    /// Whether the whole of `value`, already folded, matches.
    pub fn is_match(&self, value: &str) -> bool {
        self.automaton.is_match(value)
    }

    /// See [`Pattern::regex_source`].
    pub fn regex_source(&self) -> &str {
        &self.automaton.source
    }

    /// See [`Pattern::automaton`].
    pub fn automaton(&self) -> &Arc<Regex> {
        &self.automaton.regex
    }

    /// See [`Pattern::literal_prefix`].
    pub fn literal_prefix(&self) -> &str {
        match self.parts.first() {
            Some(WildPart::Text(text)) => text,
            Some(WildPart::Any | WildPart::One) | None => "",
        }
    }

    /// Prints texts by `text`, which is told whether one begins the pattern.
    pub(super) fn print(
        &self,
        mut text: impl FnMut(&str, bool, &mut fmt::Formatter<'_>) -> fmt::Result,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        for (n, part) in self.parts.iter().enumerate() {
            match part {
                WildPart::Text(part) => text(part, n == 0, f)?,
                WildPart::Any => f.write_str("*")?,
                WildPart::One => f.write_str("?")?,
            }
        }
        Ok(())
    }

    pub(super) fn read(raw: &Raw, reading: &Reading<'_>) -> Result<WildPattern, ParseError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        for char in &raw.chars {
            let wildcard = match (char.literal, char.c) {
                (false, '*') => WildPart::Any,
                (false, '?') => WildPart::One,
                _ => {
                    literal.push(char.c);
                    continue;
                }
            };
            push_folded(&mut literal, &mut parts);
            if wildcard != WildPart::Any || parts.last() != Some(&WildPart::Any) {
                parts.push(wildcard);
            }
        }
        push_folded(&mut literal, &mut parts);
        let mut source = String::new();
        for part in &parts {
            match part {
                WildPart::Text(text) => source.push_str(&regex_syntax::escape(text)),
                WildPart::Any => source.push_str("(?s:.)*"),
                WildPart::One => source.push_str("(?s:.)"),
            }
        }
        let automaton = Compiled::new(source, raw.at, reading)?;
        Ok(WildPattern { parts, automaton })
    }
}

fn push_folded(literal: &mut String, parts: &mut Vec<WildPart>) {
    if !literal.is_empty() {
        parts.push(WildPart::Text(text::fold(literal).into_owned()));
        literal.clear();
    }
}

impl RegexPattern {
    /// Whether the whole of `value`, already folded, matches.
    pub fn is_match(&self, value: &str) -> bool {
        self.automaton.is_match(value)
    }

    /// See [`Pattern::regex_source`].
    pub fn regex_source(&self) -> &str {
        &self.automaton.source
    }

    /// See [`Pattern::automaton`].
    pub fn automaton(&self) -> &Arc<Regex> {
        &self.automaton.regex
    }

    pub(super) fn read(raw: &Raw, reading: &Reading<'_>) -> Result<RegexPattern, ParseError> {
        let written = text_of(&raw.chars);
        // Where a fault lies is said of what was written, so this is looked at before it is normalised.
        refuse_unsupported(&written, raw)?;
        let source: String = written.nfc().collect();
        // Values are folded, so letters match in either case; a dot matches a line break too, because it is the whole
        // value that has to match.
        let automaton = Compiled::new(format!("(?is){}", for_folded(&source)), raw.at, reading)?;
        Ok(RegexPattern { source, automaton })
    }
}

/// With a `\w` that is a set of a few ranges, where beyond ASCII every character counts as part of a word, and with the
/// two characters that an İ folds to, unless it stands in a class, which is of single ones.
///
/// The exact set has 700 ranges; an automaton with two of them would exceed what can be built.
fn for_folded(source: &str) -> String {
    let mut replaced = Replaced(Vec::new());
    if let Ok(ast) = ast::parse::Parser::new().parse(source) {
        // Visiting for the spans alone fails for nothing.
        let _: Result<(), std::convert::Infallible> = ast::visit(&ast, &mut replaced);
    }
    let mut folded = String::new();
    let mut copied = 0;
    for (span, by) in replaced.0 {
        folded.push_str(&source[copied..span.start.offset]);
        folded.push_str(by);
        copied = span.end.offset;
    }
    folded.push_str(&source[copied..]);
    folded
}

/// What is written otherwise, from left to right.
struct Replaced(Vec<(ast::Span, &'static str)>);

impl Replaced {
    fn note(&mut self, class: &ast::ClassPerl) {
        if class.kind == ast::ClassPerlKind::Word {
            let by = if class.negated { "[^0-9a-z_\\x{80}-\\x{10FFFF}]" } else { "[0-9a-z_\\x{80}-\\x{10FFFF}]" };
            self.0.push((class.span, by));
        }
    }
}

impl ast::Visitor for &mut Replaced {
    type Output = ();
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<(), Self::Err> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        match ast {
            Ast::ClassPerl(class) => self.note(class),
            Ast::Literal(literal) if literal.c == 'İ' => self.0.push((literal.span, "(?:i\u{307})")),
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ast::ClassSetItem) -> Result<(), Self::Err> {
        if let ast::ClassSetItem::Perl(class) = item {
            self.note(class);
        }
        Ok(())
    }
}

/// Names the first thing in a regex that is wrong or that a linear-time automaton cannot do.
fn refuse_unsupported(written: &str, raw: &Raw) -> Result<(), ParseError> {
    let at = |offset: usize| raw.position(offset);
    let ast = ast::parse::Parser::new().parse(written).map_err(|error| {
        let found = format!("regex: {}", error.kind());
        ParseError::new(code::BAD_REGEX, at(error.span().start.offset), found, "expected a regular expression")
    })?;
    ast::visit(&ast, Unsupported).map_err(|(what, offset)| {
        ParseError::new(
            code::BAD_REGEX,
            at(offset),
            format!("regex: {what}"),
            "a regex always matches the whole value and knows no anchors, word borders or lazy forms",
        )
    })
}

struct Unsupported;

impl ast::Visitor for Unsupported {
    type Output = ();
    type Err = (&'static str, usize);

    fn finish(self) -> Result<(), Self::Err> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        match ast {
            Ast::Assertion(assertion) => Err((assertion_name(&assertion.kind), assertion.span.start.offset)),
            Ast::Repetition(repetition) if !repetition.greedy => {
                Err(("lazy quantifier", repetition.op.span.start.offset))
            }
            Ast::Flags(flags) => flags_allowed(&flags.flags),
            Ast::Group(group) => match &group.kind {
                ast::GroupKind::NonCapturing(flags) => flags_allowed(flags),
                ast::GroupKind::CaptureIndex(_) | ast::GroupKind::CaptureName { .. } => Ok(()),
            },
            Ast::Empty(_)
            | Ast::Literal(_)
            | Ast::Dot(_)
            | Ast::ClassUnicode(_)
            | Ast::ClassPerl(_)
            | Ast::ClassBracketed(_)
            | Ast::Repetition(_)
            | Ast::Alternation(_)
            | Ast::Concat(_) => Ok(()),
        }
    }
}

/// `U` swaps greedy and lazy, `u` off would match single bytes, and after `x` a comment swallows what we put around.
fn flags_allowed(flags: &ast::Flags) -> Result<(), (&'static str, usize)> {
    for flag in [ast::Flag::SwapGreed, ast::Flag::Unicode, ast::Flag::IgnoreWhitespace] {
        if flags.flag_state(flag).is_some() {
            return Err(("flag U, u or x", flags.span.start.offset));
        }
    }
    Ok(())
}

fn assertion_name(kind: &ast::AssertionKind) -> &'static str {
    use ast::AssertionKind;
    match kind {
        AssertionKind::StartLine | AssertionKind::StartText => "anchor at the start",
        AssertionKind::EndLine | AssertionKind::EndText => "anchor at the end",
        AssertionKind::WordBoundary
        | AssertionKind::NotWordBoundary
        | AssertionKind::WordBoundaryStart
        | AssertionKind::WordBoundaryEnd
        | AssertionKind::WordBoundaryStartAngle
        | AssertionKind::WordBoundaryEndAngle
        | AssertionKind::WordBoundaryStartHalf
        | AssertionKind::WordBoundaryEndHalf => "word border",
    }
}

impl Compiled {
    fn new(source: String, at: usize, reading: &Reading<'_>) -> Result<Compiled, ParseError> {
        let too_complex = |why: String| {
            let advice = "use fewer wildcards, classes or repetitions";
            ParseError::new(code::PATTERN_TOO_COMPLEX, at, why, advice)
        };
        let hir = regex_syntax::parse(&source).map_err(|error| {
            ParseError::new(code::BAD_REGEX, at, format!("regex: {error}"), "expected a regular expression")
        })?;
        // Compared before building: the builder recurses along its instructions and allocates them first.
        let instructions = instructions(&hir);
        if instructions > PATTERN_INSTRUCTIONS_MAX {
            return Err(too_complex(format!(
                "pattern of {instructions} instructions (at most {PATTERN_INSTRUCTIONS_MAX})"
            )));
        }
        if !reading.spend_instructions(instructions) {
            return Err(too_complex(format!("patterns of more than {QUERY_INSTRUCTIONS_MAX} instructions together")));
        }
        // What else it could refuse has been refused above, with a position; this leaves the number of states.
        let regex = Regex::new(&source).map_err(|error| too_complex(format!("pattern: {error}")))?;
        if !reading.spend_states(states(&regex)) {
            return Err(too_complex(format!("patterns with more than {QUERY_STATES_MAX} states together")));
        }
        Ok(Compiled { regex: Arc::new(regex), source })
    }

    fn is_match(&self, value: &str) -> bool {
        let mut state = self.regex.start();
        for &byte in value.as_bytes() {
            state = self.regex.accept(&state, byte);
            if !self.regex.can_match(&state) {
                return false;
            }
        }
        self.regex.is_match(&state)
    }
}

/// How many instructions `hir` compiles to, or a few more.
fn instructions(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) | HirKind::Class(Class::Bytes(_)) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        // Each sequence of bytes of a class costs its length, a split and a jump.
        HirKind::Class(Class::Unicode(class)) => class
            .ranges()
            .iter()
            .flat_map(|range| Utf8Sequences::new(range.start(), range.end()))
            .map(|sequence| sequence.len() + 2)
            .sum(),
        HirKind::Repetition(repetition) => {
            let copies = repetition.max.unwrap_or(repetition.min.saturating_add(1)).max(1) as usize;
            instructions(&repetition.sub).saturating_add(2).saturating_mul(copies)
        }
        HirKind::Capture(capture) => instructions(&capture.sub),
        HirKind::Concat(parts) => parts.iter().fold(0, |sum, part| sum.saturating_add(instructions(part))),
        HirKind::Alternation(parts) => {
            parts.iter().fold(0, |sum, part| sum.saturating_add(instructions(part)).saturating_add(2))
        }
    }
}

/// How many states can be reached: what the automaton weighs in memory.
fn states(regex: &Regex) -> usize {
    let mut seen = std::collections::HashSet::new();
    let mut open = vec![regex.start()];
    while let Some(state) = open.pop() {
        if seen.insert(state) {
            open.extend(
                (0..=u8::MAX)
                    .map(|byte| regex.accept(&state, byte))
                    .filter(|next| regex.can_match(next) && !seen.contains(next)),
            );
        }
    }
    seen.len()
}

impl PartialEq for WildPattern {
    fn eq(&self, other: &WildPattern) -> bool {
        self.parts == other.parts
    }
}

impl PartialEq for RegexPattern {
    fn eq(&self, other: &RegexPattern) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for WildPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WildPattern").field(&self.parts).finish()
    }
}

impl fmt::Debug for RegexPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegexPattern").field(&self.source).finish()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Exact(text) => print::value(text, f),
            Pattern::Wildcard(pattern) => pattern.fmt(f),
            Pattern::Regex(pattern) => pattern.fmt(f),
        }
    }
}

impl fmt::Display for WildPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(print::bare, f)
    }
}

impl fmt::Display for RegexPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print::regex(&self.source, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Catalogue;
    use crate::query::filter::Value;
    use crate::query::{Env, Filter, Node, parse};

    fn pattern(written: &str) -> Pattern {
        let env = Env { now_ms: 0, catalogue: Catalogue::builtin() };
        match parse(&format!("source:{written}"), &env).unwrap().root {
            Node::Filter(Filter::Value(Value { pattern, .. })) => pattern,
            other => panic!("{written}: {other:?}"),
        }
    }

    #[test]
    fn a_pattern_matches_whole_folded_values_and_its_expression_does_the_same() {
        for (written, value, expected) in [
            ("abc", "abc", true),
            ("ABC", "abc", true),
            ("abc", "abcd", false),
            ("a*", "a", true),
            ("*b*", "abc", true),
            ("a?c", "a東c", true),
            ("a?c", "ac", false),
            ("Ä*", "äbc", true),
            ("a\\*", "a*", true),
            ("a\\**", "a*bc", true),
            ("a\\**", "abc", false),
            ("*.*", "a\nb.c", true),
            ("ΟΔΟΣ*", "οδοσα", true),
            ("/A.c/", "abc", true),
            ("/a.c/", "a\nc", true),
            ("/b/", "abc", false),
            ("/a|b|cd/", "cd", true),
            ("/\\w+@\\w+\\.com/", "maya@example.com", true),
            ("/\\w+@\\w+\\.com/", "ma ya@example.com", false),
            ("/[\\w.-]+/", "müller-東京.x", true),
            ("/\\W+/", " -!", true),
            ("/\\W+/", "a", false),
            ("/\\d{3}/", "123", true),
            ("/e\u{301}t\u{e9}/", "été", true),
            ("/a\\/b/", "a/b", true),
            ("/(İ|e)+zmir İ.*/", "i\u{307}zmir i\u{307}l", true),
            ("/I\u{307}/", "i", false),
            ("/a\\\\b/", "a\\b", true),
        ] {
            let pattern = pattern(written);
            assert_eq!(pattern.is_match(value), expected, "{written} on {value:?}");
            assert!(!expected || value.starts_with(pattern.literal_prefix()), "{written} on {value:?}");
            let regex = Regex::new(&format!("(?:{})", pattern.regex_source())).unwrap();
            let mut state = regex.start();
            value.bytes().for_each(|byte| state = regex.accept(&state, byte));
            assert_eq!(regex.is_match(&state), expected, "{} on {value:?}", pattern.regex_source());
        }
    }

    #[test]
    fn the_deepest_pattern_that_is_let_through_fits_a_threads_stack() {
        let env = Env { now_ms: 0, catalogue: Catalogue::builtin() };
        // A test's thread has 2 MiB of stack, and the builder's recursion runs along a chain of optional parts.
        let read = |n: usize| parse(&format!("source:/(a?){{{n}}}/"), &env);
        assert_eq!(read(100_000).unwrap_err().code, code::PATTERN_TOO_COMPLEX);
        let deepest = (1..4_000)
            .rev()
            .find(|n| instructions(&regex_syntax::parse(&format!("(a?){{{n}}}")).unwrap()) <= PATTERN_INSTRUCTIONS_MAX);
        let read = read(deepest.unwrap());
        assert!(read.is_ok() || read.unwrap_err().code == code::PATTERN_TOO_COMPLEX);
    }
}
