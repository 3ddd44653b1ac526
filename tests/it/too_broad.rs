//! A question that takes too long is refused as a whole, names the filter to narrow, and a narrower one is answered.

use serde_json::json;

use crate::data::demo_events;
use crate::world::{World, wait_for};

#[test]
fn a_question_that_is_too_broad_names_the_filter_to_narrow_and_a_narrower_one_is_answered() {
    let mut world = World::start();
    world.load(demo_events(10_000).lines());
    // All of it lies in a span from here on, and what comes now in memory.
    world.terminate();
    world.set("ANNALS_QUESTION_MS", "4");
    world.restart();
    let late = json!({"id": "late", "actor": "system", "action": "contact.viewed", "time": "2025-06-20T00:00:00Z", "reason": "a late word"});
    world.send("?wait=searchable", &[("content-type", "application/json")], late.to_string().as_bytes());

    // No machine reads the dictionary of 10,000 events' words for each of these within four milliseconds.
    let broad = (b'a'..=b'z').map(|letter| format!("*{}?*", letter as char)).collect::<Vec<_>>().join(" OR ");
    for (path, params) in [
        ("/v1/events", vec![("q", broad.as_str())]),
        ("/v1/events", vec![("q", broad.as_str()), ("order", "time"), ("count", "none")]),
        ("/v1/events", vec![("q", broad.as_str()), ("order", "-seq"), ("count", "none")]),
        ("/v1/facets", vec![("q", broad.as_str()), ("fields", "actor")]),
        ("/v1/feed", vec![("q", broad.as_str())]),
    ] {
        let refused = world.ask(path, &params).expect_status(503).json();
        assert_eq!(refused["code"], "too_broad", "{path}: {refused}");
        let detail = refused["detail"].as_str().expect("a detail");
        assert!(detail.contains("0.004 s") && detail.contains("?*"), "{path}: {detail}");
    }

    // A machine may be busy for some milliseconds: a client comes again.
    let narrow = format!("seq:10000 ({broad})");
    let found = wait_for("the narrower question to be answered", || {
        let answer = world.ask("/v1/events", &[("q", &narrow), ("count", "none")]);
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!(found["events"][0]["id"], "late");
    assert_eq!(found["events"].as_array().expect("events").len(), 1);
}
