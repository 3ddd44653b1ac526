//! `tree/tenants`: each tenant's last number at some size of the log, so that a start need not read the whole log.
//!
//! Bytes: `magic "ANTENS1\n" | size u64 | n u64 | n x { tag[16], last_tenant_seq u64 } sorted by tag | crc32c of all before`,
//! little-endian. Written as a whole (a new file renamed over the old one).

use std::collections::HashMap;
use std::io;
use std::path::Path;

use crate::durable::{self, Disk, read_up_to};
use crate::seq::Seq;

const NAME: &str = "tenants";
const MAGIC: &[u8; 8] = b"ANTENS1\n";
const ENTRY_BYTES: usize = 24;
const ENTRIES_AT: usize = 24;

/// The last `tenant_seq` of every tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenants {
    size: Seq,
    last: HashMap<[u8; 16], u64>,
}

/// Numbers given to a batch that is not durable yet.
#[derive(Debug, Default)]
pub struct Numbers {
    last: HashMap<[u8; 16], u64>,
    n: u64,
}

impl Tenants {
    /// Nobody has a number yet.
    pub fn new() -> Tenants {
        Tenants::default()
    }

    /// The log's size up to which these numbers are complete.
    pub fn size(&self) -> Seq {
        self.size
    }

    /// How many tenants there are.
    pub fn len(&self) -> usize {
        self.last.len()
    }

    /// Whether there is no tenant.
    pub fn is_empty(&self) -> bool {
        self.last.is_empty()
    }

    /// A tenant's last number.
    pub fn last(&self, tag: &[u8; 16]) -> Option<u64> {
        self.last.get(tag).copied()
    }

    /// The next number of a tenant within a batch being made: 0 for its first event ever, then gapless.
    /// Nothing changes here until [`Tenants::accept`]; drop the numbers to go back.
    pub fn next(&self, numbers: &mut Numbers, tag: [u8; 16]) -> u64 {
        numbers.n += 1;
        let last = numbers.last.get(&tag).or_else(|| self.last.get(&tag));
        let next = last.map_or(0, |last| last + 1);
        numbers.last.insert(tag, next);
        next
    }

    /// The batch is durable: its numbers are given.
    pub fn accept(&mut self, numbers: Numbers) {
        self.size = self.size.plus(numbers.n);
        self.last.extend(numbers.last);
    }

    /// Reads `dir/tenants`. `None` if it is absent or damaged: rebuild it from the log.
    pub fn load(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Tenants>> {
        let path = dir.join(NAME);
        if !disk.exists(&path)? {
            return Ok(None);
        }
        let file = disk.open_read(&path)?;
        let mut bytes = vec![0; file.len()? as usize];
        let n = read_up_to(&*file, &mut bytes, 0)?;
        Ok(decode(&bytes[..n]))
    }

    /// Replaces `dir/tenants`, durably.
    pub fn save(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        durable::replace(disk, dir, NAME, &self.encode())
    }

    fn encode(&self) -> Vec<u8> {
        let mut entries: Vec<_> = self.last.iter().collect();
        entries.sort_unstable();
        let mut out = Vec::with_capacity(ENTRIES_AT + entries.len() * ENTRY_BYTES + 4);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.size.0.to_le_bytes());
        out.extend_from_slice(&(entries.len() as u64).to_le_bytes());
        for (tag, last) in entries {
            out.extend_from_slice(tag);
            out.extend_from_slice(&last.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }
}

fn decode(b: &[u8]) -> Option<Tenants> {
    let (b, crc) = b.split_last_chunk::<4>()?;
    if crc32c::crc32c(b) != u32::from_le_bytes(*crc) || b.len() < ENTRIES_AT || &b[..8] != MAGIC {
        return None;
    }
    let u64_at = |at: usize| u64::from_le_bytes(b[at..at + 8].try_into().expect("eight bytes are eight bytes"));
    let entries = &b[ENTRIES_AT..];
    if entries.len() as u64 != u64_at(16).checked_mul(ENTRY_BYTES as u64)? {
        return None;
    }
    let entry = |e: &[u8]| {
        let (tag, last) = e.split_at(16);
        Some((tag.try_into().ok()?, u64::from_le_bytes(last.try_into().ok()?)))
    };
    let last = entries.chunks_exact(ENTRY_BYTES).map(entry).collect::<Option<_>>()?;
    Some(Tenants { size: Seq(u64_at(8)), last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::OsDisk;

    #[test]
    fn numbers_are_gapless_per_tenant_and_dropped_ones_are_given_again() {
        let mut tenants = Tenants::new();
        let mut numbers = Numbers::default();
        assert_eq!(tenants.next(&mut numbers, [1; 16]), 0);
        assert_eq!(tenants.next(&mut numbers, [2; 16]), 0);
        assert_eq!(tenants.next(&mut numbers, [1; 16]), 1);
        tenants.accept(numbers);
        assert_eq!(tenants.size(), Seq(3));
        let mut lost = Numbers::default();
        assert_eq!(tenants.next(&mut lost, [1; 16]), 2);
        drop(lost);
        let mut numbers = Numbers::default();
        assert_eq!(tenants.next(&mut numbers, [1; 16]), 2);
        assert_eq!(tenants.last(&[1; 16]), Some(1));
    }

    #[test]
    fn the_file_comes_back_and_any_damage_reads_as_absent() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Tenants::load(&OsDisk, dir.path()).unwrap(), None);
        let mut tenants = Tenants::new();
        let mut numbers = Numbers::default();
        for i in 0..10 {
            tenants.next(&mut numbers, [i % 4; 16]);
        }
        tenants.accept(numbers);
        tenants.save(&OsDisk, dir.path()).unwrap();
        assert_eq!(Tenants::load(&OsDisk, dir.path()).unwrap(), Some(tenants.clone()));
        let good = tenants.encode();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            assert_eq!(decode(&bad), None, "byte {at}");
        }
        assert_eq!(decode(&good[..good.len() - 1]), None);
        assert_eq!(decode(b""), None);
    }
}
