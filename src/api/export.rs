//! `GET /v1/export`: everything that matches, as a stream: no row limit, constant memory, a snapshot taken at the start.
//!
//! How many rows there were and the last `seq` of the snapshot stand in the trailers. If anything fails on the way the
//! connection breaks: half an export never looks like a whole one.
//!
//! A bundle's rows are proven under one signed checkpoint, so its snapshot ends where that does. Signing is at most a second
//! behind; a bundle waits two for what was searchable when it was asked for, and then takes what is signed.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::response::Response;
use chrono_tz::Tz;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body::Frame;
use http_body_util::StreamBody;
use parking_lot::Mutex;
use rayon::prelude::*;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tracing::error;

use super::error::ApiError;
use super::events::ORDERS;
use super::params::Params;
use super::proofs::{SIGNED_SOON, signed};
use super::{App, EngineChoice, accepts, ask, own};
use crate::event::Object;
use crate::export::csv::{self, CsvOptions};
use crate::export::{Format, bundle, ndjson};
use crate::index::source::Source;
use crate::index::{Engine, EngineError, Narrowed, Order, Within};
use crate::json::Json;
use crate::log::Head;
use crate::query::Query;
use crate::seq::Seq;
use crate::store::Store;
use crate::store::own::number;
use crate::tree::Prover;

/// Bytes sent at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// Exports that may run at a time, each with a thread; segments that are being sent count as well.
pub const EXPORTS_MAX: usize = 16;
/// Chunks made ahead of the client: a slow one holds no more than this.
const CHUNKS_AHEAD: usize = 8;
/// Rows that are found before they are written, which happens on all cores, so many on each at a time.
const GROUP_ROWS: usize = 128;
const PART_ROWS: usize = 32;

const FORMATS: [(&str, Format); 3] = [("csv", Format::Csv), ("ndjson", Format::Ndjson), ("bundle", Format::Bundle)];
const ROWS: &str = "annals-rows";
/// The same for the page, which calls rows entries.
const COUNT: &str = "x-entry-count";
const SNAPSHOT: &str = "annals-last-seq";

/// What to export and how.
pub struct File {
    /// Which entries.
    pub query: Query,
    /// In which order.
    pub order: Order,
    /// As what.
    pub how: How,
    /// What the file is called.
    pub name: String,
}

/// A format with what it needs.
pub enum How {
    /// A table.
    Csv(CsvOptions),
    /// An entry a line.
    Ndjson,
    /// Proven under this checkpoint.
    Bundle(Head),
}

impl How {
    /// Its word in `format=`.
    fn word(&self) -> &'static str {
        match self {
            How::Csv(_) => "csv",
            How::Ndjson => "ndjson",
            How::Bundle(_) => "bundle",
        }
    }
}

type Chunks = mpsc::Sender<io::Result<Frame<Bytes>>>;

/// `GET /v1/export`
pub async fn export(app: App, uri: Uri, headers: HeaderMap) -> Result<Response, ApiError> {
    let mut params = Params::of(&uri)?;
    let format = params.take_word("format", &FORMATS)?;
    let expected = "format is missing, expected csv, ndjson, bundle";
    let format = format.ok_or_else(|| ApiError::parameter("format", "required", expected))?;
    let order = params.take_word("order", &ORDERS)?.unwrap_or(Order::TimeDesc);
    let tz = params.take_as("tz", "an IANA time zone such as Europe/Berlin", |_: &Tz| true)?.unwrap_or(Tz::UTC);
    let bom = params.take_flag("bom")?;
    let query = params.into_strict_filter(&app)?.query;
    let how = match format {
        Format::Csv => How::Csv(CsvOptions { tz, bom }),
        Format::Ndjson => How::Ndjson,
        Format::Bundle => How::Bundle(signed_soon(&app).await?),
    };
    let name = format!("audit-log.{}", format.extension());
    start(&app, File { query, order, how, name }, format.content_type(), &headers).await
}

/// Begins an export; its answer streams while a thread writes it. The name of the file has neither quotes nor controls.
pub async fn start(
    app: &App,
    export: File,
    content_type: &'static str,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let is_gzip = accepts(headers, "gzip");
    let name = format!("attachment; filename=\"{}\"", export.name);

    let permit = permit(app)?;
    // Before it is entered: an export has the entry about itself only if it is made again.
    let searchable = app.store.marks().searchable;
    enter(app, &export, searchable).await?;
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    let asker = app.clone();
    // A plain thread: an export may take minutes and should not hold one of the threads that questions share.
    let thread = std::thread::Builder::new().name("export".into()).spawn(move || {
        let _permit = permit;
        // A panic must break the connection like any other failure: half an export never looks like a whole one.
        let ended = catch_unwind(AssertUnwindSafe(|| match is_gzip {
            true => {
                let mut out = GzEncoder::new(Out::new(sender.clone()), Compression::fast());
                run(&asker, &export, searchable, &mut out).and_then(|ended| out.finish()?.finish().map(|()| ended))
            }
            false => {
                let mut out = Out::new(sender.clone());
                run(&asker, &export, searchable, &mut out).and_then(|ended| out.finish().map(|()| ended))
            }
        }))
        .unwrap_or_else(|_| Err(io::Error::other("it panicked")));
        let last = match ended {
            Ok(ended) => Ok(Frame::trailers(ended.trailers())),
            Err(error) => {
                if error.kind() != io::ErrorKind::BrokenPipe {
                    error!("an export broke off: {error}");
                }
                Err(error)
            }
        };
        // The client may have gone.
        let _ = sender.blocking_send(last);
    });
    thread.map_err(|error| ApiError::internal(&format!("no thread for an export: {error}")))?;

    let mut response = Response::new(Body::new(StreamBody::new(ReceiverStream::new(receiver))));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::TRAILER, HeaderValue::from_static("annals-rows, annals-last-seq, x-entry-count"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.extend(HeaderValue::from_str(&name).ok().map(|name| (header::CONTENT_DISPOSITION, name)));
    if is_gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// Who takes what away is entered before it is.
async fn enter(app: &App, export: &File, searchable: Seq) -> Result<(), ApiError> {
    if !own::is_named(app) {
        return Ok(());
    }
    let query = export.query.clone();
    let total =
        ask(app, EngineChoice::Index, move |answers, _| Ok(answers.engine.total(&query, Within::below(searchable))?));
    // What takes too long to count is exported all the same.
    let rows = total.await.map_or(Json::Null, number);
    let target = Object { kind: Some("export".into()), id: None, name: Some(export.name.clone()) };
    let detail = vec![
        ("format".to_owned(), own::text(export.how.word())),
        ("query".to_owned(), own::text(export.query.to_string())),
        ("rows".to_owned(), rows),
        ("below_seq".to_owned(), number(searchable.0)),
    ];
    own::enter_asked(app, "audit.exported", target, Json::Object(detail)).await
}

/// The newest checkpoint, if possible of everything that is searchable now.
async fn signed_soon(app: &App) -> Result<Head, ApiError> {
    let searchable = app.store.marks().searchable;
    // Who timed out gets what is signed.
    let _ = tokio::time::timeout(SIGNED_SOON, app.store.watermarks().signed(searchable)).await;
    signed(app)
}

/// The right to send much, until it is dropped.
pub(super) fn permit(app: &App) -> Result<OwnedSemaphorePermit, ApiError> {
    app.exports.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{EXPORTS_MAX} exports are running already");
        ApiError::unavailable("too_many_exports", detail, 10)
    })
}

/// How an export ended.
struct Ended {
    rows: u64,
    snapshot: Seq,
}

impl Ended {
    /// The last seq of the snapshot; none of an empty log.
    fn last(&self) -> Option<u64> {
        self.snapshot.0.checked_sub(1)
    }

    fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert(HeaderName::from_static(ROWS), HeaderValue::from(self.rows));
        trailers.insert(HeaderName::from_static(COUNT), HeaderValue::from(self.rows));
        trailers.extend(self.last().map(|last| (HeaderName::from_static(SNAPSHOT), HeaderValue::from(last))));
        trailers
    }
}

fn run(app: &App, export: &File, searchable: Seq, out: &mut dyn Write) -> io::Result<Ended> {
    let (store, sight) = (&*app.store, app.sight());
    let view = store.view().seen(app.personal());
    let index = Narrowed::new(&view, &sight);
    let snapshot = match &export.how {
        How::Csv(_) | How::Ndjson => searchable,
        How::Bundle(checkpoint) => searchable.min(checkpoint.size),
    };
    let source = store.source().seen(app.personal());
    let rows = Rows { store, source, export, provers: Mutex::default() };
    out.write_all(&rows.head()?)?;
    let mut hits = index.hits(&export.query, export.order, None, Within::below(snapshot)).map_err(io::Error::other)?;
    let mut n = 0;
    loop {
        let group: Result<Vec<Seq>, EngineError> = hits.by_ref().take(GROUP_ROWS).map(|hit| Ok(hit?.seq)).collect();
        let group = group.map_err(io::Error::other)?;
        if group.is_empty() {
            break;
        }
        app.still().map_err(|refused| io::Error::other(refused.detail().to_owned()))?;
        let parts: Vec<io::Result<Vec<u8>>> = group.par_chunks(PART_ROWS).map(|seqs| rows.part(seqs)).collect();
        for part in parts {
            out.write_all(&part?)?;
        }
        n += group.len() as u64;
    }
    let ended = Ended { rows: n, snapshot };
    out.write_all(&rows.last(&ended))?;
    Ok(ended)
}

/// Writes an export's rows, on all cores.
struct Rows<'a> {
    store: &'a Store,
    source: Source,
    export: &'a File,
    /// Of a bundle, those that nobody uses now. Held to take one or to put one back.
    provers: Mutex<Vec<Prover<'a>>>,
}

impl Rows<'_> {
    /// What stands before the rows.
    fn head(&self) -> io::Result<Vec<u8>> {
        match &self.export.how {
            How::Csv(options) => Ok(csv::header(options)),
            How::Ndjson => Ok(Vec::new()),
            How::Bundle(checkpoint) => {
                let key = self.store.public_key().ok_or_else(|| io::Error::other("the log has no key"))?;
                let order = ORDERS.iter().find(|(_, order)| *order == self.export.order);
                let head = bundle::Head {
                    origin: checkpoint.origin(),
                    key,
                    query: &self.export.query.to_string(),
                    order: order.map_or("", |(word, _)| word),
                    checkpoint: &checkpoint.checkpoint,
                };
                let mut text = String::new();
                bundle::write_head(&head, &mut text);
                Ok(text.into_bytes())
            }
        }
    }

    /// Some rows, one after the other.
    fn part(&self, seqs: &[Seq]) -> io::Result<Vec<u8>> {
        let (source, catalogue) = (&self.source, self.store.catalogue());
        let (mut bytes, mut text) = (Vec::new(), String::new());
        for seq in seqs.iter().copied() {
            match &self.export.how {
                How::Csv(options) => {
                    let written = source.with_row(seq, |row| {
                        let category = catalogue.category_of(&row.head.action);
                        csv::write_row_from_body(&row.added(&category), &row.body, options, &mut bytes)
                    });
                    written.map_err(io::Error::other)?.map_err(io::Error::other)?;
                }
                How::Ndjson => {
                    let written = source.with_row(seq, |row| {
                        let category = catalogue.category_of(&row.head.action);
                        ndjson::write_row_from_body(&row.added(&category), &row.body, &mut text);
                    });
                    written.map_err(io::Error::other)?;
                }
                How::Bundle(checkpoint) => {
                    let entry = source.evidence(seq).map_err(io::Error::other)?;
                    // To itself, so that the lock is not held any more.
                    let idle = self.provers.lock().pop();
                    let mut prover = idle.unwrap_or_else(|| Prover::new(self.store.tree(), checkpoint.size.0));
                    let proof = prover.inclusion(seq.0).map_err(io::Error::other)?;
                    self.provers.lock().push(prover);
                    let proof = proof.ok_or_else(|| io::Error::other("a row is not in the signed tree"))?;
                    bundle::write_row(seq, &entry.leaf, &entry.content, &proof, &mut text);
                }
            }
        }
        // One of the two is empty.
        Ok(if bytes.is_empty() { text.into_bytes() } else { bytes })
    }

    /// What stands behind the rows.
    fn last(&self, ended: &Ended) -> Vec<u8> {
        let mut text = String::new();
        match &self.export.how {
            How::Csv(_) | How::Ndjson => {}
            How::Bundle(_) => bundle::write_last(ended.rows, ended.last(), &mut text),
        }
        text.into_bytes()
    }
}

/// Collects bytes into chunks for the connection; waits while the client is slow.
struct Out {
    chunk: Vec<u8>,
    chunks: Chunks,
}

impl Out {
    fn new(chunks: Chunks) -> Out {
        Out { chunk: Vec::with_capacity(CHUNK_BYTES), chunks }
    }

    fn send(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES));
        let sent = self.chunks.blocking_send(Ok(Frame::data(Bytes::from(chunk))));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the client went away"))
    }

    fn finish(mut self) -> io::Result<()> {
        if self.chunk.is_empty() { Ok(()) } else { self.send() }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
