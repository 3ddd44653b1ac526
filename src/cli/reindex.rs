//! `annals reindex`: throws the index away and builds it again from the log.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::progress::Progress;
use super::{settings_of, start_log};
use crate::durable::OsDisk;
use crate::server::{check_keys, open_store};

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Which directory.
#[derive(Args)]
pub struct Reindex {
    /// The data directory; no server may run on it
    #[arg(long)]
    data: PathBuf,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

impl Reindex {
    /// Builds the index.
    pub fn run(self) -> anyhow::Result<()> {
        start_log("warn");
        let index = self.data.join("index");
        let config = settings_of(&self.data)?;
        check_keys(&config)?;
        anyhow::ensure!(self.data.join("log").is_dir(), "{} holds no log", self.data.display());
        // Held while the index is removed, so that no server is using it; opening the store takes it again.
        let lock = OsDisk::shared().lock(&self.data.join("LOCK"))?;
        let old = self.data.join("index.old");
        if index.exists() {
            std::fs::rename(&index, &old).with_context(|| format!("cannot move {}", index.display()))?;
        }
        drop(lock);
        let store = match open_store(&config) {
            Ok(store) => store,
            // What was there is better than nothing.
            Err(error) => {
                if !index.exists() && old.exists() {
                    std::fs::rename(&old, &index).with_context(|| format!("cannot move {} back", old.display()))?;
                }
                return Err(error.into());
            }
        };
        if old.exists() {
            std::fs::remove_dir_all(&old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
        let events = store.marks().durable;
        let mut progress = Progress::new("events indexed");
        loop {
            let (indexed, unbuilt) = store.spans_progress();
            progress.at(indexed);
            if unbuilt == 0 || store.index_fault().is_some() {
                break;
            }
            thread::sleep(LOOK);
        }
        // Closing writes the last span, which is not full.
        store.close();
        progress.finish(store.spans_progress().0);
        let fault = store.index_fault().unwrap_or_else(|| "it stopped before the end".to_owned());
        anyhow::ensure!(store.is_spanned(), "the index is not whole: {fault}");
        match self.json {
            true => println!("{{\"events\":{events}}}"),
            false => println!("{events} events indexed"),
        }
        Ok(())
    }
}
