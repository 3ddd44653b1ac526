//! The keys of those whom entries are about: one for each, drawn at random, wrapped, in a file of fixed slots. What is sealed with
//! somebody's key is unreadable wherever it lies from the moment that key is destroyed.
//!
//! Promises: a key is on disk before what it seals ([`Keyring::sync`]); the number of a key is never given to another; an
//! erased key is overwritten where it stood and does not come back; the file alone opens nothing and names nobody; no
//! secret is printed, and of those that stay in memory none is swapped, as far as the system lets us.

mod aead;
pub mod kek;
mod kept;
mod live;
pub mod part;
mod slot;

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::durable::{self, Disk, DiskFile, crash_point};
use crate::hash::KeySource;
use kek::{Kek, Secret};
use kept::Kept;
use live::LiveKeys;
pub use slot::SLOT_BYTES;
use slot::{Header, Live, Slot};

/// Where the keys are kept, in the data directory.
pub const FILE: &str = "keyring";
/// Keys there may be, erased ones too: 2 GiB of slots.
pub const KEYS_MAX: u64 = 1 << 24;
/// Slots that are read at once when all of them are: one by one, a million took most of a start.
const SLOTS_AT_ONCE: u64 = if cfg!(test) { 3 } else { 4_096 };
/// What the key of a part is drawn for, before the kind of the part.
const PART_INFO: &[u8] = b"annals/part/v1\0";

/// Somebody whom entries are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// Whose they are.
    pub tenant: &'a str,
    /// `contact`.
    pub kind: &'a str,
    /// What their tenant knows them by.
    pub id: &'a str,
}

/// Why a keyring cannot be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The file.
    #[error("cannot read or write {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is something else, or its first slot rotted.
    #[error("{0} is no keyring, or its first 128 bytes are not what was written")]
    NotAKeyring(PathBuf),
    /// It has the keys of another log's subjects.
    #[error("{0} is the keyring of another log")]
    OtherLog(PathBuf),
    /// It was wrapped with another key-encryption key.
    #[error(
        "{0} was made with another key-encryption key: put the right one in its place, without it nothing that was sealed can be read \
         (if it is lost: move the keyring away and start with accept_lost_keyring)"
    )]
    OtherKek(PathBuf),
    /// Full.
    #[error("there are {KEYS_MAX} keys already, erased ones included")]
    TooMany,
    /// A write could not be confirmed before: the process has to start again.
    #[error("{0}: a write could not be confirmed, so no further one is tried")]
    Poisoned(PathBuf),
}

/// The keyring of a data directory.
pub struct Keyring {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    header: Header,
    kek: Kek,
    /// Keys of parts are drawn from those of subjects.
    parts: KeySource,
    /// Makes of a subject what stands for it. Drawn with the keyring and wrapped in its header, so that it stays when another key wraps.
    naming: Kept,
    /// Held to look up a key, to make one and to destroy one.
    state: Mutex<State>,
    /// Keys that count as destroyed, whatever the file says.
    denied: RwLock<HashSet<u64>>,
    /// Held during a sync, before `state`: the system tells of a failed write once, and whoever hears of it must be the one who says so.
    syncing: Mutex<()>,
}

struct State {
    /// The next key's number. Number 0 is the header's.
    next: u64,
    /// The keys that count.
    live: LiveKeys,
    /// Keys below this are on disk.
    synced: u64,
    /// Slots that cannot be read.
    unreadable: u64,
    is_poisoned: bool,
}

impl Keyring {
    /// Opens the keyring of a directory, or makes it.
    ///
    /// # Errors
    /// When the disk fails, or the file is not the one of this log and this key-encryption key.
    pub fn open(disk: &dyn Disk, dir: &Path, log_id: [u8; 16], kek: Kek) -> Result<Keyring, KeyringError> {
        let path = dir.join(FILE);
        let failed = |source| KeyringError::Io { path: path.clone(), source };
        if !disk.exists(&path).map_err(failed)? {
            let naming = Secret::new(durable::random().map_err(failed)?);
            let (nonce, check) = kek.wrap(&naming, &log_id).map_err(failed)?;
            let header = Header { log_id, generation: 1, nonce, check };
            durable::replace(disk, dir, FILE, &header.encode()).map_err(failed)?;
        }
        let file = disk.open(&path).map_err(failed)?;
        // What is read here may be known to the cache only, after a start that ended before its sync.
        file.sync_data().map_err(failed)?;
        Keyring::read(file, path, log_id, kek)
    }

    /// The same to read with only: nothing is made, and nothing written.
    ///
    /// # Errors
    /// As [`Keyring::open`], and if there is none.
    pub fn open_to_look(disk: &dyn Disk, dir: &Path, log_id: [u8; 16], kek: Kek) -> Result<Keyring, KeyringError> {
        let path = dir.join(FILE);
        let file = disk.open_read(&path).map_err(|source| KeyringError::Io { path: path.clone(), source })?;
        Keyring::read(file, path, log_id, kek)
    }

    fn read(file: Arc<dyn DiskFile>, path: PathBuf, log_id: [u8; 16], kek: Kek) -> Result<Keyring, KeyringError> {
        let failed = |source| KeyringError::Io { path: path.clone(), source };
        let slots = file.len().map_err(failed)? / SLOT_BYTES as u64;
        let header = match slots {
            0 => None,
            _ => Header::decode(&read_slot(&*file, 0).map_err(failed)?),
        };
        let header = header.ok_or_else(|| KeyringError::NotAKeyring(path.clone()))?;
        if header.log_id != log_id {
            return Err(KeyringError::OtherLog(path));
        }
        let Some(naming) = kek.unwrap(&header.nonce, &header.check, &log_id) else {
            return Err(KeyringError::OtherKek(path));
        };
        let mut state = State { next: 1, live: LiveKeys::default(), synced: 0, unreadable: 0, is_poisoned: false };
        each_slot(&*file, 1..slots, |number, slot| {
            match Slot::decode(slot) {
                Slot::Free => return,
                Slot::Live(live) => state.live.push(Whose::of(&live.subject), number),
                Slot::Erased { .. } => {}
                Slot::Unreadable => state.unreadable += 1,
            }
            state.next = number + 1;
        })
        .map_err(failed)?;
        state.synced = state.next;
        Ok(Keyring {
            file,
            path,
            parts: KeySource::new(&header.log_id),
            header,
            kek,
            naming: Kept::new(&naming),
            denied: RwLock::default(),
            state: Mutex::new(state),
            syncing: Mutex::new(()),
        })
    }

    /// The log whose subjects' keys these are.
    pub fn log_id(&self) -> [u8; 16] {
        self.header.log_id
    }

    /// One more with each new file that the same keys were wrapped into.
    pub fn generation(&self) -> u32 {
        self.header.generation
    }

    /// The same for a log to remember, 0 as long as there was no key: then nothing would be lost with it.
    pub fn generation_used(&self) -> u32 {
        if self.has_keys() { self.generation() } else { 0 }
    }

    /// Wraps all keys with another key-encryption key, into a new file in the place of this one. Nobody else may use it meanwhile.
    /// Slots that cannot be read stay as they are. Answers how many keys were wrapped.
    ///
    /// # Errors
    /// When the disk fails or a key does not open; then the old file is there as it was.
    pub fn rewrap(&self, disk: &dyn Disk, dir: &Path, to: &Kek) -> Result<u64, KeyringError> {
        let state = self.state.lock();
        let failed = |source| self.failed(source);
        let log_id = self.header.log_id;
        let (nonce, check) = to.wrap(&self.naming, &log_id).map_err(failed)?;
        let header = Header { log_id, generation: self.header.generation + 1, nonce, check };
        let mut bytes = zeroize::Zeroizing::new(header.encode().to_vec());
        let mut wrapped_keys = 0;
        for number in 1..state.next {
            let slot = read_slot(&*self.file, number).map_err(failed)?;
            let Slot::Live(live) = Slot::decode(&slot) else {
                bytes.extend_from_slice(&slot);
                continue;
            };
            let place = self.place(number, &live.subject);
            let key = self.kek.unwrap(&live.nonce, &live.wrapped, &place);
            let key = key.ok_or_else(|| failed(io::Error::other(format!("the key in slot {number} does not open"))))?;
            let (nonce, wrapped) = to.wrap(&key, &place).map_err(failed)?;
            bytes.extend_from_slice(&Slot::Live(Live { nonce, wrapped, ..live }).encode());
            wrapped_keys += 1;
        }
        durable::replace(disk, dir, FILE, &bytes).map_err(failed)?;
        Ok(wrapped_keys)
    }

    /// The number of the key that seals what is about somebody from now on; a new one if they have none that counts.
    /// Nothing that it seals may be written before [`Keyring::sync`].
    ///
    /// # Errors
    /// When the disk fails or the keyring is full; then there is no new key.
    pub fn key_for(&self, subject: &Subject<'_>, now_ms: u64) -> Result<u64, KeyringError> {
        let tag = kek::tag(&self.naming, subject);
        let mut state = self.state.lock();
        if let Some(number) = self.live_of(&state, &tag)?.pop() {
            return Ok(number);
        }
        self.refuse_if_poisoned(&state)?;
        let number = state.next;
        if number > KEYS_MAX {
            return Err(KeyringError::TooMany);
        }
        let key = Secret::new(durable::random().map_err(|source| self.failed(source))?);
        let (nonce, wrapped) = self.kek.wrap(&key, &self.place(number, &tag)).map_err(|source| self.failed(source))?;
        let slot = Slot::Live(Live { created_ms: now_ms, subject: tag, nonce, wrapped });
        self.write(number, &slot)?;
        state.next += 1;
        state.live.push(Whose::of(&tag), number);
        Ok(number)
    }

    /// The numbers of somebody's keys that count, the oldest first.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn keys_of(&self, subject: &Subject<'_>) -> Result<Vec<u64>, KeyringError> {
        self.live_of(&self.state.lock(), &kek::tag(&self.naming, subject))
    }

    fn live_of(&self, state: &State, tag: &[u8; 32]) -> Result<Vec<u64>, KeyringError> {
        let mut numbers = Vec::new();
        for number in state.live.of(Whose::of(tag)) {
            let is_theirs = match self.slot(number)? {
                Slot::Live(live) => live.subject == *tag,
                // It rotted while it was open: theirs, as good as certainly. No other key is made behind their back.
                Slot::Unreadable => true,
                Slot::Free | Slot::Erased { .. } => false,
            };
            if is_theirs {
                numbers.push(number);
            }
        }
        Ok(numbers)
    }

    /// Whether the secrets that are kept while it is open are never swapped.
    pub fn is_locked(&self) -> bool {
        self.naming.is_locked() && self.kek.is_locked()
    }

    /// Returns when all keys that were given out are on disk.
    ///
    /// # Errors
    /// When that cannot be confirmed. Then nothing more can be made or erased here: the process has to start again.
    pub fn sync(&self) -> Result<(), KeyringError> {
        let _syncing = self.syncing.lock();
        let next = {
            let state = self.state.lock();
            self.refuse_if_poisoned(&state)?;
            if state.synced == state.next {
                return Ok(());
            }
            state.next
        };
        self.confirm(next)
    }

    /// Syncs the keys below `next`. Called with `syncing` held, and without `state`.
    fn confirm(&self, next: u64) -> Result<(), KeyringError> {
        let synced = self.file.sync_data();
        let mut state = self.state.lock();
        match synced {
            Ok(()) => state.synced = state.synced.max(next),
            Err(_) => state.is_poisoned = true,
        }
        synced.map_err(|source| self.failed(source))
    }

    /// Destroys a key where it stands, and returns when that is on disk; before that nobody is given it any more. `false` if it
    /// was destroyed before, or never was.
    ///
    /// # Errors
    /// When that cannot be confirmed; it may be tried again.
    pub fn erase(&self, number: u64, now_ms: u64) -> Result<bool, KeyringError> {
        Ok(self.erase_all(&[number], now_ms)? > 0)
    }

    /// Overwrites a key where it stands, if it is one.
    fn overwrite(&self, state: &mut State, number: u64, now_ms: u64) -> Result<bool, KeyringError> {
        if number == 0 || number >= state.next {
            return Ok(false);
        }
        let slot = self.written(number)?;
        let created_ms = match &slot {
            Slot::Live(live) => live.created_ms,
            // Whatever rotted there is gone for sure.
            Slot::Unreadable => 0,
            Slot::Free | Slot::Erased { .. } => return Ok(false),
        };
        self.write(number, &Slot::Erased { created_ms, erased_ms: now_ms })?;
        // Still under the lock, and only now: a key that could not be overwritten is found by whoever tries again.
        if let Slot::Live(Live { subject, .. }) = &slot {
            state.live.remove(Whose::of(subject), number);
        }
        Ok(true)
    }

    /// Destroys all of these with one sync; what was destroyed before is left as it is. Answers how many were.
    ///
    /// # Errors
    /// As [`Keyring::erase`]; some may be destroyed.
    pub fn erase_all(&self, numbers: &[u64], now_ms: u64) -> Result<u64, KeyringError> {
        let _syncing = self.syncing.lock();
        let mut state = self.state.lock();
        self.refuse_if_poisoned(&state)?;
        let mut erased = 0;
        for number in numbers {
            erased += u64::from(self.overwrite(&mut state, *number, now_ms)?);
        }
        let next = state.next;
        drop(state);
        crash_point("keyring.overwritten");
        // Also if all read as erased: that may be known to the cache only.
        self.confirm(next)?;
        Ok(erased)
    }

    /// Whether there are or were any keys.
    pub fn has_keys(&self) -> bool {
        self.state.lock().next > 1
    }

    /// When the key of this number was made, ms, and whose it is; `None` if it is destroyed in the file, or never was.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn alive(&self, number: u64) -> Result<Option<(u64, Whose)>, KeyringError> {
        Ok(match self.written(number)? {
            Slot::Live(live) => Some((live.created_ms, Whose::of(&live.subject))),
            Slot::Free | Slot::Erased { .. } | Slot::Unreadable => None,
        })
    }

    /// What tells somebody's keys from those of others.
    pub fn whose(&self, subject: &Subject<'_>) -> Whose {
        Whose::of(&kek::tag(&self.naming, subject))
    }

    /// From now on these count as destroyed, although the file may have them: it cannot be changed, or not now.
    pub fn deny(&self, numbers: &[u64]) {
        let numbers: HashSet<u64> = numbers.iter().copied().collect();
        let mut state = self.state.lock();
        state.live.remove_all(&numbers);
        self.denied.write().extend(numbers);
    }

    /// The number that the next key gets.
    pub fn next(&self) -> u64 {
        self.state.lock().next
    }

    /// Numbers below this were given, whatever the file says: none of them is given again.
    pub fn skip_to(&self, next: u64) {
        let mut state = self.state.lock();
        state.next = state.next.max(next);
        state.synced = state.synced.max(next);
    }

    /// Whether a write could not be confirmed: the process has to start again.
    pub fn is_poisoned(&self) -> bool {
        self.state.lock().is_poisoned
    }

    /// Whether the key of this number was destroyed.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn is_erased(&self, number: u64) -> Result<bool, KeyringError> {
        Ok(matches!(self.slot(number)?, Slot::Erased { .. }))
    }

    /// Slots that could not be read when it was opened: writes that did not come whole before anything used them, or rot.
    pub fn unreadable(&self) -> u64 {
        self.state.lock().unreadable
    }

    /// The key of a part that is sealed for these subjects together; `None` if one of theirs is gone: erasing any of them makes it
    /// unreadable. Their order does not matter.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn part_key(&self, kind: u8, numbers: &[u64]) -> Result<Option<Secret>, KeyringError> {
        let mut numbers = numbers.to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        let mut keys = zeroize::Zeroizing::new(Vec::with_capacity(numbers.len() * kek::KEY_BYTES));
        for number in numbers {
            let Slot::Live(live) = self.slot(number)? else { return Ok(None) };
            let place = self.place(number, &live.subject);
            let Some(key) = self.kek.unwrap(&live.nonce, &live.wrapped, &place) else { return Ok(None) };
            keys.extend_from_slice(&*key);
        }
        let mut part = Secret::default();
        self.parts.draw(&keys, &[PART_INFO, &[kind]], &mut part);
        Ok((!keys.is_empty()).then_some(part))
    }

    /// What a wrapped key is bound to: one that is moved to another slot, or said to be another subject's, does not open.
    fn place(&self, number: u64, tag: &[u8; 32]) -> [u8; 56] {
        let mut place = [0; 56];
        place[..16].copy_from_slice(&self.header.log_id);
        place[16..24].copy_from_slice(&number.to_le_bytes());
        place[24..].copy_from_slice(tag);
        place
    }

    fn slot(&self, number: u64) -> Result<Slot, KeyringError> {
        if self.denied.read().contains(&number) {
            return Ok(Slot::Erased { created_ms: 0, erased_ms: 0 });
        }
        self.written(number)
    }

    /// What the file has.
    fn written(&self, number: u64) -> Result<Slot, KeyringError> {
        // A number that somebody made up may lie beyond what a file can have.
        if number == 0 || number > KEYS_MAX {
            return Ok(Slot::Free);
        }
        match read_slot(&*self.file, number) {
            Ok(bytes) => Ok(Slot::decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Slot::Free),
            Err(source) => Err(self.failed(source)),
        }
    }

    fn write(&self, number: u64, slot: &Slot) -> Result<(), KeyringError> {
        durable::write_all(&*self.file, &slot.encode(), number * SLOT_BYTES as u64)
            .map_err(|source| self.failed(source))
    }

    fn refuse_if_poisoned(&self, state: &State) -> Result<(), KeyringError> {
        if state.is_poisoned { Err(KeyringError::Poisoned(self.path.clone())) } else { Ok(()) }
    }

    fn failed(&self, source: io::Error) -> KeyringError {
        KeyringError::Io { path: self.path.clone(), source }
    }
}

/// Tells somebody's keys from those of others: a part of what stands for them in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Whose(u64);

impl Whose {
    fn of(tag: &[u8; 32]) -> Whose {
        Whose(u64::from_le_bytes(tag[..8].try_into().expect("8 of 32 bytes")))
    }
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It is there.
    Alive,
    /// It was destroyed.
    Destroyed,
    /// It never was, or what stands in its place cannot be read.
    Missing,
}

/// A keyring's file, looked at without the key that opens it: what became of each key can be told, none can be used.
pub struct Outside {
    file: Arc<dyn DiskFile>,
    /// The log whose subjects' keys these are.
    pub log_id: [u8; 16],
    /// One more with each new file that the same keys were wrapped into.
    pub generation: u32,
}

impl Outside {
    /// As it is at this moment.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn states(&self) -> io::Result<States> {
        let len = self.file.len()?;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        let n = durable::read_up_to(&*self.file, &mut bytes, 0)?;
        bytes.truncate(n);
        Ok(States(bytes.as_chunks().0.iter().map(state_of).collect()))
    }

    /// That of a directory; `None` if there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn open(disk: &dyn Disk, dir: &Path) -> Result<Option<Outside>, KeyringError> {
        let path = dir.join(FILE);
        let failed = |source| KeyringError::Io { path: path.clone(), source };
        if !disk.exists(&path).map_err(failed)? {
            return Ok(None);
        }
        let file = disk.open_read(&path).map_err(failed)?;
        let header = read_slot(&*file, 0).ok().and_then(|bytes| Header::decode(&bytes));
        let header = header.ok_or_else(|| KeyringError::NotAKeyring(path.clone()))?;
        Ok(Some(Outside { file, log_id: header.log_id, generation: header.generation }))
    }

    /// What became of the key of this number.
    pub fn state(&self, number: u64) -> KeyState {
        if number == 0 || number > KEYS_MAX {
            return KeyState::Missing;
        }
        read_slot(&*self.file, number).map_or(KeyState::Missing, |bytes| state_of(&bytes))
    }
}

fn state_of(slot: &[u8; SLOT_BYTES]) -> KeyState {
    match Slot::decode(slot) {
        Slot::Live(_) => KeyState::Alive,
        Slot::Erased { .. } => KeyState::Destroyed,
        Slot::Free | Slot::Unreadable => KeyState::Missing,
    }
}

/// What had become of each key at one moment.
pub struct States(Vec<KeyState>);

impl States {
    /// Of the key of this number.
    pub fn of(&self, number: u64) -> KeyState {
        let known = usize::try_from(number).ok().filter(|number| *number > 0).and_then(|number| self.0.get(number));
        known.copied().unwrap_or(KeyState::Missing)
    }
}

fn read_slot(file: &dyn DiskFile, number: u64) -> io::Result<[u8; SLOT_BYTES]> {
    let mut bytes = [0; SLOT_BYTES];
    durable::read_exact(file, &mut bytes, number.saturating_mul(SLOT_BYTES as u64))?;
    Ok(bytes)
}

/// Hands on the slots of these numbers, in order.
fn each_slot(file: &dyn DiskFile, numbers: Range<u64>, mut each: impl FnMut(u64, &[u8; SLOT_BYTES])) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut from = numbers.start;
    while from < numbers.end {
        let to = numbers.end.min(from + SLOTS_AT_ONCE);
        bytes.resize((to - from) as usize * SLOT_BYTES, 0);
        durable::read_exact(file, &mut bytes, from * SLOT_BYTES as u64)?;
        (from..to).zip(bytes.as_chunks().0).for_each(|(number, slot)| each(number, slot));
        from = to;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
