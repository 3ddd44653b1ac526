//! Speaking to a server: addresses, parameters, and problems turned into errors.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;
use ureq::http::Response;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, RequestBuilder};

/// Longest we wait for an answer to begin.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Where a key may stand instead of on the command line.
const KEY_VARIABLE: &str = "ANNALS_KEY";
/// Problems are short; this much of an answer that is none is shown. Bytes.
const PROBLEM_BYTES_MAX: u64 = 1 << 20;

/// Where the server is.
#[derive(Args)]
pub struct Server {
    /// The server's address
    #[arg(long, default_value = "http://127.0.0.1:7400")]
    pub url: String,
    #[command(flatten)]
    credentials: Credentials,
}

/// What it takes to be let in, and to know that it is the right server.
#[derive(Args, Default)]
pub struct Credentials {
    /// The key to show it; better in the variable ANNALS_KEY, which other users of the machine do not see
    #[arg(long)]
    api_key: Option<String>,
    /// A file with the certificate, in PEM, that the server's TLS leads to, if the world does not know it
    #[arg(long)]
    ca: Option<PathBuf>,
}

/// A connection to a server.
pub struct Client {
    agent: Agent,
    url: String,
    /// `Bearer …`
    authorization: Option<String>,
}

/// What a server said instead of what it was asked for.
pub struct Refusal {
    /// Its status.
    pub status: u16,
    /// Its sentence.
    pub why: String,
}

impl Server {
    /// A client for it; nothing is sent yet.
    ///
    /// # Errors
    /// When the file with the certificate cannot be read.
    pub fn client(&self) -> anyhow::Result<Client> {
        self.credentials.client(&self.url)
    }
}

impl Credentials {
    /// A client for the server at this address.
    ///
    /// # Errors
    /// When the file with the certificate cannot be read.
    pub fn client(&self, url: &str) -> anyhow::Result<Client> {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls(self.ca.as_deref())?)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(TIMEOUT))
            .build()
            .into();
        let key = self.api_key.clone().or_else(|| std::env::var(KEY_VARIABLE).ok());
        let authorization = key.filter(|key| !key.is_empty()).map(|key| format!("Bearer {key}"));
        Ok(Client { agent, url: url.trim_end_matches('/').to_owned(), authorization })
    }
}

/// Trusts what the world trusts, or only what a file holds.
fn tls(ca: Option<&Path>) -> anyhow::Result<TlsConfig> {
    let Some(path) = ca else { return Ok(TlsConfig::default()) };
    let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut roots = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.with_context(|| format!("{} is no PEM", path.display()))? {
            roots.push(certificate);
        }
    }
    if roots.is_empty() {
        bail!("{} holds no certificate, expected PEM", path.display());
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(roots))).build())
}

impl Client {
    /// GET of a path with parameters.
    pub fn get(&self, path: &str, params: &[(&str, &str)]) -> anyhow::Result<Response<Body>> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        let answer = self.shown(self.agent.get(format!("{}{path}?{query}", self.url))).call();
        self.checked(answer)
    }

    /// GET of JSON with parameters.
    pub fn get_json(&self, path: &str, params: &[(&str, &str)]) -> anyhow::Result<Value> {
        self.value(self.get(path, params)?)
    }

    /// GET of something small, of at most so many bytes. The inner error is what the server said instead.
    pub fn get_small(&self, path: &str, bytes_max: u64) -> anyhow::Result<Result<Vec<u8>, Refusal>> {
        let answer = self.shown(self.agent.get(format!("{}{path}", self.url))).call();
        let mut answer = answer.with_context(|| format!("cannot reach {}", self.url))?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(bytes_max).read_to_vec();
        let body = body.with_context(|| format!("{}{path} broke off", self.url))?;
        if status == 200 {
            return Ok(Ok(body));
        }
        let problem = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        Ok(Err(Refusal { status, why: problem_text(&problem).to_owned() }))
    }

    /// POST of NDJSON to a path; the status and body, whatever they are.
    pub fn post_ndjson(&self, path: &str, lines: &[u8]) -> anyhow::Result<(u16, Value)> {
        let post = self.agent.post(format!("{}{path}", self.url)).header("content-type", "application/x-ndjson");
        let answer = self.shown(post).send(lines);
        let mut answer = answer.with_context(|| format!("cannot reach {}", self.url))?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(u64::MAX).read_to_string()?;
        Ok((status, serde_json::from_str(&body).with_context(|| format!("{} gave no JSON", self.url))?))
    }

    /// POST of JSON to a path.
    pub fn post_json(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let post = self.agent.post(format!("{}{path}", self.url)).header("content-type", "application/json");
        let answer = self.checked(self.shown(post).send(body.to_string().as_bytes()))?;
        self.value(answer)
    }

    /// DELETE of a path.
    pub fn delete(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.checked(self.shown(self.agent.delete(format!("{}{path}", self.url))).call())?;
        self.value(answer)
    }

    fn value(&self, mut answer: Response<Body>) -> anyhow::Result<Value> {
        let body = answer.body_mut().with_config().limit(u64::MAX).read_to_string()?;
        serde_json::from_str(&body).with_context(|| format!("{} gave no JSON", self.url))
    }

    fn shown<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        }
    }

    fn checked(&self, answer: Result<Response<Body>, ureq::Error>) -> anyhow::Result<Response<Body>> {
        let mut answer = answer.with_context(|| format!("cannot reach {}", self.url))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(PROBLEM_BYTES_MAX).read_to_string().unwrap_or_default();
        match serde_json::from_str::<Value>(&body) {
            Ok(problem) => bail!("{} ({})", problem_text(&problem), status.as_u16()),
            Err(_) => bail!("{} answered {status}", self.url),
        }
    }
}

/// The sentence of a problem.
pub fn problem_text(problem: &Value) -> &str {
    problem["detail"].as_str().unwrap_or("the server gave no reason")
}
