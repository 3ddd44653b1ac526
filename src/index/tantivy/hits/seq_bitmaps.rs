//! The places in the log that match in one piece, kept for those who come again with the same question: the pages of a
//! poller. A piece never changes, so neither does what matches in it; it goes when the piece goes.

use std::sync::Arc;

use parking_lot::Mutex;

use super::bitmap::Bitmap;

/// So many queries are remembered for each piece; the one that was used longest ago goes first. A bit for each event and
/// query: half a byte an event, 50 MB for 100 M events.
pub const SEQ_BITMAPS_MAX: usize = 4;

/// What matches in one piece, by the text of the query: bit n stands for the piece's lowest `seq` plus n.
#[derive(Default)]
pub struct SeqBitmaps {
    /// Last used first. Held to look and to put in, never while anything is computed.
    kept: Mutex<Vec<(String, Arc<Bitmap>)>>,
}

impl SeqBitmaps {
    /// What is known of this query.
    pub fn get(&self, query: &str) -> Option<Arc<Bitmap>> {
        let mut kept = self.kept.lock();
        let index = kept.iter().position(|(text, _)| text == query)?;
        kept[..=index].rotate_right(1);
        Some(kept[0].1.clone())
    }

    /// Remembers it. It has to be whole.
    pub fn keep(&self, query: &str, bitmap: Arc<Bitmap>) {
        let mut kept = self.kept.lock();
        // Two may have computed it at the same time.
        kept.retain(|(text, _)| text != query);
        kept.truncate(SEQ_BITMAPS_MAX - 1);
        kept.insert(0, (query.to_owned(), bitmap));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_used_longest_ago_goes_first() {
        let bitmaps = SeqBitmaps::default();
        let keep = |query: &str| bitmaps.keep(query, Arc::new(Bitmap::new(1)));
        for query in ["a", "b", "c", "d", "a"] {
            keep(query);
        }
        assert!(bitmaps.get("b").is_some());
        keep("e");
        let known: Vec<bool> = ["a", "b", "c", "d", "e"].map(|query| bitmaps.get(query).is_some()).into();
        assert_eq!(known, [true, true, false, true, true]);
    }
}
