//! What a formula says of each row: where the value is expected, and how sure that is.

use super::{Formula, Function, Outer, Term};
use crate::params::Dtype;
use crate::quantize::Quantiser;
use crate::simd::{self, Kernel};

/// Levels of [`Prediction::spread`].
pub(super) const N_SPREADS: i64 = 64;
/// Parts of a step that [`Prediction::fraction`] tells apart.
pub(super) const N_FRACTIONS: f64 = 8.0;
/// Predictions beyond this many steps count as none.
const FARTHEST: f64 = (1i64 << 60) as f64;

/// Rows that are evaluated together: what is known of them stays in the first cache.
const ROWS: usize = 128;

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
        simd::run(Evaluate { terms: Terms::new(formula, &parents), values: &values, deltas, quantiser, dtype, n_rows })
    }
}

/// A formula's values in `n_rows` rows, where its columns have these values.
pub(crate) fn values_of<'a>(formula: &Formula, column: impl Fn(usize) -> &'a [f64], n_rows: usize) -> Vec<f64> {
    let parents = formula.columns();
    let values: Vec<&[f64]> = parents.iter().map(|&c| column(c)).collect();
    simd::run(ValuesOf { terms: Terms::new(formula, &parents), values: &values, n_rows })
}

struct ValuesOf<'a> {
    terms: Terms,
    values: &'a [&'a [f64]],
    n_rows: usize,
}

impl Kernel for ValuesOf<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run(self) -> Vec<f64> {
        let Self { mut terms, values, n_rows } = self;
        let mut out = vec![0.0; n_rows];
        for (out, start) in out.chunks_mut(ROWS).zip((0..).step_by(ROWS)) {
            let mut all = [0.0; ROWS];
            for (parent, values) in values.iter().enumerate() {
                terms.look(parent, &values[start..start + out.len()]);
            }
            terms.evaluate(&mut all);
            out.copy_from_slice(&all[..out.len()]);
        }
        out
    }
}

/// The formula's value of every row, and how far each parent moves it.
struct Evaluate<'a> {
    terms: Terms,
    /// Of each parent.
    values: &'a [&'a [f64]],
    deltas: &'a [f64],
    quantiser: Quantiser,
    dtype: Dtype,
    n_rows: usize,
}

impl Kernel for Evaluate<'_> {
    type Output = Prediction;

    #[inline(always)]
    fn run(self) -> Prediction {
        let Self { mut terms, values, deltas, quantiser, dtype, n_rows: n } = self;
        let mut out = Prediction { centre: vec![0; n], fraction: vec![0; n], spread: vec![0; n] };
        for start in (0..n).step_by(ROWS) {
            let rows = start..n.min(start + ROWS);
            let (mut positions, mut spreads, mut moved) = ([0.0; ROWS], [0.0; ROWS], [0.0; ROWS]);
            for (parent, values) in values.iter().enumerate() {
                terms.look(parent, &values[rows.clone()]);
            }
            terms.evaluate(&mut positions);
            quantiser.positions(dtype, &mut positions);
            for (parent, &delta) in deltas.iter().enumerate().filter(|(_, delta)| **delta != 0.0) {
                terms.evaluate_moved(parent, delta, &mut moved);
                quantiser.positions(dtype, &mut moved);
                for ((spread, moved), position) in spreads.iter_mut().zip(&moved).zip(&positions) {
                    let by = moved - position;
                    *spread += by * by;
                }
            }
            for (row, (position, spread)) in rows.zip(positions.into_iter().zip(spreads)) {
                // Not so for NaN either.
                if position.abs() < FARTHEST {
                    let centre = (position + 0.5).floor();
                    out.centre[row] = centre as i64;
                    out.fraction[row] = ((position - centre + 0.5) * N_FRACTIONS).clamp(0.0, N_FRACTIONS - 1.0) as u8;
                    out.spread[row] = level(spread.sqrt());
                }
            }
        }
        out
    }
}

/// A formula taken apart, for [`ROWS`] rows at a time: functions of a parent are evaluated where that parent changes, and
/// once where they occur in several terms. What is added and multiplied, and in which order, is what [`Formula::value`]
/// does.
struct Terms {
    outer: Outer,
    terms: Vec<Product>,
    functions: Vec<FunctionOf>,
    /// Of each parent.
    values: Vec<[f64; ROWS]>,
}

struct Product {
    coefficient: f64,
    /// Which of the functions.
    factors: Vec<usize>,
    value: [f64; ROWS],
}

struct FunctionOf {
    function: Function,
    parent: usize,
    value: [f64; ROWS],
    /// Where the parent is elsewhere.
    moved: [f64; ROWS],
}

impl Terms {
    fn new(formula: &Formula, parents: &[usize]) -> Self {
        let mut functions: Vec<FunctionOf> = Vec::new();
        let mut place = |&(function, column): &(Function, usize)| {
            let parent = parents.partition_point(|&p| p < column);
            functions.iter().position(|f| (f.function, f.parent) == (function, parent)).unwrap_or_else(|| {
                functions.push(FunctionOf { function, parent, value: [0.0; ROWS], moved: [0.0; ROWS] });
                functions.len() - 1
            })
        };
        let product = |term: &Term| Product {
            coefficient: term.coefficient,
            factors: term.factors.iter().map(&mut place).collect(),
            value: [0.0; ROWS],
        };
        let terms = formula.terms.iter().map(product).collect();
        Self { outer: formula.outer, terms, functions, values: vec![[0.0; ROWS]; parents.len()] }
    }

    /// The values of a parent, of at most [`ROWS`] rows.
    #[inline(always)]
    fn look(&mut self, parent: usize, values: &[f64]) {
        self.values[parent][..values.len()].copy_from_slice(values);
        for f in self.functions.iter_mut().filter(|f| f.parent == parent) {
            f.value = self.values[parent];
            f.function.apply_all(&mut f.value);
        }
    }

    /// The formula's values where its parents are what has been looked at.
    #[inline(always)]
    fn evaluate(&mut self, out: &mut [f64; ROWS]) {
        out.fill(0.0);
        for term in &mut self.terms {
            term.value.fill(term.coefficient);
            for &factor in &term.factors {
                term.value.iter_mut().zip(&self.functions[factor].value).for_each(|(product, f)| *product *= f);
            }
            out.iter_mut().zip(&term.value).for_each(|(sum, product)| *sum += product);
        }
        self.outer.apply_all(out);
    }

    /// The same, but for one parent.
    #[inline(always)]
    fn evaluate_moved(&mut self, parent: usize, by: f64, out: &mut [f64; ROWS]) {
        for f in self.functions.iter_mut().filter(|f| f.parent == parent) {
            f.moved = self.values[parent].map(|x| x + by);
            f.function.apply_all(&mut f.moved);
        }
        out.fill(0.0);
        for term in &self.terms {
            let mut value = term.value;
            if term.factors.iter().any(|&factor| self.functions[factor].parent == parent) {
                value.fill(term.coefficient);
                for &factor in &term.factors {
                    let f = &self.functions[factor];
                    let factors = if f.parent == parent { &f.moved } else { &f.value };
                    value.iter_mut().zip(factors).for_each(|(product, f)| *product *= f);
                }
            }
            out.iter_mut().zip(&value).for_each(|(sum, product)| *sum += product);
        }
        self.outer.apply_all(out);
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

    /// A row by itself, as formulas are defined.
    fn one_by_one(
        formula: &Formula,
        deltas: &[f64],
        columns: &[Vec<f64>],
        quantiser: Quantiser,
        row: usize,
    ) -> (i64, u8, u8) {
        let parents = formula.columns();
        let at = |moved: Option<usize>| {
            let x = |c: usize| match moved {
                Some(k) if parents[k] == c => columns[c][row] + deltas[k],
                _ => columns[c][row],
            };
            quantiser.position(Dtype::F64, formula.value(x))
        };
        let position = at(None);
        if position.is_nan() || position.abs() >= FARTHEST {
            return (0, 0, 0);
        }
        let moves = (0..parents.len()).filter(|&k| deltas[k] != 0.0).map(|k| at(Some(k)) - position);
        let spread = moves.fold(0.0, |sum, by| sum + by * by);
        let centre = (position + 0.5).floor();
        let fraction = ((position - centre + 0.5) * N_FRACTIONS).clamp(0.0, N_FRACTIONS - 1.0);
        (centre as i64, fraction as u8, level(spread.sqrt()))
    }

    #[test]
    fn many_rows_at_once_are_what_each_is_by_itself() {
        let noise = |i: u64| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ i << 31).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
        let n = 3 * ROWS + 5;
        let column = |c: u64| {
            let number = |i: u64| match noise(i + c * 10_000) {
                bits if i.is_multiple_of(3) => f64::from_bits(bits),
                bits => (bits >> 40) as f64 / f64::from(1 << (bits % 24) as u32) - 0.5,
            };
            (0..n as u64).map(number).collect::<Vec<f64>>()
        };
        let columns: Vec<Vec<f64>> = (0..4).map(column).collect();
        for &outer in Outer::ALL {
            for &function in Function::ALL {
                let factors = |columns: &[usize]| columns.iter().map(|&c| (function, c)).collect();
                let terms = vec![
                    Term { coefficient: 0.7, factors: factors(&[1]) },
                    Term { coefficient: -1.3, factors: vec![(function, 3), (Function::Identity, 1), (function, 3)] },
                    Term { coefficient: 0.25, factors: Vec::new() },
                    Term { coefficient: 1e-3, factors: factors(&[0, 1]) },
                ];
                let formula = Formula { outer, terms };
                let deltas = [0.01, 0.0, 1e-3];
                for quantiser in [
                    Quantiser::Linear { offset: 0.3, step: 1e-3 },
                    Quantiser::Pattern { step: 1 << 30 },
                    Quantiser::Integer { offset: -7, step: 3 },
                ] {
                    let all = Prediction::new(&formula, &deltas, |c| &columns[c], quantiser, Dtype::F64, n);
                    let values = values_of(&formula, |c| &columns[c], n);
                    for row in 0..n {
                        let found = (all.centre[row], all.fraction[row], all.spread[row]);
                        let expected = one_by_one(&formula, &deltas, &columns, quantiser, row);
                        assert_eq!(found, expected, "{formula}, {quantiser:?}, row {row}");
                        let (value, expected) = (values[row], formula.value(|c| columns[c][row]));
                        assert!(value == expected || value.is_nan() && expected.is_nan(), "{formula}, row {row}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_formula_of_no_column_has_a_value_for_every_row() {
        let formula: Formula = "exp(0)".parse().unwrap();
        assert_eq!(values_of(&formula, |_| unreachable!(), 3), [1.0; 3]);
        let quantiser = Quantiser::Linear { offset: 0.0, step: 0.5 };
        let all = Prediction::new(&formula, &[], |_| unreachable!(), quantiser, Dtype::F32, 2);
        assert_eq!(all.centre, [2; 2]);
    }

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
