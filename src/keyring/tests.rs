use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::durable::OsDisk;
use crate::durable::faulty::{Call, FaultyDisk};

const LOG_ID: [u8; 16] = [3; 16];
const DIR: &str = "/data";

fn kek(digit: char) -> Kek {
    Kek::parse(digit.to_string().repeat(64).as_bytes(), &LOG_ID).unwrap()
}

fn contact(id: &str) -> Subject<'_> {
    Subject { tenant: "acme", kind: "contact", id }
}

fn open_on(disk: &dyn Disk) -> Keyring {
    Keyring::open(disk, Path::new(DIR), LOG_ID, kek('a')).unwrap()
}

fn disk() -> FaultyDisk {
    seeded(1)
}

fn seeded(seed: u64) -> FaultyDisk {
    let disk = FaultyDisk::new(seed);
    disk.create_dir(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

/// The key of a part under these keys.
fn part(ring: &Keyring, numbers: &[u64]) -> Option<[u8; 32]> {
    ring.part_key(1, numbers).unwrap().map(|key| *key)
}

#[test]
fn each_has_one_key_that_stays_until_it_is_erased_and_another_one_after_that() {
    let disk = disk();
    let ring = open_on(&disk);
    let ana = ring.key_for(&contact("c_1"), 10).unwrap();
    assert_eq!(ring.key_for(&contact("c_1"), 11).unwrap(), ana);
    let others = [
        contact("c_2"),
        Subject { tenant: "other", ..contact("c_1") },
        Subject { kind: "lead", ..contact("c_1") },
        // The same letters, cut elsewhere.
        Subject { tenant: "acm", kind: "econtact", id: "c_1" },
    ];
    let mut numbers: Vec<u64> = others.iter().map(|other| ring.key_for(other, 10).unwrap()).collect();
    numbers.push(ana);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 5);
    ring.sync().unwrap();
    let key = part(&ring, &[ana]).unwrap();
    drop(ring);

    let ring = open_on(&disk);
    assert_eq!((ring.keys_of(&contact("c_1")).unwrap(), part(&ring, &[ana])), (vec![ana], Some(key)));
    assert!(ring.erase(ana, 20).unwrap() && !ring.erase(ana, 21).unwrap());
    assert!(ring.is_erased(ana).unwrap() && part(&ring, &[ana]).is_none());
    assert!(ring.keys_of(&contact("c_1")).unwrap().is_empty());
    let again = ring.key_for(&contact("c_1"), 30).unwrap();
    assert!(again > *numbers.last().unwrap(), "a number is given once");
    assert_ne!(part(&ring, &[again]), Some(key));
    assert!(!ring.erase(0, 1).unwrap() && !ring.erase(99, 1).unwrap(), "neither the header nor what never was");
    assert_eq!(part(&ring, &[]), None);
    assert_eq!(part(&ring, &[99]), None);
}

#[test]
fn what_is_sealed_for_several_is_gone_with_any_of_them() {
    let disk = disk();
    let ring = open_on(&disk);
    let [one, other] = ["c_1", "c_2"].map(|id| ring.key_for(&contact(id), 10).unwrap());
    let both = part(&ring, &[one, other]).unwrap();
    assert_eq!(part(&ring, &[other, one, other]), Some(both));
    let apart = [part(&ring, &[one]).unwrap(), part(&ring, &[other]).unwrap()];
    assert!(!apart.contains(&both) && apart[0] != apart[1]);
    assert_ne!(ring.part_key(2, &[one]).unwrap().map(|key| *key), Some(apart[0]), "another kind of part");
    ring.erase(one, 20).unwrap();
    assert_eq!((part(&ring, &[one, other]), part(&ring, &[other])), (None, Some(apart[1])));
}

#[test]
fn the_file_names_nobody_opens_with_its_own_key_only_and_keeps_nothing_of_the_erased() {
    let dir = tempfile::tempdir().unwrap();
    let disk = OsDisk::shared();
    let open = |kek: Kek, log_id| Keyring::open(&*disk, dir.path(), log_id, kek);
    let ring = open(kek('a'), LOG_ID).unwrap();
    let number = ring.key_for(&contact("contact-0815"), 10).unwrap();
    let kept = ring.key_for(&contact("c_2"), 10).unwrap();
    ring.sync().unwrap();
    let path = dir.path().join(FILE);
    let before = std::fs::read(&path).unwrap();
    assert!(!before.windows(4).any(|bytes| bytes == b"0815" || bytes == b"acme"));
    let key = ring.part_key(1, &[kept]).unwrap().unwrap();
    assert!(!before.windows(32).any(|bytes| bytes == *key));
    ring.erase(number, 20).unwrap();
    let after = std::fs::read(&path).unwrap();
    let slot = |bytes: &[u8]| bytes[number as usize * SLOT_BYTES..][..SLOT_BYTES].to_vec();
    assert!(slot(&after)[24..].iter().all(|byte| *byte == 0) && slot(&before)[24..] != slot(&after)[24..]);
    drop(ring);

    assert!(matches!(open(kek('b'), LOG_ID), Err(KeyringError::OtherKek(_))));
    let other_log = [4; 16];
    let kek_there = Kek::parse("a".repeat(64).as_bytes(), &other_log).unwrap();
    assert!(matches!(open(kek_there, other_log), Err(KeyringError::OtherLog(_))));
    std::fs::write(&path, "rubbish").unwrap();
    assert!(matches!(open(kek('a'), LOG_ID), Err(KeyringError::NotAKeyring(_))));

    // A key that is moved to another's slot opens nothing.
    let mut moved = after.clone();
    moved.copy_within(kept as usize * SLOT_BYTES..(kept as usize + 1) * SLOT_BYTES, number as usize * SLOT_BYTES);
    std::fs::write(&path, moved).unwrap();
    let ring = open(kek('a'), LOG_ID).unwrap();
    assert!(ring.part_key(1, &[number]).unwrap().is_none() && ring.part_key(1, &[kept]).unwrap().is_some());
}

#[test]
fn a_key_encryption_key_is_64_digits_in_a_file_for_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    Kek::make(&*OsDisk::shared(), dir.path(), "kek").unwrap();
    let text = std::fs::read(dir.path().join("kek")).unwrap();
    let kek = Kek::parse(&text, &LOG_ID).unwrap();
    assert_eq!(format!("{kek:?}"), "Kek(…)");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(dir.path().join("kek")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o400);
    for wrong in ["", "a", &"a".repeat(63), &"a".repeat(65), &"+".repeat(64), &"g".repeat(64)] {
        assert!(Kek::parse(wrong.as_bytes(), &LOG_ID).is_err(), "{wrong}");
    }
}

#[test]
fn after_a_sync_that_failed_nothing_more_is_promised() {
    let disk = disk();
    let ring = open_on(&disk);
    let known = ring.key_for(&contact("c_1"), 10).unwrap();
    disk.fail(Call::Sync, 0);
    assert!(matches!(ring.sync(), Err(KeyringError::Io { .. })));
    assert!(!disk.disarm(), "it has failed");
    assert!(matches!(ring.sync(), Err(KeyringError::Poisoned(_))));
    assert!(matches!(ring.key_for(&contact("c_2"), 10), Err(KeyringError::Poisoned(_))));
    assert!(matches!(ring.erase(known, 10), Err(KeyringError::Poisoned(_))));
}

#[test]
fn an_erasure_that_could_not_be_written_is_tried_again() {
    let disk = disk();
    let ring = open_on(&disk);
    let number = ring.key_for(&contact("c_1"), 10).unwrap();
    disk.fail(Call::Write, 0);
    assert!(ring.erase(number, 20).is_err());
    assert_eq!(ring.keys_of(&contact("c_1")).unwrap(), [number], "it is still there, and is found");
    assert!(ring.erase(number, 30).unwrap() && ring.is_erased(number).unwrap());
}

#[derive(Clone, Debug)]
enum Step {
    Key(u8),
    Sync,
    Erase(u8),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12_u8).prop_map(Step::Key),
        2 => Just(Step::Sync),
        2 => (0..12_u8).prop_map(Step::Erase),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    /// Whatever is done and wherever the power fails: a key that was synced is what it was, an erased one stays gone, and no
    /// number that was synced is ever another's.
    #[test]
    fn synced_keys_stay_and_erased_ones_do_not_come_back(seed: u64, steps in prop::collection::vec(step(), 1..60)) {
        let disk = seeded(seed);
        let mut ring = open_on(&disk);
        // By number: whose, the key, whether it was synced, whether it was erased.
        let mut model: HashMap<u64, (u8, [u8; 32], bool, bool)> = HashMap::new();
        for (now_ms, step) in (1..).zip(steps) {
            match step {
                Step::Key(id) => {
                    let name = format!("c_{id}");
                    let number = ring.key_for(&contact(&name), now_ms).unwrap();
                    let key = part(&ring, &[number]).unwrap();
                    let known = model.entry(number).or_insert((id, key, false, false));
                    prop_assert_eq!((known.0, known.1, known.3), (id, key, false));
                }
                Step::Sync => {
                    ring.sync().unwrap();
                    model.values_mut().for_each(|known| known.2 = true);
                }
                Step::Erase(id) => {
                    let name = format!("c_{id}");
                    for number in ring.keys_of(&contact(&name)).unwrap() {
                        prop_assert!(ring.erase(number, now_ms).unwrap());
                        model.get_mut(&number).unwrap().3 = true;
                    }
                }
                Step::Crash => {
                    drop(ring);
                    disk.crash();
                    ring = open_on(&disk);
                    // What was not synced may be there or not; if not, its number was never used for anything.
                    model.retain(|number, (_, key, is_synced, is_erased)| {
                        *is_synced || *is_erased || part(&ring, &[*number]) == Some(*key)
                    });
                    model.values_mut().for_each(|known| known.2 = true);
                }
            }
            for (number, (id, key, _, is_erased)) in &model {
                let name = format!("c_{id}");
                prop_assert_eq!(part(&ring, &[*number]), (!is_erased).then_some(*key));
                prop_assert_eq!(ring.keys_of(&contact(&name)).unwrap().contains(number), !is_erased);
            }
        }
    }
}
