//! Question: what can be kept up, events appended and searchable, and does a merge of spans hold up whoever appends?
//! Data: generated 600-byte events, NDJSON requests of 1,000 from two clients for `ANNALS_BENCH_SECONDS` (30 by default; 300
//! is the real thing). All the while, and then until the index has been at rest for ten seconds, a third client posts
//! single events and looks each time whether a merge was running before and after.
//! Target: >= 40,000 events/s searchable; <= 40 CPU s per 1 M events, merging included; appends as fast during a merge.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use common::Server;

const LOADERS: usize = 2;
/// More than any machine takes in a second: what the times of the generated events are spread over.
const EVENTS_PER_SECOND_MAX: u64 = 200_000;
/// How long single events are posted after the last merge.
const QUIET: Duration = Duration::from_secs(10);
/// Between two single events.
const PAUSE: Duration = Duration::from_millis(20);

/// What was going on while single events were posted.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    is_loading: bool,
    is_merging: bool,
}

fn main() {
    let seconds = common::seconds_wanted();
    let server = Server::empty();
    let sync_ms = common::sync_ms(&server.dir);
    let (is_loading, is_over) = (AtomicBool::new(true), AtomicBool::new(false));
    let probes = thread::scope(|scope| {
        let probe = scope.spawn(|| probe(&server, &is_loading, &is_over));
        let over = common::SetWhenDropped(&is_over);
        let cpu_before = server.cpu_seconds();
        let began = Instant::now();
        load(&server, Duration::from_secs(seconds));
        let took = began.elapsed().as_secs_f64();
        let (durable, searchable) = server.marks();
        is_loading.store(false, Ordering::Relaxed);
        server.settle();
        let caught_up = began.elapsed().as_secs_f64() - took;
        println!(
            "sustained over {took:.0} s: {:.0} events/s acked, {:.0} searchable; {} behind, caught up after {caught_up:.1} s",
            durable as f64 / took,
            searchable as f64 / took,
            durable - searchable.min(durable),
        );
        let rested = server.index_at_rest().duration_since(began).as_secs_f64() - took;
        // Of all events so far: the single ones cost as well.
        let (durable, _) = server.marks();
        println!(
            "merged {rested:.0} s after the load; {:.1} CPU s per 1 M events, peak memory {:.0} MiB",
            (server.cpu_seconds() - cpu_before) * 1e6 / durable as f64,
            server.memory_mib("VmHWM"),
        );
        thread::sleep(QUIET);
        drop(over);
        probe.join().expect("the client of single events")
    });
    for (is_loading, is_merging) in [(true, true), (true, false), (false, true), (false, false)] {
        print(State { is_loading, is_merging }, &probes, sync_ms);
    }
}

/// Posts requests of 1,000 events for so long.
fn load(server: &Server, length: Duration) {
    let n = EVENTS_PER_SECOND_MAX * length.as_secs().max(1);
    let batches = Mutex::new(common::batches(n, 1));
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..LOADERS {
            scope.spawn(|| {
                let agent = common::new_agent();
                while began.elapsed() < length {
                    let batch = batches.lock().unwrap_or_else(PoisonError::into_inner).next();
                    common::post(&agent, &server.url, &batch.expect("more than any machine takes"));
                }
            });
        }
    });
}

/// Posts single events, with pauses: one after the other they would be a load themselves, and keep the index from its rest.
/// A post during which a merge began or ended counts for neither.
fn probe(server: &Server, is_loading: &AtomicBool, is_over: &AtomicBool) -> Vec<(State, Duration)> {
    let agent = common::new_agent();
    let state =
        || State { is_loading: is_loading.load(Ordering::Relaxed), is_merging: common::is_merging(&server.dir) };
    let mut probes = Vec::new();
    let mut before = state();
    while !is_over.load(Ordering::Relaxed) {
        let event = format!(r#"{{"actor":"system","action":"bench.probed","detail":{{"n":{}}}}}"#, probes.len());
        let (_, took) = common::timed(|| common::post(&agent, &server.url, &event));
        let after = state();
        if before == after {
            probes.push((before, took));
        }
        before = after;
        thread::sleep(PAUSE);
    }
    probes
}

fn print(state: State, probes: &[(State, Duration)], sync_ms: f64) {
    let mut times: Vec<Duration> =
        probes.iter().filter(|(probed, _)| *probed == state).map(|(_, took)| *took).collect();
    let load = if state.is_loading { "under load" } else { "after it" };
    let merge = if state.is_merging { "with a merge" } else { "without one" };
    if times.is_empty() {
        println!("single event, {load}, {merge}: never so; let it run longer");
        return;
    }
    println!(
        "single event, {load}, {merge}: p50 {:.1} ms, p99 {:.1} ms ({} events; a sync of a new block takes {sync_ms:.2} ms)",
        common::percentile_ms(&mut times, 50),
        common::percentile_ms(&mut times, 99),
        times.len(),
    );
}
