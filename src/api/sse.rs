//! Server-sent events: the text of the messages, and the bounded queue between who makes them and the connection.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use http_body::{Body, Frame};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::event::Catalogue;
use crate::index::source::Row;
use crate::seq::Seq;
use crate::store::write_row;
use crate::wire::put;

/// Messages made ahead of the client, at most.
const MESSAGES_AHEAD: usize = 64;
/// Bytes of messages made ahead of the client, at most; a single message may be larger.
const BYTES_AHEAD: u32 = 1 << 20;

/// The id of the place before `next`: the seq of the last entry that was looked at, and `-1` before the first one.
pub fn id_before(next: Seq) -> String {
    next.0.checked_sub(1).map_or_else(|| "-1".to_owned(), |last| last.to_string())
}

/// The place behind an id that [`id_before`] made, unless it is none.
pub fn next_after(id: &str) -> Option<Seq> {
    if id == "-1" {
        return Some(Seq::ZERO);
    }
    let is_plain = id.bytes().all(|byte| byte.is_ascii_digit());
    id.parse::<u64>().ok().filter(|_| is_plain)?.checked_add(1).map(Seq)
}

/// An entry. A row has no line end in it: strings are escaped and nothing stands between members.
pub fn entry(row: &Row<'_>, catalogue: &Catalogue) -> String {
    let mut text = format!("id: {}\nevent: entry\ndata: ", row.seq);
    write_row(row, catalogue, &mut text);
    text.push_str("\n\n");
    text
}

/// Moves the client's last id without an event.
pub fn place(next: Seq) -> String {
    format!("id: {}\n\n", id_before(next))
}

/// A sign of life: a comment, which clients skip.
pub fn heartbeat() -> String {
    ":\n\n".to_owned()
}

/// The last message of a stream, which says why it ends; `data` is one line.
pub fn last(next: Seq, event: &str, data: &str) -> String {
    let mut text = String::new();
    put(&mut text, format_args!("id: {}\nevent: {event}\ndata: {data}\n\n", id_before(next)));
    text
}

struct Message {
    text: Bytes,
    _room: OwnedSemaphorePermit,
}

/// Where messages are put.
pub struct Outbox {
    messages: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    last: oneshot::Sender<Bytes>,
}

/// The body of the response.
pub struct Stream {
    messages: mpsc::Receiver<Message>,
    last: Option<oneshot::Receiver<Bytes>>,
    _slot: OwnedSemaphorePermit,
}

/// Both ends. `slot` is held as long as the connection holds the body.
pub fn stream(slot: OwnedSemaphorePermit) -> (Outbox, Stream) {
    let (messages, receiver) = mpsc::channel(MESSAGES_AHEAD);
    let (last, said_last) = oneshot::channel();
    let room = Arc::new(Semaphore::new(BYTES_AHEAD as usize));
    (Outbox { messages, room, last }, Stream { messages: receiver, last: Some(said_last), _slot: slot })
}

impl Outbox {
    /// Puts a message into the queue; waits for room.
    pub async fn send(&self, text: String) {
        let bytes = u32::try_from(text.len()).map_or(BYTES_AHEAD, |bytes| bytes.min(BYTES_AHEAD));
        let room = self.room.clone().acquire_many_owned(bytes).await.expect("nobody closes it");
        // The client may have gone: who sends looks at `gone`.
        let _ = self.messages.send(Message { text: text.into(), _room: room }).await;
    }

    /// Returns when nobody will take messages any more.
    pub async fn gone(&self) {
        self.messages.closed().await;
    }

    /// Ends the stream with a message for which there is always room.
    pub fn finish(self, text: String) {
        let _ = self.last.send(text.into());
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let text = match ready!(self.messages.poll_recv(context)) {
            Some(message) => Some(message.text),
            // `finish` puts the last message there before it lets go of the queue.
            None => self.last.take().and_then(|mut last| last.try_recv().ok()),
        };
        Poll::Ready(text.map(|text| Ok(Frame::data(text))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn an_id_leads_to_the_place_behind_it() {
        for next in [Seq(0), Seq(1), Seq(42), Seq(u64::MAX)] {
            assert_eq!(next_after(&id_before(next)), Some(next));
        }
        for bad in ["", "-0", "-2", "+5", " 5", "5 ", "0x5", "five", "18446744073709551615", "18446744073709551616"] {
            assert_eq!(next_after(bad), None, "{bad:?}");
        }
    }

    /// Runs with a clock of its own, so that waiting costs nothing.
    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    async fn sends(outbox: &Outbox, text: String) -> bool {
        tokio::time::timeout(Duration::from_millis(20), outbox.send(text)).await.is_ok()
    }

    fn new_stream() -> (Outbox, Stream) {
        stream(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap())
    }

    #[test]
    fn the_queue_ends_at_its_messages_and_at_its_bytes_and_the_last_word_always_has_room() {
        block_on(async {
            let (outbox, body) = new_stream();
            for n in 0..MESSAGES_AHEAD {
                assert!(sends(&outbox, n.to_string()).await, "message {n}");
            }
            assert!(!sends(&outbox, "one too many".into()).await);
            outbox.finish("last".into());
            let all = body.collect().await.unwrap().to_bytes();
            assert!(all.ends_with(b"6263last"), "{all:?}");

            let (outbox, mut body) = new_stream();
            assert!(sends(&outbox, "x".repeat(2 << 20)).await, "one message alone may be larger");
            assert!(!sends(&outbox, "x".into()).await);
            assert!(body.frame().await.is_some());
            assert!(sends(&outbox, "x".into()).await, "what was taken makes room");
        });
    }

    #[test]
    fn who_sends_learns_that_the_client_has_gone() {
        block_on(async {
            let (outbox, body) = new_stream();
            drop(body);
            outbox.gone().await;
        });
    }
}
