//! A disk that is full answers 507, loses nothing that was acked, goes on answering questions, and takes events again when
//! space returns. What the log says about itself is written all the same, from a reserve. Small tmpfs are filled for real (root
//! only), one of 64 MiB again and again (20 times with ANNALS_SOAK=1, else twice); one test meets the limit that stops earlier.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::access::{Holder, wrong_key};
use crate::data::{self, skipped};
use crate::forge;
use crate::world::{self, World};

/// A tmpfs that is unmounted at the end.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    /// Mounts one, or says why not.
    fn mount(size: &str) -> Result<SmallDisk, String> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .output()
            .map_err(|error| format!("mount does not start: {error}"))?;
        match mount.status.success() {
            true => Ok(SmallDisk { dir }),
            false => Err(String::from_utf8_lossy(&mount.stderr).trim().to_owned()),
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that is just being killed may still have files open.
        if let Err(error) = Command::new("umount").arg("-l").arg(self.dir.path()).status() {
            eprintln!("umount {}: {error}", self.dir.path().display());
        }
    }
}

/// 200 events of 2 KiB that compress badly.
fn batch(number: usize) -> String {
    (0..200)
        .map(|n| {
            let noise: String = (0..64).map(|k| format!("{:016x}", hash(number as u64, n * 64 + k))).collect();
            let event = json!({"id": format!("full-{number}-{n}"), "actor": "system", "action": "disk.filled", "detail": {"noise": noise, "more": "y".repeat(900)}});
            format!("{event}\n")
        })
        .collect()
}

fn hash(a: u64, b: u64) -> u64 {
    (a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_add(1).wrapping_mul(0xbf58_476d_1ce4_e5b9))
        .wrapping_mul(0x94d0_49bb_1331_11eb)
}

#[test]
fn a_full_disk_answers_507_and_recovers_when_space_returns() {
    let disk = match SmallDisk::mount("96m") {
        Ok(disk) => disk,
        Err(why) => return skipped(&format!("a full disk: no tmpfs can be mounted ({why})")),
    };
    // Space that "someone else" uses and later frees; more than two steps of preallocation.
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![7u8; 48 << 20]).expect("write the ballast");
    let mut world = World::start_at(&disk.path().join("data"), &[("ANNALS_FREE_BYTES_MIN", "0")]);
    let mut acked = 0;
    let refused = (0..2_000).find_map(|number| {
        let answer = world.post_ndjson(&batch(number));
        match answer.status {
            201 => {
                acked = number + 1;
                None
            }
            _ => Some((number, answer)),
        }
    });
    let (number, answer) = refused.expect("96 MiB are never full");
    assert_eq!(answer.status, 507, "{}", answer.text());
    assert!(answer.problem().codes().contains(&"disk_full"), "{}", answer.text());
    assert!(acked > 0);
    let durable = acked as u64 * 200;

    // Full again and again, and still answering.
    for _ in 0..3 {
        world.post_ndjson(&batch(number)).expect_status(507);
    }
    assert_eq!(world.watermarks().durable, durable);
    assert_eq!(world.get_json("/v1/events/@0", &[])["id"], "full-0-0");
    world.get("/healthz").expect_status(200);

    std::fs::remove_file(&ballast).expect("free the space");
    // The server may look at the free space only now and then.
    world::wait_for("the server to take events again", || {
        (world.post_ndjson(&batch(number)).status != 507).then_some(())
    });
    world.post_ndjson(&batch(number)).expect_status(200);
    world.settle();
    assert_eq!(world.count("action:\"disk.filled\""), durable + 200);
    let before = world.feed(&[], 1_000);

    world.kill();
    world.restart();
    world.settle();
    let after = world.feed(&[("q", "action:\"disk.filled\"")], 1_000);
    assert_eq!(after, before, "the log is not what was acked");
}

#[test]
fn below_the_limit_of_free_space_events_get_507_early_and_questions_are_answered() {
    let mut world = World::start();
    world.load(data::demo_events(10).lines());
    assert!(world.terminate().success());
    let pebibyte = (1u64 << 50).to_string();
    world.set("ANNALS_FREE_BYTES_MIN", &pebibyte);
    world.restart_without_waiting();
    let answer = world::wait_for("an answer about the disk", || {
        let answer = world.post(&json!({"actor": "system", "action": "a.b"}));
        (answer.status != 503).then_some(answer)
    });
    assert!(answer.expect_status(507).problem().codes().contains(&"disk_full"));
    world.settle();
    assert_eq!(world.count(""), 10);
    assert!(world.terminate().success());
    world.set("ANNALS_FREE_BYTES_MIN", "0");
    world.restart();
    world.post(&json!({"actor": "system", "action": "a.b"})).expect_status(201);
}

/// Takes all the room that is left, beside what it took before.
fn fill(path: &Path) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("opened");
    for piece in [1 << 20, 64 << 10, 4 << 10, 1 << 10, 64] {
        while std::io::Write::write_all(&mut file, &vec![7u8; piece]).is_ok() {}
    }
}

#[test]
fn on_a_disk_without_a_free_byte_a_cut_tail_is_still_kept_and_entered_in_the_log() {
    let disk = match SmallDisk::mount("64m") {
        Ok(disk) => disk,
        Err(why) => return skipped(&format!("the reserve: no tmpfs can be mounted ({why})")),
    };
    let dir = disk.path().join("data");
    let mut world = World::start_at(&dir, &[("ANNALS_FREE_BYTES_MIN", "0")]);
    let mut acked = 0;
    for number in 0..3 {
        world.post_ndjson(&batch(number)).expect_status(201);
        acked += 200;
    }
    world.settle();
    let reserve = dir.join("reserve");
    assert_eq!(std::fs::metadata(&reserve).expect("the reserve").len(), 4 << 20);
    world.kill();
    // Half a batch behind the last whole one, where room was reserved; then the disk is filled to the last byte.
    forge::alter(&forge::segment(&dir, 0), |bytes| {
        let end = forge::frames(bytes).last().expect("frames").end;
        assert!(bytes.len() > end + 4096, "no room was reserved");
        bytes[end..end + 300].fill(9);
        bytes.truncate(end + 4096);
    });
    fill(&disk.path().join("ballast"));
    world.restart_without_waiting();
    let answer = world::wait_for("an answer about the disk", || {
        let answer = world.post_ndjson(&batch(9));
        (answer.status != 503).then_some(answer)
    });
    assert!(answer.expect_status(507).problem().codes().contains(&"disk_full"));
    world.settle();
    assert_eq!(world.count("action:\"log.recovered\""), 1);
    assert_eq!(world.watermarks().durable, acked + 1);
    assert!(!reserve.exists(), "it was not needed");
    assert_eq!(std::fs::read_dir(dir.join("quarantine")).expect("quarantine").count(), 1);
    // Events have to wait until the reserve is there again.
    std::fs::remove_file(disk.path().join("ballast")).expect("free the space");
    world::wait_for("the server to take events again", || (world.post_ndjson(&batch(9)).status != 507).then_some(()));
    assert_eq!(std::fs::metadata(&reserve).expect("the reserve").len(), 4 << 20);
    world.settle();
    assert_eq!(world.count("action:\"disk.filled\""), acked + 200);
}

#[test]
fn what_was_refused_while_nothing_can_be_entered_is_told_of_later_to_the_last() {
    let disk = match SmallDisk::mount("64m") {
        Ok(disk) => disk,
        Err(why) => return skipped(&format!("entries on a full disk: no tmpfs can be mounted ({why})")),
    };
    let dir = disk.path().join("data");
    let mut world = World::to_be_guarded(dir.clone(), None);
    // Short segments: what is reserved for one is soon used up.
    let settings = [("FREE_BYTES_MIN", "0"), ("SEGMENT_EVENTS", "64"), ("TRUST_PROXY", "1"), ("STRANGERS_PER_S", "0")];
    for (name, value) in settings {
        world.set(&format!("ANNALS_{name}"), value);
    }
    world.restart();
    let (ballast, wrong) = (disk.path().join("ballast"), format!("Bearer {}", wrong_key()));
    let knock = |world: &World, place: u32| {
        for _ in 0..3 {
            let from = std::net::Ipv4Addr::from(0x0a00_0000 + place).to_string();
            let headers = [("x-forwarded-for", &*from), ("authorization", &wrong)];
            let answer = world.call("GET", "/v1/events", &headers, b"").expect("an answer");
            answer.expect_status(401);
        }
    };
    let places = 400;
    let ask = |world: &World, path: &str| Holder { world, key: Some(world.key().to_owned()) }.get(path).ok().json();
    for place in 0..places {
        fill(&ballast);
        knock(&world, place);
        if place % 20 == 0 {
            // Whoever makes room must be able to look.
            ask(&world, "/v1/events?q=whodunit&limit=1");
        }
    }
    let told = world.watermarks().durable;
    assert!(told < places.into(), "a disk without a free byte had room for {told} entries");
    std::fs::remove_file(&ballast).expect("free the space");
    let entries = |world: &World, action: &str| {
        let entries = ask(world, &format!("/v1/events?q=action:{action}&limit=1000"));
        assert_eq!(entries["next_cursor"], json!(null), "there are more pages");
        entries["events"].as_array().expect("events").clone()
    };
    // By itself, and not at the next sign-in or the end.
    world::wait_for("each place to be told of", || {
        let entries = entries(&world, "auth.sign_in_failed");
        let told: HashSet<&str> = entries.iter().filter_map(|entry| entry["context"]["ip"].as_str()).collect();
        (told.len() == places as usize).then_some(())
    });
    assert!(world.terminate().success());
    world.restart();
    world.settle();
    let sum = |entries: Vec<Value>| entries.iter().filter_map(|entry| entry["detail"]["count"].as_u64()).sum::<u64>();
    assert_eq!(sum(entries(&world, "auth.sign_in_failed")), 3 * u64::from(places));
    let mut looks = entries(&world, "audit.searched");
    looks.retain(|entry| entry["detail"]["query"] == "whodunit");
    assert_eq!(sum(looks), u64::from(places / 20));
}

#[test]
fn a_disk_that_is_filled_and_freed_again_and_again_keeps_what_was_acked_and_nothing_else() {
    let disk = match SmallDisk::mount("64m") {
        Ok(disk) => disk,
        Err(why) => return skipped(&format!("filling a disk again and again: no tmpfs can be mounted ({why})")),
    };
    let settings = [("ANNALS_FREE_BYTES_MIN", "0"), ("ANNALS_SEGMENT_EVENTS", "1000")];
    let mut world = World::start_at(&disk.path().join("data"), &settings);
    let ballast = disk.path().join("ballast");
    let mut acked: Vec<String> = Vec::new();
    // 100 events that seal to next to nothing, so that the disk is full of what is freed again.
    let mut number = 0;
    let mut post = |world: &World, acked: &mut Vec<String>| {
        let ids: Vec<String> = (0..100).map(|n| format!("r{number}-{n}")).collect();
        number += 1;
        let lines: String = ids
            .iter()
            .map(|id| {
                format!(
                    "{}\n",
                    json!({"id": id, "actor": "system", "action": "disk.filled", "detail": {"more": "y".repeat(2_000)}})
                )
            })
            .collect();
        let answer = world.post_ndjson(&lines);
        match answer.status {
            201 => acked.extend(ids),
            503 => {}
            507 => assert!(answer.problem().codes().contains(&"disk_full"), "{}", answer.text()),
            status => panic!("{status}: {}", answer.text()),
        }
        answer.status
    };
    let rounds = if world::is_soak() { 20 } else { 2 };
    for round in 0..rounds {
        world::tell("full disks", round, rounds);
        let refused = (0..500).find(|_| {
            // What a segment gives back when it ends, or is sealed, is taken by somebody else.
            fill(&ballast);
            post(&world, &mut acked) == 507
        });
        assert!(refused.is_some(), "round {round}: a full disk was never full");
        assert_eq!(post(&world, &mut acked), 507, "round {round}");
        assert_eq!(world.watermarks().durable, acked.len() as u64, "round {round}");
        assert_eq!(world.get_json("/v1/events/@0", &[])["id"], "r0-0");
        if round % 2 == 0 {
            // Also a start on the full disk.
            world.kill();
            world.restart_without_waiting();
        }
        std::fs::remove_file(&ballast).expect("free the space");
        world::wait_for("the server to take events again", || (post(&world, &mut acked) == 201).then_some(()));
        // Sealing failed meanwhile, and is tried at once by a start.
        assert!(world.terminate().success());
        world.restart();
        let finished = acked.len() as u64 / 1_000 * 1_000;
        world::wait_for("finished segments to be sealed", || (world.watermarks().sealed >= finished).then_some(()));
    }
    world.settle();
    let there: Vec<String> =
        world.feed(&[], 1_000).iter().map(|entry| entry["id"].as_str().expect("id").to_owned()).collect();
    assert!(there == acked, "{} are there, {} were acked", there.len(), acked.len());
}

#[test]
fn a_person_is_erased_also_where_no_event_has_room() {
    let disk = match SmallDisk::mount("64m") {
        Ok(disk) => disk,
        Err(why) => return skipped(&format!("an erasure on a full disk: no tmpfs can be mounted ({why})")),
    };
    let settings = [("ANNALS_FREE_BYTES_MIN", "0"), ("ANNALS_PURGE_AFTER_S", "0")];
    let mut world = World::start_at(&disk.path().join("data"), &settings);
    let event = json!({"id": "ev_1", "actor": "system", "action": "contact.updated",
        "target": {"type": "contact", "id": "c_1", "name": "Quillwort"}});
    world.post(&event).expect_status(201);
    world.settle();
    assert_eq!(world.count("Quillwort"), 1);
    fill(&disk.path().join("ballast"));
    let full = (0..100).map(|number| world.post_ndjson(&batch(number)).status).find(|status| *status == 507);
    assert_eq!(full, Some(507));
    let json = [("content-type", "application/json")];
    let wanted = br#"{"subject":{"type":"contact","id":"c_1"}}"#;
    world.call("POST", "/v1/erasures", &json, wanted).expect("an answer").expect_status(202);
    let entry = world.get_json("/v1/events/ev_1", &[]);
    assert_eq!(entry["personal"], json!({"content": "erased"}), "{entry}");
    world::wait_for("the request to be searchable", || (world.count("action:erasure.requested") == 1).then_some(()));
    assert_eq!(world.count("Quillwort"), 0);
    std::fs::remove_file(disk.path().join("ballast")).expect("space returns");
    world::wait_for("the purge", || (world.count("action:erasure.done") == 1).then_some(()));
    assert_eq!(world.count("Quillwort"), 0);
    world.terminate();
}
