//! Goes through a sealed segment batch by batch, as [`super::scan::BatchScan`] goes through a `.log`, and checks as much:
//! frames, batch numbers, COMMITs, and that the `.log` which the parts amount to has the digest of its SEAL.
//!
//! Whether the roots are right is asked of the room above.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::blocks::Block;
use super::commit::Commit;
use super::frame::{self, FRAME_HEADER_BYTES, FrameHeader, FrameType};
use super::header::{Form, HEADER_BYTES};
use super::scan::Step;
use super::sealed::{Flaw, SealedError, SealedFile};
use crate::hash::Sha256;
use crate::seq::Seq;

pub(super) struct SealedScan {
    sealed: Arc<SealedFile>,
    /// Read with the first step.
    commits: Option<Vec<Commit>>,
    /// The block of the next event, if one was read, and the number of the one after it.
    block: Option<Block>,
    next_block: usize,
    /// Where the block of the next batch's first event begins in the file.
    pub at: u64,
    /// The next event.
    pub seq: Seq,
    /// The next batch.
    batch: u32,
    /// Where the next batch begins in the `.log`, and the COMMIT before it.
    log_at: u64,
    prev_commit_offset: u64,
    /// Of the `.log` before `log_at`.
    sha256: Sha256,
    excised: u32,
    batch_at_hand: Batch,
}

/// The events of a batch.
#[derive(Default)]
pub(super) struct Batch {
    /// Its frames as they lie in the `.log`, its COMMIT behind them.
    frames: Vec<u8>,
    events: Vec<(FrameHeader, Range<usize>)>,
    /// Where it begins.
    pub begin: (u64, Seq),
}

impl Batch {
    /// Each event and its payload.
    pub fn events(&self) -> impl Iterator<Item = (&FrameHeader, &[u8])> {
        self.events.iter().map(|(head, payload)| (head, &self.frames[payload.clone()]))
    }

    fn begin(&mut self, at: u64, first: Seq) {
        self.frames.clear();
        self.events.clear();
        self.begin = (at, first);
    }

    fn push(&mut self, head: FrameHeader, framed: &[u8]) {
        let payload = self.frames.len() + FRAME_HEADER_BYTES;
        self.events.push((head, payload..payload + head.payload_len as usize));
        self.frames.extend_from_slice(framed);
    }
}

impl SealedScan {
    /// Begins with the first batch.
    pub fn new(sealed: Arc<SealedFile>) -> SealedScan {
        let first = sealed.footer.first;
        let at = sealed.block_at(0);
        SealedScan {
            commits: None,
            block: None,
            next_block: 0,
            at,
            seq: first,
            batch: 0,
            log_at: HEADER_BYTES as u64,
            prev_commit_offset: 0,
            sha256: Sha256::new_with_prefix(sealed.header.encode(Form::Log)),
            excised: 0,
            batch_at_hand: Batch { begin: (at, first), ..Batch::default() },
            sealed,
        }
    }

    /// The next batch, or the end. Never [`Step::Clean`]: a sealed segment ends with its last COMMIT.
    pub fn step(&mut self) -> io::Result<Step> {
        match self.try_step() {
            Ok(step) => Ok(step),
            Err(SealedError::Io(e)) => Err(e),
            Err(SealedError::Flaw(Flaw { at, why, .. })) => Ok(Step::Invalid { at, why }),
        }
    }

    fn try_step(&mut self) -> Result<Step, SealedError> {
        let commits = match self.commits.take() {
            Some(commits) => commits,
            None => self.sealed.read_commits()?,
        };
        let commit = self.commits.insert(commits).get(self.batch as usize).copied();
        let Some(commit) = commit else {
            return self.end();
        };
        let (first, end) = (self.seq, self.sealed.footer.end);
        self.batch_at_hand.begin(self.at, first);
        if commit.first_seq != first || commit.size <= first || commit.size > end {
            return Err(self.misfit(first));
        }
        for seq in (first.0..commit.size.0).map(Seq) {
            self.take_event(seq)?;
        }
        let frames = &mut self.batch_at_hand.frames;
        if !commit.closes(first, commit.size, frames.len() as u64, self.prev_commit_offset) {
            return Err(self.misfit(first));
        }
        let salt = &self.sealed.header.salt;
        self.prev_commit_offset = self.log_at + frames.len() as u64;
        frame::write(frames, salt, FrameType::Commit, 0, commit.size, self.batch, &commit.encode());
        self.sha256.update(&frames);
        self.log_at += frames.len() as u64;
        self.batch += 1;
        self.seq = commit.size;
        self.at = self.block_at(commit.size);
        Ok(Step::Batch { at: self.batch_at_hand.begin.0, commit })
    }

    /// The batch that the last step answered.
    pub fn batch(&self) -> &Batch {
        &self.batch_at_hand
    }

    /// The same, to keep; the next one goes into `spare`.
    pub fn swap_batch(&mut self, spare: &mut Batch) {
        std::mem::swap(&mut self.batch_at_hand, spare);
    }

    /// Takes the batch of the last step back, for a caller that found its root wrong. Only to stop there.
    pub fn undo_batch(&mut self) {
        (self.at, self.seq) = self.batch_at_hand.begin;
    }

    fn take_event(&mut self, seq: Seq) -> Result<(), SealedError> {
        if self.block.as_ref().is_none_or(|block| block.framed(seq).is_none()) {
            self.block = Some(self.sealed.read_block(self.next_block)?);
            self.next_block += 1;
        }
        let found = self.block.as_ref().and_then(|block| block.framed(seq));
        let (head, framed) = found.expect("blocks are neighbours, so the next one begins with the next event");
        if head.batch != self.batch {
            let at = self.block_at(seq);
            return Err(SealedError::Flaw(Flaw { at, seq, why: "a frame of another batch" }));
        }
        self.excised += u32::from(head.frame_type == FrameType::Excised);
        self.batch_at_hand.push(*head, framed);
        Ok(())
    }

    fn end(&self) -> Result<Step, SealedError> {
        let footer = &self.sealed.footer;
        let sha256 = self.sha256.clone().finalize();
        let why = if self.seq != footer.end {
            "the COMMITs end before the segment does"
        } else if self.log_at != footer.log_bytes || self.excised != footer.excised {
            "the footer counts something else than there is"
        } else if sha256 != footer.sha256 {
            "the segment's digest is not the one of its SEAL"
        } else {
            return Ok(Step::Sealed { end: self.sealed.bytes, root: footer.root });
        };
        Err(SealedError::Flaw(Flaw { at: footer.commits_at, seq: self.seq, why }))
    }

    fn block_at(&self, seq: Seq) -> u64 {
        self.sealed.block_of(seq).map_or(self.sealed.footer.commits_at, |n| self.sealed.block_at(n))
    }

    fn misfit(&self, seq: Seq) -> SealedError {
        let at = self.sealed.footer.commits_at;
        SealedError::Flaw(Flaw { at, seq, why: "a COMMIT that does not fit its batch" })
    }
}
