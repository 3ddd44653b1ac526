//! The thread that seals finished segments: one at a time, oldest first, behind everything else that wants the processor.
//!
//! It hinders nobody: appends go to another file, readers change over when the sealed file has proved to hold the same,
//! and a failure leaves the `.log` where it was, to be tried again. What it proves is the business of `log`; that the events
//! are the ones in the tree is looked up here.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::process::setpriority_process;
use rustix::thread::gettid;
use tracing::{error, warn};

use crate::durable::Disk;
use crate::index::source::{Source, leaf_hash_of};
use crate::log::{FrameType, SealError, SegmentInfo, VisitError};
use crate::seq::Seq;
use crate::store::watermarks::Watermarks;
use crate::tree::tiles::TILE_HASHES;
use crate::tree::{Hash, TileReader};

/// A look at the table of segments, which costs nothing; a finished segment can wait that long.
const LOOK: Duration = Duration::from_millis(200);
/// After a failure the same segment is tried again this much later, then after twice as long each time, up to an hour: a
/// disk that is full may be cleared soon, a segment that does not match its tree will not match it in a minute.
const RETRY: Duration = Duration::from_secs(60);
const RETRY_MAX: Duration = Duration::from_secs(3600);
/// How much it steps back behind those who serve people: as the merger does.
const NICE: i32 = 10;

/// The sealer thread, from outside. Dropping it ends the thread.
pub struct Sealer {
    shared: Arc<Shared>,
    /// Guards the thread until `stop` takes it.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread works with.
pub struct Tools {
    /// Makes a `.seg` of a `.log`.
    pub log: crate::log::Sealer,
    /// Says how far the log is sealed.
    pub source: Source,
    /// The leaves that the events must have.
    pub tree: Arc<TileReader>,
    /// `sealed` is raised here.
    pub marks: Arc<Watermarks>,
    /// Tells how much room is left.
    pub disk: Arc<dyn Disk>,
    /// The data directory.
    pub dir: PathBuf,
}

struct Shared {
    tools: Tools,
    is_stopping: AtomicBool,
    /// Guards nothing; taken to wait and to wake.
    waiting: Mutex<()>,
    woken: Condvar,
}

impl Sealer {
    /// Starts the thread.
    pub fn start(tools: Tools) -> io::Result<Sealer> {
        let shared = Arc::new(Shared {
            tools,
            is_stopping: AtomicBool::new(false),
            waiting: Mutex::default(),
            woken: Condvar::new(),
        });
        let seen = shared.clone();
        let thread = thread::Builder::new().name("sealer".into()).spawn(move || seen.run())?;
        Ok(Sealer { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Seals the oldest segment at once, after the thread was stopped.
    #[cfg(test)]
    pub fn seal_next(&self) -> Result<(), String> {
        self.shared.is_stopping.store(false, Ordering::Release);
        let segment = self.shared.tools.log.next().ok_or("nothing is there to be sealed")?;
        self.shared.seal(&segment).map_err(|error| error.to_string())
    }

    /// Ends the thread soon: what it has begun is removed.
    pub fn stop(&self) {
        self.shared.is_stopping.store(true, Ordering::Release);
        drop(self.shared.waiting.lock());
        self.shared.woken.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            error!("the sealer thread had panicked");
        }
    }
}

impl Drop for Sealer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn run(&self) {
        // Where the system does not allow it, sealing competes with everything else; nothing is wrong with that.
        let _ = setpriority_process(Some(gettid()), NICE);
        let mut retry = RETRY;
        while !self.is_stopping() {
            let Some(segment) = self.tools.log.next() else {
                self.wait(LOOK);
                continue;
            };
            let why = match catch_unwind(AssertUnwindSafe(|| self.seal(&segment))) {
                Ok(Ok(())) => {
                    retry = RETRY;
                    let sealed = self.tools.source.reader().sealed();
                    self.tools.marks.raise(|marks| marks.sealed = marks.sealed.max(sealed));
                    continue;
                }
                Ok(Err(NotSealed::Log(SealError::Stopped { .. }))) => return,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => format!("it panicked: {}", panic_text(&*panic)),
            };
            warn!(
                segment = %segment.first,
                "segment {} stays a .log, sealing it is tried again in {} s: {why}",
                segment.first,
                retry.as_secs()
            );
            self.wait(retry);
            retry = (retry * 2).min(RETRY_MAX);
        }
    }

    fn seal(&self, segment: &SegmentInfo) -> Result<(), NotSealed> {
        self.check_room(segment)?;
        let mut leaves = Leaves { tree: &self.tools.tree, end: segment.end, tile: None };
        let mut is_the_leaf = |seq: Seq, frame_type: FrameType, payload: &[u8]| leaves.check(seq, frame_type, payload);
        Ok(self.tools.log.seal(segment.first, &self.is_stopping, &mut is_the_leaf)?)
    }

    /// Sealing gives back more than it takes, so it may go below the room that appends must leave, which is when it helps
    /// most. It takes no more than the `.log` has, and leaves as much again to everybody else.
    fn check_room(&self, segment: &SegmentInfo) -> Result<(), NotSealed> {
        // Not knowing is no reason to wait: a full disk shows itself at the write.
        let Ok(space) = self.tools.disk.space(&self.tools.dir) else { return Ok(()) };
        let wanted = segment.bytes.saturating_mul(2);
        match space.free < wanted {
            true => Err(NotSealed::NoRoom { free: space.free, wanted }),
            false => Ok(()),
        }
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        let mut waiting = self.waiting.lock();
        while !self.is_stopping() && !self.woken.wait_until(&mut waiting, end).timed_out() {}
    }
}

/// Why a segment was not sealed.
#[derive(Debug, thiserror::Error)]
enum NotSealed {
    #[error("{free} bytes of the disk are free, {wanted} are wanted for it")]
    NoRoom { free: u64, wanted: u64 },
    #[error(transparent)]
    Log(#[from] SealError),
}

/// Holds events against `tree/L0`, a tile at a time.
struct Leaves<'a> {
    tree: &'a TileReader,
    /// The tree is read up to here.
    end: Seq,
    /// The tile at hand: its number and its hashes.
    tile: Option<(u64, Vec<Hash>)>,
}

impl Leaves<'_> {
    fn check(&mut self, seq: Seq, frame_type: FrameType, payload: &[u8]) -> Result<(), VisitError> {
        let leaf = match frame_type {
            FrameType::Event => leaf_hash_of(seq, payload).map_err(|e| VisitError::Corrupt(e.to_string()))?,
            // Nobody writes EXCISED frames yet; a start refuses them too.
            FrameType::Excised | FrameType::Commit | FrameType::Seal => {
                return Err(VisitError::Corrupt(format!(
                    "a {frame_type:?} frame stands where event {seq} is expected"
                )));
            }
        };
        let in_tree = self.in_tree(seq)?;
        match leaf == in_tree {
            true => Ok(()),
            false => Err(VisitError::Corrupt(format!("the leaf of event {seq} is not the one in tree/L0"))),
        }
    }

    fn in_tree(&mut self, seq: Seq) -> Result<Hash, VisitError> {
        let number = seq.0 / TILE_HASHES;
        let tile = match self.tile.take().filter(|(known, _)| *known == number) {
            Some(tile) => tile,
            None => {
                let width = (self.end.0 - number * TILE_HASHES).min(TILE_HASHES);
                let hashes = self.tree.tile(0, number, width).map_err(|error| VisitError::Failed(Box::new(error)))?;
                (number, hashes)
            }
        };
        Ok(self.tile.insert(tile).1[(seq.0 % TILE_HASHES) as usize])
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it did not say why")
}
