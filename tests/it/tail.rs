//! The live tail, over bare sockets: what comes is what matches, in order, once, with its seq as its id; who comes back goes
//! on where it was, also when the server was killed; who does not read is dropped and holds up nobody.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::data;
use crate::world::{self, PATIENCE, Params, World, wait_for, with_params};

/// What a server-sent event can be here. Anything else fails the test.
#[derive(Clone, Debug, PartialEq)]
enum Message {
    Heartbeat,
    /// Only moves the last id.
    Place(i64),
    Entry(Value),
    /// Why the stream ends, and the id to come back with.
    Last(String, Value),
}

/// One open tail.
struct Tail {
    lines: BufReader<Chunked>,
    /// As an EventSource keeps it.
    last_id: Option<i64>,
}

impl Tail {
    fn open(url: &str, params: Params, last_id: Option<i64>) -> Tail {
        Tail::try_open(url, params, last_id).expect("a connection").unwrap_or_else(|head| panic!("{head}"))
    }

    /// The answer's head if it is no stream.
    fn try_open(url: &str, params: Params, last_id: Option<i64>) -> io::Result<Result<Tail, String>> {
        let address = url.strip_prefix("http://").expect("plain http");
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let resume = last_id.map_or_else(String::new, |id| format!("last-event-id: {id}\r\n"));
        let path = with_params("/v1/tail", params);
        write!(socket, "GET {path} HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n{resume}\r\n")?;
        let mut inner = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if inner.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let head = head.to_lowercase();
        if !head.starts_with("http/1.1 200 ") {
            return Ok(Err(head));
        }
        for header in [
            "content-type: text/event-stream",
            "cache-control: no-store",
            "x-accel-buffering: no",
            "transfer-encoding: chunked",
        ] {
            assert!(head.contains(&format!("{header}\r\n")), "no {header} in {head}");
        }
        assert!(!head.contains("content-encoding"), "{head}");
        let lines = BufReader::new(Chunked { inner, left: 0, is_first: true, is_over: false });
        Ok(Ok(Tail { lines, last_id }))
    }

    /// The next message; `None` at the proper end of the stream, an error if the connection breaks.
    fn next(&mut self) -> io::Result<Option<Message>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line)? == 0 {
                assert!(lines.is_empty(), "the stream ends inside a message: {lines:?}");
                return Ok(None);
            }
            let line = line.strip_suffix('\n').expect("a stream ends with a whole line");
            assert!(!line.contains('\r'), "{line:?}");
            if line.is_empty() {
                break;
            }
            lines.push(line.to_owned());
        }
        Ok(Some(self.message(&lines)))
    }

    fn message(&mut self, lines: &[String]) -> Message {
        if lines == [":"] {
            return Message::Heartbeat;
        }
        let [id, rest @ ..] = lines else {
            panic!("an empty message");
        };
        let id: i64 = id.strip_prefix("id: ").and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("{lines:?}"));
        let [event, data] = rest else {
            assert!(rest.is_empty(), "{lines:?}");
            assert!(self.last_id <= Some(id), "a place before {:?}: {id}", self.last_id);
            self.last_id = Some(id);
            return Message::Place(id);
        };
        let event = event.strip_prefix("event: ").unwrap_or_else(|| panic!("{lines:?}"));
        let data = data.strip_prefix("data: ").unwrap_or_else(|| panic!("{lines:?}"));
        let data: Value = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"));
        if event != "entry" {
            assert_eq!(self.last_id, Some(id), "the last message is about what was delivered");
            assert_eq!(data["resume_from"], id.to_string());
            return Message::Last(event.to_owned(), data);
        }
        assert_eq!(data["seq"], id);
        assert!(self.last_id < Some(id), "{id} after {:?}", self.last_id);
        self.last_id = Some(id);
        Message::Entry(data)
    }

    /// The next entry of an unbroken stream.
    fn entry(&mut self) -> Value {
        loop {
            match self.next().expect("an unbroken stream").expect("more") {
                Message::Entry(row) => return row,
                Message::Heartbeat | Message::Place(_) => {}
                Message::Last(event, why) => panic!("{event}: {why}"),
            }
        }
    }

    /// Reads to the end of the stream: the entries, and the last message.
    fn rest(&mut self) -> (Vec<Value>, String, Value) {
        let mut entries = Vec::new();
        loop {
            match self.next().expect("an unbroken stream").expect("a last message") {
                Message::Entry(row) => entries.push(row),
                Message::Heartbeat | Message::Place(_) => {}
                Message::Last(event, why) => {
                    assert_eq!(self.next().expect("a proper end"), None, "more after the last message");
                    return (entries, event, why);
                }
            }
        }
    }
}

/// A chunked body. A connection that ends before the last chunk is an error.
struct Chunked {
    inner: BufReader<TcpStream>,
    left: usize,
    is_first: bool,
    is_over: bool,
}

impl Read for Chunked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_over {
            return Ok(0);
        }
        if self.left == 0 {
            let mut line = String::new();
            if !std::mem::take(&mut self.is_first) {
                self.inner.read_line(&mut line)?;
                line.clear();
            }
            self.inner.read_line(&mut line)?;
            self.left = usize::from_str_radix(line.trim(), 16).map_err(|_| io::ErrorKind::UnexpectedEof)?;
            if self.left == 0 {
                self.is_over = true;
                return Ok(0);
            }
        }
        let wanted = self.left.min(buffer.len());
        let read = self.inner.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read;
        Ok(read)
    }
}

fn post(world: &World, id: &str, actor: &str, action: &str) {
    world.post(&json!({"id": id, "actor": actor_of(actor), "action": action})).expect_status(201);
}

fn actor_of(id: &str) -> Value {
    json!({"type": "user", "id": id})
}

/// Events too large for what lies between server and client.
fn load_backlog(world: &World, events: usize) {
    let filler = "x".repeat(200 << 10);
    let lines: Vec<String> = (0..events)
        .map(|n| {
            json!({"id": format!("b{n}"), "actor": "system", "action": "tail.backlog", "detail": {"filler": filler}})
                .to_string()
        })
        .collect();
    world.load(lines.iter().map(String::as_str));
}

/// Bytes that the server has read from files and sockets. A process that keeps out of core dumps tells that only root.
fn bytes_read(world: &World) -> Option<u64> {
    let counted = std::fs::read_to_string(format!("/proc/{}/io", world.pid()))
        .map_err(|error| data::skipped(&format!("how much a tail reads: {error}")))
        .ok()?;
    let line = counted.lines().find_map(|line| line.strip_prefix("rchar:")).expect("rchar");
    Some(line.trim().parse().expect("a number"))
}

#[test]
fn a_tail_has_what_comes_after_it_began_and_matches() {
    let world = World::start();
    post(&world, "before", "u_1", "tail.a");
    world.settle();
    let mut all = Tail::open(world.url(), &[], None);
    let mut filtered = Tail::open(world.url(), &[("q", "action:tail.b OR outcome:denied"), ("actor", "u_1")], None);
    let mut past = Tail::open(world.url(), &[("to", "2001-01-01"), ("q", "time:<2001-01-01")], None);
    for tail in [&mut all, &mut filtered, &mut past] {
        assert_eq!(tail.next().expect("a message"), Some(Message::Place(0)), "where it began");
    }
    for (n, (actor, action)) in
        [("u_1", "tail.a"), ("u_1", "tail.b"), ("u_2", "tail.b"), ("u_1", "tail.b")].into_iter().enumerate()
    {
        post(&world, &format!("e{n}"), actor, action);
    }
    world
        .post(&json!({"id": "old", "actor": "system", "action": "tail.old", "time": "2000-06-01T00:00:00Z"}))
        .expect_status(201);
    let rows: Vec<Value> = (0..5).map(|_| all.entry()).collect();
    let ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().expect("id")).collect();
    assert_eq!(ids, ["e0", "e1", "e2", "e3", "old"]);
    assert_eq!(rows[0], world.get_json("/v1/events/e0", &[]), "a row is the row of every other call");
    assert_eq!([filtered.entry(), filtered.entry()].map(|row| row["id"].clone()), ["e1", "e3"]);
    assert_eq!(past.entry()["id"], "old", "a range that ended is silent until something old comes");
}

#[test]
fn a_tail_of_an_empty_log_can_be_resumed_before_its_first_entry() {
    let world = World::start();
    let mut tail = Tail::open(world.url(), &[], None);
    assert_eq!(tail.next().expect("a message"), Some(Message::Place(-1)));
    let last_id = tail.last_id;
    drop(tail);
    post(&world, "first", "u_1", "tail.a");
    assert_eq!(Tail::open(world.url(), &[], last_id).entry()["id"], "first");
    // Polyfills cannot set headers; a header is newer than the address it comes with.
    assert_eq!(Tail::open(world.url(), &[("last_event_id", "-1")], None).entry()["id"], "first");
    post(&world, "second", "u_1", "tail.a");
    assert_eq!(Tail::open(world.url(), &[("last_event_id", "-1")], Some(0)).entry()["id"], "second");
}

#[test]
fn a_tail_from_far_behind_has_everything_in_order_and_a_rare_filter_moves_on_without_matches() {
    const EVENTS: i64 = 40_000;
    let world = World::start();
    let line = json!({"actor": "system", "action": "tail.many"}).to_string();
    world.load((0..EVENTS).map(|_| line.as_str()));
    let mut all = Tail::open(world.url(), &[], Some(-1));
    for seq in 0..EVENTS {
        assert_eq!(all.entry()["seq"], seq);
    }
    let mut rare = Tail::open(world.url(), &[("action", "tail.rare")], Some(-1));
    assert_eq!(rare.next().expect("a message"), Some(Message::Place(-1)));
    match rare.next().expect("a message") {
        Some(Message::Place(place)) => assert!(place >= 32_767, "{place}"),
        other => panic!("{other:?} instead of a place"),
    }
    post(&world, "rare", "u_1", "tail.rare");
    assert_eq!(rare.entry()["id"], "rare");
    assert_eq!(all.entry()["id"], "rare");
}

/// Four clients append while the server is killed again and again; a client of the tail comes back each time with its last
/// id.
#[test]
fn a_resumed_tail_has_no_gap_and_no_double_though_the_server_is_killed() {
    const WRITERS: usize = 4;
    const REQUESTS: usize = 80;
    const KILLS: u64 = 3;
    let mut world = World::start();
    let url = Mutex::new(world.url().to_owned());
    let (acked, writing) = (AtomicU64::new(0), AtomicUsize::new(WRITERS));
    let filter = [("q", "action:\"tail.kept\"")];
    let seen = thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (url, acked, writing) = (&url, &acked, &writing);
            scope.spawn(move || {
                let agent = world::new_agent();
                for request in 0..REQUESTS {
                    let lines: String = (0..1 + (writer + request) % 7)
                        .map(|n| {
                            let action = if n % 2 == 0 { "tail.kept" } else { "tail.other" };
                            let id = format!("t{writer}-{request}-{n}");
                            json!({"id": id, "actor": "system", "action": action}).to_string() + "\n"
                        })
                        .collect();
                    let headers = [("content-type", "application/x-ndjson")];
                    wait_for("an acknowledgement", || {
                        let url = url.lock().expect("no one panics").clone();
                        let answer = world::try_send(&agent, &url, "", &headers, lines.as_bytes());
                        answer.is_ok_and(|answer| (200..300).contains(&answer.status)).then_some(())
                    });
                    acked.fetch_add(1, Ordering::SeqCst);
                }
                writing.fetch_sub(1, Ordering::SeqCst);
            });
        }
        let tailing = scope.spawn(|| {
            let (mut seen, mut last_id) = (Vec::new(), Some(-1));
            loop {
                let url = url.lock().expect("no one panics").clone();
                let Ok(Ok(mut tail)) = Tail::try_open(&url, &filter, last_id) else {
                    thread::sleep(Duration::from_millis(5));
                    continue;
                };
                while let Ok(Some(message)) = tail.next() {
                    let Message::Entry(row) = message else {
                        continue;
                    };
                    if row["id"] == "the-end" {
                        return seen;
                    }
                    seen.push(row);
                }
                last_id = tail.last_id;
            }
        });
        for kill in 1..=KILLS {
            let enough = kill * (WRITERS * REQUESTS) as u64 / (KILLS + 1);
            wait_for("some acks", || (acked.load(Ordering::SeqCst) >= enough).then_some(()));
            world.kill();
            world.restart();
            *url.lock().expect("no one panics") = world.url().to_owned();
        }
        wait_for("the writers", || (writing.load(Ordering::SeqCst) == 0).then_some(()));
        post(&world, "the-end", "u_1", "tail.kept");
        tailing.join().expect("the tail")
    });
    world.settle();
    let mut wanted = world.feed(&filter, 1_000);
    wanted.pop();
    assert_eq!(seen.len(), wanted.len());
    assert_eq!(seen, wanted, "the tail has what the feed has");
    let ids: HashSet<&str> = seen.iter().map(|row| row["id"].as_str().expect("id")).collect();
    let sent = (0..WRITERS).flat_map(|w| (0..REQUESTS).map(move |r| (1 + (w + r) % 7).div_ceil(2))).sum::<usize>();
    assert_eq!(ids.len(), sent);
}

#[test]
fn who_does_not_read_is_dropped_with_the_reason_and_costs_the_others_nothing() {
    const EVENTS: usize = 240;
    let world = World::start();
    load_backlog(&world, EVENTS);
    world.settle();
    let before = bytes_read(&world);
    let mut stalled = Tail::open(world.url(), &[("action", "tail.backlog")], Some(-1));
    let mut reading = Tail::open(world.url(), &[], None);
    let mut n = 0;
    wait_for("the drop", || {
        post(&world, &format!("n{n}"), "u_1", "tail.small");
        assert_eq!(reading.entry()["id"], format!("n{n}"), "who reads is not held up");
        n += 1;
        thread::sleep(Duration::from_millis(50));
        (world.metric::<u64>("annals_tails_dropped_total") == 1).then_some(())
    });
    // Memory says little, since indexing takes and gives back its own. But what was never read from the log is not held.
    if let (Some(before), Some(after)) = (before, bytes_read(&world)) {
        let read = after - before;
        assert!(read < 24 << 20, "{read} bytes were read of a backlog of {} MiB", EVENTS * 200 / 1024);
    }

    let (entries, event, why) = stalled.rest();
    assert_eq!((event.as_str(), &why["code"]), ("dropped", &json!("slow_client")));
    assert!(entries.len() < EVENTS, "the backlog was sent whole: nothing was tested");
    let mut resumed = Tail::open(world.url(), &[("action", "tail.backlog")], stalled.last_id);
    for seq in entries.len()..EVENTS {
        assert_eq!(resumed.entry()["seq"], seq);
    }
    wait_for("its place to be free", || (world.metric::<u64>("annals_tails") == 2).then_some(()));
}

#[test]
fn there_are_so_many_tails_and_no_more() {
    const TAILS_MAX: usize = 256;
    let world = World::start();
    let mut tails: Vec<Tail> = (0..TAILS_MAX).map(|_| Tail::open(world.url(), &[], None)).collect();
    assert_eq!(world.metric::<u64>("annals_tails"), TAILS_MAX as u64);
    let refused = world.get("/v1/tail").expect_status(503);
    assert_eq!(refused.problem().codes(), ["too_many_tails"]);
    assert!(refused.header("retry-after").is_some());
    post(&world, "for-all", "u_1", "tail.a");
    for tail in &mut tails {
        assert_eq!(tail.entry()["id"], "for-all");
    }
    tails.pop();
    wait_for("a place", || Tail::try_open(world.url(), &[], None).expect("a connection").ok());
}

#[test]
fn a_stop_tells_every_tail_and_waits_for_none() {
    let mut world = World::start();
    load_backlog(&world, 120);
    let mut reading = Tail::open(world.url(), &[], None);
    assert_eq!(reading.next().expect("a message"), Some(Message::Place(119)));
    // It stays stalled to the end.
    let _stalled = Tail::open(world.url(), &[], Some(-1));
    let url = world.url().to_owned();
    // At the end of the log: what does not match is passed over, and the poller has something to wait for.
    let nothing = world.feed_page(&[("q", "action:tail.nothing")], 1, None);
    let cursor = nothing["checkpoint"].as_str().expect("checkpoint").to_owned();
    let polling = thread::spawn(move || {
        let path = with_params("/v1/feed", &[("follow", "true"), ("wait", "60"), ("cursor", &cursor)]);
        world::new_agent().get(format!("{url}{path}")).call().expect("an answer").status().as_u16()
    });
    // Both are with the server before it is told to stop: who connects later may be refused.
    wait_for("the stalled tail", || (world.metric::<u64>("annals_tails") == 2).then_some(()));
    let waiting = "annals_http_requests_under_way{route=\"/v1/feed\"}";
    wait_for("the poller", || (world.metric::<u64>(waiting) == 1).then_some(()));
    let said = world.terminate_hearing();
    assert!(!said.contains("cut off"), "{said}");
    assert_eq!(polling.join().expect("the poller"), 200, "a waiting poller is told what there is");
    let (entries, event, why) = reading.rest();
    assert_eq!((entries.len(), event.as_str(), &why["code"]), (0, "stopping", &json!("stopping")));
    world.restart();
    post(&world, "after", "u_1", "tail.a");
    assert_eq!(Tail::open(world.url(), &[], reading.last_id).entry()["id"], "after");
}

#[test]
fn what_a_tail_cannot_be_asked_is_refused_before_it_begins() {
    let world = World::start();
    world.load(data::demo_events(20).lines());
    for (name, value, code) in [
        ("colour", "blue", "unknown_parameter"),
        ("limit", "5", "unknown_parameter"),
        ("engine", "scan", "unknown_parameter"),
        ("q", "actr:u_81", "unknown_field"),
        ("last_event_id", "yesterday", "bad_value"),
        ("last_event_id", "+5", "bad_value"),
        ("last_event_id", "-2", "bad_value"),
        ("last_event_id", "20", "beyond_the_log"),
        ("last_event_id", "18446744073709551615", "bad_value"),
    ] {
        let refused = world.ask("/v1/tail", &[(name, value)]).expect_status(400);
        assert_eq!(refused.problem().codes(), [code], "{name}={value}");
        assert_eq!(refused.problem().0["parameter"], name);
    }
    let head = Tail::try_open(world.url(), &[], Some(20)).expect("a connection").err().expect("a refusal");
    assert!(head.starts_with("http/1.1 400 "), "a header is refused like the parameter: {head}");
    Tail::open(world.url(), &[], Some(19));
}
