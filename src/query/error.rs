//! Why a query text was refused: where, what was found, what was expected. Statuses are chosen by the API.

use thiserror::Error;

use super::lex::characters_before;

/// A query text that is not a query. The message says what was found, where, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{found} at {at}; {expected}")]
pub struct ParseError {
    /// Characters (code points) before it in the text, or in the parameter's value where the query came in parameters.
    pub at: usize,
    /// Stable, for machines: one of the constants in [`code`].
    pub code: &'static str,
    /// What was found, for people.
    pub found: String,
    /// What was expected, for people.
    pub expected: String,
}

/// A parameter whose value is not a query.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("parameter {param}: {error}")]
pub struct ParamError {
    /// The parameter's name.
    pub param: String,
    /// What is wrong with its value.
    #[source]
    pub error: ParseError,
}

/// The stable codes of [`ParseError`].
pub mod code {
    /// Parentheses, quotes or operators do not fit together.
    pub const SYNTAX: &str = "syntax";
    /// No field has this name.
    pub const UNKNOWN_FIELD: &str = "unknown_field";
    /// The field exists and does not take this value.
    pub const BAD_VALUE: &str = "bad_value";
    /// A range that nothing lies in.
    pub const EMPTY_RANGE: &str = "empty_range";
    /// A regular expression that is not one, or uses what a linear-time automaton cannot do.
    pub const BAD_REGEX: &str = "bad_regex";
    /// A pattern whose automaton would be too large.
    pub const PATTERN_TOO_COMPLEX: &str = "pattern_too_complex";
    /// More than [`QUERY_BYTES_MAX`](super::super::limits::QUERY_BYTES_MAX) bytes.
    pub const QUERY_TOO_LONG: &str = "query_too_long";
    /// Deeper than [`DEPTH_MAX`](super::super::limits::DEPTH_MAX).
    pub const QUERY_TOO_DEEP: &str = "query_too_deep";
    /// More than [`FILTERS_MAX`](super::super::limits::FILTERS_MAX) filters.
    pub const TOO_MANY_FILTERS: &str = "too_many_filters";
}

impl ParseError {
    /// While a text is read, `at` counts its bytes; see [`ParseError::in_characters`].
    pub(super) fn new(
        code: &'static str,
        at: usize,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> ParseError {
        ParseError { at, code, found: found.into(), expected: expected.into() }
    }

    /// The same with its place in `text` counted in characters, as everybody outside this room counts.
    pub(super) fn in_characters(self, text: &str) -> ParseError {
        ParseError { at: characters_before(text, self.at), ..self }
    }

    /// Something that does not fit where it stands.
    pub(super) fn syntax(at: usize, found: impl Into<String>, expected: impl Into<String>) -> ParseError {
        ParseError::new(code::SYNTAX, at, found, expected)
    }

    /// A value that its field does not take.
    pub(super) fn value(at: usize, found: impl Into<String>, expected: impl Into<String>) -> ParseError {
        ParseError::new(code::BAD_VALUE, at, found, expected)
    }
}
