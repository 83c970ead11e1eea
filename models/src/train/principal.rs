//! Principal components, the start of every linear layer: training then has only to move from the best for squares to
//! the best for bits.

use crate::simulate::Random;

/// More rows than this add nothing to a start.
const MOST_ROWS: usize = 4096;

/// The first `k` principal directions of `rows` (length `d` each) about `mean`, as `k` orthonormal rows in falling order
/// of variance. Orthogonal iteration: directions whose variances are close may come out mixed.
pub(super) fn principal(rows: &[f32], mean: &[f32], k: usize, random: &mut Random) -> Vec<f32> {
    let d = mean.len();
    let n = rows.len() / d;
    let step = n.div_ceil(MOST_ROWS).max(1);
    // Variances of smooth fields span ten orders of magnitude: double precision, or the last directions are noise.
    let centred: Vec<f64> = rows
        .chunks_exact(d)
        .step_by(step)
        .flat_map(|row| row.iter().zip(mean).map(|(v, m)| f64::from(*v) - f64::from(*m)))
        .collect();
    let mut basis: Vec<f64> = (0..k * d).map(|_| f64::from(random.normal())).collect();
    orthonormalise(&mut basis, d, random);
    for _ in 0..40 {
        let mut next = vec![0f64; k * d];
        for row in centred.chunks_exact(d) {
            for (direction, out) in basis.chunks_exact(d).zip(next.chunks_exact_mut(d)) {
                let along = dot64(row, direction);
                out.iter_mut().zip(row).for_each(|(o, r)| *o += along * r);
            }
        }
        basis = next;
        orthonormalise(&mut basis, d, random);
    }
    basis.iter().map(|v| *v as f32).collect()
}

/// Gram and Schmidt, twice over for accuracy. A row that vanishes is replaced by a random one.
fn orthonormalise(basis: &mut [f64], d: usize, random: &mut Random) {
    let k = basis.len() / d;
    for i in 0..k.min(d) {
        let (done, rest) = basis.split_at_mut(i * d);
        let row = &mut rest[..d];
        for attempt in 0.. {
            let before = dot64(row, row).sqrt();
            for _ in 0..2 {
                for other in done.chunks_exact(d) {
                    let along = dot64(row, other);
                    row.iter_mut().zip(other).for_each(|(r, o)| *r -= along * o);
                }
            }
            let norm = dot64(row, row).sqrt();
            if norm > 1e-14 * before && norm > 1e-200 {
                row.iter_mut().for_each(|r| *r /= norm);
                break;
            }
            if attempt == 8 {
                row.fill(0.0);
                break;
            }
            row.iter_mut().for_each(|r| *r = f64::from(random.normal()));
        }
    }
    // More directions than dimensions: the rest stay empty.
    basis[k.min(d) * d..].fill(0.0);
}

fn dot64(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0f64; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for i in 0..8 {
            lanes[i] += x[i] * y[i];
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// Dot product, summed in eight lanes.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for i in 0..8 {
            lanes[i] += x[i] * y[i];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_directions_of_a_known_distribution() {
        let mut random = Random::new(3);
        // Variance 9 along (1, 1, 0) / sqrt 2, 1 along z, none along the third.
        let rows: Vec<f32> = (0..2000)
            .flat_map(|_| {
                let (a, z) = (3.0 * random.normal() / 2f32.sqrt(), random.normal());
                [a + 5.0, a, z]
            })
            .collect();
        let basis = principal(&rows, &[5.0, 0.0, 0.0], 2, &mut random);
        assert!((basis[0].abs() - 0.5f32.sqrt()).abs() < 0.02 && (basis[0] - basis[1]).abs() < 0.02, "{basis:?}");
        assert!(basis[5].abs() > 0.99, "{basis:?}");
    }
}
