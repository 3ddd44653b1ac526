//! The store over sealed segments: same answers, the tree as judge, and nothing done where nothing may be done.

use super::*;
use crate::log::SegmentInfo;

impl World {
    fn segments(&self) -> Vec<SegmentInfo> {
        self.store.source().reader().segments()
    }

    fn await_sealed(&self) {
        let active = self.segments().last().unwrap().first;
        wait_until("the finished segments to be sealed", || self.store.marks().sealed >= active);
    }

    /// Every entry as its place, its hash and its body.
    fn rows(&self) -> Vec<(Seq, [u8; 32], String)> {
        self.entries().into_iter().map(|entry| (entry.seq, entry.hash, entry.event.body())).collect()
    }

    fn file(&self, first: u64, ending: &str) -> PathBuf {
        self.dir.path().join(format!("log/{first:020}.{ending}"))
    }

    /// What the index and the slow twin find for some queries; both must find the same.
    fn found(&self) -> Vec<Vec<Hit>> {
        let (view, entries) = (self.await_searchable(), self.entries());
        let within = Within::below(view.searchable());
        let scan = self.store.scan(view.searchable());
        let found = (0..12).map(|seed| {
            let query = self.query(&entries, seed);
            let [fast, slow] = [&*view as &dyn Engine, &scan].map(|engine| {
                engine.hits(&query, Order::TimeDesc, None, within).unwrap().map(Result::unwrap).collect::<Vec<Hit>>()
            });
            assert!(fast == slow, "{}", self.explain(&query, &[]));
            fast
        });
        found.collect()
    }
}

#[test]
fn sealed_segments_answer_like_the_log_did_also_after_a_start_and_without_an_index() {
    let world = World::new(SPAN_EVENTS);
    world.store.sealer.as_ref().unwrap().stop();
    world.append(&(0..500).collect::<Vec<u64>>());
    assert!(world.segments().len() > 3 && world.segments().iter().all(|segment| segment.sealed.is_none()));
    assert_eq!(world.store.marks().sealed, Seq::ZERO);
    let (rows, found) = (world.rows(), world.found());

    let world = world.reopen(SPAN_EVENTS, |_| {});
    world.await_sealed();
    assert!(!world.file(0, "log").exists() && world.file(0, "seg").exists());
    assert!(world.rows() == rows && world.found() == found);

    let sealed = world.store.marks().sealed;
    let world = world.reopen(SPAN_EVENTS, |world| fs::remove_dir_all(world.dir.path().join("index")).unwrap());
    assert_eq!(world.store.marks().sealed, sealed);
    assert!(world.rows() == rows && world.found() == found);

    // The tree is lost too: it is computed again, from sealed segments and from the active one.
    let world = world.reopen(SPAN_EVENTS, |world| fs::remove_dir_all(world.dir.path().join("tree")).unwrap());
    assert_eq!(world.store.report().scanned_from, Seq::ZERO);
    assert!(world.rows() == rows && world.found() == found);
    world.append(&(500..700).collect::<Vec<u64>>());
    world.await_sealed();
    assert!(world.rows()[..rows.len()] == rows);
    world.found();
    world.store.close();
}

#[test]
fn a_leaf_that_is_not_the_trees_keeps_its_segment_a_log() {
    let world = World::new(SPAN_EVENTS);
    let sealer = world.store.sealer.as_ref().unwrap();
    sealer.stop();
    world.append(&(0..500).collect::<Vec<u64>>());
    let rows = world.rows();
    let leaves = world.dir.path().join("tree/L0");
    let good = fs::read(&leaves).unwrap();
    let mut bad = good.clone();
    bad[3 * 32] ^= 1;
    fs::write(&leaves, &bad).unwrap();
    let why = sealer.seal_next().unwrap_err();
    assert!(why.contains("event 3 is not the one in tree/L0"), "{why}");
    assert!(world.file(0, "log").exists() && !world.file(0, "seg").exists() && !world.file(0, "seg.tmp").exists());
    assert!(world.rows() == rows);
    fs::write(&leaves, &good).unwrap();
    sealer.seal_next().unwrap();
    assert!(!world.file(0, "log").exists() && world.file(0, "seg").exists());
    assert!(world.rows() == rows);
    world.store.close();
}

#[test]
fn a_store_that_only_looks_seals_nothing_and_reads_what_is_sealed() {
    let world = World::new(SPAN_EVENTS);
    world.store.sealer.as_ref().unwrap().stop();
    world.append(&(0..300).collect::<Vec<u64>>());
    world.store.sealer.as_ref().unwrap().seal_next().unwrap();
    let rows = world.rows();
    world.store.close();
    let World { dir, store } = world;
    drop(store);
    let before = names_in_log(&dir);
    let settings = Settings { read_only: true, ..settings(&dir, SPAN_EVENTS) };
    let store = Store::open(OsDisk::shared(), settings, Arc::new(Catalogue::builtin().clone())).unwrap();
    assert!(store.sealer.is_none());
    let world = World { dir, store };
    assert_eq!(world.store.marks().sealed, world.segments()[0].end);
    assert!(world.rows() == rows);
    world.store.close();
    assert_eq!(names_in_log(&world.dir), before);
}

fn names_in_log(dir: &tempfile::TempDir) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> =
        fs::read_dir(dir.path().join("log")).unwrap().map(|item| item.unwrap().file_name()).collect();
    names.sort();
    names
}
