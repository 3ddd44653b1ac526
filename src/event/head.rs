//! The few members of a stored body that routing needs, read without building the whole event.

use std::borrow::Cow;

use serde::Deserialize;

use crate::json::{self, Malformed};

/// Id, tenant and action of a stored body.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BodyHead<'a> {
    /// The event's id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Its tenant.
    #[serde(borrow)]
    pub tenant: Cow<'a, str>,
    /// What was done.
    #[serde(borrow)]
    pub action: Cow<'a, str>,
}

/// Why bytes have no head.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// They are not JSON as we write it.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// They are not JSON, or no body.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// One of the three is missing.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// They can be read in more than one way.
    #[error("it can be read in more than one way")]
    Otherwise,
}

impl<'a> BodyHead<'a> {
    /// Reads them from body bytes that we wrote. What stands behind the last of the three is not looked at.
    ///
    /// # Errors
    /// When the bytes are not such a body.
    pub fn read(body: &'a str) -> Result<BodyHead<'a>, HeadError> {
        let (mut id, mut tenant, mut action) = (None, None, None);
        for member in json::members(body) {
            let (key, value) = member?;
            let place = match key {
                "id" => &mut id,
                "tenant" => &mut tenant,
                "action" => &mut action,
                _ => continue,
            };
            *place = Some(json::unescape(value)?);
            if id.is_some() && tenant.is_some() && action.is_some() {
                break;
            }
        }
        Ok(BodyHead {
            id: id.ok_or(HeadError::Missing("id"))?,
            tenant: tenant.ok_or(HeadError::Missing("tenant"))?,
            action: action.ok_or(HeadError::Missing("action"))?,
        })
    }

    /// The same from bytes that somebody else may have written: the whole body is JSON, none of the three stands there twice, and
    /// [`BodyHead::read`] sees the same.
    ///
    /// # Errors
    /// When the bytes are not such a body.
    pub fn read_all(body: &'a str) -> Result<BodyHead<'a>, HeadError> {
        let head = serde_json::from_str(body)?;
        match BodyHead::read(body)? == head {
            true => Ok(head),
            false => Err(HeadError::Otherwise),
        }
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
            assert!(matches!(BodyHead::read(body), Err(HeadError::Missing(name)) if name == missing), "{body}");
            assert!(BodyHead::read_all(body).is_err(), "{body}");
        }
        let body = r#"{"id":"1","tenant":"t","action":"a","detail":{}}"#;
        assert_eq!(BodyHead::read(body).unwrap(), BodyHead::read_all(body).unwrap());
        for (from, to) in [
            (r#""detail":{}"#, r#""detail":{"#),
            (r#""detail":{}"#, r#""detail":nonsense"#),
            ("detail", "tenant"),
            ("detail", r"ten\u0061nt"),
            ("}}", "}},"),
            ("{\"id", " {\"id"),
            (r#""tenant""#, r#""ten\u0061nt""#),
        ] {
            assert!(BodyHead::read_all(&body.replace(from, to)).is_err(), "{to}");
        }
        assert!(BodyHead::read_all(r#"["1","acme","a.b"]"#).is_err());
        for body in ["", "[]", "x", r#"{"id":1,"tenant":"t","action":"a"}"#, r#"{"id":"1","tenant":"#] {
            assert!(matches!(BodyHead::read(body), Err(HeadError::Malformed(_))), "{body}");
        }
    }
}
