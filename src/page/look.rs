//! What every part of the page is rendered with: the address, the viewer's zone and choices, and how values are written.

use chrono_tz::Tz;
use maud::{Markup, html};

use super::format::{cut, push_shown};
use super::prefs::Prefs;
use super::state::State;
use crate::event::Catalogue;
use crate::json::Json;
use crate::query::{Highlights, Mark};

/// Characters of a value that a cell of the list holds; the rest is in the detail.
pub const CELL_CHARACTERS: usize = 120;

/// Everything a part may need besides what it shows.
pub struct Look<'a> {
    /// The address.
    pub state: &'a State,
    /// The viewer's zone.
    pub tz: Tz,
    /// Now.
    pub now_ms: i64,
    /// Names of categories.
    pub catalogue: &'a Catalogue,
    /// The viewer's choices.
    pub prefs: &'a Prefs,
    /// From the document's address to the page: empty, or `../`. So nothing depends on a prefix.
    pub root: &'static str,
}

impl Look<'_> {
    /// The address of the page in this state.
    pub fn href(&self, state: &State) -> String {
        match (self.root, state.query_string()) {
            ("", query) => format!("?{query}"),
            (root, query) if query.is_empty() => root.to_owned(),
            (root, query) => format!("{root}?{query}"),
        }
    }

    /// The address of an entry's own page.
    pub fn entry_href(&self, id: &str) -> String {
        format!("{}entries/{}", self.root, percent(id))
    }
}

/// An id as one segment of a path.
pub fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b'@' => out.push(char::from(byte)),
            // A segment of dots alone would lead elsewhere.
            b'.' if text.bytes().any(|other| other != b'.') => out.push('.'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The stretches to mark in a value.
pub fn marks_of<'a>(highlights: &'a Highlights, pointer: &str) -> &'a [Mark] {
    let found = highlights.values.iter().find(|value| value.pointer == pointer);
    found.map(|value| value.marks.as_slice()).unwrap_or_default()
}

/// A text with its marks; what cannot be seen is shown as an escape.
pub fn marked(text: &str, marks: &[Mark], characters_max: usize) -> Markup {
    let shown = cut(text, characters_max);
    if marks.is_empty() {
        return html! { (super::format::shown(&shown)) };
    }
    let kept = shown.strip_suffix('…').filter(|_| shown.len() != text.len()).unwrap_or(&shown).len();
    let mut pieces: Vec<(bool, String)> = Vec::new();
    for (at, c) in text[..kept].char_indices() {
        let is_marked = marks.iter().any(|mark| mark.bytes.contains(&at));
        match pieces.last_mut() {
            Some((last, piece)) if *last == is_marked => push_shown(c, piece),
            _ => {
                let mut piece = String::new();
                push_shown(c, &mut piece);
                pieces.push((is_marked, piece));
            }
        }
    }
    html! {
        @for (is_marked, piece) in &pieces {
            @if *is_marked { mark { (piece) } } @else { (piece) }
        }
        @if kept < text.len() { "…" }
    }
}

/// A value in one line: a text as it is, a list of plain values with commas, anything else as JSON.
pub fn line_of(value: &Json) -> String {
    match value {
        Json::String(text) if text.is_empty() => "\"\"".to_owned(),
        Json::String(text) => text.clone(),
        Json::Array(items) if !items.is_empty() && items.iter().all(is_plain) => {
            items.iter().map(line_of).collect::<Vec<_>>().join(", ")
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
            let mut out = String::new();
            value.write(&mut out);
            out
        }
    }
}

fn is_plain(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => true,
        Json::Array(_) | Json::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_segment_of_a_path() {
        assert_eq!(percent("evt-1.2_~"), "evt-1.2_~");
        assert_eq!(percent("a/b?c#d%e'f g"), "a%2Fb%3Fc%23d%25e%27f%20g");
        assert_eq!(percent(".."), "%2E%2E");
    }

    #[test]
    fn marks_stay_where_they_were_found_and_markup_is_text() {
        let marks = [Mark { bytes: 1..2, code_points: 1..2 }];
        assert_eq!(marked("<b>", &marks, 9).into_string(), "&lt;<mark>b</mark>&gt;");
        assert_eq!(marked("a\u{202e}b", &[], 9).into_string(), "a\\u{202e}b");
        assert_eq!(marked("abcdef", &marks, 3).into_string(), "a<mark>b</mark>c…");
    }
}
