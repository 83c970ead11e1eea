//! For the simulated Moessbauer camera: spots on a noisy background.

use super::{Array, Data, Recipe};
use crate::simulate::{Camera, moessbauer};
use crate::train::Options;
use baler_codec::Result;
use baler_codec::bundle::Normalisation;

pub(super) fn recipe() -> Recipe {
    let mut options = Options::new("autoencoder-moessbauer");
    options.description = "Frames of a simulated Moessbauer camera (baler simulate moessbauer) in tiles of 8 x 8: its \
                           latents keep spots and lose background noise."
        .into();
    options.license = "Apache-2.0".into();
    options.tile = vec![8, 8];
    options.normalisation = Some(Normalisation::Fixed { offset: f64::from(Camera::default().offset), scale: 1.0 });
    options.latents = 28;
    options.weight_bits = 16;
    options.rel_bound = BOUND / f64::from(BRIGHTEST);
    options.epochs = 12;
    options.batch = 256;
    options.learning_rate = 3e-4;
    options.validation = 0.05;
    options.test = 0.05;
    Recipe { data: Data::Simulated(data), part: 1.0, options }
}

/// Twice the noise of the background: latents that keep less of it are mostly 0.
const BOUND: f64 = 18.0;
/// The brightest pixel that is kept; the strongest spots of the camera are rare and would be all that counts.
const BRIGHTEST: u16 = 4000;

/// Frames with many more spots than the camera's own, so that there is something to learn.
fn data() -> Result<Array> {
    let camera = Camera { frames: 12, ny: 256, nx: 256, spots: 80.0, seed: 2028, ..Camera::default() };
    let mut values: Vec<f32> = moessbauer(&camera)?.values.iter().map(|&v| f32::from(v.min(BRIGHTEST))).collect();
    // The range of the data, of which the bound is a part.
    values[0] = 0.0;
    Ok((values, vec![camera.frames, camera.ny, camera.nx]))
}
