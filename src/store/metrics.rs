//! What the store counts about itself. Rendered by `api::metrics`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the histogram of sync times, in microseconds.
pub const SYNC_BOUNDS_US: [u64; 10] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 1_000_000];

/// Counters of the write path.
#[derive(Default)]
pub struct StoreMetrics {
    /// Events appended since the start.
    pub events: AtomicU64,
    /// Bytes of frames appended since the start.
    pub bytes: AtomicU64,
    /// Batches (one sync each) since the start.
    pub batches: AtomicU64,
    /// Sum of the times of write and sync, µs.
    pub sync_us: AtomicU64,
    /// Batches by time, one counter per bound and one above them all.
    pub sync_buckets: [AtomicU64; SYNC_BOUNDS_US.len() + 1],
    /// Bytes free on the disk when last looked at.
    pub space_free: AtomicU64,
    /// Bytes that must stay free.
    pub space_floor: AtomicU64,
}

impl StoreMetrics {
    /// A batch was written and synced.
    pub fn batch(&self, events: u64, bytes: u64, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = SYNC_BOUNDS_US.iter().position(|bound| us <= *bound).unwrap_or(SYNC_BOUNDS_US.len());
        self.events.fetch_add(events, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.batches.fetch_add(1, Relaxed);
        self.sync_us.fetch_add(us, Relaxed);
        self.sync_buckets[bucket].fetch_add(1, Relaxed);
    }

    /// The disk was looked at.
    pub fn set_space(&self, free: u64, floor: u64) {
        self.space_free.store(free, Relaxed);
        self.space_floor.store(floor, Relaxed);
    }
}
