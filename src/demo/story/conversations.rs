//! Conversations: to whom they go and when they end. What is said in them never comes here.

use super::super::cast::PEOPLE;
use super::super::office::{Conversation, person_id, take};
use super::super::scene::{Scene, text, whole};
use crate::json::Json;

pub fn assigned(scene: &mut Scene) {
    scene.job("round robin");
    let conversation = scene.office.start_conversation(scene.ms, scene.random);
    scene.target_conversation(&conversation);
    scene.change("assignee", Json::Null, Json::String(person_id(conversation.assignee)));
    scene.related("user", &person_id(conversation.assignee), PEOPLE[conversation.assignee].name);
    let queue = scene.random.pick(&["support", "sales", "billing", "Kundendienst"]);
    scene.detail("queue", text(queue));
    let waited = scene.random.below(900);
    scene.detail("waited_seconds", whole(waited));
    scene.office.open.push(conversation);
}

pub fn reassigned(scene: &mut Scene) {
    let mut conversation = scene.office.take_open(scene.ms, scene.random);
    let before = conversation.assignee;
    // The next colleague in the workspace's list: never the same person.
    let place = scene.office.people.iter().position(|&person| person == before).unwrap_or_default();
    let after = scene.office.people[(place + 1) % scene.office.people.len()];
    conversation.assignee = after;
    scene.target_conversation(&conversation);
    scene.change("assignee", Json::String(person_id(before)), Json::String(person_id(after)));
    scene.on_behalf_of(before);
    let reason = scene.random.pick(&[
        "speaks the customer's language",
        "end of shift",
        "आज छुट्टी पर",
        "krank gemeldet",
        "صاحب الحساب",
    ]);
    scene.reason(reason);
    scene.office.open.push(conversation);
}

pub fn closed(scene: &mut Scene) {
    scene.job("close after silence");
    let conversation = scene.office.take_open(scene.ms, scene.random);
    scene.target_conversation(&conversation);
    scene.change("status", text("open"), text("closed"));
    let resolution = scene.random.pick(&["solved", "solved", "no answer", "spam", "forwarded"]);
    scene.detail("resolution", text(resolution));
    describe(scene, &conversation);
    scene.office.close(conversation);
}

pub fn reopened(scene: &mut Scene) {
    scene.job("customer answered");
    let conversation = match take(&mut scene.office.closed, scene.random) {
        Some(conversation) => conversation,
        None => scene.office.start_conversation(scene.ms.saturating_sub(86_400_000), scene.random),
    };
    scene.target_conversation(&conversation);
    scene.change("status", text("closed"), text("open"));
    describe(scene, &conversation);
    scene.office.open.push(conversation);
}

pub fn snoozed(scene: &mut Scene) {
    let conversation = scene.office.take_open(scene.ms, scene.random);
    scene.target_conversation(&conversation);
    let hours = [1, 4, 24, 72][scene.random.index(4)];
    let until = crate::clock::rfc3339_ms((scene.ms + hours * 3_600_000) as i64);
    scene.change("snoozed_until", Json::Null, Json::String(until));
    scene.detail("hours", whole(hours));
    scene.office.open.push(conversation);
}

fn describe(scene: &mut Scene, conversation: &Conversation) {
    scene.detail("channel", text(conversation.channel));
    scene.detail("age_minutes", whole(scene.ms.saturating_sub(conversation.opened_ms) / 60_000));
    let messages = 1 + scene.random.below(40);
    scene.detail("messages", whole(messages));
}
