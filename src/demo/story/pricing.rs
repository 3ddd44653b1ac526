//! What a unit costs, per country and channel.

use super::super::scene::{Scene, decimal, text};

pub fn rate_changed(scene: &mut Scene) {
    let at = scene.random.index(scene.office.rates.len());
    let percent = 88 + scene.random.below(26);
    let rate = &mut scene.office.rates[at];
    let before = rate.rate_e4;
    // At least one step away, so that there is a change to show.
    rate.rate_e4 = match before * percent / 100 {
        same if same == before => before + 1,
        after => after.max(5),
    };
    let after = rate.rate_e4;
    target(scene, at);
    scene.change("rate", decimal(before, 4), decimal(after, 4));
    let reason = scene.random.pick(&[
        "operator raised its price",
        "yearly contract",
        "volume discount",
        "Wechselkurs angepasst",
    ]);
    scene.reason(reason);
}

pub fn margin_changed(scene: &mut Scene) {
    let at = scene.random.index(scene.office.rates.len());
    let step = 5 * (1 + scene.random.below(6));
    let up = scene.random.chance(50);
    let rate = &mut scene.office.rates[at];
    let before = rate.margin_e1;
    rate.margin_e1 = if up || before < 2 * step { before + step } else { before - step };
    let after = rate.margin_e1;
    target(scene, at);
    scene.change("margin_percent", decimal(before, 1), decimal(after, 1));
    if scene.random.chance(8) {
        scene.outcome("denied", "a margin below the floor needs approval");
        scene.office.rates[at].margin_e1 = before;
    }
}

fn target(scene: &mut Scene, at: usize) {
    let (country, channel) = (scene.office.rates[at].country, scene.office.rates[at].channel);
    scene.target("rate", &format!("{channel}-{country}"), &format!("{channel} to {country}"));
    scene.detail("country", text(country));
    scene.detail("channel", text(channel));
    scene.detail("currency", text(scene.office.tenant.currency));
}
