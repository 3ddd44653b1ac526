//! What must hold of each event by itself, and from one event to the next. Recovery and verification ask the same here.

use std::str::Utf8Error;

use crate::event::{BodyHead, HeadError, Kind};
use crate::log::{Excised, FrameType, Payload, PayloadError};
use crate::tree::{Leaf, commit, tenant_tag};

/// Why a record is not the event that is due.
#[derive(Debug, thiserror::Error)]
pub enum EventFault {
    /// No event's frame.
    #[error("a {0:?} frame stands where an event is expected")]
    Frame(FrameType),
    /// The payload cannot be taken apart.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The body is no text.
    #[error("the body is not UTF-8: {0}")]
    Utf8(#[from] Utf8Error),
    /// The body is no event.
    #[error("the body is not an event's: {0}")]
    Body(#[from] HeadError),
    /// What is left of it is not an event's leaf.
    #[error("what is left of it has no leaf of a known version")]
    Leaf,
    /// What is left of it is of two tenants.
    #[error("what is left of it names another tenant than its leaf")]
    Tenant,
    /// A kind that only a newer version or a forger writes.
    #[error("kind {found} is not known here")]
    Kind {
        /// The kind byte.
        found: u8,
    },
    /// An event of the tenant is missing, or one is there twice.
    #[error("it is number {found} of its tenant, expected {expected}")]
    TenantSeq {
        /// What it says.
        found: u64,
        /// What is due.
        expected: u64,
    },
    /// Time went back.
    #[error("it was received at {found} ms, before the one before it at {last} ms")]
    Received {
        /// What it says.
        found: u64,
        /// What the event before it says.
        last: u64,
    },
}

/// The leaf of a record, computed from its bytes alone.
pub fn leaf_of(frame_type: FrameType, payload: &[u8]) -> Result<Leaf, EventFault> {
    match frame_type {
        FrameType::Event => {
            let payload = Payload::decode(payload)?;
            let head = BodyHead::read_all(std::str::from_utf8(payload.body)?)?;
            Ok(leaf(&payload, &head.tenant))
        }
        FrameType::Excised => leaf_of_excised(&Excised::decode(payload)?),
        FrameType::Commit | FrameType::Seal => Err(EventFault::Frame(frame_type)),
    }
}

/// The leaf that is left of an event whose content was cut out.
pub fn leaf_of_excised(excised: &Excised<'_>) -> Result<Leaf, EventFault> {
    let leaf = Leaf::decode(excised.leaf).ok_or(EventFault::Leaf)?;
    match leaf.tenant_tag == tenant_tag(excised.tenant) {
        true => Ok(leaf),
        false => Err(EventFault::Tenant),
    }
}

/// The leaf of a payload whose body is an event of this tenant.
pub fn leaf(payload: &Payload<'_>, tenant: &str) -> Leaf {
    Leaf {
        kind: payload.kind,
        received_ms: payload.received_ms,
        tenant_tag: tenant_tag(tenant),
        tenant_seq: payload.tenant_seq,
        commit: commit(&payload.salt, payload.body),
    }
}

/// How far a log has come, as far as the next event must agree with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chain {
    last_received_ms: u64,
}

impl Chain {
    /// `received` of the newest event, ms.
    pub fn last_received_ms(&self) -> u64 {
        self.last_received_ms
    }

    /// The next event; `tenant_seq` is the number that is due for its tenant.
    pub fn follow(&mut self, leaf: &Leaf, tenant_seq: u64) -> Result<(), EventFault> {
        if Kind::from_byte(leaf.kind).is_none() {
            return Err(EventFault::Kind { found: leaf.kind });
        }
        if leaf.tenant_seq != tenant_seq {
            return Err(EventFault::TenantSeq { found: leaf.tenant_seq, expected: tenant_seq });
        }
        if leaf.received_ms < self.last_received_ms {
            return Err(EventFault::Received { found: leaf.received_ms, last: self.last_received_ms });
        }
        self.last_received_ms = leaf.received_ms;
        Ok(())
    }
}
