//! `annals demo`: made-up events of a customer-messaging service, always the same for a seed.

use std::io::{self, BufWriter, Write};

use chrono::DateTime;
use clap::Args;

use crate::clock;
use crate::demo;

/// How many, and which.
#[derive(Args)]
pub struct Demo {
    /// How many events
    #[arg(long, default_value_t = 20_000)]
    events: u64,
    /// Another seed gives other events
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Days back from the end that they are spread over
    #[arg(long, default_value_t = 90)]
    days: u32,
    /// The time of the last one, such as 2026-11-01T00:00:00Z; now if not given
    #[arg(long)]
    end: Option<DateTime<chrono::FixedOffset>>,
    /// Plainer events, made faster: for measuring
    #[arg(long)]
    volume: bool,
}

impl Demo {
    /// Prints them.
    pub fn run(self) -> anyhow::Result<()> {
        let end_ms = match self.end {
            Some(end) => u64::try_from(end.timestamp_millis())?,
            None => clock::now_ms(),
        };
        let mut out = BufWriter::new(io::stdout().lock());
        let mut print = |line: String| writeln!(out, "{line}");
        match self.volume {
            true => demo::volume(self.events, self.seed, end_ms, self.days).try_for_each(&mut print)?,
            false => demo::events(self.events, self.seed, end_ms, self.days).try_for_each(&mut print)?,
        }
        out.flush()?;
        Ok(())
    }
}
