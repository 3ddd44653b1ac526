//! `/healthz`: the process answers. `/readyz`: it can do its work, or why not.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::{App, json};
use crate::index::tantivy::view::SCANNED_EVENTS_MAX;
use crate::json::write_string;

pub async fn healthz() -> &'static str {
    "ok\n"
}

pub async fn readyz(app: App) -> Response {
    let store = &app.store;
    let missing = store.view().missing();
    let mut reasons = Vec::new();
    if let Some(refusal) = store.refusal() {
        reasons.push(refusal.to_string());
    }
    if !store.ids_ready() {
        reasons.push("the ids of earlier events are being read again".to_owned());
    }
    if missing > SCANNED_EVENTS_MAX {
        reasons.push(format!("{missing} events are not indexed yet"));
    }
    reasons.extend(store.index_fault());
    reasons.extend(store.signing_fault());
    let mut body = format!("{{\"ready\":{},\"reasons\":", reasons.is_empty());
    crate::wire::array(&mut body, &reasons, |out, reason| write_string(reason, out));
    crate::wire::watermarks(&mut body, store.marks());
    let integrity = store.integrity();
    crate::wire::integrity(&mut body, &integrity);
    // Questions are still answered, so these are no reasons to take the server out.
    let mut warnings = Vec::new();
    let (free, floor) = store.space();
    if free < floor {
        warnings.push(format!("{free} bytes are free, events are refused below {floor}"));
    }
    warnings.extend(integrity.finding().map(|found| format!("scrubbing found damage: {found}")));
    if !warnings.is_empty() {
        body.push_str(",\"warning\":");
        write_string(&warnings.join("; "), &mut body);
    }
    body.push('}');
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, json(body)).into_response()
}
