//! As Python Baler's `Conv_AE`: convolutions 1-8-16-32, a dense bottleneck, transposed convolutions with batch
//! normalisation. With stride 2, so that the bottleneck stays small (the original's had 289 million weights for a frame of
//! 50 x 50), and linear latents, none of which can die.

use super::Architecture;
use super::conv::{Design, RELU};
use super::layers::Block;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "conv2d",
    about: "2-d convolutions 1-8-16-32 with stride 2, dense bottleneck, transposed convolutions and batch normalisation",
    build: |from, random| {
        let after: [&'static [Block]; 2] = [&[RELU], &[Block::BatchNorm, RELU]];
        let convolutions = &[(8, 5), (16, 3), (32, 3)];
        Design { axes: 2, convolutions, after, hidden: None, least: 4 }.build(from, random)
    },
};
