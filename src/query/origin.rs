//! Where a filter was written: for who shows a query's text with its filters marked.

use std::ops::Range;

use super::lex::characters_before;

/// The stretch of a parameter's value that says one filter: field and value, or in `field:(…)` and in a parameter of
/// the field's own only the value. A sign or NOT before it does not belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The number of the parameter among all that were given.
    pub pair: usize,
    pub(super) bytes: Range<usize>,
}

impl Origin {
    /// Characters before it in the parameter's value, and its own: counted like [`ParseError::at`](super::ParseError).
    pub fn characters(&self, value: &str) -> Range<usize> {
        characters_before(value, self.bytes.start)..characters_before(value, self.bytes.end)
    }
}
