//! The time axis: which steps a histogram may have, and where its buckets begin in a time zone.

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use super::{array, put};
use crate::clock::rfc3339_ms;

/// Buckets of one histogram, at most.
pub const BUCKETS_MAX: usize = 400;
/// `auto` chooses the smallest step that gives no more buckets than this.
const BUCKETS_AUTO: i64 = 100;

/// The width of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// As fits the range.
    Auto,
    /// This many minutes; a divisor of an hour or of a day.
    Minutes(i64),
    /// Days, from midnight to midnight in the zone.
    Days(i64),
    /// Calendar months in the zone.
    Month,
    /// Calendar years in the zone.
    Year,
}

/// Steps by their words, smallest first.
const STEPS: [(&str, Step, i64); 14] = [
    ("1m", Step::Minutes(1), 60_000),
    ("5m", Step::Minutes(5), 300_000),
    ("10m", Step::Minutes(10), 600_000),
    ("30m", Step::Minutes(30), 1_800_000),
    ("1h", Step::Minutes(60), 3_600_000),
    ("2h", Step::Minutes(120), 7_200_000),
    ("3h", Step::Minutes(180), 10_800_000),
    ("6h", Step::Minutes(360), 21_600_000),
    ("12h", Step::Minutes(720), 43_200_000),
    ("1d", Step::Days(1), 86_400_000),
    ("7d", Step::Days(7), 604_800_000),
    ("1mo", Step::Month, 2_678_400_000),
    ("1y", Step::Year, 31_622_400_000),
    ("auto", Step::Auto, 0),
];

/// Why there is no such histogram.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistogramError {
    /// Not a step.
    #[error("unknown step {0:?}; expected auto, 1m, 5m, 10m, 30m, 1h, 2h, 3h, 6h, 12h, 1d, 7d, 1mo or 1y")]
    UnknownStep(String),
    /// The range is too long for the step.
    #[error("more than {BUCKETS_MAX} buckets; choose a larger step or a shorter range")]
    TooManyBuckets,
}

/// Counts over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// The step's word.
    pub step: &'static str,
    /// Where each bucket begins, and where the last one ends, ms.
    pub edges: Vec<i64>,
    /// How many entries each bucket holds: one less than edges.
    pub counts: Vec<u64>,
}

impl Step {
    /// The step of a word.
    pub fn from_word(word: &str) -> Result<Step, HistogramError> {
        let step = STEPS.iter().find(|(name, _, _)| *name == word);
        step.map(|(_, step, _)| *step).ok_or_else(|| HistogramError::UnknownStep(word.to_owned()))
    }
}

impl Histogram {
    /// The buckets that hold `first_ms..=last_ms`, still empty.
    pub fn over(step: Step, tz: Tz, first_ms: i64, last_ms: i64) -> Result<Histogram, HistogramError> {
        let (word, step, _) = *STEPS
            .iter()
            .find(|(_, candidate, ms)| match step {
                Step::Auto => *candidate != Step::Auto && (last_ms - first_ms) / ms < BUCKETS_AUTO,
                _ => *candidate == step,
            })
            .unwrap_or(&STEPS[12]);
        let mut edges = vec![];
        let mut start = floor(step, local(tz, first_ms));
        loop {
            let edge = instant(tz, start);
            // A clock that goes back may give two local times one instant.
            if edges.last().is_none_or(|last| *last < edge) {
                edges.push(edge);
            }
            if edge > last_ms {
                break;
            }
            if edges.len() > BUCKETS_MAX {
                return Err(HistogramError::TooManyBuckets);
            }
            start = next(step, start);
        }
        let counts = vec![0; edges.len() - 1];
        Ok(Histogram { step: word, edges, counts })
    }

    /// As JSON.
    pub fn write(&self, out: &mut String) {
        put(out, format_args!("{{\"step\":\"{}\",\"buckets\":", self.step));
        let buckets: Vec<(i64, i64, u64)> =
            self.edges.windows(2).zip(&self.counts).map(|(edges, count)| (edges[0], edges[1], *count)).collect();
        array(out, &buckets, |out, (from, to, count)| {
            let (from, to) = (rfc3339_ms(*from), rfc3339_ms(*to));
            put(out, format_args!("{{\"from\":\"{from}\",\"to\":\"{to}\",\"count\":{count}}}"));
        });
        out.push('}');
    }
}

fn local(tz: Tz, ms: i64) -> NaiveDateTime {
    let utc = DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default();
    utc.with_timezone(&tz).naive_local()
}

fn instant(tz: Tz, local: NaiveDateTime) -> i64 {
    // A local time that the clock skips stands for the first one behind the gap.
    let found = (0..=24)
        .find_map(|half_hours| tz.from_local_datetime(&(local + Duration::minutes(30 * half_hours))).earliest());
    found.map_or_else(|| local.and_utc().timestamp_millis(), |time| time.timestamp_millis())
}

fn floor(step: Step, time: NaiveDateTime) -> NaiveDateTime {
    let date = time.date();
    let day = |date: NaiveDate| date.and_time(NaiveTime::MIN);
    match step {
        Step::Minutes(minutes) => {
            let of_day = i64::from(time.num_seconds_from_midnight()) / 60;
            day(date) + Duration::minutes(of_day - of_day % minutes)
        }
        Step::Days(7) => day(date) - Duration::days(i64::from(date.weekday().num_days_from_monday())),
        Step::Days(_) | Step::Auto => day(date),
        Step::Month => day(date.with_day(1).unwrap_or(date)),
        Step::Year => day(date.with_ordinal(1).unwrap_or(date)),
    }
}

fn next(step: Step, time: NaiveDateTime) -> NaiveDateTime {
    match step {
        Step::Minutes(minutes) => time + Duration::minutes(minutes),
        Step::Days(days) => time + Duration::days(days),
        Step::Auto => time + Duration::days(1),
        Step::Month => time.checked_add_months(chrono::Months::new(1)).unwrap_or(time + Duration::days(31)),
        Step::Year => time.checked_add_months(chrono::Months::new(12)).unwrap_or(time + Duration::days(366)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
    }

    #[test]
    fn days_begin_at_midnight_of_the_zone_also_across_a_clock_change() {
        // Europe/Berlin went to summer time on 2026-03-29: that day has 23 hours.
        let tz = chrono_tz::Europe::Berlin;
        let days = Histogram::over(Step::Days(1), tz, ms("2026-03-28T12:00:00Z"), ms("2026-03-30T12:00:00Z")).unwrap();
        let expected = ["2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z"];
        assert_eq!(days.edges, expected.map(ms));
    }

    #[test]
    fn half_hour_zones_and_skipped_midnights_are_held() {
        let kolkata = Histogram::over(
            Step::Minutes(60),
            chrono_tz::Asia::Kolkata,
            ms("2026-01-01T00:00:00Z"),
            ms("2026-01-01T00:40:00Z"),
        );
        assert_eq!(
            kolkata.unwrap().edges,
            ["2025-12-31T23:30:00Z", "2026-01-01T00:30:00Z", "2026-01-01T01:30:00Z"].map(ms)
        );
        // Midnight of 2019-04-?? does not exist where the clock changes at 00:00 (Asia/Beirut, last Sunday of March).
        let beirut = Histogram::over(
            Step::Days(1),
            chrono_tz::Asia::Beirut,
            ms("2026-03-28T12:00:00Z"),
            ms("2026-03-29T12:00:00Z"),
        );
        assert_eq!(beirut.unwrap().counts.len(), 2);
    }

    #[test]
    fn auto_gives_a_sensible_number_of_buckets_for_every_range() {
        for days in [0, 1, 7, 90, 365, 3_650, 20_000] {
            let range = days * 86_400_000;
            let histogram = Histogram::over(Step::Auto, Tz::UTC, 0, range).unwrap();
            assert!(histogram.counts.len() <= 102, "{days} days: {} of {}", histogram.counts.len(), histogram.step);
            assert!(histogram.edges[0] <= 0 && *histogram.edges.last().unwrap() > range);
        }
    }

    #[test]
    fn too_many_buckets_are_refused() {
        let asked = Histogram::over(Step::Minutes(1), Tz::UTC, 0, 86_400_000);
        assert_eq!(asked, Err(HistogramError::TooManyBuckets));
    }
}
