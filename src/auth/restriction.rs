//! A query that its holder cannot widen. Times relative to now move with the clock; all else is read once.

use crate::query::{Env, ParseError, Query, parse};

/// A relative time moves in steps of this, ms, so that what was counted under it is of use for a while.
const STEP_MS: u64 = 60_000;
/// Two moments far apart: a query that reads the same at both has no relative time.
const MOMENTS_MS: [u64; 2] = [1_000_000_000_000, 2_000_000_000_000];

/// A restriction, as it was written and as it reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Restriction {
    /// All of them must match.
    texts: Vec<String>,
    /// What it reads as, if that is the same at every moment.
    always: Option<Query>,
}

impl Restriction {
    /// Reads one.
    ///
    /// # Errors
    /// When it is no query.
    pub fn read(text: &str, env: &Env<'_>) -> Result<Restriction, ParseError> {
        let at = |now_ms| parse(text, &Env { now_ms, ..*env });
        let [early, late] = [at(MOMENTS_MS[0])?, at(MOMENTS_MS[1])?];
        // Also one that is none at this moment, a range that ends before it begins, is refused here.
        parse(text, env)?;
        let always = (early == late).then_some(early);
        Ok(Restriction { texts: vec![text.to_owned()], always })
    }

    /// What both let through. Each is read for itself: no text can reach out of its own.
    pub fn and(&self, other: &Restriction) -> Restriction {
        let texts = self.texts.iter().chain(&other.texts).cloned().collect();
        let always = self.always.clone().zip(other.always.clone()).map(|(a, b)| a.and(b));
        Restriction { texts, always }
    }

    /// As it was written.
    pub fn text(&self) -> String {
        self.texts.join(" AND ")
    }

    /// What it means at this moment; `None` if it means nothing now: then it lets nothing through.
    pub fn at(&self, env: &Env<'_>) -> Option<Query> {
        let env = &Env { now_ms: env.now_ms - env.now_ms % STEP_MS, ..*env };
        let read = || {
            let queries: Result<Vec<Query>, _> = self.texts.iter().map(|text| parse(text, env)).collect();
            queries.ok()?.into_iter().reduce(Query::and)
        };
        self.always.clone().or_else(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Catalogue;

    #[test]
    fn relative_times_move_and_nothing_else_does() {
        let env = |now_ms| Env { now_ms, catalogue: Catalogue::builtin() };
        let read = |text| Restriction::read(text, &env(1_700_000_000_000)).unwrap();
        let moving = read("actor:u_1 time:1h");
        let minute = 1_700_000_040_000;
        assert_ne!(moving.at(&env(minute - 1)), moving.at(&env(minute)));
        assert_eq!(moving.at(&env(minute)), moving.at(&env(minute + STEP_MS - 1)), "once a minute");
        assert_eq!(moving.text(), "actor:u_1 time:1h");
        let still = read("actor:u_1 (action:contacts OR /a+b/) time:>=2026-11-01");
        assert!(still.always.is_some());
        assert_eq!(still.at(&env(0)), still.at(&env(1)));
        assert!(Restriction::read("actr:u_1", &env(0)).is_err());
    }
}
