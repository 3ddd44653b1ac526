//! The one door to the clock: wall time in ms, and the shapes of time that the log and the API use.
//! Nothing else in the project asks the operating system what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};

/// Wall clock time now, ms since 1970-01-01T00:00:00Z.
pub fn now_ms() -> u64 {
    u64::try_from(now().as_millis()).expect("the clock stands before the year 584 million")
}

/// Wall clock time now, ns since 1970-01-01T00:00:00Z (for headers that record when they were written).
pub fn now_ns() -> u64 {
    u64::try_from(now().as_nanos()).unwrap_or(u64::MAX)
}

fn now() -> std::time::Duration {
    // A clock before 1970 is a broken clock: events would be refused anyway, so 0 is as good as any.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `2026-11-20T13:32:07.412Z`: how every time of ours is written, always with ms, always UTC.
pub fn rfc3339_ms(ms: i64) -> String {
    match DateTime::<Utc>::from_timestamp_millis(ms) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::Millis, true),
        None => format!("{ms} ms"),
    }
}
