//! What a server or a bundle says about single entries: bundles of leaves (c2sp.org/tlog-tiles), and the evidence of an entry
//! (leaf, salt, body and inclusion proof).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::excised::{self, Cut, Left};
use crate::clock;
use crate::hash::Sha256;
use crate::seq::Seq;
use crate::tree::leaf::LEAF_BYTES;
use crate::tree::proof::{parse_hashes, verify_inclusion};
use crate::tree::{Hash, Leaf, commit, leaf_hash, tenant_tag};

/// Takes a bundle of `width` leaves apart: `width x { length u16, big-endian | leaf }`.
///
/// # Errors
/// What is wrong with it.
pub fn leaves_of_bundle(bytes: &[u8], width: u64) -> Result<Vec<Leaf>, &'static str> {
    let mut leaves = Vec::with_capacity(width as usize);
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let leaf = after.get(..length).ok_or("the bundle ends inside a leaf")?;
        leaves.push(Leaf::decode(leaf).ok_or("an entry of the bundle is no leaf of a known version")?);
        rest = &after[length..];
    }
    match rest.is_empty() && leaves.len() as u64 == width {
        true => Ok(leaves),
        false => Err("the bundle has another number of leaves than its path says"),
    }
}

/// All that is needed to check one entry: nothing else is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The entry's place.
    pub seq: u64,
    /// The 66 bytes, as base64.
    leaf: String,
    /// 16 bytes, as base64.
    salt: Option<String>,
    /// The body's bytes, as base64.
    body: Option<String>,
    /// Stands in the place of both if they were cut out.
    excised: Option<CutOut>,
    /// Inclusion proof to the checkpoint's size: hashes as base64, from the leaf's sibling upwards.
    proof: Vec<String>,
    /// What was sealed of it, as base64, by part.
    #[serde(default)]
    opened: BTreeMap<String, String>,
}

/// What is said of an entry whose content was cut out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct CutOut {
    by: u64,
    tenant: String,
}

/// Why evidence is none.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceFault {
    /// A member is not base64 of the right length.
    #[error("{member} is not base64 of the right length")]
    Member {
        /// Its name.
        member: &'static str,
    },
    /// The leaf is of a version or kind that is not known.
    #[error("the leaf is of no known version")]
    Leaf,
    /// Salt and body do not give the commitment in the leaf.
    #[error("the body and salt are not those that the leaf commits to")]
    Commitment,
    /// The body is none.
    #[error("the body is not an event's")]
    Body,
    /// The body's tenant is not the leaf's.
    #[error("the body's tenant is not the one in the leaf")]
    Tenant,
    /// What it says was sealed is not.
    #[error("what is said to be its sealed part {part:?} is not what the body has the digest of")]
    Sealed {
        /// Which part.
        part: String,
    },
    /// The leaf is not in the tree there.
    #[error("the proof does not lead from the leaf at {seq} to the checkpoint's root at size {size}")]
    Inclusion {
        /// Where it should be.
        seq: u64,
        /// In a tree of this size.
        size: u64,
    },
}

/// An entry whose evidence was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Its place.
    pub seq: Seq,
    /// Its leaf's hash.
    pub leaf_hash: Hash,
    /// The body's `time`, as it stands there; when it arrived, if that was cut out.
    pub time: String,
    /// If its content was cut out, only its leaf is proven.
    pub cut: Option<Cut>,
}

/// What is read of a proven body.
#[derive(Deserialize)]
struct BodyFacts {
    tenant: String,
    time: String,
    #[serde(default)]
    sealed: BTreeMap<String, String>,
    #[serde(skip)]
    cut: Option<Cut>,
}

impl Evidence {
    /// Checks everything against a checkpoint of this size and root.
    pub fn check(&self, size: u64, root: &Hash) -> Result<Proven, EvidenceFault> {
        let leaf_bytes: [u8; LEAF_BYTES] = decode(&self.leaf, "leaf")?;
        let proof = parse_hashes(self.proof.iter().map(String::as_str));
        let proof = proof.ok_or(EvidenceFault::Member { member: "proof" })?;
        let leaf = Leaf::decode(&leaf_bytes).ok_or(EvidenceFault::Leaf)?;
        let body = self.body(&leaf)?;
        if tenant_tag(&body.tenant) != leaf.tenant_tag {
            return Err(EvidenceFault::Tenant);
        }
        for (part, plaintext) in &self.opened {
            let plaintext = STANDARD.decode(plaintext).map_err(|_| EvidenceFault::Member { member: "opened" })?;
            if body.sealed.get(part) != Some(&URL_SAFE_NO_PAD.encode(Sha256::digest(plaintext))) {
                return Err(EvidenceFault::Sealed { part: part.clone() });
            }
        }
        let leaf_hash = leaf_hash(&leaf_bytes);
        if !verify_inclusion(&leaf_hash, self.seq, size, &proof, root) {
            return Err(EvidenceFault::Inclusion { seq: self.seq, size });
        }
        Ok(Proven { seq: Seq(self.seq), leaf_hash, time: body.time, cut: body.cut })
    }

    /// What the leaf commits to, or what is left of it.
    fn body(&self, leaf: &Leaf) -> Result<BodyFacts, EvidenceFault> {
        let (salt, body) = match (&self.salt, &self.body, &self.excised) {
            (Some(salt), Some(body), None) => (salt, body),
            (None, None, Some(left)) => {
                let time = clock::rfc3339_ms(leaf.received_ms.cast_signed());
                let (tenant, cut) = (left.tenant.clone(), Some(Cut::Out(Left::of(leaf, Seq(left.by)))));
                return Ok(BodyFacts { tenant, time, sealed: BTreeMap::new(), cut });
            }
            _ => return Err(EvidenceFault::Member { member: "body" }),
        };
        let salt: [u8; 16] = decode(salt, "salt")?;
        let body = STANDARD.decode(body).map_err(|_| EvidenceFault::Member { member: "body" })?;
        if commit(&salt, &body) != leaf.commit {
            return Err(EvidenceFault::Commitment);
        }
        let facts: BodyFacts = serde_json::from_slice(&body).map_err(|_| EvidenceFault::Body)?;
        Ok(BodyFacts { cut: excised::says(leaf.kind, &body), ..facts })
    }
}

fn decode<const N: usize>(base64: &str, member: &'static str) -> Result<[u8; N], EvidenceFault> {
    let bytes = STANDARD.decode(base64).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(EvidenceFault::Member { member })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_of_leaves_comes_apart_and_one_of_another_length_does_not() {
        let leaf = Leaf { kind: 1, received_ms: 2, tenant_tag: [3; 16], tenant_seq: 4, commit: [5; 32] };
        let mut bytes = Vec::new();
        for _ in 0..3 {
            bytes.extend_from_slice(&66_u16.to_be_bytes());
            bytes.extend_from_slice(&leaf.encode());
        }
        assert_eq!(leaves_of_bundle(&bytes, 3), Ok(vec![leaf; 3]));
        assert!(leaves_of_bundle(&bytes, 4).is_err());
        assert!(leaves_of_bundle(&bytes[..bytes.len() - 1], 3).is_err());
        assert!(leaves_of_bundle(&bytes[..69], 1).is_err());
        bytes[2] = 9;
        assert!(leaves_of_bundle(&bytes, 3).is_err());
    }
}
