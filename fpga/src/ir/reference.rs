//! The plain interpreter: the definition of what a program computes.

use super::{Accumulator, Dense, Op, Program, check_len};
use crate::fixed::{Fixed, Format};
use baler_codec::{Error, Result};

/// What happens to one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The integers each layer gives.
    pub layers: Vec<Vec<i128>>,
    /// In each layer, how many elements were outside the range of their format before the cast.
    pub overflows: Vec<usize>,
}

impl Program {
    /// The integers of the output for one row of integers, as [`Input::quantise`](super::Input::quantise) gives them.
    ///
    /// # Errors
    /// Another number of values, integers outside the formats of the input, and outputs beyond 64 bits (of formats that
    /// wide only).
    pub fn reference(&self, input: &[i64]) -> Result<Vec<i64>> {
        let trace = self.trace(input)?;
        let last = trace.layers.into_iter().next_back().unwrap_or_default();
        last.into_iter()
            .map(|raw| {
                i64::try_from(raw).map_err(|_| Error::unsupported(format!("output {raw} has more than 64 bits")))
            })
            .collect()
    }

    /// What every layer gives for one row.
    ///
    /// # Errors
    /// Another number of values, and integers outside the formats of the input.
    pub fn trace(&self, input: &[i64]) -> Result<Trace> {
        check_len("a row of input", self.input_len(), input.len())?;
        let mut values = Vec::with_capacity(input.len());
        for (i, (&raw, &format)) in input.iter().zip(&self.input.formats).enumerate() {
            let value = Fixed::new(raw.into(), format).map_err(|e| e.context(format_args!("input {i}")))?;
            values.push(value.raw());
        }
        let mut trace = Trace { layers: Vec::with_capacity(self.layers.len()), overflows: Vec::new() };
        for (i, layer) in self.layers.iter().enumerate() {
            let mut overflows = 0;
            let inputs = self.formats_before(i);
            values = layer
                .formats
                .iter()
                .enumerate()
                .map(|(j, &to)| {
                    let (raw, fraction_bits) = exact(&layer.op, j, &values, inputs);
                    overflows += usize::from(Fixed::overflows(raw, fraction_bits, to));
                    Fixed::from_grid(raw, fraction_bits, to).raw()
                })
                .collect();
            trace.layers.push(values.clone());
            trace.overflows.push(overflows);
        }
        Ok(trace)
    }
}

/// Element `j` of what `op` gives, before the cast: an integer and its fraction bits.
///
/// Nothing overflows here: `range::of_layer` has computed the same with the ends of every interval, checked.
fn exact(op: &Op, j: usize, values: &[i128], formats: &[Format]) -> (i128, i32) {
    match op {
        Op::Dense(dense) => match dense.accumulator {
            Accumulator::Exact => exact_sum(dense, j, values, formats),
            Accumulator::Stepwise(format) => (stepwise_sum(dense, j, values, formats, format), format.fraction_bits()),
        },
        op => elementwise(op, j, values[j], formats[j].fraction_bits()),
    }
}

fn exact_sum(dense: &Dense, j: usize, values: &[i128], formats: &[Format]) -> (i128, i32) {
    let fraction = dense.fraction_bits(formats);
    let bias = i128::from(dense.biases[j]) << (fraction - dense.bias_format.fraction_bits());
    let products = dense.weights[j].iter().zip(values).zip(formats).map(|((&weight, &x), format)| {
        let shift = fraction - dense.weight_format.fraction_bits() - format.fraction_bits();
        (i128::from(weight) * x) << shift
    });
    (bias + products.sum::<i128>(), fraction)
}

fn stepwise_sum(dense: &Dense, j: usize, values: &[i128], formats: &[Format], to: Format) -> i128 {
    let bias = Fixed::from_grid(dense.biases[j].into(), dense.bias_format.fraction_bits(), to).raw();
    let terms = dense.weights[j].iter().zip(values).zip(formats);
    terms.fold(bias, |sum, ((&weight, &x), format)| {
        let fraction = dense.weight_format.fraction_bits() + format.fraction_bits();
        let product = Fixed::from_grid(i128::from(weight) * x, fraction, to).raw();
        Fixed::from_grid(sum + product, to.fraction_bits(), to).raw()
    })
}

fn elementwise(op: &Op, i: usize, x: i128, fraction: i32) -> (i128, i32) {
    match op {
        Op::Dense(_) => unreachable!("dense layers are not element by element"),
        Op::Cast => (x, fraction),
        Op::Relu => (x.max(0), fraction),
        Op::LeakyRelu { .. } if x > 0 => (x, fraction),
        Op::LeakyRelu { alpha, alpha_format } => (x * i128::from(*alpha), fraction + alpha_format.fraction_bits()),
        Op::Table(table) => (table.entries[table.index(x, fraction)].into(), table.entry_format.fraction_bits()),
        Op::ScaleShift(affine) => {
            let (of_scale, of_shift) = (affine.scale_format.fraction_bits(), affine.shift_format.fraction_bits());
            let finest = (fraction + of_scale).max(of_shift);
            let scaled = (x * i128::from(affine.scales[i])) << (finest - fraction - of_scale);
            (scaled + (i128::from(affine.shifts[i]) << (finest - of_shift)), finest)
        }
    }
}
