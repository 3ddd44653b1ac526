//! A disk that is full answers 507, loses nothing that was acked, goes on answering questions, and takes events again when
//! space returns. The first test fills a small tmpfs for real (root only); the second meets the limit that stops earlier.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::data::{self, skipped};
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
