//! How changes and details become single terms. Parts are joined by NUL, which no text of an event contains, so a
//! pattern that stands for one part cannot run into the next: a term has exactly as many NULs as its form says.

use crate::event::{Event, PartKind};
use crate::query::values::{self, ChangeValues};
use crate::text::{self, Leaf};

/// A longer path of keys in `detail` is indexed only by its beginning, enough to find that something is below it.
/// No query text is long enough to name it whole.
const PATH_BYTES_MAX: usize = 8_192;

/// "This part is sealed under this key."
pub fn sealed_under(part: PartKind, key: u64) -> String {
    format!("{}\0{key}", part.as_str())
}

/// The terms of one event's changes, for every combination of what a filter may ask for.
pub fn change_terms(event: &Event, each: &mut dyn FnMut(&str)) {
    values::changes(event).for_each(|change| each(&change_field(&change.field.folded)));
    change_values(event, each);
}

/// Those of them that tell a value.
pub fn change_values(event: &Event, each: &mut dyn FnMut(&str)) {
    for ChangeValues { field, before, after } in values::changes(event) {
        let field = field.folded;
        let (before, after) = (before.map(|before| before.folded), after.map(|after| after.folded));
        if let Some(before) = &before {
            each(&change_before(&field, before));
        }
        if let Some(after) = &after {
            each(&change_after(&field, after));
        }
        if let (Some(before), Some(after)) = (&before, &after) {
            each(&change_both(&field, before, after));
        }
    }
}

/// "This field changed." The parts may be text or patterns.
pub fn change_field(field: &str) -> String {
    ["f", field].concat()
}

/// "This field had this value."
pub fn change_before(field: &str, before: &str) -> String {
    ["b", field, "\0", before].concat()
}

/// "This field got this value."
pub fn change_after(field: &str, after: &str) -> String {
    ["a", field, "\0", after].concat()
}

/// "This field went from this value to that."
pub fn change_both(field: &str, before: &str, after: &str) -> String {
    ["c", field, "\0", before, "\0", after].concat()
}

/// The terms of one event's detail.
pub fn detail_terms(event: &Event, each: &mut dyn FnMut(&str)) {
    values::detail_leaves(event, &mut |path, leaf, _| {
        if path.len() > PATH_BYTES_MAX {
            each(cut(path));
            return;
        }
        each(&detail_text(path, &text::fold_value(values::leaf_text(&leaf))));
        match leaf {
            Leaf::Number(token) => {
                text::number_key(token).iter().for_each(|key| each(&detail_number(path, key)));
            }
            Leaf::Text(text) => {
                text::decimal_key(text).iter().for_each(|key| each(&detail_decimal(path, key)));
            }
            Leaf::Bool(_) => {}
        }
    });
}

/// "This text stands at this path."
pub fn detail_text(path: &str, value: &str) -> String {
    [path, "\0s", value].concat()
}

/// "This number stands at this path."
pub fn detail_number(path: &str, key: &[u8; 10]) -> String {
    with_key(detail_number_prefix(path), key)
}

/// "A text that is this decimal number stands at this path." Ranges find it, equality does not.
pub fn detail_decimal(path: &str, key: &[u8; 10]) -> String {
    with_key(detail_decimal_prefix(path), key)
}

/// Hex keeps the order of the key.
fn with_key(mut term: String, key: &[u8; 10]) -> String {
    for byte in key {
        term.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
        term.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
    }
    term
}

/// What every number at this path begins with.
pub fn detail_number_prefix(path: &str) -> String {
    [path, "\0n"].concat()
}

/// What every text that is a decimal number at this path begins with.
pub fn detail_decimal_prefix(path: &str) -> String {
    [path, "\0d"].concat()
}

fn cut(path: &str) -> &str {
    let mut end = PATH_BYTES_MAX;
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    &path[..end]
}
