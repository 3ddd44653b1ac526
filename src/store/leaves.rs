//! Holds events as they lie in the log against the leaves that the tree has: what sealing proves and scrubbing repeats.

use crate::index::source::leaf_hash_of;
use crate::log::{FrameType, VisitError};
use crate::seq::Seq;
use crate::tree::tiles::TILE_HASHES;
use crate::tree::{Hash, TileReader};

/// Holds events against `tree/L0`, a tile at a time.
pub struct Leaves<'a> {
    tree: &'a TileReader,
    /// The tree is read up to here.
    end: Seq,
    /// The tile at hand: its number and its hashes.
    tile: Option<(u64, Vec<Hash>)>,
}

impl<'a> Leaves<'a> {
    /// Against this tree, which is complete up to `end`.
    pub fn new(tree: &'a TileReader, end: Seq) -> Leaves<'a> {
        Leaves { tree, end, tile: None }
    }

    /// Whether the frame of `seq` is an event with the leaf that the tree has there.
    ///
    /// # Errors
    /// `Corrupt` if it is not, `Failed` if the tree cannot be read.
    pub fn check(&mut self, seq: Seq, frame_type: FrameType, payload: &[u8]) -> Result<(), VisitError> {
        let leaf = match frame_type {
            FrameType::Event => leaf_hash_of(seq, payload).map_err(|_| {
                // What exactly is wrong would quote the body.
                VisitError::Corrupt(format!("event {seq} cannot be read as an event"))
            })?,
            // Nobody writes EXCISED frames yet; a start refuses them too.
            FrameType::Excised | FrameType::Commit | FrameType::Seal => {
                return Err(VisitError::Corrupt(format!(
                    "a {frame_type:?} frame stands where event {seq} is expected"
                )));
            }
        };
        let in_tree = self.in_tree(seq)?;
        match leaf == in_tree {
            true => Ok(()),
            false => Err(VisitError::Corrupt(format!("the leaf of event {seq} is not the one in tree/L0"))),
        }
    }

    fn in_tree(&mut self, seq: Seq) -> Result<Hash, VisitError> {
        let number = seq.0 / TILE_HASHES;
        let tile = match self.tile.take().filter(|(known, _)| *known == number) {
            Some(tile) => tile,
            None => {
                let width = self.end.0.saturating_sub(number * TILE_HASHES).min(TILE_HASHES);
                let hashes = self.tree.tile(0, number, width).map_err(|error| VisitError::Failed(Box::new(error)))?;
                (number, hashes)
            }
        };
        let leaf = self.tile.insert(tile).1.get((seq.0 % TILE_HASHES) as usize).copied();
        leaf.ok_or_else(|| VisitError::Corrupt(format!("the tree was to be read up to {} only", self.end)))
    }
}
