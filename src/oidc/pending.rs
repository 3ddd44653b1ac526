//! Sign-ins that have begun and not ended: what the browser must come back with, kept here and known by a hash.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lru::LruCache;
use parking_lot::Mutex;
use subtle::ConstantTimeEq;

use crate::durable;
use crate::hash::Sha256;

/// Whoever takes longer begins again, ms.
pub const SIGN_IN_MS: u64 = 10 * 60 * 1000;
/// Sign-ins at a time; the oldest goes first.
pub const PENDING_MAX: usize = 10_000;
/// What all of them may take, mostly the addresses to come back to, bytes; the oldest goes first.
pub const PENDING_BYTES_MAX: usize = 16 << 20;
/// What one takes besides its texts, about.
const ENTRY_BYTES: usize = 512;
/// Bytes of chance in each of the texts: 43 characters, which is also the least that a verifier may have.
const CHANCE_BYTES: usize = 32;

type Hash = [u8; 32];

/// One sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// What the token must repeat.
    pub nonce: String,
    /// What proves to the provider that whoever asked is who comes with the code.
    pub verifier: String,
    /// Where the browser was told to come back.
    pub redirect_uri: String,
    /// What is shown afterwards.
    pub to: String,
}

struct Kept {
    begun: Begun,
    /// The hash of the browser's text.
    browser: Hash,
    began_ms: u64,
}

impl Kept {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.begun.to.len() + self.begun.redirect_uri.len()
    }
}

struct Table {
    /// By the hash of the state.
    by_state: LruCache<Hash, Kept>,
    bytes: usize,
}

/// All of them.
pub struct Pending {
    /// Held to put one in or take one out.
    table: Mutex<Table>,
}

impl Default for Pending {
    fn default() -> Pending {
        Pending { table: Mutex::new(Table { by_state: LruCache::unbounded(), bytes: 0 }) }
    }
}

/// A text that nobody guesses.
///
/// # Errors
/// When the system has no random bytes.
pub fn chance() -> io::Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(durable::random::<CHANCE_BYTES>()?))
}

fn hash(text: &str) -> Hash {
    Sha256::digest(text)
}

impl Pending {
    /// Begins one for the browser that has this text; answers its state and what is kept of it.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn begin(&self, browser: &str, redirect_uri: String, to: String, now_ms: u64) -> io::Result<(String, Begun)> {
        let state = chance()?;
        let begun = Begun { nonce: chance()?, verifier: chance()?, redirect_uri, to };
        let kept = Kept { begun: begun.clone(), browser: hash(browser), began_ms: now_ms };
        let mut table = self.table.lock();
        table.bytes += kept.bytes();
        table.by_state.put(hash(&state), kept);
        while table.by_state.len() > PENDING_MAX || table.bytes > PENDING_BYTES_MAX {
            let Some((_, oldest)) = table.by_state.pop_lru() else { break };
            table.bytes -= oldest.bytes();
        }
        Ok((state, begun))
    }

    /// The sign-in of this state, if this browser began it and not too long ago. It is given once.
    pub fn take(&self, state: &str, browser: &str, now_ms: u64) -> Option<Begun> {
        let state = hash(state);
        let mut table = self.table.lock();
        let is_theirs: bool = table.by_state.peek(&state)?.browser.ct_eq(&hash(browser)).into();
        if !is_theirs {
            // Whose it is may still come.
            return None;
        }
        let kept = table.by_state.pop(&state)?;
        table.bytes -= kept.bytes();
        (now_ms < kept.began_ms + SIGN_IN_MS).then_some(kept.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(pending: &Pending, browser: &str, to: &str, now_ms: u64) -> (String, Begun) {
        pending.begin(browser, "http://127.0.0.1/x".into(), to.into(), now_ms).unwrap()
    }

    #[test]
    fn a_sign_in_ends_once_in_the_browser_that_began_it_and_in_time() {
        let pending = Pending::default();
        let (state, begun) = begin(&pending, "mine", "?q=a", 5);
        assert_eq!(pending.take(&state, "theirs", 6), None);
        assert_eq!(pending.take("", "mine", 6), None);
        assert_eq!(pending.take(&state, "mine", 6), Some(begun), "a foreign browser has not used it up");
        assert_eq!(pending.take(&state, "mine", 6), None, "only once");

        let (late, _) = begin(&pending, "mine", "", 5);
        assert_eq!(pending.take(&late, "mine", 5 + SIGN_IN_MS), None);
        assert_eq!(pending.take(&late, "mine", 6), None, "gone is gone");
        let (just, begun) = begin(&pending, "mine", "", 5);
        assert_eq!(pending.take(&just, "mine", 4 + SIGN_IN_MS), Some(begun));
        assert_eq!(pending.table.lock().bytes, 0);
    }

    #[test]
    fn each_text_is_another() {
        let pending = Pending::default();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100 {
            let (state, begun) = begin(&pending, "mine", "", 0);
            for text in [state, begun.nonce, begun.verifier] {
                assert_eq!(text.len(), 43);
                assert!(seen.insert(text));
            }
        }
    }

    #[test]
    fn however_many_begin_memory_is_bounded_and_the_oldest_goes_first() {
        let pending = Pending::default();
        let (first, _) = begin(&pending, "mine", "", 0);
        for _ in 0..PENDING_MAX {
            begin(&pending, "theirs", "", 0);
        }
        assert_eq!(pending.table.lock().by_state.len(), PENDING_MAX);
        assert_eq!(pending.take(&first, "mine", 1), None);
        let (last, _) = begin(&pending, "mine", "", 0);
        assert!(pending.take(&last, "mine", 1).is_some());

        let to = "x".repeat(16 << 10);
        for _ in 0..3_000 {
            begin(&pending, "theirs", &to, 0);
        }
        let table = pending.table.lock();
        assert!(table.bytes <= PENDING_BYTES_MAX && table.by_state.len() > 900, "{}", table.by_state.len());
        assert_eq!(table.bytes, table.by_state.iter().map(|(_, kept)| kept.bytes()).sum::<usize>());
    }
}
