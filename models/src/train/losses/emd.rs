//! Mean squared error plus the earth mover's distance between the distributions of each column before and after.
//!
//! In one dimension that distance is the mean difference of sorted values, so it asks that histograms survive even where
//! single values do not.

use super::{Loss, mse};

pub(super) const LOSS: Loss = Loss {
    name: "emd",
    about: "mean squared error, and each column's distribution kept (earth mover's distance within a batch)",
    unit: "mean square",
    learns_steps: false,
    value: |terms, _| {
        let distance = (terms.input.clone().sort(0) - terms.output.clone().sort(0)).abs();
        mse::squares(terms).mean() + distance.mean() * terms.options.distance_weight
    },
};
