//! Question: how long until the first page of 50 is there, at the client, over HTTP?
//! Data: `ANNALS_BENCH_EVENTS` generated events of one year; queries of five kinds with many, few and no matches, each
//! asked with 40 different values, interleaved. The bare round trip (`/healthz`) is shown beside them.
//! Target (10 M events): p50 <= 2 ms, p99 <= 20 ms; patterns p50 <= 50 ms.

mod common;

use std::time::Duration;

use common::Server;

/// Different values that each question is asked with.
const ROUNDS: u64 = 40;

/// Kind of question, and its text with a number to vary it.
type Question = (&'static str, fn(u64) -> String);

const QUESTIONS: [Question; 14] = [
    ("all", |_| String::new()),
    ("words", |n| format!("babab{}", ["a", "o", "u"][n as usize % 3])),
    ("words", |n| format!("{} note{n}", ["rao", "iyer", "patel", "smith"][n as usize % 4])),
    ("words", |n| format!("cobaba OR duba{}ba", ["ba", "co", "du", "fe"][n as usize % 4])),
    ("phrase", |_| "\"shift lead\"".to_owned()),
    ("value", |n| format!("actor:u_{}", n * 113 % 5_000)),
    ("value", |n| format!("target:t_{}", n * 977 % 40_000)),
    ("value", |n| {
        ["action:contacts", "action:contact.viewed", "outcome:success", "tenant:velo-in"][n as usize % 4].to_owned()
    }),
    ("range", |n| format!("time:{}d", 1 + n * 9)),
    ("range", |n| format!("detail.amount:>{}", n * 400)),
    ("combined", |n| format!("action:contacts tenant:velo-us -actor:system detail.plan:pro time:{}d", 1 + n * 9)),
    ("combined", |n| format!("change:stage=new>lead actor:(u_{} OR u_{}) smith", n * 7, n * 13)),
    ("pattern", |n| format!("actor:*_{}", 100 + n)),
    ("pattern", |n| format!("target:t_?{n}*")),
];

fn main() {
    let n = common::events_wanted();
    let server = Server::with_events(n);
    let mut trips: Vec<Duration> = (0..500).map(|_| common::timed(|| server.text("/healthz")).1).collect();
    let trip = common::percentile_ms(&mut trips, 50);
    for count in ["none", "exact"] {
        let mut kinds: Vec<(&str, Vec<Duration>)> = Vec::new();
        for round in 0..ROUNDS {
            for (kind, text) in QUESTIONS {
                let q = text(round);
                let path = common::with_params("/v1/events", &[("q", &q), ("limit", "50"), ("count", count)]);
                let (_, took) = common::timed(|| server.text(&path));
                match kinds.iter_mut().find(|(known, _)| *known == kind) {
                    Some((_, times)) => times.push(took),
                    None => kinds.push((kind, vec![took])),
                }
            }
        }
        for (kind, mut times) in kinds {
            println!(
                "first page, {kind}, count={count}: p50 {:.2} ms, p99 {:.2} ms ({n} events; round trip {trip:.2} ms)",
                common::percentile_ms(&mut times, 50),
                common::percentile_ms(&mut times, 99),
            );
        }
    }
}
