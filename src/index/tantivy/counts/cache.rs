//! What was computed over pieces, kept within a number of bytes; what was not asked for longest goes first.
//!
//! A piece never changes and its id is never used again, so nothing kept here can be wrong. Nothing kept here holds a
//! piece: what belongs to a piece that is gone is not asked for any more, and makes room.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ::tantivy::DocId;
use lru::LruCache;
use parking_lot::Mutex;

use super::scope::Grid;
use crate::query::FacetField;

/// How counting spends memory and cores; tests use small numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountLimits {
    /// Bytes of what is kept for later questions. Default 64 MiB.
    pub cache_bytes_max: usize,
    /// Nothing is kept of smaller pieces, documents: those of the hot index live for moments and are quick to look at
    /// again. Default 4,096.
    pub piece_docs_min: DocId,
    /// Facets are kept by blocks of so many documents: what an edge of a time range cuts is counted again. Default 65,536.
    pub block_docs: DocId,
    /// From this many documents on all cores work on a question, each on so many at a time; handing work over costs
    /// some ten µs. Default 131,072.
    pub shared_docs_min: DocId,
}

impl Default for CountLimits {
    fn default() -> CountLimits {
        CountLimits { cache_bytes_max: 64 << 20, piece_docs_min: 4_096, block_docs: 65_536, shared_docs_min: 131_072 }
    }
}

/// One thing may take this part of all the room; more of it would push out everything else.
const LARGEST_PART: usize = 4;
/// What a key and its place in the table take, roughly, beside the texts of filters.
const KEY_BYTES: usize = 160;

/// What something was computed over, and what it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// `Piece::id`.
    pub piece: u64,
    /// What it is.
    pub of: Of,
}

/// What is kept of a piece. Filters are named by their canonical text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Of {
    /// `Docs`: the documents from `start` to `end` that match.
    Docs { filter: Arc<str>, start: DocId, end: DocId },
    /// `Lists`: how often each value of the field occurs, by block, among the documents that match all the filters.
    Lists { filters: Arc<[Arc<str>]>, field: FacetField, grid: Grid },
    /// `Terms`: the values of the field.
    Terms(FacetField),
    /// `Newest`: the newest document with each value.
    Newest(FacetField),
}

/// What is kept now, and how often that helped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Bytes kept.
    pub bytes: usize,
    /// Answers that were there.
    pub hits: u64,
    /// Answers that had to be computed.
    pub misses: u64,
}

/// Shared by all views of a store.
pub struct CountCache {
    limits: CountLimits,
    /// Guards what is kept; held to look one thing up or put it in, never while it is computed.
    kept: Mutex<Kept>,
    hits: AtomicU64,
    misses: AtomicU64,
}

struct Kept {
    entries: LruCache<Key, Entry>,
    bytes: usize,
}

struct Entry {
    value: Arc<dyn Any + Send + Sync>,
    bytes: usize,
}

impl CountCache {
    /// Nothing kept yet.
    pub fn new(limits: CountLimits) -> CountCache {
        let kept = Kept { entries: LruCache::unbounded(), bytes: 0 };
        CountCache { limits, kept: Mutex::new(kept), hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// How it was set up.
    pub fn limits(&self) -> &CountLimits {
        &self.limits
    }

    /// How it does.
    pub fn stats(&self) -> CacheStats {
        let bytes = self.kept.lock().bytes;
        CacheStats { bytes, hits: self.hits.load(Relaxed), misses: self.misses.load(Relaxed) }
    }

    /// What is kept under `key`.
    pub(super) fn get<T: Any + Send + Sync>(&self, key: &Key) -> Option<Arc<T>> {
        let value = self.kept.lock().entries.get(key)?.value.clone();
        self.hits.fetch_add(1, Relaxed);
        Some(value.downcast().expect("each kind of key has values of one type"))
    }

    /// Keeps what had to be computed.
    pub(super) fn put<T: Any + Send + Sync>(&self, key: Key, value: Arc<T>, bytes: usize) {
        self.misses.fetch_add(1, Relaxed);
        let bytes = bytes + key.bytes();
        if bytes > self.limits.cache_bytes_max / LARGEST_PART {
            return;
        }
        let mut kept = self.kept.lock();
        kept.bytes += bytes;
        let old = kept.entries.put(key, Entry { value, bytes });
        kept.bytes -= old.map_or(0, |old| old.bytes);
        while kept.bytes > self.limits.cache_bytes_max {
            let Some((_, oldest)) = kept.entries.pop_lru() else {
                return;
            };
            kept.bytes -= oldest.bytes;
        }
    }
}

impl Key {
    fn bytes(&self) -> usize {
        KEY_BYTES
            + match &self.of {
                Of::Docs { filter, .. } => filter.len(),
                Of::Lists { filters, .. } => filters.iter().map(|filter| size_of_val(filter) + filter.len()).sum(),
                Of::Terms(_) | Of::Newest(_) => 0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(piece: u64) -> Key {
        Key { piece, of: Of::Docs { filter: "maya".into(), start: 0, end: 9 } }
    }

    #[test]
    fn what_was_not_asked_for_longest_makes_room() {
        let room = 3 * (1_000 + key(0).bytes());
        let cache = CountCache::new(CountLimits { cache_bytes_max: room + room / 2, ..CountLimits::default() });
        for piece in 0..4 {
            cache.put(key(piece), Arc::new(piece), 1_000);
            assert!(cache.get::<u64>(&key(0)).is_some());
        }
        assert_eq!(cache.get::<u64>(&key(4)), None);
        cache.put(key(4), Arc::new(4_u64), 1_000);
        assert_eq!(cache.get::<u64>(&key(1)), None);
        assert_eq!(cache.get::<u64>(&key(0)).as_deref(), Some(&0));
        assert_eq!(cache.get::<u64>(&key(4)).as_deref(), Some(&4));
        let stats = cache.stats();
        assert!(stats.bytes <= room + room / 2 && stats.misses == 5, "{stats:?}");
    }

    #[test]
    fn the_same_thing_twice_is_counted_once_and_nothing_takes_all_the_room() {
        let cache = CountCache::new(CountLimits { cache_bytes_max: 10_000, ..CountLimits::default() });
        cache.put(key(0), Arc::new(0_u64), 1_000);
        cache.put(key(0), Arc::new(0_u64), 1_000);
        assert_eq!(cache.stats().bytes, 1_000 + key(0).bytes());
        cache.put(key(1), Arc::new(1_u64), 9_000);
        assert_eq!(cache.get::<u64>(&key(1)), None);
        assert!(cache.get::<u64>(&key(0)).is_some());
    }
}
