//! The built-in encoders and a convolution in every mode: a million rows with Verilator, 2,000 with Icarus. Too long for every day:
//! `BALER_TEST_VECTORS=1000000 cargo test -p baler-tests --test hosts fpga::designs` (the number is that of Verilator).

use super::{VERILATOR, agrees, design, n_vectors};
use crate::bench::{Bench, Outcome};
use baler_fpga::import::Network;
use baler_fpga::ir::Program;
use baler_fpga::quantise::{Widths, calibrated};
use baler_fpga::rtl::simulate::{Tool, Trouble};
use baler_fpga::rtl::{Mode, Options};
use baler_models::onnx::{Activation, Conv, Layer, Weights, write};
use baler_models::simulate::Random;
use libtest_mimic::Trial;
use std::path::Path;
use std::sync::Arc;

const BUNDLES: [&str; 4] = [
    "autoencoder-fpga-tiny-fixed",
    "autoencoder-fpga-prototype-fixed",
    "autoencoder-fpga-medium-fixed",
    "autoencoder-fpga-cells-fixed",
];

/// The ways to make hardware, where a memory of weights is deep enough to be one.
const MODES: [Mode; 4] = [Mode::ShiftAdd, Mode::Dsp, Mode::Reuse(8), Mode::Reloadable(8)];

const ICARUS_ROWS: usize = 2000;

/// None unless they are asked for.
pub fn trials(bench: &Arc<Bench>) -> Vec<Trial> {
    if std::env::var_os("BALER_TEST_VECTORS").is_none() {
        return Vec::new();
    }
    let mut trials = Vec::new();
    for mode in MODES {
        for name in BUNDLES {
            let run = move |_: &Bench, folder: &Path| simulated(&built_in(name)?, mode, folder);
            trials.push(bench.trial(format!("fpga::designs::{name}::{mode}"), VERILATOR, run));
        }
        let run = move |_: &Bench, folder: &Path| simulated(&convolution()?, mode, folder);
        trials.push(bench.trial(format!("fpga::designs::convolution::{mode}"), VERILATOR, run));
    }
    trials
}

fn simulated(program: &Program, mode: Mode, folder: &Path) -> Outcome {
    let design = design(program, Options { mode, has_status: true, ..Options::default() })?;
    let trouble = Trouble { stalls: true, upsets: false };
    let verilated = agrees(program, &design, Tool::Verilator, n_vectors(), trouble, folder)?;
    let icarus = agrees(program, &design, Tool::Icarus, ICARUS_ROWS, trouble, folder)?;
    Ok(vec![format!("{verilated} rows with Verilator, {icarus} with Icarus, {} cycles of latency", design.latency)])
}

fn built_in(name: &str) -> Result<Program, String> {
    let bundles = baler_models::builtin().list();
    let bundle = bundles.iter().find(|b| b.manifest().name == name).ok_or(format!("no bundle {name}"))?;
    let text = bundle.fixed_program().ok_or("no program")?;
    Program::from_json(&String::from_utf8_lossy(text)).map_err(|e| e.to_string())
}

/// 1 x 6 x 6, two convolutions of 3 x 3 with stride 2, and a dense layer: 36-36-8-4.
fn convolution() -> Result<Program, String> {
    let mut random = Random::new(17);
    let mut weights = |n: usize| Weights::F32((0..n).map(|_| random.uniform() - 0.5).collect());
    let conv = |inputs, outputs, padding| Conv {
        inputs,
        outputs,
        kernel: vec![3, 3],
        stride: vec![2, 2],
        padding: vec![padding; 2],
        output_padding: vec![0; 2],
    };
    let layers = [
        Layer::Conv { conv: conv(1, 4, 1), weight: weights(36), bias: Some(weights(4)) },
        Layer::Activation(Activation::Relu),
        Layer::Conv { conv: conv(4, 8, 0), weight: weights(288), bias: Some(weights(8)) },
        Layer::Activation(Activation::LeakyRelu(0.1)),
        Layer::Reshape(vec![8]),
        Layer::Dense { inputs: 8, outputs: 4, weight: weights(32), bias: Some(weights(4)) },
    ];
    let onnx = write("convolution", &[1, 6, 6], &[4], &layers).map_err(|e| e.to_string())?;
    let network = Network::from_onnx(&onnx).map_err(|e| e.to_string())?;
    let rows: Vec<Vec<f64>> = (0..500).map(|_| (0..36).map(|_| f64::from(random.normal())).collect()).collect();
    calibrated("convolution", &network, &[], &rows, &Widths::uniform(&network, 6, 8)).map_err(|e| e.to_string())
}
