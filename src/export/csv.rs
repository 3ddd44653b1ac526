//! CSV for people and their spreadsheets: UTF-8, CRLF, RFC 4180, one row per entry.
//!
//! A cell that a spreadsheet would run as a formula (it begins with `=`, `+`, `-`, `@`, tab or CR) gets a leading
//! `'`. So that this can be undone, a cell that already looks like that (`'`s, then one of those) gets one more: to
//! undo, drop one `'` from cells that match `^'+[=+\-@\t\r]`.
//!
//! What is sealed and not shown reads `[hidden]`, or `[erased]` for ever.
//!
//! `before` and `after` are one JSON object each, a member per changed field; a field that changed twice in one
//! event is numbered (`role`, `role (2)`). `on_behalf_of` reads `type/id`.

use std::borrow::Cow;
use std::io::Write;

use chrono::{DateTime, Datelike, Offset, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use crate::clock::rfc3339_ms;
use crate::event::row::{Added, push_hex};
use crate::event::{Entry, Seen, SeenParts};
use crate::json::{self, Malformed};

const HEADER: &str = "seq,id,time_utc,time_local,time_zone,received_utc,tenant,source,actor_type,actor_id,actor_name,\
actor_email,on_behalf_of,action,category,outcome,reason,target_type,target_id,target_name,related,changed_fields,\
before,after,ip,user_agent,request_id,session_id,detail,hash\r\n";

/// How a CSV export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsvOptions {
    /// The zone of `time_local`. Default UTC.
    pub tz: Tz,
    /// Begin with a byte order mark, which spreadsheets need to see UTF-8. Default no.
    pub bom: bool,
}

impl Default for CsvOptions {
    fn default() -> CsvOptions {
        CsvOptions { tz: Tz::UTC, bom: false }
    }
}

/// The first line, after a byte order mark if there is to be one.
pub fn header(opts: &CsvOptions) -> Vec<u8> {
    let bom = if opts.bom { "\u{feff}" } else { "" };
    [bom, HEADER].concat().into_bytes()
}

/// Appends the row of an entry.
pub fn write_row(entry: &Entry, category: &str, opts: &CsvOptions, out: &mut Vec<u8>) {
    let body = entry.event.body();
    write_row_from_body(&Added::to(entry, category), &body, opts, out)
        .expect("a body that was just written is well formed");
}

/// Appends the row of an entry from its stored body bytes, which are cut, not parsed: what costs time is the length
/// of the row alone.
///
/// # Errors
/// If the bytes are not a body; then nothing is appended.
pub fn write_row_from_body(
    added: &Added<'_>,
    body: &str,
    opts: &CsvOptions,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let Added { seq, received_ms, hash, category, parts } = *added;
    let mut cells = Cells::of(body)?;
    cells.mark(parts);
    write!(out, "{seq}").expect("writing to a Vec cannot fail");
    let received = rfc3339_ms(i64::try_from(received_ms).unwrap_or(i64::MAX));
    let on_behalf_of = match (&*cells.on_behalf_of.kind, &*cells.on_behalf_of.id) {
        ("", "") => String::new(),
        (kind, id) => format!("{kind}/{id}"),
    };
    let mut digits = String::with_capacity(64);
    push_hex(hash, &mut digits);
    for cell in [
        &*cells.id,
        &cells.time,
        &local(&cells.time, opts.tz),
        opts.tz.name(),
        &received,
        &cells.tenant,
        &cells.source,
        &cells.actor.kind,
        &cells.actor.id,
        &cells.actor.name,
        &cells.actor.email,
        &on_behalf_of,
        &cells.action,
        category,
        &cells.outcome,
        &cells.reason,
        &cells.target.kind,
        &cells.target.id,
        &cells.target.name,
        cells.related,
        &cells.changes.fields,
        &cells.changes.before,
        &cells.changes.after,
        &cells.context.ip,
        &cells.context.user_agent,
        &cells.context.request_id,
        &cells.context.session_id,
        cells.detail,
        &digits,
    ] {
        out.push(b',');
        write_cell(cell, out);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// What a body holds, as cells; what is absent is empty.
#[derive(Default)]
struct Cells<'a> {
    id: Cow<'a, str>,
    time: Cow<'a, str>,
    tenant: Cow<'a, str>,
    actor: Named<'a>,
    on_behalf_of: Named<'a>,
    source: Cow<'a, str>,
    action: Cow<'a, str>,
    outcome: Cow<'a, str>,
    reason: Cow<'a, str>,
    target: Named<'a>,
    related: &'a str,
    changes: Changes,
    context: Context<'a>,
    detail: &'a str,
}

/// A party or an object.
#[derive(Default)]
struct Named<'a> {
    kind: Cow<'a, str>,
    id: Cow<'a, str>,
    name: Cow<'a, str>,
    email: Cow<'a, str>,
}

#[derive(Default)]
struct Context<'a> {
    ip: Cow<'a, str>,
    user_agent: Cow<'a, str>,
    request_id: Cow<'a, str>,
    session_id: Cow<'a, str>,
}

/// The three columns that `changes` becomes.
#[derive(Default)]
struct Changes {
    fields: String,
    before: String,
    after: String,
}

impl<'a> Cells<'a> {
    fn of(body: &'a str) -> Result<Cells<'a>, Malformed> {
        let mut cells = Cells::default();
        for member in json::members(body) {
            let (key, value) = member?;
            match key {
                "id" => cells.id = json::unescape(value)?,
                "time" => cells.time = json::unescape(value)?,
                "tenant" => cells.tenant = json::unescape(value)?,
                "actor" => cells.actor = Named::of(value)?,
                "on_behalf_of" => cells.on_behalf_of = Named::of(value)?,
                "source" => cells.source = json::unescape(value)?,
                "action" => cells.action = json::unescape(value)?,
                "outcome" => cells.outcome = json::unescape(value)?,
                "reason" => cells.reason = json::unescape(value)?,
                "target" => cells.target = Named::of(value)?,
                "related" => cells.related = value,
                "changes" => cells.changes = Changes::of(value)?,
                "context" => cells.context = Context::of(value)?,
                "detail" => cells.detail = value,
                _ => {} // `subjects` has no column
            }
        }
        Ok(cells)
    }
}

impl Cells<'_> {
    /// Says where something would be that its reader does not get. A reason or an address that never was looks the same as one that
    /// is sealed, so `detail` and the actor's name speak for all.
    fn mark(&mut self, parts: SeenParts) {
        if let Some(mark) = parts.content.and_then(Seen::mark) {
            self.detail = mark;
            if !self.target.is_empty() {
                self.target.name = Cow::Borrowed(mark);
            }
            if !self.changes.fields.is_empty() {
                (self.changes.before, self.changes.after) = (mark.to_owned(), mark.to_owned());
            }
        }
        if let Some(mark) = parts.who.and_then(Seen::mark)
            && self.actor.name.is_empty()
        {
            self.actor.name = Cow::Borrowed(mark);
        }
    }
}

impl<'a> Named<'a> {
    fn is_empty(&self) -> bool {
        self.kind.is_empty() && self.id.is_empty()
    }

    fn of(object: &'a str) -> Result<Named<'a>, Malformed> {
        let mut named = Named::default();
        for member in json::members(object) {
            let (key, value) = member?;
            match key {
                "type" => named.kind = json::unescape(value)?,
                "id" => named.id = json::unescape(value)?,
                "name" => named.name = json::unescape(value)?,
                "email" => named.email = json::unescape(value)?,
                _ => {}
            }
        }
        Ok(named)
    }
}

impl<'a> Context<'a> {
    fn of(object: &'a str) -> Result<Context<'a>, Malformed> {
        let mut context = Context::default();
        for member in json::members(object) {
            let (key, value) = member?;
            match key {
                "ip" => context.ip = json::unescape(value)?,
                "user_agent" => context.user_agent = json::unescape(value)?,
                "request_id" => context.request_id = json::unescape(value)?,
                "session_id" => context.session_id = json::unescape(value)?,
                _ => {}
            }
        }
        Ok(context)
    }
}

impl Changes {
    fn of(array: &str) -> Result<Changes, Malformed> {
        let mut changes = Changes::default();
        let mut seen: Vec<&str> = Vec::new();
        for item in json::items(array) {
            let (mut field, mut before, mut after) = ("\"\"", None, None);
            for member in json::members(item?) {
                match member? {
                    ("field", value) => field = value,
                    ("before", value) => before = Some(value),
                    ("after", value) => after = Some(value),
                    _ => {}
                }
            }
            if !seen.is_empty() {
                changes.fields.push(';');
            }
            changes.fields.push_str(&json::unescape(field)?);
            let count = 1 + seen.iter().filter(|other| **other == field).count();
            seen.push(field);
            for (side, value) in [(&mut changes.before, before), (&mut changes.after, after)] {
                if let Some(value) = value {
                    push_side(side, field, count, value);
                }
            }
        }
        for side in [&mut changes.before, &mut changes.after] {
            if !side.is_empty() {
                side.push('}');
            }
        }
        Ok(changes)
    }
}

/// Appends a member to an object that is still open.
fn push_side(side: &mut String, field: &str, count: usize, value: &str) {
    side.push(if side.is_empty() { '{' } else { ',' });
    if count == 1 {
        side.push_str(field);
    } else {
        side.push_str(field.strip_suffix('"').unwrap_or(field));
        side.push_str(&format!(" ({count})\""));
    }
    side.push(':');
    side.push_str(value);
}

/// A stored time in the zone: `2026-11-20T14:32:07.412+01:00`, with the same digits. Empty if it is no stored time.
fn local(time: &str, tz: Tz) -> String {
    if tz == Tz::UTC {
        return time.replace('Z', "+00:00");
    }
    let Ok(utc) = DateTime::parse_from_rfc3339(time) else {
        return String::new();
    };
    let utc = utc.with_timezone(&Utc);
    let offset = tz.offset_from_utc_datetime(&utc.naive_utc()).fix();
    let local = utc.with_timezone(&offset);
    let east_s = offset.local_minus_utc();
    let fraction = time.get(19..time.len() - 1).unwrap_or_default();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{fraction}{}{:02}:{:02}",
        local.year(),
        local.month(),
        local.day(),
        local.hour(),
        local.minute(),
        local.second(),
        if east_s < 0 { '-' } else { '+' },
        east_s.abs() / 3600,
        east_s.abs() / 60 % 60,
    )
}

fn write_cell(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let is_formula =
        matches!(text.trim_start_matches('\'').as_bytes().first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r'));
    let is_quoted = bytes.iter().any(|byte| matches!(byte, b'"' | b',' | b'\r' | b'\n'));
    if is_quoted {
        out.push(b'"');
    }
    if is_formula {
        out.push(b'\'');
    }
    if is_quoted {
        let mut rest = bytes;
        while let Some(quote) = memchr::memchr(b'"', rest) {
            out.extend_from_slice(&rest[..=quote]);
            out.push(b'"');
            rest = &rest[quote + 1..];
        }
        out.extend_from_slice(rest);
        out.push(b'"');
    } else {
        out.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Kind};
    use crate::seq::Seq;

    const BODY: &str = r#"{"id":"=1+1","time":"2026-07-20T13:32:07.412345Z","tenant":"acme","actor":{"type":"user","id":"u_81","name":"Lindqvist, \"Maya\"","email":"@m"},"on_behalf_of":{"type":"user","id":"u_7"},"source":"'=x","action":"user.role_changed","outcome":"success","reason":"-1\r\nline","target":{"id":"+49"},"related":[{"type":"team","id":"t_3"}],"changes":[{"field":"role","before":"agent","after":"admin"},{"field":"a;b","after":{"x":[1.0]}},{"field":"role","before":"admin"}],"context":{"ip":"203.0.113.7","session_id":"\tx"},"subjects":[{"type":"contact","id":"c_9"}],"detail":{"b":1.50,"a":"é"}}"#;

    fn cells(opts: &CsvOptions) -> Vec<(String, String)> {
        let event = Event::from_body(BODY).unwrap();
        let entry = Entry {
            seq: Seq(7),
            received_ms: 1_795_181_527_412,
            kind: Kind::Event,
            hash: [0xab; 32],
            event,
            parts: SeenParts::default(),
        };
        let mut file = header(opts);
        write_row(&entry, "team", opts, &mut file);
        let file = String::from_utf8(file).unwrap();
        assert!(file.ends_with("\r\n"));
        let mut reader = ::csv::Reader::from_reader(file.trim_start_matches('\u{feff}').as_bytes());
        let names = reader.headers().unwrap().clone();
        let rows: Vec<::csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 1);
        names.iter().map(str::to_owned).zip(rows[0].iter().map(str::to_owned)).collect()
    }

    #[test]
    fn a_row_has_every_column_and_no_formula() {
        let opts = CsvOptions { tz: Tz::Europe__Berlin, bom: false };
        let hash = "ab".repeat(32);
        let expected = [
            ("seq", "7"),
            ("id", "'=1+1"),
            ("time_utc", "2026-07-20T13:32:07.412345Z"),
            ("time_local", "2026-07-20T15:32:07.412345+02:00"),
            ("time_zone", "Europe/Berlin"),
            ("received_utc", "2026-11-20T13:32:07.412Z"),
            ("tenant", "acme"),
            ("source", "''=x"),
            ("actor_type", "user"),
            ("actor_id", "u_81"),
            ("actor_name", "Lindqvist, \"Maya\""),
            ("actor_email", "'@m"),
            ("on_behalf_of", "user/u_7"),
            ("action", "user.role_changed"),
            ("category", "team"),
            ("outcome", "success"),
            ("reason", "'-1\r\nline"),
            ("target_type", ""),
            ("target_id", "'+49"),
            ("target_name", ""),
            ("related", r#"[{"type":"team","id":"t_3"}]"#),
            ("changed_fields", "role;a;b;role"),
            ("before", r#"{"role":"agent","role (2)":"admin"}"#),
            ("after", r#"{"role":"admin","a;b":{"x":[1.0]}}"#),
            ("ip", "203.0.113.7"),
            ("user_agent", ""),
            ("request_id", ""),
            ("session_id", "'\tx"),
            ("detail", r#"{"b":1.50,"a":"é"}"#),
            ("hash", &hash),
        ];
        let found = cells(&opts);
        assert_eq!(found.iter().map(|(name, cell)| (name.as_str(), cell.as_str())).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_default_is_utc_without_a_mark() {
        let opts = CsvOptions::default();
        assert!(header(&opts).starts_with(b"seq,id,"));
        assert!(header(&CsvOptions { bom: true, ..opts }).starts_with(b"\xef\xbb\xbfseq,"));
        assert_eq!(cells(&opts)[3].1, "2026-07-20T13:32:07.412345+00:00");
        assert_eq!(cells(&CsvOptions { bom: true, tz: Tz::Asia__Kolkata })[3].1, "2026-07-20T19:02:07.412345+05:30");
    }

    #[test]
    fn defusing_can_be_undone() {
        for text in ["=1", "+1", "-1", "@x", "\tx", "\rx", "'=1", "''-", "'plain", "plain", "", "'", "a=b", "'''"] {
            let mut out = Vec::new();
            write_cell(text, &mut out);
            let file = [b"h\r\n" as &[u8], &out, b",x\r\n"].concat();
            let mut reader = ::csv::ReaderBuilder::new().flexible(true).from_reader(file.as_slice());
            let cell = reader.records().next().unwrap().unwrap()[0].to_owned();
            let is_defused =
                cell.starts_with('\'') && cell.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r']);
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{text}");
            assert_eq!(if is_defused { &cell[1..] } else { &cell }, text);
        }
    }

    #[test]
    fn bytes_that_are_no_body_give_an_error_and_no_half_row() {
        let mut out = Vec::new();
        let added = Added { seq: Seq(1), received_ms: 0, hash: &[0; 32], category: "x", parts: SeenParts::default() };
        for body in ["", "{\"id\":\"1\"", "{\"id\":1}", "nonsense"] {
            let row = write_row_from_body(&added, body, &CsvOptions::default(), &mut out);
            assert!(row.is_err() && out.is_empty(), "{body}");
        }
    }
}
