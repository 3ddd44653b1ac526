//! What happens again and again, folded: the first time it is told of at once, what follows as a number, when five minutes are
//! over.

use std::hash::Hash;
use std::num::NonZeroUsize;

use lru::LruCache;
use parking_lot::Mutex;

/// What was told of is counted for so long before it is told of again, ms.
pub const FOLD_MS: u64 = 5 * 60 * 1000;

/// How often something happened since it was last told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<K, T> {
    /// What happened.
    pub what: K,
    /// What is to be entered.
    pub entry: T,
    /// How often.
    pub count: u64,
    /// Entries that were shown, all together.
    pub rows: u64,
}

struct Window<T> {
    began_ms: u64,
    entry: T,
    count: u64,
    rows: u64,
}

impl<T> Window<T> {
    fn told<K>(self, what: K) -> Option<Told<K, T>> {
        let Window { entry, count, rows, .. } = self;
        (count > 0).then_some(Told { what, entry, count, rows })
    }
}

/// What happened of late, by what makes two of it the same.
pub struct Folds<K: Hash + Eq, T> {
    /// Held to count one or to collect what is due.
    windows: Mutex<LruCache<K, Window<T>>>,
}

impl<K: Hash + Eq + Clone, T: Clone> Folds<K, T> {
    /// So many are remembered; beyond, the one that was not repeated longest is told of early.
    pub fn new(most: NonZeroUsize) -> Folds<K, T> {
        Folds { windows: Mutex::new(super::table(most)) }
    }

    /// Counts one. Answers what is to be entered now: what has to make room for this one, and last this one itself, if it is the first in
    /// its five minutes.
    pub fn count(&self, what: K, rows: u64, now_ms: u64, entry: impl FnOnce() -> T) -> Vec<Told<K, T>> {
        let mut windows = self.windows.lock();
        if let Some(window) = windows.get_mut(&what)
            && now_ms < window.began_ms + FOLD_MS
        {
            window.count += 1;
            window.rows += rows;
            return Vec::new();
        }
        let entry = entry();
        let window = Window { began_ms: now_ms, entry: entry.clone(), count: 0, rows: 0 };
        let before = windows.push(what.clone(), window).and_then(|(before, window)| window.told(before));
        before.into_iter().chain([Told { what, entry, count: 1, rows }]).collect()
    }

    /// Takes back what could not be entered: it is due, and the next of its kind is told of at once. Answers how many there is no
    /// room for.
    pub fn put_back(&self, told: Vec<Told<K, T>>) -> u64 {
        let mut windows = self.windows.lock();
        let mut lost = 0;
        for Told { what, entry, count, rows } in told {
            if let Some(window) = windows.peek_mut(&what) {
                *window = Window { began_ms: 0, entry, count: window.count + count, rows: window.rows + rows };
            } else if windows.len() < windows.cap().get() {
                windows.push(what, Window { began_ms: 0, entry, count, rows });
            } else {
                lost += count;
            }
        }
        lost
    }

    /// Takes what was repeated in five minutes that are over.
    pub fn due(&self, now_ms: u64) -> Vec<Told<K, T>> {
        self.take(|window| now_ms >= window.began_ms + FOLD_MS)
    }

    /// Takes all that was not told of.
    pub fn all(&self) -> Vec<Told<K, T>> {
        self.take(|_| true)
    }

    fn take(&self, is_due: impl Fn(&Window<T>) -> bool) -> Vec<Told<K, T>> {
        let mut windows = self.windows.lock();
        let over: Vec<K> = windows.iter().filter(|(_, window)| is_due(window)).map(|(what, _)| what.clone()).collect();
        let taken = over.into_iter().filter_map(|what| Some((windows.pop(&what)?, what)));
        taken.filter_map(|(window, what)| window.told(what)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: NonZeroUsize = NonZeroUsize::new(2_000).unwrap();

    fn counts<K>(told: &[Told<K, u64>]) -> Vec<(u64, u64, u64)> {
        told.iter().map(|told| (told.entry, told.count, told.rows)).collect()
    }

    #[test]
    fn the_first_is_told_at_once_and_what_follows_as_a_number() {
        let folds = Folds::new(MOST);
        let count = |what, now_ms| counts(&folds.count(what, 50, now_ms, || what));
        assert_eq!(count(1, 0), [(1, 1, 50)]);
        assert_eq!(count(1, 1), []);
        assert_eq!(count(1, FOLD_MS - 1), []);
        assert_eq!(count(2, 2), [(2, 1, 50)], "something else");
        assert_eq!(counts(&folds.due(FOLD_MS - 1)), []);
        assert_eq!(counts(&folds.due(FOLD_MS + 3)), [(1, 2, 100)]);
        assert_eq!(counts(&folds.all()), [], "nothing is told of twice");
        assert_eq!(count(1, FOLD_MS + 4), [(1, 1, 50)]);
    }

    #[test]
    fn one_after_its_five_minutes_brings_what_was_folded_along() {
        let folds = Folds::new(MOST);
        let count = |now_ms| counts(&folds.count((), 1, now_ms, || now_ms));
        assert_eq!(count(0), [(0, 1, 1)]);
        assert_eq!(count(1), []);
        assert_eq!(count(FOLD_MS), [(0, 1, 1), (FOLD_MS, 1, 1)]);
    }

    #[test]
    fn however_much_happens_memory_is_bounded_and_all_of_it_is_told_of() {
        let folds = Folds::new(MOST);
        let mut sum = 0;
        let many = 2 * MOST.get() as u64;
        for n in 0..2 * many {
            let told = folds.count(n / 2, 1, 0, || n / 2);
            sum += told.iter().map(|told| told.count).sum::<u64>();
        }
        assert_eq!(folds.windows.lock().len(), MOST.get());
        sum += folds.all().iter().map(|told| told.count).sum::<u64>();
        assert_eq!(sum, 2 * many);
    }
    #[test]
    fn what_could_not_be_entered_is_told_of_again_with_what_came_meanwhile() {
        const BEGAN_MS: u64 = 1_000 * FOLD_MS;
        let folds = Folds::new(MOST);
        let count = |ms| folds.count((), 2, BEGAN_MS + ms, || 7);
        let first = count(0);
        assert_eq!(counts(&count(1)), []);
        assert_eq!(folds.put_back(first), 0);
        // The next is told of at once: it must not be answered before it is entered.
        assert_eq!(counts(&count(2)), [(7, 2, 4), (7, 1, 2)]);
        assert_eq!(counts(&count(3)), []);
        let due = folds.due(BEGAN_MS + FOLD_MS + 2);
        assert_eq!(counts(&due), [(7, 1, 2)]);
        assert_eq!(folds.put_back(due), 0);
        assert_eq!(counts(&folds.due(BEGAN_MS + FOLD_MS + 3)), [(7, 1, 2)], "at the next tick");
        assert_eq!(counts(&folds.all()), []);
    }

    #[test]
    fn one_that_was_refused_counts_for_nothing_and_the_next_is_the_first() {
        let folds = Folds::new(MOST);
        let mut told = folds.count((), 2, 9 * FOLD_MS, || 7);
        let own = told.last_mut().unwrap();
        (own.count, own.rows) = (0, 0);
        assert_eq!(folds.put_back(told), 0);
        assert_eq!(counts(&folds.all()), []);
        assert_eq!(counts(&folds.count((), 2, 9 * FOLD_MS + 1, || 7)), [(7, 1, 2)]);
    }

    #[test]
    fn what_is_put_back_where_there_is_no_room_is_said_to_be_lost() {
        let folds = Folds::new(MOST);
        let told = folds.count(0, 1, 0, || 0);
        for what in 1..=MOST.get() as u64 {
            folds.count(what, 1, 0, || what);
        }
        assert_eq!(folds.put_back(told), 1);
    }
}
