//! The append-only log: segment files of checksummed frames, batches that end with a COMMIT, and two HEAD slots.
//!
//! Promises: what [`Writer::append`] has acknowledged survives a crash; what a [`Reader`] hands out passed its checksum;
//! [`open`] cuts a torn tail (and keeps a copy), refuses everything else, and never skips or truncates a record;
//! [`Sealer`] removes a `.log` only for a `.seg` that was read back and holds the same.
//! The bytes are drawn in FORMAT.md. What an event's body says, how roots are computed and when to roll or sign is left
//! to the rooms above; they check roots during recovery through the [`Visitor`].

mod ahead;
mod blocks;
mod commit;
mod cut_out;
mod dictionary;
mod excised;
mod frame;
mod head;
mod header;
mod mend;
pub mod payload;
mod reader;
mod recovery;
mod scan;
mod scrub;
mod seal;
mod sealed;
mod sealed_scan;
mod sealing;
mod segment_scan;
mod segments;
mod writer;

#[cfg(test)]
mod tests;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::seq::Seq;

pub use commit::Commit;
pub use cut_out::{CutError, Cutter, LeafOf, cut_out};
pub use excised::Excised;
pub use frame::{FrameType, PAYLOAD_BYTES_MAX, framed_bytes};
pub use head::{Head, HeadError, HeadFile, Slot, inspect_slots, latest};
pub use mend::{Gap, Judge, Mended, Remains, SegmentFile, SegmentPlace, Taken, Wanted, mend, read_strictly};
pub use payload::{Part, Parts, PartsBuf, Payload, PayloadError};
pub use reader::{Range, ReadError, Reader, Record, RecordRef, SegmentBytes};
pub use recovery::open;
pub use scan::end_of_batch;
pub use scrub::{ScrubError, Scrubbed};
use sealing::SEAL_LEVEL;
pub use sealing::{LeafCheck, SealError, Sealer};
pub use segments::{SealedInfo, SegmentInfo};
pub use writer::{AppendError, Framed, Writer};

/// How large segments grow and how the log is opened. Tests use smaller ones.
#[derive(Clone, Debug)]
pub struct Options {
    /// Roll before a segment would pass this many bytes. Default 64 MiB.
    pub segment_bytes_max: u64,
    /// Roll before a segment would hold more than this many events. Default 262,144.
    pub segment_events_max: u64,
    /// Roll a segment that is older than this, if it holds events, in ns. Default 24 h.
    pub segment_age_max_ns: u64,
    /// Room is reserved in steps of this many bytes. Default 16 MiB; 0 reserves nothing.
    pub preallocate_bytes: u64,
    /// How hard zstd tries when a segment is sealed. Default 3; why, says `sealing`.
    pub seal_level: i32,
    /// Decompressed blocks of sealed segments that are kept, in bytes. Default 32 MiB.
    pub block_cache_bytes_max: usize,
    /// Look, but change nothing on disk: no torn tail is cut, nothing is created, there is no writer. Default false.
    pub read_only: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes_max: 64 << 20,
            segment_events_max: 262_144,
            segment_age_max_ns: 24 * 3600 * 1_000_000_000,
            preallocate_bytes: 16 << 20,
            seal_level: SEAL_LEVEL,
            block_cache_bytes_max: 32 << 20,
            read_only: false,
        }
    }
}

/// What recovery asks of the room above, which knows the tree: it is shown every event of the scanned segments, in order
/// and in whole batches that passed their checksums, and says whether the roots agree.
pub trait Visitor {
    /// The scan begins at `first_seq`. Answer [`Start::Here`] if the tree and the tenants at `first_seq` are at hand and
    /// the root agrees (cut both back to `first_seq` now), else [`Start::FromTheBeginning`]. When called with
    /// `first_seq` 0, begin with an empty tree. May be called a second time, with 0, after `FromTheBeginning`.
    fn start(&mut self, first_seq: Seq, root_at_start: &[u8; 32]) -> Result<Start, VisitError>;

    /// One event's (or excised event's) payload, exactly as appended.
    fn event(&mut self, seq: Seq, frame_type: FrameType, flags: u8, payload: &[u8]) -> Result<(), VisitError>;

    /// The batch just shown ends here; answer [`VisitError::RootMismatch`] if the tree's root is not `commit.root`.
    fn commit(&mut self, commit: &Commit) -> Result<(), VisitError>;
}

/// Takes every event and every root as it is: for who has looked at them, or has no tree.
#[derive(Debug)]
pub struct Trusting;

impl Visitor for Trusting {
    fn start(&mut self, _: Seq, _: &[u8; 32]) -> Result<Start, VisitError> {
        Ok(Start::Here)
    }

    fn event(&mut self, _: Seq, _: FrameType, _: u8, _: &[u8]) -> Result<(), VisitError> {
        Ok(())
    }

    fn commit(&mut self, _: &Commit) -> Result<(), VisitError> {
        Ok(())
    }
}

/// Where the scan may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The visitor knows the tree up to here.
    Here,
    /// It does not: show it everything from the first segment.
    FromTheBeginning,
}

/// Why a visitor stopped the scan.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    /// The tree over the events has another root: the log is corrupt.
    #[error("the root computed from the events is {}, not the one in the log", hex(computed))]
    RootMismatch {
        /// The root over the events shown.
        computed: [u8; 32],
    },
    /// A payload that passed its checksum makes no sense: the log is corrupt.
    #[error("{0}")]
    Corrupt(String),
    /// The visitor itself failed (a disk error under the tree, say); nothing is said about the log.
    #[error(transparent)]
    Failed(Box<dyn Error + Send + Sync>),
}

/// An open log.
#[derive(Debug)]
pub struct Opened {
    /// Appends; absent if the log is corrupt or was opened read-only.
    pub writer: Option<Writer>,
    /// Reads; cheap to clone.
    pub reader: Reader,
    /// Seals finished segments; absent as the writer is.
    pub sealer: Option<Sealer>,
    /// The HEAD slots; a publisher may write them from its own thread.
    pub head: Arc<HeadFile>,
    /// What recovery found.
    pub report: Recovered,
    /// Set if the log is corrupt: events below `report.size` are still served, nothing can be appended.
    pub read_only: Option<Corrupt>,
}

/// What recovery found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The log's id, from its segment headers.
    pub log_id: [u8; 16],
    /// Events in the log.
    pub size: Seq,
    /// The root at `size`, as the last COMMIT (or the segment header) says it and the visitor confirmed it.
    pub root: [u8; 32],
    /// The keyring generation of the last COMMIT that was scanned, 0 if there was none.
    pub keyring_generation: u32,
    /// Where the scan began.
    pub scanned_from: Seq,
    /// What HEAD said: the latest published checkpoint. `None` if it was unreadable.
    pub head: Option<Head>,
    /// A half-written last batch that was cut.
    pub torn: Option<TornTail>,
    /// A sealed segment that was not what its checksums say, moved here; its `.log` was still there and is used.
    pub broken_copies: Vec<PathBuf>,
    /// A newest segment file without a whole header and without frames, moved here.
    pub headless: Option<PathBuf>,
    /// The log was created by this call.
    pub created: bool,
    /// The last run stopped at a failed sync: the next append goes to a new segment.
    pub after_failed_sync: bool,
}

/// A half-written last batch. It was never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// First seq of its segment.
    pub segment: Seq,
    /// Where it began, in bytes.
    pub offset: u64,
    /// How long it was, up to its last non-zero byte.
    pub bytes: u64,
    /// The copy that was kept; `None` when the log was opened read-only and nothing was cut.
    pub quarantined_to: Option<PathBuf>,
}

/// The first place at which the log is not what was written. Nothing there was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("segment {segment} is corrupt at byte {offset} (event {seq}): {why}")]
pub struct Corrupt {
    /// First seq of the segment.
    pub segment: Seq,
    /// Byte in the segment's file.
    pub offset: u64,
    /// The first event that cannot be trusted.
    pub seq: Seq,
    /// What disagrees.
    pub why: String,
}

/// Why a log could not be opened at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file could not be read, written or synced.
    #[error("cannot open the log: {path}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The room above failed while it was shown the events.
    #[error("cannot recover the tree of the log")]
    Visitor(#[source] Box<dyn Error + Send + Sync>),
    /// There is no log here, and opening read-only does not make one.
    #[error("{path} holds no log")]
    NoLog {
        /// The data directory.
        path: PathBuf,
    },
    /// Not even the first segment can be read: there is nothing to serve.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// 64 small hex digits, for messages.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{b:02x}");
        out
    })
}
