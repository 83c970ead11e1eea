//! Penalties that any loss can carry: on weights, and on how many latents are active at once.

use super::Terms;
use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

/// Adds `weight_l1` times the mean absolute weight, and `sparsity_weight` times the Kullback-Leibler distance between
/// `sparsity_rho` and each latent's mean activity, its sigmoid (Ng, "Sparse autoencoder", 2011).
pub(super) fn add(mut loss: Tensor<1>, terms: &Terms<'_>) -> Tensor<1> {
    let options = terms.options;
    if options.weight_l1 > 0.0 {
        let n: usize = terms.parameters.weights().map(|w| w.dims()[0]).sum();
        for weight in terms.parameters.weights() {
            loss = loss + weight.abs().sum() * (options.weight_l1 / n.max(1) as f64);
        }
    }
    if options.sparsity_weight > 0.0 {
        let rho = options.sparsity_rho;
        let active: Tensor<2> = sigmoid(terms.latents.clone()).mean_dim(0).clamp(1e-6, 1.0 - 1e-6);
        let on = (active.clone().recip() * rho).log() * rho;
        let off = ((active.neg() + 1.0).recip() * (1.0 - rho)).log() * (1.0 - rho);
        loss = loss + (on + off).sum() * options.sparsity_weight;
    }
    loss
}
