//! The key-encryption key: it wraps the keys of all subjects, and is in no backup of the data. Losing it loses all that was ever
//! sealed.

use std::fmt::{self, Debug, Formatter};
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Subject;
use super::aead::{self, NONCE_BYTES, TAG_BYTES};
use super::kept::Kept;
use crate::durable::{self, Disk};
use crate::hash::{KeySource, Mac};

/// Bytes of a key, of this one and of a subject's.
pub const KEY_BYTES: usize = 32;
/// Bytes of a wrapped key: itself and a tag.
pub const WRAPPED_BYTES: usize = KEY_BYTES + TAG_BYTES;
/// A file has 64 digits and a line end.
const FILE_BYTES_MAX: u64 = 1_024;
/// What the subkey is for.
const WRAP_INFO: &[u8] = b"annals/keyring/wrap/v1";

/// A key that nobody sees; zeros when it is dropped.
pub type Secret = Zeroizing<[u8; KEY_BYTES]>;

/// The text of a key, as somebody gave it.
#[derive(Clone)]
pub struct SecretText(Zeroizing<Vec<u8>>);

impl SecretText {
    /// Of these bytes.
    pub fn new(bytes: Vec<u8>) -> SecretText {
        SecretText(Zeroizing::new(bytes))
    }

    /// The bytes.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl Debug for SecretText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// The key-encryption key of one log.
pub struct Kek {
    /// Wraps.
    wrap: Kept,
}

/// Not a key-encryption key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a key-encryption key: expected 64 hexadecimal digits")]
pub struct NotAKek;

/// Why there is no key in a file.
#[derive(Debug, thiserror::Error)]
pub enum KekFileError {
    /// The file.
    #[error("cannot read {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It has something else.
    #[error("{path}")]
    NotAKek {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: NotAKek,
    },
}

impl Kek {
    /// Of this log, out of a file.
    ///
    /// # Errors
    /// When there is none in it.
    pub fn read(disk: &dyn Disk, path: &Path, log_id: &[u8; 16]) -> Result<Kek, KekFileError> {
        let text = durable::read_small(disk, path, FILE_BYTES_MAX);
        let text = SecretText::new(text.map_err(|source| KekFileError::Io { path: path.to_owned(), source })?);
        Kek::parse(text.reveal(), log_id).map_err(|source| KekFileError::NotAKek { path: path.to_owned(), source })
    }

    /// Of this log, out of 64 hexadecimal digits, as a file, the environment or a command has them.
    ///
    /// # Errors
    /// When they are none.
    pub fn parse(text: &[u8], log_id: &[u8; 16]) -> Result<Kek, NotAKek> {
        let digits = text.trim_ascii();
        if digits.len() != 2 * KEY_BYTES {
            return Err(NotAKek);
        }
        let mut key = Secret::default();
        for (byte, pair) in key.iter_mut().zip(digits.as_chunks::<2>().0) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            *byte = high.zip(low).map(|(high, low)| (high << 4 | low) as u8).ok_or(NotAKek)?;
        }
        Ok(Kek::new(&key, log_id))
    }

    fn new(key: &Secret, log_id: &[u8; 16]) -> Kek {
        let mut wrap = Secret::default();
        KeySource::new(log_id).draw(&**key, &[WRAP_INFO], &mut wrap);
        Kek { wrap: Kept::new(&wrap) }
    }

    /// Writes a new one into a file that only its owner may read.
    ///
    /// # Errors
    /// When the disk fails, or the system has no random bytes.
    pub fn make(disk: &dyn Disk, dir: &Path, name: &str) -> io::Result<()> {
        let key = Zeroizing::new(durable::random::<KEY_BYTES>()?);
        let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES + 1));
        for byte in key.iter() {
            for half in [byte >> 4, byte & 15] {
                text.push(char::from_digit(half.into(), 16).expect("a half byte is a digit"));
            }
        }
        text.push('\n');
        durable::replace_secret(disk, dir, name, text.as_bytes())
    }

    /// Wraps a key. `place` is what it is bound to: it opens nowhere else.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub(super) fn wrap(
        &self,
        key: &[u8; KEY_BYTES],
        place: &[u8],
    ) -> io::Result<([u8; NONCE_BYTES], [u8; WRAPPED_BYTES])> {
        let nonce = durable::random()?;
        let mut wrapped = Vec::with_capacity(WRAPPED_BYTES);
        wrapped.extend_from_slice(key);
        aead::seal(&self.wrap, &nonce, place, &mut wrapped).expect("32 bytes are not too many");
        Ok((nonce, wrapped.try_into().expect("a tag has 16 bytes")))
    }

    /// Unwraps it; `None` if it was wrapped with another key, for another place, or is not what it was.
    pub(super) fn unwrap(
        &self,
        nonce: &[u8; NONCE_BYTES],
        wrapped: &[u8; WRAPPED_BYTES],
        place: &[u8],
    ) -> Option<Secret> {
        let mut bytes = Zeroizing::new(*wrapped);
        let opened: &[u8] = aead::open(&self.wrap, nonce, place, &mut *bytes)?;
        Some(Zeroizing::new(opened.try_into().ok()?))
    }

    /// Whether it is never swapped.
    pub(super) fn is_locked(&self) -> bool {
        self.wrap.is_locked()
    }
}

/// What stands for a subject in a keyring: without its naming key nobody can tell whose it is, not by trying names either.
pub(super) fn tag(naming: &[u8; KEY_BYTES], subject: &Subject<'_>) -> [u8; 32] {
    let mut mac = Mac::new(naming);
    for part in [subject.tenant, subject.kind, subject.id] {
        mac.update((part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac.finalize()
}

impl Debug for Kek {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Kek(…)")
    }
}
