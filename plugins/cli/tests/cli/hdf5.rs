//! HDF5 files, by our own reading and writing and by the system's h5repack.

use crate::models::place_with_pattern;
use crate::support::{Place, field, field_npy, le_bytes, npy, npz};
use std::process::Command;

/// h5repack comes with the HDF5 tools, which a library alone does not bring.
fn has_h5repack() -> bool {
    let is_there = Command::new("h5repack").arg("--version").output().is_ok_and(|o| o.status.success());
    if !is_there {
        eprintln!("skipped: no h5repack (apt-get install hdf5-tools)");
    }
    is_there
}

#[test]
fn npy_to_hdf5_and_back() {
    let p = Place::new();
    p.write("in.npy", &field_npy(100));
    let report = p.json(0, "compress in.npy x.h5 --rel 1e-3");
    assert!(report["ratio"].as_f64().unwrap() > 1.5, "{report}");
    p.run(0, "verify in.npy x.h5");
    p.run(0, "verify in.npy x.h5 --rel 1e-3");
    p.run(3, "verify in.npy x.h5 --lossless");
    p.run(0, "decompress x.h5 back.npy");
    p.run(0, "verify in.npy back.npy --rel 1e-3");
    assert_eq!(p.json(0, "info x.h5")["arrays"][0]["sha256"], p.json(0, "info back.npy")["arrays"][0]["sha256"]);
    p.run(0, "compress in.npy whole.h5 --lossless");
    p.run(0, "decompress whole.h5 whole.npy");
    assert!(p.read("whole.npy") == p.read("in.npy"));
}

#[test]
fn every_type_goes_through_hdf5() {
    let p = Place::new();
    for kind in ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"] {
        let size: usize = kind[1..].parse().unwrap();
        let order = if size == 1 { '|' } else { '<' };
        let input = npy(&format!("{order}{kind}"), false, "(20, 33)", &crate::support::noise(660 * size));
        p.write("in.npy", &input);
        p.run(0, "compress in.npy x.h5 --lossless --force");
        p.run(0, "decompress x.h5 out.npy --force");
        assert!(p.read("out.npy") == input, "{kind}");
        p.run(0, "convert in.npy plain.h5 --force");
        p.run(0, "compress plain.h5 y.baler --lossless --force");
        p.run(0, "verify plain.h5 y.baler");
    }
}

#[test]
fn args_print_one_line() {
    let p = Place::new();
    assert_eq!(p.run(0, "h5 args --abs 0.5"), "UD=47646,0,3,1048833,0,1071644672\n");
    assert_eq!(p.run(0, "h5 args --lossless --model none"), "UD=47646,0,1,1\n");
    let json = p.json(0, "h5 args --rel 1e-3 --columns --check --effort max");
    assert_eq!(json["cd_values"].as_array().unwrap().len(), 3);
    p.run(2, "h5 args");
    p.run(5, "h5 args --latent --model nothing");
    p.run(2, "h5 args --latent");
}

#[test]
fn repack_keeps_the_bound_of_whole_datasets() {
    if !has_h5repack() {
        return;
    }
    let p = Place::new();
    // A column of offsets: the range of a chunk is far from that of the dataset, and the last chunk is padded.
    let values: Vec<f32> = field(101).iter().enumerate().map(|(i, v)| v + 300.0 + (i / 6400) as f32 * 50.0).collect();
    let small = npy("<i2", false, "(40,)", &(0..40i16).flat_map(|v| (v * v).to_le_bytes()).collect::<Vec<_>>());
    let one = npy("<f8", false, "()", &1.5f64.to_le_bytes());
    p.write("in.npz", &npz(&[("a", npy("<f4", false, "(101, 64)", &le_bytes(&values))), ("b", small), ("c", one)]));
    p.run(0, "convert in.npz in.h5");
    for flags in ["--rel 1e-3", "--abs 0.01", "--lossless", "--pw-rel 1e-4", "--psnr 70"] {
        let report = p.json(0, &format!("h5 repack in.h5 out.h5 {flags} --array a --chunk 30x64 --force"));
        assert_eq!(report["verified"], true);
        assert_eq!(report["arrays"][0]["chunks"], 4);
        p.run(0, "verify in.h5 out.h5 --array a");
        p.run(0, &format!("verify in.h5 out.h5 --array a {flags}"));
    }
    p.run(0, "h5 repack in.h5 all.h5 --rel 1e-2");
    p.run(0, "verify in.h5 all.h5 --rel 1e-2");
    p.run(0, "h5 restore all.h5 plain.h5");
    p.run(0, "verify all.h5 plain.h5 --lossless");
    p.run(2, "h5 restore plain.h5 again.h5");
    p.run(2, "h5 repack in.h5 bad.h5 --rel 1e-2 --chunk 1x2x3");
    p.run(2, "h5 repack in.h5 bad.h5 --rel 1e-2 --array d");
    p.run(2, "h5 repack in.npz bad.h5 --rel 1e-2");
    assert!(!p.names().iter().any(|n| n.contains("bad.h5")), "{:?}", p.names());
}

#[test]
fn compress_and_decompress_know_hdf5_to_hdf5() {
    if !has_h5repack() {
        return;
    }
    let p = Place::new();
    p.write("in.npy", &field_npy(100));
    p.run(0, "convert in.npy in.h5");
    p.run(0, "compress in.h5 out.h5 --rel 1e-3");
    p.run(0, "verify in.h5 out.h5 --rel 1e-3");
    p.run(0, "decompress out.h5 plain.h5");
    p.run(0, "verify in.h5 plain.h5 --rel 1e-3");
}

#[test]
fn a_model_of_ones_own_travels_in_the_file() {
    if !has_h5repack() {
        return;
    }
    let p = place_with_pattern();
    p.run(0, "convert in.npy in.h5");
    let report = p.json(0, "h5 repack in.h5 out.h5 --rel 1e-2 --model own.bundle");
    assert!(report["arrays"][0]["candidates"]["autoencoder"].as_u64().unwrap() >= 1, "{report}");
    assert!(report["model_bytes"].as_u64().unwrap() > 256, "{report}");
    std::fs::remove_file(p.path("own.bundle")).unwrap();
    p.run(0, "verify in.h5 out.h5 --rel 1e-2");
    p.run(0, "h5 restore out.h5 plain.h5");
    p.run(0, "verify out.h5 plain.h5 --lossless");
    assert_eq!(p.json(0, "info plain.h5")["models"].as_array().unwrap().len(), 0);
}

#[test]
fn what_is_missing_is_named() {
    let p = Place::new();
    p.write("in.npy", &field_npy(20));
    p.run(0, "convert in.npy in.h5");
    let no_tool = p.command("h5 repack in.h5 out.h5 --rel 1e-3").env("PATH", p.path("")).output().unwrap();
    let text = String::from_utf8_lossy(&no_tool.stderr).into_owned();
    assert_eq!(no_tool.status.code(), Some(1), "{text}");
    assert!(text.contains("hdf5-tools"), "{text}");
    // A copy of the program in a folder of its own has no plugin beside it.
    std::fs::copy(env!("CARGO_BIN_EXE_baler"), p.path("alone")).unwrap();
    let mut alone = Command::new(p.path("alone"));
    alone.current_dir(p.path("")).args(["h5", "repack", "in.h5", "out.h5", "--rel", "1e-3"]);
    let no_plugin = alone.env_remove("BALER_PLUGIN_PATH").output().unwrap();
    let text = String::from_utf8_lossy(&no_plugin.stderr).into_owned();
    assert_eq!(no_plugin.status.code(), Some(1), "{text}");
    assert!(text.contains("libbaler_hdf5") && text.contains("BALER_PLUGIN_PATH"), "{text}");
    assert_eq!(p.names(), ["alone", "in.h5", "in.npy"]);
}

#[test]
fn damaged_chunks_are_errors() {
    let p = Place::new();
    p.write("in.npy", &field_npy(400));
    let report = p.json(0, "compress in.npy x.h5 --rel 1e-3");
    let whole = p.read("x.h5");
    // The chunk is by far the largest thing in the file; ours begin with these letters.
    let start = whole.windows(4).position(|w| w == b"BALR").unwrap();
    let len = report["arrays"][0]["stored_bytes"].as_u64().unwrap() as usize;
    for i in 0..40 {
        let mut damaged = whole.clone();
        damaged[start + i * (len - 1) / 39] ^= 1 << (i % 8);
        p.write("bad.h5", &damaged);
        for line in ["decompress bad.h5 back.npy", "info bad.h5", "verify in.npy bad.h5"] {
            let output = p.command(line).output().unwrap();
            // One bit makes a chunk of a future version.
            assert!(matches!(output.status.code(), Some(1 | 4)), "{line} {i}: {:?}", output.status);
        }
    }
    assert!(!p.path("back.npy").exists());
}

#[test]
fn fortran_order_is_refused_where_it_cannot_be_told() {
    let p = Place::new();
    p.write("in.npy", &npy("<f4", true, "(64, 20)", &le_bytes(&field(20))));
    assert!(p.run(2, "convert in.npy out.h5").contains("ascontiguousarray"));
    assert_eq!(p.names(), ["in.npy"]);
}
