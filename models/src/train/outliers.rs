//! Tiles that are not like the others: a density over latents and errors, and training without the worst.
//!
//! ```text
//! repeat: train briefly -> fit the density -> score the training tiles -> leave out those beyond the threshold
//!         -> columns of tables are normalised anew, by what is left
//! train in full on what is left -> fit the density -> manifest
//! ```
//!
//! A tile is scored by `baler_codec::bundle::Density`: how far its latents lie from the others', and how badly it is
//! reconstructed. The threshold is a quantile of the training tiles' scores, and never less than twice their median:
//! data without outliers lose none. Everything is deterministic.

use super::tiles::Tiles;
use super::{Options, Trained};
use baler_codec::Result;
use baler_codec::bundle::{Density, Moments, log_error};
use baler_codec::inference::{Encoder, Network};
use std::collections::BTreeSet;

/// More latents than this are taken as independent: their covariance would fill the manifest.
const MOST_WHITENED: usize = 24;
/// The part of the tiles that the distribution is fitted to, the closest ones.
const TRIMMED: f64 = 0.99;
/// Rounds of fitting and trimming.
const FITS: usize = 4;
/// Scores below this many medians are no outliers, whatever their rank.
const LEAST_MEDIANS: f64 = 2.0;
/// A round of removal trains for this part of the epochs.
const BRIEF: usize = 8;
/// Tiles run at once.
const TILES_AT_ONCE: usize = 1024;

/// The density of tiles of network inputs (`d` values each) under a pair of networks; its threshold is the given quantile
/// of their scores.
pub(super) fn fit(
    encoder: &dyn Encoder,
    decoder: &Network,
    tiles: &[f32],
    d: usize,
    quantile: f64,
) -> Result<(Density, Vec<f64>)> {
    let sample = Sample::new(encoder, decoder, tiles, d)?;
    let all: Vec<usize> = (0..sample.n()).collect();
    let mut density = sample.density(&all);
    for _ in 1..FITS {
        let scores = sample.scores(&density);
        let mut kept = all.clone();
        kept.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(a.cmp(&b)));
        kept.truncate(((sample.n() as f64 * TRIMMED).ceil() as usize).max(2));
        density = sample.density(&kept);
    }
    let scores = sample.scores(&density);
    let mut sorted = scores.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |q: f64| sorted[((sorted.len() as f64 * q).ceil() as usize).clamp(1, sorted.len()) - 1];
    density.threshold = at(quantile).max(LEAST_MEDIANS * at(0.5)).clamp(1e-6, 1e6);
    let below = scores.iter().filter(|&&s| s <= density.threshold).count();
    density.quantile = ((below as f64 / scores.len() as f64 * 1e6).round() / 1e6).max(1e-6);
    Ok((density, scores))
}

/// The tiles of `all`, less the training tiles that lie beyond the threshold round by round.
pub(super) fn remove(
    all: impl Fn(&BTreeSet<usize>) -> Result<Tiles>,
    options: &Options,
    train: &dyn Fn(&Tiles, &Options) -> Result<Trained>,
) -> Result<Tiles> {
    let brief = Options {
        epochs: options.epochs.div_ceil(BRIEF),
        density: false,
        remove_outliers: 0,
        checkpoint: None,
        ..options.clone()
    };
    let mut left_out = BTreeSet::new();
    let mut removed = Vec::new();
    let mut tiles = all(&left_out)?;
    for _ in 0..options.remove_outliers {
        let bundle = train(&tiles, &brief)?.bundle;
        let (encoder, decoder, d) = (bundle.encoder(None)?, bundle.decoder()?, tiles.len());
        let (density, scores) = fit(&*encoder, decoder, &tiles.training, d, options.outlier_quantile)?;
        let before = left_out.len();
        let found = tiles.training_indices.iter().zip(&scores).filter(|(_, score)| **score > density.threshold);
        left_out.extend(found.map(|(i, _)| *i));
        removed.push(left_out.len() - before);
        if left_out.len() == before {
            break;
        }
        tiles = all(&left_out)?;
    }
    tiles.removed = removed;
    Ok(tiles)
}

/// Latents and logarithms of errors of tiles.
struct Sample {
    k: usize,
    /// `k` for each tile.
    latents: Vec<f32>,
    rms_errors: Vec<f64>,
}

impl Sample {
    fn new(encoder: &dyn Encoder, decoder: &Network, tiles: &[f32], d: usize) -> Result<Self> {
        let k = encoder.output_len();
        let (mut latents, mut rms_errors) = (vec![0f32; tiles.len() / d * k], Vec::new());
        let mut y = Vec::new();
        for (x, z) in tiles.chunks(TILES_AT_ONCE * d).zip(latents.chunks_mut(TILES_AT_ONCE * k)) {
            let rows = x.len() / d;
            encoder.encode(rows, x, z)?;
            y.resize(x.len(), 0.0);
            decoder.run(rows, z, &mut y)?;
            rms_errors.extend(x.chunks_exact(d).zip(y.chunks_exact(d)).map(|(x, y)| {
                let squares: f64 = x.iter().zip(y).map(|(x, y)| f64::from(x - y).powi(2)).sum();
                (squares / d as f64).sqrt()
            }));
        }
        Ok(Self { k, latents, rms_errors })
    }

    fn n(&self) -> usize {
        self.rms_errors.len()
    }

    fn scores(&self, density: &Density) -> Vec<f64> {
        self.latents.chunks_exact(self.k).zip(&self.rms_errors).map(|(z, e)| density.score(z, *e)).collect()
    }

    /// The normal distribution of these tiles; any threshold.
    fn density(&self, kept: &[usize]) -> Density {
        let n = kept.len() as f64;
        let latent = |t: usize, i: usize| f64::from(self.latents[t * self.k + i]);
        let moments = |of: &dyn Fn(usize) -> f64| {
            let mean = kept.iter().map(|&t| of(t)).sum::<f64>() / n;
            let variance = kept.iter().map(|&t| (of(t) - mean).powi(2)).sum::<f64>() / n;
            Moments { mean, deviation: variance.sqrt() }
        };
        let mut error = moments(&|t| log_error(self.rms_errors[t]));
        error.deviation = error.deviation.max(1e-3);
        let of_latents: Vec<Moments> = (0..self.k).map(|i| moments(&|t| latent(t, i))).collect();
        // A latent that the network does not use has next to no deviation, and tells nothing.
        let least = of_latents.iter().fold(1e-6, |m: f64, l| m.max(1e-3 * l.deviation));
        let mut density = Density {
            threshold: 1.0,
            quantile: 1.0,
            error: Moments { mean: short(error.mean), deviation: short(error.deviation) },
            mean: of_latents.iter().map(|l| short(l.mean)).collect(),
            deviation: of_latents.iter().map(|l| short(l.deviation.max(least))).collect(),
            whitening: Vec::new(),
        };
        if (2..=MOST_WHITENED).contains(&self.k) {
            let correlation = |i: usize, j: usize| {
                let sum: f64 = kept
                    .iter()
                    .map(|&t| (latent(t, i) - of_latents[i].mean) * (latent(t, j) - of_latents[j].mean))
                    .sum();
                sum / n / (density.deviation[i] * density.deviation[j]) + if i == j { 1e-6 } else { 0.0 }
            };
            density.whitening = inverse_cholesky(self.k, &correlation);
        }
        density
    }
}

/// Rows of the inverse of L, with `L L^T` the given symmetric matrix: `L^-1 u` has covariance 1 if u has the matrix's.
#[expect(clippy::needless_range_loop, reason = "two matrices have these indices")]
fn inverse_cholesky(k: usize, matrix: &dyn Fn(usize, usize) -> f64) -> Vec<Vec<f64>> {
    let mut l = vec![vec![0.0; k]; k];
    for i in 0..k {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|m| l[i][m] * l[j][m]).sum();
            let rest = matrix(i, j) - sum;
            // Rounding can push a singular matrix below zero.
            l[i][j] = if i == j { rest.max(1e-6).sqrt() } else { rest / l[j][j] };
        }
    }
    let mut inverse = vec![vec![0.0; k]; k];
    for i in 0..k {
        for column in 0..=i {
            let sum: f64 = (column..i).map(|m| l[i][m] * inverse[m][column]).sum();
            inverse[i][column] = (f64::from(u8::from(i == column)) - sum) / l[i][i];
        }
    }
    inverse.iter().enumerate().map(|(i, row)| row[..=i].iter().map(|v| short(*v)).collect()).collect()
}

/// Five significant digits: further ones would only lengthen the manifest.
fn short(v: f64) -> f64 {
    format!("{v:.4e}").parse().unwrap_or(v)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::Random;

    #[test]
    fn whitening_undoes_correlation() {
        let matrix = [[1.0, 0.6, -0.2], [0.6, 1.0, 0.3], [-0.2, 0.3, 1.0]];
        let w = inverse_cholesky(3, &|i, j| matrix[i][j]);
        for i in 0..3 {
            for j in 0..3 {
                let mut sum = 0.0;
                for (a, wa) in w[i].iter().enumerate() {
                    for (b, wb) in w[j].iter().enumerate() {
                        sum += wa * matrix[a][b] * wb;
                    }
                }
                assert!((sum - f64::from(u8::from(i == j))).abs() < 1e-3, "{i} {j}: {sum}");
            }
        }
    }

    #[test]
    fn a_sample_with_a_few_far_ones_is_fitted_to_the_others() {
        let mut random = Random::new(5);
        let n = 2000;
        let mut latents: Vec<f32> = (0..n)
            .flat_map(|_| {
                let a = random.normal();
                [3.0 + a, 5.0 * a + 0.5 * random.normal(), 0.25]
            })
            .collect();
        let mut rms_errors: Vec<f64> = (0..n).map(|_| f64::from(0.3 * random.normal() - 3.0).exp()).collect();
        // Against the correlation; far off; badly reconstructed.
        latents[3..6].copy_from_slice(&[4.0, -5.0, 0.25]);
        latents[6..9].copy_from_slice(&[500.0, 2500.0, 0.25]);
        rms_errors[3] = 2.0;
        let sample = Sample { k: 3, latents, rms_errors };
        let all: Vec<usize> = (0..n).collect();
        let kept: Vec<usize> = (4..n).collect();
        let scores = sample.scores(&sample.density(&kept));
        let mut order = all;
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let mut worst = order[..3].to_vec();
        worst.sort_unstable();
        assert_eq!(worst, [1, 2, 3]);
        assert!(scores[order[2]] > 2.0 * scores[order[3]]);
        let mean = scores[4..].iter().map(|s| s * s).sum::<f64>() / (n - 4) as f64;
        // Two of the three latents vary, and half of the errors count.
        assert!((mean - (2.0 / 3.0 + 0.5)).abs() < 0.15, "{mean}");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!((short(1.0 / 3.0), short(-123456.7), short(0.0)), (0.33333, -123460.0, 0.0));
    }
}
