//! What the convolutional architectures share: strided convolutions down to a dense bottleneck, and the mirror image.

use super::layered::Layered;
use super::layers::Block;
use super::{Build, Model};
use crate::onnx::{Activation, Conv};
use crate::simulate::Random;
use baler_codec::{Error, Result};

/// What differs between them.
pub(super) struct Design {
    /// Spatial axes of the tile.
    pub axes: usize,
    /// Channels and kernel extent of each convolution. Each has stride 2 and padding that halves any extent, rounded up.
    pub convolutions: &'static [(usize, usize)],
    /// What follows each convolution of the encoder, and each but the last of the decoder.
    pub after: [&'static [Block]; 2],
    /// Width of the dense layer between convolutions and latents. `None`: the geometric mean of what it joins, 16 to 512.
    pub hidden: Option<usize>,
    /// The smallest extent of a tile along each axis.
    pub least: usize,
}

pub(super) const RELU: Block = Block::Activation(Activation::Relu);

impl Design {
    /// The model for the tile that the options name.
    pub fn build(&self, from: &Build<'_>, random: &mut Random) -> Result<Box<dyn Model>> {
        let tile = &from.tiles.tile;
        if tile.len() != self.axes || tile.iter().any(|&n| n < self.least) {
            return Err(Error::invalid(format!(
                "architecture {:?}: a tile of {tile:?}; expected {} axes of at least {} each",
                from.options.architecture, self.axes, self.least
            )));
        }
        let mut shape = [&[1], &tile[..]].concat();
        let mut encoder = vec![Block::Reshape(shape.clone())];
        let mut mirrored: Vec<Block> = Vec::new();
        for (i, &(outputs, kernel)) in self.convolutions.iter().enumerate() {
            let inputs = shape[0];
            let conv = Conv {
                inputs,
                outputs,
                kernel: vec![kernel; self.axes],
                stride: vec![2; self.axes],
                padding: vec![kernel / 2; self.axes],
                output_padding: vec![0; self.axes],
            };
            let halves: Vec<usize> = shape[1..].iter().map(|n| n.div_ceil(2)).collect();
            // Odd extents come back as they were, even ones need one more.
            let output_padding = shape[1..].iter().map(|n| 1 - n % 2).collect();
            let back = Conv { inputs: outputs, outputs: inputs, output_padding, ..conv.clone() };
            // Built from the end: the last convolution of the decoder gives the values.
            if i > 0 {
                mirrored.extend(self.after[1].iter().rev().cloned());
            }
            mirrored.push(Block::ConvTranspose(back));
            encoder.push(Block::Conv(conv));
            encoder.extend(self.after[0].iter().cloned());
            shape = [&[outputs], &halves[..]].concat();
        }
        let (inner, k) = (shape.iter().product::<usize>(), from.options.latents);
        let hidden = self.hidden.unwrap_or((((inner * k) as f64).sqrt() as usize).clamp(16, 512));
        encoder.extend([Block::Reshape(vec![inner]), Block::Dense(hidden), RELU, Block::Dense(k)]);
        let mut decoder = vec![Block::Dense(hidden), RELU, Block::Dense(inner), RELU, Block::Reshape(shape)];
        decoder.extend(mirrored.into_iter().rev());
        decoder.push(Block::Reshape(vec![from.tiles.len()]));
        Layered::boxed(from, random, &encoder, &decoder)
    }
}
