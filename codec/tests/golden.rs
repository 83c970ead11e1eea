//! Promise: what a release has written, every later one decodes to the same bytes, on every processor (`tests/emulated`).
//!
//! `tests/golden.rs` of the workspace writes the files, and sees to it that they cover the format.

use baler_codec::{Limits, Registry, decode};
use std::path::Path;

#[test]
fn every_golden_chunk_decodes_to_the_same_bytes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let mut n_chunks = 0;
    for folder in std::fs::read_dir(&root).unwrap() {
        for entry in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "chunk") {
                continue;
            }
            let (chunk, values) =
                (std::fs::read(&path).unwrap(), std::fs::read(path.with_extension("values")).unwrap());
            // No model source: what a chunk needs travels in it.
            let back = decode(&chunk, &Registry::new(), &Limits::default());
            let back = back.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert!(back.values == values, "{} decodes to other bytes than when it was written", path.display());
            n_chunks += 1;
        }
    }
    assert!(n_chunks >= 50, "{n_chunks} golden chunks");
    println!("{n_chunks} golden chunks on {}", std::env::consts::ARCH);
}
