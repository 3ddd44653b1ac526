//! Which event already has this `(tenant, id)`? Answered from the id files of spans, and from memory for the events
//! that no span holds yet. Answers are candidates, confirmed in the log by whoever asks.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::index::tantivy::span::Span;
use crate::seq::Seq;

/// Events kept together in memory; a run is dropped as a whole once spans hold all of it.
const RUN_EVENTS_MAX: usize = 32_768;

/// The hashes are already uniform: hashing them again would only cost time.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Hashes of a run of events.
struct Run {
    last: Seq,
    seqs: HashMap<u64, Seq, BuildHasherDefault<Identity>>,
    /// Further events of a hash that `seqs` has already: the same id under two tenants of one hash, so hardly ever any.
    more: Vec<(u64, Seq)>,
}

/// All ids of the log.
pub struct Ids {
    spans: Arc<ArcSwap<Vec<Arc<Span>>>>,
    /// Guards the runs for one lookup or one insertion at a time; the writer thread is nearly their only user.
    runs: Mutex<Vec<Run>>,
    is_ready: AtomicBool,
}

impl Ids {
    /// Looks into the spans of `spans`, whatever these are at the time.
    pub fn new(spans: Arc<ArcSwap<Vec<Arc<Span>>>>) -> Ids {
        Ids { spans, runs: Mutex::new(Vec::new()), is_ready: AtomicBool::new(false) }
    }

    /// Whether every event is known. Until then events with their own id cannot be taken.
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    /// Every event is known from now on.
    pub fn set_ready(&self) {
        self.is_ready.store(true, Ordering::Release);
    }

    /// Adds an event.
    pub fn insert(&self, hash: u64, seq: Seq) {
        let mut runs = self.runs.lock();
        if runs.last().is_none_or(|run| run.seqs.len() >= RUN_EVENTS_MAX) {
            runs.push(Run { last: seq, seqs: HashMap::default(), more: Vec::new() });
        }
        let run = runs.last_mut().expect("one was just made");
        run.last = run.last.max(seq);
        if let Some(other) = run.seqs.insert(hash, seq) {
            run.more.push((hash, other));
        }
    }

    /// Forgets runs that spans hold entirely: everything below `end` is in a span.
    pub fn forget_below(&self, end: Seq) {
        self.runs.lock().retain(|run| run.last >= end);
    }

    /// Events that may have this id.
    pub fn candidates(&self, hash: u64) -> io::Result<Vec<Seq>> {
        let mut found = Vec::new();
        for run in self.runs.lock().iter() {
            found.extend(run.seqs.get(&hash));
            found.extend(run.more.iter().filter(|(other, _)| *other == hash).map(|(_, seq)| *seq));
        }
        for span in self.spans.load().iter() {
            found.extend(span.ids.candidates(hash)?);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}
