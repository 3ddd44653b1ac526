//! When things happen: office hours of three time zones, quiet nights and weekends, a little noise per hour.
//! Gives ascending times without keeping or sorting them: event i of n happens where the summed-up rhythm reaches
//! (i + something below 1) / n, so a million events need no more memory than ten.

use super::cast::Tenant;
use super::random::Random;

const HOUR_MS: u64 = 3_600_000;

/// How busy each hour of the day is, local time, in parts of the busiest hour.
const HOUR_WEIGHTS: [u64; 24] = [3, 2, 2, 2, 2, 4, 8, 20, 55, 85, 100, 96, 68, 80, 95, 98, 88, 62, 30, 16, 12, 9, 6, 4];
/// What is left of an hour's events on a Saturday or Sunday, in percent.
const WEEKEND_PERCENT: u64 = 18;

/// The share of this tenant's work in the hour that `ms` lies in.
pub fn weight(tenant: &Tenant, ms: u64) -> u64 {
    let local_ms = ms.saturating_add_signed(tenant.utc_offset_minutes * 60_000);
    let hour = HOUR_WEIGHTS[(local_ms / HOUR_MS % 24) as usize];
    // 1970-01-01 was a Thursday: day 2 a Saturday, day 3 a Sunday.
    let is_weekend = matches!(local_ms / (24 * HOUR_MS) % 7, 2 | 3);
    let percent = if is_weekend { WEEKEND_PERCENT } else { 100 };
    hour * percent * tenant.size
}

/// The times of `n` events, ascending, ms since 1970, all in `[start_ms, end_ms)`.
pub struct Times {
    n: u64,
    next: u64,
    start_ms: u64,
    end_ms: u64,
    /// The rhythm summed up to the start of each hour, and to the end of the last one.
    sums: Vec<f64>,
    hour: usize,
}

impl Times {
    /// Spreads `n` events over the time from `start_ms` to `end_ms` as the tenants work.
    pub fn new(n: u64, start_ms: u64, end_ms: u64, tenants: &[Tenant], random: &mut Random) -> Times {
        let hours = (end_ms.saturating_sub(start_ms)).div_ceil(HOUR_MS).max(1);
        let mut sums = Vec::with_capacity(hours as usize + 1);
        let mut sum = 0.0;
        sums.push(sum);
        for hour in 0..hours {
            let from = start_ms + hour * HOUR_MS;
            let part = (end_ms.saturating_sub(from)).min(HOUR_MS) as f64 / HOUR_MS as f64;
            let busy: u64 = tenants.iter().map(|tenant| weight(tenant, from)).sum();
            sum += busy.max(1) as f64 * part.max(1e-6) * (0.6 + 0.8 * random.unit());
            sums.push(sum);
        }
        Times { n, next: 0, start_ms, end_ms, sums, hour: 0 }
    }

    /// The time of the next event; none after `n`.
    pub fn next(&mut self, random: &mut Random) -> Option<u64> {
        if self.next == self.n {
            return None;
        }
        let whole = self.sums[self.sums.len() - 1];
        let mark = (self.next as f64 + random.unit()) / self.n as f64 * whole;
        while self.hour + 2 < self.sums.len() && self.sums[self.hour + 1] <= mark {
            self.hour += 1;
        }
        let (from, to) = (self.sums[self.hour], self.sums[self.hour + 1]);
        let hour_start_ms = self.start_ms + self.hour as u64 * HOUR_MS;
        let length_ms = self.end_ms.saturating_sub(hour_start_ms).min(HOUR_MS);
        let into = ((mark - from) / (to - from)).clamp(0.0, 1.0);
        self.next += 1;
        let ms = hour_start_ms + (into * length_ms as f64) as u64;
        Some(ms.min(self.end_ms.saturating_sub(1)).max(self.start_ms.min(self.end_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::cast::TENANTS;
    use super::*;

    const END_MS: u64 = 1_795_000_000_000;

    #[test]
    fn times_ascend_and_stay_inside() {
        for (n, days) in [(1u64, 1u64), (10, 90), (5_000, 90), (5_000, 0)] {
            let mut random = Random::new(n);
            let start_ms = END_MS - days * 24 * HOUR_MS;
            let mut times = Times::new(n, start_ms, END_MS, &TENANTS, &mut random);
            let mut last = start_ms;
            let mut count = 0;
            while let Some(ms) = times.next(&mut random) {
                assert!(ms >= last && ms <= END_MS, "{ms} after {last}");
                assert!(days == 0 || ms < END_MS);
                last = ms;
                count += 1;
            }
            assert_eq!(count, n);
        }
    }

    #[test]
    fn work_happens_by_day() {
        let mut random = Random::new(1);
        let mut times = Times::new(20_000, END_MS - 90 * 24 * HOUR_MS, END_MS, &TENANTS[..1], &mut random);
        let (mut noon, mut night) = (0, 0);
        while let Some(ms) = times.next(&mut random) {
            let local = ms.saturating_add_signed(TENANTS[0].utc_offset_minutes * 60_000);
            match local / HOUR_MS % 24 {
                9..=16 => noon += 1,
                0..=4 | 21..=23 => night += 1,
                _ => {}
            }
        }
        assert!(noon > 10 * night, "{noon} by day, {night} by night");
    }
}
