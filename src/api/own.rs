//! Looking is logged: what a caller did with the log itself becomes an entry of it, before the answer goes out.

use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use axum::http::StatusCode;
use tracing::warn;

use super::App;
use super::error::ApiError;
use crate::auth::{Attempt, Failure, Folds, Look, Told, Who};
use crate::clock;
use crate::event::{Context, Kind, Object, Outcome, Party, Subject};
use crate::json::Json;
use crate::query::Query;
use crate::seq::Seq;
use crate::store::own::{DEFAULT_TENANT, Own, number};
use crate::store::{Append, AppendError};

/// What was folded is entered so long after its five minutes, at most.
const FOLDED_EVERY: Duration = Duration::from_secs(10);

/// Whether the caller can be named in an entry.
pub fn is_named(app: &App) -> bool {
    app.caller.who().party().is_some()
}

/// Enters that the caller did this, and returns when it is on disk.
///
/// Where keys are not asked for, nobody can be named: then nothing is entered.
///
/// # Errors
/// When it cannot be entered. Then what was to be done must not be done.
pub async fn enter(app: &App, action: &'static str, target: Option<Object>, detail: Json) -> Result<(), ApiError> {
    let Some(actor) = app.caller.who().party() else { return Ok(()) };
    append(app, vec![by_caller(app, actor, action, target, detail)]).await
}

/// The same for what says what the caller asked.
///
/// # Errors
/// When it cannot be entered. Then what was to be done must not be done.
pub async fn enter_asked(app: &App, action: &'static str, target: Object, detail: Json) -> Result<(), ApiError> {
    let Some(actor) = app.caller.who().party() else { return Ok(()) };
    let own = by_caller(app, actor, action, Some(target), detail);
    append(app, vec![Own { subjects: of_queries(app, clock::now_ms()), ..own }]).await
}

/// The caller did this, also if nobody can name them.
pub fn by_whoever(app: &App, action: &'static str, detail: Json) -> Own {
    let unnamed = || Party { kind: "unknown".into(), id: "unknown".into(), name: None, email: None };
    by_caller(app, app.caller.who().party().unwrap_or_else(unnamed), action, None, detail)
}

/// The caller did this. A viewer's token is told by its id: their name is what the maker of it says.
fn by_caller(app: &App, actor: Party, action: &'static str, target: Option<Object>, mut detail: Json) -> Own {
    if let (Json::Object(members), Who::Viewer { id, .. }) = (&mut detail, app.caller.who()) {
        members.push(("viewer".to_owned(), text(&**id)));
    }
    let tenant = app.caller.tenant().unwrap_or(DEFAULT_TENANT).to_owned();
    Own { actor, tenant, target, context: context(app.peer), ..Own::of_server(action, detail) }
}

/// Enters that the caller asked this and was shown so many entries. The same again is folded into a number.
///
/// # Errors
/// When it cannot be entered. Then nothing may be shown.
pub async fn enter_search(app: &App, filter_hash: u64, query: &Query, rows: u64) -> Result<(), ApiError> {
    let detail = || vec![("query".to_owned(), text(query.to_string()))];
    look(app, "audit.searched", filter_hash, rows, Of::Query, detail).await
}

/// Enters that the caller opened the entry at this place. Once more is folded into a number.
///
/// # Errors
/// When it cannot be entered. Then it may not be shown.
pub async fn enter_view(app: &App, seq: Seq) -> Result<(), ApiError> {
    look(app, "audit.viewed", seq.0, 1, Of::Entry(seq), Vec::new).await
}

/// What was looked at.
#[derive(Clone, Copy)]
enum Of {
    Query,
    Entry(Seq),
}

impl Of {
    fn target(self) -> Object {
        let (kind, id) = match self {
            Of::Query => (QUERY, None),
            Of::Entry(seq) => ("entry", Some(format!("@{seq}"))),
        };
        Object { kind: Some(kind.into()), id, name: None }
    }

    fn subjects(self, app: &App, now_ms: u64) -> Vec<Subject> {
        match self {
            Of::Query => of_queries(app, now_ms),
            Of::Entry(_) => Vec::new(),
        }
    }
}

/// What somebody asked may name somebody else, so it is sealed: for all queries of a tenant and month together, which can be erased as one.
fn of_queries(app: &App, now_ms: u64) -> Vec<Subject> {
    if !app.store.seals() {
        return Vec::new();
    }
    let month = clock::rfc3339_ms(now_ms.cast_signed()).chars().take("2026-11".len()).collect();
    vec![Subject { kind: QUERY.into(), id: month }]
}

/// The type of what somebody asked.
const QUERY: &str = "query";

async fn look(
    app: &App,
    action: &'static str,
    what: u64,
    rows: u64,
    of: Of,
    members: impl FnOnce() -> Vec<(String, Json)>,
) -> Result<(), ApiError> {
    let Some(actor) = app.caller.who().party() else { return Ok(()) };
    let who = format!("{} {}", actor.kind, app.caller.who());
    let now_ms = clock::now_ms();
    let entry = || {
        let own = by_caller(app, actor, action, Some(of.target()), Json::Object(members()));
        Own { subjects: of.subjects(app, now_ms), ..own }
    };
    let told = app.looks.count(Look { who, action, what }, rows, now_ms, entry);
    if told.is_empty() {
        return Ok(());
    }
    // To its end, also if the client goes away: what is put back must be put back.
    let entering = app.clone();
    let entered = tokio::spawn(async move { enter_looks(&entering, told, IfRefused::LastIsNoLook).await });
    entered.await.unwrap_or_else(|_| Err(ApiError::internal("entering a look panicked")))
}

/// What it means that looks cannot be entered.
#[derive(Clone, Copy)]
enum IfRefused {
    /// The last of them is refused: it was no look.
    LastIsNoLook,
    /// All of them were looks.
    AllWere,
}

async fn enter_looks(app: &App, mut looks: Vec<Told<Look, Own>>, if_refused: IfRefused) -> Result<(), ApiError> {
    let numbered = |told: &Told<_, Own>| with_numbers(&told.entry, &[("rows", told.rows), ("count", told.count)]);
    let entries: Vec<Own> = looks.iter().map(numbered).collect();
    let now_ms = clock::now_ms();
    match append(app, entries).await {
        Ok(()) => app.looks.entered(&looks, now_ms),
        // Whoever makes room must be able to look.
        Err(error) if error.status() == StatusCode::INSUFFICIENT_STORAGE => {
            let said = match if_refused {
                IfRefused::LastIsNoLook => said(looks.iter().map(|told| &told.entry)),
                IfRefused::AllWere => format!("{} looks that were folded", looks.len()),
            };
            warn!("no room to enter, so it is tried again: {said}");
            put_back(&app.looks, looks, Some(now_ms));
        }
        Err(error) => {
            if let (IfRefused::LastIsNoLook, Some(last)) = (if_refused, looks.last_mut()) {
                (last.count, last.rows) = (0, 0);
            }
            put_back(&app.looks, looks, None);
            return Err(error);
        }
    }
    Ok(())
}

/// What could not be entered is tried again.
fn put_back<K: Hash + Eq + Clone>(folds: &Folds<K, Own>, told: Vec<Told<K, Own>>, folds_from_ms: Option<u64>) {
    match folds.put_back(told, folds_from_ms) {
        0 => {}
        lost => warn!("{lost} of what was to be entered in the log cannot be kept until it can"),
    }
}

fn with_numbers(own: &Own, numbers: &[(&str, u64)]) -> Own {
    let mut own = own.clone();
    if let Json::Object(members) = &mut own.detail {
        members.extend(numbers.iter().map(|(name, value)| ((*name).to_owned(), number(*value))));
    }
    own
}

/// Enters what was folded, every so often, until the server stops.
pub async fn tell_folded(app: App) {
    loop {
        tokio::select! {
            () = app.stopping() => return,
            () = tokio::time::sleep(FOLDED_EVERY) => {
                let now_ms = clock::now_ms();
                tell(&app, || app.looks.due(now_ms), || app.failures.due(now_ms)).await;
            }
        }
    }
}

/// Enters all that was folded: the server has answered its last request.
pub async fn tell_rest(app: &App) {
    tell(app, || app.looks.all(), || app.failures.all()).await;
}

async fn tell(
    app: &App,
    looks: impl FnOnce() -> Vec<Told<Look, Own>>,
    failures: impl FnOnce() -> Vec<Told<Failure, Own>>,
) {
    if let Err(error) = enter_looks(app, looks(), IfRefused::AllWere).await {
        warn!("what was looked at could not be entered in the log, and is tried again: {}", error.detail());
    }
    enter_failures(app, failures()).await;
}

/// Tells of requests with wrong keys, and of people who were not signed in: the first from an address at once, what follows as a
/// number.
pub fn enter_failure(app: &App, peer: Option<IpAddr>, attempt: Attempt) {
    let entry = || {
        let detail = match attempt {
            Attempt::Key => Vec::new(),
            Attempt::Person(why) => vec![("by".to_owned(), text("oidc")), ("why".to_owned(), text(why))],
        };
        let actor = Party { kind: "unknown".into(), id: "unknown".into(), name: None, email: None };
        let own = Own::of_server("auth.sign_in_failed", Json::Object(detail));
        Own { actor, outcome: Outcome::Denied, context: context(peer), ..own }
    };
    let told = app.failures.count(Failure::new(peer, attempt), 0, clock::now_ms(), entry);
    if !told.is_empty() {
        let app = app.clone();
        // The answer does not wait for it: who knocks must not be able to slow us down.
        tokio::spawn(async move { enter_failures(&app, told).await });
    }
}

async fn enter_failures(app: &App, failures: Vec<Told<Failure, Own>>) {
    let entries = failures.iter().map(|told| with_numbers(&told.entry, &[("count", told.count)])).collect();
    let now_ms = clock::now_ms();
    if let Err(error) = append(app, entries).await {
        let count: u64 = failures.iter().map(|told| told.count).sum();
        warn!("{count} refusals could not be entered in the log, which is tried again: {}", error.detail());
        return put_back(&app.failures, failures, Some(now_ms));
    }
    for Told { entry, count, .. } in &failures {
        let from = entry.context.ip.as_deref().unwrap_or("somewhere");
        match entry.detail.get("why") {
            Some(Json::String(why)) => warn!(count, "sign-ins from {from} were refused: {why}"),
            _ => warn!(count, "requests from {from} had a key that is not known here"),
        }
    }
}

fn context(peer: Option<IpAddr>) -> Context {
    Context { ip: peer.map(|peer| peer.to_string()), ..Context::default() }
}

/// What is entered, for our own log: neither names nor what was asked.
fn said<'a>(entries: impl Iterator<Item = &'a Own>) -> String {
    let said = entries.map(|own| format!("{} by {} {}", own.action, own.actor.kind, own.actor.id));
    said.collect::<Vec<_>>().join(", ")
}

/// Enters all of them with one write.
async fn append(app: &App, entries: Vec<Own>) -> Result<(), ApiError> {
    if entries.is_empty() {
        return Ok(());
    }
    // A damaged log is looked at: nothing can be entered, and looking must go on. Our own log says who looks.
    if let Some(AppendError::ReadOnly { .. }) = app.store.refusal() {
        warn!("read-only, so not entered: {}", said(entries.iter()));
        return Ok(());
    }
    let drafts = entries.into_iter().map(Own::into_draft).collect();
    let append = Append { drafts, skip_conflicts: false, kind: Kind::Own };
    super::append::enter(app, append).await.map(drop).map_err(ApiError::from)
}

/// A text of a detail.
pub fn text(text: impl Into<String>) -> Json {
    Json::String(text.into())
}
