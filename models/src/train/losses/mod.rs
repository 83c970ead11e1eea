//! What training makes small, by name: one file each, one line in [`LOSSES`].

pub(super) mod bits;
mod emd;
mod l1;
mod mse;
mod sparsity;
mod swae;

use super::Options;
use super::parameters::Parameters;
use crate::simulate::Random;
use baler_codec::{Error, Result};
use burn::tensor::Tensor;

/// A loss.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// What users type.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// Unit of its values.
    pub unit: &'static str,
    /// The network chooses how finely each latent is kept: while training, latents are in units of their step, and noise
    /// or rounding stands for their quantisation. Otherwise steps are chosen afterwards.
    pub(super) learns_steps: bool,
    value: fn(&Terms<'_>, &mut Random) -> Tensor<1>,
}

/// Every loss.
pub const LOSSES: &[Loss] = &[bits::LOSS, mse::LOSS, mse::SUM, l1::LOSS, swae::LOSS, emd::LOSS];

/// The loss of this name.
pub(super) fn named(name: &str) -> Result<&'static Loss> {
    LOSSES.iter().find(|l| l.name == name).ok_or_else(|| {
        let names: Vec<&str> = LOSSES.iter().map(|l| l.name).collect();
        Error::invalid(format!("loss {name:?}: expected one of {}", names.join(", ")))
    })
}

/// What a loss is computed from.
pub(super) struct Terms<'a> {
    /// Tiles [n, values].
    pub input: Tensor<2>,
    /// Latents [n, latents] as the encoder gave them.
    pub latents: Tensor<2>,
    /// What the decoder made of them.
    pub output: Tensor<2>,
    /// Estimate of the decoder's bits.
    pub weight_bits: Option<Tensor<1>>,
    pub parameters: &'a Parameters,
    pub options: &'a Options,
    /// The bound in units of the network's output.
    pub bound: f32,
    /// Values trained on.
    pub n_training_values: usize,
}

impl Loss {
    /// The loss of one batch, penalties included. `random` serves losses that draw samples.
    pub(super) fn of(&self, terms: &Terms<'_>, random: &mut Random) -> Tensor<1> {
        sparsity::add((self.value)(terms, random), terms)
    }
}
