//! `annals export`: everything that matches, to a file or stdout. A file appears under its name only when it is whole.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::client::Server;
use super::progress::Progress;

/// What to export where.
#[derive(Args)]
pub struct ExportArgs {
    #[command(flatten)]
    server: Server,
    /// csv, ndjson, or bundle
    #[arg(long, default_value = "csv")]
    format: String,
    /// What to export; nothing means everything
    #[arg(long, default_value = "")]
    query: String,
    /// -time (newest first), time, -seq or seq
    #[arg(long, default_value = "-time", allow_hyphen_values = true)]
    order: String,
    /// The zone of the column `time_local`
    #[arg(long, default_value = "UTC")]
    tz: String,
    /// The file; stdout if none
    #[arg(long)]
    out: Option<PathBuf>,
    /// Write a bundle to this file: rows with proofs under a signed checkpoint, which `annals verify FILE` checks offline
    #[arg(long, value_name = "FILE", conflicts_with_all = ["format", "out", "tz"])]
    bundle: Option<PathBuf>,
}

impl ExportArgs {
    /// Asks and writes.
    pub fn run(self) -> anyhow::Result<()> {
        let format = if self.bundle.is_some() { "bundle" } else { &self.format };
        let params = [("format", format), ("q", &self.query), ("order", &self.order), ("tz", &self.tz)];
        let mut answer = self.server.client()?.get("/v1/export", &params)?;
        let mut body = answer.body_mut().with_config().limit(u64::MAX).reader();
        let Some(path) = self.bundle.as_ref().or(self.out.as_ref()) else {
            copy(&mut body, &mut io::stdout().lock(), None)?;
            return Ok(());
        };
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let part = PathBuf::from(name);
        let mut file = File::create(&part).with_context(|| format!("cannot write {}", part.display()))?;
        let mut progress = Progress::new("KiB written");
        let bytes = copy(&mut body, &mut file, Some(&mut progress))?;
        file.sync_all()?;
        fs::rename(&part, path).with_context(|| format!("cannot rename {}", part.display()))?;
        progress.finish(bytes >> 10);
        Ok(())
    }
}

fn copy(from: &mut dyn Read, to: &mut dyn Write, mut progress: Option<&mut Progress>) -> anyhow::Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0;
    loop {
        let n = from.read(&mut buffer).context("the export broke off; it is not whole")?;
        if n == 0 {
            to.flush()?;
            return Ok(bytes);
        }
        to.write_all(&buffer[..n])?;
        bytes += n as u64;
        if let Some(progress) = &mut progress {
            progress.at(bytes >> 10);
        }
    }
}
