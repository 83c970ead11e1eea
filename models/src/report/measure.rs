//! Goes through an array and its decoded self once, side by side, and keeps what tables and plots need.
//!
//! Sums are over every value. Histograms and quantiles come from a sample that is limited in size, drawn evenly over the
//! array; memory is that sample and a few frames, whatever the size of the array.

use super::field::{Field, FieldMeter};
use super::statistics::{Histogram, Moments, Spread, finite, quantile};
use serde::Serialize;

/// Values of an array that are kept for histograms and quantiles, at most.
pub const MAX_SAMPLE: usize = 1 << 21;
/// Bins of every histogram, at most.
const BINS: usize = 60;

/// How the axes of an array are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The last axis holds variables, each with a name.
    Table {
        /// One for each column.
        columns: Vec<String>,
    },
    /// All values are of one quantity. With two axes or more the last two are those of a frame: an image, a slice.
    Field,
}

/// The bound a variable was compressed under, for its plots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Allowed {
    /// Largest error of any value.
    Abs(f64),
    /// Largest error as a share of each value.
    PwRel(f64),
    /// Largest error as a share of the range: of the whole array, or of each column.
    Rel {
        /// The share.
        share: f64,
        /// Whether of each column.
        per_column: bool,
    },
    /// Root mean square error as a share of the range: of the whole array, or of each column.
    Rms {
        /// The share.
        share: f64,
        /// Whether of each column.
        per_column: bool,
    },
    /// Nothing to compare with: lossless, or no bound at all.
    Nothing,
}

/// Extremes, mean and spread of the finite values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The smallest value; `null` of none, as everywhere here.
    pub min: Option<f64>,
    /// The largest value.
    pub max: Option<f64>,
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Standard deviation about the mean.
    pub deviation: Option<f64>,
}

impl Summary {
    fn of(m: &Moments) -> Self {
        Self { min: finite(m.min), max: finite(m.max), mean: finite(m.mean()), deviation: finite(m.deviation()) }
    }
}

/// Mean and root mean square.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeanRms {
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Root mean square about 0 (residual) or about 1 (response).
    pub rms: Option<f64>,
}

/// One column of a table, or all values of a field.
#[derive(Clone, Debug, Serialize)]
pub struct Variable {
    /// Name of the column, or of the array.
    pub name: String,
    /// Values compared: finite and not the fill value in the original.
    pub n: u64,
    /// NaN, infinities and fill values, which must come back bit for bit and are left out of everything else.
    pub n_special: u64,
    /// Originals that are 0, which have no response.
    pub n_zero: u64,
    /// Before.
    pub original: Summary,
    /// After.
    pub decoded: Summary,
    /// decoded / original where the original is not 0; its RMS is that of decoded / original - 1.
    pub response: MeanRms,
    /// decoded - original.
    pub residual: MeanRms,
    /// Largest |decoded - original|.
    pub max_error: Option<f64>,
    /// What the bound allows there: an error (`abs`, `rel`), a share (`pw_rel`), an RMS error (`psnr`).
    pub allowed: Option<f64>,
    /// The error as a share of that.
    pub error_over_bound: Option<f64>,
    /// Quantiles of the residual.
    pub residual_spread: Option<Spread>,
    /// Of the originals of the sample.
    pub histogram_original: Histogram,
    /// Of the decoded values of the sample, in the same bins.
    pub histogram_decoded: Histogram,
    /// Of the response; `null` where every original is 0.
    pub histogram_response: Option<Histogram>,
    /// Of the residual.
    pub histogram_residual: Histogram,
}

/// What [`Meter::finish`] gives.
pub struct Measured {
    /// One for each column of a table, one of a field.
    pub variables: Vec<Variable>,
    /// Rows (tables) or values (fields) behind histograms and quantiles.
    pub n_sampled: u64,
    /// Rows or values there are.
    pub n_total: u64,
    /// Frames, where there are any.
    pub field: Option<Field>,
    /// Every value is one of float32 (and the array is not).
    pub is_float32: bool,
}

/// Statistics of one variable while they grow.
#[derive(Clone, Debug, Default)]
struct Column {
    original: Moments,
    decoded: Moments,
    response: Moments,
    response_deviation: Moments,
    residual: Moments,
    n_special: u64,
    n_zero: u64,
    max_pw: f64,
    integers: bool,
    sample: Vec<(f64, f64)>,
}

impl Column {
    fn add(&mut self, x: f64, y: f64) {
        if !x.is_finite() {
            self.n_special += 1;
            return;
        }
        self.original.add(x);
        self.integers &= x == x.trunc();
        if !y.is_finite() {
            // A number that did not come back as one: the largest error there is.
            self.max_pw = f64::INFINITY;
            return;
        }
        self.decoded.add(y);
        self.residual.add(y - x);
        if x == 0.0 {
            self.n_zero += 1;
            if y != 0.0 {
                self.max_pw = f64::INFINITY;
            }
            return;
        }
        self.response.add(y / x);
        self.response_deviation.add((y - x) / x);
        self.max_pw = self.max_pw.max(((y - x) / x).abs());
    }
}

/// Takes in an array and its decoded self.
pub struct Meter {
    layout: Layout,
    name: String,
    columns: Vec<Column>,
    field: Option<FieldMeter>,
    n_seen: u64,
    n_total: u64,
    stride: u64,
    next_sampled: u64,
    n_sampled: u64,
    is_float32: bool,
}

impl Meter {
    /// For an array of this name and shape (slowest axis first); `range` is the whole array's `max - min`, which PSNR and
    /// SSIM refer to. A [`Layout::Table`] must have as many names as the last axis is long.
    pub fn new(name: &str, shape: &[u64], layout: Layout, range: f64) -> Self {
        let n_values: u64 = shape.iter().product();
        let n_columns = match &layout {
            Layout::Table { columns } => columns.len().max(1),
            Layout::Field => 1,
        };
        let n_total = n_values / n_columns as u64;
        let most = (MAX_SAMPLE / n_columns).max(1) as u64;
        let field = match (&layout, shape) {
            (Layout::Field, [.., y, x]) => FieldMeter::new(*y as usize, *x as usize, n_values, range),
            _ => None,
        };
        Self {
            name: name.to_owned(),
            columns: vec![Column { integers: true, ..Column::default() }; n_columns],
            layout,
            field,
            n_seen: 0,
            n_total,
            stride: n_total.div_ceil(most).max(1),
            next_sampled: 0,
            n_sampled: 0,
            is_float32: true,
        }
    }

    /// The next values of both, in C order; special values (fill too) as NaN in `original`. Of tables, whole rows.
    pub fn add(&mut self, original: &[f64], decoded: &[f64]) {
        if let Some(field) = &mut self.field {
            field.add(original, decoded);
        }
        self.is_float32 &= original.iter().all(|&x| x.is_nan() || f64::from(x as f32) == x);
        let n = self.columns.len();
        for (xs, ys) in original.chunks_exact(n).zip(decoded.chunks_exact(n)) {
            let is_sampled = self.n_seen == self.next_sampled;
            for ((column, &x), &y) in self.columns.iter_mut().zip(xs).zip(ys) {
                column.add(x, y);
                if is_sampled && x.is_finite() && y.is_finite() {
                    column.sample.push((x, y));
                }
            }
            self.n_seen += 1;
            if is_sampled {
                self.n_sampled += 1;
                // One of each `stride`, at a place that hops about: an even step would fall in step with an axis.
                let block = self.n_sampled;
                self.next_sampled = block * self.stride + hash(block) % self.stride;
            }
        }
    }

    /// The statistics, for variables compressed under `allowed`.
    pub fn finish(mut self, allowed: Allowed) -> Measured {
        let ranges: Vec<f64> = self.columns.iter().map(|c| range(&c.original)).collect();
        let whole = self
            .columns
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), c| (a.min(c.original.min), b.max(c.original.max)));
        let whole = if whole.0 <= whole.1 { whole.1 - whole.0 } else { 0.0 };
        let names = match self.layout {
            Layout::Table { columns } => columns,
            Layout::Field => vec![self.name],
        };
        let variables = self.columns.iter_mut().zip(names).zip(&ranges);
        let variables = variables.map(|((c, name), own)| {
            variable(c, name, &|per_column: bool| if per_column { *own } else { whole }, allowed)
        });
        Measured {
            variables: variables.collect(),
            n_sampled: self.n_sampled,
            n_total: self.n_total,
            field: self.field.map(FieldMeter::finish),
            is_float32: self.is_float32,
        }
    }
}

fn range(m: &Moments) -> f64 {
    if m.min <= m.max { m.max - m.min } else { 0.0 }
}

/// A number that looks random but is the same each time (splitmix64).
fn hash(i: u64) -> u64 {
    let mut z = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn variable(c: &mut Column, name: String, range: &dyn Fn(bool) -> f64, allowed: Allowed) -> Variable {
    let max_error = if c.max_pw.is_infinite() && c.decoded.n < c.original.n {
        f64::INFINITY
    } else {
        c.residual.min.abs().max(c.residual.max.abs())
    };
    let over = |error: f64, bound: f64| if error == 0.0 { 0.0 } else { error / bound };
    let (allowed, error_over_bound) = match allowed {
        Allowed::Nothing => (None, None),
        Allowed::Abs(a) => (Some(a), finite(over(max_error, a))),
        Allowed::PwRel(r) => (Some(r), finite(over(c.max_pw, r))),
        Allowed::Rel { share, per_column } => {
            let a = share * range(per_column);
            (Some(a), finite(over(max_error, a)))
        }
        Allowed::Rms { share, per_column } => {
            let a = share * range(per_column);
            // A bound on the mean over the whole array says nothing of one column.
            (Some(a), finite(over(c.residual.rms(), a)))
        }
    };
    let (min, max) = if c.original.n > 0 { (c.original.min, c.original.max) } else { (0.0, 1.0) };
    let bins = || {
        let few = c.integers && max - min < 1e9;
        if few { Histogram::of_integers(min, max, BINS) } else { Histogram::new(min, max, BINS) }
    };
    let mut residuals: Vec<f64> = c.sample.iter().map(|(x, y)| y - x).collect();
    let mut responses: Vec<f64> = c.sample.iter().filter(|(x, _)| *x != 0.0).map(|(x, y)| y / x).collect();
    let residual_spread = Spread::of(&mut residuals).map(|s| Spread {
        // The extremes of all values, not only of the sample.
        min: c.residual.min,
        max: c.residual.max,
        ..s
    });
    responses.sort_unstable_by(f64::total_cmp);
    let histogram_response = (!responses.is_empty()).then(|| {
        // Symmetric about 1, wide enough for all but the last half per cent on either side.
        let q = |share| (quantile(&responses, share).unwrap_or(1.0) - 1.0).abs();
        let half = q(0.005).max(q(0.995)).max(1e-12);
        Histogram::new(1.0 - half, 1.0 + half, BINS + 1).filled(responses.iter().copied())
    });
    let half = match (residual_spread, c.integers) {
        (Some(s), _) if s.min < s.max || s.min != 0.0 => s.min.abs().max(s.max.abs()),
        _ => 0.0,
    };
    let whole_steps = c.integers && half == half.trunc() && half < 1e9 && c.residual.n > 0;
    let residual_bins =
        if whole_steps { Histogram::of_integers(-half, half, BINS + 1) } else { Histogram::new(-half, half, BINS + 1) };
    Variable {
        name,
        n: c.original.n,
        n_special: c.n_special,
        n_zero: c.n_zero,
        original: Summary::of(&c.original),
        decoded: Summary::of(&c.decoded),
        response: MeanRms { mean: finite(c.response.mean()), rms: finite(c.response_deviation.rms()) },
        residual: MeanRms { mean: finite(c.residual.mean()), rms: finite(c.residual.rms()) },
        max_error: finite(max_error),
        allowed,
        error_over_bound,
        residual_spread,
        histogram_original: bins().filled(c.sample.iter().map(|p| p.0)),
        histogram_decoded: bins().filled(c.sample.iter().map(|p| p.1)),
        histogram_response,
        histogram_residual: residual_bins.filled(residuals),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[f64; 2]], decoded: &[[f64; 2]], allowed: Allowed) -> Vec<Variable> {
        let columns = vec!["a".to_owned(), "b".to_owned()];
        let mut meter = Meter::new("t", &[rows.len() as u64, 2], Layout::Table { columns }, 1.0);
        meter.add(rows.as_flattened(), decoded.as_flattened());
        meter.finish(allowed).variables
    }

    #[test]
    fn response_and_residual_of_a_small_table() {
        let rows = [[1.0, 0.0], [2.0, 10.0], [4.0, f64::NAN], [-8.0, -10.0]];
        let back = [[1.5, 0.5], [2.0, 9.0], [4.0, f64::NAN], [-8.5, -10.0]];
        let v = table(&rows, &back, Allowed::Rel { share: 0.1, per_column: true });
        assert_eq!((v[0].n, v[0].n_special, v[0].n_zero), (4, 0, 0));
        assert_eq!((v[1].n, v[1].n_special, v[1].n_zero), (3, 1, 1));
        // Responses 1.5, 1, 1, 1.0625.
        assert_eq!(v[0].response.mean, Some(1.140625));
        assert_eq!(v[0].response.rms, Some(((0.25 + 0.0625f64 * 0.0625) / 4.0).sqrt()));
        // Residuals 0.5, 0, 0, -0.5.
        assert_eq!((v[0].residual.mean, v[0].residual.rms), (Some(0.0), Some((0.5f64 / 4.0).sqrt())));
        assert_eq!((v[0].max_error, v[0].error_over_bound), (Some(0.5), Some(0.5 / (0.1 * 12.0))));
        // Of b the zero is left out of the response, not of the residual: 0.5, -1, 0.
        assert_eq!(v[1].response.mean, Some(0.95));
        assert_eq!(v[1].residual.mean, Some(-0.5 / 3.0));
        assert_eq!((v[1].max_error, v[1].allowed), (Some(1.0), Some(2.0)));
        let h = &v[1].histogram_residual;
        assert_eq!((h.counts.iter().sum::<u64>(), h.outside), (3, 0));
    }

    #[test]
    fn bounds_of_every_kind_are_compared_with_what_they_limit() {
        let (rows, back) = ([[2.0, 10.0], [4.0, 20.0]], [[2.1, 10.0], [3.9, 21.0]]);
        let over = |allowed| table(&rows, &back, allowed).into_iter().map(|v| v.error_over_bound).collect::<Vec<_>>();
        let near = |a: Option<f64>, b: f64| assert!((a.unwrap() - b).abs() < 1e-12, "{a:?} {b}");
        near(over(Allowed::Abs(2.0))[1], 0.5);
        near(over(Allowed::PwRel(0.1))[0], 0.5);
        near(over(Allowed::Rel { share: 0.1, per_column: false })[1], 1.0 / 1.8);
        near(over(Allowed::Rms { share: 0.1, per_column: true })[1], 0.5f64.sqrt());
        assert_eq!(over(Allowed::Nothing), [None, None]);
    }

    #[test]
    fn a_number_that_came_back_as_none_is_no_small_error() {
        let v = table(&[[1.0, 1.0]], &[[f64::NAN, 1.0]], Allowed::Abs(1.0));
        assert_eq!((v[0].max_error, v[0].error_over_bound, v[1].max_error), (None, None, Some(0.0)));
    }

    #[test]
    fn nothing_but_special_values_is_no_error() {
        let nan = [f64::NAN; 2];
        let v = table(&[nan; 3], &[nan; 3], Allowed::Rel { share: 0.1, per_column: true });
        assert_eq!((v[0].n, v[0].n_special, v[0].original.mean), (0, 3, None));
        assert!(table(&[], &[], Allowed::Nothing)[0].histogram_response.is_none());
    }

    #[test]
    fn large_arrays_are_sampled_evenly() {
        let n = 3 * MAX_SAMPLE;
        let mut meter = Meter::new("x", &[n as u64], Layout::Field, 1.0);
        let values: Vec<f64> = (0..n).map(|i| (i % 7) as f64).collect();
        values.chunks(100_001).for_each(|c| meter.add(c, c));
        let m = meter.finish(Allowed::Nothing);
        assert_eq!((m.n_total, m.n_sampled), (n as u64, MAX_SAMPLE as u64));
        let counts = &m.variables[0].histogram_original.counts;
        let even = MAX_SAMPLE as f64 / 7.0;
        assert!(counts.iter().all(|&c| (c as f64 - even).abs() < 0.01 * even), "{counts:?}");
        assert!(m.is_float32);
    }
}
