//! Autoregressive models: a small network learns to predict each value of a field from those before it.
//!
//! ```text
//! field -> integers at several bounds -> what the codec will know of each position -> network -> mean, scale -> bits
//! ```
//!
//! The loss is what an ideal coder would take, in bits a value. One network serves all bounds, because its inputs are in
//! units of how much the values around differ.

use crate::onnx;
use crate::simulate::Random;
use crate::train::architectures::{Block, Chain, Pass};
use crate::train::optimiser::Adam;
use crate::train::parameters::{Parameters, rows};
use crate::train::rounding::Rounding;
use crate::train::schedule::Rate;
use crate::train::{Dataset, Epoch, Options, device};
use baler_codec::autoregressive::{N_INPUTS, Samples};
use baler_codec::bundle::{Bundle, Family, Manifest};
use baler_codec::{Error, Result};
use burn::tensor::activation::softplus;
use burn::tensor::{Device, Tensor};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// The bounds trained for, relative to the range.
const BOUNDS: [f64; 4] = [1e-2, 1e-3, 1e-4, 1e-5];
/// Positions looked at for each bound.
const MOST_SAMPLES: usize = 1 << 16;
/// Every so many positions are kept to watch training.
const VALIDATION: usize = 16;
/// Scales, as logarithms to base 2 of steps, that the loss tells apart.
const LOG2_SCALES: [f32; 2] = [-5.0, 24.0];

/// What came of it.
#[derive(Debug)]
pub struct Autoregressive {
    /// The bundle, ready for use.
    pub bundle: Bundle,
    /// One entry for each epoch; losses in bits a value, all bounds together.
    pub epochs: Vec<Epoch>,
    /// Positions trained on.
    pub samples: usize,
    /// Wall time.
    pub elapsed: Duration,
}

/// Trains on all axes of `data` but those of extent 1; gaps count as its least value.
///
/// Of the options, those of the bundle, `encoder_hidden`, and how the weights are stepped and stored matter.
pub(in crate::train) fn train(
    data: &Dataset,
    options: &Options,
    progress: &mut dyn FnMut(&Epoch) -> ControlFlow<()>,
) -> Result<Autoregressive> {
    let start = Instant::now();
    let samples = samples(data, options)?;
    let (validation, training): (Vec<usize>, Vec<usize>) =
        (0..samples.unit.len()).partition(|i| i % VALIDATION == VALIDATION - 1);
    let device = device::of(options)?.autodiff();
    let mut random = Random::new(options.seed);
    let mut parameters = Parameters::new(&device);
    let hidden =
        options.encoder_hidden.iter().flat_map(|&n| [Block::Dense(n), Block::Activation(onnx::Activation::Relu)]);
    let blocks: Vec<Block> = hidden.chain([Block::Dense(2)]).collect();
    let network = Chain::new("decoder", &[N_INPUTS], &blocks, &mut parameters, &mut random)?;
    let steps = options.epochs * training.len().div_ceil(options.batch);
    let rate = Rate::new(options, steps);
    let mut optimiser = Adam::new(&mut parameters, options);
    let rounding = Rounding::new(options, 0.0);
    let mut epochs: Vec<Epoch> = Vec::new();
    let mut step = 0;
    while epochs.len() < options.epochs {
        let (mut sum, mut last_rate) = (0.0, 0.0);
        for batch in random.permutation(training.len()).chunks(options.batch) {
            // Weights as they will be stored, once they have found their place.
            let rounding = (2 * step >= steps).then_some(rounding);
            let indices: Vec<usize> = batch.iter().map(|&i| training[i]).collect();
            let bits = bits(&network, &parameters, rounding, &samples, &indices, &device);
            last_rate = rate.at(step);
            let gradients = bits.backward();
            optimiser.step(last_rate, &mut parameters, &gradients);
            sum += f64::from(bits.into_scalar::<f32>()) * indices.len() as f64;
            step += 1;
        }
        let training_loss = sum / training.len() as f64;
        let epoch = epochs.len() + 1;
        if !training_loss.is_finite() {
            return Err(Error::model(format!(
                "training diverged in epoch {epoch}: try a learning rate below {}",
                options.learning_rate
            )));
        }
        let parts = validation.chunks(1 << 14).map(|indices| {
            let bits = bits(&network, &parameters, Some(rounding), &samples, indices, &device);
            f64::from(bits.into_scalar::<f32>()) * indices.len() as f64
        });
        let validation_loss = parts.sum::<f64>() / validation.len() as f64;
        let elapsed = start.elapsed();
        epochs.push(Epoch {
            epoch,
            epochs: options.epochs,
            training_loss,
            validation_loss: Some(validation_loss),
            learning_rate: last_rate,
            elapsed,
            remaining: elapsed.mul_f64((options.epochs - epoch) as f64 / epoch as f64),
        });
        if progress(&epochs[epoch - 1]).is_break() {
            break;
        }
    }
    let layers = network.export(&parameters, options.weight_bits, None)?;
    let decoder = onnx::write("decoder", &[N_INPUTS], &[2], &layers)?;
    let mut manifest = Manifest {
        format: 4,
        name: options.name.clone(),
        family: Family::Autoregressive,
        description: options.description.clone(),
        license: options.license.clone(),
        input: Default::default(),
        latents: Default::default(),
        predictor: None,
        encoder: None,
        density: None,
        training: Default::default(),
        metrics: Default::default(),
    };
    let mut put = |key: &str, value: i64| manifest.training.insert(key.into(), value.into());
    put("seed", options.seed as i64);
    put("epochs", epochs.len() as i64);
    put("samples", training.len() as i64);
    if let Some(loss) = epochs.last().and_then(|e| e.validation_loss) {
        manifest.metrics.insert("bits_per_value".into(), ((loss * 1e3).round() / 1e3).into());
    }
    let bundle = Bundle::new(&manifest.to_toml()?, None, decoder, options.card.clone())?;
    Ok(Autoregressive { bundle, epochs, samples: training.len(), elapsed: start.elapsed() })
}

/// Positions of the data at each of the bounds.
fn samples(data: &Dataset, options: &Options) -> Result<Samples> {
    data.validate()?;
    let finite = || data.values.iter().copied().filter(|v| v.is_finite()).map(f64::from);
    let (least, most) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    let axes = data.shape.iter().filter(|&&n| n > 1).count();
    if axes < 2 {
        return Err(Error::invalid(format!(
            "an autoregressive model predicts values of fields from those around: the shape {:?} has fewer than two axes \
             longer than 1",
            data.shape
        )));
    }
    if least > most {
        return Err(Error::invalid("the data have no finite value to train on"));
    }
    if least == most {
        return Err(Error::invalid(format!("the data are constant ({least}): there is nothing to predict")));
    }
    let mut samples = Samples::default();
    let mut random = Random::new(options.seed ^ 0x5a3b_1e5e);
    let one_in = data.values.len().div_ceil(MOST_SAMPLES);
    for bound in BOUNDS {
        let step = 2.0 * bound * (most - least);
        let integer = |&v: &f32| if v.is_finite() { ((f64::from(v) - least) / step).round() as i32 } else { 0 };
        let q: Vec<i32> = data.values.iter().map(integer).collect();
        samples.add(&q, &data.shape, |_| one_in == 1 || random.below(one_in) == 0);
    }
    if samples.unit.len() < VALIDATION {
        return Err(Error::invalid(format!("{} values are too few to train on", data.values.len())));
    }
    Ok(samples)
}

/// Mean bits of some positions: those of integers under a logistic distribution.
fn bits(
    network: &Chain,
    parameters: &Parameters,
    rounding: Option<Rounding>,
    samples: &Samples,
    indices: &[usize],
    device: &Device,
) -> Tensor<1> {
    let inputs = indices.iter().flat_map(|&i| &samples.inputs[i * N_INPUTS..][..N_INPUTS]).copied().collect();
    let column = |values: &[f32]| rows(indices.iter().map(|&i| values[i]).collect(), 1, device);
    let output = network.forward(rows(inputs, N_INPUTS, device), parameters, &mut Pass::as_written(rounding));
    let correction = output.clone().narrow(1, 0, 1);
    let log2_scale = output.narrow(1, 1, 1) + column(&samples.log2_unit);
    let [low, high] = LOG2_SCALES;
    let inverse = (log2_scale.clamp(low, high) * -std::f32::consts::LN_2).exp();
    let rest = column(&samples.above_linear) - correction * column(&samples.unit);
    let above = (rest.clone() + 0.5) * inverse.clone();
    let below = (rest - 0.5) * inverse.clone();
    // sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - e^(b - a)), and 1 - e^-x = tanh(x / 2) (1 + e^-x).
    let between = (inverse.clone() * 0.5).tanh().log() + (inverse.neg().exp() + 1.0).log();
    let nats = softplus(above.neg(), 1.0) + softplus(below, 1.0) - between;
    nats.mean() / std::f32::consts::LN_2
}
