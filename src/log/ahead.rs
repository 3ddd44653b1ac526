//! A [`SealedScan`] in a thread of its own, which is a batch ahead: the next one is read, unpacked and hashed while somebody looks
//! at this one.

use std::io;
use std::mem;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use super::scan::Step;
use super::sealed_scan::{Batch, SealedScan};
use crate::seq::Seq;

/// Steps that wait to be taken; one more is being made, and one batch is being looked at. A batch is at most 8 MiB, or one request.
const STEPS_AHEAD: usize = 1;

pub(super) struct Ahead {
    /// Where the next batch begins, as [`SealedScan`] says it.
    pub at: u64,
    pub seq: Seq,
    batch: Batch,
    /// Batches that were looked at, kept for their capacity.
    spare: Sender<Batch>,
    /// `None` once the thread is not to go on.
    steps: Option<Receiver<Stepped>>,
    thread: Option<JoinHandle<()>>,
}

struct Stepped {
    step: io::Result<Step>,
    batch: Batch,
    at: u64,
    seq: Seq,
}

impl Ahead {
    /// Begins where `scan` is.
    ///
    /// # Errors
    /// If there is no thread.
    pub fn new(mut scan: SealedScan) -> io::Result<Ahead> {
        let (at, seq) = (scan.at, scan.seq);
        let (to_look_at, steps) = mpsc::sync_channel(STEPS_AHEAD);
        let (spare, spares) = mpsc::channel();
        let go = move || {
            loop {
                let step = scan.step();
                let goes_on = matches!(step, Ok(Step::Batch { .. }));
                let mut batch = spares.try_recv().unwrap_or_default();
                scan.swap_batch(&mut batch);
                let stepped = Stepped { step, batch, at: scan.at, seq: scan.seq };
                if to_look_at.send(stepped).is_err() || !goes_on {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("read-ahead".into()).spawn(go)?;
        Ok(Ahead { at, seq, batch: Batch::default(), spare, steps: Some(steps), thread: Some(thread) })
    }

    /// As [`SealedScan::step`]. Behind anything but a batch there is no other step.
    pub fn step(&mut self) -> io::Result<Step> {
        let stepped = self.steps.as_ref().and_then(|steps| steps.recv().ok());
        let Stepped { step, batch, at, seq } =
            stepped.ok_or_else(|| io::Error::other("the thread that reads a segment has ended"))?;
        (self.at, self.seq) = (at, seq);
        // It may be gone, and need none.
        let _ = self.spare.send(mem::replace(&mut self.batch, batch));
        step
    }

    /// The batch that the last step answered.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Takes the batch of the last step back, for a caller that found its root wrong. Only to stop there.
    pub fn undo_batch(&mut self) {
        (self.at, self.seq) = self.batch.begin;
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // What it waits to hand over is taken by nobody now.
        self.steps = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, `step` has said so.
            let _ = thread.join();
        }
    }
}
