//! From a program's layers to operations on integers.
//!
//! What makes the hardware smaller than the layers read one by one:
//! * Rounding half up is adding one half and dropping bits, so the half joins the bias of the dense layer before.
//! * Every rounding keeps order and keeps zero, so a rectifier may come after the rounding, where there are fewer bits,
//!   and becomes one limit with the saturation.
//! * The entries of a table are cast while the hardware is written.

use super::net::{Id, Net};
use super::{Mode, Options};
use crate::fixed::{Fixed, Format, Overflow, Rounding};
use crate::ir::{Accumulator, Dense, Layer, Op, Program, Range, Table};
use baler_codec::{Error, Result};

/// A value between two layers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire {
    pub(super) id: Id,
    /// Half a step of the next layer's grid has been added already.
    pub(super) is_rounded: bool,
}

/// Builds the net of a program's layers, one after the other.
pub(super) struct Lowering<'a> {
    pub(super) net: Net,
    program: &'a Program,
    options: &'a Options,
    /// Nodes that say whether a value was outside the range of its format.
    pub(super) outside: Vec<Id>,
}

/// The whole program as one net. Its last output is 1 where any value was outside the range of the format it was cast to.
pub(super) fn lower(program: &Program, options: &Options) -> Result<Net> {
    let mut lowering = Lowering::new(program, options);
    let mut wires = lowering.inputs_of_formats(0);
    for layer in 0..program.layers().len() {
        wires = lowering.layer(layer, &wires)?;
    }
    Ok(lowering.finish(&wires))
}

impl<'a> Lowering<'a> {
    pub(super) fn new(program: &'a Program, options: &'a Options) -> Self {
        Self { net: Net::default(), program, options, outside: Vec::new() }
    }

    /// Everything that the formats before layer `layer` hold, as the inputs of the net.
    pub(super) fn inputs_of_formats(&mut self, layer: usize) -> Vec<Wire> {
        let formats = self.program.formats_before(layer).iter().enumerate();
        let input = |(i, f): (usize, &Format)| self.net.input(i, Range { low: f.min_raw(), high: f.max_raw() });
        formats.map(input).map(|id| Wire { id, is_rounded: false }).collect()
    }

    /// Names the outputs: the wires, then the overflow status.
    pub(super) fn finish(mut self, wires: &[Wire]) -> Net {
        let status = self.net.any(&self.outside);
        let outputs = wires.iter().map(|w| w.id).chain([status]).collect();
        self.net.set_outputs(outputs);
        self.net.pruned()
    }

    pub(super) fn layer(&mut self, index: usize, inputs: &[Wire]) -> Result<Vec<Wire>> {
        let layer = &self.program.layers()[index];
        let context = |e: Error| e.context(format_args!("layer {index} {:?}", layer.name));
        match &layer.op {
            Op::Dense(dense) => self.dense(index, dense, inputs),
            _ => (0..inputs.len()).map(|j| self.element(index, j, inputs[j])).collect(),
        }
        .map_err(context)
    }

    fn layers(&self) -> &'a [Layer] {
        self.program.layers()
    }

    /// The cast of an exact result to the layer's format; `is_rounded`: half a step is in it already.
    fn cast(&mut self, id: Id, fraction_bits: i32, to: Format, is_rounded: bool) -> Result<Id> {
        let id = self.round(id, fraction_bits, to, is_rounded)?;
        Ok(self.fit(id, to))
    }

    fn round(&mut self, id: Id, fraction_bits: i32, to: Format, is_rounded: bool) -> Result<Id> {
        let dropped = fraction_bits - to.fraction_bits();
        let rounding = if is_rounded { Rounding::Trn } else { to.rounding() };
        match dropped {
            1.. => self.net.drop_bits(id, dropped.unsigned_abs(), rounding),
            _ => self.net.up(id, dropped.unsigned_abs()),
        }
    }

    fn fit(&mut self, id: Id, to: Format) -> Id {
        let (fitted, outside) = self.net.fit(id, to);
        self.outside.push(outside);
        fitted
    }

    /// Everything that is computed element by element.
    fn element(&mut self, index: usize, j: usize, x: Wire) -> Result<Wire> {
        let layer = &self.layers()[index];
        let (from, to) = (self.program.formats_before(index)[j], layer.formats[j]);
        let fraction = from.fraction_bits();
        let id = match &layer.op {
            Op::Dense(_) => unreachable!("dense layers are not element by element"),
            Op::Cast => self.cast(x.id, fraction, to, x.is_rounded)?,
            Op::Relu => {
                let rounded = self.round(x.id, fraction, to, x.is_rounded)?;
                let rectified = self.net.clamp(rounded, 0, self.net.range(rounded).high.max(0));
                self.fit(rectified, to)
            }
            Op::LeakyRelu { alpha, alpha_format } => {
                let (alpha, own) = (i128::from(*alpha), alpha_format.fraction_bits());
                let finest = (fraction + own).max(fraction);
                let above = self.net.up(x.id, (finest - fraction).unsigned_abs())?;
                let scaled = self.net.linear(&[x.id], &[vec![alpha]], &[0], 0)?[0];
                let below = self.net.up(scaled, (finest - fraction - own).unsigned_abs())?;
                // A slope is not negative, so what is chosen has the sign of `x`.
                let range = Range { low: self.net.range(below).low, high: self.net.range(above).high.max(0) };
                let chosen = self.net.select(x.id, above, below, range);
                self.cast(chosen, finest, to, false)?
            }
            Op::Table(table) => self.table(table, x.id, fraction, to)?,
            Op::ScaleShift(affine) => {
                let (of_scale, of_shift) = (affine.scale_format.fraction_bits(), affine.shift_format.fraction_bits());
                let finest = (fraction + of_scale).max(of_shift);
                let scale = i128::from(affine.scales[j]) << (finest - fraction - of_scale);
                let half = half_step(finest, to);
                let shift = (i128::from(affine.shifts[j]) << (finest - of_shift)) + half.unwrap_or(0);
                let exact = self.matrix(&[x.id], &[vec![scale]], &[shift])?[0];
                self.cast(exact, finest, to, half.is_some())?
            }
        };
        Ok(Wire { id, is_rounded: false })
    }

    fn table(&mut self, table: &Table, x: Id, fraction: i32, to: Format) -> Result<Id> {
        if !table.span.is_power_of_two() {
            let span = table.span;
            return Err(Error::unsupported(format!("a table over a span of {span}: hardware takes powers of two")));
        }
        let n = table.entries.len() as i128;
        let scaled = self.net.linear(&[x], &[vec![n]], &[0], 0)?[0];
        let span_bits = table.span.trailing_zeros();
        let whole = if fraction >= 0 {
            self.net.drop_bits(scaled, span_bits + fraction.unsigned_abs(), Rounding::TrnZero)?
        } else {
            let whole = self.net.drop_bits(scaled, span_bits, Rounding::TrnZero)?;
            self.net.up(whole, fraction.unsigned_abs())?
        };
        let middle = self.net.constant(n / 2);
        let centred = self.net.total(&[(whole, 0), (middle, 0)])?;
        let address = self.net.clamp(centred, 0, n - 1);
        let of_entry = table.entry_format.fraction_bits();
        let entries: Vec<i128> =
            table.entries.iter().map(|&e| Fixed::from_grid(e.into(), of_entry, to).raw()).collect();
        let overflows: Vec<i128> =
            table.entries.iter().map(|&e| i128::from(Fixed::overflows(e.into(), of_entry, to))).collect();
        let outside = self.net.table(address, &overflows);
        self.outside.push(outside);
        Ok(self.net.table(address, &entries))
    }

    fn dense(&mut self, index: usize, dense: &Dense, inputs: &[Wire]) -> Result<Vec<Wire>> {
        let formats = self.program.formats_before(index);
        let ids: Vec<Id> = inputs.iter().map(|w| w.id).collect();
        let is_exact = self.program.ranges()[index].is_exact;
        let fraction = dense.fraction_bits(formats);
        if let (Accumulator::Stepwise(accumulator), false) = (dense.accumulator, is_exact) {
            let to = &self.layers()[index].formats;
            return (0..to.len())
                .map(|j| {
                    let sum = self.stepwise(dense, j, &ids, formats, accumulator)?;
                    let id = self.cast(sum, accumulator.fraction_bits(), to[j], false)?;
                    Ok(Wire { id, is_rounded: false })
                })
                .collect();
        }
        let halves: Vec<i128> = (0..dense.biases.len()).map(|j| self.half_ahead(index, j, fraction)).collect();
        let (weights, mut biases) = dense_integers(dense, formats);
        biases.iter_mut().zip(&halves).for_each(|(bias, half)| *bias += half);
        let sums = self.matrix(&ids, &weights, &biases)?;
        sums.iter().enumerate().map(|(j, &sum)| self.after_sum(index, j, sum, fraction, halves[j] != 0)).collect()
    }

    /// The cast of an exact sum in which the half of [`Lowering::half_ahead`] may be.
    pub(super) fn after_sum(&mut self, index: usize, j: usize, sum: Id, fraction: i32, has_half: bool) -> Result<Wire> {
        let to = self.layers()[index].formats[j];
        if !has_half || half_step(fraction, to).is_some() {
            return Ok(Wire { id: self.cast(sum, fraction, to, has_half)?, is_rounded: false });
        }
        // The half is that of the next layer: this cast only widens, and the format need not hold the half.
        Ok(Wire { id: self.net.up(sum, (fraction - to.fraction_bits()).unsigned_abs())?, is_rounded: true })
    }

    /// What is added to the exact sum `j` of a dense layer so that rounding is dropping bits: for its own cast, or, if
    /// that loses nothing, for the next layer's; 0 where there is nothing to gain.
    pub(super) fn half_ahead(&self, index: usize, j: usize, fraction: i32) -> i128 {
        let own = self.layers()[index].formats[j];
        if let Some(half) = half_step(fraction, own) {
            return half;
        }
        let widened_by = own.fraction_bits() - fraction;
        if widened_by < 0 || self.program.ranges()[index].may_overflow[j] {
            return 0;
        }
        let Some(next) = self.layers().get(index + 1) else { return 0 };
        match (&next.op, half_step(own.fraction_bits(), next.formats.get(j).copied().unwrap_or(own))) {
            (Op::Relu | Op::Cast, Some(half)) if half.trailing_zeros() >= widened_by.unsigned_abs() => {
                half >> widened_by
            }
            _ => 0,
        }
    }

    /// A constant matrix times nodes, plus biases, by the arithmetic that is asked for.
    fn matrix(&mut self, inputs: &[Id], weights: &[Vec<i128>], biases: &[i128]) -> Result<Vec<Id>> {
        match self.options.mode {
            Mode::ShiftAdd | Mode::Reuse(_) | Mode::Reloadable(_) => {
                self.net.linear(inputs, weights, biases, self.options.slack)
            }
            Mode::Dsp => weights
                .iter()
                .zip(biases)
                .map(|(row, &bias)| {
                    let mut terms = Vec::with_capacity(row.len() + 1);
                    for (&input, &weight) in inputs.iter().zip(row).filter(|(_, w)| **w != 0) {
                        terms.push((self.net.multiply(input, weight)?, 0));
                    }
                    terms.push((self.net.constant(bias), 0));
                    self.net.total(&terms)
                })
                .collect(),
        }
    }

    /// A sum that is cast after every step, as hls4ml's.
    fn stepwise(&mut self, dense: &Dense, j: usize, inputs: &[Id], formats: &[Format], to: Format) -> Result<Id> {
        let bias = Fixed::from_grid(dense.biases[j].into(), dense.bias_format.fraction_bits(), to).raw();
        let mut sum = self.net.constant(bias);
        let mut terms = vec![(sum, 0)];
        let wraps = to.overflow() == Overflow::Wrap;
        for ((&input, format), &weight) in inputs.iter().zip(formats).zip(&dense.weights[j]) {
            if weight == 0 {
                continue;
            }
            let product = self.matrix(&[input], &[vec![weight.into()]], &[0])?[0];
            let fraction = dense.weight_format.fraction_bits() + format.fraction_bits();
            let product = self.round(product, fraction, to, false)?;
            if wraps {
                // Low bits of sums come from low bits of terms: one wrap at the end does, in any order.
                terms.push((product, 0));
            } else {
                let product = self.net.fit(product, to).0;
                let exact = self.net.total(&[(sum, 0), (product, 0)])?;
                sum = self.net.fit(exact, to).0;
            }
        }
        if wraps {
            let exact = self.net.total(&terms)?;
            sum = self.net.fit(exact, to).0;
        }
        Ok(sum)
    }
}

/// Half a step of `to` in units of `2^-fraction_bits`, if rounding to it is adding that and dropping bits.
fn half_step(fraction_bits: i32, to: Format) -> Option<i128> {
    let dropped = fraction_bits - to.fraction_bits();
    (to.rounding() == Rounding::Rnd && (1..=120).contains(&dropped)).then(|| 1 << (dropped - 1))
}

/// Weights and biases on one grid, that of the exact sums.
pub(super) fn dense_integers(dense: &Dense, formats: &[Format]) -> (Vec<Vec<i128>>, Vec<i128>) {
    let fraction = dense.fraction_bits(formats);
    let of_weight = dense.weight_format.fraction_bits();
    let aligned =
        |(&weight, format): (&i64, &Format)| i128::from(weight) << (fraction - of_weight - format.fraction_bits());
    let weights = dense.weights.iter().map(|row| row.iter().zip(formats).map(aligned).collect()).collect();
    let of_bias = fraction - dense.bias_format.fraction_bits();
    (weights, dense.biases.iter().map(|&b| i128::from(b) << of_bias).collect())
}
