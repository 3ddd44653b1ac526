//! The integration tests: one binary, because each further one costs link time. `world` has the verbs, `answer` what comes
//! back, `data` the events; the other files hold one subject each.

mod answer;
mod backup;
mod bad_input;
mod bundle;
mod cli;
mod counts;
mod csv;
mod data;
mod demo_data;
mod evidence;
mod feed;
mod floors;
mod forge;
mod formats;
mod full_disk;
mod fuzz;
mod highlight;
mod idempotency;
mod kill9;
mod lifecycle;
mod page;
mod paging;
mod power;
mod query_parse;
mod reindex;
mod repair;
mod scrub;
mod segments;
mod sigma;
mod tail;
mod too_broad;
mod verify;
mod visitor;
mod witness;
mod world;
