//! Checkpoints as C2SP specifies them (c2sp.org/tlog-checkpoint): which log, how many leaves, which root.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::merkle::Hash;
use super::note::{Note, NoteError, VerifierKey};

/// A tree head: what a signature over a checkpoint speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Leaves in the tree.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// Reads the text of a note: origin, size, root, and further lines that mean nothing to us. `None` if it is none.
    pub fn parse(text: &str) -> Option<Checkpoint> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let origin = lines.next().filter(|origin| !origin.is_empty())?;
        let size = parse_size(lines.next()?)?;
        let root = STANDARD.decode(lines.next()?).ok()?.try_into().ok()?;
        if lines.any(str::is_empty) {
            return None;
        }
        Some(Checkpoint { origin: origin.to_owned(), size, root })
    }

    /// Reads a signed checkpoint that this key signed.
    pub fn verified(note: &str, key: &VerifierKey) -> Result<Checkpoint, NoteError> {
        let note = Note::parse(note)?;
        key.verify(&note)?;
        Checkpoint::parse(note.text).ok_or(NoteError::Malformed("it is signed, but no checkpoint"))
    }

    /// The text that is signed: three lines.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }
}

/// A number as these formats write it: decimal, without leading zeros.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::note::{KeyKind, SignerKey};

    #[test]
    fn a_checkpoint_comes_back_and_what_is_none_does_not() {
        let checkpoint = Checkpoint { origin: "annals/x".into(), size: 42, root: [7; 32] };
        let text = checkpoint.to_text();
        assert_eq!(Checkpoint::parse(&text), Some(checkpoint.clone()));
        assert_eq!(Checkpoint::parse(&format!("{text}an extension\n")), Some(checkpoint));
        let root = STANDARD.encode([7; 32]);
        for bad in [
            String::new(),
            text.trim_end().to_owned(),
            format!("\n42\n{root}\n"),
            format!("x\n042\n{root}\n"),
            format!("x\n+42\n{root}\n"),
            format!("x\n\n{root}\n"),
            format!("x\n18446744073709551616\n{root}\n"),
            "x\n42\nAAAA\n".into(),
            format!("x\n42\n{root}\n\n"),
            "x\n42\n".into(),
        ] {
            assert_eq!(Checkpoint::parse(&bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_what_the_key_signed_is_believed() {
        let key = SignerKey::new("annals/x", KeyKind::Log, &[1; 32]).unwrap();
        let checkpoint = Checkpoint { origin: "annals/x".into(), size: 42, root: [7; 32] };
        let text = checkpoint.to_text();
        let note = format!("{text}\n{}", key.sign(&text, 0));
        assert_eq!(Checkpoint::verified(&note, key.public()), Ok(checkpoint));
        let other = note.replace("\n42\n", "\n43\n");
        assert!(matches!(Checkpoint::verified(&other, key.public()), Err(NoteError::BadSignature { .. })));
        let poem = format!("a poem\n\n{}", key.sign("a poem\n", 0));
        assert!(matches!(Checkpoint::verified(&poem, key.public()), Err(NoteError::Malformed(_))));
    }
}
