//! `/v1/viewers`: a token for somebody who looks at the page inside another, and its end.

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::keys::{blocking, expect_json, keys, whole};
use super::params::Params;
use super::{App, json, own};
use crate::auth::KeyError;
use crate::clock;
use crate::event::Object;
use crate::json::Json;
use crate::query::Env;
use crate::store::own::number;
use crate::wire;

pub async fn create(app: App, uri: Uri, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    Params::of(&uri)?.finish()?;
    expect_json(&headers)?;
    let keys = keys(&app)?;
    let bad = |why: String| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_viewer", why);
    let draft = wire::viewer_draft(&body).map_err(bad)?;
    let env = Env { now_ms: clock::now_ms(), catalogue: app.store.catalogue() };
    let (viewer, token) = keys.make_viewer(&app.caller, draft, &env).map_err(|error| match error {
        KeyError::Bad { .. } | KeyError::Restriction(_) => bad(error.to_string()),
        error => error.into(),
    })?;
    let target = Object { kind: Some("viewer".into()), id: Some(viewer.id.clone()), name: viewer.name.clone() };
    let mut detail = vec![("user".to_owned(), own::text(&*viewer.user))];
    for (name, value) in [("tenant", &viewer.tenant), ("restriction", &viewer.restriction)] {
        detail.extend(value.as_ref().map(|value| (name.to_owned(), own::text(&**value))));
    }
    detail.push(("export".to_owned(), Json::Bool(viewer.export)));
    detail.push(("personal".to_owned(), Json::Bool(viewer.personal)));
    detail.push(("expires_ms".to_owned(), number(viewer.expires_ms)));
    // Before the token is handed out: without its entry nobody has it.
    own::enter(&app, "viewer.created", Some(target), Json::Object(detail)).await?;
    Ok((StatusCode::CREATED, json(wire::new_viewer(&viewer, &token))).into_response())
}

pub async fn revoke(app: App, Path(id): Path<String>, uri: Uri) -> Result<Response, ApiError> {
    Params::of(&uri)?.finish()?;
    let revoked = whole(async move {
        let (keys, maker, wanted) = (keys(&app)?, app.caller.clone(), id.clone());
        if !blocking(move || keys.revoke_viewer(&maker, &wanted, clock::now_ms())).await? {
            return Err(ApiError::not_found(format!("there is no viewer {id:?}")));
        }
        let target = Object { kind: Some("viewer".into()), id: Some(id), name: None };
        own::enter(&app, "viewer.revoked", Some(target), Json::Object(Vec::new())).await
    });
    revoked.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
