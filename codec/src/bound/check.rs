//! Compares an array with its decoded self: what `baler verify` and the tests ask.

use super::{Promise, within_abs, within_pw_rel};
use crate::element::{Elements, swap_order};
use crate::error::{Error, Result};
use crate::params::{Bound, Params};

/// What [`check`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Check {
    /// Number of values compared.
    pub n_values: usize,
    /// Values that break the bound, or that had to come back bit for bit and did not.
    pub n_broken: usize,
    /// Position of the first of them.
    pub first_broken: Option<usize>,
    /// Largest `|x' - x|` over the ordinary values.
    pub max_error: f64,
    /// Largest error as a share of what is allowed at that value (of the root mean square error for `psnr`); 0 for
    /// lossless and latent.
    pub max_error_over_bound: f64,
}

impl Check {
    /// Whether every promise was kept.
    pub fn is_kept(&self) -> bool {
        self.n_broken == 0
    }
}

/// Checks `decoded` against `original` under what `params` promise. Both are whole arrays in `params.byte_order`.
///
/// Ranges are taken over the array given, so hand over what the bound was meant for: one chunk, or a whole data set.
///
/// # Errors
/// [`crate::ErrorKind::InvalidArgument`] where a length does not match `params.shape`.
pub fn check(params: &Params, original: &[u8], decoded: &[u8]) -> Result<Check> {
    params.validate()?;
    let size = params.dtype.size_bytes();
    let expected = params.n_values()? * size;
    for (what, len) in [("original", original.len()), ("decoded", decoded.len())] {
        if len != expected {
            return Err(Error::invalid(format!("the {what} array has {len} bytes: expected {expected}")));
        }
    }
    let (mut original, mut decoded) = (original.to_vec(), decoded.to_vec());
    swap_order(&mut original, params.dtype, params.byte_order);
    swap_order(&mut decoded, params.dtype, params.byte_order);
    let gaps = params.gaps();
    let is_special = gaps.test(params.dtype);
    // An empty array may still claim billions of columns.
    let n_columns =
        if params.per_column && expected > 0 { params.shape.last().copied().unwrap_or(1).max(1) } else { 1 };
    let mut total = Check::default();
    for column in 0..n_columns {
        check_column(params, &original, &decoded, &is_special, column, n_columns, &mut total);
    }
    Ok(total)
}

fn check_column(
    params: &Params,
    original: &[u8],
    decoded: &[u8],
    is_special: &impl Fn(usize, u64) -> bool,
    column: usize,
    n_columns: usize,
    total: &mut Check,
) {
    let (a, b) = (Elements::new(params.dtype, original), Elements::new(params.dtype, decoded));
    let positions = || (column..a.len()).step_by(n_columns);
    let value = |e: Elements<'_>, i: usize| e.value(i);
    let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
    for i in positions().filter(|&i| !is_special(i, a.bits(i))) {
        min = min.min(value(a, i));
        max = max.max(value(a, i));
    }
    let promise = Promise::resolve(params.bound_of(column), min, max);
    let mut square_sum = 0.0;
    let mut n_ordinary = 0usize;
    let broken = |i: usize, total: &mut Check| {
        total.n_broken += 1;
        total.first_broken = Some(total.first_broken.map_or(i, |f| f.min(i)));
    };
    for i in positions() {
        total.n_values += 1;
        let (x_bits, y_bits) = (a.bits(i), b.bits(i));
        if is_special(i, x_bits) {
            if x_bits != y_bits && params.bound != Bound::Latent {
                broken(i, total);
            }
            continue;
        }
        let (x, y) = (value(a, i), value(b, i));
        // Beyond 2^53 two different integers can have the same f64.
        let exact_error = a.integer_distance(b, i);
        let error = exact_error.map_or((y - x).abs(), |d| d as f64);
        total.max_error = total.max_error.max(error);
        n_ordinary += 1;
        let (kept, over) = match promise {
            Promise::Exact => (x_bits == y_bits, 0.0),
            Promise::Abs(abs) => (exact_error.map_or_else(|| within_abs(y, x, abs), |d| d <= abs as u64), error / abs),
            Promise::PwRel(rel) => (
                match exact_error {
                    Some(0) => true,
                    Some(d) => d as f64 <= rel * x.abs() * (1.0 - f64::EPSILON),
                    None => within_pw_rel(y, x, rel),
                },
                if error == 0.0 { 0.0 } else { error / (rel * x.abs()) },
            ),
            Promise::MeanSquare(_) => {
                square_sum += error * error;
                (true, 0.0)
            }
            Promise::None => (true, 0.0),
        };
        total.max_error_over_bound = total.max_error_over_bound.max(over);
        if !kept {
            broken(i, total);
        }
    }
    if let Promise::MeanSquare(allowed) = promise {
        let over = (square_sum / n_ordinary.max(1) as f64 / allowed).sqrt();
        total.max_error_over_bound = total.max_error_over_bound.max(over);
        if over > 1.0 {
            broken(column, total);
        }
    }
}
