//! Pages of one search never shift: together they hold every match once, in order, whatever is appended meanwhile.

use serde_json::{Value, json};

use crate::data::demo_events;
use crate::world::World;

/// All pages of a search; between two of them, something is appended.
fn all_pages(world: &World, params: &[(&str, &str)]) -> Vec<Value> {
    let mut events = Vec::new();
    let mut params: Vec<(&str, String)> = params.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
    for page_number in 0.. {
        let borrowed: Vec<(&str, &str)> = params.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let page = world.get_json("/v1/events", &borrowed);
        events.extend(page["events"].as_array().expect("events").iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else {
            assert_eq!(page["more"], false);
            break;
        };
        assert_eq!(page["more"], true);
        params.retain(|(name, _)| *name != "cursor");
        params.push(("cursor", cursor.to_owned()));
        let late = json!({"id": format!("late-{page_number}"), "actor": "system", "action": "contact.viewed", "time": "2025-01-01T00:00:00Z"});
        assert!((200..300).contains(&world.post(&late).status));
    }
    events
}

#[test]
fn pages_hold_every_match_once_in_every_order() {
    let world = World::start();
    let mut lines = demo_events(600);
    // Some of equal time, so that ties must be broken.
    for n in 0..60 {
        lines.push_str(&format!("{}\n", json!({"id": format!("tie-{n}"), "actor": "system", "action": "contact.viewed", "time": "2025-04-01T00:00:00Z"})));
    }
    world.load(lines.lines());
    for order in ["-time", "time", "-seq", "seq"] {
        let total = world.count("action:contacts OR auth");
        let params = [("q", "action:contacts OR auth"), ("order", order), ("limit", "37")];
        let events = all_pages(&world, &params);
        assert_eq!(events.len() as u64, total, "{order}");
        let place =
            |event: &Value| (event["time"].as_str().expect("time").to_owned(), event["seq"].as_u64().expect("seq"));
        let seq = |event: &Value| event["seq"].as_u64().expect("seq");
        let is_in_order = events.windows(2).all(|pair| match order {
            "-time" => place(&pair[0]) > place(&pair[1]),
            "time" => place(&pair[0]).0 <= place(&pair[1]).0 && seq(&pair[0]) != seq(&pair[1]),
            "-seq" => seq(&pair[0]) > seq(&pair[1]),
            _ => seq(&pair[0]) < seq(&pair[1]),
        });
        assert!(is_in_order, "{order}");
        world.settle();
    }
}

#[test]
fn the_first_page_links_to_the_next() {
    let world = World::start();
    world.load(demo_events(100).lines());
    let answer = world.ask("/v1/events", &[("limit", "10")]).ok();
    let link = answer.header("link").expect("a Link header");
    assert!(link.contains("rel=next") || link.contains("rel=\"next\""), "{link}");
    let target = link.split(['<', '>']).nth(1).expect("a target in <>");
    let path = &target[target.find("/v1/").expect("a path of ours")..];
    let next = world.get(path).ok().json();
    assert_eq!(next["events"].as_array().expect("events").len(), 10);
    assert_ne!(next["events"][0], answer.json()["events"][0]);
}

#[test]
fn parameters_and_query_text_are_the_same_tree() {
    let world = World::start();
    world.load(demo_events(2_000).lines());
    let pairs: [(&[(&str, &str)], &str); 6] = [
        (&[("actor", "u_101"), ("actor", "u_102")], "actor:(u_101 OR u_102)"),
        (&[("action", "contacts"), ("outcome", "denied")], "action:contacts outcome:denied"),
        (&[("target_type", "did")], "target_type:did"),
        (&[("from", "2025-04-01T00:00:00Z"), ("to", "2025-05-01T00:00:00Z")], "time:2025-04-01..2025-05-01"),
        (&[("tenant", "velo-in"), ("q", "stage")], "tenant:velo-in stage"),
        (&[("action", "contact.*")], "action:contact.*"),
    ];
    for (params, q) in pairs {
        let by_params = world.get_json("/v1/events", params);
        let by_text = world.search(q, 50);
        assert!(by_text["total"].as_u64() > Some(0), "{q} finds nothing");
        assert_eq!(by_params["total"], by_text["total"], "{q}");
        assert_eq!(by_params["events"], by_text["events"], "{q}");
    }
    assert!(
        world.ask("/v1/events", &[("colour", "blue")]).status == 400
            || world.ask("/v1/events", &[("colour", "blue")]).text().contains("colour")
    );
}

#[test]
fn a_page_of_the_largest_events_stays_below_16_mib_and_nothing_is_left_out() {
    const PAGE_BYTES_MAX: usize = 16 << 20;
    const EVENTS: usize = 100;
    let world = World::start();
    let lines: Vec<String> = (0..EVENTS).map(|n| largest_event(&format!("large-{n}"))).collect();
    world.load(lines.iter().map(String::as_str));
    for (path, limit) in [("/v1/events", "1000"), ("/v1/feed", "10000")] {
        let (mut seqs, mut pages, mut cursor) = (Vec::new(), 0, None);
        loop {
            let mut params = vec![("limit", limit)];
            params.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let answer = world.ask(path, &params).ok();
            assert!(answer.body.len() <= PAGE_BYTES_MAX, "{path}: {} bytes", answer.body.len());
            let page = answer.json();
            seqs.extend(page["events"].as_array().expect("events").iter().map(|row| row["seq"].as_u64().expect("seq")));
            pages += 1;
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(pages, 2, "{path}: a page holds as much as it may");
        seqs.sort_unstable();
        assert_eq!(seqs, (0..EVENTS as u64).collect::<Vec<_>>(), "{path}");
    }
    let lines = world.ask("/v1/feed", &[("limit", "10000"), ("format", "ndjson")]).ok();
    assert!(lines.body.len() <= PAGE_BYTES_MAX, "{} bytes of NDJSON", lines.body.len());
    assert!(lines.body.len() > PAGE_BYTES_MAX - (1 << 20), "{} bytes of NDJSON", lines.body.len());
}

/// An event of exactly as many bytes as one may have.
fn largest_event(id: &str) -> String {
    const EVENT_BYTES_MAX: usize = 256 << 10;
    let event = |filler: &str| json!({"id": id, "actor": "system", "action": "a.b", "detail": {"filler": filler}});
    let around = event("").to_string().len();
    event(&"x".repeat(EVENT_BYTES_MAX - around)).to_string()
}
