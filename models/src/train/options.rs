//! How a model is built and trained, as a struct and as TOML or JSON.

use super::{architectures, losses};
use crate::onnx::Activation;
use baler_codec::bundle::Normalisation;
use baler_codec::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a model is built and trained. Every default suits a smooth field at a relative bound of 1e-2.
///
/// The keys of the TOML and JSON forms are the names of the fields; those left out keep the default, others are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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
    /// For tables: `column=kind`, where the choice is to be another ([`normalise::requests`](super::normalise::requests)).
    pub normalise: Vec<String>,
    /// Put a density over latents and errors into the manifest, which tells outliers.
    pub density: bool,
    /// Rounds of training briefly and leaving out what is an outlier then; 0 for none. With any, the bundle has a density.
    pub remove_outliers: usize,
    /// The quantile of the training tiles' scores above which tiles are outliers; never less than twice the median score.
    pub outlier_quantile: f64,
    /// Part of the tiles kept aside to watch training.
    pub validation: f64,
    /// Part of the tiles kept aside to measure the result.
    pub test: f64,

    /// Which networks: a name of [`ARCHITECTURES`](super::ARCHITECTURES).
    pub architecture: String,
    /// Length of the latent vector.
    pub latents: usize,
    /// `dense` only: widths of the encoder's hidden layers.
    pub encoder_hidden: Vec<usize>,
    /// `dense` only: widths of the decoder's hidden layers.
    pub decoder_hidden: Vec<usize>,
    /// `dense` only: function after each hidden layer: `relu`, `leaky-relu`, `tanh`, `sigmoid`.
    #[serde(with = "activation")]
    pub activation: Activation,
    /// `dense` only, for tiles with two axes: the decoder's last layer gives `[rows, columns]` coefficients, and two
    /// small matrices turn them into the tile (a Tucker decomposition). Far fewer weights for whole frames.
    pub separable: Option<[usize; 2]>,
    /// `ae-dropout-bn` only: part of the nodes left out after each of the encoder's four layers; empty for its own.
    pub dropout: Vec<f64>,

    /// What is made small: a name of [`LOSSES`](super::LOSSES).
    pub loss: String,
    /// The bound to train for, relative to the data's range. With losses other than `bits` the model does not depend on
    /// it; the report's figures do.
    pub rel_bound: f64,
    /// `bits` only: how often the training data's share of the decoder's own bits counts in the loss: 0 for a model that
    /// will see much other data, 1 for one that serves its training data only.
    pub model_cost: f64,
    /// Bits of the decoder's stored weights: 8, 16 or 32.
    pub weight_bits: u8,
    /// `dense` with 8 or 16 bits: no weight is kept finer than moves a value by this part of the bound. Larger is smaller
    /// and coarser; 0 uses all bits.
    pub weight_coarseness: f64,
    /// Train for fixed point: bits of the encoder's weights, and of its inputs, of what its layers give and of latents, in
    /// the second half of training. The weights are written on the grid they have in a program of that width.
    pub quantise_aware: Option<[u8; 2]>,
    /// `swae` only: directions that the latents of a batch are projected on.
    pub projections: usize,
    /// `swae` and `emd`: weight of the distance between distributions.
    pub distance_weight: f64,
    /// Weight of the mean absolute value of all weights, added to any loss; 0 for none.
    pub weight_l1: f64,
    /// Weight of the latents' sparsity, added to any loss; 0 for none.
    pub sparsity_weight: f64,
    /// The mean activity that sparsity asks of each latent (Kullback-Leibler distance of its mean sigmoid from this).
    pub sparsity_rho: f64,

    /// What steps the weights.
    pub optimizer: Optimizer,
    /// Part of each weight taken away in a step, in units of the learning rate (`adamw` only).
    pub weight_decay: f64,
    /// Largest norm of a step's gradient, all weights together; longer ones are shortened to it. `None`: no limit.
    pub clip_norm: Option<f64>,
    /// Passes over the training data.
    pub epochs: usize,
    /// Tiles of one step of the optimiser.
    pub batch: usize,
    /// Learning rate at the start.
    pub learning_rate: f64,
    /// What becomes of it.
    pub schedule: Schedule,
    /// `plateau` only: factor on the learning rate when the loss stalls.
    pub plateau_factor: f64,
    /// `plateau` only: epochs without a better loss before that.
    pub plateau_patience: usize,
    /// `plateau` only: the learning rate never falls below this.
    pub plateau_minimum: f64,
    /// Epochs without a better loss after which training ends and the best weights are taken. `None`: never.
    pub early_stop: Option<usize>,
    /// What counts as better: a loss lower by this much than the best one.
    pub min_delta: f64,
    /// Seed of everything random.
    pub seed: u64,

    /// Where checkpoints are written, if anywhere.
    pub checkpoint: Option<PathBuf>,
    /// Epochs between two checkpoints.
    pub checkpoint_epochs: usize,
    /// Go on from the checkpoint if it is there.
    pub resume: bool,
    /// What computes: `cpu`, or `gpu` in a build with the feature `train-gpu`.
    pub device: Device,
}

/// What steps the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Kingma and Ba, "Adam: a method for stochastic optimization" (2015).
    Adam,
    /// With decoupled weight decay: Loshchilov and Hutter (2019).
    Adamw,
}

/// What becomes of the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Nothing.
    Constant,
    /// It rises over the first fiftieth of all steps, then falls to zero along a cosine.
    Cosine,
    /// It is multiplied by a factor when the loss stalls: that of the validation tiles if there are any.
    Plateau,
}

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The processor. The same seed gives the same bundle.
    Cpu,
    /// A graphics processor. Sums may come out differently each time.
    Gpu,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "model".into(),
            description: "Autoencoder.".into(),
            license: "LicenseRef-unknown".into(),
            card: None,
            tile: Vec::new(),
            normalisation: None,
            normalise: Vec::new(),
            density: false,
            remove_outliers: 0,
            outlier_quantile: 0.999,
            validation: 0.1,
            test: 0.1,
            architecture: "dense".into(),
            latents: 16,
            encoder_hidden: Vec::new(),
            decoder_hidden: Vec::new(),
            activation: Activation::LeakyRelu(0.01),
            separable: None,
            dropout: Vec::new(),
            loss: "bits".into(),
            rel_bound: 1e-2,
            model_cost: 0.0,
            weight_bits: 8,
            weight_coarseness: 0.0,
            quantise_aware: None,
            projections: 50,
            distance_weight: 0.1,
            weight_l1: 0.0,
            sparsity_weight: 0.0,
            sparsity_rho: 0.05,
            optimizer: Optimizer::Adam,
            weight_decay: 0.01,
            clip_norm: None,
            epochs: 200,
            batch: 256,
            learning_rate: 2e-3,
            schedule: Schedule::Cosine,
            plateau_factor: 0.5,
            plateau_patience: 10,
            plateau_minimum: 1e-6,
            early_stop: None,
            min_delta: 0.0,
            seed: 1,
            checkpoint: None,
            checkpoint_epochs: 10,
            resume: false,
            device: Device::Cpu,
        }
    }
}

impl Options {
    /// The defaults, for a bundle of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Those that suit an autoregressive model.
    pub fn autoregressive(name: impl Into<String>) -> Self {
        Self {
            description: "Predicts the values of a field from those around them.".into(),
            encoder_hidden: vec![32, 32],
            epochs: 60,
            batch: 2048,
            learning_rate: 4e-3,
            ..Self::new(name)
        }
    }

    /// Sets one option by its key, the value written as in TOML (quotes may be left out): `epochs`, `50`.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let mut table = toml::Table::try_from(&*self).map_err(|e| Error::invalid(e.to_string()))?;
        let parsed =
            toml::from_str::<toml::Table>(&format!("value = {value}")).ok().and_then(|mut t| t.remove("value"));
        // A number without a point is also a float to TOML's writers of settings.
        let parsed = match (parsed, table.get(key)) {
            (Some(toml::Value::Integer(i)), Some(toml::Value::Float(_))) => toml::Value::Float(i as f64),
            (Some(value), _) => value,
            (None, _) => toml::Value::String(value.into()),
        };
        table.insert(key.into(), parsed);
        let changed: Self = table.try_into().map_err(|e: toml::de::Error| {
            Error::invalid(format!("option {key} = {value}: {}", e.message().trim_end()))
        })?;
        *self = changed;
        Ok(())
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
        part("distance_weight", self.distance_weight, 1e6)?;
        part("weight_l1", self.weight_l1, 1e6)?;
        part("sparsity_weight", self.sparsity_weight, 1e6)?;
        part("weight_decay", self.weight_decay, 1e3)?;
        part("min_delta", self.min_delta, 1e9)?;
        for &rate in &self.dropout {
            part("dropout", rate, 1.0)?;
        }
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
        above("projections", self.projections as f64, 1e5)?;
        above("sparsity_rho", self.sparsity_rho, 0.999)?;
        above("clip_norm", self.clip_norm.unwrap_or(1.0), 1e9)?;
        above("plateau_factor", self.plateau_factor, 1.0)?;
        above("plateau_minimum", self.plateau_minimum, 1.0)?;
        above("plateau_patience", self.plateau_patience as f64, 1e7)?;
        above("early_stop", self.early_stop.unwrap_or(1) as f64, 1e7)?;
        above("checkpoint_epochs", self.checkpoint_epochs as f64, 1e7)?;
        for width in self.encoder_hidden.iter().chain(&self.decoder_hidden).chain(self.separable.iter().flatten()) {
            above("a layer's width", *width as f64, 65536.0)?;
        }
        if !matches!(self.weight_bits, 8 | 16 | 32) {
            return Err(Error::invalid(format!("weight_bits = {}: expected 8, 16 or 32", self.weight_bits)));
        }
        for bits in self.quantise_aware.into_iter().flatten() {
            if !(2..=16).contains(&bits) {
                return Err(Error::invalid(format!("quantise_aware: {bits} bits: expected 2 to 16")));
            }
        }
        if self.resume && self.checkpoint.is_none() {
            return Err(Error::invalid("resume: name the checkpoint to go on from"));
        }
        let architecture = architectures::named(&self.architecture)?;
        losses::named(&self.loss)?;
        let only = |field: &str, is_set: bool, of: &str| {
            if !is_set || architecture.name == of {
                return Ok(());
            }
            Err(Error::invalid(format!(
                "{field} belongs to the architecture {of:?}, not to {:?}, whose layers are fixed",
                architecture.name
            )))
        };
        only("hidden layers", !(self.encoder_hidden.is_empty() && self.decoder_hidden.is_empty()), "dense")?;
        only("separable", self.separable.is_some(), "dense")?;
        only("dropout", !self.dropout.is_empty(), "ae-dropout-bn")
    }
}

/// Names of activations in TOML and JSON.
mod activation {
    use crate::onnx::Activation;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    const NAMES: [(&str, Activation); 4] = [
        ("relu", Activation::Relu),
        ("leaky-relu", Activation::LeakyRelu(0.01)),
        ("tanh", Activation::Tanh),
        ("sigmoid", Activation::Sigmoid),
    ];

    pub fn serialize<S: Serializer>(activation: &Activation, to: S) -> Result<S::Ok, S::Error> {
        let same = |other: &Activation| std::mem::discriminant(other) == std::mem::discriminant(activation);
        let name = NAMES.iter().find(|(_, other)| same(other)).map_or("leaky-relu", |(name, _)| name);
        to.serialize_str(name)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Activation, D::Error> {
        let text = String::deserialize(from)?;
        NAMES
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, activation)| *activation)
            .ok_or_else(|| D::Error::custom(format!("activation {text:?}: expected relu, leaky-relu, tanh or sigmoid")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_toml_and_json() {
        let mut options = Options::new("trip");
        options.normalisation = Some(Normalisation::Fixed { offset: 1.0, scale: 2.0 });
        options.separable = Some([3, 4]);
        options.early_stop = Some(7);
        options.schedule = Schedule::Plateau;
        options.activation = Activation::Tanh;
        let text = toml::to_string(&options).unwrap();
        assert_eq!(toml::from_str::<Options>(&text).unwrap(), options, "{text}");
        assert_eq!(toml::from_str::<Options>("name = \"model\"").unwrap(), Options::default());
    }

    #[test]
    fn one_option_is_set_by_its_key() {
        let mut options = Options::new("set");
        for (key, value) in [
            ("epochs", "7"),
            ("learning_rate", "1"),
            ("loss", "mse"),
            ("schedule", "plateau"),
            ("tile", "[4, 4]"),
            ("clip_norm", "0.5"),
            ("activation", "\"relu\""),
        ] {
            options.set(key, value).unwrap();
        }
        assert_eq!((options.epochs, options.learning_rate, options.loss.as_str()), (7, 1.0, "mse"));
        assert_eq!((options.schedule, &options.tile[..]), (Schedule::Plateau, &[4, 4][..]));
        assert_eq!((options.clip_norm, options.activation), (Some(0.5), Activation::Relu));
        for (key, value, says) in [
            ("epoch", "7", "epoch"),
            ("epochs", "many", "many"),
            ("schedule", "wild", "cosine"),
            ("activation", "wild", "tanh"),
        ] {
            let error = options.set(key, value).unwrap_err();
            assert!(error.message().contains(says), "{says}: {error}");
        }
    }
}
