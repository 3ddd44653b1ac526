//! `GET /v1/tail`: matching entries as they come, as server-sent events. Every message has the entry's seq as its id, so a
//! client that comes back with its last id goes on without a gap or a double, also over a restart.
//!
//! Each client has a task. It waits until more is searchable, asks for the matches among what is new, in bounded batches,
//! and puts them into a bounded queue. Who does not take them is told so and hung up.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Extension};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header};
use axum::response::Response;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::connection::Line;
use super::error::ApiError;
use super::params::Params;
use super::sse::{self, Outbox};
use super::{App, EngineChoice, ask, own};
use crate::event::Catalogue;
use crate::index::scan::Scan;
use crate::index::source::Row;
use crate::index::{Engine, EngineError, Order, Within};
use crate::query::Query;
use crate::seq::Seq;
use crate::store::{Answers, WINDOW_EVENTS};

/// Tails at a time. Each may hold a queue and a batch, 1.5 MiB together.
pub const TAILS_MAX: usize = 256;
/// Tails that read at a time, so that many of them leave threads and processors to questions.
const READERS_MAX: usize = 4;
/// A client that takes nothing for this long while there is something to take is dropped.
const SLOW: Duration = Duration::from_secs(10);
/// How often a quiet tail gives a sign of life, well below the minute after which proxies cut.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A tail that has everything looks at most this often for more.
const LOOK: Duration = Duration::from_millis(200);
/// While the index is rebuilt, what it would answer is asked for again after this long.
const REBUILDING: Duration = Duration::from_secs(2);
/// How long a dropped client has to read why, before it is hung up.
const LAST_WORD: Duration = Duration::from_secs(30);
/// The same when the server stops: those who read have read it at once.
const LAST_WORD_STOPPING: Duration = Duration::from_secs(1);
/// After so many events without a match the client is told where it is, so that it need not go through them again.
const PLACE_EVENTS: u64 = 32_768;
/// Up to this many new events are read and compared one by one; for more, the index is asked. The index looks at every
/// match in the newest 32,768 events, however few of them are new.
const SCANNED_EVENTS: u64 = 128;
/// Entries read at a time, at most.
const BATCH_ROWS: usize = 1_000;
/// Bytes of entries read at a time, at most; the last one may go beyond.
const BATCH_BYTES: usize = 256 << 10;

/// What all tails share.
pub struct Tails {
    slots: Arc<Semaphore>,
    readers: Semaphore,
    dropped: AtomicU64,
}

impl Default for Tails {
    fn default() -> Tails {
        Tails {
            slots: Arc::new(Semaphore::new(TAILS_MAX)),
            readers: Semaphore::new(READERS_MAX),
            dropped: AtomicU64::new(0),
        }
    }
}

impl Tails {
    /// Tails that are open now.
    pub fn open(&self) -> u64 {
        (TAILS_MAX - self.slots.available_permits()) as u64
    }

    /// Clients dropped since the start because they did not read.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Writes the message of an entry.
pub type Messages = Arc<dyn Fn(&Row<'_>, &Catalogue) -> String + Send + Sync>;

/// What a tail is asked for.
pub struct Request<'a> {
    /// Which entries.
    pub query: Query,
    /// May hold the last id.
    pub headers: &'a HeaderMap,
    /// The last id where it stands in the address.
    pub by_parameter: Option<String>,
    /// Of HTTP.
    pub version: Version,
    /// The connection, to hang it up.
    pub line: Option<Line>,
}

/// `GET /v1/tail`
pub async fn tail(
    app: App,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    line: Option<Extension<ConnectInfo<Line>>>,
) -> Result<Response, ApiError> {
    let mut params = Params::of(&uri)?;
    let by_parameter = params.take("last_event_id")?;
    let filter = params.into_strict_filter(&app)?;
    own::enter_search(&app, filter.hash, &filter.query, 0).await?;
    let query = filter.query;
    let line = line.map(|Extension(ConnectInfo(line))| line);
    open(&app, Request { query, headers: &headers, by_parameter, version, line }, Arc::new(sse::entry)).await
}

/// Begins a tail whose messages are written by `messages`.
pub async fn open(app: &App, request: Request<'_>, messages: Messages) -> Result<Response, ApiError> {
    let Request { query, headers, by_parameter, version, line } = request;
    // An EventSource asks for the same address again and says in the header how far it has come since.
    let last_id = match headers.get("last-event-id").filter(|id| !id.is_empty()) {
        Some(id) => Some(String::from_utf8_lossy(id.as_bytes()).into_owned()),
        None => by_parameter,
    };
    let marks = app.store.marks();
    let next = match last_id {
        Some(id) => resume(&id, marks.durable)?,
        None => marks.searchable,
    };
    let query = Arc::new(query);
    try_out(app, query.clone()).await?;
    let slot = app.tails.slots.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{TAILS_MAX} tails are open already");
        ApiError::unavailable("too_many_tails", detail, 10)
    })?;

    let (outbox, stream) = sse::stream(slot);
    let tail = Tail { app: app.clone(), query, messages, next, told: next, said_at: Instant::now(), outbox };
    // Over HTTP/2 other requests may share the connection, so it is never hung up.
    let line = line.filter(|_| version < Version::HTTP_2);
    tokio::spawn(tail.run(line));

    let mut response = Response::new(Body::new(stream));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies such as nginx would collect messages otherwise.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    if version < Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// The place behind the client's last id.
fn resume(id: &str, durable: Seq) -> Result<Seq, ApiError> {
    let refused = |code, detail| ApiError::parameter("last_event_id", code, detail);
    let next = sse::next_after(id)
        .ok_or_else(|| refused("bad_value", format!("the last event id is {id:?}, expected the seq of an entry")))?;
    if next > durable {
        let detail =
            format!("the last event id is {id}, but the log ends before {durable}: it is another log; start anew");
        return Err(refused("beyond_the_log", detail));
    }
    Ok(next)
}

/// A query that cannot be asked is refused at once and not in the middle of the stream.
async fn try_out(app: &App, query: Arc<Query>) -> Result<(), ApiError> {
    let nothing = Within { from: Seq::ZERO, to: Seq::ZERO };
    ask(app, EngineChoice::Index, move |answers, _| {
        match answers.engine.hits(&query, Order::SeqAsc, None, nothing).map(drop) {
            // That passes.
            Err(EngineError::Rebuilding { .. }) => Ok(()),
            tried => Ok(tried?),
        }
    })
    .await
}

/// Why a tail ends.
enum End {
    /// The client went away.
    Gone,
    /// The client does not read.
    Slow,
    /// The server stops.
    Stopping,
    /// No answer, and there will be none.
    Failed(ApiError),
}

/// One client's tail.
struct Tail {
    app: App,
    query: Arc<Query>,
    messages: Messages,
    /// Everything before it was looked at.
    next: Seq,
    /// The place that the client knows of.
    told: Seq,
    /// When it was sent something last.
    said_at: Instant,
    outbox: Outbox,
}

/// What one look found.
enum Looked {
    /// Entries in order, each with its message, and where to look next.
    Found { messages: Vec<(Seq, String)>, next: Seq },
    /// The index cannot answer yet.
    Rebuilding,
}

impl Tail {
    async fn run(mut self, line: Option<Line>) {
        let Err(end) = self.follow().await;
        let (event, why, last_word) = match end {
            End::Gone => return,
            End::Slow => {
                self.app.tails.dropped.fetch_add(1, Ordering::Relaxed);
                ("dropped", ApiError::slow_client(SLOW), LAST_WORD)
            }
            End::Stopping => ("stopping", ApiError::stopping(), LAST_WORD_STOPPING),
            End::Failed(why) => ("failed", why, LAST_WORD),
        };
        let why = why.resume_from(sse::id_before(self.told));
        let Tail { app, outbox, told, .. } = self;
        outbox.finish(sse::last(told, event, &why.body()));
        let Some(line) = line else {
            return;
        };
        // A server that stops waits for nobody who was dropped before.
        let patience = async {
            tokio::select! {
                () = sleep(last_word) => {}
                () = async { app.stopping().await; sleep(LAST_WORD_STOPPING).await } => {}
            }
        };
        tokio::select! {
            () = line.closed() => {}
            () = patience => line.hang_up(),
        }
    }

    async fn follow(&mut self) -> Result<Infallible, End> {
        // Told first of all, so that a client that is cut off before the first entry comes back to here.
        self.tell_place().await?;
        loop {
            let looked_at = Instant::now();
            match self.look().await? {
                Looked::Found { messages, next } => {
                    for (seq, message) in messages {
                        self.send(message).await?;
                        self.told = seq.plus(1);
                    }
                    self.next = next;
                }
                Looked::Rebuilding => {
                    self.unless_over(sleep(REBUILDING)).await?;
                    self.send(sse::heartbeat()).await?;
                    continue;
                }
            }
            if self.next.0 - self.told.0 >= PLACE_EVENTS {
                self.tell_place().await?;
            }
            if self.next >= self.app.store.marks().searchable {
                self.wait_for_more().await?;
                self.unless_over(sleep_until(looked_at + LOOK)).await?;
            }
        }
    }

    /// Returns when there is something to look at; gives signs of life meanwhile.
    async fn wait_for_more(&mut self) -> Result<(), End> {
        loop {
            // Also when events come all the time and none of them matches.
            if self.said_at.elapsed() >= HEARTBEAT {
                match self.told == self.next {
                    true => self.send(sse::heartbeat()).await?,
                    false => self.tell_place().await?,
                }
            }
            let more = self.app.store.watermarks().searchable(self.next.plus(1));
            if self.unless_over(timeout_at(self.said_at + HEARTBEAT, more)).await?.is_ok() {
                return Ok(());
            }
        }
    }

    async fn tell_place(&mut self) -> Result<(), End> {
        self.send(sse::place(self.next)).await?;
        self.told = self.next;
        Ok(())
    }

    /// Asks for the matches in the next stretch of what is searchable.
    async fn look(&self) -> Result<Looked, End> {
        let (query, messages, from) = (self.query.clone(), self.messages.clone(), self.next);
        let looking = async {
            let _reading = self.app.tails.readers.acquire().await.expect("nobody closes it");
            ask(&self.app, EngineChoice::Index, move |answers, view| {
                let to = view.searchable().min(from.plus(WINDOW_EVENTS)).max(from);
                let within = Within { from, to };
                let scan = Scan::new(answers.source.clone(), within).patient(view.patience().clone());
                let scan = view.narrowed(&scan);
                let engine = if to.0 - from.0 <= SCANNED_EVENTS { &scan } else { answers.engine };
                match find(&Answers { engine, ..answers }, &query, within, &*messages) {
                    Err(EngineError::Rebuilding { .. }) => Ok(Looked::Rebuilding),
                    found => Ok(found?),
                }
            })
            .await
        };
        self.unless_over(looking).await?.map_err(End::Failed)
    }

    async fn send(&mut self, message: String) -> Result<(), End> {
        self.unless_over(timeout(SLOW, self.outbox.send(message))).await?.map_err(|_| End::Slow)?;
        self.said_at = Instant::now();
        Ok(())
    }

    async fn unless_over<T>(&self, work: impl Future<Output = T>) -> Result<T, End> {
        tokio::select! {
            biased;
            () = self.app.stopping() => Err(End::Stopping),
            () = self.outbox.gone() => Err(End::Gone),
            done = work => Ok(done),
        }
    }
}

fn find(
    answers: &Answers<'_, dyn Engine>,
    query: &Query,
    within: Within,
    write: &(dyn Fn(&Row<'_>, &Catalogue) -> String + Send + Sync),
) -> Result<Looked, EngineError> {
    let (mut messages, mut bytes) = (Vec::new(), 0);
    let next = answers.walk(query, within, |row| {
        if messages.len() == BATCH_ROWS || bytes >= BATCH_BYTES {
            return false;
        }
        let message = write(row, answers.catalogue);
        bytes += message.len();
        messages.push((row.seq, message));
        true
    })?;
    Ok(Looked::Found { messages, next })
}
