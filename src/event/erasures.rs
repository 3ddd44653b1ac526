//! What our own entries about erasures say: what an erasure is known by in the log, to who goes on with it and to who verifies it.

use super::model::{Event, Outcome, Subject};
use crate::json::Json;

/// The action that an erasure begins with.
pub const REQUESTED: &str = "erasure.requested";

/// What an erasure begins with, as its entry tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// Who is erased.
    pub who: Subject,
    /// The numbers of the keys that are destroyed.
    pub keys: Vec<u64>,
    /// These were made at this ms or before.
    pub until_ms: Option<u64>,
}

impl Event {
    /// Its target, if that has type and id.
    pub fn target_subject(&self) -> Option<Subject> {
        let target = self.target.as_ref()?;
        Some(Subject { kind: target.kind.clone()?, id: target.id.clone()? })
    }

    /// The erasure that it begins; `None` if it begins none. Whether it is an entry of ours its kind says.
    pub fn requested_erasure(&self) -> Option<Requested> {
        if self.action != REQUESTED || self.outcome != Outcome::Success {
            return None;
        }
        let member = |name: &str| self.detail.as_ref()?.get(name);
        let keys = match member("keys") {
            Some(Json::Array(keys)) => keys.iter().filter_map(Json::as_u64).collect(),
            _ => Vec::new(),
        };
        Some(Requested { who: self.target_subject()?, keys, until_ms: member("until_ms").and_then(Json::as_u64) })
    }
}
