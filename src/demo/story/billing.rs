//! Money: what is paid into the workspace's wallet and what is paid back.

use super::super::office::code;
use super::super::scene::{Scene, decimal, text};
use crate::json::Json;

pub fn topped_up(scene: &mut Scene) {
    let amounts = [50_000, 100_000, 250_000, 500_000];
    let cents = amounts[scene.random.index(amounts.len())];
    let method = scene.random.pick(&["card", "bank transfer", "upi", "sepa"]);
    if scene.random.chance(9) {
        wallet(scene);
        scene.outcome("failure", "the bank declined the payment");
    } else {
        pay_in(scene, cents);
    }
    describe(scene, cents);
    scene.detail("method", text(method));
}

pub fn auto_topped_up(scene: &mut Scene) {
    scene.job("wallet auto top-up");
    let cents = 100_000;
    // It runs when the wallet is nearly empty, so most of what was there has been spent since the last event about it.
    scene.office.wallet_cents = 5_000 + scene.random.below(20_000);
    pay_in(scene, cents);
    describe(scene, cents);
    scene.detail("threshold", decimal(25_000, 2));
}

pub fn refund_issued(scene: &mut Scene) {
    let at = scene.office.any_contact(scene.random);
    let (contact_id, contact_name) = (scene.office.contacts[at].id.clone(), scene.office.contacts[at].name.clone());
    let id = code("rf_", scene.random);
    let number = 20_000 + scene.random.below(70_000);
    scene.target("refund", &id, &format!("Refund for invoice {number}"));
    scene.related("contact", &contact_id, &contact_name);
    let cents = 150 + scene.random.below(48_000);
    describe(scene, cents);
    let code = scene.random.pick(&["duplicate_charge", "service_outage", "goodwill", "wrong_rate", "cancelled_order"]);
    scene.detail("reason_code", text(code));
    scene.detail("invoice", Json::String(format!("INV-{number}")));
    if scene.random.chance(6) {
        scene.outcome("denied", "the amount needs a second approval");
    }
}

fn pay_in(scene: &mut Scene, cents: u64) {
    wallet(scene);
    let before = scene.office.wallet_cents;
    scene.office.wallet_cents += cents;
    scene.change("balance", decimal(before, 2), decimal(before + cents, 2));
}

fn wallet(scene: &mut Scene) {
    let tenant = scene.office.tenant;
    scene.target("wallet", &format!("w_{}", tenant.name), &format!("Wallet {}", tenant.currency));
}

fn describe(scene: &mut Scene, cents: u64) {
    scene.detail("amount", decimal(cents, 2));
    scene.detail("currency", text(scene.office.tenant.currency));
}
