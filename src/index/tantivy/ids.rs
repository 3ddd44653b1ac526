//! Which `(tenant, id)` pairs a span holds: a sorted file of hashes, with a filter in memory in front.
//!
//! An answer is a candidate, to be confirmed in the log: two ids may share a hash, and the filter lets one in
//! 65,536 strangers through.
//!
//! The file: `magic "ANNIDS1\n" | first seq u64 | count u32 | crc32c(entries) u32 | entries`, little-endian; an
//! entry is `hash u64 | seq - first u32`, sorted.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256};
use xorf::{BinaryFuse16, Filter};

use crate::seq::Seq;

const MAGIC: &[u8; 8] = b"ANNIDS1\n";
const HEADER_BYTES: usize = 24;
const ENTRY_BYTES: usize = 12;

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
    filter: Option<BinaryFuse16>,
}

impl IdFile {
    /// The bytes of the file for these `(hash, seq)` pairs.
    pub fn encode(first: Seq, mut ids: Vec<(u64, Seq)>) -> Vec<u8> {
        ids.sort_unstable();
        let mut entries = Vec::with_capacity(ids.len() * ENTRY_BYTES);
        for (hash, seq) in &ids {
            let offset = u32::try_from(seq.0 - first.0).expect("a span holds far fewer than 2^32 events");
            entries.extend_from_slice(&hash.to_le_bytes());
            entries.extend_from_slice(&offset.to_le_bytes());
        }
        let mut bytes = Vec::with_capacity(HEADER_BYTES + entries.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&first.0.to_le_bytes());
        bytes.extend_from_slice(
            &u32::try_from(ids.len()).expect("a span holds far fewer than 2^32 events").to_le_bytes(),
        );
        bytes.extend_from_slice(&crc32c::crc32c(&entries).to_le_bytes());
        bytes.extend_from_slice(&entries);
        bytes
    }

    /// Reads and checks a file, and builds its filter.
    ///
    /// # Errors
    /// When it cannot be read, or is not what `encode` wrote: the span is then rebuilt.
    pub fn open(path: &Path) -> io::Result<IdFile> {
        let mut file = File::open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (first, entries) = check(&bytes).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} is not a whole id file", path.display()))
        })?;
        let mut hashes: Vec<u64> = entries.chunks_exact(ENTRY_BYTES).map(|entry| entry_at(entry).0).collect();
        hashes.dedup();
        let filter = match hashes.len() < FILTER_IDS_MIN {
            true => None,
            // Building can fail only after many unlucky seeds; without a filter every lookup reads the file.
            false => BinaryFuse16::try_from(&hashes).ok(),
        };
        Ok(IdFile { file, first, count: entries.len() / ENTRY_BYTES, filter })
    }

    /// The seq of the span's first event, as the file says.
    pub fn first(&self) -> Seq {
        self.first
    }

    /// Events of the span that may have this id.
    pub fn candidates(&self, hash: u64) -> io::Result<Vec<Seq>> {
        if self.filter.as_ref().is_some_and(|filter| !filter.contains(&hash)) {
            return Ok(Vec::new());
        }
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.entry(middle)?.0 < hash {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let mut seqs = Vec::new();
        while low < self.count {
            let (found, offset) = self.entry(low)?;
            if found != hash {
                break;
            }
            seqs.push(self.first.plus(u64::from(offset)));
            low += 1;
        }
        Ok(seqs)
    }

    fn entry(&self, index: usize) -> io::Result<(u64, u32)> {
        let mut entry = [0; ENTRY_BYTES];
        self.file.read_exact_at(&mut entry, (HEADER_BYTES + index * ENTRY_BYTES) as u64)?;
        Ok(entry_at(&entry))
    }
}

fn check(bytes: &[u8]) -> Option<(Seq, &[u8])> {
    let (header, entries) = bytes.split_at_checked(HEADER_BYTES)?;
    let number = |range: std::ops::Range<usize>| header[range].iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
    let is_whole = &header[..8] == MAGIC
        && number(16..20) * ENTRY_BYTES as u64 == entries.len() as u64
        && number(20..24) == u64::from(crc32c::crc32c(entries));
    is_whole.then(|| (Seq(number(8..16)), entries))
}

fn entry_at(entry: &[u8]) -> (u64, u32) {
    let hash = u64::from_le_bytes(entry[..8].try_into().expect("an entry has 12 bytes"));
    let offset = u32::from_le_bytes(entry[8..12].try_into().expect("an entry has 12 bytes"));
    (hash, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_written_is_found_again_and_strangers_are_not() {
        let dir = tempfile::tempdir().unwrap();
        for count in [0_u64, 1, 2, 63, 64, 5_000] {
            let ids = (0..count).map(|n| (hash("acme", &format!("e{n}")), Seq(100 + n))).collect();
            let path = dir.path().join(count.to_string());
            std::fs::write(&path, IdFile::encode(Seq(100), ids)).unwrap();
            let file = IdFile::open(&path).unwrap();
            for n in 0..count {
                assert_eq!(file.candidates(hash("acme", &format!("e{n}"))).unwrap(), [Seq(100 + n)]);
                assert_eq!(file.candidates(hash("other", &format!("e{n}"))).unwrap(), []);
            }
        }
    }

    #[test]
    fn two_events_of_one_hash_are_both_candidates() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ids");
        std::fs::write(&path, IdFile::encode(Seq(0), vec![(7, Seq(3)), (7, Seq(1)), (8, Seq(2))])).unwrap();
        assert_eq!(IdFile::open(&path).unwrap().candidates(7).unwrap(), [Seq(1), Seq(3)]);
    }

    #[test]
    fn a_damaged_id_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ids");
        let good = IdFile::encode(Seq(0), vec![(7, Seq(3)), (9, Seq(1))]);
        for at in 0..good.len() {
            if (8..16).contains(&at) {
                continue; // The first seq is held against the span's own name by whoever opens it.
            }
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(IdFile::open(&path).is_err(), "byte {at}");
        }
        std::fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(IdFile::open(&path).is_err());
    }
}
