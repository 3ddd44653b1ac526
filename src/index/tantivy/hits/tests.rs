//! Pieces made of times and seqs alone, held against a sorted list: every order, page size and cursor, also inside runs
//! of equal times, and every moment at which time can run out.

use proptest::prelude::*;
use tantivy::query::{EnableScoring, Query as _};
use tantivy::{DateTime, Index, TantivyDocument};

use super::*;
use crate::event::Catalogue;
use crate::index::tantivy::lower::lower;
use crate::index::tantivy::schema;
use crate::query::{Env, parse};
use crate::seq::Seq;

const ORDERS: [Order; 4] = [Order::TimeDesc, Order::TimeAsc, Order::SeqDesc, Order::SeqAsc];
/// Everything, a term, a pattern, a range of seq; `has` and `source` alternate with the seq.
const QUERIES: [&str; 5] = ["*", "has:reason", "source:s*", "has:reason source:/s(1|2)/", "seq:>=5 has:reason"];

fn matches(query: &str, seq: u64) -> bool {
    let (has_reason, source) = (!seq.is_multiple_of(3), seq % 4);
    match query {
        "*" => true,
        "has:reason" => has_reason,
        "source:s*" => source != 3,
        "has:reason source:/s(1|2)/" => has_reason && (source == 1 || source == 2),
        "seq:>=5 has:reason" => seq >= 5 && has_reason,
        other => panic!("{other}"),
    }
}

/// A piece of these hits, whose seqs lie side by side. Ties are stored in the order given.
fn piece(mut hits: Vec<Hit>, is_exact: bool) -> Arc<Piece> {
    match is_exact {
        true => hits.sort_by_key(|hit| Order::TimeDesc.rank(*hit)),
        false => hits.sort_by_key(|hit| (!hit.time_ms, hit.seq.0)),
    }
    let schema = schema::current();
    let fields = &schema.fields;
    let mut writer = Index::builder()
        .schema(schema.schema.clone())
        .settings(schema::settings())
        .tokenizers(schema::tokenizers())
        .single_segment_index_writer(::tantivy::directory::RamDirectory::create(), 15_000_000)
        .unwrap();
    for hit in hits {
        let mut doc = TantivyDocument::new();
        doc.add_date(fields.time, DateTime::from_timestamp_millis(hit.time_ms));
        doc.add_u64(fields.seq, hit.seq.0);
        if matches("has:reason", hit.seq.0) {
            doc.add_text(fields.has, "reason");
        }
        if matches("source:s*", hit.seq.0) {
            doc.add_text(fields.source, format!("s{}", hit.seq.0 % 4));
        }
        writer.add_document(doc).unwrap();
    }
    let index = writer.finalize().unwrap();
    let searcher = index.reader().unwrap().searcher();
    Arc::new(Piece::open(searcher.segment_reader(0).clone()).unwrap().unwrap())
}

fn ask(
    piece: &Arc<Piece>,
    query: &str,
    order: Order,
    after: Option<Hit>,
    within: Within,
    patience: Patience,
    limit: usize,
) -> Result<Vec<Hit>, EngineError> {
    let query = parse(query, &Env { now_ms: 0, catalogue: Catalogue::builtin() }).unwrap();
    let patience = Arc::new(patience);
    let schema = schema::current();
    let lowered = lower(&query.root, schema, &|_| Ok(Seq::ZERO), &patience, None, &Arc::default())?;
    let weight = lowered.weight(EnableScoring::disabled_from_schema(&schema.schema))?;
    let question = Question::new(&query, query.to_string(), Arc::from(weight), order, after, within, patience);
    PieceHits::open(piece.clone(), Arc::new(question))?.take(limit).collect()
}

fn expected(hits: &[Hit], query: &str, order: Order, after: Option<Hit>, within: Within) -> Vec<Hit> {
    let mut expected: Vec<Hit> = hits.iter().copied().filter(|hit| matches(query, hit.seq.0)).collect();
    expected.retain(|hit| within.holds(hit.seq) && after.is_none_or(|after| order.rank(*hit) > order.rank(after)));
    expected.sort_by_key(|hit| order.rank(*hit));
    expected
}

/// Times that fall as the seq rises would be as likely as any; real ones mostly rise with it, and imports are all alike.
fn some_hits() -> impl Strategy<Value = Vec<Hit>> {
    let times = prop_oneof![
        prop::collection::vec(0..1_000_i64, 1..90),
        prop::collection::vec(0..3_i64, 1..90),
        prop::collection::vec(0..8_i64, 1..90).prop_map(|late| (0_i64..).zip(late).map(|(n, late)| n - late).collect()),
        (1..90_usize).prop_map(|n| vec![7; n]),
    ];
    (times, 0..9_u64).prop_map(|(times, first): (Vec<i64>, u64)| {
        (first..).map(Seq).zip(times).map(|(seq, time_ms)| Hit { time_ms, seq }).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_of_a_piece_are_the_sorted_list_in_every_order(
        hits in some_hits(),
        is_exact: bool,
        limit in 1..20_usize,
        pin in 0..110_u64,
    ) {
        let piece = piece(hits.clone(), is_exact);
        prop_assert!(piece.is_exact || !is_exact);
        for (query, order) in QUERIES.into_iter().flat_map(|query| ORDERS.map(|order| (query, order))) {
            let within = Within { from: Seq(pin / 9), to: Seq(pin) };
            let whole = expected(&hits, query, order, None, within);
            let (mut pages, mut after): (Vec<Hit>, _) = (Vec::new(), None);
            loop {
                let page = ask(&piece, query, order, after, within, Patience::endless(), limit).unwrap();
                after = page.last().copied();
                pages.extend(&page);
                if page.len() < limit {
                    break;
                }
            }
            prop_assert_eq!(pages, whole, "{} {:?}", query, order);
        }
    }

    #[test]
    fn a_cursor_may_stand_anywhere_also_in_the_middle_of_a_tie(
        hits in some_hits(),
        is_exact: bool,
        time_ms in -2..9_i64,
        seq in 0..100_u64,
    ) {
        let piece = piece(hits.clone(), is_exact);
        let all = Within::below(Seq(u64::MAX));
        for (query, order) in QUERIES.into_iter().flat_map(|query| ORDERS.map(|order| (query, order))) {
            let after = Some(Hit { time_ms, seq: Seq(seq) });
            let found = ask(&piece, query, order, after, all, Patience::endless(), usize::MAX).unwrap();
            prop_assert_eq!(found, expected(&hits, query, order, after, all), "{} {:?}", query, order);
        }
    }

    #[test]
    fn whenever_time_runs_out_the_answer_is_whole_or_none(hits in some_hits(), is_exact: bool) {
        let all = Within::below(Seq(u64::MAX));
        for (query, order) in QUERIES.into_iter().flat_map(|query| ORDERS.map(|order| (query, order))) {
            // A fresh one each time a bitmap may have been kept: what is kept must not come from a question cut short.
            let piece = piece(hits.clone(), is_exact);
            let whole = expected(&hits, query, order, None, all);
            let mut was_answered = false;
            for looks in 0.. {
                match ask(&piece, query, order, None, all, Patience::of_looks(looks), usize::MAX) {
                    Ok(found) => {
                        prop_assert_eq!(&found, &whole, "{} {:?} {} looks", query, order, looks);
                        was_answered = true;
                        break;
                    }
                    Err(EngineError::TooBroad { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
                prop_assert!(looks < 10_000, "never answered");
            }
            prop_assert!(was_answered);
        }
    }
}

#[test]
fn a_piece_knows_whether_its_documents_are_in_exactly_the_order_of_answers() {
    let hit = |time_ms, seq| Hit { time_ms, seq: Seq(seq) };
    let ties = vec![hit(5, 0), hit(5, 1), hit(7, 2)];
    assert!(piece(ties.clone(), true).is_exact);
    assert!(!piece(ties, false).is_exact);
    assert!(piece(vec![hit(5, 0), hit(6, 1), hit(7, 2)], false).is_exact);
}

#[test]
fn the_pages_of_a_poller_read_a_pattern_once() {
    let hits: Vec<Hit> = (0..80).map(|n| Hit { time_ms: 80 - n as i64 % 7, seq: Seq(n) }).collect();
    let piece = piece(hits.clone(), false);
    let all = Within::below(Seq(80));
    let whole = expected(&hits, "source:s*", Order::SeqAsc, None, all);
    ask(&piece, "source:s*", Order::SeqAsc, None, all, Patience::endless(), 1).unwrap();
    let bitmap = piece.seq_bitmaps.get("source:s*").expect("the first page kept what matches");
    let found = ask(&piece, "source:s*", Order::SeqAsc, Some(whole[9]), all, Patience::endless(), 5).unwrap();
    assert_eq!(found, whole[10..15]);
    assert!(Arc::ptr_eq(&bitmap, &piece.seq_bitmaps.get("source:s*").unwrap()), "it was computed again");
}
