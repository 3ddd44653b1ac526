//! `annals verify`: is it still what it was? Of a data directory, a server, or an exported bundle.
//!
//! This file reads arguments and prints what was learned; a file each opens what is verified; `crate::verify` judges.
//! Nothing is written and no lock is taken, so a directory may be verified while a server runs on it.

mod bundle;
mod directory;
mod server;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::json;

use super::client::Credentials;
use super::start_log;
use crate::event::row::hex;
use crate::tree::note::NOTE_BYTES_MAX;
use crate::tree::{Checkpoint, Note, VerifierKey};
use crate::verify::sealed::SealedCounts;
use crate::verify::{Anchor, Finding, HeldNote, Report, Verdict};

/// What the command says by its end.
pub const EXIT_CODES: &str = "Exit codes: 0 verified, 1 tampered with or lost (says where), 2 could not run (no such directory, \
a file or address that cannot be read, wrong arguments), 3 sound in itself, but nothing from outside was given to hold it \
against (--key or --since), or its checkpoint is unsigned.";

/// The largest key or note file that is read; both are far smaller.
const SMALL_FILE_MAX: u64 = NOTE_BYTES_MAX as u64;

/// What to verify, against what.
#[derive(Args)]
pub struct Verify {
    /// A data directory (a server may run on it), the URL of a server, or a file made by `annals export --bundle`
    target: String,
    /// The log's public key, as `GET /v1/log` and the file public.key have it: name+id+key
    #[arg(long, conflicts_with = "key_file")]
    key: Option<String>,
    /// A file with that key
    #[arg(long)]
    key_file: Option<PathBuf>,
    /// A signed checkpoint kept from earlier, which the log must be an extension of; may be given several times
    #[arg(long)]
    since: Vec<PathBuf>,
    /// Entries of a server whose bodies are checked
    #[arg(long, default_value_t = 100)]
    sample: u64,
    /// Chooses the same entries again
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    credentials: Credentials,
    /// Print what was learned as JSON
    #[arg(long)]
    json: bool,
    /// The key-encryption key of a directory, to open what is sealed too; default kek in the directory, if it is there
    #[arg(long, value_name = "FILE")]
    kek_file: Option<PathBuf>,
}

/// What is given from outside, read.
struct Given {
    kek_file: Option<PathBuf>,
    anchor: Anchor,
    /// Names and texts of the notes; that they are notes was checked, their signatures were not.
    notes: Vec<(String, String)>,
    sample: u64,
    seed: Option<u64>,
}

impl Verify {
    /// Verifies, prints and answers the exit code.
    pub fn run(self) -> ExitCode {
        start_log("error");
        let is_json = self.json;
        let target = self.target.clone();
        match self.verify() {
            Ok(report) => {
                let text = if is_json { as_json(&target, &report) } else { as_text(&target, &report) };
                // Nobody may be listening: the exit code says it too.
                let _ = io::stdout().write_all(text.as_bytes());
                ExitCode::from(code(report.verdict()))
            }
            Err(error) => {
                if is_json {
                    let text = json!({"verdict": "could_not_run", "target": target, "error": format!("{error:#}")});
                    let _ = writeln!(io::stdout(), "{text}");
                }
                eprintln!("annals: cannot verify {target}: {error:#}");
                ExitCode::from(2)
            }
        }
    }

    fn verify(self) -> anyhow::Result<Report> {
        let given = Given {
            anchor: Anchor { key: self.read_key()?, has_notes: !self.since.is_empty() },
            notes: self.since.iter().map(|path| read_note(path)).collect::<anyhow::Result<_>>()?,
            sample: self.sample,
            seed: self.seed,
            kek_file: self.kek_file.clone(),
        };
        if self.target.starts_with("http://") || self.target.starts_with("https://") {
            return server::verify(&self.credentials.client(&self.target)?, &given);
        }
        let path = Path::new(&self.target);
        let kind = fs::metadata(path).context("it cannot be read")?;
        match kind.is_dir() {
            true => directory::verify(path, &given),
            false => bundle::verify(path, &given),
        }
    }

    fn read_key(&self) -> anyhow::Result<Option<VerifierKey>> {
        let text = match (&self.key, &self.key_file) {
            (Some(key), _) => key.clone(),
            (None, Some(path)) => read_text(path)?,
            (None, None) => return Ok(None),
        };
        let key = text.trim().parse().map_err(|error| anyhow!("the key {:?}: {error}", text.trim()))?;
        Ok(Some(key))
    }
}

impl Given {
    /// The notes, each a finding instead if the key did not sign it.
    fn held_notes(&self, key: Option<&VerifierKey>) -> Vec<Result<HeldNote, Finding>> {
        self.notes.iter().map(|(name, text)| HeldNote::read(name, text, key)).collect()
    }
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    let length = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    if length > SMALL_FILE_MAX {
        bail!("{} has {length} bytes, at most {SMALL_FILE_MAX} are expected", path.display());
    }
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn read_note(path: &Path) -> anyhow::Result<(String, String)> {
    let text = read_text(path)?;
    let note = Note::parse(&text).map_err(|error| anyhow!("{}: {error}", path.display()))?;
    if Checkpoint::parse(note.text).is_none() {
        bail!("{} is signed, but no checkpoint", path.display());
    }
    Ok((path.display().to_string(), text))
}

fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Verified => 0,
        Verdict::Tampered => 1,
        Verdict::PolicyUnmet => 3,
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Verified => "verified",
        Verdict::Tampered => "tampered_or_lost",
        Verdict::PolicyUnmet => "policy_unmet",
    }
}

fn as_json(target: &str, report: &Report) -> String {
    let findings: Vec<_> =
        report.findings.iter().map(|finding| json!({"place": finding.place.to_string(), "why": finding.why})).collect();
    let notes: Vec<_> = report.notes.iter().map(|(name, size)| json!({"name": name, "size": size})).collect();
    let text = json!({
        "verdict": word(report.verdict()),
        "target": target,
        "origin": report.origin,
        "size": report.size,
        "root": report.root.map(|root| STANDARD.encode(root)),
        "signed_size": report.signed_size,
        "key": report.key,
        "tenants": report.tenants,
        "notes": notes,
        "tree_hashes": report.tree_hashes,
        "bodies": report.bodies,
        "sealed": {
            "entries": report.sealed.entries, "keys": report.sealed.keys, "erased_keys": report.sealed.erased,
        },
        "cut_out": report.cut_out,
        "remarks": report.remarks,
        "findings": findings,
        "unmet": report.unmet,
    });
    format!("{text}\n")
}

fn as_text(target: &str, report: &Report) -> String {
    let mut lines = vec![match report.verdict() {
        Verdict::Verified => format!("{target}: verified"),
        Verdict::Tampered => format!("{target}: TAMPERED WITH OR LOST"),
        Verdict::PolicyUnmet => format!("{target}: sound in itself, but not verified"),
    }];
    lines.extend(report.findings.iter().map(|finding| format!("  {finding}")));
    lines.extend(report.unmet.iter().map(|why| format!("  {why}")));
    if let Some(root) = &report.root {
        lines.push(format!("{} events, root {}", report.size, hex(root)));
    }
    if let (Some(size), Some(key)) = (report.signed_size, &report.key) {
        lines.push(format!("signed up to {size} by {key}"));
    }
    if report.bodies > 0 {
        lines.push(format!("{} bodies are those that their leaves commit to", report.bodies));
    }
    if report.tenants > 0 {
        lines.push(format!("the numbers of {} tenants have no gaps", report.tenants));
    }
    if report.tree_hashes > 0 {
        lines.push(format!("{} hashes of the tree compared", report.tree_hashes));
    }
    if report.sealed.keys > 0 {
        let SealedCounts { entries, keys, erased } = report.sealed;
        lines.push(format!("{entries} entries are sealed under {keys} keys; {erased} of these were destroyed, each by an erasure in the log"));
    }
    if report.cut_out > 0 {
        let entries = if report.cut_out == 1 { "entry" } else { "entries" };
        lines.push(format!("the content of {} {entries} was cut out; the proof of each is there", report.cut_out));
    }
    lines.extend(report.notes.iter().map(|(name, size)| format!("compared with {name}, of size {size}")));
    lines.extend(report.remarks.iter().cloned());
    lines.join("\n") + "\n"
}

/// What a directory is worth to who is about to bring it back.
pub struct DirectoryVerdict {
    /// It is not what it was.
    pub is_tampered: bool,
    /// What was learned, for people.
    pub text: String,
}

/// Verifies a directory for another command.
pub fn directory_verdict(dir: &Path, key: Option<&str>, since: &[PathBuf]) -> anyhow::Result<DirectoryVerdict> {
    let verify = Verify {
        target: dir.display().to_string(),
        key: key.map(str::to_owned),
        key_file: None,
        since: since.to_vec(),
        sample: 0,
        seed: None,
        credentials: Credentials::default(),
        json: false,
        kek_file: None,
    };
    let report = verify.verify().with_context(|| format!("cannot verify {}", dir.display()))?;
    Ok(DirectoryVerdict {
        is_tampered: report.verdict() == Verdict::Tampered,
        text: as_text(&dir.display().to_string(), &report),
    })
}
