//! Python Baler's `AE_Dropout_BN`: the widths of `ae`, dropout in the encoder, batch normalisation in the decoder.

use super::layered::Layered;
use super::layers::Block;
use super::{Architecture, Build, Model};
use crate::onnx::Activation;
use crate::simulate::Random;
use baler_codec::{Error, Result};

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "ae-dropout-bn",
    about: "dense 200-100-50 and back, dropout in the encoder, batch normalisation in the decoder, ReLU at its end",
    build,
};

const WIDTHS: [usize; 3] = [200, 100, 50];
const DROPOUT: [f64; 4] = [0.5, 0.4, 0.3, 0.2];

fn build(from: &Build<'_>, random: &mut Random) -> Result<Box<dyn Model>> {
    let rates = match from.options.dropout[..] {
        [] => DROPOUT,
        [a, b, c, d] => [a, b, c, d],
        _ => return Err(Error::invalid("dropout: expected four rates, one for each layer of the encoder")),
    };
    let activation = || Block::Activation(Activation::LeakyRelu(0.01));
    let widths = WIDTHS.into_iter().chain([from.options.latents]);
    let encoder: Vec<Block> =
        widths.zip(rates).flat_map(|(n, rate)| [Block::Dense(n), Block::Dropout(rate), activation()]).collect();
    let mut decoder: Vec<Block> =
        WIDTHS.into_iter().rev().flat_map(|n| [Block::Dense(n), activation(), Block::BatchNorm]).collect();
    decoder.extend([Block::Dense(from.tiles.len()), Block::BatchNorm, Block::Activation(Activation::Relu)]);
    Layered::boxed(from, random, &encoder, &decoder)
}
