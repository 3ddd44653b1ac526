//! Question: how long after an event is acknowledged is it covered by a signed checkpoint that others can fetch?
//! Data: an empty server; one event at a time, `ANNALS_BENCH_SECONDS` long, each at another moment of the publisher's round;
//! `/v1/log` is asked until the signed size covers it. Then the same while 10,000 events/s come from others.
//! Target: never more than 1 s behind.

mod common;

use std::thread;
use std::time::{Duration, Instant};

use common::Server;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(2);
/// Prime, so that events fall everywhere into the publisher's half second.
const PAUSE: Duration = Duration::from_millis(97);

fn main() {
    let server = Server::empty();
    measure("idle", &server);
    let load = Server::empty();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let began = Instant::now();
            for (i, batch) in (0_u32..).zip(common::batches(10_000_000, 3)) {
                if is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                post(&load, "application/x-ndjson", &batch);
                // Ten requests of 1,000 a second.
                thread::sleep((Duration::from_millis(100) * (i + 1)).saturating_sub(began.elapsed()));
            }
        });
        measure("at 10,000 events/s", &load);
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

fn measure(what: &str, server: &Server) {
    let end = Instant::now() + Duration::from_secs(common::seconds_wanted());
    let mut lags = Vec::new();
    while Instant::now() < end {
        let seq = post(server, "application/json", r#"{"actor":"system","action":"bench.signed"}"#);
        let acked = Instant::now();
        while server.get("/v1/log")["watermarks"]["signed"].as_u64() <= Some(seq) {
            thread::sleep(LOOK);
        }
        lags.push(acked.elapsed());
        thread::sleep(PAUSE);
    }
    println!(
        "signed after the ack, {what}: p50 {:.0} ms, p99 {:.0} ms, at most {:.0} ms ({} events)",
        common::percentile_ms(&mut lags, 50),
        common::percentile_ms(&mut lags, 99),
        common::percentile_ms(&mut lags, 100),
        lags.len()
    );
}

/// Answers the seq of the first event.
fn post(server: &Server, kind: &str, body: &str) -> u64 {
    let request = server.agent.post(format!("{}/v1/events", server.url)).header("content-type", kind);
    let mut answer = request.send(body).expect("an answer");
    let text = answer.body_mut().read_to_string().expect("a body");
    let receipts: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    receipts["receipts"][0]["seq"].as_u64().unwrap_or_else(|| panic!("{text}"))
}
