//! The one room that creates, syncs, renames, locks and preallocates files.
//!
//! Everything above speaks to a [`Disk`], of which there are two: [`os::OsDisk`] makes the system calls, and
//! [`faulty::FaultyDisk`] lives in memory, forgets what was not synced and fails on demand.
//! What the bytes mean is left to others (`log`, `tree`). What we assume of real disks is written in `log/FORMAT.md`.

mod crash;
pub mod faulty;
pub mod os;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use crash::{CRASH_AT, crash_point};
pub use os::OsDisk;

/// A place that keeps files. Paths are whole paths; a change of names is durable only after [`Disk::sync_dir`].
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes a directory (mode 0700) if there is none, and makes its name durable.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The names in a directory, sorted. A directory that is not there is an error of kind `NotFound`.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Whether something of that name is there.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Creates a new file (mode 0600), open for reading and writing. An existing one is an error.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// The same, for a file that only its owner may read and nobody may write once it is closed (mode 0400).
    fn create_secret(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an existing file for reading only.
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file, replacing what had the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the lock file at `path`, held until the answer is dropped. A second holder is refused with the first one's pid.
    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, LockError>;

    /// How much room there is where `dir` lives.
    fn space(&self, dir: &Path) -> io::Result<Space>;
}

/// An open file. Positions are given with each call, so one handle serves many threads.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Reads at `offset`; fewer bytes than asked for only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at `offset`, one system call; may write less than given (a full disk).
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<usize>;

    /// The file's length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts or extends (with zeros) the file to `len` bytes.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Reserves room for `len` bytes from `offset` and extends the file with zeros to there.
    /// Where the file system cannot, nothing happens and that is no error.
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Makes the file's bytes and its length durable (`fdatasync`). After an error nothing may be assumed about them.
    fn sync_data(&self) -> io::Result<()>;

    /// Takes everyone's right to write the file away (mode 0444); handles that are open keep theirs.
    fn make_read_only(&self) -> io::Result<()>;

    /// Asks the system to drop clean cached pages, so that the next reads come from the disk.
    fn forget_cache(&self) -> io::Result<()>;

    /// Says that these bytes will be read soon. The system may have them come from the disk meanwhile, or not.
    fn will_need(&self, offset: u64, len: u64) -> io::Result<()>;
}

/// A held lock; dropping it lets go.
pub trait Lock: Send + Sync + fmt::Debug {}

/// Room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What we may still write.
    pub free: u64,
    /// The whole file system.
    pub total: u64,
}

/// Why a lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{path} is held by process {}; stop it first", .pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()))]
    Held {
        /// The lock file.
        path: String,
        /// The holder, if it wrote its pid.
        pid: Option<u32>,
    },
    /// The lock file could not be opened, locked or written.
    #[error("cannot lock {path}")]
    Io {
        /// The lock file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Reads until `buf` is full or the file ends; answers how much was read.
pub fn read_up_to(file: &dyn DiskFile, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(&mut buf[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// Reads a small file whole. One of more than `bytes_max` is an error of kind `FileTooLarge`.
pub fn read_small(disk: &dyn Disk, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = disk.open_read(path)?;
    let len = file.len()?;
    if len > bytes_max {
        let why = format!("{} has {len} bytes, at most {bytes_max} are expected", path.display());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    let mut bytes = vec![0; len as usize];
    let n = read_up_to(&*file, &mut bytes, 0)?;
    bytes.truncate(n);
    Ok(bytes)
}

/// Reads exactly `buf.len()` bytes; a file that ends sooner is an error of kind `UnexpectedEof`.
pub fn read_exact(file: &dyn DiskFile, buf: &mut [u8], offset: u64) -> io::Result<()> {
    let n = read_up_to(file, buf, offset)?;
    if n < buf.len() {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("{} bytes wanted at {offset}, {n} there", buf.len()),
        ));
    }
    Ok(())
}

/// Writes all of `data`. A write that takes nothing more is an error of kind `StorageFull`.
pub fn write_all(file: &dyn DiskFile, data: &[u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < data.len() {
        match file.write_at(&data[done..], offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::StorageFull.into()),
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Puts `data` under `dir/name` so that after a crash either the old content or the new is there, never a mixture.
///
/// Calls, in order: create `name.tmp`, write, fdatasync, rename, fsync of the directory.
pub fn replace(disk: &dyn Disk, dir: &Path, name: &str, data: &[u8]) -> io::Result<()> {
    replace_in(disk, dir, name, data, Disk::create)
}

/// The same for a secret; see [`Disk::create_secret`].
pub fn replace_secret(disk: &dyn Disk, dir: &Path, name: &str, data: &[u8]) -> io::Result<()> {
    replace_in(disk, dir, name, data, Disk::create_secret)
}

fn replace_in<D: Disk + ?Sized>(
    disk: &D,
    dir: &Path,
    name: &str,
    data: &[u8],
    create: impl FnOnce(&D, &Path) -> io::Result<Arc<dyn DiskFile>>,
) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.tmp"));
    if disk.exists(&temporary)? {
        disk.remove(&temporary)?;
    }
    let file = create(disk, &temporary)?;
    write_all(&*file, data, 0)?;
    file.sync_data()?;
    disk.rename(&temporary, &dir.join(name))?;
    disk.sync_dir(dir)
}

/// Whether an error says that there is no room (disk full, quota used up, file too large for its limit).
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// `N` unpredictable bytes from the system, for ids and salts.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut done = 0;
    while done < N {
        match rustix::rand::getrandom(&mut bytes[done..], rustix::rand::GetRandomFlags::empty()) {
            Ok(n) => done += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(bytes)
}
