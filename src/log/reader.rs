//! Hands out records that are durable and passed their checksums. Any number of threads read while the writer appends.

use std::io;
use std::sync::Arc;

use super::blocks::Block;
use super::frame::{self, FRAME_HEADER_BYTES, FrameType};
use super::scan::{Walk, Walker};
use super::sealed::SealedFile;
use super::segments::{Located, Place, SegmentInfo, Shared, sealed_path, unread};
use crate::durable::{DiskFile, read_exact};
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
    /// The segment's file is asked for, which it has not got in this form.
    #[error("no sealed segment begins at event {segment}")]
    NotSealed {
        /// What was asked for.
        segment: Seq,
    },
    /// A sync failed: nothing is read any more, since nobody knows what is on disk.
    #[error("the log stopped after a failed sync; start again")]
    Stopped,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Reader {
        Reader { shared }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
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

    /// These records will be read soon, each by itself: those that the system has to get from the disk it gets all at once.
    pub fn announce(&self, seqs: &[Seq]) {
        self.shared.announce(seqs);
    }

    /// Records `from..to` in order, read in large pieces. Ends at what was durable when it was called.
    pub fn range(&self, from: Seq, to: Seq) -> Range {
        Range { reader: self.clone(), next: from, to: to.min(self.durable()), at: None, failed: false }
    }

    /// Every event below this is in a sealed segment.
    pub fn sealed(&self) -> Seq {
        let segments = self.segments();
        let first = segments.iter().find(|segment| segment.sealed.is_none()).map(|segment| segment.first);
        first.unwrap_or_else(|| segments.last().map_or(Seq::ZERO, |segment| segment.end))
    }

    /// The file of the sealed segment that begins at `first`, to be copied as it is.
    pub fn sealed_bytes(&self, first: Seq) -> Result<SegmentBytes, ReadError> {
        if self.shared.is_stopped() {
            return Err(ReadError::Stopped);
        }
        self.shared
            .finished(first)
            .filter(|segment| segment.sealed.is_some())
            .ok_or(ReadError::NotSealed { segment: first })?;
        let io = |source| ReadError::Io { segment: first, seq: first, source };
        let file = self.shared.disk.open_read(&sealed_path(&self.shared.log_dir, first)).map_err(io)?;
        let bytes = file.len().map_err(io)?;
        Ok(SegmentBytes { file, segment: first, bytes, at: 0 })
    }

    fn read_into<'b>(&self, seq: Seq, buffer: &'b mut Vec<u8>) -> Result<RecordRef<'b>, ReadError> {
        let Located { segment, place, .. } = self.shared.locate(seq)?;
        let (file, salt, start, upper) = match place {
            Place::Log { file, salt, start, upper } => (file, salt, start, upper),
            Place::Sealed(sealed) => {
                let block = self.shared.block(&sealed, seq)?;
                return copy_event(&block, segment, seq, buffer);
            }
        };
        let corrupt = |why| ReadError::Corrupt { segment, offset: start, seq, why };
        // A frame is at most this long; a larger distance is a rotten table.
        let max = (FRAME_HEADER_BYTES + frame::PAYLOAD_BYTES_MAX + 4096) as u64;
        if upper < start || upper - start > max {
            return Err(corrupt("the table of offsets makes no sense"));
        }
        buffer.resize((upper - start) as usize, 0);
        match read_exact(&*file, buffer, start) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(corrupt("the file ends inside a frame"));
            }
            Err(source) => {
                return Err(ReadError::Io { segment, seq, source });
            }
        }
        let head = frame::decode(buffer, &salt).ok_or_else(|| corrupt("no valid frame header"))?;
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

/// The bytes of a sealed segment's file, in order. Whoever has it can read on whatever becomes of the segment.
#[derive(Debug)]
pub struct SegmentBytes {
    file: Arc<dyn DiskFile>,
    segment: Seq,
    bytes: u64,
    at: u64,
}

impl SegmentBytes {
    /// How many there are in all.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next bytes, at most so many; none at the end.
    pub fn next_piece(&mut self, bytes_max: usize) -> Result<Vec<u8>, ReadError> {
        let mut piece = vec![0; (self.bytes - self.at).min(bytes_max as u64) as usize];
        read_exact(&*self.file, &mut piece, self.at).map_err(|source| ReadError::Io {
            segment: self.segment,
            seq: self.segment,
            source,
        })?;
        self.at += piece.len() as u64;
        Ok(piece)
    }
}

/// The record of `seq` out of a block, copied into `buffer`.
fn copy_event<'b>(block: &Block, segment: Seq, seq: Seq, buffer: &'b mut Vec<u8>) -> Result<RecordRef<'b>, ReadError> {
    let missing = ReadError::Corrupt { segment, offset: 0, seq, why: "the block does not hold the event" };
    let (head, payload) = block.event(seq).ok_or(missing)?;
    buffer.clear();
    buffer.extend_from_slice(payload);
    Ok(RecordRef { seq, flags: head.flags, frame_type: head.frame_type, payload: buffer })
}

/// Records in order; see [`Reader::range`]. Ends after the first error.
pub struct Range {
    reader: Reader,
    next: Seq,
    to: Seq,
    /// The segment being read.
    at: Option<At>,
    failed: bool,
}

/// Where a range is.
struct At {
    /// First seq of the segment.
    segment: Seq,
    /// The seq at which the segment (or the range) ends.
    end: Seq,
    file: AtFile,
}

enum AtFile {
    Log(Walker),
    /// The block at hand is the range's own: through the cache it would push out what others ask for again.
    Sealed(Arc<SealedFile>, Option<Block>),
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
        let (at, seq) = (self.at.as_mut()?, self.next);
        let found = match &mut at.file {
            AtFile::Log(walker) => next_event(walker, at.segment, seq),
            AtFile::Sealed(sealed, block) => next_in_block(sealed, block, at.segment, seq),
        };
        match found {
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
        if self.at.as_ref().is_some_and(|at| self.next < at.end) {
            return Ok(());
        }
        let at = loop {
            let Located { segment, end, place } = self.reader.shared.locate(self.next)?;
            let end = end.min(self.to);
            let file = match place {
                Place::Sealed(sealed) => AtFile::Sealed(sealed, None),
                Place::Log { file, salt, start, .. } => match self.reader.shared.locate(Seq(end.0 - 1))?.place {
                    Place::Log { upper, .. } => AtFile::Log(Walker::new(file, salt, start, upper)),
                    // Sealed between the two look-ups.
                    Place::Sealed(_) => continue,
                },
            };
            break At { segment, end, file };
        };
        self.at = Some(at);
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

/// The record of `seq`, from the block at hand or the one that holds it.
fn next_in_block<'b>(
    sealed: &SealedFile,
    block: &'b mut Option<Block>,
    segment: Seq,
    seq: Seq,
) -> Result<RecordRef<'b>, ReadError> {
    let corrupt = |why| ReadError::Corrupt { segment, offset: sealed.footer.commits_at, seq, why };
    if block.as_ref().is_none_or(|block| block.event(seq).is_none()) {
        let n = sealed
            .block_of(seq)
            .ok_or_else(|| corrupt("the segment holds fewer events than the next one's header says"))?;
        *block = Some(sealed.read_block(n).map_err(|e| unread(e, segment, seq))?);
    }
    let found = block.as_ref().and_then(|block| block.event(seq));
    let (head, payload) = found.ok_or_else(|| corrupt("the block does not hold the event"))?;
    Ok(RecordRef { seq, flags: head.flags, frame_type: head.frame_type, payload })
}
