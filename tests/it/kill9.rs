//! Acked is kept: the server is killed with SIGKILL while several clients append, again and again over one directory.
//! Afterwards every acked event is there once, in order and findable; a request that got no answer is there whole or
//! not at all; sending everything again adds nothing. 200 rounds with ANNALS_SOAK=1 (50 while spans are merged), else a few.

use std::collections::HashMap;
use std::sync::mpsc;

use serde_json::{Value, json};

use crate::answer::Receipt;
use crate::world::{self, Params, World, assert_same_text, wait_for, without_watermarks};

const WRITERS: u64 = 6;

/// One request of a writer.
struct Sent {
    writer: u64,
    ids: Vec<String>,
    lines: String,
    /// What the server answered, if it did.
    receipts: Option<Vec<Receipt>>,
}

#[test]
fn nothing_acked_is_lost_and_nothing_is_there_twice_when_the_server_is_killed() {
    let mut world = World::start();
    kill_again_and_again(&mut world, "kills under load", [5, 200], &mut Dice(42));
}

/// Spans of 64 events: while the clients append, spans are built and merged all the time, and most kills fall into that.
#[test]
fn nor_is_an_answer_wrong_or_a_span_left_behind_when_it_is_killed_while_spans_are_merged() {
    let mut world = World::start_with(&[("ANNALS_SPAN_EVENTS", "64")]);
    kill_again_and_again(&mut world, "kills during merges", [4, 50], &mut Dice(43));
    // Spans are cut at 64 events or before; whatever is wider was merged.
    wait_for("a merge", || spans_on_disk(&world).filter(|runs| widest(runs) > Some(64)));
    assert!(world.terminate().success());
    let runs = spans_on_disk(&world).expect("nothing is half-built after an orderly end");
    assert!(are_apart(&runs), "two spans over the same events: {runs:?}");
    assert!(widest(&runs) > Some(64), "nothing was merged: {runs:?}");
}

fn widest(runs: &[(u64, u64)]) -> Option<u64> {
    runs.iter().map(|(first, last)| last - first + 1).max()
}

/// `rounds`: by default, and with ANNALS_SOAK=1.
fn kill_again_and_again(world: &mut World, test: &str, [rounds, soak_rounds]: [u64; 2], dice: &mut Dice) {
    let rounds = if world::is_soak() { soak_rounds } else { rounds };
    for round in 0..rounds {
        world::tell(test, round, rounds);
        let acks = 5 + dice.below(60);
        let mut sent = append_until_killed(world, round, acks, dice);
        let acked = sent.iter().filter(|sent| sent.receipts.is_some()).count();
        assert!(acked >= acks as usize, "round {round}: only {acked} requests were acked");
        world.restart();
        world.settle();
        check_what_is_there(world, round, &sent);
        // It reads the whole log for each question: after each of 200 rounds it would take hours.
        if rounds <= 50 || round % 10 == 9 {
            check_against_scan(world, round);
        }
        wait_for("one span over each event", || spans_on_disk(world).filter(|runs| are_apart(runs)));
        send_all_again(world, round, &mut sent);
    }
}

/// First and last seq of each span, in order; none while one is being made or removed.
fn spans_on_disk(world: &World) -> Option<Vec<(u64, u64)>> {
    let mut runs = Vec::new();
    for item in std::fs::read_dir(world.dir().join("index")).ok()? {
        let name = item.ok()?.file_name();
        let (first, rest) = name.to_str().expect("UTF-8").split_once('-')?;
        let (last, _) = rest.split_once('-')?;
        runs.push((first.parse().ok()?, last.parse().ok()?));
    }
    runs.sort_unstable();
    Some(runs)
}

fn are_apart(runs: &[(u64, u64)]) -> bool {
    runs.array_windows().all(|[one, next]| one.1 < next.0)
}

/// What the index finds is what the log says.
fn check_against_scan(world: &World, round: u64) {
    for q in ["", "written", "actor:u_1", "xxx*", &format!("k{round}-1-0-0"), &format!("action:kill9.round_{round}")] {
        for order in ["-time", "time", "-seq"] {
            let ask = |engine: Params| {
                let params: Vec<_> =
                    [("q", q), ("limit", "200"), ("order", order)].iter().chain(engine).copied().collect();
                // The publisher may sign between the two.
                without_watermarks(&world.ask("/v1/events", &params).ok().text())
            };
            assert_same_text(&(q, order), &ask(&[]), &ask(&[("engine", "scan")]));
        }
    }
}

/// Lets all writers append until this many requests were acked, kills the server, and gives back what was sent.
fn append_until_killed(world: &mut World, round: u64, acks: u64, dice: &mut Dice) -> Vec<Sent> {
    let (ack, acked) = mpsc::channel();
    let kill = world.killer();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (url, ack, mut dice) = (world.url().to_owned(), ack.clone(), Dice(dice.next()));
            std::thread::spawn(move || write_until_broken(&url, round, writer, &mut dice, &ack))
        })
        .collect();
    drop(ack);
    let heard = acked.iter().take(acks as usize).count();
    kill();
    let sent = writers.into_iter().flat_map(|writer| writer.join().expect("writer")).collect();
    assert_eq!(heard as u64, acks, "the writers gave up before the kill");
    world.bury();
    sent
}

fn write_until_broken(url: &str, round: u64, writer: u64, dice: &mut Dice, ack: &mpsc::Sender<()>) -> Vec<Sent> {
    let agent = world::new_agent();
    let mut sent = Vec::new();
    for batch in 0.. {
        let ids: Vec<String> = (0..1 + dice.below(40)).map(|n| format!("k{round}-{writer}-{batch}-{n}")).collect();
        let lines: String = ids.iter().map(|id| format!("{}\n", event(round, id))).collect();
        let headers = [("content-type", "application/x-ndjson")];
        let answer = world::try_send(&agent, url, "", &headers, lines.as_bytes());
        let receipts = match answer {
            Ok(answer) if answer.status == 201 => Some(answer.receipts()),
            Ok(answer) => panic!("{}: {}", answer.status, answer.text()),
            Err(_) => None,
        };
        let is_over = receipts.is_none();
        sent.push(Sent { writer, ids, lines, receipts });
        if is_over {
            break;
        }
        // No one listens any more once the server was killed.
        let _ = ack.send(());
    }
    sent
}

fn event(round: u64, id: &str) -> Value {
    json!({
        "id": id, "actor": {"type": "user", "id": "u_1"}, "action": format!("kill9.round_{round}"),
        "detail": {"note": format!("written as {id}"), "filler": "x".repeat(id.len() * 17 % 400)},
    })
}

fn check_what_is_there(world: &World, round: u64, sent: &[Sent]) {
    let log = world.feed(&[], 1_000);
    let mut there: HashMap<&str, &Value> = HashMap::new();
    for (seq, entry) in log.iter().enumerate() {
        assert_eq!(entry["seq"], seq, "the log has a gap or is out of order");
        let id = entry["id"].as_str().expect("id");
        assert!(there.insert(id, entry).is_none(), "{id} is there twice");
    }
    let mut last_of_writer: HashMap<u64, u64> = HashMap::new();
    let mut here = 0;
    for request in sent {
        let seqs: Vec<u64> = request
            .ids
            .iter()
            .filter_map(|id| there.get(id.as_str()))
            .map(|entry| entry["seq"].as_u64().expect("seq"))
            .collect();
        match &request.receipts {
            Some(receipts) => {
                assert_eq!(seqs, receipts.iter().map(|receipt| receipt.seq).collect::<Vec<_>>());
                for (receipt, id) in receipts.iter().zip(&request.ids) {
                    assert_eq!(receipt.id, *id);
                    assert_eq!(there[id.as_str()]["hash"], *receipt.hash);
                }
            }
            None => assert!(
                seqs.is_empty() || seqs.len() == request.ids.len(),
                "{} of {} events of a request without an answer are there",
                seqs.len(),
                request.ids.len()
            ),
        }
        for id in request.ids.iter().filter(|id| there.contains_key(id.as_str())) {
            assert_eq!(there[id.as_str()]["detail"], event(round, id)["detail"]);
            here += 1;
        }
        let Some((first, last)) = seqs.first().zip(seqs.last()) else {
            continue;
        };
        assert_eq!(last - first, seqs.len() as u64 - 1, "a request's events are not side by side");
        let before = last_of_writer.insert(request.writer, *last);
        assert!(before < Some(*first) || before.is_none(), "a later request came before an earlier one");
    }
    assert_eq!(world.count(&format!("action:\"kill9.round_{round}\"")), here);
    for request in sent.iter().filter(|request| request.receipts.is_some()).step_by(7) {
        let id = &request.ids[0];
        assert_eq!(world.count(&format!("id:\"{id}\"")), 1, "{id} is not found");
    }
}

/// A client that got no answer sends again, and so may one that forgot that it did.
fn send_all_again(world: &World, round: u64, sent: &mut [Sent]) {
    for request in sent.iter() {
        let answer = world.post_ndjson(&request.lines).ok();
        let receipts = answer.receipts();
        match &request.receipts {
            Some(first) => {
                assert_eq!(answer.status, 200);
                assert!(receipts.iter().all(|receipt| receipt.duplicate));
                assert_eq!(
                    receipts.iter().map(|receipt| receipt.seq).collect::<Vec<_>>(),
                    first.iter().map(|receipt| receipt.seq).collect::<Vec<_>>()
                );
            }
            None => {
                let all = receipts.iter().all(|receipt| receipt.duplicate);
                let none = receipts.iter().all(|receipt| !receipt.duplicate);
                assert!(all || none, "a request without an answer was stored in part");
            }
        }
    }
    world.settle();
    let events: usize = sent.iter().map(|request| request.ids.len()).sum();
    assert_eq!(world.count(&format!("action:\"kill9.round_{round}\"")), events as u64);
}

/// Seeded random numbers (xorshift): where the kill falls differs from round to round, what is sent does not from run to run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}
