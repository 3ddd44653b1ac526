//! A directory that refuses to be written to once the store stops: merging millions of events takes a while, nobody in it
//! is asked to give up, and what it has begun is worth nothing without its end.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::tantivy::Directory;
use ::tantivy::directory::error::{DeleteError, OpenReadError, OpenWriteError};
use ::tantivy::directory::{
    AntiCallToken, FileHandle, MmapDirectory, TerminatingWrite, WatchCallback, WatchHandle, WritePtr,
};

/// Bytes between two looks at the flag.
const BUFFER_BYTES: usize = 64 << 10;

/// A directory that can be stopped.
#[derive(Clone, Debug)]
pub struct Stoppable {
    inner: MmapDirectory,
    is_stopping: Arc<AtomicBool>,
}

impl Stoppable {
    /// Writes to `inner` until `is_stopping`.
    pub fn new(inner: MmapDirectory, is_stopping: Arc<AtomicBool>) -> Stoppable {
        Stoppable { inner, is_stopping }
    }
}

struct StoppableWrite {
    inner: WritePtr,
    is_stopping: Arc<AtomicBool>,
}

impl Write for StoppableWrite {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_stopping.load(Ordering::Acquire) {
            return Err(io::Error::other("the store is stopping"));
        }
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl TerminatingWrite for StoppableWrite {
    fn terminate_ref(&mut self, token: AntiCallToken) -> io::Result<()> {
        self.inner.flush()?;
        self.inner.get_mut().terminate_ref(token)
    }
}

impl Directory for Stoppable {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.inner.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.inner.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.inner.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        let inner = self.inner.open_write(path)?;
        let write = StoppableWrite { inner, is_stopping: self.is_stopping.clone() };
        Ok(BufWriter::with_capacity(BUFFER_BYTES, Box::new(write)))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        self.inner.atomic_read(path)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.inner.atomic_write(path, data)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.inner.sync_directory()
    }

    fn watch(&self, callback: WatchCallback) -> ::tantivy::Result<WatchHandle> {
        self.inner.watch(callback)
    }
}
