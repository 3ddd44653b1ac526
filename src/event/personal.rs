//! What of an event is about a person, taken out of it and put back.
//!
//! *Content* is what the event tells: `target.name`, `related[].name`, `reason`, `changes[].before` and `.after`, `detail`. It is
//! taken out as a whole if the event is about anybody who can be erased: somebody of such a type, or named in `subjects`.
//! *Who* is what tells who acted: name and e-mail of an actor, or of whom they acted for, who can be erased; with such an
//! actor also `context.ip` and `context.user_agent`.
//! Everything else is clear for ever: ids, types, times, action, outcome, the names of fields that changed, tenant, source.

use super::model::{Event, Object, Party, Subject};
use crate::json::Json;

/// The types of those who can be erased: `contact`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectTypes(Vec<String>);

impl SubjectTypes {
    /// These types, compared byte by byte.
    pub fn new(types: Vec<String>) -> SubjectTypes {
        SubjectTypes(types)
    }

    /// Whether nobody can be erased.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, kind: &str) -> bool {
        self.0.iter().any(|known| known == kind)
    }

    /// An object is somebody only by its type and its id: who has no id cannot be asked to be erased.
    fn of_object(&self, object: &Object) -> Option<Subject> {
        let (Some(kind), Some(id)) = (&object.kind, &object.id) else { return None };
        self.has(kind).then(|| Subject { kind: kind.clone(), id: id.clone() })
    }

    fn of_party(&self, party: &Party) -> Option<Subject> {
        self.has(&party.kind).then(|| Subject { kind: party.kind.clone(), id: party.id.clone() })
    }
}

/// Which part of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartKind {
    /// What it tells.
    Content,
    /// Who acted.
    Who,
}

impl PartKind {
    /// All there are.
    pub const ALL: [PartKind; 2] = [PartKind::Content, PartKind::Who];

    /// As it stands in a payload (FORMAT.md).
    pub fn as_byte(self) -> u8 {
        match self {
            PartKind::Content => 1,
            PartKind::Who => 2,
        }
    }

    /// The kind of this byte, if there is one.
    pub fn from_byte(byte: u8) -> Option<PartKind> {
        PartKind::ALL.into_iter().find(|kind| kind.as_byte() == byte)
    }

    /// As it stands in `sealed` of a body.
    pub fn as_str(self) -> &'static str {
        match self {
            PartKind::Content => "content",
            PartKind::Who => "who",
        }
    }

    /// The kind of this name, if there is one.
    pub fn from_name(name: &str) -> Option<PartKind> {
        PartKind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What a reader gets of a part that was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// All of it.
    Open,
    /// Nothing: it is not for them.
    Hidden,
    /// Nothing: somebody whom it was about was erased.
    Erased,
    /// Nothing: it is not what was sealed.
    Damaged,
}

impl Seen {
    /// As it stands in an answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Seen::Open => "open",
            Seen::Hidden => "hidden",
            Seen::Erased => "erased",
            Seen::Damaged => "damaged",
        }
    }

    /// What is shown where a value would be; `None` where values are.
    pub fn mark(self) -> Option<&'static str> {
        match self {
            Seen::Open => None,
            Seen::Hidden => Some("[hidden]"),
            Seen::Erased => Some("[erased]"),
            Seen::Damaged => Some("[damaged]"),
        }
    }
}

/// What a reader gets of an event's sealed parts; `None` where none was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeenParts {
    /// Of what it tells.
    pub content: Option<Seen>,
    /// Of who acted.
    pub who: Option<Seen>,
}

impl SeenParts {
    /// Each part that was sealed.
    pub fn iter(self) -> impl Iterator<Item = (PartKind, Seen)> {
        PartKind::ALL.into_iter().filter_map(move |kind| Some((kind, self.get(kind)?)))
    }

    /// One of them.
    pub fn get(self, kind: PartKind) -> Option<Seen> {
        match kind {
            PartKind::Content => self.content,
            PartKind::Who => self.who,
        }
    }

    /// Says what became of a part.
    pub fn set(&mut self, kind: PartKind, seen: Seen) {
        match kind {
            PartKind::Content => self.content = Some(seen),
            PartKind::Who => self.who = Some(seen),
        }
    }
}

/// What was taken out of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalPart {
    /// Which part.
    pub kind: PartKind,
    /// Whom it is about, each once.
    pub subjects: Vec<Subject>,
    /// What was taken out, by JSON pointer (RFC 6901).
    pub members: Json,
}

/// What is to be put back is no part of the event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed part has {pointer:?}, which has no place in its event")]
pub struct NoPlace {
    /// Where it should be.
    pub pointer: String,
}

impl Event {
    /// Whom it is about, of those who can be erased, each once.
    pub fn persons(&self, types: &SubjectTypes) -> Vec<Subject> {
        let parties = [Some(&self.actor), self.on_behalf_of.as_ref()];
        let parties = parties.into_iter().flatten().filter_map(|party| types.of_party(party));
        let objects = self.target.iter().chain(&self.related).filter_map(|object| types.of_object(object));
        // Whoever is named here was meant to be erasable, whatever their type.
        unique(parties.chain(objects).chain(self.subjects.iter().cloned()))
    }

    /// Type and id of all whom or what it names, whether they can be erased or not; some may come twice.
    pub fn anybody(&self) -> impl Iterator<Item = (&str, &str)> {
        let parties = std::iter::once(&self.actor).chain(&self.on_behalf_of);
        let parties = parties.map(|party| (party.kind.as_str(), party.id.as_str()));
        let objects = self.target.iter().chain(&self.related);
        let objects = objects.filter_map(|object| Some((object.kind.as_deref()?, object.id.as_deref()?)));
        parties.chain(objects).chain(self.subjects.iter().map(|subject| (subject.kind.as_str(), subject.id.as_str())))
    }

    /// Takes out what is about persons. Nothing if the event is about nobody, no part in which nothing would be.
    pub fn take_personal(&mut self, types: &SubjectTypes) -> Vec<PersonalPart> {
        let subjects = self.persons(types);
        if subjects.is_empty() {
            return Vec::new();
        }
        let content = PersonalPart { kind: PartKind::Content, subjects, members: Json::Object(self.take_content()) };
        let (acted, members) = self.take_who(types);
        let who = PersonalPart { kind: PartKind::Who, subjects: acted, members: Json::Object(members) };
        let is_empty = |members: &Json| matches!(members, Json::Object(members) if members.is_empty());
        [content, who].into_iter().filter(|part| !is_empty(&part.members)).collect()
    }

    fn take_content(&mut self) -> Vec<(String, Json)> {
        let mut taken = Vec::new();
        take_text(&mut self.reason, "/reason", &mut taken);
        if let Some(target) = &mut self.target {
            take_text(&mut target.name, "/target/name", &mut taken);
        }
        for (n, related) in self.related.iter_mut().enumerate() {
            take_text(&mut related.name, &format!("/related/{n}/name"), &mut taken);
        }
        for (n, change) in self.changes.iter_mut().enumerate() {
            for (name, value) in [("before", &mut change.before), ("after", &mut change.after)] {
                taken.extend(value.take().map(|value| (format!("/changes/{n}/{name}"), value)));
            }
        }
        taken.extend(self.detail.take().map(|detail| ("/detail".to_owned(), detail)));
        taken
    }

    fn take_who(&mut self, types: &SubjectTypes) -> (Vec<Subject>, Vec<(String, Json)>) {
        let (mut acted, mut taken) = (Vec::new(), Vec::new());
        let named = &self.subjects;
        let person = |party: &Party| {
            let is_named = |subject: &&Subject| subject.kind == party.kind && subject.id == party.id;
            types.of_party(party).or_else(|| named.iter().find(is_named).cloned())
        };
        if let Some(actor) = person(&self.actor) {
            acted.push(actor);
            take_text(&mut self.actor.name, "/actor/name", &mut taken);
            take_text(&mut self.actor.email, "/actor/email", &mut taken);
            // Where a request came from is where its actor was.
            take_text(&mut self.context.ip, "/context/ip", &mut taken);
            take_text(&mut self.context.user_agent, "/context/user_agent", &mut taken);
        }
        if let Some(party) = &mut self.on_behalf_of
            && let Some(subject) = person(party)
        {
            acted.push(subject);
            take_text(&mut party.name, "/on_behalf_of/name", &mut taken);
            take_text(&mut party.email, "/on_behalf_of/email", &mut taken);
        }
        (unique(acted.into_iter()), taken)
    }

    /// The same event with nothing in it of what could be sealed: what is put back there stands alone.
    pub fn without_personal(&self) -> Event {
        let mut bare = self.clone();
        bare.take_content();
        for party in [Some(&mut bare.actor), bare.on_behalf_of.as_mut()].into_iter().flatten() {
            (party.name, party.email) = (None, None);
        }
        (bare.context.ip, bare.context.user_agent) = (None, None);
        bare
    }

    /// Puts back what [`Event::take_personal`] took out.
    ///
    /// # Errors
    /// When something has no place here; then the event is not what it was.
    pub fn put_back(&mut self, members: Json) -> Result<(), NoPlace> {
        let Json::Object(members) = members else { return Err(NoPlace { pointer: String::new() }) };
        for (pointer, value) in members {
            if self.put_back_one(&pointer, value).is_none() {
                return Err(NoPlace { pointer });
            }
        }
        Ok(())
    }

    fn put_back_one(&mut self, pointer: &str, value: Json) -> Option<()> {
        let steps: Vec<&str> = pointer.strip_prefix('/')?.split('/').collect();
        let place = match steps[..] {
            ["reason"] => &mut self.reason,
            ["target", "name"] => &mut self.target.as_mut()?.name,
            ["related", n, "name"] => &mut self.related.get_mut(place_of(n)?)?.name,
            ["actor", "name"] => &mut self.actor.name,
            ["actor", "email"] => &mut self.actor.email,
            ["on_behalf_of", "name"] => &mut self.on_behalf_of.as_mut()?.name,
            ["on_behalf_of", "email"] => &mut self.on_behalf_of.as_mut()?.email,
            ["context", "ip"] => &mut self.context.ip,
            ["context", "user_agent"] => &mut self.context.user_agent,
            ["changes", n, "before"] => return put(&mut self.changes.get_mut(place_of(n)?)?.before, value),
            ["changes", n, "after"] => return put(&mut self.changes.get_mut(place_of(n)?)?.after, value),
            ["detail"] => return put(&mut self.detail, value),
            _ => return None,
        };
        let Json::String(text) = value else { return None };
        put(place, text)
    }
}

/// Never over what is there: what is in clear was not sealed.
fn put<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.is_none().then(|| *place = Some(value))
}

/// The one spelling of a number in a pointer.
fn place_of(step: &str) -> Option<usize> {
    let n: usize = step.parse().ok()?;
    (n.to_string() == step).then_some(n)
}

fn take_text(text: &mut Option<String>, pointer: &str, taken: &mut Vec<(String, Json)>) {
    taken.extend(text.take().map(|text| (pointer.to_owned(), Json::String(text))));
}

fn unique(subjects: impl Iterator<Item = Subject>) -> Vec<Subject> {
    let mut known = Vec::new();
    for subject in subjects {
        if !known.contains(&subject) {
            known.push(subject);
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each value that is about a person has `secret` in it, and nothing else has. The actor is a user.
    const OF_A_USER: &str = r#"{"id":"1","time":"2026-11-20T13:32:07.412Z","tenant":"acme","actor":{"type":"user","id":"u_81","name":"Maya","email":"m@x"},"on_behalf_of":{"type":"contact","id":"c_7","name":"secret1","email":"secret2"},"source":"velo-api","action":"contact.updated","outcome":"denied","reason":"secret3","target":{"type":"contact","id":"c_9","name":"secret4"},"related":[{"type":"team","id":"t_3","name":"secret5"},{"name":"secret6"},{"type":"list","id":"l_1"}],"changes":[{"field":"phone","before":"secret7","after":{"z":1.50,"secret8":[null]}},{"field":"x"},{"field":"y","after":"secret9"}],"context":{"ip":"192.0.2.1","user_agent":"é","session_id":"s"},"detail":{"z":1e5,"secret":-0}}"#;
    /// The same done by a contact.
    const OF_A_CONTACT: &str = r#"{"id":"1","time":"2026-11-20T13:32:07.412Z","tenant":"acme","actor":{"type":"contact","id":"c_9","name":"secret1","email":"secret2"},"on_behalf_of":{"type":"user","id":"u_7","name":"Tom"},"action":"conversation.closed","outcome":"success","context":{"ip":"secret3","user_agent":"secret4","request_id":"r","session_id":"s"}}"#;
    const ABOUT_NOBODY: &str = r#"{"id":"1","time":"2026-11-20T13:32:07.412Z","tenant":"acme","actor":{"type":"user","id":"u_81","name":"Maya"},"action":"team.renamed","outcome":"success","reason":"r","target":{"type":"contact","name":"without an id"},"related":[{"id":"c_9"}],"changes":[{"field":"name","before":"a","after":"b"}],"context":{"ip":"192.0.2.1"},"detail":{"n":1}}"#;

    fn types() -> SubjectTypes {
        SubjectTypes::new(vec!["contact".to_owned()])
    }

    fn ids(subjects: &[Subject]) -> Vec<&str> {
        subjects.iter().map(|subject| &*subject.id).collect()
    }

    #[test]
    fn all_that_is_about_a_person_is_taken_out_and_nothing_else() {
        for (body, clear) in [
            (
                OF_A_USER,
                r#"{"id":"1","time":"2026-11-20T13:32:07.412Z","tenant":"acme","actor":{"type":"user","id":"u_81","name":"Maya","email":"m@x"},"on_behalf_of":{"type":"contact","id":"c_7"},"source":"velo-api","action":"contact.updated","outcome":"denied","target":{"type":"contact","id":"c_9"},"related":[{"type":"team","id":"t_3"},{},{"type":"list","id":"l_1"}],"changes":[{"field":"phone"},{"field":"x"},{"field":"y"}],"context":{"ip":"192.0.2.1","user_agent":"é","session_id":"s"}}"#,
            ),
            (
                OF_A_CONTACT,
                r#"{"id":"1","time":"2026-11-20T13:32:07.412Z","tenant":"acme","actor":{"type":"contact","id":"c_9"},"on_behalf_of":{"type":"user","id":"u_7","name":"Tom"},"action":"conversation.closed","outcome":"success","context":{"request_id":"r","session_id":"s"}}"#,
            ),
            (ABOUT_NOBODY, ABOUT_NOBODY),
        ] {
            let mut event = Event::from_body(body).unwrap();
            let parts = event.take_personal(&types());
            assert_eq!(event.body(), clear);
            let taken: usize = parts.iter().map(|part| part.members.to_string().matches("secret").count()).sum();
            assert_eq!(taken, body.matches("secret").count());
            // What the bytes are stored as, and read again.
            let mut back = Event::from_body(clear).unwrap();
            parts.into_iter().for_each(|part| back.put_back(part.members).unwrap());
            assert_eq!(back.body(), body);
        }
    }

    #[test]
    fn each_part_is_about_its_own_and_about_each_once() {
        let parts = |body: &str| Event::from_body(body).unwrap().take_personal(&types());
        let of_a_user = parts(OF_A_USER);
        assert_eq!(of_a_user.iter().map(|part| part.kind).collect::<Vec<_>>(), [PartKind::Content, PartKind::Who]);
        assert_eq!((ids(&of_a_user[0].subjects), ids(&of_a_user[1].subjects)), (vec!["c_7", "c_9"], vec!["c_7"]));
        let of_a_contact = parts(OF_A_CONTACT);
        assert_eq!(of_a_contact.len(), 1, "there is no content");
        assert_eq!((of_a_contact[0].kind, ids(&of_a_contact[0].subjects)), (PartKind::Who, vec!["c_9"]));
    }

    #[test]
    fn whom_the_sender_names_as_a_subject_is_one_whatever_their_type() {
        let named = OF_A_USER.replace("contact", "guest").replace(
            r#""context":"#,
            r#""subjects":[{"type":"patient","id":"p_1"},{"type":"patient","id":"p_1"},{"type":"guest","id":"c_9"}],"context":"#,
        );
        let mut event = Event::from_body(&named).unwrap();
        assert_eq!(ids(&event.persons(&types())), ["p_1", "c_9"]);
        let parts = event.take_personal(&types());
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].kind, PartKind::Content);
        // Also if they acted themselves.
        let acting = OF_A_USER.replace(r#""context":"#, r#""subjects":[{"type":"user","id":"u_81"}],"context":"#);
        let parts = Event::from_body(&acting).unwrap().take_personal(&SubjectTypes::default());
        assert_eq!((parts[1].kind, ids(&parts[1].subjects)), (PartKind::Who, vec!["u_81"]));
        let who = parts[1].members.to_string();
        assert!(["Maya", "m@x", "192.0.2.1", "é"].iter().all(|word| who.contains(word)), "{who}");
    }

    #[test]
    fn what_has_no_place_is_not_put_anywhere() {
        for (pointer, value) in [
            ("", "1"),
            ("reason", "\"r\""),
            ("/reason", "1"),
            ("/target/id", "\"c_1\""),
            ("/related/00/name", "\"n\""),
            ("/related/3/name", "\"n\""),
            ("/changes/1/field", "\"f\""),
            ("/changes/9/after", "1"),
            ("/detail/a", "1"),
            ("/actor/name", "\"over what is there\""),
            ("/context/session_id", "\"s\""),
        ] {
            let mut event = Event::from_body(OF_A_USER).unwrap();
            let members = crate::json::parse(&format!("{{\"{pointer}\":{value}}}"), 8).unwrap();
            assert_eq!(event.put_back(members), Err(NoPlace { pointer: pointer.to_owned() }));
        }
        assert!(Event::from_body(OF_A_USER).unwrap().put_back(Json::Null).is_err());
    }

    #[test]
    fn each_kind_has_its_byte() {
        let kinds = PartKind::ALL;
        assert!(kinds.into_iter().all(|kind| PartKind::from_byte(kind.as_byte()) == Some(kind)));
        assert!(kinds.into_iter().all(|kind| PartKind::from_name(kind.as_str()) == Some(kind)));
        assert_eq!((PartKind::from_byte(0), PartKind::from_name("")), (None, None));
    }

    fn any_text() -> impl Strategy<Value = Option<String>> {
        prop_oneof![Just(None), "[a-z/~\"\\\\é]{0,6}".prop_map(Some)]
    }

    fn any_kind() -> impl Strategy<Value = String> {
        prop_oneof![Just("contact"), Just("user")].prop_map(str::to_owned)
    }

    fn any_object() -> impl Strategy<Value = Object> {
        (proptest::option::of(any_kind()), any_text(), any_text()).prop_map(|(kind, id, name)| Object {
            kind,
            id,
            name,
        })
    }

    fn any_party() -> impl Strategy<Value = Party> {
        let parts = (any_kind(), "[a-c]", any_text(), any_text());
        parts.prop_map(|(kind, id, name, email)| Party { kind, id, name, email })
    }

    fn any_value() -> impl Strategy<Value = Option<Json>> {
        prop_oneof![
            Just(None),
            Just(Some(Json::Null)),
            any_text().prop_map(|text| text.map(Json::String)),
            any_text().prop_map(|text| text.map(|key| Json::Object(vec![(key, Json::Bool(true))]))),
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_taken_out_comes_back_and_none_of_it_was_left(
            (actor, on_behalf_of, target) in (any_party(), proptest::option::of(any_party()), proptest::option::of(any_object())),
            related in proptest::collection::vec(any_object(), 0..4),
            values in proptest::collection::vec((any_value(), any_value()), 0..12),
            (reason, ip, user_agent, detail) in (any_text(), any_text(), any_text(), any_value()),
        ) {
            let mut event = Event::from_body(ABOUT_NOBODY).unwrap();
            event.changes = values.into_iter().map(|(before, after)| {
                crate::event::Change { field: "f".to_owned(), before, after }
            }).collect();
            (event.actor, event.on_behalf_of, event.target, event.related) = (actor, on_behalf_of, target, related);
            (event.reason, event.context.ip, event.context.user_agent, event.detail) = (reason, ip, user_agent, detail);

            let (mut clear, whole) = (event.clone(), event);
            let persons = whole.persons(&types());
            let parts = clear.take_personal(&types());
            if persons.is_empty() {
                prop_assert_eq!(&clear, &whole);
            } else {
                prop_assert!(clear.reason.is_none() && clear.detail.is_none());
                prop_assert!(clear.target.iter().chain(&clear.related).all(|object| object.name.is_none()));
                prop_assert!(clear.changes.iter().all(|change| change.before.is_none() && change.after.is_none()));
                for party in [Some(&clear.actor), clear.on_behalf_of.as_ref()].into_iter().flatten() {
                    prop_assert!(party.kind != "contact" || (party.name.is_none() && party.email.is_none()));
                }
                prop_assert!(clear.actor.kind != "contact" || clear.context.ip.is_none());
            }
            prop_assert_eq!(clear.persons(&types()), persons, "who it is about stays clear");
            let mut back = Event::from_body(&clear.body()).unwrap();
            for part in parts {
                // By way of the bytes that are sealed.
                let members = crate::json::parse(&part.members.to_string(), 40).unwrap();
                back.put_back(members).unwrap();
            }
            prop_assert_eq!(back, whole);
        }
    }
}
