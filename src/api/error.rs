//! Every failure as an RFC 9457 problem: this is the one file that chooses status codes.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tracing::error;

use crate::auth::KeyError;
use crate::durable;
use crate::index::EngineError;
use crate::ingest::{DecompressError, ItemFault};
use crate::json::write_string;
use crate::log::ReadError;
use crate::query::ParamError;
use crate::seq::Seq;
use crate::store::AppendError;
use crate::store::cursor::CursorError;
use crate::store::erasures::EraseError;
use crate::tree::tile_reader::TileError;
use crate::wire::{self, HistogramError, Refused};
use crate::witness::Refusal;

/// A refusal, ready to be sent.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// Where in the request: extra members of the problem. Boxed, because every handler returns a refusal.
    place: Box<Place>,
    retry_after_s: Option<u32>,
}

#[derive(Debug, Default)]
struct Place {
    parameter: Option<String>,
    position: Option<usize>,
    resume_from: Option<String>,
    faults: Vec<Refused>,
}

impl ApiError {
    /// A refusal with a stable code and a sentence.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> ApiError {
        ApiError { status, code, detail: detail.into(), place: Box::default(), retry_after_s: None }
    }

    /// 400 for one parameter.
    pub fn parameter(name: &str, code: &'static str, detail: impl Into<String>) -> ApiError {
        let mut error = ApiError::new(StatusCode::BAD_REQUEST, code, detail);
        error.place.parameter = Some(name.to_owned());
        error
    }

    /// 401: who is it?
    pub fn unauthorized(detail: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// 429: come back in so many seconds.
    pub fn too_often(detail: &'static str, seconds: u64) -> ApiError {
        let refused = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail);
        refused.retry(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// 404 for an entry.
    pub fn not_found(what: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "not_found", what)
    }

    /// The faults of a request's events, all at once. The first one gives status and code.
    pub fn faults(faults: &[ItemFault]) -> ApiError {
        let faults: Vec<Refused> = faults.iter().map(Refused::of).collect();
        let Some(first) = faults.first() else {
            return ApiError::internal("a request was refused without a fault");
        };
        let others = match faults.len() - 1 {
            0 => String::new(),
            1 => "; and 1 more".to_owned(),
            n => format!("; and {n} more"),
        };
        let detail = format!("line {}: {}{others}", first.line, first.message);
        let mut error = ApiError::new(fault_status(first.code), first.code, detail);
        error.place.faults = faults;
        error
    }

    /// 409: the event of this line has the id of another one.
    pub fn conflict(line: usize, message: &str) -> ApiError {
        let mut conflict = ApiError::new(StatusCode::CONFLICT, "conflict", format!("line {line}: {message}"));
        let message = message.to_owned();
        conflict.place.faults = vec![Refused { line, pointer: "/id".into(), code: "conflict", message }];
        conflict
    }

    /// A fault of ours. The cause goes to the log, not to the caller.
    pub fn internal(why: &str) -> ApiError {
        error!("a request failed: {why}");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server could not answer; its log says why")
    }

    /// 503: come back in so many seconds.
    pub fn unavailable(code: &'static str, detail: impl Into<String>, seconds: u32) -> ApiError {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry(seconds)
    }

    /// 503: a proof leads to a signed checkpoint, and there is none that covers what was asked for.
    pub fn not_signed_yet(signed: Seq) -> ApiError {
        let detail = format!("checkpoints are signed up to event {signed} so far; a newer one follows within a second");
        ApiError::unavailable("not_signed_yet", detail, 1)
    }

    /// 409: the segment is there, but still grows or waits to be sealed.
    pub fn not_sealed(first: Seq) -> ApiError {
        let detail = format!("segment {first} is not sealed yet; /v1/segments lists those that are");
        ApiError::new(StatusCode::CONFLICT, "not_sealed", detail)
    }

    /// 408, said inside a stream: the client did not read.
    pub fn slow_client(waited: Duration) -> ApiError {
        let detail = format!("nothing was read for {} s while there was something to read", waited.as_secs());
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "slow_client", detail)
    }

    /// 503, said inside a stream: the server stops.
    pub fn stopping() -> ApiError {
        AppendError::Stopping.into()
    }

    /// Says with which last event id to come back.
    pub fn resume_from(mut self, id: String) -> ApiError {
        self.place.resume_from = Some(id);
        self
    }

    fn retry(mut self, seconds: u32) -> ApiError {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What went wrong, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The problem as JSON, one line.
    pub fn body(&self) -> String {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let mut out = format!(
            "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{},\"code\":\"{}\",\"detail\":",
            self.status.as_u16(),
            self.code
        );
        write_string(&self.detail, &mut out);
        if let Some(parameter) = &self.place.parameter {
            out.push_str(",\"parameter\":");
            write_string(parameter, &mut out);
        }
        if let Some(position) = self.place.position {
            wire::put(&mut out, format_args!(",\"at\":{position}"));
        }
        if let Some(id) = &self.place.resume_from {
            out.push_str(",\"resume_from\":");
            write_string(id, &mut out);
        }
        if let Some(first) = self.place.faults.first() {
            wire::put(&mut out, format_args!(",\"line\":{},\"pointer\":", first.line));
            write_string(&first.pointer, &mut out);
            out.push_str(",\"errors\":");
            wire::array(&mut out, &self.place.faults, |out, fault| fault.write(out));
        }
        out.push('}');
        out
    }
}

/// What a sender has to change decides the status: the bytes (400), the size (413) or the meaning (422).
fn fault_status(code: &str) -> StatusCode {
    match code {
        "invalid_json" | "invalid_utf8" | "duplicate_key" | "nul" => StatusCode::BAD_REQUEST,
        "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// What a witness answers, as c2sp.org/tlog-witness has it.
pub fn refusal_status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Malformed(_) | Refusal::Backwards { .. } => StatusCode::BAD_REQUEST,
        Refusal::UnknownLog(_) => StatusCode::NOT_FOUND,
        Refusal::NotSigned(_) => StatusCode::FORBIDDEN,
        Refusal::Conflict { .. } => StatusCode::CONFLICT,
        Refusal::BadProof { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = self.body();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            // A browser asks its user; a program reads the first.
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"annals\""));
            headers.append(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"annals\", charset=\"UTF-8\""),
            );
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> ApiError {
        match error {
            EngineError::Rebuilding { .. } => ApiError::unavailable("index_rebuilding", error.to_string(), 5),
            EngineError::TooBroad { .. } => {
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_broad", error.to_string())
            }
            EngineError::TooComplex { .. } => {
                ApiError::new(StatusCode::BAD_REQUEST, "pattern_too_complex", error.to_string())
            }
            EngineError::Index(_) | EngineError::Log(_) | EngineError::Record { .. } => {
                ApiError::internal(&error.to_string())
            }
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> ApiError {
        match error {
            ReadError::NotThere { .. } => ApiError::not_found(error.to_string()),
            ReadError::NotSealed { segment } => ApiError::not_sealed(segment),
            ReadError::Corrupt { .. } | ReadError::Io { .. } | ReadError::Stopped => {
                ApiError::internal(&error.to_string())
            }
        }
    }
}

impl From<AppendError> for ApiError {
    fn from(error: AppendError) -> ApiError {
        let unavailable =
            |code, seconds| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, error.to_string()).retry(seconds);
        match &error {
            AppendError::Conflict { index, id: _, seq: _ } => ApiError::conflict(index + 1, &error.to_string()),
            AppendError::DiskFull { .. } | AppendError::NoRoom { .. } => {
                ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", error.to_string())
            }
            AppendError::QueueFull => unavailable("queue_full", 1),
            AppendError::IdsRebuilding => unavailable("ids_rebuilding", 2),
            AppendError::ClockStepped { .. } | AppendError::LogAhead { .. } => unavailable("clock", 60),
            AppendError::ReadOnly { .. } => unavailable("read_only", 60),
            AppendError::SyncFailed => unavailable("outcome_unknown", 5),
            AppendError::Stopping => unavailable("stopping", 2),
            AppendError::Read { why } | AppendError::Keyring { why } => ApiError::internal(why),
        }
    }
}

impl From<EraseError> for ApiError {
    fn from(error: EraseError) -> ApiError {
        match error {
            EraseError::NoKeyring => ApiError::new(StatusCode::CONFLICT, "nothing_sealed", error.to_string()),
            EraseError::Append(error) => error.into(),
            EraseError::Engine(error) => error.into(),
            EraseError::Keyring(_) => ApiError::internal(&error.to_string()),
        }
    }
}

impl From<TileError> for ApiError {
    fn from(error: TileError) -> ApiError {
        match error {
            TileError::Missing { .. } => ApiError::unavailable("tree_missing", error.to_string(), 60),
            TileError::Io(_) => ApiError::internal(&error.to_string()),
        }
    }
}

impl From<ParamError> for ApiError {
    fn from(error: ParamError) -> ApiError {
        let mut refused = ApiError::parameter(&error.param, error.error.code, error.error.to_string());
        refused.place.position = Some(error.error.at);
        refused
    }
}

impl From<CursorError> for ApiError {
    fn from(error: CursorError) -> ApiError {
        let code = match error {
            CursorError::Unreadable => "bad_cursor",
            CursorError::OtherCall | CursorError::Mismatch => "cursor_mismatch",
        };
        ApiError::parameter("cursor", code, error.to_string())
    }
}

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> ApiError {
        match &error {
            KeyError::Bad { .. } | KeyError::Restriction(_) => {
                ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_key", error.to_string())
            }
            KeyError::TooMany => ApiError::new(StatusCode::CONFLICT, "too_many_keys", error.to_string()),
            KeyError::Io { source, .. } if durable::is_full(source) => {
                ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", error.to_string())
            }
            KeyError::Io { .. } | KeyError::Damaged { .. } => ApiError::internal(&error.to_string()),
        }
    }
}

impl From<HistogramError> for ApiError {
    fn from(error: HistogramError) -> ApiError {
        ApiError::parameter("histogram", "bad_value", error.to_string())
    }
}

impl From<DecompressError> for ApiError {
    fn from(error: DecompressError) -> ApiError {
        match error {
            DecompressError::TooLarge { .. } => {
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", error.to_string())
            }
            DecompressError::Damaged { .. } => {
                ApiError::new(StatusCode::BAD_REQUEST, "bad_encoding", error.to_string())
            }
        }
    }
}
