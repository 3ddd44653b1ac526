//! A sealed segment, `log/<first>.seg`: header, dictionary, compressed blocks of frames, the COMMITs, a footer, a tail.
//! Encode, decode, refuse; read one block.
//!
//! No byte is without a checksum, and each is checked before what it covers is used. What the frames say is looked at
//! by whoever reads them (`sealed_scan`, `reader`); when a segment is sealed, and how, stands in `sealing`.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use zstd::dict::DecoderDictionary;
use zstd::zstd_safe::DCtx;

use super::blocks::Block;
use super::commit::{COMMIT_BYTES, Commit};
use super::frame::{self, FRAME_HEADER_BYTES, FrameType, PAYLOAD_BYTES_MAX};
use super::header::{Form, HEADER_BYTES, Header, array};
use crate::durable::{DiskFile, read_exact};
use crate::seq::Seq;

/// A block ends with this many events. To read one event costs a block. Smaller ones compress worse, but hardly so with a
/// dictionary: of generated events 8 a block with it take less room than 64 without, and are read in an eighth of the time.
pub(super) const BLOCK_EVENTS: u64 = 8;
/// Those that were written before had up to so many.
const BLOCK_EVENTS_MAX: u64 = 16;
/// A block ends before it would have more bytes than this, unless a single frame is longer.
pub(super) const BLOCK_BYTES_MAX: usize = 64 << 10;
/// A block ends where a tile of the tree does, so that a tile's entries are whole blocks.
pub(super) const TILE_EVENTS: u64 = 256;

/// What a dictionary may have at most. Twice as much saves a fiftieth of the blocks, and costs as much in each open file.
pub(super) const DICTIONARY_BYTES_MAX: usize = 32 << 10;

const VERSION: u16 = 1;
const FOOTER_FIXED_BYTES: usize = 128;
const ENTRY_BYTES: usize = 24;
const TAIL_BYTES: usize = 32;
const TAIL_MAGIC: &[u8; 8] = b"SEALED1\n";
/// More than any segment has: what the lengths in a footer may at most ask us to allocate.
const FOOTER_BYTES_MAX: u64 = 256 << 20;

/// What is announced at a time: 2,048 events, a few hundred KB; a fast export takes 10 ms for them.
const STRETCH_BLOCKS: usize = 256;
/// Who has read so many blocks of a stretch goes through the log; who has read fewer wants single ones.
const STRETCH_READS_MIN: usize = 64;
/// Decompressors that nobody uses now: each has a workspace of 160 KB, and to get that anew for every block costs much of
/// reading it. Held to take one or to put one back.
static IDLE: Mutex<Vec<DCtx<'static>>> = Mutex::new(Vec::new());
/// More are seldom in use at a time on a small machine.
const IDLE_MAX: usize = 8;

/// What a sealed segment's footer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub first: Seq,
    pub end: Seq,
    /// The tree's root at `end`.
    pub root: [u8; 32],
    /// SHA-256 of the `.log` before its SEAL, which can be computed again from what is here.
    pub sha256: [u8; 32],
    /// The length of the `.log` before its SEAL.
    pub log_bytes: u64,
    /// How many of the events are EXCISED.
    pub excised: u32,
    /// How many COMMITs there are.
    pub commits: u32,
    /// Where they are, up to the footer.
    pub commits_at: u64,
    pub commits_crc: u32,
    /// The length of the dictionary between header and blocks, 0 if there is none.
    pub dictionary_bytes: u32,
    pub dictionary_crc: u32,
    pub blocks: Vec<BlockEntry>,
}

/// Where a block is. It ends where the next one begins, the last one at the COMMITs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockEntry {
    pub first: Seq,
    pub at: u64,
    /// Its length before compression.
    pub raw_bytes: u32,
    /// crc32c of the compressed bytes.
    pub crc: u32,
}

/// The first thing in a sealed segment that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    /// Byte in the file.
    pub at: u64,
    /// The event it concerns first.
    pub seq: Seq,
    pub why: &'static str,
}

/// Why something was not read from a sealed segment.
#[derive(Debug)]
pub(super) enum SealedError {
    Io(io::Error),
    Flaw(Flaw),
}

impl From<io::Error> for SealedError {
    fn from(error: io::Error) -> SealedError {
        SealedError::Io(error)
    }
}

impl Footer {
    /// Footer and tail: what a file ends with. `at` is where the footer begins.
    pub fn encode(&self, at: u64) -> Vec<u8> {
        let mut b = Vec::with_capacity(FOOTER_FIXED_BYTES + self.blocks.len() * ENTRY_BYTES + TAIL_BYTES);
        b.extend_from_slice(&VERSION.to_le_bytes());
        b.extend_from_slice(&[0; 2]);
        b.extend_from_slice(&(self.blocks.len() as u32).to_le_bytes());
        b.extend_from_slice(&self.first.0.to_le_bytes());
        b.extend_from_slice(&self.end.0.to_le_bytes());
        b.extend_from_slice(&self.root);
        b.extend_from_slice(&self.sha256);
        b.extend_from_slice(&self.log_bytes.to_le_bytes());
        b.extend_from_slice(&self.excised.to_le_bytes());
        b.extend_from_slice(&self.commits.to_le_bytes());
        b.extend_from_slice(&self.commits_at.to_le_bytes());
        b.extend_from_slice(&self.commits_crc.to_le_bytes());
        b.extend_from_slice(&self.dictionary_bytes.to_le_bytes());
        b.extend_from_slice(&self.dictionary_crc.to_le_bytes());
        b.extend_from_slice(&[0; 4]);
        for block in &self.blocks {
            b.extend_from_slice(&block.first.0.to_le_bytes());
            b.extend_from_slice(&block.at.to_le_bytes());
            b.extend_from_slice(&block.raw_bytes.to_le_bytes());
            b.extend_from_slice(&block.crc.to_le_bytes());
        }
        let mut tail = [0; TAIL_BYTES];
        tail[0..8].copy_from_slice(&at.to_le_bytes());
        tail[8..16].copy_from_slice(&(b.len() as u64).to_le_bytes());
        tail[16..20].copy_from_slice(&crc32c::crc32c(&b).to_le_bytes());
        let crc = crc32c::crc32c(&tail[..20]);
        tail[20..24].copy_from_slice(&crc.to_le_bytes());
        tail[24..32].copy_from_slice(TAIL_MAGIC);
        b.extend_from_slice(&tail);
        b
    }

    /// `None` if these bytes, which begin at `at`, are not a footer that makes sense.
    fn decode(b: &[u8], at: u64) -> Option<Footer> {
        if b.len() < FOOTER_FIXED_BYTES || u16::from_le_bytes(array(b, 0)) != VERSION {
            return None;
        }
        let n = u32::from_le_bytes(array(b, 4)) as usize;
        if b[2..4] != [0; 2] || b[124..128] != [0; 4] || b.len() != FOOTER_FIXED_BYTES + n * ENTRY_BYTES {
            return None;
        }
        let entry = |e: &[u8]| BlockEntry {
            first: Seq(u64::from_le_bytes(array(e, 0))),
            at: u64::from_le_bytes(array(e, 8)),
            raw_bytes: u32::from_le_bytes(array(e, 16)),
            crc: u32::from_le_bytes(array(e, 20)),
        };
        let footer = Footer {
            first: Seq(u64::from_le_bytes(array(b, 8))),
            end: Seq(u64::from_le_bytes(array(b, 16))),
            root: array(b, 24),
            sha256: array(b, 56),
            log_bytes: u64::from_le_bytes(array(b, 88)),
            excised: u32::from_le_bytes(array(b, 96)),
            commits: u32::from_le_bytes(array(b, 100)),
            commits_at: u64::from_le_bytes(array(b, 104)),
            commits_crc: u32::from_le_bytes(array(b, 112)),
            dictionary_bytes: u32::from_le_bytes(array(b, 116)),
            dictionary_crc: u32::from_le_bytes(array(b, 120)),
            blocks: b[FOOTER_FIXED_BYTES..].chunks_exact(ENTRY_BYTES).map(entry).collect(),
        };
        footer.makes_sense(at).then_some(footer)
    }

    /// Whether the parts lie one behind the other without gaps, and the blocks hold what blocks hold.
    fn makes_sense(&self, at: u64) -> bool {
        let Some(begin) = self.blocks.first() else { return false };
        let nexts = self.blocks.iter().skip(1).map(|b| (b.first, b.at)).chain([(self.end, self.commits_at)]);
        let is_block = |(block, (next, end)): (&BlockEntry, (Seq, u64))| {
            block.first < next
                && next.0 - block.first.0 <= BLOCK_EVENTS_MAX
                && block.first.0 / TILE_EVENTS == (next.0 - 1) / TILE_EVENTS
                && block.at < end
                && (1..=frame::framed_bytes(PAYLOAD_BYTES_MAX).max(BLOCK_BYTES_MAX as u64))
                    .contains(&u64::from(block.raw_bytes))
        };
        self.dictionary_bytes as usize <= DICTIONARY_BYTES_MAX
            && begin.at == HEADER_BYTES as u64 + u64::from(self.dictionary_bytes)
            && begin.first == self.first
            && self.commits_at < at
            && (1..=self.end.0.saturating_sub(self.first.0)).contains(&u64::from(self.commits))
            && self.blocks.iter().zip(nexts).all(is_block)
    }

    fn block_end(&self, n: usize) -> (Seq, u64) {
        self.blocks.get(n + 1).map_or((self.end, self.commits_at), |next| (next.first, next.at))
    }
}

/// An open sealed segment whose header, footer and tail are what was written.
pub(super) struct SealedFile {
    pub file: Arc<dyn DiskFile>,
    pub header: Header,
    pub footer: Footer,
    /// The file's length.
    pub bytes: u64,
    footer_at: u64,
    /// Read with the first block: a start opens every file, and needs none of them.
    dictionary: OnceLock<Option<DecoderDictionary<'static>>>,
    /// Where the last single read was, in stretches of [`STRETCH_BLOCKS`].
    last_stretch: AtomicUsize,
    /// How many there were in it.
    stretch_reads: AtomicUsize,
}

impl fmt::Debug for SealedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedFile").field("footer", &self.footer).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl SealedFile {
    /// Reads header, tail and footer. `first` is what the name says; flaws are told of that event.
    pub fn open(file: Arc<dyn DiskFile>, first: Seq) -> Result<SealedFile, SealedError> {
        let flaw = |at, why| SealedError::Flaw(Flaw { at, seq: first, why });
        let bytes = file.len()?;
        let Some(tail_at) = bytes.checked_sub(TAIL_BYTES as u64).filter(|at| *at > HEADER_BYTES as u64) else {
            return Err(flaw(bytes, "the file ends before its tail"));
        };
        let head = read(&*file, 0, HEADER_BYTES as u64, first)?;
        let header = Header::decode(&head, Form::Sealed).map_err(|_| flaw(0, "no valid header of a sealed segment"))?;
        let tail = read(&*file, tail_at, TAIL_BYTES as u64, first)?;
        let footer_at = u64::from_le_bytes(array(&tail, 0));
        let footer_bytes = u64::from_le_bytes(array(&tail, 8));
        let is_tail = &tail[24..] == TAIL_MAGIC
            && u32::from_le_bytes(array(&tail, 20)) == crc32c::crc32c(&tail[..20])
            && footer_at.checked_add(footer_bytes) == Some(tail_at)
            && footer_bytes <= FOOTER_BYTES_MAX;
        if !is_tail {
            return Err(flaw(tail_at, "no valid tail of a sealed segment"));
        }
        let b = read(&*file, footer_at, footer_bytes, first)?;
        if crc32c::crc32c(&b) != u32::from_le_bytes(array(&tail, 16)) {
            return Err(flaw(footer_at, "the footer's checksum does not match"));
        }
        let footer = Footer::decode(&b, footer_at).filter(|f| f.first == header.first_seq);
        let footer = footer.ok_or_else(|| flaw(footer_at, "the footer makes no sense"))?;
        if header.first_seq != first {
            return Err(flaw(40, "the header's first_seq is not the file's name"));
        }
        let (dictionary, last_stretch, stretch_reads) = (OnceLock::new(), usize::MAX.into(), 0.into());
        Ok(SealedFile { file, header, footer, bytes, footer_at, dictionary, last_stretch, stretch_reads })
    }

    /// What the blocks were compressed with.
    fn dictionary(&self) -> Result<Option<&DecoderDictionary<'static>>, SealedError> {
        if let Some(dictionary) = self.dictionary.get() {
            return Ok(dictionary.as_ref());
        }
        let (at, seq) = (HEADER_BYTES as u64, self.footer.first);
        let bytes = read(&*self.file, at, u64::from(self.footer.dictionary_bytes), seq)?;
        if crc32c::crc32c(&bytes) != self.footer.dictionary_crc {
            return Err(SealedError::Flaw(Flaw { at, seq, why: "the dictionary's checksum does not match" }));
        }
        let is_there = !bytes.is_empty();
        Ok(self.dictionary.get_or_init(|| is_there.then(|| DecoderDictionary::copy(&bytes))).as_ref())
    }

    /// The number of the block that holds an event of this segment.
    pub fn block_of(&self, seq: Seq) -> Option<usize> {
        let is_here = self.footer.first <= seq && seq < self.footer.end;
        is_here.then(|| self.footer.blocks.partition_point(|block| block.first <= seq) - 1)
    }

    /// Where a block begins in the file; for a block behind the last one, where the COMMITs do.
    pub fn block_at(&self, n: usize) -> u64 {
        self.footer.blocks.get(n).map_or(self.footer.commits_at, |block| block.at)
    }

    /// These blocks, up to `end`, will be read soon. It is only a hint.
    pub fn announce(&self, from: usize, end: usize) {
        let (from, end) = (self.block_at(from), self.block_at(end));
        let _ = self.file.will_need(from, end - from);
    }

    /// The same for one that is read by itself. The system reads ahead for whoever reads forwards; whoever reads backwards, as an export
    /// of the newest first does, has the stretch before the one at hand announced.
    pub fn read_single(&self, n: usize) -> Result<Block, SealedError> {
        let stretch = n / STRETCH_BLOCKS;
        let last = self.last_stretch.swap(stretch, Ordering::Relaxed);
        if last == stretch {
            self.stretch_reads.fetch_add(1, Ordering::Relaxed);
        } else {
            let reads = self.stretch_reads.swap(1, Ordering::Relaxed);
            if last == stretch + 1 && stretch > 0 && reads >= STRETCH_READS_MIN {
                self.announce((stretch - 1) * STRETCH_BLOCKS, stretch * STRETCH_BLOCKS);
            }
        }
        self.read_block(n)
    }

    /// Reads a block and checks all of its frames. The caller knows that there is such a block.
    pub fn read_block(&self, n: usize) -> Result<Block, SealedError> {
        let entry = &self.footer.blocks[n];
        let (end, end_at) = self.footer.block_end(n);
        let packed = read(&*self.file, entry.at, end_at - entry.at, entry.first)?;
        let flaw = |seq, why| SealedError::Flaw(Flaw { at: entry.at, seq, why });
        if crc32c::crc32c(&packed) != entry.crc {
            return Err(flaw(entry.first, "a block's checksum does not match"));
        }
        let bytes = unpack(&packed, entry.raw_bytes as usize, self.dictionary()?)
            .ok_or_else(|| flaw(entry.first, "a block cannot be decompressed to its length"))?;
        let mut frames = Vec::with_capacity((end.0 - entry.first.0) as usize);
        let mut at = 0;
        for seq in (entry.first.0..end.0).map(Seq) {
            let head = self.frame_at(&bytes[at..], seq).map_err(|why| flaw(seq, why))?;
            frames.push((at as u32, head));
            at += head.framed_bytes() as usize;
        }
        if at != bytes.len() {
            return Err(flaw(entry.first, "a block holds more than its events"));
        }
        Ok(Block { first: entry.first, bytes, frames })
    }

    /// The checked header of the frame of `seq`, which these bytes must begin with.
    fn frame_at(&self, bytes: &[u8], seq: Seq) -> Result<frame::FrameHeader, &'static str> {
        let head = frame::decode(bytes, &self.header.salt).ok_or("no valid frame header")?;
        if head.seq != seq || !matches!(head.frame_type, FrameType::Event | FrameType::Excised) {
            return Err("another frame lies there");
        }
        let rest = bytes.get(FRAME_HEADER_BYTES..head.framed_bytes() as usize).ok_or("a block ends inside a frame")?;
        let (payload, padding) = rest.split_at(head.payload_len as usize);
        if !head.fits(payload) {
            return Err("the payload's checksum does not match");
        }
        match padding.iter().all(|b| *b == 0) {
            true => Ok(head),
            false => Err("a frame's padding is not zero"),
        }
    }

    /// All COMMITs, in order.
    pub fn read_commits(&self) -> Result<Vec<Commit>, SealedError> {
        let at = self.footer.commits_at;
        let flaw = |why| SealedError::Flaw(Flaw { at, seq: self.footer.first, why });
        let packed = read(&*self.file, at, self.footer_at - at, self.footer.first)?;
        if crc32c::crc32c(&packed) != self.footer.commits_crc {
            return Err(flaw("the checksum of the COMMITs does not match"));
        }
        let bytes = unpack(&packed, self.footer.commits as usize * COMMIT_BYTES, None)
            .ok_or_else(|| flaw("the COMMITs cannot be decompressed to their length"))?;
        bytes
            .chunks_exact(COMMIT_BYTES)
            .map(|b| Commit::decode(b).ok_or_else(|| flaw("a COMMIT makes no sense")))
            .collect()
    }
}

/// Exactly `raw_bytes` bytes, or `None`.
fn unpack(packed: &[u8], raw_bytes: usize, dictionary: Option<&DecoderDictionary<'_>>) -> Option<Vec<u8>> {
    // To itself, so that the lock is not held any more.
    let idle = IDLE.lock().pop();
    let mut decompressor = match idle {
        Some(decompressor) => decompressor,
        None => DCtx::try_create()?,
    };
    let mut bytes = Vec::with_capacity(raw_bytes);
    let done = match dictionary {
        Some(dictionary) => decompressor.decompress_using_ddict(&mut bytes, packed, dictionary.as_ddict()),
        None => decompressor.decompress(&mut bytes, packed),
    };
    let mut idle = IDLE.lock();
    if idle.len() < IDLE_MAX {
        idle.push(decompressor);
    }
    (done.is_ok() && bytes.len() == raw_bytes).then_some(bytes)
}

/// A part of the file. That it ends sooner is a flaw of the file, not of the disk.
fn read(file: &dyn DiskFile, at: u64, len: u64, seq: Seq) -> Result<Vec<u8>, SealedError> {
    let mut bytes = vec![0; len as usize];
    match read_exact(file, &mut bytes, at) {
        Ok(()) => Ok(bytes),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            Err(SealedError::Flaw(Flaw { at, seq, why: "the file is shorter than its parts" }))
        }
        Err(e) => Err(SealedError::Io(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer() -> Footer {
        let block = |first, at| BlockEntry { first: Seq(first), at, raw_bytes: 9_000, crc: 5 };
        Footer {
            first: Seq(240),
            end: Seq(280),
            root: [1; 32],
            sha256: [2; 32],
            log_bytes: 100_000,
            excised: 3,
            commits: 4,
            commits_at: 9_000,
            commits_crc: 7,
            dictionary_bytes: 900,
            dictionary_crc: 8,
            blocks: vec![block(240, 4996), block(256, 6_000), block(272, 8_000)],
        }
    }

    #[test]
    fn a_footer_comes_back_as_it_was_written() {
        let bytes = footer().encode(9_100);
        let (b, tail) = bytes.split_at(bytes.len() - TAIL_BYTES);
        assert_eq!(Footer::decode(b, 9_100), Some(footer()));
        assert_eq!(&tail[24..], TAIL_MAGIC);
        assert_eq!(Footer::decode(&b[..b.len() - 1], 9_100), None);
    }

    #[test]
    fn a_footer_whose_parts_do_not_fit_each_other_is_refused() {
        let refused: [fn(&mut Footer); 12] = [
            |f| f.blocks.clear(),
            |f| f.blocks[0].at = 4_997,
            |f| f.dictionary_bytes = 899,
            |f| (f.dictionary_bytes, f.blocks[0].at) = (32_769, 36_865),
            |f| f.blocks[0].first = Seq(241),
            |f| f.blocks[1].at = 4_996,
            |f| f.blocks[1].first = Seq(260),
            |f| f.blocks[1].first = Seq(255),
            |f| f.blocks[2].raw_bytes = 0,
            |f| f.blocks[2].raw_bytes = u32::MAX,
            |f| f.commits_at = 9_100,
            |f| f.commits = 41,
        ];
        for (i, spoil) in refused.iter().enumerate() {
            let mut bad = footer();
            spoil(&mut bad);
            let bytes = bad.encode(9_100);
            assert_eq!(Footer::decode(&bytes[..bytes.len() - TAIL_BYTES], 9_100), None, "case {i}");
        }
    }
}
