//! A tree that grows again, leaf by leaf: numbers and times are followed, each hash of each level is held against what
//! somebody says it is, and the roots at chosen sizes are kept.

use std::collections::BTreeMap;
use std::error::Error;

use super::chain::{Chain, EventFault};
use super::report::{Finding, Place};
use crate::tree::tenants::Numbers;
use crate::tree::{Frontier, Hash, Leaf, Tenants, empty_root, node_hash, tiles::TILE_HASHES};

/// Why stored hashes could not be asked for: nothing is said about the log then.
pub type StoredError = Box<dyn Error + Send + Sync>;

/// What somebody else says the tree's hashes are: the files `tree/L*`, or a server's tiles.
pub trait Stored {
    /// Hash `index` of a level (the root over `256^level` leaves); `None` if it is not there, which may be in order. Asked in
    /// rising order on each level.
    fn hash(&mut self, level: u32, index: u64) -> Result<Option<Hash>, StoredError>;
}

/// Nobody says anything.
pub struct Nothing;

impl Stored for Nothing {
    fn hash(&mut self, _level: u32, _index: u64) -> Result<Option<Hash>, StoredError> {
        Ok(None)
    }
}

/// The tree so far.
pub struct Growth<'a> {
    /// Per level the last, partial tile. Their peaks, highest level first, are the whole tree's.
    levels: Vec<Level>,
    size: u64,
    tenants: Tenants,
    numbers: Numbers,
    chain: Chain,
    /// Sizes at which somebody knows a root; `None` until the tree is that large.
    roots: BTreeMap<u64, Option<Hash>>,
    /// What `tree/tenants` says, if it has to be compared.
    known_tenants: Option<Tenants>,
    stored: &'a mut dyn Stored,
    compared: u64,
    tenants_finding: Option<Finding>,
}

#[derive(Default)]
struct Level {
    tile: Frontier,
    /// Hashes in tiles before the partial one.
    before: u64,
    /// The first hash that is not the stored one, and how many are not.
    first_wrong: Option<u64>,
    wrong: u64,
}

impl<'a> Growth<'a> {
    /// An empty tree that will be asked for its roots at these sizes.
    pub fn new(sizes: impl IntoIterator<Item = u64>, stored: &'a mut dyn Stored) -> Growth<'a> {
        let mut roots: BTreeMap<u64, Option<Hash>> = sizes.into_iter().map(|size| (size, None)).collect();
        roots.entry(0).and_modify(|root| *root = Some(empty_root()));
        Growth {
            levels: Vec::new(),
            size: 0,
            tenants: Tenants::new(),
            numbers: Numbers::default(),
            chain: Chain::default(),
            roots,
            known_tenants: None,
            stored,
            compared: 0,
            tenants_finding: None,
        }
    }

    /// Compares the tenants' last numbers with these when the tree has their size.
    pub fn expect_tenants(&mut self, tenants: Tenants) {
        self.known_tenants = Some(tenants);
    }

    /// Leaves so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Tenants so far.
    pub fn tenants(&self) -> u64 {
        self.tenants.len() as u64
    }

    /// Stored hashes that were compared.
    pub fn compared(&self) -> u64 {
        self.compared
    }

    /// The root now.
    pub fn root(&self) -> Hash {
        let peaks = self.levels.iter().flat_map(|level| level.tile.peaks().iter().rev());
        peaks.copied().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }

    /// The root at one of the sizes asked for at the beginning, if the tree has come there.
    pub fn root_at(&self, size: u64) -> Option<Hash> {
        self.roots.get(&size).copied().flatten()
    }

    /// The next event's leaf and its hash.
    pub fn follow(&mut self, leaf: &Leaf) -> Result<(), EventFault> {
        let due = self.tenants.next(&mut self.numbers, leaf.tenant_tag);
        self.chain.follow(leaf, due)
    }

    /// Puts the hash of the leaf that was just followed into the tree.
    pub fn push(&mut self, hash: Hash) -> Result<(), StoredError> {
        self.add(0, hash)?;
        self.size += 1;
        if self.roots.get(&self.size) == Some(&None) {
            let root = self.root();
            self.roots.insert(self.size, Some(root));
        }
        if self.known_tenants.as_ref().is_some_and(|known| known.size().0 == self.size) {
            self.keep_numbers();
            self.compare_tenants();
        }
        Ok(())
    }

    /// A whole batch was sound.
    pub fn keep_numbers(&mut self) {
        self.tenants.accept(std::mem::take(&mut self.numbers));
    }

    /// What the tree's stored parts disagree about: one finding a level.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (level, state) in (0..).zip(&self.levels) {
            if let Some(index) = state.first_wrong {
                let why = format!("the stored hash is not the one computed from the log ({} differ)", state.wrong);
                findings.push(Finding { place: Place::Tree { level, index }, why });
            }
        }
        if let Some(known) = self.known_tenants.as_ref().filter(|known| known.size().0 > self.size) {
            let why = format!("it speaks of {} events, the log has {}", known.size(), self.size);
            findings.push(Finding { place: Place::Named("tree/tenants".into()), why });
        }
        findings.extend(self.tenants_finding.clone());
        findings
    }

    fn add(&mut self, level: u32, hash: Hash) -> Result<(), StoredError> {
        if self.levels.len() <= level as usize {
            self.levels.push(Level::default());
        }
        let state = &mut self.levels[level as usize];
        let index = state.before + state.tile.size();
        if let Some(stored) = self.stored.hash(level, index)? {
            self.compared += 1;
            if stored != hash {
                state.first_wrong.get_or_insert(index);
                state.wrong += 1;
            }
        }
        state.tile.push(hash);
        if state.tile.size() < TILE_HASHES {
            return Ok(());
        }
        let root = state.tile.root();
        state.before += TILE_HASHES;
        state.tile = Frontier::new();
        self.add(level + 1, root)
    }

    fn compare_tenants(&mut self) {
        if self.known_tenants.as_ref().is_some_and(|known| *known != self.tenants) {
            let why = format!("the tenants' last numbers at event {} are not those of the log", self.size);
            self.tenants_finding = Some(Finding { place: Place::Named("tree/tenants".into()), why });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::leaf_hash;

    struct Shelf(Vec<Vec<Hash>>);

    impl Stored for Shelf {
        fn hash(&mut self, level: u32, index: u64) -> Result<Option<Hash>, StoredError> {
            Ok(self.0.get(level as usize).and_then(|level| level.get(index as usize)).copied())
        }
    }

    fn hashes(n: u64) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    /// 66,000 leaves fill a tile of the second level.
    #[test]
    fn the_root_from_tiles_is_the_frontiers_at_every_size_that_was_asked_for() {
        let sizes = [0, 1, 2, 255, 256, 257, 600, 65_535, 65_536, 65_537, 66_000];
        let mut nothing = Nothing;
        let mut growth = Growth::new(sizes, &mut nothing);
        let mut frontier = Frontier::new();
        let mut expected = BTreeMap::from([(0, frontier.root())]);
        for hash in hashes(66_000) {
            growth.push(hash).unwrap();
            frontier.push(hash);
            expected.insert(frontier.size(), frontier.root());
        }
        for size in sizes {
            assert_eq!(growth.root_at(size), expected.get(&size).copied(), "{size}");
        }
        assert_eq!(growth.root(), frontier.root());
        assert_eq!(growth.root_at(3), None, "nobody asked");
    }

    #[test]
    fn a_stored_hash_that_differs_is_found_on_its_level() {
        let leaves = hashes(1_000);
        let upper: Vec<Hash> = leaves
            .chunks_exact(256)
            .map(|tile| {
                let mut frontier = Frontier::new();
                tile.iter().for_each(|hash| frontier.push(*hash));
                frontier.root()
            })
            .collect();
        let run = |mut shelf: Shelf| {
            let mut growth = Growth::new([], &mut shelf);
            leaves.iter().for_each(|hash| growth.push(*hash).unwrap());
            (growth.compared(), growth.findings())
        };
        assert_eq!(run(Shelf(vec![leaves.clone(), upper.clone()])), (1_003, vec![]));
        assert_eq!(run(Shelf(vec![leaves[..900].to_vec()])), (900, vec![]), "what is not there is not compared");
        for (level, index) in [(0, 0), (0, 999), (1, 2)] {
            let mut shelf = Shelf(vec![leaves.clone(), upper.clone()]);
            shelf.0[level][index][31] ^= 1;
            let (_, findings) = run(shelf);
            assert_eq!(findings.len(), 1);
            assert_eq!(findings[0].place, Place::Tree { level: level as u32, index: index as u64 });
        }
    }
}
