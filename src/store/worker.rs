//! A thread of our own that works in rounds, waits in between, and ends soon after it is asked to.

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::process::setpriority_process;
use rustix::thread::gettid;
use tracing::error;

/// What the thread looks at: whether it was asked to end.
#[derive(Default)]
pub struct Stop {
    is_set: AtomicBool,
    /// Guards nothing; taken to wait and to wake.
    waiting: Mutex<()>,
    woken: Condvar,
}

impl Stop {
    /// Whether the thread was asked to end.
    pub fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    /// The same, for rooms below that only look.
    pub fn flag(&self) -> &AtomicBool {
        &self.is_set
    }

    /// Waits so long, or until the thread is asked to end.
    pub fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        let mut waiting = self.waiting.lock();
        while !self.is_set() && !self.woken.wait_until(&mut waiting, end).timed_out() {}
    }

    fn set(&self) {
        self.is_set.store(true, Ordering::Release);
        // Who is about to wait looks at the flag under the lock, so it cannot miss the call.
        drop(self.waiting.lock());
        self.woken.notify_all();
    }
}

/// The thread, from outside. Dropping it ends the thread.
pub struct Worker {
    name: &'static str,
    stop: Arc<Stop>,
    /// Guards the thread until `stop` takes it.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    /// Starts a thread of this name.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn start(name: &'static str, run: impl FnOnce(&Stop) + Send + 'static) -> io::Result<Worker> {
        let stop = Arc::new(Stop::default());
        let seen = stop.clone();
        let thread = thread::Builder::new().name(name.into()).spawn(move || run(&seen))?;
        Ok(Worker { name, stop, thread: Mutex::new(Some(thread)) })
    }

    /// Asks the thread to end and waits until it has.
    pub fn stop(&self) {
        self.stop.set();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            error!("the {} thread had panicked", self.name);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// How much the threads that tidy up step back behind those that somebody waits for.
const NICE: i32 = 10;

/// The calling thread steps back behind those that somebody waits for. Where the system does not allow it, they compete;
/// nothing is wrong with that.
pub fn step_back() {
    let _ = setpriority_process(Some(gettid()), NICE);
}

/// What a caught panic said.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it did not say why")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_thread_ends_at_once_and_only_once() {
        let rounds = Arc::new(Mutex::new(0));
        let counted = rounds.clone();
        let worker = Worker::start("waits", move |stop| {
            while !stop.is_set() {
                *counted.lock() += 1;
                // Longer than any test: only being woken ends it.
                stop.wait(Duration::from_secs(86_400));
            }
        })
        .unwrap();
        worker.stop();
        worker.stop();
        assert!(*rounds.lock() <= 1);
    }

    #[test]
    fn a_wait_ends_by_itself() {
        Stop::default().wait(Duration::from_millis(1));
    }
}
