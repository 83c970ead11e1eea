//! Squared error, in units of the network's inputs.

use super::{Loss, Terms};
use burn::tensor::Tensor;

pub(super) const LOSS: Loss = Loss {
    name: "mse",
    about: "mean squared error",
    unit: "mean square",
    learns_steps: false,
    value: |terms, _| squares(terms).mean(),
};

pub(super) const SUM: Loss = Loss {
    name: "mse-sum",
    about: "squared error summed over a tile, mean over the tiles",
    unit: "sum of squares a tile",
    learns_steps: false,
    value: |terms, _| {
        let rows = terms.input.dims()[0];
        squares(terms).sum() / rows as f64
    },
};

pub(super) fn squares(terms: &Terms<'_>) -> Tensor<2> {
    (terms.input.clone() - terms.output.clone()).square()
}
