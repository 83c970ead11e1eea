//! Bundles whose columns have a normalisation each: the bound holds, gaps come back, chunks that do not fit are refused.

use baler_codec::bundle::{Bundle, MemorySource};
use baler_codec::{Bound, Dtype, ErrorKind, Limits, ModelChoice, Params, Registry, check, decode, describe, encode};
use std::sync::Arc;

#[path = "common/onnx.rs"]
mod onnx;

const MANIFEST: &str = r#"
format = 2
name = "table-test"
family = "autoencoder"
description = "A test."
license = "CC0-1.0"
[input]
tile = [5]
[input.normalisation]
kind = "columns"
columns = [
    { kind = "linear", offset = 100.0, scale = 20.0 },
    { kind = "asinh", centre = 0.0, width = 0.5, offset = 0.0, scale = 3.0 },
    { kind = "log", origin = 0.0, offset = 0.25, scale = 1.5 },
    { kind = "angle", period = 360.0, begin = 0.0, low = 90.0, offset = 270.0, scale = 100.0 },
    { kind = "constant", value = 7.0 },
]
[latents]
count = 3
step = [0.01, 0.01, 0.01]
"#;

const ROWS: usize = 300;

fn setup() -> (Params, Vec<u8>, Registry) {
    let bundle =
        Bundle::new(MANIFEST, Some(onnx::perceptron(&[5, 8, 3], "Tanh")), onnx::perceptron(&[3, 8, 5], "Tanh"), None);
    let bundle = Arc::new(bundle.unwrap());
    let mut values = onnx::random(5, ROWS * 5);
    for row in values.chunks_mut(5) {
        // Uniform in [-1, 1] to begin with.
        row[0] = 100.0 + 20.0 * row[0];
        let square = row[2] * row[2];
        row[1] = 1500.0 * row[1] * row[1] * row[1];
        row[2] = 0.01 + 150.0 * square * square * square;
        row[3] = 180.0 + 180.0 * row[3];
        row[4] = 7.0;
    }
    values[6] = f32::NAN;
    values[12] = f32::INFINITY;
    values[20] = -0.0;
    let mut params = Params::new(Dtype::F32, &[ROWS, 5], Bound::Latent);
    params.model = ModelChoice::Bundle(bundle.id());
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    (params, bytes, Registry::with_sources([Arc::new(MemorySource::new(vec![bundle])) as _]))
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

#[test]
fn latents_alone_keep_gaps_constants_and_branches() {
    let (params, bytes, registry) = setup();
    let chunk = encode(&params, &bytes, &registry).unwrap();
    assert_eq!(describe(&chunk).unwrap().parts[0].candidate, "autoencoder");
    let back = floats(&decode(&chunk, &registry, &Limits::default()).unwrap().values);
    assert!(back[6].is_nan() && back[12] == f32::INFINITY && back[20].to_bits() == (-0.0f32).to_bits());
    for row in back.chunks(5) {
        assert_eq!(row[4], 7.0);
        assert!((0.0..=360.0).contains(&row[3]), "{row:?}");
        assert!(row[2] > 0.0, "{row:?}");
    }
    // Fixed for ever: what this bundle makes of these latents.
    let finite = back.iter().filter(|v| v.is_finite()).map(|v| u64::from(v.to_bits()));
    let hash = finite.fold(0xcbf2_9ce4_8422_2325u64, |h, bits| (h ^ bits).wrapping_mul(0x0100_0000_01b3));
    assert_eq!(hash, 0x2aad_9658_82ea_3016, "{hash:#x}");
}

#[test]
fn the_bound_holds() {
    let (mut params, bytes, registry) = setup();
    for bound in [Bound::Abs(1e-2), Bound::Rel(1e-4), Bound::Psnr(60.0)] {
        params.bound = bound;
        let chunk = encode(&params, &bytes, &registry).unwrap();
        let back = decode(&chunk, &registry, &Limits::default()).unwrap().values;
        let found = check(&params, &bytes, &back).unwrap();
        assert!(found.is_kept(), "{bound}: {found:?}");
    }
}

#[test]
fn another_number_of_columns_is_refused() {
    let (mut params, bytes, registry) = setup();
    params.shape = vec![ROWS / 2, 10];
    let error = encode(&params, &bytes, &registry).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("5 columns"), "{error}");
}
