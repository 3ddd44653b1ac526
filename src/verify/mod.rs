//! Says whether a log is what it was: recomputes every leaf and every root, and holds them against all that is said about
//! the log elsewhere (signed notes, tile files, what a server answers, what an exported bundle claims).
//!
//! No I/O: bytes come in, findings with their places come out. Files and connections are opened by the command; frames and
//! checksums are the log's; what a finding means for who asked (an exit code) the command says.
//!
//! What is recomputed is what the tree commits to. A COMMIT's wall clock, a segment header's time of creation, and a frame's
//! flags are guarded by checksums only: who can write the file can alter them unseen.

mod bundle;
mod chain;
pub mod excised;
mod growth;
mod notes;
mod replay;
mod report;
pub mod sealed;
mod served;

pub use bundle::{BUNDLE_VERSION, BundleCheck, LINE_BYTES_MAX};
pub use chain::{Chain, EventFault, leaf, leaf_of, leaf_of_excised};
pub use growth::{Growth, Nothing, Stored, StoredError};
pub use notes::{Anchor, HeldNote};
pub use replay::Replay;
pub use report::{Finding, Place, Report, Verdict};
pub use served::{Evidence, EvidenceFault, Proven, leaves_of_bundle};
