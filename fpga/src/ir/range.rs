//! What values can occur, for every input there is: interval arithmetic on integers.
//!
//! A dense layer's products are each within an interval; whatever the order, a partial sum lies between the sum of the
//! lower ends below zero and that of the upper ends above. This bounds the accumulator of every design, and proves which
//! integer type of a processor holds it.

use super::{Accumulator, Dense, Layer, Op};
use crate::fixed::{Fixed, Format, Overflow};
use baler_codec::{Error, Result};

/// An interval of integers, both ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The lowest.
    pub low: i128,
    /// The highest.
    pub high: i128,
}

/// What values a layer can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerRanges {
    /// Fraction bits of the exact result of each element: `exact` and `partial` count in `2^-fraction_bits`.
    pub fraction_bits: Vec<i32>,
    /// The result before the cast to the layer's formats.
    pub exact: Vec<Range>,
    /// Dense layers: every product and every partial sum, in any order, with the bias or without. Others: as `exact`, with
    /// zero.
    pub partial: Vec<Range>,
    /// The integers that leave the layer.
    pub output: Vec<Range>,
    /// Where the cast to the layer's format can meet a value outside its range.
    pub may_overflow: Vec<bool>,
    /// Whether the result before the cast is the exact one: always, but for [`Accumulator::Stepwise`] that can lose bits.
    /// Where it is false, `exact` and `partial` are those of the accumulator's format.
    pub is_exact: bool,
}

impl Range {
    /// One value.
    pub fn of(value: i128) -> Self {
        Self { low: value, high: value }
    }

    /// The smallest interval with zero and this one in it.
    #[must_use]
    pub fn with_zero(self) -> Self {
        Self { low: self.low.min(0), high: self.high.max(0) }
    }

    /// The smallest interval with both in it.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// Bits that hold every value in two's complement, the sign's among them; without a sign bit if none is negative.
    /// At least 1.
    pub fn bits(self) -> u32 {
        let magnitude = |v: i128| 128 - (if v < 0 { !v } else { v }).leading_zeros();
        let bits = magnitude(self.low).max(magnitude(self.high));
        (bits + u32::from(self.is_signed())).max(1)
    }

    /// Whether a value can be below zero.
    pub fn is_signed(self) -> bool {
        self.low < 0
    }

    /// Whether a two's complement integer of `bits` bits holds every value.
    pub fn fits_signed(self, bits: u32) -> bool {
        self.bits() + u32::from(!self.is_signed()) <= bits
    }

    /// Every sum of two values, if 128 bits hold it.
    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        Some(Self { low: self.low.checked_add(other.low)?, high: self.high.checked_add(other.high)? })
    }

    /// Every value times a constant, if 128 bits hold it.
    pub(crate) fn times(self, factor: i128) -> Option<Self> {
        let (a, b) = (self.low.checked_mul(factor)?, self.high.checked_mul(factor)?);
        Some(Self { low: a.min(b), high: a.max(b) })
    }

    /// Every value times a power of two, if 128 bits hold it.
    pub(crate) fn shifted_up(self, bits: i32) -> Option<Self> {
        Some(Self { low: shift_up(self.low, bits)?, high: shift_up(self.high, bits)? })
    }
}

/// `value * 2^bits`, if 128 bits hold it.
fn shift_up(value: i128, bits: i32) -> Option<i128> {
    let bits = u32::try_from(bits).ok()?;
    if value == 0 {
        return Some(0);
    }
    let shifted = value.checked_shl(bits)?;
    (shifted >> bits == value).then_some(shifted)
}

/// Everything that formats hold.
pub(crate) fn of_formats(formats: &[Format]) -> Vec<Range> {
    formats.iter().map(|&format| of_format(format)).collect()
}

fn of_format(format: Format) -> Range {
    Range { low: format.min_raw(), high: format.max_raw() }
}

/// What `layer` can give for inputs of `formats` within `inputs`; the layer is valid.
pub(crate) fn of_layer(layer: &Layer, formats: &[Format], inputs: &[Range]) -> Result<LayerRanges> {
    let too_wide = || Error::unsupported("its exact results need more than 127 bits: use narrower formats");
    let n = layer.formats.len();
    let mut is_exact = true;
    let mut fraction_bits = Vec::with_capacity(n);
    let (mut exact, mut partial) = (Vec::with_capacity(n), Vec::with_capacity(n));
    for j in 0..n {
        let (fraction, result, sums) = match &layer.op {
            Op::Dense(dense) => {
                let fraction = dense.fraction_bits(formats);
                let sums = of_sum(dense, j, fraction, formats, inputs).ok_or_else(too_wide)?;
                match dense.accumulator {
                    Accumulator::Exact => (fraction, sums.0, sums.1),
                    // On the accumulator's grid, as sums come out that way where another output needs it.
                    Accumulator::Stepwise(format) => {
                        let finer = format.fraction_bits() - fraction;
                        let kept = if keeps_all(format, fraction, sums.1) {
                            sums.0.shifted_up(finer).zip(sums.1.shifted_up(finer))
                        } else {
                            is_exact = false;
                            None
                        };
                        let (result, partial) = kept.unwrap_or((of_format(format), of_format(format)));
                        (format.fraction_bits(), result, partial)
                    }
                }
            }
            op => {
                let (fraction, range) = elementwise(op, j, formats[j], inputs[j]).ok_or_else(too_wide)?;
                (fraction, range, range.with_zero())
            }
        };
        fraction_bits.push(fraction);
        exact.push(result);
        partial.push(sums);
    }
    if let (Op::Dense(dense), true) = (&layer.op, is_exact) {
        // Nothing is lost in any sum: they are the exact ones, on their own grid.
        let own = dense.fraction_bits(formats);
        for ((fraction, result), sums) in fraction_bits.iter_mut().zip(&mut exact).zip(&mut partial) {
            let finer = *fraction - own;
            for range in [result, sums] {
                *range = Range { low: range.low >> finer, high: range.high >> finer };
            }
            *fraction = own;
        }
    }
    let casts = exact.iter().zip(&fraction_bits).zip(&layer.formats).map(|((&r, &f), &to)| cast(r, f, to));
    let (output, may_overflow) = casts.unzip();
    Ok(LayerRanges { fraction_bits, exact, partial, output, may_overflow, is_exact })
}

impl Dense {
    /// Fraction bits of the exact sums: enough for every product and for the biases.
    pub fn fraction_bits(&self, inputs: &[Format]) -> i32 {
        let finest = inputs.iter().map(|format| format.fraction_bits()).max().unwrap_or(0);
        (finest + self.weight_format.fraction_bits()).max(self.bias_format.fraction_bits())
    }
}

/// Sum and partial sums of output `j`.
fn of_sum(dense: &Dense, j: usize, fraction: i32, formats: &[Format], inputs: &[Range]) -> Option<(Range, Range)> {
    let bias = Range::of(dense.biases[j].into()).shifted_up(fraction - dense.bias_format.fraction_bits())?;
    let (mut sum, mut partial) = (bias, bias.with_zero());
    for ((&weight, format), &input) in dense.weights[j].iter().zip(formats).zip(inputs) {
        if weight == 0 {
            continue;
        }
        let shift = fraction - dense.weight_format.fraction_bits() - format.fraction_bits();
        let product = input.times(weight.into())?.shifted_up(shift)?;
        sum = sum.plus(product)?;
        partial = partial.plus(product.with_zero())?;
    }
    Some((sum, partial))
}

/// Whether a sum kept in `format` after every step is the exact one.
fn keeps_all(format: Format, fraction_bits: i32, partial: Range) -> bool {
    let loses_bits = format.fraction_bits() < fraction_bits;
    !loses_bits && [partial.low, partial.high].iter().all(|&raw| !Fixed::overflows(raw, fraction_bits, format))
}

fn elementwise(op: &Op, i: usize, format: Format, x: Range) -> Option<(i32, Range)> {
    let fraction = format.fraction_bits();
    let above = Range { low: x.low.max(0), high: x.high.max(0) };
    Some(match op {
        Op::Dense(_) => unreachable!("dense layers are not element by element"),
        Op::Cast => (fraction, x),
        Op::Relu => (fraction, above),
        Op::LeakyRelu { alpha, alpha_format } => {
            let own = alpha_format.fraction_bits();
            let finest = (fraction + own).max(fraction);
            let below = Range { low: x.low.min(0), high: x.high.min(0) };
            let below = below.times((*alpha).into())?.shifted_up(finest - fraction - own)?;
            (finest, below.hull(above.shifted_up(finest - fraction)?))
        }
        Op::Table(table) => {
            let (from, to) = (table.index(x.low, fraction), table.index(x.high, fraction));
            let reached = table.entries[from..=to].iter().map(|&entry| Range::of(entry.into()));
            (table.entry_format.fraction_bits(), reached.reduce(Range::hull)?)
        }
        Op::ScaleShift(affine) => {
            let product = fraction + affine.scale_format.fraction_bits();
            let finest = product.max(affine.shift_format.fraction_bits());
            let scaled = x.times(affine.scales[i].into())?.shifted_up(finest - product)?;
            let shift = Range::of(affine.shifts[i].into()).shifted_up(finest - affine.shift_format.fraction_bits())?;
            (finest, scaled.plus(shift)?)
        }
    })
}

/// The integers of `to` that values of `exact` become, and whether one can be outside.
fn cast(exact: Range, fraction_bits: i32, to: Format) -> (Range, bool) {
    let ends = [exact.low, exact.high];
    let may_overflow = ends.iter().any(|&raw| Fixed::overflows(raw, fraction_bits, to));
    // Rounding and saturation keep the order of values; wrapping does not.
    let keeps_order = !may_overflow || matches!(to.overflow(), Overflow::Sat | Overflow::SatSym);
    if !keeps_order {
        return (of_format(to), may_overflow);
    }
    let [low, high] = ends.map(|raw| Fixed::from_grid(raw, fraction_bits, to).raw());
    (Range { low, high }, may_overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_by_hand() {
        let range = |low, high| Range { low, high };
        assert_eq!((range(0, 0).bits(), range(0, 255).bits(), range(-128, 127).bits()), (1, 8, 8));
        assert_eq!((range(-129, 0).bits(), range(-1, 0).bits(), range(-1, 128).bits()), (9, 1, 9));
        assert!(range(-128, 127).fits_signed(8) && !range(0, 128).fits_signed(8) && range(0, 127).fits_signed(8));
        assert_eq!(
            (shift_up(-3, 2), shift_up(1, 127), shift_up(0, 5000), shift_up(1, -1)),
            (Some(-12), None, Some(0), None)
        );
    }

    #[test]
    fn casts_of_intervals() {
        let to = |text: &str| text.parse::<Format>().unwrap();
        let exact = Range { low: -100, high: 300 };
        assert_eq!(cast(exact, 1, to("fixed<8,8,TRN,SAT>")), (Range { low: -50, high: 127 }, true));
        assert_eq!(cast(exact, 1, to("fixed<9,9,TRN,WRAP>")), (Range { low: -50, high: 150 }, false));
        assert_eq!(cast(exact, 1, to("fixed<8,8,TRN,WRAP>")), (Range { low: -128, high: 127 }, true));
        assert_eq!(cast(exact, 1, to("ufixed<8,8,TRN,SAT>")), (Range { low: 0, high: 150 }, true));
        let lowest = Range { low: -128, high: 0 };
        assert_eq!(cast(lowest, 0, to("fixed<8,8,TRN,SAT_SYM>")), (Range { low: -127, high: 0 }, true));
    }
}
