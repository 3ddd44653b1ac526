//! What the files are called, in a data directory, that others are shown: keys and signed checkpoints.

use std::path::Path;

use super::note::VerifierKey;
use crate::durable::{Disk, read_small};

/// A key has about 150 bytes.
const KEY_BYTES_MAX: u64 = 64 << 10;

/// Hourly checkpoints, `<size>.note`, kept for ever.
pub const NOTES: &str = "checkpoints";
/// The key that verifies checkpoints: one line.
pub const PUBLIC_KEY: &str = "public.key";
/// The key that signs them, a secret (0400).
pub const SIGNING_KEY: &str = "signing.key";
/// Keys that signed earlier checkpoints and were replaced on purpose (`--accept-new-key`): one a line.
pub const REPLACED_KEYS: &str = "replaced.keys";

/// The key that verifies the checkpoints of a data directory, if it has one that can be read.
pub fn read_public_key(disk: &dyn Disk, dir: &Path) -> Option<VerifierKey> {
    let bytes = read_small(disk, &dir.join(PUBLIC_KEY), KEY_BYTES_MAX).ok()?;
    std::str::from_utf8(&bytes).ok()?.trim_end().parse().ok()
}
