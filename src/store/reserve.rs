//! A little room that is kept back on the disk, so that what the log says about itself can still be written when everything
//! else is full: that a tail was cut, that a repair was made, that something is to be erased.
//!
//! While the reserve is given away no events are taken: it is made again first. On file systems that cannot reserve room it is
//! written; where such zeros take no room (some compress) nothing is kept back.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::{info, warn};

use crate::durable::{Disk, write_all};

/// Bytes that are kept back, unless told otherwise: thousands of such entries, and the files that a start has to write.
pub const RESERVE_BYTES: u64 = 4 << 20;
const FILE: &str = "reserve";
/// Written at a time where room cannot be reserved.
const CHUNK_BYTES: u64 = 1 << 20;

/// The reserve of a data directory.
pub struct Reserve {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    bytes: u64,
    /// Guards whether it is there; held while it is made or given away.
    is_held: Mutex<bool>,
}

impl Reserve {
    /// As it lies in the directory; nothing is changed. With 0 bytes there is none, and none is missed.
    pub fn find(disk: Arc<dyn Disk>, dir: &Path, bytes: u64) -> Reserve {
        let held = disk.open_read(&dir.join(FILE)).and_then(|file| file.len()).is_ok_and(|len| len >= bytes);
        Reserve { disk, dir: dir.to_owned(), bytes, is_held: Mutex::new(held && bytes > 0) }
    }

    /// Gives the room away; answers whether there was any. For what must be written on a full disk.
    pub fn release(&self) -> bool {
        let mut is_held = self.is_held.lock();
        if !*is_held {
            return false;
        }
        match self.disk.remove(&self.dir.join(FILE)) {
            Ok(()) => {
                *is_held = false;
                warn!(
                    "the disk is full: the reserve of {} bytes is used for what the log says about itself",
                    self.bytes
                );
                true
            }
            Err(error) => {
                warn!("the disk is full, and the reserve cannot be used: {error}");
                false
            }
        }
    }

    /// Makes it again if there is room; answers whether events may be taken.
    pub fn ensure(&self) -> bool {
        let mut is_held = self.is_held.lock();
        if *is_held || self.bytes == 0 {
            return true;
        }
        // As much again must be free: a disk that is full at the next event would be no disk with a reserve.
        // Not knowing is no reason to refuse: a full disk shows itself at the write.
        if self.disk.space(&self.dir).is_ok_and(|space| space.free < 2 * self.bytes) {
            return false;
        }
        match self.make() {
            Ok(()) => {
                *is_held = true;
                info!("{} bytes of the disk are kept in reserve", self.bytes);
                true
            }
            Err(error) => {
                warn!("no reserve can be made: {error}");
                let _ = self.disk.remove(&self.dir.join(FILE));
                false
            }
        }
    }

    /// Bytes that must be free for it to be made.
    pub fn wanted(&self) -> u64 {
        2 * self.bytes
    }

    fn make(&self) -> io::Result<()> {
        let path = self.dir.join(FILE);
        if self.disk.exists(&path)? {
            self.disk.remove(&path)?;
        }
        let file = self.disk.create(&path)?;
        file.allocate(0, self.bytes)?;
        let (zeros, mut at) = (vec![0; CHUNK_BYTES.min(self.bytes) as usize], file.len()?);
        while at < self.bytes {
            let n = (self.bytes - at).min(zeros.len() as u64);
            write_all(&*file, &zeros[..n as usize], at)?;
            at += n;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::OsDisk;

    #[test]
    fn the_reserve_takes_room_until_it_is_given_away_and_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let find = |bytes| Reserve::find(OsDisk::shared(), dir.path(), bytes);
        let path = dir.path().join(FILE);
        let reserve = find(1 << 16);
        assert!(!reserve.release(), "there is none yet");
        assert!(reserve.ensure());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 1 << 16);
        let again = find(1 << 16);
        assert!(again.release() && !again.release() && !path.exists());
        assert!(again.ensure() && path.exists());
        assert!(!find(1 << 17).release(), "one that is too small is none");
        assert!(find(0).ensure() && !find(0).release());
    }
}
