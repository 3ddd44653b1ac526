//! Makes a `.seg` of a finished `.log`: fewer bytes, nothing lost, and the `.log` goes only when the `.seg` was read back
//! and found to hold the same.
//!
//! Whether the events are the ones that the tree has is asked of the room above; so is when to seal, and whether there is
//! room for it. Nothing here touches the active segment, and a failure leaves the `.log` as it was.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{info, warn};
use zstd::bulk::Compressor;

use super::commit::COMMIT_BYTES;
use super::dictionary;
use super::frame::{FrameHeader, FrameType};
use super::header::{Form, HEADER_BYTES, Header};
use super::reader::{ReadError, Reader};
use super::scan::{BatchScan, Step};
use super::sealed::{BLOCK_BYTES_MAX, BLOCK_EVENTS, BlockEntry, Footer, SealedError, SealedFile, TILE_EVENTS};
use super::sealed_scan::SealedScan;
use super::segments::{OldSegment, SealedInfo, SegmentInfo, Shared, sealed_path, segment_path, temporary_path};
use super::{Corrupt, VisitError};
use crate::durable::{DiskFile, write_all};
use crate::seq::Seq;

/// How hard zstd tries, unless told otherwise. Measured by `benches/seal.rs` on generated 600-byte events, one thread, on a
/// busy machine: level 1 leaves 0.261 of the `.log` at 99,000 events/s, level 3 0.254 at 90,000, level 6 0.240 at 50,000,
/// level 9 0.237 at 40,000, level 12 0.236 at 25,000. Beyond 3 a twentieth costs half the speed, and at 6 sealing would
/// hardly keep up with a bulk load. Reading is as fast at all of them.
pub(super) const SEAL_LEVEL: i32 = 3;
/// Written in pieces of this many bytes.
const WRITE_BYTES: usize = 1 << 20;

/// What is asked of the room above about every event that was read back: is it the one that the tree has here?
pub type LeafCheck<'a> = dyn FnMut(Seq, FrameType, &[u8]) -> Result<(), VisitError> + 'a;

/// Why a segment was not sealed. Its `.log` is where it was.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It was asked to stop, or the log stopped after a failed sync.
    #[error("stopped before segment {segment} was sealed")]
    Stopped {
        /// First seq of the segment.
        segment: Seq,
    },
    /// No finished segment begins there, or it is sealed already.
    #[error("no finished segment that could be sealed begins at event {segment}")]
    NotThere {
        /// What was asked for.
        segment: Seq,
    },
    /// The `.log` is not what was written.
    #[error(transparent)]
    Damaged(Corrupt),
    /// What was read back is not what the tree has, or not what was written.
    #[error("segment {segment} stays as it is, its sealed copy is not the same: {why}")]
    Unequal {
        /// First seq of the segment.
        segment: Seq,
        /// What disagrees.
        why: String,
    },
    /// The room above could not look into its tree.
    #[error("cannot compare segment {segment} with the tree")]
    Tree {
        /// First seq of the segment.
        segment: Seq,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file could not be read, written, synced or renamed.
    #[error("cannot seal into {path}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Seals finished segments, one at a time.
#[derive(Debug)]
pub struct Sealer {
    shared: Arc<Shared>,
    level: i32,
}

impl Sealer {
    pub(super) fn new(shared: Arc<Shared>, level: i32) -> Sealer {
        Sealer { shared, level }
    }

    /// The oldest finished segment that is still a `.log`.
    pub fn next(&self) -> Option<SegmentInfo> {
        self.shared.segments().into_iter().find(|segment| !segment.is_active && segment.sealed.is_none())
    }

    /// Makes the `.seg` of the segment that begins at `first`, lets readers use it and removes the `.log`.
    ///
    /// In this order: write under a temporary name, sync, read everything back from the disk, ask `is_the_leaf` about
    /// every event, rename, sync the directory, change readers over, unlink, sync the directory.
    pub fn seal(&self, first: Seq, stop: &AtomicBool, is_the_leaf: &mut LeafCheck<'_>) -> Result<(), SealError> {
        let log_dir = &self.shared.log_dir;
        let old = self.shared.finished(first).filter(|old| old.sealed.is_none());
        let old = old.ok_or(SealError::NotThere { segment: first })?;
        let temporary = temporary_path(log_dir, first);
        let reader = Reader::new(Arc::clone(&self.shared));
        let sealing = Sealing { shared: &self.shared, reader, level: self.level, old, stop };
        let sealed = sealing.make(&temporary, is_the_leaf);
        let (info, bytes) = sealed.inspect_err(|_| {
            // If it cannot be removed now, the next attempt or the next start does it.
            let _ = self.shared.disk.remove(&temporary);
        })?;
        let path = sealed_path(log_dir, first);
        self.shared
            .disk
            .rename(&temporary, &path)
            .and_then(|()| self.shared.disk.sync_dir(log_dir))
            .map_err(failed(&path))?;
        self.shared.replace(OldSegment { bytes, sealed: Some(info), ..old });
        let log_path = segment_path(log_dir, first);
        let removed = self.shared.disk.remove(&log_path).and_then(|()| self.shared.disk.sync_dir(log_dir));
        if let Err(error) = removed {
            // Nobody reads it any more; the next start finds both and removes it.
            warn!("could not remove {}, which is sealed: {error}", log_path.display());
        }
        info!(segment = %first, bytes, "sealed log segment {first}: {} bytes became {bytes}", old.bytes);
        Ok(())
    }
}

struct Sealing<'a> {
    shared: &'a Shared,
    reader: Reader,
    level: i32,
    old: OldSegment,
    stop: &'a AtomicBool,
}

impl Sealing<'_> {
    /// Writes the sealed file under its temporary name and proves it; answers what the table has to know.
    fn make(&self, temporary: &Path, is_the_leaf: &mut LeafCheck<'_>) -> Result<(SealedInfo, u64), SealError> {
        let disk = &self.shared.disk;
        let failed_here = || failed(temporary);
        if disk.exists(temporary).map_err(failed_here())? {
            disk.remove(temporary).map_err(failed_here())?;
        }
        let file = disk.create(temporary).map_err(failed_here())?;
        let footer = self.write(&file, temporary)?;
        file.make_read_only().and_then(|()| file.sync_data()).map_err(failed_here())?;
        // What is read back must come from the disk.
        file.forget_cache().map_err(failed_here())?;
        drop(file);

        let file = disk.open_read(temporary).map_err(failed_here())?;
        let sealed = Arc::new(SealedFile::open(file, self.old.first).map_err(|e| self.unread(e, temporary))?);
        if sealed.footer != footer {
            return Err(self.unequal("the footer is not what was written"));
        }
        self.read_back(&sealed, temporary, is_the_leaf)?;
        Ok((SealedInfo::of(&footer), sealed.bytes))
    }

    fn write(&self, file: &Arc<dyn DiskFile>, temporary: &Path) -> Result<Footer, SealError> {
        let log_path = segment_path(&self.shared.log_dir, self.old.first);
        let log = self.shared.disk.open_read(&log_path).map_err(failed(&log_path))?;
        let mut head = vec![0; HEADER_BYTES];
        crate::durable::read_exact(&*log, &mut head, 0).map_err(failed(&log_path))?;
        let header = Header::decode(&head, Form::Log).map_err(|e| self.damaged(0, self.old.first, e.to_string()))?;
        let mut scan = BatchScan::new(log, &header).map_err(failed(&log_path))?;
        let dictionary = self.dictionary()?;
        let mut packer = Packer::new(file, &header, &dictionary, self.level).map_err(failed(temporary))?;
        let mut root = None;
        loop {
            self.go_on()?;
            match scan.step().map_err(failed(&log_path))? {
                Step::Batch { commit, .. } => {
                    for (head, framed) in scan.framed_events() {
                        packer.add(head, framed).map_err(failed(temporary))?;
                    }
                    packer.commits.extend_from_slice(&commit.encode());
                    root = Some(commit.root);
                }
                Step::Sealed { root: sealed_root, .. } if root.is_some_and(|root| root != sealed_root) => {
                    return Err(self.damaged(
                        scan.at,
                        scan.seq,
                        "the SEAL has another root than the last COMMIT".into(),
                    ));
                }
                // A start after a failed sync leaves a segment without a SEAL.
                Step::Sealed { .. } | Step::Clean => break,
                Step::Invalid { at, why } => return Err(self.damaged(at, scan.seq, why.to_owned())),
            }
        }
        let root = root.filter(|_| scan.seq == self.old.end);
        let root = root.ok_or_else(|| {
            self.damaged(scan.at, scan.seq, format!("it ends at event {}, expected {}", scan.seq, self.old.end))
        })?;
        let sha256 = scan.sha256.finalize();
        packer.finish(scan.seq, root, sha256, scan.at).map_err(failed(temporary))
    }

    fn dictionary(&self) -> Result<Vec<u8>, SealError> {
        dictionary::train(self.old.first, self.old.end, |seq, samples| {
            let record = self.reader.read(seq).map_err(|e| self.unsampled(e))?;
            samples.extend_from_slice(&record.payload);
            Ok(())
        })
    }

    fn unsampled(&self, error: ReadError) -> SealError {
        match error {
            ReadError::Io { source, .. } => failed(&segment_path(&self.shared.log_dir, self.old.first))(source),
            ReadError::Stopped => SealError::Stopped { segment: self.old.first },
            ReadError::Corrupt { offset, seq, why, .. } => self.damaged(offset, seq, why.to_owned()),
            ReadError::NotThere { .. } | ReadError::NotSealed { .. } => {
                self.damaged(0, self.old.first, error.to_string())
            }
        }
    }

    fn read_back(
        &self,
        sealed: &Arc<SealedFile>,
        temporary: &Path,
        is_the_leaf: &mut LeafCheck<'_>,
    ) -> Result<(), SealError> {
        let mut scan = SealedScan::new(Arc::clone(sealed));
        loop {
            self.go_on()?;
            match scan.step().map_err(failed(temporary))? {
                Step::Batch { .. } => {
                    for (head, payload) in scan.batch().events() {
                        match is_the_leaf(head.seq, head.frame_type, payload) {
                            Ok(()) => {}
                            Err(VisitError::Failed(source)) => {
                                return Err(SealError::Tree { segment: self.old.first, source });
                            }
                            Err(e @ (VisitError::RootMismatch { .. } | VisitError::Corrupt(_))) => {
                                return Err(self.unequal(&e.to_string()));
                            }
                        }
                    }
                }
                Step::Sealed { .. } => return Ok(()),
                Step::Clean => return Err(self.unequal("it has no end")),
                Step::Invalid { at, why } => {
                    return Err(self.unequal(&format!("byte {at}, event {}: {why}", scan.seq)));
                }
            }
        }
    }

    /// Looked at between batches: a store that closes does not wait for a segment.
    fn go_on(&self) -> Result<(), SealError> {
        match self.stop.load(Ordering::Acquire) || self.shared.is_stopped() {
            true => Err(SealError::Stopped { segment: self.old.first }),
            false => Ok(()),
        }
    }

    fn damaged(&self, offset: u64, seq: Seq, why: String) -> SealError {
        SealError::Damaged(Corrupt { segment: self.old.first, offset, seq, why })
    }

    fn unequal(&self, why: &str) -> SealError {
        SealError::Unequal { segment: self.old.first, why: why.to_owned() }
    }

    fn unread(&self, error: SealedError, temporary: &Path) -> SealError {
        match error {
            SealedError::Io(source) => failed(temporary)(source),
            SealedError::Flaw(flaw) => self.unequal(&format!("byte {}: {}", flaw.at, flaw.why)),
        }
    }
}

/// Cuts frames into blocks, compresses and writes them.
pub(super) struct Packer<'a> {
    file: &'a dyn DiskFile,
    compressor: Compressor<'static>,
    level: i32,
    dictionary_bytes: u32,
    dictionary_crc: u32,
    first: Seq,
    /// The frames of the block at hand, and its first event.
    raw: Vec<u8>,
    raw_first: Seq,
    raw_events: u64,
    /// Compressed bytes that are not written yet, and where they go.
    out: Vec<u8>,
    out_at: u64,
    blocks: Vec<BlockEntry>,
    pub commits: Vec<u8>,
    excised: u32,
}

impl<'a> Packer<'a> {
    pub fn new(file: &'a Arc<dyn DiskFile>, header: &Header, dictionary: &[u8], level: i32) -> io::Result<Packer<'a>> {
        let mut out = header.encode(Form::Sealed);
        out.extend_from_slice(dictionary);
        Ok(Packer {
            file: &**file,
            compressor: Compressor::with_dictionary(level, dictionary)?,
            level,
            dictionary_bytes: dictionary.len() as u32,
            dictionary_crc: crc32c::crc32c(dictionary),
            first: header.first_seq,
            raw: Vec::with_capacity(BLOCK_BYTES_MAX),
            raw_first: header.first_seq,
            raw_events: 0,
            out,
            out_at: 0,
            blocks: Vec::new(),
            commits: Vec::new(),
            excised: 0,
        })
    }

    pub fn add(&mut self, head: &FrameHeader, framed: &[u8]) -> io::Result<()> {
        let is_full = self.raw_events == BLOCK_EVENTS
            || self.raw.len() + framed.len() > BLOCK_BYTES_MAX
            || head.seq.0.is_multiple_of(TILE_EVENTS);
        if is_full {
            self.end_block()?;
        }
        self.raw.extend_from_slice(framed);
        self.raw_events += 1;
        self.excised += u32::from(head.frame_type == FrameType::Excised);
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        if self.raw_events == 0 {
            return Ok(());
        }
        let packed = self.compressor.compress(&self.raw)?;
        self.blocks.push(BlockEntry {
            first: self.raw_first,
            at: self.at(),
            raw_bytes: self.raw.len() as u32,
            crc: crc32c::crc32c(&packed),
        });
        self.raw.clear();
        self.raw_first = self.raw_first.plus(self.raw_events);
        self.raw_events = 0;
        self.put(&packed)
    }

    pub fn finish(mut self, end: Seq, root: [u8; 32], sha256: [u8; 32], log_bytes: u64) -> io::Result<Footer> {
        self.end_block()?;
        let commits_at = self.at();
        let packed = zstd::bulk::compress(&self.commits, self.level)?;
        self.put(&packed)?;
        let footer_at = self.at();
        let footer = Footer {
            first: self.first,
            end,
            root,
            sha256,
            log_bytes,
            excised: self.excised,
            commits: (self.commits.len() / COMMIT_BYTES) as u32,
            commits_at,
            commits_crc: crc32c::crc32c(&packed),
            dictionary_bytes: self.dictionary_bytes,
            dictionary_crc: self.dictionary_crc,
            blocks: std::mem::take(&mut self.blocks),
        };
        self.put(&footer.encode(footer_at))?;
        self.flush()?;
        Ok(footer)
    }

    /// Where the next byte goes.
    fn at(&self) -> u64 {
        self.out_at + self.out.len() as u64
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.extend_from_slice(bytes);
        if self.out.len() < WRITE_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        write_all(self.file, &self.out, self.out_at)?;
        self.out_at += self.out.len() as u64;
        self.out.clear();
        Ok(())
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> SealError + use<> {
    let path = path.to_owned();
    |source| SealError::Io { path, source }
}
