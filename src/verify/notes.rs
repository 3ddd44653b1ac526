//! Signed notes that speak of a log: which key must have signed them, and whether the log is an extension of what they saw.

use super::report::{Finding, Place};
use crate::tree::{Checkpoint, Hash, Note, VerifierKey};

/// What a verification leans on.
#[derive(Clone, Debug, Default)]
pub struct Anchor {
    /// The key given from outside.
    pub key: Option<VerifierKey>,
    /// Whether notes from outside were given, that the log must be an extension of.
    pub has_notes: bool,
}

impl Anchor {
    /// What is missing for a verdict that does not rest on the log's own word alone.
    pub fn unmet(&self) -> Option<&'static str> {
        let is_met = self.key.is_some() || self.has_notes;
        (!is_met).then_some("nothing from outside was given to hold the log against: give its key or an older note")
    }
}

/// A checkpoint that somebody kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldNote {
    /// What it is called in findings.
    pub name: String,
    /// What it says.
    pub checkpoint: Checkpoint,
    /// Whether the key's signature was there and good. Without a key nothing is checked.
    pub is_signed: bool,
}

impl HeldNote {
    /// Reads a signed checkpoint; the key's signature must be good.
    ///
    /// # Errors
    /// The finding, if it is no checkpoint or not signed by this key.
    pub fn read(name: &str, text: &str, key: Option<&VerifierKey>) -> Result<HeldNote, Finding> {
        let finding = |why: String| Finding { place: Place::Named(name.to_owned()), why };
        let note = Note::parse(text).map_err(|e| finding(e.to_string()))?;
        let checkpoint =
            Checkpoint::parse(note.text).ok_or_else(|| finding("what is signed is no checkpoint".into()))?;
        if let Some(key) = key {
            key.verify(&note).map_err(|e| finding(e.to_string()))?;
        }
        Ok(HeldNote { name: name.to_owned(), checkpoint, is_signed: key.is_some() })
    }

    /// The same of a place where a log that was never signed has its three lines alone.
    ///
    /// # Errors
    /// As [`HeldNote::read`].
    pub fn read_or_unsigned(name: &str, text: &str, key: Option<&VerifierKey>) -> Result<HeldNote, Finding> {
        if text.contains("\n\n") {
            return HeldNote::read(name, text, key);
        }
        let why = || Finding { place: Place::Named(name.to_owned()), why: "it holds no checkpoint".to_owned() };
        let checkpoint = Checkpoint::parse(text).ok_or_else(why)?;
        Ok(HeldNote { name: name.to_owned(), checkpoint, is_signed: false })
    }

    /// What it and the log disagree about. `root` is the log's at the note's size, if it is that large; `origin` is what the
    /// log calls itself.
    pub fn against(&self, size: u64, root: Option<Hash>, origin: Option<&str>) -> Option<Finding> {
        let noted = &self.checkpoint;
        let why = match (origin.filter(|origin| *origin != noted.origin), root) {
            (Some(origin), _) => format!("it is of another log: {}, not {origin}", noted.origin),
            (None, _) if noted.size > size => {
                format!(
                    "it speaks of {} events, the log has {size}: events were lost, or the log was rolled back",
                    noted.size
                )
            }
            (None, Some(root)) if root == noted.root => return None,
            (None, Some(root)) => format!(
                "the root at size {} is {}, the log's is {}: the log is not an extension of it",
                noted.size,
                hex(&noted.root),
                hex(&root)
            ),
            (None, None) => format!("the log's root at size {} could not be computed", noted.size),
        };
        Some(Finding { place: Place::Named(self.name.clone()), why })
    }
}

/// 64 small hex digits, for messages.
pub(super) fn hex(hash: &Hash) -> String {
    crate::event::row::hex(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{KeyKind, SignerKey};

    fn note(seed: u8, size: u64, root: u8) -> (SignerKey, String) {
        let key = SignerKey::new("annals/x", KeyKind::Log, &[seed; 32]).unwrap();
        let text = Checkpoint { origin: "annals/x".into(), size, root: [root; 32] }.to_text();
        let signed = format!("{text}\n{}", key.sign(&text, 0));
        (key, signed)
    }

    #[test]
    fn a_note_agrees_with_a_log_that_extends_it_and_says_what_is_wrong_with_others() {
        let (key, text) = note(1, 5, 7);
        let held = HeldNote::read("a.note", &text, Some(key.public())).unwrap();
        assert!(held.is_signed);
        assert_eq!(held.against(9, Some([7; 32]), Some("annals/x")), None);
        let why = |size, root, origin| held.against(size, root, Some(origin)).unwrap().to_string();
        assert!(why(4, None, "annals/x").contains("a.note: it speaks of 5 events, the log has 4"));
        assert!(why(9, Some([8; 32]), "annals/x").contains("not an extension"));
        assert!(why(9, Some([7; 32]), "annals/y").contains("another log"));
    }

    #[test]
    fn only_what_the_key_signed_is_held() {
        let (key, text) = note(1, 5, 7);
        let (stranger, _) = note(2, 5, 7);
        assert!(HeldNote::read("n", &text, Some(stranger.public())).is_err());
        assert!(HeldNote::read("n", &text.replace("\n5\n", "\n6\n"), Some(key.public())).is_err());
        assert!(!HeldNote::read("n", &text, None).unwrap().is_signed);
        let bare = text.split("\n\n").next().unwrap().to_owned() + "\n";
        assert!(HeldNote::read("n", &bare, Some(key.public())).is_err());
        assert!(!HeldNote::read_or_unsigned("n", &bare, Some(key.public())).unwrap().is_signed);
        assert!(HeldNote::read_or_unsigned("n", "a poem\n", None).is_err());
    }
}
