//! Connections that a handler can hang up, and that know when something last moved on them. A client that reads nothing lets hyper
//! wait for it for ever, without looking at the body any more: then nobody but the connection itself can end it.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

/// Longest part of an answer that is handed on at once, bytes.
const PIECE_BYTES: usize = 64 << 10;

/// A stream that can be hung up.
pub struct Connection<S> {
    stream: S,
    line: Line,
}

/// The handler's end of its connection.
#[derive(Clone)]
pub struct Line(Arc<Shared>);

struct Shared {
    is_hung_up: AtomicBool,
    /// Guards who is to be woken; held to put it there or take it.
    waker: Mutex<Option<Waker>>,
    is_closed: watch::Sender<bool>,
    peer: Option<IpAddr>,
    /// Requests that are not answered yet, and answers whose next part is not made yet.
    unanswered: AtomicUsize,
    /// Requests share it, as over HTTP/2: what is written may be no part of an answer.
    is_shared: AtomicBool,
    /// When a request came or a part of an answer went. Held to read or set it.
    moved: Mutex<Instant>,
}

/// A request that is not answered yet.
pub struct Unanswered(Line);

impl Unanswered {
    /// Its answer begins; its parts count as they are taken.
    pub fn answer(self, response: Response) -> Response {
        let line = self.0.clone();
        response.map(|body| Body::new(Watched { body, rest: Bytes::new(), waits: None, line }))
    }
}

/// Also when the client has gone meanwhile.
impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.touch();
        self.0.0.unanswered.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The body of an answer: the connection moves as its parts are taken. Long ones go in pieces, so that a slow client is seen to
/// take them.
struct Watched {
    body: Body,
    /// What is left of a part.
    rest: Bytes,
    /// While its maker has nothing yet: that is not the client's fault.
    waits: Option<Unanswered>,
    line: Line,
}

impl Watched {
    fn piece(&mut self) -> Frame<Bytes> {
        Frame::data(self.rest.split_to(self.rest.len().min(PIECE_BYTES)))
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.line.touch();
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece())));
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_pending() {
            let line = self.line.clone();
            self.waits.get_or_insert_with(|| line.wait());
            return Poll::Pending;
        }
        self.waits = None;
        match polled {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(match frame.into_data() {
                Ok(data) if data.len() > PIECE_BYTES => {
                    self.rest = data;
                    self.piece()
                }
                Ok(data) => Frame::data(data),
                Err(trailers) => trailers,
            }))),
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, left) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + left);
        }
        hint.set_lower(hint.lower() + left);
        hint
    }
}

impl Line {
    /// Of a connection from this address.
    pub fn new(peer: Option<IpAddr>) -> Line {
        Line(Arc::new(Shared {
            peer,
            is_hung_up: AtomicBool::new(false),
            waker: Mutex::new(None),
            is_closed: watch::Sender::new(false),
            unanswered: AtomicUsize::new(0),
            is_shared: AtomicBool::new(false),
            moved: Mutex::new(Instant::now()),
        }))
    }

    /// A request came; over HTTP/2 it shares the connection with others.
    pub fn ask(&self, is_shared: bool) -> Unanswered {
        self.0.is_shared.fetch_or(is_shared, Ordering::AcqRel);
        self.wait()
    }

    /// Something of ours is awaited, until what is answered is dropped.
    fn wait(&self) -> Unanswered {
        self.0.unanswered.fetch_add(1, Ordering::AcqRel);
        self.touch();
        Unanswered(self.clone())
    }

    /// Since when nothing moves: neither an answer nor a part of one is awaited, and none goes. `None` while one is awaited.
    pub fn still_since(&self) -> Option<Instant> {
        // In this order: who ends a wait touches first.
        let waits = self.0.unanswered.load(Ordering::Acquire) > 0;
        (!waits).then(|| *self.0.moved.lock())
    }

    fn touch(&self) {
        *self.0.moved.lock() = Instant::now();
    }

    /// Bytes went. Where requests share a connection those may be answers to pings.
    fn wrote(&self) {
        if !self.0.is_shared.load(Ordering::Acquire) {
            self.touch();
        }
    }

    /// The address of the other end.
    pub fn peer(&self) -> Option<IpAddr> {
        self.0.peer
    }

    /// Ends the connection, whatever is still to be sent.
    pub fn hang_up(&self) {
        self.0.is_hung_up.store(true, Ordering::Release);
        if let Some(waker) = self.0.waker.lock().take() {
            waker.wake();
        }
    }

    /// Returns when the connection is over.
    pub async fn closed(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.0.is_closed.subscribe().wait_for(|closed| *closed).await;
    }
}

impl<S> Connection<S> {
    /// A stream that this line hangs up.
    pub fn new(stream: S, line: Line) -> Connection<S> {
        Connection { stream, line }
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.line.0.is_closed.send_replace(true);
    }
}

impl<S: Unpin> Connection<S> {
    fn unless_hung_up<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let polled = poll(Pin::new(&mut self.stream), context);
        if polled.is_pending() {
            let mut waker = self.line.0.waker.lock();
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                *waker = Some(context.waker().clone());
            }
        }
        // Looked at after the waker is in its place, so that who hangs up now wakes us.
        match self.line.0.is_hung_up.load(Ordering::Acquire) {
            true => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            false => polled,
        }
    }

    fn writing(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let written = self.unless_hung_up(context, poll);
        if written.is_ready() {
            self.line.wrote();
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.unless_hung_up(context, |stream, context| stream.poll_read(context, buffer))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writing(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writing(context, |stream, context| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unless_hung_up(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unless_hung_up(context, |stream, context| stream.poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[test]
    fn a_write_that_waits_for_a_client_that_does_not_read_ends_when_hung_up() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (ours, _theirs) = tokio::io::duplex(16);
            let line = Line::new(None);
            let mut connection = Connection { stream: ours, line: line.clone() };
            let writing = tokio::spawn(async move { connection.write_all(&[0; 1_000]).await });
            // It writes what fits and waits.
            tokio::task::yield_now().await;
            assert!(!writing.is_finished());
            line.hang_up();
            let error = writing.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
            line.closed().await;
        });
    }
}
