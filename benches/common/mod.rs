//! What the benches share: a real server process of the same build, loaded with generated events over HTTP, and a few
//! numbers about it from `/proc`. Clients and server share the machine, as they do on a small one; figures are for it.

#![allow(dead_code, reason = "each bench uses its own part of this")]

pub mod quiet;
pub mod turns;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use annals::event::{Catalogue, Intake};
use serde_json::Value;

/// Events in one request of a bulk load.
pub const BATCH: usize = 1_000;
/// Clients of a bulk load: one more than is in the writer thread, so that it never waits for us.
const LOADERS: usize = 3;

/// What arrives while something else is measured has tenants of this name, to be told from what was loaded.
const LIVE_TENANTS: &str = "bench-";
const LIVE_BATCH: usize = 100;
const LIVE_PAUSE: Duration = Duration::from_millis(100);
/// Events of a span as it is cut. What is wider is being merged.
const SPAN_EVENTS: u64 = 32_768;

/// A server that lets everybody in, as most benches want it.
const OPEN: &[&str] = &["--no-auth"];

/// A server process and a client.
pub struct Server {
    child: Child,
    pub url: String,
    pub dir: PathBuf,
    pub agent: ureq::Agent,
    /// Shown with every request, where keys are asked for.
    key: Option<String>,
    /// From exec until `/readyz` said 200.
    pub ready_after: Duration,
    own: Option<tempfile::TempDir>,
    /// When it was started.
    since: quiet::Ticks,
}

/// How many events to use: `ANNALS_BENCH_EVENTS`, 1,000,000 by default.
pub fn events_wanted() -> u64 {
    number_from("ANNALS_BENCH_EVENTS", 1_000_000)
}

/// What a server asks of an event as it comes in.
pub fn intake() -> Intake<'static> {
    Intake {
        now_ms: now_ms(),
        tenant: "default",
        is_only_tenant: false,
        catalogue: Catalogue::builtin(),
        subject_types: None,
    }
}

/// How long to keep on what is measured over a while: `ANNALS_BENCH_SECONDS`, 30 by default.
pub fn seconds_wanted() -> u64 {
    number_from("ANNALS_BENCH_SECONDS", 30)
}

/// A number out of the environment.
pub fn number_from(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.replace('_', "").parse().unwrap_or_else(|_| panic!("{name} is {text:?}, expected a number")),
        Err(_) => default,
    }
}

/// Now, ms since 1970: generated events end here, so that relative ranges find some.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_millis() as u64
}

/// Requests of `BATCH` events each, as NDJSON.
pub fn batches(n: u64, seed: u64) -> impl Iterator<Item = String> {
    let mut events = annals::demo::volume(n, seed, now_ms(), 365);
    std::iter::from_fn(move || {
        let mut batch = String::with_capacity(BATCH * 700);
        for event in events.by_ref().take(BATCH) {
            batch.push_str(&event);
            batch.push('\n');
        }
        (!batch.is_empty()).then_some(batch)
    })
}

impl Server {
    /// A server over an empty temporary directory.
    pub fn empty() -> Server {
        let own = tempfile::tempdir().expect("a temporary directory");
        Server::start(own.path().join("data"), Some(own))
    }

    /// The same with these variables in its environment.
    pub fn empty_with(settings: &[(&str, &str)]) -> Server {
        let own = tempfile::tempdir().expect("a temporary directory");
        Server::start_with(own.path().join("data"), Some(own), settings, OPEN)
    }

    /// The same that asks for keys. Its own is shown with [`Server::get`] and [`Server::text`].
    pub fn empty_guarded() -> Server {
        let own = tempfile::tempdir().expect("a temporary directory");
        let key = format!("annals_bench_{}", "b5".repeat(20));
        // Everything is counted, and nothing held back.
        let settings = [
            ("ANNALS_BOOTSTRAP_ADMIN_KEY", key.as_str()),
            ("ANNALS_REQUESTS_PER_S", "1000000"),
            ("ANNALS_APPENDS_PER_S", "1000000"),
        ];
        let mut server = Server::start_with(own.path().join("data"), Some(own), &settings, &[]);
        server.key = Some(key);
        server
    }

    /// The key that it asks for.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// A server with this many events. With `ANNALS_BENCH_DIR` set they are loaded once and kept there between runs,
    /// beside the few that [`Server::while_appending`] adds.
    pub fn with_events(n: u64) -> Server {
        let Some(root) = std::env::var_os("ANNALS_BENCH_DIR") else {
            let server = Server::empty();
            server.load(n);
            return server;
        };
        std::fs::create_dir_all(&root).expect("a directory for the benches");
        let server = Server::start(Path::new(&root).join(format!("volume-{n}")), None);
        match server.marks().0 {
            0 => drop(server.load(n)),
            there if there >= n => {}
            there => panic!("{} holds {there} events, not {n}: delete it", server.dir.display()),
        }
        server
    }

    /// Stops it cleanly and starts it again over the same directory.
    pub fn restarted(self) -> Server {
        self.restarted_with(&[])
    }

    /// The same with these variables in its environment.
    pub fn restarted_with(mut self, settings: &[(&str, &str)]) -> Server {
        let (dir, own) = (self.dir.clone(), self.own.take());
        drop(self);
        Server::start_with(dir, own, settings, OPEN)
    }

    fn start(dir: PathBuf, own: Option<tempfile::TempDir>) -> Server {
        Server::start_with(dir, own, &[], OPEN)
    }

    fn start_with(
        dir: PathBuf,
        own: Option<tempfile::TempDir>,
        settings: &[(&str, &str)],
        arguments: &[&str],
    ) -> Server {
        let began = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_annals"))
            .arg("serve")
            .arg("--data")
            .arg(&dir)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            // It would run beside what is measured, once, since nothing was checked yet; `--bench scrub` measures it.
            .env("ANNALS_SCRUB_PERIOD_S", "0")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("annals starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the server's first line");
        let url = line.trim().strip_prefix("listening on ").expect("the server's address").to_owned();
        thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let (agent, since) = (new_agent(), quiet::Ticks::now());
        let mut server = Server { child, url, dir, agent, key: None, ready_after: Duration::ZERO, own, since };
        while server.agent.get(format!("{}/readyz", server.url)).call().map_or(true, |answer| answer.status() != 200) {
            thread::sleep(Duration::from_millis(2));
        }
        server.ready_after = began.elapsed();
        server
    }

    /// Appends `n` events from several clients and waits until all are searchable.
    pub fn load(&self, n: u64) -> Load {
        self.load_batches(batches(n, 1))
    }

    /// The same with these requests of NDJSON.
    pub fn load_batches(&self, batches: impl Iterator<Item = String> + Send) -> Load {
        let batches = Mutex::new(batches);
        let cpu_before = self.cpu_seconds();
        let began = Instant::now();
        let bytes: usize = thread::scope(|scope| {
            let clients: Vec<_> = (0..LOADERS)
                .map(|_| {
                    scope.spawn(|| {
                        let agent = new_agent();
                        let mut bytes = 0;
                        loop {
                            let Some(batch) = batches.lock().expect("no one panics").next() else {
                                return bytes;
                            };
                            bytes += batch.len();
                            post(&agent, &self.url, &batch);
                        }
                    })
                })
                .collect();
            clients.into_iter().map(|client| client.join().expect("a client")).sum()
        });
        let acked = began.elapsed();
        self.settle();
        Load { bytes, acked, searchable: began.elapsed(), cpu_seconds: self.cpu_seconds() - cpu_before }
    }

    /// Does something while 100 events arrive every 100 ms, as they happen: without a time of their own.
    pub fn while_appending<T>(&self, call: impl FnOnce() -> T) -> T {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let agent = new_agent();
                // Another seed each time: a kept directory has the ids of earlier runs.
                let mut events = annals::demo::volume(u64::from(u32::MAX), now_ms(), now_ms(), 365).map(live);
                while !is_over.load(Ordering::Relaxed) {
                    let batch: Vec<String> = events.by_ref().take(LIVE_BATCH).collect();
                    post(&agent, &self.url, &batch.join("\n"));
                    thread::sleep(LIVE_PAUSE);
                }
            });
            let _over = SetWhenDropped(&is_over);
            call()
        })
    }

    /// Waits until everything durable is searchable.
    pub fn settle(&self) {
        loop {
            let (durable, searchable) = self.marks();
            if searchable >= durable {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// A metric without labels.
    pub fn metric(&self, name: &str) -> u64 {
        let page = self.text("/metrics");
        let mut lines = page.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        lines.next().expect("a metric of that name").parse().expect("a number")
    }

    /// POST of some JSON, which must be taken.
    pub fn post_json(&self, path: &str, body: &str) {
        let request = self.agent.post(format!("{}{path}", self.url)).header("content-type", "application/json");
        let mut answer = request.send(body).expect("an answer");
        let text = answer.body_mut().read_to_string().expect("a body");
        assert!(answer.status().is_success(), "{path}: {text}");
    }

    /// Waits until no span is left to be built or merged. Answers since when.
    pub fn index_at_rest(&self) -> Instant {
        loop {
            let since = Instant::now();
            if self.metric("annals_index_spans_unbuilt") + self.metric("annals_index_spans_unmerged") == 0 {
                return since;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Events that are durable, and events that are searchable.
    pub fn marks(&self) -> (u64, u64) {
        let marks = &self.get("/v1/events?limit=1&count=none")["watermarks"];
        let mark = |name: &str| marks[name].as_u64().expect("a watermark");
        (mark("durable"), mark("searchable"))
    }

    /// The total of an answer.
    pub fn total(&self, path: &str) -> u64 {
        self.get(path)["total"].as_u64().expect("a total")
    }

    /// GET of some JSON.
    pub fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).expect("JSON")
    }

    /// GET of some text, which must work.
    pub fn text(&self, path: &str) -> String {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key);
        }
        let mut answer = request.call().expect("an answer");
        let text = answer.body_mut().with_config().limit(1 << 30).read_to_string().expect("a body");
        assert_eq!(answer.status(), 200, "{path}: {text}");
        text
    }

    /// CPU time that the server has used, user and system, all threads.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("/proc");
        // Fields after the command's name, which is in parentheses: 14 and 15 of the line are utime and stime.
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().expect("ticks")).sum();
        // USER_HZ, which /proc counts in, is 100 on all Linux platforms we build for.
        ticks / 100.0
    }

    /// A line of `/proc/<pid>/status`, in MiB: `VmHWM`, `RssAnon` …
    pub fn memory_mib(&self, name: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("/proc");
        let line = status.lines().find(|line| line.starts_with(name)).expect("a line of that name");
        let kib: f64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
        kib / 1024.0
    }

    /// Bytes of disk that a part of the data directory takes (blocks, so that preallocated space counts too).
    pub fn disk_bytes(&self, part: &str) -> u64 {
        disk_bytes(&self.dir.join(part))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.since.complain();
        // Politely, so that a kept directory is clean. A server that does not end is killed.
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().is_ok_and(|status| status.success());
        let patience = Instant::now();
        while asked && patience.elapsed() < Duration::from_secs(60) {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a bulk load took.
pub struct Load {
    /// NDJSON sent.
    pub bytes: usize,
    /// Until the last ack.
    pub acked: Duration,
    /// Until all of it could be found.
    pub searchable: Duration,
    /// Of the server, all threads.
    pub cpu_seconds: f64,
}

/// A client of its own.
pub fn new_agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).no_delay(true).build().new_agent()
}

/// Posts NDJSON, which must be taken.
pub fn post(agent: &ureq::Agent, url: &str, lines: &str) {
    post_with(agent, url, None, lines);
}

/// The same with a key.
pub fn post_with(agent: &ureq::Agent, url: &str, key: Option<&str>, lines: &str) {
    let mut request = agent.post(format!("{url}/v1/events")).header("content-type", "application/x-ndjson");
    if let Some(key) = key {
        request = request.header("x-api-key", key);
    }
    let mut answer = request.send(lines).expect("an answer");
    let text = answer.body_mut().read_to_string().expect("a body");
    assert_eq!(answer.status(), 201, "{text}");
}

/// A path with an escaped query string.
pub fn with_params(path: &str, params: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    format!("{path}?{query}")
}

/// How long a call takes.
pub fn timed<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let answer = call();
    (answer, began.elapsed())
}

/// The time that this share of the calls did not exceed, in ms.
pub fn percentile_ms(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let at = (times.len() * percent / 100).min(times.len() - 1);
    times[at].as_secs_f64() * 1e3
}

/// Median time of a write of 4 KiB behind the end of a file with `fdatasync` on the disk of this directory, ms: what an ack
/// costs whose batch needs a new block. Within a block that was written before, many file systems sync much faster.
pub fn sync_ms(dir: &Path) -> f64 {
    use std::io::Write;
    let mut file = tempfile::tempfile_in(dir).expect("a file");
    let mut times: Vec<Duration> = (0..100)
        .map(|_| {
            timed(|| {
                file.write_all(&[7u8; 4096]).expect("write");
                file.sync_data().expect("fdatasync");
            })
            .1
        })
        .collect();
    percentile_ms(&mut times, 50)
}

/// Whether spans are being merged in this data directory.
pub fn is_merging(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir.join("index")).expect("an index");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("our own names"));
    names.filter_map(|name| name.strip_prefix("building-").map(str::to_owned)).any(|name| {
        let (from, to) = name.split_once('-').expect("a run");
        let seq = |text: &str| text.parse::<u64>().expect("a seq");
        seq(to) - seq(from) > SPAN_EVENTS
    })
}

/// A generated event as it would be sent at once: without a time, and of a tenant of its own.
fn live(line: String) -> String {
    let (head, timed) = line.split_once("\"time\":\"").expect("it has a time");
    let (_, tail) = timed.split_once("\",").expect("something follows");
    let tail = tail.replace("\"tenant\":\"velo-", &format!("\"tenant\":\"{LIVE_TENANTS}"));
    format!("{head}{tail}")
}

/// Raises a flag when it is dropped, also by a panic: threads that run until then end.
pub struct SetWhenDropped<'a>(pub &'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Bytes of disk that a file or directory takes.
pub fn disk_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(metadata) = std::fs::metadata(path) else {
        return 0;
    };
    if !metadata.is_dir() {
        return metadata.blocks() * 512;
    }
    let entries = std::fs::read_dir(path).expect("a directory");
    entries.map(|entry| disk_bytes(&entry.expect("an entry").path())).sum()
}
