//! As `conv2d`, with generalised divisive normalisation in place of ReLU (Python Baler's `Conv_AE_GDN`).

use super::Architecture;
use super::conv::Design;
use super::layers::Block;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "conv2d-gdn",
    about: "2-d convolutions 1-8-16-32 with generalised divisive normalisation",
    build: |from, random| {
        let after: [&'static [Block]; 2] = [&[Block::Gdn { inverse: false }], &[Block::Gdn { inverse: true }]];
        let convolutions = &[(8, 5), (16, 3), (32, 3)];
        Design { axes: 2, convolutions, after, hidden: None, least: 4 }.build(from, random)
    },
};
