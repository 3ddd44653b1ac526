//! What is wrong with an event: stable codes for programs, a sentence for people, a pointer for both.

use std::fmt;

/// One thing wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at {pointer:?})")]
pub struct Fault {
    /// Which rule is broken.
    pub code: FaultCode,
    /// JSON pointer (RFC 6901) into the event; empty for the whole event.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Which rule is broken. The words of [`FaultCode::as_str`] are part of the API and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultCode {
    /// Not JSON.
    InvalidJson,
    /// Not UTF-8.
    InvalidUtf8,
    /// A member is there twice.
    DuplicateKey,
    /// A NUL, raw or as `\u0000`.
    Nul,
    /// Nested too deep.
    Depth,
    /// The event or the request is too large, or a request has too many events.
    TooLarge,
    /// A member is missing or empty that must be there.
    Required,
    /// A member is not of its type.
    WrongType,
    /// A member that we do not know.
    UnknownKey,
    /// A value is too long, a list has too many entries, or a character is not allowed there.
    Limit,
    /// A word that only the server may use.
    Reserved,
    /// A message body or a recording: those do not belong here.
    ForbiddenContent,
    /// Not a time that we can read.
    BadTime,
    /// A time before 1970 or too far ahead.
    TimeRange,
    /// A number that no f64 holds.
    BadNumber,
    /// A word that is none of the allowed ones.
    BadValue,
    /// A tenant that the caller does not write.
    OtherTenant,
}

impl FaultCode {
    /// The stable word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            FaultCode::InvalidJson => "invalid_json",
            FaultCode::InvalidUtf8 => "invalid_utf8",
            FaultCode::DuplicateKey => "duplicate_key",
            FaultCode::Nul => "nul",
            FaultCode::Depth => "depth",
            FaultCode::TooLarge => "too_large",
            FaultCode::Required => "required",
            FaultCode::WrongType => "wrong_type",
            FaultCode::UnknownKey => "unknown_key",
            FaultCode::Limit => "limit",
            FaultCode::Reserved => "reserved",
            FaultCode::ForbiddenContent => "forbidden_content",
            FaultCode::BadTime => "bad_time",
            FaultCode::TimeRange => "time_range",
            FaultCode::BadNumber => "bad_number",
            FaultCode::BadValue => "bad_value",
            FaultCode::OtherTenant => "other_tenant",
        }
    }
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
