//! Who may do what: keys with scopes, a tenant, a restriction and an end, and what each of their holders sees.
//!
//! Promises: a secret is never kept, only its hash, and compared in constant time; what a key may not do it may not do from
//! the moment its revocation was answered; no caller can widen what it sees ([`Caller::sight`]). How a key travels in a request
//! is the matter of the rooms above.

pub mod caller;
pub mod failures;
pub mod folds;
pub mod keys;
pub mod looks;
pub mod rates;
pub mod restriction;
pub mod scope;
pub mod secret;
pub mod sessions;
pub mod viewers;

use std::hash::Hash;
use std::num::NonZeroUsize;

use lru::LruCache;

pub use caller::{Caller, Who};
pub use failures::{Attempt, Failure, failures};
pub use folds::{Folds, Told};
pub use keys::{Draft, Key, KeyError, Keys, Refused, is_text};
pub use looks::{Look, looks};
pub use rates::{Limits, Measure, Rates, Standing, Stranger};
pub use restriction::Restriction;
pub use scope::{Scope, Scopes};
pub use secret::{KeyText, NotAKey};
pub use sessions::{Holder, SessionId, Sessions};
pub use viewers::{Viewer, ViewerDraft};

/// A table of at most so many, which takes its memory as they come.
fn table<K: Hash + Eq, V>(most: NonZeroUsize) -> LruCache<K, V> {
    let mut table = LruCache::unbounded();
    table.resize(most);
    table
}
