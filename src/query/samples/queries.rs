//! Random queries about given events: their values become words, phrases, wildcards, fuzzy words, regexes, ranges and
//! networks, often spelt otherwise, so that most queries match something and many miss by little.

use std::net::IpAddr;

use super::events::Dice;
use crate::clock;
use crate::event::Entry;
use crate::query::values::{self, Member, ValueField};
use crate::text::{self, Leaf};

/// A query text with up to three levels of AND, OR and NOT.
pub fn query(dice: &mut Dice, entries: &[Entry], depth: usize) -> String {
    let members = |dice: &mut Dice, n: usize, separator: &str| {
        let members: Vec<String> = (0..n).map(|_| query(dice, entries, depth - 1)).collect();
        members.join(separator)
    };
    match if depth == 0 { 9 } else { dice.below(10) } {
        0 | 1 => {
            let and = dice.text_of(&[" ", " AND ", " && ", " +"]);
            members(dice, 2, and)
        }
        2 => {
            let or = dice.text_of(&[" OR ", " || "]);
            format!("({})", members(dice, 2, or))
        }
        3 => format!("{}({})", dice.text_of(&["-", "!", "NOT "]), members(dice, 1, "")),
        4 => {
            let n = 1 + dice.below(3);
            format!("{} -({})", members(dice, n, " "), members(dice, 1, ""))
        }
        5 => one_of_a_facet(dice, entries),
        _ => filter(dice, entries),
    }
}

/// Several choices of one facet, as a page sends them, and something else.
fn one_of_a_facet(dice: &mut Dice, entries: &[Entry]) -> String {
    let which = dice.below(6);
    let choices: Vec<String> = (0..2 + dice.below(2))
        .map(|_| {
            let entry = any(dice, entries);
            match which {
                0 => actor(dice, entry),
                1 => action(dice, entry),
                2 => value(dice, entry, ValueField::Tenant),
                3 => value(dice, entry, ValueField::Outcome),
                4 => value(dice, entry, ValueField::Source),
                _ => target_type(dice, entry),
            }
        })
        .collect();
    // Each choice with its field, or the field once.
    let (field, _) = choices[0].split_once(':').expect("a choice names its field");
    let prefix = format!("{field}:");
    let values: Option<Vec<&str>> = choices.iter().map(|choice| choice.strip_prefix(&prefix)).collect();
    let choices = match values {
        Some(values) if dice.percent(50) => format!("{prefix}({})", values.join(" OR ")),
        _ => format!("({})", choices.join(" OR ")),
    };
    format!("{choices} {}", filter(dice, entries))
}

/// One condition on the free text.
pub fn words_about(dice: &mut Dice, entries: &[Entry]) -> String {
    let entry = any(dice, entries);
    words(dice, entry)
}

/// One condition.
fn filter(dice: &mut Dice, entries: &[Entry]) -> String {
    let entry = any(dice, entries);
    match dice.below(22) {
        0..=4 => words(dice, entry),
        5 | 6 => actor(dice, entry),
        7 | 8 => action(dice, entry),
        9 => target_type(dice, entry),
        10 => time(dice, entries),
        11 => seq(dice, entries),
        12 | 13 => ip(dice, entry),
        14 | 15 => change(dice, entry),
        16..=18 => detail(dice, entry),
        19 => format!("has:{}", dice.pick(&Member::ALL).as_str()),
        _ => {
            let field = *dice.pick(&ValueField::ALL);
            value(dice, entry, field)
        }
    }
}

fn any<'a>(dice: &mut Dice, entries: &'a [Entry]) -> &'a Entry {
    dice.pick(entries)
}

fn words(dice: &mut Dice, entry: &Entry) -> String {
    let mut found = Vec::new();
    values::text_values(&entry.event, &mut |shown| found.push(shown.text.to_owned()));
    let value = dice.pick(&found).clone();
    let parts = text::query_tokens(&value);
    let mut single = Vec::new();
    text::tokens(&value, &mut |token| single.push(token.text.to_owned()));
    if parts.is_empty() {
        return "maya".to_owned();
    }
    let (part, token) = (dice.pick(&parts).clone(), dice.pick(&single).clone());
    match dice.below(10) {
        0 => bare(&token),
        1 => bare(&other_case(dice, &part)),
        // A run of the value, as written: an id, an address, a word with an apostrophe.
        2 => match value.split_whitespace().filter(|run| run.len() < 200).nth(dice.below(4)) {
            Some(run) => bare(&other_case(dice, run)),
            None => bare(&part),
        },
        3 | 4 => {
            let from = dice.below(parts.len());
            let to = (from + 1 + dice.below(4)).min(parts.len());
            quoted(&other_case(dice, &parts[from..to].join(" ")))
        }
        // Neighbours in the event, but not in one value; or in the wrong order.
        5 => {
            let next = text::query_tokens(dice.pick(&found).as_str());
            quoted(&format!("{} {}", parts[parts.len() - 1], next.first().map_or("maya", String::as_str)))
        }
        6 | 7 => wildcard(dice, &token),
        8 => regex(dice, &token),
        _ => fuzzy(dice, &token),
    }
}

fn fuzzy(dice: &mut Dice, token: &str) -> String {
    let mut chars: Vec<char> = token.chars().take(16).collect();
    let at = dice.below(chars.len());
    match dice.below(4) {
        0 => drop(chars.remove(at)),
        1 => chars.insert(at, 'x'),
        2 => chars[at] = 'ж',
        _ => chars.swap(at, (at + 1) % token.chars().count().min(16)),
    }
    let word: String = chars.into_iter().collect();
    if word.is_empty() {
        return "a~".to_owned();
    }
    format!("{}~{}", bare(&word), dice.text_of(&["", "1", "2"]))
}

fn actor(dice: &mut Dice, entry: &Entry) -> String {
    let (kind, id) = (&entry.event.actor.kind, &entry.event.actor.id);
    match dice.below(4) {
        0 => format!("actor:{}", pattern(dice, id)),
        1 => format!("actor:{}", quoted(&format!("{kind}/{id}"))),
        2 => format!("actor:{}/{}", bare(kind), wildcard(dice, id)),
        _ => format!("actor:{}", quoted(id)),
    }
}

fn action(dice: &mut Dice, entry: &Entry) -> String {
    let action = &entry.event.action;
    match dice.below(6) {
        0 => format!("action:{}", pattern(dice, action)),
        1 => format!("action:{}", bare(&other_case(dice, action))),
        2 => format!(
            "action:{}",
            dice.text_of(&["contacts", "auth", "team", "dids", "other", "contact", "user", "nothing"])
        ),
        3 => format!("action:{}", bare(entry.event.noun())),
        4 => format!("action:{}*", bare(entry.event.noun())),
        _ => format!("action:{}", quoted(action)),
    }
}

fn target_type(dice: &mut Dice, entry: &Entry) -> String {
    let kind = entry.event.target.as_ref().and_then(|target| target.kind.as_deref()).unwrap_or("contact");
    match dice.below(5) {
        // Which no type is.
        4 => "target_type:\"\"".to_owned(),
        // Also matches the empty text.
        0 => format!("target_type:/({})?/", regex_text(kind)),
        _ => format!("target_type:{}", pattern(dice, kind)),
    }
}

fn value(dice: &mut Dice, entry: &Entry, field: ValueField) -> String {
    let mut found = Vec::new();
    values::field_values(field, &entry.event, &mut |value, _| found.push(value.to_owned()));
    let name = field.as_str();
    if found.is_empty() || dice.percent(5) {
        return format!("{name}:*");
    }
    let value = dice.pick(&found).clone();
    match field {
        ValueField::Tenant => format!("tenant:{}", quoted(&value)),
        ValueField::Outcome if dice.percent(70) => format!("outcome:{value}"),
        _ => format!("{name}:{}", pattern(dice, &value)),
    }
}

fn time(dice: &mut Dice, entries: &[Entry]) -> String {
    let field = dice.text_of(&["time", "time", "received"]);
    let at = |dice: &mut Dice| {
        let entry = any(dice, entries);
        let ms = if field == "time" { entry.event.time.ms } else { entry.received_ms.cast_signed() };
        ms + dice.below(3) as i64 - 1
    };
    let (a, b) = (at(dice), at(dice));
    let (from, to) = (clock::rfc3339_ms(a.min(b)), clock::rfc3339_ms(a.max(b) + 1));
    match dice.below(5) {
        0 => format!("{field}:>={from}"),
        1 => format!("{field}:>{from}"),
        2 => format!("{field}:<{to}"),
        3 => format!("{field}:<={to}"),
        _ => format!("{field}:{from}..{to}"),
    }
}

fn seq(dice: &mut Dice, entries: &[Entry]) -> String {
    let (a, b) = (any(dice, entries).seq.0, any(dice, entries).seq.0);
    match dice.below(4) {
        0 => format!("seq:{a}"),
        1 => format!("seq:>{a}"),
        2 => format!("seq:<={a}"),
        _ => format!("seq:{}..{}", a.min(b), a.max(b)),
    }
}

fn ip(dice: &mut Dice, entry: &Entry) -> String {
    let Some(sent) = &entry.event.context.ip else {
        return dice.text_of(&["ip:0.0.0.0/0", "ip:::/0", "ip:*", "ip:203.0.113.0/24"]).to_string();
    };
    let Some(address) = values::ip_address(&entry.event) else {
        return format!("ip:{}", pattern(dice, sent));
    };
    match (dice.below(4), address.to_ipv4_mapped()) {
        (0, _) => format!("ip:{}", wildcard(dice, sent)),
        (1, _) => format!("ip:{}", quoted(sent.trim())),
        (_, Some(v4)) => format!("ip:{v4}/{}", dice.below(33)),
        (_, None) => format!("ip:{address}/{}", dice.below(129)),
    }
}

fn change(dice: &mut Dice, entry: &Entry) -> String {
    let changes: Vec<_> = values::changes(&entry.event).collect();
    if changes.is_empty() {
        return dice.text_of(&["change:role", "change:*", "change:r*=*>*", "change:status>/.*/"]).to_string();
    }
    let change = dice.pick(&changes);
    let mut text = format!("change:{}", change_part(dice, &change.field.folded));
    if let Some(before) = &change.before
        && dice.percent(60)
    {
        text = format!("{text}={}", change_part(dice, &before.folded));
    }
    if let Some(after) = &change.after
        && dice.percent(60)
    {
        text = format!("{text}>{}", change_part(dice, &after.folded));
    }
    text
}

/// Regexes have to stand alone there.
fn change_part(dice: &mut Dice, value: &str) -> String {
    match dice.below(3) {
        0 => wildcard(dice, value),
        _ if value.len() > 500 => wildcard(dice, value),
        _ => quoted(&other_case(dice, value)),
    }
}

fn detail(dice: &mut Dice, entry: &Entry) -> String {
    let mut leaves = Vec::new();
    values::detail_leaves(&entry.event, &mut |path, leaf, _| {
        let number = if let Leaf::Number(token) = leaf { Some(token.to_owned()) } else { None };
        leaves.push((path.to_owned(), values::leaf_text(&leaf).to_owned(), number));
    });
    leaves.retain(|(path, ..)| !path.is_empty());
    if leaves.is_empty() {
        return dice.text_of(&["detail.a:*", "detail.n:>0", "detail.a.b:/.*/", "detail.plan:*a*"]).to_string();
    }
    let (path, text, number) = dice.pick(&leaves).clone();
    let (path, text) = (path.as_str(), text.as_str());
    // The path itself, one above it, or one that only begins alike.
    let named = match dice.below(8) {
        0 => path.split('.').next().filter(|first| !first.is_empty()).unwrap_or(path),
        1 => path.trim_end_matches(|c: char| c.is_ascii_alphanumeric()),
        _ => path,
    };
    let field = format!("detail.{}", bare(if named.is_empty() { path } else { named }));
    let other = leaves.iter().find_map(|(_, _, number)| number.clone()).unwrap_or("2".to_owned());
    let number = number.or_else(|| text::decimal_key(text).map(|_| text.to_owned()));
    match (number, dice.below(10)) {
        (_, 0) => format!("{field}:*"),
        (_, 8) => format!("{field}:{}", text_range(dice, text)),
        (_, 9) if text.parse::<IpAddr>().is_ok() => format!("{field}:{text}/{}", dice.below(33)),
        (Some(number), 1) => format!("{field}:>{number}"),
        (Some(number), 2) => format!("{field}:<={number}"),
        (Some(number), 3) => format!("{field}:[{number} TO *]"),
        (Some(number), 4) => format!("{field}:{{{number} TO {other}]"),
        (Some(number), 5) => format!("{field}:[{other} TO {number}}}"),
        (Some(number), 6) => format!("{field}:{number}"),
        _ => format!("{field}:{}", pattern(dice, text)),
    }
}

/// A range of texts that ends at `text`, or at some beginning of it.
fn text_range(dice: &mut Dice, text: &str) -> String {
    let length = if dice.percent(50) { 40 } else { 1 + dice.below(3) };
    let end: String = text.chars().take(length).collect();
    let end = quoted(if end.is_empty() { "a" } else { &end });
    match dice.below(6) {
        0 => format!(">{end}"),
        1 => format!(">={end}"),
        2 => format!("<{end}"),
        3 => format!("<={end}"),
        4 => format!("{{{end} TO *]"),
        _ => format!("[* TO {end}}}"),
    }
}

/// A pattern that `value`, or something like it, matches whole.
fn pattern(dice: &mut Dice, value: &str) -> String {
    if value.len() > 500 {
        // Around the place where long values are cut.
        return wildcard(dice, value);
    }
    match dice.below(6) {
        0 | 1 => quoted(&other_case(dice, value)),
        2 if !value.is_empty() => bare(&other_case(dice, value)),
        3 => regex(dice, value),
        _ => wildcard(dice, value),
    }
}

/// `value` with some of it replaced by `*` or `?`, at any place.
fn wildcard(dice: &mut Dice, value: &str) -> String {
    let folded = text::fold_value(value);
    let chars: Vec<char> = folded.chars().collect();
    if chars.len() > 100 {
        let end: String = chars[chars.len() - 5..].iter().collect();
        let start: String = chars[..5].iter().collect();
        return dice
            .pick(&[format!("{}*", bare(&start)), format!("*{}", bare(&end)), format!("?*{}", bare(&end))])
            .clone();
    }
    let from = dice.below(chars.len() + 1);
    let to = (from + dice.below(4)).min(chars.len());
    let (start, end): (String, String) = (chars[..from].iter().collect(), chars[to..].iter().collect());
    let end =
        if dice.percent(25) { format!("{}*", bare(&end.chars().take(2).collect::<String>())) } else { bare(&end) };
    match dice.below(3) {
        0 => format!("{}{}{end}?", bare(&start), "?".repeat(to - from)).trim_end_matches('?').to_owned() + "*",
        1 => format!("{}{}{end}", bare(&start), "?".repeat((to - from).max(1))),
        _ => format!("{}*{end}", bare(&start)),
    }
}

/// A regex that `value`, or something like it, matches whole.
fn regex(dice: &mut Dice, value: &str) -> String {
    let chars: Vec<char> = value.chars().take(60).collect();
    let from = dice.below(chars.len() + 1);
    let to = (from + dice.below(4)).min(chars.len());
    let (start, end): (String, String) = (chars[..from].iter().collect(), chars[to..].iter().collect());
    let middle = dice.text_of(&[".*", ".", "\\w+", "[a-z0-9]*", "(x|.?)", ".{2}", "[^a]+", "x?", "\\d*"]);
    format!("/{}{middle}{}/", regex_text(&start), regex_text(&end))
}

fn regex_text(text: &str) -> String {
    regex_syntax::escape(text).replace('/', "\\/")
}

/// The same text in another case or composition, or as it is.
fn other_case(dice: &mut Dice, text: &str) -> String {
    match dice.below(4) {
        0 => text.to_uppercase(),
        1 => text.to_lowercase(),
        2 => text.replace('é', "e\u{301}"),
        _ => text.to_owned(),
    }
}

/// Unquoted, with every character escaped that could mean something.
fn bare(text: &str) -> String {
    text.chars().flat_map(|c| (!c.is_alphanumeric()).then_some('\\').into_iter().chain([c])).collect()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
