//! `/v1/segments`: which files the log is in, and the sealed ones as they are, for backup and backfill. What is sealed
//! changes only when something is cut out of it; then its digest is another.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tracing::error;

use super::error::ApiError;
use super::export::permit;
use super::params::Params;
use super::{App, EngineChoice, ask, json, own};
use crate::event::Object;
use crate::json::Json;
use crate::log::SegmentBytes;
use crate::seq::Seq;
use crate::store::own::number;
use crate::wire;

/// Bytes read and sent at a time.
const PIECE_BYTES: usize = 256 << 10;

pub async fn list(app: App, uri: Uri) -> Result<Response, ApiError> {
    Params::of(&uri)?.finish()?;
    let segments = app.store.source().reader().segments();
    Ok(json(wire::segments(&segments, app.store.marks())))
}

pub async fn one(app: App, Path(first): Path<String>, uri: Uri) -> Result<Response, ApiError> {
    Params::of(&uri)?.finish()?;
    let missing = || ApiError::not_found(format!("there is no segment {first:?}"));
    let first = Seq(first.parse().map_err(|_| missing())?);
    let segments = app.store.source().reader().segments();
    let segment = segments.iter().find(|segment| segment.first == first).ok_or_else(missing)?;
    if segment.sealed.is_none() {
        return Err(ApiError::not_sealed(first));
    }
    let permit = permit(&app)?;
    let file =
        ask(&app, EngineChoice::Index, move |answers, _| Ok(answers.source.reader().sealed_bytes(first)?)).await?;
    let length = HeaderValue::from(file.bytes());
    let target = Object { kind: Some("segment".into()), id: Some(first.to_string()), name: None };
    let detail =
        Json::Object(vec![("format".to_owned(), own::text("segment")), ("bytes".to_owned(), number(file.bytes()))]);
    own::enter(&app, "audit.exported", Some(target), detail).await?;

    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(send(file, sender, permit));
    let mut response = Response::new(Body::new(StreamBody::new(ReceiverStream::new(receiver))));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, length);
    let name = format!("attachment; filename=\"{:020}.seg\"", first.0);
    headers.extend(HeaderValue::from_str(&name).ok().map(|name| (header::CONTENT_DISPOSITION, name)));
    Ok(response)
}

type Pieces = mpsc::Sender<io::Result<Frame<Bytes>>>;

async fn send(file: SegmentBytes, sender: Pieces, _permit: OwnedSemaphorePermit) {
    if let Err(why) = send_pieces(file, &sender).await {
        error!("sending a segment broke off: {why}");
        // Half a segment never looks like a whole one: the connection breaks. The client may have gone already.
        let _ = sender.send(Err(io::Error::other(why))).await;
    }
}

/// Piece after piece, as fast as the client takes them; no thread waits for it.
async fn send_pieces(mut file: SegmentBytes, sender: &Pieces) -> Result<(), String> {
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let piece = file.next_piece(PIECE_BYTES);
            (file, piece)
        });
        let (rest, piece) = read.await.map_err(|_| "it panicked".to_owned())?;
        file = rest;
        let piece = piece.map_err(|error| error.to_string())?;
        if piece.is_empty() || sender.send(Ok(Frame::data(Bytes::from(piece)))).await.is_err() {
            return Ok(());
        }
    }
}
