//! Random events, and random queries about them: for the tests of this room and of those above.

pub(crate) mod events;
pub(crate) mod queries;
