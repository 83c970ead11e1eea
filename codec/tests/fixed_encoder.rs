//! Bundles whose latents a fixed-point program defines.

use baler_codec::bundle::{Bundle, Contents, MemorySource};
use baler_codec::inference::{Encoder, FixedEngine};
use baler_codec::{
    Bound, Dtype, Error, ErrorKind, Limits, ModelChoice, Params, Registry, Result, Warnings, decode, describe, encode,
};
use std::sync::{Arc, Mutex};

#[path = "common/onnx.rs"]
mod onnx;

const MANIFEST: &str = r#"
format = 3
name = "pairs-fixed"
family = "autoencoder"
description = "Rows of (a, b, a, b)."
license = "CC0-1.0"
[input]
tile = [4]
normalisation = { kind = "fixed", offset = 0.0, scale = 1.0 }
[latents]
count = 2
step = [0.015625, 0.015625]
[encoder]
arithmetic = "fixed"
"#;

/// "shift N": latents are the first two inputs, floored to N bits of fraction.
struct Engine {
    latents: usize,
}

struct Shift(u32, usize);

impl FixedEngine for Engine {
    fn encoder(&self, digest: &[u8; 32], program: &[u8]) -> Result<Arc<dyn Encoder>> {
        assert_ne!(*digest, [0; 32]);
        let bits = std::str::from_utf8(program).ok().and_then(|text| text.strip_prefix("shift ")?.parse().ok());
        Ok(Arc::new(Shift(bits.ok_or_else(|| Error::model("no program"))?, self.latents)))
    }
}

impl Encoder for Shift {
    fn input_len(&self) -> usize {
        4
    }
    fn output_len(&self) -> usize {
        self.1
    }
    fn engine(&self) -> &'static str {
        "fixed"
    }
    fn encode(&self, _rows: usize, input: &[f32], output: &mut [f32]) -> Result<()> {
        let one = f32::from_bits((127 + self.0) << 23);
        for (x, z) in input.chunks_exact(4).zip(output.chunks_exact_mut(2)) {
            z.copy_from_slice(&[(x[0] * one).floor() / one, (x[1] * one).floor() / one]);
        }
        Ok(())
    }
}

fn decoder() -> Vec<u8> {
    let mut graph = onnx::Graph::new(&[2]);
    let w = graph.floats(&[2, 4], &[1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0]);
    graph.node("MatMul", &[&w], &[]).finish()
}

fn bundle(program: &str) -> Arc<Bundle> {
    Arc::new(Bundle::with_fixed_encoder(MANIFEST, program.into(), None, decoder(), None).unwrap())
}

fn registry(bundle: &Arc<Bundle>, with_engine: bool) -> Registry {
    let mut registry = Registry::with_sources([Arc::new(MemorySource::new(vec![bundle.clone()])) as _]);
    if with_engine {
        registry.set_fixed_engine(Arc::new(Engine { latents: 2 }));
    }
    registry
}

fn rows() -> (Vec<f32>, Vec<u8>) {
    let values: Vec<f32> = onnx::random(3, 400).chunks(2).flat_map(|r| [r[0], r[1], r[0], r[1]]).collect();
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    (values, bytes)
}

fn params(model: ModelChoice, bound: Bound) -> Params {
    let mut params = Params::new(Dtype::F32, &[200, 4], bound);
    params.model = model;
    params
}

#[test]
fn the_program_defines_the_latents_and_readers_need_none() {
    let bundle = bundle("shift 6");
    let (values, bytes) = rows();
    let chunk =
        encode(&params(ModelChoice::Bundle(bundle.id()), Bound::Latent), &bytes, &registry(&bundle, true)).unwrap();
    assert_eq!(describe(&chunk).unwrap().parts[0].candidate, "autoencoder");
    let reader = Arc::new(Bundle::parse(&bundle.to_bytes(Contents::DecoderOnly)).unwrap());
    assert_eq!(reader.id(), bundle.id());
    let back = decode(&chunk, &registry(&reader, false), &Limits::default()).unwrap();
    // The latents' step is that of the program's result: what comes back is what the program gave.
    for (x, y) in values.iter().zip(back.values.chunks_exact(4)) {
        assert_eq!((x * 64.0).floor() / 64.0, f32::from_le_bytes(y.try_into().unwrap()));
    }
}

#[test]
fn without_an_engine_data_is_written_another_way_or_the_error_says_what_is_needed() {
    let bundle = bundle("shift 6");
    let (_, bytes) = rows();
    let without = registry(&bundle, false);
    let named = encode(&params(ModelChoice::Bundle(bundle.id()), Bound::Abs(1e-2)), &bytes, &without).unwrap_err();
    assert_eq!(named.kind(), ErrorKind::RuntimeMissing);
    assert!(named.message().contains("set_fixed_engine"), "{named}");
    let auto = params(ModelChoice::Auto, Bound::Abs(1e-2));
    let chunk = encode(&auto, &bytes, &without).unwrap();
    assert_eq!(chunk, encode(&params(ModelChoice::None, Bound::Abs(1e-2)), &bytes, &Registry::new()).unwrap());
    assert!(encode(&auto, &bytes, &registry(&bundle, true)).unwrap().len() <= chunk.len());
    // With a channel it is told once, and the data are written whoever chose the model; latents alone cannot be.
    let (told, mut telling) = (Arc::new(Mutex::new(Vec::new())), without.clone());
    let channel = told.clone();
    telling.set_warnings(Arc::new(Warnings::new(move |message| channel.lock().unwrap().push(message.to_owned()))));
    for model in [ModelChoice::Bundle(bundle.id()), ModelChoice::Auto] {
        assert_eq!(encode(&params(model, Bound::Abs(1e-2)), &bytes, &telling).unwrap(), chunk);
    }
    let told = told.lock().unwrap();
    assert!(told.len() == 1 && told[0].contains(&bundle.id().to_string()), "{told:?}");
    assert!(told[0].contains("within the same bound") && told[0].contains("set_fixed_engine"), "{told:?}");
    assert!(encode(&params(ModelChoice::Bundle(bundle.id()), Bound::Latent), &bytes, &telling).is_err());
    let reader = Bundle::parse(&bundle.to_bytes(Contents::DecoderOnly)).unwrap();
    assert!(!reader.has_encoder() && bundle.has_encoder());
    let error = registry(&bundle, true).encoder(&reader).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::ModelMissing);
    assert!(error.message().contains("encoder.fixed.json"), "{error}");
}

#[test]
fn a_program_must_fit_the_manifest() {
    for (program, latents, says) in [("shift 6", 3, "gives 3 values a row: expected 2"), ("add", 2, "no program")] {
        let mut registry = Registry::new();
        registry.set_fixed_engine(Arc::new(Engine { latents }));
        let error = registry.encoder(&bundle(program)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::ModelInvalid);
        assert!(error.message().contains("encoder.fixed.json") && error.message().contains(says), "{error}");
    }
}

#[test]
fn section_and_manifest_go_together() {
    let refuse = |result: Result<Bundle>, says: &str| {
        let error = result.unwrap_err();
        assert!(error.message().contains(says), "{error}");
    };
    refuse(Bundle::new(MANIFEST, None, decoder(), None), "encoder.fixed.json is missing");
    let plain = MANIFEST.replace("[encoder]\narithmetic = \"fixed\"\n", "");
    refuse(Bundle::with_fixed_encoder(&plain, b"x".to_vec(), None, decoder(), None), "needs [encoder]");
    let old = MANIFEST.replace("format = 3", "format = 2");
    refuse(Bundle::with_fixed_encoder(&old, b"x".to_vec(), None, decoder(), None), "expected 3 to 4");
    let other = MANIFEST.replace("\"fixed\"\n", "\"posit\"\n");
    refuse(Bundle::with_fixed_encoder(&other, b"x".to_vec(), None, decoder(), None), "posit");
}

#[test]
fn packed_form() {
    let one = bundle("shift 6");
    let bytes = one.to_bytes(Contents::Full);
    assert_eq!(bytes[4], 2);
    let read = Bundle::parse(&bytes).unwrap();
    assert_eq!((read.id(), read.fixed_program()), (one.id(), Some(&b"shift 6"[..])));
    assert_ne!(bundle("shift 7").id(), one.id());
    // Fixed for ever: it travels in streams.
    assert_eq!(one.id().to_string(), "3464e3f50ac3a067e168224f73f19817");
    // The section is of version 2 alone.
    let mut forged = bytes[..bytes.len() - 8].to_vec();
    forged[4] = 1;
    forged.extend_from_slice(&xxhash_rust::xxh3::xxh3_64(&forged).to_le_bytes());
    assert_eq!(Bundle::parse(&forged).unwrap_err().kind(), ErrorKind::Corrupt);
    for i in 0..bytes.len() {
        assert!(Bundle::parse(&bytes[..i]).is_err(), "{i}");
        let mut bad = bytes.clone();
        bad[i] ^= 0x10;
        assert!(Bundle::parse(&bad).is_err(), "{i}");
    }
}
