//! What an auditor gets from a running server, and what a start refuses because somebody outside remembers more: checkpoint,
//! tiles, proofs and evidence are checked here with the standard's maths, and by tools that are not ours.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use annals::tree::proof::{verify_consistency, verify_inclusion};
use annals::tree::{Checkpoint, Frontier, Leaf, TlogProof, VerifierKey, commit, leaf_hash, tenant_tag};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::answer::Watermarks;
use crate::data;
use crate::forge;
use crate::world::{World, refused, wait_for};

/// The log's key and newest checkpoint, once everything there is signed.
fn signed(world: &World) -> (VerifierKey, Checkpoint, String) {
    let durable = Watermarks::of(&world.get_json("/v1/events", &[("limit", "1")])).durable;
    wait_for("everything to be signed", || {
        let log = world.get("/v1/log");
        if log.status != 200 {
            return None;
        }
        let log = log.json();
        let key: VerifierKey = log["public_key"].as_str().expect("a key").parse().expect("a key");
        let note = world.get("/checkpoint").expect_status(200).text();
        // Right after a start with another key it is still the one that the old key signed.
        let checkpoint = Checkpoint::verified(&note, &key).ok()?;
        assert_eq!(checkpoint.origin, log["origin"].as_str().expect("origin"));
        (checkpoint.size >= durable).then_some((key, checkpoint, note))
    })
}

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().expect("base64")).expect("base64")
}

fn hashes(value: &Value) -> Vec<[u8; 32]> {
    value.as_array().expect("a list").iter().map(|hash| bytes(hash).try_into().expect("32 bytes")).collect()
}

fn hash(value: &Value) -> [u8; 32] {
    bytes(value).try_into().expect("32 bytes")
}

/// The bytes of a tile of the signed tree, asked for as far as it goes.
fn tile(world: &World, level: &str, n: u64, held: u64) -> Vec<u8> {
    let width = (held - n * 256).min(256);
    let path = format!("/tile/{level}/{:03}{}", n, if width < 256 { format!(".p/{width}") } else { String::new() });
    let answer = world.get(&path).expect_status(200);
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    assert!(answer.header("cache-control").is_some_and(|value| value.contains("immutable")));
    answer.body
}

#[test]
fn every_leaf_and_tile_that_is_served_leads_to_the_signed_root() {
    let world = World::start();
    world.load(data::demo_events(700).lines());
    let (_, checkpoint, _) = signed(&world);
    assert_eq!(checkpoint.size, 700);
    let (mut frontier, mut of_tenants) = (Frontier::new(), HashMap::<[u8; 16], u64>::new());
    let mut last_received_ms = 0;
    for n in 0..3 {
        let bundle = tile(&world, "entries", n, 700);
        let leaf_hashes = tile(&world, "0", n, 700);
        let entries: Vec<&[u8]> = bundle.chunks(68).collect();
        assert_eq!(entries.len(), leaf_hashes.len() / 32);
        for (entry, leaf_hash_served) in entries.into_iter().zip(leaf_hashes.chunks(32)) {
            assert_eq!(entry[..2], 66u16.to_be_bytes());
            assert_eq!(leaf_hash(&entry[2..]), leaf_hash_served);
            let leaf = Leaf::decode(&entry[2..]).expect("a leaf");
            let next = of_tenants.entry(leaf.tenant_tag).or_default();
            assert_eq!(leaf.tenant_seq, *next, "a tenant's numbers have no gap");
            *next += 1;
            assert!(leaf.received_ms >= last_received_ms);
            last_received_ms = leaf.received_ms;
            frontier.push(leaf.hash());
        }
    }
    assert_eq!(frontier.root(), checkpoint.root);
    assert_eq!(tile(&world, "1", 0, 2).len(), 64);
    let beyond = ["/tile/0/003", "/tile/0/002.p/189", "/tile/0/002", "/tile/1/000", "/tile/2/000.p/1", "/tile/64/000"];
    for path in beyond.iter().chain(&[
        "/tile/0/0",
        "/tile/entries/002.p/0",
        "/tile/entries/002.p/189",
        "/tile/-1/000",
        "/tile/0/x000/000",
    ]) {
        world.get(path).expect_status(404);
    }
}

#[test]
fn an_entry_is_proven_by_its_bytes_alone() {
    let world = World::start();
    world.load(data::demo_events(300).lines());
    let event = json!({"id": "proven", "tenant": "acme", "actor": "system", "action": "contact.deleted", "detail": {"n": 1.50}});
    let receipt = world.post(&event).expect_status(201).receipts()[0].clone();
    // Asked for at once it waits until a checkpoint covers it, though not for ever.
    let evidence = wait_for("the evidence", || {
        let answer = world.get("/v1/events/proven/evidence");
        (answer.status == 200).then(|| answer.json())
    });
    let (key, _, _) = signed(&world);
    let checkpoint = Checkpoint::verified(evidence["checkpoint"].as_str().expect("a note"), &key).expect("signed");
    let (leaf, salt, body) = (bytes(&evidence["leaf"]), bytes(&evidence["salt"]), bytes(&evidence["body"]));
    let parsed = Leaf::decode(&leaf).expect("a leaf");
    assert_eq!(parsed.commit, commit(&salt.try_into().expect("16 bytes"), &body), "the leaf binds the body");
    assert_eq!(parsed.tenant_tag, tenant_tag("acme"));
    assert_eq!(parsed.tenant_seq, 0);
    let body: Value = serde_json::from_slice(&body).expect("the body is JSON");
    assert_eq!((&body["id"], &body["action"]), (&json!("proven"), &json!("contact.deleted")));
    assert_eq!(evidence["seq"], receipt.seq);
    let hex: String = leaf_hash(&leaf).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, receipt.hash, "the receipt named this leaf");
    let proof = hashes(&evidence["proof"]);
    assert!(verify_inclusion(&leaf_hash(&leaf), receipt.seq, checkpoint.size, &proof, &checkpoint.root));

    let answer = world.get("/v1/events/@300/proof").expect_status(200);
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    let text = TlogProof::parse(&answer.text()).expect("a tlog-proof");
    assert_eq!(text.index, receipt.seq);
    let checkpoint = Checkpoint::verified(&text.checkpoint, &key).expect("signed");
    assert!(verify_inclusion(&leaf_hash(&leaf), text.index, checkpoint.size, &text.hashes, &checkpoint.root));
    for (path, status) in [
        ("/v1/events/none/proof", 404),
        ("/v1/events/@301/evidence", 404),
        ("/v1/events/@x/proof", 400),
        ("/v1/events/@300/proof?colour=blue", 400),
    ] {
        world.get(path).expect_status(status);
    }
}

#[test]
fn an_older_size_of_the_log_is_shown_to_be_its_beginning() {
    let world = World::start();
    world.load(data::demo_events(100).lines());
    let (key, old, _) = signed(&world);
    let line = json!({"actor": "system", "action": "tree.grows"}).to_string();
    world.load((0..200).map(|_| line.as_str()));
    let (_, new, _) = signed(&world);
    let answer = world.get_json("/v1/consistency", &[("from", "100")]);
    let (from, to) = (&answer["from"], &answer["to"]);
    assert_eq!((from["size"].as_u64(), hash(&from["root"])), (Some(100), old.root));
    assert_eq!((to["size"].as_u64(), hash(&to["root"])), (Some(300), new.root));
    assert!(verify_consistency(100, 300, &old.root, &new.root, &hashes(&answer["proof"])));
    Checkpoint::verified(answer["checkpoint"].as_str().expect("a note"), &key).expect("signed");
    let part = world.get_json("/v1/consistency", &[("from", "7"), ("to", "100")]);
    assert!(verify_consistency(7, 100, &hash(&part["from"]["root"]), &old.root, &hashes(&part["proof"])));
    for (params, status) in [
        (vec![("from", "301")], 400),
        (vec![("from", "5"), ("to", "301")], 503),
        (vec![("from", "-1")], 400),
        (vec![], 400),
    ] {
        world.ask("/v1/consistency", &params).expect_status(status);
    }
}

#[test]
fn the_key_is_made_once_and_a_log_signed_with_another_one_is_not_signed_over() {
    let mut world = World::start();
    world.load(data::demo_events(20).lines());
    let (key, checkpoint, note) = signed(&world);
    let secret = world.dir().join("signing.key");
    assert_eq!(std::fs::metadata(&secret).expect("the key").permissions().mode() & 0o777, 0o400);
    assert_eq!(std::fs::read_to_string(world.dir().join("public.key")).expect("the key").trim(), key.to_string());
    // It is kept a moment after it is served.
    let kept = wait_for("the kept note", || std::fs::read_to_string(world.dir().join("checkpoints/20.note")).ok());
    assert_eq!(kept, note);
    world.terminate();
    world.restart();
    assert_eq!(signed(&world), (key.clone(), checkpoint.clone(), note), "nothing new is signed for nothing new");
    world.terminate();

    let kept = std::fs::read(&secret).expect("the key");
    std::fs::remove_file(&secret).expect("removed");
    let (code, said) = refused(world.dir(), &[]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("signing.key") && said.contains("--accept-new-key"), "{said}");
    assert!(!secret.exists(), "no key is made where one is missing");
    world.set("ANNALS_ACCEPT_NEW_KEY", "1");
    world.restart();
    let (other, again, _) = signed(&world);
    assert_ne!(other, key);
    world.terminate();
    world.set("ANNALS_ACCEPT_NEW_KEY", "0");
    world.restart();
    assert_eq!(signed(&world).0, other, "accepted once, it is the log's key");
    assert_eq!((again.size, again.root), (checkpoint.size, checkpoint.root));
    world.terminate();
    // The note that the old key signed is no finding: that the key was replaced is written down.
    let (dir, other) = (world.dir().to_str().expect("UTF-8").to_owned(), other.to_string());
    let verified = World::annals(&["verify", &dir, "--key", &other], b"");
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert_eq!(verified.status.code(), Some(0), "{said}");
    assert!(said.contains("checkpoints/20.note is signed by") && said.contains("which was replaced"), "{said}");
    let replaced = world.dir().join("replaced.keys");
    assert_eq!(std::fs::read_to_string(&replaced).expect("the replaced key").trim(), key.to_string());
    std::fs::remove_file(&replaced).expect("removed");
    let verified = World::annals(&["verify", &dir, "--key", &other], b"");
    assert_eq!(verified.status.code(), Some(1), "{}", String::from_utf8_lossy(&verified.stdout));

    std::fs::remove_file(&secret).expect("removed");
    std::fs::write(&secret, kept).expect("the old key");
    let (code, said) = refused(world.dir(), &[("ANNALS_ORIGIN", "another.example/log")]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another.example/log"), "{said}");
    std::fs::remove_file(&secret).expect("removed");
    std::fs::write(&secret, "nonsense").expect("written");
    let (code, said) = refused(world.dir(), &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no usable key") && !said.contains("nonsense"), "{said}");
}

#[test]
fn an_older_copy_of_the_directory_is_recognised_by_a_note_kept_elsewhere() {
    let outside = tempfile::tempdir().expect("a directory");
    let note = outside.path().join("newest.note");
    let remembered = [("ANNALS_LAST_NOTE", note.to_str().expect("a path"))];
    let mut world = World::start_with(&remembered);
    world.load(data::demo_events(30).lines());
    signed(&world);
    world.terminate();
    let old = outside.path().join("old");
    forge::copy(world.dir(), &old);
    world.restart();
    world.load(data::demo_events(60).lines().skip(30));
    signed(&world);
    world.terminate();
    world.restart();
    world.terminate();

    let (code, said) = refused(&old, &remembered);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("60 events") && said.contains("holds 30") && said.contains("older copy"), "{said}");
    // Whoever does not ask goes on from there; what is signed then is a fork, and the note shows it.
    let fork = World::start_at(&old, &[]);
    let line = json!({"actor": "system", "action": "tree.forks"}).to_string();
    fork.load((0..50).map(|_| line.as_str()));
    signed(&fork);
    drop(fork);
    let (code, said) = refused(&old, &remembered);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("another root"), "{said}");
    std::fs::write(&note, "no note\n").expect("written");
    let (code, said) = refused(&old, &remembered);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("holds no checkpoint"), "{said}");
}

#[test]
fn a_tree_that_does_not_begin_with_what_was_signed_is_never_signed() {
    let world = World::start();
    world.load(data::demo_events(200).lines());
    let (_, checkpoint, _) = signed(&world);
    let path = world.dir().join("tree/L0");
    let mut leaves = std::fs::read(&path).expect("the leaves");
    leaves[5 * 32] ^= 1;
    std::fs::write(&path, leaves).expect("written");
    world.post(&json!({"id": "after", "actor": "system", "action": "tree.altered"})).expect_status(201);
    let reason = wait_for("the refusal to sign", || {
        let ready = world.get("/readyz");
        (ready.status == 503).then(|| ready.json()["reasons"].to_string())
    });
    assert!(reason.contains("does not begin with the 200 events"), "{reason}");
    assert_eq!(
        Checkpoint::parse(world.get("/checkpoint").text().split_inclusive('\n').take(3).collect::<String>().as_str()),
        Some(checkpoint)
    );
    world.get("/v1/events/after").expect_status(200);
    world.get("/v1/events/after/proof").expect_status(503);
}

#[test]
fn tools_that_are_not_ours_verify_a_running_server_and_refuse_what_was_altered() {
    let Some(python) = interop_python() else {
        return;
    };
    let world = World::start();
    world.load(data::demo_events(66_000).lines());
    let (_, checkpoint, _) = signed(&world);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/tlog_check.py");
    let done = Command::new(python).arg(script).args([world.url(), "4711", "257"]).output().expect("python runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&done.stdout).expect("a report");
    assert_eq!(report["size"], checkpoint.size);
    for tool in ["aics-tlog", "tlog-scales", "openssl"] {
        assert!(report["refused"][tool].as_u64() >= Some(20), "{report}");
    }
}

/// The Python that `make tools` equips with other people's verifiers; `None`, loudly, if it could not.
fn interop_python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop/bin/python");
    if !python.exists() {
        data::skipped(&format!("no verifiers of other people in {} (make tools)", python.display()));
        return None;
    }
    Some(python)
}
