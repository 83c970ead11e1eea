//! `baler report`: what the page and its numbers say, and what is refused.

use crate::support::{Place, field_npy, npy};
use serde_json::json;

#[test]
fn numbers_are_those_of_the_arrays() {
    let place = Place::new();
    let values = [1.0f64, 10.0, 2.0, 20.0, 4.0, 0.0, f64::NAN, 40.0];
    let back = [1.5f64, 10.0, 2.0, 19.0, 4.0, 0.5, f64::NAN, 40.0];
    let bytes = |v: [f64; 8]| v.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    place.write("a.npy", &npy("<f8", false, "(4, 2)", &bytes(values)));
    place.write("b.npy", &npy("<f8", false, "(4, 2)", &bytes(back)));
    let json = place.json(0, "report a.npy b.npy --abs 1 --as table --assets figures");
    assert_eq!((&json["kept"], &json["arrays"][0]["bound"]["kind"]), (&json!(true), &json!("abs")));
    assert_eq!(json["arrays"][0]["is_float32_inside"], true);
    let v = &json["arrays"][0]["variables"];
    assert_eq!((&v[0]["n"], &v[0]["n_special"], &v[1]["n_zero"]), (&json!(3), &json!(1), &json!(1)));
    // Responses 1.5, 1, 1 and 1, 0.95, 1; residuals 0, -1, 0.5, 0 of the second.
    assert!((v[0]["response"]["mean"].as_f64().unwrap() - 3.5 / 3.0).abs() < 1e-15);
    assert_eq!(v[1]["residual"]["mean"], -0.125);
    assert_eq!((&v[0]["max_error"], &v[1]["error_over_bound"]), (&json!(0.5), &json!(1.0)));
    let written: serde_json::Value = serde_json::from_slice(&place.read("figures/report.json")).unwrap();
    assert_eq!(written["arrays"], json["arrays"]);
    assert!(place.path("figures/residual-column-1.svg").is_file());
}

#[test]
fn a_broken_bound_is_said_and_the_page_is_written() {
    let place = Place::new();
    place.write("a.npy", &npy("<i4", false, "(3,)", &[1i32, 2, 3].map(i32::to_le_bytes).concat()));
    place.write("b.npy", &npy("<i4", false, "(3,)", &[1i32, 9, 3].map(i32::to_le_bytes).concat()));
    let text = place.run(3, "report a.npy b.npy --abs 1 --bounds none -o broken.html");
    assert!(text.contains("THE BOUND IS BROKEN"), "{text}");
    assert!(String::from_utf8(place.read("broken.html")).unwrap().contains("broken by 1 values"));
}

#[test]
fn a_field_is_shown_and_nothing_is_overwritten() {
    let place = Place::new();
    place.write("field.npy", &field_npy(96));
    place.run(0, "compress field.npy field.baler --rel 1e-3");
    let text = place.run(0, "report field.npy field.baler --bounds 1e-2 --as field");
    assert!(text.contains("the bound is kept"), "{text}");
    let html = String::from_utf8(place.read("report.html")).unwrap();
    for part in ["id=\"frames\"", "id=\"rate\"", "data:image/png;base64,", "Power spectrum"] {
        assert!(html.contains(part), "{part}");
    }
    for part in ["src=\"http", "href=\"http", "url(", "@import", "<link"] {
        assert!(!html.contains(part), "the page loads something: {part}");
    }
    place.run(2, "report field.npy field.baler");
    place.run(0, "report field.npy field.baler --force --bounds none");
}

#[test]
fn bad_arguments_name_what_is_wrong() {
    let place = Place::new();
    place.write("field.npy", &field_npy(16));
    place.run(0, "compress field.npy field.baler --abs 0.1");
    place.write("log.json", b"{}");
    for (line, code, part) in [
        ("report field.npy field.baler --bounds 2", 2, "between 0 and 1"),
        ("report field.npy field.baler --co2-g-per-kwh nan", 2, "from 0 up"),
        ("report field.npy field.baler --training log.json", 4, "baler-train-1"),
        ("report field.npy field.baler --bench log.json", 4, "baler-bench-1"),
        ("report field.npy missing.baler", 1, "missing.baler"),
        ("report field.npy field.npy", 2, "promises no bound"),
    ] {
        let text = place.run(code, line);
        assert!(text.contains(part), "{line}: {text}");
        assert!(!place.names().contains(&"report.html".to_owned()), "{line}");
    }
}
