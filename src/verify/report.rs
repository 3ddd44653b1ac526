//! What a verification learned: plain facts, and findings that say where.

use std::fmt;

use super::sealed::SealedCounts;
use crate::seq::Seq;
use crate::tree::Hash;

/// Where something is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a segment of the log.
    Segment {
        /// First seq of the segment.
        segment: Seq,
        /// Byte in its file.
        offset: u64,
        /// The first event that cannot be trusted.
        seq: Seq,
    },
    /// In a level of the tree, in files or as served.
    Tree {
        /// The level; 0 has the leaf hashes.
        level: u32,
        /// The hash.
        index: u64,
    },
    /// An event of a server.
    Event(Seq),
    /// A line of a bundle, from 1.
    Line(u64),
    /// A file, a slot of one, or an address.
    Named(String),
}

/// One thing that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// Which two things disagree.
    pub why: String,
}

/// What it means for who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All that can be checked was, against something from outside.
    Verified,
    /// Altered, or lost. The findings say where.
    Tampered,
    /// Sound in itself, but whoever could write it could have made it so: see [`Report::unmet`].
    PolicyUnmet,
}

/// The facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What the log calls itself.
    pub origin: Option<String>,
    /// Events whose leaves were recomputed, all from the first on. For a bundle: those its checkpoint speaks of.
    pub size: u64,
    /// The root over them.
    pub root: Option<Hash>,
    /// Tenants whose numbers are gapless.
    pub tenants: u64,
    /// The size of the newest checkpoint with a good signature.
    pub signed_size: Option<u64>,
    /// The key whose signatures were checked.
    pub key: Option<String>,
    /// Signed notes compared: name and size.
    pub notes: Vec<(String, u64)>,
    /// Hashes of tile files or tiles that were recomputed and compared.
    pub tree_hashes: u64,
    /// Entries whose body was held against their leaf, each by itself: a server's sample, a bundle's rows.
    pub bodies: u64,
    /// What is sealed, and what of it was erased.
    pub sealed: SealedCounts,
    /// Entries whose content was cut out, as the log says: only their leaves are there.
    pub cut_out: u64,
    /// What is worth knowing and no finding.
    pub remarks: Vec<String>,
    /// What is not what it was.
    pub findings: Vec<Finding>,
    /// Why a log without findings is not verified: nothing from outside was given, say.
    pub unmet: Vec<String>,
}

impl Report {
    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        match (self.findings.is_empty(), self.unmet.is_empty()) {
            (false, _) => Verdict::Tampered,
            (true, false) => Verdict::PolicyUnmet,
            (true, true) => Verdict::Verified,
        }
    }

    /// Adds a finding.
    pub fn found(&mut self, place: Place, why: impl Into<String>) {
        self.findings.push(Finding { place, why: why.into() });
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Segment { segment, offset, seq } => {
                write!(f, "segment {segment} at byte {offset} (event {seq})")
            }
            Place::Tree { level, index } => write!(f, "tree/L{level} at hash {index}"),
            Place::Event(seq) => write!(f, "event {seq}"),
            Place::Line(line) => write!(f, "line {line}"),
            Place::Named(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}
