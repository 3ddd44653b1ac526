//! Holds the index against `scan`: random events in a real store, random queries, and every answer of the fast engine
//! compared with what the log itself says, in every state an index can be in.
//!
//! The default run is the same each time. `ANNALS_SOAK` makes it ten times as long; proptest's own `PROPTEST_CASES` asks for that
//! many cases of each test, `PROPTEST_RNG_SEED` makes it another one.

mod erasing;
mod merging;
mod promises;
mod scrubbing;
mod sealing;
mod trees;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseResult};

use super::*;
use crate::durable::os::OsDisk;
use crate::event::{Catalogue, DEFAULT_ID, Entry, validate};
use crate::index::tantivy::piece::Piece;
use crate::index::tantivy::{schema, term_filter};
use crate::index::{Engine, EngineError, FacetCounts, FacetValue, Hit, Order, Patience, choice, facet_value};
use crate::query::filter::TimeRange;
use crate::query::samples::events::{self, Dice};
use crate::query::samples::queries;
use crate::query::{Env, FacetField, Filter, Node, Query, actor_literal, from_params, parse};
use crate::soak;

/// A span's worth here, so that a few hundred events make several.
const SPAN_EVENTS: u64 = 40;

/// Blocks and shares of a few documents, so that a span has several and ranges and pins cut them anywhere; and room for
/// some of what is counted, so that it is sometimes kept and sometimes not.
const COUNTS: CountLimits =
    CountLimits { cache_bytes_max: 24 << 10, piece_docs_min: 16, block_docs: 7, shared_docs_min: 10 };

/// Waiting for an index thread longer than this means that it hangs. A loaded machine may be slow.
const PATIENCE: Duration = Duration::from_secs(60);

const ORDERS: [Order; 4] = [Order::TimeDesc, Order::TimeAsc, Order::SeqDesc, Order::SeqAsc];

/// A store in a directory of its own.
struct World {
    dir: tempfile::TempDir,
    store: Store,
}

impl World {
    fn new(events_max: u64) -> World {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir, events_max);
        World { dir, store }
    }

    /// Appends the events of these seeds, in requests of some size.
    fn append(&self, seeds: &[u64]) {
        for request in seeds.chunks(64) {
            append(&self.store, request);
        }
    }

    /// Waits until everything acknowledged is searchable.
    fn await_searchable(&self) -> Arc<View> {
        let durable = self.store.marks().durable;
        wait_until("all events to be searchable", || self.store.view().searchable() >= durable);
        self.store.view()
    }

    /// Waits until spans hold all but a last run that is not full, and what was there at the start.
    fn await_spans(&self) {
        let full = Seq((self.store.marks().durable.0 + 1).saturating_sub(SPAN_EVENTS));
        wait_until("the spans to be built", || self.store.indexer.is_spanned(full) && self.store.view().missing() == 0);
    }

    /// Closes the store, does something to its directory, and opens it again.
    fn reopen(self, events_max: u64, meanwhile: impl FnOnce(&World)) -> World {
        self.store.close();
        meanwhile(&self);
        let World { dir, store } = self;
        drop(store);
        let store = open(&dir, events_max);
        World { dir, store }
    }

    fn spans_on_disk(&self) -> Vec<PathBuf> {
        let mut spans: Vec<PathBuf> = fs::read_dir(self.dir.path().join("index"))
            .unwrap()
            .map(|item| item.unwrap().path())
            .filter(|path| path.is_dir())
            .collect();
        spans.sort();
        spans
    }

    fn entries(&self) -> Vec<Entry> {
        let all = Within::below(self.store.marks().durable);
        self.store.source().seen(Personal::Shown).range(all).map(|entry| entry.unwrap().0).collect()
    }

    /// The query that `seed` makes of these events.
    fn query(&self, entries: &[Entry], seed: u64) -> Query {
        let dice = &mut Dice::new(seed);
        let env = Env { now_ms: clock::now_ms(), catalogue: Catalogue::builtin() };
        // A pattern may be too complex, a range empty: then another one.
        for _ in 0..50 {
            if let Ok(query) = parse(&queries::query(dice, entries, 2), &env) {
                return query;
            }
        }
        panic!("no query of seed {seed} can be read");
    }

    /// What this query matches, for the message of a failure.
    fn explain(&self, query: &Query, seqs: &[Seq]) -> String {
        let mut shown = format!("query: {query}\n{:?}\n", query.root);
        for seq in seqs.iter().take(3) {
            let entry = self.store.source().seen(Personal::Shown).entry(*seq).unwrap();
            let body: String = entry.event.body().chars().take(2_000).collect();
            shown.push_str(&format!("seq {seq} (scan: {}): {body}\n", query.matches(&entry)));
        }
        shown
    }
}

/// Segments of a few requests, so that every test also reads sealed ones, and reads while some are being sealed.
const SEGMENT_EVENTS: u64 = 100;

fn settings(dir: &tempfile::TempDir, events_max: u64) -> Settings {
    Settings {
        dir: dir.path().to_owned(),
        free_bytes_min: Some(0),
        accept_clock: false,
        read_only: false,
        spans: SpanLimits { events_max, ..SpanLimits::default() },
        counts: COUNTS,
        log: log::Options { segment_events_max: SEGMENT_EVENTS, preallocate_bytes: 0, ..log::Options::default() },
        origin: None,
        accept_new_key: false,
        last_note: None,
        scrub: scrubber::ScrubSettings { period: None, bytes_per_s: 1 << 30 },
        reserve_bytes: 0,
        privacy: Privacy { types: SubjectTypes::new(vec!["contact".into(), "user".into()]), ..Privacy::default() },
    }
}

fn open(dir: &tempfile::TempDir, events_max: u64) -> Store {
    Store::open(OsDisk::shared(), settings(dir, events_max), Arc::new(Catalogue::builtin().clone())).unwrap()
}

fn append(store: &Store, seeds: &[u64]) -> Vec<Verdict> {
    append_as(store, seeds, events::event)
}

fn append_as(store: &Store, seeds: &[u64], make: fn(u64) -> String) -> Vec<Verdict> {
    let drafts = seeds
        .iter()
        .map(|seed| {
            let text = make(*seed);
            validate(&text, &store.intake(None)).unwrap_or_else(|faults| panic!("{text}\n{faults:?}"))
        })
        .collect();
    let append = Append { drafts, skip_conflicts: false, kind: Kind::Event };
    store.append(append).unwrap().blocking_recv().unwrap().unwrap()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A case here is a whole store that is asked a thousand things: ten seconds of work, often.
fn config(cases: u32) -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(20_261_120);
    let cases = cases * soak::times(10);
    ProptestConfig { cases, rng_seed, failure_persistence: None, max_shrink_iters: 40, ..ProptestConfig::default() }
}

/// A number that only stands for itself: what is simpler than it is not smaller.
fn seed() -> impl Strategy<Value = u64> + Clone {
    any::<u64>().no_shrink()
}

/// Shown on one line.
#[derive(Clone)]
struct Seeds(Vec<u64>);

impl std::fmt::Debug for Seeds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[")?;
        self.0.iter().try_for_each(|seed| write!(f, "{seed}, "))?;
        write!(f, "]")
    }
}

impl std::ops::Deref for Seeds {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.0
    }
}

fn seeds(count: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Seeds> {
    prop::collection::vec(seed(), count).prop_map(Seeds)
}

fn hits(engine: &impl Engine, query: &Query, order: Order, after: Option<Hit>, within: Within) -> Vec<Hit> {
    engine.hits(query, order, after, within).unwrap().collect::<Result<Vec<Hit>, EngineError>>().unwrap()
}

/// A part of the log: nearly all of it, or some, also beyond its end.
fn some_within(dice: &mut Dice, end: Seq) -> Within {
    let end = end.0 as usize;
    match dice.below(3) {
        0 => Within::below(Seq(end as u64 + 7)),
        1 => Within { from: Seq(dice.below(end + 1) as u64), to: Seq(dice.below(end + 9) as u64) },
        _ => {
            let from = dice.below(end + 1);
            Within { from: Seq(from as u64), to: Seq((from + 1 + dice.below(60)) as u64) }
        }
    }
}

/// Borders of a histogram around the times that occur.
fn some_edges(dice: &mut Dice, entries: &[Entry]) -> Vec<i64> {
    let mut edges: Vec<i64> =
        (0..dice.below(8)).map(|_| dice.pick(entries).event.time.ms + dice.below(3) as i64 - 1).collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}

fn some_fields(dice: &mut Dice) -> Vec<FacetField> {
    let mut fields: Vec<FacetField> = FacetField::ALL.into_iter().filter(|_| dice.percent(60)).collect();
    if dice.percent(50) {
        fields.reverse();
    }
    fields
}

/// Everything the engine can be asked about one query, of view and scan.
fn check_query(world: &World, view: &View, entries: &[Entry], seed: u64) -> TestCaseResult {
    let query = world.query(entries, seed);
    let dice = &mut Dice::new(!seed);
    // What is looked for is in the entries; not all who ask may find it.
    let personal = if dice.percent(50) { Personal::Shown } else { Personal::Hidden };
    let (view, scan) = (&view.seen(personal), world.store.scan(view.searchable()).seen(personal));
    let within = some_within(dice, view.searchable());

    let expected = scan.collect(&query, Order::SeqAsc, None, within).unwrap();
    let found = hits(view, &query, Order::SeqAsc, None, within);
    let differing: Vec<Seq> = expected
        .iter()
        .filter(|hit| !found.contains(hit))
        .chain(found.iter().filter(|hit| !expected.contains(hit)))
        .map(|hit| hit.seq)
        .collect();
    prop_assert!(differing.is_empty(), "differ in {differing:?}, {within:?}\n{}", world.explain(&query, &differing));
    for order in ORDERS {
        let after = match dice.below(4) {
            0 => None,
            1 => Some(Hit { time_ms: dice.pick(entries).event.time.ms, seq: Seq(dice.below(400) as u64) }),
            _ if expected.is_empty() => None,
            _ => Some(*dice.pick(&expected)),
        };
        let expected = scan.collect(&query, order, after, within).unwrap();
        let found = hits(view, &query, order, after, within);
        prop_assert_eq!(found, expected, "{:?} after {:?} {:?}: {}", order, after, within, query);
    }

    let total = view.total(&query, within).unwrap();
    prop_assert_eq!(total, expected.len() as u64, "total {:?}: {}", within, query);
    check_counts(&query, view, &scan, within, dice, entries)?;
    // Again, with other edges and another pin: what was kept must fit these as well.
    for _ in 0..3 {
        let within =
            if dice.percent(50) { Within::below(view.searchable()) } else { some_within(dice, view.searchable()) };
        check_counts(&within_some_time(&query, dice, entries), view, &scan, within, dice, entries)?;
    }
    Ok(())
}

/// Everything that counts, of view and scan.
fn check_counts(
    query: &Query,
    view: &View,
    scan: &Scan,
    within: Within,
    dice: &mut Dice,
    entries: &[Entry],
) -> TestCaseResult {
    let fields = some_fields(dice);
    let expected = scan.counts(query, within, &fields).unwrap();
    prop_assert_eq!(view.counts(query, within, &fields).unwrap(), expected.clone(), "{:?}: {}", within, query);
    prop_assert_eq!(view.total(query, within).unwrap(), expected.total, "total {:?}: {}", within, query);
    let edges = some_edges(dice, entries);
    let expected = scan.histogram(query, within, &edges).unwrap();
    prop_assert_eq!(view.histogram(query, within, &edges).unwrap(), expected, "{:?} {:?}: {}", edges, within, query);
    let expected = scan.time_ends(query, within).unwrap();
    prop_assert_eq!(view.time_ends(query, within).unwrap(), expected, "{:?}: {}", within, query);
    for field in fields {
        let mut values: Vec<FacetValue> = entries.iter().filter_map(|entry| facet_value(field, entry)).collect();
        values.push(FacetValue { parent: "no".into(), value: "such value".into() });
        let expected = scan.newest(field, &values, within).unwrap();
        prop_assert_eq!(view.newest(field, &values, within).unwrap(), expected, "{:?} {:?}", field, within);
    }
    Ok(())
}

/// The same query in a time range of its own, or as it is.
fn within_some_time(query: &Query, dice: &mut Dice, entries: &[Entry]) -> Query {
    let at = |dice: &mut Dice| dice.pick(entries).event.time.ms + dice.below(3) as i64 - 1;
    let (a, b) = (at(dice), at(dice));
    let (from_ms, to_ms) = match dice.below(5) {
        0 => return query.clone(),
        1 => (Some(a), None),
        2 => (None, Some(a)),
        _ => (Some(a.min(b)), Some(a.max(b) + 1)),
    };
    query.clone().and(Query { root: Node::Filter(Filter::Time(TimeRange { from_ms, to_ms })) })
}

fn check_queries(world: &World, view: &View, entries: &[Entry], queries: &[u64]) -> TestCaseResult {
    match entries {
        [] => {
            let all = Within::below(Seq(9));
            prop_assert_eq!(view.total(&Query::all(), all).unwrap(), 0);
            prop_assert_eq!(hits(view, &Query::all(), Order::TimeDesc, None, all), []);
            Ok(())
        }
        _ => queries.iter().try_for_each(|seed| check_query(world, view, entries, *seed)),
    }
}

proptest! {
    #![proptest_config(config(8))]

    #[test]
    fn a_search_answers_what_a_scan_answers_in_every_state_of_the_index(
        first in seeds(0..200),
        more in seeds(0..100),
        queries in seeds(1..40),
        lost in seed(),
    ) {
        // All in memory.
        let world = World::new(u64::MAX / 2);
        world.append(&first);
        let view = world.await_searchable();
        check_queries(&world, &view, &world.entries(), &queries)?;

        // No index at all: answered from the log while the spans are built.
        let world = world.reopen(SPAN_EVENTS, |world| fs::remove_dir_all(world.dir.path().join("index")).unwrap());
        let view = world.store.view();
        prop_assert_eq!(view.searchable().0, first.len() as u64);
        check_queries(&world, &view, &world.entries(), &queries)?;

        // Several spans, and the newest events in memory.
        world.await_spans();
        world.append(&more);
        world.await_searchable();
        world.await_spans();
        let view = world.await_searchable();
        let entries = world.entries();
        check_queries(&world, &view, &entries, &queries)?;

        // All in spans, read from disk; but for one that got lost.
        let world = world.reopen(SPAN_EVENTS, |world| {
            let spans = world.spans_on_disk();
            if !spans.is_empty() {
                fs::remove_dir_all(&spans[(lost % spans.len() as u64) as usize]).unwrap();
            }
        });
        let view = world.store.view();
        check_queries(&world, &view, &entries, &queries)?;
        world.await_spans();
        check_queries(&world, &world.store.view(), &entries, &queries)?;
        world.store.close();
    }
}

#[test]
fn counts_that_run_out_of_time_are_refused_and_leave_nothing_wrong_behind() {
    let mut dice = Dice::new(6);
    let seeds: Vec<u64> = (0..120).map(|_| dice.below(usize::MAX) as u64).collect();
    let world = World::new(SPAN_EVENTS);
    world.append(&seeds);
    world.await_spans();
    let view = world.await_searchable();
    let entries = world.entries();
    let all = Within::below(view.searchable());
    let fields = FacetField::ALL;
    let hurried = view.patient(Arc::new(Patience::at_most(Duration::ZERO)));
    for seed in &seeds[..20] {
        let query = world.query(&entries, *seed);
        let is_refused = |error: EngineError| matches!(error, EngineError::TooBroad { .. });
        let before = world.store.counts_kept().misses;
        assert!(hurried.total(&query, all).is_err_and(is_refused), "{query}");
        assert!(hurried.histogram(&query, all, &[0, i64::MAX]).is_err_and(is_refused), "{query}");
        assert!(hurried.time_ends(&query, all).is_err_and(is_refused), "{query}");
        assert!(hurried.counts(&query, all, &fields).is_err_and(is_refused), "{query}");
        assert_eq!(world.store.counts_kept().misses, before, "{query}");
        let expected = world.store.scan(all.to).counts(&query, all, &fields).unwrap();
        assert_eq!(view.counts(&query, all, &fields).unwrap(), expected, "{query}");
    }
    world.store.close();
}

#[test]
fn a_question_asked_again_is_answered_from_what_was_kept() {
    let mut dice = Dice::new(7);
    let seeds: Vec<u64> = (0..120).map(|_| dice.below(usize::MAX) as u64).collect();
    let world = World::new(SPAN_EVENTS);
    world.append(&seeds);
    world.await_spans();
    let view = world.await_searchable();
    let roomy = CountLimits { cache_bytes_max: 64 << 20, piece_docs_min: 0, ..COUNTS };
    let cache = Arc::new(CountCache::new(roomy));
    let view = view.counting(cache.clone());
    let env = Env { now_ms: clock::now_ms(), catalogue: Catalogue::builtin() };
    let query = parse("-actor:nobody outcome:(success OR denied)", &env).unwrap();
    let all = Within::below(view.searchable());
    let ask = || {
        let counts = view.counts(&query, all, &FacetField::ALL).unwrap();
        let edges = [0, events::FIRST_TIME_MS, i64::MAX];
        (counts, view.total(&query, all).unwrap(), view.histogram(&query, all, &edges).unwrap())
    };
    let first = ask();
    let misses = cache.stats().misses;
    assert!(misses > 0 && cache.stats().bytes > 0);
    assert_eq!(ask(), first);
    assert_eq!(cache.stats().misses, misses);
    world.store.close();
}

/// How many of these entries have each value of a facet.
fn counted_by_hand<'a>(field: FacetField, entries: impl Iterator<Item = &'a Entry>) -> Vec<(FacetValue, u64)> {
    let mut counted: BTreeMap<FacetValue, u64> = BTreeMap::new();
    for value in entries.filter_map(|entry| facet_value(field, entry)) {
        *counted.entry(value).or_default() += 1;
    }
    counted.into_iter().collect()
}

/// The query with what it says of `field` replaced by one choice.
fn choosing(query: &Query, field: FacetField, value: &FacetValue) -> Query {
    let (rest, own) = query.split_facets();
    let others = own.into_iter().filter(|(other, _)| *other != field).map(|(_, node)| node);
    let chosen = Node::Filter(choice(field, value));
    if field == FacetField::Actor {
        let parameter = ("actor".to_owned(), actor_literal(&value.parent, &value.value));
        let env = Env { now_ms: 0, catalogue: Catalogue::builtin() };
        assert_eq!(from_params(&[parameter], &env).unwrap().query.root, chosen);
    }
    Query { root: Node::and(std::iter::once(rest).chain(others).chain([chosen]).collect()) }
}

proptest! {
    #![proptest_config(config(3))]

    #[test]
    fn a_count_beside_a_choice_is_the_total_after_choosing_it(
        events in seeds(60..200),
        queries in seeds(1..25),
    ) {
        let world = World::new(SPAN_EVENTS);
        world.append(&events);
        let view = world.await_searchable();
        let entries = world.entries();
        let all = Within::below(view.searchable());
        let every = view.counts(&Query::all(), all, &FacetField::ALL).unwrap().facets;
        for FacetCounts { field, values } in &every {
            prop_assert_eq!(values, &counted_by_hand(*field, entries.iter()));
        }
        for &seed in &*queries {
            let query = world.query(&entries, seed);
            let within = some_within(&mut Dice::new(!seed), view.searchable());
            let counted = view.counts(&query, within, &FacetField::ALL).unwrap().facets;
            // Also of the values that are not shown: choosing them finds nothing.
            for (FacetCounts { field, values }, FacetCounts { values: shown, .. }) in every.iter().zip(counted) {
                let shown: BTreeMap<FacetValue, u64> = shown.into_iter().collect();
                for (value, _) in values {
                    let chosen = choosing(&query, *field, value);
                    let total = view.total(&chosen, within).unwrap();
                    let count = shown.get(value).copied().unwrap_or(0);
                    prop_assert_eq!(total, count, "{:?} {:?} in {:?}: {} -> {}", field, value, within, query, chosen);
                }
            }
        }
        world.store.close();
    }
}

proptest! {
    #![proptest_config(config(3))]

    /// What lies outside a restriction is not there: not as a row, not in a total, a facet value, a bar or a first time.
    #[test]
    fn under_a_restriction_the_log_has_only_what_it_lets_through(
        events in seeds(60..200),
        queries in seeds(2..20),
    ) {
        let world = World::new(SPAN_EVENTS);
        world.append(&events);
        let view = world.await_searchable().seen(Personal::Shown);
        let entries = world.entries();
        for &seed in &*queries {
            let restriction = world.query(&entries, seed.rotate_left(17) ^ 0x5eed);
            let query = world.query(&entries, seed);
            let within = some_within(&mut Dice::new(!seed), view.searchable());
            let narrowed = query.clone().narrowed(&restriction);
            let allowed: Vec<&Entry> = entries
                .iter()
                .filter(|entry| within.from <= entry.seq && entry.seq < within.to && restriction.matches(entry))
                .collect();
            let said = format!("{query} under {restriction}");

            let expected: Vec<Seq> = allowed.iter().filter(|entry| query.matches(entry)).map(|entry| entry.seq).collect();
            let hits: Result<Vec<Hit>, EngineError> = view.hits(&narrowed, Order::SeqAsc, None, within).unwrap().collect();
            let found: Vec<Seq> = hits.unwrap().into_iter().map(|hit| hit.seq).collect();
            prop_assert_eq!(&found, &expected, "{}", said);
            prop_assert_eq!(view.total(&narrowed, within).unwrap(), expected.len() as u64, "{}", said);

            let time = |seq: &Seq| entries[seq.0 as usize].event.time.ms;
            let ends = expected.iter().map(time).min().zip(expected.iter().map(time).max());
            prop_assert_eq!(view.time_ends(&narrowed, within).unwrap(), ends, "{}", said);

            let (rest, own) = query.split_facets();
            for FacetCounts { field, values } in view.counts(&narrowed, within, &FacetField::ALL).unwrap().facets {
                let others = own.iter().filter(|(other, _)| *other != field).map(|(_, node)| node.clone());
                let others = Query { root: Node::and(std::iter::once(rest.clone()).chain(others).collect()) };
                let counted = counted_by_hand(field, allowed.iter().copied().filter(|entry| others.matches(entry)));
                prop_assert_eq!(values, counted, "{:?} of {}", field, said);
            }
        }
        world.store.close();
    }
}

proptest! {
    #![proptest_config(config(4))]

    #[test]
    fn pages_together_are_the_whole_list_while_events_come_in(
        first in seeds(20..150),
        more in seeds(0..120),
        queries in seeds(5..12),
    ) {
        let world = World::new(SPAN_EVENTS);
        world.append(&first);
        let pin = Within::below(world.await_searchable().searchable());
        let entries = world.entries();
        let mut coming = more.chunks(5);
        for (turn, &seed) in queries.iter().enumerate() {
            let query = world.query(&entries, seed);
            let dice = &mut Dice::new(!seed);
            let order = ORDERS[turn % ORDERS.len()];
            if turn == ORDERS.len() {
                coming.by_ref().for_each(|request| world.append(request));
                // Spans now hold events from before and behind the pin together.
                world.await_spans();
            }
            // Each page is asked of the index as it is by then.
            let seqs = all_pages(&world, &query, order, pin, || {
                if let Some(request) = coming.next() {
                    world.append(request);
                }
                1 + dice.below(30)
            });
            let whole = world.store.scan(pin.to).collect(&query, order, None, pin).unwrap();
            let whole: Vec<Seq> = whole.iter().map(|hit| hit.seq).collect();
            prop_assert_eq!(seqs, whole, "{:?}: {}", order, query);
        }
        world.store.close();
    }

    #[test]
    fn pages_of_an_import_where_hundreds_share_a_time_are_the_whole_list(
        recent in seeds(0..60),
        old in seeds(150..200),
        more in seeds(20..40),
        limit in 1..20_usize,
        queries in seeds(2..4),
    ) {
        let world = World::new(SPAN_EVENTS);
        world.append(&recent);
        append_as(&world.store, &old, events::imported);
        let pin = Within::below(world.await_searchable().searchable());
        world.await_spans();
        let entries = world.entries();
        let mut coming = more.chunks(3);
        let queries = queries.iter().map(|seed| world.query(&entries, *seed)).chain([Query::all()]);
        for (query, order) in queries.flat_map(|query| ORDERS.map(|order| (query.clone(), order))) {
            let seqs = all_pages(&world, &query, order, pin, || {
                if let Some(request) = coming.next() {
                    append_as(&world.store, request, events::imported);
                }
                limit
            });
            let whole = world.store.scan(pin.to).collect(&query, order, None, pin).unwrap();
            let whole: Vec<Seq> = whole.iter().map(|hit| hit.seq).collect();
            prop_assert_eq!(seqs, whole, "{:?}, pages of {}: {}", order, limit, query);
        }
        world.store.close();
    }

    #[test]
    fn whenever_the_time_of_a_question_runs_out_its_answer_is_whole_or_too_broad(
        events in seeds(60..130),
        queries in seeds(6..10),
    ) {
        let world = World::new(SPAN_EVENTS);
        world.append(&events);
        world.await_searchable();
        world.await_spans();
        let view = world.await_searchable();
        let entries = world.entries();
        for &seed in &*queries {
            check_impatient(&world, &view, &entries, seed)?;
        }
        world.store.close();
    }
}

/// The seqs of all pages of an answer; `turn` runs before each and says how long it is to be.
fn all_pages(world: &World, query: &Query, order: Order, pin: Within, mut turn: impl FnMut() -> usize) -> Vec<Seq> {
    let (mut seqs, mut after) = (Vec::new(), None);
    loop {
        let limit = turn();
        let view = world.store.view();
        let answers = Answers { engine: &*view, source: world.store.source(), catalogue: world.store.catalogue() };
        let page = answers.page(query, order, after, pin, PageLimit::rows(limit)).unwrap();
        assert!(page.row_ends.len() <= limit);
        assert!(!page.has_more || page.row_ends.len() == limit);
        let mut start = 0;
        for end in &page.row_ends {
            seqs.push(seq_of(&page.rows[start..*end]));
            start = *end;
        }
        after = page.last;
        if !page.has_more {
            return seqs;
        }
    }
}

/// Everything that can be asked about one query, with time for ever more looks at the clock, until all is answered.
fn check_impatient(world: &World, view: &View, entries: &[Entry], seed: u64) -> TestCaseResult {
    let query = world.query(entries, seed);
    let dice = &mut Dice::new(!seed);
    let (within, fields, edges) = (some_within(dice, view.searchable()), some_fields(dice), some_edges(dice, entries));
    let scan = world.store.scan(view.searchable());
    for looks in (0..20).chain((5..).map(|n| 1 << n)) {
        let impatient = || view.patient(Arc::new(Patience::of_looks(looks)));
        let mut is_answered = true;
        for order in ORDERS {
            let whole = scan.collect(&query, order, None, within).unwrap();
            let hurried = impatient();
            let found = hurried.hits(&query, order, None, within).and_then(Iterator::collect::<Result<Vec<Hit>, _>>);
            is_answered &= is_whole_or_none(found, whole)?;
        }
        is_answered &= is_whole_or_none(impatient().total(&query, within), scan.total(&query, within).unwrap())?;
        let counts = scan.counts(&query, within, &fields).unwrap();
        is_answered &= is_whole_or_none(impatient().counts(&query, within, &fields), counts)?;
        let histogram = scan.histogram(&query, within, &edges).unwrap();
        is_answered &= is_whole_or_none(impatient().histogram(&query, within, &edges), histogram)?;
        if is_answered {
            return Ok(());
        }
    }
    unreachable!("an endless range")
}

/// Whether there was an answer; it has to be the right one.
fn is_whole_or_none<T: PartialEq + std::fmt::Debug>(
    answer: Result<T, EngineError>,
    whole: T,
) -> Result<bool, TestCaseError> {
    match answer {
        Ok(answer) => {
            prop_assert_eq!(answer, whole);
            Ok(true)
        }
        Err(EngineError::TooBroad { .. }) => Ok(false),
        Err(other) => Err(TestCaseError::fail(other.to_string())),
    }
}

fn seq_of(row: &str) -> Seq {
    match crate::json::parse(row, 64).unwrap().get("seq") {
        Some(Json::Number(token)) => Seq(token.parse().unwrap()),
        other => panic!("{other:?}"),
    }
}

/// What can happen to a span's directory while nobody looks.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// Written by a version with another schema.
    OtherSchema,
    /// This many per mille of the file are left.
    Truncated(&'static str, usize),
    /// A bit of a byte this far in, per mille.
    Flipped(&'static str, usize),
    /// The first file whose name ends so is gone.
    Deleted(&'static str),
}

const DAMAGES: &[Damage] = &[
    Damage::OtherSchema,
    Damage::Truncated("ids", 0),
    Damage::Truncated("ids", 500),
    Damage::Truncated("summary.json", 0),
    Damage::Truncated("summary.json", 700),
    Damage::Truncated("meta.json", 300),
    Damage::Flipped("meta.json", 250),
    Damage::Flipped("meta.json", 600),
    Damage::Flipped("meta.json", 950),
    Damage::Truncated(".term", 900),
    Damage::Truncated(".fast", 500),
    Damage::Truncated(".idx", 0),
    Damage::Flipped("ids", 0),
    Damage::Flipped("ids", 17),
    Damage::Flipped("ids", 700),
    Damage::Flipped("summary.json", 50),
    Damage::Flipped("summary.json", 350),
    Damage::Flipped("summary.json", 800),
    Damage::Truncated("terms.filter", 0),
    Damage::Truncated("terms.filter", 900),
    Damage::Deleted("terms.filter"),
    Damage::Deleted("ids"),
    Damage::Deleted("summary.json"),
    Damage::Deleted("meta.json"),
    Damage::Deleted(".term"),
    Damage::Deleted(".idx"),
    Damage::Deleted(".pos"),
    Damage::Deleted(".fast"),
    Damage::Deleted(".store"),
];

impl Damage {
    fn strike(self, span: &std::path::Path) {
        let file = |ending: &str| {
            let mut files: Vec<PathBuf> = fs::read_dir(span).unwrap().map(|item| item.unwrap().path()).collect();
            files.sort();
            files.into_iter().find(|path| path.to_str().unwrap().ends_with(ending))
        };
        match self {
            Damage::OtherSchema => {
                let path = file("summary.json").unwrap();
                let text = fs::read_to_string(&path).unwrap();
                let of_version = |version| format!("\"schema_version\": {version},");
                let other = text.replace(&of_version(schema::current().version), &of_version(999));
                assert_ne!(text, other);
                fs::write(path, other).unwrap();
            }
            Damage::Truncated(ending, per_mille) => {
                let path = file(ending).unwrap();
                let bytes = fs::read(&path).unwrap();
                fs::write(path, &bytes[..bytes.len() * per_mille / 1000]).unwrap();
            }
            Damage::Flipped(ending, per_mille) => {
                let path = file(ending).unwrap();
                let mut bytes = fs::read(&path).unwrap();
                let at = bytes.len() * per_mille / 1000;
                bytes[at] ^= 1;
                fs::write(path, &bytes).unwrap();
            }
            Damage::Deleted(ending) => {
                if let Some(path) = file(ending) {
                    fs::remove_file(path).unwrap();
                }
            }
        }
    }
}

/// Answers to the same queries stay what they were, and so does what is known of ids.
fn check_unharmed(world: &World, events: &[u64], queries: &[u64], what: &str) {
    let entries = world.entries();
    assert_eq!(entries.len(), events.len(), "{what}");
    for stage in ["right after the start", "with all spans"] {
        let view = world.store.view();
        check_queries(world, &view, &entries, queries).unwrap_or_else(|error| panic!("{what}, {stage}: {error}"));
        world.await_spans();
    }
    assert_eq!(world.store.index_fault(), None, "{what}");
    // Events with an id of their own are still known by it; the others get a new one each time.
    let own: Vec<u64> = events.iter().copied().filter(|seed| events::event(*seed).contains("\"id\":\"ev_")).collect();
    let own: Vec<u64> = own.into_iter().filter(|seed| is_taken_again(world, *seed)).collect();
    assert!(own.is_empty(), "{what}: these events were stored a second time: {own:?}");
}

/// Whether an event with an id of its own is stored once more when it is sent again.
fn is_taken_again(world: &World, seed: u64) -> bool {
    let mut draft = validate(&events::event(seed), &world.store.intake(None)).unwrap();
    if draft.defaults & DEFAULT_ID != 0 {
        return false;
    }
    // Were it taken for a new one it would change the log: other content is refused if the id is known.
    draft.body = draft.body.replacen("\"action\":\"", "\"action\":\"again.", 1);
    let append = Append { drafts: vec![draft], skip_conflicts: true, kind: Kind::Event };
    let verdicts = world.store.append(append).unwrap().blocking_recv().unwrap().unwrap();
    matches!(verdicts.as_slice(), [Verdict::Stored(_)])
}

#[test]
fn whatever_happens_to_a_span_no_answer_changes() {
    let mut dice = Dice::new(4);
    let mut some = |n: usize| (0..n).map(|_| dice.below(usize::MAX) as u64).collect::<Vec<u64>>();
    let (events, queries) = (some(130), some(6));
    let mut world = World::new(SPAN_EVENTS);
    world.append(&events);
    world.await_searchable();
    // Spans of one opening are struck by different damages at once.
    for damages in DAMAGES.chunks(4) {
        world = world.reopen(SPAN_EVENTS, |world| {
            let spans = world.spans_on_disk();
            assert!(spans.len() >= damages.len());
            damages.iter().zip(spans).for_each(|(damage, span)| damage.strike(&span));
        });
        check_unharmed(&world, &events, &queries, &format!("{damages:?}"));
    }
    world.store.close();
}

#[test]
fn a_term_is_looked_up_only_where_a_spans_filters_let_it_through() {
    let world = World::new(SPAN_EVENTS);
    world.append(&(0..4 * SPAN_EVENTS).collect::<Vec<u64>>());
    world.await_spans();
    let view = world.store.view();
    assert!(view.pieces().len() > 1 && view.pieces().iter().all(|piece| piece.filters.is_some()));
    let blind = |piece: &Arc<Piece>| {
        let mut piece = Piece::open(piece.reader.clone()).unwrap().unwrap();
        piece.filters = Some(term_filter::tests::of_nothing());
        Arc::new(piece)
    };
    let blind = view.with_pieces(view.pieces().iter().map(blind).collect());
    let entries = world.entries();
    let env = Env { now_ms: 0, catalogue: Catalogue::builtin() };
    let all = Within::below(world.store.marks().durable);
    for text in ["outcome:success", "id:*", "has:target", &format!("id:\"{}\"", entries[0].event.id)] {
        let query = parse(text, &env).unwrap();
        let (seen, unseen) = (view.total(&query, all).unwrap(), blind.total(&query, all).unwrap());
        // What runs over a dictionary asks no filter.
        assert!(seen > 0 && unseen == if text.contains('*') { seen } else { 0 }, "{text}: {seen}, {unseen}");
    }
    world.store.close();
}

#[test]
fn what_lies_below_searchable_never_changes_while_indexing_goes_on() {
    let mut dice = Dice::new(5);
    let mut some = |n: usize| (0..n).map(|_| dice.below(usize::MAX) as u64).collect::<Vec<u64>>();
    let (events, queries) = (some(600), some(24));
    let world = World::new(SPAN_EVENTS);
    world.append(&events[..60]);
    world.await_searchable();
    let entries = world.entries();
    let queries: Vec<Query> = queries.iter().map(|seed| world.query(&entries, *seed)).collect();
    let is_done = AtomicBool::new(false);
    let taken = thread::scope(|scope| {
        scope.spawn(|| {
            for request in events[60..].chunks(12) {
                append(&world.store, request);
                thread::sleep(Duration::from_millis(15));
            }
            is_done.store(true, Ordering::Release);
        });
        let mut taken: Vec<(Seq, Order, &Query, Vec<Hit>)> = Vec::new();
        let mut last = Seq::ZERO;
        let mut turn = 0;
        while !is_done.load(Ordering::Acquire) || taken.len() <= 20 {
            let promised = world.store.marks().searchable;
            let view = world.store.view();
            assert!(view.searchable() >= promised.max(last), "searchable fell to {}", view.searchable());
            last = view.searchable();
            let (query, order) = (&queries[turn % queries.len()], ORDERS[turn % 4]);
            taken.push((last, order, query, hits(&*view, query, order, None, Within::below(last))));
            // An earlier answer, asked for again of this later view.
            let (end, order, query, before) = &taken[turn * 7 % taken.len()];
            assert_eq!(hits(&*view, query, *order, None, Within::below(*end)), *before, "{order:?}: {query}");
            turn += 1;
        }
        taken
    });
    world.await_spans();
    let view = world.await_searchable();
    assert!(taken.len() > 20, "only {} answers were compared", taken.len());
    for (end, order, query, before) in &taken {
        let within = Within::below(*end);
        assert_eq!(hits(&*view, query, *order, None, within), *before, "{order:?}: {query}");
        let scanned = world.store.scan(*end).collect(query, *order, None, within).unwrap();
        assert_eq!(scanned, *before, "{order:?}: {query}");
    }
    world.store.close();
}
