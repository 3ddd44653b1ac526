//! The filter bar: search, four menus in one form that works by itself, and the chips that say what is active.

use maud::{Markup, html};

use super::answer::{Branch, Choice, Facets, Menu};
use super::format::{self, capital, count, cut, initials, shown};
use super::icons::{icon, small};
use super::look::{CELL_CHARACTERS, Look};
use super::range::{Preset, Range};
use super::state::{ActorKind, Fault, Sort, State, without};
use super::tree::{CATEGORIES, OTHER};

/// What the bar shows besides the address.
pub struct Bar<'a> {
    /// Counts, unless they could not be had.
    pub facets: Option<&'a Facets>,
    /// What is wrong with the address.
    pub faults: &'a [Fault],
    /// The time of the oldest entry of all.
    pub oldest_ms: Option<i64>,
}

impl Bar<'_> {
    fn fault(&self, field: &str) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.field == field)
    }

    fn has_fault(&self, fields: &[&str]) -> bool {
        self.faults.iter().any(|fault| fields.contains(&fault.field))
    }

    fn error(&self, field: &str) -> Markup {
        html! {
            @if let Some(fault) = self.fault(field) {
                p class="err" id={ "err-" (field) } role="alert" { (shown(&fault.why)) }
            }
        }
    }
}

/// The form.
pub fn bar(look: &Look<'_>, bar: &Bar<'_>) -> Markup {
    let state = look.state;
    let uncounted = Facets::uncounted(state);
    let facets = bar.facets.unwrap_or(&uncounted);
    let q = bar.fault("q").map_or(state.q.as_str(), |fault| &fault.text);
    html! {
        form class="bar" id="filters" role="search" aria-label="Filter entries" method="get" {
            div class="search" {
                (icon("search"))
                input type="search" name="q" value=(q) placeholder="Search payloads, names, ids, IPs"
                    aria-label="Search entries"
                    autocomplete="off" spellcheck="false" maxlength="8192"
                    aria-invalid=[bar.fault("q").map(|_| "true")] aria-describedby=[bar.fault("q").map(|_| "err-q")];
                kbd aria-hidden="true" { "/" }
            }
            // Enter in a field presses the first button of the form: it must not be one that clears a menu.
            button class="vh" type="submit" tabindex="-1" { "Search" }
            @if state.sort == Sort::Asc { input type="hidden" name="sort" value="asc"; }
            @if state.limit != State::default().limit { input type="hidden" name="limit" value=(state.limit); }
            @if let Some(tz) = state.tz { input type="hidden" name="tz" value=(tz.name()); }
            @if let Some(target) = &state.target { input type="hidden" name="target" value=(target); }
            @if state.is_live { input type="hidden" name="live" value="1"; }
            div class="filters" {
                (actor_menu(look, bar, facets))
                (action_menu(look, bar, facets))
                (type_menu(look, bar, facets))
                (date_menu(look, bar))
            }
            (bar.error("q"))
        }
        @let elsewhere = ["sort", "before", "after", "limit", "open", "live", "tz", "target"];
        @if bar.has_fault(&elsewhere) {
            div class="note bad" role="alert" {
                (icon("alert"))
                span {
                    @for fault in bar.faults.iter().filter(|fault| elsewhere.contains(&fault.field)) {
                        b { "The parameter " (fault.field) }
                        " is “" (cut(&shown(&fault.text), CELL_CHARACTERS)) "”. " (fault.why) " "
                    }
                }
            }
        }
    }
}

fn summary(label: &str, value: Option<String>) -> Markup {
    html! {
        summary class=[Some(if value.is_some() { "btn on" } else { "btn" })] {
            @match value {
                Some(value) => { span class="lbl" { (label) ":" } span class="val" { (value) } }
                None => span class="lbl" { (label) },
            }
            (icon_chevron())
        }
    }
}

fn icon_chevron() -> Markup {
    html! { svg class="i s chev" aria-hidden="true" { use href="#down" {} } }
}

fn foot(words: &str, clear: Option<&str>) -> Markup {
    html! {
        div class="foot" {
            span { (words) }
            @if let Some(clear) = clear {
                button class="btn sm ghost" type="submit" name="clear" value=(clear) { "Clear" }
            }
            button class="btn sm apply" type="submit" { "Apply" }
        }
    }
}

/// How a menu names what is chosen in it: the one value, or how many.
fn chosen(names: &[String]) -> Option<String> {
    match names {
        [] => None,
        [one] => Some(cut(&shown(one), 28).into_owned()),
        many => Some(format!("{} selected", many.len())),
    }
}

fn actor_menu(look: &Look<'_>, bar: &Bar<'_>, facets: &Facets) -> Markup {
    let state = look.state;
    let mut names: Vec<String> = state.actors.iter().map(|value| actor_name(value, Some(&facets.actors))).collect();
    if names.is_empty() {
        names.extend(state.actor_kind.map(|kind| kind_label(kind).to_owned()));
    }
    let kinds = [
        (ActorKind::User, facets.kinds.map(|(people, _)| people)),
        (ActorKind::System, facets.kinds.map(|(_, system)| system)),
    ];
    html! {
        details class="menu" name="m" id="m-actor" open[bar.has_fault(&["actor", "actor_kind"])] {
            (summary("Actor", chosen(&names)))
            div class="panel" {
                (bar.error("actor")) (bar.error("actor_kind"))
                div class="seg" role="radiogroup" aria-label="Kind of actor" {
                    label {
                        input type="radio" name="actor_kind" value="any" checked[state.actor_kind.is_none()]; "Anyone"
                    }
                    @for (kind, n) in kinds {
                        label {
                            input type="radio" name="actor_kind" value=(kind.word())
                                checked[state.actor_kind == Some(kind)];
                            (kind_label(kind)) " " @if let Some(n) = n { span class="n num" { (count(n)) } }
                        }
                    }
                }
                (find("actor", "Name, email or id", "Find a person"))
                (actor_choices(look, &facets.actors, None))
            }
        }
    }
}

/// The field that asks the server for values; only script can.
fn find(facet: &str, placeholder: &str, label: &str) -> Markup {
    html! {
        div class="find needs-js" {
            (icon("search"))
            input type="text" name={ "find_" (facet) } placeholder=(placeholder) aria-label=(label)
                autocomplete="off" spellcheck="false";
        }
    }
}

fn kind_label(kind: ActorKind) -> &'static str {
    match kind {
        ActorKind::User => "People",
        ActorKind::System => "system",
    }
}

/// What an actor of the address is called: the name of the newest entry, if it was counted.
fn actor_name(value: &str, menu: Option<&Menu>) -> String {
    let known = menu.and_then(|menu| menu.choices.iter().find(|choice| choice.value == value));
    let name = known.and_then(|choice| choice.named.label.clone()).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| value.strip_prefix("user/").unwrap_or(value).to_owned())
}

/// The values of the actor menu with its foot: what `/_facet/actor` answers.
pub fn actor_choices(look: &Look<'_>, menu: &Menu, find: Option<&str>) -> Markup {
    let words = match find {
        Some(find) => found(menu, find),
        None => match look.state.actor_kind {
            Some(ActorKind::User) => of(menu, "person", "people"),
            Some(ActorKind::System) | None => of(menu, "actor", "actors"),
        },
    };
    html! {
        div class="scroll" data-facet="actor" {
            @for (title, unseen_values, choices) in sections(menu, find) {
                @if let Some(title) = title { p class="cap" { (title) } }
                @for value in unseen_values { (unseen("actor", value)) }
                @for choice in choices { (actor_choice(choice)) }
            }
            @if menu.choices.is_empty() && menu.unseen.is_empty() && menu.values.is_some() {
                p class="cap" { "Nobody" }
            }
        }
        (foot(&words, Some("actor")))
    }
}

fn actor_choice(choice: &Choice) -> Markup {
    html! {
        label class=(opt(choice)) {
            input type="checkbox" name="actor" value=(choice.value) checked[choice.is_chosen];
            (sign(&choice.named.value.parent, choice.named.label.as_deref(), &choice.named.value.value))
            span class="nm" {
                @let id = choice.named.actor_id();
                @match choice.named.label.as_deref().filter(|label| !label.is_empty()) {
                    Some(label) => {
                        (cut(&shown(label), CELL_CHARACTERS))
                        @let more = choice.named.email.as_deref().unwrap_or(id);
                        @if more != label { " " span class="sub" { (cut(&shown(more), CELL_CHARACTERS)) } }
                    }
                    None => (cut(&shown(id), CELL_CHARACTERS)),
                }
            }
            span class="n num" { (count(choice.named.count)) }
        }
    }
}

/// The chosen values, then the others; with headings where something was looked for.
fn sections<'a>(menu: &'a Menu, find: Option<&str>) -> [(Option<&'static str>, &'a [String], &'a [Choice]); 2] {
    let (chosen, others) = menu.choices.split_at(menu.choices.partition_point(|choice| choice.is_chosen));
    let title = |words, is_empty: bool| find.filter(|_| !is_empty).map(|_| words);
    [
        (title("Selected", menu.unseen.is_empty() && chosen.is_empty()), &menu.unseen, chosen),
        (title("Best matches", others.is_empty()), &[], others),
    ]
}

/// A round sign with letters for people, a square one for all others.
pub fn sign(kind: &str, name: Option<&str>, id: &str) -> Markup {
    let letters = initials(name.unwrap_or(id));
    if kind == "user" && !letters.is_empty() {
        let hue = id.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) % 9;
        return html! { span class={ "avatar av" (hue) } aria-hidden="true" { (letters) } };
    }
    html! { span class="sys" { (small("gear")) } }
}

fn opt(choice: &Choice) -> &'static str {
    if choice.is_chosen { "opt sel" } else { "opt" }
}

/// A chosen value that was not counted: it stays chosen.
fn unseen(name: &str, value: &str) -> Markup {
    html! {
        label class="opt sel" {
            input type="checkbox" name=(name) value=(value) checked;
            span class="nm" { (cut(&shown(value), CELL_CHARACTERS)) }
            span class="n num" { "" }
        }
    }
}

/// `7 of 3,412 people`
fn of(menu: &Menu, one: &str, many: &str) -> String {
    let shown = menu.choices.len();
    match menu.values {
        None => "not counted".to_owned(),
        Some(values) if values > shown => format!("{shown} of {}", format::plural(values as u64, one, many)),
        Some(values) => format::plural(values as u64, one, many),
    }
}

/// `2 of 64 that match "ma"`
fn found(menu: &Menu, find: &str) -> String {
    let shown_count = menu.choices.iter().filter(|choice| !choice.is_chosen).count();
    format!("{} of {} that match \"{}\"", shown_count, count(menu.values.unwrap_or(0) as u64), cut(&shown(find), 20))
}

fn action_menu(look: &Look<'_>, bar: &Bar<'_>, facets: &Facets) -> Markup {
    let names: Vec<String> = look.state.actions.iter().map(|value| action_name(look, value)).collect();
    html! {
        details class="menu" name="m" id="m-action" open[bar.has_fault(&["action"])] {
            (summary("Action", chosen(&names)))
            div class="panel" {
                (bar.error("action"))
                (find("action", "Find an action", "Find an action"))
                (action_choices(look, facets, None))
            }
        }
    }
}

/// What an action of the address is called: a category by its label, an action by its name.
fn action_name(look: &Look<'_>, value: &str) -> String {
    match value {
        OTHER => "Other".to_owned(),
        _ if CATEGORIES.contains(&value) => label_of(look, value).to_owned(),
        _ => value.trim_matches('"').to_owned(),
    }
}

/// The label of a category.
pub fn label_of<'a>(look: &'a Look<'_>, slug: &'a str) -> &'a str {
    look.catalogue.category(slug).map_or(slug, |category| &category.label)
}

/// The tree of actions with its foot: what `/_facet/action` answers.
pub fn action_choices(look: &Look<'_>, facets: &Facets, find: Option<&str>) -> Markup {
    let verbs: usize = facets.branches.iter().map(|branch| branch.verbs.len()).sum();
    let words = match (find, look.state.actions.len()) {
        (None, 0) if facets.branches.is_empty() => "not counted".to_owned(),
        (None, 0) => format::plural(verbs as u64, "action", "actions"),
        (None, n) => format!("{n} selected"),
        (Some(find), _) => format!("{} that match \"{}\"", count(verbs as u64), cut(&shown(find), 20)),
    };
    html! {
        div class="scroll" data-facet="action" {
            @for value in &facets.unseen_actions { (unseen("action", value)) }
            div class="tree" { @for branch in &facets.branches { (branch_of(branch, find.is_some())) } }
            @if facets.branches.is_empty() && find.is_some() { p class="cap" { "No action" } }
        }
        (foot(&words, Some("action")))
    }
}

fn branch_of(branch: &Branch, is_found: bool) -> Markup {
    let chosen_verbs = branch.verbs.iter().filter(|verb| verb.is_chosen).count();
    let is_mixed = chosen_verbs > 0 && !branch.is_chosen;
    html! {
        div class="branch" {
            label class={ "opt" @if branch.is_chosen || is_mixed { " sel" } } {
                input type="checkbox" name="action" value=(branch.slug) checked[branch.is_chosen]
                    class=[is_mixed.then_some("mixed")];
                span class={ "dot " (branch.slug) } {}
                (branch.label)
                span class="n num" { (count(branch.count)) }
            }
            @if !branch.verbs.is_empty() {
                details open[chosen_verbs > 0 || is_found] {
                    summary aria-label={ "Actions in " (branch.label) } { (small("right")) }
                    @for verb in &branch.verbs {
                        label class={ "opt kid" @if verb.is_chosen { " sel" } } {
                            input type="checkbox" name="action" value=(verb.value) checked[verb.is_chosen];
                            code class="nm" { (cut(&shown(&verb.name), CELL_CHARACTERS)) }
                            span class="n num" { (count(verb.count)) }
                        }
                    }
                }
            }
        }
    }
}

fn type_menu(look: &Look<'_>, bar: &Bar<'_>, facets: &Facets) -> Markup {
    let names: Vec<String> = look.state.target_types.iter().map(|value| type_name(value)).collect();
    html! {
        details class="menu" name="m" id="m-type" open[bar.has_fault(&["target_type"])] {
            (summary("Target type", chosen(&names)))
            div class="panel" {
                (bar.error("target_type"))
                @if facets.types.values > Some(super::answer::MENU_VALUES_MAX) {
                    (find("target_type", "Find a type", "Find a type"))
                }
                (type_choices(&facets.types, None))
            }
        }
    }
}

/// A type as people read it: `Contact field` for `contact_field`.
pub fn type_name(kind: &str) -> String {
    capital(&shown(kind).replace('_', " "))
}

/// The values of the type menu with its foot: what `/_facet/target_type` answers.
pub fn type_choices(menu: &Menu, find: Option<&str>) -> Markup {
    let words = match find {
        Some(find) => found(menu, find),
        None => of(menu, "type", "types"),
    };
    html! {
        div class="scroll" data-facet="target_type" {
            @for (title, unseen_values, choices) in sections(menu, find) {
                @if let Some(title) = title { p class="cap" { (title) } }
                @for value in unseen_values { (unseen("target_type", value)) }
                @for choice in choices {
                    label class=(opt(choice)) {
                        input type="checkbox" name="target_type" value=(choice.value) checked[choice.is_chosen];
                        span class="nm" { (cut(&type_name(&choice.named.spelling), CELL_CHARACTERS)) }
                        span class="n num" { (count(choice.named.count)) }
                    }
                }
            }
            @if menu.choices.is_empty() && menu.unseen.is_empty() && menu.values.is_some() {
                p class="cap" { "No entry has a target" }
            }
        }
        (foot(&words, Some("type")))
    }
}

fn date_menu(look: &Look<'_>, bar: &Bar<'_>) -> Markup {
    let (state, tz, now_ms) = (look.state, look.tz, look.now_ms);
    let (from, to) = state.range.bounds(now_ms);
    // Shows the same to everybody, at any time: neither clock nor zone of whoever opens it matter.
    let end = to.unwrap_or_else(|| now_ms.max(from.map_or(now_ms, |from| from.saturating_add(1))));
    let fixed = Range::Between { from, to: Some(end) };
    let fixed = State { range: fixed, tz: Some(tz), is_live: false, ..state.clone() };
    let from = from.or(bar.oldest_ms).map(|ms| format::field(tz, ms)).unwrap_or_default();
    let to = match state.range {
        Range::Between { to: None, .. } => String::new(),
        _ => format::field(tz, to.unwrap_or(now_ms)),
    };
    let dates = |preset: Preset| {
        let (from, to) = (now_ms - preset.length_ms(), now_ms);
        match preset {
            Preset::Hour => format!("since {}", format::local(tz, from).format("%H:%M")),
            Preset::Day => format!("since {}", format::minute(tz, from - from.rem_euclid(60_000), now_ms)),
            Preset::Week | Preset::Month | Preset::Quarter => {
                format!("{} to {}", format::day(tz, from, now_ms), format::day(tz, to, now_ms))
            }
        }
    };
    let is_between = matches!(state.range, Range::Between { .. });
    let faults = ["range", "from", "to"];
    html! {
        details class="menu" name="m" id="m-date" open[bar.has_fault(&faults)] {
            summary class="btn on" {
                (icon("cal")) span class="val" { (range_label(look)) } (icon_chevron())
            }
            div class="panel r" {
                (bar.error("range"))
                @for preset in Preset::ALL {
                    label class="opt" {
                        input type="radio" name="range" value=(preset.word())
                            checked[state.range == Range::Last(preset)];
                        (preset.label()) span class="n" { (dates(preset)) }
                    }
                }
                label class="opt" {
                    input type="radio" name="range" value="all" checked[state.range == Range::All];
                    "All time"
                    span class="n" {
                        @if let Some(oldest) = bar.oldest_ms { "since " (format::day(tz, oldest, now_ms)) }
                    }
                }
                label class="opt" {
                    input type="radio" name="range" value="custom" checked[is_between]; "Between" span class="n" {}
                }
                div class="two" {
                    @for (name, label, value) in [("from", "From", &from), ("to", "To", &to)] {
                        label {
                            (label)
                            input type="datetime-local" step="1" name=(name) value=(value)
                                aria-invalid=[bar.fault(name).map(|_| "true")]
                                aria-describedby=[bar.fault(name).map(|_| format!("err-{name}"))];
                        }
                    }
                }
                (bar.error("from")) (bar.error("to"))
                a class="opt" href=(look.href(&fixed)) data-copy="link" {
                    (small("link")) span class="needs-js" { "Copy link with fixed times" }
                    span class="no-js" { "Link with fixed times" }
                }
                (foot(tz.name(), Some("date")))
            }
        }
    }
}

/// What the button of the date menu says.
pub fn range_label(look: &Look<'_>) -> String {
    let moment = |ms| format::minute(look.tz, ms, look.now_ms);
    match look.state.range {
        Range::Last(preset) => preset.label().to_owned(),
        Range::All => "All time".to_owned(),
        Range::Between { from: Some(from), to: Some(to) } => format!("{} to {}", moment(from), moment(to)),
        Range::Between { from: Some(from), to: None } => format!("Since {}", moment(from)),
        Range::Between { from: None, to: Some(to) } => format!("Before {}", moment(to)),
        Range::Between { from: None, to: None } => "All time".to_owned(),
    }
}

/// The active filters, each with a link that removes it.
pub fn chips(look: &Look<'_>, facets: Option<&Facets>) -> Markup {
    let state = look.state;
    if state.is_unfiltered() && state.range == State::default().range {
        return html! {};
    }
    let fresh = state.fresh();
    let mut chips: Vec<(&str, String, State)> = Vec::new();
    for value in &state.actors {
        let name = actor_name(value, facets.map(|facets| &facets.actors));
        chips.push(("Actor", name, State { actors: without(&state.actors, value), ..fresh.clone() }));
    }
    if let Some(kind) = state.actor_kind {
        chips.push(("Actor", kind_label(kind).to_owned(), State { actor_kind: None, ..fresh.clone() }));
    }
    for value in &state.actions {
        chips.push((
            "Action",
            action_name(look, value),
            State { actions: without(&state.actions, value), ..fresh.clone() },
        ));
    }
    for value in &state.target_types {
        let types = without(&state.target_types, value);
        chips.push(("Target type", type_name(value), State { target_types: types, ..fresh.clone() }));
    }
    if let Some(target) = &state.target {
        chips.push(("Target", target.clone(), State { target: None, ..fresh.clone() }));
    }
    if !state.q.is_empty() {
        chips.push(("Text", state.q.clone(), State { q: String::new(), ..fresh.clone() }));
    }
    if state.range != Range::All {
        let label = range_label(look);
        let label = match state.range {
            Range::Last(_) => label.to_lowercase(),
            Range::All | Range::Between { .. } => label,
        };
        chips.push(("Time", label, State { range: Range::All, ..fresh }));
    }
    html! {
        div class="chips" {
            @for (kind, name, left) in &chips {
                @let name = cut(&shown(name), CELL_CHARACTERS).into_owned();
                span class="chip" {
                    span { (kind) " " b { (name) } }
                    a href=(look.href(left)) aria-label={ "Remove " (kind) " " (name) } { (small("x")) }
                }
            }
            a class="btn sm ghost" href=(look.href(&state.cleared())) { "Clear all" }
        }
    }
}
