//! Which values of an event each field has: the one place that says so. `matches` and every index call these.
//!
//! Values of whole-value fields come folded and cut as [`text::fold_value`] does; free text comes as it is, because the
//! tokenizer folds.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use super::shown::{self, Shown};
use crate::event::{Change, Event, Object, PartKind, Party};
use crate::json::{Json, Trail};
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
            Member::TargetName => objects(event).any(|(object, _)| object.name.is_some()),
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
            Member::Email => parties(event).any(|(party, _)| party.email.is_some()),
            Member::ActorName => event.actor.name.is_some(),
        }
    }
}

/// The members `event` has, each once.
pub fn has_members(event: &Event, each: &mut dyn FnMut(Member)) {
    Member::ALL.into_iter().filter(|member| member.is_in(event)).for_each(each);
}

/// The values of `field`: folded, except the tenant, each with what a row shows of it. A value may come more than once.
pub fn field_values(field: ValueField, event: &Event, each: &mut dyn FnMut(&str, &[Shown<'_>])) {
    let mut folded = |at: Trail<'_>, text: &str| each(&text::fold_value(text), &[Shown { at: &at, text }]);
    let mut member = |key: &str, text: Option<&str>| {
        if let Some(text) = text {
            folded(Trail::Root.member(key), text);
        }
    };
    match field {
        ValueField::Target => target_values(event, each),
        ValueField::OnBehalfOf => {
            event.on_behalf_of.iter().for_each(|party| folded(shown::ON_BEHALF_OF.member("id"), &party.id));
        }
        ValueField::Id => member("id", Some(&event.id)),
        ValueField::Outcome => member("outcome", Some(event.outcome.as_str())),
        ValueField::Source => member("source", event.source.as_deref()),
        ValueField::Email => {
            for (party, at) in parties(event) {
                party.email.iter().for_each(|email| folded(at.member("email"), email));
            }
        }
        ValueField::ActorName => {
            event.actor.name.iter().for_each(|name| folded(shown::ACTOR.member("name"), name));
        }
        ValueField::TargetName => {
            for (object, at) in objects(event) {
                object.name.iter().for_each(|name| folded(at.member("name"), name));
            }
        }
        ValueField::Request => context("request_id", &event.context.request_id, &mut folded),
        ValueField::Session => context("session_id", &event.context.session_id, &mut folded),
        ValueField::UserAgent => context("user_agent", &event.context.user_agent, &mut folded),
        ValueField::Tenant => {
            let text = event.tenant.as_str();
            each(text, &[Shown { at: &Trail::Root.member("tenant"), text }]);
        }
    }
}

/// Ids of target and related objects, alone and behind their type.
fn target_values(event: &Event, each: &mut dyn FnMut(&str, &[Shown<'_>])) {
    for (object, at) in objects(event) {
        let Some(id) = id_of(object) else {
            continue;
        };
        let at_id = at.member("id");
        let shown_id = Shown { at: &at_id, text: id };
        each(&text::fold_value(id), &[shown_id]);
        if let Some(kind) = kind_of(object) {
            let shown_kind = Shown { at: &at.member("type"), text: kind };
            each(&text::fold_value(&[kind, "/", id].concat()), &[shown_kind, shown_id]);
        }
    }
}

fn context(key: &str, value: &Option<String>, each: &mut dyn FnMut(Trail<'_>, &str)) {
    value.iter().for_each(|value| each(shown::CONTEXT.member(key), value));
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

/// One change: its field, and the values before and after. A null or absent value is `None`; an object or an array is
/// its compact JSON.
pub struct ChangeValues<'a> {
    /// The changed field's name.
    pub field: Spelling<'a>,
    /// The value before.
    pub before: Option<Spelling<'a>>,
    /// The value after.
    pub after: Option<Spelling<'a>>,
}

/// A value as it is compared, and as a row shows it.
pub struct Spelling<'a> {
    /// Compared: folded and cut.
    pub folded: Cow<'a, str>,
    /// Shown: as sent.
    pub text: Cow<'a, str>,
}

/// The changes of an event, in the sender's order.
pub fn changes(event: &Event) -> impl Iterator<Item = ChangeValues<'_>> {
    event.changes.iter().map(|Change { field, before, after }| ChangeValues {
        field: spelling(field),
        before: before.as_ref().and_then(value_spelling),
        after: after.as_ref().and_then(value_spelling),
    })
}

/// A JSON value as a change compares it.
fn value_spelling(value: &Json) -> Option<Spelling<'_>> {
    match value {
        Json::Null => None,
        Json::Array(_) | Json::Object(_) => {
            let mut compact = String::new();
            value.write(&mut compact);
            let folded = Cow::Owned(text::fold_value(&compact).into_owned());
            Some(Spelling { folded, text: Cow::Owned(compact) })
        }
        Json::Bool(_) | Json::Number(_) | Json::String(_) => scalar_text(value).map(spelling),
    }
}

fn spelling(text: &str) -> Spelling<'_> {
    Spelling { folded: text::fold_value(text), text: Cow::Borrowed(text) }
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

/// Every scalar of `detail` with its folded path and the place where a row shows it.
pub fn detail_leaves(event: &Event, each: &mut dyn FnMut(&str, Leaf<'_>, &Trail<'_>)) {
    if let Some(detail) = &event.detail {
        text::flatten(detail, &shown::DETAIL, each);
    }
}

/// The free text of an event, value by value: names, emails and ids of everybody and everything in it, reason, changed
/// fields with their values, context, and every scalar of `detail`. Not folded. Words of two values are never neighbours.
pub fn text_values(event: &Event, each: &mut dyn FnMut(Shown<'_>)) {
    let mut each = |at: Trail<'_>, text: &str| each(Shown { at: &at, text });
    for (party, at) in parties(event) {
        party.name.iter().for_each(|name| each(at.member("name"), name));
        party.email.iter().for_each(|email| each(at.member("email"), email));
        each(at.member("id"), &party.id);
    }
    for (object, at) in objects(event) {
        object.name.iter().for_each(|name| each(at.member("name"), name));
        id_of(object).into_iter().for_each(|id| each(at.member("id"), id));
    }
    each(Trail::Root.member("id"), &event.id);
    event.reason.iter().for_each(|reason| each(Trail::Root.member("reason"), reason));
    for (index, change) in event.changes.iter().enumerate() {
        let at = shown::CHANGES.item(index);
        each(at.member("field"), &change.field);
        for (key, value) in [("before", &change.before), ("after", &change.after)] {
            value.iter().for_each(|value| each_scalar(value, at.member(key), &mut each));
        }
    }
    context("ip", &event.context.ip, &mut each);
    context("user_agent", &event.context.user_agent, &mut each);
    context("request_id", &event.context.request_id, &mut each);
    context("session_id", &event.context.session_id, &mut each);
    event.detail.iter().for_each(|detail| each_scalar(detail, shown::DETAIL, &mut each));
}

/// The part of that which can be sealed, by the part of an event it would be in.
pub fn personal_texts(event: &Event, part: PartKind, each: &mut dyn FnMut(&str)) {
    match part {
        PartKind::Content => {
            objects(event).filter_map(|(object, _)| object.name.as_deref()).for_each(&mut *each);
            event.reason.as_deref().into_iter().for_each(&mut *each);
            for value in event.changes.iter().flat_map(|change| [&change.before, &change.after]).flatten() {
                each_scalar(value, shown::CHANGES, &mut |_, text| each(text));
            }
            event.detail.iter().for_each(|detail| each_scalar(detail, shown::DETAIL, &mut |_, text| each(text)));
        }
        PartKind::Who => {
            let parties = parties(event).flat_map(|(party, _)| [&party.name, &party.email]);
            let values = parties.chain([&event.context.ip, &event.context.user_agent]);
            values.flatten().for_each(|text| each(text));
        }
    }
}

fn each_scalar(value: &Json, at: Trail<'_>, each: &mut dyn FnMut(Trail<'_>, &str)) {
    match value {
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| each_scalar(item, at.item(index), each));
        }
        Json::Object(members) => {
            members.iter().for_each(|(key, member)| each_scalar(member, at.member(key), each));
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            scalar_text(value).into_iter().for_each(|text| each(at, text));
        }
    }
}

/// Those who act, and where they stand.
fn parties(event: &Event) -> impl Iterator<Item = (&Party, Trail<'static>)> {
    let on_behalf_of = event.on_behalf_of.iter().map(|party| (party, shown::ON_BEHALF_OF));
    std::iter::once((&event.actor, shown::ACTOR)).chain(on_behalf_of)
}

/// What is acted on, and where it stands.
fn objects(event: &Event) -> impl Iterator<Item = (&Object, Trail<'static>)> {
    let related = event.related.iter().enumerate();
    let related = related.map(|(index, object)| (object, Trail::Item { of: &shown::RELATED, index }));
    event.target.iter().map(|target| (target, shown::TARGET)).chain(related)
}

fn id_of(object: &Object) -> Option<&str> {
    object.id.as_deref()
}

fn kind_of(object: &Object) -> Option<&str> {
    object.kind.as_deref()
}
