//! `/metrics` in the text format of Prometheus: watermarks and lag, queue, sync times, free bytes, requests.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;

use super::App;
use crate::store::integrity::Integrity;
use crate::store::metrics::SYNC_BOUNDS_US;

/// Requests by route: those that were answered, also by status, and those that are not yet.
#[derive(Default)]
pub struct HttpMetrics {
    /// Guards the counters; held for one addition, or for one rendering.
    routes: Mutex<BTreeMap<(String, u16), Served>>,
    /// Guards the counters; held as above, never together with `routes`.
    under_way: Mutex<BTreeMap<String, u64>>,
}

#[derive(Clone, Copy, Default)]
struct Served {
    requests: u64,
    us: u64,
}

/// A request that is being served.
pub struct Timer {
    metrics: Arc<HttpMetrics>,
    route: String,
    began: Instant,
}

impl HttpMetrics {
    /// A request begins. Routes are patterns, so their number is bounded.
    pub fn start(self: &Arc<Self>, route: Option<String>) -> Timer {
        let route = route.unwrap_or_else(|| "none".to_owned());
        *self.under_way.lock().entry(route.clone()).or_default() += 1;
        Timer { metrics: self.clone(), route, began: Instant::now() }
    }
}

impl Timer {
    /// Its answer begins.
    pub fn finish(self, status: StatusCode) {
        let us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut routes = self.metrics.routes.lock();
        let served = routes.entry((self.route.clone(), status.as_u16())).or_default();
        served.requests += 1;
        served.us += us;
    }
}

/// Also when the client has gone before its answer began.
impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(requests) = self.metrics.under_way.lock().get_mut(&self.route) {
            *requests -= 1;
        }
    }
}

pub async fn metrics(app: App) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render(&app)).into_response()
}

fn render(app: &App) -> String {
    let store = &app.store;
    let (marks, counted) = (store.marks(), store.metrics());
    let (requests, bytes) = store.queued();
    let mut page = Page::default();
    page.gauge("annals_durable", "Events synced to disk", marks.durable.0);
    page.gauge("annals_searchable", "Events below this are found by every search", marks.searchable.0);
    page.gauge("annals_sealed", "Events in sealed segments", marks.sealed.0);
    page.gauge("annals_signed", "Events covered by HEAD", marks.signed.0);
    page.gauge(
        "annals_index_lag_events",
        "Events durable and not searchable yet",
        marks.durable.0 - marks.searchable.0.min(marks.durable.0),
    );
    page.gauge("annals_queue_requests", "Requests waiting for the writer", requests as u64);
    page.gauge("annals_queue_bytes", "Bytes waiting for the writer", bytes as u64);
    page.gauge("annals_index_segments", "Tantivy segments searched", store.view().piece_count() as u64);
    let (unbuilt, unmerged) = (store.spans_progress().1, store.spans_unmerged());
    page.gauge("annals_index_spans_unbuilt", "Spans being built or waiting to be", unbuilt as u64);
    page.gauge("annals_index_spans_unmerged", "Spans being merged, or that will be next", unmerged as u64);
    let erasures = store.erasures();
    page.gauge(
        "annals_erasures_pending",
        "Erasures that the index's files do not show yet",
        erasures.pending.len() as u64,
    );
    page.gauge("annals_holds", "Persons who may not be erased", erasures.holds.len() as u64);
    scrubbing(&mut page, &store.integrity());
    let kept = store.counts_kept();
    page.gauge("annals_count_cache_bytes", "Bytes of counts kept for later questions", kept.bytes as u64);
    page.counter("annals_count_cache_hits_total", "Parts of counts that were kept", kept.hits);
    page.counter("annals_count_cache_misses_total", "Parts of counts that had to be computed", kept.misses);
    page.gauge("annals_free_bytes", "Bytes free when the writer last looked", counted.space_free.load(Relaxed));
    page.gauge("annals_free_bytes_min", "Bytes that must stay free", counted.space_floor.load(Relaxed));
    page.counter("annals_appended_events_total", "Events appended since the start", counted.events.load(Relaxed));
    page.counter(
        "annals_appended_bytes_total",
        "Bytes of frames appended since the start",
        counted.bytes.load(Relaxed),
    );
    page.head("annals_sync_seconds", "Time to write and sync a batch", "histogram");
    let mut below = 0;
    for (bucket, bound) in counted.sync_buckets.iter().zip(SYNC_BOUNDS_US) {
        below += bucket.load(Relaxed);
        page.line(format_args!("annals_sync_seconds_bucket{{le=\"{}\"}} {below}", seconds(bound)));
    }
    let batches = counted.batches.load(Relaxed);
    page.line(format_args!("annals_sync_seconds_bucket{{le=\"+Inf\"}} {batches}"));
    page.line(format_args!("annals_sync_seconds_sum {}", seconds(counted.sync_us.load(Relaxed))));
    page.line(format_args!("annals_sync_seconds_count {batches}"));
    page.gauge("annals_tails", "Live tails open", app.tails.open());
    page.counter("annals_tails_dropped_total", "Tails dropped because the client did not read", app.tails.dropped());
    let [callers, strangers] = app.rates.held_back();
    page.head("annals_rate_limited_total", "Requests held back because too many came", "counter");
    page.line(format_args!("annals_rate_limited_total{{of=\"callers\"}} {callers}"));
    page.line(format_args!("annals_rate_limited_total{{of=\"strangers\"}} {strangers}"));
    let under_way = app.metrics.under_way.lock().clone();
    page.head("annals_http_requests_under_way", "Requests whose answers have not begun", "gauge");
    for (route, requests) in &under_way {
        page.line(format_args!("annals_http_requests_under_way{{route=\"{route}\"}} {requests}"));
    }
    let routes = app.metrics.routes.lock().clone();
    page.head("annals_http_requests_total", "Requests answered", "counter");
    for ((route, status), served) in &routes {
        page.line(format_args!(
            "annals_http_requests_total{{route=\"{route}\",status=\"{status}\"}} {}",
            served.requests
        ));
    }
    page.head("annals_http_seconds_total", "Time until answers began", "counter");
    for ((route, status), served) in &routes {
        page.line(format_args!(
            "annals_http_seconds_total{{route=\"{route}\",status=\"{status}\"}} {}",
            seconds(served.us)
        ));
    }
    page.text
}

fn scrubbing(page: &mut Page, now: &Integrity) {
    let (running, checked) = (now.running.as_ref(), now.checked.as_ref());
    page.gauge("annals_scrub_running", "Whether everything is being read again", u64::from(running.is_some()));
    page.gauge("annals_scrub_events", "Events read in this round", running.map_or(0, |round| round.events.0));
    page.gauge(
        "annals_scrub_of_events",
        "Events to be read in this round",
        running.map_or(0, |round| round.of_events.0),
    );
    page.gauge("annals_scrub_bytes", "Bytes read in this round", running.map_or(0, |round| round.bytes));
    page.gauge("annals_scrub_findings", "What is not as it was written: 0 is good", now.found_count());
    page.gauge("annals_scrub_last_events", "Events read in the last round", checked.map_or(0, |last| last.events.0));
    page.gauge(
        "annals_scrub_last_end_seconds",
        "When the last round ended, in s since 1970; 0 if none did",
        checked.map_or(0, |last| last.ended_ms / 1_000),
    );
    page.counter("annals_scrub_spans_rebuilt_total", "Damaged spans that were built again", now.spans_rebuilt);
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "gauge");
        self.line(format_args!("{name} {value}"));
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "counter");
        self.line(format_args!("{name} {value}"));
    }

    fn line(&mut self, what: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{what}").expect("writing to a String cannot fail");
    }
}
