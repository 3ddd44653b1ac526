//! Erasures: what is erased is found by nothing and stands nowhere, and all the rest stays as it was.

use super::*;
use crate::event::{PartKind, Seen, SeenParts, Subject};
use crate::index::source::Evidence;
use crate::store::erasures::{Asked, Person, REQUESTED, Wanted};

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(1 << 20);

fn open_purging(dir: &tempfile::TempDir, events_max: u64, purge_after: Duration) -> Store {
    let settings = settings(dir, events_max);
    let privacy = Privacy { purge_after, ..settings.privacy.clone() };
    Store::open(OsDisk::shared(), Settings { privacy, ..settings }, Arc::new(Catalogue::builtin().clone())).unwrap()
}

fn new_world(purge_after: Duration) -> World {
    let dir = tempfile::tempdir().unwrap();
    let store = open_purging(&dir, SPAN_EVENTS, purge_after);
    World { dir, store }
}

fn reopen(world: World, purge_after: Duration) -> World {
    world.store.close();
    let World { dir, store } = world;
    drop(store);
    let store = open_purging(&dir, SPAN_EVENTS, purge_after);
    World { dir, store }
}

fn person(tenant: &str, id: &str) -> Person {
    Person::of(tenant, &Subject { kind: "contact".into(), id: id.into() })
}

fn erase(store: &Store, persons: &[Person]) -> Vec<Asked> {
    let own = own::Own::of_server(REQUESTED, Json::Object(Vec::new()));
    let wanted = persons.iter().map(|person| Wanted { person: person.clone(), own: own.clone() });
    store.erase(wanted.collect()).unwrap()
}

fn await_purged(world: &World) {
    wait_until("the purge", || world.store.erasures().pending.is_empty());
}

/// The persons of these entries, each once.
fn persons(entries: &[Entry]) -> Vec<Person> {
    let types = SubjectTypes::new(vec!["contact".into(), "user".into()]);
    let mut persons: Vec<Person> = Vec::new();
    for entry in entries.iter().filter(|entry| entry.kind == Kind::Event) {
        for subject in entry.event.persons(&types) {
            let person = Person::of(&entry.event.tenant, &subject);
            if !persons.contains(&person) {
                persons.push(person);
            }
        }
    }
    persons
}

/// Every term of every piece there is.
fn terms(world: &World) -> Vec<String> {
    let schema = crate::index::tantivy::schema::current();
    let mut terms = Vec::new();
    for piece in world.store.view().pieces() {
        for (field, _) in schema.schema.fields().filter(|(_, entry)| entry.is_indexed()) {
            let index = piece.reader.inverted_index(field).unwrap();
            let mut stream = index.terms().stream().unwrap();
            while stream.advance() {
                terms.push(String::from_utf8_lossy(stream.key()).into_owned());
            }
        }
    }
    terms
}

/// The bytes of every file of the directory.
fn files(dir: &std::path::Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.clone(), fs::read(&path).unwrap_or_default())),
        }
    }
    found
}

proptest! {
    #![proptest_config(config(5))]

    #[test]
    fn a_search_answers_what_a_scan_answers_whatever_was_erased(
        first in seeds(40..160),
        more in seeds(0..60),
        queries in seeds(4..16),
        chosen in seed(),
    ) {
        let world = new_world(NEVER);
        world.append(&first);
        world.await_searchable();
        let entries = world.entries();
        let mut dice = Dice::new(chosen);
        let persons: Vec<Person> = persons(&entries).into_iter().filter(|_| dice.percent(30)).collect();
        // Asked before, so that something is kept that must not be.
        check_queries(&world, &world.store.view(), &entries, &queries)?;
        let asked = erase(&world.store, &persons);
        prop_assert!(asked.iter().all(|asked| matches!(asked, Asked::Begun(_))), "{:?}", asked);
        // `entries` are those that were: what is looked for is also what is not there any more.
        check_queries(&world, &world.store.view(), &entries, &queries)?;
        world.append(&more);
        check_queries(&world, &world.await_searchable(), &entries, &queries)?;
        world.await_spans();
        check_queries(&world, &world.store.view(), &entries, &queries)?;

        let world = reopen(world, NEVER);
        prop_assert_eq!(world.store.erasures().pending.len(), persons.len());
        check_queries(&world, &world.await_searchable(), &entries, &queries)?;

        let world = reopen(world, Duration::ZERO);
        await_purged(&world);
        check_queries(&world, &world.await_searchable(), &entries, &queries)?;
        world.await_spans();
        check_queries(&world, &world.store.view(), &entries, &queries)?;
        prop_assert_eq!(world.store.index_fault(), None);
        world.store.close();
    }
}

const CANARIES: [&str; 8] = ["name", "before", "after", "deep", "related", "reason", "email", "agent"];

/// An event about this contact, with words that stand nowhere else.
fn about(n: usize) -> String {
    let [name, before, after, deep, related, reason, email, agent] = CANARIES.map(|place| canary(place, n));
    let id = 1000 + n;
    format!(
        r#"{{"id":"ev_{n}","tenant":"acme","time":"2026-11-20T13:32:07.{:03}Z","actor":{{"type":"contact","id":"c_{id}","email":"{email}"}},"action":"contact.updated","target":{{"type":"contact","id":"c_{id}","name":"{name}"}},"reason":"{reason}","related":[{{"type":"campaign","id":"k_1","name":"{related}"}}],"changes":[{{"field":"phone","before":"{before}","after":"{after}"}}],"context":{{"user_agent":"{agent}"}},"detail":{{"deep":[{{"er":"{deep}"}}]}}}}"#,
        n % 1000,
    )
}

fn canary(place: &str, n: usize) -> String {
    format!("{place}canary{n}x")
}

fn append_texts(store: &Store, texts: impl Iterator<Item = String>) -> Vec<Verdict> {
    let drafts = texts.map(|text| validate(&text, &store.intake(None)).unwrap()).collect();
    let append = Append { drafts, skip_conflicts: false, kind: Kind::Event };
    store.append(append).unwrap().blocking_recv().unwrap().unwrap()
}

fn found(world: &World, personal: Personal, query: &str) -> u64 {
    let env = Env { now_ms: clock::now_ms(), catalogue: Catalogue::builtin() };
    let query = parse(query, &env).unwrap();
    let view = world.store.view().seen(personal);
    let all = Within::below(view.searchable());
    let total = view.total(&query, all).unwrap();
    assert_eq!(hits(&view, &query, Order::TimeDesc, None, all).len() as u64, total, "{query}");
    total
}

fn is_there(haystack: &[u8], needle: &str) -> bool {
    memchr::memmem::find(haystack, needle.as_bytes()).is_some()
}

#[test]
fn nothing_of_those_who_were_erased_is_anywhere_and_all_of_the_others() {
    const PERSONS: usize = 90;
    let is_erased = |n: usize| n.is_multiple_of(2);
    let world = new_world(NEVER);
    append_texts(&world.store, (0..PERSONS).map(about));
    world.await_searchable();
    let evidence = |world: &World| -> Vec<Evidence> {
        (0..PERSONS as u64).map(|seq| world.store.source().evidence(Seq(seq)).unwrap()).collect()
    };
    let before = evidence(&world);
    let sees = |world: &World, personal, n: usize| {
        CANARIES.map(|place| found(world, personal, &canary(place, n))).iter().sum::<u64>()
    };
    for n in [0, 1, PERSONS - 1] {
        assert_eq!(sees(&world, Personal::Shown, n), CANARIES.len() as u64);
        assert_eq!(sees(&world, Personal::Hidden, n), 0, "who may not see it cannot find by it");
    }
    let erased: Vec<Person> =
        (0..PERSONS).filter(|n| is_erased(*n)).map(|n| person("acme", &format!("c_{}", 1000 + n))).collect();
    erase(&world.store, &erased);
    let check = |world: &World, what: &str| {
        for n in 0..PERSONS {
            let expected = if is_erased(n) { 0 } else { CANARIES.len() as u64 };
            assert_eq!(sees(world, Personal::Shown, n), expected, "{what}: {n}");
            let entry = world.store.source().seen(Personal::Shown).entry(Seq(n as u64)).unwrap();
            let seen = if is_erased(n) { Seen::Erased } else { Seen::Open };
            assert_eq!(entry.parts, SeenParts { content: Some(seen), who: Some(seen) }, "{what}: {n}");
            assert_eq!(entry.event.body().contains("canary"), !is_erased(n), "{what}: {n}");
        }
        assert_eq!(found(world, Personal::Shown, "action:contact.updated"), PERSONS as u64, "{what}");
        assert_eq!(found(world, Personal::Shown, "target:contact/c_1000"), 3 - u64::from(what == "at once"), "{what}");
        assert_eq!(found(world, Personal::Shown, "change:phone"), PERSONS as u64, "{what}");
        assert_eq!(evidence(world), before, "{what}");
    };
    world.await_searchable();
    wait_until("the request to be searchable", || found(&world, Personal::Shown, "action:erasure.requested") > 0);
    check(&world, "at once");
    // One who comes back has a new key.
    let again = about(0).replace("ev_0", "ev_again").replace("canary0x", "canaryagain");
    append_texts(&world.store, std::iter::once(again));
    world.await_searchable();

    let world = reopen(world, Duration::ZERO);
    await_purged(&world);
    world.await_searchable();
    let (terms, files) = (terms(&world), files(world.dir.path()));
    for n in 0..PERSONS {
        for place in CANARIES {
            let canary = canary(place, n);
            let is_indexed = terms.iter().any(|term| term.contains(&canary));
            assert_eq!(is_indexed, !is_erased(n), "{canary}");
            let path = files.iter().find(|(_, bytes)| is_there(bytes, &canary)).map(|(path, _)| path);
            assert!(path.is_none() || !is_erased(n), "{canary} is in {path:?}");
        }
    }
    let in_log = |(path, bytes): &(PathBuf, Vec<u8>)| {
        path.starts_with(world.dir.path().join("log")) && is_there(bytes, "canary")
    };
    assert!(!files.iter().any(in_log), "the log has none of it in clear");
    assert_eq!(found(&world, Personal::Shown, "nameCanaryAgain"), 1);
    assert_eq!(found(&world, Personal::Shown, "action:erasure.done"), erased.len() as u64);
    let all = world.entries();
    let done = all.iter().find(|entry| entry.event.action == "erasure.done").unwrap();
    let entries = done.event.detail.as_ref().and_then(|detail| detail.get("entries")).unwrap();
    assert_eq!(entries.to_string(), "1");
    // Once more, after all that.
    let asked = erase(&world.store, &erased[1..2]);
    assert!(matches!(&asked[..], [Asked::Known(_)]), "{asked:?}");
    let world = reopen(world, Duration::ZERO);
    assert!(world.store.erasures().pending.is_empty());
    assert_eq!(found(&world, Personal::Shown, "nameCanaryAgain"), 1, "who came back was not erased with who went");
    world.store.close();
}

#[test]
fn what_is_erased_while_others_are_purged_does_not_stay_in_what_was_written_for_them() {
    let world = new_world(NEVER);
    append_texts(&world.store, (0..SPAN_EVENTS as usize).map(about));
    world.await_searchable();
    world.await_spans();
    let requested = |asked: Vec<Asked>| match &asked[..] {
        [Asked::Begun(erasure)] => erasure.requested.plus(1),
        other => panic!("{other:?}"),
    };
    let first = requested(erase(&world.store, &[person("acme", "c_1003")]));
    let second = requested(erase(&world.store, &[person("acme", "c_1004")]));
    let indexer = &world.store.indexer;
    for (below, gone) in [(first, 3), (second, 4)] {
        indexer.purge(below);
        wait_until("the purge", || indexer.is_purged(below).unwrap());
        let gone = canary("deep", gone);
        assert!(!terms(&world).iter().any(|term| term.contains(&gone)), "{gone}");
        for n in [3, 4] {
            assert_eq!(found(&world, Personal::Shown, &canary("deep", n)), 0);
        }
    }
    assert_eq!(found(&world, Personal::Shown, &canary("deep", 5)), 1);
    world.store.close();
}

#[test]
fn who_only_looks_at_a_log_with_an_older_keyring_sees_nothing_of_the_erased() {
    let world = new_world(Duration::ZERO);
    append_texts(&world.store, (0..3).map(about));
    world.store.close();
    let keyring = world.dir.path().join("keyring");
    let older = fs::read(&keyring).unwrap();
    let world = reopen(world, Duration::ZERO);
    erase(&world.store, &[person("acme", "c_1001")]);
    await_purged(&world);
    let World { dir, store } = world;
    store.close();
    drop(store);
    fs::write(&keyring, &older).unwrap();
    let settings = Settings { read_only: true, ..settings(&dir, SPAN_EVENTS) };
    let store = Store::open(OsDisk::shared(), settings, Arc::new(Catalogue::builtin().clone())).unwrap();
    let source = store.source().seen(Personal::Shown);
    let seen = |n| source.entry(Seq(n)).unwrap().parts.get(PartKind::Content);
    assert_eq!([0, 1, 2].map(seen), [Seen::Open, Seen::Erased, Seen::Open].map(Some));
    store.close();
    assert_eq!(fs::read(&keyring).unwrap(), older);
}

#[test]
fn a_keyring_that_is_gone_is_refused_as_long_as_something_is_sealed_with_it() {
    let world = new_world(NEVER);
    let World { dir, store } = world;
    store.close();
    drop(store);
    fs::remove_file(dir.path().join("keyring")).unwrap();
    let store = open_purging(&dir, SPAN_EVENTS, NEVER);
    append_texts(&store, (0..2).map(about));
    store.close();
    drop(store);
    // As after a restore: no backup has either.
    for name in ["keyring", "erasures.json"] {
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    let open = |accept_lost_keyring| {
        let settings = settings(&dir, SPAN_EVENTS);
        let privacy = Privacy { accept_lost_keyring, ..settings.privacy.clone() };
        Store::open(OsDisk::shared(), Settings { privacy, ..settings }, Arc::new(Catalogue::builtin().clone()))
    };
    assert!(matches!(open(false).map(drop), Err(StoreError::KeyringGone(_))));
    let store = open(true).unwrap();
    append_texts(&store, std::iter::once(about(5)));
    let source = store.source().seen(Personal::Shown);
    let seen = |n| source.entry(Seq(n)).unwrap().parts.get(PartKind::Content);
    assert_eq!([0, 1, 2].map(seen), [Seen::Damaged, Seen::Damaged, Seen::Open].map(Some), "no number is given twice");
    store.close();
}

#[test]
fn an_event_that_is_sent_again_is_known_also_if_it_is_erased() {
    let world = new_world(NEVER);
    append_texts(&world.store, [about(0), about(1)].into_iter());
    let is_duplicate = |text: String| match &append_texts(&world.store, std::iter::once(text))[..] {
        [Verdict::Stored(receipt)] => receipt.duplicate,
        other => panic!("{other:?}"),
    };
    let send = |text: String| {
        let draft = validate(&text, &world.store.intake(None)).unwrap();
        let append = Append { drafts: vec![draft], skip_conflicts: false, kind: Kind::Event };
        world.store.append(append).unwrap().blocking_recv().unwrap()
    };
    assert!(is_duplicate(about(1)));
    let other = about(1).replace("deepcanary", "otherdeepcanary");
    assert!(matches!(send(other.clone()), Err(AppendError::Conflict { .. })), "what is sealed is compared");
    erase(&world.store, &[person("acme", "c_1001")]);
    assert!(is_duplicate(about(1)));
    assert!(is_duplicate(other), "nobody can tell any more");
    assert!(matches!(send(about(1).replace("phone", "fax")), Err(AppendError::Conflict { .. })));
    world.store.close();
}

#[test]
fn an_older_keyring_is_made_to_forget_again() {
    let world = new_world(Duration::ZERO);
    append_texts(&world.store, (0..4).map(about));
    world.store.close();
    let keyring = world.dir.path().join("keyring");
    let older = fs::read(&keyring).unwrap();
    let world = reopen(world, Duration::ZERO);
    erase(&world.store, &[person("acme", "c_1002")]);
    await_purged(&world);
    world.store.close();
    // With what is known of erasures, and without.
    for is_known in [true, false] {
        fs::write(&keyring, &older).unwrap();
        if !is_known {
            fs::remove_file(world.dir.path().join("erasures.json")).unwrap();
        }
        let store = {
            // The lock of the one before is held until it is dropped.
            let copy = tempfile::tempdir().unwrap();
            copy_dir(world.dir.path(), copy.path());
            open_purging(&copy, SPAN_EVENTS, Duration::ZERO)
        };
        let source = store.source().seen(Personal::Shown);
        let seen = |n| source.entry(Seq(n)).unwrap().parts.get(PartKind::Content);
        assert_eq!([0, 1, 2, 3].map(seen), [Seen::Open, Seen::Open, Seen::Erased, Seen::Open].map(Some), "{is_known}");
        store.close();
    }
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let path = item.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy_dir(&path, &to),
            false => drop(fs::copy(&path, &to).unwrap()),
        }
    }
}

#[test]
fn who_is_on_hold_is_not_erased_and_the_attempt_is_entered() {
    let world = new_world(Duration::ZERO);
    append_texts(&world.store, (0..2).map(about));
    let held = person("acme", "c_1000");
    let hold = |store: &Store, is_held| {
        let own = own::Own::of_server(REQUESTED, Json::Object(Vec::new()));
        let wanted = Wanted { person: held.clone(), own };
        store.hold(vec![wanted.clone(), wanted], is_held).unwrap()
    };
    assert_eq!((hold(&world.store, true), hold(&world.store, true)), (1, 0));
    let world = reopen(world, Duration::ZERO);
    assert_eq!(world.store.erasures().holds, std::slice::from_ref(&held));
    assert_eq!(erase(&world.store, std::slice::from_ref(&held)), [Asked::Held]);
    world.await_searchable();
    assert_eq!(found(&world, Personal::Shown, "action:erasure.requested outcome:denied"), 1);
    assert_eq!(found(&world, Personal::Shown, "namecanary0x"), 1);
    assert_eq!(hold(&world.store, false), 1);
    assert!(
        matches!(&erase(&world.store, &[held.clone(), held.clone()])[..], [Asked::Begun(one), Asked::Known(two)] if one.id == *two)
    );
    await_purged(&world);
    assert_eq!(found(&world, Personal::Shown, "namecanary0x"), 0);
    world.store.close();
}

#[test]
fn what_is_erased_while_events_come_and_spans_are_built_merged_and_purged_is_gone_all_the_same() {
    const PERSONS: usize = 600;
    let dir = tempfile::tempdir().unwrap();
    // Spans of four, so that one is always being built and others merged.
    let store = open_purging(&dir, 4, Duration::ZERO);
    let is_erased = |n: usize| n.is_multiple_of(3);
    thread::scope(|scope| {
        let (sent, arrived) = std::sync::mpsc::channel();
        let store = &store;
        scope.spawn(move || {
            for first in (0..PERSONS).step_by(5) {
                append_texts(store, (first..first + 5).map(about));
                sent.send(first).unwrap();
            }
        });
        scope.spawn(move || {
            for first in arrived {
                let persons: Vec<Person> = (first..first + 5)
                    .filter(|n| is_erased(*n))
                    .map(|n| person("acme", &format!("c_{}", 1000 + n)))
                    .collect();
                erase(store, &persons);
                let view = store.view().seen(Personal::Shown);
                let env = Env { now_ms: clock::now_ms(), catalogue: Catalogue::builtin() };
                for n in (first..first + 5).filter(|n| is_erased(*n)) {
                    let query = parse(&canary("deep", n), &env).unwrap();
                    assert_eq!(view.total(&query, Within::below(view.searchable())).unwrap(), 0, "{n}, right after");
                }
            }
        });
    });
    let world = World { dir, store };
    await_purged(&world);
    world.await_searchable();
    let terms = terms(&world);
    for n in 0..PERSONS {
        let word = canary("deep", n);
        assert_eq!(terms.iter().any(|term| term.contains(&word)), !is_erased(n), "{word}");
    }
    assert_eq!(found(&world, Personal::Shown, "action:erasure.done"), PERSONS as u64 / 3);
    assert_eq!(world.store.index_fault(), None);
    world.store.close();
}

#[test]
fn nothing_is_sealed_with_a_key_behind_the_entry_that_ends_it() {
    let world = new_world(NEVER);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        for sender in 0..2 {
            let (store, is_over) = (&world.store, &is_over);
            scope.spawn(move || {
                let mut n = 0;
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    let again = about(7).replace("\"ev_7\"", &format!("\"ev_7_{sender}_{n}\""));
                    append_texts(store, std::iter::once(again));
                    n += 1;
                }
            });
        }
        for _ in 0..60 {
            erase(&world.store, &[person("acme", "c_1007")]);
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let mut check = crate::verify::sealed::SealedCheck::default();
    for record in world.store.source().reader().range(Seq::ZERO, world.store.marks().durable) {
        let record = record.unwrap();
        let payload = log::Payload::decode(&record.payload).unwrap();
        if let Some(facts) = crate::verify::sealed::facts(&payload, None) {
            check.take(record.seq, facts);
        }
    }
    let (counts, findings) = check.finish(None);
    assert!(findings.is_empty(), "{findings:?}");
    assert!(counts.erased > 10, "{counts:?}");
    world.store.close();
}
