//! Goes through a log as its recovery shows it, from the first event, and recomputes everything that the events determine.
//!
//! A batch's leaves are computed on all cores, since the bodies' hashes are most of the work; what depends on the event
//! before follows in order.

use std::ops::Range;

use rayon::prelude::*;

use super::chain::{EventFault, leaf_of};
use super::growth::Growth;
use crate::log::{Commit, FrameType, Start, VisitError, Visitor};
use crate::seq::Seq;
use crate::tree::{Hash, Leaf};

/// A smaller batch is not worth waking others for.
const PARALLEL_EVENTS_MIN: usize = 64;
/// Events that one core takes at a time.
const PARALLEL_EVENTS_STEP: usize = 64;

/// What the log's recovery shows its events to.
pub struct Replay<'a> {
    growth: Growth<'a>,
    batch: Batch,
    /// Called with the events so far, after each batch.
    progress: &'a mut dyn FnMut(u64),
}

/// The events of one batch; kept for its capacity.
#[derive(Default)]
struct Batch {
    payloads: Vec<u8>,
    events: Vec<(FrameType, Range<usize>)>,
}

impl<'a> Replay<'a> {
    /// Into this tree, which must be empty.
    pub fn new(growth: Growth<'a>, progress: &'a mut dyn FnMut(u64)) -> Replay<'a> {
        Replay { growth, batch: Batch::default(), progress }
    }

    /// The tree that came out.
    pub fn into_growth(self) -> Growth<'a> {
        self.growth
    }
}

impl Batch {
    fn leaves(&self) -> Vec<Result<(Leaf, Hash), EventFault>> {
        let leaf = |(frame_type, range): &(FrameType, Range<usize>)| {
            let leaf = leaf_of(*frame_type, &self.payloads[range.clone()])?;
            Ok((leaf, leaf.hash()))
        };
        match self.events.len() < PARALLEL_EVENTS_MIN {
            true => self.events.iter().map(leaf).collect(),
            false => self.events.par_iter().with_min_len(PARALLEL_EVENTS_STEP).map(leaf).collect(),
        }
    }
}

impl Visitor for Replay<'_> {
    /// Whatever the tree's files say: everything is looked at.
    fn start(&mut self, first_seq: Seq, _root_at_start: &[u8; 32]) -> Result<Start, VisitError> {
        match first_seq {
            Seq::ZERO => Ok(Start::Here),
            Seq(_) => Ok(Start::FromTheBeginning),
        }
    }

    fn event(&mut self, _seq: Seq, frame_type: FrameType, _flags: u8, payload: &[u8]) -> Result<(), VisitError> {
        let from = self.batch.payloads.len();
        self.batch.payloads.extend_from_slice(payload);
        self.batch.events.push((frame_type, from..self.batch.payloads.len()));
        Ok(())
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), VisitError> {
        let leaves = self.batch.leaves();
        self.batch.payloads.clear();
        self.batch.events.clear();
        for (seq, leaf) in (commit.first_seq.0..).zip(leaves) {
            let corrupt = |why: EventFault| VisitError::Corrupt(format!("event {seq}: {why}"));
            let (leaf, hash) = leaf.map_err(corrupt)?;
            self.growth.follow(&leaf).map_err(corrupt)?;
            self.growth.push(hash).map_err(VisitError::Failed)?;
        }
        self.growth.keep_numbers();
        let computed = self.growth.root();
        if computed != commit.root {
            return Err(VisitError::RootMismatch { computed });
        }
        (self.progress)(self.growth.size());
        Ok(())
    }
}
