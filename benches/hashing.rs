//! Question: what does an event cost to be provable: its commitment, its leaf, and its place in the tree and its files?
//! Data: `ANNALS_BENCH_EVENTS` bodies of generated events (at most 200,000 are held), one thread, files in a temporary
//! directory; batches of 1,000 and of 1. Nothing is synced, as in the server.
//! Target: all of it <= 5 us an event in batches of 1,000, a quarter of what 60,000 events/s leave for one on one core.

mod common;

use std::hint::black_box;

use annals::durable::OsDisk;
use annals::event::validate;
use annals::tree::{Frontier, Hash, Leaf, Tiles, commit, tenant_tag};

const HELD_MAX: u64 = 200_000;

fn main() {
    let n = common::events_wanted().min(HELD_MAX);
    let intake = common::intake();
    let drafts: Vec<_> = annals::demo::volume(n, 1, common::now_ms(), 1)
        .map(|event| validate(&event, &intake).expect("a generated event is good"))
        .collect();
    let bytes: usize = drafts.iter().map(|draft| draft.body.len()).sum();
    println!("{n} bodies of {:.0} bytes", bytes as f64 / n as f64);

    let salt = [7; 16];
    report("commitment (SHA-256 of the body)", n, || {
        for draft in &drafts {
            black_box(commit(&salt, draft.body.as_bytes()));
        }
    });
    let commits: Vec<[u8; 32]> = drafts.iter().map(|draft| commit(&salt, draft.body.as_bytes())).collect();
    let leaf = |i: usize| {
        let (draft, place) = (&drafts[i], i as u64);
        Leaf {
            kind: 1,
            received_ms: place,
            tenant_tag: tenant_tag(&draft.tenant),
            tenant_seq: place,
            commit: commits[i],
        }
        .hash()
    };
    report("leaf (tenant's tag, SHA-256 of 66 bytes)", n, || {
        for i in 0..drafts.len() {
            black_box(leaf(i));
        }
    });
    let leaves: Vec<Hash> = (0..drafts.len()).map(leaf).collect();
    report("frontier", n, || {
        let mut frontier = Frontier::new();
        leaves.iter().for_each(|leaf| frontier.push(*leaf));
        black_box(frontier.root());
    });
    for batch in [1_000, 1] {
        report(&format!("root and tile files, batches of {batch}"), n, || {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let mut tiles = Tiles::open(OsDisk::shared(), &dir.path().join("tree")).expect("tiles");
            tiles.truncate(0).expect("tiles");
            let mut frontier = Frontier::new();
            for leaves in leaves.chunks(batch) {
                leaves.iter().for_each(|leaf| frontier.push(*leaf));
                black_box(frontier.root());
                tiles.append(leaves).expect("tiles");
            }
        });
    }
}

fn report(what: &str, n: u64, run: impl FnMut()) {
    let mut run = run;
    let took = common::timed(&mut run).1.as_secs_f64();
    println!("{what}: {:.2} us an event", took * 1e6 / n as f64);
}
