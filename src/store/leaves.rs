//! Holds events as they lie in the log against the leaves that the tree has: what sealing proves and scrubbing repeats.

use crate::index::source::leaf_hash_of;
use crate::log::{FrameType, VisitError};
use crate::seq::Seq;
use crate::tree::{LastTile, TileReader};
use crate::verify::leaf_of;

/// Holds events against `tree/L0`, a tile at a time.
pub struct Leaves<'a> {
    tree: &'a TileReader,
    /// The tree is read up to here.
    end: Seq,
    tile: LastTile,
}

impl<'a> Leaves<'a> {
    /// Against this tree, which is complete up to `end`.
    pub fn new(tree: &'a TileReader, end: Seq) -> Leaves<'a> {
        Leaves { tree, end, tile: LastTile::default() }
    }

    /// Whether the frame of `seq` is an event with the leaf that the tree has there.
    ///
    /// # Errors
    /// `Corrupt` if it is not, `Failed` if the tree cannot be read.
    pub fn check(&mut self, seq: Seq, frame_type: FrameType, payload: &[u8]) -> Result<(), VisitError> {
        // What exactly is wrong would quote the body.
        let unread = || VisitError::Corrupt(format!("event {seq} cannot be read as an event"));
        let leaf = match frame_type {
            FrameType::Event => leaf_hash_of(seq, payload).map_err(|_| unread())?,
            FrameType::Excised => leaf_of(frame_type, payload).map_err(|_| unread())?.hash(),
            FrameType::Commit | FrameType::Seal => {
                return Err(VisitError::Corrupt(format!(
                    "a {frame_type:?} frame stands where event {seq} is expected"
                )));
            }
        };
        let in_tree =
            self.tile.leaf(self.tree, seq.0, self.end.0).map_err(|error| VisitError::Failed(Box::new(error)))?;
        match in_tree {
            Some(in_tree) if in_tree == leaf => Ok(()),
            Some(_) => Err(VisitError::Corrupt(format!("the leaf of event {seq} is not the one in tree/L0"))),
            None => Err(VisitError::Corrupt(format!("the tree was to be read up to {} only", self.end))),
        }
    }
}
