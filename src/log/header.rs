//! A segment's first 4096 bytes: encode, decode, refuse. A sealed segment has the same ones, with a flag.

use crate::seq::Seq;

/// The header's size in bytes; frames begin right after it.
pub(super) const HEADER_BYTES: usize = 4096;

const MAGIC: &[u8; 8] = b"ANNALS1\n";
const VERSION: u16 = 1;
const CRC_AT: usize = 4092;

/// How a segment lies on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `.log`: frames as they were appended.
    Log,
    /// `.seg`: blocks and a footer.
    Sealed,
}

impl Form {
    fn flags(self) -> u32 {
        match self {
            Form::Log => 0,
            Form::Sealed => 1,
        }
    }
}

/// What a segment's header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub log_id: [u8; 16],
    /// Counts segments from 0, without gaps.
    pub segment_no: u64,
    pub first_seq: Seq,
    /// The tree's root at `first_seq`.
    pub root_at_start: [u8; 32],
    /// Wall clock, ns.
    pub created_ns: u64,
    /// Goes into every frame header's checksum, so that blocks of an older file are not taken for ours.
    pub salt: [u8; 8],
}

/// Why 4096 bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("the file ends inside the segment header")]
    Short,
    #[error("the segment header does not begin with the magic bytes")]
    Magic,
    #[error("the segment header's checksum is {found:08x}, expected {expected:08x}")]
    Checksum { found: u32, expected: u32 },
    #[error("segment format version {found} is not known here (expected {VERSION})")]
    Version { found: u16 },
    #[error("the segment header's fixed fields are not what this version writes")]
    Fields,
}

impl Header {
    pub fn encode(&self, form: Form) -> Vec<u8> {
        let mut b = vec![0; HEADER_BYTES];
        b[0..8].copy_from_slice(MAGIC);
        b[8..10].copy_from_slice(&VERSION.to_le_bytes());
        b[10..12].copy_from_slice(&(HEADER_BYTES as u16).to_le_bytes());
        b[12..16].copy_from_slice(&form.flags().to_le_bytes());
        b[16..32].copy_from_slice(&self.log_id);
        b[32..40].copy_from_slice(&self.segment_no.to_le_bytes());
        b[40..48].copy_from_slice(&self.first_seq.0.to_le_bytes());
        b[48..80].copy_from_slice(&self.root_at_start);
        b[80..88].copy_from_slice(&self.created_ns.to_le_bytes());
        b[88..96].copy_from_slice(&self.salt);
        let crc = crc32c::crc32c(&b[..CRC_AT]);
        b[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        b
    }

    /// Refuses the header of the other form too: a file is what its name says.
    pub fn decode(b: &[u8], form: Form) -> Result<Header, HeaderError> {
        if b.len() < HEADER_BYTES {
            return Err(HeaderError::Short);
        }
        if &b[0..8] != MAGIC {
            return Err(HeaderError::Magic);
        }
        let found = crc32c::crc32c(&b[..CRC_AT]);
        let expected = u32::from_le_bytes(array(b, CRC_AT));
        if found != expected {
            return Err(HeaderError::Checksum { found, expected });
        }
        let version = u16::from_le_bytes(array(b, 8));
        if version != VERSION {
            return Err(HeaderError::Version { found: version });
        }
        if u16::from_le_bytes(array(b, 10)) as usize != HEADER_BYTES || array(b, 12) != form.flags().to_le_bytes() {
            return Err(HeaderError::Fields);
        }
        Ok(Header {
            log_id: array(b, 16),
            segment_no: u64::from_le_bytes(array(b, 32)),
            first_seq: Seq(u64::from_le_bytes(array(b, 40))),
            root_at_start: array(b, 48),
            created_ns: u64::from_le_bytes(array(b, 80)),
            salt: array(b, 88),
        })
    }
}

/// `N` bytes of `b` from `at`; the caller has checked that they are there.
pub(super) fn array<const N: usize>(b: &[u8], at: usize) -> [u8; N] {
    b[at..at + N].try_into().expect("a slice of N bytes is an array of N bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            log_id: [7; 16],
            segment_no: 3,
            first_seq: Seq(262_144),
            root_at_start: [9; 32],
            created_ns: 1_795_000_000_000_000_000,
            salt: *b"saltsalt",
        }
    }

    #[test]
    fn a_header_comes_back_as_it_was_written() {
        for (form, other) in [(Form::Log, Form::Sealed), (Form::Sealed, Form::Log)] {
            assert_eq!(Header::decode(&header().encode(form), form), Ok(header()));
            assert_eq!(Header::decode(&header().encode(form), other), Err(HeaderError::Fields));
        }
    }

    #[test]
    fn any_flipped_byte_of_a_header_is_refused() {
        let good = header().encode(Form::Log);
        for at in 0..HEADER_BYTES {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(Header::decode(&bad, Form::Log).is_err(), "byte {at}");
        }
        assert_eq!(Header::decode(&good[..4095], Form::Log), Err(HeaderError::Short));
    }
}
