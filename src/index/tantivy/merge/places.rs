//! Where the documents of several segments stand in the one that they become: newest first, and of one time the highest seq first.
//!
//! A segment of the hot index has those of one time in any order. A large segment has them as they are to be, unless it was written before
//! merges put them so, and then they stay as they are: whoever opens the new one looks whether it is in order.

use std::collections::VecDeque;

use ::tantivy::DocId;
use ::tantivy::columnar::RowAddr;

use super::{MergeLimits, Part};
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
    is_stacked: bool,
}

impl Places {
    /// Those of these parts, which are put in the order of their first documents.
    pub fn of(parts: &mut [Part], limits: MergeLimits) -> Places {
        parts.sort_by_cached_key(|part| InOrder::of(part, limits).next());
        let mut rows: Vec<InOrder<'_>> = parts.iter().map(|part| InOrder::of(part, limits)).collect();
        let mut heads: Vec<Option<(Rank, DocId)>> = rows.iter_mut().map(Iterator::next).collect();
        let mut to: Vec<Vec<DocId>> = parts.iter().map(|part| vec![NOWHERE; part.reader.max_doc() as usize]).collect();
        let mut docs = 0;
        while let Some((_, part)) = (0..).zip(&heads).filter_map(|(part, head)| head.map(|head| (head, part))).min() {
            let others = (0..).zip(&heads).filter(|(other, _)| *other != part);
            let end = others.filter_map(|(_, head)| *head).min();
            while let Some(head) = heads[part].filter(|head| end.is_none_or(|end| *head <= end)) {
                let (_, doc) = head;
                to[part][doc as usize] = docs;
                docs += 1;
                heads[part] = rows[part].next();
            }
        }
        let is_stacked = (0..).zip(to.iter().flatten()).all(|(place, doc)| place == *doc);
        let is_rising = |to: &[DocId]| to.iter().filter(|place| **place != NOWHERE).is_sorted();
        let parts = to.into_iter().map(|to| OfPart { is_rising: is_rising(&to), to }).collect();
        Places { parts, docs, is_stacked }
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

    /// Where each document comes from.
    pub fn into_from(self) -> Vec<RowAddr> {
        let mut from = vec![RowAddr { segment_ord: 0, row_id: 0 }; self.docs as usize];
        for (segment_ord, OfPart { to, .. }) in (0..).zip(self.parts) {
            for (row_id, place) in (0..).zip(to).filter(|(_, place)| *place != NOWHERE) {
                from[place as usize] = RowAddr { segment_ord, row_id };
            }
        }
        from
    }
}

/// What is left of a part, in order.
struct InOrder<'a> {
    part: &'a Part,
    is_put_in_order: bool,
    next: DocId,
    /// Those of one time.
    run: VecDeque<(Rank, DocId)>,
}

impl InOrder<'_> {
    fn of(part: &Part, limits: MergeLimits) -> InOrder<'_> {
        let is_put_in_order = part.reader.max_doc() <= limits.put_in_order_max;
        InOrder { part, is_put_in_order, next: 0, run: VecDeque::new() }
    }

    fn read_run(&mut self) {
        let (Part { reader, columns, left, .. }, is_put_in_order) = (self.part, self.is_put_in_order);
        while self.next < reader.max_doc() {
            let doc = self.next;
            if left.as_ref().is_none_or(|left| left.is_alive(doc)) {
                let rank = Order::TimeDesc.rank(columns.hit(doc));
                let ends_run = |((time, _), _): &(Rank, DocId)| *time != rank.0 || !is_put_in_order;
                if self.run.front().is_some_and(ends_run) {
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
