//! Layers that networks are listed as, and how a list computes and is written.

use super::{Pass, can_be_negative};
use crate::onnx::{Activation, Conv, Layer, Weights};
use crate::simulate::Random;
use crate::train::parameters::{Index, Parameters};
use crate::train::quantise_aware;
use crate::train::rounding::Rounding;
use baler_codec::{Error, Result};
use burn::tensor::activation::{leaky_relu, relu, sigmoid};
use burn::tensor::module::{conv_transpose2d, conv_transpose3d, conv1d, conv2d, conv3d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{Tensor, TensorData};

/// One layer of a list. Shapes are without the batch; channels come first.
#[derive(Clone, Debug)]
pub(in crate::train) enum Block {
    /// To this many outputs.
    Dense(usize),
    Conv(Conv),
    ConvTranspose(Conv),
    Activation(Activation),
    /// After a linear layer, or right before a dense one: it is folded into that one's weights when written, with the
    /// running statistics, so a batch of one decodes like any other.
    BatchNorm,
    /// Generalised divisive normalisation, `x_i / sqrt(beta_i + sum_j gamma_ij x_j^2)` over channels, or times that root
    /// where `inverse` (Balle, Laparra and Simoncelli, "Density modeling of images using a generalized normalization
    /// transformation", 2016).
    Gdn {
        inverse: bool,
    },
    /// Leaves out this part of the values while training.
    Dropout(f64),
    Reshape(Vec<usize>),
}

/// One layer with its parameters.
#[derive(Clone, Debug)]
struct Step {
    block: Block,
    /// Weight and bias; for batch normalisation scale, shift, running mean and variance.
    parameters: Vec<Index>,
    input: Vec<usize>,
    output: Vec<usize>,
}

/// A network: layers one after the other.
#[derive(Clone, Debug)]
pub(in crate::train) struct Chain {
    /// What its layers are called in reports.
    name: &'static str,
    steps: Vec<Step>,
}

/// How fast running statistics follow those of a batch.
const MOMENTUM: f64 = 0.1;
const EPSILON: f64 = 1e-5;
/// Least value of GDN's beta.
const LEAST_BETA: f64 = 1e-6;

impl Chain {
    /// With random weights, uniform within `1 / sqrt(inputs of a node)`. Error: layers whose shapes do not fit.
    pub fn new(
        name: &'static str,
        input: &[usize],
        blocks: &[Block],
        parameters: &mut Parameters,
        random: &mut Random,
    ) -> Result<Self> {
        let mut steps: Vec<Step> = Vec::new();
        let mut shape = input.to_vec();
        for (i, block) in blocks.iter().enumerate() {
            let misfit =
                || Error::invalid(format!("{name}: layer {i}, {block:?}, cannot follow values of shape {shape:?}"));
            let mut uniform = |n: usize, fan_in: usize| -> Vec<f32> {
                let limit = 1.0 / (fan_in as f32).sqrt();
                (0..n).map(|_| (2.0 * random.uniform() - 1.0) * limit).collect()
            };
            let (indices, output) = match block {
                Block::Dense(outputs) => {
                    let [inputs] = shape[..] else { return Err(misfit()) };
                    let weight = parameters.add(uniform(inputs * outputs, inputs), &[inputs, *outputs]);
                    (vec![weight, parameters.add(uniform(*outputs, inputs), &[*outputs])], vec![*outputs])
                }
                Block::Conv(conv) | Block::ConvTranspose(conv) => {
                    let transposed = matches!(block, Block::ConvTranspose(_));
                    let output = conv.output_shape(&shape, transposed).ok_or_else(misfit)?;
                    let volume: usize = conv.kernel.iter().product();
                    let channels = if transposed { [conv.inputs, conv.outputs] } else { [conv.outputs, conv.inputs] };
                    let fan_in = channels[1] * volume;
                    let weight_shape = [&channels[..], &conv.kernel].concat();
                    let weight = parameters.add(uniform(conv.inputs * conv.outputs * volume, fan_in), &weight_shape);
                    (vec![weight, parameters.add(uniform(conv.outputs, fan_in), &[conv.outputs])], output)
                }
                Block::BatchNorm => {
                    let folds = steps.last().is_some_and(|s| is_linear(&s.block))
                        || matches!(blocks.get(i + 1), Some(Block::Dense(_)));
                    if !folds {
                        return Err(misfit());
                    }
                    let c = shape[0];
                    let scale = parameters.add(vec![1.0; c], &[c]);
                    let shift = parameters.add(vec![0.0; c], &[c]);
                    let mean = parameters.add_statistics(vec![0.0; c]);
                    (vec![scale, shift, mean, parameters.add_statistics(vec![1.0; c])], shape.clone())
                }
                Block::Gdn { .. } => {
                    // Roots of gamma and beta. Off the diagonal a little above 0, where the root has a gradient.
                    let c = shape[0];
                    let gamma = (0..c * c).map(|i| if i % (c + 1) == 0 { 0.1f32.sqrt() } else { 0.01 }).collect();
                    (vec![parameters.add(gamma, &[c, c, 1]), parameters.add(vec![1.0; c], &[c])], shape.clone())
                }
                Block::Reshape(to) => {
                    if to.iter().product::<usize>() != shape.iter().product::<usize>() {
                        return Err(misfit());
                    }
                    (Vec::new(), to.clone())
                }
                Block::Activation(_) | Block::Dropout(_) => (Vec::new(), shape.clone()),
            };
            let input = std::mem::replace(&mut shape, output.clone());
            steps.push(Step { block: block.clone(), parameters: indices, input, output });
        }
        Ok(Self { name, steps })
    }

    /// Shape of what the network gives.
    pub fn output_shape(&self) -> &[usize] {
        self.steps.last().map_or(&[], |step| &step.output)
    }

    /// Number of weights, folded ones left out.
    pub fn n_weights(&self, parameters: &Parameters) -> usize {
        let kept = self.steps.iter().filter(|step| !matches!(step.block, Block::BatchNorm));
        kept.flat_map(|step| &step.parameters).map(|&i| parameters.shape(i).iter().product::<usize>()).sum()
    }

    /// Rows [n, values] through all layers.
    pub fn forward(&self, x: Tensor<2>, parameters: &Parameters, pass: &mut Pass<'_>) -> Tensor<2> {
        let mut layer = 0;
        let mut value = pass.fixed_value(x, false);
        for (i, step) in self.steps.iter().enumerate() {
            value = step.forward(value, parameters, pass);
            layer += usize::from(is_linear(&step.block));
            if matches!(step.block, Block::Activation(_) | Block::Gdn { .. }) {
                pass.note(&format!("{} {layer}", self.name), &value, step.output[0]);
            }
            if let Some(must_be_signed) = self.ends_in(i) {
                value = pass.fixed_value(value, must_be_signed);
            }
        }
        value
    }

    /// Whether what step `i` gives is rounded in fixed point, and if so whether it must be signed: linear layers round
    /// together with the activation behind them.
    fn ends_in(&self, i: usize) -> Option<bool> {
        let mut after = self.steps[i + 1..].iter().map(|step| &step.block);
        let next = after.find(|block| !matches!(block, Block::Reshape(_) | Block::Dropout(_)));
        match &self.steps[i].block {
            Block::Activation(activation) => Some(can_be_negative(*activation)),
            block if is_linear(block) && !matches!(next, Some(Block::Activation(_))) => Some(true),
            _ => None,
        }
    }

    /// The layers as they are written, with weights of `bits`, or in fixed point of `fixed_bits`.
    pub fn export(&self, parameters: &Parameters, bits: u8, fixed_bits: Option<u8>) -> Result<Vec<Layer>> {
        let mut layers = Vec::new();
        // Batch normalisation that the next dense layer takes in.
        let mut before: Option<Vec<[f64; 2]>> = None;
        for (i, step) in self.steps.iter().enumerate() {
            let after = match self.steps.get(i + 1) {
                Some(next) if matches!(next.block, Block::BatchNorm) => Some(next.scales_and_shifts(parameters)),
                _ => None,
            };
            match &step.block {
                Block::Dense(_) | Block::Conv(_) | Block::ConvTranspose(_) => {
                    layers.push(step.export_linear(parameters, (bits, fixed_bits), before.take(), after)?);
                }
                Block::BatchNorm => {
                    let folded = i > 0 && !self.steps[i - 1].parameters.is_empty();
                    before = (!folded).then(|| step.scales_and_shifts(parameters));
                }
                Block::Activation(activation) => layers.push(Layer::Activation(*activation)),
                Block::Gdn { inverse } => {
                    let square = |v: Vec<f32>| v.into_iter().map(|v| v * v);
                    layers.push(Layer::Gdn {
                        channels: step.output[0],
                        axes: step.output.len() - 1,
                        gamma: Weights::F32(square(parameters.values(step.parameters[0])).collect()),
                        beta: Weights::F32(
                            square(parameters.values(step.parameters[1])).map(|v| v + LEAST_BETA as f32).collect(),
                        ),
                        inverse: *inverse,
                    });
                }
                Block::Dropout(_) => {}
                Block::Reshape(to) => layers.push(Layer::Reshape(to.clone())),
            }
        }
        Ok(layers)
    }
}

impl Step {
    fn forward(&self, x: Tensor<2>, parameters: &Parameters, pass: &mut Pass<'_>) -> Tensor<2> {
        let n = x.dims()[0];
        match &self.block {
            Block::Dense(_) => {
                let weight = round_trained(parameters.get::<2>(self.parameters[0]), 1, pass.rounding);
                let weight = pass.fixed_weight(weight);
                x.matmul(weight) + parameters.get::<1>(self.parameters[1]).unsqueeze()
            }
            Block::Conv(conv) | Block::ConvTranspose(conv) => {
                let transposed = matches!(self.block, Block::ConvTranspose(_));
                match (conv.kernel.len(), transposed) {
                    (2, _) => self.convolve::<4, 2>(x, parameters, pass, conv, transposed, |x, w, b, o| match o {
                        Ok(o) => conv2d(x, w, b, o),
                        Err(o) => conv_transpose2d(x, w, b, o),
                    }),
                    _ => self.convolve::<5, 3>(x, parameters, pass, conv, transposed, |x, w, b, o| match o {
                        Ok(o) => conv3d(x, w, b, o),
                        Err(o) => conv_transpose3d(x, w, b, o),
                    }),
                }
            }
            Block::Activation(activation) => match *activation {
                Activation::Relu => relu(x),
                Activation::LeakyRelu(slope) => leaky_relu(x, f64::from(slope)),
                Activation::Tanh => x.tanh(),
                Activation::Sigmoid => sigmoid(x),
            },
            Block::BatchNorm => self.normalise(x, parameters, pass),
            Block::Gdn { inverse } => {
                let [c, places] = self.channels_and_places();
                let gamma = parameters.get::<3>(self.parameters[0]).square();
                let beta = parameters.get::<1>(self.parameters[1]).square() + LEAST_BETA;
                let squares = x.clone().square().reshape([n, c, places]);
                let options = ConvOptions::new([1], [0], [1], 1);
                let root = conv1d(squares, gamma, Some(beta), options).sqrt().reshape([n, c * places]);
                if *inverse { x * root } else { x / root }
            }
            Block::Dropout(rate) => {
                let Some(random) = &mut pass.training else { return x };
                let [n, d] = x.dims();
                let kept = (1.0 / (1.0 - rate)) as f32;
                let mask: Vec<f32> =
                    (0..n * d).map(|_| if f64::from(random.uniform()) < *rate { 0.0 } else { kept }).collect();
                let mask = Tensor::<2>::from_data(TensorData::new(mask, [n, d]), &x.device());
                x * mask
            }
            Block::Reshape(_) => x,
        }
    }

    /// Channels, and places each of them has.
    fn channels_and_places(&self) -> [usize; 2] {
        [self.output[0], self.output[1..].iter().product()]
    }

    /// A convolution of `A` spatial axes; `D` is `A + 2`.
    fn convolve<const D: usize, const A: usize>(
        &self,
        x: Tensor<2>,
        parameters: &Parameters,
        pass: &mut Pass<'_>,
        conv: &Conv,
        transposed: bool,
        run: impl Fn(
            Tensor<D>,
            Tensor<D>,
            Option<Tensor<1>>,
            std::result::Result<ConvOptions<A>, ConvTransposeOptions<A>>,
        ) -> Tensor<D>,
    ) -> Tensor<2> {
        let n = x.dims()[0];
        let each = |list: &[usize]| -> [usize; A] { std::array::from_fn(|axis| list[axis]) };
        let shape: [usize; D] = std::array::from_fn(|axis| if axis == 0 { n } else { self.input[axis - 1] });
        let weight = parameters.get::<D>(self.parameters[0]);
        let bias = Some(parameters.get::<1>(self.parameters[1]));
        let (stride, padding, one) = (each(&conv.stride), each(&conv.padding), [1; A]);
        let weight = pass.fixed_weight(round_trained(weight, usize::from(transposed), pass.rounding));
        let options = match transposed {
            false => Ok(ConvOptions::new(stride, padding, one, 1)),
            true => Err(ConvTransposeOptions::new(stride, padding, each(&conv.output_padding), one, 1)),
        };
        run(x.reshape(shape), weight, bias, options).reshape([n, self.output.iter().product()])
    }

    fn normalise(&self, x: Tensor<2>, parameters: &Parameters, pass: &mut Pass<'_>) -> Tensor<2> {
        let [c, places] = self.channels_and_places();
        let n = x.dims()[0];
        let x = x.reshape([n, c, places]);
        let [scale, shift, mean, variance] = std::array::from_fn(|i| {
            let values: Tensor<3> = parameters.get::<1>(self.parameters[i]).reshape([1, c, 1]);
            values
        });
        let count = n * places;
        // One value has no variance: the running statistics serve.
        let normal = if pass.training.is_some() && count > 1 {
            let own_mean = x.clone().mean_dim(2).mean_dim(0);
            let centred = x - own_mean.clone();
            let own_variance = centred.clone().square().mean_dim(2).mean_dim(0);
            let running = |old: Tensor<3>, new: Tensor<3>| -> Tensor<1> {
                (old * (1.0 - MOMENTUM) + new.detach() * MOMENTUM).reshape([c])
            };
            pass.statistics.push((self.parameters[2], running(mean, own_mean)));
            let unbiased = own_variance.clone() * (count as f64 / (count - 1) as f64);
            pass.statistics.push((self.parameters[3], running(variance, unbiased)));
            centred / (own_variance + EPSILON).sqrt()
        } else {
            (x - mean) / (variance + EPSILON).sqrt()
        };
        (normal * scale + shift).reshape([n, c * places])
    }

    /// Batch normalisation as `scale * x + shift` of each channel.
    fn scales_and_shifts(&self, parameters: &Parameters) -> Vec<[f64; 2]> {
        let [scale, shift, mean, variance] = std::array::from_fn(|i| parameters.values(self.parameters[i]));
        (0..scale.len())
            .map(|c| {
                let s = f64::from(scale[c]) / (f64::from(variance[c]) + EPSILON).sqrt();
                [s, f64::from(shift[c]) - f64::from(mean[c]) * s]
            })
            .collect()
    }

    /// A linear layer with the batch normalisations around it folded in.
    fn export_linear(
        &self,
        parameters: &Parameters,
        (bits, fixed_bits): (u8, Option<u8>),
        before: Option<Vec<[f64; 2]>>,
        after: Option<Vec<[f64; 2]>>,
    ) -> Result<Layer> {
        let own = parameters.values(self.parameters[0]);
        let mut bias: Vec<f64> = parameters.values(self.parameters[1]).into_iter().map(f64::from).collect();
        let outputs = bias.len();
        let transposed = matches!(self.block, Block::ConvTranspose(_));
        let shape = match &self.block {
            // Kept [inputs, outputs], written [outputs, inputs].
            Block::Dense(_) => vec![outputs, own.len() / outputs],
            _ => parameters.shape(self.parameters[0]).to_vec(),
        };
        let inner = own.len() / outputs;
        let mut weight: Vec<f64> = match &self.block {
            Block::Dense(_) => (0..outputs).flat_map(|o| (0..inner).map(move |i| i * outputs + o)).collect(),
            _ => (0..own.len()).collect::<Vec<usize>>(),
        }
        .into_iter()
        .map(|i| f64::from(own[i]))
        .collect();
        if let Some(before) = before {
            for (row, bias) in weight.chunks_exact_mut(inner).zip(&mut bias) {
                for (w, [scale, shift]) in row.iter_mut().zip(&before) {
                    *bias += *w * shift;
                    *w *= scale;
                }
            }
        }
        if let Some(after) = after {
            let volume: usize = shape[2..].iter().product();
            for (i, w) in weight.iter_mut().enumerate() {
                let output = if transposed { i / volume % outputs } else { i / inner };
                *w *= after[output][0];
            }
            bias.iter_mut().zip(&after).for_each(|(b, [scale, shift])| *b = *b * scale + shift);
        }
        let weight: Vec<f32> = weight.into_iter().map(|v| v as f32).collect();
        let weight = match fixed_bits {
            Some(bits) => quantise_aware::store(&weight, bits)?,
            None => Weights::quantise(&weight, &shape, Some(usize::from(transposed)), bits)?,
        };
        let bias = Some(Weights::F32(bias.into_iter().map(|v| v as f32).collect()));
        Ok(match &self.block {
            Block::Conv(conv) => Layer::Conv { conv: conv.clone(), weight, bias },
            Block::ConvTranspose(conv) => Layer::ConvTranspose { conv: conv.clone(), weight, bias },
            _ => Layer::Dense { inputs: inner, outputs, weight, bias },
        })
    }
}

fn is_linear(block: &Block) -> bool {
    matches!(block, Block::Dense(_) | Block::Conv(_) | Block::ConvTranspose(_))
}

/// Weights rounded to multiples of one scale for each index of `axis`, the outputs; gradients pass as if it had not been
/// done.
fn round_trained<const D: usize>(weight: Tensor<D>, axis: usize, rounding: Option<Rounding>) -> Tensor<D> {
    let limit = match rounding.map(|r| r.bits) {
        Some(8) => 127.0,
        Some(16) => 32767.0,
        _ => return weight,
    };
    let detached = weight.clone().detach();
    let mut largest = detached.clone().abs();
    for other in (0..D).filter(|&other| other != axis) {
        largest = largest.max_dim(other);
    }
    let scale = (largest / limit).clamp_min(1e-30);
    let rounded = (detached.clone() / scale.clone()).round() * scale;
    weight + (rounded - detached)
}
