//! Weights as the integers they are stored as, while training and in the file.
//!
//! Stored as integers with one scale for each input of a layer. With `weight_coarseness` c the scale of input j is at
//! least `c * 2b / (rms_j sqrt(inputs))`: finer than that, rounding moves no value by a part worth its bits. Most weights
//! are then small integers, which pack well.

use super::Options;
use super::losses::bits::latent_bits;
use crate::onnx::Weights;
use burn::tensor::Tensor;

/// How weights are rounded.
#[derive(Clone, Copy)]
pub(super) struct Rounding {
    /// Bits of the dense layers.
    pub bits: u8,
    /// Bits of biases and bases, which are few and need more range.
    pub fine_bits: u8,
    /// Bits of the encoder's weights in fixed point; `None`: as good as floats.
    pub fixed_bits: Option<u8>,
    coarseness: f32,
    /// The bound in units of the network's output.
    bound: f32,
}

impl Rounding {
    /// As the options say; `bound` is in units of the network's output.
    pub fn new(options: &Options, bound: f32) -> Self {
        Self {
            bits: options.weight_bits,
            fine_bits: options.weight_bits.max(16),
            fixed_bits: options.quantise_aware.map(|[weights, _]| weights),
            coarseness: options.weight_coarseness as f32,
            bound,
        }
    }

    /// The smallest sensible scale of each input's weights, given the root mean square of that input.
    pub fn finest(self, rms: f32, inputs: usize) -> f32 {
        self.coarseness * 2.0 * self.bound / (rms.max(1e-12) * (inputs as f32).sqrt())
    }

    /// As [`Rounding::finest`], of all inputs [inputs, 1].
    pub fn finest_of_all(self, rms: Tensor<2>, inputs: usize) -> Tensor<2> {
        rms.clamp_min(1e-12).recip() * self.finest(1.0, inputs)
    }

    /// The same for the bases: they are few and every value passes through them, so their rounding shall not be what is
    /// seen.
    pub fn of_bases(self) -> Self {
        Self { bits: self.fine_bits, coarseness: self.coarseness * FINER_BASES, ..self }
    }

    /// As `finest`, of a bias.
    pub fn finest_bias(self) -> f32 {
        self.coarseness * FINER_BASES * self.bound
    }
}

/// How much finer the bases are kept than the core.
const FINER_BASES: f32 = 0.25;

fn largest(bits: u8) -> f32 {
    if bits == 8 { 127.0 } else { 32767.0 }
}

/// Rounds a matrix [inputs, outputs] to multiples of one scale for each input; gradients pass as if it had not been done.
/// Adds an estimate of its bits to `total`.
pub(super) fn round(weight: Tensor<2>, floor: Tensor<2>, bits: u8, total: &mut Option<Tensor<1>>) -> Tensor<2> {
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

/// Weights [inputs, outputs] as they are stored: [outputs, inputs], with a scale for each input.
pub(super) fn store(values: &[f32], [inputs, outputs]: [usize; 2], bits: u8, floor: &dyn Fn(usize) -> f32) -> Weights {
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
pub(super) fn store_bias(values: &[f32], bits: u8, floor: f32) -> Weights {
    match store(values, [1, values.len()], bits, &|_| floor) {
        Weights::I8 { values, scales, .. } => Weights::I8 { values, scales, axis: 0 },
        Weights::I16 { values, scales, .. } => Weights::I16 { values, scales, axis: 0 },
        floats => floats,
    }
}
