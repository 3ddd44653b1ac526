//! What is about persons, sealed as an event comes in and opened for those who may see it.
//!
//! Promises: of an event about somebody who can be erased nothing that is about them is stored in clear; a part opens only in
//! the event that it was sealed for, and only if it is what the event's body, and so the log's tree, says it is; once the
//! key of one of those it is about is destroyed it opens for nobody. That a part cannot be opened is told apart: erased, or damaged.

use std::sync::atomic::{AtomicU64, Ordering};

use zeroize::Zeroizing;

use crate::durable;
use crate::event::limits::DEPTH_MAX;
use crate::event::{Event, PartKind, PersonalPart, SealedDigest, Seen, SeenParts, Subject, SubjectTypes};
use crate::json;
use crate::keyring::kek::Secret;
use crate::keyring::part::{self, Place};
use crate::keyring::{self, Keyring, KeyringError};
use crate::log::{Part, Parts, PartsBuf};

/// Members of a part by pointer: the object around them is one more level.
const PART_DEPTH_MAX: usize = DEPTH_MAX + 1;

/// Looks for keys that are not being erased; each erasure takes a sync.
const TRIES: usize = 3;

/// Seals and opens the parts of one log's events.
pub struct Vault {
    keyring: Keyring,
    types: SubjectTypes,
    /// New keys are said to be made no sooner, ms.
    not_before_ms: AtomicU64,
}

/// What is stored of an event beside its body, if something of it is sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// The event's salt: its parts are bound to it.
    pub salt: [u8; 16],
    /// Its parts.
    pub parts: PartsBuf,
    /// What the body says of them.
    pub digests: Vec<SealedDigest>,
}

/// A part, and what was sealed as it.
pub type Plaintext = (PartKind, Zeroizing<Vec<u8>>);

/// Why nothing can be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// No key can be had.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The system has no random bytes.
    #[error("no random bytes to seal with")]
    Random(#[source] std::io::Error),
    /// A key is there and cannot be read.
    #[error("the key of somebody whom an event is about is damaged")]
    Damaged,
    /// More persons than a part has room for; the door lets none of these in.
    #[error("an event is about more persons than can be counted")]
    TooMany,
}

impl Vault {
    /// With the keys of a log; those of these types can be erased.
    pub fn new(keyring: Keyring, types: SubjectTypes) -> Vault {
        Vault { keyring, types, not_before_ms: AtomicU64::new(0) }
    }

    /// The keys.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Who can be erased.
    pub fn types(&self) -> &SubjectTypes {
        &self.types
    }

    /// Whatever the clock says, keys made from now on are said to be made then or later: by that they are told from those that an
    /// erasure destroyed, also if an older keyring is put back.
    pub fn not_before(&self, ms: u64) {
        self.not_before_ms.fetch_max(ms, Ordering::AcqRel);
    }

    /// Seals what was taken out of an event of this tenant. Before what comes back is stored, [`Keyring::sync`] has to have returned.
    ///
    /// # Errors
    /// When there is no key; then the event must not be stored.
    pub fn seal(&self, tenant: &str, personal: &[PersonalPart], now_ms: u64) -> Result<Sealed, SealError> {
        let now_ms = now_ms.max(self.not_before_ms.load(Ordering::Acquire));
        let salt = durable::random().map_err(SealError::Random)?;
        let mut sealed = Sealed { salt, ..Sealed::default() };
        for part in personal {
            sealed.digests.push(self.seal_part(tenant, salt, part, now_ms, &mut sealed.parts)?);
        }
        Ok(sealed)
    }

    fn seal_part(
        &self,
        tenant: &str,
        salt: [u8; 16],
        part: &PersonalPart,
        now_ms: u64,
        parts: &mut PartsBuf,
    ) -> Result<SealedDigest, SealError> {
        let kind = part.kind.as_byte();
        let (keys, key) = self.key_of(tenant, &part.subjects, kind, now_ms)?;
        let place = Place { log_id: self.keyring.log_id(), salt, kind };
        let text = Zeroizing::new(part.members.to_string());
        let sealed = part::seal(&key, &place, text.as_bytes()).map_err(SealError::Random)?;
        parts.push(kind, &keys, &sealed.nonce, &sealed.ciphertext).ok_or(SealError::TooMany)?;
        Ok(SealedDigest { kind: part.kind, digest: sealed.digest })
    }

    /// The keys of these persons, and what they are together.
    fn key_of(
        &self,
        tenant: &str,
        subjects: &[Subject],
        kind: u8,
        now_ms: u64,
    ) -> Result<(Vec<u64>, Secret), SealError> {
        let number =
            |Subject { kind, id }: &Subject| self.keyring.key_for(&keyring::Subject { tenant, kind, id }, now_ms);
        for _ in 0..TRIES {
            let keys = subjects.iter().map(number).collect::<Result<Vec<u64>, _>>()?;
            // None if somebody was erased meanwhile: what comes after that has a new key.
            if let Some(key) = self.keyring.part_key(kind, &keys)? {
                return Ok((keys, key));
            }
        }
        Err(SealError::Damaged)
    }

    /// Puts the sealed parts of an event back into it, as far as they can be opened. Answers what became of each that its body
    /// names; a part that the body does not name is damage of that kind too.
    ///
    /// That a part is erased says the keyring. Whether the log says so too is for `verify` to find out: which keys a part names is no part
    /// of its leaf.
    ///
    /// # Errors
    /// When the keys cannot be read.
    pub fn open(&self, event: &mut Event, salt: [u8; 16], parts: Parts<'_>) -> Result<SeenParts, KeyringError> {
        let mut seen = SeenParts::default();
        for SealedDigest { kind, digest } in event.sealed.clone() {
            let mut of_kind = parts.iter().filter(|part| part.kind == kind.as_byte());
            let what = match (of_kind.next(), of_kind.next()) {
                (Some(part), None) => self.open_part(event, salt, &part, &digest)?,
                _ => Seen::Damaged,
            };
            seen.set(kind, what);
        }
        let is_named = |part: &Part<'_>| event.sealed.iter().any(|sealed| sealed.kind.as_byte() == part.kind);
        if let Some(part) = parts.iter().find(|part| !is_named(part)) {
            seen.set(PartKind::from_byte(part.kind).unwrap_or(PartKind::Content), Seen::Damaged);
        }
        Ok(seen)
    }

    /// Whether somebody whom a part is about was erased, as the keyring has it.
    ///
    /// # Errors
    /// When the keys cannot be read.
    pub fn is_erased(&self, part: &Part<'_>) -> Result<bool, KeyringError> {
        for key in part.keys() {
            if self.keyring.is_erased(key)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What was sealed as these parts, as far as they can be opened: the digests of a body are of these bytes.
    ///
    /// # Errors
    /// When the keys cannot be read.
    pub fn plaintexts(&self, salt: [u8; 16], parts: Parts<'_>) -> Result<Vec<Plaintext>, KeyringError> {
        let mut opened = Vec::new();
        for part in parts.iter() {
            let Some(kind) = PartKind::from_byte(part.kind) else { continue };
            let Some(key) = self.keyring.part_key(part.kind, &part.keys().collect::<Vec<_>>())? else { continue };
            let place = Place { log_id: self.keyring.log_id(), salt, kind: part.kind };
            let plaintext = part::open(&key, &place, part.nonce, part.ciphertext);
            opened.extend(plaintext.map(|opened| (kind, opened.plaintext)));
        }
        Ok(opened)
    }

    fn open_part(
        &self,
        event: &mut Event,
        salt: [u8; 16],
        part: &Part<'_>,
        digest: &[u8; 32],
    ) -> Result<Seen, KeyringError> {
        let keys: Vec<u64> = part.keys().collect();
        let Some(key) = self.keyring.part_key(part.kind, &keys)? else {
            return Ok(if self.is_erased(part)? { Seen::Erased } else { Seen::Damaged });
        };
        let place = Place { log_id: self.keyring.log_id(), salt, kind: part.kind };
        let opened = part::open(&key, &place, part.nonce, part.ciphertext).filter(|opened| opened.digest == *digest);
        let put_back = opened.and_then(|opened| {
            let text = std::str::from_utf8(opened.json()).ok()?;
            event.put_back(json::parse(text, PART_DEPTH_MAX).ok()?).ok()
        });
        Ok(if put_back.is_some() { Seen::Open } else { Seen::Damaged })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::durable::{Disk, OsDisk};
    use crate::keyring::kek::Kek;
    use crate::log::Payload;

    const LOG_ID: [u8; 16] = [7; 16];
    /// About two contacts, done by one of them.
    const OF_TWO: &str = r#"{"id":"1","time":"2026-11-20T13:32:07.412Z","tenant":"acme","actor":{"type":"contact","id":"c_7","name":"secret1"},"action":"contact.updated","outcome":"success","target":{"type":"contact","id":"c_9","name":"secret2"},"changes":[{"field":"phone","before":"secret3","after":"secret4"}],"context":{"ip":"secret5"},"detail":{"deep":{"er":["secret6",1.50]}}}"#;
    const OF_ONE: &str = r#"{"id":"2","time":"2026-11-20T13:32:07.412Z","tenant":"acme","actor":{"type":"user","id":"u_1","name":"Maya"},"action":"contact.viewed","outcome":"success","target":{"type":"contact","id":"c_9","name":"secret7"}}"#;

    /// An event as it lies in a log.
    struct Stored {
        body: String,
        sealed: Sealed,
    }

    struct Fixture {
        vault: Vault,
        dir: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Fixture {
            let dir = tempfile::tempdir().unwrap();
            let disk: Arc<dyn Disk> = Arc::new(OsDisk);
            let kek = Kek::parse("3f".repeat(32).as_bytes(), &LOG_ID).unwrap();
            let keyring = Keyring::open(&*disk, dir.path(), LOG_ID, kek).unwrap();
            Fixture { vault: Vault::new(keyring, SubjectTypes::new(vec!["contact".into()])), dir }
        }

        fn store(&self, body: &str) -> Stored {
            let mut event = Event::from_body(body).unwrap();
            let personal = event.take_personal(self.vault.types());
            let sealed = self.vault.seal(&event.tenant, &personal, 1).unwrap();
            event.sealed.clone_from(&sealed.digests);
            self.vault.keyring().sync().unwrap();
            Stored { body: event.body(), sealed }
        }

        /// The body again, without what says that it was sealed, and what became of the parts.
        fn read(&self, stored: &Stored) -> (String, SeenParts) {
            let mut event = Event::from_body(&stored.body).unwrap();
            let found = self.vault.open(&mut event, stored.sealed.salt, stored.sealed.parts.parts()).unwrap();
            event.sealed.clear();
            (event.body(), found)
        }

        fn erase(&self, id: &str) {
            let subject = keyring::Subject { tenant: "acme", kind: "contact", id };
            let keys = self.vault.keyring().keys_of(&subject).unwrap();
            assert!(!keys.is_empty());
            keys.into_iter().for_each(|key| assert!(self.vault.keyring().erase(key, 2).unwrap()));
        }

        fn keyring_file(&self) -> PathBuf {
            self.dir.path().join(keyring::FILE)
        }
    }

    fn both(seen: Seen) -> SeenParts {
        SeenParts { content: Some(seen), who: Some(seen) }
    }

    fn content(seen: Seen) -> SeenParts {
        SeenParts { content: Some(seen), who: None }
    }

    #[test]
    fn what_is_stored_tells_nothing_and_opens_to_what_was_said() {
        let fixture = Fixture::new();
        for body in [OF_TWO, OF_ONE] {
            let stored = fixture.store(body);
            let mut payload = Vec::new();
            let parts = stored.sealed.parts.parts();
            Payload {
                kind: 1,
                received_ms: 1,
                tenant_seq: 0,
                salt: stored.sealed.salt,
                body: stored.body.as_bytes(),
                parts,
            }
            .encode(&mut payload);
            assert!(!String::from_utf8_lossy(&payload).contains("secret"));
            let (back, found) = fixture.read(&stored);
            assert_eq!(back, body);
            assert!(found.iter().all(|(_, seen)| seen == Seen::Open), "{found:?}");
        }
        let keyring = std::fs::read(fixture.keyring_file()).unwrap();
        assert!(!["secret", "c_9", "acme"].iter().any(|word| String::from_utf8_lossy(&keyring).contains(word)));
    }

    #[test]
    fn an_event_about_nobody_is_left_as_it_is_and_draws_no_key() {
        let fixture = Fixture::new();
        let before = std::fs::metadata(fixture.keyring_file()).unwrap().len();
        let body = OF_ONE.replace("contact", "user");
        let mut event = Event::from_body(&body).unwrap();
        assert!(event.take_personal(fixture.vault.types()).is_empty());
        assert_eq!(event.body(), body);
        assert_eq!(std::fs::metadata(fixture.keyring_file()).unwrap().len(), before);
    }

    #[test]
    fn erasing_any_of_those_it_is_about_erases_a_part_and_nothing_of_the_others() {
        for (erased, who, of_one) in [("c_7", Seen::Erased, Seen::Open), ("c_9", Seen::Open, Seen::Erased)] {
            let fixture = Fixture::new();
            let (of_two, only_c_9) = (fixture.store(OF_TWO), fixture.store(OF_ONE));
            fixture.erase(erased);
            let (body, found) = fixture.read(&of_two);
            assert_eq!(found, SeenParts { who: Some(who), ..content(Seen::Erased) });
            assert_eq!(body.matches("secret").count(), if who == Seen::Open { 2 } else { 0 }, "{body}");
            assert!(body.contains("c_7") && body.contains("c_9") && body.contains("\"field\":\"phone\""));
            assert_eq!(fixture.read(&only_c_9).1, content(of_one));
        }
    }

    #[test]
    fn somebody_who_comes_back_has_a_new_key_and_what_was_erased_stays_so() {
        let fixture = Fixture::new();
        let old = fixture.store(OF_ONE);
        fixture.erase("c_9");
        let new = fixture.store(OF_ONE);
        assert_eq!(fixture.read(&old).1, content(Seen::Erased));
        assert_eq!(fixture.read(&new).0, OF_ONE);
    }

    #[test]
    fn the_same_contact_of_another_tenant_is_somebody_else() {
        let fixture = Fixture::new();
        let other = OF_ONE.replace("acme", "zeta");
        let (ours, theirs) = (fixture.store(OF_ONE), fixture.store(&other));
        fixture.erase("c_9");
        assert_eq!(fixture.read(&ours).1, content(Seen::Erased));
        assert_eq!(fixture.read(&theirs).0, other);
    }

    #[test]
    fn a_part_of_another_event_opens_nowhere_and_one_that_the_body_does_not_bind_is_damage() {
        let fixture = Fixture::new();
        let (stored, again) = (fixture.store(OF_TWO), fixture.store(OF_TWO));
        // The same words, sealed for the same persons.
        let swapped = Stored { body: stored.body.clone(), sealed: again.sealed.clone() };
        assert_eq!(fixture.read(&swapped).1, both(Seen::Damaged), "another salt of the same log");
        let other_body = Stored { body: again.body.clone(), sealed: stored.sealed.clone() };
        assert_eq!(fixture.read(&other_body).1, both(Seen::Damaged), "another digest");
        let gone = Sealed { parts: PartsBuf::default(), ..stored.sealed.clone() };
        assert_eq!(fixture.read(&Stored { body: stored.body.clone(), sealed: gone }).1, both(Seen::Damaged));
        let mut event = Event::from_body(&stored.body).unwrap();
        event.sealed.clear();
        let unbound = Stored { body: event.body(), sealed: stored.sealed.clone() };
        assert_eq!(fixture.read(&unbound).1, content(Seen::Damaged));
        assert!(!fixture.read(&unbound).0.contains("secret"));
        let of_two: Vec<Part<'_>> = stored.sealed.parts.parts().iter().collect();
        let mut twice = PartsBuf::default();
        for part in [of_two[0], of_two[0], of_two[1]] {
            twice.push(part.kind, &part.keys().collect::<Vec<_>>(), part.nonce, part.ciphertext).unwrap();
        }
        for number in [0, 9, 1 << 24, 1 << 57, u64::MAX] {
            let mut made_up = PartsBuf::default();
            made_up.push(of_two[0].kind, &[number], of_two[0].nonce, of_two[0].ciphertext).unwrap();
            let made_up =
                Stored { body: stored.body.clone(), sealed: Sealed { parts: made_up, ..stored.sealed.clone() } };
            assert_eq!(fixture.read(&made_up).1, both(Seen::Damaged), "{number}");
        }
        let twice = Stored { body: stored.body.clone(), sealed: Sealed { parts: twice, ..stored.sealed.clone() } };
        assert_eq!(fixture.read(&twice).1, SeenParts { who: Some(Seen::Open), ..content(Seen::Damaged) });
    }

    #[test]
    fn a_key_that_rotted_is_damage_and_no_erasure() {
        let fixture = Fixture::new();
        let stored = fixture.store(OF_ONE);
        let mut bytes = std::fs::read(fixture.keyring_file()).unwrap();
        let slot = bytes.len() - 100;
        bytes[slot] ^= 1;
        std::fs::write(fixture.keyring_file(), bytes).unwrap();
        assert_eq!(fixture.read(&stored).1, content(Seen::Damaged));
        let personal = Event::from_body(OF_ONE).unwrap().take_personal(fixture.vault.types());
        let sealed = fixture.vault.seal("acme", &personal, 3);
        assert!(matches!(sealed, Err(SealError::Damaged)), "nothing is sealed with a key that nobody can read");
    }
}
