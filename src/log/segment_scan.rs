//! A scan through one segment of either form, batch by batch.

use std::io;
use std::sync::Arc;

use super::Corrupt;
use super::ahead::Ahead;
use super::frame::FrameHeader;
use super::header::{Form, HEADER_BYTES, Header};
use super::scan::{BatchScan, Step};
use super::sealed::{Flaw, SealedError, SealedFile};
use super::sealed_scan::SealedScan;
use crate::durable::{DiskFile, read_up_to};
use crate::seq::Seq;

/// Where the header has the seq of its first event.
const FIRST_SEQ_AT: u64 = 40;

/// A scan through a `.log` or a `.seg`.
pub(super) enum SegmentScan {
    Log(BatchScan),
    Sealed(SealedScan),
    /// A `.seg` as well.
    Ahead(Ahead),
}

impl SegmentScan {
    /// Opens the segment that begins at `first`, a `.seg` if it `is_sealed`. A `.log` is read as if it ended at byte `len`, if
    /// that is given. Answers its header as well, or what is wrong with header or footer.
    pub fn open(
        file: Arc<dyn DiskFile>,
        first: Seq,
        is_sealed: bool,
        len: Option<u64>,
    ) -> io::Result<Result<(Header, SegmentScan), Corrupt>> {
        let corrupt = |offset, seq, why: String| Ok(Err(Corrupt { segment: first, offset, seq, why }));
        let (header, scan) = if is_sealed {
            match SealedFile::open(file, first) {
                Ok(sealed) => (sealed.header.clone(), SegmentScan::Sealed(SealedScan::new(Arc::new(sealed)))),
                Err(SealedError::Flaw(Flaw { at, seq, why })) => return corrupt(at, seq, why.to_owned()),
                Err(SealedError::Io(error)) => return Err(error),
            }
        } else {
            let mut head = vec![0; HEADER_BYTES];
            let got = read_up_to(&*file, &mut head, 0)?;
            let header = match Header::decode(&head[..got], Form::Log) {
                Ok(header) => header,
                Err(error) => return corrupt(0, first, error.to_string()),
            };
            let scan = match len {
                Some(len) => BatchScan::up_to(file, &header, len)?,
                None => BatchScan::new(file, &header)?,
            };
            (header, SegmentScan::Log(scan))
        };
        if header.first_seq != first {
            return corrupt(FIRST_SEQ_AT, first, "the header's first_seq is not the file's name".to_owned());
        }
        Ok(Ok((header, scan)))
    }

    /// The same in a thread of its own, which is a batch ahead, if there is much to do for each: for a `.log` there is not.
    pub fn read_ahead(self) -> io::Result<SegmentScan> {
        match self {
            SegmentScan::Sealed(scan) => Ahead::new(scan).map(SegmentScan::Ahead),
            scan @ (SegmentScan::Log(_) | SegmentScan::Ahead(_)) => Ok(scan),
        }
    }

    pub fn step(&mut self) -> io::Result<Step> {
        match self {
            SegmentScan::Log(scan) => scan.step(),
            SegmentScan::Sealed(scan) => scan.step(),
            SegmentScan::Ahead(scan) => scan.step(),
        }
    }

    /// Where the next batch begins in the file; in a sealed one, its block.
    pub fn at(&self) -> u64 {
        match self {
            SegmentScan::Log(scan) => scan.at,
            SegmentScan::Sealed(scan) => scan.at,
            SegmentScan::Ahead(scan) => scan.at,
        }
    }

    /// The next event.
    pub fn seq(&self) -> Seq {
        match self {
            SegmentScan::Log(scan) => scan.seq,
            SegmentScan::Sealed(scan) => scan.seq,
            SegmentScan::Ahead(scan) => scan.seq,
        }
    }

    /// The events of the batch that the last step answered.
    pub fn each_event<E>(&self, mut each: impl FnMut(&FrameHeader, &[u8]) -> Result<(), E>) -> Result<(), E> {
        match self {
            SegmentScan::Log(scan) => scan.events().try_for_each(|(head, payload)| each(head, payload)),
            SegmentScan::Sealed(scan) => scan.batch().events().try_for_each(|(head, payload)| each(head, payload)),
            SegmentScan::Ahead(scan) => scan.batch().events().try_for_each(|(head, payload)| each(head, payload)),
        }
    }

    pub fn undo_batch(&mut self) {
        match self {
            SegmentScan::Log(scan) => scan.undo_batch(),
            SegmentScan::Sealed(scan) => scan.undo_batch(),
            SegmentScan::Ahead(scan) => scan.undo_batch(),
        }
    }
}
