//! `baler parquet`.

use crate::support::Place;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A lake of `n` files in partitions.
fn lake(place: &Place, n: usize, rows: usize) {
    for i in 0..n {
        let folder = format!("lake/year={}", 2025 + i % 2);
        std::fs::create_dir_all(place.path(&folder)).unwrap();
        place.run(0, &format!("simulate events -o {folder}/part{i}.parquet --rows {rows} --seed {i}"));
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn a_file_there_and_back() {
    let place = Place::new();
    place.run(0, "simulate events -o events.parquet --rows 20000");
    let report = place.json(0, "parquet encode events.parquet small.parquet --rel 1e-3 --threads 2");
    assert_eq!((report["rows"].as_u64(), report["columns"].as_u64()), (Some(20_000), Some(17)));
    assert!(report["ratio"].as_f64().unwrap() > 2.5, "{report}");
    assert!(report["predicted_columns"].as_u64().unwrap() > 4, "{report}");
    let checked = place.json(0, "parquet verify events.parquet small.parquet");
    assert_eq!(checked["columns"].as_array().unwrap().len(), 17);
    place.run(0, "parquet decode small.parquet back.parquet");
    let text = place.run(0, "parquet info small.parquet");
    assert!(text.contains("float32 within abs") && text.contains("predicted: ") && text.contains("event: "), "{text}");
    // The decoded file is an ordinary one; verify says that nothing in it is encoded.
    assert!(place.run(0, "parquet info back.parquet").contains("not encoded"));
    place.run(3, "parquet verify events.parquet back.parquet");

    // Encoded twice, the second time in other words; bounds that are none; a column that is not there; a key.
    place.run(2, "parquet encode small.parquet again.parquet --rel 1e-3");
    place.run(2, "parquet encode events.parquet small.parquet --rel 1e-2");
    place.run(2, "parquet encode events.parquet x.parquet --rel 2");
    place.run(2, "parquet encode events.parquet x.parquet");
    place.run(2, "parquet encode events.parquet x.parquet --rel 1e-3 --columns nope");
    let text = place.run(2, "parquet encode events.parquet x.parquet --column M=abs:1 --keys M");
    assert!(text.contains("key"), "{text}");
    assert!(!place.path("x.parquet").exists());
    // One column by its own bound, all else left alone.
    let report = place.json(0, "parquet encode events.parquet one.parquet --column M=bits:8");
    assert_eq!(report["columns"], 1);
    place.run(0, "parquet verify events.parquet one.parquet");
    place.run(0, "parquet encode events.parquet plain.parquet --abs 0.01 --profile conservative --no-prediction");
    place.run(0, "parquet verify events.parquet plain.parquet");
}

/// Tables that lie in one folder have nothing to do with each other, whatever is asked for.
#[test]
fn files_of_one_folder_have_bounds_of_their_own() {
    let place = Place::new();
    place.run(0, "simulate events -o long.parquet --rows 20000");
    place.run(0, "simulate events -o short.parquet --rows 50 --seed 2");
    place.run(0, "parquet encode long.parquet a.parquet --rel 1e-2");
    place.run(0, "parquet encode short.parquet b.parquet --rel 1e-2");
    place.run(0, "parquet verify long.parquet a.parquet");
    // Also where the short one's range is a part of the other's.
    place.run(0, "parquet verify short.parquet b.parquet");
    // A folder whose files were replaced by others of a smaller range gets another document.
    std::fs::create_dir(place.path("lake")).unwrap();
    std::fs::copy(place.path("long.parquet"), place.path("lake/x.parquet")).unwrap();
    place.run(0, "parquet encode lake small --rel 1e-2");
    std::fs::copy(place.path("short.parquet"), place.path("lake/x.parquet")).unwrap();
    place.run(0, "parquet encode lake small --rel 1e-2");
    place.run(0, "parquet verify lake small");
}

#[test]
fn damaged_files_are_errors() {
    let place = Place::new();
    place.run(0, "simulate events -o events.parquet --rows 3000");
    place.run(0, "parquet encode events.parquet small.parquet --rel 1e-3");
    let bytes = place.read("small.parquet");
    for cut in [0, 3, bytes.len() / 2, bytes.len() - 1] {
        place.write("cut.parquet", &bytes[..cut]);
        place.run(4, "parquet decode cut.parquet x.parquet");
    }
    assert!(!place.path("x.parquet").exists());
    place.run(1, "parquet decode none.parquet x.parquet");
}

#[test]
fn a_killed_folder_job_is_continued() {
    let place = Place::new();
    let cases: u64 = std::env::var("BALER_TEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    lake(&place, 6, 30_000);
    let line = "parquet encode lake small --rel 1e-3 --threads 2";
    let whole = Instant::now();
    place.run(0, line);
    let whole = whole.elapsed();
    let expected: Vec<(PathBuf, Vec<u8>)> = files_below(&place.path("small"))
        .into_iter()
        .map(|path| (path.strip_prefix(place.path("small")).unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect();
    assert_eq!(expected.len(), 7, "six files and a document");
    let mut n_killed = 0;
    for case in 0..cases {
        std::fs::remove_dir_all(place.path("small")).unwrap();
        // Kills spread over the whole run, at least two of each.
        for kill in 0..2 {
            let mut child = place.command(line).stdout(std::process::Stdio::null()).spawn().unwrap();
            let after = whole.mul_f64(((case * 2 + kill) as f64 + 0.5) / (2 * cases) as f64);
            std::thread::sleep(after.max(Duration::from_millis(5)));
            n_killed += u64::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
            // Whatever has its name is whole.
            for (name, bytes) in &expected {
                if let Ok(there) = std::fs::read(place.path("small").join(name)) {
                    assert!(there == *bytes, "{} after a kill", name.display());
                }
            }
        }
        place.run(0, line);
        let names: Vec<PathBuf> = files_below(&place.path("small"));
        assert_eq!(names.len(), expected.len(), "something is left over: {names:?}");
        for (name, bytes) in &expected {
            assert!(std::fs::read(place.path("small").join(name)).unwrap() == *bytes, "{}", name.display());
        }
    }
    assert!(n_killed > 0);
    let report = place.json(0, line);
    assert_eq!(report["files_done_before"], 6);
    // A source that has grown is done again, with the same document.
    place.run(0, "simulate events -o lake/year=2025/part0.parquet --rows 40000 --seed 0 --force");
    assert_eq!(place.json(0, line)["files_done_before"], 5);
    place.run(0, "parquet decode small back");
    place.run(0, "parquet verify lake small");
    assert_eq!(files_below(&place.path("back")).len(), 6);
}
