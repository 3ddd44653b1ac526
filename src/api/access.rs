//! Who may call what: the guard in front of every route. What has no rule is answered to nobody.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::time::timeout;

use super::App;
use super::append::{BODY_TIME_MAX, body_timeout};
use super::connection::Line;
use super::error::ApiError;
use super::own;
use crate::auth::rates::WINDOW_S;
use crate::auth::{Attempt, Caller, Holder, KeyText, Keys, Measure, Scope, Sessions, Standing, Stranger, Who, viewers};
use crate::clock;
use crate::event::Catalogue;
use crate::query::Env;

/// A body that is not events: a form, or a key that is wanted with its restriction of 8 KiB.
pub const SHORT_BODY_BYTES_MAX: usize = 64 << 10;

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: who knows no key may ask too.
    Nothing,
    /// This right.
    Scope(Scope),
    /// This right over the whole log: what the route shows cannot be narrowed to a tenant or a restriction.
    Whole(Scope),
}

/// A route's rule: method, route, need.
pub type Rule = (Method, &'static str, Need);

/// Whether keys are asked for.
#[derive(Clone)]
pub enum Door {
    /// No: whoever reaches the address may do everything.
    Open,
    /// Yes, one of these.
    Keys(Arc<Keys>),
}

impl Door {
    /// Who a request comes from; `None` if it shows no key.
    fn caller(&self, headers: &HeaderMap, catalogue: &Catalogue) -> Result<Option<Caller>, ApiError> {
        if let Door::Open = self {
            return Ok(Some(Caller::anyone()));
        }
        let Some(shown) = shown(headers)? else { return Ok(None) };
        let admitted = match viewers::is_token(&shown) {
            true => self.try_viewer(&shown, catalogue),
            false => self.try_key(&shown),
        };
        // Wrong, expired and revoked look the same.
        admitted.map(Some).ok_or_else(|| ApiError::unauthorized("this key is not known here"))
    }

    /// Who signed in with this text in their cookie. A click keeps the session alive.
    pub fn signed_in(&self, sessions: &Sessions, text: &str, is_click: bool) -> Option<Caller> {
        let Door::Keys(keys) = self else { return None };
        let now_ms = clock::now_ms();
        let (session, holder) = sessions.find(text, is_click, now_ms)?;
        let caller = match holder {
            Holder::Key(id) => keys.holder(&id, now_ms),
            Holder::Person(caller) => Some(Caller::clone(&caller)),
        };
        caller.map(|caller| caller.in_session(session))
    }

    fn try_viewer(&self, text: &str, catalogue: &Catalogue) -> Option<Caller> {
        let Door::Keys(keys) = self else { return None };
        keys.admit_viewer(text, &Env { now_ms: clock::now_ms(), catalogue })
    }

    /// Whether this text is a key, and whose. `None` where keys are not asked for.
    pub fn try_key(&self, text: &str) -> Option<Caller> {
        let Door::Keys(keys) = self else { return None };
        KeyText::parse(text.trim()).ok().and_then(|key| keys.admit(&key, clock::now_ms()).ok())
    }
}

impl App {
    /// The address that a request comes from; IPv4 by way of a socket for both is IPv4.
    fn peer(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let connected = || extensions.get::<ConnectInfo<Line>>().and_then(|ConnectInfo(line)| line.peer());
        let forwarded = if self.trusts_proxy { forwarded_for(headers) } else { None };
        forwarded.or_else(connected).map(|address| address.to_canonical())
    }

    /// Counts a stranger; an error says that too many did the same from there.
    ///
    /// # Errors
    /// 429.
    pub fn hold_back_stranger(&self, address: Option<IpAddr>, what: Stranger) -> Result<(), ApiError> {
        let standing = self.rates.take_stranger(address, what, Instant::now());
        refuse_who_waits(standing, "too many from this address do that in vain")
    }

    /// Refuses a caller whose key does not stand any more: what waits, or takes a while, asks again.
    pub fn still(&self) -> Result<(), ApiError> {
        let now_ms = clock::now_ms();
        match (&self.door, self.caller.who()) {
            (Door::Keys(keys), Who::Key { id, .. }) if !keys.stands(id, now_ms) => {
                Err(ApiError::unauthorized("this key was revoked or has expired"))
            }
            (Door::Keys(keys), Who::Viewer { id, by, expires_ms, .. })
                if !keys.viewer_stands(id, by, *expires_ms, now_ms) =>
            {
                Err(ApiError::unauthorized("this viewer was revoked or has expired"))
            }
            _ if self.caller.session().is_some_and(|session| !self.sessions.stands(session, now_ms)) => {
                Err(ApiError::unauthorized("this session is over"))
            }
            _ => Ok(()),
        }
    }
}

/// The key that a request shows: as Bearer, as `X-API-Key`, or as the password of Basic.
fn shown(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut found = Vec::new();
    let text = |value: &HeaderValue| value.to_str().ok().map(str::trim).map(str::to_owned);
    for value in headers.get_all("x-api-key") {
        found.push(text(value));
    }
    for value in headers.get_all(header::AUTHORIZATION) {
        found.push(text(value).and_then(|value| {
            let (scheme, rest) = value.split_once(' ')?;
            match scheme.to_ascii_lowercase().as_str() {
                "bearer" => Some(rest.trim().to_owned()),
                "basic" => {
                    let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
                    pair.split_once(':').map(|(_, password)| password.to_owned())
                }
                _ => None,
            }
        }));
    }
    match found.len() {
        0 => Ok(None),
        1 => match found.remove(0) {
            Some(key) => Ok(Some(key)),
            None => Err(ApiError::unauthorized("expected Bearer and a key, or Basic with a key as the password")),
        },
        // Which of them a proxy in front of us looked at is not known.
        _ => Err(ApiError::unauthorized("more than one key is shown, expected one")),
    }
}

/// Reads a short body whole, in time, before its handler runs. Events have limits of their own.
pub async fn short_body(request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH | Method::DELETE) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let body = match timeout(BODY_TIME_MAX, to_bytes(body, SHORT_BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let detail = format!("the body broke off or has more than {SHORT_BODY_BYTES_MAX} bytes");
            return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail).into_response();
        }
        Err(_) => return body_timeout().into_response(),
    };
    next.run(Request::from_parts(head, Body::from(body))).await
}

/// What a visitor's cookie says of their session.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// Its text.
    pub text: &'a str,
    /// They did something, rather than script by itself.
    pub is_click: bool,
}

/// Lets a request pass to its handler, with its caller, if the rule of its route is met.
pub async fn guard(State((app, rules)): State<(App, Arc<[Rule]>)>, request: Request, next: Next) -> Response {
    pass(&app, &rules, None, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

/// The same for callers who may have signed in.
///
/// # Errors
/// When the rule is not met.
pub async fn pass(
    app: &App,
    rules: &[Rule],
    session: Option<Session<'_>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let need = match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
        // The answer is that nothing is there.
        None => Need::Nothing,
        Some(route) => match need_of(rules, request.method(), route) {
            Some(need) => need,
            None => return Err(ApiError::internal(&format!("{route} has no rule"))),
        },
    };
    refuse_method(app, &request, need)?;
    let (scope, is_whole) = match need {
        Need::Nothing => {
            request.extensions_mut().insert(Arc::new(Caller::nobody()));
            return Ok(next.run(request).await);
        }
        Need::Scope(scope) => (scope, false),
        Need::Whole(scope) => (scope, true),
    };
    let caller = find(app, session, request.headers(), request.extensions())?;
    let measure = if scope == Scope::Write { Measure::Appends } else { Measure::Requests };
    let standing = app.rates.take(caller.who(), measure, Instant::now());
    let mut response = match check(&caller, scope, is_whole, standing) {
        Ok(()) => {
            request.extensions_mut().insert(Arc::new(caller));
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    };
    if let Some(standing) = standing {
        say(standing, measure, response.headers_mut());
    }
    Ok(response)
}

/// Who asks, if they may come in.
fn find(
    app: &App,
    session: Option<Session<'_>>,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Result<Caller, ApiError> {
    match app.door.caller(headers, app.store.catalogue()) {
        Ok(Some(caller)) => Ok(caller),
        Ok(None) => {
            let signed_in =
                session.and_then(|Session { text, is_click }| app.door.signed_in(&app.sessions, text, is_click));
            signed_in.ok_or_else(|| ApiError::unauthorized("show a key: Authorization: Bearer annals_…"))
        }
        Err(refused) => {
            let peer = app.peer(headers, extensions);
            own::enter_failure(app, peer, Attempt::Key);
            Err(app.hold_back_stranger(peer, Stranger::WrongKey).err().unwrap_or(refused))
        }
    }
}

/// Whether they may do this now.
fn check(caller: &Caller, scope: Scope, is_whole: bool, standing: Option<Standing>) -> Result<(), ApiError> {
    refuse_who_waits(standing, "this key asks too often")?;
    if !caller.may(scope) {
        let detail = format!("this key has not the scope {}", scope.as_str());
        return Err(ApiError::new(StatusCode::FORBIDDEN, "missing_scope", detail));
    }
    if is_whole && !caller.sees_all() {
        let detail = "this shows the whole log, and this key sees a part of it";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "whole_log", detail));
    }
    Ok(())
}

fn refuse_who_waits(standing: Option<Standing>, why: &'static str) -> Result<(), ApiError> {
    match standing.and_then(|standing| standing.wait_s) {
        Some(wait_s) => Err(ApiError::too_often(why, wait_s)),
        None => Ok(()),
    }
}

/// Tells a caller what is left to it, as draft-ietf-httpapi-ratelimit-headers-11 has it.
fn say(standing: Standing, measure: Measure, headers: &mut HeaderMap) {
    let name = match measure {
        Measure::Appends => "appends",
        Measure::Requests => "requests",
    };
    let Standing { quota, left, full_after_s, .. } = standing;
    let policy = HeaderValue::try_from(format!("\"{name}\";q={quota};w={WINDOW_S}"));
    let now = HeaderValue::try_from(format!("\"{name}\";r={left};t={full_after_s}"));
    // Words and numbers are always a header's value.
    if let (Ok(policy), Ok(now)) = (policy, now) {
        headers.insert(HeaderName::from_static("ratelimit-policy"), policy);
        headers.insert(HeaderName::from_static("ratelimit"), now);
    }
}

/// The address that a proxy in front of us says a request came from: the last one, since those before it are what somebody told the
/// proxy.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    let text = last.rsplit(',').next()?.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    bare.parse().ok().or_else(with_port)
}

/// What no caller may, whoever they are.
fn refuse_method(app: &App, request: &Request, need: Need) -> Result<(), ApiError> {
    let method = request.method();
    let site = request.headers().get("sec-fetch-site").and_then(|value| value.to_str().ok());
    let is_safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_safe && matches!(site, Some("cross-site" | "same-site")) && app.origins.allowed(request).is_none() {
        // A page elsewhere, with what the browser keeps for us.
        let detail = "a page of another site asks, which may change nothing here";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "cross_site", detail));
    }
    if *method == Method::HEAD && matches!(need, Need::Scope(Scope::Export) | Need::Whole(Scope::Export)) {
        // What is entered in the log as taken away must have been.
        let detail = "an export has no head without its body";
        return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail));
    }
    Ok(())
}

fn need_of(rules: &[Rule], method: &Method, route: &str) -> Option<Need> {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let mut of_route = rules.iter().filter(|(_, known, _)| *known == route).peekable();
    of_route.peek()?;
    // The answer to another method is that it is not taken.
    Some(of_route.find(|(known, ..)| known == method).map_or(Need::Nothing, |(.., need)| *need))
}

/// A handler's app is that of its caller.
impl FromRequestParts<App> for App {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<App, Infallible> {
        // Past the guard nobody sees anything.
        let caller = parts.extensions.get::<Arc<Caller>>().cloned();
        let peer = app.peer(&parts.headers, &parts.extensions);
        Ok(App { caller: caller.unwrap_or_else(|| Arc::new(Caller::nobody())), peer, ..app.clone() })
    }
}
