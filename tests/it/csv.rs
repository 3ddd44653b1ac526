//! The CSV export, read back by a reader that is not ours (Python's `csv`) and compared field by field with the JSON of
//! the same rows. `tests/interop/csv_check.py` holds the comparison.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::data::{demo_events, real_or_demo_events, skipped};
use crate::world::World;

/// Compares the CSV and the NDJSON export of a query, if there is a Python to do it.
fn compare(world: &World, params: &[(&str, &str)]) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (csv, ndjson) = (dir.path().join("export.csv"), dir.path().join("export.ndjson"));
    std::fs::write(&csv, world.export("csv", params)).expect("write");
    std::fs::write(&ndjson, world.export("ndjson", params)).expect("write");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/csv_check.py");
    let zone = params.iter().find(|(name, _)| *name == "tz").map_or("UTC", |(_, zone)| zone);
    match Command::new("python3").arg(script).args([&csv, &ndjson]).arg(zone).output() {
        Err(error) => skipped(&format!("CSV against Python's csv module: python3 does not start ({error})")),
        Ok(output) => {
            let said =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{params:?}: {said}");
        }
    }
}

#[test]
fn python_reads_the_real_events_from_csv_as_they_are_in_json() {
    let events = real_or_demo_events();
    let world = World::start();
    world.load(events.lines());
    compare(&world, &[]);
    compare(&world, &[("q", "has:changes"), ("tz", "Asia/Kolkata")]);
}

#[test]
fn python_reads_the_demo_from_csv_in_a_local_time_zone() {
    let world = World::start();
    world.load(demo_events(3_000).lines());
    compare(&world, &[("tz", "Europe/Berlin")]);
    compare(&world, &[("order", "time"), ("q", "action:contacts")]);
}

/// Values that spreadsheets execute, that break readers, or that hide.
fn hostile_values() -> Vec<String> {
    let mut values: Vec<String> = [
        "=cmd|'/c calc'!A0",
        "=1+1",
        "+41 22",
        "-1",
        "@SUM(A1)",
        "\tstarts with a tab",
        "\rstarts with CR",
        "'quoted",
        "'=already defused",
        "a \"quoted\" word",
        "\"",
        "\"\"",
        ",",
        ";",
        "a,b;c",
        "line\nbreak",
        "line\r\nbreak",
        "line\rbreak",
        " = space first",
        "",
        "\u{202e}right to left override\u{202c}",
        "\u{2066}isolate\u{2069}",
        "\u{feff}bom first",
        "\u{200b}zero width",
        "\u{2028}line separator\u{2029}",
        "नमस्ते",
        "مرحبا",
        "日本語",
        "Привет",
        "emoji 👩‍👩‍👧",
        "＝fullwidth",
        "<script>alert(1)</script>",
        "\\backslash\\",
        "\u{7f}delete",
    ]
    .map(str::to_owned)
    .to_vec();
    // Every control character except NUL, which no event may hold: first, last and in the middle.
    for code in 1..=0x1fu8 {
        let sign = code as char;
        values.push(format!("{sign}first"));
        values.push(format!("mid{sign}dle"));
        values.push(format!("last{sign}"));
    }
    values
}

#[test]
fn hostile_cells_survive_and_are_defused() {
    let world = World::start();
    let events: Vec<Value> = hostile_values()
        .iter()
        .enumerate()
        .map(|(n, value)| {
            json!({
                "id": format!("h{n}"),
                "actor": {"type": "user", "id": format!("u{value}"), "name": value, "email": value},
                "source": "test", "action": "contact.updated", "reason": value,
                "target": {"type": "contact", "id": "c_1", "name": value},
                "related": [{"type": "x", "id": "1", "name": value}],
                "changes": [{"field": "note", "before": value, "after": {"nested": [value, 1.50]}}, {"field": "=field", "after": null}],
                "context": {"user_agent": value},
                "detail": {"text": value, "list": [value, null, true, 12345678901234567890u64]},
            })
        })
        .collect();
    let answer = world.post(&Value::Array(events)).ok();
    assert_eq!(answer.status, 201);
    world.settle();
    compare(&world, &[]);

    let csv = String::from_utf8(world.export("csv", &[])).expect("UTF-8");
    assert!(csv.contains("'=1+1"), "a formula is not defused");
    assert!(csv.contains("'@SUM(A1)"));
    assert!(!csv.contains(",=cmd") && !csv.contains(",\"=cmd"));
}

#[test]
fn a_byte_order_mark_comes_only_when_asked_for() {
    let world = World::start();
    world.load(demo_events(3).lines());
    let plain = world.export("csv", &[]);
    let marked = world.export("csv", &[("bom", "1")]);
    assert_eq!(marked[..3], [0xef, 0xbb, 0xbf]);
    assert_eq!(marked[3..], plain);
    assert!(plain.starts_with(b"seq,id,time_utc,time_local,time_zone,received_utc,tenant,source,"));
}
