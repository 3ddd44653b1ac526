//! What makes two looks at the log the same.

use std::num::NonZeroUsize;

use super::folds::Folds;

/// Looks that are remembered. Each may hold a query of 8 KiB.
const LOOKS_MAX: NonZeroUsize = NonZeroUsize::new(2_000).expect("it is not 0");

/// One look.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Look {
    /// Who looks: the id of a key, a viewer or a person.
    pub who: String,
    /// What they do: `audit.searched`.
    pub action: &'static str,
    /// What they ask for: the hash of a filter, the place of an entry.
    pub what: u64,
}

/// Who looked at what of late, folded.
pub fn looks<T: Clone>() -> Folds<Look, T> {
    Folds::that_wait(LOOKS_MAX)
}
