//! One event while it is being told: who did it, from where, to what. The stories fill it in; `into_line` gives the JSON
//! that an application would post.

use crate::clock;
use crate::json::Json;

use super::cast::{PEOPLE, SCRIPTS, USER_AGENTS};
use super::deck::{Card, Doer};
use super::office::{Contact, Conversation, Office, code, person_email, person_id};
use super::random::Random;

/// An event being told.
pub struct Scene<'a> {
    pub random: &'a mut Random,
    pub office: &'a mut Office,
    /// When it happens, ms since 1970.
    pub ms: u64,
    card: &'static Card,
    /// Who does it, an index into `PEOPLE`; none for `system`.
    pub person: Option<usize>,
    job: &'static str,
    on_behalf_of: Option<Json>,
    outcome: Option<&'static str>,
    reason: Option<String>,
    target: Option<Json>,
    related: Vec<Json>,
    changes: Vec<Json>,
    subjects: Vec<Json>,
    detail: Vec<(String, Json)>,
    ip: Option<String>,
    has_session: bool,
}

impl<'a> Scene<'a> {
    /// Sets the scene: who does it is chosen here, from the card and the workspace.
    pub fn new(card: &'static Card, ms: u64, office: &'a mut Office, random: &'a mut Random) -> Scene<'a> {
        let wanted: &[&str] = match card.doer {
            Doer::System => &[],
            Doer::AgentsOrSystem if random.chance(30) => &[],
            Doer::Anyone => &["admin", "manager", "agent", "viewer", "billing"],
            Doer::Agents | Doer::AgentsOrSystem => &["agent", "agent", "manager"],
            Doer::Leads => &["admin", "manager"],
            Doer::Billing => &["billing", "admin"],
        };
        let able: Vec<usize> =
            office.people.iter().copied().filter(|&person| wanted.contains(&PEOPLE[person].role)).collect();
        let person = (!able.is_empty()).then(|| able[random.index(able.len())]);
        Scene {
            random,
            office,
            ms,
            card,
            person,
            job: "nightly housekeeping",
            on_behalf_of: None,
            outcome: None,
            reason: None,
            target: None,
            related: Vec::new(),
            changes: Vec::new(),
            subjects: Vec::new(),
            detail: Vec::new(),
            ip: None,
            has_session: true,
        }
    }

    /// The job's name, shown where `system` is the actor.
    pub fn job(&mut self, name: &'static str) {
        self.job = name;
    }

    /// What it was done to.
    pub fn target(&mut self, kind: &str, id: &str, name: &str) {
        self.target = Some(thing(kind, id, Some(name)));
    }

    /// A contact as the target, and as the person whose data this is about.
    pub fn target_contact(&mut self, contact: &Contact) {
        self.target("contact", &contact.id, &contact.name);
    }

    /// A conversation as the target, with its contact beside it.
    pub fn target_conversation(&mut self, conversation: &Conversation) {
        let title = format!("{} with {}", conversation.channel, conversation.contact_name);
        self.target("conversation", &conversation.id, &title);
        self.related.push(thing("contact", &conversation.contact_id, Some(&conversation.contact_name)));
        self.subjects.push(thing("contact", &conversation.contact_id, None));
    }

    /// Something else it has to do with.
    pub fn related(&mut self, kind: &str, id: &str, name: &str) {
        self.related.push(thing(kind, id, Some(name)));
    }

    /// A field that had one value before and has another now; `Json::Null` for none.
    pub fn change(&mut self, field: &str, before: Json, after: Json) {
        let mut members = vec![("field".to_owned(), text(field))];
        members.extend(
            [("before", before), ("after", after)]
                .into_iter()
                .filter(|(_, value)| *value != Json::Null)
                .map(|(k, v)| (k.to_owned(), v)),
        );
        self.changes.push(Json::Object(members));
    }

    /// One more fact of the payload.
    pub fn detail(&mut self, key: &str, value: Json) {
        self.detail.push((key.to_owned(), value));
    }

    /// It did not work out: `failure` or `denied`, and why.
    pub fn outcome(&mut self, outcome: &'static str, reason: &str) {
        self.outcome = Some(outcome);
        self.reason = Some(reason.to_owned());
    }

    /// Why it was done.
    pub fn reason(&mut self, reason: &str) {
        self.reason = Some(reason.to_owned());
    }

    /// Someone for whom the actor did it.
    pub fn on_behalf_of(&mut self, person: usize) {
        self.on_behalf_of = Some(thing("user", &person_id(person), None));
    }

    /// From an address of nobody's office (a sign-in that someone else tried).
    pub fn come_from_elsewhere(&mut self) {
        self.ip = Some(format!("192.0.2.{}", 200 + self.random.below(50)));
        self.has_session = false;
    }

    /// A remark in the script of the contact's name.
    pub fn note_in(&mut self, script: usize) -> String {
        self.random.pick(SCRIPTS[script].notes).to_owned()
    }

    /// What the actor is called, for texts.
    pub fn actor_role(&self) -> Option<&'static str> {
        self.person.map(|person| PEOPLE[person].role)
    }

    /// The event as one line of NDJSON, without the line's end.
    pub fn into_line(mut self) -> String {
        let id = time_id(self.ms, self.random);
        let context = self.context();
        let mut members = vec![
            ("id", text(&id)),
            ("time", text(&clock::rfc3339_ms(self.ms as i64))),
            ("tenant", text(self.office.tenant.name)),
            ("actor", self.actor()),
        ];
        members.extend(self.on_behalf_of.map(|who| ("on_behalf_of", who)));
        let source =
            if self.person.is_none() { "velo-jobs" } else { self.random.pick(&["velo-web", "velo-web", "velo-api"]) };
        members.push(("source", text(source)));
        members.push(("action", text(self.card.action)));
        members.extend(self.outcome.map(|outcome| ("outcome", text(outcome))));
        members.extend(self.reason.map(|reason| ("reason", Json::String(reason))));
        members.extend(self.target.map(|target| ("target", target)));
        for (key, list) in [("related", self.related), ("changes", self.changes)] {
            members.extend((!list.is_empty()).then_some((key, Json::Array(list))));
        }
        members.push(("context", context));
        members.extend((!self.subjects.is_empty()).then_some(("subjects", Json::Array(self.subjects))));
        members.extend((!self.detail.is_empty()).then_some(("detail", Json::Object(self.detail))));
        let mut line = String::with_capacity(900);
        object(members).write(&mut line);
        line
    }

    fn actor(&self) -> Json {
        match self.person {
            None => object(vec![("type", text("system")), ("id", text("system")), ("name", text(self.job))]),
            Some(person) => object(vec![
                ("type", text("user")),
                ("id", text(&person_id(person))),
                ("name", text(PEOPLE[person].name)),
                ("email", text(&person_email(person, self.office.tenant))),
            ]),
        }
    }

    /// Where it came from. People mostly work from their own desk, with their own browser, in one session a day.
    fn context(&mut self) -> Json {
        let request = code("r_", self.random);
        let Some(person) = self.person else {
            return object(vec![("request_id", Json::String(request))]);
        };
        let desk = person as u64;
        let ip = match (self.ip.take(), self.random.below(20)) {
            (Some(ip), _) => ip,
            (None, 0) => format!("192.0.2.{}", 1 + self.random.below(180)),
            (None, _) if person % 5 == 4 => {
                format!("2001:db8:{:x}::{:x}", person % 3 + 1, 0x100 + desk)
            }
            (None, _) if person % 3 == 1 => format!("198.51.100.{}", 10 + desk),
            (None, _) => format!("203.0.113.{}", 10 + desk),
        };
        let agent = if self.random.chance(12) { USER_AGENTS[5] } else { USER_AGENTS[person % USER_AGENTS.len()] };
        let mut members =
            vec![("ip", Json::String(ip)), ("user_agent", text(agent)), ("request_id", Json::String(request))];
        if self.has_session {
            let day = self.ms / 86_400_000;
            let session = Random::new(day * 1_000 + desk).bits() >> 32;
            members.push(("session_id", Json::String(format!("s_{session:08x}"))));
        }
        object(members)
    }
}

/// A UUIDv7 of this time: its random bits come from the seed, so that the same demo can be posted twice without doubling.
pub fn time_id(ms: u64, random: &mut Random) -> String {
    let (a, b) = (random.bits(), random.bits());
    let node = b & 0xffff_ffff_ffff;
    format!("{:08x}-{:04x}-7{:03x}-{:04x}-{node:012x}", ms >> 16, ms & 0xffff, a & 0xfff, 0x8000 | (a >> 16 & 0x3fff))
}

/// A JSON string.
pub fn text(value: &str) -> Json {
    Json::String(value.to_owned())
}

/// A JSON number that is whole.
pub fn whole(value: u64) -> Json {
    Json::Number(value.to_string().into_boxed_str())
}

/// A JSON number with this many decimals: `decimal(82, 4)` is `0.0082`.
pub fn decimal(units: u64, decimals: u32) -> Json {
    let one = 10u64.pow(decimals);
    Json::Number(format!("{}.{:0width$}", units / one, units % one, width = decimals as usize).into_boxed_str())
}

/// A JSON object with its members in this order.
pub fn object(members: Vec<(&str, Json)>) -> Json {
    Json::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn thing(kind: &str, id: &str, name: Option<&str>) -> Json {
    let mut members = vec![("type", text(kind)), ("id", text(id))];
    members.extend(name.map(|name| ("name", text(name))));
    object(members)
}
