//! One segment of entries that come from the log, written as Tantivy would write it, byte for byte, but faster: what documents are
//! found by by [`Inverted`], their columns by [`FastFields`]. The rest, which is what says that there is a segment, is Tantivy's
//! ([`shell`]).

use std::net::Ipv6Addr;

use ::tantivy::schema::{Facet, Field};
use ::tantivy::{Directory, DocId, Index, Segment, TantivyDocument, TantivyError};

use crate::index::source::ToIndex;
use crate::index::tantivy::fast_fields::{self, FastFields};
use crate::index::tantivy::inverted::{self, Inverted};
use crate::index::tantivy::schema::{self, Document};
use crate::index::{EngineError, Hit, Order};

/// For what Tantivy itself collects, which is nothing. It grows as needed.
const WRITER_BYTES: usize = 1 << 20;

/// A segment of so many documents without anything in them. It lacks [`inverted::FILES`] and [`fast_fields::FILE`].
///
/// # Errors
/// What the directory says.
pub fn shell(into: impl Into<Box<dyn Directory>>, docs: DocId) -> Result<Segment, TantivyError> {
    let mut writer = Index::builder()
        .schema(schema::current().schema.clone())
        .settings(schema::settings_in_given_order())
        .tokenizers(schema::tokenizers())
        .single_segment_index_writer(into, WRITER_BYTES)?;
    (0..docs).try_for_each(|_| writer.add_document(TantivyDocument::new()))?;
    let index = writer.finalize()?;
    let segment = index.searchable_segments()?.pop().expect("a segment was written");
    for file in inverted::FILES.into_iter().chain([fast_fields::FILE]) {
        let removed = index.directory().delete(&segment.relative_path(file));
        removed.map_err(|e| TantivyError::InternalError(e.to_string()))?;
    }
    Ok(segment)
}

/// An entry in two.
struct Halves {
    inverted: Inverted,
    fast_fields: FastFields,
}

impl Document for Halves {
    fn facet(&mut self, field: Field, path: Facet) {
        self.inverted.add_facet(field, &path);
        self.fast_fields.add_facet(field, &path);
    }

    fn term(&mut self, field: Field, term: &str) {
        self.inverted.add_term(field, term.as_bytes());
        self.fast_fields.add_term(field, term);
    }

    fn words(&mut self, field: Field, text: &str) {
        self.inverted.add_words(field, text);
    }

    fn ip(&mut self, field: Field, address: Ipv6Addr) {
        self.fast_fields.add_ip(field, address);
    }

    fn date(&mut self, field: Field, ms: i64) {
        self.fast_fields.add_date(field, ms);
    }

    fn number(&mut self, field: Field, number: u64) {
        self.fast_fields.add_number(field, number);
    }
}

/// Writes these entries, of which there are about so many, newest first.
///
/// # Errors
/// The first error among `entries`, or what the directory says.
pub fn write(
    into: impl Into<Box<dyn Directory>>,
    entries: impl Iterator<Item = Result<ToIndex, EngineError>>,
    about: usize,
) -> Result<(), EngineError> {
    let schema = schema::current();
    let (inverted, fast_fields) = (Inverted::new(&schema.schema, about), FastFields::new(&schema.schema));
    let mut halves = Halves { inverted, fast_fields };
    let mut ranks = Vec::with_capacity(about);
    for (doc, to_index) in (0..).zip(entries) {
        let to_index = to_index?;
        let ToIndex { entry, .. } = &to_index;
        ranks.push((Order::TimeDesc.rank(Hit { time_ms: entry.event.time.ms, seq: entry.seq }), doc));
        schema::describe(&mut halves, &to_index, &schema.fields);
        halves.inverted.end_document();
        halves.fast_fields.end_document();
    }
    ranks.sort_unstable();
    let mut places = vec![0; ranks.len()];
    (0..).zip(ranks).for_each(|(place, (_, doc))| places[doc as usize] = place);
    let segment = shell(into, places.len() as DocId)?;
    halves.inverted.write(&segment, &places)?;
    halves.fast_fields.write(&segment, &places)?;
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use ::tantivy::IndexSettings;
    use ::tantivy::directory::RamDirectory;
    use ::tantivy::indexer::DocIdMapping;
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Catalogue, Entry, Event, Intake, Kind, PartKind, SeenParts, validate};
    use crate::index::source::SealedPart;
    use crate::query::samples::events::imported;
    use crate::seq::Seq;

    /// An entry, the same for the same numbers.
    pub fn to_index(seq: u64, seed: u64) -> ToIndex {
        let intake = Intake {
            now_ms: 1_795_181_527_412,
            tenant: "default",
            is_only_tenant: false,
            catalogue: Catalogue::builtin(),
            subject_types: None,
        };
        let draft = validate(&imported(seed), &intake).unwrap_or_else(|faults| panic!("{faults:?}"));
        let mut event = Event::from_body(&draft.body).unwrap();
        // Drawn, if it had none.
        event.id = format!("e{seq}");
        let sealed = |part: PartKind| SealedPart { part, keys: vec![seed % 7, seq], event: event.clone() };
        // Some have parts that were sealed, whatever they are of.
        let sealed =
            if seed.is_multiple_of(3) { vec![sealed(PartKind::Content), sealed(PartKind::Who)] } else { Vec::new() };
        let parts = SeenParts::default();
        let entry = Entry { seq: Seq(seq), received_ms: intake.now_ms, kind: Kind::Event, hash: [0; 32], event, parts };
        ToIndex { entry, sealed, bytes: 0 }
    }

    /// The files of an index's one segment that are not left to Tantivy.
    fn files(directory: RamDirectory) -> Vec<Vec<u8>> {
        let index = Index::open(directory).unwrap();
        let [segment] = index.searchable_segments().unwrap().try_into().unwrap();
        let files = inverted::FILES.into_iter().chain([fast_fields::FILE]);
        files.map(|file| segment.open_read(file).unwrap().read_bytes().unwrap().to_vec()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn the_files_are_those_that_tantivy_writes(seeds in prop::collection::vec(any::<u64>(), 1..300)) {
            let entries: Vec<ToIndex> = (100..).zip(&seeds).map(|(seq, seed)| to_index(seq, *seed)).collect();
            let schema = schema::current();
            let theirs = RamDirectory::create();
            let mut writer = Index::builder()
                .schema(schema.schema.clone())
                .settings(IndexSettings { manual_doc_id_mapping: true, ..schema::settings_in_given_order() })
                .tokenizers(schema::tokenizers())
                .single_segment_index_writer(theirs.clone(), WRITER_BYTES)
                .unwrap();
            entries.iter().for_each(|entry| writer.add_document(schema::document(entry, &schema.fields)).unwrap());
            let mut newest_first: Vec<DocId> = (0..entries.len() as DocId).collect();
            newest_first.sort_by_key(|doc| {
                let entry = &entries[*doc as usize].entry;
                std::cmp::Reverse((entry.event.time.ms, entry.seq))
            });
            writer.finalize_with_doc_id_mapping(&DocIdMapping::new_permutation(newest_first).unwrap()).unwrap();

            let ours = RamDirectory::create();
            let events = entries.len();
            write(ours.clone(), entries.into_iter().map(Ok), events).unwrap();
            prop_assert!(files(ours) == files(theirs));
        }
    }
}
