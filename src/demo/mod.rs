//! Demo and bench data: events of an invented customer platform, VeloConnect, as NDJSON. Seeded: the same arguments give the
//! same bytes. `events` tells stories that make sense to a reader; `volume` only makes bytes, fast.
//! What an event may hold is `event`'s business; here are only lines an application might post.

mod cast;
mod deck;
mod office;
mod random;
mod rhythm;
mod scene;
mod story;
mod volume;

pub use volume::volume;

use cast::{TENANTS, Tenant};
use deck::Deck;
use office::Office;
use random::Random;
use rhythm::Times;
use scene::Scene;

const DAY_MS: u64 = 86_400_000;

/// `n` events of the last `days` days before `end_ms` (ms since 1970), ascending by time, one JSON object each without a line end.
///
/// They use every action of the built-in catalogue but the server's own, 40 people and `system`, three tenants and five
/// scripts; each category has 2 % or more of every 1,000 events. Ids follow from the arguments, so that posting the same
/// demo again adds nothing.
pub fn events(n: u64, seed: u64, end_ms: u64, days: u32) -> impl Iterator<Item = String> {
    let mut random = Random::new(seed);
    let mut offices: Vec<Office> = TENANTS
        .iter()
        .enumerate()
        .map(|(number, tenant)| Office::open(tenant, number, TENANTS.len(), &mut random))
        .collect();
    let start_ms = end_ms.saturating_sub(u64::from(days) * DAY_MS);
    let mut times = Times::new(n, start_ms, end_ms, &TENANTS, &mut random);
    let mut deck = Deck::new();
    std::iter::from_fn(move || {
        let ms = times.next(&mut random)?;
        let office = &mut offices[who_works_at(ms, &TENANTS, &mut random)];
        let card = deck.deal(&mut random);
        let mut scene = Scene::new(card, ms, office, &mut random);
        (card.tell)(&mut scene);
        Some(scene.into_line())
    })
}

/// One of the tenants, by how busy each is at that time of its day.
fn who_works_at(ms: u64, tenants: &[Tenant], random: &mut Random) -> usize {
    let weights: Vec<u64> = tenants.iter().map(|tenant| rhythm::weight(tenant, ms)).collect();
    let mut at = random.below(weights.iter().sum());
    for (number, weight) in weights.iter().enumerate() {
        if at < *weight {
            return number;
        }
        at -= weight;
    }
    0
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;

    const END_MS: u64 = 1_795_000_000_000;

    fn parsed(n: u64, seed: u64) -> Vec<Value> {
        events(n, seed, END_MS, 90).map(|line| serde_json::from_str(&line).expect(&line)).collect()
    }

    /// Category of an action, as index-schema/actions.toml has it.
    fn category(action: &str) -> &str {
        match action.split('.').next().unwrap() {
            "user" => "team",
            "contact" | "contact_field" => "contacts",
            "conversation" => "conversations",
            "campaign" => "campaigns",
            "sender" | "template" => "senders",
            "did" => "dids",
            "wallet" | "refund" => "billing",
            noun => noun,
        }
    }

    #[test]
    fn the_same_seed_tells_the_same_story() {
        let first: Vec<String> = events(3_000, 7, END_MS, 90).collect();
        assert_eq!(first, events(3_000, 7, END_MS, 90).collect::<Vec<_>>());
        assert_ne!(first, events(3_000, 8, END_MS, 90).collect::<Vec<_>>());
    }

    #[test]
    fn twenty_thousand_events_hold_every_action_and_enough_of_each_category() {
        let mut categories: BTreeMap<String, usize> = BTreeMap::new();
        let mut actions = BTreeSet::new();
        for event in parsed(20_000, 7) {
            let action = event["action"].as_str().unwrap();
            *categories.entry(category(action).to_owned()).or_default() += 1;
            actions.insert(action.to_owned());
        }
        assert_eq!(actions.len(), deck::CARDS.len());
        assert_eq!(categories.len(), 10, "{categories:?}");
        assert!(categories.values().all(|n| *n >= 200), "{categories:?}");
    }

    #[test]
    fn forty_people_and_system_act_in_three_tenants() {
        let mut actors = BTreeSet::new();
        let mut tenants = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for event in parsed(20_000, 1) {
            actors.insert(format!(
                "{}/{}",
                event["actor"]["type"].as_str().unwrap(),
                event["actor"]["id"].as_str().unwrap()
            ));
            tenants.insert(event["tenant"].as_str().unwrap().to_owned());
            ids.insert(event["id"].as_str().unwrap().to_owned());
        }
        assert_eq!(actors.len(), 41);
        assert!(actors.contains("system/system"));
        assert_eq!(tenants.into_iter().collect::<Vec<_>>(), ["velo-de", "velo-in", "velo-us"]);
        assert_eq!(ids.len(), 20_000);
    }

    #[test]
    fn names_come_in_five_scripts() {
        let all: String = events(2_000, 3, END_MS, 90).collect();
        for (script, range) in [
            ("Devanagari", '\u{900}'..='\u{97f}'),
            ("Arabic", '\u{600}'..='\u{6ff}'),
            ("Han", '\u{4e00}'..='\u{9fff}'),
            ("Kana", '\u{3040}'..='\u{30ff}'),
            ("Cyrillic", '\u{400}'..='\u{4ff}'),
        ] {
            assert!(all.chars().any(|c| range.contains(&c)), "no {script}");
        }
    }

    #[test]
    fn times_ascend_and_values_before_and_after_differ() {
        let mut last = String::new();
        let mut outcomes = BTreeSet::new();
        for event in parsed(5_000, 2) {
            let time = event["time"].as_str().unwrap().to_owned();
            assert!(time >= last);
            last = time;
            outcomes.insert(event["outcome"].as_str().unwrap_or("success").to_owned());
            for change in event["changes"].as_array().into_iter().flatten() {
                assert_ne!(change.get("before"), change.get("after"), "{event}");
            }
        }
        assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), ["denied", "failure", "success"]);
    }

    #[test]
    fn addresses_belong_to_no_one() {
        for event in parsed(5_000, 4) {
            if let Some(ip) = event["context"]["ip"].as_str() {
                let is_for_documents =
                    ["192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:"].iter().any(|range| ip.starts_with(range));
                assert!(is_for_documents, "{ip}");
            }
        }
    }

    #[test]
    fn any_number_of_events_can_be_told_in_any_time() {
        for (n, days) in [(0, 90), (1, 90), (1, 0), (100, 1)] {
            assert_eq!(events(n, 1, END_MS, days).count() as u64, n);
        }
        assert_eq!(events(5, 1, 0, 90).count(), 5);
    }
}
