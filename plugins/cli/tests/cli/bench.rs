//! `baler bench`: what it measures, what it refuses, and what it says of others.

use crate::models::place_with_pattern;
use crate::support::{Place, field_npy};
use baler_codec::bundle::{Bundle, Contents};
use baler_models::fingerprint;
use serde_json::Value;

fn result<'a>(bench: &'a Value, codec: &str, rel: f64) -> &'a Value {
    let results = bench["sets"][0]["results"].as_array().unwrap();
    let found = results.iter().find(|r| r["codec"] == codec && r["bound"]["value"] == rel);
    found.unwrap_or_else(|| panic!("no result of {codec} at {rel}: {bench:#}"))
}

/// A program that stands in for Python and prints these results of a peer, at rel 1e-2.
#[cfg(unix)]
fn fake_python(place: &Place, lines: &[&str]) {
    use std::os::unix::fs::PermissionsExt;
    let bound = r#""bound":{"kind":"rel","value":0.01}"#;
    let lines: Vec<String> = lines.iter().map(|l| format!("{{{bound},{l}}}")).collect();
    place.write("python", format!("#!/bin/sh\ncat <<'END'\n{}\nEND\n", lines.join("\n")).as_bytes());
    std::fs::set_permissions(place.path("python"), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn results_have_the_schema_others_read() {
    let p = Place::new();
    p.write("field.npy", &field_npy(96));
    let text =
        p.run(0, "bench field.npy --peers none --rel 1e-2,1e-4 --lossless -o bench.json --plot rd.svg -v --ablate");
    assert!(text.contains("field") && text.contains("rel 1e-4") && text.contains("ratio lost"), "{text}");
    assert!(text.contains("part 0: "), "{text}");
    let bench: Value = serde_json::from_slice(&p.read("bench.json")).unwrap();
    assert_eq!((&bench["schema"], &bench["sets"][0]["name"]), (&"baler-bench-1".into(), &"field".into()));
    assert_eq!(
        (&bench["sets"][0]["raw_bytes"], &bench["sets"][0]["dtype"]),
        (&(96 * 64 * 4).into(), &"float32".into())
    );
    let [loose, tight] = [1e-2, 1e-4].map(|rel| result(&bench, "baler", rel));
    for r in [loose, tight] {
        let bytes = r["bytes"].as_f64().unwrap();
        assert!((r["ratio"].as_f64().unwrap() * bytes / (96.0 * 64.0 * 4.0) - 1.0).abs() < 1e-12);
        let over = r["error_over_bound"].as_f64().unwrap();
        assert!(over > 0.5 && over <= 1.0 && r["bound_kept"] == true, "{r}");
        for speed in ["encode_mb_s", "decode_mb_s"] {
            assert!(r[speed].as_f64().unwrap() > 0.0, "{r}");
        }
    }
    assert!(loose["ratio"].as_f64() > tight["ratio"].as_f64() && loose["psnr"].as_f64() < tight["psnr"].as_f64());
    assert!(String::from_utf8(p.read("rd.svg")).unwrap().contains("<polyline"));
    // The file is a baseline, and nothing is worse than itself.
    p.run(0, "bench field.npy --rel 1e-2 --baseline bench.json --compare bench.json");
}

#[test]
fn info_says_what_each_candidate_would_have_cost() {
    let p = Place::new();
    p.write("field.npy", &field_npy(96));
    p.run(0, "compress field.npy field.baler --rel 1e-3 --chunk-mib 0.01");
    let stored = p.json(0, "info field.baler -v")["arrays"][0].clone();
    let lines = stored["auctions"].as_array().unwrap();
    assert_eq!(lines.len() as u64, stored["chunks"].as_u64().unwrap());
    let text = p.run(0, "info field.baler -v --against field.npy");
    assert_eq!(text.matches("alone: ").count(), lines.len(), "{text}");
    assert!(text.contains("quantised "), "{text}");
    p.write("other.npy", &field_npy(95));
    assert!(p.run(2, "info field.baler -v --against other.npy").contains("the original has 95 x 64"));
}

#[test]
fn rows_and_columns_are_what_was_asked_for() {
    let p = Place::new();
    p.write("field.npy", &field_npy(96));
    let set = |flags: &str| p.json(0, &format!("bench field.npy --peers none --rel 1e-3 {flags}"))["sets"][0].clone();
    let (all, part, rows) = (set(""), set("--part last:0.25"), set("--rows 72.."));
    assert_eq!((&part["rows"], &part["shape"]), (&serde_json::json!([72, 96]), &serde_json::json!([24, 64])));
    assert_eq!(part["results"][0]["bytes"], rows["results"][0]["bytes"]);
    assert!(all["raw_bytes"].as_u64() == Some(4 * part["raw_bytes"].as_u64().unwrap()));
    assert_eq!(set("--columns yes")["columns"], true);
    assert!(p.run(2, "bench field.npy --peers none --rows 90..200").contains("nothing to measure"));
    assert!(p.run(2, "bench field.npy --peers none --without magic").contains("quantised"));
    assert!(p.run(1, "bench nothing.npy --peers none").contains("nothing.npy"));
}

#[test]
fn a_model_is_not_measured_on_what_it_was_trained_on() {
    let p = place_with_pattern();
    let raw = p.read("in.npy");
    let values: Vec<f32> =
        raw[raw.len() - 4000 * 64 * 4..].chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let seen = fingerprint::of_rows(&values[..2000 * 64], 64);
    let bundle = Bundle::parse(&p.read("own.bundle")).unwrap();
    let manifest = bundle.manifest_toml();
    assert!(manifest.contains("[training]\n") && seen.len() == fingerprint::MAX_ROWS);
    let manifest = manifest.replace("[training]\n", &format!("[training]\nfingerprint = {seen:?}\n"));
    let encoder = bundle.encoder_onnx().unwrap().to_vec();
    let trained = Bundle::new(&manifest, Some(encoder), bundle.decoder_onnx().to_vec(), None).unwrap();
    p.write("trained.bundle", &trained.to_bytes(Contents::Full));

    let line = "bench in.npy --peers none --rel 1e-2 --model";
    let refused = p.run(5, &format!("{line} trained.bundle"));
    assert!(refused.contains("was trained on rows of in") && refused.contains("--part last:0.5"), "{refused}");
    let seen_of = |line: &str| result(&p.json(0, line), "baler", 1e-2)["seen"].clone();
    assert_eq!(seen_of(&format!("{line} trained.bundle --part last:0.5")), "no");
    assert_eq!(seen_of(&format!("{line} trained.bundle --allow-seen")), "yes");
    assert_eq!(seen_of(&format!("{line} own.bundle")), "unknown");
    assert!(p.run(0, &format!("{line} trained.bundle --allow-seen")).contains("SEEN"));

    // Among others it stays out of the auction, and that is said.
    p.run(0, "models add trained.bundle");
    let auto = p.json(0, &format!("{line} auto"));
    assert!(auto["notes"][0].as_str().unwrap().contains("left out"), "{auto:#}");
    assert!(result(&auto, "baler", 1e-2).get("models").is_none());
    let held_out = p.json(0, &format!("{line} auto --part last:0.5"));
    let r = result(&held_out, "baler", 1e-2);
    assert_eq!(r["models"], serde_json::json!(["pattern"]));
    assert!(r["model_bytes"].as_u64().unwrap() > 0 && r["ratio_with_model"].as_f64() < r["ratio"].as_f64());
}

#[cfg(unix)]
#[test]
fn missing_packages_are_said_for_each_peer() {
    use std::os::unix::fs::PermissionsExt;
    let p = Place::new();
    p.write("field.npy", &field_npy(8));
    // A Python without anything installed.
    p.write("bare", b"#!/bin/sh\nexec python3 -I -S \"$@\"\n");
    std::fs::set_permissions(p.path("bare"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let bench = p.json(0, "bench field.npy --rel 1e-2 --lossless --python ./bare");
    let failed = bench["sets"][0]["failed"].as_array().unwrap();
    let of = |name: &str| failed.iter().find(|f| f["codec"] == name).unwrap_or_else(|| panic!("{name}: {bench:#}"));
    assert_eq!(of("sz3")["status"], "missing");
    assert_eq!(of("sz3")["why"], "python3 -m pip install numpy pysz");
    assert_eq!(of("fpzip")["bound"]["kind"], "lossless");
    assert!(failed.len() > 15, "{bench:#}");
    assert!(result(&bench, "baler", 1e-2)["bytes"].as_u64().unwrap() > 0);
    let none = p.json(0, "bench field.npy --rel 1e-2 --python ./nowhere");
    assert!(none["notes"][0].as_str().unwrap().contains("no peers"), "{none:#}");
    assert!(p.run(1, "bench field.npy --rel 1e-2 --python ./nowhere --peers sz3").contains("--python"));
}

#[cfg(unix)]
#[test]
fn a_peer_that_breaks_its_word_is_nobodys_best() {
    let p = Place::new();
    p.write("field.npy", &field_npy(64));
    let peer = |codec: &str, bytes: u32, over: f64, finite: &str| {
        format!(
            r#""codec":"{codec}","status":"ok","bytes":{bytes},"ratio":{},"encode_mb_s":10.0,"decode_mb_s":20.0,"error_over_bound":{over},"bound_kept":{},"non_finite_kept":{finite},"psnr":40.0"#,
            16384.0 / f64::from(bytes),
            over <= 1.0
        )
    };
    let (honest, breaks, loses) =
        (peer("honest", 1000, 1.0, "true"), peer("breaks", 10, 1.5, "true"), peer("loses", 20, 1.0, "false"));
    let crash = r#""codec":"crashes","status":"crash","why":"SIGSEGV""#;
    fake_python(&p, &[&honest, &breaks, &loses, crash]);
    let line = "bench field.npy --rel 1e-2 --python ./python";
    let text = p.run(0, &format!("{line} -o old.json --table"));
    let row = text.lines().find(|l| l.contains("rel 1e-2") && l.contains("honest")).unwrap_or_else(|| panic!("{text}"));
    assert!(row.contains("16.38"), "{row}");
    for said in ["BOUND BROKEN", "LOST", "SIGSEGV"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    // An older run that was smaller: ours became worse, and scripts see it.
    let old = String::from_utf8(p.read("old.json")).unwrap();
    let mut bench: Value = serde_json::from_str(&old).unwrap();
    let ours = bench["sets"][0]["results"].as_array_mut().unwrap().iter_mut().find(|r| r["codec"] == "baler").unwrap();
    ours["ratio"] = (ours["ratio"].as_f64().unwrap() * 1.02).into();
    p.write("older.json", bench.to_string().as_bytes());
    let worse = p.run(1, &format!("{line} --compare older.json"));
    assert!(worse.contains("1 result worse than in older.json") && worse.contains("(-2.0 %)"), "{worse}");
    p.write("other.json", old.replace("baler-bench-1", "baler-bench-9").as_bytes());
    assert!(p.run(4, &format!("{line} --compare other.json")).contains("baler-bench-9"));
}
