//! The bound holds for every dtype, rank, bound, byte order and kind of value; special values come back bit for bit.

#[path = "common/random.rs"]
mod random;

use baler_codec::{Bound, ByteOrder, Dtype, Effort, Limits, Params, Registry, check, decode, describe, encode};
use proptest::prelude::*;
use random::{Case, Rng, to_bits, to_bytes};
use std::sync::atomic::{AtomicU64, Ordering};

const FLOATS: [Dtype; 3] = [Dtype::F16, Dtype::F32, Dtype::F64];

fn one_case(seed: u64) {
    let Case { params, original, kind } = random::case(seed);
    let registry = Registry::new();
    let what = format!("seed {seed}: kind {kind} {params:?}");
    let chunk = encode(&params, &original, &registry).unwrap_or_else(|e| panic!("{what}: {e}"));
    let (shape, rank) = (&params.shape, params.shape.len());
    let columns = if params.per_column { shape.last().copied().unwrap_or(1) } else { 1 };
    assert!(chunk.len() <= original.len() + 64 + 2 * rank + 6 * columns, "{what}: {} bytes", chunk.len());
    let back = decode(&chunk, &registry, &Limits::default()).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!((back.dtype, back.byte_order, &back.shape), (params.dtype, params.byte_order, shape), "{what}");
    let found = check(&params, &original, &back.values).unwrap();
    assert!(found.is_kept(), "{what}: {found:?}");
    let description = describe(&chunk).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(description.header.bound, params.bound);
    if params.bound == Bound::Lossless {
        assert_eq!(back.values, original, "{what}");
    }
    // Encoding is a function: the same input gives the same chunk, and the decoded values encode within the bound again.
    assert_eq!(chunk, encode(&params, &original, &registry).unwrap(), "{what}");
}

fn number_from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// `BALER_TEST_CASES=10000000` for a night, or parts of it with `BALER_TEST_FIRST_CASE`, the seed of the first one, and
/// `BALER_TEST_THREADS`. How far it has come is printed every 100,000 cases.
#[test]
fn every_bound_holds_for_any_input() {
    let n_cases = number_from_environment("BALER_TEST_CASES", 100_000);
    let first = number_from_environment("BALER_TEST_FIRST_CASE", 0);
    let n_processors = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let n_threads = number_from_environment("BALER_TEST_THREADS", n_processors) as usize;
    let n_done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for k in 0..n_threads {
            let n_done = &n_done;
            scope.spawn(move || {
                for seed in (first..first + n_cases).skip(k).step_by(n_threads) {
                    one_case(seed);
                    let n = 1 + n_done.fetch_add(1, Ordering::Relaxed);
                    if n.is_multiple_of(100_000) {
                        println!("{n} of {n_cases} cases from seed {first} on");
                    }
                }
            });
        }
    });
}

#[test]
fn special_values_come_back_bit_for_bit_under_every_bound() {
    let payload = 0x7ff8_dead_beef_0001u64;
    for bound in [Bound::Lossless, Bound::Abs(0.1), Bound::Rel(0.01), Bound::PwRel(0.01), Bound::Psnr(60.0)] {
        let mut bits: Vec<u64> = (0..4096).map(|i| (f64::from(i) * 0.01).sin().to_bits()).collect();
        let special =
            [payload, f64::INFINITY.to_bits(), f64::NEG_INFINITY.to_bits(), (-0.0f64).to_bits(), (1e35f64).to_bits()];
        for i in (7..4096).step_by(13) {
            bits[i] = special[i % 5];
        }
        // More NaN payloads than there are classes.
        for (k, i) in (3..4096).step_by(101).enumerate() {
            bits[i] = 0xfff8_0000_0000_0100 + k as u64;
        }
        let mut params = Params::new(Dtype::F64, &[64, 64], bound);
        params.fill = Some(1e35f64.to_le_bytes().to_vec());
        let original = to_bytes(Dtype::F64, ByteOrder::Little, &bits);
        let chunk = encode(&params, &original, &Registry::new()).unwrap();
        let back = decode(&chunk, &Registry::new(), &Limits::default()).unwrap();
        let mut n_special = 0;
        for (i, (a, b)) in original.chunks(8).zip(back.values.chunks(8)).enumerate() {
            let v = f64::from_bits(bits[i]);
            if !v.is_finite() || bits[i] == special[3] || bits[i] == special[4] {
                n_special += 1;
                assert_eq!(a, b, "{bound} at {i}");
            }
        }
        assert!(n_special > 300);
        assert!(check(&params, &original, &back.values).unwrap().is_kept(), "{bound}");
    }
}

/// Padding is no part of ranges and comes back as it was; zeros elsewhere are values like others.
#[test]
fn padding_is_no_value() {
    let (shape, padding) = ([50, 70], vec![7, 13]);
    let is_padded = |i: usize| i / 70 >= 43 || i % 70 >= 57;
    let value = |i: usize| if i % 9 == 4 { 0.0 } else { 1000.0 + (i as f32 * 0.01).sin() };
    for is_elsewhere in [false, true] {
        let values: Vec<f32> = (0..50 * 70)
            .map(|i| {
                if is_padded(i) {
                    0.0
                } else if is_elsewhere {
                    value(i)
                } else {
                    value(i).max(1000.0)
                }
            })
            .collect();
        let original: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        for effort in [Effort::Fast, Effort::Default, Effort::Max] {
            for per_column in [false, true] {
                let mut params = Params::new(Dtype::F32, &shape, Bound::Rel(1e-2));
                (params.effort, params.per_column, params.padding) = (effort, per_column, padding.clone());
                let chunk = encode(&params, &original, &Registry::new()).unwrap();
                let back = decode(&chunk, &Registry::new(), &Limits::default()).unwrap().values;
                let back: Vec<f32> = back.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
                assert!((0..back.len()).all(|i| !is_padded(i) || back[i].to_bits() == 0), "{effort:?} {per_column}");
                // The range is 1 without zeros and 1001 with them.
                let errors = (0..back.len()).map(|i| (back[i] - values[i]).abs());
                let most = errors.fold(0.0, f32::max);
                let expected = if is_elsewhere { 0.5..=10.01 } else { 1e-3..=1e-2 };
                assert!(expected.contains(&most), "{effort:?} {per_column} {is_elsewhere}: {most}");
            }
        }
    }
    let refuse = |padding: Vec<usize>| {
        let mut params = Params::new(Dtype::F32, &[2, 3], Bound::Rel(1e-2));
        params.padding = padding;
        encode(&params, &[0; 24], &Registry::new()).unwrap_err().to_string()
    };
    assert!(refuse(vec![1]).contains("padding [1]"));
    assert!(refuse(vec![0, 4]).contains("padding [0, 4]"));
}

/// Loose bounds on waves with a little noise, in every form that wavelets take: ranks, odd and short extents, masks.
#[test]
fn wavelets_keep_the_bound() {
    let mut n_wavelets = 0;
    for dtype in FLOATS {
        for shape in [
            vec![64],
            vec![301],
            vec![9, 77],
            vec![3, 40, 41],
            vec![40, 3, 5],
            vec![2, 3, 17, 19],
            vec![2, 2, 2, 12, 13],
            vec![1, 33, 1, 35],
        ] {
            for masked in [false, true] {
                let n: usize = shape.iter().product();
                let row = *shape.last().unwrap();
                let mut rng = Rng(7);
                let bits: Vec<u64> = (0..n)
                    .map(|i| {
                        let (y, x) = ((i / row) as f64, (i % row) as f64);
                        let v = (x * 0.31).sin() * (y * 0.17).cos() * 5.0 + 0.1 * rng.unit();
                        let v = if masked && (i % 11 == 3 || i / 40 == 2) { [f64::NAN, -9.0, -0.0][i % 3] } else { v };
                        to_bits(dtype, v)
                    })
                    .collect();
                let original = to_bytes(dtype, ByteOrder::Little, &bits);
                for rel in [1e-1, 1e-2] {
                    let mut params = Params::new(dtype, &shape, Bound::Rel(rel));
                    params.effort = Effort::Max;
                    if masked {
                        params.fill = Some(to_bytes(dtype, ByteOrder::Little, &[to_bits(dtype, -9.0)]));
                    }
                    let chunk = encode(&params, &original, &Registry::new()).unwrap();
                    let back = decode(&chunk, &Registry::new(), &Limits::default()).unwrap();
                    let found = check(&params, &original, &back.values).unwrap();
                    assert!(found.is_kept(), "{dtype} {shape:?} {masked} {rel}: {found:?}");
                    n_wavelets += usize::from(describe(&chunk).unwrap().parts[0].candidate == "wavelet");
                }
            }
        }
    }
    assert!(n_wavelets >= 8, "{n_wavelets}");
}

#[test]
fn a_field_is_predicted_and_a_table_is_columns() {
    let field: Vec<u64> = (0..100 * 120)
        .map(|i| u64::from(((i / 120) as f32 * 0.03).sin().mul_add(5.0, (i % 120) as f32 * 0.02).to_bits()))
        .collect();
    let chunk = encode(
        &Params::new(Dtype::F32, &[100, 120], Bound::Rel(1e-4)),
        &to_bytes(Dtype::F32, ByteOrder::Little, &field),
        &Registry::new(),
    )
    .unwrap();
    let candidate = describe(&chunk).unwrap().parts[0].candidate;
    assert!(["lorenzo", "interpolated", "wavelet", "fitted"].contains(&candidate), "{candidate}");
    assert!(chunk.len() * 8 < field.len() * 4, "{}", chunk.len());

    let mut rng = Rng(5);
    let table: Vec<u64> = (0..3000 * 4)
        .map(|i| u64::from(([1e-3f32, 1.0, 1e4, 7.0][i % 4] * (1.0 + rng.unit() as f32)).to_bits()))
        .collect();
    let mut params = Params::new(Dtype::F32, &[3000, 4], Bound::Rel(1e-3));
    params.per_column = true;
    let original = to_bytes(Dtype::F32, ByteOrder::Little, &table);
    let chunk = encode(&params, &original, &Registry::new()).unwrap();
    let description = describe(&chunk).unwrap();
    assert_eq!(description.parts.len(), 4);
    let back = decode(&chunk, &Registry::new(), &Limits::default()).unwrap();
    let found = check(&params, &original, &back.values).unwrap();
    assert!(found.is_kept() && found.max_error_over_bound > 0.5, "{found:?}");
    // The smallest column is bounded by its own range, which the whole table's would wipe out.
    let worst = original.chunks(16).zip(back.values.chunks(16)).map(|(a, b)| {
        let at = |c: &[u8]| f32::from_le_bytes([c[0], c[1], c[2], c[3]]);
        (at(a) - at(b)).abs()
    });
    assert!(worst.fold(0.0, f32::max) <= 1.0e-6);
}

#[test]
fn wrong_arguments_are_named() {
    let registry = Registry::new();
    for (bound, word) in [
        (Bound::Abs(0.0), "abs"),
        (Bound::Abs(-1.0), "abs"),
        (Bound::Abs(f64::NAN), "abs"),
        (Bound::Abs(f64::INFINITY), "abs"),
        (Bound::Rel(1.5), "rel"),
        (Bound::PwRel(0.0), "pw_rel"),
        (Bound::Psnr(-3.0), "psnr"),
        (Bound::Psnr(1e6), "psnr"),
    ] {
        let error = encode(&Params::new(Dtype::F32, &[1], bound), &[0; 4], &registry).unwrap_err();
        assert!(error.message().contains(word), "{error}");
    }
    let error = encode(&Params::new(Dtype::F32, &[3], Bound::Lossless), &[0; 4], &registry).unwrap_err();
    assert!(error.message().contains("12"), "{error}");
    let error = encode(&Params::new(Dtype::F32, &[usize::MAX, 2], Bound::Lossless), &[], &registry).unwrap_err();
    assert!(error.message().contains("overflow"), "{error}");
    let error = encode(&Params::new(Dtype::F32, &[1], Bound::Latent), &[0; 4], &registry).unwrap_err();
    assert!(error.message().contains("model"), "{error}");
}

#[test]
fn the_limit_of_the_caller_counts() {
    let chunk =
        encode(&Params::new(Dtype::U8, &[1 << 20], Bound::Lossless), &vec![3; 1 << 20], &Registry::new()).unwrap();
    assert!(chunk.len() < 64);
    let error = decode(&chunk, &Registry::new(), &Limits { max_output_bytes: (1 << 20) - 1 }).unwrap_err();
    assert_eq!(error.kind(), baler_codec::ErrorKind::LimitExceeded);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_bits_any_abs_bound(bits in prop::collection::vec(any::<u64>(), 0..200), abs in any::<f64>(), which in 0usize..3) {
        prop_assume!(abs.is_finite() && abs > 0.0);
        let dtype = FLOATS[which];
        let original = to_bytes(dtype, ByteOrder::Little, &bits);
        let params = Params::new(dtype, &[bits.len()], Bound::Abs(abs));
        let chunk = encode(&params, &original, &Registry::new()).unwrap();
        let back = decode(&chunk, &Registry::new(), &Limits::default()).unwrap();
        prop_assert!(check(&params, &original, &back.values).unwrap().is_kept());
    }
}
