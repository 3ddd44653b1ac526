//! Contacts and the fields a workspace keeps about them.

use super::super::office::{Item, STAGES, code, take};
use super::super::scene::{Scene, object, text, whole};
use crate::json::Json;

/// Custom fields that workspaces add: key and label.
const FIELDS: [(&str, &str); 8] = [
    ("birthday", "Birthday"),
    ("loyalty_level", "Loyalty level"),
    ("preferred_language", "Preferred language"),
    ("gst_number", "GST number"),
    ("kundennummer", "Kundennummer"),
    ("last_order", "Last order"),
    ("पसंदीदा_समय", "पसंदीदा समय"),
    ("担当店舗", "担当店舗"),
];

pub fn viewed(scene: &mut Scene) {
    let at = scene.office.any_contact(scene.random);
    target(scene, at);
    let screen = scene.random.pick(&["contact card", "search results", "conversation", "phone popup"]);
    scene.detail("screen", text(screen));
}

pub fn created(scene: &mut Scene) {
    let contact = scene.office.new_contact(scene.random);
    scene.job("contact import");
    scene.target_contact(&contact);
    scene.change("phone", Json::Null, text(&contact.phone));
    if let Some(email) = &contact.email {
        scene.change("email", Json::Null, text(email));
    }
    scene.change("stage", Json::Null, text(STAGES[0]));
    let origin =
        if scene.person.is_none() { "import" } else { scene.random.pick(&["manual", "phone call", "web form"]) };
    scene.detail("origin", text(origin));
    if scene.random.chance(40) {
        let note = scene.note_in(contact.script);
        scene.detail("note", text(&note));
    }
    scene.office.contacts.push(contact);
}

pub fn updated(scene: &mut Scene) {
    scene.job("contact sync");
    let at = scene.office.any_contact(scene.random);
    target(scene, at);
    match scene.random.below(6) {
        0 => {
            let before = scene.office.contacts[at].phone.clone();
            let mut after = scene.office.phone(scene.random);
            while after == before {
                after = scene.office.phone(scene.random);
            }
            scene.office.contacts[at].phone = after.clone();
            scene.change("phone", Json::String(before), Json::String(after));
        }
        1 => {
            let address = code("", scene.random).to_lowercase();
            let after = format!("{address}@example.com");
            let before = scene.office.contacts[at].email.replace(after.clone());
            scene.change("email", before.map_or(Json::Null, Json::String), Json::String(after));
        }
        2 => {
            let note = scene.note_in(scene.office.contacts[at].script);
            scene.change("note", Json::Null, Json::String(note));
        }
        _ => {
            let before = scene.office.contacts[at].stage;
            let after = if before + 1 < STAGES.len() { before + 1 } else { 1 };
            scene.office.contacts[at].stage = after;
            scene.change("stage", text(STAGES[before]), text(STAGES[after]));
        }
    }
    if scene.random.chance(15) {
        let script = scene.office.contacts[at].script;
        let note = scene.note_in(script);
        scene.detail("note", text(&note));
    }
}

pub fn deleted(scene: &mut Scene) {
    let at = scene.office.any_contact(scene.random);
    target(scene, at);
    if scene.random.chance(8) {
        return scene.outcome("denied", "the contact has open conversations");
    }
    let contact = scene.office.contacts.swap_remove(at);
    let before = object(vec![("phone", text(&contact.phone)), ("stage", text(STAGES[contact.stage]))]);
    scene.change("contact", before, Json::Null);
    let note = scene.note_in(contact.script);
    scene.reason(&note);
    let conversations = scene.random.below(9);
    scene.detail("conversations_kept", whole(conversations));
}

pub fn exported(scene: &mut Scene) {
    let list =
        scene.random.pick(&["All contacts", "Customers", "Dormant over 90 days", "Diwali offer", "Herbstaktion"]);
    let id = code("l_", scene.random);
    scene.target("contact_list", &id, list);
    let format = scene.random.pick(&["csv", "xlsx"]);
    scene.detail("format", text(format));
    scene.detail("columns", Json::Array(["name", "phone", "email", "stage"].map(text).to_vec()));
    match scene.actor_role() {
        Some("viewer") => scene.outcome("denied", "the role viewer may not export contacts"),
        _ => {
            let rows = 20 + scene.random.below(5_000);
            scene.detail("rows", whole(rows));
        }
    }
}

/// The person asked for it by law; the name is not told again.
pub fn erased(scene: &mut Scene) {
    let at = scene.office.any_contact(scene.random);
    let contact = scene.office.contacts.swap_remove(at);
    scene.target("contact", &contact.id, "erased contact");
    scene.reason("erasure asked for by the person");
    let number = 1_000 + scene.random.below(900);
    scene.detail("request_ref", Json::String(format!("DSR-{number}")));
}

pub fn field_added(scene: &mut Scene) {
    let (key, label) = FIELDS[scene.random.index(FIELDS.len())];
    let id = code("f_", scene.random);
    scene.target("contact_field", &id, label);
    let kind = scene.random.pick(&["text", "date", "choice", "number"]);
    scene.change("key", Json::Null, text(key));
    scene.detail("kind", text(kind));
    scene.office.fields.push(Item { id, name: label.to_owned(), note: key });
}

pub fn field_renamed(scene: &mut Scene) {
    let mut field = any_field(scene);
    let plain = field.name.split(" (").next().unwrap_or_default();
    let marks = ["new", "old", "internal", "2026"].map(|mark| format!("{plain} ({mark})"));
    let others: Vec<&String> = marks.iter().filter(|name| **name != field.name).collect();
    let after = others[scene.random.index(others.len())].clone();
    scene.target("contact_field", &field.id, &after);
    scene.change("label", text(&field.name), text(&after));
    field.name = after;
    scene.office.fields.push(field);
}

pub fn field_removed(scene: &mut Scene) {
    let field = any_field(scene);
    scene.target("contact_field", &field.id, &field.name);
    scene.change("key", text(field.note), Json::Null);
    let filled = scene.random.below(300);
    scene.detail("contacts_with_a_value", whole(filled));
}

fn any_field(scene: &mut Scene) -> Item {
    take(&mut scene.office.fields, scene.random).unwrap_or_else(|| Item {
        id: code("f_", scene.random),
        name: "Region".to_owned(),
        note: "region",
    })
}

/// Makes the contact at this place the target, without holding on to it.
fn target(scene: &mut Scene, at: usize) {
    let (id, name) = (scene.office.contacts[at].id.clone(), scene.office.contacts[at].name.clone());
    scene.target("contact", &id, &name);
}
