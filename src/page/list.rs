//! The list: category strip, rows, pager, and what stands there when there are no rows.
//!
//! Rows are a table whose roles are written out, so that cards on a phone are still rows and cells. The same functions
//! make the rows of the page, of its fragments and of the live tail.

use maud::{Markup, html};

use super::answer::{Answer, Facets, Nearest, Row, place};
use super::detail;
use super::filters::{label_of, sign, type_name};
use super::format::{self, count, cut, local_seconds, millis, plural, shown};
use super::icons::{icon, small};
use super::look::{CELL_CHARACTERS, Look, line_of, marked, marks_of};
use super::related::{action_value, actor_value, to_target};
use super::state::{At, LIMITS, Sort, State, with};
use super::tree::{CATEGORIES, OTHER};
use super::withheld::withheld;
use crate::event::{Change, Entry, Event, Outcome};
use crate::json::Json;
use crate::query::{Highlights, Mark};

/// An entry that arrived so much after it happened is marked as late, ms.
const LATE_MS: i64 = 60_000;
/// Facts out of the payload that stand in a row without changes.
const FACTS_MAX: usize = 2;

/// How late the entries of a page are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lateness {
    /// Few or none: each of these is marked.
    Some,
    /// Most: it is said once, below the list, as of a log that was brought in from elsewhere.
    Most,
    /// All.
    All,
}

impl Lateness {
    fn of(rows: &[Row]) -> Lateness {
        let late = rows.iter().filter(|row| is_late(&row.entry.event, row.entry.received_ms)).count();
        match late {
            _ if 2 * late <= rows.len() => Lateness::Some,
            _ if late < rows.len() => Lateness::Most,
            _ => Lateness::All,
        }
    }
}

fn is_late(event: &Event, received_ms: u64) -> bool {
    received_ms.cast_signed().saturating_sub(event.time.ms) >= LATE_MS
}

/// The card with strip, table and pager.
pub fn card(look: &Look<'_>, answer: &Answer, head: &detail::TreeHead) -> Markup {
    html! {
        section class="card list" id="entries" aria-labelledby="h-ent" tabindex="-1" {
            h2 class="vh" id="h-ent" { "Entries" }
            (strip(look, &answer.facets))
            @if answer.rows.rows.is_empty() && answer.linked.is_empty() {
                (blank(look, answer, &head.api_url))
            } @else {
                (table(look, Lateness::of(&answer.rows.rows), html! {
                    @for row in &answer.linked {
                        tr class="cut" role="row" { td role="cell" colspan="6" { "Linked entry" } }
                        (row_with_detail(look, row, answer, head))
                    }
                    @if !answer.linked.is_empty() && !answer.rows.rows.is_empty() {
                        tr class="cut" role="row" { td role="cell" colspan="6" { "Entries of this page" } }
                    }
                    @for row in &answer.rows.rows { (row_with_detail(look, row, answer, head)) }
                }))
                (pager(look, answer))
            }
        }
    }
}

fn row_with_detail(look: &Look<'_>, shown: &Row, answer: &Answer, head: &detail::TreeHead) -> Markup {
    let opened = answer.opened.iter().find(|opened| opened.entry.seq == shown.entry.seq);
    html! {
        (row(look, shown, opened.is_some()))
        @if let Some(opened) = opened { (detail::row(look, opened, &shown.marks, head)) }
    }
}

/// All and the categories, each with the count of the page behind it.
pub fn strip(look: &Look<'_>, facets: &Facets) -> Markup {
    let fresh = look.state.fresh();
    let chosen = |slug: &str| match look.state.actions.as_slice() {
        [] => false,
        actions => {
            let branch = facets.branches.iter().find(|branch| branch.slug == slug);
            let is_here = |value: &String| {
                value == slug || branch.is_some_and(|branch| branch.verbs.iter().any(|verb| verb.value == *value))
            };
            actions.iter().all(is_here)
        }
    };
    html! {
        nav class="strip" aria-label="Categories" {
            a href=(look.href(&State { actions: Vec::new(), ..fresh.clone() }))
                aria-current=[look.state.actions.is_empty().then_some("true")] {
                "All " span class="n num" { (count(facets.all)) }
            }
            @for branch in &facets.branches {
                @let state = State { actions: vec![branch.slug.clone()], ..fresh.clone() };
                a href=(look.href(&state)) class=[(branch.count == 0).then_some("zero")]
                    aria-current=[chosen(&branch.slug).then_some("true")] {
                    span class={ "dot " (branch.slug) } {}
                    (branch.label) " " span class="n num" { (count(branch.count)) }
                }
            }
        }
    }
}

/// The table around some rows.
fn table(look: &Look<'_>, lateness: Lateness, rows: Markup) -> Markup {
    let (order, label, other, arrow) = match look.state.sort {
        Sort::Desc => ("descending", "newest first", Sort::Asc, "sort"),
        Sort::Asc => ("ascending", "oldest first", Sort::Desc, "sort-up"),
    };
    let has_zone = look.prefs.tz.or(look.state.tz).is_some();
    let clock = if has_zone { format!("{} time", format::city(look.tz)) } else { "UTC".to_owned() };
    html! {
        table class={ "log" @if lateness != Lateness::Some { " brought" } } role="table" aria-label={ "Audit log entries, " (label) } {
            colgroup { col class="x"; col class="t"; col class="a"; col class="v"; col class="g"; col class="c"; }
            thead role="rowgroup" {
                tr role="row" {
                    th role="columnheader" scope="col" { span class="vh" { "Details" } }
                    th role="columnheader" scope="col" aria-sort=(order) {
                        a href=(look.href(&State { sort: other, ..look.state.fresh() })) { (clock) (small(arrow)) }
                        // The field stands in the display menu, which opens where it is asked for.
                        @if has_zone { span class="tz" { " and UTC" } } @else {
                            " " a class="tz under" href="#tz" { "Set time zone" }
                        }
                    }
                    th role="columnheader" scope="col" { "Actor" }
                    th role="columnheader" scope="col" { "Action" }
                    th role="columnheader" scope="col" { "Target" }
                    th role="columnheader" scope="col" { "Change" }
                }
            }
            tbody role="rowgroup" { (rows) }
        }
    }
}

/// One entry.
pub fn row(look: &Look<'_>, shown_row: &Row, is_open: bool) -> Markup {
    let Row { entry, marks } = shown_row;
    let event = &entry.event;
    let seq = entry.seq;
    let clock = format!("{}{}", look_time(look, event), millis(event.time.ms));
    html! {
        tr class={ "e" @if is_open { " open" } } role="row" id={ "e" (seq) } data-id=(event.id) data-seq=(seq) {
            td class="x" role="cell" {
                a class="tw" href={ (look.href(&look.state.toggled(&event.id))) "#e" (seq) }
                    aria-expanded=(if is_open { "true" } else { "false" })
                    aria-controls=[is_open.then(|| format!("e{seq}-d"))]
                    aria-label={ "Details of " (shown(&event.action)) " at " (clock) } { (icon("right")) }
            }
            td class="t" role="cell" { (times(look, event, entry.received_ms)) }
            td class="a" role="cell" { (actor(look, entry, marks)) }
            td class="v" role="cell" { (action(look, event, marks)) }
            td class="g" role="cell" { (target(look, entry, marks)) }
            td class="c" role="cell" { (change(entry, marks)) }
        }
    }
}

fn look_time(look: &Look<'_>, event: &Event) -> String {
    local_seconds(look.tz, event.time.ms, look.now_ms)
}

/// Both clocks; and the time of arrival where it is another.
fn times(look: &Look<'_>, event: &Event, received_ms: u64) -> Markup {
    let utc = crate::clock::rfc3339_ms(event.time.ms);
    let received = is_late(event, received_ms)
        .then(|| format!("received {}", local_seconds(look.tz, received_ms.cast_signed(), look.now_ms)));
    // 2026-11-20T13:32:07.412Z; years of more than four digits are not written by anybody.
    let (date, time) = utc.split_once('T').unwrap_or((&utc, ""));
    let (year, day) = date.split_at_checked(5).unwrap_or(("", date));
    let (second, ms) = time.strip_suffix('Z').unwrap_or(time).split_once('.').unwrap_or((time, ""));
    html! {
        time class="l1" datetime=(utc) title=[received.as_deref()] {
            (look_time(look, event)) span class="ms" { (millis(event.time.ms)) }
            @if let Some(received) = &received {
                " " span class="late" { "late" span class="vh" { ", " (received) } }
            }
        }
        span class="l2 mono" { span class="yr" { (year) } (day) " " (second) span class="yr" { "." (ms) } "Z" }
    }
}

fn actor(look: &Look<'_>, entry: &Entry, marks: &Highlights) -> Markup {
    let actor = &entry.event.actor;
    let fresh = look.state.fresh();
    let state = State { actors: with(&fresh.actors, &actor_value(actor)), ..fresh };
    let cell = |text: &str, pointer: &str| marked(text, marks_of(marks, pointer), CELL_CHARACTERS);
    let is_system = actor.kind == "system";
    html! {
        div class="who" {
            (sign(&actor.kind, actor.name.as_deref(), &actor.id))
            div {
                a class="l1" href=(look.href(&state)) {
                    @match &actor.name {
                        // Of the system the id says which, and the name is the job's.
                        Some(name) if !is_system => (cell(name, "/actor/name")),
                        Some(_) | None => (cell(&actor.id, "/actor/id")),
                    }
                }
                span class="l2" {
                    @match (&actor.email, &actor.name) {
                        (Some(email), _) => (cell(email, "/actor/email")),
                        (None, Some(name)) if is_system => (cell(name, "/actor/name")),
                        (None, Some(_)) => {
                            (cell(&actor.kind, "/actor/type")) " " span class="mono" { (cell(&actor.id, "/actor/id")) }
                        }
                        (None, None) => {
                            (cell(&actor.kind, "/actor/type"))
                            @if let Some(mark) = withheld(entry.parts.who) { " " (mark) }
                        }
                    }
                }
            }
        }
    }
}

fn action(look: &Look<'_>, event: &Event, marks: &Highlights) -> Markup {
    let slug = look.catalogue.category_of(&event.action).into_owned();
    let fresh = look.state.fresh();
    let state = State { actions: with(&fresh.actions, &action_value(&event.action)), ..fresh };
    html! {
        div class="act" {
            span class={ "dot " (colour(&slug)) } {}
            a class="l1" href=(look.href(&state)) {
                code { (marked(&event.action, marks_of(marks, "/action"), CELL_CHARACTERS)) }
            }
        }
        span class="l2" { (cut(&shown(label_of(look, &slug)), CELL_CHARACTERS)) }
    }
}

/// The class that colours a category's dot. Only our own words become classes.
pub fn colour(slug: &str) -> &'static str {
    CATEGORIES.into_iter().find(|known| *known == slug).unwrap_or(OTHER)
}

fn target(look: &Look<'_>, entry: &Entry, marks: &Highlights) -> Markup {
    let Some(target) = &entry.event.target else {
        return html! { em class="nil" { "No target" } span class="l2" {} };
    };
    let state = to_target(look.state, target);
    let kind = target.kind.as_deref().map(type_name);
    let cell = |text: &str, pointer: &str| marked(text, marks_of(marks, pointer), CELL_CHARACTERS);
    let first = html! {
        @if let Some(kind) = &kind { span class="ty" { (cut(kind, CELL_CHARACTERS)) " " } }
        @match (&target.name, &target.id, &kind) {
            (Some(name), _, _) => (cell(name, "/target/name")),
            (None, Some(id), _) => span class="mono" { (cell(id, "/target/id")) },
            (None, None, Some(kind)) => span class="one" { (cut(kind, CELL_CHARACTERS)) },
            (None, None, None) => {}
        }
    };
    html! {
        @match state {
            Some(state) => a class="l1" href=(look.href(&state)) { (first) },
            None => span class="l1" { (first) },
        }
        span class="l2" {
            @if let (Some(kind), Some(_)) = (&kind, target.name.as_ref().or(target.id.as_ref())) {
                (cut(kind, CELL_CHARACTERS)) " "
            }
            @if let (Some(id), Some(_)) = (&target.id, &target.name) { span class="mono" { (cell(id, "/target/id")) } }
            @if let Some(mark) = withheld(entry.parts.content) { (mark) }
        }
    }
}

fn change(entry: &Entry, marks: &Highlights) -> Markup {
    let event = &entry.event;
    let not_shown = withheld(entry.parts.content);
    let Some(first) = event.changes.first() else {
        return html! {
            em class="nil" { "No field changed" }
            span class="l2" { @match not_shown { Some(mark) => (mark), None => (facts(event)) } }
        };
    };
    let more = event.changes.len() as u64 - 1;
    let outcome = outcome_word(event.outcome);
    html! {
        div class="chg" {
            span class="f" { (marked(&first.field, marks_of(marks, "/changes/0/field"), 40)) }
            @match not_shown {
                Some(mark) => (mark),
                None => (values(first, marks_of(marks, "/changes/0/before"), marks_of(marks, "/changes/0/after"))),
            }
        }
        span class="l2" {
            @if let Some(word) = outcome { (word) @if more > 0 { ", " } }
            @if more > 0 { "and " (plural(more, "more field", "more fields")) }
        }
    }
}

/// `before → after`, with words for what is not there.
fn values(change: &Change, before_marks: &[Mark], after_marks: &[Mark]) -> Markup {
    html! {
        @match &change.before {
            Some(value) => del { (marked(&line_of(value), marks_if_text(value, before_marks), CELL_CHARACTERS)) },
            None => em class="nil" { "empty" },
        }
        (small("arrow")) span class="vh" { "changed to" }
        @match &change.after {
            Some(value) => ins { (marked(&line_of(value), marks_if_text(value, after_marks), CELL_CHARACTERS)) },
            None => em class="nil" { @if change.before.is_some() { "removed" } @else { "empty" } },
        }
    }
}

/// Marks count bytes of a text, or of the JSON of another value; a list is not shown as JSON.
pub fn marks_if_text<'a>(value: &Json, marks: &'a [Mark]) -> &'a [Mark] {
    match value {
        Json::Array(_) => &[],
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => marks,
    }
}

/// What can be said in a line about an entry in which no field changed.
fn facts(event: &Event) -> String {
    let mut facts: Vec<String> = outcome_word(event.outcome).map(str::to_owned).into_iter().collect();
    if let Some(reason) = &event.reason {
        facts.push(reason.clone());
    }
    if let Some(Json::Object(members)) = &event.detail {
        for (name, value) in members {
            let is_short = matches!(value, Json::Bool(_) | Json::Number(_) | Json::String(_));
            if is_short && facts.len() < FACTS_MAX {
                facts.push(format!("{} {}", name.replace('_', " "), cut(&line_of(value), 60)));
            }
        }
    }
    cut(&shown(&facts.join(", ")), CELL_CHARACTERS).into_owned()
}

/// What is said of an outcome; that something was done needs no word.
pub fn outcome_word(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Success => None,
        Outcome::Failure => Some("failed"),
        Outcome::Denied => Some("denied"),
        Outcome::Unknown => Some("outcome unknown"),
    }
}

fn pager(look: &Look<'_>, answer: &Answer) -> Markup {
    let (state, rows) = (look.state, &answer.rows);
    let (first, last) = (rows.before + 1, rows.before + rows.rows.len() as u64);
    let is_start = rows.before == 0;
    let is_end = last >= answer.total;
    // The page at the beginning has no place in its address, however one came there.
    let to_start = rows.before <= state.limit as u64;
    let begin = State { open: Vec::new(), at: At::Start, ..state.clone() };
    let at = |row: Option<&Row>, side: fn(crate::index::Hit) -> At| {
        row.map(|row| State { at: side(place(row)), ..begin.clone() })
    };
    let back = match state.sort {
        Sort::Desc => at(rows.rows.first(), At::After),
        Sort::Asc => at(rows.rows.first(), At::Before),
    };
    let back = if is_start {
        None
    } else if to_start {
        Some(begin.clone())
    } else {
        back
    };
    let on = match state.sort {
        Sort::Desc => at(rows.rows.last(), At::Before),
        Sort::Asc => at(rows.rows.last(), At::After),
    };
    let on = on.filter(|_| !is_end);
    let (newer, older) = match state.sort {
        Sort::Desc => (back, on),
        Sort::Asc => (on, back),
    };
    html! {
        div class="pager" {
            span id="shown" {
                @if rows.rows.is_empty() { b class="num" { "0" } } @else {
                    b class="num" { (count(first)) " to " (count(last)) }
                }
                " of " b class="num" { (count(answer.total)) } " " (if answer.total == 1 { "entry" } else { "entries" })
                @match Lateness::of(&rows.rows) {
                    Lateness::Some => {}
                    Lateness::Most => ", most received later than they happened",
                    Lateness::All => ", all received later than they happened",
                }
            }
            span class="grow" {}
            nav class="sizes" aria-label="Entries per page" {
                @for limit in LIMITS {
                    @let current = (limit == state.limit).then_some("true");
                    a href=(look.href(&State { limit, ..begin.clone() })) aria-current=[current]
                        aria-label={ (limit) " per page" } {
                        (limit)
                    }
                }
                span { " per page" }
            }
            (step(look, "newer", newer.as_ref(), html! { (small("left")) "Newer" }))
            (step(look, "older", older.as_ref(), html! { "Older" (small("right")) }))
        }
    }
}

fn step(look: &Look<'_>, id: &str, state: Option<&State>, label: Markup) -> Markup {
    html! {
        @match state {
            Some(state) => a class="btn" id=(id) href=(look.href(state)) { (label) },
            None => span class="btn" id=(id) aria-disabled="true" { (label) },
        }
    }
}

/// Why there are no rows, and where some are.
fn blank(look: &Look<'_>, answer: &Answer, api_url: &str) -> Markup {
    if answer.searchable.0 == 0 {
        return html! {
            div class="blank" {
                span class="glyph" { (icon("chain")) }
                h2 { "Nothing recorded yet" }
                p { "Entries appear here as soon as an application sends one. From a shell:" }
                pre class="json" tabindex="0" role="region" aria-label="How to send an entry" {
                    "curl -X POST " (api_url) "/v1/events -H 'content-type: application/json' \\\n  -d '{\"actor\": {\"id\": \"u_1\"}, \"action\": \"user.invited\"}'"
                }
            }
        };
    }
    let is_past_the_end = answer.total > 0;
    html! {
        div class="blank" {
            span class="glyph" { (icon("search")) }
            h2 { @if is_past_the_end { "No entries beyond this place" } @else { "No entries match" } }
            p {
                (plural(answer.searchable.0, "entry exists", "entries exist")) ". "
                @if is_past_the_end { (count(answer.total)) " match, on other pages." }
                @else if answer.nearest.is_empty() { "None of them fits even if one filter is left out." }
                @else { "These do match: " (list_of(&answer.nearest)) "." }
            }
            div class="row" {
                @if is_past_the_end { a class="btn" href=(look.href(&look.state.fresh())) { "First page" } }
                @for near in &answer.nearest { a class="btn" href=(look.href(&near.state)) { (near.label) } }
                a class="btn ghost" href=(look.href(&look.state.cleared())) { "Clear all" }
            }
        }
    }
}

fn list_of(nearest: &[Nearest]) -> String {
    let one = |near: &Nearest| format!("{} ({})", near.label.to_lowercase(), plural(near.count, "entry", "entries"));
    nearest.iter().map(one).collect::<Vec<_>>().join(" or ")
}

/// The card when the entries could not be had.
pub fn failed(look: &Look<'_>, title: &str, why: &str, code: &str, can_retry: bool) -> Markup {
    html! {
        section class="card list" id="entries" aria-labelledby="h-ent" tabindex="-1" {
            h2 class="vh" id="h-ent" { "Entries" }
            div class="blank" role="alert" {
                span class="glyph" { (icon("plug")) }
                h2 { (title) }
                p {
                    (format::capital(&shown(why))) ". Your filters are kept. Reference " span class="mono" { (code) } "."
                }
                div class="row" {
                    @if can_retry { a class="btn" href=(look.href(look.state)) { "Try again" } }
                    a class="btn ghost" href=(look.href(&look.state.cleared())) { "Clear all" }
                }
            }
        }
    }
}
