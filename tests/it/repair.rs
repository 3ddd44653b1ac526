//! Whatever is damaged in a log is mended from a backup to the very bytes it had, in either form and from either form; and what
//! no copy has, or what is of another log, is refused and changes nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use annals::durable::OsDisk;
use annals::log::{self, Options};
use annals::verify::{Growth, Nothing, Replay};
use serde_json::{Value, json};

use crate::data::demo_events;
use crate::forge::{self, frames};
use crate::world::{World, wait_for};

const EVENTS: u64 = 500;

/// A log of three segments, the last one active, as it was written (`open`) and with its finished segments sealed (`sealed`).
struct Logs {
    room: tempfile::TempDir,
    key: String,
}

impl Logs {
    fn new() -> Logs {
        let room = tempfile::tempdir().expect("a directory");
        let key = forge::key(1);
        forge::write(&room.path().join("open"), &key, &forge::honest(EVENTS));
        forge::copy(&room.path().join("open"), &room.path().join("sealed"));
        seal(&room.path().join("sealed"));
        let key = key.public().to_string();
        Logs { room, key }
    }

    /// A copy of one of the two, to be damaged.
    fn copy(&self, of: &str, to: &str) -> PathBuf {
        let to = self.room.path().join(to);
        if to.exists() {
            fs::remove_dir_all(&to).expect("removed");
        }
        forge::copy(&self.room.path().join(of), &to);
        to
    }

    fn backup(&self, of: &str) -> PathBuf {
        self.room.path().join(of)
    }
}

/// Seals all finished segments of a closed log.
fn seal(dir: &Path) {
    let (mut nothing, mut quiet) = (Nothing, |_| {});
    let mut replay = Replay::new(Growth::new([], &mut nothing), &mut quiet);
    let options = Options { preallocate_bytes: 64 << 10, ..Options::default() };
    let opened = log::open(OsDisk::shared(), dir, &options, &mut replay).expect("the log is sound");
    let sealer = opened.sealer.expect("the log is sound");
    while let Some(segment) = sealer.next() {
        sealer.seal(segment.first, &AtomicBool::new(false), &mut |_, _, _| Ok(())).expect("sealed");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn repair(dir: &Path, backups: &[&Path], more: &[&str]) -> (i32, Value) {
    let mut args = vec!["repair", "--json", "--data", text(dir)];
    for backup in backups {
        args.extend(["--from", text(backup)]);
    }
    args.extend(more);
    let output = World::annals(&args, b"");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said} {}", output.stderr));
    (output.status.code().expect("an exit code"), said)
}

fn verify(dir: &Path, key: &str) -> i32 {
    World::annals(&["verify", text(dir), "--key", key], b"").status.code().expect("an exit code")
}

/// Everything in `log/`, by name.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(dir.join("log"))
        .expect("a directory")
        .map(|item| item.expect("an entry").path())
        .map(|path| {
            (path.file_name().expect("a name").to_string_lossy().into_owned(), fs::read(&path).expect("a file"))
        })
        .collect();
    files.sort();
    files
}

/// Also a file that may only be read.
fn damage(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("a file");
    bytes[at] ^= 0x10;
    fs::remove_file(path).expect("removed");
    fs::write(path, bytes).expect("written");
}

fn assert_mended(logs: &Logs, dir: &Path, of: &str, backup: &Path, what: &str) {
    assert_ne!(verify(dir, &logs.key), 0, "{what}: there is nothing to mend");
    let (code, said) = repair(dir, &[backup], &[]);
    assert_eq!(code, 0, "{what}: {said}");
    assert_eq!(said["mended"].as_array().map(Vec::len), Some(1), "{what}: {said}");
    let (mended, wanted) = (files(dir), files(&logs.backup(of)));
    assert!(mended == wanted, "{what}: the bytes are not what they were");
    assert_eq!(verify(dir, &logs.key), 0, "{what}");
    assert!(said["mended"][0]["kept"].as_str().is_some_and(|kept| Path::new(kept).exists()), "{what}: {said}");
}

#[test]
fn every_part_of_a_log_segment_is_mended_from_a_backup_of_either_form() {
    let logs = Logs::new();
    for first in [0, 200, 400] {
        let bytes = fs::read(forge::segment(&logs.backup("open"), first)).expect("a segment");
        let all = frames(&bytes);
        let event = all[7];
        let commit = *all.iter().filter(|frame| frame.kind == 2).nth(2).expect("a COMMIT");
        let padded = *all.iter().find(|frame| frame.end > frame.at + 32 + frame.payload).expect("a padded frame");
        let mut parts = vec![
            ("the header's zeros", 200),
            ("the header's salt", 90),
            ("a frame's magic", event.at),
            ("a frame's length", event.at + 21),
            ("a frame's seq", event.at + 8),
            ("a payload", event.at + 32 + 50),
            ("the padding", padded.end - 1),
            ("a COMMIT", commit.at + 32 + 12),
        ];
        parts.extend(all.iter().find(|frame| frame.kind == 3).map(|seal| ("the SEAL", seal.at + 32 + 90)));
        for (part, at) in parts {
            for form in ["open", "sealed"] {
                let what = format!("{part} of segment {first} from the {form} one");
                let dir = logs.copy("open", "damaged");
                damage(&forge::segment(&dir, first), at);
                assert_mended(&logs, &dir, "open", &logs.backup(form), &what);
            }
        }
    }
}

#[test]
fn every_part_of_a_sealed_segment_is_mended_from_a_backup_of_either_form() {
    let logs = Logs::new();
    for first in [0_u64, 200] {
        let name = format!("log/{first:020}.seg");
        let len = fs::metadata(logs.backup("sealed").join(&name)).expect("a segment").len() as usize;
        let parts = [
            ("header", 60),
            ("first block", 4_200),
            ("last block or COMMITs", len - 400),
            ("footer", len - 100),
            ("tail", len - 5),
        ];
        for (part, at) in parts {
            for form in ["open", "sealed"] {
                let dir = logs.copy("sealed", "damaged");
                damage(&dir.join(&name), at);
                assert_mended(
                    &logs,
                    &dir,
                    "sealed",
                    &logs.backup(form),
                    &format!("{part} of segment {first} from the {form} one"),
                );
            }
        }
    }
}

#[test]
fn damage_in_both_copies_is_mended_unless_it_is_at_the_same_event() {
    let logs = Logs::new();
    let all = frames(&fs::read(forge::segment(&logs.backup("open"), 0)).expect("a segment"));
    let events: Vec<usize> = all.iter().filter(|frame| frame.kind == 1).map(|frame| frame.at + 40).collect();
    let dir = logs.copy("open", "damaged");
    let backup = logs.copy("open", "backup");
    damage(&forge::segment(&dir, 0), events[33]);
    damage(&forge::segment(&backup, 0), events[34]);
    let (code, said) = repair(&dir, &[&backup], &[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(said["mended"][0]["taken"][0]["first"], 33, "{said}");
    assert_eq!(said["mended"][0]["taken"][0]["last"], 33, "{said}");
    assert!(files(&dir) == files(&logs.backup("open")));

    fs::remove_file(dir.join("repaired")).expect("the mark of the first repair");
    damage(&forge::segment(&dir, 0), events[34]);
    let before = files(&dir);
    let (code, said) = repair(&dir, &[&backup], &[]);
    assert_eq!(code, 1, "{said}");
    let why = said["unmended"][0].as_str().expect("a place");
    assert!(why.contains("segment 0") && why.contains("event 34"), "{why}");
    assert!(files(&dir) == before, "nothing is changed");
    assert!(!dir.join("repaired").exists());
    // A second backup has it.
    let (code, said) = repair(&dir, &[&backup, &logs.backup("sealed")], &[]);
    assert_eq!(code, 0, "{said}");
    assert!(files(&dir) == files(&logs.backup("open")));
}

#[test]
fn what_cannot_be_mended_does_not_keep_what_can_from_it() {
    let logs = Logs::new();
    let (dir, backup) = (logs.copy("open", "damaged"), logs.copy("open", "backup"));
    for (first, in_backup) in [(0, true), (200, false)] {
        let at = frames(&fs::read(forge::segment(&dir, first)).expect("a segment"))[5].at + 50;
        damage(&forge::segment(&dir, first), at);
        if in_backup {
            damage(&forge::segment(&backup, first), at);
        }
    }
    let (code, said) = repair(&dir, &[&backup], &[]);
    assert_eq!(code, 1, "{said}");
    assert_eq!(said["mended"][0]["file"], "log/00000000000000000200.log", "{said}");
    assert!(said["unmended"][0].as_str().is_some_and(|why| why.contains("event 5 ")), "{said}");
}

#[test]
fn a_backup_of_another_log_is_refused() {
    let logs = Logs::new();
    let dir = logs.copy("open", "damaged");
    damage(&forge::segment(&dir, 0), 5_000);
    let before = files(&dir);
    // The same name and the same events, but another log.
    let twin = logs.room.path().join("twin");
    forge::write(&twin, &forge::key(1), &forge::honest(EVENTS));
    let (code, said) = repair(&dir, &[&twin], &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said["unmended"][0].as_str().is_some_and(|why| why.contains("different logs")), "{said}");
    // Another name.
    let other = World::start();
    other.load(demo_events(20).lines());
    wait_for("the checkpoint", || (other.get("/checkpoint").status == 200).then_some(()));
    let copy = logs.room.path().join("other");
    World::annals(&["backup", "--data", text(other.dir()), text(&copy)], b"").ok();
    let (code, said) = repair(&dir, &[&copy], &[]);
    assert_eq!(code, 2, "{said}");
    assert!(said["error"].as_str().is_some_and(|why| why.contains("another log")), "{said}");
    assert!(files(&dir) == before, "nothing is changed");
    // A server holds the directory.
    let (code, said) = repair(other.dir(), &[&copy], &[]);
    assert_eq!(code, 2, "{said}");
    assert!(said["error"].as_str().is_some_and(|why| why.contains("is held by process")), "{said}");
}

#[test]
fn lost_segments_a_lost_head_and_a_rotten_tree_are_mended_and_a_dry_run_changes_nothing() {
    let logs = Logs::new();
    for of in ["open", "sealed"] {
        let ending = if of == "open" { "log" } else { "seg" };
        for lost in [format!("{:020}.{ending}", 0), format!("{:020}.{ending}", 200), format!("{:020}.log", 400)] {
            let dir = logs.copy(of, "damaged");
            fs::remove_file(dir.join("log").join(&lost)).expect("removed");
            let before = files(&dir);
            let (code, said) = repair(&dir, &[&logs.backup(of)], &["--dry-run"]);
            assert_eq!((code, said["mended"][0]["file"].as_str()), (0, Some(&*format!("log/{lost}"))), "{said}");
            assert!(files(&dir) == before && !dir.join("repaired").exists(), "{lost}: a dry run changed something");
            let (code, said) = repair(&dir, &[&logs.backup(of)], &[]);
            assert_eq!(code, 0, "{said}");
            // Of the newest segment the reserved room is not brought back.
            let trimmed = |dir: &Path| -> Vec<(String, Vec<u8>)> {
                let trim =
                    |bytes: Vec<u8>| bytes[..bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1)].to_vec();
                files(dir).into_iter().map(|(name, bytes)| (name, trim(bytes))).collect()
            };
            assert!(trimmed(&dir) == trimmed(&logs.backup(of)), "{lost}");
            assert_eq!(verify(&dir, &logs.key), 0, "{lost}");
        }
    }
    let dir = logs.copy("open", "damaged");
    fs::write(dir.join("HEAD"), [7; 8192]).expect("written");
    let (code, said) = repair(&dir, &[&logs.backup("open")], &[]);
    assert_eq!((code, said["mended"][0]["file"].as_str()), (0, Some("HEAD")), "{said}");
    assert_eq!(verify(&dir, &logs.key), 0);

    for (level, at) in [("L0", 32 * 77), ("L1", 3)] {
        let dir = logs.copy("open", "damaged");
        damage(&dir.join("tree").join(level), at);
        assert_eq!(verify(&dir, &logs.key), 1);
        let (code, said) = repair(&dir, &[&logs.backup("open")], &[]);
        assert_eq!((code, said["mended"][0]["file"].as_str()), (0, Some("tree/")), "{said}");
        assert!(!dir.join("tree").exists(), "the next start computes it");
    }
    // A leaf that rotted beside an event that did: the roots in the log decide.
    let dir = logs.copy("open", "damaged");
    damage(&dir.join("tree/L0"), 32 * 3);
    damage(&forge::segment(&dir, 0), 5_000);
    let (code, said) = repair(&dir, &[&logs.backup("sealed")], &[]);
    assert_eq!((code, said["mended"].as_array().map(Vec::len)), (0, Some(2)), "{said}");
    assert!(files(&dir) == files(&logs.backup("open")));
}

#[test]
fn a_sound_log_is_left_alone() {
    let logs = Logs::new();
    let dir = logs.copy("sealed", "sound");
    let before = files(&dir);
    let (code, said) = repair(&dir, &[&logs.backup("open")], &[]);
    assert_eq!((code, &said["mended"], &said["events"]), (0, &json!([]), &json!(EVENTS)), "{said}");
    assert!(files(&dir) == before && !dir.join("quarantine").read_dir().is_ok_and(|mut dir| dir.next().is_some()));
}

#[test]
fn a_repair_is_an_entry_of_the_log_once() {
    let mut world = World::start_with(&[("ANNALS_SEGMENT_EVENTS", "64")]);
    for batch in demo_events(300).lines().collect::<Vec<_>>().chunks(20) {
        world.load(batch.iter().copied());
    }
    wait_for("the finished segments to be sealed", || (world.watermarks().sealed >= 240).then_some(()));
    wait_for("the checkpoint", || (world.get_json("/v1/log", &[])["watermarks"]["signed"] == 300).then_some(()));
    let before = world.feed(&[], 1_000);
    let outside = tempfile::tempdir().expect("a directory");
    let backup = outside.path().join("backup");
    World::annals(&["backup", "--data", text(world.dir()), text(&backup)], b"").ok();
    assert!(world.terminate().success());
    let sealed = files(world.dir()).into_iter().find(|(name, _)| name.ends_with(".seg")).expect("a sealed segment").0;
    damage(&world.dir().join("log").join(&sealed), 5_000);
    let (code, said) = repair(world.dir(), &[&backup], &[]);
    assert_eq!(code, 0, "{said}");
    for _ in 0..2 {
        world.restart();
        world.settle();
        let found = world.search("action:\"log.repaired\"", 10);
        assert_eq!(found["total"], 1, "{found}");
        assert_eq!(found["events"][0]["detail"]["files"], json!([format!("log/{sealed}")]), "{found}");
        assert_eq!(found["events"][0]["source"], "annals");
        assert!(world.feed(&[], 1_000).starts_with(&before));
        assert!(!world.dir().join("repaired").exists());
        assert!(world.terminate().success());
    }
}

/// Somebody who can compute checksums changed an event: the frame is whole, and only the tree tells.
#[test]
fn an_altered_event_with_checksums_that_fit_is_replaced_by_the_one_that_the_tree_knows() {
    let logs = Logs::new();
    for form in ["open", "sealed"] {
        let dir = logs.copy("open", "damaged");
        let path = forge::segment(&dir, 200);
        let mut bytes = fs::read(&path).expect("a segment");
        let event = frames(&bytes)[7];
        // Behind 40 bytes of what the server added and `{"id":"`: it is another event's id then, and an event as before.
        let letter = &mut bytes[event.at + 32 + 40 + 7];
        *letter = if *letter == b'a' { b'b' } else { b'a' };
        forge::reseal(&mut bytes, event);
        fs::write(&path, bytes).expect("written");
        assert_mended(&logs, &dir, "open", &logs.backup(form), &format!("an altered event, from the {form} one"));
    }
}
