//! The time axis: which steps a histogram may have, and where its buckets begin in a time zone.

use chrono::{
    DateTime, Datelike, Duration, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Timelike, Utc,
};
use chrono_tz::Tz;

use super::{array, put};
use crate::clock::rfc3339_ms;

/// Buckets of one histogram, at most.
pub const BUCKETS_MAX: usize = 400;
/// `auto` chooses the smallest step that gives no more buckets than this.
const BUCKETS_AUTO: i64 = 100;
const DAY_MS: i64 = 86_400_000;

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
        let mut edge = beginning(step, tz, first_ms);
        let mut edges = vec![edge];
        while edge <= last_ms {
            if edges.len() > BUCKETS_MAX {
                return Err(HistogramError::TooManyBuckets);
            }
            edge = following(step, tz, edge);
            edges.push(edge);
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

/// Where the bucket begins that this instant is in.
fn beginning(step: Step, tz: Tz, ms: i64) -> i64 {
    let (first, again) = instants(tz, floor(step, local(tz, ms)));
    // An hour that is repeated has its minutes twice; a day has one beginning.
    again.filter(|again| matches!(step, Step::Minutes(_)) && *again <= ms).unwrap_or(first)
}

/// Where the next one begins.
fn following(step: Step, tz: Tz, edge: i64) -> i64 {
    let now = local(tz, edge);
    let wanted = next(step, floor(step, now));
    if let Step::Minutes(_) = step {
        // The clock may go back meanwhile, or forward: where it then shows a beginning there is one.
        let by_then = edge + (wanted - now).num_milliseconds();
        let shown = local(tz, by_then);
        if floor(step, shown) == shown {
            return by_then;
        }
    }
    let (first, again) = instants(tz, wanted);
    // Time goes on, whatever a clock shows.
    std::iter::once(first).chain(again).find(|then| *then > edge).unwrap_or(edge + DAY_MS)
}

/// When a local time is, and when it is again if the clock goes back over it.
fn instants(tz: Tz, wanted: NaiveDateTime) -> (i64, Option<i64>) {
    match tz.from_local_datetime(&wanted) {
        MappedLocalTime::Single(time) => (time.timestamp_millis(), None),
        MappedLocalTime::Ambiguous(time, again) => (time.timestamp_millis(), Some(again.timestamp_millis())),
        MappedLocalTime::None => (behind_gap(tz, wanted), None),
    }
}

/// A local time that the clock skips stands for the first one behind the gap: of an hour, or of a day (Samoa, 2011-12-30).
fn behind_gap(tz: Tz, wanted: NaiveDateTime) -> i64 {
    let as_utc = wanted.and_utc().timestamp_millis();
    // No zone is further away from UTC, before the gap or behind it.
    let (mut before, mut behind) = (as_utc - 2 * DAY_MS, as_utc + 2 * DAY_MS);
    while behind - before > 1 {
        let middle = before + (behind - before) / 2;
        match local(tz, middle) < wanted {
            true => before = middle,
            false => behind = middle,
        }
    }
    behind
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
    use proptest::prelude::*;

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

    fn steps(step: Step, tz: Tz, from: &str, to: &str) -> Vec<String> {
        Histogram::over(step, tz, ms(from), ms(to)).unwrap().edges.into_iter().map(rfc3339_ms).collect()
    }

    #[test]
    fn an_hour_that_the_clock_repeats_has_its_buckets_twice() {
        // Europe/Berlin went back from 03:00 to 02:00 on 2024-10-27, at 01:00 UTC.
        let tz = chrono_tz::Europe::Berlin;
        let hours = steps(Step::Minutes(60), tz, "2024-10-26T23:30:00Z", "2024-10-27T02:30:00Z");
        let expected = ["2024-10-26T23", "2024-10-27T00", "2024-10-27T01", "2024-10-27T02", "2024-10-27T03"];
        assert_eq!(hours, expected.map(|hour| format!("{hour}:00:00.000Z")));
        for minutes in [1, 5, 10, 30] {
            // It begins in the second pass, or in the first, or before.
            for from in ["2024-10-27T01:20:00Z", "2024-10-27T00:20:00Z", "2024-10-26T23:20:00Z"] {
                let to = ms(from) + 5_400_000;
                let edges = Histogram::over(Step::Minutes(minutes), tz, ms(from), to).unwrap().edges;
                assert!(edges[0] <= ms(from) && ms(from) < edges[1], "{minutes} from {from}");
                assert!(edges[edges.len() - 2] <= to && to < edges[edges.len() - 1], "{minutes} from {from}");
                assert!(edges.windows(2).all(|edge| edge[1] - edge[0] == 60_000 * minutes), "{minutes} from {from}");
            }
        }
        // A day is one bucket, of 25 hours.
        let days = steps(Step::Days(1), tz, "2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z");
        assert_eq!(days, ["2024-10-26T22:00:00.000Z", "2024-10-27T23:00:00.000Z"]);
    }

    #[test]
    fn a_day_that_a_zone_skips_has_no_bucket() {
        // Samoa had no 2011-12-30.
        let tz = chrono_tz::Pacific::Apia;
        let edges = steps(Step::Days(1), tz, "2011-12-29T12:00:00Z", "2011-12-30T12:00:00Z");
        let expected = ["2011-12-29", "2011-12-30", "2011-12-31"].map(|day| format!("{day}T10:00:00.000Z"));
        assert_eq!(edges, expected);
        let half_days = steps(Step::Minutes(720), tz, "2011-12-29T12:00:00Z", "2011-12-30T12:00:00Z");
        let expected = ["29T10", "29T22", "30T10", "30T22"].map(|hour| format!("2011-12-{hour}:00:00.000Z"));
        assert_eq!(half_days, expected);
    }

    proptest! {
        #[test]
        fn buckets_of_any_zone_lie_behind_one_another_and_hold_the_range(
            zone in prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec()),
            (_, step, ms) in prop::sample::select(STEPS.to_vec()),
            from in -4_000_000_000_000..4_000_000_000_000_i64,
            steps in 0.0..300.0,
        ) {
            let to = from + (ms as f64 * steps) as i64;
            let edges = Histogram::over(step, zone, from, to).unwrap().edges;
            prop_assert!(edges.is_sorted_by(|edge, next| edge < next), "{edges:?}");
            prop_assert!(edges[0] <= from && from < edges[1], "{edges:?}");
            prop_assert!(edges[edges.len() - 2] <= to && to < edges[edges.len() - 1], "{edges:?}");
        }
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
