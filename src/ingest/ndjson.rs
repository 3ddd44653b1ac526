//! NDJSON: one event a line. Blank lines are skipped but counted, so that a line number is the sender's.

use super::{EVENTS_MAX, Item, whole};
use crate::event::FaultCode;

/// The lines that are not blank; at most one more than a request may have.
pub(super) fn split(body: &[u8]) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    let mut rest = body;
    let mut line = 0;
    while !rest.is_empty() && items.len() <= EVENTS_MAX {
        line += 1;
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let bytes = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        if bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        items.push(match std::str::from_utf8(bytes) {
            Ok(text) => Item { line, text, fault: None },
            Err(error) => {
                let message = format!("line {line} is not UTF-8 (its byte {})", error.valid_up_to());
                Item { line, text: "", fault: Some(whole(line, FaultCode::InvalidUtf8, message).fault) }
            }
        });
    }
    items
}
