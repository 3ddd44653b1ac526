//! Question: what does it cost to make one span of several, beside Tantivy's own merge of the same?
//! Data: seven spans of 32,768 generated events, contacts sealed, as the server cut them; in turns, `RUNS` runs, one thread.
//! Target: cheaper than that, since the store merges each event two or three times.

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use annals::durable::OsDisk;
use annals::index::tantivy::schema;
use annals::index::tantivy::span::{self, Place, Span};
use annals::seq::Seq;
use common::Server;
use tantivy::directory::MmapDirectory;
use tantivy::indexer::merge_filtered_segments;
use tantivy::{Index, Segment};

const SPANS: u64 = 7;
const SPAN_EVENTS: u64 = 32_768;
const RUNS: usize = 5;

fn main() {
    let own = tempfile::tempdir().expect("a temporary directory");
    let from = own.path().join("spans");
    fs::create_dir(&from).expect("a directory");
    let server = Server::empty();
    let load = server.load(SPANS * SPAN_EVENTS);
    server.index_at_rest();
    for span in fs::read_dir(server.dir.join("index")).expect("the index") {
        let span = span.expect("a span").path();
        let to = from.join(span.file_name().expect("a name"));
        if span.is_dir() {
            fs::create_dir(&to).expect("a directory");
            for file in fs::read_dir(&span).expect("a span") {
                let file = file.expect("a file").path();
                fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("a copy");
            }
        }
    }
    drop(server);

    let spans: Vec<Arc<Span>> = span::open_all(&from, Seq(u64::MAX), true, &mut |error| panic!("{error}"))
        .expect("the spans")
        .into_iter()
        .map(Arc::new)
        .collect();
    let events: u64 = spans.iter().map(|span| span.summary.events()).sum();
    println!(
        "{} spans of {events} events together, {:.0} bytes of JSON each",
        spans.len(),
        load.bytes as f64 / events as f64
    );
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(merge(&spans, own.path()));
        theirs.push(merge_by_tantivy(&spans, own.path()));
    }
    for (who, times) in [("ours", &mut ours), ("Tantivy's", &mut theirs)] {
        let p50 = common::percentile_ms(times, 50);
        println!("merge, {who}: {p50:.0} ms, {:.2} us an event", p50 * 1e3 / events as f64);
    }
}

fn merge(spans: &[Arc<Span>], room: &Path) -> Duration {
    let index_dir = room.join("ours");
    fs::create_dir(&index_dir).expect("a directory");
    let disk = OsDisk::shared();
    let place = Place { disk: &*disk, index_dir: &index_dir };
    let never = Arc::new(AtomicBool::new(false));
    let (_, took) = common::timed(|| span::merge(place, spans, &never).expect("a span"));
    fs::remove_dir_all(&index_dir).expect("it is there");
    took
}

/// The segment alone, without ids and summary, and not synced.
fn merge_by_tantivy(spans: &[Arc<Span>], room: &Path) -> Duration {
    let dir = room.join("theirs");
    fs::create_dir(&dir).expect("a directory");
    let segments: Vec<Segment> = spans.iter().flat_map(|span| segments(&span.dir)).collect();
    let left = vec![None; segments.len()];
    let into = MmapDirectory::open(&dir).expect("a directory");
    let (merged, took) = common::timed(|| merge_filtered_segments(&segments, schema::settings(), left, into));
    drop(merged.expect("a segment"));
    fs::remove_dir_all(&dir).expect("it is there");
    took
}

fn segments(dir: &Path) -> Vec<Segment> {
    let index = Index::open(MmapDirectory::open(dir).expect("a directory")).expect("an index");
    index.searchable_segments().expect("its segment")
}
