//! What is left of a request's body when it is answered. Over HTTP/1.1 the next request stands behind it, so hyper ends the
//! connection unless it has come whole, and says so to nobody: a client that asks again at once finds nobody there. So a short
//! rest is read, and before a long one the answer says that the connection ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{CONNECTION, EXPECT};
use axum::http::{HeaderValue, Request, Version};
use axum::response::Response;
use http_body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::timeout;

/// As much is read of what nobody wants, bytes; a new connection costs about as much.
const REST_BYTES_MAX: usize = 64 << 10;
/// For so long. An answer waits for it.
const REST_TIME: Duration = Duration::from_millis(500);

/// Where a body goes when its reader has done with it.
#[derive(Default)]
pub struct Rest {
    /// Held to put it there or take it.
    body: Arc<Mutex<Option<Body>>>,
    /// The client sends nothing before it is asked to.
    is_held_back: bool,
}

impl Rest {
    /// Of a request that is about to be answered.
    pub fn of(request: Request<Body>) -> (Request<Body>, Rest) {
        // Over HTTP/2 requests do not stand behind each other.
        if request.version() == Version::HTTP_2 || request.body().is_end_stream() {
            return (request, Rest::default());
        }
        let rest = Rest { body: Arc::default(), is_held_back: request.headers().contains_key(EXPECT) };
        let home = rest.body.clone();
        (request.map(|body| Body::new(Lent { body, home })), rest)
    }

    /// The answer, once the connection can go on, or saying that it does not.
    pub async fn before(self, mut response: Response) -> Response {
        let Some(body) = self.body.lock().take() else { return response };
        let is_read = !self.is_held_back
            && body.size_hint().lower() <= REST_BYTES_MAX as u64
            && matches!(timeout(REST_TIME, to_bytes(body, REST_BYTES_MAX)).await, Ok(Ok(_)));
        if !is_read {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A body that is given back by whoever drops it.
struct Lent {
    body: Body,
    home: Arc<Mutex<Option<Body>>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            *self.home.lock() = Some(std::mem::take(&mut self.body));
        }
    }
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
