//! The event as typed values: what happened, as the sender told it, and the entry that it becomes.

use super::personal::{PartKind, SeenParts};
use crate::json::Json;
use crate::seq::Seq;

/// What happened, as the sender told it, after the check at the door: defaults filled in, secrets redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The sender's name for the event, or a UUIDv7 of ours. Unique per tenant, compared byte by byte.
    pub id: String,
    /// When it happened.
    pub time: Time,
    /// Whose event it is; compared exactly, never folded.
    pub tenant: String,
    /// Who did it.
    pub actor: Party,
    /// For whom the actor acted.
    pub on_behalf_of: Option<Party>,
    /// The system that told us.
    pub source: Option<String>,
    /// What was done: `contact.deleted`, but also `ConsoleLogin`.
    pub action: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, in the sender's words.
    pub reason: Option<String>,
    /// What it was done to.
    pub target: Option<Object>,
    /// What else it touched.
    pub related: Vec<Object>,
    /// What changed.
    pub changes: Vec<Change>,
    /// Where the request came from.
    pub context: Context,
    /// Persons whose data the event holds, beside those among actor, target and related.
    pub subjects: Vec<Subject>,
    /// The free payload: always an object.
    pub detail: Option<Json>,
    /// What of it is sealed, each part once. Only the server sets it.
    pub sealed: Vec<SealedDigest>,
}

/// What binds a sealed part to its event: the log's proofs hold for what was said, also when nobody can read it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedDigest {
    /// Which part.
    pub kind: PartKind,
    /// SHA-256 of the plaintext, which begins with chance: it tells nothing of what was said.
    pub digest: [u8; 32],
}

/// When something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Time {
    /// Milliseconds since 1970-01-01T00:00:00Z, finer digits cut off: what order and ranges go by.
    pub ms: i64,
    /// RFC 3339 in UTC with the sender's 3 to 9 digits: `2026-11-20T13:32:07.412Z`.
    pub text: String,
}

/// Someone who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// `type`: `user`, `system`, `api_key` …
    pub kind: String,
    /// Opaque; unique within its type.
    pub id: String,
    /// For people to read.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
}

/// Something acted on. Real events often know only a part, so at least one of the three is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// `type`: `contact`, `did` …
    pub kind: Option<String>,
    /// Opaque; unique within its type.
    pub id: Option<String>,
    /// For people to read.
    pub name: Option<String>,
}

/// One field that changed. A `null` before or after is the same as an absent one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The field's name.
    pub field: String,
    /// Its value before.
    pub before: Option<Json>,
    /// Its value after.
    pub after: Option<Json>,
}

/// Where a request came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// As sent; not always an address.
    pub ip: Option<String>,
    /// As sent.
    pub user_agent: Option<String>,
    /// The request's id in the sender's system.
    pub request_id: Option<String>,
    /// The session's id in the sender's system.
    pub session_id: Option<String>,
}

/// A person whose data the event holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// `type`: `contact` …
    pub kind: String,
    /// Opaque; unique within its type.
    pub id: String,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was tried and did not work.
    Failure,
    /// It was not allowed.
    Denied,
    /// The sender does not know.
    Unknown,
}

/// What a record is. Only the server sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A sender's event.
    Event = 1,
    /// A step of an erasure.
    Erasure = 2,
    /// Something about the log itself, such as `log.recovered`.
    Control = 3,
    /// An entry of ours: looking is logged.
    Own = 4,
}

/// An event with what the server added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the log.
    pub seq: Seq,
    /// Our clock when it was appended, ms since 1970.
    pub received_ms: u64,
    /// What the record is.
    pub kind: Kind,
    /// Its leaf hash in the tree.
    pub hash: [u8; 32],
    /// What happened, as far as its reader may see it.
    pub event: Event,
    /// What its reader got of what is sealed.
    pub parts: SeenParts,
}

impl Event {
    /// The noun of the action: see [`noun`].
    pub fn noun(&self) -> &str {
        noun(&self.action)
    }
}

/// What an action is about: the part before the first `.` or `:`; `other` if there is none, or nothing before it.
pub fn noun(action: &str) -> &str {
    match action.find(['.', ':']) {
        Some(end) if end > 0 => &action[..end],
        _ => "other",
    }
}

impl Object {
    /// Whether nothing is known: such an object is not stored.
    pub fn is_empty(&self) -> bool {
        self.kind.is_none() && self.id.is_none() && self.name.is_none()
    }
}

impl Context {
    /// Whether nothing is known: such a context is not stored.
    pub fn is_empty(&self) -> bool {
        self.ip.is_none() && self.user_agent.is_none() && self.request_id.is_none() && self.session_id.is_none()
    }
}

impl Outcome {
    /// All outcomes, in the order people read them.
    pub const ALL: [Outcome; 4] = [Outcome::Success, Outcome::Failure, Outcome::Denied, Outcome::Unknown];

    /// The word that stands in an event.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Denied => "denied",
            Outcome::Unknown => "unknown",
        }
    }

    /// The outcome of that exact word.
    pub fn from_word(word: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

impl Kind {
    /// The byte that stands in a record.
    pub fn as_byte(self) -> u8 {
        self as u8
    }

    /// The kind of that byte; `None` for a byte that this version does not know.
    pub fn from_byte(byte: u8) -> Option<Kind> {
        [Kind::Event, Kind::Erasure, Kind::Control, Kind::Own].into_iter().find(|kind| kind.as_byte() == byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noun_ends_at_the_first_dot_or_colon() {
        for (action, expected) in [
            ("contact.deleted", "contact"),
            ("iam:CreateUser", "iam"),
            ("s3:Get.Object", "s3"),
            ("ConsoleLogin", "other"),
            (".odd", "other"),
            (":", "other"),
        ] {
            assert_eq!(noun(action), expected, "{action}");
        }
    }

    #[test]
    fn outcomes_and_kinds_survive_the_way_to_bytes_and_back() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_word(outcome.as_str()), Some(outcome));
        }
        for byte in 0..=255 {
            assert_eq!(Kind::from_byte(byte).map(Kind::as_byte), (1..=4).contains(&byte).then_some(byte));
        }
    }
}
