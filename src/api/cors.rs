//! Whose scripts may ask: none of other sites, unless their origins are set. Then `GET` and `POST` of `/v1`, with a key that the
//! script shows itself; never with what a browser keeps for us.
//!
//! By hand, because the guard asks the same question: a post of another site is refused unless its origin is set.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// What a script may ask for, in the words of a preflight.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
/// What a script may send.
const SENT: HeaderValue = HeaderValue::from_static(
    "authorization, x-api-key, content-type, content-encoding, idempotency-key, last-event-id",
);
/// What a script may read besides the body.
const READ: HeaderValue = HeaderValue::from_static(
    "annals-checkpoint, content-disposition, link, location, ratelimit, ratelimit-policy, retry-after",
);
/// How long a browser may remember all that, s: as long as the most careful one does.
const REMEMBERED_S: HeaderValue = HeaderValue::from_static("600");

/// Origins whose scripts may ask, as browsers write them.
#[derive(Clone, Debug, Default)]
pub struct Origins(Vec<HeaderValue>);

impl Origins {
    /// These. What no header can carry is nobody's origin.
    pub fn new(origins: &[String]) -> Origins {
        Origins(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect())
    }

    /// The origin that a request comes from, if its scripts may send such a one.
    pub fn allowed(&self, request: &Request) -> Option<&HeaderValue> {
        let is_taken = matches!(*request.method(), Method::GET | Method::HEAD | Method::POST | Method::OPTIONS);
        let origin = request.headers().get(header::ORIGIN).filter(|_| is_taken && concerns(request))?;
        self.0.iter().find(|known| *known == origin)
    }
}

/// The page and the rest are nobody else's matter.
fn concerns(request: &Request) -> bool {
    request.uri().path().starts_with("/v1/")
}

/// Answers a browser that asks first, and tells it who may read an answer.
pub async fn answer(State(origins): State<Arc<Origins>>, request: Request, next: Next) -> Response {
    if origins.0.is_empty() || !concerns(&request) {
        return next.run(request).await;
    }
    let origin = origins.allowed(&request).cloned();
    let is_preflight = *request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        && origin.is_some();
    let mut response = match is_preflight {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    // Also where no origin is allowed: the answer to another would be another.
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let Some(origin) = origin else { return response };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if is_preflight {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, SENT);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBERED_S);
    } else {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, READ);
    }
    response
}
