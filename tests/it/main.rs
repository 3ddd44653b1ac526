//! The integration tests: one binary, because each further one costs link time. `world` has the verbs,
//! `answer` what comes back, `data` the events; the other files hold one subject each. Lines of the form "Must hold" in the project's plan have a file of their own.

mod answer;
mod bad_input;
mod cli;
mod counts;
mod csv;
mod data;
mod demo_data;
mod feed;
mod floors;
mod formats;
mod full_disk;
mod idempotency;
mod kill9;
mod lifecycle;
mod paging;
mod reindex;
mod world;
