//! Connections: how many there may be, how long each may take to say what it wants, with TLS or without.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tower_service::Service;
use tracing::{debug, warn};

use super::tls::Tls;
use crate::api::connection::{Connection, Line};

/// A request's head has to arrive within this time, the first one and each after it: a connection that says nothing ends.
const HEAD_TIME: Duration = Duration::from_secs(60);
/// So has a TLS handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// A request's head, bytes: a query string of 64 KiB, a cursor, and room.
const HEAD_BYTES_MAX: usize = 160 << 10;
/// Headers of a request over HTTP/1.1; and their bytes over HTTP/2, which has no line of its own for the address.
const HEADERS_MAX: usize = 100;
/// Requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// Over HTTP/2 the other end is asked this often whether it is still there, and has as long to say so.
const ALIVE: Duration = Duration::from_secs(60);
/// When the system gives no connection, for lack of file descriptors say, we wait so long before we ask again.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// What every connection is served with.
#[derive(Clone)]
struct Shared {
    router: Router,
    builder: Builder<TokioExecutor>,
    tls: Option<Arc<Tls>>,
}

/// Serves until `until`; then no new connection is taken, and it returns when those that are there have finished what they began.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    connections_max: usize,
    router: Router,
    until: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(connections_max));
    let graceful = GracefulShutdown::new();
    let shared = Shared { router, builder: builder(), tls };
    let mut until = std::pin::pin!(until);
    loop {
        let next = async {
            let slot = slots.clone().acquire_owned().await.expect("nobody closes it");
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            () = &mut until => break,
        };
        match accepted {
            Ok((socket, address)) => {
                tokio::spawn(connection(shared.clone(), socket, address, slot, graceful.watcher()));
            }
            // The other end went away before we came to it, mostly.
            Err(error) if is_its_own(&error) => debug!("a connection was lost before it was taken: {error}"),
            Err(error) => {
                warn!("no connection can be taken: {error}");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

fn is_its_own(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(ALIVE)
        .keep_alive_timeout(ALIVE)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_concurrent_streams(STREAMS_MAX);
    builder
}

async fn connection(
    shared: Shared,
    socket: TcpStream,
    address: SocketAddr,
    slot: OwnedSemaphorePermit,
    watcher: Watcher,
) {
    // Answers are written whole; waiting for more to send with them only costs time.
    let _ = socket.set_nodelay(true);
    match &shared.tls {
        None => serve_one(&shared, socket, address, watcher).await,
        Some(tls) => match timeout(HANDSHAKE_TIME, tls.accept(socket)).await {
            Ok(Ok(stream)) => serve_one(&shared, stream, address, watcher).await,
            Ok(Err(error)) => debug!("a TLS handshake failed: {error}"),
            Err(_) => debug!("a TLS handshake took longer than {} s", HANDSHAKE_TIME.as_secs()),
        },
    }
    drop(slot);
}

async fn serve_one<S>(shared: &Shared, stream: S, address: SocketAddr, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let line = Line::new(Some(address.ip()));
    let router = shared.router.clone();
    let seen = line.clone();
    let has_asked = Arc::new(AtomicBool::new(false));
    let asked = has_asked.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(seen.clone()));
        router.clone().call(request)
    });
    let io = TokioIo::new(Connection::new(stream, line));
    // Hyper counts the time of a head from its first byte: who never sends one is ended here.
    let silent = async {
        sleep(HEAD_TIME).await;
        if has_asked.load(Ordering::Relaxed) {
            std::future::pending().await
        }
    };
    tokio::select! {
        served = watcher.watch(shared.builder.serve_connection(io, service)) => {
            if let Err(error) = served {
                debug!("a connection ended: {error}");
            }
        }
        () = silent => debug!("a connection asked for nothing within {} s", HEAD_TIME.as_secs()),
    }
}
