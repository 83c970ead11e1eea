//! Writes ONNX files with every layer and weight type, and those of the built-in bundles, with an input and the engine's own output beside each, for
//! `tests/check_onnx.py`: `cargo run -p baler-models --example write_onnx -- FOLDER`.

use baler_codec::inference::Network;
use baler_models::onnx::{self, Activation, Conv, Layer, Weights};
use baler_models::simulate::Random;
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: write_onnx FOLDER")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let mut random = Random::new(4);
    let activations = [Activation::Relu, Activation::LeakyRelu(0.01), Activation::Tanh, Activation::Sigmoid];
    for bits in [8, 16, 32] {
        let mut weights = |shape: &[usize], axis: Option<usize>| {
            let n = shape.iter().product();
            let values: Vec<f32> = (0..n).map(|_| random.normal() / (n as f32).sqrt() * 3.0).collect();
            Weights::quantise(&values, shape, axis, bits)
        };
        for (i, activation) in activations.into_iter().enumerate() {
            let layers = [
                Layer::Dense {
                    inputs: 9,
                    outputs: 24,
                    weight: weights(&[24, 9], Some(1))?,
                    bias: Some(weights(&[24], None)?),
                },
                Layer::Activation(activation),
                Layer::Dense { inputs: 24, outputs: 30, weight: weights(&[30, 24], Some(0))?, bias: None },
            ];
            write(folder, &format!("dense_{bits}_{i}"), &[9], &[30], &layers)?;
        }
        let conv = Conv {
            inputs: 3,
            outputs: 5,
            kernel: vec![3, 5],
            stride: vec![2, 1],
            padding: vec![1, 2],
            output_padding: vec![0, 0],
        };
        let back = Conv {
            inputs: 5,
            outputs: 2,
            kernel: vec![4, 3],
            stride: vec![2, 2],
            padding: vec![1, 1],
            output_padding: vec![0, 1],
        };
        let positive = |weights: Weights, shape: &[usize]| {
            Weights::F32(weights.to_f32(shape).into_iter().map(|v| v.abs() + 0.1).collect())
        };
        let mut gdn = |inverse| -> Result<Layer, baler_codec::Error> {
            let (gamma, beta) = (positive(weights(&[5, 5], None)?, &[5, 5]), positive(weights(&[5], None)?, &[5]));
            Ok(Layer::Gdn { channels: 5, axes: 2, gamma, beta, inverse })
        };
        let normalisations = [gdn(false)?, gdn(true)?];
        let [gdn, inverse_gdn] = normalisations;
        let layers = [
            Layer::Conv { conv, weight: weights(&[5, 3, 3, 5], Some(0))?, bias: Some(weights(&[5], None)?) },
            Layer::Activation(Activation::Relu),
            gdn,
            inverse_gdn,
            Layer::ConvTranspose { conv: back, weight: weights(&[5, 2, 4, 3], Some(1))?, bias: None },
            Layer::Transpose(vec![0, 2, 1, 3]),
            Layer::Reshape(vec![8 * 2 * 14]),
        ];
        write(folder, &format!("conv_{bits}"), &[3, 8, 7], &[8 * 2 * 14], &layers)?;
    }
    for bundle in baler_models::builtin().list() {
        let name = &bundle.manifest().name;
        // Formulas are no networks.
        if bundle.decoder_onnx().is_empty() {
            continue;
        }
        write_file(folder, &format!("{name}_decoder"), bundle.decoder_onnx())?;
        write_file(folder, &format!("{name}_encoder"), bundle.encoder_onnx().unwrap_or_default())?;
    }
    #[cfg(feature = "train")]
    architectures(folder)?;
    Ok(())
}

/// Both networks of every architecture, after one epoch, with weights of each kind.
#[cfg(feature = "train")]
fn architectures(folder: &Path) -> Result<(), Box<dyn Error>> {
    use baler_models::train::{ARCHITECTURES, Dataset, Options, run};
    let mut random = Random::new(5);
    for architecture in ARCHITECTURES {
        let tile: &[usize] = match architecture.name {
            "conv3d" => &[4, 5, 7],
            name if name.contains("conv") => &[9, 10],
            _ => &[12],
        };
        for weight_bits in [8, 16, 32] {
            let mut options = Options::new(format!("{}_{weight_bits}", architecture.name));
            options.architecture = architecture.name.into();
            (options.loss, options.tile, options.weight_bits) = ("mse".into(), tile.to_vec(), weight_bits);
            (options.latents, options.epochs, options.batch, options.learning_rate) = (5, 1, 8, 1e-3);
            let shape = [&[48], tile].concat();
            let values = (0..shape.iter().product::<usize>()).map(|_| random.uniform()).collect();
            let trained = run(&Dataset::new(values, shape), &options, &mut |_| std::ops::ControlFlow::Continue(()))?;
            write_file(folder, &format!("{}_decoder", options.name), trained.bundle.decoder_onnx())?;
            write_file(
                folder,
                &format!("{}_encoder", options.name),
                trained.bundle.encoder_onnx().unwrap_or_default(),
            )?;
        }
    }
    Ok(())
}

fn write(folder: &Path, name: &str, input: &[usize], output: &[usize], layers: &[Layer]) -> Result<(), Box<dyn Error>> {
    write_file(folder, name, &onnx::write(name, input, output, layers)?)
}

fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let network = Network::from_onnx(bytes)?;
    let rows = 4;
    let mut random = Random::new(7);
    let x: Vec<f32> = (0..rows * network.input_len()).map(|_| random.normal()).collect();
    let mut y = vec![0.0; rows * network.output_len()];
    network.run(rows, &x, &mut y)?;
    std::fs::write(folder.join(format!("{name}.onnx")), bytes)?;
    let floats = |v: &[f32]| v.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    std::fs::write(folder.join(format!("{name}.input")), floats(&x))?;
    std::fs::write(folder.join(format!("{name}.output")), floats(&y))?;
    Ok(())
}
