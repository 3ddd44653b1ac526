//! The clock of `received`: what the writer stamps its batches with, and what pollers are promised about the rest.
//!
//! A promise says: of the events that you were not given, none was received at or before this ms, nor will one be. While
//! events flow, their own times are promise enough. When nothing comes, the clock is: once a poller has everything that
//! was ever stamped, it is told the time of now, and later stamps are later than that. The time is on disk (`promised`)
//! before it is told, so that it also holds if the process dies and the clock is set back before the next start.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::seq::Seq;
use crate::store::promised::PromisedFile;
use crate::store::watermarks::Watermarks;

/// A time is written down only when it says this much more than what is known already, ms: at most two syncs a second,
/// however many poll, and none while events flow.
const STEP_MS: u64 = 500;
/// The wall clock may run ahead of the monotonic one by this much before appends stop; promises stop then, too.
pub const CLOCK_STEP_MAX_MS: u64 = 3_600_000;

/// Stamps and promises of one store.
pub struct Arrivals {
    /// Guards stamps and promises against each other; held for a few comparisons, never while a disk is waited for.
    state: Mutex<State>,
    /// Guards the file; held while a reader writes and syncs it. The writer never takes it.
    file: Mutex<Option<PromisedFile>>,
    marks: Arc<Watermarks>,
    accept_clock: bool,
    started: Instant,
    started_wall_ms: u64,
}

struct State {
    /// `received` of the newest batch, durable or not.
    stamped_ms: u64,
    /// Stamps are later than this.
    promised_ms: u64,
    /// The first seq that no batch has taken; behind `durable` lies at most one batch.
    end: Seq,
}

/// What is known of the time of events that a poller was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// None was or will be received at or before this ms.
    Through(u64),
    /// The next one is in the log already: its own time tells.
    InTheLog,
}

impl Arrivals {
    /// Over a log whose newest event was received at `last_ms`. Without a file (nothing is appended in this process)
    /// only the log makes promises.
    pub fn new(
        marks: Arc<Watermarks>,
        last_ms: u64,
        file: Option<PromisedFile>,
        accept_clock: bool,
        now_ms: u64,
    ) -> Arrivals {
        let promised_ms = file.as_ref().map_or(0, PromisedFile::through_ms);
        let state = State { stamped_ms: last_ms, promised_ms, end: marks.get().durable };
        Arrivals {
            state: Mutex::new(state),
            file: Mutex::new(file),
            marks,
            accept_clock,
            started: Instant::now(),
            started_wall_ms: now_ms,
        }
    }

    /// How far the wall clock has run ahead of the monotonic one, ms, if that is more than it may.
    pub fn clock_stepped_ms(&self, now_ms: u64) -> Option<u64> {
        let expected = self.started_wall_ms + u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let ahead_ms = now_ms.saturating_sub(expected);
        (ahead_ms > CLOCK_STEP_MAX_MS && !self.accept_clock).then_some(ahead_ms)
    }

    /// `received` of a batch that will end before `end`. [`Arrivals::settle`] must follow once its fate is known.
    pub fn stamp(&self, end: Seq, now_ms: u64) -> u64 {
        let mut state = self.state.lock();
        state.stamped_ms = state.stamped_ms.max(now_ms).max(state.promised_ms + 1);
        state.end = end;
        state.stamped_ms
    }

    /// The batch is in the log, which ends before `end` now, or it is certain that it never will be. After a failed sync
    /// nobody knows, so then this is not called: the batch may turn up at the next start.
    pub fn settle(&self, end: Seq) {
        self.state.lock().end = end;
    }

    /// What can be said of the events at and after `next`, to someone who has all those before it, the last of them
    /// received at `last_ms`. May write to the disk.
    pub fn promise(&self, next: Seq, last_ms: u64, now_ms: u64) -> Promise {
        let written_ms = self.write_down(last_ms, now_ms);
        let mut state = self.state.lock();
        // Looked at under the lock: no batch is stamped meanwhile, so the newest stamp is that of the one batch that
        // may be on its way.
        if next < self.marks.get().durable {
            return Promise::InTheLog;
        }
        let through_ms = match next < state.end {
            true => written_ms.min(state.stamped_ms.saturating_sub(1)),
            false => written_ms,
        };
        state.promised_ms = state.promised_ms.max(through_ms);
        Promise::Through(through_ms.max(last_ms.saturating_sub(1)))
    }

    /// The latest time that is on disk as promised: now, if that is worth a write.
    fn write_down(&self, last_ms: u64, now_ms: u64) -> u64 {
        let mut file = self.file.lock();
        let Some(file) = file.as_mut() else {
            return 0;
        };
        let known_ms = file.through_ms().max(last_ms);
        if now_ms >= known_ms + STEP_MS && self.clock_stepped_ms(now_ms).is_none() {
            file.write(now_ms);
        }
        file.through_ms()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;
    use crate::durable::Disk;
    use crate::durable::faulty::{Call, FaultyDisk};
    use crate::store::watermarks::Marks;

    const DIR: &str = "/data";

    /// A log that only keeps times, with pollers, on a disk that forgets what was not synced.
    struct World {
        disk: Arc<FaultyDisk>,
        arrivals: Arrivals,
        marks: Arc<Watermarks>,
        now_ms: u64,
        /// `received` of every event in the log.
        log: Vec<u64>,
        /// `received` of the events of a batch that is not in the log yet.
        on_its_way: Vec<u64>,
        /// Where a poller stood, and what it was told.
        told: Vec<(usize, u64)>,
    }

    impl World {
        fn new() -> World {
            let disk = Arc::new(FaultyDisk::new(1));
            disk.create_dir(Path::new(DIR)).unwrap();
            let marks = Arc::new(Watermarks::new(Marks::default()));
            let now_ms = 1_000_000;
            let file = PromisedFile::open(disk.clone(), Path::new(DIR)).unwrap();
            let arrivals = Arrivals::new(marks.clone(), 0, Some(file), true, now_ms);
            World { disk, arrivals, marks, now_ms, log: vec![], on_its_way: vec![], told: vec![] }
        }

        fn stamp(&mut self, events: usize) {
            if self.on_its_way.is_empty() {
                let end = Seq((self.log.len() + events) as u64);
                let ms = self.arrivals.stamp(end, self.now_ms);
                assert!(self.log.last().is_none_or(|last| *last <= ms), "received fell");
                self.on_its_way = vec![ms; events];
            }
        }

        fn sync(&mut self) {
            self.log.append(&mut self.on_its_way);
            let size = Seq(self.log.len() as u64);
            self.marks.raise(|marks| marks.durable = size);
            self.arrivals.settle(size);
        }

        fn fail(&mut self) {
            self.on_its_way.clear();
            self.arrivals.settle(Seq(self.log.len() as u64));
        }

        fn poll(&mut self, behind: usize) {
            let next = self.log.len().saturating_sub(behind);
            let last_ms = next.checked_sub(1).map_or(0, |last| self.log[last]);
            let through_ms = match self.arrivals.promise(Seq(next as u64), last_ms, self.now_ms) {
                Promise::Through(ms) => ms,
                Promise::InTheLog => self.log[next] - 1,
            };
            self.told.push((next, through_ms));
        }

        /// The process dies. The batch on its way is in the log afterwards, or it is not.
        fn crash(&mut self, is_kept: bool) {
            if is_kept {
                self.log.append(&mut self.on_its_way);
            }
            self.on_its_way.clear();
            self.disk.crash();
            let durable = Seq(self.log.len() as u64);
            self.marks = Arc::new(Watermarks::new(Marks { durable, ..Marks::default() }));
            let file = PromisedFile::open(self.disk.clone(), Path::new(DIR)).unwrap();
            let last_ms = self.log.last().copied().unwrap_or(0);
            self.arrivals = Arrivals::new(self.marks.clone(), last_ms, Some(file), true, self.now_ms);
        }

        fn check(&self) {
            for (next, through_ms) in &self.told {
                let first = self.log.get(*next);
                assert!(
                    first.is_none_or(|ms| ms > through_ms),
                    "event {next} was received at {first:?}, but {through_ms} had been told as complete"
                );
            }
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Clock(i64),
        Stamp(usize),
        Sync,
        Fail,
        Poll(usize),
        Crash(bool),
        FailToWriteDown,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (-3_000..6_000i64).prop_map(Step::Clock),
            3 => (1..4usize).prop_map(Step::Stamp),
            3 => Just(Step::Sync),
            1 => Just(Step::Fail),
            6 => prop_oneof![3 => Just(0), 1 => 0..5usize].prop_map(Step::Poll),
            1 => any::<bool>().prop_map(Step::Crash),
            1 => Just(Step::FailToWriteDown),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(20_261_120),
            ..ProptestConfig::with_cases(2_000)
        })]

        #[test]
        fn no_event_arrives_in_time_that_was_told_as_complete(steps in prop::collection::vec(step(), 1..60)) {
            let mut world = World::new();
            for step in steps {
                match step {
                    Step::Clock(ms) => world.now_ms = world.now_ms.saturating_add_signed(ms),
                    Step::Stamp(events) => world.stamp(events),
                    Step::Sync => world.sync(),
                    Step::Fail => world.fail(),
                    Step::Poll(behind) => world.poll(behind),
                    Step::Crash(is_kept) => world.crash(is_kept),
                    Step::FailToWriteDown => world.disk.fail(Call::Sync, 0),
                }
                world.check();
            }
        }
    }

    #[test]
    fn who_has_everything_is_told_the_time_of_now_though_nothing_comes() {
        let mut world = World::new();
        world.stamp(1);
        world.sync();
        for _ in 0..3 {
            world.now_ms += 10_000;
            world.poll(0);
            assert_eq!(world.told.pop(), Some((1, world.now_ms)));
        }
    }

    #[test]
    fn a_batch_on_its_way_holds_the_promise_below_its_stamp() {
        let mut world = World::new();
        world.stamp(2);
        let stamped_ms = world.on_its_way[0];
        world.now_ms += 60_000;
        world.poll(0);
        assert_eq!(world.told.pop(), Some((0, stamped_ms - 1)));
        world.sync();
        world.poll(2);
        assert_eq!(world.told.pop(), Some((0, stamped_ms - 1)));
        world.poll(0);
        assert_eq!(world.told.pop(), Some((2, world.now_ms)));
    }

    #[test]
    fn a_clock_that_jumped_is_not_promised() {
        let mut world = World::new();
        world.arrivals.accept_clock = false;
        world.poll(0);
        let before = world.told.pop();
        world.now_ms += 2 * CLOCK_STEP_MAX_MS;
        world.poll(0);
        assert_eq!(world.told.pop(), before);
    }
}
