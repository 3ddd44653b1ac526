//! What differs between before and after: objects by path, texts by word. Pure.

use crate::json::Json;

use super::look::line_of;

/// Words of a text that are compared one by one; longer ones differ as a whole.
const WORDS_MAX: usize = 400;
/// Fields of one change that are listed.
const FIELDS_MAX: usize = 500;

/// A field with its two values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, dotted inside objects.
    pub path: String,
    /// Its value before, in one line.
    pub before: Option<String>,
    /// Its value after.
    pub after: Option<String>,
}

/// A stretch of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// The other side does not have it.
    pub is_changed: bool,
}

/// The fields of a change: itself, or what differs inside if both sides are objects; and those that stayed the same.
pub fn fields(name: &str, before: Option<&Json>, after: Option<&Json>) -> (Vec<Field>, Vec<Field>) {
    let (mut changed, mut same) = (Vec::new(), Vec::new());
    compare(name, before, after, &mut changed, &mut same);
    changed.truncate(FIELDS_MAX);
    same.truncate(FIELDS_MAX);
    (changed, same)
}

fn compare(path: &str, before: Option<&Json>, after: Option<&Json>, changed: &mut Vec<Field>, same: &mut Vec<Field>) {
    let inner = |value: Option<&Json>| match value {
        Some(Json::Object(members)) if !members.is_empty() => members.clone(),
        Some(_) | None => Vec::new(),
    };
    let (left, right) = (inner(before), inner(after));
    let is_object = |value: Option<&Json>| matches!(value, None | Some(Json::Object(_)));
    let are_objects = is_object(before) && is_object(after) && !(left.is_empty() && right.is_empty());
    if !are_objects {
        let field = Field { path: path.to_owned(), before: before.map(line_of), after: after.map(line_of) };
        if before == after {
            same.push(field)
        } else {
            changed.push(field)
        }
        return;
    }
    let mut names: Vec<&String> = left.iter().chain(&right).map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    let of = |members: &'_ [(String, Json)], name: &String| members.iter().position(|(key, _)| key == name);
    for name in names {
        let (old, new) = (of(&left, name).map(|at| &left[at].1), of(&right, name).map(|at| &right[at].1));
        compare(&format!("{path}.{name}"), old, new, changed, same);
    }
}

/// Both texts cut into what they share and what they do not.
pub fn words(before: &str, after: &str) -> (Vec<Piece>, Vec<Piece>) {
    let (left, right) = (split(before), split(after));
    let whole = |text: &str| vec![Piece { text: text.to_owned(), is_changed: true }];
    if left.len() > WORDS_MAX || right.len() > WORDS_MAX {
        return (whole(before), whole(after));
    }
    let (is_shared_left, is_shared_right) = shared(&left, &right);
    let has_word = |words: &[&str], is_shared: &[bool]| {
        words.iter().zip(is_shared).any(|(word, is_shared)| *is_shared && word.chars().any(char::is_alphanumeric))
    };
    // Nothing in common but spaces and commas: marking those would only confuse.
    if !has_word(&left, &is_shared_left) {
        return (whole(before), whole(after));
    }
    (pieces(&left, &is_shared_left), pieces(&right, &is_shared_right))
}

/// Words, and what stands between them.
fn split(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (at, c) in text.char_indices() {
        let kind = c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '@');
        if last.is_some_and(|last| last != kind) || (at > start && !kind) {
            words.push(&text[start..at]);
            start = at;
        }
        last = Some(kind);
    }
    if start < text.len() {
        words.push(&text[start..]);
    }
    words
}

/// The longest common subsequence: which words of each side belong to it.
fn shared(left: &[&str], right: &[&str]) -> (Vec<bool>, Vec<bool>) {
    let width = right.len() + 1;
    let mut lengths = vec![0_u16; (left.len() + 1) * width];
    for (i, a) in left.iter().enumerate().rev() {
        for (j, b) in right.iter().enumerate().rev() {
            lengths[i * width + j] = match a == b {
                true => lengths[(i + 1) * width + j + 1] + 1,
                false => lengths[(i + 1) * width + j].max(lengths[i * width + j + 1]),
            };
        }
    }
    let (mut in_left, mut in_right) = (vec![false; left.len()], vec![false; right.len()]);
    let (mut i, mut j) = (0, 0);
    while i < left.len() && j < right.len() {
        if left[i] == right[j] {
            (in_left[i], in_right[j]) = (true, true);
            (i, j) = (i + 1, j + 1);
        } else if lengths[(i + 1) * width + j] >= lengths[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    (in_left, in_right)
}

fn pieces(words: &[&str], is_shared: &[bool]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (word, is_shared) in words.iter().zip(is_shared) {
        match pieces.last_mut() {
            Some(last) if last.is_changed != *is_shared => last.text.push_str(word),
            _ => pieces.push(Piece { text: (*word).to_owned(), is_changed: !is_shared }),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        crate::json::parse(text, 32).unwrap()
    }

    fn drawn(pieces: &[Piece]) -> String {
        pieces
            .iter()
            .map(|piece| if piece.is_changed { format!("[{}]", piece.text) } else { piece.text.clone() })
            .collect()
    }

    #[test]
    fn words_that_differ_are_marked_on_both_sides() {
        for (before, after, left, right) in [
            ("agent", "admin", "[agent]", "[admin]"),
            (
                "inbox, contacts.read",
                "inbox, contacts.write, billing",
                "inbox, [contacts.read]",
                "inbox, [contacts.write, billing]",
            ),
            ("Hello dear Maya", "Hello Maya", "Hello [dear ]Maya", "Hello Maya"),
            ("a, b", "c, d", "[a, b]", "[c, d]"),
            ("停止 one", "停止 two", "停止 [one]", "停止 [two]"),
        ] {
            let (old, new) = words(before, after);
            assert_eq!((drawn(&old).as_str(), drawn(&new).as_str()), (left, right), "{before} / {after}");
            assert_eq!(old.into_iter().map(|piece| piece.text).collect::<String>(), before);
            assert_eq!(new.into_iter().map(|piece| piece.text).collect::<String>(), after);
        }
        let long = "word ".repeat(1_000);
        assert!(words(&long, "x").0[0].is_changed);
    }

    #[test]
    fn objects_are_compared_by_path() {
        let (before, after) = (
            json(r#"{"a":{"x":1.0,"y":2},"b":"s","gone":true}"#),
            json(r#"{"a":{"x":1.50,"y":2},"b":"s","new":[1,2]}"#),
        );
        let (changed, same) = fields("plan", Some(&before), Some(&after));
        let drawn: Vec<String> = changed
            .iter()
            .map(|field| format!("{} {:?} {:?}", field.path, field.before.as_deref(), field.after.as_deref()))
            .collect();
        assert_eq!(
            drawn,
            [r#"plan.a.x Some("1.0") Some("1.50")"#, r#"plan.gone Some("true") None"#, r#"plan.new None Some("1, 2")"#,]
        );
        assert_eq!(same.iter().map(|field| field.path.as_str()).collect::<Vec<_>>(), ["plan.a.y", "plan.b"]);
        assert_eq!(fields("role", Some(&json("\"a\"")), None).0.len(), 1);
    }
}
