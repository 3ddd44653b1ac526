//! A set of documents of one piece that can be counted in any range without looking at its members: a run, a sorted
//! list when there are few, else one bit for each document and a running count.

use std::ops::Range;
use std::sync::Arc;

use ::tantivy::DocId;

/// Words of 64 documents between two running counts: a count looks at seven words at most.
const WORDS_PER_COUNT: usize = 8;
/// A list is kept instead of bits when it takes less room: a member has 32 bits.
const BITS_PER_MEMBER: usize = 32;
/// Members handed out at a time.
const CHUNK: usize = 512;

/// Documents, in order.
#[derive(Debug)]
pub enum Docs {
    /// All of a range.
    Run(Range<DocId>),
    /// These.
    List(Box<[DocId]>),
    /// Those whose bit is set.
    Bits(Bits),
}

/// One bit for each document from `first` on.
#[derive(Debug)]
pub struct Bits {
    /// A multiple of 64.
    first: DocId,
    words: Box<[u64]>,
    /// How many are set before every eighth word, and behind the last.
    before: Box<[u32]>,
}

impl Docs {
    /// How many lie in `range`.
    pub fn count(&self, range: &Range<DocId>) -> u64 {
        match self {
            Docs::Run(run) => intersection(run, range).len() as u64,
            Docs::List(list) => within(list, range).len() as u64,
            Docs::Bits(bits) => u64::from(bits.below(range.end).saturating_sub(bits.below(range.start))),
        }
    }

    /// Whether every document of `range` is a member.
    pub fn holds_all(&self, range: &Range<DocId>) -> bool {
        self.count(range) == range.len() as u64
    }

    /// The first and the last in `range`.
    pub fn ends(&self, range: &Range<DocId>) -> Option<(DocId, DocId)> {
        match self {
            Docs::Run(run) => {
                let both = intersection(run, range);
                (!both.is_empty()).then(|| (both.start, both.end - 1))
            }
            Docs::List(list) => {
                let list = within(list, range);
                Some((*list.first()?, *list.last()?))
            }
            Docs::Bits(bits) => {
                let set = |(base, word): (DocId, u64)| (word != 0).then_some((base, word));
                let (base, word) = bits.words_in(range).find_map(set)?;
                let (last_base, last_word) = bits.words_in(range).rev().find_map(set)?;
                Some((base + word.trailing_zeros(), last_base + 63 - last_word.leading_zeros()))
            }
        }
    }

    /// Hands the members in `range` to `each`, in order, some hundred at a time.
    pub fn each_chunk<E>(
        &self,
        range: &Range<DocId>,
        mut each: impl FnMut(&[DocId]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut chunk = Vec::with_capacity(CHUNK + 64);
        match self {
            Docs::Run(run) => {
                for doc in intersection(run, range) {
                    chunk.push(doc);
                    if chunk.len() >= CHUNK {
                        each(&chunk)?;
                        chunk.clear();
                    }
                }
            }
            Docs::List(list) => return within(list, range).chunks(CHUNK).try_for_each(each),
            Docs::Bits(bits) => {
                for (base, mut word) in bits.words_in(range) {
                    while word != 0 {
                        chunk.push(base + word.trailing_zeros());
                        word &= word - 1;
                    }
                    if chunk.len() >= CHUNK {
                        each(&chunk)?;
                        chunk.clear();
                    }
                }
            }
        }
        each(&chunk)
    }

    /// The documents that are in all of `sets`. What needs no work is not copied.
    pub fn in_all(sets: Vec<Arc<Docs>>) -> Arc<Docs> {
        let mut run = 0..DocId::MAX;
        let mut others = Vec::with_capacity(sets.len());
        for set in sets {
            match &*set {
                Docs::Run(other) => run = intersection(&run, other),
                Docs::List(_) | Docs::Bits(_) => others.push(set),
            }
        }
        match others.as_slice() {
            [] => return Arc::new(Docs::Run(run)),
            [only] if only.count(&run) == only.len() => return only.clone(),
            _ => {}
        }
        let smallest = others.iter().filter_map(|set| if let Docs::List(list) = &**set { Some(list) } else { None });
        if let Some(list) = smallest.min_by_key(|list| list.len()) {
            let in_others = |doc: &DocId| run.contains(doc) && others.iter().all(|set| set.contains(*doc));
            return Arc::new(Docs::List(list.iter().copied().filter(in_others).collect()));
        }
        let bits: Vec<&Bits> =
            others.iter().filter_map(|set| if let Docs::Bits(bits) = &**set { Some(bits) } else { None }).collect();
        let reach = bits.iter().fold(run, |reach, bits| intersection(&reach, &bits.reach()));
        if reach.is_empty() {
            return Arc::new(Docs::Run(reach));
        }
        let mut found = DocsBuilder::over(&reach);
        for (base, word) in (reach.start & !63..).step_by(64).zip(&mut found.words) {
            *word = bits.iter().fold(mask(base, &reach), |word, bits| word & bits.word_at(base));
        }
        Arc::new(found.finish())
    }

    /// Bytes it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Docs>()
            + match self {
                Docs::Run(_) => 0,
                Docs::List(list) => size_of_val(&**list),
                Docs::Bits(bits) => size_of_val(&*bits.words) + size_of_val(&*bits.before),
            }
    }

    fn len(&self) -> u64 {
        self.count(&(0..DocId::MAX))
    }

    fn contains(&self, doc: DocId) -> bool {
        match self {
            Docs::Run(run) => run.contains(&doc),
            Docs::List(list) => list.binary_search(&doc).is_ok(),
            Docs::Bits(bits) => bits.reach().contains(&doc) && bits.word_at(doc & !63) >> (doc % 64) & 1 == 1,
        }
    }
}

impl Bits {
    /// How many are set below `doc`.
    fn below(&self, doc: DocId) -> u32 {
        let place = doc.saturating_sub(self.first);
        let index = (place / 64) as usize;
        let Some(word) = self.words.get(index) else {
            return self.before[self.before.len() - 1];
        };
        let counted = index / WORDS_PER_COUNT;
        let since = &self.words[counted * WORDS_PER_COUNT..index];
        let whole: u32 = since.iter().map(|word| word.count_ones()).sum();
        self.before[counted] + whole + (word & lowest(place % 64)).count_ones()
    }

    /// The documents it has bits for.
    fn reach(&self) -> Range<DocId> {
        self.first..self.first + 64 * self.words.len() as DocId
    }

    fn word_at(&self, base: DocId) -> u64 {
        self.words[((base - self.first) / 64) as usize]
    }

    /// The words that hold `range`, each with its first document, cut to it.
    fn words_in(&self, range: &Range<DocId>) -> impl DoubleEndedIterator<Item = (DocId, u64)> {
        let range = intersection(range, &self.reach());
        let from = (range.start - self.first) / 64;
        let to = if range.is_empty() { from } else { (range.end - self.first).div_ceil(64) };
        (from..to).map(move |index| {
            let base = self.first + 64 * index;
            (base, self.words[index as usize] & mask(base, &range))
        })
    }
}

/// Documents as they are found, in any order.
pub struct DocsBuilder {
    first: DocId,
    words: Vec<u64>,
}

impl DocsBuilder {
    /// None yet; there is room for `range`.
    pub fn over(range: &Range<DocId>) -> DocsBuilder {
        let first = range.start & !63;
        DocsBuilder { first, words: vec![0; (range.end.max(first) - first).div_ceil(64) as usize] }
    }

    /// Adds one.
    pub fn insert(&mut self, doc: DocId) {
        let place = doc - self.first;
        self.words[(place / 64) as usize] |= 1 << (place % 64);
    }

    /// Adds all of a range; nothing if it is empty, wherever it lies.
    pub fn insert_run(&mut self, run: Range<DocId>) {
        if run.is_empty() {
            return;
        }
        let from = (run.start - self.first) / 64;
        for (base, word) in (self.first + 64 * from..run.end).step_by(64).zip(&mut self.words[from as usize..]) {
            *word |= mask(base, &run);
        }
    }

    /// The set.
    pub fn finish(self) -> Docs {
        let mut before = Vec::with_capacity(self.words.len() / WORDS_PER_COUNT + 2);
        let mut count = 0;
        for words in self.words.chunks(WORDS_PER_COUNT) {
            before.push(count);
            count += words.iter().map(|word| word.count_ones()).sum::<u32>();
        }
        before.push(count);
        let bits = Bits { first: self.first, words: self.words.into(), before: before.into() };
        if count as usize * BITS_PER_MEMBER >= bits.words.len() * 64 {
            return Docs::Bits(bits);
        }
        let reach = bits.reach();
        let mut list = Vec::with_capacity(count as usize);
        let collected = Docs::Bits(bits).each_chunk(&reach, |docs| {
            list.extend_from_slice(docs);
            Ok::<(), std::convert::Infallible>(())
        });
        match collected {
            Ok(()) => Docs::List(list.into()),
        }
    }
}

/// The documents of both; empty ranges begin where they end.
pub fn intersection(a: &Range<DocId>, b: &Range<DocId>) -> Range<DocId> {
    let start = a.start.max(b.start);
    start..a.end.min(b.end).max(start)
}

fn within<'a>(list: &'a [DocId], range: &Range<DocId>) -> &'a [DocId] {
    let from = list.partition_point(|doc| *doc < range.start);
    let to = list.partition_point(|doc| *doc < range.end);
    &list[from..to.max(from)]
}

/// The bits of the word that begins at `base` whose documents lie in `range`.
fn mask(base: DocId, range: &Range<DocId>) -> u64 {
    lowest(range.end.saturating_sub(base)) & !lowest(range.start.saturating_sub(base))
}

/// The lowest `count` bits; all of them from 64 on.
fn lowest(count: u32) -> u64 {
    1_u64.checked_shl(count).map_or(u64::MAX, |bit| bit - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// Few or many members somewhere below 1,500, or a run of them; and the same as a plain set.
    fn some_docs() -> impl Strategy<Value = (Arc<Docs>, BTreeSet<DocId>)> {
        let members = prop_oneof![
            prop::collection::btree_set(100..1_400_u32, 0..12),
            prop::collection::btree_set(100..1_400_u32, 100..900),
        ];
        let built = (members, any::<bool>()).prop_map(|(members, is_tight)| {
            let reach = match (members.first(), members.last()) {
                (Some(first), Some(last)) if is_tight => *first..*last + 1,
                _ => 0..1_500,
            };
            let mut builder = DocsBuilder::over(&reach);
            members.iter().for_each(|doc| builder.insert(*doc));
            (Arc::new(builder.finish()), members)
        });
        let run = (0..1_500_u32, 0..700_u32).prop_map(|(start, len)| {
            let run = start..start + len;
            (Arc::new(Docs::Run(run.clone())), run.collect())
        });
        prop_oneof![3 => built, 1 => run]
    }

    fn members(docs: &Docs, range: &Range<DocId>) -> Vec<DocId> {
        let mut found = Vec::new();
        let Ok(()) = docs.each_chunk(range, |docs| {
            found.extend_from_slice(docs);
            Ok::<(), Infallible>(())
        });
        found
    }

    fn check(docs: &Docs, plain: &BTreeSet<DocId>, range: Range<DocId>) -> Result<(), TestCaseError> {
        let expected: Vec<DocId> = plain.range(range.clone()).copied().collect();
        prop_assert_eq!(docs.count(&range), expected.len() as u64);
        prop_assert_eq!(docs.holds_all(&range), expected.len() == range.len());
        let ends = expected.first().copied().zip(expected.last().copied());
        prop_assert_eq!(docs.ends(&range), ends);
        prop_assert_eq!(members(docs, &range), expected);
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        #[test]
        fn sets_of_documents_are_counted_and_cut_like_plain_sets(
            sets in prop::collection::vec(some_docs(), 1..4),
            start in 0..1_600_u32,
            len in 0..900_u32,
        ) {
            let range = start..start + len;
            let mut plain = sets[0].1.clone();
            for (docs, members) in &sets {
                check(docs, members, range.clone())?;
                check(docs, members, 0..2_000)?;
                prop_assert!((0..1_600).all(|doc| docs.contains(doc) == members.contains(&doc)));
                plain.retain(|doc| members.contains(doc));
            }
            let all = Docs::in_all(sets.into_iter().map(|(docs, _)| docs).collect());
            check(&all, &plain, range)?;
            check(&all, &plain, 0..2_000)?;
        }
    }

    #[test]
    fn an_empty_run_behind_the_range_adds_nothing() {
        let mut docs = DocsBuilder::over(&(0..64));
        let (start, end) = (128, 64);
        docs.insert_run(start..end);
        docs.insert_run(128..128);
        assert_eq!(docs.finish().count(&(0..200)), 0);
    }

    #[test]
    fn few_documents_take_little_room() {
        let mut builder = DocsBuilder::over(&(0..1_000_000));
        [3, 500_000, 999_999].into_iter().for_each(|doc| builder.insert(doc));
        let few = builder.finish();
        assert!(few.bytes() < 100, "{} bytes", few.bytes());
        let mut builder = DocsBuilder::over(&(0..1_000_000));
        builder.insert_run(0..500_000);
        let many = builder.finish();
        assert!((125_000..140_000).contains(&many.bytes()), "{} bytes", many.bytes());
    }
}
