//! SHA-256 (FIPS 180-4), HMAC (RFC 2104) and HKDF (RFC 5869) with it. `ring` computes them: where the processor has no instruction
//! for it, it takes little more than half the time of the crates `sha2`, `hmac` and `hkdf`, and everything that is appended is hashed
//! several times.

use ring::digest::{self, Context, SHA256};
use ring::{hkdf, hmac};
use subtle::ConstantTimeEq;

/// Bytes of a digest.
pub const DIGEST_BYTES: usize = 32;

/// A digest in the making. Its calls have the names that they have elsewhere.
#[derive(Clone)]
pub struct Sha256(Context);

impl Default for Sha256 {
    fn default() -> Sha256 {
        Sha256(Context::new(&SHA256))
    }
}

impl Sha256 {
    /// Of nothing so far.
    pub fn new() -> Sha256 {
        Sha256::default()
    }

    /// Of this so far.
    pub fn new_with_prefix(bytes: impl AsRef<[u8]>) -> Sha256 {
        Sha256::new().chain_update(bytes)
    }

    /// The digest of this alone.
    pub fn digest(bytes: impl AsRef<[u8]>) -> [u8; DIGEST_BYTES] {
        of(digest::digest(&SHA256, bytes.as_ref()))
    }

    /// Takes in what follows.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes.as_ref());
    }

    /// The same, to be written in one expression.
    #[must_use]
    pub fn chain_update(mut self, bytes: impl AsRef<[u8]>) -> Sha256 {
        self.update(bytes);
        self
    }

    /// The digest of all of it.
    pub fn finalize(self) -> [u8; DIGEST_BYTES] {
        of(self.0.finish())
    }
}

fn of(digest: digest::Digest) -> [u8; DIGEST_BYTES] {
    digest.as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// A MAC in the making: who has the key made it, or nobody.
#[derive(Clone)]
pub struct Mac(hmac::Context);

impl Mac {
    /// With a key of any length.
    pub fn new(key: &[u8]) -> Mac {
        Mac(hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    /// Takes in what follows.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes.as_ref());
    }

    /// The MAC of all of it.
    pub fn finalize(self) -> [u8; DIGEST_BYTES] {
        self.0.sign().as_ref().try_into().expect("HMAC with SHA-256 gives 32 bytes")
    }

    /// Whether this is it. Takes the same time for everything of its length.
    pub fn is(self, mac: &[u8]) -> bool {
        self.finalize().ct_eq(mac).into()
    }

    /// Whether it begins with this, of which there has to be half of it at least.
    pub fn begins(self, mac: &[u8]) -> bool {
        let own = self.finalize();
        mac.len() >= DIGEST_BYTES / 2 && own.get(..mac.len()).is_some_and(|own| own.ct_eq(mac).into())
    }
}

/// Where keys are drawn from keys, for one purpose (`info`) each.
pub struct KeySource(hkdf::Salt);

impl KeySource {
    /// With a salt, which may be known.
    pub fn new(salt: &[u8]) -> KeySource {
        KeySource(hkdf::Salt::new(hkdf::HKDF_SHA256, salt))
    }

    /// Fills `key` from a secret. Of the purpose the parts count, not where they are cut.
    pub fn draw(&self, secret: &[u8], info: &[&[u8]], key: &mut [u8; DIGEST_BYTES]) {
        let drawn = self.0.extract(secret);
        let drawn = drawn.expand(info, hkdf::HKDF_SHA256).and_then(|drawn| drawn.fill(key));
        drawn.expect("HKDF gives as many bytes as a digest has");
    }
}

#[cfg(test)]
mod tests {
    use sha2::Digest;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_digest_is_that_of_another_program_wherever_it_is_cut() {
        let bytes: Vec<u8> = (0..1_000_u32).map(|n| (n * 7) as u8).collect();
        for len in (0..200).chain([511, 512, 1_000]) {
            let (whole, cut) = (&bytes[..len], len / 3);
            let expected: [u8; 32] = sha2::Sha256::digest(whole).into();
            assert_eq!(Sha256::digest(whole), expected, "{len}");
            let mut parts = Sha256::new_with_prefix(&whole[..cut]);
            let kept = parts.clone();
            parts.update(&whole[cut..]);
            assert_eq!(parts.finalize(), expected, "{len}");
            assert_eq!(kept.chain_update(&whole[cut..]).finalize(), expected, "{len}");
        }
    }

    /// RFC 4231, test cases 2 and 6.
    #[test]
    fn macs_are_those_of_the_rfc() {
        let mut mac = Mac::new(b"Jefe");
        mac.update("what do ya want ");
        mac.update("for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let bytes = mac.clone().finalize();
        assert_eq!(hex(&bytes), expected);
        assert!(mac.clone().is(&bytes));
        for wrong in [&bytes[..31], &[], &[7; 32], &[&bytes[..], &[0]].concat()] {
            assert!(!mac.clone().is(wrong), "{wrong:?}");
        }
        for (mac_bytes, begins) in
            [(&bytes[..], true), (&bytes[..16], true), (&bytes[..15], false), (&bytes[1..], false)]
        {
            assert_eq!(mac.clone().begins(mac_bytes), begins, "{mac_bytes:?}");
        }
        let mut mac = Mac::new(&[0xaa; 131]);
        mac.update("Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(hex(&mac.finalize()), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    /// RFC 5869, test case 1, of whose 42 bytes these are the first.
    #[test]
    fn keys_are_those_of_the_rfc_however_the_purpose_is_cut() {
        let salt: Vec<u8> = (0..13).collect();
        let info: Vec<u8> = (0xf0..0xfa).collect();
        for parts in [vec![&info[..]], vec![&info[..4], &info[4..]]] {
            let mut key = [0; 32];
            KeySource::new(&salt).draw(&[0x0b; 22], &parts, &mut key);
            assert_eq!(hex(&key), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
        }
    }
}
