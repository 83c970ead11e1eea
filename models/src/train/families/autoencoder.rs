//! Dense autoencoders: tiles to latents to tiles.
//!
//! ```text
//! x [d] -> dense -> (activation -> dense ...) -> z [k] -> round -> dense -> ... -> y [d]
//!                                                          or, separable:
//!                                                  -> dense -> core [columns, rows] -> columns^T . core . rows -> y
//! ```
//!
//! **Loss.** Bits per value. A residual r at the absolute bound b is coded as the integer round(r / 2b), about
//! `1/4 log2(1 + 15 (r/b)^4)` bits: next to nothing inside the bound, log2(r/b) + 1 far outside. A latent in units of
//! its step costs about `1/2 log2(1 + 12 z^2)` bits. Latent steps are 1 in these units: the network chooses how finely
//! it keeps each latent by choosing its scale. Rounding is replaced by uniform noise in the first half of training
//! (Balle, Laparra and Simoncelli, "End-to-end optimized image compression", 2017); in the second half latents and
//! weights are rounded as they will be in the bundle, and gradients pass straight through.
//!
//! **Weights.** Stored as integers with one scale for each input of a layer. With `weight_coarseness` c the scale of
//! input j is at least `c * 2b / (rms_j sqrt(inputs))`: finer than that, rounding moves no value by a part worth its
//! bits. Most weights are then small integers, which pack well.

use crate::onnx::{self, Activation, Conv2d, Layer, Weights};
use crate::simulate::Random;
use crate::train::measure;
use crate::train::outliers;
use crate::train::principal::{dot, principal};
use crate::train::tiles::Tiles;
use crate::train::{Epoch, Options, Report, Trained};
use baler_codec::bundle::{Bundle, Contents, Family, Input, Latents, Manifest};
use baler_codec::inference::{Network, encoder_from_onnx};
use baler_codec::{Error, Result};
use burn::module::{Module, Param};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::{leaky_relu, relu, sigmoid};
use burn::tensor::{Device, Tensor, TensorData};
use std::ops::ControlFlow;
use std::time::Instant;

/// A matrix kept with entries of about 1, so that one learning rate suits every layer; `scale` gives it back.
#[derive(Module, Debug)]
struct Matrix {
    /// Shape [inputs, outputs].
    weight: Param<Tensor<2>>,
    scale: f32,
}

impl Matrix {
    fn new(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Self {
        let scale = (dot(&values, &values) / values.len() as f32).sqrt().max(1e-12);
        let values: Vec<f32> = values.iter().map(|v| v / scale).collect();
        Self { weight: Param::from_data(TensorData::new(values, shape), device), scale }
    }

    fn value(&self) -> Tensor<2> {
        self.weight.val() * self.scale
    }

    fn to_host(&self) -> Vec<f32> {
        to_host(self.value())
    }

    fn shape(&self) -> [usize; 2] {
        self.weight.val().dims()
    }
}

#[derive(Module, Debug)]
struct Dense {
    weight: Matrix,
    /// Shape [1, outputs].
    bias: Matrix,
}

#[derive(Module, Debug)]
struct Model {
    encoder: Vec<Dense>,
    decoder: Vec<Dense>,
    /// Columns [columns, tile columns], then rows [rows, tile rows]; empty where the decoder is not separable.
    bases: Vec<Matrix>,
}

/// How weights are rounded.
#[derive(Clone, Copy)]
struct Rounding {
    /// Bits of the dense layers.
    bits: u8,
    /// Bits of biases and bases, which are few and need more range.
    fine_bits: u8,
    coarseness: f32,
    /// The bound in units of the network's output.
    bound: f32,
}

impl Rounding {
    /// The smallest sensible scale of each input's weights, given the root mean square of that input.
    fn finest(self, rms: f32, inputs: usize) -> f32 {
        self.coarseness * 2.0 * self.bound / (rms.max(1e-12) * (inputs as f32).sqrt())
    }

    /// The same for the bases: they are few and every value passes through them, so their rounding shall not be what is
    /// seen.
    fn of_bases(self) -> Self {
        Self { bits: self.fine_bits, coarseness: self.coarseness * FINER_BASES, ..self }
    }

    /// As `finest`, of a bias.
    fn finest_bias(self) -> f32 {
        self.coarseness * FINER_BASES * self.bound
    }
}

/// How much finer the bases are kept than the core.
const FINER_BASES: f32 = 0.25;

fn largest(bits: u8) -> f32 {
    if bits == 8 { 127.0 } else { 32767.0 }
}

/// What a pass through the decoder gives.
struct Decoded {
    output: Tensor<2>,
    /// Root mean square of the inputs of each rounded layer (the last dense one, columns, rows), as [inputs, 1].
    rms: Vec<Tensor<2>>,
    /// Estimate of the decoder's bits.
    weight_bits: Option<Tensor<1>>,
}

impl Model {
    fn encode(&self, x: Tensor<2>, activation: Activation) -> Tensor<2> {
        let mut value = x;
        for (i, layer) in self.encoder.iter().enumerate() {
            if i > 0 {
                value = activate(value, activation);
            }
            value = value.matmul(layer.weight.value()) + layer.bias.value();
        }
        value
    }

    /// `rounding` given: with weights as they will be stored.
    fn decode(&self, z: Tensor<2>, options: &Options, tile: &[usize], rounding: Option<Rounding>) -> Decoded {
        let mut bits: Option<Tensor<1>> = None;
        let mut rms = Vec::new();
        let mut value = z;
        for (i, layer) in self.decoder.iter().enumerate() {
            if i > 0 {
                value = activate(value, options.activation);
            }
            let last = i + 1 == self.decoder.len();
            let of_input = last.then(|| root_mean_square(value.clone()));
            let (mut weight, mut bias) = (layer.weight.value(), layer.bias.value());
            if let Some(r) = rounding {
                let [inputs, _] = weight.dims();
                let floor = match &of_input {
                    Some(rms) => finest(rms.clone(), r, inputs),
                    None => Tensor::zeros([inputs, 1], &weight.device()),
                };
                weight = round(weight, floor, r.bits, &mut bits);
                let floor = Tensor::full([1, 1], r.finest_bias(), &bias.device());
                bias = round(bias, floor, r.fine_bits, &mut bits);
            }
            rms.extend(of_input);
            value = value.matmul(weight) + bias;
        }
        if let ([columns, rows], [height, width]) = (&self.bases[..], tile) {
            let (n, kx, ky) = (value.dims()[0], columns.shape()[0], rows.shape()[0]);
            let flat: Tensor<2> = value.reshape([n, kx, ky]).swap_dims(1, 2).reshape([n * ky, kx]);
            let wide = self.along(flat, columns, rounding, &mut rms, &mut bits);
            let flat = wide.reshape([n, ky, *width]).swap_dims(1, 2).reshape([n * width, ky]);
            let high = self.along(flat, rows, rounding, &mut rms, &mut bits);
            value = high.reshape([n, *width, *height]).swap_dims(1, 2).reshape([n, height * width]);
        }
        Decoded { output: value, rms, weight_bits: bits }
    }

    /// One axis of a separable decoder.
    fn along(
        &self,
        value: Tensor<2>,
        basis: &Matrix,
        rounding: Option<Rounding>,
        rms: &mut Vec<Tensor<2>>,
        bits: &mut Option<Tensor<1>>,
    ) -> Tensor<2> {
        let of_input = root_mean_square(value.clone());
        let mut weight = basis.value();
        if let Some(r) = rounding.map(Rounding::of_bases) {
            let floor = finest(of_input.clone(), r, basis.shape()[0]);
            weight = round(weight, floor, r.bits, bits);
        }
        rms.push(of_input);
        value.matmul(weight)
    }
}

fn activate(x: Tensor<2>, activation: Activation) -> Tensor<2> {
    match activation {
        Activation::Relu => relu(x),
        Activation::LeakyRelu(slope) => leaky_relu(x, f64::from(slope)),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid(x),
    }
}

fn root_mean_square(x: Tensor<2>) -> Tensor<2> {
    x.detach().square().mean_dim(0).sqrt().transpose()
}

fn finest(rms: Tensor<2>, rounding: Rounding, inputs: usize) -> Tensor<2> {
    rms.clamp_min(1e-12).recip() * rounding.finest(1.0, inputs)
}

/// Rounds to multiples of one scale for each input; gradients pass as if it had not been done.
fn round(weight: Tensor<2>, floor: Tensor<2>, bits: u8, total: &mut Option<Tensor<1>>) -> Tensor<2> {
    if bits == 32 {
        return weight;
    }
    let scale = (weight.clone().detach().abs().max_dim(1) / largest(bits)).max_pair(floor).clamp_min(1e-30);
    let units = weight.clone() / scale.clone();
    let cost = latent_bits(units.clone()).sum();
    *total = Some(match total.take() {
        Some(sum) => sum + cost,
        None => cost,
    });
    let rounded = units.detach().round() * scale;
    weight.clone() + (rounded - weight.detach())
}

/// Estimate of the bits of integers round(z).
fn latent_bits(z: Tensor<2>) -> Tensor<2> {
    (z.square() * 12.0).log1p() * (0.5 / std::f64::consts::LN_2)
}

/// Estimate of the bits of residuals, given in units of the bound.
fn residual_bits(r: Tensor<2>) -> Tensor<2> {
    (r.square().square() * 15.0).log1p() * (0.25 / std::f64::consts::LN_2)
}

fn to_host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_to_vec().expect("parameters are 32-bit floats")
}

/// Trains, packs, measures.
pub(in crate::train) fn train(
    tiles: &Tiles,
    options: &Options,
    progress: &mut dyn FnMut(&Epoch) -> ControlFlow<()>,
) -> Result<Trained> {
    let start = Instant::now();
    let d = tiles.len();
    let bound = (options.rel_bound * tiles.range) as f32;
    let mut random = Random::new(options.seed);
    let device = Device::flex().autodiff();
    let mut model = build(tiles, options, bound, &mut random, &device)?;
    let rounding = Rounding {
        bits: options.weight_bits,
        fine_bits: options.weight_bits.max(16),
        coarseness: options.weight_coarseness as f32,
        bound,
    };
    let mut optimiser = AdamConfig::new().with_epsilon(1e-8).init();
    let n = tiles.training.len() / d;
    let steps = options.epochs * n.div_ceil(options.batch);
    let loss_of = |model: &Model, batch: Tensor<2>, noise: Option<Tensor<2>>| -> Tensor<1> {
        let [rows, _] = batch.dims();
        let z = model.encode(batch.clone(), options.activation);
        let (z_kept, rounding) = match noise {
            Some(noise) => (z.clone() + noise, None),
            None => (z.clone() + (z.clone().round() - z.clone()).detach(), Some(rounding)),
        };
        let decoded = model.decode(z_kept, options, &tiles.tile, rounding);
        let data_bits = residual_bits((batch - decoded.output) / bound).sum() + latent_bits(z).sum();
        let per_value = data_bits / (rows * d) as f64;
        match decoded.weight_bits {
            Some(bits) if options.model_cost > 0.0 => per_value + bits * (options.model_cost / (n * d) as f64),
            _ => per_value,
        }
    };
    let mut epochs = Vec::new();
    let mut step = 0;
    for epoch in 1..=options.epochs {
        let order = random.permutation(n);
        let (mut sum, mut rate) = (0.0, 0.0);
        for indices in order.chunks(options.batch) {
            let batch: Vec<f32> = indices.iter().flat_map(|&i| &tiles.training[i * d..][..d]).copied().collect();
            let batch = Tensor::from_data(TensorData::new(batch, [indices.len(), d]), &device);
            let noise = (2 * step < steps).then(|| {
                let shape = [indices.len(), options.latents];
                let noise: Vec<f32> = (0..shape[0] * shape[1]).map(|_| random.uniform() - 0.5).collect();
                Tensor::from_data(TensorData::new(noise, shape), &device)
            });
            let loss = loss_of(&model, batch, noise);
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            rate = options.learning_rate * schedule(step, steps);
            model = optimiser.step(rate, model, gradients);
            sum += f64::from(loss.into_scalar::<f32>()) * indices.len() as f64;
            step += 1;
        }
        let training_loss = sum / n as f64;
        if !training_loss.is_finite() {
            return Err(Error::model(format!(
                "training diverged in epoch {epoch}: try a learning rate below {}",
                options.learning_rate
            )));
        }
        let validation_loss = (!tiles.validation.is_empty()).then(|| {
            let rows = tiles.validation.len() / d;
            let sum: f64 = tiles
                .validation
                .chunks(options.batch * d)
                .map(|chunk| {
                    let rows = chunk.len() / d;
                    let batch = Tensor::from_data(TensorData::new(chunk.to_vec(), [rows, d]), &device);
                    f64::from(loss_of(&model, batch, None).into_scalar::<f32>()) * rows as f64
                })
                .sum();
            sum / rows as f64
        });
        let elapsed = start.elapsed();
        let report = Epoch {
            epoch,
            epochs: options.epochs,
            training_loss,
            validation_loss,
            learning_rate: rate,
            elapsed,
            remaining: elapsed.mul_f64((options.epochs - epoch) as f64 / epoch as f64),
        };
        let flow = progress(&report);
        epochs.push(report);
        if flow.is_break() {
            break;
        }
    }
    finish(tiles, options, &model, rounding, epochs, start, &device)
}

/// Rises over the first fiftieth, then falls along a cosine.
fn schedule(step: usize, steps: usize) -> f64 {
    let warm_up = (steps / 50).max(1);
    let rise = ((step + 1) as f64 / warm_up as f64).min(1.0);
    rise * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps as f64).cos()).max(2e-3)
}

/// The untrained model: principal components where layers are linear, random weights where they are not.
fn build(tiles: &Tiles, options: &Options, bound: f32, random: &mut Random, device: &Device) -> Result<Model> {
    let (d, k) = (tiles.len(), options.latents);
    let data = &tiles.training;
    let n = data.len() / d;
    let mut mean = vec![0f32; d];
    for row in data.chunks_exact(d) {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / n as f32);
    }
    // One step of a latent moves the tile by this much along its direction: a little more than the residual's own step.
    let unit = 2.0 * bound * 1.4;
    let mut bases = Vec::new();
    let mut core = data.clone();
    let mut core_mean = mean.clone();
    // From values to core: the identity, or one projection along each axis.
    let mut project: Option<Vec<f32>> = None;
    let mut len = d;
    if let Some([ky, kx]) = options.separable {
        let [height, width] = tiles.tile[..] else {
            return Err(Error::invalid(format!("separable needs a tile with two axes, not {:?}", tiles.tile)));
        };
        if ky > height || kx > width {
            return Err(Error::invalid(format!("separable [{ky}, {kx}]: at most the tile's {height} x {width}")));
        }
        let turned: Vec<f32> = data
            .chunks_exact(d)
            .flat_map(|t| (0..width).flat_map(move |x| (0..height).map(move |y| t[y * width + x])))
            .collect();
        let rows = principal(&turned, &vec![0.0; height], ky, random);
        let columns = principal(data, &vec![0.0; width], kx, random);
        len = kx * ky;
        let matrix: Vec<f32> = (0..d)
            .flat_map(|place| {
                let (y, x) = (place / width, place % width);
                let (columns, rows) = (&columns, &rows);
                (0..len).map(move |o| columns[o / ky * width + x] * rows[o % ky * height + y])
            })
            .collect();
        core = times(data, &matrix, d, len);
        core_mean = times(&mean, &matrix, d, len);
        project = Some(matrix);
        bases = vec![Matrix::new(columns, [kx, width], device), Matrix::new(rows, [ky, height], device)];
    }
    let linear = options.encoder_hidden.is_empty() && options.decoder_hidden.is_empty();
    let transposed = |m: &[f32], rows: usize, columns: usize| -> Vec<f32> {
        (0..columns).flat_map(|c| (0..rows).map(move |r| m[r * columns + c])).collect()
    };
    let dense = |weight: Vec<f32>, bias: Vec<f32>, shape: [usize; 2]| {
        let mut bias = Matrix::new(bias, [1, shape[1]], device);
        if bias.scale <= 1e-12 {
            bias.scale = 1.0;
        }
        Dense { weight: Matrix::new(weight, shape, device), bias }
    };
    let (encoder, mut decoder);
    if linear {
        let directions = principal(&core, &core_mean, k, random);
        let down: Vec<f32> = transposed(&directions, k, len).iter().map(|v| v / unit).collect();
        let down = match &project {
            Some(matrix) => times(matrix, &down, len, k),
            None => down,
        };
        let offset: Vec<f32> = times(&mean, &down, d, k).iter().map(|v| -v).collect();
        encoder = vec![dense(down, offset, [d, k])];
        let up = directions.iter().map(|v| v * unit).collect();
        decoder = vec![dense(up, core_mean, [k, len])];
    } else {
        // Latents of about +-8 steps to begin with.
        encoder = random_layers(d, &options.encoder_hidden, k, 8.0, vec![0.0; k], random, &dense);
        decoder = random_layers(k, &options.decoder_hidden, len, 0.1, core_mean, random, &dense);
        // Its first layer takes what the encoder's last one gives.
        decoder[0].weight.scale /= 8.0;
    }
    Ok(Model { encoder, decoder, bases })
}

/// Layers of random weights that keep the variance (He et al. 2015), the last one scaled by `gain`.
fn random_layers(
    inputs: usize,
    hidden: &[usize],
    outputs: usize,
    gain: f32,
    last_bias: Vec<f32>,
    random: &mut Random,
    dense: &dyn Fn(Vec<f32>, Vec<f32>, [usize; 2]) -> Dense,
) -> Vec<Dense> {
    let widths: Vec<usize> = std::iter::once(inputs).chain(hidden.iter().copied()).chain([outputs]).collect();
    let n = widths.len() - 1;
    (0..n)
        .map(|i| {
            let (a, b) = (widths[i], widths[i + 1]);
            let spread = if i + 1 == n { gain } else { 2f32.sqrt() } / (a as f32).sqrt();
            let weight = (0..a * b).map(|_| random.normal() * spread).collect();
            let bias = if i + 1 == n { last_bias.clone() } else { vec![0.0; b] };
            dense(weight, bias, [a, b])
        })
        .collect()
}

/// Rows of `a` (length `inner`) times the matrix `b` [inner, outer].
fn times(a: &[f32], b: &[f32], inner: usize, outer: usize) -> Vec<f32> {
    let mut out = vec![0f32; a.len() / inner * outer];
    for (row, out) in a.chunks_exact(inner).zip(out.chunks_exact_mut(outer)) {
        for (v, b) in row.iter().zip(b.chunks_exact(outer)) {
            out.iter_mut().zip(b).for_each(|(o, b)| *o += v * b);
        }
    }
    out
}

/// Weights [inputs, outputs] as they are stored: [outputs, inputs], with a scale for each input.
fn store(values: &[f32], [inputs, outputs]: [usize; 2], bits: u8, floor: &dyn Fn(usize) -> f32) -> Weights {
    let turn = |v: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
        (0..outputs).flat_map(|o| (0..inputs).map(move |i| (i, o))).map(|(i, o)| v(i, o)).collect()
    };
    if bits == 32 {
        return Weights::F32(turn(&|i, o| values[i * outputs + o]));
    }
    let scales: Vec<f32> = values
        .chunks_exact(outputs)
        .enumerate()
        .map(|(i, row)| {
            let most = row.iter().fold(0f32, |m, v| m.max(v.abs()));
            (most / largest(bits)).max(floor(i)).max(1e-30)
        })
        .collect();
    let limit = largest(bits);
    let integers = turn(&|i, o| (values[i * outputs + o] / scales[i]).round_ties_even().clamp(-limit, limit));
    match bits {
        8 => Weights::I8 { values: integers.iter().map(|v| *v as i8).collect(), scales, axis: 1 },
        _ => Weights::I16 { values: integers.iter().map(|v| *v as i16).collect(), scales, axis: 1 },
    }
}

/// A bias [outputs], with one scale.
fn store_bias(values: &[f32], bits: u8, floor: f32) -> Weights {
    match store(values, [1, values.len()], bits, &|_| floor) {
        Weights::I8 { values, scales, .. } => Weights::I8 { values, scales, axis: 0 },
        Weights::I16 { values, scales, .. } => Weights::I16 { values, scales, axis: 0 },
        floats => floats,
    }
}

/// The decoder's layers as they are written. `rms` holds the root mean squares of [`Decoded::rms`].
fn decoder_layers(
    model: &Model,
    options: &Options,
    tile: &[usize],
    rounding: Rounding,
    rms: &[Vec<f32>],
) -> Vec<Layer> {
    let mut layers = Vec::new();
    for (i, layer) in model.decoder.iter().enumerate() {
        if i > 0 {
            layers.push(Layer::Activation(options.activation));
        }
        let [inputs, outputs] = layer.weight.shape();
        let last = i + 1 == model.decoder.len();
        let floor = |j: usize| if last { rounding.finest(rms[0][j], inputs) } else { 0.0 };
        let weight = store(&layer.weight.to_host(), [inputs, outputs], rounding.bits, &floor);
        let bias = store_bias(&layer.bias.to_host(), rounding.fine_bits, rounding.finest_bias());
        layers.push(Layer::Dense { inputs, outputs, weight, bias: Some(bias) });
    }
    if let ([columns, rows], [height, width]) = (&model.bases[..], tile) {
        let along = |basis: &Matrix, rms: &[f32]| {
            let [inputs, outputs] = basis.shape();
            let rounding = rounding.of_bases();
            let floor = |j: usize| rounding.finest(rms[j], inputs);
            let weight = store(&basis.to_host(), [inputs, outputs], rounding.bits, &floor);
            let conv =
                Conv2d { inputs, outputs, kernel: [1, 1], stride: [1, 1], padding: [0, 0], output_padding: [0, 0] };
            Layer::Conv { conv, weight, bias: None }
        };
        let (kx, ky) = (columns.shape()[0], rows.shape()[0]);
        layers.push(Layer::Reshape(vec![kx, ky, 1]));
        layers.push(along(columns, &rms[1]));
        layers.push(Layer::Transpose(vec![0, 2, 1, 3]));
        layers.push(along(rows, &rms[2]));
        layers.push(Layer::Reshape(vec![*height, *width]));
    }
    layers
}

fn encoder_layers(model: &Model, options: &Options) -> Result<Vec<Layer>> {
    let mut layers = Vec::new();
    // The encoder runs only where data are written: 16 bits halve its size and cost nothing that could be measured.
    let bits = if options.weight_bits == 32 { 32 } else { 16 };
    for (i, layer) in model.encoder.iter().enumerate() {
        if i > 0 {
            layers.push(Layer::Activation(options.activation));
        }
        let [inputs, outputs] = layer.weight.shape();
        let host = layer.weight.to_host();
        let turned: Vec<f32> =
            (0..outputs).flat_map(|o| (0..inputs).map(move |i| i * outputs + o)).map(|at| host[at]).collect();
        let weight = Weights::quantise(&turned, &[outputs, inputs], Some(0), bits)?;
        let bias = Some(Weights::F32(layer.bias.to_host()));
        layers.push(Layer::Dense { inputs, outputs, weight, bias });
    }
    Ok(layers)
}

/// Writes, packs and measures.
fn finish(
    tiles: &Tiles,
    options: &Options,
    model: &Model,
    rounding: Rounding,
    epochs: Vec<Epoch>,
    start: Instant,
    device: &Device,
) -> Result<Trained> {
    let (d, k) = (tiles.len(), options.latents);
    let n = tiles.training.len() / d;
    let mut squares: Vec<Vec<f64>> = Vec::new();
    for chunk in tiles.training.chunks(options.batch * d) {
        let rows = chunk.len() / d;
        let x = Tensor::from_data(TensorData::new(chunk.to_vec(), [rows, d]), device);
        let z = model.encode(x, options.activation).round();
        let rms = model.decode(z, options, &tiles.tile, Some(rounding)).rms;
        for (i, rms) in rms.into_iter().enumerate() {
            let rms = to_host(rms);
            if squares.len() <= i {
                squares.push(vec![0.0; rms.len()]);
            }
            let share = rows as f64 / n as f64;
            squares[i].iter_mut().zip(&rms).for_each(|(sum, v)| *sum += share * f64::from(*v).powi(2));
        }
    }
    let rms: Vec<Vec<f32>> = squares.iter().map(|s| s.iter().map(|v| v.sqrt() as f32).collect()).collect();
    let decoder = decoder_layers(model, options, &tiles.tile, rounding, &rms);
    let output_shape: &[usize] = if model.bases.is_empty() { &[d] } else { &tiles.tile };
    let decoder = onnx::write("decoder", &[k], output_shape, &decoder)?;
    let encoder = onnx::write("encoder", &[d], &[k], &encoder_layers(model, options)?)?;

    let set = if tiles.test.is_empty() { (&tiles.training, "training") } else { (&tiles.test, "test") };
    let measured = measure::measure(&encoder, &decoder, set.0, d, k, options.rel_bound, tiles.range)?;
    let mut manifest = Manifest {
        format: 1,
        name: options.name.clone(),
        family: Family::Autoencoder,
        description: options.description.clone(),
        license: options.license.clone(),
        input: Input { tile: tiles.tile.clone(), normalisation: tiles.normalisation.clone() },
        latents: Latents { count: k, step: vec![1.0; k] },
        predictor: None,
        density: None,
        training: Default::default(),
        metrics: Default::default(),
    };
    if options.density || options.remove_outliers > 0 {
        let (encoder, decoder) = (encoder_from_onnx(&encoder)?, Network::from_onnx(&decoder)?);
        let (density, _) = outliers::fit(&*encoder, &decoder, &tiles.training, d, options.outlier_quantile)?;
        manifest.density = Some(density);
    }
    manifest.format = manifest.least_format();
    let mut put = |key: &str, value: toml::Value| {
        manifest.training.insert(key.into(), value);
    };
    put("rel_bound", options.rel_bound.into());
    put("seed", (options.seed as i64).into());
    put("epochs", (epochs.len() as i64).into());
    put("tiles", (n as i64).into());
    put("weight_bits", i64::from(options.weight_bits).into());
    manifest.metrics.insert("measured_on".into(), set.1.into());
    for at in &measured.at_bounds {
        // Two decimals: further ones would change the bundle's hash for nothing.
        let rounded = (at.bits_per_value * 1e3).round() / 1e3;
        manifest.metrics.insert(format!("bits_per_value_rel_{:e}", at.rel_bound), rounded.into());
    }
    if !tiles.removed.is_empty() {
        let removed: Vec<i64> = tiles.removed.iter().map(|&n| n as i64).collect();
        manifest.training.insert("outliers_removed".into(), removed.into());
    }
    if !tiles.reasons.is_empty() {
        manifest.training.insert("normalisation".into(), tiles.reasons.clone().into());
    }
    let bundle = Bundle::new(&manifest.to_toml()?, Some(encoder), decoder, options.card.clone())?;
    let decoder_weights =
        model.decoder.iter().map(|l| l.weight.weight.val().shape().num_elements() + l.bias.shape()[1]);
    let base_weights = model.bases.iter().map(|m| m.weight.val().shape().num_elements());
    let report = Report {
        epochs,
        tiles: [n, tiles.validation.len() / d, tiles.test.len() / d],
        measured_on: set.1,
        n_values: set.0.len(),
        psnr: measured.psnr,
        max_error: measured.max_error,
        at_bounds: measured.at_bounds,
        decoder_bytes: bundle.decoder_bytes(),
        bundle_bytes: bundle.to_bytes(Contents::Full).len(),
        decoder_weights: decoder_weights.sum::<usize>() + base_weights.sum::<usize>(),
        elapsed: start.elapsed(),
    };
    Ok(Trained { bundle, report })
}
