//! Two machines, here two processes: a log has its checkpoints cosigned, and an older copy of it is recognised by what the
//! witness remembers.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use annals::tree::{Checkpoint, Note, VerifierKey};
use serde_json::json;

use crate::data;
use crate::forge;
use crate::world::{ANNALS, World, refused, wait_for};

/// A running witness; it ends with the test.
struct Witness {
    child: Child,
    url: String,
    key: String,
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Witness {
    fn start(dir: &Path, log: &str) -> Witness {
        let mut child = Command::new(ANNALS)
            .args(["witness", "--name", "witness.example/1", "--listen", "127.0.0.1:0", "--log", log, "--data"])
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the witness starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut after = |prefix: &str| {
            let line = lines.next().expect("a line").expect("a line");
            line.strip_prefix(prefix).unwrap_or_else(|| panic!("{line:?}")).to_owned()
        };
        let (url, key) = (after("listening on "), after("cosigning as "));
        Witness { child, url, key }
    }

    fn environment(&self) -> [(&str, &str); 2] {
        [("ANNALS_WITNESS", &self.url), ("ANNALS_WITNESS_KEY", &self.key)]
    }
}

/// Waits until the witness has signed all that is there.
fn cosigned(world: &World, witness: &Witness, size: u64) {
    let key: VerifierKey = witness.key.parse().expect("a key");
    wait_for("the cosignature", || {
        let log = world.get_json("/v1/log", &[]);
        let note = log["cosigned"].as_str()?;
        let parsed = Note::parse(note).expect("a note");
        let cosigned_s = key.verify(&parsed).expect("the witness's signature").expect("a time");
        assert!(cosigned_s > 1_700_000_000);
        let own: VerifierKey = log["public_key"].as_str().expect("a key").parse().expect("a key");
        (Checkpoint::verified(note, &own).expect("the log's signature").size == size).then_some(())
    });
}

#[test]
fn a_witness_signs_what_grows_and_an_older_copy_does_not_start() {
    let outside = tempfile::tempdir().expect("a directory");
    let mut world = World::start();
    world.load(data::demo_events(40).lines());
    let key = world.get_json("/v1/log", &[])["public_key"].as_str().expect("a key").to_owned();
    let witness = Witness::start(&outside.path().join("witness"), &key);
    world.terminate();
    let old = outside.path().join("old");
    forge::copy(world.dir(), &old);
    for (name, value) in witness.environment() {
        world.set(name, value);
    }
    // Asked at the start, and again as the log grows.
    world.restart();
    cosigned(&world, &witness, 40);
    world.load(data::demo_events(100).lines().skip(40));
    cosigned(&world, &witness, 100);
    world.terminate();
    world.restart();
    cosigned(&world, &witness, 100);
    world.terminate();

    let (code, said) = refused(&old, &witness.environment());
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("remembers 100 entries") && said.contains("40 signed ones"), "{said}");
    // Another history of the same length and more, signed with the same key.
    let fork = World::start_at(&old, &[]);
    let line = json!({"actor": "system", "action": "tree.forks"}).to_string();
    fork.load((0..90).map(|_| line.as_str()));
    wait_for("the fork to be signed", || (fork.get_json("/v1/log", &[])["watermarks"]["signed"] == 130).then_some(()));
    drop(fork);
    let (code, said) = refused(&old, &witness.environment());
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("does not begin with the 100"), "{said}");
}

#[test]
fn a_log_goes_on_without_its_witness_and_half_a_setting_is_refused() {
    let outside = tempfile::tempdir().expect("a directory");
    let mut world = World::start();
    world.load(data::demo_events(10).lines());
    let key = world.get_json("/v1/log", &[])["public_key"].as_str().expect("a key").to_owned();
    let witness = Witness::start(&outside.path().join("witness"), &key);
    let (url, cosigner) = (witness.url.clone(), witness.key.clone());
    drop(witness);
    world.terminate();
    world.set("ANNALS_WITNESS", &url);
    world.set("ANNALS_WITNESS_KEY", &cosigner);
    world.restart();
    world.post(&json!({"id": "alone", "actor": "system", "action": "tree.grows"})).expect_status(201);
    world.settle();
    assert!(world.get_json("/v1/log", &[])["cosigned"].is_null());
    world.terminate();
    let (code, said) = refused(world.dir(), &[("ANNALS_WITNESS", &url)]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("set together"), "{said}");
    // A log's key is not a witness's.
    let (code, said) = refused(world.dir(), &[("ANNALS_WITNESS", &url), ("ANNALS_WITNESS_KEY", &key)]);
    assert_eq!(code, Some(2), "{said}");
}
