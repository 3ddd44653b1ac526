//! A span: one immutable Tantivy index over a contiguous run of `seq`, in a directory of its own beside its
//! summary and its id file.
//!
//! `index/<first>-<last>-<generation>/`. A span is built from the log in a temporary directory, synced, and renamed
//! into place: a crash leaves the old state or the new one, never half. Whatever is wrong with a span, it can be
//! deleted: it is built again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::tantivy::directory::MmapDirectory;
use ::tantivy::{Index, ReloadPolicy};
use serde::{Deserialize, Serialize};

use crate::durable::Disk;
use crate::index::source::Source;
use crate::index::tantivy::ids::{self, IdFile};
use crate::index::tantivy::piece::Piece;
use crate::index::tantivy::schema;
use crate::index::{EngineError, Within};
use crate::seq::Seq;

/// Where a span is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanLimits {
    /// At this many events. Default 32,768.
    pub events_max: u64,
    /// At this many bytes of bodies. Default 64 MiB.
    pub body_bytes_max: u64,
}

impl Default for SpanLimits {
    fn default() -> SpanLimits {
        SpanLimits { events_max: 32_768, body_bytes_max: 64 << 20 }
    }
}

const SUMMARY: &str = "summary.json";
const IDS: &str = "ids";
const TEMPORARY: &str = "building-";
/// Tantivy's arena grows as needed; the cut at `body_bytes_max` is what bounds it.
const WRITER_BYTES: usize = 256 << 20;

/// What a span says of itself: enough to skip it, or to find it unusable, without opening the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Version of `index-schema/v<n>.toml` it was built with.
    pub schema_version: u32,
    /// First seq.
    pub first: Seq,
    /// Last seq, inclusive.
    pub last: Seq,
    /// Of two spans over the same run the higher generation wins.
    pub generation: u32,
    /// Oldest time, ms.
    pub time_min_ms: i64,
    /// Newest time, ms.
    pub time_max_ms: i64,
    /// Bytes of the bodies it indexes.
    pub body_bytes: u64,
}

/// An open span.
pub struct Span {
    /// What it says of itself.
    pub summary: Summary,
    /// Its one segment.
    pub piece: Arc<Piece>,
    /// Its ids.
    pub ids: IdFile,
    /// Where it lives.
    pub dir: PathBuf,
}

/// Why a span could not be built or opened.
#[derive(Debug, thiserror::Error)]
pub enum SpanError {
    /// The log or Tantivy failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A file of the span.
    #[error("{path}")]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The span is not usable and has to be built again.
    #[error("{path} is not usable: {why}")]
    Unusable {
        /// The span's directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Where the next span ends that begins at `first`: at the limits of a span, or at `end`.
/// Answers the exclusive end and whether a limit (not `end`) cut it.
pub fn cut(source: &Source, limits: SpanLimits, first: Seq, end: Seq) -> Result<(Seq, bool), EngineError> {
    let full = first.plus(limits.events_max);
    let mut bytes = 0;
    for record in source.reader().range(first, full.min(end)) {
        let record = record?;
        bytes += record.payload.len() as u64;
        if bytes >= limits.body_bytes_max {
            return Ok((record.seq.plus(1), true));
        }
    }
    Ok((full.min(end), full <= end))
}

/// Builds the span over `within` from the log, publishes it and opens it.
/// `progress` is told how many events were indexed since it was last told.
pub fn build(
    disk: &dyn Disk,
    index_dir: &Path,
    source: &Source,
    within: Within,
    generation: u32,
    progress: &mut dyn FnMut(u64),
) -> Result<Span, SpanError> {
    let temporary = index_dir.join(format!("{TEMPORARY}{}", within.from));
    remove_dir(&temporary)?;
    fs::create_dir(&temporary).map_err(at(&temporary))?;

    let schema = schema::current();
    let directory = MmapDirectory::open(&temporary).map_err(|e| tantivy_error(e.into()))?;
    let mut writer = Index::builder()
        .schema(schema.schema.clone())
        .settings(schema::settings())
        .tokenizers(schema::tokenizers())
        .single_segment_index_writer(directory, WRITER_BYTES)
        .map_err(tantivy_error)?;
    let mut summary = Summary {
        schema_version: schema.version,
        first: within.from,
        last: Seq(within.to.0 - 1),
        generation,
        time_min_ms: i64::MAX,
        time_max_ms: i64::MIN,
        body_bytes: 0,
    };
    let mut id_hashes = Vec::with_capacity((within.to.0 - within.from.0) as usize);
    for entry in source.range(within) {
        let (entry, body_len) = entry?;
        summary.time_min_ms = summary.time_min_ms.min(entry.event.time.ms);
        summary.time_max_ms = summary.time_max_ms.max(entry.event.time.ms);
        summary.body_bytes += body_len as u64;
        id_hashes.push((ids::hash(&entry.event.tenant, &entry.event.id), entry.seq));
        writer.add_document(schema::document(&entry, &schema.fields)).map_err(tantivy_error)?;
        progress(1);
    }
    writer.finalize().map_err(tantivy_error)?;

    let write = |name: &str, bytes: &[u8]| {
        let path = temporary.join(name);
        fs::write(&path, bytes).map_err(at(&path))
    };
    write(IDS, &IdFile::encode(within.from, id_hashes))?;
    write(SUMMARY, &serde_json::to_vec_pretty(&summary).expect("a summary is plain data"))?;
    sync_files(&temporary)?;
    disk.sync_dir(&temporary).map_err(at(&temporary))?;

    let dir = index_dir.join(dir_name(&summary));
    remove_dir(&dir)?;
    disk.rename(&temporary, &dir).map_err(at(&dir))?;
    disk.sync_dir(index_dir).map_err(at(index_dir))?;
    open(&dir)
}

/// Opens a span.
///
/// # Errors
/// `Unusable` when it is damaged or of another schema version.
pub fn open(dir: &Path) -> Result<Span, SpanError> {
    let unusable = |why: String| SpanError::Unusable { path: dir.to_owned(), why };
    let path = dir.join(SUMMARY);
    let summary: Summary = serde_json::from_slice(&fs::read(&path).map_err(at(&path))?)
        .map_err(|e| unusable(format!("its summary cannot be read: {e}")))?;
    let version = schema::current().version;
    if summary.schema_version != version {
        return Err(unusable(format!("it has schema version {}, expected {version}", summary.schema_version)));
    }
    if dir.file_name().and_then(|name| name.to_str()) != Some(&dir_name(&summary)) {
        return Err(unusable("its summary speaks of another span".into()));
    }
    let ids = IdFile::open(&dir.join(IDS)).map_err(at(&dir.join(IDS)))?;
    if ids.first() != summary.first {
        return Err(unusable(format!("its ids begin at {}, expected {}", ids.first(), summary.first)));
    }
    let reader = open_index(dir).map_err(|e| unusable(e.to_string()))?;
    let searcher = reader.searcher();
    let [segment] = searcher.segment_readers() else {
        return Err(unusable(format!("it has {} segments, expected 1", searcher.segment_readers().len())));
    };
    if *searcher.schema() != schema::current().schema {
        return Err(unusable("its index has other fields than its schema version says".into()));
    }
    // Tantivy opens a field's terms and positions when a query first asks for them: too late to build the span again.
    for (field, entry) in searcher.schema().fields().filter(|(_, entry)| entry.is_indexed()) {
        segment.inverted_index(field).map_err(|e| unusable(format!("its field {}: {e}", entry.name())))?;
    }
    let events = summary.last.0 - summary.first.0 + 1;
    if u64::from(segment.max_doc()) != events {
        return Err(unusable(format!("it has {} documents, expected {events}", segment.max_doc())));
    }
    let piece = Piece::open(segment.clone())?.expect("a span has at least one document");
    Ok(Span { summary, piece: Arc::new(piece), ids, dir: dir.to_owned() })
}

/// Removes what a crash left half-built.
pub fn remove_unfinished(index_dir: &Path) -> Result<(), SpanError> {
    for dir in directories(index_dir)? {
        if name_of(&dir).starts_with(TEMPORARY) {
            remove_dir(&dir)?;
        }
    }
    Ok(())
}

/// The spans to use, by first seq: of overlapping ones the widest, then the newest generation. What cannot be used
/// or is not needed is removed; `warn` is told of the unusable ones.
pub fn open_all(
    index_dir: &Path,
    end: Seq,
    is_read_only: bool,
    warn: &mut dyn FnMut(&SpanError),
) -> Result<Vec<Span>, SpanError> {
    let mut spans = Vec::new();
    for dir in directories(index_dir)? {
        match open(&dir) {
            Ok(span) if span.summary.last < end => spans.push(span),
            Ok(_) => {
                let why = format!("it goes beyond the end of the log at {end}");
                warn(&SpanError::Unusable { path: dir.clone(), why });
                // Of a damaged log that is only looked at, it may be right again once the log is repaired.
                if !is_read_only {
                    remove_dir(&dir)?;
                }
            }
            Err(error) => {
                warn(&error);
                remove_dir(&dir)?;
            }
        }
    }
    let width = |span: &Span| span.summary.last.0 - span.summary.first.0;
    spans.sort_by_key(|span| std::cmp::Reverse((width(span), span.summary.generation)));
    let mut chosen: Vec<Span> = Vec::new();
    for span in spans {
        let overlaps = chosen
            .iter()
            .any(|other| span.summary.first <= other.summary.last && other.summary.first <= span.summary.last);
        match overlaps {
            true => remove_dir(&span.dir)?,
            false => chosen.push(span),
        }
    }
    chosen.sort_by_key(|span| span.summary.first);
    Ok(chosen)
}

/// The runs of `[0, end)` that no span holds. `spans` are sorted and do not overlap.
pub fn gaps(spans: &[Arc<Span>], end: Seq) -> Vec<Within> {
    let mut gaps = Vec::new();
    let mut next = Seq::ZERO;
    for span in spans {
        if next < span.summary.first {
            gaps.push(Within { from: next, to: span.summary.first });
        }
        next = span.summary.last.plus(1);
    }
    if next < end {
        gaps.push(Within { from: next, to: end });
    }
    gaps
}

fn open_index(dir: &Path) -> ::tantivy::Result<::tantivy::IndexReader> {
    let mut index = Index::open(MmapDirectory::open(dir)?)?;
    index.set_tokenizers(schema::tokenizers());
    index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()
}

fn dir_name(summary: &Summary) -> String {
    format!("{:020}-{:020}-{}", summary.first.0, summary.last.0, summary.generation)
}

fn name_of(dir: &Path) -> &str {
    dir.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn directories(index_dir: &Path) -> Result<Vec<PathBuf>, SpanError> {
    let mut dirs = Vec::new();
    for item in fs::read_dir(index_dir).map_err(at(index_dir))? {
        let path = item.map_err(at(index_dir))?.path();
        if path.is_dir() {
            dirs.push(path);
        }
    }
    dirs.sort();
    Ok(dirs)
}

/// Tantivy syncs some of its files itself; this leaves nothing to trust.
fn sync_files(dir: &Path) -> Result<(), SpanError> {
    for item in fs::read_dir(dir).map_err(at(dir))? {
        let path = item.map_err(at(dir))?.path();
        fs::File::open(&path).and_then(|file| file.sync_all()).map_err(at(&path))?;
    }
    Ok(())
}

fn remove_dir(dir: &Path) -> Result<(), SpanError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(dir)(error)),
        _ => Ok(()),
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> SpanError + use<> {
    let path = path.to_owned();
    move |source| SpanError::Io { path, source }
}

fn tantivy_error(error: ::tantivy::TantivyError) -> SpanError {
    SpanError::Engine(EngineError::Index(error))
}
