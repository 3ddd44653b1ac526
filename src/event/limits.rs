//! The limits of an event: what one sender may ask every reader to carry for ever.

/// One event, as sent: 256 KiB. Bytes.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;
/// Nested arrays and objects, the event itself included.
pub const DEPTH_MAX: usize = 32;
/// `action`, without control characters. Bytes.
pub const ACTION_BYTES_MAX: usize = 256;
/// Ids and what names a class of things: `id`, `tenant`, `source`, types, request and session ids, IPs, names of
/// changed fields. Bytes.
pub const ID_BYTES_MAX: usize = 1024;
/// Names for people, and e-mail addresses. Bytes.
pub const NAME_BYTES_MAX: usize = 512;
/// Entries of `changes`.
pub const CHANGES_MAX: usize = 64;
/// Entries of `related`, and of `subjects`.
pub const RELATED_MAX: usize = 16;
/// How far ahead of our clock an event's time may stand: 24 h, room for a sender in the wrong zone. Milliseconds.
pub const TIME_AHEAD_MS_MAX: i64 = 24 * 60 * 60 * 1000;
/// Digits of a second that a time may carry (nanoseconds).
pub const TIME_DIGITS_MAX: usize = 9;
/// Digits of a second that a stored time carries at least (milliseconds).
pub const TIME_DIGITS_MIN: usize = 3;
/// Faults reported for one event; a hostile event must not make a long answer.
pub const FAULTS_MAX: usize = 64;
