//! Question: is Annals slower than what one would otherwise reach for, Tantivy used plainly or SQLite with FTS5?
//! Data: the same generated events of one year for all three, in this process and one run: `ANNALS_BENCH_EVENTS` of them,
//! at most `ANNALS_BENCH_COMPARE_EVENTS_MAX` (300,000 by default). Each question is asked in 24 rounds, of other words
//! each time, the three in turn, and all must give the same rows and the same counts.
//! Target: no slower than either on any question.
//!
//! The three do not promise the same. Annals checks every event, syncs each batch, keeps a tree of hashes and is searchable
//! while it loads; Tantivy commits once at the end; SQLite syncs every 10,000 events. Tantivy is compiled once, so the
//! plain use has our choice of term dictionary and compression as well. SQLite could read its newest rows by `rowid`, which
//! here rises with time; it is asked by time, because events that arrive late would stand in the wrong place otherwise.
//! The disk is counted in blocks, in our case with the rest of a segment of 64 MiB that is reserved and not written yet.

mod common;
#[path = "compare/contender.rs"]
mod contender;
#[path = "compare/ours.rs"]
mod ours;
#[path = "compare/plain_tantivy.rs"]
mod plain_tantivy;
#[path = "compare/sqlite.rs"]
mod sqlite;

use std::path::Path;
use std::time::Duration;

use contender::{Contender, Load, Question, ROWS, Rows, Workload};
use ours::Ours;
use plain_tantivy::PlainTantivy;
use sqlite::Sqlite;

/// Events at most, unless the environment says otherwise: beyond that SQLite takes most of the time.
const EVENTS_MAX: u64 = 300_000;
/// How often each question is asked.
const ROUNDS: usize = 24;
/// Rounds before them that are not counted, with words of their own.
const WARM_UP_ROUNDS: usize = 4;
const DAY_MS: u64 = 86_400_000;

/// Names that one event in nine carries, of its actor or its target.
const COMMON: [&str; ROUNDS + WARM_UP_ROUNDS] = [
    "rao", "iyer", "patel", "smith", "okafor", "garcia", "khan", "novak", "silva", "tanaka", "mehta", "haddad", "berg",
    "costa", "kim", "weber", "asha", "ravi", "meera", "jon", "priya", "omar", "lena", "chidi", "sofia", "karan",
    "nina", "tomas",
];
/// Words that one event in three carries.
const PLANS: [&str; 3] = ["basic", "pro", "team"];
/// Syllables of words that end in `gno`: about one event in 40,000 carries each. Seven and four make 28 words.
const RARE: ([&str; 7], [&str; 4]) = (["ba", "co", "du", "fe", "gi", "ho", "le"], ["ba", "co", "du", "fe"]);
/// Names of actors and targets: one event in 137 carries each.
const FIRST: [&str; 4] = ["Asha", "Ravi", "Lena", "Omar"];
const LAST: [&str; 7] = ["Rao", "Iyer", "Patel", "Smith", "Berg", "Kim", "Weber"];

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The newest 50 rows.
    Page,
    /// The counts of three facets.
    Facets,
}

/// Its name, what is asked for, and how it is made of the number of a round and the time at which the data ends.
type Kind = (&'static str, Wanted, fn(usize, u64) -> Question);

const KINDS: [Kind; 8] = [
    ("newest 50", Wanted::Page, |_, _| Question::default()),
    ("rare word", Wanted::Page, |n, _| Question::words(&[&format!("{}{}gno", RARE.0[n % 7], RARE.1[n % 4])])),
    ("common word", Wanted::Page, |n, _| Question::words(&[COMMON[n]])),
    ("two common words", Wanted::Page, |n, _| Question::words(&[COMMON[n], PLANS[n % PLANS.len()]])),
    ("phrase", Wanted::Page, |n, _| match n % 2 {
        0 => Question::phrase(&["shift", "lead"]),
        _ => Question::phrase(&[FIRST[n % FIRST.len()], LAST[n % LAST.len()]]),
    }),
    ("word + 30 days", Wanted::Page, |n, end_ms| {
        let to = end_ms - (20 + 10 * n as u64) * DAY_MS;
        Question { time_ms: Some(to - 30 * DAY_MS..to), ..Question::words(&[COMMON[n]]) }
    }),
    ("facets of a word", Wanted::Facets, |n, _| Question::words(&[COMMON[n]])),
    // Right after the line above: the same questions once more.
    ("the same again", Wanted::Facets, |n, _| Question::words(&[COMMON[n]])),
];

/// A contender with what it took to load it, and its times for each kind of question.
struct Entrant {
    name: &'static str,
    contender: Box<dyn Contender>,
    load: Load,
    disk_bytes: u64,
    times: [Vec<Duration>; KINDS.len()],
}

fn main() {
    let events_max = common::number_from("ANNALS_BENCH_COMPARE_EVENTS_MAX", EVENTS_MAX);
    let work = Workload { events: common::events_wanted().min(events_max), end_ms: common::now_ms() };
    let root = tempfile::tempdir().expect("a temporary directory");
    let mut entrants = [
        entrant("Annals", &root.path().join("annals"), &work, Ours::load),
        entrant("Tantivy", &root.path().join("tantivy"), &work, PlainTantivy::load),
        entrant("SQLite FTS5", &root.path().join("sqlite"), &work, Sqlite::load),
    ];
    for round in (ROUNDS..ROUNDS + WARM_UP_ROUNDS).chain(0..ROUNDS) {
        ask_all(&mut entrants, round, work.end_ms);
        if round + 1 == ROUNDS + WARM_UP_ROUNDS {
            entrants.iter_mut().flat_map(|entrant| &mut entrant.times).for_each(Vec::clear);
        }
    }
    print_loads(&entrants, work.events);
    print_questions(&mut entrants);
}

fn entrant<C: Contender + 'static>(
    name: &'static str,
    dir: &Path,
    work: &Workload,
    load: fn(&Path, &Workload) -> (C, Load),
) -> Entrant {
    std::fs::create_dir(dir).expect("a directory");
    let (contender, load) = load(dir, work);
    let disk_bytes = common::disk_bytes(dir);
    Entrant { name, contender: Box::new(contender), load, disk_bytes, times: Default::default() }
}

/// Asks everybody every question once. Who is first changes from round to round.
fn ask_all(entrants: &mut [Entrant; 3], round: usize, end_ms: u64) {
    for (kind, (name, wanted, question)) in KINDS.iter().enumerate() {
        let question = question(round, end_ms);
        let mut answers: [Option<Vec<String>>; 3] = Default::default();
        for place in 0..entrants.len() {
            let at = (place + round) % entrants.len();
            let contender = &entrants[at].contender;
            let (answer, took) = match wanted {
                Wanted::Page => {
                    let (rows, took) = common::timed(|| contender.page(&question));
                    (ids(&rows), took)
                }
                Wanted::Facets => {
                    let (facets, took) = common::timed(|| contender.facets(&question));
                    (facets.into_iter().flat_map(shown_sorted).collect(), took)
                }
            };
            entrants[at].times[kind].push(took);
            answers[at] = Some(answer);
        }
        // Ratios of different answers would say nothing.
        for (entrant, answer) in entrants.iter().zip(&answers) {
            assert_eq!(&answers[0], answer, "{} and Annals disagree on {name}: {question:?}", entrant.name);
        }
    }
}

fn ids(rows: &Rows) -> Vec<String> {
    let ids = rows.each().map(|row| {
        let row: serde_json::Value = serde_json::from_str(row).expect("rows are JSON");
        row["id"].as_str().expect("an id").to_owned()
    });
    let ids: Vec<String> = ids.collect();
    assert!(ids.len() <= ROWS, "{} rows, more than a page", ids.len());
    ids
}

fn shown_sorted(mut counts: Vec<(String, u64)>) -> Vec<String> {
    counts.sort();
    counts.into_iter().map(|(value, count)| format!("{value}: {count}")).collect()
}

fn print_loads(entrants: &[Entrant], events: u64) {
    println!("compare: {events} events, each question {ROUNDS} times; the same answers from all three\n");
    println!("{:<18} {:>16} {:>16} {:>14}", "load", "searchable ev/s", "at rest ev/s", "disk B/event");
    for Entrant { name, load, disk_bytes, .. } in entrants {
        println!(
            "{name:<18} {:>16.0} {:>16.0} {:>14.0}",
            events as f64 / load.searchable.as_secs_f64(),
            events as f64 / load.at_rest.as_secs_f64(),
            *disk_bytes as f64 / events as f64,
        );
    }
}

fn print_questions(entrants: &mut [Entrant; 3]) {
    let [ours, tantivy, sqlite] = entrants;
    println!("\n{:<18} {:>16} {:>16} {:>14}", "question, p50", "Annals µs", tantivy.name, sqlite.name);
    let mut slower = Vec::new();
    for (kind, (name, _, _)) in KINDS.iter().enumerate() {
        let us = |entrant: &mut Entrant| common::percentile_ms(&mut entrant.times[kind], 50) * 1e3;
        let (base, tantivy, sqlite) = (us(ours), us(tantivy), us(sqlite));
        println!("{name:<18} {base:>16.0} {:>15.2}x {:>13.2}x", tantivy / base, sqlite / base);
        if base > tantivy.min(sqlite) {
            slower.push(*name);
        }
    }
    match slower.is_empty() {
        true => println!("\nAnnals is no slower than either on any question"),
        false => println!("\nAnnals is slower than one of them on: {}", slower.join(", ")),
    }
}
