//! Which event already has this `(tenant, id)`? Answered from the id files of spans, and from memory for the events
//! that no span holds yet. Answers are candidates, confirmed in the log by whoever asks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::index::tantivy::span::Span;
use crate::seq::Seq;
use crate::uniform::ByUniform;

/// Events kept together in memory, at least; a run is dropped as a whole once spans hold all of it.
const RUN_EVENTS_MIN: usize = 32_768;
/// A run may also grow to this part of all events in memory. When indexing is millions of events behind there are then
/// some tens of runs to look into for each event, not hundreds.
const RUN_PART: usize = 4;

/// Hashes of a run of events.
struct Run {
    last: Seq,
    seqs: ByUniform<Seq>,
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
        let is_full = |run: &Run| {
            run.seqs.len() >= RUN_EVENTS_MIN
                && run.seqs.len() >= runs.iter().map(|run| run.seqs.len()).sum::<usize>() / RUN_PART
        };
        if runs.last().is_none_or(is_full) {
            runs.push(Run { last: seq, seqs: ByUniform::default(), more: Vec::new() });
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

    /// For each of these ids the events that may have it. All are looked for in one span before the next, in the order in
    /// which it has them: its filter is then in the processor's cache for all but the first.
    pub fn candidates(&self, hashes: &[u64]) -> io::Result<Vec<Vec<Seq>>> {
        let mut found = vec![Vec::new(); hashes.len()];
        let mut order: Vec<usize> = (0..hashes.len()).collect();
        order.sort_unstable_by_key(|index| hashes[*index]);
        // Runs first: what is in none of them any more is in a span by now.
        for run in self.runs.lock().iter() {
            for (hash, found) in hashes.iter().zip(&mut found) {
                found.extend(run.seqs.get(hash));
                found.extend(run.more.iter().filter(|(other, _)| other == hash).map(|(_, seq)| *seq));
            }
        }
        for span in self.spans.load().iter() {
            for index in &order {
                found[*index].extend(span.ids.candidates(hashes[*index])?);
            }
        }
        for found in &mut found {
            found.sort_unstable();
            found.dedup();
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spread like SHA-256, and none twice.
    fn hash(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn however_many_events_wait_for_their_span_few_runs_hold_them_and_each_is_found() {
        const EVENTS: u64 = 2_000_000;
        let ids = Ids::new(Arc::default());
        for n in 0..EVENTS {
            ids.insert(hash(n), Seq(n));
        }
        assert!(ids.runs.lock().len() < 25, "{} runs", ids.runs.lock().len());
        for n in (0..EVENTS).step_by(997) {
            assert_eq!(ids.candidates(&[hash(n)]).unwrap(), [[Seq(n)]]);
        }
        let several = ids.candidates(&[hash(3), hash(EVENTS), hash(1)]).unwrap();
        assert_eq!(several, [vec![Seq(3)], vec![], vec![Seq(1)]], "each at its place");
        ids.forget_below(Seq(EVENTS - 1));
        assert_eq!(ids.candidates(&[hash(EVENTS - 1)]).unwrap(), [[Seq(EVENTS - 1)]], "no span holds this one");
        assert!(ids.candidates(&[hash(0)]).unwrap()[0].is_empty());
        ids.insert(hash(7), Seq(EVENTS));
        ids.insert(hash(7), Seq(EVENTS + 1));
        assert_eq!(ids.candidates(&[hash(7)]).unwrap(), [[Seq(EVENTS), Seq(EVENTS + 1)]]);
    }
}
