//! Formulas between the columns of a table, found from its rows.
//!
//! For every column and every [`Outer`] function g, the column `g^-1(y)` is written as a sum of a few products of
//! elementary functions of other columns: greedy orthogonal matching pursuit (Y. C. Pati, R. Rezaiifar, P. S. Krishnaprasad,
//! 1993) over all such products of up to two columns, from several first terms. Nothing is known beforehand of what the
//! columns mean. A formula is kept if it saves bits on rows that it was not fitted to, with its columns known to within a
//! bound only ([`Found::saved_bits`]).
//!
//! S. L. Brunton, J. L. Proctor, J. N. Kutz, "Discovering governing equations from data by sparse identification of
//! nonlinear dynamical systems", PNAS 113 (2016), is the same idea for time derivatives.

mod atoms;
mod fit;
mod judge;

use atoms::Atoms;
use baler_codec::relation::{Formula, Outer};
use baler_codec::standalone::map_all;
use fit::pursue;
use std::convert::Infallible;

/// A formula for a column.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Column that it gives.
    pub column: usize,
    /// The formula.
    pub formula: Formula,
    /// Bits of a value of the column that it saves at relative bounds of 1e-2, 1e-3, 1e-4 and 1e-5, against the values
    /// coded alone.
    pub saved_bits: [f64; 4],
}

/// Bits, summed over [`BOUNDS`], that a term has to be worth.
const BITS_OF_A_TERM: f64 = 0.05;

/// The bounds that formulas are judged at, relative to each column's range.
pub const BOUNDS: [f64; 4] = [1e-2, 1e-3, 1e-4, 1e-5];

/// Rows that terms are chosen by, that coefficients are fitted to, that formulas are judged by.
const SCREENING_ROWS: usize = 256;
const FITTING_ROWS: usize = 2048;
const JUDGING_ROWS: usize = 4096;
/// First terms that a search goes on from.
const BEAM: usize = 4;
/// Formulas kept for a column, with different columns in each.
const KEPT: usize = 3;
/// A column of fewer distinct values is coded better by what goes with them.
const FEWEST_DISTINCT: usize = 16;
/// Bits that a formula has to save at one of the bounds.
const LEAST_SAVING: f64 = 0.5;

/// Searches a table, `columns[c][row]`, on `n_threads` threads, which find the same as one. Takes seconds.
///
/// Rows with values that are not finite are left out. Fewer than 64 rows, or one column, give nothing.
pub fn search(columns: &[Vec<f64>], n_threads: usize) -> Vec<Found> {
    let n = columns.len();
    let n_rows = columns.iter().map(Vec::len).min().unwrap_or(0);
    let finite: Vec<usize> = (0..n_rows).filter(|&r| columns.iter().all(|c| c[r].is_finite())).collect();
    if n < 2 || finite.len() < 64 {
        return Vec::new();
    }
    // Neighbouring rows may be alike: both sets are spread over all, and share none.
    let spread = |count: usize, offset: usize| -> Vec<usize> {
        let stride = (finite.len() / count).max(2);
        finite.iter().copied().skip(offset).step_by(stride).take(count).collect()
    };
    let (fitting, judging) = (spread(FITTING_ROWS, 0), spread(JUDGING_ROWS, 1));
    let screening: Vec<usize> = fitting.iter().copied().step_by((fitting.len() / SCREENING_ROWS).max(1)).collect();
    let take =
        |rows: &[usize]| -> Vec<Vec<f64>> { columns.iter().map(|c| rows.iter().map(|&r| c[r]).collect()).collect() };
    let (screening, fitting, judging) = (take(&screening), take(&fitting), take(&judging));
    let atoms = Atoms::new(&screening);
    let searched = (0..n).filter(|&column| distinct(&fitting[column]) >= FEWEST_DISTINCT);
    // A column takes several times as long as another: its outer functions are shared out by themselves.
    let searches = searched.flat_map(|column| Outer::ALL.iter().map(move |&outer| (column, outer)));
    let search =
        |(column, outer)| Ok::<_, Infallible>((column, sums_of(column, outer, &atoms, &screening, &fitting, &judging)));
    let Ok(found) = map_all(n_threads, searches, search);
    let columns = found.chunk_by(|a, b| a.0 == b.0);
    columns.flat_map(|found| kept(found.iter().flat_map(|(_, found)| found).cloned().collect())).collect()
}

/// The formulas with one outer function that save enough.
fn sums_of(
    column: usize,
    outer: Outer,
    atoms: &Atoms,
    screening: &[Vec<f64>],
    fitting: &[Vec<f64>],
    judging: &[Vec<f64>],
) -> Vec<Found> {
    let Some(target) = transformed(outer, &screening[column]) else { return Vec::new() };
    let mut sums = pursue(&target, column, atoms, BEAM);
    if matches!(outer, Outer::Identity | Outer::Sqrt) {
        sums.extend(fit::quadratic_form(&target, column, screening));
    }
    let found = sums.into_iter().filter_map(|terms| simplest(outer, terms, column, fitting, judging));
    found.filter(|found| found.saved_bits.iter().any(|&bits| bits >= LEAST_SAVING)).collect()
}

/// Those of a column's formulas that are worth most.
fn kept(mut candidates: Vec<Found>) -> Vec<Found> {
    let worth = |f: &Found| total(f) - BITS_OF_A_TERM * f.formula.terms.len() as f64;
    candidates.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
    let mut kept: Vec<Found> = Vec::new();
    for candidate in candidates {
        // Other columns make another way round circles; the same columns again only a longer list.
        let columns = candidate.formula.columns();
        if kept.len() < KEPT && kept.iter().all(|k| k.formula.columns() != columns) {
            kept.push(candidate);
        }
    }
    kept
}

/// The formula of these products, without those that save next to nothing.
fn simplest(
    outer: Outer,
    mut terms: fit::Products,
    column: usize,
    fitting: &[Vec<f64>],
    judging: &[Vec<f64>],
) -> Option<Found> {
    let judged = |terms: &fit::Products| {
        let formula = fit::refine(outer, terms, column, fitting)?;
        let saved_bits = judge::saved_bits(&formula, column, judging);
        Some(Found { column, formula, saved_bits })
    };
    let mut best = judged(&terms)?;
    let mut k = 0;
    while terms.len() > 1 && k < terms.len() {
        let mut without = terms.clone();
        without.remove(k);
        match judged(&without) {
            Some(found) if total(&found) >= total(&best) - BITS_OF_A_TERM => (terms, best) = (without, found),
            _ => k += 1,
        }
    }
    Some(best)
}

/// Bits saved at all the bounds.
fn total(found: &Found) -> f64 {
    found.saved_bits.iter().sum()
}

/// What the sum has to give, or `None` where the function has no inverse for some value.
fn transformed(outer: Outer, values: &[f64]) -> Option<Vec<f64>> {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let is_defined = match outer {
        Outer::Sqrt => least >= 0.0,
        Outer::Exp => least > 0.0,
        _ => true,
    };
    let target: Vec<f64> = values.iter().map(|&y| outer.inverse(y)).collect();
    (is_defined && target.iter().all(|t| t.is_finite() && t.abs() < 1e100)).then_some(target)
}

fn distinct(values: &[f64]) -> usize {
    let mut bits: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
    bits.sort_unstable();
    bits.dedup();
    bits.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::Random;

    #[test]
    fn finds_the_kinematics_of_a_particle() {
        let mut random = Random::new(5);
        let mut columns = vec![Vec::new(); 7];
        for _ in 0..1500 {
            let pt = f64::from(20.0 + 8.0 * random.normal()).abs() + 0.5;
            let (eta, phi) = (f64::from(random.normal()), f64::from(random.uniform() * 6.0 - 3.0));
            let (px, py, pz) = (pt * phi.cos(), pt * phi.sin(), pt * eta.sinh());
            let e = (px * px + py * py + pz * pz + 0.0112).sqrt();
            for (column, v) in columns.iter_mut().zip([e, px, py, pz, pt, eta, phi]) {
                column.push(v);
            }
        }
        let found = search(&columns, 1);
        assert_eq!(search(&columns, 3), found);
        for (column, from) in [(1, vec![4, 6]), (2, vec![4, 6]), (3, vec![4, 5])] {
            let hit = found.iter().find(|f| f.column == column && f.formula.columns() == from);
            let hit = hit.unwrap_or_else(|| panic!("column {column}: {found:#?}"));
            assert!(hit.saved_bits[2] > 3.0, "{hit:?}");
        }
        assert!(found.iter().any(|f| f.column == 0 && f.saved_bits[2] > 3.0), "{found:#?}");
        // Nothing to find in noise, and nothing in too little.
        let noise: Vec<Vec<f64>> = (0..4).map(|_| (0..1000).map(|_| f64::from(random.normal())).collect()).collect();
        assert_eq!(search(&noise, 2), []);
        assert_eq!(search(&[vec![1.0; 10], vec![2.0; 10]], 1), []);
    }
}
