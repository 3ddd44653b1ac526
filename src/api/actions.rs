//! `GET /v1/actions`: the catalogue, with how often and when each action was seen, and the actions nobody catalogued.

use std::collections::BTreeMap;

use axum::http::Uri;
use axum::response::Response;

use super::error::ApiError;
use super::params::Params;
use super::{App, EngineChoice, ask, json};
use crate::clock::rfc3339_ms;
use crate::event::{ActionInfo, Catalogue};
use crate::index::{Engine, FacetValue, Order, Within, choice};
use crate::json::write_string;
use crate::query::{FacetField, Node, Query};
use crate::store::Answers;
use crate::text::fold;
use crate::wire::{array, put};

/// Actions outside the catalogue that are listed, at most: the most frequent ones.
const UNKNOWN_MAX: usize = 1_000;

struct Seen {
    name: String,
    count: u64,
    first_ms: Option<i64>,
    last_ms: Option<i64>,
}

pub async fn actions(app: App, uri: Uri) -> Result<Response, ApiError> {
    Params::of(&uri)?.finish()?;
    let catalogue = app.store.catalogue().clone();
    let body = ask(&app, EngineChoice::Index, move |answers, view| {
        let seen = seen(&answers, Within::below(view.searchable()))?;
        Ok(render(&catalogue, seen))
    })
    .await?;
    Ok(json(body))
}

/// Every action that occurs, by its folded name.
fn seen(answers: &Answers<'_, dyn Engine>, within: Within) -> Result<BTreeMap<String, Seen>, ApiError> {
    let counts = answers.engine.counts(&Query::all(), within, &[FacetField::Action])?;
    let values: Vec<_> = counts.facets.into_iter().flat_map(|facet| facet.values).collect();
    let mut seen = BTreeMap::new();
    for action in answers.name_top(FacetField::Action, &values, UNKNOWN_MAX, within)? {
        let query = Query { root: Node::Filter(choice(FacetField::Action, &action.value)) };
        let end = |order| {
            let hit = answers.engine.hits(&query, order, None, within)?.next().transpose()?;
            Ok::<_, ApiError>(hit.map(|hit| hit.time_ms))
        };
        let (first_ms, last_ms) = (end(Order::TimeAsc)?, end(Order::TimeDesc)?);
        let FacetValue { parent: _, value } = action.value;
        seen.insert(value, Seen { name: action.spelling, count: action.count, first_ms, last_ms });
    }
    Ok(seen)
}

fn render(catalogue: &Catalogue, mut seen: BTreeMap<String, Seen>) -> String {
    let mut out = String::from("{\"categories\":");
    array(&mut out, catalogue.categories(), |out, category| {
        out.push_str("{\"slug\":");
        write_string(&category.slug, out);
        out.push_str(",\"label\":");
        write_string(&category.label, out);
        out.push_str(",\"actions\":");
        let mut actions: Vec<(&str, Option<&ActionInfo>, Option<Seen>)> = category
            .actions
            .iter()
            .map(|info| (info.name.as_str(), Some(info), seen.remove(&*fold(&info.name))))
            .collect();
        let others: Vec<String> =
            seen.keys().filter(|action| catalogue.category_of(action) == category.slug).cloned().collect();
        let others: Vec<Seen> = others.iter().filter_map(|action| seen.remove(action)).collect();
        let names: Vec<String> = others.iter().map(|other| other.name.clone()).collect();
        actions.extend(names.iter().zip(others).map(|(name, other)| (name.as_str(), None, Some(other))));
        array(out, &actions, |out, (name, info, seen)| write_action(out, name, *info, seen.as_ref()));
        out.push('}');
    });
    out.push_str(",\"other\":");
    let others: Vec<Seen> = seen.into_values().collect();
    array(&mut out, &others, |out, other| write_action(out, &other.name, None, Some(other)));
    out.push('}');
    out
}

fn write_action(out: &mut String, name: &str, info: Option<&ActionInfo>, seen: Option<&Seen>) {
    let text = |out: &mut String, member: &str, value: Option<&str>| {
        put(out, format_args!(",\"{member}\":"));
        match value {
            Some(value) => write_string(value, out),
            None => out.push_str("null"),
        }
    };
    out.push_str("{\"action\":");
    write_string(name, out);
    text(out, "label", info.map(|info| info.label.as_str()));
    text(out, "description", info.map(|info| info.description.as_str()));
    text(out, "target_type", info.map(|info| info.target_type.as_str()));
    put(out, format_args!(",\"count\":{}", seen.map_or(0, |seen| seen.count)));
    let time = |ms: Option<i64>| ms.map(rfc3339_ms);
    text(out, "first_seen", seen.and_then(|seen| time(seen.first_ms)).as_deref());
    text(out, "last_seen", seen.and_then(|seen| time(seen.last_ms)).as_deref());
    out.push('}');
}
