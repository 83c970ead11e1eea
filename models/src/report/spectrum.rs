//! Power over spatial frequency: what compression does to small structures.

use super::field::Frame;
use serde::Serialize;
use std::f64::consts::TAU;

/// Side of the square that is transformed, at most.
const MAX_SIDE: usize = 512;
/// Below this there is no spectrum worth the name.
const MIN_SIDE: usize = 16;

/// Mean power on rings of equal spatial frequency.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PowerSpectrum {
    /// Cycles for each pixel: the middle of each ring, up to 0.5.
    pub frequency: Vec<f64>,
    /// Mean squared amplitude there, of the originals.
    pub original: Vec<f64>,
    /// Of the decoded frames.
    pub decoded: Vec<f64>,
    /// Of the differences.
    pub difference: Vec<f64>,
    /// Side of the square in the middle of the frame that was transformed.
    pub side: usize,
}

/// The mean spectrum of these frames: a square in their middle, its mean taken off, under a Hann window.
pub(super) fn power(frames: &[Frame], height: usize, width: usize) -> Option<PowerSpectrum> {
    let short = height.min(width).min(MAX_SIDE);
    if short < MIN_SIDE {
        return None;
    }
    let side = if short.is_power_of_two() { short } else { short.next_power_of_two() / 2 };
    let corner = ((height - side) / 2, (width - side) / 2);
    let n_rings = side / 2;
    let mut rings = [vec![0.0; n_rings], vec![0.0; n_rings], vec![0.0; n_rings]];
    let mut n_frames = 0;
    for frame in frames {
        let crop = |values: &[f32]| -> Vec<f64> {
            let row = |r: usize| &values[(corner.0 + r) * width + corner.1..][..side];
            (0..side).flat_map(|r| row(r).iter().map(|v| f64::from(*v))).collect()
        };
        let crops = [&frame.original, &frame.decoded, &frame.difference].map(|v| crop(v));
        if crops.iter().flatten().any(|v| !v.is_finite()) {
            continue;
        }
        n_frames += 1;
        for (ring, crop) in rings.iter_mut().zip(crops) {
            add_rings(crop, side, ring);
        }
    }
    if n_frames == 0 {
        return None;
    }
    let [original, decoded, difference] = rings.map(|ring| ring.iter().map(|p| p / f64::from(n_frames)).collect());
    let frequency = (0..n_rings).map(|k| (k as f64 + 1.0) / side as f64).collect();
    Some(PowerSpectrum { frequency, original, decoded, difference, side })
}

/// Adds the mean power of each ring `k + 1/2 <= |f| side < k + 3/2`.
fn add_rings(mut values: Vec<f64>, side: usize, rings: &mut [f64]) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let window: Vec<f64> = (0..side).map(|i| 0.5 - 0.5 * (TAU * i as f64 / side as f64).cos()).collect();
    let weight: f64 = window.iter().map(|w| w * w).sum();
    for (i, v) in values.iter_mut().enumerate() {
        *v = (*v - mean) * window[i / side] * window[i % side];
    }
    let mut data: Vec<[f64; 2]> = values.into_iter().map(|v| [v, 0.0]).collect();
    for row in data.chunks_exact_mut(side) {
        transform(row);
    }
    let mut column = vec![[0.0; 2]; side];
    for c in 0..side {
        for r in 0..side {
            column[r] = data[r * side + c];
        }
        transform(&mut column);
        for r in 0..side {
            data[r * side + c] = column[r];
        }
    }
    let mut counts = vec![0u32; rings.len()];
    let mut sums = vec![0.0; rings.len()];
    for (i, [re, im]) in data.iter().enumerate() {
        let signed = |k: usize| if k > side / 2 { k as f64 - side as f64 } else { k as f64 };
        let radius = signed(i / side).hypot(signed(i % side)).round() as usize;
        if (1..=rings.len()).contains(&radius) {
            sums[radius - 1] += re * re + im * im;
            counts[radius - 1] += 1;
        }
    }
    for (ring, (sum, n)) in rings.iter_mut().zip(sums.iter().zip(counts)) {
        *ring += sum / f64::from(n.max(1)) / (weight * weight);
    }
}

/// Discrete Fourier transform in place; the length is a power of two (Cooley and Tukey 1965).
fn transform(data: &mut [[f64; 2]]) {
    let n = data.len();
    let bits = n.trailing_zeros();
    for i in 0..n {
        let j = i.reverse_bits() >> (usize::BITS - bits);
        if i < j {
            data.swap(i, j);
        }
    }
    let mut half = 1;
    while half < n {
        let turns: Vec<[f64; 2]> = (0..half)
            .map(|k| {
                let (sin, cos) = (-TAU * k as f64 / (2 * half) as f64).sin_cos();
                [cos, sin]
            })
            .collect();
        for block in data.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for ((a, b), [cos, sin]) in low.iter_mut().zip(high).zip(&turns) {
                let t = [b[0] * cos - b[1] * sin, b[0] * sin + b[1] * cos];
                *b = [a[0] - t[0], a[1] - t[1]];
                *a = [a[0] + t[0], a[1] + t[1]];
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(original: Vec<f32>) -> Frame {
        let difference = vec![0.0; original.len()];
        let decoded = original.clone();
        Frame { index: 0, reason: "", psnr: None, ssim: None, max_error: 0.0, original, decoded, difference }
    }

    #[test]
    fn the_transform_of_an_impulse_and_of_a_wave() {
        let mut impulse = vec![[0.0; 2]; 8];
        impulse[0] = [1.0, 0.0];
        transform(&mut impulse);
        assert_eq!(impulse, vec![[1.0, 0.0]; 8]);
        let mut wave: Vec<[f64; 2]> = (0..16).map(|i| [(TAU * 3.0 * f64::from(i) / 16.0).cos(), 0.0]).collect();
        transform(&mut wave);
        for (k, [re, im]) in wave.iter().enumerate() {
            let expected = if k == 3 || k == 13 { 8.0 } else { 0.0 };
            assert!((re - expected).abs() < 1e-12 && im.abs() < 1e-12, "{k}: {re} {im}");
        }
    }

    #[test]
    fn a_wave_stands_in_its_ring() {
        let wave = |c: usize| (TAU * (6 * c) as f64 / 64.0).sin() as f32;
        let spectrum = power(&[frame((0..64 * 80).map(|i| wave(i % 80)).collect())], 64, 80).unwrap();
        assert_eq!((spectrum.side, spectrum.frequency.len(), spectrum.frequency[5]), (64, 32, 6.0 / 64.0));
        let peak = (0..32).max_by(|a, b| spectrum.original[*a].total_cmp(&spectrum.original[*b])).unwrap();
        assert_eq!(peak, 5);
        assert_eq!(spectrum.original, spectrum.decoded);
        assert!(spectrum.difference.iter().all(|p| *p == 0.0));
    }

    #[test]
    fn small_frames_and_frames_with_gaps_have_none() {
        assert_eq!(power(&[frame(vec![0.0; 15 * 40])], 15, 40), None);
        assert_eq!(power(&[frame(vec![f32::NAN; 16 * 16])], 16, 16), None);
    }
}
