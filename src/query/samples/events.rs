//! Random events of a small world: few values, so that many events share them, and every odd kind of value that an
//! index could treat otherwise than the log: spellings that fold to one, numbers that are equal or nearly so, texts
//! longer than what is compared, empty ones, arrays and objects where scalars are usual.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::clock;
use crate::json;

/// Times stand on a coarse grid from here on, so that many are equal and many come late. ms.
pub const FIRST_TIME_MS: i64 = 1_790_000_000_000;

/// A source of choices that gives the same ones for the same seed.
pub struct Dice(StdRng);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(StdRng::seed_from_u64(seed))
    }

    /// A number below `n`; 0 if `n` is.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { self.0.random_range(0..n) }
    }

    pub fn percent(&mut self, chance: u32) -> bool {
        self.0.random_ratio(chance, 100)
    }

    /// One of these texts.
    pub fn text_of(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        from.choose(&mut self.0).expect("there is something to choose from")
    }
}

/// Latin, Greek, Cyrillic, Arabic, Devanagari, Thai, Han, Kana; and what looks like syntax, numbers or literals.
const WORDS: [&str; 52] = [
    "maya",
    "Maya",
    "MAYA",
    "mayo",
    "lead",
    "shift",
    "Shift",
    "Straße",
    "STRASSE",
    "café",
    "cafe\u{301}",
    "CAFÉ",
    "cafe",
    "İstanbul",
    "istanbul",
    "i\u{307}stanbul",
    "ΟΔΟΣ",
    "οδος",
    "Οδός",
    "ﬁnance",
    "finance",
    "ǅungla",
    "Łódź",
    "smørrebrød",
    "東京都",
    "东京",
    "マヤさん",
    "Майя",
    "МАЙЯ",
    "и\u{306}",
    "й",
    "مايا",
    "هاتف",
    "हिन्दी",
    "क्षि",
    "ไทยแลนด์",
    "\u{1F600}",
    "\u{1D160}",
    "1.0",
    "1",
    "true",
    "null",
    "a*b",
    "a?c",
    "x~y",
    "C:\\temp",
    "say\"so\"",
    "<b>",
    "(a|b)",
    "--",
    "OR",
    "don't",
];

const IDS: [&str; 16] = [
    "u_1",
    "U_1",
    "u_2",
    "u.3",
    "c_8FQ2M0",
    "c_9",
    "team-a/7",
    "u-1*",
    "0190c2f0-7b5e-7c3a-9f21-0242ac120002",
    "0190C2F0-7B5E-7C3A-9F21-0242AC120003",
    "deadbeefcafe",
    "arn:aws:iam::1:user/Root",
    "東京.1",
    "İ_1",
    "..",
    "a b",
];

const ACTIONS: [&str; 20] = [
    "contact.deleted",
    "contact.viewed",
    "CONTACT.Deleted",
    "contact_field.added",
    "contact:x.y",
    "contact",
    "contacts",
    "user.role_changed",
    "auth.sign_in",
    "auth",
    "did.requested",
    "ConsoleLogin",
    "consolelogin",
    "s3:GetObject",
    ".hidden",
    ":x",
    "Ünï.cödé",
    "custom.thing",
    "a*.b?",
    "other",
];

const NUMBERS: [&str; 26] = [
    "0",
    "-0",
    "-0.0",
    "1",
    "1.0",
    "1e0",
    "10e-1",
    "-1",
    "1.5",
    "-2.75",
    "100",
    "1E2",
    "99.999",
    "0.1",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "9007199254740993.0",
    "18446744073709551614",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "12345678901234567890123",
    "1e300",
    "-1e-300",
    "3.141592653589793238",
];

const IPS: [&str; 19] = [
    "AWS/Internal",
    "203.0.113.7",
    "203.0.113.8",
    "203.0.112.255",
    "::ffff:203.0.113.7",
    "::FFFF:cb00:7108",
    "2001:db8::1",
    "2001:0DB8:0::1",
    "2001:db8:ffff::2",
    "::",
    "::1",
    "0.0.0.0",
    "255.255.255.255",
    "10.0.0.0",
    " 10.0.0.1 ",
    "AWS Internal",
    "",
    "203.0.113.7:443",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];

const KEYS: [&str; 14] = ["a", "A", "b", "a.b", "b.c", "plan", "amount", "n", "é", "E\u{301}", "", "x y", "a*", "İ"];

/// One event as a sender would write it. The same seed gives the same event.
pub fn event(seed: u64) -> String {
    event_at(seed, None)
}

/// The same as part of an import: whole days of old events carry one of two times, in no order.
pub fn imported(seed: u64) -> String {
    event_at(seed, Some(FIRST_TIME_MS - 86_400_000 * (seed % 2) as i64))
}

fn event_at(seed: u64, time_ms: Option<i64>) -> String {
    let mut dice = Dice::new(seed);
    let dice = &mut dice;
    let mut members = Vec::new();
    let mut put = |name: &str, value: String| members.push(format!("{}:{value}", string(name)));
    put("action", string(dice.text_of(&ACTIONS)));
    put("actor", if dice.percent(10) { string("system") } else { party(dice) });
    if dice.percent(80) {
        // Unique, for the same id with other content is refused.
        put("id", string(&format!("{}{}.{seed:016X}", dice.text_of(&["ev_", "İ-", "b."]), dice.below(3))));
    }
    match time_ms {
        Some(ms) => put("time", string(&clock::rfc3339_ms(ms))),
        None if dice.percent(85) => put("time", string(&time(dice))),
        None => {}
    }
    if dice.percent(80) {
        put("tenant", string(dice.text_of(&["acme", "Acme", "acme ", "tenant.b", "東京"])));
    }
    if dice.percent(70) {
        put("outcome", string(dice.text_of(&["success", "failure", "denied", "unknown"])));
    }
    if dice.percent(50) {
        put("source", string(dice.text_of(&["velo-api", "Velo-API", "aws.cloudtrail", "ﬁ", "İ", "i\u{307}"])));
    }
    if dice.percent(20) {
        put("on_behalf_of", party(dice));
    }
    if dice.percent(70) {
        put("target", object(dice));
    }
    if dice.percent(20) {
        let related: Vec<String> = (0..=dice.below(3)).map(|_| object(dice)).collect();
        put("related", array(&related));
    }
    if dice.percent(30) {
        put("reason", string(&text(dice)));
    }
    if dice.percent(40) {
        let changes: Vec<String> = (0..=dice.below(3)).map(|_| change(dice)).collect();
        put("changes", array(&changes));
    }
    if dice.percent(60) {
        put("context", context(dice));
    }
    if dice.percent(10) {
        put("subjects", r#"[{"type":"contact","id":"c_9"}]"#.to_owned());
    }
    if dice.percent(60) {
        let detail = members_of(dice, 3);
        put("detail", detail);
    }
    format!("{{{}}}", members.join(","))
}

/// A text of a few words, seldom one longer than what whole values are compared by.
pub fn text(dice: &mut Dice) -> String {
    if dice.percent(2) {
        // The 8,192nd byte lies inside a character, a word or an expanding letter; the tail is found by words only.
        let filler = dice.text_of(&["shift lead ", "x", "東", "İ", "\u{1D160}"]);
        return format!("a{}{} tail", filler.repeat(8_192 / filler.len() + 2), dice.pick(&WORDS));
    }
    let mut text = String::new();
    for n in 0..1 + dice.below(5) {
        if n > 0 {
            text.push_str(dice.text_of(&[" ", " ", " ", ", ", "-", "_", ".", "\n", "/", "'"]));
        }
        text.push_str(&word(dice));
    }
    text
}

fn word(dice: &mut Dice) -> String {
    match dice.below(12) {
        0 => email(dice),
        1 => format!("+1415555{:04}", dice.below(3)),
        2 => dice.text_of(&IDS).to_string(),
        _ => dice.text_of(&WORDS).to_string(),
    }
}

fn email(dice: &mut Dice) -> String {
    dice.text_of(&["maya@example.com", "Maya@Example.COM", "elif.kaya@acme.co.uk", "m+x@acme.com", "@", ""]).to_string()
}

/// Hours apart, often the same; with up to nine digits of a second, which are more than order and ranges see.
fn time(dice: &mut Dice) -> String {
    let ms = FIRST_TIME_MS + 3_600_000 * dice.below(6) as i64 + dice.below(3) as i64;
    let text = clock::rfc3339_ms(ms);
    match dice.below(4) {
        0 => format!("{}999999Z", text.trim_end_matches('Z')),
        1 => format!("{}+00:00", text.trim_end_matches('Z')),
        _ => text,
    }
}

fn party(dice: &mut Dice) -> String {
    let mut members = vec![format!("\"id\":{}", string(dice.text_of(&IDS)))];
    if dice.percent(60) {
        members.push(format!("\"type\":{}", string(dice.text_of(&["user", "User", "svc", "svc/a", "ﬁ"]))));
    }
    named(dice, &mut members);
    if dice.percent(40) {
        members.push(format!("\"email\":{}", string(&email(dice))));
    }
    format!("{{{}}}", members.join(","))
}

fn object(dice: &mut Dice) -> String {
    let mut members = Vec::new();
    if dice.percent(70) {
        members.push(format!("\"type\":{}", string(dice.text_of(&["contact", "Contact", "did", "user", "a/b", "ﬁ"]))));
    }
    if dice.percent(70) {
        members.push(format!("\"id\":{}", string(dice.text_of(&IDS))));
    }
    named(dice, &mut members);
    if members.is_empty() {
        members.push("\"name\":\"\"".to_owned());
    }
    format!("{{{}}}", members.join(","))
}

fn named(dice: &mut Dice, members: &mut Vec<String>) {
    if dice.percent(40) {
        let name: String = text(dice).chars().take(100).collect();
        members.push(format!("\"name\":{}", string(&name)));
    }
}

fn change(dice: &mut Dice) -> String {
    let field = dice.text_of(&["role", "Role", "status", "a.b", "x=y", "plan>b", "İ"]);
    let mut members = vec![format!("\"field\":{}", string(field))];
    for name in ["before", "after"] {
        if dice.percent(75) {
            members.push(format!("{}:{}", string(name), value(dice, 2)));
        }
    }
    format!("{{{}}}", members.join(","))
}

fn context(dice: &mut Dice) -> String {
    let mut members = Vec::new();
    if dice.percent(80) {
        members.push(format!("\"ip\":{}", string(dice.text_of(&IPS))));
    }
    for name in ["request_id", "session_id"] {
        if dice.percent(40) {
            members.push(format!("{}:{}", string(name), string(dice.text_of(&["r_1", "R_1", "r.2", "", "a/b"]))));
        }
    }
    if dice.percent(40) {
        members.push(format!("\"user_agent\":{}", string(&text(dice))));
    }
    format!("{{{}}}", members.join(","))
}

/// Any JSON value.
fn value(dice: &mut Dice, depth: usize) -> String {
    match dice.below(if depth == 0 { 8 } else { 11 }) {
        0..=2 => string(&text(dice)),
        3 | 4 => dice.text_of(&NUMBERS).to_string(),
        5 => dice.text_of(&["true", "false"]).to_string(),
        6 => dice.text_of(&["null", "\"\"", "\"1\"", "\"1.0\"", "\"true\""]).to_string(),
        7 => string(if dice.percent(50) { dice.text_of(&NUMBERS) } else { dice.text_of(&IPS) }),
        8 | 9 => members_of(dice, depth - 1),
        _ => {
            let items: Vec<String> = (0..dice.below(4)).map(|_| value(dice, depth - 1)).collect();
            array(&items)
        }
    }
}

fn members_of(dice: &mut Dice, depth: usize) -> String {
    let mut members: Vec<String> = Vec::new();
    for _ in 0..dice.below(5) {
        let key = string(dice.text_of(&KEYS));
        if !members.iter().any(|member| member.starts_with(&format!("{key}:"))) {
            members.push(format!("{key}:{}", value(dice, depth)));
        }
    }
    format!("{{{}}}", members.join(","))
}

fn array(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

fn string(text: &str) -> String {
    let mut quoted = String::new();
    json::write_string(text, &mut quoted);
    quoted
}
