//! Mean squared error plus the sliced Wasserstein distance of a batch's latents from a standard normal distribution
//! (Kolouri, Pope, Martin and Rohde, "Sliced Wasserstein auto-encoders", 2019).
//!
//! The distance is the mean square over random directions of the differences of sorted projections: of the latents, and
//! of as many normal samples. A batch of one is as good as any, if noisier.

use super::{Loss, Terms, mse};
use crate::simulate::Random;
use burn::tensor::{Tensor, TensorData};

pub(super) const LOSS: Loss = Loss {
    name: "swae",
    about: "mean squared error, and latents that follow a normal distribution (sliced Wasserstein distance)",
    unit: "mean square",
    learns_steps: false,
    value,
};

fn value(terms: &Terms<'_>, random: &mut Random) -> Tensor<1> {
    let [rows, k] = terms.latents.dims();
    let device = terms.latents.device();
    let mut normal = |n: usize| -> Vec<f32> { (0..n).map(|_| random.normal()).collect() };
    let mut directions = normal(terms.options.projections * k);
    for direction in directions.chunks_exact_mut(k) {
        let norm = direction.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-12);
        direction.iter_mut().for_each(|v| *v /= norm);
    }
    let tensor = |values, shape: [usize; 2]| Tensor::<2>::from_data(TensorData::new(values, shape), &device);
    let directions = tensor(directions, [terms.options.projections, k]).transpose();
    let samples = tensor(normal(rows * k), [rows, k]);
    let distance =
        (terms.latents.clone().matmul(directions.clone()).sort(0) - samples.matmul(directions).sort(0)).square();
    mse::squares(terms).mean() + distance.mean() * terms.options.distance_weight
}
