//! How the built-in bundles are made: options and data of each, so that anybody can make them again.

use super::Options;
use crate::simulate::{self, Cylinder, Quantity, Random};
use baler_codec::Result;
use baler_codec::bundle::Normalisation;

/// An array of 32-bit floats in C order, and its shape.
pub type Array = (Vec<f32>, Vec<usize>);

/// Where a recipe's data come from.
#[derive(Clone, Copy, Debug)]
pub enum Data {
    /// A file that the caller has to supply: its usual name.
    File(&'static str),
    /// Made on the spot.
    Simulated(fn() -> Result<Array>),
}

/// How one built-in bundle is made.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// What it is trained on.
    pub data: Data,
    /// How; [`Options::name`] is the bundle's name.
    pub options: Options,
}

/// All recipes.
pub fn recipes() -> Vec<Recipe> {
    vec![cfd_animation(), field2d()]
}

/// The recipe of this bundle.
pub fn recipe(name: &str) -> Option<Recipe> {
    recipes().into_iter().find(|recipe| recipe.options.name == name)
}

/// Serves the very data it is trained on, so everything is trained on, and the decoder's bits count in full.
fn cfd_animation() -> Recipe {
    let mut options = Options::new("autoencoder-cfd-animation");
    options.description = "Flow past an obstacle, whole frames of 50 x 50: the CFD animation of Baler's examples. \
                           Trained on the very data it serves."
        .into();
    options.license = "Apache-2.0".into();
    options.tile = vec![50, 50];
    options.latents = 35;
    options.separable = Some([22, 22]);
    options.model_cost = 1.0;
    options.weight_coarseness = 0.6;
    options.epochs = 3000;
    options.batch = 60;
    options.learning_rate = 1e-5;
    options.validation = 0.0;
    options.test = 0.0;
    Recipe { data: Data::File("CFD_animation.npz"), options }
}

/// For any smooth field with two fast axes.
fn field2d() -> Recipe {
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
    Recipe { data: Data::Simulated(field2d_data), options }
}

/// Fields of 128 x 128, each scaled to the range 0 to 1 as a chunk of its own would be.
fn field2d_data() -> Result<Array> {
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
    let mut data = Vec::with_capacity(n * N * N);
    for field in fields {
        let (min, max) = field.iter().fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        data.extend(field.iter().map(|v| (v - min) / (max - min)));
    }
    Ok((data, vec![n, N, N]))
}
