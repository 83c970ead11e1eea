//! Sums, histograms and quantiles: the numbers behind every table and plot.

use serde::Serialize;

/// A sum that keeps what rounding would lose (Neumaier).
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    /// Adds one value.
    pub fn add(&mut self, v: f64) {
        let sum = self.sum + v;
        self.lost += if self.sum.abs() >= v.abs() { (self.sum - sum) + v } else { (v - sum) + self.sum };
        self.sum = sum;
    }

    /// What it came to.
    pub fn value(&self) -> f64 {
        self.sum + self.lost
    }
}

/// Number, mean, root mean square and extremes of a stream of values.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// How many values there were.
    pub n: u64,
    /// The smallest; infinite of none.
    pub min: f64,
    /// The largest; minus infinity of none.
    pub max: f64,
    sum: Sum,
    squares: Sum,
    /// Squares are summed about the first value, so that a large offset does not eat the digits of a small spread.
    origin: f64,
    shifted: Sum,
    shifted_squares: Sum,
}

impl Default for Moments {
    fn default() -> Self {
        let zero = Sum::default();
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { n: 0, min, max, sum: zero, squares: zero, origin: 0.0, shifted: zero, shifted_squares: zero }
    }
}

impl Moments {
    /// Takes in a finite value.
    pub fn add(&mut self, v: f64) {
        if self.n == 0 {
            self.origin = v;
        }
        self.n += 1;
        self.min = self.min.min(v);
        self.max = self.max.max(v);
        self.sum.add(v);
        self.squares.add(v * v);
        let d = v - self.origin;
        self.shifted.add(d);
        self.shifted_squares.add(d * d);
    }

    /// Arithmetic mean; NaN of no values.
    pub fn mean(&self) -> f64 {
        self.sum.value() / self.n as f64
    }

    /// Root of the mean square (about 0, not about the mean); NaN of no values.
    pub fn rms(&self) -> f64 {
        (self.squares.value() / self.n as f64).sqrt()
    }

    /// Standard deviation about the mean, of the whole population; NaN of no values.
    pub fn deviation(&self) -> f64 {
        if self.n == 0 {
            return f64::NAN;
        }
        let n = self.n as f64;
        let mean = self.shifted.value() / n;
        (self.shifted_squares.value() / n - mean * mean).max(0.0).sqrt()
    }
}

/// Counts of values in bins.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Histogram {
    /// Edges of the bins, one more than there are bins; the last bin holds its upper edge too.
    pub edges: Vec<f64>,
    /// Values in each bin.
    pub counts: Vec<u64>,
    /// Values beyond the edges.
    pub outside: u64,
}

impl Histogram {
    /// `n_bins` equal bins from `min` to `max`; of a single value, a bin around it.
    pub fn new(min: f64, max: f64, n_bins: usize) -> Self {
        let (min, max) = widened(min, max);
        let n = n_bins.max(1);
        // Halves first: the difference of two large ends may overflow.
        let edge = |i: usize| {
            let share = i as f64 / n as f64;
            min * (1.0 - share) + max * share
        };
        Self { edges: (0..=n).map(edge).collect(), counts: vec![0; n], outside: 0 }
    }

    /// For integers: bins of one or more whole numbers, at most `n_bins`, with edges between the numbers.
    pub fn of_integers(min: f64, max: f64, n_bins: usize) -> Self {
        let span = max - min + 1.0;
        let width = (span / n_bins.max(1) as f64).ceil().max(1.0);
        let n = (span / width).ceil() as usize;
        let edges = (0..=n).map(|i| min - 0.5 + i as f64 * width).collect();
        Self { edges, counts: vec![0; n], outside: 0 }
    }

    /// Counts one value.
    pub fn add(&mut self, v: f64) {
        let (first, last) = (self.edges[0], self.edges[self.counts.len()]);
        if !(v >= first && v <= last) {
            self.outside += 1;
            return;
        }
        let n = self.counts.len();
        let share = (v / 2.0 - first / 2.0) / (last / 2.0 - first / 2.0);
        let mut i = ((share * n as f64) as usize).min(n - 1);
        // The quotient is rounded, the edges decide.
        while i > 0 && v < self.edges[i] {
            i -= 1;
        }
        while i + 1 < n && v >= self.edges[i + 1] {
            i += 1;
        }
        self.counts[i] += 1;
    }

    /// Counts many.
    #[must_use]
    pub fn filled(mut self, values: impl IntoIterator<Item = f64>) -> Self {
        values.into_iter().for_each(|v| self.add(v));
        self
    }
}

/// An interval of some width around `min` and `max`.
fn widened(min: f64, max: f64) -> (f64, f64) {
    if min < max {
        return (min, max);
    }
    let half = if min == 0.0 { 0.5 } else { min.abs() * 0.05 };
    (min - half, min + half)
}

/// The five numbers and the extremes of a box-and-whisker.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The smallest value.
    pub min: f64,
    /// 1 % of the values lie below.
    pub p01: f64,
    /// A quarter lies below.
    pub q25: f64,
    /// Half.
    pub median: f64,
    /// Three quarters.
    pub q75: f64,
    /// 99 %.
    pub p99: f64,
    /// The largest value.
    pub max: f64,
}

impl Spread {
    /// Of finite values, which are sorted in place; `None` of none.
    pub fn of(values: &mut [f64]) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let q = |share| quantile(values, share);
        Some(Self {
            min: *values.first()?,
            p01: q(0.01)?,
            q25: q(0.25)?,
            median: q(0.5)?,
            q75: q(0.75)?,
            p99: q(0.99)?,
            max: *values.last()?,
        })
    }
}

/// The value below which a share of sorted values lies, interpolated linearly between neighbours (numpy's default).
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = share.clamp(0.0, 1.0) * last as f64;
    let i = (at as usize).min(last);
    let (a, b) = (sorted[i], sorted[(i + 1).min(last)]);
    Some(a + (b - a) * (at - i as f64))
}

/// A number for the JSON and the sums of it: what is no number becomes `null` there.
pub fn finite(v: f64) -> Option<f64> {
    v.is_finite().then_some(v)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: &[f64]) -> Moments {
        let mut m = Moments::default();
        values.iter().for_each(|v| m.add(*v));
        m
    }

    #[test]
    fn moments_of_small_cases() {
        let m = moments(&[3.0, -4.0, 1.0]);
        assert_eq!((m.n, m.min, m.max, m.mean()), (3, -4.0, 3.0, 0.0));
        assert_eq!(m.rms(), (26.0f64 / 3.0).sqrt());
        assert_eq!(moments(&[2.0, 4.0]).deviation(), 1.0);
        let none = moments(&[]);
        assert!(none.mean().is_nan() && none.rms().is_nan() && none.deviation().is_nan());
    }

    #[test]
    fn a_large_offset_leaves_the_spread_exact() {
        let m = moments(&[1e9 + 1.0, 1e9 + 3.0, 1e9 + 5.0, 1e9 + 7.0]);
        assert_eq!((m.mean(), m.deviation()), (1e9 + 4.0, 5f64.sqrt()));
        assert_eq!(moments(&[1e16, 1.0, -1e16]).mean(), 1.0 / 3.0);
    }

    #[test]
    fn bins_hold_their_lower_edge_and_the_last_its_upper() {
        let h = Histogram::new(0.0, 4.0, 4).filled([0.0, 0.99, 1.0, 2.5, 4.0, 4.01, -0.01, f64::NAN]);
        assert_eq!(h.edges, [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!((h.counts, h.outside), (vec![2, 1, 1, 1], 3));
        // 0.3 / 0.1 rounds to 2.999...: the edge decides, not the quotient.
        let h = Histogram::new(0.0, 1.0, 10);
        for i in 0..=10 {
            let mut h = h.clone();
            h.add(h.edges[i]);
            assert_eq!(h.counts[i.min(9)], 1, "edge {i}");
        }
    }

    #[test]
    fn integers_get_bins_of_whole_numbers() {
        let h = Histogram::of_integers(0.0, 3.0, 50).filled([0.0, 1.0, 1.0, 3.0]);
        assert_eq!((h.edges, h.counts), (vec![-0.5, 0.5, 1.5, 2.5, 3.5], vec![1, 2, 0, 1]));
        let h = Histogram::of_integers(0.0, 255.0, 64);
        assert_eq!((h.counts.len(), h.edges[1] - h.edges[0]), (64, 4.0));
    }

    #[test]
    fn one_value_and_huge_values_have_bins() {
        for (min, max) in [(7.0, 7.0), (0.0, 0.0), (-f64::MAX, f64::MAX)] {
            let h = Histogram::new(min, max, 5).filled([min, max]);
            assert_eq!((h.counts.iter().sum::<u64>(), h.outside), (2, 0));
            assert!(h.edges.is_sorted() && h.edges[0] < h.edges[5], "{h:?}");
        }
    }

    #[test]
    fn quantiles_as_numpy_has_them() {
        let mut v: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        let s = Spread::of(&mut v).unwrap();
        assert_eq!((s.min, s.p01, s.q25, s.median, s.q75, s.p99, s.max), (0.0, 1.0, 25.0, 50.0, 75.0, 99.0, 100.0));
        assert_eq!(quantile(&[1.0, 2.0], 0.25), Some(1.25));
        assert_eq!(Spread::of(&mut []), None);
    }
}
