//! The events the tests are run on: real ones where they are there, invented ones otherwise.

use std::path::Path;

/// The lines of the real audit events, or a loud notice and nothing where they are absent. They are test data that lie
/// beside the project, never in it.
pub fn real_events() -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/events-real.ndjson.zst");
    match std::fs::read(&path) {
        Ok(bytes) => {
            let raw = zstd::decode_all(bytes.as_slice()).expect("the real events are zstd");
            Some(String::from_utf8(raw).expect("the real events are UTF-8"))
        }
        Err(error) => {
            skipped(&format!("the real events are not there ({}: {error})", path.display()));
            None
        }
    }
}

/// The real events, or demo events in their place.
pub fn real_or_demo_events() -> String {
    real_events().unwrap_or_else(|| {
        eprintln!("         20,000 demo events are used in their place");
        demo_events(20_000)
    })
}

/// Demo events of spring 2025: a fixed end, so that every run sees the same ones, and none lies in the future.
pub fn demo_events(n: u64) -> String {
    let end_ms = 1_750_000_000_000;
    annals::demo::events(n, 7, end_ms, 90).map(|line| line + "\n").collect()
}

/// Says loudly that something was not tested.
pub fn skipped(why: &str) {
    eprintln!("\n  ******  NOT TESTED: {why}  ******\n");
}
