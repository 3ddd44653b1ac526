//! Looking is logged: what a caller did with the log itself becomes an entry of it, before the answer goes out.

use std::net::IpAddr;

use tracing::warn;

use super::App;
use super::error::ApiError;
use crate::auth::Attempt;
use crate::clock;
use crate::event::{Context, Kind, Object, Outcome, Party};
use crate::json::Json;
use crate::store::own::{DEFAULT_TENANT, Own, number};
use crate::store::{Append, AppendError};

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
    append(app, Own { actor, tenant, target, context: context(app.peer), ..Own::of_server(action, detail) }).await
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
