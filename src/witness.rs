//! A witness remembers the newest checkpoint of logs that are not its own, and signs only what begins with what it
//! remembers (c2sp.org/tlog-witness). On another machine it is the memory that a restored or altered log cannot change.
//!
//! How requests arrive is left to others; what is remembered is on disk before it is signed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::durable::{self, Disk, Lock, LockError, read_small};
use crate::hash::Sha256;
use crate::tree::files::PUBLIC_KEY;
use crate::tree::note::NOTE_BYTES_MAX;
use crate::tree::proof::{parse_hashes, verify_consistency};
use crate::tree::{Checkpoint, KeyKind, Note, NoteError, SignerKey, VerifierKey, empty_root};

/// A request longer than this is refused: 63 hashes and a note.
pub const REQUEST_BYTES_MAX: usize = NOTE_BYTES_MAX + 4_096;
const SECRET: &str = "witness.key";

/// Who remembers.
pub struct Witness {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    key: SignerKey,
    logs: BTreeMap<String, VerifierKey>,
    /// Guards what is remembered; held from the look at it until the new one is on disk, so that no two requests pass on
    /// the same memory.
    memory: Mutex<BTreeMap<String, Checkpoint>>,
    _lock: Box<dyn Lock>,
}

/// Why a witness does not start.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// Somebody else has the directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file cannot be read or made.
    #[error("cannot read or make {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} is not usable")]
    Bad {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: NoteError,
    },
    /// The key's name is fixed when it is made.
    #[error("the key in {path} is that of {found}, not of {expected}")]
    OtherName {
        /// Which file.
        path: PathBuf,
        /// Its name.
        found: String,
        /// The name asked for.
        expected: String,
    },
    /// Not the key of a log.
    #[error("{0} is the key of a witness, expected that of a log")]
    NotALog(String),
}

/// Why a checkpoint is not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not the text of such a request.
    #[error("the request is not an old size, a proof and a checkpoint: {0}")]
    Malformed(&'static str),
    /// No key is known for this origin.
    #[error("no key is known for the log {0}")]
    UnknownLog(String),
    /// The log's key did not sign it.
    #[error("the checkpoint is not signed by the log's key")]
    NotSigned(#[source] NoteError),
    /// The old size is not the one that is remembered, or the same size comes with another root.
    #[error("a checkpoint of {remembered} entries was cosigned last")]
    Conflict {
        /// The size that is remembered.
        remembered: u64,
    },
    /// The old size is beyond the new one.
    #[error("the old size {old} is beyond the new size {new}")]
    Backwards {
        /// What the request begins with.
        old: u64,
        /// What the checkpoint says.
        new: u64,
    },
    /// The proof does not show that the new tree begins with the old one.
    #[error("the proof does not lead from the tree of {old} entries to that of {new}")]
    BadProof {
        /// The remembered size.
        old: u64,
        /// The size to be cosigned.
        new: u64,
    },
    /// It cannot be remembered, so it is not signed.
    #[error("the checkpoint cannot be kept")]
    Io(#[source] io::Error),
}

impl Witness {
    /// Opens (or makes) the directory of a witness of this name, for these logs.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, name: &str, logs: Vec<VerifierKey>) -> Result<Witness, WitnessError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| WitnessError::Io { path, source }
        };
        disk.create_dir(dir).map_err(at(dir))?;
        let lock = disk.lock(&dir.join("LOCK"))?;
        let path = dir.join(SECRET);
        let bad = |path: &Path| {
            let path = path.to_owned();
            move |source| WitnessError::Bad { path, source }
        };
        let key = match disk.exists(&path).map_err(at(&path))? {
            true => {
                let text = read_text(&*disk, &path).map_err(at(&path))?;
                text.parse::<SignerKey>().map_err(bad(&path))?
            }
            false => {
                let seed = durable::random().map_err(at(&path))?;
                let key = SignerKey::new(name, KeyKind::Cosigner, &seed).map_err(bad(&path))?;
                durable::replace_secret(&*disk, dir, SECRET, format!("{}\n", key.to_secret()).as_bytes())
                    .map_err(at(&path))?;
                key
            }
        };
        if key.public().name() != name || key.public().kind() != KeyKind::Cosigner {
            let found = key.public().name().to_owned();
            return Err(WitnessError::OtherName { path, found, expected: name.to_owned() });
        }
        durable::replace(&*disk, dir, PUBLIC_KEY, format!("{}\n", key.public()).as_bytes()).map_err(at(dir))?;
        let mut memory = BTreeMap::new();
        for log in &logs {
            if log.kind() != KeyKind::Log {
                return Err(WitnessError::NotALog(log.to_string()));
            }
            let path = dir.join(file_of(log.name()));
            if disk.exists(&path).map_err(at(&path))? {
                let note = read_text(&*disk, &path).map_err(at(&path))?;
                let kept = Checkpoint::verified(&note, log).map_err(bad(&path))?;
                memory.insert(log.name().to_owned(), kept);
            }
        }
        let logs = logs.into_iter().map(|log| (log.name().to_owned(), log)).collect();
        Ok(Witness { disk, dir: dir.to_owned(), key, logs, memory: Mutex::new(memory), _lock: lock })
    }

    /// What its cosignatures are verified with.
    pub fn public_key(&self) -> &VerifierKey {
        self.key.public()
    }

    /// Takes the body of an `add-checkpoint` request; answers the signature line. `now_s` is s since 1970.
    pub fn add(&self, request: &str, now_s: u64) -> Result<String, Refusal> {
        let (old, proof, note) = take_apart(request)?;
        let parsed = Note::parse(note).map_err(|_| Refusal::Malformed("the checkpoint is no signed note"))?;
        let new = Checkpoint::parse(parsed.text).ok_or(Refusal::Malformed("the note is no checkpoint"))?;
        let log = self.logs.get(&new.origin).ok_or_else(|| Refusal::UnknownLog(new.origin.clone()))?;
        log.verify(&parsed).map_err(Refusal::NotSigned)?;
        if old > new.size {
            return Err(Refusal::Backwards { old, new: new.size });
        }
        let mut memory = self.memory.lock();
        let remembered = memory.get(&new.origin);
        let (size, root) = remembered.map_or((0, empty_root()), |kept| (kept.size, kept.root));
        if old != size || (old == new.size && new.root != root) {
            return Err(Refusal::Conflict { remembered: size });
        }
        if !verify_consistency(old, new.size, &root, &new.root, &proof) {
            return Err(Refusal::BadProof { old, new: new.size });
        }
        durable::replace(&*self.disk, &self.dir, &file_of(&new.origin), note.as_bytes()).map_err(Refusal::Io)?;
        memory.insert(new.origin.clone(), new);
        Ok(self.key.sign(parsed.text, now_s))
    }
}

/// `old <size>`, lines of hashes, an empty line, the checkpoint.
fn take_apart(request: &str) -> Result<(u64, Vec<[u8; 32]>, &str), Refusal> {
    let (head, note) = request.split_once("\n\n").ok_or(Refusal::Malformed("no empty line before the checkpoint"))?;
    let mut lines = head.split('\n');
    let old = lines.next().and_then(|line| line.strip_prefix("old "));
    let old = old
        .and_then(crate::tree::checkpoint::parse_size)
        .ok_or(Refusal::Malformed("it does not begin with `old` and a size"))?;
    let proof = parse_hashes(lines).ok_or(Refusal::Malformed("the proof is not lines of base64 hashes"))?;
    Ok((old, proof, note))
}

/// A log's name may hold anything; the file's is its hash.
fn file_of(origin: &str) -> String {
    crate::event::row::hex(&Sha256::digest(origin)) + ".note"
}

fn read_text(disk: &dyn Disk, path: &Path) -> io::Result<String> {
    let bytes = read_small(disk, path, NOTE_BYTES_MAX as u64)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no text"))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::durable::OsDisk;
    use crate::tree::proof::consistency_path;
    use crate::tree::{Frontier, leaf_hash};

    struct Log {
        key: SignerKey,
        salt: u8,
    }

    impl Log {
        fn root(&self, leaves: std::ops::Range<u64>) -> [u8; 32] {
            let mut frontier = Frontier::new();
            leaves.for_each(|n| frontier.push(leaf_hash(&[self.salt, n as u8])));
            frontier.root()
        }

        fn note(&self, size: u64) -> String {
            let origin = self.key.public().name().to_owned();
            let text = Checkpoint { origin, size, root: self.root(0..size) }.to_text();
            format!("{text}\n{}", self.key.sign(&text, 0))
        }

        fn request(&self, old: u64, new: u64) -> String {
            let proof = consistency_path(old, new).unwrap_or_default().into_iter();
            let proof: String = proof.map(|range| STANDARD.encode(self.root(range)) + "\n").collect();
            format!("old {old}\n{proof}\n{}", self.note(new))
        }
    }

    fn log(name: &str, salt: u8) -> Log {
        Log { key: SignerKey::new(name, KeyKind::Log, &[7; 32]).unwrap(), salt }
    }

    fn open(dir: &Path, logs: &[&Log]) -> Result<Witness, WitnessError> {
        let logs = logs.iter().map(|log| log.key.public().clone()).collect();
        Witness::open(OsDisk::shared(), dir, "w.example/1", logs)
    }

    #[test]
    fn what_follows_is_cosigned_and_what_does_not_is_refused_also_after_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let (honest, fork) = (log("log.example", 1), log("log.example", 2));
        let witness = open(dir.path(), &[&honest]).unwrap();
        for (old, new) in [(0, 3), (3, 3), (3, 8), (8, 100)] {
            let line = witness.add(&honest.request(old, new), 1_700_000_000).unwrap();
            let cosigned = format!("{}{line}", honest.note(new));
            let note = Note::parse(&cosigned).unwrap();
            assert_eq!(witness.public_key().verify(&note), Ok(Some(1_700_000_000)));
        }
        let refused = |witness: &Witness| {
            assert!(matches!(witness.add(&honest.request(8, 100), 0), Err(Refusal::Conflict { remembered: 100 })));
            assert!(matches!(witness.add(&honest.request(0, 5), 0), Err(Refusal::Conflict { remembered: 100 })));
            assert!(matches!(witness.add(&fork.request(100, 100), 0), Err(Refusal::Conflict { remembered: 100 })));
            assert!(matches!(witness.add(&fork.request(100, 120), 0), Err(Refusal::BadProof { old: 100, new: 120 })));
        };
        refused(&witness);
        let key = witness.public_key().clone();
        drop(witness);
        let witness = open(dir.path(), &[&honest]).unwrap();
        assert_eq!(*witness.public_key(), key);
        refused(&witness);
        witness.add(&honest.request(100, 101), 0).unwrap();
    }

    #[test]
    fn strangers_and_nonsense_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (known, stranger) = (log("log.example", 1), log("other.example", 1));
        let witness = open(dir.path(), &[&known]).unwrap();
        assert!(matches!(witness.add(&stranger.request(0, 3), 0), Err(Refusal::UnknownLog(_))));
        let forger = Log { key: SignerKey::new("log.example", KeyKind::Log, &[8; 32]).unwrap(), salt: 1 };
        assert!(matches!(witness.add(&forger.request(0, 3), 0), Err(Refusal::NotSigned(_))));
        let good = known.request(0, 3);
        let backwards = good.replace("old 0", "old 4");
        assert!(matches!(witness.add(&backwards, 0), Err(Refusal::Backwards { old: 4, new: 3 })));
        for (from, to) in
            [("old 0", "old 00"), ("old 0", "0"), ("old 0\n", "old 0\nAAAA\n"), ("\n\n", "\n"), ("\u{2014}", "-")]
        {
            assert!(matches!(witness.add(&good.replace(from, to), 0), Err(Refusal::Malformed(_))), "{from} -> {to}");
        }
        assert!(matches!(open(dir.path(), &[&known]), Err(WitnessError::Lock(_))), "one process has the memory");
        drop(witness);
        let renamed = Witness::open(OsDisk::shared(), dir.path(), "w.example/2", Vec::new());
        assert!(matches!(renamed, Err(WitnessError::OtherName { .. })));
    }
}
