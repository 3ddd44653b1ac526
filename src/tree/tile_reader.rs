//! Reads the tile files while they grow: tiles, and the hash of any subtree, which is what proofs are made of.
//!
//! Whoever asks knows a size up to which the files are complete (the signed one) and asks for nothing beyond it.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use super::merkle::{Hash, empty_root, node_hash};
use super::proof::{consistency_path, inclusion_path, split};
use super::tiles::{HASH_BYTES, LEVELS_MAX, TILE_HASHES, level_path, read_hashes, subtree_root};
use crate::durable::{Disk, DiskFile};

/// Levels of hashes that one level of tiles spans: 2^8 = 256.
const TILE_HEIGHT: u32 = 8;

/// The tile files, open for reading. Any number of threads read while the writer appends.
#[derive(Debug)]
pub struct TileReader {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// The files opened so far, lowest level first. Held to look one up or to open one.
    levels: RwLock<Vec<Arc<dyn DiskFile>>>,
}

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
pub enum TileError {
    /// The files hold less than the log: they were lost, or could not be written. They are computed at the next start.
    #[error("tree/ does not hold level {level} from {from} to {to}; it is computed again at the next start")]
    Missing {
        /// Which level.
        level: u32,
        /// The first hash wanted.
        from: u64,
        /// Behind the last one.
        to: u64,
    },
    /// A file could not be read.
    #[error("cannot read the tree")]
    Io(#[from] io::Error),
}

impl TileReader {
    /// Reads the files in `dir`; they are opened when first asked for.
    pub fn new(disk: Arc<dyn Disk>, dir: &Path) -> TileReader {
        TileReader { disk, dir: dir.to_owned(), levels: RwLock::default() }
    }

    /// `width` hashes of tile `tile` of a level.
    pub fn tile(&self, level: u32, tile: u64, width: u64) -> Result<Vec<Hash>, TileError> {
        let from = tile.saturating_mul(TILE_HASHES);
        self.hashes(level, from, from.saturating_add(width))
    }

    /// The hash of one leaf.
    pub fn leaf_hash(&self, index: u64) -> Result<Hash, TileError> {
        Ok(self.hashes(0, index, index.saturating_add(1))?[0])
    }

    /// Whether hash `index` of a level above 0 is the root of the tile below it.
    pub fn is_root_of_tile(&self, level: u32, index: u64) -> Result<bool, TileError> {
        let tile = self.tile(level.saturating_sub(1), index, TILE_HASHES)?;
        Ok(self.hashes(level, index, index.saturating_add(1))?[0] == subtree_root(&tile))
    }

    /// Has the next reads come from the disk, as far as what is there was written to it.
    pub fn forget_cache(&self) -> io::Result<()> {
        // Opens all there are.
        self.level(LEVELS_MAX)?;
        self.levels.read().iter().try_for_each(|file| file.forget_cache())
    }

    /// The root of the tree's first `size` leaves.
    pub fn root(&self, size: u64) -> Result<Hash, TileError> {
        match size {
            0 => Ok(empty_root()),
            size => self.subtree(0..size),
        }
    }

    /// The proof that leaf `index` is in the tree of `size` leaves; `None` if it has no such leaf.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Option<Vec<Hash>>, TileError> {
        inclusion_path(index, size).map(|path| self.subtrees(path)).transpose()
    }

    /// The proof that the tree of `new` leaves begins with that of `old` leaves; `None` if `old` is larger.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Option<Vec<Hash>>, TileError> {
        consistency_path(old, new).map(|path| self.subtrees(path)).transpose()
    }

    fn subtrees(&self, path: Vec<Range<u64>>) -> Result<Vec<Hash>, TileError> {
        path.into_iter().map(|range| self.subtree(range)).collect()
    }

    /// The hash of a subtree that RFC 6962 makes: full ones are read, the ragged one at the right edge is put together.
    pub(super) fn subtree(&self, range: Range<u64>) -> Result<Hash, TileError> {
        let size = range.end - range.start;
        if size.is_power_of_two() {
            let height = size.trailing_zeros();
            let level = (height / TILE_HEIGHT).min(LEVELS_MAX - 1);
            let from = range.start >> (TILE_HEIGHT * level);
            let hashes = self.hashes(level, from, from + (size >> (TILE_HEIGHT * level)))?;
            return Ok(subtree_root(&hashes));
        }
        let middle = split(&range);
        Ok(node_hash(&self.subtree(range.start..middle)?, &self.subtree(middle..range.end)?))
    }

    fn hashes(&self, level: u32, from: u64, to: u64) -> Result<Vec<Hash>, TileError> {
        let missing = TileError::Missing { level, from, to };
        let Some(file) = self.level(level)? else {
            return Err(missing);
        };
        if from >= to || to.checked_mul(HASH_BYTES).is_none_or(|bytes| bytes > u64::MAX / 2) {
            return Err(missing);
        }
        match read_hashes(&*file, from, to) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(missing),
            read => Ok(read?),
        }
    }

    fn level(&self, level: u32) -> io::Result<Option<Arc<dyn DiskFile>>> {
        if let Some(file) = self.levels.read().get(level as usize) {
            return Ok(Some(file.clone()));
        }
        let mut levels = self.levels.write();
        while levels.len() <= level as usize {
            let next = levels.len() as u32;
            if next >= LEVELS_MAX {
                return Ok(None);
            }
            match self.disk.open_read(&level_path(&self.dir, next)) {
                Ok(file) => levels.push(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(levels.get(level as usize).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::OsDisk;
    use crate::tree::proof::{verify_consistency, verify_inclusion};
    use crate::tree::{Frontier, Tiles, leaf_hash};

    /// 66,000 leaves fill a tile of L1, so that L2 gets its first hash.
    #[test]
    fn proofs_from_the_files_verify_at_the_edges_of_tiles() {
        const LEAVES: u64 = 66_000;
        let dir = tempfile::tempdir().unwrap();
        let disk = OsDisk::shared();
        let mut tiles = Tiles::open(disk.clone(), dir.path()).unwrap();
        let reader = TileReader::new(disk, dir.path());
        assert!(matches!(reader.leaf_hash(0), Err(TileError::Missing { .. })));
        let leaves: Vec<Hash> = (0..LEAVES).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let edges = [1, 2, 3, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 65_792, LEAVES];
        let (mut frontier, mut roots) = (Frontier::new(), Vec::new());
        let mut done = 0;
        for size in edges {
            tiles.append(&leaves[done as usize..size as usize]).unwrap();
            leaves[done as usize..size as usize].iter().for_each(|leaf| frontier.push(*leaf));
            done = size;
            roots.push((size, frontier.root()));
            assert_eq!(reader.root(size).unwrap(), frontier.root(), "size {size}");
        }
        for (size, root) in &roots {
            assert_eq!(reader.root(*size).unwrap(), *root, "size {size}, when the files hold more");
            for (index, _) in roots.iter().filter(|(index, _)| index < size) {
                let proof = reader.inclusion(*index, *size).unwrap().unwrap();
                assert!(verify_inclusion(&leaves[*index as usize], *index, *size, &proof, root), "{index} in {size}");
            }
            for (old, old_root) in roots.iter().filter(|(old, _)| old <= size) {
                let proof = reader.consistency(*old, *size).unwrap().unwrap();
                assert!(verify_consistency(*old, *size, old_root, root, &proof), "{old} in {size}");
            }
        }
        assert_eq!(reader.tile(1, 0, 5).unwrap().len(), 5);
        assert_eq!(reader.tile(0, 257, 208).unwrap()[207], leaves[LEAVES as usize - 1]);
        for (level, tile, width) in
            [(0, 257, 209), (1, 1, 2), (2, 1, 1), (3, 0, 1), (63, 0, 1), (0, u64::MAX, 1), (0, 0, 0)]
        {
            assert!(
                matches!(reader.tile(level, tile, width), Err(TileError::Missing { .. })),
                "{level} {tile} {width}"
            );
        }
    }
}
