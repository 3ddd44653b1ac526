//! Question: how long do three facets, the histogram and the total take, the first time a query is asked and again?
//! Data: `ANNALS_BENCH_EVENTS` generated events of one year; 20 queries, each asked twice; then with a relative range,
//! whose edges move between the two.
//! Target (10 M events): first time <= 300 ms, again <= 20 ms.

mod common;

use std::time::Duration;

use common::Server;

fn main() {
    let n = common::events_wanted();
    let server = Server::with_events(n);
    for (what, range) in [("whole time", ""), ("relative range", " time:90d")] {
        let (mut first, mut again): (Vec<Duration>, Vec<Duration>) = (Vec::new(), Vec::new());
        for number in 0..20 {
            let filter = match number % 4 {
                0 => format!("-actor:u_{number}"),
                1 => format!("detail.amount:>{}", number * 300),
                2 => format!("contact OR patel OR babab{number}"),
                _ => format!("action:contacts -target:t_{number}"),
            };
            let q = format!("{filter}{range}");
            let fields = "actor,action,target_type";
            let path = common::with_params("/v1/facets", &[("q", &q), ("fields", fields), ("histogram", "auto")]);
            first.push(common::timed(|| server.text(&path)).1);
            again.push(common::timed(|| server.text(&path)).1);
        }
        println!(
            "facets, {what}: first time p50 {:.1} ms, p99 {:.1} ms; again p50 {:.1} ms, p99 {:.1} ms ({n} events)",
            common::percentile_ms(&mut first, 50),
            common::percentile_ms(&mut first, 99),
            common::percentile_ms(&mut again, 50),
            common::percentile_ms(&mut again, 99),
        );
    }
}
