//! Python Baler's `AE` and `CFD_dense_AE`: dense layers 200-100-50 to the latents, and back.

use super::layered::Layered;
use super::layers::Block;
use super::{Architecture, Build, Model};
use crate::onnx::Activation;
use crate::simulate::Random;
use baler_codec::Result;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "ae",
    about: "dense 200-100-50 and back, leaky ReLU: Python Baler's default, for tables",
    build,
};

/// The same layers; Python Baler kept two classes for the sake of their types.
pub(super) const CFD_DENSE: Architecture = Architecture {
    name: "cfd-dense",
    about: "dense 200-100-50 and back, leaky ReLU: Python Baler's for flattened frames",
    build,
};

fn build(from: &Build<'_>, random: &mut Random) -> Result<Box<dyn Model>> {
    let activation = Activation::LeakyRelu(0.01);
    let [encoder, decoder] = mirrored(from.tiles.len(), &[200, 100, 50], from.options.latents, activation);
    Layered::boxed(from, random, &encoder, &decoder)
}

/// Dense layers of these widths to the latents, and the same back.
pub(super) fn mirrored(values: usize, widths: &[usize], latents: usize, activation: Activation) -> [Vec<Block>; 2] {
    let list = |widths: &mut dyn Iterator<Item = &usize>, last: usize| -> Vec<Block> {
        let hidden = widths.flat_map(|&n| [Block::Dense(n), Block::Activation(activation)]);
        hidden.chain([Block::Dense(last)]).collect()
    };
    [list(&mut widths.iter(), latents), list(&mut widths.iter().rev(), values)]
}
