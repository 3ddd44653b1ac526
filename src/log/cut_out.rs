//! Writes a segment's file again in which the content of some events is cut out: each frame keeps its place and its length, so all else
//! of the segment stays what it was but for the digest in its SEAL.

use std::io;
use std::path::PathBuf;

use super::frame::FrameType;
use super::mend::{Gap, Judge, Remains, SegmentFile, Wanted, mend, read_strictly};
use super::{Commit, Corrupt, VisitError};
use crate::durable::Disk;
use crate::seq::Seq;

/// Why a segment stayed as it was.
#[derive(Debug, thiserror::Error)]
pub enum CutError {
    /// It is not what was written, so nothing is cut out of it.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// It could not be put together.
    #[error(transparent)]
    Gap(#[from] Gap),
    /// One of the events cannot be cut out.
    #[error("event {0} cannot be cut out: nothing of the length of its record stands for it")]
    Event(Seq),
    /// What was written does not read as it should.
    #[error("{path}, read back, has not the same leaves: it was left beside the segment, which is as it was")]
    ReadBack {
        /// What was written.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What an event's frame is to become: `None` if it cannot be cut out.
pub type Cutter<'a> = dyn Fn(Seq, FrameType, &[u8]) -> Option<Vec<u8>> + 'a;
/// The leaf hash of an event's frame.
pub type LeafOf<'a> = dyn Fn(FrameType, &[u8]) -> Option<[u8; 32]> + 'a;

/// Cuts these events out of a file of their segment, and says whether that took anything. With `is_dry_run` it does all but write. `next` is the segment behind it, if there is one. A crash leaves the old file or
/// the new one, and what was begun under another name; nobody else may have the directory.
///
/// # Errors
/// When the file is damaged, or cannot be read or written: then it is as it was.
pub fn cut_out(
    disk: &dyn Disk,
    file: &SegmentFile,
    next: Option<Seq>,
    seqs: &[Seq],
    is_dry_run: bool,
    cutter: &Cutter<'_>,
    leaf_of: &LeafOf<'_>,
) -> Result<bool, CutError> {
    let failed = |source| CutError::Io { path: file.path.clone(), source };
    let before = leaves(disk, file, leaf_of)?;
    let mut remains = Remains::read(disk, file, None).map_err(failed)?;
    // After a crash some files are done.
    if seqs.iter().all(|seq| remains.is_cut_out(*seq)) {
        return Ok(false);
    }
    for seq in seqs {
        if !remains.cut_out(*seq, |frame_type, payload| cutter(*seq, frame_type, payload)) {
            return Err(CutError::Event(*seq));
        }
    }
    let wanted = Wanted { first: file.first, end: next, at_least: file.first.plus(before.len() as u64) };
    let mended = mend(&[&remains], wanted, &mut |_, _, _| true)?;
    if is_dry_run {
        return Ok(true);
    }
    let name = file.path.file_name().and_then(|name| name.to_str()).expect("a segment has a name");
    let part = SegmentFile { path: file.path.with_file_name(format!("{name}.cutting")), ..file.clone() };
    let part_failed = |source| CutError::Io { path: part.path.clone(), source };
    mended.write(disk, &part.path, file.is_sealed, Some(&remains), next.is_some()).map_err(part_failed)?;
    if leaves(disk, &part, leaf_of)? != before {
        return Err(CutError::ReadBack { path: part.path });
    }
    disk.rename(&part.path, &file.path).map_err(failed)?;
    let dir = file.path.parent().expect("a segment lies in a directory");
    disk.sync_dir(dir).map_err(failed)?;
    Ok(true)
}

/// The leaf of each event, if the file is whole.
fn leaves(disk: &dyn Disk, file: &SegmentFile, leaf_of: &LeafOf<'_>) -> Result<Vec<[u8; 32]>, CutError> {
    let mut seen = Leaves { leaf_of, leaves: Vec::new() };
    let failed = |source| CutError::Io { path: file.path.clone(), source };
    let (_, _, flaw) = read_strictly(disk, file, &mut seen).map_err(failed)?;
    match flaw {
        Some(flaw) => Err(flaw.into()),
        None => Ok(seen.leaves),
    }
}

struct Leaves<'a> {
    leaf_of: &'a LeafOf<'a>,
    leaves: Vec<[u8; 32]>,
}

impl Judge for Leaves<'_> {
    fn event(&mut self, seq: Seq, frame_type: FrameType, payload: &[u8]) -> Result<(), VisitError> {
        let leaf = (self.leaf_of)(frame_type, payload);
        self.leaves.push(leaf.ok_or_else(|| VisitError::Corrupt(format!("event {seq} cannot be read as an event")))?);
        Ok(())
    }

    fn commit(&mut self, _: &Commit) -> Result<(), VisitError> {
        Ok(())
    }
}
