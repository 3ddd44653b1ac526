//! Segments that are merged beside one that was written of all their entries at once.

use ::tantivy::directory::RamDirectory;
use ::tantivy::postings::Postings;
use ::tantivy::schema::Field;
use ::tantivy::{BitSet, DocId, DocSet, Index, Segment, SegmentReader, TERMINATED};
use proptest::prelude::*;

use super::{LIMITS, MergeLimits, Part, write_within};
use crate::index::source::ToIndex;
use crate::index::tantivy::hot::Hot;
use crate::index::tantivy::inverted;
use crate::index::tantivy::piece::Piece;
use crate::index::tantivy::segment::{self, tests::to_index};
use crate::index::tantivy::term_filter::tests::are_apt;
use crate::seq::Seq;

/// An entry: its number, and what the rest of it is made of. Of few kinds, so that their terms have long lists.
type Made = (u64, u64);

fn entries(made: &[Made]) -> Vec<ToIndex> {
    made.iter().map(|(seq, seed)| to_index(*seq, *seed)).collect()
}

/// The one segment over these, as a span is built.
fn built(made: &[Made]) -> Segment {
    let directory = RamDirectory::create();
    segment::write(directory.clone(), entries(made).into_iter().map(Ok), made.len()).unwrap();
    only_segment(directory)
}

/// The segments of a hot index over these, where what has one time stands in any order.
fn hot(made: &[Made]) -> Vec<Part> {
    let mut hot = Hot::new(Seq(made[0].0), Seq::ZERO).unwrap();
    entries(made).iter().for_each(|entry| hot.add(entry).unwrap());
    hot.freeze().unwrap().parts
}

fn merged(parts: Vec<Part>, limits: MergeLimits) -> Segment {
    let directory = RamDirectory::create();
    write_within(parts, directory.clone(), limits).unwrap();
    only_segment(directory)
}

fn only_segment(directory: RamDirectory) -> Segment {
    let [segment] = Index::open(directory).unwrap().searchable_segments().unwrap().try_into().unwrap();
    segment
}

fn whole(segment: &Segment) -> Part {
    Part::whole(SegmentReader::open(segment).unwrap()).unwrap()
}

fn inverted_files(segment: &Segment) -> Vec<Vec<u8>> {
    inverted::FILES.map(|file| segment.open_read(file).unwrap().read_bytes().unwrap().to_vec()).into()
}

/// A term, and the documents that it is in, with its positions there.
type Found = (Field, Vec<u8>, Vec<(DocId, Vec<u32>)>);

fn terms(segment: &Segment) -> Vec<Found> {
    let reader = SegmentReader::open(segment).unwrap();
    let mut found = Vec::new();
    for (field, entry) in segment.schema().fields().filter(|(_, entry)| entry.is_indexed()) {
        let inverted = reader.inverted_index(field).unwrap();
        let mut terms = inverted.terms().stream().unwrap();
        while let Some((term, info)) = terms.next() {
            let option = entry.field_type().index_record_option().unwrap();
            let mut postings = inverted.read_postings_from_terminfo(info, option).unwrap();
            let mut documents = Vec::new();
            while postings.doc() != TERMINATED {
                let mut positions = Vec::new();
                if inverted::has_positions(entry) {
                    postings.positions(&mut positions);
                }
                documents.push((postings.doc(), positions));
                postings.advance();
            }
            found.push((field, term.to_vec(), documents));
        }
    }
    found
}

/// What a search reads of the columns, document by document.
fn columns(segment: &Segment) -> Vec<(i64, u64, Vec<String>)> {
    let piece = Piece::open(SegmentReader::open(segment).unwrap()).unwrap().unwrap();
    let names = ["actor", "action", "target_type", "tenant", "outcome", "source"];
    let strings = names.map(|name| piece.str_column(name).unwrap().unwrap());
    let of = |doc: DocId| {
        let hit = piece.columns.hit(doc);
        let mut values = Vec::new();
        for column in &strings {
            for ord in column.term_ords(doc) {
                let mut value = String::new();
                column.ord_to_str(ord, &mut value).unwrap();
                values.push(value);
            }
            values.push(String::from("|"));
        }
        (hit.time_ms, hit.seq.0, values)
    };
    (0..piece.reader.max_doc()).map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_merged_is_what_all_entries_give_at_once(
        seeds in prop::collection::vec(0..12_u64, 1..400),
        cuts in prop::collection::vec((0.0..1.0, any::<bool>()), 0..6),
        collected_max in prop::sample::select(vec![0, 10, 100, LIMITS.collected_max]),
    ) {
        let made: Vec<Made> = (100..).zip(seeds).collect();
        let mut cuts: Vec<(usize, bool)> =
            cuts.into_iter().map(|(at, is_hot)| ((at * made.len() as f64) as usize, is_hot)).collect();
        cuts.push((made.len(), false));
        cuts.sort_unstable();
        let (mut parts, mut from) = (Vec::new(), 0);
        for (to, is_hot) in cuts {
            let run = &made[from..to];
            match (run.is_empty(), is_hot) {
                (true, _) => {}
                (false, true) => parts.extend(hot(run)),
                (false, false) => parts.push(whole(&built(run))),
            }
            from = to;
        }
        let (merged, built) = (merged(parts, MergeLimits { collected_max, ..LIMITS }), built(&made));
        prop_assert!(inverted_files(&merged) == inverted_files(&built));
        prop_assert_eq!(columns(&merged), columns(&built));
        prop_assert!(are_apt(&built) && are_apt(&merged));
    }

    #[test]
    fn what_is_left_out_is_in_nothing(
        seeds in prop::collection::vec((0..12_u64, any::<bool>()), 1..300),
        cut in 0.0..1.0,
        collected_max in prop::sample::select(vec![0, 10, 100, LIMITS.collected_max]),
    ) {
        let made: Vec<(Made, bool)> =
            (100..).zip(seeds).map(|(seq, (seed, is_left))| ((seq, seed), is_left)).collect();
        let mut parts = Vec::new();
        let (before, after) = made.split_at((cut * made.len() as f64) as usize);
        for run in [before, after].into_iter().filter(|run| !run.is_empty()) {
            let segment = built(&run.iter().map(|(made, _)| *made).collect::<Vec<_>>());
            let all = whole(&segment);
            let mut left = BitSet::with_max_value(all.reader.max_doc());
            for doc in 0..all.reader.max_doc() {
                let seq = all.columns.hit(doc).seq.0;
                if made.iter().any(|((other, _), is_left)| *other == seq && *is_left) {
                    left.insert(doc);
                }
            }
            parts.push(Part::only(all.reader, &left).unwrap());
        }
        let left: Vec<Made> = made.iter().filter(|(_, is_left)| *is_left).map(|(made, _)| *made).collect();
        prop_assume!(!left.is_empty());
        let (merged, built) = (merged(parts, MergeLimits { collected_max, ..LIMITS }), built(&left));
        // Not to the byte: a field may be left of which there is no term, and how many occurrences it had is not counted again.
        prop_assert!(terms(&merged) == terms(&built));
        prop_assert_eq!(columns(&merged), columns(&built));
        prop_assert!(are_apt(&merged));
    }

    #[test]
    fn what_keeps_its_order_within_one_time_is_all_there(
        seeds in prop::collection::vec(0..12_u64, 1..300),
        cut in 0.0..1.0,
    ) {
        let made: Vec<Made> = (100..).zip(seeds).collect();
        let (before, after) = made.split_at((cut * made.len() as f64) as usize);
        let runs = [before, after].into_iter().filter(|run| !run.is_empty());
        let parts = runs.flat_map(hot).collect();
        let (merged, built) = (merged(parts, MergeLimits { collected_max: 0, put_in_order_max: 0 }), built(&made));
        let times = |segment: &Segment| columns(segment).iter().map(|(time, ..)| *time).collect::<Vec<_>>();
        prop_assert_eq!(times(&merged), times(&built));
        let [ours, theirs] = [&merged, &built].map(|segment| {
            let mut columns = columns(segment);
            let seqs: Vec<u64> = columns.iter().map(|(_, seq, _)| *seq).collect();
            let mut terms = terms(segment);
            for (.., documents) in &mut terms {
                // Named by what stays the same.
                documents.iter_mut().for_each(|(doc, _)| *doc = seqs[*doc as usize] as DocId);
                documents.sort_unstable();
            }
            columns.sort_unstable();
            (columns, terms)
        });
        prop_assert!(ours == theirs);
    }
}
