//! The one JSON rendering of an entry: what the API answers, what exports and streams carry.

use std::fmt::Write;

use crate::clock::rfc3339_ms;
use crate::event::{Entry, SeenParts};
use crate::seq::Seq;

/// What stands in a row beside the body.
#[derive(Clone, Copy, Debug)]
pub struct Added<'a> {
    /// The entry's place in the log.
    pub seq: Seq,
    /// When it was appended, ms.
    pub received_ms: u64,
    /// Its leaf hash.
    pub hash: &'a [u8; 32],
    /// The slug of its category.
    pub category: &'a str,
    /// What the reader got of what is sealed.
    pub parts: SeenParts,
}

impl<'a> Added<'a> {
    /// To an entry.
    pub fn to(entry: &'a Entry, category: &'a str) -> Added<'a> {
        Added { seq: entry.seq, received_ms: entry.received_ms, hash: &entry.hash, category, parts: entry.parts }
    }
}

/// Appends `{"seq":…,"received":"…Z","category":"…","hash":"<64 hex>",<members of body>}` (no line end).
///
/// The body is spliced in as stored: what was hashed is what is shown. It must be the body of an event. Where something of it is sealed
/// `personal` says what the reader got of that: `{"content":"open","who":"erased"}`.
pub fn write_row(added: &Added<'_>, body: &str, out: &mut String) {
    let Added { seq, received_ms, hash, category, parts } = *added;
    out.reserve(body.len() + category.len() + 160);
    write!(out, "{{\"seq\":{seq},\"received\":\"").expect("writing to a String cannot fail");
    out.push_str(&rfc3339_ms(i64::try_from(received_ms).unwrap_or(i64::MAX)));
    out.push_str("\",\"category\":");
    crate::json::write_string(category, out);
    out.push_str(",\"hash\":\"");
    push_hex(hash, out);
    out.push('"');
    for (n, (kind, seen)) in parts.iter().enumerate() {
        let before = if n == 0 { ",\"personal\":{" } else { "," };
        write!(out, "{before}\"{}\":\"{}\"", kind.as_str(), seen.as_str()).expect("writing to a String cannot fail");
    }
    out.push_str(if parts == SeenParts::default() { "," } else { "}," });
    out.push_str(body.strip_prefix('{').unwrap_or(body));
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    push_hex(bytes, &mut out);
    out
}

/// Appends lower-case hexadecimal digits.
pub fn push_hex(bytes: &[u8], out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(char::from(HEX[usize::from(byte >> 4)]));
        out.push(char::from(HEX[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_the_servers_members_and_then_the_body() {
        let mut out = String::new();
        let added = Added {
            seq: Seq(7),
            received_ms: 1_795_181_527_412,
            hash: &[0xab; 32],
            category: "contacts",
            parts: SeenParts::default(),
        };
        write_row(&added, r#"{"id":"1","n":1.0}"#, &mut out);
        let hash = "ab".repeat(32);
        assert_eq!(
            out,
            format!(
                r#"{{"seq":7,"received":"2026-11-20T13:32:07.412Z","category":"contacts","hash":"{hash}","id":"1","n":1.0}}"#
            )
        );
    }
}
