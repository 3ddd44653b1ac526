//! `annals key`: makes, lists and revokes the keys of a running server.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::Server;

/// What to do with keys.
#[derive(Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a key and print it, this once
    Create(Create),
    /// List all keys, revoked ones too
    List(List),
    /// Refuse a key from now on
    Revoke(Revoke),
}

#[derive(Args)]
struct Create {
    #[command(flatten)]
    server: Server,
    /// What it is for: "SIEM poller"
    #[arg(long)]
    name: String,
    /// write, read, personal, export or admin; may be given several times
    #[arg(long, required = true)]
    scope: Vec<String>,
    /// The one tenant that it writes and reads
    #[arg(long)]
    tenant: Option<String>,
    /// A query that its holder cannot widen, such as: action:contacts
    #[arg(long)]
    restriction: Option<String>,
    /// From when on it is refused, such as 2027-11-01T10:00:00Z
    #[arg(long)]
    expires: Option<String>,
    /// Print the server's answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    server: Server,
    /// Print the server's answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Revoke {
    #[command(flatten)]
    server: Server,
    /// Its id, as `annals key list` has it
    id: String,
}

impl KeyArgs {
    /// Asks the server.
    pub fn run(self) -> anyhow::Result<()> {
        match self.verb {
            Verb::Create(args) => args.run(),
            Verb::List(args) => args.run(),
            Verb::Revoke(args) => args.run(),
        }
    }
}

impl Create {
    fn run(self) -> anyhow::Result<()> {
        let wanted = json!({
            "name": self.name,
            "scopes": self.scope,
            "tenant": self.tenant,
            "restriction": self.restriction,
            "expires": self.expires,
        });
        let made = self.server.client()?.post_json("/v1/keys", &wanted)?;
        if self.json {
            println!("{made}");
            return Ok(());
        }
        println!("{}", text(&made["key"]));
        eprintln!(
            "{} ({}). It is shown this once: the server keeps only its hash.",
            text(&made["id"]),
            text(&made["name"])
        );
        Ok(())
    }
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let answer = self.server.client()?.get_json("/v1/keys", &[])?;
        if self.json {
            println!("{answer}");
            return Ok(());
        }
        for key in answer["keys"].as_array().into_iter().flatten() {
            let scopes: Vec<&str> = key["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            println!("{:<22} {:<32} {}{}", text(&key["id"]), scopes.join(","), text(&key["name"]), notes(key));
        }
        Ok(())
    }
}

impl Revoke {
    fn run(self) -> anyhow::Result<()> {
        let id: String = form_urlencoded::byte_serialize(self.id.as_bytes()).collect();
        let key = self.server.client()?.delete(&format!("/v1/keys/{id}"))?;
        println!("{} ({}) is refused since {}", text(&key["id"]), text(&key["name"]), text(&key["revoked"]));
        Ok(())
    }
}

/// What is unusual about a key.
fn notes(key: &Value) -> String {
    let mut notes = String::new();
    for member in ["tenant", "restriction", "expires", "revoked"] {
        if let Some(value) = key[member].as_str() {
            notes.push_str(&format!("  {member} {value}"));
        }
    }
    notes
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
