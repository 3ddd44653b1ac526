//! Which keys count, and whose they are, in a few bytes for each, since there may be millions: by eight bytes of what stands for a subject.
//! Two subjects may have the same ones, so whoever finds a number here asks the file whose key it is.

use std::collections::HashSet;
use std::collections::hash_map::Entry;

use super::Whose;
use crate::uniform::ByUniform;

/// The numbers of keys that count.
#[derive(Default)]
pub struct LiveKeys {
    /// The first of each. [`super::KEYS_MAX`] has 25 bits.
    one: ByUniform<u32>,
    /// The others, of the few that have any: after an erasure that failed halfway, or of two that are taken for the same here.
    more: ByUniform<Vec<u32>>,
}

impl LiveKeys {
    /// One more, younger than all of theirs.
    pub fn push(&mut self, whose: Whose, number: u64) {
        let number = u32::try_from(number).expect("a keyring has fewer keys");
        match self.one.entry(whose.0) {
            Entry::Vacant(vacant) => drop(vacant.insert(number)),
            Entry::Occupied(_) => self.more.entry(whose.0).or_default().push(number),
        }
    }

    /// All that may be theirs, the oldest first.
    pub fn of(&self, whose: Whose) -> Vec<u64> {
        let more = self.more.get(&whose.0).into_iter().flatten();
        self.one.get(&whose.0).into_iter().chain(more).map(|number| u64::from(*number)).collect()
    }

    /// It counts no longer.
    pub fn remove(&mut self, whose: Whose, number: u64) {
        let left: Vec<u64> = self.of(whose).into_iter().filter(|known| *known != number).collect();
        self.one.remove(&whose.0);
        self.more.remove(&whose.0);
        left.into_iter().for_each(|number| self.push(whose, number));
    }

    /// None of these counts any longer.
    pub fn remove_all(&mut self, numbers: &HashSet<u64>) {
        let is_one = |number: &u32| numbers.contains(&u64::from(*number));
        let mut hit: Vec<u64> = self.one.iter().filter(|(_, number)| is_one(number)).map(|(whose, _)| *whose).collect();
        hit.extend(self.more.iter().filter(|(_, more)| more.iter().any(is_one)).map(|(whose, _)| *whose));
        for whose in hit.into_iter().map(Whose) {
            self.of(whose)
                .iter()
                .filter(|number| numbers.contains(number))
                .for_each(|number| self.remove(whose, *number));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map_of_lists(steps in prop::collection::vec((0_u8..4, 0_u64..5, 1_u64..40), 0..200)) {
            let (mut keys, mut model) = (LiveKeys::default(), HashMap::<u64, Vec<u64>>::new());
            for (n, (what, whose, number)) in (100..).zip(steps) {
                match what {
                    0 | 1 => {
                        keys.push(Whose(whose), n);
                        model.entry(whose).or_default().push(n);
                    }
                    2 => {
                        let number = 100 + number;
                        keys.remove(Whose(whose), number);
                        model.entry(whose).or_default().retain(|known| *known != number);
                    }
                    _ => {
                        let gone: HashSet<u64> = (100..100 + number).collect();
                        keys.remove_all(&gone);
                        model.values_mut().for_each(|known| known.retain(|number| !gone.contains(number)));
                    }
                }
                for whose in 0..5 {
                    prop_assert_eq!(keys.of(Whose(whose)), model.get(&whose).cloned().unwrap_or_default());
                }
            }
        }
    }
}
