//! What the nodes of a trained model do, for diagnosis.

use super::parameters::to_host;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What the nodes of one layer give after their activation function. For convolutions a node is a channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerActivity {
    /// `encoder 1`, `decoder 2`: counted from the network's input.
    pub layer: String,
    /// Mean magnitude of each node's output.
    pub mean_abs: Vec<f32>,
    /// Part of the outputs of each node that do not exceed zero. A node behind ReLU with 1 is dead.
    pub inactive: Vec<f32>,
}

/// How one latent is used, quantised by its step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatentUse {
    /// Its step.
    pub step: f64,
    /// Smallest and largest value before quantisation.
    pub range: [f64; 2],
    /// Number of different integers.
    pub distinct: usize,
    /// Entropy of the integers.
    pub entropy_bits: f64,
}

/// Gathers activity over batches.
#[derive(Default)]
pub(super) struct Probe {
    layers: Vec<(String, Vec<Sum>)>,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    magnitude: f64,
    inactive: f64,
    n: usize,
}

impl Probe {
    /// Adds [n, nodes * positions].
    pub fn note(&mut self, layer: &str, value: &Tensor<2>, nodes: usize) {
        let index = self.layers.iter().position(|(name, _)| name == layer).unwrap_or_else(|| {
            self.layers.push((layer.to_string(), vec![Sum::default(); nodes]));
            self.layers.len() - 1
        });
        let row = value.dims()[1];
        let values = to_host(value.clone());
        for row in values.chunks_exact(row) {
            for (sum, outputs) in self.layers[index].1.iter_mut().zip(row.chunks_exact(row.len() / nodes)) {
                sum.magnitude += outputs.iter().map(|v| f64::from(v.abs())).sum::<f64>();
                sum.inactive += outputs.iter().filter(|v| **v <= 0.0).count() as f64;
                sum.n += outputs.len();
            }
        }
    }

    /// What was gathered.
    pub fn finish(self) -> Vec<LayerActivity> {
        let mean =
            |sums: &[Sum], of: fn(&Sum) -> f64| sums.iter().map(|s| (of(s) / s.n.max(1) as f64) as f32).collect();
        self.layers
            .into_iter()
            .map(|(layer, sums)| LayerActivity {
                layer,
                mean_abs: mean(&sums, |s| s.magnitude),
                inactive: mean(&sums, |s| s.inactive),
            })
            .collect()
    }
}

/// How each of `steps.len()` latents is used; `z` holds rows of them.
pub(super) fn latent_use(z: &[f32], steps: &[f64]) -> Vec<LatentUse> {
    let k = steps.len();
    steps
        .iter()
        .enumerate()
        .map(|(j, &step)| {
            let values = || z.iter().skip(j).step_by(k).map(|v| f64::from(*v));
            let mut counts: HashMap<i64, u64> = HashMap::new();
            values().for_each(|v| *counts.entry((v / step).round_ties_even() as i64).or_default() += 1);
            let mut counts: Vec<u64> = counts.into_values().collect();
            counts.sort_unstable();
            let n = counts.iter().sum::<u64>() as f64;
            LatentUse {
                step,
                range: values().fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], v| [a.min(v), b.max(v)]),
                distinct: counts.len(),
                entropy_bits: counts.iter().map(|&c| c as f64 / n * (n / c as f64).log2()).sum(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_are_counted_by_their_steps() {
        // Two latents: one takes four values equally often, the other one value.
        let z = [0.0, 5.0, 0.5, 5.0, 1.0, 5.1, 1.5, 4.9];
        let found = latent_use(&z, &[0.5, 1.0]);
        assert_eq!((found[0].distinct, found[0].entropy_bits, found[0].range), (4, 2.0, [0.0, 1.5]));
        assert_eq!((found[1].distinct, found[1].entropy_bits), (1, 0.0));
    }
}
