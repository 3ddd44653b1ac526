//! A slot of the keyring's file, 128 bytes, little-endian, and its first slot, which says whose it is:
//!
//! ```text
//! 0 state u8 (1 live, 2 erased) | 1 version u8 = 1 | 2 zeros u16 | 4 crc32c u32 of the slot with zeros here
//! 8 created_ms u64 | 16 erased_ms u64 | 24 subject [32] | 56 nonce [24] | 80 wrapped key [48]
//!
//! 0 magic "ANNKEYS1" | 8 crc32c u32, likewise | 12 zeros u32 | 16 log_id [16] | 32 generation u32 | 36 zeros u32
//! 40 nonce [24] | 64 wrapped key that names subjects [48] | 112 zeros
//! ```
//!
//! A slot lies within a sector of 512 bytes, so a write of it is there or not (`log/FORMAT.md`, what we assume of disks). An
//! erased one has zeros for subject, nonce and key: nothing is left that tells of anybody.

use super::aead::NONCE_BYTES;
use super::kek::WRAPPED_BYTES;

/// Bytes of a slot.
pub const SLOT_BYTES: usize = 128;
const MAGIC: &[u8; 8] = b"ANNKEYS1";
const VERSION: u8 = 1;
const LIVE: u8 = 1;
const ERASED: u8 = 2;
const CRC_AT: usize = 4;
const HEADER_CRC_AT: usize = 8;

/// What a slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Never used.
    Free,
    /// A key that counts.
    Live(Live),
    /// There was one, until then, ms.
    Erased {
        /// When it was made, ms.
        created_ms: u64,
        /// When it was destroyed, ms.
        erased_ms: u64,
    },
    /// A write that did not come whole, or rot. What was sealed with it, if anything was, cannot be read.
    Unreadable,
}

/// A wrapped key and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// When it was made, ms.
    pub created_ms: u64,
    /// Stands for the subject.
    pub subject: [u8; 32],
    /// Of the wrapping.
    pub nonce: [u8; NONCE_BYTES],
    /// The key.
    pub wrapped: [u8; WRAPPED_BYTES],
}

impl Slot {
    /// Its bytes. What is unreadable is never written.
    pub fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        match self {
            Slot::Free | Slot::Unreadable => return bytes,
            Slot::Live(live) => {
                bytes[0] = LIVE;
                bytes[8..16].copy_from_slice(&live.created_ms.to_le_bytes());
                bytes[24..56].copy_from_slice(&live.subject);
                bytes[56..80].copy_from_slice(&live.nonce);
                bytes[80..128].copy_from_slice(&live.wrapped);
            }
            Slot::Erased { created_ms, erased_ms } => {
                bytes[0] = ERASED;
                bytes[8..16].copy_from_slice(&created_ms.to_le_bytes());
                bytes[16..24].copy_from_slice(&erased_ms.to_le_bytes());
            }
        }
        bytes[1] = VERSION;
        with_crc(bytes, CRC_AT)
    }

    /// What these bytes hold.
    pub fn decode(bytes: &[u8; SLOT_BYTES]) -> Slot {
        if bytes == &[0; SLOT_BYTES] {
            return Slot::Free;
        }
        let number = |at: usize| u64::from_le_bytes(part(bytes, at));
        if with_crc(*bytes, CRC_AT) != *bytes || bytes[1] != VERSION || bytes[2..4] != [0; 2] {
            return Slot::Unreadable;
        }
        match bytes[0] {
            LIVE if bytes[16..24] == [0; 8] => Slot::Live(Live {
                created_ms: number(8),
                subject: part(bytes, 24),
                nonce: part(bytes, 56),
                wrapped: part(bytes, 80),
            }),
            ERASED if bytes[24..] == [0; 104] => Slot::Erased { created_ms: number(8), erased_ms: number(16) },
            _ => Slot::Unreadable,
        }
    }
}

/// The first slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The log whose subjects have their keys here.
    pub log_id: [u8; 16],
    /// One more with each new file that the same keys were wrapped into.
    pub generation: u32,
    /// Of the wrapping.
    pub nonce: [u8; NONCE_BYTES],
    /// Zeros, wrapped: what another key-encryption key does not open.
    pub check: [u8; WRAPPED_BYTES],
}

impl Header {
    /// Its bytes.
    pub fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[16..32].copy_from_slice(&self.log_id);
        bytes[32..36].copy_from_slice(&self.generation.to_le_bytes());
        bytes[40..64].copy_from_slice(&self.nonce);
        bytes[64..112].copy_from_slice(&self.check);
        with_crc(bytes, HEADER_CRC_AT)
    }

    /// Reads it, unless it is none.
    pub fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<Header> {
        let header = Header {
            log_id: part(bytes, 16),
            generation: u32::from_le_bytes(part(bytes, 32)),
            nonce: part(bytes, 40),
            check: part(bytes, 64),
        };
        (header.encode() == *bytes).then_some(header)
    }
}

fn part<const N: usize>(bytes: &[u8; SLOT_BYTES], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("it lies within a slot")
}

/// The bytes with their checksum at this place.
fn with_crc(mut bytes: [u8; SLOT_BYTES], at: usize) -> [u8; SLOT_BYTES] {
    bytes[at..at + 4].fill(0);
    let crc = crc32c::crc32c(&bytes);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_reads_back_and_any_flipped_bit_makes_it_unreadable() {
        let live = Live { created_ms: 7, subject: [1; 32], nonce: [2; NONCE_BYTES], wrapped: [3; WRAPPED_BYTES] };
        for slot in [Slot::Live(live), Slot::Erased { created_ms: 7, erased_ms: 9 }] {
            let bytes = slot.encode();
            assert_eq!(Slot::decode(&bytes), slot);
            for bit in 0..SLOT_BYTES * 8 {
                let mut flipped = bytes;
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Slot::decode(&flipped), Slot::Unreadable, "bit {bit}");
            }
        }
        assert_eq!(Slot::decode(&Slot::Free.encode()), Slot::Free);
        let header = Header { log_id: [4; 16], generation: 5, nonce: [6; NONCE_BYTES], check: [7; WRAPPED_BYTES] };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Some(header));
        for bit in 0..SLOT_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&flipped), None, "bit {bit}");
        }
    }
}
