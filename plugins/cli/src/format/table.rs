//! What tables have in common: their columns have names.

use super::Source;
use crate::failure::{Failure, Result};

/// Where these columns are; numbers from 0 do too where no column has that name.
pub fn positions(names: &[String], asked: &[String]) -> Result<Vec<usize>> {
    asked
        .iter()
        .map(|name| {
            let named = names.iter().position(|n| n == name);
            let numbered = || name.parse().ok().filter(|i| *i < names.len());
            named
                .or_else(numbered)
                .ok_or_else(|| Failure::usage(format!("no column {name:?}; the columns are: {}", names.join(", "))))
        })
        .collect()
}

/// The names of the columns of array `i`: of a `.csv` or Parquet file, or of Baler's `.npz` with its member `names`.
pub fn column_names(source: &dyn Source, i: usize) -> Option<Vec<String>> {
    let names = source.blobs().iter().find(|(name, _)| name == "names")?;
    let names = super::npy::texts(&names.1)?;
    let array = &source.arrays()[i];
    let is_table = array.shape.len() == 2 && array.shape[1] == names.len() as u64 && !array.reversed_axes;
    is_table.then_some(names)
}
