//! `annals search`: what a query finds, a line each, newest first.

use std::io::{self, Write};

use clap::Args;
use serde_json::Value;

use super::client::Server;

/// What to look for.
#[derive(Args)]
pub struct Search {
    #[command(flatten)]
    server: Server,
    /// Rows, at most 1,000
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    /// -time (newest first), time, -seq or seq
    #[arg(long, default_value = "-time", allow_hyphen_values = true)]
    order: String,
    /// Print the entries as NDJSON
    #[arg(long)]
    json: bool,
    /// The query, such as: action:contact.deleted maya time:7d
    #[arg(allow_hyphen_values = true)]
    query: Vec<String>,
}

impl Search {
    /// Asks and prints.
    pub fn run(self) -> anyhow::Result<()> {
        let (query, limit) = (self.query.join(" "), self.limit.to_string());
        let params = [("q", query.as_str()), ("limit", &limit), ("order", &self.order)];
        let answer = self.server.client()?.get_json("/v1/events", &params)?;
        let events = answer["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut out = io::stdout().lock();
        for event in events {
            match self.json {
                true => writeln!(out, "{event}")?,
                false => writeln!(out, "{}", line(event))?,
            }
        }
        if let Some(total) = answer["total"].as_u64() {
            eprintln!("{} of {total} entries", events.len());
        }
        Ok(())
    }
}

fn line(event: &Value) -> String {
    let text = |value: &Value| plain(value.as_str().unwrap_or_default());
    let actor = named(&event["actor"]);
    let mut line = format!("{}  {:<28} {actor}", text(&event["time"]), text(&event["action"]));
    if !event["target"].is_null() {
        line.push_str(&format!("  ->  {} {}", text(&event["target"]["type"]), named(&event["target"])));
    }
    for change in event["changes"].as_array().into_iter().flatten() {
        let side = |side: &str| plain(&change[side].as_str().map_or_else(|| change[side].to_string(), str::to_owned));
        line.push_str(&format!("  [{}: {} -> {}]", text(&change["field"]), side("before"), side("after")));
    }
    if event["outcome"] != "success" {
        line.push_str(&format!("  ({})", text(&event["outcome"])));
    }
    line
}

fn named(party: &Value) -> String {
    let name = party["name"].as_str().or(party["id"].as_str()).unwrap_or("-");
    plain(name)
}

/// Nothing that came from an event may steer the terminal or reorder the line.
fn plain(text: &str) -> String {
    let is_unsafe = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_unsafe(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_event_says_cannot_steer_the_terminal() {
        let event = serde_json::json!({"time": "t", "action": "a\u{1b}[2J", "actor": {"name": "x\u{202e}y\n"}, "outcome": "success"});
        let line = line(&event);
        assert!(!line.contains(['\u{1b}', '\u{202e}', '\n']), "{line:?}");
    }
}
