//! The thread that seals finished segments: one at a time, oldest first, behind everything else that wants the processor.
//!
//! It hinders nobody: appends go to another file, readers change over when the sealed file has proved to hold the same,
//! and a failure leaves the `.log` where it was, to be tried again. What it proves is the business of `log`; that the events
//! are the ones in the tree is looked up here.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tracing::warn;

use crate::durable::Disk;
use crate::index::source::Source;
use crate::log::{FrameType, SealError, SegmentInfo};
use crate::seq::Seq;
use crate::store::leaves::Leaves;
use crate::store::watermarks::Watermarks;
use crate::store::worker::{Stop, Worker, panic_text, step_back};
use crate::tree::TileReader;

/// A look at the table of segments, which costs nothing; a finished segment can wait that long.
const LOOK: Duration = Duration::from_millis(200);
/// After a failure the same segment is tried again this much later, then after twice as long each time, up to an hour: a
/// disk that is full may be cleared soon, a segment that does not match its tree will not match it in a minute.
const RETRY: Duration = Duration::from_secs(60);
const RETRY_MAX: Duration = Duration::from_secs(3600);

/// The sealer thread, from outside. Dropping it ends the thread.
pub struct Sealer {
    worker: Worker,
    #[cfg(test)]
    tools: Arc<Tools>,
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

impl Sealer {
    /// Starts the thread.
    pub fn start(tools: Tools) -> io::Result<Sealer> {
        let tools = Arc::new(tools);
        let seen = tools.clone();
        let worker = Worker::start("sealer", move |stop| seen.run(stop))?;
        Ok(Sealer {
            worker,
            #[cfg(test)]
            tools,
        })
    }

    /// Seals the oldest segment at once, after the thread was stopped.
    #[cfg(test)]
    pub fn seal_next(&self) -> Result<(), String> {
        let segment = self.tools.log.next().ok_or("nothing is there to be sealed")?;
        self.tools.seal(&segment, &AtomicBool::new(false)).map_err(|error| error.to_string())
    }

    /// Ends the thread soon: what it has begun is removed.
    pub fn stop(&self) {
        self.worker.stop();
    }
}

impl Tools {
    fn run(&self, stop: &Stop) {
        step_back();
        let mut retry = RETRY;
        while !stop.is_set() {
            let Some(segment) = self.log.next() else {
                stop.wait(LOOK);
                continue;
            };
            let why = match catch_unwind(AssertUnwindSafe(|| self.seal(&segment, stop.flag()))) {
                Ok(Ok(())) => {
                    retry = RETRY;
                    let sealed = self.source.reader().sealed();
                    self.marks.raise(|marks| marks.sealed = marks.sealed.max(sealed));
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
            stop.wait(retry);
            retry = (retry * 2).min(RETRY_MAX);
        }
    }

    fn seal(&self, segment: &SegmentInfo, stop: &AtomicBool) -> Result<(), NotSealed> {
        self.check_room(segment)?;
        let mut leaves = Leaves::new(&self.tree, segment.end);
        let mut is_the_leaf = |seq: Seq, frame_type: FrameType, payload: &[u8]| leaves.check(seq, frame_type, payload);
        Ok(self.log.seal(segment.first, stop, &mut is_the_leaf)?)
    }

    /// Sealing gives back more than it takes, so it may go below the room that appends must leave, which is when it helps
    /// most. It takes no more than the `.log` has, and leaves as much again to everybody else.
    fn check_room(&self, segment: &SegmentInfo) -> Result<(), NotSealed> {
        // Not knowing is no reason to wait: a full disk shows itself at the write.
        let Ok(space) = self.disk.space(&self.dir) else { return Ok(()) };
        let wanted = segment.bytes.saturating_mul(2);
        match space.free < wanted {
            true => Err(NotSealed::NoRoom { free: space.free, wanted }),
            false => Ok(()),
        }
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
