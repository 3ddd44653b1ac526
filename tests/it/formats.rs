//! The ways to post: one object, an array, NDJSON; plain, gzip, zstd. All of them store the same.

use std::io::Write;

use serde_json::{Value, json};

use crate::answer::Watermarks;
use crate::data::demo_events;
use crate::world::World;

#[test]
fn an_object_an_array_and_ndjson_store_the_same() {
    let world = World::start();
    let events: Vec<Value> = demo_events(6).lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    world.post(&events[0]).expect_status(201);
    world.post(&json!([events[1], events[2]])).expect_status(201);
    let lines: String = events[3..].iter().map(|event| format!("\r\n{event}\n\n")).collect();
    let receipts = world.post_ndjson(&lines).expect_status(201).receipts();
    assert_eq!(receipts.iter().map(|receipt| receipt.seq).collect::<Vec<_>>(), [3, 4, 5]);
    world.settle();
    for (entry, event) in world.feed(&[], 100).iter().zip(&events) {
        for (member, value) in event.as_object().expect("an object") {
            assert_eq!(entry[member], *value, "{member}");
        }
    }
}

#[test]
fn compressed_bodies_are_read() {
    let world = World::start();
    let lines = demo_events(100);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(lines.as_bytes()).expect("gzip");
    let gzip = gzip.finish().expect("gzip");
    let ndjson = ("content-type", "application/x-ndjson");
    world.send("", &[ndjson, ("content-encoding", "gzip")], &gzip).expect_status(201);
    let zstd = zstd::encode_all(lines.as_bytes(), 3).expect("zstd");
    let again = world.send("", &[ndjson, ("content-encoding", "zstd")], &zstd).expect_status(200);
    assert!(again.receipts().iter().all(|receipt| receipt.duplicate));
}

#[test]
fn bytes_are_kept_exactly() {
    let world = World::start();
    let body = r#"{"id":"exact","time":"2024-02-29T23:59:59.123456789+05:30","actor":"system","action":"Console:Login","detail":{"z":1.0,"a":1E2,"big":123456789012345678901234567890,"neg":-0,"dotted.key":"é\u00e9\/\ud83d\ude00"}}"#;
    world.send("", &[("content-type", "application/json")], body.as_bytes()).expect_status(201);
    world.settle();
    let stored = world.get("/v1/events/exact").ok().text();
    let detail = r#""detail":{"z":1.0,"a":1E2,"big":123456789012345678901234567890,"neg":-0,"dotted.key":"éé/😀"}"#;
    assert!(stored.contains(detail), "{stored}");
    assert!(stored.contains(r#""time":"2024-02-29T18:29:59.123456789Z""#), "{stored}");
    assert!(stored.contains(r#""outcome":"success""#) && stored.contains(r#""tenant":"default""#), "{stored}");
    assert!(stored.contains(r#""actor":{"type":"system","id":"system"}"#), "{stored}");
    assert!(stored.starts_with(r#"{"seq":0,"received":""#), "{stored}");
}

#[test]
fn what_was_posted_with_wait_searchable_can_be_found_at_once() {
    let world = World::start();
    for n in 0..20 {
        let event = json!({"id": format!("w{n}"), "actor": "system", "action": "a.b", "reason": format!("needle{n}")});
        let answer =
            world.send("?wait=searchable", &[("content-type", "application/json")], event.to_string().as_bytes());
        let marks = Watermarks::of(&answer.expect_status(201).json());
        assert!(marks.searchable > n, "{marks:?}");
        assert_eq!(world.count(&format!("needle{n}")), 1);
    }
}

#[test]
fn words_in_any_script_find_their_event() {
    let world = World::start();
    let reasons = [
        "Grüße aus dem Café",
        "शाम को फिर से फ़ोन करें",
        "يفضل الاتصال صباحا",
        "午後に電話してください",
        "Перезвонить после обеда",
    ];
    let events: Vec<Value> = reasons
        .iter()
        .enumerate()
        .map(|(n, reason)| json!({"id": format!("s{n}"), "actor": {"id": "u_1", "email": "maya@example.com"}, "action": "a.b", "reason": reason, "detail": {"phone": "+14155550123"}, "target": {"type": "contact", "id": "c_8FQ2M0"}}))
        .collect();
    world.post(&Value::Array(events)).expect_status(201);
    world.settle();
    for (word, n) in [("grüße", 0), ("cafe", 0), ("CAFÉ", 0), ("फ़ोन", 1), ("صباحا", 2), ("電話", 3), ("после", 4)]
    {
        let found = world.search(word, 10);
        assert_eq!(found["total"], 1, "{word}: {found}");
        assert_eq!(found["events"][0]["id"], format!("s{n}"), "{word}");
    }
    for word in ["maya@example.com", "maya", "example.com", "\\+14155550123", "4155550123", "c_8FQ2M0", "c_8fq2m0"] {
        assert_eq!(world.count(word), 5, "{word}");
    }
}

#[test]
fn the_catalogue_is_served() {
    let world = World::start();
    let actions = world.get_json("/v1/actions", &[]).to_string();
    for action in
        ["auth.sign_in", "contact_field.renamed", "did.kyc_approved", "wallet.auto_topped_up", "pricing.margin_changed"]
    {
        assert!(actions.contains(action), "{action}");
    }
}
