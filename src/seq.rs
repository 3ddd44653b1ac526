//! `Seq`: an event's place in the log. Gapless from 0; also its leaf index in the tree.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An event's place in the log, gapless from 0; also its leaf index in the tree.
///
/// Watermarks use it as an exclusive bound ("every event below this seq").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The first event of a log.
    pub const ZERO: Seq = Seq(0);

    /// The place `n` events later.
    pub fn plus(self, n: u64) -> Seq {
        Seq(self.0 + n)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
