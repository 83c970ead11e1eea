//! A model of the user's own: imported, used, carried along in the files.

use crate::support::{Place, le_bytes, noise, npy};
use baler_models::onnx::{self, Layer, Weights};

/// Columns of a table whose rows are multiples of one pattern, and an ONNX pair that knows the pattern: one latent says
/// it all, where nothing else finds any structure.
pub fn place_with_pattern() -> Place {
    let pattern: Vec<f32> = noise(64).iter().map(|&b| f32::from(b) / 128.0 - 1.0).collect();
    let norm: f32 = pattern.iter().map(|v| v * v).sum();
    let amplitude = |i: usize| (i as f32 * 0.37).sin() + 0.3 * (i as f32 * 1.7).cos();
    let values: Vec<f32> =
        (0..4000).flat_map(|i| pattern.iter().map(move |v| v * amplitude(i)).collect::<Vec<_>>()).collect();
    let dense = |inputs, outputs, weight: Vec<f32>| {
        let layer = Layer::Dense { inputs, outputs, weight: Weights::F32(weight), bias: None };
        onnx::write("pattern", &[inputs], &[outputs], &[layer]).unwrap()
    };
    let p = Place::new();
    p.write("encoder.onnx", &dense(64, 1, pattern.iter().map(|v| v / norm).collect()));
    p.write("decoder.onnx", &dense(1, 64, pattern));
    p.write("in.npy", &npy("<f4", false, "(4000, 64)", &le_bytes(&values)));
    p.run(
        0,
        "models import --encoder encoder.onnx --decoder decoder.onnx --name pattern --fixed 0,1 --step 0.01 -o own.bundle",
    );
    p
}

#[test]
fn a_file_made_with_a_model_opens_without_it() {
    let p = place_with_pattern();
    let without = p.json(0, "compress in.npy plain.baler --rel 1e-2 --model none");
    let report = p.json(0, "compress in.npy x.baler --rel 1e-2 --model own.bundle");
    assert!(report["arrays"][0]["candidates"]["autoencoder"].as_u64().unwrap() >= 1, "{report}");
    assert!(report["ratio"].as_f64().unwrap() > 3.0 * without["ratio"].as_f64().unwrap(), "{without} {report}");
    let model_bytes = report["model_bytes"].as_u64().unwrap();
    assert!(model_bytes > 256 && report["decoder_bytes"].as_u64().unwrap() <= model_bytes, "{report}");
    // Nothing but the file is left.
    for name in ["own.bundle", "encoder.onnx", "decoder.onnx"] {
        std::fs::remove_file(p.path(name)).unwrap();
    }
    p.run(0, "verify in.npy x.baler");
    let info = p.json(0, "info x.baler");
    assert_eq!(info["models"][0]["id"], report["arrays"][0]["models"][0]);
    assert_eq!(info["model_bytes"], report["model_bytes"]);
}

#[test]
fn embedding_is_a_choice() {
    let p = place_with_pattern();
    p.run(0, "compress in.npy chunk.baler --rel 1e-2 --model own.bundle --embed chunk");
    p.run(0, "compress in.npy none.baler --rel 1e-2 --model own.bundle --embed none");
    std::fs::rename(p.path("own.bundle"), p.path("away")).unwrap();
    p.run(0, "verify in.npy chunk.baler");
    let missing = p.run(5, "verify in.npy none.baler");
    assert!(missing.contains("was not found; looked in") && missing.contains("models add"), "{missing}");
    assert_eq!(p.json(5, "info none.baler")["error"]["kind"], "model");
    std::fs::rename(p.path("away"), p.path("own.bundle")).unwrap();
    p.run(0, "models add own.bundle");
    p.run(0, "verify in.npy none.baler");
}

#[test]
fn installed_models_are_listed_named_and_used() {
    let p = place_with_pattern();
    let n_before = p.json(0, "models list")["models"].as_array().unwrap().len();
    p.run(0, "models add own.bundle");
    let models = p.json(0, "models list")["models"].clone();
    assert_eq!(models.as_array().unwrap().len(), n_before + 1);
    let shown = p.json(0, "models show pattern");
    assert_eq!((shown["latents"].as_u64(), shown["is_builtin"].as_bool()), (Some(1), Some(false)));
    let id = shown["id"].as_str().unwrap();
    assert_eq!(p.json(0, &format!("models show {}", &id[..8]))["id"], id);
    assert_eq!(p.json(0, "models show own.bundle")["id"], id);
    let report = p.json(0, "compress in.npy x.baler --rel 1e-2");
    assert_eq!(report["arrays"][0]["models"][0], id);
    let latent = p.json(0, "compress in.npy l.baler --latent --model pattern");
    assert!(latent["ratio_without_model"].as_f64().unwrap() > 200.0, "{latent}");
    p.run(0, "verify in.npy l.baler");
}

#[test]
fn what_is_no_model_is_refused() {
    let p = place_with_pattern();
    p.run(5, "compress in.npy x.baler --rel 1e-2 --model nothing");
    p.write("bad.bundle", b"nothing like it");
    p.run(4, "models add bad.bundle");
    p.run(1, "models add no.bundle");
    let mut bytes = p.read("own.bundle");
    let at = bytes.len() / 2;
    bytes[at] ^= 4;
    p.write("own.bundle", &bytes);
    p.run(4, "compress in.npy x.baler --rel 1e-2 --model own.bundle");
    p.write("decoder.onnx", b"no graph");
    assert!(p.run(5, "models import --decoder decoder.onnx --name x -o x.bundle").contains("decoder"));
    assert!(!p.path("x.baler").exists() && !p.path("x.bundle").exists());
}
