//! A bundle: rows as evidence, so that whoever has the file and the log's public key needs nothing else to verify them.
//!
//! A line each: a head with the signed checkpoint that all proofs lead to, the rows, and a count. README draws the format,
//! `verify` reads it, `tests/interop/check_bundle.py` reads it without our code. Where proofs come from the caller knows.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::json::write_string;
use crate::seq::Seq;
use crate::tree::leaf::LEAF_BYTES;
use crate::tree::{Hash, VerifierKey};

/// In the first line's first member. A change of the format takes the next number.
const VERSION: u32 = 1;

/// What the first line says.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// What the log calls itself.
    pub origin: &'a str,
    /// What its checkpoints are verified with.
    pub key: &'a VerifierKey,
    /// The query, in its canonical text.
    pub query: &'a str,
    /// The `order=` word.
    pub order: &'a str,
    /// The signed checkpoint that the proofs lead to, whole.
    pub checkpoint: &'a str,
}

/// What a row's leaf commits to, as far as it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// All of it.
    Whole {
        /// What keeps the commitment from being guessed.
        salt: [u8; 16],
        /// The body, byte for byte.
        body: Vec<u8>,
    },
    /// It was cut out of the log for good.
    CutOut {
        /// The entry that says who had that done, and why.
        by: Seq,
        /// Whose it was; the leaf has a hash of it.
        tenant: String,
    },
}

/// Appends the first line.
pub fn write_head(head: &Head<'_>, out: &mut String) {
    put(out, format_args!("{{\"annals_bundle\":{VERSION}"));
    for (member, value) in [
        (",\"origin\":", head.origin),
        (",\"public_key\":", &head.key.to_string()),
        (",\"query\":", head.query),
        (",\"order\":", head.order),
        (",\"checkpoint\":", head.checkpoint),
    ] {
        out.push_str(member);
        write_string(value, out);
    }
    out.push_str("}\n");
}

/// Appends one row's line.
pub fn write_row(seq: Seq, leaf: &[u8; LEAF_BYTES], content: &Content, proof: &[Hash], out: &mut String) {
    write_members(seq, leaf, content, proof, out);
    out.push_str("}\n");
}

/// Appends `{"seq","leaf","salt","body","proof":[…]`, open for more: what is needed to check one entry. Where the content was cut
/// out, `"excised":{"by","tenant"}` stands in the place of salt and body.
pub fn write_members(seq: Seq, leaf: &[u8; LEAF_BYTES], content: &Content, proof: &[Hash], out: &mut String) {
    put(out, format_args!("{{\"seq\":{seq},\"leaf\":\""));
    STANDARD.encode_string(leaf, out);
    match content {
        Content::Whole { salt, body } => {
            out.reserve(body.len() * 4 / 3 + proof.len() * 48 + 256);
            out.push_str("\",\"salt\":\"");
            STANDARD.encode_string(salt, out);
            out.push_str("\",\"body\":\"");
            STANDARD.encode_string(body, out);
            out.push_str("\",\"proof\":[");
        }
        Content::CutOut { by, tenant } => {
            put(out, format_args!("\",\"excised\":{{\"by\":{by},\"tenant\":"));
            write_string(tenant, out);
            out.push_str("},\"proof\":[");
        }
    }
    for (i, hash) in proof.iter().enumerate() {
        out.push_str(if i == 0 { "\"" } else { ",\"" });
        STANDARD.encode_string(hash, out);
        out.push('"');
    }
    out.push(']');
}

/// Appends the last line: without it, or with another number, the bundle is not whole. `last` is the snapshot's last seq.
pub fn write_last(rows: u64, last: Option<u64>, out: &mut String) {
    put(out, format_args!("{{\"rows\":{rows},\"last_seq\":"));
    match last {
        Some(last) => put(out, format_args!("{last}}}\n")),
        None => out.push_str("null}\n"),
    }
}

fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{KeyKind, SignerKey};

    #[test]
    fn the_lines_are_json_in_the_order_that_is_documented() {
        let key = SignerKey::new("annals/x", KeyKind::Log, &[1; 32]).unwrap();
        let mut out = String::new();
        let head =
            Head { origin: "annals/x", key: key.public(), query: "a\"b", order: "-time", checkpoint: "annals/x\n0\n" };
        write_head(&head, &mut out);
        let content = Content::Whole { salt: [2; 16], body: b"{}".to_vec() };
        write_row(Seq(7), &[1; LEAF_BYTES], &content, &[[3; 32], [4; 32]], &mut out);
        let content = Content::CutOut { by: Seq(9), tenant: "a\"b".into() };
        write_row(Seq(8), &[1; LEAF_BYTES], &content, &[], &mut out);
        write_last(1, Some(9), &mut out);
        write_last(0, None, &mut out);
        let lines: Vec<&str> = out.lines().collect();
        assert!(
            lines[0].starts_with("{\"annals_bundle\":1,\"origin\":\"annals/x\",\"public_key\":\"annals/x+"),
            "{}",
            lines[0]
        );
        assert!(lines[0].ends_with("\"query\":\"a\\\"b\",\"order\":\"-time\",\"checkpoint\":\"annals/x\\n0\\n\"}"));
        let row: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
        assert_eq!((&row["seq"], &row["body"], row["proof"].as_array().unwrap().len()), (&7.into(), &"e30=".into(), 2));
        assert!(lines[2].ends_with(r#"","excised":{"by":9,"tenant":"a\"b"},"proof":[]}"#), "{}", lines[2]);
        assert_eq!(lines[3..], ["{\"rows\":1,\"last_seq\":9}", "{\"rows\":0,\"last_seq\":null}"]);
    }
}
