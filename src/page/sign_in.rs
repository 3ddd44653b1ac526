//! Signing in with a key, or by way of a provider (`oidc.rs`), and out again. What is asked for afterwards is what was asked for before.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::embed::Embedded;
use super::format::shown;
use super::posts::{self, NOT_OURS};
use super::respond::{self, Outside, PAGE_PATH, plain, see_other};
use super::results::Visit;
use super::shell::{self, Frame};
use super::{Page, prefs};
use crate::api::access::{self, Door, Rule, Session};
use crate::api::error::ApiError;
use crate::api::own;
use crate::auth::{Attempt, Caller, Holder, Scope, Stranger, Who};
use crate::clock;
use crate::json::Json;

/// The cookie of who signed in.
pub const SESSION_COOKIE: &str = "annals_session";
/// The longest way back that is taken along, bytes: an address of the page.
const WAY_BACK_BYTES_MAX: usize = 16 << 10;

/// The guard of the page: whoever shows no key and has not signed in is asked to.
pub async fn guard(State((page, rules)): State<(Page, Arc<[Rule]>)>, request: Request, next: Next) -> Response {
    let session = prefs::cookie(request.headers(), SESSION_COOKIE);
    let (up, to) = way_back(request.uri());
    // A form that came too late cannot be sent again by going back to its address.
    let to = if *request.method() == Method::GET { to } else { String::new() };
    let is_navigation = is_navigation(request.headers());
    let session = session.as_deref().map(|text| Session { text, is_click: is_navigation });
    let is_embedded = request.extensions().get::<Embedded>().is_some();
    let response = match access::pass(&page.app, &rules, session, request, next).await {
        Ok(response) => response,
        Err(refused) if refused.status() == StatusCode::UNAUTHORIZED && is_navigation && is_embedded => {
            let text = "This view of the log has ended. Load the page around it again.";
            plain(StatusCode::UNAUTHORIZED, text.to_owned())
        }
        Err(refused) if refused.status() == StatusCode::UNAUTHORIZED && is_navigation => {
            let query = form_urlencoded::Serializer::new(String::new()).append_pair("to", &to).finish();
            see_other(&format!("{up}sign-in?{query}"))
        }
        Err(refused) if refused.status() == StatusCode::UNAUTHORIZED => {
            // Script asks: no browser may put its own window for a password before the page.
            let mut response = refused.into_response();
            response.headers_mut().remove(header::WWW_AUTHENTICATE);
            response
        }
        Err(refused) => refused.into_response(),
    };
    match response.status() {
        StatusCode::TOO_MANY_REQUESTS if is_navigation => in_words(response),
        _ => response,
    }
}

/// What a person sees who was held back; the headers say the same to their browser.
fn in_words(refused: Response) -> Response {
    let (mut head, _) = refused.into_parts();
    let text = "That was too much at once. Wait a few seconds and load the page again.";
    let mut response = plain(head.status, text.to_owned());
    for name in ["retry-after", "ratelimit", "ratelimit-policy"] {
        if let Some(value) = head.headers.remove(name) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Whether a person waits for a page, not script for a part of one.
fn is_navigation(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => text("accept").is_some_and(|accept| accept.contains("text/html")),
    }
}

/// How to get up to the page from an address below it, and the address as seen from there.
fn way_back(uri: &Uri) -> (String, String) {
    let below = uri.path().strip_prefix(PAGE_PATH).unwrap_or_default();
    let up = "../".repeat(below.matches('/').count());
    (up, respond::with_query(below, uri))
}

/// A way back that stays below the page; anything else leads to the page itself.
pub fn checked(to: &str) -> &str {
    let path = to.split(['?', '#']).next().unwrap_or_default();
    let is_plain = to.len() <= WAY_BACK_BYTES_MAX && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let lower = path.to_ascii_lowercase();
    let has_way_out = [":", "//", "..", "%2e", "%2f", "%5c"].iter().any(|way_out| lower.contains(way_out));
    let is_below = !path.starts_with('/') && !has_way_out;
    if is_plain && is_below { to } else { "" }
}

/// Who signed in, or the name of the key that they signed in with.
pub fn who(page: &Page) -> Option<&str> {
    let caller = &page.app.caller;
    caller.session().and_then(|_| caller.who().name())
}

/// What is wanted afterwards, as an address asks for it.
pub fn wanted(uri: &Uri) -> String {
    let to = respond::parameter(uri, "to").unwrap_or_default();
    checked(&to).to_owned()
}

/// Whether nobody has to sign in here, or this visitor has.
pub fn is_in(page: &Page, headers: &HeaderMap) -> bool {
    let session = prefs::cookie(headers, SESSION_COOKIE);
    let has_session = session.is_some_and(|text| page.app.door.signed_in(&page.app.sessions, &text, true).is_some());
    has_session || matches!(page.app.door, Door::Open)
}

/// The form, as it is shown.
#[derive(Clone, Copy, Default)]
pub struct Form<'a> {
    /// The way up to the page.
    pub root: &'static str,
    /// What is wanted afterwards.
    pub to: &'a str,
    /// What is to be said about the last attempt.
    pub note: Option<&'a str>,
    /// What is wrong with the key.
    pub wrong: Option<&'a str>,
}

/// `GET /admin/audit-log/sign-in`
pub async fn form(page: Page, uri: Uri, headers: HeaderMap) -> Response {
    let to = wanted(&uri);
    if is_in(&page, &headers) {
        return see_other(&format!("./{to}"));
    }
    show(&page, &headers, StatusCode::OK, &Form { to: &to, ..Form::default() })
}

/// Asks the visitor to sign in.
pub fn show(page: &Page, headers: &HeaderMap, status: StatusCode, form: &Form<'_>) -> Response {
    let Form { root, note, wrong, .. } = *form;
    let to = checked(form.to);
    let outside = Outside::of(headers, &page.settings);
    let (token, cookie) = match respond::form_token(headers, &outside) {
        Ok(token) => token,
        Err(error) => return error.into_response(),
    };
    let provider = page.gate.as_ref().map(|gate| gate.name());
    let by_provider = form_urlencoded::Serializer::new(String::new()).append_pair("to", to).finish();
    let main = html! {
        div class="blank signin" {
            h1 { "Sign in" }
            @if let Some(note) = note { p class="err" role="alert" { (note) } }
            @if let Some(provider) = provider {
                a class="btn primary" id="oidc" href={ (root) "sign-in/oidc?" (by_provider) } { "Sign in with " (shown(provider)) }
                p class="or" { "or with a key" }
            }
            form method="post" action={ (root) "sign-in" } {
                input type="hidden" name="csrf" value=(token);
                input type="hidden" name="to" value=(to);
                label class="field" {
                    span { "Your key" }
                    input type="password" name="key" autocomplete="current-password" required maxlength="256"
                        placeholder="annals_…" spellcheck="false" autofocus[provider.is_none()]
                        aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong.map(|_| "wrong")];
                }
                @if let Some(wrong) = wrong { p class="err" id="wrong" role="alert" { (wrong) } }
                button class=(if provider.is_some() { "btn" } else { "btn primary" }) type="submit" { "Sign in" }
            }
            p { "An administrator makes keys with " code { "annals key create" } "." }
        }
    };
    let mut response = blank(page, headers, status, root, main);
    cookie.iter().for_each(|cookie| respond::set_cookie(&mut response, cookie));
    response
}

/// A page for those who have not signed in.
pub fn blank(page: &Page, headers: &HeaderMap, status: StatusCode, root: &'static str, main: Markup) -> Response {
    let visit = Visit::of(&Uri::default(), headers);
    let frame = Frame { title: "Sign in", here: "Sign in", has_entries: false, token: None, who: None, views: &[] };
    respond::html(status, shell::document(&visit.look(page, root), &frame, main), headers)
}

/// `POST /admin/audit-log/sign-in`
pub async fn sign_in(page: Page, headers: HeaderMap, body: String) -> Response {
    let Some(form) = posts::Form::read(&body, &headers) else {
        return plain(StatusCode::FORBIDDEN, NOT_OURS.to_owned());
    };
    let to = form.get("to");
    let wrong = |why| Form { to, wrong: Some(why), ..Form::default() };
    let Some(caller) = page.app.door.try_key(form.get("key")) else {
        own::enter_failure(&page.app, page.app.peer, Attempt::Key);
        if let Err(refused) = page.app.hold_back_stranger(page.app.peer, Stranger::WrongKey) {
            return refused.into_response();
        }
        return show(&page, &headers, StatusCode::UNAUTHORIZED, &wrong("This key is not known here."));
    };
    if !caller.may(Scope::Read) {
        return show(&page, &headers, StatusCode::FORBIDDEN, &wrong("This key may not read the log."));
    }
    // The cookie's path is left to the browser: the page, under whatever prefix it sees it.
    match begin(&page, caller, &headers, "").await {
        Ok(cookie) => {
            let mut response = see_other(&format!("./{}", checked(to)));
            respond::set_cookie(&mut response, &cookie);
            response
        }
        Err(error) => error.into_response(),
    }
}

/// Begins a session of this caller, which is entered; answers its cookie.
///
/// # Errors
/// When it cannot be entered, or the caller is nobody.
pub async fn begin(page: &Page, caller: Caller, headers: &HeaderMap, path: &str) -> Result<String, ApiError> {
    let holder = match caller.who() {
        Who::Key { id, .. } => Holder::Key(id.clone()),
        Who::Person { .. } => Holder::Person(Arc::new(caller.clone())),
        Who::Viewer { .. } | Who::Nobody | Who::Anyone => {
            return Err(ApiError::internal("somebody who cannot sign in did"));
        }
    };
    let mut app = page.app.clone();
    app.caller = Arc::new(caller);
    own::enter(&app, "auth.sign_in", None, by(&app.caller)).await?;
    let text = app.sessions.begin(holder, clock::now_ms());
    let text = text.map_err(|error| ApiError::internal(&format!("no random bytes for a session: {error}")))?;
    let secure = respond::secure(Outside::of(headers, &page.settings).is_secure);
    Ok(format!("{SESSION_COOKIE}={text}{path}; HttpOnly; SameSite=Lax{secure}"))
}

/// What an entry about signing in or out says of the way.
fn by(caller: &Caller) -> Json {
    match caller.who() {
        Who::Person { .. } => Json::Object(vec![("by".to_owned(), own::text("oidc"))]),
        Who::Key { .. } | Who::Viewer { .. } | Who::Nobody | Who::Anyone => Json::Object(Vec::new()),
    }
}

/// `POST /admin/audit-log/sign-out`
pub async fn sign_out(page: Page, headers: HeaderMap, body: String) -> Response {
    if posts::Form::read(&body, &headers).is_none() {
        return plain(StatusCode::FORBIDDEN, NOT_OURS.to_owned());
    }
    let mut app = page.app.clone();
    if let Some(text) = prefs::cookie(&headers, SESSION_COOKIE) {
        let caller = app.door.signed_in(&app.sessions, &text, true);
        app.caller = Arc::new(caller.unwrap_or_else(Caller::nobody));
        app.sessions.end(&text);
    }
    // Out is out, also if it cannot be entered.
    let entered = own::enter(&app, "auth.sign_out", None, by(&app.caller)).await;
    let mut response = match entered {
        Ok(()) => see_other("sign-in"),
        Err(error) => error.into_response(),
    };
    respond::set_cookie(&mut response, &format!("{SESSION_COOKIE}=; Max-Age=0; HttpOnly; SameSite=Lax"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_stays_below_the_page() {
        for (to, kept) in [
            ("", ""),
            ("?q=a%20b&range=7d", "?q=a%20b&range=7d"),
            ("entries/x?tz=UTC", "entries/x?tz=UTC"),
            ("?q=a:b//c", "?q=a:b//c"),
            ("//evil.example", ""),
            ("/etc", ""),
            ("https://evil.example", ""),
            ("javascript:alert(1)", ""),
            ("entries/../../x", ""),
            ("%2E%2e/%2e%2e/v1/log", ""),
            ("..", ""),
            ("\\\\evil.example", ""),
            ("x\r\nset-cookie: a", ""),
            ("é", ""),
        ] {
            assert_eq!(checked(to), kept, "{to}");
        }
        let back = |path: &str| way_back(&path.parse().unwrap());
        assert_eq!(back("/admin/audit-log/?q=a"), (String::new(), "?q=a".to_owned()));
        assert_eq!(back("/admin/audit-log/entries/x"), ("../".to_owned(), "entries/x".to_owned()));
        assert_eq!(back("/"), (String::new(), String::new()));
    }
}
