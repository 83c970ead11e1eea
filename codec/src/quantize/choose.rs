//! Encoder side: which quantiser keeps the promise with the fewest bits, and the values it cannot keep it for.

use super::{Quantiser, bits_to_pattern, is_finite_pattern};
use crate::bound::{Promise, within_abs, within_pw_rel};
use crate::element::{Elements, extremes, f64_to_bits, mantissa_bits};
use crate::entropy::Int;
use crate::params::Dtype;
use crate::predict::stream::Ints;
use crate::simd::{self, Kernel};
use crate::special::Specials;

/// A part as integers.
pub(crate) struct Quantised {
    pub quantiser: Quantiser,
    /// One for each value. Those of special values and exceptions are free; they repeat the value before.
    pub q: Ints,
    /// Positions whose values the integers do not bring back within the promise.
    pub exceptions: Vec<usize>,
}

/// Largest |q| of a linear quantiser: `q as f64` is exact, with room for differences.
const MAX_Q: f64 = (1u64 << 51) as f64;

/// Quantises all ordinary values under `promise`; `None` where [`Promise::None`] or the dtype leaves nothing to do.
pub(crate) fn quantise(elements: Elements<'_>, specials: &Specials, promise: Promise) -> Quantised {
    if elements.dtype.is_float() {
        match promise {
            Promise::Abs(abs) => linear(elements, &mut elements.to_numbers(), specials, abs, abs),
            Promise::PwRel(rel) => pattern(elements, specials, rel),
            Promise::MeanSquare(mean_square) => mean_square_linear(elements, specials, mean_square),
            Promise::Exact | Promise::None => None,
        }
        .unwrap_or_else(|| bits(elements, specials))
    } else {
        let step = match promise {
            // floor(abs) on either side, and the value itself.
            Promise::Abs(abs) => (abs.min(9e18) as u64).saturating_mul(2) + 1,
            Promise::PwRel(rel) => pw_rel_integer_step(elements, specials, rel),
            // An integer within sqrt(ms) of every value keeps the mean square.
            Promise::MeanSquare(ms) => (ms.sqrt().min(9e18) as u64).saturating_mul(2) + 1,
            Promise::Exact | Promise::None => 1,
        };
        match elements.to_ints() {
            Ints::I32(values) => integer(&values, specials, step),
            Ints::I64(values) => integer(&values, specials, step),
        }
    }
}

/// The widest step that keeps a pointwise relative bound for every integer: that of the smallest magnitude.
fn pw_rel_integer_step(elements: Elements<'_>, specials: &Specials, rel: f64) -> u64 {
    let smallest = (0..elements.len())
        .filter(|&i| !specials.is_masked(i))
        .map(|i| elements.value(i).abs())
        .fold(f64::INFINITY, f64::min);
    if !smallest.is_finite() || smallest == 0.0 {
        return 1;
    }
    ((smallest * rel * (1.0 - 1e-12)) as u64).saturating_mul(2) + 1
}

fn integer<I: Int>(values: &[I], specials: &Specials, step: u64) -> Quantised {
    let (min, max) = if specials.classes.is_empty() {
        simd::run(Range(values))
    } else {
        let ordinary = || (0..values.len()).filter(|&i| !specials.is_masked(i)).map(|i| values[i]);
        (ordinary().min(), ordinary().max())
    };
    let (min, max) = (min.map_or(0, I::to_i64), max.map_or(0, I::to_i64));
    let offset = if step == 1 { base_offset(min, max) } else { phase(values, specials, step, min) };
    if specials.classes.is_empty()
        && let Some(q) = narrow(values, offset, step, min, max)
    {
        return Quantised { quantiser: Quantiser::Integer { offset, step }, q: Ints::I32(q), exceptions: Vec::new() };
    }
    let mut last = 0;
    let q = (0..values.len())
        .map(|i| {
            if !specials.is_masked(i) {
                let distance = i128::from(values[i].to_i64()) - i128::from(offset);
                let step = i128::from(step);
                last = (distance + step / 2).div_euclid(step) as i64;
            }
            last
        })
        .collect();
    Quantised { quantiser: Quantiser::Integer { offset, step }, q, exceptions: Vec::new() }
}

/// The smallest and the largest.
struct Range<'a, I>(&'a [I]);

impl<I: Int> Kernel for Range<'_, I> {
    type Output = (Option<I>, Option<I>);

    #[inline(always)]
    fn run(self) -> Self::Output {
        (self.0.iter().copied().reduce(I::min), self.0.iter().copied().reduce(I::max))
    }
}

/// The steps from the offset to the nearest integer, where distances fit 32 bits, as those of samples do.
fn narrow<I: Int>(values: &[I], offset: i64, step: u64, min: i64, max: i64) -> Option<Vec<i32>> {
    let distance = |v: i64| v.checked_sub(offset).and_then(|d| i32::try_from(d).ok());
    let (least, _) = (distance(min)?, distance(max)?);
    let half = i32::try_from(step / 2).ok()?;
    let step = u32::try_from(step).ok()?;
    // Not below zero, so that division rounds down.
    if step > 1 && least.checked_add(half)? < 0 {
        return None;
    }
    Some(simd::run(Divided { values, offset, half: half.into(), step }))
}

/// Distances from the offset, and half a step, divided by the step.
struct Divided<'a, I> {
    values: &'a [I],
    offset: i64,
    half: i64,
    step: u32,
}

impl<I: Int> Kernel for Divided<'_, I> {
    type Output = Vec<i32>;

    #[inline(always)]
    fn run(self) -> Vec<i32> {
        let Self { values, offset, half, step } = self;
        if step == 1 {
            return values.iter().map(|v| v.to_i64().wrapping_sub(offset) as i32).collect();
        }
        // Division of floats goes by vectors. Of two numbers of 32 bits it rounds to no whole number that is not below the
        // quotient: that one is further off than rounding goes.
        let step = f64::from(step);
        values.iter().map(|v| (f64::from((v.to_i64().wrapping_sub(offset) + half) as u32) / step) as i32).collect()
    }
}

/// For step 1: the minimum where only that gives narrow integers, otherwise 0.
fn base_offset(min: i64, max: i64) -> i64 {
    let narrow = |v: i64| i32::try_from(v).is_ok();
    let is_narrow_from_min = max.checked_sub(min).is_some_and(narrow);
    if is_narrow_from_min && !(narrow(min) && narrow(max)) { min } else { 0 }
}

/// Where the first bin begins decides which neighbours share one: tries each phase of a short step on a sample.
fn phase<I: Int>(values: &[I], specials: &Specials, step: u64, min: i64) -> i64 {
    const MAX_PHASES: u64 = 32;
    const SAMPLE: usize = 1 << 15;
    if step > MAX_PHASES {
        return min;
    }
    let stride = values.len().div_ceil(SAMPLE).max(1);
    let sample: Vec<i64> =
        (0..values.len()).step_by(stride).filter(|&i| !specials.is_masked(i)).map(|i| values[i].to_i64()).collect();
    let step_i128 = i128::from(step);
    (0..step as i64)
        .filter_map(|p| min.checked_add(p))
        .min_by_key(|&offset| {
            let mut counts = std::collections::BTreeMap::new();
            for &v in &sample {
                let q = (i128::from(v) - i128::from(offset) + step_i128 / 2).div_euclid(step_i128);
                *counts.entry(q).or_insert(0u32) += 1;
            }
            // The entropy, but for a factor and a constant.
            let information: f64 = counts.values().map(|&c| f64::from(c) * f64::from(c).log2()).sum();
            (-information * 1024.0) as i64
        })
        .unwrap_or(min)
}

fn bits(elements: Elements<'_>, specials: &Specials) -> Quantised {
    let dtype = elements.dtype;
    let patterns: Vec<i64> = match dtype {
        Dtype::F32 => elements.words::<4>().map(|w| bits_to_pattern(dtype, u32::from_le_bytes(w).into())).collect(),
        Dtype::F64 => elements.words::<8>().map(|w| bits_to_pattern(dtype, u64::from_le_bytes(w))).collect(),
        _ => (0..elements.len()).map(|i| bits_to_pattern(dtype, elements.bits(i))).collect(),
    };
    // Values of a wider type that came from a narrower one share zeros at the end: 29 of them for f32 in f64.
    let mut used = 0u64;
    for (_, pattern) in patterns.iter().enumerate().filter(|&(i, _)| !specials.is_masked(i)) {
        used |= pattern.unsigned_abs();
    }
    let shift = if used == 0 { 0 } else { used.trailing_zeros() };
    let mut exceptions = Vec::new();
    let mut last = 0;
    let q = patterns.into_iter().enumerate().map(|(i, pattern)| {
        if !specials.is_masked(i) {
            last = pattern >> shift;
            // Patterns of special values that found no class.
            if super::pattern_to_bits(dtype, pattern) != elements.bits(i) {
                exceptions.push(i);
            }
        }
        last
    });
    Quantised { quantiser: Quantiser::Bits { shift }, q: q.collect(), exceptions }
}

fn pattern(elements: Elements<'_>, specials: &Specials, rel: f64) -> Option<Quantised> {
    let dtype = elements.dtype;
    let step = (2.0 * rel * (1u64 << mantissa_bits(dtype)) as f64) as i64;
    if step <= 1 {
        return None;
    }
    let quantiser = Quantiser::Pattern { step: step as u64 };
    let mut exceptions = Vec::new();
    let mut last = 0;
    let q = (0..elements.len())
        .map(|i| {
            if specials.is_masked(i) {
                return last;
            }
            let bits = elements.bits(i);
            let p = bits_to_pattern(dtype, bits);
            let magnitude = (p.abs() + step / 2) / step;
            let q = if p < 0 { -magnitude } else { magnitude };
            let kept = is_finite_pattern(dtype, (magnitude * step) as u64)
                && is_ordinary(dtype, bits)
                && within_pw_rel(quantiser.decode_f64(dtype, q), elements.value(i), rel);
            if kept {
                last = q;
            } else {
                exceptions.push(i);
            }
            last
        })
        .collect();
    Some(Quantised { quantiser, q, exceptions })
}

/// Whether bits are a finite number other than -0.0: special values beyond the classes are exceptions.
fn is_ordinary(dtype: Dtype, bits: u64) -> bool {
    !crate::special::special_test(dtype, None)(bits)
}

/// The half step of a linear quantiser that leaves room in `abs` for the roundings of the decoder.
pub(crate) fn half_step(dtype: Dtype, largest: f64, abs: f64) -> Option<f64> {
    // Half a unit in the last place of the dtype, and of the two f64 operations before.
    let unit = |mantissa: u32| 2f64.powi(exponent(largest) - mantissa as i32);
    let margin = 0.5 * unit(mantissa_bits(dtype)) + 1.5 * unit(52);
    let half = (abs - margin) * (1.0 - 1e-12);
    // With less room than that the step would be finer than the values' own.
    (half > margin && (2.0 * half).is_normal()).then_some(half)
}

/// floor(log2 |v|), at least that of the smallest normal f64.
fn exponent(v: f64) -> i32 {
    ((v.abs().to_bits() >> 52 & 0x7ff) as i32 - 1023).max(-1022)
}

/// Quantises with a step from `abs`, checking each value against `allowed` (at least `abs`). Special values are overwritten.
fn linear(
    elements: Elements<'_>,
    values: &mut [f64],
    specials: &Specials,
    abs: f64,
    allowed: f64,
) -> Option<Quantised> {
    let dtype = elements.dtype;
    for (v, _) in values.iter_mut().zip(&specials.classes).filter(|(_, class)| **class != 0) {
        *v = f64::NAN;
    }
    let (min, max) = extremes(values)?;
    let half = half_step(dtype, min.abs().max(max.abs()), abs)?;
    let step = 2.0 * half;
    if !step.is_finite() || (max / step - min / step) > MAX_Q {
        return None;
    }
    let offset = linear_offset(values, min, max, step);
    let quantiser = Quantiser::Linear { offset, step };
    let mut last = offset;
    for (v, class) in values.iter_mut().zip(&specials.classes) {
        if *class != 0 {
            *v = last;
        }
        last = *v;
    }
    if let Some(q) = simd::run(Plain { values, dtype, offset, step, allowed }) {
        return Some(Quantised { quantiser, q: Ints::I32(q), exceptions: Vec::new() });
    }
    let inverse = 1.0 / step;
    let mut exceptions = Vec::new();
    let mut last = 0i64;
    let q = (0..values.len())
        .map(|i| {
            if specials.is_masked(i) {
                return last;
            }
            let x = values[i];
            let scaled = ((x - offset) * inverse).round_ties_even();
            let q = scaled as i64;
            let y = quantiser.decode_f64(dtype, q);
            let negative_zero = x == 0.0 && x.is_sign_negative();
            if scaled.abs() <= MAX_Q && x.is_finite() && y.is_finite() && !negative_zero && within_abs(y, x, allowed) {
                last = q;
            } else {
                exceptions.push(i);
            }
            last
        })
        .collect();
    Some(Quantised { quantiser, q, exceptions })
}

/// The commonest case: floats whose integers are narrow, and keep the bound with certainty for every value.
struct Plain<'a> {
    values: &'a [f64],
    dtype: Dtype,
    offset: f64,
    step: f64,
    allowed: f64,
}

impl Kernel for Plain<'_> {
    type Output = Option<Vec<i32>>;

    #[inline(always)]
    fn run(self) -> Option<Vec<i32>> {
        const BLOCK: usize = 1024;
        let Self { values, dtype, offset, step, allowed } = self;
        let inverse = 1.0 / step;
        let is_narrow = match dtype {
            Dtype::F32 => true,
            Dtype::F64 => false,
            _ => return None,
        };
        let mut q = vec![0i32; values.len()];
        for (q, values) in q.chunks_mut(BLOCK).zip(values.chunks(BLOCK)) {
            let mut is_kept = true;
            for (q, &x) in q.iter_mut().zip(values) {
                let scaled = ((x - offset) * inverse).round_ties_even();
                *q = scaled as i32;
                let y = offset + f64::from(*q) * step;
                let y = if is_narrow { f64::from(y as f32) } else { y };
                // False for NaN, and for what did not fit.
                is_kept &= (y - x).abs() < allowed;
            }
            if !is_kept {
                return None;
            }
        }
        Some(q)
    }
}

/// Where q = 0 lies: at 0 if values are often just that, so that they stay so, otherwise at the minimum.
fn linear_offset(values: &[f64], min: f64, max: f64, step: f64) -> f64 {
    if min > 0.0 || max < 0.0 || min.abs().max(max.abs()) / step > MAX_Q {
        return min;
    }
    let stride = values.len().div_ceil(1 << 14).max(1);
    let (mut n, mut n_zero) = (0usize, 0usize);
    for v in values.iter().step_by(stride).filter(|v| v.is_finite()) {
        n += 1;
        n_zero += usize::from(*v == 0.0);
    }
    if n_zero * 16 > n { 0.0 } else { min }
}

/// The widest step whose measured mean square error keeps the promise.
fn mean_square_linear(elements: Elements<'_>, specials: &Specials, mean_square: f64) -> Option<Quantised> {
    // Uniform errors within +-h have the mean square h^2 / 3; errors of h at the most keep it for certain at h^2.
    let (certain, likely) = (mean_square.sqrt(), (3.0 * mean_square).sqrt());
    let values = &mut elements.to_numbers();
    let mut half = likely * 1.05;
    while half > certain {
        let quantised = linear(elements, values, specials, half, half)?;
        if measured_mean_square(elements, values, specials, &quantised) <= mean_square * (1.0 - 1e-9) {
            return Some(quantised);
        }
        half *= 0.97;
    }
    linear(elements, values, specials, certain, certain)
}

fn measured_mean_square(elements: Elements<'_>, values: &[f64], specials: &Specials, quantised: &Quantised) -> f64 {
    let mut exceptions = quantised.exceptions.iter().copied().peekable();
    let (mut sum, mut n) = (0.0, 0usize);
    for (i, &x) in values.iter().enumerate() {
        let is_exception = exceptions.next_if_eq(&i).is_some();
        if specials.is_masked(i) || !is_ordinary(elements.dtype, f64_to_bits(elements.dtype, x)) {
            continue;
        }
        n += 1;
        if !is_exception {
            let error = quantised.quantiser.decode_f64(elements.dtype, quantised.q.get(i)) - x;
            sum += error * error;
        }
    }
    sum / n.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_divided_exactly() {
        for step in [1u64, 3, 5, 7, 1001, 65_535, (1 << 31) - 1, (1 << 32) - 1] {
            let half = step / 2;
            // Next to every bound between two steps, and the largest that fit.
            let bounds = (0..2000).map(|k| (k * step + half).min(i32::MAX as u64));
            let distances =
                bounds.flat_map(|d| [d.saturating_sub(1), d, d + 1]).chain([i32::MAX as u64 - 1, i32::MAX as u64]);
            let distances = distances.filter(|&d| d <= i32::MAX as u64);
            for offset in [0, -7, i64::from(i32::MIN), 1 << 40] {
                let values: Vec<i64> = distances.clone().map(|d| offset + d as i64).collect();
                let expected = distances.clone().map(|d| ((d + half) / step) as i32);
                let max = values.iter().copied().max().unwrap();
                let found = narrow(&values, offset, step, offset, max).unwrap();
                assert!(found.iter().copied().eq(expected), "{step} {offset}");
            }
            assert_eq!(narrow(&[-2i64, i64::MAX], 0, step, -2, i64::MAX), None);
        }
    }
}
