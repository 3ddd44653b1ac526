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
    /// From then on the same is counted for five minutes; `None` while the next one is to be told of as well.
    folds_from_ms: Option<u64>,
    /// It could not be entered: it is due, whatever the time.
    is_due: bool,
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
    /// Nothing is folded into what is not known to be entered.
    waits: bool,
}

impl<K: Hash + Eq + Clone, T: Clone> Folds<K, T> {
    /// So many are remembered; beyond, the one that was not repeated longest is told of early.
    pub fn new(most: NonZeroUsize) -> Folds<K, T> {
        Folds { windows: Mutex::new(super::table(most)), waits: false }
    }

    /// The same for what may not go on before it is entered: until [`Folds::entered`] each one is told of.
    pub fn that_wait(most: NonZeroUsize) -> Folds<K, T> {
        Folds { waits: true, ..Folds::new(most) }
    }

    /// Counts one. Answers what is to be entered now: what has to make room for this one, and last this one itself, if it is the first in
    /// its five minutes.
    pub fn count(&self, what: K, rows: u64, now_ms: u64, entry: impl FnOnce() -> T) -> Vec<Told<K, T>> {
        let mut windows = self.windows.lock();
        if let Some(window) = windows.get_mut(&what)
            && window.folds_from_ms.is_some_and(|from_ms| now_ms < from_ms + FOLD_MS)
        {
            window.count += 1;
            window.rows += rows;
            return Vec::new();
        }
        let entry = entry();
        let folds_from_ms = (!self.waits).then_some(now_ms);
        let window = Window { folds_from_ms, is_due: false, entry: entry.clone(), count: 0, rows: 0 };
        let before = windows.push(what.clone(), window).and_then(|(before, window)| window.told(before));
        before.into_iter().chain([Told { what, entry, count: 1, rows }]).collect()
    }

    /// They are in the log: the same is folded from now on.
    pub fn entered(&self, told: &[Told<K, T>], now_ms: u64) {
        let mut windows = self.windows.lock();
        for Told { what, .. } in told {
            if let Some(window) = windows.peek_mut(what) {
                window.folds_from_ms.get_or_insert(now_ms);
            }
        }
    }

    /// Takes back what could not be entered: it is due. The same is folded from then on, or told of at once if that is `None`.
    /// Answers how many there is no room for.
    pub fn put_back(&self, told: Vec<Told<K, T>>, folds_from_ms: Option<u64>) -> u64 {
        let mut windows = self.windows.lock();
        let mut lost = 0;
        // What made room for one that counts for nothing has its place again.
        for Told { what, entry, count, rows } in told.into_iter().rev() {
            let (count, rows) = match windows.peek(&what) {
                Some(window) => (window.count + count, window.rows + rows),
                None => (count, rows),
            };
            if count == 0 {
                windows.pop(&what);
            } else if windows.contains(&what) || windows.len() < windows.cap().get() {
                windows.put(what, Window { folds_from_ms, is_due: true, entry, count, rows });
            } else {
                lost += count;
            }
        }
        lost
    }

    /// Takes what was repeated in five minutes that are over.
    pub fn due(&self, now_ms: u64) -> Vec<Told<K, T>> {
        let is_over = |from_ms| now_ms >= from_ms + FOLD_MS;
        self.take(|window| window.is_due || window.folds_from_ms.is_some_and(is_over))
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
    const BEGAN_MS: u64 = 1_000 * FOLD_MS;

    #[test]
    fn nothing_that_waits_is_folded_into_what_is_not_entered() {
        let folds = Folds::that_wait(MOST);
        let count = |ms| folds.count((), 2, BEGAN_MS + ms, || 7);
        let first = count(0);
        assert_eq!(counts(&first), [(7, 1, 2)]);
        assert_eq!(counts(&count(1)), [(7, 1, 2)], "the first may still fail");
        assert_eq!(counts(&folds.due(BEGAN_MS + 2 * FOLD_MS)), [], "what is on its way is not due");
        folds.entered(&first, BEGAN_MS + 2);
        assert_eq!(counts(&count(3)), []);
        assert_eq!(counts(&folds.due(BEGAN_MS + 2 + FOLD_MS)), [(7, 1, 2)]);
    }

    #[test]
    fn what_could_not_be_entered_is_told_of_again_with_what_came_meanwhile() {
        let folds = Folds::new(MOST);
        let count = |ms| folds.count((), 2, BEGAN_MS + ms, || 7);
        let first = count(0);
        assert_eq!(counts(&count(1)), []);
        assert_eq!(folds.put_back(first, Some(BEGAN_MS + 2)), 0);
        assert_eq!(counts(&count(3)), [], "however often it happens, it is tried only now and then");
        let due = folds.due(BEGAN_MS + 4);
        assert_eq!(counts(&due), [(7, 3, 6)]);
        assert_eq!(folds.put_back(due, Some(BEGAN_MS + 5)), 0);
        assert_eq!(counts(&folds.due(BEGAN_MS + 6)), [(7, 3, 6)]);
        assert_eq!(counts(&folds.all()), []);
    }

    #[test]
    fn one_that_was_refused_counts_for_nothing_and_the_next_is_the_first() {
        let folds = Folds::that_wait(MOST);
        let mut told = folds.count((), 2, BEGAN_MS, || 7);
        let own = told.last_mut().unwrap();
        (own.count, own.rows) = (0, 0);
        assert_eq!(folds.put_back(told, None), 0);
        assert_eq!(counts(&folds.all()), []);
        assert_eq!(counts(&folds.count((), 2, BEGAN_MS + 1, || 7)), [(7, 1, 2)]);
    }

    #[test]
    fn what_made_room_for_one_that_was_refused_has_its_place_again() {
        let folds = Folds::that_wait(MOST);
        for what in 0..MOST.get() as u64 {
            folds.entered(&folds.count(what, 1, BEGAN_MS, || what), BEGAN_MS);
            assert!(folds.count(what, 1, BEGAN_MS, || what).is_empty());
        }
        let mut told = folds.count(1 << 20, 1, BEGAN_MS, || 9);
        assert_eq!(counts(&told), [(0, 1, 1), (9, 1, 1)]);
        told[1].count = 0;
        assert_eq!(folds.put_back(told, None), 0);
        assert_eq!(folds.all().len(), MOST.get());
    }

    #[test]
    fn what_is_put_back_where_there_is_no_room_is_said_to_be_lost() {
        let folds = Folds::new(MOST);
        let told = folds.count(0, 1, 0, || 0);
        for what in 1..=MOST.get() as u64 {
            folds.count(what, 1, 0, || what);
        }
        assert_eq!(folds.put_back(told, None), 1);
    }
}
