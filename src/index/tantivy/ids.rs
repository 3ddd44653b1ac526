//! Which `(tenant, id)` pairs a span holds: a sorted file of hashes, with filters in memory in front.
//!
//! An answer is a candidate, to be confirmed in the log: two ids may share a hash, and the filters let one in
//! 65,536 strangers through.
//!
//! The file, little-endian: `blocks | top | top_len u64 | crc32c(top) u32 | magic "ANNIDS2\n"`.
//! A block is 4,096 bytes: 341 entries `hash u64 | seq - first u32`, sorted, the last block filled up with zeros, and
//! their `crc32c u32`; checked at open and whenever it is
//! read again. The top stays in memory: `first u64 | count u64 | the
//! first hash of every block | for every 768 blocks: filter_len u32, filter`. A filter is `descriptor_len u32 |
//! descriptor (JSON) | fingerprints u16…`, or empty where it is not worth having.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use xorf::{BinaryFuse16, Filter};

use crate::hash::Sha256;
use crate::seq::Seq;

const MAGIC: &[u8; 8] = b"ANNIDS2\n";
const TAIL_BYTES: usize = 20;
const ENTRY_BYTES: usize = 12;
const BLOCK_BYTES: usize = 4_096;
const BLOCK_ENTRIES: usize = 341;
/// One filter stands for this many blocks, a quarter of a million ids: building one for a whole large span at once
/// would take hundreds of MiB.
const FILTER_BLOCKS: usize = 768;
/// Read at once when a file is opened.
const CHECK_BYTES: usize = 256 * BLOCK_BYTES;
/// Below this many ids a filter is not worth its building.
const FILTER_IDS_MIN: usize = 64;

/// The hash that stands for `(tenant, id)`: the first 8 bytes of SHA-256 over both, their lengths apart.
pub fn hash(tenant: &str, id: &str) -> u64 {
    let digest = Sha256::new()
        .chain_update((tenant.len() as u64).to_le_bytes())
        .chain_update(tenant)
        .chain_update(id)
        .finalize();
    u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}

/// The id file of a span.
pub struct IdFile {
    file: File,
    first: Seq,
    count: usize,
    /// The first hash of every block.
    fences: Vec<u64>,
    /// One for each `FILTER_BLOCKS` blocks; where there is none, every look-up reads a block.
    filters: Vec<Option<BinaryFuse16>>,
}

/// Writes the file for these `(hash, seq)` pairs, which rise; no seq is below `first`.
pub fn write(path: &Path, first: Seq, ids: impl Iterator<Item = io::Result<(u64, Seq)>>) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let (mut block, mut fences) = (Vec::with_capacity(BLOCK_BYTES), Vec::new());
    let (mut hashes, mut filters) = (Vec::new(), Vec::new());
    let mut count = 0_u64;
    for id in ids {
        let (hash, seq) = id?;
        if block.is_empty() {
            if !fences.is_empty() && fences.len().is_multiple_of(FILTER_BLOCKS) {
                push_filter(&mut filters, &mut hashes);
            }
            fences.push(hash);
        }
        let offset = u32::try_from(seq.0 - first.0).expect("a span holds far fewer than 2^32 events");
        block.extend_from_slice(&hash.to_le_bytes());
        block.extend_from_slice(&offset.to_le_bytes());
        hashes.push(hash);
        count += 1;
        if block.len() == BLOCK_ENTRIES * ENTRY_BYTES {
            write_block(&mut out, &mut block)?;
        }
    }
    if !block.is_empty() {
        write_block(&mut out, &mut block)?;
    }
    push_filter(&mut filters, &mut hashes);

    let mut top = Vec::with_capacity(16 + 8 * fences.len() + filters.len());
    top.extend_from_slice(&first.0.to_le_bytes());
    top.extend_from_slice(&count.to_le_bytes());
    fences.iter().for_each(|fence| top.extend_from_slice(&fence.to_le_bytes()));
    top.extend_from_slice(&filters);
    out.write_all(&top)?;
    out.write_all(&(top.len() as u64).to_le_bytes())?;
    out.write_all(&crc32c::crc32c(&top).to_le_bytes())?;
    out.write_all(MAGIC)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// The pairs of several files as one rising sequence.
pub fn merged<'a>(files: &[&'a IdFile]) -> impl Iterator<Item = io::Result<(u64, Seq)>> + use<'a> {
    let mut heads: Vec<_> = files.iter().map(|file| file.entries()).collect();
    let mut nexts: Vec<_> = heads.iter_mut().map(Iterator::next).collect();
    std::iter::from_fn(move || {
        // Eight files at most are merged: looking at each head is as quick as a heap. An error comes first, and ends it.
        let present = nexts.iter().enumerate().filter_map(|(index, next)| next.as_ref().map(|next| (index, next)));
        let (index, _) = present.min_by_key(|(_, next)| next.as_ref().ok())?;
        std::mem::replace(&mut nexts[index], heads[index].next())
    })
}

/// The pairs of a file in which some events have other ids. `seqs` and `others` are sorted.
pub fn with_others<'a>(
    file: &'a IdFile,
    seqs: &'a [Seq],
    others: Vec<(u64, Seq)>,
) -> impl Iterator<Item = io::Result<(u64, Seq)>> + use<'a> {
    let is_kept =
        |pair: &io::Result<(u64, Seq)>| pair.as_ref().map_or(true, |(_, seq)| seqs.binary_search(seq).is_err());
    let (mut kept, mut others) = (file.entries().filter(is_kept).peekable(), others.into_iter().peekable());
    std::iter::from_fn(move || match (kept.peek(), others.peek()) {
        (Some(Ok(one)), Some(other)) if other < one => others.next().map(Ok),
        (Some(_), _) => kept.next(),
        (None, _) => others.next().map(Ok),
    })
}

fn write_block(out: &mut impl Write, block: &mut Vec<u8>) -> io::Result<()> {
    block.resize(BLOCK_ENTRIES * ENTRY_BYTES, 0);
    out.write_all(block)?;
    out.write_all(&crc32c::crc32c(block).to_le_bytes())?;
    block.clear();
    Ok(())
}

fn push_filter(out: &mut Vec<u8>, hashes: &mut Vec<u64>) {
    hashes.dedup();
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    // Building can fail only after many unlucky seeds; without a filter every look-up reads the file.
    if hashes.len() >= FILTER_IDS_MIN
        && let Ok(mut filter) = BinaryFuse16::try_from(&*hashes)
    {
        let fingerprints = std::mem::take(&mut filter.fingerprints);
        let descriptor = serde_json::to_vec(&filter).expect("a descriptor is plain data");
        out.extend_from_slice(&length(descriptor.len()));
        out.extend_from_slice(&descriptor);
        fingerprints.iter().for_each(|print| out.extend_from_slice(&print.to_le_bytes()));
        let len = length(out.len() - at - 4);
        out[at..at + 4].copy_from_slice(&len);
    }
    hashes.clear();
}

fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).expect("a filter is far smaller than 4 GiB").to_le_bytes()
}

fn read_filter(bytes: &[u8]) -> Option<BinaryFuse16> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (descriptor, prints) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    let mut filter: BinaryFuse16 = serde_json::from_slice(descriptor).ok()?;
    filter.fingerprints = prints.as_chunks().0.iter().map(|print| u16::from_le_bytes(*print)).collect();
    Some(filter)
}

impl IdFile {
    /// Opens a file and checks all of it: 12 bytes an event, read from end to end.
    ///
    /// # Errors
    /// When it cannot be read, or is not what `write` wrote: the span is then built again.
    pub fn open(path: &Path) -> io::Result<IdFile> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let read = |at: u64, bytes: u64| {
            let mut read = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
            file.read_exact_at(&mut read, at)?;
            Ok::<_, io::Error>(read)
        };
        let tail_at = len.checked_sub(TAIL_BYTES as u64).ok_or_else(broken)?;
        let tail = read(tail_at, TAIL_BYTES as u64)?;
        let top_len = number(&tail[..8]);
        let blocks_len = tail_at.checked_sub(top_len).ok_or_else(broken)?;
        if &tail[12..] != MAGIC || !blocks_len.is_multiple_of(BLOCK_BYTES as u64) {
            return Err(broken());
        }
        let top = read(blocks_len, top_len)?;
        if u64::from(crc32c::crc32c(&top)) != number(&tail[8..12]) {
            return Err(broken());
        }
        let blocks = usize::try_from(blocks_len / BLOCK_BYTES as u64).map_err(io::Error::other)?;
        let (head, rest) = top.split_at_checked(16 + 8 * blocks).ok_or_else(broken)?;
        let fences: Vec<u64> = head[16..].chunks_exact(8).map(number).collect();
        let (mut filters, mut rest) = (Vec::new(), rest);
        while let Some((len, more)) = rest.split_first_chunk() {
            let (filter, more) = more.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or_else(broken)?;
            filters.push(read_filter(filter));
            rest = more;
        }
        let count = usize::try_from(number(&head[8..16])).map_err(io::Error::other)?;
        if count.div_ceil(BLOCK_ENTRIES) != blocks || filters.len() < blocks.div_ceil(FILTER_BLOCKS) {
            return Err(broken());
        }
        for at in (0..blocks_len).step_by(CHECK_BYTES) {
            let chunk = read(at, (blocks_len - at).min(CHECK_BYTES as u64))?;
            chunk.chunks_exact(BLOCK_BYTES).try_for_each(|block| checked(block).map(drop))?;
        }
        Ok(IdFile { file, first: Seq(number(&head[..8])), count, fences, filters })
    }

    /// The seq of the span's first event, as the file says.
    pub fn first(&self) -> Seq {
        self.first
    }

    /// How many ids it holds.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Events of the span that may have this id.
    pub fn candidates(&self, hash: u64) -> io::Result<Vec<Seq>> {
        let mut seqs = Vec::new();
        // Equal hashes may begin at the end of the block before the first one that starts with them.
        let start = self.fences.partition_point(|fence| *fence < hash).saturating_sub(1);
        for block in start..self.fences.len() {
            if self.fences[block] > hash {
                break;
            }
            if self.filters[block / FILTER_BLOCKS].as_ref().is_some_and(|filter| !filter.contains(&hash)) {
                continue;
            }
            let entries = self.block(block)?;
            let from = entries.partition_point(|(other, _)| *other < hash);
            seqs.extend(entries[from..].iter().take_while(|(other, _)| *other == hash).map(|(_, seq)| *seq));
        }
        Ok(seqs)
    }

    fn entries(&self) -> impl Iterator<Item = io::Result<(u64, Seq)>> + use<'_> {
        (0..self.fences.len()).flat_map(|block| {
            let (entries, error) = match self.block(block) {
                Ok(entries) => (entries, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            entries.into_iter().map(Ok).chain(error)
        })
    }

    fn block(&self, index: usize) -> io::Result<Vec<(u64, Seq)>> {
        let mut block = [0; BLOCK_BYTES];
        self.file.read_exact_at(&mut block, (index * BLOCK_BYTES) as u64)?;
        let entries = checked(&block)?;
        let filled = (self.count - index * BLOCK_ENTRIES).min(BLOCK_ENTRIES);
        let entry = |entry: &[u8]| (number(&entry[..8]), self.first.plus(number(&entry[8..])));
        Ok(entries.chunks_exact(ENTRY_BYTES).take(filled).map(entry).collect())
    }
}

/// The entries of a block.
fn checked(block: &[u8]) -> io::Result<&[u8]> {
    let (entries, crc) = block.split_at(BLOCK_ENTRIES * ENTRY_BYTES);
    if u64::from(crc32c::crc32c(entries)) == number(crc) { Ok(entries) } else { Err(broken()) }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the id file is not whole")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(path: &Path, first: Seq, mut ids: Vec<(u64, Seq)>) -> IdFile {
        ids.sort_unstable();
        write(path, first, ids.into_iter().map(Ok)).unwrap();
        IdFile::open(path).unwrap()
    }

    #[test]
    fn every_id_written_is_found_again_and_strangers_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let block = BLOCK_ENTRIES as u64;
        for count in [0, 1, 2, 63, 64, block - 1, block, block + 1, 5_000, block * FILTER_BLOCKS as u64 + 1] {
            let ids = (0..count).map(|n| (hash("acme", &format!("e{n}")), Seq(100 + n))).collect();
            let file = file_of(&dir.path().join(count.to_string()), Seq(100), ids);
            assert_eq!(file.count() as u64, count);
            for n in (0..count).step_by(1 + count as usize / 5_000) {
                assert_eq!(file.candidates(hash("acme", &format!("e{n}"))).unwrap(), [Seq(100 + n)]);
                assert_eq!(file.candidates(hash("other", &format!("e{n}"))).unwrap(), []);
            }
        }
    }

    #[test]
    fn all_events_of_one_hash_are_candidates_also_over_the_end_of_a_block() {
        let dir = tempfile::tempdir().unwrap();
        for before in [0, BLOCK_ENTRIES as u64 - 2, BLOCK_ENTRIES as u64 - 1, BLOCK_ENTRIES as u64] {
            let ids = (0..before).map(|n| (n, Seq(n))).chain((0..700).map(|n| (1_000, Seq(1_000 + n)))).collect();
            let file = file_of(&dir.path().join(before.to_string()), Seq(0), ids);
            assert_eq!(file.candidates(1_000).unwrap(), (1_000..1_700).map(Seq).collect::<Vec<_>>());
            assert_eq!(file.candidates(999).unwrap(), []);
        }
    }

    #[test]
    fn merged_files_hold_what_each_of_them_held() {
        let dir = tempfile::tempdir().unwrap();
        let parts: Vec<IdFile> = (0..8)
            .map(|part| {
                let ids = (0..500).map(|n| (hash("t", &format!("{}", n % 400)), Seq(part * 500 + n))).collect();
                file_of(&dir.path().join(part.to_string()), Seq(part * 500), ids)
            })
            .collect();
        let path = dir.path().join("all");
        write(&path, Seq(0), merged(&parts.iter().collect::<Vec<_>>())).unwrap();
        let all = IdFile::open(&path).unwrap();
        assert_eq!(all.count(), 4_000);
        for n in 0..400 {
            let hash = hash("t", &n.to_string());
            let expected: Vec<Seq> = parts.iter().flat_map(|part| part.candidates(hash).unwrap()).collect();
            assert_eq!(all.candidates(hash).unwrap(), expected);
        }
    }

    #[test]
    fn a_damaged_id_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ids");
        file_of(&path, Seq(0), (0..400).map(|n| (n * 7, Seq(n))).collect());
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(IdFile::open(&path).is_err(), "byte {at}");
        }
        for len in [0, 10, good.len() - 1, BLOCK_BYTES] {
            std::fs::write(&path, &good[..len]).unwrap();
            assert!(IdFile::open(&path).is_err(), "{len} bytes");
        }
    }
}
