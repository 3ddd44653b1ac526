//! Where the documents of several segments stand in the one that they become: newest first, and of one time the highest seq first.

use std::collections::VecDeque;

use ::tantivy::DocId;
use ::tantivy::columnar::RowAddr;

use super::Part;
use crate::index::Order;

/// The place of a document that is left out.
pub const NOWHERE: DocId = DocId::MAX;

type Rank = (i64, u64);

/// Where the documents of one part go.
pub struct OfPart {
    /// Each of them, by its number there.
    pub to: Vec<DocId>,
    /// They keep their order.
    pub is_rising: bool,
}

/// Which document becomes which.
pub struct Places {
    parts: Vec<OfPart>,
    docs: DocId,
    /// The same seen from there; empty if they are stacked.
    from: Vec<RowAddr>,
    is_stacked: bool,
}

impl Places {
    /// Those of these parts, which are put in the order of their first documents.
    pub fn of(parts: &mut [Part]) -> Places {
        parts.sort_by_cached_key(|part| InOrder::of(part).next());
        let mut rows: Vec<InOrder<'_>> = parts.iter().map(InOrder::of).collect();
        let mut heads: Vec<Option<(Rank, DocId)>> = rows.iter_mut().map(Iterator::next).collect();
        let mut to: Vec<Vec<DocId>> = parts.iter().map(|part| vec![NOWHERE; part.reader.max_doc() as usize]).collect();
        let mut from = Vec::with_capacity(to.iter().map(Vec::len).sum());
        while let Some((_, part)) = (0..).zip(&heads).filter_map(|(part, head)| head.map(|head| (head, part))).min() {
            let others = (0..).zip(&heads).filter(|(other, _)| *other != part);
            let end = others.filter_map(|(_, head)| *head).min();
            while let Some(head) = heads[part].filter(|head| end.is_none_or(|end| *head < end)) {
                let (_, doc) = head;
                to[part][doc as usize] = from.len() as DocId;
                from.push(RowAddr { segment_ord: part as u32, row_id: doc });
                heads[part] = rows[part].next();
            }
        }
        let is_stacked = (0..).zip(to.iter().flatten()).all(|(place, doc)| place == *doc);
        let docs = from.len() as DocId;
        if is_stacked {
            from = Vec::new();
        }
        let is_rising = |to: &[DocId]| to.iter().filter(|place| **place != NOWHERE).is_sorted();
        let parts = to.into_iter().map(|to| OfPart { is_rising: is_rising(&to), to }).collect();
        Places { parts, docs, from, is_stacked }
    }

    /// How many documents there are.
    pub fn docs(&self) -> DocId {
        self.docs
    }

    /// Those of each part, in the order that these have now.
    pub fn parts(&self) -> &[OfPart] {
        &self.parts
    }

    /// Each part is there as a whole, one behind the other.
    pub fn is_stacked(&self) -> bool {
        self.is_stacked
    }

    /// Where each document comes from, unless they are stacked.
    pub fn into_from(self) -> Vec<RowAddr> {
        self.from
    }
}

/// What is left of a part, in order. Those of one time may stand there in any.
struct InOrder<'a> {
    part: &'a Part,
    next: DocId,
    /// Those of one time.
    run: VecDeque<(Rank, DocId)>,
}

impl InOrder<'_> {
    fn of(part: &Part) -> InOrder<'_> {
        InOrder { part, next: 0, run: VecDeque::new() }
    }

    fn read_run(&mut self) {
        let Part { reader, columns, left, .. } = self.part;
        while self.next < reader.max_doc() {
            let doc = self.next;
            if left.as_ref().is_none_or(|left| left.is_alive(doc)) {
                let rank = Order::TimeDesc.rank(columns.hit(doc));
                if self.run.front().is_some_and(|((time, _), _)| *time != rank.0) {
                    break;
                }
                self.run.push_back((rank, doc));
            }
            self.next += 1;
        }
        if self.run.len() > 1 {
            self.run.make_contiguous().sort_unstable();
        }
    }
}

impl Iterator for InOrder<'_> {
    type Item = (Rank, DocId);

    fn next(&mut self) -> Option<(Rank, DocId)> {
        if self.run.is_empty() {
            self.read_run();
        }
        self.run.pop_front()
    }
}
