//! Sender names and message templates, which operators approve. The text of a template stays where it is: only its name,
//! language and length come here.

use super::super::office::{Item, code, take};
use super::super::scene::{Scene, text, whole};
use crate::json::Json;

const SENDERS: [&str; 6] = ["VELOIN", "VELOUS", "VELODE", "VeloCare", "VeloPay", "VeloShop"];
const TEMPLATES: [&str; 8] = [
    "appointment_reminder",
    "delivery_update",
    "one_time_code",
    "payment_received",
    "rechnung_verfuegbar",
    "seasonal_offer",
    "survey_after_call",
    "नया_ऑफ़र",
];
const REJECTIONS: [&str; 4] = [
    "variable at the beginning of the text",
    "category does not match the content",
    "link shortener is not allowed",
    "the sample does not match the language",
];

pub fn added(scene: &mut Scene) {
    let sender =
        Item { id: code("n_", scene.random), name: scene.random.pick(&SENDERS).to_owned(), note: "alphanumeric" };
    scene.target("sender", &sender.id, &sender.name);
    scene.change("status", Json::Null, text("pending"));
    scene.detail("kind", text(sender.note));
    let country = scene.office.tenant.phone.country;
    scene.detail("country", text(country));
    scene.office.senders.push(sender);
}

pub fn approved(scene: &mut Scene) {
    scene.job("operator status poll");
    let sender = any_sender(scene);
    scene.target("sender", &sender.id, &sender.name);
    scene.change("status", text("pending"), text("approved"));
    let hours = 2 + scene.random.below(90);
    scene.detail("waited_hours", whole(hours));
}

pub fn failed(scene: &mut Scene) {
    scene.job("operator status poll");
    let sender = any_sender(scene);
    scene.target("sender", &sender.id, &sender.name);
    scene.change("status", text("pending"), text("failed"));
    scene.outcome("failure", "the operator refused the registration");
    let code = 4_000 + scene.random.below(40);
    scene.detail("operator_code", whole(code));
}

pub fn template_submitted(scene: &mut Scene) {
    let template = Item {
        id: code("m_", scene.random),
        name: scene.random.pick(&TEMPLATES).to_owned(),
        note: scene.random.pick(&["en", "hi", "de", "ar", "ja"]),
    };
    scene.target("template", &template.id, &template.name);
    scene.change("status", text("draft"), text("submitted"));
    scene.detail("language", text(template.note));
    let (category, length) =
        (scene.random.pick(&["utility", "marketing", "authentication"]), 40 + scene.random.below(600));
    scene.detail("category", text(category));
    scene.detail("characters", whole(length));
    scene.office.templates.push(template);
}

pub fn template_approved(scene: &mut Scene) {
    scene.job("template review poll");
    let template = any_template(scene);
    scene.target("template", &template.id, &template.name);
    scene.change("status", text("submitted"), text("approved"));
    scene.detail("language", text(template.note));
}

pub fn template_rejected(scene: &mut Scene) {
    scene.job("template review poll");
    let template = any_template(scene);
    scene.target("template", &template.id, &template.name);
    scene.change("status", text("submitted"), text("rejected"));
    let reason = scene.random.pick(&REJECTIONS);
    scene.reason(reason);
    scene.detail("language", text(template.note));
}

fn any_sender(scene: &mut Scene) -> Item {
    take(&mut scene.office.senders, scene.random).unwrap_or_else(|| Item {
        id: code("n_", scene.random),
        name: scene.random.pick(&SENDERS).to_owned(),
        note: "alphanumeric",
    })
}

fn any_template(scene: &mut Scene) -> Item {
    take(&mut scene.office.templates, scene.random).unwrap_or_else(|| Item {
        id: code("m_", scene.random),
        name: scene.random.pick(&TEMPLATES).to_owned(),
        note: "en",
    })
}
