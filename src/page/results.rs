//! `GET` of the page, its fragments, and single entries: the same functions render them all.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chrono_tz::Tz;
use maud::{Markup, html};

use super::Page;
use super::answer::{Answer, Asked, Asking, Opened};
use super::detail::{self, TreeHead};
use super::filters::{self, Bar};
use super::format::{self, count, plural, shown};
use super::icons::icon;
use super::list;
use super::look::{Look, Rights};
use super::plot;
use super::prefs::{self, Prefs};
use super::respond::{self, Outside, plain, see_other};
use super::seal::{self, Badge};
use super::shell::{self, Frame};
use super::sign_in;
use super::state::{At, Fault, QUERY_STRING_BYTES_MAX, State};
use super::tree::Conditions;
use crate::api::error::ApiError;
use crate::api::{self, EngineChoice, own};
use crate::auth::Scope;
use crate::clock;
use crate::query::{Highlights, Query};
use crate::seq::Seq;
use crate::store::cursor::filter_hash;

/// The index may be so far behind without a notice, ms: it is, for moments, after every event.
const BEHIND_MS: u64 = 2_000;
/// Longest text that `find` looks for, characters.
const FIND_CHARACTERS_MAX: usize = 200;

/// A request, read.
pub struct Visit {
    /// What the address says.
    pub state: State,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
    /// It is spelt as we would.
    pub is_canonical: bool,
    /// The viewer's choices.
    pub prefs: Prefs,
    /// The viewer's zone.
    pub tz: Tz,
    /// The moment of the request.
    pub now_ms: i64,
}

impl Visit {
    /// Reads a request.
    pub fn of(uri: &Uri, headers: &HeaderMap) -> Visit {
        let query = uri.query().unwrap_or_default();
        let prefs = Prefs::of(headers);
        let is_too_long = query.len() > QUERY_STRING_BYTES_MAX;
        let read = State::read(if is_too_long { "" } else { query }, prefs.tz.unwrap_or(Tz::UTC));
        let mut faults = read.faults;
        if is_too_long {
            let why = format!("The address has {} bytes, more than {QUERY_STRING_BYTES_MAX}.", query.len());
            faults.push(Fault { field: "q", text: String::new(), why });
        }
        let tz = read.state.tz.or(prefs.tz).unwrap_or(Tz::UTC);
        let is_canonical = read.is_canonical && !is_too_long;
        Visit { state: read.state, faults, is_canonical, prefs, tz, now_ms: clock::now_ms().cast_signed() }
    }

    /// How the page is to look for it; `root` is the way up to the page.
    pub fn look<'a>(&'a self, page: &'a Page, root: &'static str) -> Look<'a> {
        let (state, prefs) = (&self.state, &self.prefs);
        let rights = Rights { export: page.app.caller.may(Scope::Export), save_views: page.app.caller.sees_all() };
        let catalogue = page.app.store.catalogue();
        Look { state, tz: self.tz, now_ms: self.now_ms, catalogue, prefs, root, rights }
    }

    /// What is asked of the store, or what of the address it cannot understand.
    pub fn asked(&self, page: &Page) -> Result<Asked, Vec<Fault>> {
        let conditions = Conditions::read(&self.state, page.app.store.catalogue(), self.now_ms.cast_unsigned());
        let conditions = match (self.faults.as_slice(), conditions) {
            ([], Ok(conditions)) => conditions,
            (faults, Ok(_)) => return Err(faults.to_vec()),
            (faults, Err(more)) => return Err(faults.iter().cloned().chain(more).collect()),
        };
        Ok(Asked { state: self.state.clone(), conditions, tz: self.tz, now_ms: self.now_ms })
    }
}

/// What is said where no page can show what is wrong with the address: the first fault.
pub fn refused(faults: &[Fault]) -> Response {
    plain(StatusCode::BAD_REQUEST, shown(&faults[0].why).into_owned())
}

/// How a page came out.
enum Outcome {
    /// With an answer.
    Answered(Box<Answer>),
    /// The address is wrong.
    Wrong(Vec<Fault>),
    /// The store has no answer.
    Failed(ApiError),
}

/// `GET /admin/audit-log/`
pub async fn page(page: Page, uri: Uri, headers: HeaderMap) -> Response {
    let visit = Visit::of(&uri, &headers);
    if visit.faults.is_empty() && !visit.is_canonical {
        return see_other(&match visit.state.query_string() {
            query if query.is_empty() => "./".to_owned(),
            query => format!("?{query}"),
        });
    }
    let outside = Outside::of(&headers, &page.settings);
    let (token, cookie) = match respond::form_token(&headers, &outside) {
        Ok(token) => token,
        Err(error) => return error.into_response(),
    };
    let outcome = ask(&page, &visit).await;
    let look = visit.look(&page, "");
    let badge = badge(&page, visit.now_ms);
    let (status, parts) = parts(&page, &look, &badge, &outcome, &outside);
    let views = page.saved_views();
    let main = html! {
        (shell::head(&look, &badge, &views, &token))
        (parts.bar) (parts.results)
        (shell::keys())
    };
    let who = sign_in::who(&page);
    let frame =
        Frame { title: &parts.title, here: "Entry", has_entries: true, token: Some(&token), who, views: &views };
    let mut response = respond::html(status, shell::document(&look, &frame, main), &headers);
    cookie.iter().for_each(|cookie| respond::set_cookie(&mut response, cookie));
    response
}

/// `GET /admin/audit-log/_results`
pub async fn fragment(page: Page, uri: Uri, headers: HeaderMap) -> Response {
    let visit = Visit::of(&uri, &headers);
    let outcome = ask(&page, &visit).await;
    let outside = Outside::of(&headers, &page.settings);
    let look = visit.look(&page, "");
    let badge = badge(&page, visit.now_ms);
    let (status, parts) = parts(&page, &look, &badge, &outcome, &outside);
    // The page set the cookie; without one its forms could not be sent anyway.
    let token = prefs::token(&headers).unwrap_or_default();
    let head = shell::head(&look, &badge, &page.saved_views(), &token);
    respond::fetched(respond::html(status, html! { (head) (parts.bar) (parts.results) }, &headers))
}

/// What page and fragment share.
struct Parts {
    title: String,
    bar: Markup,
    results: Markup,
}

async fn ask(page: &Page, visit: &Visit) -> Outcome {
    let asked = match visit.asked(page) {
        Ok(asked) => asked,
        Err(faults) => return Outcome::Wrong(faults),
    };
    let mut linked = Vec::new();
    for id in &visit.state.open {
        // One that is not there is told by its absence: the rest of the page is right without it.
        if let Ok(seq) = api::find(&page.app, id, None).await {
            linked.push(seq);
        }
    }
    let store = page.app.store.clone();
    let query = asked.conditions.query();
    let answered = api::ask(&page.app, EngineChoice::Index, move |answers, view| {
        Asking { answers, searchable: view.searchable(), store: &store }.page(&asked, &linked)
    });
    let entered = async {
        let answer = answered.await?;
        enter_search(page, visit, &query, answer.rows.rows.len()).await?;
        for opened in &answer.opened {
            own::enter_view(&page.app, opened.entry.seq).await?;
        }
        Ok(answer)
    };
    match entered.await {
        Ok(answer) => Outcome::Answered(Box::new(answer)),
        Err(error) => Outcome::Failed(error),
    }
}

/// Enters what was asked; another page of the same list is the same question.
pub async fn enter_search(page: &Page, visit: &Visit, query: &Query, rows: usize) -> Result<(), ApiError> {
    if !own::is_named(&page.app) {
        return Ok(());
    }
    let list = State { open: Vec::new(), at: At::Start, ..visit.state.clone() };
    let hash = filter_hash(&[("page".to_owned(), list.query_string())]);
    own::enter_search(&page.app, hash, query, rows as u64).await
}

fn parts(page: &Page, look: &Look<'_>, badge: &Badge, outcome: &Outcome, outside: &Outside) -> (StatusCode, Parts) {
    let none = Vec::new();
    let (answer, faults) = match outcome {
        Outcome::Answered(answer) => (Some(&**answer), &none),
        Outcome::Wrong(faults) => (None, faults),
        Outcome::Failed(_) => (None, &none),
    };
    let (status, words, content) = match outcome {
        Outcome::Answered(answer) => {
            let words = plural(answer.total, "entry", "entries");
            let head = tree_head(page, outside);
            let content = html! {
                (behind(page, look, answer.searchable))
                (shell::exporting(look, answer.total, &answer.rows.rows))
                @if let Some(chart) = &answer.chart { (plot::card(look, answer.total, chart)) }
                (list::card(look, answer, &head))
            };
            (StatusCode::OK, words, content)
        }
        Outcome::Wrong(faults) => {
            let fields: Vec<&str> = faults.iter().map(|fault| fault.field).collect();
            let why = format!("cannot read {}: {}", fields.join(", "), faults.first().map_or("", |fault| &fault.why));
            let why = why.trim_end_matches('.').to_owned();
            (
                StatusCode::BAD_REQUEST,
                "Not a valid filter".to_owned(),
                list::failed(look, "These filters cannot be read", &why, "bad_parameter", false),
            )
        }
        Outcome::Failed(error) => {
            let content = list::failed(look, "Entries could not be loaded", error.detail(), error.code(), true);
            (error.status(), "Entries could not be loaded".to_owned(), content)
        }
    };
    let title = title(look, &words);
    let bar = Bar {
        facets: answer.map(|answer| &answer.facets),
        faults,
        oldest_ms: answer.and_then(|answer| answer.oldest_ms),
    };
    let results = html! {
        div id="results" data-url=(look.state.query_string()) data-status=(status.as_u16()) data-total=[answer.map(|answer| answer.total)]
            data-seen=[answer.map(|answer| answer.searchable.0.cast_signed() - 1)] data-title=(title) {
            (filters::chips(look, bar.facets))
            (seal::notice(look, badge))
            (content)
        }
    };
    (status, Parts { bar: filters::bar(look, &bar), results, title })
}

/// `872 entries, contact.deleted, Audit log`
fn title(look: &Look<'_>, words: &str) -> String {
    let state = look.state;
    let values = state.actors.iter().chain(&state.actions).chain(&state.target_types).chain(&state.target);
    let mut parts = vec![words.to_owned()];
    parts.extend(
        values
            .chain(Some(&state.q).filter(|q| !q.is_empty()))
            .take(3)
            .map(|value| format::cut(&shown(value), 40).into_owned()),
    );
    parts.push("Audit log".to_owned());
    parts.join(", ")
}

fn badge(page: &Page, now_ms: i64) -> Badge {
    let store = &page.app.store;
    seal::badge(store.marks(), store.signing_fault(), seal::checked(&store.integrity()), now_ms)
}

fn tree_head(page: &Page, outside: &Outside) -> TreeHead {
    let signed = page.app.store.signed().filter(crate::log::Head::is_signed).map_or(Seq::ZERO, |head| head.size);
    TreeHead { signed, api_url: outside.url.clone() }
}

/// Says so if the newest entries are not in the index yet.
fn behind(page: &Page, look: &Look<'_>, searchable: Seq) -> Markup {
    let store = &page.app.store;
    let durable = store.marks().durable;
    let received_ms = match searchable < durable {
        true => store.source().with_row(searchable, |row| row.received_ms).ok(),
        false => None,
    };
    let Some(received_ms) = received_ms.filter(|ms| look.now_ms.cast_unsigned().saturating_sub(*ms) > BEHIND_MS) else {
        return html! {};
    };
    let seconds = look.now_ms.cast_unsigned().saturating_sub(received_ms) / 1_000;
    html! {
        div class="note" {
            (icon("clock"))
            span {
                b { "Search is " (count(seconds)) " s behind." } " "
                (plural(durable.0 - searchable.0, "entry", "entries")) " received since "
                (format::local(look.tz, received_ms.cast_signed()).format("%H:%M:%S")) " are recorded and not listed yet."
            }
            a href=(look.href(look.state)) { "Refresh" }
        }
    }
}

/// `GET /admin/audit-log/_facet/{actor,action,target_type}?find=`
pub async fn facet(page: Page, Path(facet): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    let visit = Visit::of(&uri, &headers);
    let asked = match visit.asked(&page) {
        Ok(asked) => asked,
        Err(faults) => return respond::fetched(refused(&faults)),
    };
    let find = respond::parameter(&uri, "find").unwrap_or_default();
    let find: String = find.trim().chars().take(FIND_CHARACTERS_MAX).collect();
    enum Found {
        Actors(super::answer::Menu),
        Actions(super::answer::Facets),
        Types(super::answer::Menu),
    }
    let store = page.app.store.clone();
    let wanted = find.clone();
    if let Err(error) = enter_search(&page, &visit, &asked.conditions.query(), 0).await {
        return respond::fetched(unanswered(&error));
    }
    let found = api::ask(&page.app, EngineChoice::Index, move |answers, view| {
        let asking = Asking { answers, searchable: view.searchable(), store: &store };
        Ok(match facet.as_str() {
            "actor" => Some(Found::Actors(asking.find_actors(&asked, &wanted)?)),
            "action" => Some(Found::Actions(asking.find_actions(&asked, &wanted)?)),
            "target_type" => Some(Found::Types(asking.find_types(&asked, &wanted)?)),
            _ => None,
        })
    });
    let look = visit.look(&page, "");
    let find = Some(find.as_str()).filter(|find| !find.is_empty());
    let markup = match found.await {
        Ok(Some(Found::Actors(menu))) => filters::actor_choices(&look, &menu, find),
        Ok(Some(Found::Actions(facets))) => filters::action_choices(&look, &facets, find),
        Ok(Some(Found::Types(menu))) => filters::type_choices(&menu, find),
        Ok(None) => return respond::fetched(plain(StatusCode::NOT_FOUND, "There is no such menu.".to_owned())),
        Err(error) => return respond::fetched(unanswered(&error)),
    };
    respond::html(StatusCode::OK, markup, &headers)
}

/// What is said where the store has no answer and no page can show it.
fn unanswered(error: &ApiError) -> Response {
    plain(error.status(), shown(error.detail()).into_owned())
}

/// `GET /admin/audit-log/_detail/{id}`
pub async fn detail(page: Page, Path(id): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    let visit = Visit::of(&uri, &headers);
    let (opened, marks) = match open(&page, &visit, &id).await {
        Ok(opened) => opened,
        Err(error) => return respond::fetched(unanswered(&error)),
    };
    let outside = Outside::of(&headers, &page.settings);
    let markup = detail::row(&visit.look(&page, ""), &opened, &marks, &tree_head(&page, &outside));
    respond::html(StatusCode::OK, markup, &headers)
}

/// The entry of a name, with what to mark in it under the filters of the address.
async fn open(page: &Page, visit: &Visit, id: &str) -> Result<(Opened, Highlights), ApiError> {
    let seq = api::find(&page.app, id, None).await?;
    own::enter_view(&page.app, seq).await?;
    let text = visit.asked(page).ok().map(|asked| asked.conditions.text());
    let now_ms = visit.now_ms;
    let store = page.app.store.clone();
    api::ask(&page.app, EngineChoice::Index, move |answers, view| {
        let opened = Asking { answers, searchable: view.searchable(), store: &store }.opened(seq, now_ms)?;
        let marks = text.map(|text| crate::query::highlights(&text, &opened.entry)).unwrap_or_default();
        Ok((opened, marks))
    })
    .await
}

/// `GET /admin/audit-log/entries/{id}` and `…/{id}.json`
pub async fn entry(page: Page, Path(name): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    if let Some(id) = name.strip_suffix(".json")
        && let Ok(seq) = api::find(&page.app, id, None).await
    {
        return api::row(&page.app, seq).await.unwrap_or_else(IntoResponse::into_response);
    }
    let visit = Visit::of(&uri, &headers);
    let look = visit.look(&page, "../");
    let outside = Outside::of(&headers, &page.settings);
    let (status, title, main) = match open(&page, &visit, &name).await {
        Ok((opened, _)) => {
            let title = format!("{}, {}, Audit log", shown(&opened.entry.event.action), shown(&name));
            let main = html! {
                div class="head" { h1 { code { (shown(&opened.entry.event.action)) } } }
                (seal::notice(&look, &badge(&page, visit.now_ms)))
                section class="card list one" id="entries" tabindex="-1" aria-labelledby="h-ent" {
                    h2 class="vh" id="h-ent" { "Entry" }
                    (detail::body(&look, &opened, &Highlights::default(), &tree_head(&page, &outside)))
                }
            };
            (StatusCode::OK, title, main)
        }
        Err(error) => {
            let main = html! {
                div class="head" { h1 { "Entry" } }
                section class="card list" id="entries" tabindex="-1" aria-label="Entry" {
                    div class="blank" {
                        span class="glyph" { (icon("search")) }
                        h2 { "This entry cannot be shown" }
                        p {
                            (format::capital(&shown(error.detail()))) ". Reference " span class="mono" { (error.code()) } "."
                        }
                        div class="row" { a class="btn" href="../" { "All entries" } }
                    }
                }
            };
            (error.status(), "Entry, Audit log".to_owned(), main)
        }
    };
    let frame = Frame { title: &title, here: "Entry", has_entries: true, token: None, who: None, views: &[] };
    respond::html(status, shell::document(&look, &frame, main), &headers)
}

/// `GET /admin/audit-log/entries/{id}/proof.json`: leaf, salt and body as they were hashed, and the way to the signed
/// root.
pub async fn proof(page: Page, Path(id): Path<String>) -> Response {
    api::evidence_of(&page.app, &id, &Uri::default()).await.unwrap_or_else(IntoResponse::into_response)
}

/// `GET /admin/audit-log/log.json`: the log's name, key and newest checkpoint, and what scrubbing came to.
pub async fn log(page: Page) -> Response {
    api::log(page.app).await.unwrap_or_else(IntoResponse::into_response)
}

/// `GET /admin/audit-log/checkpoint`: the newest signed checkpoint.
pub async fn checkpoint(page: Page) -> Response {
    api::checkpoint(page.app).await.unwrap_or_else(IntoResponse::into_response)
}
