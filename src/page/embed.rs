//! The page inside another, for the holder of a viewer's token: `/embed/{token}/` stands for the page's own address. The token
//! is in the path, so that every link of the page keeps it, no cookie of a third party is needed, and a visitor who has signed
//! in as well is not mixed up with the viewer.

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tower_service::Service as _;

use super::respond::{PAGE_PATH, plain, see_other, with_query};
use crate::api::connection::Line;

/// Marks a request that came by way of a token in its path: whoever is refused cannot sign in there.
#[derive(Clone, Copy)]
pub struct Embedded;

/// What of the page there is for a viewer: all that is read, and their own choices. They cannot sign in or out.
fn is_there(method: &Method, rest: &str) -> bool {
    match *method {
        Method::GET | Method::HEAD => !rest.starts_with("sign-in"),
        Method::POST => rest == "prefs",
        _ => false,
    }
}

/// `/embed/{token}`: relative addresses begin at the slash.
///
/// What stands there goes back as it came, below this place: unescaped it might lead elsewhere.
pub async fn with_slash(uri: Uri) -> Response {
    let token = uri.path().strip_prefix("/embed/").unwrap_or_default();
    see_other(&with_query(&format!("./{token}/"), &uri))
}

/// Hands a request on to the page, as one that shows the token.
pub async fn hand_on(mut page: Router, request: Request) -> Response {
    let below = request.uri().path().strip_prefix("/embed/").and_then(|path| path.split_once('/'));
    let Some((token, rest)) = below.filter(|(_, rest)| is_there(request.method(), rest)) else {
        return plain(StatusCode::NOT_FOUND, "There is nothing here.".to_owned());
    };
    let uri: Result<Uri, _> = with_query(&format!("{PAGE_PATH}{rest}"), request.uri()).parse();
    let (Ok(uri), Ok(bearer)) = (uri, HeaderValue::from_str(&format!("Bearer {token}"))) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let (mut head, body) = request.into_parts();
    let line = head.extensions.remove::<ConnectInfo<Line>>();
    let mut inner = Request::new(Body::new(body));
    *inner.method_mut() = head.method;
    *inner.uri_mut() = uri;
    *inner.version_mut() = head.version;
    head.headers.remove("x-api-key");
    head.headers.insert(header::AUTHORIZATION, bearer);
    *inner.headers_mut() = head.headers;
    inner.extensions_mut().insert(Embedded);
    if let Some(line) = line {
        inner.extensions_mut().insert(line);
    }
    let Ok(response) = page.call(inner).await;
    response
}
