//! Phone numbers a workspace can be called on: asked for, cleared by a check of papers, assigned, given back.

use super::super::cast::PEOPLE;
use super::super::office::{Item, code, person_id, take};
use super::super::scene::{Scene, decimal, text};
use crate::json::Json;

const PAPERS: [&str; 5] =
    ["business_registration", "passport", "gst_certificate", "utility_bill", "Handelsregisterauszug"];

pub fn requested(scene: &mut Scene) {
    let did = new_did(scene);
    scene.target("did", &did.id, &did.name);
    scene.change("status", Json::Null, text("requested"));
    scene.detail("country", text(did.note));
    let rent = 80 + scene.random.below(400);
    scene.detail("monthly_rent", decimal(rent, 2));
    scene.office.dids_requested.push(did);
}

pub fn kyc_approved(scene: &mut Scene) {
    scene.job("document check");
    let did = match take(&mut scene.office.dids_requested, scene.random) {
        Some(did) => did,
        None => new_did(scene),
    };
    scene.target("did", &did.id, &did.name);
    scene.change("kyc", text("pending"), text("approved"));
    let paper = scene.random.pick(&PAPERS);
    scene.detail("document_type", text(paper));
    scene.detail("country", text(did.note));
    scene.office.dids_cleared.push(did);
}

pub fn assigned(scene: &mut Scene) {
    let did = match take(&mut scene.office.dids_cleared, scene.random) {
        Some(did) => did,
        None => new_did(scene),
    };
    let person = scene.office.people[scene.random.index(scene.office.people.len())];
    scene.target("did", &did.id, &did.name);
    scene.related("user", &person_id(person), PEOPLE[person].name);
    scene.change("assignee", Json::Null, Json::String(person_id(person)));
    scene.office.dids_assigned.push(did);
}

pub fn released(scene: &mut Scene) {
    let did = match take(&mut scene.office.dids_assigned, scene.random) {
        Some(did) => did,
        None => new_did(scene),
    };
    scene.target("did", &did.id, &did.name);
    scene.change("status", text("assigned"), text("released"));
    let reason = scene.random.pick(&["no calls for 60 days", "office closed", "number moved to another operator"]);
    scene.reason(reason);
}

fn new_did(scene: &mut Scene) -> Item {
    let name = scene.office.phone(scene.random);
    Item { id: code("d_", scene.random), name, note: scene.office.tenant.phone.country }
}
