//! What scrubbing says, as JSON.

use super::put;
use crate::clock;
use crate::json::write_string;
use crate::store::integrity::{Found, Integrity};

/// `,"integrity":{"state","running","checked","finding","findings"}`: `state` is `never_checked`, `running`, `passed` or `failed`.
pub fn integrity(out: &mut String, now: &Integrity) {
    put(out, format_args!(",\"integrity\":{{\"state\":\"{}\",\"running\":", now.state()));
    match &now.running {
        Some(round) => put(
            out,
            format_args!(
                "{{\"began\":\"{}\",\"events\":{},\"of_events\":{},\"bytes\":{}}}",
                time(round.began_ms),
                round.events,
                round.of_events,
                round.bytes
            ),
        ),
        None => out.push_str("null"),
    }
    out.push_str(",\"checked\":");
    match &now.checked {
        Some(checked) => put(
            out,
            format_args!(
                "{{\"began\":\"{}\",\"ended\":\"{}\",\"events\":{},\"bytes\":{},\"findings\":{}}}",
                time(checked.began_ms),
                time(checked.ended_ms),
                checked.events,
                checked.bytes,
                checked.found_count
            ),
        ),
        None => out.push_str("null"),
    }
    out.push_str(",\"finding\":");
    match now.finding() {
        Some(found) => finding(out, found),
        None => out.push_str("null"),
    }
    put(out, format_args!(",\"findings\":{}}}", now.found_count()));
}

fn finding(out: &mut String, found: &Found) {
    let numbers =
        [("segment", found.segment.map(|seq| seq.0)), ("offset", found.offset), ("seq", found.seq.map(|seq| seq.0))];
    out.push('{');
    for (name, number) in numbers {
        match number {
            Some(number) => put(out, format_args!("\"{name}\":{number},")),
            None => put(out, format_args!("\"{name}\":null,")),
        }
    }
    out.push_str("\"why\":");
    write_string(&found.why, out);
    out.push('}');
}

fn time(ms: u64) -> String {
    clock::rfc3339_ms(ms.cast_signed())
}
