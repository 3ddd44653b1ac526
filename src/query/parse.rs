//! Text to tree: words, quotes, parentheses, AND, OR, NOT. What stands behind `field:` is read by the field's filter.
//!
//! AND binds tighter than OR and may be left out. A parenthesis behind `field:` holds values of that field.

use std::cell::Cell;

use super::error::{ParseError, code};
use super::filter::{Action, Actor, Change, Detail, Filter, Has, Ip, SeqRange, TargetType, TimeRange, Value, Words};
use super::lex::{Cursor, Raw, Shape, is};
use super::limits::{DEPTH_MAX, FILTERS_MAX, NESTING_MAX, QUERY_BYTES_MAX, QUERY_INSTRUCTIONS_MAX, QUERY_STATES_MAX};
use super::values::{Member, ValueField};
use super::{Env, Node, Query};
use crate::text;

/// Reads a query text. An empty one means every entry.
pub fn parse(text: &str, env: &Env<'_>) -> Result<Query, ParseError> {
    let reading = Reading::new(env);
    finish(vec![read(text, &reading)?])
}

/// What one query may still use while it is read.
pub(super) struct Reading<'a> {
    pub env: &'a Env<'a>,
    instructions_left: Cell<usize>,
    states_left: Cell<usize>,
    filters_left: Cell<usize>,
}

impl<'a> Reading<'a> {
    pub fn new(env: &'a Env<'a>) -> Reading<'a> {
        Reading {
            env,
            instructions_left: Cell::new(QUERY_INSTRUCTIONS_MAX),
            states_left: Cell::new(QUERY_STATES_MAX),
            filters_left: Cell::new(FILTERS_MAX),
        }
    }

    /// Counts the instructions of a pattern that is about to be built; false if there are too many.
    pub fn spend_instructions(&self, instructions: usize) -> bool {
        spend(&self.instructions_left, instructions)
    }

    /// Counts the states of an automaton; false if there are too many.
    pub fn spend_states(&self, states: usize) -> bool {
        spend(&self.states_left, states)
    }
}

fn spend(left: &Cell<usize>, amount: usize) -> bool {
    let rest = left.get().checked_sub(amount);
    left.set(rest.unwrap_or(0));
    rest.is_some()
}

/// One text to a node. The caller finishes the whole query.
pub(super) fn read(text: &str, reading: &Reading<'_>) -> Result<Node, ParseError> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(too_long(text.len()));
    }
    refuse_nul(text)?;
    let mut parser = Parser { cursor: Cursor::new(text), reading, open: 0 };
    parser.cursor.skip_spaces();
    if parser.cursor.rest().is_empty() {
        return Ok(Node::All);
    }
    let node = parser.any_of(None)?;
    match parser.cursor.peek() {
        None => Ok(node),
        Some(c) => Err(ParseError::syntax(
            parser.cursor.at,
            format!("unexpected \"{c}\""),
            "expected the end of the query: no parenthesis is open",
        )),
    }
}

/// No event holds a NUL, and an index separates the parts of its terms with it.
pub(super) fn refuse_nul(text: &str) -> Result<(), ParseError> {
    match text.find('\0') {
        Some(at) => Err(ParseError::syntax(at, "NUL character", "expected a text without it")),
        None => Ok(()),
    }
}

/// Joins what was read and checks what only the whole can tell.
pub(super) fn finish(members: Vec<Node>) -> Result<Query, ParseError> {
    let query = Query { root: Node::and(members) };
    let depth = query.root.depth();
    if depth > DEPTH_MAX {
        return Err(too_deep(0));
    }
    // Escapes and resolved times make the printed form longer; it has to be readable again.
    let printed = query.to_string().len();
    if printed > QUERY_BYTES_MAX { Err(too_long(printed)) } else { Ok(query) }
}

fn too_long(bytes: usize) -> ParseError {
    ParseError::new(
        code::QUERY_TOO_LONG,
        QUERY_BYTES_MAX,
        format!("query of {bytes} bytes, written out in full, goes on"),
        format!("expected at most {QUERY_BYTES_MAX} bytes"),
    )
}

fn too_deep(at: usize) -> ParseError {
    ParseError::new(
        code::QUERY_TOO_DEEP,
        at,
        "query nested too deeply",
        format!("expected at most {DEPTH_MAX} levels of AND, OR and NOT"),
    )
}

/// A name before a colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Value(ValueField),
    Actor,
    Action,
    TargetType,
    Time,
    Received,
    Seq,
    Ip,
    Change,
    Has,
    /// Folded path.
    Detail(String),
    /// Only `name:*`.
    Presence(Member),
}

/// Names that are not a [`ValueField`]'s own.
const OTHER_FIELDS: [&str; 16] = [
    "actor",
    "action",
    "target_type",
    "time",
    "received",
    "seq",
    "ip",
    "change",
    "has",
    "reason",
    "related",
    "changes",
    "subjects",
    "request_id",
    "session_id",
    "detail",
];

impl Field {
    /// The field called `name`, if there is one. `path` is what stands behind `detail.`.
    pub fn named(name: &str) -> Option<Field> {
        if let Some(path) = name.strip_prefix("detail.") {
            return (!path.is_empty()).then(|| Field::Detail(text::fold(path).into_owned()));
        }
        if let Some(field) = ValueField::ALL.into_iter().find(|field| field.as_str() == name) {
            return Some(Field::Value(field));
        }
        match name {
            "actor" => Some(Field::Actor),
            "action" => Some(Field::Action),
            "target_type" => Some(Field::TargetType),
            "time" => Some(Field::Time),
            "received" => Some(Field::Received),
            "seq" => Some(Field::Seq),
            "ip" => Some(Field::Ip),
            "change" => Some(Field::Change),
            "has" => Some(Field::Has),
            "request_id" => Some(Field::Value(ValueField::Request)),
            "session_id" => Some(Field::Value(ValueField::Session)),
            "reason" => Some(Field::Presence(Member::Reason)),
            "related" => Some(Field::Presence(Member::Related)),
            "changes" => Some(Field::Presence(Member::Changes)),
            "subjects" => Some(Field::Presence(Member::Subjects)),
            "detail" => Some(Field::Presence(Member::Detail)),
            _ => None,
        }
    }

    /// What `field:*` means.
    fn present(&self) -> Node {
        let has = |member| Node::Filter(Filter::Has(Has(member)));
        match self {
            Field::Value(field) => field.member().map_or(Node::All, has),
            Field::TargetType => has(Member::TargetType),
            Field::Ip => has(Member::Ip),
            Field::Change => has(Member::Changes),
            Field::Detail(path) => Node::Filter(Detail::exists(path)),
            Field::Presence(member) => has(*member),
            // Every entry has these.
            Field::Actor | Field::Action | Field::Time | Field::Received | Field::Seq | Field::Has => Node::All,
        }
    }

    /// Whether quotes protect only a part of the value, as in `change:role="on hold">admin`.
    fn has_parts(&self) -> bool {
        *self == Field::Change
    }

    /// `field:raw`. Ranges of numbers are looked for in `detail` only if `ranges`.
    pub fn read(&self, raw: &Raw, ranges: bool, reading: &Reading<'_>) -> Result<Node, ParseError> {
        if raw.is_star() {
            return Ok(self.present());
        }
        count_filter(raw.at, reading)?;
        let filter = match self {
            Field::Value(field) => Value::parse(*field, raw, reading)?,
            Field::Actor => Actor::parse(raw, reading)?,
            Field::Action => Action::parse(raw, reading)?,
            Field::TargetType => TargetType::parse(raw, reading)?,
            Field::Time => Filter::Time(TimeRange::parse(raw, reading.env)?),
            Field::Received => Filter::Received(TimeRange::parse(raw, reading.env)?),
            Field::Seq => SeqRange::parse(raw)?,
            Field::Ip => Ip::parse(raw, reading)?,
            Field::Change => Change::parse(raw, reading)?,
            Field::Has => Has::parse(raw)?,
            Field::Detail(path) if ranges => Detail::parse(path, raw, reading)?,
            Field::Detail(path) => Detail::parse_value(path, raw, reading)?,
            Field::Presence(member) => return Err(only_presence(*member, raw)),
        };
        Ok(Node::Filter(filter))
    }
}

fn only_presence(member: Member, raw: &Raw) -> ParseError {
    let name = member.as_str();
    let expected = match member {
        Member::Detail => "detail.path:value, detail:* or has:detail".to_owned(),
        Member::Changes => "change:field, changes:* or has:changes".to_owned(),
        _ => format!("only {name}:*; its words are found without a field"),
    };
    ParseError::value(raw.at, format!("{name}:{}", raw.text()), format!("expected {expected}"))
}

fn count_filter(at: usize, reading: &Reading<'_>) -> Result<(), ParseError> {
    if spend(&reading.filters_left, 1) {
        return Ok(());
    }
    Err(ParseError::new(
        code::TOO_MANY_FILTERS,
        at,
        "one filter too many",
        format!("expected at most {FILTERS_MAX} in a query"),
    ))
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    reading: &'a Reading<'a>,
    /// Parentheses and negations around the current place.
    open: usize,
}

impl Parser<'_> {
    /// `a b OR c`, up to a closing parenthesis or the end. In a `field:(…)`, words are values of the field.
    fn any_of(&mut self, field: Option<&Field>) -> Result<Node, ParseError> {
        let mut choices = vec![self.all_of(field)?];
        while self.cursor.eat_keyword("OR") {
            choices.push(self.all_of(field)?);
        }
        Ok(Node::or(choices))
    }

    fn all_of(&mut self, field: Option<&Field>) -> Result<Node, ParseError> {
        let mut members = vec![self.one(field)?];
        loop {
            self.cursor.skip_spaces();
            let joined = self.cursor.eat_keyword("AND");
            if !joined && self.at_end() {
                return Ok(Node::and(members));
            }
            members.push(self.one(field)?);
        }
    }

    fn at_end(&self) -> bool {
        matches!(self.cursor.peek(), None | Some(')')) || self.cursor.at_keyword("OR")
    }

    fn one(&mut self, field: Option<&Field>) -> Result<Node, ParseError> {
        self.cursor.skip_spaces();
        let start = self.cursor.at;
        if self.cursor.eat_keyword("NOT") {
            return self.nested(start, |parser| parser.one(field)).map(Node::negate);
        }
        if self.cursor.eat('-') {
            if self.cursor.peek().is_none_or(|c| c.is_whitespace() || c == ')') {
                return Err(ParseError::syntax(start, "\"-\" alone", "expected directly behind it what to exclude"));
            }
            return self.nested(start, |parser| parser.one(field)).map(Node::negate);
        }
        for keyword in ["AND", "OR"] {
            if self.cursor.at_keyword(keyword) {
                return Err(ParseError::syntax(
                    start,
                    format!("{keyword} with nothing before it"),
                    "expected a word or a field; quote it to search for the word",
                ));
            }
        }
        match self.cursor.peek() {
            None => Err(ParseError::syntax(start, "end of the query", "expected a word or a field")),
            Some(')') => Err(ParseError::syntax(start, "unexpected \")\"", "expected a word or a field")),
            Some('(') => self.group(field),
            Some(_) => match field {
                Some(field) => {
                    let raw = self.cursor.value(field.has_parts())?;
                    field.read(&raw, true, self.reading)
                }
                None => self.word_or_field(),
            },
        }
    }

    fn group(&mut self, field: Option<&Field>) -> Result<Node, ParseError> {
        let start = self.cursor.at;
        self.cursor.eat('(');
        let node = self.nested(start, |parser| parser.any_of(field))?;
        if !self.cursor.eat(')') {
            return Err(ParseError::syntax(start, "parenthesis without an end", "expected a closing )"));
        }
        Ok(node)
    }

    fn nested(
        &mut self,
        at: usize,
        inner: impl FnOnce(&mut Self) -> Result<Node, ParseError>,
    ) -> Result<Node, ParseError> {
        self.open += 1;
        if self.open > NESTING_MAX {
            return Err(too_deep(at));
        }
        let node = inner(self);
        self.open -= 1;
        node
    }

    fn word_or_field(&mut self) -> Result<Node, ParseError> {
        let raw = match self.cursor.peek() {
            Some('"') => self.cursor.quoted()?,
            Some('/') => self.cursor.regex()?,
            _ => {
                let name = self.cursor.bare(true)?;
                if self.cursor.peek() == Some(':') {
                    return self.field_value(&name);
                }
                name
            }
        };
        self.cursor.expect_end(&raw)?;
        if raw.is_star() {
            return Ok(Node::All);
        }
        count_filter(raw.at, self.reading)?;
        Words::parse(&raw, self.reading).map(Node::Filter)
    }

    fn field_value(&mut self, name: &Raw) -> Result<Node, ParseError> {
        let field = field(name)?;
        self.cursor.eat(':');
        match self.cursor.peek() {
            Some('(') => self.group(Some(&field)),
            None => Err(no_value(name, self.cursor.at)),
            Some(c) if c.is_whitespace() || c == ')' => Err(no_value(name, self.cursor.at)),
            Some(_) => {
                let raw = self.cursor.value(field.has_parts())?;
                field.read(&raw, true, self.reading)
            }
        }
    }
}

fn no_value(name: &Raw, at: usize) -> ParseError {
    let name = name.text();
    ParseError::syntax(at, format!("nothing behind \"{name}:\""), format!("expected a value, or {name}:* for any"))
}

fn field(name: &Raw) -> Result<Field, ParseError> {
    let text = name.text();
    if let Some(wildcard) = name.chars.iter().find(|char| is(char, '*') || is(char, '?')) {
        return Err(ParseError::new(
            code::UNKNOWN_FIELD,
            wildcard.at,
            format!("wildcard in the field name \"{text}\""),
            "expected a field's whole name; quote a text that contains a colon",
        ));
    }
    Field::named(&text).ok_or_else(|| unknown_field(&text, name.at))
}

fn unknown_field(name: &str, at: usize) -> ParseError {
    let values = ValueField::ALL.map(ValueField::as_str);
    let names: Vec<&str> = OTHER_FIELDS.iter().chain(&values).copied().collect();
    let expected = match name {
        "" => "expected a field's name before the colon; quote a text that contains a colon".to_owned(),
        "detail." => "expected a path, as in detail.plan:pro".to_owned(),
        "name" => "did you mean actor_name or target_name?".to_owned(),
        "user" => "did you mean actor?".to_owned(),
        _ => did_you_mean(name, &names).unwrap_or_else(|| {
            "expected a field such as actor or action; quote a text that contains a colon".to_owned()
        }),
    };
    ParseError::new(code::UNKNOWN_FIELD, at, format!("unknown field \"{name}\""), expected)
}

/// `did you mean actor?`, if one of `names` is near.
pub(super) fn did_you_mean(found: &str, names: &[&str]) -> Option<String> {
    let found = found.to_lowercase();
    let near = names.iter().map(|name| (edits(&found, name), name)).min()?;
    let allowed = if found.chars().count() <= 3 { 1 } else { 2 };
    (near.0 <= allowed).then(|| format!("did you mean {}?", near.1))
}

/// Characters to insert, remove or replace to get from `a` to `b`. Names are short; a longer `a` is nothing's misspelling.
fn edits(a: &str, b: &str) -> usize {
    const NAME_BYTES_MAX: usize = 32;
    if a.len() > NAME_BYTES_MAX {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// A parameter's value: `*` and `?` are wildcards, a backslash takes the next character literally.
pub(super) fn parameter(value: &str) -> Raw {
    let mut chars = Vec::new();
    let mut rest = value.char_indices();
    while let Some((at, c)) = rest.next() {
        // A backslash before anything else is itself: values of parameters come from machines.
        let escaped = (c == '\\').then(|| rest.clone().next()).flatten().filter(|(_, c)| "*?\\".contains(*c));
        if let Some((_, c)) = escaped {
            rest.next();
            chars.push(super::lex::Char { c, literal: true, at });
        } else {
            chars.push(super::lex::Char { c, literal: false, at });
        }
    }
    Raw::new(0, Shape::Bare, chars)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Catalogue;

    /// 2026-11-20T13:32:07.412Z.
    const NOW_MS: u64 = 1_795_181_527_412;

    fn parsed(text: &str) -> Result<Query, ParseError> {
        parse(text, &Env { now_ms: NOW_MS, catalogue: Catalogue::builtin() })
    }

    #[test]
    fn every_text_has_one_canonical_form_that_reads_the_same() {
        let table = [
            ("", "*"),
            ("  ", "*"),
            ("*", "*"),
            ("Maya  \"Shift lead\" refun* -test", "maya \"shift lead\" refun* -test"),
            ("a AND b OR c AND NOT d", "(a b) OR (c -d)"),
            ("a (b c) d", "a b c d"),
            ("a (b OR (c OR d))", "a (b OR c OR d)"),
            ("NOT NOT a", "a"),
            ("-(a b)", "-(a b)"),
            ("-*", "-*"),
            ("and or not", "and or not"),
            ("maya@example.com +14155550123 c_8FQ2M0", "maya@example.com +14155550123 c_8fq2m0"),
            ("wrod~ misspelling~ mispelling~1", "wrod~ misspelling~ mispelling~1"),
            ("/Ab+c/", "/Ab+c/"),
            ("/a\\/b/", "/a\\/b/"),
            ("\"quoted * is literal\"", "\"quoted * is literal\""),
            ("foo\\:bar \\*x", "foo\\:bar \\*x"),
            ("\"say \\\"hi\\\"\"", "\"say \\\"hi\\\"\""),
            ("東京 -מאיה", "東京 -מאיה"),
            ("actor:u_81", "actor:u_81"),
            ("actor:User/U_81", "actor:user/u_81"),
            ("actor:(a OR b)", "actor:a OR actor:b"),
            ("actor:(a OR b -c)", "actor:a OR (actor:b -actor:c)"),
            ("x actor:(a OR b)", "x (actor:a OR actor:b)"),
            ("actor:arn:aws:iam::1:user/x", "actor:arn:aws:iam::1:user/x"),
            ("actor:*", "*"),
            ("action:contacts", "action:contacts"),
            ("action:contact.*", "action:contact.*"),
            ("action:Contact.Deleted", "action:contact.deleted"),
            ("action:\"contact.deleted\"", "action:contact.deleted"),
            ("action:ConsoleLogin", "action:consolelogin"),
            ("action:\"ConsoleLogin\"", "action:\"consolelogin\""),
            (
                "target:c_9 target_type:did tenant:Acme outcome:Failure",
                "target:c_9 target_type:did tenant:Acme outcome:failure",
            ),
            ("request_id:r_9 session_id:s_4", "request:r_9 session:s_4"),
            ("email:*@Acme.com", "email:*@acme.com"),
            ("user_agent:\"Mozilla/5.0 (X11)\"", "user_agent:\"mozilla/5.0 (x11)\""),
            ("ip:203.0.113.77/24", "ip:203.0.113.0/24"),
            ("ip:203.0.113.7", "ip:203.0.113.7"),
            ("ip:::ffff:203.0.113.7", "ip:203.0.113.7"),
            ("ip:2001:DB8:0:0::1", "ip:2001:db8::1"),
            ("ip:2001:db8::/32", "ip:2001:db8::/32"),
            ("ip:\"AWS Internal\"", "ip:\"aws internal\""),
            ("ip:203.0.*", "ip:203.0.*"),
            ("seq:100..200", "seq:100..200"),
            ("seq:[100 TO 200}", "seq:100..199"),
            ("seq:7", "seq:7"),
            ("seq:>7", "seq:>=8"),
            ("seq:<7", "seq:0..6"),
            ("seq:<=18446744073709551615", "seq:>=0"),
            ("time:2026-11-01..2026-11-08", "time:2026-11-01T00:00:00.000Z..2026-11-08T00:00:00.000Z"),
            ("time:2026-11-01", "time:2026-11-01T00:00:00.000Z..2026-11-02T00:00:00.000Z"),
            ("time:2026-12", "time:2026-12-01T00:00:00.000Z..2027-01-01T00:00:00.000Z"),
            ("time:2026-11-01T10:00", "time:2026-11-01T10:00:00.000Z..2026-11-01T10:01:00.000Z"),
            ("time:>=2026-11-01T10:00+01:00", "time:>=2026-11-01T09:00:00.000Z"),
            ("time:>2026-11-01T10:00:00.1239Z", "time:>=2026-11-01T10:00:00.124Z"),
            ("time:>2026-11-01", "time:>=2026-11-02T00:00:00.000Z"),
            ("time:<=2026-11-01", "time:<2026-11-02T00:00:00.000Z"),
            ("time:[2026-11-01 TO 2026-11-02]", "time:2026-11-01T00:00:00.000Z..2026-11-03T00:00:00.000Z"),
            ("time:24h", "time:>=2026-11-19T13:32:07.412Z"),
            ("time:7d..24h", "time:2026-11-13T13:32:07.412Z..2026-11-19T13:32:07.412Z"),
            ("received:30m", "received:>=2026-11-20T13:02:07.412Z"),
            ("change:role=Agent>admin", "change:role=agent>admin"),
            ("change:status>approved", "change:status>approved"),
            ("change:\"a=b\"=\"on hold\">\"\"", "change:\"a=b\"=\"on hold\">\"\""),
            ("change:/ro.*/", "change:/ro.*/"),
            ("change:*", "has:changes"),
            ("has:changes reason:* NOT target:*", "has:changes has:reason -has:target"),
            ("detail.amount:>100", "detail.amount:>100"),
            ("detail.amount:-5..5", "detail.amount:[-5 TO 5]"),
            ("detail.code:[400 TO 499]", "detail.code:[400 TO 499]"),
            ("detail.code:{400 TO *}", "detail.code:>400"),
            ("detail.userIdentity.arn:*root*", "detail.useridentity.arn:*root*"),
            ("detail.file:../etc", "detail.file:\"../etc\""),
            ("detail.x:*", "detail.x:*"),
            ("detail.a\\:b:c", "detail.a\\:b:c"),
            ("detail.plan:(pro OR team)", "detail.plan:pro OR detail.plan:team"),
            ("target_name:***a", "target_name:*a"),
            ("target:\"*\"", "target:\"*\""),
            ("target:\"\"", "target:\"\""),
        ];
        for (text, canonical) in table {
            let query = parsed(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(query.to_string(), canonical, "{text}");
            assert_eq!(parsed(canonical).as_ref(), Ok(&query), "{text} -> {canonical}");
        }
    }

    #[test]
    fn an_error_says_where_what_was_found_and_what_was_expected() {
        let table = [
            ("maya actr:u_81", 5, code::UNKNOWN_FIELD, "unknown field \"actr\" at 5; did you mean actor?"),
            ("https://x.org", 0, code::UNKNOWN_FIELD, "quote a text that contains a colon"),
            (":x", 0, code::UNKNOWN_FIELD, "expected a field's name"),
            ("Actor:u_81", 0, code::UNKNOWN_FIELD, "did you mean actor?"),
            ("tar*:x", 3, code::UNKNOWN_FIELD, "wildcard in the field name"),
            ("detail.:x", 0, code::UNKNOWN_FIELD, "expected a path"),
            ("detail:x", 7, code::BAD_VALUE, "detail.path:value"),
            ("a \"b", 2, code::SYNTAX, "closing \""),
            ("(a b", 0, code::SYNTAX, "closing )"),
            ("a b)", 3, code::SYNTAX, "no parenthesis is open"),
            ("()", 1, code::SYNTAX, "expected a word"),
            ("a OR", 4, code::SYNTAX, "end of the query"),
            ("OR a", 0, code::SYNTAX, "OR with nothing before it"),
            ("a AND AND b", 6, code::SYNTAX, "AND with nothing before it"),
            ("a - b", 2, code::SYNTAX, "\"-\" alone"),
            ("actor: x", 6, code::SYNTAX, "nothing behind \"actor:\""),
            ("actor:\"a\"b", 9, code::SYNTAX, "right behind"),
            ("foo(bar)", 3, code::SYNTAX, "expected a space"),
            ("a\0b", 1, code::SYNTAX, "NUL"),
            ("x\\", 1, code::SYNTAX, "backslash at the end"),
            ("/api/v1", 0, code::SYNTAX, "quote a text that begins with a slash"),
            ("/api", 0, code::SYNTAX, "closing /"),
            ("a &", 2, code::BAD_VALUE, "no letter or digit"),
            ("reason:late", 7, code::BAD_VALUE, "only reason:*"),
            ("has:chnges", 4, code::BAD_VALUE, "did you mean changes?"),
            ("outcome:sucess", 8, code::BAD_VALUE, "did you mean success?"),
            ("outcome:broken", 8, code::BAD_VALUE, "success, failure, denied, unknown"),
            ("tenant:ac*", 7, code::BAD_VALUE, "exact name"),
            ("time:yesterday", 5, code::BAD_VALUE, "expected a time"),
            ("time:2026-13-01", 5, code::BAD_VALUE, "expected a time"),
            ("time:2026-11-01..2026-02-30", 17, code::BAD_VALUE, "expected a time"),
            ("time:2026-11-02..2026-11-01", 5, code::EMPTY_RANGE, "earlier time first"),
            ("seq:9..3", 4, code::EMPTY_RANGE, "smaller number first"),
            ("seq:<0", 4, code::EMPTY_RANGE, "smaller number first"),
            ("seq:x", 4, code::BAD_VALUE, "expected a number"),
            ("ip:10.0.0.0/33", 3, code::BAD_VALUE, "network"),
            ("change:=x", 7, code::BAD_VALUE, "nothing here"),
            ("change:role=", 12, code::BAD_VALUE, "nothing here"),
            ("detail.n:>abc", 10, code::BAD_VALUE, "expected a number"),
            ("detail.n:[5 TO 1]", 9, code::EMPTY_RANGE, "smaller number first"),
            ("target:[a TO b]", 7, code::BAD_VALUE, "takes no ranges"),
            ("target:/^a/", 8, code::BAD_REGEX, "anchor at the start"),
            ("/ab$/", 3, code::BAD_REGEX, "anchor at the end"),
            ("/a\\bc/", 2, code::BAD_REGEX, "word border"),
            ("/xa+?/", 3, code::BAD_REGEX, "lazy quantifier"),
            ("/(?U)a/", 3, code::BAD_REGEX, "flag"),
            ("/a(?=b)/", 2, code::BAD_REGEX, "look-ahead"),
            ("/a(b/", 2, code::BAD_REGEX, "unclosed group"),
            ("/東(b/", 4, code::BAD_REGEX, "unclosed group"),
            ("/(a{1000}){1000}/", 0, code::PATTERN_TOO_COMPLEX, "use fewer"),
            ("target:*a????????????????", 7, code::PATTERN_TOO_COMPLEX, "use fewer"),
        ];
        for (text, at, code, part) in table {
            let error = parsed(text).expect_err(text);
            assert_eq!((error.at, error.code), (at, code), "{text}: {error}");
            assert!(error.message.contains(part), "{text}: {error}");
            assert!(error.message.contains(&format!(" at {at}; ")), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused_by_name() {
        let deep = |n: usize| "(a OR b ".repeat(n) + &")".repeat(n);
        let many = |n: usize| "a ".repeat(n);
        let states = "email:*a????? ".repeat(300);
        for (text, expected) in [
            ("x".repeat(QUERY_BYTES_MAX + 1), code::QUERY_TOO_LONG),
            // The printed form of a relative time is longer than what was typed.
            ("time:24h ".repeat(800), code::QUERY_TOO_LONG),
            (deep(20), code::QUERY_TOO_DEEP),
            ("-".repeat(65) + "a", code::QUERY_TOO_DEEP),
            ("(".repeat(3000), code::QUERY_TOO_DEEP),
            (many(FILTERS_MAX + 1), code::TOO_MANY_FILTERS),
            (states, code::PATTERN_TOO_COMPLEX),
            ("\"".to_owned() + &many(129) + "\"", code::BAD_VALUE),
            ("x".repeat(65) + "~", code::PATTERN_TOO_COMPLEX),
        ] {
            assert_eq!(parsed(&text).expect_err(&text).code, expected, "{}", &text[..40]);
        }
        assert!(parsed(&deep(16)).is_ok());
        assert!(parsed(&many(FILTERS_MAX)).is_ok());
    }
}
