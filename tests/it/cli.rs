//! The commands, as a person at a terminal uses them: stdout is data, stderr is talk.

use serde_json::Value;

use crate::data::demo_events;
use crate::world::World;

#[test]
fn append_search_and_export_do_what_the_api_does() {
    let world = World::start();
    let lines = demo_events(2_500);
    let summary = World::annals(&["append", "--url", world.url(), "--batch", "400", "-"], lines.as_bytes());
    assert!(summary.stderr.lines().count() > 0, "no progress on stderr");
    let summary = summary.ok();
    assert!(summary.contains("2500") || summary.contains("2,500"), "{summary}");
    world.settle();
    assert_eq!(world.count(""), 2_500);

    let again = World::annals(&["append", "--url", world.url(), "-"], lines.as_bytes()).ok();
    assert!(again.contains("duplicate"), "{again}");
    assert_eq!(world.watermarks().durable, 2_500);

    let found = World::annals(&["search", "--url", world.url(), "action:billing outcome:success"], b"").ok();
    let best = world.search("action:billing outcome:success", 1);
    assert!(found.contains(best["events"][0]["action"].as_str().expect("action")), "{found}");

    let dir = tempfile::tempdir().expect("a temporary directory");
    for format in ["csv", "ndjson"] {
        let file = dir.path().join(format);
        let path = file.to_str().expect("UTF-8");
        World::annals(
            &["export", "--url", world.url(), "--format", format, "--query", "action:contacts", "--out", path],
            b"",
        )
        .ok();
        let over_http = world.export(format, &[("q", "action:contacts")]);
        assert!(std::fs::read(&file).expect("the export") == over_http, "{format} differs");
        let to_stdout =
            World::annals(&["export", "--url", world.url(), "--format", format, "--query", "action:contacts"], b"");
        assert!(to_stdout.stdout == over_http, "{format} on stdout differs");
    }
}

#[test]
fn append_takes_a_file_and_names_the_line_that_is_wrong() {
    let world = World::start();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("events.ndjson");
    let path = file.to_str().expect("UTF-8");
    std::fs::write(&file, demo_events(50)).expect("write");
    World::annals(&["append", "--url", world.url(), path], b"").ok();
    std::fs::write(&file, demo_events(50) + "{\"actor\":\"system\"}\n").expect("write");
    let output = World::annals(&["append", "--url", world.url(), path], b"");
    assert!(!output.status.success());
    assert!(output.stderr.contains("51"), "the line's number is missing: {}", output.stderr);
}

#[test]
fn a_server_that_is_not_there_is_an_error_with_its_address() {
    for args in [&["search", "--url", "http://127.0.0.1:9", "x"][..], &["append", "--url", "http://127.0.0.1:9", "-"]] {
        let output = World::annals(args, b"{\"actor\":\"system\",\"action\":\"a.b\"}\n");
        assert!(!output.status.success());
        assert!(output.stderr.contains("127.0.0.1:9"), "{}", output.stderr);
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn demo_prints_events_that_a_server_takes() {
    let first = World::annals(&["demo", "--events", "1500", "--seed", "3"], b"").ok();
    assert_eq!(first.lines().count(), 1_500);
    assert!(first.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    let world = World::start();
    world.load(first.lines());
    assert_eq!(world.count(""), 1_500);
}

#[test]
fn config_tells_every_setting_with_meaning_default_and_minimum() {
    let text = World::annals(&["config"], b"").ok();
    for word in ["ANNALS_", "free_bytes_min", "listen", "data"] {
        assert!(text.to_lowercase().contains(&word.to_lowercase()), "no {word} in:\n{text}");
    }
}

#[test]
fn help_and_wrong_arguments_say_what_to_do() {
    let help = World::annals(&["--help"], b"").ok();
    for verb in ["serve", "append", "search", "export", "verify", "reindex", "demo", "config"] {
        assert!(help.contains(verb), "{verb}");
    }
    let wrong = World::annals(&["sreve"], b"");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(wrong.stdout.is_empty());
}
