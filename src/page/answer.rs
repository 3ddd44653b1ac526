//! What one page asks of the store: rows, counts, chart, and what stands in open entries. One snapshot answers it all.
//!
//! Every number is exact. Each facet is counted without what was chosen in its own menu, so that the number beside a
//! value is that of the page behind a click on it.

use chrono_tz::Tz;

use crate::api::error::ApiError;
use crate::event::{Catalogue, Entry};
use crate::index::{Engine, EngineError, FacetValue, Hit, Order, Within};
use crate::query::filter::{Actor, Filter, SeqRange, TargetType, TimeRange};
use crate::query::{Env, FacetField, Highlights, Node, Pattern, Query, highlights};
use crate::seq::Seq;
use crate::store::{Answers, NamedCount, Store, by_category};
use crate::text::fold;
use crate::tree::proof::verify_inclusion;

use super::axis::Axis;
use super::detail::Proven;
use super::range::{Preset, Range};
use super::state::{ActorKind, At, Sort, State};
use super::tree::{CATEGORIES, Conditions, OTHER, Part, node};

/// Values of a facet that a menu shows, most frequent first; the rest is found.
pub const MENU_VALUES_MAX: usize = 50;
/// Actions that are named; a log has hundreds of them, not thousands.
const ACTIONS_MAX: usize = 1_000;

/// What is asked.
pub struct Asked {
    /// The address.
    pub state: State,
    /// The address as conditions.
    pub conditions: Conditions,
    /// The viewer's zone.
    pub tz: Tz,
    /// The moment that ranges count back from.
    pub now_ms: i64,
}

impl Asked {
    fn env<'a>(&self, catalogue: &'a Catalogue) -> Env<'a> {
        Env { now_ms: self.now_ms.cast_unsigned(), catalogue }
    }
}

/// An entry in the list.
pub struct Row {
    /// The entry.
    pub entry: Entry,
    /// What of it to mark.
    pub marks: Highlights,
}

/// A page of rows.
#[derive(Default)]
pub struct Rows {
    /// In the order they are shown.
    pub rows: Vec<Row>,
    /// How many entries come before the first one.
    pub before: u64,
}

/// An open entry.
pub struct Opened {
    /// The entry.
    pub entry: Entry,
    /// Its body as it was recorded.
    pub body: String,
    /// Whether its leaf leads to the signed root.
    pub proven: Proven,
    /// Entries with something in common.
    pub related: Vec<Related>,
}

/// A link to entries that have something in common with an open one.
pub struct Related {
    /// What they have in common.
    pub label: &'static str,
    /// Where they are.
    pub state: State,
    /// How many there are.
    pub count: u64,
}

/// One value of a menu.
pub struct Choice {
    /// The value of the parameter that chooses it.
    pub value: String,
    /// It is chosen.
    pub is_chosen: bool,
    /// What was counted.
    pub named: NamedCount,
}

/// A menu of values.
#[derive(Default)]
pub struct Menu {
    /// The chosen ones, then the most frequent ones.
    pub choices: Vec<Choice>,
    /// Chosen values that nothing in the log has under the other filters, or that are patterns.
    pub unseen: Vec<String>,
    /// How many values there are, or match what was looked for; none if nothing was counted.
    pub values: Option<usize>,
}

/// A category of actions, or what lies outside the ten.
pub struct Branch {
    /// Its slug, which is the value that chooses it.
    pub slug: String,
    /// What people call it.
    pub label: String,
    /// How many entries.
    pub count: u64,
    /// It is chosen.
    pub is_chosen: bool,
    /// Its actions: the value that chooses each, its name, how many entries, whether it is chosen.
    pub verbs: Vec<Verb>,
}

/// An action.
pub struct Verb {
    /// The value that chooses it.
    pub value: String,
    /// Its name.
    pub name: String,
    /// How many entries.
    pub count: u64,
    /// It is chosen.
    pub is_chosen: bool,
}

/// What the menus and the strip show.
#[derive(Default)]
pub struct Facets {
    /// Entries without the filter on actions.
    pub all: u64,
    /// The categories, in their fixed order, and at last what lies outside them.
    pub branches: Vec<Branch>,
    /// Chosen actions that are none of these: patterns, say.
    pub unseen_actions: Vec<String>,
    /// Who.
    pub actors: Menu,
    /// Entries of people, and of the system, under all other filters; none if nothing was counted.
    pub kinds: Option<(u64, u64)>,
    /// To what.
    pub types: Menu,
}

impl Facets {
    /// Where nothing could be counted: only what the address chooses, so that no form loses it.
    pub fn uncounted(state: &State) -> Facets {
        let menu = |chosen: &[String]| Menu { unseen: chosen.to_vec(), ..Menu::default() };
        let (actors, types) = (menu(&state.actors), menu(&state.target_types));
        Facets { actors, types, unseen_actions: state.actions.clone(), ..Facets::default() }
    }
}

/// The chart.
pub struct Chart {
    /// Its buckets.
    pub axis: Axis,
    /// Matching entries in each.
    pub counts: Vec<u64>,
    /// All entries of the range in each, if a filter is active.
    pub context: Option<Vec<u64>>,
}

/// A page that would have entries, for one that has none.
pub struct Nearest {
    /// What to do.
    pub label: String,
    /// Where it leads.
    pub state: State,
    /// How many entries are there.
    pub count: u64,
}

/// All of a page.
pub struct Answer {
    /// How many entries match.
    pub total: u64,
    /// The rows.
    pub rows: Rows,
    /// Open entries, those of the page and others.
    pub opened: Vec<Opened>,
    /// Open entries that are not on the page, as rows.
    pub linked: Vec<Row>,
    /// Menus and strip.
    pub facets: Facets,
    /// The chart, unless there is nothing at all.
    pub chart: Option<Chart>,
    /// Ways out of an empty page.
    pub nearest: Vec<Nearest>,
    /// The time of the oldest entry of all.
    pub oldest_ms: Option<i64>,
    /// Everything below it was searched.
    pub searchable: Seq,
}

/// One question over one snapshot.
pub struct Asking<'a> {
    /// Finds and reads.
    pub answers: Answers<'a, dyn Engine>,
    /// Everything below it is searched.
    pub searchable: Seq,
    /// The hashes of the tree and its newest signed head.
    pub store: &'a Store,
}

impl Asking<'_> {
    fn within(&self) -> Within {
        Within::below(self.searchable)
    }

    fn total(&self, query: &Query) -> Result<u64, EngineError> {
        self.answers.engine.total(query, self.within())
    }

    /// Everything that a page shows. `linked` are the places of open entries that may not be on it.
    pub fn page(&self, asked: &Asked, linked: &[Seq]) -> Result<Answer, ApiError> {
        let query = asked.conditions.query();
        let rows = self.rows(asked, &query)?;
        let facets = self.facets(asked)?;
        let total = self.total(&query)?;
        let (mut opened, mut others) = (Vec::new(), Vec::new());
        for row in rows.rows.iter().filter(|row| asked.state.open.contains(&row.entry.event.id)) {
            opened.push(self.opened(row.entry.seq, asked.now_ms)?);
        }
        for seq in linked.iter().filter(|seq| !rows.rows.iter().any(|row| row.entry.seq == **seq)) {
            others.push(Row { entry: self.answers.source.entry(*seq)?, marks: Highlights::default() });
            opened.push(self.opened(*seq, asked.now_ms)?);
        }
        let ends = self.answers.engine.time_ends(&Query::all(), self.within())?;
        Ok(Answer {
            total,
            chart: self.chart(asked, &query, ends)?,
            nearest: if total == 0 { self.nearest(asked)? } else { Vec::new() },
            rows,
            opened,
            linked: others,
            facets,
            oldest_ms: ends.map(|(oldest, _)| oldest),
            searchable: self.searchable,
        })
    }

    fn rows(&self, asked: &Asked, query: &Query) -> Result<Rows, EngineError> {
        let (order, after, is_backwards) = match (asked.state.sort, asked.state.at) {
            (Sort::Desc, At::Start) => (Order::TimeDesc, None, false),
            (Sort::Desc, At::Before(hit)) => (Order::TimeDesc, Some(hit), false),
            (Sort::Desc, At::After(hit)) => (Order::TimeAsc, Some(hit), true),
            (Sort::Asc, At::Start) => (Order::TimeAsc, None, false),
            (Sort::Asc, At::After(hit)) => (Order::TimeAsc, Some(hit), false),
            (Sort::Asc, At::Before(hit)) => (Order::TimeDesc, Some(hit), true),
        };
        let text = asked.conditions.text();
        let mut rows = Vec::with_capacity(asked.state.limit);
        for hit in self.answers.engine.hits(query, order, after, self.within())?.take(asked.state.limit) {
            let entry = self.answers.source.entry(hit?.seq)?;
            let marks = highlights(&text, &entry);
            rows.push(Row { entry, marks });
        }
        if is_backwards {
            rows.reverse();
        }
        let before = match (asked.state.at, rows.first()) {
            (At::Start, _) => 0,
            (_, Some(first)) => self.before(asked.state.sort, query, place(first))?,
            (_, None) => self.total(query)?,
        };
        Ok(Rows { rows, before })
    }

    /// How many matching entries stand before this place.
    fn before(&self, sort: Sort, query: &Query, place: Hit) -> Result<u64, EngineError> {
        let Hit { time_ms, seq } = place;
        let time = |from_ms, to_ms| Node::Filter(Filter::Time(TimeRange { from_ms, to_ms }));
        let same_ms = time(Some(time_ms), Some(time_ms.saturating_add(1)));
        let (further, beside) = match sort {
            Sort::Desc => (time(Some(time_ms.saturating_add(1)), None), SeqRange { from: seq.plus(1), to: None }),
            Sort::Asc => (time(None, Some(time_ms)), SeqRange { from: Seq::ZERO, to: Some(seq) }),
        };
        let further = self.total(&query.clone().and(Query { root: further }))?;
        if beside.to == Some(Seq::ZERO) {
            return Ok(further);
        }
        let beside = Query { root: Node::and(vec![same_ms, Node::Filter(Filter::Seq(beside))]) };
        Ok(further + self.total(&query.clone().and(beside))?)
    }

    /// Menus and strip.
    pub fn facets(&self, asked: &Asked) -> Result<Facets, EngineError> {
        let fields = [FacetField::Actor, FacetField::TargetType, FacetField::Action];
        let is_odd = asked.conditions.has_odd_actions();
        let counted = asked.conditions.counted(&[]);
        let counts =
            self.answers.engine.counts(&counted, self.within(), if is_odd { &fields[..2] } else { &fields })?;
        let mut facets = counts.facets;
        let actions = match is_odd {
            false => facets.pop().map(|facet| facet.values).unwrap_or_default(),
            true => self.values(&asked.conditions.counted(&[Part::Actions]), FacetField::Action)?,
        };
        let types = facets.pop().map(|facet| facet.values).unwrap_or_default();
        let actors = facets.pop().map(|facet| facet.values).unwrap_or_default();
        let (branches, unseen_actions) = self.branches(&actions, &asked.state.actions)?;
        Ok(Facets {
            all: actions.iter().map(|(_, count)| count).sum(),
            branches,
            unseen_actions,
            kinds: Some(self.kinds(asked, &actors)?),
            actors: self.actors(asked, actors, None)?,
            types: self.types(asked, types, None)?,
        })
    }

    /// The values of one facet alone.
    fn values(&self, query: &Query, field: FacetField) -> Result<Vec<(FacetValue, u64)>, EngineError> {
        let counts = self.answers.engine.counts(query, self.within(), &[field])?;
        Ok(counts.facets.into_iter().next().map(|facet| facet.values).unwrap_or_default())
    }

    /// The menu of actors, of what was looked for.
    pub fn find_actors(&self, asked: &Asked, find: &str) -> Result<Menu, EngineError> {
        let values = self.values(&asked.conditions.counted(&[]), FacetField::Actor)?;
        self.actors(asked, values, Some(find).filter(|find| !find.is_empty()))
    }

    /// The menu of types, of what was looked for.
    pub fn find_types(&self, asked: &Asked, find: &str) -> Result<Menu, EngineError> {
        let values = self.values(&asked.conditions.counted(&[]), FacetField::TargetType)?;
        self.types(asked, values, Some(find).filter(|find| !find.is_empty()))
    }

    /// The tree of actions.
    pub fn find_actions(&self, asked: &Asked, find: &str) -> Result<Facets, EngineError> {
        let values = self.values(&asked.conditions.counted(&[Part::Actions]), FacetField::Action)?;
        let (mut branches, unseen_actions) = self.branches(&values, &asked.state.actions)?;
        let find = fold(find).into_owned();
        for branch in &mut branches {
            branch.verbs.retain(|verb| verb.is_chosen || fold(&verb.name).contains(&find));
        }
        branches.retain(|branch| branch.is_chosen || !branch.verbs.is_empty());
        let all = values.iter().map(|(_, count)| count).sum();
        Ok(Facets { all, branches, unseen_actions, ..Facets::default() })
    }

    fn kinds(&self, asked: &Asked, actors: &[(FacetValue, u64)]) -> Result<(u64, u64), EngineError> {
        let of = |kind: ActorKind| -> Result<u64, EngineError> {
            if asked.state.actors.is_empty() {
                return Ok(actors
                    .iter()
                    .filter(|(value, _)| value.parent == kind.word())
                    .map(|(_, count)| count)
                    .sum());
            }
            let state = State { actor_kind: Some(kind), ..asked.state.clone() };
            match Conditions::read(&state, self.answers.catalogue, asked.now_ms.cast_unsigned()) {
                Ok(conditions) => self.total(&conditions.query()),
                Err(_) => Ok(0),
            }
        };
        Ok((of(ActorKind::User)?, of(ActorKind::System)?))
    }

    fn actors(
        &self,
        asked: &Asked,
        mut values: Vec<(FacetValue, u64)>,
        find: Option<&str>,
    ) -> Result<Menu, EngineError> {
        if let Some(kind) = asked.state.actor_kind {
            values.retain(|(value, _)| value.parent == kind.word());
        }
        let read = |chosen: &str| match node("actor", chosen, &asked.env(self.answers.catalogue)) {
            Ok(Node::Filter(Filter::Actor(actor))) => Some(actor),
            _ => None,
        };
        let is = |wanted: &Option<Actor>, actor: &FacetValue| {
            wanted.as_ref().is_some_and(|wanted| wanted.names(&actor.parent, &actor.value))
        };
        self.menu(FacetField::Actor, values, find, &asked.state.actors, read, is)
    }

    fn types(&self, asked: &Asked, values: Vec<(FacetValue, u64)>, find: Option<&str>) -> Result<Menu, EngineError> {
        let read = |chosen: &str| match node("target_type", chosen, &asked.env(self.answers.catalogue)) {
            Ok(Node::Filter(Filter::TargetType(TargetType(Pattern::Exact(kind))))) => Some(kind),
            _ => None,
        };
        let is = |wanted: &Option<String>, kind: &FacetValue| wanted.as_ref() == Some(&kind.value);
        self.menu(FacetField::TargetType, values, find, &asked.state.target_types, read, is)
    }

    /// `read` makes of what stands in the address what `is` holds a value against.
    fn menu<W>(
        &self,
        field: FacetField,
        values: Vec<(FacetValue, u64)>,
        find: Option<&str>,
        chosen: &[String],
        read: impl Fn(&str) -> W,
        is: impl Fn(&W, &FacetValue) -> bool,
    ) -> Result<Menu, EngineError> {
        let wanted: Vec<(W, &String)> = chosen.iter().map(|value| (read(value), value)).collect();
        let (own, rest): (Vec<_>, Vec<_>) =
            values.into_iter().partition(|(value, _)| wanted.iter().any(|(wanted, _)| is(wanted, value)));
        let mut seen = Vec::new();
        let mut choices = Vec::new();
        for named in self.answers.name_top(field, &own, own.len(), self.within())? {
            let Some((_, value)) = wanted.iter().find(|(wanted, _)| is(wanted, &named.value)) else {
                continue;
            };
            seen.push((*value).clone());
            choices.push(Choice { value: (*value).clone(), is_chosen: true, named });
        }
        let (named, values) = match find {
            None => (self.answers.name_top(field, &rest, MENU_VALUES_MAX, self.within())?, own.len() + rest.len()),
            Some(find) => {
                let mut named =
                    self.answers.name_found(field, &rest, find, |one| one.email.as_deref(), self.within())?;
                let values = named.len();
                named.truncate(MENU_VALUES_MAX);
                (named, values)
            }
        };
        choices.extend(named.into_iter().map(|named| Choice { value: named.choice.clone(), is_chosen: false, named }));
        let unseen = chosen.iter().filter(|value| !seen.contains(value)).cloned().collect();
        Ok(Menu { choices, unseen, values: Some(values) })
    }

    /// The tree of actions, and what was chosen outside it.
    fn branches(
        &self,
        all: &[(FacetValue, u64)],
        chosen: &[String],
    ) -> Result<(Vec<Branch>, Vec<String>), EngineError> {
        let catalogue = self.answers.catalogue;
        let named = self.answers.name_top(FacetField::Action, all, ACTIONS_MAX, self.within())?;
        let counted = by_category(all, &named, catalogue);
        let mut branches: Vec<Branch> = CATEGORIES.iter().map(|slug| branch(slug, catalogue)).collect();
        branches.push(Branch { label: "Other".to_owned(), ..branch(OTHER, catalogue) });
        for category in counted {
            let index = CATEGORIES.iter().position(|slug| *slug == category.slug).unwrap_or(CATEGORIES.len());
            let branch = &mut branches[index];
            branch.count += category.count;
            for (value, action) in category.actions {
                branch.verbs.push(Verb { value, name: action.spelling.clone(), count: action.count, is_chosen: false });
            }
        }
        let mut unseen: Vec<String> = Vec::new();
        for branch in &mut branches {
            branch.verbs.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
            let known =
                catalogue.category(&branch.slug).map(|category| category.actions.as_slice()).unwrap_or_default();
            for action in known.iter().filter(|_| branch.slug != OTHER) {
                if !branch.verbs.iter().any(|verb| fold(&verb.name) == fold(&action.name)) {
                    let name = action.name.clone();
                    branch.verbs.push(Verb { value: name.clone(), name, count: 0, is_chosen: false });
                }
            }
        }
        for value in chosen {
            // A slug is the category, also where an action is spelt like it.
            if let Some(branch) = branches.iter_mut().find(|branch| branch.slug == *value) {
                branch.is_chosen = true;
                continue;
            }
            let name = fold(value.trim_matches('"'));
            let mut verbs = branches.iter_mut().flat_map(|branch| branch.verbs.iter_mut());
            match verbs.find(|verb| fold(verb.value.trim_matches('"')) == name) {
                Some(verb) => {
                    verb.value.clone_from(value);
                    verb.is_chosen = true;
                }
                None => unseen.push(value.clone()),
            }
        }
        Ok((branches, unseen))
    }

    fn chart(&self, asked: &Asked, query: &Query, ends: Option<(i64, i64)>) -> Result<Option<Chart>, EngineError> {
        let Some((oldest, newest)) = ends else {
            return Ok(None);
        };
        let (from, to) = asked.state.range.bounds(asked.now_ms);
        // A range without an end goes on to now, or to what a fast clock stamped later.
        let end = to.unwrap_or_else(|| newest.saturating_add(1).max(asked.now_ms));
        let start = from.unwrap_or(oldest).min(end - 1);
        let axis = Axis::over(asked.tz, start, end, to.is_none());
        let engine = self.answers.engine;
        let counts = engine.histogram(query, self.within(), &axis.edges)?;
        let context = match asked.state.is_unfiltered() {
            true => None,
            false => Some(engine.histogram(&asked.conditions.time_only(), self.within(), &axis.edges)?),
        };
        Ok(Some(Chart { axis, counts, context }))
    }

    /// At most two pages near an empty one that are not: one with less asked, one with a longer range.
    fn nearest(&self, asked: &Asked) -> Result<Vec<Nearest>, EngineError> {
        let state = asked.state.fresh();
        let less = [
            (Part::Text, "Remove the text", State { q: String::new(), ..state.clone() }, !state.q.is_empty()),
            (
                Part::Actors,
                "Remove the actors",
                State { actors: Vec::new(), ..state.clone() },
                !state.actors.is_empty(),
            ),
            (
                Part::Kind,
                "Remove the kind of actor",
                State { actor_kind: None, ..state.clone() },
                state.actor_kind.is_some(),
            ),
            (
                Part::Actions,
                "Remove the actions",
                State { actions: Vec::new(), ..state.clone() },
                !state.actions.is_empty(),
            ),
            (
                Part::Types,
                "Remove the target types",
                State { target_types: Vec::new(), ..state.clone() },
                !state.target_types.is_empty(),
            ),
            (Part::Target, "Remove the target", State { target: None, ..state.clone() }, state.target.is_some()),
        ];
        let mut best: Option<Nearest> = None;
        for (part, label, state, _) in less.into_iter().filter(|(_, _, _, is_there)| *is_there) {
            let count = self.total(&asked.conditions.without(&[part]))?;
            // The change that keeps most of what was asked is the one with the fewest entries.
            if count > 0 && best.as_ref().is_none_or(|best| count < best.count) {
                best = Some(Nearest { label: label.to_owned(), state, count });
            }
        }
        let mut nearest: Vec<Nearest> = best.into_iter().collect();
        let longer = Preset::ALL.into_iter().filter(|preset| match state.range {
            Range::Last(current) => preset.length_ms() > current.length_ms(),
            Range::All | Range::Between { .. } => false,
        });
        let ranges = longer.map(Range::Last).chain((state.range != Range::All).then_some(Range::All));
        for range in ranges {
            let wider = State { range, ..state.clone() };
            let Ok(conditions) = Conditions::read(&wider, self.answers.catalogue, asked.now_ms.cast_unsigned()) else {
                continue;
            };
            let count = self.total(&conditions.query())?;
            if count > 0 {
                let label = match range {
                    Range::Last(preset) => preset.label(),
                    Range::All | Range::Between { .. } => "All time",
                };
                nearest.push(Nearest { label: label.to_owned(), state: wider, count });
                break;
            }
        }
        Ok(nearest)
    }

    /// An entry with all that is shown when it is open.
    pub fn opened(&self, seq: Seq, now_ms: i64) -> Result<Opened, EngineError> {
        let (entry, body) = self
            .answers
            .source
            .with_row(seq, |row| row.entry().map(|entry| (entry, row.body.clone().into_owned())))??;
        let mut related = Vec::new();
        for (label, state) in super::related::of(&entry.event) {
            let Ok(conditions) = Conditions::read(&state, self.answers.catalogue, now_ms.cast_unsigned()) else {
                continue;
            };
            related.push(Related { label, count: self.total(&conditions.query())?, state });
        }
        let proven = self.proven(&entry);
        Ok(Opened { entry, body, proven, related })
    }

    /// Walks from the entry's leaf, which was computed from its record when it was read, to the newest signed root.
    fn proven(&self, entry: &Entry) -> Proven {
        let Some(head) = self.store.signed().filter(|head| head.is_signed() && entry.seq < head.size) else {
            return Proven::NotYet;
        };
        match self.store.tree().inclusion(entry.seq.0, head.size.0) {
            Ok(Some(path)) => match verify_inclusion(&entry.hash, entry.seq.0, head.size.0, &path, &head.root) {
                true => Proven::Included,
                false => Proven::Failed("the entry does not lead to the signed root".to_owned()),
            },
            Ok(None) => Proven::NotYet,
            Err(error) => Proven::Failed(error.to_string()),
        }
    }
}

fn branch(slug: &str, catalogue: &Catalogue) -> Branch {
    let label = catalogue.category(slug).map_or(slug, |category| &category.label).to_owned();
    Branch { slug: slug.to_owned(), label, count: 0, is_chosen: false, verbs: Vec::new() }
}

/// Where a row stands.
pub fn place(row: &Row) -> Hit {
    Hit { time_ms: row.entry.event.time.ms, seq: row.entry.seq }
}
