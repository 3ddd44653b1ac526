//! A copy of a data directory, taken while a server appends, and the way back.
//!
//! The checkpoint comes first: what it speaks of is durable and never changes again, so every file is copied up to there and
//! the copy is a log that ends at it. Only the notes that are kept are listed before it: one that is kept meanwhile would speak
//! of more than the copy has, and accuse it. Files that are finished are copied once. Keys that sign or unseal are left out; what is
//! computed from the log (tree, index) is left out too.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::durable::{self, Disk, DiskFile, read_small, read_up_to, write_all};
use crate::log::{self, Head, SegmentFile, inspect_slots, latest};
use crate::seq::Seq;
use crate::tree::files::{NOTES, PUBLIC_KEY, REPLACED_KEYS};

/// Bytes copied at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// A sealed segment's footer: 152 bytes and 24 for each of its blocks, of which there are 32,768 at most by default.
const FOOTER_LOOK_BYTES: u64 = 1 << 20;
/// HEAD is two slots of 4 KiB.
const HEAD_BYTES_MAX: u64 = 8 << 10;
/// The largest of the small files: saved views may have so much.
const SMALL_FILE_MAX: u64 = 8 << 20;
/// A segment that is sealed while it is looked for is looked for again, at most so often.
const LOOKS: u32 = 20;
/// Between two such looks.
const PAUSE: Duration = Duration::from_millis(100);
/// Small files that belong to the log, and the page's saved views, which nothing else could bring back.
const SMALL_FILES: [&str; 6] = [PUBLIC_KEY, REPLACED_KEYS, "promised", "cursor.key", "views.json", EXCISED];
/// There while entries are being cut out of the log.
pub const EXCISING: &str = "excising";
/// Says what was cut out of it last.
pub const EXCISED: &str = "excised";

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The checkpoint that the copy ends at.
    pub head: Head,
    /// Segments in the copy, and how many of them were copied now.
    pub segments: u64,
    /// See `segments`.
    pub segments_copied: u64,
    /// Bytes copied now.
    pub bytes: u64,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is no checkpoint to begin with.
    #[error("{0} has no readable HEAD: is it a data directory?")]
    NoHead(PathBuf),
    /// It was never signed, so nobody could tell what it is a copy of.
    #[error("the newest checkpoint of {0} is not signed yet: start a server on it first")]
    NotSigned(PathBuf),
    /// The target is the copy of another log, or of a later state.
    #[error("{target} holds a copy of {found}, not an earlier one of {expected}")]
    OtherLog {
        /// Where the copy goes.
        target: PathBuf,
        /// What is there.
        found: String,
        /// What is copied.
        expected: String,
    },
    /// A segment does not hold what the checkpoint speaks of.
    #[error("{segment} does not hold the events up to {size} that the checkpoint speaks of: verify the directory")]
    Damaged {
        /// The file.
        segment: PathBuf,
        /// The checkpoint's size.
        size: Seq,
    },
    /// Something is being cut out of its segments.
    #[error("something is being cut out of {0}, or was to be: finish that first (`annals excise --finish`)")]
    Excising(PathBuf),
    /// A segment was finished and sealed behind the newest checkpoint.
    #[error("the newest checkpoint of {0} is behind its segments: start a server on it first")]
    Behind(PathBuf),
    /// The target of a restore is in use.
    #[error("{0} is not empty")]
    NotEmpty(PathBuf),
    /// A file could not be read or written.
    #[error("cannot copy {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Copies `from` to `to`, which may hold an earlier copy of the same log. `progress` is told how many bytes were copied.
pub fn copy(
    disk: &Arc<dyn Disk>,
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Copied, BackupError> {
    let mut looks = 0;
    loop {
        let job = Job { disk: disk.clone(), from, to, bytes: 0, segments: 0, segments_copied: 0 };
        match job.run(progress) {
            // A server sealed a segment between our looks at the directory and at the file.
            Err(BackupError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound && looks < LOOKS => {
                looks += 1
            }
            // The first checkpoint of a log, and the next one, follow within a second.
            Err(BackupError::NotSigned(_) | BackupError::Behind(_) | BackupError::Excising(_)) if looks < LOOKS => {
                looks += 1;
                std::thread::sleep(PAUSE);
            }
            copied => return copied,
        }
    }
}

/// The same into a directory that must be empty or absent.
pub fn restore(
    disk: &Arc<dyn Disk>,
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Copied, BackupError> {
    let is_empty = match disk.list(to) {
        Ok(names) => names.is_empty(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(source) => return Err(BackupError::Io { path: to.to_owned(), source }),
    };
    match is_empty {
        true => copy(disk, from, to, progress),
        false => Err(BackupError::NotEmpty(to.to_owned())),
    }
}

struct Job<'a> {
    disk: Arc<dyn Disk>,
    from: &'a Path,
    to: &'a Path,
    bytes: u64,
    segments: u64,
    segments_copied: u64,
}

impl Job<'_> {
    fn run(mut self, progress: &mut dyn FnMut(u64)) -> Result<Copied, BackupError> {
        let excised = self.excised()?;
        let notes = self.notes()?;
        let (head, head_bytes) = self.head()?;
        for dir in [self.to, &self.to.join("log"), &self.to.join(NOTES)] {
            self.disk.create_dir(dir).map_err(at(dir))?;
        }
        self.check_target(&head)?;
        let segments = self.segments(head.size)?;
        if segments.last().is_some_and(|last| last.is_sealed) {
            return Err(BackupError::Behind(self.from.to_owned()));
        }
        self.segments = segments.len() as u64;
        let mut cut = Vec::new();
        for (i, segment) in segments.iter().enumerate() {
            let is_last = i + 1 == segments.len();
            match segment.is_sealed && self.exists(&self.place_of(segment))? {
                true => cut.push(segment),
                false => self.copy_segment(segment, is_last.then_some(head.size), progress)?,
            }
        }
        // Else some of the files are of before and some of after.
        if self.excised()? != excised {
            return Err(BackupError::Excising(self.from.to_owned()));
        }
        self.copy_notes(&notes)?;
        for name in SMALL_FILES {
            self.copy_small(self.from, self.to, name)?;
        }
        // Last of all: until it is there, the earlier copy's HEAD speaks of what the earlier copy had.
        durable::replace(&*self.disk, self.to, "HEAD", &head_bytes).map_err(at(self.to))?;
        // But for what was cut out since: until the entries that say so are there too, it would seem to be gone by nobody's leave.
        for segment in cut {
            self.copy_segment(segment, None, progress)?;
        }
        if self.excised()? != excised {
            return Err(BackupError::Excising(self.from.to_owned()));
        }
        Ok(Copied { head, segments: self.segments, segments_copied: self.segments_copied, bytes: self.bytes })
    }

    /// The newest checkpoint, and HEAD as it is.
    fn head(&self) -> Result<(Head, Vec<u8>), BackupError> {
        let no_head = || BackupError::NoHead(self.from.to_owned());
        let not_signed = || BackupError::NotSigned(self.from.to_owned());
        let bytes = match read_small(&*self.disk, &self.from.join("HEAD"), HEAD_BYTES_MAX) {
            // A server makes it when it signs for the first time.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.exists(&self.from.join("log"))? => {
                return Err(not_signed());
            }
            read => read.map_err(|_| no_head())?,
        };
        let head = latest(&inspect_slots(&bytes)).cloned().ok_or_else(no_head)?;
        match head.is_signed() {
            true => Ok((head, bytes)),
            false => Err(not_signed()),
        }
    }

    /// The names of the signed checkpoints that are kept.
    fn notes(&self) -> Result<Vec<String>, BackupError> {
        let dir = self.from.join(NOTES);
        let mut names = match self.disk.list(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names.map_err(at(&dir))?,
        };
        names.retain(|name| name.ends_with(".note"));
        Ok(names)
    }

    /// What was cut out last, as long as nothing is being cut out now.
    fn excised(&self) -> Result<Option<Vec<u8>>, BackupError> {
        if self.disk.exists(&self.from.join(EXCISING)).map_err(at(self.from))? {
            return Err(BackupError::Excising(self.from.to_owned()));
        }
        match read_small(&*self.disk, &self.from.join(EXCISED), SMALL_FILE_MAX) {
            Ok(last) => Ok(Some(last)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(self.from)(error)),
        }
    }

    /// A copy may go on where an earlier one of the same log ended.
    fn check_target(&self, head: &Head) -> Result<(), BackupError> {
        let path = self.to.join("HEAD");
        let there = match read_small(&*self.disk, &path, HEAD_BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => latest(&inspect_slots(&read.map_err(at(&path))?)).cloned(),
        };
        let name = |head: &Head| format!("{} with {} events", head.origin(), head.size);
        let is_earlier = there.as_ref().is_some_and(|there| there.size <= head.size && there.origin() == head.origin());
        match is_earlier {
            true => Ok(()),
            false => Err(BackupError::OtherLog {
                target: self.to.to_owned(),
                found: there.as_ref().map_or_else(|| "something unreadable".to_owned(), name),
                expected: name(head),
            }),
        }
    }

    /// The files that hold the events below `size`, oldest first, one for each segment.
    fn segments(&self, size: Seq) -> Result<Vec<SegmentFile>, BackupError> {
        let mut segments = SegmentFile::list(&*self.disk, self.from).map_err(at(&self.from.join("log")))?;
        // A sealed file beside its `.log` was read back before it got its name.
        segments.sort_by_key(|segment| (segment.first, !segment.is_sealed));
        segments.dedup_by_key(|segment| segment.first);
        segments.retain(|segment| segment.first <= size);
        Ok(segments)
    }

    fn place_of(&self, segment: &SegmentFile) -> PathBuf {
        self.to.join("log").join(segment.path.file_name().expect("a segment has a name"))
    }

    fn exists(&self, path: &Path) -> Result<bool, BackupError> {
        self.disk.exists(path).map_err(at(path))
    }

    /// `up_to` is the size at which the file is cut, if it is the last one.
    fn copy_segment(
        &mut self,
        segment: &SegmentFile,
        up_to: Option<Seq>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), BackupError> {
        let (from, to) = (segment.path.clone(), self.place_of(segment));
        let source = self.disk.open_read(&from).map_err(at(&from))?;
        let length = match up_to {
            Some(size) => log::end_of_batch(&source, size)
                .map_err(at(&from))?
                .ok_or_else(|| BackupError::Damaged { segment: from.clone(), size })?,
            None => source.len().map_err(at(&from))?,
        };
        let is_there = match self.disk.open_read(&to) {
            Ok(there) => is_sealed_alike(&*source, &*there, length).map_err(at(&to))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(at(&to)(error)),
        };
        // A sealed file changes only when something is cut out of it; a `.log` goes on, and its end may lie elsewhere.
        if !(is_there && segment.is_sealed) {
            self.copy_bytes(&*source, length, &to, progress)?;
            self.segments_copied += 1;
        }
        if segment.is_sealed {
            let unsealed = self.to.join("log").join(format!("{:020}.log", segment.first.0));
            if self.disk.exists(&unsealed).map_err(at(&unsealed))? {
                self.disk.remove(&unsealed).map_err(at(&unsealed))?;
            }
        }
        Ok(())
    }

    /// Under another name until it is whole and durable.
    fn copy_bytes(
        &mut self,
        source: &dyn DiskFile,
        length: u64,
        to: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), BackupError> {
        let dir = to.parent().expect("a segment lies in a directory");
        let part = dir.join("copying.part");
        if self.disk.exists(&part).map_err(at(&part))? {
            self.disk.remove(&part).map_err(at(&part))?;
        }
        let file = self.disk.create(&part).map_err(at(&part))?;
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut done = 0;
        while done < length {
            let wanted = ((length - done) as usize).min(CHUNK_BYTES);
            let n = read_up_to(source, &mut buffer[..wanted], done).map_err(at(to))?;
            if n == 0 {
                return Err(at(to)(io::ErrorKind::UnexpectedEof.into()));
            }
            write_all(&*file, &buffer[..n], done).map_err(at(&part))?;
            done += n as u64;
            progress(self.bytes + done);
        }
        self.bytes += length;
        file.sync_data().map_err(at(&part))?;
        self.disk.rename(&part, to).map_err(at(to))?;
        self.disk.sync_dir(dir).map_err(at(dir))
    }

    fn copy_notes(&mut self, names: &[String]) -> Result<(), BackupError> {
        let (from, to) = (self.from.join(NOTES), self.to.join(NOTES));
        for name in names {
            if !self.exists(&to.join(name))? {
                self.copy_small(&from, &to, name)?;
            }
        }
        Ok(())
    }

    fn copy_small(&mut self, from: &Path, to: &Path, name: &str) -> Result<(), BackupError> {
        let path = from.join(name);
        let bytes = match read_small(&*self.disk, &path, SMALL_FILE_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read.map_err(at(&path))?,
        };
        durable::replace(&*self.disk, to, name, &bytes).map_err(at(&path))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// Whether two sealed files are the same by their footers, which have a digest of what is in them.
fn is_sealed_alike(one: &dyn DiskFile, other: &dyn DiskFile, length: u64) -> io::Result<bool> {
    if other.len()? != length {
        return Ok(false);
    }
    let from = length.saturating_sub(FOOTER_LOOK_BYTES);
    let end = |file: &dyn DiskFile| {
        let mut bytes = vec![0; (length - from) as usize];
        read_up_to(file, &mut bytes, from).map(|got| {
            bytes.truncate(got);
            bytes
        })
    };
    Ok(end(one)? == end(other)?)
}

fn at(path: &Path) -> impl Fn(io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |source| BackupError::Io { path: path.clone(), source }
}
