//! Reading: pages, counts, the feed, exports. Every answer is made from one snapshot of the index and names the
//! watermarks it was made at.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::event::{Catalogue, Party, noun};
use crate::index::source::{Row, Source};
use crate::index::{Engine, EngineError, FacetValue, Hit, Order, Within};
use crate::query::{FacetField, Highlights, Query, actor_literal, highlights, literal};
use crate::seq::Seq;
use crate::text::fold;

/// A page, with all that stands around its rows, has at most this many bytes: it ends early and says so by `more`.
pub const PAGE_BYTES_MAX: usize = 16 << 20;
/// What may stand around the rows: a cursor of up to 64 KiB in three places, names of ignored parameters, watermarks.
const AROUND_ROWS_BYTES_MAX: usize = 512 << 10;

/// `find` looks at this many values, the most frequent ones.
const FIND_MAX: usize = 10_000;
/// Rows of a page that are in memory before they are written into it.
const ROWS_READ_AT_ONCE: usize = 64;

/// How much a page may hold. One row alone is always given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit {
    /// So many rows.
    pub rows: usize,
    /// So many bytes of rows, a separator behind each.
    pub bytes: usize,
}

impl PageLimit {
    /// So many rows of an answer of at most [`PAGE_BYTES_MAX`].
    pub fn rows(rows: usize) -> PageLimit {
        PageLimit { rows, bytes: PAGE_BYTES_MAX - AROUND_ROWS_BYTES_MAX }
    }
}

/// A page of matching entries.
#[derive(Debug, Default)]
pub struct Page {
    /// The rows as JSON, one after the other; `row_ends` says where each ends.
    pub rows: String,
    /// Where each row ends in `rows`.
    pub row_ends: Vec<usize>,
    /// Where the last row stands; not told for a feed.
    pub last: Option<Hit>,
    /// More match behind it.
    pub has_more: bool,
    /// What to mark in each row, if that was asked for.
    pub highlights: Option<Vec<Highlights>>,
}

/// A page of the feed.
#[derive(Debug)]
pub struct FeedPage {
    /// The rows.
    pub page: Page,
    /// The next seq to look at.
    pub next: Seq,
}

/// A facet value as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCount {
    /// What was counted.
    pub value: FacetValue,
    /// As the newest entry that has it spells it, an actor as `type/id`.
    pub spelling: String,
    /// The value of the facet's parameter that chooses it.
    pub choice: String,
    /// The actor's name in that entry.
    pub label: Option<String>,
    /// The actor's e-mail address in that entry.
    pub email: Option<String>,
    /// How many entries.
    pub count: u64,
}

/// Answers from one engine over one log.
pub struct Answers<'a, E: Engine + ?Sized + 'a> {
    /// Finds.
    pub engine: &'a E,
    /// Reads.
    pub source: &'a Source,
    /// Names.
    pub catalogue: &'a Catalogue,
}

impl NamedCount {
    /// An actor's id. The type ends at the last of the slashes that the folded type has too.
    pub fn actor_id(&self) -> &str {
        let slashes = self.value.parent.matches('/').count();
        self.spelling.splitn(slashes + 2, '/').last().unwrap_or_default()
    }
}

impl<E: Engine + ?Sized> Answers<'_, E> {
    /// One page.
    pub fn page(
        &self,
        query: &Query,
        order: Order,
        after: Option<Hit>,
        within: Within,
        limit: PageLimit,
    ) -> Result<Page, EngineError> {
        self.fill(Page::default(), query, order, after, within, limit)
    }

    /// The same with what to mark in each row. It costs reading each row as an event.
    pub fn highlighted_page(
        &self,
        query: &Query,
        order: Order,
        after: Option<Hit>,
        within: Within,
        limit: PageLimit,
    ) -> Result<Page, EngineError> {
        let page = Page { highlights: Some(Vec::new()), ..Page::default() };
        self.fill(page, query, order, after, within, limit)
    }

    fn fill(
        &self,
        mut page: Page,
        query: &Query,
        order: Order,
        after: Option<Hit>,
        within: Within,
        limit: PageLimit,
    ) -> Result<Page, EngineError> {
        let mut highlight_bytes = 0;
        let mut hits = self.engine.hits(query, order, after, within)?;
        while !page.has_more {
            // One more than fits tells whether there is more.
            let wanted = (limit.rows - page.row_ends.len()).saturating_add(1).min(ROWS_READ_AT_ONCE);
            let group: Vec<Hit> = hits.by_ref().take(wanted).collect::<Result<_, _>>()?;
            if group.is_empty() {
                break;
            }
            let seqs: Vec<Seq> = group.iter().map(|hit| hit.seq).take(limit.rows - page.row_ends.len()).collect();
            let mut taken: usize = 0;
            self.source.with_rows(&seqs, |row| {
                self.engine.patience().check()?;
                let marks = match page.highlights {
                    Some(_) => Some(highlights(query, &row.entry()?)),
                    None => None,
                };
                let more_bytes = highlight_bytes + marks.as_ref().map_or(0, |marks| marks.json_bytes_max);
                let limit = PageLimit { bytes: limit.bytes.saturating_sub(more_bytes), ..limit };
                if !page.take(&row, self.catalogue, limit) {
                    return Ok(false);
                }
                if let (Some(rows), Some(marks)) = (&mut page.highlights, marks) {
                    highlight_bytes = more_bytes;
                    rows.push(marks);
                }
                taken += 1;
                Ok(true)
            })?;
            page.last = taken.checked_sub(1).map(|last| group[last]).or(page.last);
            page.has_more = taken < group.len();
        }
        Ok(page)
    }

    /// The next page of the feed: ascending by seq, from `from` on, below `to`.
    pub fn feed(&self, query: &Query, from: Seq, to: Seq, limit: PageLimit) -> Result<FeedPage, EngineError> {
        let mut page = Page::default();
        let next = self.walk(query, Within { from, to }, |row| page.take(row, self.catalogue, limit))?;
        page.has_more = next < to;
        Ok(FeedPage { next, page })
    }

    /// Shows the matching rows to `take`, ascending by seq, until it does not take one. Answers the next seq to look at:
    /// that of the row not taken, or the end.
    pub fn walk(
        &self,
        query: &Query,
        within: Within,
        mut take: impl FnMut(&Row<'_>) -> bool,
    ) -> Result<Seq, EngineError> {
        for hit in self.engine.hits(query, Order::SeqAsc, None, within)? {
            let seq = hit?.seq;
            if !self.source.with_row(seq, |row| take(&row))? {
                return Ok(seq);
            }
        }
        Ok(within.to.max(within.from))
    }

    /// Names the `top` largest values: by count, then by value.
    pub fn name_top(
        &self,
        field: FacetField,
        values: &[(FacetValue, u64)],
        top: usize,
        within: Within,
    ) -> Result<Vec<NamedCount>, EngineError> {
        let mut largest: Vec<&(FacetValue, u64)> = values.iter().collect();
        largest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        largest.truncate(top);
        let wanted: Vec<FacetValue> = largest.iter().map(|(value, _)| value.clone()).collect();
        let newest = match field {
            // A tenant is never folded, and the outcomes are our own words.
            FacetField::Tenant | FacetField::Outcome => vec![None; wanted.len()],
            FacetField::Actor | FacetField::Action | FacetField::TargetType | FacetField::Source => {
                self.engine.newest(field, &wanted, within)?
            }
        };
        let mut named = Vec::with_capacity(largest.len());
        for ((value, (_, count)), newest) in wanted.into_iter().zip(largest).zip(newest) {
            self.engine.patience().check()?;
            let named_value = match newest {
                Some(hit) => self.spelling(field, value, *count, hit)?,
                None => NamedCount {
                    spelling: value.value.clone(),
                    choice: literal(&value.value),
                    value,
                    label: None,
                    email: None,
                    count: *count,
                },
            };
            named.push(named_value);
        }
        Ok(named)
    }

    /// Names those of the most frequent values that hold `find` in their spelling or name, or in what `also` tells of them.
    pub fn name_found(
        &self,
        field: FacetField,
        values: &[(FacetValue, u64)],
        find: &str,
        also: impl Fn(&NamedCount) -> Option<&str>,
        within: Within,
    ) -> Result<Vec<NamedCount>, EngineError> {
        let find = fold(find);
        let has = |text: Option<&str>| text.is_some_and(|text| fold(text).contains(&*find));
        let mut named = self.name_top(field, values, FIND_MAX, within)?;
        named.retain(|one| has(Some(&one.spelling)) || has(one.label.as_deref()) || has(also(one)));
        Ok(named)
    }

    /// How an entry with this value spells it.
    fn spelling(&self, field: FacetField, value: FacetValue, count: u64, hit: Hit) -> Result<NamedCount, EngineError> {
        let event = self.source.entry(hit.seq)?.event;
        let spelling = match field {
            FacetField::Actor => {
                let Party { kind, id, name, email } = event.actor;
                let (spelling, choice) = (format!("{kind}/{id}"), actor_literal(&kind, &id));
                // A system's name is the job that ran last, which says nothing of the others.
                let label = if kind == "system" { Some(id) } else { name };
                return Ok(NamedCount { value, spelling, choice, label, email, count });
            }
            FacetField::Action => event.action,
            FacetField::TargetType => event.target.and_then(|target| target.kind).unwrap_or_default(),
            FacetField::Source => event.source.unwrap_or_default(),
            FacetField::Tenant | FacetField::Outcome => value.value.clone(),
        };
        Ok(NamedCount { value, choice: literal(&spelling), spelling, label: None, email: None, count })
    }
}

impl Page {
    /// Takes a row in, unless the page is full.
    fn take(&mut self, row: &Row<'_>, catalogue: &Catalogue, limit: PageLimit) -> bool {
        if self.row_ends.len() == limit.rows {
            return false;
        }
        let end = self.rows.len();
        write_row(row, catalogue, &mut self.rows);
        let separators = self.row_ends.len() + 1;
        if self.rows.len() + separators > limit.bytes && end > 0 {
            self.rows.truncate(end);
            return false;
        }
        self.row_ends.push(self.rows.len());
        true
    }
}

/// A tail that catches up looks at this many seqs at a time: others have their turn, and its client learns how far it is.
pub const WINDOW_EVENTS: u64 = 262_144;

/// One row as JSON.
pub fn write_row(row: &Row<'_>, catalogue: &Catalogue, out: &mut String) {
    let category = catalogue.category_of(&row.head.action);
    crate::event::row::write_row(&row.added(&category), &row.body, out);
}

/// A category of the action tree.
pub struct CategoryCount<'a> {
    /// Its slug.
    pub slug: Cow<'a, str>,
    /// The filter value that chooses it.
    pub choice: String,
    /// Sum of all its actions.
    pub count: u64,
    /// Its largest actions, each with the filter value that chooses it.
    pub actions: Vec<(String, &'a NamedCount)>,
}

/// The action tree: `all` counted actions summed under their categories, the `named` ones shown there; largest first.
///
/// Choosing a node gives its count also where an action without a noun is spelt like a category: then the action is
/// quoted, and the category ends in a dot.
pub fn by_category<'a>(
    all: &'a [(FacetValue, u64)],
    named: &'a [NamedCount],
    catalogue: &'a Catalogue,
) -> Vec<CategoryCount<'a>> {
    let nouns: HashSet<&str> = all.iter().map(|(action, _)| action.parent.as_str()).collect();
    let is_name = |name: &str| nouns.contains(name) || catalogue.has_noun(name) || catalogue.category(name).is_some();
    let bare: HashSet<&str> =
        all.iter().map(|(action, _)| action.value.as_str()).filter(|name| noun(name) == NO_NOUN).collect();

    let mut categories: HashMap<Cow<'a, str>, CategoryCount<'a>> = HashMap::new();
    for (action, count) in all {
        let slug = catalogue.category_of(&action.value);
        let category = categories.entry(slug.clone()).or_insert_with(|| {
            let is_known = catalogue.category(&slug).is_some();
            let choice = if !is_known && bare.contains(&*slug) { format!("{slug}.") } else { slug.to_string() };
            CategoryCount { slug, choice, count: 0, actions: Vec::new() }
        });
        category.count += count;
    }
    for action in named {
        let name = action.value.value.as_str();
        let is_ambiguous = (bare.contains(name) && is_name(name)) || name.ends_with(['.', ':']);
        // Wildcards in a name are only themselves between quotes, and so are quotes.
        let is_plain = action.choice == action.spelling && !is_ambiguous && !name.starts_with('"');
        let choice = if is_plain { action.spelling.clone() } else { format!("\"{}\"", action.choice) };
        if let Some(category) = categories.get_mut(&catalogue.category_of(name)) {
            category.actions.push((choice, action));
        }
    }
    let mut categories: Vec<_> = categories.into_values().collect();
    categories.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.slug.cmp(&b.slug)));
    categories
}

/// The noun of actions that have none.
const NO_NOUN: &str = "other";
