//! An entry for the tests of this room.

use crate::event::{Context, Entry, Event, Kind, Outcome, Party, SeenParts, Time};
use crate::seq::Seq;

/// The simplest entry there is, at seq 7.
pub fn entry() -> Entry {
    let event = Event {
        id: "e7".into(),
        time: Time { ms: 0, text: "1970-01-01T00:00:00.000Z".into() },
        tenant: "default".into(),
        actor: Party { kind: "user".into(), id: "u_1".into(), name: None, email: None },
        on_behalf_of: None,
        source: None,
        action: "a.b".into(),
        outcome: Outcome::Success,
        reason: None,
        target: None,
        related: Vec::new(),
        changes: Vec::new(),
        context: Context::default(),
        subjects: Vec::new(),
        detail: None,
        sealed: Vec::new(),
    };
    Entry { seq: Seq(7), received_ms: 0, kind: Kind::Event, hash: [0; 32], event, parts: SeenParts::default() }
}
