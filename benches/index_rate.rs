//! Question: how fast do appended events become searchable, and what does a whole load cost in CPU and memory?
//! Data: `ANNALS_BENCH_EVENTS` generated 600-byte events, loaded by three clients as fast as the server takes them; then
//! single events posted with `wait=searchable`; then nothing, until spans are merged.
//! Target: >= 40,000 events/s searchable; <= 40 CPU s per 1 M events, merges included; ack to searchable p99 <= 1 s; RssAnon at
//! rest <= 300 MiB. What it takes of a disk asks `disk`.

mod common;

use std::time::Duration;

use common::Server;

fn main() {
    let n = common::events_wanted();
    let server = Server::empty();
    let cpu_before = server.cpu_seconds();
    let load = server.load(n);
    println!(
        "index: {:.0} events/s searchable (acked at {:.0}/s), {:.1} CPU s per 1 M events ({n} events)",
        n as f64 / load.searchable.as_secs_f64(),
        n as f64 / load.acked.as_secs_f64(),
        load.cpu_seconds * 1e6 / n as f64,
    );
    let mut times: Vec<Duration> = (0..200)
        .map(|number| {
            let event = format!(r#"{{"actor":"system","action":"bench.waited","detail":{{"n":{number}}}}}"#);
            common::timed(|| wait_searchable(&server, &event)).1
        })
        .collect();
    println!(
        "ack to searchable, ack included: p50 {:.0} ms, p99 {:.0} ms (one client)",
        common::percentile_ms(&mut times, 50),
        common::percentile_ms(&mut times, 99),
    );
    server.index_at_rest();
    let (durable, _) = server.marks();
    println!(
        "with all that follows until spans are merged: {:.1} CPU s per 1 M events",
        (server.cpu_seconds() - cpu_before) * 1e6 / durable as f64,
    );
    println!("memory: RssAnon {:.0} MiB, peak {:.0} MiB", server.memory_mib("RssAnon"), server.memory_mib("VmHWM"));
}

fn wait_searchable(server: &Server, event: &str) {
    let mut answer = server
        .agent
        .post(format!("{}/v1/events?wait=searchable", server.url))
        .header("content-type", "application/json")
        .send(event)
        .expect("an answer");
    let text = answer.body_mut().read_to_string().expect("a body");
    assert_eq!(answer.status(), 201, "{text}");
}
