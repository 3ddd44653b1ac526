//! `annals verify` on data directories and servers: an untouched one is verified, and whatever is done to one is found and
//! its place named. The cases are tables: what was done, how, and the place that must be named.

use std::fs;
use std::path::{Path, PathBuf};

use annals::tree::SignerKey;
use serde_json::Value;

use crate::data::demo_events;
use crate::forge::{self, FRAME, Forged, Frame, alter, flip, frames, reseal, reseal_header, segment};
use crate::world::{World, wait_for};

/// What `annals verify` said, and its exit code.
fn verify(target: &str, more: &[&str]) -> (i32, Value) {
    let mut args = vec!["verify", target, "--json"];
    args.extend_from_slice(more);
    let output = World::annals(&args, b"");
    let code = output.status.code().expect("an exit code");
    let said = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {:?} {}", output.stdout, output.stderr));
    (code, said)
}

fn verify_dir(dir: &Path, more: &[&str]) -> (i32, Value) {
    verify(dir.to_str().expect("UTF-8"), more)
}

/// All findings in one text.
fn findings(said: &Value) -> String {
    let list = said["findings"].as_array().cloned().unwrap_or_default();
    let lines =
        list.iter().map(|f| format!("{}: {}", f["place"].as_str().unwrap_or(""), f["why"].as_str().unwrap_or("")));
    lines.collect::<Vec<_>>().join("\n")
}

/// What was done, how, and what must be named.
type Case<'a> = (&'a str, Box<dyn Fn(&Path) + 'a>, &'a str);

fn case<'a>(name: &'a str, names: &'a str, tamper: impl Fn(&Path) + 'a) -> Case<'a> {
    (name, Box::new(tamper), names)
}

/// Every case on a copy of its own.
fn hold(base: &Path, args: &[&str], cases: &[Case<'_>]) {
    let room = tempfile::tempdir().expect("a temporary directory");
    for (i, (name, tamper, names)) in cases.iter().enumerate() {
        let dir = room.path().join(i.to_string());
        forge::copy(base, &dir);
        tamper(&dir);
        let (code, said) = verify_dir(&dir, args);
        assert_eq!(code, 1, "{name}: {said}");
        let found = findings(&said);
        assert!(found.contains(names), "{name}: {names:?} is not named in:\n{found}");
        fs::remove_dir_all(&dir).expect("remove");
    }
}

/// A stopped server's directory of 600 events, its key, and a checkpoint of 300 that was kept elsewhere.
struct Real {
    room: tempfile::TempDir,
    key: String,
}

impl Real {
    fn new() -> Real {
        let room = tempfile::tempdir().expect("a temporary directory");
        let dir = room.path().join("data");
        let mut world = World::start_at(&dir, &[]);
        let events = demo_events(600);
        let lines: Vec<&str> = events.lines().collect();
        for (i, batch) in lines.chunks(20).enumerate() {
            world.post_ndjson(&(batch.join("\n") + "\n")).expect_status(201);
            if i == 14 {
                fs::write(room.path().join("300.note"), signed(&world, 300)).expect("write");
            }
        }
        fs::write(room.path().join("600.note"), signed(&world, 600)).expect("write");
        let key = world.get_json("/v1/log", &[])["public_key"].as_str().expect("a key").to_owned();
        assert!(world.terminate().success());
        Real { room, key }
    }

    fn dir(&self) -> PathBuf {
        self.room.path().join("data")
    }

    fn path(&self, name: &str) -> String {
        self.room.path().join(name).to_str().expect("UTF-8").to_owned()
    }
}

/// The checkpoint of this size, when it is there.
fn signed(world: &World, size: u64) -> String {
    wait_for("the checkpoint", || {
        let note = world.get("/checkpoint");
        (note.status == 200 && note.text().lines().nth(1) == Some(&size.to_string())).then(|| note.text())
    })
}

#[test]
fn an_untouched_directory_is_verified_and_without_anything_from_outside_it_is_only_sound() {
    let real = Real::new();
    let (code, said) = verify_dir(&real.dir(), &["--key", &real.key, "--since", &real.path("300.note")]);
    assert_eq!(code, 0, "{said}");
    assert_eq!((&said["size"], &said["signed_size"]), (&600.into(), &600.into()), "{said}");
    assert!(said["tree_hashes"].as_u64() >= Some(602), "{said}");
    assert!(said["notes"].as_array().is_some_and(|notes| notes.len() >= 3), "{said}");

    assert_eq!(verify_dir(&real.dir(), &["--since", &real.path("600.note")]).0, 0, "a note is an anchor, too");
    let key_file = real.dir().join("public.key");
    assert_eq!(verify_dir(&real.dir(), &["--key-file", key_file.to_str().expect("UTF-8")]).0, 0);
    let (code, said) = verify_dir(&real.dir(), &[]);
    assert_eq!(code, 3, "{said}");
    assert!(said["unmet"][0].as_str().is_some_and(|why| why.contains("outside")), "{said}");

    // As text, stdout says the same.
    let text = World::annals(&["verify", real.dir().to_str().expect("UTF-8"), "--key", &real.key], b"").ok();
    assert!(text.contains("verified") && text.contains("600 events"), "{text}");
}

#[test]
fn a_directory_is_verified_while_a_server_runs_on_it_and_takes_events() {
    let world = World::start();
    let events = demo_events(600);
    let lines: Vec<&str> = events.lines().collect();
    world.load(lines[..300].iter().copied());
    signed(&world, 300);
    let key = world.get_json("/v1/log", &[])["public_key"].as_str().expect("a key").to_owned();
    std::thread::scope(|scope| {
        scope.spawn(|| lines[300..].chunks(5).for_each(|batch| drop(world.post_ndjson(&(batch.join("\n") + "\n")))));
        for _ in 0..5 {
            let (code, said) = verify_dir(world.dir(), &["--key", &key]);
            assert_eq!(code, 0, "{said}");
            assert!(said["size"].as_u64() >= Some(300), "{said}");
        }
    });
}

#[test]
fn what_cannot_be_verified_at_all_is_exit_code_2() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| room.path().join(name).to_str().expect("UTF-8").to_owned();
    fs::write(path("poem"), "a poem\n").expect("write");
    for args in [
        vec![path("nothing")],
        vec![path("")],
        vec![path(""), "--key".into(), "no key".into()],
        vec![path(""), "--key-file".into(), path("nothing")],
        vec![path(""), "--since".into(), path("nothing")],
        vec![path(""), "--since".into(), path("poem")],
        vec!["http://127.0.0.1:9".into()],
        vec![],
    ] {
        let args: Vec<&str> = ["verify"].into_iter().chain(args.iter().map(String::as_str)).collect();
        let output = World::annals(&args, b"");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", output.stderr);
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

fn frame_of(path: &Path, kind: u8, n: usize) -> Frame {
    let bytes = fs::read(path).expect("a segment");
    frames(&bytes).into_iter().filter(|frame| frame.kind == kind).nth(n).expect("a frame")
}

const EVENT: u8 = 1;
const COMMIT: u8 = 2;
const SEAL: u8 = 3;

/// Alters something of a frame and makes its checksums fit again.
fn rewrite(path: &Path, kind: u8, n: usize, at: usize, with: &[u8]) {
    let frame = frame_of(path, kind, n);
    alter(path, |bytes| {
        bytes[frame.at + at..frame.at + at + with.len()].copy_from_slice(with);
        reseal(bytes, frame);
    });
}

#[test]
fn every_alteration_of_a_real_directory_is_found_and_its_place_named() {
    let real = Real::new();
    let log = |dir: &Path| segment(dir, 0);
    let at_frame = |dir: &Path, kind, n, at: i64| flip(&log(dir), frame_of(&log(dir), kind, n).at as i64 + at);
    let cases = [
        // The log, bit by bit.
        case("the segment's magic", "segment 0 at byte 0", |dir| flip(&log(dir), 0)),
        case("its log id", "segment 0 at byte 0", |dir| flip(&log(dir), 20)),
        case("its time of creation", "segment 0 at byte 0", |dir| flip(&log(dir), 81)),
        case("its zeros", "segment 0 at byte 0", |dir| flip(&log(dir), 3_000)),
        case("its checksum", "segment 0 at byte 0", |dir| flip(&log(dir), 4_095)),
        case("the first frame's magic", "segment 0 at byte 4096", |dir| at_frame(dir, EVENT, 0, 0)),
        case("a frame's flags", "(event 40)", |dir| at_frame(dir, EVENT, 45, 5)),
        case("a frame's seq", "(event 40)", |dir| at_frame(dir, EVENT, 45, 8)),
        case("a frame's length", "(event 40)", |dir| at_frame(dir, EVENT, 45, 20)),
        case("a payload's checksum", "(event 40)", |dir| at_frame(dir, EVENT, 45, 24)),
        case("a kind byte", "(event 40)", |dir| at_frame(dir, EVENT, 45, FRAME as i64 + 1)),
        case("a time of arrival", "(event 40)", |dir| at_frame(dir, EVENT, 45, FRAME as i64 + 4)),
        case("a salt", "(event 40)", |dir| at_frame(dir, EVENT, 45, FRAME as i64 + 25)),
        case("a body", "(event 40)", |dir| at_frame(dir, EVENT, 45, FRAME as i64 + 60)),
        case("a root", "segment 0 at byte", |dir| at_frame(dir, COMMIT, 3, FRAME as i64 + 10)),
        case("a wall clock", "segment 0 at byte", |dir| at_frame(dir, COMMIT, 3, FRAME as i64 + 60)),
        case("the last frame", "(event 580)", |dir| at_frame(dir, COMMIT, 29, FRAME as i64 + 10)),
        case("padding", "padding is not zero", |dir| {
            let bytes = fs::read(log(dir)).expect("a segment");
            let padded = |frame: &&Frame| frame.end > frame.at + FRAME + frame.payload;
            let frame = *frames(&bytes).iter().find(padded).expect("a padded frame");
            flip(&log(dir), frame.end as i64 - 1);
        }),
        case("bytes behind the end", "segment 0 at byte", |dir| alter(&log(dir), |bytes| bytes.extend(*b"more...."))),
        case("bytes far behind the end", "segment 0 at byte", |dir| {
            alter(&log(dir), |bytes| {
                bytes.resize(bytes.len() + 70_000, 0);
                bytes.push(1);
            });
        }),
        // The log, with checksums that fit.
        case("another kind, resealed", "event 45: kind 9", |dir| rewrite(&log(dir), EVENT, 45, FRAME + 1, &[9])),
        case("a swapped body, resealed", "(event 40)", |dir| {
            let frame = frame_of(&log(dir), EVENT, 45);
            let at = fs::read(log(dir)).expect("a segment")[frame.at + FRAME + 40..frame.at + FRAME + frame.payload]
                .windows(9)
                .position(|word| word == b"\"outcome\"")
                .expect("an outcome");
            rewrite(&log(dir), EVENT, 45, FRAME + 40 + at + 11, b"f");
        }),
        case("another time of arrival, resealed", "before the one before it", |dir| {
            rewrite(&log(dir), EVENT, 45, FRAME + 4, &1_u64.to_le_bytes());
        }),
        case("another tenant number, resealed", "of its tenant, expected", |dir| {
            rewrite(&log(dir), EVENT, 45, FRAME + 12, &9_999_u64.to_le_bytes());
        }),
        case("another root, resealed", "(event 40)", |dir| rewrite(&log(dir), COMMIT, 2, FRAME + 8, &[7; 32])),
        case("another seq, resealed", "another seq", |dir| rewrite(&log(dir), EVENT, 45, 8, &46_u64.to_le_bytes())),
        case("an event that is said to be cut out", "event 45", |dir| rewrite(&log(dir), EVENT, 45, 4, &[4])),
        // The log, in pieces.
        case("a dropped batch", "segment 0 at byte", |dir| {
            let (from, to) = (frame_of(&log(dir), COMMIT, 9).end, frame_of(&log(dir), COMMIT, 10).end);
            alter(&log(dir), |bytes| drop(bytes.drain(from..to)));
        }),
        case("a batch twice", "segment 0 at byte", |dir| {
            let (from, to) = (frame_of(&log(dir), COMMIT, 9).end, frame_of(&log(dir), COMMIT, 10).end);
            alter(&log(dir), |bytes| {
                let batch = bytes[from..to].to_vec();
                bytes.splice(to..to, batch);
            });
        }),
        case("two batches swapped", "segment 0 at byte", |dir| {
            let ends: Vec<usize> = (9..12).map(|n| frame_of(&log(dir), COMMIT, n).end).collect();
            alter(&log(dir), |bytes| bytes[ends[0]..ends[2]].rotate_left(ends[1] - ends[0]));
        }),
        case("a dropped end", "HEAD speaks of 600", |dir| {
            let end = frame_of(&log(dir), COMMIT, 20).end;
            alter(&log(dir), |bytes| bytes.truncate(end));
        }),
        case("a file cut in a frame", "HEAD speaks of 600", |dir| {
            let at = frame_of(&log(dir), EVENT, 45).at;
            alter(&log(dir), |bytes| bytes.truncate(at + 50));
        }),
        case("an empty file", "segment 0 at byte 0", |dir| alter(&log(dir), Vec::clear)),
        case("a missing file", "HEAD speaks of 600", |dir| fs::remove_file(log(dir)).expect("remove")),
        case("a renamed file", "not the file's name", |dir| fs::rename(log(dir), segment(dir, 20)).expect("rename")),
        case("a file twice", "segment 600 at byte 0", |dir| assert!(fs::copy(log(dir), segment(dir, 600)).is_ok())),
        case("no log at all", "there is no log", |dir| fs::remove_dir_all(dir.join("log")).expect("remove")),
        // HEAD.
        case("HEAD's first length", "HEAD slot 0", |dir| flip(&dir.join("HEAD"), 0)),
        case("HEAD's first checksum", "HEAD slot 0", |dir| flip(&dir.join("HEAD"), 5)),
        case("HEAD's first text", "HEAD slot 0", |dir| flip(&dir.join("HEAD"), 30)),
        case("HEAD's first zeros", "HEAD slot 0", |dir| flip(&dir.join("HEAD"), 4_000)),
        case("HEAD's second text", "HEAD slot 1", |dir| flip(&dir.join("HEAD"), 4_096 + 30)),
        case("HEAD's last byte", "HEAD slot 1", |dir| flip(&dir.join("HEAD"), -1)),
        case("an emptied slot", "HEAD slot 0", |dir| alter(&dir.join("HEAD"), |bytes| bytes[..4_096].fill(0))),
        case("a slot of garbage", "HEAD slot 1", |dir| alter(&dir.join("HEAD"), |bytes| bytes[4_096..].fill(0x5a))),
        case("both slots emptied", "HEAD", |dir| alter(&dir.join("HEAD"), |bytes| bytes.fill(0))),
        case("a short HEAD", "HEAD slot 1", |dir| alter(&dir.join("HEAD"), |bytes| bytes.truncate(5_000))),
        case("a long HEAD", "HEAD slot 1", |dir| alter(&dir.join("HEAD"), |bytes| bytes.push(0))),
        case("no HEAD", "HEAD: it is missing", |dir| fs::remove_file(dir.join("HEAD")).expect("remove")),
        case("HEAD signed by nobody it should", "HEAD slot 0: ", |dir| {
            let forged = forge::slot(&forge::note(&forge::key(9), 600, [7; 32]));
            alter(&dir.join("HEAD"), |bytes| bytes[..4_096].copy_from_slice(&forged));
        }),
        case("HEAD with another root, resealed", "does not fit the text", |dir| {
            alter(&dir.join("HEAD"), |bytes| {
                let len = u32::from_le_bytes(bytes[..4].try_into().expect("four bytes")) as usize;
                let text = String::from_utf8(bytes[8..8 + len].to_vec()).expect("text");
                let root = text.lines().nth(2).expect("a root").to_owned();
                let other = format!("{}=", "A".repeat(43));
                bytes[..4_096].copy_from_slice(&forge::slot(&text.replace(&root, &other)));
            });
        }),
        // Key and notes.
        case("the key's name", "public.key", |dir| flip(&dir.join("public.key"), 3)),
        case("the key's last digit", "public.key", |dir| flip(&dir.join("public.key"), -3)),
        case("the key's line end", "public.key", |dir| flip(&dir.join("public.key"), -1)),
        case("another key", "not the key that was given", |dir| {
            fs::write(dir.join("public.key"), format!("{}\n", forge::key(9).public())).expect("write");
        }),
        case("no key", "public.key: it is missing", |dir| fs::remove_file(dir.join("public.key")).expect("remove")),
        case("a kept note's size", "checkpoints/", |dir| flip(&kept(dir), 41)),
        case("a kept note's signature", "checkpoints/", |dir| flip(&kept(dir), -9)),
        case("a kept note under another name", "checkpoints/7.note", |dir| {
            fs::rename(kept(dir), dir.join("checkpoints/7.note")).expect("rename");
        }),
        case("an empty note", "checkpoints/5.note", |dir| forge::keep_note(dir, "", 5)),
        case("a note of another log", "checkpoints/5.note", |dir| {
            forge::keep_note(dir, &forge::note(&forge::key(9), 5, [7; 32]), 5);
        }),
        // The tree.
        case("the first leaf's hash", "tree/L0 at hash 0", |dir| flip(&dir.join("tree/L0"), 0)),
        case("a leaf's hash", "tree/L0 at hash 300", |dir| flip(&dir.join("tree/L0"), 300 * 32 + 31)),
        case("the last leaf's hash", "tree/L0 at hash 599", |dir| flip(&dir.join("tree/L0"), -1)),
        case("a tile's hash", "tree/L1 at hash 1", |dir| flip(&dir.join("tree/L1"), 40)),
        case("a hash too many", "tree/L0 at hash 600", |dir| alter(&dir.join("tree/L0"), |b| b.extend([1; 32]))),
        case("half a hash", "ends inside a hash", |dir| alter(&dir.join("tree/L1"), |b| b.extend([1; 16]))),
        case("no leaves under the tiles", "tree/L0", |dir| fs::remove_file(dir.join("tree/L0")).expect("remove")),
        case("damaged tenants", "tree/tenants", |dir| {
            fs::write(dir.join("tree/tenants"), b"ANTENS1\n").expect("write")
        }),
    ];
    assert!(cases.len() >= 60, "{}", cases.len());
    hold(&real.dir(), &["--key", &real.key], &cases);
}

/// The same of sealed segments, which are compressed and read another way.
#[test]
fn every_alteration_of_sealed_segments_is_found_and_its_place_named() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let dir = room.path().join("data");
    let mut world = World::start_at(&dir, &[("ANNALS_SEGMENT_EVENTS", "100")]);
    let events = demo_events(600);
    let lines: Vec<&str> = events.lines().collect();
    lines.chunks(20).for_each(|batch| drop(world.post_ndjson(&(batch.join("\n") + "\n")).expect_status(201)));
    wait_for("five sealed segments", || (world.watermarks().sealed == 500).then_some(()));
    signed(&world, 600);
    let key = world.get_json("/v1/log", &[])["public_key"].as_str().expect("a key").to_owned();
    assert_eq!(verify_dir(&dir, &["--key", &key]).0, 0);
    assert!(world.terminate().success());
    let (code, said) = verify_dir(&dir, &["--key", &key]);
    assert_eq!((code, &said["size"]), (0, &600.into()), "{said}");

    let sealed = |dir: &Path, first: u64| segment(dir, first).with_extension("seg");
    let length = fs::metadata(sealed(&dir, 100)).expect("a sealed segment").len() as i64;
    let mut cases: Vec<Case<'_>> = Vec::new();
    for at in [0, 30, 60, 90, 3_000, 4_095, 4_096, 4_100, 4_130, 5_000, length / 2, -200, -100, -40, -20, -9, -1] {
        cases.push(case("a flipped bit", "segment 100 at byte", move |dir| flip(&sealed(dir, 100), at)));
    }
    cases.extend([
        case("a cut file", "segment 100 at byte", |dir| alter(&sealed(dir, 100), |bytes| bytes.truncate(5_000))),
        case("bytes behind the end", "segment 100 at byte", |dir| alter(&sealed(dir, 100), |bytes| bytes.push(0))),
        case("an empty file", "segment 100 at byte", |dir| alter(&sealed(dir, 100), Vec::clear)),
        case("a missing file", "(event 100)", |dir| fs::remove_file(sealed(dir, 100)).expect("remove")),
        case("a renamed file", "(event 100)", |dir| {
            fs::rename(sealed(dir, 100), sealed(dir, 101)).expect("rename");
        }),
        case("one in the place of another", "not the file's name", |dir| {
            assert!(fs::copy(sealed(dir, 200), sealed(dir, 100)).is_ok());
        }),
        case("the active segment missing", "HEAD speaks of 600", |dir| {
            fs::remove_file(segment(dir, 500)).expect("remove");
        }),
    ]);
    hold(&dir, &["--key", &key], &cases);
}

/// The note that the directory keeps.
fn kept(dir: &Path) -> PathBuf {
    let mut notes = fs::read_dir(dir.join("checkpoints")).expect("notes").map(|entry| entry.expect("a note").path());
    notes.next().expect("a note")
}

/// Notes from outside find what a directory cannot show by itself.
#[test]
fn a_note_at_hand_finds_lost_ends_old_copies_and_forks_signed_with_the_right_key() {
    let real = Real::new();
    let room = tempfile::tempdir().expect("a temporary directory");
    let (old, fork) = (room.path().join("old"), room.path().join("fork"));

    // An old copy, whole and signed: the directory when it had 300 events.
    let (mut world, events) = (World::start_at(&old, &[]), demo_events(900));
    let lines: Vec<&str> = events.lines().collect();
    world.load(lines[..300].iter().copied());
    signed(&world, 300);
    assert!(world.terminate().success());
    forge::copy(&old, &fork);
    let key = fs::read_to_string(old.join("public.key")).expect("a key");
    let goes_on = |dir: &Path, from: usize, note: &str| {
        let mut world = World::start_at(dir, &[]);
        world.load(lines[from..from + 100].iter().copied());
        let text = signed(&world, 400);
        assert!(world.terminate().success());
        fs::write(room.path().join(note), text).expect("write");
    };
    let copy = room.path().join("copy");
    forge::copy(&old, &copy);
    goes_on(&copy, 300, "copy.note");
    goes_on(&fork, 500, "fork.note");
    let note = |name: &str| room.path().join(name).to_str().expect("UTF-8").to_owned();

    for (dir, since, code, why) in [
        (&copy, "copy.note", 0, ""),
        (&fork, "fork.note", 0, ""),
        (&old, "copy.note", 1, "it speaks of 400 events, the log has 300"),
        (&fork, "copy.note", 1, "the log is not an extension of it"),
        (&copy, "fork.note", 1, "the log is not an extension of it"),
    ] {
        let (got, said) = verify_dir(dir, &["--key", key.trim(), "--since", &note(since)]);
        assert_eq!(got, code, "{since}: {said}");
        assert!(findings(&said).contains(why), "{since}: {said}");
        if code == 1 {
            assert_eq!(verify_dir(dir, &["--key", key.trim()]).0, 0, "without the note nobody could know");
        }
    }
    // A checkpoint of another log, and a note of this one altered.
    let (code, said) = verify_dir(&real.dir(), &["--key", &real.key, "--since", &note("copy.note")]);
    assert_eq!(code, 1, "{said}");
    assert!(findings(&said).contains("copy.note"), "{said}");
    alter(Path::new(&note("copy.note")), |bytes| {
        let at = bytes.iter().rposition(|byte| *byte == b'\n').expect("a line") - 6;
        bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
    });
    let (code, said) = verify_dir(&copy, &["--key", key.trim(), "--since", &note("copy.note")]);
    assert_eq!(code, 1, "{said}");
}

/// What only the key's owner could write: checksums, roots and signatures fit, and the log is still not one.
#[test]
fn a_forged_log_that_is_signed_with_the_right_key_is_found_by_its_numbers() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let key = forge::key(1);
    let public = key.public().to_string();
    let honest = forge::honest(600);
    let write = |name: &str, events: &[Forged]| {
        let dir = room.path().join(name);
        forge::write(&dir, &key, events);
        dir
    };
    let base = write("honest", &honest);
    let (code, said) = verify_dir(&base, &["--key", &public]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(said["tenants"], 2);

    let forged = |change: &dyn Fn(&mut Vec<Forged>)| {
        let mut events = honest.clone();
        change(&mut events);
        events
    };
    for (name, events, names) in [
        ("a number left out", forged(&|events| events[305].tenant_seq += 1), "event 305: it is number"),
        ("a number twice", forged(&|events| events[305].tenant_seq -= 1), "event 305: it is number"),
        ("an event removed", forged(&|events| drop(events.remove(305))), "it is number"),
        ("two events swapped", forged(&|events| events.swap(304, 305)), "event 304: "),
        ("time going back", forged(&|events| events[305].received_ms = 5), "event 305: it was received"),
        ("time running ahead", forged(&|events| events[305].received_ms += 10_000), "event 306: it was received"),
        ("an unknown kind", forged(&|events| events[305].kind = 9), "event 305: kind 9"),
        ("no UTF-8", forged(&|events| events[305].body[10] = 0xff), "event 305: the body is not UTF-8"),
        (
            "no JSON",
            forged(&|events| assert!(events[305].body.pop().is_some())),
            "event 305: the body is not an event's",
        ),
        ("a body of nobody", forged(&|events| events[305].body = b"{}".to_vec()), "event 305: the body is not"),
        ("another tenant's body", forged(&|events| events[305].body = events[306].body.clone()), "event 305: "),
    ] {
        let dir = write(&name.replace(' ', "-"), &events);
        let (code, said) = verify_dir(&dir, &["--key", &public]);
        assert_eq!(code, 1, "{name}: {said}");
        let found = findings(&said);
        assert!(found.contains(names) && found.contains("segment 200 at byte"), "{name}: {found}");
    }

    // A past that was written anew is a sound log of its own: only a note tells.
    let lie = String::from_utf8(honest[305].body.clone()).expect("UTF-8").replace("u_1", "u_2");
    let anew = write("anew", &forged(&|events| events[305].body = lie.clone().into_bytes()));
    assert_eq!(verify_dir(&anew, &["--key", &public]).0, 0);
    let note = room.path().join("400.note");
    let roots = forge::write(&room.path().join("again"), &key, &honest);
    fs::write(&note, forge::note(&key, 400, roots[400])).expect("write");
    let since = ["--key", &public, "--since", note.to_str().expect("UTF-8")];
    assert_eq!(verify_dir(&base, &since).0, 0);
    let (code, said) = verify_dir(&anew, &since);
    assert_eq!(code, 1, "{said}");
    assert!(findings(&said).contains("the log is not an extension of it"), "{said}");
    segments(&base, &key, &public, room.path());
}

/// Whole segments of a log of three.
fn segments(base: &Path, key: &SignerKey, public: &str, room: &Path) {
    let other = room.join("other");
    forge::write(&other, key, &forge::honest(600));
    let cases = [
        case("the first segment missing", "segment 200", |dir| fs::remove_file(segment(dir, 0)).expect("remove")),
        case("the middle one missing", "(event 200)", |dir| fs::remove_file(segment(dir, 200)).expect("remove")),
        case("the last one missing", "HEAD speaks of 600", |dir| fs::remove_file(segment(dir, 400)).expect("remove")),
        case("two swapped", "not the file's name", |dir| {
            fs::rename(segment(dir, 0), dir.join("x")).expect("rename");
            fs::rename(segment(dir, 200), segment(dir, 0)).expect("rename");
            fs::rename(dir.join("x"), segment(dir, 200)).expect("rename");
        }),
        case("one of another log", "belongs to another log", |dir| {
            fs::copy(segment(&other, 200), segment(dir, 200)).expect("copy");
        }),
        case("a SEAL's root", "segment 0 at byte", |dir| {
            let at = frame_of(&segment(dir, 0), SEAL, 0).at;
            flip(&segment(dir, 0), (at + FRAME + 9) as i64);
        }),
        case("a SEAL's root, resealed", "SEAL", |dir| rewrite(&segment(dir, 0), SEAL, 0, FRAME + 8, &[7; 32])),
        case("a SEAL's digest, resealed", "SEAL", |dir| rewrite(&segment(dir, 0), SEAL, 0, FRAME + 40, &[7; 32])),
        case("a SEAL's table, resealed", "SEAL", |dir| rewrite(&segment(dir, 0), SEAL, 0, FRAME + 84, &[7; 4])),
        case("no SEAL and what was before it altered", "segment 0 at byte", |dir| {
            let at = frame_of(&segment(dir, 0), COMMIT, 9).at;
            alter(&segment(dir, 0), |bytes| bytes.truncate(at));
        }),
        case("a root at the start, resealed", "root", |dir| {
            alter(&segment(dir, 200), |bytes| {
                bytes[50] ^= 1;
                reseal_header(bytes);
            });
        }),
        case("a time of creation under the SEAL, resealed", "segment 200 at byte", |dir| {
            alter(&segment(dir, 200), |bytes| {
                bytes[82] ^= 1;
                reseal_header(bytes);
            });
        }),
        case("bytes behind a SEAL", "segment 0 at byte", |dir| alter(&segment(dir, 0), |bytes| bytes.push(1))),
    ];
    hold(base, &["--key", public], &cases);

    // The end cut off, tree and HEAD with it: what is left is sound, and only somebody who remembers knows.
    let cut = room.join("cut");
    let roots = forge::write(&cut, key, &forge::honest(400));
    let note = room.join("600.note");
    let full = forge::write(&room.join("full"), key, &forge::honest(600));
    assert_eq!(roots[400], full[400]);
    fs::write(&note, forge::note(key, 600, full[600])).expect("write");
    let since = ["--key", public, "--since", note.to_str().expect("UTF-8")];
    assert_eq!(verify_dir(&cut, &since[..2]).0, 0);
    let (code, said) = verify_dir(&cut, &since);
    assert_eq!(code, 1);
    assert!(findings(&said).contains("it speaks of 600 events, the log has 400"), "{said}");
}

#[test]
fn a_server_is_verified_from_outside_and_one_that_changed_the_past_is_found() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let world = World::start();
    let events = demo_events(1_000);
    let lines: Vec<&str> = events.lines().collect();
    world.load(lines[..700].iter().copied());
    let old = room.path().join("700.note");
    fs::write(&old, signed(&world, 700)).expect("write");
    world.load(lines[700..].iter().copied());
    signed(&world, 1_000);
    let key = world.get_json("/v1/log", &[])["public_key"].as_str().expect("a key").to_owned();
    let since = old.to_str().expect("UTF-8");
    let (code, said) = verify(world.url(), &["--key", &key, "--since", since, "--sample", "40", "--seed", "7"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!((&said["size"], &said["bodies"]), (&1_000.into(), &40.into()), "{said}");
    assert!(said["tree_hashes"].as_u64() >= Some(1_003), "{said}");
    assert_eq!(verify(world.url(), &[]).0, 3);

    // Another key, and another log behind the same address.
    let stranger = forge::key(9).public().to_string();
    let (code, said) = verify(world.url(), &["--key", &stranger]);
    assert_eq!(code, 1);
    assert!(findings(&said).contains("/checkpoint"), "{said}");
    let other = World::start();
    other.load(lines.iter().copied());
    signed(&other, 1_000);
    let (code, said) = verify(other.url(), &["--since", since]);
    assert_eq!(code, 1);
    assert!(findings(&said).contains("700.note"), "{said}");
}
