//! From raw values to the integers of the first layer.

use super::{MAX_PORT_WIDTH, check_formats, check_len};
use crate::fixed::{Fixed, Format};
use baler_codec::bundle::Transform;
use baler_codec::{Error, Result};

/// How values come in.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// One for each value of a row.
    pub formats: Vec<Format>,
    /// What is done to raw values first, one for each value of a row; none if they come as the network wants them (that
    /// is so where offset and scale belong to a chunk and not to the model).
    pub transforms: Vec<Transform>,
}

impl Input {
    /// Values that are cast as they come.
    pub fn plain(formats: Vec<Format>) -> Self {
        Self { formats, transforms: Vec::new() }
    }

    pub(super) fn validate(&self) -> Result<()> {
        check_formats(&self.formats, MAX_PORT_WIDTH)?;
        if !self.transforms.is_empty() && self.transforms.len() != self.formats.len() {
            return Err(Error::model(format!(
                "{} transforms: expected none or {}",
                self.transforms.len(),
                self.formats.len()
            )));
        }
        for (i, transform) in self.transforms.iter().enumerate() {
            transform.validate().map_err(|e| Error::model(format!("transform {i}: {e}")))?;
        }
        Ok(())
    }

    /// The integers of one row of raw values.
    ///
    /// With transforms: each is applied in binary64 ([`Transform::forward`], the same bits on every machine), the result
    /// rounded to binary32, as the codec does it for the float network, and that number cast. Without: the double is cast
    /// as the exact number it stands for.
    ///
    /// # Errors
    /// Another number of values; NaN and infinities, with their place.
    pub fn quantise(&self, row: &[f64]) -> Result<Vec<i64>> {
        check_len("a row of input", self.formats.len(), row.len())?;
        let seen = |i: usize, x: f64| match self.transforms.get(i) {
            Some(transform) => f64::from(transform.forward(x) as f32),
            None => x,
        };
        self.cast(row.iter().enumerate().map(|(i, &x)| seen(i, x)))
    }

    /// The integers of one row of values as the float network gets them: transformed already.
    ///
    /// # Errors
    /// As [`Input::quantise`].
    pub fn quantise_transformed(&self, row: &[f32]) -> Result<Vec<i64>> {
        check_len("a row of input", self.formats.len(), row.len())?;
        self.cast(row.iter().map(|&x| f64::from(x)))
    }

    fn cast(&self, row: impl Iterator<Item = f64>) -> Result<Vec<i64>> {
        row.zip(&self.formats)
            .enumerate()
            .map(|(i, (x, &format))| {
                let value = Fixed::from_f64(x, format).map_err(|e| e.context(format_args!("value {i} of a row")))?;
                // Formats of the input fit into an i64.
                Ok(value.raw() as i64)
            })
            .collect()
    }
}
