//! What a pair of networks, as written, does to tiles: measured with the codec's own engine.

use super::AtBound;
use crate::steps::decode_all;
use baler_codec::Result;
use baler_codec::inference::Network;
use std::collections::HashMap;

/// The bounds that every report shows, beside the one trained for.
const BOUNDS: [f64; 3] = [1e-1, 1e-2, 1e-3];

/// Figures of one set of tiles.
pub(super) struct Measured {
    pub psnr: f64,
    pub max_error: f64,
    pub latent_bits_per_value: f64,
    pub at_bounds: Vec<AtBound>,
}

/// What to measure on.
pub(super) struct Sample<'a> {
    /// Network inputs.
    pub tiles: &'a [f32],
    /// Their latents, as they come.
    pub latents: &'a [f32],
    /// The latents' steps.
    pub steps: &'a [f64],
    /// Range of the data in units of network inputs.
    pub range: f64,
    /// The bound that the steps suit, if they were trained for one.
    pub trained_bound: Option<f64>,
    /// A bound to show beside the usual ones.
    pub rel_bound: f64,
}

/// Measures.
pub(super) fn measure(decoder: &Network, sample: &Sample<'_>) -> Result<Measured> {
    let Sample { tiles, latents, steps, range, .. } = *sample;
    let k = steps.len();
    let decode = |factor: f64| -> Result<(Vec<i64>, Vec<f32>)> {
        let steps = || steps.iter().map(|s| s * factor).cycle();
        let integers: Vec<i64> =
            latents.iter().zip(steps()).map(|(v, step)| (f64::from(*v) / step).round_ties_even() as i64).collect();
        let kept: Vec<f32> = integers.iter().zip(steps()).map(|(&v, step)| (v as f64 * step) as f32).collect();
        Ok((integers, decode_all(decoder, &kept)?))
    };
    let latent_bytes =
        |integers: &[i64]| (0..k).map(|j| entropy_bytes(integers.iter().skip(j).step_by(k).copied())).sum::<f64>();
    let (integers, y) = decode(1.0)?;
    let own_latent_bytes = latent_bytes(&integers);
    let errors = || tiles.iter().zip(&y).map(|(x, y)| f64::from(x - y));
    let mean_square = errors().map(|e| e * e).sum::<f64>() / tiles.len() as f64;
    let mut bounds: Vec<f64> = BOUNDS.into_iter().chain([sample.rel_bound]).collect();
    bounds.sort_by(|a, b| b.total_cmp(a));
    bounds.dedup();
    let mut at_bounds = Vec::new();
    for rel in bounds {
        let bound = rel * range;
        // Steps that were trained for a bound are near the best for it; others may be far off.
        let factors: Vec<f64> = match sample.trained_bound {
            Some(trained) => [0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8].map(|part| rel / trained * part).to_vec(),
            None => (-8..5).map(|i| f64::from(i).exp2()).collect(),
        };
        let mut best: Option<AtBound> = None;
        for factor in factors {
            let (integers, y) = decode(factor)?;
            let latent_bytes = latent_bytes(&integers);
            let residual = tiles.iter().zip(&y).map(|(x, y)| (f64::from(x - y) / (2.0 * bound)).round() as i64);
            let residual_bytes = entropy_bytes(residual);
            let bits_per_value = (latent_bytes + residual_bytes) * 8.0 / tiles.len() as f64;
            if best.as_ref().is_none_or(|b| bits_per_value < b.bits_per_value) {
                best =
                    Some(AtBound { rel_bound: rel, step_factor: factor, latent_bytes, residual_bytes, bits_per_value });
            }
        }
        at_bounds.extend(best);
    }
    Ok(Measured {
        psnr: 20.0 * range.log10() - 10.0 * mean_square.max(1e-300).log10(),
        max_error: errors().fold(0.0, |m: f64, e| m.max(e.abs())) / range,
        latent_bits_per_value: own_latent_bytes * 8.0 / tiles.len() as f64,
        at_bounds,
    })
}

/// Entropy of integers, in bytes.
fn entropy_bytes(values: impl Iterator<Item = i64>) -> f64 {
    let mut counts: HashMap<i64, u64> = HashMap::new();
    values.for_each(|v| *counts.entry(v).or_default() += 1);
    let mut counts: Vec<u64> = counts.into_values().collect();
    // A fixed order of summation: the figure goes into the manifest, and the manifest into the bundle's hash.
    counts.sort_unstable();
    let n = counts.iter().sum::<u64>() as f64;
    counts.iter().map(|&c| c as f64 * (n / c as f64).log2()).sum::<f64>() / 8.0
}
