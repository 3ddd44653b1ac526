//! The time axis of the page's chart: 60 to 180 buckets where the range allows, cut in the viewer's zone.
//!
//! The first bucket begins where the range does and the last one ends there: the number of a bar is then the number of
//! entries behind its link. Days may have 23 or 25 hours. The API has an axis of its own with other steps (`wire`).

use chrono::{Datelike, Days, Duration, Months, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use chrono_tz::Tz;

use super::format::local;
use super::range::instant;

/// Buckets, at most.
pub const BUCKETS_MAX: usize = 180;

/// The width of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many seconds; a divisor of a day.
    Seconds(i64),
    /// Days, from midnight to midnight.
    Days(u64),
    /// Calendar months.
    Months(u32),
}

/// The steps, smallest first: width in ms (the shortest that is possible), how the axis and how the header say it.
const STEPS: [(Step, i64, &str, &str); 13] = [
    (Step::Seconds(1), 1_000, "s", "per second"),
    (Step::Seconds(10), 10_000, "10 s", "per 10 seconds"),
    (Step::Seconds(60), 60_000, "min", "per minute"),
    (Step::Seconds(300), 300_000, "5 min", "per 5 minutes"),
    (Step::Seconds(900), 900_000, "15 min", "per 15 minutes"),
    (Step::Seconds(3_600), 3_600_000, "h", "per hour"),
    (Step::Seconds(21_600), 21_600_000, "6 h", "per 6 hours"),
    (Step::Days(1), 82_800_000, "day", "per day"),
    (Step::Days(7), 601_200_000, "week", "per week"),
    (Step::Months(1), 2_415_600_000, "month", "per month"),
    (Step::Months(12), 31_536_000_000, "year", "per year"),
    // What a clock gone wild may leave in a log.
    (Step::Months(120), 315_360_000_000, "10 years", "per 10 years"),
    (Step::Months(1_200), 3_153_600_000_000, "100 years", "per 100 years"),
];

/// Buckets, still empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// The step between the inner edges.
    pub step: Step,
    /// Where each bucket begins, and where the last one ends, ms.
    pub edges: Vec<i64>,
}

impl Axis {
    /// Over `from_ms..to_ms`, which is not empty. With `is_open` the last bucket is a whole one: the range goes on.
    pub fn over(tz: Tz, from_ms: i64, to_ms: i64, is_open: bool) -> Axis {
        let length = to_ms.saturating_sub(from_ms);
        let fits = |ms: i64| length / ms < BUCKETS_MAX as i64 - 1;
        let step = STEPS.iter().find(|row| fits(row.1)).unwrap_or(&STEPS[STEPS.len() - 1]).0;
        let mut edges = vec![from_ms];
        let mut start = step.floor(local(tz, from_ms).naive_local());
        // Whatever a zone does to its clock, this ends.
        for _ in 0..4 * BUCKETS_MAX {
            let Some(next) = step.after(start) else {
                break;
            };
            start = next;
            let edge = instant(tz, start);
            if edge >= to_ms {
                edges.push(if is_open { edge } else { to_ms });
                return Axis { step, edges };
            }
            if edges.last().is_some_and(|last| *last < edge) {
                edges.push(edge);
            }
        }
        edges.push(to_ms);
        Axis { step, edges }
    }

    fn row(&self) -> &'static (Step, i64, &'static str, &'static str) {
        STEPS.iter().find(|row| row.0 == self.step).expect("every step has a row")
    }

    /// The unit behind a number on the axis: `h` in `1,000 / h`.
    pub fn unit(&self) -> &'static str {
        self.row().2
    }

    /// `per hour`
    pub fn per(&self) -> &'static str {
        self.row().3
    }

    /// The bucket edges at which a larger unit begins, each with what to write there.
    pub fn ticks(&self, tz: Tz) -> Vec<(usize, String)> {
        let inner = 1..self.edges.len().saturating_sub(1);
        let (format, unit) = self.label_form();
        let begins = |index: &usize| {
            let (before, here) =
                (local(tz, self.edges[*index] - 1).naive_local(), local(tz, self.edges[*index]).naive_local());
            unit.of(before) != unit.of(here)
        };
        let all: Vec<usize> = inner.filter(begins).collect();
        let every = all.len().div_ceil(TICKS_MAX).max(1);
        let named = all.into_iter().step_by(every);
        named.map(|index| (index, local(tz, self.edges[index]).format(format).to_string())).collect()
    }

    fn label_form(&self) -> (&'static str, Unit) {
        match self.step {
            Step::Seconds(1) => ("%H:%M:%S", Unit::Seconds(30)),
            Step::Seconds(10) => ("%H:%M", Unit::Seconds(300)),
            Step::Seconds(60) => ("%H:%M", Unit::Seconds(600)),
            Step::Seconds(..=300) => ("%H:%M", Unit::Seconds(3_600)),
            Step::Seconds(..=900) => ("%-d %b %H:%M", Unit::Seconds(10_800)),
            Step::Seconds(_) => ("%a %-d %b", Unit::Day),
            Step::Days(_) => ("%b %Y", Unit::Month),
            Step::Months(_) => ("%Y", Unit::Year),
        }
    }
}

/// Labels on the axis, at most.
const TICKS_MAX: usize = 8;

/// What a label stands at the beginning of.
#[derive(Clone, Copy)]
enum Unit {
    Seconds(u32),
    Day,
    Month,
    Year,
}

impl Unit {
    fn of(self, time: NaiveDateTime) -> (NaiveDate, u32) {
        let date = time.date();
        let first = |month: u32| NaiveDate::from_ymd_opt(date.year(), month, 1).unwrap_or(date);
        match self {
            Unit::Seconds(n) => (date, time.time().num_seconds_from_midnight() / n),
            Unit::Day => (date, 0),
            Unit::Month => (first(date.month()), 0),
            Unit::Year => (first(1), 0),
        }
    }
}

impl Step {
    /// Where the bucket of a local time begins.
    fn floor(self, time: NaiveDateTime) -> NaiveDateTime {
        let date = time.date();
        match self {
            Step::Seconds(n) => {
                let of_day = i64::from(time.time().num_seconds_from_midnight());
                date.and_time(NaiveTime::MIN) + Duration::seconds(of_day / n * n)
            }
            Step::Days(7) => {
                let monday = date.checked_sub_days(Days::new(u64::from(date.weekday().num_days_from_monday())));
                monday.unwrap_or(date).and_time(NaiveTime::MIN)
            }
            Step::Days(_) => date.and_time(NaiveTime::MIN),
            Step::Months(n) => {
                let months = date.year() * 12 + date.month0().cast_signed();
                let start = months.div_euclid(n.cast_signed()) * n.cast_signed();
                let (year, month) = (start.div_euclid(12), start.rem_euclid(12).cast_unsigned() + 1);
                NaiveDate::from_ymd_opt(year, month, 1).unwrap_or(date).and_time(NaiveTime::MIN)
            }
        }
    }

    fn after(self, start: NaiveDateTime) -> Option<NaiveDateTime> {
        match self {
            Step::Seconds(n) => start.checked_add_signed(Duration::seconds(n)),
            Step::Days(n) => start.checked_add_days(Days::new(n)),
            Step::Months(n) => start.checked_add_months(Months::new(n)),
        }
    }
}

/// The smallest round number that is not below `n`: the top of the axis.
pub fn round_up(n: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for digit in [1, 2, 3, 4, 5, 6, 8, 10] {
            let candidate = unit.saturating_mul(digit);
            if candidate >= n {
                return candidate;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    /// 2026-11-20T13:32:07.412Z
    const NOW: i64 = 1_795_181_527_412;

    #[test]
    fn every_preset_has_60_to_180_buckets() {
        for (hours, step, unit) in [
            (1, Step::Seconds(60), "min"),
            (24, Step::Seconds(900), "15 min"),
            (7 * 24, Step::Seconds(3_600), "h"),
            (30 * 24, Step::Seconds(21_600), "6 h"),
            (90 * 24, Step::Days(1), "day"),
        ] {
            let axis = Axis::over(Tz::Europe__Berlin, NOW - hours * HOUR, NOW, true);
            assert_eq!((axis.step, axis.unit()), (step, unit));
            assert!((60..=BUCKETS_MAX).contains(&(axis.edges.len() - 1)), "{hours} h: {}", axis.edges.len());
            assert!(axis.ticks(Tz::Europe__Berlin).len() <= TICKS_MAX);
        }
    }

    #[test]
    fn edges_rise_and_end_where_the_range_does_also_across_a_clock_change() {
        // Berlin: 2026-10-25 has 25 hours, 2026-03-29 has 23.
        for (from, to, hours) in
            [(1_792_879_200_000, 1_792_969_200_000, 25), (1_774_738_800_000, 1_774_821_600_000, 23)]
        {
            let axis = Axis::over(Tz::Europe__Berlin, from, to, false);
            assert_eq!((axis.edges.first(), axis.edges.last()), (Some(&from), Some(&to)));
            assert!(axis.edges.is_sorted_by(|a, b| a < b));
            assert_eq!((to - from) / HOUR, hours);
        }
        for length in [1, 999, 1_001, 86_400_000, 31_536_000_000, 250_000_000_000_000] {
            let axis = Axis::over(Tz::Asia__Kolkata, 0, length, false);
            assert!(axis.edges.len() <= BUCKETS_MAX + 2 && axis.edges.is_sorted_by(|a, b| a < b), "{length}");
        }
    }

    #[test]
    fn the_top_of_the_axis_is_round() {
        for (n, top) in [(0, 1), (1, 1), (3, 3), (7, 8), (9, 10), (11, 20), (945, 1_000), (48_213, 50_000)] {
            assert_eq!(round_up(n), top);
        }
        assert_eq!(round_up(u64::MAX), u64::MAX);
    }
}
