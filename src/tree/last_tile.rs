//! The tile of leaves that was asked for last: whoever goes through a log in order reads each tile once.

use super::merkle::Hash;
use super::tile_reader::{TileError, TileReader};
use super::tiles::TILE_HASHES;

/// Keeps one tile of leaves.
#[derive(Debug, Default)]
pub struct LastTile {
    /// Its number and its hashes.
    kept: Option<(u64, Vec<Hash>)>,
}

impl LastTile {
    /// The hashes of the tile with this number, in a tree of `size` leaves.
    ///
    /// # Errors
    /// When the files cannot be read, or hold less.
    pub fn hashes(&mut self, tree: &TileReader, number: u64, size: u64) -> Result<&[Hash], TileError> {
        let hashes = match self.kept.take().filter(|(kept, _)| *kept == number) {
            Some((_, hashes)) => hashes,
            None => tree.tile(0, number, size.saturating_sub(number * TILE_HASHES).min(TILE_HASHES))?,
        };
        Ok(&self.kept.insert((number, hashes)).1)
    }

    /// One leaf of such a tree; `None` if it has fewer.
    ///
    /// # Errors
    /// As [`LastTile::hashes`].
    pub fn leaf(&mut self, tree: &TileReader, seq: u64, size: u64) -> Result<Option<Hash>, TileError> {
        if seq >= size {
            return Ok(None);
        }
        Ok(self.hashes(tree, seq / TILE_HASHES, size)?.get((seq % TILE_HASHES) as usize).copied())
    }
}
