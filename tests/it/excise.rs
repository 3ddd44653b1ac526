//! What was written in clear and may not be kept is cut out for good: of the entry its place and its proof stay, of its content
//! nothing is in any file; whatever moment the process dies at, and whoever tries to put it back.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tantivy::Index;

use crate::bundle::{export, judge, signed};
use crate::erasure::{copy, files, holds};
use crate::world::{Output, World, is_soak, tell};

const EVENTS: usize = 700;
/// In sealed segments, at their ends, in the newest one; two in one block.
const CUT: [usize; 6] = [0, 17, 18, 249, 250, 690];
/// Small segments and spans, so that there are several of each; nobody is sealed, all of it is in clear.
const SMALL: [(&str, &str); 3] =
    [("ANNALS_SEGMENT_EVENTS", "250"), ("ANNALS_SPAN_EVENTS", "64"), ("ANNALS_SUBJECT_TYPES", "")];

fn word(n: usize) -> String {
    format!("zqclear{n}end")
}

fn events() -> String {
    let event = |n: usize| {
        let [word, id] = [word(n), format!("id{}", word(n))];
        json!({"id": id, "tenant": "acme", "action": "contact.updated", "time": "2026-11-01T00:00:00Z",
            "actor": {"type": "user", "id": "u_1", "name": word}, "target": {"type": "contact", "id": word},
            "changes": [{"field": "phone", "before": word}], "detail": {"a": [word]}})
    };
    (0..EVENTS).map(|n| format!("{}\n", event(n))).collect()
}

fn world() -> World {
    let world = World::start_with(&SMALL);
    // A request lies in one segment.
    let events = events();
    let lines: Vec<&str> = events.lines().collect();
    lines.chunks(50).for_each(|lines| world.load(lines.iter().copied()));
    world.settle();
    world
}

fn seqs(of: &[usize]) -> Vec<String> {
    of.iter().map(ToString::to_string).collect()
}

/// A command with the server's settings.
fn annals(args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_annals")).args(args).envs(SMALL).output().expect("annals starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Output { status: output.status, stdout: output.stdout, stderr }
}

fn excise_args<'a>(dir: &'a Path, seqs: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["excise", "--data", dir.to_str().expect("UTF-8"), "--reason", "ticket 4711"];
    args.extend(seqs.iter().map(String::as_str));
    args.extend(more);
    args
}

fn excise(dir: &Path, of: &[usize]) -> Value {
    let seqs = seqs(of);
    let said = annals(&excise_args(dir, &seqs, &["--yes", "--json"])).ok();
    serde_json::from_str(&said).expect("JSON")
}

fn verify(target: &str, more: &[&str]) -> (i32, String) {
    let mut args = vec!["verify", target];
    args.extend(more);
    let output = annals(&args);
    (output.status.code().expect("an exit code"), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Every term of every span, which the files have in parts only.
fn terms(dir: &Path) -> Vec<String> {
    let mut terms = Vec::new();
    for span in fs::read_dir(dir.join("index")).expect("an index") {
        let index = Index::open_in_dir(span.expect("a span").path()).expect("an index");
        let searcher = index.reader().expect("a reader").searcher();
        for segment in searcher.segment_readers() {
            for (field, entry) in index.schema().fields() {
                if entry.is_indexed() {
                    let inverted = segment.inverted_index(field).expect("terms");
                    let mut stream = inverted.terms().stream().expect("terms");
                    while stream.advance() {
                        terms.push(String::from_utf8_lossy(stream.key()).into_owned());
                    }
                }
                let column = segment.fast_fields().str(entry.name()).ok().flatten();
                for ordinal in 0..column.as_ref().map_or(0, |column| column.num_terms() as u64) {
                    let mut term = String::new();
                    column.as_ref().expect("a column").ord_to_str(ordinal, &mut term).expect("a term");
                    terms.push(term);
                }
            }
        }
    }
    terms
}

fn assert_gone(dir: &Path, what: &str) {
    let terms = terms(dir);
    assert!(terms.iter().any(|term| term.contains(&word(1))), "{what}: no term was read");
    for n in CUT {
        let found = terms.iter().find(|term| term.contains(&word(n)));
        assert!(found.is_none(), "{what}: the index has {found:?}");
    }
    for (path, bytes) in files(dir) {
        for n in CUT {
            assert!(!holds(&bytes, &word(n)), "{what}: {} is in {}", word(n), path.display());
        }
    }
}

fn assert_cut_out(world: &World, what: &str) {
    for n in (0..EVENTS).filter(|n| n % 41 == 0).chain(CUT) {
        let is_cut = CUT.contains(&n);
        let expected = u64::from(!is_cut);
        for q in [word(n), format!("id:id{}", word(n)), format!("target:contact/{}", word(n))] {
            assert_eq!(world.count(&q), expected, "{what}: {q}");
            let scanned = world.get_json("/v1/events", &[("q", q.as_str()), ("engine", "scan")]);
            assert_eq!(scanned["total"], expected, "{what}: {q}, scanned");
        }
        let row = world.get_json(&format!("/v1/events/@{n}"), &[]);
        assert_eq!(row["action"] == "log.blank", is_cut, "{what}: {row}");
        assert_eq!(row["tenant"], "acme", "{what}: {row}");
        if is_cut {
            let by = row["detail"]["cut_out_by"].as_u64().expect("an entry");
            let says = world.get_json(&format!("/v1/events/@{by}"), &[]);
            assert_eq!((&says["action"], &says["reason"]), (&json!("log.excised"), &json!("ticket 4711")), "{what}");
            assert_eq!((&says["detail"]["seq"], &says["detail"]["hash"]), (&json!(n), &row["hash"]), "{what}: {says}");
        }
    }
    assert_eq!(world.count("action:log.blank"), CUT.len() as u64, "{what}");
    assert_eq!(world.count("action:log.excised"), CUT.len() as u64, "{what}: said more than once");
    assert_eq!(world.count("action:contact.updated"), (EVENTS - CUT.len()) as u64, "{what}");
    let feed = world.feed(&[], 100);
    assert_eq!(feed.iter().filter(|row| row["action"] == "log.blank").count(), CUT.len(), "{what}");
    let csv = world.export("csv", &[]);
    assert!(CUT.iter().all(|n| !holds(&csv, &word(*n))) && holds(&csv, &word(1)), "{what}");
}

#[test]
fn what_is_cut_out_is_in_no_file_and_every_proof_stays() {
    let mut world = world();
    let room = tempfile::tempdir().expect("a temporary directory");
    let key = signed(&world);
    let hash_before = |world: &World| {
        let hash = |n: usize| world.get_json(&format!("/v1/events/@{n}"), &[])["hash"].clone();
        (0..EVENTS).step_by(7).chain(CUT).map(hash).collect::<Vec<_>>()
    };
    let (before, note) = (hash_before(&world), room.path().join("note"));
    fs::write(&note, &world.get("/checkpoint").body).expect("a note");
    let (dir, backup) = (world.dir().to_owned(), room.path().join("backup"));
    annals(&["backup", "--data", text(&dir), text(&backup)]).ok();
    assert!(CUT.iter().all(|n| world.count(&word(*n)) == 1));
    assert!(files(&backup).iter().any(|(_, bytes)| holds(bytes, &word(690))));

    // Not while a server runs, not without saying so, not what is not there or not to go.
    let six = seqs(&CUT);
    let refused = |dir: &Path, args: &[&str], words: &str| {
        let before = files(&dir.join("log"));
        let output = annals(args);
        assert!(!output.status.success() && output.stderr.contains(words), "{}", output.stderr);
        // A server seals meanwhile.
        assert!(words == "LOCK" || files(&dir.join("log")) == before, "{words}: something was changed");
    };
    refused(&dir, &excise_args(&dir, &six, &["--yes"]), "LOCK");
    world.terminate();
    refused(&dir, &excise_args(&dir, &six, &[]), "nothing was done");
    refused(&dir, &excise_args(&dir, &seqs(&[1, 100_000]), &["--yes"]), "there is no entry 100000");
    assert!(files(&dir).iter().any(|(_, bytes)| holds(bytes, &word(690))));

    let done = excise(&dir, &CUT);
    assert_eq!(done["entries"].as_array().map(Vec::len), Some(CUT.len()), "{done}");
    assert_eq!((&done["segments"], &done["quarantined"]), (&json!(3), &json!([])), "{done}");
    assert_gone(&dir, "after the command");
    let since = ["--key", &key, "--since", text(&note)];
    let (code, said) = verify(text(&dir), &since);
    assert!(code == 0 && said.contains("the content of 6 entries was cut out"), "{code} {said}");
    refused(&dir, &excise_args(&dir, &seqs(&[17]), &["--yes"]), "was cut out before");
    let by = done["entries"][0]["by"].as_u64().expect("an entry") as usize;
    refused(&dir, &excise_args(&dir, &seqs(&[by]), &["--yes"]), "stays");

    world.restart();
    world.settle();
    assert_cut_out(&world, "after the restart");
    assert_eq!(hash_before(&world), before);
    assert_eq!(verify(world.url(), &["--key", &key, "--since", text(&note), "--sample", "800"]).0, 0);
    let page = world.get("/admin/audit-log/?open=excised-17&q=seq:17").ok().text();
    assert!(page.contains("cut_out_by"), "it is not open: {}", &page[..300]);
    let at = page.find(&word(17));
    assert!(at.is_none(), "{:?}", at.map(|at| &page[at - 200..at + 100]));
    signed(&world);
    for order in ["-time", "seq"] {
        let bundle = room.path().join(order);
        export(&world, &bundle, &["--order", order]);
        judge(&bundle, Some(&key)).are("a bundle", 0, 0);
    }
    // The same event comes again: it is not known any more.
    let again = events().lines().nth(17).expect("an event").to_owned();
    assert_eq!(world.post_ndjson(&again).json()["receipts"][0]["duplicate"], false);
    let known = events().lines().nth(16).expect("an event").to_owned();
    assert_eq!(world.post_ndjson(&known).json()["receipts"][0]["duplicate"], true);

    // The next backup has it no longer, also where it had it.
    annals(&["backup", "--data", text(&dir), text(&backup)]).ok();
    for (path, bytes) in files(&backup) {
        for n in CUT.iter().filter(|n| **n != 17) {
            assert!(!holds(&bytes, &word(*n)), "{} is in {}", word(*n), path.display());
        }
    }
    assert_eq!(verify(text(&backup), &since).0, 0);
    world.terminate();
    annals(&["reindex", "--data", text(&dir)]).ok();
    world.restart();
    assert_eq!(world.count("action:log.blank"), CUT.len() as u64, "after a reindex");
}

#[test]
fn what_was_put_back_or_cut_out_by_nobody_is_found() {
    let mut world = world();
    let key = signed(&world);
    world.terminate();
    let dir = world.dir().to_owned();
    let before = copy(&dir, "before-it");
    excise(&dir, &CUT);
    let after = copy(&dir, "after-it");
    let found = |dir: &Path, expected: i32, words: &str| {
        let (code, said) = verify(text(dir), &["--key", &key]);
        assert!(code == expected && said.contains(words), "{words}: {code} {said}");
    };
    let is_gone = |dir: &Path| files(&dir.join("log")).iter().all(|(_, bytes)| !holds(bytes, &word(17)));
    // A segment of before, which has the same leaves.
    let segment = |dir: &Path| {
        let first = dir.join("log").join(format!("{:020}", 0));
        ["seg", "log"].map(|ending| first.with_extension(ending)).into_iter().find(|path| path.exists()).expect("one")
    };
    let put_back = copy(&after, "put-back");
    fs::remove_file(segment(&put_back)).expect("removed");
    let from = segment(&before);
    fs::copy(&from, put_back.join("log").join(from.file_name().expect("a name"))).expect("copied");
    // Nothing is altered or lost; but what should be gone is not.
    found(&put_back, 3, "the content of entry 17 is there, although entry");
    excise(&put_back, &[0, 17, 18, 249]);
    found(&put_back, 0, "the content of 6 entries was cut out");
    // A repair from a copy of before, which alone has the segment, does not bring it back.
    let rotten = copy(&after, "rotten");
    fs::remove_file(segment(&rotten)).expect("removed");
    let output = annals(&["repair", "--data", text(&rotten), "--from", text(&before)]);
    assert!(output.ok().contains("was cut out again"));
    found(&rotten, 0, "the content of 6 entries was cut out");
    assert!(is_gone(&rotten));
    // One that is cut out without an entry that says so: the segment of after, in the log of before.
    let by_nobody = copy(&before, "by-nobody");
    fs::remove_file(segment(&by_nobody)).expect("removed");
    let from = segment(&after);
    fs::copy(&from, by_nobody.join("log").join(from.file_name().expect("a name"))).expect("copied");
    found(&by_nobody, 1, "does not say that it was to be");
}

#[test]
fn what_cannot_be_done_is_not_begun_and_keeps_nobody_from_serving() {
    let mut world = world();
    signed(&world);
    world.terminate();
    let dir = world.dir().to_owned();
    // Another event of the segment rots, which no start looks at.
    let first = dir.join("log").join(format!("{:020}", 0));
    let path = ["seg", "log"].map(|ending| first.with_extension(ending)).into_iter().find(|path| path.exists());
    let path = path.expect("a segment");
    let mut bytes = fs::read(&path).expect("a file");
    let at = bytes.len() * 2 / 3;
    bytes[at] ^= 1;
    fs::remove_file(&path).expect("removed");
    fs::write(&path, bytes).expect("written");
    let seventeen = seqs(&[17]);
    let output = annals(&excise_args(&dir, &seventeen, &["--yes"]));
    assert!(!output.status.success() && output.stderr.contains("nothing was done"), "{}", output.stderr);
    assert!(output.stderr.contains("is corrupt") && !dir.join("excising").exists(), "{}", output.stderr);
    // Had it been begun before that.
    let mark = json!({"entries": [[17, "excise-17-x"], [690, "excise-690-x"]], "reason": "in clear", "time_ms": 1});
    fs::write(dir.join("excising"), mark.to_string()).expect("a mark");
    let refused = annals(&excise_args(&dir, &seqs(&[18]), &["--yes"]));
    assert!(refused.stderr.contains("--finish"), "{}", refused.stderr);
    let copied = annals(&["backup", "--data", text(&dir), text(&dir.with_file_name("copy"))]);
    assert!(!copied.status.success() && copied.stderr.contains("something is being cut out"), "{}", copied.stderr);
    world.restart();
    world.settle();
    // What could be done is.
    assert_eq!((world.count("action:log.excised"), world.count(&word(690))), (2, 0));
    let said = world.terminate_hearing();
    assert!(said.contains("is still there") && said.contains("is corrupt"), "{said}");
    assert!(dir.join("excising").exists());
    world.restart();
    world.settle();
    assert_eq!(world.count("action:log.excised"), 2, "entered twice");
}

#[test]
fn killed_at_any_moment_of_an_excision_the_next_start_finishes_it() {
    let mut world = world();
    let key = signed(&world);
    world.terminate();
    let whole = world.dir().to_owned();
    let mut random = StdRng::seed_from_u64(4711);
    let seqs = seqs(&CUT);
    let start = |dir: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
        command.args(excise_args(dir, &seqs, &["--yes"])).stdout(Stdio::null()).stderr(Stdio::null());
        command.envs(SMALL).spawn().expect("started")
    };
    // As long as a whole one takes here: on a busy machine a kill would else come before it has begun.
    let (dir, started) = (copy(&whole, "timed"), Instant::now());
    assert!(start(&dir).wait().expect("ended").success());
    let took = started.elapsed();
    fs::remove_dir_all(&dir).expect("removed");
    let mut interrupted = 0;
    let rounds = if is_soak() { 100 } else { 10 };
    for round in 0.. {
        if round >= rounds && interrupted > 0 {
            break;
        }
        assert!(round < 10 * rounds, "no kill came in between");
        tell("kills during an excision", round, rounds);
        let dir = copy(&whole, &format!("round-{round}"));
        let mut child = start(&dir);
        std::thread::sleep(took.mul_f64(random.random_range(0.0..1.0)));
        child.kill().expect("killed");
        child.wait().expect("ended");
        if !dir.join("excising").exists() && annals(&excise_args(&dir, &seqs, &[])).stderr.contains("nothing was done")
        {
            // It had not begun.
            fs::remove_dir_all(&dir).expect("removed");
            continue;
        }
        interrupted += u32::from(dir.join("excising").exists());
        let mut again = World::start_at(&dir, &SMALL);
        again.settle();
        assert_cut_out(&again, &format!("round {round}"));
        again.terminate();
        assert_gone(&dir, &format!("round {round}"));
        assert_eq!(verify(text(&dir), &["--key", &key]).0, 0, "round {round}");
        fs::remove_dir_all(&dir).expect("removed");
    }
}
