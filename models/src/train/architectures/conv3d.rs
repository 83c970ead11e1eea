//! A small 3-d convolutional network (Python Baler's `Conv_AE_3D` had 2.4 thousand million weights and one fixed shape).

use super::Architecture;
use super::conv::{Design, RELU};
use super::layers::Block;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "conv3d",
    about: "3-d convolutions 1-8-16 with stride 2, dense bottleneck, transposed convolutions and batch normalisation",
    build: |from, random| {
        let after: [&'static [Block]; 2] = [&[RELU], &[Block::BatchNorm, RELU]];
        Design { axes: 3, convolutions: &[(8, 3), (16, 3)], after, hidden: None, least: 4 }.build(from, random)
    },
};
