//! Campaigns from draft to launch.

use super::super::office::{CHANNELS, Campaign, code, take};
use super::super::scene::{Scene, decimal, text, whole};
use crate::json::Json;

const NAMES: [&str; 10] = [
    "Diwali offer",
    "Herbstaktion",
    "Back to school",
    "दिवाली ऑफ़र",
    "عرض رمضان",
    "春のセール",
    "新年优惠",
    "Весенняя распродажа",
    "Win-back dormant",
    "Préparez l'été",
];

pub fn created(scene: &mut Scene) {
    let campaign = draft(scene);
    scene.target("campaign", &campaign.id, &campaign.name);
    scene.detail("channel", text(campaign.channel));
    scene.detail("audience_size", whole(campaign.audience));
    scene.office.drafts.push(campaign);
}

pub fn scheduled(scene: &mut Scene) {
    let campaign = match take(&mut scene.office.drafts, scene.random) {
        Some(campaign) => campaign,
        None => draft(scene),
    };
    scene.target("campaign", &campaign.id, &campaign.name);
    let start = crate::clock::rfc3339_ms((scene.ms + (1 + scene.random.below(96)) * 3_600_000) as i64);
    scene.change("status", text("draft"), text("scheduled"));
    scene.change("starts_at", Json::Null, Json::String(start));
    scene.detail("audience_size", whole(campaign.audience));
    scene.office.scheduled.push(campaign);
}

pub fn launched(scene: &mut Scene) {
    scene.job("campaign scheduler");
    let campaign = match take(&mut scene.office.scheduled, scene.random) {
        Some(campaign) => campaign,
        None => draft(scene),
    };
    scene.target("campaign", &campaign.id, &campaign.name);
    let excluded = campaign.audience * scene.random.below(12) / 100;
    scene.detail("channel", text(campaign.channel));
    scene.detail("audience_size", whole(campaign.audience));
    scene.detail("excluded_without_consent", whole(excluded));
    let rate_e4 = 40 + scene.random.below(60);
    scene.detail("estimated_cost", decimal((campaign.audience - excluded) * rate_e4, 4));
    if scene.random.chance(7) {
        scene.outcome("failure", "wallet balance does not cover the estimated cost");
        return scene.office.scheduled.push(campaign);
    }
    scene.change("status", text("scheduled"), text("running"));
    scene.office.running.push(campaign);
}

pub fn paused(scene: &mut Scene) {
    let campaign = match take(&mut scene.office.running, scene.random) {
        Some(campaign) => campaign,
        None => draft(scene),
    };
    scene.target("campaign", &campaign.id, &campaign.name);
    scene.change("status", text("running"), text("paused"));
    let sent = scene.random.below(campaign.audience + 1);
    scene.detail("sent", whole(sent));
    scene.detail("remaining", whole(campaign.audience - sent));
    scene.office.scheduled.push(campaign);
}

pub fn cancelled(scene: &mut Scene) {
    let campaign = match take(&mut scene.office.scheduled, scene.random) {
        Some(campaign) => campaign,
        None => draft(scene),
    };
    scene.target("campaign", &campaign.id, &campaign.name);
    scene.change("status", text("scheduled"), text("cancelled"));
    let reason = scene.random.pick(&["wrong audience", "price not final", "Freigabe fehlt", "पाठ बदलना है"]);
    scene.reason(reason);
}

fn draft(scene: &mut Scene) -> Campaign {
    Campaign {
        id: code("k_", scene.random),
        name: scene.random.pick(&NAMES).to_owned(),
        channel: scene.random.pick(&CHANNELS),
        audience: 150 + scene.random.below(40_000),
    }
}
