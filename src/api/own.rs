//! Looking is logged: what a caller did with the log itself becomes an entry of it, before the answer goes out.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::StatusCode;
use tracing::warn;

use super::App;
use super::error::ApiError;
use crate::auth::{Attempt, Look, Told, Who};
use crate::clock;
use crate::event::{Context, Kind, Object, Outcome, Party};
use crate::json::Json;
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
    let tenant = app.caller.tenant().unwrap_or(DEFAULT_TENANT).to_owned();
    let own = Own::of_server(action, with_viewer(app, detail));
    append(app, Own { actor, tenant, target, context: context(app.peer), ..own }).await
}

/// With the viewer's token by its id: their name is what the maker of it says.
fn with_viewer(app: &App, mut detail: Json) -> Json {
    if let (Json::Object(members), Who::Viewer { id, .. }) = (&mut detail, app.caller.who()) {
        members.push(("viewer".to_owned(), text(&**id)));
    }
    detail
}

/// Enters that the caller asked this and was shown so many entries. The same again is folded into a number.
///
/// # Errors
/// When it cannot be entered. Then nothing may be shown.
pub async fn enter_search(app: &App, filter_hash: u64, query: &str, rows: u64) -> Result<(), ApiError> {
    let target = Object { kind: Some("query".into()), id: None, name: None };
    look(app, "audit.searched", filter_hash, rows, target, || vec![("query".to_owned(), text(query))]).await
}

/// Enters that the caller opened the entry at this place. Once more is folded into a number.
///
/// # Errors
/// When it cannot be entered. Then it may not be shown.
pub async fn enter_view(app: &App, seq: Seq) -> Result<(), ApiError> {
    let target = Object { kind: Some("entry".into()), id: Some(format!("@{seq}")), name: None };
    look(app, "audit.viewed", seq.0, 1, target, Vec::new).await
}

async fn look(
    app: &App,
    action: &'static str,
    what: u64,
    rows: u64,
    target: Object,
    members: impl FnOnce() -> Vec<(String, Json)>,
) -> Result<(), ApiError> {
    let Some(actor) = app.caller.who().party() else { return Ok(()) };
    let who = format!("{} {}", actor.kind, app.caller.who());
    let tenant = app.caller.tenant().unwrap_or(DEFAULT_TENANT).to_owned();
    let entry = || {
        let own = Own::of_server(action, with_viewer(app, Json::Object(members())));
        Own { actor, tenant, target: Some(target), context: context(app.peer), ..own }
    };
    enter_looks(app, app.looks.count(Look { who, action, what }, rows, clock::now_ms(), entry)).await
}

async fn enter_looks(app: &App, looks: Vec<Told<Own>>) -> Result<(), ApiError> {
    for Told { mut entry, count, rows } in looks {
        if let Json::Object(members) = &mut entry.detail {
            members.push(("rows".to_owned(), number(rows)));
            members.push(("count".to_owned(), number(count)));
        }
        let said = format!("no room to enter: {} by {} {}", entry.action, entry.actor.kind, entry.actor.id);
        match append(app, entry).await {
            // Whoever makes room must be able to look.
            Err(error) if error.status() == StatusCode::INSUFFICIENT_STORAGE => warn!("{said}"),
            entered => entered?,
        }
    }
    Ok(())
}

/// Enters what was folded, every so often, until the server stops.
pub async fn tell_folded(app: App) {
    loop {
        tokio::select! {
            () = app.stopping() => return,
            () = tokio::time::sleep(FOLDED_EVERY) => tell(&app, app.looks.due(clock::now_ms())).await,
        }
    }
}

/// Enters all that was folded: the server has answered its last request.
pub async fn tell_rest(app: &App) {
    tell(app, app.looks.all()).await;
}

async fn tell(app: &App, looks: Vec<Told<Own>>) {
    if let Err(error) = enter_looks(app, looks).await {
        warn!("what was looked at could not be entered in the log: {}", error.detail());
    }
}

/// Tells of requests with wrong keys, and of people who were not signed in: the first from an address, then a number every few
/// minutes.
pub fn enter_failure(app: &App, peer: Option<IpAddr>, attempt: Attempt) {
    let Some(count) = app.failures.count(peer, attempt, clock::now_ms()) else { return };
    let from = peer.map_or_else(|| "somewhere".to_owned(), |peer| peer.to_string());
    let mut detail = vec![("count".to_owned(), number(count))];
    match attempt {
        Attempt::Key => warn!(count, "requests from {from} had a key that is not known here"),
        Attempt::Person(why) => {
            warn!(count, "sign-ins from {from} were refused: {why}");
            detail.extend([("by".to_owned(), text("oidc")), ("why".to_owned(), text(why))]);
        }
    }
    let actor = Party { kind: "unknown".into(), id: "unknown".into(), name: None, email: None };
    let own = Own {
        actor,
        outcome: Outcome::Denied,
        context: context(peer),
        ..Own::of_server("auth.sign_in_failed", Json::Object(detail))
    };
    let app = app.clone();
    // The answer does not wait for it: who knocks must not be able to slow us down.
    tokio::spawn(async move {
        if let Err(error) = append(&app, own).await {
            warn!("what was refused could not be entered in the log: {}", error.detail());
        }
    });
}

fn context(peer: Option<IpAddr>) -> Context {
    Context { ip: peer.map(|peer| peer.to_string()), ..Context::default() }
}

async fn append(app: &App, own: Own) -> Result<(), ApiError> {
    let said = format!("read-only, so not entered: {} by {} {}", own.action, own.actor.kind, own.actor.id);
    let append = Append { drafts: vec![own.into_draft()], skip_conflicts: false, kind: Kind::Own };
    let entered = match app.store.append(append) {
        // The writer drops a request unanswered only when it dies.
        Ok(answer) => answer.await.unwrap_or(Err(AppendError::SyncFailed)).map(drop),
        Err(error) => Err(error),
    };
    match entered {
        // A damaged log is looked at: nothing can be entered, and looking must go on. Our own log says who looks.
        Err(AppendError::ReadOnly { .. }) => {
            warn!("{said}");
            Ok(())
        }
        entered => Ok(entered?),
    }
}

/// A text of a detail.
pub fn text(text: impl Into<String>) -> Json {
    Json::String(text.into())
}
