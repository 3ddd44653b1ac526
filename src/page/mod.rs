//! The page: Admin → Audit log, as HTML made here. The address is the state, every control is a link or a form field,
//! and script makes it faster, never possible. What it has to do is told in the project's interaction spec; the API it
//! is built on is `api`.
//!
//! What script may rely on: `#filters` is the form, `#results` everything below it with `data-url` (the canonical query
//! string), `data-total`, `data-title` and `data-seen` (the last seq that was searched, where a tail goes on);
//! `/_results` answers both and the title row, `/_facet/…` the inside of a menu, `/_detail/{id}` the row below an entry,
//! `/_tail` rows as they come. The first three are always 200, a refusal as well: it is HTML with `data-status` on
//! `#results`, or plain text. Rows are `tr.e` with `data-id` and `data-seq`, `#e{seq}`, their details `#e{seq}-d`. What needs script
//! has the class `needs-js` and shows when `html` has the class `js`. `body` has `data-root` (the way to the page),
//! `data-tz` (the viewer's zone, absent until one is chosen) and `data-now`.

mod answer;
mod assets;
mod axis;
mod detail;
mod diff;
mod embed;
mod filters;
mod format;
mod icons;
mod list;
mod look;
mod oidc;
mod payload;
mod plot;
mod posts;
mod prefs;
mod range;
mod related;
mod respond;
mod results;
#[cfg(test)]
mod samples;
mod seal;
mod shell;
mod sign_in;
mod state;
mod streams;
mod tree;
mod views;
mod withheld;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, MatchedPath, Path, Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get};

use crate::api::access::{self, Need};
use crate::api::routes::Routes;
use crate::api::{App, NO_PAGE};
use crate::auth::Scope;
use crate::durable::Disk;
use crate::oidc::SignOn;
pub use respond::PAGE_PATH;
use respond::{Meant, see_other, with_query};
use views::{View, Views};

/// How the page is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where the server is seen from outside, if that is not where it listens.
    pub base_url: Option<String>,
    /// It is reached over TLS, unless a proxy says otherwise.
    pub speaks_tls: bool,
    /// `X-Forwarded-Host`, `-Proto` and `-Prefix` say where it is seen.
    pub trusts_proxy: bool,
    /// Origins whose pages may show this one in a frame.
    pub frame_origins: Vec<String>,
}

/// What every handler works with.
#[derive(Clone)]
pub struct Page {
    app: App,
    settings: Arc<Settings>,
    views: Arc<Views>,
    policy: HeaderValue,
    /// To the provider that people may sign in with.
    gate: Option<Arc<oidc::Gate>>,
}

impl Page {
    /// Over the API's store; saved views are kept in `dir`.
    pub fn new(app: App, settings: Settings, disk: Arc<dyn Disk>, dir: PathBuf, is_read_only: bool) -> Page {
        let policy = HeaderValue::from_str(&respond::policy(&settings));
        // An origin that no header can carry is nobody's origin.
        let policy = policy.unwrap_or(NO_PAGE);
        let views = Arc::new(Views::open(disk, dir, is_read_only));
        Page { app, settings: Arc::new(settings), views, policy, gate: None }
    }

    /// The same, where people may also sign in with this provider.
    pub fn with_sign_on(self, sign_on: Option<SignOn>) -> Page {
        Page { gate: sign_on.map(|sign_on| Arc::new(oidc::Gate::new(sign_on))), ..self }
    }
}

const READ: Need = Need::Scope(Scope::Read);
const EXPORT: Need = Need::Scope(Scope::Export);

/// A handler's page is that of its caller.
impl FromRequestParts<Page> for Page {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, page: &Page) -> Result<Page, Infallible> {
        Ok(Page { app: App::from_request_parts(parts, &page.app).await?, ..page.clone() })
    }
}

impl Page {
    /// The saved views, for those who see the whole log, and what is sealed of it: a view's name and filters may tell of what others do not
    /// see.
    fn saved_views(&self) -> Vec<View> {
        let (caller, seals) = (&self.app.caller, self.app.store.seals());
        let sees_all = caller.sees_all() && (caller.may(Scope::Personal) || !seals);
        if sees_all { self.views.list() } else { Vec::new() }
    }
}

/// Every route of the page with what it asks of its caller.
pub fn routes() -> Routes<Page> {
    Routes::new()
        .get("/", Need::Nothing, || async { see_other("admin/audit-log/") })
        .get("/admin/audit-log", Need::Nothing, with_slash)
        .get("/admin/audit-log/", READ, results::page)
        .get("/admin/audit-log/_results", READ, results::fragment)
        .get("/admin/audit-log/_facet/{facet}", READ, results::facet)
        .get("/admin/audit-log/_detail/{id}", READ, results::detail)
        .get("/admin/audit-log/_tail", READ, streams::tail)
        .get("/admin/audit-log/_assets/{hash}/{name}", Need::Nothing, asset)
        .get("/admin/audit-log/entries/{id}", READ, results::entry)
        .get("/admin/audit-log/entries/{id}/proof.json", READ, results::proof)
        .get("/admin/audit-log/log.json", READ, results::log)
        .get("/admin/audit-log/checkpoint", READ, results::checkpoint)
        .get("/admin/audit-log/export.csv", EXPORT, streams::csv)
        .get("/admin/audit-log/export.jsonl", EXPORT, streams::jsonl)
        .post("/admin/audit-log/views", Need::Whole(Scope::Read), posts::save_view)
        .post("/admin/audit-log/views/{id}/delete", Need::Whole(Scope::Read), posts::remove_view)
        .post("/admin/audit-log/prefs", READ, posts::prefs)
        .get("/admin/audit-log/sign-in", Need::Nothing, sign_in::form)
        .post("/admin/audit-log/sign-in", Need::Nothing, sign_in::sign_in)
        .get("/admin/audit-log/sign-in/oidc", Need::Nothing, oidc::start)
        .get("/admin/audit-log/sign-in/callback", Need::Nothing, oidc::callback)
        .post("/admin/audit-log/sign-out", Need::Nothing, sign_in::sign_out)
}

/// The page, guarded.
pub fn router(page: Page) -> Router {
    let page = own_router(page);
    let (slash, rest) = (page.clone(), page.clone());
    page.route("/embed/{token}", get(embed::with_slash))
        .route("/embed/{token}/", any(move |request| embed::hand_on(slash, request)))
        .route("/embed/{token}/{*rest}", any(move |request| embed::hand_on(rest, request)))
}

fn own_router(page: Page) -> Router {
    let (router, rules) = routes().into_parts();
    router
        .layer(middleware::from_fn(access::short_body))
        .layer(middleware::from_fn_with_state((page.clone(), rules), sign_in::guard))
        .layer(middleware::from_fn_with_state(page.clone(), count_and_harden))
        .with_state(page)
}

/// Relative addresses begin at the slash.
async fn with_slash(uri: Uri) -> Response {
    see_other(&with_query("audit-log/", &uri))
}

async fn asset(Path((hash, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    assets::serve(&hash, &name, &headers)
}

async fn count_and_harden(Shared(page): Shared<Page>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let timer = page.app.metrics.start(route);
    let mut response = next.run(request).await;
    timer.finish(response.extensions().get().map_or(response.status(), |Meant(status)| *status));
    respond::harden(&mut response, &page.policy);
    response
}
