//! `annals backup` and `annals restore`.

use std::path::PathBuf;

use clap::Args;

use super::progress::Progress;
use super::verify;
use crate::backup::{self, Copied};
use crate::durable::OsDisk;

/// What to copy where.
#[derive(Args)]
pub struct BackupArgs {
    /// The data directory; a server may run on it
    #[arg(long)]
    data: PathBuf,
    /// Where the copy goes; with an earlier copy there only what is new is copied
    to: PathBuf,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// What to bring back where.
#[derive(Args)]
pub struct RestoreArgs {
    /// A copy made by `annals backup`
    from: PathBuf,
    /// The data directory to make; absent or empty
    #[arg(long)]
    data: PathBuf,
    /// The log's public key: the copy is verified with it first
    #[arg(long)]
    key: Option<String>,
    /// A signed checkpoint kept from earlier, which the copy must extend; may be given several times
    #[arg(long)]
    since: Vec<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

impl BackupArgs {
    /// Copies.
    pub fn run(self) -> anyhow::Result<()> {
        let mut progress = Progress::new("MiB copied");
        let copied = backup::copy(&OsDisk::shared(), &self.data, &self.to, &mut |bytes| progress.at(bytes >> 20))?;
        progress.finish(copied.bytes >> 20);
        tell(&copied, self.json, "backed up");
        Ok(())
    }
}

impl RestoreArgs {
    /// Verifies, then copies. A copy that nobody vouches for is brought back all the same, and it is said.
    pub fn run(self) -> anyhow::Result<()> {
        let verdict = verify::directory_verdict(&self.from, self.key.as_deref(), &self.since)?;
        anyhow::ensure!(!verdict.is_tampered, "{}nothing was restored", verdict.text);
        eprint!("{}", verdict.text);
        let mut progress = Progress::new("MiB copied");
        let copied = backup::restore(&OsDisk::shared(), &self.from, &self.data, &mut |bytes| progress.at(bytes >> 20))?;
        progress.finish(copied.bytes >> 20);
        tell(&copied, self.json, "restored");
        eprintln!(
            "Put the log's signing.key into {} before you start, or start once with --accept-new-key; and keys.json and \
             viewers.json, or the first start makes a new admin key and knows no other. If anything is sealed, put keyring and kek \
             there too: without them it cannot be read. Tree and index are computed from the log then.",
            self.data.display()
        );
        Ok(())
    }
}

fn tell(copied: &Copied, is_json: bool, what: &str) {
    let Copied { head, segments, segments_copied, bytes } = copied;
    match is_json {
        true => println!(
            "{}",
            serde_json::json!({"size": head.size.0, "segments": segments, "segments_copied": segments_copied,
                "bytes": bytes, "checkpoint": head.checkpoint})
        ),
        false => {
            println!("{what} {} events, {segments_copied} of {segments} segments copied, {bytes} bytes", head.size)
        }
    }
}
