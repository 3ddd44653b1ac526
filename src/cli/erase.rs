//! `annals erase` and `annals hold`: erases persons on a running server, or says that they may not be erased.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::client::{Client, Server};
use super::progress::Progress;

/// Answers in a row that may fail while it is waited for: two minutes.
const FAILURES_MAX: u32 = 240;
/// A purge is asked about this often.
const LOOK: Duration = Duration::from_millis(500);

/// Whom to erase.
#[derive(Args)]
pub struct EraseArgs {
    #[command(flatten)]
    persons: Persons,
    /// Wait until it has left the files of the index too (up to purge_after_s, a day if nothing else is set), and print the
    /// receipts: a line of JSON each
    #[arg(long)]
    wait: bool,
    /// Print the server's answer as JSON
    #[arg(long)]
    json: bool,
}

/// Who may not be erased.
#[derive(Args)]
pub struct HoldArgs {
    #[command(flatten)]
    persons: Persons,
    /// They may be erased again
    #[arg(long)]
    lift: bool,
}

#[derive(Args)]
struct Persons {
    #[command(flatten)]
    server: Server,
    /// Their type, such as contact
    #[arg(value_name = "TYPE")]
    kind: String,
    /// Their ids
    #[arg(required = true)]
    id: Vec<String>,
    /// Whose they are
    #[arg(long)]
    tenant: Option<String>,
    /// Why; it stays in the log, so no personal data
    #[arg(long)]
    reason: String,
    /// What the request is called elsewhere
    #[arg(long = "ref", value_name = "REF")]
    request_ref: Option<String>,
}

impl Persons {
    fn wanted(&self) -> Value {
        let subjects: Vec<Value> = self.id.iter().map(|id| json!({"type": self.kind, "id": id})).collect();
        let Persons { tenant, reason, request_ref, .. } = self;
        json!({"subjects": subjects, "tenant": tenant, "reason": reason, "request_ref": request_ref})
    }
}

impl EraseArgs {
    /// Asks the server.
    pub fn run(self) -> anyhow::Result<()> {
        let client = self.persons.server.client()?;
        let begun = client.post_json("/v1/erasures", &self.persons.wanted())?;
        if self.json && !self.wait {
            println!("{begun}");
            return Ok(());
        }
        let erasures = begun["erasures"].as_array().context("the server's answer has no erasures")?;
        let mut held = 0;
        for erasure in erasures {
            let (subject, state) = (&erasure["subject"], text(&erasure["state"]));
            held += usize::from(state == "on_hold");
            let line = format!(
                "{:<36}  {:<8}  {}/{}",
                text(&erasure["id"]),
                state,
                text(&subject["type"]),
                text(&subject["id"])
            );
            if self.wait { eprintln!("{line}") } else { println!("{line}") }
        }
        if self.wait {
            await_done(&client, erasures)?;
        }
        anyhow::ensure!(held == 0, "{held} of {} are on hold and were not erased", erasures.len());
        Ok(())
    }
}

fn await_done(client: &Client, erasures: &[Value]) -> anyhow::Result<()> {
    let ids = erasures.iter().filter_map(|erasure| erasure["id"].as_str());
    let (mut progress, mut done, mut failures) = (Progress::new("erasures done"), 0, 0);
    for id in ids {
        let erasure = loop {
            // It may take a day, in which a server is started again.
            match client.get_json(&format!("/v1/erasures/{id}"), &[]) {
                Ok(erasure) if erasure["state"] == "done" => break erasure,
                Ok(_) => failures = 0,
                Err(error) if failures == FAILURES_MAX => return Err(error),
                Err(_) => failures += 1,
            }
            sleep(LOOK);
        };
        println!("{erasure}");
        done += 1;
        progress.at(done);
    }
    progress.finish(done);
    Ok(())
}

impl HoldArgs {
    /// Asks the server.
    pub fn run(self) -> anyhow::Result<()> {
        let path = if self.lift { "/v1/holds/lift" } else { "/v1/holds" };
        let now = self.persons.server.client()?.post_json(path, &self.persons.wanted())?;
        for held in now["holds"].as_array().into_iter().flatten() {
            println!("{} {}/{}", text(&held["tenant"]), text(&held["subject"]["type"]), text(&held["subject"]["id"]));
        }
        Ok(())
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
