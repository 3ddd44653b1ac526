//! Question: how fast can everything be read again, and what do those who append notice of it at the default rate?
//! Data: `ANNALS_BENCH_EVENTS` generated events, sealed and indexed; a round at the highest rate, then appends of 1,000 events for
//! `ANNALS_BENCH_SECONDS` without scrubbing and beside a round at 8 MiB/s. The files are in the page cache or not, as they happen to be.
//! Target: >= 100 MiB/s alone on one thread; beside it appends lose less than a tenth.

mod common;

use std::thread;
use std::time::{Duration, Instant};

use common::Server;

const LOOK: Duration = Duration::from_millis(10);

fn main() {
    let n = common::events_wanted();
    let server = Server::with_events(n);
    server.index_at_rest();
    let server =
        server.restarted_with(&[("ANNALS_SCRUB_PERIOD_S", "1"), ("ANNALS_SCRUB_BYTES_PER_S", "1000000000000")]);
    let first = checked(&server, None);
    let round = checked(&server, Some(&first));
    let ms = |value: &serde_json::Value| millis(value.as_str().expect("a time"));
    let seconds = (ms(&round["ended"]) - ms(&round["began"])) as f64 / 1e3;
    let (events, bytes) = (round["events"].as_f64().expect("events"), round["bytes"].as_f64().expect("bytes"));
    println!(
        "scrub: {:.0} events/s, {:.0} MiB/s ({events} events, {:.0} MiB with the index, {seconds:.2} s)",
        events / seconds,
        bytes / seconds / f64::from(1 << 20),
        bytes / f64::from(1 << 20)
    );
    let server = server.restarted_with(&[("ANNALS_SCRUB_PERIOD_S", "0")]);
    let alone = append_rate(&server);
    let server = server.restarted_with(&[("ANNALS_SCRUB_PERIOD_S", "1")]);
    let beside = append_rate(&server);
    println!(
        "appends: {alone:.0} events/s alone, {beside:.0} beside scrubbing at 8 MiB/s ({:.2} of it)",
        beside / alone
    );
}

/// The last round that ended, another one than `not`.
fn checked(server: &Server, not: Option<&serde_json::Value>) -> serde_json::Value {
    loop {
        let now = server.get("/v1/log")["integrity"].clone();
        assert_ne!(now["state"], "failed", "{now}");
        if !now["checked"].is_null() && Some(&now["checked"]) != not {
            return now["checked"].clone();
        }
        thread::sleep(LOOK);
    }
}

fn append_rate(server: &Server) -> f64 {
    let end = Instant::now() + Duration::from_secs(common::seconds_wanted());
    let (began, mut events) = (Instant::now(), 0);
    for batch in common::batches(1_000_000_000, common::now_ms()) {
        if Instant::now() >= end {
            break;
        }
        let request =
            server.agent.post(format!("{}/v1/events", server.url)).header("content-type", "application/x-ndjson");
        assert!(request.send(&batch).expect("an answer").status().is_success());
        events += common::BATCH;
    }
    events as f64 / began.elapsed().as_secs_f64()
}

/// ms since 1970 of a time as we write it.
fn millis(time: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(time).expect("RFC 3339").timestamp_millis()
}
