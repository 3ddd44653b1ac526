//! HEAD: two 4 KiB slots, written in turn, each holding the latest published checkpoint. A torn write spoils one slot only.

use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;

use super::header::array;
use super::segments::Shared;
use crate::durable::{DiskFile, read_up_to, write_all};
use crate::seq::Seq;

pub(super) const SLOT_BYTES: usize = 4096;
/// Length and checksum before the text.
const TEXT_AT: usize = 8;

/// A checkpoint as HEAD holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The tree size it speaks of; the log was durable to here.
    pub size: Seq,
    /// The root at `size`.
    pub root: [u8; 32],
    /// The whole text, with its signatures. A log that was never published has an unsigned one of size 0.
    pub checkpoint: String,
}

impl Head {
    /// The log's name: the checkpoint's first line.
    pub fn origin(&self) -> &str {
        self.checkpoint.lines().next().unwrap_or_default()
    }

    /// Takes size and root out of a C2SP checkpoint: the second and third line. `None` if it is not one.
    pub fn parse(checkpoint: &str) -> Option<Head> {
        let mut lines = checkpoint.split('\n');
        let origin = lines.next()?;
        let size = lines.next()?;
        let root = STANDARD.decode(lines.next()?).ok()?;
        lines.next()?; // the third line ends with a newline
        let plain =
            !size.is_empty() && size.bytes().all(|b| b.is_ascii_digit()) && (size == "0" || !size.starts_with('0'));
        if origin.is_empty() || !plain {
            return None;
        }
        Some(Head { size: Seq(size.parse().ok()?), root: root.try_into().ok()?, checkpoint: checkpoint.to_owned() })
    }

    /// Whether anyone signed it.
    pub fn is_signed(&self) -> bool {
        self.checkpoint.contains("\n\n\u{2014} ")
    }
}

/// Why HEAD was not written.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The text has no size and root where a checkpoint has them.
    #[error("the text is not a checkpoint")]
    NotACheckpoint,
    /// It does not fit a slot.
    #[error("the checkpoint has {found} bytes, a HEAD slot takes {}", SLOT_BYTES - TEXT_AT)]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// Durable, then signed, then published: this one speaks of events that are not durable.
    #[error("the checkpoint is of size {size}, but the log is durable to {durable} only")]
    AheadOfLog {
        /// What the checkpoint says.
        size: Seq,
        /// What is durable.
        durable: Seq,
    },
    /// A published checkpoint is never replaced by a smaller one.
    #[error("the checkpoint is of size {size}, but one of size {published} is published")]
    Backwards {
        /// What the checkpoint says.
        size: Seq,
        /// What HEAD has.
        published: Seq,
    },
    /// Writing or syncing failed; after a failed sync the whole log stops.
    #[error("cannot write HEAD")]
    Io(#[source] io::Error),
    /// The log is corrupt or was opened read-only.
    #[error("the log takes no writes")]
    ReadOnly,
    /// The log stopped after a failed sync.
    #[error("the log stopped after a failed sync; start again")]
    Stopped,
}

/// The open HEAD file. One publisher at a time; it does not need the [`super::Writer`].
#[derive(Debug)]
pub struct HeadFile {
    shared: Arc<Shared>,
    /// Guards which slot is next; held for one write and its sync.
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
pub(super) struct Slots {
    /// `None` if HEAD must not be written.
    pub file: Option<Arc<dyn DiskFile>>,
    /// 0 or 1: the slot that does not hold the latest.
    pub next: u64,
    pub latest: Option<Head>,
}

impl HeadFile {
    pub(super) fn new(shared: Arc<Shared>, slots: Slots) -> HeadFile {
        HeadFile { shared, slots: Mutex::new(slots) }
    }

    /// The latest checkpoint that was published.
    pub fn latest(&self) -> Option<Head> {
        self.slots.lock().latest.clone()
    }

    /// Writes a signed checkpoint to the slot that does not hold the latest one, and syncs.
    pub fn write(&self, checkpoint: &str) -> Result<(), HeadError> {
        let mut slots = self.slots.lock();
        if self.shared.is_stopped() {
            return Err(HeadError::Stopped);
        }
        let head = Head::parse(checkpoint).ok_or(HeadError::NotACheckpoint)?;
        let durable = self.shared.durable();
        if head.size > durable {
            return Err(HeadError::AheadOfLog { size: head.size, durable });
        }
        if let Some(latest) = slots.latest.as_ref().filter(|latest| latest.size > head.size) {
            return Err(HeadError::Backwards { size: head.size, published: latest.size });
        }
        let slot = encode(checkpoint).ok_or(HeadError::TooLong { found: checkpoint.len() })?;
        let file = slots.file.clone().ok_or(HeadError::ReadOnly)?;
        // A size that is signed anew, with another key, goes into both: between two of one size a start could not tell.
        let is_again = slots.latest.as_ref().is_some_and(|latest| latest.size == head.size);
        for _ in 0..if is_again { 2 } else { 1 } {
            write_all(&*file, &slot, slots.next * SLOT_BYTES as u64).map_err(HeadError::Io)?;
            file.sync_data().map_err(|e| {
                self.shared.stop();
                HeadError::Io(e)
            })?;
            slots.next ^= 1;
        }
        slots.latest = Some(head);
        Ok(())
    }
}

impl Slots {
    /// Reads both slots; the larger size is the latest.
    pub fn read(file: Arc<dyn DiskFile>) -> io::Result<Slots> {
        let mut bytes = vec![0; 2 * SLOT_BYTES];
        read_up_to(&*file, &mut bytes, 0)?;
        let (first, second) = (decode(&bytes[..SLOT_BYTES]), decode(&bytes[SLOT_BYTES..]));
        let (next, latest) = match (first, second) {
            (Some(a), Some(b)) if b.size > a.size => (0, Some(b)),
            (Some(a), _) => (1, Some(a)),
            (None, Some(b)) => (0, Some(b)),
            (None, None) => (0, None),
        };
        Ok(Slots { file: Some(file), next, latest })
    }
}

/// What one of HEAD's two places holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Nothing was ever written there.
    Empty,
    /// A checkpoint, and zeros behind it.
    Held(Head),
    /// Anything else: a write was torn, or somebody altered it.
    Damaged {
        /// What is wrong.
        why: &'static str,
    },
}

/// Looks at the bytes of a HEAD file more closely than a start does, to which one good slot is enough.
pub fn inspect_slots(bytes: &[u8]) -> [Slot; 2] {
    let (first, second) = bytes.split_at(bytes.len().min(SLOT_BYTES));
    [first, second].map(inspect)
}

/// The newest checkpoint that either of the two places holds.
pub fn latest(slots: &[Slot; 2]) -> Option<&Head> {
    let held = slots.iter().filter_map(|slot| match slot {
        Slot::Held(head) => Some(head),
        Slot::Empty | Slot::Damaged { .. } => None,
    });
    held.max_by_key(|head| head.size)
}

fn inspect(slot: &[u8]) -> Slot {
    if slot.len() != SLOT_BYTES {
        return Slot::Damaged { why: "the file has not the length of two slots" };
    }
    match decode(slot) {
        None if slot.iter().all(|byte| *byte == 0) => Slot::Empty,
        None => Slot::Damaged { why: "its checksum does not match, or it holds no checkpoint" },
        Some(head) if slot[TEXT_AT + head.checkpoint.len()..].iter().any(|byte| *byte != 0) => {
            Slot::Damaged { why: "bytes that are not zero follow the checkpoint" }
        }
        Some(head) => Slot::Held(head),
    }
}

/// One slot's bytes; `None` if the text is too long.
pub(super) fn encode(checkpoint: &str) -> Option<Vec<u8>> {
    if checkpoint.len() > SLOT_BYTES - TEXT_AT {
        return None;
    }
    let mut slot = vec![0; SLOT_BYTES];
    slot[0..4].copy_from_slice(&(checkpoint.len() as u32).to_le_bytes());
    slot[TEXT_AT..TEXT_AT + checkpoint.len()].copy_from_slice(checkpoint.as_bytes());
    let crc = slot_crc(&slot, checkpoint.len());
    slot[4..8].copy_from_slice(&crc.to_le_bytes());
    Some(slot)
}

fn decode(slot: &[u8]) -> Option<Head> {
    if slot.len() != SLOT_BYTES {
        return None;
    }
    let len = u32::from_le_bytes(array(slot, 0)) as usize;
    if len == 0 || len > SLOT_BYTES - TEXT_AT || u32::from_le_bytes(array(slot, 4)) != slot_crc(slot, len) {
        return None;
    }
    Head::parse(std::str::from_utf8(&slot[TEXT_AT..TEXT_AT + len]).ok()?)
}

fn slot_crc(slot: &[u8], len: usize) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&slot[..4]), &slot[TEXT_AT..TEXT_AT + len])
}

/// The unsigned checkpoint of an empty log, written when the log is made, so that HEAD is never absent once there are events.
pub(super) fn of_empty_log(origin: &str, root: &[u8; 32]) -> String {
    format!("{origin}\n0\n{}\n", STANDARD.encode(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_comes_back_and_any_flipped_byte_of_it_is_refused() {
        let text = format!("annals/x\n12\n{}\n\n\u{2014} annals/x AAAA\n", STANDARD.encode([5; 32]));
        let slot = encode(&text).unwrap();
        let head = decode(&slot).unwrap();
        assert_eq!((head.size, head.root, head.is_signed()), (Seq(12), [5; 32], true));
        for at in 0..TEXT_AT + text.len() {
            let mut bad = slot.clone();
            bad[at] ^= 1;
            assert_eq!(decode(&bad), None, "byte {at}");
        }
        assert_eq!(encode(&"x".repeat(4089)), None);
    }

    #[test]
    fn a_closer_look_finds_every_flipped_byte_of_both_slots() {
        let text = format!("annals/x\n12\n{}\n", STANDARD.encode([5; 32]));
        let mut bytes = encode(&text).unwrap();
        bytes.resize(2 * SLOT_BYTES, 0);
        let good = inspect_slots(&bytes);
        assert!(matches!(&good[0], Slot::Held(head) if head.size == Seq(12)));
        assert_eq!(good[1], Slot::Empty);
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert!(matches!(inspect_slots(&bytes)[at / SLOT_BYTES], Slot::Damaged { .. }), "byte {at}");
            bytes[at] ^= 1;
        }
        for len in [0, 1, SLOT_BYTES, 2 * SLOT_BYTES - 1, 2 * SLOT_BYTES + 1] {
            bytes.resize(len, 0);
            assert!(matches!(inspect_slots(&bytes)[1], Slot::Damaged { .. }), "{len}");
        }
    }

    #[test]
    fn what_is_not_a_checkpoint_is_refused() {
        let root = STANDARD.encode([5; 32]);
        for text in [
            "",
            "a",
            "a\n1\n",
            &format!("a\n01\n{root}\n"),
            &format!("a\n-1\n{root}\n"),
            &format!("a\n1\n{root}"),
            "a\n1\nAAAA\n",
        ] {
            assert_eq!(Head::parse(text), None, "{text:?}");
        }
        assert!(!Head::parse(&of_empty_log("a", &[5; 32])).unwrap().is_signed());
    }
}
