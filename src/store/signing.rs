//! The key that signs checkpoints, and what a start holds against it: is HEAD signed by this key, and does somebody outside
//! the directory remember more of this log than the directory does?

use std::io;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use crate::durable::{self, Disk, read_small};
use crate::event::row::push_hex;
use crate::log::Head;
use crate::tree::files::{PUBLIC_KEY, REPLACED_KEYS, SIGNING_KEY, read_public_key};
use crate::tree::tile_reader::TileError;
use crate::tree::{Checkpoint, KeyKind, Note, NoteError, SignerKey, TileReader, VerifierKey};

/// A key has about 150 bytes; a note at most [`crate::tree::note::NOTE_BYTES_MAX`].
const SMALL_FILE_MAX: u64 = 64 << 10;

/// Why checkpoints of this directory cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// A key file cannot be read or made.
    #[error("cannot read or make the signing key in {dir}")]
    Io {
        /// The data directory.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A key file holds something else.
    #[error("{path} holds no usable key")]
    BadKey {
        /// Which file.
        path: PathBuf,
        /// What it should be.
        #[source]
        source: NoteError,
    },
    /// The key is there, under another name than the log's.
    #[error(
        "the key in {path} is that of {found}, the log is {expected}; set `origin` to {found} or bring the right key"
    )]
    OtherOrigin {
        /// Which file.
        path: PathBuf,
        /// The key's name.
        found: String,
        /// The log's.
        expected: String,
    },
    /// HEAD was signed with another key.
    #[error(
        "the log's newest checkpoint is not signed by the key in {path}; bring back the key, or start once with --accept-new-key"
    )]
    OtherKey {
        /// Which file.
        path: PathBuf,
        /// What the check said.
        #[source]
        source: NoteError,
    },
    /// A newer checkpoint of this log is known elsewhere: this directory is an old copy, or was cut.
    #[error(
        "{path} has a signed checkpoint of {noted} events, this directory holds {size}: it is an older copy, and nothing is signed over what it lacks. Bring the newer directory, or serve this one with --read-only"
    )]
    OlderCopy {
        /// The note that knows more.
        path: PathBuf,
        /// Its size.
        noted: u64,
        /// Events here.
        size: u64,
    },
    /// A checkpoint of this log that is known elsewhere is no beginning of what is here.
    #[error("{path} has a signed checkpoint of {noted} events with another root than the log had at that size")]
    Fork {
        /// The note.
        path: PathBuf,
        /// Its size.
        noted: u64,
    },
    /// The file that should hold the newest checkpoint holds something else.
    #[error("{path} holds no checkpoint of this log")]
    BadNote {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: NoteError,
    },
    /// The tree cannot be read.
    #[error(transparent)]
    Tree(#[from] TileError),
}

/// The log's name in its checkpoints, unless a setting says otherwise: `annals/` and its id.
pub fn default_origin(log_id: &[u8; 16]) -> String {
    let mut origin = String::from("annals/");
    push_hex(log_id, &mut origin);
    origin
}

/// Reads the key of the directory, or makes one if the log never had any.
pub fn load_or_make(
    disk: &dyn Disk,
    dir: &Path,
    origin: &str,
    head: Option<&Head>,
    accept_new_key: bool,
) -> Result<SignerKey, SigningError> {
    let path = dir.join(SIGNING_KEY);
    let io = |source| SigningError::Io { dir: dir.to_owned(), source };
    let key = match disk.exists(&path).map_err(io)? {
        true => read_key(disk, &path)?,
        false => SignerKey::new(origin, KeyKind::Log, &durable::random().map_err(io)?)
            .map_err(|source| SigningError::BadKey { path: path.clone(), source })?,
    };
    if key.public().name() != origin {
        let found = key.public().name().to_owned();
        return Err(SigningError::OtherOrigin { path, found, expected: origin.to_owned() });
    }
    if let Some(head) = head.filter(|head| head.is_signed()) {
        let verified = Note::parse(&head.checkpoint).and_then(|note| key.public().verify(&note));
        match verified {
            Ok(_) => {}
            Err(why) if accept_new_key => {
                warn!("checkpoints are signed with a new key from now on: {why}");
                remember_replaced(disk, dir, &key).map_err(io)?;
            }
            Err(source) => return Err(SigningError::OtherKey { path, source }),
        }
    }
    if !disk.exists(&path).map_err(io)? {
        durable::replace_secret(disk, dir, SIGNING_KEY, format!("{}\n", key.to_secret()).as_bytes()).map_err(io)?;
        info!("made a key that signs the log's checkpoints; hand this out: {}", key.public());
    }
    let public = format!("{}\n", key.public());
    if read_small(disk, &dir.join(PUBLIC_KEY), SMALL_FILE_MAX).ok().as_deref() != Some(public.as_bytes()) {
        durable::replace(disk, dir, PUBLIC_KEY, public.as_bytes()).map_err(io)?;
    }
    Ok(key)
}

/// Notes that the old key signed stay what they are: it is written down that it was replaced on purpose.
fn remember_replaced(disk: &dyn Disk, dir: &Path, new: &SignerKey) -> io::Result<()> {
    let Some(old) = read_public_key(disk, dir).filter(|old| old != new.public()) else { return Ok(()) };
    let mut keys = read_replaced(disk, dir)?;
    if !keys.contains(&old) {
        keys.push(old);
    }
    let text: String = keys.iter().map(|key| format!("{key}\n")).collect();
    durable::replace(disk, dir, REPLACED_KEYS, text.as_bytes())
}

/// The keys that were replaced on purpose; none if nothing was written down.
///
/// # Errors
/// When the file cannot be read, or holds something else.
pub fn read_replaced(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<VerifierKey>> {
    let bytes = match read_small(disk, &dir.join(REPLACED_KEYS), SMALL_FILE_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let bad = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("{REPLACED_KEYS}: {why}"));
    let text = std::str::from_utf8(&bytes).map_err(|error| bad(error.to_string()))?;
    text.lines().map(|line| line.parse().map_err(|error: NoteError| bad(error.to_string()))).collect()
}

fn read_key(disk: &dyn Disk, path: &Path) -> Result<SignerKey, SigningError> {
    let io = |source| SigningError::Io { dir: path.to_owned(), source };
    let bytes = read_small(disk, path, SMALL_FILE_MAX).map_err(io)?;
    let bad = |source| SigningError::BadKey { path: path.to_owned(), source };
    let text = String::from_utf8(bytes).map_err(|_| bad(NoteError::BadKey("it is no text")))?;
    let key: SignerKey = text.parse().map_err(bad)?;
    match key.public().kind() {
        KeyKind::Log => Ok(key),
        KeyKind::Cosigner => Err(bad(NoteError::BadKey("it is the key of a witness"))),
    }
}

/// Holds the directory against a signed checkpoint that lives elsewhere. No file there yet is no finding.
pub fn hold_against(
    disk: &dyn Disk,
    path: &Path,
    key: &SignerKey,
    tree: &TileReader,
    size: u64,
) -> Result<(), SigningError> {
    let bytes = match read_small(disk, path, SMALL_FILE_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(|source| SigningError::Io { dir: path.to_owned(), source })?,
    };
    let bad = |source| SigningError::BadNote { path: path.to_owned(), source };
    let text = String::from_utf8(bytes).map_err(|_| bad(NoteError::Malformed("it is no text")))?;
    let noted = Checkpoint::verified(&text, key.public()).map_err(bad)?;
    if noted.size > size {
        return Err(SigningError::OlderCopy { path: path.to_owned(), noted: noted.size, size });
    }
    match tree.root(noted.size)? == noted.root {
        true => Ok(()),
        false => Err(SigningError::Fork { path: path.to_owned(), noted: noted.size }),
    }
}
