//! Verifies a server from outside, through what it serves to anybody: every leaf is fetched and the root recomputed, the
//! tiles are compared, and of a sample of entries the body is held against its leaf.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, anyhow, bail};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::index;
use serde_json::Value;

use super::Given;
use crate::cli::client::{Client, Refusal};
use crate::cli::progress::Progress;
use crate::durable;
use crate::seq::Seq;
use crate::tree::tiles::{HASH_BYTES, TILE_HASHES};
use crate::tree::{Hash, VerifierKey, tile_path};
use crate::verify::excised::Cut;
use crate::verify::{Evidence, Growth, HeldNote, Place, Proven, Report, Stored, StoredError, leaves_of_bundle};

/// The largest answer is the evidence of an event of 256 KiB, in base64.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// So many of a sample's entries are told of if their evidence is wrong.
const SAMPLE_FINDINGS_MAX: usize = 10;
const CHECKPOINT: &str = "/checkpoint";

/// Fetches and checks.
pub fn verify(client: &Client, given: &Given) -> anyhow::Result<Report> {
    let unmet = given.anchor.unmet().map(str::to_owned).into_iter().collect();
    let mut report = Report { unmet, ..Report::default() };
    let key = key(client, given, &mut report)?;
    report.key = Some(key.to_string());
    let Some(checkpoint) = checkpoint(client, &key, &mut report)? else {
        return Ok(report);
    };
    let size = checkpoint.checkpoint.size;
    report.origin = Some(checkpoint.checkpoint.origin.clone());
    report.signed_size = Some(size);

    let mut notes = vec![checkpoint];
    for note in given.held_notes(Some(&key)) {
        match note {
            Ok(note) => notes.push(note),
            Err(finding) => report.findings.push(finding),
        }
    }
    let mut sample = choose(given, size, &mut report)?;
    let mut tiles = Tiles { client, size, held: HashMap::new(), refused: BTreeMap::new() };
    let mut growth = Growth::new(notes.iter().map(|note| note.checkpoint.size), &mut tiles);
    let is_whole = walk(client, size, &mut growth, &mut sample, &mut report)?;
    (report.size, report.root, report.tenants) = (growth.size(), Some(growth.root()), growth.tenants());
    report.tree_hashes = growth.compared();
    for note in notes {
        if !is_whole && note.checkpoint.size > growth.size() {
            continue;
        }
        match note.against(size, growth.root_at(note.checkpoint.size), report.origin.as_deref()) {
            Some(finding) => report.findings.push(finding),
            None => report.notes.push((note.name, note.checkpoint.size)),
        }
    }
    report.findings.extend(growth.findings());
    for (path, refusal) in tiles.refused {
        report.found(Place::Named(path), refused(&refusal));
    }
    if is_whole {
        check_sample(client, &key, &sample, &mut report)?;
    }
    Ok(report)
}

/// The key given, else the one that the server names.
fn key(client: &Client, given: &Given, report: &mut Report) -> anyhow::Result<VerifierKey> {
    let log = match client.get_small("/v1/log", ANSWER_BYTES_MAX)? {
        Ok(log) => serde_json::from_slice::<Value>(&log).context("/v1/log is no JSON")?,
        Err(refusal) => bail!("/v1/log: {}", refused(&refusal)),
    };
    let own = log["public_key"].as_str();
    let Some(key) = &given.anchor.key else {
        let own = own.ok_or_else(|| anyhow!("/v1/log names no public_key, and none was given"))?;
        return own.parse().map_err(|error| anyhow!("/v1/log: {error}"));
    };
    if own != Some(key.to_string().as_str()) {
        report
            .found(Place::Named("/v1/log".into()), format!("it names {}, not the key given", own.unwrap_or("no key")));
    }
    Ok(key.clone())
}

fn checkpoint(client: &Client, key: &VerifierKey, report: &mut Report) -> anyhow::Result<Option<HeldNote>> {
    let text = match client.get_small(CHECKPOINT, ANSWER_BYTES_MAX)? {
        Ok(text) => text,
        Err(refusal) => bail!("{CHECKPOINT}: {}", refused(&refusal)),
    };
    match HeldNote::read(CHECKPOINT, &String::from_utf8_lossy(&text), Some(key)) {
        Ok(note) => Ok(Some(note)),
        Err(finding) => {
            report.findings.push(finding);
            Ok(None)
        }
    }
}

/// Entries whose bodies will be asked for; their leaves' hashes are filled in on the way. Chosen anew each time, so that a
/// server cannot know them beforehand.
fn choose(given: &Given, size: u64, report: &mut Report) -> anyhow::Result<BTreeMap<u64, Option<Hash>>> {
    let seed = match given.seed {
        Some(seed) => seed,
        None => u64::from_le_bytes(durable::random().context("no random numbers")?),
    };
    let total = usize::try_from(size).context("more events than can be counted here")?;
    let wanted = usize::try_from(given.sample).unwrap_or(usize::MAX).min(total);
    let chosen = index::sample(&mut StdRng::seed_from_u64(seed), total, wanted);
    if wanted > 0 {
        report.remarks.push(format!("the sample of {wanted} entries was chosen with --seed {seed}"));
    }
    Ok(chosen.into_iter().map(|seq| (seq as u64, None)).collect())
}

/// Fetches every leaf. Answers whether all were there and in order.
fn walk(
    client: &Client,
    size: u64,
    growth: &mut Growth<'_>,
    sample: &mut BTreeMap<u64, Option<Hash>>,
    report: &mut Report,
) -> anyhow::Result<bool> {
    let mut progress = Progress::new("leaves verified");
    for tile in 0..size.div_ceil(TILE_HASHES) {
        let first = tile * TILE_HASHES;
        let width = TILE_HASHES.min(size - first);
        let path = format!("/tile/entries/{}", tile_path::print(tile, width));
        let leaves = match client.get_small(&path, ANSWER_BYTES_MAX)? {
            Ok(bytes) => leaves_of_bundle(&bytes, width).map_err(str::to_owned),
            Err(refusal) => Err(refused(&refusal)),
        };
        let leaves = match leaves {
            Ok(leaves) => leaves,
            Err(why) => {
                report.found(Place::Named(path), why);
                return Ok(false);
            }
        };
        for (seq, leaf) in (first..).zip(leaves) {
            if let Err(fault) = growth.follow(&leaf) {
                report.found(Place::Event(Seq(seq)), fault.to_string());
                return Ok(false);
            }
            let hash = leaf.hash();
            growth.push(hash).map_err(|error| anyhow!(error))?;
            if let Some(chosen) = sample.get_mut(&seq) {
                *chosen = Some(hash);
            }
        }
        growth.keep_numbers();
        progress.at(growth.size());
    }
    progress.finish(growth.size());
    Ok(true)
}

fn check_sample(
    client: &Client,
    key: &VerifierKey,
    sample: &BTreeMap<u64, Option<Hash>>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut progress = Progress::new("bodies verified");
    let mut wrong = 0;
    for (seq, hash) in sample {
        match check_entry(client, key, *seq, hash.as_ref())? {
            Ok(()) => report.bodies += 1,
            Err(why) if wrong < SAMPLE_FINDINGS_MAX => {
                wrong += 1;
                report.found(Place::Event(Seq(*seq)), why);
            }
            Err(_) => wrong += 1,
        }
        progress.at(report.bodies);
    }
    if wrong > SAMPLE_FINDINGS_MAX {
        report.remarks.push(format!("{} more entries of the sample are wrong", wrong - SAMPLE_FINDINGS_MAX));
    }
    progress.finish(report.bodies);
    Ok(())
}

/// The evidence of one entry. It comes with a checkpoint of its own, since the log may have grown.
fn check_entry(
    client: &Client,
    key: &VerifierKey,
    seq: u64,
    leaf_hash: Option<&Hash>,
) -> anyhow::Result<Result<(), String>> {
    let proven = match prove(client, key, seq)? {
        Ok(proven) if Some(&proven.leaf_hash) == leaf_hash => proven,
        Ok(_) => return Ok(Err("the evidence is of another leaf than the one served in the tiles".into())),
        Err(why) => return Ok(Err(why)),
    };
    let Some(Cut::Out(left)) = proven.cut else { return Ok(Ok(())) };
    let by = left.by;
    Ok(match prove(client, key, by.0)? {
        Ok(said) if left.is_said(Seq(seq), said.cut.as_ref()) => Ok(()),
        Ok(_) => Err(format!("its content was cut out, and entry {by} does not say that it was to be")),
        Err(why) => Err(format!("its content was cut out, and entry {by} cannot be checked: {why}")),
    })
}

fn prove(client: &Client, key: &VerifierKey, seq: u64) -> anyhow::Result<Result<Proven, String>> {
    let answer = match client.get_small(&format!("/v1/events/@{seq}/evidence"), ANSWER_BYTES_MAX)? {
        Ok(answer) => answer,
        Err(refusal) => return Ok(Err(refused(&refusal))),
    };
    Ok(judge(&answer, key, seq))
}

fn judge(answer: &[u8], key: &VerifierKey, seq: u64) -> Result<Proven, String> {
    let mut answer: Value =
        serde_json::from_slice(answer).map_err(|error| format!("its evidence is no JSON: {error}"))?;
    let note = answer.as_object_mut().and_then(|members| members.remove("checkpoint"));
    let note = note.as_ref().and_then(Value::as_str).ok_or("its evidence has no checkpoint")?;
    let note = HeldNote::read("its checkpoint", note, Some(key)).map_err(|finding| finding.to_string())?;
    let evidence: Evidence = serde_json::from_value(answer).map_err(|error| format!("its evidence: {error}"))?;
    let proven = evidence.check(note.checkpoint.size, &note.checkpoint.root).map_err(|fault| fault.to_string())?;
    match proven.seq == Seq(seq) {
        true => Ok(proven),
        false => Err("its evidence is of another entry".into()),
    }
}

fn refused(refusal: &Refusal) -> String {
    format!("the server answered {}: {}", refusal.status, refusal.why)
}

/// The server's tiles, one of each level at a time.
struct Tiles<'a> {
    client: &'a Client,
    size: u64,
    /// Per level the tile at hand.
    held: HashMap<u32, (u64, Vec<Hash>)>,
    refused: BTreeMap<String, Refusal>,
}

impl Stored for Tiles<'_> {
    fn hash(&mut self, level: u32, index: u64) -> Result<Option<Hash>, StoredError> {
        let tile = index / TILE_HASHES;
        if self.held.get(&level).is_none_or(|(held, _)| *held != tile) {
            let width = TILE_HASHES.min((self.size >> (8 * level)) - tile * TILE_HASHES);
            let path = format!("/tile/{level}/{}", tile_path::print(tile, width));
            let hashes = match self.client.get_small(&path, ANSWER_BYTES_MAX)? {
                Ok(bytes) if bytes.len() as u64 == width * HASH_BYTES => bytes.as_chunks().0.to_vec(),
                // A tile of another length differs in every hash.
                Ok(_) => vec![[0; 32]; width as usize],
                Err(refusal) => {
                    self.refused.insert(path, refusal);
                    Vec::new()
                }
            };
            self.held.insert(level, (tile, hashes));
        }
        Ok(self.held.get(&level).and_then(|(_, hashes)| hashes.get((index % TILE_HASHES) as usize)).copied())
    }
}
