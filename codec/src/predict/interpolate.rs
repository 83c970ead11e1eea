//! Multi-level interpolation: values are predicted from decoded ones on a grid twice as coarse, along one axis after the
//! other, by cubic splines where four neighbours are there. This is the idea of SZ3 (Zhao et al., ICDE 2021,
//! doi:10.1109/ICDE51399.2021.00145); finer steps on coarse levels, from whose values many others are predicted, are that
//! of QoZ (Liu et al., SC 2022).
//!
//! Predictions come from *decoded* values, so encoder and decoder walk the same points in the same order and share
//! [`walk`]. All arithmetic is IEEE 754 double precision in the order written.

use crate::simd::{self, Kernel};

/// Axes after padding.
pub(crate) const AXES: usize = 4;

/// How a part is walked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Extents of four axes, slowest first.
    pub extents: [usize; AXES],
    /// Axes from here on are interpolated along; those before hold independent arrays.
    pub first_axis: usize,
    /// Whether the fastest axis comes first on each level.
    pub fastest_first: bool,
    /// For each level from 1, the finest: the step is divided by `1 + code / 16`.
    pub step_codes: Vec<u8>,
}

impl Plan {
    /// Levels until the grid has one point in each array.
    pub fn n_levels(extents: &[usize; AXES], first_axis: usize) -> usize {
        let largest = extents[first_axis..].iter().copied().max().unwrap_or(1).max(1);
        (usize::BITS - (largest - 1).leading_zeros()) as usize
    }

    /// Pads working extents with ones in front.
    pub fn pad(extents: &[usize]) -> [usize; AXES] {
        let mut padded = [1; AXES];
        padded[AXES - extents.len()..].copy_from_slice(extents);
        padded
    }

    /// The steps of each level, from 0 (the points that begin) to the coarsest.
    pub fn steps(&self, step: f64) -> Vec<f64> {
        let of = |code: u8| step / (1.0 + f64::from(code) / 16.0);
        let coarsest = self.step_codes.last().map_or(step, |&c| of(c));
        std::iter::once(coarsest).chain(self.step_codes.iter().map(|&c| of(c))).collect()
    }
}

/// Visits every point once: `visit(values, position, prediction, level)` stores the decoded value at `position`. Level 0 is
/// that of the points that begin, whose prediction is `begin`.
pub(crate) fn walk<E>(
    plan: &Plan,
    values: &mut [f64],
    begin: f64,
    visit: impl FnMut(&mut f64, usize, f64, usize) -> Result<(), E>,
) -> Result<(), E> {
    simd::run(Walk { plan, values, begin, visit })
}

struct Walk<'a, V> {
    plan: &'a Plan,
    values: &'a mut [f64],
    begin: f64,
    visit: V,
}

impl<E, V: FnMut(&mut f64, usize, f64, usize) -> Result<(), E>> Kernel for Walk<'_, V> {
    type Output = Result<(), E>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { plan, values, begin, visit } = self;
        walk_plain(plan, values, begin, visit)
    }
}

#[inline(always)]
fn walk_plain<E>(
    plan: &Plan,
    values: &mut [f64],
    begin: f64,
    mut visit: impl FnMut(&mut f64, usize, f64, usize) -> Result<(), E>,
) -> Result<(), E> {
    if values.is_empty() {
        return Ok(());
    }
    let e = plan.extents;
    let strides = [e[1] * e[2] * e[3], e[2] * e[3], e[3], 1];
    let n_levels = plan.step_codes.len();
    let is_batch = |axis: usize| axis < plan.first_axis;
    // The points that begin: one for each independent array.
    let coarsest: [usize; AXES] = std::array::from_fn(|a| if is_batch(a) { 1 } else { e[a] });
    for_each_point([0; AXES], coarsest, e, strides, |i, _| visit(&mut values[i], i, begin, 0))?;
    let order: Vec<usize> =
        if plan.fastest_first { (plan.first_axis..AXES).rev().collect() } else { (plan.first_axis..AXES).collect() };
    for level in (1..=n_levels).rev() {
        let s = 1usize << (level - 1);
        for (k, &axis) in order.iter().enumerate() {
            if s >= e[axis] {
                continue;
            }
            let mut start = [0; AXES];
            let mut step = [1; AXES];
            for (j, &other) in order.iter().enumerate() {
                step[other] = if j < k { s } else { 2 * s };
            }
            start[axis] = s;
            let (stride, extent) = (strides[axis] * s, e[axis]);
            for_each_point(start, step, e, strides, |i, at| {
                let c = at[axis];
                let prediction = interpolate(values, i, stride, c >= 3 * s, c + s < extent, c + 3 * s < extent);
                let prediction = if prediction.is_finite() { prediction } else { 0.0 };
                visit(&mut values[i], i, prediction, level)
            })?;
        }
    }
    Ok(())
}

/// Interpolates at `i` from neighbours `stride` and three times that away; the one before is always there.
#[inline(always)]
fn interpolate(values: &[f64], i: usize, stride: usize, has_before: bool, has_next: bool, has_after: bool) -> f64 {
    let left = values[i - stride];
    if !has_next {
        return if has_before { 1.5 * left - 0.5 * values[i - 3 * stride] } else { left };
    }
    let right = values[i + stride];
    match (has_before, has_after) {
        (true, true) => {
            let (before, after) = (values[i - 3 * stride], values[i + 3 * stride]);
            (9.0 * (left + right) - (before + after)) * 0.0625
        }
        (true, false) => (6.0 * left + 3.0 * right - values[i - 3 * stride]) * 0.125,
        (false, true) => (3.0 * left + 6.0 * right - values[i + 3 * stride]) * 0.125,
        (false, false) => (left + right) * 0.5,
    }
}

#[inline(always)]
fn for_each_point<E>(
    start: [usize; AXES],
    step: [usize; AXES],
    extents: [usize; AXES],
    strides: [usize; AXES],
    mut visit: impl FnMut(usize, [usize; AXES]) -> Result<(), E>,
) -> Result<(), E> {
    for a in (start[0]..extents[0]).step_by(step[0]) {
        for b in (start[1]..extents[1]).step_by(step[1]) {
            for c in (start[2]..extents[2]).step_by(step[2]) {
                let row = a * strides[0] + b * strides[1] + c * strides[2];
                for d in (start[3]..extents[3]).step_by(step[3]) {
                    visit(row + d, [a, b, c, d])?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn every_point_is_visited_once_and_parabolas_are_predicted() {
        for extents in [[1, 1, 1, 1], [1, 1, 1, 17], [1, 1, 9, 5], [3, 4, 5, 6], [2, 1, 33, 2], [1, 7, 1, 8]] {
            for first_axis in 0..AXES {
                for fastest_first in [false, true] {
                    let n: usize = extents.iter().product();
                    let n_levels = Plan::n_levels(&extents, first_axis);
                    let plan = Plan { extents, first_axis, fastest_first, step_codes: vec![0; n_levels] };
                    let mut values = vec![f64::NAN; n];
                    let mut seen = vec![0; n];
                    let Ok(()) = walk(&plan, &mut values, 0.0, |v, i, p, level| {
                        assert!(level <= n_levels && p.is_finite(), "a point that was not visited yet was used");
                        seen[i] += 1;
                        *v = i as f64;
                        Ok::<_, Infallible>(())
                    });
                    assert!(seen.iter().all(|&s| s == 1), "{extents:?} {first_axis} {fastest_first}");
                }
            }
        }
        let plan = Plan { extents: [1, 1, 1, 65], first_axis: 0, fastest_first: false, step_codes: vec![0; 7] };
        let mut values = vec![0.0; 65];
        let Ok(()) = walk(&plan, &mut values, 0.0, |v, i, p, level| {
            let x = (i as f64 - 20.0).powi(2);
            if level == 1 && (3..62).contains(&i) {
                assert_eq!(p, x);
            }
            *v = x;
            Ok::<_, Infallible>(())
        });
    }
}
