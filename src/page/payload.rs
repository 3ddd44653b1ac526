//! JSON for people to read: indented, coloured by kind, numbers exactly as recorded, nothing in it ever a link.

use maud::{Markup, html};

use super::format::shown;
use crate::json::{Json, write_string};

/// A value in one line if it is at most so many characters long.
const LINE_CHARACTERS: usize = 72;

/// The value, indented.
pub fn pretty(value: &Json) -> Markup {
    at(value, 0)
}

fn at(value: &Json, depth: usize) -> Markup {
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => {
            let mut text = String::new();
            value.write(&mut text);
            html! { span class="m" { (text) } }
        }
        Json::String(text) => html! { span class="s" { (quoted(text)) } },
        Json::Array(items) => {
            let is_short = is_short(value);
            html! {
                span class="p" { "[" }
                @for (index, item) in items.iter().enumerate() {
                    (gap(index, is_short, depth, items.len())) (at(item, depth + 1))
                }
                @if !is_short && !items.is_empty() { (line(depth)) }
                span class="p" { "]" }
            }
        }
        Json::Object(members) => {
            let is_short = depth > 0 && is_short(value);
            html! {
                span class="p" { "{" }
                @for (index, (name, member)) in members.iter().enumerate() {
                    (gap(index, is_short, depth, members.len()))
                    @if is_short && index == 0 { " " }
                    span class="k" { (quoted(name)) } ": " (at(member, depth + 1))
                }
                @if !members.is_empty() { @if is_short { " " } @else { (line(depth)) } }
                span class="p" { "}" }
            }
        }
    }
}

fn gap(index: usize, is_short: bool, depth: usize, _len: usize) -> Markup {
    html! {
        @if index > 0 { "," }
        @if !is_short { (line(depth + 1)) } @else if index > 0 { " " }
    }
}

fn line(depth: usize) -> String {
    format!("\n{}", "  ".repeat(depth))
}

fn is_short(value: &Json) -> bool {
    let mut text = String::new();
    value.write(&mut text);
    text.chars().nth(LINE_CHARACTERS).is_none()
}

/// A string as JSON writes it, and what cannot be seen as JSON escapes.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    write_string(text, &mut out);
    if !out.chars().any(super::format::is_treacherous) {
        return out;
    }
    let mut escaped = String::with_capacity(out.len());
    for c in out.chars() {
        match super::format::is_treacherous(c) {
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}"))),
            false => escaped.push(c),
        }
    }
    escaped
}

/// The text of something that is not JSON, which never happens to a body that was stored.
pub fn raw(text: &str) -> Markup {
    html! { (shown(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_as_sent_and_what_cannot_be_seen_is_escaped() {
        let value = crate::json::parse(
            "{\"n\":12.50,\"big\":1e400,\"s\":\"<b>\\u202e\",\"list\":[1,2],\"o\":{\"a\":null}}",
            32,
        )
        .unwrap();
        let text = pretty(&value).into_string();
        let plain =
            text.replace("<span class=\"p\">", "").replace("<span class=\"k\">", "").replace("<span class=\"m\">", "");
        let plain = plain.replace("<span class=\"s\">", "").replace("</span>", "").replace("&quot;", "\"");
        assert_eq!(
            plain,
            "{\n  \"n\": 12.50,\n  \"big\": 1e400,\n  \"s\": \"&lt;b&gt;\\u202e\",\n  \"list\": [1, 2],\n  \"o\": { \"a\": null }\n}"
        );
    }
}
