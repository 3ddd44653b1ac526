//! The fast engine: spans on disk, the hot index in memory, one view over both.

pub mod counts;
mod docset;
pub mod erased;
pub mod hits;
pub mod hot;
pub mod ids;
mod inverted;
mod lower;
pub mod piece;
pub mod schema;
pub mod span;
mod stoppable;
mod term_scan;
mod terms;
pub mod view;
