//! Question: how fast does `annals verify` read a data directory, a bundle, and a server?
//! Data: `ANNALS_BENCH_EVENTS` generated events; a bundle of all of them; the server is asked over loopback. Pages are warm.
//! Target (2 cores): a directory at >= 300,000 events/s.

mod common;

use std::path::Path;
use std::process::Command;

use common::Server;

/// Runs of each; the median counts.
const RUNS: usize = 3;

fn main() {
    let server = Server::with_events(common::events_wanted());
    let n = server.total("/v1/events?limit=1");
    let key = server.get("/v1/log")["public_key"].as_str().expect("a key").to_owned();
    while server.get("/v1/log")["watermarks"]["signed"].as_u64() < Some(n) {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let dir = server.dir.to_str().expect("UTF-8").to_owned();
    report("directory", n, || verify(&dir, &key));
    report("server", n, || verify(&server.url, &key));

    let room = tempfile::tempdir().expect("a temporary directory");
    let bundle = room.path().join("bundle");
    let made = common::timed(|| export(&server.url, &bundle)).1.as_secs_f64();
    let bytes = std::fs::metadata(&bundle).expect("the bundle").len();
    println!("bundle written: {:.0} rows/s, {:.0} bytes a row", n as f64 / made, bytes as f64 / n as f64);
    let bundle = bundle.to_str().expect("UTF-8").to_owned();
    report("bundle", n, || verify(&bundle, &key));
}

fn report(what: &str, n: u64, run: impl Fn()) {
    let mut seconds: Vec<f64> = (0..RUNS).map(|_| common::timed(&run).1.as_secs_f64()).collect();
    seconds.sort_by(f64::total_cmp);
    println!("verify {what}: {:.0} events/s ({n} events, {:.2} s)", n as f64 / seconds[RUNS / 2], seconds[RUNS / 2]);
}

fn verify(target: &str, key: &str) {
    run(&["verify", target, "--key", key, "--json"]);
}

fn export(url: &str, to: &Path) {
    run(&["export", "--url", url, "--bundle", to.to_str().expect("UTF-8"), "--order", "seq"]);
}

fn run(args: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_annals")).args(args).output().expect("annals runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
