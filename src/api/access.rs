//! Who may call what: every route with what it asks of its caller, in one table. What is not in it is answered to nobody.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::App;
use super::connection::Line;
use super::error::ApiError;
use super::own;
use crate::auth::{Caller, KeyText, Keys, Scope, Sessions, Who};
use crate::clock;

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

const READ: Need = Need::Scope(Scope::Read);
const ADMIN: Need = Need::Scope(Scope::Admin);

/// The routes of [`super::router`].
pub const RULES: [Rule; 23] = [
    (Method::POST, "/v1/events", Need::Scope(Scope::Write)),
    (Method::GET, "/v1/events", READ),
    (Method::GET, "/v1/events/{id}", READ),
    (Method::GET, "/v1/events/{id}/proof", READ),
    (Method::GET, "/v1/events/{id}/evidence", READ),
    (Method::GET, "/v1/feed", READ),
    (Method::GET, "/v1/tail", READ),
    (Method::GET, "/v1/facets", READ),
    (Method::GET, "/v1/actions", READ),
    (Method::GET, "/v1/query/parse", READ),
    (Method::GET, "/v1/export", Need::Scope(Scope::Export)),
    (Method::GET, "/v1/segments", Need::Whole(Scope::Export)),
    (Method::GET, "/v1/segments/{first}", Need::Whole(Scope::Export)),
    (Method::GET, "/v1/log", READ),
    (Method::GET, "/v1/consistency", READ),
    (Method::GET, "/checkpoint", READ),
    (Method::GET, "/tile/{level}/{*tile}", Need::Whole(Scope::Read)),
    (Method::GET, "/v1/keys", ADMIN),
    (Method::POST, "/v1/keys", ADMIN),
    (Method::DELETE, "/v1/keys/{id}", ADMIN),
    (Method::GET, "/healthz", Need::Nothing),
    (Method::GET, "/readyz", Need::Nothing),
    (Method::GET, "/metrics", Need::Whole(Scope::Read)),
];

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
    fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, ApiError> {
        if let Door::Open = self {
            return Ok(Some(Caller::anyone()));
        }
        let Some(shown) = shown(headers)? else { return Ok(None) };
        let admitted = self.try_key(&shown);
        // Wrong, expired and revoked look the same.
        admitted.map(Some).ok_or_else(|| ApiError::unauthorized("this key is not known here"))
    }
}

impl App {
    /// Refuses a caller whose key does not stand any more: what waits, or takes a while, asks again.
    pub fn still(&self) -> Result<(), ApiError> {
        match (&self.door, self.caller.who()) {
            (Door::Keys(keys), Who::Key { id, .. }) if !keys.stands(id, clock::now_ms()) => {
                Err(ApiError::unauthorized("this key was revoked or has expired"))
            }
            _ => Ok(()),
        }
    }
}

impl Door {
    /// Who signed in with this text in their cookie.
    pub fn signed_in(&self, sessions: &Sessions, text: &str) -> Option<Caller> {
        let Door::Keys(keys) = self else { return None };
        let now_ms = clock::now_ms();
        keys.holder(&*sessions.key_id(text, now_ms)?, now_ms)
    }

    /// Whether this text is a key, and whose. `None` where keys are not asked for.
    pub fn try_key(&self, text: &str) -> Option<Caller> {
        let Door::Keys(keys) = self else { return None };
        KeyText::parse(text.trim()).ok().and_then(|key| keys.admit(&key, clock::now_ms()).ok())
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

/// Lets a request pass to its handler, with its caller, if the rule of its route is met.
pub async fn guard(State((app, rules)): State<(App, &'static [Rule])>, request: Request, next: Next) -> Response {
    pass(&app, rules, None, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

/// The same for callers who may have signed in: `session` is the text in their cookie.
///
/// # Errors
/// When the rule is not met.
pub async fn pass(
    app: &App,
    rules: &[Rule],
    session: Option<&str>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let need = match route {
        // The answer is that nothing is there.
        None => Need::Nothing,
        Some(route) => match need_of(rules, request.method(), &route) {
            Some(need) => need,
            None => return Err(ApiError::internal(&format!("{route} has no rule"))),
        },
    };
    let line = request.extensions().get::<ConnectInfo<Line>>();
    let peer = line.and_then(|ConnectInfo(line)| line.peer());
    let caller = admit(app, need, session, request.headers(), peer)?;
    request.extensions_mut().insert(Arc::new(caller));
    Ok(next.run(request).await)
}

fn need_of(rules: &[Rule], method: &Method, route: &str) -> Option<Need> {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let mut of_route = rules.iter().filter(|(_, known, _)| *known == route).peekable();
    of_route.peek()?;
    // The answer to another method is that it is not taken.
    Some(of_route.find(|(known, ..)| known == method).map_or(Need::Nothing, |(.., need)| *need))
}

fn admit(
    app: &App,
    need: Need,
    session: Option<&str>,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
) -> Result<Caller, ApiError> {
    let (scope, is_whole) = match need {
        Need::Nothing => return Ok(Caller::nobody()),
        Need::Scope(scope) => (scope, false),
        Need::Whole(scope) => (scope, true),
    };
    let caller = match app.door.caller(headers) {
        Ok(None) => session.and_then(|text| app.door.signed_in(&app.sessions, text)),
        Ok(caller) => caller,
        Err(refused) => {
            own::enter_failure(app, peer);
            return Err(refused);
        }
    };
    let caller = caller.ok_or_else(|| ApiError::unauthorized("show a key: Authorization: Bearer annals_…"))?;
    if !caller.may(scope) {
        let detail = format!("this key has not the scope {}", scope.as_str());
        return Err(ApiError::new(StatusCode::FORBIDDEN, "missing_scope", detail));
    }
    if is_whole && !caller.sees_all() {
        let detail = "this shows the whole log, and this key sees a part of it";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "whole_log", detail));
    }
    Ok(caller)
}

/// A handler's app is that of its caller.
impl FromRequestParts<App> for App {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<App, Infallible> {
        // Past the guard nobody sees anything.
        let caller = parts.extensions.get::<Arc<Caller>>().cloned();
        let line = parts.extensions.get::<ConnectInfo<Line>>();
        let peer = line.and_then(|ConnectInfo(line)| line.peer());
        Ok(App { caller: caller.unwrap_or_else(|| Arc::new(Caller::nobody())), peer, ..app.clone() })
    }
}
