//! Words: how a value is cut into what a search for words, phrases and parts of ids can find.
//!
//! A *run* is a stretch of word characters and joiners (`@ . - _ : / + ' \`) with the joiners at its ends cut off.
//! Its *parts* lie between the joiners, each at the next position; scripts without spaces are cut further at the
//! word bounds of UAX #29. Beside its parts a run with joiners inside is a word itself (an address, an id, a path),
//! a part with accents also counts without them, and a phone number also without its country code.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

use super::fold::{cut, fold};

/// Longer parts are cut here, in values and in queries alike; longer runs are found by their parts only. Bytes.
pub const TOKEN_BYTES_MAX: usize = 256;

/// A phone number in international form has this many digits (E.164: at most 15).
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Country codes have 1 to 3 digits (E.164).
const COUNTRY_DIGITS_MAX: usize = 3;
const UUID_BYTES: usize = 36;

/// A folded word of a value. Several tokens can share a position: different ways to find the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// The word, folded.
    pub text: &'a str,
    /// The number of the part in its value, from 0.
    pub position: u32,
}

/// Calls `each` for every token of one value, positions ascending.
pub fn tokens(value: &str, each: &mut dyn FnMut(Token<'_>)) {
    cut_folded(&fold(value), |token, _| each(token));
}

/// The same with the bytes of the folded value that the token was made from, which [`Unfolding`](super::Unfolding)
/// leads back to the value itself.
pub fn placed_tokens(value: &str, each: &mut dyn FnMut(Token<'_>, Range<usize>)) {
    cut_folded(&fold(value), each);
}

/// Generic, so that indexing, which does not ask for places, does not pay for them either.
fn cut_folded(folded: &str, mut each: impl FnMut(Token<'_>, Range<usize>)) {
    let mut position = 0;
    each_run(folded, &mut |run_at, run, is_plus_before| {
        let first = position;
        let mut parts = 0;
        each_part(run, &mut |at, part| {
            parts += 1;
            if parts == 2 && run.len() <= TOKEN_BYTES_MAX && has_joiner(run) {
                each(Token { text: run, position: first }, run_at..run_at + run.len());
            }
            let place = run_at + at..run_at + at + part.len();
            each(Token { text: part, position }, place.clone());
            without_accents(part, &mut |plain| each(Token { text: plain, position }, place.clone()));
            position += 1;
        });
        if is_plus_before && PHONE_DIGITS.contains(&run.len()) && run.bytes().all(|byte| byte.is_ascii_digit()) {
            for dropped in 1..=COUNTRY_DIGITS_MAX {
                each(Token { text: &run[dropped..], position: first }, run_at + dropped..run_at + run.len());
            }
        }
    });
}

/// The parts that a searched word or phrase must match, one per position, consecutively in one value.
/// Empty when the text has no word character.
pub fn query_tokens(word: &str) -> Vec<String> {
    let folded = fold(word);
    let mut parts = Vec::new();
    each_run(&folded, &mut |_, run, _| each_part(run, &mut |_, part| parts.push(part.to_owned())));
    parts
}

/// Whether a word is of a script without spaces, in which each character is a part by itself whatever follows it: Chinese or Thai,
/// but not Katakana, whose runs stay whole. Then whatever begins with the word has its parts as well.
pub fn is_unspaced(word: &str) -> bool {
    let folded = fold(word);
    let mut parts_bytes = 0;
    for part in query_tokens(word) {
        parts_bytes += part.len();
        if part.is_ascii() || part.repeat(2).split_word_bounds().count() != 2 {
            return false;
        }
    }
    parts_bytes == folded.len() && !folded.is_empty()
}

/// Runs of `text`, each with its first byte there, and whether a `+` stood directly before.
fn each_run(text: &str, each: &mut dyn FnMut(usize, &str, bool)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        // To the first word character; the joiners on the way are the ones trimmed at the run's start.
        let Some((start, after)) = next_word_char(text, at) else {
            return;
        };
        let mut end = after;
        let mut next = after;
        while next < bytes.len() {
            match char_at(text, next) {
                (len, OfChar::Word) => {
                    next += len;
                    end = next;
                }
                (len, OfChar::Joiner) => next += len,
                (_, OfChar::Other) => break,
            }
        }
        each(start, &text[start..end], start > 0 && bytes[start - 1] == b'+');
        at = next;
    }
}

/// The first word character at or after `at`: its start and its end.
fn next_word_char(text: &str, mut at: usize) -> Option<(usize, usize)> {
    while at < text.len() {
        let (len, what) = char_at(text, at);
        if what == OfChar::Word {
            return Some((at, at + len));
        }
        at += len;
    }
    None
}

/// The bytes of the character at `at`, and what it is to words.
fn char_at(text: &str, at: usize) -> (usize, OfChar) {
    if let Some(what) = OF_ASCII.get(text.as_bytes()[at] as usize) {
        return (1, *what);
    }
    match text[at..].chars().next() {
        Some(char) if char.is_alphanumeric() || is_combining_mark(char) => (char.len_utf8(), OfChar::Word),
        char => (char.map_or(1, char::len_utf8), OfChar::Other),
    }
}

/// The parts of one run, each with its first byte there.
fn each_part(run: &str, each: &mut dyn FnMut(usize, &str)) {
    let bytes = run.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        if is_joiner(bytes[start]) {
            start += 1;
            continue;
        }
        if is_uuid_at(bytes, start) {
            each(start, &run[start..start + UUID_BYTES]);
            start += UUID_BYTES;
            continue;
        }
        let piece_len = bytes[start..].iter().position(|byte| is_joiner(*byte));
        let end = piece_len.map_or(bytes.len(), |len| start + len);
        let piece = &run[start..end];
        if piece.is_ascii() {
            each(start, cut(piece, TOKEN_BYTES_MAX));
        } else {
            piece.split_word_bound_indices().for_each(|(at, part)| each(start + at, cut(part, TOKEN_BYTES_MAX)));
        }
        start = end;
    }
}

fn has_joiner(run: &str) -> bool {
    run.bytes().any(is_joiner)
}

/// Whether a whole UUID (8-4-4-4-12 hexadecimal digits) begins at `start` and ends at the border of a part.
fn is_uuid_at(bytes: &[u8], start: usize) -> bool {
    let Some(candidate) = bytes.get(start..start + UUID_BYTES) else {
        return false;
    };
    let ends_at_border = bytes.get(start + UUID_BYTES).is_none_or(|byte| is_joiner(*byte));
    ends_at_border
        && candidate[8] == b'-'
        && candidate.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Gives a part with accented or special Latin letters once more in plain ASCII letters (café → cafe, straße →
/// strasse). Letters of other scripts keep their marks: й is not и.
fn without_accents(part: &str, each: &mut dyn FnMut(&str)) {
    if part.is_ascii() {
        return;
    }
    let mut plain = String::with_capacity(part.len());
    let mut is_changed = false;
    for char in part.chars() {
        if char.is_ascii() {
            plain.push(char);
        } else if let Some(letters) = special_latin(char) {
            plain.push_str(letters);
            is_changed = true;
        } else if is_combining_mark(char) && plain.ends_with(|last: char| last.is_ascii_alphabetic()) {
            is_changed = true;
        } else {
            match std::iter::once(char).nfd().next().filter(char::is_ascii_alphabetic) {
                Some(base) => {
                    plain.push(base);
                    is_changed = true;
                }
                None => plain.push(char),
            }
        }
    }
    if is_changed {
        each(cut(&plain, TOKEN_BYTES_MAX));
    }
}

/// Latin letters that do not decompose into an ASCII letter and a mark.
fn special_latin(char: char) -> Option<&'static str> {
    Some(match char {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ħ' => "h",
        'ı' => "i",
        'ŋ' => "n",
        'ŧ' => "t",
        'ĳ' => "ij",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        _ => return None,
    })
}

fn is_joiner(byte: u8) -> bool {
    OF_ASCII.get(byte as usize) == Some(&OfChar::Joiner)
}

/// What a character is to words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OfChar {
    Word,
    Joiner,
    Other,
}

/// Looked up: every byte of a text is asked for at least once.
const OF_ASCII: [OfChar; 128] = {
    let mut table = [OfChar::Other; 128];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = match byte as u8 {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => OfChar::Word,
            b'@' | b'.' | b'-' | b'_' | b':' | b'/' | b'+' | b'\'' | b'\\' => OfChar::Joiner,
            _ => OfChar::Other,
        };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scripts_without_spaces_are_told_from_others() {
        let unspaced = ["東", "東京都", "停止しました", "สวัสดี", "สวัส"];
        let others = ["", "-", "マヤ", "しマ", "서울", "नम", "東京2", "東京tower", "東-京", "東 京", "a", "ab", "café"];
        assert!(unspaced.iter().all(|word| is_unspaced(word)));
        assert_eq!(others.iter().find(|word| is_unspaced(word)), None);
    }

    fn shown(value: &str) -> String {
        let mut shown = Vec::new();
        tokens(value, &mut |token| shown.push(format!("{}:{}", token.position, token.text)));
        shown.join(" ")
    }

    #[test]
    fn values_are_cut_into_words_parts_and_wholes() {
        let uuid = "0190c2f0-7b5e-7c3a-9f21-0242ac120002";
        for (value, expected) in [
            ("", ""),
            (" -- ", ""),
            ("Shift lead", "0:shift 1:lead"),
            ("maya@example.com", "0:maya 0:maya@example.com 1:example 2:com"),
            ("c_8FQ2M0", "0:c 0:c_8fq2m0 1:8fq2m0"),
            ("+14155550123", "0:14155550123 0:4155550123 0:155550123 0:55550123"),
            ("call +14155550123.", "0:call 1:14155550123 1:4155550123 1:155550123 1:55550123"),
            ("+1-415", "0:1 0:1-415 1:415"),
            ("+123456", "0:123456"),
            ("Café", "0:café 0:cafe"),
            ("cafe\u{301}", "0:café 0:cafe"),
            ("Straße Łódź smørrebrød", "0:straße 0:strasse 1:łódź 1:lodz 2:smørrebrød 2:smorrebrod"),
            ("Việt", "0:việt 0:viet"),
            ("Майя й", "0:майя 1:й"),
            ("don't", "0:don 0:don't 1:t"),
            ("a,b;c", "0:a 1:b 2:c"),
            ("..a..b..", "0:a 0:a..b 1:b"),
            ("東京都", "0:東 1:京 2:都"),
            ("マヤさん", "0:マヤ 1:さ 2:ん"),
            ("arn:aws:iam::1:user/x", "0:arn 0:arn:aws:iam::1:user/x 1:aws 2:iam 3:1 4:user 5:x"),
            (r"CORP\maya", r"0:corp 0:corp\maya 1:maya"),
            (uuid, &format!("0:{uuid}")),
            (&format!("job/{uuid}/x"), &format!("0:job 0:job/{uuid}/x 1:{uuid} 2:x")),
            (&format!("{uuid}0"), &format!("0:0190c2f0 0:{uuid}0 1:7b5e 2:7c3a 3:9f21 4:0242ac1200020")),
            ("हिन्दी", "0:हिन्दी"),
            ("<b>x</b>", "0:b 1:x 2:b"),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }

    #[test]
    fn a_searched_word_is_its_parts() {
        for (word, expected) in [
            ("maya@example.com", vec!["maya", "example", "com"]),
            ("example.com", vec!["example", "com"]),
            ("C_8FQ2M0", vec!["c", "8fq2m0"]),
            ("+14155550123", vec!["14155550123"]),
            ("4155550123", vec!["4155550123"]),
            ("CAFÉ", vec!["café"]),
            ("東京", vec!["東", "京"]),
            ("shift lead", vec!["shift", "lead"]),
            ("--", vec![]),
        ] {
            assert_eq!(query_tokens(word), expected, "{word}");
        }
    }

    #[test]
    fn long_parts_are_cut_the_same_in_values_and_queries_and_long_runs_have_no_whole() {
        let long = "a".repeat(300);
        assert_eq!(shown(&long), format!("0:{}", "a".repeat(TOKEN_BYTES_MAX)));
        assert_eq!(query_tokens(&long), ["a".repeat(TOKEN_BYTES_MAX)]);
        assert_eq!(shown(&format!("{}-b", "a".repeat(256))), format!("0:{} 1:b", "a".repeat(256)));
    }

    #[test]
    fn every_token_is_said_to_come_from_the_bytes_that_spell_it() {
        let placed = |value: &str| {
            let folded = fold(value);
            let mut shown = Vec::new();
            placed_tokens(value, &mut |token, at| shown.push(format!("{}<{}", token.text, &folded[at])));
            shown.join(" ")
        };
        for (value, expected) in [
            ("..Maya@x.com", "maya<maya maya@x.com<maya@x.com x<x com<com"),
            ("to +14155550", "to<to 14155550<14155550 4155550<4155550 155550<155550 55550<55550"),
            ("Café-ß", "café<café cafe<café café-ß<café-ß ß<ß ss<ß"),
            ("東京", "東<東 京<京"),
        ] {
            assert_eq!(placed(value), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_value_is_found_by_its_own_text(value in "\\PC{0,40}") {
            let mut by_position: Vec<Vec<String>> = Vec::new();
            tokens(&value, &mut |token| {
                let position = token.position as usize;
                by_position.resize_with(by_position.len().max(position + 1), Vec::new);
                by_position[position].push(token.text.to_owned());
            });
            let query = query_tokens(&value);
            prop_assert_eq!(query.len(), by_position.len());
            for (part, tokens) in query.iter().zip(&by_position) {
                prop_assert!(tokens.contains(part), "{} is not among {:?}", part, tokens);
            }
        }
    }
}
