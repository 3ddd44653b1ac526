//! Where a row shows the values that filters compare: so that what was found can be marked there.

use crate::event::Event;
use crate::json::Trail;

pub(super) const ACTOR: Trail<'static> = Trail::Member { of: &Trail::Root, key: "actor" };
pub(super) const ON_BEHALF_OF: Trail<'static> = Trail::Member { of: &Trail::Root, key: "on_behalf_of" };
pub(super) const ACTION: Trail<'static> = Trail::Member { of: &Trail::Root, key: "action" };
pub(super) const TARGET: Trail<'static> = Trail::Member { of: &Trail::Root, key: "target" };
pub(super) const RELATED: Trail<'static> = Trail::Member { of: &Trail::Root, key: "related" };
pub(super) const CHANGES: Trail<'static> = Trail::Member { of: &Trail::Root, key: "changes" };
pub(super) const CONTEXT: Trail<'static> = Trail::Member { of: &Trail::Root, key: "context" };
pub(super) const DETAIL: Trail<'static> = Trail::Member { of: &Trail::Root, key: "detail" };

const ACTOR_TYPE: Trail<'static> = Trail::Member { of: &ACTOR, key: "type" };
const ACTOR_ID: Trail<'static> = Trail::Member { of: &ACTOR, key: "id" };
const TARGET_TYPE: Trail<'static> = Trail::Member { of: &TARGET, key: "type" };
const IP: Trail<'static> = Trail::Member { of: &CONTEXT, key: "ip" };

/// A value as a row shows it: a string's text, or the JSON of any other value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown<'a> {
    /// Where in the row.
    pub at: &'a Trail<'a>,
    /// The text there, as sent.
    pub text: &'a str,
}

/// Of [`values::actor`](super::values::actor): type and id.
pub(super) fn actor(event: &Event) -> [Shown<'_>; 2] {
    [Shown { at: &ACTOR_TYPE, text: &event.actor.kind }, Shown { at: &ACTOR_ID, text: &event.actor.id }]
}

/// Of [`values::action`](super::values::action).
pub(super) fn action(event: &Event) -> Shown<'_> {
    Shown { at: &ACTION, text: &event.action }
}

/// Of [`values::target_type`](super::values::target_type).
pub(super) fn target_type(event: &Event) -> Option<Shown<'_>> {
    let kind = event.target.as_ref()?.kind.as_deref()?;
    Some(Shown { at: &TARGET_TYPE, text: kind })
}

/// Of [`values::ip_text`](super::values::ip_text).
pub(super) fn ip(event: &Event) -> Option<Shown<'_>> {
    event.context.ip.as_deref().map(|text| Shown { at: &IP, text })
}
