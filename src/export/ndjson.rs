//! NDJSON: one entry a line, in the same JSON as the API's.

use crate::event::Entry;
use crate::event::row::{self, Added};

/// Appends one line from stored body bytes.
pub fn write_row_from_body(added: &Added<'_>, body: &str, out: &mut String) {
    row::write_row(added, body, out);
    out.push('\n');
}

/// Appends one line.
pub fn write_row(entry: &Entry, category: &str, out: &mut String) {
    write_row_from_body(&Added::to(entry, category), &entry.event.body(), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::SeenParts;
    use crate::seq::Seq;

    #[test]
    fn a_line_break_in_a_value_does_not_break_the_line() {
        let mut out = String::new();
        let (hash, parts) = (&[0; 32], SeenParts::default());
        let added = Added { seq: Seq(1), received_ms: 0, hash, category: "x\ny", parts };
        write_row_from_body(&added, "{\"reason\":\"a\\nb\"}", &mut out);
        assert_eq!(out.matches('\n').count(), 1);
        assert!(out.ends_with("\"reason\":\"a\\nb\"}\n"), "{out}");
    }
}
