//! The leaves of a free payload, each with its path.

use super::fold::fold;
use crate::json::{Json, Trail};

/// A scalar of a payload. `null`, `{}` and `[]` say nothing and are no leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf<'a> {
    /// A string, as sent.
    Text(&'a str),
    /// A number's token, as sent.
    Number(&'a str),
    /// `true` or `false`.
    Bool(bool),
}

/// Calls `each` for every scalar of `detail`, which stands at `at`, with its path and the place where it stands itself.
/// Its path: the keys on the way to it, folded, joined by dots.
///
/// The elements of an array stand under the array's path; a dot in a key reads like nesting. So `{"a.b":1}`,
/// `{"a":{"b":1}}` and `{"a":[{"b":1}]}` give the same leaf. A scalar without a key around it has the path ``.
pub fn flatten(detail: &Json, at: &Trail<'_>, each: &mut dyn FnMut(&str, Leaf<'_>, &Trail<'_>)) {
    walk(detail, at, &mut String::with_capacity(64), each);
}

fn walk(value: &Json, at: &Trail<'_>, path: &mut String, each: &mut dyn FnMut(&str, Leaf<'_>, &Trail<'_>)) {
    match value {
        Json::Null => {}
        Json::Bool(value) => each(path, Leaf::Bool(*value), at),
        Json::Number(token) => each(path, Leaf::Number(token), at),
        Json::String(text) => each(path, Leaf::Text(text), at),
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| walk(item, &at.item(index), path, each));
        }
        Json::Object(members) => {
            let parent = path.len();
            for (key, value) in members {
                if parent > 0 {
                    path.push('.');
                }
                push_folded(key, path);
                walk(value, &at.member(key), path, each);
                path.truncate(parent);
            }
        }
    }
}

fn push_folded(key: &str, path: &mut String) {
    if key.is_ascii() {
        let start = path.len();
        path.push_str(key);
        path[start..].make_ascii_lowercase();
    } else {
        path.push_str(&fold(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(json: &str) -> Vec<String> {
        let mut found = Vec::new();
        flatten(&crate::json::parse(json, 32).unwrap(), &Trail::Root, &mut |path, leaf, at| {
            let at = at.pointer();
            found.push(match leaf {
                Leaf::Text(text) => format!("{path}='{text}' {at}"),
                Leaf::Number(token) => format!("{path}={token} {at}"),
                Leaf::Bool(value) => format!("{path}={value} {at}"),
            });
        });
        found
    }

    #[test]
    fn every_scalar_is_found_under_its_folded_path_and_says_where_it_stands() {
        for (json, expected) in [
            (r#"{"a":1}"#, vec!["a=1 /a"]),
            (r#"{"Plan":"Pro","n":1.50,"ok":false}"#, vec!["plan='Pro' /Plan", "n=1.50 /n", "ok=false /ok"]),
            (r#"{"a":{"b":{"c":"x"}}}"#, vec!["a.b.c='x' /a/b/c"]),
            (r#"{"a.b":{"c":"x"}}"#, vec!["a.b.c='x' /a.b/c"]),
            (r#"{"a":[1,"x",[true],{"b":2}]}"#, vec!["a=1 /a/0", "a='x' /a/1", "a=true /a/2/0", "a.b=2 /a/3/b"]),
            (r#"{"a":null,"b":{},"c":[],"d":[{}]}"#, vec![]),
            (r#"{"ÉTÉ":1}"#, vec!["été=1 /ÉTÉ"]),
            (r#"{"":{"x":1}}"#, vec!["x=1 //x"]),
            (r#"{"a":{"":1}}"#, vec!["a.=1 /a/"]),
        ] {
            assert_eq!(leaves(json), expected, "{json}");
        }
    }
}
