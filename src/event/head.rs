//! The few members of a stored body that routing needs, read without building the whole event.

use std::borrow::Cow;

use serde::Deserialize;

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

impl<'a> BodyHead<'a> {
    /// Reads them from body bytes that we wrote.
    ///
    /// # Errors
    /// When the bytes are not such a body.
    pub fn read(body: &'a str) -> Result<BodyHead<'a>, serde_json::Error> {
        serde_json::from_str(body)
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
}
