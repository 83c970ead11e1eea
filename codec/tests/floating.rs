//! Floats predicted in their own arithmetic: any bits come back, whatever prediction makes of them.

#[path = "common/random.rs"]
mod random;

use baler_codec::{
    Bound, ByteOrder, Candidates, Dtype, Effort, ErrorKind, Limits, Params, Registry, decode, describe, encode,
};
use random::{Case, Rng, to_bits, to_bytes};

fn lossless(dtype: Dtype, shape: &[usize], candidate: &str) -> Params {
    let mut params = Params::new(dtype, shape, Bound::Lossless);
    params.candidates = Candidates::only(candidate).unwrap();
    params
}

/// Encodes and decodes; the chunk and the candidate that won.
fn round_trip(params: &Params, values: &[u8], what: &str) -> (Vec<u8>, &'static str) {
    let chunk = encode(params, values, &Registry::new()).unwrap_or_else(|e| panic!("{what}: {e}"));
    let back = decode(&chunk, &Registry::new(), &Limits::default()).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(back.values == values, "{what}");
    let candidate = describe(&chunk).unwrap().parts.first().map_or("none", |part| part.candidate);
    (chunk, candidate)
}

/// What is in an array.
const KINDS: [&str; 9] = [
    "waves",
    "any bits",
    "NaN with payloads",
    "infinities between",
    "zeros of both signs",
    "subnormal",
    "up to overflow",
    "few digits",
    "masked",
];

fn value(kind: &str, dtype: Dtype, i: usize, row: usize, rng: &mut Rng) -> u64 {
    let (y, x) = ((i / row) as f64, (i % row) as f64);
    let wave = (x * 0.31).sin() * (y * 0.17).cos() * 5.0 + 0.01 * rng.unit();
    let (infinity, max) = match dtype {
        Dtype::F32 => (u64::from(f32::INFINITY.to_bits()), f64::from(f32::MAX)),
        _ => (f64::INFINITY.to_bits(), f64::MAX),
    };
    let mask = u64::MAX >> (64 - 8 * dtype.size_bytes());
    match kind {
        "any bits" => rng.next() & mask,
        // More patterns than there are classes.
        "NaN with payloads" => infinity | (1 + rng.below(40)) | rng.below(2) << (8 * dtype.size_bytes() - 1),
        "infinities between" => to_bits(dtype, [wave, wave, f64::INFINITY, f64::NEG_INFINITY][i % 4]),
        "zeros of both signs" => to_bits(dtype, [0.0, -0.0, wave][rng.below(3) as usize]),
        "subnormal" => (wave * 100.0).abs() as u64 | rng.below(2) << (8 * dtype.size_bytes() - 1),
        "up to overflow" => to_bits(dtype, if (i + i / row).is_multiple_of(2) { max } else { -max * rng.unit() }),
        "few digits" => to_bits(dtype, (wave * 40.0).floor() * 0.25),
        "masked" if i % 11 == 3 || i / 40 == 2 => to_bits(dtype, [f64::NAN, -9.0, -0.0][i % 3]),
        _ => to_bits(dtype, wave),
    }
}

#[test]
fn any_bits_come_back_at_every_rank() {
    let shapes: [&[usize]; 12] = [
        &[],
        &[1],
        &[257],
        &[9, 77],
        &[33, 1],
        &[1, 33, 1, 35],
        &[3, 20, 21],
        &[20, 3, 5],
        &[2, 3, 17, 19],
        &[2, 3, 4, 5, 6],
        &[70, 2, 1, 2, 3],
        &[300, 2],
    ];
    let mut n_floating = 0;
    for dtype in [Dtype::F32, Dtype::F64] {
        for shape in shapes {
            for kind in KINDS {
                for order in [ByteOrder::Little, ByteOrder::Big] {
                    let (mut rng, row) = (Rng(7), shape.last().copied().unwrap_or(1));
                    let n: usize = shape.iter().product();
                    let bits: Vec<u64> = (0..n).map(|i| value(kind, dtype, i, row, &mut rng)).collect();
                    let values = to_bytes(dtype, order, &bits);
                    let mut params = lossless(dtype, shape, "floating");
                    params.byte_order = order;
                    params.effort = Effort::Max;
                    if kind == "masked" {
                        params.fill = Some(to_bytes(dtype, order, &[to_bits(dtype, -9.0)]));
                    }
                    let what = format!("{kind}, {dtype} {shape:?} {order:?}");
                    let (_, candidate) = round_trip(&params, &values, &what);
                    n_floating += usize::from(candidate == "floating");
                    let is_field =
                        shape.len() > 1 && row > 2 && n > 256 && ["waves", "few digits", "masked"].contains(&kind);
                    assert!(candidate == "floating" || !is_field || dtype == Dtype::F64, "{what}: {candidate}");
                }
            }
        }
    }
    assert!(n_floating > 150, "{n_floating}");
}

#[test]
fn random_arrays_come_back() {
    let mut n_floating = 0;
    for seed in 0..4000 {
        let Case { mut params, original, kind } = random::case(seed);
        params.bound = Bound::Lossless;
        params.effort = Effort::Max;
        params.candidates = Candidates::only("floating").unwrap();
        let (_, candidate) = round_trip(&params, &original, &format!("seed {seed}: kind {kind} {params:?}"));
        n_floating += usize::from(candidate == "floating");
    }
    assert!(n_floating > 50, "{n_floating}");
}

/// Noise about powers of two, where integers that stand for floats double their step.
#[test]
fn prediction_does_not_see_powers_of_two() {
    let mut rng = Rng(3);
    for dtype in [Dtype::F32, Dtype::F64] {
        let bits: Vec<u64> = (0..120 * 130usize)
            .map(|i| {
                let (y, x) = ((i / 130) as f64, (i % 130) as f64);
                to_bits(dtype, 0.02 * (x - 70.0) + 0.03 * (y - 50.0) + 1e-4 * rng.unit())
            })
            .collect();
        let values = to_bytes(dtype, ByteOrder::Little, &bits);
        let [floating, integers] = ["floating", "quantised"]
            .map(|name| round_trip(&lossless(dtype, &[120, 130], name), &values, name).0.len());
        assert!(floating * 50 < integers * 49, "{dtype}: {floating} {integers}");
        let all = Params::new(dtype, &[120, 130], Bound::Lossless);
        assert_eq!(round_trip(&all, &values, "all").1, "floating", "{dtype}");
    }
}

#[test]
fn only_exact_floats_are_predicted_so() {
    let bits: Vec<u64> = (0..40 * 50usize).map(|i| ((i / 50) as f64 * 0.1 + (i % 50) as f64 * 0.2).to_bits()).collect();
    for (dtype, bound) in [(Dtype::F64, Bound::Rel(1e-3)), (Dtype::F16, Bound::Lossless), (Dtype::I64, Bound::Lossless)]
    {
        let values = &to_bytes(Dtype::F64, ByteOrder::Little, &bits)[..2000 * dtype.size_bytes()];
        let mut params = Params::new(dtype, &[40, 50], bound);
        params.candidates = Candidates::only("floating").unwrap();
        params.effort = Effort::Max;
        let chunk = encode(&params, values, &Registry::new()).unwrap();
        assert_eq!(describe(&chunk).unwrap().parts[0].candidate, "raw", "{dtype} {bound}");
    }
    // What says so all the same is refused.
    let values = to_bytes(Dtype::F64, ByteOrder::Little, &bits);
    let (chunk, candidate) = round_trip(&lossless(Dtype::F64, &[40, 50], "floating"), &values, "ramp");
    assert_eq!(candidate, "floating");
    let mut as_integers = chunk;
    // After magic number, version and flags.
    as_integers[6] = Dtype::I64 as u8;
    let end = as_integers.len() - 8;
    let sum = xxhash_rust::xxh3::xxh3_64(&as_integers[..end]);
    as_integers[end..].copy_from_slice(&sum.to_le_bytes());
    let error = decode(&as_integers, &Registry::new(), &Limits::default()).unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.message().contains("expected float32"), "{error}");
}
