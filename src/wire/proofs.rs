//! What auditors are told: the log's name and key, evidence of an entry, consistency, and leaves in bundles.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::integrity::integrity;
use super::{array, optional, put, watermarks};
use crate::event::row::push_hex;
use crate::export::bundle;
use crate::index::source::Evidence;
use crate::json::write_string;
use crate::privacy::Plaintext;
use crate::store::integrity::Integrity;
use crate::store::watermarks::Marks;
use crate::tree::leaf::LEAF_BYTES;
use crate::tree::{Hash, TlogProof, VerifierKey};

/// What precedes an Ed25519 key in the DER of a SubjectPublicKeyInfo (RFC 8410), for tools such as openssl.
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// A leaf in a bundle: its length and its bytes.
pub const ENTRY_BYTES: usize = 2 + LEAF_BYTES;

/// `{"log_id","origin","public_key","public_key_pem","checkpoint","cosigned","integrity","watermarks"}`; `cosigned` is the
/// newest checkpoint that a witness signed too, or null.
pub fn log(
    log_id: &[u8; 16],
    key: Option<&VerifierKey>,
    checkpoint: &str,
    cosigned: Option<&str>,
    now: &Integrity,
    marks: Marks,
) -> String {
    let mut out = String::from("{\"log_id\":\"");
    push_hex(log_id, &mut out);
    out.push_str("\",\"origin\":");
    write_string(checkpoint.lines().next().unwrap_or_default(), &mut out);
    if let Some(key) = key {
        out.push_str(",\"public_key\":");
        write_string(&key.to_string(), &mut out);
        out.push_str(",\"public_key_pem\":");
        write_string(&pem(key), &mut out);
    }
    out.push_str(",\"checkpoint\":");
    write_string(checkpoint, &mut out);
    optional(&mut out, "cosigned", cosigned);
    integrity(&mut out, now);
    watermarks(&mut out, marks);
    out.push('}');
    out
}

fn pem(key: &VerifierKey) -> String {
    let der = [ED25519_SPKI.as_slice(), &key.public_bytes()].concat();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

/// `{"seq","leaf","salt","body","proof":[…],"opened":{…},"checkpoint"}`: bytes are in base64. `opened` is there if something is sealed and
/// could be opened: the SHA-256 of each is in the body's `sealed`. Where the content was cut out, `"excised":{"by","tenant"}` stands in the
/// place of salt and body.
pub fn evidence(evidence: &Evidence, opened: &[Plaintext], proof: &TlogProof) -> String {
    let mut out = String::new();
    bundle::write_members(evidence.seq, &evidence.leaf, &evidence.content, &proof.hashes, &mut out);
    for (n, (kind, plaintext)) in opened.iter().enumerate() {
        let before = if n == 0 { ",\"opened\":{" } else { "," };
        put(&mut out, format_args!("{before}\"{}\":\"{}\"", kind.as_str(), STANDARD.encode(&**plaintext)));
    }
    out.push_str(if opened.is_empty() { ",\"checkpoint\":" } else { "},\"checkpoint\":" });
    write_string(&proof.checkpoint, &mut out);
    out.push('}');
    out
}

/// `{"from":{"size","root"},"to":{"size","root"},"proof":[…],"checkpoint"}`
pub fn consistency(roots: &[(u64, Hash); 2], proof: &[Hash], checkpoint: &str) -> String {
    let mut out = String::from("{");
    for (name, (size, root)) in ["from", "to"].iter().zip(roots) {
        put(&mut out, format_args!("\"{name}\":{{\"size\":{size},\"root\":\"{}\"}},", STANDARD.encode(root)));
    }
    out.push_str("\"proof\":");
    hashes(&mut out, proof);
    out.push_str(",\"checkpoint\":");
    write_string(checkpoint, &mut out);
    out.push('}');
    out
}

/// A leaf as bundles of entries hold it: its length, big-endian, and its bytes.
pub fn push_entry(leaf: &[u8; LEAF_BYTES], out: &mut Vec<u8>) {
    out.extend_from_slice(&(LEAF_BYTES as u16).to_be_bytes());
    out.extend_from_slice(leaf);
}

fn hashes(out: &mut String, hashes: &[Hash]) {
    array(out, hashes, |out, hash| put(out, format_args!("\"{}\"", STANDARD.encode(hash))));
}
