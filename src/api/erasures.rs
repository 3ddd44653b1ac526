//! `/v1/erasures` and `/v1/holds`: who is erased, how far that is, and who may not be.

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::append::{BODY_TIME_MAX, body_timeout, read};
use super::error::ApiError;
use super::keys::{blocking, expect_json, whole};
use super::params::Params;
use super::{App, json, own, proofs};
use crate::event::Event;
use crate::json::Json;
use crate::store::erasures::{Asked, Erasure, Person, REQUESTED, Wanted};
use crate::store::own::{DEFAULT_TENANT, Own};
use crate::wire::{self, ErasureDraft, ErasureState};

pub async fn create(app: App, uri: Uri, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    Params::of(&uri)?.finish()?;
    let draft = draft(&headers, body).await?;
    let wanted = wanted(&app, &draft);
    // To its end, also if the caller hangs up: what is begun must be known.
    let store = app.store.clone();
    let asked = whole(async move { blocking(move || store.erase(wanted)).await }).await?;
    let pending = app.store.erasures();
    if draft.is_single
        && let ([person], [asked]) = (&draft.persons[..], &asked[..])
    {
        let (status, id, state) = match asked {
            Asked::Begun(erasure) => (StatusCode::ACCEPTED, &erasure.id, ErasureState::Purging(erasure)),
            Asked::Known(id) => (StatusCode::OK, id, known(&pending.pending, id)),
            Asked::Held => {
                let detail = "they are on hold, so nothing was erased; that it was asked for is in the log";
                return Err(ApiError::new(StatusCode::CONFLICT, "on_hold", detail));
            }
        };
        let mut response = (status, json(wire::erasure(Some(id), person, &state))).into_response();
        let location = HeaderValue::from_str(&format!("/v1/erasures/{id}"));
        response.headers_mut().extend(location.ok().map(|location| (header::LOCATION, location)));
        return Ok(response);
    }
    let all = draft.persons.into_iter().zip(&asked).map(|(person, asked)| match asked {
        Asked::Begun(erasure) => (Some(erasure.id.clone()), person, ErasureState::Purging(erasure)),
        Asked::Known(id) => (Some(id.clone()), person, known(&pending.pending, id)),
        Asked::Held => (None, person, ErasureState::Held),
    });
    Ok((StatusCode::ACCEPTED, json(wire::erasures(&all.collect::<Vec<_>>()))).into_response())
}

fn known<'a>(pending: &'a [Erasure], id: &str) -> ErasureState<'a> {
    pending.iter().find(|erasure| erasure.id == id).map_or(ErasureState::Done, ErasureState::Purging)
}

pub async fn list(app: App, uri: Uri) -> Result<Response, ApiError> {
    Params::of(&uri)?.finish()?;
    let now = app.store.erasures();
    Ok(json(wire::erasures_now(&now.pending, &now.holds)))
}

pub async fn one(app: App, Path(id): Path<String>, uri: Uri) -> Result<Response, ApiError> {
    Params::of(&uri)?.finish()?;
    if let Some(erasure) = app.store.erasures().pending.iter().find(|erasure| erasure.id == id) {
        return Ok(json(wire::erasure(Some(&id), &erasure.person, &ErasureState::Purging(erasure))));
    }
    let missing = ApiError::not_found(format!("there is no erasure {id:?}"));
    let store = app.store.clone();
    let found = blocking(move || store.erasure(&id)).await?;
    let Some((begun, done)) = found else { return Err(missing) };
    let Some(person) = person(&begun.event) else { return Err(missing) };
    let Some(done) = done else {
        // It is entered that it is done, and cannot be found yet.
        let (id, requested, requested_ms) = (begun.event.id, begun.seq, begun.received_ms);
        let erasure = Erasure { id, person, requested, requested_ms, keys: Vec::new() };
        let state = ErasureState::Purging(&erasure);
        return Ok(json(wire::erasure(Some(&erasure.id), &erasure.person, &state)));
    };
    let proof = proofs::prove(&app, done.seq).await?;
    let (store, seq) = (app.store.clone(), done.seq);
    let evidence = blocking(move || store.source().evidence(seq)).await?;
    let receipt = wire::evidence(&evidence, &[], &proof);
    Ok(json(wire::erasure_done(&begun.event.id, &person, (begun.seq, &done), &receipt)))
}

pub async fn hold(app: App, uri: Uri, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    set(app, &uri, &headers, body, true).await
}

pub async fn lift(app: App, uri: Uri, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    set(app, &uri, &headers, body, false).await
}

async fn set(app: App, uri: &Uri, headers: &HeaderMap, body: Body, is_held: bool) -> Result<Response, ApiError> {
    Params::of(uri)?.finish()?;
    let draft = draft(headers, body).await?;
    let wanted = wanted(&app, &draft);
    let store = app.store.clone();
    whole(async move { blocking(move || store.hold(wanted, is_held)).await }).await?;
    let now = app.store.erasures();
    Ok(json(wire::erasures_now(&now.pending, &now.holds)))
}

fn wanted(app: &App, draft: &ErasureDraft) -> Vec<Wanted> {
    draft.persons.iter().map(|person| Wanted { person: person.clone(), own: entry(app, draft) }).collect()
}

async fn draft(headers: &HeaderMap, body: Body) -> Result<ErasureDraft, ApiError> {
    expect_json(headers)?;
    let body = timeout(BODY_TIME_MAX, read(body)).await.map_err(|_| body_timeout())??;
    let bad = |why: String| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_erasure", why);
    wire::erasure_draft(&body, DEFAULT_TENANT).map_err(bad)
}

/// Who asks, and why.
fn entry(app: &App, draft: &ErasureDraft) -> Own {
    let request_ref = draft.request_ref.as_ref().map(|text| ("request_ref".to_owned(), own::text(text.as_str())));
    let detail = Json::Object(request_ref.into_iter().collect());
    Own { reason: draft.reason.clone(), ..own::by_whoever(app, REQUESTED, detail) }
}

fn person(event: &Event) -> Option<Person> {
    Some(Person::of(&event.tenant, &event.target_subject()?))
}
