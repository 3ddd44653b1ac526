//! Lists the page's assets, so that a file dropped into `src/page/assets` is compiled in and served.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let dir = Path::new(&root).join("src/page/assets");
    println!("cargo:rerun-if-changed={}", dir.display());
    println!("cargo:rerun-if-changed=build.rs");
    let mut files: Vec<_> = fs::read_dir(&dir).expect("src/page/assets").map(|entry| entry.expect("a file").path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    let mut list = String::from("&[\n");
    for path in files {
        let name = path.file_name().and_then(|name| name.to_str()).expect("assets have plain names");
        writeln!(list, "    ({name:?}, include_bytes!({path:?})),").expect("writing to a String cannot fail");
    }
    list.push(']');
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("page_assets.rs"), list).expect("OUT_DIR can be written");
}
