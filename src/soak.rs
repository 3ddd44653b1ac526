//! Whether unit tests run their long versions (`make soak`).

/// Whether they do.
pub fn is_on() -> bool {
    std::env::var_os("ANNALS_SOAK").is_some()
}

/// How many times as much of a test runs: `long` times in a soak.
pub fn times(long: u32) -> u32 {
    if is_on() { long } else { 1 }
}
