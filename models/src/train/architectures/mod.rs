//! Networks by name: one file each, one line in [`ARCHITECTURES`].

mod ae;
mod ae_dropout_bn;
mod conv;
mod conv2d;
mod conv2d_gdn;
mod conv3d;
mod dense;
mod fpga_prototype;
mod layered;
mod layers;
mod pj_conv;

use super::Options;
use super::activations::Probe;
use super::parameters::{Index, Parameters};
use super::quantise_aware::FixedPoint;
use super::rounding::Rounding;
use super::tiles::Tiles;
use crate::onnx::{Activation, Layer};
use crate::simulate::Random;
use baler_codec::{Error, Result};
use burn::tensor::{Device, Tensor};
pub(super) use layers::{Block, Chain};

/// A kind of network.
#[derive(Clone, Copy, Debug)]
pub struct Architecture {
    /// What users type.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    build: fn(&Build<'_>, &mut Random) -> Result<Box<dyn Model>>,
}

/// Every architecture.
pub const ARCHITECTURES: &[Architecture] = &[
    dense::ARCHITECTURE,
    ae::ARCHITECTURE,
    ae::CFD_DENSE,
    ae_dropout_bn::ARCHITECTURE,
    fpga_prototype::ARCHITECTURE,
    conv2d::ARCHITECTURE,
    conv2d_gdn::ARCHITECTURE,
    conv3d::ARCHITECTURE,
    pj_conv::ARCHITECTURE,
];

/// The architecture of this name.
pub(super) fn named(name: &str) -> Result<&'static Architecture> {
    ARCHITECTURES.iter().find(|a| a.name == name).ok_or_else(|| {
        let names: Vec<&str> = ARCHITECTURES.iter().map(|a| a.name).collect();
        Error::invalid(format!("architecture {name:?}: expected one of {}", names.join(", ")))
    })
}

/// What a model is built from.
pub(super) struct Build<'a> {
    pub tiles: &'a Tiles,
    pub options: &'a Options,
    /// The bound in units of the network's output.
    pub bound: f32,
    pub device: &'a Device,
}

/// The untrained model that the options name.
pub(super) fn build(from: &Build<'_>, random: &mut Random) -> Result<Box<dyn Model>> {
    (named(&from.options.architecture)?.build)(from, random)
}

/// An encoder and a decoder that can be trained and written. Tiles are rows of values, whatever their shape.
pub(super) trait Model {
    fn parameters(&self) -> &Parameters;
    fn parameters_mut(&mut self) -> &mut Parameters;
    /// Tiles [n, values] to latents [n, latents].
    fn encode(&self, x: Tensor<2>, pass: &mut Pass<'_>) -> Tensor<2>;
    /// Latents to tiles.
    fn decode(&self, z: Tensor<2>, pass: &mut Pass<'_>) -> Tensor<2>;
    /// The layers as they are written. `latents` are the training tiles' as they will be kept, in batches, for a model
    /// whose rounding depends on the data.
    fn export(&self, rounding: Rounding, latents: &mut dyn Iterator<Item = Tensor<2>>) -> Result<Exported>;
}

/// The layers of both networks as they are written.
pub(super) struct Exported {
    pub encoder: Vec<Layer>,
    /// Shape of the encoder's input, without the batch.
    pub encoder_input: Vec<usize>,
    pub decoder: Vec<Layer>,
    /// Shape of the decoder's output.
    pub decoder_output: Vec<usize>,
    /// Number of the decoder's weights.
    pub decoder_weights: usize,
}

/// What one pass through a model needs beside its input, and what comes of it beside its output.
pub(super) struct Pass<'a> {
    /// A step of training: dropout leaves nodes out, batch normalisation uses the batch's own statistics. Gives the
    /// random numbers for it.
    pub training: Option<&'a mut Random>,
    /// Weights as they will be stored.
    pub rounding: Option<Rounding>,
    /// Estimate of the decoder's bits.
    pub weight_bits: Option<Tensor<1>>,
    /// Running statistics after a step of training.
    pub statistics: Vec<(Index, Tensor<1>)>,
    /// The encoder as its fixed-point program will compute it.
    pub fixed: Option<FixedPoint>,
    /// Takes note of what every layer gives.
    pub probe: Option<&'a mut Probe>,
}

impl<'a> Pass<'a> {
    /// A pass as the written model will compute it.
    pub fn as_written(rounding: Option<Rounding>) -> Self {
        Self { training: None, rounding, weight_bits: None, statistics: Vec::new(), fixed: None, probe: None }
    }

    /// A step of training.
    pub fn of_training(rounding: Option<Rounding>, random: &'a mut Random) -> Self {
        Self { training: Some(random), ..Self::as_written(rounding) }
    }

    /// Weights of the encoder, in fixed point if the pass is.
    pub fn fixed_weight<const D: usize>(&mut self, weight: Tensor<D>) -> Tensor<D> {
        match &mut self.fixed {
            Some(fixed) => fixed.weight(weight),
            None => weight,
        }
    }

    /// The encoder's input, what one of its layers gives, or its latents, in fixed point if the pass is.
    pub fn fixed_value(&mut self, value: Tensor<2>, must_be_signed: bool) -> Tensor<2> {
        match &mut self.fixed {
            Some(fixed) => fixed.value(value, must_be_signed),
            None => value,
        }
    }

    /// Hands what a layer gives, [n, nodes, positions...] flattened to [n, nodes * positions], to the probe.
    pub fn note(&mut self, layer: &str, value: &Tensor<2>, nodes: usize) {
        if let Some(probe) = &mut self.probe {
            probe.note(layer, value, nodes);
        }
    }
}

/// Whether what this function gives is to be kept in a signed format.
fn can_be_negative(activation: Activation) -> bool {
    !matches!(activation, Activation::Relu | Activation::Sigmoid)
}
