//! Training: arrays in, bundles out. Cargo feature `train`.
//!
//! ```text
//! array -> tiles -> (x - offset) / scale -> split -> family -> bundle + report
//! ```
//!
//! The loss counts bits, not squares: those of the residual at the bound that the bundle is meant for, and those of the
//! quantised latents (`families::autoencoder`). What a trained bundle is worth is then measured with the decoder as it
//! was written, by the codec's own engine ([`Report`]).
//!
//! A seed fixes everything: two runs on one machine give the same bundle, byte for byte.

mod families;
mod measure;
pub mod normalise;
mod outliers;
mod principal;
pub mod recipes;
mod tiles;

use baler_codec::bundle::{Bundle, Normalisation};
use baler_codec::{Error, Result};
use std::ops::ControlFlow;
use std::time::Duration;

pub use crate::onnx::Activation;

/// How a model is built and trained. Every default suits a smooth field at a relative bound of 1e-2.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Name of the bundle: ASCII letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// One or two sentences for the manifest.
    pub description: String,
    /// SPDX licence expression of the weights.
    pub license: String,
    /// The model card, Markdown.
    pub card: Option<String>,
    /// Extents of the block of values that one latent vector stands for: trailing axes of the data. Empty: the last two
    /// axes whole if they hold at most 4096 values, else 16 x 16; for tables the last axis.
    pub tile: Vec<usize>,
    /// How values become network inputs. `None`: `fixed`, from the range of the data, where the tile is all of the
    /// trailing axes, else `range`; for tables `columns`, chosen from the training data.
    pub normalisation: Option<Normalisation>,
    /// For tables: `column=kind`, where the choice is to be another ([`normalise::requests`]).
    pub normalise: Vec<String>,
    /// Put a density over latents and errors into the manifest, which tells outliers.
    pub density: bool,
    /// Rounds of training briefly and leaving out what is an outlier then; 0 for none. With any, the bundle has a density.
    pub remove_outliers: usize,
    /// The quantile of the training tiles' scores above which tiles are outliers; never less than twice the median score.
    pub outlier_quantile: f64,
    /// Length of the latent vector.
    pub latents: usize,
    /// Widths of the encoder's hidden layers.
    pub encoder_hidden: Vec<usize>,
    /// Widths of the decoder's hidden layers.
    pub decoder_hidden: Vec<usize>,
    /// Function after each hidden layer.
    pub activation: Activation,
    /// For tiles with two axes: the decoder's last layer gives `[rows, columns]` coefficients, and two small matrices
    /// turn them into the tile (a Tucker decomposition). Far fewer weights for whole frames.
    pub separable: Option<[usize; 2]>,
    /// The bound to train for, relative to the data's range.
    pub rel_bound: f64,
    /// How often the training data's share of the decoder's own bits counts in the loss: 0 for a model that will see
    /// much other data, 1 for one that serves its training data only.
    pub model_cost: f64,
    /// Bits of the decoder's stored weights: 8, 16 or 32.
    pub weight_bits: u8,
    /// With 8 or 16 bits: no weight is kept finer than moves a value by this part of the bound. Larger is smaller and
    /// coarser; 0 uses all bits.
    pub weight_coarseness: f64,
    /// Passes over the training data.
    pub epochs: usize,
    /// Tiles of one step of the optimiser.
    pub batch: usize,
    /// Learning rate at the start; it falls to zero along a cosine. Weights are scaled to about 1 beforehand.
    pub learning_rate: f64,
    /// Part of the tiles kept aside to watch training.
    pub validation: f64,
    /// Part of the tiles kept aside to measure the result.
    pub test: f64,
    /// Seed of everything random.
    pub seed: u64,
}

impl Options {
    /// The defaults, for a bundle of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: "Autoencoder.".into(),
            license: "LicenseRef-unknown".into(),
            card: None,
            tile: Vec::new(),
            normalisation: None,
            normalise: Vec::new(),
            density: false,
            remove_outliers: 0,
            outlier_quantile: 0.999,
            latents: 16,
            encoder_hidden: Vec::new(),
            decoder_hidden: Vec::new(),
            activation: Activation::LeakyRelu(0.01),
            separable: None,
            rel_bound: 1e-2,
            model_cost: 0.0,
            weight_bits: 8,
            weight_coarseness: 0.0,
            epochs: 200,
            batch: 256,
            learning_rate: 2e-3,
            validation: 0.1,
            test: 0.1,
            seed: 1,
        }
    }

    /// Settings for data of this shape, the tile chosen too where `tile` is empty; trained in about a minute.
    ///
    /// Whole frames of 256 to 4096 values, at least 8 of them: as the recipe of `autoencoder-cfd-animation`, a model that
    /// serves the very data it is trained on, so all are trained on and the decoder's bits count. Everything else: small
    /// tiles as in the recipe of `autoencoder-field2d`, a tenth kept aside for the test and as much for validation.
    pub fn suited_to(name: impl Into<String>, shape: &[usize], tile: &[usize]) -> Self {
        let mut options = Self::new(name);
        let whole_frames = match (shape, tile) {
            ([lead @ .., a, b], []) => lead.iter().product::<usize>() >= 8 && (256..=4096).contains(&(a * b)),
            ([.., a, b], [_, _]) => tile == [*a, *b] && a * b >= 256,
            _ => false,
        };
        options.tile = match (shape, tile) {
            ([.., a, b], []) if whole_frames => vec![*a, *b],
            ([_, columns], []) if *columns < 8 => vec![*columns],
            ([.., a, b], []) => vec![(*a).min(8), (*b).min(8)],
            ([n], []) => vec![(*n).min(64)],
            _ => tile.to_vec(),
        };
        let d = options.tile.iter().product::<usize>().max(1);
        let n_values: usize = shape.iter().product();
        let tiles = n_values / d;
        // The recipes' own training, in values seen: 30 seconds and 4 seconds on two cores.
        let epochs = |values_seen: usize, least, most| (values_seen / n_values.max(1)).clamp(least, most);
        if whole_frames {
            let part = |extent: usize| (extent * 11).div_ceil(25);
            options.separable = Some([part(options.tile[0]), part(options.tile[1])]);
            options.latents = (tiles * 7 / 12).clamp(2, 64);
            options.epochs = epochs(450_000_000, 100, 3000);
            options.batch = tiles.clamp(1, 64);
            options.model_cost = 1.0;
            options.weight_coarseness = 0.6;
            options.learning_rate = 1e-5;
            (options.validation, options.test) = (0.0, 0.0);
        } else {
            options.latents = (d / 4).clamp(1, 64);
            options.epochs = epochs(200_000_000, 3, 300);
            options.batch = (tiles / 8).clamp(1, 256);
            options.learning_rate = 3e-4;
        }
        options
    }

    /// Checks everything that can be checked without the data.
    pub fn validate(&self) -> Result<()> {
        let part = |name: &str, value: f64, below: f64| {
            if value >= 0.0 && value < below {
                return Ok(());
            }
            Err(Error::invalid(format!("{name} = {value}: expected 0 or more, and below {below}")))
        };
        part("validation", self.validation, 1.0)?;
        part("test", self.test, 1.0)?;
        part("validation + test", self.validation + self.test, 1.0)?;
        part("model_cost", self.model_cost, 1e3)?;
        part("weight_coarseness", self.weight_coarseness, 1e3)?;
        let above = |name: &str, value: f64, most: f64| {
            if value > 0.0 && value <= most {
                return Ok(());
            }
            Err(Error::invalid(format!("{name} = {value}: expected above 0, at most {most}")))
        };
        above("outlier_quantile", self.outlier_quantile, 1.0)?;
        part("remove_outliers", self.remove_outliers as f64, 100.0)?;
        above("rel_bound", self.rel_bound, 0.5)?;
        above("learning_rate", self.learning_rate, 1.0)?;
        above("latents", self.latents as f64, 4096.0)?;
        above("epochs", self.epochs as f64, 1e7)?;
        above("batch", self.batch as f64, 1e6)?;
        for width in self.encoder_hidden.iter().chain(&self.decoder_hidden).chain(self.separable.iter().flatten()) {
            above("a layer's width", *width as f64, 65536.0)?;
        }
        if !matches!(self.weight_bits, 8 | 16 | 32) {
            return Err(Error::invalid(format!("weight_bits = {}: expected 8, 16 or 32", self.weight_bits)));
        }
        Ok(())
    }
}

/// Where training stands after an epoch. Losses are estimates of bits per value.
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
    /// Sizes at a few bounds: entropies, which a coder may miss or beat by a few per cent.
    pub at_bounds: Vec<AtBound>,
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
/// `data` in C order has the given `shape`, whose trailing axes the tile cuts. Tiles with values that are not finite are
/// left out. `progress` is called after each epoch; `ControlFlow::Break` ends training there, and the bundle is made of
/// what was reached.
pub fn run(
    data: &[f32],
    shape: &[usize],
    options: &Options,
    progress: &mut dyn FnMut(&Epoch) -> ControlFlow<()>,
) -> Result<Trained> {
    options.validate()?;
    let all = |left_out: &_| tiles::Tiles::new(data, shape, options, left_out);
    let tiles = outliers::remove(all, options, &|tiles, brief| {
        families::autoencoder::train(tiles, brief, &mut |_| ControlFlow::Continue(()))
    })?;
    families::autoencoder::train(&tiles, options, progress)
}
