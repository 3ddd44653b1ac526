//! Who signed in on the page: a random text in the visitor's cookie; here, by its hash, whose key was shown and until when that
//! counts. Kept in memory: a restart signs everybody out.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::durable;
use crate::event::row::push_hex;

/// Sessions at a time; the one that was not used longest goes first.
const SESSIONS_MAX: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");
/// Who does nothing for so long is signed out, ms.
pub const IDLE_MS: u64 = 60 * 60 * 1000;
/// And after so long everybody is, ms.
pub const LIFE_MS: u64 = 12 * 60 * 60 * 1000;
/// Bytes of chance in the text.
const TEXT_BYTES: usize = 32;

struct Session {
    key_id: Arc<str>,
    began_ms: u64,
    seen_ms: u64,
}

/// All sessions.
pub struct Sessions {
    /// By the hash of the text. Held to look one up or change one.
    by_hash: Mutex<LruCache<[u8; 32], Session>>,
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions { by_hash: Mutex::new(LruCache::new(SESSIONS_MAX)) }
    }
}

impl Sessions {
    /// Begins a session of the key with this id. The text goes into the cookie and is nowhere else.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn begin(&self, key_id: Arc<str>, now_ms: u64) -> io::Result<String> {
        let mut text = String::new();
        push_hex(&durable::random::<TEXT_BYTES>()?, &mut text);
        self.by_hash.lock().put(hash(&text), Session { key_id, began_ms: now_ms, seen_ms: now_ms });
        Ok(text)
    }

    /// The id of the key that this session is of, if it still counts. Being looked up keeps it alive.
    pub fn key_id(&self, text: &str, now_ms: u64) -> Option<Arc<str>> {
        let hash = hash(text);
        let mut by_hash = self.by_hash.lock();
        let session = by_hash.get_mut(&hash)?;
        if now_ms >= session.began_ms + LIFE_MS || now_ms >= session.seen_ms + IDLE_MS {
            by_hash.pop(&hash);
            return None;
        }
        session.seen_ms = session.seen_ms.max(now_ms);
        Some(session.key_id.clone())
    }

    /// Ends a session; from now on its text is worth nothing.
    pub fn end(&self, text: &str) {
        self.by_hash.lock().pop(&hash(text));
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_counts_until_it_is_idle_old_or_ended() {
        let sessions = Sessions::default();
        let begin = |now_ms| sessions.begin("key_a".into(), now_ms).unwrap();
        let text = begin(0);
        assert_eq!(sessions.key_id(&text, IDLE_MS - 1).as_deref(), Some("key_a"));
        assert_eq!(sessions.key_id(&text, 2 * IDLE_MS - 2).as_deref(), Some("key_a"), "it was used in between");
        assert_eq!(sessions.key_id(&text, 4 * IDLE_MS), None);
        assert_eq!(sessions.key_id(&text, 0), None, "gone is gone");

        let used = begin(0);
        let mut now_ms = 0;
        while now_ms + IDLE_MS / 2 < LIFE_MS {
            now_ms += IDLE_MS / 2;
            assert!(sessions.key_id(&used, now_ms).is_some(), "{now_ms}");
        }
        assert_eq!(sessions.key_id(&used, LIFE_MS), None, "however it is used");

        let (ended, other) = (begin(0), begin(0));
        sessions.end(&ended);
        assert_eq!(sessions.key_id(&ended, 1), None);
        assert!(sessions.key_id(&other, 1).is_some() && ended != other);
        assert_eq!(sessions.key_id("", 1), None);
    }

    #[test]
    fn however_many_sign_in_memory_is_bounded() {
        let sessions = Sessions::default();
        let first = sessions.begin("key_a".into(), 0).unwrap();
        for _ in 0..SESSIONS_MAX.get() {
            sessions.begin("key_b".into(), 0).unwrap();
        }
        assert_eq!(sessions.key_id(&first, 0), None);
        assert_eq!(sessions.by_hash.lock().len(), SESSIONS_MAX.get());
    }
}
