//! Sealed segments seen from outside: they are listed, can be copied as they are, and no answer tells that anything is sealed.

use serde_json::json;

use crate::data::demo_events;
use crate::world::{World, assert_same_text, wait_for};

/// Of the events that are loaded before anything is sealed.
const QUERIES: [&str; 6] = [
    "seq:[0 TO 2999]",
    "seq:[0 TO 2999] contact",
    "seq:[0 TO 2999] outcome:failure",
    "seq:[0 TO 2999] action:contacts has:changes",
    "seq:[0 TO 2999] lindq*",
    "seq:[100 TO 164]",
];

/// What searches, exports and the feed say, as text.
fn answers(world: &World) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for q in QUERIES {
        let search = world.search(q, 100);
        all.push((format!("search {q}"), format!("{} {}", search["total"], search["events"])));
        let csv = world.export("csv", &[("q", q)]);
        all.push((format!("export {q}"), String::from_utf8(csv).expect("UTF-8")));
        let feed = world.feed(&[("q", q)], 1_000);
        all.push((format!("feed {q}"), serde_json::to_string(&feed).expect("JSON")));
    }
    all
}

fn assert_same(what: &str, before: &[(String, String)], world: &World) {
    for ((question, before), (_, after)) in before.iter().zip(answers(world)) {
        assert_same_text(&format!("{what}: {question}"), before, &after);
    }
}

#[test]
fn sealing_changes_no_answer_and_sealed_segments_are_listed_and_can_be_copied() {
    let mut world = World::start();
    world.load(demo_events(3_000).lines());
    let before = answers(&world);
    let segments = world.get_json("/v1/segments", &[]);
    assert_eq!(segments["segments"].as_array().map(Vec::len), Some(1), "{segments}");
    assert_eq!(segments["segments"][0]["is_sealed"], false);
    assert_eq!(segments["segments"][0]["root"], json!(null));
    world.get("/v1/segments/0").expect_status(409).problem();

    // With small segments the next event begins a new one, and the old one is sealed.
    assert!(world.terminate().success());
    world.set("ANNALS_SEGMENT_EVENTS", "64");
    world.restart();
    for n in 0..100 {
        world.post(&json!({"actor": "system", "action": "test.made", "detail": {"n": n}})).expect_status(201);
    }
    world.settle();
    wait_for("the finished segments to be sealed", || (world.watermarks().sealed == 3_064).then_some(()));
    assert_same("sealed", &before, &world);

    let segments = world.get_json("/v1/segments", &[]);
    let segments = segments["segments"].as_array().expect("segments");
    let bounds: Vec<_> = segments.iter().map(|s| (s["first"].as_u64(), s["end"].as_u64())).collect();
    assert_eq!(bounds, [(Some(0), Some(3_000)), (Some(3_000), Some(3_064)), (Some(3_064), Some(3_100))]);
    for segment in &segments[..2] {
        assert_eq!(segment["is_sealed"], true, "{segment}");
        let first = segment["first"].as_u64().expect("first");
        let copy = world.get(&format!("/v1/segments/{first}")).ok();
        assert_eq!(copy.content_type, "application/octet-stream");
        assert_eq!(copy.header("content-length"), Some(segment["bytes"].to_string().as_str()));
        let file = world.dir().join(format!("log/{first:020}.seg"));
        assert!(copy.body == std::fs::read(file).expect("the sealed file"));
        assert!(copy.body.starts_with(b"ANNALS1\n") && copy.body.ends_with(b"SEALED1\n"));
        for hash in ["root", "sha256"] {
            assert_eq!(segment[hash].as_str().map(str::len), Some(64), "{segment}");
        }
        assert!(!world.dir().join(format!("log/{first:020}.log")).exists());
    }
    let problem = world.get("/v1/segments/3064").expect_status(409).problem();
    assert_eq!(problem.codes(), ["not_sealed"]);
    for unknown in ["1", "4000", "x", "-1"] {
        world.get(&format!("/v1/segments/{unknown}")).expect_status(404).problem();
    }

    assert!(world.terminate().success());
    std::fs::remove_dir_all(world.dir().join("index")).expect("delete the index");
    world.restart();
    world.settle();
    assert_same("sealed, the index built anew", &before, &world);
    assert_eq!(world.watermarks().sealed, 3_064);
    world.kill();
    world.restart();
    assert_same("sealed, after a kill", &before, &world);
}
