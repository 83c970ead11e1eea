//! The exact engine against ONNX Runtime, on networks that `inference_cases.py` writes (see there). Both round their
//! sums differently, so they agree within a few units of the last place of the largest term, not to the bit.

use baler_codec::inference::{Network, SimdPath};
use std::path::Path;

fn floats(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[test]
fn agrees_with_onnxruntime() {
    let Some(folder) = std::env::var_os("BALER_TEST_NETWORKS") else {
        eprintln!("skipped: BALER_TEST_NETWORKS names no folder written by codec/tests/inference_cases.py");
        return;
    };
    let mut n_cases = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "onnx") {
            continue;
        }
        let network = Network::from_onnx(&std::fs::read(&path).unwrap()).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        let (input, expected) = (floats(&path.with_extension("input")), floats(&path.with_extension("output")));
        let rows = input.len() / network.input_len();
        assert_eq!(rows * network.output_len(), expected.len(), "{path:?}: {:?}", network.output_shape());
        for path_simd in SimdPath::available() {
            let mut output = vec![0.0; expected.len()];
            network.run_with(path_simd, rows, &input, &mut output).unwrap();
            for (i, (ours, theirs)) in output.iter().zip(&expected).enumerate() {
                let tolerance = 1e-5 * theirs.abs().max(1.0);
                assert!(
                    (ours - theirs).abs() <= tolerance,
                    "{path:?} {path_simd}: output {i}: {ours}, expected {theirs}"
                );
            }
        }
        n_cases += 1;
    }
    assert!(n_cases > 0);
    eprintln!("{n_cases} networks agree");
}
