//! Writes HEAD: at most a second after events became durable, the checkpoint of the log's size. This is what recovery
//! holds the log against, so it never speaks of more than is durable.
//!
//! The checkpoint has the three lines of a C2SP tlog-checkpoint. It is not signed yet; see README.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;
use tracing::error;

use crate::log::{HeadError, HeadFile};
use crate::seq::Seq;
use crate::store::watermarks::Watermarks;

/// HEAD is written at most this often, and is never further behind than this and one sync.
const INTERVAL: Duration = Duration::from_millis(500);

/// The size of the log and the root at that size, as of the last sync.
pub struct Tip {
    /// Guards the pair, for one read or write.
    tip: Mutex<(Seq, [u8; 32])>,
}

impl Tip {
    /// At this size and root.
    pub fn new(size: Seq, root: [u8; 32]) -> Tip {
        Tip { tip: Mutex::new((size, root)) }
    }

    /// A batch became durable.
    pub fn set(&self, size: Seq, root: [u8; 32]) {
        *self.tip.lock() = (size, root);
    }

    fn get(&self) -> (Seq, [u8; 32]) {
        *self.tip.lock()
    }
}

/// The publisher thread, from outside.
pub struct Publisher {
    stop: Arc<Stop>,
    /// Guards the thread until `stop` takes it.
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Stop {
    is_stopping: AtomicBool,
    /// Guards nothing; taken to wait and to wake.
    waiting: Mutex<()>,
    woken: Condvar,
}

impl Publisher {
    /// Starts the thread.
    pub fn start(
        head: Arc<HeadFile>,
        log_id: [u8; 16],
        tip: Arc<Tip>,
        marks: Arc<Watermarks>,
        is_poisoned: Arc<watch::Sender<bool>>,
    ) -> io::Result<Publisher> {
        let stop = Arc::new(Stop::default());
        let seen = stop.clone();
        let run = move || {
            loop {
                let is_last = seen.is_stopping.load(Ordering::Acquire);
                if let Err(error) = publish(&head, &log_id, &tip, &marks) {
                    error!("HEAD could not be written: {error}");
                    // A failed sync, here or under an append, stops the whole log: the next try says so. Nobody else may
                    // notice while nothing is appended. A write that failed is only tried again.
                    if matches!(error, HeadError::Stopped) {
                        is_poisoned.send_replace(true);
                    }
                }
                if is_last {
                    return;
                }
                let mut waiting = seen.waiting.lock();
                if !seen.is_stopping.load(Ordering::Acquire) {
                    seen.woken.wait_for(&mut waiting, INTERVAL);
                }
            }
        };
        let thread = thread::Builder::new().name("publisher".into()).spawn(run)?;
        Ok(Publisher { stop, thread: Mutex::new(Some(thread)) })
    }

    /// Publishes the last size and ends the thread.
    pub fn stop(&self) {
        self.stop.is_stopping.store(true, Ordering::Release);
        drop(self.stop.waiting.lock());
        self.stop.woken.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            error!("the publisher thread had panicked");
        }
    }
}

fn publish(head: &HeadFile, log_id: &[u8; 16], tip: &Tip, marks: &Watermarks) -> Result<(), HeadError> {
    let (size, root) = tip.get();
    if head.latest().is_some_and(|latest| latest.size >= size) {
        return Ok(());
    }
    let mut origin = String::from("annals/");
    crate::event::row::push_hex(log_id, &mut origin);
    let checkpoint = format!("{origin}\n{size}\n{}\n", STANDARD.encode(root));
    head.write(&checkpoint)?;
    marks.raise(|marks| marks.signed = marks.signed.max(size));
    Ok(())
}
