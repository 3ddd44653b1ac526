//! Question: what does it cost that every event is sealed, and how long does an erasure take?
//! Data: two servers with the same `ANNALS_BENCH_EVENTS` generated events, one that seals all of them (whoever is in them can be
//! erased) and one that seals none, each request sent to both in turns, in runs: of 1,000 events, single events, pages of
//! 50, exports. Then persons are erased in the sealed one, one by one and 1,000 at once, while pages are asked for; and at last, after a
//! restart without a delay, all of that is purged.
//! Target: an erasure is answered within 50 ms (p50); the rest is shown as ratios.

mod common;

use std::time::{Duration, Instant};

use common::Server;
use common::turns::{Ask, KINDS, PAGES, Work, measure, page_of};

const ERASURES: usize = 100;
const AT_ONCE: usize = 1_000;
const ERASED_P50_MS: f64 = 50.0;

/// Every type that generated events have as actor or target.
const EVERYBODY: &str = "contact user system conversation campaign template wallet consent did sender";
const SETTINGS: [&[(&str, &str)]; 2] =
    [&[("ANNALS_SUBJECT_TYPES", "")], &[("ANNALS_SUBJECT_TYPES", EVERYBODY), ("ANNALS_PURGE_AFTER_S", "86400")]];

const EXPORTS: (&str, Work) = ("CSV of 10,000 rows", |run| {
    let from = 10_000 * run;
    vec![Ask::Get(format!("/v1/export?format=csv&q=seq:{from}..{}", from + 9_999))]
});

fn main() {
    let n = common::events_wanted();
    let servers = SETTINGS.map(Server::empty_with);
    for server in &servers {
        let (_, took) = common::timed(|| server.load(n));
        server.index_at_rest();
        let mib = |part: &str| server.disk_bytes(part) >> 20;
        let seconds = took.as_secs_f64();
        println!("sealing: {n} events searchable in {seconds:.0} s, {:.0}/s", n as f64 / seconds);
        println!("MiB: log {}, index {}, keyring {}", mib("log"), mib("index"), mib("keyring"));
    }
    println!("{:<28} {:>11} {:>11} {:>7}", "a run of", "clear ms", "sealed ms", "ratio");
    for (name, work) in KINDS.into_iter().chain([EXPORTS]) {
        let took = measure(&servers, work);
        println!("{name:<28} {:>11.1} {:>11.1} {:>7.2}", took.ms[0], took.ms[1], took.ratio);
    }
    let [_, sealed] = servers;
    erasures(sealed, n);
}

fn erasures(server: Server, n: u64) {
    let persons = (n / 20).max(1_000);
    let subject = |k: u64| format!(r#"{{"type":"contact","id":"t_{k}"}}"#);
    let erase = |subjects: &str| {
        let body = format!(r#"{{"subjects":[{subjects}],"tenant":"velo-in"}}"#);
        common::timed(|| server.post_json("/v1/erasures", &body)).1
    };
    let mut alone: Vec<Duration> = (0..ERASURES as u64).map(|k| erase(&subject(k * 7 % persons))).collect();
    let (p50, p99) = (common::percentile_ms(&mut alone, 50), common::percentile_ms(&mut alone, 99));
    println!("erasure of one, answered: p50 {p50:.1} ms, p99 {p99:.1} ms; target {ERASED_P50_MS} ms");
    let many: Vec<String> = (0..AT_ONCE as u64).map(|k| subject((k * 11 + 3) % persons)).collect();
    println!("erasure of {AT_ONCE} at once: {:.0} ms", erase(&many.join(",")).as_secs_f64() * 1e3);
    let pages = |name: &str, server: &Server| {
        let questions = ["rao basic", "iyer pro", "weber"];
        let page = |k: usize| common::timed(|| server.text(&page_of(questions[k % 3]))).1;
        let mut times: Vec<Duration> = (0..PAGES).map(page).collect();
        let (p50, p99) = (common::percentile_ms(&mut times, 50), common::percentile_ms(&mut times, 99));
        println!("pages {name}: p50 {p50:.2} ms, p99 {p99:.2} ms");
    };
    pages("while these are left out of the index", &server);
    let began = Instant::now();
    let server = server.restarted_with(&[("ANNALS_SUBJECT_TYPES", EVERYBODY), ("ANNALS_PURGE_AFTER_S", "0")]);
    pages("while the index is purged", &server);
    while server.metric("annals_erasures_pending") > 0 {
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("all of it purged, from the restart on: {:.1} s", began.elapsed().as_secs_f64());
    pages("afterwards", &server);
}
