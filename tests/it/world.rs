//! The verbs of the integration tests: a real server process over a directory of its own, spoken to over real HTTP.
//! A test says `world.post`, `world.search`, `world.kill`; how a process is started or a URL escaped is told once, here.
//! Nothing here asserts times: where something takes a while, we wait for it, and give up after `PATIENCE`.

use std::fmt::{Debug, Display};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::answer::{Answer, Watermarks};
use crate::openapi;

/// Parameters of a request: names and values, not escaped yet.
pub type Params<'a> = &'a [(&'a str, &'a str)];

/// How long we wait for something that should come soon. Generous: slow machines are not wrong, only slow.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// The program under test.
pub const ANNALS: &str = env!("CARGO_BIN_EXE_annals");

/// A server process, its data directory, and a client.
pub struct World {
    dir: PathBuf,
    /// Removes the directory at the end; none if the test brought its own.
    _own: Option<TempDir>,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    server: Option<Server>,
    agent: ureq::Agent,
    /// One that is not redirected.
    unled: ureq::Agent,
    /// The admin's key of a server that asks for one.
    key: Option<String>,
}

struct Server {
    child: Child,
    url: String,
    stderr: Arc<Mutex<String>>,
}

impl World {
    /// A server over an empty directory.
    pub fn start() -> World {
        World::start_with(&[])
    }

    /// The same with these variables in its environment.
    pub fn start_with(environment: &[(&str, &str)]) -> World {
        let own = tempfile::tempdir().expect("a temporary directory");
        let dir = own.path().join("data");
        let mut world = World::at(dir, Some(own), environment);
        world.restart();
        world
    }

    /// A server that asks for keys; the world shows the admin's.
    pub fn guarded() -> World {
        World::guarded_with(&[])
    }

    /// The same with these arguments.
    pub fn guarded_with(arguments: &[&str]) -> World {
        let own = tempfile::tempdir().expect("a temporary directory");
        let mut world = World::to_be_guarded(own.path().join("data"), Some(own));
        world.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        world.restart();
        world
    }

    /// One with keys that does not run yet.
    pub fn to_be_guarded(dir: PathBuf, own: Option<TempDir>) -> World {
        let key = format!("annals_first_{}", "a1".repeat(20));
        let mut world = World::at(dir, own, &[("ANNALS_BOOTSTRAP_ADMIN_KEY", &key)]);
        world.key = Some(key);
        world
    }

    /// The admin's key.
    pub fn key(&self) -> &str {
        self.key.as_deref().expect("a guarded world")
    }

    /// A server over a directory that the test looks after.
    pub fn start_at(dir: &Path, environment: &[(&str, &str)]) -> World {
        let mut world = World::at(dir.to_owned(), None, environment);
        world.restart();
        world
    }

    fn at(dir: PathBuf, own: Option<TempDir>, environment: &[(&str, &str)]) -> World {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let arguments = Vec::new();
        World { dir, _own: own, environment, arguments, server: None, agent, unled: patient_agent(), key: None }
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> &str {
        &self.running().url
    }

    /// Process id of the server.
    pub fn pid(&self) -> u32 {
        self.running().child.id()
    }

    fn running(&self) -> &Server {
        self.server.as_ref().expect("the server runs")
    }

    /// A command that serves this directory on a free port; not started yet.
    pub fn serve_command(dir: &Path) -> Command {
        let mut command = World::guarded_command(dir);
        command.arg("--no-auth");
        command
    }

    /// The same, asking for keys.
    pub fn guarded_command(dir: &Path) -> Command {
        let mut command = Command::new(ANNALS);
        command.arg("serve").arg("--data").arg(dir).args(["--listen", "127.0.0.1:0"]);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ANNALS_")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Sets a variable of the environment for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts the server again over the same directory, after it ended, and waits until it is ready.
    pub fn restart(&mut self) {
        self.restart_without_waiting();
        self.wait_ready();
    }

    /// The same, but it may not become ready (a disk without space, say); it listens when this returns.
    pub fn restart_without_waiting(&mut self) {
        assert!(self.server.is_none(), "the server still runs");
        let command = match self.key {
            Some(_) => World::guarded_command(&self.dir),
            None => World::serve_command(&self.dir),
        };
        let mut child = { command }
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .spawn()
            .expect("the server starts");
        let stderr = Arc::new(Mutex::new(String::new()));
        let mut talk = child.stderr.take().expect("stderr is piped");
        let copy = Arc::clone(&stderr);
        std::thread::spawn(move || {
            let mut bytes = [0u8; 4096];
            while let Ok(n @ 1..) = talk.read(&mut bytes) {
                copy.lock().expect("no one panics").push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the server's first line");
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            let status = child.wait();
            let said = stderr.lock().expect("no one panics").clone();
            panic!("the server said {line:?} instead of its address and ended with {status:?}; stderr: {said}");
        };
        let url = url.to_owned();
        // Read on, so that a server that says more never waits for us.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        self.server = Some(Server { child, url, stderr });
    }

    /// Waits until the server takes events again and everything durable is searchable.
    pub fn wait_ready(&self) {
        wait_for("the server to be ready", || (self.get("/readyz").status == 200).then_some(()));
    }

    /// Ends the server as a power switch would: SIGKILL.
    pub fn kill(&mut self) {
        let mut server = self.server.take().expect("the server runs");
        server.child.kill().expect("SIGKILL");
        server.child.wait().expect("the server ended");
    }

    /// Something that can kill the server from another thread, while this one appends.
    pub fn killer(&self) -> impl FnOnce() + Send + 'static {
        let pid = self.pid();
        move || signal(pid, rustix::process::Signal::KILL)
    }

    /// Asks the server to end (SIGTERM) and waits until it did.
    pub fn terminate(&mut self) -> ExitStatus {
        let mut server = self.server.take().expect("the server runs");
        signal(server.child.id(), rustix::process::Signal::TERM);
        wait_for("the server to end", || server.child.try_wait().expect("wait"))
    }

    /// The same, which must go well; gives what the server said on stderr.
    pub fn terminate_hearing(&mut self) -> String {
        let stderr = Arc::clone(&self.running().stderr);
        let status = self.terminate();
        assert_eq!(status.code(), Some(0), "{status}");
        wait_for("its last line", || {
            let said = stderr.lock().expect("no one panics").clone();
            said.lines().last().is_some_and(|line| line.ends_with("closed")).then_some(said)
        })
    }

    /// Forgets a server that ended by itself or by `killer`.
    pub fn bury(&mut self) -> ExitStatus {
        let mut server = self.server.take().expect("the server ran");
        wait_for("the server to end", || server.child.try_wait().expect("wait"))
    }

    /// GET of a path (with its query string).
    pub fn get(&self, path: &str) -> Answer {
        let url = format!("{}{path}", self.url());
        let mut request = self.agent.get(&url);
        for (name, value) in self.shown() {
            request = request.header(name, value);
        }
        let answer = answer(request.call()).unwrap_or_else(|error| panic!("GET {url}: {error}"));
        openapi::hold("GET", path, &answer);
        answer
    }

    /// The value of a metric, by its name with its labels.
    pub fn metric<T: FromStr>(&self, name: &str) -> T {
        let text = self.get("/metrics").ok().text();
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("no {name}"));
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{line}"))
    }

    /// Any request; it is not redirected.
    pub fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = match body {
            b"" => answer(self.unled.run(request.body(()).expect("a request"))),
            body => answer(self.unled.run(request.body(body).expect("a request"))),
        }?;
        openapi::hold(method, path, &answer);
        Ok(answer)
    }

    /// The header with the key, if one is asked for.
    fn shown(&self) -> Vec<(&str, &str)> {
        self.key.iter().map(|key| ("x-api-key", key.as_str())).collect()
    }

    /// GET of a path with these parameters.
    pub fn ask(&self, path: &str, params: Params) -> Answer {
        self.get(&with_params(path, params))
    }

    /// The JSON of a GET that must work.
    pub fn get_json(&self, path: &str, params: Params) -> Value {
        self.ask(path, params).ok().json()
    }

    /// POST of some bytes to `/v1/events` plus this query string, which may break when the server dies.
    pub fn try_send(&self, query: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, ureq::Error> {
        let answer = try_send(&self.agent, self.url(), query, &[headers, &self.shown()].concat(), body)?;
        openapi::hold("POST", "/v1/events", &answer);
        Ok(answer)
    }

    /// POST of some bytes to `/v1/events`, which must get an answer.
    pub fn send(&self, query: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(query, headers, body).unwrap_or_else(|error| panic!("POST /v1/events{query}: {error}"))
    }

    /// POST of one event (or an array of them) as JSON.
    pub fn post(&self, event: &Value) -> Answer {
        self.send("", &[("content-type", "application/json")], event.to_string().as_bytes())
    }

    /// POST of NDJSON.
    pub fn post_ndjson(&self, lines: &str) -> Answer {
        self.send("", &[("content-type", "application/x-ndjson")], lines.as_bytes())
    }

    /// Posts all these lines in requests of 1,000 and waits until they can be found.
    pub fn load<'a>(&self, lines: impl Iterator<Item = &'a str>) {
        let mut batch = String::new();
        let mut n = 0;
        let flush = |batch: &mut String| {
            if !batch.is_empty() {
                self.post_ndjson(batch).expect_status(201);
                batch.clear();
            }
        };
        for line in lines {
            batch.push_str(line);
            batch.push('\n');
            n += 1;
            if n % 1_000 == 0 || batch.len() > 8 << 20 {
                flush(&mut batch);
            }
        }
        flush(&mut batch);
        self.settle();
    }

    /// Waits until everything durable is searchable.
    pub fn settle(&self) {
        wait_for("everything durable to be searchable", || {
            let marks = self.watermarks();
            (marks.searchable >= marks.durable).then_some(())
        });
    }

    /// The watermarks now, each as "every event below this seq".
    pub fn watermarks(&self) -> Watermarks {
        let answer = self.get_json("/v1/events", &[("limit", "1"), ("count", "none")]);
        Watermarks::of(&answer)
    }

    /// `GET /v1/events?q=…&limit=…`
    pub fn search(&self, q: &str, limit: usize) -> Value {
        self.get_json("/v1/events", &[("q", q), ("limit", &limit.to_string())])
    }

    /// How many events match.
    pub fn count(&self, q: &str) -> u64 {
        let answer = self.search(q, 1);
        answer["total"].as_u64().unwrap_or_else(|| panic!("no total for {q:?} in {answer}"))
    }

    /// `GET /v1/facets` of these fields.
    pub fn facets(&self, fields: &str, params: Params) -> Value {
        let mut all = vec![("fields", fields)];
        all.extend_from_slice(params);
        self.get_json("/v1/facets", &all)
    }

    /// Every event of the feed from its beginning, or from a cursor, page by page to the tail.
    pub fn feed(&self, params: Params, limit: usize) -> Vec<Value> {
        let mut events = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.feed_page(params, limit, cursor.as_deref());
            events.extend(page["events"].as_array().expect("events").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return events,
            }
        }
    }

    /// One page of the feed.
    pub fn feed_page(&self, params: Params, limit: usize, cursor: Option<&str>) -> Value {
        let limit = limit.to_string();
        let mut all = params.to_vec();
        all.push(("limit", &limit));
        all.extend(cursor.map(|cursor| ("cursor", cursor)));
        self.get_json("/v1/feed", &all)
    }

    /// The whole export of a query.
    pub fn export(&self, format: &str, params: Params) -> Vec<u8> {
        let mut all = vec![("format", format)];
        all.extend_from_slice(params);
        self.ask("/v1/export", &all).ok().body
    }

    /// GET over a bare socket, for what the client library hides: gives the body and the trailers (names in lower case).
    pub fn get_with_trailers(&self, path: &str, params: Params) -> (Vec<u8>, Vec<(String, String)>) {
        let address = self.url().strip_prefix("http://").expect("plain http");
        let mut socket = TcpStream::connect(address).expect("connect");
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        write!(
            socket,
            "GET {} HTTP/1.1\r\nhost: {address}\r\nte: trailers\r\nconnection: close\r\n\r\n",
            with_params(path, params)
        )
        .expect("request");
        read_chunked(&mut BufReader::new(socket))
    }

    /// Runs `annals` with these arguments and this on its stdin.
    pub fn annals(args: &[&str], stdin: &[u8]) -> Output {
        let mut command = Command::new(ANNALS);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ANNALS_")) {
            command.env_remove(name);
        }
        let mut child = command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("annals starts");
        let mut input = child.stdin.take().expect("stdin is piped");
        let bytes = stdin.to_vec();
        // A command that does not read its stdin closes it: no matter.
        let writer = std::thread::spawn(move || drop(input.write_all(&bytes)));
        let output = child.wait_with_output().expect("annals ends");
        writer.join().expect("writer");
        Output {
            status: output.status,
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            // It may have ended by itself: then there is nothing to do.
            drop(server.child.kill());
            drop(server.child.wait());
            if std::thread::panicking() {
                let said = server.stderr.lock().map(|said| said.clone()).unwrap_or_default();
                eprintln!("--- the server said:\n{said}---");
            }
        }
    }
}

/// What a command left behind.
pub struct Output {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Output {
    /// Its stdout, if it ended well.
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{}: {}", self.status, self.stderr);
        String::from_utf8(self.stdout).expect("UTF-8")
    }
}

/// A client of its own, for threads.
pub fn new_agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().new_agent()
}

/// The same that follows nothing by itself.
pub fn patient_agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
    config.max_redirects(0).build().new_agent()
}

/// POST to `/v1/events`; an error if the connection breaks.
pub fn try_send(
    agent: &ureq::Agent,
    url: &str,
    query: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, ureq::Error> {
    let mut request = agent.post(format!("{url}/v1/events{query}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request.send(body))
}

/// What came back, read whole.
pub fn answer(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer, ureq::Error> {
    let mut response = result?;
    let headers: Vec<(String, String)> = response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let content_type = headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.clone());
    let body = response.body_mut().with_config().limit(1 << 32).read_to_vec()?;
    Ok(Answer { status: response.status().as_u16(), content_type: content_type.unwrap_or_default(), headers, body })
}

/// A path with an escaped query string.
pub fn with_params(path: &str, params: Params) -> String {
    if params.is_empty() {
        return path.to_owned();
    }
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    format!("{path}?{query}")
}

/// Waits until there is something, looking again and again.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Fails with both sides shown around the place where two long texts part.
pub fn assert_same_text(what: &dyn Debug, left: &str, right: &str) {
    if left == right {
        return;
    }
    let at = left.bytes().zip(right.bytes()).take_while(|(l, r)| l == r).count();
    let around = |text: &str| {
        let bytes = text.as_bytes();
        let from = at.saturating_sub(200).min(bytes.len());
        String::from_utf8_lossy(&bytes[from..(at + 200).min(bytes.len())]).into_owned()
    };
    panic!("{what:?}: answers differ at byte {at}\n left: …{}…\nright: …{}…", around(left), around(right));
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    // It may be gone already: then there is nothing to do.
    let _ = rustix::process::kill_process(pid, signal);
}

fn read_chunked(answer: &mut impl BufRead) -> (Vec<u8>, Vec<(String, String)>) {
    let mut line = String::new();
    let mut next_line = |answer: &mut dyn BufRead| {
        line.clear();
        answer.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    };
    let status = next_line(answer);
    assert!(status.contains(" 200 "), "{status}");
    loop {
        let header = next_line(answer);
        if header.is_empty() {
            break;
        }
    }
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(&next_line(answer), 16).expect("a chunk's size");
        if size == 0 {
            break;
        }
        let from = body.len();
        body.resize(from + size, 0);
        answer.read_exact(&mut body[from..]).expect("a chunk");
        assert_eq!(next_line(answer), "");
    }
    let mut trailers = Vec::new();
    loop {
        let trailer = next_line(answer);
        let Some((name, value)) = trailer.split_once(':') else {
            break;
        };
        trailers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    (body, trailers)
}

/// The text of an answer without its member `watermarks`, everything else untouched.
pub fn without_watermarks(answer: &str) -> String {
    let Some(from) = answer.find("\"watermarks\":{") else {
        return answer.to_owned();
    };
    let to = from + answer[from..].find('}').expect("watermarks are a flat object") + 1;
    format!("{}{}", &answer[..from], &answer[to..])
}

/// Whether the long versions are to be run.
pub fn is_soak() -> bool {
    std::env::var("ANNALS_SOAK").is_ok_and(|soak| soak == "1")
}

/// Says how far a long test came, past the harness that keeps what tests print.
pub fn tell(test: &str, round: impl Display, rounds: impl Display) {
    if is_soak() {
        let now = chrono::Utc::now().format("%H:%M:%S");
        let _ = writeln!(std::io::stderr(), "{now} {test}: {round} of {rounds}");
    }
}

/// The same that asks for keys, with these arguments.
pub fn refused_with(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let done = World::guarded_command(dir).args(arguments).output().expect("it runs");
    assert!(done.stdout.is_empty(), "it serves: {}", String::from_utf8_lossy(&done.stdout));
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

/// Starts a server that is to refuse; answers its exit code and what it said.
pub fn refused(dir: &Path, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let done = World::serve_command(dir).envs(environment.iter().copied()).output().expect("it runs");
    assert!(done.stdout.is_empty(), "it serves: {}", String::from_utf8_lossy(&done.stdout));
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}
