//! What a formula saves on rows that it was not fitted to.

use super::BOUNDS;
use baler_codec::relation::Formula;

/// Bits of a value saved at each of [`BOUNDS`], with every column known to within its bound: order-0 entropies of the
/// integers, and of their distances from the formula's.
pub(super) fn saved_bits(formula: &Formula, column: usize, rows: &[Vec<f64>]) -> [f64; BOUNDS.len()] {
    let parents = formula.columns();
    let range = |c: usize| {
        let (min, max) = rows[c].iter().fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        if max > min { max - min } else { 1.0 }
    };
    let ranges: Vec<(usize, f64)> = parents.iter().map(|&c| (c, range(c))).collect();
    let target_range = range(column);
    BOUNDS.map(|bound| {
        let step = 2.0 * bound * target_range;
        let mut plain = Vec::with_capacity(rows[column].len());
        let mut distances = Vec::with_capacity(plain.capacity());
        for (row, y) in rows[column].iter().enumerate() {
            let known = |c: usize| {
                let step = 2.0 * bound * ranges.iter().find(|r| r.0 == c).map_or(1.0, |r| r.1);
                (rows[c][row] / step).round() * step
            };
            let q = (y / step).round() as i64;
            let p = formula.value(known) / step;
            plain.push(q);
            distances.push(if p.abs() < 1e15 { q - p.round() as i64 } else { q });
        }
        entropy(plain) - entropy(distances)
    })
}

/// Bits of a value.
fn entropy(mut values: Vec<i64>) -> f64 {
    values.sort_unstable();
    let n = values.len() as f64;
    let counts = values.chunk_by(|a, b| a == b).map(|run| run.len() as f64);
    // Unseen values have to be told too: half a value's weight for each distinct one (Miller and Madow).
    let (bits, distinct) = counts.fold((0.0, 0.0), |(bits, k), c| (bits + c / n * (n / c).log2(), k + 1.0));
    bits + (distinct - 1.0) / (2.0 * n * std::f64::consts::LN_2)
}
