//! Bits per value after quantisation: the rate at a fixed bound.
//!
//! A residual r at the absolute bound b is coded as the integer round(r / 2b), about `1/4 log2(1 + 15 (r/b)^4)` bits:
//! next to nothing inside the bound, log2(r/b) + 1 far outside. A latent in units of its step costs about
//! `1/2 log2(1 + 12 z^2)` bits. Latent steps are 1 in these units: the network chooses how finely it keeps each latent by
//! choosing its scale. Rounding is replaced by uniform noise in the first half of training (Balle, Laparra and
//! Simoncelli, "End-to-end optimized image compression", 2017); in the second half latents and weights are rounded as they
//! will be in the bundle, and gradients pass straight through.

use super::{Loss, Terms};
use burn::tensor::Tensor;

pub(super) const LOSS: Loss = Loss {
    name: "bits",
    about: "estimated bits a value of residual (at the bound), latents and, if asked, the decoder",
    unit: "bits a value",
    learns_steps: true,
    value: |terms, _| value(terms),
};

fn value(terms: &Terms<'_>) -> Tensor<1> {
    let [rows, d] = terms.input.dims();
    let residual = (terms.input.clone() - terms.output.clone()) / terms.bound;
    let data_bits = residual_bits(residual).sum() + latent_bits(terms.latents.clone()).sum();
    let per_value = data_bits / (rows * d) as f64;
    match &terms.weight_bits {
        Some(bits) if terms.options.model_cost > 0.0 => {
            per_value + bits.clone() * (terms.options.model_cost / terms.n_training_values as f64)
        }
        _ => per_value,
    }
}

/// Estimate of the bits of integers round(z).
pub(in crate::train) fn latent_bits(z: Tensor<2>) -> Tensor<2> {
    (z.square() * 12.0).log1p() * (0.5 / std::f64::consts::LN_2)
}

/// Estimate of the bits of residuals, given in units of the bound.
fn residual_bits(r: Tensor<2>) -> Tensor<2> {
    (r.square().square() * 15.0).log1p() * (0.25 / std::f64::consts::LN_2)
}
