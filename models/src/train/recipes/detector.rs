//! For frames of X-ray detectors, counting and integrating: smooth backgrounds with rings under noise.

use super::{Array, Data, Recipe};
use crate::simulate::Random;
use crate::train::Options;
use baler_codec::Result;
use baler_codec::bundle::Normalisation;

pub(super) fn recipe() -> Recipe {
    let mut options = Options::new("autoencoder-detector");
    options.description =
        "Frames of X-ray detectors in tiles of 16 x 16, values in counts. Trained on simulated frames of \
                           counting and integrating detectors."
            .into();
    options.license = "Apache-2.0".into();
    options.tile = vec![16, 16];
    // Counts as they are: the range of a frame is that of its hot pixels.
    options.normalisation = Some(Normalisation::Fixed { offset: 0.0, scale: 1.0 });
    options.latents = 10;
    // Counts of a thousand with an error far below one.
    options.weight_bits = 16;
    options.rel_bound = BOUND / f64::from(BRIGHTEST);
    options.epochs = 20;
    options.batch = 256;
    options.learning_rate = 3e-4;
    options.validation = 0.05;
    options.test = 0.05;
    Recipe { data: Data::Simulated(data), part: 1.0, options }
}

/// Counts: about the noise of these frames, where a background is worth knowing.
const BOUND: f64 = 5.0;
/// Counts of the brightest pixel that is kept.
const BRIGHTEST: f32 = 4000.0;

/// Frames of 128 x 128, each a part of a detector with its own beam, strength and kind.
fn data() -> Result<Array> {
    const N: usize = 128;
    let mut random = Random::new(2027);
    let mut data = Vec::new();
    let n = 160;
    for i in 0..n {
        let level = (0.3f32.ln() + random.uniform() * (200f32 / 0.3).ln()).exp();
        let beam = [0, 1].map(|_| (random.uniform() * 6.0 - 2.5) * N as f32);
        let fall = (0.5 + 3.0 * random.uniform()) * N as f32;
        let rings: Vec<[f32; 3]> = (0..random.below(5))
            .map(|_| [random.uniform() * 3.0 * N as f32, 2.0 + 6.0 * random.uniform(), random.uniform()])
            .collect();
        let (offset, read_noise) = match i % 2 {
            0 => (0.0, 0.0),
            _ => (1000.0 * random.uniform(), 1.0 + 6.0 * random.uniform()),
        };
        for place in 0..N * N {
            let (dy, dx) = ((place / N) as f32 - beam[0], (place % N) as f32 - beam[1]);
            let distance = (dy * dy + dx * dx).sqrt();
            let mut light = level * (-distance / fall).exp();
            for [radius, width, strength] in &rings {
                light += 0.7 * level * strength * (-((distance - radius) / width).powi(2)).exp();
            }
            // A Bragg spot or a hot pixel now and then.
            if random.below(2000) == 0 {
                light *= 30.0;
            }
            let counts = random.poisson(light) as f32 + read_noise * random.normal();
            data.push((offset + counts).round().clamp(0.0, BRIGHTEST));
        }
    }
    // The range of the data, of which the bound is a part.
    data[0] = 0.0;
    data[1] = BRIGHTEST;
    Ok((data, vec![n, N, N]))
}
