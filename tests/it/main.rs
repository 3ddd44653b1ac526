//! The integration tests: one binary, because each further one costs link time. `world` has the verbs, `answer` what comes
//! back, `data` the events; the other files hold one subject each.

mod answer;
mod bad_input;
mod cli;
mod counts;
mod csv;
mod data;
mod demo_data;
mod evidence;
mod feed;
mod floors;
mod formats;
mod full_disk;
mod highlight;
mod idempotency;
mod kill9;
mod lifecycle;
mod paging;
mod query_parse;
mod reindex;
mod segments;
mod sigma;
mod tail;
mod too_broad;
mod witness;
mod world;
