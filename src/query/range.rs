//! The ways to write a range: `>a`, `>=a`, `<a`, `<=a`, `a..b`, `[a TO b]`, `{a TO b}`. What the sides mean is the
//! filter's matter.

use super::error::ParseError;
use super::lex::{Char, Raw, Shape, is, text_of};

/// One end of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Side {
    pub at: usize,
    pub text: String,
    /// Nothing in it can be an operator.
    pub is_quoted: bool,
}

/// A value that may be a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// No range at all.
    One(Side),
    /// `>a`.
    Above(Side),
    /// `>=a`.
    From(Side),
    /// `<a`.
    Below(Side),
    /// `<=a`.
    UpTo(Side),
    /// `a..b`; a missing side is open.
    Dots(Option<Side>, Option<Side>),
    /// `[a TO b]` and its kin; `*` is open. The flags say whether the side belongs to the range.
    Bracket { from: Option<Side>, from_included: bool, to: Option<Side>, to_included: bool },
}

impl Written {
    pub fn read(raw: &Raw) -> Result<Written, ParseError> {
        match raw.shape {
            Shape::Regex => Err(ParseError::value(
                raw.at,
                format!("regex \"/{}/\"", raw.text()),
                "expected a value or a range, not a regex",
            )),
            Shape::Bracket => bracket(raw),
            Shape::Quoted => Ok(Written::One(side(raw.at, &raw.chars))),
            Shape::Bare => Ok(bare(raw)),
        }
    }
}

/// `[* TO *]`: any value at all.
pub(super) fn is_open(raw: &Raw) -> bool {
    raw.shape == Shape::Bracket && matches!(bracket(raw), Ok(Written::Bracket { from: None, to: None, .. }))
}

pub(super) fn side(at: usize, chars: &[Char]) -> Side {
    let is_quoted = !chars.is_empty() && chars.iter().all(|char| char.literal);
    Side { at: chars.first().map_or(at, |char| char.at), text: text_of(chars), is_quoted }
}

fn bare(raw: &Raw) -> Written {
    let rest = |n: usize| side(raw.at + n, &raw.chars[n..]);
    match raw.chars.as_slice() {
        [a, b, ..] if is(a, '>') && is(b, '=') => Written::From(rest(2)),
        [a, b, ..] if is(a, '<') && is(b, '=') => Written::UpTo(rest(2)),
        [a, ..] if is(a, '>') => Written::Above(rest(1)),
        [a, ..] if is(a, '<') => Written::Below(rest(1)),
        chars => match chars.windows(2).position(|pair| is(&pair[0], '.') && is(&pair[1], '.')) {
            Some(dots) => {
                let open = |chars: &[Char]| (!chars.is_empty()).then(|| side(raw.at, chars));
                Written::Dots(open(&chars[..dots]), open(&chars[dots + 2..]))
            }
            None => Written::One(side(raw.at, chars)),
        },
    }
}

fn bracket(raw: &Raw) -> Result<Written, ParseError> {
    let [open, inner @ .., close] = raw.chars.as_slice() else {
        return Err(malformed(raw));
    };
    let mut words = inner
        .split(|char| char.c.is_whitespace() && !char.literal)
        .filter(|word| !word.is_empty())
        .map(|word| side(raw.at, word));
    let (Some(from), Some(to_word), Some(to), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return Err(malformed(raw));
    };
    if to_word.text != "TO" || to_word.is_quoted {
        return Err(malformed(raw));
    }
    let open_ended = |side: Side| (side.text != "*" || side.is_quoted).then_some(side);
    Ok(Written::Bracket {
        from: open_ended(from),
        from_included: is(open, '['),
        to: open_ended(to),
        to_included: is(close, ']'),
    })
}

fn malformed(raw: &Raw) -> ParseError {
    ParseError::value(
        raw.at,
        format!("range \"{}\"", raw.text()),
        "expected [a TO b], TO in capitals; * leaves a side open",
    )
}
