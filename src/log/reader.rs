//! Hands out records that are durable and passed their checksums. Any number of threads read while the writer appends.

use std::io;
use std::sync::Arc;

use super::frame::{self, FRAME_HEADER_BYTES, FrameType};
use super::scan::{Walk, Walker};
use super::segments::{Located, SegmentInfo, Shared};
use crate::durable::read_exact;
use crate::seq::Seq;

/// Reads the log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

/// A record of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place.
    pub seq: Seq,
    /// The frame's flags, as appended.
    pub flags: u8,
    /// `Event` or `Excised`.
    pub frame_type: FrameType,
    /// The payload, as appended.
    pub payload: Vec<u8>,
}

/// A record in a reader's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Its place.
    pub seq: Seq,
    /// The frame's flags, as appended.
    pub flags: u8,
    /// `Event` or `Excised`.
    pub frame_type: FrameType,
    /// The payload, as appended.
    pub payload: &'a [u8],
}

impl RecordRef<'_> {
    /// A copy that outlives the buffer.
    pub fn to_record(&self) -> Record {
        Record { seq: self.seq, flags: self.flags, frame_type: self.frame_type, payload: self.payload.to_vec() }
    }
}

/// Why a record was not handed out.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not in the log, or not durable yet.
    #[error("event {seq} is not in the log, which ends before {durable}")]
    NotThere {
        /// What was asked for.
        seq: Seq,
        /// The log's durable size.
        durable: Seq,
    },
    /// Its bytes are not what was written.
    #[error("segment {segment} is corrupt at byte {offset} (event {seq}): {why}")]
    Corrupt {
        /// First seq of the segment.
        segment: Seq,
        /// Byte in the segment's file.
        offset: u64,
        /// The event.
        seq: Seq,
        /// What disagrees.
        why: &'static str,
    },
    /// The file could not be read.
    #[error("cannot read event {seq} from segment {segment}")]
    Io {
        /// First seq of the segment.
        segment: Seq,
        /// The event.
        seq: Seq,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A sync failed: nothing is read any more, since nobody knows what is on disk.
    #[error("the log stopped after a failed sync; start again")]
    Stopped,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Reader {
        Reader { shared }
    }

    /// Events that are durable: every seq below this can be read.
    pub fn durable(&self) -> Seq {
        self.shared.durable()
    }

    /// The segment files, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.shared.segments()
    }

    /// Reads one record.
    pub fn read(&self, seq: Seq) -> Result<Record, ReadError> {
        let mut buffer = Vec::new();
        Ok(self.read_into(seq, &mut buffer)?.to_record())
    }

    /// Reads records one by one, in the order asked for, with one buffer. Sort `seqs` for locality.
    pub fn read_many(&self, seqs: &[Seq], each: &mut dyn FnMut(RecordRef<'_>)) -> Result<(), ReadError> {
        let mut buffer = Vec::new();
        for seq in seqs {
            each(self.read_into(*seq, &mut buffer)?);
        }
        Ok(())
    }

    /// Records `from..to` in order, read in large pieces. Ends at what was durable when it was called.
    pub fn range(&self, from: Seq, to: Seq) -> Range {
        Range { reader: self.clone(), next: from, to: to.min(self.durable()), walker: None, failed: false }
    }

    fn read_into<'b>(&self, seq: Seq, buffer: &'b mut Vec<u8>) -> Result<RecordRef<'b>, ReadError> {
        let located = self.shared.locate(seq)?;
        let corrupt = |why| ReadError::Corrupt { segment: located.segment, offset: located.start, seq, why };
        // A frame is at most this long; a larger distance is a rotten table.
        let max = (FRAME_HEADER_BYTES + frame::PAYLOAD_BYTES_MAX + 4096) as u64;
        if located.upper < located.start || located.upper - located.start > max {
            return Err(corrupt("the table of offsets makes no sense"));
        }
        buffer.resize((located.upper - located.start) as usize, 0);
        match read_exact(&*located.file, buffer, located.start) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(corrupt("the file ends inside a frame"));
            }
            Err(source) => {
                return Err(ReadError::Io { segment: located.segment, seq, source });
            }
        }
        let head = frame::decode(buffer, &located.salt).ok_or_else(|| corrupt("no valid frame header"))?;
        let payload = buffer
            .get(FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + head.payload_len as usize)
            .ok_or_else(|| corrupt("the frame is longer than its place"))?;
        if head.seq != seq || !matches!(head.frame_type, FrameType::Event | FrameType::Excised) {
            return Err(corrupt("another frame lies there"));
        }
        if !head.fits(payload) {
            return Err(corrupt("the payload's checksum does not match"));
        }
        Ok(RecordRef { seq, flags: head.flags, frame_type: head.frame_type, payload })
    }
}

/// Records in order; see [`Reader::range`]. Ends after the first error.
pub struct Range {
    reader: Reader,
    next: Seq,
    to: Seq,
    /// The segment being read, and the seq at which it (or the range) ends.
    walker: Option<(Walker, Seq, Seq)>,
    failed: bool,
}

impl Range {
    /// The next record, in the range's own buffer: no copy is made.
    pub fn next_ref(&mut self) -> Option<Result<RecordRef<'_>, ReadError>> {
        if self.failed || self.next >= self.to {
            return None;
        }
        if let Err(e) = self.enter_segment() {
            self.failed = true;
            return Some(Err(e));
        }
        let (walker, segment, _) = self.walker.as_mut()?;
        let (segment, seq) = (*segment, self.next);
        match next_event(walker, segment, seq) {
            Ok(record) => {
                self.next = seq.plus(1);
                Some(Ok(record))
            }
            Err(e) => {
                self.failed = true;
                Some(Err(e))
            }
        }
    }

    /// Opens the segment of the next event, unless it is the one at hand.
    fn enter_segment(&mut self) -> Result<(), ReadError> {
        if self.reader.shared.is_stopped() {
            return Err(ReadError::Stopped);
        }
        if self.walker.as_ref().is_some_and(|(_, _, end)| self.next < *end) {
            return Ok(());
        }
        let Located { file, segment, end, salt, start, .. } = self.reader.shared.locate(self.next)?;
        let end = end.min(self.to);
        let limit = self.reader.shared.locate(Seq(end.0 - 1))?.upper;
        self.walker = Some((Walker::new(file, salt, start, limit), segment, end));
        Ok(())
    }
}

impl Iterator for Range {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Result<Record, ReadError>> {
        self.next_ref().map(|record| record.map(|r| r.to_record()))
    }
}

/// The record of `seq`, which is the next event in the walker's way.
fn next_event(walker: &mut Walker, segment: Seq, seq: Seq) -> Result<RecordRef<'_>, ReadError> {
    let io = |source| ReadError::Io { segment, seq, source };
    walker.skip_to_event().map_err(io)?;
    match walker.next_frame().map_err(io)? {
        Walk::End { at } => Err(ReadError::Corrupt { segment, offset: at, seq, why: "no valid frame header" }),
        Walk::Frame { at, head, .. } if head.seq != seq || head.frame_type == FrameType::Seal => {
            Err(ReadError::Corrupt { segment, offset: at, seq, why: "another frame lies there" })
        }
        Walk::Frame { at, head, payload } => {
            if !head.fits(payload) {
                return Err(ReadError::Corrupt {
                    segment,
                    offset: at,
                    seq,
                    why: "the payload's checksum does not match",
                });
            }
            Ok(RecordRef { seq, flags: head.flags, frame_type: head.frame_type, payload })
        }
    }
}
