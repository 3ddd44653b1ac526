//! The door: one event as sent becomes the body that is stored, or the list of all that is wrong with it.
//! Nobody behind it checks again. Secrets are redacted here, before anything is hashed.

use std::borrow::Cow;

use uuid::{NoContext, Timestamp, Uuid};

use super::catalogue::{Catalogue, Fate};
use super::fault::{Fault, FaultCode};
use super::limits::{
    ACTION_BYTES_MAX, CHANGES_MAX, DEPTH_MAX, EVENT_BYTES_MAX, FAULTS_MAX, ID_BYTES_MAX, NAME_BYTES_MAX, RELATED_MAX,
    TIME_AHEAD_MS_MAX,
};
use super::model::{Change, Context, Event, Object, Outcome, Party, Subject, Time, noun};
use super::personal::{PartKind, PersonalPart, SubjectTypes};
use super::time;
use crate::json::{self, Json, JsonError, JsonErrorKind, push_pointer};

/// Bit of [`Draft::defaults`]: the id is a UUIDv7 of ours.
pub const DEFAULT_ID: u8 = 1;
/// Bit of [`Draft::defaults`]: the time is `received`.
pub const DEFAULT_TIME: u8 = 2;
/// Bit of [`Draft::defaults`]: the tenant is that of the intake.
pub const DEFAULT_TENANT: u8 = 4;
/// Bit of [`Draft::defaults`]: the outcome is `success`.
pub const DEFAULT_OUTCOME: u8 = 8;

/// The source that marks entries of ours.
const OWN_SOURCE: &str = "annals";
/// Nouns of actions that only the server may report.
const OWN_NOUNS: [&str; 3] = ["audit", "erasure", "log"];
/// What stands in the place of a secret.
const REDACTED: &str = "[redacted]";
/// The type of an actor that gives none.
const ACTOR_TYPE_DEFAULT: &str = "user";

/// What the check needs to know of the world.
#[derive(Clone, Copy, Debug)]
pub struct Intake<'a> {
    /// Our clock, ms since 1970.
    pub now_ms: u64,
    /// The tenant of an event that names none.
    pub tenant: &'a str,
    /// No event may name another.
    pub is_only_tenant: bool,
    /// Which names are forbidden or secret.
    pub catalogue: &'a Catalogue,
    /// Who can be erased: what is about them is taken out of the body, to be sealed. `None` where nothing is sealed.
    pub subject_types: Option<&'a SubjectTypes>,
}

/// An event that may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The body bytes, but for a defaulted time, and without what is in `personal`.
    pub body: String,
    /// What is about persons: it is sealed before the event is stored, never stored in clear.
    pub personal: Vec<PersonalPart>,
    /// Where the 24 bytes `1970-01-01T00:00:00.000Z` stand in `body` that the writer overwrites with `received`;
    /// `None` if the sender gave a time.
    pub time_at: Option<usize>,
    /// Which members we filled in: [`DEFAULT_ID`] and its like. Stored with the record.
    pub defaults: u8,
    /// The event's id.
    pub id: String,
    /// The event's tenant.
    pub tenant: String,
    /// The event's time, ms since 1970, if the sender gave one.
    pub time_ms: Option<i64>,
}

impl Draft {
    /// The body with what is about persons in it again, as far as `is_wanted`: what its sender said.
    pub fn told(&self, is_wanted: impl Fn(PartKind) -> bool) -> Cow<'_, str> {
        if self.personal.is_empty() {
            return Cow::Borrowed(&self.body);
        }
        let mut event = Event::from_body(&self.body).expect("a body made here is one");
        event.sealed.clear();
        for part in self.personal.iter().filter(|part| is_wanted(part.kind)) {
            event.put_back(part.members.clone()).expect("what was taken out has its place");
        }
        Cow::Owned(event.body())
    }
}

/// Checks one event and turns it into what is stored.
///
/// # Errors
/// All faults at once (up to [`FAULTS_MAX`]), each with its code and pointer; a text that is not strict JSON has one.
pub fn validate(text: &str, intake: &Intake<'_>) -> Result<Draft, Vec<Fault>> {
    if text.len() > EVENT_BYTES_MAX {
        let message = format!("the event has {} bytes, more than {EVENT_BYTES_MAX}", text.len());
        return Err(vec![Fault { code: FaultCode::TooLarge, pointer: String::new(), message }]);
    }
    let value = json::parse(text, DEPTH_MAX).map_err(|error| vec![Fault::from(error)])?;
    let Json::Object(members) = value else {
        let message = format!("an event is an object, not {}", value.kind_name());
        return Err(vec![Fault { code: FaultCode::WrongType, pointer: String::new(), message }]);
    };
    let action = members.iter().find(|(key, _)| key == "action").and_then(|(_, value)| value.as_str());
    let action = action.unwrap_or_default().to_owned();
    let mut door = Door { intake, action: &action, faults: Vec::new() };
    let said = door.read(members);
    match said.complete(&mut door) {
        Some(draft) if door.faults.is_empty() => Ok(draft),
        _ => Err(door.faults),
    }
}

/// What the sender said, as far as it could be read.
#[derive(Default)]
struct Said {
    id: Option<String>,
    time: Option<Time>,
    tenant: Option<String>,
    actor: Option<Party>,
    has_actor: bool,
    on_behalf_of: Option<Party>,
    source: Option<String>,
    action: Option<String>,
    has_action: bool,
    outcome: Option<Outcome>,
    reason: Option<String>,
    target: Option<Object>,
    related: Vec<Object>,
    changes: Vec<Change>,
    context: Context,
    subjects: Vec<Subject>,
    detail: Option<Json>,
}

impl Said {
    /// Fills in what has a default.
    fn complete(self, door: &mut Door<'_>) -> Option<Draft> {
        if !self.has_actor {
            door.fault(FaultCode::Required, &Path::Root.key("actor"), "actor is required".to_owned());
        }
        if !self.has_action {
            door.fault(FaultCode::Required, &Path::Root.key("action"), "action is required".to_owned());
        }
        if !door.faults.is_empty() {
            return None;
        }
        let bit = |is_absent: bool, bit: u8| if is_absent { bit } else { 0 };
        let defaults = bit(self.id.is_none(), DEFAULT_ID)
            | bit(self.time.is_none(), DEFAULT_TIME)
            | bit(self.tenant.is_none(), DEFAULT_TENANT)
            | bit(self.outcome.is_none(), DEFAULT_OUTCOME);
        let time_ms = self.time.as_ref().map(|time| time.ms);
        let mut event = Event {
            id: self.id.unwrap_or_else(|| new_id(door.intake.now_ms)),
            time: self.time.unwrap_or_else(|| Time { ms: 0, text: time::PLACEHOLDER.to_owned() }),
            tenant: self.tenant.unwrap_or_else(|| door.intake.tenant.to_owned()),
            actor: self.actor?,
            on_behalf_of: self.on_behalf_of,
            source: self.source,
            action: self.action?,
            outcome: self.outcome.unwrap_or(Outcome::Success),
            reason: self.reason,
            target: self.target,
            related: self.related,
            changes: self.changes,
            context: self.context,
            subjects: self.subjects,
            detail: self.detail,
            sealed: Vec::new(),
        };
        let personal = door.intake.subject_types.map_or_else(Vec::new, |types| event.take_personal(types));
        let body = event.body();
        // The id stands before the time and may quote anything, so the place is counted, not searched for.
        let time_at = time_ms.is_none().then(|| {
            let mut id = String::with_capacity(event.id.len() + 2);
            json::write_string(&event.id, &mut id);
            "{\"id\":".len() + id.len() + ",\"time\":\"".len()
        });
        Some(Draft { body, personal, time_at, defaults, id: event.id, tenant: event.tenant, time_ms })
    }
}

/// A UUIDv7: begins with the time, so that ids made by us sort by it.
fn new_id(now_ms: u64) -> String {
    let nanos = u32::try_from(now_ms % 1000).expect("below 1000") * 1_000_000;
    Uuid::new_v7(Timestamp::from_unix(NoContext, now_ms / 1000, nanos)).to_string()
}

/// Where we are in the event; turned into a pointer only when something is wrong.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    fn key(&'a self, key: &'a str) -> Path<'a> {
        Path::Key(self, key)
    }

    fn index(&'a self, index: usize) -> Path<'a> {
        Path::Index(self, index)
    }

    fn write(&self, out: &mut String) {
        match self {
            Path::Root => {}
            Path::Key(parent, key) => {
                parent.write(out);
                push_pointer(out, key);
            }
            Path::Index(parent, index) => {
                parent.write(out);
                push_pointer(out, &index.to_string());
            }
        }
    }

    /// The member's name, as a message calls it.
    fn name(&self) -> String {
        let mut name = String::new();
        self.write(&mut name);
        if name.is_empty() { "the event".to_owned() } else { name[1..].replace('/', ".") }
    }
}

struct Door<'a> {
    intake: &'a Intake<'a>,
    action: &'a str,
    faults: Vec<Fault>,
}

impl Door<'_> {
    fn read(&mut self, members: Vec<(String, Json)>) -> Said {
        let mut said = Said::default();
        let root = Path::Root;
        for (key, value) in members {
            let at = root.key(&key);
            if value == Json::Null && is_known(&key) {
                continue; // the same as absent
            }
            match key.as_str() {
                "id" => said.id = self.word(value, &at, ID_BYTES_MAX),
                "time" => said.time = self.time(value, &at),
                "tenant" => said.tenant = self.tenant(value, &at),
                "actor" => {
                    said.has_actor = true;
                    said.actor = self.party(value, &at);
                }
                "on_behalf_of" => said.on_behalf_of = self.party(value, &at),
                "source" => said.source = self.source(value, &at),
                "action" => {
                    said.has_action = true;
                    said.action = self.action(value, &at);
                }
                "outcome" => said.outcome = self.outcome(value, &at),
                "reason" => said.reason = self.text(value, &at, EVENT_BYTES_MAX),
                "target" => said.target = self.object(value, &at),
                "related" => said.related = self.list(value, &at, RELATED_MAX, Self::object),
                "changes" => said.changes = self.list(value, &at, CHANGES_MAX, Self::change),
                "context" => said.context = self.context(value, &at),
                "subjects" => said.subjects = self.list(value, &at, RELATED_MAX, Self::subject),
                "detail" => said.detail = self.detail(value, &at),
                _ => self.unknown(&at),
            }
        }
        said
    }

    fn time(&mut self, value: Json, at: &Path<'_>) -> Option<Time> {
        let text = self.string(value, at)?;
        let time = match time::parse(&text) {
            Ok(time) => time,
            Err(why) => {
                self.fault(FaultCode::BadTime, at, format!("{} {why}", at.name()));
                return None;
            }
        };
        let latest = i64::try_from(self.intake.now_ms).unwrap_or(i64::MAX).saturating_add(TIME_AHEAD_MS_MAX);
        if !(0..=latest).contains(&time.ms) {
            let message = format!("{} must lie between 1970 and 24 h from now, it is {}", at.name(), time.text);
            self.fault(FaultCode::TimeRange, at, message);
            return None;
        }
        Some(time)
    }

    fn source(&mut self, value: Json, at: &Path<'_>) -> Option<String> {
        let source = self.word(value, at, ID_BYTES_MAX)?;
        // Values are searched folded, so a reserved word is reserved in every case.
        if source.eq_ignore_ascii_case(OWN_SOURCE) {
            self.fault(FaultCode::Reserved, at, format!("the source {OWN_SOURCE} marks entries of the log itself"));
        }
        Some(source)
    }

    fn action(&mut self, value: Json, at: &Path<'_>) -> Option<String> {
        let action = self.word(value, at, ACTION_BYTES_MAX)?;
        if action.chars().any(char::is_control) {
            self.fault(FaultCode::Limit, at, "action must not hold control characters".to_owned());
        }
        if let Some(own) = OWN_NOUNS.iter().find(|own| noun(&action).eq_ignore_ascii_case(own)) {
            self.fault(FaultCode::Reserved, at, format!("actions of the noun {own} are entries of the log itself"));
        }
        Some(action)
    }

    fn outcome(&mut self, value: Json, at: &Path<'_>) -> Option<Outcome> {
        let word = self.string(value, at)?;
        let outcome = Outcome::from_word(&word);
        if outcome.is_none() {
            let message = "outcome is none of success, failure, denied, unknown".to_owned();
            self.fault(FaultCode::BadValue, at, message);
        }
        outcome
    }

    fn party(&mut self, value: Json, at: &Path<'_>) -> Option<Party> {
        if let Json::String(text) = &value {
            if text == "system" {
                let (kind, id) = (text.clone(), text.clone());
                return Some(Party { kind, id, name: None, email: None });
            }
            let message = format!("{} is an object or the string \"system\"", at.name());
            self.fault(FaultCode::WrongType, at, message);
            return None;
        }
        let (mut kind, mut id, mut name, mut email) = (None, None, None, None);
        let mut has_id = false;
        for (key, value) in self.members(value, at)? {
            let at = at.key(&key);
            match key.as_str() {
                "type" => kind = self.word(value, &at, ID_BYTES_MAX),
                "id" => {
                    has_id = true;
                    id = self.word(value, &at, ID_BYTES_MAX);
                }
                "name" => name = self.text(value, &at, NAME_BYTES_MAX),
                "email" => email = self.text(value, &at, NAME_BYTES_MAX),
                _ => self.unknown(&at),
            }
        }
        if !has_id {
            self.fault(FaultCode::Required, &at.key("id"), format!("{}.id is required", at.name()));
        }
        let kind = kind.unwrap_or_else(|| ACTOR_TYPE_DEFAULT.to_owned());
        Some(Party { kind, id: id?, name, email })
    }

    fn object(&mut self, value: Json, at: &Path<'_>) -> Option<Object> {
        let mut object = Object::default();
        let mut is_empty = true;
        for (key, value) in self.members(value, at)? {
            is_empty = false;
            let at = at.key(&key);
            match key.as_str() {
                "type" => object.kind = self.word(value, &at, ID_BYTES_MAX),
                "id" => object.id = self.word(value, &at, ID_BYTES_MAX),
                "name" => object.name = self.text(value, &at, NAME_BYTES_MAX),
                _ => self.unknown(&at),
            }
        }
        if is_empty {
            let message = format!("{} needs at least one of type, id and name", at.name());
            self.fault(FaultCode::Required, at, message);
        }
        Some(object)
    }

    fn change(&mut self, value: Json, at: &Path<'_>) -> Option<Change> {
        let (mut field, mut before, mut after) = (None, None, None);
        let mut has_field = false;
        for (key, value) in self.members(value, at)? {
            let at = at.key(&key);
            match key.as_str() {
                "field" => {
                    has_field = true;
                    field = self.word(value, &at, ID_BYTES_MAX);
                }
                "before" => before = Some(self.cleaned(value, &at)),
                "after" => after = Some(self.cleaned(value, &at)),
                _ => self.unknown(&at),
            }
        }
        if !has_field {
            self.fault(FaultCode::Required, &at.key("field"), format!("{}.field is required", at.name()));
        }
        let field = field?;
        match self.intake.catalogue.fate(self.action, &field) {
            Fate::Kept => {}
            Fate::Redacted => [&mut before, &mut after].into_iter().flatten().for_each(redact),
            Fate::Refused => self.forbidden(&at.key("field"), &field),
        }
        Some(Change { field, before, after })
    }

    fn context(&mut self, value: Json, at: &Path<'_>) -> Context {
        let mut context = Context::default();
        for (key, value) in self.members(value, at).into_iter().flatten() {
            let at = at.key(&key);
            match key.as_str() {
                "ip" => context.ip = self.text(value, &at, ID_BYTES_MAX),
                "user_agent" => context.user_agent = self.text(value, &at, EVENT_BYTES_MAX),
                "request_id" => context.request_id = self.text(value, &at, ID_BYTES_MAX),
                "session_id" => context.session_id = self.text(value, &at, ID_BYTES_MAX),
                _ => self.unknown(&at),
            }
        }
        context
    }

    fn subject(&mut self, value: Json, at: &Path<'_>) -> Option<Subject> {
        let (mut kind, mut id) = (None, None);
        let (mut has_kind, mut has_id) = (false, false);
        for (key, value) in self.members(value, at)? {
            let at = at.key(&key);
            match key.as_str() {
                "type" => {
                    has_kind = true;
                    kind = self.word(value, &at, ID_BYTES_MAX);
                }
                "id" => {
                    has_id = true;
                    id = self.word(value, &at, ID_BYTES_MAX);
                }
                _ => self.unknown(&at),
            }
        }
        for (name, is_there) in [("type", has_kind), ("id", has_id)] {
            if !is_there {
                self.fault(FaultCode::Required, &at.key(name), format!("{}.{name} is required", at.name()));
            }
        }
        Some(Subject { kind: kind?, id: id? })
    }

    fn detail(&mut self, value: Json, at: &Path<'_>) -> Option<Json> {
        if !matches!(value, Json::Object(_)) {
            self.wrong_type(at, "an object", &value);
            return None;
        }
        Some(self.cleaned(value, at))
    }

    /// A free value without secrets; what must not be stored is reported.
    fn cleaned(&mut self, mut value: Json, at: &Path<'_>) -> Json {
        self.clean(&mut value, at);
        value
    }

    fn clean(&mut self, value: &mut Json, at: &Path<'_>) {
        match value {
            Json::Null | Json::Bool(_) | Json::String(_) => {}
            Json::Number(token) => {
                if !is_finite(token) {
                    self.fault(FaultCode::BadNumber, at, "the number is beyond what a double can hold".to_owned());
                }
            }
            Json::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.clean(item, &at.index(index));
                }
            }
            Json::Object(members) => {
                for (key, value) in members {
                    match self.intake.catalogue.fate(self.action, key) {
                        Fate::Kept => self.clean(value, &at.key(key)),
                        Fate::Redacted => redact(value),
                        Fate::Refused => self.forbidden(&at.key(key), key),
                    }
                }
            }
        }
    }

    /// The entries of a list of ours, as far as they can be read.
    fn list<T>(
        &mut self,
        value: Json,
        at: &Path<'_>,
        entries_max: usize,
        read: fn(&mut Self, Json, &Path<'_>) -> Option<T>,
    ) -> Vec<T> {
        let Json::Array(items) = value else {
            self.wrong_type(at, "an array", &value);
            return Vec::new();
        };
        if items.len() > entries_max {
            let message = format!("{} has {} entries, more than {entries_max}", at.name(), items.len());
            self.fault(FaultCode::Limit, at, message);
            return Vec::new();
        }
        items.into_iter().enumerate().filter_map(|(index, item)| read(self, item, &at.index(index))).collect()
    }

    /// The members of an object of ours; those that are `null` are the same as absent.
    fn members(&mut self, value: Json, at: &Path<'_>) -> Option<impl Iterator<Item = (String, Json)> + use<>> {
        let Json::Object(members) = value else {
            self.wrong_type(at, "an object", &value);
            return None;
        };
        Some(members.into_iter().filter(|(_, value)| *value != Json::Null))
    }

    /// A text that must not be empty: what names something.
    fn word(&mut self, value: Json, at: &Path<'_>, bytes_max: usize) -> Option<String> {
        let text = self.text(value, at, bytes_max)?;
        if text.is_empty() {
            self.fault(FaultCode::Required, at, format!("{} must not be empty", at.name()));
            return None;
        }
        Some(text)
    }

    fn tenant(&mut self, value: Json, at: &Path<'_>) -> Option<String> {
        let tenant = self.word(value, at, ID_BYTES_MAX)?;
        if self.intake.is_only_tenant && tenant != self.intake.tenant {
            let message = format!("the tenant is {tenant:?}, and this key writes {:?} only", self.intake.tenant);
            self.fault(FaultCode::OtherTenant, at, message);
            return None;
        }
        Some(tenant)
    }

    fn text(&mut self, value: Json, at: &Path<'_>, bytes_max: usize) -> Option<String> {
        let text = self.string(value, at)?;
        if text.len() > bytes_max {
            let message = format!("{} has {} bytes, more than {bytes_max}", at.name(), text.len());
            self.fault(FaultCode::Limit, at, message);
            return None;
        }
        Some(text)
    }

    fn string(&mut self, value: Json, at: &Path<'_>) -> Option<String> {
        match value {
            Json::String(text) => Some(text),
            other => {
                self.wrong_type(at, "a string", &other);
                None
            }
        }
    }

    #[cold]
    fn wrong_type(&mut self, at: &Path<'_>, expected: &str, found: &Json) {
        let message = format!("{} must be {expected}, not {}", at.name(), found.kind_name());
        self.fault(FaultCode::WrongType, at, message);
    }

    #[cold]
    fn unknown(&mut self, at: &Path<'_>) {
        let name: String = at.name().chars().take(128).collect();
        self.fault(FaultCode::UnknownKey, at, format!("unknown member {name:?}; free payload belongs into detail"));
    }

    #[cold]
    fn forbidden(&mut self, at: &Path<'_>, name: &str) {
        let name: String = name.chars().take(128).collect();
        let message = format!("{name:?}: message bodies and recordings are not stored here");
        self.fault(FaultCode::ForbiddenContent, at, message);
    }

    #[cold]
    fn fault(&mut self, code: FaultCode, at: &Path<'_>, message: String) {
        if self.faults.len() < FAULTS_MAX {
            let mut pointer = String::new();
            at.write(&mut pointer);
            self.faults.push(Fault { code, pointer, message });
        }
    }
}

fn is_known(key: &str) -> bool {
    matches!(
        key,
        "id" | "time"
            | "tenant"
            | "actor"
            | "on_behalf_of"
            | "source"
            | "action"
            | "outcome"
            | "reason"
            | "target"
            | "related"
            | "changes"
            | "context"
            | "subjects"
            | "detail"
    )
}

/// A `null` holds no secret and stays what it is.
fn redact(value: &mut Json) {
    if *value != Json::Null {
        *value = Json::String(REDACTED.to_owned());
    }
}

/// Whether an f64 holds the number. Only an exponent or more than 300 digits can lead beyond.
fn is_finite(token: &str) -> bool {
    const DIGITS_SAFE: usize = 300;
    let is_plain = token.len() <= DIGITS_SAFE && !token.contains(['e', 'E']);
    is_plain || token.parse::<f64>().is_ok_and(f64::is_finite)
}

impl From<JsonError> for Fault {
    fn from(error: JsonError) -> Fault {
        let code = match error.kind {
            JsonErrorKind::Syntax | JsonErrorKind::LoneSurrogate => FaultCode::InvalidJson,
            JsonErrorKind::DuplicateKey => FaultCode::DuplicateKey,
            JsonErrorKind::Nul => FaultCode::Nul,
            JsonErrorKind::Depth => FaultCode::Depth,
        };
        let message = format!("{} at byte {}", error.message, error.offset);
        Fault { code, pointer: error.pointer, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::same_content;

    const NOW_MS: u64 = 1_795_181_527_412; // 2026-11-20T13:32:07.412Z
    const LEAST: &str = r#"{"actor":{"id":"u_81"},"action":"contact.deleted"}"#;

    fn check(text: &str) -> Result<Draft, Vec<Fault>> {
        validate(
            text,
            &Intake {
                now_ms: NOW_MS,
                tenant: "acme",
                is_only_tenant: false,
                catalogue: Catalogue::builtin(),
                subject_types: None,
            },
        )
    }

    fn body(text: &str) -> String {
        check(text).unwrap().body
    }

    /// The least event with one more member.
    fn with(member: &str) -> String {
        LEAST.replacen('{', &format!("{{{member},"), 1)
    }

    fn faults(text: &str) -> Vec<(&'static str, String)> {
        check(text).unwrap_err().into_iter().map(|fault| (fault.code.as_str(), fault.pointer)).collect()
    }

    #[test]
    fn the_least_event_gets_its_defaults_and_a_place_for_the_time() {
        let draft = check(LEAST).unwrap();
        assert_eq!(draft.defaults, DEFAULT_ID | DEFAULT_TIME | DEFAULT_TENANT | DEFAULT_OUTCOME);
        assert_eq!(draft.tenant, "acme");
        assert_eq!(draft.time_ms, None);
        let at = draft.time_at.unwrap();
        assert_eq!(&draft.body[at..at + 24], "1970-01-01T00:00:00.000Z");
        let id = &draft.id;
        assert!(id.len() == 36 && id.as_bytes()[14] == b'7', "{id} is no UUIDv7");
        assert_eq!(
            draft.body,
            format!(
                r#"{{"id":"{id}","time":"1970-01-01T00:00:00.000Z","tenant":"acme","actor":{{"type":"user","id":"u_81"}},"action":"contact.deleted","outcome":"success"}}"#
            )
        );
    }

    #[test]
    fn the_place_for_the_time_is_right_behind_an_id_that_needs_escapes() {
        let draft = check(&with(r#""id":"a\"\u0001,\"time\":\"1970-01-01T00:00:00.000Z""#)).unwrap();
        let at = draft.time_at.unwrap();
        let written = format!("{}2026-11-20T13:32:07.412Z{}", &draft.body[..at], &draft.body[at + 24..]);
        let event = Event::from_body(&written).unwrap();
        assert_eq!((event.time.ms, event.id), (1_795_181_527_412, draft.id));
    }

    #[test]
    fn members_are_stored_in_one_order_and_free_values_as_sent() {
        let sent = r#" { "detail" : {"z": 1.0, "a": [1e5, -0, 12345678901234567890], "\u00e9\/": "\ud83d\ude00\u0007"},
            "changes":[{"after":null,"before":{"b":1,"a":2},"field":"role"}], "context":{"session_id":"s","ip":"1.2.3.4","user_agent":null},
            "target":{"name":"Elif","id":"u_12"}, "related":[], "outcome":"denied", "action":"user.role_changed", "actor":"system",
            "tenant":"t", "time":"2026-11-20T14:32:07.412345+01:00", "id":"1", "reason":null, "on_behalf_of":{"id":"u_7","type":"bot"},
            "subjects":[{"id":"c_9","type":"contact"}], "source":"x" } "#;
        let expected = r#"{"id":"1","time":"2026-11-20T13:32:07.412345Z","tenant":"t","actor":{"type":"system","id":"system"},"on_behalf_of":{"type":"bot","id":"u_7"},"source":"x","action":"user.role_changed","outcome":"denied","target":{"id":"u_12","name":"Elif"},"changes":[{"field":"role","before":{"b":1,"a":2}}],"context":{"ip":"1.2.3.4","session_id":"s"},"subjects":[{"type":"contact","id":"c_9"}],"detail":{"z":1.0,"a":[1e5,-0,12345678901234567890],"é/":"😀\u0007"}}"#;
        let draft = check(sent).unwrap();
        assert_eq!(draft.body, expected);
        assert_eq!((draft.defaults, draft.time_at, draft.time_ms), (0, None, Some(1_795_181_527_412)));
        assert_eq!(Event::from_body(expected).unwrap().body(), expected);
    }

    #[test]
    fn every_fault_has_its_code_and_pointer() {
        let long = |n: usize| "x".repeat(n);
        let deep = |n: usize| with(&format!(r#""detail":{{"a":{}1{}}}"#, "[".repeat(n - 2), "]".repeat(n - 2)));
        assert!(check(&deep(32)).is_ok());
        let deepest = format!("/detail/a{}", "/0".repeat(30));
        let table: Vec<(String, &str, &str)> = vec![
            (String::new(), "invalid_json", ""),
            ("{".to_owned(), "invalid_json", ""),
            (format!("{LEAST} x"), "invalid_json", ""),
            (with(r#""detail":{"a":"\ud800"}"#), "invalid_json", "/detail/a"),
            (with(r#""detail":{"a":01}"#), "invalid_json", "/detail/a"),
            (with("\"detail\":{\"a\":\"\n\"}"), "invalid_json", "/detail/a"),
            ("[]".to_owned(), "wrong_type", ""),
            (with(r#""detail":{"a":{"b":1,"\u0062":2}}"#), "duplicate_key", "/detail/a/b"),
            (with(r#""action":"x""#), "duplicate_key", "/action"),
            (with(r#""detail":{"a":["\u0000"]}"#), "nul", "/detail/a/0"),
            (with("\"detail\":{\"a\":\"\0\"}"), "nul", "/detail/a"),
            (deep(33), "depth", &deepest),
            (with(&format!(r#""detail":{{"a":"{}"}}"#, long(300 * 1024))), "too_large", ""),
            (r#"{"action":"x"}"#.to_owned(), "required", "/actor"),
            (r#"{"actor":"system"}"#.to_owned(), "required", "/action"),
            (r#"{"actor":null,"action":"x"}"#.to_owned(), "required", "/actor"),
            (r#"{"actor":{"type":"user"},"action":"x"}"#.to_owned(), "required", "/actor/id"),
            (r#"{"actor":{"id":""},"action":"x"}"#.to_owned(), "required", "/actor/id"),
            (r#"{"actor":"maya","action":"x"}"#.to_owned(), "wrong_type", "/actor"),
            (r#"{"actor":{"id":7},"action":"x"}"#.to_owned(), "wrong_type", "/actor/id"),
            (with(r#""target":{}"#), "required", "/target"),
            (with(r#""changes":[{"before":1}]"#), "required", "/changes/0/field"),
            (with(r#""subjects":[{"type":"contact"}]"#), "required", "/subjects/0/id"),
            (with(r#""detail":[1]"#), "wrong_type", "/detail"),
            (with(r#""related":{"id":"x"}"#), "wrong_type", "/related"),
            (with(r#""related":["x"]"#), "wrong_type", "/related/0"),
            (with(r#""context":[]"#), "wrong_type", "/context"),
            (with(r#""a/b~c":1"#), "unknown_key", "/a~1b~0c"),
            (with(r#""seq":1"#), "unknown_key", "/seq"),
            (with(r#""target":{"id":"x","kind":"y"}"#), "unknown_key", "/target/kind"),
            (with(&format!(r#""id":"{}""#, long(1025))), "limit", "/id"),
            (with(&format!(r#""target":{{"name":"{}"}}"#, long(513))), "limit", "/target/name"),
            (with(&format!(r#""changes":[{}]"#, vec![r#"{"field":"f"}"#; 65].join(","))), "limit", "/changes"),
            (with(&format!(r#""related":[{}]"#, vec![r#"{"id":"f"}"#; 17].join(","))), "limit", "/related"),
            (LEAST.replace("contact.deleted", &long(257)), "limit", "/action"),
            (LEAST.replace("contact.deleted", "a\\tb"), "limit", "/action"),
            (LEAST.replace("contact.deleted", "a\u{85}b"), "limit", "/action"),
            (with(r#""source":"annals""#), "reserved", "/source"),
            (with(r#""source":"ANNALS""#), "reserved", "/source"),
            (LEAST.replace("contact.deleted", "audit.searched"), "reserved", "/action"),
            (LEAST.replace("contact.deleted", "erasure:x"), "reserved", "/action"),
            (LEAST.replace("contact.deleted", "Log.recovered"), "reserved", "/action"),
            (with(r#""detail":{"a":[{"Message-Body":"hi"}]}"#), "forbidden_content", "/detail/a/0/Message-Body"),
            (with(r#""changes":[{"field":"transcript","after":"x"}]"#), "forbidden_content", "/changes/0/field"),
            (
                with(r#""changes":[{"field":"x","after":{"recordingUrl":1}}]"#),
                "forbidden_content",
                "/changes/0/after/recordingUrl",
            ),
            (with(r#""time":"yesterday""#), "bad_time", "/time"),
            (with(r#""time":1795181527412"#), "wrong_type", "/time"),
            (with(r#""time":"1969-12-31T23:59:59.999Z""#), "time_range", "/time"),
            (with(r#""time":"2026-11-21T13:32:07.413Z""#), "time_range", "/time"),
            (with(r#""detail":{"a":1e400}"#), "bad_number", "/detail/a"),
            (with(r#""changes":[{"field":"x","after":[-1e400]}]"#), "bad_number", "/changes/0/after/0"),
            (with(r#""outcome":"ok""#), "bad_value", "/outcome"),
        ];
        for (text, code, pointer) in table {
            let shown: String = text.chars().take(200).collect();
            assert_eq!(faults(&text), [(code, pointer.to_owned())], "{shown}");
        }
    }

    #[test]
    fn what_lies_on_a_limit_is_taken() {
        for member in [
            format!(r#""id":"{}""#, "x".repeat(1024)),
            format!(r#""target":{{"name":"{}"}}"#, "x".repeat(512)),
            format!(r#""changes":[{}]"#, vec![r#"{"field":"f"}"#; 64].join(",")),
            format!(r#""related":[{}]"#, vec![r#"{"id":"f"}"#; 16].join(",")),
            r#""time":"1970-01-01T00:00:00Z""#.to_owned(),
            r#""time":"2026-11-21T13:32:07.412Z""#.to_owned(),
            r#""detail":{"a":1e308,"b":1e-400}"#.to_owned(),
        ] {
            assert!(check(&with(&member)).is_ok(), "{member}");
        }
        for action in ["audit", "log", "auditor.x", &"x".repeat(256)] {
            assert!(check(&LEAST.replace("contact.deleted", action)).is_ok(), "{action}");
        }
        let room = EVENT_BYTES_MAX - with(r#""reason":"""#).len();
        assert!(check(&with(&format!(r#""reason":"{}""#, "x".repeat(room)))).is_ok());
        assert_eq!(faults(&with(&format!(r#""reason":"{}""#, "x".repeat(room + 1))))[0].0, "too_large");
    }

    #[test]
    fn all_faults_are_told_at_once_but_not_without_end() {
        let text = r#"{"id":7,"time":"x","tenant":"","outcome":"ok","nonsense":1,"target":{"id":{}},"detail":{"transcript":"x","n":1e999}}"#;
        let codes: Vec<&str> = faults(text).into_iter().map(|(code, _)| code).collect();
        assert_eq!(
            codes,
            [
                "wrong_type",
                "bad_time",
                "required",
                "bad_value",
                "unknown_key",
                "wrong_type",
                "forbidden_content",
                "bad_number",
                "required",
                "required"
            ]
        );
        let many: Vec<String> = (0..1000).map(|n| format!(r#""k{n}":1"#)).collect();
        assert_eq!(faults(&with(&many.join(","))).len(), FAULTS_MAX);
    }

    #[test]
    fn secrets_never_reach_the_body() {
        let sent = with(
            r#""changes":[{"field":"user.api-key","before":"hunter2","after":null},{"field":"x","after":{"Pass_Word":["hunter2"]}}],
            "detail":{"a":[{"TOKEN":{"x":"hunter2"}}],"user.secret":"hunter2","tokenId":"kept","password":null}"#,
        );
        let body = body(&sent);
        assert!(!body.contains("hunter2"), "{body}");
        assert!(body.contains(r#""changes":[{"field":"user.api-key","before":"[redacted]"},{"field":"x","after":{"Pass_Word":"[redacted]"}}]"#), "{body}");
        assert!(
            body.contains(
                r#""detail":{"a":[{"TOKEN":"[redacted]"}],"user.secret":"[redacted]","tokenId":"kept","password":null}"#
            ),
            "{body}"
        );
    }

    #[test]
    fn a_repeated_send_is_the_same_and_a_changed_one_is_not() {
        let first = check(&with(r#""id":"1","detail":{"a":1,"b":2}"#)).unwrap();
        let again = check(&with(r#""detail":{"b":2,"a":1},"id":"1""#)).unwrap();
        let other = check(&with(r#""id":"1","detail":{"a":1,"b":3}"#)).unwrap();
        assert!(same_content(&first.body, first.defaults, &again.body, again.defaults));
        assert!(!same_content(&first.body, first.defaults, &other.body, other.defaults));
    }

    /// 25,973 events that no one here wrote. They lie beside the project and are never copied into it.
    #[test]
    fn every_real_event_is_taken_and_survives_the_way_to_its_body_and_back() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/events-real.ndjson.zst");
        let Ok(file) = std::fs::File::open(path) else {
            eprintln!("SKIPPED: {path} is absent, no real event was checked");
            return;
        };
        let text = String::from_utf8(zstd::decode_all(file).unwrap()).unwrap();
        let mut count = 0;
        for line in text.lines() {
            let draft = check(line).unwrap_or_else(|faults| panic!("{faults:?}: {line}"));
            let event = Event::from_body(&draft.body).unwrap();
            assert_eq!(event.body(), draft.body);
            assert_eq!(Some(event.time.ms), draft.time_ms);
            assert_eq!(draft.defaults, DEFAULT_OUTCOME);
            count += 1;
        }
        assert_eq!(count, 25_973);
    }
}
