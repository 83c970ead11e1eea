//! What a formula says of each row: where the value is expected, and how sure that is.

use super::Formula;
use crate::params::Dtype;
use crate::quantize::Quantiser;

/// Levels of [`Prediction::spread`].
pub(super) const N_SPREADS: i64 = 64;
/// Parts of a step that [`Prediction::fraction`] tells apart.
pub(super) const N_FRACTIONS: f64 = 8.0;
/// Predictions beyond this many steps count as none.
const FARTHEST: f64 = (1i64 << 60) as f64;

/// One formula evaluated for every row.
pub(crate) struct Prediction {
    /// The expected integer; 0 where the formula has no value.
    pub centre: Vec<i64>,
    /// Where between two integers the expected value lies, below [`N_FRACTIONS`].
    pub fraction: Vec<u8>,
    /// How far the parents' uncertainties move the value, in steps: two levels to each power of two, 24 at one step; 0
    /// where the formula has no value.
    pub spread: Vec<u8>,
}

impl Prediction {
    /// `deltas[k]` is how far the decoded value of the formula's `k`-th column may be from the true one. `column(c)` has
    /// the decoded values of column c.
    pub fn new<'a>(
        formula: &Formula,
        deltas: &[f64],
        column: impl Fn(usize) -> &'a [f64],
        quantiser: Quantiser,
        dtype: Dtype,
        n_rows: usize,
    ) -> Self {
        let parents = formula.columns();
        let values: Vec<&[f64]> = parents.iter().map(|&c| column(c)).collect();
        let place: Vec<usize> =
            (0..=parents.last().map_or(0, |&c| c)).map(|c| parents.partition_point(|&p| p < c)).collect();
        let mut out = Self { centre: vec![0; n_rows], fraction: vec![0; n_rows], spread: vec![0; n_rows] };
        let mut x = vec![0.0; parents.len()];
        for row in 0..n_rows {
            x.iter_mut().zip(&values).for_each(|(x, v)| *x = v[row]);
            let at = |x: &[f64]| quantiser.position(dtype, formula.value(|c| x[place[c]]));
            let position = at(&x);
            if position.is_nan() || position.abs() >= FARTHEST {
                continue;
            }
            let mut spread = 0.0;
            for k in 0..x.len() {
                if deltas[k] != 0.0 {
                    let kept = x[k];
                    x[k] += deltas[k];
                    let moved = at(&x) - position;
                    x[k] = kept;
                    spread += moved * moved;
                }
            }
            let centre = (position + 0.5).floor();
            out.centre[row] = centre as i64;
            out.fraction[row] = ((position - centre + 0.5) * N_FRACTIONS).clamp(0.0, N_FRACTIONS - 1.0) as u8;
            out.spread[row] = level(spread.sqrt());
        }
        out
    }
}

/// Two levels to each power of two: the exponent and the first bit of the fraction. 24 stands for 1, 1 for everything
/// below 2^-11.5, and for NaN.
fn level(spread: f64) -> u8 {
    let halves = (spread.to_bits() >> 51) as i64 - 1023 * 2;
    if spread.is_nan() { 1 } else { (halves + 24).clamp(1, N_SPREADS - 1) as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centre_fraction_and_spread() {
        let formula: Formula = "2*x0 + 1*x2".parse().unwrap();
        let columns = [vec![1.0, 1.125, f64::NAN, 1e300], vec![], vec![0.0, 0.0, 0.0, 0.0]];
        let quantiser = Quantiser::Linear { offset: 1.0, step: 0.5 };
        let p = Prediction::new(&formula, &[0.25, 0.0], |c| &columns[c], quantiser, Dtype::F64, 4);
        assert_eq!(p.centre, [2, 3, 0, 0]);
        assert_eq!(p.fraction, [4, 0, 0, 0]);
        // 2 * 0.25 is one step of 0.5.
        assert_eq!(p.spread, [24, 24, 0, 0]);
        assert_eq!([level(0.0), level(1.5), level(2.0), level(f64::INFINITY), level(f64::NAN)], [1, 25, 26, 63, 1]);
    }
}
