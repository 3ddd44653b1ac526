//! Who a token is about, and what they may do here.

use std::sync::Arc;

use serde_json::Value;

use super::token::Claims;
use crate::auth::{Caller, Restriction, Scopes, Who};
use crate::event::limits::NAME_BYTES_MAX;

/// Where a name is looked for; the first that is there counts.
const NAMES: [&str; 2] = ["name", "preferred_username"];

/// What people with one value of the claim may do.
#[derive(Clone, Debug)]
pub struct Role {
    /// The value.
    pub value: String,
    /// What they may do.
    pub scopes: Scopes,
    /// The one tenant they read.
    pub tenant: Option<Arc<str>>,
    /// What they may not widen.
    pub restriction: Option<Arc<Restriction>>,
}

/// The caller that somebody is; `None` if no role is theirs. The first role in their order counts.
pub fn caller(subject: &str, claims: &Claims, roles: &[Role], roles_claim: &str) -> Option<Caller> {
    let held = texts_at(claims, roles_claim);
    let role = roles.iter().find(|role| held.contains(&role.value.as_str()))?;
    let who = Who::Person { id: subject.into(), name: name(claims), email: email(claims) };
    Some(Caller::new(who, role.scopes, role.tenant.clone(), role.restriction.clone()))
}

/// Whether more has to be asked for: the token does not say what they may do, or gives them no name.
pub fn is_incomplete(claims: &Claims, roles_claim: &str) -> bool {
    at(claims, roles_claim).is_none() || (name(claims).is_none() && email(claims).is_none())
}

/// What they are called.
pub fn name(claims: &Claims) -> Option<Arc<str>> {
    NAMES.into_iter().find_map(|member| text(claims, member))
}

/// Their address, unless the provider says that it may be somebody else's.
fn email(claims: &Claims) -> Option<Arc<str>> {
    let is_doubtful = claims.get("email_verified") == Some(&Value::Bool(false));
    text(claims, "email").filter(|_| !is_doubtful)
}

/// A text for people, as an entry can have it.
fn text(claims: &Claims, member: &str) -> Option<Arc<str>> {
    let plain: String = claims.get(member)?.as_str()?.chars().filter(|c| !c.is_control()).collect();
    let plain = plain.trim();
    let cut = &plain[..plain.floor_char_boundary(NAME_BYTES_MAX)];
    (!cut.is_empty()).then(|| cut.into())
}

/// The texts that a claim has, one or a list.
fn texts_at<'c>(claims: &'c Claims, path: &str) -> Vec<&'c str> {
    match at(claims, path) {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A claim by its name, which may have dots in it (`https://example.org/roles`), or by the way to it.
fn at<'c>(claims: &'c Claims, path: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut steps = path.split('.');
    let first = claims.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.as_object()?.get(step))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::Scope;

    fn claims(value: Value) -> Claims {
        let Value::Object(claims) = value else { panic!("claims are an object") };
        claims
    }

    fn role(value: &str, scopes: &[Scope]) -> Role {
        Role { value: value.into(), scopes: scopes.iter().copied().collect(), tenant: None, restriction: None }
    }

    #[test]
    fn the_first_role_of_the_settings_that_somebody_has_counts() {
        let roles = [role("boss", &[Scope::Read, Scope::Export]), role("clerk", &[Scope::Read])];
        let scopes = |claim: &str, said: Value| {
            caller("u_1", &claims(said), &roles, claim).map(|caller| caller.scopes().to_string())
        };
        assert_eq!(scopes("roles", json!({"roles": ["clerk", "boss"]})).as_deref(), Some("read export"));
        assert_eq!(scopes("roles", json!({"roles": "clerk"})).as_deref(), Some("read"));
        assert_eq!(scopes("a.b.c", json!({"a": {"b": {"c": ["x", "clerk"]}}})).as_deref(), Some("read"));
        let dotted = json!({"https://example.org/roles": ["boss"]});
        assert_eq!(scopes("https://example.org/roles", dotted).as_deref(), Some("read export"));
        for said in [
            json!({}),
            json!({"roles": []}),
            json!({"roles": ["Boss", "bos", "clerk boss"]}),
            json!({"roles": "clerk boss"}),
            json!({"roles": {"clerk": true}}),
            json!({"roles": [["clerk"], 7, null]}),
            json!({"a": {"roles": ["clerk"]}}),
        ] {
            assert_eq!(scopes("roles", said.clone()), None, "{said}");
        }
        for said in [json!({"a": "clerk"}), json!({"a": {"b": ["clerk"]}}), json!({"a": [{"b": {"c": "clerk"}}]})] {
            assert_eq!(scopes("a.b.c", said.clone()), None, "{said}");
        }
    }

    #[test]
    fn a_name_is_cut_and_cleaned_and_a_doubtful_address_left_out() {
        let who = |said: Value| {
            let roles = [role("r", &[Scope::Read])];
            let mut claims = claims(said);
            claims.insert("roles".into(), "r".into());
            caller("u_1", &claims, &roles, "roles").unwrap().who().clone()
        };
        let person = |name: Option<&str>, email: Option<&str>| Who::Person {
            id: "u_1".into(),
            name: name.map(Arc::from),
            email: email.map(Arc::from),
        };
        assert_eq!(
            who(json!({"name": " Ada\u{0} L\n", "email": "a@example.com", "email_verified": true})),
            person(Some("Ada L"), Some("a@example.com"))
        );
        assert_eq!(
            who(json!({"preferred_username": "ada", "email": "a@example.com", "email_verified": false})),
            person(Some("ada"), None)
        );
        assert_eq!(who(json!({"name": 7, "email": ""})), person(None, None));
        let long = "é".repeat(NAME_BYTES_MAX);
        assert_eq!(who(json!({ "name": long })), person(Some(&"é".repeat(NAME_BYTES_MAX / 2)), None));
    }
}
