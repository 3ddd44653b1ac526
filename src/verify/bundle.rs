//! Checks an exported bundle line by line: a head with a signed checkpoint, rows with an inclusion proof each, a last line
//! that counts them. The format is drawn in README; `tests/interop/check_bundle.py` checks the same without our code.
//!
//! A bundle proves of each row that it is an entry of the log, unaltered, and that no row of the bundle was dropped after the
//! export. It does not prove that the export gave every entry that matches the query.

use serde::Deserialize;
use serde_json::Value;

use super::excised::Cut;
use super::notes::{Anchor, HeldNote};
use super::report::{Place, Report};
use super::served::{Evidence, Proven};
use crate::tree::{Hash, VerifierKey};

/// The format's version, in the first member of the first line.
pub const BUNDLE_VERSION: u64 = 1;
/// A longer line is none of ours: a body of 256 KiB in base64, and its proof.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// So many findings are told; more are counted.
const FINDINGS_MAX: usize = 20;
/// Bytes of a body's `time` up to its milliseconds, which is what rows are ordered by.
const TIME_MS_BYTES: usize = "2026-11-20T13:32:07.412".len();

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    annals_bundle: u64,
    origin: String,
    public_key: String,
    #[expect(dead_code, reason = "what was asked is for people; nothing proves it")]
    query: String,
    order: Order,
    checkpoint: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Order {
    #[serde(rename = "time")]
    TimeAsc,
    #[serde(rename = "-time")]
    TimeDesc,
    #[serde(rename = "seq")]
    SeqAsc,
    #[serde(rename = "-seq")]
    SeqDesc,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    rows: u64,
    /// A number, or null of an empty log. Not an `Option`, which would let it be absent.
    last_seq: Value,
}

/// A bundle as far as it was read.
pub struct BundleCheck {
    key: Option<VerifierKey>,
    report: Report,
    lines: u64,
    more_findings: u64,
    state: State,
}

enum State {
    /// Nothing was read.
    Begin,
    /// Rows follow.
    Rows(Rows),
    /// The last line was read.
    End,
    /// The first line was refused: nothing behind it can be checked.
    Refused,
}

struct Rows {
    order: Order,
    size: u64,
    root: Hash,
    rows: u64,
    highest: Option<u64>,
    /// Time up to the milliseconds, and seq, of the row before.
    before: Option<(String, u64)>,
}

impl BundleCheck {
    /// Nothing read yet. Signatures are checked with the anchor's key, else with the one in the bundle.
    pub fn new(anchor: &Anchor) -> BundleCheck {
        let report = Report { unmet: anchor.unmet().map(str::to_owned).into_iter().collect(), ..Report::default() };
        BundleCheck { key: anchor.key.clone(), report, lines: 0, more_findings: 0, state: State::Begin }
    }

    /// Takes the next line, without its line end.
    pub fn line(&mut self, line: &[u8]) {
        self.lines += 1;
        match std::mem::replace(&mut self.state, State::Refused) {
            State::Begin => self.head(line),
            State::Rows(rows) => self.row_or_last(rows, line),
            State::End => {
                self.found("something follows the last line");
                self.state = State::End;
            }
            State::Refused => {}
        }
    }

    /// The file is over; `is_cut` if it did not end with a line end.
    pub fn finish(mut self, is_cut: bool) -> Report {
        self.lines += 1;
        match self.state {
            State::Begin => self.found("there is no first line"),
            State::Rows(_) => self.found("the last line is missing: the bundle is not whole"),
            State::End if is_cut => self.found("the last line does not end"),
            State::End | State::Refused => {}
        }
        if self.report.cut_out > 0 {
            let why = "of entries whose content was cut out only the leaves are here: that they were to be cut out says the log";
            self.report.remarks.push(why.into());
        }
        if self.more_findings > 0 {
            self.report.remarks.push(format!("{} more findings are not listed", self.more_findings));
        }
        self.report
    }

    /// Entries proven so far.
    pub fn rows(&self) -> u64 {
        self.report.bodies
    }

    fn head(&mut self, line: &[u8]) {
        let head: Head = match serde_json::from_slice(line) {
            Ok(head) => head,
            Err(e) => return self.found(format!("not the first line of a bundle: {e}")),
        };
        if head.annals_bundle != BUNDLE_VERSION {
            return self.found(format!("bundle version {} is not known here", head.annals_bundle));
        }
        let named: VerifierKey = match head.public_key.parse() {
            Ok(key) => key,
            Err(e) => return self.found(format!("public_key: {e}")),
        };
        let key = self.key.clone().unwrap_or_else(|| named.clone());
        if key != named {
            return self.found(format!("public_key is {named}, not the key that was given"));
        }
        let note = match HeldNote::read("checkpoint", &head.checkpoint, Some(&key)) {
            Ok(note) => note,
            Err(finding) => return self.found(finding.to_string()),
        };
        let checkpoint = note.checkpoint;
        if checkpoint.origin != head.origin {
            return self.found(format!("origin is {}, the checkpoint's is {}", head.origin, checkpoint.origin));
        }
        self.report.origin = Some(head.origin);
        self.report.key = Some(key.to_string());
        self.report.size = checkpoint.size;
        self.report.signed_size = Some(checkpoint.size);
        self.report.root = Some(checkpoint.root);
        self.state = State::Rows(Rows {
            order: head.order,
            size: checkpoint.size,
            root: checkpoint.root,
            rows: 0,
            highest: None,
            before: None,
        });
    }

    fn row_or_last(&mut self, mut rows: Rows, line: &[u8]) {
        let evidence = match serde_json::from_slice::<Evidence>(line) {
            Ok(evidence) => evidence,
            Err(e) => match serde_json::from_slice::<Last>(line) {
                Ok(last) => return self.last(&rows, &last),
                Err(_) => {
                    self.found(format!("neither a row nor the last line: {e}"));
                    self.state = State::Rows(rows);
                    return;
                }
            },
        };
        rows.rows += 1;
        match evidence.check(rows.size, &rows.root) {
            Ok(proven) => {
                match proven.cut {
                    Some(Cut::Out(_)) => self.report.cut_out += 1,
                    Some(Cut::Says { .. }) | None => self.report.bodies += 1,
                }
                if let Some(why) = rows.follow(&proven) {
                    self.found(why);
                }
            }
            Err(e) => self.found(e.to_string()),
        }
        self.state = State::Rows(rows);
    }

    fn last(&mut self, rows: &Rows, last: &Last) {
        if last.rows != rows.rows {
            self.found(format!("the last line counts {} rows, there are {}", last.rows, rows.rows));
        }
        match (last.last_seq.as_u64(), last.last_seq.is_null()) {
            (Some(seq), _) if seq >= rows.size => {
                self.found(format!("last_seq is {seq}, the checkpoint's size is {}", rows.size));
            }
            (Some(seq), _) if rows.highest > Some(seq) => {
                self.found(format!("last_seq is {seq}, but a row has a higher seq"));
            }
            (None, true) if rows.rows > 0 => self.found("last_seq is null, but there are rows"),
            (None, false) => self.found("last_seq is neither a number nor null"),
            (Some(_), _) | (None, true) => {}
        }
        self.state = State::End;
    }

    fn found(&mut self, why: impl Into<String>) {
        match self.report.findings.len() < FINDINGS_MAX {
            true => self.report.found(Place::Line(self.lines), why),
            false => self.more_findings += 1,
        }
    }
}

impl Rows {
    /// Rows stand in the order that the head names, which also keeps one from standing there twice.
    fn follow(&mut self, row: &Proven) -> Option<String> {
        let (time, seq) = (row.time.get(..TIME_MS_BYTES).unwrap_or(&row.time).to_owned(), row.seq.0);
        self.highest = self.highest.max(Some(seq));
        let before = self.before.replace((time.clone(), seq))?;
        let is_behind = match self.order {
            Order::TimeAsc => before < (time, seq),
            Order::TimeDesc => before > (time, seq),
            Order::SeqAsc => before.1 < seq,
            Order::SeqDesc => before.1 > seq,
        };
        (!is_behind).then(|| format!("the row of event {seq} does not stand behind the one of event {}", before.1))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;
    use crate::tree::{Checkpoint, KeyKind, Leaf, SignerKey, commit, node_hash, tenant_tag};
    use crate::verify::Verdict;

    /// Two entries of one tenant: the smallest tree with a proof.
    fn lines() -> (SignerKey, Vec<Value>) {
        let key = SignerKey::new("annals/x", KeyKind::Log, &[1; 32]).unwrap();
        let bodies: Vec<String> = (0..2)
            .map(|n| format!(r#"{{"id":"e{n}","time":"2026-11-20T13:32:0{n}.000Z","tenant":"acme","action":"a.b"}}"#))
            .collect();
        let leaves: Vec<Leaf> = (0..)
            .zip(&bodies)
            .map(|(n, body)| Leaf {
                kind: 1,
                received_ms: n,
                tenant_tag: tenant_tag("acme"),
                tenant_seq: n,
                commit: commit(&[n as u8; 16], body.as_bytes()),
            })
            .collect();
        let root = node_hash(&leaves[0].hash(), &leaves[1].hash());
        let text = Checkpoint { origin: "annals/x".into(), size: 2, root }.to_text();
        let head = json!({"annals_bundle": 1, "origin": "annals/x", "public_key": key.public().to_string(), "query": "",
            "order": "seq", "checkpoint": format!("{text}\n{}", key.sign(&text, 0))});
        let mut lines = vec![head];
        for n in 0..2 {
            lines.push(
                json!({"seq": n, "leaf": STANDARD.encode(leaves[n].encode()), "salt": STANDARD.encode([n as u8; 16]),
                "body": STANDARD.encode(&bodies[n]), "proof": [STANDARD.encode(leaves[1 - n].hash())]}),
            );
        }
        lines.push(json!({"rows": 2, "last_seq": 1}));
        (key, lines)
    }

    fn check(anchor: &Anchor, lines: &[Value]) -> Report {
        let mut check = BundleCheck::new(anchor);
        lines.iter().for_each(|line| check.line(line.to_string().as_bytes()));
        check.finish(false)
    }

    #[test]
    fn a_whole_bundle_is_verified_and_without_a_key_the_policy_is_unmet() {
        let (key, lines) = lines();
        let anchor = Anchor { key: Some(key.public().clone()), has_notes: false };
        let report = check(&anchor, &lines);
        assert_eq!((report.verdict(), report.bodies, report.size), (Verdict::Verified, 2, 2), "{report:?}");
        assert_eq!(check(&Anchor::default(), &lines).verdict(), Verdict::PolicyUnmet);
        let empty = [lines[0].clone(), json!({"rows": 0, "last_seq": 1})];
        assert_eq!(check(&anchor, &empty).verdict(), Verdict::Verified);
    }

    #[test]
    fn what_is_altered_is_found_on_its_line() {
        let (_, good) = lines();
        let mut cases: Vec<(u64, Vec<Value>)> = Vec::new();
        let mut with = |line: u64, alter: &dyn Fn(&mut Vec<Value>)| {
            let mut lines = good.clone();
            alter(&mut lines);
            cases.push((line, lines));
        };
        with(1, &|lines| lines[0]["origin"] = json!("annals/y"));
        with(1, &|lines| lines[0]["annals_bundle"] = json!(2));
        with(1, &|lines| lines[0]["extra"] = json!(1));
        with(2, &|lines| lines[1]["seq"] = json!(1));
        with(2, &|lines| lines[1]["proof"] = json!([]));
        with(2, &|lines| lines[1]["salt"] = lines[2]["salt"].clone());
        with(3, &|lines| lines[2]["body"] = lines[1]["body"].clone());
        with(3, &|lines| lines[2] = lines[1].clone());
        with(3, &|lines| lines.swap(1, 2));
        with(3, &|lines| drop(lines.remove(1)));
        with(4, &|lines| drop(lines.pop()));
        with(4, &|lines| lines[3]["last_seq"] = json!(0));
        with(4, &|lines| lines[3]["last_seq"] = json!(2));
        with(4, &|lines| lines[3]["last_seq"] = json!(null));
        with(4, &|lines| drop(lines[3].as_object_mut().unwrap().remove("last_seq")));
        with(5, &|lines| lines.push(json!({"rows": 2, "last_seq": 1})));
        for (line, lines) in cases {
            let report = check(&Anchor::default(), &lines);
            assert_eq!(report.findings.first().map(|finding| &finding.place), Some(&Place::Line(line)), "{lines:?}");
        }
    }
}
