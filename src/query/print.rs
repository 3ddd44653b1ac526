//! The one canonical text of a query.

use std::fmt::{self, Display, Formatter, Write};

use super::filter::Filter;
use super::{Node, Query};

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Node::All => f.write_str("*"),
            Node::And(members) => joined(members, " ", f),
            Node::Or(members) => joined(members, " OR ", f),
            Node::Not(member) => {
                f.write_char('-')?;
                grouped(member, f)
            }
            Node::Fixed(member) => grouped(member, f),
            Node::Filter(filter) => filter.fmt(f),
        }
    }
}

fn joined(members: &[Node], separator: &str, f: &mut Formatter<'_>) -> fmt::Result {
    for (n, member) in members.iter().enumerate() {
        if n > 0 {
            f.write_str(separator)?;
        }
        grouped(member, f)?;
    }
    Ok(())
}

/// With parentheses around what consists of several. AND binds tighter than OR, but who reads it need not know.
fn grouped(member: &Node, f: &mut Formatter<'_>) -> fmt::Result {
    match member {
        Node::And(_) | Node::Or(_) => write!(f, "({member})"),
        Node::All | Node::Not(_) | Node::Fixed(_) | Node::Filter(_) => member.fmt(f),
    }
}

impl Display for Filter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Filter::Words(words) => words.fmt(f),
            Filter::Value(value) => value.fmt(f),
            Filter::Actor(actor) => actor.fmt(f),
            Filter::Action(action) => action.fmt(f),
            Filter::TargetType(target_type) => target_type.fmt(f),
            Filter::Time(range) => range.print("time", f),
            Filter::Received(range) => range.print("received", f),
            Filter::Seq(range) => range.fmt(f),
            Filter::Ip(ip) => ip.fmt(f),
            Filter::Change(change) => change.fmt(f),
            Filter::Detail(detail) => detail.fmt(f),
            Filter::Has(has) => has.fmt(f),
        }
    }
}

/// ASCII that means nothing anywhere in a word; all other ASCII is escaped or quoted.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.@/+',".contains(c) || (!c.is_ascii() && !c.is_whitespace())
}

/// `-` and `/` mean something only in front, and `+` in front of a word.
fn is_plain_first(c: char) -> bool {
    is_plain(c) && !"-/+".contains(c)
}

/// `text` unquoted, with backslashes where needed; `first` where it begins a word.
pub(super) fn bare(text: &str, first: bool, f: &mut Formatter<'_>) -> fmt::Result {
    for (n, c) in text.chars().enumerate() {
        let plain = if first && n == 0 { is_plain_first(c) } else { is_plain(c) };
        if !plain {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    Ok(())
}

/// The value `text` of a field: as it is where that is safe, else quoted.
pub(super) fn value(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    let is_safe = |c: char| is_plain(c) || c == ':';
    let is_safe_first = |c: char| is_plain_first(c) || c == '+';
    let safe = text.chars().next().is_some_and(is_safe_first) && text.chars().all(is_safe) && !text.contains("..");
    if safe { f.write_str(text) } else { quoted(text, f) }
}

/// `"text"`.
pub(super) fn quoted(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}

/// `/source/`.
pub(super) fn regex(source: &str, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char('/')?;
    let mut chars = source.chars();
    while let Some(c) = chars.next() {
        match c {
            '/' => f.write_str("\\/")?,
            '\\' => {
                f.write_char(c)?;
                chars.next().map_or(Ok(()), |escaped| f.write_char(escaped))?;
            }
            _ => f.write_char(c)?,
        }
    }
    f.write_char('/')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Env, parse};
    use crate::event::Catalogue;

    /// Pieces that mean something, and pieces that only look so.
    const PIECES: [&str; 64] = [
        " ",
        " ",
        " ",
        " ",
        " OR ",
        " && ",
        " NOT ",
        "-",
        "(",
        ")",
        "\"",
        "\\",
        "*",
        "?",
        "~",
        "/",
        ":",
        ">",
        "<",
        "=",
        "..",
        "[",
        "]",
        "{",
        "}",
        " TO ",
        "a",
        "B",
        "é",
        "ς",
        "東京",
        "क्षि",
        "٣",
        "e\u{301}",
        "\u{a0}",
        "7",
        "-1.5e3",
        "2026-11-01",
        "2026-11",
        "T10:00",
        "+01:00",
        "24h",
        "actor:",
        "action:",
        "contact",
        "contacts",
        ".*",
        "target:",
        "tenant:",
        "target_type:",
        "ip:",
        "10.0.0.0/8",
        "::1",
        "time:",
        "seq:",
        "change:",
        "detail.x:",
        "detail.Y.z:",
        "_exists_:",
        "reason:*",
        "email:",
        "x@y.org",
        "null",
        "+",
    ];

    /// Whole filters, so that many texts can be read.
    fn filter() -> impl Strategy<Value = String> {
        let field = prop::sample::select(vec![
            "actor",
            "action",
            "target",
            "target_type",
            "tenant",
            "id",
            "source",
            "email",
            "ip",
            "change",
            "detail.a.B",
            "user_agent",
        ]);
        let quote = |text: String| text.replace('\\', "\\\\").replace('"', "\\\"");
        let escape = |text: String| text.chars().flat_map(|c| ['\\', c]).collect::<String>();
        prop_oneof![
            (field.clone(), any::<String>()).prop_map(move |(f, v)| format!("{f}:\"x{}\"", quote(v))),
            (field, "[a-zäς*?_.@/-]{1,12}").prop_map(|(f, v)| format!("{f}:x{v}")),
            prop::collection::vec(prop::sample::select(vec!["/", "\\/", "\\/", "a", "*", "?", "-", ".."]), 1..7)
                .prop_map(|pieces| format!("actor:{}", pieces.concat())),
            any::<String>().prop_map(move |v| format!("w{}", escape(v))),
            any::<String>().prop_map(move |v| format!("\"w{}\"", quote(v))),
            (any::<u64>(), any::<u64>()).prop_map(|(a, b)| format!("seq:{}..{}", a.min(b), a.max(b))),
            (any::<i32>(), any::<f32>()).prop_map(|(a, b)| format!("detail.n:{{{a} TO {b:e}]")),
            (".{0,5}", ".{0,5}").prop_map(move |(a, b)| format!("detail.t:[\"{}\" TO \"{}\"}}", quote(a), quote(b))),
            ("[<>]=?", ".{0,5}").prop_map(move |(op, a)| format!("detail.t:{op}\"{}\"", quote(a))),
            ("[0-9a-f.:]{1,9}", 0..140_u8).prop_map(|(a, bits)| format!("detail.t:{a}/{bits}")),
            (0..4000_i64).prop_map(|days| format!("time:<={days}d")),
            "[a-zA-Z東é]{1,9}~[12]?".prop_map(|word| word),
            (".{0,5}", ".{0,5}").prop_map(move |(a, b)| format!("change:f=\"{}\">\"{}\"", quote(a), quote(b))),
            prop::collection::vec(prop::sample::select(&PIECES[..]), 1..8).prop_map(|pieces| pieces.concat()),
        ]
    }

    fn text() -> impl Strategy<Value = String> {
        let tree = filter().prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.join(" ")),
                prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join(" OR "))),
                inner.clone().prop_map(|part| format!("-({part})")),
                inner.clone().prop_map(|part| format!("!({part}) || +{part}")),
                inner.prop_map(|part| format!("NOT {part}")),
            ]
        });
        prop_oneof![
            tree,
            prop::collection::vec(prop::sample::select(&PIECES[..]), 0..20).prop_map(|pieces| pieces.concat()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_can_be_read_is_printed_so_that_it_reads_the_same(text in text()) {
            let env = Env { now_ms: 1_795_181_527_412, catalogue: Catalogue::builtin() };
            if let Ok(query) = parse(&text, &env) {
                let printed = query.to_string();
                let again = parse(&printed, &env);
                prop_assert_eq!(again.as_ref(), Ok(&query), "{:?} -> {:?}", text, printed);
                prop_assert_eq!(query.to_string(), printed);
            }
        }

        #[test]
        fn no_text_brings_the_reader_down(text in any::<String>()) {
            let env = Env { now_ms: u64::MAX, catalogue: Catalogue::builtin() };
            if let Err(error) = parse(&text, &env) {
                prop_assert!(error.at <= text.chars().count(), "{error:?}");
            }
        }
    }
}
