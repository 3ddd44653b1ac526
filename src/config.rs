//! Every setting: meaning, default, minimum. A flag wins over the environment (`ANNALS_…`), that over the file
//! (`annals.toml`), that over the default. `sanitize` runs once and says what it changed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::cors::Origins;
use crate::auth::Limits;
use crate::cosigner::WitnessAddress;
use crate::event::SubjectTypes;
use crate::index::tantivy::span::SpanLimits;
use crate::keyring::kek::SecretText;
use crate::log;
use crate::oidc;
use crate::page;
use crate::store::Privacy;
use crate::tree::{KeyKind, NoteError, VerifierKey};

/// Where a setting may come from, besides its flag.
const FILE: &str = "annals.toml";
/// Free bytes below this are pointless: a batch and a span need room. It may be 0 to switch the check off.
const FREE_BYTES_FLOOR: u64 = 64 << 20;
/// A file descriptor each, of which a process is given thousands.
const CONNECTIONS_MAX_DEFAULT: usize = 4_096;
/// With less, pages and pollers would wait for each other.
const CONNECTIONS_MAX_FLOOR: usize = 16;
/// Patience of a person; a proxy in front of us has more.
const QUESTION_MS_DEFAULT: u64 = 5_000;
/// With less no question would ever be answered.
const QUESTION_MS_FLOOR: u64 = 1;
/// With less there would be more directories than answers.
const SPAN_EVENTS_FLOOR: u64 = 16;
/// With less there would be more files than blocks of events.
const SEGMENT_EVENTS_FLOOR: u64 = 64;
/// The table of a finished segment, four bytes an event, must fit a frame of 16 MiB.
const SEGMENT_EVENTS_CEILING: u64 = 1 << 20;
/// The widest span has 512 times as many, and its documents are numbered with 32 bits.
const SPAN_EVENTS_CEILING: u64 = 1 << 20;

/// In s. A day with room to spare: a check counts for a day on the page, and the next is to be through by then.
const SCRUB_PERIOD_S_DEFAULT: u64 = 20 * 3600;
/// 600 GB in that time, and a twentieth of what a slow disk reads.
const SCRUB_BYTES_PER_S_DEFAULT: u64 = 8 << 20;
/// With less a large log would never be through.
const SCRUB_BYTES_PER_S_FLOOR: u64 = 64 << 10;

/// Who is known only by what is written about them. Users and systems are who writes.
const SUBJECT_TYPES_DEFAULT: &str = "contact";
/// In s: a day's erasures cost one purge.
const PURGE_AFTER_S_DEFAULT: u64 = 86_400;

/// The settings of `annals serve`, all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Config {
    /// The data directory. Default `./data`. `ANNALS_DATA`.
    pub data: PathBuf,
    /// Address and port to listen on; port 0 picks one. Default `127.0.0.1:7400`. `ANNALS_LISTEN`.
    pub listen: SocketAddr,
    /// Serve without asking for keys; only on loopback. Default false. `ANNALS_NO_AUTH`.
    pub no_auth: bool,
    /// A file with the certificate and its chain, in PEM: the server then speaks TLS. Read again when it changes. Default none.
    /// `ANNALS_TLS_CERT`.
    pub tls_cert: Option<PathBuf>,
    /// The file with its private key; set with `tls_cert`. `ANNALS_TLS_KEY`.
    pub tls_key: Option<PathBuf>,
    /// Connections at a time; more wait to be taken. Default 4,096, at least 16. `ANNALS_CONNECTIONS_MAX`.
    pub connections_max: usize,
    /// Requests a second of each key, viewer or person, appends not counted; five seconds' worth may come at once, and beyond
    /// that 429 says when to come again. 0 is without a limit. Default 1,000. `ANNALS_REQUESTS_PER_S`.
    pub requests_per_s: u32,
    /// Appends a second of each key, of any size, likewise. Default 20,000. `ANNALS_APPENDS_PER_S`.
    pub appends_per_s: u32,
    /// Requests a second from one address that show a key that is not known, and sign-ins that fail or are begun, likewise. Default 50.
    /// `ANNALS_STRANGERS_PER_S`.
    pub strangers_per_s: u32,
    /// Requests a second of all viewers that one key made, together, likewise; each of them has at most a twentieth of it. Default
    /// 2,000. `ANNALS_VIEWERS_PER_S`.
    pub viewers_per_s: u32,
    /// Bytes that must stay free on the disk: below it events get 507 while reads go on. Default: 1 GiB or 5 % of the
    /// disk, whichever is more. 0 switches it off; else at least 64 MiB. `ANNALS_FREE_BYTES_MIN`.
    pub free_bytes_min: Option<u64>,
    /// Take the clock as it is, although it jumped or the log is ahead of it. Default false. `ANNALS_ACCEPT_CLOCK`.
    pub accept_clock: bool,
    /// Serve reads only; the way to look at a corrupt log. Default false. `ANNALS_READ_ONLY`.
    pub read_only: bool,
    /// Longest a question may take, ms; beyond it 503 `too_broad`, which names the filter to narrow. Exports may take
    /// longer. Default 5,000, at least 1. `ANNALS_QUESTION_MS`.
    pub question_ms: u64,
    /// Events in a span as it is cut; eight spans become one. Fewer means more and smaller files. Default 32,768, at least
    /// 16, at most 1,048,576. `ANNALS_SPAN_EVENTS`.
    pub span_events: u64,
    /// Events in a segment of the log before the next one is begun; 64 MiB or 24 h end it too. A finished segment is sealed:
    /// compressed and never written again. Default 262,144, at least 64, at most 1,048,576. `ANNALS_SEGMENT_EVENTS`.
    pub segment_events: u64,
    /// The log's name in its signed checkpoints, without spaces or plus signs. Default `annals/` and the log's id.
    /// `ANNALS_ORIGIN`.
    pub origin: Option<String>,
    /// Go on with another signing key, once: the old one is lost. Default false. `ANNALS_ACCEPT_NEW_KEY`.
    pub accept_new_key: bool,
    /// A file outside the data directory, best on another machine's disk, that always holds the newest signed checkpoint:
    /// an older copy of the directory is then recognised and not signed over. Default none. `ANNALS_LAST_NOTE`.
    pub last_note: Option<PathBuf>,
    /// Everything is read again from the disk and compared this often, s: log, tree, notes and index. Default 72,000 (20
    /// hours); 0 switches it off. `ANNALS_SCRUB_PERIOD_S`.
    pub scrub_period_s: u64,
    /// And at most this fast, bytes/s. Default 8 MiB/s, at least 64 KiB/s. `ANNALS_SCRUB_BYTES_PER_S`.
    pub scrub_bytes_per_s: u64,
    /// Where a witness takes checkpoints (`annals witness`, or any other of c2sp.org/tlog-witness). Default none.
    /// `ANNALS_WITNESS`.
    pub witness: Option<String>,
    /// The witness's public key; set with `witness`. `ANNALS_WITNESS_KEY`.
    pub witness_key: Option<String>,
    /// Where the server is seen from outside, for links that leave the page: `https://audit.example.org/annals`. Default: what
    /// the request says. `ANNALS_BASE_URL`.
    pub base_url: Option<String>,
    /// Believe `X-Forwarded-Host`, `-Proto` and `-Prefix`, and the last address of `X-Forwarded-For`; only behind a proxy that sets
    /// them itself. Default false.
    /// `ANNALS_TRUST_PROXY`.
    pub trust_proxy: bool,
    /// Origins whose pages may show the page in a frame, separated by spaces: `https://admin.example.org`. Default none.
    /// `ANNALS_FRAME_ORIGINS`.
    pub frame_origins: Option<String>,
    /// Origins whose scripts may ask `/v1`, with a key of their own, by `GET` and `POST`; separated by spaces:
    /// `https://admin.example.org`. Default none. `ANNALS_CORS_ORIGINS`.
    pub cors_origins: Option<String>,
    /// Types of those who can be erased, separated by spaces: what events tell about them is sealed, and shown to keys with the scope
    /// `personal`. Empty seals nothing. Default `contact`. `ANNALS_SUBJECT_TYPES`.
    pub subject_types: String,
    /// The file with the key-encryption key: 64 hexadecimal digits, made at the first start. Default `kek` in the data directory; better
    /// on another disk. `ANNALS_KEK_FILE`. The variable `ANNALS_KEK` may hold the key itself.
    pub kek_file: Option<PathBuf>,
    /// A command that prints the key-encryption key, run by `sh -c` at each start. Default none. `ANNALS_KEK_COMMAND`.
    pub kek_command: Option<String>,
    /// Go on, once, although the keyring is gone: what was sealed with it is lost. Default false. `ANNALS_ACCEPT_LOST_KEYRING`.
    pub accept_lost_keyring: bool,
    /// What was erased leaves the files of the index this much later, with all that is erased meanwhile, s. It is neither shown nor found
    /// before either. Default 86,400 (a day); 0 is at once. `ANNALS_PURGE_AFTER_S`.
    pub purge_after_s: u64,
    /// A TOML file with further categories and actions, like `index-schema/actions.toml`. Default none. `ANNALS_ACTIONS`.
    pub actions: Option<PathBuf>,
    /// Signing in on the page with OpenID Connect: the table `[oidc]`, explained at [`oidc::Settings`]; only in the file. Default
    /// none.
    pub oidc: Option<oidc::Settings>,
    /// What is said on stderr: `error`, `warn`, `info`, `debug`, or a filter per module. Default `info`. `ANNALS_LOG`.
    pub log: String,
}

/// What a command prints.
fn printed(command: &str) -> Result<SecretText, ConfigError> {
    let failed = |why: String| ConfigError::KekCommand { why };
    let run = std::process::Command::new("sh").args(["-c", command]).stderr(std::process::Stdio::inherit()).output();
    let output = run.map_err(|error| failed(format!("cannot be run: {error}")))?;
    match output.status.success() {
        true => Ok(SecretText::new(output.stdout)),
        false => Err(failed(format!("ended with {}", output.status))),
    }
}

/// Settings from one place; what it does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each is explained at `Config`")]
pub struct Layer {
    pub data: Option<PathBuf>,
    pub listen: Option<SocketAddr>,
    pub no_auth: Option<bool>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub connections_max: Option<usize>,
    pub requests_per_s: Option<u32>,
    pub appends_per_s: Option<u32>,
    pub strangers_per_s: Option<u32>,
    pub viewers_per_s: Option<u32>,
    pub free_bytes_min: Option<u64>,
    pub accept_clock: Option<bool>,
    pub read_only: Option<bool>,
    pub question_ms: Option<u64>,
    pub span_events: Option<u64>,
    pub segment_events: Option<u64>,
    pub origin: Option<String>,
    pub accept_new_key: Option<bool>,
    pub last_note: Option<PathBuf>,
    pub scrub_period_s: Option<u64>,
    pub scrub_bytes_per_s: Option<u64>,
    pub witness: Option<String>,
    pub witness_key: Option<String>,
    pub base_url: Option<String>,
    pub trust_proxy: Option<bool>,
    pub frame_origins: Option<String>,
    pub cors_origins: Option<String>,
    pub subject_types: Option<String>,
    pub kek_file: Option<PathBuf>,
    pub kek_command: Option<String>,
    pub accept_lost_keyring: Option<bool>,
    pub purge_after_s: Option<u64>,
    pub actions: Option<PathBuf>,
    pub oidc: Option<oidc::Settings>,
    pub log: Option<String>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable of the environment.
    #[error("{name} is {value:?}, expected {expected}")]
    Environment {
        /// Its name.
        name: String,
        /// What it is.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{path}: {why}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        why: String,
    },
    /// TLS takes a certificate and its key.
    #[error("tls_cert and tls_key are set together or not at all")]
    HalfATls,
    /// Who cosigns is an address and a key.
    #[error("witness and witness_key are set together or not at all")]
    HalfAWitness,
    /// Not an address.
    #[error("base_url is {0:?}, expected an address such as https://audit.example.org/annals")]
    BaseUrl(String),
    /// Not an origin.
    #[error("frame_origins has {0:?}, expected origins such as https://admin.example.org")]
    FrameOrigin(String),
    /// Not an origin.
    #[error("cors_origins has {0:?}, expected origins such as https://admin.example.org, as browsers write them")]
    CorsOrigin(String),
    /// Not a key.
    #[error("witness_key is not the public key of a witness")]
    WitnessKey(#[source] NoteError),
    /// What prints the key-encryption key.
    #[error("kek_command {why}")]
    KekCommand {
        /// What it did.
        why: String,
    },
    /// One key.
    #[error("ANNALS_KEK, kek_file and kek_command are three ways to say where the key-encryption key is: use one")]
    SeveralKeks,
    /// Without keys nobody else may reach it.
    #[error("--no-auth works on a loopback address only, and {0} is none")]
    NotLoopback(SocketAddr),
}

impl Layer {
    /// What the environment says. `read` gives a variable.
    pub fn from_environment(read: impl Fn(&str) -> Option<String>) -> Result<Layer, ConfigError> {
        let parsed = |name: &str, expected| Environment { value: read(name), name: name.to_owned(), expected };
        Ok(Layer {
            data: read("ANNALS_DATA").map(PathBuf::from),
            listen: parsed("ANNALS_LISTEN", "an address and port such as 127.0.0.1:7400").parse()?,
            no_auth: parsed("ANNALS_NO_AUTH", "1, true, 0 or false").flag()?,
            tls_cert: read("ANNALS_TLS_CERT").map(PathBuf::from),
            tls_key: read("ANNALS_TLS_KEY").map(PathBuf::from),
            connections_max: parsed("ANNALS_CONNECTIONS_MAX", "a number of connections").parse()?,
            requests_per_s: parsed("ANNALS_REQUESTS_PER_S", "a number of requests").parse()?,
            appends_per_s: parsed("ANNALS_APPENDS_PER_S", "a number of requests").parse()?,
            strangers_per_s: parsed("ANNALS_STRANGERS_PER_S", "a number of requests").parse()?,
            viewers_per_s: parsed("ANNALS_VIEWERS_PER_S", "a number of requests").parse()?,
            free_bytes_min: parsed("ANNALS_FREE_BYTES_MIN", "a number of bytes").parse()?,
            accept_clock: parsed("ANNALS_ACCEPT_CLOCK", "1, true, 0 or false").flag()?,
            read_only: parsed("ANNALS_READ_ONLY", "1, true, 0 or false").flag()?,
            question_ms: parsed("ANNALS_QUESTION_MS", "a number of milliseconds").parse()?,
            span_events: parsed("ANNALS_SPAN_EVENTS", "a number of events").parse()?,
            segment_events: parsed("ANNALS_SEGMENT_EVENTS", "a number of events").parse()?,
            origin: read("ANNALS_ORIGIN"),
            accept_new_key: parsed("ANNALS_ACCEPT_NEW_KEY", "1, true, 0 or false").flag()?,
            last_note: read("ANNALS_LAST_NOTE").map(PathBuf::from),
            scrub_period_s: parsed("ANNALS_SCRUB_PERIOD_S", "a number of seconds").parse()?,
            scrub_bytes_per_s: parsed("ANNALS_SCRUB_BYTES_PER_S", "a number of bytes").parse()?,
            witness: read("ANNALS_WITNESS"),
            witness_key: read("ANNALS_WITNESS_KEY"),
            base_url: read("ANNALS_BASE_URL"),
            trust_proxy: parsed("ANNALS_TRUST_PROXY", "1, true, 0 or false").flag()?,
            frame_origins: read("ANNALS_FRAME_ORIGINS"),
            cors_origins: read("ANNALS_CORS_ORIGINS"),
            subject_types: read("ANNALS_SUBJECT_TYPES"),
            kek_file: read("ANNALS_KEK_FILE").map(PathBuf::from),
            kek_command: read("ANNALS_KEK_COMMAND"),
            accept_lost_keyring: parsed("ANNALS_ACCEPT_LOST_KEYRING", "1, true, 0 or false").flag()?,
            purge_after_s: parsed("ANNALS_PURGE_AFTER_S", "a number of seconds").parse()?,
            actions: read("ANNALS_ACTIONS").map(PathBuf::from),
            oidc: None,
            log: read("ANNALS_LOG"),
        })
    }

    /// What a file says: the one that was named, or `annals.toml` here if there is one.
    pub fn from_file(named: Option<&Path>) -> Result<Layer, ConfigError> {
        let path = named.unwrap_or(Path::new(FILE));
        let text = match std::fs::read_to_string(path) {
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Layer::default());
            }
            text => text.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?,
        };
        toml::from_str(&text).map_err(|error| ConfigError::File { path: path.to_owned(), why: error.to_string() })
    }

    /// This layer, and where it says nothing the one below.
    pub fn over(self, below: Layer) -> Layer {
        Layer {
            data: self.data.or(below.data),
            listen: self.listen.or(below.listen),
            no_auth: self.no_auth.or(below.no_auth),
            tls_cert: self.tls_cert.or(below.tls_cert),
            tls_key: self.tls_key.or(below.tls_key),
            connections_max: self.connections_max.or(below.connections_max),
            requests_per_s: self.requests_per_s.or(below.requests_per_s),
            appends_per_s: self.appends_per_s.or(below.appends_per_s),
            strangers_per_s: self.strangers_per_s.or(below.strangers_per_s),
            viewers_per_s: self.viewers_per_s.or(below.viewers_per_s),
            free_bytes_min: self.free_bytes_min.or(below.free_bytes_min),
            accept_clock: self.accept_clock.or(below.accept_clock),
            read_only: self.read_only.or(below.read_only),
            question_ms: self.question_ms.or(below.question_ms),
            span_events: self.span_events.or(below.span_events),
            segment_events: self.segment_events.or(below.segment_events),
            origin: self.origin.or(below.origin),
            accept_new_key: self.accept_new_key.or(below.accept_new_key),
            last_note: self.last_note.or(below.last_note),
            scrub_period_s: self.scrub_period_s.or(below.scrub_period_s),
            scrub_bytes_per_s: self.scrub_bytes_per_s.or(below.scrub_bytes_per_s),
            witness: self.witness.or(below.witness),
            witness_key: self.witness_key.or(below.witness_key),
            base_url: self.base_url.or(below.base_url),
            trust_proxy: self.trust_proxy.or(below.trust_proxy),
            frame_origins: self.frame_origins.or(below.frame_origins),
            cors_origins: self.cors_origins.or(below.cors_origins),
            subject_types: self.subject_types.or(below.subject_types),
            kek_file: self.kek_file.or(below.kek_file),
            kek_command: self.kek_command.or(below.kek_command),
            accept_lost_keyring: self.accept_lost_keyring.or(below.accept_lost_keyring),
            purge_after_s: self.purge_after_s.or(below.purge_after_s),
            actions: self.actions.or(below.actions),
            oidc: self.oidc.or(below.oidc),
            log: self.log.or(below.log),
        }
    }
}

impl Config {
    /// The settings that the layers amount to; `changed` is told what could not stay as it was.
    pub fn sanitize(layer: Layer, changed: &mut dyn FnMut(String)) -> Config {
        let limits = Limits::default();
        let mut free_bytes_min = layer.free_bytes_min;
        if let Some(bytes) = free_bytes_min.filter(|bytes| (1..FREE_BYTES_FLOOR).contains(bytes)) {
            changed(format!("free_bytes_min is {bytes}, raised to its minimum of {FREE_BYTES_FLOOR} bytes"));
            free_bytes_min = Some(FREE_BYTES_FLOOR);
        }
        let mut connections_max = layer.connections_max.unwrap_or(CONNECTIONS_MAX_DEFAULT);
        if connections_max < CONNECTIONS_MAX_FLOOR {
            changed(format!(
                "connections_max is {connections_max}, raised to its minimum of {CONNECTIONS_MAX_FLOOR} connections"
            ));
            connections_max = CONNECTIONS_MAX_FLOOR;
        }
        let mut question_ms = layer.question_ms.unwrap_or(QUESTION_MS_DEFAULT);
        if question_ms < QUESTION_MS_FLOOR {
            changed(format!("question_ms is {question_ms}, raised to its minimum of {QUESTION_MS_FLOOR} ms"));
            question_ms = QUESTION_MS_FLOOR;
        }
        let mut span_events = layer.span_events.unwrap_or(SpanLimits::default().events_max);
        if span_events < SPAN_EVENTS_FLOOR {
            changed(format!("span_events is {span_events}, raised to its minimum of {SPAN_EVENTS_FLOOR} events"));
            span_events = SPAN_EVENTS_FLOOR;
        }
        if span_events > SPAN_EVENTS_CEILING {
            changed(format!("span_events is {span_events}, lowered to its maximum of {SPAN_EVENTS_CEILING} events"));
            span_events = SPAN_EVENTS_CEILING;
        }
        let mut segment_events = layer.segment_events.unwrap_or(log::Options::default().segment_events_max);
        if segment_events < SEGMENT_EVENTS_FLOOR {
            let floor = SEGMENT_EVENTS_FLOOR;
            changed(format!("segment_events is {segment_events}, raised to its minimum of {floor} events"));
            segment_events = floor;
        }
        if segment_events > SEGMENT_EVENTS_CEILING {
            let ceiling = SEGMENT_EVENTS_CEILING;
            changed(format!("segment_events is {segment_events}, lowered to its maximum of {ceiling} events"));
            segment_events = ceiling;
        }
        let mut scrub_bytes_per_s = layer.scrub_bytes_per_s.unwrap_or(SCRUB_BYTES_PER_S_DEFAULT);
        if scrub_bytes_per_s < SCRUB_BYTES_PER_S_FLOOR {
            let floor = SCRUB_BYTES_PER_S_FLOOR;
            changed(format!("scrub_bytes_per_s is {scrub_bytes_per_s}, raised to its minimum of {floor} bytes/s"));
            scrub_bytes_per_s = floor;
        }
        Config {
            data: layer.data.unwrap_or_else(|| PathBuf::from("data")),
            listen: layer.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7400))),
            no_auth: layer.no_auth.unwrap_or(false),
            tls_cert: layer.tls_cert,
            tls_key: layer.tls_key,
            connections_max,
            requests_per_s: layer.requests_per_s.unwrap_or(limits.requests_per_s),
            appends_per_s: layer.appends_per_s.unwrap_or(limits.appends_per_s),
            strangers_per_s: layer.strangers_per_s.unwrap_or(limits.strangers_per_s),
            viewers_per_s: layer.viewers_per_s.unwrap_or(limits.viewers_per_s),
            free_bytes_min,
            accept_clock: layer.accept_clock.unwrap_or(false),
            read_only: layer.read_only.unwrap_or(false),
            question_ms,
            span_events,
            segment_events,
            origin: layer.origin,
            accept_new_key: layer.accept_new_key.unwrap_or(false),
            last_note: layer.last_note,
            scrub_period_s: layer.scrub_period_s.unwrap_or(SCRUB_PERIOD_S_DEFAULT),
            scrub_bytes_per_s,
            witness: layer.witness,
            witness_key: layer.witness_key,
            base_url: layer.base_url,
            trust_proxy: layer.trust_proxy.unwrap_or(false),
            frame_origins: layer.frame_origins,
            cors_origins: layer.cors_origins,
            subject_types: layer.subject_types.unwrap_or_else(|| SUBJECT_TYPES_DEFAULT.to_owned()),
            kek_file: layer.kek_file,
            kek_command: layer.kek_command,
            accept_lost_keyring: layer.accept_lost_keyring.unwrap_or(false),
            purge_after_s: layer.purge_after_s.unwrap_or(PURGE_AFTER_S_DEFAULT),
            actions: layer.actions,
            oidc: layer.oidc,
            log: layer.log.unwrap_or_else(|| "info".to_owned()),
        }
    }

    /// Who cosigns, if anyone.
    pub fn witness_address(&self) -> Result<Option<WitnessAddress>, ConfigError> {
        let (url, key) = match (&self.witness, &self.witness_key) {
            (None, None) => return Ok(None),
            (Some(url), Some(key)) => (url.clone(), key),
            (Some(_), None) | (None, Some(_)) => return Err(ConfigError::HalfAWitness),
        };
        let key: VerifierKey = key.parse().map_err(ConfigError::WitnessKey)?;
        match key.kind() {
            KeyKind::Cosigner => Ok(Some(WitnessAddress { url, key })),
            KeyKind::Log => Err(ConfigError::WitnessKey(NoteError::BadKey("it is the key of a log"))),
        }
    }

    /// How the page is reached.
    pub fn page(&self) -> Result<page::Settings, ConfigError> {
        if let Some(url) = self.base_url.as_ref().filter(|url| !is_url(url)) {
            return Err(ConfigError::BaseUrl(url.clone()));
        }
        let origins = listed(self.frame_origins.as_deref());
        if let Some(origin) = origins.iter().find(|origin| !is_origin(origin)) {
            return Err(ConfigError::FrameOrigin(origin.clone()));
        }
        Ok(page::Settings {
            base_url: self.base_url.clone(),
            speaks_tls: self.tls_cert.is_some(),
            trusts_proxy: self.trust_proxy,
            frame_origins: origins,
        })
    }

    /// What is sealed, and with what. `kek` is the key-encryption key, if the environment has it.
    pub fn privacy(&self, kek: Option<String>) -> Result<Privacy, ConfigError> {
        let types = SubjectTypes::new(listed(Some(&self.subject_types)));
        let kek_file = self.kek_file.clone();
        let kek = match (kek, &self.kek_command) {
            (None, None) => None,
            (Some(text), None) if kek_file.is_none() => Some(SecretText::new(text.into_bytes())),
            (None, Some(command)) if kek_file.is_none() => Some(printed(command)?),
            (Some(_), _) | (None, Some(_)) => return Err(ConfigError::SeveralKeks),
        };
        let accept_lost_keyring = self.accept_lost_keyring;
        Ok(Privacy { types, kek, kek_file, accept_lost_keyring, purge_after: Duration::from_secs(self.purge_after_s) })
    }

    /// How often each caller may ask.
    pub fn limits(&self) -> Limits {
        let Config { requests_per_s, appends_per_s, strangers_per_s, viewers_per_s, .. } = *self;
        Limits { requests_per_s, appends_per_s, strangers_per_s, viewers_per_s }
    }

    /// Whose scripts may ask.
    pub fn origins(&self) -> Result<Origins, ConfigError> {
        let origins = listed(self.cors_origins.as_deref());
        // They are compared byte for byte with what a browser sends, which has neither capitals nor a port that goes without saying.
        let is_sent = |text: &str| {
            let is_usual = (text.starts_with("https:") && text.ends_with(":443"))
                || (text.starts_with("http:") && text.ends_with(":80"));
            is_origin(text) && !is_usual && !text.bytes().any(|b| b.is_ascii_uppercase() || b == b'*')
        };
        match origins.iter().find(|origin| !is_sent(origin)) {
            Some(origin) => Err(ConfigError::CorsOrigin(origin.clone())),
            None => Ok(Origins::new(&origins)),
        }
    }

    /// The files with certificate and key, if TLS is spoken.
    pub fn tls_files(&self) -> Option<(&Path, &Path)> {
        self.tls_cert.as_deref().zip(self.tls_key.as_deref())
    }

    /// Refuses to serve in a way that would let strangers in.
    pub fn check_access(&self) -> Result<(), ConfigError> {
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err(ConfigError::HalfATls);
        }
        match self.no_auth && !self.listen.ip().is_loopback() {
            true => Err(ConfigError::NotLoopback(self.listen)),
            false => Ok(()),
        }
    }
}

/// What a list of words names.
fn listed(words: Option<&str>) -> Vec<String> {
    words.iter().flat_map(|words| words.split_whitespace()).map(str::to_owned).collect()
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && !b"'\"<>;,\\".contains(&b))
    })
}

/// Scheme, host and perhaps a port, and nothing behind them.
fn is_origin(text: &str) -> bool {
    is_url(text) && text.matches('/').count() == 2
}

struct Environment {
    name: String,
    value: Option<String>,
    expected: &'static str,
}

impl Environment {
    fn parse<T: std::str::FromStr>(self) -> Result<Option<T>, ConfigError> {
        let Environment { name, value, expected } = self;
        let Some(value) = value else {
            return Ok(None);
        };
        value.parse().map(Some).map_err(|_| ConfigError::Environment { name, value, expected })
    }

    fn flag(self) -> Result<Option<bool>, ConfigError> {
        match self.value.as_deref() {
            None => Ok(None),
            Some("1" | "true") => Ok(Some(true)),
            Some("0" | "false" | "") => Ok(Some(false)),
            Some(value) => {
                Err(ConfigError::Environment { name: self.name, value: value.to_owned(), expected: self.expected })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Result<Layer, ConfigError> {
        Layer::from_environment(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
        let flags = Layer { data: Some("flag".into()), ..Layer::default() };
        let environment = environment(&[("ANNALS_DATA", "env"), ("ANNALS_LISTEN", "127.0.0.1:1")]).unwrap();
        let file: Layer = toml::from_str("data = 'file'\nlisten = '127.0.0.1:2'\naccept_clock = true").unwrap();
        let config = Config::sanitize(flags.over(environment).over(file), &mut |_| {});
        assert_eq!(config.data, PathBuf::from("flag"));
        assert_eq!(config.listen.port(), 1);
        assert!(config.accept_clock && !config.no_auth);
        assert_eq!(config.log, "info");
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (name, value) in [
            ("ANNALS_LISTEN", "here"),
            ("ANNALS_NO_AUTH", "maybe"),
            ("ANNALS_FREE_BYTES_MIN", "-1"),
            ("ANNALS_READ_ONLY", "x"),
            ("ANNALS_QUESTION_MS", "1.5"),
            ("ANNALS_SPAN_EVENTS", "many"),
            ("ANNALS_SEGMENT_EVENTS", "few"),
            ("ANNALS_SCRUB_PERIOD_S", "weekly"),
            ("ANNALS_SCRUB_BYTES_PER_S", "8 MiB"),
            ("ANNALS_TRUST_PROXY", "perhaps"),
            ("ANNALS_REQUESTS_PER_S", "1/s"),
            ("ANNALS_APPENDS_PER_S", "-1"),
            ("ANNALS_STRANGERS_PER_S", "none"),
        ] {
            let error = environment(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
        assert!(toml::from_str::<Layer>("colour = 'blue'").is_err());
    }

    #[test]
    fn addresses_of_the_page_are_checked_before_anything_is_served() {
        let page = |base_url: Option<&str>, frame_origins: Option<&str>| {
            let (base_url, frame_origins) = (base_url.map(str::to_owned), frame_origins.map(str::to_owned));
            Config::sanitize(Layer { base_url, frame_origins, ..Layer::default() }, &mut |_| {}).page()
        };
        let both = page(Some("https://a.example/annals"), Some("https://b.example http://c.example:8080")).unwrap();
        assert_eq!(both.frame_origins, ["https://b.example", "http://c.example:8080"]);
        for (base_url, frame_origins) in [
            (Some("a.example"), None),
            (Some("https://a'b"), None),
            (None, Some("*")),
            (None, Some("https://a.example/x")),
        ] {
            assert!(page(base_url, frame_origins).is_err(), "{base_url:?} {frame_origins:?}");
        }
    }

    #[test]
    fn origins_of_scripts_are_written_as_browsers_send_them() {
        let origins = |text: &str| {
            Config::sanitize(Layer { cors_origins: Some(text.to_owned()), ..Layer::default() }, &mut |_| {}).origins()
        };
        assert!(origins("https://a.example http://localhost:3000").is_ok());
        for wrong in
            ["*", "null", "a.example", "https://A.example", "https://a.example/", "https://*.example", "https://a:443"]
        {
            let error = origins(&format!("https://b.example {wrong}")).unwrap_err().to_string();
            assert!(error.contains("cors_origins") && error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn a_value_beyond_its_bounds_is_moved_there_and_said() {
        let mut said = Vec::new();
        let layer = Layer {
            free_bytes_min: Some(5),
            question_ms: Some(0),
            span_events: Some(15),
            segment_events: Some(63),
            scrub_bytes_per_s: Some(1),
            ..Layer::default()
        };
        let config = Config::sanitize(layer, &mut |what| said.push(what));
        assert_eq!(config.free_bytes_min, Some(FREE_BYTES_FLOOR));
        assert_eq!(config.question_ms, QUESTION_MS_FLOOR);
        assert_eq!(config.span_events, SPAN_EVENTS_FLOOR);
        assert_eq!(config.segment_events, SEGMENT_EVENTS_FLOOR);
        assert_eq!(config.scrub_bytes_per_s, SCRUB_BYTES_PER_S_FLOOR);
        assert_eq!(said.len(), 5);
        let layer = Layer { span_events: Some(u64::MAX), segment_events: Some(u64::MAX), ..Layer::default() };
        let wide = Config::sanitize(layer, &mut |_| {});
        assert_eq!(wide.segment_events, SEGMENT_EVENTS_CEILING);
        assert_eq!(wide.span_events, SPAN_EVENTS_CEILING);
        let off = Config::sanitize(Layer { free_bytes_min: Some(0), ..Layer::default() }, &mut |_| {});
        assert_eq!(off.free_bytes_min, Some(0));
    }
}
