//! A sealed part of an event: members that were taken out of its body, under the key of whom they are about. The body keeps the
//! digest of the plaintext, so that proofs bind what was said; the plaintext begins with chance, so that nobody can guess it from
//! the digest once the key is gone.
//!
//! Plaintext: `salt [16] | length u32 LE | JSON | zeros to a multiple of 64`: a length that is close to another is not told
//! from it. Sealed by XChaCha20-Poly1305 under a drawn nonce, bound to log, event and kind.

use std::io;

use zeroize::Zeroizing;

use super::aead::{self, NONCE_BYTES, TAG_BYTES};
use super::kek::Secret;
use crate::durable;
use crate::hash::Sha256;

const SALT_BYTES: usize = 16;
const HEAD_BYTES: usize = SALT_BYTES + 4;
const BLOCK_BYTES: usize = 64;

/// What a part belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The log.
    pub log_id: [u8; 16],
    /// The event's own salt.
    pub salt: [u8; 16],
    /// Which part of it.
    pub kind: u8,
}

/// A sealed part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Drawn for it.
    pub nonce: [u8; NONCE_BYTES],
    /// The plaintext, sealed, and its tag.
    pub ciphertext: Vec<u8>,
    /// SHA-256 of the plaintext, for the body.
    pub digest: [u8; 32],
}

/// A part that was opened.
pub struct Opened {
    /// What was sealed.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// Bytes of the members in it.
    json_bytes: usize,
    /// SHA-256 of the plaintext: what the body says it is, or somebody put another part there.
    pub digest: [u8; 32],
}

impl Opened {
    /// The members, as JSON.
    pub fn json(&self) -> &[u8] {
        &self.plaintext[HEAD_BYTES..HEAD_BYTES + self.json_bytes]
    }
}

/// Seals members under the key of a part.
///
/// # Errors
/// When the system has no random bytes.
pub fn seal(key: &Secret, place: &Place, json: &[u8]) -> io::Result<Sealed> {
    let len = u32::try_from(json.len()).map_err(io::Error::other)?;
    let padded = (HEAD_BYTES + json.len()).next_multiple_of(BLOCK_BYTES);
    let drawn = durable::random::<{ SALT_BYTES + NONCE_BYTES }>()?;
    let (salt, nonce) = drawn.split_first_chunk::<SALT_BYTES>().expect("it has both");
    let nonce = nonce.try_into().expect("it has both");
    let mut bytes = Zeroizing::new(Vec::with_capacity(padded + TAG_BYTES));
    bytes.extend_from_slice(salt);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(json);
    bytes.resize(padded, 0);
    let digest = Sha256::digest(&*bytes);
    let sealed = aead::seal(key, &nonce, &bound(place), &mut bytes);
    sealed.ok_or_else(|| io::Error::other("a part is too long to be sealed"))?;
    Ok(Sealed { nonce, ciphertext: std::mem::take(&mut *bytes), digest })
}

/// Opens a part; `None` if the key is another, it belongs elsewhere, or it is not what was sealed.
pub fn open(key: &Secret, place: &Place, nonce: &[u8; NONCE_BYTES], ciphertext: &[u8]) -> Option<Opened> {
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    let opened_bytes = aead::open(key, nonce, &bound(place), &mut plaintext)?.len();
    plaintext.truncate(opened_bytes);
    let rest = plaintext.get(SALT_BYTES..)?;
    let (len, rest) = rest.split_first_chunk()?;
    let (json, padding) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    if !plaintext.len().is_multiple_of(BLOCK_BYTES)
        || padding.len() >= BLOCK_BYTES
        || padding.iter().any(|byte| *byte != 0)
    {
        return None;
    }
    let (json_bytes, digest) = (json.len(), Sha256::digest(&*plaintext));
    Some(Opened { plaintext, json_bytes, digest })
}

fn bound(place: &Place) -> [u8; 33] {
    let mut bound = [0; 33];
    bound[..16].copy_from_slice(&place.log_id);
    bound[16..32].copy_from_slice(&place.salt);
    bound[32] = place.kind;
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { log_id: [1; 16], salt: [2; 16], kind: 1 };

    fn key(byte: u8) -> Secret {
        Zeroizing::new([byte; 32])
    }

    #[test]
    fn a_part_opens_with_its_key_at_its_place_and_nowhere_else() {
        for len in [0, 1, 43, 44, 45, 108, 5_000] {
            let json = vec![b'x'; len];
            let sealed = seal(&key(7), &PLACE, &json).unwrap();
            let opened = open(&key(7), &PLACE, &sealed.nonce, &sealed.ciphertext).unwrap();
            assert_eq!((opened.json(), opened.digest), (&json[..], sealed.digest));
            assert!(open(&key(8), &PLACE, &sealed.nonce, &sealed.ciphertext).is_none());
            let elsewhere =
                [Place { log_id: [9; 16], ..PLACE }, Place { salt: [9; 16], ..PLACE }, Place { kind: 2, ..PLACE }];
            for place in elsewhere {
                assert!(open(&key(7), &place, &sealed.nonce, &sealed.ciphertext).is_none(), "{place:?}");
            }
        }
    }

    #[test]
    fn no_flipped_bit_opens_and_a_cut_one_does_not_either() {
        let sealed = seal(&key(7), &PLACE, br#"{"/detail/phone":"+49 30 1234"}"#).unwrap();
        for bit in 0..sealed.ciphertext.len() * 8 {
            let mut flipped = sealed.ciphertext.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&key(7), &PLACE, &sealed.nonce, &flipped).is_none(), "bit {bit}");
        }
        for len in 0..sealed.ciphertext.len() {
            assert!(open(&key(7), &PLACE, &sealed.nonce, &sealed.ciphertext[..len]).is_none(), "{len} bytes");
        }
    }

    #[test]
    fn neither_length_nor_digest_tells_what_was_sealed() {
        let digest = |json: &[u8]| seal(&key(7), &PLACE, json).unwrap().digest;
        assert_ne!(digest(b"yes"), digest(b"yes"), "the same twice");
        let len = |json: &[u8]| seal(&key(7), &PLACE, json).unwrap().ciphertext.len();
        assert_eq!(len(b"no"), len(b"a much longer answer than no"));
    }
}
