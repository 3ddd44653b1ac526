//! Which entries a query answers: a table over hand-made entries.

use super::*;
use crate::event::{Event, Kind, SeenParts};
use crate::seq::Seq;

const NOW_MS: u64 = 1_795_181_527_412;

fn entry(seq: u64, body: &str) -> Entry {
    let event = Event::from_body(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    Entry {
        seq: Seq(seq),
        received_ms: NOW_MS - 1_000 + seq,
        kind: Kind::Event,
        hash: [0; 32],
        event,
        parts: SeenParts::default(),
    }
}

/// 0: everything there is. 1: little. 2 to 6: scripts. 7: an odd sender.
fn entries() -> Vec<Entry> {
    [
        r#"{"id":"01JD8Z","time":"2026-11-20T13:32:07.412Z","tenant":"acme","actor":{"type":"user","id":"u_81","name":"Maya Lindqvist","email":"maya@example.com"},"on_behalf_of":{"type":"user","id":"u_7"},"source":"velo-api","action":"user.role_changed","outcome":"success","reason":"shift lead for the late team","target":{"type":"user","id":"u_12","name":"Elif Kaya"},"related":[{"type":"team","id":"t_3","name":"Support"}],"changes":[{"field":"role","before":"agent","after":"admin"},{"field":"limits","before":null,"after":{"calls":5}}],"context":{"ip":"203.0.113.7","user_agent":"Mozilla/5.0 (X11)","request_id":"r_9","session_id":"s_4"},"subjects":[{"type":"contact","id":"c_9"}],"detail":{"amount":400.0,"ticket":4711,"plan":"Pro","ok":true,"userIdentity":{"arn":"arn:aws:iam::1:root"},"list":[1,{"deep":"x"}],"url":"https://x.org/a?b=c","gone":null,"none":[null,{}]}}"#,
        r#"{"id":"e1","time":"2026-11-01T00:00:00.000Z","tenant":"Acme","actor":{"type":"system","id":"system"},"action":"ConsoleLogin","outcome":"failure"}"#,
        r#"{"id":"e2","time":"2026-11-02T00:00:00.000Z","tenant":"acme","actor":{"type":"user","id":"u_2","name":"Zoë Müller"},"action":"contact.deleted","outcome":"success","target":{"type":"contact","id":"c_8FQ2M0","name":"Café Łódź"},"reason":"call +14155550123"}"#,
        r#"{"id":"e3","time":"2026-11-03T00:00:00.000Z","tenant":"acme","actor":{"type":"user","id":"u_3","name":"Майя Иванова"},"action":"contact_field.added","outcome":"success","reason":"Клиент попросил"}"#,
        r#"{"id":"e4","time":"2026-11-04T00:00:00.000Z","tenant":"acme","actor":{"type":"user","id":"u_4","name":"東京支店"},"action":"did.assigned","outcome":"success","target":{"type":"did","id":"d_1"}}"#,
        r#"{"id":"e5","time":"2026-11-05T00:00:00.000Z","tenant":"acme","actor":{"type":"user","id":"u_5","name":"مايا حداد"},"action":"did.released","outcome":"denied"}"#,
        r#"{"id":"e6","time":"2026-11-06T00:00:00.000Z","tenant":"acme","actor":{"type":"user","id":"u_6","name":"माया शर्मा"},"action":"auth.sign_in","outcome":"success","context":{"ip":"2001:db8::7"}}"#,
        r#"{"id":"e7","time":"2026-11-07T00:00:00.000Z","tenant":"acme","actor":{"type":"role","id":"user/u_81"},"action":"iam:CreateUser","outcome":"unknown","target":{"name":"*"},"changes":[{"field":"Role","before":"agent","after":"viewer"}],"context":{"ip":"AWS Internal"},"detail":{"amount":"400","n":9007199254740993,"path":"line one\nroot line","at":"2023-07-10T12:00:00Z","from":"10.8.3.4"}}"#,
    ]
    .iter()
    .enumerate()
    .map(|(seq, body)| entry(seq as u64, body))
    .collect()
}

fn found(text: &str) -> Vec<u64> {
    let env = Env { now_ms: NOW_MS, catalogue: crate::event::Catalogue::builtin() };
    let query = parse(text, &env).unwrap_or_else(|error| panic!("{text}: {error}"));
    entries().iter().filter(|entry| query.matches(entry)).map(|entry| entry.seq.0).collect()
}

#[test]
fn a_query_finds_what_it_says() {
    let all: Vec<u64> = (0..8).collect();
    let table: &[(&str, &[u64])] = &[
        ("", &all),
        ("-*", &[]),
        // Words.
        ("maya", &[0]),
        ("MAYA lindqvist", &[0]),
        ("maya -elif", &[]),
        ("maya OR müller", &[0, 2]),
        ("maya@example.com", &[0]),
        ("example", &[0]),
        ("\"shift lead\"", &[0]),
        ("\"lead shift\"", &[]),
        ("\"shift late\"", &[]),
        // A phrase does not reach from one value into the next.
        ("\"lindqvist maya\"", &[]),
        ("\"late team\" lead", &[0]),
        ("zoe", &[2]),
        ("zoë", &[2]),
        ("muller", &[2]),
        ("cafe", &[2]),
        ("CAFE\u{301}", &[2]),
        ("łódź", &[2]),
        ("lodz", &[2]),
        ("c_8FQ2M0", &[2]),
        ("c_8fq*", &[2]),
        ("8fq2m0", &[2]),
        ("+14155550123", &[2]),
        ("4155550123", &[2]),
        ("майя", &[3]),
        ("МАЙЯ", &[3]),
        ("клиент", &[3]),
        ("\"клиент попросил\"", &[3]),
        ("東京", &[4]),
        ("東京*", &[4]),
        ("*京支*", &[4]),
        ("東*", &[4]),
        ("東支*", &[]),
        ("東京?", &[]),
        ("支店", &[4]),
        ("京東", &[]),
        ("مايا", &[5]),
        ("माया", &[6]),
        ("शर्मा", &[6]),
        ("lind*", &[0]),
        ("*qvist", &[0]),
        ("ma?a", &[0]),
        ("ma?", &[]),
        ("maja~", &[0]),
        ("amya~", &[0]),
        ("lndqvst~", &[0]),
        ("lndqvst~1", &[]),
        ("/ma.a/", &[0]),
        ("/lind[a-q]+vist/", &[0]),
        ("4711", &[0]),
        ("true", &[0]),
        ("agent", &[0, 7]),
        ("deep", &[]),
        // Whole values.
        ("actor:u_81", &[0]),
        ("actor:U_81", &[0]),
        ("actor:user/u_81", &[0, 7]),
        ("actor:team/u_81", &[]),
        ("actor:user/u_?", &[2, 3, 4, 5, 6]),
        ("actor:system", &[1]),
        ("actor:system/system", &[1]),
        ("actor:*u_81", &[0, 7]),
        ("actor:(u_2 OR u_3)", &[2, 3]),
        ("-actor:u_*", &[1, 7]),
        ("action:contacts", &[2, 3]),
        ("action:contact", &[2]),
        ("action:contact.deleted", &[2]),
        ("action:contact.*", &[2]),
        ("action:\"contact\"", &[]),
        ("action:ConsoleLogin", &[1]),
        ("action:\"consolelogin\"", &[1]),
        ("action:other", &[1]),
        ("action:iam", &[7]),
        ("action:iam:CreateUser", &[7]),
        ("action:/.*\\.(assigned|released)/", &[4, 5]),
        ("target:u_12", &[0]),
        ("target:t_3", &[0]),
        ("target:team/t_3", &[0]),
        ("target:user/t_3", &[]),
        ("target_type:did", &[4]),
        ("target_type:team", &[]),
        ("target_name:support", &[0]),
        ("target_name:\"*\"", &[7]),
        ("target_name:\"café łódź\"", &[2]),
        ("on_behalf_of:u_7", &[0]),
        ("tenant:acme", &[0, 2, 3, 4, 5, 6, 7]),
        ("tenant:Acme", &[1]),
        ("outcome:(failure OR denied)", &[1, 5]),
        ("source:velo*", &[0]),
        ("email:*@example.com", &[0]),
        ("actor_name:\"Maya Lindqvist\"", &[0]),
        ("request:r_9 session:s_4 id:01jd8z", &[0]),
        ("user_agent:mozilla*", &[0]),
        // Times and places.
        ("time:2026-11-01..2026-11-03", &[1, 2]),
        ("time:2026-11-01", &[1]),
        ("time:>2026-11-06", &[0, 7]),
        ("time:>=2026-11-20T14:32:07.412+01:00", &[0]),
        ("time:>2026-11-20T13:32:07.412Z", &[]),
        ("time:<=2026-11-01", &[1]),
        ("received:24h", &all),
        ("seq:2..3", &[2, 3]),
        ("seq:>=6", &[6, 7]),
        ("ip:203.0.113.0/24", &[0]),
        ("ip:203.0.114.0/24", &[]),
        ("ip:::ffff:203.0.113.7", &[0]),
        ("ip:2001:0db8:0::7", &[6]),
        ("ip:\"aws internal\"", &[7]),
        ("ip:203.*", &[0]),
        // Changes.
        ("change:role", &[0, 7]),
        ("change:role=agent>admin", &[0]),
        ("change:role=agent", &[0, 7]),
        ("change:limits>*", &[0]),
        ("change:limits=*", &[]),
        ("change:limits>\"{\\\"calls\\\":5}\"", &[0]),
        // Two changes do not help each other out.
        ("change:limits>admin", &[]),
        // Detail.
        ("detail.amount:400", &[0, 7]),
        ("detail.amount:>=400", &[0, 7]),
        ("detail.amount:[1 TO 399]", &[]),
        ("detail.userIdentity.arn:*root*", &[0]),
        // Texts in their order.
        ("detail.at:[\"2023-07-10T12:00:00Z\" TO \"2023-07-10T12:10:00Z\"]", &[7]),
        ("detail.at:{\"2023-07-10t12:00:00z\" TO *]", &[]),
        ("detail.at:>=\"2023-07-10\" detail.at:<\"2023-07-11\"", &[7]),
        ("detail.plan:>\"PRO\"", &[]),
        ("detail.plan:<=\"PRO\"", &[0]),
        ("detail.ticket:>=\"4\" detail.ticket:<\"5\"", &[0]),
        ("detail.amount:[\"399\" TO \"401\"]", &[0, 7]),
        // Addresses.
        ("detail.from:10.8.0.0/16", &[7]),
        ("detail.from:10.8.0.0\\/16", &[7]),
        ("detail.from:10.9.0.0/16", &[]),
        ("detail.from:::/0", &[]),
        ("detail.from:::ffff:10.8.3.4/128", &[7]),
        ("detail.from:\"10.8.0.0/16\"", &[]),
        ("detail.list:*", &[0]),
        ("detail.n:9007199254740992", &[]),
        ("detail.path:/.*root.*/", &[7]),
        ("has:changes reason:*", &[0]),
        ("detail.list:1", &[0]),
        ("detail.list.deep:x", &[0]),
        ("detail.list.deep:*", &[0]),
        ("detail.li:*", &[]),
        ("detail.n:[9007199254740993 TO *]", &[7]),
        ("detail.amount:{400 TO *}", &[]),
        ("detail.amount:{* TO 400]", &[0, 7]),
        ("detail.amount:(>=1 AND <500)", &[0, 7]),
        // A text that is a number is one for ranges, and not for equality.
        ("detail.amount:400.0", &[0]),
        ("detail.ok:true", &[0]),
        ("detail.plan:(free OR pro)", &[0]),
        ("detail.url:\"https://x.org/a?b=c\"", &[0]),
        ("detail.url:https\\:\\/\\/x.org\\/a\\?b\\=c", &[0]),
        ("detail.url:*a?b=c", &[0]),
        ("detail.url:*a\\?b=c", &[0]),
        ("detail.url:*a\\?\\?=c", &[]),
        ("\"https://x.org\"", &[0]),
        // A null, an empty list and an empty object are no values.
        ("detail.gone:*", &[]),
        ("detail.none:*", &[]),
        ("detail.gone:null detail.none:null detail.absent:null", &all),
        ("detail.plan:null", &[1, 2, 3, 4, 5, 6, 7]),
        ("detail.plan:(null OR pro)", &all),
        ("detail.gone:\"null\"", &[]),
        // As Lucene writes it.
        ("maya && !elif || zoe", &[2]),
        ("+maya +\"shift lead\" -zoe", &[0]),
        ("*:* AND NOT actor:u_*", &[1, 7]),
        ("_exists_:reason", &[0, 2, 3]),
        ("NOT _exists_:detail.plan", &[1, 2, 3, 4, 5, 6, 7]),
        ("ip:[* TO *]", &[0, 6, 7]),
        ("change:role=a*>\"admin\"", &[0]),
        ("change:r*>*", &[0, 7]),
        ("change:/ro.e/", &[0, 7]),
        ("NOT target:*", &[1, 3, 5, 6]),
        ("ip:2001:db8::/32", &[6]),
        ("ip:::/0", &[6]),
        ("ip:0.0.0.0/0", &[0]),
        ("received:<2026-01-01", &[]),
        ("seq:{2 TO 4]", &[3, 4]),
        ("time:{2026-11-01 TO 2026-11-03}", &[2]),
        ("*東*", &[4]),
        ("\"माया शर्मा\"", &[6]),
        ("мая~", &[3]),
    ];
    for (text, expected) in table {
        assert_eq!(found(text), *expected, "{text}");
    }
}

#[test]
fn a_restriction_narrows_and_an_or_in_the_query_does_not_escape_it() {
    let env = Env { now_ms: NOW_MS, catalogue: crate::event::Catalogue::builtin() };
    let restriction = parse("tenant:acme", &env).unwrap();
    let query = parse("maya OR tenant:Acme", &env).unwrap();
    assert_eq!(restriction.and(query).to_string(), "tenant:acme (maya OR tenant:Acme)");
}

#[test]
fn the_members_listed_are_those_that_has_finds() {
    for entry in entries() {
        let mut listed = Vec::new();
        values::has_members(&entry.event, &mut |member| listed.push(member));
        for member in Member::ALL {
            assert_eq!(found(&format!("has:{}", member.as_str())).contains(&entry.seq.0), listed.contains(&member));
        }
    }
}
