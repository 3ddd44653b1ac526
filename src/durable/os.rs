//! The real disk: each method names the system calls it makes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::num::NonZeroU64;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Advice, FallocateFlags, FlockOperation};
use rustix::io::Errno;

use super::{Disk, DiskFile, Lock, LockError, Space};

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

impl OsDisk {
    /// The disk as the trait object that other rooms take.
    pub fn shared() -> Arc<dyn Disk> {
        Arc::new(OsDisk)
    }
}

impl Disk for OsDisk {
    /// `mkdir` (0700), then `fsync` of the parent.
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => return Ok(()),
            Err(e) => return Err(e),
        }
        match dir.parent() {
            Some(parent) if parent.as_os_str().is_empty() => self.sync_dir(Path::new(".")),
            Some(parent) => self.sync_dir(parent),
            None => Ok(()),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            // A name that is not UTF-8 is not one of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    /// `open(O_CREAT | O_EXCL | O_RDWR, 0600)`.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        create_with_mode(path, 0o600)
    }

    /// `open(O_CREAT | O_EXCL | O_RDWR, 0400)`.
    fn create_secret(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        create_with_mode(path, 0o400)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OsFile(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OsFile(File::open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// `open` and `fsync` of the directory.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    /// `open(O_CREAT | O_RDWR, 0600)`, `flock(LOCK_EX | LOCK_NB)`, then our pid as the file's content.
    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, LockError> {
        let failed = |source: io::Error| LockError::Io { path: path.display().to_string(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(failed)?;
                return Err(LockError::Held { path: path.display().to_string(), pid: text.trim().parse().ok() });
            }
            Err(e) => return Err(failed(e.into())),
        }
        file.set_len(0).map_err(failed)?;
        file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0).map_err(failed)?;
        Ok(Box::new(OsLock { _held: file }))
    }

    /// `statvfs`; what only root may use does not count as free.
    fn space(&self, dir: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(Space {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }
}

fn create_with_mode(path: &Path, mode: u32) -> io::Result<Arc<dyn DiskFile>> {
    Ok(Arc::new(OsFile(OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path)?)))
}

/// The lock lives as long as the open file; the kernel lets go of it when the process dies, however it dies.
#[derive(Debug)]
struct OsLock {
    _held: File,
}

impl Lock for OsLock {}

#[derive(Debug)]
struct OsFile(File);

impl DiskFile for OsFile {
    /// `pread`.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    /// `pwrite`.
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(data, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    /// `ftruncate`.
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    /// `fallocate` without `FALLOC_FL_KEEP_SIZE`: the file grows once per step instead of with every batch.
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        loop {
            match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), offset, len) {
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// `fdatasync`.
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    /// `fchmod(0444)`.
    fn make_read_only(&self) -> io::Result<()> {
        self.0.set_permissions(fs::Permissions::from_mode(0o444))
    }

    /// `posix_fadvise(POSIX_FADV_DONTNEED)` over the whole file.
    fn forget_cache(&self) -> io::Result<()> {
        rustix::fs::fadvise(&self.0, 0, None, Advice::DontNeed)?;
        Ok(())
    }

    /// `posix_fadvise(POSIX_FADV_WILLNEED)`.
    fn will_need(&self, offset: u64, len: u64) -> io::Result<()> {
        rustix::fs::fadvise(&self.0, offset, NonZeroU64::new(len), Advice::WillNeed)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{read_up_to, replace, write_all};

    #[test]
    fn a_second_holder_of_the_lock_is_refused_with_the_first_ones_pid() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let held = OsDisk.lock(&path).unwrap();
        match OsDisk.lock(&path) {
            Err(LockError::Held { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(held);
        OsDisk.lock(&path).unwrap();
    }

    #[test]
    fn an_allocated_file_reads_as_zeros_and_has_the_new_length() {
        let dir = tempfile::tempdir().unwrap();
        let file = OsDisk.create(&dir.path().join("f")).unwrap();
        write_all(&*file, b"abc", 0).unwrap();
        file.allocate(0, 8192).unwrap();
        assert_eq!(file.len().unwrap(), 8192);
        let mut buf = vec![1; 9000];
        assert_eq!(read_up_to(&*file, &mut buf, 0).unwrap(), 8192);
        assert_eq!(&buf[..4], b"abc\0");
        assert!(buf[3..8192].iter().all(|b| *b == 0));
        file.forget_cache().unwrap();
    }

    #[test]
    fn a_replaced_file_has_the_new_content_and_leaves_no_temporary_one() {
        let dir = tempfile::tempdir().unwrap();
        replace(&OsDisk, dir.path(), "note", b"one").unwrap();
        replace(&OsDisk, dir.path(), "note", b"two").unwrap();
        assert_eq!(fs::read(dir.path().join("note")).unwrap(), b"two");
        assert_eq!(OsDisk.list(dir.path()).unwrap(), ["note"]);
        assert!(OsDisk.space(dir.path()).unwrap().free > 0);
    }
}
