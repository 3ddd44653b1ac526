//! What an event is: its model, its limits, the check at the door, its stored bytes and its one JSON rendering.
//! Pure: no clock, no disk. What the bytes are framed in, `log` knows; what can be found in them, `text` and `query`.

mod absent;
mod body;
mod catalogue;
pub mod erasures;
mod fault;
mod head;
pub mod limits;
mod model;
mod personal;
pub mod row;
mod same;
mod time;
mod validate;

pub use absent::{BLANK, stand_in};
pub use body::{BodyError, add_sealed};
pub use catalogue::{ActionInfo, Catalogue, CatalogueError, Category, fold_name};
pub use fault::{Fault, FaultCode};
pub use head::{BodyHead, HeadError};
pub use model::{Change, Context, Entry, Event, Kind, Object, Outcome, Party, SealedDigest, Subject, Time, noun};
pub use personal::{NoPlace, PartKind, PersonalPart, Seen, SeenParts, SubjectTypes};
pub use same::same_content;
pub use validate::{DEFAULT_ID, DEFAULT_OUTCOME, DEFAULT_TENANT, DEFAULT_TIME, Draft, Intake, validate};
