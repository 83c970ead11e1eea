//! Files written once by a release, read for ever: each `<name>.chunk` in `tests/golden/<release>/` decodes to the bytes of
//! `<name>.values` (`codec/tests/golden.rs` decodes them).
//!
//! A release that adds to the format adds a folder: `BALER_WRITE_GOLDEN=tests/golden/v0.2.0 cargo test -p baler-tests
//! --test golden` writes the cases of [`cases`]. Files that are there are never written again.

use baler_codec::bundle::MemorySource;
use baler_codec::{
    Bound, Bundle, BundleSource, ByteOrder, Candidates, Dtype, Effort, Limits, ModelChoice, Params, Registry, check,
    decode, describe, encode,
};
use baler_tests::{around, walsh};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn releases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
        .expect("tests/golden is part of the project")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

fn chunks() -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    for folder in releases() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable folder").path();
            if path.extension().is_some_and(|e| e == "chunk") {
                let read = |p: &Path| std::fs::read(p).unwrap_or_else(|e| panic!("{}: {e}", p.display()));
                found.push((path.display().to_string(), read(&path), read(&path.with_extension("values"))));
            }
        }
    }
    found
}

/// Names in the table of the format's description whose first two columns have these heads.
fn names_in_the_format(id: &str) -> BTreeSet<String> {
    let format = Path::new(env!("CARGO_MANIFEST_DIR")).join("../codec/FORMAT.md");
    let text = std::fs::read_to_string(format).expect("codec/FORMAT.md is part of the project");
    let table = text.lines().skip_while(|line| !line.starts_with(&format!("| {id} | name |"))).skip(2);
    table
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| Some(line.split('|').nth(2)?.trim().to_owned()))
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Whatever FORMAT.md names has a golden file: a method, a coder, an element type or a bound without one fails here. The table
/// of what there is: `cargo test -p baler-tests --test golden cover -- --nocapture`.
#[test]
fn golden_chunks_cover_the_format() {
    let (mut bounds, mut candidates, mut coders) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    // Files by element type and byte order: of each bound, of each candidate.
    let mut table: BTreeMap<(u8, bool), BTreeMap<String, usize>> = BTreeMap::new();
    for (name, chunk, _) in chunks() {
        let description = describe(&chunk).unwrap_or_else(|e| panic!("{name}: {e}"));
        let header = &description.header;
        bounds.insert(header.bound.name().to_owned());
        let cell = table.entry((header.dtype as u8, header.byte_order == ByteOrder::Big)).or_default();
        *cell.entry(header.bound.name().to_owned()).or_default() += 1;
        let in_parts: BTreeSet<&str> = description.parts.iter().map(|part| part.candidate).collect();
        in_parts.into_iter().for_each(|candidate| *cell.entry(candidate.to_owned()).or_default() += 1);
        for part in &description.parts {
            candidates.insert(part.candidate.to_owned());
            // What a column is coded with is no coder.
            let is_of_columns = matches!(part.candidate, "related" | "conditional");
            let detail = if is_of_columns { "" } else { &*part.detail };
            if let Some(coder) = detail.split(' ').next_back().filter(|c| !c.is_empty()) {
                coders.insert(coder.to_owned());
            }
        }
    }

    // Reports call the quantised integers by what predicts them, and two of the coders by what they are made of.
    let mut methods = names_in_the_format("method");
    assert!(methods.remove("quantised") && methods.len() >= 8, "{methods:?}");
    methods.extend(set(&["plain", "lorenzo"]));
    let mut known = names_in_the_format("coder");
    assert!(known.remove("narrow") && known.remove("shuffled") && known.len() >= 5, "{known:?}");
    known.extend(set(&["zstd", "shuffle+zstd"]));
    for dtype in Dtype::ALL {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let files = table.get(&(dtype as u8, order == ByteOrder::Big)).cloned().unwrap_or_default();
            println!(
                "{dtype} {order:?}: {}",
                files.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ")
            );
            assert!(files.contains_key("lossless") && files.contains_key("abs"), "{dtype} {order:?}: {files:?}");
        }
    }
    println!("candidates: {candidates:?}\ncoders: {coders:?}\nbounds: {bounds:?}");
    assert_eq!(candidates, methods, "methods of FORMAT.md and those of golden files");
    assert_eq!(coders, known, "coders of FORMAT.md and those of golden files");
    assert_eq!(bounds, set(&["abs", "latent", "lossless", "psnr", "pw_rel", "rel"]));
    let missing: Vec<&str> =
        Candidates::names().filter(|name| *name != "quantised" && !candidates.contains(*name)).collect();
    assert!(missing.is_empty(), "candidates without a golden file: {missing:?}");
}

/// For the case `related`.
const FORMULAS: &str = r#"
format = 2
name = "formulas-golden"
family = "predictor"
description = "Formulas between the columns of a golden table."
license = "CC0-1.0"
[predictor]
columns = ["a", "b", "c", "d", "flag", "e"]
formulas = [
    { column = 2, formula = "1*x0*cos(x1)*x4" },
    { column = 3, formula = "sqrt(1*exp(x0) + 1)" },
]
"#;

/// Parameters and input of each case.
fn cases() -> Vec<(String, Params, Vec<u8>)> {
    let mut cases = Vec::new();
    let mut noise = 0x2545_f491_4f6c_dd1du64;
    let mut random = move || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise
    };
    // A smooth field by integer arithmetic, so that no libm decides about it.
    let smooth = |i: usize, width: usize| {
        let (y, x) = ((i / width) as f64 / 7.0, (i % width) as f64 / 11.0);
        (y * y - 3.0 * x) / (1.0 + x * x) + 0.125 * y * x
    };
    let bytes_of = |dtype: Dtype, v: f64| -> Vec<u8> {
        match dtype {
            Dtype::F16 => vec![0, ((v as i64).unsigned_abs() as u8 & 0x3f) | 0x20],
            Dtype::F32 => (v as f32).to_le_bytes().to_vec(),
            Dtype::F64 => v.to_le_bytes().to_vec(),
            _ => ((v * 40.0) as i64).to_le_bytes()[..dtype.size_bytes()].to_vec(),
        }
    };
    for dtype in Dtype::ALL {
        for (order, big) in [(ByteOrder::Little, "le"), (ByteOrder::Big, "be")] {
            for (bound, kind) in [(Bound::Lossless, "lossless"), (Bound::Abs(2.0), "abs")] {
                let mut params = Params::new(dtype, &[12, 25], bound);
                params.byte_order = order;
                let values = (0..300)
                    .flat_map(|i| {
                        let mut element = bytes_of(dtype, smooth(i, 25));
                        if order == ByteOrder::Big {
                            element.reverse();
                        }
                        element
                    })
                    .collect();
                cases.push((format!("{dtype}_{big}_{kind}"), params, values));
            }
        }
    }
    let field =
        |n: usize, width: usize| -> Vec<u8> { (0..n).flat_map(|i| (smooth(i, width) as f32).to_le_bytes()).collect() };
    for (bound, name) in [(Bound::Rel(1e-3), "rel"), (Bound::PwRel(1e-2), "pw_rel"), (Bound::Psnr(60.0), "psnr")] {
        cases.push((format!("field_{name}"), Params::new(Dtype::F32, &[4, 16, 20], bound), field(1280, 20)));
    }
    // Smooth at a loose bound: interpolation.
    let bowl =
        |i: usize| ((i / 60) as f64 - 31.0).powi(2) * 0.3 + ((i % 60) as f64 - 17.0).powi(2) * ((i / 60) as f64 * 0.01);
    let bowl = (0..70 * 60).flat_map(|i| (bowl(i) as f32).to_le_bytes()).collect();
    cases.push(("bowl".into(), Params::new(Dtype::F32, &[70, 60], Bound::Rel(1e-2)), bowl));
    // Columns that follow from others: by a formula, by a flag, by their size.
    let row = |i: u64| {
        let noise = |k: u64| (i.wrapping_mul(k) >> 11) as f64 / (1u64 << 53) as f64;
        let (a, b) = (1.0 + 9.0 * noise(0x9e37_79b9_7f4a_7c15), 6.0 * noise(0xc2b2_ae3d_27d4_eb4f) - 3.0);
        let flag = f64::from(u8::from(b > -2.0));
        [a, b, a * b.cos() * flag, (a.exp() + 1.0).sqrt(), flag, a + 0.1 * b]
    };
    let table = (1..1200).flat_map(row).flat_map(f64::to_le_bytes).collect();
    let mut params = Params::new(Dtype::F64, &[1199, 6], Bound::Rel(1e-4));
    params.per_column = true;
    cases.push(("related".into(), params.clone(), Vec::clone(&table)));
    cases.push(("conditional_formula".into(), params.clone(), table));
    // A run number, a trigger with few levels far apart, a measurement that most rows lack, and what depends on them.
    let row = |i: u64| {
        let noise = |k: u64| (i.wrapping_mul(k) >> 11) as f64 / (1u64 << 53) as f64;
        let trigger = [0.0, 25.0, 400.0, 1000.0][(noise(0x9e37_79b9_7f4a_7c15) * 5.0) as usize % 4];
        let seen = if trigger > 300.0 { 8.0 + 90.0 * noise(0xc2b2_ae3d_27d4_eb4f) } else { -999.0 };
        [
            (i / 16) as f64,
            trigger,
            seen,
            if seen > 0.0 { seen * seen } else { -999.0 },
            noise(0xff51_afd7_ed55_8ccd) + trigger,
        ]
    };
    let table: Vec<u8> = (1..1500).flat_map(row).flat_map(f64::to_le_bytes).collect();
    params.shape = vec![1499, 5];
    cases.push(("related_grouped".into(), params.clone(), table.clone()));
    cases.push(("conditional_contexts".into(), params.clone(), table));
    // Columns that follow from two others smoothly, some with nothing in between, some undefined.
    let row = |i: u64| {
        let noise = |k: u64| (i.wrapping_mul(k) >> 11) as f64 / (1u64 << 53) as f64;
        let (a, b) = (1.0 + 9.0 * noise(0x9e37_79b9_7f4a_7c15), 6.0 * noise(0xc2b2_ae3d_27d4_eb4f) - 3.0);
        let c = if b > 2.0 { f64::NAN } else { (a * a + b * b).sqrt() };
        [a, b, c, a * b, a * a, a * 16.0 + noise(0xff51_afd7_ed55_8ccd)].map(|v| v as f32)
    };
    let table: Vec<u8> = (1..4000).flat_map(row).flat_map(f32::to_le_bytes).collect();
    let mut surface = Params::new(Dtype::F32, &[3999, 6], Bound::Rel(1e-3));
    surface.per_column = true;
    cases.push(("conditional_surface".into(), surface, table));
    // Rows that come in runs: columns change together.
    let row = |i: u64| {
        let noise = |i: u64, k: u64| (i.wrapping_mul(k) >> 11) as f64 / (1u64 << 53) as f64;
        let run = (i * i / 64) ^ (i / 5);
        let (a, b) = (noise(run, 0x9e37_79b9_7f4a_7c15), noise(run, 0xc2b2_ae3d_27d4_eb4f));
        [a, b, a + noise(run, 0xff51_afd7_ed55_8ccd), if b > 0.5 { a } else { b }]
    };
    let table: Vec<u8> = (1..3000).flat_map(row).flat_map(f64::to_le_bytes).collect();
    params.shape = vec![2999, 4];
    cases.push(("conditional_differences".into(), params, table));
    let mut special = field(600, 30);
    for (k, i) in (0..600).step_by(7).enumerate() {
        let bits =
            [0x7fc0_0001u32, 0x7f80_0000, 0xff80_0000, 0x8000_0000, (-999.0f32).to_bits(), 0xffc0_1000 + k as u32]
                [k % 6];
        special[4 * i..4 * i + 4].copy_from_slice(&bits.to_le_bytes());
    }
    let mut params = Params::new(Dtype::F32, &[20, 30], Bound::Abs(1e-2));
    params.fill = Some((-999.0f32).to_le_bytes().to_vec());
    cases.push(("special_values".into(), params, special));
    let raw: Vec<u8> = (0..200).flat_map(|_| random().to_le_bytes()).collect();
    cases.push(("raw".into(), Params::new(Dtype::F64, &[200], Bound::Lossless), raw));
    cases.push((
        "constant".into(),
        Params::new(Dtype::F64, &[9, 9], Bound::Rel(1e-3)),
        1.5f64.to_le_bytes().repeat(81),
    ));
    cases.push(("empty".into(), Params::new(Dtype::F32, &[3, 0], Bound::Lossless), Vec::new()));
    cases.push(("scalar".into(), Params::new(Dtype::I16, &[], Bound::Lossless), vec![1, 2]));
    let ramp: Vec<u8> = (1..=500i32).flat_map(|i| (i * 1000).to_le_bytes()).collect();
    cases.push(("ramp".into(), Params::new(Dtype::I32, &[500], Bound::Lossless), ramp));
    let prices: Vec<u8> = (0..3000).flat_map(|_| ((random() % 10_000) as f64 * 0.01).to_le_bytes()).collect();
    cases.push(("decimals".into(), Params::new(Dtype::F64, &[3000], Bound::Lossless), prices));
    let wide: Vec<u8> = (0..4000).flat_map(|_| (random() % 1_000_003 * 7).to_le_bytes()).collect();
    cases.push(("wide".into(), Params::new(Dtype::U64, &[4000], Bound::Abs(3.0)), wide));
    let words: Vec<[u8; 8]> = (0..40).map(|_| (random() >> 40).to_le_bytes()).collect();
    // Phrases that come back with noise below the bound: repeats once quantised, none before.
    let phrase: Vec<f32> = (0..600).map(|_| (random() % 200) as f32).collect();
    let repeats: Vec<u8> = (0..6000)
        .flat_map(|i| (phrase[(i / 150 * 97 + i % 150) % 600] + (random() % 100) as f32 * 1e-3).to_le_bytes())
        .collect();
    cases.push(("repeats".into(), Params::new(Dtype::F32, &[6000], Bound::Abs(0.4)), repeats));
    // High bytes that repeat in long patterns, low bytes that do not.
    let planes: Vec<u8> = (0..3000)
        .flat_map(|i| {
            let high = u32::from_le_bytes([words[i % 40][0], words[i % 40][1], 0, 0]);
            (high << 9 | (random() % 512) as u32).to_le_bytes()
        })
        .collect();
    cases.push(("planes".into(), Params::new(Dtype::U32, &[3000], Bound::Abs(0.5)), planes));
    let mut table = Params::new(Dtype::F64, &[400, 3], Bound::Rel(1e-4));
    table.per_column = true;
    let rows: Vec<u8> =
        (0..1200).flat_map(|i| ([1.0, 1e-6, 1e6][i % 3] * (1.0 + (random() % 997) as f64)).to_le_bytes()).collect();
    cases.push(("table".into(), table, rows));
    for (bound, name) in [(Bound::Rel(2e-2), "rel"), (Bound::Latent, "latent")] {
        let mut params = Params::new(Dtype::F32, &[60, walsh::TILE, walsh::TILE], bound);
        params.embed = true;
        let values = walsh::tiles(60).iter().flat_map(|v| v.to_le_bytes()).collect();
        cases.push((format!("autoencoder_{name}"), params, values));
    }
    // Waves under noise, at a bound above the noise: wavelets.
    let mut waves = |i: usize| {
        let (z, y, x) = ((i / 1200) as f64 - 2.0, (i / 40 % 30) as f64 / 30.0 - 0.5, (i % 40) as f64 / 40.0 - 0.5);
        let noise = (random() >> 40) as f64 / f64::from(1 << 24) - 0.5;
        16.0 * x * (0.25 - x * x) * (1.0 + y * z) + 4.0 * y * (0.25 - y * y) + 0.5 * noise
    };
    let waves: Vec<u8> = (0..5 * 30 * 40).flat_map(|i| (waves(i) as f32).to_le_bytes()).collect();
    for name in ["waves", "wavelet_rans"] {
        cases.push((name.into(), Params::new(Dtype::F32, &[5, 30, 40], Bound::Rel(1e-1)), waves.clone()));
    }
    // The spread of the noise depends on the column and on the row: mixed contexts.
    let weave = (0..100 * 120)
        .flat_map(|i| {
            let spread = 1 + 40 * u64::from(i % 120 % 9 == 0) + 300 * u64::from(i / 120 % 8 == 0);
            ((random() % spread) as i32).to_le_bytes()
        })
        .collect();
    cases.push(("weave".into(), Params::new(Dtype::I32, &[100, 120], Bound::Lossless), weave));
    // Noise with a memory: weights fitted to it.
    let mut level = 0;
    let memory = (0..90 * 70)
        .flat_map(|i| {
            level = (level * 7 + (random() % 200) as i32) / 8 + i % 70;
            level.to_le_bytes()
        })
        .collect();
    cases.push(("memory".into(), Params::new(Dtype::I32, &[90, 70], Bound::Lossless), memory));
    let lattice = (0..90 * 70)
        .flat_map(|i| (1000.0f32 + 0.75 * ((i % 70) / 7 + (random() % 9) as i32) as f32).to_le_bytes())
        .collect();
    cases.push(("lattice".into(), Params::new(Dtype::F32, &[90, 70], Bound::Abs(0.05)), lattice));
    // Noise whose spread changes smoothly, which leaves little to learn: static tables.
    let mut counted = |n: usize| -> Vec<i16> {
        (0..n)
            .map(|i| {
                let spread = 3 + (i / 100 % 80).abs_diff(40).pow(2) as u64 / 8;
                (0..4).map(|_| (random() % spread) as i16 - (random() % spread) as i16).sum()
            })
            .collect()
    };
    let planes = counted(4 * 80 * 100).iter().flat_map(|v| v.to_le_bytes()).collect();
    cases.push(("rans_planes".into(), Params::new(Dtype::I16, &[4, 80, 100], Bound::Lossless), planes));
    // Volumes with gaps, after a network that looks at the values around.
    let mut volumes = |i: usize| {
        let (y, x) = ((i / 24 % 18) as f32 - 9.0, (i % 24) as f32 - 12.0);
        let noise = (random() >> 40) as f32 / (1 << 24) as f32 - 0.5;
        if i.is_multiple_of(97) { f32::NAN } else { (x * x - y * y) * (1.0 + (i / 432) as f32) + y * noise }
    };
    let volumes = (0..2 * 3 * 18 * 24).flat_map(|i| volumes(i).to_le_bytes()).collect();
    let mut params = Params::new(Dtype::F32, &[2, 3, 18, 24], Bound::Abs(0.02));
    params.embed = true;
    cases.push(("autoregressive".into(), params, volumes));
    // Floats exactly, about powers of two, of one to four axes; with values that are no numbers, more kinds of NaN than have a
    // class, a fill value, some that are too small to predict from, few digits.
    for (dtype, shape) in [
        (Dtype::F32, &[400][..]),
        (Dtype::F64, &[18, 25]),
        (Dtype::F32, &[7, 9, 11]),
        (Dtype::F64, &[5, 6, 8, 3]),
        (Dtype::F32, &[2, 3, 1, 10, 12]),
    ] {
        let n: usize = shape.iter().product();
        let row = shape[shape.len() - 1];
        let mut value = |i: usize| {
            let (y, x) = ((i / row) as f64 - 20.0, (i % row) as f64 - 9.0);
            let v = x * (1.0 + 0.01 * y) + 0.25 * y + 1e-3 * (random() % 1000) as f64;
            let nan = f64::from_bits(f64::NAN.to_bits() | (i as u64) << 30);
            let tiny = f64::from_bits(((i % 60) as u64) << 52 | 1);
            match (shape.len(), i % 37) {
                (2, 5) | (3, 7) => [nan, f64::INFINITY, -0.0, -999.0, f64::NEG_INFINITY][i / 37 % 5],
                (4, 0..9) => tiny,
                (5, _) => (v * 16.0).floor(),
                _ => v,
            }
        };
        let values = (0..n).flat_map(|i| bytes_of(dtype, value(i))).collect();
        let mut params = Params::new(dtype, shape, Bound::Lossless);
        params.fill = Some(bytes_of(dtype, -999.0));
        cases.push((format!("floating_{}d", shape.len()), params, values));
    }
    // Nothing but for a place in each plane; some values taken out, and whole blocks of them.
    let mut spot = |i: usize| {
        let (z, y, x) = (i / 4000, i / 80 % 50, i % 80);
        let is_near = (x + 5 * z).abs_diff(30).pow(2) + y.abs_diff(20).pow(2) < 90;
        match i {
            _ if x * y % 23 == 1 || (y == 33 && x < 40) => -1i32,
            _ if is_near => (random() % 50) as i32,
            _ => i32::from(random().is_multiple_of(300)),
        }
    };
    let spots = (0..3 * 50 * 80).flat_map(|i| spot(i).to_le_bytes()).collect();
    let mut params = Params::new(Dtype::I32, &[3, 50, 80], Bound::Lossless);
    params.fill = Some((-1i32).to_le_bytes().to_vec());
    cases.push(("sparse".into(), params, spots));
    for (name, params, _) in &mut cases {
        if name.starts_with("floating") {
            params.candidates = Candidates::only("floating").expect("it is one of them");
        } else if name == "autoregressive" {
            params.candidates = Candidates::only("autoregressive").expect("it is one of them");
        }
        for only in ["conditional", "wavelet"] {
            if name.starts_with(&format!("{only}_")) {
                params.candidates = Candidates::only(only).expect("it is one of them");
            }
        }
        if name.starts_with("conditional") || name == "wavelet_rans" {
            continue;
        }
        if name == "rans_planes" || name == "sparse" {
            params.candidates = Candidates::only("quantised").expect("it is one of them");
            continue;
        }
        params.effort = Effort::Max;
    }
    cases
}

#[test]
fn todays_writer_keeps_the_bound_on_the_golden_cases() {
    let bundle = Arc::new(walsh::bundle("walsh-golden"));
    let id = bundle.id();
    let formulas = Arc::new(Bundle::of_formulas(FORMULAS, None).unwrap());
    let around = Arc::new(around::bundle("around-golden"));
    let bundles = MemorySource::new(vec![bundle, formulas.clone(), around.clone()]);
    let registry = Registry::with_sources([Arc::new(bundles) as Arc<dyn BundleSource>]);
    let folder = std::env::var_os("BALER_WRITE_GOLDEN").map(PathBuf::from);
    for (name, mut params, values) in cases() {
        if name.starts_with("autoencoder") {
            params.model = ModelChoice::Bundle(id);
        } else if name == "autoregressive" {
            params.model = ModelChoice::Bundle(around.id());
        } else if name == "related" || name == "conditional_formula" {
            params.model = ModelChoice::Bundle(formulas.id());
        }
        let chunk = encode(&params, &values, &registry).unwrap_or_else(|e| panic!("{name}: {e}"));
        let back = decode(&chunk, &registry, &Limits::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let found = check(&params, &values, &back.values).unwrap();
        assert!(found.is_kept(), "{name}: {found:?}");
        if let Some(folder) = &folder {
            // Relative to the workspace, as the person who runs this is.
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            let path = folder.join(format!("{name}.chunk"));
            if !path.exists() {
                std::fs::write(&path, &chunk).unwrap();
                std::fs::write(path.with_extension("values"), &back.values).unwrap();
            }
        }
    }
}
