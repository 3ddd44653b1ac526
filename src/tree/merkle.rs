//! The maths of RFC 6962: leaf and node hashes, and the frontier from which a growing tree's root follows.

use crate::hash::Sha256;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// `SHA256(00 ‖ leaf)`
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Sha256::new_with_prefix([0]).chain_update(leaf).finalize()
}

/// `SHA256(01 ‖ left ‖ right)`
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    Sha256::digest(bytes)
}

/// The root of a tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    Sha256::digest(b"")
}

/// The roots of the full subtrees that make up a tree, largest first: all that is needed to add leaves.
///
/// There is one for each 1 bit of the size, so it is small; clone it to be able to go back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The frontier of an empty tree.
    pub fn new() -> Frontier {
        Frontier::default()
    }

    /// A frontier from the roots of its full subtrees, largest first. `None` unless there is one for each 1 bit of `size`.
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Frontier> {
        (peaks.len() == size.count_ones() as usize).then_some(Frontier { size, peaks })
    }

    /// Leaves in the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of its full subtrees, largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf_hash: Hash) {
        let mut hash = leaf_hash;
        // Each trailing 1 bit is a full subtree as large as the one in hand: the two become one.
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("there is a peak for each 1 bit of the size");
            hash = node_hash(&left, &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The tree's root.
    pub fn root(&self) -> Hash {
        self.peaks.iter().rev().copied().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MTH of RFC 6962, section 2.1, word by word: the slow, obviously right one.
    fn mth(leaves: &[Vec<u8>]) -> Hash {
        match leaves.len() {
            0 => empty_root(),
            1 => leaf_hash(&leaves[0]),
            n => {
                let mut k = 1;
                while k * 2 < n {
                    k *= 2;
                }
                node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
            }
        }
    }

    #[test]
    fn the_frontiers_root_is_the_recursive_definition_at_every_size() {
        let leaves: Vec<Vec<u8>> = (0..600_u32).map(|i| i.to_le_bytes().repeat(i as usize % 5)).collect();
        let mut frontier = Frontier::new();
        for n in 0..=leaves.len() {
            if n % 7 == 0 || n < 70 {
                assert_eq!(frontier.root(), mth(&leaves[..n]), "size {n}");
            }
            if let Some(leaf) = leaves.get(n) {
                frontier.push(leaf_hash(leaf));
            }
        }
        assert_eq!(frontier.size(), 600);
    }

    #[test]
    fn known_roots_of_rfc_6962s_test_vectors() {
        // From the certificate-transparency reference tests: inputs of 0, 1 and 2 leaves ("" and 00).
        let hex = |h: Hash| h.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let mut frontier = Frontier::new();
        assert_eq!(hex(frontier.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        frontier.push(leaf_hash(b""));
        assert_eq!(hex(frontier.root()), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        frontier.push(leaf_hash(&[0]));
        assert_eq!(hex(frontier.root()), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
    }
}
