//! The text of a key: `annals_<prefix>_<secret>`. The prefix finds it, the secret proves it.

use std::fmt::{self, Debug, Formatter};

use subtle::ConstantTimeEq;

use crate::event::row::hex;
use crate::hash::Mac;

const MARK: &str = "annals_";
/// Bytes of chance in a prefix and in a secret that we make.
const PREFIX_BYTES: usize = 4;
const SECRET_BYTES: usize = 32;
/// Characters of a prefix.
const PREFIX_LEN: std::ops::RangeInclusive<usize> = 4..=16;
/// Characters of a secret: 32 of hexadecimal digits are 128 bits of chance.
const SECRET_LEN: std::ops::RangeInclusive<usize> = 32..=128;
/// What a secret is hashed under. Secrets are drawn, not thought up, so one round of SHA-256 is enough: there is nothing to guess.
const HASH_LABEL: &[u8] = b"annals/key/v1";
/// Stands before what a viewer's token says, so that its MAC is worth nothing elsewhere.
const VIEWER_LABEL: &[u8] = b"annals/viewer/v1\0";

/// What a caller shows. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText {
    prefix: String,
    secret: String,
}

/// What is kept of a secret.
#[derive(Clone, Copy, Debug)]
pub struct KeyHash([u8; 32]);

/// Not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a key: expected annals_, 4 to 16 letters or digits, _ and at least 32 letters or digits")]
pub struct NotAKey;

impl KeyText {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn make() -> std::io::Result<KeyText> {
        let prefix = hex(&crate::durable::random::<PREFIX_BYTES>()?);
        Ok(KeyText { prefix, secret: hex(&crate::durable::random::<SECRET_BYTES>()?) })
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it has another form.
    pub fn parse(text: &str) -> Result<KeyText, NotAKey> {
        let (prefix, secret) = text.strip_prefix(MARK).and_then(|rest| rest.split_once('_')).ok_or(NotAKey)?;
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_right = PREFIX_LEN.contains(&prefix.len())
            && SECRET_LEN.contains(&secret.len())
            && is_plain(prefix)
            && is_plain(secret);
        is_right.then(|| KeyText { prefix: prefix.to_owned(), secret: secret.to_owned() }).ok_or(NotAKey)
    }

    /// The part that may be shown and finds the key.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What is kept.
    pub fn hash(&self) -> KeyHash {
        let mut mac = Mac::new(HASH_LABEL);
        mac.update(&self.prefix);
        mac.update("_");
        mac.update(&self.secret);
        KeyHash(mac.finalize())
    }

    /// The whole text, to be handed out once.
    pub fn reveal(&self) -> String {
        format!("{MARK}{}_{}", self.prefix, self.secret)
    }
}

impl Debug for KeyText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}{}_…", self.prefix)
    }
}

impl KeyHash {
    /// Of no secret: what an unknown prefix is compared with, so that it takes as long as a known one.
    pub const NONE: KeyHash = KeyHash([0; 32]);

    /// Reads what [`KeyHash::to_hex`] wrote.
    pub fn from_hex(text: &str) -> Option<KeyHash> {
        let mut hash = [0; 32];
        let digits = text.as_bytes();
        if digits.len() != 2 * hash.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(KeyHash(hash))
    }

    /// As text.
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// Over what the token of a viewer says. The hash is as secret as the file that holds it.
    pub(super) fn viewer_mac(self, claims: &[u8]) -> Mac {
        let mut mac = Mac::new(&self.0);
        mac.update(VIEWER_LABEL);
        mac.update(claims);
        mac
    }

    /// Whether it is the hash of this key. Takes the same time for every key.
    pub fn is_of(self, key: &KeyText) -> bool {
        self.0.ct_eq(&key.hash().0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_is_not_shown_by_debug() {
        let key = KeyText::make().unwrap();
        assert_eq!(KeyText::parse(&key.reveal()), Ok(key.clone()));
        assert!(!format!("{key:?}").contains(&key.secret));
        assert!(key.hash().is_of(&key));
        assert!(!key.hash().is_of(&KeyText::make().unwrap()));
        assert!(!KeyHash::NONE.is_of(&key));
        assert!(KeyHash::from_hex(&key.hash().to_hex()).unwrap().is_of(&key));
        assert!(KeyHash::from_hex("00").is_none() && KeyHash::from_hex(&"+1".repeat(32)).is_none());
    }

    #[test]
    fn anything_else_is_no_key() {
        let secret = "0".repeat(64);
        for text in [
            String::new(),
            "annals".into(),
            "annals_".into(),
            format!("annals__{secret}"),
            format!("annals_abc_{secret}"),
            format!("annals_abcd_{}", &secret[..31]),
            format!("annals_abcd_{}", "0".repeat(129)),
            format!("annals_abcd_{secret} "),
            format!("annals_ab_cd_{secret}"),
            format!("Annals_abcd_{secret}"),
            format!("annals_abcd_{secret}é"),
        ] {
            assert_eq!(KeyText::parse(&text), Err(NotAKey), "{text}");
        }
    }
}
