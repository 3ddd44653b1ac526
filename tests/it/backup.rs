//! Copies taken while a server appends, and what comes back from them: each is a whole log that ends at a signed checkpoint.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annals::durable::OsDisk;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::data;
use crate::forge;
use crate::visitor::{PAGE, Visitor, attribute};
use crate::world::{World, refused, wait_for};

/// Small segments, so that several are finished and sealed while the copies are taken.
const SMALL: (&str, &str) = ("ANNALS_SEGMENT_EVENTS", "64");

const ROUNDS: u32 = 6;

/// Tells the writer to end, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn annals(args: &[&str]) -> (i32, String, String) {
    let output = World::annals(args, b"");
    let code = output.status.code().expect("an exit code");
    (code, String::from_utf8_lossy(&output.stdout).into_owned(), output.stderr)
}

fn backup(from: &Path, to: &Path) -> Value {
    let (code, out, err) = annals(&["backup", "--json", "--data", text(from), text(to)]);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).expect("a summary")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn key_of(world: &World) -> String {
    wait_for("the key", || {
        let answer: Answer = world.get("/v1/log");
        (answer.status == 200).then(|| answer.json()["public_key"].as_str().expect("a key").to_owned())
    })
}

fn wait_signed(world: &World, size: u64) {
    wait_for("the checkpoint", || (world.get_json("/v1/log", &[])["watermarks"]["signed"] == size).then_some(()));
}

#[test]
fn every_copy_taken_while_events_come_is_a_whole_log_and_the_next_one_copies_what_is_new() {
    let outside = tempfile::tempdir().expect("a directory");
    let copy = outside.path().join("copy");
    let mut world = World::start_with(&[SMALL]);
    world.load(data::demo_events(300).lines());
    let key = key_of(&world);
    wait_signed(&world, 300);
    let visitor = Visitor::of(&world);
    let html = visitor.page("");
    let token = attribute(&html[html.find("name=\"csrf\"").expect("a form")..], "value");
    let view = [("name", "Kept with the log"), ("query", "action=billing"), ("csrf", &token)];
    visitor.post(&format!("{PAGE}views"), &view).expect_status(303);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let events: Vec<Value> = (0..7)
                    .map(|i| json!({"id": format!("c{n}-{i}"), "actor": "system", "action": "backup.goes_on"}))
                    .collect();
                world.post(&Value::from(events)).expect_status(201);
                // Some thousand events in all, in a hundred segments, are enough.
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let _over = Over(&is_over);
        let mut last = 0;
        for round in 0..ROUNDS {
            // Each time there is more.
            wait_for("more", || {
                (world.get_json("/v1/log", &[])["watermarks"]["signed"].as_u64() > Some(last + 200)).then_some(())
            });
            let summary = backup(world.dir(), &copy);
            let size = summary["size"].as_u64().expect("size");
            assert!(size > last, "{summary}");
            let (copied, all) = (summary["segments_copied"].as_u64(), summary["segments"].as_u64());
            // A segment that was sealed since is copied once more; by now most of them were sealed long ago.
            assert!(round < ROUNDS - 1 || copied < all, "everything was copied again: {summary}");
            let (code, out, err) = annals(&["verify", text(&copy), "--key", &key, "--json"]);
            assert_eq!(code, 0, "{out} {err}");
            let report: Value = serde_json::from_str(&out).expect("a report");
            assert_eq!(report["size"], size, "the copy ends at its checkpoint");
            last = size;
        }
    });
    world.settle();
    for secret in ["signing.key", "LOCK", "index", "tree", "keyring", "kek"] {
        assert!(!copy.join(secret).exists(), "{secret} was copied");
    }

    let back = outside.path().join("back");
    let (code, out, err) = annals(&["restore", "--json", "--data", text(&back), "--key", &key, text(&copy)]);
    assert_eq!(code, 0, "{err}");
    let size = serde_json::from_str::<Value>(&out).expect("a summary")["size"].as_u64().expect("size");
    // They are brought apart from the data.
    for secret in ["signing.key", "keyring", "kek"] {
        std::fs::copy(world.dir().join(secret), back.join(secret)).expect("a secret");
    }
    let mut restored = World::start_at(&back, &[SMALL]);
    let mut wanted = world.feed(&[], 1_000);
    wanted.truncate(size as usize);
    assert_eq!(restored.feed(&[], 1_000), wanted);
    assert_eq!(key_of(&restored), key);
    assert!(Visitor::of(&restored).page("").contains("Kept with the log"), "a saved view is lost");
    restored.post(&json!({"id": "goes-on", "actor": "system", "action": "backup.goes_on"})).expect_status(201);
    restored.terminate();
    world.terminate();
}

#[test]
fn a_note_that_is_kept_while_the_copy_is_made_does_not_accuse_it_and_one_that_was_there_does() {
    let outside = tempfile::tempdir().expect("a directory");
    let (copied, again) = (outside.path().join("copied"), outside.path().join("again"));
    let mut world = World::start();
    world.load(data::demo_events(50).lines());
    world.settle();
    world.terminate();
    let note = world.dir().join("checkpoints/51.note");
    // The bytes do not matter: that it is there is what was wrong.
    let mut is_kept = false;
    let mut keep = |_| {
        is_kept = true;
        std::fs::write(&note, "kept meanwhile").expect("written");
    };
    annals::backup::copy(&OsDisk::shared(), world.dir(), &copied, &mut keep).expect("a copy");
    assert!(is_kept && note.exists(), "nothing was kept meanwhile");
    let key = std::fs::read_to_string(world.dir().join("public.key")).expect("the public key");
    let (code, out, err) = annals(&["verify", text(&copied), "--key", key.trim(), "--json"]);
    assert_eq!(code, 0, "{out} {err}");
    // Before the checkpoint was read, it tells that the log was rolled back: the copy tells it too.
    annals::backup::copy(&OsDisk::shared(), world.dir(), &again, &mut |_| ()).expect("a copy");
    let (code, out, err) = annals(&["verify", text(&again), "--key", key.trim(), "--json"]);
    assert_eq!(code, 1, "{out} {err}");
}

#[test]
fn a_copy_waits_for_a_log_that_is_signed_for_the_first_time() {
    let outside = tempfile::tempdir().expect("a directory");
    let copied = outside.path().join("copied");
    let mut world = World::start();
    world.load(data::demo_events(50).lines());
    world.settle();
    world.terminate();
    let (head, away) = (world.dir().join("HEAD"), outside.path().join("HEAD"));
    std::fs::rename(&head, &away).expect("moved");
    let copy = || annals::backup::copy(&OsDisk::shared(), world.dir(), &copied, &mut |_| ());
    let failed = copy().expect_err("nothing was signed");
    assert!(failed.to_string().contains("is not signed yet"), "{failed}");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(copy);
        std::fs::rename(&away, &head).expect("moved back");
        assert_eq!(waiting.join().expect("no panic").expect("a copy").head.size.0, 50);
    });
}

#[test]
fn what_is_no_copy_of_this_log_is_not_written_over_and_a_damaged_one_not_brought_back() {
    let outside = tempfile::tempdir().expect("a directory");
    let (copy, back) = (outside.path().join("copy"), outside.path().join("back"));
    let mut world = World::start();
    world.load(data::demo_events(50).lines());
    wait_signed(&world, 50);
    backup(world.dir(), &copy);
    let other = World::start();
    other.load(data::demo_events(90).lines());
    wait_signed(&other, 90);
    let (code, _, err) = annals(&["backup", "--data", text(other.dir()), text(&copy)]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("holds a copy of"), "{err}");
    let (code, _, err) = annals(&["backup", "--data", text(outside.path()), text(&copy)]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("is it a data directory?"), "{err}");

    // A later state is not gone back from.
    world.load(data::demo_events(80).lines().skip(50));
    wait_signed(&world, 80);
    let old = outside.path().join("old");
    forge::copy(&copy, &old);
    backup(world.dir(), &copy);
    let (code, _, err) = annals(&["backup", "--data", text(&old), text(&copy)]);
    assert_eq!(code, 1, "{err}");

    let segment = copy.join("log/00000000000000000000.log");
    let whole = std::fs::read(&segment).expect("the segment");
    let mut bytes = whole.clone();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("written");
    let (code, _, err) = annals(&["restore", "--data", text(&back), text(&copy)]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("segment 0 at byte") && err.contains("nothing was restored"), "{err}");
    assert!(!back.exists());
    std::fs::write(&segment, whole).expect("written");
    let (code, _, err) = annals(&["restore", "--data", text(&copy), text(&old)]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("is not empty"), "{err}");

    // The old copy is whole in itself; the note of the newer one shows what it lacks.
    let note = outside.path().join("newest.note");
    std::fs::write(&note, world.get("/checkpoint").text()).expect("written");
    let (code, _, err) = annals(&["restore", "--data", text(&back), "--since", text(&note), text(&old)]);
    assert_eq!(code, 1, "{err}");
    let (code, _, err) = annals(&["restore", "--data", text(&back), text(&old)]);
    assert_eq!(code, 0, "{err}");
    for secret in ["signing.key", "keyring", "kek"] {
        std::fs::copy(world.dir().join(secret), back.join(secret)).expect("a secret");
    }
    world.terminate();
    let (code, said) = refused(&back, &[("ANNALS_LAST_NOTE", text(&note))]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("older copy"), "{said}");
}
