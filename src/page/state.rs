//! The page's address: what it says, and its one canonical spelling.
//!
//! Filters, order, page and open entries all stand in the query string; nothing else decides what is shown but the data
//! and the viewer's zone. `read` takes any spelling and keeps going after a fault, so that a form is never lost;
//! `pairs` writes the canonical one.

use std::str::FromStr;

use chrono_tz::Tz;

use super::range::{self, Preset, Range};
use crate::index::Hit;
use crate::seq::Seq;

/// Longest query string that is read, bytes; a query text of 8 KiB fits it percent-encoded.
pub const QUERY_STRING_BYTES_MAX: usize = 64 << 10;
/// Entries open at a time, at most.
pub const OPEN_MAX: usize = 10;
/// Rows of a page.
pub const LIMITS: [usize; 4] = [25, 50, 100, 200];
const LIMIT_DEFAULT: usize = 50;
/// Values of one parameter, at most.
const VALUES_MAX: usize = 100;
/// Longest value, bytes; ids end at 1,024, and a query text has a limit of its own.
const VALUE_BYTES_MAX: usize = 16 << 10;

/// Everything an address says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The query text.
    pub q: String,
    /// People or system only.
    pub actor_kind: Option<ActorKind>,
    /// Who: any of these.
    pub actors: Vec<String>,
    /// What: any of these categories and actions.
    pub actions: Vec<String>,
    /// To what: any of these types.
    pub target_types: Vec<String>,
    /// To this one.
    pub target: Option<String>,
    /// When.
    pub range: Range,
    /// A zone that the address itself names.
    pub tz: Option<Tz>,
    /// In which order.
    pub sort: Sort,
    /// Which page.
    pub at: At,
    /// Rows of a page.
    pub limit: usize,
    /// Entries that are open, by id.
    pub open: Vec<String>,
    /// Follow what comes.
    pub is_live: bool,
}

/// A kind of actor that the switch chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorKind {
    /// People: actors of type `user`.
    User,
    /// Actors of type `system`.
    System,
}

/// The order of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Newest first.
    Desc,
    /// Oldest first.
    Asc,
}

/// Where a page begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// At the beginning.
    Start,
    /// The entries just older than this one.
    Before(Hit),
    /// The entries just newer than this one.
    After(Hit),
}

/// What is wrong with one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which.
    pub field: &'static str,
    /// What it was.
    pub text: String,
    /// What is wrong with it, a sentence.
    pub why: String,
}

/// An address as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// What it says, without what was wrong.
    pub state: State,
    /// What was wrong.
    pub faults: Vec<Fault>,
    /// It is spelt as `State::pairs` would.
    pub is_canonical: bool,
}

impl ActorKind {
    /// The value in an address, and the type of such actors.
    pub fn word(self) -> &'static str {
        match self {
            ActorKind::User => "user",
            ActorKind::System => "system",
        }
    }
}

impl Default for State {
    fn default() -> State {
        State {
            q: String::new(),
            actor_kind: None,
            actors: Vec::new(),
            actions: Vec::new(),
            target_types: Vec::new(),
            target: None,
            range: Range::Last(Preset::Week),
            tz: None,
            sort: Sort::Desc,
            at: At::Start,
            limit: LIMIT_DEFAULT,
            open: Vec::new(),
            is_live: false,
        }
    }
}

impl State {
    /// Reads a query string. Moments without an offset are read in the zone it names, else in `viewer_tz`.
    pub fn read(query: &str, viewer_tz: Tz) -> Read {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut reader = Reader { pairs: &pairs, faults: Vec::new() };
        let state = reader.state(viewer_tz);
        let faults = reader.faults;
        let is_canonical = faults.is_empty() && state.pairs() == pairs;
        Read { state, faults, is_canonical }
    }

    /// The canonical parameters: no defaults, sorted.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs: Vec<(&str, String)> = Vec::new();
        let mut many = |name, values: &[String]| pairs.extend(values.iter().map(|value| (name, value.clone())));
        many("actor", &self.actors);
        many("action", &self.actions);
        many("target_type", &self.target_types);
        many("open", &self.open);
        many("target", self.target.as_slice());
        if !self.q.is_empty() {
            pairs.push(("q", self.q.clone()));
        }
        pairs.extend(self.actor_kind.map(|kind| ("actor_kind", kind.word().to_owned())));
        match self.range {
            Range::Last(Preset::Week) => {}
            Range::Last(preset) => pairs.push(("range", preset.word().to_owned())),
            Range::All => pairs.push(("range", "all".to_owned())),
            Range::Between { from, to } => {
                pairs.extend(from.map(|ms| ("from", range::write(ms))));
                pairs.extend(to.map(|ms| ("to", range::write(ms))));
            }
        }
        pairs.extend(self.tz.map(|tz| ("tz", tz.name().to_owned())));
        match self.at {
            At::Start => {}
            At::Before(hit) => pairs.push(("before", write_place(hit))),
            At::After(hit) => pairs.push(("after", write_place(hit))),
        }
        if self.sort == Sort::Asc {
            pairs.push(("sort", "asc".to_owned()));
        }
        if self.limit != LIMIT_DEFAULT {
            pairs.push(("limit", self.limit.to_string()));
        }
        if self.is_live {
            pairs.push(("live", "1".to_owned()));
        }
        let mut pairs: Vec<(String, String)> =
            pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        pairs.sort();
        pairs.dedup();
        pairs
    }

    /// The canonical query string, without a question mark.
    pub fn query_string(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.pairs()).finish()
    }

    /// The same filters from the first page on, with nothing open: what every change of a filter begins with.
    pub fn fresh(&self) -> State {
        State { at: At::Start, open: Vec::new(), ..self.clone() }
    }

    /// The filters alone: what a saved view keeps.
    pub fn filters_only(&self) -> State {
        State { is_live: false, ..self.fresh() }
    }

    /// Nothing narrows the answer but, perhaps, the time.
    pub fn is_unfiltered(&self) -> bool {
        self.q.is_empty()
            && self.actor_kind.is_none()
            && self.actors.is_empty()
            && self.actions.is_empty()
            && self.target_types.is_empty()
            && self.target.is_none()
    }

    /// Without any filter; order, page size and zone stay.
    pub fn cleared(&self) -> State {
        State { sort: self.sort, limit: self.limit, tz: self.tz, is_live: self.is_live, ..State::default() }
    }

    /// The same with this entry open, or closed if it is open.
    pub fn toggled(&self, id: &str) -> State {
        let mut open: Vec<String> = self.open.iter().filter(|known| *known != id).cloned().collect();
        if open.len() == self.open.len() {
            if open.len() == OPEN_MAX {
                open.remove(0);
            }
            open.push(id.to_owned());
            open.sort();
        }
        State { open, ..self.clone() }
    }
}

/// A list without one of its values.
pub fn without(values: &[String], value: &str) -> Vec<String> {
    values.iter().filter(|known| *known != value).cloned().collect()
}

/// A list with one more value.
pub fn with(values: &[String], value: &str) -> Vec<String> {
    let mut values = without(values, value);
    values.push(value.to_owned());
    values.sort();
    values
}

/// `field:"value"` in a query text.
pub fn condition(field: &str, value: &str) -> String {
    format!("{field}:\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

fn write_place(hit: Hit) -> String {
    format!("{}.{}", hit.time_ms, hit.seq)
}

fn read_place(text: &str) -> Option<Hit> {
    let (time, seq) = text.split_once('.')?;
    let hit = Hit { time_ms: time.parse().ok()?, seq: Seq(seq.parse().ok()?) };
    (write_place(hit) == text).then_some(hit)
}

struct Reader<'a> {
    pairs: &'a [(String, String)],
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn state(&mut self, viewer_tz: Tz) -> State {
        let default = State::default();
        let clear = self.one("clear").unwrap_or_default();
        let tz = self.parsed("tz", "a time zone such as Europe/Berlin", |text| Tz::from_str(text).ok());
        let kept = |field: &str, values: Vec<String>| if clear == field { Vec::new() } else { values };
        let actor_kind = self
            .parsed("actor_kind", "user or system", |text| match text {
                "any" => Some(None),
                "user" => Some(Some(ActorKind::User)),
                "system" => Some(Some(ActorKind::System)),
                _ => None,
            })
            .flatten()
            .filter(|_| clear != "actor");
        let live = self.parsed("live", "1", |text| match text {
            "1" => Some(true),
            "0" => Some(false),
            _ => None,
        });
        let range = self.range(tz.unwrap_or(viewer_tz));
        State {
            q: self.one("q").map(|text| text.trim().to_owned()).unwrap_or_default(),
            actor_kind,
            actors: kept("actor", self.many("actor")),
            actions: kept("action", self.many("action")),
            target_types: kept("type", self.many("target_type")),
            target: self.one("target"),
            range: if clear == "date" { default.range } else { range },
            tz,
            sort: self
                .parsed("sort", "desc or asc", |text| match text {
                    "desc" => Some(Sort::Desc),
                    "asc" => Some(Sort::Asc),
                    _ => None,
                })
                .unwrap_or(default.sort),
            at: self.at(),
            limit: self
                .parsed("limit", "25, 50, 100 or 200", |text| text.parse().ok().filter(|n| LIMITS.contains(n)))
                .unwrap_or(default.limit),
            open: self.open(),
            is_live: live.unwrap_or(false),
        }
    }

    fn range(&mut self, tz: Tz) -> Range {
        let default = State::default().range;
        let word = self.one("range");
        let (from, to) = (self.one("from"), self.one("to"));
        match word.as_deref() {
            Some("custom") => {}
            None if from.is_some() || to.is_some() => {}
            None => return default,
            Some("all") => return Range::All,
            Some(word) => match Preset::from_word(word) {
                Some(preset) => return Range::Last(preset),
                None => {
                    self.fault("range", word, "The range is 1h, 24h, 7d, 30d, 90d, all or custom.".to_owned());
                    return default;
                }
            },
        }
        let mut moment = |field, text: Option<String>| {
            let text = text?;
            let ms = range::read(&text, tz);
            if ms.is_none() {
                self.fault(field, &text, "Expected a date and time such as 2026-11-13T15:00.".to_owned());
            }
            ms
        };
        let (from, to) = (moment("from", from), moment("to", to));
        if let (Some(start), Some(end)) = (from, to)
            && start >= end
        {
            let why = "The start has to lie before the end.";
            self.fault("from", &range::write(start), why.to_owned());
        }
        match (from, to) {
            (None, None) => Range::All,
            (from, to) => Range::Between { from, to },
        }
    }

    fn at(&mut self) -> At {
        let expected = "a place that the page made";
        let before = self.parsed("before", expected, read_place);
        let after = self.parsed("after", expected, read_place);
        match (before, after) {
            (None, None) => At::Start,
            (Some(hit), None) => At::Before(hit),
            (None, Some(hit)) => At::After(hit),
            (Some(_), Some(hit)) => {
                self.fault("after", &write_place(hit), "Only one of before and after can be given.".to_owned());
                At::Start
            }
        }
    }

    fn open(&mut self) -> Vec<String> {
        let mut open = self.many("open");
        if open.len() > OPEN_MAX {
            self.fault("open", &open.len().to_string(), format!("At most {OPEN_MAX} entries can be open."));
            open.truncate(OPEN_MAX);
        }
        open
    }

    /// The values of a parameter, without empty ones.
    fn values(&mut self, name: &'static str) -> Vec<String> {
        let values = self.pairs.iter().filter(|(key, value)| key == name && !value.is_empty());
        let mut values: Vec<String> = values.map(|(_, value)| value.clone()).collect();
        if values.iter().any(|value| value.len() > VALUE_BYTES_MAX || value.contains('\0')) {
            let why = format!("A value may have {VALUE_BYTES_MAX} bytes and no NUL.");
            self.fault(name, "", why);
            values.retain(|value| value.len() <= VALUE_BYTES_MAX && !value.contains('\0'));
        }
        values
    }

    fn many(&mut self, name: &'static str) -> Vec<String> {
        let mut values = self.values(name);
        values.sort();
        values.dedup();
        if values.len() > VALUES_MAX {
            self.fault(name, &values.len().to_string(), format!("At most {VALUES_MAX} values can be chosen."));
            values.truncate(VALUES_MAX);
        }
        values
    }

    fn one(&mut self, name: &'static str) -> Option<String> {
        let mut values = self.values(name);
        if values.len() > 1 {
            let why = format!("It is given {} times, expected once.", values.len());
            self.fault(name, &values[0].clone(), why);
            values.truncate(1);
        }
        values.pop()
    }

    fn parsed<T>(&mut self, name: &'static str, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.one(name)?;
        let value = read(&text);
        if value.is_none() {
            self.fault(name, &text, format!("Expected {expected}."));
        }
        value
    }

    fn fault(&mut self, field: &'static str, text: &str, why: String) {
        self.faults.push(Fault { field, text: text.to_owned(), why });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Read {
        State::read(query, Tz::Europe__Berlin)
    }

    #[test]
    fn every_spelling_has_one_canonical_form() {
        for (spelling, canonical) in [
            ("", ""),
            ("q=&actor_kind=any&range=7d&from=2026-11-13T15%3A00&to=&sort=desc&limit=50&find_actor=ma", ""),
            ("q=+maya+", "q=maya"),
            ("action=b&action=a&action=b&actor=x", "action=a&action=b&actor=x"),
            (
                "range=custom&from=2026-11-13T15:00&to=2026-11-14",
                "from=2026-11-13T14%3A00%3A00Z&to=2026-11-13T23%3A00%3A00Z",
            ),
            ("from=2026-11-13T15:00&tz=Asia/Kolkata", "from=2026-11-13T09%3A30%3A00Z&tz=Asia%2FKolkata"),
            ("range=custom", "range=all"),
            ("range=24h&unknown=1&live=0", "range=24h"),
            (
                "sort=asc&before=17.5&limit=25&live=1&open=e2&open=e1",
                "before=17.5&limit=25&live=1&open=e1&open=e2&sort=asc",
            ),
            ("actor=a&actor_kind=user&action=x&clear=actor", "action=x"),
            ("range=1h&clear=date&action=x", "action=x"),
        ] {
            let first = read(spelling);
            assert_eq!(first.faults, [], "{spelling}");
            assert_eq!(first.state.query_string(), canonical, "{spelling}");
            assert_eq!(first.is_canonical, spelling == canonical, "{spelling}");
            let again = read(canonical);
            assert_eq!((again.state, again.is_canonical), (first.state, true), "{spelling}");
        }
    }

    #[test]
    fn a_wrong_value_is_named_and_the_rest_is_kept() {
        for (query, field) in [
            ("q=a&range=2d", "range"),
            ("q=a&from=soon", "from"),
            ("q=a&from=2026-11-14&to=2026-11-13", "from"),
            ("q=a&tz=Mars", "tz"),
            ("q=a&sort=up", "sort"),
            ("q=a&limit=51", "limit"),
            ("q=a&before=x", "before"),
            ("q=a&before=1.1&after=1.1", "after"),
            ("q=a&live=yes", "live"),
            ("q=a&actor_kind=cat", "actor_kind"),
            ("q=a&q=b", "q"),
            ("q=a&target=%00", "target"),
            ("q=a&open=1&open=2&open=3&open=4&open=5&open=6&open=7&open=8&open=9&open=10&open=11", "open"),
        ] {
            let read = read(query);
            let fields: Vec<&str> = read.faults.iter().map(|fault| fault.field).collect();
            assert_eq!(
                (fields.as_slice(), read.state.q.as_str(), read.is_canonical),
                (&[field][..], "a", false),
                "{query}"
            );
        }
    }

    #[test]
    fn an_entry_is_opened_and_closed_and_the_eleventh_takes_the_place_of_one() {
        let mut state = State::default();
        for n in 0..11 {
            state = state.toggled(&format!("e{n}"));
        }
        assert_eq!(state.open.len(), OPEN_MAX);
        assert!(state.open.contains(&"e10".to_owned()));
        assert!(!state.toggled("e10").open.contains(&"e10".to_owned()));
    }
}
