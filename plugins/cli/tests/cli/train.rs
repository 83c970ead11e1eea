//! `baler train`: data in, a bundle out that `compress` takes.

use crate::support::{Place, field_npy, le_bytes, npy};

fn npy_f32(shape: &str, values: &[f32]) -> Vec<u8> {
    npy("<f4", false, shape, &le_bytes(values))
}

#[test]
fn a_trained_model_serves_its_data() {
    let p = Place::new();
    p.write("in.npy", &field_npy(512));
    let report = p.json(0, "train in.npy -o waves.bundle --license CC0-1.0 --epochs 20");
    assert_eq!(report["name"], "waves");
    assert_eq!(report["tile"], serde_json::json!([8, 8]));
    let compressed = p.json(0, "compress in.npy out.baler --rel 3e-2 --model waves.bundle");
    p.run(0, "verify in.npy out.baler --rel 3e-2");
    assert!(compressed.to_string().contains("out.baler"), "{compressed}");
    assert!(p.run(0, "models show waves.bundle").contains("CC0-1.0"));
    // The same seed, the same bundle; another seed, another.
    p.run(0, "train in.npy -o again.bundle --name waves --license CC0-1.0 --epochs 20");
    assert!(p.read("again.bundle") == p.read("waves.bundle"));
    let other = p.json(0, "train in.npy -o other.bundle --name waves --license CC0-1.0 --epochs 20 --seed 2");
    assert_ne!(other["id"], report["id"]);
}

#[test]
fn whole_frames_get_a_separable_decoder() {
    let p = Place::new();
    let values: Vec<f32> = (0..12 * 20 * 20)
        .map(|i| ((i % 20) as f32 / 3.0 + (i / 400) as f32 / 2.0).sin() * ((i / 20 % 20) as f32 / 4.0).cos())
        .collect();
    p.write("frames.npy", &npy_f32("(12, 20, 20)", &values));
    let output = p.command("train frames.npy -o frames.bundle --epochs 30").output().unwrap();
    let lines = String::from_utf8(output.stderr).unwrap();
    assert!(lines.contains("training: epoch 30 of 30"), "{lines}");
    let quiet = p.command("train frames.npy -o frames.bundle --epochs 30 --quiet --force").output().unwrap();
    assert!(quiet.status.success() && quiet.stderr.is_empty());
    let report = p.json(0, "train frames.npy -o frames.bundle --epochs 30 --force");
    assert_eq!((&report["tile"], &report["latents"]), (&serde_json::json!([20, 20]), &serde_json::json!(7)));
    assert_eq!(report["measured_on"], "training");
}

#[test]
fn data_that_cannot_be_trained_on_are_named() {
    let p = Place::new();
    p.write("nan.npy", &npy_f32("(16, 16)", &[f32::NAN; 256]));
    p.write("flat.npy", &npy_f32("(16, 16)", &[1.0; 256]));
    p.write("short.npy", &npy_f32("(3,)", &[1.0, 2.0, 3.0]));
    p.write("complex.npy", &npy("<c8", false, "(4,)", &[0; 32]));
    p.write("in.npy", &field_npy(64));
    for (line, says) in [
        ("train nan.npy -o x.bundle", "no finite value"),
        ("train flat.npy -o x.bundle", "constant"),
        ("train short.npy -o x.bundle", "too few to train on"),
        ("train in.npy -o x.bundle --tile 128x128", "does not fit"),
        ("train in.npy -o x.bundle --array speed", "no array"),
        ("train --recipe nonsense -o x.bundle", "autoencoder-field2d"),
        ("train --recipe autoencoder-cfd-animation -o x.bundle", "CFD_animation.npz"),
        ("train -o x.bundle", "DATA"),
    ] {
        let text = p.run(2, line);
        assert!(text.contains(says), "baler {line}: {text}");
    }
    let text = p.run(1, "train complex.npy -o x.bundle");
    assert!(text.contains("c8"), "{text}");
    assert!(!p.names().contains(&"x.bundle".to_owned()));
}

/// A built-in model, made again. The same bits come out only where training rounds as it did then, so this asks for the
/// same kind of model, which serves.
#[test]
fn recipes_make_the_built_in_models() {
    let p = Place::new();
    let report = p.json(0, "train --recipe autoencoder-field2d -o x.bundle");
    let built_in = p.json(0, "models show autoencoder-field2d");
    assert_eq!(report["name"], built_in["name"], "{report}");
    p.write("in.npy", &field_npy(512));
    p.json(0, "compress in.npy out.baler --rel 3e-2 --model x.bundle");
    p.run(0, "verify in.npy out.baler --rel 3e-2");
}
