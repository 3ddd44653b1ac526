//! `GET /v1/feed`: for pollers that must not miss anything. Ascending by `seq`, only below the `searchable` watermark.

use std::time::Duration;

use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use chrono::DateTime;

use super::error::ApiError;
use super::events::parse_again;
use super::params::Params;
use super::{App, EngineChoice, ask, json, next_link, own};
use crate::index::{Hit, Order};
use crate::query::Query;
use crate::query::filter::Filter;
use crate::seq::Seq;
use crate::store::cursor::{Cursor, CursorError, CursorKind};
use crate::store::{FeedPage, PageLimit};
use crate::wire::{self, FeedLinks};

/// Rows of a page, at most.
const LIMIT_MAX: usize = 10_000;
const LIMIT_DEFAULT: usize = 1_000;
/// Longest a following poller is kept waiting, s.
const WAIT_S_MAX: u64 = 60;
const WAIT_S_DEFAULT: u64 = 30;

/// `?format=`
#[derive(Clone, Copy, PartialEq, Eq)]
enum FeedFormat {
    Json,
    Ndjson,
}

pub async fn feed(app: App, uri: Uri) -> Result<Response, ApiError> {
    let mut params = Params::of(&uri)?;
    let limit = params.take_limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let format = params
        .take_word("format", &[("json", FeedFormat::Json), ("ndjson", FeedFormat::Ndjson)])?
        .unwrap_or(FeedFormat::Json);
    let follow = params.take_flag("follow")?;
    let expected = format!("seconds, at most {WAIT_S_MAX}");
    let wait = params.take_as("wait", &expected, |s| *s <= WAIT_S_MAX)?.unwrap_or(WAIT_S_DEFAULT);
    let since = params.take("since")?;
    let cursor = params.take("cursor")?;
    let filter = params.into_filter(&app)?;
    let (query, hash, from) = match cursor {
        Some(text) => {
            let cursor = app.store.cursors().decode(&text, CursorKind::Feed)?;
            if !filter.is_empty && filter.hash != cursor.filter_hash {
                return Err(CursorError::Mismatch.into());
            }
            (parse_again(&app, &cursor.query)?, cursor.filter_hash, cursor.last.seq)
        }
        None => {
            refuse_event_time(&filter.query)?;
            let from = match since {
                Some(text) => first_received(&app, &text).await?,
                None => Seq::ZERO,
            };
            (filter.query, filter.hash, from)
        }
    };

    let deadline = tokio::time::Instant::now() + Duration::from_secs(wait);
    let mut from = from;
    let page = loop {
        let page = read(&app, &query, from, PageLimit::rows(limit)).await?;
        if !follow || !page.page.row_ends.is_empty() {
            break page;
        }
        from = page.next;
        let has_come = tokio::select! {
            () = app.store.watermarks().searchable(from.plus(1)) => true,
            () = tokio::time::sleep_until(deadline) => false,
            // It is told what there is, rather than cut off.
            () = app.stopping() => false,
        };
        if !has_come {
            break page;
        }
    };
    own::enter_search(&app, hash, &query, page.page.row_ends.len() as u64).await?;
    let query = query.to_string();
    let last = Hit { time_ms: 0, seq: page.next };
    let next = Cursor { kind: CursorKind::Feed, order: Order::SeqAsc, filter_hash: hash, pin: Seq::ZERO, last, query };
    let checkpoint = app.store.cursors().encode(&next);
    let next_cursor = (page.page.has_more || follow).then_some(checkpoint.as_str());
    let (limit, wait_text) = (limit.to_string(), wait.to_string());
    let mut pairs = vec![("cursor", checkpoint.as_str()), ("limit", limit.as_str())];
    if follow {
        pairs.extend([("follow", "true"), ("wait", wait_text.as_str())]);
    }
    if format == FeedFormat::Ndjson {
        pairs.push(("format", "ndjson"));
    }
    let (address, link) = next_link("/v1/feed", &pairs);
    let (store, at) = (app.store.clone(), page.next);
    let complete_through_ms = ask(&app, EngineChoice::Index, move |_, _| Ok(store.complete_through(at)?)).await?;
    let links = FeedLinks {
        next_cursor,
        checkpoint: &checkpoint,
        next: next_cursor.map(|_| address.as_str()),
        complete_through_ms,
        ignored: &filter.unknown,
    };
    let mut response = match format {
        FeedFormat::Json => json(wire::feed(&page, &links, app.store.marks())),
        FeedFormat::Ndjson => ([(header::CONTENT_TYPE, "application/x-ndjson")], lines(&page)).into_response(),
    };
    if next_cursor.is_some() {
        response.headers_mut().extend(link.map(|link| (header::LINK, link)));
    }
    if let Ok(value) = checkpoint.parse() {
        // For NDJSON, which has no room for it in the body.
        response.headers_mut().insert("annals-checkpoint", value);
    }
    Ok(response)
}

async fn read(app: &App, query: &Query, from: Seq, limit: PageLimit) -> Result<FeedPage, ApiError> {
    let query = query.clone();
    ask(app, EngineChoice::Index, move |answers, view| Ok(answers.feed(&query, from, view.searchable(), limit)?)).await
}

/// The feed is ordered by arrival. A filter on the event's own time would look like a range of the feed and is not.
fn refuse_event_time(query: &Query) -> Result<(), ApiError> {
    let mut has_time = false;
    query.root.each_filter(&mut |filter| has_time |= matches!(filter, Filter::Time(_)));
    match has_time {
        true => Err(ApiError::parameter(
            "q",
            "event_time",
            "a feed cannot be filtered by the event's time; use since= or received:, which go by arrival",
        )),
        false => Ok(()),
    }
}

async fn first_received(app: &App, since: &str) -> Result<Seq, ApiError> {
    let time = DateTime::parse_from_rfc3339(since).map_err(|_| {
        let detail = format!("since is {since:?}, expected a time such as 2026-11-01T10:00:00Z");
        ApiError::parameter("since", "bad_value", detail)
    })?;
    let ms = u64::try_from(time.timestamp_millis()).unwrap_or(0);
    ask(app, EngineChoice::Index, move |answers, view| Ok(answers.source.first_received_at(ms, view.searchable())?))
        .await
}

fn lines(page: &FeedPage) -> String {
    let mut out = String::with_capacity(page.page.rows.len() + page.page.row_ends.len());
    let mut start = 0;
    for end in &page.page.row_ends {
        out.push_str(&page.page.rows[start..*end]);
        out.push('\n');
        start = *end;
    }
    out
}
