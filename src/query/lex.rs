//! Characters of a query text with what was quoted or escaped, and the reader that takes them apart.
//!
//! Knows quotes, backslashes, slashes and brackets; what a field does with a value is the field's matter.

use std::ops::Range;

use super::error::ParseError;

/// One character as it counts: escapes and quotes are gone, what they protected is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Char {
    pub c: char,
    /// Quoted or escaped: never an operator.
    pub literal: bool,
    /// Byte offset in the text.
    pub at: usize,
}

/// How a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Bare,
    /// `"…"`, nothing else around it.
    Quoted,
    /// `/…/`, without the slashes.
    Regex,
    /// `[…]` or `{…}`, with the brackets.
    Bracket,
}

/// Where in the value of a field quotes may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quotes {
    /// Around all of it.
    Whole,
    /// Also behind a `>` or its kin, as in `detail.at:>"2026-11"`.
    Ends,
    /// Around any part, as in `change:role="on hold">admin`.
    Parts,
}

/// A word or a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raw {
    /// Byte offset of its first character (of the quote, the slash).
    pub at: usize,
    pub shape: Shape,
    pub chars: Vec<Char>,
    /// Before which of `chars` a `""` stood in a bare value that may have quoted parts.
    pub empty_parts: Vec<usize>,
}

/// How many characters of `text` lie before byte `at`.
pub(super) fn characters_before(text: &str, at: usize) -> usize {
    text.char_indices().take_while(|(start, _)| *start < at).count()
}

pub(super) fn text_of(chars: &[Char]) -> String {
    chars.iter().map(|char| char.c).collect()
}

/// Whether these are `>`, `>=`, `<` or `<=`.
fn is_comparison(chars: &[Char]) -> bool {
    match chars {
        [first] => is(first, '>') || is(first, '<'),
        [first, second] => is_comparison(std::slice::from_ref(first)) && is(second, '='),
        _ => false,
    }
}

/// Whether this character is the unprotected operator `c`.
pub(super) fn is(char: &Char, c: char) -> bool {
    !char.literal && char.c == c
}

impl Raw {
    pub fn text(&self) -> String {
        text_of(&self.chars)
    }

    pub fn has_wildcard(&self) -> bool {
        self.chars.iter().any(|char| is(char, '*') || is(char, '?'))
    }

    /// Which of its characters is the slash that an actor's type ends at. Within quotes it cannot be escaped.
    pub fn type_border(&self) -> Option<usize> {
        let is_border = |char: &Char| if self.shape == Shape::Quoted { char.c == '/' } else { is(char, '/') };
        self.chars.iter().position(is_border)
    }

    /// `*`: any value at all.
    pub fn is_star(&self) -> bool {
        self.shape == Shape::Bare && !self.chars.is_empty() && self.chars.iter().all(|char| is(char, '*'))
    }

    /// `null` as JSON writes it.
    pub fn is_null(&self) -> bool {
        self.shape == Shape::Bare && self.chars.iter().all(|char| !char.literal) && self.text() == "null"
    }

    /// Where byte `offset` of [`Raw::text`] was written.
    pub fn position(&self, offset: usize) -> usize {
        let mut before = 0;
        for char in &self.chars {
            if before >= offset {
                return char.at;
            }
            before += char.c.len_utf8();
        }
        self.chars.last().map_or(self.at, |char| char.at + char.c.len_utf8())
    }

    pub fn new(at: usize, shape: Shape, chars: Vec<Char>) -> Raw {
        Raw { at, shape, chars, empty_parts: Vec::new() }
    }

    /// The characters `range` of a bare value as a value of their own; quoted if nothing in it can be an operator.
    pub fn part(&self, range: Range<usize>) -> Raw {
        let at = self.chars.get(range.start).map_or_else(|| self.position(usize::MAX), |char| char.at);
        let chars = self.chars[range.clone()].to_vec();
        let quoted = match chars.as_slice() {
            [] => self.empty_parts.contains(&range.start),
            chars => chars.iter().all(|char| char.literal),
        };
        Raw::new(at, if quoted { Shape::Quoted } else { Shape::Bare }, chars)
    }
}

/// A place in a query text.
pub(super) struct Cursor<'a> {
    text: &'a str,
    pub at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Cursor<'a> {
        Cursor { text, at: 0 }
    }

    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    pub fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    pub fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Eats an operator, in any of its spellings, if it stands alone.
    pub fn eat_operator(&mut self, spellings: &[&'static str]) -> bool {
        let found = self.operator(spellings);
        self.at += found.map_or(0, str::len);
        found.is_some()
    }

    /// The spelling in which an operator stands here alone.
    pub fn operator(&self, spellings: &[&'static str]) -> Option<&'static str> {
        let stands_here = |word: &&str| {
            self.rest().strip_prefix(word).is_some_and(|after| {
                after.is_empty() || after.starts_with(|c: char| c.is_whitespace() || "()\"".contains(c))
            })
        };
        spellings.iter().copied().find(stands_here)
    }

    /// The quoted string whose opening quote is next.
    pub fn quoted(&mut self) -> Result<Raw, ParseError> {
        let start = self.at;
        let mut chars = Vec::new();
        self.quoted_into(&mut chars)?;
        Ok(Raw::new(start, Shape::Quoted, chars))
    }

    fn quoted_into(&mut self, chars: &mut Vec<Char>) -> Result<(), ParseError> {
        let start = self.at;
        self.bump();
        loop {
            let at = self.at;
            match self.bump() {
                None => {
                    return Err(ParseError::syntax(start, "quote without an end", "expected a closing \""));
                }
                Some('"') => return Ok(()),
                // Only a quote and a backslash need one; before anything else a backslash is itself (Windows paths).
                Some('\\') if matches!(self.peek(), Some('"' | '\\')) => {
                    let c = self.bump().unwrap_or('\\');
                    chars.push(Char { c, literal: true, at });
                }
                Some(c) => chars.push(Char { c, literal: true, at }),
            }
        }
    }

    /// The regular expression whose opening slash is next.
    pub fn regex(&mut self) -> Result<Raw, ParseError> {
        let start = self.at;
        self.bump();
        let mut chars = Vec::new();
        loop {
            let at = self.at;
            match self.bump() {
                None => {
                    return Err(ParseError::syntax(
                        start,
                        "regex without an end",
                        "expected a closing /; quote a text that begins with a slash",
                    ));
                }
                Some('/') => break,
                Some('\\') => match self.bump() {
                    Some('/') => chars.push(Char { c: '/', literal: false, at }),
                    Some(escaped) => {
                        chars.push(Char { c: '\\', literal: false, at });
                        chars.push(Char { c: escaped, literal: false, at: at + 1 });
                    }
                    None => {}
                },
                Some(c) => chars.push(Char { c, literal: false, at }),
            }
        }
        if self.peek().is_some_and(|c| !c.is_whitespace() && c != ')') {
            return Err(ParseError::syntax(
                start,
                format!("regex \"/{}/\" with more text behind it", text_of(&chars)),
                "expected a space after the closing /; quote a text that begins with a slash",
            ));
        }
        Ok(Raw::new(start, Shape::Regex, chars))
    }

    /// Characters up to a space, a parenthesis, a quote or, if asked, a colon; backslashes resolved.
    pub fn bare(&mut self, stop_at_colon: bool) -> Result<Raw, ParseError> {
        let start = self.at;
        let mut chars = Vec::new();
        while let Some(c) = self.peek() {
            if c.is_whitespace() || "()\"".contains(c) || (stop_at_colon && c == ':') {
                break;
            }
            self.bare_char(&mut chars)?;
        }
        Ok(Raw::new(start, Shape::Bare, chars))
    }

    fn bare_char(&mut self, chars: &mut Vec<Char>) -> Result<(), ParseError> {
        let at = self.at;
        match self.bump() {
            Some('\\') => match self.bump() {
                Some(c) => chars.push(Char { c, literal: true, at }),
                None => {
                    return Err(ParseError::syntax(
                        at,
                        "backslash at the end",
                        "expected the character it escapes; a backslash itself is written \\\\",
                    ));
                }
            },
            Some(c) => chars.push(Char { c, literal: false, at }),
            None => {}
        }
        Ok(())
    }

    /// The value of a field: quoted, `/regex/`, `[range]` or bare.
    pub fn value(&mut self, quotes: Quotes) -> Result<Raw, ParseError> {
        let start = self.at;
        let raw = match self.peek() {
            Some('/') => return self.regex(),
            Some('[' | '{') => self.bracket()?,
            Some('"') if quotes != Quotes::Parts => self.quoted()?,
            _ => {
                let mut chars = Vec::new();
                let mut empty_parts = Vec::new();
                while let Some(c) = self.peek() {
                    match c {
                        '"' if quotes == Quotes::Parts || (quotes == Quotes::Ends && is_comparison(&chars)) => {
                            let before = chars.len();
                            self.quoted_into(&mut chars)?;
                            if chars.len() == before {
                                empty_parts.push(before);
                            }
                        }
                        c if c.is_whitespace() || "()\"".contains(c) => break,
                        _ => self.bare_char(&mut chars)?,
                    }
                }
                Raw { empty_parts, ..Raw::new(start, Shape::Bare, chars) }
            }
        };
        self.expect_end(&raw)?;
        Ok(raw)
    }

    fn bracket(&mut self) -> Result<Raw, ParseError> {
        let start = self.at;
        let mut chars = Vec::new();
        loop {
            if self.peek().is_none() {
                return Err(ParseError::syntax(
                    start,
                    "range without an end",
                    "expected ] or }, as in [400 TO 499]; quote a value that begins with a bracket",
                ));
            }
            if self.peek() == Some('"') {
                self.quoted_into(&mut chars)?;
                continue;
            }
            self.bare_char(&mut chars)?;
            if chars.last().is_some_and(|char| is(char, ']') || is(char, '}')) {
                return Ok(Raw::new(start, Shape::Bracket, chars));
            }
        }
    }

    /// A word or value is over only at a space, a closing parenthesis or the end.
    pub fn expect_end(&self, raw: &Raw) -> Result<(), ParseError> {
        match self.peek() {
            Some(c) if !c.is_whitespace() && c != ')' => Err(ParseError::syntax(
                self.at,
                format!("\"{c}\" right behind \"{}\"", raw.text()),
                "expected a space; quote a text that contains spaces, quotes or parentheses",
            )),
            _ => Ok(()),
        }
    }
}
