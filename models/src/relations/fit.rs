//! Matching pursuit over atoms, and least squares.

use super::atoms::Atoms;
use baler_codec::relation::{Formula, Function, Outer, Term};

/// Terms at most.
const MAX_TERMS: usize = 8;
/// A fit whose residual has this part of the target's variance is exact, as far as 32-bit atoms tell.
const EXACT: f64 = 1e-11;
/// A further term has to leave less than this part of the residual's variance.
const WORTH_A_TERM: f64 = 0.5;
/// The same for data of some six digits, as quadratic forms are taken for true.
const ALMOST_EXACT: f64 = 1e-6;
/// Terms of a quadratic form at most.
const MAX_QUADRATIC_TERMS: usize = 12;
/// What a first term has to explain to be gone on from.
const FIRST_SHARE: f64 = 0.3;

/// Products of functions of columns, without coefficients.
pub(super) type Products = Vec<Vec<(Function, usize)>>;

/// The sums found for a target, from the `beam` best first terms.
pub(super) fn pursue(target: &[f64], column: usize, atoms: &Atoms, beam: usize) -> Vec<Products> {
    let usable: Vec<usize> = (0..atoms.len()).filter(|&i| !atoms.has(i, column)).collect();
    let mean = target.iter().sum::<f64>() / target.len() as f64;
    let variance: f64 = target.iter().map(|t| (t - mean) * (t - mean)).sum();
    if variance.is_nan() || variance <= 1e-20 * mean * mean * target.len() as f64 {
        return Vec::new();
    }
    // A first term with and without a constant beside it.
    let mut firsts = best(target, &usable, atoms, beam);
    let centred: Vec<f64> = target.iter().map(|t| t - mean).collect();
    for i in best(&centred, &usable, atoms, beam) {
        if !firsts.contains(&i) {
            firsts.push(i);
        }
    }
    firsts.into_iter().filter_map(|first| grow(target, variance, first, &usable, atoms)).collect()
}

fn grow(target: &[f64], variance: f64, first: usize, usable: &[usize], atoms: &Atoms) -> Option<Products> {
    let mut chosen = vec![first];
    let mut residual = residual_of(target, &chosen, atoms)?;
    let mut left = energy(&residual) / variance;
    if left > 1.0 - FIRST_SHARE && energy(&residual) > energy(target) * (1.0 - FIRST_SHARE) {
        return None;
    }
    while left > EXACT && chosen.len() < MAX_TERMS {
        let next = best(&residual, usable, atoms, 1 + chosen.len()).into_iter().find(|i| !chosen.contains(i))?;
        chosen.push(next);
        let Some(after) = residual_of(target, &chosen, atoms) else {
            chosen.pop();
            break;
        };
        let now = energy(&after) / variance;
        // Two terms may only help together: the last is taken back if it alone was not worth it.
        if now > WORTH_A_TERM * left && chosen.len() > 3 {
            chosen.pop();
            break;
        }
        (residual, left) = (after, now);
    }
    // What the greedy way picked up and no longer needs.
    let mut k = 0;
    while chosen.len() > 1 && k < chosen.len() {
        let without: Vec<usize> = chosen.iter().enumerate().filter(|&(i, _)| i != k).map(|(_, &c)| c).collect();
        match residual_of(target, &without, atoms).map(|r| energy(&r) / variance) {
            Some(now) if now <= (left * 1.05).max(EXACT) => {
                chosen = without;
                left = now;
            }
            _ => k += 1,
        }
    }
    Some(chosen.iter().map(|&i| atoms.factors[i].clone()).collect())
}

fn energy(v: &[f64]) -> f64 {
    v.iter().map(|v| v * v).sum()
}

/// The atoms with the largest correlation with `target`.
fn best(target: &[f64], usable: &[usize], atoms: &Atoms, count: usize) -> Vec<usize> {
    let scale = energy(target).sqrt().max(1e-300);
    let target: Vec<f32> = target.iter().map(|v| (v / scale) as f32).collect();
    let mut top: Vec<(f32, usize)> = Vec::with_capacity(count + 1);
    for &i in usable {
        let size = dot(&target, atoms.values(i)).abs();
        if top.len() < count || size > top[top.len() - 1].0 {
            let at = top.partition_point(|&(other, _)| other >= size);
            top.insert(at, (size, i));
            top.truncate(count);
        }
    }
    top.into_iter().map(|(_, i)| i).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    for (a, b) in a.chunks_exact(16).zip(b.chunks_exact(16)) {
        for k in 0..16 {
            sums[k] += a[k] * b[k];
        }
    }
    let tail: f32 = a.chunks_exact(16).remainder().iter().zip(b.chunks_exact(16).remainder()).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + tail
}

fn residual_of(target: &[f64], chosen: &[usize], atoms: &Atoms) -> Option<Vec<f64>> {
    let columns: Vec<Vec<f64>> =
        chosen.iter().map(|&i| atoms.values(i).iter().map(|&v| f64::from(v)).collect()).collect();
    let coefficients = least_squares(&columns, target)?;
    Some(rest(target, &columns, &coefficients))
}

fn rest(target: &[f64], columns: &[Vec<f64>], coefficients: &[f64]) -> Vec<f64> {
    let mut residual = target.to_vec();
    for (column, c) in columns.iter().zip(coefficients) {
        residual.iter_mut().zip(column).for_each(|(r, v)| *r -= c * v);
    }
    residual
}

/// Coefficients of least squares, by modified Gram-Schmidt; `None` where columns depend on each other.
fn least_squares(columns: &[Vec<f64>], target: &[f64]) -> Option<Vec<f64>> {
    let k = columns.len();
    let mut q: Vec<Vec<f64>> = Vec::with_capacity(k);
    let mut r = vec![vec![0.0; k]; k];
    let mut y = target.to_vec();
    let mut along = vec![0.0; k];
    for j in 0..k {
        let mut v = columns[j].clone();
        let before = energy(&v).sqrt();
        for i in 0..j {
            r[i][j] = q[i].iter().zip(&v).map(|(a, b)| a * b).sum();
            v.iter_mut().zip(&q[i]).for_each(|(v, q)| *v -= r[i][j] * q);
        }
        let length = energy(&v).sqrt();
        if length.is_nan() || length <= 1e-6 * before {
            return None;
        }
        r[j][j] = length;
        v.iter_mut().for_each(|v| *v /= length);
        along[j] = v.iter().zip(&y).map(|(a, b)| a * b).sum();
        y.iter_mut().zip(&v).for_each(|(y, v)| *y -= along[j] * v);
        q.push(v);
    }
    let mut x = vec![0.0; k];
    for j in (0..k).rev() {
        let known: f64 = (j + 1..k).map(|i| r[j][i] * x[i]).sum();
        x[j] = (along[j] - known) / r[j][j];
    }
    x.iter().all(|v| v.is_finite()).then_some(x)
}

/// A target as a sum of products of columns, as in the square of an invariant mass: many terms that nearly cancel, which the
/// greedy pursuit misses. Orthogonal least squares (S. Chen, S. A. Billings, W. Luo, 1989) adds the term that leaves least;
/// what it picked up on the way goes again.
pub(super) fn quadratic_form(target: &[f64], column: usize, rows: &[Vec<f64>]) -> Option<Products> {
    /// Terms on the way.
    const MOST: usize = 40;
    /// Columns that are tried.
    const MOST_COLUMNS: usize = 32;
    if rows.len() > MOST_COLUMNS {
        return None;
    }
    let others: Vec<usize> = (0..rows.len()).filter(|&c| c != column).collect();
    let mut products: Products = vec![vec![]];
    for (i, &a) in others.iter().enumerate() {
        products.push(vec![(Function::Square, a)]);
        products.extend(others[i + 1..].iter().map(|&b| vec![(Function::Identity, a), (Function::Identity, b)]));
    }
    let values: Vec<Vec<f64>> =
        products.iter().map(|factors| (0..target.len()).map(|row| product(factors, row, rows)).collect()).collect();
    let mean = target.iter().sum::<f64>() / target.len() as f64;
    let variance: f64 = target.iter().map(|t| (t - mean) * (t - mean)).sum();
    if variance.is_nan() || variance <= 0.0 {
        return None;
    }
    // Every column is kept orthogonal to those chosen; one that has all but vanished depends on them.
    let mut left = values.clone();
    let whole: Vec<f64> = values.iter().map(|v| energy(v)).collect();
    let mut residual = target.to_vec();
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < MOST && energy(&residual) > ALMOST_EXACT * variance {
        let gain = |i: usize| {
            let size = energy(&left[i]);
            if size <= 1e-9 * whole[i] {
                return 0.0;
            }
            let along: f64 = left[i].iter().zip(&residual).map(|(a, b)| a * b).sum();
            along * along / size
        };
        let (next, best) = (0..products.len()).map(|i| (i, gain(i))).max_by(|a, b| a.1.total_cmp(&b.1))?;
        if best.is_nan() || best <= 0.0 {
            break;
        }
        chosen.push(next);
        let direction = left[next].clone();
        let size = energy(&direction);
        let remove = |v: &mut [f64]| {
            let along = direction.iter().zip(&*v).map(|(a, b)| a * b).sum::<f64>() / size;
            v.iter_mut().zip(&direction).for_each(|(v, d)| *v -= along * d);
        };
        left.iter_mut().for_each(|v| remove(v));
        remove(&mut residual);
    }
    if energy(&residual) > ALMOST_EXACT * variance {
        return None;
    }
    let fit = |chosen: &[usize]| {
        let columns: Vec<Vec<f64>> = chosen.iter().map(|&i| values[i].clone()).collect();
        Some(energy(&rest(target, &columns, &least_squares(&columns, target)?)) / variance)
    };
    // The term that is missed least goes, while the rest can make up for it.
    while chosen.len() > 1 {
        let without =
            |k: usize| -> Vec<usize> { chosen.iter().enumerate().filter(|&(i, _)| i != k).map(|(_, &c)| c).collect() };
        let tries = (0..chosen.len()).filter_map(|k| Some((k, fit(&without(k))?)));
        match tries.min_by(|a, b| a.1.total_cmp(&b.1)) {
            Some((k, error)) if error <= ALMOST_EXACT => chosen = without(k),
            _ => break,
        }
    }
    (chosen.len() <= MAX_QUADRATIC_TERMS).then(|| chosen.iter().map(|&i| products[i].clone()).collect())
}

/// The value of factors for a row of `columns[c][row]`.
fn product(factors: &[(Function, usize)], row: usize, columns: &[Vec<f64>]) -> f64 {
    factors.iter().fold(1.0, |product, &(function, c)| product * function.apply(columns[c][row]))
}

/// The formula of these products with coefficients fitted to more rows, in full precision.
pub(super) fn refine(outer: Outer, terms: &Products, column: usize, rows: &[Vec<f64>]) -> Option<Formula> {
    let target = super::transformed(outer, &rows[column])?;
    let columns: Vec<Vec<f64>> =
        terms.iter().map(|factors| (0..target.len()).map(|row| product(factors, row, rows)).collect()).collect();
    if columns.iter().flatten().any(|v: &f64| !v.is_finite() || v.abs() > 1e100) {
        return None;
    }
    let mut coefficients = least_squares(&columns, &target)?;
    // Numbers that are plainly meant: 0.9999997 is 1 if that fits as well.
    let error = energy(&rest(&target, &columns, &coefficients));
    for i in 0..coefficients.len() {
        let kept = coefficients[i];
        let simple = (kept * 4.0).round() / 4.0;
        if simple != 0.0 && (kept / simple - 1.0).abs() < 1e-3 {
            coefficients[i] = simple;
            if energy(&rest(&target, &columns, &coefficients)) > error * 1.02 + 1e-12 * energy(&target) / 1e6 {
                coefficients[i] = kept;
            }
        }
    }
    let terms = terms.iter().zip(&coefficients);
    // Ten digits are plenty, and make the text of a manifest readable.
    let rounded = |c: f64| format!("{c:.9e}").parse().unwrap_or(c);
    let terms = terms.map(|(factors, &c)| Term { coefficient: rounded(c), factors: factors.clone() }).collect();
    Some(Formula { outer, terms })
}
