//! The index is disposable: with `index/` deleted, every answer comes back byte for byte; and what the index answers is
//! what the slow twin (`scan`, from the log alone) answers. Forty fixed queries over the real events.

use std::thread;

use crate::data::{real_events, real_or_demo_events};
use crate::world::{Params, World, assert_same_text, is_soak, without_watermarks};

/// One of each kind of filter, and combinations of them, with many hits, with few and with none.
const QUERIES: [&str; 40] = [
    "",
    "mordordc",
    "handle closed",
    "\"security id\"",
    "\"Account Name\" -system",
    "powershell OR cmd",
    "powersh*",
    "*shell.exe",
    "mordrodc~",
    "(admin OR root) NOT success",
    "10.0.1.4",
    "windows -mordordc",
    "actor:system",
    "actor:S-1-5-18",
    "actor:user/S-1-5-18",
    "actor:S-1-5-21*",
    "action:windows",
    "action:other",
    "action:ConsoleLogin",
    "action:Describe*",
    "action:\"windows.security:4658\"",
    "target_type:key",
    "target:*",
    "NOT target:*",
    "tenant:panther",
    "tenant:otrf source:windows.security",
    "source:(aws.cloudtrail OR okta.systemlog)",
    "outcome:success has:changes",
    "has:ip",
    "ip:10.0.0.0/8",
    "ip:1*",
    "time:2020-09-01..2020-10-01",
    "time:>=2024-01-01 source:aws.*",
    "seq:100..200",
    "change:*",
    "detail.EventID:4658",
    "detail.EventID:[4656 TO 4663] -detail.Category:Registry",
    "detail.Keywords:<0 detail.SubjectUserName:*$",
    "/aws\\.[a-z0-9]+/",
    "nothing-like-this-anywhere",
];

const FIELDS: &str = "actor,action,target_type,tenant,outcome,source";

/// How a query is asked; the answers of all of these must stay the same.
const WAYS: [(&str, Params); 4] = [
    ("/v1/events", &[("limit", "50")]),
    ("/v1/events", &[("limit", "20"), ("order", "time")]),
    ("/v1/events", &[("limit", "20"), ("order", "seq")]),
    ("/v1/facets", &[("fields", FIELDS), ("top", "100"), ("histogram", "auto")]),
];

/// How scan is asked. Every answer of its is a pass over the whole log, or several: the rest is for the long run.
const SCAN_WAYS: [(&str, Params); 2] =
    [("/v1/events", &[("limit", "50")]), ("/v1/facets", &[("fields", FIELDS), ("top", "100")])];

#[test]
fn answers_without_the_index_are_the_same_as_before_and_as_scan_gives_them() {
    let is_real = real_events().is_some();
    let events = real_or_demo_events();
    // Without the index every answer is a pass over the log. On a busy machine that outlasts the usual limit of a question,
    // and this is not about time.
    let mut world = World::start_with(&[("ANNALS_QUESTION_MS", "240000")]);
    world.load(events.lines());
    let before = ask_all(&world, &WAYS, &[]);

    if is_real {
        let with_hits = before.iter().filter(|(what, text)| what.starts_with("/v1/events") && !is_empty(text)).count();
        assert!(with_hits >= 3 * 30, "only {with_hits} of 120 answers hold an event: the queries test too little");
    }

    let ways = if is_soak() { &WAYS[..] } else { &SCAN_WAYS[..] };
    let scanned = ask_all(&world, ways, &[("engine", "scan")]);
    for ((what, indexed), (_, scanned)) in ask_all(&world, ways, &[]).iter().zip(scanned) {
        assert_same_text(&format!("index (left) and scan (right), {what}"), indexed, &scanned);
    }

    assert!(world.terminate().success());
    let index = world.dir().join("index");
    assert!(index.is_dir(), "no index at {}", index.display());
    std::fs::remove_dir_all(&index).expect("delete the index");
    world.restart();
    world.settle();
    for ((what, before), (_, after)) in before.iter().zip(ask_all(&world, &WAYS, &[])) {
        assert_same_text(&format!("before (left) and after (right) the index was deleted, {what}"), before, &after);
    }
}

#[test]
fn answers_survive_a_restart_and_a_kill() {
    let events = crate::data::demo_events(3_000);
    let mut world = World::start();
    world.load(events.lines());
    let before = ask_all(&world, &WAYS, &[]);
    assert!(world.terminate().success());
    world.restart();
    world.settle();
    for ((what, before), (_, after)) in before.iter().zip(ask_all(&world, &WAYS, &[])) {
        assert_same_text(&format!("before (left) and after (right) a restart, {what}"), before, &after);
    }
    world.kill();
    world.restart();
    world.settle();
    // A kill may leave an entry about the recovery; the demo's events answer as before.
    for q in QUERIES.iter().filter(|q| !q.is_empty()) {
        let q = format!("({q}) -source:annals");
        let indexed = world.ask("/v1/events", &[("q", &q), ("limit", "50")]).ok().text();
        let scanned = world.ask("/v1/events", &[("q", &q), ("limit", "50"), ("engine", "scan")]).ok().text();
        assert_same_text(&q, &indexed, &scanned);
    }
}

#[test]
fn the_command_reindex_builds_the_same_index() {
    let mut world = World::start();
    world.load(crate::data::demo_events(2_000).lines());
    let before = ask_all(&world, &WAYS, &[]);
    assert!(world.terminate().success());
    let dir = world.dir().to_str().expect("UTF-8").to_owned();
    World::annals(&["reindex", "--data", &dir], b"").ok();
    world.restart();
    world.settle();
    for ((what, before), (_, after)) in before.iter().zip(ask_all(&world, &WAYS, &[])) {
        assert_same_text(&format!("before (left) and after (right) reindex, {what}"), before, &after);
    }
}

/// Every query in every way, in order, without the watermarks (they tell of the server, not of the query). Two at a time:
/// scan is slow, and the machine has two cores.
fn ask_all(world: &World, ways: &[(&str, Params)], more: Params) -> Vec<(String, String)> {
    let questions: Vec<(&str, &str, Params)> =
        QUERIES.iter().flat_map(|q| ways.iter().map(move |(path, params)| (*q, *path, *params))).collect();
    let ask = |(q, path, params): &(&str, &str, Params)| {
        let mut all = vec![("q", *q)];
        all.extend_from_slice(params);
        let what = format!("{path} {all:?}");
        all.extend_from_slice(more);
        let answer = world.ask(path, &all);
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        (what, without_watermarks(&answer.text()))
    };
    let half = questions.len() / 2;
    thread::scope(|scope| {
        let second = scope.spawn(|| questions[half..].iter().map(ask).collect::<Vec<_>>());
        let mut answers: Vec<_> = questions[..half].iter().map(ask).collect();
        answers.extend(second.join().expect("the second half"));
        answers
    })
}

fn is_empty(answer: &str) -> bool {
    answer.contains("\"events\":[]")
}
