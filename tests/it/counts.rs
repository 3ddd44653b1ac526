//! Totals, facets, feed and export agree with counting the NDJSON by hand. The counting here is as plain as can be and
//! shares no code with the server: a map from value to number.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::data::real_or_demo_events;
use crate::world::World;

type Counts = BTreeMap<String, u64>;

/// The events as sent, and a server that has them.
fn loaded() -> (World, Vec<Value>) {
    let lines = real_or_demo_events();
    let world = World::start();
    world.load(lines.lines());
    let sent = lines.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    (world, sent)
}

fn count_by(sent: &[Value], value: impl Fn(&Value) -> Option<String>) -> Counts {
    let mut counts = Counts::new();
    for event in sent {
        if let Some(value) = value(event) {
            *counts.entry(value.to_lowercase()).or_default() += 1;
        }
    }
    counts
}

fn by_hand(sent: &[Value], field: &str) -> Counts {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    count_by(sent, |event| match field {
        "actor" => {
            let kind = event["actor"]["type"].as_str().unwrap_or("user");
            Some(format!("{kind}/{}", event["actor"]["id"].as_str()?))
        }
        "target_type" => text(&event["target"]["type"]),
        "outcome" => Some(event["outcome"].as_str().unwrap_or("success").to_owned()),
        _ => text(&event[field]),
    })
}

#[test]
fn every_number_agrees_with_counting_by_hand() {
    let (world, sent) = loaded();
    assert_eq!(world.count(""), sent.len() as u64);
    facets_agree(&world, &sent);
    the_action_tree_agrees(&world, &sent);
    filters_agree(&world, &sent);
    the_histogram_holds_every_event(&world, &sent);
    the_feed_gives_what_was_sent_in_the_order_it_was_sent(&world, &sent);
    exports_have_every_row(&world, &sent);
    single_entries_are_what_was_sent(&world, &sent);
}

fn facets_agree(world: &World, sent: &[Value]) {
    let fields = ["actor", "target_type", "tenant", "outcome", "source"];
    let answer = world.facets(&fields.join(","), &[("top", "10")]);
    assert_eq!(answer["total"], sent.len());
    for field in fields {
        let hand = by_hand(sent, field);
        let facet = &answer["facets"][field];
        let values = facet["values"].as_array().unwrap_or_else(|| panic!("no values of {field} in {answer}"));
        let mut shown = 0;
        let mut last = u64::MAX;
        for value in values {
            let (name, count) = (value["value"].as_str().expect("value"), value["count"].as_u64().expect("count"));
            assert_eq!(Some(&count), hand.get(&name.to_lowercase()), "{field} {name}");
            assert!(count <= last, "{field}: not ordered by count");
            assert!(value["label"].is_string(), "{field} {name} has no label");
            // What a click on the value would show.
            let clicked = world.get_json("/v1/events", &[(field, name), ("limit", "1")]);
            assert_eq!(clicked["total"], count, "{field}={name}");
            (shown, last) = (shown + count, count);
        }
        assert_eq!(values.len(), hand.len().min(10), "{field}");
        let others = facet["others"].as_u64().expect("others");
        assert_eq!(shown + others, hand.values().sum::<u64>(), "{field}: values and others");
    }
}

#[test]
fn a_facet_value_chooses_what_was_counted_also_where_slashes_and_stars_are_part_of_names() {
    let world = World::start();
    let names =
        [("svc", "a/7"), ("svc/a", "7"), ("svc/a", "7/8"), ("svc", "*"), ("svc", "x"), ("dom\\", "?"), ("dom", "\\a")];
    let event = |(n, (kind, id)): (usize, &(&str, &str))| {
        let body = serde_json::json!({
            "action": format!("thing.{n}*"), "actor": {"type": kind, "id": id}, "target": {"type": format!("{kind}?"), "id": "t"},
        });
        format!("{}\n", body)
    };
    world.load(names.iter().enumerate().map(event).collect::<String>().lines());
    let answer = world.facets("actor,target_type", &[]);
    for (field, distinct) in [("actor", 7), ("target_type", 4)] {
        let values = answer["facets"][field]["values"].as_array().expect("values");
        assert_eq!(values.len(), distinct, "{field}");
        for value in values {
            let clicked =
                world.get_json("/v1/events", &[(field, value["value"].as_str().expect("value")), ("limit", "1")]);
            assert_eq!(clicked["total"], value["count"], "{field}: {value}");
        }
    }
    let mut actions = Vec::new();
    leaves(&world.facets("action", &[])["facets"]["action"]["tree"], &mut actions);
    assert_eq!(actions.len(), names.len());
    for (action, count) in actions {
        assert_eq!(world.get_json("/v1/events", &[("action", &format!("\"{action}\""))])["total"], count, "{action}");
    }
}

/// Also where only some of a category were asked for, and for names that look like something else.
#[test]
fn what_stands_beside_a_node_of_a_found_tree_is_its_total() {
    let world = World::start();
    let actions = [
        "login",
        "login",
        "bucket_listed",
        "bucket.made",
        "bucket.emptied",
        "contact.viewed",
        "\"bucket\"",
        ".odd",
        ":odd.2",
    ];
    let lines = actions.map(|action| serde_json::json!({"actor": "system", "action": action}).to_string());
    world.load(lines.iter().map(String::as_str));
    // `other` with two of its six and `bucket` with two; then all of `other`, `bucket`, and `contact` with one.
    for (parameters, expected) in [(&[("find", "bucket")][..], (6, 4)), (&[], (11, 0))] {
        let tree = &world.facets("action", parameters)["facets"]["action"]["tree"];
        let mut nodes = 0;
        for category in tree.as_array().expect("categories") {
            for node in std::iter::once(category).chain(category["actions"].as_array().expect("actions")) {
                let chosen = world.get_json("/v1/events", &[("action", node["value"].as_str().expect("a value"))]);
                assert_eq!(chosen["total"], node["count"], "{node}");
                nodes += 1;
            }
        }
        assert_eq!((&tree[0]["value"], &tree[0]["count"]), (&"other".into(), &6.into()), "{tree}");
        assert_eq!((nodes, tree[0]["others"].as_u64()), (expected.0, Some(expected.1)), "{tree}");
    }
}

/// Goes through the tree whatever the names of its levels: what has a count and nothing below is an action.
fn leaves(tree: &Value, found: &mut Vec<(String, u64)>) {
    match tree {
        Value::Array(nodes) => nodes.iter().for_each(|node| leaves(node, found)),
        Value::Object(members) => {
            let below: Vec<&Value> = members.values().filter(|value| value.is_array()).collect();
            if below.is_empty() {
                let name = members["value"].as_str().expect("value").trim_matches('"').to_lowercase();
                found.push((name, members["count"].as_u64().expect("count")));
            }
            below.into_iter().for_each(|nodes| leaves(nodes, found));
        }
        other => panic!("{other} in the action tree"),
    }
}

fn the_action_tree_agrees(world: &World, sent: &[Value]) {
    let answer = world.facets("action", &[("top", "10000")]);
    let tree = &answer["facets"]["action"]["tree"];
    let mut found = Vec::new();
    leaves(tree, &mut found);
    let hand = by_hand(sent, "action");
    let found: Counts = found.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(found, hand);
    for category in tree.as_array().expect("categories") {
        let mut below = Vec::new();
        leaves(
            &Value::Array(category.as_object().expect("category").values().filter(|v| v.is_array()).cloned().collect()),
            &mut below,
        );
        let sum: u64 = below.iter().map(|(_, count)| count).sum();
        assert_eq!(category["count"], sum, "{category}");
        let slug = category["value"].as_str().expect("value");
        let clicked = world.get_json("/v1/events", &[("action", slug), ("limit", "1")]);
        assert_eq!(clicked["total"], sum, "action={slug}");
        for action in category["actions"].as_array().expect("actions") {
            let value = action["value"].as_str().expect("value");
            let clicked = world.get_json("/v1/events", &[("action", value), ("limit", "1")]);
            assert_eq!(clicked["total"], action["count"], "action={value}");
        }
    }
}

fn filters_agree(world: &World, sent: &[Value]) {
    let count = |wanted: &dyn Fn(&Value) -> bool| sent.iter().filter(|event| wanted(event)).count() as u64;
    let source = sent[sent.len() / 2]["source"].as_str().expect("source");
    let tenant = sent[0]["tenant"].as_str().expect("tenant");
    let from = sent[sent.len() / 3]["time"].as_str().expect("time");
    let to = sent[sent.len() / 3 * 2]["time"].as_str().expect("time");
    let in_range = |event: &Value| (from..to).contains(&event["time"].as_str().expect("time"));
    let cases: Vec<(String, u64)> = vec![
        (format!("source:{source}"), count(&|event| event["source"] == source)),
        (format!("-source:{source}"), count(&|event| event["source"] != source)),
        (format!("tenant:{tenant}"), count(&|event| event["tenant"] == tenant)),
        (
            format!("tenant:{tenant} -source:{source}"),
            count(&|event| event["tenant"] == tenant && event["source"] != source),
        ),
        ("has:changes".to_owned(), count(&|event| event["changes"].as_array().is_some_and(|list| !list.is_empty()))),
        ("NOT target:*".to_owned(), count(&|event| event["target"].is_null())),
        ("detail.EventID:4658".to_owned(), count(&|event| event["detail"]["EventID"] == 4658)),
        (
            "detail.EventID:[4656 TO 4663]".to_owned(),
            count(&|event| event["detail"]["EventID"].as_i64().is_some_and(|id| (4656..=4663).contains(&id))),
        ),
        (format!("time:{from}..{to}"), count(&in_range)),
        (
            format!("time:>={from} source:{source}"),
            count(&|event| event["time"].as_str() >= Some(from) && event["source"] == source),
        ),
        (format!("id:{}", sent[7]["id"].as_str().expect("id")), 1),
        ("seq:100..200".to_owned(), 101),
    ];
    for (q, hand) in cases {
        assert_eq!(world.count(&q), hand, "{q}");
        assert_eq!(world.facets("tenant", &[("q", &q)])["total"], hand, "facets of {q}");
    }
    // A facet ignores its own filter: all tenants are still counted.
    let facets = world.facets("tenant,source", &[("tenant", tenant), ("top", "1000")]);
    let shown: u64 = facets["facets"]["tenant"]["values"]
        .as_array()
        .expect("values")
        .iter()
        .map(|value| value["count"].as_u64().expect("count"))
        .sum();
    assert_eq!(shown, sent.len() as u64);
    let shown: u64 = facets["facets"]["source"]["values"]
        .as_array()
        .expect("values")
        .iter()
        .map(|value| value["count"].as_u64().expect("count"))
        .sum();
    assert_eq!(shown, count(&|event| event["tenant"] == tenant));
    assert_eq!(facets["total"], count(&|event| event["tenant"] == tenant));
}

fn the_histogram_holds_every_event(world: &World, sent: &[Value]) {
    let answer = world.facets("tenant", &[("histogram", "auto")]);
    let buckets = answer["histogram"]["buckets"].as_array().unwrap_or_else(|| panic!("no buckets in {answer}"));
    let sum: u64 = buckets.iter().map(|bucket| bucket["count"].as_u64().expect("count")).sum();
    assert_eq!(sum, sent.len() as u64);
}

fn the_feed_gives_what_was_sent_in_the_order_it_was_sent(world: &World, sent: &[Value]) {
    let fed = world.feed(&[], 1_000);
    assert_eq!(fed.len(), sent.len());
    for (seq, (entry, event)) in fed.iter().zip(sent).enumerate() {
        assert_eq!(entry["seq"], seq);
        assert_eq!(entry["id"], event["id"]);
        assert_eq!(entry["time"], event["time"]);
    }
    let source = sent[sent.len() / 2]["source"].as_str().expect("source");
    let wanted: Vec<&Value> = sent.iter().filter(|event| event["source"] == source).map(|event| &event["id"]).collect();
    let q = format!("source:{source}");
    let some = world.feed(&[("q", &q)], 777);
    assert_eq!(some.iter().map(|entry| &entry["id"]).collect::<Vec<_>>(), wanted);
}

fn exports_have_every_row(world: &World, sent: &[Value]) {
    let (body, trailers) = world.get_with_trailers("/v1/export", &[("format", "ndjson")]);
    let rows = body.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(rows, sent.len());
    let trailer = |name: &str| trailers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(trailer("annals-rows"), Some(sent.len().to_string().as_str()), "{trailers:?}");
    assert_eq!(trailer("annals-last-seq"), Some((sent.len() - 1).to_string().as_str()), "{trailers:?}");
    // What you see is what you export: same query, same events, same order.
    let tenant = sent[0]["tenant"].as_str().expect("tenant");
    let q = format!("tenant:{tenant} -has:target");
    let exported = world.export("ndjson", &[("q", &q)]);
    let exported: Vec<Value> = exported
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("a row"))
        .collect();
    assert_eq!(exported.len() as u64, world.count(&q));
    let page = world.search(&q, 1_000);
    let page = page["events"].as_array().expect("events");
    assert_eq!(page[..], exported[..page.len()]);
}

fn single_entries_are_what_was_sent(world: &World, sent: &[Value]) {
    for (seq, event) in sent.iter().enumerate().step_by(sent.len() / 50) {
        let id = event["id"].as_str().expect("id");
        let by_id = world.get_json(&format!("/v1/events/{id}"), &[]);
        assert_eq!(by_id, world.get_json(&format!("/v1/events/@{seq}"), &[]));
        assert_eq!(by_id["seq"], seq);
        for member in ["action", "tenant", "source", "target", "changes", "context"] {
            assert_eq!(by_id.get(member), event.get(member), "{member} of {id}");
        }
    }
}
