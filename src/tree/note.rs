//! Signed notes as C2SP specifies them (c2sp.org/signed-note): text, a blank line, and lines with signatures; and the two
//! kinds of keys we use: Ed25519 for a log, and timestamped Ed25519 for who cosigns it (c2sp.org/tlog-cosignature).
//!
//! Nothing here knows what a note says; see [`super::checkpoint`].

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature as Ed25519, Signer as _, SigningKey, VerifyingKey};

use crate::hash::Sha256;

/// A longer note is refused before it is looked at.
pub const NOTE_BYTES_MAX: usize = 64 << 10;
/// More signature lines than this are refused; the specification asks verifiers to take at least 16.
pub const SIGNATURES_MAX: usize = 64;
/// A longer key name is refused.
const NAME_BYTES_MAX: usize = 1_024;
/// How a signature line begins: an em dash and a space.
const DASH: &str = "\u{2014} ";
const PRIVATE: &str = "PRIVATE+KEY+";
const ED25519_BYTES: usize = 64;

/// What a key's signatures say. The byte is the one that specification assigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// 0x01: over the text.
    Log,
    /// 0x04: over a time and the text: "this is the largest tree of this log that I have seen, at that time".
    Cosigner,
}

/// Why a text is not a note, or a key not a key, or a note is not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// More than [`NOTE_BYTES_MAX`].
    #[error("the note has {found} bytes, at most {NOTE_BYTES_MAX} are read")]
    TooLong {
        /// Its bytes.
        found: usize,
    },
    /// Not text, a blank line and signature lines.
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    /// Not a key as the specification writes it.
    #[error("not a key: {0}")]
    BadKey(&'static str),
    /// The key's line is there and its signature is not the key's.
    #[error("the signature of {name} does not fit the text")]
    BadSignature {
        /// Whose.
        name: String,
    },
    /// The key signed nothing here.
    #[error("{name} has not signed it")]
    NotSigned {
        /// Who.
        name: String,
    },
}

/// A note taken apart; nothing about it is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// What was signed, with its last newline.
    pub text: &'a str,
    /// The signature lines, in order.
    pub signatures: Vec<SignatureLine<'a>>,
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLine<'a> {
    /// Name of the key.
    pub name: &'a str,
    /// First four bytes, which tell keys of one name apart.
    pub id: [u8; 4],
    /// What follows them.
    pub bytes: Vec<u8>,
}

impl<'a> Note<'a> {
    /// Takes a note apart.
    pub fn parse(note: &'a str) -> Result<Note<'a>, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong { found: note.len() });
        }
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(NoteError::Malformed("a control character stands in it"));
        }
        let split = note.rfind("\n\n").ok_or(NoteError::Malformed("no blank line before signatures"))?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed("the last line does not end"))?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == SIGNATURES_MAX {
                return Err(NoteError::Malformed("too many signatures"));
            }
            signatures.push(SignatureLine::parse(line)?);
        }
        Ok(Note { text, signatures })
    }
}

impl<'a> SignatureLine<'a> {
    fn parse(line: &'a str) -> Result<SignatureLine<'a>, NoteError> {
        let rest = line.strip_prefix(DASH).ok_or(NoteError::Malformed("a signature line begins otherwise"))?;
        let (name, base64) = rest.split_once(' ').ok_or(NoteError::Malformed("a signature line without signature"))?;
        if !is_name(name) {
            return Err(NoteError::Malformed("a signature line with a name that cannot be one"));
        }
        let bytes = STANDARD.decode(base64).map_err(|_| NoteError::Malformed("a signature that is not base64"))?;
        let (id, bytes) = bytes.split_first_chunk::<4>().ok_or(NoteError::Malformed("a signature without key id"))?;
        if bytes.is_empty() {
            return Err(NoteError::Malformed("a signature without bytes"));
        }
        Ok(SignatureLine { name, id: *id, bytes: bytes.to_vec() })
    }
}

/// A name may be anything without spaces and plus signs.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains(|c: char| c.is_whitespace() || c == '+')
}

/// What verifies a key's signatures: `name+id+base64(kind ‖ public key)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    kind: KeyKind,
    key: VerifyingKey,
}

impl VerifierKey {
    fn new(name: &str, kind: KeyKind, key: VerifyingKey) -> VerifierKey {
        let hash =
            Sha256::new().chain_update(name).chain_update([b'\n', kind.byte()]).chain_update(key.as_bytes()).finalize();
        VerifierKey { name: name.to_owned(), id: [hash[0], hash[1], hash[2], hash[3]], kind, key }
    }

    /// The key's name: a log's origin, or the name of who cosigns.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its signatures say.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The 32 bytes of the public key.
    pub fn public_bytes(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// Checks this key's signature. Every line of this key must be good. Answers the time of a cosignature, s since 1970.
    pub fn verify(&self, note: &Note<'_>) -> Result<Option<u64>, NoteError> {
        let mut found = None;
        for line in note.signatures.iter().filter(|line| line.name == self.name && line.id == self.id) {
            let bad = || NoteError::BadSignature { name: self.name.clone() };
            found = Some(self.verify_line(note.text, &line.bytes).ok_or_else(bad)?);
        }
        found.ok_or_else(|| NoteError::NotSigned { name: self.name.clone() })
    }

    fn verify_line(&self, text: &str, bytes: &[u8]) -> Option<Option<u64>> {
        let (time_s, signed, signature) = match self.kind {
            KeyKind::Log => (None, text.to_owned(), bytes),
            KeyKind::Cosigner => {
                let (time, signature) = bytes.split_first_chunk::<8>()?;
                let time_s = u64::from_be_bytes(*time);
                (Some(time_s), cosigned(text, time_s), signature)
            }
        };
        let signature: &[u8; ED25519_BYTES] = signature.try_into().ok()?;
        // Strict: a signature has one form, and keys of small order are refused.
        self.key.verify_strict(signed.as_bytes(), &Ed25519::from_bytes(signature)).ok()?;
        Some(time_s)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.kind.byte()];
        key.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, hex_id(self.id), STANDARD.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<VerifierKey, NoteError> {
        let (name, id, kind, bytes) = take_key_apart(text)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| NoteError::BadKey("no point on the curve"))?;
        let verifier = VerifierKey::new(name, kind, key);
        match hex_id(verifier.id) == id {
            true => Ok(verifier),
            false => Err(NoteError::BadKey("its id does not belong to name and key")),
        }
    }
}

/// What signs: `PRIVATE+KEY+name+id+base64(kind ‖ seed)`. Its `Debug` shows the public half.
#[derive(Clone)]
pub struct SignerKey {
    key: SigningKey,
    public: VerifierKey,
}

impl SignerKey {
    /// A key made of 32 random bytes.
    pub fn new(name: &str, kind: KeyKind, seed: &[u8; 32]) -> Result<SignerKey, NoteError> {
        if !is_name(name) {
            return Err(NoteError::BadKey("the name is empty, too long, or has a space or a plus sign"));
        }
        let key = SigningKey::from_bytes(seed);
        let public = VerifierKey::new(name, kind, key.verifying_key());
        Ok(SignerKey { key, public })
    }

    /// What others verify its signatures with.
    pub fn public(&self) -> &VerifierKey {
        &self.public
    }

    /// The key as it is written to a file, without a newline. Secret.
    pub fn to_secret(&self) -> String {
        let mut key = vec![self.public.kind.byte()];
        key.extend_from_slice(self.key.as_bytes());
        format!("{PRIVATE}{}+{}+{}", self.public.name, hex_id(self.public.id), STANDARD.encode(key))
    }

    /// The signature line over a text, with its newline. `now_s` (s since 1970) is what a cosigner says beside it.
    pub fn sign(&self, text: &str, now_s: u64) -> String {
        let mut bytes = self.public.id.to_vec();
        let signature = match self.public.kind {
            KeyKind::Log => self.key.sign(text.as_bytes()),
            KeyKind::Cosigner => {
                bytes.extend_from_slice(&now_s.to_be_bytes());
                self.key.sign(cosigned(text, now_s).as_bytes())
            }
        };
        bytes.extend_from_slice(&signature.to_bytes());
        format!("{DASH}{} {}\n", self.public.name, STANDARD.encode(bytes))
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignerKey").field(&self.public).finish()
    }
}

impl FromStr for SignerKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<SignerKey, NoteError> {
        let rest = text.trim_end_matches('\n').strip_prefix(PRIVATE);
        let (name, id, kind, seed) = take_key_apart(rest.ok_or(NoteError::BadKey("it is no private key"))?)?;
        let key = SignerKey::new(name, kind, &seed)?;
        match hex_id(key.public.id) == id {
            true => Ok(key),
            false => Err(NoteError::BadKey("its id does not belong to name and key")),
        }
    }
}

impl KeyKind {
    fn byte(self) -> u8 {
        match self {
            KeyKind::Log => 1,
            KeyKind::Cosigner => 4,
        }
    }
}

/// What a cosignature is over.
fn cosigned(text: &str, time_s: u64) -> String {
    format!("cosignature/v1\ntime {time_s}\n{text}")
}

fn hex_id(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

/// `name+id+base64(kind ‖ 32 bytes)`
fn take_key_apart(text: &str) -> Result<(&str, &str, KeyKind, [u8; 32]), NoteError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NoteError::BadKey("expected name+id+key"));
    };
    if !is_name(name) {
        return Err(NoteError::BadKey("the name is empty, too long, or has a space"));
    }
    let key = STANDARD.decode(key).map_err(|_| NoteError::BadKey("the last part is not base64"))?;
    let (kind, bytes) = key.split_first().ok_or(NoteError::BadKey("the last part is empty"))?;
    let kind = match kind {
        1 => KeyKind::Log,
        4 => KeyKind::Cosigner,
        _ => return Err(NoteError::BadKey("a kind of key that is not known here (expected 1 or 4)")),
    };
    let bytes = bytes.try_into().map_err(|_| NoteError::BadKey("expected 32 bytes of key"))?;
    Ok((name, id, kind, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "annals/test\n5\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

    fn key(name: &str, kind: KeyKind, seed: u8) -> SignerKey {
        SignerKey::new(name, kind, &[seed; 32]).unwrap()
    }

    fn signed() -> (SignerKey, SignerKey, String) {
        let (log, witness) = (key("annals/test", KeyKind::Log, 1), key("w.example/1", KeyKind::Cosigner, 2));
        let note = format!("{TEXT}\n{}{}", log.sign(TEXT, 0), witness.sign(TEXT, 1_700_000_000));
        (log, witness, note)
    }

    #[test]
    fn what_a_key_signed_its_public_half_verifies_and_no_other() {
        let (log, witness, text) = signed();
        let note = Note::parse(&text).unwrap();
        assert_eq!(note.text, TEXT);
        assert_eq!(log.public().verify(&note), Ok(None));
        assert_eq!(witness.public().verify(&note), Ok(Some(1_700_000_000)));
        let stranger = key("annals/test", KeyKind::Log, 3);
        assert_eq!(stranger.public().verify(&note), Err(NoteError::NotSigned { name: "annals/test".into() }));
        // The same seed in the other role is another key.
        let cosigner = key("annals/test", KeyKind::Cosigner, 1);
        assert!(matches!(cosigner.public().verify(&note), Err(NoteError::NotSigned { .. })));
    }

    #[test]
    fn keys_come_back_from_their_texts_and_altered_ones_do_not() {
        for key in [key("annals/test", KeyKind::Log, 1), key("w.example/1", KeyKind::Cosigner, 2)] {
            let public = key.public().to_string();
            assert_eq!(public.parse(), Ok(key.public().clone()));
            let again: SignerKey = format!("{}\n", key.to_secret()).parse().unwrap();
            assert_eq!(again.public(), key.public());
            assert!(!format!("{key:?}").contains(&key.to_secret()));
            for at in 0..public.len() {
                let mut other = public.clone().into_bytes();
                other[at] = if other[at] == b'A' { b'B' } else { b'A' };
                let other = String::from_utf8(other).unwrap();
                assert_ne!(other.parse().ok(), Some(key.public().clone()), "{other}");
            }
        }
        for bad in ["", "a", "a+b", "a+00000000+", "a b+00000000+AQ==", "x+00000000+AgAA", "PRIVATE+KEY+a+b+c"] {
            assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
            assert!(bad.parse::<SignerKey>().is_err(), "{bad}");
        }
    }

    /// Every bit of a note belongs to it: flipped, the log's signature or the witness's no longer verifies.
    #[test]
    fn no_bit_of_a_note_can_be_flipped_unseen() {
        let (log, witness, text) = signed();
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(flipped) = String::from_utf8(bytes) else { continue };
            let both = Note::parse(&flipped)
                .is_ok_and(|note| log.public().verify(&note).is_ok() && witness.public().verify(&note).is_ok());
            assert!(!both, "bit {bit} of {text:?}");
        }
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let line = key("a", KeyKind::Log, 1).sign("x\n", 0);
        assert!(Note::parse(&format!("x\n\n{line}")).is_ok());
        let many = line.repeat(SIGNATURES_MAX + 1);
        for bad in [
            String::new(),
            "x\n".into(),
            format!("x\n{line}"),
            format!("x\n\n{}", line.trim_end()),
            format!("x\r\n\n{line}"),
            "x\n\n\u{2014} a\n".into(),
            "x\n\n\u{2014} a AAAA\n".into(),
            "x\n\n\u{2014} a AAAAAA==\n".into(),
            "x\n\n- a AAAAAAAA\n".into(),
            "x\n\n\u{2014}  AAAAAAAA\n".into(),
            "x\n\n\u{2014} a+b AAAAAAAA\n".into(),
            format!("x\n\n{many}"),
            format!("{}\n\n{line}", "x".repeat(NOTE_BYTES_MAX)),
        ] {
            assert!(Note::parse(&bad).is_err(), "{bad:?}");
        }
    }

    /// A known note of the specification's own ecosystem: the Go implementation's test vector.
    #[test]
    fn a_note_that_go_signed_verifies() {
        let key: VerifierKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
        let note = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n\n\
                    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert_eq!(key.verify(&Note::parse(note).unwrap()), Ok(None));
    }
}
