//! What is about persons: sealed for who may not see it, gone for everybody once they are erased, with every entry and proof
//! still there. Over a real server: its answers, its page, its files, its verifier; killed at any moment.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annals::durable::CRASH_AT;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::access::{Holder, make, wanted};
use crate::world::{World, is_soak, tell, wait_for};

/// In every value that is about a contact, and in nothing else.
const CANARY: &str = "zqcanary";
/// Where in an event its words are.
const PLACES: [&str; 10] = ["name", "email", "before", "after", "deep", "list", "related", "reason", "agent", "number"];

fn canary(place: &str, n: usize) -> String {
    format!("{CANARY}{place}{n}end")
}

/// An event by and about a contact, with a word of its own in each place.
fn event(n: usize) -> String {
    let [name, email, before, after, deep, list, related, reason, agent, number] = PLACES.map(|place| canary(place, n));
    let contact = format!("c_{n}");
    let event = json!({
        "id": format!("ev_{n}"), "tenant": "acme", "action": "contact.updated",
        "actor": {"type": "contact", "id": contact, "email": format!("{email}@example.org")},
        "target": {"type": "contact", "id": contact, "name": name},
        "related": [{"type": "campaign", "id": "k_1", "name": related}],
        "reason": reason,
        "changes": [{"field": "phone", "before": before, "after": after}],
        "context": {"user_agent": agent, "ip": "192.0.2.1"},
        "detail": {"a": {"b": [{"c": deep}]}, "list": [list], "number": number},
    });
    format!("{event}\n")
}

fn guarded(environment: &[(&str, &str)]) -> World {
    let own = tempfile::tempdir().expect("a temporary directory");
    let mut world = World::to_be_guarded(own.path().join("data"), Some(own));
    for (name, value) in environment {
        world.set(name, value);
    }
    world.restart();
    world
}

fn admin(world: &World) -> Holder<'_> {
    Holder { world, key: Some(world.key().to_owned()) }
}

fn erase(world: &World, ids: &[String]) -> Value {
    let subjects: Vec<Value> = ids.iter().map(|id| json!({"type": "contact", "id": id})).collect();
    let wanted = json!({"subjects": subjects, "tenant": "acme", "reason": "ticket 4711"});
    admin(world).call("POST", "/v1/erasures", &[], &wanted.to_string()).expect_status(202).json()
}

/// Whether a server that may die meanwhile says that they are erased.
fn erase_of_the_dying(world: &World, ids: &[String]) -> bool {
    let subjects: Vec<Value> = ids.iter().map(|id| json!({"type": "contact", "id": id})).collect();
    let wanted = json!({"subjects": subjects, "tenant": "acme"}).to_string();
    let bearer = format!("Bearer {}", world.key());
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    let answer = world.call("POST", "/v1/erasures", &headers, wanted.as_bytes());
    answer.is_ok_and(|answer| answer.status == 202)
}

fn pending(world: &World) -> usize {
    admin(world).get("/v1/erasures").ok().json()["pending"].as_array().expect("a list").len()
}

fn await_done(world: &World) {
    wait_for("the purge", || (pending(world) == 0).then_some(()));
    world.settle();
}

fn count(holder: &Holder<'_>, q: &str) -> u64 {
    let q: String = form_urlencoded::byte_serialize(q.as_bytes()).collect();
    let answer = holder.get(&format!("/v1/events?limit=1&q={q}")).ok().json();
    answer["total"].as_u64().expect("a total")
}

/// The bytes of every file below a directory.
pub fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for item in fs::read_dir(dir).expect("a directory") {
        let path = item.expect("an item").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.clone(), fs::read(&path).unwrap_or_default())),
        }
    }
    found
}

pub fn holds(bytes: &[u8], word: &str) -> bool {
    memchr::memmem::find(bytes, word.as_bytes()).is_some()
}

/// What a tail from the beginning sends until it says that nothing more is there.
fn tail(world: &World, holder: &Holder<'_>) -> String {
    let address = world.url().strip_prefix("http://").expect("an address");
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    let key = holder.key.as_deref().unwrap_or_default();
    let request = format!("GET /v1/tail?last_event_id=-1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n");
    std::io::Write::write_all(&mut &stream, request.as_bytes()).expect("a request");
    let mut said = String::new();
    for line in BufReader::new(stream).lines() {
        match line {
            Ok(line) => said.push_str(&line),
            Err(_) => break,
        }
    }
    said
}

#[test]
fn what_is_sealed_is_neither_shown_nor_found_without_the_scope() {
    let world = guarded(&[]);
    let lines: String = (0..40).map(event).collect();
    world.load(lines.lines());
    let (seeing, _) = make(&world, &wanted(&["read", "export", "personal"]));
    let (blind, _) = make(&world, &wanted(&["read", "export"]));
    let words = PLACES.map(|place| canary(place, 7));
    for word in &words {
        assert_eq!((count(&seeing, word), count(&blind, word)), (1, 0), "{word}");
    }
    for q in [
        "detail.a.b.c:*canary*",
        "change:phone=*>*",
        "has:reason",
        "has:detail",
        "email:*@example.org",
        "ip:192.0.2.0/24",
        "user_agent:*canary*",
        "target_name:*canary*",
        "/.*canary.*/",
        "zqcanarynumb*",
        "zqcanaryname7ent~",
    ] {
        let q = &format!("action:contact.updated ({q})");
        let (seen, not) = (count(&seeing, q), count(&blind, q));
        assert!(seen > 0 && not == 0, "{q}: {seen}, {not}");
    }
    for q in ["action:contact.updated", "target:contact/c_7", "actor:contact/c_7", "change:phone", "target:c_7"] {
        assert_eq!(count(&seeing, q), count(&blind, q), "{q}");
        assert!(count(&blind, q) > 0, "{q}");
    }
    // Neither by negation.
    assert_eq!(count(&blind, &format!("action:contact.updated -{}", words[0])), 40);
    assert_eq!(count(&seeing, &format!("action:contact.updated -{}", words[0])), 39);

    let routes = [
        "/v1/events?limit=100",
        "/v1/events?limit=100&highlight=1&q=c_7",
        "/v1/events?limit=100&engine=scan",
        "/v1/events/ev_7",
        "/v1/events/ev_7/evidence",
        "/v1/feed?limit=100",
        "/v1/facets?fields=actor,target_type&top=100",
        "/v1/facets?fields=actor&find=canary",
        "/v1/export?format=csv",
        "/v1/export?format=ndjson",
        "/v1/export?format=bundle",
        "/metrics",
    ];
    wait_for("the newest entry to be signed", || (blind.get("/v1/events/ev_39/evidence").status == 200).then_some(()));
    for route in routes {
        let said = blind.get(route).ok();
        assert!(!holds(&said.body, CANARY), "{route}: {}", said.text());
        // In base64 neither.
        let is_evidence = route.contains("evidence") || route.contains("bundle") || route == "/metrics";
        let is_counting = route.contains("facets");
        assert!(holds(&seeing.get(route).ok().body, CANARY) || is_evidence || is_counting, "{route}");
    }
    let (seen, not) = (tail(&world, &seeing), tail(&world, &blind));
    assert!(seen.contains(CANARY) && not.contains("contact.updated") && !not.contains(CANARY), "{not}");
    let one = blind.get("/v1/events/ev_7").ok().json();
    assert_eq!(one["personal"], json!({"content": "hidden", "who": "hidden"}));
    assert_eq!(seeing.get("/v1/events/ev_7").ok().json()["personal"], json!({"content": "open", "who": "open"}));
    let csv = blind.get("/v1/export?format=csv&q=id:ev_7").ok().text();
    assert!(csv.contains("[hidden]"), "{csv}");
    // Nor on the page.
    let page = |holder: &Holder<'_>| {
        let (viewer, made) = crate::access::view(holder, &json!({"user": "u_9", "personal": holder.key == seeing.key}));
        let path = made["path"].as_str().expect("a path").to_owned();
        drop(viewer);
        world.get(&format!("{path}?open=ev_7&q=c_7")).ok().text()
    };
    let (seen, not) = (page(&seeing), page(&blind));
    assert!(seen.contains(&words[0]) && !not.contains(CANARY) && not.contains("hidden"), "{not}");
    // What was asked is itself sealed.
    let asked = format!("action:audit.searched {}", words[0]);
    assert!(count(&seeing, &asked) > 0);
    assert_eq!(count(&blind, &asked), 0);
    // No file has it in clear but the index.
    let dir = world.dir().to_owned();
    for (path, bytes) in files(&dir).iter().filter(|(path, _)| !path.starts_with(dir.join("index"))) {
        assert!(!holds(bytes, CANARY), "{}", path.display());
    }
}

#[test]
fn of_a_thousand_persons_half_are_erased_and_nothing_of_them_is_anywhere() {
    const PERSONS: usize = 1_000;
    /// Whoever asks for a word has it in the log, as what was asked.
    const ASKED_FOR: [usize; 4] = [0, 1, 500, 999];
    let is_erased = |n: usize| n.is_multiple_of(2);
    let mut world = guarded(&[("ANNALS_PURGE_AFTER_S", "0"), ("ANNALS_SPAN_EVENTS", "128")]);
    let lines: String = (0..PERSONS).map(event).collect();
    world.load(lines.lines());
    let note = wait_for("a signed checkpoint", || {
        let said = admin(&world).get("/checkpoint").ok().text();
        said.lines().nth(1).and_then(|size| size.parse().ok()).filter(|size: &usize| *size >= PERSONS).map(|_| said)
    });
    let erased: Vec<String> = (0..PERSONS).filter(|n| is_erased(*n)).map(|n| format!("c_{n}")).collect();
    let begun = erase(&world, &erased);
    assert_eq!(begun["erasures"].as_array().expect("a list").len(), erased.len());
    // At once.
    assert_eq!(count(&admin(&world), "detail.a.b.c:*"), (PERSONS / 2) as u64);
    await_done(&world);

    let check = |world: &World, what: &str| {
        let admin = admin(world);
        assert_eq!(count(&admin, "action:contact.updated"), PERSONS as u64, "{what}");
        for place in ["target_name:*", "has:reason", "email:*", "detail.number:*", "change:phone=*"] {
            assert_eq!(
                count(&admin, &format!("action:contact.updated {place}")),
                (PERSONS / 2) as u64,
                "{what}: {place}"
            );
        }
        for route in ["format=ndjson", "format=csv", "format=ndjson&order=seq"] {
            let all = admin.get(&format!("/v1/export?q=action:contact.updated&{route}")).ok().body;
            for n in 0..PERSONS {
                for place in PLACES {
                    assert_eq!(holds(&all, &canary(place, n)), !is_erased(n), "{what}: {route} {place} {n}");
                }
            }
        }
        for n in ASKED_FOR {
            for place in PLACES {
                let expected = u64::from(!is_erased(n));
                let q = format!("action:contact.updated {}", canary(place, n));
                assert_eq!(count(&admin, &q), expected, "{what}: {place} {n}");
            }
        }
    };
    check(&world, "after the purge");
    let csv = admin(&world).get("/v1/export?format=csv&q=id:ev_2").ok().text();
    assert!(csv.contains("[erased]"), "{csv}");
    world.terminate();
    world.restart();
    check(&world, "after a restart");
    world.terminate();
    let all = files(world.dir());
    for n in (0..PERSONS).filter(|n| is_erased(*n) && !ASKED_FOR.contains(n)) {
        for place in PLACES {
            let word = canary(place, n);
            let found = all.iter().find(|(_, bytes)| holds(bytes, &word));
            assert!(found.is_none(), "{word} is in {:?}", found.map(|(path, _)| path));
        }
    }
    // The log is what it was, and says why some of it cannot be read.
    let since = world.dir().with_file_name("since.note");
    fs::write(&since, note).expect("a note");
    let key = fs::read_to_string(world.dir().join("public.key")).expect("the public key");
    let (code, said) = verify(world.dir(), &["--key", key.trim(), "--since", since.to_str().expect("UTF-8")]);
    assert_eq!(code, 0, "{said}");
    assert_eq!((&said["sealed"]["erased_keys"], &said["sealed"]["keys"]), (&json!(PERSONS / 2), &json!(PERSONS + 1)));
}

fn verify(dir: &Path, more: &[&str]) -> (i32, Value) {
    let mut args = vec!["verify", dir.to_str().expect("UTF-8"), "--json"];
    args.extend_from_slice(more);
    let output = World::annals(&args, b"");
    let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", output.stderr));
    (output.status.code().expect("an exit code"), said)
}

#[test]
fn an_erasure_by_command_is_done_once_and_leaves_a_receipt() {
    let mut world = guarded(&[("ANNALS_PURGE_AFTER_S", "0")]);
    let lines: String = (0..5).map(event).collect();
    world.load(lines.lines());
    let url = world.url().to_owned();
    let annals = |verb: &[&str]| {
        let args =
            [verb, &["--url", &url, "--api-key", world.key(), "--tenant", "acme", "--reason", "ticket 1"]].concat();
        let output = World::annals(&args, b"");
        (output.status.code().expect("a code"), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(annals(&["hold", "contact", "c_3"]).0, 0);
    assert_eq!(annals(&["erase", "contact", "c_3"]).0, 1, "on hold");
    let one = json!({"subject": {"type": "contact", "id": "c_3"}, "tenant": "acme"}).to_string();
    assert_eq!(admin(&world).call("POST", "/v1/erasures", &[], &one).expect_status(409).problem().codes(), ["on_hold"]);
    world.settle();
    assert_eq!(count(&admin(&world), "action:erasure.requested outcome:denied"), 2);
    assert_eq!(annals(&["hold", "contact", "c_3", "--lift"]), (0, String::new()));

    let (code, said) = annals(&["erase", "contact", "c_1", "--wait", "--ref", "T-1"]);
    assert_eq!(code, 0, "{said}");
    let receipt: Value = serde_json::from_str(said.trim()).expect("a receipt");
    assert_eq!((&receipt["state"], &receipt["done"]["entries"]), (&json!("done"), &json!(1)));
    let id = receipt["id"].as_str().expect("an id");
    assert_eq!(admin(&world).get(&format!("/v1/erasures/{id}")).ok().json(), receipt);
    let body = receipt["receipt"]["body"].as_str().expect("the body");
    let body = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).expect("base64");
    assert!(holds(&body, "\"c_1\"") && holds(&body, "erasure.done"));
    // Again, also by somebody who does not know.
    let again = json!({"subject": {"type": "contact", "id": "c_1"}, "tenant": "acme"}).to_string();
    let again = admin(&world).call("POST", "/v1/erasures", &[], &again).expect_status(200).json();
    assert_eq!((&again["id"], &again["state"]), (&receipt["id"], &json!("done")));
    world.settle();
    assert_eq!(count(&admin(&world), "action:erasure.done"), 1);
    // Somebody else's entry of the same name is not taken for it.
    let forged = json!({"id": id, "tenant": "other", "actor": "system", "action": "x.y"});
    world.post(&forged).expect_status(201);
    world.settle();
    assert_eq!(admin(&world).get(&format!("/v1/erasures/{id}")).ok().json()["done"], receipt["done"]);
    for (body, code) in [
        ("{}", "bad_erasure"),
        (r#"{"subject":{"type":"contact","id":""}}"#, "bad_erasure"),
        (r#"{"subject":{"type":"contact","id":"a"},"subjects":[]}"#, "bad_erasure"),
        (r#"{"subject":{"type":"contact","id":"a"},"reson":"x"}"#, "bad_erasure"),
    ] {
        assert_eq!(admin(&world).call("POST", "/v1/erasures", &[], body).expect_status(422).problem().codes(), [code]);
    }
    world.terminate();
}

#[test]
fn killed_at_any_moment_of_an_erasure_it_is_done_once_and_nothing_comes_back() {
    let rounds = if is_soak() { 60 } else { 8 };
    let mut world = guarded(&[("ANNALS_PURGE_AFTER_S", "0"), ("ANNALS_SPAN_EVENTS", "32")]);
    let mut dice = StdRng::seed_from_u64(11);
    let mut entered: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..rounds {
        tell("kills during an erasure", round, rounds);
        let first = round * 100;
        let lines: String = (first..first + 100).map(event).collect();
        world.load(lines.lines());
        let ids: Vec<String> = (first..first + 20).map(|n| format!("c_{n}")).collect();
        let killer = world.killer();
        let after = Duration::from_micros(dice.random_range(0..60_000));
        let kill = std::thread::spawn(move || {
            std::thread::sleep(after);
            killer();
        });
        let is_acknowledged = erase_of_the_dying(&world, &ids);
        kill.join().expect("the killer");
        world.bury();
        world.restart();
        await_done(&world);
        let admin = admin(&world);
        let requested = count(&admin, "action:erasure.requested");
        assert_eq!(count(&admin, "action:erasure.done"), requested, "round {round}");
        let of_round = |n: usize| count(&admin, &canary("deep", n));
        let left: u64 = (first..first + 20).map(of_round).sum();
        assert!(left == 20 || left == 0, "round {round}: half an erasure");
        assert!(left == 0 || !is_acknowledged, "round {round}: it was acknowledged and is not there");
        if left == 20 {
            erase(&world, &ids);
            await_done(&world);
        }
        for id in ids {
            *entered.entry(id).or_default() += 1;
        }
    }
    let admin = admin(&world);
    for (id, times) in &entered {
        assert_eq!(*times, 1);
        assert_eq!(count(&admin, &format!("action:erasure.done target:contact/{id}")), 1, "{id}");
    }
    assert_eq!(count(&admin, "detail.a.b.c:*"), (rounds * 80) as u64);
    world.terminate();
    let all = files(world.dir());
    for round in 0..rounds {
        for n in round * 100..round * 100 + 20 {
            // What was asked for above is in the log as what was asked.
            let word = canary("before", n);
            let found = all.iter().find(|(_, bytes)| holds(bytes, &word)).map(|(path, _)| path);
            assert!(found.is_none(), "{word} is in {found:?}");
        }
    }
    let (code, said) = verify(world.dir(), &[]);
    assert!(code != 1, "{said}");
}

/// Every step of an erasure and of its purge, in their order.
const STEPS: [&str; 12] = [
    "erasure.asked",
    "erasure.entered",
    "keyring.overwritten",
    "erasure.destroyed",
    "erasure.left_out",
    "erasure.saved",
    "purge.begun",
    "purge.documents",
    "purge.merged",
    "span.renamed",
    "purge.counted",
    "purge.done",
];

#[test]
fn dying_between_any_two_steps_of_an_erasure_it_is_done_exactly_once() {
    if !cfg!(debug_assertions) {
        return crate::data::skipped(
            "steps of an erasure: a release does not die on demand (make soak runs them in a debug build)",
        );
    }
    const PERSONS: usize = 3;
    let rounds = if is_soak() { 20 } else { 1 };
    let mut world = guarded(&[("ANNALS_PURGE_AFTER_S", "0"), ("ANNALS_SPAN_EVENTS", "32")]);
    let mut next = 0;
    for (round, step) in (0..rounds).flat_map(|round| STEPS.map(|step| (round, step))) {
        tell(step, round, rounds);
        let first = next;
        next += 40;
        let lines: String = (first..first + 40).map(event).collect();
        world.load(lines.lines());
        world.terminate();
        world.set(CRASH_AT, step);
        world.restart();
        let ids: Vec<String> = (first..first + PERSONS).map(|n| format!("c_{n}")).collect();
        let is_acknowledged = erase_of_the_dying(&world, &ids);
        assert_eq!(world.bury().signal(), Some(9), "{step}: it did not come to pass");
        world.set(CRASH_AT, "");
        world.restart();
        await_done(&world);
        let admin = admin(&world);
        let left: u64 = (first..first + PERSONS).map(|n| count(&admin, &canary("deep", n))).sum();
        let is_begun = step != "erasure.asked";
        assert_eq!(left, if is_begun { 0 } else { PERSONS as u64 }, "round {round}, {step}");
        assert!(is_begun || !is_acknowledged, "{step}");
        if !is_begun {
            erase(&world, &ids);
            await_done(&world);
        }
        for id in &ids {
            for action in ["erasure.requested", "erasure.done"] {
                assert_eq!(count(&admin, &format!("action:{action} target:contact/{id}")), 1, "{step}: {action} {id}");
            }
        }
    }
    assert_eq!(count(&admin(&world), "detail.a.b.c:*"), (rounds * STEPS.len() * (40 - PERSONS)) as u64);
    world.terminate();
    let all = files(world.dir());
    for n in (0..next).filter(|n| n % 40 < PERSONS) {
        // Whoever asks for a word has it in the log, as what was asked: sealed.
        let found = all.iter().find(|(_, bytes)| holds(bytes, &canary("before", n))).map(|(path, _)| path);
        assert!(found.is_none(), "{n} is in {found:?}");
    }
    let (code, said) = verify(world.dir(), &[]);
    assert!(code != 1, "{said}");
}

#[test]
fn a_copy_taken_while_persons_are_erased_is_whole_and_opens_nothing_of_them() {
    let mut world = guarded(&[("ANNALS_PURGE_AFTER_S", "0"), ("ANNALS_SPAN_EVENTS", "64")]);
    let lines: String = (0..600).map(event).collect();
    world.load(lines.lines());
    let room = tempfile::tempdir().expect("a temporary directory");
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let copies = std::thread::scope(|scope| {
        let (dir, room) = (world.dir(), room.path());
        let is_over = &is_over;
        let copier = scope.spawn(move || {
            let mut copies = 0;
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) || copies == 0 {
                let to = room.join(format!("copy-{}", copies % 4));
                let (from, to_text) = (dir.to_str().expect("UTF-8"), to.to_str().expect("UTF-8"));
                World::annals(&["backup", "--data", from, to_text], b"").ok();
                let (code, said) = verify(&to, &[]);
                assert!(code != 1, "copy {copies}: {said}");
                copies += 1;
            }
            copies
        });
        for first in (0..300).step_by(20) {
            let ids: Vec<String> = (first..first + 20).map(|n| format!("c_{n}")).collect();
            erase(&world, &ids);
        }
        await_done(&world);
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        copier.join().expect("the copier")
    });
    assert!(copies > 1, "nothing was copied meanwhile");
    // With today's keyring each of the copies opens what is not erased, and nothing else; also one that knows of no erasure yet.
    let mut known = 0;
    for n in 0..copies.min(4) {
        let copy = room.path().join(format!("copy-{n}"));
        for secret in ["keyring", "kek", "keys.json", "signing.key"] {
            fs::copy(world.dir().join(secret), copy.join(secret)).expect("copied");
        }
        let mut restored = World::to_be_guarded(copy, None);
        restored.restart();
        let admin = admin(&restored);
        assert_eq!(count(&admin, "action:contact.updated"), 600, "copy {n}");
        assert_eq!(count(&admin, "detail.a.b.c:*"), 300, "copy {n}");
        known += count(&admin, "action:erasure.requested");
        restored.terminate();
    }
    assert!(known > 0, "no copy knows of an erasure");
    world.terminate();
}

#[test]
fn verify_tells_an_erasure_from_a_loss() {
    let mut world = guarded(&[("ANNALS_PURGE_AFTER_S", "0")]);
    let lines: String = (0..6).map(event).collect();
    world.load(lines.lines());
    world.terminate();
    let (dir, keyring) = (world.dir().to_owned(), world.dir().join("keyring"));
    let before = fs::read(&keyring).expect("the keyring");
    let log_before = copy(&dir, "before");
    world.restart();
    erase(&world, &["c_2".to_owned()]);
    await_done(&world);
    world.terminate();
    let after = fs::read(&keyring).expect("the keyring");
    let key = fs::read_to_string(dir.join("public.key")).expect("the public key");
    let judge = |dir: &Path, code: i32, why: &str| {
        let (found, said) = verify(dir, &["--key", key.trim()]);
        assert_eq!(found, code, "{why}: {said}");
        assert!(said.to_string().contains(why), "{why}: {said}");
    };
    judge(&dir, 0, "\"erased_keys\":1");
    // A keyring of before the erasure.
    fs::write(&keyring, &before).expect("written");
    judge(&dir, 1, "although the erasure at entry");
    // One of after it, with a log that knows of none.
    fs::write(log_before.join("keyring"), &after).expect("written");
    judge(&log_before, 1, "no erasure says so");
    fs::write(log_before.join("keyring"), &before).expect("written");
    judge(&log_before, 0, "\"erased_keys\":0");
    // Rot.
    let mut rotten = after.clone();
    rotten[128 * 3 + 60] ^= 1;
    fs::write(&keyring, &rotten).expect("written");
    judge(&dir, 1, "is not there or damaged");
    fs::remove_file(&keyring).expect("removed");
    judge(&dir, 0, "the keyring is not here");
    // Another key wraps it.
    fs::write(&keyring, &after).expect("written");
    let to = dir.with_file_name("kek.new");
    let (data, to) = (dir.to_str().expect("UTF-8"), to.to_str().expect("UTF-8"));
    let output = World::annals(&["keyring", "rotate", "--data", data, "--to", to], b"");
    output.ok();
    judge(&dir, 0, "was made with another key-encryption key");
    let (code, said) = verify(&dir, &["--key", key.trim(), "--kek-file", to]);
    assert!(code == 0 && said["remarks"].as_array().is_some_and(Vec::is_empty), "{said}");
    world.set("ANNALS_KEK_FILE", to);
    world.restart();
    assert_eq!(count(&admin(&world), &canary("deep", 3)), 1);
    assert_eq!(count(&admin(&world), &canary("deep", 2)), 0);
    world.terminate();
}

/// A copy of a directory beside it.
pub fn copy(dir: &Path, name: &str) -> PathBuf {
    fn all(from: &Path, to: &Path) {
        fs::create_dir_all(to).expect("a directory");
        for item in fs::read_dir(from).expect("a directory") {
            let path = item.expect("an item").path();
            let to = to.join(path.file_name().expect("a name"));
            match path.is_dir() {
                true => all(&path, &to),
                false => drop(fs::copy(&path, &to).expect("copied")),
            }
        }
    }
    let to = dir.with_file_name(name);
    all(dir, &to);
    to
}

#[test]
fn verify_accuses_nobody_while_persons_are_erased() {
    let mut world = guarded(&[("ANNALS_PURGE_AFTER_S", "0")]);
    let lines: String = (0..400).map(event).collect();
    world.load(lines.lines());
    let key = fs::read_to_string(world.dir().join("public.key")).expect("the public key");
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..400 {
                if is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                erase(&world, &[format!("c_{n}")]);
                world.post_ndjson(&event(1_000 + n)).expect_status(201);
            }
        });
        for _ in 0..12 {
            let (code, said) = verify(world.dir(), &["--key", key.trim()]);
            assert_eq!(code, 0, "{said}");
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    world.terminate();
}
