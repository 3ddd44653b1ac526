//! Signing in by way of a provider of identities: off to it, and back with what it says.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use maud::html;
use tokio::sync::Semaphore;
use tracing::warn;

use super::respond::{self, Outside, PAGE_PATH, see_other};
use super::sign_in::{self, Form};
use super::{Page, prefs};
use crate::api::error::ApiError;
use crate::api::own;
use crate::auth::{Attempt, Stranger};
use crate::oidc::{self, Answer, Failed, Refused, SIGN_IN_MS, SignOn};

/// The cookie that says that a sign-in was begun in this browser.
const COOKIE: &str = "annals_oidc";
/// Characters of its text.
const COOKIE_CHARS: usize = 43;
/// Sign-ins that wait for the provider at a time: each holds a thread.
const CALLS_MAX: usize = 8;
/// So long others wait for one of them to end.
const CALL_WAIT: Duration = Duration::from_secs(5);
/// Where browsers come back to, below the page.
const CALLBACK: &str = "sign-in/callback";

/// The way to one provider.
pub struct Gate {
    sign_on: SignOn,
    calls: Arc<Semaphore>,
}

/// Too many wait for the provider.
struct Busy;

impl Gate {
    /// By way of this sign-on.
    pub fn new(sign_on: SignOn) -> Gate {
        Gate { sign_on, calls: Arc::new(Semaphore::new(CALLS_MAX)) }
    }

    /// What the button says.
    pub fn name(&self) -> &str {
        self.sign_on.name()
    }

    /// On a thread that may wait for the provider; also to its end if the browser has gone.
    async fn call<T: Send + 'static>(
        self: Arc<Gate>,
        work: impl FnOnce(&SignOn) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let permit = tokio::time::timeout(CALL_WAIT, self.calls.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(Busy) };
        let worked = tokio::task::spawn_blocking(move || {
            let done = work(&self.sign_on);
            drop(permit);
            done
        });
        worked.await.map_err(|_| Busy)
    }
}

fn absent() -> Response {
    ApiError::not_found("this server has no provider to sign in with").into_response()
}

/// `GET /admin/audit-log/sign-in/oidc?to=…`
pub async fn start(page: Page, uri: Uri, headers: HeaderMap) -> Response {
    let Some(gate) = page.gate.clone() else { return absent() };
    let to = sign_in::wanted(&uri);
    if sign_in::is_in(&page, &headers) {
        return see_other(&format!("../{to}"));
    }
    // Each that is begun takes the room of another that may not be finished yet.
    if let Err(refused) = page.app.hold_back_stranger(page.app.peer, Stranger::Begins) {
        return refused.into_response();
    }
    let outside = Outside::of(&headers, &page.settings);
    let redirect_uri = format!("{}{PAGE_PATH}{CALLBACK}", outside.url);
    // Several tabs may sign in at once: they share the browser's text.
    let browser = match browser(&headers).map_or_else(oidc::chance, Ok) {
        Ok(browser) => browser,
        Err(error) => return ApiError::internal(&format!("no random bytes for a cookie: {error}")).into_response(),
    };
    let (text, wanted) = (browser.clone(), to.clone());
    match gate.call(move |sign_on| sign_on.begin(&text, redirect_uri, wanted)).await {
        Ok(Ok(address)) => {
            let mut response = see_other(&address);
            let (secure, age_s) = (respond::secure(outside.is_secure), SIGN_IN_MS / 1000);
            // Its path is left to the browser: it is sent to the two addresses of this file and nowhere else. Strict would
            // keep it back when the provider leads here.
            let cookie = format!("{COOKIE}={browser}; Max-Age={age_s}; HttpOnly; SameSite=Lax{secure}");
            respond::set_cookie(&mut response, &cookie);
            response
        }
        Ok(Err(why)) => refused(&page, &headers, Failed { why, to }),
        Err(Busy) => busy(&page, &headers, &to),
    }
}

/// `GET /admin/audit-log/sign-in/callback`
pub async fn callback(page: Page, uri: Uri, headers: HeaderMap) -> Response {
    let Some(gate) = page.gate.clone() else { return absent() };
    let answer = Answer::read(uri.query().unwrap_or_default());
    let browser = browser(&headers);
    let (caller, to) = match gate.call(move |sign_on| sign_on.finish(&answer, browser.as_deref())).await {
        Ok(Ok(arrived)) => arrived,
        Ok(Err(failed)) => return refused(&page, &headers, failed),
        Err(Busy) => return busy(&page, &headers, ""),
    };
    // This address is one level below the page, the session is for all of it.
    let outside = Outside::of(&headers, &page.settings);
    let path = format!("; Path={}{}", outside.prefix(), PAGE_PATH.trim_end_matches('/'));
    match sign_in::begin(&page, caller, &headers, &path).await {
        Ok(cookie) => {
            let mut response = see_other(&format!("../{}", sign_in::checked(&to)));
            respond::set_cookie(&mut response, &cookie);
            response
        }
        Err(error) => error.into_response(),
    }
}

fn browser(headers: &HeaderMap) -> Option<String> {
    let is_ours = |text: &String| {
        text.len() == COOKIE_CHARS && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    prefs::cookie(headers, COOKIE).filter(is_ours)
}

fn busy(page: &Page, headers: &HeaderMap, to: &str) -> Response {
    let note = "Too many are signing in right now. Try again in a moment.";
    let form = Form { root: "../", to, note: Some(note), wrong: None };
    sign_in::show(page, headers, StatusCode::SERVICE_UNAVAILABLE, &form)
}

fn refused(page: &Page, headers: &HeaderMap, Failed { why, to }: Failed) -> Response {
    match why.word() {
        Some(word) => own::enter_failure(&page.app, page.app.peer, Attempt::Person(word)),
        None => {
            let cause = std::error::Error::source(&why).map_or_else(String::new, |cause| format!(": {cause}"));
            warn!("nobody can sign in: {why}{cause}");
        }
    }
    let name = page.gate.as_ref().map_or("", |gate| gate.name());
    let (status, note) = match why {
        Refused::State => (
            StatusCode::BAD_REQUEST,
            "This sign-in was begun in another browser, was used already, or took longer than ten minutes. Please begin again."
                .to_owned(),
        ),
        Refused::There(_) => (StatusCode::FORBIDDEN, format!("You were not signed in there ({name}).")),
        Refused::Issuer | Refused::Code | Refused::Token(_) => (
            StatusCode::BAD_REQUEST,
            format!("What came back ({name}) cannot be trusted, so you were not signed in. Please begin again."),
        ),
        Refused::NoRole => return no_role(page, headers, name),
        Refused::Provider(_) | Refused::Chance(_) => (
            StatusCode::BAD_GATEWAY,
            format!("Signing in there ({name}) does not work at the moment. Try again later, or use a key."),
        ),
    };
    let form = Form { root: "../", to: &to, note: Some(&note), wrong: None };
    sign_in::show(page, headers, status, &form)
}

/// Who they are is known, and that they may not look.
fn no_role(page: &Page, headers: &HeaderMap, name: &str) -> Response {
    let main = html! {
        div class="blank signin" {
            h1 { "You cannot see this log yet" }
            p {
                "You are signed in there (" (name) "), but you have none of the roles that are let in here. Whoever looks after "
                "this log can give you one; then sign in again."
            }
            a class="btn" href="../sign-in" { "Back to signing in" }
        }
    };
    sign_in::blank(page, headers, StatusCode::FORBIDDEN, "../", main)
}
