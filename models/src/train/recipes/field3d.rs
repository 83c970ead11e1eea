//! For smooth fields with three fast axes, space or time, at loose bounds.

use super::{Array, Data, Recipe, scaled_to_one};
use crate::simulate::{self, Cylinder, Quantity, Random};
use crate::train::Options;
use baler_codec::Result;
use baler_codec::bundle::Normalisation;

pub(super) fn recipe() -> Recipe {
    let mut options = Options::new("autoencoder-field3d");
    options.description =
        "Smooth three-dimensional fields, or flows in time, in tiles of 4 x 8 x 8. Trained on random \
                           fields with power-law spectra and on simulated flows."
            .into();
    options.license = "Apache-2.0".into();
    options.tile = vec![4, 8, 8];
    options.normalisation = Some(Normalisation::Range);
    options.latents = 24;
    options.rel_bound = 5e-2;
    options.epochs = 15;
    options.batch = 256;
    options.learning_rate = 3e-4;
    options.validation = 0.05;
    options.test = 0.05;
    Recipe { data: Data::Simulated(data), part: 1.0, options }
}

/// Volumes of 16 x 64 x 64.
fn data() -> Result<Array> {
    const DEPTH: usize = 16;
    const N: usize = 64;
    let mut random = Random::new(2029);
    let mut volumes: Vec<Vec<f32>> =
        (0..40).map(|i| simulate::power_law_3d([DEPTH, N, N], 1.5 + 0.05 * i as f32, &mut random)).collect();
    let quantities = [Quantity::Speed, Quantity::Vorticity, Quantity::VelocityX, Quantity::VelocityY];
    for (seed, quantity) in quantities.into_iter().enumerate() {
        let setup = Cylinder {
            nx: 2 * N,
            ny: N,
            frames: DEPTH,
            steps_between: 20 + 20 * seed,
            reynolds: 100.0 + 15.0 * seed as f64,
            seed: seed as u64,
            quantity,
            ..Cylinder::default()
        };
        let frames = simulate::cylinder(&setup)?;
        for side in [0, N] {
            volumes.push(frames.chunks_exact(2 * N).flat_map(|row| &row[side..side + N]).copied().collect());
        }
    }
    let n = volumes.len();
    Ok((scaled_to_one(volumes), vec![n, DEPTH, N, N]))
}
