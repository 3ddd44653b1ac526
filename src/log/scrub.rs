//! Reads one segment again, from the disk and not from the cache, and checks as much as a start would: header, every frame
//! or block, every COMMIT, the digest of a finished one. What the events should be is asked of the room above.
//!
//! It may be the segment that grows: then it is read up to where the caller says.

use std::io;
use std::path::PathBuf;

use super::Corrupt;
use super::VisitError;
use super::reader::Reader;
use super::scan::Step;
use super::sealing::LeafCheck;
use super::segment_scan::SegmentScan;
use super::segments::{SegmentInfo, sealed_path, segment_path};
use crate::seq::Seq;

/// What was read and found to be as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scrubbed {
    /// The tree's root at the segment's first event, as its header says.
    pub root_at_start: [u8; 32],
    /// The event behind the last one that was read.
    pub end: Seq,
    /// The tree's root there, as the last COMMIT says.
    pub root: [u8; 32],
}

/// Why a segment was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ScrubError {
    /// It was asked to stop, or the log stopped after a failed sync.
    #[error("stopped before segment {segment} was read")]
    Stopped {
        /// First seq of the segment.
        segment: Seq,
    },
    /// It is not what was written.
    #[error(transparent)]
    Damaged(#[from] Corrupt),
    /// The disk does not give it back.
    #[error("event {seq} and what follows cannot be read from {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// First seq of the segment.
        segment: Seq,
        /// Where reading ended, in bytes.
        offset: u64,
        /// The first event that was not read.
        seq: Seq,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The room above could not look into its tree.
    #[error("cannot compare segment {segment} with the tree")]
    Tree {
        /// First seq of the segment.
        segment: Seq,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Reader {
    /// Reads the segment that begins at `first`, whole batches up to the one that ends at or behind `up_to`.
    ///
    /// `is_the_leaf` is asked about every event. `pace` is told after each batch how many bytes were read for it, and what the
    /// next event is; it may take its time, and says whether to go on.
    ///
    /// # Errors
    /// The first thing that is not as it was written. `Ok(None)` if no segment begins there.
    pub fn scrub(
        &self,
        first: Seq,
        up_to: Seq,
        is_the_leaf: &mut LeafCheck<'_>,
        pace: &mut dyn FnMut(u64, Seq) -> bool,
    ) -> Result<Option<Scrubbed>, ScrubError> {
        loop {
            let Some(segment) = self.segments().into_iter().find(|segment| segment.first == first) else {
                return Ok(None);
            };
            let again =
                |now: Option<SegmentInfo>| now.is_some_and(|now| now.sealed.is_some() != segment.sealed.is_some());
            match self.scrub_segment(&segment, up_to, is_the_leaf, pace) {
                // It was sealed between the two looks.
                Err(ScrubError::Io { source, .. })
                    if source.kind() == io::ErrorKind::NotFound
                        && again(self.segments().into_iter().find(|segment| segment.first == first)) => {}
                scrubbed => return scrubbed.map(Some),
            }
        }
    }

    fn scrub_segment(
        &self,
        segment: &SegmentInfo,
        up_to: Seq,
        is_the_leaf: &mut LeafCheck<'_>,
        pace: &mut dyn FnMut(u64, Seq) -> bool,
    ) -> Result<Scrubbed, ScrubError> {
        let shared = self.shared();
        let first = segment.first;
        let path = match segment.sealed {
            Some(_) => sealed_path(&shared.log_dir, first),
            None => segment_path(&shared.log_dir, first),
        };
        let failed_at = |offset, seq| {
            let path = path.clone();
            move |source| ScrubError::Io { path, segment: first, offset, seq, source }
        };
        let corrupt = |offset, seq, why: String| ScrubError::Damaged(Corrupt { segment: first, offset, seq, why });
        let file = shared.disk.open_read(&path).map_err(failed_at(0, first))?;
        file.forget_cache().map_err(failed_at(0, first))?;
        let len = segment.is_active.then_some(segment.bytes);
        let (header, mut scan) =
            SegmentScan::open(file, first, segment.sealed.is_some(), len).map_err(failed_at(0, first))??;
        let mut root = header.root_at_start;
        loop {
            let (at, seq) = (scan.at(), scan.seq());
            if shared.is_stopped() {
                return Err(ScrubError::Stopped { segment: first });
            }
            if segment.is_active && seq >= up_to {
                break;
            }
            match scan.step().map_err(failed_at(at, seq))? {
                Step::Batch { at: begin, commit } => {
                    scan.each_event(|head, payload| {
                        is_the_leaf(head.seq, head.frame_type, payload).map_err(|error| match error {
                            VisitError::Failed(source) => ScrubError::Tree { segment: first, source },
                            VisitError::RootMismatch { .. } | VisitError::Corrupt(_) => {
                                corrupt(begin, head.seq, error.to_string())
                            }
                        })
                    })?;
                    root = commit.root;
                    if !pace(scan.at().saturating_sub(at), scan.seq()) {
                        return Err(ScrubError::Stopped { segment: first });
                    }
                }
                Step::Sealed { root: sealed_root, .. } if sealed_root != root => {
                    return Err(corrupt(at, seq, "the SEAL has another root than the last COMMIT".to_owned()));
                }
                Step::Sealed { .. } | Step::Clean => break,
                Step::Invalid { at, why } => return Err(corrupt(at, seq, why.to_owned())),
            }
        }
        let end = scan.seq();
        let due = if segment.is_active { up_to.min(segment.end) } else { segment.end };
        if end < due {
            return Err(corrupt(scan.at(), end, format!("it ends before event {end}, expected {due}")));
        }
        Ok(Scrubbed { root_at_start: header.root_at_start, end, root })
    }
}
