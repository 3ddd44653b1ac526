//! Walks the frames of one segment: frame by frame for readers ([`Walker`]), batch by batch for recovery ([`BatchScan`]),
//! which says exactly where the bytes stop being trustworthy.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::commit::Commit;
use super::frame::{self, FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader, FrameType};
use super::header::{Form, HEADER_BYTES, Header};
use super::seal;
use crate::durable::{DiskFile, read_up_to};
use crate::hash::Sha256;
use crate::seq::Seq;

/// Files are read in pieces of this many bytes.
const READ_BYTES: usize = 1 << 20;

/// A moving piece of a file in memory.
struct Window {
    file: Arc<dyn DiskFile>,
    bytes: Vec<u8>,
    /// Where `bytes` begins in the file.
    at: u64,
    /// Nothing is read from here on.
    limit: u64,
}

impl Window {
    fn new(file: Arc<dyn DiskFile>, at: u64, limit: u64) -> Window {
        Window { file, bytes: Vec::new(), at, limit }
    }

    /// Up to `len` bytes from `at` (fewer at the limit), keeping what lies between `keep` and `at`.
    fn get(&mut self, keep: u64, at: u64, len: usize) -> io::Result<&[u8]> {
        let want = (at + len as u64).min(self.limit).max(at);
        let have = self.at + self.bytes.len() as u64;
        if keep < self.at || keep > have {
            self.bytes.clear();
            self.at = keep;
        }
        if want > self.at + self.bytes.len() as u64 {
            let drop = (keep.saturating_sub(self.at) as usize).min(self.bytes.len());
            self.bytes.drain(..drop);
            self.at = keep;
            let old = self.bytes.len();
            let from = self.at + old as u64;
            let more = ((want - from) as usize).max(READ_BYTES).min(self.limit.saturating_sub(from) as usize);
            self.bytes.resize(old + more, 0);
            let got = read_up_to(&*self.file, &mut self.bytes[old..], from)?;
            self.bytes.truncate(old + got);
        }
        let start = ((at - self.at) as usize).min(self.bytes.len());
        let end = (start + len).min(self.bytes.len());
        Ok(&self.bytes[start..end])
    }

    fn slice(&self, range: &Range<u64>) -> &[u8] {
        &self.bytes[(range.start - self.at) as usize..(range.end - self.at) as usize]
    }
}

/// Reads one frame after another.
pub(super) struct Walker {
    window: Window,
    salt: [u8; 8],
    at: u64,
}

/// One step of a [`Walker`].
pub(super) enum Walk<'a> {
    /// A frame with a valid header; the payload is not checked yet.
    Frame { at: u64, head: FrameHeader, payload: &'a [u8] },
    /// No valid frame header, or no whole frame, at this place.
    End { at: u64 },
}

impl Walker {
    pub fn new(file: Arc<dyn DiskFile>, salt: [u8; 8], from: u64, limit: u64) -> Walker {
        Walker { window: Window::new(file, from, limit), salt, at: from }
    }

    /// Steps over COMMIT frames.
    pub fn skip_to_event(&mut self) -> io::Result<()> {
        while let Some(head) = frame::decode(self.window.get(self.at, self.at, FRAME_HEADER_BYTES)?, &self.salt) {
            if head.frame_type != FrameType::Commit {
                break;
            }
            self.at += head.framed_bytes();
        }
        Ok(())
    }

    pub fn next_frame(&mut self) -> io::Result<Walk<'_>> {
        let at = self.at;
        let Some(head) = frame::decode(self.window.get(at, at, FRAME_HEADER_BYTES)?, &self.salt) else {
            return Ok(Walk::End { at });
        };
        let len = head.payload_len as usize;
        let bytes = self.window.get(at, at, FRAME_HEADER_BYTES + len)?;
        if bytes.len() < FRAME_HEADER_BYTES + len {
            return Ok(Walk::End { at });
        }
        self.at = at + head.framed_bytes();
        Ok(Walk::Frame { at, head, payload: &bytes[FRAME_HEADER_BYTES..] })
    }
}

/// Reads whole batches and checks everything about them that can be checked without knowing the tree.
pub(super) struct BatchScan {
    window: Window,
    len: u64,
    salt: [u8; 8],
    /// Where the next batch begins: behind the last good COMMIT.
    pub at: u64,
    /// The next event.
    pub seq: Seq,
    /// The next batch.
    pub batch: u32,
    pub prev_commit_offset: u64,
    /// Of everything before `at`.
    pub sha256: Sha256,
    /// Where the events of this segment begin, in 8-byte units.
    pub starts: Vec<u32>,
    frames: Vec<(u64, FrameHeader)>,
}

/// Where, in a `.log`, the batch ends with which the log holds exactly `size` events; `None` if no batch ends there.
///
/// For a size that is durable: what lies before its end never changes, also while a server appends behind it.
pub fn end_of_batch(file: &Arc<dyn DiskFile>, size: Seq) -> io::Result<Option<u64>> {
    let mut head = vec![0; HEADER_BYTES];
    let got = read_up_to(&**file, &mut head, 0)?;
    let Ok(header) = Header::decode(&head[..got], Form::Log) else {
        return Ok(None);
    };
    if header.first_seq == size {
        return Ok(Some(HEADER_BYTES as u64));
    }
    let mut walker = Walker::new(Arc::clone(file), header.salt, HEADER_BYTES as u64, file.len()?);
    while let Walk::Frame { at, head, .. } = walker.next_frame()? {
        if head.frame_type == FrameType::Commit && head.seq == size {
            return Ok(Some(at + head.framed_bytes()));
        }
    }
    Ok(None)
}

/// One step of a [`BatchScan`].
pub(super) enum Step {
    /// A whole, valid batch; its events can be had from [`BatchScan::events`] until the next step. It began at `at`.
    Batch { at: u64, commit: Commit },
    /// The segment ends with a SEAL, which ends at `end`.
    Sealed { end: u64, root: [u8; 32] },
    /// Only zeros follow.
    Clean,
    /// The bytes at `at`, in the batch that begins at [`BatchScan::at`], are not what we write.
    Invalid { at: u64, why: &'static str },
}

enum Frame {
    Good(FrameHeader),
    Zeros,
    Bad(&'static str),
}

impl BatchScan {
    /// Begins behind the header, which the caller has decoded from the same file.
    pub fn new(file: Arc<dyn DiskFile>, header: &Header) -> io::Result<BatchScan> {
        let len = file.len()?;
        BatchScan::up_to(file, header, len)
    }

    /// The same, as if the file ended at byte `len`: what lies behind it is still being written.
    pub fn up_to(file: Arc<dyn DiskFile>, header: &Header, len: u64) -> io::Result<BatchScan> {
        let mut window = Window::new(file, 0, len);
        let mut sha256 = Sha256::new();
        sha256.update(window.get(0, 0, HEADER_BYTES)?);
        Ok(BatchScan {
            window,
            len,
            salt: header.salt,
            at: HEADER_BYTES as u64,
            seq: header.first_seq,
            batch: 0,
            prev_commit_offset: 0,
            sha256,
            starts: Vec::new(),
            frames: Vec::new(),
        })
    }

    pub fn step(&mut self) -> io::Result<Step> {
        let begin = self.at;
        let first = self.seq;
        let mut next = first;
        let mut at = begin;
        self.frames.clear();
        loop {
            let head = match self.frame(at)? {
                Frame::Good(head) => head,
                Frame::Zeros if at == begin => return self.only_zeros_from(at),
                Frame::Zeros => {
                    return Ok(Step::Invalid { at, why: "zeros inside a batch" });
                }
                Frame::Bad(why) => return Ok(Step::Invalid { at, why }),
            };
            if head.batch != self.batch {
                return Ok(Step::Invalid { at, why: "a frame of another batch" });
            }
            let payload = at + FRAME_HEADER_BYTES as u64..at + FRAME_HEADER_BYTES as u64 + u64::from(head.payload_len);
            match head.frame_type {
                FrameType::Event | FrameType::Excised => {
                    if head.seq != next {
                        return Ok(Step::Invalid { at, why: "a frame with another seq than the one due" });
                    }
                    self.frames.push((at, head));
                    next = next.plus(1);
                    at += head.framed_bytes();
                }
                FrameType::Commit => {
                    let commit = Commit::decode(self.window.slice(&payload));
                    let Some(commit) = commit.filter(|c| self.closes(c, &head, first, next, at)) else {
                        return Ok(Step::Invalid { at, why: "a COMMIT that does not fit its batch" });
                    };
                    let end = at + head.framed_bytes();
                    self.sha256.update(self.window.slice(&(begin..end)));
                    self.starts.extend(self.frames.iter().map(|(start, _)| (start / 8) as u32));
                    self.prev_commit_offset = at;
                    self.at = end;
                    self.seq = next;
                    self.batch += 1;
                    return Ok(Step::Batch { at: begin, commit });
                }
                FrameType::Seal => {
                    let payload = self.window.slice(&payload);
                    let seal =
                        seal::decode(payload).filter(|s| seal::table(payload, s.n).eq(self.starts.iter().copied()));
                    let sha256 = self.sha256.clone().finalize();
                    let good = at == begin && head.seq == next;
                    let Some(seal) = seal.filter(|s| good && s.size == next && s.seal_at == at && s.sha256 == sha256)
                    else {
                        return Ok(Step::Invalid { at, why: "a SEAL that does not fit its segment" });
                    };
                    let end = at + head.framed_bytes();
                    if let Step::Invalid { .. } = self.only_zeros_from(end)? {
                        return Ok(Step::Invalid { at: end, why: "bytes behind the SEAL" });
                    }
                    return Ok(Step::Sealed { end, root: seal.root });
                }
            }
        }
    }

    /// The events of the batch that the last step answered.
    pub fn events(&self) -> impl Iterator<Item = (&FrameHeader, &[u8])> {
        self.frames.iter().map(|(at, head)| {
            let from = at + FRAME_HEADER_BYTES as u64;
            (head, self.window.slice(&(from..from + u64::from(head.payload_len))))
        })
    }

    /// The same events as whole frames, padding included.
    pub fn framed_events(&self) -> impl Iterator<Item = (&FrameHeader, &[u8])> {
        self.frames.iter().map(|(at, head)| (head, self.window.slice(&(*at..at + head.framed_bytes()))))
    }

    /// Whether a valid frame header of a batch later than the one at hand lies anywhere behind `from`.
    pub fn later_batch_after(&mut self, from: u64) -> io::Result<Option<u64>> {
        let mut at = from.next_multiple_of(8);
        while at < self.len {
            let bytes = self.window.get(at, at, READ_BYTES)?;
            if bytes.len() < FRAME_HEADER_BYTES {
                return Ok(None);
            }
            let last = bytes.len() - FRAME_HEADER_BYTES;
            for i in (0..=last).step_by(8) {
                if bytes[i..i + 4] == *FRAME_MAGIC
                    && frame::decode(&bytes[i..], &self.salt).is_some_and(|head| head.batch > self.batch)
                {
                    return Ok(Some(at + i as u64));
                }
            }
            at += (last / 8 * 8 + 8) as u64;
        }
        Ok(None)
    }

    /// Takes the batch of the last step back, for a caller that found its root wrong. Only to stop there.
    pub fn undo_batch(&mut self) {
        if let Some((first, head)) = self.frames.first() {
            self.at = *first;
            self.seq = head.seq;
            self.starts.truncate(self.starts.len() - self.frames.len());
        }
    }

    fn frame(&mut self, at: u64) -> io::Result<Frame> {
        let keep = self.at;
        let bytes = self.window.get(keep, at, FRAME_HEADER_BYTES)?;
        if bytes.iter().all(|b| *b == 0) {
            return Ok(Frame::Zeros);
        }
        let Some(head) = frame::decode(bytes, &self.salt) else {
            return Ok(Frame::Bad("no valid frame header"));
        };
        let whole = head.framed_bytes() as usize;
        let bytes = self.window.get(keep, at, whole)?;
        if bytes.len() < whole {
            return Ok(Frame::Bad("the file ends inside a frame"));
        }
        let (payload, padding) = bytes[FRAME_HEADER_BYTES..].split_at(head.payload_len as usize);
        if !head.fits(payload) {
            return Ok(Frame::Bad("a payload's checksum does not match"));
        }
        if padding.iter().any(|b| *b != 0) {
            return Ok(Frame::Bad("a frame's padding is not zero"));
        }
        Ok(Frame::Good(head))
    }

    fn closes(&self, commit: &Commit, head: &FrameHeader, first: Seq, next: Seq, at: u64) -> bool {
        head.seq == next && commit.closes(first, next, at - self.at, self.prev_commit_offset)
    }

    fn only_zeros_from(&mut self, from: u64) -> io::Result<Step> {
        let mut at = from;
        while at < self.len {
            let bytes = self.window.get(at, at, READ_BYTES)?;
            if let Some(i) = bytes.iter().position(|b| *b != 0) {
                return Ok(Step::Invalid { at: at + i as u64, why: "bytes behind the zeros that end a segment" });
            }
            if bytes.is_empty() {
                break;
            }
            at += bytes.len() as u64;
        }
        Ok(Step::Clean)
    }
}
