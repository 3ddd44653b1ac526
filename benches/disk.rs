//! Question: how much of a disk do events take, by part, once their segments are sealed and their spans merged?
//! Data: real audit events, where they lie beside the project; `ANNALS_BENCH_EVENTS` generated ones, which are made of words and
//! ids drawn at random, with contacts sealed and without.
//! Target: log, index and tree together <= 0.50 of the raw JSON.

mod common;

use std::path::Path;
use std::thread;
use std::time::Duration;

use common::Server;
use serde_json::Value;

const TARGET: f64 = 0.50;

fn main() {
    println!("bytes per byte of JSON             log  index   tree   together  target   keyring");
    match real_events() {
        Some(lines) => {
            let events = lines.lines().count().to_string();
            // One segment for all of them: with the event that `measure` sends behind them it is finished.
            let settings = [("ANNALS_SEGMENT_EVENTS", events.as_str())];
            measure(&format!("{events} real ones"), &settings, in_batches(&lines).into_iter());
        }
        None => println!("NOT MEASURED: the real events are not there"),
    }
    let n = common::events_wanted();
    measure(&format!("{n}, contacts sealed"), &[], common::batches(n, 1));
    measure(&format!("{n}, nothing sealed"), &[("ANNALS_SUBJECT_TYPES", "")], common::batches(n, 1));
}

fn real_events() -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/events-real.ndjson.zst");
    let bytes = std::fs::read(path).ok()?;
    let raw = zstd::decode_all(bytes.as_slice()).expect("the real events are zstd");
    Some(String::from_utf8(raw).expect("the real events are UTF-8"))
}

fn in_batches(lines: &str) -> Vec<String> {
    let lines: Vec<&str> = lines.split_inclusive('\n').collect();
    lines.chunks(common::BATCH).map(<[&str]>::concat).collect()
}

fn measure(what: &str, settings: &[(&str, &str)], batches: impl Iterator<Item = String> + Send) {
    let server = Server::empty_with(settings);
    let load = server.load_batches(batches);
    common::post(&server.agent, &server.url, r#"{"actor":"system","action":"bench.ended"}"#);
    // What is left in memory becomes a span.
    let server = server.restarted_with(settings);
    let sealed = wait_until_sealed(&server);
    server.index_at_rest();
    let json = load.bytes as f64;
    let [index, tree, keyring] = ["index", "tree", "keyring"].map(|part| server.disk_bytes(part) as f64 / json);
    let log = sealed.bytes / (json * sealed.share);
    let together = log + index + tree;
    println!("{what:30} {log:7.3}{index:7.3}{tree:7.3} {together:10.3} {TARGET:7.2} {keyring:9.3}");
}

/// What is in sealed segments.
struct Sealed {
    bytes: f64,
    /// Of all events. The segment that grows has room for more of them on the disk than are in it.
    share: f64,
}

fn wait_until_sealed(server: &Server) -> Sealed {
    loop {
        let answer = server.get("/v1/segments");
        let segments = answer["segments"].as_array().expect("segments");
        let (active, finished) = segments.split_last().expect("there is always one");
        if finished.iter().all(|segment| segment["is_sealed"] == true) {
            let bytes = finished.iter().map(|segment| number(&segment["bytes"])).sum();
            return Sealed { bytes, share: number(&active["first"]) / server.marks().0 as f64 };
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}
