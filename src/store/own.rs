//! Entries that the server makes itself: about the log, and about who looked at it or was let in.

use crate::clock;
use crate::event::{Context, DEFAULT_ID, Draft, Event, Object, Outcome, Party, Subject, SubjectTypes, Time};
use crate::json::Json;

/// The tenant of an event that names none and of a caller that has none.
pub const DEFAULT_TENANT: &str = "default";

/// What an entry of ours says.
#[derive(Clone, Debug)]
pub struct Own {
    /// What was done: `audit.exported`.
    pub action: &'static str,
    /// Whose log it concerns.
    pub tenant: String,
    /// Who did it.
    pub actor: Party,
    /// How it ended.
    pub outcome: Outcome,
    /// What it was done to.
    pub target: Option<Object>,
    /// Where the request came from.
    pub context: Context,
    /// Who or what is erased with what it tells.
    pub subjects: Vec<Subject>,
    /// Why, in the words of who did it.
    pub reason: Option<String>,
    /// The rest.
    pub detail: Json,
    /// When, ms; now, if it is not given.
    pub time_ms: Option<i64>,
    /// An id of its own, so that it is entered only once.
    pub id: Option<String>,
}

impl Own {
    /// Something that the server itself did.
    pub fn of_server(action: &'static str, detail: Json) -> Own {
        Own {
            action,
            tenant: DEFAULT_TENANT.into(),
            actor: Party { kind: "system".into(), id: "annals".into(), name: None, email: None },
            outcome: Outcome::Success,
            target: None,
            context: Context::default(),
            subjects: Vec::new(),
            reason: None,
            detail,
            time_ms: None,
            id: None,
        }
    }

    /// As it is appended.
    pub fn into_draft(self) -> Draft {
        let ms = self.time_ms.unwrap_or_else(|| clock::now_ms().cast_signed());
        let defaults = if self.id.is_some() { 0 } else { DEFAULT_ID };
        let mut event = Event {
            id: self.id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
            time: Time { ms, text: clock::rfc3339_ms(ms) },
            tenant: self.tenant,
            actor: self.actor,
            on_behalf_of: None,
            source: Some("annals".into()),
            action: self.action.into(),
            outcome: self.outcome,
            reason: self.reason,
            target: self.target,
            related: Vec::new(),
            changes: Vec::new(),
            context: self.context,
            subjects: self.subjects,
            detail: Some(self.detail),
            sealed: Vec::new(),
        };
        // Of what we say ourselves only what names somebody is about persons.
        let personal = event.take_personal(&SubjectTypes::default());
        let (body, time_ms) = (event.body(), Some(ms));
        Draft { body, personal, time_at: None, defaults, id: event.id, tenant: event.tenant, time_ms }
    }
}

/// A number of a detail.
pub fn number(n: u64) -> Json {
    Json::Number(n.to_string().into_boxed_str())
}
