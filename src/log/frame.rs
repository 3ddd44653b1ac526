//! A frame: 32 bytes of header, the payload, zeros up to the next multiple of 8. Encode, decode, refuse.
//!
//! The header has a checksum of its own, so that a rotten payload does not cost us the framing behind it.

use super::header::array;
use crate::seq::Seq;

/// A frame header's size in bytes.
pub(super) const FRAME_HEADER_BYTES: usize = 32;

/// No payload is longer than this (16 MiB): a longer length field is damage.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// What every frame begins with.
pub(super) const FRAME_MAGIC: &[u8; 4] = b"ALF1";

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameType {
    /// An event.
    Event = 1,
    /// The end of a batch.
    Commit = 2,
    /// The end of a segment.
    Seal = 3,
    /// An event whose content was taken out; its leaf remains.
    Excised = 4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub frame_type: FrameType,
    pub flags: u8,
    /// The event's seq; for COMMIT and SEAL the tree size after it.
    pub seq: Seq,
    /// Counts batches from 0 in each segment.
    pub batch: u32,
    pub payload_len: u32,
    pub payload_crc: u32,
}

impl FrameHeader {
    /// The frame's whole length, padding included.
    pub fn framed_bytes(&self) -> u64 {
        framed_bytes(self.payload_len as usize)
    }

    /// Whether the payload is the one the header was made for.
    pub fn fits(&self, payload: &[u8]) -> bool {
        payload.len() == self.payload_len as usize && crc32c::crc32c(payload) == self.payload_crc
    }
}

/// The bytes that a payload of `len` bytes takes in the log.
pub fn framed_bytes(len: usize) -> u64 {
    (FRAME_HEADER_BYTES + len).next_multiple_of(8) as u64
}

/// Appends a whole frame to `out`. The caller keeps `payload` within [`PAYLOAD_BYTES_MAX`].
pub(super) fn write(
    out: &mut Vec<u8>,
    salt: &[u8; 8],
    frame_type: FrameType,
    flags: u8,
    seq: Seq,
    batch: u32,
    payload: &[u8],
) {
    let mut head = [0; FRAME_HEADER_BYTES];
    head[0..4].copy_from_slice(FRAME_MAGIC);
    head[4] = frame_type as u8;
    head[5] = flags;
    head[8..16].copy_from_slice(&seq.0.to_le_bytes());
    head[16..20].copy_from_slice(&batch.to_le_bytes());
    head[20..24].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    head[24..28].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    let crc = header_crc(&head, salt);
    head[28..32].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(payload);
    let padding = framed_bytes(payload.len()) as usize - FRAME_HEADER_BYTES - payload.len();
    out.extend_from_slice(&[0; 8][..padding]);
}

/// Decodes a frame header; `None` if these 32 bytes are not one of a segment with this salt.
pub(super) fn decode(b: &[u8], salt: &[u8; 8]) -> Option<FrameHeader> {
    let head: &[u8; FRAME_HEADER_BYTES] = b.get(..FRAME_HEADER_BYTES)?.try_into().ok()?;
    if &head[0..4] != FRAME_MAGIC || u32::from_le_bytes(array(head, 28)) != header_crc(head, salt) {
        return None;
    }
    let frame_type = match head[4] {
        1 => FrameType::Event,
        2 => FrameType::Commit,
        3 => FrameType::Seal,
        4 => FrameType::Excised,
        _ => return None,
    };
    let payload_len = u32::from_le_bytes(array(head, 20));
    if head[6..8] != [0; 2] || payload_len as usize > PAYLOAD_BYTES_MAX {
        return None;
    }
    Some(FrameHeader {
        frame_type,
        flags: head[5],
        seq: Seq(u64::from_le_bytes(array(head, 8))),
        batch: u32::from_le_bytes(array(head, 16)),
        payload_len,
        payload_crc: u32::from_le_bytes(array(head, 24)),
    })
}

fn header_crc(head: &[u8; FRAME_HEADER_BYTES], salt: &[u8; 8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&head[..28]), salt)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: [u8; 8] = *b"pepper!!";

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, &SALT, FrameType::Event, 5, Seq(77), 9, payload);
        out
    }

    #[test]
    fn a_frame_comes_back_and_is_padded_to_eight() {
        for len in 0..40 {
            let payload: Vec<u8> = (0..len).collect();
            let bytes = frame(&payload);
            assert_eq!(bytes.len() as u64, framed_bytes(payload.len()));
            assert_eq!(bytes.len() % 8, 0);
            let head = decode(&bytes, &SALT).unwrap();
            assert_eq!((head.seq, head.batch, head.flags), (Seq(77), 9, 5));
            assert!(head.fits(&bytes[32..32 + payload.len()]));
            assert_eq!(head.framed_bytes(), bytes.len() as u64);
        }
    }

    #[test]
    fn a_header_with_a_flipped_bit_or_of_another_segment_is_refused() {
        let good = frame(b"hello");
        for bit in 0..256 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bad, &SALT), None, "bit {bit}");
        }
        assert_eq!(decode(&good, b"another!"), None);
        assert_eq!(decode(&good[..31], &SALT), None);
    }

    #[test]
    fn a_rotten_payload_does_not_fit_its_header() {
        let bytes = frame(b"hello");
        let head = decode(&bytes, &SALT).unwrap();
        assert!(!head.fits(b"hellp"));
        assert!(!head.fits(b"hell"));
    }
}
