//! Documents with a term in a part of a field's dictionary that an automaton accepts: patterns, words with typos,
//! ranges of numbers, "anything below this path".
//!
//! A dictionary can hold tens of millions of terms, so this looks at the clock while it reads. When the time of its
//! question is up it fails: there is no scorer over a part of the documents that anybody could mistake for the whole.
//!
//! Tantivy's own queries for this cannot be interrupted, which is why they are not used. They are as fast, or up to a
//! third faster where an automaton reads every term (300,000 terms, development build). To walk only the terms with the
//! pattern's literal beginning was tried too: it was slower, since blocks that cannot match are skipped anyway.

use std::cell::Cell;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use ::tantivy::index::InvertedIndexReader;
use ::tantivy::postings::{BlockSegmentPostings, TermInfo};
use ::tantivy::query::{BitSetDocSet, ConstScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use ::tantivy::schema::{Field, IndexRecordOption};
use ::tantivy::{BitSet, DocId, Score, SegmentReader, TantivyError};
use tantivy_fst::Automaton;
use tantivy_fst::automaton::AlwaysMatch;

use crate::index::Patience;
use crate::index::tantivy::docset::explain;

/// Whose time it is, and the filter to name if it runs out here.
#[derive(Clone)]
pub struct Watch {
    /// The question's time.
    pub patience: Arc<Patience>,
    /// The filter, as one would write it.
    pub filter: Arc<str>,
}

/// See the top of the file.
pub struct TermScan<A> {
    field: Field,
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
    automaton: Arc<A>,
    watch: Watch,
}

impl TermScan<AlwaysMatch> {
    /// Every term between the two.
    pub fn between(field: Field, from: Bound<Vec<u8>>, to: Bound<Vec<u8>>, watch: Watch) -> TermScan<AlwaysMatch> {
        TermScan { field, from, to, automaton: Arc::new(AlwaysMatch), watch }
    }

    /// Every term that begins with this.
    pub fn beginning(field: Field, prefix: &[u8], watch: Watch) -> TermScan<AlwaysMatch> {
        TermScan::between(field, Bound::Included(prefix.to_owned()), behind(prefix), watch)
    }
}

impl<A> TermScan<A>
where
    A: Automaton,
    A::State: Clone,
{
    /// Every term that the automaton accepts as a whole.
    pub fn accepted(field: Field, automaton: Arc<A>, watch: Watch) -> TermScan<A> {
        TermScan { field, from: Bound::Unbounded, to: Bound::Unbounded, automaton, watch }
    }

    /// The same over a facet of one level.
    ///
    /// Tantivy indexes every level above a facet's value as well, up to the root, which is the empty term and stands in
    /// every document that has the facet. A pattern that matches the empty text must not find these.
    pub fn below_the_root(self) -> TermScan<A> {
        TermScan { from: Bound::Excluded(Vec::new()), ..self }
    }

    fn documents(&self, reader: &SegmentReader) -> ::tantivy::Result<BitSet> {
        let index = reader.inverted_index(self.field)?;
        let docs = BitSet::with_max_value(reader.max_doc());
        let mut found = Found { index: &index, docs, postings: None, watch: &self.watch, left: WORK_PER_LOOK };
        let watched = Watched::over(self.automaton.as_ref(), &self.watch.patience);
        // Blocks of the dictionary in which nothing can be accepted are not read.
        let terms = index.terms().search(&watched).without_keys();
        let terms = match &self.from {
            Bound::Included(from) => terms.ge(from),
            Bound::Excluded(from) => terms.gt(from),
            Bound::Unbounded => terms,
        };
        let terms = match &self.to {
            Bound::Included(to) => terms.le(to),
            Bound::Excluded(to) => terms.lt(to),
            Bound::Unbounded => terms,
        };
        let mut terms = terms.into_stream()?;
        while terms.advance() {
            found.add(terms.value())?;
        }
        // The dictionary may have been left early.
        self.watch.check()?;
        Ok(found.docs)
    }
}

/// What one look at the clock is worth, in terms read and blocks of postings: some 100 µs.
const WORK_PER_LOOK: u32 = if cfg!(test) { 3 } else { 1_024 };
/// Terms and borders of blocks that an automaton is asked about between two looks.
const ANSWERS_PER_LOOK: u32 = if cfg!(test) { 7 } else { 1_024 };

/// The documents found so far.
struct Found<'a> {
    index: &'a InvertedIndexReader,
    docs: BitSet,
    /// Opened once and then pointed elsewhere: opening allocates, and most terms stand in a single document. Scans of
    /// many terms took about a tenth less time for it.
    postings: Option<BlockSegmentPostings>,
    watch: &'a Watch,
    left: u32,
}

impl Found<'_> {
    fn add(&mut self, term: &TermInfo) -> ::tantivy::Result<()> {
        let mut postings = match self.postings.take() {
            Some(mut postings) => {
                self.index.reset_block_postings_from_terminfo(term, &mut postings)?;
                postings
            }
            None => self.index.read_block_postings_from_terminfo(term, IndexRecordOption::Basic)?,
        };
        loop {
            self.step()?;
            let docs = postings.docs();
            if docs.is_empty() {
                self.postings = Some(postings);
                return Ok(());
            }
            for doc in docs {
                self.docs.insert(*doc);
            }
            postings.advance();
        }
    }

    fn step(&mut self) -> ::tantivy::Result<()> {
        self.left -= 1;
        if self.left > 0 {
            return Ok(());
        }
        self.left = WORK_PER_LOOK;
        self.watch.check()
    }
}

impl Watch {
    fn check(&self) -> ::tantivy::Result<()> {
        self.patience.check().map_err(|error| {
            self.patience.blame(&self.filter);
            TantivyError::InternalError(error.to_string())
        })
    }
}

/// An automaton that gives up when the time is up: nothing can match any more, so that no further block is chosen, and
/// whatever was read does match, so that the stream comes back to us at once.
///
/// It counts what it is asked, not the bytes it is shown, of which there are many more.
struct Watched<'a, A> {
    automaton: &'a A,
    patience: &'a Patience,
    left: Cell<u32>,
    is_over: Cell<bool>,
}

impl<'a, A> Watched<'a, A> {
    fn over(automaton: &'a A, patience: &'a Patience) -> Watched<'a, A> {
        Watched { automaton, patience, left: Cell::new(ANSWERS_PER_LOOK), is_over: Cell::new(false) }
    }

    fn is_over(&self) -> bool {
        self.left.set(self.left.get() - 1);
        if self.left.get() == 0 {
            self.left.set(ANSWERS_PER_LOOK);
            self.is_over.set(self.is_over.get() || self.patience.is_over());
        }
        self.is_over.get()
    }
}

impl<A: Automaton> Automaton for Watched<'_, A> {
    type State = A::State;

    fn start(&self) -> A::State {
        self.automaton.start()
    }

    fn is_match(&self, state: &A::State) -> bool {
        self.is_over() || self.automaton.is_match(state)
    }

    fn can_match(&self, state: &A::State) -> bool {
        !self.is_over() && self.automaton.can_match(state)
    }

    fn will_always_match(&self, state: &A::State) -> bool {
        self.automaton.will_always_match(state)
    }

    fn accept(&self, state: &A::State, byte: u8) -> A::State {
        self.automaton.accept(state, byte)
    }
}

/// Where the terms end that begin with `prefix`.
pub fn behind(prefix: &[u8]) -> Bound<Vec<u8>> {
    let Some(last) = prefix.iter().rposition(|byte| *byte < u8::MAX) else {
        return Bound::Unbounded;
    };
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Bound::Excluded(end)
}

impl<A> Clone for TermScan<A> {
    fn clone(&self) -> TermScan<A> {
        TermScan {
            field: self.field,
            from: self.from.clone(),
            to: self.to.clone(),
            automaton: self.automaton.clone(),
            watch: self.watch.clone(),
        }
    }
}

impl<A> fmt::Debug for TermScan<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TermScan")
            .field("field", &self.field)
            .field("filter", &self.watch.filter)
            .finish_non_exhaustive()
    }
}

impl<A> Query for TermScan<A>
where
    A: Automaton + Send + Sync + 'static,
    A::State: Clone,
{
    fn weight(&self, _: EnableScoring<'_>) -> ::tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl<A> Weight for TermScan<A>
where
    A: Automaton + Send + Sync + 'static,
    A::State: Clone,
{
    fn scorer(&self, reader: &SegmentReader, _: Score) -> ::tantivy::Result<Box<dyn Scorer>> {
        Ok(Box::new(ConstScorer::from(BitSetDocSet::from(self.documents(reader)?))))
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> ::tantivy::Result<Explanation> {
        explain(self, reader, doc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_with_a_prefix_end_before_the_next_prefix() {
        assert_eq!(behind(b"ab"), Bound::Excluded(b"ac".to_vec()));
        assert_eq!(behind(b"a\xff"), Bound::Excluded(b"b".to_vec()));
        assert_eq!(behind(b"\xff"), Bound::Unbounded);
    }
}
