//! Speaking to the provider: what it says of itself, its keys, a code for tokens. Each call has limits, none is redirected.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::http::{Response, Uri};
use ureq::{Agent, Body};

use super::jws::{PublicKey, Unverified, read_keys};
use super::token::{Claims, TokenError};

/// A call may take so long, from the name's look-up to the last byte.
const CALL_TIME_MAX: Duration = Duration::from_secs(10);
/// An answer may be so long, bytes.
const ANSWER_BYTES_MAX: u64 = 256 << 10;
/// What the provider says of itself, and its keys, are asked for again after so long, ms.
const KNOWN_MS: u64 = 60 * 60 * 1000;
/// For a key that is not known the keys are asked for again, but not more often than this, ms.
const KEYS_AGAIN_MS: u64 = 30 * 1000;
/// After a call that failed it is not asked again for so long, ms: who waits for a provider that is down holds a thread.
const REST_MS: u64 = 5 * 1000;
/// An error code of a provider is repeated in our log up to this length, bytes.
const CODE_BYTES_MAX: usize = 64;
/// The code that says that what the browser brought is worth nothing.
const INVALID_GRANT: &str = "invalid_grant";

/// Why the provider was of no help. Nothing secret is in here.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// No answer, or not in time, or too long.
    #[error("{what}: no answer from the provider")]
    Unreachable {
        /// What was asked for.
        what: &'static str,
        /// What happened.
        #[source]
        source: Box<ureq::Error>,
    },
    /// It was asked a moment ago.
    #[error("the provider gave no usable answer a moment ago and is not asked again for {} s", REST_MS / 1000)]
    Resting,
    /// It does not do what was asked.
    #[error("{what}: the provider answered {status}{}", .code.as_ref().map(|code| format!(" {code}")).unwrap_or_default())]
    Status {
        /// What was asked for.
        what: &'static str,
        /// Its status.
        status: u16,
        /// The code of its error.
        code: Option<String>,
    },
    /// Something else came.
    #[error("{what}: the provider's answer is not what it should be")]
    Unreadable {
        /// What was asked for.
        what: &'static str,
    },
    /// It is another one.
    #[error("the provider calls itself {said:?}, and oidc.issuer is {expected:?}")]
    OtherIssuer {
        /// What it says.
        said: String,
        /// What is set.
        expected: String,
    },
    /// An address of it is in clear.
    #[error("the provider's {what} is not at an https address")]
    Unsafe {
        /// Which.
        what: &'static str,
    },
}

/// Why a code gave no person.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The code is worth nothing.
    #[error("the provider does not take the code")]
    Code,
    /// The token is none.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The provider is of no help.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// What a provider says of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    issuer: String,
    /// Where browsers are sent.
    pub authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Its answers by way of the browser name it (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// What a code is exchanged for.
#[derive(Deserialize)]
pub struct Tokens {
    /// The signed statement about the person.
    pub id_token: String,
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    error: String,
}

#[derive(Default)]
struct Known {
    metadata: Option<(Arc<Metadata>, u64)>,
    keys: Option<(Arc<[PublicKey]>, u64)>,
    failed_ms: Option<u64>,
}

/// One provider.
pub struct Provider {
    issuer: String,
    client_id: String,
    secret: Option<String>,
    agent: Agent,
    /// Held while it is asked for anew: who comes meanwhile waits for that answer instead of asking too.
    known: Mutex<Known>,
}

impl Provider {
    /// Nothing is sent yet.
    pub fn new(issuer: String, client_id: String, secret: Option<String>) -> Provider {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(CALL_TIME_MAX))
            .max_redirects(0)
            .build()
            .new_agent();
        Provider { issuer, client_id, secret, agent, known: Mutex::default() }
    }

    /// What it says of itself, at most an hour old.
    ///
    /// # Errors
    /// When it cannot be learned, or is not what it should be.
    pub fn metadata(&self, now_ms: u64) -> Result<Arc<Metadata>, ProviderError> {
        let mut known = self.known.lock();
        if let Some((metadata, since_ms)) = &known.metadata
            && now_ms < since_ms + KNOWN_MS
        {
            return Ok(metadata.clone());
        }
        known.rest(now_ms)?;
        let discovered = self.discover().map(Arc::new);
        known.note(discovered.is_ok(), now_ms);
        let metadata = discovered?;
        known.metadata = Some((metadata.clone(), now_ms));
        Ok(metadata)
    }

    fn discover(&self) -> Result<Metadata, ProviderError> {
        const WHAT: &str = "discovery";
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let metadata: Metadata = json(WHAT, self.agent.get(&url).header("accept", "application/json").call())?;
        if metadata.issuer != self.issuer {
            return Err(ProviderError::OtherIssuer { said: metadata.issuer, expected: self.issuer.clone() });
        }
        for (what, url) in [
            ("authorization_endpoint", Some(&metadata.authorization_endpoint)),
            ("token_endpoint", Some(&metadata.token_endpoint)),
            ("jwks_uri", Some(&metadata.jwks_uri)),
            ("userinfo_endpoint", metadata.userinfo_endpoint.as_ref()),
        ] {
            if url.is_some_and(|url| !is_safe(url)) {
                return Err(ProviderError::Unsafe { what });
            }
        }
        Ok(metadata)
    }

    /// Its keys, not as old as this.
    fn keys(&self, metadata: &Metadata, age_ms: u64, now_ms: u64) -> Result<Arc<[PublicKey]>, ProviderError> {
        const WHAT: &str = "jwks";
        let mut known = self.known.lock();
        if let Some((keys, since_ms)) = &known.keys
            && now_ms < since_ms + age_ms
        {
            return Ok(keys.clone());
        }
        known.rest(now_ms)?;
        let fetched = bytes(WHAT, self.agent.get(&metadata.jwks_uri).header("accept", "application/json").call());
        let read = fetched.and_then(|json| read_keys(&json).ok_or(ProviderError::Unreadable { what: WHAT }));
        known.note(read.is_ok(), now_ms);
        let keys: Arc<[PublicKey]> = read?.into();
        known.keys = Some((keys.clone(), now_ms));
        Ok(keys)
    }

    /// What a token says, if the provider signed it.
    ///
    /// # Errors
    /// When it did not, or its keys cannot be had.
    pub fn verify(&self, token: &str, metadata: &Metadata, now_ms: u64) -> Result<Claims, ExchangeError> {
        let token = Unverified::read(token)?;
        match token.verified_by(&self.keys(metadata, KNOWN_MS, now_ms)?) {
            Err(TokenError::UnknownKey) => Ok(token.verified_by(&self.keys(metadata, KEYS_AGAIN_MS, now_ms)?)?),
            verified => Ok(verified?),
        }
    }

    /// Tokens for a code.
    ///
    /// # Errors
    /// When the provider does not give them.
    pub fn exchange(
        &self,
        metadata: &Metadata,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
    ) -> Result<Tokens, ExchangeError> {
        const WHAT: &str = "token";
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("code_verifier", verifier);
        let mut request = self
            .agent
            .post(&metadata.token_endpoint)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json");
        match &self.secret {
            None => drop(form.append_pair("client_id", &self.client_id)),
            Some(secret) if metadata.takes_basic() => {
                let escaped = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", escaped(&self.client_id), escaped(secret));
                request = request.header("authorization", format!("Basic {}", STANDARD.encode(pair)));
            }
            Some(secret) => {
                form.append_pair("client_id", &self.client_id).append_pair("client_secret", secret);
            }
        }
        match json(WHAT, request.send(form.finish())) {
            Ok(tokens) => Ok(tokens),
            Err(ProviderError::Status { code: Some(code), .. }) if code == INVALID_GRANT => Err(ExchangeError::Code),
            Err(why) => Err(why.into()),
        }
    }

    /// What else the provider knows of the person that a token is about; nothing, if it tells no more.
    ///
    /// # Errors
    /// When it cannot be asked, or speaks of somebody else.
    pub fn more(&self, metadata: &Metadata, tokens: &Tokens, subject: &str) -> Result<Claims, ExchangeError> {
        const WHAT: &str = "userinfo";
        let (Some(url), Some(token)) = (&metadata.userinfo_endpoint, &tokens.access_token) else {
            return Ok(Claims::new());
        };
        let asked = self.agent.get(url).header("accept", "application/json");
        let claims: Claims = json(WHAT, asked.header("authorization", format!("Bearer {token}")).call())?;
        match claims.get("sub").and_then(serde_json::Value::as_str) == Some(subject) {
            true => Ok(claims),
            false => Err(TokenError::Subject.into()),
        }
    }
}

impl Metadata {
    /// Whether a secret is shown in a header: the standard's default, and what is tried if both would do.
    fn takes_basic(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_deref();
        methods.is_none_or(|methods| {
            methods.iter().any(|method| method == "client_secret_basic")
                || !methods.iter().any(|method| method == "client_secret_post")
        })
    }
}

impl Known {
    fn rest(&self, now_ms: u64) -> Result<(), ProviderError> {
        match self.failed_ms.is_some_and(|failed_ms| now_ms < failed_ms + REST_MS) {
            true => Err(ProviderError::Resting),
            false => Ok(()),
        }
    }

    fn note(&mut self, is_good: bool, now_ms: u64) {
        self.failed_ms = (!is_good).then_some(now_ms);
    }
}

/// Whether what goes to this address can be read by nobody on the way: https, or a server on this machine.
pub fn is_safe(url: &str) -> bool {
    let Ok(url) = url.parse::<Uri>() else { return false };
    let has_user = url.authority().is_none_or(|authority| authority.as_str().contains('@'));
    let Some(host) = url.host().filter(|host| !host.is_empty() && !has_user) else { return false };
    match url.scheme_str() {
        Some("https") => true,
        Some("http") => {
            let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
            host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
        }
        _ => false,
    }
}

type Answered = Result<Response<Body>, ureq::Error>;

/// The bytes of an answer that says what was asked for.
fn bytes(what: &'static str, answered: Answered) -> Result<Vec<u8>, ProviderError> {
    let unreachable = |source| ProviderError::Unreachable { what, source: Box::new(source) };
    let mut answer = answered.map_err(unreachable)?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(unreachable)?;
    if status == 200 {
        return Ok(body);
    }
    let code = serde_json::from_slice::<Problem>(&body).ok().map(|problem| problem.error);
    Err(ProviderError::Status { what, status, code: code.filter(|code| is_code(code)) })
}

/// An answer of JSON.
fn json<T: DeserializeOwned>(what: &'static str, answered: Answered) -> Result<T, ProviderError> {
    // What serde would say may have a part of a token in it.
    serde_json::from_slice(&bytes(what, answered)?).map_err(|_| ProviderError::Unreadable { what })
}

/// A word that may stand in our log.
pub fn is_code(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= CODE_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}
