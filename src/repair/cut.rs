//! Cuts the content of entries out of the segments of a directory. Nobody else may have it.

use std::io;
use std::path::{Path, PathBuf};

use crate::durable::Disk;
use crate::log::{self, CutError, FrameType, SegmentFile};
use crate::seq::Seq;
use crate::verify::excised::{Uncut, left_of};
use crate::verify::leaf_of;

/// Endings of what a repair, a sealing or a cut that did not end has left in `log/`: a copy of what is cut out, maybe.
const LEFTOVERS: [&str; 4] = [".mending", ".cutting", ".seg.tmp", "copying.part"];

/// What was done with the segments.
#[derive(Debug, Default)]
pub struct CutSegments {
    /// Files that were written again.
    pub written: usize,
    /// Files that were not, and why.
    pub failed: Vec<(PathBuf, CutError)>,
}

/// Cuts these entries out, each as the other one says, file by file: one that fails does not keep the others. With `is_dry_run` it is
/// only tried, up to where a file would be written.
///
/// # Errors
/// When `log/` cannot be listed, or what was left there not be removed.
pub fn cut_segments(
    disk: &dyn Disk,
    dir: &Path,
    entries: &[Uncut],
    is_dry_run: bool,
    progress: &mut dyn FnMut(&Path),
) -> io::Result<CutSegments> {
    let (log_dir, mut done) = (dir.join("log"), CutSegments::default());
    let files = SegmentFile::list(disk, dir)?;
    for (file, seqs) in with_entries(&files, entries) {
        let next = next_first(&files, file);
        let by = |seq| entries.iter().find(|(of, _)| *of == seq).map(|(_, by)| *by);
        let cutter = |seq, frame_type, payload: &[u8]| left_of(frame_type, payload, by(seq)?);
        let leaf = |frame_type: FrameType, payload: &[u8]| leaf_of(frame_type, payload).ok().map(|leaf| leaf.hash());
        progress(&file.path);
        match log::cut_out(disk, file, next, &seqs, is_dry_run, &cutter, &leaf) {
            Ok(is_written) => done.written += usize::from(is_written),
            Err(error) => done.failed.push((file.path.clone(), error)),
        }
    }
    if !is_dry_run {
        for name in disk.list(&log_dir)? {
            if LEFTOVERS.iter().any(|ending| name.ends_with(ending)) {
                disk.remove(&log_dir.join(&name))?;
            }
        }
        disk.sync_dir(&log_dir)?;
    }
    Ok(done)
}

/// Bytes of the largest file out of which something would be cut: so much room it takes.
///
/// # Errors
/// When the files cannot be looked at.
pub fn bytes_needed(disk: &dyn Disk, dir: &Path, seqs: &[Seq]) -> io::Result<u64> {
    let files = SegmentFile::list(disk, dir)?;
    let entries: Vec<Uncut> = seqs.iter().map(|seq| (*seq, *seq)).collect();
    let mut most = 0;
    for (file, _) in with_entries(&files, &entries) {
        most = most.max(disk.open_read(&file.path)?.len()?);
    }
    Ok(most)
}

/// The files that have any of these entries, and which.
fn with_entries<'a>(files: &'a [SegmentFile], entries: &[Uncut]) -> Vec<(&'a SegmentFile, Vec<Seq>)> {
    let inside = |file: &SegmentFile| {
        let next = next_first(files, file);
        let is_inside = |seq: &Seq| *seq >= file.first && next.is_none_or(|next| *seq < next);
        entries.iter().map(|(seq, _)| *seq).filter(is_inside).collect::<Vec<Seq>>()
    };
    files.iter().map(|file| (file, inside(file))).filter(|(_, seqs)| !seqs.is_empty()).collect()
}

fn next_first(files: &[SegmentFile], file: &SegmentFile) -> Option<Seq> {
    files.iter().map(|other| other.first).filter(|first| *first > file.first).min()
}
