//! Whether what is sealed is there and whole, and whether what nobody can read any more was erased by somebody who may.
//!
//! A part names the keys that it is sealed under, and nothing in its leaf binds these numbers. So they are held against what the log
//! says: a key belongs to one person, who is among those that each of its entries is about; it may be missing only if an entry
//! of an erasure of that person names it; and nothing is sealed under it behind that entry.

use std::collections::HashMap;

use super::report::{Finding, Place};
use crate::event::erasures::Requested;
use crate::event::{Event, Kind, PartKind, Seen, SeenParts};
use crate::hash::Sha256;
use crate::keyring::KeyState;
use crate::log::Payload;
use crate::seq::Seq;

/// Findings of one kind that are listed; a lost keyring would give one for each key.
const LISTED_MAX: usize = 100;

/// Opens what is sealed of an event, if somebody has the keys.
pub type Opener<'a> = dyn Fn(&Payload<'_>, Event) -> SeenParts + Sync + 'a;

/// What became of a key; asked also whether an erasure in the log destroyed it.
pub type State<'a> = dyn Fn(u64, bool) -> KeyState + 'a;

/// Somebody, by what stands for them.
type PersonHash = [u8; 16];

/// What one event tells of sealing.
pub struct Facts {
    /// Keys that something of it is sealed under.
    keys: Vec<u64>,
    /// All whom it may be about.
    persons: Vec<PersonHash>,
    /// It erases this person, whose keys these are.
    erases: Option<(PersonHash, Vec<u64>)>,
    /// What is wrong with it by itself.
    fault: Option<String>,
}

/// The facts of a payload that is an event's; `None` if there are none, which is told without reading its body.
pub fn facts(payload: &Payload<'_>, opener: Option<&Opener<'_>>) -> Option<Facts> {
    let is_erasure = payload.kind == Kind::Erasure.as_byte();
    let says_sealed = || memchr::memmem::find(payload.body, b"\"sealed\":{").is_some();
    if payload.parts.is_empty() && !is_erasure && !says_sealed() {
        return None;
    }
    let event = std::str::from_utf8(payload.body).ok().and_then(|body| Event::from_body(body).ok())?;
    let keys: Vec<u64> = payload.parts.iter().flat_map(|part| part.keys()).collect();
    let persons = event.anybody().map(|(kind, id)| person(&event.tenant, kind, id)).collect();
    let erases = is_erasure.then(|| erases(&event)).flatten();
    let fault = fault(payload, event, opener);
    Some(Facts { keys, persons, erases, fault })
}

fn fault(payload: &Payload<'_>, event: Event, opener: Option<&Opener<'_>>) -> Option<String> {
    for kind in PartKind::ALL {
        let parts = payload.parts.iter().filter(|part| part.kind == kind.as_byte()).count();
        let named = event.sealed.iter().filter(|digest| digest.kind == kind).count();
        if parts != named || named > 1 {
            return Some(format!("it has {parts} sealed parts {:?}, and says that it has {named}", kind.as_str()));
        }
    }
    if let Some(part) = payload.parts.iter().find(|part| PartKind::from_byte(part.kind).is_none()) {
        return Some(format!("it has a sealed part of kind {}, which is not known here", part.kind));
    }
    let seen = opener.map(|open| open(payload, event)).unwrap_or_default();
    let damaged = seen.iter().find(|(_, seen)| *seen == Seen::Damaged)?;
    Some(format!("its sealed part {:?} does not open to what was sealed", damaged.0.as_str()))
}

fn erases(event: &Event) -> Option<(PersonHash, Vec<u64>)> {
    let Requested { who, keys, .. } = event.requested_erasure()?;
    Some((person(&event.tenant, &who.kind, &who.id), keys))
}

fn person(tenant: &str, kind: &str, id: &str) -> PersonHash {
    let mut hash = Sha256::new();
    for part in [tenant, kind, id] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    digest[..16].try_into().expect("16 of 32 bytes")
}

/// A key, as the log uses it.
struct Use {
    last: Seq,
    /// Whose it can be: all its entries are about them.
    persons: Vec<PersonHash>,
}

/// What the events so far tell of sealing.
#[derive(Default)]
pub struct SealedCheck {
    keys: HashMap<u64, Use>,
    erased: HashMap<u64, (Seq, PersonHash)>,
    entries: u64,
    findings: Vec<Finding>,
    /// Beyond those that are listed.
    more: u64,
}

/// What there is of it, if nothing is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealedCounts {
    /// Entries of which something is sealed.
    pub entries: u64,
    /// Keys that seal something.
    pub keys: u64,
    /// Those that an erasure destroyed.
    pub erased: u64,
}

impl SealedCheck {
    /// Takes in the next event that tells something.
    pub fn take(&mut self, seq: Seq, facts: Facts) {
        let Facts { keys, persons, erases, fault } = facts;
        self.entries += u64::from(!keys.is_empty());
        if let Some(why) = fault {
            self.found(Place::Event(seq), why);
        }
        for key in keys {
            if let Some((requested, _)) = self.erased.get(&key) {
                let why = format!("it is sealed under key {key}, which was destroyed with entry {requested}");
                self.found(Place::Event(seq), why);
            }
            let known = self.keys.entry(key).or_insert_with(|| Use { last: seq, persons: persons.clone() });
            known.last = seq;
            known.persons.retain(|person| persons.contains(person));
            if known.persons.is_empty() {
                let why = format!("it is sealed under key {key}, which is that of somebody whom it is not about");
                self.found(Place::Event(seq), why);
            }
        }
        if let Some((person, keys)) = erases {
            for key in keys {
                if self.keys.get(&key).is_some_and(|known| !known.persons.contains(&person)) {
                    let why =
                        format!("it says that key {key} is that of whom it erases, and what it seals is about others");
                    self.found(Place::Event(seq), why);
                }
                self.erased.entry(key).or_insert((seq, person));
            }
        }
    }

    fn found(&mut self, place: Place, why: String) {
        match self.findings.len() < LISTED_MAX {
            true => self.findings.push(Finding { place, why }),
            false => self.more += 1,
        }
    }

    /// All of them, and how many there are beyond.
    fn listed(mut self) -> Vec<Finding> {
        if self.more > 0 {
            let why = format!("{} more things about what is sealed are wrong", self.more);
            self.findings.push(Finding { place: Place::Named("keyring".into()), why });
        }
        self.findings
    }

    /// Holds it against the keyring, if there is one to look at.
    pub fn finish(mut self, state: Option<&State<'_>>) -> (SealedCounts, Vec<Finding>) {
        let erased = self.keys.keys().filter(|key| self.erased.contains_key(key)).count() as u64;
        let counts = SealedCounts { entries: self.entries, keys: self.keys.len() as u64, erased };
        let Some(state) = state else { return (counts, self.listed()) };
        let mut keys: Vec<(u64, Seq)> = self.keys.iter().map(|(key, known)| (*key, known.last)).collect();
        keys.sort_unstable();
        // Before what follows from them: without its key a part does not open.
        let (followed, more) = (std::mem::take(&mut self.findings), std::mem::take(&mut self.more));
        for (key, last) in keys {
            let erased = self.erased.get(&key);
            let why = match (state(key, erased.is_some()), erased) {
                (KeyState::Alive, None) | (KeyState::Destroyed, Some(_)) => continue,
                (KeyState::Alive, Some((requested, _))) => {
                    format!("key {key} is there, although the erasure at entry {requested} destroyed it")
                }
                (KeyState::Destroyed, None) => {
                    format!(
                        "key {key} was destroyed, and no erasure says so: what it sealed, up to entry {last}, is lost"
                    )
                }
                // What rotted is gone as well; that it was to go is no excuse for a file that changes by itself.
                (KeyState::Missing, _) => {
                    format!("key {key} is not there or damaged: what it sealed, up to entry {last}, cannot be read")
                }
            };
            self.found(Place::Named("keyring".into()), why);
        }
        for finding in followed {
            self.found(finding.place, finding.why);
        }
        self.more += more;
        (counts, self.listed())
    }
}
