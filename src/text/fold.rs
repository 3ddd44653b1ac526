//! Folding: one spelling for what people mean by "the same text".

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// How much of a whole value is compared and indexed, bytes before folding. A term of the index holds at most
/// 65,530 bytes; 8 KiB keeps folded values well below that and longer than any id or name.
pub const VALUE_BYTES_MAX: usize = 8192;

/// Lower case in Unicode normal form C; borrowed when the text already is.
///
/// Character by character on purpose: a final sigma folds like any other (`ς` → `σ`), so that a prefix of a word
/// folds to a prefix of the folded word.
pub fn fold(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    if bytes.is_ascii() {
        return if bytes.iter().any(u8::is_ascii_uppercase) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        };
    }
    if is_nfc(text) && text.chars().all(|char| lower_first(char) == char && char != 'ς') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.chars().flat_map(char::to_lowercase).map(|char| if char == 'ς' { 'σ' } else { char }).nfc().collect(),
    )
}

/// The first of the characters that this one is in lower case.
pub(super) fn lower_first(char: char) -> char {
    char.to_lowercase().next().unwrap_or(char)
}

/// [`fold`] of the first [`VALUE_BYTES_MAX`] bytes, cut at a character's border before folding.
pub fn fold_value(text: &str) -> Cow<'_, str> {
    fold(cut(text, VALUE_BYTES_MAX))
}

/// The longest prefix of at most `bytes_max` bytes that ends at a character's border.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_composition_do_not_matter() {
        for (text, folded) in [
            ("maya", "maya"),
            ("Maya@Example.COM", "maya@example.com"),
            ("CAFE\u{301}", "caf\u{e9}"),
            ("ŁÓDŹ", "łódź"),
            ("ΟΔΟΣ", "οδοσ"),
            ("οδος", "οδοσ"),
            ("МАЙЯ", "майя"),
            ("マヤ", "マヤ"),
            ("İ", "i\u{307}"),
            ("", ""),
        ] {
            assert_eq!(fold(text), folded, "{text}");
            assert_eq!(fold(&fold(text)), folded, "folding {text} twice");
        }
    }

    #[test]
    fn what_is_folded_already_is_borrowed() {
        for text in ["c_9", "café", "东京"] {
            assert!(matches!(fold(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn a_long_value_is_cut_at_a_characters_border() {
        let long = format!("{}é", "A".repeat(VALUE_BYTES_MAX - 1));
        assert_eq!(fold_value(&long), "a".repeat(VALUE_BYTES_MAX - 1));
    }
}
