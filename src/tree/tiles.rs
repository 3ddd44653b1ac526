//! The files `tree/L0`, `tree/L1`, …: flat arrays of hashes, so that tile (L, N) is bytes `[8192 N, 8192 N + 8192)`.
//!
//! Entry *i* of level *L* is the root of the full subtree over the `256^L` leaves from `i · 256^L`. L0 holds the leaf
//! hashes. Appends are written, not synced: [`Tiles::sync`] comes before a new log segment, the rest is rebuilt from the log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::merkle::{Frontier, Hash, node_hash};
use crate::durable::{Disk, DiskFile, read_exact, write_all};

/// A hash's size in bytes.
pub const HASH_BYTES: u64 = 32;
/// Hashes in a tile.
pub const TILE_HASHES: u64 = 256;
/// 256^8 leaves are more than a u64 counts.
pub(super) const LEVELS_MAX: u32 = 8;

/// The open tile files.
#[derive(Debug)]
pub struct Tiles {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    size: u64,
    levels: Vec<Level>,
    has_new_names: bool,
}

#[derive(Debug)]
struct Level {
    file: Arc<dyn DiskFile>,
    /// The hashes of its last, partial tile: what the level above needs next.
    open_tile: Vec<Hash>,
    is_dirty: bool,
}

impl Tiles {
    /// Opens the files in `dir` (made if absent). What they hold is only trusted after [`Tiles::frontier_at`] gave the
    /// root that the log says; [`Tiles::size`] is what L0's length says.
    /// Call [`Tiles::truncate`] once before the first append: it also loads the last tiles.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> io::Result<Tiles> {
        disk.create_dir(dir)?;
        let mut tiles = Tiles { disk, dir: dir.to_owned(), size: 0, levels: Vec::new(), has_new_names: false };
        let mut size = 0;
        for level in 0..LEVELS_MAX {
            let path = tiles.path(level);
            if !tiles.disk.exists(&path)? {
                break;
            }
            let file = tiles.disk.open(&path)?;
            if level == 0 {
                size = file.len()? / HASH_BYTES;
            }
            tiles.levels.push(Level { file, open_tile: Vec::new(), is_dirty: false });
        }
        // The upper levels may lag behind L0 after a crash; whoever opened us cuts back to what the log says next.
        tiles.size = size;
        Ok(tiles)
    }

    /// Leaves held.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends leaf hashes; one write per level. After an error cut back with [`Tiles::truncate`].
    pub fn append(&mut self, leaf_hashes: &[Hash]) -> io::Result<()> {
        let mut fresh = leaf_hashes.to_vec();
        let mut entries = self.size;
        for level in 0..LEVELS_MAX {
            if fresh.is_empty() {
                break;
            }
            self.ensure_level(level)?;
            let level = &mut self.levels[level as usize];
            write_all(&*level.file, fresh.as_flattened(), entries * HASH_BYTES)?;
            level.is_dirty = true;
            let mut above = Vec::new();
            for hash in fresh {
                level.open_tile.push(hash);
                if level.open_tile.len() as u64 == TILE_HASHES {
                    above.push(subtree_root(&level.open_tile));
                    level.open_tile.clear();
                }
            }
            fresh = above;
            entries /= TILE_HASHES;
        }
        self.size += leaf_hashes.len() as u64;
        Ok(())
    }

    /// Makes everything appended durable: `fdatasync` of each changed file, and of the directory if files are new.
    pub fn sync(&mut self) -> io::Result<()> {
        for level in &mut self.levels {
            if level.is_dirty {
                level.file.sync_data()?;
                level.is_dirty = false;
            }
        }
        if self.has_new_names {
            self.disk.sync_dir(&self.dir)?;
            self.has_new_names = false;
        }
        Ok(())
    }

    /// Cuts back to `size` leaves, on every level.
    pub fn truncate(&mut self, size: u64) -> io::Result<()> {
        self.size = size;
        let mut entries = size;
        for level in 0..LEVELS_MAX {
            if self.levels.len() <= level as usize && entries == 0 {
                break;
            }
            self.ensure_level(level)?;
            let level = &mut self.levels[level as usize];
            level.file.truncate(entries * HASH_BYTES)?;
            level.is_dirty = true;
            level.open_tile = read_hashes(&*level.file, entries / TILE_HASHES * TILE_HASHES, entries)?;
            entries /= TILE_HASHES;
        }
        Ok(())
    }

    /// The frontier of the tree's first `size` leaves; `None` if the files do not hold that many.
    pub fn frontier_at(&self, size: u64) -> io::Result<Option<Frontier>> {
        let mut peaks = Vec::new();
        let mut entries = size;
        for level in 0..LEVELS_MAX {
            if entries == 0 {
                break;
            }
            let Some(level) = self.levels.get(level as usize) else {
                return Ok(None);
            };
            if level.file.len()? < entries * HASH_BYTES {
                return Ok(None);
            }
            // Smallest subtrees first: the 1 bits of the count in the last tile, from the right.
            let tile = read_hashes(&*level.file, entries / TILE_HASHES * TILE_HASHES, entries)?;
            let mut end = tile.len();
            while end > 0 {
                let start = end - (1 << end.trailing_zeros());
                peaks.push(subtree_root(&tile[start..end]));
                end = start;
            }
            entries /= TILE_HASHES;
        }
        peaks.reverse();
        Ok(Frontier::from_peaks(size, peaks))
    }

    fn ensure_level(&mut self, level: u32) -> io::Result<()> {
        if self.levels.len() <= level as usize {
            let file = self.disk.create(&self.path(level))?;
            self.has_new_names = true;
            self.levels.push(Level { file, open_tile: Vec::new(), is_dirty: true });
        }
        Ok(())
    }

    fn path(&self, level: u32) -> PathBuf {
        level_path(&self.dir, level)
    }
}

/// `dir/L0`
pub(super) fn level_path(dir: &Path, level: u32) -> PathBuf {
    dir.join(format!("L{level}"))
}

/// The root of a full subtree over 2^k hashes.
pub(super) fn subtree_root(hashes: &[Hash]) -> Hash {
    match hashes {
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            node_hash(&subtree_root(left), &subtree_root(right))
        }
    }
}

/// Hashes `from..to` of a level.
pub(super) fn read_hashes(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<Vec<Hash>> {
    let mut hashes = vec![[0; 32]; (to - from) as usize];
    read_exact(file, hashes.as_flattened_mut(), from * HASH_BYTES)?;
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::OsDisk;
    use crate::tree::leaf_hash;

    fn hash(i: u64) -> Hash {
        leaf_hash(&i.to_be_bytes())
    }

    fn open(dir: &Path) -> Tiles {
        Tiles::open(OsDisk::shared(), &dir.join("tree")).unwrap()
    }

    /// 65,536 leaves fill a tile of L1, so that L2 gets its first hash.
    #[test]
    fn the_frontier_from_the_files_is_the_one_that_grew_at_any_size() {
        let dir = tempfile::tempdir().unwrap();
        let mut tiles = open(dir.path());
        let mut grown = Frontier::new();
        let mut kept = Vec::new();
        let steps = [1, 254, 1, 1, 1000, 64_000, 278, 1, 1, 999];
        let mut n = 0;
        for step in steps {
            let hashes: Vec<Hash> = (n..n + step).map(hash).collect();
            tiles.append(&hashes).unwrap();
            for h in hashes {
                grown.push(h);
            }
            n += step;
            kept.push(grown.clone());
        }
        tiles.sync().unwrap();
        assert!(dir.path().join("tree/L2").exists());
        let tiles = open(dir.path());
        assert_eq!(tiles.size(), n);
        for frontier in kept {
            assert_eq!(tiles.frontier_at(frontier.size()).unwrap(), Some(frontier));
        }
        assert_eq!(tiles.frontier_at(n + 1).unwrap(), None);
        assert_eq!(tiles.frontier_at(0).unwrap(), Some(Frontier::new()));
    }

    #[test]
    fn a_cut_tree_grows_on_as_if_never_longer() {
        let dir = tempfile::tempdir().unwrap();
        let all: Vec<Hash> = (0..1500).map(hash).collect();
        for cut in [0, 1, 255, 256, 257, 512, 1000, 1499] {
            let mut tiles = open(dir.path());
            tiles.truncate(0).unwrap();
            tiles.append(&all).unwrap();
            tiles.truncate(cut).unwrap();
            tiles.append(&all[cut as usize..]).unwrap();
            let mut grown = Frontier::new();
            all.iter().for_each(|h| grown.push(*h));
            assert_eq!(tiles.frontier_at(1500).unwrap(), Some(grown), "cut at {cut}");
        }
    }
}
