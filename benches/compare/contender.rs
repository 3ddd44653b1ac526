//! What is compared: something that loads the same events and answers the same questions, each in its own way.

use std::ops::Range;
use std::time::Duration;

use serde_json::Value;

/// Rows of a page.
pub const ROWS: usize = 50;
/// Events that are handed over together.
pub const BATCH: usize = 1_000;

/// Has loaded the events. Answers are ready to be sent: rows are JSON.
pub trait Contender {
    /// The newest [`ROWS`] that match, newest first.
    fn page(&self, question: &Question) -> Rows;

    /// For actor, action and type of target: each value with the number of matching events that carry it.
    fn facets(&self, question: &Question) -> [Vec<(String, u64)>; 3];
}

/// The events to load.
pub struct Workload {
    pub events: u64,
    /// Where the year of their times ends, ms since 1970.
    pub end_ms: u64,
}

impl Workload {
    /// The events as JSON, ascending by time, no two at the same time.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        annals::demo::volume(self.events, 1, self.end_ms, 365)
    }
}

/// What loading took, each from the first event on.
pub struct Load {
    /// Until all events could be found.
    pub searchable: Duration,
    /// Until nothing was merged or tidied any more.
    pub at_rest: Duration,
}

/// All of it must hold.
#[derive(Debug, Default)]
pub struct Question {
    /// Words of any text.
    pub words: Vec<String>,
    /// The words follow one another.
    pub is_phrase: bool,
    /// Start inclusive, end exclusive, ms since 1970.
    pub time_ms: Option<Range<u64>>,
}

impl Question {
    pub fn words(words: &[&str]) -> Question {
        Question { words: words.iter().map(|word| (*word).to_owned()).collect(), ..Question::default() }
    }

    pub fn phrase(words: &[&str]) -> Question {
        Question { is_phrase: true, ..Question::words(words) }
    }

    /// The words as all three write them: side by side, a phrase in quotes.
    pub fn text(&self) -> String {
        match self.is_phrase {
            true => format!("\"{}\"", self.words.join(" ")),
            false => self.words.join(" "),
        }
    }
}

/// Rows of JSON, one behind the other.
#[derive(Default)]
pub struct Rows {
    pub text: String,
    pub ends: Vec<usize>,
}

impl Rows {
    pub fn push(&mut self, row: &str) {
        self.text.push_str(row);
        self.ends.push(self.text.len());
    }

    pub fn each(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text[start..*end])
    }
}

/// An event as a program reads it that knows nothing of Annals: the columns it filters by, and all text in one value.
pub struct Columns {
    pub time_ms: i64,
    pub actor: String,
    pub action: String,
    pub target_type: String,
    pub text: String,
}

impl Columns {
    pub fn of(line: &str) -> Columns {
        let event: Value = serde_json::from_str(line).expect("JSON");
        let string = |value: &Value| value.as_str().expect("text").to_owned();
        let time = chrono::DateTime::parse_from_rfc3339(event["time"].as_str().expect("a time")).expect("a time");
        let mut text = String::with_capacity(line.len());
        put_text(&event, &mut text);
        Columns {
            time_ms: time.timestamp_millis(),
            actor: string(&event["actor"]["id"]),
            action: string(&event["action"]),
            target_type: string(&event["target"]["type"]),
            text,
        }
    }
}

/// Every value on a line of its own.
fn put_text(value: &Value, out: &mut String) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => put_line(&number.to_string(), out),
        Value::String(text) => put_line(text, out),
        Value::Array(members) => members.iter().for_each(|member| put_text(member, out)),
        Value::Object(members) => members.values().for_each(|member| put_text(member, out)),
    }
}

fn put_line(text: &str, out: &mut String) {
    out.push_str(text);
    out.push('\n');
}
