//! `annals excise`: cuts the content of single entries out of a log, while no server runs on it.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tracing::warn;

use super::start_log;
use crate::config::{Config, Layer};
use crate::durable::OsDisk;
use crate::event::Entry;
use crate::excise::{self, Done, ENTRIES_MAX, Excision, REASON_BYTES_MAX};
use crate::seq::Seq;
use crate::server::{check_keys, open_store};

/// Which entries.
#[derive(Args)]
pub struct ExciseArgs {
    /// The data directory; no server may run on it
    #[arg(long)]
    data: PathBuf,
    /// The entries, by their seq; none finishes what an earlier call began
    #[arg(value_name = "SEQ")]
    seqs: Vec<u64>,
    /// Why; it stays in the log, so no personal data
    #[arg(long, required_unless_present = "finish", default_value = "", hide_default_value = true)]
    reason: String,
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
        // Where the keys of what is sealed are is a setting.
        let layer = Layer { data: Some(self.data.clone()), ..Layer::default() };
        let environment = Layer::from_environment(|name| std::env::var(name).ok())?;
        let config = Config::sanitize(layer.over(environment).over(Layer::from_file(None)?), &mut |_| {});
        anyhow::ensure!(self.data.join("log").is_dir(), "{} holds no log", self.data.display());
        check_keys(&config)?;
        if self.finish {
            let begun = excise::begun(&OsDisk, &self.data)?.context("nothing was begun that is not finished")?;
            return self.say(&finish(&config, &begun)?);
        }
        self.seqs.sort_unstable();
        self.seqs.dedup();
        let seqs: Vec<Seq> = self.seqs.iter().copied().map(Seq).collect();
        anyhow::ensure!(!seqs.is_empty(), "which entries? Give their seqs");
        anyhow::ensure!(seqs.len() <= ENTRIES_MAX, "at most {ENTRIES_MAX} entries at once");
        let reason = self.reason.trim();
        anyhow::ensure!(
            !reason.is_empty() && reason.len() <= REASON_BYTES_MAX,
            "expected a reason of 1 to {REASON_BYTES_MAX} bytes"
        );
        let store = open_store(&config)?;
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
        let excision = excise::begin(&OsDisk, &self.data, &seqs, reason)?;
        self.say(&finish(&config, &excision)?)
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

fn finish(config: &Config, excision: &Excision) -> anyhow::Result<Done> {
    let open = || open_store(config).map_err(anyhow::Error::from);
    excise::finish(&OsDisk::shared(), &config.data, excision, open, &mut |what| eprintln!("{what}"))
}

/// Finishes what a call began that did not come to its end, before anything of the directory is served.
pub fn finish_before_serving(config: &Config) -> anyhow::Result<()> {
    let Some(begun) = excise::begun(&OsDisk, &config.data)? else { return Ok(()) };
    let seqs: Vec<String> = begun.seqs().map(|seq| seq.to_string()).collect();
    if config.read_only {
        warn!("entries {} are to be cut out and are not yet: a start that may write does it", seqs.join(", "));
        return Ok(());
    }
    warn!("cutting out entries {}, which was begun and not finished", seqs.join(", "));
    finish(config, &begun).map(drop)
}
