//! Where a test may have the process die: between two steps of something that must be whole whenever it dies.

/// What names the point at which to die; the environment has it. Only what is built with debug assertions looks.
pub const CRASH_AT: &str = "CRASH_AT_FOR_TESTS";

/// Ends the process here, as `kill -9` does, if a test asked for this point. A release has no such call.
#[inline]
pub fn crash_point(name: &'static str) {
    #[cfg(debug_assertions)]
    if wanted() == Some(name) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // The signal may take a moment; nothing may be done until then.
        loop {
            std::thread::park();
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
fn wanted() -> Option<&'static str> {
    use std::sync::OnceLock;
    static WANTED: OnceLock<Option<String>> = OnceLock::new();
    WANTED.get_or_init(|| std::env::var(CRASH_AT).ok()).as_deref()
}
