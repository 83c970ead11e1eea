//! Dense networks of any widths, their weights trained as the integers they are stored as.
//!
//! ```text
//! x [d] -> dense -> (activation -> dense ...) -> z [k] -> round -> dense -> ... -> y [d]
//!                                                          or, separable:
//!                                                  -> dense -> core [columns, rows] -> columns^T . core . rows -> y
//! ```
//!
//! Without hidden layers training starts from principal components, with them from random weights.

use super::{Architecture, Build, Exported, Model, Pass, can_be_negative};
use crate::onnx::{Activation, Conv, Layer, Weights};
use crate::simulate::Random;
use crate::train::parameters::{Index, Parameters, to_host};
use crate::train::principal::{dot, principal};
use crate::train::quantise_aware;
use crate::train::rounding::{Rounding, round, store, store_bias};
use baler_codec::{Error, Result};
use burn::tensor::Tensor;
use burn::tensor::activation::{leaky_relu, relu, sigmoid};

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "dense",
    about: "dense layers of any widths, or whole frames as a separable decoder; weights trained as stored integers",
    build: |from, random| Ok(Box::new(Dense::new(from, random)?)),
};

/// A matrix kept with entries of about 1, so that one learning rate suits every layer; `scale` gives it back.
#[derive(Clone, Debug)]
struct Matrix {
    /// Shape [inputs, outputs].
    weight: Index,
    shape: [usize; 2],
    scale: f32,
}

impl Matrix {
    fn new(values: Vec<f32>, shape: [usize; 2], parameters: &mut Parameters) -> Self {
        let scale = (dot(&values, &values) / values.len() as f32).sqrt().max(1e-12);
        let values: Vec<f32> = values.iter().map(|v| v / scale).collect();
        Self { weight: parameters.add(values, &shape), shape, scale }
    }

    fn value(&self, parameters: &Parameters) -> Tensor<2> {
        parameters.get::<2>(self.weight) * self.scale
    }

    fn to_host(&self, parameters: &Parameters) -> Vec<f32> {
        to_host(self.value(parameters))
    }
}

/// One layer.
#[derive(Clone, Debug)]
struct Affine {
    weight: Matrix,
    /// Shape [1, outputs].
    bias: Matrix,
}

struct Dense {
    parameters: Parameters,
    encoder: Vec<Affine>,
    decoder: Vec<Affine>,
    /// Columns [columns, tile columns], then rows [rows, tile rows]; empty where the decoder is not separable.
    bases: Vec<Matrix>,
    tile: Vec<usize>,
    n_training: usize,
    activation: Activation,
}

impl Model for Dense {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    fn encode(&self, x: Tensor<2>, pass: &mut Pass<'_>) -> Tensor<2> {
        let mut value = pass.fixed_value(x, false);
        for (i, layer) in self.encoder.iter().enumerate() {
            if i > 0 {
                value = activate(value, self.activation);
                pass.note(&format!("encoder {i}"), &value, layer.weight.shape[0]);
                value = pass.fixed_value(value, can_be_negative(self.activation));
            }
            let weight = pass.fixed_weight(layer.weight.value(&self.parameters));
            value = value.matmul(weight) + layer.bias.value(&self.parameters);
        }
        pass.fixed_value(value, true)
    }

    fn decode(&self, z: Tensor<2>, pass: &mut Pass<'_>) -> Tensor<2> {
        self.decode_with_rms(z, pass, &mut Vec::new())
    }

    fn export(&self, rounding: Rounding, latents: &mut dyn Iterator<Item = Tensor<2>>) -> Result<Exported> {
        let mut squares: Vec<Vec<f64>> = Vec::new();
        for z in latents {
            let share = z.dims()[0] as f64 / self.n_training as f64;
            let mut rms = Vec::new();
            self.decode_with_rms(z, &mut Pass::as_written(Some(rounding)), &mut rms);
            squares.resize(rms.len(), Vec::new());
            for (sums, rms) in squares.iter_mut().zip(rms) {
                let rms = to_host(rms);
                sums.resize(rms.len(), 0.0);
                sums.iter_mut().zip(&rms).for_each(|(sum, v)| *sum += share * f64::from(*v).powi(2));
            }
        }
        let rms: Vec<Vec<f32>> = squares.iter().map(|s| s.iter().map(|v| v.sqrt() as f32).collect()).collect();
        let layers = self.decoder.iter().flat_map(|l| [&l.weight, &l.bias]).chain(&self.bases);
        let d = self.tile.iter().product();
        Ok(Exported {
            encoder: self.encoder_layers(rounding)?,
            encoder_input: vec![d],
            decoder: self.decoder_layers(rounding, &rms),
            decoder_output: if self.bases.is_empty() { vec![d] } else { self.tile.clone() },
            decoder_weights: layers.map(|m| m.shape.iter().product::<usize>()).sum(),
        })
    }
}

impl Dense {
    /// The untrained model: principal components where layers are linear, random weights where they are not.
    fn new(from: &Build<'_>, random: &mut Random) -> Result<Self> {
        let Build { tiles, options, bound, device } = *from;
        let mut parameters = Parameters::new(device);
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
            bases = vec![
                Matrix::new(columns, [kx, width], &mut parameters),
                Matrix::new(rows, [ky, height], &mut parameters),
            ];
        }
        let linear = options.encoder_hidden.is_empty() && options.decoder_hidden.is_empty();
        let transposed = |m: &[f32], rows: usize, columns: usize| -> Vec<f32> {
            (0..columns).flat_map(|c| (0..rows).map(move |r| m[r * columns + c])).collect()
        };
        let mut dense = |weight: Vec<f32>, bias: Vec<f32>, shape: [usize; 2]| {
            let mut bias = Matrix::new(bias, [1, shape[1]], &mut parameters);
            if bias.scale <= 1e-12 {
                bias.scale = 1.0;
            }
            Affine { weight: Matrix::new(weight, shape, &mut parameters), bias }
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
            encoder = random_layers(d, &options.encoder_hidden, k, 8.0, vec![0.0; k], random, &mut dense);
            decoder = random_layers(k, &options.decoder_hidden, len, 0.1, core_mean, random, &mut dense);
            // Its first layer takes what the encoder's last one gives.
            decoder[0].weight.scale /= 8.0;
        }
        let (tile, activation) = (tiles.tile.clone(), options.activation);
        Ok(Self { parameters, encoder, decoder, bases, tile, n_training: n, activation })
    }

    /// As [`Model::decode`]; `rms` gets the root mean square of the inputs of each rounded layer (the last dense one,
    /// columns, rows), as [inputs, 1].
    fn decode_with_rms(&self, z: Tensor<2>, pass: &mut Pass<'_>, rms: &mut Vec<Tensor<2>>) -> Tensor<2> {
        let mut bits: Option<Tensor<1>> = None;
        let mut value = z;
        for (i, layer) in self.decoder.iter().enumerate() {
            if i > 0 {
                value = activate(value, self.activation);
                pass.note(&format!("decoder {i}"), &value, layer.weight.shape[0]);
            }
            let last = i + 1 == self.decoder.len();
            let of_input = last.then(|| root_mean_square(value.clone()));
            let (mut weight, mut bias) = (layer.weight.value(&self.parameters), layer.bias.value(&self.parameters));
            if let Some(r) = pass.rounding {
                let [inputs, _] = weight.dims();
                let floor = match &of_input {
                    Some(rms) => r.finest_of_all(rms.clone(), inputs),
                    None => Tensor::zeros([inputs, 1], &weight.device()),
                };
                weight = round(weight, floor, r.bits, &mut bits);
                let floor = Tensor::full([1, 1], r.finest_bias(), &bias.device());
                bias = round(bias, floor, r.fine_bits, &mut bits);
            }
            rms.extend(of_input);
            value = value.matmul(weight) + bias;
        }
        if let ([columns, rows], [height, width]) = (&self.bases[..], &self.tile[..]) {
            let (n, kx, ky) = (value.dims()[0], columns.shape[0], rows.shape[0]);
            let flat: Tensor<2> = value.reshape([n, kx, ky]).swap_dims(1, 2).reshape([n * ky, kx]);
            let wide = self.along(flat, columns, pass.rounding, rms, &mut bits);
            let flat = wide.reshape([n, ky, *width]).swap_dims(1, 2).reshape([n * width, ky]);
            let high = self.along(flat, rows, pass.rounding, rms, &mut bits);
            value = high.reshape([n, *width, *height]).swap_dims(1, 2).reshape([n, height * width]);
        }
        pass.weight_bits = bits;
        value
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
        let mut weight = basis.value(&self.parameters);
        if let Some(r) = rounding.map(Rounding::of_bases) {
            let floor = r.finest_of_all(of_input.clone(), basis.shape[0]);
            weight = round(weight, floor, r.bits, bits);
        }
        rms.push(of_input);
        value.matmul(weight)
    }

    /// The decoder's layers as they are written, given the root mean squares of what enters the rounded ones.
    fn decoder_layers(&self, rounding: Rounding, rms: &[Vec<f32>]) -> Vec<Layer> {
        let mut layers = Vec::new();
        for (i, layer) in self.decoder.iter().enumerate() {
            if i > 0 {
                layers.push(Layer::Activation(self.activation));
            }
            let [inputs, outputs] = layer.weight.shape;
            let last = i + 1 == self.decoder.len();
            let floor = |j: usize| if last { rounding.finest(rms[0][j], inputs) } else { 0.0 };
            let weight = store(&layer.weight.to_host(&self.parameters), [inputs, outputs], rounding.bits, &floor);
            let bias = store_bias(&layer.bias.to_host(&self.parameters), rounding.fine_bits, rounding.finest_bias());
            layers.push(Layer::Dense { inputs, outputs, weight, bias: Some(bias) });
        }
        if let ([columns, rows], [height, width]) = (&self.bases[..], &self.tile[..]) {
            let along = |basis: &Matrix, rms: &[f32]| {
                let [inputs, outputs] = basis.shape;
                let rounding = rounding.of_bases();
                let floor = |j: usize| rounding.finest(rms[j], inputs);
                let weight = store(&basis.to_host(&self.parameters), [inputs, outputs], rounding.bits, &floor);
                Layer::Conv { conv: Conv::pointwise(inputs, outputs, 2), weight, bias: None }
            };
            let (kx, ky) = (columns.shape[0], rows.shape[0]);
            layers.push(Layer::Reshape(vec![kx, ky, 1]));
            layers.push(along(columns, &rms[1]));
            layers.push(Layer::Transpose(vec![0, 2, 1, 3]));
            layers.push(along(rows, &rms[2]));
            layers.push(Layer::Reshape(vec![*height, *width]));
        }
        layers
    }

    fn encoder_layers(&self, rounding: Rounding) -> Result<Vec<Layer>> {
        let mut layers = Vec::new();
        // The encoder runs only where data are written: 16 bits halve its size and cost nothing that could be measured.
        let bits = if rounding.bits == 32 { 32 } else { 16 };
        for (i, layer) in self.encoder.iter().enumerate() {
            if i > 0 {
                layers.push(Layer::Activation(self.activation));
            }
            let [inputs, outputs] = layer.weight.shape;
            let host = layer.weight.to_host(&self.parameters);
            let turned: Vec<f32> =
                (0..outputs).flat_map(|o| (0..inputs).map(move |i| i * outputs + o)).map(|at| host[at]).collect();
            let weight = match rounding.fixed_bits {
                Some(bits) => quantise_aware::store(&turned, bits)?,
                None => Weights::quantise(&turned, &[outputs, inputs], Some(0), bits)?,
            };
            let bias = Some(Weights::F32(layer.bias.to_host(&self.parameters)));
            layers.push(Layer::Dense { inputs, outputs, weight, bias });
        }
        Ok(layers)
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

/// Layers of random weights that keep the variance (He et al. 2015), the last one scaled by `gain`.
fn random_layers(
    inputs: usize,
    hidden: &[usize],
    outputs: usize,
    gain: f32,
    last_bias: Vec<f32>,
    random: &mut Random,
    dense: &mut dyn FnMut(Vec<f32>, Vec<f32>, [usize; 2]) -> Affine,
) -> Vec<Affine> {
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
