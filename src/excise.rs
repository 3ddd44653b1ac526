//! Cuts the content of single entries out of a data directory for good, while no server runs on it: for what was written in clear and may
//! not be kept. Of the entry its place, its leaf and with it every proof stay; an entry of our own says who it was that is gone, and why.
//!
//! In this order, so that a crash leaves what can be gone on with: a mark with all that is to be done; the entries that say so; the
//! segments; the index; the mark is removed. Each step can be done again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::clock;
use crate::durable::{self, Disk, read_small};
use crate::event::{Entry, Kind, Object};
use crate::index::source::Source;
use crate::index::tantivy::span::{self, Place, SpanError};
use crate::index::{EngineError, Within};
use crate::json::Json;
use crate::log::{
    self, Commit, CutError, Excised, FrameType, OpenError, Options, SegmentFile, Start, VisitError, Visitor,
};
use crate::seq::Seq;
use crate::store::own::{Own, number};
use crate::store::{Append, AppendError, Store, Verdict};
use crate::verify::excised::{EXCISED, EXCISED_SEQ};
use crate::verify::leaf_of;

/// What is to be done, and is not yet.
const MARK: &str = "excising";
/// A mark of [`ENTRIES_MAX`] entries.
const MARK_BYTES_MAX: u64 = 1 << 20;
/// Most entries that are cut out at once.
pub const ENTRIES_MAX: usize = 1_000;
/// Longest reason, in bytes.
pub const REASON_BYTES_MAX: usize = 4_096;

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
    /// Something else is not finished.
    #[error(
        "an earlier excision of entries {0} is not finished: run `annals excise --data DIR` without entries to finish it"
    )]
    Begun(String),
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
    #[error("cannot cut out of the log")]
    Cut(#[from] CutError),
    /// The index.
    #[error("the log is done; cannot write the index again")]
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
}

impl Excision {
    /// The entries.
    pub fn seqs(&self) -> impl Iterator<Item = Seq> + use<'_> {
        self.entries.iter().map(|(seq, _)| *seq)
    }
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Each entry, and the one that says so.
    pub entries: Vec<(Seq, Seq)>,
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
    let size = store.marks().durable;
    let entry = |seq: &Seq| {
        if *seq >= size {
            return Err(ExciseError::NotThere { seq: *seq, size });
        }
        let entry = store.source().entry(*seq)?;
        match entry.kind {
            _ if store.source().is_cut_out(*seq)? => Err(ExciseError::Before { seq: *seq }),
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

/// Says, durably, what is to be done. From here on it will be, by [`finish`].
///
/// # Errors
/// When something else is not finished, or the disk fails.
pub fn begin(disk: &dyn Disk, dir: &Path, seqs: &[Seq], reason: &str) -> Result<Excision, ExciseError> {
    if let Some(begun) = begun(disk, dir)? {
        let seqs: Vec<String> = begun.seqs().map(|seq| seq.to_string()).collect();
        return Err(ExciseError::Begun(seqs.join(", ")));
    }
    let time_ms = clock::now_ms();
    let id = |seq: &Seq| (*seq, format!("excise-{seq}-{}", uuid::Uuid::now_v7()));
    let excision = Excision { entries: seqs.iter().map(id).collect(), reason: reason.to_owned(), time_ms };
    let text = serde_json::to_vec(&excision).expect("a mark is plain data");
    durable::replace(disk, dir, MARK, &text).map_err(at(&dir.join(MARK)))?;
    Ok(excision)
}

/// Does what was begun. `open` opens the store of the directory, which is closed again.
///
/// # Errors
/// When the disk fails, or the log is damaged: the mark stays, and so it can be gone on with.
pub fn finish<E: From<ExciseError>>(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    excision: &Excision,
    open: impl FnOnce() -> Result<Store, E>,
    progress: &mut dyn FnMut(&str),
) -> Result<Done, E> {
    let store = open()?;
    let entered = enter(&store, excision);
    // Closing writes what is in memory into spans, which are looked at below.
    store.close();
    drop(store);
    let entries = entered?;
    Ok(cut(disk, dir, entries, progress)?)
}

/// The entries that say so: each is entered once, since its id is known.
fn enter(store: &Store, excision: &Excision) -> Result<Vec<(Seq, Seq)>, ExciseError> {
    let mut entries = Vec::new();
    for (seq, id) in &excision.entries {
        let entry = store.source().entry(*seq)?;
        let detail = Json::Object(vec![
            (EXCISED_SEQ.into(), number(seq.0)),
            ("hash".into(), Json::String(log::hex(&entry.hash))),
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
        let append = Append { drafts: vec![own.into_draft()], skip_conflicts: false, kind: Kind::Control };
        let answer = store.append(append).map(oneshot::Receiver::blocking_recv);
        let failed = |error: AppendError| ExciseError::Entering(error.to_string());
        let verdicts = match answer.map_err(failed)? {
            Ok(verdicts) => verdicts.map_err(failed)?,
            Err(_) => return Err(ExciseError::Entering("the writer stopped".into())),
        };
        match verdicts.first() {
            Some(Verdict::Stored(receipt)) => entries.push((*seq, receipt.seq)),
            _ => return Err(ExciseError::Entering(format!("the id {id} is taken"))),
        }
    }
    Ok(entries)
}

fn cut(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    entries: Vec<(Seq, Seq)>,
    progress: &mut dyn FnMut(&str),
) -> Result<Done, ExciseError> {
    let lock_path = dir.join("LOCK");
    let _lock = disk.lock(&lock_path).map_err(|error| at(&lock_path)(io::Error::other(error)))?;
    let log_dir = dir.join("log");
    let files = SegmentFile::list(&**disk, dir).map_err(at(&log_dir))?;
    let mut segments = 0;
    for file in &files {
        let next = files.iter().map(|other| other.first).filter(|first| *first > file.first).min();
        let inside = |seq: &Seq| *seq >= file.first && next.is_none_or(|next| *seq < next);
        let seqs: Vec<Seq> = entries.iter().map(|(seq, _)| *seq).filter(inside).collect();
        if seqs.is_empty() {
            continue;
        }
        progress(&format!("writing {} again", file.path.display()));
        let by = |seq| entries.iter().find(|(of, _)| *of == seq).map(|(_, by)| *by);
        let cutter = |seq, frame_type, payload: &[u8]| left_of(frame_type, payload, by(seq)?);
        let leaf = |frame_type, payload: &[u8]| leaf_of(frame_type, payload).ok().map(|leaf| leaf.hash());
        log::cut_out(&**disk, file, next, &seqs, &cutter, &leaf)?;
        segments += 1;
    }
    for name in disk.list(&log_dir).map_err(at(&log_dir))? {
        // What a repair or an excision that did not end has left.
        if name.ends_with(".mending") || name.ends_with(".cutting") {
            disk.remove(&log_dir.join(&name)).map_err(at(&log_dir))?;
        }
    }
    progress("writing the index again");
    let mut seqs: Vec<Seq> = entries.iter().map(|(seq, _)| *seq).collect();
    seqs.sort_unstable();
    let spans = index_again(disk, dir, &seqs)?;
    let quarantine = dir.join("quarantine");
    let quarantined = match disk.list(&quarantine) {
        Ok(names) => names.iter().map(|name| quarantine.join(name)).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(at(&quarantine)(error)),
    };
    let mark = dir.join(MARK);
    disk.remove(&mark).and_then(|()| disk.sync_dir(dir)).map_err(at(&mark))?;
    Ok(Done { entries, segments, spans, quarantined })
}

/// What stands in the place of a record: its leaf, and nothing that it told but whose it was.
fn left_of(frame_type: FrameType, payload: &[u8], by: Seq) -> Option<Vec<u8>> {
    let leaf = leaf_of(frame_type, payload).ok()?.encode();
    match frame_type {
        FrameType::Event => {
            let body = log::Payload::decode(payload).ok()?.body;
            let tenant = crate::event::BodyHead::read(std::str::from_utf8(body).ok()?).ok()?.tenant;
            Excised { leaf: &leaf, by, tenant: &tenant }.encode(payload.len())
        }
        // Done before a crash.
        FrameType::Excised => Some(payload.to_vec()),
        FrameType::Commit | FrameType::Seal => None,
    }
}

fn index_again(disk: &Arc<dyn Disk>, dir: &Path, seqs: &[Seq]) -> Result<usize, ExciseError> {
    let opened = log::open(disk.clone(), dir, &Options { read_only: true, ..Options::default() }, &mut Unseen)?;
    let (index_dir, old) = (dir.join("index"), dir.join("index.old"));
    for leftover in [&old].into_iter().filter(|old| old.is_dir()) {
        std::fs::remove_dir_all(leftover).map_err(at(leftover))?;
    }
    if !index_dir.is_dir() {
        return Ok(0);
    }
    let place = Place { disk: &**disk, index_dir: &index_dir };
    let within = Within::below(opened.report.size);
    Ok(span::make_again(place, &Source::new(opened.reader), seqs, within.to)?)
}

/// The log was read through when the store was opened, and each segment that was written again was read back.
struct Unseen;

impl Visitor for Unseen {
    fn start(&mut self, _: Seq, _: &[u8; 32]) -> Result<Start, VisitError> {
        Ok(Start::Here)
    }

    fn event(&mut self, _: Seq, _: FrameType, _: u8, _: &[u8]) -> Result<(), VisitError> {
        Ok(())
    }

    fn commit(&mut self, _: &Commit) -> Result<(), VisitError> {
        Ok(())
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> ExciseError + use<> {
    let path = path.to_owned();
    move |source| ExciseError::Io { path: path.clone(), source }
}
