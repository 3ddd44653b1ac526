//! Inclusion proofs of many leaves in one tree: what neighbours have in common is read and hashed once.

use std::num::NonZeroUsize;
use std::ops::Range;

use lru::LruCache;

use super::last_tile::LastTile;
use super::merkle::Hash;
use super::proof::inclusion_path;
use super::tile_reader::{TileError, TileReader};
use super::tiles::{TILE_HASHES, subtree_root};

/// Hashes of subtrees that are kept: about 2 MiB. A proof in a tree of a million leaves has twenty.
const HASHES_KEPT: NonZeroUsize = NonZeroUsize::new(16_384).expect("it is not 0");

/// Proves leaves in the tree of one size.
pub struct Prover<'a> {
    tree: &'a TileReader,
    size: u64,
    /// By first leaf and the one behind the last.
    kept: LruCache<(u64, u64), Hash>,
    tile: LastTile,
}

impl<'a> Prover<'a> {
    /// In the tree of so many leaves, which the files must hold.
    pub fn new(tree: &'a TileReader, size: u64) -> Prover<'a> {
        Prover { tree, size, kept: LruCache::new(HASHES_KEPT), tile: LastTile::default() }
    }

    /// As [`TileReader::inclusion`].
    ///
    /// # Errors
    /// When the files cannot be read, or do not hold the tree.
    pub fn inclusion(&mut self, index: u64) -> Result<Option<Vec<Hash>>, TileError> {
        inclusion_path(index, self.size)
            .map(|path| path.into_iter().map(|range| self.subtree(range)).collect())
            .transpose()
    }

    fn subtree(&mut self, range: Range<u64>) -> Result<Hash, TileError> {
        let key = (range.start, range.end);
        if let Some(hash) = self.kept.get(&key) {
            return Ok(*hash);
        }
        let tile = range.start / TILE_HASHES;
        let leaves = range.end - range.start;
        let is_in_tile = leaves.is_power_of_two() && leaves < TILE_HASHES && (range.end - 1) / TILE_HASHES == tile;
        let hash = match is_in_tile {
            true => {
                let first = tile * TILE_HASHES;
                let hashes = self.tile.hashes(self.tree, tile, self.size)?;
                let (from, to) = ((range.start - first) as usize, (range.end - first) as usize);
                hashes.get(from..to).map(subtree_root).ok_or(TileError::Missing { level: 0, from: key.0, to: key.1 })?
            }
            false => self.tree.subtree(range)?,
        };
        self.kept.put(key, hash);
        Ok(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::OsDisk;
    use crate::tree::{Tiles, leaf_hash};

    /// Sizes around the edges of tiles, leaves in rising, falling and scattered order.
    #[test]
    fn its_proofs_are_the_readers_in_any_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut tiles = Tiles::open(OsDisk::shared(), dir.path()).unwrap();
        tiles.truncate(0).unwrap();
        tiles.append(&(0..1_500_u64).map(|i| leaf_hash(&i.to_be_bytes())).collect::<Vec<_>>()).unwrap();
        let tree = TileReader::new(OsDisk::shared(), dir.path());
        for size in [1, 2, 255, 256, 257, 511, 513, 1_024, 1_499, 1_500] {
            let mut prover = Prover::new(&tree, size);
            let order = (0..size).chain((0..size).rev()).chain((0..size).map(|i| i * 769 % size));
            for index in order {
                assert_eq!(prover.inclusion(index).unwrap(), tree.inclusion(index, size).unwrap(), "{index} of {size}");
            }
            assert_eq!(prover.inclusion(size).unwrap(), None);
        }
    }
}
