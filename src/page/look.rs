//! What every part of the page is rendered with: the address, the viewer's zone and choices, and how values are
//! written.

use std::borrow::Cow;

use chrono_tz::Tz;
use maud::{Markup, html};

use super::format::{cut, push_shown};
use super::prefs::Prefs;
use super::state::State;
use crate::event::{Catalogue, Entry};
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
    /// What the visitor may do: what they may not is not offered.
    pub rights: Rights,
}

/// What a visitor may do beside looking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Take the list away as a file.
    pub export: bool,
    /// Save and remove views.
    pub save_views: bool,
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
    pub fn entry_href(&self, entry: &Entry) -> String {
        format!("{}entries/{}", self.root, segment(entry))
    }
}

/// An entry as one segment of a path: its id, or its place in the log where a path could not say the id.
pub fn segment(entry: &Entry) -> String {
    let id = &entry.event.id;
    let is_another_name = id.starts_with('@') || id.ends_with(".json");
    // Browsers take a segment of dots for the way up, however it is written.
    let is_way_up = id.bytes().all(|byte| byte == b'.');
    if is_another_name || is_way_up {
        return format!("@{}", entry.seq);
    }
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b'.' => out.push(char::from(byte)),
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
    let kept = match &shown {
        Cow::Borrowed(_) => text.len(),
        Cow::Owned(with_ellipsis) => with_ellipsis.len() - '…'.len_utf8(),
    };
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
        let mut entry = crate::page::samples::entry();
        for (id, name) in [
            ("evt-1.2_~", "evt-1.2_~"),
            ("a/b?c#d%e'f g", "a%2Fb%3Fc%23d%25e%27f%20g"),
            ("..", "@7"),
            ("@5", "@7"),
            ("x.json", "@7"),
        ] {
            entry.event.id = id.to_owned();
            assert_eq!(segment(&entry), name);
        }
    }

    #[test]
    fn marks_stay_where_they_were_found_and_markup_is_text() {
        let marks = [Mark { bytes: 1..2, code_points: 1..2 }];
        assert_eq!(marked("<b>", &marks, 9).into_string(), "&lt;<mark>b</mark>&gt;");
        assert_eq!(marked("a\u{202e}b", &[], 9).into_string(), "a\\u{202e}b");
        assert_eq!(marked("abcdef", &marks, 3).into_string(), "a<mark>b</mark>c…");
    }
}
