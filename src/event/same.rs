//! Whether two events that bear the same id tell the same thing: a repeated send is answered, a clash is refused.

use super::limits::DEPTH_MAX;
use super::validate::{DEFAULT_ID, DEFAULT_OUTCOME, DEFAULT_TENANT, DEFAULT_TIME};
use crate::json::{self, Json};

/// Compares what the *senders* said: the members that we filled in (bits of [`super::Draft::defaults`]) are left
/// out on each side, the rest is compared with sorted keys and numbers as text. Bytes that are no event are never
/// the same as anything else.
pub fn same_content(stored_body: &str, stored_defaults: u8, new_body: &str, new_defaults: u8) -> bool {
    if stored_defaults == new_defaults && stored_body == new_body {
        return true; // a plain repetition: by far the usual case
    }
    match (senders_members(stored_body, stored_defaults), senders_members(new_body, new_defaults)) {
        (Some(stored), Some(new)) => stored == new,
        _ => false,
    }
}

fn senders_members(body: &str, defaults: u8) -> Option<String> {
    let Ok(Json::Object(mut members)) = json::parse(body, DEPTH_MAX) else {
        return None;
    };
    let filled_in =
        [(DEFAULT_ID, "id"), (DEFAULT_TIME, "time"), (DEFAULT_TENANT, "tenant"), (DEFAULT_OUTCOME, "outcome")];
    members.retain(|(key, _)| !filled_in.iter().any(|(bit, name)| defaults & bit != 0 && key == name));
    let mut canonical = String::with_capacity(body.len());
    Json::Object(members).write_canonical(&mut canonical);
    Some(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_sender_said_is_compared_and_what_we_filled_in_is_not() {
        let base = r#"{"id":"1","time":"2026-11-20T13:32:07.412Z","outcome":"success","detail":{"a":1,"b":2}}"#;
        for (stored, stored_defaults, new, new_defaults, expected) in [
            (base, 0, base.to_owned(), 0, true),
            (base, 0, base.replace(r#""a":1,"b":2"#, r#""b":2,"a":1"#), 0, true),
            (base, 0, base.replace(r#""a":1"#, r#""a":1.0"#), 0, false),
            (base, DEFAULT_TIME, base.replace("07.412", "09.999"), DEFAULT_TIME, true),
            (base, 0, base.replace("07.412", "09.999"), DEFAULT_TIME, false),
            (base, DEFAULT_OUTCOME, base.to_owned(), 0, false),
            (base, 0, base.replace("success", "failure"), 0, false),
            ("x", 0, "y".to_owned(), 0, false),
        ] {
            assert_eq!(same_content(stored, stored_defaults, &new, new_defaults), expected, "{new}");
        }
    }
}
