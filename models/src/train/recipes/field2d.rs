//! For any smooth field with two fast axes.

use super::{Array, Data, Recipe, scaled_to_one};
use crate::simulate::{self, Cylinder, Quantity, Random};
use crate::train::Options;
use baler_codec::Result;
use baler_codec::bundle::Normalisation;

pub(super) fn recipe() -> Recipe {
    let mut options = Options::new("autoencoder-field2d");
    options.description = "Smooth two-dimensional fields in tiles of 8 x 8. Trained on random fields with power-law \
                           spectra and on simulated flows."
        .into();
    options.license = "Apache-2.0".into();
    options.tile = vec![8, 8];
    options.normalisation = Some(Normalisation::Range);
    options.latents = 16;
    options.epochs = 15;
    options.batch = 256;
    options.learning_rate = 3e-4;
    options.validation = 0.05;
    options.test = 0.05;
    Recipe { data: Data::Simulated(data), part: 1.0, options }
}

/// Fields of 128 x 128, each scaled to the range 0 to 1 as a chunk of its own would be.
fn data() -> Result<Array> {
    const N: usize = 128;
    let mut random = Random::new(2026);
    let mut fields: Vec<Vec<f32>> = Vec::new();
    for i in 0..240 {
        let slope = 1.5 + 3.0 * (i as f32 / 240.0);
        let stretch = 1.0 + 2.0 * random.uniform();
        let mut field = simulate::power_law(N, N, slope, stretch, 1.0, &mut random);
        // Fronts: part of the fields pass through a function that steepens some of their contours.
        if i % 4 == 0 {
            let (at, width) = (random.normal() * 0.5, 0.1 + 0.4 * random.uniform());
            field.iter_mut().for_each(|v| *v = ((*v - at) / width).tanh() + 0.3 * *v);
        }
        fields.push(field);
    }
    let quantities = [Quantity::Speed, Quantity::Vorticity, Quantity::VelocityX, Quantity::VelocityY];
    for (seed, quantity) in quantities.into_iter().enumerate() {
        let setup = Cylinder {
            nx: 2 * N,
            ny: N,
            frames: 8,
            steps_between: 150,
            reynolds: 120.0 + 40.0 * seed as f64,
            seed: seed as u64,
            quantity,
            ..Cylinder::default()
        };
        let frames = simulate::cylinder(&setup)?;
        for frame in frames.chunks_exact(2 * N * N) {
            for side in [0, N] {
                fields.push(frame.chunks_exact(2 * N).flat_map(|row| &row[side..side + N]).copied().collect());
            }
        }
    }
    let n = fields.len();
    Ok((scaled_to_one(fields), vec![n, N, N]))
}
