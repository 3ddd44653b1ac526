//! Verifies an exported bundle: a file, read line by line, that needs neither its log nor a connection.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context;

use super::Given;
use crate::cli::progress::Progress;
use crate::verify::{Anchor, BundleCheck, HeldNote, LINE_BYTES_MAX, Report};

/// Reads and checks.
pub fn verify(path: &Path, given: &Given) -> anyhow::Result<Report> {
    let mut file = BufReader::with_capacity(1 << 18, File::open(path).context("it cannot be opened")?);
    let mut progress = Progress::new("rows verified");
    // A note is something from outside only if it can be compared: see below.
    let mut check = BundleCheck::new(&Anchor { has_notes: false, ..given.anchor.clone() });
    let (mut line, mut is_cut) = (Vec::new(), false);
    loop {
        line.clear();
        let n = file.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line).context("it cannot be read")?;
        if n == 0 {
            break;
        }
        is_cut = line.pop_if(|byte| *byte == b'\n').is_none();
        check.line(&line);
        if n == LINE_BYTES_MAX && is_cut {
            break;
        }
        progress.at(check.rows());
    }
    progress.finish(check.rows());
    let mut report = check.finish(is_cut);
    compare_notes(given, &mut report);
    Ok(report)
}

/// A bundle has one root: only a note of the same size can be held against it.
fn compare_notes(given: &Given, report: &mut Report) {
    let Some(key) = report.key.clone().and_then(|key| key.parse().ok()) else {
        return;
    };
    for note in given.held_notes(Some(&key)) {
        match note {
            Err(finding) => report.findings.push(finding),
            Ok(note) if note.checkpoint.size == report.size => compare(&note, report),
            Ok(note) => {
                report.remarks.push(format!(
                    "{} is of size {}, the bundle's checkpoint of size {}: they cannot be compared without the log",
                    note.name, note.checkpoint.size, report.size
                ));
            }
        }
    }
}

fn compare(note: &HeldNote, report: &mut Report) {
    match note.against(report.size, report.root, report.origin.as_deref()) {
        Some(finding) => report.findings.push(finding),
        None => {
            report.notes.push((note.name.clone(), note.checkpoint.size));
            report.unmet.clear();
        }
    }
}
