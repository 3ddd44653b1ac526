//! The leaves of a free payload, each with its path.

use super::fold::fold;
use crate::json::Json;

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

/// Calls `each` for every scalar of `detail` with its path: the keys on the way to it, folded, joined by dots.
///
/// The elements of an array stand under the array's path; a dot in a key reads like nesting. So `{"a.b":1}`,
/// `{"a":{"b":1}}` and `{"a":[{"b":1}]}` give the same leaf. A scalar without a key around it has the path ``.
pub fn flatten(detail: &Json, each: &mut dyn FnMut(&str, Leaf<'_>)) {
    walk(detail, &mut String::with_capacity(64), each);
}

fn walk(value: &Json, path: &mut String, each: &mut dyn FnMut(&str, Leaf<'_>)) {
    match value {
        Json::Null => {}
        Json::Bool(value) => each(path, Leaf::Bool(*value)),
        Json::Number(token) => each(path, Leaf::Number(token)),
        Json::String(text) => each(path, Leaf::Text(text)),
        Json::Array(items) => items.iter().for_each(|item| walk(item, path, each)),
        Json::Object(members) => {
            let parent = path.len();
            for (key, value) in members {
                if parent > 0 {
                    path.push('.');
                }
                push_folded(key, path);
                walk(value, path, each);
                path.truncate(parent);
            }
        }
    }
}

fn push_folded(key: &str, path: &mut String) {
    if key.is_ascii() {
        path.extend(key.bytes().map(|byte| char::from(byte.to_ascii_lowercase())));
    } else {
        path.push_str(&fold(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(json: &str) -> Vec<String> {
        let mut found = Vec::new();
        flatten(&crate::json::parse(json, 32).unwrap(), &mut |path, leaf| {
            found.push(match leaf {
                Leaf::Text(text) => format!("{path}='{text}'"),
                Leaf::Number(token) => format!("{path}={token}"),
                Leaf::Bool(value) => format!("{path}={value}"),
            });
        });
        found
    }

    #[test]
    fn every_scalar_is_found_under_its_folded_path() {
        for (json, expected) in [
            (r#"{"a":1}"#, vec!["a=1"]),
            (r#"{"Plan":"Pro","n":1.50,"ok":false}"#, vec!["plan='Pro'", "n=1.50", "ok=false"]),
            (r#"{"a":{"b":{"c":"x"}}}"#, vec!["a.b.c='x'"]),
            (r#"{"a.b":{"c":"x"}}"#, vec!["a.b.c='x'"]),
            (r#"{"a":[1,"x",[true],{"b":2}]}"#, vec!["a=1", "a='x'", "a=true", "a.b=2"]),
            (r#"{"a":null,"b":{},"c":[],"d":[{}]}"#, vec![]),
            (r#"{"ÉTÉ":1}"#, vec!["été=1"]),
            (r#"{"":{"x":1}}"#, vec!["x=1"]),
            (r#"{"a":{"":1}}"#, vec!["a.=1"]),
        ] {
            assert_eq!(leaves(json), expected, "{json}");
        }
    }
}
