//! Promise: casts, products and sums give the integers of hls4ml's C simulation.
//!
//! Needs the reference vectors: `BALER_FPGA_VECTORS` names their folder, by default `../shared/fpga/hls4ml_vectors`
//! beside the workspace. Without them the tests say so and pass.

use baler_fpga::fixed::{Fixed, Format};
use serde_json::Value;
use std::path::PathBuf;

/// The folder of vectors; where there is none, says so.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("BALER_FPGA_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/fpga/hls4ml_vectors")),
        PathBuf::from,
    );
    if folder.join("ap_fixed_cast.json").is_file() {
        return Some(folder);
    }
    eprintln!("skipped: no ap_fixed_cast.json in {} (BALER_FPGA_VECTORS names its folder)", folder.display());
    None
}

fn read(path: &PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn format(value: &Value) -> Format {
    value.as_str().unwrap().parse().unwrap()
}

fn ints(value: &Value) -> Vec<i128> {
    value.as_array().unwrap().iter().map(|v| i128::from(v.as_i64().unwrap())).collect()
}

#[test]
fn casts_equal_the_reference() {
    let Some(folder) = folder() else { return };
    let table = read(&folder.join("ap_fixed_cast.json"));
    let mut n_checked = 0;
    for pair in table.as_array().unwrap() {
        let (from, to) = (format(&pair["src"]), format(&pair["dst"]));
        let first = i128::from(pair["first_src_int"].as_i64().unwrap());
        for (raw, expected) in (first..).zip(ints(&pair["dst_ints"])) {
            let found = Fixed::new(raw, from).unwrap().cast(to);
            assert_eq!(found.raw(), expected, "{raw} of {from} to {to}");
            n_checked += 1;
        }
    }
    println!("{n_checked} casts");
    assert!(n_checked > 0);
}

/// Each dense layer of the model files: products and sums are cast to the accumulator's type one by one, in the order
/// of the inputs, so that a saturating accumulator shows every wrong step.
#[test]
fn dense_layers_equal_the_reference() {
    let Some(folder) = folder() else { return };
    let mut n_checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "json") || path.ends_with("ap_fixed_cast.json") {
            continue;
        }
        let model = read(&path);
        for pair in model["layers"].as_array().unwrap().windows(2) {
            let (input, layer) = (&pair[0], &pair[1]);
            if layer["kind"] != "Dense" {
                continue;
            }
            let fixed = |key: &str, ty: &str| -> Vec<Fixed> {
                let format = format(&layer[ty]);
                ints(&layer[key]).into_iter().map(|raw| Fixed::new(raw, format).unwrap()).collect()
            };
            let weights = fixed("weight_ints_in_major", "weight_type");
            let biases = fixed("bias_ints", "bias_type");
            let (accumulator, result) = (format(&layer["accum_type"]), format(&layer["result_type"]));
            let input_format = format(&input["result_type"]);
            let rows = input["ints"].as_array().unwrap().iter().zip(layer["ints"].as_array().unwrap());
            for (row, expected) in rows {
                let row: Vec<Fixed> = ints(row).into_iter().map(|raw| Fixed::new(raw, input_format).unwrap()).collect();
                for (j, (expected, bias)) in ints(expected).into_iter().zip(&biases).enumerate() {
                    let sum = row.iter().enumerate().fold(bias.cast(accumulator), |sum, (i, x)| {
                        let product = x.mul(weights[i * biases.len() + j]).unwrap().cast(accumulator);
                        sum.add(product).unwrap().cast(accumulator)
                    });
                    assert_eq!(sum.cast(result).raw(), expected, "{}: {} output {j}", path.display(), layer["name"]);
                    n_checked += 1;
                }
            }
        }
    }
    println!("{n_checked} outputs of dense layers");
    assert!(n_checked > 0);
}
