//! What is marked, in hand-made entries and in random ones.

use proptest::prelude::*;

use super::*;
use crate::event::row::{Added, write_row};
use crate::event::{Catalogue, Intake, Kind, SeenParts, validate};
use crate::json::{self, Json};
use crate::query::filter::{Filter, Words};
use crate::query::samples::events::{self, Dice};
use crate::query::samples::queries;
use crate::query::{Env, parse};
use crate::seq::Seq;
use crate::text;

const NOW_MS: u64 = 1_795_181_527_412;
/// Levels of a row: those of an event, which is spliced into it.
const ROW_DEPTH_MAX: usize = 64;

fn entry(body: &str) -> Entry {
    let event = Event::from_body(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    Entry { seq: Seq(7), received_ms: NOW_MS, kind: Kind::Event, hash: [0; 32], event, parts: SeenParts::default() }
}

/// An event with these members besides the required ones.
fn event(members: &str) -> Entry {
    entry(&format!(
        r#"{{"id":"e1","time":"2026-11-20T13:32:07.412Z","tenant":"acme","actor":{{"type":"user","id":"u_81"}},"action":"contact.deleted","outcome":"success",{members}}}"#
    ))
}

fn parsed(text: &str) -> Query {
    let env = Env { now_ms: NOW_MS, catalogue: Catalogue::builtin() };
    parse(text, &env).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn row(entry: &Entry) -> Json {
    let mut row = String::new();
    write_row(&Added::to(entry, "contacts"), &entry.event.body(), &mut row);
    json::parse(&row, ROW_DEPTH_MAX).unwrap()
}

/// The text that a row shows at a pointer.
fn text_at(row: &Json, pointer: &str) -> Option<String> {
    let mut value = row;
    for step in pointer.strip_prefix('/')?.split('/') {
        value = match value {
            Json::Array(items) => items.get(step.parse::<usize>().ok()?)?,
            object => object.get(&step.replace("~1", "/").replace("~0", "~"))?,
        };
    }
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// Every marked value with its marks in brackets: `/actor/name=[Maya] Lindqvist`.
fn marked(text: &str, entry: &Entry) -> Vec<String> {
    let row = row(entry);
    let found = highlights(&parsed(text), entry);
    assert!(!found.is_truncated, "{text}");
    let show = |Highlight { pointer, marks }: &Highlight| {
        let mut text = text_at(&row, pointer).unwrap_or_else(|| panic!("nothing is at {pointer}"));
        for mark in marks.iter().rev() {
            text.insert(mark.bytes.end, ']');
            text.insert(mark.bytes.start, '[');
        }
        format!("{pointer}={text}")
    };
    found.values.iter().map(show).collect()
}

/// The reason of an event, with the marks that a query makes in it.
fn in_reason(query: &str, reason: &str) -> String {
    let mut quoted = String::new();
    write_string(reason, &mut quoted);
    let entry = event(&format!("\"reason\":{quoted}"));
    match marked(query, &entry).as_slice() {
        [] => String::new(),
        [one] => one.strip_prefix("/reason=").unwrap_or_else(|| panic!("{one}")).to_owned(),
        more => panic!("{more:?}"),
    }
}

#[test]
fn words_mark_the_tokens_they_match() {
    for (query, reason, expected) in [
        ("shift", "Shift lead, shift-work", "[Shift] lead, [shift]-work"),
        ("shift lead", "lead the shift", "[lead] the [shift]"),
        ("missing", "shift", ""),
        ("lin*", "Lindqvist lin ling", "[Lindqvist] [lin] [ling]"),
        ("maja~", "Maya, Maja, Mayor", "[Maya], [Maja], Mayor"),
        ("/ma.a/", "maya and mara", "[maya] and [mara]"),
        // A phrase only where its words really stand together.
        ("\"shift lead\"", "lead shift lead, shift. Lead the shift", "lead [shift lead], [shift. Lead] the shift"),
        ("\"a b\"", "a b a b a", "[a b] [a b] a"),
        ("\"a b a\"", "a b a b a b", "[a b a b a] b"),
        ("\"a a\"", "a b a a a b a", "a b [a a a] b a"),
        ("\"a b\" OR b", "a b b", "[a b] [b]"),
        // Addresses and ids: whole, in parts, by pattern.
        ("maya@x.org", "to Maya@X.org, not maya@y.org", "to [Maya@X.org], not maya@y.org"),
        ("x.org", "to maya@x.org.", "to maya@[x.org]."),
        ("maya@*", "to maya@x.org!", "to [maya@x.org]!"),
        ("org", "maya@x.org", "maya@x.[org]"),
        ("4155550123", "call +14155550123", "call +1[4155550123]"),
        ("\\+14155550123", "call +14155550123", "call +[14155550123]"),
        ("c_8fq2m0", "x/c_8FQ2M0", "x/[c_8FQ2M0]"),
        (
            "0190c2f0-7b5e-7c3a-9f21-0242ac120002",
            "job/0190C2F0-7B5E-7C3A-9F21-0242AC120002/x",
            "job/[0190C2F0-7B5E-7C3A-9F21-0242AC120002]/x",
        ),
        ("0190c2f0", "0190C2F0-7B5E-7C3A-9F21-0242AC1200029", "[0190C2F0]-7B5E-7C3A-9F21-0242AC1200029"),
        // Stretches that overlap or touch become one.
        ("京 東", "東京都", "[東京]都"),
        ("maya maya@*", "maya@x.org maya", "[maya@x.org] [maya]"),
    ] {
        assert_eq!(in_reason(query, reason), expected, "{query} in {reason}");
    }
}

#[test]
fn marks_lie_around_whole_characters_of_the_original_in_every_script() {
    for (query, reason, expected) in [
        ("cafe", "Le Café CAFE\u{301} cafe", "Le [Café] [CAFE\u{301}] [cafe]"),
        ("café", "Le Café CAFE\u{301} cafe", "Le [Café] [CAFE\u{301}] cafe"),
        ("strasse", "Straße STRAẞE", "[Straße] [STRAẞE]"),
        ("łódź", "w ŁÓDŹ", "w [ŁÓDŹ]"),
        ("istanbul*", "İİ istanbul", "İİ [istanbul]"),
        ("i\u{307}stanbul", "İİ, İSTANBUL'da", "İİ, [İSTANBUL]'da"),
        ("ısparta", "Isparta ısparta", "Isparta [ısparta]"),
        ("οδός", "ΟΔΌΣ, οδός, οδόσ", "[ΟΔΌΣ], [οδός], [οδόσ]"),
        ("ﬁnance", "ﬁnance finance", "[ﬁnance] finance"),
        ("finance", "ﬁnance finance", "[ﬁnance] [finance]"),
        ("майя", "МАИ\u{306}Я Майя майа", "[МАИ\u{306}Я] [Майя] майа"),
        ("مايا", "السيدة مايا حداد", "السيدة [مايا] حداد"),
        ("مُحَمَّد", "إلى مُحَمَّد اليوم", "إلى [مُحَمَّد] اليوم"),
        ("हिन्दी", "मेरी हिन्दी है", "मेरी [हिन्दी] है"),
        ("फ\u{93c}ोन", "वह \u{95e}ोन करें", "वह [\u{95e}ोन] करें"),
        ("京都", "東京都と京都", "東[京都]と[京都]"),
        ("マヤ", "マヤさん", "[マヤ]さん"),
        ("각하", "x \u{1100}\u{1161}\u{11a8}하 y", "x [\u{1100}\u{1161}\u{11a8}하] y"),
        (
            "lead",
            "\u{1F600}lead\u{1F468}\u{200d}\u{1F469}, ⚡\u{fe0f}lead",
            "\u{1F600}[lead]\u{1F468}\u{200d}\u{1F469}, ⚡\u{fe0f}[lead]",
        ),
        // A variation selector is a word of its own; it is shown with the sign it belongs to.
        ("/\u{fe0f}/", "x ⚡\u{fe0f} y", "x [⚡\u{fe0f}] y"),
        ("𝒜*", "ab 𝒜𝒷 c", "ab [𝒜𝒷] c"),
    ] {
        assert_eq!(in_reason(query, reason), expected, "{query} in {reason}");
    }
}

#[test]
fn code_points_count_the_same_stretch() {
    let entry = event(r#""reason":"日\ud83d\ude00e\u0301 Maya x maya""#);
    let found = highlights(&parsed("maya"), &entry);
    let marks = &found.values[0].marks;
    assert_eq!(marks[0], Mark { bytes: 11..15, code_points: 5..9 });
    assert_eq!(marks[1], Mark { bytes: 18..22, code_points: 12..16 });
}

#[test]
fn words_are_marked_wherever_they_are_searched_and_a_phrase_ends_with_its_value() {
    let everywhere = entry(
        r#"{"id":"Maya","time":"2026-11-20T13:32:07.412Z","tenant":"maya","actor":{"type":"maya","id":"maya","name":"maya","email":"maya@x"},"on_behalf_of":{"type":"maya","id":"maya"},"source":"maya","action":"maya","outcome":"success","reason":"maya","target":{"type":"maya","id":"maya","name":"maya"},"related":[{"id":"x"},{"type":"maya","id":"maya","name":"maya"}],"changes":[{"field":"maya","before":"maya","after":[1,{"maya":"maya"}]}],"context":{"ip":"maya","user_agent":"maya","request_id":"maya","session_id":"maya"},"subjects":[{"type":"maya","id":"maya"}],"detail":{"maya":"maya","a/b":[{"~":"maya"}]}}"#,
    );
    let mut found = marked("maya", &everywhere);
    found.iter_mut().for_each(|value| value.truncate(value.find('=').unwrap()));
    let expected = [
        "/actor/email",
        "/actor/id",
        "/actor/name",
        "/changes/0/after/1/maya",
        "/changes/0/before",
        "/changes/0/field",
        "/context/ip",
        "/context/request_id",
        "/context/session_id",
        "/context/user_agent",
        "/detail/a~1b/0/~0",
        "/detail/maya",
        "/id",
        "/on_behalf_of/id",
        "/reason",
        "/related/1/id",
        "/related/1/name",
        "/target/id",
        "/target/name",
    ];
    assert_eq!(found, expected);
    assert_eq!(marked("\"maya maya\"", &everywhere), [""; 0]);
}

/// Everything there is.
const RICH: &str = r#"{"id":"01JD8Z","time":"2026-11-20T13:32:07.412Z","tenant":"acme","actor":{"type":"user","id":"u_81","name":"Maya Lindqvist","email":"maya@example.com"},"on_behalf_of":{"type":"user","id":"u_7"},"source":"velo-api","action":"contact.deleted","outcome":"denied","reason":"shift lead","target":{"type":"user","id":"u_12","name":"Elif Kaya"},"related":[{"name":"Elif Kaya"},{"type":"team","id":"t_3","name":"Support"}],"changes":[{"field":"role","before":"agent","after":"admin"},{"field":"limits","before":null,"after":{"calls":5}},{"field":"role","before":"viewer","after":true}],"context":{"ip":"203.0.113.7","user_agent":"Mozilla/5.0","request_id":"r_9"},"detail":{"amount":400.0,"a.b":"x","a":{"b":"X","c":["y",{"b":1},"x"]},"list":[1,[1.0],{"k/~":1e0},"1"],"ok":true}}"#;

#[test]
fn other_filters_mark_the_whole_values_they_match() {
    let table: [(&str, &[&str]); 37] = [
        ("actor:u_81", &["/actor/id=[u_81]"]),
        ("actor:U_*", &["/actor/id=[u_81]"]),
        ("actor:user/u_81", &["/actor/id=[u_81]", "/actor/type=[user]"]),
        ("actor:(u_81 OR u_82)", &["/actor/id=[u_81]"]),
        ("action:contacts", &["/action=[contact.deleted]"]),
        ("action:contact", &["/action=[contact.deleted]"]),
        ("action:contact.del*", &["/action=[contact.deleted]"]),
        ("target:u_12", &["/target/id=[u_12]"]),
        ("target:team/t_3", &["/related/1/id=[t_3]", "/related/1/type=[team]"]),
        ("target:*_*", &["/related/1/id=[t_3]", "/related/1/type=[team]", "/target/id=[u_12]", "/target/type=[user]"]),
        ("target_type:user", &["/target/type=[user]"]),
        ("target_name:\"elif kaya\"", &["/related/0/name=[Elif Kaya]", "/target/name=[Elif Kaya]"]),
        ("on_behalf_of:u_7", &["/on_behalf_of/id=[u_7]"]),
        ("email:*@example.com", &["/actor/email=[maya@example.com]"]),
        ("tenant:acme outcome:denied", &["/outcome=[denied]", "/tenant=[acme]"]),
        ("id:01jd8z source:velo*", &["/id=[01JD8Z]", "/source=[velo-api]"]),
        ("request:r_9", &["/context/request_id=[r_9]"]),
        ("ip:203.0.113.0/24", &["/context/ip=[203.0.113.7]"]),
        ("ip:203.*", &["/context/ip=[203.0.113.7]"]),
        ("change:role", &["/changes/0/field=[role]", "/changes/2/field=[role]"]),
        ("change:role=agent", &["/changes/0/before=[agent]", "/changes/0/field=[role]"]),
        ("change:role>true", &["/changes/2/after=[true]", "/changes/2/field=[role]"]),
        (
            "change:role=agent>admin",
            &["/changes/0/after=[admin]", "/changes/0/before=[agent]", "/changes/0/field=[role]"],
        ),
        ("change:limits>*", &["/changes/1/after=[{\"calls\":5}]", "/changes/1/field=[limits]"]),
        // Keys with dots and nested ones are one path; each is marked where it stands.
        ("detail.a.b:x", &["/detail/a.b=[x]", "/detail/a/b=[X]"]),
        ("detail.a.c.b:1", &["/detail/a/c/1/b=[1]"]),
        ("detail.a.c:x", &["/detail/a/c/2=[x]"]),
        ("detail.amount:>=400", &["/detail/amount=[400.0]"]),
        ("detail.amount:400", &["/detail/amount=[400.0]"]),
        ("detail.ok:true", &["/detail/ok=[true]"]),
        ("detail.list:1", &["/detail/list/0=[1]", "/detail/list/1/0=[1.0]", "/detail/list/3=[1]"]),
        ("detail.list.k\\/~:1", &["/detail/list/2/k~1~0=[1e0]"]),
        // A word in a number marks the word, a filter on it the number.
        ("400", &["/detail/amount=[400].0"]),
        ("400 detail.amount:400", &["/detail/amount=[400.0]"]),
        // What nobody has to be shown.
        ("time:2026-11 received:24h seq:7", &[]),
        ("has:changes reason:* detail.amount:* source:*", &[]),
        ("", &[]),
    ];
    let entry = entry(RICH);
    for (query, expected) in table {
        assert!(parsed(query).matches(&entry), "{query}");
        assert_eq!(marked(query, &entry), expected, "{query}");
    }
}

#[test]
fn only_what_makes_the_entry_match_is_marked() {
    let table: [(&str, &[&str]); 9] = [
        ("shift -missing", &["/reason=[shift] lead"]),
        ("shift missing", &[]),
        ("shift OR missing", &["/reason=[shift] lead"]),
        ("shift OR lead", &["/reason=[shift] [lead]"]),
        ("shift OR (lead missing)", &["/reason=[shift] lead"]),
        ("shift OR (lead (missing OR support))", &["/reason=[shift] [lead]", "/related/1/name=[Support]"]),
        ("shift OR -lead", &["/reason=[shift] lead"]),
        ("shift -(lead missing)", &["/reason=[shift] lead"]),
        ("-(missing OR -shift)", &[]),
    ];
    let entry = entry(RICH);
    for (query, expected) in table {
        assert_eq!(marked(query, &entry), expected, "{query}");
    }
}

#[test]
fn a_word_longer_than_a_token_is_marked_as_far_as_it_counts() {
    let long = "a".repeat(300);
    let expected = format!("[{}]{}", &long[..text::TOKEN_BYTES_MAX], &long[text::TOKEN_BYTES_MAX..]);
    assert_eq!(in_reason(&long, &long), expected);
    // A vowel sign behind the cut stays with its letter.
    let long = "कि".repeat(60);
    let found = in_reason("/कि.*/", &long);
    assert_eq!(found.find(']').map(|at| (at - 1) % "कि".len()), Some(0), "{found}");
}

#[test]
fn a_row_has_so_many_marks_and_so_much_json_at_most_and_says_so() {
    let cut = |query: &str, members: &str| {
        let found = highlights(&parsed(query), &event(members));
        let count: usize = found.values.iter().map(|value| value.marks.len()).sum();
        assert!(found.json_bytes_max <= HIGHLIGHT_BYTES_MAX, "{query}: {}", found.json_bytes_max);
        (count, found.is_truncated)
    };
    let words = |n: usize| format!("\"reason\":\"{}\"", "x y ".repeat(n));
    assert_eq!(cut("x", &words(1_000)), (1_000, false));
    assert_eq!(cut("x", &words(1_001)), (1_000, true));
    // Whole values have the first choice.
    assert_eq!(cut("x tenant:acme", &words(1_000)), (1_000, true));
    let list = |n: usize| format!("\"detail\":{{\"a\":[{}]}}", vec!["1"; n].join(","));
    assert_eq!(cut("detail.a:1", &list(1_000)), (1_000, false));
    assert_eq!(cut("detail.a:1", &list(1_001)), (1_000, true));
    // Control characters in a key are six bytes each on the wire, and each value has the key in its pointer.
    let keyed = format!("\"detail\":{{\"{}\":[\"x\",\"x\",\"x\"]}}", "\\u0001".repeat(5_000));
    assert_eq!(cut("x", &keyed), (2, true));
    let endless = format!("\"detail\":{{\"{}\":\"x\"}}", "k".repeat(100_000));
    assert_eq!(cut("x", &endless), (0, true));
    assert_eq!(cut("x", "\"reason\":\"\""), (0, false));
}

fn sample(seed: u64) -> Entry {
    let intake = Intake {
        now_ms: NOW_MS,
        tenant: "default",
        is_only_tenant: false,
        catalogue: Catalogue::builtin(),
        subject_types: None,
    };
    entry(&validate(&events::event(seed), &intake).unwrap().body)
}

fn readable(mut text: impl FnMut() -> String) -> Query {
    let env = Env { now_ms: NOW_MS, catalogue: Catalogue::builtin() };
    // A pattern may be too complex, a range empty: then another one.
    (0..50).find_map(|_| parse(&text(), &env).ok()).expect("a query that can be read")
}

/// The texts marked in a row; that they lie in it is asserted on the way.
fn texts_marked(query: &Query, entry: &Entry) -> Result<Vec<String>, TestCaseError> {
    let row = row(entry);
    let mut texts = Vec::new();
    for Highlight { pointer, marks } in highlights(query, entry).values {
        let text = text_at(&row, &pointer);
        prop_assert!(text.is_some(), "nothing is at {pointer}");
        let text = text.unwrap();
        let mut free_from = 0;
        for Mark { bytes, code_points } in marks {
            prop_assert!(bytes.start < bytes.end && (bytes.start > free_from || free_from == 0), "{bytes:?}");
            free_from = bytes.end;
            let marked = text.get(bytes.clone());
            prop_assert!(marked.is_some(), "{bytes:?} does not lie on the borders of characters of {text:?}");
            let by_code_points: String = text.chars().take(code_points.end).skip(code_points.start).collect();
            prop_assert_eq!(marked.unwrap(), &by_code_points);
            texts.push(by_code_points);
        }
    }
    Ok(texts)
}

fn has_word(text: &str, word: &str) -> bool {
    let mut found = text::fold(text).contains(word);
    text::tokens(text, &mut |token| found |= token.text == word);
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn marks_lie_in_the_row_and_only_in_rows_that_match(seeds in prop::array::uniform4(any::<u64>()), seed: u64) {
        let entries = seeds.map(sample);
        let dice = &mut Dice::new(seed);
        let query = readable(|| queries::query(dice, &entries, 2));
        for entry in &entries {
            let texts = texts_marked(&query, entry)?;
            prop_assert!(query.matches(entry) || texts.is_empty(), "{query} does not match and marks {texts:?}");
        }
    }

    #[test]
    fn words_that_match_are_marked(seeds in prop::array::uniform4(any::<u64>()), seed: u64) {
        let entries = seeds.map(sample);
        let dice = &mut Dice::new(seed);
        let query = readable(|| queries::words_about(dice, &entries));
        // `*` alone is every entry.
        prop_assume!(matches!(query.root, Node::Filter(Filter::Words(_))));
        for entry in &entries {
            let texts = texts_marked(&query, entry)?;
            prop_assert_eq!(query.matches(entry), !texts.is_empty(), "{}: {:?}", query, texts);
            if let Node::Filter(Filter::Words(Words::Word { tokens, .. })) = &query.root
                && let [word] = tokens.as_slice()
            {
                prop_assert!(texts.iter().all(|text| has_word(text, word)), "{word} is not in {texts:?}");
            }
        }
    }
}
