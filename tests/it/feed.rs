//! A poller misses nothing: it sees every event exactly once while others append, also when it or the server dies and goes
//! on from a checkpoint.

use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::data;
use crate::world::{self, World, wait_for};

const WRITERS: usize = 8;
const BATCHES: usize = 60;
/// In the middle nothing comes for so long that `complete_through` follows the clock.
const PAUSE: Duration = Duration::from_millis(700);

/// Lets eight clients append `BATCHES` requests each; `polling` runs meanwhile and is told how many are still writing.
fn while_writers_append(url: &str, polling: impl FnOnce(&AtomicUsize)) {
    let (writing, pause) = (AtomicUsize::new(WRITERS), Barrier::new(WRITERS));
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (writing, pause) = (&writing, &pause);
            scope.spawn(move || {
                let agent = world::new_agent();
                for batch in 0..BATCHES {
                    if batch == BATCHES / 2 {
                        pause.wait();
                        thread::sleep(PAUSE);
                    }
                    let lines: String = (0..1 + (writer * 7 + batch * 3) % 20)
                        .map(|n| {
                            let kind = if n % 3 == 0 { "kept" } else { "other" };
                            let event = json!({"id": format!("f{writer}-{batch}-{n}"), "actor": "system", "action": format!("feed.{kind}")});
                            format!("{event}\n")
                        })
                        .collect();
                    let headers = [("content-type", "application/x-ndjson")];
                    let answer = world::try_send(&agent, url, "", &headers, lines.as_bytes()).expect("an answer");
                    answer.expect_status(201);
                }
                writing.fetch_sub(1, Ordering::SeqCst);
            });
        }
        polling(&writing);
    });
}

fn ids_sent(wanted: impl Fn(usize) -> bool) -> HashSet<String> {
    (0..WRITERS)
        .flat_map(|writer| (0..BATCHES).map(move |batch| (writer, batch)))
        .flat_map(|(writer, batch)| (0..1 + (writer * 7 + batch * 3) % 20).map(move |n| (writer, batch, n)))
        .filter(|(_, _, n)| wanted(*n))
        .map(|(writer, batch, n)| format!("f{writer}-{batch}-{n}"))
        .collect()
}

/// Someone who polls, remembering what it saw and where to go on.
#[derive(Clone, Default)]
struct Poller {
    seen: Vec<Value>,
    cursor: Option<String>,
    /// The latest `complete_through`, empty before the first. Times of ours sort as text.
    complete_through: String,
}

impl Poller {
    /// Takes the next page; true if there was nothing in it and there is no more.
    fn poll(&mut self, world: &World, params: &[(&str, &str)], limit: usize) -> bool {
        let page = world.feed_page(params, limit, self.cursor.as_deref());
        let events = page["events"].as_array().expect("events").clone();
        let is_tail = page["next_cursor"].is_null();
        assert_eq!(page["has_more"], !is_tail, "has_more and next_cursor disagree: {page}");
        let at = page["next_cursor"].as_str().or(page["checkpoint"].as_str()).expect("checkpoint is never null");
        self.cursor = Some(at.to_owned());
        let is_over = events.is_empty() && is_tail;
        for event in &events {
            let received = event["received"].as_str().expect("received");
            assert!(received > self.complete_through.as_str(), "{} was complete: {event}", self.complete_through);
        }
        let complete_through = page["complete_through"].as_str().unwrap_or_default();
        assert!(*complete_through >= *self.complete_through, "it was {} before: {page}", self.complete_through);
        self.complete_through = complete_through.to_owned();
        self.seen.extend(events);
        is_over
    }

    fn assert_exactly_once(&self, wanted: &HashSet<String>) {
        let seqs: Vec<u64> = self.seen.iter().map(|event| event["seq"].as_u64().expect("seq")).collect();
        assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "seq does not ascend");
        let ids: HashSet<String> = self.seen.iter().map(|event| event["id"].as_str().expect("id").to_owned()).collect();
        assert_eq!(ids.len(), self.seen.len(), "an event came twice");
        let missing: Vec<_> = wanted.difference(&ids).take(5).collect();
        assert!(missing.is_empty(), "missing: {missing:?}");
        assert_eq!(ids.len(), wanted.len());
    }
}

#[test]
fn a_poller_sees_every_event_exactly_once_while_eight_writers_append() {
    let world = World::start();
    let mut poller = Poller::default();
    while_writers_append(world.url(), |writing| {
        while writing.load(Ordering::SeqCst) > 0 {
            poller.poll(&world, &[], 97);
        }
    });
    world.settle();
    while !poller.poll(&world, &[], 97) {}
    poller.assert_exactly_once(&ids_sent(|_| true));
}

#[test]
fn a_poller_with_a_filter_sees_every_match_exactly_once() {
    let world = World::start();
    let mut poller = Poller::default();
    let params = [("q", "action:\"feed.kept\"")];
    while_writers_append(world.url(), |writing| {
        while writing.load(Ordering::SeqCst) > 0 {
            poller.poll(&world, &params, 13);
        }
    });
    world.settle();
    while !poller.poll(&world, &params, 13) {}
    poller.assert_exactly_once(&ids_sent(|n| n % 3 == 0));
}

/// It writes down its checkpoint together with what it saw, now and then, and dies with everything since.
#[test]
fn a_poller_that_dies_goes_on_from_its_checkpoint_and_sees_the_same() {
    let world = World::start();
    let mut stored = Poller::default();
    while_writers_append(world.url(), |writing| {
        let mut pages = 0;
        while writing.load(Ordering::SeqCst) > 0 {
            let mut alive = stored.clone();
            for _ in 0..3 {
                alive.poll(&world, &[], 31);
                pages += 1;
            }
            if pages % 2 == 0 {
                stored = alive;
            } else {
                // Died: a new one reads again from the checkpoint, and gets the same events first.
                let mut again = stored.clone();
                for _ in 0..3 {
                    again.poll(&world, &[], 31);
                }
                let same = alive.seen.len().min(again.seen.len());
                assert_eq!(alive.seen[..same], again.seen[..same]);
            }
        }
    });
    world.settle();
    while !stored.poll(&world, &[], 31) {}
    stored.assert_exactly_once(&ids_sent(|_| true));
}

#[test]
fn a_cursor_outlives_the_server_and_its_index() {
    let mut world = World::start();
    let mut poller = Poller::default();
    world.load(data::demo_events(500).lines());
    for _ in 0..3 {
        poller.poll(&world, &[], 50);
    }
    world.kill();
    std::fs::remove_dir_all(world.dir().join("index")).expect("delete the index");
    world.restart();
    world.settle();
    while !poller.poll(&world, &[], 50) {}
    poller.seen.retain(|event| event["source"] != "annals");
    let wanted = data::demo_events(500).lines().map(id_of).collect();
    poller.assert_exactly_once(&wanted);
}

fn id_of(line: &str) -> String {
    let event: Value = serde_json::from_str(line).expect("an event");
    event["id"].as_str().expect("id").to_owned()
}

#[test]
fn follow_waits_for_what_comes() {
    let world = World::start();
    world.post(&json!({"id": "first", "actor": "system", "action": "feed.first"})).expect_status(201);
    world.settle();
    let page = world.get_json("/v1/feed", &[("follow", "true"), ("wait", "0")]);
    assert_eq!(page["events"][0]["id"], "first");
    let cursor = page["next_cursor"].as_str().expect("follow always gives a next").to_owned();
    let next = thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            // It may wake without an event when its time is over: then it asks again, as a client does.
            let mut cursor = cursor.clone();
            wait_for("an event in the feed", || {
                let page = world.get_json("/v1/feed", &[("follow", "true"), ("wait", "30"), ("cursor", &cursor)]);
                cursor = page["next_cursor"].as_str().expect("follow always gives a next").to_owned();
                page["events"].as_array().expect("events").first().cloned()
            })
        });
        world.post(&json!({"id": "second", "actor": "system", "action": "feed.second"})).expect_status(201);
        waiting.join().expect("the waiting poller")
    });
    assert_eq!(next["id"], "second");
}

#[test]
fn complete_through_follows_the_clock_when_nothing_comes_and_holds_over_a_kill() {
    let mut world = World::start();
    let mut poller = Poller::default();
    poller.poll(&world, &[], 10);
    assert!(!poller.complete_through.is_empty(), "an empty log is complete, too");
    world.post(&json!({"id": "first", "actor": "system", "action": "feed.first"})).expect_status(201);
    world.settle();
    while !poller.poll(&world, &[], 10) {}
    for _ in 0..2 {
        let before = poller.complete_through.clone();
        wait_for("complete_through to follow the clock", || {
            poller.poll(&world, &[], 10);
            (poller.complete_through > before).then_some(())
        });
    }
    world.kill();
    world.restart();
    // The poller compares what is received now with what it was told before.
    world.post(&json!({"id": "second", "actor": "system", "action": "feed.first"})).expect_status(201);
    world.settle();
    while !poller.poll(&world, &[], 10) {}
    assert_eq!(poller.seen.len(), 2);
}

#[test]
fn since_starts_at_a_time_of_receipt() {
    let world = World::start();
    world
        .post(&json!({"id": "a", "actor": "system", "action": "feed.a", "time": "2001-01-01T00:00:00Z"}))
        .expect_status(201);
    world.settle();
    let received = world.get_json("/v1/events/a", &[])["received"].as_str().expect("received").to_owned();
    let page = world.get_json("/v1/feed", &[("since", &received)]);
    assert_eq!(page["events"][0]["id"], "a", "since is inclusive and about `received`: {page}");
    let page = world.get_json("/v1/feed", &[("since", "2100-01-01T00:00:00Z")]);
    assert_eq!(page["events"], json!([]));
}

#[test]
fn the_feed_refuses_what_would_make_it_lie() {
    let world = World::start();
    world.load(data::demo_events(20).lines());
    let first = world.feed_page(&[("q", "action:contacts")], 1, None);
    let cursor = first["next_cursor"].as_str().or(first["checkpoint"].as_str()).expect("a cursor");
    let changed = world.ask("/v1/feed", &[("q", "action:auth"), ("cursor", cursor)]).expect_status(400);
    assert!(changed.problem().codes().contains(&"cursor_mismatch"), "{}", changed.text());
    world.ask("/v1/feed", &[("q", "time:24h")]).expect_status(400).problem();
    world.ask("/v1/feed", &[("cursor", "nonsense")]).expect_status(400).problem();
    world.ask("/v1/feed", &[("limit", "10001")]).expect_status(400).problem();
    let unknown = world.ask("/v1/feed", &[("colour", "blue")]).expect_status(200);
    assert!(unknown.text().contains("colour"), "ignored parameters are listed: {}", unknown.text());
}
