//! What pollers are told while writers append: no event comes in time that was told as complete, and pages keep their limit.

use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;

use super::*;

const WRITERS: u64 = 4;
const REQUESTS: u64 = 120;
/// Nothing comes for so long that pollers are told the time.
const PAUSE: Duration = Duration::from_millis(700);

#[test]
fn nothing_arrives_in_time_that_was_told_as_complete_while_writers_append() {
    let world = World::new(SPAN_EVENTS);
    let (writing, pause) = (AtomicUsize::new(WRITERS as usize), Barrier::new(WRITERS as usize));
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (store, writing, pause) = (&world.store, &writing, &pause);
            scope.spawn(move || {
                for request in 0..REQUESTS {
                    append(store, &[writer << 32 | request]);
                    if request.is_multiple_of(REQUESTS / 3) {
                        pause.wait();
                        thread::sleep(PAUSE);
                    }
                }
                writing.fetch_sub(1, Ordering::SeqCst);
            });
        }
        for rows in [1, 7, 1_000] {
            let (store, writing) = (&world.store, &writing);
            scope.spawn(move || poll(store, rows, || writing.load(Ordering::SeqCst) > 0));
        }
    });
    let end = world.store.marks().durable;
    let last_ms = world.store.source().with_row(Seq(end.0 - 1), |row| row.received_ms).unwrap();
    wait_until("the clock to be told", || world.store.complete_through(end).unwrap() > Some(last_ms + 500));
    let told_ms = world.store.complete_through(end).unwrap();
    let world = world.reopen(SPAN_EVENTS, |_| {});
    world.append(&[WRITERS << 32]);
    let received_ms = world.store.source().with_row(end, |row| row.received_ms).unwrap();
    assert!(Some(received_ms) > told_ms);
    world.store.close();
}

/// Reads to the end of what is appended, holding each row against all that was told before it.
fn poll(store: &Store, rows: usize, is_more_to_come: impl Fn() -> bool) {
    let query = parse("", &Env { now_ms: 0, catalogue: Catalogue::builtin() }).unwrap();
    let (mut next, mut told_ms) = (Seq::ZERO, None);
    loop {
        let is_last = !is_more_to_come();
        let view = store.view();
        let answers = Answers { engine: &*view, source: store.source(), catalogue: store.catalogue() };
        let page = answers.feed(&query, next, view.searchable(), PageLimit::rows(rows)).unwrap();
        for seq in next.0..page.next.0 {
            let received_ms = store.source().with_row(Seq(seq), |row| row.received_ms).unwrap();
            assert!(Some(received_ms) > told_ms, "{seq}: received {received_ms}, complete through {told_ms:?}");
        }
        next = page.next;
        let through_ms = store.complete_through(next).unwrap();
        assert!(through_ms >= told_ms, "a promise was taken back: {through_ms:?} after {told_ms:?}");
        told_ms = through_ms;
        if is_last && next >= store.marks().durable {
            return;
        }
    }
}

#[test]
fn a_page_keeps_its_limit_of_bytes_and_one_row_alone_is_always_given() {
    let world = World::new(SPAN_EVENTS);
    world.append(&[1, 2, 3, 4, 5, 6, 7, 8]);
    let view = world.await_searchable();
    let answers = Answers { engine: &*view, source: world.store.source(), catalogue: world.store.catalogue() };
    let query = parse("", &Env { now_ms: 0, catalogue: Catalogue::builtin() }).unwrap();
    let all = answers.feed(&query, Seq::ZERO, Seq(8), PageLimit::rows(100)).unwrap();
    let all_bytes = all.page.rows.len() + 8;
    for bytes in [1, all_bytes / 3, all_bytes - 1, all_bytes] {
        let limit = PageLimit { rows: 100, bytes };
        let (mut rows, mut next) = (String::new(), Seq::ZERO);
        while next < Seq(8) {
            let page = answers.feed(&query, next, Seq(8), limit).unwrap();
            let events = page.page.row_ends.len();
            assert!(events == 1 || page.page.rows.len() + events <= bytes, "{events} rows in {bytes} bytes");
            assert!(events > 0 && page.page.has_more == (page.next < Seq(8)));
            rows.push_str(&page.page.rows);
            next = page.next;
        }
        assert_eq!(rows, all.page.rows);
        let (mut rows, mut after) = (String::new(), None);
        loop {
            let page = answers.page(&query, Order::SeqAsc, after, Within::below(Seq(8)), limit).unwrap();
            let events = page.row_ends.len();
            assert!(events == 1 || page.rows.len() + events <= bytes, "{events} rows in {bytes} bytes");
            rows.push_str(&page.rows);
            after = page.last;
            if !page.has_more {
                break;
            }
        }
        assert_eq!(rows, all.page.rows);
    }
    world.store.close();
}
