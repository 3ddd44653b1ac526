//! The same (tenant, id) with the same content is one event, for as long as the log lasts.

use std::thread;

use serde_json::{Value, json};

use crate::data;
use crate::world::{self, World};

#[test]
fn the_same_content_answers_the_first_receipt_however_it_is_written() {
    let world = World::start();
    let first = world.send(
        "",
        &[("content-type", "application/json")],
        br#"{"id":"i1","actor":"system","action":"a.b","detail":{"x":1.50,"y":[true,null]}}"#,
    );
    let first = first.expect_status(201).receipts().remove(0);
    assert!(!first.duplicate);
    let written_otherwise = [
        r#" { "detail" : {"y":[true, null], "x":1.50}, "action":"a.b", "actor":{"type":"system","id":"system"}, "id":"i1" } "#,
        r#"{"id":"i1","actor":"system","action":"\u0061.b","detail":{"x":1.50,"y":[true,null]},"target":null}"#,
    ];
    for text in written_otherwise {
        let again = world.send("", &[("content-type", "application/json")], text.as_bytes());
        let again = again.expect_status(200).receipts().remove(0);
        assert!(again.duplicate);
        assert_eq!((again.seq, again.hash), (first.seq, first.hash.clone()));
    }
    for other in [json!({"x": 1.5, "y": [true, null]}), json!({"x": 2}), json!({})] {
        let event = json!({"id": "i1", "actor": "system", "action": "a.b", "detail": other});
        world.post(&event).expect_status(409).problem();
    }
    assert_eq!(world.watermarks().durable, 1);
}

#[test]
fn an_event_without_a_time_can_be_sent_again() {
    let world = World::start();
    let event = json!({"id": "i2", "actor": "system", "action": "a.b"});
    world.post(&event).expect_status(201);
    world.post(&event).expect_status(200);
}

#[test]
fn a_secret_does_not_make_the_same_event_another() {
    let world = World::start();
    let event = |word: &str| json!({"id": "i3", "actor": "system", "action": "a.b", "detail": {"api-key": word}});
    world.post(&event("first")).expect_status(201);
    world.post(&event("second")).expect_status(200);
    world.settle();
    let stored = world.get_json("/v1/events/i3", &[]);
    assert_eq!(stored["detail"]["api-key"], "[redacted]");
    assert_eq!(world.count("first"), 0);
}

#[test]
fn two_copies_in_one_request_are_one_event() {
    let world = World::start();
    let event = json!({"id": "i4", "actor": "system", "action": "a.b"});
    let receipts = world.post(&json!([event, event])).expect_status(201).receipts();
    assert_eq!(receipts.iter().map(|receipt| receipt.duplicate).collect::<Vec<_>>(), [false, true]);
    assert_eq!(receipts[0].seq, receipts[1].seq);
    let other = json!({"id": "i5", "actor": "system", "action": "a.c"});
    let twice = json!({"id": "i5", "actor": "system", "action": "a.d"});
    world.post(&json!([other, twice])).expect_status(409);
    assert_eq!(world.watermarks().durable, 1);
}

#[test]
fn one_conflict_refuses_the_whole_request() {
    let world = World::start();
    world.post(&json!({"id": "i6", "actor": "system", "action": "a.b"})).expect_status(201);
    let batch =
        json!([{"id": "new", "actor": "system", "action": "a.b"}, {"id": "i6", "actor": "system", "action": "other"}]);
    let answer = world.post(&batch).expect_status(409);
    assert_eq!(answer.problem().fault("conflict")["line"], 2, "{}", answer.text());
    assert_eq!(world.watermarks().durable, 1);
    let skip = world.send("?on_error=skip", &[("content-type", "application/json")], batch.to_string().as_bytes());
    skip.ok();
    assert_eq!(world.watermarks().durable, 2);
}

#[test]
fn tenants_do_not_share_ids() {
    let world = World::start();
    for tenant in ["one", "two"] {
        world.post(&json!({"id": "i7", "tenant": tenant, "actor": "system", "action": "a.b"})).expect_status(201);
    }
    world.settle();
    world.ask("/v1/events/i7", &[]).expect_status(409);
    assert_eq!(world.get_json("/v1/events/i7", &[("tenant", "two")])["tenant"], "two");
}

#[test]
fn the_header_stands_for_an_id_that_the_body_lacks() {
    let world = World::start();
    let headers = [("content-type", "application/json"), ("idempotency-key", "key-1")];
    let body = br#"{"actor":"system","action":"a.b"}"#;
    let first = world.send("", &headers, body).expect_status(201).receipts().remove(0);
    assert_eq!(first.id, "key-1");
    // A null member is the same as an absent one, also to serialisers that write every member.
    for body in [&body[..], br#"{"id":null,"actor":"system","action":"a.b"}"#] {
        let again = world.send("", &headers, body).expect_status(200).receipts().remove(0);
        assert_eq!((again.seq, again.duplicate), (first.seq, true));
    }
}

#[test]
fn clients_that_race_with_one_id_store_one_event() {
    let world = World::start();
    let url = world.url();
    let seqs: Vec<Vec<u64>> = thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(move || {
                    let agent = world::new_agent();
                    (0..50)
                        .map(|n| {
                            let event = json!({"id": format!("race-{n}"), "actor": "system", "action": "a.b", "detail": {"n": n}});
                            let headers = [("content-type", "application/json")];
                            let answer = world::try_send(&agent, url, "", &headers, event.to_string().as_bytes());
                            answer.expect("an answer").ok().receipts()[0].seq
                        })
                        .collect()
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("client")).collect()
    });
    assert!(seqs.iter().all(|one| *one == seqs[0]), "the same id got two seqs");
    assert_eq!(world.watermarks().durable, 50);
}

#[test]
fn ids_are_remembered_over_restarts_and_without_the_index() {
    let mut world = World::start();
    let lines = data::demo_events(2_000);
    world.load(lines.lines());
    let some: String = lines.lines().step_by(10).map(|line| format!("{line}\n")).collect();
    let receipts = |world: &World| {
        // While the id files are rebuilt the server asks to come back later.
        let answer = world::wait_for("the ids", || {
            let answer = world.post_ndjson(&some);
            if answer.status == 503 {
                assert!(answer.problem().codes().contains(&"ids_rebuilding"), "{}", answer.text());
                return None;
            }
            Some(answer)
        });
        answer.expect_status(200).receipts()
    };
    let first = receipts(&world);
    assert!(first.iter().all(|receipt| receipt.duplicate));
    assert_eq!(first[7].seq, 70);
    assert!(world.terminate().success());
    world.restart();
    assert_eq!(receipts(&world), first);
    world.kill();
    world.restart();
    assert_eq!(receipts(&world), first);
    assert!(world.terminate().success());
    std::fs::remove_dir_all(world.dir().join("index")).expect("delete the index");
    world.restart_without_waiting();
    assert_eq!(receipts(&world), first);
    // And a changed one is still a conflict.
    let mut event: Value = serde_json::from_str(lines.lines().next().expect("a line")).expect("an event");
    event["reason"] = json!("changed");
    world.post(&event).expect_status(409);
}
