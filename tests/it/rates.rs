//! How often each caller may ask: who asks too often is told when to come again, and takes nothing from the others.

use std::time::Duration;

use serde_json::json;

use crate::access::{Holder, Visitor, make, view, wanted, wrong_key};
use crate::answer::Answer;
use crate::world::World;

/// Low enough to be reached, and so slow that no bucket fills up while a test looks at it.
const LOW: [(&str, &str); 3] =
    [("ANNALS_REQUESTS_PER_S", "2"), ("ANNALS_APPENDS_PER_S", "3"), ("ANNALS_STRANGERS_PER_S", "1")];

/// A guarded server with low limits.
fn limited(more: &[(&str, &str)]) -> World {
    let mut world = World::guarded();
    world.terminate();
    for (name, value) in LOW.iter().chain(more) {
        world.set(name, value);
    }
    world.restart();
    world
}

/// Asks until it is held back, which is soon. Answers how often it was let in, and what it was told then.
fn exhaust(mut ask: impl FnMut() -> Answer) -> (usize, Answer) {
    for let_in in 0..100 {
        let answer = ask();
        if answer.status == 429 {
            return (let_in, answer);
        }
    }
    panic!("a hundred requests were let in");
}

fn held_back(world: &World, of: &str) -> u64 {
    world.metric(&format!("annals_rate_limited_total{{of=\"{of}\"}}"))
}

#[test]
fn who_asks_too_often_is_told_when_to_come_again_and_the_others_notice_nothing() {
    let world = limited(&[]);
    let (eager, _) = make(&world, &wanted(&["read", "write"]));
    let (other, _) = make(&world, &wanted(&["read"]));

    let first = eager.get("/v1/events?limit=1").ok();
    assert_eq!(first.header("ratelimit-policy"), Some("\"requests\";q=10;w=5"));
    assert_eq!(first.header("ratelimit"), Some("\"requests\";r=9;t=1"));
    let (let_in, refused) = exhaust(|| eager.get("/v1/events?limit=1"));
    // Nine, and what came in meanwhile.
    assert!((9..30).contains(&let_in), "{let_in}");
    assert_eq!(refused.json()["code"], "rate_limited");
    assert_eq!((refused.header("ratelimit"), refused.header("retry-after")), (Some("\"requests\";r=0;t=5"), Some("1")));
    // What it may not do is counted as well.
    assert_eq!(eager.get("/v1/keys").status, 429);
    assert_eq!(eager.get("/admin/audit-log/").status, 429);
    let (_, seen) = exhaust(|| eager.call("GET", "/admin/audit-log/", &[("accept", "text/html")], ""));
    assert!(seen.text().starts_with("That was too much at once."), "{}", seen.text());
    assert_eq!(
        (seen.header("content-type"), seen.header("retry-after")),
        (Some("text/plain; charset=utf-8"), Some("1"))
    );

    // Its appends are counted apart, and are held back too.
    let event = r#"{"actor":"system","action":"a.b"}"#;
    let append = || eager.call("POST", "/v1/events", &[], event);
    let stored = append().expect_status(201);
    assert_eq!(stored.header("ratelimit-policy"), Some("\"appends\";q=15;w=5"));
    let (_, refused) = exhaust(append);
    assert_eq!(refused.json()["code"], "rate_limited");

    other.get("/v1/events?limit=1").ok();
    for open in ["/healthz", "/readyz", "/openapi.json", "/admin/audit-log/sign-in"] {
        for _ in 0..30 {
            let answer = eager.get(open).ok();
            assert_eq!(answer.header("ratelimit"), None, "{open}");
        }
    }
    assert!(held_back(&world, "callers") >= 4);
    assert_eq!(held_back(&world, "strangers"), 0);

    std::thread::sleep(Duration::from_secs(1));
    eager.get("/v1/events?limit=1").ok();
}

#[test]
fn a_viewer_is_for_itself_and_cannot_use_up_what_its_maker_has() {
    let world = limited(&[]);
    let (maker, _) = make(&world, &wanted(&["read"]));
    let (first, _) = view(&maker, &json!({"user": "u_1"}));
    let (second, _) = view(&maker, &json!({"user": "u_2"}));
    exhaust(|| first.get("/v1/events?limit=1"));
    second.get("/v1/events?limit=1").ok();
    maker.get("/v1/events?limit=1").ok();
}

#[test]
fn a_key_does_not_widen_its_rate_by_making_viewers() {
    let world = limited(&[("ANNALS_VIEWERS_PER_S", "3")]);
    let makers = [(); 2].map(|()| make(&world, &wanted(&["read"])).0);
    // Each could ask ten times.
    let viewers: Vec<_> = (0..6).map(|n| view(&makers[0], &json!({"user": format!("u_{n}")})).0).collect();
    let mut each = viewers.iter().cycle();
    let (let_in, refused) = exhaust(|| each.next().expect("a viewer").get("/v1/events?limit=1"));
    assert!((15..40).contains(&let_in), "{let_in}");
    assert_eq!(refused.json()["code"], "rate_limited");
    assert_eq!(refused.header("ratelimit-policy"), Some("\"requests\";q=15;w=5"));
    makers[0].get("/v1/events?limit=1").ok();
    view(&makers[1], &json!({"user": "u_1"})).0.get("/v1/events?limit=1").ok();
}

#[test]
fn strangers_are_held_back_by_address_and_a_good_key_is_let_in_from_there() {
    let world = limited(&[]);
    let stranger = Holder { world: &world, key: Some(wrong_key()) };
    let (let_in, refused) = exhaust(|| stranger.get("/v1/events"));
    assert!((5..15).contains(&let_in), "{let_in}");
    assert_eq!((refused.json()["code"].as_str(), refused.header("retry-after")), (Some("rate_limited"), Some("1")));
    // Who shows none is told to.
    assert_eq!(Holder { world: &world, key: None }.get("/v1/events").status, 401);

    // At the door of the page as well: the wrong key waits, the right one does not.
    let page = "/admin/audit-log/";
    let mut visitor = Visitor { world: &world, cookies: Vec::new() };
    let form = format!("{page}sign-in");
    visitor.visit(page).expect_status(303);
    visitor.visit(&form).expect_status(200);
    assert_eq!(visitor.submit(&form, &[("key", "annals_x")]).status, 429);
    visitor.submit(&form, &[("key", world.key())]).expect_status(303);
    visitor.visit(page).expect_status(200);
    assert!(held_back(&world, "strangers") >= 2);
    assert_eq!(held_back(&world, "callers"), 0);
}

#[test]
fn behind_a_proxy_an_address_is_the_last_that_it_was_told_and_else_that_of_the_connection() {
    for (trusts, [seen, also_seen]) in [("1", ["203.0.113.7", "2001:db8::7"]), ("0", ["127.0.0.1", "127.0.0.1"])] {
        let world = limited(&[("ANNALS_TRUST_PROXY", trusts), ("ANNALS_REQUESTS_PER_S", "0")]);
        let ask = |from: &str, key: &str| {
            let headers = [("x-forwarded-for", from), ("authorization", key)];
            world.call("GET", "/v1/events", &headers, b"").expect("an answer").status
        };
        let wrong = format!("Bearer {}", wrong_key());
        let (spoofed, bracketed) = ("198.51.100.1, 203.0.113.7", "[2001:db8::7]:4711");
        while ask(spoofed, &wrong) != 429 {}
        // Another address before the proxy's own word is still the same place; another place has its own bucket.
        assert_eq!(ask("198.51.100.2,203.0.113.7", &wrong), 429);
        assert_eq!(ask(bracketed, &wrong), if trusts == "1" { 401 } else { 429 });
        world.settle();
        let admin = Holder { world: &world, key: Some(world.key().to_owned()) };
        let failed = admin.get("/v1/events?q=action:auth.sign_in_failed").ok().json();
        let ips: Vec<&str> =
            failed["events"].as_array().expect("events").iter().filter_map(|e| e["context"]["ip"].as_str()).collect();
        assert!(ips.contains(&seen) && ips.contains(&also_seen), "{ips:?}");
        assert!(!ips.iter().any(|ip| ip.starts_with("198.")), "{ips:?}");
    }
}
