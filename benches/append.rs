//! Question: how many events a second are acked durable, in bulk and from many clients at once?
//! Data: generated 600-byte events; NDJSON requests of 1,000 from three clients, then 64 clients of one event a request.
//! Target (2 cores, NVMe): >= 60,000 events/s in bulk; >= 10,000 acks/s with p99 <= 30 ms on a disk that syncs in 5 ms.

mod common;

use std::thread;
use std::time::{Duration, Instant};

use common::Server;

const CLIENTS: usize = 64;

fn main() {
    let n = common::events_wanted();
    bulk(n);
    singles((n / 20).clamp(6_400, 100_000) as usize);
}

fn bulk(n: u64) {
    let server = Server::empty();
    let sync_ms = common::sync_ms(&server.dir);
    let load = server.load(n);
    println!(
        "append bulk: {:.0} events/s acked ({n} events, {:.0} MB/s; one sync takes {sync_ms:.2} ms)",
        n as f64 / load.acked.as_secs_f64(),
        load.bytes as f64 / 1e6 / load.acked.as_secs_f64(),
    );
}

fn singles(n: usize) {
    let server = Server::empty();
    let sync_ms = common::sync_ms(&server.dir);
    let events: Vec<String> = annals::demo::volume(n as u64, 2, common::now_ms(), 1).collect();
    let began = Instant::now();
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let clients: Vec<_> = events
            .chunks(n.div_ceil(CLIENTS))
            .map(|events| {
                let url = &server.url;
                scope.spawn(move || {
                    let agent = common::new_agent();
                    let mut times = Vec::with_capacity(events.len());
                    for event in events {
                        times.push(common::timed(|| common::post(&agent, url, event)).1);
                    }
                    times
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    let took = began.elapsed();
    println!(
        "append 64 clients: {:.0} acks/s, p50 {:.1} ms, p99 {:.1} ms ({n} events; one sync takes {sync_ms:.2} ms)",
        n as f64 / took.as_secs_f64(),
        common::percentile_ms(&mut times, 50),
        common::percentile_ms(&mut times, 99),
    );
}
