//! Signing in with OpenID Connect: the authorization code flow with PKCE (S256). [`SignOn::begin`] gives the address to send a
//! browser to, [`SignOn::finish`] takes what it brings back and answers who it is. Both wait for the provider: they are called on
//! threads that may block.
//!
//! Promises: whoever is let in began in the same browser at most ten minutes before and comes once; the provider signed for them,
//! for us and for this sign-in; they have a role that is set. Nothing of a token, a code or a secret is in any error.
//!
//! Cookies, pages and entries are the matter of the rooms above.

mod jws;
mod pending;
mod person;
mod provider;
mod settings;
#[cfg(test)]
mod tests;
mod token;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::auth::Caller;
use crate::clock;
use crate::hash::Sha256;
use crate::query::Env;
use pending::{Begun, Pending};
pub use pending::{SIGN_IN_MS, chance};
use person::Role;
pub use provider::ProviderError;
use provider::{ExchangeError, Provider, is_code};
pub use settings::{RoleSettings, Settings, SettingsError};
use token::Expected;
pub use token::TokenError;

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// This browser did not begin it, or too long ago, or ended it already.
    #[error("no sign-in of this browser is under way with that state")]
    State,
    /// The provider did not sign them in.
    #[error("the provider refused: {0}")]
    There(String),
    /// Another provider answered.
    #[error("the answer names another issuer, or none")]
    Issuer,
    /// The code is worth nothing.
    #[error("the provider does not take the code")]
    Code,
    /// The token is none.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// They have no role here.
    #[error("they have none of the roles that are set")]
    NoRole,
    /// The provider is of no help.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The system has no random bytes.
    #[error("no random bytes")]
    Chance(#[from] std::io::Error),
}

impl Refused {
    /// Its word in an entry; `None` if nobody tried anything: then it is a matter for our own log.
    pub fn word(&self) -> Option<&'static str> {
        match self {
            Refused::State => Some("bad_state"),
            Refused::There(_) => Some("refused_by_provider"),
            Refused::Issuer => Some("bad_issuer"),
            Refused::Code => Some("bad_code"),
            Refused::Token(why) => Some(why.word()),
            Refused::NoRole => Some("no_role"),
            Refused::Provider(_) | Refused::Chance(_) => None,
        }
    }
}

impl From<ExchangeError> for Refused {
    fn from(error: ExchangeError) -> Refused {
        match error {
            ExchangeError::Code => Refused::Code,
            ExchangeError::Token(why) => Refused::Token(why),
            ExchangeError::Provider(why) => Refused::Provider(why),
        }
    }
}

/// A sign-in that came to nothing.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub why: Refused,
    /// Where they wanted to go, if that is known.
    pub to: String,
}

/// What a browser brings back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

impl Answer {
    /// Reads a query string. A parameter that stands there twice is none.
    pub fn read(query: &str) -> Answer {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let only = |name: &str| {
            let mut values = pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone());
            values.next().filter(|_| values.next().is_none())
        };
        Answer { state: only("state"), code: only("code"), iss: only("iss"), error: only("error") }
    }
}

/// Signing in with one provider.
pub struct SignOn {
    settings: Settings,
    roles: Vec<Role>,
    provider: Provider,
    pending: Pending,
}

impl SignOn {
    /// With these settings; the provider is not asked yet.
    ///
    /// # Errors
    /// When they make no sense, or the file with the secret cannot be used.
    pub fn open(settings: Settings, env: &Env<'_>) -> Result<SignOn, SettingsError> {
        settings.check()?;
        let roles = settings.roles(env)?;
        let provider = Provider::new(settings.issuer.clone(), settings.client_id.clone(), settings.secret()?);
        Ok(SignOn { settings, roles, provider, pending: Pending::default() })
    }

    /// What the button says.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Begins a sign-in of the browser that has this text; answers the provider's address for it.
    ///
    /// # Errors
    /// When the provider cannot be asked where that is.
    pub fn begin(&self, browser: &str, redirect_uri: String, to: String) -> Result<String, Refused> {
        let now_ms = clock::now_ms();
        let metadata = self.provider.metadata(now_ms)?;
        let (state, begun) = self.pending.begin(browser, redirect_uri, to, now_ms)?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&begun.verifier));
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &begun.redirect_uri)
            .append_pair("scope", &self.settings.scopes)
            .append_pair("state", &state)
            .append_pair("nonce", &begun.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .finish();
        let endpoint = &metadata.authorization_endpoint;
        Ok(format!("{endpoint}{}{query}", if endpoint.contains('?') { '&' } else { '?' }))
    }

    /// Ends a sign-in: who it is, and where they wanted to go.
    ///
    /// # Errors
    /// When nobody is signed in by it.
    pub fn finish(&self, answer: &Answer, browser: Option<&str>) -> Result<(Caller, String), Failed> {
        let now_ms = clock::now_ms();
        let begun = answer.state.as_deref().zip(browser);
        let begun = begun.and_then(|(state, browser)| self.pending.take(state, browser, now_ms));
        let Some(begun) = begun else { return Err(Failed { why: Refused::State, to: String::new() }) };
        match self.who(answer, &begun, now_ms) {
            Ok(caller) => Ok((caller, begun.to)),
            Err(why) => Err(Failed { why, to: begun.to }),
        }
    }

    fn who(&self, answer: &Answer, begun: &Begun, now_ms: u64) -> Result<Caller, Refused> {
        let metadata = self.provider.metadata(now_ms)?;
        let is_theirs = match &answer.iss {
            Some(issuer) => *issuer == self.settings.issuer,
            None => !metadata.authorization_response_iss_parameter_supported,
        };
        if !is_theirs {
            return Err(Refused::Issuer);
        }
        if let Some(error) = &answer.error {
            // It comes by way of the browser: whatever is no word stays out of our log.
            return Err(Refused::There(if is_code(error) {
                error.clone()
            } else {
                "with something unreadable".into()
            }));
        }
        let code = answer.code.as_deref().ok_or(Refused::Code)?;
        let tokens = self.provider.exchange(&metadata, code, &begun.verifier, &begun.redirect_uri)?;
        // The exchange may have taken a while.
        let now_ms = clock::now_ms();
        let mut claims = self.provider.verify(&tokens.id_token, &metadata, now_ms)?;
        let (issuer, client_id) = (&self.settings.issuer, &self.settings.client_id);
        let expected = Expected { issuer, client_id, nonce: &begun.nonce, now_ms };
        let subject = token::check(&claims, &expected)?.to_owned();
        if person::is_incomplete(&claims, &self.settings.roles_claim) {
            // Many providers tell no more than the subject in the token. What is signed stands over the rest.
            let mut all = self.provider.more(&metadata, &tokens, &subject)?;
            all.append(&mut claims);
            claims = all;
        }
        person::caller(&subject, &claims, &self.roles, &self.settings.roles_claim).ok_or(Refused::NoRole)
    }
}
