//! Sealed segments against the same `Vec`: mixtures of `.log` and `.seg`, crashes at every change of the disk, every bit
//! flipped, every length cut.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::durable::DiskFile;
use crate::log::header::{Form, HEADER_BYTES, Header};
use crate::log::sealed::{SealedError, SealedFile};
use crate::log::sealed_scan::SealedScan;

impl World {
    /// Seals the oldest segment that can be; the tree is the model.
    pub(super) fn seal(&mut self) -> Option<Result<(), SealError>> {
        let model = self.model.clone();
        let sealer = self.opened().sealer.as_ref().unwrap();
        let first = sealer.next()?.first;
        let mut is_the_leaf = |seq: Seq, _: FrameType, payload: &[u8]| match model[seq.0 as usize] == payload {
            true => Ok(()),
            false => Err(VisitError::Corrupt(format!("event {seq} is another one"))),
        };
        Some(sealer.seal(first, &AtomicBool::new(false), &mut is_the_leaf))
    }

    fn seal_all(&mut self) {
        while let Some(sealed) = self.seal() {
            sealed.unwrap();
        }
    }

    fn path(&self, first: u64, ending: &str) -> PathBuf {
        self.dir.join(format!("log/{first:020}.{ending}"))
    }

    fn names(&self) -> Vec<String> {
        self.disk.list(&self.dir.join("log")).unwrap()
    }

    fn is_sealed(&mut self, i: usize) -> bool {
        self.opened().reader.segments()[i].sealed.is_some()
    }
}

/// A real directory with some finished segments, none of them sealed yet.
fn finished_world() -> (tempfile::TempDir, World) {
    let (dir, mut world) = real_world();
    for i in 0..30 {
        world.append(&batch(9, 50, i)).unwrap();
    }
    assert!(world.opened().reader.segments().len() > 4);
    (dir, world)
}

fn flaw_of(file: Arc<dyn DiskFile>, first: Seq) -> Option<&'static str> {
    let sealed = match SealedFile::open(file, first) {
        Ok(sealed) => sealed,
        Err(SealedError::Flaw(flaw)) => return Some(flaw.why),
        Err(SealedError::Io(e)) => panic!("{e}"),
    };
    let mut scan = SealedScan::new(Arc::new(sealed));
    loop {
        match scan.step().unwrap() {
            crate::log::scan::Step::Batch { .. } => {}
            crate::log::scan::Step::Sealed { .. } => return None,
            crate::log::scan::Step::Invalid { why, .. } => return Some(why),
            crate::log::scan::Step::Clean => return Some("clean"),
        }
    }
}

#[test]
fn sealed_segments_hold_the_same_events_in_fewer_bytes_before_and_after_a_start() {
    let (_dir, mut world) = finished_world();
    let before: Vec<SegmentInfo> = world.opened().reader.segments();
    assert_eq!(world.opened().reader.sealed(), Seq::ZERO);
    world.seal().unwrap().unwrap();
    assert_eq!(world.opened().reader.sealed(), before[1].first);
    world.check();
    world.seal_all();
    world.check();
    let active = before.last().unwrap().first;
    assert_eq!(world.opened().reader.sealed(), active);
    for (segment, before) in world.opened().reader.segments().iter().zip(&before) {
        assert_eq!((segment.first, segment.end, segment.is_active), (before.first, before.end, before.is_active));
        assert!(segment.is_active || segment.bytes < before.bytes);
        let root = root_of(&world.model[..segment.end.0 as usize]);
        assert!(segment.is_active || segment.sealed.unwrap().root == root);
    }
    let logs: Vec<String> = world.names().into_iter().filter(|name| !name.ends_with(".seg")).collect();
    assert_eq!(logs, [format!("{:020}.log", active.0)]);
    world.open();
    assert_eq!(world.opened().reader.sealed(), active);
    world.check();
    world.append(&batch(9, 50, 1)).unwrap();
    world.check();
}

#[test]
fn the_digest_is_the_one_of_the_file_that_was_appended() {
    let (_dir, mut world) = finished_world();
    let log = fs::read(world.path(0, "log")).unwrap();
    world.seal().unwrap().unwrap();
    let info = world.opened().reader.segments()[0].sealed.unwrap();
    let digest = Sha256::digest(&log[..info.log_bytes as usize]);
    assert_eq!(info.sha256, digest);
    assert_eq!(log[info.log_bytes as usize..][..4], *b"ALF1", "the SEAL follows");
    let mut bytes = world.opened().reader.sealed_bytes(Seq(0)).unwrap();
    let mut copy = Vec::new();
    loop {
        match bytes.next_piece(1000).unwrap() {
            piece if piece.is_empty() => break,
            piece => copy.extend(piece),
        }
    }
    assert_eq!(copy, fs::read(world.path(0, "seg")).unwrap());
    assert!(matches!(world.opened().reader.sealed_bytes(Seq(1)), Err(ReadError::NotSealed { segment: Seq(1) })));
}

#[test]
fn a_scan_from_the_beginning_goes_through_sealed_segments_batch_by_batch() {
    let (_dir, mut world) = finished_world();
    world.seal().unwrap().unwrap();
    world.seal().unwrap().unwrap();
    // HEAD is at 0, so the scan begins at the first segment and checks every root.
    let size = world.open().size;
    assert_eq!(size.0 as usize, world.model.len());
    world.publish();
    world.opened = None;
    let mut forgetful = Chain::default();
    let opened = open(Arc::clone(&world.disk), &world.dir, &world.options, &mut forgetful).unwrap();
    assert_eq!((opened.report.scanned_from, opened.read_only), (Seq::ZERO, None));
    assert!(forgetful.shown == world.model);
}

#[test]
fn any_flipped_bit_of_a_sealed_segment_is_found() {
    let (_dir, mut world) = finished_world();
    world.seal().unwrap().unwrap();
    let bytes = fs::read(world.path(0, "seg")).unwrap();
    let copy = world.dir.join("copy");
    fs::write(&copy, &bytes).unwrap();
    let file = OsDisk.open(&copy).unwrap();
    assert_eq!(flaw_of(Arc::clone(&file), Seq(0)), None);
    for (at, byte) in bytes.iter().enumerate() {
        for bit in 0..8 {
            file.write_at(&[byte ^ (1 << bit)], at as u64).unwrap();
            assert!(flaw_of(Arc::clone(&file), Seq(0)).is_some(), "byte {at}, bit {bit}");
        }
        file.write_at(&[*byte], at as u64).unwrap();
    }
    assert_eq!(flaw_of(file, Seq(0)), None);
}

/// Events as they are: something that only they have, and something that one in forty has, which neighbours seldom share.
fn alike(n: u64) -> Vec<Vec<u8>> {
    let own = |i: u64| Sha256::digest(i.to_le_bytes()).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let shared = |i: u64| [own(1_000_000 + i % 40), own(2_000_000 + i * i % 40)].concat();
    let event = |i| format!(r#"{{"action":"contact.updated","actor":"{}","id":"{}"}}"#, shared(i), &own(i)[..20]);
    (0..n).map(|i| event(i).into_bytes()).collect()
}

#[test]
fn small_blocks_are_compressed_with_what_the_segments_events_have_in_common() {
    let (_dir, mut world) = real_world();
    world.options = Options { segment_bytes_max: 400_000, segment_events_max: 2_000, ..world.options };
    world.open();
    for events in alike(4_001).chunks(500) {
        world.append(events).unwrap();
    }
    let before = world.opened().reader.segments()[0].bytes;
    world.seal().unwrap().unwrap();
    let path = world.path(0, "seg");
    let sealed = SealedFile::open(OsDisk.open_read(&path).unwrap(), Seq(0)).unwrap();
    let dictionary_bytes = sealed.footer.dictionary_bytes as usize;
    assert!(dictionary_bytes > 256, "{dictionary_bytes}");
    assert!(dictionary_bytes as u64 <= before / 32);
    let alone: usize = (0..sealed.footer.blocks.len())
        .map(|n| zstd::bulk::compress(&sealed.read_block(n).unwrap().bytes, 3).unwrap().len())
        .sum();
    let blocks = sealed.footer.commits_at as usize - HEADER_BYTES;
    assert!(blocks < alone * 9 / 10, "with the dictionary {blocks} bytes, without one {alone}");
    world.check();
    world.publish();
    world.open();
    world.check();

    let bytes = fs::read(&path).unwrap();
    let copy = world.dir.join("copy");
    fs::write(&copy, &bytes).unwrap();
    let file = OsDisk.open(&copy).unwrap();
    for (at, byte) in bytes.iter().enumerate().skip(HEADER_BYTES).take(dictionary_bytes) {
        file.write_at(&[byte ^ (1 << (at % 8))], at as u64).unwrap();
        assert_eq!(flaw_of(Arc::clone(&file), Seq(0)), Some("the dictionary's checksum does not match"), "byte {at}");
        file.write_at(&[*byte], at as u64).unwrap();
    }
    assert_eq!(flaw_of(file, Seq(0)), None);
}

#[test]
fn who_reads_backwards_has_announced_what_comes_next() {
    let disk = FaultyDisk::new(5);
    let mut world = World::on(Arc::new(disk.clone()), Path::new("/data"));
    world.options = Options { segment_events_max: 20_000, segment_bytes_max: 64 << 20, ..small() };
    world.open();
    for i in 0..25 {
        world.append(&batch(1_000, 20, i)).unwrap();
    }
    world.seal_all();
    let reader = world.opened().reader.clone();
    let end = reader.sealed().0;
    assert!(end >= 20_000);
    (0..end).step_by(7).for_each(|seq| drop(reader.read(Seq(seq)).unwrap()));
    assert_eq!(disk.announced(), 0, "forwards the system does it");
    world.open();
    let reader = world.opened().reader.clone();
    (0..end).rev().step_by(7).for_each(|seq| drop(reader.read(Seq(seq)).unwrap()));
    // Ten stretches: the one before each but for the first two.
    assert_eq!(disk.announced(), 8);
    world.open();
    let reader = world.opened().reader.clone();
    (0..end).rev().step_by(2_048).for_each(|seq| drop(reader.read(Seq(seq)).unwrap()));
    assert_eq!(disk.announced(), 8, "who wants single ones is not given all between them");
}

#[test]
fn what_will_be_read_is_announced_unless_it_is_here() {
    let disk = FaultyDisk::new(5);
    let mut world = World::on(Arc::new(disk.clone()), Path::new("/data"));
    world.open();
    (0..4).for_each(|i| world.append(&batch(300, 20, i)).unwrap());
    world.seal_all();
    let reader = world.opened().reader.clone();
    let (sealed, all) = (reader.sealed().0, reader.durable().0);
    assert!((100..all).contains(&sealed), "{sealed} of {all}");
    reader.read(Seq(40)).unwrap();
    let before = disk.announced();
    // One that is here, one beside it, one that is not, one beside that, one that is not sealed yet, and one that is not there.
    reader.announce(&[40, 41, 90, 91, sealed, all].map(Seq));
    assert_eq!(disk.announced() - before, 1);
}

#[test]
fn a_flipped_byte_never_gives_a_wrong_record_and_leaves_other_blocks_readable() {
    let (_dir, mut world) = finished_world();
    world.publish();
    world.seal_all();
    let end = world.opened().reader.segments()[0].end;
    world.opened = None;
    let (path, copy) = (world.path(0, "seg"), world.dir.join("copy"));
    let bytes = fs::read(&path).unwrap();
    // The file is read-only, as it should be: it is replaced, not written.
    world.options.read_only = true;
    let (mut wrong_blocks, mut wrong_files) = (0, 0);
    for at in (0..96).chain(4090..bytes.len()) {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&copy, &bad).unwrap();
        fs::rename(&copy, &path).unwrap();
        let Ok((opened, _)) = world.try_open() else {
            wrong_files += 1;
            continue;
        };
        let read: Vec<_> = (0..end.0).map(|i| opened.reader.read(Seq(i))).collect();
        let ranged: Vec<_> = opened.reader.range(Seq::ZERO, end).collect();
        for (i, record) in read.iter().enumerate() {
            match record {
                Ok(record) => assert!(record.payload == world.model[i], "byte {at}, event {i}"),
                Err(ReadError::Corrupt { segment: Seq(0), seq, .. }) => assert_eq!(seq.0, i as u64),
                Err(e) => panic!("byte {at}: {e}"),
            }
        }
        assert!(ranged.iter().flatten().zip(&world.model).all(|(record, payload)| record.payload == *payload));
        // Later segments do not mind.
        assert_eq!(opened.reader.read(end).unwrap().payload, world.model[end.0 as usize]);
        wrong_blocks += usize::from(read.iter().any(Result::is_err));
    }
    assert!(wrong_blocks > 100 && wrong_files > 100, "{wrong_blocks} {wrong_files}");
}

#[test]
fn a_sealed_segment_cut_anywhere_is_refused() {
    let (_dir, mut world) = finished_world();
    world.seal_all();
    world.opened = None;
    let (path, copy) = (world.path(0, "seg"), world.dir.join("copy"));
    let bytes = fs::read(&path).unwrap();
    for len in 0..bytes.len() {
        fs::write(&copy, &bytes[..len]).unwrap();
        assert!(flaw_of(OsDisk.open_read(&copy).unwrap(), Seq(0)).is_some(), "cut at {len}");
    }
    let second = world.names()[1].clone();
    let second = world.dir.join("log").join(second);
    let bytes = fs::read(&second).unwrap();
    for len in [0, 1, 4095, 4096, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&copy, &bytes[..len]).unwrap();
        fs::rename(&copy, &second).unwrap();
        let (opened, _) = world.try_open().unwrap();
        let corrupt = opened.read_only.expect("corrupt");
        assert_eq!((corrupt.segment, corrupt.seq), (opened.report.size, opened.report.size), "{corrupt}");
        assert!(opened.writer.is_none() && opened.sealer.is_none());
        assert_eq!(opened.reader.range(Seq::ZERO, Seq(u64::MAX)).filter(Result::is_ok).count() as u64, corrupt.seq.0);
    }
}

#[test]
fn damage_in_a_sealed_segment_that_is_scanned_is_corruption_at_its_batch_and_what_lies_before_is_served() {
    let (_dir, mut world) = finished_world();
    world.seal_all();
    let segments = world.opened().reader.segments();
    world.opened = None;
    let (path, copy) = (world.path(segments[1].first.0, "seg"), world.dir.join("copy"));
    let mut bytes = fs::read(&path).unwrap();
    // The last byte of the blocks lies before the COMMITs, whose place is in the footer.
    let sealed = SealedFile::open(OsDisk.open_read(&path).unwrap(), segments[1].first).unwrap();
    let last = *sealed.footer.blocks.last().unwrap();
    bytes[sealed.footer.commits_at as usize - 1] ^= 1;
    fs::write(&copy, &bytes).unwrap();
    fs::rename(&copy, &path).unwrap();
    let (opened, _) = world.try_open().unwrap();
    let corrupt = opened.read_only.unwrap();
    assert_eq!((corrupt.segment, corrupt.offset), (segments[1].first, last.at), "{corrupt}");
    let size = opened.report.size;
    assert!(segments[1].first <= size && size <= last.first && size == corrupt.seq);
    let read: Vec<Vec<u8>> = opened.reader.range(Seq::ZERO, size).map(|r| r.unwrap().payload).collect();
    assert!(read == world.model[..size.0 as usize]);
    assert!(matches!(opened.reader.read(size), Err(ReadError::NotThere { .. })));
    assert!(fs::read(&path).unwrap() == bytes);
}

#[test]
fn a_sealed_segment_without_one_after_it_is_corruption() {
    let (_dir, mut world) = finished_world();
    world.seal_all();
    let active = world.active_file();
    world.opened = None;
    let end = world.names().len() - 1;
    fs::remove_file(&active).unwrap();
    let (opened, _) = world.try_open().unwrap();
    assert!(opened.read_only.unwrap().why.contains("missing"));
    assert_eq!(opened.reader.segments().len(), end);
    assert_eq!(
        opened.reader.range(Seq::ZERO, Seq(u64::MAX)).filter(Result::is_ok).count() as u64,
        opened.report.size.0
    );
    // A newest file that never began is no excuse: one had begun before the segment was sealed.
    fs::write(&active, b"").unwrap();
    let (opened, _) = world.try_open().unwrap();
    assert!(opened.read_only.is_some() && opened.report.headless.is_none() && active.exists());
}

#[test]
fn a_segment_whose_leaves_are_not_those_of_the_tree_stays_a_log() {
    let (_dir, mut world) = finished_world();
    world.model[3][0] ^= 1;
    match world.seal().unwrap() {
        Err(SealError::Unequal { segment: Seq(0), why }) => assert!(why.contains("event 3")),
        other => panic!("{other:?}"),
    }
    world.model[3][0] ^= 1;
    assert!(world.names().iter().all(|name| name.ends_with(".log")));
    world.check();
    world.seal_all();
    world.check();
}

#[test]
fn a_log_that_rotted_is_not_sealed() {
    let (_dir, mut world) = finished_world();
    let path = world.path(0, "log");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096 + 32 + 5] ^= 1;
    fs::write(&path, &bytes).unwrap();
    match world.seal().unwrap() {
        Err(SealError::Damaged(corrupt)) => assert_eq!((corrupt.offset, corrupt.seq), (4096, Seq(0))),
        other => panic!("{other:?}"),
    }
    assert!(world.names().iter().all(|name| name.ends_with(".log")));
    assert!(fs::read(&path).unwrap() == bytes);
}

#[test]
fn sealing_stops_when_told_and_only_finished_segments_are_sealed() {
    let (_dir, mut world) = finished_world();
    let active = world.opened().reader.segments().last().unwrap().first;
    let sealer = world.opened().sealer.as_ref().unwrap();
    let mut any = |_: Seq, _: FrameType, _: &[u8]| Ok(());
    assert!(matches!(sealer.seal(Seq(0), &AtomicBool::new(true), &mut any), Err(SealError::Stopped { .. })));
    for first in [active, Seq(1)] {
        let answer = sealer.seal(first, &AtomicBool::new(false), &mut any);
        assert!(matches!(answer, Err(SealError::NotThere { .. })));
    }
    assert!(world.names().iter().all(|name| name.ends_with(".log")));
}

#[test]
fn a_segment_that_ends_without_a_seal_after_a_failed_sync_is_sealed_like_any_other() {
    let disk = FaultyDisk::new(5);
    let mut world = World::on(Arc::new(disk.clone()), Path::new("/data"));
    world.append(&batch(3, 40, 1)).unwrap();
    disk.fail(Call::Sync, 0);
    assert!(world.append(&batch(3, 40, 2)).is_err());
    world.model.extend(batch(3, 40, 2));
    world.open();
    world.append(&batch(3, 40, 3)).unwrap();
    world.seal_all();
    assert!(world.is_sealed(0));
    world.check();
    world.open();
    world.check();
}

#[test]
fn of_two_files_of_a_segment_the_whole_seg_wins_and_a_broken_one_is_moved_away() {
    let (_dir, mut world) = finished_world();
    let log_path = world.path(0, "log");
    let log = fs::read(&log_path).unwrap();
    world.seal().unwrap().unwrap();
    world.opened = None;
    let (path, copy) = (world.path(0, "seg"), world.dir.join("copy"));
    let seg = fs::read(&path).unwrap();
    let quarantined = |world: &World| fs::read_dir(world.dir.join("quarantine")).unwrap().count();
    let put = |to: &Path, bytes: &[u8]| {
        fs::write(&copy, bytes).unwrap();
        fs::rename(&copy, to).unwrap();
    };

    // Whole: the log goes, unless we only look.
    put(&log_path, &log);
    world.options.read_only = true;
    assert!(world.try_open().unwrap().0.reader.segments()[0].sealed.is_some());
    assert!(log_path.exists());
    world.options.read_only = false;
    world.open();
    assert!(world.is_sealed(0) && !log_path.exists());
    world.check();

    // Broken anywhere, or another segment's: the log stays.
    let header = Header::decode(&seg, Form::Sealed).unwrap();
    let mut other = seg.clone();
    other[..4096].copy_from_slice(&Header { salt: [9; 8], ..header }.encode(Form::Sealed));
    let mut flipped = seg.clone();
    flipped[5000] ^= 1;
    for (i, bad) in [&b""[..], &seg[..seg.len() - 1], &flipped, &other].into_iter().enumerate() {
        world.opened = None;
        put(&log_path, &log);
        put(&path, bad);
        world.options.read_only = true;
        let opened = world.try_open().unwrap().0;
        assert!(opened.reader.segments()[0].sealed.is_none() && opened.report.broken_copies.is_empty());
        assert!(path.exists() && quarantined(&world) == i);
        world.options.read_only = false;
        let moved = world.open().broken_copies.clone();
        assert!(fs::read(&moved[0]).unwrap() == bad);
        assert!(!world.is_sealed(0) && log_path.exists() && !path.exists());
        assert_eq!(quarantined(&world), i + 1);
        world.check();
    }

    // Neither is touched in a log that is corrupt elsewhere.
    world.opened = None;
    put(&path, &seg);
    let mut newest = world.names();
    let newest = world.dir.join("log").join(newest.pop().unwrap());
    let mut bytes = fs::read(&newest).unwrap();
    bytes[20] ^= 1;
    fs::write(&newest, bytes).unwrap();
    assert!(world.try_open().unwrap().0.read_only.is_some());
    assert!(path.exists() && log_path.exists());
}

#[test]
fn a_half_written_seg_is_removed_by_the_next_start_or_the_next_attempt() {
    let (_dir, mut world) = finished_world();
    let temporary = world.path(0, "seg.tmp");
    fs::write(&temporary, b"half").unwrap();
    world.opened = None;
    world.options.read_only = true;
    drop(world.try_open().unwrap());
    assert!(temporary.exists());
    world.options.read_only = false;
    world.open();
    assert!(!temporary.exists());
    fs::write(&temporary, b"half").unwrap();
    world.seal().unwrap().unwrap();
    assert!(!temporary.exists());
    world.check();
}

#[test]
fn a_range_that_began_in_a_log_ends_right_although_everything_is_sealed_meanwhile() {
    let (_dir, mut world) = finished_world();
    let reader = world.opened().reader.clone();
    let mut range = reader.range(Seq::ZERO, Seq(u64::MAX));
    let mut read: Vec<Vec<u8>> = range.by_ref().take(5).map(|r| r.unwrap().payload).collect();
    world.seal_all();
    read.extend(range.map(|r| r.unwrap().payload));
    assert!(read == world.model);
}

#[test]
fn readers_never_notice_that_a_segment_is_sealed_under_them() {
    let (_dir, mut world) = finished_world();
    let (reader, model) = (world.opened().reader.clone(), world.model.clone());
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|n| {
                let (reader, model, is_done) = (&reader, &model, &is_done);
                scope.spawn(move || {
                    let mut i = n;
                    while !is_done.load(std::sync::atomic::Ordering::Acquire) {
                        i = (i * 31 + 7) % model.len();
                        assert!(reader.read(Seq(i as u64)).unwrap().payload == model[i]);
                        let two = reader.range(Seq(i as u64), Seq(i as u64 + 2)).map(|r| r.unwrap().payload);
                        assert!(two.zip(&model[i..]).all(|(read, written)| read == *written));
                    }
                })
            })
            .collect();
        world.seal_all();
        is_done.store(true, std::sync::atomic::Ordering::Release);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    world.check();
}

/// Seals with the plug pulled at the `nth` change of the disk, then looks at what is left. Answers whether it got through.
fn crash_while_sealing(seed: u64, nth: u64) -> bool {
    let disk = FaultyDisk::new(seed);
    let mut world = World::on(Arc::new(disk.clone()), Path::new("/data"));
    for i in 0..16 {
        world.append(&batch(9, 50, i)).unwrap();
    }
    world.publish();
    assert!(world.opened().reader.segments().len() > 2);
    disk.fail_from_change(nth);
    let is_through = world.seal().unwrap().is_ok() && disk.changes_left() > 0;
    // Whatever failed, who reads goes on reading.
    world.check();
    disk.crash();
    world.open();
    assert!(world.opened().read_only.is_none(), "{:?}", world.opened().read_only);
    world.check();
    assert!(world.names().iter().all(|name| !name.ends_with(".tmp")), "{:?}", world.names());
    world.seal_all();
    world.check();
    world.append(&batch(3, 40, 9)).unwrap();
    // All the way from the beginning.
    world.opened = None;
    let mut forgetful = Chain::default();
    let opened = open(Arc::clone(&world.disk), &world.dir, &world.options, &mut forgetful).unwrap();
    assert!(opened.read_only.is_none() && forgetful.shown == world.model);
    is_through
}

#[test]
fn a_crash_at_any_change_while_sealing_loses_nothing_and_leaves_one_file_of_each_segment() {
    for seed in 1..25 {
        let mut nth = 0;
        while !crash_while_sealing(seed * 7919, nth) {
            nth += 1;
        }
        assert!(nth >= 7, "sealing makes {nth} changes only");
    }
}

#[test]
fn a_disk_that_is_full_leaves_the_log_and_is_tried_again() {
    for room in [0, 1, 4_000, 4_096, 5_000] {
        let disk = FaultyDisk::new(5);
        let mut world = World::on(Arc::new(disk.clone()), Path::new("/data"));
        for i in 0..16 {
            world.append(&batch(9, 50, i)).unwrap();
        }
        disk.set_free(room);
        assert!(matches!(world.seal().unwrap(), Err(SealError::Io { .. })), "room {room}");
        assert!(world.names().iter().all(|name| name.ends_with(".log")));
        world.check();
        disk.set_unlimited();
        world.seal_all();
        world.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40 * soak::times(10)))]
    #[test]
    fn a_log_of_any_mixture_is_a_vec(
        steps in prop::collection::vec((0..12_u8, 1..12_usize, 0..900_usize), 1..40),
        cache_bytes in prop::sample::select(vec![0_usize, 20_000, 1 << 20]),
        seed: u64,
    ) {
        let disk = FaultyDisk::new(seed);
        let mut world = World::on(Arc::new(disk.clone()), Path::new("/data"));
        world.options.block_cache_bytes_max = cache_bytes;
        world.open();
        for (what, n, len) in steps {
            match what {
                0 => { world.open(); world.check(); }
                1 => { disk.crash(); world.open(); world.check(); }
                2 => { let root = root_of(&world.model); world.writer().roll(&root).unwrap(); }
                3 => world.publish(),
                4 | 5 => { world.seal().map_or(Ok(()), |sealed| sealed).unwrap(); }
                6 => {
                    let size = world.model.len();
                    let (from, to) = (len.min(size), (len + 40 * n).min(size));
                    let reader = world.opened().reader.clone();
                    let read = reader.range(Seq(from as u64), Seq(to as u64)).map(|r| r.unwrap().payload);
                    let read: Vec<Vec<u8>> = read.collect();
                    assert!(read == world.model[from..to]);
                    for i in (from..to).rev().step_by(n) {
                        assert!(reader.read(Seq(i as u64)).unwrap().payload == world.model[i]);
                    }
                }
                _ => world.append(&batch(n, len, what)).unwrap(),
            }
        }
        world.check();
        world.seal_all();
        world.check();
        // The tree is lost: everything is shown again, from sealed segments and from the active one.
        world.opened = None;
        let mut forgetful = Chain::default();
        let opened = open(Arc::clone(&world.disk), &world.dir, &world.options, &mut forgetful).unwrap();
        assert!(opened.read_only.is_none() && forgetful.shown == world.model);
    }
}
