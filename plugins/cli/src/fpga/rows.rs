//! Rows of values for a program or a network, from any file.

use crate::dataset::{Dataset, Request};
use crate::failure::{Failure, Result};
use baler_codec::bundle::Transform;
use clap::Args;
use std::path::PathBuf;

/// Where rows come from.
#[derive(Args, Debug)]
pub struct RowsArgs {
    /// File of rows (.npy, .npz, .h5, .csv, ...): a table with one column for each input, or arrays whose values are cut into rows
    /// of that many
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Name of the array, where the file has several
    #[arg(long, value_name = "NAME", requires = "data")]
    array: Option<String>,
    /// At most this many rows, evenly spaced
    #[arg(long, value_name = "N", requires = "data")]
    max_rows: Option<u64>,
}

impl RowsArgs {
    /// Rows of `n` finite values, one after the other; none without a file.
    pub fn read(&self, n: usize) -> Result<Option<Vec<f32>>> {
        let Some(path) = &self.data else { return Ok(None) };
        let dataset = Dataset::read(&Request {
            paths: std::slice::from_ref(path),
            array: self.array.as_deref(),
            columns: &[],
            most_rows: self.max_rows,
        })?;
        let values = dataset.to_f32(&dataset.bytes);
        let last = dataset.array.shape.last().copied().unwrap_or(0);
        if !values.len().is_multiple_of(n) || dataset.is_table && last != n as u64 {
            return Err(Failure::usage(format!(
                "{}: {} has rows of {last}, the encoder takes {n} values",
                path.display(),
                dataset.array.describe()
            )));
        }
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(Failure::usage(format!(
                "{}: row {}, value {} is {}: fixed-point formats have finite numbers only; leave such rows out",
                path.display(),
                i / n,
                i % n,
                values[i]
            )));
        }
        Ok(Some(values))
    }
}

/// Values as the network gets them. Without transforms they are that already.
pub fn transformed(values: &[f32], transforms: &[Transform]) -> Vec<f32> {
    if transforms.is_empty() {
        return values.to_vec();
    }
    values.iter().zip(transforms.iter().cycle()).map(|(&v, t)| t.forward(v.into()) as f32).collect()
}
