//! The EXCISED payload: what is left of an event whose content was cut out of the log.
//!
//! It has the length of the payload that stood there, so that no offset, COMMIT or table of the segment has to change. What the leaf
//! says is the tree's business.

use super::PayloadError;
use super::header::array;
use super::payload::need;
use crate::seq::Seq;

/// Bytes of the leaf.
const LEAF_BYTES: usize = 66;
/// Bytes before the tenant.
const FIXED_BYTES: usize = LEAF_BYTES + 10;

/// What an EXCISED frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excised<'a> {
    /// The event's leaf, which the tree has the hash of.
    pub leaf: &'a [u8; LEAF_BYTES],
    /// The entry that says who had it cut out, and why.
    pub by: Seq,
    /// Whose it was; the leaf has a hash of it.
    pub tenant: &'a str,
}

impl<'a> Excised<'a> {
    /// A payload of `len` bytes; `None` if it does not go into them.
    pub fn encode(&self, len: usize) -> Option<Vec<u8>> {
        let tenant_bytes = u16::try_from(self.tenant.len()).ok()?;
        let mut out = Vec::with_capacity(len);
        out.extend_from_slice(self.leaf);
        out.extend_from_slice(&tenant_bytes.to_le_bytes());
        out.extend_from_slice(&self.by.0.to_le_bytes());
        out.extend_from_slice(self.tenant.as_bytes());
        (out.len() <= len).then(|| {
            out.resize(len, 0);
            out
        })
    }

    /// Takes a payload apart, every byte checked.
    pub fn decode(b: &'a [u8]) -> Result<Excised<'a>, PayloadError> {
        need(b, FIXED_BYTES)?;
        let end = FIXED_BYTES + usize::from(u16::from_le_bytes(array(b, LEAF_BYTES)));
        need(b, end)?;
        let (tenant, zeros) = (&b[FIXED_BYTES..end], &b[end..]);
        match std::str::from_utf8(tenant) {
            Ok(tenant) if zeros.iter().all(|byte| *byte == 0) => Ok(Excised {
                leaf: b[..LEAF_BYTES].try_into().expect("a leaf's bytes are a leaf"),
                by: Seq(u64::from_le_bytes(array(b, LEAF_BYTES + 2))),
                tenant,
            }),
            Ok(_) | Err(_) => Err(PayloadError::Reserved),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_at_the_length_that_it_must_have_and_no_byte_of_it_is_free() {
        let excised = Excised { leaf: &[7; LEAF_BYTES], by: Seq(0x0102), tenant: "acme" };
        assert_eq!(excised.encode(79), None);
        for len in [80, 81, 200] {
            let bytes = excised.encode(len).unwrap();
            assert_eq!((bytes.len(), Excised::decode(&bytes)), (len, Ok(excised)));
        }
        let bytes = excised.encode(90).unwrap();
        for len in 0..80 {
            assert!(matches!(Excised::decode(&bytes[..len]), Err(PayloadError::Short { .. })), "cut at {len}");
        }
        for at in 80..90 {
            let mut filled = bytes.clone();
            filled[at] = 1;
            assert_eq!(Excised::decode(&filled), Err(PayloadError::Reserved), "byte {at}");
        }
    }
}
