//! Goes through a log as its recovery shows it, from the first event, and recomputes everything that the events determine.
//!
//! A batch's leaves are computed on all cores, since the bodies' hashes are most of the work; what depends on the event
//! before follows in order.

use std::ops::Range;

use rayon::prelude::*;

use super::chain::{EventFault, leaf_of};
use super::excised::{self, Cut, CutCheck};
use super::growth::Growth;
use super::sealed::{self, Facts, Opener, SealedCheck};
use crate::log::{Commit, FrameType, Payload, Start, VisitError, Visitor};
use crate::seq::Seq;
use crate::tree::{Hash, Leaf};

/// A smaller batch is not worth waking others for.
const PARALLEL_EVENTS_MIN: usize = 64;
/// Events that one core takes at a time.
const PARALLEL_EVENTS_STEP: usize = 64;

/// What was read of an event.
type Read = Result<(Leaf, Hash, Option<Facts>, Option<Cut>), EventFault>;

/// What the log's recovery shows its events to.
pub struct Replay<'a> {
    growth: Growth<'a>,
    batch: Batch,
    sealed: SealedCheck,
    cut: CutCheck,
    /// Opens what is sealed, if somebody has the keys.
    opener: Option<&'a Opener<'a>>,
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
        let (sealed, cut) = (SealedCheck::default(), CutCheck::default());
        Replay { growth, batch: Batch::default(), sealed, cut, opener: None, progress }
    }

    /// The same that opens what is sealed.
    pub fn opening(self, opener: Option<&'a Opener<'a>>) -> Replay<'a> {
        Replay { opener, ..self }
    }

    /// The tree that came out, and what was seen of what is sealed and of what was cut out.
    pub fn into_parts(self) -> (Growth<'a>, SealedCheck, CutCheck) {
        (self.growth, self.sealed, self.cut)
    }
}

impl Batch {
    fn leaves(&self, opener: Option<&Opener<'_>>) -> Vec<Read> {
        let leaf = |(frame_type, range): &(FrameType, Range<usize>)| {
            let payload = &self.payloads[range.clone()];
            let leaf = leaf_of(*frame_type, payload)?;
            let event = Payload::decode(payload).ok().filter(|_| *frame_type == FrameType::Event);
            let facts = event.as_ref().and_then(|payload| sealed::facts(payload, opener));
            let cut = match &event {
                Some(payload) => excised::says(payload.kind, payload.body),
                None => excised::cut(*frame_type, payload),
            };
            Ok((leaf, leaf.hash(), facts, cut))
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
        let leaves = self.batch.leaves(self.opener);
        self.batch.payloads.clear();
        self.batch.events.clear();
        for (seq, leaf) in (commit.first_seq.0..).zip(leaves) {
            let corrupt = |why: EventFault| VisitError::Corrupt(format!("event {seq}: {why}"));
            let (leaf, hash, facts, cut) = leaf.map_err(corrupt)?;
            if let Some(facts) = facts {
                self.sealed.take(Seq(seq), facts);
            }
            if let Some(cut) = cut {
                self.cut.take(Seq(seq), cut);
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Parts;
    use crate::tree::Frontier;
    use crate::verify::Nothing;

    fn payload(n: u64) -> Vec<u8> {
        let body = format!(r#"{{"id":"e{n}","tenant":"acme","action":"a.b"}}"#);
        let mut out = Vec::new();
        Payload {
            kind: 1,
            received_ms: n,
            tenant_seq: n,
            salt: [n as u8; 16],
            body: body.as_bytes(),
            parts: Parts::NONE,
        }
        .encode(&mut out);
        out
    }

    /// Shows batches of this many events each, of 0 to 400, with roots that fit; `alter` may change a payload after that.
    fn show(batch: u64, alter: impl Fn(u64, &mut Vec<u8>)) -> Result<Hash, String> {
        let (mut nothing, mut seen) = (Nothing, 0);
        let mut progress = |events| seen = events;
        let mut replay = Replay::new(Growth::new([100], &mut nothing), &mut progress);
        assert_eq!(replay.start(Seq(7), &[0; 32]).unwrap(), Start::FromTheBeginning);
        assert_eq!(replay.start(Seq::ZERO, &[0; 32]).unwrap(), Start::Here);
        let mut frontier = Frontier::new();
        for first in (0..400).step_by(batch as usize) {
            for n in first..first + batch {
                let mut payload = payload(n);
                frontier.push(leaf_of(FrameType::Event, &payload).unwrap().hash());
                alter(n, &mut payload);
                replay.event(Seq(n), FrameType::Event, 0, &payload).unwrap();
            }
            let commit = Commit {
                size: Seq(first + batch),
                root: frontier.root(),
                first_seq: Seq(first),
                n: batch as u32,
                bytes: 0,
                wall_ns: 0,
                prev_commit_offset: 0,
                keyring_generation: 0,
            };
            replay.commit(&commit).map_err(|why| why.to_string())?;
        }
        let (growth, ..) = replay.into_parts();
        assert!(growth.root_at(100).is_some());
        assert_eq!((growth.size(), growth.tenants(), seen), (400, 1, 400));
        Ok(frontier.root())
    }

    #[test]
    fn batches_of_any_size_give_the_same_root() {
        assert_eq!(show(10, |_, _| {}), show(200, |_, _| {}));
    }

    #[test]
    fn an_altered_event_stops_it_with_its_number() {
        for batch in [10, 200] {
            let why = |alter: fn(&mut Vec<u8>)| {
                show(batch, |n, payload| {
                    if n == 57 {
                        alter(payload)
                    }
                })
                .expect_err("an altered event is found")
            };
            assert!(why(|payload| payload[20] ^= 1).contains("the root computed from the events is"));
            assert_eq!(why(|payload| payload[12] += 1), "event 57: it is number 58 of its tenant, expected 57");
            assert_eq!(
                why(|payload| payload[4] = 0),
                "event 57: it was received at 0 ms, before the one before it at 56 ms"
            );
            assert_eq!(why(|payload| payload[1] = 9), "event 57: kind 9 is not known here");
            assert!(why(|payload| payload.truncate(30)).starts_with("event 57: the payload ends"));
            assert!(why(|payload| payload[45] = 0xff).starts_with("event 57: the body is not UTF-8"));
        }
    }
}
