//! What scrubbing has found so far: how far the round at hand is, how the last one ended. Kept in the data directory, in the
//! file `scrubbed`, so that a start goes on where the last one stopped, and nobody has to wait a week to be told.
//!
//! Nothing depends on that file: lost or unreadable, a new round begins.

use std::fmt;
use std::io;
use std::path::Path;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::durable::{self, Disk, read_small};
use crate::seq::Seq;

const FILE: &str = "scrubbed";
const FILE_BYTES_MAX: u64 = 1 << 20;
/// So many findings of a round are kept; further ones are only counted, since by then nobody reads them one by one.
const FINDINGS_KEPT_MAX: usize = 100;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// First seq of the segment, if it is in one.
    pub segment: Option<Seq>,
    /// Byte in its file, if it is in one.
    pub offset: Option<u64>,
    /// The first event that it concerns, if it concerns one.
    pub seq: Option<Seq>,
    /// What disagrees. Never what an event says.
    pub why: String,
}

/// A round that is going on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// When it began, ms.
    pub began_ms: u64,
    /// The signed size when it began: so many events are read.
    pub of_events: Seq,
    /// Read so far; the segment that follows is the next one.
    pub events: Seq,
    /// Bytes read so far.
    pub bytes: u64,
    /// What was found, the first ones.
    pub found: Vec<Found>,
    /// How many there were in all.
    pub found_count: u64,
}

/// A round that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// When it began, ms.
    pub began_ms: u64,
    /// When it ended, ms.
    pub ended_ms: u64,
    /// Events read.
    pub events: Seq,
    /// Bytes read.
    pub bytes: u64,
    /// What was found, the first ones.
    pub found: Vec<Found>,
    /// How many there were in all.
    pub found_count: u64,
}

/// Whether everything was read again and found as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integrity {
    /// The round at hand.
    pub running: Option<Round>,
    /// The last one that ended.
    pub checked: Option<Checked>,
    /// Spans of the index that were found damaged and built again, ever.
    #[serde(default)]
    pub spans_rebuilt: u64,
}

/// That in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No round ended yet, and none is going on.
    NeverChecked,
    /// The first one is going on, nothing was found so far.
    Running,
    /// The last one found nothing, and neither did the one at hand so far.
    Passed,
    /// Something was found, and no later round has passed over it.
    Failed,
}

impl Integrity {
    /// In a word.
    pub fn state(&self) -> State {
        match (&self.running, &self.checked) {
            _ if self.finding().is_some() => State::Failed,
            (_, Some(_)) => State::Passed,
            (Some(_), None) => State::Running,
            (None, None) => State::NeverChecked,
        }
    }

    /// The first thing that was found, in the round at hand or else in the last one.
    pub fn finding(&self) -> Option<&Found> {
        let running = self.running.iter().flat_map(|round| &round.found);
        running.chain(self.checked.iter().flat_map(|checked| &checked.found)).next()
    }

    /// How many things were found; the larger number of the round at hand and the last one.
    pub fn found_count(&self) -> u64 {
        let counts = [self.running.as_ref().map(|r| r.found_count), self.checked.as_ref().map(|c| c.found_count)];
        counts.into_iter().flatten().max().unwrap_or(0)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::NeverChecked => "never_checked",
            State::Running => "running",
            State::Passed => "passed",
            State::Failed => "failed",
        })
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(segment), Some(offset)) = (self.segment, self.offset) {
            write!(f, "segment {segment} at byte {offset}, ")?;
        }
        if let Some(seq) = self.seq {
            write!(f, "event {seq}: ")?;
        }
        f.write_str(&self.why)
    }
}

impl Round {
    /// Adds a finding.
    pub fn add(&mut self, found: Found) {
        self.found_count += 1;
        if self.found.len() < FINDINGS_KEPT_MAX {
            self.found.push(found);
        }
    }

    /// The round as it ended.
    pub fn end(self, ended_ms: u64) -> Checked {
        let Round { began_ms, of_events: _, events, bytes, found, found_count } = self;
        Checked { began_ms, ended_ms, events, bytes, found, found_count }
    }
}

/// The one place where it is kept, in memory and on the disk.
pub struct Record {
    /// Guards the facts, for moments; never held while something is read or written.
    now: Mutex<Integrity>,
}

impl Record {
    /// What the last process left, or nothing.
    pub fn load(disk: &dyn Disk, dir: &Path) -> Record {
        let path = dir.join(FILE);
        let read = match read_small(disk, &path, FILE_BYTES_MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Integrity::default()),
            Err(error) => Err(error.to_string()),
        };
        let now = read.unwrap_or_else(|why| {
            warn!("{} cannot be read, scrubbing begins anew: {why}", path.display());
            Integrity::default()
        });
        Record { now: Mutex::new(now) }
    }

    /// The facts now.
    pub fn get(&self) -> Integrity {
        self.now.lock().clone()
    }

    /// Changes them.
    pub fn change(&self, change: impl FnOnce(&mut Integrity)) {
        change(&mut self.now.lock());
    }

    /// Makes them durable.
    pub fn save(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(&self.get()).map_err(io::Error::other)?;
        durable::replace(disk, dir, FILE, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::OsDisk;

    fn found(seq: u64) -> Found {
        Found { segment: Some(Seq(0)), offset: Some(4096), seq: Some(Seq(seq)), why: "it rotted".into() }
    }

    fn round() -> Round {
        Round { began_ms: 5, of_events: Seq(9), events: Seq(3), bytes: 70, found: Vec::new(), found_count: 0 }
    }

    #[test]
    fn the_state_is_failed_until_a_whole_round_found_nothing() {
        let mut now = Integrity::default();
        assert_eq!(now.state(), State::NeverChecked);
        now.running = Some(round());
        assert_eq!(now.state(), State::Running);
        now.running.as_mut().unwrap().add(found(7));
        assert_eq!((now.state(), now.found_count()), (State::Failed, 1));
        now.checked = now.running.take().map(|round| round.end(6));
        assert_eq!(now.state(), State::Failed);
        now.running = Some(round());
        assert_eq!(now.state(), State::Failed, "the new round has not come there yet");
        now.checked = now.running.take().map(|round| round.end(8));
        assert_eq!((now.state(), now.found_count()), (State::Passed, 0));
    }

    #[test]
    fn what_was_saved_is_there_again_and_rubbish_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let record = Record::load(&OsDisk, dir.path());
        record.change(|now| {
            let mut round = round();
            (0..1_000).for_each(|seq| round.add(found(seq)));
            now.running = Some(round);
        });
        record.save(&OsDisk, dir.path()).unwrap();
        let again = Record::load(&OsDisk, dir.path()).get();
        assert_eq!(again, record.get());
        assert_eq!((again.found_count(), again.running.unwrap().found.len()), (1_000, FINDINGS_KEPT_MAX));
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        assert_eq!(Record::load(&OsDisk, dir.path()).get(), Integrity::default());
    }
}
