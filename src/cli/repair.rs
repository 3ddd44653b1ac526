//! `annals repair`: mends a damaged log from backups, while no server runs on it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::progress::Progress;
use super::start_log;
use crate::durable::OsDisk;
use crate::repair::{Outcome, repair};

/// What the command says by its end.
pub const EXIT_CODES: &str = "Exit codes: 0 the log is sound, or was mended (or, with --dry-run, could be); 1 something is damaged that no \
copy has: what could be mended was, the rest is named; 2 could not run (a server holds the directory, the backup is of another log, \
a file cannot be read, wrong arguments).";

/// What to mend from what.
#[derive(Args)]
pub struct RepairArgs {
    /// The data directory; no server may run on it
    #[arg(long)]
    data: PathBuf,
    /// A backup of this log (`annals backup`), or any older copy of its directory; may be given several times
    #[arg(long, required = true)]
    from: Vec<PathBuf>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

impl RepairArgs {
    /// Mends, says what, and answers the exit code.
    pub fn run(self) -> ExitCode {
        start_log("error");
        match self.repair() {
            Ok(outcome) => {
                match self.json {
                    true => println!("{}", self.as_json(&outcome)),
                    false => print!("{}", self.as_text(&outcome)),
                }
                ExitCode::from(u8::from(!outcome.unmended.is_empty()))
            }
            Err(error) => {
                if self.json {
                    println!("{}", json!({"error": format!("{error:#}")}));
                }
                eprintln!("annals: cannot repair {}: {error:#}", self.data.display());
                ExitCode::from(2)
            }
        }
    }

    fn repair(&self) -> anyhow::Result<Outcome> {
        for dir in self.from.iter().chain([&self.data]) {
            anyhow::ensure!(dir.is_dir(), "{} is no directory", dir.display());
        }
        let disk = OsDisk::shared();
        let _lock = disk.lock(&self.data.join("LOCK"))?;
        let mut progress = Progress::new("events looked at");
        let outcome = repair(&disk, &self.data, &self.from, self.dry_run, &mut |events| progress.at(events))
            .context("nothing more was changed")?;
        progress.finish(outcome.events.0);
        Ok(outcome)
    }

    fn as_json(&self, outcome: &Outcome) -> serde_json::Value {
        json!({
            "dry_run": self.dry_run,
            "events": outcome.events,
            "mended": outcome.mended.iter().map(|mending| json!({
                "file": mending.file,
                "flaw": mending.flaw,
                "taken": mending.taken.iter().map(|(first, last, from)| json!({"first": first, "last": last, "from": from}))
                    .collect::<Vec<_>>(),
                "kept": mending.kept,
            })).collect::<Vec<_>>(),
            "unmended": outcome.unmended,
            "remarks": outcome.remarks,
        })
    }

    fn as_text(&self, outcome: &Outcome) -> String {
        let mut lines = Vec::new();
        let done = if self.dry_run { "could be mended" } else { "mended" };
        for mending in &outcome.mended {
            lines.push(format!("{done}: {} ({})", mending.file, mending.flaw));
            for (first, last, from) in &mending.taken {
                lines.push(format!("  events {first} to {last} from {}", from.display()));
            }
            lines.extend(mending.kept.iter().map(|kept| format!("  the damaged one is kept as {}", kept.display())));
        }
        lines.extend(outcome.unmended.iter().map(|why| format!("NOT MENDED: {why}")));
        lines.extend(outcome.remarks.iter().cloned());
        lines.push(match (outcome.unmended.is_empty(), outcome.mended.is_empty()) {
            (true, true) => format!("nothing is damaged in {} events", outcome.events),
            (true, false) => {
                format!("{} events; run `annals verify` with the log's key before you start", outcome.events)
            }
            (false, _) => {
                "the log stays damaged: bring another copy, or serve what lies before it with --read-only".into()
            }
        });
        lines.join("\n") + "\n"
    }
}
