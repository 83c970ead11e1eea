//! Chunks that need a model: found, missing, wrong, embedded, damaged; and the same bits on every SIMD path.

use baler_codec::bundle::{Bundle, BundleId, Contents, Family, MemorySource};
use baler_codec::inference::SimdPath;
use baler_codec::{
    Bound, BundleSource, Candidates, Dtype, Effort, ErrorKind, Limits, ModelChoice, Params, Registry, check, decode,
    describe, encode,
};
use baler_tests::walsh;
use std::sync::Arc;

fn registry(bundles: Vec<Arc<Bundle>>) -> Registry {
    Registry::with_sources([Arc::new(MemorySource::new(bundles)) as Arc<dyn BundleSource>])
}

fn values(n_tiles: usize) -> Vec<u8> {
    walsh::tiles(n_tiles).iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn params(n_tiles: usize, bound: Bound) -> Params {
    Params::new(Dtype::F32, &[n_tiles, walsh::TILE, walsh::TILE], bound)
}

#[test]
fn the_model_wins_its_data_and_keeps_the_bound() {
    let bundle = Arc::new(walsh::bundle("walsh"));
    for bound in [Bound::Rel(1e-3), Bound::Abs(1e-2), Bound::Psnr(50.0)] {
        for effort in [Effort::Fast, Effort::Default, Effort::Max] {
            let mut params = params(500, bound);
            params.effort = effort;
            let values = values(500);
            let with = encode(&params, &values, &registry(vec![bundle.clone()])).unwrap();
            let without = encode(&params, &values, &Registry::new()).unwrap();
            assert_eq!(describe(&with).unwrap().parts[0].candidate, "autoencoder");
            assert!(with.len() * 3 < without.len(), "{bound}: {} against {}", with.len(), without.len());
            let back = decode(&with, &registry(vec![bundle.clone()]), &Limits::default()).unwrap();
            let found = check(&params, &values, &back.values).unwrap();
            assert!(found.is_kept(), "{bound}: {found:?}");
        }
    }
}

#[test]
fn special_values_survive_a_model() {
    let bundle = Arc::new(walsh::bundle("walsh"));
    let mut values = values(200);
    for (k, i) in (0..200 * 64).step_by(131).enumerate() {
        let bits = [0x7fc0_0123u32, 0x7f80_0000, 0xff80_0000, 0x8000_0000, 0xffc0_0000 + k as u32][k % 5];
        values[4 * i..4 * i + 4].copy_from_slice(&bits.to_le_bytes());
    }
    for bound in [Bound::Abs(1e-2), Bound::Latent] {
        let mut params = params(200, bound);
        params.model = ModelChoice::Bundle(bundle.id());
        let registry = registry(vec![bundle.clone()]);
        let chunk = encode(&params, &values, &registry).unwrap();
        assert_eq!(describe(&chunk).unwrap().parts[0].candidate, "autoencoder");
        let back = decode(&chunk, &registry, &Limits::default()).unwrap();
        assert!(check(&params, &values, &back.values).unwrap().is_kept(), "{bound}");
        for i in (0..200 * 64).step_by(131) {
            assert_eq!(values[4 * i..4 * i + 4], back.values[4 * i..4 * i + 4], "{bound} at {i}");
        }
    }
}

#[test]
fn a_model_predicts_integers() {
    let bundle = Arc::new(walsh::bundle("walsh"));
    let registry = registry(vec![bundle.clone()]);
    let numbers: Vec<i32> = walsh::tiles(400).iter().map(|v| (v * 40.0) as i32).collect();
    let narrow: Vec<u8> = numbers.iter().flat_map(|v| ((v + 32768).clamp(0, 65535) as u16).to_le_bytes()).collect();
    let wide: Vec<u8> = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
    for (dtype, values) in [(Dtype::U16, &narrow), (Dtype::I32, &wide)] {
        for bound in [Bound::Abs(3.7), Bound::Abs(0.5), Bound::Lossless, Bound::Psnr(50.0), Bound::Latent] {
            let mut params = Params::new(dtype, &[400, walsh::TILE, walsh::TILE], bound);
            params.model = ModelChoice::Bundle(bundle.id());
            // A classical candidate may be smaller; here the model's own way is what is tried.
            params.candidates = Candidates::only("autoencoder").unwrap();
            let with = encode(&params, values, &registry).unwrap();
            // Next to lossless these values take no fewer bytes than they have.
            if matches!(bound, Bound::Abs(3.7) | Bound::Latent) {
                assert_eq!(describe(&with).unwrap().parts[0].candidate, "autoencoder", "{dtype} {bound}");
            }
            let back = decode(&with, &registry, &Limits::default()).unwrap();
            assert!(check(&params, values, &back.values).unwrap().is_kept(), "{dtype} {bound}");
        }
    }
    let mut params = Params::new(Dtype::I64, &[4, walsh::TILE, walsh::TILE], Bound::Lossless);
    params.model = ModelChoice::Bundle(bundle.id());
    let error = encode(&params, &[0; 4 * 64 * 8], &registry).unwrap_err();
    assert!(error.message().contains("32 bits"), "{error}");
}

/// Says it is another bundle.
struct Liar(Arc<Bundle>);

impl BundleSource for Liar {
    fn describe(&self) -> String {
        "a liar".into()
    }

    fn find(&self, _: &BundleId) -> baler_codec::Result<Option<Arc<Bundle>>> {
        Ok(Some(self.0.clone()))
    }

    fn list(&self) -> Vec<Arc<Bundle>> {
        vec![self.0.clone()]
    }
}

#[test]
fn missing_and_wrong_models_are_errors_that_name_them() {
    let bundle = Arc::new(walsh::bundle("walsh"));
    let other = Arc::new(walsh::bundle("another-walsh"));
    assert_ne!(bundle.id(), other.id());
    let chunk = encode(&params(100, Bound::Abs(1e-2)), &values(100), &registry(vec![bundle.clone()])).unwrap();
    let id = bundle.id().to_string();
    for (registry, word) in [
        (Registry::new(), "no source"),
        (registry(vec![other.clone()]), "given by the program"),
        (Registry::with_sources([Arc::new(Liar(other)) as Arc<dyn BundleSource>]), "instead"),
    ] {
        let error = decode(&chunk, &registry, &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ModelMissing);
        assert!(error.message().contains(&id) && error.message().contains(word), "{error}");
        assert!(error.message().contains("baler models add"), "{error}");
    }
    let mut named = params(100, Bound::Abs(1e-2));
    named.model = ModelChoice::Bundle(bundle.id());
    assert_eq!(encode(&named, &values(100), &Registry::new()).unwrap_err().kind(), ErrorKind::ModelMissing);
    named.shape = vec![100 * 16, 4];
    let error = encode(&named, &values(100), &registry(vec![bundle])).unwrap_err();
    assert!(error.message().contains("[8, 8]"), "{error}");
}

#[test]
fn an_embedded_decoder_needs_no_source_and_damage_is_seen() {
    let bundle = Arc::new(walsh::bundle("walsh"));
    let mut params = params(40, Bound::Abs(1e-2));
    params.embed = true;
    let values = values(40);
    let chunk = encode(&params, &values, &registry(vec![bundle.clone()])).unwrap();
    let description = describe(&chunk).unwrap();
    assert_eq!(description.embedded_bytes, bundle.to_bytes(Contents::DecoderOnly).len());
    let nowhere = Registry::new();
    let back = decode(&chunk, &nowhere, &Limits::default()).unwrap();
    assert!(check(&params, &values, &back.values).unwrap().is_kept());
    let mut n_cases = 0;
    for i in 0..chunk.len() {
        for bit in 0..8 {
            let mut bad = chunk.clone();
            bad[i] ^= 1 << bit;
            assert!(decode(&bad, &nowhere, &Limits::default()).is_err(), "bit {bit} of byte {i}");
            // Behind a forged checksum other values may come back, never a crash.
            let at = bad.len() - 8;
            let sum = xxhash_rust::xxh3::xxh3_64(&bad[..at]);
            bad[at..].copy_from_slice(&sum.to_le_bytes());
            let _ = decode(&bad, &nowhere, &Limits::default());
            n_cases += 1;
        }
        assert!(decode(&chunk[..i], &nowhere, &Limits::default()).is_err(), "cut at {i}");
        n_cases += 1;
    }
    println!("{n_cases} damaged chunks with a model, {n_cases} errors");
}

#[test]
fn every_simd_path_gives_the_same_predictions() {
    let mut hashes = Vec::new();
    for bundle in baler_models::builtin().list().into_iter().chain([Arc::new(walsh::bundle("walsh"))]) {
        if bundle.manifest().family == Family::Predictor {
            continue;
        }
        let decoder = bundle.decoder().unwrap();
        let rows = 37;
        let latents: Vec<f32> =
            (0..rows * decoder.input_len()).map(|i| ((i * 7919 % 1013) as f32 - 506.0) * 0.01).collect();
        for path in SimdPath::available() {
            let mut out = vec![0.0; rows * decoder.output_len()];
            decoder.run_with(path, rows, &latents, &mut out).unwrap();
            let bytes: Vec<u8> = out.iter().flat_map(|v| v.to_le_bytes()).collect();
            hashes.push((bundle.manifest().name.clone(), path, xxhash_rust::xxh3::xxh3_64(&bytes)));
        }
    }
    for (name, path, hash) in &hashes {
        let first = hashes.iter().find(|(n, ..)| n == name).unwrap().2;
        println!("{name} {path:?} {hash:016x}");
        assert_eq!(*hash, first, "{name} on {path:?}");
    }
    assert!(SimdPath::available().len() >= 2);
}
