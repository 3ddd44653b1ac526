//! Has a log's checkpoints cosigned by a witness on another machine (c2sp.org/tlog-witness), and asks it at the start
//! whether it remembers more of this log than there is.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tracing::{error, info, warn};

use crate::store::Store;
use crate::store::worker::Worker;
use crate::tree::checkpoint::parse_size;
use crate::tree::tile_reader::TileError;
use crate::tree::{Checkpoint, Note, NoteError, VerifierKey};

/// A checkpoint is cosigned at most this often: each time costs the witness a sync.
const INTERVAL: Duration = Duration::from_secs(10);
/// Longest an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(5);
/// An answer is a few lines.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Who cosigns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessAddress {
    /// Where it takes checkpoints.
    pub url: String,
    /// What its signatures are verified with.
    pub key: VerifierKey,
}

/// Why there is no cosignature.
#[derive(Debug, thiserror::Error)]
pub enum CosignError {
    /// It did not answer.
    #[error("the witness at {url} cannot be reached")]
    Unreachable {
        /// Where.
        url: String,
        /// What happened.
        #[source]
        source: Box<ureq::Error>,
    },
    /// It answered something that it should not.
    #[error("the witness answered {status}: {said}")]
    Unexpected {
        /// The status.
        status: u16,
        /// The beginning of the answer.
        said: String,
    },
    /// It remembers more than there is, or another history.
    #[error(
        "the witness remembers {remembered} entries of this log, which has {size} signed ones here: this directory is an older copy or another history"
    )]
    RemembersMore {
        /// What it remembers.
        remembered: u64,
        /// The size that it was asked to sign.
        size: u64,
    },
    /// It remembers a tree that ours does not begin with.
    #[error("the witness says that the log of {size} entries does not begin with the {remembered} that it cosigned")]
    OtherHistory {
        /// What it remembers.
        remembered: u64,
        /// The size that it was asked to sign.
        size: u64,
    },
    /// Its signature is not its key's.
    #[error("the witness's signature is not usable")]
    BadSignature(#[from] NoteError),
    /// The proof could not be made.
    #[error(transparent)]
    Tree(#[from] TileError),
}

impl CosignError {
    /// Whether the log must not go on: others have seen another one.
    pub fn is_evidence(&self) -> bool {
        matches!(self, CosignError::RemembersMore { .. } | CosignError::OtherHistory { .. })
    }
}

/// The thread that asks the witness.
pub struct Cosigner(Worker);

impl Cosigner {
    /// Starts it. `None` if the system has no thread to give; the log goes on without.
    pub fn start(store: Arc<Store>, address: WitnessAddress) -> Option<Cosigner> {
        let started = Worker::start("cosigner", move |stop| {
            let asker = Asker::new(address);
            let mut remembered = 0;
            while !stop.is_set() {
                match asker.cosign(&store, remembered) {
                    Ok(size) => {
                        store.set_dispute(None);
                        remembered = size;
                    }
                    Err(why) if why.is_evidence() => {
                        error!("{why}");
                        store.set_dispute(Some(why.to_string()));
                    }
                    // The log goes on without: what was cosigned before stays.
                    Err(why) => warn!("no cosignature: {why}"),
                }
                stop.wait(INTERVAL);
            }
        });
        match started {
            Ok(worker) => Some(Cosigner(worker)),
            Err(why) => {
                error!("nothing is cosigned: no thread for it: {why}");
                None
            }
        }
    }

    /// Ends the thread; a request under way is waited for.
    pub fn stop(self) {
        self.0.stop();
    }
}

/// Speaks to one witness.
pub struct Asker {
    agent: ureq::Agent,
    address: WitnessAddress,
}

impl Asker {
    /// Nothing is sent yet.
    pub fn new(address: WitnessAddress) -> Asker {
        let agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).build().new_agent();
        Asker { agent, address }
    }

    /// Has the newest checkpoint cosigned, unless it is already; answers what the witness now remembers. `remembered` is
    /// what it is believed to remember; if that is wrong, it says so and is asked again.
    pub fn cosign(&self, store: &Store, remembered: u64) -> Result<u64, CosignError> {
        let Some(head) = store.signed().filter(|head| head.is_signed() && head.size.0 > 0) else {
            return Ok(remembered);
        };
        let is_known = store.cosigned().is_some_and(|note| {
            Note::parse(&note).ok().and_then(|note| Checkpoint::parse(note.text)).is_some_and(|c| c.size == head.size.0)
        });
        if is_known {
            return Ok(remembered);
        }
        let size = head.size.0;
        let mut old = remembered;
        for is_second in [false, true] {
            let proof =
                store.tree().consistency(old, size)?.ok_or(CosignError::RemembersMore { remembered: old, size })?;
            let (status, said) = self.send(old, &proof, &head.checkpoint)?;
            match status {
                200 => {
                    let note = format!("{}{said}", head.checkpoint);
                    self.address.key.verify(&Note::parse(&note)?)?;
                    info!("the checkpoint of {size} events is cosigned by {}", self.address.key.name());
                    store.set_cosigned(note);
                    return Ok(size);
                }
                409 => match parse_size(said.trim_end()) {
                    Some(more) if more > size => return Err(CosignError::RemembersMore { remembered: more, size }),
                    Some(other) if !is_second && other != old => old = other,
                    Some(same) => return Err(CosignError::OtherHistory { remembered: same, size }),
                    None => return Err(CosignError::Unexpected { status, said }),
                },
                422 => return Err(CosignError::OtherHistory { remembered: old, size }),
                _ => return Err(CosignError::Unexpected { status, said }),
            }
        }
        Err(CosignError::Unexpected { status: 409, said: "it contradicts itself".into() })
    }

    fn send(&self, old: u64, proof: &[[u8; 32]], checkpoint: &str) -> Result<(u16, String), CosignError> {
        let mut body = format!("old {old}\n");
        for hash in proof {
            body.push_str(&STANDARD.encode(hash));
            body.push('\n');
        }
        body.push('\n');
        body.push_str(checkpoint);
        let url = format!("{}/add-checkpoint", self.address.url.trim_end_matches('/'));
        let unreachable = |source| CosignError::Unreachable { url: self.address.url.clone(), source: Box::new(source) };
        let mut answer = self.agent.post(&url).send(body).map_err(unreachable)?;
        let status = answer.status().as_u16();
        let said = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(unreachable)?;
        Ok((status, said))
    }
}
