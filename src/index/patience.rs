//! How long a question may take. Patterns over many values can take arbitrarily long; a question that runs out of
//! time gets an error that says what to narrow, never a part of the answer.
//!
//! Whoever loops over documents, terms or entries looks here now and then. Once time is up it stays up: whatever was
//! cut short anywhere, a later look finds it out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::index::EngineError;

/// One question's time, shared by everyone who works on it.
#[derive(Debug, Default)]
pub struct Patience {
    limit: Option<(Instant, Duration)>,
    is_over: AtomicBool,
    /// The filter that was being looked up when time ran out, as one would write it.
    culprit: Mutex<Option<String>>,
    /// The first filter known to be dear: named where time ran out between look-ups.
    suspect: Mutex<Option<String>>,
    /// So many looks are left: what a clock does, but the same on every machine.
    #[cfg(test)]
    looks: Option<std::sync::atomic::AtomicU64>,
}

impl Patience {
    /// As long as it takes: exports, tests.
    pub fn endless() -> Patience {
        Patience::default()
    }

    /// At most this long from now.
    pub fn at_most(limit: Duration) -> Patience {
        // A limit beyond what the clock can tell is none.
        let end = Instant::now().checked_add(limit);
        Patience { limit: end.map(|end| (end, limit)), ..Patience::default() }
    }

    /// Up after so many looks.
    #[cfg(test)]
    pub fn of_looks(looks: u64) -> Patience {
        Patience { looks: Some(looks.into()), ..Patience::default() }
    }

    /// Whether time is up. Reads the clock: ask once in a while, not for every document.
    pub fn is_over(&self) -> bool {
        if self.is_over.load(Ordering::Relaxed) {
            return true;
        }
        let is_over = self.limit.is_some_and(|(end, _)| Instant::now() >= end);
        #[cfg(test)]
        let is_over = is_over || self.looks.as_ref().is_some_and(no_look_left);
        if is_over {
            self.is_over.store(true, Ordering::Relaxed);
        }
        is_over
    }

    /// Remembers the filter that time ran out in. The first one stays.
    pub fn blame(&self, filter: &str) {
        self.culprit.lock().get_or_insert_with(|| filter.to_owned());
    }

    /// Remembers a filter that may take long. The first one stays.
    pub fn suspect(&self, filter: &str) {
        self.suspect.lock().get_or_insert_with(|| filter.to_owned());
    }

    /// # Errors
    /// `TooBroad` when time is up.
    pub fn check(&self) -> Result<(), EngineError> {
        if !self.is_over() {
            return Ok(());
        }
        let limit = self.limit.map_or(Duration::ZERO, |(_, limit)| limit);
        let filter = self.culprit.lock().clone().or_else(|| self.suspect.lock().clone());
        Err(EngineError::TooBroad { limit, filter })
    }

    /// What came of some work, unless time is up: then what was found may be only a part, and what failed may have failed
    /// for that.
    ///
    /// # Errors
    /// `TooBroad` when time is up, else that of `result`.
    pub fn settle<T, E: Into<EngineError>>(&self, result: Result<T, E>) -> Result<T, EngineError> {
        self.check()?;
        result.map_err(Into::into)
    }
}

#[cfg(test)]
fn no_look_left(looks: &std::sync::atomic::AtomicU64) -> bool {
    looks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
}

/// Counts the steps of a loop, so that the clock is looked at once in so many of them.
#[derive(Debug)]
pub struct Pace {
    every: u32,
    left: u32,
}

impl Pace {
    /// Looks at every `every`th step.
    pub fn new(every: u32) -> Pace {
        Pace { every, left: every }
    }

    /// Over documents: each costs some ns, a look about 30.
    pub fn of_documents() -> Pace {
        Pace::new(DOCUMENTS_PER_LOOK)
    }

    /// Counts one step.
    ///
    /// # Errors
    /// `TooBroad` when it looked and time is up.
    pub fn step(&mut self, patience: &Patience) -> Result<(), EngineError> {
        self.left -= 1;
        if self.left > 0 {
            return Ok(());
        }
        self.left = self.every;
        patience.check()
    }
}

/// Few in unit tests, so that a handful of events is enough to be interrupted.
const DOCUMENTS_PER_LOOK: u32 = if cfg!(test) { 3 } else { 4_096 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_out_of_time_names_the_filter_that_took_it() {
        let patience = Patience::at_most(Duration::ZERO);
        patience.blame("detail.x:*a*");
        patience.blame("detail.y:*b*");
        let error = patience.check().unwrap_err().to_string();
        assert!(error.contains("narrow detail.x:*a*"), "{error}");
        assert!(Patience::endless().check().is_ok());
    }

    #[test]
    fn what_is_up_stays_up_and_nothing_is_settled_any_more() {
        let patience = Patience::of_looks(2);
        assert!(patience.check().is_ok() && patience.settle(Ok::<_, EngineError>(7)).is_ok());
        for _ in 0..3 {
            assert!(patience.is_over());
            assert!(matches!(patience.settle(Ok::<_, EngineError>(7)), Err(EngineError::TooBroad { .. })));
        }
        assert!(!Patience::at_most(Duration::MAX).is_over());
    }

    #[test]
    fn a_filter_caught_at_work_is_named_before_a_suspected_one() {
        let patience = Patience::at_most(Duration::ZERO);
        patience.suspect("a*");
        patience.suspect("b*");
        assert!(patience.check().unwrap_err().to_string().contains("narrow a*"));
        patience.blame("c*");
        assert!(patience.check().unwrap_err().to_string().contains("narrow c*"));
    }

    #[test]
    fn a_pace_looks_once_in_so_many_steps() {
        let (mut pace, patience) = (Pace::new(3), Patience::of_looks(1));
        assert_eq!((0..9).take_while(|_| pace.step(&patience).is_ok()).count(), 5);
    }
}
