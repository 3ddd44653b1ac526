//! The Merkle tree over the log: leaves, hashes, the tile files that hold them, each tenant's last number; and what is
//! said about it to others: proofs, checkpoints, signed notes.
//!
//! Hashes are RFC 6962's, unchanged. When to append, sync or cut is decided above; `tree/` can always be rebuilt
//! from the log, so nothing here is synced per batch.

pub mod checkpoint;
pub mod files;
pub mod last_tile;
pub mod leaf;
pub mod merkle;
pub mod note;
pub mod proof;
pub mod prover;
pub mod tenants;
pub mod tile_path;
pub mod tile_reader;
pub mod tiles;

pub use checkpoint::Checkpoint;
pub use last_tile::LastTile;
pub use leaf::{Leaf, commit, tenant_tag};
pub use merkle::{Frontier, Hash, empty_root, leaf_hash, node_hash};
pub use note::{KeyKind, Note, NoteError, SignerKey, VerifierKey};
pub use proof::TlogProof;
pub use prover::Prover;
pub use tenants::{Numbers, Tenants};
pub use tile_reader::TileReader;
pub use tiles::Tiles;
