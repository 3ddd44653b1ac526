//! Where in a piece the documents of a run of `seq` can stand.
//!
//! Documents are sorted by time. In nearly every log that is nearly the order of arrival backwards, so a run of `seq` is
//! in few blocks of documents; where old events were imported it may be in all of them.

use std::ops::Range;

use ::tantivy::DocId;

use crate::index::tantivy::piece::Columns;
use crate::index::{EngineError, Patience, Within};
use crate::seq::Seq;

/// Documents of a block: reading the seq of each takes some 20 µs. Few in unit tests, so that small pieces have many.
const BLOCK_DOCUMENTS: u32 = if cfg!(test) { 4 } else { 8_192 };

/// The lowest and the highest seq of each block.
pub struct SeqBlocks {
    ends: Box<[(Seq, Seq)]>,
    documents: u32,
}

impl SeqBlocks {
    /// Reads the whole column, once for each piece: some 50 ms for 16 M documents.
    pub fn of(columns: &Columns, patience: &Patience) -> Result<SeqBlocks, EngineError> {
        let documents = columns.seq.num_vals();
        let mut seqs = vec![0; BLOCK_DOCUMENTS as usize];
        let mut ends = Vec::new();
        let mut start = 0;
        while start < documents {
            patience.check()?;
            let len = BLOCK_DOCUMENTS.min(documents - start);
            let block = &mut seqs[..len as usize];
            columns.seq.get_range(u64::from(start), block);
            let lowest = block.iter().min().expect("a block has a document");
            let highest = block.iter().max().expect("a block has a document");
            ends.push((Seq(*lowest), Seq(*highest)));
            start += len;
        }
        Ok(SeqBlocks { ends: ends.into(), documents })
    }

    /// Every block: its documents, their lowest and their highest seq.
    pub fn all(&self) -> impl Iterator<Item = (Range<DocId>, Seq, Seq)> + '_ {
        (0..).zip(&self.ends).map(|(block, (lowest, highest)): (u32, _)| {
            let start = block * BLOCK_DOCUMENTS;
            (start..start.saturating_add(BLOCK_DOCUMENTS).min(self.documents), *lowest, *highest)
        })
    }

    /// The documents among which all of `within` are, block by block.
    pub fn around(&self, within: Within) -> impl Iterator<Item = Range<DocId>> + '_ {
        let can_hold = move |(_, lowest, highest): &(_, Seq, Seq)| within.from <= *highest && *lowest < within.to;
        self.all().filter(can_hold).map(|(documents, _, _)| documents)
    }

    /// How many blocks there are.
    pub fn count(&self) -> usize {
        self.ends.len()
    }
}
