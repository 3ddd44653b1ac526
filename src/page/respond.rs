//! What every answer of the page carries: the security policy, no caching, gzip; and where the page is seen from
//! outside.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use maud::Markup;

use super::Settings;
use super::assets::pack;
use super::prefs;
use crate::api::error::ApiError;
use crate::api::{NO_PAGE, accepts};

/// Nothing smaller is worth packing, bytes.
const PACK_BYTES_MIN: usize = 1_024;
/// Where the page stands below the root that a proxy shows.
pub const PAGE_PATH: &str = "/admin/audit-log/";

/// The policy of every answer; who may frame the page stands behind it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types audit; frame-ancestors ";

/// The policy with who may frame the page: nobody, unless origins are set.
pub fn policy(settings: &Settings) -> String {
    let ancestors = match settings.frame_origins.as_slice() {
        [] => "'none'".to_owned(),
        origins => origins.join(" "),
    };
    format!("{POLICY}{ancestors}")
}

/// Puts the headers on that every answer has.
pub fn harden(response: &mut Response, policy: &HeaderValue) {
    let headers = response.headers_mut();
    let is_html = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let policy = if is_html { policy.clone() } else { NO_PAGE };
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("same-origin"));
    // Assets never change and say so themselves.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// What an answer would have as its status if it were no part of a page. Fetched parts are always 200: for any other
/// status a browser writes an error into its console, and a query that is half typed is no error of the page. Metrics
/// count this one.
#[derive(Clone, Copy)]
pub struct Meant(pub StatusCode);

/// An answer for script, as a 200.
pub fn fetched(mut response: Response) -> Response {
    let meant = Meant(response.status());
    *response.status_mut() = StatusCode::OK;
    response.extensions_mut().insert(meant);
    response
}

/// A page or a fragment.
pub fn html(status: StatusCode, markup: Markup, request: &HeaderMap) -> Response {
    let text = markup.into_string();
    let is_packed = text.len() >= PACK_BYTES_MIN && accepts(request, "gzip");
    let body = if is_packed { pack(text.as_bytes(), Compression::default()) } else { text.into_bytes() };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding, cookie"));
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// 303 to an address relative to the one that was asked for: no prefix has to be known.
pub fn see_other(to: &str) -> Response {
    let Ok(to) = HeaderValue::from_str(to) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

/// A line of text, for script or for a form: what went wrong.
pub fn plain(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// The token of forms: the visitor's, or a new one with the cookie that carries it.
///
/// # Errors
/// When the system has no random bytes.
pub fn form_token(request: &HeaderMap, outside: &Outside) -> Result<(String, Option<String>), ApiError> {
    if let Some(token) = prefs::token(request) {
        return Ok((token, None));
    }
    let new = prefs::new_token(outside.is_secure);
    let (token, cookie) = new.map_err(|error| ApiError::internal(&format!("no random bytes for a token: {error}")))?;
    Ok((token, Some(cookie)))
}

/// What a cookie has at its end where it may travel by https only.
pub fn secure(is_secure: bool) -> &'static str {
    if is_secure { "; Secure" } else { "" }
}

/// A path with the query string that an address has, if it has one.
pub fn with_query(path: &str, uri: &Uri) -> String {
    match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// What an address says under this name; the first one counts.
pub fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// Sends a cookie along.
pub fn set_cookie(response: &mut Response, cookie: &str) {
    let cookie = HeaderValue::from_str(cookie).ok();
    response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
}

/// Where the server is seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Without a slash at its end: `https://audit.example.org/annals`.
    pub url: String,
    /// It is reached by https.
    pub is_secure: bool,
}

impl Outside {
    /// What stands in front of every path of ours: empty, or `/annals`.
    pub fn prefix(&self) -> &str {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        rest.find('/').map_or("", |at| &rest[at..])
    }

    /// As the settings say; else as a proxy says, if it is trusted; else as the request does.
    pub fn of(headers: &HeaderMap, settings: &Settings) -> Outside {
        if let Some(url) = &settings.base_url {
            let url = url.trim_end_matches('/').to_owned();
            return Outside { is_secure: url.starts_with("https://"), url };
        }
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        // Several proxies make a list; the first one is the one that the viewer sees.
        let first = |name: &str| text(name).and_then(|list| list.split(',').next()).map(str::trim);
        let forwarded = |name: &str| if settings.trusts_proxy { first(name) } else { None };
        let is_secure = forwarded("x-forwarded-proto").map_or(settings.speaks_tls, |scheme| scheme == "https");
        let host = forwarded("x-forwarded-host").or_else(|| text("host")).filter(|host| is_host(host));
        let prefix = forwarded("x-forwarded-prefix").filter(|prefix| is_prefix(prefix)).unwrap_or_default();
        let scheme = if is_secure { "https" } else { "http" };
        let url = format!("{scheme}://{}{}", host.unwrap_or("localhost"), prefix.trim_end_matches('/'));
        Outside { url, is_secure }
    }
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
}

fn is_prefix(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.' | b'~');
    text.starts_with('/') && !text.starts_with("//") && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside(settings: &Settings, headers: &[(&'static str, &'static str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        Outside::of(&map, settings).url
    }

    #[test]
    fn a_proxy_is_believed_only_if_it_is_trusted() {
        let sent = [
            ("host", "127.0.0.1:7400"),
            ("x-forwarded-host", "audit.example.org"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/annals/"),
        ];
        let trusting = Settings { trusts_proxy: true, ..Settings::default() };
        let based = Settings { base_url: Some("https://example.org/a/".into()), ..Settings::default() };
        assert_eq!(outside(&Settings::default(), &sent), "http://127.0.0.1:7400");
        let own = Settings { speaks_tls: true, ..Settings::default() };
        assert_eq!(outside(&own, &sent), "https://127.0.0.1:7400");
        assert_eq!(
            outside(&Settings { trusts_proxy: true, ..own }, &[("x-forwarded-proto", "http")]),
            "http://localhost"
        );
        assert_eq!(outside(&trusting, &sent), "https://audit.example.org/annals");
        assert_eq!(outside(&based, &sent), "https://example.org/a");
        let prefix = |settings: &Settings| Outside::of(&HeaderMap::new(), settings).prefix().to_owned();
        assert_eq!((prefix(&based).as_str(), prefix(&Settings::default()).as_str()), ("/a", ""));
        assert_eq!(
            outside(&trusting, &[("x-forwarded-host", "a'b"), ("x-forwarded-prefix", "//evil")]),
            "http://localhost"
        );
    }

    #[test]
    fn only_origins_that_are_set_may_frame_the_page() {
        assert!(policy(&Settings::default()).ends_with("frame-ancestors 'none'"));
        let framed = Settings {
            frame_origins: vec!["https://a.example".into(), "https://b.example".into()],
            ..Settings::default()
        };
        assert!(policy(&framed).ends_with("frame-ancestors https://a.example https://b.example"));
    }
}
