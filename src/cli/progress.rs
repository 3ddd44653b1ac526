//! Long work shows itself: a line on stderr that is written over at a terminal, and a line every few seconds elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const AT_TERMINAL: Duration = Duration::from_millis(200);
const ELSEWHERE: Duration = Duration::from_secs(5);

/// Tells how far some work is.
pub struct Progress {
    what: &'static str,
    began: Instant,
    said: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    /// Of work on so many `what` ("events sent").
    pub fn new(what: &'static str) -> Progress {
        Progress { what, began: Instant::now(), said: None, is_terminal: std::io::stderr().is_terminal() }
    }

    /// `done` so far.
    pub fn at(&mut self, done: u64) {
        let interval = if self.is_terminal { AT_TERMINAL } else { ELSEWHERE };
        if self.said.is_none_or(|said| said.elapsed() >= interval) {
            self.said = Some(Instant::now());
            self.say(done, if self.is_terminal { "\r" } else { "\n" });
        }
    }

    /// The last word.
    pub fn finish(&self, done: u64) {
        self.say(done, "\n");
    }

    fn say(&self, done: u64, end: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = done as f64 / seconds.max(0.001);
        // Nobody may be listening on stderr: no reason to end.
        let _ = write!(std::io::stderr(), "{done} {} in {seconds:.1} s ({rate:.0}/s){end}", self.what);
    }
}
