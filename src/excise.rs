//! Cuts the content of single entries out of a data directory for good, while no server runs on it: for what was written in clear and may
//! not be kept. Of the entry its place, its leaf and with it every proof stay; an entry of our own says who it was that is gone, and why.
//!
//! First everything is tried that can be without writing. Then, in this order, so that a crash leaves what can be gone on with: a mark
//! with all that is to be done; the entries that say so; the segments; the index; the mark is removed. What is done is not done again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::backup::{EXCISED as LAST, EXCISING as MARK};
use crate::clock;
use crate::durable::{self, Disk, read_small};
use crate::event::row::hex;
use crate::event::{Entry, Kind, Object};
use crate::index::source::Source;
use crate::index::tantivy::span::{self, Place, SpanError};
use crate::index::{EngineError, Within};
use crate::json::Json;
use crate::log::{self, CutError, OpenError, Options, Trusting};
use crate::repair::cut::{bytes_needed, cut_segments};
use crate::seq::Seq;
use crate::store::own::{Own, number};
use crate::store::{AppendError, Store, Verdict};
use crate::verify::excised::{EXCISED, EXCISED_HASH, EXCISED_SEQ, Uncut};

/// A mark of [`ENTRIES_MAX`] entries.
const MARK_BYTES_MAX: u64 = 1 << 20;
/// Most entries that are cut out at once.
pub const ENTRIES_MAX: usize = 1_000;
/// Longest reason, in bytes.
pub const REASON_BYTES_MAX: usize = 4_096;
/// A log without an index has its ids read first: a second for half a million events.
const IDS_TIME_MAX: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_millis(50);

/// Why entries were not cut out, or not yet.
#[derive(Debug, thiserror::Error)]
pub enum ExciseError {
    /// There is no such entry.
    #[error("there is no entry {seq}: the log has {size}")]
    NotThere {
        /// What was asked for.
        seq: Seq,
        /// Entries there are.
        size: Seq,
    },
    /// Other entries, or keys, are held against it.
    #[error("entry {seq} ({action}) is one of our own that others are verified by, and stays")]
    Ours {
        /// What was asked for.
        seq: Seq,
        /// What it says was done.
        action: String,
    },
    /// It was done before.
    #[error("the content of entry {seq} was cut out before")]
    Before {
        /// What was asked for.
        seq: Seq,
    },
    /// Nothing can be entered.
    #[error("nothing can be entered in the log: {0}")]
    Refused(AppendError),
    /// There is no room to write a file again beside itself.
    #[error("it takes {needed} bytes of disk, {free} are free")]
    NoRoom {
        /// What a segment and a part of the index take.
        needed: u64,
        /// What there is.
        free: u64,
    },
    /// The log could not be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The log could not be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The entries that say so could not be entered.
    #[error("it could not be entered in the log: {0}")]
    Entering(String),
    /// A segment.
    #[error("cannot cut out of {path}")]
    Cut {
        /// Its file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: CutError,
    },
    /// The index.
    #[error("cannot write the index again")]
    Index(#[from] SpanError),
    /// Another file.
    #[error("{path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excision {
    /// Which entries, each with the id of the one that will say so.
    entries: Vec<(Seq, String)>,
    reason: String,
    time_ms: u64,
    /// Parts of the index that are done.
    #[serde(default)]
    spans: Vec<String>,
}

impl Excision {
    /// The entries.
    pub fn seqs(&self) -> impl Iterator<Item = Seq> + use<'_> {
        self.entries.iter().map(|(seq, _)| *seq)
    }

    /// The same for people.
    pub fn named(&self) -> String {
        self.seqs().map(|seq| seq.to_string()).collect::<Vec<_>>().join(", ")
    }

    fn save(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        durable::replace(disk, dir, MARK, &serde_json::to_vec(self).expect("a mark is plain data"))
    }
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Each entry, and the one that says so.
    pub entries: Vec<Uncut>,
    /// Files of the log that were written again.
    pub segments: usize,
    /// Parts of the index that were.
    pub spans: usize,
    /// Files that we keep and never change, which may have some of the content still.
    pub quarantined: Vec<PathBuf>,
}

/// The entries, if all of them can be cut out.
///
/// # Errors
/// Which cannot, and why.
pub fn look(store: &Store, seqs: &[Seq]) -> Result<Vec<Entry>, ExciseError> {
    if let Some(refusal) = store.refusal() {
        return Err(ExciseError::Refused(refusal.clone()));
    }
    let size = store.marks().durable;
    let entry = |seq: &Seq| {
        if *seq >= size {
            return Err(ExciseError::NotThere { seq: *seq, size });
        }
        let (entry, is_cut_out) = store.source().with_row(*seq, |row| (row.entry(), row.is_stand_in))?;
        let entry = entry?;
        match entry.kind {
            _ if is_cut_out => Err(ExciseError::Before { seq: *seq }),
            Kind::Event | Kind::Own => Ok(entry),
            Kind::Erasure | Kind::Control => Err(ExciseError::Ours { seq: *seq, action: entry.event.action }),
        }
    };
    seqs.iter().map(entry).collect()
}

/// What was begun and is not finished, if anything.
///
/// # Errors
/// When the mark cannot be read.
pub fn begun(disk: &dyn Disk, dir: &Path) -> Result<Option<Excision>, ExciseError> {
    let path = dir.join(MARK);
    match read_small(disk, &path, MARK_BYTES_MAX) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| at(&path)(io::Error::other(error))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(&path)(error)),
    }
}

/// Tries what can be tried, then says, durably, what is to be done. From here on it will be, by [`finish`]. Nothing may be begun; the
/// caller holds the directory's LOCK.
///
/// # Errors
/// When it could not be done; then nothing is begun.
pub fn begin(disk: &dyn Disk, dir: &Path, seqs: &[Seq], reason: &str) -> Result<Excision, ExciseError> {
    let needed = bytes_needed(disk, dir, seqs).map_err(at(&dir.join("log")))?;
    let index_dir = dir.join("index");
    let needed = needed + if index_dir.is_dir() { span::bytes_needed(&index_dir, seqs)? } else { 0 };
    let free = disk.space(dir).map_err(at(dir))?.free;
    if free < needed {
        return Err(ExciseError::NoRoom { needed, free });
    }
    // Who will say so is not known yet.
    let entries: Vec<Uncut> = seqs.iter().map(|seq| (*seq, *seq)).collect();
    let tried = cut_segments(disk, dir, &entries, true, &mut |_| {}).map_err(at(&dir.join("log")))?;
    if let Some((path, source)) = tried.failed.into_iter().next() {
        return Err(ExciseError::Cut { path, source });
    }
    let id = |seq: &Seq| (*seq, format!("excise-{seq}-{}", uuid::Uuid::now_v7()));
    let entries = seqs.iter().map(id).collect();
    let excision = Excision { entries, reason: reason.to_owned(), time_ms: clock::now_ms(), spans: Vec::new() };
    excision.save(disk, dir).map_err(at(&dir.join(MARK)))?;
    Ok(excision)
}

/// Does what was begun, in the directory of this store, which is closed for it.
///
/// # Errors
/// When something cannot be done; what can be is, and the mark stays, so that it can be gone on with.
pub fn finish(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    excision: &Excision,
    store: Store,
    progress: &mut dyn FnMut(&str),
) -> Result<Done, ExciseError> {
    let entered = enter(&store, excision);
    // Closing writes what is in memory into spans, which are looked at below.
    store.close();
    drop(store);
    cut(disk, dir, excision, entered?, progress)
}

/// The entries that say so: each is entered once, since its id is known.
fn enter(store: &Store, excision: &Excision) -> Result<Vec<Uncut>, ExciseError> {
    let begun = Instant::now();
    while !store.ids_ready() && begun.elapsed() < IDS_TIME_MAX {
        thread::sleep(LOOK);
    }
    let mut entries = Vec::new();
    for (seq, id) in &excision.entries {
        let entry = store.source().entry(*seq)?;
        let detail = Json::Object(vec![
            (EXCISED_SEQ.into(), number(seq.0)),
            (EXCISED_HASH.into(), Json::String(hex(&entry.hash))),
        ]);
        let target = Object { kind: Some("entry".into()), id: Some(seq.to_string()), name: None };
        let own = Own {
            tenant: entry.event.tenant,
            target: Some(target),
            reason: Some(excision.reason.clone()),
            time_ms: Some(excision.time_ms.cast_signed()),
            id: Some(id.clone()),
            ..Own::of_server(EXCISED, detail)
        };
        match store.enter(own).map_err(ExciseError::Entering)?.first() {
            Some(Verdict::Stored(receipt)) => entries.push((*seq, receipt.seq)),
            _ => return Err(ExciseError::Entering(format!("the id {id} is taken"))),
        }
    }
    Ok(entries)
}

fn cut(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    excision: &Excision,
    entries: Vec<Uncut>,
    progress: &mut dyn FnMut(&str),
) -> Result<Done, ExciseError> {
    let lock_path = dir.join("LOCK");
    let _lock = disk.lock(&lock_path).map_err(|error| at(&lock_path)(io::Error::other(error)))?;
    let mut say = |path: &Path| progress(&format!("writing {} again", path.display()));
    let segments = cut_segments(&**disk, dir, &entries, false, &mut say).map_err(at(&dir.join("log")))?;
    progress("writing the index again");
    let spans = index_again(disk, dir, excision.clone())?;
    if let Some((path, source)) = segments.failed.into_iter().next() {
        return Err(ExciseError::Cut { path, source });
    }
    let quarantine = dir.join("quarantine");
    let quarantined = match disk.list(&quarantine) {
        Ok(names) => names.iter().map(|name| quarantine.join(name)).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(at(&quarantine)(error)),
    };
    let last = excision.entries.last().map_or("", |(_, id)| id);
    durable::replace(&**disk, dir, LAST, last.as_bytes()).map_err(at(&dir.join(LAST)))?;
    let mark = dir.join(MARK);
    disk.remove(&mark).and_then(|()| disk.sync_dir(dir)).map_err(at(&mark))?;
    Ok(Done { entries, segments: segments.written, spans, quarantined })
}

fn index_again(disk: &Arc<dyn Disk>, dir: &Path, mut excision: Excision) -> Result<usize, ExciseError> {
    // It was read through when the store was opened, and each segment that was written again was read back.
    let opened = log::open(disk.clone(), dir, &Options { read_only: true, ..Options::default() }, &mut Trusting)?;
    let (index_dir, old) = (dir.join("index"), dir.join("index.old"));
    if old.is_dir() {
        std::fs::remove_dir_all(&old).map_err(at(&old))?;
    }
    if !index_dir.is_dir() {
        return Ok(0);
    }
    let mut seqs: Vec<Seq> = excision.seqs().collect();
    seqs.sort_unstable();
    let place = Place { disk: &**disk, index_dir: &index_dir };
    let (end, before) = (Within::below(opened.report.size).to, excision.spans.clone());
    let mut spans = 0;
    let mut made = |name| {
        spans += 1;
        excision.spans.push(name);
        excision.save(&**disk, dir)
    };
    span::make_again(place, &Source::new(opened.reader), &seqs, end, &before, &mut made)?;
    Ok(spans)
}

fn at(path: &Path) -> impl Fn(io::Error) -> ExciseError + use<> {
    let path = path.to_owned();
    move |source| ExciseError::Io { path: path.clone(), source }
}
