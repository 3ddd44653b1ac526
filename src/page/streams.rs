//! What never fits a page: the live tail and the exports, made by the API's own machinery under the page's filters.

use axum::extract::{ConnectInfo, Extension};
use axum::http::{HeaderMap, Uri, Version};
use axum::response::{IntoResponse, Response};

use super::Page;
use super::answer::Row;
use super::list;
use super::look::{Look, Rights};
use super::respond;
use super::results::{Visit, enter_search, refused};
use super::state::{Sort, State};
use crate::api::connection::Line;
use crate::api::{export, tail};
use crate::event::Catalogue;
use crate::export::Format;
use crate::export::csv::CsvOptions;
use crate::index::Order;
use crate::query::highlights;

/// `GET /admin/audit-log/_tail`: rows as they come, each as HTML in an event `entries` whose id is the entry's seq.
pub async fn tail(
    page: Page,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    line: Option<Extension<ConnectInfo<Line>>>,
) -> Response {
    let visit = Visit::of(&uri, &headers);
    let asked = match visit.asked(&page) {
        Ok(asked) => asked,
        Err(faults) => return refused(&faults),
    };
    let query = asked.conditions.query();
    if let Err(error) = enter_search(&page, &visit, &query, 0).await {
        return error.into_response();
    }
    // An EventSource says in the header how far it has come; script may say it in the address to begin where the page
    // ended.
    let by_parameter = respond::parameter(&uri, "last_event_id");
    let (state, prefs, tz, text) = (visit.state, visit.prefs, visit.tz, asked.conditions.text());
    let message = move |row: &crate::index::source::Row<'_>, catalogue: &Catalogue| {
        let now_ms = crate::clock::now_ms().cast_signed();
        let look = Look { state: &state, tz, now_ms, catalogue, prefs: &prefs, root: "", rights: Rights::default() };
        let html = match row.entry() {
            Ok(entry) => {
                let marks = highlights(&text, &entry);
                list::row(&look, &Row { entry, marks }, false).into_string()
            }
            // The page shows the same fault when it is loaded.
            Err(_) => String::new(),
        };
        let data = html.replace('\n', "\ndata: ");
        format!("id: {}\nevent: entries\ndata: {data}\n\n", row.seq)
    };
    let line = line.map(|Extension(ConnectInfo(line))| line);
    let request = tail::Request { query, headers: &headers, by_parameter, version, line };
    match tail::open(&page.app, request, std::sync::Arc::new(message)).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

/// `GET /admin/audit-log/export.csv`
pub async fn csv(page: Page, uri: Uri, headers: HeaderMap) -> Response {
    export(&page, &uri, &headers, Format::Csv, "csv").await
}

/// `GET /admin/audit-log/export.jsonl`
pub async fn jsonl(page: Page, uri: Uri, headers: HeaderMap) -> Response {
    export(&page, &uri, &headers, Format::Ndjson, "jsonl").await
}

async fn export(page: &Page, uri: &Uri, headers: &HeaderMap, format: Format, extension: &str) -> Response {
    let visit = Visit::of(uri, headers);
    let asked = match visit.asked(page) {
        Ok(asked) => asked,
        Err(faults) => return refused(&faults),
    };
    let order = match visit.state.sort {
        Sort::Desc => Order::TimeDesc,
        Sort::Asc => Order::TimeAsc,
    };
    let file = export::File {
        query: asked.conditions.query(),
        order,
        how: match format {
            Format::Csv => export::How::Csv(CsvOptions { tz: visit.tz, bom: true }),
            Format::Ndjson | Format::Bundle => export::How::Ndjson,
        },
        name: file_name(&visit.state, visit.now_ms, extension),
    };
    match export::start(&page.app, file, format.content_type(), headers).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

/// `audit-log_20261113T1400Z_20261120T1400Z.csv`
fn file_name(state: &State, now_ms: i64, extension: &str) -> String {
    let (from, to) = state.range.bounds(now_ms);
    let minute = |ms: i64| super::format::local(chrono_tz::Tz::UTC, ms).format("%Y%m%dT%H%MZ").to_string();
    let from = from.map_or_else(|| "start".to_owned(), minute);
    format!("audit-log_{from}_{}.{extension}", minute(to.unwrap_or(now_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::range::{Preset, Range};

    #[test]
    fn a_file_is_named_after_its_range() {
        let now = 1_795_181_527_412;
        let week = State { range: Range::Last(Preset::Week), ..State::default() };
        assert_eq!(file_name(&week, now, "csv"), "audit-log_20261113T1332Z_20261120T1332Z.csv");
        let all = State { range: Range::All, ..State::default() };
        assert_eq!(file_name(&all, now, "jsonl"), "audit-log_start_20261120T1332Z.jsonl");
    }
}
