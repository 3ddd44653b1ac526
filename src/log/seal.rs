//! The SEAL payload: a finished segment's size, root and digest, and where each of its events begins.
//!
//! The table of offsets lets a reader find an event of an old segment with one small read instead of walking the file;
//! the last eight bytes (which are the file's last) say where the SEAL frame begins.

use super::header::array;
use crate::seq::Seq;

/// Bytes before the table.
pub(super) const TABLE_AT: usize = 80;

/// A decoded SEAL, without its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    pub size: Seq,
    pub root: [u8; 32],
    /// SHA-256 of the file up to the SEAL frame.
    pub sha256: [u8; 32],
    /// Events in the segment, and entries in the table.
    pub n: u32,
    pub seal_at: u64,
}

pub(super) fn encode(size: Seq, root: &[u8; 32], sha256: &[u8; 32], offsets: &[u32], seal_at: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload_bytes(offsets.len()));
    out.extend_from_slice(&size.0.to_le_bytes());
    out.extend_from_slice(root);
    out.extend_from_slice(sha256);
    out.extend_from_slice(&(offsets.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for offset in offsets {
        out.extend_from_slice(&offset.to_le_bytes());
    }
    out.resize(out.len().next_multiple_of(8), 0);
    out.extend_from_slice(&seal_at.to_le_bytes());
    out
}

/// `None` if these bytes are not a SEAL payload.
pub(super) fn decode(b: &[u8]) -> Option<Seal> {
    if b.len() < TABLE_AT + 8 || b[76..80] != [0; 4] {
        return None;
    }
    let n = u32::from_le_bytes(array(b, 72));
    if b.len() != payload_bytes(n as usize) {
        return None;
    }
    Some(Seal {
        size: Seq(u64::from_le_bytes(array(b, 0))),
        root: array(b, 8),
        sha256: array(b, 40),
        n,
        seal_at: u64::from_le_bytes(array(b, b.len() - 8)),
    })
}

/// The offsets in the table of a payload that was decoded.
pub(super) fn table(b: &[u8], n: u32) -> impl Iterator<Item = u32> + '_ {
    b[TABLE_AT..].chunks_exact(4).take(n as usize).map(|offset| u32::from_le_bytes(array(offset, 0)))
}

fn payload_bytes(n: usize) -> usize {
    (TABLE_AT + 4 * n).next_multiple_of(8) + 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_comes_back_and_ends_with_its_own_offset() {
        for n in 0..5_u32 {
            let offsets: Vec<u32> = (0..n).map(|i| 512 + i).collect();
            let bytes = encode(Seq(100), &[1; 32], &[2; 32], &offsets, 9_992);
            let seal = Seal { size: Seq(100), root: [1; 32], sha256: [2; 32], n, seal_at: 9_992 };
            assert_eq!(decode(&bytes), Some(seal));
            assert_eq!(table(&bytes, n).collect::<Vec<_>>(), offsets);
            assert_eq!(bytes.len() % 8, 0);
            assert_eq!(decode(&bytes[..bytes.len() - 8]), None);
        }
    }
}
