//! Signing in and out.

use super::super::scene::{Scene, text, whole};
use crate::json::Json;

pub fn sign_in(scene: &mut Scene) {
    let method = scene.random.pick(&["sso", "sso", "passkey", "one_time_code"]);
    scene.detail("method", text(method));
    let is_remembered = scene.random.chance(66);
    scene.detail("remembered_device", Json::Bool(is_remembered));
}

pub fn sign_out(scene: &mut Scene) {
    let cause = scene.random.pick(&["user", "user", "idle", "elsewhere"]);
    scene.detail("cause", text(cause));
    let minutes = 5 + scene.random.below(500);
    scene.detail("session_minutes", whole(minutes));
}

pub fn sign_in_failed(scene: &mut Scene) {
    if scene.random.chance(40) {
        scene.come_from_elsewhere();
    }
    let (outcome, reason) = match scene.random.below(10) {
        0 => ("denied", "account locked after 5 attempts"),
        1 => ("denied", "sign-in from this country is not allowed"),
        2..=4 => ("failure", "one-time code expired"),
        _ => ("failure", "wrong passphrase"),
    };
    scene.outcome(outcome, reason);
    let attempt = 1 + scene.random.below(5);
    scene.detail("attempt", whole(attempt));
}
