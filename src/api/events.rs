//! `GET /v1/events`: pages of entries; `GET /v1/events/{id}`: one of them.

use std::time::Duration;

use axum::extract::Path;
use axum::http::{StatusCode, Uri, header};
use axum::response::Response;

use super::error::ApiError;
use super::params::Params;
use super::{App, ENGINES, EngineChoice, ask, json, next_link, own};
use crate::index::{Order, Within};
use crate::query::filter::{Filter, Value};
use crate::query::{Node, Pattern, Query, ValueField};
use crate::seq::Seq;
use crate::store::cursor::{Cursor, CursorError, CursorKind};
use crate::store::{PageLimit, write_row};
use crate::text::fold_value;
use crate::wire;

/// Rows of a page, at most.
const LIMIT_MAX: usize = 1_000;
const LIMIT_DEFAULT: usize = 50;
/// An entry asked for by its id may have been appended this moment: so long we wait for the index.
const FRESH: Duration = Duration::from_secs(2);
/// Tenants that may share an id before we stop looking: two are ambiguous already, folded twins may be more.
const SAME_ID_MAX: usize = 1_000;

pub(super) const ORDERS: [(&str, Order); 4] =
    [("-time", Order::TimeDesc), ("time", Order::TimeAsc), ("-seq", Order::SeqDesc), ("seq", Order::SeqAsc)];

pub async fn list(app: App, uri: Uri) -> Result<Response, ApiError> {
    let mut params = Params::of(&uri)?;
    let limit = params.take_limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let order = params.take_word("order", &ORDERS)?;
    let with_total = params.take_word("count", &[("exact", true), ("none", false)])?.unwrap_or(true);
    let engine = params.take_word("engine", &ENGINES)?.unwrap_or(EngineChoice::Index);
    let with_highlights = params.take_flag("highlight")?;
    let cursor = params.take("cursor")?;
    let filter = params.into_strict_filter(&app)?;
    let cursor = match cursor {
        Some(text) => {
            let cursor = app.store.cursors().decode(&text, CursorKind::Events)?;
            let is_other_filter = !filter.is_empty && filter.hash != cursor.filter_hash;
            if is_other_filter || order.is_some_and(|order| order != cursor.order) {
                return Err(CursorError::Mismatch.into());
            }
            Some(cursor)
        }
        None => None,
    };
    let query = match &cursor {
        Some(cursor) => parse_again(&app, &cursor.query)?,
        None => filter.query,
    };
    let order = cursor.as_ref().map_or(order.unwrap_or(Order::TimeDesc), |cursor| cursor.order);
    let hash = cursor.as_ref().map_or(filter.hash, |cursor| cursor.filter_hash);
    let (pin, after) = cursor.map(|cursor| (cursor.pin, cursor.last)).unzip();

    let (page, total, cursor, query) = ask(&app, engine, move |answers, view| {
        let pin = pin.unwrap_or(view.searchable());
        let within = Within::below(pin);
        let limit = PageLimit::rows(limit);
        let page = match with_highlights {
            true => answers.highlighted_page(&query, order, after, within, limit)?,
            false => answers.page(&query, order, after, within, limit)?,
        };
        let total = if with_total { Some(answers.engine.total(&query, within)?) } else { None };
        let last = page.last.filter(|_| page.has_more);
        let next = last.map(|last| {
            let query = query.to_string();
            Cursor { kind: CursorKind::Events, order, filter_hash: hash, pin, last, query }
        });
        Ok((page, total, next, query))
    })
    .await?;
    own::enter_search(&app, hash, &query, page.row_ends.len() as u64).await?;

    let cursor = cursor.map(|cursor| app.store.cursors().encode(&cursor));
    let mut response = json(wire::page(&page, total, cursor.as_deref(), app.store.marks()));
    if let Some(cursor) = &cursor {
        let (limit, count) = (limit.to_string(), if with_total { "exact" } else { "none" });
        let mut pairs = vec![("cursor", cursor.as_str()), ("limit", &limit), ("count", count)];
        pairs.extend(with_highlights.then_some(("highlight", "1")));
        let (_, link) = next_link("/v1/events", &pairs);
        response.headers_mut().extend(link.map(|link| (header::LINK, link)));
    }
    Ok(response)
}

pub async fn one(app: App, Path(name): Path<String>, uri: Uri) -> Result<Response, ApiError> {
    let mut params = Params::of(&uri)?;
    let tenant = params.take("tenant")?;
    params.finish()?;
    row(&app, find(&app, &name, tenant.as_deref()).await?).await
}

/// The place of the one entry of this name: an id, or `@` and a seq.
pub async fn find(app: &App, name: &str, tenant: Option<&str>) -> Result<Seq, ApiError> {
    let missing = || ApiError::not_found(format!("there is no entry {name:?}"));
    if let Some(seq) = name.strip_prefix('@') {
        let expected = "a seq is @ and a whole number below 2^64";
        let seq = seq.parse().map_err(|_| ApiError::new(StatusCode::BAD_REQUEST, "bad_value", expected))?;
        let seq = Seq(seq);
        if seq >= app.store.marks().durable || !sees(app, seq).await? {
            return Err(missing());
        }
        return Ok(seq);
    }
    let durable = app.store.marks().durable;
    let mut found = with_id(app, name, tenant).await?;
    if found.is_empty() && app.store.marks().searchable < durable {
        // It may be among the newest, which the index does not hold yet.
        let fresh = tokio::time::timeout(FRESH, app.store.watermarks().searchable_soon(durable)).await;
        if fresh.is_ok() {
            found = with_id(app, name, tenant).await?;
        }
    }
    match found.as_slice() {
        [] => Err(missing()),
        [seq] => Ok(*seq),
        _ => {
            let detail = "several tenants have an entry with this id; add tenant=";
            Err(ApiError::new(StatusCode::CONFLICT, "ambiguous", detail))
        }
    }
}

/// Whether the entry at `seq` is there for the caller.
async fn sees(app: &App, seq: Seq) -> Result<bool, ApiError> {
    if app.caller.sees_all() {
        return Ok(true);
    }
    ask(app, EngineChoice::Index, move |answers, snapshot| Ok(snapshot.sight().matches(&answers.source.entry(seq)?)))
        .await
}

/// Entries with exactly this id. The index compares folded, so each is looked at.
async fn with_id(app: &App, id: &str, tenant: Option<&str>) -> Result<Vec<Seq>, ApiError> {
    let pattern = Pattern::Exact(fold_value(id).into_owned());
    let query = Query { root: Node::Filter(Filter::Value(Value { field: ValueField::Id, pattern })) };
    let (id, tenant) = (id.to_owned(), tenant.map(str::to_owned));
    ask(app, EngineChoice::Index, move |answers, view| {
        let mut found = Vec::new();
        let within = Within::below(view.searchable());
        // In the order that costs least; there is one hit, or a few.
        for hit in answers.engine.hits(&query, Order::TimeDesc, None, within)?.take(SAME_ID_MAX) {
            let seq = hit?.seq;
            let is_it = answers.source.with_row(seq, |row| {
                row.head.id == id && tenant.as_ref().is_none_or(|tenant| row.head.tenant == *tenant)
            })?;
            if is_it {
                found.push(seq);
            }
        }
        Ok(found)
    })
    .await
}

/// One entry as JSON; that it was opened is entered.
pub async fn row(app: &App, seq: Seq) -> Result<Response, ApiError> {
    own::enter_view(app, seq).await?;
    let text = ask(app, EngineChoice::Index, move |answers, _| {
        let mut text = String::new();
        answers.source.with_row(seq, |row| write_row(&row, answers.catalogue, &mut text))?;
        Ok(text)
    });
    Ok(json(text.await?))
}

/// The query of a cursor, which we printed ourselves.
pub(super) fn parse_again(app: &App, text: &str) -> Result<Query, ApiError> {
    let env = crate::query::Env { now_ms: crate::clock::now_ms(), catalogue: app.store.catalogue() };
    crate::query::parse(text, &env).map_err(|error| ApiError::internal(&format!("a cursor's query: {error}")))
}
