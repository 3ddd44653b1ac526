//! Question: how long does the server take for a fragment (`/_results`) and for the whole page, each with rows, exact
//! counts, three menus, strip and chart?
//! Data: `ANNALS_BENCH_EVENTS` generated events of one year; 20 addresses of the kinds that people click together, each
//! asked five times; the first time is the dear one.
//! Target (10 M events): fragment p95 <= 50 ms, page p95 <= 80 ms.

mod common;

use std::time::Duration;

use common::Server;

const PAGE: &str = "/admin/audit-log/";
const ROUNDS: usize = 5;

fn main() {
    let n = common::events_wanted();
    let server = Server::with_events(n);
    for (what, path) in [("fragment", format!("{PAGE}_results")), ("page", PAGE.to_owned())] {
        let mut times: Vec<Duration> = Vec::new();
        for number in 0..20 {
            let actor = format!("user/u_{number}");
            let pairs: &[(&str, &str)] = match number % 5 {
                0 => &[("range", "all")],
                1 => &[("action", "contacts"), ("range", "90d")],
                2 => &[("actor", &actor), ("range", "all")],
                3 => &[("q", "patel"), ("range", "30d")],
                _ => &[("action", "billing"), ("range", "all"), ("target_type", "contact")],
            };
            for _ in 0..ROUNDS {
                times.push(common::timed(|| server.text(&common::with_params(&path, pairs))).1);
            }
        }
        println!(
            "page, {what}: p50 {:.1} ms, p95 {:.1} ms ({n} events)",
            common::percentile_ms(&mut times, 50),
            common::percentile_ms(&mut times, 95),
        );
    }
}
