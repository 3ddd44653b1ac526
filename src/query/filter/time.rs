//! `time:` and `received:`: a span of time, on a grid of milliseconds.
//!
//! A date, a month or a year stands for all of it. A moment with a time of day is a point when something is compared
//! with it, and alone stands for the minute, second or millisecond it was written to. Without an offset it is UTC.
//! `24h` counts back from the moment the text is read; it is printed as what it came to.

use std::fmt::{self, Formatter};

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Utc};

use crate::clock::rfc3339_ms;
use crate::query::Env;
use crate::query::error::{ParseError, code};
use crate::query::lex::Raw;
use crate::query::range::{self, Side, Written};

/// A span of time; at least one side is bounded, and it is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// ms since 1970, included.
    pub from_ms: Option<i64>,
    /// ms since 1970, excluded.
    pub to_ms: Option<i64>,
}

/// What was written: the time it covers.
struct Moment {
    start_ms: i64,
    /// Excluded.
    end_ms: i64,
    has_time_of_day: bool,
}

const EXPECTED: &str =
    "expected a time such as 2026-11-01, 2026-11, 2026-11-01T10:00+01:00, 24h, 7d or a range of them";

/// 0000-01-01 and 9999-12-31: what can be printed with four digits.
const MOMENTS_MS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

impl TimeRange {
    /// Whether `ms` lies in it.
    pub fn contains(&self, ms: i64) -> bool {
        self.from_ms.is_none_or(|from| from <= ms) && self.to_ms.is_none_or(|to| ms < to)
    }

    pub(in crate::query) fn parse(raw: &Raw, env: &Env<'_>) -> Result<TimeRange, ParseError> {
        let (from_ms, to_ms) = match Written::read(raw)? {
            Written::One(side) => match ago(&side.text, env.now_ms) {
                Some(from) => (Some(from), None),
                None => {
                    let moment = moment(&side)?;
                    (Some(moment.start_ms), Some(moment.end_ms))
                }
            },
            Written::From(side) => (Some(point(&side, env)?.start_ms), None),
            Written::Above(side) => (Some(point(&side, env)?.after_ms()), None),
            Written::Below(side) => (None, Some(point(&side, env)?.start_ms)),
            Written::UpTo(side) => (None, Some(point(&side, env)?.after_ms())),
            Written::Dots(from, to) => {
                let start = |side: Option<Side>| side.map(|side| point(&side, env).map(|m| m.start_ms)).transpose();
                (start(from)?, start(to)?)
            }
            Written::Bracket { from, from_included, to, to_included } => {
                let from = from.map(|side| point(&side, env)).transpose()?;
                let to = to.map(|side| point(&side, env)).transpose()?;
                (
                    from.map(|m| if from_included { m.start_ms } else { m.after_ms() }),
                    to.map(|m| if to_included { m.after_ms() } else { m.start_ms }),
                )
            }
        };
        match (from_ms, to_ms) {
            (None, None) => Err(ParseError::value(raw.at, format!("time \"{}\"", raw.text()), EXPECTED)),
            (Some(from), Some(to)) if from >= to => Err(ParseError::new(
                code::EMPTY_RANGE,
                raw.at,
                format!("empty range \"{}\"", raw.text()),
                "expected the earlier time first; the end is excluded",
            )),
            _ => Ok(TimeRange { from_ms, to_ms }),
        }
    }

    /// From the moment `raw` begins; what the parameter `from` means.
    pub(in crate::query) fn since(raw: &Raw, env: &Env<'_>) -> Result<TimeRange, ParseError> {
        Ok(TimeRange { from_ms: Some(point(&side(raw), env)?.start_ms), to_ms: None })
    }

    /// Up to the moment `raw` begins, which is excluded; what the parameter `to` means.
    pub(in crate::query) fn until(raw: &Raw, env: &Env<'_>) -> Result<TimeRange, ParseError> {
        Ok(TimeRange { from_ms: None, to_ms: Some(point(&side(raw), env)?.start_ms) })
    }

    pub(in crate::query) fn print(&self, name: &str, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.from_ms, self.to_ms) {
            (Some(from), Some(to)) => write!(f, "{name}:{}..{}", rfc3339_ms(from), rfc3339_ms(to)),
            (Some(from), None) => write!(f, "{name}:>={}", rfc3339_ms(from)),
            (None, Some(to)) => write!(f, "{name}:<{}", rfc3339_ms(to)),
            (None, None) => f.write_str("*"),
        }
    }
}

impl Moment {
    /// The first ms behind it, where something is compared with it.
    fn after_ms(&self) -> i64 {
        // The last moment of all has none behind it that could be written.
        let behind = if self.has_time_of_day { self.start_ms.saturating_add(1) } else { self.end_ms };
        behind.min(*MOMENTS_MS.end())
    }
}

fn side(raw: &Raw) -> Side {
    range::side(raw.at, &raw.chars)
}

/// A side of a comparison: a moment, or `24h` for the moment that long ago.
fn point(side: &Side, env: &Env<'_>) -> Result<Moment, ParseError> {
    match ago(&side.text, env.now_ms) {
        Some(ms) => Ok(Moment { start_ms: ms, end_ms: ms, has_time_of_day: true }),
        None => moment(side),
    }
}

/// The moment `30m`, `24h`, `7d`, `2w` before now.
fn ago(text: &str, now_ms: u64) -> Option<i64> {
    let unit_ms = match text.chars().next_back()? {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        'w' => 604_800_000,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Longer ago than anything: the earliest moment that can be written.
    let span_ms = digits.parse::<i64>().unwrap_or(i64::MAX).saturating_mul(unit_ms);
    let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX).min(*MOMENTS_MS.end());
    Some(now_ms.saturating_sub(span_ms).max(*MOMENTS_MS.start()))
}

fn moment(side: &Side) -> Result<Moment, ParseError> {
    read_moment(&side.text)
        .filter(|m| MOMENTS_MS.contains(&m.start_ms) && MOMENTS_MS.contains(&(m.end_ms - 1)))
        // What ends with the year 9999 ends at its last ms: the next cannot be printed.
        .map(|m| Moment { end_ms: m.end_ms.min(*MOMENTS_MS.end()), ..m })
        .ok_or_else(|| ParseError::value(side.at, format!("\"{}\"", side.text), EXPECTED))
}

fn read_moment(text: &str) -> Option<Moment> {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (first, next) = read_date(date)?;
    let Some(time) = time else {
        return Some(Moment { start_ms: midnight_ms(first), end_ms: midnight_ms(next), has_time_of_day: false });
    };
    if next.signed_duration_since(first).num_days() != 1 {
        return None;
    }
    let (time, offset_ms) = split_offset(time)?;
    let (of_day_ms, width_ms) = read_time(time)?;
    let start_ms = midnight_ms(first) + of_day_ms - offset_ms;
    Some(Moment { start_ms, end_ms: start_ms + width_ms, has_time_of_day: true })
}

/// `2026`, `2026-11`, `2026-11-01`: the first day, and the first day after it.
fn read_date(text: &str) -> Option<(NaiveDate, NaiveDate)> {
    let mut parts = text.split('-');
    let year = i32::try_from(digits(parts.next()?, 4)?).ok()?;
    let month = parts.next().map(|part| digits(part, 2));
    let day = parts.next().map(|part| digits(part, 2));
    if parts.next().is_some() {
        return None;
    }
    match (month, day) {
        (None, _) => {
            let first = NaiveDate::from_ymd_opt(year, 1, 1)?;
            Some((first, first.with_year(year + 1)?))
        }
        (Some(month), None) => {
            let first = NaiveDate::from_ymd_opt(year, month?, 1)?;
            Some((first, first.checked_add_months(Months::new(1))?))
        }
        (Some(month), Some(day)) => {
            let first = NaiveDate::from_ymd_opt(year, month?, day?)?;
            Some((first, first.checked_add_days(Days::new(1))?))
        }
    }
}

/// `10:00`, `10:00:07`, `10:00:07.412…`: ms since midnight, and how many ms it covers.
fn read_time(text: &str) -> Option<(i64, i64)> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let mut parts = clock.split(':');
    let hour = i64::from(digits(parts.next()?, 2).filter(|hour| *hour < 24)?);
    let minute = i64::from(digits(parts.next()?, 2).filter(|minute| *minute < 60)?);
    let second = parts.next().map(|part| digits(part, 2).filter(|second| *second < 60));
    if parts.next().is_some() {
        return None;
    }
    let minutes_ms = (hour * 60 + minute) * 60_000;
    match (second, fraction) {
        (None, None) => Some((minutes_ms, 60_000)),
        (None, Some(_)) => None,
        (Some(second), None) => Some((minutes_ms + i64::from(second?) * 1_000, 1_000)),
        (Some(second), Some(fraction)) => {
            let valid = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit());
            let ms = valid.then(|| format!("{fraction:0<3}")[..3].parse::<i64>().ok()).flatten()?;
            Some((minutes_ms + i64::from(second?) * 1_000 + ms, 1))
        }
    }
}

/// Takes `Z`, `+01:00`, `+0100` or `+01` off the end: the rest, and the offset in ms.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(time) = text.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let Some(at) = text.find(['+', '-']) else {
        return Some((text, 0));
    };
    let sign = if text.as_bytes()[at] == b'+' { 1 } else { -1 };
    let offset = &text[at + 1..];
    let (hours, minutes) = match offset.len() {
        2 => (offset, "00"),
        4 | 5 if offset.is_ascii() => (&offset[..2], offset[2..].trim_start_matches(':')),
        _ => return None,
    };
    let minutes = digits(hours, 2).filter(|h| *h < 24)? * 60 + digits(minutes, 2).filter(|m| *m < 60)?;
    Some((&text[..at], sign * i64::from(minutes) * 60_000))
}

/// Exactly `width` digits.
fn digits(text: &str, width: usize) -> Option<u32> {
    (text.len() == width && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn midnight_ms(date: NaiveDate) -> i64 {
    DateTime::<Utc>::from_naive_utc_and_offset(date.and_time(NaiveTime::MIN), Utc).timestamp_millis()
}
