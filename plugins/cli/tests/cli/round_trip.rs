//! What goes in comes out: bit for bit, or within the bound.

use crate::support::{Place, field, field_npy, le_bytes, noise, npy, npz};

#[test]
fn every_type_and_byte_order_is_lossless() {
    let p = Place::new();
    for kind in ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"] {
        let size: usize = kind[1..].parse().unwrap();
        for order in if size == 1 { &["|"][..] } else { &["<", ">"] } {
            // Noise holds every kind of NaN, too.
            let input = npy(&format!("{order}{kind}"), false, "(30, 11)", &noise(330 * size));
            p.write("in.npy", &input);
            p.run(0, "compress in.npy x.baler --lossless --force");
            p.run(0, "decompress x.baler out.npy --force");
            assert!(p.read("out.npy") == input, "{order}{kind}");
            p.run(0, "verify in.npy x.baler");
        }
    }
}

#[test]
fn a_lossy_file_keeps_its_bound_and_no_tighter_one() {
    let p = Place::new();
    p.write("in.npy", &field_npy(100));
    for bound in ["--abs 0.01", "--rel 1e-3", "--pw-rel 1e-2", "--psnr 60"] {
        let report = p.json(0, &format!("compress in.npy x.baler {bound} --force"));
        assert!(report["ratio"].as_f64().unwrap() > 2.0, "{bound}: {report}");
        let verdict = p.json(0, "verify in.npy x.baler");
        let over = verdict["arrays"][0]["max_error_over_bound"].as_f64().unwrap();
        assert!(over > 0.2 && over <= 1.0, "{bound}: {verdict}");
    }
    p.run(0, "compress in.npy x.baler --abs 0.01 --force");
    p.run(0, "decompress x.baler out.npy");
    p.run(0, "verify in.npy out.npy --abs 0.01");
    let broken = p.json(3, "verify in.npy out.npy --abs 0.005");
    assert_eq!(broken["kept"], false);
    assert!(p.run(3, "verify in.npy x.baler --lossless").contains("BROKEN"));
}

#[test]
fn threads_and_chunks_change_no_value_beyond_the_bound_and_no_hash_twice() {
    let p = Place::new();
    p.write("in.npy", &field_npy(300));
    p.run(0, "compress in.npy one.baler --rel 1e-3 --chunk-mib 0.01 --threads 1");
    p.run(0, "compress in.npy four.baler --rel 1e-3 --chunk-mib 0.01 --threads 4");
    assert!(p.read("one.baler") == p.read("four.baler"));
    let info = p.json(0, "info one.baler --threads 3");
    assert!(info["arrays"][0]["chunks"].as_u64().unwrap() >= 7, "{info}");
    assert_eq!(info["arrays"][0]["sha256"], p.json(0, "info four.baler --threads 1")["arrays"][0]["sha256"]);
    p.run(0, "verify in.npy four.baler --threads 2");
}

#[test]
fn a_relative_bound_is_of_the_whole_array() {
    // The first half spans a thousandth of the whole: alone, its chunks would be held to a far tighter bound.
    let p = Place::new();
    let values: Vec<f32> = field(200).iter().enumerate().map(|(i, v)| if i < 6400 { v * 1e-3 } else { *v }).collect();
    p.write("in.npy", &npy("<f4", false, "(200, 64)", &le_bytes(&values)));
    p.run(0, "compress in.npy x.baler --rel 1e-2 --chunk-mib 0.013");
    let verdict = p.json(0, "verify in.npy x.baler");
    assert!(verdict["arrays"][0]["max_error_over_bound"].as_f64().unwrap() > 0.5);
    let info = p.json(0, "info x.baler");
    assert!(info["arrays"][0]["candidates"]["constant"].as_u64().unwrap() >= 1, "{info}");
}

#[test]
fn special_values_come_back_bit_for_bit() {
    let p = Place::new();
    let mut values = field(50);
    for (i, bits) in [(3, 0x7fc0_0001), (70, 0xffc0_0000), (71, 0x7f80_0000), (500, 0xff80_0000), (900, 0x8000_0000)] {
        values[i] = f32::from_bits(bits);
    }
    values[1000..1400].fill(-9999.0);
    p.write("in.npy", &npy("<f4", false, "(50, 64)", &le_bytes(&values)));
    p.run(0, "compress in.npy x.baler --rel 1e-2 --fill -9999");
    let verdict = p.json(0, "verify in.npy x.baler");
    assert_eq!(verdict["arrays"][0]["special_values"], 405);
    // Without the declaration the range is 10000 and the bound far looser.
    p.run(0, "compress in.npy y.baler --rel 1e-2");
    assert_eq!(p.json(3, "verify in.npy y.baler --rel 1e-2 --fill -9999")["kept"], false);
}

#[test]
fn archives_keep_their_members() {
    let p = Place::new();
    let names = npy("<U2", false, "(3,)", &"px\0\0py\0\0pz\0\0".bytes().flat_map(|b| [b, 0, 0, 0]).collect::<Vec<_>>());
    let table: Vec<u8> =
        (0..3000).flat_map(|i| (f64::from(i % 3) * 100.0 + f64::from(i).sin()).to_le_bytes()).collect();
    let members = [
        ("data", npy("<f8", false, "(1000, 3)", &table)),
        ("names", names.clone()),
        ("empty", npy("<f4", false, "(0, 7)", &[])),
        ("one", npy("<i4", false, "()", &7i32.to_le_bytes())),
    ];
    p.write("in.npz", &npz(&members));
    p.run(0, "compress in.npz x.baler --lossless");
    p.run(0, "decompress x.baler out.npz");
    p.run(0, "verify in.npz out.npz --lossless");
    let info = p.json(0, "info out.npz");
    assert_eq!(info["members"][0]["name"], "names");
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(p.read("out.npz"))).unwrap();
    for (name, bytes) in &members {
        let mut back = Vec::new();
        std::io::Read::read_to_end(&mut zip.by_name(&format!("{name}.npy")).unwrap(), &mut back).unwrap();
        assert!(back == *bytes, "{name}");
    }
    // A bound of each column, and one array alone.
    p.run(0, "compress in.npz t.baler --rel 1e-2 --columns --array data");
    p.run(0, "verify in.npz t.baler --array data");
    p.run(0, "verify in.npz t.baler --array data --rel 1e-2 --columns");
    p.run(0, "decompress t.baler t.npy");
    p.run(2, "compress in.npz u.baler --lossless --array dada");
}

#[test]
fn fortran_order_is_kept() {
    let p = Place::new();
    let input = npy("<f4", true, "(64, 100)", &le_bytes(&field(100)));
    p.write("in.npy", &input);
    p.run(0, "compress in.npy x.baler --rel 1e-3");
    p.run(0, "verify in.npy x.baler");
    p.run(0, "decompress x.baler out.npy");
    assert_eq!(p.read("out.npy")[..128], input[..128]);
    p.run(2, "compress in.npy y.baler --rel 1e-3 --columns");
}

#[test]
fn the_simulated_flow_compresses() {
    let p = Place::new();
    p.run(0, "simulate cylinder -o flow.npy --nx 64 --ny 32 --frames 10 --reynolds 60");
    let report = p.json(0, "compress flow.npy x.baler --rel 1e-2");
    assert!(report["ratio"].as_f64().unwrap() > 8.0, "{report}");
    p.run(0, "verify flow.npy x.baler");
}

#[test]
fn simulated_frames_and_tables_compress() {
    let p = Place::new();
    p.run(0, "simulate moessbauer -o frames.npy --spots spots.npz --frames 2 --ny 64 --nx 96 --spots-per-frame 4");
    p.run(0, "simulate jets -o jets.npz --rows 500");
    // The names of the columns, four bytes a character.
    assert!(p.read("spots.npz").windows(8).any(|w| w == b"f\0\0\0r\0\0\0"));
    for (file, bound) in [("frames.npy", "--abs 10"), ("jets.npz", "--rel 1e-3 --columns")] {
        p.run(0, &format!("compress {file} {file}.baler {bound}"));
        p.run(0, &format!("verify {file} {file}.baler"));
    }
    p.run(0, "simulate jets -o again.npz --rows 500");
    assert!(p.read("jets.npz") == p.read("again.npz"));
    p.run(2, "simulate jets -o none.npz --rows 0");
    assert!(p.run(2, "simulate moessbauer -o none.npy --ny 0").contains("0 x 2048"));
}

#[test]
fn real_data_where_it_is() {
    let data = std::env::var("BALER_DATA").unwrap_or_else(|_| "../../../shared/data".into());
    let input = std::path::Path::new(&data).join("CFD_animation.npz");
    let Ok(input) = input.canonicalize() else {
        eprintln!("skipped: no CFD_animation.npz in {data} (set BALER_DATA)");
        return;
    };
    let p = Place::new();
    for bound in ["--rel 1e-2", "--rel 1e-3", "--lossless"] {
        p.run(0, &format!("compress {} x.baler {bound} --force", input.display()));
        p.run(0, &format!("verify {} x.baler", input.display()));
    }
}
