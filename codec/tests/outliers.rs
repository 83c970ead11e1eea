//! Outliers: tiles that a bundle's density finds improbable are scored, listed and kept exactly.

use baler_codec::bundle::{Bundle, MemorySource};
use baler_codec::{
    Bound, ByteOrder, Dtype, ErrorKind, Limits, ModelChoice, Params, Registry, check, decode, describe, encode,
    score_tiles,
};
use std::sync::Arc;

#[path = "common/onnx.rs"]
mod onnx;

const MANIFEST: &str = r#"
format = 2
name = "pairs"
family = "autoencoder"
description = "Rows of (a, b, a, b)."
license = "CC0-1.0"
[input]
tile = [4]
normalisation = { kind = "fixed", offset = 0.0, scale = 1.0 }
[latents]
count = 2
step = [0.01, 0.01]
[density]
threshold = 4.0
quantile = 0.999
error = { mean = -7.0, deviation = 1.0 }
mean = [0.0, 0.0]
deviation = [0.6, 0.6]
"#;

const ROWS: usize = 200;
/// Far from the others along a latent; with a gap, so that the network sees a stand-in; not of the form (a, b, a, b). The
/// highest score first.
const OUTLIERS: [usize; 3] = [17, 120, 90];

fn bundle(manifest: &str) -> Arc<Bundle> {
    let linear = |n_inputs: usize, n_outputs: usize, weights: &[f32]| {
        let mut graph = onnx::Graph::new(&[n_inputs]);
        let w = graph.floats(&[n_inputs, n_outputs], weights);
        graph.node("MatMul", &[&w], &[]).finish()
    };
    let encoder = linear(4, 2, &[0.5, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.5]);
    let decoder = linear(2, 4, &[1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0]);
    Arc::new(Bundle::new(manifest, Some(encoder), decoder, None).unwrap())
}

fn values() -> Vec<f32> {
    let random = onnx::random(9, ROWS * 6);
    let mut values: Vec<f32> = random
        .chunks(6)
        .flat_map(|r| [r[0] + 1e-3 * r[2], r[1] + 1e-3 * r[3], r[0] + 1e-3 * r[4], r[1] + 1e-3 * r[5]])
        .collect();
    values[4 * OUTLIERS[0]..][..4].copy_from_slice(&[50.0, 0.1, 50.0, 0.1]);
    values[4 * OUTLIERS[2]..][..4].copy_from_slice(&[0.5, 0.2, -0.5, 0.3]);
    values[4 * OUTLIERS[1] + 2] = f32::NAN;
    values
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn setup(bound: Bound, keep: Option<bool>) -> (Params, Registry) {
    let bundle = bundle(MANIFEST);
    let mut params = Params::new(Dtype::F32, &[ROWS, 4], bound);
    params.model = ModelChoice::Bundle(bundle.id());
    params.keep_outliers = keep;
    (params, Registry::with_sources([Arc::new(MemorySource::new(vec![bundle])) as _]))
}

fn round_trip(params: &Params, registry: &Registry) -> Vec<f32> {
    let chunk = encode(params, &bytes(&values()), registry).unwrap();
    assert_eq!(describe(&chunk).unwrap().parts[0].candidate, "autoencoder");
    let back = decode(&chunk, registry, &Limits::default()).unwrap().values;
    back.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn is_exact(back: &[f32], row: usize) -> bool {
    let same = |i: usize| back[i].to_bits() == values()[i].to_bits();
    (4 * row..4 * row + 4).all(same)
}

#[test]
fn outliers_are_found_in_any_byte_order() {
    let (mut params, _) = setup(Bound::Latent, None);
    let bundle = bundle(MANIFEST);
    let scores = score_tiles(&bundle, &params, &bytes(&values()), &Registry::new()).unwrap();
    assert_eq!((scores.outliers(), &scores.lattice[..]), (OUTLIERS.to_vec(), &[ROWS, 1][..]));
    assert_eq!((scores.corner(17), scores.threshold), (vec![17, 0], 4.0));
    params.byte_order = ByteOrder::Big;
    let big: Vec<u8> = values().iter().flat_map(|v| v.to_be_bytes()).collect();
    assert_eq!(score_tiles(&bundle, &params, &big, &Registry::new()).unwrap(), scores);
}

#[test]
fn latents_alone_keep_outliers_exactly_unless_told_not_to() {
    let (params, registry) = setup(Bound::Latent, None);
    let back = round_trip(&params, &registry);
    assert!(OUTLIERS.iter().all(|&row| is_exact(&back, row)));
    assert_eq!((0..ROWS).filter(|&row| is_exact(&back, row)).count(), OUTLIERS.len());
    let original = values();
    assert!(back.iter().zip(&original).all(|(a, b)| (a - b).abs() < 0.01 || b.is_nan()));
    // An outlier scores in the decoded data as it did in the original.
    let (bundle, decoded) = (bundle(MANIFEST), bytes(&back));
    let before = score_tiles(&bundle, &params, &bytes(&original), &Registry::new()).unwrap();
    let after = score_tiles(&bundle, &params, &decoded, &Registry::new()).unwrap();
    assert_eq!(after.outliers(), OUTLIERS);
    assert!(OUTLIERS.iter().all(|&row| after.scores[row] == before.scores[row]));

    let (params, registry) = setup(Bound::Latent, Some(false));
    let back = round_trip(&params, &registry);
    assert!((back[4 * OUTLIERS[2]] - 0.5).abs() > 0.4);
}

#[test]
fn under_a_bound_they_are_kept_where_asked_for() {
    for (bound, keep) in [(Bound::Abs(0.05), None), (Bound::Abs(0.05), Some(true)), (Bound::Psnr(40.0), Some(true))] {
        let (params, registry) = setup(bound, keep);
        let back = round_trip(&params, &registry);
        assert_eq!(OUTLIERS.iter().all(|&row| is_exact(&back, row)), keep == Some(true), "{bound} {keep:?}");
        assert!(check(&params, &bytes(&values()), &bytes(&back)).unwrap().is_kept());
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let refuse = |params: &Params, registry: &Registry, says: &str| {
        let error = encode(params, &bytes(&values()), registry).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains(says), "{error}");
    };
    let (mut params, registry) = setup(Bound::PwRel(0.1), Some(true));
    refuse(&params, &registry, "keep_outliers goes with");
    params.bound = Bound::Abs(0.1);
    params.model = ModelChoice::Auto;
    refuse(&params, &registry, "name the model");
    let plain = bundle(&MANIFEST[..MANIFEST.find("[density]").unwrap()]);
    params.model = ModelChoice::Bundle(plain.id());
    let registry = Registry::with_sources([Arc::new(MemorySource::new(vec![plain.clone()])) as _]);
    refuse(&params, &registry, "no density");
    assert!(
        score_tiles(&plain, &params, &bytes(&values()), &Registry::new()).unwrap_err().message().contains("no density")
    );
    params.shape = vec![ROWS * 4];
    let wrong = score_tiles(
        &bundle(MANIFEST),
        &Params::new(Dtype::F64, &[ROWS, 2], Bound::Latent),
        &bytes(&values()),
        &Registry::new(),
    );
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::InvalidArgument);
}
