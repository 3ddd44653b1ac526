//! The COMMIT payload, 80 bytes: a batch is in the log if, and only if, its COMMIT is. Encode and decode.

use super::header::array;
use crate::seq::Seq;

pub(super) const COMMIT_BYTES: usize = 80;

/// What a batch's last frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Events in the log after this batch.
    pub size: Seq,
    /// The tree's root at `size`.
    pub root: [u8; 32],
    /// The batch's first event.
    pub first_seq: Seq,
    /// Events in the batch.
    pub n: u32,
    /// Bytes of the batch's frames before the COMMIT.
    pub bytes: u32,
    /// Wall clock of the append, ns.
    pub wall_ns: u64,
    /// Where the COMMIT before this one begins in the segment's file; 0 if this is the first.
    pub prev_commit_offset: u64,
    /// The keyring's generation at the time.
    pub keyring_generation: u32,
}

impl Commit {
    pub(super) fn encode(&self) -> [u8; COMMIT_BYTES] {
        let mut b = [0; COMMIT_BYTES];
        b[0..8].copy_from_slice(&self.size.0.to_le_bytes());
        b[8..40].copy_from_slice(&self.root);
        b[40..48].copy_from_slice(&self.first_seq.0.to_le_bytes());
        b[48..52].copy_from_slice(&self.n.to_le_bytes());
        b[52..56].copy_from_slice(&self.bytes.to_le_bytes());
        b[56..64].copy_from_slice(&self.wall_ns.to_le_bytes());
        b[64..72].copy_from_slice(&self.prev_commit_offset.to_le_bytes());
        b[72..76].copy_from_slice(&self.keyring_generation.to_le_bytes());
        b
    }

    /// Whether it ends the batch of events `first..next` whose frames take `bytes`, behind the COMMIT at `prev_offset`.
    pub(super) fn closes(&self, first: Seq, next: Seq, bytes: u64, prev_offset: u64) -> bool {
        self.size == next
            && self.first_seq == first
            && next > first
            && u64::from(self.n) == next.0 - first.0
            && u64::from(self.bytes) == bytes
            && self.prev_commit_offset == prev_offset
    }

    /// `None` if these are not the 80 bytes of a COMMIT.
    pub(super) fn decode(b: &[u8]) -> Option<Commit> {
        if b.len() != COMMIT_BYTES || b[76..80] != [0; 4] {
            return None;
        }
        Some(Commit {
            size: Seq(u64::from_le_bytes(array(b, 0))),
            root: array(b, 8),
            first_seq: Seq(u64::from_le_bytes(array(b, 40))),
            n: u32::from_le_bytes(array(b, 48)),
            bytes: u32::from_le_bytes(array(b, 52)),
            wall_ns: u64::from_le_bytes(array(b, 56)),
            prev_commit_offset: u64::from_le_bytes(array(b, 64)),
            keyring_generation: u32::from_le_bytes(array(b, 72)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_comes_back_and_other_bytes_are_refused() {
        let commit = Commit {
            size: Seq(12),
            root: [3; 32],
            first_seq: Seq(10),
            n: 2,
            bytes: 1400,
            wall_ns: 5,
            prev_commit_offset: 4096,
            keyring_generation: 8,
        };
        let bytes = commit.encode();
        assert_eq!(Commit::decode(&bytes), Some(commit));
        assert_eq!(Commit::decode(&bytes[..79]), None);
        let mut bad = bytes;
        bad[79] = 1;
        assert_eq!(Commit::decode(&bad), None);
    }
}
