//! The 66-byte leaf: what the tree commits to. It has no content; the content is bound by `commit`.

use super::merkle::{Hash, leaf_hash};
use crate::hash::Sha256;

/// A leaf's size in bytes.
pub const LEAF_BYTES: usize = 66;

const VERSION: u8 = 1;
const TENANT_DOMAIN: &[u8] = b"annals/tenant/v1\0";
const BODY_DOMAIN: &[u8] = b"annals/body/v1\0";

/// What is known of an event without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The payload's kind byte.
    pub kind: u8,
    /// ms since 1970.
    pub received_ms: u64,
    /// See [`tenant_tag`].
    pub tenant_tag: [u8; 16],
    /// The event's place among its tenant's, gapless from 0: a tenant can prove that it has all of its entries.
    pub tenant_seq: u64,
    /// See [`commit`].
    pub commit: [u8; 32],
}

impl Leaf {
    /// The 66 bytes, integers big-endian: `version | kind | received_ms | tenant_tag | tenant_seq | commit`.
    pub fn encode(&self) -> [u8; LEAF_BYTES] {
        let mut b = [0; LEAF_BYTES];
        b[0] = VERSION;
        b[1] = self.kind;
        b[2..10].copy_from_slice(&self.received_ms.to_be_bytes());
        b[10..26].copy_from_slice(&self.tenant_tag);
        b[26..34].copy_from_slice(&self.tenant_seq.to_be_bytes());
        b[34..66].copy_from_slice(&self.commit);
        b
    }

    /// `None` unless these are 66 bytes of a known version.
    pub fn decode(b: &[u8]) -> Option<Leaf> {
        let b: &[u8; LEAF_BYTES] = b.try_into().ok()?;
        if b[0] != VERSION {
            return None;
        }
        Some(Leaf {
            kind: b[1],
            received_ms: u64::from_be_bytes(b[2..10].try_into().ok()?),
            tenant_tag: b[10..26].try_into().ok()?,
            tenant_seq: u64::from_be_bytes(b[26..34].try_into().ok()?),
            commit: b[34..66].try_into().ok()?,
        })
    }

    /// The leaf's place in the tree's lowest level.
    pub fn hash(&self) -> Hash {
        leaf_hash(&self.encode())
    }
}

/// `SHA256("annals/tenant/v1\0" ‖ tenant)[:16]`
pub fn tenant_tag(tenant: &str) -> [u8; 16] {
    let hash = Sha256::new_with_prefix(TENANT_DOMAIN).chain_update(tenant).finalize();
    hash[..16].try_into().expect("the first half of 32 bytes")
}

/// `SHA256("annals/body/v1\0" ‖ salt ‖ body)`: binds the body without telling anything about it.
pub fn commit(salt: &[u8; 16], body: &[u8]) -> [u8; 32] {
    Sha256::new_with_prefix(BODY_DOMAIN).chain_update(salt).chain_update(body).finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_laid_out_big_endian_and_comes_back() {
        let leaf = Leaf { kind: 1, received_ms: 0x0102, tenant_tag: [7; 16], tenant_seq: 0x0304, commit: [9; 32] };
        let bytes = leaf.encode();
        assert_eq!(bytes[..10], [1, 1, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(bytes[26..34], [0, 0, 0, 0, 0, 0, 3, 4]);
        assert_eq!(Leaf::decode(&bytes), Some(leaf));
        assert_eq!(Leaf::decode(&bytes[..65]), None);
        assert_eq!(Leaf::decode(&[2; 66]), None);
    }

    #[test]
    fn tag_and_commitment_follow_their_definitions() {
        let tag = Sha256::digest(b"annals/tenant/v1\0acme");
        assert_eq!(tenant_tag("acme"), tag[..16]);
        let mut bytes = b"annals/body/v1\0".to_vec();
        bytes.extend_from_slice(&[3; 16]);
        bytes.extend_from_slice(b"{}");
        let expected = Sha256::digest(&bytes);
        assert_eq!(commit(&[3; 16], b"{}"), expected);
    }
}
