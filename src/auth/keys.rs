//! The keys of a data directory: one small file, replaced as a whole, read once.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::caller::{Caller, Who};
use super::restriction::Restriction;
use super::scope::{Scope, Scopes};
use super::secret::{KeyHash, KeyText};
use super::viewers::Revoked;
use crate::durable::{self, Disk, read_small};
use crate::event::limits::{ID_BYTES_MAX, NAME_BYTES_MAX};
use crate::query::{Env, ParseError};

/// Where they are kept, in the data directory (0400).
pub const FILE: &str = "keys.json";
/// What an id has before the prefix.
pub(super) const ID_MARK: &str = "key_";
/// Keys there may be. Of those that are revoked or expired, the ones that ended first make room when it is needed; what became of
/// them stands in the log.
pub const KEYS_MAX: usize = 10_000;
/// What a key takes in the file, at most: its name, its tenant and a restriction of 8 KiB, all escaped.
const KEY_BYTES_MAX: u64 = 64 << 10;

/// One key, as it may be shown.
#[derive(Clone, Debug)]
pub struct Key {
    /// What it is called in the API and in the log: `key_` and its prefix.
    pub id: Arc<str>,
    /// What its owner calls it.
    pub name: Arc<str>,
    /// What it may do.
    pub scopes: Scopes,
    /// The one tenant it writes and reads.
    pub tenant: Option<Arc<str>>,
    /// What it may not widen.
    pub restriction: Option<Arc<Restriction>>,
    /// When it was made, ms.
    pub created_ms: u64,
    /// From when on it is refused, ms.
    pub expires_ms: Option<u64>,
    /// When it was revoked, ms.
    pub revoked_ms: Option<u64>,
    hash: KeyHash,
}

/// What is wanted of a new key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// What its owner calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// The one tenant it writes and reads.
    pub tenant: Option<String>,
    /// A query it may not widen.
    pub restriction: Option<String>,
    /// From when on it is refused, ms.
    pub expires_ms: Option<u64>,
}

/// Why a caller is not let in. They are told only that they are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such key.
    Unknown,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

/// Why a key was not made, revoked or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A member of what was wanted.
    #[error("{member}: {why}")]
    Bad {
        /// Which.
        member: &'static str,
        /// What is wrong and what was expected.
        why: String,
    },
    /// The restriction is no query.
    #[error("restriction: {0}")]
    Restriction(#[from] ParseError),
    /// Full.
    #[error("there are {KEYS_MAX} keys already, and all of them count")]
    TooMany,
    /// The file.
    #[error("cannot read or write {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{path} does not hold keys: {why}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// All keys by prefix.
type Book = HashMap<String, Arc<Key>>;

/// The keys of one data directory.
pub struct Keys {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    book: ArcSwap<Book>,
    /// Held while the file is replaced: one change at a time.
    changing: Mutex<()>,
    /// Tokens of viewers that count no more.
    pub(super) revoked: Revoked,
}

/// A key in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    prefix: String,
    hash: String,
    name: String,
    scopes: Vec<String>,
    tenant: Option<String>,
    restriction: Option<String>,
    created_ms: u64,
    expires_ms: Option<u64>,
    revoked_ms: Option<u64>,
}

impl Keys {
    /// Reads the keys of a directory; there may be none.
    ///
    /// # Errors
    /// When the file cannot be read, or a key in it makes no sense: none is let in then, rather than some with more rights.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, env: &Env<'_>) -> Result<Keys, KeyError> {
        let path = dir.join(FILE);
        let damaged = |why: String| KeyError::Damaged { path: path.clone(), why };
        let stored: Vec<Stored> = match read_small(&*disk, &path, KEY_BYTES_MAX * KEYS_MAX as u64) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(KeyError::Io { path, source }),
        };
        let mut book = Book::with_capacity(stored.len());
        for one in stored {
            let prefix = one.prefix.clone();
            let key = one.read(env).map_err(|why| damaged(format!("key {prefix}: {why}")))?;
            if book.insert(prefix.clone(), Arc::new(key)).is_some() {
                return Err(damaged(format!("key {prefix} is there twice")));
            }
        }
        let revoked = Revoked::open(disk.clone(), dir.to_owned())?;
        Ok(Keys { disk, dir: dir.to_owned(), book: ArcSwap::from_pointee(book), changing: Mutex::new(()), revoked })
    }

    /// Whether there is none, and never was.
    pub fn is_empty(&self) -> bool {
        self.book.load().is_empty()
    }

    /// All of them, the oldest first.
    pub fn list(&self) -> Vec<Arc<Key>> {
        let mut keys: Vec<Arc<Key>> = self.book.load().values().cloned().collect();
        keys.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        keys
    }

    /// Lets a caller in, or not. Takes as long for a prefix that nobody has as for a wrong secret.
    ///
    /// # Errors
    /// Why they are refused, for our own log.
    pub fn admit(&self, shown: &KeyText, now_ms: u64) -> Result<Caller, Refused> {
        let book = self.book.load();
        let key = book.get(shown.prefix());
        let is_right = key.map_or(KeyHash::NONE, |key| key.hash).is_of(shown);
        let key = key.filter(|_| is_right).ok_or(Refused::Unknown)?;
        match key.refusal(now_ms) {
            Some(refused) => Err(refused),
            None => Ok(key.holder()),
        }
    }

    /// Who holds the key of this id, as long as it stands: for those who showed it before.
    pub fn holder(&self, id: &str, now_ms: u64) -> Option<Caller> {
        self.standing(id, now_ms).map(|key| key.holder())
    }

    /// Whether whoever was let in with the key of this id may stay: what takes a while asks again.
    pub fn stands(&self, id: &str, now_ms: u64) -> bool {
        self.standing(id, now_ms).is_some()
    }

    /// Makes a key, durable before it is answered. Its text is nowhere but in the answer.
    ///
    /// # Errors
    /// When what is wanted makes no sense, or the disk fails; then there is no key.
    pub fn create(&self, draft: &Draft, env: &Env<'_>) -> Result<(Arc<Key>, KeyText), KeyError> {
        let path = self.dir.join(FILE);
        let text = KeyText::make().map_err(|source| KeyError::Io { path, source })?;
        Ok((self.add(&text, draft, env)?, text))
    }

    /// The same with a text that somebody chose. If it is known already, nothing changes.
    ///
    /// # Errors
    /// As [`Keys::create`]; also when another key has its prefix.
    pub fn add(&self, text: &KeyText, draft: &Draft, env: &Env<'_>) -> Result<Arc<Key>, KeyError> {
        let restriction = check(draft, env)?;
        let key = Arc::new(Key {
            id: id_of(text.prefix()),
            name: draft.name.as_str().into(),
            scopes: draft.scopes,
            tenant: draft.tenant.as_deref().map(Arc::from),
            restriction: restriction.map(Arc::new),
            created_ms: env.now_ms,
            expires_ms: draft.expires_ms,
            revoked_ms: None,
            hash: text.hash(),
        });
        let _changing = self.changing.lock();
        let mut book = Book::clone(&self.book.load());
        match book.get(text.prefix()) {
            Some(known) if known.hash.is_of(text) => return Ok(known.clone()),
            Some(_) => return Err(KeyError::Bad { member: "key", why: "another key has its prefix".into() }),
            None => {}
        }
        if book.len() >= KEYS_MAX {
            let ended = book.iter().filter_map(|(prefix, key)| Some((key.ended_ms(env.now_ms)?, prefix)));
            let (_, prefix) = ended.min().ok_or(KeyError::TooMany)?;
            let prefix = prefix.clone();
            book.remove(&prefix);
        }
        book.insert(text.prefix().to_owned(), key.clone());
        self.replace(book)?;
        Ok(key)
    }

    /// Revokes the key of this id, durable before it is answered. `None` if there is none. Doing it twice does nothing more.
    ///
    /// # Errors
    /// When the disk fails; then the key is as it was.
    pub fn revoke(&self, id: &str, now_ms: u64) -> Result<Option<Arc<Key>>, KeyError> {
        let _changing = self.changing.lock();
        let mut book = Book::clone(&self.book.load());
        let Some((prefix, key)) = book.iter().find(|(_, key)| *key.id == *id) else { return Ok(None) };
        if key.revoked_ms.is_some() {
            return Ok(Some(key.clone()));
        }
        let (prefix, revoked) = (prefix.clone(), Arc::new(Key { revoked_ms: Some(now_ms), ..Key::clone(key) }));
        book.insert(prefix, revoked.clone());
        self.replace(book)?;
        Ok(Some(revoked))
    }

    pub(super) fn standing(&self, id: &str, now_ms: u64) -> Option<Arc<Key>> {
        let key = self.book.load().get(id.strip_prefix(ID_MARK)?)?.clone();
        key.refusal(now_ms).is_none().then_some(key)
    }

    fn replace(&self, book: Book) -> Result<(), KeyError> {
        let mut stored: Vec<Stored> = book.iter().map(|(prefix, key)| Stored::of(prefix, key)).collect();
        stored.sort_by(|a, b| (a.created_ms, &a.prefix).cmp(&(b.created_ms, &b.prefix)));
        let mut text = serde_json::to_vec_pretty(&stored).expect("keys are plain data");
        text.push(b'\n');
        durable::replace_secret(&*self.disk, &self.dir, FILE, &text)
            .map_err(|source| KeyError::Io { path: self.dir.join(FILE), source })?;
        self.book.store(Arc::new(book));
        Ok(())
    }
}

fn id_of(prefix: &str) -> Arc<str> {
    format!("{ID_MARK}{prefix}").into()
}

impl Key {
    /// The MAC of what the token of a viewer says that this key's holder made.
    pub(super) fn viewer_mac(&self, claims: &[u8]) -> [u8; 32] {
        self.hash.viewer_mac(claims).finalize()
    }

    /// Whether it is that. Takes the same time for every MAC.
    pub(super) fn is_viewer_mac(&self, claims: &[u8], mac: &[u8]) -> bool {
        self.hash.viewer_mac(claims).is(mac)
    }

    fn holder(&self) -> Caller {
        let who = Who::Key { id: self.id.clone(), name: self.name.clone() };
        Caller::new(who, self.scopes, self.tenant.clone(), self.restriction.clone())
    }

    /// When it was over, if it is.
    fn ended_ms(&self, now_ms: u64) -> Option<u64> {
        let ends = [self.revoked_ms, self.expires_ms].into_iter().flatten();
        ends.filter(|end| *end <= now_ms).min()
    }

    /// Why its holder is not let in any more.
    fn refusal(&self, now_ms: u64) -> Option<Refused> {
        match (self.revoked_ms, self.expires_ms) {
            (Some(_), _) => Some(Refused::Revoked),
            (None, Some(expires_ms)) if now_ms >= expires_ms => Some(Refused::Expired),
            (None, _) => None,
        }
    }
}

/// Whether it names something.
pub fn is_text(text: &str, bytes_max: usize) -> bool {
    !text.trim().is_empty() && text.len() <= bytes_max && !text.chars().any(char::is_control)
}

/// Refuses a member that does not name anything.
pub(super) fn check_text(member: &'static str, text: &str, bytes_max: usize) -> Result<(), KeyError> {
    match is_text(text, bytes_max) {
        true => Ok(()),
        false => {
            let why = format!("expected 1 to {bytes_max} bytes of text without control characters");
            Err(KeyError::Bad { member, why })
        }
    }
}

/// Refuses what makes no sense; answers the restriction as it reads.
fn check(draft: &Draft, env: &Env<'_>) -> Result<Option<Restriction>, KeyError> {
    let bad = |member, why: String| Err(KeyError::Bad { member, why });
    check_text("name", &draft.name, NAME_BYTES_MAX)?;
    if draft.scopes.is_empty() {
        return bad("scopes", format!("expected some of {}", Scopes::all()));
    }
    draft.tenant.as_deref().map_or(Ok(()), |tenant| check_text("tenant", tenant, ID_BYTES_MAX))?;
    if draft.expires_ms.is_some_and(|expires_ms| expires_ms <= env.now_ms) {
        return bad("expires", "expected a time to come".into());
    }
    let restriction = draft.restriction.as_deref().map(|text| Restriction::read(text, env)).transpose()?;
    // Who makes keys could make one without tenant and restriction.
    let is_narrow = draft.tenant.is_some() || restriction.is_some();
    if is_narrow && draft.scopes.has(Scope::Admin) {
        return bad("scopes", "admin is for keys without tenant and restriction: its holder can make others".into());
    }
    // A taken id would tell that there is an entry behind the restriction.
    if restriction.is_some() && draft.scopes.has(Scope::Write) {
        return bad("scopes", "write goes with a tenant, not with a restriction: make a key for each".into());
    }
    Ok(restriction)
}

impl Stored {
    fn of(prefix: &str, key: &Key) -> Stored {
        Stored {
            prefix: prefix.to_owned(),
            hash: key.hash.to_hex(),
            name: key.name.as_ref().to_owned(),
            scopes: key.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
            tenant: key.tenant.as_deref().map(str::to_owned),
            restriction: key.restriction.as_deref().map(|restriction| restriction.text().to_owned()),
            created_ms: key.created_ms,
            expires_ms: key.expires_ms,
            revoked_ms: key.revoked_ms,
        }
    }

    fn read(self, env: &Env<'_>) -> Result<Key, String> {
        let scope = |word: &String| Scope::named(word).ok_or_else(|| format!("there is no scope {word:?}"));
        let restriction = self.restriction.as_deref().map(|text| Restriction::read(text, env)).transpose();
        Ok(Key {
            id: id_of(&self.prefix),
            name: self.name.into(),
            scopes: self.scopes.iter().map(scope).collect::<Result<Scopes, String>>()?,
            tenant: self.tenant.map(Arc::from),
            restriction: restriction.map_err(|error| format!("restriction: {error}"))?.map(Arc::new),
            created_ms: self.created_ms,
            expires_ms: self.expires_ms,
            revoked_ms: self.revoked_ms,
            hash: KeyHash::from_hex(&self.hash).ok_or("its hash is not 64 hexadecimal digits")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::OsDisk;
    use crate::event::Catalogue;

    const NOW_MS: u64 = 1_700_000_000_000;

    fn env() -> Env<'static> {
        Env { now_ms: NOW_MS, catalogue: Catalogue::builtin() }
    }

    fn open(dir: &Path) -> Keys {
        Keys::open(OsDisk::shared(), dir, &env()).unwrap()
    }

    fn reader(name: &str) -> Draft {
        Draft { name: name.into(), scopes: [Scope::Read].into_iter().collect(), ..Draft::default() }
    }

    #[test]
    fn a_key_lets_in_with_what_it_was_given_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let keys = open(dir.path());
        assert!(keys.is_empty());
        let draft = Draft {
            name: "SIEM «weber»".into(),
            scopes: [Scope::Read, Scope::Export].into_iter().collect(),
            tenant: Some("acme".into()),
            restriction: Some("action:contacts time:30d".into()),
            expires_ms: Some(NOW_MS + 1_000),
        };
        let (key, text) = keys.create(&draft, &env()).unwrap();
        let (_, other) = keys.create(&reader("other"), &env()).unwrap();
        for keys in [keys, open(dir.path())] {
            let caller = keys.admit(&text, NOW_MS).unwrap();
            assert!(keys.stands(&key.id, NOW_MS) && !keys.stands(&key.id, NOW_MS + 1_000));
            assert_eq!(caller.who(), &Who::Key { id: key.id.clone(), name: "SIEM «weber»".into() });
            assert_eq!((caller.scopes().to_string(), caller.tenant()), ("read export".into(), Some("acme")));
            assert!(caller.sight(&env()).to_string().starts_with("tenant:acme action:contacts time:"));
            assert!(keys.admit(&other, NOW_MS).unwrap().sees_all());
            assert_eq!(keys.admit(&text, NOW_MS + 1_000).unwrap_err(), Refused::Expired);
            assert_eq!(keys.list().len(), 2);
        }
        let bytes = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        for text in [text, other] {
            let secret = text.reveal();
            assert!(!bytes.contains(secret.rsplit('_').next().unwrap()), "the file holds a secret");
        }
    }

    #[test]
    fn a_wrong_or_revoked_key_lets_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let keys = open(dir.path());
        let (key, text) = keys.create(&reader("a"), &env()).unwrap();
        let forged = text.reveal().replace(text.prefix(), "00000000");
        assert_eq!(keys.admit(&KeyText::parse(&forged).unwrap(), NOW_MS).unwrap_err(), Refused::Unknown);
        let mut forged = text.reveal();
        let last = if forged.ends_with('0') { '1' } else { '0' };
        forged.pop();
        forged.push(last);
        assert_eq!(keys.admit(&KeyText::parse(&forged).unwrap(), NOW_MS).unwrap_err(), Refused::Unknown);

        assert!(keys.revoke("key_none", NOW_MS).unwrap().is_none());
        assert_eq!(keys.revoke(&key.id, NOW_MS).unwrap().unwrap().revoked_ms, Some(NOW_MS));
        assert_eq!(keys.revoke(&key.id, NOW_MS + 9).unwrap().unwrap().revoked_ms, Some(NOW_MS));
        assert!(!keys.stands(&key.id, NOW_MS) && !keys.stands("key_none", NOW_MS) && !keys.stands("", NOW_MS));
        for keys in [keys, open(dir.path())] {
            assert_eq!(keys.admit(&text, NOW_MS).unwrap_err(), Refused::Revoked);
        }
    }

    #[test]
    fn a_chosen_key_is_made_once_and_never_replaces_another() {
        let dir = tempfile::tempdir().unwrap();
        let keys = open(dir.path());
        let chosen = KeyText::parse(&format!("annals_boot_{}", "a".repeat(40))).unwrap();
        let first = keys.add(&chosen, &reader("first"), &env()).unwrap();
        assert_eq!(keys.add(&chosen, &reader("second"), &env()).unwrap().name, first.name);
        let twin = KeyText::parse(&format!("annals_boot_{}", "b".repeat(40))).unwrap();
        assert!(keys.add(&twin, &reader("twin"), &env()).is_err());
        assert_eq!(keys.list().len(), 1);
    }

    #[test]
    fn in_a_full_book_those_that_ended_first_make_room_and_none_that_counts() {
        let dir = tempfile::tempdir().unwrap();
        let keys = open(dir.path());
        let (first, _) = keys.create(&reader("a"), &env()).unwrap();
        let (sample, _) = keys.create(&reader("b"), &env()).unwrap();
        let stored = |n: usize| {
            let (expires_ms, revoked_ms) = match n {
                7 => (None, Some(NOW_MS - 2)),
                8 => (Some(NOW_MS - 1), None),
                9 => (Some(NOW_MS + 1), None),
                _ => (None, None),
            };
            Stored { expires_ms, revoked_ms, ..Stored::of(&format!("n{n}"), &sample) }
        };
        let all: Vec<Stored> = (0..KEYS_MAX - 1).map(stored).chain([Stored::of("first", &first)]).collect();
        std::fs::write(dir.path().join(FILE), serde_json::to_vec(&all).unwrap()).unwrap();
        let keys = open(dir.path());
        let is_there = |id: &str| keys.list().iter().any(|key| &*key.id == id);
        for gone in ["key_n7", "key_n8"] {
            assert!(is_there(gone));
            keys.create(&reader("new"), &env()).unwrap();
            assert!(!is_there(gone) && is_there("key_n9"), "{gone}");
        }
        assert!(matches!(keys.create(&reader("one too many"), &env()), Err(KeyError::TooMany)));
        assert_eq!(keys.list().len(), KEYS_MAX);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let keys = open(dir.path());
        let admin: Scopes = [Scope::Admin].into_iter().collect();
        let long = "x".repeat(ID_BYTES_MAX + 1);
        for (member, draft) in [
            ("name", reader(" ")),
            ("name", reader("a\nb")),
            ("name", reader(&long)),
            ("scopes", Draft { scopes: Scopes::default(), ..reader("a") }),
            ("scopes", Draft { scopes: admin, tenant: Some("acme".into()), ..reader("a") }),
            ("scopes", Draft { scopes: admin, restriction: Some("x".into()), ..reader("a") }),
            (
                "scopes",
                Draft { scopes: [Scope::Write].into_iter().collect(), restriction: Some("x".into()), ..reader("a") },
            ),
            ("tenant", Draft { tenant: Some(String::new()), ..reader("a") }),
            ("tenant", Draft { tenant: Some(long.clone()), ..reader("a") }),
            ("expires", Draft { expires_ms: Some(NOW_MS), ..reader("a") }),
            ("restriction", Draft { restriction: Some("actr:x".into()), ..reader("a") }),
        ] {
            let said = keys.create(&draft, &env()).unwrap_err().to_string();
            assert!(said.starts_with(member), "{member}: {said}");
        }
        assert!(keys.is_empty() && !dir.path().join(FILE).exists());
    }

    #[test]
    fn a_file_that_is_not_understood_lets_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let whole = {
            let keys = open(dir.path());
            keys.create(&reader("a"), &env()).unwrap();
            std::fs::read_to_string(dir.path().join(FILE)).unwrap()
        };
        for (from, to) in [
            ("\"read\"", "\"root\""),
            ("\"hash\": \"", "\"hash\": \"0"),
            ("\"restriction\": null", "\"restriction\": \"actr:x\""),
            ("[", ""),
        ] {
            let damaged = whole.replacen(from, to, 1);
            assert_ne!(damaged, whole);
            std::fs::write(dir.path().join(FILE), damaged).unwrap();
            assert!(matches!(Keys::open(OsDisk::shared(), dir.path(), &env()), Err(KeyError::Damaged { .. })), "{to}");
        }
    }
}
