//! Starting and ending: what the server refuses to start with, what it says while it runs, and that ending it politely
//! loses nothing.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::json;

use crate::data;
use crate::world::{self, ANNALS, World};

/// Runs `annals serve` with these arguments to its end; it must refuse. Gives its stderr.
fn refused(args: &[&str]) -> String {
    let mut child = Command::new(ANNALS)
        .arg("serve")
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("annals starts");
    let status = world::wait_for("the refusal", || child.try_wait().expect("wait"));
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("stderr");
    assert!(!status.success(), "{args:?} was not refused: {said}");
    said
}

#[test]
fn sigterm_ends_it_with_0_and_every_ack_is_kept() {
    let mut world = World::start();
    let url = world.url().to_owned();
    let writer = thread::spawn(move || {
        let agent = world::new_agent();
        let mut acked = 0u64;
        loop {
            let event = json!({"id": format!("t{acked}"), "actor": "system", "action": "a.b"});
            let headers = [("content-type", "application/json")];
            match world::try_send(&agent, &url, "", &headers, event.to_string().as_bytes()) {
                Ok(answer) if answer.status == 201 => acked += 1,
                Ok(answer) => {
                    // While it ends, it may say so.
                    assert_eq!(answer.status, 503, "{}", answer.text());
                    return acked;
                }
                Err(_) => return acked,
            }
        }
    });
    world::wait_for("some events", || (world.watermarks().durable > 20).then_some(()));
    let status = world.terminate();
    assert_eq!(status.code(), Some(0), "{status}");
    let acked = writer.join().expect("writer");
    world.restart();
    world.settle();
    let events = world.feed(&[], 1_000);
    // The last one may have been stored without its answer reaching the client.
    assert!((acked..=acked + 1).contains(&(events.len() as u64)), "{} events, {acked} acks", events.len());
    assert!(events.iter().all(|event| event["source"] != "annals"), "a polite end needs no recovery");
}

#[test]
fn a_server_that_is_rebuilding_its_index_ends_when_asked() {
    let mut world = World::start();
    world.load(data::demo_events(40_000).lines());
    assert!(world.terminate().success());
    std::fs::remove_dir_all(world.dir().join("index")).expect("delete the index");
    world.restart_without_waiting();
    assert!(world.terminate().success());
    // What was not built then is built now, and answered meanwhile.
    world.restart();
    world.settle();
    assert_eq!(world.count(""), 40_000);
}

#[test]
fn a_corrupt_log_is_refused_with_its_place_and_left_as_it_is() {
    let mut world = World::start();
    for n in 0..50 {
        world.post(&json!({"id": format!("c{n}"), "actor": "system", "action": "a.b"})).expect_status(201);
    }
    assert!(world.terminate().success());
    let log = world.dir().join("log/00000000000000000000.log");
    let tree = world.dir().join("tree/L0");
    let mut bytes = std::fs::read(&log).expect("the log");
    bytes[6_000] ^= 1;
    std::fs::write(&log, &bytes).expect("write");
    let leaves = std::fs::read(&tree).expect("the tree");

    let dir = world.dir().to_str().expect("UTF-8").to_owned();
    let args = ["serve", "--data", &dir, "--listen", "127.0.0.1:0", "--no-auth"];
    let output = World::annals(&args, b"");
    assert_eq!(output.status.code(), Some(4), "{}", output.stderr);
    assert!(output.stderr.contains("segment 0") && output.stderr.contains("byte"), "{}", output.stderr);
    assert_eq!(std::fs::read(&log).expect("the log"), bytes, "the log was touched");
    assert_eq!(std::fs::read(&tree).expect("the tree"), leaves, "the tree was touched");
}

#[test]
fn a_second_server_is_refused_and_told_the_first_ones_pid() {
    let mut world = World::start();
    let dir = world.dir().to_str().expect("UTF-8").to_owned();
    let said = refused(&["--data", &dir, "--listen", "127.0.0.1:0", "--no-auth"]);
    assert!(said.contains(&world.pid().to_string()), "no pid {} in {said:?}", world.pid());
    // The first one is not disturbed, and a killed one leaves no lock behind.
    world.post(&json!({"actor": "system", "action": "a.b"})).expect_status(201);
    world.kill();
    world.restart();
    world.settle();
    assert_eq!(world.count("action:\"a.b\""), 1);
}

#[test]
fn without_keys_it_serves_only_on_loopback() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let data = data.to_str().expect("UTF-8");
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let said = refused(&["--data", data, "--listen", address, "--no-auth"]);
        assert!(said.contains("loopback"), "{address}: {said:?}");
    }
}

#[test]
fn health_readiness_and_metrics_answer() {
    let world = World::start();
    world.load(data::demo_events(100).lines());
    world.count("action:contacts");
    world.get("/healthz").expect_status(200);
    world.get("/readyz").expect_status(200);
    let metrics = world.get("/metrics").expect_status(200);
    assert!(metrics.content_type.starts_with("text/plain"), "{}", metrics.content_type);
    let text = metrics.text();
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#'));
        let line = line.unwrap_or_else(|| panic!("no {name} in:\n{text}"));
        line.rsplit(' ').next().and_then(|number| number.parse::<f64>().ok()).unwrap_or_else(|| panic!("{line}"))
    };
    assert_eq!(value("annals_durable"), 100.0);
    assert_eq!(value("annals_searchable"), 100.0);
    for name in ["annals_queue", "annals_free_bytes", "annals_sync_seconds", "annals_http_requests"] {
        assert!(value(name) >= 0.0);
    }
    // Every line is a comment or `name{labels} number`.
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, number) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(name.starts_with(|sign: char| sign.is_ascii_alphabetic()), "{line}");
        assert!(number.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn an_unknown_address_is_a_problem_not_a_page() {
    let world = World::start();
    world.get("/v1/nothing-here").expect_status(404).problem();
}

#[test]
fn a_data_directory_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::start();
    let mode = std::fs::metadata(world.dir()).expect("metadata").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
