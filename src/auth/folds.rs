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
pub struct Told<T> {
    /// What is to be entered.
    pub entry: T,
    /// How often.
    pub count: u64,
    /// Entries that were shown, all together.
    pub rows: u64,
}

struct Window<T> {
    began_ms: u64,
    told: Told<T>,
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

    /// Counts one. Answers what is to be entered now: this one, if it is the first in its five minutes, and what has to make room
    /// for it.
    pub fn count(&self, what: K, rows: u64, now_ms: u64, entry: impl FnOnce() -> T) -> Vec<Told<T>> {
        let mut windows = self.windows.lock();
        if let Some(window) = windows.get_mut(&what)
            && now_ms < window.began_ms + FOLD_MS
        {
            window.told.count += 1;
            window.told.rows += rows;
            return Vec::new();
        }
        let entry = entry();
        let window = Window { began_ms: now_ms, told: Told { entry: entry.clone(), count: 0, rows: 0 } };
        let before = windows.push(what, window).map(|(_, window)| window.told).filter(|told| told.count > 0);
        before.into_iter().chain([Told { entry, count: 1, rows }]).collect()
    }

    /// Takes what was repeated in five minutes that are over.
    pub fn due(&self, now_ms: u64) -> Vec<Told<T>> {
        self.take(|window| now_ms >= window.began_ms + FOLD_MS)
    }

    /// Takes all that was not told of.
    pub fn all(&self) -> Vec<Told<T>> {
        self.take(|_| true)
    }

    fn take(&self, is_due: impl Fn(&Window<T>) -> bool) -> Vec<Told<T>> {
        let mut windows = self.windows.lock();
        let over: Vec<K> = windows.iter().filter(|(_, window)| is_due(window)).map(|(what, _)| what.clone()).collect();
        let taken = over.iter().filter_map(|what| windows.pop(what));
        taken.map(|window| window.told).filter(|told| told.count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: NonZeroUsize = NonZeroUsize::new(2_000).unwrap();

    fn counts(told: &[Told<u64>]) -> Vec<(u64, u64, u64)> {
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
}
