//! Spans of four events, so that merges of several levels go on all the time: no view that is held meanwhile, no id and
//! no damage to what was merged changes an answer.

use super::*;

const SMALL: u64 = 4;
/// Levels there are, and spans of one that are not merged yet, at most.
const LEVELS: usize = 4;
const LEVEL_SPANS_MAX: usize = 8;

/// Waits until nothing is left to be built or merged, and what was merged is gone from the disk.
fn await_merged(world: &World) {
    let full = Seq((world.store.marks().durable.0 + 1).saturating_sub(SMALL));
    wait_until("the spans to be merged", || {
        let (is_merged, spans) = (world.store.spans_unmerged() == 0, world.store.indexer.spans_now());
        let mut dirs: Vec<PathBuf> = spans.iter().map(|span| span.dir.clone()).collect();
        dirs.sort();
        is_merged && world.store.indexer.is_spanned(full) && world.spans_on_disk() == dirs
    });
    let spans = world.store.indexer.spans_now();
    let runs: Vec<(Seq, Seq)> = spans.iter().map(|span| (span.summary.first, span.summary.last)).collect();
    assert!(runs.len() <= LEVELS * LEVEL_SPANS_MAX, "{} spans are left: {runs:?}", runs.len());
    assert!(runs.array_windows().all(|[one, next]| one.1.plus(1) == next.0), "not side by side: {runs:?}");
    assert_eq!(world.store.index_fault(), None);
}

/// What was found in a view when it was taken.
struct Held {
    view: Arc<View>,
    query: Query,
    found: Vec<Hit>,
}

impl Held {
    fn new(world: &World, seed: u64) -> Held {
        let view = world.store.view();
        let query = world.query(&world.entries(), seed);
        let found = hits(&*view, &query, Order::TimeDesc, None, Within::below(view.searchable()));
        Held { view, query, found }
    }

    /// The same is found again, and it is what a scan finds.
    fn check(&self, world: &World, entries: &[Entry], queries: &[u64]) -> TestCaseResult {
        let Held { view, query, found } = self;
        let within = Within::below(view.searchable());
        prop_assert_eq!(&hits(&**view, query, Order::TimeDesc, None, within), found, "{}", query);
        let scanned = world.store.scan(view.searchable()).collect(query, Order::TimeDesc, None, within).unwrap();
        prop_assert_eq!(&scanned, found, "{}", query);
        check_queries(world, view, entries, queries)
    }
}

/// The directory over the most events.
fn widest(world: &World) -> PathBuf {
    let width = |dir: &PathBuf| {
        let name = dir.file_name().unwrap().to_str().unwrap();
        let mut numbers = name.split('-').map(|number| number.parse::<u64>().unwrap());
        let first = numbers.next().unwrap();
        numbers.next().unwrap() - first + 1
    };
    let dir = world.spans_on_disk().into_iter().max_by_key(width).unwrap();
    assert!(width(&dir) > SMALL, "{} was never merged", dir.display());
    dir
}

const LOSSES: &[Damage] = &[
    Damage::Deleted(".term"),
    Damage::Deleted("ids"),
    Damage::Deleted("meta.json"),
    Damage::Deleted("summary.json"),
    Damage::Truncated("ids", 500),
];

proptest! {
    #![proptest_config(config(1))]

    #[test]
    fn no_answer_changes_while_spans_are_merged_under_those_who_ask(
        events in seeds(200..280),
        queries in seeds(3..5),
        damage in 0..LOSSES.len(),
    ) {
        let world = World::new(SMALL);
        let mut held = Vec::new();
        for (turn, request) in events.chunks(9).enumerate() {
            append(&world.store, request);
            // Sometimes everything is indexed before more comes, sometimes the builders fall behind.
            if turn % 3 == 0 {
                world.await_searchable();
            }
            if turn % 4 == 1 {
                held.push(Held::new(&world, queries[turn % queries.len()]));
            }
            if let Some(old) = held.get(turn / 6) {
                old.check(&world, &world.entries(), &queries[..1])?;
            }
        }
        world.await_searchable();
        await_merged(&world);
        let entries = world.entries();
        for old in &held {
            old.check(&world, &entries, &queries[..2])?;
        }
        check_unharmed(&world, &events, &queries, "merged");

        // Again after a start; also what was mapped before it.
        let world = world.reopen(SMALL, |world| LOSSES[damage].strike(&widest(world)));
        check_unharmed(&world, &events, &queries, &format!("{:?} of the widest span", LOSSES[damage]));
        await_merged(&world);
        check_unharmed(&world, &events, &queries, "built and merged again");
        for old in &held {
            old.check(&world, &entries, &queries[..1])?;
        }
        let world = world.reopen(SMALL, |_| {});
        prop_assert_eq!(world.store.view().missing(), 0);
        check_unharmed(&world, &events, &queries, "opened again");
        await_merged(&world);
        world.store.close();
    }
}

/// All files of a directory, into another one.
fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let path = item.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

#[test]
fn a_crash_between_a_merge_and_its_tidying_up_leaves_one_span_over_each_event() {
    let mut dice = Dice::new(8);
    let mut some = |n: usize| (0..n).map(|_| dice.below(usize::MAX) as u64).collect::<Vec<u64>>();
    let (events, queries) = (some(64), some(4));
    // Narrow spans, too few to be merged; then, instead of them, what merging makes of the same events.
    let world = World::new(16);
    world.append(&events);
    world.await_searchable();
    world.await_spans();
    let world = world.reopen(16, |_| {});
    let kept = tempfile::tempdir().unwrap();
    let small = world.spans_on_disk();
    assert!((2..8).contains(&small.len()), "{small:?}");
    small.iter().for_each(|dir| copy_dir(dir, &kept.path().join(dir.file_name().unwrap())));
    let world = world.reopen(SMALL, |world| fs::remove_dir_all(world.dir.path().join("index")).unwrap());
    await_merged(&world);
    // What the merge replaced is there again; of one only half, as if the crash had come in the middle of removing it.
    let world = world.reopen(SMALL, |world| {
        let index = world.dir.path().join("index");
        small.iter().for_each(|dir| copy_dir(&kept.path().join(dir.file_name().unwrap()), dir));
        Damage::Deleted(".idx").strike(&small[1]);
        copy_dir(&small[0], &index.join("building-0-64"));
    });
    check_unharmed(&world, &events, &queries, "with old and new");
    await_merged(&world);
    world.store.close();
}
