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

/// Points of a row, some of them at a time: `first`, `first + step`, and so on.
#[derive(Clone, Copy)]
pub(crate) struct Points {
    first: usize,
    step: usize,
}

impl Points {
    /// Where point `k` is.
    #[inline(always)]
    pub fn place(self, k: usize) -> usize {
        self.first + k * self.step
    }

    #[inline(always)]
    fn gather(self, values: &[f64], out: &mut [f64]) {
        let values = &values[self.first..];
        match self.step {
            1 => out.copy_from_slice(&values[..out.len()]),
            step => out.iter_mut().enumerate().for_each(|(k, o)| *o = values[k * step]),
        }
    }

    #[inline(always)]
    fn scatter(self, from: &[f64], values: &mut [f64]) {
        let values = &mut values[self.first..];
        match self.step {
            1 => values[..from.len()].copy_from_slice(from),
            step => from.iter().enumerate().for_each(|(k, v)| values[k * step] = *v),
        }
    }
}

/// What becomes of the points.
pub(crate) trait Visit {
    /// Turns values into decoded ones. Has to be `#[inline(always)]`, like the work of a [`Kernel`].
    fn visit(&mut self, points: Points, values: &mut [f64], predictions: &[f64], level: usize);
}

/// At most so many points are visited together.
pub(crate) const RUN: usize = 64;

/// Visits every point once. Level 0 is that of the points that begin, whose prediction is `begin`.
pub(crate) fn walk(plan: &Plan, values: &mut [f64], begin: f64, visit: impl Visit) {
    simd::run(Walk { plan, values, begin, visit });
}

struct Walk<'a, V> {
    plan: &'a Plan,
    values: &'a mut [f64],
    begin: f64,
    visit: V,
}

impl<V: Visit> Kernel for Walk<'_, V> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { plan, values, begin, mut visit } = self;
        if values.is_empty() {
            return;
        }
        let e = plan.extents;
        let strides = [e[1] * e[2] * e[3], e[2] * e[3], e[3], 1];
        let mut order: Vec<usize> = (plan.first_axis..AXES).collect();
        if plan.fastest_first {
            order.reverse();
        }
        // The points that begin: one for each independent array.
        for first in (0..values.len()).step_by(e[plan.first_axis..].iter().product()) {
            visit.visit(Points { first, step: 1 }, &mut values[first..=first], &[begin], 0);
        }
        let (mut near, mut x, mut predictions) = (Neighbours::default(), [0.0; RUN], [0.0; RUN]);
        for level in (1..=plan.step_codes.len()).rev() {
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
                let stride = strides[axis] * s;
                // None of the points is predicted from another of them, so that whole runs can be at once; where the row
                // is along the axis, those that have the same neighbours.
                let n = (e[3] - start[3]).div_ceil(step[3]);
                let n_before = |reach: usize| e[axis].saturating_sub(s + reach).div_ceil(2 * s);
                let ends = if axis == 3 { [1, n_before(3 * s), n_before(s), n] } else { [n; 4] };
                for a in (start[0]..e[0]).step_by(step[0]) {
                    for b in (start[1]..e[1]).step_by(step[1]) {
                        for c in (start[2]..e[2]).step_by(step[2]) {
                            let row = a * strides[0] + b * strides[1] + c * strides[2] + start[3];
                            let mut done = 0;
                            while done < n {
                                let end = ends.into_iter().find(|&end| end > done).unwrap_or(n);
                                let len = RUN.min(end - done);
                                let points = Points { first: row + done * step[3], step: step[3] };
                                let at = [a, b, c, start[3] + done * step[3]][axis];
                                let has = (at >= 3 * s, at + s < e[axis], at + 3 * s < e[axis]);
                                near.predict(values, points, stride, has, &mut predictions[..len]);
                                points.gather(values, &mut x[..len]);
                                visit.visit(points, &mut x[..len], &predictions[..len], level);
                                points.scatter(&x[..len], values);
                                done += len;
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Neighbours of a run of points: one step away along the axis, and three.
struct Neighbours {
    before: [f64; RUN],
    left: [f64; RUN],
    right: [f64; RUN],
    after: [f64; RUN],
}

impl Default for Neighbours {
    fn default() -> Self {
        Self { before: [0.0; RUN], left: [0.0; RUN], right: [0.0; RUN], after: [0.0; RUN] }
    }
}

impl Neighbours {
    /// Interpolates between neighbours `stride` and three times that away: `has` says which of the one before the left,
    /// the right and the one after that are there.
    #[inline(always)]
    fn predict(&mut self, values: &[f64], points: Points, stride: usize, has: (bool, bool, bool), out: &mut [f64]) {
        let n = out.len();
        let from = |first: usize, to: &mut [f64; RUN]| Points { first, ..points }.gather(values, &mut to[..n]);
        from(points.first - stride, &mut self.left);
        if has.0 {
            from(points.first - 3 * stride, &mut self.before);
        }
        if has.1 {
            from(points.first + stride, &mut self.right);
        }
        if has.2 {
            from(points.first + 3 * stride, &mut self.after);
        }
        match has {
            (true, true, true) => self.each(out, |b, l, r, a| (9.0 * (l + r) - (b + a)) * 0.0625),
            (true, true, false) => self.each(out, |b, l, r, _| (6.0 * l + 3.0 * r - b) * 0.125),
            (false, true, true) => self.each(out, |_, l, r, a| (3.0 * l + 6.0 * r - a) * 0.125),
            (false, true, false) => self.each(out, |_, l, r, _| (l + r) * 0.5),
            (true, false, _) => self.each(out, |b, l, _, _| 1.5 * l - 0.5 * b),
            (false, false, _) => self.each(out, |_, l, _, _| l),
        }
    }

    #[inline(always)]
    fn each(&self, out: &mut [f64], interpolate: impl Fn(f64, f64, f64, f64) -> f64) {
        let neighbours = self.before.iter().zip(&self.left).zip(self.right.iter().zip(&self.after));
        for (out, ((before, left), (right, after))) in out.iter_mut().zip(neighbours) {
            let prediction = interpolate(*before, *left, *right, *after);
            *out = if prediction.is_finite() { prediction } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Check<'a> {
        seen: &'a mut [u32],
        value: fn(usize) -> f64,
        /// Level and places whose predictions have to be right.
        exact: (usize, std::ops::Range<usize>),
    }

    impl Visit for Check<'_> {
        #[inline(always)]
        fn visit(&mut self, points: Points, values: &mut [f64], predictions: &[f64], level: usize) {
            for (k, (value, &prediction)) in values.iter_mut().zip(predictions).enumerate() {
                let i = points.place(k);
                assert!(prediction.is_finite() && value.is_nan());
                self.seen[i] += 1;
                *value = (self.value)(i);
                if level == self.exact.0 && self.exact.1.contains(&i) {
                    assert_eq!(prediction, *value);
                }
            }
        }
    }

    #[test]
    fn every_point_is_visited_once_and_parabolas_are_predicted() {
        let visit = |plan: &Plan, value: fn(usize) -> f64, exact| {
            let n: usize = plan.extents.iter().product();
            let (mut values, mut seen) = (vec![f64::NAN; n], vec![0; n]);
            walk(plan, &mut values, 1.0, Check { seen: &mut seen, value, exact });
            assert!(seen.iter().all(|&s| s == 1), "{plan:?}");
        };
        for extents in
            [[1, 1, 1, 1], [1, 1, 1, 17], [1, 1, 9, 5], [3, 4, 5, 6], [2, 1, 33, 2], [1, 7, 1, 8], [1, 1, 3, 300]]
        {
            for first_axis in 0..AXES {
                for fastest_first in [false, true] {
                    let step_codes = vec![0; Plan::n_levels(&extents, first_axis)];
                    visit(&Plan { extents, first_axis, fastest_first, step_codes }, |_| 1.0, (1, 0..0));
                }
            }
        }
        let plan = Plan { extents: [1, 1, 1, 65], first_axis: 0, fastest_first: false, step_codes: vec![0; 7] };
        visit(&plan, |i| (i as f64 - 20.0).powi(2), (1, 3..62));
    }
}
