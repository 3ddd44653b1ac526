//! Question: what do keys cost whoever appends and searches?
//! Data: two servers with the same `ANNALS_BENCH_EVENTS` generated events, one that asks for keys (and counts how often each asks)
//! and one that does not, each request sent to both in turns, in `RUNS` runs: of 1,000 events, single events, and pages of 50. The
//! same questions come again in each run, as a poller's do, so that the entry about each is folded. Apart from that: questions
//! that are new each time, whose entry is on disk before the answer goes out; that is what looking costs, not the key.
//! Target: with keys it takes at most 1.05 times as long, in the median of the runs.

mod common;

use std::time::Duration;

use common::Server;

const RUNS: usize = 10;
/// Of each kind in a run: a run takes long enough not to be noise.
const BATCHES: usize = 20;
const SINGLES: usize = 200;
const PAGES: usize = 300;
const RATIO_MAX: f64 = 1.05;

/// A request.
enum Ask {
    Post(String),
    Get(String),
}

/// The requests of a run, others in each.
type Work = fn(run: usize) -> Vec<Ask>;

const KINDS: [(&str, Work); 4] = [
    ("requests of 1,000 events", |run| {
        common::batches((BATCHES * common::BATCH) as u64, 1_000 + run as u64).map(Ask::Post).collect()
    }),
    ("single events", |run| {
        annals::demo::volume(SINGLES as u64, 2_000 + run as u64, common::now_ms(), 365).map(Ask::Post).collect()
    }),
    ("pages of 50", |_| {
        let questions = ["rao basic", "iyer pro", "tenant:velo-in action:contacts", ""];
        (0..PAGES).map(|n| search(questions[n % 4])).collect()
    }),
    ("pages of 50, each new", |run| (0..PAGES).map(|n| search(&format!("rao -detail.n:{run}_{n}"))).collect()),
];

fn search(q: &str) -> Ask {
    Ask::Get(common::with_params("/v1/events", &[("q", q), ("limit", "50"), ("count", "none")]))
}

fn ask(server: &Server, ask: &Ask) {
    match ask {
        Ask::Post(lines) => common::post_with(&server.agent, &server.url, server.key(), lines),
        Ask::Get(path) => drop(server.text(path)),
    }
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
    println!("keys: {n} events, a run takes");
    println!("{:<28} {:>11} {:>11} {:>7} {:>7}", "", "without ms", "with ms", "ratio", "target");
    for (name, work) in KINDS {
        let (mut ratios, mut times) = (Vec::new(), [Duration::ZERO; 2]);
        // The first one is not counted: caches fill, connections open.
        for run in 0..=RUNS {
            let mut of_run = [Duration::ZERO; 2];
            for (n, request) in work(run).iter().enumerate() {
                // Whoever comes second with one is first with the next.
                for which in [n % 2, (n + 1) % 2] {
                    of_run[which] += common::timed(|| ask(&servers[which], request)).1;
                }
            }
            if run > 0 {
                ratios.push(of_run[1].div_duration_f64(of_run[0]));
                times.iter_mut().zip(of_run).for_each(|(sum, of_run)| *sum += of_run / RUNS as u32);
            }
            // What is left to be indexed would be in the way of the next run.
            servers.iter().for_each(|server| {
                server.settle();
                server.index_at_rest();
            });
        }
        ratios.sort_by(f64::total_cmp);
        let ratio = ratios[RUNS / 2];
        let [without, with] = times.map(|time| time.as_secs_f64() * 1e3);
        let target = if name.ends_with("new") { "-".to_owned() } else { format!("{RATIO_MAX:.2}") };
        println!("{name:<28} {without:>11.1} {with:>11.1} {ratio:>7.2} {target:>7}");
    }
}
