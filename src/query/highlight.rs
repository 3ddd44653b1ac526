//! What made an entry match: the stretches of its values that a page marks.
//!
//! Words mark the tokens they match, a phrase all from its first to its last; other filters mark whole values. Times,
//! places in the log and presences mark nothing, nor does anything below a NOT or in a branch of an OR that does not
//! hold. What matches is decided by the filters alone; here is collected what they show.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

use super::filter::Match;
use super::limits::{HIGHLIGHT_BYTES_MAX, HIGHLIGHT_RANGES_MAX};
use super::shown::Shown;
use super::values;
use super::view::View;
use super::{Node, Query};
use crate::event::{Entry, Event};
use crate::json::write_string;
use crate::text::Unfolding;

/// What to mark in one row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Highlights {
    /// Each value once, by pointer.
    pub values: Vec<Highlight>,
    /// There was more than [`HIGHLIGHT_RANGES_MAX`] or [`HIGHLIGHT_BYTES_MAX`] allow.
    pub is_truncated: bool,
    /// As JSON it has at most so many bytes.
    pub json_bytes_max: usize,
}

/// What to mark in one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Highlight {
    /// JSON pointer (RFC 6901) into the row.
    pub pointer: String,
    /// Ascending, apart from each other, none empty.
    pub marks: Vec<Mark>,
}

/// A stretch of a string's text, or of the JSON of any other value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// In bytes of UTF-8, at borders of characters.
    pub bytes: Range<usize>,
    /// The same stretch in Unicode code points.
    pub code_points: Range<usize>,
}

/// What of `entry` makes it match `query`; nothing if it does not.
pub fn highlights(query: &Query, entry: &Entry) -> Highlights {
    let view = View::new(entry);
    let mut found = Found::default();
    if query.root.holds(&view) {
        found.collect(&query.root, &view);
    }
    found.finish(&entry.event)
}

/// What the filters have shown so far.
#[derive(Default)]
struct Found {
    /// By pointer. Before the end these are whole values only.
    marks: BTreeMap<String, Vec<Mark>>,
    marks_count: usize,
    json_bytes: usize,
    /// Stretches of folded text values, merged, at most [`HIGHLIGHT_RANGES_MAX`] of them.
    words: Vec<Stretch>,
    is_truncated: bool,
}

/// The number of a text value, and bytes of it.
type Stretch = (u32, Range<usize>);

/// The JSON around a row's highlights.
const FRAME_BYTES: usize = "{\"truncated\":true}".len();
/// The JSON around a pointer and its marks, but for the quotes.
const VALUE_BYTES: usize = ":[],".len();
/// A mark as JSON, at most. No value is longer than its event.
const MARK_BYTES: usize = "[262144,262144],".len();

impl Found {
    /// Asks the filters below a node that holds.
    fn collect(&mut self, node: &Node, view: &View<'_>) {
        match node {
            Node::All | Node::Not(_) | Node::Fixed(_) => {}
            Node::And(members) => members.iter().for_each(|member| self.collect(member, view)),
            Node::Or(members) => {
                members.iter().filter(|member| member.holds(view)).for_each(|member| self.collect(member, view));
            }
            Node::Filter(filter) => {
                self.is_truncated |= filter.each_match(view, &mut |found| self.add(found)).is_break();
                // After each filter, so that many of them hold no more than one.
                merge(&mut self.words);
                self.is_truncated |= self.words.len() > HIGHLIGHT_RANGES_MAX;
                self.words.truncate(HIGHLIGHT_RANGES_MAX);
            }
        }
    }

    fn add(&mut self, found: Match<'_>) -> ControlFlow<()> {
        match found {
            Match::Values(values) => values.iter().try_for_each(|shown| {
                let whole = 0..shown.text.len();
                self.mark(*shown, vec![whole])
            }),
            Match::Words { value, folded } => {
                self.words.push((value, folded));
                ControlFlow::Continue(())
            }
            Match::Unmarked => ControlFlow::Continue(()),
        }
    }

    /// Marks bytes of a value unless it is marked already; breaks off if there is no room for them all.
    fn mark(&mut self, shown: Shown<'_>, mut ranges: Vec<Range<usize>>) -> ControlFlow<()> {
        if shown.text.is_empty() {
            return ControlFlow::Continue(());
        }
        let pointer = shown.at.pointer();
        if self.marks.contains_key(&pointer) {
            return ControlFlow::Continue(());
        }
        let mut written = String::new();
        write_string(&pointer, &mut written);
        let json_bytes = self.json_bytes + written.len() + VALUE_BYTES;
        let bytes_left = HIGHLIGHT_BYTES_MAX.saturating_sub(FRAME_BYTES + json_bytes);
        let room = (bytes_left / MARK_BYTES).min(HIGHLIGHT_RANGES_MAX - self.marks_count);
        let is_too_much = ranges.len() > room;
        ranges.truncate(room);
        if !ranges.is_empty() {
            self.json_bytes = json_bytes + ranges.len() * MARK_BYTES;
            self.marks_count += ranges.len();
            self.marks.insert(pointer, marks(shown.text, ranges));
        }
        if is_too_much { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Marks the words in what room whole values have left: values in the order of the text, the payload last.
    fn finish(mut self, event: &Event) -> Highlights {
        let mut words = std::mem::take(&mut self.words).into_iter().peekable();
        let mut value_no = 0;
        let mut flow = ControlFlow::Continue(());
        values::text_values(event, &mut |shown| {
            let mut here: Vec<Stretch> = Vec::new();
            while let Some(stretch) = words.next_if(|(value, _)| *value == value_no) {
                here.push(stretch);
            }
            value_no += 1;
            if !here.is_empty() && flow.is_continue() {
                let unfolding = Unfolding::of(shown.text);
                here.iter_mut().for_each(|(_, stretch)| *stretch = unfolding.original(stretch.clone()));
                merge(&mut here);
                flow = self.mark(shown, here.into_iter().map(|(_, range)| range).collect());
            }
        });
        Highlights {
            values: self.marks.into_iter().map(|(pointer, marks)| Highlight { pointer, marks }).collect(),
            is_truncated: self.is_truncated || flow.is_break(),
            json_bytes_max: self.json_bytes + FRAME_BYTES,
        }
    }
}

/// Sorts; stretches of one value that overlap or touch become one.
fn merge(stretches: &mut Vec<Stretch>) {
    stretches.sort_unstable_by_key(|(value, range)| (*value, range.start));
    stretches.dedup_by(|(value, range), (last_value, last)| {
        let is_joined = value == last_value && range.start <= last.end;
        if is_joined {
            last.end = last.end.max(range.end);
        }
        is_joined
    });
}

/// Ascending byte ranges of `text`, in both units.
fn marks(text: &str, ranges: Vec<Range<usize>>) -> Vec<Mark> {
    let (mut bytes, mut code_points) = (0, 0);
    let mut count_to = |end: usize| {
        code_points += text[bytes..end].chars().count();
        bytes = end;
        code_points
    };
    let mark = |range: Range<usize>| Mark { code_points: count_to(range.start)..count_to(range.end), bytes: range };
    ranges.into_iter().map(mark).collect()
}

#[cfg(test)]
mod tests;
