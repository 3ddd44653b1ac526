//! A set of small numbers that can be walked from either end.

/// Numbers below a limit, one bit each.
pub struct Bitmap {
    words: Box<[u64]>,
}

impl Bitmap {
    /// An empty set of numbers below `len`.
    pub fn new(len: u64) -> Bitmap {
        let words = usize::try_from(len.div_ceil(64)).expect("a piece has fewer documents than memory has bits");
        Bitmap { words: vec![0; words].into() }
    }

    /// Puts a number in; it must be below the limit.
    pub fn insert(&mut self, n: u64) {
        self.words[(n / 64) as usize] |= 1 << (n % 64);
    }

    /// Whether it is in.
    pub fn holds(&self, n: u64) -> bool {
        self.words.get((n / 64) as usize).is_some_and(|word| word & (1 << (n % 64)) != 0)
    }

    /// The smallest number that is in and not below `from`.
    pub fn first_from(&self, from: u64) -> Option<u64> {
        let mut index = (from / 64) as usize;
        let mut word = self.words.get(index)? & (u64::MAX << (from % 64));
        while word == 0 {
            index += 1;
            word = *self.words.get(index)?;
        }
        Some(index as u64 * 64 + u64::from(word.trailing_zeros()))
    }

    /// The largest number that is in and below `end`.
    pub fn last_below(&self, end: u64) -> Option<u64> {
        let last = end.min(self.words.len() as u64 * 64).checked_sub(1)?;
        let mut index = (last / 64) as usize;
        let mut word = self.words[index] & (u64::MAX >> (63 - last % 64));
        while word == 0 {
            index = index.checked_sub(1)?;
            word = self.words[index];
        }
        Some(index as u64 * 64 + 63 - u64::from(word.leading_zeros()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_from_either_end_meets_every_number() {
        let numbers = [0, 1, 63, 64, 65, 127, 191, 192, 320, 699];
        let mut bitmap = Bitmap::new(700);
        numbers.into_iter().for_each(|n| bitmap.insert(n));
        for at in 0..800 {
            assert_eq!(bitmap.holds(at), numbers.contains(&at), "{at}");
            assert_eq!(bitmap.first_from(at), numbers.into_iter().find(|n| *n >= at), "from {at}");
            assert_eq!(bitmap.last_below(at), numbers.into_iter().rfind(|n| *n < at), "below {at}");
        }
        assert_eq!((Bitmap::new(0).first_from(0), Bitmap::new(0).last_below(9)), (None, None));
    }
}
