//! Prepares the page's assets: each file of `src/page/assets` is stripped of its comments, packed once as well as it can be,
//! and listed, so that a file dropped there is compiled in and served. No tool but this one is needed.
//!
//! Stripping knows nothing of a language: it takes out lines that are comments, and indentation. So a comment stands on
//! lines of its own, and no text of a script spans lines.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

/// Brotli's best.
const QUALITY: i32 = 11;
/// Brotli's window, 2^22 bytes: more than all assets have.
const WINDOW: i32 = 22;

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let dir = Path::new(&root).join("src/page/assets");
    println!("cargo:rerun-if-changed={}", dir.display());
    println!("cargo:rerun-if-changed=build.rs");
    let entries = fs::read_dir(&dir).expect("src/page/assets");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).filter(|path| path.is_file()).collect();
    files.sort();
    let mut list = String::from("&[\n");
    for path in files {
        let name = path.file_name().and_then(|name| name.to_str()).expect("assets have plain names");
        let text = stripped(&fs::read_to_string(&path).expect("assets are UTF-8"));
        let plain = Path::new(&out).join(name);
        let packed = Path::new(&out).join(format!("{name}.br"));
        fs::write(&plain, &text).expect("OUT_DIR can be written");
        fs::write(&packed, pack(text.as_bytes())).expect("OUT_DIR can be written");
        writeln!(list, "    ({name:?}, include_bytes!({plain:?}), include_bytes!({packed:?})),")
            .expect("writing to a String cannot fail");
    }
    list.push(']');
    fs::write(Path::new(&out).join("page_assets.rs"), list).expect("OUT_DIR can be written");
}

fn stripped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut is_in_comment = false;
    for line in text.lines().map(str::trim) {
        let begins = line.starts_with("/*");
        if is_in_comment || begins {
            is_in_comment = !line.ends_with("*/");
            continue;
        }
        if !line.is_empty() && !line.starts_with("//") {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let params = brotli::enc::BrotliEncoderParams { quality: QUALITY, lgwin: WINDOW, ..Default::default() };
    brotli::BrotliCompress(&mut &bytes[..], &mut packed, &params).expect("writing to memory cannot fail");
    packed
}
