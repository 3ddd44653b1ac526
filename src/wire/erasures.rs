//! Erasures as `/v1/erasures` and `/v1/holds` take and show them.

use serde::Deserialize;

use super::{array, object, optional, put};
use crate::event::Entry;
use crate::event::limits::ID_BYTES_MAX;
use crate::json::{Json, write_string};
use crate::seq::Seq;
use crate::store::erasures::{ERASURES_MAX, Erasure, Person};

/// The type of somebody, and what their tenant knows them by.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    subject: Option<Named>,
    subjects: Option<Vec<Named>>,
    tenant: Option<String>,
    reason: Option<String>,
    request_ref: Option<String>,
}

/// What is wanted: who is to be erased, or may not be.
pub struct ErasureDraft {
    /// Who, each as asked.
    pub persons: Vec<Person>,
    /// One was asked for by itself: so it is answered.
    pub is_single: bool,
    /// Why.
    pub reason: Option<String>,
    /// What the request is called elsewhere.
    pub request_ref: Option<String>,
}

/// Reads what is wanted; `tenant` is whose persons they are if it does not say.
///
/// # Errors
/// What is wrong, and what was expected.
pub fn erasure_draft(body: &[u8], tenant: &str) -> Result<ErasureDraft, String> {
    let Wanted { subject, subjects, tenant: said, reason, request_ref } = object(body)?;
    let is_single = subject.is_some();
    let named = match (subject, subjects) {
        (Some(one), None) => vec![one],
        (None, Some(some)) if !some.is_empty() => some,
        _ => return Err("expected subject, or subjects with at least one".into()),
    };
    if named.len() > ERASURES_MAX {
        return Err(format!("subjects: {} are more than {ERASURES_MAX}", named.len()));
    }
    let tenant = said.unwrap_or_else(|| tenant.to_owned());
    for (name, text) in [("tenant", Some(&tenant)), ("reason", reason.as_ref()), ("request_ref", request_ref.as_ref())]
    {
        is_text(name, text)?;
    }
    let person = |Named { kind, id }: Named| {
        is_text("type", Some(&kind))?;
        is_text("id", Some(&id))?;
        Ok(Person { tenant: tenant.clone(), kind, id })
    };
    let persons = named.into_iter().map(person).collect::<Result<_, String>>()?;
    Ok(ErasureDraft { persons, is_single, reason, request_ref })
}

fn is_text(name: &str, text: Option<&String>) -> Result<(), String> {
    match text {
        Some(text) if text.trim().is_empty() => Err(format!("{name} is empty")),
        Some(text) if text.contains('\0') => Err(format!("{name} has a NUL")),
        Some(text) if text.len() > ID_BYTES_MAX => Err(format!("{name} has more than {ID_BYTES_MAX} bytes")),
        _ => Ok(()),
    }
}

/// How far an erasure is.
pub enum ErasureState<'a> {
    /// Nothing can be read or found any more; it is leaving the files of the index.
    Purging(&'a Erasure),
    /// It has left them.
    Done,
    /// Not begun.
    Held,
}

/// `{"id","state","subject","tenant","requested_seq"}`
pub fn erasure(id: Option<&str>, person: &Person, state: &ErasureState<'_>) -> String {
    let mut out = String::new();
    write_erasure(&mut out, id, person, state);
    out
}

/// The same for several: `{"erasures":[…]}`
pub fn erasures(all: &[(Option<String>, Person, ErasureState<'_>)]) -> String {
    let mut out = String::from("{\"erasures\":");
    array(&mut out, all, |out, (id, person, state)| write_erasure(out, id.as_deref(), person, state));
    out.push('}');
    out
}

/// Erasures that are not done, and who is on hold: `{"pending":[…],"holds":[…]}`
pub fn erasures_now(pending: &[Erasure], holds: &[Person]) -> String {
    let mut out = String::from("{\"pending\":");
    array(&mut out, pending, |out, erasure| {
        write_erasure(out, Some(&erasure.id), &erasure.person, &ErasureState::Purging(erasure));
    });
    out.push_str(",\"holds\":");
    array(&mut out, holds, |out, person| {
        out.push('{');
        write_person(out, person);
        out.push('}');
    });
    out.push('}');
    out
}

/// An erasure that is done: what an erasure is, and `"done":{"id","seq","detail"},"receipt":{…}`. The receipt is the evidence of the entry
/// that it ended with: who keeps it can show at any time whom it was about.
pub fn erasure_done(id: &str, person: &Person, (requested, done): (Seq, &Entry), receipt: &str) -> String {
    let mut out = String::new();
    write_erasure(&mut out, Some(id), person, &ErasureState::Done);
    out.pop();
    put(&mut out, format_args!(",\"requested_seq\":{requested},\"done\":{{\"seq\":{}", done.seq));
    if let Some(Json::Object(members)) = &done.event.detail {
        for name in ["entries", "first_seq", "last_seq"] {
            if let Some((_, Json::Number(token))) = members.iter().find(|(key, _)| key == name) {
                put(&mut out, format_args!(",\"{name}\":{token}"));
            }
        }
    }
    put(&mut out, format_args!("}},\"receipt\":{receipt}}}"));
    out
}

fn write_erasure(out: &mut String, id: Option<&str>, person: &Person, state: &ErasureState<'_>) {
    let word = match state {
        ErasureState::Purging(_) => "purging",
        ErasureState::Done => "done",
        ErasureState::Held => "on_hold",
    };
    put(out, format_args!("{{\"state\":\"{word}\","));
    write_person(out, person);
    optional(out, "id", id);
    if let ErasureState::Purging(erasure) = state {
        put(out, format_args!(",\"requested_seq\":{}", erasure.requested));
    }
    out.push('}');
}

fn write_person(out: &mut String, person: &Person) {
    out.push_str("\"subject\":{\"type\":");
    write_string(&person.kind, out);
    out.push_str(",\"id\":");
    write_string(&person.id, out);
    out.push_str("},\"tenant\":");
    write_string(&person.tenant, out);
}
