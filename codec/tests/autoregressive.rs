//! Autoregressive models: whatever the network says, the bound holds and what was written is read.

use baler_codec::autoregressive::{N_INPUTS, Samples};
use baler_codec::bundle::{Bundle, MemorySource};
use baler_codec::{
    Bound, ByteOrder, Dtype, ErrorKind, Limits, ModelChoice, Params, Registry, check, decode, describe, encode,
};
use std::sync::Arc;

#[path = "common/onnx.rs"]
mod onnx;

const MANIFEST: &str =
    "format = 4\nname = \"around\"\nfamily = \"autoregressive\"\ndescription = \"\"\nlicense = \"CC0-1.0\"\n";

fn bundle(decoder: Vec<u8>) -> Arc<Bundle> {
    Arc::new(Bundle::new(MANIFEST, None, decoder, None).unwrap())
}

fn registry(bundle: &Arc<Bundle>) -> Registry {
    Registry::with_sources([Arc::new(MemorySource::new(vec![bundle.clone()])) as _])
}

/// A layer of these weights, `[output][input]`.
fn linear(weights: &[f32]) -> Vec<u8> {
    let mut graph = onnx::Graph::new(&[N_INPUTS]);
    let w = graph.floats(&[2, N_INPUTS], weights);
    graph.node("Gemm", &[&w], &[onnx::Attr::Int("transB", 1)]).finish()
}

fn waves(shape: &[usize]) -> Vec<f32> {
    let noise = onnx::random(5, shape.iter().product());
    let width = *shape.last().unwrap();
    noise
        .iter()
        .enumerate()
        .map(|(i, e)| {
            let (y, x) = ((i / width) as f32 * 0.11, (i % width) as f32 * 0.07);
            (x + 0.3 * y).sin() * (0.5 * y).cos() * 40.0 + 0.3 * e
        })
        .collect()
}

fn bytes_of(dtype: Dtype, values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|&v| match dtype {
            Dtype::F64 => f64::from(v).to_le_bytes().to_vec(),
            Dtype::F32 => v.to_le_bytes().to_vec(),
            Dtype::I16 => (v as i16 * 20).to_le_bytes().to_vec(),
            _ => (v * 1000.0 + 50_000.0).max(0.0).to_le_bytes().map(|b| b & 0x7f).to_vec(),
        })
        .collect()
}

/// Encodes with the model if that is allowed to lose, and decodes.
fn round_trip(params: &Params, values: &[u8], registry: &Registry) -> &'static str {
    let chunk = encode(params, values, registry).unwrap();
    let back = decode(&chunk, registry, &Limits::default()).unwrap();
    let found = check(params, values, &back.values).unwrap();
    assert!(found.is_kept(), "{params:?}: {found:?}");
    describe(&chunk).unwrap().parts[0].candidate
}

#[test]
fn keeps_every_bound_with_any_network() {
    let mut extreme = vec![0.0; 2 * N_INPUTS];
    extreme[3] = f32::NAN;
    extreme[5] = f32::INFINITY;
    extreme[N_INPUTS] = -1e30;
    extreme[N_INPUTS + 1] = 7.9;
    let networks = [
        linear(&vec![0.0; 2 * N_INPUTS]),
        linear(&extreme),
        onnx::perceptron(&[N_INPUTS, 32, 32, 2], "Relu"),
        onnx::perceptron(&[N_INPUTS, 50, 2], "Relu"),
    ];
    let mut won = 0;
    for network in networks {
        let bundle = bundle(network);
        let registry = registry(&bundle);
        for shape in [vec![40, 50], vec![3, 30, 25], vec![2, 3, 20, 30], vec![5, 1, 2, 60], vec![700, 3]] {
            let values = waves(&shape);
            for dtype in [Dtype::F32, Dtype::F64, Dtype::I16, Dtype::U32] {
                let mut bytes = bytes_of(dtype, &values);
                if dtype == Dtype::F32 {
                    for (i, special) in [(7, f32::NAN), (60, f32::INFINITY), (61, -0.0), (200, 1e30)] {
                        bytes[4 * i..4 * i + 4].copy_from_slice(&special.to_le_bytes());
                    }
                }
                for bound in [Bound::Abs(0.5), Bound::Rel(1e-4), Bound::PwRel(1e-2), Bound::Lossless, Bound::Psnr(50.0)]
                {
                    let mut params = Params::new(dtype, &shape, bound);
                    params.model = ModelChoice::Bundle(bundle.id());
                    params.candidates = baler_codec::Candidates::only("autoregressive").unwrap();
                    won += usize::from(round_trip(&params, &bytes, &registry) == "autoregressive");
                }
            }
        }
    }
    assert!(won > 150, "{won}");
}

#[test]
fn big_endian_and_embedded() {
    let bundle = bundle(onnx::perceptron(&[N_INPUTS, 16, 2], "Relu"));
    let values: Vec<u8> = waves(&[50, 60]).iter().flat_map(|v| v.to_be_bytes()).collect();
    let mut params = Params::new(Dtype::F32, &[50, 60], Bound::Abs(1e-2));
    params.byte_order = ByteOrder::Big;
    params.model = ModelChoice::Bundle(bundle.id());
    params.candidates = baler_codec::Candidates::only("autoregressive").unwrap();
    params.embed = true;
    let chunk = encode(&params, &values, &registry(&bundle)).unwrap();
    assert_eq!(describe(&chunk).unwrap().parts[0].candidate, "autoregressive");
    // A reader without any model.
    let back = decode(&chunk, &Registry::new(), &Limits::default()).unwrap();
    assert!(check(&params, &values, &back.values).unwrap().is_kept());
    params.embed = false;
    let chunk = encode(&params, &values, &registry(&bundle)).unwrap();
    let missing = decode(&chunk, &Registry::new(), &Limits::default()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::ModelMissing);
}

#[test]
fn damage_is_found_or_gives_other_values_but_never_a_crash() {
    let bundle = bundle(onnx::perceptron(&[N_INPUTS, 8, 2], "Relu"));
    let registry = registry(&bundle);
    let values = bytes_of(Dtype::F32, &waves(&[30, 40]));
    let mut params = Params::new(Dtype::F32, &[30, 40], Bound::Abs(0.1));
    params.model = ModelChoice::Bundle(bundle.id());
    params.candidates = baler_codec::Candidates::only("autoregressive").unwrap();
    let chunk = encode(&params, &values, &registry).unwrap();
    let body = chunk.len() - 8;
    for i in 0..body {
        for flip in [1u8, 128, 255] {
            let mut bad = chunk.clone();
            bad[i] ^= flip;
            assert!(decode(&bad, &registry, &Limits::default()).is_err(), "{i}");
            // With a checksum that fits: any values, or an error.
            let sum = xxhash_rust::xxh3::xxh3_64(&bad[..body]).to_le_bytes();
            bad[body..].copy_from_slice(&sum);
            let _ = decode(&bad, &registry, &Limits { max_output_bytes: 1 << 20 });
        }
    }
}

#[test]
fn says_what_does_not_fit() {
    let refused = |decoder: Vec<u8>| Bundle::new(MANIFEST, None, decoder, None).unwrap_err();
    for sizes in [&[N_INPUTS, 65, 2][..], &[N_INPUTS, 8, 3], &[N_INPUTS + 1, 8, 2]] {
        let error = refused(onnx::perceptron(sizes, "Relu"));
        assert_eq!(error.kind(), ErrorKind::ModelInvalid);
        assert!(error.message().contains("expected dense layers of up to 64 nodes"), "{error}");
    }
    assert!(refused(onnx::perceptron(&[N_INPUTS, 8, 2], "Tanh")).message().contains("ReLU"));

    let encoder = Some(onnx::perceptron(&[4, 2], "Relu"));
    let decoder = || onnx::perceptron(&[N_INPUTS, 8, 2], "Relu");
    assert!(Bundle::new(MANIFEST, encoder, decoder(), None).unwrap_err().message().contains("no encoder"));

    let bundle = bundle(decoder());
    let registry = registry(&bundle);
    let mut params = Params::new(Dtype::F32, &[500], Bound::Abs(0.1));
    params.model = ModelChoice::Bundle(bundle.id());
    let flat = encode(&params, &[0; 2000], &registry).unwrap_err();
    assert!(flat.message().contains("fewer than two axes"), "{flat}");
    params.shape = vec![20, 25];
    params.bound = Bound::Latent;
    let latent = encode(&params, &[0; 2000], &registry).unwrap_err();
    assert!(latent.message().contains("has none"), "{latent}");
}

#[test]
fn samples_are_what_the_codec_sees() {
    let mut samples = Samples::default();
    let shape = [4, 20, 30];
    let q: Vec<i32> = waves(&shape).iter().map(|v| (v * 8.0).round() as i32).collect();
    samples.add(&q, &shape, |i| i % 7 == 0);
    let n = q.len().div_ceil(7);
    assert_eq!((samples.inputs.len(), samples.unit.len()), (n * N_INPUTS, n));
    assert_eq!((samples.log2_unit.len(), samples.above_linear.len()), (n, n));
    for (unit, log2) in samples.unit.iter().zip(&samples.log2_unit) {
        assert!(*unit >= 0.4 && (unit.log2() - log2).abs() < 0.1, "{unit} {log2}");
    }
    // Linear prediction takes most of it.
    let rest: f32 = samples.above_linear.iter().map(|v| v.abs()).sum::<f32>() / n as f32;
    let mean: f32 = q.iter().map(|v| v.abs() as f32).sum::<f32>() / q.len() as f32;
    assert!(rest < 0.2 * mean, "{rest} {mean}");
}
