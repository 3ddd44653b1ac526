//! Question: how long until a page of 50 is there, at the client, over HTTP, and how long while events arrive?
//! Data: `ANNALS_BENCH_EVENTS` generated events of one year. Each question is asked in 200 rounds, of other values in
//! each where it has any, interleaved, with `count=none`; then all again while 100 events arrive every 100 ms.
//! The bare round trip (`/healthz`) is shown beside them.
//! Target (10 M events): p50 <= 2 ms, p99 <= 20 ms; patterns p50 <= 50 ms on fields of up to 100,000 values.

mod common;

use std::time::Duration;

use common::Server;

const ROUNDS: usize = 200;
/// Hits in front of a deep page.
const DEEP: usize = 10_000;
/// Rows of a page on the way there: as many as there may be.
const STEP: usize = 1_000;

const P50_MS: f64 = 2.0;
const P99_MS: f64 = 20.0;
const PATTERN_P50_MS: f64 = 50.0;

/// Names that one event in nine carries, of its actor or its target.
const COMMON: [&str; 8] = ["rao", "iyer", "patel", "smith", "garcia", "khan", "novak", "weber"];
/// Words that one event in three carries.
const PLANS: [&str; 3] = ["basic", "pro", "team"];
const TENANTS: [&str; 3] = ["velo-in", "velo-us", "velo-de"];

/// What questions are made of.
struct Round<'a> {
    number: usize,
    /// For each common name, the cursor behind its hit number `DEEP`.
    deep: &'a [String],
}

/// Its name, the p50 it is to keep (those with that of patterns have no p99), and its path.
type Question = (&'static str, f64, fn(&Round<'_>) -> String);

const QUESTIONS: [Question; 12] = [
    ("newest", P50_MS, |_| page("")),
    ("rare word", P50_MS, |round| {
        let syllables = ["ba", "co", "du", "fe", "gi", "ho", "le"];
        let (first, second) = (syllables[round.number % 7], syllables[round.number / 7 % 7]);
        page(&format!("{first}{second}gno"))
    }),
    ("two common words", P50_MS, |round| page(&format!("{} {}", common_name(round), PLANS[round.number % 3]))),
    ("phrase", P50_MS, |round| match round.number % 2 {
        0 => page("\"shift lead\""),
        _ => page(&format!("\"asha {}\"", COMMON[round.number / 2 % COMMON.len()])),
    }),
    ("value", P50_MS, |round| match round.number % 2 {
        0 => page(&format!("actor:u_{}", round.number * 113 % 5_000)),
        _ => page(&format!("target:t_{}", round.number * 977 % 40_000)),
    }),
    ("tenant, category, time", P50_MS, |round| {
        let (tenant, days) = (TENANTS[round.number % 3], 1 + round.number);
        page(&format!("tenant:{tenant} action:contacts time:{days}d"))
    }),
    ("number range", P50_MS, |round| page(&format!("detail.amount:>{}", round.number * 80))),
    ("infix, 3 values", PATTERN_P50_MS, |round| page(["detail.plan:*as*", "detail.plan:*ro*"][round.number % 2])),
    ("infix, many values", PATTERN_P50_MS, |round| page(&format!("target:*{}*", 100 + round.number))),
    ("oldest first", P50_MS, |round| {
        let q = common_name(round);
        common::with_params("/v1/events", &[("q", q), ("order", "time"), ("limit", "50"), ("count", "none")])
    }),
    ("feed page", P50_MS, |round| common::with_params("/v1/feed", &[("q", common_name(round)), ("limit", "50")])),
    ("deep page", P50_MS, |round| {
        let cursor = &round.deep[round.number % round.deep.len()];
        common::with_params("/v1/events", &[("cursor", cursor), ("limit", "50"), ("count", "none")])
    }),
];

fn main() {
    let n = common::events_wanted();
    let server = Server::with_events(n);
    server.index_at_rest();
    let mut trips: Vec<Duration> = (0..500).map(|_| common::timed(|| server.text("/healthz")).1).collect();
    let trip = common::percentile_ms(&mut trips, 50);
    println!("first page: {n} events, fields of up to {} values; round trip {trip:.2} ms", (n / 20).max(1_000));
    let deep: Vec<String> = COMMON.iter().filter_map(|name| deep_cursor(&server, name)).collect();
    assert!(!deep.is_empty(), "{n} events are too few for a second page");

    print("at rest", ask_all(&server, &deep));
    print("while 1,000 events/s arrive", server.while_appending(|| ask_all(&server, &deep)));
}

fn common_name(round: &Round<'_>) -> &'static str {
    COMMON[round.number % COMMON.len()]
}

/// The newest 50 that match.
fn page(q: &str) -> String {
    common::with_params("/v1/events", &[("q", q), ("limit", "50"), ("count", "none")])
}

/// The cursor behind hit number `DEEP`, or the last there is: with few events it is not that deep.
fn deep_cursor(server: &Server, q: &str) -> Option<String> {
    let limit = STEP.to_string();
    let mut cursor: Option<String> = None;
    for _ in 0..DEEP / STEP {
        let from = match &cursor {
            Some(cursor) => ("cursor", cursor.as_str()),
            None => ("q", q),
        };
        let answer = server.get(&common::with_params("/v1/events", &[from, ("limit", &limit), ("count", "none")]));
        match answer["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    cursor
}

fn ask_all(server: &Server, deep: &[String]) -> Vec<Vec<Duration>> {
    let mut times = vec![Vec::with_capacity(ROUNDS); QUESTIONS.len()];
    for number in 0..ROUNDS {
        for (times, (_, _, path)) in times.iter_mut().zip(QUESTIONS) {
            let path = path(&Round { number, deep });
            times.push(common::timed(|| server.text(&path)).1);
        }
    }
    times
}

fn print(when: &str, times: Vec<Vec<Duration>>) {
    println!("\n{when:<28} {:>9} {:>8} {:>9} {:>8}", "p50 ms", "target", "p99 ms", "target");
    for (mut times, (name, p50_target, _)) in times.into_iter().zip(QUESTIONS) {
        let (p50, p99) = (common::percentile_ms(&mut times, 50), common::percentile_ms(&mut times, 99));
        let p99_target = if p50_target == PATTERN_P50_MS { "-".to_owned() } else { format!("{P99_MS:.0}") };
        println!("{name:<28} {p50:>9.2} {p50_target:>8.0} {p99:>9.2} {p99_target:>8}");
    }
}
