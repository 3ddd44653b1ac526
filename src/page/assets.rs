//! Stylesheet and scripts, compiled in. They are served below a directory that is named after their content, so that
//! caches may keep them for ever and relative imports between modules stay right.

use std::io::Write;
use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::api::accepts;
use crate::event::row::hex;
use crate::hash::Sha256;

/// Name, bytes and bytes packed with brotli of each file of `assets/`, sorted by name; `build.rs` makes them.
static FILES: &[(&str, &[u8], &[u8])] = include!(concat!(env!("OUT_DIR"), "/page_assets.rs"));
/// The script that a page starts with.
const MAIN: &str = "main.js";
/// Content never changes under its name; a year is what caches take for ever.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Bytes of the hash that name the directory.
const HASH_BYTES: usize = 8;

/// The files as they are sent.
struct Assets {
    hash: String,
    files: Vec<Asset>,
}

struct Asset {
    name: &'static str,
    content_type: &'static str,
    plain: &'static [u8],
    gzip: Vec<u8>,
    brotli: &'static [u8],
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for (name, bytes, _) in FILES {
        digest.update((name.len() as u64).to_le_bytes());
        digest.update(name);
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    }
    let hash = hex(&digest.finalize()[..HASH_BYTES]);
    let known = FILES.iter().filter_map(|(name, plain, brotli)| {
        let gzip = pack(plain, Compression::best());
        Some(Asset { name, content_type: content_type(name)?, plain, gzip, brotli })
    });
    Assets { hash, files: known.collect() }
});

fn content_type(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

/// The bytes with gzip.
pub fn pack(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), level);
    packer.write_all(bytes).and_then(|()| packer.finish()).expect("writing to memory cannot fail")
}

/// The address of a file, relative to the page.
pub fn href(name: &str) -> String {
    format!("_assets/{}/{name}", ASSETS.hash)
}

/// The script that a page starts with, if it was compiled in, and the modules that it will import.
pub fn scripts() -> (Option<String>, Vec<String>) {
    let is_script = |asset: &&Asset| asset.name.ends_with(".js");
    let names: Vec<&str> = ASSETS.files.iter().filter(is_script).map(|asset| asset.name).collect();
    let main = names.iter().find(|name| **name == MAIN).map(|name| href(name));
    let others = names.into_iter().filter(|name| *name != MAIN).map(href).collect();
    (main, others)
}

/// `GET /_assets/{hash}/{name}`
pub fn serve(hash: &str, name: &str, headers: &HeaderMap) -> Response {
    let found = ASSETS.files.iter().find(|asset| asset.name == name).filter(|_| hash == ASSETS.hash);
    let Some(asset) = found else {
        return (StatusCode::NOT_FOUND, "no such asset").into_response();
    };
    let (encoding, body) = match (accepts(headers, "br"), accepts(headers, "gzip")) {
        (true, _) => (Some("br"), Body::from(asset.brotli)),
        (false, true) => (Some("gzip"), Body::from(asset.gzip.clone())),
        (false, false) => (None, Body::from(asset.plain)),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.extend(encoding.map(|encoding| (header::CONTENT_ENCODING, HeaderValue::from_static(encoding))));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the stylesheet may have, packed.
    const CSS_BYTES_MAX: usize = 8 << 10;
    /// What all scripts may have, packed, and how many there may be.
    const SCRIPT_BYTES_MAX: usize = 15 << 10;
    const SCRIPTS_MAX: usize = 8;

    #[test]
    fn assets_keep_to_their_budget() {
        let bytes = |ending: &str| {
            let files = ASSETS.files.iter().filter(|asset| asset.name.ends_with(ending));
            files.map(|asset| asset.brotli.len()).fold((0, 0), |(n, sum), bytes| (n + 1, sum + bytes))
        };
        let ((_, css), (scripts, script)) = (bytes(".css"), bytes(".js"));
        assert!(css <= CSS_BYTES_MAX, "the stylesheet has {css} bytes");
        assert!(script <= SCRIPT_BYTES_MAX && scripts <= SCRIPTS_MAX, "{scripts} scripts have {script} bytes");
    }
}
