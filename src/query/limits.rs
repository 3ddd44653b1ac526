//! How large a query may be. Each limit keeps one query from costing more than a search should.

/// Bytes of a query text, and of the same query printed.
pub const QUERY_BYTES_MAX: usize = 8 * 1024;

/// Levels of AND, OR and NOT in the tree.
pub const DEPTH_MAX: usize = 32;

/// Parentheses and negations that may be open at once while reading; twice [`DEPTH_MAX`], because a printed level is
/// at most `-(`. It bounds the reader's recursion.
pub const NESTING_MAX: usize = 2 * DEPTH_MAX;

/// Filters in one query.
pub const FILTERS_MAX: usize = 1024;

/// Consecutive words of one phrase: the bits of the `u128` that follows them through a value.
pub const PHRASE_TOKENS_MAX: usize = 128;

/// Instructions of one compiled pattern. A star takes some 60. Building recurses along them, so this also keeps it on a
/// thread's stack.
pub const PATTERN_INSTRUCTIONS_MAX: usize = 8_192;

/// Instructions of all patterns of a query together: some 250 plain wildcards. It bounds the time that building takes,
/// about 1 ms for each of them.
pub const QUERY_INSTRUCTIONS_MAX: usize = 32_768;

/// Automaton states of all patterns of a query together, 4 KiB of memory each: 32 MiB.
pub const QUERY_STATES_MAX: usize = 8_192;

/// Stretches marked in one row. A hundred fill a screen.
pub const HIGHLIGHT_RANGES_MAX: usize = 1_000;

/// JSON of the highlights of one row: 64 KiB. A pointer into `detail` can be as long as the event.
pub const HIGHLIGHT_BYTES_MAX: usize = 64 << 10;
