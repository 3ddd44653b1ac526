//! Connections: how many there may be, how long each may take to say what it wants, with TLS or without.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Version};
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
use super::unread::Rest;
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
/// A connection on which nothing moves for so long ends: no request comes, no part of an answer is taken. More than a tail's
/// signs of life are apart.
pub const IDLE_TIME: Duration = Duration::from_secs(120);
/// When the system gives no connection, for lack of file descriptors say, we wait so long before we ask again.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// What every connection is served with.
#[derive(Clone)]
struct Shared {
    router: Router,
    builder: Builder<TokioExecutor>,
    tls: Option<Arc<Tls>>,
    idle: Duration,
}

/// How many connections there may be, and for how long they may do nothing.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// At a time.
    pub connections: usize,
    /// Usually [`IDLE_TIME`].
    pub idle: Duration,
}

/// Serves until `until`; then no new connection is taken, and it returns when those that are there have finished what they began.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    limits: Limits,
    router: Router,
    until: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let shared = Shared { router, builder: builder(), tls, idle: limits.idle };
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
        let unanswered = seen.ask(request.version() == Version::HTTP_2);
        let (mut request, rest) = Rest::of(request.map(Body::new));
        request.extensions_mut().insert(ConnectInfo(seen.clone()));
        let answering = router.clone().call(request);
        async move { Ok::<_, Infallible>(unanswered.answer(rest.before(answering.await?).await)) }
    });
    let idle = idle(line.clone(), shared.idle);
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
        () = idle => debug!("a connection did nothing for {} s", shared.idle.as_secs()),
        () = silent => debug!("a connection asked for nothing within {} s", HEAD_TIME.as_secs()),
    }
}

/// Returns when nothing has moved for so long.
async fn idle(line: Line, time: Duration) {
    loop {
        let since = line.still_since();
        let left = since.map_or(time, |since| time.saturating_sub(since.elapsed()));
        if left.is_zero() {
            return;
        }
        sleep(left).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net;
    use std::time::Instant;

    use axum::body::Bytes;
    use axum::routing::{get, post};
    use tokio::runtime::Runtime;
    use tokio_stream::StreamExt as _;
    use tokio_stream::wrappers::ReceiverStream;

    use super::*;

    const IDLE: Duration = Duration::from_millis(300);
    /// Long enough to be sure that nothing comes any more.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A server with short patience: `/` answers at once, `/slow` after three times that, `/late` begins at once and goes on
    /// then, `/large` is one part of a MiB, `/flood` has no end, `/no` wants nothing of what is posted.
    fn server(runtime: &Runtime) -> net::SocketAddr {
        let flood = || async {
            let pieces = tokio_stream::iter(std::iter::repeat(Bytes::from(vec![b'x'; 64 << 10])));
            Body::from_stream(pieces.map(Ok::<_, std::convert::Infallible>))
        };
        let slow = || async {
            sleep(3 * IDLE).await;
            "late"
        };
        let late = || async {
            let (sender, receiver) = tokio::sync::mpsc::channel(1);
            tokio::spawn(async move {
                let _ = sender.send("first").await;
                sleep(3 * IDLE).await;
                let _ = sender.send("late").await;
            });
            Body::from_stream(ReceiverStream::new(receiver).map(Ok::<_, std::convert::Infallible>))
        };
        let large = || async { vec![b'x'; 1 << 20] };
        let router = Router::new()
            .route("/late", get(late))
            .route("/large", get(large))
            .route("/", get(|| async { "now" }))
            .route("/slow", get(slow))
            .route("/no", post(|| async { "now" }))
            .route("/flood", get(flood));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let limits = Limits { connections: 64, idle: IDLE };
        runtime.spawn(serve(listener, None, limits, router, std::future::pending()));
        address
    }

    fn connect(address: net::SocketAddr, first: &[u8]) -> net::TcpStream {
        let mut socket = net::TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(first).unwrap();
        socket
    }

    /// All that a server says to a GET of this path, head and body.
    fn answer(path: &str) -> String {
        let runtime = Runtime::new().unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let mut socket = connect(server(&runtime), request.as_bytes());
        let mut said = String::new();
        socket.read_to_string(&mut said).unwrap();
        said
    }

    /// Whether the other end hangs up, rather than to keep the connection for as long as we wait.
    fn is_ended(socket: &mut net::TcpStream) -> bool {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            match socket.read(&mut [0; 1 << 16]) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
            }
        }
        false
    }

    /// Client preface, empty SETTINGS, and `GET /` as stream 1 (RFC 9113; the header block is RFC 7541 indexes 2, 6, 4 and a host).
    const HTTP2: &[u8] =
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01x";
    const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0annals!!";

    #[test]
    fn pings_alone_keep_no_connection() {
        let runtime = Runtime::new().unwrap();
        let mut socket = connect(server(&runtime), HTTP2);
        let began = Instant::now();
        let mut pinging = socket.try_clone().unwrap();
        let pings = std::thread::spawn(move || {
            // Each is answered, until nobody is there.
            while pinging.write_all(PING).is_ok() && began.elapsed() < 2 * PATIENCE {
                std::thread::sleep(IDLE / 10);
            }
        });
        assert!(is_ended(&mut socket));
        assert!(began.elapsed() >= IDLE);
        pings.join().unwrap();
    }

    #[test]
    fn a_client_that_does_not_read_loses_its_connection_and_one_that_reads_slowly_keeps_it() {
        let runtime = Runtime::new().unwrap();
        let address = server(&runtime);
        let request = b"GET /flood HTTP/1.1\r\nhost: x\r\n\r\n";
        let (mut deaf, mut slow) = (connect(address, request), connect(address, request));
        let began = Instant::now();
        let mut piece = vec![0; 1 << 20];
        while began.elapsed() < 6 * IDLE {
            std::thread::sleep(IDLE / 3);
            slow.read_exact(&mut piece).unwrap();
        }
        // What was on its way is still there, and then the end.
        assert!(is_ended(&mut deaf));
    }

    /// Reads a frame of HTTP/2: its type, whether its stream ends with it, its length.
    fn frame(socket: &mut net::TcpStream) -> io::Result<(u8, bool, usize)> {
        let mut head = [0; 9];
        socket.read_exact(&mut head)?;
        let len = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        socket.read_exact(&mut vec![0; len])?;
        Ok((head[3], head[4] & 1 == 1, len))
    }

    #[test]
    fn a_slow_download_over_http2_that_is_given_a_little_room_at_a_time_comes_whole() {
        const ROOM: u32 = 32 << 10;
        let runtime = Runtime::new().unwrap();
        // As above, with `/large` in clear.
        let request =
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x0d\x01\x05\0\0\0\x01\x82\x86\x04\x06/large\x41\x01x";
        let mut socket = connect(server(&runtime), request);
        let (began, mut taken, mut ended) = (Instant::now(), 0, false);
        let mut room = 65_535;
        while !ended {
            while !ended && taken < room {
                if let (0, is_last, len) = frame(&mut socket).expect("the server goes on") {
                    (taken, ended) = (taken + len, is_last);
                }
            }
            std::thread::sleep(IDLE / 6);
            let update =
                |stream: u32| [b"\0\0\x04\x08\0" as &[u8], &stream.to_be_bytes(), &ROOM.to_be_bytes()].concat();
            // For the connection and for the stream, in one packet.
            socket.write_all(&[update(0), update(1)].concat()).expect("the server listens");
            room += ROOM as usize;
        }
        assert_eq!(taken, 1 << 20);
        assert!(began.elapsed() > 3 * IDLE, "it was not slow");
    }

    #[test]
    fn who_waits_for_an_answer_is_not_idle() {
        let said = answer("/slow");
        assert!(said.ends_with("late"), "{said}");
    }

    #[test]
    fn an_answer_whose_next_part_is_not_made_yet_is_not_idle() {
        let said = answer("/late");
        assert!(said.contains("first") && said.contains("late"), "{said}");
    }

    #[test]
    fn a_large_answer_goes_in_pieces_and_is_whole() {
        let said = answer("/large");
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-length: 1048576"), "{head}");
        assert!(body.len() == 1 << 20 && body.bytes().all(|byte| byte == b'x'));
    }

    /// What is said, head and body, to one who asks for what answers `now`.
    fn now(socket: &mut net::TcpStream) -> String {
        let mut said = Vec::new();
        while !said.ends_with(b"now") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            said.extend(byte);
        }
        String::from_utf8(said).unwrap()
    }

    /// The head of a POST to `/no`.
    fn unwanted(len: usize, more: &str) -> String {
        format!("POST /no HTTP/1.1\r\nhost: x\r\ncontent-length: {len}\r\n{more}\r\n")
    }

    #[test]
    fn a_short_body_that_nobody_reads_costs_no_connection_also_when_it_comes_late() {
        let runtime = Runtime::new().unwrap();
        let mut socket = connect(server(&runtime), b"");
        for len in [0, 7, 7, 60_000] {
            socket.write_all(unwanted(len, "").as_bytes()).unwrap();
            std::thread::sleep(IDLE / 10);
            socket.write_all(&vec![b'x'; len]).unwrap();
            assert!(!now(&mut socket).contains("connection: close"), "{len}");
        }
    }

    #[test]
    fn before_a_long_body_that_nobody_reads_or_one_that_is_held_back_the_end_is_said() {
        let runtime = Runtime::new().unwrap();
        let address = server(&runtime);
        let chunked = "POST /no HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n20000\r\n".to_owned()
            + &"x".repeat(0x20000);
        let heads = [unwanted(1 << 20, ""), unwanted(7, "expect: 100-continue\r\n"), unwanted(7, ""), chunked];
        for head in heads {
            let mut socket = connect(address, head.as_bytes());
            let said = now(&mut socket);
            assert!(said.starts_with("HTTP/1.1 200") && said.contains("connection: close"), "{said}");
            assert!(is_ended(&mut socket));
        }
    }

    #[test]
    fn who_asks_again_in_time_keeps_the_connection() {
        let runtime = Runtime::new().unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        let mut socket = connect(server(&runtime), b"");
        for _ in 0..8 {
            socket.write_all(request).unwrap();
            now(&mut socket);
            std::thread::sleep(IDLE / 2);
        }
        assert!(is_ended(&mut socket), "and loses it when it does not");
    }
}
