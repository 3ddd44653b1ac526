//! Exact JSON: a strict parser and a writer that give back what was sent, number tokens and member order included.
//! Refuses what two readers could understand differently: duplicate keys, lone surrogates, NUL, endless nesting.
//! What a member means is left to others; here is only the grammar (RFC 8259).

mod trail;

use std::borrow::Cow;
use std::fmt;

pub use trail::Trail;

/// A JSON value that loses nothing: numbers are the sender's tokens, members keep the sender's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// The number's token exactly as sent (`1.0` stays `1.0`; also `1e400`, which no f64 holds).
    Number(Box<str>),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object in the sender's order, without duplicate keys.
    Object(Vec<(String, Json)>),
}

/// Why a text is not acceptable JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonErrorKind {
    /// Not the grammar of RFC 8259 (also a text that goes on after its value).
    Syntax,
    /// An object names a member twice (compared unescaped).
    DuplicateKey,
    /// A NUL, raw or as `\u0000`.
    Nul,
    /// More nested arrays and objects than allowed.
    Depth,
    /// An escape that stands for half a character.
    LoneSurrogate,
}

/// Where and why parsing stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at byte {offset})")]
pub struct JsonError {
    /// What kind of mistake it is.
    pub kind: JsonErrorKind,
    /// JSON pointer (RFC 6901) of the value that could not be read; empty for the whole text.
    pub pointer: String,
    /// Byte offset in the text. For a duplicate key of a long object: the end of that object.
    pub offset: usize,
    /// What was expected and what was found.
    pub message: String,
}

/// Objects up to this many members are checked for duplicates one by one, longer ones by sorting at their end:
/// neither costs an allocation for the usual event nor quadratic time for a hostile one.
const LINEAR_KEYS_MAX: usize = 24;

/// Reads one JSON value that fills the whole text (white space around it is allowed).
///
/// `depth_max` counts open arrays and objects: `[]` has depth 1. The parser never recurses deeper than that.
///
/// # Errors
/// The first thing that is not strict JSON, with its byte offset and JSON pointer.
pub fn parse(text: &str, depth_max: usize) -> Result<Json, JsonError> {
    let mut parser = Parser { text, bytes: text.as_bytes(), at: 0, depth_left: depth_max, depth_max };
    let value = parser.value()?;
    parser.space();
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(parser.expected("the end of the text after the value")),
    }
}

impl Json {
    /// The member `key` of an object; `None` for other values.
    pub fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => None,
        }
    }

    /// The text of a string; `None` for other values.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => None,
        }
    }

    /// A number that is a `u64` as it was written; `None` for other values.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Json::Number(token) => token.parse().ok(),
            Json::Null | Json::Bool(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => None,
        }
    }

    /// What kind of value this is, in the words of an error message.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Number(_) => "a number",
            Json::String(_) => "a string",
            Json::Array(_) => "an array",
            Json::Object(_) => "an object",
        }
    }

    /// Appends the value without spaces and with minimal escapes, members in their order.
    pub fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(true) => out.push_str("true"),
            Json::Bool(false) => out.push_str("false"),
            Json::Number(token) => out.push_str(token),
            Json::String(text) => write_string(text, out),
            Json::Array(items) => write_items(items, out, Json::write),
            Json::Object(members) => write_members(members.iter(), out, Json::write),
        }
    }

    /// Like [`Json::write`] with the members of every object sorted by the bytes of their keys: two values that
    /// differ only in member order give the same text. Numbers are compared as text (`1` is not `1.0`).
    pub fn write_canonical(&self, out: &mut String) {
        match self {
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => self.write(out),
            Json::Array(items) => write_items(items, out, Json::write_canonical),
            Json::Object(members) => {
                let mut sorted: Vec<&(String, Json)> = members.iter().collect();
                sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
                write_members(sorted.into_iter(), out, Json::write_canonical);
            }
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

fn write_items(items: &[Json], out: &mut String, write: fn(&Json, &mut String)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

fn write_members<'a>(
    members: impl Iterator<Item = &'a (String, Json)>,
    out: &mut String,
    write: fn(&Json, &mut String),
) {
    out.push('{');
    for (index, (key, value)) in members.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(key, out);
        out.push(':');
        write(value, out);
    }
    out.push('}');
}

/// Appends `text` as a JSON string with minimal escapes: only `"`, `\` and controls below 0x20 (`\n \r \t \b \f`
/// in the short form, the others as `\u00xx`). Everything else is itself.
pub fn write_string(text: &str, out: &mut String) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut done = 0;
    for (at, &byte) in text.as_bytes().iter().enumerate() {
        if !IS_SPECIAL[byte as usize] {
            continue;
        }
        out.push_str(&text[done..at]);
        done = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.push_str("\\u00");
                out.push(HEX[usize::from(control >> 4)] as char);
                out.push(HEX[usize::from(control & 15)] as char);
            }
        }
    }
    out.push_str(&text[done..]);
    out.push('"');
}

/// Appends `/key` to a JSON pointer, escaped as RFC 6901 wants it (`~` → `~0`, `/` → `~1`).
pub fn push_pointer(pointer: &mut String, key: &str) {
    pointer.push('/');
    for char in key.chars() {
        match char {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

/// Bytes that end a run of plain characters in a string: the quote, the backslash, and controls.
const IS_SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth_left: usize,
    depth_max: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self) -> Result<Json, JsonError> {
        self.space();
        match self.peek() {
            Some(b'"') => Ok(Json::String(self.string()?.into_owned())),
            Some(b'{') => self.nested(Parser::object),
            Some(b'[') => self.nested(Parser::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            _ => Err(self.expected("a JSON value")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Json, JsonError>) -> Result<Json, JsonError> {
        if self.depth_left == 0 {
            let message = format!("nested deeper than {} arrays and objects", self.depth_max);
            return Err(self.error(JsonErrorKind::Depth, self.at, message));
        }
        self.depth_left -= 1;
        self.at += 1;
        let value = read(self)?;
        self.depth_left += 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Json, JsonError> {
        let mut items = Vec::new();
        self.space();
        if self.eat(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value().map_err(|error| error.inside(&items.len().to_string()))?);
            self.space();
            if self.eat(b',') {
                continue;
            }
            if self.eat(b']') {
                return Ok(Json::Array(items));
            }
            return Err(self.expected("',' or ']'"));
        }
    }

    fn object(&mut self) -> Result<Json, JsonError> {
        let mut members: Vec<(String, Json)> = Vec::new();
        self.space();
        if self.eat(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.expected("a member name in quotes"));
            }
            let key_at = self.at;
            let key = self.string()?.into_owned();
            if members.len() < LINEAR_KEYS_MAX && members.iter().any(|(name, _)| *name == key) {
                return Err(self.duplicate(&key, key_at));
            }
            self.space();
            if !self.eat(b':') {
                return Err(self.expected("':'").inside(&key));
            }
            match self.value() {
                Ok(value) => members.push((key, value)),
                Err(error) => return Err(error.inside(&key)),
            }
            self.space();
            if self.eat(b',') {
                continue;
            }
            if self.eat(b'}') {
                break;
            }
            return Err(self.expected("',' or '}'"));
        }
        if members.len() > LINEAR_KEYS_MAX {
            let mut keys: Vec<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
            keys.sort_unstable();
            if let Some(pair) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(self.duplicate(pair[0], self.at));
            }
        }
        Ok(Json::Object(members))
    }

    /// A string from its opening quote on: borrowed when it holds no escape.
    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let start = self.at + 1;
        let mut at = self.plain_from(start);
        if self.bytes.get(at) == Some(&b'"') {
            self.at = at + 1;
            return Ok(Cow::Borrowed(&self.text[start..at]));
        }
        let mut out = String::with_capacity((at - start) * 2 + 16);
        let mut done = start;
        loop {
            out.push_str(&self.text[done..at]);
            self.at = at;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(out));
                }
                Some(b'\\') => self.escape(&mut out)?,
                Some(0) => return Err(self.nul()),
                Some(control) => {
                    let message = format!("a control character (0x{control:02x}) must be escaped in a string");
                    return Err(self.error(JsonErrorKind::Syntax, self.at, message));
                }
                None => return Err(self.expected("the end of a string")),
            }
            done = self.at;
            at = self.plain_from(done);
        }
    }

    fn plain_from(&self, start: usize) -> usize {
        let rest = &self.bytes[start..];
        let plain = rest.iter().position(|&byte| IS_SPECIAL[byte as usize]).unwrap_or(rest.len());
        start + plain
    }

    fn escape(&mut self, out: &mut String) -> Result<(), JsonError> {
        let escape_at = self.at;
        self.at += 1;
        let plain = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                out.push(self.unicode_escape(escape_at)?);
                return Ok(());
            }
            _ => return Err(self.expected("one of \" \\ / b f n r t u after a backslash")),
        };
        out.push(plain);
        self.at += 1;
        Ok(())
    }

    /// `\uXXXX`, or two of them that make one character; `self.at` stands on the `u`.
    fn unicode_escape(&mut self, escape_at: usize) -> Result<char, JsonError> {
        let first = self.hex4()?;
        if first == 0 {
            self.at = escape_at;
            return Err(self.nul());
        }
        if let Some(char) = char::from_u32(first) {
            return Ok(char);
        }
        let is_high = (0xd800..0xdc00).contains(&first);
        if is_high && self.bytes[self.at..].starts_with(b"\\u") {
            self.at += 1;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).expect("a surrogate pair is a character"));
            }
        }
        let message = format!("\\u{first:04x} is half of a surrogate pair and stands alone");
        Err(self.error(JsonErrorKind::LoneSurrogate, escape_at, message))
    }

    /// Four hexadecimal digits after a `u` at `self.at`.
    fn hex4(&mut self) -> Result<u32, JsonError> {
        self.at += 1;
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| (byte as char).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.expected("four hexadecimal digits after \\u"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _signed = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.expected("no digit after a leading zero"));
        }
        Ok(Json::Number(self.text[start..self.at].into()))
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, JsonError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.expected("a JSON value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    #[cold]
    fn expected(&self, what: &str) -> JsonError {
        if self.peek() == Some(0) {
            return self.nul();
        }
        // `at` may stand inside a character only after a failed escape, which is ASCII: `get` stays polite anyway.
        let message = match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(found) => format!("expected {what}, found {found:?}"),
            None => format!("expected {what}, found the end of the text"),
        };
        self.error(JsonErrorKind::Syntax, self.at, message)
    }

    #[cold]
    fn nul(&self) -> JsonError {
        self.error(JsonErrorKind::Nul, self.at, "a NUL character is not allowed".to_owned())
    }

    #[cold]
    fn duplicate(&self, key: &str, at: usize) -> JsonError {
        let shown: String = key.chars().take(64).collect();
        self.error(JsonErrorKind::DuplicateKey, at, format!("the member {shown:?} is there twice")).inside(key)
    }

    #[cold]
    fn error(&self, kind: JsonErrorKind, offset: usize, message: String) -> JsonError {
        JsonError { kind, pointer: String::new(), offset, message }
    }
}

impl JsonError {
    /// The same error seen from one level further out.
    #[cold]
    fn inside(mut self, key: &str) -> JsonError {
        let mut pointer = String::with_capacity(key.len() + 1 + self.pointer.len());
        push_pointer(&mut pointer, key);
        pointer.push_str(&self.pointer);
        self.pointer = pointer;
        self
    }
}

/// JSON of our own that turns out not to be in the form we write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored JSON is malformed at byte {offset}")]
pub struct Malformed {
    /// Byte offset in the text given.
    pub offset: usize,
}

/// The members of an object as [`Json::write`] writes it, each as (key without its quotes but still escaped, text of
/// the value): for readers that pass values on and need no tree. Only for text that was parsed once: what lies
/// between commas is not checked again.
pub fn members(object: &str) -> Pieces<'_, true> {
    Pieces { text: object, at: 0 }
}

/// The elements of an array as [`Json::write`] writes it, each as its text.
pub fn items(array: &str) -> impl Iterator<Item = Result<&str, Malformed>> {
    Pieces::<false> { text: array, at: 0 }.map(|piece| piece.map(|(_, value)| value))
}

/// The text of a JSON string (with its quotes) as [`write_string`] writes it; borrowed if it holds no escape.
///
/// # Errors
/// If it is not a string.
pub fn unescape(string: &str) -> Result<Cow<'_, str>, Malformed> {
    let mut parser = Parser { text: string, bytes: string.as_bytes(), at: 0, depth_left: 0, depth_max: 0 };
    if parser.peek() != Some(b'"') {
        return Err(Malformed { offset: 0 });
    }
    match parser.string() {
        Ok(text) if parser.at == string.len() => Ok(text),
        _ => Err(Malformed { offset: parser.at }),
    }
}

/// Iterator over the members of an object (`KEYED`) or the elements of an array.
#[derive(Clone, Debug)]
pub struct Pieces<'a, const KEYED: bool> {
    text: &'a str,
    at: usize,
}

impl<'a, const KEYED: bool> Iterator for Pieces<'a, KEYED> {
    type Item = Result<(&'a str, &'a str), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        let (open, close) = if KEYED { (b'{', b'}') } else { (b'[', b']') };
        let is_first = self.at == 0;
        let is_at_end =
            if is_first { bytes == [open, close] } else { self.at + 1 == bytes.len() && bytes[self.at] == close };
        if is_at_end || self.at > bytes.len() {
            return None;
        }
        let piece = self.piece(bytes, if is_first { open } else { b',' });
        if piece.is_err() {
            self.at = bytes.len() + 1; // an error is given once
        }
        Some(piece)
    }
}

impl<'a, const KEYED: bool> Pieces<'a, KEYED> {
    fn piece(&mut self, bytes: &[u8], before: u8) -> Result<(&'a str, &'a str), Malformed> {
        self.expect(bytes, before)?;
        let mut key = "";
        if KEYED {
            let end = string_end(bytes, self.at)?;
            key = &self.text[self.at + 1..end - 1];
            self.at = end;
            self.expect(bytes, b':')?;
        }
        let start = self.at;
        self.at = value_end(bytes, start)?;
        Ok((key, &self.text[start..self.at]))
    }

    fn expect(&mut self, bytes: &[u8], byte: u8) -> Result<(), Malformed> {
        if bytes.get(self.at) != Some(&byte) {
            return Err(Malformed { offset: self.at });
        }
        self.at += 1;
        Ok(())
    }
}

/// The end of the string (after its closing quote) that opens at `at`.
fn string_end(bytes: &[u8], at: usize) -> Result<usize, Malformed> {
    if bytes.get(at) != Some(&b'"') {
        return Err(Malformed { offset: at });
    }
    let mut next = at + 1;
    loop {
        let rest = bytes.get(next..).unwrap_or_default();
        match memchr::memchr2(b'"', b'\\', rest) {
            Some(plain) if rest[plain] == b'"' => return Ok(next + plain + 1),
            Some(plain) => next += plain + 2,
            None => {
                return Err(Malformed { offset: bytes.len() });
            }
        }
    }
}

/// The end of the value that begins at `at`.
fn value_end(bytes: &[u8], at: usize) -> Result<usize, Malformed> {
    let mut depth = 0_usize;
    let mut next = at;
    loop {
        match bytes.get(next) {
            Some(b'"') => {
                next = string_end(bytes, next)?;
                if depth == 0 {
                    return Ok(next);
                }
                continue;
            }
            Some(b'{' | b'[') => depth += 1,
            Some(b'}' | b']') if depth == 0 => break,
            Some(b'}' | b']') => {
                depth -= 1;
                if depth == 0 {
                    return Ok(next + 1);
                }
            }
            Some(b',') if depth == 0 => break,
            Some(_) => {}
            None => return Err(Malformed { offset: next }),
        }
        next += 1;
    }
    if next == at { Err(Malformed { offset: at }) } else { Ok(next) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        parse(text, 32).unwrap_or_else(|error| panic!("{error}: {text}")).to_string()
    }

    #[test]
    fn values_come_back_as_they_were_sent() {
        for (sent, back) in [
            ("null", "null"),
            (" [ true , false ] ", "[true,false]"),
            ("{\"b\" : 1 , \"a\" : { } }", r#"{"b":1,"a":{}}"#),
            (
                "[-0,0,1.0,1E+5,1e400,-12.50e-3,123456789012345678901234567890]",
                "[-0,0,1.0,1E+5,1e400,-12.50e-3,123456789012345678901234567890]",
            ),
            (r#""\/\b\f\n\r\t\"\\\u001f\u007f""#, "\"/\\b\\f\\n\\r\\t\\\"\\\\\\u001f\u{7f}\""),
            (r#""\u00e9\ud83d\ude00é😀""#, r#""é😀é😀""#),
            (r#"{"":[[],[{}]]}"#, r#"{"":[[],[{}]]}"#),
        ] {
            assert_eq!(written(sent), back, "{sent}");
            assert_eq!(written(back), back, "{sent} twice");
        }
    }

    #[test]
    fn what_readers_could_disagree_on_is_refused_with_its_place() {
        use JsonErrorKind::{Depth, DuplicateKey, LoneSurrogate, Nul, Syntax};
        for (text, kind, pointer, offset) in [
            ("", Syntax, "", 0),
            ("  ", Syntax, "", 2),
            ("[1,]", Syntax, "/1", 3),
            ("[1 2]", Syntax, "", 3),
            ("{\"a\":1,}", Syntax, "", 7),
            ("{\"a\" 1}", Syntax, "/a", 5),
            ("{a:1}", Syntax, "", 1),
            ("'a'", Syntax, "", 0),
            ("01", Syntax, "", 1),
            ("-", Syntax, "", 1),
            ("1.", Syntax, "", 2),
            (".5", Syntax, "", 0),
            ("1e", Syntax, "", 2),
            ("+1", Syntax, "", 0),
            ("NaN", Syntax, "", 0),
            ("Infinity", Syntax, "", 0),
            ("tru", Syntax, "", 0),
            ("nullx", Syntax, "", 4),
            ("1 2", Syntax, "", 2),
            ("\u{feff}1", Syntax, "", 0),
            ("\"a", Syntax, "", 2),
            ("\"\\", Syntax, "", 2),
            ("\"\\x\"", Syntax, "", 2),
            ("\"\\u12g4\"", Syntax, "", 5),
            ("\"\\é\"", Syntax, "", 2),
            ("\"a\nb\"", Syntax, "", 2),
            ("[\"\\ud800\"]", LoneSurrogate, "/0", 2),
            ("\"\\udc00\"", LoneSurrogate, "", 1),
            ("\"\\ud800\\u0041\"", LoneSurrogate, "", 1),
            ("\"\\u0000\"", Nul, "", 1),
            ("\"\0\"", Nul, "", 1),
            ("\0", Nul, "", 0),
            ("{\"a/b\":{\"x\":1,\"\\u0078\":2}}", DuplicateKey, "/a~1b/x", 14),
            ("[[[[1]]]]", Depth, "/0/0/0", 3),
            ("[{\"a\":[{}]}]", Depth, "/0/a/0", 7),
        ] {
            let error = parse(text, 3).unwrap_err();
            assert_eq!(
                (error.kind, error.pointer.as_str(), error.offset),
                (kind, pointer, offset),
                "{text:?}: {error}"
            );
        }
    }

    #[test]
    fn a_duplicate_is_found_in_a_long_object_too() {
        let members: Vec<String> = (0..1000).map(|n| format!("\"k{n}\":{n}")).collect();
        assert!(parse(&format!("{{{}}}", members.join(",")), 1).is_ok());
        let error = parse(&format!("{{{},\"k500\":1}}", members.join(",")), 1).unwrap_err();
        assert_eq!((error.kind, error.pointer.as_str()), (JsonErrorKind::DuplicateKey, "/k500"));
    }

    #[test]
    fn nesting_far_beyond_the_limit_is_refused_without_a_deep_stack() {
        let text = "[".repeat(1_000_000);
        assert_eq!(parse(&text, 32).unwrap_err().kind, JsonErrorKind::Depth);
    }

    #[test]
    fn canonical_text_does_not_depend_on_the_order_of_members() {
        let canonical = |text: &str| {
            let mut out = String::new();
            parse(text, 9).unwrap().write_canonical(&mut out);
            out
        };
        assert_eq!(canonical(r#"{"b":[{"d":1,"c":2}],"a":null}"#), r#"{"a":null,"b":[{"c":2,"d":1}]}"#);
        assert_ne!(canonical("[1,2]"), canonical("[2,1]"));
        assert_ne!(canonical("1"), canonical("1.0"));
    }

    #[test]
    fn pieces_of_stored_json_are_cut_without_a_tree() {
        let object = r#"{"a":1,"b\"c":"x\\\",}","d":[{"e":[]},"]"],"f":{},"g":null}"#;
        let found: Vec<(&str, &str)> = members(object).map(Result::unwrap).collect();
        let expected =
            [("a", "1"), (r#"b\"c"#, r#""x\\\",}""#), ("d", r#"[{"e":[]},"]"]"#), ("f", "{}"), ("g", "null")];
        assert_eq!(found, expected);
        assert_eq!(items(expected[2].1).map(Result::unwrap).collect::<Vec<_>>(), [r#"{"e":[]}"#, r#""]""#]);
        assert_eq!(members("{}").count(), 0);
        assert_eq!(items("[]").count(), 0);
        assert_eq!(unescape(expected[1].1).unwrap(), "x\\\",}");
        for broken in ["", "{", "[]", "{\"a\"", "{\"a\":", "{\"a\":}", "{\"a\":1", "{\"a\":\"}", "x"] {
            let pieces: Vec<_> = members(broken).take(10).collect();
            assert!(pieces.len() < 10 && pieces.iter().any(Result::is_err), "{broken}: {pieces:?}");
        }
        for broken in ["", "a", "\"", "\"a", "\"a\"b", "\"\\x\""] {
            assert!(unescape(broken).is_err(), "{broken}");
        }
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::Bool),
            any::<i64>().prop_map(|n| Json::Number(n.to_string().into())),
            "[^\0]{0,8}".prop_map(Json::String),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
                prop::collection::btree_map("[^\0]{0,4}", inner, 0..6)
                    .prop_map(|members| Json::Object(members.into_iter().rev().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in any_json()) {
            let text = value.to_string();
            prop_assert_eq!(parse(&text, 32).unwrap(), value.clone());
            if let Json::Object(expected) = &value {
                let found: Vec<(String, Json)> = members(&text)
                    .map(|piece| piece.map(|(key, value)| {
                        (unescape(&format!("\"{key}\"")).unwrap().into_owned(), parse(value, 32).unwrap())
                    }))
                    .collect::<Result<_, _>>()
                    .unwrap();
                prop_assert_eq!(&found, expected);
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[\\[\\]{}\",:\\\\u0d8cea1.\\- \n\0é]{0,40}") {
            if let Ok(value) = parse(&text, 4) {
                prop_assert_eq!(parse(&value.to_string(), 4).unwrap(), value);
            }
            let _pieces = (members(&text).count(), items(&text).count(), unescape(&text).is_ok());
        }
    }
}
