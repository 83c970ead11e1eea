//! Formulas between the columns of a table, for the candidate [`crate::related`].
//!
//! They take part where they are used, in the encoder: a chunk holds the formulas that it was written with, so that reading
//! needs no bundle.

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::related::Formula;

/// Whether a bundle's formulas are for a table of this shape: rows, then columns.
pub(crate) fn fits(bundle: &Bundle, shape: &[usize]) -> Result<()> {
    let manifest = bundle.manifest();
    let n = manifest.predictor.as_ref().map_or(0, |p| p.columns.len());
    match shape {
        [_, .., columns] if *columns == n => Ok(()),
        _ => Err(Error::invalid(format!(
            "model {} predicts columns of tables with {n} of them: shape {shape:?} is none",
            manifest.name
        ))),
    }
}

/// The formulas of all bundles that have some for a table of `n_columns`: target and formula.
pub(crate) fn formulas<'a>(bundles: impl Iterator<Item = &'a Bundle>, n_columns: usize) -> Vec<(usize, Formula)> {
    let all = bundles.filter_map(|b| b.manifest().predictor.as_ref()).filter(|p| p.columns.len() == n_columns);
    all.flat_map(|p| p.formulas.iter().map(|f| (f.column, f.formula.clone()))).collect()
}
