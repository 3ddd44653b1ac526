//! The EVENT payload: the only place that knows its layout. The body's bytes mean nothing here.

use super::header::array;

const VERSION: u8 = 1;
/// Bytes before the body.
const FIXED_BYTES: usize = 40;
const NONCE_BYTES: usize = 24;

/// What an EVENT frame carries. Sealed parts have a place in the layout (FORMAT.md); nothing writes them yet.
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
        FIXED_BYTES + self.body.len()
    }

    /// Appends the payload to `out`. Bodies are bounded by the event's limits, far below `u32::MAX`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[VERSION, self.kind, 0, 0]);
        // 4 bytes of head, then the fixed fields up to body_len.
        out.extend_from_slice(&self.received_ms.to_le_bytes());
        out.extend_from_slice(&self.tenant_seq.to_le_bytes());
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&(self.body.len() as u32).to_le_bytes());
        out.extend_from_slice(self.body);
    }

    /// Takes a payload apart, every length checked; sealed parts are walked over.
    pub fn decode(b: &'a [u8]) -> Result<Payload<'a>, PayloadError> {
        let need = |expected: usize| {
            if b.len() < expected { Err(PayloadError::Short { found: b.len(), expected }) } else { Ok(()) }
        };
        need(FIXED_BYTES)?;
        if b[0] != VERSION {
            return Err(PayloadError::Version { found: b[0] });
        }
        if b[3] != 0 {
            return Err(PayloadError::Reserved);
        }
        let body_len = u32::from_le_bytes(array(b, FIXED_BYTES - 4)) as usize;
        let mut at = FIXED_BYTES + body_len;
        need(at)?;
        let body = &b[FIXED_BYTES..at];
        for _ in 0..b[2] {
            need(at + 4)?;
            let keys = b[at + 1] as usize;
            if b[at + 2..at + 4] != [0; 2] {
                return Err(PayloadError::Reserved);
            }
            at += 4 + keys * 8 + NONCE_BYTES;
            need(at + 4)?;
            at += 4 + u32::from_le_bytes(array(b, at)) as usize;
            need(at)?;
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
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_comes_back_and_every_cut_of_it_is_refused() {
        let payload =
            Payload { kind: 1, received_ms: 1_795_000_000_000, tenant_seq: 42, salt: [6; 16], body: b"{\"id\":1}" };
        let mut bytes = Vec::new();
        payload.encode(&mut bytes);
        assert_eq!(bytes.len(), payload.encoded_bytes());
        assert_eq!(Payload::decode(&bytes), Ok(payload));
        for len in 0..bytes.len() {
            assert!(matches!(Payload::decode(&bytes[..len]), Err(PayloadError::Short { .. })), "cut at {len}");
        }
        bytes.push(0);
        assert!(matches!(Payload::decode(&bytes), Err(PayloadError::Long { .. })));
    }

    #[test]
    fn sealed_parts_are_walked_over() {
        let mut bytes = Vec::new();
        Payload { kind: 1, received_ms: 1, tenant_seq: 2, salt: [0; 16], body: b"b" }.encode(&mut bytes);
        bytes[2] = 1;
        bytes.extend_from_slice(&[1, 2, 0, 0]);
        bytes.extend_from_slice(&[0; 16 + NONCE_BYTES]);
        bytes.extend_from_slice(&3u32.to_le_bytes());
        bytes.extend_from_slice(b"abc");
        assert_eq!(Payload::decode(&bytes).unwrap().body, b"b");
        bytes.pop();
        assert!(Payload::decode(&bytes).is_err());
    }

    #[test]
    fn another_version_is_refused() {
        let mut bytes = vec![0; 40];
        bytes[0] = 2;
        assert_eq!(Payload::decode(&bytes), Err(PayloadError::Version { found: 2 }));
    }
}
