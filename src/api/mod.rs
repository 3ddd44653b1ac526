//! The HTTP API: every route on this page with what it asks of its caller, a file per noun. A handler takes apart, calls once, puts together.

pub mod access;
mod actions;
mod append;
pub mod connection;
pub mod cors;
mod erasures;
pub mod error;
mod events;
pub mod export;
mod facets;
mod feed;
mod health;
mod keys;
mod metrics;
mod openapi;
pub mod own;
mod params;
mod parse;
mod proofs;
pub mod routes;
mod segments;
mod sse;
pub mod tail;
mod viewers;
pub mod witness;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::handler::Handler;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use crate::auth::{Caller, Failure, Folds, Limits, Look, Rates, Scope, Sessions, failures, looks};
use crate::clock;
use crate::index::source::Personal;
use crate::index::{Engine, Narrowed, Patience};
use crate::query::{Env, Query};
use crate::seq::Seq;
use crate::store::own::Own;
use crate::store::{Answers, Store};
use access::{Door, Need};
use cors::Origins;
use error::ApiError;
pub use events::{find, row};
pub use metrics::HttpMetrics;
pub use proofs::{checkpoint, evidence_of, log};
use routes::Routes;
use tokio::sync::{Semaphore, watch};

/// The policy of an answer that is no page: it loads nothing, not even an icon, and stands in no frame.
pub const NO_PAGE: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// What is set of the API.
#[derive(Debug)]
pub struct Settings {
    /// Longer than this no question may take; exports may.
    pub question_time: Duration,
    /// Whose scripts may ask.
    pub origins: Origins,
    /// How often each caller may ask.
    pub limits: Limits,
    /// `X-Forwarded-For` says where a request comes from.
    pub trusts_proxy: bool,
}

/// What every handler works with.
#[derive(Clone)]
pub struct App {
    /// The store.
    pub store: Arc<Store>,
    /// Counts requests.
    pub metrics: Arc<HttpMetrics>,
    /// Who asks. Handlers are given theirs.
    pub caller: Arc<Caller>,
    /// From where.
    pub peer: Option<IpAddr>,
    /// Whether keys are asked for.
    pub door: Door,
    /// Who signed in on the page.
    pub sessions: Arc<Sessions>,
    /// Whose scripts may ask.
    origins: Arc<Origins>,
    rates: Arc<Rates>,
    trusts_proxy: bool,
    failures: Arc<Folds<Failure, Own>>,
    looks: Arc<Folds<Look, Own>>,
    tails: Arc<tail::Tails>,
    /// Turns true when the server stops: who would wait does not any more.
    stop: watch::Receiver<bool>,
    /// Longer than this no question may take; exports may.
    question_time: Duration,
    exports: Arc<Semaphore>,
    /// In KiB, so that a body's size fits a number of permits.
    bodies: Arc<Semaphore>,
}

impl App {
    /// Over a store, behind a door, until `stop` turns true.
    pub fn new(store: Arc<Store>, door: Door, settings: Settings, stop: watch::Receiver<bool>) -> App {
        let Settings { question_time, origins, limits, trusts_proxy } = settings;
        let exports = Arc::new(Semaphore::new(export::EXPORTS_MAX));
        let bodies = Arc::new(Semaphore::new(append::BODIES_KIB_MAX));
        let caller = Arc::new(Caller::nobody());
        App {
            store,
            metrics: Arc::default(),
            caller,
            peer: None,
            door,
            sessions: Arc::default(),
            origins: Arc::new(origins),
            rates: Arc::new(Rates::new(limits)),
            trusts_proxy,
            failures: Arc::new(failures()),
            looks: Arc::new(looks()),
            tails: Arc::default(),
            stop,
            question_time,
            exports,
            bodies,
        }
    }

    /// What matches every entry that is there for the caller.
    pub fn sight(&self) -> Query {
        self.caller.sight(&Env { now_ms: clock::now_ms(), catalogue: self.store.catalogue() })
    }

    /// What the caller gets of what is sealed.
    pub fn personal(&self) -> Personal {
        if self.caller.may(Scope::Personal) { Personal::Shown } else { Personal::Hidden }
    }

    /// Returns when the server stops.
    async fn stopping(&self) {
        // An error means that the server is gone, which is more than stopping.
        let _ = self.stop.clone().wait_for(|stopping| *stopping).await;
    }
}

const READ: Need = Need::Scope(Scope::Read);
const EXPORT: Need = Need::Scope(Scope::Export);
const ADMIN: Need = Need::Scope(Scope::Admin);

/// Every route with what it asks of its caller. `openapi.json` describes each of them.
pub fn routes() -> Routes<App> {
    Routes::new()
        .post("/v1/events", Need::Scope(Scope::Write), append::append)
        .get("/v1/events", READ, events::list)
        .get("/v1/events/{id}", READ, events::one)
        .get("/v1/events/{id}/proof", READ, proofs::proof)
        .get("/v1/events/{id}/evidence", READ, proofs::evidence)
        .get("/v1/feed", READ, feed::feed)
        .get("/v1/tail", READ, tail::tail)
        .get("/v1/facets", READ, facets::facets)
        .get("/v1/actions", READ, actions::actions)
        .get("/v1/query/parse", READ, parse::parse)
        .get("/v1/export", EXPORT, export::export)
        .get("/v1/segments", Need::Whole(Scope::Export), segments::list)
        .get("/v1/segments/{first}", Need::Whole(Scope::Export), segments::one)
        .get("/v1/log", READ, proofs::log)
        .get("/v1/consistency", READ, proofs::consistency)
        .get("/checkpoint", READ, proofs::checkpoint)
        .get("/tile/{level}/{*tile}", Need::Whole(Scope::Read), proofs::tile)
        .get("/v1/keys", ADMIN, keys::list)
        .post("/v1/keys", ADMIN, keys::create.layer(middleware::from_fn(access::short_body)))
        .delete("/v1/keys/{id}", ADMIN, keys::revoke)
        .post("/v1/viewers", READ, viewers::create.layer(middleware::from_fn(access::short_body)))
        .delete("/v1/viewers/{id}", READ, viewers::revoke)
        .get("/v1/erasures", ADMIN, erasures::list)
        .post("/v1/erasures", ADMIN, erasures::create)
        .get("/v1/erasures/{id}", ADMIN, erasures::one)
        .post("/v1/holds", ADMIN, erasures::hold)
        .post("/v1/holds/lift", ADMIN, erasures::lift)
        .get("/healthz", Need::Nothing, health::healthz)
        .get("/readyz", Need::Nothing, health::readyz)
        .get("/metrics", Need::Whole(Scope::Read), metrics::metrics)
        .get("/openapi.json", Need::Nothing, openapi::openapi)
}

/// The API, guarded.
pub fn router(app: App) -> Router {
    let (router, rules) = routes().into_parts();
    router
        .fallback(no_such_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state((app.clone(), rules), access::guard))
        // Before the guard: a browser asks without a key whether it may ask with one.
        .layer(middleware::from_fn_with_state(app.origins.clone(), cors::answer))
        .layer(middleware::from_fn_with_state(app.clone(), count_and_harden))
        // Bodies are read and limited by `append`; the other calls that take one have limits of their own.
        .layer(DefaultBodyLimit::disable())
        .with_state(app)
}

async fn no_such_route(uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is nothing at {}", uri.path()))
}

async fn wrong_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address does not take that method")
}

/// Tells browsers not to come without TLS for a year. Put on every answer where TLS is spoken.
pub async fn only_tls(mut response: Response) -> Response {
    let year = HeaderValue::from_static("max-age=31536000");
    response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, year);
    response
}

async fn count_and_harden(State(app): State<App>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let timer = app.metrics.start(route);
    let mut response = next.run(request).await;
    timer.finish(response.status());
    let headers = response.headers_mut();
    // Answers are data: nothing in them may be run, framed, sniffed or kept by a cache.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, NO_PAGE);
    // Tiles never change and say so themselves.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
    response
}

/// Which engine answers. `scan` is there to be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineChoice {
    /// The index.
    Index,
    /// The log, entry by entry.
    Scan,
}

const ENGINES: [(&str, EngineChoice); 2] = [("index", EngineChoice::Index), ("scan", EngineChoice::Scan)];

/// A scan is asked for to be compared with, not to be fast.
const SCAN_TIME: Duration = Duration::from_secs(120);

/// What a question is asked over: as much of the log as is searchable at one moment, and as the caller sees.
pub struct Snapshot<'a> {
    index: Narrowed<'a>,
    searchable: Seq,
    sight: &'a Query,
    patience: &'a Arc<Patience>,
}

impl Snapshot<'_> {
    /// Everything below it is searched.
    pub fn searchable(&self) -> Seq {
        self.searchable
    }

    /// The index, whoever answers the question.
    pub fn index(&self) -> &dyn Engine {
        &self.index
    }

    /// Another engine over the same log, narrowed to what the caller sees.
    pub fn narrowed<'e>(&'e self, engine: &'e dyn Engine) -> Narrowed<'e> {
        Narrowed::new(engine, self.sight)
    }

    /// How long the question may take.
    pub fn patience(&self) -> &Arc<Patience> {
        self.patience
    }

    /// What the caller sees.
    pub fn sight(&self) -> &Query {
        self.sight
    }
}

/// Runs a question on a thread that may block, over one snapshot of what its caller sees.
pub async fn ask<T: Send + 'static>(
    app: &App,
    engine: EngineChoice,
    question: impl FnOnce(Answers<'_, dyn Engine>, &Snapshot<'_>) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    app.still()?;
    let (app, question_time) = (app.clone(), app.question_time);
    let answered = tokio::task::spawn_blocking(move || {
        let (store, sight) = (&app.store, app.sight());
        let personal = app.personal();
        let view = store.view().seen(personal).patient(Arc::new(Patience::at_most(question_time)));
        let scan = store.scan(view.searchable()).seen(personal).patient(Arc::new(Patience::at_most(SCAN_TIME)));
        let source = store.source().seen(personal);
        let index = Narrowed::new(&view, &sight);
        let scan = Narrowed::new(&scan, &sight);
        let snapshot = Snapshot { index, searchable: view.searchable(), sight: &sight, patience: view.patience() };
        let engine: &dyn Engine = match engine {
            EngineChoice::Index => snapshot.index(),
            EngineChoice::Scan => &scan,
        };
        question(Answers { engine, source: &source, catalogue: store.catalogue() }, &snapshot)
    });
    answered.await.unwrap_or_else(|_| Err(ApiError::internal("a question panicked")))
}

/// A JSON answer from ready text.
fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// Whether the client takes this encoding.
pub fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|item| {
        let mut parts = item.split(';').map(str::trim);
        parts.next() == Some(encoding) && !parts.any(|part| part.replace(' ', "") == "q=0")
    })
}

/// `<path?pairs>; rel="next"` and the bare address.
fn next_link(path: &str, pairs: &[(&str, &str)]) -> (String, Option<HeaderValue>) {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let address = format!("{path}?{query}");
    let link = HeaderValue::from_str(&format!("<{address}>; rel=\"next\"")).ok();
    (address, link)
}
