//! Annals: a full-text search-indexed audit store. Who did what, when?
//!
//! The rooms from the ground up. A room imports only rooms on floors below its own; a test reads this list and fails
//! on a wrong arrow.

#![warn(missing_docs)]

// floor 0
pub mod clock;
pub mod durable;
pub mod hash;
pub mod json;
pub mod seq;
#[cfg(test)]
mod soak;
pub mod uniform;
// floor 1
pub mod event;
pub mod keyring;
pub mod log;
pub mod text;
pub mod tree;
// floor 2
pub mod backup;
pub mod demo;
pub mod export;
pub mod ingest;
pub mod privacy;
pub mod query;
pub mod verify;
pub mod witness;
// floor 3
pub mod auth;
pub mod index;
pub mod repair;
// floor 4
pub mod oidc;
pub mod store;
// floor 5
pub mod cosigner;
pub mod excise;
pub mod wire;
// floor 6
pub mod api;
// floor 7
pub mod page;
// floor 8
pub mod config;
// floor 9
pub mod server;
// floor 10
pub mod cli;
