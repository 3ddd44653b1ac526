//! A disk in memory, for tests: it forgets a random part of what was not synced, runs full, and fails when told to.
//!
//! The model: each write, cut or allocation that was not synced may or may not survive a crash, and a write may survive
//! in part (sectors of 512 bytes); changes of names in a directory survive up to a random one, as in a journal. After a sync
//! that failed the pages count as clean, as Linux has it: the next sync succeeds without them, and they are seen until they
//! are dropped from the cache.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile, Lock, LockError, Space};

const SECTOR_BYTES: usize = 512;
const EVER_AND_EVER: u64 = u64::MAX;

/// A call that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `write_at`
    Write,
    /// `sync_data` and `sync_dir`
    Sync,
    /// Any other.
    Other,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EIO
    Io,
    /// ENOSPC
    Full,
    /// EINTR
    Interrupted,
    /// A read or a write moves half of the bytes. No other call knows that.
    Short,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 4] = [Fault::Io, Fault::Full, Fault::Interrupted, Fault::Short];
}

/// The disk; clones are the same disk.
#[derive(Clone, Debug)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    names: BTreeMap<PathBuf, usize>,
    /// What the names would be after a crash in which no unsynced change survives.
    names_durable: BTreeMap<PathBuf, usize>,
    name_changes: Vec<NameChange>,
    dirs: Vec<PathBuf>,
    files: Vec<Content>,
    /// Grows with each crash: handles from before it are dead.
    life: u64,
    armed: Option<Armed>,
    /// Changes left until the plug is pulled.
    changes_left: Option<u64>,
    /// Bytes that may still be allocated.
    free: u64,
    syncs: u64,
    announced: u64,
    random: u64,
}

/// A failure to come.
#[derive(Debug)]
struct Armed {
    /// Which calls count; `None` for all.
    call: Option<Call>,
    /// Calls left until it.
    left: u64,
    fault: Fault,
}

#[derive(Clone, Debug)]
struct NameChange {
    dir: PathBuf,
    path: PathBuf,
    /// The file it names from now on; `None` if the name is gone.
    file: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, data: Vec<u8> },
    Len(usize),
}

impl Change {
    fn apply_to(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write { at, data } => put(bytes, *at, data),
            Change::Len(len) => bytes.resize(*len, 0),
        }
    }
}

impl Content {
    /// What is not synced yet reaches the disk, whole.
    fn settle(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            change.apply_to(&mut self.durable);
        }
    }
}

impl FaultyDisk {
    /// An empty disk. The seed decides what crashes forget.
    pub fn new(seed: u64) -> FaultyDisk {
        let state = State {
            names: BTreeMap::new(),
            names_durable: BTreeMap::new(),
            name_changes: Vec::new(),
            dirs: Vec::new(),
            files: Vec::new(),
            life: 0,
            armed: None,
            changes_left: None,
            free: EVER_AND_EVER,
            syncs: 0,
            announced: 0,
            random: seed | 1,
        };
        FaultyDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// Pulls the plug: what was not synced survives at random, in parts. Open files of before fail from now on.
    pub fn crash(&self) {
        let mut state = self.state.lock();
        state.life += 1;
        state.armed = None;
        state.changes_left = None;
        let changes_max = state.name_changes.len() as u64;
        let survivors = state.random_below(changes_max + 1) as usize;
        let changes: Vec<NameChange> = state.name_changes.drain(..).collect();
        for change in &changes[..survivors] {
            change.apply_to(&mut state.names_durable);
        }
        state.names = state.names_durable.clone();
        for i in 0..state.files.len() {
            let mut file = std::mem::take(&mut state.files[i]);
            state.survive(&mut file);
            file.now.clone_from(&file.durable);
            state.files[i] = file;
        }
    }

    /// Makes the `nth` (from 0) such call from now fail with an input/output error.
    pub fn fail(&self, call: Call, nth: u64) {
        self.state.lock().armed = Some(Armed { call: Some(call), left: nth, fault: Fault::Io });
    }

    /// Makes the `nth` (from 0) call of whatever kind from now fail.
    pub fn fail_any(&self, nth: u64, fault: Fault) {
        self.state.lock().armed = Some(Armed { call: None, left: nth, fault });
    }

    /// Whether a failure that was asked for has not come yet; it will not come any more.
    pub fn disarm(&self) -> bool {
        self.state.lock().armed.take().is_some()
    }

    /// Pulls the plug at the `nth` (from 0) change from now: every write, cut, sync and change of a name counts as one.
    /// That change and all after it fail; [`FaultyDisk::crash`] then says what survived.
    pub fn fail_from_change(&self, nth: u64) {
        self.state.lock().changes_left = Some(nth);
    }

    /// Changes left until the plug is pulled; as many as one likes if it is not to be.
    pub fn changes_left(&self) -> u64 {
        self.state.lock().changes_left.unwrap_or(EVER_AND_EVER)
    }

    /// How often somebody said what they would read.
    pub fn announced(&self) -> u64 {
        self.state.lock().announced
    }

    /// How many syncs there were: crash at each in turn.
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Leaves room for so many more bytes.
    pub fn set_free(&self, bytes: u64) {
        self.state.lock().free = bytes;
    }

    /// As much room as anyone wants.
    pub fn set_unlimited(&self) {
        self.set_free(EVER_AND_EVER);
    }
}

impl State {
    fn random_below(&mut self, n: u64) -> u64 {
        // xorshift64*: good enough to scatter crashes, and the same on every machine.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % n.max(1)
    }

    /// What was not synced reaches the disk at random, in parts.
    fn survive(&mut self, file: &mut Content) {
        for change in std::mem::take(&mut file.unsynced) {
            match change {
                Change::Len(len) if self.random_below(2) == 0 => file.durable.resize(len, 0),
                Change::Len(_) => {}
                Change::Write { at, data } => self.survive_in_part(&mut file.durable, at, &data),
            }
        }
    }

    fn survive_in_part(&mut self, into: &mut Vec<u8>, at: usize, data: &[u8]) {
        let fate = self.random_below(3);
        if fate == 0 {
            return;
        }
        let mut done = 0;
        while done < data.len() {
            // Sector borders are those of the disk, not of the write.
            let next = ((at + done) / SECTOR_BYTES + 1) * SECTOR_BYTES - at;
            let next = next.min(data.len());
            if fate == 1 || self.random_below(2) == 0 {
                put(into, at + done, &data[done..next]);
            }
            done = next;
        }
    }

    /// Fails if it is time to; answers whether the call is to be cut short.
    fn strike(&mut self, call: Call) -> io::Result<bool> {
        let Some(armed) = self.armed.as_mut().filter(|armed| armed.call.is_none_or(|armed| armed == call)) else {
            return Ok(false);
        };
        if let Some(left) = armed.left.checked_sub(1) {
            armed.left = left;
            return Ok(false);
        }
        let fault = armed.fault;
        self.armed = None;
        match fault {
            Fault::Io => Err(io::Error::other("a failure that was asked for")),
            Fault::Full => Err(io::ErrorKind::StorageFull.into()),
            Fault::Interrupted => Err(io::ErrorKind::Interrupted.into()),
            Fault::Short => Ok(true),
        }
    }

    fn change(&mut self) -> io::Result<()> {
        match &mut self.changes_left {
            Some(0) => Err(io::Error::other("the plug is pulled")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change_name(&mut self, path: &Path, file: Option<usize>) {
        let dir = path.parent().unwrap_or(Path::new("")).to_owned();
        let change = NameChange { dir, path: path.to_owned(), file };
        change.apply_to(&mut self.names);
        self.name_changes.push(change);
    }
}

impl NameChange {
    fn apply_to(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self.file {
            Some(file) => names.insert(self.path.clone(), file),
            None => names.remove(&self.path),
        };
    }
}

fn put(into: &mut Vec<u8>, at: usize, data: &[u8]) {
    if into.len() < at + data.len() {
        into.resize(at + data.len(), 0);
    }
    into[at..at + data.len()].copy_from_slice(data);
}

impl Disk for FaultyDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.strike(Call::Other)?;
        if !state.dirs.iter().any(|d| d == dir) {
            state.dirs.push(dir.to_owned());
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state.lock();
        state.strike(Call::Other)?;
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let mut state = self.state.lock();
        state.strike(Call::Other)?;
        Ok(state.names.contains_key(path) || state.dirs.iter().any(|d| d == path))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.strike(Call::Other)?;
        state.change()?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(Content::default());
        state.change_name(path, Some(file));
        Ok(Arc::new(FaultyFile { disk: self.clone(), file, life: state.life }))
    }

    fn create_secret(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.strike(Call::Other)?;
        let file = state.find(path)?;
        Ok(Arc::new(FaultyFile { disk: self.clone(), file, life: state.life }))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.strike(Call::Other)?;
        state.change()?;
        let file = state.find(from)?;
        state.change_name(to, Some(file));
        state.change_name(from, None);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.strike(Call::Other)?;
        state.change()?;
        state.find(path)?;
        state.change_name(path, None);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.syncs += 1;
        state.change()?;
        state.strike(Call::Sync)?;
        let (synced, rest): (Vec<_>, Vec<_>) = state.name_changes.drain(..).partition(|change| change.dir == dir);
        state.name_changes = rest;
        for change in synced {
            change.apply_to(&mut state.names_durable);
        }
        Ok(())
    }

    fn lock(&self, _path: &Path) -> Result<Box<dyn Lock>, LockError> {
        #[derive(Debug)]
        struct Alone;
        impl Lock for Alone {}
        Ok(Box::new(Alone))
    }

    fn space(&self, _dir: &Path) -> io::Result<Space> {
        Ok(Space { free: self.state.lock().free, total: EVER_AND_EVER })
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    file: usize,
    life: u64,
}

impl FaultyFile {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state.lock();
        if state.life != self.life {
            return Err(io::Error::other("the disk crashed since this file was opened"));
        }
        act(&mut state)
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|state| {
            let is_short = state.strike(Call::Other)?;
            let bytes = &state.files[self.file].now;
            let from = (offset as usize).min(bytes.len());
            let mut n = buf.len().min(bytes.len() - from);
            if is_short && n > 1 {
                n /= 2;
            }
            buf[..n].copy_from_slice(&bytes[from..from + n]);
            Ok(n)
        })
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<usize> {
        self.with(|state| {
            state.change()?;
            let is_short = state.strike(Call::Write)?;
            let at = offset as usize;
            let len = state.files[self.file].now.len();
            let room = (len as u64).saturating_sub(offset).saturating_add(state.free);
            let mut n = (data.len() as u64).min(room) as usize;
            if is_short && n > 1 {
                n /= 2;
            }
            if n == 0 && !data.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            if state.free != EVER_AND_EVER {
                state.free -= ((at + n).saturating_sub(len)) as u64;
            }
            let file = &mut state.files[self.file];
            put(&mut file.now, at, &data[..n]);
            file.unsynced.push(Change::Write { at, data: data[..n].to_vec() });
            Ok(n)
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|state| {
            state.strike(Call::Other)?;
            Ok(state.files[self.file].now.len() as u64)
        })
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.with(|state| {
            state.change()?;
            state.strike(Call::Other)?;
            let file = &mut state.files[self.file];
            let given_back = file.now.len().saturating_sub(len as usize) as u64;
            file.now.resize(len as usize, 0);
            file.unsynced.push(Change::Len(len as usize));
            state.free = state.free.saturating_add(given_back);
            Ok(())
        })
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.with(|state| {
            state.strike(Call::Other)?;
            let end = (offset + len) as usize;
            let file = &mut state.files[self.file];
            let more = end.saturating_sub(file.now.len()) as u64;
            if more > state.free {
                return Err(io::ErrorKind::StorageFull.into());
            }
            if more > 0 {
                file.now.resize(end, 0);
                file.unsynced.push(Change::Len(end));
            }
            if state.free != EVER_AND_EVER {
                state.free -= more;
            }
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|state| {
            state.syncs += 1;
            state.change()?;
            if let Err(error) = state.strike(Call::Sync) {
                // Some of it may have reached the disk; none of it is tried again.
                let mut file = std::mem::take(&mut state.files[self.file]);
                state.survive(&mut file);
                state.files[self.file] = file;
                return Err(error);
            }
            state.files[self.file].settle();
            Ok(())
        })
    }

    /// Nobody looks at modes here.
    fn make_read_only(&self) -> io::Result<()> {
        self.with(|_| Ok(()))
    }

    fn will_need(&self, _: u64, _: u64) -> io::Result<()> {
        self.with(|state| {
            state.announced += 1;
            Ok(())
        })
    }

    fn forget_cache(&self) -> io::Result<()> {
        self.with(|state| {
            state.strike(Call::Other)?;
            let file = &mut state.files[self.file];
            let unsynced = file.unsynced.clone();
            file.now.clone_from(&file.durable);
            unsynced.iter().for_each(|change| change.apply_to(&mut file.now));
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::write_all;

    #[test]
    fn what_was_synced_survives_every_crash_and_the_rest_only_sometimes() {
        let mut lost = 0;
        for seed in 0..50 {
            let disk = FaultyDisk::new(seed * 7919 + 1);
            let (dir, path) = (Path::new("/d"), Path::new("/d/f"));
            disk.create_dir(dir).unwrap();
            let file = disk.create(path).unwrap();
            write_all(&*file, b"kept", 0).unwrap();
            file.sync_data().unwrap();
            disk.sync_dir(dir).unwrap();
            write_all(&*file, b"lost?", 4).unwrap();
            disk.crash();
            assert!(file.sync_data().is_err(), "a handle from before the crash");
            let file = disk.open(path).unwrap();
            let mut bytes = vec![0; 9];
            let n = file.read_at(&mut bytes, 0).unwrap();
            assert_eq!(&bytes[..4], b"kept");
            lost += usize::from(n == 4);
        }
        assert!(0 < lost && lost < 50, "{lost}");
    }

    #[test]
    fn after_a_failed_sync_the_next_one_succeeds_and_the_bytes_are_gone_all_the_same() {
        let mut lost = 0;
        for seed in 0..50 {
            let disk = FaultyDisk::new(seed * 7919 + 1);
            let path = Path::new("/d/f");
            let file = disk.create(path).unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            write_all(&*file, b"lost?", 0).unwrap();
            disk.fail(Call::Sync, 0);
            assert!(file.sync_data().is_err());
            file.sync_data().unwrap();
            assert_eq!(file.len().unwrap(), 5, "the cache still has it");
            file.forget_cache().unwrap();
            lost += usize::from(file.len().unwrap() == 0);
        }
        assert!(0 < lost && lost < 50, "{lost}");
    }

    #[test]
    fn a_full_disk_takes_a_part_and_then_nothing() {
        let disk = FaultyDisk::new(1);
        let file = disk.create(Path::new("/f")).unwrap();
        disk.set_free(3);
        assert_eq!(file.write_at(b"hello", 0).unwrap(), 3);
        assert_eq!(file.write_at(b"lo", 3).unwrap_err().kind(), io::ErrorKind::StorageFull);
        file.truncate(0).unwrap();
        assert_eq!(file.write_at(b"abc", 0).unwrap(), 3);
    }
}
