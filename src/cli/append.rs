//! `annals append`: NDJSON from a file or stdin to a server, in batches. Ids make it safe to run again.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

use super::client::{Client, Server, problem_text};
use super::progress::Progress;

/// Bytes of one request: half of what the server takes, so that a batch of long events still fits.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// A server that is busy (503) is asked again this often, a second apart.
const TRIES: u32 = 30;

/// What to send where.
#[derive(Args)]
pub struct AppendArgs {
    #[command(flatten)]
    server: Server,
    /// Events of one request, at most 10,000
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    /// The file, or - for stdin
    file: String,
}

#[derive(Default)]
struct Sum {
    lines: u64,
    stored: u64,
    duplicates: u64,
}

impl AppendArgs {
    /// Sends everything.
    pub fn run(self) -> anyhow::Result<()> {
        let input: Box<dyn BufRead> = match self.file.as_str() {
            "-" => Box::new(BufReader::new(io::stdin())),
            path => Box::new(BufReader::new(File::open(path).with_context(|| format!("cannot open {path}"))?)),
        };
        let client = self.server.client()?;
        let mut progress = Progress::new("events sent");
        let mut sum = Sum::default();
        let sent = self.send_all(input, &client, &mut sum, &mut progress);
        if sent.is_ok() || sum.stored + sum.duplicates > 0 {
            progress.finish(sum.stored + sum.duplicates);
        }
        sent?;
        match self.json {
            true => println!("{{\"stored\":{},\"duplicates\":{}}}", sum.stored, sum.duplicates),
            false => println!("{} events stored, {} duplicates of earlier ones", sum.stored, sum.duplicates),
        }
        Ok(())
    }

    fn send_all(
        &self,
        mut input: Box<dyn BufRead>,
        client: &Client,
        sum: &mut Sum,
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        let (mut batch, mut events) = (Vec::new(), 0);
        let mut lines_before = 0;
        loop {
            let start = batch.len();
            let is_end = input.read_until(b'\n', &mut batch).context("cannot read the events")? == 0;
            if !is_end {
                sum.lines += 1;
                events += u32::from(!batch[start..].trim_ascii().is_empty());
                if !batch.ends_with(b"\n") {
                    batch.push(b'\n');
                }
            }
            if events == self.batch || batch.len() >= BATCH_BYTES_MAX || is_end {
                if events > 0 {
                    send(client, &batch, lines_before, sum)?;
                    progress.at(sum.stored + sum.duplicates);
                }
                lines_before = sum.lines;
                batch.clear();
                events = 0;
            }
            if is_end {
                return Ok(());
            }
        }
    }
}

fn send(client: &Client, batch: &[u8], lines_before: u64, sum: &mut Sum) -> anyhow::Result<()> {
    for tried in 1.. {
        let (status, answer) = client.post_ndjson("/v1/events", batch)?;
        match status {
            200 | 201 => {
                let receipts = answer["receipts"].as_array().map(Vec::as_slice).unwrap_or_default();
                let duplicates = receipts.iter().filter(|receipt| receipt["duplicate"] == true).count() as u64;
                sum.duplicates += duplicates;
                sum.stored += receipts.len() as u64 - duplicates;
                return Ok(());
            }
            // Nothing of the batch is stored then. After any other failure that is for a person to decide.
            503 if tried < TRIES && is_busy(&answer) => thread::sleep(Duration::from_secs(1)),
            _ => bail!("{} ({status})", place(&answer, lines_before)),
        }
    }
    unreachable!("the loop ends by its tries")
}

fn is_busy(problem: &Value) -> bool {
    ["queue_full", "ids_rebuilding"].iter().any(|code| problem["code"] == *code)
}

/// The faults with their lines in the whole input.
fn place(problem: &Value, lines_before: u64) -> String {
    let faults = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    if faults.is_empty() {
        return problem_text(problem).to_owned();
    }
    let mut text = String::from("refused");
    for fault in faults {
        let line = lines_before + fault["line"].as_u64().unwrap_or(0);
        let (pointer, message) = (fault["pointer"].as_str().unwrap_or(""), fault["message"].as_str().unwrap_or(""));
        text.push_str(&format!("\n  line {line} {pointer}: {message}"));
    }
    text
}
