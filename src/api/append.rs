//! `POST /v1/events`: one object, an array, or NDJSON; packed or not; stored whole or not at all.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;

use super::error::ApiError;
use super::params::Params;
use super::{App, json};
use crate::event::limits::DEPTH_MAX;
use crate::event::{Draft, Kind};
use crate::ingest::{self, Encoding, Format, ItemFault, REQUEST_BYTES_MAX};
use crate::json::Json;
use crate::store::{Answer, Append, AppendError, Verdict};
use crate::wire::{self, Refused};

/// A body up to this size is checked where it is received; a larger one on a thread that may take its time. Bytes.
const INLINE_BYTES_MAX: usize = 16 << 10;
/// Faults listed in a refusal, at most; with `on_error=skip` every refused line is listed.
const FAULTS_MAX: usize = 1_000;
/// Faults listed of one line, at most.
const LINE_FAULTS_MAX: usize = 16;
/// Bodies that are being read or checked hold no more than this together, KiB.
pub const BODIES_KIB_MAX: usize = 256 << 10;
/// A body has to arrive within this time.
pub(super) const BODY_TIME_MAX: Duration = Duration::from_secs(60);
/// A body that is too long is read up to here before it is refused.
const DROPPED_BYTES_MAX: usize = 4 * REQUEST_BYTES_MAX;
/// `?wait=searchable` waits no longer than this.
const SEARCHABLE_TIME_MAX: Duration = Duration::from_secs(30);

/// `?on_error=`
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnError {
    Fail,
    Skip,
}

struct Options {
    on_error: OnError,
    is_dry_run: bool,
    wait_searchable: bool,
}

pub async fn append(app: App, uri: Uri, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let mut params = Params::of(&uri)?;
    let options = Options {
        on_error: params
            .take_word("on_error", &[("fail", OnError::Fail), ("skip", OnError::Skip)])?
            .unwrap_or(OnError::Fail),
        is_dry_run: params.take_flag("dry_run")?,
        wait_searchable: params.take_word("wait", &[("searchable", ())])?.is_some(),
    };
    params.finish()?;
    let encoding = encoding_of(&headers)?;
    let is_ndjson = is_ndjson(&headers)?;
    let key = idempotency_key(&headers)?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse::<usize>().ok());
    let _room = room(&app, length)?;
    let body = tokio::time::timeout(BODY_TIME_MAX, read(body)).await.map_err(|_| body_timeout())??;

    let (checked_app, skip) = (app.clone(), options.on_error == OnError::Skip);
    let is_short = length.is_some_and(|n| n <= INLINE_BYTES_MAX) && encoding == Encoding::Identity;
    let check = move || check(&checked_app, &body, encoding, is_ndjson, key.as_deref(), skip);
    let (drafts, faults) = match is_short {
        true => check(),
        false => {
            tokio::task::spawn_blocking(check).await.unwrap_or_else(|_| Err(ApiError::internal("a check panicked")))
        }
    }?;
    if options.is_dry_run {
        let events = drafts.len();
        return Ok(json(format!("{{\"dry_run\":true,\"events\":{events},\"refused\":{}}}", faults.len())));
    }
    let (lines, drafts): (Vec<usize>, Vec<Draft>) = drafts.into_iter().unzip();
    let verdicts = store(&app, drafts, skip).await?.map_err(|error| match &error {
        // The writer counts events; the sender counts lines, blank ones too.
        AppendError::Conflict { index, .. } if let Some(line) = lines.get(*index) => {
            ApiError::conflict(*line, &error.to_string())
        }
        _ => error.into(),
    })?;
    answer(&app, &options, &lines, verdicts, faults).await
}

/// Drafts with their lines, and faults.
type Checked = (Vec<(usize, Draft)>, Vec<ItemFault>);

/// Unpacks, cuts and checks. The drafts with their lines, and (where lines may be skipped) the faults of the others.
fn check(
    app: &App,
    body: &[u8],
    encoding: Encoding,
    is_ndjson: bool,
    key: Option<&str>,
    skip: bool,
) -> Result<Checked, ApiError> {
    let body = ingest::decompress(body, encoding, REQUEST_BYTES_MAX)?;
    let format = if is_ndjson { Format::Ndjson } else { Format::of_json(&body) };
    let body = match (key, format) {
        (Some(key), Format::Object) => with_id(body, key),
        (Some(_), Format::Array | Format::Ndjson) => {
            let detail = "Idempotency-Key goes with one event; give the events of a batch their own ids";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_header", detail));
        }
        (None, _) => body,
    };
    let items = ingest::split(&body, format).map_err(|faults| ApiError::faults(&faults))?;
    let mut drafts = Vec::with_capacity(items.len());
    let mut faults = Vec::new();
    for (item, verdict) in items.iter().zip(ingest::validate_all(&items, &app.store.intake(app.caller.tenant()))) {
        match verdict {
            Ok(draft) => drafts.push((item.line, draft)),
            Err(found) if faults.len() < FAULTS_MAX || skip => {
                let found = found.into_iter().take(LINE_FAULTS_MAX);
                faults.extend(found.map(|fault| ItemFault { line: item.line, fault }));
            }
            Err(_) => {}
        }
    }
    if !faults.is_empty() && !skip {
        faults.truncate(FAULTS_MAX);
        return Err(ApiError::faults(&faults));
    }
    Ok((drafts, faults))
}

async fn store(app: &App, drafts: Vec<Draft>, skip_conflicts: bool) -> Result<Answer, ApiError> {
    if drafts.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    Ok(enter(app, Append { drafts, skip_conflicts, kind: Kind::Event }).await)
}

/// Has a request stored, and answers what became of it.
pub(super) async fn enter(app: &App, append: Append) -> Answer {
    let has_personal = append.drafts.iter().any(|draft| !draft.personal.is_empty());
    let answer = match has_personal {
        false => app.store.append(append)?,
        // What is sealed takes its time, and a new key has to be on disk first.
        true => {
            let store = app.store.clone();
            let sealed = tokio::task::spawn_blocking(move || store.append(append)).await;
            sealed.unwrap_or_else(|_| Err(AppendError::Keyring { why: "sealing panicked".into() }))?
        }
    };
    // The writer drops a request unanswered only when it dies.
    answer.await.unwrap_or(Err(AppendError::SyncFailed))
}

async fn answer(
    app: &App,
    options: &Options,
    lines: &[usize],
    verdicts: Vec<Verdict>,
    faults: Vec<ItemFault>,
) -> Result<Response, ApiError> {
    let mut refused: Vec<Refused> = faults.iter().map(Refused::of).collect();
    let mut receipts = Vec::with_capacity(verdicts.len());
    for (line, verdict) in lines.iter().zip(verdicts) {
        match verdict {
            Verdict::Stored(receipt) => receipts.push((*line, receipt)),
            Verdict::Conflict { id: _, seq } => refused.push(Refused {
                line: *line,
                pointer: "/id".into(),
                code: "conflict",
                message: format!("the id is taken by another event at seq {seq}"),
            }),
        }
    }
    refused.sort_by_key(|refused| refused.line);
    if options.wait_searchable
        && let Some(last) = receipts.iter().map(|(_, receipt)| receipt.seq).max()
    {
        // The events are durable whatever becomes of the index: the watermarks say whether it came so far.
        let _ = tokio::time::timeout(SEARCHABLE_TIME_MAX, app.store.watermarks().searchable_soon(last.plus(1))).await;
    }
    let is_new = receipts.iter().any(|(_, receipt)| !receipt.duplicate);
    let refused = (options.on_error == OnError::Skip).then_some(refused);
    let body = wire::receipts(&receipts, refused.as_deref(), app.store.marks());
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, json(body)).into_response())
}

/// Room for a body of this length, until it is dropped.
fn room(app: &App, length: Option<usize>) -> Result<OwnedSemaphorePermit, ApiError> {
    let kib = length.unwrap_or(REQUEST_BYTES_MAX).min(REQUEST_BYTES_MAX).div_ceil(1024).max(1);
    let kib = u32::try_from(kib).unwrap_or(u32::MAX);
    app.bodies.clone().try_acquire_many_owned(kib).map_err(|_| {
        ApiError::unavailable("queue_full", format!("requests of {BODIES_KIB_MAX} KiB are being read already"), 1)
    })
}

/// The event with the header's key as its id, if it has none of its own. A body that is no object is left alone: the
/// check says what is wrong with it.
fn with_id<'a>(body: Cow<'a, [u8]>, key: &str) -> Cow<'a, [u8]> {
    let parsed = std::str::from_utf8(&body).ok().and_then(|text| crate::json::parse(text, DEPTH_MAX).ok());
    let Some(Json::Object(mut members)) = parsed else {
        return body;
    };
    match members.iter_mut().find(|(name, _)| name == "id") {
        Some((_, id @ Json::Null)) => *id = Json::String(key.to_owned()),
        Some(_) => return body,
        None => members.push(("id".to_owned(), Json::String(key.to_owned()))),
    }
    let mut with = String::with_capacity(body.len() + key.len() + 8);
    Json::Object(members).write(&mut with);
    Cow::Owned(with.into_bytes())
}

fn encoding_of(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let word = header_text(headers, "content-encoding")?.unwrap_or_default();
    Encoding::from_word(word).ok_or_else(|| {
        let detail = format!("Content-Encoding is {word:?}, expected gzip, zstd or identity");
        ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", detail)
    })
}

pub(super) fn is_ndjson(headers: &HeaderMap) -> Result<bool, ApiError> {
    let whole = header_text(headers, "content-type")?.unwrap_or("application/json");
    match whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/json" => Ok(false),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(true),
        _ => {
            let detail = format!("Content-Type is {whole:?}, expected application/json or application/x-ndjson");
            Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
        }
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    Ok(header_text(headers, "idempotency-key")?
        .map(|key| key.trim_matches('"').to_owned())
        .filter(|key| !key.is_empty()))
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    let text = headers.get(name).map(|value| value.to_str());
    text.transpose().map_err(|_| {
        ApiError::new(StatusCode::BAD_REQUEST, "bad_header", format!("{name} has characters other than visible ASCII"))
    })
}

pub(super) fn body_timeout() -> ApiError {
    let detail = format!("the body did not arrive within {} s", BODY_TIME_MAX.as_secs());
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail)
}

/// The whole body. One that is too long is read on for a while and dropped: most clients look at an answer only when they
/// have sent everything, and take a connection that closes before that for a fault of the network.
pub(super) async fn read(mut body: Body) -> Result<Bytes, ApiError> {
    let (mut read, mut len) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let broken = "the request's body could not be read to its end";
        let frame = frame.map_err(|_| ApiError::new(StatusCode::BAD_REQUEST, "bad_body", broken))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        len += data.len();
        if len <= REQUEST_BYTES_MAX {
            read.extend_from_slice(&data);
        } else if len > DROPPED_BYTES_MAX {
            break;
        }
    }
    if len > REQUEST_BYTES_MAX {
        let detail = format!("the request has more than {REQUEST_BYTES_MAX} bytes");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail));
    }
    Ok(read.freeze())
}
