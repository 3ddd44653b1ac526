//! Signatures of tokens (JWS in its compact form), held against the public keys that a provider shows. The mathematics is
//! `ring`'s; what is here says which algorithm may go with which key: never none, and no secret that both sides know.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;
use serde_json::Value;

use super::token::{Claims, TokenError};

/// A longer token is not read, bytes.
const TOKEN_BYTES_MAX: usize = 64 << 10;
/// Keys of a provider that are kept.
const KEYS_MAX: usize = 64;
/// The byte in front of both coordinates of a point.
const UNCOMPRESSED: u8 = 4;

/// A provider's public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kid: Option<String>,
    /// The one algorithm it is for, if that is said.
    alg: Option<String>,
    material: Material,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Curve { curve: Curve, point: Vec<u8> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
    Ed25519,
}

/// What an algorithm asks for.
enum Method {
    Rsa(&'static RsaParameters),
    Curve(Curve, &'static dyn VerificationAlgorithm),
}

/// The algorithms that are taken; the class of key goes with the name, not with what the token would like.
fn method(alg: &str) -> Option<Method> {
    match alg {
        "RS256" => Some(Method::Rsa(&RSA_PKCS1_2048_8192_SHA256)),
        "RS384" => Some(Method::Rsa(&RSA_PKCS1_2048_8192_SHA384)),
        "RS512" => Some(Method::Rsa(&RSA_PKCS1_2048_8192_SHA512)),
        "PS256" => Some(Method::Rsa(&RSA_PSS_2048_8192_SHA256)),
        "PS384" => Some(Method::Rsa(&RSA_PSS_2048_8192_SHA384)),
        "PS512" => Some(Method::Rsa(&RSA_PSS_2048_8192_SHA512)),
        "ES256" => Some(Method::Curve(Curve::P256, &ECDSA_P256_SHA256_FIXED)),
        "ES384" => Some(Method::Curve(Curve::P384, &ECDSA_P384_SHA384_FIXED)),
        // RFC 9864 gave the one that everybody means a name of its own.
        "EdDSA" | "Ed25519" => Some(Method::Curve(Curve::Ed25519, &ED25519)),
        _ => None,
    }
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The keys of a JWK set that we can use; others, for encryption say, are passed over. `None` if it is no set.
pub fn read_keys(json: &[u8]) -> Option<Vec<PublicKey>> {
    let set: KeySet = serde_json::from_slice(json).ok()?;
    let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    Some(keys.filter_map(PublicKey::of).take(KEYS_MAX).collect())
}

impl PublicKey {
    fn of(jwk: Jwk) -> Option<PublicKey> {
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        // Some write a sign in front, which `ring` takes for a mistake.
        let number = |text| bytes(text).map(|bytes| bytes.into_iter().skip_while(|byte| *byte == 0).collect());
        let point = || -> Option<Vec<u8>> { Some([vec![UNCOMPRESSED], bytes(&jwk.x)?, bytes(&jwk.y)?].concat()) };
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => Material::Rsa { n: number(&jwk.n)?, e: number(&jwk.e)? },
            ("EC", Some("P-256")) => Material::Curve { curve: Curve::P256, point: point()? },
            ("EC", Some("P-384")) => Material::Curve { curve: Curve::P384, point: point()? },
            ("OKP", Some("Ed25519")) => Material::Curve { curve: Curve::Ed25519, point: bytes(&jwk.x)? },
            _ => return None,
        };
        Some(PublicKey { kid: jwk.kid, alg: jwk.alg, material })
    }

    /// Whether the signature is this key's; `None` if the algorithm is not for such a key.
    fn has_signed(&self, method: &Method, signed: &[u8], signature: &[u8]) -> Option<bool> {
        match (method, &self.material) {
            (Method::Rsa(parameters), Material::Rsa { n, e }) => {
                Some(RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature).is_ok())
            }
            (Method::Curve(wanted, algorithm), Material::Curve { curve, point }) if wanted == curve => {
                Some(UnparsedPublicKey::new(*algorithm, point).verify(signed, signature).is_ok())
            }
            (Method::Rsa(_) | Method::Curve(..), Material::Rsa { .. } | Material::Curve { .. }) => None,
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// A token as it came: what it says is not looked at before its signature is.
pub struct Unverified<'a> {
    header: Header,
    method: Method,
    signed: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Takes one apart.
    ///
    /// # Errors
    /// When it has another form, or an algorithm that proves nothing.
    pub fn read(token: &'a str) -> Result<Unverified<'a>, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Form);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Form)?;
        // A fourth dot, as encrypted tokens have, is no letter of base64.
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Form);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| TokenError::Form)?;
        let method = method(&header.alg).ok_or(TokenError::Algorithm)?;
        if header.crit.is_some() {
            // What must be understood and is not.
            return Err(TokenError::Form);
        }
        Ok(Unverified { header, method, signed, payload: decode(payload)?, signature: decode(signature)? })
    }

    /// What it says, if one of these keys signed it.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`] if none of them is the one that the token names: there may be newer ones.
    pub fn verified_by(&self, keys: &[PublicKey]) -> Result<Claims, TokenError> {
        let kid = self.header.kid.as_deref();
        let is_meant = |key: &&PublicKey| {
            (kid.is_none() || key.kid.as_deref() == kid) && key.alg.as_deref().is_none_or(|alg| alg == self.header.alg)
        };
        let tried: Vec<bool> = keys
            .iter()
            .filter(is_meant)
            .filter_map(|key| key.has_signed(&self.method, self.signed.as_bytes(), &self.signature))
            .collect();
        if !tried.contains(&true) {
            // A token that names no key may be of one that we do not have yet.
            let is_known = kid.is_some() && !tried.is_empty();
            return Err(if is_known { TokenError::Signature } else { TokenError::UnknownKey });
        }
        serde_json::from_slice(&self.payload).map_err(|_| TokenError::Form)
    }
}
