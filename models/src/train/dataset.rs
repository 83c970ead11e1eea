//! What is trained on.

use baler_codec::{Error, Result};
use xxhash_rust::xxh3::Xxh3Default;

/// An array to train on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// Values in C order. Gaps are NaN.
    pub values: Vec<f32>,
    /// Extents, slowest axis first.
    pub shape: Vec<usize>,
    /// Names of the last axis's columns; empty where it has none.
    pub columns: Vec<String>,
}

impl Dataset {
    /// An array whose columns have no names.
    pub fn new(values: Vec<f32>, shape: Vec<usize>) -> Self {
        Self { values, shape, columns: Vec::new() }
    }

    /// Checks that the parts agree.
    pub fn validate(&self) -> Result<()> {
        let n = self.shape.iter().try_fold(1usize, |n, &e| n.checked_mul(e));
        if n != Some(self.values.len()) || self.values.is_empty() {
            return Err(Error::invalid(format!(
                "{} values for the shape {:?}: expected as many as it has, and at least one",
                self.values.len(),
                self.shape
            )));
        }
        if !self.columns.is_empty() && Some(&self.columns.len()) != self.shape.last() {
            return Err(Error::invalid(format!(
                "{} names of columns for the shape {:?}: expected one for each index of the last axis",
                self.columns.len(),
                self.shape
            )));
        }
        Ok(())
    }

    /// Hash of shape and values, which tells a checkpoint of other data.
    pub(super) fn digest(&self) -> u64 {
        let mut hash = Xxh3Default::new();
        self.shape.iter().for_each(|&n| hash.update(&(n as u64).to_le_bytes()));
        self.values.iter().for_each(|v| hash.update(&v.to_le_bytes()));
        hash.digest()
    }
}
