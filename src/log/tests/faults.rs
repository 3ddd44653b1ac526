//! Any call to the disk fails, in any way, once: what was acknowledged is there afterwards, and a start never takes the
//! failure for corruption.

use super::*;
use crate::durable::faulty::Fault;

/// Calls that are made to fail by default; the long run goes on to where the story has no more of them.
const CALLS: u64 = 50;

/// A story with rolls, seals, heads and a start in the middle, in which the `nth` call fails. Answers whether it came to it.
fn fail_at(nth: u64, fault: Fault) -> bool {
    let what = format!("call {nth}, {fault:?}");
    let disk = FaultyDisk::new(nth * 7919 + 1);
    let mut world =
        World { disk: Arc::new(disk.clone()), dir: "/data".into(), options: small(), model: Vec::new(), opened: None };
    disk.fail_any(nth, fault);
    let mut in_flight = Vec::new();
    for i in 0..24 {
        if i % 12 == 0 {
            world.opened = None;
        }
        if world.opened.is_none() {
            // An operator starts it again.
            world.opened = match world.try_open() {
                Ok((opened, _)) => Some(opened),
                Err(OpenError::Corrupt(corrupt)) => panic!("{what}: {corrupt}"),
                Err(_) => continue,
            };
            in_flight = settle(&mut world, &in_flight, &what);
        }
        let batch = batch(7, 200, i);
        match world.append(&batch) {
            Ok(()) | Err(AppendError::Full(_)) => {}
            Err(AppendError::SyncFailed(_) | AppendError::Stopped) => {
                in_flight = batch;
                world.opened = None;
                continue;
            }
            Err(error @ (AppendError::NeedsRoll | AppendError::TooLarge { .. })) => panic!("{what}: {error}"),
        }
        let text = format!("a\n{}\n{}\n", world.model.len(), STANDARD.encode(root_of(&world.model)));
        // A HEAD that could not be written is written next time.
        if let Err(HeadError::Stopped) = world.writer().write_head(&text) {
            world.opened = None;
        }
        if world.opened.is_some() && i % 5 == 4 {
            // A segment that cannot be sealed stays a `.log`.
            drop(world.seal());
        }
    }
    let has_come = !disk.disarm();
    for is_crash in [false, true] {
        if is_crash {
            disk.crash();
        }
        world.opened = Some(world.try_open().unwrap_or_else(|error| panic!("{what}: {error}")).0);
        in_flight = settle(&mut world, &in_flight, &what);
        world.check();
    }
    world.append(&batch(3, 40, 9)).unwrap();
    world.check();
    has_come
}

/// After a start: all that was acknowledged, and of what was not answered all or nothing.
fn settle(world: &mut World, in_flight: &[Vec<u8>], what: &str) -> Vec<Vec<u8>> {
    let opened = world.opened();
    assert!(opened.read_only.is_none(), "{what}: {:?}", opened.read_only);
    let size = opened.report.size.0 as usize;
    let (acked, more) = (world.model.len(), in_flight.len());
    assert!(size == acked || size == acked + more, "{what}: {size} events, {acked} acknowledged, {more} in flight");
    if size > acked {
        world.model.extend_from_slice(in_flight);
    }
    Vec::new()
}

#[test]
fn whatever_call_fails_and_however_nothing_acknowledged_is_lost_nor_taken_for_corruption() {
    let is_long = soak::is_on();
    for fault in Fault::ALL {
        let mut nth = 0;
        while fail_at(nth, fault) && (is_long || nth < CALLS) {
            nth += 1;
        }
        assert!(nth >= CALLS, "the story has {nth} calls only");
    }
}
