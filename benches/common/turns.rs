//! The same requests to two servers in turns, in `RUNS` runs: how much longer the second takes than the first. Whoever comes second
//! with one request is first with the next, and what is left to be indexed is waited for between runs.

use std::time::Duration;

use super::{BATCH, Server, batches, now_ms, post_with, timed, with_params};

/// Runs that count.
pub const RUNS: usize = 10;
const BATCHES: usize = 20;
const SINGLES: usize = 200;
/// Pages in a run.
pub const PAGES: usize = 300;

/// A request.
pub enum Ask {
    Post(String),
    Get(String),
}

/// The requests of a run, others in each.
pub type Work = fn(run: usize) -> Vec<Ask>;

/// Requests of 1,000 events, single events, and pages of 50, of which the same come again in each run.
pub const KINDS: [(&str, Work); 3] = [
    ("requests of 1,000 events", |run| batches((BATCHES * BATCH) as u64, 1_000 + run as u64).map(Ask::Post).collect()),
    ("single events", |run| {
        annals::demo::volume(SINGLES as u64, 2_000 + run as u64, now_ms(), 365).map(Ask::Post).collect()
    }),
    ("pages of 50", |_| {
        let questions = ["rao basic", "iyer pro", "tenant:velo-in action:contacts", ""];
        (0..PAGES).map(|n| search(questions[n % 4])).collect()
    }),
];

/// A page of 50, not counted.
pub fn search(q: &str) -> Ask {
    Ask::Get(page_of(q))
}

/// Its path.
pub fn page_of(q: &str) -> String {
    with_params("/v1/events", &[("q", q), ("limit", "50"), ("count", "none")])
}

/// What a run takes, of each in the mean and of the second by the first in the median.
pub struct Took {
    pub ms: [f64; 2],
    pub ratio: f64,
}

fn ask(server: &Server, ask: &Ask) {
    match ask {
        Ask::Post(lines) => post_with(&server.agent, &server.url, server.key(), lines),
        Ask::Get(path) => drop(server.text(path)),
    }
}

/// Sends both what `work` says.
pub fn measure(servers: &[Server; 2], work: Work) -> Took {
    let (mut ratios, mut times) = (Vec::new(), [Duration::ZERO; 2]);
    // The first one is not counted: caches fill, connections open.
    for run in 0..=RUNS {
        let mut of_run = [Duration::ZERO; 2];
        for (n, request) in work(run).iter().enumerate() {
            for which in [n % 2, (n + 1) % 2] {
                of_run[which] += timed(|| ask(&servers[which], request)).1;
            }
        }
        if run > 0 {
            ratios.push(of_run[1].div_duration_f64(of_run[0]));
            times.iter_mut().zip(of_run).for_each(|(sum, of_run)| *sum += of_run / RUNS as u32);
        }
        servers.iter().for_each(|server| {
            server.settle();
            server.index_at_rest();
        });
    }
    ratios.sort_by(f64::total_cmp);
    Took { ms: times.map(|time| time.as_secs_f64() * 1e3), ratio: ratios[RUNS / 2] }
}
