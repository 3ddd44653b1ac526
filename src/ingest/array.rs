//! A JSON array of events: only its commas and its end are looked for here. Whether what lies between them is an
//! event, the check of each element says with a pointer of its own.

use super::{EVENTS_MAX, Item, ItemFault, whole};
use crate::event::FaultCode;

/// The texts of the elements; at most one more than a request may have.
///
/// # Errors
/// If the text is not one pair of brackets.
pub(super) fn split(text: &str) -> Result<Vec<Item<'_>>, Vec<ItemFault>> {
    let bytes = text.as_bytes();
    let trimmed = text.trim_ascii_start();
    if !trimmed.starts_with('[') {
        return Err(broken(1, "expected an array"));
    }
    let mut items = Vec::new();
    let mut start = text.len() - trimmed.len() + 1;
    let mut at = start;
    let mut depth = 0_usize;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at).ok_or_else(|| broken(items.len() + 1, "a string does not end"))?,
            b'[' | b'{' => depth += 1,
            b',' if depth == 0 => {
                items.push(Item { line: items.len() + 1, text: &text[start..at], fault: None });
                start = at + 1;
                if items.len() > EVENTS_MAX {
                    return Ok(items);
                }
            }
            b']' if depth == 0 => {
                if !text[at + 1..].trim_ascii().is_empty() {
                    return Err(broken(items.len() + 1, "there is more after the array"));
                }
                let last = &text[start..at];
                if !(items.is_empty() && last.trim_ascii().is_empty()) {
                    items.push(Item { line: items.len() + 1, text: last, fault: None });
                }
                return Ok(items);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    Err(broken(items.len() + 1, "the array does not end"))
}

/// The place of the closing quote of a string that opens at `at`.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

fn broken(line: usize, message: &str) -> Vec<ItemFault> {
    vec![whole(line, FaultCode::InvalidJson, message.to_owned())]
}
