//! Training: arrays in, bundles out. Cargo feature `train`.
//!
//! ```text
//! array -> tiles -> (x - offset) / scale -> split -> family -> bundle + report
//! ```
//!
//! | module | what |
//! |---|---|
//! | `options`, `suited` | how, and settings by the shape of the data |
//! | `dataset`, `tiles`, [`normalise`] | what on |
//! | `architectures` | networks by name: one file each, one line in [`ARCHITECTURES`] |
//! | `losses` | what is made small: one file each, one line in [`LOSSES`] |
//! | `families` | the loop, one file for each model family |
//! | `quantise_aware` | the encoder as its fixed-point program will compute it |
//! | `optimiser`, `schedule`, `checkpoint` | its parts |
//! | `finish`, `measure`, `activations` | from the trained model to the bundle, and what it is worth |
//!
//! What a trained bundle is worth is measured with the decoder as it was written, by the codec's own engine ([`Report`]).
//!
//! A seed fixes everything: two runs on one machine give the same bundle, byte for byte, whether or not one of them was
//! broken off and resumed.

mod activations;
mod architectures;
mod checkpoint;
mod dataset;
mod device;
mod families;
mod finish;
mod losses;
mod measure;
pub mod normalise;
mod optimiser;
mod options;
mod outliers;
mod parameters;
mod principal;
mod quantise_aware;
pub mod recipes;
mod rounding;
mod schedule;
mod suited;
mod tiles;

use baler_codec::Result;
use baler_codec::bundle::Bundle;
use std::ops::ControlFlow;
use std::time::Duration;

pub use crate::onnx::Activation;
pub use activations::{LatentUse, LayerActivity};
pub use architectures::{ARCHITECTURES, Architecture};
pub use dataset::Dataset;
pub use families::autoregressive::Autoregressive;
pub use losses::{LOSSES, Loss};
pub use options::{Device, Optimizer, Options, Schedule};

/// Where training stands after an epoch. Losses are in [`Report::loss_unit`].
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Of how many.
    pub epochs: usize,
    /// Mean loss of the epoch's steps.
    pub training_loss: f64,
    /// Loss of the validation tiles, if there are any.
    pub validation_loss: Option<f64>,
    /// The optimiser's learning rate in the last step.
    pub learning_rate: f64,
    /// Time since training began.
    pub elapsed: Duration,
    /// Estimate of the time to the end.
    pub remaining: Duration,
}

/// What a bundle does at one bound, measured on one set of tiles.
#[derive(Clone, Debug, PartialEq)]
pub struct AtBound {
    /// The bound, relative to the data's range.
    pub rel_bound: f64,
    /// Factor on the manifest's latent steps that was best at this bound.
    pub step_factor: f64,
    /// Entropy of the quantised latents, each latent apart, in bytes.
    pub latent_bytes: f64,
    /// Entropy of the residual integers, in bytes.
    pub residual_bytes: f64,
    /// (latents + residual) in bits per value.
    pub bits_per_value: f64,
}

/// What came of a training run.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// One entry for each epoch.
    pub epochs: Vec<Epoch>,
    /// Unit of their losses.
    pub loss_unit: &'static str,
    /// Number of tiles trained on, kept for validation, kept for the test.
    pub tiles: [usize; 3],
    /// Which tiles the figures below are of: `test`, or `training` when none were kept for the test.
    pub measured_on: &'static str,
    /// Number of values they hold.
    pub n_values: usize,
    /// Peak signal-to-noise ratio of the decoded latents without residual, dB of the data's range, at
    /// [`Options::rel_bound`].
    pub psnr: f64,
    /// Largest error of the same, as part of the range.
    pub max_error: f64,
    /// Entropy of the latents quantised by the manifest's steps, in bits for each value of a tile: what the bundle takes
    /// without a bound.
    pub latent_bits_per_value: f64,
    /// Sizes at a few bounds: entropies, which a coder may miss or beat by a few per cent.
    pub at_bounds: Vec<AtBound>,
    /// What the nodes of each layer give, on training tiles.
    pub activations: Vec<LayerActivity>,
    /// How each latent is used.
    pub latents: Vec<LatentUse>,
    /// Bytes of the packed decoder, what a reader needs.
    pub decoder_bytes: usize,
    /// Bytes of the packed bundle.
    pub bundle_bytes: usize,
    /// Number of the decoder's weights.
    pub decoder_weights: usize,
    /// Wall time.
    pub elapsed: Duration,
}

/// A trained bundle and how it went.
#[derive(Debug)]
pub struct Trained {
    /// The bundle, ready for use.
    pub bundle: Bundle,
    /// The figures.
    pub report: Report,
}

/// Trains on an array.
///
/// The tile cuts the trailing axes of `data`. Tiles with values that are not finite are left out. `progress` is called
/// after each epoch; `ControlFlow::Break` ends training there, and the bundle is made of what was reached.
pub fn run(data: &Dataset, options: &Options, progress: &mut dyn FnMut(&Epoch) -> ControlFlow<()>) -> Result<Trained> {
    options.validate()?;
    data.validate()?;
    let all = |left_out: &_| tiles::Tiles::new(data, options, left_out);
    let tiles = outliers::remove(all, options, &|tiles, brief| {
        families::autoencoder::train(data, tiles, brief, &mut |_| ControlFlow::Continue(()))
    })?;
    families::autoencoder::train(data, &tiles, options, progress)
}

/// Trains an autoregressive model on an array ([`Options::autoregressive`] suits it). `progress` as for [`run`].
pub fn run_autoregressive(
    data: &Dataset,
    options: &Options,
    progress: &mut dyn FnMut(&Epoch) -> ControlFlow<()>,
) -> Result<Autoregressive> {
    options.validate()?;
    families::autoregressive::train(data, options, progress)
}
