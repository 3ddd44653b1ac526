//! How each action is told: what it was done to, what changed, what the payload says. One file per category of the
//! catalogue, one function per action; `deck` names them.

pub mod auth;
pub mod billing;
pub mod campaigns;
pub mod consent;
pub mod contacts;
pub mod conversations;
pub mod dids;
pub mod pricing;
pub mod senders;
pub mod team;
