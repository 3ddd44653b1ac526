//! `/v1/keys`: what keys there are, a new one, one less.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::access::Door;
use super::append::is_ndjson;
use super::error::ApiError;
use super::params::Params;
use super::{App, json, own};
use crate::auth::{Key, Keys, Restriction};
use crate::clock;
use crate::event::Object;
use crate::json::Json;
use crate::query::Env;
use crate::wire;

pub async fn list(app: App, uri: Uri) -> Result<Response, ApiError> {
    Params::of(&uri)?.finish()?;
    let keys = keys(&app)?.list();
    Ok(json(wire::keys(&keys)))
}

pub async fn create(app: App, uri: Uri, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    Params::of(&uri)?.finish()?;
    expect_json(&headers)?;
    if app.store.refusal().is_some() {
        return Err(ApiError::unavailable("read_only", "the log is served read-only: no key can be made", 60));
    }
    let keys = keys(&app)?;
    let draft =
        wire::key_draft(&body).map_err(|why| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_key", why))?;
    let store = app.store.clone();
    let made = blocking(move || {
        let env = Env { now_ms: clock::now_ms(), catalogue: store.catalogue() };
        keys.create(&draft, &env)
    });
    let made = whole(async move {
        let (key, secret) = made.await?;
        if let Err(error) = enter(&app, "key.created", &key).await {
            // A key that nobody knows of must not be.
            revoke_now(&app, key.id.to_string()).await?;
            return Err(error);
        }
        Ok((key, secret))
    });
    let (key, secret) = made.await?;
    let mut response = (StatusCode::CREATED, json(wire::new_key(&key, &secret.reveal()))).into_response();
    let location = HeaderValue::from_str(&format!("/v1/keys/{}", key.id));
    response.headers_mut().extend(location.ok().map(|location| (header::LOCATION, location)));
    Ok(response)
}

pub async fn revoke(app: App, Path(id): Path<String>, uri: Uri) -> Result<Response, ApiError> {
    Params::of(&uri)?.finish()?;
    let revoked = whole(async move {
        let missing = format!("there is no key {id:?}");
        let key = revoke_now(&app, id).await?.ok_or_else(|| ApiError::not_found(missing))?;
        // It is refused from now on, also if this cannot be entered: then the caller is told, and asks again.
        enter(&app, "key.revoked", &key).await?;
        Ok(key)
    });
    Ok(json(wire::key(&*revoked.await?)))
}

async fn revoke_now(app: &App, id: String) -> Result<Option<Arc<Key>>, ApiError> {
    let keys = keys(app)?;
    blocking(move || keys.revoke(&id, clock::now_ms())).await
}

async fn enter(app: &App, action: &'static str, key: &Key) -> Result<(), ApiError> {
    let target =
        Object { kind: Some("api_key".into()), id: Some(key.id.to_string()), name: Some(key.name.to_string()) };
    let mut detail = vec![("scopes".to_owned(), own::text(key.scopes.to_string()))];
    let restriction = key.restriction.as_deref().map(Restriction::text);
    for (name, value) in [("tenant", key.tenant.as_deref()), ("restriction", restriction.as_deref())] {
        detail.extend(value.map(|value| (name.to_owned(), own::text(value))));
    }
    own::enter(app, action, Some(target), Json::Object(detail)).await
}

/// Refuses what a form on another site could send, whatever a browser keeps for us.
pub(super) fn expect_json(headers: &HeaderMap) -> Result<(), ApiError> {
    if is_ndjson(headers)? || !headers.contains_key(header::CONTENT_TYPE) {
        let detail = "expected Content-Type: application/json";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    }
    Ok(())
}

/// The keys, if there are any to speak of.
pub(super) fn keys(app: &App) -> Result<Arc<Keys>, ApiError> {
    match &app.door {
        Door::Keys(keys) => Ok(keys.clone()),
        Door::Open => {
            let detail = "this server runs without keys (--no-auth)";
            Err(ApiError::new(StatusCode::CONFLICT, "no_keys", detail))
        }
    }
}

/// To its end, also if the caller hangs up in between: no change goes without its entry.
pub(super) async fn whole<T: Send + 'static>(
    change: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(change).await.unwrap_or_else(|_| Err(ApiError::internal("a change of keys panicked")))
}

/// On a thread that may wait for the disk.
pub(super) async fn blocking<T: Send + 'static, E: Into<ApiError> + Send + 'static>(
    change: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, ApiError> {
    let changed = tokio::task::spawn_blocking(change).await;
    changed.map_err(|_| ApiError::internal("a change panicked"))?.map_err(Into::into)
}
