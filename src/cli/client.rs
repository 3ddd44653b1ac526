//! Speaking to a server: addresses, parameters, and problems turned into errors.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body};

/// Longest we wait for an answer to begin.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Problems are short; this much of an answer that is none is shown. Bytes.
const PROBLEM_BYTES_MAX: u64 = 1 << 20;

/// Where the server is.
#[derive(Args)]
pub struct Server {
    /// The server's address
    #[arg(long, default_value = "http://127.0.0.1:7400")]
    pub url: String,
}

/// A connection to a server.
pub struct Client {
    agent: Agent,
    url: String,
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
    pub fn client(&self) -> Client {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(TIMEOUT))
            .build()
            .into();
        Client { agent, url: self.url.trim_end_matches('/').to_owned() }
    }
}

impl Client {
    /// GET of a path with parameters.
    pub fn get(&self, path: &str, params: &[(&str, &str)]) -> anyhow::Result<Response<Body>> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        let answer = self.agent.get(format!("{}{path}?{query}", self.url)).call();
        self.checked(answer)
    }

    /// GET of something small, of at most so many bytes. The inner error is what the server said instead.
    pub fn get_small(&self, path: &str, bytes_max: u64) -> anyhow::Result<Result<Vec<u8>, Refusal>> {
        let answer = self.agent.get(format!("{}{path}", self.url)).call();
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
        let answer =
            self.agent.post(format!("{}{path}", self.url)).header("content-type", "application/x-ndjson").send(lines);
        let mut answer = answer.with_context(|| format!("cannot reach {}", self.url))?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(u64::MAX).read_to_string()?;
        Ok((status, serde_json::from_str(&body).with_context(|| format!("{} gave no JSON", self.url))?))
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
