//! The icons: drawn once at the top of a page, used by name. They say nothing that no word beside them says.

use maud::{Markup, PreEscaped, html};

/// All of them, each a symbol with its name as id. Our own text, so it needs no escaping.
const SYMBOLS: &str = concat!(
    r##"<symbol id="search" viewBox="0 0 16 16"><circle cx="7" cy="7" r="4.25"/><path d="m10.2 10.2 3.3 3.3"/></symbol>"##,
    r##"<symbol id="down" viewBox="0 0 16 16"><path d="m4.5 6.5 3.5 3.5 3.5-3.5"/></symbol>"##,
    r##"<symbol id="right" viewBox="0 0 16 16"><path d="m6.5 4.5 3.5 3.5-3.5 3.5"/></symbol>"##,
    r##"<symbol id="left" viewBox="0 0 16 16"><path d="m9.5 4.5-3.5 3.5 3.5 3.5"/></symbol>"##,
    r##"<symbol id="arrow" viewBox="0 0 16 16"><path d="M3.5 8h9m-3.2-3.2L12.5 8l-3.2 3.2"/></symbol>"##,
    r##"<symbol id="sort" viewBox="0 0 16 16"><path d="M8 3.5v9m-3.2-3.2L8 12.5l3.2-3.2"/></symbol>"##,
    r##"<symbol id="sort-up" viewBox="0 0 16 16"><path d="M8 12.5v-9m-3.2 3.2L8 3.5l3.2 3.2"/></symbol>"##,
    r##"<symbol id="shield" viewBox="0 0 16 16"><path d="M8 1.8 13 3.6v4c0 3.2-2 5.5-5 6.6-3-1.1-5-3.4-5-6.6v-4z"/><path d="m5.8 7.9 1.6 1.6 2.9-3.1"/></symbol>"##,
    r##"<symbol id="alert" viewBox="0 0 16 16"><path d="M8 2.3 14.3 13.2H1.7z"/><path d="M8 6.5v3.2M8 11.4v.1"/></symbol>"##,
    r##"<symbol id="clock" viewBox="0 0 16 16"><circle cx="8" cy="8" r="5.75"/><path d="M8 4.8V8l2.2 1.5"/></symbol>"##,
    r##"<symbol id="file" viewBox="0 0 16 16"><path d="M8 2.5v7.5m-3-3 3 3 3-3M2.8 11.5v2h10.4v-2"/></symbol>"##,
    r##"<symbol id="mark" viewBox="0 0 16 16"><path d="M4 2.5h8v11l-4-2.8-4 2.8z"/></symbol>"##,
    r##"<symbol id="x" viewBox="0 0 16 16"><path d="m4.7 4.7 6.6 6.6m0-6.6-6.6 6.6"/></symbol>"##,
    r##"<symbol id="link" viewBox="0 0 16 16"><path d="M6.8 9.2a2.6 2.6 0 0 0 3.7 0l2-2a2.6 2.6 0 0 0-3.7-3.7l-.9.9M9.2 6.8a2.6 2.6 0 0 0-3.7 0l-2 2a2.6 2.6 0 0 0 3.7 3.7l.9-.9"/></symbol>"##,
    r##"<symbol id="copy" viewBox="0 0 16 16"><rect x="5.5" y="5.5" width="8" height="8" rx="1.6"/><path d="M3.8 10.5h-.3a1 1 0 0 1-1-1v-6a1 1 0 0 1 1-1h6a1 1 0 0 1 1 1v.3"/></symbol>"##,
    r##"<symbol id="term" viewBox="0 0 16 16"><rect x="1.8" y="2.8" width="12.4" height="10.4" rx="1.8"/><path d="m4.5 6 2 2-2 2M8.5 10.2h3"/></symbol>"##,
    r##"<symbol id="gear" viewBox="0 0 16 16"><rect x="4" y="4" width="8" height="8" rx="1.5"/><path d="M6.3 1.8v2.2m3.4-2.2v2.2m-3.4 8v2.2m3.4-2.2v2.2M1.8 6.3h2.2m-2.2 3.4h2.2m8-3.4h2.2m-2.2 3.4h2.2"/></symbol>"##,
    r##"<symbol id="slide" viewBox="0 0 16 16"><path d="M2 5h6.5m3.5 0h2M2 11h2m3.5 0H14"/><circle cx="10.3" cy="5" r="1.7"/><circle cx="5.8" cy="11" r="1.7"/></symbol>"##,
    r##"<symbol id="cal" viewBox="0 0 16 16"><rect x="2.3" y="3.3" width="11.4" height="10.2" rx="1.6"/><path d="M2.3 6.7h11.4M5.3 1.8v2.5m5.4-2.5v2.5"/></symbol>"##,
    r##"<symbol id="lock" viewBox="0 0 16 16"><rect x="3" y="7" width="10" height="6.7" rx="1.5"/><path d="M5.2 7V5a2.8 2.8 0 0 1 5.6 0v2"/></symbol>"##,
    r##"<symbol id="plug" viewBox="0 0 16 16"><path d="M2.5 13.5 5 11m1.2 1.2L3.8 9.8l1.5-1.5 2.4 2.4zM13.5 2.5 11 5m1.2 1.2L9.8 3.8 8.3 5.3l2.4 2.4z"/></symbol>"##,
    r##"<symbol id="chain" viewBox="0 0 16 16"><rect x="2.2" y="2.5" width="11.6" height="3" rx="1"/><rect x="2.2" y="10.5" width="11.6" height="3" rx="1"/><path d="M5 5.5v5m6-5v5"/></symbol>"##,
);

/// The drawings, for the top of a page.
pub fn sprite() -> Markup {
    html! {
        svg width="0" height="0" class="vh" aria-hidden="true" focusable="false" { defs { (PreEscaped(SYMBOLS)) } }
    }
}

/// An icon of 16 px.
pub fn icon(name: &str) -> Markup {
    html! { svg class="i" aria-hidden="true" { use href={ "#" (name) } {} } }
}

/// An icon of 14 px.
pub fn small(name: &str) -> Markup {
    html! { svg class="i s" aria-hidden="true" { use href={ "#" (name) } {} } }
}
