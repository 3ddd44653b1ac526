//! Exported bundles: whole ones are verified offline by `annals verify` and by a Python program that knows only the documents,
//! and both refuse every alteration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::data::{demo_events, real_or_demo_events, skipped};
use crate::forge;
use crate::world::{World, wait_for};

/// Exit code and words of both verifiers; Python's are none where there is no Python.
pub struct Verdicts {
    ours: (i32, String),
    python: Option<(i32, String)>,
}

pub fn judge(bundle: &Path, key: Option<&str>) -> Verdicts {
    let path = bundle.to_str().expect("UTF-8");
    let mut args = vec!["verify", path];
    args.extend(key.into_iter().flat_map(|key| ["--key", key]));
    let output = World::annals(&args, b"");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), output.stderr);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/check_bundle.py");
    let python = match Command::new("python3").arg("-B").arg(script).arg(path).args(key).output() {
        Ok(output) => {
            let said =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            Some((output.status.code().expect("an exit code"), said))
        }
        Err(error) => {
            skipped(&format!("bundles against Python: python3 does not start ({error})"));
            None
        }
    };
    Verdicts { ours: (output.status.code().expect("an exit code"), said), python }
}

impl Verdicts {
    pub fn are(&self, what: &str, ours: i32, python: i32) {
        assert_eq!(self.ours.0, ours, "{what}: {}", self.ours.1);
        if let Some((code, said)) = &self.python {
            assert_eq!(*code, python, "{what}, Python: {said}");
            assert!(!said.contains("Traceback"), "{what}: {said}");
        }
    }
}

/// Waits until everything is signed; answers the log's key.
pub fn signed(world: &World) -> String {
    let log = wait_for("the last event to be signed", || {
        let log = world.get("/v1/log");
        (log.status == 200 && log.json()["watermarks"]["signed"] == log.json()["watermarks"]["durable"]).then_some(log)
    });
    log.json()["public_key"].as_str().expect("a key").to_owned()
}

pub fn export(world: &World, to: &Path, more: &[&str]) {
    let path = to.to_str().expect("UTF-8");
    let mut args = vec!["export", "--url", world.url(), "--bundle", path];
    args.extend_from_slice(more);
    World::annals(&args, b"").ok();
}

#[test]
fn bundles_of_real_and_demo_events_are_verified_offline_by_two_programs() {
    let room = tempfile::tempdir().expect("a temporary directory");
    for (name, events, query) in
        [("demo", demo_events(1_500), "action:contacts"), ("real", real_or_demo_events(), "outcome:failure")]
    {
        let world = World::start();
        world.load(events.lines());
        let key = signed(&world);
        for order in ["-time", "time", "-seq", "seq"] {
            let bundle = room.path().join(format!("{name}{order}"));
            export(&world, &bundle, &["--query", query, "--order", order]);
            let text = fs::read_to_string(&bundle).expect("a bundle");
            let rows = text.lines().count() - 2;
            assert_eq!(rows as u64, world.count(query), "{name}: not the rows of the search");
            judge(&bundle, Some(&key)).are(name, 0, 0);
            // Believing the key in the file proves less, and ours says so by its exit code.
            judge(&bundle, None).are(name, 3, 0);
        }
        let all = room.path().join("all");
        export(&world, &all, &["--query", "id:nobody"]);
        judge(&all, Some(&key)).are("a bundle without rows", 0, 0);
    }
}

#[test]
fn a_bundle_has_the_exact_bytes_that_were_hashed() {
    let world = World::start();
    world.load(demo_events(50).lines());
    let _ = signed(&world);
    let bytes = world.export("bundle", &[("order", "seq")]);
    let lines: Vec<Value> =
        String::from_utf8(bytes).expect("text").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&lines[0]["annals_bundle"], &lines[0]["order"]), (&json!(1), &json!("seq")));
    assert_eq!(lines[51], json!({"rows": 50, "last_seq": 49}));
    for (seq, row) in lines[1..51].iter().enumerate() {
        let body = STANDARD.decode(row["body"].as_str().expect("a body")).expect("base64");
        let shown = world.get(&format!("/v1/events/@{seq}")).ok();
        let body = String::from_utf8(body).expect("UTF-8");
        // What is sealed is shown, and not in the bytes.
        let is_sealed = !shown.json()["sealed"].is_null();
        assert!(shown.text().ends_with(&body[1..]) != is_sealed, "{}\n{body}", shown.text());
    }
}

/// A bundle as its lines; what a case does to it.
type Alteration = fn(&mut Vec<Value>);

#[test]
fn every_alteration_of_a_bundle_is_refused_by_both_programs() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let world = World::start();
    world.load(demo_events(300).lines());
    let key = signed(&world);
    let bundle = room.path().join("bundle");
    export(&world, &bundle, &["--query", "action:contacts", "--order", "seq"]);
    let good = fs::read_to_string(&bundle).expect("a bundle");
    let lines: Vec<Value> = good.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.len() > 10, "{} lines", lines.len());
    judge(&bundle, Some(&key)).are("untouched", 0, 0);

    let cases: &[(&str, Alteration)] = &[
        ("a flipped byte of a body", |lines| flip(&mut lines[3]["body"], 40)),
        ("a flipped bit of a leaf's time", |lines| flip(&mut lines[3]["leaf"], 9)),
        ("a flipped bit of a leaf's commitment", |lines| flip(&mut lines[3]["leaf"], 65)),
        ("another salt", |lines| flip(&mut lines[3]["salt"], 0)),
        ("a salt that is too short", |lines| lines[3]["salt"] = json!("AAAA")),
        ("two proofs swapped", |lines| {
            let other = lines[4]["proof"].take();
            lines[4]["proof"] = std::mem::replace(&mut lines[3]["proof"], other);
        }),
        ("a flipped bit of a proof", |lines| flip(&mut lines[3]["proof"][2], 5)),
        ("a shorter proof", |lines| drop(lines[3]["proof"].as_array_mut().expect("hashes").pop())),
        ("a longer proof", |lines| {
            let again = lines[3]["proof"][0].clone();
            lines[3]["proof"].as_array_mut().expect("hashes").push(again);
        }),
        ("another seq", |lines| lines[3]["seq"] = json!(lines[3]["seq"].as_u64().expect("a seq") + 1)),
        ("a seq behind the checkpoint", |lines| lines[3]["seq"] = json!(300)),
        ("another body with its own salt", |lines| {
            lines[3]["body"] = lines[4]["body"].clone();
            lines[3]["salt"] = lines[4]["salt"].clone();
        }),
        ("a leaf and a body of another place", |lines| {
            for member in ["leaf", "salt", "body"] {
                lines[3][member] = lines[4][member].clone();
            }
        }),
        ("a row dropped", |lines| drop(lines.remove(3))),
        ("a row twice", |lines| {
            let again = lines[3].clone();
            lines.insert(3, again);
        }),
        ("a row twice, counted", |lines| {
            let again = lines[3].clone();
            lines.insert(3, again);
            let last = lines.len() - 1;
            lines[last]["rows"] = json!(last - 1);
        }),
        ("two rows swapped", |lines| lines.swap(3, 4)),
        ("another order said", |lines| lines[0]["order"] = json!("-seq")),
        ("an unknown order", |lines| lines[0]["order"] = json!("best")),
        ("another count", |lines| lines.last_mut().expect("a last line")["rows"] = json!(1)),
        ("a last_seq below the rows", |lines| lines.last_mut().expect("a last line")["last_seq"] = json!(0)),
        ("a last_seq behind the checkpoint", |lines| lines.last_mut().expect("a last line")["last_seq"] = json!(300)),
        ("no last line", |lines| drop(lines.pop())),
        ("two last lines", |lines| lines.push(lines[lines.len() - 1].clone())),
        ("no first line", |lines| drop(lines.remove(0))),
        ("another version", |lines| lines[0]["annals_bundle"] = json!(2)),
        ("another origin", |lines| lines[0]["origin"] = json!("annals/another")),
        ("a member too many", |lines| lines[3]["note"] = json!("trust me")),
        ("another size in the checkpoint", |lines| replace(&mut lines[0]["checkpoint"], "\n300\n", "\n299\n")),
        ("another root in the checkpoint", |lines| {
            let note = lines[0]["checkpoint"].as_str().expect("a note").to_owned();
            let root = note.lines().nth(2).expect("a root");
            replace(&mut lines[0]["checkpoint"], root, &format!("{}=", "A".repeat(43)));
        }),
        ("another origin in the checkpoint", |lines| replace(&mut lines[0]["checkpoint"], "annals/", "annuls/")),
        ("a flipped signature", |lines| {
            let note = lines[0]["checkpoint"].as_str().expect("a note").trim_end().to_owned();
            let (front, signature) = note.rsplit_once(' ').expect("a signature");
            let mut signature = json!(signature);
            flip(&mut signature, 30);
            lines[0]["checkpoint"] = json!(format!("{front} {}\n", signature.as_str().expect("text")));
        }),
        ("no signature", |lines| {
            let note = lines[0]["checkpoint"].as_str().expect("a note");
            lines[0]["checkpoint"] = json!(note.split("\n\n").next().expect("a text").to_owned() + "\n");
        }),
        ("another key that signed the same", |lines| {
            let note = lines[0]["checkpoint"].as_str().expect("a note");
            let text = note.split("\n\n").next().expect("a text").to_owned() + "\n";
            let name = text.lines().next().expect("an origin");
            let key = annals::tree::SignerKey::new(name, annals::tree::KeyKind::Log, &[9; 32]).expect("a key");
            lines[0]["public_key"] = json!(key.public().to_string());
            lines[0]["checkpoint"] = json!(format!("{text}\n{}", key.sign(&text, 0)));
        }),
    ];
    for (name, alter) in cases {
        let mut altered = lines.clone();
        alter(&mut altered);
        let text: String = altered.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&bundle, text).expect("write");
        judge(&bundle, Some(&key)).are(name, 1, 1);
    }
    for (name, text) in [
        ("cut in the last line", good[..good.len() - 3].to_owned()),
        ("cut before the last line end", good.trim_end().to_owned()),
        ("cut in a row", good[..good.len() / 2].to_owned()),
        ("empty", String::new()),
        ("an empty line", good.replacen('\n', "\n\n", 1)),
        ("a member twice", good.replacen("{\"seq\":", "{\"seq\":0,\"seq\":", 1)),
        ("bytes behind the end", good.clone() + "x"),
    ] {
        fs::write(&bundle, text).expect("write");
        judge(&bundle, Some(&key)).are(name, 1, 1);
    }
    fs::write(&bundle, &good).expect("write");
    judge(&bundle, Some(&forge::key(9).public().to_string())).are("another key given", 1, 1);
    notes(&bundle, &key, &world, room.path());
}

/// A note of the same size is something from outside; one of another size cannot be compared without the log.
fn notes(bundle: &Path, key: &str, world: &World, room: &Path) {
    let since = |note: &str| -> (i32, String) {
        let path: PathBuf = room.join("note");
        fs::write(&path, note).expect("write");
        let args = ["verify", bundle.to_str().expect("UTF-8"), "--since", path.to_str().expect("UTF-8")];
        let output = World::annals(&args, b"");
        (output.status.code().expect("an exit code"), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let checkpoint = world.get("/checkpoint").ok().text();
    assert_eq!(since(&checkpoint).0, 0, "of the same size");
    assert_eq!(since(&forge::note(&forge::key(9), 300, [7; 32])).0, 1, "of another log");
    world.load(demo_events(310).lines().skip(300));
    assert_eq!(signed(world), key);
    let (code, said) = since(&world.get("/checkpoint").ok().text());
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("cannot be compared"), "{said}");
}

fn flip(base64: &mut Value, at: usize) {
    let mut bytes = STANDARD.decode(base64.as_str().expect("base64")).expect("base64");
    bytes[at] ^= 1;
    *base64 = json!(STANDARD.encode(bytes));
}

fn replace(text: &mut Value, from: &str, to: &str) {
    let replaced = text.as_str().expect("text").replacen(from, to, 1);
    *text = json!(replaced);
}
