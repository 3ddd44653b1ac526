//! What an ID token must say before anybody is let in on it (OpenID Connect Core, 3.1.3.7).

use serde_json::{Map, Value};

/// What a token says.
pub type Claims = Map<String, Value>;

/// How far the provider's clock may be from ours, s.
const LEEWAY_S: f64 = 60.0;
/// A longer subject is no subject, bytes: the standard has 255.
const SUBJECT_BYTES_MAX: usize = 255;

/// Why a token is not taken. Nothing of what it says is in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a signed token.
    #[error("the ID token is not in the form of a signed token")]
    Form,
    /// `none`, a shared secret, or something we do not know.
    #[error("the ID token's algorithm is none that is taken")]
    Algorithm,
    /// Its key is not among the provider's.
    #[error("the ID token's key is not among the provider's keys")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the ID token's signature is wrong")]
    Signature,
    /// It was made by somebody else.
    #[error("the ID token's issuer is another")]
    Issuer,
    /// It was made for somebody else.
    #[error("the ID token is for another client")]
    Audience,
    /// It was given to somebody else.
    #[error("the ID token was given to another client")]
    AuthorizedParty,
    /// It was made for another sign-in.
    #[error("the ID token is of another sign-in")]
    Nonce,
    /// Its time is over.
    #[error("the ID token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the ID token is of a time to come, or of none")]
    Early,
    /// It is about nobody.
    #[error("the ID token names nobody")]
    Subject,
}

impl TokenError {
    /// Its word in an entry.
    pub fn word(self) -> &'static str {
        match self {
            TokenError::Form => "token_form",
            TokenError::Algorithm => "token_algorithm",
            TokenError::UnknownKey => "token_key",
            TokenError::Signature => "token_signature",
            TokenError::Issuer => "token_issuer",
            TokenError::Audience => "token_audience",
            TokenError::AuthorizedParty => "token_party",
            TokenError::Nonce => "token_nonce",
            TokenError::Expired => "token_expired",
            TokenError::Early => "token_time",
            TokenError::Subject => "token_subject",
        }
    }
}

/// What a token is held against.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Who must have made it.
    pub issuer: &'a str,
    /// For whom.
    pub client_id: &'a str,
    /// For which sign-in.
    pub nonce: &'a str,
    /// When it is looked at, ms.
    pub now_ms: u64,
}

/// Checks what a verified token says; answers whom it is about.
///
/// # Errors
/// When anything is not as expected.
pub fn check<'c>(claims: &'c Claims, expected: &Expected<'_>) -> Result<&'c str, TokenError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.issuer) {
        return Err(TokenError::Issuer);
    }
    let (is_for_us, has_others) = match claims.get("aud") {
        Some(Value::String(one)) => (one == expected.client_id, false),
        Some(Value::Array(all)) => (all.iter().any(|one| one == expected.client_id), all.len() > 1),
        _ => (false, false),
    };
    if !is_for_us {
        return Err(TokenError::Audience);
    }
    match claims.get("azp") {
        None if !has_others => {}
        Some(Value::String(party)) if party == expected.client_id => {}
        _ => return Err(TokenError::AuthorizedParty),
    }
    if text("nonce") != Some(expected.nonce) {
        return Err(TokenError::Nonce);
    }
    #[expect(clippy::cast_precision_loss, reason = "ms since 1970 fit a double for 285,000 years")]
    let now_s = expected.now_ms as f64 / 1000.0;
    let time = |name: &str| claims.get(name).and_then(Value::as_f64);
    if time("exp").is_none_or(|exp| exp + LEEWAY_S <= now_s) {
        return Err(TokenError::Expired);
    }
    if time("iat").is_none_or(|iat| iat - LEEWAY_S > now_s) {
        return Err(TokenError::Early);
    }
    if claims.contains_key("nbf") && time("nbf").is_none_or(|nbf| nbf - LEEWAY_S > now_s) {
        return Err(TokenError::Early);
    }
    let is_subject =
        |sub: &&str| !sub.is_empty() && sub.len() <= SUBJECT_BYTES_MAX && !sub.chars().any(char::is_control);
    text("sub").filter(is_subject).ok_or(TokenError::Subject)
}
