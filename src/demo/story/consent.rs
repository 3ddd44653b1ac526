//! Whether a contact wants to hear from the workspace.

use super::super::office::CHANNELS;
use super::super::scene::{Scene, text};
use crate::json::Json;

pub fn opted_in(scene: &mut Scene) {
    scene.job("web form");
    answer(scene, true);
    let proof = scene.random.pick(&["double opt-in mail", "signed form", "web form", "verbal, confirmed by text"]);
    scene.detail("proof", text(proof));
}

pub fn opted_out(scene: &mut Scene) {
    scene.job("stop word");
    answer(scene, false);
    let word = scene.random.pick(&["STOP", "रोकें", "توقف", "停止", "СТОП", "link in mail"]);
    scene.detail("keyword", text(word));
}

fn answer(scene: &mut Scene, wants: bool) {
    let at = scene.office.any_contact(scene.random);
    let contact = &mut scene.office.contacts[at];
    let before = std::mem::replace(&mut contact.has_consent, wants);
    let (id, name) = (contact.id.clone(), contact.name.clone());
    scene.target("contact", &id, &name);
    if before != wants {
        scene.change("consent", Json::Bool(before), Json::Bool(wants));
    }
    let channel = scene.random.pick(&CHANNELS);
    scene.detail("channel", text(channel));
    let basis = scene.random.pick(&["marketing", "service"]);
    scene.detail("purpose", text(basis));
}
