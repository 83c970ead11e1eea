//! How finely latents are kept where training has not settled it.
//!
//! A step of latent j moves the output by its sensitivity s_j times the step, so rounding it adds `s_j^2 step_j^2 / 12` to
//! the mean squared error. For a given sum of these the fewest bits are spent when all are equal, the high-rate case of
//! reverse water-filling: `step_j = c / s_j`. The largest c is taken that leaves the error of the whole, root mean square,
//! within [`MOST_GROWTH`] of what it is with latents as they come.

use baler_codec::Result;
use baler_codec::inference::Network;

/// How much the model's root mean square error may grow by quantising its latents.
const MOST_GROWTH: f64 = 1.05;
/// More tiles than this tell nothing more.
const MOST_TILES: usize = 2048;

/// A step for each of the latents `z` [n, latents] that `encoder` gave for `tiles` [n, values].
pub(crate) fn choose(decoder: &Network, tiles: &[f32], z: &[f32]) -> Result<Vec<f64>> {
    let (d, k) = (decoder.output_len(), decoder.input_len());
    let every = (tiles.len() / d).div_ceil(MOST_TILES).max(1);
    let pick = |values: &[f32], row: usize| -> Vec<f32> {
        values.chunks_exact(row).step_by(every).flatten().copied().collect()
    };
    let (tiles, z) = (pick(tiles, d), pick(z, k));
    let plain = decode_all(decoder, &z)?;
    let own = rms(&tiles, &plain);
    // A decoder that is exact, as one of as many latents as values may be, still rounds somewhere.
    let target = (own * MOST_GROWTH).max(1e-6 * rms(&tiles, &vec![0.0; tiles.len()]));
    let mut inverse_sensitivity = Vec::with_capacity(k);
    for j in 0..k {
        let spread = deviation(z.iter().skip(j).step_by(k));
        // A latent that never moves is kept as one number.
        let move_by = if spread > 0.0 { 0.05 * spread } else { 1.0 };
        let mut moved = z.clone();
        moved.iter_mut().skip(j).step_by(k).for_each(|v| *v += move_by);
        let sensitivity = rms(&plain, &decode_all(decoder, &moved)?) / f64::from(move_by);
        let widest = f64::from(spread.max(1e-6)) * 16.0;
        // One that the decoder does not heed comes out infinite, and is kept as coarsely as may be.
        inverse_sensitivity.push((1.0 / sensitivity, widest));
    }
    let steps = |c: f64| -> Vec<f64> {
        // Steps are written with three digits: further ones would change the bundle's hash for nothing.
        inverse_sensitivity.iter().map(|&(inverse, widest)| three_digits((c * inverse).min(widest))).collect()
    };
    let error = |c: f64| -> Result<f64> {
        let steps = steps(c);
        let kept: Vec<f32> = z
            .iter()
            .zip(steps.iter().cycle())
            .map(|(v, step)| ((f64::from(*v) / step).round_ties_even() * step) as f32)
            .collect();
        Ok(rms(&tiles, &decode_all(decoder, &kept)?))
    };
    // Bisection of the exponent, from far too fine to far too coarse.
    let (mut fine, mut coarse) = ((target * 1e-4).log2(), (target * 1e4).log2());
    for _ in 0..16 {
        let middle = (fine + coarse) / 2.0;
        if error(middle.exp2())? <= target {
            fine = middle;
        } else {
            coarse = middle;
        }
    }
    Ok(steps(fine.exp2()))
}

/// Latents [n, latents] to tiles.
pub(crate) fn decode_all(decoder: &Network, z: &[f32]) -> Result<Vec<f32>> {
    let n = z.len() / decoder.input_len();
    let mut y = vec![0f32; n * decoder.output_len()];
    decoder.run(n, z, &mut y)?;
    Ok(y)
}

fn three_digits(value: f64) -> f64 {
    format!("{:.2e}", value.max(1e-30)).parse().unwrap_or(value)
}

/// Root mean square difference.
pub(crate) fn rms(a: &[f32], b: &[f32]) -> f64 {
    let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (squares / a.len().max(1) as f64).sqrt()
}

fn deviation<'a>(values: impl Iterator<Item = &'a f32> + Clone) -> f32 {
    let n = values.clone().count().max(1) as f64;
    let mean = values.clone().map(|v| f64::from(*v)).sum::<f64>() / n;
    (values.map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{self, Layer, Weights};
    use crate::simulate::Random;

    #[test]
    fn steps_follow_the_sensitivity_and_keep_the_error() {
        // The decoder gives the first latent times 10, the second times 0.1, and ignores the third.
        let weight = Weights::F32(vec![10.0, 0.0, 0.0, 0.0, 0.1, 0.0]);
        let layers = [Layer::Dense { inputs: 3, outputs: 2, weight, bias: None }];
        let decoder = Network::from_onnx(&onnx::write("d", &[3], &[2], &layers).unwrap()).unwrap();
        let mut random = Random::new(5);
        let z: Vec<f32> = (0..3000).map(|_| random.normal()).collect();
        let tiles: Vec<f32> =
            decode_all(&decoder, &z).unwrap().into_iter().map(|v| v + 0.01 * random.normal()).collect();
        let steps = choose(&decoder, &tiles, &z).unwrap();
        assert!((steps[1] / steps[0] / 100.0 - 1.0).abs() < 0.05, "{steps:?}");
        assert!(steps[2] > 3.0, "{steps:?}");
        // sqrt((1.05^2 - 1) * 12) of the error, 0.01, on both outputs.
        assert!((steps[0] * 10.0 / 0.0111 - 1.0).abs() < 0.1, "{steps:?}");
    }
}
