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

/// Transforms a line, or back. The high half follows the low one.
#[inline(always)]
fn transform_line(line: &mut [f64], low: usize, splits: bool) {
    let (lows, highs) = line.split_at_mut(low);
    if splits {
        for (step, &factor) in LIFT.iter().enumerate() {
            lift(lows, highs, step % 2 == 0, factor);
        }
        scale(lows, highs, SCALE, 1.0 / SCALE);
    } else {
        scale(lows, highs, 1.0 / SCALE, SCALE);
        for (step, &factor) in LIFT.iter().enumerate().rev() {
            lift(lows, highs, step % 2 == 0, -factor);
        }
    }
}

#[inline(always)]
fn scale(lows: &mut [f64], highs: &mut [f64], by_low: f64, by_high: f64) {
    lows.iter_mut().for_each(|v| *v *= by_low);
    highs.iter_mut().for_each(|v| *v *= by_high);
}

/// Adds `factor` times the sum of the two neighbours, which lie in the other half, to each value of the high half or of the
/// low one. The array goes on mirrored at its ends.
#[inline(always)]
fn lift(lows: &mut [f64], highs: &mut [f64], to_high: bool, factor: f64) {
    let (last_low, last_high) = (lows.len() - 1, highs.len() - 1);
    if to_high {
        let (inside, end) = highs.split_at_mut(last_low.min(last_high + 1));
        add_sum(inside, lows, &lows[1..], factor);
        add_sum(end, &lows[last_low..], &lows[last_low..], factor);
    } else {
        let (start, rest) = lows.split_at_mut(1);
        let (inside, end) = rest.split_at_mut(last_high);
        add_sum(start, highs, highs, factor);
        add_sum(inside, highs, &highs[1..], factor);
        add_sum(end, &highs[last_high..], &highs[last_high..], factor);
    }
}

#[inline(always)]
fn add_sum(to: &mut [f64], left: &[f64], right: &[f64], factor: f64) {
    for ((t, l), r) in to.iter_mut().zip(left).zip(right) {
        *t += factor * (l + r);
    }
}

/// What [`lift`] does to a value of each of some lines.
#[inline(always)]
fn lifted<const N: usize>(v: [f64; N], factor: f64, left: [f64; N], right: [f64; N]) -> [f64; N] {
    std::array::from_fn(|i| v[i] + factor * (left[i] + right[i]))
}

/// `N` values side by side.
#[inline(always)]
fn row<const N: usize>(values: &[f64], start: usize) -> [f64; N] {
    values[start..start + N].try_into().expect("as many values")
}

#[inline(always)]
fn put<const N: usize>(to: &mut [f64], start: usize, row: [f64; N], factor: f64) {
    to[start..start + N].copy_from_slice(&row.map(|v| v * factor));
}

/// [`transform_line`] of `N` lines side by side, in one pass: each lifting step follows the one before as soon as it can.
/// Values of a line lie `stride` apart in `from`, and `width` in `to`, low half first.
#[inline(always)]
fn split_lines<const N: usize>(from: &[f64], stride: usize, length: usize, to: &mut [f64], width: usize) {
    let (low, n_high) = (length.div_ceil(2), length / 2);
    let high = |k: usize| (low + k) * width;
    // The values behind: of the low half before any step and after two, of the high half after one and after three.
    let mut low_0 = row::<N>(from, 0);
    let [mut low_2, mut high_1, mut high_3] = [[0.0; N]; 3];
    for k in 0..low {
        let (last_low_2, last_high_1) = (low_2, high_1);
        if k < n_high {
            let next = if k + 1 < low { row(from, (2 * k + 2) * stride) } else { low_0 };
            high_1 = lifted(row(from, (2 * k + 1) * stride), LIFT[0], low_0, next);
            low_2 = lifted(low_0, LIFT[1], if k == 0 { high_1 } else { last_high_1 }, high_1);
            low_0 = next;
        } else {
            low_2 = lifted(low_0, LIFT[1], high_1, high_1);
        }
        if k > 0 {
            let last_high_3 = high_3;
            high_3 = lifted(last_high_1, LIFT[2], last_low_2, low_2);
            let low_4 = lifted(last_low_2, LIFT[3], if k == 1 { high_3 } else { last_high_3 }, high_3);
            put(to, high(k - 1), high_3, 1.0 / SCALE);
            put(to, (k - 1) * width, low_4, SCALE);
        }
    }
    let last_high_3 = high_3;
    if n_high == low {
        high_3 = lifted(high_1, LIFT[2], low_2, low_2);
        put(to, high(low - 1), high_3, 1.0 / SCALE);
    }
    put(to, (low - 1) * width, lifted(low_2, LIFT[3], last_high_3, high_3), SCALE);
}

/// Back: values of a line lie `stride` apart in `from`, low half first, and `width` in `to`.
#[inline(always)]
fn join_lines<const N: usize>(from: &[f64], stride: usize, length: usize, to: &mut [f64], width: usize) {
    let (low, n_high) = (length.div_ceil(2), length / 2);
    let [mut low_2, mut high_3, mut high_1, mut low_0] = [[0.0; N]; 4];
    for k in 0..low {
        let (last_low_2, last_high_3) = (low_2, high_3);
        let low_4 = row::<N>(from, k * stride).map(|v| v * (1.0 / SCALE));
        if k < n_high {
            high_3 = row::<N>(from, (low + k) * stride).map(|v| v * SCALE);
        }
        let left = if k == 0 || k == n_high { high_3 } else { last_high_3 };
        low_2 = lifted(low_4, -LIFT[3], left, high_3);
        if k > 0 {
            let (last_high_1, last_low_0) = (high_1, low_0);
            high_1 = lifted(last_high_3, -LIFT[2], last_low_2, low_2);
            low_0 = lifted(last_low_2, -LIFT[1], if k == 1 { high_1 } else { last_high_1 }, high_1);
            put(to, (2 * k - 2) * width, low_0, 1.0);
            if k > 1 {
                put(to, (2 * k - 3) * width, lifted(last_high_1, -LIFT[0], last_low_0, low_0), 1.0);
            }
        }
    }
    let (last_high_1, last_low_0) = (high_1, low_0);
    if n_high == low {
        high_1 = lifted(high_3, -LIFT[2], low_2, low_2);
    }
    low_0 = lifted(low_2, -LIFT[1], last_high_1, high_1);
    put(to, (2 * low - 2) * width, low_0, 1.0);
    put(to, (2 * low - 3) * width, lifted(last_high_1, -LIFT[0], last_low_0, low_0), 1.0);
    if n_high == low {
        put(to, (2 * low - 1) * width, lifted(high_1, -LIFT[0], low_0, low_0), 1.0);
    }
}

/// Transforms the level's box along `axis`. `splits` says whether values come in their natural order or go back to it.
#[inline(always)]
fn transform_axis(values: &mut [f64], extents: [usize; AXES], level: &Level, axis: usize, splits: bool) {
    let length = level.extents[axis];
    let starts = |others: &[usize]| -> Vec<usize> {
        others.iter().fold(vec![0], |starts, &a| {
            starts.iter().flat_map(|s| (0..level.extents[a]).map(move |k| s + k * strides(extents)[a])).collect()
        })
    };
    let fastest = AXES - 1;
    let others: Vec<usize> = (0..fastest).filter(|&a| a != axis).collect();
    if axis == fastest {
        let mut line = vec![0.0; length];
        for start in starts(&others) {
            transform_row(&mut values[start..start + length], &mut line, splits);
        }
    } else {
        let mut sheet = Vec::new();
        for start in starts(&others) {
            let n_lines = level.extents[fastest];
            transform_sheet(&mut values[start..], strides(extents)[axis], length, n_lines, &mut sheet, splits);
        }
    }
}

/// Transforms a line of values that follow one another; `line` has room for as many.
#[inline(always)]
fn transform_row(values: &mut [f64], line: &mut [f64], splits: bool) {
    let low = values.len().div_ceil(2);
    if !splits {
        line.copy_from_slice(values);
        transform_line(line, low, splits);
    }
    let (lows, highs) = line.split_at_mut(low);
    let (pairs, rest) = values.as_chunks_mut::<2>();
    for (pair, (low, high)) in pairs.iter_mut().zip(lows.iter_mut().zip(highs)) {
        if splits {
            (*low, *high) = (pair[0], pair[1]);
        } else {
            *pair = [*low, *high];
        }
    }
    if let ([odd], Some(last)) = (rest, lows.last_mut()) {
        if splits {
            *last = *odd;
        } else {
            *odd = *last;
        }
    }
    if splits {
        transform_line(line, low, splits);
        values.copy_from_slice(line);
    }
}

/// Transforms lines that lie side by side, some at once; values of a line lie `stride` apart.
#[inline(always)]
fn transform_sheet(
    values: &mut [f64],
    stride: usize,
    length: usize,
    n_lines: usize,
    sheet: &mut Vec<f64>,
    splits: bool,
) {
    /// Values of a sheet: it stays in the first cache.
    const SHEET: usize = 1 << 11;
    /// Lines that vectors hold: a line of the cache of each.
    const LINES: usize = 8;
    let most_width = (SHEET / length).next_multiple_of(LINES).max(LINES).min(n_lines);
    sheet.resize(length * most_width, 0.0);
    for first in (0..n_lines).step_by(most_width) {
        let width = most_width.min(n_lines - first);
        let values = &mut values[first..];
        let mut column = 0;
        while column < width {
            let (from, to) = (&values[column..], &mut sheet[column..]);
            let is_many = column + LINES <= width;
            match (splits, is_many) {
                (true, true) => split_lines::<LINES>(from, stride, length, to, width),
                (true, false) => split_lines::<1>(from, stride, length, to, width),
                (false, true) => join_lines::<LINES>(from, stride, length, to, width),
                (false, false) => join_lines::<1>(from, stride, length, to, width),
            }
            column += if is_many { LINES } else { 1 };
        }
        for (row, start) in sheet.chunks_exact(width).take(length).zip((0..).step_by(stride)) {
            values[start..start + width].copy_from_slice(row);
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
