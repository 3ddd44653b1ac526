//! The fast engine: spans on disk, the hot index in memory, one view over both.

mod docset;
mod facet_pattern;
mod facets;
pub mod hot;
pub mod ids;
mod lower;
pub mod piece;
pub mod schema;
pub mod span;
mod terms;
pub mod view;
