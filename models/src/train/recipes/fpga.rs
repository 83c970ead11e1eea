//! Encoders small enough to be unrolled on an FPGA: the networks of the papers, on tables, for fixed-point programs
//! (`baler fpga compile`). All ReLU, all trained for the smallest squared error of what is decoded from latents alone.

use super::{Array, Data, Recipe};
use crate::simulate::{CELLS, JET_COLUMNS, cells, jets};
use crate::train::{Options, Schedule};

use crate::onnx::Activation;
use baler_codec::Result;

fn options(name: &str, description: &str, license: &str, hidden: &[usize], latents: usize) -> Options {
    let mut options = Options::new(name);
    options.description = description.into();
    options.license = license.into();
    options.activation = Activation::Relu;
    options.encoder_hidden = hidden.to_vec();
    options.decoder_hidden = hidden.iter().rev().copied().collect();
    options.latents = latents;
    options.loss = "mse".into();
    options.weight_bits = 16;
    options.schedule = Schedule::Cosine;
    options.validation = 0.05;
    options.test = 0.05;
    options
}

/// 16-20-10-8, as Python Baler's `FPGA_prototype_model`, on simulated jets.
pub(super) fn prototype() -> Recipe {
    let description =
        "16-20-10-8 with ReLU, the network of Baler's FPGA prototype, on simulated jets (baler simulate jets).";
    let mut options = options("autoencoder-fpga-prototype", description, "Apache-2.0", &[], 8);
    options.architecture = "fpga-prototype".into();
    options.epochs = 60;
    Recipe { data: Data::Simulated(simulated_jets), part: 1.0, options }
}

/// 24-16-8 on jets.
pub(super) fn tiny() -> Recipe {
    let description = "24-16-8 with ReLU on jets of CMS NanoAOD: the smallest encoder of the FPGA path.";
    let mut options = options("autoencoder-fpga-tiny", description, "MIT", &[16], 8);
    options.epochs = 400;
    Recipe { data: Data::File(JETS), part: 0.7, options }
}

/// 24-16-8 on jets, trained for weights and values of 8 bits.
pub(super) fn tiny_int8() -> Recipe {
    let description = "24-16-8 with ReLU on jets of CMS NanoAOD, trained for weights and values of 8 bits.";
    let mut options = options("autoencoder-fpga-tiny-int8", description, "MIT", &[16], 8);
    options.epochs = 1200;
    options.quantise_aware = Some([8, 8]);
    Recipe { data: Data::File(JETS), part: 0.7, options }
}

/// 24-64-32-14 on jets.
pub(super) fn medium() -> Recipe {
    let description = "24-64-32-14 with ReLU on jets of CMS NanoAOD.";
    let mut options = options("autoencoder-fpga-medium", description, "MIT", &[64, 32], 14);
    options.epochs = 400;
    Recipe { data: Data::File(JETS), part: 0.7, options }
}

/// 48-32-16 on simulated trigger cells.
pub(super) fn trigger_cells() -> Recipe {
    let description = "48-32-16 with ReLU on the 48 trigger cells of a calorimeter module (baler simulate cells), each row \
                       divided by its sum.";
    let mut options = options("autoencoder-fpga-cells", description, "Apache-2.0", &[32], 16);
    // Shares lie between 0 and 1 already, and the device has no time for more.
    options.normalise = vec!["*=none".into()];
    options.epochs = 60;
    Recipe { data: Data::Simulated(simulated_cells), part: 1.0, options }
}

/// The 23 columns of floats of `hep_cms_nanoaod_jets.parquet` and `Jet_nConstituents`, as float32.
const JETS: &str = "hep_cms_nanoaod_jets24.npz";

fn simulated_jets() -> Result<Array> {
    const ROWS: usize = 40_000;
    Ok((jets(ROWS, 2031), vec![ROWS, JET_COLUMNS.len()]))
}

fn simulated_cells() -> Result<Array> {
    const ROWS: usize = 40_000;
    Ok((cells(ROWS, 2032), vec![ROWS, CELLS]))
}
