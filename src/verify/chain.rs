//! What must hold of each event by itself, and from one event to the next. Recovery and verification ask the same here.

use std::str::Utf8Error;

use crate::event::{BodyHead, HeadError, Kind};
use crate::log::{FrameType, Payload, PayloadError};
use crate::tree::{Leaf, commit, tenant_tag};

/// Why a record is not the event that is due.
#[derive(Debug, thiserror::Error)]
pub enum EventFault {
    /// No event frame. (Excised events come with erasure.)
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
    if frame_type != FrameType::Event {
        return Err(EventFault::Frame(frame_type));
    }
    let payload = Payload::decode(payload)?;
    let head = BodyHead::read_all(std::str::from_utf8(payload.body)?)?;
    Ok(leaf(&payload, &head.tenant))
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
