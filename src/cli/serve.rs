//! `annals serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use tracing::{error, info, warn};

use super::start_log;
use crate::clock;
use crate::config::{Config, Layer};
use crate::demo;
use crate::event::{Kind, validate};
use crate::page::PAGE_PATH;
use crate::seq::Seq;
use crate::server;
use crate::store::{Append, Store};

/// Events of the demo.
const DEMO_EVENTS: u64 = 20_000;
/// Days back from now that they are spread over.
const DEMO_DAYS: u32 = 90;
const DEMO_SEED: u64 = 7;
const DEMO_BATCH: usize = 1_000;

/// Flags that stand over environment and file; `annals config` explains each setting.
#[derive(Args)]
pub struct Serve {
    /// The data directory
    #[arg(long)]
    data: Option<PathBuf>,
    /// Address and port to listen on; port 0 picks one
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Serve without keys; loopback only
    #[arg(long)]
    no_auth: bool,
    /// Begin with 20,000 made-up events if the directory is empty; implies --no-auth
    #[arg(long)]
    demo: bool,
    /// Take the clock as it is, although it jumped or the log is ahead of it
    #[arg(long)]
    accept_clock: bool,
    /// Go on with another signing key: the one that signed the newest checkpoint is lost
    #[arg(long)]
    accept_new_key: bool,
    /// Serve reads of a corrupt log, refuse all writes
    #[arg(long)]
    read_only: bool,
    /// The settings file
    #[arg(long)]
    config: Option<PathBuf>,
}

impl Serve {
    /// Serves until a signal.
    pub fn run(self) -> anyhow::Result<()> {
        let is_demo = self.demo;
        let config = self.settings()?;
        server::serve(&config, move |store, url| {
            if is_demo {
                begin_demo(&store);
                greet(&store, &url);
            }
        })?;
        Ok(())
    }

    fn settings(self) -> anyhow::Result<Config> {
        let set = |flag: bool| flag.then_some(true);
        let flags = Layer {
            data: self.data,
            listen: self.listen,
            no_auth: set(self.no_auth || self.demo),
            accept_clock: set(self.accept_clock),
            accept_new_key: set(self.accept_new_key),
            read_only: set(self.read_only),
            ..Layer::default()
        };
        let environment = Layer::from_environment(|name| std::env::var(name).ok())?;
        let file = Layer::from_file(self.config.as_deref())?;
        let mut changed = Vec::new();
        let config = Config::sanitize(flags.over(environment).over(file), &mut |what| changed.push(what));
        start_log(&config.log);
        changed.iter().for_each(|what| warn!("{what}"));
        Ok(config)
    }
}

fn begin_demo(store: &Store) {
    if store.marks().durable > Seq::ZERO {
        return;
    }
    info!("writing {DEMO_EVENTS} demo events");
    if let Err(error) = append_demo(store) {
        error!("the demo events could not be written: {error:#}");
    }
}

fn append_demo(store: &Store) -> anyhow::Result<()> {
    let lines: Vec<String> = demo::events(DEMO_EVENTS, DEMO_SEED, clock::now_ms(), DEMO_DAYS).collect();
    for batch in lines.chunks(DEMO_BATCH) {
        let mut drafts = Vec::with_capacity(batch.len());
        for line in batch {
            let draft = validate(line, &store.intake(None));
            drafts.push(draft.map_err(|faults| anyhow::anyhow!("a demo event is refused: {}", faults[0]))?);
        }
        let answer = store.append(Append { drafts, skip_conflicts: false, kind: Kind::Event })?;
        answer.blocking_recv().context("the writer stopped")??;
    }
    Ok(())
}

fn greet(store: &Arc<Store>, url: &str) {
    let events = store.marks().durable;
    println!("{events} events. The page: {url}{PAGE_PATH}");
    println!("Or try:");
    println!("  curl '{url}/v1/events?q=maya&limit=3'");
    println!("  curl '{url}/v1/facets?fields=actor,action&top=5'");
    println!("  curl '{url}/v1/export?format=csv&action=contacts' -o contacts.csv");
}
