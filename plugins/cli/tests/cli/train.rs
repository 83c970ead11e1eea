//! `baler train`: data in, a bundle out that `compress` takes.

use crate::support::{Place, field_npy, le_bytes, npy};

fn npy_f32(shape: &str, values: &[f32]) -> Vec<u8> {
    npy("<f4", false, shape, &le_bytes(values))
}

#[test]
fn a_trained_model_serves_its_data() {
    let p = Place::new();
    p.write("in.npy", &field_npy(512));
    let report = p.json(0, "train in.npy --family autoencoder -o waves.bundle --license CC0-1.0 --epochs 20");
    assert_eq!(report["name"], "waves");
    assert_eq!(report["tile"], serde_json::json!([8, 8]));
    let compressed = p.json(0, "compress in.npy out.baler --rel 3e-2 --model waves.bundle");
    p.run(0, "verify in.npy out.baler --rel 3e-2");
    assert!(compressed.to_string().contains("out.baler"), "{compressed}");
    assert!(p.run(0, "models show waves.bundle").contains("CC0-1.0"));
    // The same seed, the same bundle; another seed, another.
    p.run(0, "train in.npy --family autoencoder -o again.bundle --name waves --license CC0-1.0 --epochs 20");
    assert!(p.read("again.bundle") == p.read("waves.bundle"));
    let other =
        p.json(0, "train in.npy --tile 8x8 -o other.bundle --name waves --license CC0-1.0 --epochs 20 --seed 2");
    assert_ne!(other["id"], report["id"]);
}

/// Waves whose next value follows from those around, but not by a sum of them.
#[test]
fn fields_get_a_network_that_looks_around() {
    let p = Place::new();
    let values: Vec<f32> = (0..12 * 96 * 96)
        .map(|i| {
            let (z, y, x) = ((i / 9216) as f32, (i / 96 % 96) as f32, (i % 96) as f32);
            (0.2 * x + 3.0 * (0.13 * y + 0.4 * z).sin()).sin().abs().sqrt() * (0.1 * y).cos()
        })
        .collect();
    p.write("in.npy", &npy_f32("(12, 96, 96)", &values));
    let report =
        p.json(0, "train in.npy -o waves.bundle --train-part 0.5 --epochs 12 --tile 8x8 --family autoregressive");
    assert_eq!(report["family"], "autoregressive");
    let at = &report["measured"]["at_bounds"][1];
    assert!(at["bytes"].as_u64().unwrap() * 20 < at["without_model_bytes"].as_u64().unwrap() * 19, "{at}");
    // By default too, and the same bits from the same seed.
    let again = p.json(0, "train in.npy -o again.bundle --name waves --train-part 0.5 --epochs 12");
    assert_eq!((&again["family"], &again["id"]), (&report["family"], &report["id"]));
    let log: serde_json::Value = serde_json::from_slice(&p.read("again.train.json")).unwrap();
    assert_eq!((&log["schema"], log["epochs"].as_array().unwrap().len()), (&"baler-train-1".into(), 12));
    p.run(0, "compress in.npy out.baler --rel 1e-3 --model waves.bundle");
    assert!(p.run(0, "info out.baler -v").contains("autoregressive"));
    p.run(0, "verify in.npy out.baler --rel 1e-3");
    assert!(p.run(0, "models show waves.bundle").contains("none: the family needs none"));
    p.write("x.npy", &field_npy(64));
    let refused = p.command("diagnose waves.bundle x.npy").output().unwrap();
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("no latents to look at"));
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

/// Rows x 3 columns that belong together, `shift` added to the last.
fn events(rows: usize, shift: f32) -> String {
    let mut text = String::from("x,y,z\n");
    for i in 0..rows {
        let (a, b) = ((i * 37 % 101) as f32 / 10.0, (i * 53 % 97) as f32 / 10.0);
        text += &format!("{a},{b},{}\n", a + b + shift);
    }
    text
}

#[test]
fn tables_are_measured_on_rows_held_out() {
    let p = Place::new();
    std::fs::create_dir(p.path("runs")).unwrap();
    p.write("runs/a.csv", events(400, 0.0).as_bytes());
    p.write("runs/b.csv", (events(300, 0.0) + "1,2,\n").as_bytes());
    let report = p.json(0, "train runs -o events.bundle --epochs 5");
    assert_eq!(report["measured"]["what"], "every tenth row, held out");
    assert_eq!(report["measured"]["rows"], 70);
    let at = &report["measured"]["at_bounds"];
    assert_eq!((at[0]["rel"].as_f64(), at[1]["rel"].as_f64()), (Some(1e-2), Some(1e-3)));
    assert!(at[0]["without_model_bytes"].as_u64().unwrap() > 0, "{at}");
    let log: serde_json::Value = serde_json::from_slice(&p.read("events.train.json")).unwrap();
    assert_eq!((&log["schema"], &log["bundle_id"]), (&"baler-train-1".into(), &report["id"]));
    assert_eq!((&log["rows_with_gaps"], &log["columns"][2], &log["mode"]), (&1.into(), &"z".into(), &"online".into()));
    assert_eq!(log["data"][1]["rows"], serde_json::json!([0, 301]));
    assert_eq!(log["epochs"].as_array().unwrap().len(), 5);
    // The manifest knows the data.
    let shown = p.run(0, "models show events.bundle");
    assert!(shown.contains("fingerprint") && shown.contains("quantile_columns"), "{shown}");
    let sampled = p.json(0, "train runs -o half.bundle --epochs 2 --max-rows 350 --train-part 0.5 --columns-named z,x");
    assert_eq!((&sampled["measured"]["rows"], &sampled["tile"]), (&175.into(), &serde_json::json!([2])));
    let offline = p.json(0, "train runs -o off.bundle --epochs 2 --offline");
    assert_eq!((&offline["measured"]["what"], &offline["tiles"][1]), (&"the very data".into(), &0.into()));
}

#[test]
fn files_that_do_not_fit_together_are_told() {
    let p = Place::new();
    p.write("a.npy", &npy_f32("(40, 8)", &[1.0; 320]));
    p.write("b.npy", &npy_f32("(40, 9)", &[1.0; 360]));
    p.write("t.csv", events(50, 0.0).as_bytes());
    std::fs::create_dir(p.path("empty")).unwrap();
    for (line, says) in [
        ("train a.npy b.npy -o x.bundle", "40 x 9"),
        ("train empty -o x.bundle", "no data in this folder"),
        ("train t.csv -o x.bundle --columns-named x,w", "the columns are: x, y, z"),
        ("train a.npy -o x.bundle --columns-named x", "tables with names"),
        ("train a.npy -o x.bundle --train-part 2", "above 0 and below 1"),
        ("train a.npy -o x.bundle --train-rows 10..50", "40 rows"),
        ("train a.npy -o x.bundle --train-part 0.5 --offline", "cannot be used"),
    ] {
        let text = p.run(2, line);
        assert!(text.contains(says), "baler {line}: {text}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_training_and_keeps_the_model() {
    let p = Place::new();
    p.write("in.npy", &field_npy(512));
    let mut run = p.command("train in.npy -o early.bundle --epochs 100000 --progress json --json");
    let mut run = run.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    // Until the first epoch is done.
    let mut line = String::new();
    let mut lines = std::io::BufReader::new(run.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
    assert!(line.contains("training_loss"), "{line}");
    let drain = std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    assert!(std::process::Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap().success());
    let output = run.wait_with_output().unwrap();
    drain.join().unwrap().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && report["is_interrupted"] == true, "{report}");
    assert!(report["epochs"].as_u64().unwrap() < 100000);
    p.run(0, "compress in.npy out.baler --rel 3e-2 --model early.bundle");
}

/// Weights of 4 bits: trained for them, an encoder loses less as a program than one that was not.
#[test]
fn training_for_fixed_point_pays() {
    let p = Place::new();
    p.run(0, "simulate jets --rows 3000 --seed 5 -o jets.npz");
    let common = "--architecture fpga-prototype --loss mse --latents 8 --epochs 30 --batch 128 --learning-rate 5e-3";
    p.json(0, &format!("train jets.npz -o plain.bundle {common}"));
    p.json(0, &format!("train jets.npz -o aware.bundle {common} --quantise-aware 4,7"));
    let plain = p.json(0, "fpga compile plain.bundle --data jets.npz -o plain.json --weights-bits 4 --value-bits 7");
    // The widths are those that it was trained for.
    let aware = p.json(0, "fpga compile aware.bundle --data jets.npz -o aware.json");
    let loss = |report: &serde_json::Value| {
        let of = |key: &str| report["errors"][key].as_f64().unwrap();
        (of("fixed_rms"), of("fixed_rms") / of("float_rms"))
    };
    let ((plain, plain_growth), (aware, aware_growth)) = (loss(&plain), loss(&aware));
    assert!(
        aware < plain && aware_growth < plain_growth && aware_growth < 1.1,
        "{plain} {plain_growth} {aware} {aware_growth}"
    );
    let program = String::from_utf8(p.read("aware.json")).unwrap();
    assert!(program.contains("ap_fixed<4,") && program.contains("ap_ufixed<7,"), "{program}");
    let text = p.run(2, &format!("train jets.npz -o x.bundle {common} --quantise-aware 1"));
    assert!(text.contains("expected 2 to 16"), "{text}");
}
