//! From the bytes of a request to checked events: unpacking, cutting into events (a file per format), checking.
//! What a valid event is, `event` decides; statuses and headers are the API's.

mod array;
mod decompress;
mod ndjson;

use std::fmt;

pub use decompress::{DecompressError, Encoding, decompress};

use crate::event::{Draft, Fault, FaultCode, Intake, validate};

/// Events in one request.
pub const EVENTS_MAX: usize = 10_000;
/// One request, unpacked: 16 MiB. Bytes.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How a body holds its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Object,
    /// A JSON array of objects.
    Array,
    /// One JSON object a line.
    Ndjson,
}

/// The text of one event, not yet parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Where it stands, from 1: its line, or its place in an array.
    pub line: usize,
    /// Its text; empty if `fault` says why there is none.
    pub text: &'a str,
    /// A line that is not UTF-8 spoils only itself.
    pub fault: Option<Fault>,
}

/// A fault, and the line it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemFault {
    /// From 1: a line, or a place in an array.
    pub line: usize,
    /// What is wrong there.
    pub fault: Fault,
}

impl fmt::Display for ItemFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fault)
    }
}

impl Format {
    /// The format of a JSON body that does not say: an array begins with `[`.
    pub fn of_json(body: &[u8]) -> Format {
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'[') => Format::Array,
            _ => Format::Object,
        }
    }
}

/// Cuts a request into events without copying. An empty NDJSON body or array holds no event.
///
/// # Errors
/// What spoils the whole request: too large, too many events, an array that is none, an object or array that is not
/// UTF-8.
pub fn split(body: &[u8], format: Format) -> Result<Vec<Item<'_>>, Vec<ItemFault>> {
    if body.len() > REQUEST_BYTES_MAX {
        let message = format!("the request has {} bytes, more than {REQUEST_BYTES_MAX}", body.len());
        return Err(vec![whole(1, FaultCode::TooLarge, message)]);
    }
    let items = match format {
        Format::Object => vec![Item { line: 1, text: utf8(body)?, fault: None }],
        Format::Array => array::split(utf8(body)?)?,
        Format::Ndjson => ndjson::split(body),
    };
    if items.len() > EVENTS_MAX {
        let message = format!("the request has more than {EVENTS_MAX} events");
        return Err(vec![whole(items[EVENTS_MAX].line, FaultCode::TooLarge, message)]);
    }
    Ok(items)
}

/// Checks every event on its own; the answers stand in the order of `items`.
pub fn validate_all(items: &[Item<'_>], intake: &Intake<'_>) -> Vec<Result<Draft, Vec<Fault>>> {
    let check = |item: &Item<'_>| match &item.fault {
        Some(fault) => Err(vec![fault.clone()]),
        None => validate(item.text, intake),
    };
    items.iter().map(check).collect()
}

/// A body as text; the fault names the line of the first byte that is none.
fn utf8(body: &[u8]) -> Result<&str, Vec<ItemFault>> {
    std::str::from_utf8(body).map_err(|error| {
        let line = 1 + body[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        let message = format!("line {line} is not UTF-8 (byte {} of the request)", error.valid_up_to());
        vec![whole(line, FaultCode::InvalidUtf8, message)]
    })
}

fn whole(line: usize, code: FaultCode, message: String) -> ItemFault {
    ItemFault { line, fault: Fault { code, pointer: String::new(), message } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Catalogue;

    fn lines(body: &[u8], format: Format) -> Vec<(usize, &str)> {
        split(body, format).unwrap().into_iter().map(|item| (item.line, item.text)).collect()
    }

    fn refusal(body: &[u8], format: Format) -> (usize, &'static str) {
        let faults = split(body, format).unwrap_err();
        (faults[0].line, faults[0].fault.code.as_str())
    }

    #[test]
    fn events_are_cut_out_and_keep_their_place() {
        for (format, body, expected) in [
            (Format::Object, " {\"a\":1} ", vec![(1, " {\"a\":1} ")]),
            (Format::Ndjson, "", vec![]),
            (Format::Ndjson, "{}\n\n \t\r\n{\"a\":1}\r\n", vec![(1, "{}"), (4, "{\"a\":1}\r")]),
            (Format::Ndjson, "{}\n{}", vec![(1, "{}"), (2, "{}")]),
            (Format::Array, "[]", vec![]),
            (Format::Array, " [ ] ", vec![]),
            (Format::Array, r#"[{"a":"],\"["},[1,{}], 2]"#, vec![(1, r#"{"a":"],\"["}"#), (2, "[1,{}]"), (3, " 2")]),
            (Format::Array, "[{},]", vec![(1, "{}"), (2, "")]),
        ] {
            assert_eq!(lines(body.as_bytes(), format), expected, "{body}");
        }
    }

    #[test]
    fn what_spoils_a_request_is_named_with_its_line() {
        assert_eq!(refusal(b"{}\n\xff", Format::Object), (2, "invalid_utf8"));
        assert_eq!(refusal(b"[\n\n\xff]", Format::Array), (3, "invalid_utf8"));
        for array in ["", "[", "{}", "[{}", "[{}] x", "[\"]", "[1]]"] {
            assert_eq!(refusal(array.as_bytes(), Format::Array).1, "invalid_json", "{array}");
        }
        assert_eq!(refusal(&vec![b' '; REQUEST_BYTES_MAX + 1], Format::Ndjson).1, "too_large");
        assert_eq!(refusal("{}\n".repeat(EVENTS_MAX + 1).as_bytes(), Format::Ndjson), (EVENTS_MAX + 1, "too_large"));
        assert_eq!(lines("{}\n".repeat(EVENTS_MAX).as_bytes(), Format::Ndjson).len(), EVENTS_MAX);
        let array = format!("[{}{{}}]", "{},".repeat(EVENTS_MAX));
        assert_eq!(refusal(array.as_bytes(), Format::Array), (EVENTS_MAX + 1, "too_large"));
    }

    #[test]
    fn a_bad_line_spoils_only_itself() {
        let body = b"{\"actor\":\"system\",\"action\":\"x\"}\n{\"actor\":\"\xff\"}\nnonsense\n{\"actor\":\"system\",\"action\":\"y\"}\n";
        let items = split(body, Format::Ndjson).unwrap();
        let intake = Intake {
            now_ms: 1_795_181_527_412,
            tenant: "acme",
            is_only_tenant: false,
            catalogue: Catalogue::builtin(),
            subject_types: None,
        };
        let verdicts: Vec<Result<(), &str>> = validate_all(&items, &intake)
            .into_iter()
            .map(|verdict| verdict.map(|_| ()).map_err(|faults| faults[0].code.as_str()))
            .collect();
        assert_eq!(verdicts, [Ok(()), Err("invalid_utf8"), Err("invalid_json"), Ok(())]);
    }

    #[test]
    fn a_json_body_shows_its_format_by_its_first_byte() {
        assert_eq!(Format::of_json(b" \n[{}]"), Format::Array);
        assert_eq!(Format::of_json(b"{}"), Format::Object);
        assert_eq!(Format::of_json(b""), Format::Object);
    }
}
