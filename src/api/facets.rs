//! `GET /v1/facets`: how the matching entries spread, each facet ignoring its own filter.

use std::collections::HashSet;

use axum::http::Uri;
use axum::response::Response;
use chrono_tz::Tz;

use super::error::ApiError;
use super::params::Params;
use super::{App, ENGINES, EngineChoice, ask, json, own};
use crate::index::{Engine, FacetValue, Within};
use crate::query::{FacetField, Query};
use crate::store::Answers;
use crate::wire::{self, FacetAnswer, Histogram, HistogramError, Step};

/// Values of one facet, at most.
const TOP_MAX: usize = 10_000;
const TOP_DEFAULT: usize = 50;
/// Actions shown in the tree unless `top` says otherwise.
const TREE_DEFAULT: usize = 1_000;

pub async fn facets(app: App, uri: Uri) -> Result<Response, ApiError> {
    let mut params = Params::of(&uri)?;
    let fields = fields(params.take("fields")?.as_deref().unwrap_or("actor,action,target_type"))?;
    let expected = format!("a number from 1 to {TOP_MAX}");
    let top = params.take_as("top", &expected, |n| (1..=TOP_MAX).contains(n))?;
    let find = params.take("find")?;
    let step = params.take("histogram")?.map(|word| Step::from_word(&word)).transpose()?;
    let tz = params.take_as("tz", "an IANA time zone such as Europe/Berlin", |_: &Tz| true)?.unwrap_or(Tz::UTC);
    let engine = params.take_word("engine", &ENGINES)?.unwrap_or(EngineChoice::Index);
    let filter = params.into_strict_filter(&app)?;

    let hash = filter.hash;
    let (total, answers, histogram, query) = ask(&app, engine, move |answers, view| {
        let within = Within::below(view.searchable());
        let counts = answers.engine.counts(&filter.query, within, &fields)?;
        // Names come from the index whoever counted: one look-up for each value would be a scan of the log for each.
        let names = Answers { engine: view.index(), source: answers.source, catalogue: answers.catalogue };
        let mut answered = Vec::with_capacity(counts.facets.len());
        for facet in counts.facets {
            let default = if facet.field == FacetField::Action { TREE_DEFAULT } else { TOP_DEFAULT };
            let mut all = facet.values;
            let named = match &find {
                None => names.name_top(facet.field, &all, top.unwrap_or(default), within)?,
                Some(find) => {
                    let mut named = names.name_found(facet.field, &all, find, |_| None, within)?;
                    let found: HashSet<&FacetValue> = named.iter().map(|value| &value.value).collect();
                    match facet.field {
                        // A category counts all of its own: that is what choosing it gives.
                        FacetField::Action => {
                            let category =
                                |value: &FacetValue| answers.catalogue.category_of(&value.value).into_owned();
                            let found: HashSet<String> = found.into_iter().map(category).collect();
                            all.retain(|(value, _)| found.contains(&category(value)));
                        }
                        FacetField::Actor
                        | FacetField::TargetType
                        | FacetField::Tenant
                        | FacetField::Outcome
                        | FacetField::Source => all.retain(|(value, _)| found.contains(value)),
                    }
                    named.truncate(top.unwrap_or(default));
                    named
                }
            };
            let sum: u64 = all.iter().map(|(_, count)| count).sum();
            let others = sum - named.iter().map(|value| value.count).sum::<u64>();
            answered.push(FacetAnswer { field: facet.field, values: named, all, others });
        }
        let histogram = match step {
            Some(step) => Some(histogram(&answers, &filter.query, within, step, tz)?),
            None => None,
        };
        Ok((counts.total, answered, histogram, filter.query))
    })
    .await?;
    own::enter_search(&app, hash, &query, 0).await?;
    Ok(json(wire::facets(total, &answers, histogram.as_ref(), app.store.catalogue(), app.store.marks())))
}

fn fields(text: &str) -> Result<Vec<FacetField>, ApiError> {
    let mut fields = Vec::new();
    for word in text.split(',') {
        let field = FacetField::ALL.into_iter().find(|field| field.as_str() == word).ok_or_else(|| {
            let names = FacetField::ALL.map(FacetField::as_str).join(", ");
            ApiError::parameter("fields", "bad_value", format!("there is no facet {word:?}, expected some of {names}"))
        })?;
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    Ok(fields)
}

/// Over the range the query asks for, or else from the oldest match to the newest.
fn histogram(
    answers: &Answers<'_, dyn Engine>,
    query: &Query,
    within: Within,
    step: Step,
    tz: Tz,
) -> Result<Histogram, ApiError> {
    let (from, to) = query.time_bounds();
    let Some((oldest, newest)) = answers.engine.time_ends(query, within)? else {
        return Ok(Histogram { step: "auto", edges: vec![0], counts: vec![] });
    };
    let (first, last) = (from.unwrap_or(oldest), to.map_or(newest, |to| to - 1));
    let mut histogram = match Histogram::over(step, tz, first, last) {
        // Who asks from the year 1500 on, and leaves the step to us, sees where there is something.
        Err(HistogramError::TooManyBuckets) if step == Step::Auto => Histogram::over(step, tz, oldest, newest)?,
        histogram => histogram?,
    };
    histogram.counts = answers.engine.histogram(query, within, &histogram.edges)?;
    Ok(histogram)
}
