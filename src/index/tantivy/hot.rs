//! The hot index: Tantivy in memory, over the events that no span holds yet. Rebuilt from the log at start.

use std::collections::HashMap;
use std::sync::Arc;

use ::tantivy::directory::error::OpenReadError;
use ::tantivy::index::SegmentId;
use ::tantivy::indexer::NoMergePolicy;
use ::tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, TantivyError};

use crate::index::source::ToIndex;
use crate::index::tantivy::ids;
use crate::index::tantivy::merge::Part;
use crate::index::tantivy::piece::Piece;
use crate::index::tantivy::schema::{self, IndexSchema};
use crate::index::{EngineError, Within};
use crate::seq::Seq;

/// Memory for documents not committed yet, bytes. Tantivy wants at least 15 MB; a tick's events need far less.
const WRITER_BYTES: usize = 32 << 20;

/// A merge that ends meanwhile takes the files of what it merged away. It begins again so often; fewer merges can be on their way.
const OPENED_AGAIN_MAX: usize = 64;

/// An index in memory over the run `first..next`.
pub struct Hot {
    schema: &'static IndexSchema,
    writer: IndexWriter,
    reader: IndexReader,
    pieces: HashMap<SegmentId, Arc<Piece>>,
    first: Seq,
    next: Seq,
    body_bytes: u64,
    ids: Vec<(u64, Seq)>,
    is_dirty: bool,
    erased_through: Seq,
}

impl Hot {
    /// An empty one, whose first event will be `first`. What was asked to be erased below `erased_through` cannot be opened any more.
    pub fn new(first: Seq, erased_through: Seq) -> Result<Hot, EngineError> {
        let schema = schema::current();
        let index = Index::builder()
            .schema(schema.schema.clone())
            .settings(schema::settings())
            .tokenizers(schema::tokenizers())
            .create_in_ram()?;
        let writer = index.writer_with_num_threads(1, WRITER_BYTES)?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let pieces = HashMap::new();
        Ok(Hot {
            schema,
            writer,
            reader,
            pieces,
            first,
            next: first,
            body_bytes: 0,
            ids: Vec::new(),
            is_dirty: false,
            erased_through,
        })
    }

    /// Adds the next event; it is searchable after `commit`.
    pub fn add(&mut self, to_index: &ToIndex) -> Result<(), EngineError> {
        let entry = &to_index.entry;
        assert_eq!(entry.seq, self.next, "the hot index takes the log in order");
        self.writer.add_document(schema::document(to_index, &self.schema.fields))?;
        self.ids.push((ids::hash(&entry.event.tenant, &entry.event.id), entry.seq));
        self.next = self.next.plus(1);
        self.body_bytes += to_index.bytes as u64;
        self.is_dirty = true;
        Ok(())
    }

    /// Makes what was added searchable.
    pub fn commit(&mut self) -> Result<(), EngineError> {
        if !self.is_dirty {
            return Ok(());
        }
        self.writer.commit()?;
        self.reload()?;
        self.is_dirty = false;
        Ok(())
    }

    fn reload(&mut self) -> Result<(), EngineError> {
        self.reader.reload()?;
        let mut pieces = HashMap::new();
        for segment in self.reader.searcher().segment_readers() {
            let id = segment.segment_id();
            let known = self.pieces.get(&id).cloned();
            let piece = match known {
                Some(piece) => Some(piece),
                None => Piece::open(segment.clone())?.map(Arc::new),
            };
            pieces.extend(piece.map(|piece| (id, piece)));
        }
        self.pieces = pieces;
        Ok(())
    }

    /// What is searchable now.
    pub fn pieces(&self) -> Vec<Arc<Piece>> {
        self.pieces.values().cloned().collect()
    }

    /// The run it holds: `first` inclusive, `next` exclusive.
    pub fn run(&self) -> (Seq, Seq) {
        (self.first, self.next)
    }

    /// Ends it: what was added is searchable, and can be merged into a span. If that fails, nothing has been taken out.
    pub fn freeze(&mut self) -> Result<FrozenHot, EngineError> {
        // No other merge begins. Those on their way may still end.
        self.writer.set_merge_policy(Box::new(NoMergePolicy));
        self.commit()?;
        let parts = self.open_parts()?;
        let (from, to) = self.run();
        let ids = std::mem::take(&mut self.ids);
        let run = Within { from, to };
        let Hot { body_bytes, erased_through, .. } = *self;
        Ok(FrozenHot { run, pieces: self.pieces(), parts, ids, body_bytes, erased_through })
    }

    /// Opens all that a merge will read. What is searchable may have been merged since, and its files be gone.
    fn open_parts(&mut self) -> Result<Vec<Part>, EngineError> {
        let mut tries = 0;
        loop {
            let parts = self.pieces.values().map(|piece| Part::whole(piece.reader.clone())).collect();
            match parts {
                Err(TantivyError::OpenReadError(OpenReadError::FileDoesNotExist(_))) if tries < OPENED_AGAIN_MAX => {
                    tries += 1;
                    self.reload()?;
                }
                parts => return Ok(parts?),
            }
        }
    }

    /// What was asked to be erased below this seq is not in it.
    pub fn erased_through(&self) -> Seq {
        self.erased_through
    }

    /// Number of events.
    pub fn len(&self) -> u64 {
        self.next.0 - self.first.0
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.first == self.next
    }

    /// Bytes of the bodies it holds.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }
}

/// A hot index that takes no more events, until a span replaces it.
pub struct FrozenHot {
    /// The run it holds.
    pub run: Within,
    /// For searches.
    pub pieces: Vec<Arc<Piece>>,
    /// The same for the merge.
    pub parts: Vec<Part>,
    /// The hash of every event's id, in the order of the log.
    pub ids: Vec<(u64, Seq)>,
    /// Bytes of the bodies it holds.
    pub body_bytes: u64,
    /// What was asked to be erased below this seq is not in it.
    pub erased_through: Seq,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ::tantivy::directory::RamDirectory;

    use super::*;
    use crate::index::tantivy::merge;
    use crate::index::tantivy::segment::tests::to_index;

    #[test]
    fn what_tantivy_merged_and_removed_meanwhile_is_no_hindrance() {
        let mut hot = Hot::new(Seq(0), Seq::ZERO).unwrap();
        // Until Tantivy merges in the background what a commit left, so that what is searched is what was there before.
        let is_merged = |hot: &Hot| {
            std::thread::sleep(Duration::from_millis(20));
            hot.reader.searcher().index().searchable_segment_ids().unwrap().len() < hot.pieces.len()
        };
        for n in 0.. {
            assert!(n < 500, "Tantivy merges nothing");
            hot.add(&to_index(n, n)).unwrap();
            hot.commit().unwrap();
            if is_merged(&hot) {
                break;
            }
        }
        let frozen = hot.freeze().unwrap();
        merge::write(frozen.parts.clone(), RamDirectory::create()).unwrap();
        assert_eq!(frozen.pieces.iter().map(|piece| u64::from(piece.reader.max_doc())).sum::<u64>(), hot.len());
    }
}
