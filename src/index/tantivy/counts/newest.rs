//! The newest entry with each value of a facet: it says how a value is spelt and named.
//!
//! One pass over a piece finds the newest document of every ordinal at once, and that is kept: to look them up in the
//! term dictionary one by one would cost more than all the counting.

use std::cmp::Reverse;
use std::sync::Arc;

use ::tantivy::columnar::StrColumn;
use ::tantivy::{DocId, TantivyError};

use super::cache::{Key, Of};
use super::is_kept;
use super::terms::{Terms, term_of};
use crate::index::tantivy::piece::Piece;
use crate::index::tantivy::view::View;
use crate::index::{EngineError, FacetValue, Hit, Order, Within};
use crate::query::{FacetField, Query};
use crate::seq::Seq;

/// By ordinal, the first document in answer order; `NONE` where no document lies within.
struct Newest(Box<[DocId]>);

const NONE: DocId = DocId::MAX;
/// Documents between two looks at the clock.
const DOCS_PER_LOOK: DocId = 65_536;

/// The newest entry of the pieces with each of `values`.
pub fn newest(
    view: &View,
    field: FacetField,
    values: &[FacetValue],
    within: Within,
) -> Result<Vec<Option<Hit>>, EngineError> {
    let terms: Vec<String> = values.iter().map(|value| term_of(field, value)).collect();
    let mut best: Vec<Option<Hit>> = vec![None; values.len()];
    let everything = Query::all();
    let mut pieces: Vec<&Arc<Piece>> = view.candidates(&everything, within).collect();
    pieces.sort_by_key(|piece| Reverse(piece.time_ms.1));
    for piece in pieces {
        // Most values occur in the newest pieces, and are not looked for in the older ones.
        let may_be_newer = |best: &Option<Hit>| best.is_none_or(|best| piece.time_ms.1 >= best.time_ms);
        if !best.iter().any(may_be_newer) {
            continue;
        }
        view.patience().check()?;
        let Some(column) = Lookup::of(view, piece, field, within)? else {
            continue;
        };
        for (term, best) in terms.iter().zip(&mut best).filter(|(_, best)| may_be_newer(best)) {
            let hit = column.newest(piece, term)?;
            *best = hit.into_iter().chain(*best).min_by_key(|hit| Order::TimeDesc.rank(*hit));
        }
    }
    Ok(best)
}

/// One field of one piece, to look terms up in.
struct Lookup {
    newest: Arc<Newest>,
    terms: Ordinals,
}

/// How a term becomes an ordinal.
enum Ordinals {
    Kept(Arc<Terms>),
    Column(StrColumn),
}

impl Lookup {
    fn of(view: &View, piece: &Piece, field: FacetField, within: Within) -> Result<Option<Lookup>, EngineError> {
        let cache = view.cache();
        let key = |of| Key { piece: piece.id, of };
        // What is kept is of all documents.
        let is_all = piece.is_inside(within);
        let newest = if is_all { cache.get::<Newest>(&key(Of::Newest(field))) } else { None };
        let terms = cache.get(&key(Of::Terms(field))).map(Ordinals::Kept);
        if let (Some(newest), Some(terms)) = (&newest, terms) {
            return Ok(Some(Lookup { newest: newest.clone(), terms }));
        }
        let Some(column) = piece.str_column(field.as_str())? else {
            return Ok(None);
        };
        let newest = match newest {
            Some(newest) => newest,
            None => {
                let newest = Arc::new(Newest::of(view, piece, &column, within)?);
                if is_all && is_kept(cache, piece) {
                    cache.put(key(Of::Newest(field)), newest.clone(), size_of_val(&*newest.0));
                }
                newest
            }
        };
        let terms = cache.get(&key(Of::Terms(field))).map_or(Ordinals::Column(column), Ordinals::Kept);
        Ok(Some(Lookup { newest, terms }))
    }

    fn newest(&self, piece: &Piece, term: &str) -> Result<Option<Hit>, EngineError> {
        let ordinal = match &self.terms {
            Ordinals::Kept(terms) => terms.find(term).map(u64::from),
            Ordinals::Column(column) => column.dictionary().term_ord(term).map_err(TantivyError::from)?,
        };
        let doc = ordinal.map_or(NONE, |ordinal| self.newest.0[ordinal as usize]);
        let hit = || Hit { time_ms: piece.columns.time_ms(doc), seq: Seq(piece.columns.seq.get_val(doc)) };
        Ok((doc != NONE).then(hit))
    }
}

impl Newest {
    fn of(view: &View, piece: &Piece, column: &StrColumn, within: Within) -> Result<Newest, EngineError> {
        let (columns, ords) = (&piece.columns, column.ords());
        let mut newest = vec![NONE; column.num_terms()].into_boxed_slice();
        let mut missing = newest.len();
        let (mut run_time_ms, mut run_start) = (i64::MAX, 0);
        for doc in 0..piece.reader.max_doc() {
            if doc.is_multiple_of(DOCS_PER_LOOK) {
                view.patience().check()?;
            }
            let time_ms = columns.time_ms(doc);
            if time_ms != run_time_ms {
                if missing == 0 {
                    break;
                }
                (run_time_ms, run_start) = (time_ms, doc);
            }
            let Some(ordinal) = ords.first(doc) else {
                continue;
            };
            let best = &mut newest[ordinal as usize];
            // One that was found earlier stays, unless this one has the same time: then the later seq comes first.
            if *best != NONE && *best < run_start {
                continue;
            }
            let seq = Seq(columns.seq.get_val(doc));
            if !within.holds(seq) {
                continue;
            }
            if *best == NONE {
                missing -= 1;
                *best = doc;
            } else if Seq(columns.seq.get_val(*best)) < seq {
                *best = doc;
            }
        }
        Ok(Newest(newest))
    }
}
