//! `annals witness`: a memory of other logs' checkpoints, for a second machine.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::start_log;
use crate::api;
use crate::durable::OsDisk;
use crate::tree::VerifierKey;
use crate::witness::Witness;

/// Whom to remember, and where.
#[derive(Args)]
pub struct WitnessArgs {
    /// Where its key and what it remembers are kept
    #[arg(long)]
    data: PathBuf,
    /// Its name, which stands in front of its signatures; best an address without scheme
    #[arg(long)]
    name: String,
    /// The public key of a log (see `GET /v1/log`); once for each log
    #[arg(long = "log", required = true)]
    logs: Vec<VerifierKey>,
    /// Address and port to listen on; port 0 picks one
    #[arg(long, default_value = "127.0.0.1:7401")]
    listen: SocketAddr,
}

impl WitnessArgs {
    /// Serves until a signal.
    pub fn run(self) -> anyhow::Result<()> {
        start_log("info");
        let witness = Arc::new(Witness::open(OsDisk::shared(), &self.data, &self.name, self.logs)?);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async move {
            let listener =
                TcpListener::bind(self.listen).await.with_context(|| format!("cannot listen on {}", self.listen))?;
            let mut stop = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut out = std::io::stdout();
            // stdout is data: whoever started us may wait for this line. If nobody reads it, that is no reason to end.
            let _ = writeln!(out, "listening on http://{}", listener.local_addr()?).and_then(|()| out.flush());
            let _ = writeln!(out, "cosigning as {}", witness.public_key()).and_then(|()| out.flush());
            axum::serve(listener, api::witness::router(witness))
                .with_graceful_shutdown(async move {
                    tokio::select! {
                        _ = stop.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                })
                .await?;
            Ok(())
        })
    }
}
