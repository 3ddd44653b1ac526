//! What the files are called, in a data directory, that others are shown: keys and signed checkpoints.

/// Hourly checkpoints, `<size>.note`, kept for ever.
pub const NOTES: &str = "checkpoints";
/// The key that verifies checkpoints: one line.
pub const PUBLIC_KEY: &str = "public.key";
/// The key that signs them, a secret (0400).
pub const SIGNING_KEY: &str = "signing.key";
/// Keys that signed earlier checkpoints and were replaced on purpose (`--accept-new-key`): one a line.
pub const REPLACED_KEYS: &str = "replaced.keys";
