//! The network of an autoregressive model in integers.
//!
//! A reader has to run it once for each value, one after the other. Small integers do that quickest, and are the same on
//! every machine whatever order they are added in.

use super::lanes::{self, Sums, Words};
use super::neighbours::{FRACTION_BITS, N_INPUTS};
use crate::error::{Error, Result};
use crate::inference::{DenseLayer, Network};

/// The most nodes of a layer.
pub(crate) const MAX_NODES: usize = 64;
/// Bits of weights below the point.
const WEIGHT_BITS: u32 = 12;
/// What a weight may be in 2^-12: 16 bits.
const MAX_WEIGHT: i32 = i16::MAX as i32;
/// Outputs: what to add to the linear prediction, in units; the logarithm of the scale to base 2, in units.
pub(crate) const N_OUTPUTS: usize = 2;
/// Correction and scale have no more than this magnitude.
const MAX_OUTPUT: i32 = 32;

/// What the network says of one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// What to add to the linear prediction, in units of 2^-12.
    pub correction: i32,
    /// The logarithm of the scale of what is left to base 2, above that of the unit, in 2^-8.
    pub log2_scale: i32,
}

/// One layer: sums of 2^-20, from inputs of 2^-8 and weights of 2^-12.
#[derive(Clone, Debug)]
struct Layer {
    /// Pairs of inputs.
    n_pairs: usize,
    /// `[four outputs][pair of inputs]`: the weights of each of the four for both inputs.
    weights: Vec<Words>,
    /// `[four outputs]`.
    bias: Vec<Sums>,
}

impl Layer {
    fn new(DenseLayer { n_inputs, weights, bias }: &DenseLayer) -> Self {
        // NaN becomes 0.
        let integer = |v: f32, most: f32, bits: u32| {
            (f64::from(v.clamp(-most, most)) * f64::from(1 << bits)).round_ties_even() as i32
        };
        let weight = |o: usize, i: usize| match weights.get(o * n_inputs + i) {
            Some(&w) if i < *n_inputs => integer(w, 8.0, WEIGHT_BITS).clamp(-MAX_WEIGHT, MAX_WEIGHT) as i16,
            _ => 0,
        };
        let bias = |o: usize| bias.get(o).map_or(0, |&b| integer(b, 256.0, WEIGHT_BITS + FRACTION_BITS));
        let n_pairs = n_inputs.div_ceil(2);
        let quads = (0..weights.len() / n_inputs).step_by(4);
        let pairs = |o: usize| {
            (0..n_pairs).map(move |p| lanes::words(std::array::from_fn(|k| weight(o + k / 2, 2 * p + k % 2))))
        };
        Self {
            n_pairs,
            weights: quads.clone().flat_map(pairs).collect(),
            bias: quads.map(|o| lanes::sums(std::array::from_fn(|k| bias(o + k)))).collect(),
        }
    }

    /// The sums of `N` times four outputs, modulo 2^32.
    #[inline(always)]
    fn sums<const N: usize>(&self, first: usize, pairs: &[Words; MAX_NODES / 2]) -> [Sums; N] {
        let mut sums: [Sums; N] = std::array::from_fn(|k| self.bias[first + k]);
        let weights = &self.weights[first * self.n_pairs..][..N * self.n_pairs];
        for (p, &x) in pairs[..self.n_pairs].iter().enumerate() {
            for (k, sum) in sums.iter_mut().enumerate() {
                *sum = lanes::multiply_add(*sum, x, weights[k * self.n_pairs + p]);
            }
        }
        sums
    }

    /// What the next layer is given.
    #[inline(always)]
    fn relu(&self, pairs: &[Words; MAX_NODES / 2]) -> [Words; MAX_NODES / 2] {
        let mut next = [lanes::words([0; 8]); MAX_NODES / 2];
        let n = self.bias.len();
        let mut quad = 0;
        while quad < n {
            let (low, high) = if quad + 4 <= n {
                let [a, b, c, d] = self.sums(quad, pairs);
                (lanes::relu(a, b), lanes::relu(c, d))
            } else {
                let none = lanes::sums([0; 4]);
                let one = |k: usize| if quad + k < n { self.sums::<1>(quad + k, pairs)[0] } else { none };
                (lanes::relu(one(0), one(1)), lanes::relu(one(2), none))
            };
            next[2 * quad..2 * quad + 4].copy_from_slice(&lanes::spread(low));
            next[2 * quad + 4..2 * quad + 8].copy_from_slice(&lanes::spread(high));
            quad += 4;
        }
        next
    }
}

/// Dense layers with ReLU between them, of at most [`MAX_NODES`] nodes.
#[derive(Clone, Debug)]
pub(crate) struct IntegerNetwork {
    layers: Vec<Layer>,
}

impl IntegerNetwork {
    /// From the floats of an ONNX file.
    pub fn new(network: &Network) -> Result<Self> {
        let dense = network.dense_relu_layers().filter(|layers| layers.iter().all(|l| l.bias.len() <= MAX_NODES));
        let is_fit = network.input_len() == N_INPUTS && network.output_len() == N_OUTPUTS;
        let layers = dense.filter(|_| is_fit).ok_or_else(|| {
            Error::model(format!(
                "decoder.onnx of an autoregressive model: expected dense layers of up to {MAX_NODES} nodes with ReLU between \
                 them, {N_INPUTS} inputs, {N_OUTPUTS} outputs"
            ))
        })?;
        Ok(Self { layers: layers.iter().map(Layer::new).collect() })
    }

    #[inline(always)]
    pub fn run(&self, inputs: &[i16; N_INPUTS]) -> Said {
        let mut pairs = [lanes::words([0; 8]); MAX_NODES / 2];
        for (k, part) in inputs.chunks(8).enumerate() {
            let word = lanes::words(std::array::from_fn(|i| part.get(i).copied().unwrap_or(0)));
            pairs[4 * k..4 * k + 4].copy_from_slice(&lanes::spread(word));
        }
        let (last, hidden) = self.layers.split_last().expect("a network has layers");
        for layer in hidden {
            pairs = layer.relu(&pairs);
        }
        let [sums] = last.sums(0, &pairs);
        let [correction, log2_scale] = lanes::first_two(sums);
        Said {
            correction: (correction >> 8).clamp(-MAX_OUTPUT << 12, MAX_OUTPUT << 12),
            log2_scale: (log2_scale >> 12).clamp(-MAX_OUTPUT << 8, MAX_OUTPUT << 8),
        }
    }
}
