//! Linear prediction of integers from their neighbours, with weights fitted to the array by least squares.
//!
//! Lorenzo prediction adds up what its neighbours' noise is; a fit takes from each neighbour what it is worth. Neighbours
//! count by their difference from the *anchor*, the nearest value that is always there, so that neither an offset of the
//! array nor a neighbour beyond its edge matters. Weights are integers and so is all arithmetic of the reader.

use super::lorenzo::MAX_AXES;

/// Bits of the weights below the point.
const FRACTION_BITS: u32 = 16;
/// No weight has more than this magnitude.
const MAX_WEIGHT: f64 = 64.0;

/// Steps back along each of four axes, slowest first; those along the last two may be forward where a slower one is back.
type Back = [isize; MAX_AXES];

/// Neighbours in the same row and plane, the nearest first.
const IN_PLANE: [Back; 11] = [
    [0, 0, 0, 1],
    [0, 0, 1, 0],
    [0, 0, 1, 1],
    [0, 0, 1, -1],
    [0, 0, 0, 2],
    [0, 0, 2, 0],
    [0, 0, 1, 2],
    [0, 0, 1, -2],
    [0, 0, 2, 1],
    [0, 0, 2, -1],
    [0, 0, 0, 3],
];
/// Those in planes before.
const PLANE_BEFORE: [Back; 14] = [
    [0, 1, 0, 0],
    [0, 1, 0, 1],
    [0, 1, 0, -1],
    [0, 1, 1, 0],
    [0, 1, -1, 0],
    [0, 1, 1, 1],
    [0, 1, 1, -1],
    [0, 1, -1, 1],
    [0, 1, -1, -1],
    [0, 1, 0, 2],
    [0, 1, 0, -2],
    [0, 1, 2, 0],
    [0, 1, -2, 0],
    [0, 2, 0, 0],
];
/// Those in volumes before.
const VOLUME_BEFORE: [Back; 8] =
    [[1, 0, 0, 0], [1, 0, 0, 1], [1, 0, 0, -1], [1, 0, 1, 0], [1, 0, -1, 0], [1, 1, 0, 0], [1, -1, 0, 0], [2, 0, 0, 0]];
const N_TAPS: usize = IN_PLANE.len() + PLANE_BEFORE.len() + VOLUME_BEFORE.len();

/// Weights depend on whether there is a plane before, and a volume before.
pub(crate) const N_SETS: usize = 4;

/// How many neighbours a set has.
pub(crate) fn n_taps(set: usize) -> usize {
    IN_PLANE.len()
        + if set & 1 == 1 { PLANE_BEFORE.len() } else { 0 }
        + if set & 2 == 2 { VOLUME_BEFORE.len() } else { 0 }
}

fn taps(set: usize) -> impl Iterator<Item = Back> {
    let planes = if set & 1 == 1 { &PLANE_BEFORE[..] } else { &[] };
    let volumes = if set & 2 == 2 { &VOLUME_BEFORE[..] } else { &[] };
    IN_PLANE.iter().chain(planes).chain(volumes).copied()
}

/// The sets that positions of these extents belong to.
pub(crate) fn sets(extents: &[usize; MAX_AXES]) -> impl Iterator<Item = usize> + use<> {
    let [has_volumes, has_planes] = [extents[0] > 1, extents[1] > 1];
    (0..N_SETS).filter(move |set| (set & 1 == 0 || has_planes) && (set & 2 == 0 || has_volumes))
}

/// Weights of each set, as many as it has neighbours; none where no position belongs to it.
pub(crate) type Weights = [Vec<i32>; N_SETS];

/// Visits every position in order: `visit(position, prediction)` gives the value there.
pub(crate) fn scan<E>(
    values: &mut [i64],
    extents: &[usize; MAX_AXES],
    weights: &Weights,
    mut visit: impl FnMut(usize, i64) -> Result<i64, E>,
) -> Result<(), E> {
    let walk = Walk::new(extents);
    for_each_row(extents, |at, row| {
        let set = walk.set(at);
        let weights = &weights[set];
        let offsets = &walk.offsets[set];
        let inside = walk.inside(at);
        for x in 0..extents[3] {
            let i = row + x;
            let anchor = walk.anchor(values, at, x, i);
            let mut sum = 1i64 << (FRACTION_BITS - 1);
            if inside.contains(&x) {
                for (offset, &weight) in offsets.iter().zip(weights) {
                    let v = values[i.wrapping_sub(*offset as usize)];
                    sum = sum.wrapping_add(v.wrapping_sub(anchor).wrapping_mul(i64::from(weight)));
                }
            } else {
                for (tap, &weight) in taps(set).zip(weights) {
                    if let Some(k) = walk.neighbour(at, x, tap) {
                        sum = sum.wrapping_add(values[k].wrapping_sub(anchor).wrapping_mul(i64::from(weight)));
                    }
                }
            }
            values[i] = visit(i, anchor.wrapping_add(sum >> FRACTION_BITS))?;
        }
        Ok(())
    })
}

fn for_each_row<E>(
    extents: &[usize; MAX_AXES],
    mut visit: impl FnMut([usize; 3], usize) -> Result<(), E>,
) -> Result<(), E> {
    let mut row = 0;
    for a in 0..extents[0] {
        for b in 0..extents[1] {
            for c in 0..extents[2] {
                visit([a, b, c], row)?;
                row += extents[3];
            }
        }
    }
    Ok(())
}

struct Walk {
    extents: [usize; MAX_AXES],
    strides: [usize; MAX_AXES],
    /// For each set, how far back its neighbours lie.
    offsets: [Vec<isize>; N_SETS],
}

impl Walk {
    fn new(extents: &[usize; MAX_AXES]) -> Self {
        let e = *extents;
        let strides = [e[1] * e[2] * e[3], e[2] * e[3], e[3], 1];
        let offset = |tap: Back| (0..MAX_AXES).map(|a| tap[a] * strides[a] as isize).sum();
        Self { extents: e, strides, offsets: std::array::from_fn(|set| taps(set).map(offset).collect()) }
    }

    fn set(&self, at: [usize; 3]) -> usize {
        usize::from(at[1] > 0) + 2 * usize::from(at[0] > 0)
    }

    /// The part of a row all of whose neighbours are there.
    fn inside(&self, at: [usize; 3]) -> std::ops::Range<usize> {
        let [a, b, c] = at;
        let e = self.extents;
        let is_inside = c >= 2 && c + 2 < e[2] && b != 1 && a != 1 && (a == 0 || (b >= 1 && b + 1 < e[1]));
        if is_inside && e[3] > 5 { 3..e[3] - 2 } else { 0..0 }
    }

    fn neighbour(&self, at: [usize; 3], x: usize, tap: Back) -> Option<usize> {
        let at = [at[0], at[1], at[2], x];
        let mut i = 0;
        for a in 0..MAX_AXES {
            let k = at[a].checked_add_signed(-tap[a]).filter(|&k| k < self.extents[a])?;
            i += k * self.strides[a];
        }
        Some(i)
    }

    /// The value before along the fastest axis that has one.
    fn anchor(&self, values: &[i64], at: [usize; 3], x: usize, i: usize) -> i64 {
        if x > 0 {
            return values[i - 1];
        }
        (0..3).rev().find(|&a| at[a] > 0).map_or(0, |a| values[i - self.strides[a]])
    }
}

/// Encoder side: weights from some of the positions.
pub(crate) fn fit(values: &[i64], extents: &[usize; MAX_AXES], is_used: impl Fn(usize) -> bool) -> Weights {
    /// Positions of each set that are looked at.
    const N_SAMPLES: usize = 1 << 14;
    let walk = Walk::new(extents);
    let mut counts = [0usize; N_SETS];
    let Ok(()) = for_each_row(extents, |at, _| {
        counts[walk.set(at)] += extents[3];
        Ok::<_, std::convert::Infallible>(())
    });
    let mut sums: [Normal; N_SETS] = std::array::from_fn(|set| Normal::new(n_taps(set)));
    // Steps that share no factor with the extents, near enough.
    let mut next = [0usize; N_SETS];
    let mut seen = [0usize; N_SETS];
    let Ok(()) = for_each_row(extents, |at, row| {
        let set = walk.set(at);
        let step = counts[set].div_ceil(N_SAMPLES) | 1;
        let inside = walk.inside(at);
        while next[set] < seen[set] + extents[3] {
            let x = next[set] - seen[set];
            next[set] += step;
            let i = row + x;
            if !is_used(i) {
                continue;
            }
            let anchor = walk.anchor(values, at, x, i);
            let difference = |k: usize| values[k].wrapping_sub(anchor) as f64;
            let mut near = [0.0; N_TAPS];
            if inside.contains(&x) {
                for (v, offset) in near.iter_mut().zip(&walk.offsets[set]) {
                    *v = difference(i.wrapping_sub(*offset as usize));
                }
            } else {
                for (v, tap) in near.iter_mut().zip(taps(set)) {
                    *v = walk.neighbour(at, x, tap).map_or(0.0, difference);
                }
            }
            sums[set].add(&near[..n_taps(set)], difference(i));
        }
        seen[set] += extents[3];
        Ok::<_, std::convert::Infallible>(())
    });
    std::array::from_fn(|set| if counts[set] == 0 { Vec::new() } else { sums[set].solve() })
}

/// Sums of products for least squares.
struct Normal {
    n: usize,
    products: Vec<f64>,
    targets: Vec<f64>,
}

impl Normal {
    fn new(n: usize) -> Self {
        Self { n, products: vec![0.0; n * n], targets: vec![0.0; n] }
    }

    fn add(&mut self, near: &[f64], target: f64) {
        // Rare large differences must not decide alone.
        let energy = near.iter().map(|v| v * v).sum::<f64>() + target * target;
        if energy == 0.0 {
            return;
        }
        let weight = 1.0 / (1.0 + energy.sqrt());
        for (i, &v) in near.iter().enumerate() {
            let scaled = v * weight;
            for (p, &w) in self.products[i * self.n..=i * self.n + i].iter_mut().zip(near) {
                *p += scaled * w;
            }
            self.targets[i] += scaled * target;
        }
    }

    /// Weights in units of 2^-[`FRACTION_BITS`], by Cholesky decomposition with a small ridge.
    fn solve(&mut self) -> Vec<i32> {
        let n = self.n;
        let trace: f64 = (0..n).map(|i| self.products[i * n + i]).sum();
        let ridge = 1e-6 * trace / n as f64 + f64::MIN_POSITIVE;
        let l = &mut self.products;
        for i in 0..n {
            l[i * n + i] += ridge;
            for j in 0..=i {
                let dot: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
                let v = l[i * n + j] - dot;
                l[i * n + j] = if i == j { v.max(ridge).sqrt() } else { v / l[j * n + j] };
            }
        }
        let mut x = self.targets.clone();
        for i in 0..n {
            let dot: f64 = (0..i).map(|k| l[i * n + k] * x[k]).sum();
            x[i] = (x[i] - dot) / l[i * n + i];
        }
        for i in (0..n).rev() {
            let dot: f64 = (i + 1..n).map(|k| l[k * n + i] * x[k]).sum();
            x[i] = (x[i] - dot) / l[i * n + i];
        }
        let scale = f64::from(1 << FRACTION_BITS);
        // As a cast takes NaN to 0, a fit that failed predicts the anchor.
        x.into_iter().map(|w| (w.clamp(-MAX_WEIGHT, MAX_WEIGHT) * scale).round() as i32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn predictions_use_what_came_before_only_and_planes_are_exact() {
        for extents in [[1, 1, 1, 40], [1, 1, 20, 30], [1, 6, 9, 11], [3, 4, 9, 10], [2, 1, 3, 2], [1, 1, 1, 1]] {
            let [_, eb, ec, ed] = extents;
            let n: usize = extents.iter().product();
            let original: Vec<i64> = (0..n)
                .map(|i| {
                    let (a, b, c, d) = (i / (eb * ec * ed), i / (ec * ed) % eb, i / ed % ec, i % ed);
                    (5000 + 7 * a + 100 * b + 13 * c) as i64 - 9 * d as i64
                })
                .collect();
            let weights = fit(&original, &extents, |_| true);
            for (set, weights) in weights.iter().enumerate() {
                assert!(weights.is_empty() || sets(&extents).any(|s| s == set), "{extents:?}");
            }
            let mut residual = vec![0; n];
            let Ok(()) = scan(&mut original.clone(), &extents, &weights, |i, p| {
                residual[i] = original[i] - p;
                Ok::<_, Infallible>(original[i])
            });
            let mut decoded = vec![i64::MIN / 3; n];
            let Ok(()) = scan(&mut decoded, &extents, &weights, |i, p| Ok::<_, Infallible>(residual[i] + p));
            assert_eq!(decoded, original, "{extents:?}");
            let n_large = residual.iter().filter(|r| r.abs() > 1).count();
            assert!(n < 100 || n_large * 3 < n, "{extents:?}: {n_large} of {n}");
        }
    }
}
