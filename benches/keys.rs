//! Question: what do keys cost whoever appends and searches?
//! Data: two servers with the same `ANNALS_BENCH_EVENTS` generated events, one that asks for keys (and counts how often each asks)
//! and one that does not, asked in turns, `RUNS` times each: requests of 1,000 events, single events, and pages of 50. The
//! same questions come again in each run, as a poller's do, so that the entry about each is folded. Apart from that: questions
//! that are new each time, whose entry is on disk before the answer goes out; that is what looking costs, not the key.
//! Target: the median of a run with keys is at most 1.05 times that without.

mod common;

use std::time::Duration;

use common::Server;

const RUNS: usize = 10;
/// Of each kind in a run: a run takes long enough not to be noise.
const BATCHES: usize = 20;
const SINGLES: usize = 200;
const PAGES: usize = 300;
const RATIO_MAX: f64 = 1.05;

/// What is asked in a run; `run` differs each time, and so do the events.
type Work = fn(server: &Server, run: usize);

const KINDS: [(&str, Work); 4] = [
    ("requests of 1,000 events", |server, run| {
        for batch in common::batches((BATCHES * common::BATCH) as u64, 1_000 + run as u64) {
            common::post_with(&server.agent, &server.url, server.key(), &batch);
        }
    }),
    ("single events", |server, run| {
        for event in annals::demo::volume(SINGLES as u64, 2_000 + run as u64, common::now_ms(), 365) {
            common::post_with(&server.agent, &server.url, server.key(), &event);
        }
    }),
    ("pages of 50", |server, _| {
        for n in 0..PAGES {
            search(server, ["rao basic", "iyer pro", "tenant:velo-in action:contacts", ""][n % 4]);
        }
    }),
    ("pages of 50, each new", |server, run| {
        for n in 0..PAGES {
            search(server, &format!("rao -detail.n:{run}_{n}"));
        }
    }),
];

fn search(server: &Server, q: &str) {
    server.text(&common::with_params("/v1/events", &[("q", q), ("limit", "50"), ("count", "none")]));
}

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
    println!("keys: {n} events, medians of {RUNS} runs in turns");
    println!("{:<28} {:>11} {:>11} {:>7} {:>7}", "", "without ms", "with ms", "ratio", "target");
    for (name, work) in KINDS {
        let mut times: [Vec<Duration>; 2] = Default::default();
        // The first one is not counted: caches fill, connections open.
        for run in 0..=RUNS {
            for (server, times) in servers.iter().zip(&mut times) {
                let (_, took) = common::timed(|| work(server, run));
                if run > 0 {
                    times.push(took);
                }
                server.settle();
            }
        }
        let [without, with] = times.each_mut().map(|times| common::percentile_ms(times, 50));
        let target = if name.ends_with("new") { "-".to_owned() } else { format!("{RATIO_MAX:.2}") };
        println!("{name:<28} {without:>11.1} {with:>11.1} {:>7.2} {target:>7}", with / without);
    }
}
