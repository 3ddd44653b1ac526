//! How the page writes times, counts and texts that strangers sent. Pure.
//!
//! One instant is shown in two clocks, both made here. A text of an entry is shown as it is, except for characters that
//! would not be seen or would turn others around: those are shown as escapes. Markup is escaped where the HTML is made.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, Offset, TimeZone, Utc};
use chrono_tz::Tz;

/// A local time in a viewer's zone.
pub type Local = DateTime<Tz>;

/// The instant in the viewer's zone. Times beyond what can be written stand at 1970.
pub fn local(tz: Tz, ms: i64) -> Local {
    let utc = DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default();
    tz.from_utc_datetime(&utc.naive_utc())
}

/// `20 Nov 14:32:07`, with the year if it is not the current one.
pub fn local_seconds(tz: Tz, ms: i64, now_ms: i64) -> String {
    let time = local(tz, ms);
    let is_this_year = time.year() == local(tz, now_ms).year();
    time.format(if is_this_year { "%-d %b %H:%M:%S" } else { "%-d %b %Y %H:%M:%S" }).to_string()
}

/// `.412`
pub fn millis(ms: i64) -> String {
    format!(".{:03}", ms.rem_euclid(1_000))
}

/// `Fri 20 Nov 2026, 14:32:07.412`
pub fn local_long(tz: Tz, ms: i64) -> String {
    local(tz, ms).format("%a %-d %b %Y, %H:%M:%S%.3f").to_string()
}

/// `UTC+01:00`
pub fn offset(tz: Tz, ms: i64) -> String {
    format!("UTC{}", local(tz, ms).offset().fix())
}

/// `13 Nov 15:00`, with the year if it is not the current one.
pub fn minute(tz: Tz, ms: i64, now_ms: i64) -> String {
    let time = local(tz, ms);
    let is_this_year = time.year() == local(tz, now_ms).year();
    let seconds = if ms.rem_euclid(60_000) == 0 { "" } else { ":%S" };
    let date = if is_this_year { "%-d %b" } else { "%-d %b %Y" };
    time.format(&format!("{date} %H:%M{seconds}")).to_string()
}

/// `13 Nov`, with the year if it is not the current one.
pub fn day(tz: Tz, ms: i64, now_ms: i64) -> String {
    let time = local(tz, ms);
    let is_this_year = time.year() == local(tz, now_ms).year();
    time.format(if is_this_year { "%-d %b" } else { "%-d %b %Y" }).to_string()
}

/// What a field of kind `datetime-local` holds: `2026-11-13T15:00:00`.
pub fn field(tz: Tz, ms: i64) -> String {
    local(tz, ms).format("%Y-%m-%dT%H:%M:%S").to_string()
}

/// The name of a zone's city: `Berlin` for `Europe/Berlin`.
pub fn city(tz: Tz) -> String {
    let name = tz.name();
    name.rsplit('/').next().unwrap_or(name).replace('_', " ")
}

/// `39,199`
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1.3 GB`, `490 MB`, `12 KB`: two digits that matter.
pub fn size(bytes: u128) -> String {
    let (unit, name) = match bytes {
        0..1_000_000 => (1_000, "KB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    let tenths = (bytes * 10).div_ceil(unit);
    match tenths {
        0..100 => format!("{}.{} {name}", tenths / 10, tenths % 10),
        _ => format!("{} {name}", count(u64::try_from(tenths / 10).unwrap_or(u64::MAX))),
    }
}

/// `1 entry`, `2 entries`
pub fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// A text as it may be shown: what cannot be seen, or changes how others are seen, as an escape.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_treacherous) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        push_shown(c, &mut out);
    }
    Cow::Owned(out)
}

/// Appends a character as [`shown`] writes it.
pub fn push_shown(c: char, out: &mut String) {
    if !is_treacherous(c) {
        out.push(c);
        return;
    }
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
    }
}

/// Control characters, what turns the direction of text, and what takes no room.
pub fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// At most so many characters of a text, with an ellipsis if that cut something off.
pub fn cut(text: &str, characters: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters) {
        None => Cow::Borrowed(text),
        Some((at, _)) => Cow::Owned(format!("{}…", &text[..at])),
    }
}

/// Two letters for a round sign: those of the first and the last word.
pub fn initials(name: &str) -> String {
    let mut words = name.split_whitespace().filter_map(|word| word.chars().find(|c| c.is_alphanumeric()));
    let first = words.next();
    let last = words.next_back();
    [first, last].into_iter().flatten().flat_map(char::to_uppercase).collect()
}

/// A text with its first letter in upper case.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_795_181_527_412;

    #[test]
    fn one_instant_reads_the_same_in_every_form() {
        let berlin = Tz::Europe__Berlin;
        assert_eq!(local_seconds(berlin, MS, MS), "20 Nov 14:32:07");
        assert_eq!(local_seconds(berlin, MS, MS + 31_536_000_000), "20 Nov 2026 14:32:07");
        assert_eq!(local_long(berlin, MS), "Fri 20 Nov 2026, 14:32:07.412");
        assert_eq!((offset(berlin, MS), offset(Tz::Asia__Kolkata, MS)), ("UTC+01:00".into(), "UTC+05:30".into()));
        assert_eq!(
            (minute(berlin, MS, MS), field(berlin, MS)),
            ("20 Nov 14:32:07".into(), "2026-11-20T14:32:07".into())
        );
        assert_eq!((millis(MS), millis(-1)), (".412".into(), ".999".into()));
    }

    #[test]
    fn counts_have_separators_and_names_have_initials() {
        for (n, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (48_213_907, "48,213,907")] {
            assert_eq!(count(n), text);
        }
        for (bytes, text) in [
            (0, "0.0 KB"),
            (1, "0.1 KB"),
            (12_345, "12 KB"),
            (490_000_000, "490 MB"),
            (1_300_000_000, "1.3 GB"),
            (5_200_000_000_000, "5,200 GB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(
            (initials("Maya Lindqvist"), initials("さくら 李"), initials("")),
            ("ML".into(), "さ李".into(), String::new())
        );
    }

    #[test]
    fn what_cannot_be_seen_is_shown_as_an_escape() {
        assert_eq!(shown("plain – text"), "plain – text");
        assert_eq!(shown("a\u{202e}b\u{7}c\nd\u{feff}"), "a\\u{202e}b\\u{7}c\\nd\\u{feff}");
        assert_eq!(cut("abcdef", 3), "abc…");
    }
}
