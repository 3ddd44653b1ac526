//! An entry as the filters of one query look at it: its words are cut once, however many filters ask for words.

use std::cell::OnceCell;
use std::ops::Range;

use super::values;
use crate::event::{Entry, Event};
use crate::text;

/// One entry under one query.
pub(super) struct View<'a> {
    pub entry: &'a Entry,
    words: OnceCell<WordTable>,
}

/// The tokens of all free text values of an event.
#[derive(Default)]
pub(super) struct WordTable {
    text: String,
    tokens: Vec<Placed>,
}

/// A token's text, as a range of [`WordTable::text`], and its place.
struct Placed {
    start: u32,
    end: u32,
    place: Place,
    folded_start: u32,
    folded_end: u32,
}

/// A token of a free text value.
#[derive(Clone, Debug)]
pub(super) struct Word<'a> {
    pub text: &'a str,
    pub place: Place,
    /// The bytes of the folded value that it was made from.
    pub folded: Range<usize>,
}

/// Which value a token stands in, and at which position there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Its number among the [`values::text_values`].
    pub value: u32,
    pub position: u32,
}

impl<'a> View<'a> {
    pub fn new(entry: &'a Entry) -> View<'a> {
        View { entry, words: OnceCell::new() }
    }

    pub fn event(&self) -> &'a Event {
        &self.entry.event
    }

    pub fn words(&self) -> &WordTable {
        self.words.get_or_init(|| WordTable::new(self.event()))
    }
}

impl WordTable {
    fn new(event: &Event) -> WordTable {
        let mut table = WordTable::default();
        let mut value_no = 0;
        values::text_values(event, &mut |shown| {
            text::placed_tokens(shown.text, &mut |token, folded| {
                table.push(token.text, Place { value: value_no, position: token.position }, folded)
            });
            value_no += 1;
        });
        table
    }

    fn push(&mut self, text: &str, place: Place, folded: Range<usize>) {
        let offset = |len: usize| u32::try_from(len).expect("the tokens of an event of 256 KiB stay far below 4 GiB");
        let start = offset(self.text.len());
        self.text.push_str(text);
        let end = offset(self.text.len());
        let (folded_start, folded_end) = (offset(folded.start), offset(folded.end));
        self.tokens.push(Placed { start, end, place, folded_start, folded_end });
    }

    pub fn iter(&self) -> impl Iterator<Item = Word<'_>> {
        self.tokens.iter().map(|token| Word {
            text: &self.text[token.start as usize..token.end as usize],
            place: token.place,
            folded: token.folded_start as usize..token.folded_end as usize,
        })
    }
}
