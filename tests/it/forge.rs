//! A log written by hand: what somebody with the signing key and a free afternoon could make. Tests of `annals verify` forge
//! with it what no server writes, and alter what a server wrote so that the checksums still fit.

use std::fs;
use std::path::{Path, PathBuf};

use annals::durable::OsDisk;
use annals::log::{self, Framed, Options, Parts, Payload};
use annals::tree::tenants::Numbers;
use annals::tree::{Checkpoint, Frontier, Hash, KeyKind, Leaf, SignerKey, Tenants, Tiles, commit, tenant_tag};
use annals::verify::{Growth, Nothing, Replay};

/// Bytes of a segment's header, and of a frame's.
pub const HEADER: usize = 4096;
pub const FRAME: usize = 32;

/// One event of a forged log.
#[derive(Clone)]
pub struct Forged {
    pub kind: u8,
    pub received_ms: u64,
    pub tenant: String,
    pub tenant_seq: u64,
    pub body: Vec<u8>,
}

/// `n` honest events of two tenants.
pub fn honest(n: u64) -> Vec<Forged> {
    (0..n)
        .map(|i| {
            let tenant = if i % 3 == 0 { "umbra" } else { "acme" };
            let tenant_seq = if i % 3 == 0 { i / 3 } else { i - i / 3 - 1 };
            let body = format!(
                r#"{{"id":"e{i}","time":"2026-11-20T13:32:07.{:03}Z","tenant":"{tenant}","actor":{{"type":"user","id":"u_1"}},"action":"contact.viewed","outcome":"success"}}"#,
                i % 1_000
            );
            Forged {
                kind: 1,
                received_ms: 1_795_000_000_000 + i,
                tenant: tenant.into(),
                tenant_seq,
                body: body.into_bytes(),
            }
        })
        .collect()
}

/// The key that signs forged logs.
pub fn key(seed: u8) -> SignerKey {
    SignerKey::new("annals/forged", KeyKind::Log, &[seed; 32]).expect("a key")
}

/// A signed checkpoint.
pub fn note(key: &SignerKey, size: u64, root: Hash) -> String {
    let text = Checkpoint { origin: key.public().name().to_owned(), size, root }.to_text();
    format!("{text}\n{}", key.sign(&text, 0))
}

/// Writes a log of these events in batches of 20 and segments of 200, signed at its end; answers the roots at all sizes.
pub fn write(dir: &Path, key: &SignerKey, events: &[Forged]) -> Vec<Hash> {
    fs::create_dir_all(dir).expect("a directory");
    let disk = OsDisk::shared();
    let (mut nothing, mut quiet) = (Nothing, |_| {});
    let mut replay = Replay::new(Growth::new([], &mut nothing), &mut quiet);
    let options = Options { preallocate_bytes: 64 << 10, ..Options::default() };
    let opened = log::open(disk.clone(), dir, &options, &mut replay).expect("a new log");
    let mut writer = opened.writer.expect("a writer");
    let tree = dir.join("tree");
    let mut tiles = Tiles::open(disk.clone(), &tree).expect("tiles");
    tiles.truncate(0).expect("tiles");
    let (mut frontier, mut tenants) = (Frontier::new(), Tenants::new());
    let mut roots = vec![frontier.root()];
    for batch in events.chunks(20) {
        if writer.size().0 > 0 && writer.size().0.is_multiple_of(200) {
            tenants.save(&*disk, &tree).expect("tenants");
            writer.roll(&frontier.root()).expect("a new segment");
        }
        let (mut payloads, mut leaves, mut numbers) = (Vec::new(), Vec::new(), Numbers::default());
        for event in batch {
            let salt = [event.received_ms as u8; 16];
            let (kind, received_ms, tenant_seq) = (event.kind, event.received_ms, event.tenant_seq);
            let mut payload = Vec::new();
            Payload { kind, received_ms, tenant_seq, salt, body: &event.body, parts: Parts::NONE }.encode(&mut payload);
            payloads.push(payload);
            let tenant_tag = tenant_tag(&event.tenant);
            tenants.next(&mut numbers, tenant_tag);
            let leaf = Leaf { kind, received_ms, tenant_tag, tenant_seq, commit: commit(&salt, &event.body) };
            leaves.push(leaf.hash());
            frontier.push(leaf.hash());
            roots.push(frontier.root());
        }
        let framed: Vec<Framed<'_>> = payloads.iter().map(|payload| Framed { flags: 0, payload }).collect();
        writer.append(&framed, &frontier.root(), 1, 0).expect("a batch");
        tiles.append(&leaves).expect("tiles");
        tenants.accept(numbers);
    }
    let size = events.len() as u64;
    for _ in 0..2 {
        writer.write_head(&note(key, size, frontier.root())).expect("HEAD");
    }
    fs::write(dir.join("public.key"), format!("{}\n", key.public())).expect("public.key");
    keep_note(dir, &note(key, size / 2, roots[size as usize / 2]), size / 2);
    roots
}

/// Puts a note among those that the directory keeps.
pub fn keep_note(dir: &Path, note: &str, size: u64) {
    fs::create_dir_all(dir.join("checkpoints")).expect("a directory");
    fs::write(dir.join(format!("checkpoints/{size}.note")), note).expect("a note");
}

/// The file of the segment that begins at this event.
pub fn segment(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("log/{first:020}.log"))
}

/// A frame in a segment's bytes.
#[derive(Clone, Copy)]
pub struct Frame {
    pub at: usize,
    pub kind: u8,
    pub payload: usize,
    pub end: usize,
}

/// All frames of a segment, as its lengths say.
pub fn frames(bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut at = HEADER;
    while bytes.get(at..at + 4) == Some(b"ALF1".as_slice()) {
        let payload = u32::from_le_bytes(bytes[at + 20..at + 24].try_into().expect("four bytes")) as usize;
        let end = (at + FRAME + payload).next_multiple_of(8);
        frames.push(Frame { at, kind: bytes[at + 4], payload, end });
        at = end;
    }
    frames
}

/// Makes a frame's checksums fit what was altered in it.
pub fn reseal(bytes: &mut [u8], frame: Frame) {
    let payload = crc32c::crc32c(&bytes[frame.at + FRAME..frame.at + FRAME + frame.payload]);
    bytes[frame.at + 24..frame.at + 28].copy_from_slice(&payload.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[frame.at..frame.at + 28]), &bytes[88..96]);
    bytes[frame.at + 28..frame.at + 32].copy_from_slice(&crc.to_le_bytes());
}

/// Makes a segment header's checksum fit.
pub fn reseal_header(bytes: &mut [u8]) {
    let crc = crc32c::crc32c(&bytes[..4092]);
    bytes[4092..4096].copy_from_slice(&crc.to_le_bytes());
}

/// A HEAD slot that holds this text.
pub fn slot(text: &str) -> Vec<u8> {
    let mut slot = vec![0; 4096];
    slot[..4].copy_from_slice(&(text.len() as u32).to_le_bytes());
    slot[8..8 + text.len()].copy_from_slice(text.as_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&slot[..4]), text.as_bytes());
    slot[4..8].copy_from_slice(&crc.to_le_bytes());
    slot
}

/// Alters a file.
pub fn alter(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    change(&mut bytes);
    fs::write(path, bytes).expect("write");
}

/// Flips one bit of a byte; from the end if negative.
pub fn flip(path: &Path, at: i64) {
    alter(path, |bytes| {
        let at = if at < 0 { bytes.len() as i64 + at } else { at };
        bytes[at as usize] ^= 1;
    });
}

/// A copy of a data directory, or of a part of one, without its index.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true if entry.file_name() == "index" => {}
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).expect("copy")),
        }
    }
}
