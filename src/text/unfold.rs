//! The way back from folded text to the text it was made of: which characters to mark for a word that was found.
//!
//! Folding changes lengths (`İ`, decomposed accents), so this needs a map. It is made when something is shown, never
//! while indexing.

use std::borrow::Cow;
use std::iter::once;
use std::ops::Range;

use unicode_normalization::char::{canonical_combining_class, is_combining_mark};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::fold::{fold, lower_first};

/// Leads from the bytes of a folded text to those of the original.
pub struct Unfolding<'a> {
    original: &'a str,
    /// Stretches that fold each by itself, in order; none where folding moved no byte.
    pieces: Vec<Piece>,
}

/// Where a stretch begins in both texts, bytes.
struct Piece {
    folded: usize,
    original: usize,
}

impl<'a> Unfolding<'a> {
    /// Of [`fold`] of this text.
    pub fn of(original: &'a str) -> Unfolding<'a> {
        let is_in_place = original.is_ascii() || matches!(fold(original), Cow::Borrowed(_));
        Unfolding { original, pieces: if is_in_place { Vec::new() } else { pieces(original) } }
    }

    /// The bytes of the original that the bytes `folded` came from: whole characters, each with its combining marks.
    pub fn original(&self, folded: Range<usize>) -> Range<usize> {
        if self.pieces.is_empty() {
            return self.with_marks(folded);
        }
        let first = self.pieces.partition_point(|piece| piece.folded <= folded.start).saturating_sub(1);
        let behind = self.pieces.partition_point(|piece| piece.folded < folded.end);
        let end = self.pieces.get(behind).map_or(self.original.len(), |piece| piece.original);
        self.with_marks(self.pieces[first].original..end)
    }

    /// No mark is parted from what it sits on. Words keep theirs together; one that was cut for its length may not.
    fn with_marks(&self, range: Range<usize>) -> Range<usize> {
        let (before, behind) = (&self.original[..range.start], &self.original[range.end..]);
        let marks_behind: usize = behind.chars().take_while(|char| is_combining_mark(*char)).map(char::len_utf8).sum();
        let is_baseless = self.original[range.start..].starts_with(is_combining_mark);
        let start = if is_baseless { before.rfind(|char| !is_combining_mark(char)).unwrap_or(0) } else { range.start };
        start..range.end + marks_behind
    }
}

fn pieces(original: &str) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(original.len());
    let (mut start, mut folded) = (0, 0);
    let ends = original.char_indices().filter(|(_, char)| begins_piece(*char)).map(|(at, _)| at);
    for end in ends.chain([original.len()]).filter(|end| *end > 0) {
        pieces.push(Piece { folded, original: start });
        folded += fold(&original[start..end]).len();
        start = end;
    }
    pieces
}

/// Whether folding treats this character independently of what stands before it: its first part, fully decomposed,
/// neither moves behind other marks nor composes with an earlier character (UAX #15).
fn begins_piece(char: char) -> bool {
    if char.is_ascii() {
        return true;
    }
    let first = once(lower_first(char)).nfd().next().unwrap_or(char);
    canonical_combining_class(first) == 0 && is_nfc_quick(once(first)) == IsNormalized::Yes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What in `value` the first occurrence of `word` in its folded form came from.
    fn unfolded<'a>(value: &'a str, word: &str) -> &'a str {
        let folded = fold(value);
        let at = folded.find(word).unwrap_or_else(|| panic!("{word} is not in {folded}"));
        &value[Unfolding::of(value).original(at..at + word.len())]
    }

    #[test]
    fn folded_text_leads_back_to_the_characters_it_came_from() {
        for (value, word, expected) in [
            ("Maya L", "l", "L"),
            ("say CAFE\u{301} now", "café", "CAFE\u{301}"),
            ("İİstanbul x", "i\u{307}stanbul", "İstanbul"),
            ("İİ x", "x", "x"),
            ("ΟΔΟΣ ΑΒ", "οδοσ", "ΟΔΟΣ"),
            ("STRAẞE 1", "straße", "STRAẞE"),
            ("ᏸ Ꮳx", "x", "x"),
            // Half of what one character became still is that character.
            ("xİ", "i", "İ"),
            // An accent that composes lies in its letter; one that does not goes with it all the same.
            ("xe\u{301}Y", "é", "e\u{301}"),
            ("Xq\u{301}y", "q", "q\u{301}"),
            ("X हिन्दी", "हिन", "हिन्"),
            ("X\u{958}", "\u{915}\u{93c}", "\u{958}"),
            ("X 각", "각", "각"),
            ("X \u{1100}\u{1161}\u{11a8}", "각", "\u{1100}\u{1161}\u{11a8}"),
            // Marks out of order are put in order within their piece.
            ("Xa\u{301}\u{323}b", "b", "b"),
            ("X\u{1F600}Y", "y", "Y"),
            ("\u{301}X", "\u{301}", "\u{301}"),
        ] {
            assert_eq!(unfolded(value, word), expected, "{word} in {value}");
        }
    }

    proptest! {
        #[test]
        fn every_stretch_comes_from_characters_that_fold_to_it(
            value in "[a-zİIßςΣe\u{301}\u{307}\u{323}\u{327}ǅ\u{1100}\u{1161}\u{11a8}각क\u{93c}\u{94d}\u{958}\u{f73}\u{1D160}東 @+]{0,12}|\\PC{0,20}",
            (a, b) in (0..40_usize, 0..40_usize),
        ) {
            let folded = fold(&value);
            let (from, to) = (folded.floor_char_boundary(a.min(b)), folded.floor_char_boundary(a.max(b)));
            prop_assume!(from < to);
            let range = Unfolding::of(&value).original(from..to);
            let shown = value.get(range);
            prop_assert!(shown.is_some_and(|shown| fold(shown).contains(&folded[from..to])), "{shown:?}");
        }

        #[test]
        fn pieces_fold_to_what_the_whole_folds_to(value in "\\PC{0,20}|[\u{0}-\u{10FFFF}]{0,12}|[A-Ze\u{300}-\u{34F}\u{f71}-\u{f84}\u{1100}-\u{11ff}]{0,12}") {
            let folded = fold(&value);
            let mut pieces = pieces(&value).into_iter().peekable();
            let mut together = String::new();
            while let Some(piece) = pieces.next() {
                prop_assert_eq!(piece.folded, together.len());
                let end = pieces.peek().map_or(value.len(), |next| next.original);
                together.push_str(&fold(&value[piece.original..end]));
            }
            prop_assert_eq!(together, folded);
        }
    }
}
