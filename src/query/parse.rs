//! Text to tree: words, quotes, parentheses, AND, OR, NOT. What stands behind `field:` is read by the field's filter.
//!
//! AND binds tighter than OR and may be left out. A parenthesis behind `field:` holds values of that field. What
//! converters of detection rules write for Lucene reads the same: `&&`, `||`, `!`, `+`, `*:*`, `_exists_:field`.

use std::cell::{Cell, RefCell};

use super::error::{ParseError, code};
use super::filter::{Action, Actor, Change, Detail, Filter, Has, Ip, SeqRange, TargetType, TimeRange, Value, Words};
use super::lex::{Cursor, Quotes, Raw, Shape, is};
use super::limits::{DEPTH_MAX, FILTERS_MAX, NESTING_MAX, QUERY_BYTES_MAX, QUERY_INSTRUCTIONS_MAX, QUERY_STATES_MAX};
use super::origin::Origin;
use super::range;
use super::values::{Member, ValueField};
use super::{Env, Node, Query};
use crate::text;

/// Reads a query text. An empty one means every entry.
pub fn parse(text: &str, env: &Env<'_>) -> Result<Query, ParseError> {
    let reading = Reading::new(env);
    let node = read(text, &reading).map_err(|error| error.in_characters(text))?;
    finish(vec![node])
}

/// What one query may still use while it is read, and where its filters were found.
pub(super) struct Reading<'a> {
    pub env: &'a Env<'a>,
    /// The number of the parameter that is being read.
    pair: Cell<usize>,
    /// One for each filter so far. Filters are read in the order they are printed in, and normal forms keep it.
    origins: RefCell<Vec<Origin>>,
    instructions_left: Cell<usize>,
    states_left: Cell<usize>,
    filters_left: Cell<usize>,
}

impl<'a> Reading<'a> {
    pub fn new(env: &'a Env<'a>) -> Reading<'a> {
        Reading {
            env,
            pair: Cell::new(0),
            origins: RefCell::default(),
            instructions_left: Cell::new(QUERY_INSTRUCTIONS_MAX),
            states_left: Cell::new(QUERY_STATES_MAX),
            filters_left: Cell::new(FILTERS_MAX),
        }
    }

    /// What is read from now on stands in the parameter of this number.
    pub fn turn_to(&self, pair: usize) {
        self.pair.set(pair);
    }

    /// Notes that `node` was written in `bytes` of the parameter, unless it is made of nodes that were noted.
    pub fn note(&self, node: &Node, bytes: std::ops::Range<usize>) {
        let pair = self.pair.get();
        node.each_filter(&mut |_| self.origins.borrow_mut().push(Origin { pair, bytes: bytes.clone() }));
    }

    /// How many filters were noted.
    pub fn noted(&self) -> usize {
        self.origins.borrow().len()
    }

    /// The normal form of "any of `choices`", which were read since `noted` filters were noted. One choice that is
    /// everything makes the others vanish: the only normal form that loses filters.
    pub fn any_of(&self, choices: Vec<Node>, noted: usize) -> Node {
        let node = Node::or(choices);
        if node == Node::All {
            self.origins.borrow_mut().truncate(noted);
        }
        node
    }

    /// Where each filter was written, in the order of [`Node::each_filter`].
    pub fn into_origins(self) -> Vec<Origin> {
        self.origins.into_inner()
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
        return Err(too_long(QUERY_BYTES_MAX, text.len(), "goes on"));
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
        return Err(too_deep(0, format!("expected at most {DEPTH_MAX} levels of AND, OR and NOT")));
    }
    // Escapes and resolved times make the printed form longer; it has to be readable again.
    let printed = query.to_string().len();
    if printed > QUERY_BYTES_MAX { Err(too_long(0, printed, "when written out in full,")) } else { Ok(query) }
}

fn too_long(at: usize, bytes: usize, when: &str) -> ParseError {
    ParseError::new(
        code::QUERY_TOO_LONG,
        at,
        format!("query of {bytes} bytes {when}"),
        format!("expected at most {QUERY_BYTES_MAX} bytes"),
    )
}

fn too_deep(at: usize, expected: String) -> ParseError {
    ParseError::new(code::QUERY_TOO_DEEP, at, "query nested too deeply", expected)
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
    /// `_exists_:name`, Lucene's `name:*`.
    Exists,
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
            "_exists_" => Some(Field::Exists),
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
            Field::Actor | Field::Action | Field::Time | Field::Received | Field::Seq | Field::Has | Field::Exists => {
                Node::All
            }
        }
    }

    /// Where in a value quotes may stand.
    fn quotes(&self) -> Quotes {
        match self {
            Field::Change => Quotes::Parts,
            Field::Detail(_) | Field::Time | Field::Received | Field::Seq => Quotes::Ends,
            _ => Quotes::Whole,
        }
    }

    /// `field:raw`. Ranges of numbers and `null` are looked for in `detail` only if `ranges`.
    pub fn read(&self, raw: &Raw, ranges: bool, reading: &Reading<'_>) -> Result<Node, ParseError> {
        count_filter(raw.at, reading)?;
        if raw.is_star() || range::is_open(raw) {
            return Ok(self.present());
        }
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
            // A null says as little as an absent member, so it is no value that could be compared.
            Field::Detail(path) if ranges && raw.is_null() => {
                return Ok(Node::negate(Node::Filter(Detail::exists(path))));
            }
            Field::Detail(path) if ranges => Detail::parse(path, raw, reading)?,
            Field::Detail(path) => Detail::parse_value(path, raw, reading)?,
            Field::Presence(member) => return Err(only_presence(*member, raw)),
            Field::Exists => return field(raw).map(|field| field.present()),
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

/// The spellings of an operator.
const AND: [&str; 2] = ["AND", "&&"];
const OR: [&str; 2] = ["OR", "||"];

struct Parser<'a> {
    cursor: Cursor<'a>,
    reading: &'a Reading<'a>,
    /// Parentheses and negations around the current place.
    open: usize,
}

impl Parser<'_> {
    /// `a b OR c`, up to a closing parenthesis or the end. In a `field:(…)`, words are values of the field.
    fn any_of(&mut self, field: Option<&Field>) -> Result<Node, ParseError> {
        let noted = self.reading.noted();
        let mut choices = vec![self.all_of(field)?];
        while self.cursor.eat_operator(&OR) {
            choices.push(self.all_of(field)?);
        }
        Ok(self.reading.any_of(choices, noted))
    }

    fn all_of(&mut self, field: Option<&Field>) -> Result<Node, ParseError> {
        let mut members = vec![self.one(field)?];
        loop {
            self.cursor.skip_spaces();
            let joined = self.cursor.eat_operator(&AND);
            if !joined && self.at_end() {
                return Ok(Node::and(members));
            }
            members.push(self.one(field)?);
        }
    }

    fn at_end(&self) -> bool {
        matches!(self.cursor.peek(), None | Some(')')) || self.cursor.operator(&OR).is_some()
    }

    fn one(&mut self, field: Option<&Field>) -> Result<Node, ParseError> {
        self.cursor.skip_spaces();
        let start = self.cursor.at;
        if let Some(operator) = self.cursor.operator(&AND).or(self.cursor.operator(&OR)) {
            return Err(ParseError::syntax(
                start,
                format!("{operator} with nothing before it"),
                "expected a word or a field; quote it to search for the word",
            ));
        }
        if self.cursor.eat_operator(&["NOT"]) {
            return self.nested(start, |parser| parser.one(field)).map(Node::negate);
        }
        if let Some(sign) = self.eat_sign(field)? {
            let node = self.nested(start, |parser| parser.one(field))?;
            return Ok(if sign == '+' { node } else { Node::negate(node) });
        }
        match self.cursor.peek() {
            None => Err(ParseError::syntax(start, "end of the query", "expected a word or a field")),
            Some(')') => Err(ParseError::syntax(start, "unexpected \")\"", "expected a word or a field")),
            Some('(') => self.group(field),
            Some(_) => match field {
                Some(field) => self.value_of(field, start),
                None => self.word_or_field(),
            },
        }
    }

    /// `-` and `!` exclude. `+` asks for what is asked for anyway; among the values of a field, one before a digit
    /// belongs to a telephone number.
    fn eat_sign(&mut self, field: Option<&Field>) -> Result<Option<char>, ParseError> {
        let start = self.cursor.at;
        let mut next = self.cursor.rest().chars();
        let (sign, behind) = (next.next(), next.next());
        let is_sign = match sign {
            Some('-' | '!') => true,
            Some('+') => field.is_none() || !behind.is_some_and(|c| c.is_ascii_digit()),
            _ => false,
        };
        let Some(sign) = sign.filter(|_| is_sign) else {
            return Ok(None);
        };
        if behind.is_none_or(|c| c.is_whitespace() || c == ')') {
            let expected = "expected directly behind it what to exclude or to find";
            return Err(ParseError::syntax(start, format!("\"{sign}\" alone"), expected));
        }
        self.cursor.eat(sign);
        Ok(Some(sign))
    }

    /// The value that comes next, of a filter that was begun at `start`.
    fn value_of(&mut self, field: &Field, start: usize) -> Result<Node, ParseError> {
        let raw = self.cursor.value(field.quotes())?;
        let node = field.read(&raw, true, self.reading)?;
        self.reading.note(&node, start..self.cursor.at);
        Ok(node)
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
            return Err(too_deep(at, format!("expected at most {NESTING_MAX} parentheses and negations open at once")));
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
        let node = Words::parse(&raw, self.reading).map(Node::Filter)?;
        self.reading.note(&node, raw.at..self.cursor.at);
        Ok(node)
    }

    fn field_value(&mut self, name: &Raw) -> Result<Node, ParseError> {
        // Lucene's way to say "everything".
        if name.is_star() && self.cursor.eat_operator(&[":*"]) {
            return Ok(Node::All);
        }
        let field = field(name)?;
        self.cursor.eat(':');
        match self.cursor.peek() {
            Some('(') => self.group(Some(&field)),
            None => Err(no_value(name, self.cursor.at)),
            Some(c) if c.is_whitespace() || c == ')' => Err(no_value(name, self.cursor.at)),
            Some(_) => self.value_of(&field, name.at),
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
    let member = MEMBERS.iter().find(|(member, _)| *member == name);
    let expected = match name {
        _ if let Some((_, field)) = member => format!("did you mean {field}?"),
        "" => "expected a field's name before the colon; quote a text that contains a colon".to_owned(),
        "detail." => "expected a path, as in detail.plan:pro".to_owned(),
        name if let Some((_, path)) = name.split_once('.').filter(|(first, _)| is_detail(first)) => {
            format!("did you mean detail.{path}?")
        }
        name if name.contains('.') => format!(
            "expected a field such as actor, or detail.{name} inside the payload; quote a text that contains a colon"
        ),
        _ => did_you_mean(name, &names).unwrap_or_else(|| {
            "expected a field such as actor or action; quote a text that contains a colon".to_owned()
        }),
    };
    ParseError::new(code::UNKNOWN_FIELD, at, format!("unknown field \"{name}\""), expected)
}

/// What those write who have the members of an event in mind, and the field that holds them.
const MEMBERS: [(&str, &str); 17] = [
    ("name", "actor_name or target_name"),
    ("user", "actor"),
    ("actor.id", "actor"),
    ("actor.type", "actor:type/*"),
    ("actor.name", "actor_name"),
    ("actor.email", "email"),
    ("target.id", "target"),
    ("target.type", "target_type"),
    ("target.name", "target_name"),
    ("context.ip", "ip"),
    ("context.user_agent", "user_agent"),
    ("context.request_id", "request"),
    ("context.session_id", "session"),
    ("on_behalf_of.id", "on_behalf_of"),
    ("changes.field", "change:field"),
    ("changes.before", "change:field=before"),
    ("changes.after", "change:field>after"),
];

fn is_detail(name: &str) -> bool {
    did_you_mean(name, &["detail", "payload"]).is_some()
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

/// A parameter's value: `*` and `?` are wildcards, a backslash takes the next of the `escapable` characters literally.
pub(super) fn parameter(value: &str, escapable: &str) -> Raw {
    let mut chars = Vec::new();
    let mut rest = value.char_indices();
    while let Some((at, c)) = rest.next() {
        // A backslash before anything else is itself: values of parameters come from machines.
        let escaped = (c == '\\').then(|| rest.clone().next()).flatten().filter(|(_, c)| escapable.contains(*c));
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
            ("maya@example.com +14155550123 c_8FQ2M0", "maya@example.com 14155550123 c_8fq2m0"),
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
            ("ip:AWS/Internal", "ip:aws/internal"),
            ("ip:\"10.0.0.7/8\"", "ip:10.0.0.0/8"),
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
            ("detail.at:>\"B c\"", "detail.at:>\"b c\""),
            ("detail.at:<=\"7\"", "detail.at:<=\"7\""),
            // As a rule writes numbers.
            ("detail.at:[\"400\" TO \"499\"]", "detail.at:[400 TO 499]"),
            ("detail.at:[\"400\" TO \"b\"]", "detail.at:[\"400\" TO \"b\"]"),
            ("detail.at:[\"!\" TO \"*\"}", "detail.at:[\"!\" TO \"*\"}"),
            ("detail.at:{\"A \\\"]\" TO *]", "detail.at:>\"a \\\"]\""),
            ("detail.from:10.8.3.4\\/16", "detail.from:10.8.3.4/16"),
            ("detail.from:2001:DB8::/32", "detail.from:2001:db8::/32"),
            ("detail.from:\"10.8.0.0/16\"", "detail.from:\"10.8.0.0/16\""),
            ("detail.from:\"10.8.0.0/33\"", "detail.from:\"10.8.0.0/33\""),
            ("detail.from:10.8/33", "detail.from:10.8/33"),
            ("detail.a\\:b:c", "detail.a\\:b:c"),
            ("detail.plan:(pro OR team)", "detail.plan:pro OR detail.plan:team"),
            ("target_name:***a", "target_name:*a"),
            ("target:\"*\"", "target:\"*\""),
            ("target:\"\"", "target:\"\""),
            // As Lucene writes it.
            ("a && b || c && !d", "(a b) OR (c -d)"),
            ("+a +\"b c\" -d !(e f)", "a \"b c\" -d -(e f)"),
            ("a +(b || c)", "a (b OR c)"),
            ("a&&b x||y wow! a+b", "a\\&\\&b x\\|\\|y wow\\! a+b"),
            ("\\+a \\!b \\-c", "\\+a \\!b \\-c"),
            ("*:*", "*"),
            ("*:* AND NOT a", "-a"),
            ("_exists_:reason NOT _exists_:detail.User.Name", "has:reason -detail.user.name:*"),
            ("_exists_:actor", "*"),
            ("_exists_:(target OR \"ip\")", "has:target OR has:ip"),
            ("target:[* TO *] detail.x:[* TO *]", "has:target detail.x:*"),
            ("detail.x:null", "-detail.x:*"),
            ("NOT detail.x:null", "detail.x:*"),
            ("detail.x:\"null\" detail.x:nul\\l", "detail.x:\"null\" detail.x:\"null\""),
            ("detail.x:(null OR a)", "-detail.x:* OR detail.x:a"),
            ("target:null change:null", "target:null change:null"),
            ("actor:(+4915 OR +a)", "actor:+4915 OR actor:a"),
            ("target:(a b)", "target:a target:b"),
            ("detail.n:(>=10 AND <20)", "detail.n:>=10 detail.n:<20"),
            ("detail.n:(+>=10 +<20)", "detail.n:>=10 detail.n:<20"),
            ("time:[\"2026-11-01T10:00\" TO *]", "time:>=2026-11-01T10:00:00.000Z"),
            ("time:{2026-11-01 TO 2026-11-03}", "time:2026-11-02T00:00:00.000Z..2026-11-03T00:00:00.000Z"),
            ("received:[* TO 2026-11-01}", "received:<2026-11-01T00:00:00.000Z"),
            ("seq:{7 TO *]", "seq:>=8"),
            ("detail.n:[* TO 5}", "detail.n:<5"),
            ("detail.a:\"x: y/z @ > = (1)\"", "detail.a:\"x: y/z @ > = (1)\""),
            ("detail.cmd:*\\ \\-enc\\ *", "detail.cmd:*\\ -enc\\ *"),
            ("detail.path:*\\\\System32\\\\*", "detail.path:*\\\\system32\\\\*"),
            ("detail.x:/ab+c\\/d/", "detail.x:/ab+c\\/d/"),
            ("actor:AND detail.x:true detail.x:TO", "actor:and detail.x:true detail.x:to"),
            ("tenant:OR tenant:NOT \"OR\"", "tenant:OR tenant:NOT \"or\""),
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
            ("ip:\"10.0.0.0/33\"", 3, code::BAD_VALUE, "network"),
            ("detail.x:10.0.0.0/33", 9, code::BAD_VALUE, "network such as"),
            ("detail.x:(a ::1/129)", 12, code::BAD_VALUE, "network such as"),
            ("detail.x:10.0.0.0/", 9, code::BAD_VALUE, "quote it"),
            ("has:detail.plan", 4, code::BAD_VALUE, "by detail.plan:*"),
            ("ip:203.0.113/24", 3, code::BAD_VALUE, "network"),
            ("change:=x", 7, code::BAD_VALUE, "nothing here"),
            ("change:role=", 12, code::BAD_VALUE, "nothing here"),
            ("detail.n:>abc", 10, code::BAD_VALUE, "expected a number"),
            ("detail.n:[5 TO 1]", 9, code::EMPTY_RANGE, "smaller end first"),
            ("target:>=\"a b\"", 9, code::SYNTAX, "right behind"),
            ("detail.n:>\"\"", 10, code::BAD_VALUE, "not an empty one"),
            ("detail.n:[\"b\" TO \"a\"]", 9, code::EMPTY_RANGE, "smaller end first"),
            ("detail.n:[1 TO \"a\"]", 10, code::BAD_VALUE, "a text in quotes, as the other end"),
            ("detail.n:[a TO b]", 10, code::BAD_VALUE, "or a text in quotes"),
            ("detail.n:>\"a\"b", 11, code::BAD_VALUE, "or a text in quotes"),
            ("*access\\ denied*", 0, code::BAD_VALUE, "words that stand together in quotes, such as \"access denied\""),
            ("target:[a TO b]", 7, code::BAD_VALUE, "takes no ranges"),
            ("target:/^a/", 8, code::BAD_REGEX, "anchor at the start"),
            ("/ab$/", 3, code::BAD_REGEX, "anchor at the end"),
            ("/a\\bc/", 2, code::BAD_REGEX, "word border"),
            ("/xa+?/", 3, code::BAD_REGEX, "lazy quantifier"),
            ("/(?U)a/", 3, code::BAD_REGEX, "flag"),
            ("/a(?=b)/", 2, code::BAD_REGEX, "look-ahead"),
            ("/a(b/", 2, code::BAD_REGEX, "unclosed group"),
            ("/東(b/", 2, code::BAD_REGEX, "unclosed group"),
            ("&& a", 0, code::SYNTAX, "&& with nothing before it"),
            ("a || || b", 5, code::SYNTAX, "|| with nothing before it"),
            ("a + b", 2, code::SYNTAX, "\"+\" alone"),
            ("a ! b", 2, code::SYNTAX, "\"!\" alone"),
            ("wrod~3", 4, code::BAD_VALUE, "expected ~, ~1 or ~2"),
            ("wrod~0.8", 4, code::BAD_VALUE, "expected ~, ~1 or ~2"),
            ("_exists_:reson", 9, code::UNKNOWN_FIELD, "did you mean reason?"),
            ("_exists_:det*", 12, code::UNKNOWN_FIELD, "wildcard in the field name"),
            ("a *:b", 2, code::UNKNOWN_FIELD, "wildcard in the field name"),
            ("東京 actr:x", 3, code::UNKNOWN_FIELD, "did you mean actor?"),
            ("actor.id:x", 0, code::UNKNOWN_FIELD, "did you mean actor?"),
            ("context.ip:x", 0, code::UNKNOWN_FIELD, "did you mean ip?"),
            ("details.plan:x", 0, code::UNKNOWN_FIELD, "did you mean detail.plan?"),
            ("userIdentity.arn:x", 0, code::UNKNOWN_FIELD, "detail.userIdentity.arn inside the payload"),
            ("detail.n:[400 499]", 9, code::BAD_VALUE, "expected [a TO b]"),
            ("detail.n:[400 to 499]", 9, code::BAD_VALUE, "TO in capitals"),
            ("detail.n:[400 TO", 9, code::SYNTAX, "expected ] or }"),
            ("time:[\"2026-11-01 TO *]", 6, code::SYNTAX, "closing \""),
            ("/(a{1000}){1000}/", 0, code::PATTERN_TOO_COMPLEX, "use fewer"),
            ("target:*a????????????????", 7, code::PATTERN_TOO_COMPLEX, "use fewer"),
        ];
        for (text, at, code, part) in table {
            let error = parsed(text).expect_err(text);
            assert_eq!((error.at, error.code), (at, code), "{text}: {error}");
            assert!(error.to_string().contains(part), "{text}: {error}");
            assert!(error.to_string().contains(&format!(" at {at}; ")), "{text}: {error}");
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
        let told = |text: &str| parsed(text).expect_err(text).to_string();
        assert!(told(&deep(20)).contains("32 levels"));
        assert!(told(&"(".repeat(65)).contains("64 parentheses"));
        assert!(parsed(&deep(16)).is_ok());
        assert!(parsed(&many(FILTERS_MAX)).is_ok());
    }
}
