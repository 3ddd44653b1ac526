//! `annals excise`: cuts the content of single entries out of a log, while no server runs on it.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::{settings_of, start_log};
use crate::config::Config;
use crate::durable::OsDisk;
use crate::event::Entry;
use crate::excise::{self, Done, ENTRIES_MAX, Excision, REASON_BYTES_MAX};
use crate::seq::Seq;
use crate::server::{check_keys, open_trusted};

/// Which entries.
#[derive(Args)]
pub struct ExciseArgs {
    /// The data directory; no server may run on it
    #[arg(long)]
    data: PathBuf,
    /// The entries, by their seq
    #[arg(value_name = "SEQ")]
    seqs: Vec<u64>,
    /// Why; it stays in the log, so no personal data
    #[arg(long, required_unless_present = "finish")]
    reason: Option<String>,
    /// Do it: without this it is only said what would be done
    #[arg(long)]
    yes: bool,
    /// Finish what an earlier call began
    #[arg(long, conflicts_with_all = ["seqs", "yes"])]
    finish: bool,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

impl ExciseArgs {
    /// Cuts them out.
    pub fn run(mut self) -> anyhow::Result<()> {
        start_log("warn");
        let config = settings_of(&self.data)?;
        anyhow::ensure!(self.data.join("log").is_dir(), "{} holds no log", self.data.display());
        check_keys(&config)?;
        let disk = OsDisk::shared();
        let begun = excise::begun(&*disk, &self.data)?;
        if self.finish {
            return self.finish(&config, &begun.context("nothing was begun that is not finished")?);
        }
        if let Some(begun) = begun {
            anyhow::bail!(
                "cutting out {} was begun and is not finished: `annals excise --finish` does it",
                begun.named()
            );
        }
        self.seqs.sort_unstable();
        self.seqs.dedup();
        let seqs: Vec<Seq> = self.seqs.iter().copied().map(Seq).collect();
        anyhow::ensure!(!seqs.is_empty(), "which entries? Give their seqs");
        anyhow::ensure!(seqs.len() <= ENTRIES_MAX, "at most {ENTRIES_MAX} entries at once");
        let reason = self.reason.as_deref().unwrap_or_default().trim();
        anyhow::ensure!(
            !reason.is_empty() && reason.len() <= REASON_BYTES_MAX,
            "expected a reason of 1 to {REASON_BYTES_MAX} bytes"
        );
        let store = open_trusted(&config)?;
        let looked = excise::look(&store, &seqs);
        store.close();
        drop(store);
        let entries = looked?;
        if !self.yes {
            entries.iter().for_each(say_entry);
            anyhow::bail!(
                "nothing was done: with --yes the content of {} would be gone for good",
                if entries.len() == 1 { "this entry".into() } else { format!("these {} entries", entries.len()) }
            );
        }
        let excision = {
            let _lock = disk.lock(&self.data.join("LOCK"))?;
            excise::begin(&*disk, &self.data, &seqs, reason).context("nothing was done")?
        };
        self.finish(&config, &excision)
    }

    fn finish(&self, config: &Config, excision: &Excision) -> anyhow::Result<()> {
        let done = open_trusted(config).map_err(anyhow::Error::from).and_then(|store| {
            let mut say = |what: &str| eprintln!("{what}");
            Ok(excise::finish(&OsDisk::shared(), &config.data, excision, store, &mut say)?)
        });
        let left =
            || format!("{} are still to be cut out (`--finish`, or the next start of a server)", excision.named());
        self.say(&done.with_context(left)?)
    }

    fn say(&self, done: &Done) -> anyhow::Result<()> {
        if self.json {
            let entries: Vec<_> = done.entries.iter().map(|(seq, by)| json!({"seq": seq, "by": by})).collect();
            let Done { segments, spans, quarantined, .. } = done;
            println!(
                "{}",
                json!({"entries": entries, "segments": segments, "spans": spans, "quarantined": quarantined})
            );
            return Ok(());
        }
        for (seq, by) in &done.entries {
            println!("the content of entry {seq} is gone; entry {by} says why");
        }
        for path in &done.quarantined {
            println!("NOT LOOKED AT: {} may have some of it; remove it if it is not needed", path.display());
        }
        println!("Backups, exports and copies elsewhere still have it: back up again, and remove the older copies.");
        Ok(())
    }
}

/// Without what may be the trouble.
fn say_entry(entry: &Entry) {
    println!("entry {}: {}, {} of tenant {}", entry.seq, entry.event.time.text, entry.event.action, entry.event.tenant);
}
