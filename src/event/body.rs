//! The body: the bytes of an event that are hashed and stored. Written once, at the door; never re-serialised after.
//!
//! No spaces; our members in one fixed order, the sender's own (in `detail`, `before`, `after`) in the sender's;
//! number tokens as sent; strings with minimal escapes; what is absent or empty is not there.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::limits::DEPTH_MAX;
use super::model::{Change, Context, Event, Object, Outcome, Party, SealedDigest, Subject, Time};
use super::personal::PartKind;
use super::time;
use crate::json::{self, Json, JsonError, write_string};

/// Why stored bytes are not an event. They were checked at the door, so this means damage or a newer version.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Not JSON.
    #[error("a stored event is not JSON")]
    Json(#[from] JsonError),
    /// A member is missing or not of its type.
    #[error("a stored event has no valid {member}")]
    Member {
        /// The member's name.
        member: &'static str,
    },
    /// A member that this version does not know.
    #[error("a stored event has an unknown member {member:?}")]
    Unknown {
        /// The member's name.
        member: String,
    },
}

impl Event {
    /// Reads stored body bytes back. Trusts what the door checked: limits are not looked at again.
    ///
    /// # Errors
    /// If the text is not a body of this version.
    pub fn from_body(body: &str) -> Result<Event, BodyError> {
        let mut builder = Builder::default();
        // A value cannot be deeper than the event was, so the same limit holds.
        for (key, value) in object(json::parse(body, DEPTH_MAX)?, "event")? {
            match key.as_str() {
                "id" => builder.id = Some(string(value, "id")?),
                "time" => builder.time = Some(string(value, "time")?),
                "tenant" => builder.tenant = Some(string(value, "tenant")?),
                "actor" => builder.actor = Some(party(value, "actor")?),
                "on_behalf_of" => builder.on_behalf_of = Some(party(value, "on_behalf_of")?),
                "source" => builder.source = Some(string(value, "source")?),
                "action" => builder.action = Some(string(value, "action")?),
                "outcome" => builder.outcome = Some(string(value, "outcome")?),
                "reason" => builder.reason = Some(string(value, "reason")?),
                "target" => builder.target = Some(thing(value, "target")?),
                "related" => builder.related = list(value, "related", thing)?,
                "changes" => builder.changes = list(value, "changes", change)?,
                "context" => builder.context = context(value)?,
                "subjects" => builder.subjects = list(value, "subjects", subject)?,
                "detail" => builder.detail = Some(value),
                "sealed" => builder.sealed = sealed(value)?,
                _ => return Err(BodyError::Unknown { member: key }),
            }
        }
        builder.finish()
    }

    /// The body bytes of this event. `Event::from_body(&event.body())` gives the event back.
    pub fn body(&self) -> String {
        let mut out = String::with_capacity(512);
        self.write_body(&mut out);
        out
    }

    /// Appends the body bytes.
    pub fn write_body(&self, out: &mut String) {
        out.push_str("{\"id\":");
        write_string(&self.id, out);
        out.push_str(",\"time\":");
        write_string(&self.time.text, out);
        out.push_str(",\"tenant\":");
        write_string(&self.tenant, out);
        out.push_str(",\"actor\":");
        write_party(&self.actor, out);
        if let Some(party) = &self.on_behalf_of {
            out.push_str(",\"on_behalf_of\":");
            write_party(party, out);
        }
        write_member(",\"source\":", self.source.as_deref(), out);
        write_member(",\"action\":", Some(&self.action), out);
        write_member(",\"outcome\":", Some(self.outcome.as_str()), out);
        write_member(",\"reason\":", self.reason.as_deref(), out);
        if let Some(target) = &self.target {
            out.push_str(",\"target\":");
            write_object(target, out);
        }
        write_list(",\"related\":[", &self.related, write_object, out);
        write_list(",\"changes\":[", &self.changes, write_change, out);
        if !self.context.is_empty() {
            out.push_str(",\"context\":");
            write_context(&self.context, out);
        }
        write_list(",\"subjects\":[", &self.subjects, write_subject, out);
        if let Some(detail) = &self.detail {
            out.push_str(",\"detail\":");
            detail.write(out);
        }
        write_sealed(&self.sealed, out);
        out.push('}');
    }
}

/// Adds to finished body bytes what was sealed of their event.
pub fn add_sealed(body: &mut String, sealed: &[SealedDigest]) {
    debug_assert!(body.ends_with('}') && body.len() > 2, "a body is an object with members");
    body.pop();
    write_sealed(sealed, body);
    body.push('}');
}

fn write_sealed(sealed: &[SealedDigest], out: &mut String) {
    for (n, SealedDigest { kind, digest }) in sealed.iter().enumerate() {
        out.push_str(if n == 0 { ",\"sealed\":{" } else { "," });
        write_string(kind.as_str(), out);
        out.push_str(":\"");
        URL_SAFE_NO_PAD.encode_string(digest, out);
        out.push('"');
    }
    if !sealed.is_empty() {
        out.push('}');
    }
}

/// Appends one object of a target or of `related` as it stands in a body.
pub(crate) fn write_object(object: &Object, out: &mut String) {
    let members = [(",\"type\":", &object.kind), (",\"id\":", &object.id), (",\"name\":", &object.name)];
    write_optional(&members, out);
}

fn write_context(context: &Context, out: &mut String) {
    let members = [
        (",\"ip\":", &context.ip),
        (",\"user_agent\":", &context.user_agent),
        (",\"request_id\":", &context.request_id),
        (",\"session_id\":", &context.session_id),
    ];
    write_optional(&members, out);
}

/// An object of optional members; each key comes with its comma, which the first one drops.
fn write_optional(members: &[(&str, &Option<String>)], out: &mut String) {
    out.push('{');
    let mut is_first = true;
    for (key, value) in members {
        if let Some(value) = value {
            out.push_str(if is_first { &key[1..] } else { key });
            write_string(value, out);
            is_first = false;
        }
    }
    out.push('}');
}

fn write_party(party: &Party, out: &mut String) {
    write_member("{\"type\":", Some(&party.kind), out);
    write_member(",\"id\":", Some(&party.id), out);
    write_member(",\"name\":", party.name.as_deref(), out);
    write_member(",\"email\":", party.email.as_deref(), out);
    out.push('}');
}

fn write_subject(subject: &Subject, out: &mut String) {
    write_member("{\"type\":", Some(&subject.kind), out);
    write_member(",\"id\":", Some(&subject.id), out);
    out.push('}');
}

fn write_change(change: &Change, out: &mut String) {
    write_member("{\"field\":", Some(&change.field), out);
    for (key, value) in [(",\"before\":", &change.before), (",\"after\":", &change.after)] {
        if let Some(value) = value {
            out.push_str(key);
            value.write(out);
        }
    }
    out.push('}');
}

fn write_member(key: &str, value: Option<&str>, out: &mut String) {
    if let Some(value) = value {
        out.push_str(key);
        write_string(value, out);
    }
}

fn write_list<T>(key: &str, items: &[T], write: fn(&T, &mut String), out: &mut String) {
    if items.is_empty() {
        return;
    }
    out.push_str(key);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

#[derive(Default)]
struct Builder {
    id: Option<String>,
    time: Option<String>,
    tenant: Option<String>,
    actor: Option<Party>,
    on_behalf_of: Option<Party>,
    source: Option<String>,
    action: Option<String>,
    outcome: Option<String>,
    reason: Option<String>,
    target: Option<Object>,
    related: Vec<Object>,
    changes: Vec<Change>,
    context: Context,
    subjects: Vec<Subject>,
    detail: Option<Json>,
    sealed: Vec<SealedDigest>,
}

impl Builder {
    fn finish(self) -> Result<Event, BodyError> {
        let text = required(self.time, "time")?;
        let ms = time::ms_of_stored(&text).ok_or(BodyError::Member { member: "time" })?;
        let outcome = required(self.outcome, "outcome")?;
        Ok(Event {
            id: required(self.id, "id")?,
            time: Time { ms, text },
            tenant: required(self.tenant, "tenant")?,
            actor: required(self.actor, "actor")?,
            on_behalf_of: self.on_behalf_of,
            source: self.source,
            action: required(self.action, "action")?,
            outcome: Outcome::from_word(&outcome).ok_or(BodyError::Member { member: "outcome" })?,
            reason: self.reason,
            target: self.target,
            related: self.related,
            changes: self.changes,
            context: self.context,
            subjects: self.subjects,
            detail: self.detail,
            sealed: self.sealed,
        })
    }
}

fn required<T>(value: Option<T>, member: &'static str) -> Result<T, BodyError> {
    value.ok_or(BodyError::Member { member })
}

fn string(value: Json, member: &'static str) -> Result<String, BodyError> {
    match value {
        Json::String(text) => Ok(text),
        _ => Err(BodyError::Member { member }),
    }
}

fn object(value: Json, member: &'static str) -> Result<Vec<(String, Json)>, BodyError> {
    match value {
        Json::Object(members) => Ok(members),
        _ => Err(BodyError::Member { member }),
    }
}

fn list<T>(
    value: Json,
    member: &'static str,
    read: fn(Json, &'static str) -> Result<T, BodyError>,
) -> Result<Vec<T>, BodyError> {
    match value {
        Json::Array(items) => items.into_iter().map(|item| read(item, member)).collect(),
        _ => Err(BodyError::Member { member }),
    }
}

fn party(value: Json, member: &'static str) -> Result<Party, BodyError> {
    let (mut kind, mut id, mut name, mut email) = (None, None, None, None);
    for (key, value) in object(value, member)? {
        match key.as_str() {
            "type" => kind = Some(string(value, member)?),
            "id" => id = Some(string(value, member)?),
            "name" => name = Some(string(value, member)?),
            "email" => email = Some(string(value, member)?),
            _ => return Err(BodyError::Unknown { member: key }),
        }
    }
    Ok(Party { kind: required(kind, member)?, id: required(id, member)?, name, email })
}

fn thing(value: Json, member: &'static str) -> Result<Object, BodyError> {
    let mut thing = Object::default();
    for (key, value) in object(value, member)? {
        match key.as_str() {
            "type" => thing.kind = Some(string(value, member)?),
            "id" => thing.id = Some(string(value, member)?),
            "name" => thing.name = Some(string(value, member)?),
            _ => return Err(BodyError::Unknown { member: key }),
        }
    }
    Ok(thing)
}

fn change(value: Json, member: &'static str) -> Result<Change, BodyError> {
    let (mut field, mut before, mut after) = (None, None, None);
    for (key, value) in object(value, member)? {
        match key.as_str() {
            "field" => field = Some(string(value, member)?),
            "before" => before = Some(value),
            "after" => after = Some(value),
            _ => return Err(BodyError::Unknown { member: key }),
        }
    }
    Ok(Change { field: required(field, member)?, before, after })
}

fn context(value: Json) -> Result<Context, BodyError> {
    let mut context = Context::default();
    for (key, value) in object(value, "context")? {
        match key.as_str() {
            "ip" => context.ip = Some(string(value, "context")?),
            "user_agent" => context.user_agent = Some(string(value, "context")?),
            "request_id" => context.request_id = Some(string(value, "context")?),
            "session_id" => context.session_id = Some(string(value, "context")?),
            _ => return Err(BodyError::Unknown { member: key }),
        }
    }
    Ok(context)
}

fn subject(value: Json, member: &'static str) -> Result<Subject, BodyError> {
    let (mut kind, mut id) = (None, None);
    for (key, value) in object(value, member)? {
        match key.as_str() {
            "type" => kind = Some(string(value, member)?),
            "id" => id = Some(string(value, member)?),
            _ => return Err(BodyError::Unknown { member: key }),
        }
    }
    Ok(Subject { kind: required(kind, member)?, id: required(id, member)? })
}

fn sealed(value: Json) -> Result<Vec<SealedDigest>, BodyError> {
    let one = |(key, value): (String, Json)| {
        let kind = PartKind::from_name(&key).ok_or(BodyError::Unknown { member: key })?;
        let digest = URL_SAFE_NO_PAD.decode(string(value, "sealed")?).ok().and_then(|digest| digest.try_into().ok());
        Ok(SealedDigest { kind, digest: required(digest, "sealed")? })
    };
    object(value, "sealed")?.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"{"id":"1","time":"2026-11-20T13:32:07.412Z","tenant":"acme","actor":{"type":"user","id":"u_81","name":"Maya","email":"m@x"},"on_behalf_of":{"type":"user","id":"u_7"},"source":"velo-api","action":"user.role_changed","outcome":"denied","reason":"\"why\"\n","target":{"id":"u_12"},"related":[{"type":"team","id":"t_3","name":"S"},{"name":"x"}],"changes":[{"field":"role","before":1.50,"after":{"z":1,"a":[null]}},{"field":"x"}],"context":{"user_agent":"é","session_id":"s"},"subjects":[{"type":"contact","id":"c_9"}],"detail":{"z":1e5,"a":-0}}"#;

    #[test]
    fn a_body_survives_the_way_to_an_event_and_back() {
        let event = Event::from_body(FULL).unwrap();
        assert_eq!(event.body(), FULL);
        assert_eq!(event.time.ms, 1_795_181_527_412);
        assert_eq!(event.target, Some(Object { id: Some("u_12".to_owned()), ..Object::default() }));
    }

    #[test]
    fn what_is_sealed_stands_last_and_survives_as_well() {
        let digests = format!(r#""sealed":{{"content":"{}","who":"{}"}}}}"#, "A".repeat(43), "_-".repeat(21) + "8");
        let body = FULL.replace(r#""detail":{"z":1e5,"a":-0}}"#, &digests);
        let event = Event::from_body(&body).unwrap();
        assert_eq!(event.body(), body);
        assert_eq!((event.sealed[0].kind, event.sealed[0].digest), (PartKind::Content, [0; 32]));
        assert_eq!(event.sealed.len(), 2);
        for wrong in [("content", "letter"), ("AAA", "AA"), ("AAA", "AA="), ("\"content\":\"", "\"content\":[\"")] {
            assert!(Event::from_body(&body.replacen(wrong.0, wrong.1, 1)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_body_are_refused() {
        for body in [
            "",
            "[]",
            "{}",
            &FULL.replace("\"id\":\"1\",", ""),
            &FULL.replace("denied", "maybe"),
            &FULL.replace("2026", "then"),
            &FULL.replace("reason", "raison"),
        ] {
            assert!(Event::from_body(body).is_err(), "{body}");
        }
    }
}
