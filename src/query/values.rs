//! Which values of an event each field has: the one place that says so. `matches` and every index call these.
//!
//! Values of whole-value fields come folded and cut as [`text::fold_value`] does; free text comes as it is, because the
//! tokenizer folds.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use crate::event::{Change, Event};
use crate::json::Json;
use crate::text::{self, Leaf};

/// Fields whose whole value is compared, besides those with a filter of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueField {
    /// Ids of target and related objects, alone and as `type/id`.
    Target,
    /// Id of the party acted for.
    OnBehalfOf,
    /// The event's own id.
    Id,
    /// `success`, `failure`, `denied`, `unknown`.
    Outcome,
    /// The sending system.
    Source,
    /// Email of actor and on_behalf_of.
    Email,
    /// Name of the actor.
    ActorName,
    /// Names of target and related objects.
    TargetName,
    /// `context.request_id`.
    Request,
    /// `context.session_id`.
    Session,
    /// `context.user_agent`.
    UserAgent,
    /// The tenant: exact, never folded.
    Tenant,
}

impl ValueField {
    /// Every field, in the order of the documentation.
    pub const ALL: [ValueField; 12] = [
        ValueField::Target,
        ValueField::OnBehalfOf,
        ValueField::Id,
        ValueField::Outcome,
        ValueField::Source,
        ValueField::Email,
        ValueField::ActorName,
        ValueField::TargetName,
        ValueField::Request,
        ValueField::Session,
        ValueField::UserAgent,
        ValueField::Tenant,
    ];

    /// The name in a query text.
    pub fn as_str(self) -> &'static str {
        match self {
            ValueField::Target => "target",
            ValueField::OnBehalfOf => "on_behalf_of",
            ValueField::Id => "id",
            ValueField::Outcome => "outcome",
            ValueField::Source => "source",
            ValueField::Email => "email",
            ValueField::ActorName => "actor_name",
            ValueField::TargetName => "target_name",
            ValueField::Request => "request",
            ValueField::Session => "session",
            ValueField::UserAgent => "user_agent",
            ValueField::Tenant => "tenant",
        }
    }

    /// The member whose presence `field:*` asks for; `None` where every event has a value.
    pub fn member(self) -> Option<Member> {
        match self {
            ValueField::Target => Some(Member::Target),
            ValueField::OnBehalfOf => Some(Member::OnBehalfOf),
            ValueField::Source => Some(Member::Source),
            ValueField::Email => Some(Member::Email),
            ValueField::ActorName => Some(Member::ActorName),
            ValueField::TargetName => Some(Member::TargetName),
            ValueField::Request => Some(Member::Request),
            ValueField::Session => Some(Member::Session),
            ValueField::UserAgent => Some(Member::UserAgent),
            ValueField::Id | ValueField::Outcome | ValueField::Tenant => None,
        }
    }
}

/// Members of an event that may be absent and can be asked for by `has:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    /// A target object.
    Target,
    /// The target's type.
    TargetType,
    /// A name of the target or of a related object.
    TargetName,
    /// A party acted for.
    OnBehalfOf,
    /// The sending system.
    Source,
    /// A reason.
    Reason,
    /// Related objects.
    Related,
    /// Changed fields.
    Changes,
    /// Subjects listed by the sender.
    Subjects,
    /// A payload.
    Detail,
    /// `context.ip`.
    Ip,
    /// `context.user_agent`.
    UserAgent,
    /// `context.request_id`.
    Request,
    /// `context.session_id`.
    Session,
    /// An email of actor or on_behalf_of.
    Email,
    /// The actor's name.
    ActorName,
}

impl Member {
    /// Every member, in the order of the documentation.
    pub const ALL: [Member; 16] = [
        Member::Target,
        Member::TargetType,
        Member::TargetName,
        Member::OnBehalfOf,
        Member::Source,
        Member::Reason,
        Member::Related,
        Member::Changes,
        Member::Subjects,
        Member::Detail,
        Member::Ip,
        Member::UserAgent,
        Member::Request,
        Member::Session,
        Member::Email,
        Member::ActorName,
    ];

    /// The name in `has:name`, also the term an index stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Member::Target => "target",
            Member::TargetType => "target_type",
            Member::TargetName => "target_name",
            Member::OnBehalfOf => "on_behalf_of",
            Member::Source => "source",
            Member::Reason => "reason",
            Member::Related => "related",
            Member::Changes => "changes",
            Member::Subjects => "subjects",
            Member::Detail => "detail",
            Member::Ip => "ip",
            Member::UserAgent => "user_agent",
            Member::Request => "request",
            Member::Session => "session",
            Member::Email => "email",
            Member::ActorName => "actor_name",
        }
    }

    /// Whether `event` has it.
    pub fn is_in(self, event: &Event) -> bool {
        match self {
            Member::Target => event.target.is_some(),
            Member::TargetType => target_type(event).is_some(),
            Member::TargetName => objects(event).any(|object| object.name.is_some()),
            Member::OnBehalfOf => event.on_behalf_of.is_some(),
            Member::Source => event.source.is_some(),
            Member::Reason => event.reason.is_some(),
            Member::Related => !event.related.is_empty(),
            Member::Changes => !event.changes.is_empty(),
            Member::Subjects => !event.subjects.is_empty(),
            Member::Detail => event.detail.is_some(),
            Member::Ip => event.context.ip.is_some(),
            Member::UserAgent => event.context.user_agent.is_some(),
            Member::Request => event.context.request_id.is_some(),
            Member::Session => event.context.session_id.is_some(),
            Member::Email => parties(event).any(|party| party.email.is_some()),
            Member::ActorName => event.actor.name.is_some(),
        }
    }
}

/// The members `event` has, each once.
pub fn has_members(event: &Event, each: &mut dyn FnMut(Member)) {
    Member::ALL.into_iter().filter(|member| member.is_in(event)).for_each(each);
}

/// The values of `field`: folded, except the tenant. A value may come more than once.
pub fn field_values(field: ValueField, event: &Event, each: &mut dyn FnMut(&str)) {
    let mut folded = |value: &str| each(&text::fold_value(value));
    match field {
        ValueField::Target => {
            for object in objects(event) {
                if let Some(id) = id_of(object) {
                    folded(id);
                    if let Some(kind) = kind_of(object) {
                        folded(&format!("{kind}/{id}"));
                    }
                }
            }
        }
        ValueField::OnBehalfOf => event.on_behalf_of.iter().for_each(|party| folded(&party.id)),
        ValueField::Id => folded(&event.id),
        ValueField::Outcome => each(event.outcome.as_str()),
        ValueField::Source => event.source.iter().for_each(|source| folded(source)),
        ValueField::Email => parties(event).filter_map(|party| party.email.as_deref()).for_each(folded),
        ValueField::ActorName => event.actor.name.iter().for_each(|name| folded(name)),
        ValueField::TargetName => objects(event).filter_map(|object| object.name.as_deref()).for_each(folded),
        ValueField::Request => event.context.request_id.iter().for_each(|id| folded(id)),
        ValueField::Session => event.context.session_id.iter().for_each(|id| folded(id)),
        ValueField::UserAgent => event.context.user_agent.iter().for_each(|agent| folded(agent)),
        ValueField::Tenant => each(&event.tenant),
    }
}

/// The actor's type and id, folded: what `actor:` filters and the actor facet are made of.
pub fn actor(event: &Event) -> (Cow<'_, str>, Cow<'_, str>) {
    (text::fold_value(&event.actor.kind), text::fold_value(&event.actor.id))
}

/// The action, folded.
pub fn action(event: &Event) -> Cow<'_, str> {
    text::fold_value(&event.action)
}

/// The target's type, folded; related objects do not count.
pub fn target_type(event: &Event) -> Option<Cow<'_, str>> {
    event.target.as_ref().and_then(kind_of).map(text::fold_value)
}

/// The address text as sent, folded.
pub fn ip_text(event: &Event) -> Option<Cow<'_, str>> {
    event.context.ip.as_deref().map(text::fold_value)
}

/// The address, if the text is one; IPv4 as IPv4-mapped IPv6.
pub fn ip_address(event: &Event) -> Option<Ipv6Addr> {
    event.context.ip.as_deref()?.trim().parse().ok().map(mapped)
}

/// An address in the one space we compare in: IPv4 as IPv4-mapped IPv6.
pub fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// One change, folded: its field, and the values before and after. A null or absent value is `None`; an object or an
/// array is its compact JSON.
pub struct ChangeValues<'a> {
    /// The changed field's name.
    pub field: Cow<'a, str>,
    /// The value before.
    pub before: Option<Cow<'a, str>>,
    /// The value after.
    pub after: Option<Cow<'a, str>>,
}

/// The changes of an event, in the sender's order.
pub fn changes(event: &Event) -> impl Iterator<Item = ChangeValues<'_>> {
    event.changes.iter().map(|Change { field, before, after }| ChangeValues {
        field: text::fold_value(field),
        before: before.as_ref().and_then(value_text),
        after: after.as_ref().and_then(value_text),
    })
}

/// A JSON value as a change compares it.
fn value_text(value: &Json) -> Option<Cow<'_, str>> {
    match value {
        Json::Null => None,
        Json::Array(_) | Json::Object(_) => {
            let mut compact = String::new();
            value.write(&mut compact);
            Some(Cow::Owned(text::fold_value(&compact).into_owned()))
        }
        Json::Bool(_) | Json::Number(_) | Json::String(_) => scalar_text(value).map(text::fold_value),
    }
}

fn scalar_text(value: &Json) -> Option<&str> {
    match value {
        Json::Bool(value) => Some(bool_text(*value)),
        Json::Number(token) => Some(token),
        Json::String(text) => Some(text),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// A scalar inside `detail` as text, before folding.
pub fn leaf_text<'a>(leaf: &Leaf<'a>) -> &'a str {
    match leaf {
        Leaf::Text(text) => text,
        Leaf::Number(token) => token,
        Leaf::Bool(value) => bool_text(*value),
    }
}

fn bool_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// Every scalar of `detail` with its folded path.
pub fn detail_leaves(event: &Event, each: &mut dyn FnMut(&str, Leaf<'_>)) {
    if let Some(detail) = &event.detail {
        text::flatten(detail, each);
    }
}

/// The free text of an event, value by value: names, emails and ids of everybody and everything in it, reason, changed
/// fields with their values, context, and every scalar of `detail`. Not folded. Words of two values are never neighbours.
pub fn text_values(event: &Event, each: &mut dyn FnMut(&str)) {
    for party in parties(event) {
        party.name.iter().for_each(|name| each(name));
        party.email.iter().for_each(|email| each(email));
        each(&party.id);
    }
    for object in objects(event) {
        object.name.iter().for_each(|name| each(name));
        id_of(object).into_iter().for_each(&mut *each);
    }
    each(&event.id);
    event.reason.iter().for_each(|reason| each(reason));
    for change in &event.changes {
        each(&change.field);
        for value in change.before.iter().chain(&change.after) {
            each_scalar(value, each);
        }
    }
    let context = &event.context;
    [&context.ip, &context.user_agent, &context.request_id, &context.session_id]
        .into_iter()
        .flatten()
        .for_each(|value| each(value));
    event.detail.iter().for_each(|detail| each_scalar(detail, each));
}

fn each_scalar(value: &Json, each: &mut dyn FnMut(&str)) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| each_scalar(item, each)),
        Json::Object(members) => members.iter().for_each(|(_, member)| each_scalar(member, each)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => scalar_text(value).into_iter().for_each(each),
    }
}

fn parties(event: &Event) -> impl Iterator<Item = &crate::event::Party> {
    std::iter::once(&event.actor).chain(&event.on_behalf_of)
}

fn objects(event: &Event) -> impl Iterator<Item = &crate::event::Object> {
    event.target.iter().chain(&event.related)
}

fn id_of(object: &crate::event::Object) -> Option<&str> {
    object.id.as_deref()
}

fn kind_of(object: &crate::event::Object) -> Option<&str> {
    object.kind.as_deref()
}
