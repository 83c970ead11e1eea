//! What a pair of networks, as written, does to tiles: measured with the codec's own engine.

use super::AtBound;
use baler_codec::Result;
use baler_codec::inference::Network;
use std::collections::HashMap;

/// The bounds that every report shows, beside the one trained for.
const BOUNDS: [f64; 3] = [1e-1, 1e-2, 1e-3];

/// Figures of one set of tiles.
pub(super) struct Measured {
    pub psnr: f64,
    pub max_error: f64,
    pub at_bounds: Vec<AtBound>,
}

/// Measures on `tiles` (network inputs, `d` values each) with `k` latents of step 1 at `rel_bound`. `range` is that of
/// the data in units of network inputs.
pub(super) fn measure(
    encoder: &[u8],
    decoder: &[u8],
    tiles: &[f32],
    d: usize,
    k: usize,
    rel_bound: f64,
    range: f64,
) -> Result<Measured> {
    let (encoder, decoder) = (Network::from_onnx(encoder)?, Network::from_onnx(decoder)?);
    let n = tiles.len() / d;
    let mut z = vec![0f32; n * k];
    encoder.run(n, tiles, &mut z)?;
    let decode = |factor: f64| -> Result<(Vec<i64>, Vec<f32>)> {
        let integers: Vec<i64> = z.iter().map(|v| (f64::from(*v) / factor).round_ties_even() as i64).collect();
        let kept: Vec<f32> = integers.iter().map(|&v| (v as f64 * factor) as f32).collect();
        let mut y = vec![0f32; n * d];
        decoder.run(n, &kept, &mut y)?;
        Ok((integers, y))
    };
    let (_, y) = decode(1.0)?;
    let errors = || tiles.iter().zip(&y).map(|(x, y)| f64::from(x - y));
    let mean_square = errors().map(|e| e * e).sum::<f64>() / tiles.len() as f64;
    let mut bounds: Vec<f64> = BOUNDS.into_iter().chain([rel_bound]).collect();
    bounds.sort_by(|a, b| b.total_cmp(a));
    bounds.dedup();
    let mut at_bounds = Vec::new();
    for rel in bounds {
        let bound = rel * range;
        let mut best: Option<AtBound> = None;
        for part in [0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8] {
            let factor = rel / rel_bound * part;
            let (integers, y) = decode(factor)?;
            let latent_bytes = (0..k).map(|j| entropy_bytes(integers.iter().skip(j).step_by(k).copied())).sum::<f64>();
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
