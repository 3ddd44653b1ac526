//! Bad input is refused with a 4xx, a stable code and the place, and nothing of it is stored. One table; the rows are the
//! ways that senders and attackers get it wrong.

use std::io::Write;

use serde_json::{Value, json};

use crate::answer::Problem;
use crate::world::{Params, World};

const JSON: (&str, &str) = ("content-type", "application/json");
const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

/// One request that must be refused.
struct Bad {
    name: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
    /// JSON pointer of the fault; none where there is none to point at.
    pointer: Option<&'static str>,
    /// Line (NDJSON) or element (array) of the fault, from 1.
    line: Option<u64>,
}

fn json_case(
    name: &'static str,
    body: impl Into<Vec<u8>>,
    status: u16,
    code: &'static str,
    pointer: &'static str,
) -> Bad {
    Bad { name, headers: vec![JSON], body: body.into(), status, code, pointer: Some(pointer), line: None }
}

fn with(member: &str, value: Value) -> String {
    let mut event = json!({"actor": "system", "action": "contact.viewed"});
    event[member] = value;
    event.to_string()
}

fn nested(depth: usize) -> String {
    let open = "[".repeat(depth - 2);
    let close = "]".repeat(depth - 2);
    // The event and `detail` are two levels themselves.
    format!(r#"{{"actor":"system","action":"a.b","detail":{{"x":{open}{close}}}}}"#)
}

fn table() -> Vec<Bad> {
    let good = r#"{"actor":"system","action":"a.b"}"#;
    let mut table = vec![
        Bad {
            name: "truncated JSON",
            headers: vec![JSON],
            body: br#"{"actor":"system","acti"#.to_vec(),
            status: 400,
            code: "invalid_json",
            pointer: None,
            line: None,
        },
        Bad {
            name: "empty body",
            headers: vec![JSON],
            body: vec![],
            status: 400,
            code: "invalid_json",
            pointer: None,
            line: None,
        },
        Bad {
            name: "text after the event",
            headers: vec![JSON],
            body: format!("{good} {good}").into_bytes(),
            status: 400,
            code: "invalid_json",
            pointer: None,
            line: None,
        },
        Bad {
            name: "truncated third line",
            headers: vec![NDJSON],
            body: format!("{good}\n{good}\n{{\"actor\":\n").into_bytes(),
            status: 400,
            code: "invalid_json",
            pointer: None,
            line: Some(3),
        },
        Bad {
            name: "invalid UTF-8 in the second line",
            headers: vec![NDJSON],
            body: [good.as_bytes(), b"\n{\"actor\":\"system\",\"action\":\"\xff\xfe\"}\n"].concat(),
            status: 400,
            code: "invalid_utf8",
            pointer: None,
            line: Some(2),
        },
        json_case(
            "duplicate key",
            r#"{"actor":"system","action":"a.b","action":"a.c"}"#,
            400,
            "duplicate_key",
            "/action",
        ),
        json_case(
            "duplicate key inside detail",
            r#"{"actor":"system","action":"a.b","detail":{"x":{"k":1,"k":1}}}"#,
            400,
            "duplicate_key",
            "/detail/x/k",
        ),
        json_case("depth 33", nested(33), 422, "depth", "/detail/x"),
        json_case("unknown key", with("colour", json!("blue")), 422, "unknown_key", "/colour"),
        json_case(
            "unknown key of an actor",
            r#"{"actor":{"id":"u","colour":1},"action":"a.b"}"#,
            422,
            "unknown_key",
            "/actor/colour",
        ),
        json_case(
            "message body",
            with("detail", json!({"x": {"Message-Body": "hello"}})),
            422,
            "forbidden_content",
            "/detail/x/Message-Body",
        ),
        json_case(
            "transcript as a changed field",
            with("changes", json!([{"field": "transcript", "after": "hello"}])),
            422,
            "forbidden_content",
            "/changes/0/field",
        ),
        json_case("reserved noun audit", r#"{"actor":"system","action":"audit.searched"}"#, 422, "reserved", "/action"),
        json_case("reserved noun erasure", r#"{"actor":"system","action":"erasure.done"}"#, 422, "reserved", "/action"),
        json_case("reserved noun log", r#"{"actor":"system","action":"log:recovered"}"#, 422, "reserved", "/action"),
        json_case("reserved source", with("source", json!("annals")), 422, "reserved", "/source"),
        json_case("NUL, escaped", r#"{"actor":"system","action":"a.b","reason":"a\u0000b"}"#, 400, "nul", "/reason"),
        json_case("no action", r#"{"actor":"system"}"#, 422, "required", "/action"),
        json_case("no actor", r#"{"action":"a.b"}"#, 422, "required", "/actor"),
        json_case("actor without id", r#"{"actor":{"name":"x"},"action":"a.b"}"#, 422, "required", "/actor/id"),
        json_case("a number as action", r#"{"actor":"system","action":7}"#, 422, "wrong_type", "/action"),
        json_case("a list as target", with("target", json!([1])), 422, "wrong_type", "/target"),
        json_case("a string as detail", with("detail", json!("x")), 422, "wrong_type", "/detail"),
        json_case("a number as ip", with("context", json!({"ip": 7})), 422, "wrong_type", "/context/ip"),
        json_case(
            "1e400",
            r#"{"actor":"system","action":"a.b","detail":{"x":[1,1e400]}}"#,
            422,
            "bad_number",
            "/detail/x/1",
        ),
        json_case("a time in the far future", with("time", json!("2999-01-01T00:00:00Z")), 422, "time_range", "/time"),
        json_case("a time before 1970", with("time", json!("1969-12-31T23:59:59.999Z")), 422, "time_range", "/time"),
        json_case("action of 257 bytes", with("action", json!("a".repeat(257))), 422, "limit", "/action"),
        json_case("control character in action", with("action", json!("a.\u{1}b")), 422, "limit", "/action"),
        json_case("id of 1,025 bytes", with("id", json!("i".repeat(1_025))), 422, "limit", "/id"),
        json_case(
            "65 changes",
            with("changes", Value::Array(vec![json!({"field": "x"}); 65])),
            422,
            "limit",
            "/changes",
        ),
        json_case("17 related", with("related", Value::Array(vec![json!({"id": "x"}); 17])), 422, "limit", "/related"),
        Bad {
            name: "an event of 300 KiB",
            headers: vec![JSON],
            body: with("reason", json!("x".repeat(300 << 10))).into_bytes(),
            status: 413,
            code: "too_large",
            pointer: None,
            line: None,
        },
        Bad {
            name: "10,001 lines",
            headers: vec![NDJSON],
            body: format!("{good}\n").repeat(10_001).into_bytes(),
            status: 413,
            code: "too_large",
            pointer: None,
            line: None,
        },
        Bad {
            name: "17 MiB",
            headers: vec![NDJSON],
            body: vec![b' '; 17 << 20],
            status: 413,
            code: "too_large",
            pointer: None,
            line: None,
        },
        Bad {
            name: "a gzip bomb",
            headers: vec![NDJSON, ("content-encoding", "gzip")],
            body: gzip(&vec![b'\n'; 64 << 20]),
            status: 413,
            code: "too_large",
            pointer: None,
            line: None,
        },
        Bad {
            name: "a zstd bomb",
            headers: vec![NDJSON, ("content-encoding", "zstd")],
            body: zstd::encode_all(&vec![b'\n'; 64 << 20][..], 3).expect("zstd"),
            status: 413,
            code: "too_large",
            pointer: None,
            line: None,
        },
        Bad {
            name: "not gzip at all",
            headers: vec![NDJSON, ("content-encoding", "gzip")],
            body: good.into(),
            status: 400,
            code: "bad_encoding",
            pointer: None,
            line: None,
        },
        Bad {
            name: "half a gzip",
            headers: vec![NDJSON, ("content-encoding", "gzip")],
            body: {
                let all = gzip(good.repeat(50).as_bytes());
                all[..all.len() / 2].to_vec()
            },
            status: 400,
            code: "bad_encoding",
            pointer: None,
            line: None,
        },
        Bad {
            name: "an encoding we do not know",
            headers: vec![NDJSON, ("content-encoding", "br")],
            body: good.into(),
            status: 415,
            code: "unsupported_encoding",
            pointer: None,
            line: None,
        },
        Bad {
            name: "a type we do not know",
            headers: vec![("content-type", "application/xml")],
            body: good.into(),
            status: 415,
            code: "unsupported_media_type",
            pointer: None,
            line: None,
        },
    ];
    // A raw NUL byte is not JSON either way; which of the two codes it gets does not matter to a sender, so it has no row.
    table.push(Bad {
        name: "bad fifth element of an array",
        headers: vec![JSON],
        body: format!("[{good},{good},{good},{good},{{\"actor\":\"system\"}}]").into_bytes(),
        status: 422,
        code: "required",
        pointer: Some("/action"),
        line: Some(5),
    });
    table
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("gzip");
    encoder.finish().expect("gzip")
}

#[test]
fn every_bad_request_is_refused_with_code_and_place_and_stores_nothing() {
    let world = World::start();
    let first = json!({"id": "taken", "actor": "system", "action": "a.b", "detail": {"n": 1}});
    world.post(&first).expect_status(201);
    world.settle();
    let before = world.watermarks();
    let mut wrong = Vec::new();
    for bad in table() {
        let answer = world.send("", &bad.headers, &bad.body);
        let verdict = std::panic::catch_unwind(|| judge(&bad, answer.status, &answer.problem()));
        if let Err(panic) = verdict {
            let why = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            wrong.push(format!("{}: {why}\n    answer: {} {:.300}", bad.name, answer.status, answer.text()));
        }
    }
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));

    // The same id with other content.
    let mut other = first.clone();
    other["detail"]["n"] = json!(2);
    let conflict = world.post(&other).expect_status(409);
    assert!(conflict.problem().codes().contains(&"conflict"), "{}", conflict.text());

    world.settle();
    assert_eq!(world.watermarks(), before, "something was stored");
    assert_eq!(world.count(""), before.durable);
}

fn judge(bad: &Bad, status: u16, problem: &Problem) {
    assert_eq!(status, bad.status, "status");
    assert!(problem.codes().contains(&bad.code), "no code {}", bad.code);
    let fault = problem.fault(bad.code);
    let place =
        problem.0["errors"].as_array().into_iter().flatten().find(|error| error["code"] == bad.code).unwrap_or(fault);
    if let Some(pointer) = bad.pointer {
        let found = place["pointer"].as_str().unwrap_or_default();
        assert!(found.starts_with(pointer), "pointer {found:?} instead of {pointer:?}");
    }
    if let Some(line) = bad.line {
        assert_eq!(place["line"], line, "line");
    }
}

#[test]
fn one_bad_event_refuses_the_batch_and_all_faults_are_told_at_once() {
    let world = World::start();
    let lines = concat!(
        r#"{"id":"one","actor":"system","action":"a.b"}"#,
        "\n\n",
        r#"{"id":"three","actor":"system","action":"log.x","colour":1}"#,
        "\n",
        r#"{"id":"four","actor":"system","action":"a.b"}"#,
        "\n",
        r#"{"id":"five","actor":7}"#,
        "\n",
    );
    let answer = world.post_ndjson(lines);
    assert!((400..500).contains(&answer.status));
    let problem = answer.problem();
    let mut faults: Vec<(u64, &str)> = problem.0["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| (error["line"].as_u64().expect("line"), error["code"].as_str().expect("code")))
        .collect();
    faults.sort_unstable();
    // Blank lines are skipped but counted.
    assert_eq!(faults, [(3, "reserved"), (3, "unknown_key"), (5, "required"), (5, "wrong_type")]);
    assert_eq!(world.watermarks().durable, 0);
}

#[test]
fn on_error_skip_stores_the_good_lines_and_says_which_were_bad() {
    let world = World::start();
    let lines = "{\"id\":\"one\",\"actor\":\"system\",\"action\":\"a.b\"}\n{\"actor\":7}\n{\"id\":\"three\",\"actor\":\"system\",\"action\":\"a.b\"}\n";
    let answer = world.send("?on_error=skip", &[NDJSON], lines.as_bytes()).ok();
    world.settle();
    let ids: Vec<Value> = world.feed(&[], 10).into_iter().map(|event| event["id"].clone()).collect();
    assert_eq!(ids, ["one", "three"]);
    assert!(answer.text().contains("wrong_type") || answer.text().contains("required"), "{}", answer.text());
}

#[test]
fn dry_run_judges_and_stores_nothing() {
    let world = World::start();
    world.send("?dry_run=1", &[JSON], br#"{"actor":"system","action":"a.b"}"#).ok();
    world.send("?dry_run=1", &[JSON], br#"{"actor":"system"}"#).expect_status(422);
    assert_eq!(world.watermarks().durable, 0);
}

#[test]
fn bad_questions_are_refused_with_a_place() {
    let world = World::start();
    world.load(crate::data::demo_events(5).lines());
    // Path, parameters, the status they get.
    let table: [(&str, Params, u16); 19] = [
        ("/v1/events", &[("q", "actr:u_1")], 400),
        ("/v1/events", &[("q", "(maya")], 400),
        ("/v1/events", &[("q", "\"open")], 400),
        ("/v1/events", &[("q", "/a+?/")], 400),
        ("/v1/events", &[("q", "/^a$/")], 400),
        ("/v1/events", &[("q", "seq:99999999999999999999")], 400),
        ("/v1/events", &[("q", "time:yesterday")], 400),
        ("/v1/events", &[("q", "ip:203.0.113.0/99")], 400),
        ("/v1/events", &[("from", "nonsense")], 400),
        ("/v1/events", &[("limit", "1001")], 400),
        ("/v1/events", &[("limit", "-1")], 400),
        ("/v1/events", &[("order", "sideways")], 400),
        ("/v1/events", &[("cursor", "AAAA")], 400),
        ("/v1/events", &[("cursor", "99999999999999999999999999")], 400),
        ("/v1/facets", &[("fields", "actor,colour")], 400),
        ("/v1/export", &[("format", "xls")], 400),
        ("/v1/export", &[("format", "csv"), ("tz", "Mars/Olympus")], 400),
        ("/v1/events/@18446744073709551616", &[], 400),
        ("/v1/events/no-such-event", &[], 404),
    ];
    for (path, params, status) in table {
        let answer = world.ask(path, params);
        assert_eq!(answer.status, status, "{path} {params:?}: {}", answer.text());
        answer.problem();
    }
    let unknown = world.ask("/v1/events", &[("q", "maya actr:u_1")]).problem();
    assert_eq!(unknown.0["at"], 5, "{unknown:?}");
    assert!(unknown.0["detail"].as_str().expect("detail").contains("did you mean actor?"), "{unknown:?}");
    world.ask("/v1/events/@5", &[]).expect_status(404);
    let long = "x".repeat(8_200);
    assert!((400..500).contains(&world.ask("/v1/events", &[("q", &long)]).status));
}

#[test]
fn a_cursor_that_was_tampered_with_is_refused() {
    let world = World::start();
    world.load(crate::data::demo_events(20).lines());
    let page = world.get_json("/v1/events", &[("limit", "5")]);
    let cursor = page["next_cursor"].as_str().expect("a cursor").to_owned();
    for at in [0, cursor.len() / 2, cursor.len() - 2] {
        let mut bytes = cursor.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(bytes).expect("ASCII");
        let answer = world.ask("/v1/events", &[("cursor", &forged)]).expect_status(400);
        answer.problem();
    }
}
