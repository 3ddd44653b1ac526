//! `highlight=1`: what a page marks, over HTTP. The rows themselves stay the bytes they are.

use serde_json::{Value, json};

use crate::data::real_or_demo_events;
use crate::world::World;

/// The stretches of `row` that `highlights` names, each with its pointer; only those in strings.
fn stretches<'a>(row: &Value, highlights: &'a Value) -> Vec<(&'a str, String)> {
    let mut found = Vec::new();
    for (pointer, ranges) in highlights.as_object().expect("an object for each row") {
        if pointer == "truncated" {
            continue;
        }
        let value = row.pointer(pointer).unwrap_or_else(|| panic!("nothing is at {pointer} in {row}"));
        let ranges = ranges.as_array().expect("ranges");
        assert!(!ranges.is_empty(), "{pointer} has no range");
        for range in ranges {
            let (start, end) = (range[0].as_u64().expect("start") as usize, range[1].as_u64().expect("end") as usize);
            assert!(start < end, "{range}");
            if let Some(text) = value.as_str() {
                let stretch: String = text.chars().take(end).skip(start).collect();
                assert_eq!(stretch.chars().count(), end - start, "{range} lies outside of {text:?}");
                found.push((pointer.as_str(), stretch));
            }
        }
    }
    found
}

fn rows(answer: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let events = answer["events"].as_array().expect("events");
    let highlights = answer["highlights"].as_array().expect("highlights");
    assert_eq!(events.len(), highlights.len());
    events.iter().zip(highlights)
}

#[test]
fn each_row_says_where_it_matches_in_code_points() {
    let world = World::start();
    world.load(
        [
            json!({"id": "a", "time": "2025-01-03T00:00:00Z", "actor": {"id": "u_1", "name": "日😀 Maya"}, "action": "x.y", "detail": {"a/b": [1, {"k": "maya"}], "n": 400.0}}),
            json!({"id": "b", "time": "2025-01-02T00:00:00Z", "actor": {"id": "u_1"}, "action": "x.y", "detail": {"n": 400}}),
            json!({"id": "c", "time": "2025-01-01T00:00:00Z", "actor": {"id": "u_1"}, "action": "x.y", "outcome": "denied"}),
        ]
        .map(|event| event.to_string())
        .iter()
        .map(String::as_str),
    );
    let ask = |q: &str| world.get_json("/v1/events", &[("q", q), ("highlight", "1")])["highlights"].clone();
    let expected = json!([
        {"/actor/name": [[3, 7]], "/detail/a~1b/1/k": [[0, 4]], "/detail/n": [[0, 5]]},
        {"/detail/n": [[0, 3]]},
        {},
    ]);
    assert_eq!(ask("maya detail.n:400 OR detail.n:400 OR time:2025-01-01"), expected);
    assert_eq!(ask("missing"), json!([]));
    assert_eq!(ask("-maya outcome:denied"), json!([{"/outcome": [[0, 6]]}]));
    let by_parameters =
        world.get_json("/v1/events", &[("outcome", "denied"), ("highlight", "true"), ("engine", "scan")]);
    assert_eq!(by_parameters["highlights"], json!([{"/outcome": [[0, 6]]}]));

    let plain = world.ask("/v1/events", &[("q", "maya"), ("highlight", "0")]).ok().json();
    assert_eq!(plain.get("highlights"), None);
    let refused = world.ask("/v1/events", &[("q", "maya"), ("highlight", "yes")]);
    assert_eq!((refused.status, refused.json()["code"].as_str()), (400, Some("bad_value")));
}

#[test]
fn a_row_with_too_much_to_mark_says_so() {
    let world = World::start();
    world.load(
        [json!({"actor": "system", "action": "x.y", "reason": "x y ".repeat(1_001)}).to_string().as_str()].into_iter(),
    );
    let answer = world.get_json("/v1/events", &[("q", "x"), ("highlight", "1")]);
    assert_eq!(answer["highlights"][0]["truncated"], true);
    assert_eq!(answer["highlights"][0]["/reason"].as_array().map(Vec::len), Some(1_000));
}

#[test]
fn every_page_of_a_search_is_marked_and_its_rows_stay_what_they_are() {
    let world = World::start();
    world.load(real_or_demo_events().lines().take(3_000));
    let mut marked = 0;
    for word in ["user", "create", "error", "a", "system", "test", "admin", "login"] {
        let params = [("q", word), ("limit", "40"), ("highlight", "1")];
        let mut answer = world.ask("/v1/events", &params).ok();
        let plain = world.ask("/v1/events", &params[..2]).ok().text();
        let rows_end = plain.find(",\"total\":").expect("a total");
        assert!(answer.text().starts_with(&format!("{},\"highlights\":[", &plain[..rows_end])), "{word}");
        for _ in 0..3 {
            let page = answer.json();
            for (row, highlights) in rows(&page) {
                let stretches = stretches(row, highlights);
                let is_number = stretches.is_empty() && !highlights.as_object().expect("an object").is_empty();
                assert!(is_number || !stretches.is_empty(), "{word} is not marked in {row}");
                for (pointer, stretch) in stretches {
                    assert_eq!(stretch.to_lowercase(), word, "at {pointer} of {row}");
                    marked += 1;
                }
            }
            let Some(link) = answer.header("link") else {
                break;
            };
            // The link to the next page asks for highlights too.
            let target = link.split(['<', '>']).nth(1).expect("a target in <>").to_owned();
            answer = world.get(&target).ok();
        }
    }
    assert!(marked > 100, "only {marked} stretches were compared");
}
