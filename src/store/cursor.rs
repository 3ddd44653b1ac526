//! Cursors: where an answer stopped, so that the next page begins there. Opaque, never expire, cannot be forged.
//!
//! The bytes, base64url: `version u8=1 | kind u8 | order u8 | 0 | filter_hash u64 | pin u64 | time_ms i64 | seq u64 | query |
//! mac[16]`, little-endian. The query is printed with absolute times, so a relative range does not move between
//! pages. The MAC is HMAC-SHA256 under the data directory's own key. No restriction is in it: that always comes
//! from the caller.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::hash::{Mac, Sha256};
use crate::index::{Hit, Order};
use crate::seq::Seq;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 36;
const MAC_BYTES: usize = 16;
/// Longest cursor text we look at, bytes: the query's limit with room for what surrounds it.
pub const CURSOR_BYTES_MAX: usize = 64 << 10;

/// Which call a cursor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorKind {
    /// `/v1/events`.
    Events,
    /// `/v1/feed`.
    Feed,
}

/// Where an answer stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which call it belongs to.
    pub kind: CursorKind,
    /// The order of the answer.
    pub order: Order,
    /// Hash of the filter parameters of the first request, see [`filter_hash`].
    pub filter_hash: u64,
    /// First seq that is not part of the answer: what was appended later does not shift the pages.
    pub pin: Seq,
    /// The last hit that was delivered. For a feed, `seq` is the next one to look at, and `time_ms` is 0.
    pub last: Hit,
    /// The query, printed.
    pub query: String,
}

/// Why a cursor is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CursorError {
    /// Not one of ours, or changed on its way.
    #[error("this is not a cursor of this server; begin again without one")]
    Unreadable,
    /// It came from another call.
    #[error("this cursor belongs to another call")]
    OtherCall,
    /// The filter parameters beside it are not those it began with.
    #[error("the filter changed under the cursor; begin again without a cursor")]
    Mismatch,
}

/// Makes and reads cursors.
pub struct Cursors {
    key: [u8; 32],
}

impl Cursors {
    /// With the secret of this data directory.
    pub fn new(key: [u8; 32]) -> Cursors {
        Cursors { key }
    }

    /// The text of a cursor.
    pub fn encode(&self, cursor: &Cursor) -> String {
        let mut bytes = vec![VERSION, cursor.kind as u8, order_byte(cursor.order), 0];
        bytes.extend_from_slice(&cursor.filter_hash.to_le_bytes());
        bytes.extend_from_slice(&cursor.pin.0.to_le_bytes());
        bytes.extend_from_slice(&cursor.last.time_ms.to_le_bytes());
        bytes.extend_from_slice(&cursor.last.seq.0.to_le_bytes());
        bytes.extend_from_slice(cursor.query.as_bytes());
        let mac = self.mac(&bytes).finalize();
        bytes.extend_from_slice(&mac[..MAC_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor of a call of this `kind`.
    pub fn decode(&self, text: &str, kind: CursorKind) -> Result<Cursor, CursorError> {
        if text.len() > CURSOR_BYTES_MAX {
            return Err(CursorError::Unreadable);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError::Unreadable)?;
        let split = bytes.len().checked_sub(MAC_BYTES).filter(|n| *n >= HEAD_BYTES).ok_or(CursorError::Unreadable)?;
        let (body, mac) = bytes.split_at(split);
        if !self.mac(body).begins(mac) {
            return Err(CursorError::Unreadable);
        }
        let number = |at: usize| u64::from_le_bytes(body[at..at + 8].try_into().expect("the length was checked"));
        if body[0] != VERSION {
            return Err(CursorError::Unreadable);
        }
        if body[1] != kind as u8 {
            return Err(CursorError::OtherCall);
        }
        Ok(Cursor {
            kind,
            order: order_of(body[2]).ok_or(CursorError::Unreadable)?,
            filter_hash: number(4),
            pin: Seq(number(12)),
            last: Hit { time_ms: number(20).cast_signed(), seq: Seq(number(28)) },
            query: String::from_utf8(body[HEAD_BYTES..].to_vec()).map_err(|_| CursorError::Unreadable)?,
        })
    }

    fn mac(&self, bytes: &[u8]) -> Mac {
        let mut mac = Mac::new(&self.key);
        mac.update(bytes);
        mac
    }
}

/// Tells whether two requests have the same filter: a hash over their filter parameters, in any order.
pub fn filter_hash(pairs: &[(String, String)]) -> u64 {
    let mut sorted: Vec<_> = pairs.iter().collect();
    sorted.sort();
    let mut hash = Sha256::new();
    for (name, value) in sorted {
        for part in [name, value] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    u64::from_le_bytes(hash.finalize()[..8].try_into().expect("a digest has 32 bytes"))
}

fn order_byte(order: Order) -> u8 {
    match order {
        Order::TimeDesc => 0,
        Order::TimeAsc => 1,
        Order::SeqDesc => 2,
        Order::SeqAsc => 3,
    }
}

fn order_of(byte: u8) -> Option<Order> {
    [Order::TimeDesc, Order::TimeAsc, Order::SeqDesc, Order::SeqAsc].get(usize::from(byte)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> Cursor {
        Cursor {
            kind: CursorKind::Events,
            order: Order::TimeAsc,
            filter_hash: 7,
            pin: Seq(100),
            last: Hit { time_ms: -5, seq: Seq(42) },
            query: "actor:u_81".into(),
        }
    }

    #[test]
    fn a_cursor_is_read_back_as_it_was() {
        let cursors = Cursors::new([1; 32]);
        assert_eq!(cursors.decode(&cursors.encode(&cursor()), CursorKind::Events), Ok(cursor()));
    }

    #[test]
    fn a_changed_cursor_is_refused_at_every_byte() {
        let cursors = Cursors::new([1; 32]);
        let text = cursors.encode(&cursor());
        let good = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let text = URL_SAFE_NO_PAD.encode(bad);
            assert_eq!(cursors.decode(&text, CursorKind::Events), Err(CursorError::Unreadable), "byte {at}");
        }
        assert_eq!(Cursors::new([2; 32]).decode(&text, CursorKind::Events), Err(CursorError::Unreadable));
        assert_eq!(cursors.decode("", CursorKind::Events), Err(CursorError::Unreadable));
        assert_eq!(cursors.decode("18446744073709551616", CursorKind::Events), Err(CursorError::Unreadable));
    }

    #[test]
    fn a_cursor_of_another_call_is_refused() {
        let cursors = Cursors::new([1; 32]);
        assert_eq!(cursors.decode(&cursors.encode(&cursor()), CursorKind::Feed), Err(CursorError::OtherCall));
    }

    #[test]
    fn the_filter_hash_knows_no_order_but_every_difference() {
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        let ab = [pair("a", "1"), pair("b", "2")];
        assert_eq!(filter_hash(&ab), filter_hash(&[pair("b", "2"), pair("a", "1")]));
        assert_ne!(filter_hash(&ab), filter_hash(&[pair("a", "1b"), pair("", "2")]));
    }
}
