//! The event that is shown where an entry's content was cut out of the log: made of what is left, and the same each time.

use super::model::{Context, Event, Outcome, Party, Time};
use crate::clock;
use crate::json::Json;
use crate::seq::Seq;

/// What it says was done.
pub const BLANK: &str = "log.blank";

/// Stands for the entry `seq` of this tenant, received at `received_ms`, which the entry `by` had cut out. When it happened is not
/// known any more, so its time is that of its arrival.
pub fn stand_in(seq: Seq, received_ms: u64, tenant: &str, by: Seq) -> Event {
    let ms = received_ms.cast_signed();
    let number = |seq: Seq| Json::Number(seq.to_string().into_boxed_str());
    Event {
        id: format!("excised-{seq}"),
        time: Time { ms, text: clock::rfc3339_ms(ms) },
        tenant: tenant.to_owned(),
        actor: Party { kind: "system".into(), id: "annals".into(), name: None, email: None },
        on_behalf_of: None,
        source: Some("annals".into()),
        action: BLANK.into(),
        outcome: Outcome::Success,
        reason: None,
        target: None,
        related: Vec::new(),
        changes: Vec::new(),
        context: Context::default(),
        subjects: Vec::new(),
        detail: Some(Json::Object(vec![("cut_out_by".into(), number(by))])),
        sealed: Vec::new(),
    }
}
