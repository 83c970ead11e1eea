//! The biorthogonal 9/7 wavelet of Cohen, Daubechies and Feauveau (Comm. Pure Appl. Math. 45, 1992) by lifting
//! (Daubechies and Sweldens, J. Fourier Anal. Appl. 4, 1998), along up to four axes, level by level.
//!
//! Each level splits the box of low frequencies that the one before left: along each of its axes into a low half, first,
//! and a high half. All arithmetic is IEEE 754 double precision in the order written, so that every reader gets the same
//! values.

use crate::simd::{self, Kernel};

/// Axes after padding.
pub(super) const AXES: usize = 4;
/// Boxes shorter than this are not split further.
const MIN_EXTENT: usize = 4;

const LIFT: [f64; 4] = [-1.586_134_342_059_924, -0.052_980_118_572_961, 0.882_911_075_530_934, 0.443_506_852_043_971];
/// Brings both halves near to an orthonormal transform.
const SCALE: f64 = 1.149_604_398_860_241;

/// A box and the axes along which it is split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    pub extents: [usize; AXES],
    pub split: [bool; AXES],
}

impl Level {
    /// Extents of the low half.
    fn low(&self) -> [usize; AXES] {
        std::array::from_fn(|a| if self.split[a] { self.extents[a].div_ceil(2) } else { self.extents[a] })
    }

    /// Start and extents of sub-band `bits`: bit a set for the high half of axis a. `None` if it is not one of this level.
    pub fn band(&self, bits: usize) -> Option<([usize; AXES], [usize; AXES])> {
        let is_high = |a: usize| bits >> a & 1 == 1;
        if (0..AXES).any(|a| is_high(a) && !self.split[a]) {
            return None;
        }
        let low = self.low();
        let start = std::array::from_fn(|a| if is_high(a) { low[a] } else { 0 });
        let extents = std::array::from_fn(|a| if is_high(a) { self.extents[a] - low[a] } else { low[a] });
        Some((start, extents))
    }
}

/// Axes that are transformed together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Group {
    /// A bit for each axis.
    pub axes: u8,
    /// The most levels; fewer where all axes become short before.
    pub n_levels: u8,
}

/// The levels of a group, finest first. The axes of others are left alone.
fn levels(extents: [usize; AXES], group: Group) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    let mut extents = extents;
    while levels.len() < usize::from(group.n_levels) {
        let split = std::array::from_fn(|a| group.axes >> a & 1 == 1 && extents[a] >= MIN_EXTENT);
        if split == [false; AXES] {
            break;
        }
        let level = Level { extents, split };
        extents = level.low();
        levels.push(level);
    }
    levels
}

/// How an array is transformed: along the axes of one group after the other. Within a group all axes are halved together;
/// every sub-band of one group is transformed along the axes of the next.
pub(super) struct Layout {
    pub extents: [usize; AXES],
    /// The levels of each group, finest first.
    pub groups: Vec<Vec<Level>>,
}

impl Layout {
    /// The axes of the groups do not overlap.
    pub fn new(extents: [usize; AXES], groups: &[Group]) -> Self {
        Self { extents, groups: groups.iter().map(|&group| levels(extents, group)).collect() }
    }

    pub fn forward(&self, values: &mut [f64]) {
        simd::run(Transform { layout: self, values, is_inverse: false });
    }

    pub fn inverse(&self, values: &mut [f64]) {
        simd::run(Transform { layout: self, values, is_inverse: true });
    }
}

struct Transform<'a> {
    layout: &'a Layout,
    values: &'a mut [f64],
    is_inverse: bool,
}

impl Kernel for Transform<'_> {
    type Output = ();

    // Loops, not `for_each`, which would be a function on its own.
    #[inline(always)]
    fn run(self) {
        let Self { layout: Layout { extents, groups }, values, is_inverse } = self;
        if is_inverse {
            for levels in groups.iter().rev() {
                inverse(values, *extents, levels);
            }
        } else {
            for levels in groups {
                forward(values, *extents, levels);
            }
        }
    }
}

/// Pads working extents with ones in front.
pub(super) fn pad(extents: &[usize]) -> [usize; AXES] {
    let mut padded = [1; AXES];
    padded[AXES - extents.len()..].copy_from_slice(extents);
    padded
}

pub(super) fn strides(extents: [usize; AXES]) -> [usize; AXES] {
    [extents[1] * extents[2] * extents[3], extents[2] * extents[3], extents[3], 1]
}

#[inline(always)]
fn forward(values: &mut [f64], extents: [usize; AXES], levels: &[Level]) {
    for level in levels {
        for axis in (0..AXES).rev().filter(|&a| level.split[a]) {
            transform_axis(values, extents, level, axis, true);
        }
    }
}

#[inline(always)]
fn inverse(values: &mut [f64], extents: [usize; AXES], levels: &[Level]) {
    for level in levels.iter().rev() {
        for axis in (0..AXES).filter(|&a| level.split[a]) {
            transform_axis(values, extents, level, axis, false);
        }
    }
}

/// Transforms lines of `width` values each, along which all is done alike, or back. The high half follows the low one:
/// line k of the array is line k / 2 of its half.
#[inline(always)]
fn transform_lines(lines: &mut [f64], low: usize, n_high: usize, width: usize, splits: bool) {
    if splits {
        for (step, &factor) in LIFT.iter().enumerate() {
            lift(lines, low, n_high, width, step % 2 == 0, factor);
        }
        scale(lines, low, width, SCALE, 1.0 / SCALE);
    } else {
        scale(lines, low, width, 1.0 / SCALE, SCALE);
        for (step, &factor) in LIFT.iter().enumerate().rev() {
            lift(lines, low, n_high, width, step % 2 == 0, -factor);
        }
    }
}

#[inline(always)]
fn scale(lines: &mut [f64], low: usize, width: usize, by_low: f64, by_high: f64) {
    let (lows, highs) = lines.split_at_mut(low * width);
    lows.iter_mut().for_each(|v| *v *= by_low);
    highs.iter_mut().for_each(|v| *v *= by_high);
}

/// Adds `factor` times the sum of the two neighbours, which lie in the other half, to each line of the high half or of the
/// low one. The array goes on mirrored at its ends.
#[inline(always)]
fn lift(lines: &mut [f64], low: usize, n_high: usize, width: usize, to_high: bool, factor: f64) {
    let (lows, highs) = lines.split_at_mut(low * width);
    let last = (low - 1) * width;
    // Lines follow one another, so that the neighbours of all but those at the ends are two slices.
    if to_high {
        let inner = n_high.min(low - 1) * width;
        let (inside, end) = highs.split_at_mut(inner);
        add_sum(inside, &lows[..inner], &lows[width..], factor);
        add_sum(end, &lows[last..], &lows[last..], factor);
    } else {
        let (start, rest) = lows.split_at_mut(width);
        let (inside, end) = rest.split_at_mut((n_high - 1) * width);
        add_sum(start, highs, highs, factor);
        add_sum(inside, highs, &highs[width..], factor);
        add_sum(end, &highs[(n_high - 1) * width..], &highs[(n_high - 1) * width..], factor);
    }
}

#[inline(always)]
fn add_sum(to: &mut [f64], left: &[f64], right: &[f64], factor: f64) {
    for ((t, l), r) in to.iter_mut().zip(left).zip(right) {
        *t += factor * (l + r);
    }
}

/// Transforms the level's box along `axis`, sheet by sheet: each holds all of `axis` and some of the fastest axis (or one
/// line of it, if `axis` is the fastest). `splits` says whether the sheets come in their natural order or go back to it.
#[inline(always)]
fn transform_axis(values: &mut [f64], extents: [usize; AXES], level: &Level, axis: usize, splits: bool) {
    /// Values of a sheet where another axis than the fastest is transformed: it stays in the first cache.
    const SHEET: usize = 1 << 11;
    /// Along the fastest axis it has whole lines of the cache.
    const LEAST_WIDTH: usize = 8;
    let strides = strides(extents);
    let length = level.extents[axis];
    let low = length.div_ceil(2);
    let place = |k: usize| if k.is_multiple_of(2) { k / 2 } else { low + k / 2 };
    let fastest = AXES - 1;
    let others: Vec<usize> = (0..fastest).filter(|&a| a != axis).collect();
    let starts: Vec<usize> = others.iter().fold(vec![0], |starts, &a| {
        starts.iter().flat_map(|s| (0..level.extents[a]).map(move |k| s + k * strides[a])).collect()
    });
    if axis == fastest {
        let mut line = vec![0.0; length];
        for start in starts {
            let values = &mut values[start..start + length];
            if splits {
                let (lows, highs) = line.split_at_mut(low);
                for ((pair, low), high) in values.chunks_exact(2).zip(&mut *lows).zip(highs) {
                    (*low, *high) = (pair[0], pair[1]);
                }
                if length % 2 == 1 {
                    lows[low - 1] = values[length - 1];
                }
                transform_lines(&mut line, low, length - low, 1, splits);
                values.copy_from_slice(&line);
            } else {
                line.copy_from_slice(values);
                transform_lines(&mut line, low, length - low, 1, splits);
                let (lows, highs) = line.split_at(low);
                for ((pair, low), high) in values.chunks_exact_mut(2).zip(lows).zip(highs) {
                    (pair[0], pair[1]) = (*low, *high);
                }
                if length % 2 == 1 {
                    values[length - 1] = lows[low - 1];
                }
            }
        }
        return;
    }
    let most_width = (SHEET / length).next_multiple_of(LEAST_WIDTH).max(LEAST_WIDTH).min(level.extents[fastest]);
    let mut lines = vec![0.0; length * most_width];
    for start in starts {
        for column in (0..level.extents[fastest]).step_by(most_width) {
            let start = start + column;
            let width = most_width.min(level.extents[fastest] - column);
            let lines = &mut lines[..length * width];
            for k in 0..length {
                let from = start + k * strides[axis];
                let to = if splits { place(k) } else { k };
                lines[to * width..][..width].copy_from_slice(&values[from..from + width]);
            }
            transform_lines(lines, low, length - low, width, splits);
            for k in 0..length {
                let to = start + k * strides[axis];
                let from = if splits { k } else { place(k) };
                values[to..to + width].copy_from_slice(&lines[from * width..][..width]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_undoes_forward_and_smooth_fields_leave_no_high_half() {
        for extents in [[1, 1, 1, 1], [1, 1, 1, 8], [1, 1, 9, 17], [3, 8, 10, 33], [9, 1, 16, 5], [2, 11, 1, 40]] {
            let n: usize = extents.iter().product();
            for groups in [&[0b1111][..], &[0b1000], &[0b0010, 0b1100], &[1, 2, 4, 8], &[]] {
                let original: Vec<f64> = (0..n).map(|i| (i * i % 101) as f64 - 50.0).collect();
                let groups: Vec<Group> = groups.iter().map(|&axes| Group { axes, n_levels: 4 }).collect();
                let layout = Layout::new(extents, &groups);
                let mut values = original.clone();
                layout.forward(&mut values);
                layout.inverse(&mut values);
                let worst = values.iter().zip(&original).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(worst < 1e-10, "{extents:?} {groups:?}: {worst}");
            }
        }
        let extents = [1, 1, 1, 64];
        let mut values: Vec<f64> = (0..64).map(|i| f64::from(i) * 0.5 - 3.0).collect();
        let layout = Layout::new(extents, &[Group { axes: 0b1000, n_levels: 1 }]);
        layout.forward(&mut values);
        // Straight lines leave nothing but at the mirror.
        assert!(values[34..62].iter().all(|v| v.abs() < 1e-9), "{values:?}");
        assert!((values[10] / std::f64::consts::SQRT_2 - (20.0 * 0.5 - 3.0)).abs() < 1e-6);
    }
}
