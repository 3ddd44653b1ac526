//! A block of a sealed segment in memory, and the few that were asked for last.
//!
//! One read decompresses a whole block, so whoever reads a page of neighbours should pay for it once. Ranges do not come
//! through here: a long one would push everything else out.

use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

use super::frame::{FRAME_HEADER_BYTES, FrameHeader};
use crate::seq::Seq;

/// The frames of a block, each checked when the block was read.
#[derive(Debug)]
pub(super) struct Block {
    pub first: Seq,
    /// The frames as they were appended, one behind the other.
    pub bytes: Vec<u8>,
    /// Where each begins in `bytes`, and its header.
    pub frames: Vec<(u32, FrameHeader)>,
}

impl Block {
    /// The header and the payload of an event, if it lies in this block.
    pub fn event(&self, seq: Seq) -> Option<(&FrameHeader, &[u8])> {
        let (at, head) = self.frames.get(seq.0.checked_sub(self.first.0)? as usize)?;
        let from = *at as usize + FRAME_HEADER_BYTES;
        Some((head, &self.bytes[from..from + head.payload_len as usize]))
    }

    /// The event's whole frame, padding included.
    pub fn framed(&self, seq: Seq) -> Option<(&FrameHeader, &[u8])> {
        let (at, head) = self.frames.get(seq.0.checked_sub(self.first.0)? as usize)?;
        let at = *at as usize;
        Some((head, &self.bytes[at..at + head.framed_bytes() as usize]))
    }

    /// What keeping it costs.
    fn cost(&self) -> usize {
        self.bytes.len() + self.frames.len() * size_of::<(u32, FrameHeader)>()
    }
}

/// First seq of the segment, number of the block.
type Key = (Seq, usize);

/// The blocks that were asked for last, for all readers.
pub(super) struct Blocks {
    bytes_max: usize,
    /// Held for a look-up or to put one in, never while a block is read or decompressed: two readers may do that for the
    /// same block at once, which costs less than one waiting for the other's disk.
    kept: Mutex<Kept>,
}

struct Kept {
    blocks: LruCache<Key, Arc<Block>>,
    bytes: usize,
}

impl Blocks {
    pub fn new(bytes_max: usize) -> Blocks {
        Blocks { bytes_max, kept: Mutex::new(Kept { blocks: LruCache::unbounded(), bytes: 0 }) }
    }

    /// The block, read with `read` if it is not here.
    pub fn get<E>(&self, key: Key, read: impl FnOnce() -> Result<Block, E>) -> Result<Arc<Block>, E> {
        if let Some(block) = self.kept.lock().blocks.get(&key) {
            return Ok(Arc::clone(block));
        }
        let block = Arc::new(read()?);
        // A block larger than everything would only push the others out.
        if block.cost() <= self.bytes_max {
            self.keep(key, &block);
        }
        Ok(block)
    }

    /// Whether it is here.
    pub fn has(&self, key: Key) -> bool {
        self.kept.lock().blocks.contains(&key)
    }

    fn keep(&self, key: Key, block: &Arc<Block>) {
        let mut kept = self.kept.lock();
        kept.bytes += block.cost();
        if let Some(same) = kept.blocks.put(key, Arc::clone(block)) {
            kept.bytes -= same.cost();
        }
        while kept.bytes > self.bytes_max {
            let Some((_, oldest)) = kept.blocks.pop_lru() else { break };
            kept.bytes -= oldest.cost();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(len: usize) -> Block {
        Block { first: Seq(0), bytes: vec![1; len], frames: Vec::new() }
    }

    #[test]
    fn what_was_asked_for_last_is_kept_and_never_more_than_the_limit() {
        let blocks = Blocks::new(1_000);
        let get = |n: usize, len: usize| {
            let mut was_read = false;
            let read = || {
                was_read = true;
                Ok::<_, ()>(block(len))
            };
            assert_eq!(blocks.get((Seq(7), n), read).unwrap().bytes.len(), len);
            was_read
        };
        assert!(get(0, 400) && get(1, 400));
        assert!(!get(0, 400), "kept");
        assert!(get(2, 400));
        assert!(get(1, 400), "the one asked for longest ago made room");
        assert!(!get(2, 400));
        assert!(get(3, 1_001) && get(3, 1_001), "too large to keep");
        assert!(!get(2, 400), "and nothing made room for it");
        assert!(blocks.kept.lock().bytes <= 1_000);
    }
}
