//! What stands where a value is that a reader does not get.

use maud::{Markup, html};

use super::icons::small;
use crate::event::Seen;

/// `hidden` with a lock, `[erased]`, `[damaged]`; nothing where all is shown.
pub fn withheld(seen: Option<Seen>) -> Option<Markup> {
    match seen {
        None | Some(Seen::Open) => None,
        Some(Seen::Hidden) => Some(html! { em class="nil" { (small("lock")) "hidden" } }),
        Some(Seen::Erased) => Some(html! { em class="nil" { "[erased]" } }),
        Some(Seen::Damaged) => Some(html! { em class="nil" { "[damaged]" } }),
    }
}

/// The same in a sentence.
pub fn why(seen: Option<Seen>) -> Option<&'static str> {
    match seen {
        None | Some(Seen::Open) => None,
        Some(Seen::Hidden) => Some("What this entry tells about persons is sealed, and not shown to you."),
        Some(Seen::Erased) => Some(
            "What this entry told about persons was erased. The entry and its proof stay, and nobody can read more.",
        ),
        Some(Seen::Damaged) => Some(
            "What this entry tells about persons is sealed, and cannot be opened: its key is not there, or it is not what was sealed.",
        ),
    }
}
