//! NDJSON: one entry a line, in the same JSON as the API's.

use crate::event::{Entry, SeenParts, row};
use crate::seq::Seq;

/// Appends one line from stored body bytes.
pub fn write_row_from_body(
    seq: Seq,
    received_ms: u64,
    hash: &[u8; 32],
    category: &str,
    body: &str,
    parts: SeenParts,
    out: &mut String,
) {
    row::write_row(seq, received_ms, hash, category, body, parts, out);
    out.push('\n');
}

/// Appends one line.
pub fn write_row(entry: &Entry, category: &str, out: &mut String) {
    write_row_from_body(entry.seq, entry.received_ms, &entry.hash, category, &entry.event.body(), entry.parts, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_in_a_value_does_not_break_the_line() {
        let mut out = String::new();
        write_row_from_body(Seq(1), 0, &[0; 32], "x\ny", "{\"reason\":\"a\\nb\"}", SeenParts::default(), &mut out);
        assert_eq!(out.matches('\n').count(), 1);
        assert!(out.ends_with("\"reason\":\"a\\nb\"}\n"), "{out}");
    }
}
