//! Who looked at what, folded: a question is told of at once, the same one from the same caller again only as a number, when
//! five minutes are over.

use std::num::NonZeroUsize;

use lru::LruCache;
use parking_lot::Mutex;

use super::failures::FOLD_MS;

/// Looks that are remembered; beyond, the one that was not repeated longest is told of early. Each may hold a query of 8 KiB.
const LOOKS_MAX: NonZeroUsize = NonZeroUsize::new(2_000).expect("it is not 0");

/// What makes two looks the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Look {
    /// Who looks: the id of a key, a viewer or a person.
    pub who: String,
    /// What they do: `audit.searched`.
    pub action: &'static str,
    /// What they ask for: the hash of a filter, the place of an entry.
    pub what: u64,
}

/// How often something was looked at since it was last told of.
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

/// What was looked at of late.
pub struct Looks<T> {
    /// Held to count one look or to collect what is due.
    windows: Mutex<LruCache<Look, Window<T>>>,
}

impl<T> Default for Looks<T> {
    fn default() -> Looks<T> {
        Looks { windows: Mutex::new(LruCache::new(LOOKS_MAX)) }
    }
}

impl<T: Clone> Looks<T> {
    /// Counts one look. Answers what is to be entered now: this look, if it is the first in its five minutes, and what has to
    /// make room for it.
    pub fn count(&self, look: Look, rows: u64, now_ms: u64, entry: impl FnOnce() -> T) -> Vec<Told<T>> {
        let mut windows = self.windows.lock();
        if let Some(window) = windows.get_mut(&look)
            && now_ms < window.began_ms + FOLD_MS
        {
            window.told.count += 1;
            window.told.rows += rows;
            return Vec::new();
        }
        let entry = entry();
        let window = Window { began_ms: now_ms, told: Told { entry: entry.clone(), count: 0, rows: 0 } };
        let before = windows.push(look, window).map(|(_, window)| window.told).filter(|told| told.count > 0);
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
        let over: Vec<Look> =
            windows.iter().filter(|(_, window)| is_due(window)).map(|(look, _)| look.clone()).collect();
        let taken = over.iter().filter_map(|look| windows.pop(look));
        taken.map(|window| window.told).filter(|told| told.count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(who: &str, what: u64) -> Look {
        Look { who: who.to_owned(), action: "audit.searched", what }
    }

    fn counts(told: &[Told<u64>]) -> Vec<(u64, u64, u64)> {
        told.iter().map(|told| (told.entry, told.count, told.rows)).collect()
    }

    #[test]
    fn the_first_look_is_told_at_once_and_what_follows_as_a_number() {
        let looks = Looks::default();
        let count = |who: &str, what, now_ms| counts(&looks.count(look(who, what), 50, now_ms, || what));
        assert_eq!(count("key_a", 1, 0), [(1, 1, 50)]);
        assert_eq!(count("key_a", 1, 1), []);
        assert_eq!(count("key_a", 1, FOLD_MS - 1), []);
        assert_eq!(count("key_a", 2, 2), [(2, 1, 50)], "another question");
        assert_eq!(count("key_b", 1, 3), [(1, 1, 50)], "another caller");
        assert_eq!(counts(&looks.due(FOLD_MS - 1)), []);
        assert_eq!(counts(&looks.due(FOLD_MS + 3)), [(1, 2, 100)]);
        assert_eq!(counts(&looks.all()), [], "nothing is told of twice");
        assert_eq!(count("key_a", 1, FOLD_MS + 4), [(1, 1, 50)]);
    }

    #[test]
    fn a_look_after_its_five_minutes_brings_what_was_folded_along() {
        let looks = Looks::default();
        let count = |now_ms| counts(&looks.count(look("key_a", 1), 1, now_ms, || now_ms));
        assert_eq!(count(0), [(0, 1, 1)]);
        assert_eq!(count(1), []);
        assert_eq!(count(FOLD_MS), [(0, 1, 1), (FOLD_MS, 1, 1)]);
    }

    #[test]
    fn however_much_is_looked_at_memory_is_bounded_and_every_look_is_told_of() {
        let looks = Looks::default();
        let mut sum = 0;
        let many = 2 * LOOKS_MAX.get() as u64;
        for n in 0..2 * many {
            let told = looks.count(look("key_a", n / 2), 1, 0, || n / 2);
            sum += told.iter().map(|told| told.count).sum::<u64>();
        }
        assert_eq!(looks.windows.lock().len(), LOOKS_MAX.get());
        sum += looks.all().iter().map(|told| told.count).sum::<u64>();
        assert_eq!(sum, 2 * many);
    }
}
