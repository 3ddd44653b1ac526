//! The time of an event: from any RFC 3339 text to UTC with the sender's digits.

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};

use super::limits::{TIME_DIGITS_MAX, TIME_DIGITS_MIN};
use super::model::Time;

/// Stands in a body where the writer puts `received` when the sender gave no time: 24 bytes, a time itself.
pub(super) const PLACEHOLDER: &str = "1970-01-01T00:00:00.000Z";

/// Reads an RFC 3339 time with any offset. Fractions shorter than a millisecond's are filled up with zeros.
///
/// # Errors
/// What is wrong with the text, as the rest of a sentence.
pub(super) fn parse(text: &str) -> Result<Time, &'static str> {
    const SHAPE: &str = "is not an RFC 3339 time such as 2026-11-20T13:32:07.412Z";
    let (seconds, rest) = date_and_time(text.as_bytes()).ok_or(SHAPE)?;
    let (fraction, zone) = match rest.split_first() {
        Some((b'.', rest)) => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return Err(SHAPE);
            }
            rest.split_at(digits)
        }
        _ => (&[][..], rest),
    };
    if fraction.len() > TIME_DIGITS_MAX {
        return Err("has more than 9 digits of a second");
    }
    let offset_s = offset(zone).ok_or("needs an offset from UTC such as Z or +01:00")?;
    let utc_s = seconds - offset_s;
    let ms = utc_s * 1000 + millis(fraction);
    if is_stored_form(text, fraction.len(), zone) {
        return Ok(Time { ms, text: text.to_owned() });
    }
    let utc = DateTime::<Utc>::from_timestamp(utc_s, 0).ok_or(SHAPE)?;
    if !(0..=9999).contains(&utc.year()) {
        return Err("is beyond the years that RFC 3339 can write");
    }
    let mut out = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.",
        utc.year(),
        utc.month(),
        utc.day(),
        utc.hour(),
        utc.minute(),
        utc.second()
    );
    out.extend(fraction.iter().map(|&digit| char::from(digit)));
    (fraction.len()..TIME_DIGITS_MIN).for_each(|_| out.push('0'));
    out.push('Z');
    Ok(Time { ms, text: out })
}

/// The milliseconds of a time in the form of [`Time::text`].
pub(super) fn ms_of_stored(text: &str) -> Option<i64> {
    let (seconds, rest) = date_and_time(text.as_bytes())?;
    let fraction = rest.strip_prefix(b".")?.strip_suffix(b"Z")?;
    let is_well_formed =
        (TIME_DIGITS_MIN..=TIME_DIGITS_MAX).contains(&fraction.len()) && fraction.iter().all(u8::is_ascii_digit);
    is_well_formed.then(|| seconds * 1000 + millis(fraction))
}

fn is_stored_form(text: &str, digits: usize, zone: &[u8]) -> bool {
    zone == b"Z" && digits >= TIME_DIGITS_MIN && text.as_bytes()[10] == b'T'
}

/// `YYYY-MM-DD?HH:MM:SS` as seconds since 1970 without regard to an offset, and what follows.
fn date_and_time(text: &[u8]) -> Option<(i64, &[u8])> {
    let (head, rest) = text.split_at_checked(19)?;
    let has_shape = head[4] == b'-'
        && head[7] == b'-'
        && matches!(head[10], b'T' | b't' | b' ')
        && head[13] == b':'
        && head[16] == b':';
    if !has_shape {
        return None;
    }
    let year = number(&head[0..4])?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, number(&head[5..7])?, number(&head[8..10])?)?;
    let time = date.and_hms_opt(number(&head[11..13])?, number(&head[14..16])?, number(&head[17..19])?)?;
    Some((time.and_utc().timestamp(), rest))
}

/// `Z`, `z`, `+hh:mm` or `-hh:mm`, in seconds east of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    if matches!(zone, b"Z" | b"z") {
        return Some(0);
    }
    let [sign, h1, h2, b':', m1, m2] = *zone else {
        return None;
    };
    let (hours, minutes) = (number(&[h1, h2])?, number(&[m1, m2])?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = i64::from(hours * 3600 + minutes * 60);
    match sign {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, &digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0')))
}

/// The first three digits of a fraction of a second, as ms.
fn millis(fraction: &[u8]) -> i64 {
    let digit = |at: usize| fraction.get(at).map_or(0, |digit| i64::from(digit - b'0'));
    digit(0) * 100 + digit(1) * 10 + digit(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_utc_and_keep_three_to_nine_digits() {
        for (text, stored, ms) in [
            ("2026-11-20T13:32:07.412Z", "2026-11-20T13:32:07.412Z", 1_795_181_527_412),
            ("2026-11-20T14:32:07.412+01:00", "2026-11-20T13:32:07.412Z", 1_795_181_527_412),
            ("2026-11-20T13:32:07Z", "2026-11-20T13:32:07.000Z", 1_795_181_527_000),
            ("2026-11-20 13:32:07.5z", "2026-11-20T13:32:07.500Z", 1_795_181_527_500),
            ("2026-11-20T13:32:07.123456789Z", "2026-11-20T13:32:07.123456789Z", 1_795_181_527_123),
            ("2026-01-01T00:30:00.1234+05:30", "2025-12-31T19:00:00.1234Z", 1_767_207_600_123),
            ("1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000Z", 0),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z", -1),
        ] {
            let time = parse(text).unwrap();
            assert_eq!((time.text.as_str(), time.ms), (stored, ms), "{text}");
            assert_eq!(ms_of_stored(&time.text), Some(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2026-11-20",
            "2026-11-20T13:32:07",
            "2026-13-20T13:32:07Z",
            "2026-02-30T13:32:07Z",
            "2026-11-20T24:00:00Z",
            "2026-11-20T13:32:60Z",
            "2026-11-20T13:32:07.Z",
            "2026-11-20T13:32:07.1234567890Z",
            "2026-11-20T13:32:07+1:00",
            "2026-11-20T13:32:07+24:00",
            "2026-11-20T13:32:07ZZ",
            "1795181527412",
            "2026-11-20T13:32:07 UTC",
            "２026-11-20T13:32:07Z",
            "0000-01-01T00:00:00+23:00",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
