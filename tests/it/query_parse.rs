//! `/v1/query/parse`: parameters and text are one tree, its texts find what the request finds, and its errors are those
//! of a search.

use serde_json::Value;

use crate::world::{Params, World};

/// Every node below and including this one, in the order they are printed.
fn nodes<'a>(node: &'a Value, found: &mut Vec<&'a Value>) {
    found.push(node);
    for member in node["members"].as_array().into_iter().flatten() {
        nodes(member, found);
    }
}

fn text<'a>(node: &'a Value, member: &str) -> &'a str {
    node[member].as_str().unwrap_or_else(|| panic!("no {member} in {node}"))
}

/// Parameters, the query they make, and of each filter what it says, where it stands and what is left without it.
type Case<'a> = (Params<'a>, &'a str, &'a [(&'a str, &'a str, &'a str, &'a str)]);

const CASES: &[Case<'static>] = &[
    (&[], "*", &[]),
    (&[("q", "maya")], "maya", &[("maya", "q 0", "maya", "")]),
    (
        &[("actor", "u_102"), ("q", "東京 -\"shift lead\""), ("actor", "u_104"), ("action", "contacts")],
        "東京 -\"shift lead\" (actor:u_102 OR actor:u_104) action:contacts",
        &[
            ("東京", "q 0", "東京", "-\"shift lead\" (actor:u_102 OR actor:u_104) action:contacts"),
            ("\"shift lead\"", "q 0", "\"shift lead\"", "東京 (actor:u_102 OR actor:u_104) action:contacts"),
            ("actor:u_102", "actor 0", "u_102", "東京 -\"shift lead\" actor:u_104 action:contacts"),
            ("actor:u_104", "actor 1", "u_104", "東京 -\"shift lead\" actor:u_102 action:contacts"),
            ("action:contacts", "action 0", "contacts", "東京 -\"shift lead\" (actor:u_102 OR actor:u_104)"),
        ],
    ),
    (
        &[("q", "a"), ("q", ""), ("q", "b || detail.x:null"), ("from", "2026-11-01")],
        "a (b OR -detail.x:*) time:>=2026-11-01T00:00:00.000Z",
        &[
            ("a", "q 0", "a", "(b OR -detail.x:*) time:>=2026-11-01T00:00:00.000Z"),
            ("b", "q 2", "b", "a -detail.x:* time:>=2026-11-01T00:00:00.000Z"),
            ("detail.x:*", "q 2", "detail.x:null", "a b time:>=2026-11-01T00:00:00.000Z"),
            ("time:>=2026-11-01T00:00:00.000Z", "from 0", "2026-11-01", "a (b OR -detail.x:*)"),
        ],
    ),
];

#[test]
fn each_filter_says_where_it_was_written_and_what_the_query_is_without_it() {
    let world = World::start();
    for (params, query, filters) in CASES {
        let answer = world.get_json("/v1/query/parse", params);
        assert_eq!(answer["query"], *query, "{params:?}");
        let mut all = Vec::new();
        nodes(&answer["tree"], &mut all);
        let found: Vec<[String; 4]> = all
            .into_iter()
            .filter(|node| node["kind"] == "filter")
            .map(|node| {
                let place = &node["place"];
                let (param, nth) = (text(place, "param"), place["nth"].as_u64().expect("nth") as usize);
                let (at, len) = (place["at"].as_u64().expect("at"), place["len"].as_u64().expect("len"));
                let (_, value) = params.iter().filter(|(name, _)| *name == param).nth(nth).expect("the parameter");
                let written: String = value.chars().skip(at as usize).take(len as usize).collect();
                [text(node, "text").to_owned(), format!("{param} {nth}"), written, text(node, "without").to_owned()]
            })
            .collect();
        let expected: Vec<[String; 4]> =
            filters.iter().map(|(a, b, c, d)| [a, b, c, d].map(|text| (*text).to_owned())).collect();
        assert_eq!(found, expected, "{params:?}");
    }
}

#[test]
fn the_texts_of_a_tree_find_what_they_say() {
    let world = World::start();
    world.load(crate::data::demo_events(300).lines());
    let count = |q: &str| world.count(q);
    for q in [
        "action:contacts OR action:auth -outcome:failure",
        "actor:(u_102 OR u_104 OR system) time:>=2000-01-01",
        "-(has:changes OR detail.rows:>10) _exists_:target",
    ] {
        let answer = world.get_json("/v1/query/parse", &[("q", q)]);
        assert_eq!(count(text(&answer, "query")), count(q), "{q}");
        let mut all = Vec::new();
        nodes(&answer["tree"], &mut all);
        for node in all {
            let (said, total) = (text(node, "text"), count(text(node, "text")));
            let members = node["members"].as_array().into_iter().flatten().map(|member| count(text(member, "text")));
            match text(node, "kind") {
                "and" => assert!(members.min() >= Some(total), "{said}"),
                "or" => assert!(members.max() <= Some(total), "{said}"),
                "not" => assert_eq!(members.sum::<u64>(), count("") - total, "{said}"),
                _ => {}
            }
            // What is left is a query, and taking out what was written says the same again.
            let without = text(node, "without");
            let again = world.get_json("/v1/query/parse", &[("q", without)]);
            let expected = if without.is_empty() { "*" } else { without };
            assert_eq!(text(&again, "query"), expected, "{q} without {said}");
        }
    }
}

#[test]
fn what_a_search_refuses_is_refused_alike() {
    let world = World::start();
    let table: [(Params, &str, u64); 7] = [
        (&[("q", "東京 actr:u_81")], "unknown_field", 3),
        (&[("q", "maya"), ("from", "soon")], "bad_value", 0),
        (&[("q", "a \"b")], "syntax", 2),
        (&[("outcome", "sucess")], "bad_value", 0),
        (&[("q", "_exists_:reson")], "unknown_field", 9),
        (&[("q", "has:chnges")], "bad_value", 4),
        (&[("q", "é /a+?/")], "bad_regex", 4),
    ];
    for (params, code, at) in table {
        let (parsed, searched) = (world.ask("/v1/query/parse", params), world.ask("/v1/events", params));
        assert_eq!(parsed.clone().expect_status(400).problem().0, searched.problem().0, "{params:?}");
        assert_eq!((&parsed.json()["code"], &parsed.json()["at"]), (&code.into(), &at.into()), "{}", parsed.text());
    }
    let unknown = world.ask("/v1/query/parse", &[("q", "a"), ("colour", "red")]).expect_status(400);
    assert_eq!(unknown.problem().codes(), ["unknown_parameter"]);
}
