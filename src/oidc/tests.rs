//! Tokens with real signatures, good and bad; and a whole sign-in against a provider that can be told to misbehave, as no real
//! one can. The real one is asked in `tests/browser/oidc.test.mjs`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::jws::{PublicKey, Unverified, read_keys};
use super::token::{Claims, check};
use super::*;
use crate::auth::{Scope, Who};
use crate::event::Catalogue;
use crate::hash::Mac;

const NOW_MS: u64 = 1_800_000_000_000;
const NOW_S: u64 = NOW_MS / 1000;
const ISSUER: &str = "https://login.example.org";
const CLIENT: &str = "annals";
const NONCE: &str = "n-1";

/// Made for these tests, and of no use to anybody.
const RSA: &[u8] = include_bytes!("tests/rsa.pem");

enum Signer {
    Rsa(RsaKeyPair, &'static str, &'static dyn RsaEncoding),
    Curve(EcdsaKeyPair, &'static str, &'static str),
    Edwards(Ed25519KeyPair),
}

fn rsa(alg: &'static str, encoding: &'static dyn RsaEncoding) -> Signer {
    let der = PrivatePkcs8KeyDer::from_pem_slice(RSA).unwrap();
    Signer::Rsa(RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap(), alg, encoding)
}

fn curve(alg: &'static str, name: &'static str, algorithm: &'static EcdsaSigningAlgorithm) -> Signer {
    let random = SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    Signer::Curve(EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &random).unwrap(), alg, name)
}

fn es256() -> Signer {
    curve("ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING)
}

fn edwards() -> Signer {
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Signer::Edwards(Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap())
}

fn every_signer() -> Vec<Signer> {
    vec![
        rsa("RS256", &RSA_PKCS1_SHA256),
        rsa("PS256", &RSA_PSS_SHA256),
        es256(),
        curve("ES384", "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING),
        edwards(),
    ]
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    fn alg(&self) -> &'static str {
        match self {
            Signer::Rsa(_, alg, _) | Signer::Curve(_, alg, _) => alg,
            Signer::Edwards(_) => "EdDSA",
        }
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        let (random, bytes) = (SystemRandom::new(), text.as_bytes());
        match self {
            Signer::Rsa(key, _, encoding) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(*encoding, &random, bytes, &mut signature).unwrap();
                signature
            }
            Signer::Curve(key, ..) => key.sign(&random, bytes).unwrap().as_ref().to_vec(),
            Signer::Edwards(key) => key.sign(bytes).as_ref().to_vec(),
        }
    }

    fn jwk(&self, kid: &str) -> Value {
        match self {
            Signer::Rsa(key, ..) => {
                let parts = RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "use": "sig", "kid": kid, "n": base64(parts.n), "e": base64(parts.e)})
            }
            Signer::Curve(key, _, name) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at((key.public_key().as_ref().len() - 1) / 2);
                json!({"kty": "EC", "crv": name, "kid": kid, "x": base64(x), "y": base64(y)})
            }
            Signer::Edwards(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": base64(key.public_key().as_ref())})
            }
        }
    }

    fn token(&self, kid: &str, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.alg(), "kid": kid, "typ": "JWT"}), claims)
    }

    fn token_with(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
        let signature = base64(self.sign(&signed));
        format!("{signed}.{signature}")
    }
}

fn keys(all: &[Value]) -> Vec<PublicKey> {
    read_keys(json!({ "keys": all }).to_string().as_bytes()).unwrap()
}

fn verified(token: &str, keys: &[PublicKey]) -> Result<Claims, TokenError> {
    Unverified::read(token)?.verified_by(keys)
}

fn good() -> Value {
    json!({
        "iss": ISSUER, "aud": CLIENT, "sub": "u_1", "nonce": NONCE, "iat": NOW_S, "exp": NOW_S + 300, "roles": ["auditor"],
    })
}

#[test]
fn a_token_is_taken_from_its_key_with_every_algorithm() {
    for signer in every_signer() {
        let keys = keys(&[signer.jwk("a")]);
        assert_eq!(Value::Object(verified(&signer.token("a", &good()), &keys).unwrap()), good(), "{}", signer.alg());
        // A token that names no key is of one of them, a key of a set may say no name.
        let unnamed = signer.token_with(&json!({"alg": signer.alg()}), &good());
        assert!(verified(&unnamed, &keys).is_ok(), "{}", signer.alg());
    }
}

#[test]
fn whatever_is_changed_in_a_token_it_is_refused() {
    for signer in every_signer() {
        let (keys, alg) = (keys(&[signer.jwk("a")]), signer.alg());
        let token = signer.token("a", &good());
        let parts: Vec<&str> = token.split('.').collect();
        let mut other = good();
        other["sub"] = json!("u_2");
        let payload = base64(other.to_string());
        let tampered = format!("{}.{payload}.{}", parts[0], parts[2]);
        assert_eq!(verified(&tampered, &keys), Err(TokenError::Signature), "{alg}");
        let mut signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        signature[7] ^= 1;
        let flipped = format!("{}.{}.{}", parts[0], parts[1], base64(&signature));
        assert_eq!(verified(&flipped, &keys), Err(TokenError::Signature), "{alg}");
        for cut in [
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}.{}", parts[0], parts[1], base64(&signature[..signature.len() - 1])),
        ] {
            assert_eq!(verified(&cut, &keys), Err(TokenError::Signature), "{alg}");
        }
        // One key more in the set changes nothing: another's signature is none of this one.
        let stranger = es256();
        let both = [keys.clone(), self::keys(&[stranger.jwk("b")])].concat();
        assert!(verified(&token, &both).is_ok());
        assert_eq!(verified(&signer.token("c", &good()), &both), Err(TokenError::UnknownKey), "{alg}");
        assert!(verified(&es256().token("b", &good()), &both) == Err(TokenError::Signature), "{alg}");
    }
}

#[test]
fn no_algorithm_and_a_shared_secret_prove_nothing() {
    for signer in every_signer() {
        let jwk = signer.jwk("a");
        let keys = keys(std::slice::from_ref(&jwk));
        let payload = base64(good().to_string());
        for alg in ["none", "None", "NONE", "", "HS256", "RS1", "dir"] {
            let header = base64(json!({"alg": alg, "kid": "a"}).to_string());
            for signature in ["", "AAAA"] {
                let token = format!("{header}.{payload}.{signature}");
                assert_eq!(verified(&token, &keys), Err(TokenError::Algorithm), "{alg}");
            }
        }
        // The public key as a secret, in each shape in which somebody may take it for one.
        let material = jwk["n"].as_str().or(jwk["x"].as_str()).unwrap();
        let header = base64(json!({"alg": "HS256", "kid": "a"}).to_string());
        let signed = format!("{header}.{payload}");
        for secret in [jwk.to_string().into_bytes(), URL_SAFE_NO_PAD.decode(material).unwrap(), material.into()] {
            let mut mac = Mac::new(&secret);
            mac.update(signed.as_bytes());
            let token = format!("{signed}.{}", base64(mac.finalize()));
            assert_eq!(verified(&token, &keys), Err(TokenError::Algorithm));
        }
    }
    // Nor does a secret among a provider's public keys become a key.
    assert!(keys(&[json!({"kty": "oct", "kid": "a", "k": base64("secret")})]).is_empty());
}

#[test]
fn a_key_signs_only_what_it_is_for() {
    let signer = rsa("RS256", &RSA_PKCS1_SHA256);
    let with = |member: &str, value: &str| {
        let mut jwk = signer.jwk("a");
        jwk[member] = json!(value);
        keys(&[jwk])
    };
    let token = signer.token("a", &good());
    assert!(verified(&token, &with("alg", "RS256")).is_ok());
    assert_eq!(verified(&token, &with("alg", "PS256")), Err(TokenError::UnknownKey));
    assert_eq!(verified(&token, &with("use", "enc")), Err(TokenError::UnknownKey));
    assert_eq!(verified(&token, &with("kty", "EC")), Err(TokenError::UnknownKey));
    // The name of one algorithm with the signature of another.
    let header = json!({"alg": "PS256", "kid": "a"});
    assert_eq!(verified(&signer.token_with(&header, &good()), &with("use", "sig")), Err(TokenError::Signature));
    let header = json!({"alg": "ES256", "kid": "a"});
    assert_eq!(verified(&signer.token_with(&header, &good()), &with("use", "sig")), Err(TokenError::UnknownKey));
}

#[test]
fn what_is_no_token_is_refused_without_a_panic() {
    let signer = es256();
    let keys = keys(&[signer.jwk("a")]);
    let token = signer.token("a", &good());
    let crit = signer.token_with(&json!({"alg": "ES256", "kid": "a", "crit": ["b64"], "b64": false}), &good());
    let list = signer.token("a", &json!(["sub"]));
    let long = signer.token("a", &json!({"pad": "x".repeat(64 << 10)}));
    for odd in
        ["", ".", "..", "...", "a.b.c", "é.é.é", &format!("{token}.x"), &format!("{token}="), &crit, &list, &long]
    {
        assert_eq!(verified(odd, &keys), Err(TokenError::Form), "{}", &odd[..odd.len().min(60)]);
    }
    for cut in 0..token.len() {
        assert!(verified(&token[..cut], &keys).is_err(), "{cut}");
    }
    assert!(read_keys(b"{}").is_none() && read_keys(b"[").is_none());
    assert!(read_keys(br#"{"keys":[7,{"kty":"RSA"},{"kty":"EC","crv":"P-256","x":"!"},{}]}"#).unwrap().is_empty());
}

#[test]
fn every_claim_is_held_against_what_is_expected() {
    let expected = Expected { issuer: ISSUER, client_id: CLIENT, nonce: NONCE, now_ms: NOW_MS };
    let with = |changes: &Value| {
        let mut claims = good();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        let Value::Object(claims) = claims else { unreachable!() };
        check(&claims, &expected).map(str::to_owned)
    };
    for fine in [
        json!({}),
        json!({"aud": [CLIENT]}),
        json!({"aud": [CLIENT, "other"], "azp": CLIENT}),
        json!({"azp": CLIENT}),
        json!({"exp": NOW_S - 59}),
        json!({"iat": NOW_S + 59}),
        json!({"nbf": NOW_S + 59}),
        json!({"exp": 1_800_000_000.5, "iat": 1_799_999_999.25}),
    ] {
        assert_eq!(with(&fine).as_deref(), Ok("u_1"), "{fine}");
    }
    for (wrong, why) in [
        (json!({"iss": null}), TokenError::Issuer),
        (json!({"iss": "https://login.example.org/"}), TokenError::Issuer),
        (json!({"iss": [ISSUER]}), TokenError::Issuer),
        (json!({"aud": null}), TokenError::Audience),
        (json!({"aud": "other"}), TokenError::Audience),
        (json!({"aud": []}), TokenError::Audience),
        (json!({"aud": ["other"], "azp": CLIENT}), TokenError::Audience),
        (json!({"aud": {"annals": true}}), TokenError::Audience),
        (json!({"aud": [CLIENT, "other"]}), TokenError::AuthorizedParty),
        (json!({"aud": [CLIENT, "other"], "azp": "other"}), TokenError::AuthorizedParty),
        (json!({"azp": "other"}), TokenError::AuthorizedParty),
        (json!({"azp": 7}), TokenError::AuthorizedParty),
        (json!({"nonce": null}), TokenError::Nonce),
        (json!({"nonce": "n-2"}), TokenError::Nonce),
        (json!({"exp": null}), TokenError::Expired),
        (json!({"exp": NOW_S - 60}), TokenError::Expired),
        (json!({"exp": "1900000000"}), TokenError::Expired),
        (json!({"iat": null}), TokenError::Early),
        (json!({"iat": NOW_S + 61}), TokenError::Early),
        (json!({"iat": "now"}), TokenError::Early),
        (json!({"nbf": NOW_S + 61}), TokenError::Early),
        (json!({"nbf": "soon"}), TokenError::Early),
        (json!({"sub": null}), TokenError::Subject),
        (json!({"sub": ""}), TokenError::Subject),
        (json!({"sub": 7}), TokenError::Subject),
        (json!({"sub": "a\nb"}), TokenError::Subject),
        (json!({"sub": "x".repeat(256)}), TokenError::Subject),
    ] {
        assert_eq!(with(&wrong), Err(why), "{wrong}");
    }
}

/// A status, a header line and a body for each path, and how often each was asked for.
#[derive(Default)]
struct Told {
    answers: HashMap<String, (u16, String, String)>,
    asked: Vec<(String, String)>,
}

/// A provider that answers what it is told to.
struct Puppet {
    url: String,
    told: Arc<Mutex<Told>>,
    signer: Signer,
}

impl Puppet {
    fn start() -> Puppet {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let told = Arc::new(Mutex::new(Told::default()));
        let heard = told.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|n| n > 0) {}
                let length = head.to_lowercase();
                let length = length.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
                let mut body = vec![0; length.unwrap_or(0)];
                reader.read_exact(&mut body).unwrap();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let mut told = heard.lock();
                told.asked.push((path.clone(), format!("{head}{}", String::from_utf8_lossy(&body))));
                let (status, header, body) =
                    told.answers.get(&path).cloned().unwrap_or((404, String::new(), "{}".into()));
                drop(told);
                // Who hangs up in the middle of a long answer has read enough.
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} X\r\n{header}content-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        let puppet = Puppet { url, told, signer: es256() };
        puppet.say("/.well-known/openid-configuration", 200, &puppet.metadata().to_string());
        puppet.say("/jwks", 200, &json!({"keys": [puppet.signer.jwk("a")]}).to_string());
        puppet
    }

    fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.url);
        json!({
            "issuer": self.url, "authorization_endpoint": at("/auth?x=1"), "token_endpoint": at("/token"), "jwks_uri": at("/jwks"),
            "userinfo_endpoint": at("/me"), "authorization_response_iss_parameter_supported": true,
        })
    }

    fn say(&self, path: &str, status: u16, body: &str) {
        self.told.lock().answers.insert(path.into(), (status, String::new(), body.into()));
    }

    fn asked(&self, path: &str) -> usize {
        self.told.lock().asked.iter().filter(|(known, _)| known == path).count()
    }

    fn last(&self, path: &str) -> String {
        self.told.lock().asked.iter().rfind(|(known, _)| known == path).unwrap().1.clone()
    }

    fn provider(&self) -> Provider {
        Provider::new(self.url.clone(), CLIENT.into(), None)
    }

    fn sign_on(&self) -> SignOn {
        let settings = format!(
            "issuer = '{}'\nclient_id = '{CLIENT}'\n[[roles]]\nvalue = 'auditor'\nscopes = ['read', 'export']\n",
            self.url
        );
        let env = Env { now_ms: NOW_MS, catalogue: Catalogue::builtin() };
        SignOn::open(toml::from_str(&settings).unwrap(), &env).unwrap()
    }

    /// Begins a sign-in of the browser `mine`, and has the token endpoint give a token with these changes.
    fn begin(&self, sign_on: &SignOn, changes: &Value) -> HashMap<String, String> {
        let address = sign_on.begin("mine", "http://127.0.0.1/callback".into(), "?q=a".into()).unwrap();
        let (endpoint, query) = address.split_once("&response_type").unwrap();
        assert_eq!(endpoint, format!("{}/auth?x=1", self.url));
        let asked: HashMap<String, String> =
            form_urlencoded::parse(format!("response_type{query}").as_bytes()).into_owned().collect();
        let now_s = clock::now_ms() / 1000;
        let mut claims = json!({
            "iss": self.url, "aud": CLIENT, "sub": "u_1", "nonce": asked["nonce"], "iat": now_s, "exp": now_s + 300,
            "roles": ["auditor"], "name": "Ada", "email": "ada@example.com",
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        let token = self.signer.token("a", &claims);
        self.say("/token", 200, &json!({"id_token": token, "access_token": "acc", "token_type": "Bearer"}).to_string());
        asked
    }

    fn back(&self, asked: &HashMap<String, String>) -> Answer {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("code", "c0de")
            .append_pair("state", &asked["state"])
            .append_pair("iss", &self.url)
            .finish();
        Answer::read(&query)
    }
}

fn why(failed: Result<(Caller, String), Failed>) -> Refused {
    failed.map(|(caller, _)| caller).expect_err("nobody is signed in").why
}

#[test]
fn who_comes_back_with_a_code_is_signed_in_once() {
    let puppet = Puppet::start();
    let sign_on = puppet.sign_on();
    let asked = puppet.begin(&sign_on, &json!({}));
    assert_eq!((asked["scope"].as_str(), asked["code_challenge_method"].as_str()), ("openid profile email", "S256"));
    let answer = puppet.back(&asked);
    assert!(matches!(why(sign_on.finish(&answer, Some("theirs"))), Refused::State));
    assert!(matches!(why(sign_on.finish(&answer, None)), Refused::State));
    assert_eq!(puppet.asked("/token"), 0, "nobody is asked about a state that is not known");
    let (caller, to) = sign_on.finish(&answer, Some("mine")).unwrap();
    let ada = Who::Person { id: "u_1".into(), name: Some("Ada".into()), email: Some("ada@example.com".into()) };
    assert_eq!((caller.who(), to.as_str()), (&ada, "?q=a"));
    assert!(caller.may(Scope::Read) && caller.may(Scope::Export) && !caller.may(Scope::Admin));
    assert_eq!(puppet.asked("/me"), 0, "the token says it all");
    let sent = puppet.last("/token");
    let body: HashMap<String, String> =
        form_urlencoded::parse(sent.split("\r\n\r\n").nth(1).unwrap().as_bytes()).into_owned().collect();
    assert_eq!(base64(Sha256::digest(&body["code_verifier"])), asked["code_challenge"]);
    assert_eq!((body["code"].as_str(), body["redirect_uri"].as_str()), ("c0de", "http://127.0.0.1/callback"));
    assert_eq!(body["client_id"], CLIENT);

    assert!(matches!(why(sign_on.finish(&answer, Some("mine"))), Refused::State), "a second time");
    assert_eq!(puppet.asked("/token"), 1);
    assert_eq!(puppet.asked("/.well-known/openid-configuration"), 1, "what is known is not asked for again");
}

#[test]
fn an_answer_that_is_not_for_this_sign_in_lets_nobody_in() {
    let puppet = Puppet::start();
    let sign_on = puppet.sign_on();
    let word = |changes: &Value, alter: &dyn Fn(&mut Answer)| {
        let asked = puppet.begin(&sign_on, changes);
        let mut answer = puppet.back(&asked);
        alter(&mut answer);
        let failed = sign_on.finish(&answer, Some("mine")).map(|(caller, _)| caller).unwrap_err();
        (failed.why.word(), failed.to)
    };
    let as_it_is = |_: &mut Answer| {};
    let said = |word: &'static str| (Some(word), "?q=a".to_owned());
    assert_eq!(word(&json!({"nonce": "another"}), &as_it_is), said("token_nonce"));
    assert_eq!(word(&json!({"aud": "another"}), &as_it_is), said("token_audience"));
    assert_eq!(word(&json!({"iss": "https://another"}), &as_it_is), said("token_issuer"));
    assert_eq!(word(&json!({"exp": 1}), &as_it_is), said("token_expired"));
    assert_eq!(word(&json!({"roles": ["other"]}), &as_it_is), said("no_role"));
    assert_eq!(word(&json!({}), &|answer| answer.iss = Some("https://another".into())), said("bad_issuer"));
    assert_eq!(word(&json!({}), &|answer| answer.iss = None), said("bad_issuer"), "it promised to name itself");
    assert_eq!(word(&json!({}), &|answer| answer.code = None), said("bad_code"));
    let refused = |answer: &mut Answer| answer.error = Some("access_denied".into());
    assert_eq!(word(&json!({}), &refused), said("refused_by_provider"));
    assert_eq!(word(&json!({}), &|answer| answer.state = Some("another".into())), (Some("bad_state"), String::new()));

    let asked = puppet.begin(&sign_on, &json!({}));
    puppet.say("/token", 400, r#"{"error":"invalid_grant"}"#);
    assert_eq!(why(sign_on.finish(&puppet.back(&asked), Some("mine"))).word(), Some("bad_code"));
    let asked = puppet.begin(&sign_on, &json!({}));
    puppet.say("/token", 401, r#"{"error":"invalid_client"}"#);
    let refused = why(sign_on.finish(&puppet.back(&asked), Some("mine")));
    assert_eq!(refused.to_string(), "token: the provider answered 401 invalid_client");
    assert_eq!(Answer::read("state=a&state=b&code=c").state, None, "which of them is meant is not known");
}

#[test]
fn what_the_token_does_not_say_is_asked_for_and_must_be_of_the_same_person() {
    let puppet = Puppet::start();
    let sign_on = puppet.sign_on();
    let brief = json!({"name": null, "email": null});
    let asked = puppet.begin(&sign_on, &brief);
    puppet.say("/me", 200, r#"{"sub":"u_1","name":"Ada L","roles":["other"]}"#);
    let (caller, _) = sign_on.finish(&puppet.back(&asked), Some("mine")).unwrap();
    assert_eq!(caller.who().name(), Some("Ada L"), "and what is signed stands over what is not");
    assert!(puppet.last("/me").contains("Bearer acc"));

    let asked = puppet.begin(&sign_on, &brief);
    puppet.say("/me", 200, r#"{"sub":"u_2","name":"Eve"}"#);
    assert_eq!(why(sign_on.finish(&puppet.back(&asked), Some("mine"))).word(), Some("token_subject"));
}

#[test]
fn a_new_key_is_fetched_and_not_for_each_token() {
    let puppet = Puppet::start();
    let provider = puppet.provider();
    let metadata = provider.metadata(NOW_MS).unwrap();
    let verify = |kid: &str, now_ms| provider.verify(&puppet.signer.token(kid, &good()), &metadata, now_ms).is_ok();
    assert!(verify("a", NOW_MS) && verify("a", NOW_MS + 1));
    assert_eq!(puppet.asked("/jwks"), 1);
    puppet.say("/jwks", 200, &json!({"keys": [puppet.signer.jwk("b")]}).to_string());
    assert!(!verify("b", NOW_MS + 29_999), "it was asked a moment ago");
    assert_eq!(puppet.asked("/jwks"), 1);
    assert!(verify("b", NOW_MS + 30_000));
    assert!(!verify("a", NOW_MS + 30_001), "the old one does not count any more");
    for later in 0..20 {
        assert!(!verify("c", NOW_MS + 31_000 + later));
    }
    assert_eq!(puppet.asked("/jwks"), 2);
}

#[test]
fn a_provider_that_is_not_as_it_should_be_is_not_used() {
    let puppet = Puppet::start();
    let said = |document: &Value| {
        puppet.say("/.well-known/openid-configuration", 200, &document.to_string());
        puppet.provider().metadata(NOW_MS).map(drop).map_err(|why| why.to_string())
    };
    let with = |member: &str, value: &str| {
        let mut document = puppet.metadata();
        document[member] = json!(value);
        document
    };
    assert_eq!(said(&puppet.metadata()), Ok(()));
    let other = said(&with("issuer", &format!("{}/", puppet.url))).unwrap_err();
    assert!(other.contains("calls itself"), "{other}");
    for member in ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"] {
        let clear = said(&with(member, "http://login.example.org/x")).unwrap_err();
        assert!(clear.contains(member), "{clear}");
    }
    let long = said(&with("pad", &"x".repeat(300 << 10))).unwrap_err();
    assert!(long.starts_with("discovery: no answer"), "{long}");
    assert!(said(&json!({"issuer": puppet.url})).unwrap_err().contains("not what it should be"));

    // Led elsewhere: what would be there is not looked at.
    let document = puppet.metadata().to_string();
    puppet.say("/elsewhere", 200, &document);
    let moved = (302, "location: /elsewhere\r\n".to_owned(), String::new());
    puppet.told.lock().answers.insert("/.well-known/openid-configuration".into(), moved);
    let provider = puppet.provider();
    let before = puppet.asked("/.well-known/openid-configuration");
    assert!(provider.metadata(NOW_MS).unwrap_err().to_string().contains("302"));
    assert_eq!(puppet.asked("/elsewhere"), 0);
    // And it is left alone for a while.
    assert!(matches!(provider.metadata(NOW_MS + 4_999), Err(ProviderError::Resting)));
    assert_eq!(puppet.asked("/.well-known/openid-configuration"), before + 1);
    puppet.say("/.well-known/openid-configuration", 200, &document);
    assert!(provider.metadata(NOW_MS + 5_000).is_ok());
    assert!(provider.metadata(NOW_MS + 5_000 + 3_599_999).is_ok());
    assert_eq!(puppet.asked("/.well-known/openid-configuration"), before + 2);
    assert!(provider.metadata(NOW_MS + 5_000 + 3_600_000).is_ok());
    assert_eq!(puppet.asked("/.well-known/openid-configuration"), before + 3, "an hour later");
}

#[test]
fn a_secret_is_shown_the_way_the_provider_takes_it() {
    let puppet = Puppet::start();
    let shown = |methods: Value| {
        let mut document = puppet.metadata();
        document["token_endpoint_auth_methods_supported"] = methods;
        puppet.say("/.well-known/openid-configuration", 200, &document.to_string());
        puppet.say("/token", 200, r#"{"id_token":"x"}"#);
        let provider = Provider::new(puppet.url.clone(), "an:nals".into(), Some("s&cret".into()));
        let metadata = provider.metadata(NOW_MS).unwrap();
        provider.exchange(&metadata, "c", "v", "u").unwrap();
        puppet.last("/token")
    };
    use base64::engine::general_purpose::STANDARD;
    let basic = format!("Basic {}", STANDARD.encode("an%3Anals:s%26cret"));
    for methods in [Value::Null, json!(["client_secret_post", "client_secret_basic"]), json!(["private_key_jwt"])] {
        let sent = shown(methods.clone());
        assert!(sent.contains(&basic) && !sent.contains("client_secret="), "{methods}: {sent}");
    }
    let sent = shown(json!(["client_secret_post"]));
    assert!(sent.ends_with("client_id=an%3Anals&client_secret=s%26cret") && !sent.contains("Basic"), "{sent}");
}
