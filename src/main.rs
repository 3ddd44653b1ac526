//! The `annals` binary: everything is in `annals::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    annals::cli::main()
}
