//! Detection rules in the style of rule converters (Sigma), asked of the real events and counted a second time by Python.
//! `tests/interop/sigma_queries.toml` has the rules: to each query, what it is about, in words that know nothing of our
//! language; `sigma_check.py` evaluates those on the events as they were sent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::data::{real_events, skipped};
use crate::world::World;

/// Below these the file has lost its use.
const QUERIES_MIN: usize = 40;
const WITH_HITS_MIN: usize = 30;

/// What `sigma_check.py` exits with where Python is too old to read the rules.
const PYTHON_TOO_OLD: i32 = 3;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    title: String,
    /// As a converter writes it.
    query: String,
    /// The same rule for Python, which alone reads it.
    #[serde(rename = "where")]
    _condition: String,
    /// Whether the log is asked as well as the index.
    #[serde(default)]
    scan: bool,
    /// What is said against a query that is not answered, on purpose.
    refused: Option<String>,
    /// How many are found where the query is read otherwise than by Lucene, on purpose.
    finds: Option<u64>,
    /// Why, for either; for whoever reads the file.
    #[serde(rename = "why")]
    _why: Option<String>,
}

#[derive(Deserialize)]
struct Rules {
    rule: Vec<Rule>,
}

fn rules() -> Vec<Rule> {
    let path = interop("sigma_queries.toml");
    let text = std::fs::read_to_string(&path).expect("the rules");
    toml::from_str::<Rules>(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())).rule
}

fn interop(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(name)
}

/// How many of these events Python finds for each title; none, and a loud notice, without a Python that can.
fn counts_of_python(events: &str) -> Option<BTreeMap<String, u64>> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("events.ndjson");
    std::fs::write(&file, events).expect("write");
    let output = match Command::new("python3").arg(interop("sigma_check.py")).arg(&file).output() {
        Ok(output) => output,
        Err(error) => {
            skipped(&format!("rules against Python: python3 does not start ({error})"));
            return None;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(PYTHON_TOO_OLD) {
        skipped(&format!("rules against Python: {said}"));
        return None;
    }
    assert!(output.status.success(), "sigma_check.py: {said}");
    Some(serde_json::from_slice(&output.stdout).expect("counts as JSON"))
}

/// The exact total of a query, or what the server says against it.
fn total(world: &World, query: &str, engine: Option<&str>) -> Result<u64, String> {
    let mut params = vec![("q", query), ("count", "exact"), ("limit", "1")];
    params.extend(engine.map(|engine| ("engine", engine)));
    let answer = world.ask("/v1/events", &params);
    let json = answer.json();
    match json["total"].as_u64() {
        Some(total) => Ok(total),
        None => Err(format!("{}: {}", answer.status, json["detail"])),
    }
}

#[test]
fn rules_as_converters_write_them_find_what_python_finds() {
    let rules = rules();
    let asked = rules.iter().filter(|rule| rule.refused.is_none() && rule.finds.is_none()).count();
    assert!(asked >= QUERIES_MIN, "only {asked} queries are left");
    let Some(events) = real_events() else {
        return;
    };
    let Some(expected) = counts_of_python(&events) else {
        return;
    };
    assert_eq!(expected.len(), rules.len(), "two rules have the same title");
    let world = World::start();
    world.load(events.lines());

    let mut differences = Vec::new();
    let mut with_hits = 0;
    for rule in &rules {
        let python = rule.finds.unwrap_or(expected[&rule.title]);
        if let Some(said) = &rule.refused {
            let found = total(&world, &rule.query, None);
            assert!(found.as_ref().is_err_and(|error| error.contains(said)), "{}: {found:?}", rule.title);
            continue;
        }
        with_hits += usize::from(python > 0);
        let engines: &[Option<&str>] = if rule.scan { &[None, Some("scan")] } else { &[None] };
        for engine in engines {
            let found = total(&world, &rule.query, *engine);
            if found != Ok(python) {
                differences.push(difference(rule, *engine, &found, python));
            }
        }
    }
    assert!(differences.is_empty(), "\n{:>8}  {:>8}  rule\n{}", "found", "Python", differences.concat());
    assert!(with_hits >= WITH_HITS_MIN, "only {with_hits} queries find anything");
}

/// Two lines of the table: the counts and the title, then the query.
fn difference(rule: &Rule, engine: Option<&str>, found: &Result<u64, String>, python: u64) -> String {
    let by = engine.map(|engine| format!(" (engine={engine})")).unwrap_or_default();
    let (count, said) = match found {
        Ok(count) => (count.to_string(), String::new()),
        Err(said) => ("refused".to_owned(), format!("\n{:>20}  {said}", "")),
    };
    format!("{count:>8}  {python:>8}  {}{by}\n{:>20}  {}{said}\n", rule.title, "", rule.query)
}
