//! How far each part of the store has come. Every number is exclusive: "all events below this".

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde::Serialize;
use tokio::sync::watch;

use crate::seq::Seq;

/// How far each part of the store has come; all events below the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Marks {
    /// Synced to disk, hence acknowledged.
    pub durable: Seq,
    /// Found by every search.
    pub searchable: Seq,
    /// In sealed segments: compressed, and compared with the tree.
    pub sealed: Seq,
    /// Covered by the signed checkpoint in HEAD.
    pub signed: Seq,
}

/// The watermarks, for all threads. They only rise.
pub struct Watermarks {
    sender: watch::Sender<Marks>,
    /// For threads, which cannot await: guards nothing, taken only to wait and to wake.
    waiting: Mutex<()>,
    raised: Condvar,
    /// Answers that are held up until what is durable is found.
    hurried: AtomicUsize,
}

/// An answer that is held up, until dropped.
struct Hurry<'a>(&'a Watermarks);

impl Drop for Hurry<'_> {
    fn drop(&mut self) {
        self.0.hurried.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Watermarks {
    /// At these marks.
    pub fn new(marks: Marks) -> Watermarks {
        Watermarks {
            sender: watch::Sender::new(marks),
            waiting: Mutex::new(()),
            raised: Condvar::new(),
            hurried: AtomicUsize::new(0),
        }
    }

    /// Now.
    pub fn get(&self) -> Marks {
        *self.sender.borrow()
    }

    /// Raises some of them; who waits is woken if any really rose.
    pub fn raise(&self, change: impl FnOnce(&mut Marks)) {
        self.sender.send_if_modified(|marks| {
            let before = *marks;
            change(marks);
            debug_assert!(before.durable <= marks.durable && before.searchable <= marks.searchable);
            before != *marks
        });
        self.wake();
    }

    /// Whoever has looked at what changed, and found that it must wait, waits by now.
    fn wake(&self) {
        drop(self.waiting.lock());
        self.raised.notify_all();
    }

    /// Blocks until an event at or above `seq` is durable, at most `timeout`.
    pub fn wait_durable_above(&self, seq: Seq, timeout: Duration) {
        let mut waiting = self.waiting.lock();
        if self.get().durable <= seq {
            self.raised.wait_for(&mut waiting, timeout);
        }
    }

    /// Whether an answer is held up until what is durable is found.
    pub fn is_hurried(&self) -> bool {
        self.hurried.load(Ordering::Acquire) > 0
    }

    /// Blocks until then, or until an answer is held up.
    pub fn wait_unless_hurried(&self, end: Instant) {
        let mut waiting = self.waiting.lock();
        while !self.is_hurried() && !self.raised.wait_until(&mut waiting, end).timed_out() {}
    }

    /// To wait for a change.
    pub fn subscribe(&self) -> watch::Receiver<Marks> {
        self.sender.subscribe()
    }

    /// As `searchable`, for events that are durable: whoever makes them searchable is told to make haste.
    pub async fn searchable_soon(&self, seq: Seq) {
        self.hurried.fetch_add(1, Ordering::AcqRel);
        let _hurry = Hurry(self);
        self.wake();
        self.searchable(seq).await;
    }

    /// Returns once everything below `seq` is searchable.
    pub async fn searchable(&self, seq: Seq) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.subscribe().wait_for(|marks| marks.searchable >= seq).await;
    }

    /// Returns once everything below `seq` is signed.
    pub async fn signed(&self, seq: Seq) {
        // As above.
        let _ = self.subscribe().wait_for(|marks| marks.signed >= seq).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn an_answer_that_is_held_up_wakes_who_takes_its_time_and_is_forgotten_when_it_gives_up() {
        let marks = Arc::new(Watermarks::new(Marks { durable: Seq(2), searchable: Seq(1), ..Marks::default() }));
        let end = Instant::now() + Duration::from_secs(60);
        let (began, has_begun) = std::sync::mpsc::channel();
        let indexer = std::thread::spawn({
            let marks = marks.clone();
            move || {
                began.send(()).unwrap();
                marks.wait_unless_hurried(end);
                let was_woken = marks.is_hurried() && Instant::now() < end;
                marks.raise(|marks| marks.searchable = Seq(2));
                was_woken
            }
        });
        has_begun.recv().unwrap();
        // Most likely it waits by now.
        std::thread::sleep(Duration::from_millis(20));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            marks.searchable_soon(Seq(2)).await;
            assert!(indexer.join().unwrap());
            assert!(!marks.is_hurried());
            let given_up = tokio::time::timeout(Duration::ZERO, marks.searchable_soon(Seq(3))).await;
            assert!(given_up.is_err() && !marks.is_hurried());
        });
    }
}
