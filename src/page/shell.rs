//! The document around everything: head, banner with the display menu, title row with badge, live, views and export.

use maud::{DOCTYPE, Markup, html};

use super::answer::Row;
use super::assets;
use super::format::{cut, offset, plural, shown, size};
use super::icons::{icon, small, sprite};
use super::look::Look;
use super::prefs::Theme;
use super::seal::{self, Badge};
use super::state::State;
use super::views::{BUILT_IN, NAME_CHARACTERS_MAX, View};
use crate::export::csv::{CsvOptions, write_row};

/// Characters of the name of who signed in.
const WHO_CHARACTERS: usize = 24;
/// Seconds after which a live page without script is loaded again.
const RELOAD_S: u32 = 10;

/// What the frame shows besides the page.
pub struct Frame<'a> {
    /// The document's title.
    pub title: &'a str,
    /// What the document is called in the way to it, where it is not the page itself.
    pub here: &'static str,
    /// It shows entries, which one may skip to.
    pub has_entries: bool,
    /// The token that forms carry; none where there are no forms.
    pub token: Option<&'a str>,
    /// The name of who signed in, if somebody did.
    pub who: Option<&'a str>,
    /// The saved views.
    pub views: &'a [View],
}

/// The whole document.
pub fn document(look: &Look<'_>, frame: &Frame<'_>, main: Markup) -> Markup {
    let (script, modules) = assets::scripts();
    let theme = Some(look.prefs.theme).filter(|theme| *theme != Theme::Auto).map(Theme::word);
    let zone = look.state.tz.or(look.prefs.tz);
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[theme] data-rows=[look.prefs.is_compact.then_some("compact")]
            data-keys=[(!look.prefs.has_keys).then_some("off")] {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (frame.title) }
                link rel="icon" type="image/svg+xml" href={ (look.root) (assets::href("favicon.svg")) };
                link rel="stylesheet" href={ (look.root) (assets::href("page.css")) };
                @for module in &modules { link rel="modulepreload" href={ (look.root) (module) }; }
                // A document may arrive in pieces: painted early, its filter bar would move when the rest is there.
                @if let Some(script) = &script {
                    script type="module" blocking="render" src={ (look.root) (script) } {}
                }
                @if look.state.is_live { noscript { meta http-equiv="refresh" content=(RELOAD_S); } }
            }
            body data-root=(look.root) data-tz=[zone.map(|tz| tz.name())] data-now=(look.now_ms) {
                @if frame.has_entries { a class="skip" href="#entries" { "Skip to entries" } }
                (sprite())
                header class="top" {
                    span class="logo" aria-hidden="true" { (small("chain")) }
                    nav class="crumb" aria-label="Breadcrumb" {
                        span { "Admin" } span class="sep" aria-hidden="true" { "/" }
                        @if look.root.is_empty() { b aria-current="page" { "Audit log" } }
                        @else {
                            a href=(look.root) { "Audit log" } span class="sep" aria-hidden="true" { "/" } b aria-current="page" {
                                (frame.here)
                            }
                        }
                    }
                    span class="grow" {}
                    @if let Some(token) = frame.token {
                        (display(look, token, frame.views))
                        @if let Some(who) = frame.who { (sign_out(look, who, token)) }
                    }
                }
                main class="wrap" { (main) }
                p class="vh" id="say" role="status" aria-live="polite" {}
                p class="vh" id="shout" role="alert" aria-live="assertive" {}
            }
        }
    }
}

/// Who signed in, and the way out.
fn sign_out(look: &Look<'_>, who: &str, token: &str) -> Markup {
    html! {
        form class="signed" method="post" action={ (look.root) "sign-out" } {
            input type="hidden" name="csrf" value=(token);
            span title=(shown(who)) { (cut(&shown(who), WHO_CHARACTERS)) }
            button class="btn sm ghost" type="submit" { "Sign out" }
        }
    }
}

/// Theme, rows, zone, keys: a form that posts.
fn display(look: &Look<'_>, token: &str, views: &[View]) -> Markup {
    let prefs = look.prefs;
    html! {
        details class="menu" name="m" id="m-display" {
            summary class="btn ghost icon" aria-label="Display" { (icon("slide")) }
            div class="panel r" {
                form method="post" action={ (look.root) "prefs" } {
                    input type="hidden" name="csrf" value=(token);
                    input type="hidden" name="back" value=(look.state.query_string());
                    p class="cap" { "Theme" }
                    div class="seg" role="radiogroup" aria-label="Theme" {
                        @for theme in Theme::ALL {
                            label {
                                input type="radio" name="theme" id={ "theme-" (theme.word()) } value=(theme.word())
                                    checked[prefs.theme == theme];
                                (super::format::capital(theme.word()))
                            }
                        }
                    }
                    p class="cap" { "Rows" }
                    div class="seg" role="radiogroup" aria-label="Row height" {
                        label { input type="radio" name="rows" value="two" checked[!prefs.is_compact]; "Two lines" }
                        label { input type="radio" name="rows" value="compact" checked[prefs.is_compact]; "Compact" }
                    }
                    label class="field" {
                        span class="cap" {
                            "Time zone"
                            @match prefs.tz {
                                Some(tz) => { ", " (offset(tz, look.now_ms)) }, None => ", not set yet: times are UTC"
                            }
                        }
                        input type="text" name="tz" id="tz" value=(prefs.tz.map(|tz| tz.name()).unwrap_or_default())
                            placeholder="UTC" autocomplete="off" spellcheck="false" aria-describedby="tz-help";
                        span class="cap" id="tz-help" { "An IANA name such as Europe/Berlin" }
                    }
                    label class="opt" {
                        input type="radio" name="keys" value="on" checked[prefs.has_keys]; "Single-key shortcuts on" span class="n needs-js" {
                            kbd { "?" }
                        }
                    }
                    label class="opt" {
                        input type="radio" name="keys" value="off" checked[!prefs.has_keys]; "Single-key shortcuts off"
                    }
                    div class="foot" { span { "Kept in a cookie" } button class="btn sm" type="submit" { "Apply" } }
                }
                div class="only-xs" { (views_panel(look, views, token)) }
            }
        }
    }
}

/// The row with the title.
pub fn head(look: &Look<'_>, badge: &Badge, views: &[View], token: &str) -> Markup {
    let state = look.state;
    let live = State { is_live: !state.is_live, ..state.fresh() };
    let has_ended = state.range.has_ended(look.now_ms);
    html! {
        div class="head" {
            h1 { "Audit log" }
            (seal::draw(look, badge))
            div class="acts" {
                @if has_ended {
                    span class="btn" id="live" aria-disabled="true" title="The range ended in the past" {
                        span class="pulse" {} span class="txt" { "Live" } span class="vh" {
                            ", not available: the range ended in the past"
                        }
                    }
                } @else {
                    a class="btn" id="live" role="button" href=(look.href(&live)) aria-label="Live tail"
                        aria-pressed=(if state.is_live { "true" } else { "false" }) {
                        span class="pulse" {} span class="txt" { "Live" }
                    }
                }
                (views_menu(look, views, token))
                @if look.rights.export {
                    a class="btn primary" id="export" href=(export_href(state, "csv")) aria-label="Export CSV" download {
                        (icon("file")) span class="txt" { "Export CSV" }
                    }
                }
            }
        }
    }
}

/// Where the filtered view is a file.
pub fn export_href(state: &State, extension: &str) -> String {
    format!("export.{extension}?{}", state.filters_only().query_string())
}

/// An export of more entries is announced, with its size, when it begins.
const EXPORT_TOLD_FROM: u64 = 1_000_000;

/// What script shows when a large export begins. Its size is that of the rows at hand as CSV, times all that match.
pub fn exporting(look: &Look<'_>, total: u64, rows: &[Row]) -> Markup {
    if total <= EXPORT_TOLD_FROM || rows.is_empty() || !look.rights.export {
        return html! {};
    }
    let options = CsvOptions { tz: look.tz, bom: true };
    let mut csv = Vec::new();
    for Row { entry, .. } in rows {
        write_row(entry, &look.catalogue.category_of(&entry.event.action), &options, &mut csv);
    }
    let bytes = u128::from(total) * csv.len() as u128 / rows.len() as u128;
    html! {
        div class="note info" id="exporting" hidden {
            (icon("file"))
            span {
                b { "Export started." } " " (plural(total, "entry", "entries")) ", as CSV about " (size(bytes))
                ", as they are now. You can keep working on this page."
            }
            a href=(export_href(look.state, "jsonl")) download { "JSON Lines instead" }
        }
    }
}

fn views_menu(look: &Look<'_>, views: &[View], token: &str) -> Markup {
    html! {
        details class="menu opt2" name="m" id="m-views" {
            summary class="btn" aria-label="Saved views" {
                (icon("mark")) span class="txt" { "Views" } svg class="i s chev" aria-hidden="true" {
                    use href="#down" {}
                }
            }
            div class="panel r" { (views_panel(look, views, token)) }
        }
    }
}

/// What is in the menu of views; on the narrowest screens it stands in the display menu.
fn views_panel(look: &Look<'_>, views: &[View], token: &str) -> Markup {
    let filters = look.state.filters_only().query_string();
    html! {
        div class="scroll" {
            p class="cap" { "Built in" }
            @for (name, query) in BUILT_IN {
                a class="opt" href={ "?" (query) } aria-current=[(query == filters).then_some("true")] { (name) }
            }
            @if !views.is_empty() { p class="cap" { "Saved" } }
            @for view in views {
                @let name = cut(&shown(&view.name), NAME_CHARACTERS_MAX).into_owned();
                div class="saved" {
                    a class="opt" href={ "?" (view.query) } aria-current=[(view.query == filters).then_some("true")] {
                        (name)
                    }
                    form method="post" action={ "views/" (view.id) "/delete" } {
                        input type="hidden" name="csrf" value=(token);
                        input type="hidden" name="back" value=(filters);
                        button class="btn sm ghost" type="submit" aria-label={ "Remove the view " (name) } {
                            (small("x"))
                        }
                    }
                }
            }
            @if look.rights.export {
                p class="cap" { "This view as a file" }
                a class="opt" href=(export_href(look.state, "jsonl")) download { "JSON Lines" }
            }
        }
        @if look.rights.save_views {
            form class="foot" method="post" action="views" {
                input type="hidden" name="csrf" value=(token);
                input type="hidden" name="query" value=(filters);
                input type="text" name="name" required maxlength=(NAME_CHARACTERS_MAX) placeholder="Name"
                    aria-label="Name of the view" autocomplete="off";
                button class="btn sm" type="submit" { "Save this view" }
            }
        }
    }
}

/// Some of the keys that script listens to, with what each does.
const KEYS: [(&[&str], &str); 7] = [
    (&["/"], "search"),
    (&["j", "k"], "move"),
    (&["Enter"], "expand"),
    (&["f"], "filter"),
    (&["l"], "live"),
    (&["e"], "export"),
    (&["?"], "all shortcuts"),
];

/// The line of keys below the list.
pub fn keys() -> Markup {
    html! {
        p class="end needs-js" {
            @for (keys, what) in KEYS {
                span { @for key in keys { kbd { (key) } } (what) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;
    use crate::event::Catalogue;
    use crate::page::look::Rights;
    use crate::page::prefs::Prefs;
    use crate::query::Highlights;

    #[test]
    fn a_large_export_is_announced_with_number_and_size() {
        let (state, prefs) = (State::default(), Prefs::default());
        let catalogue = Catalogue::builtin();
        let rights = Rights { export: true, save_views: true };
        let look = Look { state: &state, tz: Tz::UTC, now_ms: 0, catalogue, prefs: &prefs, root: "", rights };
        let rows = [Row { entry: crate::page::samples::entry(), marks: Highlights::default() }];
        assert_eq!(exporting(&look, EXPORT_TOLD_FROM, &rows).into_string(), "");
        let note = exporting(&look, 2_104_551, &rows).into_string();
        assert!(note.contains("2,104,551 entries, as CSV about 427 MB"), "{note}");
        assert!(note.contains("hidden") && note.contains("export.jsonl"), "{note}");
    }
}
