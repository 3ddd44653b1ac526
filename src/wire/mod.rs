//! The JSON of `/v1`: how answers are written. Rows are spliced in as text, so that a page costs no second parse.

mod erasures;
mod facets;
mod highlights;
mod histogram;
mod integrity;
mod keys;
mod proofs;
mod query_tree;
mod segments;
mod viewers;

use std::fmt::Write;

pub use erasures::{ErasureDraft, ErasureState, erasure, erasure_done, erasure_draft, erasures, erasures_now};
pub use facets::{FacetAnswer, facets};
pub use histogram::{BUCKETS_MAX, Histogram, HistogramError, Step};
pub use integrity::integrity;
pub use keys::{key, key_draft, keys, new_key};
pub use proofs::{ENTRY_BYTES, consistency, evidence, log, push_entry};
pub use query_tree::{Place, query_tree};
pub use segments::segments;
pub use viewers::{new_viewer, viewer_draft};

use serde::Deserialize;

use crate::event::row::push_hex;
use crate::ingest::ItemFault;
use crate::json::write_string;
use crate::store::watermarks::Marks;
use crate::store::{FeedPage, Page, Receipt};

/// `{"receipts":[…],"watermarks":{…}}`; with `?on_error=skip` also each receipt's line and the refused lines.
pub fn receipts(receipts: &[(usize, Receipt)], refused: Option<&[Refused]>, marks: Marks) -> String {
    let mut out = String::with_capacity(64 + receipts.len() * 160);
    out.push_str("{\"receipts\":");
    array(&mut out, receipts, |out, (line, receipt)| {
        out.push_str("{\"id\":");
        write_string(&receipt.id, out);
        put(out, format_args!(",\"seq\":{},\"hash\":\"", receipt.seq));
        push_hex(&receipt.hash, out);
        put(out, format_args!("\",\"duplicate\":{}", receipt.duplicate));
        if refused.is_some() {
            put(out, format_args!(",\"line\":{line}"));
        }
        out.push('}');
    });
    if let Some(refused) = refused {
        out.push_str(",\"errors\":");
        array(&mut out, refused, |out, refused| refused.write(out));
    }
    watermarks(&mut out, marks);
    out.push('}');
    out
}

/// One fault of a request, as problems and `?on_error=skip` list them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Line or array element, from 1.
    pub line: usize,
    /// JSON pointer into the event.
    pub pointer: String,
    /// The stable word.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl Refused {
    /// Of a fault found at the door.
    pub fn of(fault: &ItemFault) -> Refused {
        Refused {
            line: fault.line,
            pointer: fault.fault.pointer.clone(),
            code: fault.fault.code.as_str(),
            message: fault.fault.message.clone(),
        }
    }

    /// As JSON.
    pub fn write(&self, out: &mut String) {
        put(out, format_args!("{{\"line\":{},\"pointer\":", self.line));
        write_string(&self.pointer, out);
        put(out, format_args!(",\"code\":\"{}\",\"message\":", self.code));
        write_string(&self.message, out);
        out.push('}');
    }
}

/// `{"events":[…],"highlights":[…],"total","more","next_cursor","watermarks"}`
pub fn page(page: &Page, total: Option<u64>, next_cursor: Option<&str>, marks: Marks) -> String {
    let mut out = rows(page);
    if let Some(rows) = &page.highlights {
        out.push_str(",\"highlights\":");
        array(&mut out, rows, highlights::write);
    }
    if let Some(total) = total {
        put(&mut out, format_args!(",\"total\":{total}"));
    }
    put(&mut out, format_args!(",\"more\":{}", page.has_more));
    optional(&mut out, "next_cursor", next_cursor);
    watermarks(&mut out, marks);
    out.push('}');
    out
}

/// What a feed page says besides its rows.
pub struct FeedLinks<'a> {
    /// The cursor for the next page, if there is one to ask for now.
    pub next_cursor: Option<&'a str>,
    /// Where to go on, at any time later.
    pub checkpoint: &'a str,
    /// The address of the next page.
    pub next: Option<&'a str>,
    /// No further event was or will be received at or before this ms.
    pub complete_through_ms: Option<u64>,
    /// Parameters that mean nothing here.
    pub ignored: &'a [String],
}

/// `{"events":[…],"has_more","next_cursor","checkpoint","links","complete_through",…}`
pub fn feed(feed: &FeedPage, links: &FeedLinks<'_>, marks: Marks) -> String {
    let mut out = rows(&feed.page);
    put(&mut out, format_args!(",\"has_more\":{}", feed.page.has_more));
    optional(&mut out, "next_cursor", links.next_cursor);
    optional(&mut out, "checkpoint", Some(links.checkpoint));
    out.push_str(",\"links\":{\"next\":");
    match links.next {
        Some(next) => write_string(next, &mut out),
        None => out.push_str("null"),
    }
    out.push('}');
    let complete_through = links.complete_through_ms.map(|ms| crate::clock::rfc3339_ms(ms.cast_signed()));
    optional(&mut out, "complete_through", complete_through.as_deref());
    if !links.ignored.is_empty() {
        out.push_str(",\"ignored_parameters\":");
        array(&mut out, links.ignored, |out, name| write_string(name, out));
    }
    watermarks(&mut out, marks);
    out.push('}');
    out
}

/// A list, each item written by `each`.
pub fn array<T>(out: &mut String, items: &[T], mut each: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        each(out, item);
    }
    out.push(']');
}

/// `,"watermarks":{…}`
pub fn watermarks(out: &mut String, marks: Marks) {
    let Marks { durable, searchable, sealed, signed } = marks;
    put(
        out,
        format_args!(
            ",\"watermarks\":{{\"durable\":{durable},\"searchable\":{searchable},\"sealed\":{sealed},\"signed\":{signed}}}"
        ),
    );
}

fn rows(page: &Page) -> String {
    let mut out = String::with_capacity(page.rows.len() + page.row_ends.len() + 512);
    out.push_str("{\"events\":[");
    let mut start = 0;
    for (index, end) in page.row_ends.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(&page.rows[start..*end]);
        start = *end;
    }
    out.push(']');
    out
}

/// Reads a JSON object; an array of its members' values is none.
fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    match body.trim_ascii_start().first() {
        Some(b'{') | None => serde_json::from_slice(body).map_err(|error| error.to_string()),
        Some(_) => Err("expected an object".to_owned()),
    }
}

fn optional(out: &mut String, name: &str, value: Option<&str>) {
    put(out, format_args!(",\"{name}\":"));
    match value {
        Some(value) => write_string(value, out),
        None => out.push_str("null"),
    }
}

/// `write!` into a `String`, which cannot fail.
pub(crate) fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("writing to a String cannot fail");
}
