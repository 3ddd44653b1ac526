//! One running server: store, API and signals put together, and taken apart again in the right order.

mod listen;
mod tls;
mod unread;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::middleware::map_response;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::api::access::Door;
use crate::api::cors::Origins;
use crate::api::{self, App};
use crate::auth::{Draft, KeyError, KeyText, Keys, NotAKey, Scopes};
use crate::clock;
use crate::config::{Config, ConfigError};
use crate::cosigner::{Asker, CosignError, Cosigner, WitnessAddress};
use crate::durable::OsDisk;
use crate::event::Catalogue;
use crate::excise;
use crate::index::tantivy::counts::CountLimits;
use crate::index::tantivy::span::SpanLimits;
use crate::log;
use crate::oidc::{self, SignOn};
use crate::page::{self, Page};
use crate::query::Env;
use crate::store::reserve::RESERVE_BYTES;
use crate::store::scrubber::ScrubSettings;
use crate::store::{Settings, Store, StoreError};
use tls::{Tls, TlsError};

/// How long requests that are being served may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// Names the first admin's key for a new directory; without it one is made and printed.
const BOOTSTRAP_KEY: &str = "ANNALS_BOOTSTRAP_ADMIN_KEY";

/// Why a server ended otherwise than asked.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It may not run like this.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The catalogue's extension.
    #[error("{path}: {why}")]
    Actions {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The data directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody outside remembers another log.
    #[error(transparent)]
    Disputed(CosignError),
    /// Signing in with a provider.
    #[error(transparent)]
    SignOn(#[from] oidc::SettingsError),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The first key, as the environment has it.
    #[error("{BOOTSTRAP_KEY}: {0}")]
    BootstrapKey(NotAKey),
    /// The address.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A sync failed.
    #[error("a write to disk could not be confirmed; start again to see what is stored")]
    SyncFailed,
}

/// A variable with the key-encryption key itself: in no file, and nothing prints it.
const KEK: &str = "ANNALS_KEK";

/// Opens the store of a configuration.
pub fn open_store(config: &Config) -> Result<Store, ServeError> {
    let settings = Settings {
        dir: config.data.clone(),
        free_bytes_min: config.free_bytes_min,
        accept_clock: config.accept_clock,
        read_only: config.read_only,
        spans: SpanLimits { events_max: config.span_events, ..SpanLimits::default() },
        counts: CountLimits::default(),
        log: log::Options { segment_events_max: config.segment_events, ..log::Options::default() },
        origin: config.origin.clone(),
        accept_new_key: config.accept_new_key,
        last_note: config.last_note.clone(),
        scrub: ScrubSettings {
            period: Some(config.scrub_period_s).filter(|s| *s > 0).map(Duration::from_secs),
            bytes_per_s: config.scrub_bytes_per_s,
        },
        reserve_bytes: RESERVE_BYTES,
        privacy: config.privacy(std::env::var(KEK).ok())?,
    };
    Ok(Store::open(OsDisk::shared(), settings, Arc::new(catalogue(config)?))?)
}

/// Whether what is sealed in a directory can be opened with these settings, before anything is done with it.
pub fn check_keys(config: &Config) -> Result<(), ServeError> {
    let privacy = config.privacy(std::env::var(KEK).ok())?;
    Ok(crate::store::check_keys(&OsDisk, &config.data, &privacy)?)
}

/// The built-in catalogue, extended by the file of the configuration.
pub fn catalogue(config: &Config) -> Result<Catalogue, ServeError> {
    let Some(path) = &config.actions else {
        return Ok(Catalogue::builtin().clone());
    };
    let failed = |why: String| ServeError::Actions { path: path.display().to_string(), why };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    Catalogue::extended(&text).map_err(|error| failed(with_cause(&error)))
}

fn with_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// Serves until a signal says to end. Prints `listening on http://…` on stdout once it answers; `ready` runs then.
pub fn serve(config: &Config, ready: impl FnOnce(Arc<Store>, String) + Send + 'static) -> Result<(), ServeError> {
    config.check_access()?;
    let (page, origins) = (config.page()?, config.origins()?);
    config.oidc.as_ref().map_or(Ok(()), oidc::Settings::check)?;
    let witness = config.witness_address()?.filter(|_| !config.read_only);
    let store = Arc::new(finish_excision(config, open_trusted(config)?)?);
    let sign_on = open_sign_on(config, &store)?;
    let door = match config.no_auth {
        true => Door::Open,
        false => Door::Keys(Arc::new(open_keys(&store)?)),
    };
    let cosigner = witness.and_then(|address| Cosigner::start(store.clone(), address));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|source| ServeError::Listen { address: config.listen.to_string(), source })?;
    let ended = runtime.block_on(run(config, (page, sign_on, origins), store.clone(), door, ready));
    runtime.shutdown_timeout(GRACE);
    if let Some(cosigner) = cosigner {
        cosigner.stop();
    }
    store.close();
    info!("closed");
    ended
}

/// Opens the store for who may append: what is in memory stays out of core dumps, and a witness, if there is one, is asked whether this
/// is the newest copy of the log.
pub fn open_trusted(config: &Config) -> Result<Store, ServeError> {
    let witness = config.witness_address()?.filter(|_| !config.read_only);
    keep_out_of_dumps();
    let store = open_store(config)?;
    if let Some(address) = &witness {
        ask_first(&store, address)?;
    }
    Ok(store)
}

/// Finishes what `annals excise` began and a crash ended, before anything is served. What cannot be done is told, and served as it was.
fn finish_excision(config: &Config, store: Store) -> Result<Store, ServeError> {
    let excision = match excise::begun(&OsDisk, &config.data) {
        Ok(Some(excision)) => excision,
        Ok(None) => return Ok(store),
        Err(why) => {
            error!("it cannot be told whether something is to be cut out of the log: {why}");
            return Ok(store);
        }
    };
    let named = excision.named();
    if config.read_only || store.refusal().is_some() {
        warn!("the content of entries {named} is to be cut out and is not yet: a start that may write does it");
        return Ok(store);
    }
    warn!("cutting the content of entries {named} out of the log, which was begun and not finished");
    if let Err(why) = excise::finish(&OsDisk::shared(), &config.data, &excision, store, &mut |what| info!("{what}")) {
        let why = with_cause(&why);
        error!("the content of entries {named} is still there: {why}. Mend that, and run `annals excise --finish`");
    }
    open_store(config)
}

/// What is in memory stays there when the process dies: keys, and what they open.
fn keep_out_of_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let done = setrlimit(Resource::Core, none).and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable));
    if let Err(error) = done {
        warn!("a crash may write keys of what is sealed to a core dump: {error}");
    }
}

/// The keys of a store's directory. Where there never was one, an admin's is made: the one that the environment names, or a new
/// one that is printed, this once.
fn open_keys(store: &Store) -> Result<Keys, ServeError> {
    let env = Env { now_ms: clock::now_ms(), catalogue: store.catalogue() };
    let keys = Keys::open(OsDisk::shared(), store.dir(), &env)?;
    if !keys.is_empty() {
        return Ok(keys);
    }
    let admin = Draft { name: "first admin".into(), scopes: Scopes::all(), ..Draft::default() };
    match std::env::var(BOOTSTRAP_KEY) {
        Ok(text) => {
            let text = KeyText::parse(&text).map_err(ServeError::BootstrapKey)?;
            keys.add(&text, &admin, &env)?;
            info!("the key in {BOOTSTRAP_KEY} is the admin's");
        }
        Err(_) => {
            let (_, text) = keys.create(&admin, &env)?;
            // stdout, not our log: logs are kept and copied.
            let _ = writeln!(std::io::stdout(), "admin key, shown this once: {}", text.reveal());
        }
    }
    Ok(keys)
}

/// Signing in with a provider, if one is set. Where keys are not asked for nobody signs in.
fn open_sign_on(config: &Config, store: &Store) -> Result<Option<SignOn>, ServeError> {
    let Some(settings) = config.oidc.clone() else { return Ok(None) };
    if config.no_auth {
        warn!("[oidc] is set, and --no-auth lets everybody in without it");
    }
    let env = Env { now_ms: clock::now_ms(), catalogue: store.catalogue() };
    Ok(Some(SignOn::open(settings, &env)?))
}

/// Before anything is appended: does the witness remember more than this directory holds? If it cannot be asked the log
/// goes on, and is asked about later.
fn ask_first(store: &Store, address: &WitnessAddress) -> Result<(), ServeError> {
    match Asker::new(address.clone()).cosign(store, 0) {
        Ok(_) => Ok(()),
        Err(why) if why.is_evidence() => {
            store.close();
            Err(ServeError::Disputed(why))
        }
        Err(why) => {
            warn!("whether this is the newest copy of the log is not known: {why}");
            Ok(())
        }
    }
}

async fn run(
    config: &Config,
    (page, sign_on, origins): (page::Settings, Option<SignOn>, Origins),
    store: Arc<Store>,
    door: Door,
    ready: impl FnOnce(Arc<Store>, String) + Send + 'static,
) -> Result<(), ServeError> {
    let failed = |source| ServeError::Listen { address: config.listen.to_string(), source };
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let tls = config.tls_files().map(|(certificate, key)| Tls::open(certificate, key)).transpose()?.map(Arc::new);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", listener.local_addr().map_err(failed)?);
    if let Some(tls) = tls.clone() {
        tokio::spawn(async move { tls.follow().await });
    }
    let mut stop = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    // stdout is data: whoever started us may wait for this line. If nobody reads it, that is no reason to end.
    let _ = writeln!(std::io::stdout(), "listening on {url}").and_then(|()| std::io::stdout().flush());
    info!("serving {} at {url}", config.data.display());
    let for_ready = store.clone();
    std::thread::spawn(move || ready(for_ready, url));

    let poisoned = store.poisoned();
    let (ended, end) = tokio::sync::watch::channel(false);
    let settings = api::Settings {
        question_time: Duration::from_millis(config.question_ms),
        origins,
        limits: config.limits(),
        trusts_proxy: config.trust_proxy,
    };
    let app = App::new(store, door, settings, end.clone());
    let page = Page::new(app.clone(), page, OsDisk::shared(), config.data.clone(), config.read_only);
    let page = page.with_sign_on(sign_on);
    let telling = tokio::spawn(api::own::tell_folded(app.clone()));
    let router = api::router(app.clone()).merge(page::router(page));
    let router = if tls.is_some() { router.layer(map_response(api::only_tls)) } else { router };
    let mut until = end;
    let until = async move { drop(until.wait_for(|ended| *ended).await) };
    let limits = listen::Limits { connections: config.connections_max, idle: listen::IDLE_TIME };
    let serving = tokio::spawn(listen::serve(listener, tls, limits, router, until));
    let result = tokio::select! {
        _ = stop.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        () = sync_failed(poisoned) => Err(ServeError::SyncFailed),
    };
    match &result {
        Ok(()) => info!("stopping: no new connections, what was begun is finished"),
        Err(error) => error!("{error}"),
    }
    ended.send_replace(true);
    match tokio::time::timeout(GRACE, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!("serving ended with: {error}"),
        Err(_) => warn!("some requests did not end within {} s and are cut off", GRACE.as_secs()),
    }
    // What it is entering right now is nobody else's to tell.
    if tokio::time::timeout(GRACE, telling).await.is_err() {
        warn!("what was folded could not be entered within {} s", GRACE.as_secs());
    }
    api::own::tell_rest(&app).await;
    result
}

async fn sync_failed(poisoned: Option<tokio::sync::watch::Receiver<bool>>) {
    match poisoned {
        // The writer never drops its end before the server has ended.
        Some(mut poisoned) => drop(poisoned.wait_for(|poisoned| *poisoned).await),
        None => std::future::pending().await,
    }
}
