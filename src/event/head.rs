//! The few members of a stored body that routing needs, read without building the whole event.

use std::borrow::Cow;

use crate::json::{self, Malformed};

/// Id, tenant and action of a stored body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyHead<'a> {
    /// The event's id.
    pub id: Cow<'a, str>,
    /// Its tenant.
    pub tenant: Cow<'a, str>,
    /// What was done.
    pub action: Cow<'a, str>,
}

/// Why bytes have no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// They are not JSON as a body has it.
    #[error("it is not JSON: {0}")]
    Malformed(#[from] Malformed),
    /// One of the three is missing.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// One of the three is there twice.
    #[error("it has {0} twice")]
    Twice(&'static str),
}

impl<'a> BodyHead<'a> {
    /// Reads them from body bytes that we wrote. What stands behind the last of the three is not looked at.
    ///
    /// # Errors
    /// When the bytes are not such a body.
    pub fn read(body: &'a str) -> Result<BodyHead<'a>, HeadError> {
        BodyHead::find(body, false)
    }

    /// The same from bytes that somebody else may have written: all members are looked at, and none of the three stands there twice.
    ///
    /// # Errors
    /// When the bytes are not such a body.
    pub fn read_all(body: &'a str) -> Result<BodyHead<'a>, HeadError> {
        BodyHead::find(body, true)
    }

    fn find(body: &'a str, to_the_end: bool) -> Result<BodyHead<'a>, HeadError> {
        let (mut id, mut tenant, mut action) = (None, None, None);
        for member in json::members(body) {
            let (key, value) = member?;
            let (place, name) = match key {
                "id" => (&mut id, "id"),
                "tenant" => (&mut tenant, "tenant"),
                "action" => (&mut action, "action"),
                _ => continue,
            };
            if place.replace(json::unescape(value)?).is_some() {
                return Err(HeadError::Twice(name));
            }
            if !to_the_end && id.is_some() && tenant.is_some() && action.is_some() {
                break;
            }
        }
        Ok(BodyHead {
            id: id.ok_or(HeadError::Missing("id"))?,
            tenant: tenant.ok_or(HeadError::Missing("tenant"))?,
            action: action.ok_or(HeadError::Missing("action"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_read_and_names_inside_other_members_do_not_disturb() {
        let body = r#"{"id":"e\"1","time":"2026-11-20T13:32:07.412Z","tenant":"acme","actor":{"type":"user","id":"u"},"action":"a.b","outcome":"success","detail":{"tenant":"x","id":"y"}}"#;
        let head = BodyHead::read(body).unwrap();
        assert_eq!((&*head.id, &*head.tenant, &*head.action), ("e\"1", "acme", "a.b"));
    }

    #[test]
    fn what_has_no_head_is_told() {
        for (body, missing) in [
            ("{}", "id"),
            (r#"{"id":"1","action":"a.b"}"#, "tenant"),
            (r#"{"id":"1","tenant":"t","detail":{"action":"a.b"}}"#, "action"),
        ] {
            assert_eq!(BodyHead::read(body), Err(HeadError::Missing(missing)));
        }
        let twice = r#"{"id":"1","tenant":"t","action":"a","tenant":"u"}"#;
        assert_eq!(BodyHead::read_all(twice), Err(HeadError::Twice("tenant")));
        let cut = r#"{"id":"1","tenant":"t","action":"a","detail":{"#;
        assert!(matches!(BodyHead::read_all(cut), Err(HeadError::Malformed(_))));
        for body in ["", "[]", "x", r#"{"id":1,"tenant":"t","action":"a"}"#, r#"{"id":"1","tenant":"#] {
            assert!(matches!(BodyHead::read(body), Err(HeadError::Malformed(_))), "{body}");
        }
    }
}
