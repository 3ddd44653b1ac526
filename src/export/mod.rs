//! Entries as files: a format per file, a row at a time, so that an export of any size needs constant memory.
//! Which entries, in which order and up to where, the caller decides.

pub mod bundle;
pub mod csv;
pub mod ndjson;

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// [`csv`].
    Csv,
    /// [`ndjson`].
    Ndjson,
    /// [`bundle`].
    Bundle,
}

impl Format {
    /// The format of that `format=` word.
    pub fn from_word(word: &str) -> Option<Format> {
        match word {
            "csv" => Some(Format::Csv),
            "ndjson" | "jsonl" => Some(Format::Ndjson),
            "bundle" => Some(Format::Bundle),
            _ => None,
        }
    }

    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv; charset=utf-8; header=present",
            Format::Ndjson | Format::Bundle => "application/x-ndjson",
        }
    }

    /// What a file name ends with, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Ndjson => "ndjson",
            Format::Bundle => "bundle",
        }
    }
}
