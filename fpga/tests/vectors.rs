//! Promise: programs give the integers of hls4ml's C simulation, layer by layer, and casts its casts.
//!
//! Needs the reference vectors: `BALER_FPGA_VECTORS` names their folder, by default `../shared/fpga/hls4ml_vectors`
//! beside the workspace. Without them the test says so and passes; small ones by hand are in `src/vectors.rs`.

use std::path::PathBuf;

#[test]
fn every_file_of_vectors() {
    let folder = std::env::var_os("BALER_FPGA_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/fpga/hls4ml_vectors")),
        PathBuf::from,
    );
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: no folder {} (BALER_FPGA_VECTORS names the one with the vectors)", folder.display());
        return;
    };
    let mut n_files = 0;
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "json"))
    {
        let text = std::fs::read_to_string(&path).unwrap();
        let checked = baler_fpga::vectors::check(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(checked.first_mismatch, None, "{}: {} differ", path.display(), checked.n_mismatches);
        println!("{}: {} values", checked.name, checked.n_values());
        assert!(checked.n_values() > 0);
        n_files += 1;
    }
    assert!(n_files > 0, "no .json in {}", folder.display());
}
