//! The demo as a newcomer meets it: what `annals serve --demo` fills an empty directory with.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};

use serde_json::Value;

use crate::world::{self, World};

#[test]
fn the_demo_fills_every_category_and_only_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    // Twice over one directory: the second start must not add the demo again.
    for _ in 0..2 {
        let mut child = World::serve_command(&data).arg("--demo").spawn().expect("annals starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = lines.next().expect("a first line").expect("UTF-8");
        let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        let agent = world::new_agent();
        let get = |path: &str| -> Value {
            let mut answer = agent.get(format!("{url}{path}")).call().expect("an answer");
            let text = answer.body_mut().read_to_string().expect("a body");
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"))
        };
        world::wait_for("the demo", || (get("/v1/events?limit=1")["total"].as_u64() >= Some(20_000)).then_some(()));
        let facets = get("/v1/facets?fields=actor,action,tenant&top=1000");
        assert_eq!(facets["total"], 20_000);
        check(&facets);
        child.kill().expect("SIGKILL");
        child.wait().expect("the server ended");
    }
}

fn check(facets: &Value) {
    let values = |field: &str| facets["facets"][field]["values"].as_array().expect("values").clone();
    let actors: BTreeSet<String> =
        values("actor").iter().map(|value| value["value"].as_str().expect("value").to_owned()).collect();
    assert_eq!(actors.iter().filter(|actor| actor.starts_with("user/")).count(), 40);
    assert!(actors.contains("system/system"));
    assert_eq!(values("tenant").len(), 3);
    let tree = facets["facets"]["action"]["tree"].as_array().expect("tree");
    for slug in
        ["auth", "team", "contacts", "conversations", "campaigns", "senders", "dids", "billing", "consent", "pricing"]
    {
        let category = tree.iter().find(|category| category["value"] == slug).unwrap_or_else(|| panic!("no {slug}"));
        assert!(category["count"].as_u64() >= Some(200), "{category}");
    }
}
