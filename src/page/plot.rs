//! The chart over the list: a bar for each bucket, drawn here as SVG, each a link that narrows the range to it.
//!
//! Sizes are attributes, in percent along the axis and in pixels up it, since no style may stand in the page. The chart
//! is hidden from who cannot see it; the same numbers stand in the table beside it.

use maud::{Markup, html};

use super::answer::Chart;
use super::axis::{Step, round_up};
use super::format::{self, count, local, plural};
use super::look::Look;
use super::range::Range;
use super::state::State;

/// Where the bars stand, px.
const BASE: f64 = 78.0;
/// The tallest bar, px.
const HEIGHT: f64 = 71.8;
/// What is not nothing is at least so high, px.
const LOWEST: f64 = 1.5;
/// Part of a bucket's width that its bar takes.
const BAR_WIDTH: f64 = 0.78;
/// A label further right than this, percent, has no room on a phone: the longest takes a fifth of its chart.
const LAST_LABEL: f64 = 79.0;
/// And one further right than this ends with the chart instead of beginning at its mark.
const END_LABEL: f64 = 92.0;
/// Rows of the table: days, or larger units.
const TABLE_DAYS_MAX: i64 = 100;

/// The card: count, range, chart, table.
pub fn card(look: &Look<'_>, total: u64, chart: &Chart) -> Markup {
    let edges = &chart.axis.edges;
    let (first, last) = (edges[0], edges[edges.len() - 1]);
    let until = match look.state.range {
        Range::Between { to: Some(_), .. } => last,
        Range::Last(_) | Range::All | Range::Between { .. } => look.now_ms.max(first),
    };
    let whole_minute = |ms: i64| format::minute(look.tz, ms - ms.rem_euclid(60_000), look.now_ms);
    html! {
        section class="card hist" aria-labelledby="h-over" data-from=(first) data-to=(last) {
            h2 class="vh" id="h-over" { "Entries over time" }
            header {
                b class="num" id="count" { (plural(total, "entry", "entries")) }
                span class="q" { (whole_minute(first)) " to " (whole_minute(until)) ", " (chart.axis.per()) }
                div class="key" {
                    @match chart.context {
                        Some(_) => { span { i {} "matching" } span class="ctx" { i {} "all entries" } }
                        None => span class="needs-js" { "Drag across the bars to narrow the range" },
                    }
                    (table(look, chart))
                }
            }
            (plot(look, chart))
        }
    }
}

fn narrowed(look: &Look<'_>, from: i64, to: i64) -> String {
    look.href(&State { range: Range::Between { from: Some(from), to: Some(to) }, ..look.state.fresh() })
}

fn plot(look: &Look<'_>, chart: &Chart) -> Markup {
    let edges = &chart.axis.edges;
    let buckets = chart.counts.len();
    let width = 100.0 / buckets as f64;
    let highest = chart.counts.iter().chain(chart.context.iter().flatten()).copied().max().unwrap_or(0);
    let top = round_up(highest);
    let height = |n: u64| (n as f64 / top as f64 * HEIGHT).max(LOWEST);
    let name = |ms: i64| {
        let form = match chart.axis.step {
            Step::Seconds(1..60) => "%a %-d %b %H:%M:%S",
            Step::Seconds(_) => "%a %-d %b %H:%M",
            Step::Days(_) | Step::Months(_) => "%a %-d %b %Y",
        };
        local(look.tz, ms).format(form).to_string()
    };
    let bar = |class: &'static str, index: usize, n: u64| {
        let x = format!("{:.3}%", (index as f64 + (1.0 - BAR_WIDTH) / 2.0) * width);
        let y = format!("{:.1}", BASE - height(n));
        html! {
            @if n > 0 {
                rect class=(class) x=(x) y=(y) width={ (format!("{:.3}", width * BAR_WIDTH)) "%" }
                    height=(format!("{:.1}", height(n))) rx="1" {}
            }
        }
    };
    let ticks = chart.axis.ticks(look.tz);
    html! {
        svg class="plot" height="96" aria-hidden="true" focusable="false" data-end=(name(edges[buckets])) {
            line x1="0" x2="100%" y1="42.1" y2="42.1" {}
            line x1="0" x2="100%" y1="6.2" y2="6.2" {}
            line class="day" x1="0" x2="100%" y1="78" y2="78" {}
            @for (index, n) in chart.counts.iter().enumerate() {
                a href=(narrowed(look, edges[index], edges[index + 1])) tabindex="-1" {
                    title { (name(edges[index])) ", " (plural(*n, "entry", "entries")) }
                    rect class="hit" x={ (format!("{:.3}", index as f64 * width)) "%" } y="0"
                        width={ (format!("{width:.3}")) "%" } height="78" {}
                    @if let Some(all) = &chart.context { (bar("c", index, all[index])) }
                    (bar("b", index, *n))
                }
            }
            @for (nth, (index, label)) in ticks.iter().enumerate() {
                @let x = *index as f64 * width;
                @let class = if x > LAST_LABEL { "last" } else if nth % 2 == 1 { "odd" } else { "" };
                line class="day" x1={ (format!("{x:.3}")) "%" } x2={ (format!("{x:.3}")) "%" } y1="78" y2="83" {}
                @if x <= END_LABEL { text class=(class) x={ (format!("{:.3}", x + 0.35)) "%" } y="93" { (label) } }
                @else { text class=(class) x="100%" y="93" text-anchor="end" { (label) } }
            }
            text x="100%" y="2.2" text-anchor="end" { (count(top)) " / " (chart.axis.unit()) }
        }
    }
}

/// A row of the table: where it begins and ends, and how many entries lie there.
struct Line {
    from: i64,
    to: i64,
    count: u64,
}

/// The same numbers for days, or for the buckets where those are longer.
fn table(look: &Look<'_>, chart: &Chart) -> Markup {
    let edges = &chart.axis.edges;
    let days = (edges[edges.len() - 1] - edges[0]) / 86_400_000;
    let (unit, form, head) = match chart.axis.step {
        Step::Seconds(_) if days == 0 => ("%Y-%m-%d %H", "%a %-d %b %H:00", "Hour"),
        Step::Seconds(_) | Step::Days(1) if days <= TABLE_DAYS_MAX => ("%Y-%m-%d", "%a %-d %b %Y", "Day"),
        Step::Days(7) => ("%G-%V", "Week of %-d %b %Y", "Week"),
        Step::Months(12..) => ("%Y", "%Y", "Year"),
        Step::Seconds(_) | Step::Days(_) | Step::Months(_) => ("%Y-%m", "%b %Y", "Month"),
    };
    let mut lines: Vec<(String, Line)> = Vec::new();
    for (index, n) in chart.counts.iter().enumerate() {
        let (from, to) = (edges[index], edges[index + 1]);
        let key = local(look.tz, from).format(unit).to_string();
        match lines.last_mut().filter(|(known, _)| *known == key) {
            Some((_, line)) => (line.to, line.count) = (to, line.count + n),
            None => lines.push((key, Line { from, to, count: *n })),
        }
    }
    html! {
        details class="menu astab" name="m" {
            summary { "Show as table" }
            div class="panel r" {
                div class="scroll" {
                    table class="tt" {
                        caption class="vh" { "Entries per " (head.to_lowercase()) }
                        thead { tr { th scope="col" { (head) } th scope="col" { span class="vh" { "Entries" } } } }
                        tbody {
                            @for (_, line) in &lines {
                                tr {
                                    th scope="row" {
                                        a href=(narrowed(look, line.from, line.to)) {
                                            (local(look.tz, line.from).format(form))
                                        }
                                    }
                                    td class="num" { (count(line.count)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
