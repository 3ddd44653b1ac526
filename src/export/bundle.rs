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
use crate::verify::BUNDLE_VERSION;
