//! The commands. stdout is data, stderr is talk; exit codes stand in `--help`; a broken pipe is no error.

mod append;
mod backup;
mod client;
mod config;
mod demo;
mod erase;
mod excise;
mod export;
mod key;
mod keyring;
mod progress;
mod reindex;
mod repair;
mod search;
mod serve;
mod verify;
mod witness;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, Layer};

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong arguments, 4 the log is corrupt or not the one that others know, 5 a write to disk could not be confirmed.";

/// Annals: who did what, when? A full-text search-indexed audit store.
#[derive(Parser)]
#[command(name = "annals", version, about, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve a data directory over HTTP
    #[command(after_help = EXIT_CODES)]
    Serve(serve::Serve),
    /// Send events (NDJSON, from a file or `-`) to a server
    #[command(after_help = EXIT_CODES)]
    Append(append::AppendArgs),
    /// Search on a server and print what is found
    #[command(after_help = EXIT_CODES)]
    Search(search::Search),
    /// Write everything that matches as CSV or NDJSON
    #[command(after_help = EXIT_CODES)]
    Export(export::ExportArgs),
    /// Build the index of a data directory anew from its log (while no server runs on it)
    #[command(after_help = EXIT_CODES)]
    Reindex(reindex::Reindex),
    /// Copy a data directory while a server appends to it; again, and only what is new is copied
    #[command(after_help = EXIT_CODES)]
    Backup(backup::BackupArgs),
    /// Verify a copy and bring it back as a data directory
    #[command(after_help = EXIT_CODES)]
    Restore(backup::RestoreArgs),
    /// Mend a damaged log from backups (while no server runs on it)
    #[command(after_help = repair::EXIT_CODES)]
    Repair(repair::RepairArgs),
    /// Verify a data directory, a server or an exported bundle: is it still what it was?
    #[command(after_help = verify::EXIT_CODES)]
    Verify(verify::Verify),
    /// Remember other logs' checkpoints and cosign what extends them
    #[command(after_help = EXIT_CODES)]
    Witness(witness::WitnessArgs),
    /// Print made-up VeloConnect events as NDJSON
    #[command(after_help = EXIT_CODES)]
    Demo(demo::Demo),
    /// Make, list and revoke the keys of a running server
    #[command(after_help = EXIT_CODES)]
    Key(key::KeyArgs),
    /// Erase persons on a running server: what was told about them can be read and found by nobody any more
    #[command(after_help = EXIT_CODES)]
    Erase(erase::EraseArgs),
    /// Say that persons may not be erased, or may again
    #[command(after_help = EXIT_CODES)]
    Hold(erase::HoldArgs),
    /// Count, copy or wrap anew the keys of those who can be erased
    #[command(after_help = EXIT_CODES)]
    Keyring(keyring::KeyringArgs),
    /// Cut the content of single entries out of a log for good (while no server runs on it)
    #[command(after_help = EXIT_CODES)]
    Excise(excise::ExciseArgs),
    /// Explain every setting, and show what they are now
    #[command(after_help = EXIT_CODES)]
    Config(config::ConfigArgs),
}

/// Runs the command of the process's arguments.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.verb {
        Verb::Serve(args) => args.run(),
        Verb::Append(args) => args.run(),
        Verb::Search(args) => args.run(),
        Verb::Export(args) => args.run(),
        Verb::Reindex(args) => args.run(),
        Verb::Backup(args) => args.run(),
        Verb::Restore(args) => args.run(),
        // Their exit codes are their own.
        Verb::Repair(args) => return args.run(),
        Verb::Verify(args) => return args.run(),
        Verb::Witness(args) => args.run(),
        Verb::Demo(args) => args.run(),
        Verb::Key(args) => args.run(),
        Verb::Erase(args) => args.run(),
        Verb::Hold(args) => args.run(),
        Verb::Excise(args) => args.run(),
        Verb::Keyring(args) => args.run(),
        Verb::Config(args) => args.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("annals: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    use crate::server::ServeError;
    use crate::store::StoreError;
    use crate::store::signing::SigningError;
    if error.is::<crate::config::ConfigError>() {
        return 2;
    }
    match error.downcast_ref::<ServeError>() {
        Some(ServeError::Store(StoreError::Corrupt(_) | StoreError::Log(crate::log::OpenError::Corrupt(_)))) => 4,
        Some(ServeError::Store(StoreError::Signing(
            SigningError::OlderCopy { .. } | SigningError::Fork { .. } | SigningError::OtherKey { .. },
        ))) => 4,
        Some(ServeError::Disputed(_)) => 4,
        Some(ServeError::SyncFailed) => 5,
        Some(ServeError::Config(_) | ServeError::SignOn(_)) => 2,
        _ => 1,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_it = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.downcast_ref::<io::Error>().is_some_and(is_it)
}

/// The settings of a command that works on a directory itself: where the keys of what is sealed are is one.
fn settings_of(data: &Path) -> anyhow::Result<Config> {
    let layer = Layer { data: Some(data.to_owned()), ..Layer::default() };
    let environment = Layer::from_environment(|name| std::env::var(name).ok())?;
    Ok(Config::sanitize(layer.over(environment).over(Layer::from_file(None)?), &mut |_| {}))
}

/// Our own talk goes to stderr. `filter` is a level or a filter per module.
fn start_log(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|error| {
        eprintln!("annals: the log filter {filter:?} is not one ({error}); using info");
        EnvFilter::new("info")
    });
    // Tantivy tells of every commit; that is only of use to who asks for it.
    let filter = ["tantivy=warn"].iter().filter_map(|quiet| quiet.parse().ok()).fold(filter, EnvFilter::add_directive);
    // A second call, in tests, changes nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .try_init();
}
