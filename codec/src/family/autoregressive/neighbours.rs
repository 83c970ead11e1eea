//! What the network of an autoregressive model is given: the values around, as differences from the nearest one in units of
//! how much they differ here. So neither an offset, nor the steps of a bound, nor the scale of the data matter to it.
//!
//! All integers; fractions have [`FRACTION_BITS`] bits unless said otherwise.

use crate::entropy::Int;
use crate::predict::fitted::{self, IN_PLANE, PLANE_BEFORE, ROUND, Site, Walk};
use crate::predict::lorenzo::MAX_AXES;

/// Neighbours in the same plane without the nearest one, which the differences are from.
const N_IN_PLANE: usize = IN_PLANE.len() - 1;
/// Neighbours that the network is given.
const N_NEIGHBOURS: usize = N_IN_PLANE + PLANE_BEFORE.len();
/// What the network is given: neighbours, the linear prediction, the logarithm of the unit.
pub(crate) const N_INPUTS: usize = N_NEIGHBOURS + 2;
/// Bits below the point of inputs.
pub(crate) const FRACTION_BITS: u32 = 8;
/// No input has more than this magnitude.
const MAX_INPUT: i32 = (1 << 13) - 1;
/// Differences are cut off here, so that their sum fits 32 bits.
const MAX_DIFFERENCE: i64 = 1 << 22;
/// The unit counts in 1/96 of a step.
const UNIT_PARTS: i32 = 96;
/// `log2(96)` in 2^-[`FRACTION_BITS`].
const LOG2_UNIT_PARTS: i32 = 1686;
/// Mantissas of units: 5 bits below the top one.
const MANTISSA_BITS: u32 = 5;

/// `2^12 * 96 / (32 + m)`, rounded to the nearest.
const RECIPROCALS: [i32; 1 << MANTISSA_BITS] = {
    let mut table = [0; 1 << MANTISSA_BITS];
    let mut m = 0;
    while m < table.len() {
        let divisor = (1 << MANTISSA_BITS) + m as i32;
        table[m] = (2 * (UNIT_PARTS << 12) + divisor) / (2 * divisor);
        m += 1;
    }
    table
};

/// The mean distance of the neighbours from the nearest one and half a step: `(32 + mantissa) * 2^(exponent - 5) / 96` steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    exponent: u32,
    mantissa: u32,
}

impl Unit {
    /// Of a number of parts, at least 32.
    #[inline(always)]
    fn of(parts: u32) -> Self {
        let exponent = parts.ilog2();
        Self { exponent, mantissa: parts >> (exponent - MANTISSA_BITS) & ((1 << MANTISSA_BITS) - 1) }
    }

    /// A difference in 2^-8 steps, in units.
    #[inline(always)]
    fn scale(self, difference: i64) -> i32 {
        let shifted = (difference >> (self.exponent - MANTISSA_BITS)).clamp(-(1 << 14), 1 << 14) as i32;
        ((shifted * RECIPROCALS[self.mantissa as usize]) >> 12).clamp(-MAX_INPUT, MAX_INPUT)
    }

    /// Its logarithm to base 2, of steps, in 2^-8; linear between powers of two.
    #[inline(always)]
    pub fn log2(self) -> i32 {
        ((self.exponent << MANTISSA_BITS) + self.mantissa) as i32 * 8 - LOG2_UNIT_PARTS
    }

    /// In steps, in 2^-16: `floor(parts * 43691 / 64)`, where 43691 / 64 is about 65536 / 96.
    #[inline(always)]
    pub fn steps(self) -> i64 {
        let parts = i64::from((1 << MANTISSA_BITS) + self.mantissa) << (self.exponent - MANTISSA_BITS);
        (parts * 43691) >> 6
    }
}

/// How far back the neighbours lie.
pub(crate) struct Neighbours {
    walk: Walk,
    offsets: [usize; N_NEIGHBOURS],
}

fn neighbours() -> impl Iterator<Item = fitted::Back> {
    IN_PLANE[1..].iter().chain(&PLANE_BEFORE).copied()
}

impl Neighbours {
    pub fn new(extents: &[usize; MAX_AXES]) -> Self {
        let walk = Walk::new(extents);
        let mut offsets = [0; N_NEIGHBOURS];
        for (offset, back) in offsets.iter_mut().zip(neighbours()) {
            *offset = walk.offset(back) as usize;
        }
        Self { walk, offsets }
    }

    /// The network's inputs at a site, and their unit. A neighbour beyond the edge counts as equal to the nearest value.
    #[inline(always)]
    pub fn inputs<I: Int>(&self, values: &[I], site: &Site) -> ([i16; N_INPUTS], Unit) {
        let has_plane = site.at[1] > 0;
        let mut differences = [0i32; N_NEIGHBOURS];
        let cut = |v: I| v.to_i64().wrapping_sub(site.anchor).clamp(-MAX_DIFFERENCE, MAX_DIFFERENCE) as i32;
        let n = if has_plane { N_NEIGHBOURS } else { N_IN_PLANE };
        if site.has_all {
            for (d, offset) in differences[..n].iter_mut().zip(&self.offsets) {
                *d = cut(values[site.i - offset]);
            }
        } else {
            for (d, back) in differences[..n].iter_mut().zip(neighbours()) {
                *d = self.walk.neighbour(site.at, site.x, back).map_or(0, |i| cut(values[i]));
            }
        }
        let sum: u32 = differences.iter().map(|d| d.unsigned_abs()).sum();
        // 96 times the mean: of 24 neighbours exactly, of 10 nearly.
        let unit = Unit::of(sum * if has_plane { 4 } else { 10 } + UNIT_PARTS as u32 / 2);
        let mut inputs = [0i16; N_INPUTS];
        for (input, d) in inputs.iter_mut().zip(differences) {
            *input = unit.scale(i64::from(d) << FRACTION_BITS) as i16;
        }
        inputs[N_NEIGHBOURS] =
            unit.scale(site.sum.wrapping_sub(ROUND) >> (fitted::FRACTION_BITS - FRACTION_BITS)) as i16;
        let log2 = ((unit.exponent - MANTISSA_BITS) << MANTISSA_BITS) + unit.mantissa;
        inputs[N_NEIGHBOURS + 1] = (log2 * 4) as i16;
        (inputs, unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_near_what_they_stand_for() {
        for parts in (48..5000u32).chain((0..20).map(|k| 3 << (k + 10))) {
            let unit = Unit::of(parts);
            let exact = f64::from(parts) / 96.0;
            let steps = unit.steps() as f64 / 65536.0;
            assert!(steps <= exact * 1.001 && steps > exact * 0.968, "{parts}: {steps} {exact}");
            assert!((f64::from(unit.log2()) / 256.0 - exact.log2()).abs() < 0.14, "{parts}");
            for d in [-3.0f64, -0.4, 0.0, 0.7, 2.5] {
                let scaled = f64::from(unit.scale((d * exact * 256.0) as i64)) / 256.0;
                assert!((scaled - d).abs() < 0.04 * d.abs() + 0.05, "{parts} {d}: {scaled}");
            }
        }
    }
}
