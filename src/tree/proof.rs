//! Inclusion and consistency proofs of RFC 6962 (2.1.1, 2.1.2): which subtrees they are made of, how they are checked, and
//! the text in which an inclusion proof travels with its checkpoint (c2sp.org/tlog-proof).
//!
//! Making one asks for the hashes of subtrees; where those come from (tile files, memory) is the caller's.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::parse_size;
use super::merkle::{Hash, node_hash};
use super::note::NOTE_BYTES_MAX;

/// A tree of 2^64 leaves is 64 high, and a consistency proof names one subtree more. A longer proof is refused.
pub const PROOF_HASHES_MAX: usize = 65;
const TLOG_PROOF: &str = "c2sp.org/tlog-proof@v1";

/// The subtrees whose hashes prove that leaf `index` is in the tree of `size` leaves, from the leaf's sibling upwards.
/// `None` if there is no such leaf.
pub fn inclusion_path(index: u64, size: u64) -> Option<Vec<Range<u64>>> {
    if index >= size {
        return None;
    }
    let (mut path, mut tree) = (Vec::new(), 0..size);
    while tree.end - tree.start > 1 {
        let middle = split(&tree);
        let (left, right) = (tree.start..middle, middle..tree.end);
        let (with_leaf, sibling) = if index < middle { (left, right) } else { (right, left) };
        path.push(sibling);
        tree = with_leaf;
    }
    path.reverse();
    Some(path)
}

/// The subtrees whose hashes prove that the tree of `new` leaves begins with the tree of `old` leaves. Empty if they are
/// the same or the old one is empty; `None` if the old one is larger.
pub fn consistency_path(old: u64, new: u64) -> Option<Vec<Range<u64>>> {
    if old > new {
        return None;
    }
    let (mut path, mut tree) = (Vec::new(), 0..new);
    if old == 0 || old == new {
        return Some(path);
    }
    // SUBPROOF: down to the subtree that ends where the old tree ended.
    while tree.end != old {
        let middle = split(&tree);
        let (left, right) = (tree.start..middle, middle..tree.end);
        let (with_end, sibling) = if old <= middle { (left, right) } else { (right, left) };
        path.push(sibling);
        tree = with_end;
    }
    // If that is the old tree itself, who checks has its hash already.
    if tree.start > 0 {
        path.push(tree);
    }
    path.reverse();
    Some(path)
}

/// Where RFC 6962 cuts a tree of more than one leaf: the largest power of two below its size, from its start.
pub(super) fn split(tree: &Range<u64>) -> u64 {
    let size = tree.end - tree.start;
    tree.start + (1 << (u64::BITS - 1 - (size - 1).leading_zeros()))
}

/// Whether the leaf with this hash is number `index` of the tree with this size and root. RFC 9162, 2.1.3.2.
pub fn verify_inclusion(leaf_hash: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf_hash);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether the tree (`new`, `new_root`) begins with the tree (`old`, `old_root`). RFC 9162, 2.1.4.2. An empty old tree is
/// the beginning of every tree; its root must be that of an empty tree.
pub fn verify_consistency(old: u64, new: u64, old_root: &Hash, new_root: &Hash, proof: &[Hash]) -> bool {
    if old == 0 {
        return proof.is_empty() && *old_root == super::empty_root() && (new > 0 || *new_root == *old_root);
    }
    if old >= new {
        return old == new && proof.is_empty() && old_root == new_root;
    }
    let mut rest = proof.iter();
    // An old tree that is a full subtree is where the proof begins; otherwise the proof names that subtree first.
    let first = if old.is_power_of_two() { Some(old_root) } else { rest.next() };
    let Some(first) = first else {
        return false;
    };
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}

/// An inclusion proof with the checkpoint it leads to, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// The leaf's index.
    pub index: u64,
    /// From the leaf's sibling upwards.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint, whole.
    pub checkpoint: String,
}

impl TlogProof {
    /// The text of c2sp.org/tlog-proof@v1.
    pub fn to_text(&self) -> String {
        let mut text = format!("{TLOG_PROOF}\nindex {}\n", self.index);
        for hash in &self.hashes {
            text.push_str(&STANDARD.encode(hash));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads such a text, with or without extra data (which is not kept). `None` if it is none.
    pub fn parse(text: &str) -> Option<TlogProof> {
        if text.len() > 2 * NOTE_BYTES_MAX {
            return None;
        }
        let (head, checkpoint) = text.split_once("\n\n")?;
        let mut lines = head.split('\n');
        if lines.next() != Some(TLOG_PROOF) {
            return None;
        }
        let mut line = lines.next()?;
        if let Some(extra) = line.strip_prefix("extra ") {
            STANDARD.decode(extra).ok()?;
            line = lines.next()?;
        }
        let index = parse_size(line.strip_prefix("index ")?)?;
        let hashes = parse_hashes(lines)?;
        Some(TlogProof { index, hashes, checkpoint: checkpoint.to_owned() })
    }
}

/// Lines of one base64 hash each. `None` if one is something else or there are too many.
pub fn parse_hashes<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Vec<Hash>> {
    let mut hashes = Vec::new();
    for line in lines {
        if hashes.len() == PROOF_HASHES_MAX {
            return None;
        }
        hashes.push(STANDARD.decode(line).ok()?.try_into().ok()?);
    }
    Some(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Frontier, leaf_hash};

    /// Sizes up to here are tried in every combination: past the edge of a tile (256).
    const SIZES: u64 = 300;

    fn leaf(n: u64) -> Hash {
        leaf_hash(&n.to_be_bytes())
    }

    fn root(leaves: Range<u64>) -> Hash {
        let mut frontier = Frontier::new();
        leaves.for_each(|n| frontier.push(leaf(n)));
        frontier.root()
    }

    fn hashes(path: Vec<Range<u64>>) -> Vec<Hash> {
        path.into_iter().map(root).collect()
    }

    /// What two libraries that are not ours say about the proof is what we say. All pairs run in `make soak`.
    #[test]
    fn proofs_are_those_of_foreign_libraries_for_all_sizes_and_indexes() {
        let step = if crate::soak::is_on() { 1 } else { 7 };
        let mut foreign = ct_merkle::mem_backed_tree::MemoryBackedTree::<sha2::Sha256, [u8; 8]>::new();
        let roots: Vec<Hash> = (0..=SIZES).map(|size| root(0..size)).collect();
        for size in 1..=SIZES {
            foreign.push((size - 1).to_be_bytes());
            assert_eq!(foreign.root().as_bytes().as_slice(), roots[size as usize], "{size}");
            for other in (0..size).step_by(step).chain([size - 1]) {
                let inclusion = hashes(inclusion_path(other, size).unwrap());
                assert_eq!(foreign.prove_inclusion(other as usize).as_bytes(), inclusion.as_flattened());
                assert!(verify_inclusion(&leaf(other), other, size, &inclusion, &roots[size as usize]));
                let consistency = hashes(consistency_path(other, size).unwrap());
                let (old, new) = (&roots[other as usize], &roots[size as usize]);
                assert!(verify_consistency(other, size, old, new, &consistency), "{other} {size}");
                if other > 0 {
                    let theirs = foreign.prove_consistency((size - other) as usize);
                    assert_eq!(theirs.as_bytes(), consistency.as_flattened(), "{other} {size}");
                }
            }
        }
    }

    #[test]
    fn a_proof_of_something_else_is_refused() {
        for (index, size) in [(0, 1), (0, 2), (5, 6), (6, 7), (100, 257), (256, 257), (299, 300)] {
            let (proof, root) = (hashes(inclusion_path(index, size).unwrap()), root(0..size));
            let check = |leaf: &Hash, index, size, proof: &[Hash], root: &Hash| {
                !verify_inclusion(leaf, index, size, proof, root)
            };
            assert!(check(&leaf(index + 1), index, size, &proof, &root));
            assert!(check(&leaf(index), index + 1, size, &proof, &root));
            assert!(check(&leaf(index), index, size, &proof, &[0; 32]));
            assert!(check(&leaf(index), size, size, &proof, &root));
            assert!(check(&leaf(index), index, 0, &proof, &root));
            for at in 0..proof.len() {
                let mut other = proof.clone();
                other[at][31] ^= 1;
                assert!(check(&leaf(index), index, size, &other, &root));
                other.remove(at);
                assert!(check(&leaf(index), index, size, &other, &root));
            }
            let longer = [proof.clone(), vec![[0; 32]]].concat();
            assert!(check(&leaf(index), index, size, &longer, &root));
        }
        for (old, new) in [(1, 2), (3, 4), (4, 7), (6, 8), (255, 257), (256, 300), (299, 300)] {
            let proof = hashes(consistency_path(old, new).unwrap());
            let (old_root, new_root) = (root(0..old), root(0..new));
            assert!(verify_consistency(old, new, &old_root, &new_root, &proof));
            for at in 0..proof.len() {
                let mut other = proof.clone();
                other[at][0] ^= 1;
                assert!(!verify_consistency(old, new, &old_root, &new_root, &other), "{old} {new} {at}");
            }
            let longer = [proof.clone(), vec![[0; 32]]].concat();
            assert!(!verify_consistency(old, new, &old_root, &new_root, &longer));
            assert!(!verify_consistency(old, new, &new_root, &new_root, &proof));
            assert!(!verify_consistency(old, new, &old_root, &old_root, &proof));
            assert!(!verify_consistency(old + 1, new, &old_root, &new_root, &proof) || old + 1 == new);
            assert!(!verify_consistency(old, old, &old_root, &new_root, &[]));
        }
        assert!(!verify_consistency(2, 1, &root(0..2), &root(0..1), &[]));
        assert!(!verify_consistency(0, 5, &[1; 32], &root(0..5), &[]));
        assert_eq!(inclusion_path(5, 5), None);
        assert_eq!(consistency_path(6, 5), None);
    }

    #[test]
    fn paths_of_the_largest_trees_end() {
        let path = inclusion_path(u64::MAX - 1, u64::MAX).unwrap();
        assert!(path.len() <= PROOF_HASHES_MAX);
        assert!(consistency_path(u64::MAX / 3, u64::MAX).unwrap().len() <= PROOF_HASHES_MAX);
    }

    #[test]
    fn the_text_comes_back_and_what_is_none_does_not() {
        let checkpoint = "x\n8\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n\u{2014} x AAAAAAAA\n".to_owned();
        let proof = TlogProof { index: 5, hashes: vec![[1; 32], [2; 32], [3; 32]], checkpoint };
        let text = proof.to_text();
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 5\nAQEB"), "{text}");
        assert_eq!(TlogProof::parse(&text), Some(proof.clone()));
        assert_eq!(TlogProof::parse(&text.replace("index", "extra AAAA\nindex")), Some(proof.clone()));
        let alone = TlogProof { index: 0, hashes: vec![], ..proof };
        assert_eq!(TlogProof::parse(&alone.to_text()), Some(alone));
        for (from, to) in
            [("@v1", "@v2"), ("index 5", "index 05"), ("index 5", "index -5"), ("AQEB", "AQE"), ("\n\n", "\n")]
        {
            assert_eq!(TlogProof::parse(&text.replacen(from, to, 1)), None, "{from} -> {to}");
        }
    }
}
