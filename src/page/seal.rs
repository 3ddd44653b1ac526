//! The integrity badge: what the store knows of its own soundness, in one word, and never more than it knows.

use maud::{Markup, html};

use super::format::{count, plural, shown};
use super::icons::{icon, small};
use super::look::Look;
use crate::store::Store;
use crate::store::watermarks::Marks;

/// A check of the whole log against its tree, that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastCheck {
    /// When it ended, ms since 1970.
    pub at_ms: i64,
    /// Events it read.
    pub events: u64,
    /// The first event that does not fit, and what is wrong.
    pub failed: Option<(u64, String)>,
}

/// A check older than this says nothing about now, ms.
const CHECK_AGE_MAX_MS: i64 = 24 * 3_600_000;

/// What the badge says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Badge {
    /// The last check passed, not long ago.
    Verified {
        /// Events under a signed head.
        signed: u64,
        /// When it ended.
        at_ms: i64,
    },
    /// The newest entries are under no signed head yet.
    Sealing {
        /// How many.
        waiting: u64,
        /// Why none is made at the moment, if it is known.
        fault: Option<String>,
    },
    /// The last check found something.
    Failed {
        /// Which event.
        event: u64,
        /// What is wrong.
        why: String,
    },
    /// No check ran, or not for a day.
    NotChecked {
        /// Events under a signed head.
        signed: u64,
    },
}

/// What the badge says. The one place that decides it.
pub fn badge(marks: Marks, signing_fault: Option<String>, check: Option<&LastCheck>, now_ms: i64) -> Badge {
    if let Some(LastCheck { failed: Some((event, why)), .. }) = check {
        return Badge::Failed { event: *event, why: why.clone() };
    }
    if signing_fault.is_some() || marks.signed < marks.durable {
        return Badge::Sealing { waiting: marks.durable.0.saturating_sub(marks.signed.0), fault: signing_fault };
    }
    match check.filter(|check| now_ms.saturating_sub(check.at_ms) <= CHECK_AGE_MAX_MS) {
        Some(check) => Badge::Verified { signed: marks.signed.0, at_ms: check.at_ms },
        None => Badge::NotChecked { signed: marks.signed.0 },
    }
}

/// The last check of a store that the badge knows of. What scrubbing found (`Store::integrity`) is not asked yet.
pub fn last_check(_store: &Store) -> Option<LastCheck> {
    None
}

/// The badge beside the title. It leads to the signed checkpoint.
pub fn draw(look: &Look<'_>, badge: &Badge) -> Markup {
    let (class, sign, word, more) = match badge {
        Badge::Verified { signed, at_ms } => {
            let at = super::format::local(look.tz, *at_ms).format("%H:%M:%S");
            ("seal", "shield", "Verified", format!("{} sealed, checked {at}", plural(*signed, "entry", "entries")))
        }
        Badge::Sealing { waiting, fault: None } => (
            "seal wait",
            "clock",
            "Sealing",
            format!("{}, due in 1 s", plural(*waiting, "newest entry", "newest entries")),
        ),
        Badge::Sealing { waiting, fault: Some(_) } => (
            "seal wait",
            "clock",
            "Sealing",
            format!("{} waiting, signing has stopped", plural(*waiting, "entry", "entries")),
        ),
        Badge::Failed { event, .. } => ("seal bad", "alert", "Check failed", format!("entry {}", count(*event))),
        Badge::NotChecked { signed } => {
            ("seal none", "shield", "Not checked", format!("{} signed", plural(*signed, "entry", "entries")))
        }
    };
    html! {
        a class=(class) id="integrity" href={ (look.root) "../../checkpoint" } {
            (small(sign)) (word) span class="more num" { (more) }
        }
    }
}

/// What stands above the chart as long as something is wrong.
pub fn notice(badge: &Badge) -> Markup {
    html! {
        @match badge {
            Badge::Failed { event, why } => {
                div class="note bad" role="alert" {
                    (icon("alert"))
                    span { b { "Integrity check failed at entry " (count(*event)) "." } " " (shown(why)) }
                }
            }
            Badge::Sealing { fault: Some(fault), .. } => {
                div class="note" role="alert" {
                    (icon("alert")) span { b { "New entries are not signed." } " " (shown(fault)) }
                }
            }
            Badge::Verified { .. } | Badge::Sealing { fault: None, .. } | Badge::NotChecked { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seq::Seq;

    #[test]
    fn the_badge_never_says_more_than_is_known() {
        let marks = |durable, signed| Marks { durable: Seq(durable), signed: Seq(signed), ..Marks::default() };
        let passed = LastCheck { at_ms: 0, events: 5, failed: None };
        let failed = LastCheck { failed: Some((3, "leaf".into())), ..passed.clone() };
        let day = CHECK_AGE_MAX_MS;
        assert_eq!(badge(marks(5, 5), None, None, 0), Badge::NotChecked { signed: 5 });
        assert_eq!(badge(marks(5, 5), None, Some(&passed), day), Badge::Verified { signed: 5, at_ms: 0 });
        assert_eq!(badge(marks(5, 5), None, Some(&passed), day + 1), Badge::NotChecked { signed: 5 });
        assert_eq!(badge(marks(7, 5), None, Some(&passed), 0), Badge::Sealing { waiting: 2, fault: None });
        assert!(matches!(
            badge(marks(5, 5), Some("x".into()), Some(&passed), 0),
            Badge::Sealing { fault: Some(_), .. }
        ));
        assert_eq!(badge(marks(7, 5), None, Some(&failed), 9 * day), Badge::Failed { event: 3, why: "leaf".into() });
    }
}
