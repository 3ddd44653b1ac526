//! The file `promised`: the latest time that pollers may have been told as complete. Stamps of the next start are later.
//!
//! Two slots of 4 KiB, written in turn, each `through_ms u64 | crc32c u32` little-endian and zeros: a torn write spoils
//! the older one only. Losing the file costs nothing unless the clock was set back as well.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tracing::{error, warn};

use crate::durable::{self, Disk, DiskFile};

const NAME: &str = "promised";
const SLOT_BYTES: usize = 4096;
const TIME_BYTES: usize = 8;
const SUM_BYTES: usize = 4;

/// The open file.
pub struct PromisedFile {
    file: Arc<dyn DiskFile>,
    /// 0 or 1: the slot that does not hold the latest.
    next: u64,
    through_ms: u64,
    /// A write failed: what is on disk is not known, so nothing more is promised.
    has_failed: bool,
}

impl PromisedFile {
    /// Opens it, makes it if it is not there.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> io::Result<PromisedFile> {
        let path = dir.join(NAME);
        if !disk.exists(&path)? {
            let empty = [slot(0), slot(0)].concat();
            durable::replace(&*disk, dir, NAME, &empty)?;
        }
        let file = disk.open(&path)?;
        let mut bytes = vec![0; 2 * SLOT_BYTES];
        durable::read_up_to(&*file, &mut bytes, 0)?;
        let (first, second) = (time(&bytes[..SLOT_BYTES]), time(&bytes[SLOT_BYTES..]));
        if first.is_none() && second.is_none() {
            warn!("{} cannot be read: a clock that was set back may break what pollers were told", path.display());
        }
        Ok(PromisedFile {
            file,
            next: u64::from(first > second),
            through_ms: first.max(second).unwrap_or(0),
            has_failed: false,
        })
    }

    /// What is on disk, ms.
    pub fn through_ms(&self) -> u64 {
        self.through_ms
    }

    /// Makes a later time durable. If the disk does not confirm it, nothing more is written until the next start, and
    /// `through_ms` stays.
    pub fn write(&mut self, through_ms: u64) {
        if self.has_failed {
            return;
        }
        let written = durable::write_all(&*self.file, &slot(through_ms), self.next * SLOT_BYTES as u64)
            .and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.through_ms = through_ms;
                self.next ^= 1;
            }
            Err(error) => {
                error!("{NAME} could not be written; complete_through stays behind until the next start: {error}");
                self.has_failed = true;
            }
        }
    }
}

fn slot(through_ms: u64) -> Vec<u8> {
    let mut slot = vec![0; SLOT_BYTES];
    slot[..TIME_BYTES].copy_from_slice(&through_ms.to_le_bytes());
    let sum = crc32c::crc32c(&slot[..TIME_BYTES]);
    slot[TIME_BYTES..TIME_BYTES + SUM_BYTES].copy_from_slice(&sum.to_le_bytes());
    slot
}

fn time(slot: &[u8]) -> Option<u64> {
    let (time, rest) = slot.split_first_chunk::<TIME_BYTES>()?;
    let (sum, _) = rest.split_first_chunk::<SUM_BYTES>()?;
    (u32::from_le_bytes(*sum) == crc32c::crc32c(time)).then_some(u64::from_le_bytes(*time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::OsDisk;

    #[test]
    fn one_rotten_slot_costs_the_latest_time_only() {
        let dir = tempfile::tempdir().unwrap();
        let open = || PromisedFile::open(OsDisk::shared(), dir.path()).unwrap();
        let mut file = open();
        assert_eq!(file.through_ms(), 0);
        file.write(100);
        file.write(200);
        assert_eq!(open().through_ms(), 200);
        let path = dir.path().join(NAME);
        let good = std::fs::read(&path).unwrap();
        for at in 0..2 * SLOT_BYTES {
            let is_covered = at % SLOT_BYTES < TIME_BYTES + SUM_BYTES;
            let mut bad = good.clone();
            bad[at] ^= 1;
            if is_covered {
                std::fs::write(&path, &bad).unwrap();
                let mut file = open();
                assert!([100, 200].contains(&file.through_ms()), "byte {at}");
                // The rotten slot is the one that is written next.
                file.write(300);
                assert_eq!(open().through_ms(), 300);
            }
        }
    }
}
