//! The time range of the page: presets that count back from now, and moments people type.
//!
//! A moment without an offset is read in the viewer's zone. What the page itself writes into addresses is always UTC,
//! so that an address means the same for everybody.

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;

use crate::clock::rfc3339_ms;

/// A range that follows the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The last hour.
    Hour,
    /// The last 24 hours.
    Day,
    /// The last 7 days; what is shown unless something else is asked for.
    Week,
    /// The last 30 days.
    Month,
    /// The last 90 days.
    Quarter,
}

/// The presets: value in the address, length, how the button and how the chip call it.
const PRESETS: [(Preset, &str, i64, &str); 5] = [
    (Preset::Hour, "1h", HOUR_MS, "Last hour"),
    (Preset::Day, "24h", 24 * HOUR_MS, "Last 24 hours"),
    (Preset::Week, "7d", 7 * DAY_MS, "Last 7 days"),
    (Preset::Month, "30d", 30 * DAY_MS, "Last 30 days"),
    (Preset::Quarter, "90d", 90 * DAY_MS, "Last 90 days"),
];

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Moments that can be written with four digits: the years 0 to 9999.
const MOMENTS_MS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

/// Which entries by their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// From so long ago on.
    Last(Preset),
    /// All.
    All,
    /// From a moment (included) to another (excluded); at least one is there.
    Between {
        /// ms since 1970.
        from: Option<i64>,
        /// ms since 1970.
        to: Option<i64>,
    },
}

impl Preset {
    /// All, shortest first.
    pub const ALL: [Preset; 5] = [Preset::Hour, Preset::Day, Preset::Week, Preset::Month, Preset::Quarter];

    fn row(self) -> &'static (Preset, &'static str, i64, &'static str) {
        PRESETS.iter().find(|row| row.0 == self).expect("every preset has a row")
    }

    /// The preset of a value of `range`.
    pub fn from_word(word: &str) -> Option<Preset> {
        PRESETS.iter().find(|row| row.1 == word).map(|row| row.0)
    }

    /// The value of `range`.
    pub fn word(self) -> &'static str {
        self.row().1
    }

    /// How long it is, ms.
    pub fn length_ms(self) -> i64 {
        self.row().2
    }

    /// What people read.
    pub fn label(self) -> &'static str {
        self.row().3
    }
}

impl Range {
    /// What it comes to at this moment: from (included), to (excluded).
    pub fn bounds(self, now_ms: i64) -> (Option<i64>, Option<i64>) {
        match self {
            // It has no end: what a fast clock stamped in the future belongs to the newest.
            Range::Last(preset) => (Some(now_ms.saturating_sub(preset.length_ms())), None),
            Range::All => (None, None),
            Range::Between { from, to } => (from, to),
        }
    }

    /// Whether it ended before this moment: nothing new can be in it but what comes late.
    pub fn has_ended(self, now_ms: i64) -> bool {
        matches!(self, Range::Between { to: Some(to), .. } if to <= now_ms)
    }
}

/// A moment as an address writes it: `2026-11-13T14:00:00Z`, with milliseconds only if there are any.
pub fn write(ms: i64) -> String {
    let text = rfc3339_ms(ms);
    match text.strip_suffix(".000Z") {
        Some(seconds) => format!("{seconds}Z"),
        None => text,
    }
}

/// Reads a moment: RFC 3339, or a local date and time, or a date, in `tz`.
///
/// A local time that a clock change left out is the moment of the change; one that comes twice is the first.
pub fn read(text: &str, tz: Tz) -> Option<i64> {
    let text = text.trim();
    let ms = match DateTime::parse_from_rfc3339(text) {
        Ok(time) => time.timestamp_millis(),
        Err(_) => match text.strip_suffix(['Z', 'z']) {
            Some(utc) => naive(utc)?.and_utc().timestamp_millis(),
            None => instant(tz, naive(text)?),
        },
    };
    MOMENTS_MS.contains(&ms).then_some(ms)
}

fn naive(text: &str) -> Option<NaiveDateTime> {
    let text = text.replacen(' ', "T", 1);
    let with_time = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let date = || NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    with_time.iter().find_map(|form| NaiveDateTime::parse_from_str(&text, form).ok()).or_else(date)
}

/// The moment of a local time.
pub fn instant(tz: Tz, local: NaiveDateTime) -> i64 {
    match tz.from_local_datetime(&local) {
        LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => time.timestamp_millis(),
        LocalResult::None => {
            // The clock jumped over it: what was valid before the gap, a little earlier, shows where the gap is.
            let before = (1..=48).find_map(|step| {
                let earlier = local - chrono::Duration::minutes(15 * step);
                tz.from_local_datetime(&earlier).latest().map(|time| (time, 15 * step))
            });
            let guess = before.map(|(time, minutes)| time + chrono::Duration::minutes(minutes));
            guess.map_or(0, |time| gap_end(tz, time.with_timezone(&Utc).timestamp_millis(), local))
        }
    }
}

/// The first moment whose local time is not before `local`, near `guess_ms`.
fn gap_end(tz: Tz, guess_ms: i64, local: NaiveDateTime) -> i64 {
    let is_behind = |ms: i64| super::format::local(tz, ms).naive_local() >= local;
    let (mut low, mut high) = (guess_ms - 12 * HOUR_MS, guess_ms + HOUR_MS);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if is_behind(middle) { high = middle } else { low = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_the_viewers_zone_unless_they_name_their_own() {
        let berlin = Tz::Europe__Berlin;
        for (text, utc) in [
            ("2026-11-13T15:00", "2026-11-13T14:00:00Z"),
            ("2026-11-13 15:00", "2026-11-13T14:00:00Z"),
            ("2026-11-13T15:00:07.250", "2026-11-13T14:00:07.250Z"),
            ("2026-11-13T15:00Z", "2026-11-13T15:00:00Z"),
            ("2026-11-13T15:00:00+05:30", "2026-11-13T09:30:00Z"),
            ("2026-11-13", "2026-11-12T23:00:00Z"),
            // 02:30 was left out on this day, and came twice on that one.
            ("2026-03-29T02:30", "2026-03-29T01:00:00Z"),
            ("2026-10-25T02:30", "2026-10-25T00:30:00Z"),
        ] {
            assert_eq!(read(text, berlin).map(write).as_deref(), Some(utc), "{text}");
            assert_eq!(read(utc, berlin).map(write).as_deref(), Some(utc));
        }
        for bad in ["", "soon", "2026-13-01", "2026-11-13T25:00", "20261113", "+12026-01-01"] {
            assert_eq!(read(bad, berlin), None, "{bad}");
        }
    }
}
