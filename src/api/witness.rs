//! `annals witness` over HTTP: `POST /add-checkpoint` (c2sp.org/tlog-witness), and its key to be looked up.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tracing::{info, warn};

use super::error::refusal_status;
use crate::clock;
use crate::witness::{REQUEST_BYTES_MAX, Refusal, Witness};

/// The routes of a witness.
pub fn router(witness: Arc<Witness>) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add))
        .route("/public-key", get(public_key))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(witness)
}

async fn add(State(witness): State<Arc<Witness>>, body: Bytes) -> Response {
    let added = tokio::task::spawn_blocking(move || {
        let request = std::str::from_utf8(&body).map_err(|_| Refusal::Malformed("it is not UTF-8"))?;
        witness.add(request, clock::now_ms() / 1_000)
    });
    match added.await {
        Ok(Ok(line)) => plain(StatusCode::OK, line),
        Ok(Err(refusal)) => refuse(&refusal),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "it panicked\n".into()),
    }
}

async fn public_key(State(witness): State<Arc<Witness>>) -> Response {
    plain(StatusCode::OK, format!("{}\n", witness.public_key()))
}

fn refuse(refusal: &Refusal) -> Response {
    // A log that asks first what is remembered is no news.
    match refusal {
        Refusal::BadProof { .. } => warn!("a log does not extend what was cosigned: {refusal}"),
        Refusal::Io(error) => warn!("{refusal}: {error}"),
        Refusal::Malformed(_)
        | Refusal::UnknownLog(_)
        | Refusal::NotSigned(_)
        | Refusal::Conflict { .. }
        | Refusal::Backwards { .. } => info!("not cosigned: {refusal}"),
    }
    let status = refusal_status(refusal);
    match refusal {
        // The body is what the specification says, and nothing else.
        Refusal::Conflict { remembered } => {
            (status, [(header::CONTENT_TYPE, "text/x.tlog.size")], format!("{remembered}\n")).into_response()
        }
        Refusal::Malformed(_)
        | Refusal::UnknownLog(_)
        | Refusal::NotSigned(_)
        | Refusal::Backwards { .. }
        | Refusal::BadProof { .. }
        | Refusal::Io(_) => plain(status, format!("{refusal}\n")),
    }
}

fn plain(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}
