//! The same bytes whatever vectors the machine has.

#[path = "common/own_process.rs"]
mod own_process;
#[allow(dead_code)]
#[path = "common/random.rs"]
mod random;

use baler_codec::inference::SimdPath;
use baler_codec::{Bound, Dtype, Effort, Limits, Params, Registry, decode, encode};
use random::Rng;
use std::path::{Path, PathBuf};

#[test]
fn chunks_do_not_depend_on_vectors() {
    const TEST: &str = "chunks_do_not_depend_on_vectors";
    if own_process::is_child(TEST) {
        return std::fs::write(file_of(SimdPath::best()), chunks()).unwrap();
    }
    let of_path = |path: SimdPath| {
        own_process::start(TEST, "BALER_SIMD", path.name().as_ref());
        let bytes = std::fs::read(file_of(path)).unwrap();
        std::fs::remove_file(file_of(path)).unwrap();
        bytes
    };
    let paths = SimdPath::available();
    let expected = of_path(paths[0]);
    assert!(expected.len() > 1 << 20);
    for &path in &paths[1..] {
        assert!(of_path(path) == expected, "{path} beside {}", paths[0]);
    }
}

/// What the process of a path leaves.
fn file_of(path: SimdPath) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("simd-{path}"))
}

/// Chunks of every kind and what they decode to, one after the other.
fn chunks() -> Vec<u8> {
    let mut rng = Rng(1);
    let mut noise = move || rng.unit() - 0.5;
    let (nz, ny, nx) = (9, 41, 67);
    let field: Vec<f64> = (0..nz * ny * nx)
        .map(|i| {
            let (z, y, x) = ((i / ny / nx) as f64, (i / nx % ny) as f64, (i % nx) as f64);
            (0.11 * x + 0.3 * z).sin() * (0.07 * y).cos() + 0.004 * noise()
        })
        .collect();
    let mut holes = field.clone();
    holes.iter_mut().skip(3).step_by(29).for_each(|v| *v = f64::NAN);
    let table: Vec<f64> = (0..6000)
        .flat_map(|_| {
            let (a, b) = (20.0 * noise(), noise());
            [a, b, a * (2.0 * b).cos(), (a * 4.0).round(), noise() * noise()]
        })
        .collect();
    let bytes = |dtype: Dtype, values: &[f64]| -> Vec<u8> {
        let word = |&v: &f64| match dtype {
            Dtype::F32 => (v as f32).to_le_bytes().to_vec(),
            Dtype::F64 => v.to_le_bytes().to_vec(),
            Dtype::U8 => vec![(127.0 + 60.0 * v) as u8],
            _ => ((1e6 * v) as i32).to_le_bytes().to_vec(),
        };
        values.iter().flat_map(word).collect()
    };
    let shape = [nz, ny, nx];
    let arrays = [
        (Dtype::F32, &shape[..], &field),
        (Dtype::F64, &shape, &field),
        (Dtype::F32, &shape, &holes),
        (Dtype::U8, &shape, &field),
        (Dtype::I32, &shape, &field),
        (Dtype::F32, &[6000, 5], &table),
    ];
    let mut all = Vec::new();
    for (dtype, shape, values) in arrays {
        let values = bytes(dtype, values);
        for bound in [Bound::Rel(1e-2), Bound::Rel(1e-3), Bound::Rel(1e-5), Bound::Lossless] {
            for effort in [Effort::Fast, Effort::Default] {
                let mut params = Params::new(dtype, shape, bound);
                (params.effort, params.per_column) = (effort, shape.len() == 2);
                let chunk = encode(&params, &values, &Registry::new()).unwrap();
                all.extend(decode(&chunk, &Registry::new(), &Limits::default()).unwrap().values);
                all.extend(chunk);
            }
        }
    }
    all
}
