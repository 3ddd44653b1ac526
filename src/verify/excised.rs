//! Whether each entry whose content was cut out was to be cut out, and the other way round: an entry of ours, further on in the log, says
//! so of one entry, and what is left of that one names it.

use std::collections::BTreeMap;

use super::report::{Finding, Place};
use crate::event::{Event, Kind};
use crate::json::Json;
use crate::log::{Excised, FrameType, Payload};
use crate::seq::Seq;

/// What an entry says was done that has another one cut out.
pub const EXCISED: &str = "log.excised";
/// Where its detail says which.
pub const EXCISED_SEQ: &str = "seq";
/// Findings that are listed.
const LISTED_MAX: usize = 100;

/// What one event tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It was cut out, as this entry says.
    Out(Seq),
    /// It says that this entry was cut out.
    Says(Seq),
}

/// What a frame tells of it, which is nothing for nearly all.
pub fn cut(frame_type: FrameType, payload: &[u8]) -> Option<Cut> {
    match frame_type {
        FrameType::Excised => Excised::decode(payload).ok().map(|excised| Cut::Out(excised.by)),
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
    match event.detail.as_ref().filter(|_| event.action == EXCISED)?.get(EXCISED_SEQ)? {
        Json::Number(token) => token.parse().ok().map(Seq).map(Cut::Says),
        _ => None,
    }
}

/// What the events so far tell of it.
#[derive(Default)]
pub struct CutCheck {
    /// Entry, and who it names.
    out: BTreeMap<Seq, Seq>,
    /// Who says it of which entry.
    said: BTreeMap<Seq, Seq>,
}

impl CutCheck {
    /// Takes in what an event tells.
    pub fn take(&mut self, seq: Seq, cut: Cut) {
        match cut {
            Cut::Out(by) => self.out.insert(seq, by),
            Cut::Says(of) => self.said.insert(seq, of),
        };
    }

    /// How many are cut out, and what does not fit.
    pub fn finish(self) -> (u64, Vec<Finding>) {
        let mut findings = Vec::new();
        let mut found = |seq, why| findings.push(Finding { place: Place::Event(seq), why });
        for (seq, by) in &self.out {
            if self.said.get(by) != Some(seq) {
                found(*seq, format!("its content was cut out, and entry {by} does not say that it was to be"));
            }
        }
        for (by, of) in &self.said {
            match self.out.contains_key(of) {
                true => {}
                false => found(*of, format!("its content is there, although entry {by} says that it was cut out")),
            }
        }
        let more = findings.len().saturating_sub(LISTED_MAX);
        findings.truncate(LISTED_MAX);
        if more > 0 {
            let why = format!("{more} more entries were cut out, or were not, other than the log says");
            findings.push(Finding { place: Place::Named("log".into()), why });
        }
        (self.out.len() as u64, findings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_out_and_what_says_so_must_name_each_other() {
        let check = |cuts: &[(u64, Cut)]| {
            let mut check = CutCheck::default();
            cuts.iter().for_each(|(seq, cut)| check.take(Seq(*seq), *cut));
            let (count, findings) = check.finish();
            (count, findings.iter().map(|finding| finding.place.to_string()).collect::<Vec<_>>())
        };
        let none: Vec<String> = Vec::new();
        assert_eq!(check(&[]), (0, none.clone()));
        assert_eq!(check(&[(3, Cut::Out(Seq(9))), (9, Cut::Says(Seq(3)))]), (1, none));
        assert_eq!(check(&[(3, Cut::Out(Seq(9)))]), (1, vec!["event 3".into()]));
        assert_eq!(check(&[(9, Cut::Says(Seq(3)))]), (0, vec!["event 3".into()]));
        // It names another one: neither fits.
        let crossed = check(&[(3, Cut::Out(Seq(9))), (4, Cut::Out(Seq(9))), (9, Cut::Says(Seq(3)))]);
        assert_eq!(crossed, (2, vec!["event 4".into()]));
        let many: Vec<(u64, Cut)> = (0..200).map(|n| (n, Cut::Out(Seq(999)))).collect();
        assert_eq!(check(&many).1.len(), LISTED_MAX + 1);
    }
}
