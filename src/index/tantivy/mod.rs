//! The fast engine: spans on disk, the hot index in memory, one view over both.

pub mod counts;
mod docset;
pub mod erased;
mod fast_fields;
pub mod hits;
pub mod hot;
pub mod ids;
mod inverted;
mod lower;
mod merge;
pub mod piece;
pub mod schema;
mod segment;
mod short_text;
pub mod span;
mod stoppable;
pub mod term_filter;
mod term_scan;
mod terms;
pub mod view;
