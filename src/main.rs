//! The `annals` binary: everything is in `annals::cli`.

use std::process::ExitCode;

/// Gives back what a bulk load took, which the system's allocator keeps in pieces.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    annals::cli::main()
}
