//! Hostile bytes for every decoder of evidence: frames, segments, notes, tiles and proofs. No input may panic, nor make us ask
//! for more memory than its length allows. Inputs are good ones, mutated; half of the time checksums are made to fit again, so that
//! what lies behind them is reached as well.
//!
//! The same inputs each time, 3,000 a target; 300,000 with ANNALS_SOAK=1, `ANNALS_FUZZ_SEED` for others. There is no coverage
//! feedback: that needs a nightly compiler. Memory is counted by an allocator that stands in front of the system's, per thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use annals::durable::OsDisk;
use annals::log::{
    self, Commit, FrameType, Judge, Options, Remains, SegmentFile, VisitError, Wanted, mend, read_strictly,
};
use annals::seq::Seq;
use annals::tree::proof::{parse_hashes, verify_consistency, verify_inclusion};
use annals::tree::{Checkpoint, Note, TileReader, TlogProof, VerifierKey, leaf_hash, tile_path};
use annals::verify::{Growth, Nothing, Replay};

use crate::forge;
use crate::world::{is_soak, tell};

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// Counts what this thread holds.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(change: impl FnOnce(usize) -> usize) {
    // A thread that is ending counts nothing.
    let _ = LIVE.try_with(|live| {
        live.set(change(live.get()));
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one hands every call on as it is")]
// SAFETY: each call is the system allocator's own, with the arguments that were given.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(|live| live.saturating_add(layout.size()));
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(|live| live.saturating_sub(layout.size()));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The most that `run` held at once beyond what there was.
fn peak_of(run: impl FnOnce()) -> usize {
    let before = LIVE.get();
    PEAK.set(before);
    run();
    PEAK.get().saturating_sub(before)
}

/// Seeded random numbers (splitmix).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

const NUMBERS: [u64; 10] = [0, 1, 7, 255, 256, 65_536, 0x7fff_ffff, 0xffff_ffff, 1 << 40, u64::MAX];

/// A few changes of the kinds that find most: bits, bytes, numbers at the edge, pieces cut, doubled, swapped.
fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..1 + dice.below(4) {
        if bytes.is_empty() {
            bytes.push(dice.next() as u8);
            continue;
        }
        let at = dice.below(bytes.len());
        match dice.below(8) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = dice.next() as u8,
            2 | 3 => {
                let number = NUMBERS[dice.below(NUMBERS.len())].wrapping_add(dice.next() % 3).to_le_bytes();
                let width = [1, 2, 4, 8][dice.below(4)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&number[..width]);
            }
            4 => bytes.truncate(at),
            5 => {
                let piece: Vec<u8> = bytes[at..(at + dice.below(64)).min(bytes.len())].to_vec();
                let to = dice.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            6 => {
                let end = (at + dice.below(64)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let other = dice.below(bytes.len());
                bytes.swap(at, other);
            }
        }
    }
}

/// Runs a target on mutations of its corpus; `fit` makes checksums fit.
fn fuzz(
    name: &str,
    corpus: &[Vec<u8>],
    limit: impl Fn(usize) -> usize,
    fit: impl Fn(&mut [u8]),
    mut target: impl FnMut(&[u8]),
) {
    let seed = std::env::var("ANNALS_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let cases = if is_soak() { 300_000 } else { 3_000 };
    for input in corpus {
        target(input);
    }
    for case in 0..cases {
        if case % 50_000 == 0 {
            tell(name, case, cases);
        }
        let mut dice = Dice(seed ^ (case << 20));
        let mut input = corpus[dice.below(corpus.len())].clone();
        mutate(&mut input, &mut dice);
        if dice.below(2) == 0 {
            fit(&mut input);
        }
        let peak = peak_of(|| {
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&input)));
            assert!(ran.is_ok(), "{name}: case {case} of seed {seed} panicked");
        });
        let allowed = limit(input.len());
        assert!(
            peak <= allowed,
            "{name}: case {case} of seed {seed} took {peak} bytes for {}, allowed are {allowed}",
            input.len()
        );
    }
}

/// Looks at everything.
struct Accepts;

impl Judge for Accepts {
    fn event(&mut self, _: Seq, _: FrameType, _: &[u8]) -> Result<(), VisitError> {
        Ok(())
    }

    fn commit(&mut self, _: &Commit) -> Result<(), VisitError> {
        Ok(())
    }
}

/// A log of 300 events in two segments, the first one also sealed.
fn written(dir: &Path) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    forge::write(dir, &forge::key(3), &forge::honest(300));
    let (first, active) =
        (fs::read(forge::segment(dir, 0)).expect("a segment"), fs::read(forge::segment(dir, 200)).expect("a segment"));
    let (mut nothing, mut quiet) = (Nothing, |_| {});
    let mut replay = Replay::new(Growth::new([], &mut nothing), &mut quiet);
    let opened = log::open(OsDisk::shared(), dir, &Options::default(), &mut replay).expect("it is sound");
    opened.sealer.expect("it is sound").seal(Seq(0), &AtomicBool::new(false), &mut |_, _, _| Ok(())).expect("sealed");
    let sealed = fs::read(dir.join("log/00000000000000000000.seg")).expect("a sealed segment");
    (first, active[..32 << 10].to_vec(), sealed)
}

/// What a start, a scrub and a repair do with a segment's file.
fn read_segment(dir: &Path, first: u64, is_sealed: bool, bytes: &[u8]) {
    let path = dir.join(format!("{first:020}.{}", if is_sealed { "seg" } else { "log" }));
    fs::write(&path, bytes).expect("written");
    let file = SegmentFile { first: Seq(first), is_sealed, path };
    let disk = OsDisk;
    read_strictly(&disk, &file, &mut Accepts).expect("the disk works");
    let remains = Remains::read(&disk, &file, None).expect("the disk works");
    let wanted = Wanted { first: Seq(first), end: None, at_least: Seq(first) };
    // It may or may not be put together; it must come to an end.
    let _ = mend(&[&remains], wanted, &mut |_, _, _| true);
}

/// Frames whose lengths still lead to each other get checksums that fit; so does the header.
fn fit_log(bytes: &mut [u8]) {
    if bytes.len() < 4096 {
        return;
    }
    forge::reseal_header(bytes);
    let mut at = 4096;
    while bytes.len() >= at + 32 && bytes[at..at + 4] == *b"ALF1" {
        let payload = u32::from_le_bytes(bytes[at + 20..at + 24].try_into().expect("four bytes")) as usize;
        let end = (at + 32 + payload).next_multiple_of(8);
        if end > bytes.len() {
            return;
        }
        let frame = forge::Frame { at, kind: bytes[at + 4], payload, end };
        forge::reseal(bytes, frame);
        at = end;
    }
}

/// The header, the blocks that the footer speaks of, the COMMITs, the footer and the tail get checksums that fit.
fn fit_sealed(bytes: &mut [u8]) {
    let number =
        |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) as usize;
    let Some(tail) = bytes.len().checked_sub(32).filter(|tail| *tail > 4096) else { return };
    forge::reseal_header(bytes);
    let footer = number(bytes, tail);
    if footer >= tail || tail - footer < 120 {
        return;
    }
    let entries = (tail - footer - 120) / 24;
    let commits = number(bytes, footer + 104);
    for n in 0..entries {
        let entry = footer + 120 + 24 * n;
        let from = number(bytes, entry + 8);
        let to = if n + 1 < entries { number(bytes, entry + 32) } else { commits };
        if let Some(block) = bytes.get(from..to.max(from)) {
            let crc = crc32c::crc32c(block);
            bytes[entry + 20..entry + 24].copy_from_slice(&crc.to_le_bytes());
        }
    }
    if let Some(packed) = bytes.get(commits..footer.max(commits)) {
        let crc = crc32c::crc32c(packed);
        bytes[footer + 112..footer + 116].copy_from_slice(&crc.to_le_bytes());
    }
    let crc = crc32c::crc32c(&bytes[footer..tail]);
    bytes[tail + 8..tail + 16].copy_from_slice(&((tail - footer) as u64).to_le_bytes());
    bytes[tail + 16..tail + 20].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[tail..tail + 20]);
    bytes[tail + 20..tail + 24].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn hostile_frames_cost_nothing_but_their_length() {
    let room = tempfile::tempdir().expect("a directory");
    let (first, active, _) = written(&room.path().join("log"));
    // A window of 1 MiB, the frames found, and what is put together of them; a length of 16 MiB in a header is not believed.
    let limit = |len: usize| (4 << 20) + 16 * len;
    let target = |bytes: &[u8]| {
        read_segment(room.path(), 0, false, bytes);
        read_segment(room.path(), 200, false, bytes);
    };
    fuzz("frames", &[first, active], limit, fit_log, target);
}

#[test]
fn hostile_sealed_segments_cost_no_more_than_their_footer_may_ask_for() {
    let room = tempfile::tempdir().expect("a directory");
    let (_, _, sealed) = written(&room.path().join("log"));
    // A block may unpack to a frame of 16 MiB; 24 bytes of footer speak of at most 64 COMMITs of 80 bytes.
    let limit = |len: usize| (3 * (17 << 20)) + 256 * len;
    fuzz("segments", &[sealed], limit, fit_sealed, |bytes| read_segment(room.path(), 0, true, bytes));
}

#[test]
fn hostile_notes_are_refused() {
    let key = forge::key(3);
    let note = forge::note(&key, 300, [7; 32]);
    let cosigned =
        format!("{note}\u{2014} witness.example/1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    let key_text = key.public().to_string();
    let corpus = [note.into_bytes(), cosigned.into_bytes(), key_text.into_bytes()];
    fuzz(
        "notes",
        &corpus,
        |len| (64 << 10) + 64 * len,
        |_| {},
        |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let _ = Checkpoint::parse(&text);
            let _ = Checkpoint::verified(&text, key.public());
            let _ = log::Head::parse(&text);
            let _ = log::inspect_slots(bytes);
            let _ = text.parse::<VerifierKey>();
            if let Ok(note) = Note::parse(&text)
                && key.public().verify(&note).is_ok()
            {
                let good = Checkpoint::parse(note.text).map(|checkpoint| (checkpoint.size, checkpoint.root));
                assert_eq!(good, Some((300, [7; 32])), "another text was taken for signed");
            }
        },
    );
}

#[test]
fn hostile_tiles_and_their_names_lead_nowhere() {
    let room = tempfile::tempdir().expect("a directory");
    let dir = room.path().join("log");
    forge::write(&dir, &forge::key(3), &forge::honest(300));
    let names: Vec<Vec<u8>> = ["000", "x001/234", "x123/x456/789.p/17", "255.p/255", "x001/000.p/1"]
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    fuzz(
        "tile names",
        &names,
        |len| (16 << 10) + 64 * len,
        |_| {},
        |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let _ = tile_path::parse_level(&text);
            if let Some((_, width)) = tile_path::parse(&text) {
                assert!((1..=256).contains(&width));
            }
        },
    );
    let tiles = fs::read(dir.join("tree/L0")).expect("leaves");
    let upper = fs::read(dir.join("tree/L1")).expect("hashes");
    let reader = |leaves: &[u8]| {
        let tree = room.path().join("tree");
        fs::create_dir_all(&tree).expect("a directory");
        fs::write(tree.join("L0"), leaves).expect("written");
        fs::write(tree.join("L1"), &upper).expect("written");
        TileReader::new(OsDisk::shared(), &tree)
    };
    fuzz(
        "tiles",
        &[tiles],
        |len| (256 << 10) + 16 * len,
        |_| {},
        |bytes| {
            let tree = reader(bytes);
            for (level, tile, width) in
                [(0, 0, 256), (0, 1, 44), (1, 0, 1), (0, u64::MAX, 256), (7, 1 << 60, 256), (0, 0, u64::MAX >> 9)]
            {
                // A width that no file has is missing, and nothing is set aside for it.
                let _ = if width > 256 { tree.tile(level, tile, 256) } else { tree.tile(level, tile, width) };
            }
            let _ = tree.root(300);
            let _ = tree.inclusion(17, 300);
            let _ = tree.consistency(100, 300);
        },
    );
}

#[test]
fn hostile_proofs_prove_nothing() {
    let room = tempfile::tempdir().expect("a directory");
    let dir = room.path().join("log");
    let roots = forge::write(&dir, &forge::key(3), &forge::honest(300));
    let tree = TileReader::new(OsDisk::shared(), &dir.join("tree"));
    let (leaf, root) = (tree.leaf_hash(17).expect("a leaf"), roots[300]);
    let path = tree.inclusion(17, 300).expect("the tree").expect("a proof");
    let text =
        TlogProof { index: 17, hashes: path.clone(), checkpoint: forge::note(&forge::key(3), 300, root) }.to_text();
    let hashes: Vec<u8> = tree.consistency(100, 300).expect("the tree").expect("a proof").concat();
    assert!(verify_inclusion(&leaf, 17, 300, &path, &root));
    fuzz(
        "proofs",
        &[text.into_bytes()],
        |len| (64 << 10) + 64 * len,
        |_| {},
        |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let lines: Vec<&str> = text.lines().collect();
            let _ = parse_hashes(lines.iter().copied());
            if let Some(proof) = TlogProof::parse(&text)
                && verify_inclusion(&leaf, proof.index, 300, &proof.hashes, &root)
            {
                assert_eq!((proof.index, &proof.hashes), (17, &path), "another proof was taken for one");
            }
        },
    );
    fuzz(
        "consistency",
        &[hashes],
        |len| (16 << 10) + 64 * len,
        |_| {},
        |bytes| {
            let proof: Vec<[u8; 32]> = bytes.chunks_exact(32).map(|hash| hash.try_into().expect("32 bytes")).collect();
            let is_whole = bytes.len().is_multiple_of(32);
            if verify_consistency(100, 300, &roots[100], &root, &proof) && is_whole {
                let good = tree.consistency(100, 300).expect("the tree").expect("a proof");
                assert!(proof == good, "another proof was taken for one");
            }
            for (old, new) in [(0, 300), (300, 300), (301, 300), (1, u64::MAX), (u64::MAX, u64::MAX)] {
                let _ = verify_consistency(old, new, &leaf_hash(b"a"), &root, &proof);
            }
        },
    );
}
