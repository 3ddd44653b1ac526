//! `GET /v1/query/parse`: the tree that a query text and parameters make together, without asking it.

use axum::http::Uri;
use axum::response::Response;

use super::error::ApiError;
use super::params::Params;
use super::{App, json};
use crate::wire;

pub async fn parse(app: App, uri: Uri) -> Result<Response, ApiError> {
    let params = Params::of(&uri)?;
    // Off the connections' threads: each of up to 1,024 filters says what the query of 8 KiB would be without it.
    let answer = tokio::task::spawn_blocking(move || {
        let (query, places) = params.into_placed_query(&app)?;
        Ok(wire::query_tree(&query, &places))
    });
    let body = answer.await.unwrap_or_else(|_| Err(ApiError::internal("reading a query panicked")))?;
    Ok(json(body))
}
