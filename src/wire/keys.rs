//! Keys as `/v1/keys` shows and takes them.

use std::sync::Arc;

use chrono::DateTime;
use serde::Deserialize;

use super::{array, object, optional};
use crate::auth::{Draft, Key, Restriction, Scope};
use crate::clock::rfc3339_ms;
use crate::json::write_string;

/// What is wanted of a new key, as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
    scopes: Vec<String>,
    tenant: Option<String>,
    restriction: Option<String>,
    expires: Option<String>,
}

/// Reads what is wanted of a new key.
///
/// # Errors
/// What is wrong, and what was expected.
pub fn key_draft(body: &[u8]) -> Result<Draft, String> {
    let wanted: Wanted = object(body)?;
    let scope = |word: &String| {
        let words = Scope::ALL.map(Scope::as_str).join(", ");
        Scope::named(word).ok_or_else(|| format!("scopes: there is no scope {word:?}, expected some of {words}"))
    };
    let ms = |text: String| {
        let time = DateTime::parse_from_rfc3339(&text);
        time.ok()
            .and_then(|time| u64::try_from(time.timestamp_millis()).ok())
            .ok_or_else(|| format!("expires is {text:?}, expected a time such as 2027-11-01T10:00:00Z"))
    };
    Ok(Draft {
        name: wanted.name,
        scopes: wanted.scopes.iter().map(scope).collect::<Result<_, _>>()?,
        tenant: wanted.tenant,
        restriction: wanted.restriction,
        expires_ms: wanted.expires.map(ms).transpose()?,
    })
}

/// A key without its secret, which nobody has.
pub fn key(key: &Key) -> String {
    let mut out = String::new();
    write(key, None, &mut out);
    out
}

/// A key that was just made, with the text that is shown this once.
pub fn new_key(key: &Key, secret: &str) -> String {
    let mut out = String::new();
    write(key, Some(secret), &mut out);
    out
}

/// All keys.
pub fn keys(keys: &[Arc<Key>]) -> String {
    let mut out = String::from("{\"keys\":");
    array(&mut out, keys, |out, key| write(key, None, out));
    out.push('}');
    out
}

fn write(key: &Key, secret: Option<&str>, out: &mut String) {
    out.push_str("{\"id\":");
    write_string(&key.id, out);
    if let Some(secret) = secret {
        optional(out, "key", Some(secret));
    }
    optional(out, "name", Some(&key.name));
    out.push_str(",\"scopes\":");
    let scopes: Vec<Scope> = key.scopes.iter().collect();
    array(out, &scopes, |out, scope| write_string(scope.as_str(), out));
    let time = |ms: u64| rfc3339_ms(ms.cast_signed());
    optional(out, "tenant", key.tenant.as_deref());
    optional(out, "restriction", key.restriction.as_deref().map(Restriction::text).as_deref());
    optional(out, "created", Some(&time(key.created_ms)));
    optional(out, "expires", key.expires_ms.map(time).as_deref());
    optional(out, "revoked", key.revoked_ms.map(time).as_deref());
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_read_or_refused_by_its_member() {
        let whole = r#"{"name":"SIEM","scopes":["read","export"],"tenant":"acme","restriction":"action:contacts","expires":"2027-11-01T10:00:00+01:00"}"#;
        let draft = key_draft(whole.as_bytes()).unwrap();
        assert_eq!((draft.scopes.to_string(), draft.expires_ms), ("read export".to_owned(), Some(1_825_059_600_000)));
        for (body, said) in [
            ("", "EOF"),
            (r#"{"scopes":[]}"#, "name"),
            (r#"{"name":"a"}"#, "scopes"),
            (r#"{"name":"a","scopes":["root"]}"#, "root"),
            (r#"["a",["read"],null,null,null]"#, "expected an object"),
            (r#"{"name":"a","name":"b","scopes":[]}"#, "duplicate"),
            (r#"{"name":"a","scopes":[],"colour":1}"#, "colour"),
            (r#"{"name":"a","scopes":[],"expires":"tomorrow"}"#, "tomorrow"),
        ] {
            let why = key_draft(body.as_bytes()).unwrap_err();
            assert!(why.contains(said), "{body}: {why}");
        }
    }
}
