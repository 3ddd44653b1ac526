//! Who signed in on the page: a random text in the visitor's cookie; here, by its hash, whose key was shown or who it is, and until
//! when that counts. Kept in memory: a restart signs everybody out.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

use super::caller::Caller;
use crate::durable;
use crate::event::row::hex;
use crate::hash::Sha256;

/// Sessions at a time; the one that was not used longest goes first.
const SESSIONS_MAX: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");
/// Sessions of one key or person at a time, likewise: nobody can sign others out by signing in.
const SESSIONS_EACH_MAX: usize = 100;
/// Who does nothing for so long is signed out, ms.
pub const IDLE_MS: u64 = 60 * 60 * 1000;
/// And after so long everybody is, ms.
pub const LIFE_MS: u64 = 12 * 60 * 60 * 1000;
/// Bytes of chance in the text.
const TEXT_BYTES: usize = 32;

/// Names a session without being worth anything: the hash of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 32]);

/// Who is in a session.
#[derive(Clone, Debug)]
pub enum Holder {
    /// Whoever holds the key of this id, with what it may do at the moment.
    Key(Arc<str>),
    /// A person, with what they might do when they came.
    Person(Arc<Caller>),
}

impl Holder {
    fn is(&self, other: &Holder) -> bool {
        match (self, other) {
            (Holder::Key(one), Holder::Key(other)) => one == other,
            (Holder::Person(one), Holder::Person(other)) => one.who().id() == other.who().id(),
            (Holder::Key(_), Holder::Person(_)) | (Holder::Person(_), Holder::Key(_)) => false,
        }
    }
}

struct Session {
    holder: Holder,
    began_ms: u64,
    seen_ms: u64,
}

/// All sessions.
pub struct Sessions {
    /// By the hash of the text. Held to look one up or change one.
    by_hash: Mutex<LruCache<SessionId, Session>>,
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions { by_hash: Mutex::new(LruCache::new(SESSIONS_MAX)) }
    }
}

impl Sessions {
    /// Begins a session. The text goes into the cookie and is nowhere else.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn begin(&self, holder: Holder, now_ms: u64) -> io::Result<String> {
        let text = hex(&durable::random::<TEXT_BYTES>()?);
        let mut by_hash = self.by_hash.lock();
        // The one that was used last comes first.
        let own = by_hash.iter().filter(|(_, session)| session.holder.is(&holder));
        if let Some(id) = own.map(|(id, _)| *id).nth(SESSIONS_EACH_MAX - 1) {
            by_hash.pop(&id);
        }
        by_hash.put(id_of(&text), Session { holder, began_ms: now_ms, seen_ms: now_ms });
        Ok(text)
    }

    /// The session of this text and who is in it, if it still counts. A click keeps it alive; what a page
    /// asks for by itself does not.
    pub fn find(&self, text: &str, is_click: bool, now_ms: u64) -> Option<(SessionId, Holder)> {
        let id = id_of(text);
        let mut by_hash = self.by_hash.lock();
        let session = by_hash.get_mut(&id)?;
        if session.is_over(now_ms) {
            by_hash.pop(&id);
            return None;
        }
        if is_click {
            session.seen_ms = session.seen_ms.max(now_ms);
        }
        Some((id, session.holder.clone()))
    }

    /// Whether it still counts, for what goes on by itself.
    pub fn stands(&self, id: SessionId, now_ms: u64) -> bool {
        self.by_hash.lock().peek(&id).is_some_and(|session| !session.is_over(now_ms))
    }

    /// Ends a session; from now on its text is worth nothing.
    pub fn end(&self, text: &str) {
        self.by_hash.lock().pop(&id_of(text));
    }
}

impl Session {
    fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.began_ms + LIFE_MS || now_ms >= self.seen_ms + IDLE_MS
    }
}

fn id_of(text: &str) -> SessionId {
    SessionId(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_counts_until_it_is_idle_old_or_ended() {
        let sessions = Sessions::default();
        let begin = |now_ms| sessions.begin(Holder::Key("key_a".into()), now_ms).unwrap();
        let key_id = |text: &str, now_ms| match sessions.find(text, true, now_ms)? {
            (_, Holder::Key(key_id)) => Some(key_id),
            (_, Holder::Person(person)) => panic!("a session of {person:?}"),
        };
        let text = begin(0);
        assert_eq!(key_id(&text, IDLE_MS - 1).as_deref(), Some("key_a"));
        assert_eq!(key_id(&text, 2 * IDLE_MS - 2).as_deref(), Some("key_a"), "it was used in between");
        assert_eq!(key_id(&text, 4 * IDLE_MS), None);
        assert_eq!(key_id(&text, 0), None, "gone is gone");

        let used = begin(0);
        let mut now_ms = 0;
        while now_ms + IDLE_MS / 2 < LIFE_MS {
            now_ms += IDLE_MS / 2;
            assert!(key_id(&used, now_ms).is_some(), "{now_ms}");
        }
        assert_eq!(key_id(&used, LIFE_MS), None, "however it is used");

        // What a page asks by itself does not keep it alive, and what goes on is over with it.
        let watched = begin(0);
        let (id, _) = sessions.find(&watched, false, IDLE_MS - 1).unwrap();
        assert!(sessions.stands(id, IDLE_MS - 1) && !sessions.stands(id, IDLE_MS));
        assert!(sessions.find(&watched, false, IDLE_MS).is_none());

        let (ended, other) = (begin(0), begin(0));
        sessions.end(&ended);
        assert_eq!(key_id(&ended, 1), None);
        assert!(key_id(&other, 1).is_some() && ended != other);
        assert_eq!(key_id("", 1), None);
    }

    #[test]
    fn however_many_sign_in_memory_is_bounded() {
        let sessions = Sessions::default();
        let first = sessions.begin(Holder::Key("key_a".into()), 0).unwrap();
        for n in 0..SESSIONS_MAX.get() {
            sessions.begin(Holder::Key(format!("key_{n}").into()), 0).unwrap();
        }
        assert!(sessions.find(&first, true, 0).is_none());
        assert_eq!(sessions.by_hash.lock().len(), SESSIONS_MAX.get());
    }

    #[test]
    fn however_often_one_signs_in_the_others_stay() {
        let sessions = Sessions::default();
        let begin = |key: &str, now_ms| sessions.begin(Holder::Key(key.into()), now_ms).unwrap();
        let other = begin("key_b", 0);
        let own: Vec<String> = (0..SESSIONS_MAX.get() as u64).map(|now_ms| begin("key_a", now_ms)).collect();
        let counts = |text: &String| sessions.find(text, false, 10_000).is_some();
        assert!(counts(&other));
        let kept: Vec<bool> = own.iter().map(counts).collect();
        assert_eq!(kept.iter().filter(|kept| **kept).count(), SESSIONS_EACH_MAX);
        assert!(kept.ends_with(&[true; SESSIONS_EACH_MAX]), "the newest");
    }
}
