//! Question: what do keys cost whoever appends and searches?
//! Data: two servers with the same `ANNALS_BENCH_EVENTS` generated events, one that asks for keys (and counts how often each asks)
//! and one that does not, each request sent to both in turns, in runs: of 1,000 events, single events, and pages of 50. The
//! same questions come again in each run, as a poller's do, so that the entry about each is folded. Apart from that: questions
//! that are new each time, whose entry is on disk before the answer goes out; that is what looking costs, not the key.
//! Target: with keys it takes at most 1.05 times as long, in the median of the runs.

mod common;

use common::Server;
use common::turns::{self, KINDS, PAGES, Work, measure};

const RATIO_MAX: f64 = 1.05;

const EACH_NEW: (&str, Work) =
    ("pages of 50, each new", |run| (0..PAGES).map(|n| turns::search(&format!("rao -detail.n:{run}_{n}"))).collect());

fn main() {
    let n = common::events_wanted();
    let servers = [Server::empty(), Server::empty_guarded()];
    for server in &servers {
        for batch in common::batches(n, 1) {
            common::post_with(&server.agent, &server.url, server.key(), &batch);
        }
        server.settle();
        server.index_at_rest();
    }
    println!("keys: {n} events, a run takes");
    println!("{:<28} {:>11} {:>11} {:>7} {:>7}", "", "without ms", "with ms", "ratio", "target");
    for (name, work) in KINDS.into_iter().chain([EACH_NEW]) {
        let took = measure(&servers, work);
        let target = if name == EACH_NEW.0 { "-".to_owned() } else { format!("{RATIO_MAX:.2}") };
        println!("{name:<28} {:>11.1} {:>11.1} {:>7.2} {target:>7}", took.ms[0], took.ms[1], took.ratio);
    }
}
