//! Promise: what a release has written, every later one decodes to the same bytes, on every processor (`tests/emulated`).
//!
//! `tests/golden.rs` of the workspace writes the files, and sees to it that they cover the format.

use baler_codec::{Bound, Effort, Limits, Params, Registry, decode, encode};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

fn golden_chunks() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let folders = std::fs::read_dir(&root).unwrap();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "chunk"));
    paths.sort();
    paths
}

#[test]
fn every_golden_chunk_decodes_to_the_same_bytes() {
    let paths = golden_chunks();
    for path in &paths {
        let (chunk, values) = (std::fs::read(path).unwrap(), std::fs::read(path.with_extension("values")).unwrap());
        // No model source: what a chunk needs travels in it.
        let back = decode(&chunk, &Registry::new(), &Limits::default());
        let back = back.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(back.values == values, "{} decodes to other bytes than when it was written", path.display());
    }
    assert!(paths.len() >= 50, "{} golden chunks", paths.len());
    println!("{} golden chunks on {}", paths.len(), std::env::consts::ARCH);
}

/// What the golden chunks decode to, encoded anew: a digest that `tests/emulated` compares between processors. It says nothing
/// of the format, since the writer may change, but that the same input gives the same chunk everywhere.
#[test]
fn processors_encode_alike() {
    let (mut digest, mut n_chunks) = (Xxh3::new(), 0);
    for path in golden_chunks() {
        let golden = decode(&std::fs::read(&path).unwrap(), &Registry::new(), &Limits::default()).unwrap();
        for bound in [Bound::Lossless, Bound::Abs(0.25), Bound::Rel(1e-3), Bound::PwRel(1e-2), Bound::Psnr(60.0)] {
            for effort in [Effort::Fast, Effort::Default] {
                let mut params = Params::new(golden.dtype, &golden.shape, bound);
                params.byte_order = golden.byte_order;
                params.effort = effort;
                digest.update(&encode(&params, &golden.values, &Registry::new()).unwrap());
                n_chunks += 1;
            }
        }
    }
    let digest = format!("{:016x}", digest.digest());
    println!("{n_chunks} chunks encoded on {}: {digest}", std::env::consts::ARCH);
    if let Ok(expected) = std::env::var("BALER_TEST_ENCODED") {
        assert_eq!(digest, expected, "another processor encodes to other bytes");
    }
}
