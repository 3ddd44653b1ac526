//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): ChaCha20-Poly1305 (RFC 8439) from `ring`, under a key that HChaCha20 draws for
//! the first 16 bytes of a nonce. The crate `chacha20poly1305` gives the same bytes, and tests hold it beside this; with it a bulk
//! load takes a twentieth more of the processor, since each event about somebody has a key and a part or two, all of them short.
//!
//! Of a key that is drawn `ring` leaves a copy on the stack. It opens what was sealed with that nonce, and nothing else.

use chacha20::{R20, hchacha};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroize;

use super::kek::KEY_BYTES;

/// Bytes of a nonce: long enough to be drawn.
pub const NONCE_BYTES: usize = 24;
/// Bytes behind what is sealed.
pub const TAG_BYTES: usize = 16;

/// Bytes of a nonce that go into the key. The others are the end of a nonce of RFC 8439.
const KEYED_BYTES: usize = 16;

/// Seals these bytes where they lie, and puts the tag behind them. `bound` has to be shown again to open them.
/// `None` if they are too many, which takes 256 GiB.
pub fn seal(key: &[u8; KEY_BYTES], nonce: &[u8; NONCE_BYTES], bound: &[u8], bytes: &mut Vec<u8>) -> Option<()> {
    let (key, nonce) = drawn(key, nonce);
    key.seal_in_place_append_tag(nonce, Aad::from(bound), bytes).ok()
}

/// Opens these bytes, the tag behind them, where they lie; `None` if they are not what was sealed with this.
pub fn open<'a>(
    key: &[u8; KEY_BYTES],
    nonce: &[u8; NONCE_BYTES],
    bound: &[u8],
    bytes: &'a mut [u8],
) -> Option<&'a mut [u8]> {
    let (key, nonce) = drawn(key, nonce);
    key.open_in_place(nonce, Aad::from(bound), bytes).ok()
}

/// The key for this nonce alone, and what is left of the nonce.
fn drawn(key: &[u8; KEY_BYTES], nonce: &[u8; NONCE_BYTES]) -> (LessSafeKey, Nonce) {
    let (keyed, rest) = nonce.split_at(KEYED_BYTES);
    let mut drawn = hchacha::<R20>(key.into(), keyed.try_into().expect("16 of 24 bytes"));
    let unbound = UnboundKey::new(&CHACHA20_POLY1305, &drawn).expect("a key has 32 bytes");
    drawn.zeroize();
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(rest);
    (LessSafeKey::new(unbound), Nonce::assume_unique_for_key(nonce))
}

#[cfg(test)]
mod tests {
    use chacha20poly1305::aead::{Aead, KeyInit, Payload};
    use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
    use proptest::prelude::*;

    use super::*;

    fn of_others(key: [u8; KEY_BYTES], nonce: [u8; NONCE_BYTES], aad: &[u8], msg: &[u8]) -> Vec<u8> {
        XChaCha20Poly1305::new(&Key::from(key)).encrypt(&XNonce::from(nonce), Payload { msg, aad }).unwrap()
    }

    proptest! {
        #[test]
        fn what_it_seals_is_what_another_program_seals_and_opens(
            key: [u8; KEY_BYTES],
            nonce: [u8; NONCE_BYTES],
            bound in prop::collection::vec(any::<u8>(), 0..100),
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            flipped: prop::sample::Index,
        ) {
            let mut sealed = bytes.clone();
            seal(&key, &nonce, &bound, &mut sealed).unwrap();
            prop_assert_eq!(&sealed, &of_others(key, nonce, &bound, &bytes));
            let bit = flipped.index(8 * sealed.len());
            let mut other = sealed.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(open(&key, &nonce, &bound, &mut other).is_none());
            let opened = open(&key, &nonce, &bound, &mut sealed);
            prop_assert_eq!(opened.map(|opened| &*opened), Some(&bytes[..]));
        }

        #[test]
        fn any_other_key_nonce_or_binding_opens_nothing(
            key: [u8; KEY_BYTES],
            nonce: [u8; NONCE_BYTES],
            bound: [u8; 33],
            flipped in 0..8 * (KEY_BYTES + NONCE_BYTES + 33),
        ) {
            let mut sealed = b"said".to_vec();
            seal(&key, &nonce, &bound, &mut sealed).unwrap();
            let (mut other_key, mut other_nonce, mut other_bound) = (key, nonce, bound);
            let bytes = other_key.iter_mut().chain(&mut other_nonce).chain(&mut other_bound);
            bytes.skip(flipped / 8).take(1).for_each(|byte| *byte ^= 1 << (flipped % 8));
            prop_assert!(open(&other_key, &other_nonce, &other_bound, &mut sealed).is_none());
        }
    }

    #[test]
    fn less_than_a_tag_opens_nothing() {
        for len in 0..TAG_BYTES {
            assert!(open(&[1; KEY_BYTES], &[2; NONCE_BYTES], b"", &mut vec![0; len]).is_none(), "{len}");
        }
    }
}
