//! A span: one immutable Tantivy index over a contiguous run of `seq`, in a directory of its own beside its
//! summary and its id file.
//!
//! `index/<first>-<last>-<generation>/`. A span is built from the log, out of the hot index, or by merging spans that
//! follow one another; always in a temporary directory, synced, and renamed into place: a crash leaves the old state or
//! the new one, never half. Whatever is wrong with a span, it can be deleted: it is built again.
//!
//! Merging terms and postings that are there costs a fraction of analysing the events again, so a hot index becomes a span
//! by merging, and only what never was in one is read from the log.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ::tantivy::directory::MmapDirectory;
use ::tantivy::{BitSet, Directory, DocId, Index, ReloadPolicy, SegmentReader};
use serde::{Deserialize, Serialize};

use crate::durable::{Disk, crash_point};
use crate::event::Entry;
use crate::index::source::{Source, ToIndex};
use crate::index::tantivy::hot::FrozenHot;
use crate::index::tantivy::ids::{self, IdFile};
use crate::index::tantivy::merge::{self, Part};
use crate::index::tantivy::piece::Piece;
use crate::index::tantivy::stoppable::Stoppable;
use crate::index::tantivy::term_filter::TermFilters;
use crate::index::tantivy::{schema, segment};
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

/// So many neighbours of a size become one span.
const MERGE_SPANS: usize = 8;
/// Spans are merged this often: up to 16.8 M events or 32 GiB of bodies, beyond which a query gains nothing.
const MERGE_LEVELS_MAX: u32 = 3;

impl SpanLimits {
    /// 0 for a span as it is cut, one more for each time that eight of them would have been merged.
    fn level(&self, summary: &Summary) -> u32 {
        // Rounded down: the event that reaches a limit may go a little beyond it, eight such spans eight times as far.
        let events = summary.events() / self.events_max;
        let bytes = summary.body_bytes / self.body_bytes_max;
        let (mut level, mut size) = (0, 1);
        while size < events.max(bytes) {
            size *= MERGE_SPANS as u64;
            level += 1;
        }
        level
    }

    /// Which spans should be merged into one: eight neighbours of a level, the lowest first, with whatever smaller ones
    /// stand before and between them. `spans` are sorted.
    ///
    /// Were eight enough of which some are smaller, the largest would be written again for every seven that come.
    pub fn next_merge<'a>(&self, spans: impl IntoIterator<Item = &'a Summary> + Clone) -> Option<Range<usize>> {
        (0..MERGE_LEVELS_MAX).find_map(|level| {
            // The stretch of neighbours up to this level that we are in: where it begins, where it would go on.
            let (mut start, mut next, mut of_level) = (0, None, 0);
            for (at, span) in spans.clone().into_iter().enumerate() {
                let span_level = self.level(span);
                if span_level > level || next != Some(span.first) {
                    (start, of_level) = (at, 0);
                }
                next = (span_level <= level).then(|| span.last.plus(1));
                of_level += usize::from(span_level == level);
                if of_level == MERGE_SPANS {
                    return Some(start..at + 1);
                }
            }
            None
        })
    }
}

const SUMMARY: &str = "summary.json";
const IDS: &str = "ids";
const TEMPORARY: &str = "building-";
/// Documents that are made again at a time, so that memory stays bounded: as many as a span is cut at.
const PURGE_DOCS_MAX: usize = 32_768;

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
    /// Documents of equal time are in order as well, the highest seq first.
    pub is_exact: bool,
    /// What was asked to be erased below this seq is not in it.
    #[serde(default)]
    pub erased_through: Seq,
}

impl Summary {
    /// Number of events.
    pub fn events(&self) -> u64 {
        self.last.0 - self.first.0 + 1
    }

    /// The run it holds.
    pub fn run(&self) -> Within {
        Within { from: self.first, to: self.last.plus(1) }
    }
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

/// Where spans are made.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Publishes them.
    pub disk: &'a dyn Disk,
    /// Where they live.
    pub index_dir: &'a Path,
}

/// Builds the span over `within` from the log, publishes it and opens it. What was asked to be erased below `erased_through` cannot be
/// opened any more.
/// `progress` is told how many events were indexed since it was last told.
pub fn build(
    place: Place<'_>,
    source: &Source,
    within: Within,
    erased_through: Seq,
    progress: &mut dyn FnMut(u64),
) -> Result<Span, SpanError> {
    let temporary = Temporary::new(place, within)?;
    let events = (within.to.0 - within.from.0) as usize;
    let mut ids = Vec::with_capacity(events);
    let mut body_bytes = 0;
    let entries = source.to_index(within).inspect(|to_index| {
        let Ok(ToIndex { entry, bytes, .. }) = to_index else { return };
        body_bytes += *bytes as u64;
        ids.push(id_of(entry));
        progress(1);
    });
    segment::write(temporary.open()?, entries, events)?;
    ids.sort_unstable();
    let contents = Contents { within, generation: 0, body_bytes, erased_through };
    temporary.publish(contents, ids.into_iter().map(Ok))
}

fn id_of(entry: &Entry) -> (u64, Seq) {
    (ids::hash(&entry.event.tenant, &entry.event.id), entry.seq)
}

/// Makes the hot index a span: its segments are merged into one on disk.
pub fn build_from_hot(place: Place<'_>, hot: &FrozenHot) -> Result<Span, SpanError> {
    let within = hot.run;
    let temporary = Temporary::new(place, within)?;
    merge_segments(hot.parts.clone(), temporary.open()?)?;
    let mut ids = hot.ids.clone();
    ids.sort_unstable();
    let FrozenHot { body_bytes, erased_through, .. } = *hot;
    let contents = Contents { within, generation: 0, body_bytes, erased_through };
    temporary.publish(contents, ids.into_iter().map(Ok))
}

/// What a span's files take on disk, in bytes; those that cannot be looked at count as nothing.
pub fn disk_bytes(span: &Span) -> u64 {
    bytes_in(&span.dir)
}

fn bytes_in(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

/// Merges neighbours into one span. The old ones stay where they are; whoever opens the directory prefers the wider.
/// Gives up soon after `is_stopping` is set.
pub fn merge(place: Place<'_>, spans: &[Arc<Span>], is_stopping: &Arc<AtomicBool>) -> Result<Span, SpanError> {
    let (Some(first), Some(last)) = (spans.first(), spans.last()) else {
        unreachable!("a merge is of at least two spans");
    };
    let within = Within { from: first.summary.first, to: last.summary.last.plus(1) };
    let temporary = Temporary::new(place, within)?;
    let parts = whole(spans.iter().map(|span| &span.piece.reader))?;
    merge_segments(parts, Stoppable::new(temporary.open()?, is_stopping.clone()))?;
    let generation = spans.iter().map(|span| span.summary.generation).max().unwrap_or(0);
    let body_bytes = spans.iter().map(|span| span.summary.body_bytes).sum();
    // What is still in one of them is in the whole.
    let erased_through = spans.iter().map(|span| span.summary.erased_through).min().unwrap_or(Seq::ZERO);
    let ids: Vec<&IdFile> = spans.iter().map(|span| &span.ids).collect();
    temporary.publish(Contents { within, generation, body_bytes, erased_through }, ids::merged(&ids))
}

/// Writes a span again in which these documents are as the log tells them now: what was asked to be erased below `erased_through`
/// cannot be opened any more. The old one stays where it is; whoever opens the directory prefers the newer.
/// Gives up soon after `is_stopping` is set.
pub fn purge(
    place: Place<'_>,
    source: &Source,
    span: &Span,
    docs: &[DocId],
    erased_through: Seq,
    is_stopping: &Arc<AtomicBool>,
) -> Result<Span, SpanError> {
    let Summary { generation, body_bytes, .. } = span.summary;
    let temporary = Temporary::new(place, span.summary.run())?;
    let (mut left, mut again) = (BitSet::with_max_value_and_full(span.piece.reader.max_doc()), Vec::new());
    for doc in docs {
        left.remove(*doc);
        again.push(Seq(span.piece.columns.seq.get_val(*doc)));
    }
    let (mut fresh, mut merged, mut fresh_ids) = (Vec::new(), Vec::new(), Vec::new());
    for (n, seqs) in again.chunks(PURGE_DOCS_MAX).enumerate() {
        let part = Temporary::named(place, format!("{}-{}-{n}", span.summary.first, span.summary.last))?;
        let documents = seqs.iter().map(|seq| source.one_to_index(*seq)).inspect(|to_index| {
            fresh_ids.extend(to_index.as_ref().ok().map(|ToIndex { entry, .. }| id_of(entry)));
        });
        segment::write(part.open()?, documents, seqs.len())?;
        let made = open_index(&part.dir).map_err(tantivy_error)?;
        merged.extend(whole(made.searcher().segment_readers())?);
        // Removed when they are merged.
        fresh.push(part);
    }
    crash_point("purge.documents");
    if again.len() < span.piece.reader.max_doc() as usize {
        merged.push(Part::only(span.piece.reader.clone(), &left).map_err(tantivy_error)?);
    }
    merge_segments(merged, Stoppable::new(temporary.open()?, is_stopping.clone()))?;
    let contents = Contents { within: span.summary.run(), generation: generation + 1, body_bytes, erased_through };
    crash_point("purge.merged");
    fresh_ids.sort_unstable();
    again.sort_unstable();
    temporary.publish(contents, ids::with_others(&span.ids, &again, fresh_ids))
}

/// Writes each span again that holds one of these events, of which there is nothing but what the log tells now, and removes the old
/// one. Nobody else may have the index; `seqs` are sorted, and below `end`, where the log ends. Those of these directory names were made
/// before a crash, and `made` is told the name of each that is.
pub fn make_again(
    place: Place<'_>,
    source: &Source,
    seqs: &[Seq],
    end: Seq,
    before: &[String],
    made: &mut dyn FnMut(String) -> io::Result<()>,
) -> Result<(), SpanError> {
    remove_unfinished(place.index_dir)?;
    let never = Arc::new(AtomicBool::new(false));
    // What cannot be used is removed, and built from the log again.
    for span in open_all(place.index_dir, end, false, &mut |_| {})? {
        let run = span.summary.run();
        let is_in_it = |seq: &Seq| run.from <= *seq && *seq < run.to;
        if before.contains(&dir_name(&span.summary)) || !seqs.iter().any(is_in_it) {
            continue;
        }
        let seq_of = &span.piece.columns.seq;
        let docs: Vec<DocId> = (0..span.piece.reader.max_doc())
            .filter(|doc| seqs.binary_search(&Seq(seq_of.get_val(*doc))).is_ok())
            .collect();
        if !docs.is_empty() {
            let again = purge(place, source, &span, &docs, span.summary.erased_through, &never)?;
            remove(&span)?;
            made(dir_name(&again.summary)).map_err(at(&again.dir))?;
        }
    }
    place.disk.sync_dir(place.index_dir).map_err(at(place.index_dir))
}

/// Bytes of the largest span that holds one of these events, as the names of the directories say.
///
/// # Errors
/// When they cannot be listed.
pub fn bytes_needed(index_dir: &Path, seqs: &[Seq]) -> Result<u64, SpanError> {
    let mut most = 0;
    for dir in directories(index_dir)? {
        let mut ends = name_of(&dir).splitn(3, '-').map(|end| end.parse().map(Seq));
        let (Some(Ok(first)), Some(Ok(last))) = (ends.next(), ends.next()) else { continue };
        if seqs.iter().any(|seq| (first..=last).contains(seq)) {
            most = most.max(bytes_in(&dir));
        }
    }
    Ok(most)
}

fn whole<'a>(readers: impl IntoIterator<Item = &'a SegmentReader>) -> Result<Vec<Part>, SpanError> {
    readers.into_iter().cloned().map(Part::whole).collect::<Result<_, _>>().map_err(tantivy_error)
}

fn merge_segments(parts: Vec<Part>, into: impl Into<Box<dyn Directory>>) -> Result<(), SpanError> {
    merge::write(parts, into).map_err(tantivy_error)
}

/// What a new span holds, as its maker knows it.
struct Contents {
    within: Within,
    generation: u32,
    body_bytes: u64,
    erased_through: Seq,
}

/// The directory in which a span is made.
struct Temporary<'a> {
    place: Place<'a>,
    dir: PathBuf,
}

/// What did not become a span must not stay: on a full disk it would keep the log from the little room there is.
impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        // Once published there is nothing by this name; what cannot be removed now is removed at the next start.
        let _ = remove_dir(&self.dir);
    }
}

impl<'a> Temporary<'a> {
    fn new(place: Place<'a>, within: Within) -> Result<Temporary<'a>, SpanError> {
        Temporary::named(place, format!("{}-{}", within.from, within.to))
    }

    fn named(place: Place<'a>, name: String) -> Result<Temporary<'a>, SpanError> {
        let dir = place.index_dir.join(format!("{TEMPORARY}{name}"));
        remove_dir(&dir)?;
        fs::create_dir(&dir).map_err(at(&dir))?;
        Ok(Temporary { place, dir })
    }

    fn open(&self) -> Result<MmapDirectory, SpanError> {
        MmapDirectory::open(&self.dir).map_err(|e| tantivy_error(e.into()))
    }

    /// Adds ids and summary to the index that lies here, syncs it all, gives it its name and opens it.
    fn publish(self, contents: Contents, ids: impl Iterator<Item = io::Result<(u64, Seq)>>) -> Result<Span, SpanError> {
        let Contents { within, generation, body_bytes, erased_through } = contents;
        let unusable = |why: String| SpanError::Unusable { path: self.dir.clone(), why };
        ids::write(&self.dir.join(IDS), within.from, ids).map_err(at(&self.dir.join(IDS)))?;
        let reader = open_index(&self.dir).map_err(|e| unusable(e.to_string()))?;
        let searcher = reader.searcher();
        let piece = match searcher.segment_readers() {
            [segment] => Piece::open(segment.clone())?,
            _ => None,
        };
        let piece = piece.ok_or_else(|| unusable("it was built without documents".into()))?;
        let summary = Summary {
            schema_version: schema::current().version,
            first: within.from,
            last: Seq(within.to.0 - 1),
            generation,
            time_min_ms: piece.time_ms.0,
            time_max_ms: piece.time_ms.1,
            body_bytes,
            is_exact: piece.columns.is_exactly_ordered(),
            erased_through,
        };
        let path = self.dir.join(SUMMARY);
        fs::write(&path, serde_json::to_vec_pretty(&summary).expect("a summary is plain data")).map_err(at(&path))?;
        sync_files(&self.dir)?;
        let Place { disk, index_dir } = self.place;
        disk.sync_dir(&self.dir).map_err(at(&self.dir))?;
        let dir = index_dir.join(dir_name(&summary));
        remove_dir(&dir)?;
        disk.rename(&self.dir, &dir).map_err(at(&dir))?;
        crash_point("span.renamed");
        disk.sync_dir(index_dir).map_err(at(index_dir))?;
        open(&dir)
    }
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
    let events = summary.events();
    if ids.count() as u64 != events {
        return Err(unusable(format!("it has {} ids, expected {events}", ids.count())));
    }
    if u64::from(segment.max_doc()) != events {
        return Err(unusable(format!("it has {} documents, expected {events}", segment.max_doc())));
    }
    let mut piece = Piece::open(segment.clone())?.expect("a span has at least one document");
    piece.is_exact = summary.is_exact;
    let filters = TermFilters::open(searcher.index().directory()).map_err(|e| unusable(e.to_string()))?;
    piece.filters = Some(Arc::new(filters));
    Ok(Span { summary, piece: Arc::new(piece), ids, dir: dir.to_owned() })
}

/// Reads every file of a span again and answers what is not as it was written, if anything is: the checksum that Tantivy ends
/// each of its files with, the id file's, and what summary and index say of each other. With `is_past_cache` they
/// come from the disk, but for pages that are mapped. `pace` is told how many bytes were read after each file, and says whether to go on.
///
/// # Errors
/// When its directory cannot be listed.
pub fn damage(
    disk: &dyn Disk,
    span: &Span,
    is_past_cache: bool,
    pace: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<String>, SpanError> {
    let mut files: Vec<(String, u64)> = Vec::new();
    for item in fs::read_dir(&span.dir).map_err(at(&span.dir))? {
        let item = item.map_err(at(&span.dir))?;
        let bytes = item.metadata().map_err(at(&span.dir))?.len();
        files.push((item.file_name().to_string_lossy().into_owned(), bytes));
    }
    for (name, _) in files.iter().filter(|_| is_past_cache) {
        let path = span.dir.join(name);
        disk.open_read(&path).and_then(|file| file.forget_cache()).map_err(at(&path))?;
    }
    match open(&span.dir) {
        Ok(again) if again.summary == span.summary => {}
        Ok(_) => return Ok(Some(format!("{SUMMARY}: it is not what it was"))),
        Err(error) => return Ok(Some(error.to_string())),
    }
    let index = match MmapDirectory::open(&span.dir).map_err(Into::into).and_then(Index::open) {
        Ok(index) => index,
        Err(error) => return Ok(Some(error.to_string())),
    };
    // All that was written through Tantivy's directory ends in a checksum; the others were read above.
    let has_checksum = |name: &str| name != SUMMARY && name != IDS && name != "meta.json" && !name.starts_with('.');
    for (name, bytes) in files.iter().filter(|(name, _)| has_checksum(name)) {
        match index.directory().validate_checksum(Path::new(name)) {
            Ok(true) => {}
            Ok(false) => return Ok(Some(format!("{name}: its checksum does not match"))),
            Err(error) => return Ok(Some(format!("{name}: {error}"))),
        }
        if !pace(*bytes) {
            break;
        }
    }
    Ok(None)
}

/// Removes a span that another one has replaced.
pub fn remove(span: &Span) -> Result<(), SpanError> {
    remove_dir(&span.dir)
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SpanLimits = SpanLimits { events_max: 10, body_bytes_max: 1_000 };

    /// Neighbours of so many events each, from `first` on, without bodies.
    fn neighbours(first: u64, events: &[u64]) -> Vec<Summary> {
        let mut next = first;
        let span = |events: &u64| {
            let (first, last) = (Seq(next), Seq(next + events - 1));
            next += events;
            let (time_min_ms, time_max_ms) = (0, 0);
            let (schema_version, generation, body_bytes, is_exact) = (1, 0, 0, true);
            let erased_through = Seq::ZERO;
            Summary {
                schema_version,
                first,
                last,
                generation,
                time_min_ms,
                time_max_ms,
                body_bytes,
                is_exact,
                erased_through,
            }
        };
        events.iter().map(span).collect()
    }

    fn next_merge(events: &[u64]) -> Option<Range<usize>> {
        LIMITS.next_merge(&neighbours(0, events))
    }

    #[test]
    fn eight_neighbours_of_a_level_are_merged_the_lowest_first() {
        assert_eq!(next_merge(&[]), None);
        assert_eq!(next_merge(&[10; 7]), None);
        assert_eq!(next_merge(&[10; 9]), Some(0..8));
        // Spans that were cut early count like full ones.
        assert_eq!(next_merge(&[10, 1, 10, 3, 10, 2, 10, 10]), Some(0..8));
        assert_eq!(next_merge(&[&[80; 8][..], &[10; 8]].concat()), Some(8..16));
        assert_eq!(next_merge(&[&[80; 8][..], &[10; 7]].concat()), Some(0..8));
        assert_eq!(next_merge(&[640; 8]), Some(0..8));
        // A span of the last level has its size.
        assert_eq!(next_merge(&[5_120; 8]), None);
    }

    #[test]
    fn a_merged_span_is_not_written_again_for_seven_that_follow() {
        assert_eq!(next_merge(&[&[80][..], &[10; 7]].concat()), None);
        assert_eq!(next_merge(&[&[640][..], &[80; 7], &[10; 7]].concat()), None);
    }

    #[test]
    fn smaller_spans_before_and_between_are_merged_with_the_larger_ones() {
        assert_eq!(next_merge(&[10, 80, 80, 80, 10, 10, 80, 80, 80, 80, 80, 10]), Some(0..11));
        // Behind a span of a higher level.
        assert_eq!(next_merge(&[&[640, 10][..], &[80; 8]].concat()), Some(1..10));
    }

    #[test]
    fn nothing_is_merged_over_a_gap() {
        for before in 1..8 {
            let mut spans = neighbours(0, &vec![10; before]);
            spans.extend(neighbours(1_000, &vec![10; 8 - before]));
            assert_eq!(LIMITS.next_merge(&spans), None, "{before} before the gap");
            spans.extend(neighbours(1_000 + 10 * (8 - before as u64), &vec![10; before]));
            assert_eq!(LIMITS.next_merge(&spans), Some(before..before + 8), "{before} before the gap");
        }
    }

    #[test]
    fn a_span_of_few_long_events_has_the_level_of_its_bytes() {
        let mut spans = neighbours(0, &[2; 8]);
        // The last event of each went a little beyond the limit.
        spans.iter_mut().for_each(|span| span.body_bytes = 1_009);
        assert_eq!(LIMITS.next_merge(&spans), Some(0..8));
        spans[3].body_bytes = 8_072;
        assert_eq!(LIMITS.next_merge(&spans), None);
        spans.iter_mut().for_each(|span| span.body_bytes = 8_072);
        assert_eq!(LIMITS.next_merge(&spans), Some(0..8));
        spans.iter_mut().for_each(|span| span.body_bytes = 512_000);
        assert_eq!(LIMITS.next_merge(&spans), None);
    }

    #[test]
    fn whatever_comes_few_spans_are_left_and_each_event_is_written_a_few_times() {
        let mut spans: Vec<Summary> = Vec::new();
        let mut written = 0;
        for n in 0..2_000_u64 {
            // Now and then the store is stopped, and a span ends before it is full.
            let events = if n % 13 == 0 { 1 + n % 9 } else { 10 };
            let first = spans.last().map_or(0, |span| span.last.0 + 1);
            spans.extend(neighbours(first, &[events]));
            while let Some(group) = LIMITS.next_merge(&spans) {
                let (first, last) = (spans[group.start].first.0, spans[group.end - 1].last.0);
                written += last - first + 1;
                spans.splice(group, neighbours(first, &[last - first + 1]));
            }
        }
        let events = spans.last().unwrap().last.0 + 1;
        assert!(written <= 3 * events, "{written} of {events} events were written again");
        let levels: Vec<u32> = spans.iter().map(|span| LIMITS.level(span)).collect();
        for level in 0..MERGE_LEVELS_MAX {
            assert!(levels.iter().filter(|other| **other == level).count() < MERGE_SPANS, "{levels:?}");
        }
    }
}
