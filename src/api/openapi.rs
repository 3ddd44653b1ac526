//! `GET /openapi.json`: this API as OpenAPI 3.1. The document is written by hand beside this file, since answers are; tests hold
//! it against the routes, the parameters that handlers read, the codes of errors, and every answer that they get.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::header;
use axum::response::{IntoResponse, Response};

/// What stands in the document for the version of this program.
const VERSION: &str = "\"version\": \"0.0.0\"";

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    include_str!("openapi.json").replacen(VERSION, &version, 1).into()
});

pub async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
}
