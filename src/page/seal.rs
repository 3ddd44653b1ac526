//! The integrity badge: what the store knows of its own soundness, in one word, and never more than it knows.

use maud::{Markup, html};

use super::format::{count, day, local, local_seconds, plural, shown};
use super::icons::{icon, small};
use super::look::Look;
use crate::seq::Seq;
use crate::store::integrity::Integrity;
use crate::store::watermarks::Marks;

/// What scrubbing, which reads the whole log again and again, has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Something is not as it was written, and no later round has passed over it.
    Failed {
        /// The first event that it concerns, if it concerns one.
        event: Option<Seq>,
        /// Where it is and what disagrees.
        why: String,
        /// How many things there are.
        findings: u64,
    },
    /// The last round found nothing.
    Passed {
        /// When it ended, ms since 1970.
        at_ms: i64,
        /// Events it read.
        events: Seq,
    },
    /// No round has ended yet.
    Never,
}

/// A check older than this says nothing about now, ms.
const CHECK_AGE_MAX_MS: i64 = 24 * 3_600_000;

/// What the badge says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Badge {
    /// The last check passed, not long ago.
    Verified {
        /// Events it read, all under a signed head.
        events: Seq,
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
        /// See [`Checked::Failed`].
        event: Option<Seq>,
        /// See [`Checked::Failed`].
        why: String,
        /// See [`Checked::Failed`].
        findings: u64,
    },
    /// No check ended within a day.
    NotChecked {
        /// Events under a signed head.
        signed: Seq,
        /// When the last one ended, if there ever was one.
        last_ms: Option<i64>,
    },
}

/// What the badge says. The one place that decides it.
pub fn badge(marks: Marks, signing_fault: Option<String>, checked: Checked, now_ms: i64) -> Badge {
    if let Checked::Failed { event, why, findings } = checked {
        return Badge::Failed { event, why, findings };
    }
    if signing_fault.is_some() || marks.signed < marks.durable {
        return Badge::Sealing { waiting: marks.durable.0.saturating_sub(marks.signed.0), fault: signing_fault };
    }
    match checked {
        Checked::Passed { at_ms, events } if now_ms.saturating_sub(at_ms) <= CHECK_AGE_MAX_MS => {
            Badge::Verified { events, at_ms }
        }
        Checked::Passed { at_ms, .. } => Badge::NotChecked { signed: marks.signed, last_ms: Some(at_ms) },
        Checked::Never | Checked::Failed { .. } => Badge::NotChecked { signed: marks.signed, last_ms: None },
    }
}

/// What scrubbing has come to.
pub fn checked(integrity: &Integrity) -> Checked {
    match (integrity.finding(), &integrity.checked) {
        (Some(found), _) => {
            Checked::Failed { event: found.seq, why: found.to_string(), findings: integrity.found_count() }
        }
        (None, Some(round)) => Checked::Passed { at_ms: round.ended_ms.cast_signed(), events: round.events },
        (None, None) => Checked::Never,
    }
}

/// Where the report of the last check is, from the page: `integrity` in it.
const REPORT: &str = "log.json";

/// The badge beside the title. It leads to the signed checkpoint, or to what was found.
pub fn draw(look: &Look<'_>, badge: &Badge) -> Markup {
    let signed = |n: Seq| format!("{} signed", plural(n.0, "entry", "entries"));
    let (class, sign, word, more) = match badge {
        Badge::Verified { events, at_ms } => {
            ("seal", "shield", "Verified", format!("{}, checked {}", signed(*events), time_of(look, *at_ms)))
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
        Badge::Failed { event: Some(event), .. } => {
            ("seal bad", "alert", "Check failed", format!("entry {}", count(event.0)))
        }
        Badge::Failed { event: None, .. } => ("seal bad", "alert", "Check failed", "see the notice".to_owned()),
        Badge::NotChecked { signed: n, last_ms: None } => ("seal none", "shield", "Not checked", signed(*n)),
        Badge::NotChecked { signed: n, last_ms: Some(at_ms) } => {
            let last = format!("{}, last checked {}", signed(*n), day(look.tz, *at_ms, look.now_ms));
            ("seal none", "shield", "Not checked", last)
        }
    };
    let to = match badge {
        Badge::Failed { .. } => REPORT,
        Badge::Verified { .. } | Badge::Sealing { .. } | Badge::NotChecked { .. } => "checkpoint",
    };
    html! {
        a class=(class) id="integrity" href={ (look.root) (to) } {
            (small(sign)) (word) span class="more num" { (more) }
        }
    }
}

/// `14:32:07`, with the day unless that is today.
fn time_of(look: &Look<'_>, ms: i64) -> String {
    match local(look.tz, ms).date_naive() == local(look.tz, look.now_ms).date_naive() {
        true => local(look.tz, ms).format("%H:%M:%S").to_string(),
        false => local_seconds(look.tz, ms, look.now_ms),
    }
}

/// What stands above everything as long as something is wrong.
pub fn notice(look: &Look<'_>, badge: &Badge) -> Markup {
    html! {
        @match badge {
            Badge::Failed { why, findings, .. } => {
                div class="note bad" role="alert" {
                    (icon("alert"))
                    span {
                        b { "The integrity check failed:" } " " (shown(why)) "."
                        @if *findings > 1 { " " (count(*findings)) " things were found in all." }
                    }
                    a href={ (look.root) (REPORT) } { "Open report" }
                }
            }
            Badge::Sealing { fault: Some(fault), .. } => {
                div class="note" role="alert" {
                    (icon("alert")) span { b { "New entries are not signed:" } " " (shown(fault)) "." }
                }
            }
            Badge::Verified { .. } | Badge::Sealing { fault: None, .. } | Badge::NotChecked { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::integrity::{Found, Round};

    #[test]
    fn the_badge_never_says_more_than_is_known() {
        let marks = |durable, signed| Marks { durable: Seq(durable), signed: Seq(signed), ..Marks::default() };
        let passed = || Checked::Passed { at_ms: 0, events: Seq(4) };
        let failed = Checked::Failed { event: Some(Seq(3)), why: "leaf".into(), findings: 1 };
        let day = CHECK_AGE_MAX_MS;
        let not_checked = |last_ms| Badge::NotChecked { signed: Seq(5), last_ms };
        assert_eq!(badge(marks(5, 5), None, Checked::Never, 0), not_checked(None));
        assert_eq!(badge(marks(5, 5), None, passed(), day), Badge::Verified { events: Seq(4), at_ms: 0 });
        assert_eq!(badge(marks(5, 5), None, passed(), day + 1), not_checked(Some(0)));
        assert_eq!(badge(marks(7, 5), None, passed(), 0), Badge::Sealing { waiting: 2, fault: None });
        let stopped = badge(marks(5, 5), Some("x".into()), passed(), 0);
        assert!(matches!(stopped, Badge::Sealing { fault: Some(_), .. }));
        let bad = badge(marks(7, 5), Some("x".into()), failed, 9 * day);
        assert_eq!(bad, Badge::Failed { event: Some(Seq(3)), why: "leaf".into(), findings: 1 });
    }

    #[test]
    fn what_scrubbing_found_says_where() {
        let found = Found { segment: Some(Seq(0)), offset: Some(4_096), seq: Some(Seq(3)), why: "it rotted".into() };
        let round = Round {
            began_ms: 1,
            of_events: Seq(9),
            events: Seq(9),
            bytes: 70,
            found: vec![found.clone(), found],
            found_count: 2,
        };
        let failed = Integrity { running: Some(round.clone()), ..Integrity::default() };
        let why = "segment 0 at byte 4096, event 3: it rotted".to_owned();
        assert_eq!(checked(&failed), Checked::Failed { event: Some(Seq(3)), why, findings: 2 });
        let passed = Integrity {
            checked: Some(Round { found: Vec::new(), found_count: 0, ..round.clone() }.end(6)),
            ..Integrity::default()
        };
        assert_eq!(checked(&passed), Checked::Passed { at_ms: 6, events: Seq(9) });
        let begun = Integrity { running: Some(Round { found: Vec::new(), ..round }), ..Integrity::default() };
        assert_eq!(checked(&begun), Checked::Never);
    }
}
