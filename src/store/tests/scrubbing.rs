//! Whatever rots is found by reading everything again, and said where; and a round goes on where the last process stopped.

use super::integrity::{Found, Integrity, State};
use super::*;

/// As fast as it goes, and round after round.
const FAST: scrubber::ScrubSettings =
    scrubber::ScrubSettings { period: Some(Duration::from_millis(1)), bytes_per_s: 1 << 40 };

fn open_scrubbing(dir: &tempfile::TempDir, scrub: scrubber::ScrubSettings) -> Store {
    let settings = Settings { scrub, ..settings(dir, SPAN_EVENTS) };
    Store::open(OsDisk::shared(), settings, Arc::new(Catalogue::builtin().clone())).unwrap()
}

/// A closed directory with sealed segments, an active one, spans, and more than one tile.
fn filled() -> tempfile::TempDir {
    let world = World::new(SPAN_EVENTS);
    world.append(&(0..720).collect::<Vec<u64>>());
    let active = world.store.source().reader().segments().last().unwrap().first;
    wait_until("the finished segments to be sealed", || world.store.marks().sealed >= active);
    world.await_spans();
    wait_until("the checkpoint", || world.store.marks().signed == world.store.marks().durable);
    world.store.close();
    world.dir
}

/// What the first round over this directory comes to, and the events that it signed when it began.
fn one_round(dir: &tempfile::TempDir) -> Integrity {
    let store = open_scrubbing(dir, FAST);
    wait_until("a round to end", || store.integrity().checked.is_some());
    store.close();
    let mut now = store.integrity();
    now.running = None;
    now
}

fn flip(path: &std::path::Path, at: usize, bit: u8) {
    // A sealed segment is read-only: it is replaced.
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1 << bit;
    let copy = path.with_extension("flipped");
    fs::write(&copy, bytes).unwrap();
    fs::rename(&copy, path).unwrap();
}

fn forget(dir: &tempfile::TempDir) {
    fs::remove_file(dir.path().join("scrubbed")).unwrap();
}

fn in_log(dir: &tempfile::TempDir, ending: &str) -> PathBuf {
    let names = fs::read_dir(dir.path().join("log")).unwrap().map(|item| item.unwrap().path());
    let mut files: Vec<PathBuf> = names.filter(|path| path.extension().is_some_and(|e| e == ending)).collect();
    files.sort();
    files.swap_remove(0)
}

#[test]
fn a_sound_store_passes_with_all_its_events_and_the_result_outlives_the_process() {
    let dir = filled();
    let now = one_round(&dir);
    let checked = now.checked.clone().unwrap();
    assert_eq!((now.state(), checked.found), (State::Passed, Vec::new()));
    assert_eq!(checked.events, Seq(720));
    // Everything in `log/` but the room that the active segment has reserved, and the spans.
    let sealed: u64 = ["seg"].iter().map(|ending| fs::metadata(in_log(&dir, ending)).unwrap().len()).sum();
    assert!(checked.bytes > sealed);
    let store = open_scrubbing(&dir, scrubber::ScrubSettings { period: None, ..FAST });
    assert_eq!(store.integrity().state(), State::Passed);
    assert_eq!(store.integrity().checked.unwrap().events, Seq(720));
    store.close();
}

#[test]
fn rot_anywhere_is_found_with_its_place_and_forgotten_when_a_round_passes_over_it() {
    let dir = filled();
    let (sealed, active, tree) = (in_log(&dir, "seg"), in_log(&dir, "log"), dir.path().join("tree"));
    let first_active: u64 = active.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let note = fs::read_dir(dir.path().join("checkpoints")).unwrap().next().unwrap().unwrap().path();
    let segment = |found: &Found| found.segment.map(|seq| seq.0);
    let end = fs::metadata(&sealed).unwrap().len() as usize;
    type Check = Box<dyn Fn(&Found) -> bool>;
    let cases: Vec<(&PathBuf, usize, Check)> = vec![
        (&sealed, 5_000, Box::new(move |f| segment(f) == Some(0) && f.offset == Some(4096))),
        (&sealed, 100, Box::new(move |f| segment(f) == Some(0) && f.offset == Some(0))),
        (&sealed, end - 20, Box::new(move |f| segment(f) == Some(0))),
        (&active, 4096 + 40, Box::new(move |f| segment(f) == Some(first_active) && f.seq == Some(Seq(first_active)))),
    ];
    // In a store that runs: a start would refuse some of these.
    let store = open_scrubbing(&dir, FAST);
    wait_until("a round to end", || store.integrity().checked.is_some());
    let l0 = tree.join("L0");
    let (l1, head) = (tree.join("L1"), dir.path().join("HEAD"));
    let tree_cases: Vec<(&PathBuf, usize, Check)> = vec![
        // In the middle of a round the events may have been compared before: then the roots tell.
        (&l0, 32 * 3 + 5, {
            let is_leaf = |f: &Found| f.seq == Some(Seq(3)) && f.why.contains("tree/L0");
            Box::new(move |f| is_leaf(f) || f.why.contains("the tree has another root"))
        }),
        (&l1, 32 + 7, Box::new(|f| f.why.contains("tree/L1, hash 1"))),
        (&note, 60, Box::new(|f| f.why.contains("checkpoints/"))),
        (&head, 60, Box::new(|f| f.why.contains("HEAD"))),
    ];
    for (i, (path, at, is_right)) in cases.iter().chain(&tree_cases).enumerate() {
        let is_open = path.starts_with(&tree) || path.ends_with("HEAD") || path.extension().is_some_and(|e| e == "log");
        let flip = || match is_open {
            true => {
                let mut bytes = fs::read(path).unwrap();
                bytes[*at] ^= 4;
                let file = OsDisk.open(path).unwrap();
                file.write_at(&bytes[*at..=*at], *at as u64).unwrap();
            }
            false => flip(path, *at, 2),
        };
        flip();
        wait_until("it to be found", || store.integrity().state() == State::Failed);
        let found = store.integrity().finding().unwrap().clone();
        assert!(is_right(&found), "case {i}: {found:?}");
        flip();
        wait_until("a round to pass", || {
            store.integrity().state() == State::Passed && store.integrity().found_count() == 0
        });
    }
    store.close();
}

#[test]
fn a_damaged_span_is_built_again_and_answers_stay_what_they_were() {
    let dir = filled();
    let world = World { store: open_scrubbing(&dir, scrubber::ScrubSettings { period: None, ..FAST }), dir };
    world.await_searchable();
    let entries = world.entries();
    let ask = |world: &World| {
        let view = world.await_searchable();
        (0..12)
            .map(|seed| hits(&*view, &world.query(&entries, seed), Order::TimeDesc, None, Within::below(Seq(720))))
            .collect::<Vec<_>>()
    };
    let before = ask(&world);
    world.store.close();
    let World { mut dir, store } = world;
    drop(store);
    let index = dir.path().join("index");
    let spans = || fs::read_dir(&index).unwrap().map(|item| item.unwrap().path()).collect::<Vec<_>>();
    for name in ["idx", "pos", "fast", "ids", "term", "filter"] {
        forget_if_there(&dir);
        let store = open_scrubbing(&dir, FAST);
        let world = World { dir, store };
        world.await_spans();
        wait_until("a round to end", || world.store.integrity().checked.is_some());
        let rebuilt = world.store.integrity().spans_rebuilt;
        let file = spans()
            .iter()
            .flat_map(|dir| fs::read_dir(dir).unwrap())
            .map(|item| item.unwrap().path())
            .find(|path| path.to_str().unwrap().ends_with(name))
            .unwrap();
        let middle = fs::metadata(&file).unwrap().len() as usize / 3;
        // Behind the back of those who have it mapped.
        flip(&file, middle, 3);
        wait_until("the span to be built again", || world.store.integrity().spans_rebuilt > rebuilt);
        world.await_spans();
        assert!(!file.exists() || fs::read(&file).is_ok());
        assert!(ask(&world) == before, "{name}");
        // A copy is still known for one.
        let verdicts = append(&world.store, &(0..50).collect::<Vec<u64>>());
        assert!(
            verdicts.iter().all(|v| matches!(v, Verdict::Stored(r) if r.duplicate || r.id.len() > 30)),
            "{verdicts:?}"
        );
        world.store.close();
        let World { dir: same, store } = world;
        drop(store);
        dir = same;
    }
}

fn forget_if_there(dir: &tempfile::TempDir) {
    if dir.path().join("scrubbed").exists() {
        forget(dir);
    }
}

#[test]
fn a_round_goes_on_after_a_restart_and_keeps_to_its_rate() {
    let dir = filled();
    // A byte a second: the first batch takes longer than any test.
    let slow = scrubber::ScrubSettings { period: Some(Duration::from_millis(1)), bytes_per_s: 1 };
    let store = open_scrubbing(&dir, slow);
    wait_until("the first batch", || store.integrity().running.is_some_and(|round| round.bytes > 0));
    let round = store.integrity().running.unwrap();
    assert!(round.events < Seq(100), "{round:?}");
    store.close();
    let began = store.integrity().running.unwrap().began_ms;
    drop(store);
    let now = one_round(&dir);
    let checked = now.checked.unwrap();
    assert_eq!((checked.began_ms, checked.events), (began, Seq(720)));
}
