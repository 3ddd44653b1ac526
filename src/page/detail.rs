//! An open entry: one sentence, what changed, the payload as recorded, context, proof, and where to go from here.

use maud::{Markup, html};

use super::answer::Opened;
use super::diff::{self, Field, Piece};
use super::filters::type_name;
use super::format::{self, count, cut, plural, shown};
use super::icons::{icon, small};
use super::list::outcome_word;
use super::look::{CELL_CHARACTERS, Look, marked, marks_of, segment};
use super::payload;
use super::withheld::{why, withheld};
use crate::clock::rfc3339_ms;
use crate::event::row::hex;
use crate::event::{BLANK, Entry, Event, Party};
use crate::query::Highlights;
use crate::seq::Seq;

/// A payload larger than this is folded, with a link to it as a file, bytes.
const PAYLOAD_BYTES_SHOWN: usize = 64 << 10;
/// Characters of one value in the table of changes.
const VALUE_CHARACTERS: usize = 4_000;
/// Levels that a stored body may have, with room.
const DEPTH_MAX: usize = 64;
/// An arrival so much after the event is told, ms.
const RECEIVED_APART_MS: i64 = 1_000;

/// What proofs lead to, and the address of the API.
pub struct TreeHead {
    /// Entries under the newest signed checkpoint; 0 without one.
    pub signed: Seq,
    /// Where the API answers: `https://audit.example.org/annals`.
    pub api_url: String,
}

/// What was found when the server walked from an entry's leaf to the signed root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proven {
    /// It leads there.
    Included,
    /// It is not under a signed checkpoint yet.
    NotYet,
    /// It does not, or could not be walked.
    Failed(String),
}

/// The row below an entry.
pub fn row(look: &Look<'_>, opened: &Opened, marks: &Highlights, head: &TreeHead) -> Markup {
    let seq = opened.entry.seq;
    html! {
        tr class="d" role="row" id={ "e" (seq) "-d" } data-seq=(seq) {
            td role="cell" colspan="6" { (body(look, opened, marks, head)) }
        }
    }
}

/// The same without a row around it, for a page of its own.
pub fn body(look: &Look<'_>, opened: &Opened, marks: &Highlights, head: &TreeHead) -> Markup {
    let event = &opened.entry.event;
    let permalink = look.entry_href(&opened.entry);
    html! {
        div class="det" data-id=(event.id) data-entry=(permalink) {
            div class="tools" {
                (sentence(event))
                a class="btn sm" href=(permalink) data-copy="link" {
                    (small("link")) span class="needs-js" { "Copy link" } span class="no-js" { "Open on its own page" }
                }
                button class="btn sm needs-js" type="button" data-copy="json" data-src={ (permalink) ".json" } {
                    (small("copy")) "Copy JSON"
                }
                button class="btn sm needs-js" type="button" data-copy="curl" data-text=(curl(head, &opened.entry)) {
                    (small("term")) "Copy as curl"
                }
            }
            div class="cols" {
                div {
                    section { h3 { "Before and after" } (changes(&opened.entry, marks)) }
                    section {
                        h3 { "Payload" }
                        @if let Some(why) = why(opened.entry.parts.content) { p class="nil" { (why) } }
                        (payload(opened, &permalink))
                    }
                }
                div {
                    section { h3 { "Context" } (context(look, opened, marks)) }
                    section { h3 { "Integrity" } (integrity(opened, head, &permalink)) }
                    section {
                        h3 { "Related entries" }
                        div class="piv" {
                            @for related in &opened.related {
                                a href=(look.href(&related.state)) {
                                    (related.label) " " span class="n num" { (count(related.count)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn curl(head: &TreeHead, entry: &Entry) -> String {
    format!("curl -H \"Authorization: Bearer $AUDIT_TOKEN\" '{}/v1/events/{}'", head.api_url, segment(entry))
}

fn name_of(party: &Party) -> String {
    cut(&shown(party.name.as_deref().unwrap_or(&party.id)), CELL_CHARACTERS).into_owned()
}

/// Who did what to whom, in one sentence.
fn sentence(event: &Event) -> Markup {
    let target = event.target.as_ref().map(|target| {
        let kind = target.kind.as_deref().map(|kind| type_name(kind).to_lowercase());
        let name =
            target.name.as_deref().or(target.id.as_deref()).map(|name| cut(&shown(name), CELL_CHARACTERS).into_owned());
        (kind, name)
    });
    let object = html! {
        @if let Some((kind, name)) = &target {
            @if let Some(kind) = kind { (cut(kind, CELL_CHARACTERS)) " " }
            @if let Some(name) = name { b { (name) } }
        }
    };
    html! {
        p class="say" {
            b { (name_of(&event.actor)) }
            @if let Some(other) = &event.on_behalf_of { " on behalf of " b { (name_of(other)) } }
            @match (event.changes.first(), outcome_word(event.outcome)) {
                (Some(first), None) => {
                    " changed " b { (cut(&shown(&first.field), CELL_CHARACTERS)) }
                    @if event.changes.len() > 1 {
                        " and " (plural(event.changes.len() as u64 - 1, "other field", "other fields"))
                    }
                    @if target.is_some() { " of " (object) }
                }
                (_, outcome) => {
                    ": " code { (cut(&shown(&event.action), CELL_CHARACTERS)) }
                    @if target.is_some() { " on " (object) }
                    @if let Some(word) = outcome { ", " b { (word) } }
                }
            }
            @if let Some(reason) = &event.reason {
                span class="why" { "Reason: " (cut(&shown(reason), VALUE_CHARACTERS)) }
            }
        }
    }
}

fn changes(entry: &Entry, marks: &Highlights) -> Markup {
    let event = &entry.event;
    if let Some(mark) = withheld(entry.parts.content)
        && !event.changes.is_empty()
    {
        return html! {
            table class="diff" {
                thead { tr { th scope="col" { "Field" } th scope="col" { "Before" } th scope="col" { "After" } } }
                tbody {
                    @for (index, change) in event.changes.iter().enumerate() {
                        tr {
                            th scope="row" {
                                (marked(&change.field, marks_of(marks, &format!("/changes/{index}/field")), CELL_CHARACTERS))
                            }
                            td class="was" { (mark) }
                            td class="now" { (mark) }
                        }
                    }
                }
            }
        };
    }
    let (mut changed, mut same) = (Vec::new(), Vec::new());
    for (index, change) in event.changes.iter().enumerate() {
        let (differ, stay) = diff::fields(&change.field, change.before.as_ref(), change.after.as_ref());
        changed.extend(differ.into_iter().map(|field| (index, field)));
        same.extend(stay);
    }
    changed.sort_by(|a, b| a.1.path.cmp(&b.1.path));
    if changed.is_empty() && same.is_empty() {
        return html! { p class="nil" { "No field changed" } };
    }
    html! {
        table class="diff" {
            thead { tr { th scope="col" { "Field" } th scope="col" { "Before" } th scope="col" { "After" } } }
            tbody {
                @for (index, field) in &changed {
                    (change_row(field, marks_of(marks, &format!("/changes/{index}/field"))))
                }
            }
        }
        @if !same.is_empty() {
            details class="same" {
                summary { "Show unchanged fields (" (same.len()) ")" }
                dl class="kv" {
                    @for field in &same {
                        dt { (cut(&shown(&field.path), CELL_CHARACTERS)) }
                        dd { code { (cut(&shown(field.before.as_deref().unwrap_or("empty")), VALUE_CHARACTERS)) } }
                    }
                }
            }
        }
    }
}

fn change_row(field: &Field, marks: &[crate::query::Mark]) -> Markup {
    let (before, after) = match (&field.before, &field.after) {
        (Some(before), Some(after)) => {
            let (left, right) = (cut(before, VALUE_CHARACTERS), cut(after, VALUE_CHARACTERS));
            let (left, right) = diff::words(&left, &right);
            (Some(left), Some(right))
        }
        (before, after) => (before.as_deref().map(whole), after.as_deref().map(whole)),
    };
    html! {
        tr {
            th scope="row" { (marked(&field.path, marks, CELL_CHARACTERS)) }
            td class="was" { (side(before.as_deref(), "empty", true)) }
            td class="now" { (side(after.as_deref(), if field.before.is_some() { "removed" } else { "empty" }, false)) }
        }
    }
}

fn whole(text: &str) -> Vec<Piece> {
    vec![Piece { text: cut(text, VALUE_CHARACTERS).into_owned(), is_changed: true }]
}

fn side(pieces: Option<&[Piece]>, missing: &str, is_before: bool) -> Markup {
    html! {
        @match pieces {
            None => em class="nil" { (missing) },
            Some(pieces) => code {
                @for piece in pieces {
                    @let text = shown(&piece.text);
                    @if !piece.is_changed { (text) } @else if is_before { del { (text) } } @else { ins { (text) } }
                }
            },
        }
    }
}

fn payload(opened: &Opened, permalink: &str) -> Markup {
    let pretty = html! {
        pre class="json" tabindex="0" role="region" aria-label="Payload JSON" {
            @match crate::json::parse(&opened.body, DEPTH_MAX) {
                Ok(value) => (payload::pretty(&value)),
                Err(_) => (payload::raw(&opened.body)),
            }
        }
    };
    let bytes = opened.body.len();
    html! {
        @if bytes <= PAYLOAD_BYTES_SHOWN { (pretty) } @else {
            p class="nil" {
                (count(bytes as u64)) " bytes, too long to show here. "
                a class="under" href={ (permalink) ".json" } download { "Download JSON" }
            }
        }
    }
}

fn context(look: &Look<'_>, opened: &Opened, marks: &Highlights) -> Markup {
    let entry = &opened.entry;
    let (event, tz) = (&entry.event, look.tz);
    let zone = |ms: i64| format!("{}, {}", tz.name(), format::offset(tz, ms));
    let received_ms = entry.received_ms.cast_signed();
    let cell = |text: &str, pointer: &str| marked(text, marks_of(marks, pointer), VALUE_CHARACTERS);
    let mono = [
        ("IP address", &event.context.ip, "/context/ip"),
        ("Client", &event.context.user_agent, "/context/user_agent"),
        ("Request", &event.context.request_id, "/context/request_id"),
        ("Session", &event.context.session_id, "/context/session_id"),
        ("Source", &event.source, "/source"),
    ];
    html! {
        dl class="kv" {
            dt { "Local time" } dd class="num" {
                (format::local_long(tz, event.time.ms)) span class="more" { (zone(event.time.ms)) }
            }
            dt { "UTC" } dd class="mono" { (shown(&event.time.text)) }
            @if received_ms.abs_diff(event.time.ms) >= RECEIVED_APART_MS.unsigned_abs() {
                dt { "Received" }
                dd class="num" {
                    (format::local_long(tz, received_ms)) span class="more mono" { (rfc3339_ms(received_ms)) }
                }
            }
            @for (label, value, pointer) in mono {
                @if let Some(value) = value { dt { (label) } dd class="mono" { (cell(value, pointer)) } }
            }
            @if let Some(mark) = withheld(entry.parts.who) { dt { "Who, from where" } dd { (mark) } }
            dt { "Tenant" } dd { (cell(&event.tenant, "/tenant")) }
            dt { "Outcome" } dd { (event.outcome.as_str()) }
            dt { "Entry" } dd class="mono" { (cell(&event.id, "/id")) }
            dt { "Sequence" } dd class="num" { (count(entry.seq.0)) }
        }
    }
}

fn integrity(opened: &Opened, head: &TreeHead, permalink: &str) -> Markup {
    let leaf = hex(&opened.entry.hash);
    // A browser has nothing to hold against the leaf; `annals verify` has the entry that says why.
    let is_cut_out = opened.entry.event.action == BLANK;
    let (class, sign, words) = match &opened.proven {
        Proven::Included => ("", "shield", "Included in the signed log".to_owned()),
        Proven::NotYet => ("wait", "clock", "Not signed yet, due within a second".to_owned()),
        Proven::Failed(why) => ("bad", "alert", format!("Not proven: {}", shown(why))),
    };
    html! {
        div class="proof" data-entry=(permalink) data-seq=(opened.entry.seq) {
            p class=(class) { (icon(sign)) (words) }
            @if is_cut_out { p { "The content was cut out of the log. Its leaf is there, so every proof holds." } }
            dl class="kv" {
                dt { "Leaf hash" } dd class="mono" title=(leaf) { (leaf[..8]) "…" (leaf[56..]) }
                dt { "Tree head" } dd class="num" {
                    @if head.signed == Seq::ZERO { "none signed yet" } @else {
                        (plural(head.signed.0, "entry", "entries")) ", signed"
                    }
                }
            }
            div class="row" {
                @if !is_cut_out {
                    button class="btn sm needs-js" type="button" data-verify={ (permalink) "/proof.json" } {
                        "Verify in this browser"
                    }
                }
                @if opened.proven != Proven::NotYet {
                    a class="btn sm ghost" href={ (permalink) "/proof.json" } download={ "proof-" (opened.entry.seq) ".json" } {
                        "Download proof"
                    }
                }
            }
            p class="cmd no-js" { "To check the whole log: " code { "annals verify DIR" } }
        }
    }
}
