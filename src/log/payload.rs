//! The EVENT payload: the only place that knows its layout. The body's bytes mean nothing here.

use super::header::array;

const VERSION: u8 = 1;
/// Bytes before the body.
const FIXED_BYTES: usize = 40;
const NONCE_BYTES: usize = 24;
const PART_HEAD_BYTES: usize = 4;

/// Most parts of an event.
pub const PARTS_MAX: usize = u8::MAX as usize;
/// Most keys that a part is sealed under.
pub const PART_KEYS_MAX: usize = u8::MAX as usize;

/// A sealed part of an event. What is in it, and how it is sealed, is none of the log's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Which part: its meaning is the sealer's.
    pub kind: u8,
    /// The numbers of the keys, 8 bytes each.
    keys: &'a [[u8; 8]],
    /// Drawn for it.
    pub nonce: &'a [u8; NONCE_BYTES],
    /// What was sealed, and its tag.
    pub ciphertext: &'a [u8],
}

impl<'a> Part<'a> {
    /// The numbers of the keys it is sealed under.
    pub fn keys(&self) -> impl Iterator<Item = u64> + use<'a> {
        self.keys.iter().map(|key| u64::from_le_bytes(*key))
    }
}

/// The sealed parts of an event, as they lie in its payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts<'a> {
    count: u8,
    bytes: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Of an event of which nothing is sealed.
    pub const NONE: Parts<'static> = Parts { count: 0, bytes: &[] };

    /// What they take in a payload, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is sealed.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = Part<'a>> + use<'a> {
        let (bytes, mut at) = (self.bytes, 0);
        // Each was looked at when they were taken out of the payload, or they were put together here.
        (0..self.count).map_while(move |_| {
            let (part, next) = part_at(bytes, at).ok()?;
            at = next;
            Some(part)
        })
    }
}

/// The part that begins at this byte, every length checked, and where the next one begins.
fn part_at(b: &[u8], at: usize) -> Result<(Part<'_>, usize), PayloadError> {
    let keys_at = at + PART_HEAD_BYTES;
    need(b, keys_at)?;
    let [kind, keys, reserved @ ..]: [u8; PART_HEAD_BYTES] = array(b, at);
    if reserved != [0; 2] {
        return Err(PayloadError::Reserved);
    }
    let nonce_at = keys_at + usize::from(keys) * 8;
    let len_at = nonce_at + NONCE_BYTES;
    let from = len_at + 4;
    need(b, from)?;
    let end = from + u32::from_le_bytes(array(b, len_at)) as usize;
    need(b, end)?;
    let nonce = b[nonce_at..len_at].try_into().expect("a nonce's bytes are a nonce");
    Ok((Part { kind, keys: b[keys_at..nonce_at].as_chunks().0, nonce, ciphertext: &b[from..end] }, end))
}

pub(super) fn need(b: &[u8], expected: usize) -> Result<(), PayloadError> {
    if b.len() < expected { Err(PayloadError::Short { found: b.len(), expected }) } else { Ok(()) }
}

/// Sealed parts being put together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartsBuf {
    count: u8,
    bytes: Vec<u8>,
}

impl PartsBuf {
    /// One more. `None` if there are [`PARTS_MAX`], or more than [`PART_KEYS_MAX`] keys: then nothing is changed.
    #[must_use]
    pub fn push(&mut self, kind: u8, keys: &[u64], nonce: &[u8; NONCE_BYTES], ciphertext: &[u8]) -> Option<()> {
        let (count, keys_count) = (self.count.checked_add(1)?, u8::try_from(keys.len()).ok()?);
        let len = u32::try_from(ciphertext.len()).ok()?;
        self.bytes.extend_from_slice(&[kind, keys_count, 0, 0]);
        keys.iter().for_each(|key| self.bytes.extend_from_slice(&key.to_le_bytes()));
        self.bytes.extend_from_slice(nonce);
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.extend_from_slice(ciphertext);
        self.count = count;
        Some(())
    }

    /// As they lie in a payload.
    pub fn parts(&self) -> Parts<'_> {
        Parts { count: self.count, bytes: &self.bytes }
    }
}

/// What an EVENT frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// What the record is: 1 event, 2 erasure, 3 log control, 4 own entry. Only the server sets it.
    pub kind: u8,
    /// Our clock when the writer took the event, ms since 1970.
    pub received_ms: u64,
    /// The event's place among its tenant's events, gapless from 0.
    pub tenant_seq: u64,
    /// Makes the body's commitment unguessable.
    pub salt: [u8; 16],
    /// The body bytes, exactly as hashed.
    pub body: &'a [u8],
    /// What of the event is sealed.
    pub parts: Parts<'a>,
}

/// Why bytes are not an EVENT payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// They end too early.
    #[error("the payload ends at byte {found}, expected at least {expected}")]
    Short {
        /// Bytes there are.
        found: usize,
        /// Bytes there must be.
        expected: usize,
    },
    /// They go on behind the last part.
    #[error("the payload has {found} bytes, expected {expected}")]
    Long {
        /// Bytes there are.
        found: usize,
        /// Bytes there must be.
        expected: usize,
    },
    /// A version this program does not know.
    #[error("payload version {found} is not known here (expected {VERSION})")]
    Version {
        /// The version byte.
        found: u8,
    },
    /// A reserved byte is not zero.
    #[error("a reserved byte of the payload is not zero")]
    Reserved,
}

impl<'a> Payload<'a> {
    /// The bytes [`Payload::encode`] appends.
    pub fn encoded_bytes(&self) -> usize {
        FIXED_BYTES + self.body.len() + self.parts.bytes.len()
    }

    /// Appends the payload to `out`. Bodies are bounded by the event's limits, far below `u32::MAX`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[VERSION, self.kind, self.parts.count, 0]);
        // 4 bytes of head, then the fixed fields up to body_len.
        out.extend_from_slice(&self.received_ms.to_le_bytes());
        out.extend_from_slice(&self.tenant_seq.to_le_bytes());
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&(self.body.len() as u32).to_le_bytes());
        out.extend_from_slice(self.body);
        out.extend_from_slice(self.parts.bytes);
    }

    /// Takes a payload apart, every length checked.
    pub fn decode(b: &'a [u8]) -> Result<Payload<'a>, PayloadError> {
        need(b, FIXED_BYTES)?;
        if b[0] != VERSION {
            return Err(PayloadError::Version { found: b[0] });
        }
        if b[3] != 0 {
            return Err(PayloadError::Reserved);
        }
        let body_len = u32::from_le_bytes(array(b, FIXED_BYTES - 4)) as usize;
        let parts_at = FIXED_BYTES + body_len;
        need(b, parts_at)?;
        let body = &b[FIXED_BYTES..parts_at];
        let mut at = parts_at;
        for _ in 0..b[2] {
            (_, at) = part_at(b, at)?;
        }
        if b.len() != at {
            return Err(PayloadError::Long { found: b.len(), expected: at });
        }
        Ok(Payload {
            kind: b[1],
            received_ms: u64::from_le_bytes(array(b, 4)),
            tenant_seq: u64::from_le_bytes(array(b, 12)),
            salt: array(b, 20),
            body,
            parts: Parts { count: b[2], bytes: &b[parts_at..] },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_comes_back_with_its_parts_and_every_cut_of_it_is_refused() {
        let mut parts = PartsBuf::default();
        for wanted in [0, 1, 2] {
            let payload = Payload {
                kind: 1,
                received_ms: 1_795_000_000_000,
                tenant_seq: 42,
                salt: [6; 16],
                body: b"{\"id\":1}",
                parts: parts.parts(),
            };
            let mut bytes = Vec::new();
            payload.encode(&mut bytes);
            assert_eq!(bytes.len(), payload.encoded_bytes());
            assert_eq!(Payload::decode(&bytes), Ok(payload));
            for len in 0..bytes.len() {
                assert!(matches!(Payload::decode(&bytes[..len]), Err(PayloadError::Short { .. })), "cut at {len}");
            }
            let found: Vec<_> = payload.parts.iter().collect();
            assert_eq!(found.len(), wanted);
            for (kind, part) in (1..).zip(&found) {
                assert_eq!(part.keys().collect::<Vec<_>>(), [7, u64::MAX][..usize::from(kind)]);
                assert_eq!((part.kind, part.nonce, part.ciphertext), (kind, &[kind; 24], &[kind; 9][..]));
            }
            bytes.push(0);
            assert!(matches!(Payload::decode(&bytes), Err(PayloadError::Long { .. })));
            let kind = wanted as u8 + 1;
            parts.push(kind, &[7, u64::MAX][..usize::from(kind).min(2)], &[kind; 24], &[kind; 9]).unwrap();
        }
    }

    #[test]
    fn more_parts_or_keys_than_can_be_counted_are_not_taken() {
        let mut parts = PartsBuf::default();
        assert_eq!(parts.push(1, &[7; PART_KEYS_MAX + 1], &[0; 24], b""), None);
        assert_eq!(parts, PartsBuf::default());
        assert!((0..PARTS_MAX).all(|_| parts.push(1, &[7; PART_KEYS_MAX], &[0; 24], b"").is_some()));
        assert_eq!(parts.push(1, &[], &[0; 24], b""), None);
        assert_eq!(parts.parts().iter().count(), PARTS_MAX);
    }

    #[test]
    fn another_version_is_refused() {
        let mut bytes = vec![0; 40];
        bytes[0] = 2;
        assert_eq!(Payload::decode(&bytes), Err(PayloadError::Version { found: 2 }));
    }
}
