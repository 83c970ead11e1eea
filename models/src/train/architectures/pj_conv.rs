//! Python Baler's `PJ_Conv_AE`: two convolutions of 5 x 5 to 20 and 50 channels, a dense layer of 500.

use super::Architecture;
use super::conv::{Design, RELU};
use super::layers::Block;

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "pj-conv",
    about: "2-d convolutions 1-20-50 of 5 x 5 with stride 2, dense 500",
    build: |from, random| {
        let after: [&'static [Block]; 2] = [&[RELU], &[RELU]];
        Design { axes: 2, convolutions: &[(20, 5), (50, 5)], after, hidden: Some(500), least: 4 }.build(from, random)
    },
};
