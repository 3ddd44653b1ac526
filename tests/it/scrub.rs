//! Scrubbing from outside: a running server reads everything again, says so, and says what rotted.

use std::fs;

use serde_json::{Value, json};

use crate::data::demo_events;
use crate::visitor::{PAGE, Visitor};
use crate::world::{World, wait_for};

/// What the page says of the log's soundness: the badge, and the notice if there is one.
fn told(world: &World, path: &str) -> (String, String) {
    let html = Visitor::of(world).get(path).expect_status(200).text();
    let between = |start: &str, end: &str| {
        let from = html.find(start)?;
        Some(html[from..from + html[from..].find(end)?].to_owned())
    };
    (
        between("id=\"integrity\"", "</a>").unwrap_or_default(),
        between("class=\"note bad\"", "</div>").unwrap_or_default(),
    )
}

fn integrity(world: &World) -> Value {
    world.get_json("/v1/log", &[])["integrity"].clone()
}

/// The page as soon as its badge says so: the newest entries may not be signed yet.
fn once_told(world: &World, word: &str) -> (String, String) {
    wait_for(word, || Some(told(world, PAGE)).filter(|(badge, _)| badge.contains(word)))
}

#[test]
fn a_server_says_when_it_read_everything_again_and_where_it_has_rotted() {
    let mut world = World::start_with(&[("ANNALS_SEGMENT_EVENTS", "64"), ("ANNALS_SCRUB_PERIOD_S", "0")]);
    for batch in demo_events(400).lines().collect::<Vec<_>>().chunks(50) {
        world.load(batch.iter().copied());
    }
    wait_for("the finished segments to be sealed", || (world.watermarks().sealed >= 350).then_some(()));
    assert_eq!(integrity(&world)["state"], "never_checked");
    let (badge, notice) = once_told(&world, "Not checked");
    assert!(badge.contains("400 entries signed") && notice.is_empty(), "{badge} {notice}");
    assert_eq!(world.metric::<f64>("annals_scrub_last_end_seconds"), 0.0);
    assert!(world.terminate().success());
    world.set("ANNALS_SCRUB_PERIOD_S", "1");
    world.restart();
    let passed = wait_for("a round to end", || Some(integrity(&world)).filter(|now| now["state"] == "passed"));
    assert_eq!((&passed["checked"]["events"], &passed["checked"]["findings"]), (&json!(400), &json!(0)), "{passed}");
    assert!(world.metric::<f64>("annals_scrub_last_end_seconds") > 1.7e9);
    assert_eq!(world.metric::<f64>("annals_scrub_findings"), 0.0);

    let (badge, notice) = once_told(&world, "Verified");
    assert!(badge.contains("400 entries signed, checked ") && notice.is_empty(), "{badge} {notice}");

    let segment = world.dir().join("log/00000000000000000000.seg");
    let good = fs::read(&segment).expect("a segment");
    let mut bad = good.clone();
    bad[4_100] ^= 1;
    let swap = |bytes: &[u8]| {
        let copy = world.dir().join("log/copy");
        fs::write(&copy, bytes).expect("written");
        fs::rename(&copy, &segment).expect("renamed");
    };
    swap(&bad);
    let failed = wait_for("the damage to be found", || Some(integrity(&world)).filter(|now| now["state"] == "failed"));
    assert_eq!((&failed["finding"]["segment"], &failed["finding"]["offset"]), (&json!(0), &json!(4096)), "{failed}");
    assert!(world.metric::<f64>("annals_scrub_findings") >= 1.0);
    let ready = world.get("/readyz");
    assert_eq!(ready.status, 200, "what is sound is still served");
    assert!(
        ready.json()["warning"].as_str().is_some_and(|why| why.contains("segment 0 at byte 4096")),
        "{}",
        ready.text()
    );
    // The page says so everywhere, until it is mended.
    let id = world.get_json("/v1/events/@399", &[])["id"].as_str().expect("an id").to_owned();
    for path in [PAGE.to_owned(), format!("{PAGE}_results?range=all"), format!("{PAGE}entries/{id}")] {
        let (badge, notice) = told(&world, &path);
        assert!(badge.is_empty() == path.contains("entries/") && !badge.contains("Verified"), "{path}: {badge}");
        assert!(badge.is_empty() || badge.contains("Check failed") && badge.contains("log.json"), "{path}: {badge}");
        assert!(notice.contains("role=\"alert\"") && notice.contains("segment 0 at byte 4096"), "{path}: {notice}");
    }
    swap(&good);
    wait_for("a round to pass again", || (integrity(&world)["state"] == "passed").then_some(()));
    let (badge, notice) = once_told(&world, "Verified");
    assert!(notice.is_empty(), "{badge} {notice}");
    let said = world.terminate_hearing();
    let line = said.lines().find(|line| line.contains("SCRUBBING FOUND DAMAGE")).expect("it is said aloud");
    assert!(line.contains("segment") && line.contains("4096") && !line.contains("velo"), "{line}");
}
