//! Signs the log: at most a second after events became durable, the checkpoint of the log's size is signed and written to
//! HEAD. Durable, then signed, then published: HEAD is what recovery holds the log against and what others are shown.
//!
//! Nothing is signed that does not begin with what was signed last: both are held against the tree's files first.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{error, info};

use crate::clock;
use crate::durable::{self, Disk};
use crate::log::{Head, HeadError, HeadFile};
use crate::seq::Seq;
use crate::store::reserve::Reserve;
use crate::store::watermarks::Watermarks;
use crate::store::worker::Worker;
use crate::tree::files::NOTES;
use crate::tree::proof::verify_consistency;
use crate::tree::tile_reader::TileError;
use crate::tree::{Checkpoint, SignerKey, TileReader};

/// HEAD is written at most this often, and is never further behind than this and one sync.
const INTERVAL: Duration = Duration::from_millis(500);
/// A note of its own is kept this often, for ever: what an auditor wrote down can be found again.
const NOTE_INTERVAL: Duration = Duration::from_secs(3600);
/// The note outside the directory is renewed at most this often: each time costs two syncs there.
const LAST_NOTE_INTERVAL: Duration = Duration::from_secs(10);

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
    worker: Worker,
    /// Guards one text, for moments.
    fault: Arc<Mutex<Option<String>>>,
}

impl Publisher {
    /// Starts the thread.
    pub fn start(mut desk: Desk, is_poisoned: Arc<watch::Sender<bool>>) -> io::Result<Publisher> {
        let fault = desk.fault.clone();
        let worker = Worker::start("publisher", move |stop| {
            loop {
                let is_last = stop.is_set();
                let published = desk.publish(is_last);
                if let Err(why) = &published {
                    error!("the log could not be signed: {why}");
                    // A failed sync, here or under an append, stops the whole log: the next try says so. Nobody else may
                    // notice while nothing is appended. A write that failed is only tried again.
                    if matches!(why, PublishError::Head(HeadError::Stopped)) {
                        is_poisoned.send_replace(true);
                    }
                }
                *desk.fault.lock() = published.err().and_then(|why| why.fault());
                if is_last {
                    return;
                }
                stop.wait(INTERVAL);
            }
        })?;
        Ok(Publisher { worker, fault })
    }

    /// Why nothing is signed at the moment, if so.
    pub fn fault(&self) -> Option<String> {
        self.fault.lock().clone()
    }

    /// Publishes the last size and ends the thread.
    pub fn stop(&self) {
        self.worker.stop();
    }
}

/// Why nothing was signed or published.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    /// The log is not an extension of what was signed last. It is never signed over.
    #[error(
        "the log of {size} events does not begin with the {signed} events that were signed last; nothing more is signed. Keep the directory as it is and have it verified"
    )]
    NotAnExtension {
        /// The size signed last.
        signed: Seq,
        /// The size to be signed.
        size: Seq,
    },
    /// Somebody outside remembers another log.
    #[error("{0}")]
    Disputed(String),
    /// The tree cannot be read, so nothing can be held against it.
    #[error(transparent)]
    Tree(#[from] TileError),
    /// HEAD could not be written.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// A note could not be kept.
    #[error("cannot keep a note in {dir}")]
    Note {
        /// Where.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl PublishError {
    /// What to tell who asks whether the server can do its work. Without a note it can: the checkpoint is in HEAD.
    fn fault(&self) -> Option<String> {
        match self {
            PublishError::NotAnExtension { .. }
            | PublishError::Disputed(_)
            | PublishError::Tree(_)
            | PublishError::Head(_) => Some(format!("the log cannot be signed: {self}")),
            PublishError::Note { .. } => None,
        }
    }
}

/// What the publisher works with.
pub struct Desk {
    /// Where checkpoints go.
    pub head: Arc<HeadFile>,
    /// Signs them.
    pub key: SignerKey,
    /// What they are held against.
    pub tree: Arc<TileReader>,
    /// How far the log is.
    pub tip: Arc<Tip>,
    /// Raised as checkpoints are published.
    pub marks: Arc<Watermarks>,
    /// Where notes are kept.
    pub disk: Arc<dyn Disk>,
    /// The data directory.
    pub dir: PathBuf,
    /// A file elsewhere with the newest checkpoint.
    pub last_note: Option<PathBuf>,
    /// Room for notes on a full disk.
    pub reserve: Arc<Reserve>,
    /// Why nothing is signed. Guards one text, for moments.
    pub fault: Arc<Mutex<Option<String>>>,
    /// Why nothing may be signed. Guards one text, for moments.
    pub dispute: Arc<Mutex<Option<String>>>,
    /// When the last hourly note was kept, and of which size.
    pub noted: (Instant, Option<Seq>),
    /// The same for the note elsewhere.
    pub last_noted: (Option<Instant>, Option<Seq>),
}

impl Desk {
    fn publish(&mut self, is_last: bool) -> Result<(), PublishError> {
        let (size, root) = self.tip.get();
        let latest = self.head.latest();
        if latest.as_ref().is_none_or(|latest| latest.size < size || !self.has_signed(latest)) {
            if let Some(why) = self.dispute.lock().clone() {
                return Err(PublishError::Disputed(why));
            }
            self.check_extension(latest.as_ref(), size, &root)?;
            let text = Checkpoint { origin: self.key.public().name().to_owned(), size: size.0, root }.to_text();
            let note = format!("{text}\n{}", self.key.sign(&text, clock::now_ms() / 1_000));
            self.head.write(&note)?;
            self.marks.raise(|marks| marks.signed = marks.signed.max(size));
        }
        self.keep_notes(is_last)
    }

    fn has_signed(&self, head: &Head) -> bool {
        Checkpoint::verified(&head.checkpoint, self.key.public()).is_ok()
    }

    /// The tree files must hold what was signed and what is to be signed, and the one must begin with the other.
    fn check_extension(&self, latest: Option<&Head>, size: Seq, root: &[u8; 32]) -> Result<(), PublishError> {
        let Some(latest) = latest.filter(|latest| latest.size > Seq::ZERO) else {
            return Ok(());
        };
        let is_extension = match self.tree.consistency(latest.size.0, size.0)? {
            Some(proof) => verify_consistency(latest.size.0, size.0, &latest.root, root, &proof),
            None => false,
        };
        match is_extension {
            true => Ok(()),
            false => Err(PublishError::NotAnExtension { signed: latest.size, size }),
        }
    }

    fn keep_notes(&mut self, is_last: bool) -> Result<(), PublishError> {
        let Some(latest) = self.head.latest().filter(|latest| latest.size > Seq::ZERO) else {
            return Ok(());
        };
        let (noted_at, noted) = self.noted;
        if noted.is_none() || (noted != Some(latest.size) && noted_at.elapsed() >= NOTE_INTERVAL) {
            let dir = self.dir.join(NOTES);
            let keep = || {
                self.disk.create_dir(&dir)?;
                durable::replace(&*self.disk, &dir, &note_name(latest.size), latest.checkpoint.as_bytes())
            };
            let kept = match keep() {
                Err(error) if durable::is_full(&error) && self.reserve.release() => keep(),
                kept => kept,
            };
            kept.map_err(|source| PublishError::Note { dir, source })?;
            self.noted = (Instant::now(), Some(latest.size));
            info!("kept the signed checkpoint of {} events in {NOTES}/", latest.size);
        }
        let (noted_at, noted) = self.last_noted;
        let is_due = is_last || noted_at.is_none_or(|at| at.elapsed() >= LAST_NOTE_INTERVAL);
        if let Some(path) = self.last_note.as_ref().filter(|_| is_due && noted != Some(latest.size)) {
            replace_at(&*self.disk, path, latest.checkpoint.as_bytes())
                .map_err(|source| PublishError::Note { dir: path.clone(), source })?;
            self.last_noted = (Some(Instant::now()), Some(latest.size));
        }
        Ok(())
    }
}

/// `checkpoints/4711.note`
fn note_name(size: Seq) -> String {
    format!("{size}.note")
}

/// The size of the newest note that is kept in the data directory.
pub fn newest_note(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Seq>> {
    let names = match disk.list(&dir.join(NOTES)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        names => names?,
    };
    let size = |name: &String| name.strip_suffix(".note")?.parse().ok().map(Seq);
    Ok(names.iter().filter_map(size).max())
}

fn replace_at(disk: &dyn Disk, path: &Path, data: &[u8]) -> io::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it has no file name"))?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    durable::replace(disk, dir, name, data)
}
