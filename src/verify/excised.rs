//! Whether each entry whose content was cut out was to be cut out, and the other way round: an entry of ours, further on in the log, says
//! so of one entry and its leaf, and what is left of that one names it.

use std::collections::BTreeMap;

use super::chain::{leaf_of, leaf_of_excised};
use super::report::{Finding, Place};
use crate::event::row::hex;
use crate::event::{BodyHead, Event, Kind};
use crate::log::{Excised, FrameType, Payload};
use crate::seq::Seq;
use crate::tree::Leaf;

/// What an entry says was done that has another one cut out.
pub const EXCISED: &str = "log.excised";
/// Where its detail says which.
pub const EXCISED_SEQ: &str = "seq";
/// And of which leaf, in hexadecimal digits.
pub const EXCISED_HASH: &str = "hash";
/// Findings that are listed.
const LISTED_MAX: usize = 100;

/// What one event tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It was cut out.
    Out(Left),
    /// It says that another one was.
    Says {
        /// Which.
        of: Seq,
        /// The hash of its leaf.
        hash: String,
    },
}

/// What is left of an entry, as far as it must agree with the one that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The one that says so.
    pub by: Seq,
    /// Its kind.
    pub kind: u8,
    /// The hash of its leaf, in hexadecimal digits.
    pub hash: String,
}

impl Left {
    /// Of this leaf.
    pub fn of(leaf: &Leaf, by: Seq) -> Left {
        Left { by, kind: leaf.kind, hash: hex(&leaf.hash()) }
    }

    /// Whether the entry that it names says so of `seq`, which is this one.
    pub fn is_said(&self, seq: Seq, said: Option<&Cut>) -> bool {
        let Some(Cut::Says { of, hash }) = said else { return false };
        let may_go = [Kind::Event, Kind::Own].map(Kind::as_byte).contains(&self.kind);
        may_go && self.by > seq && *of == seq && *hash == self.hash
    }
}

/// What a frame tells of it, which is nothing for nearly all.
pub fn cut(frame_type: FrameType, payload: &[u8]) -> Option<Cut> {
    match frame_type {
        FrameType::Excised => {
            let excised = Excised::decode(payload).ok()?;
            Some(Cut::Out(Left::of(&leaf_of_excised(&excised).ok()?, excised.by)))
        }
        FrameType::Event => Payload::decode(payload).ok().and_then(|payload| says(payload.kind, payload.body)),
        FrameType::Commit | FrameType::Seal => None,
    }
}

/// Which entry this one says was cut out, if it is ours and of that kind.
pub fn says(kind: u8, body: &[u8]) -> Option<Cut> {
    if kind != Kind::Control.as_byte() {
        return None;
    }
    let event = Event::from_body(std::str::from_utf8(body).ok()?).ok()?;
    let detail = event.detail.as_ref().filter(|_| event.action == EXCISED)?;
    let hash = detail.get(EXCISED_HASH)?.as_str()?.to_owned();
    Some(Cut::Says { of: Seq(detail.get(EXCISED_SEQ)?.as_u64()?), hash })
}

/// What is to stand in the place of a record that is cut out: its leaf, and nothing that it told but whose it was. `None` if nothing can.
pub fn left_of(frame_type: FrameType, payload: &[u8], by: Seq) -> Option<Vec<u8>> {
    let leaf = leaf_of(frame_type, payload).ok()?.encode();
    match frame_type {
        FrameType::Event => {
            let body = Payload::decode(payload).ok()?.body;
            let tenant = BodyHead::read(std::str::from_utf8(body).ok()?).ok()?.tenant;
            Excised { leaf: &leaf, by, tenant: &tenant }.encode(payload.len())
        }
        // Done before.
        FrameType::Excised => Some(payload.to_vec()),
        FrameType::Commit | FrameType::Seal => None,
    }
}

/// What the events so far tell of it.
#[derive(Debug, Default)]
pub struct CutCheck {
    out: BTreeMap<Seq, Left>,
    /// By the entry that says so.
    said: BTreeMap<Seq, Cut>,
}

/// An entry that was to be cut out and is there, and the one that says so.
pub type Uncut = (Seq, Seq);

impl CutCheck {
    /// Takes in what an event tells.
    pub fn take(&mut self, seq: Seq, cut: Cut) {
        match cut {
            Cut::Out(left) => drop(self.out.insert(seq, left)),
            said @ Cut::Says { .. } => drop(self.said.insert(seq, said)),
        }
    }

    /// Entries that were to be cut out and are there: in the middle of it, or brought back from an older copy. Each once.
    pub fn uncut(&self) -> Vec<Uncut> {
        let of = |(by, said): (&Seq, &Cut)| match said {
            Cut::Says { of, .. } if !self.out.contains_key(of) => Some((*of, *by)),
            Cut::Says { .. } | Cut::Out(_) => None,
        };
        let uncut: BTreeMap<Seq, Seq> = self.said.iter().filter_map(of).collect();
        uncut.into_iter().collect()
    }

    /// How many are cut out, and which of them by nobody's leave.
    pub fn finish(&self) -> (u64, Vec<Finding>) {
        let unsaid = self.out.iter().filter(|(seq, left)| !left.is_said(**seq, self.said.get(&left.by)));
        let mut findings: Vec<Finding> = unsaid
            .map(|(seq, left)| {
                let by = left.by;
                let why = format!("its content was cut out, and entry {by} does not say that it was to be");
                Finding { place: Place::Event(*seq), why }
            })
            .collect();
        let more = findings.len().saturating_sub(LISTED_MAX);
        findings.truncate(LISTED_MAX);
        if more > 0 {
            let why = format!("{more} more entries were cut out, and no entry says that they were to be");
            findings.push(Finding { place: Place::Named("log".into()), why });
        }
        (self.out.len() as u64, findings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(by: u64) -> Cut {
        Cut::Out(Left { by: Seq(by), kind: 1, hash: "ab".into() })
    }

    fn says(of: u64) -> Cut {
        Cut::Says { of: Seq(of), hash: "ab".into() }
    }

    #[test]
    fn what_was_cut_out_and_what_says_so_must_name_each_other() {
        let check = |cuts: &[(u64, Cut)]| {
            let mut check = CutCheck::default();
            cuts.iter().for_each(|(seq, cut)| check.take(Seq(*seq), cut.clone()));
            let (count, findings) = check.finish();
            (count, findings.iter().map(|finding| finding.place.to_string()).collect::<Vec<_>>(), check.uncut())
        };
        let none: Vec<String> = Vec::new();
        assert_eq!(check(&[]), (0, none.clone(), vec![]));
        assert_eq!(check(&[(3, out(9)), (9, says(3))]), (1, none.clone(), vec![]));
        // Cut out again after it was brought back.
        assert_eq!(check(&[(3, out(12)), (9, says(3)), (12, says(3))]), (1, none.clone(), vec![]));
        assert_eq!(check(&[(9, says(3)), (12, says(3))]), (0, none, vec![(Seq(3), Seq(12))]));
        let wrong = [
            vec![(3, out(9))],
            // In advance.
            vec![(12, out(9)), (9, says(12))],
            // Of another leaf; of an entry that others are verified by.
            vec![(3, out(9)), (9, Cut::Says { of: Seq(3), hash: "cd".into() })],
            vec![(3, Cut::Out(Left { by: Seq(9), kind: 2, hash: "ab".into() })), (9, says(3))],
        ];
        for cuts in wrong {
            assert_eq!(check(&cuts).1.len(), 1, "{cuts:?}");
        }
        let crossed = check(&[(3, out(9)), (4, out(9)), (9, says(3))]);
        assert_eq!(crossed.1, ["event 4"]);
        let many: Vec<(u64, Cut)> = (0..200).map(|n| (n, out(999))).collect();
        assert_eq!(check(&many).1.len(), LISTED_MAX + 1);
    }
}
