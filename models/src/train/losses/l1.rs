//! Absolute error: gives outliers less weight than the squared one.

use super::Loss;

pub(super) const LOSS: Loss = Loss {
    name: "l1",
    about: "mean absolute error",
    unit: "mean absolute",
    learns_steps: false,
    value: |terms, _| (terms.input.clone() - terms.output.clone()).abs().mean(),
};
