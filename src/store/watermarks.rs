//! How far each part of the store has come. Every number is exclusive: "all events below this".

use std::time::Duration;

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
}

impl Watermarks {
    /// At these marks.
    pub fn new(marks: Marks) -> Watermarks {
        Watermarks { sender: watch::Sender::new(marks), waiting: Mutex::new(()), raised: Condvar::new() }
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

    /// To wait for a change.
    pub fn subscribe(&self) -> watch::Receiver<Marks> {
        self.sender.subscribe()
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
