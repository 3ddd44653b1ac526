//! The Merkle tree over the log: leaves, hashes, the tile files that hold them, and each tenant's last number.
//!
//! Hashes are RFC 6962's, unchanged. When to append, sync or cut is decided above; `tree/` can always be rebuilt
//! from the log, so nothing here is synced per batch.

pub mod leaf;
pub mod merkle;
pub mod tenants;
pub mod tiles;

pub use leaf::{Leaf, commit, tenant_tag};
pub use merkle::{Frontier, Hash, empty_root, leaf_hash, node_hash};
pub use tenants::{Numbers, Tenants};
pub use tiles::Tiles;
