//! Promise: `include/baler.h` says what the code does.

use std::path::Path;

/// Writes the header again and compares. With `BALER_WRITE_HEADER` set, it is written to its place instead.
#[test]
fn header_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut written = Vec::new();
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    cbindgen::Builder::new()
        .with_config(config)
        .with_src(root.join("src/lib.rs"))
        .generate()
        .unwrap()
        .write(&mut written);
    let written = String::from_utf8(written).unwrap();
    let path = root.join("include/baler.h");
    if std::env::var_os("BALER_WRITE_HEADER").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed == written,
        "include/baler.h is not what the sources say: run `BALER_WRITE_HEADER=1 cargo test -p baler-ffi --test header`"
    );
}

/// Every function says which threads may call it.
#[test]
fn threads_are_documented() {
    let header = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("include/baler.h")).unwrap();
    let functions = header.split("extern \"C\" {").nth(1).unwrap();
    let mut n = 0;
    for (comment, declaration) in functions.split("/**").skip(1).map(|text| text.split_once("*/").unwrap()) {
        assert!(comment.contains(" * Threads: "), "{}", declaration.trim());
        n += 1;
    }
    assert!(n >= 30, "{n} functions");
}
