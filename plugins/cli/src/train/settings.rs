//! Options of training beyond the everyday ones: which networks, which loss, how the weights are stepped, checkpoints.

use clap::Args;
use std::path::PathBuf;

/// As options of `baler train`; `--set` reaches every other one.
#[derive(Args, Debug)]
#[command(next_help_heading = "Training")]
#[cfg_attr(not(feature = "train"), allow(dead_code))]
pub struct Settings {
    /// dense, ae, cfd-dense, ae-dropout-bn, fpga-prototype, conv2d, conv2d-gdn, conv3d or pj-conv
    #[arg(long, value_name = "NAME")]
    architecture: Option<String>,
    /// bits (for a bound), or for --latent: mse, mse-sum, l1, swae or emd
    #[arg(long, value_name = "NAME")]
    loss: Option<String>,
    /// Values for each latent, in place of --latents: 24 columns at 1.7 give 14
    #[arg(long, value_name = "X", conflicts_with = "latents")]
    ratio: Option<f64>,
    /// Train for fixed point: bits of the encoder's weights and, after a comma, of its inputs, activations and latents (8);
    /// `baler fpga compile` then takes those widths
    #[arg(long, value_name = "W[,V]", value_delimiter = ',', num_args = 1)]
    quantise_aware: Vec<u8>,
    /// adam or adamw
    #[arg(long, value_name = "NAME")]
    optimizer: Option<String>,
    /// Part of each weight that adamw takes away in a step, in units of the learning rate
    #[arg(long, value_name = "X")]
    weight_decay: Option<f64>,
    /// Learning rate over time: constant, cosine or plateau
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,
    /// Epochs without a better loss before --schedule plateau lowers the rate
    #[arg(long, value_name = "N")]
    patience: Option<usize>,
    /// End after this many epochs without a better loss, with the weights of the best
    #[arg(long, value_name = "N")]
    early_stop: Option<usize>,
    /// What counts as better: a loss lower by this much
    #[arg(long, value_name = "X")]
    min_delta: Option<f64>,
    /// Four dropout rates of ae-dropout-bn
    #[arg(long, value_name = "X,X", value_delimiter = ',')]
    dropout: Vec<f64>,
    /// Write the state of training here, to go on from with --resume
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Epochs between two checkpoints
    #[arg(long, value_name = "N", requires = "checkpoint")]
    checkpoint_epochs: Option<usize>,
    /// Go on from the checkpoint if it is there; the bundle will be the one of a training without a break
    #[arg(long, requires = "checkpoint")]
    resume: bool,
    /// Train on the graphics processor (needs a build with the feature train-gpu)
    #[arg(long)]
    gpu: bool,
    /// Any option of training by its name in docs/training.md: swae's projections=100
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[cfg(feature = "train")]
mod applied {
    use super::*;
    use crate::failure::{Failure, Result};
    use baler_models::train::{Device, Options};

    impl Settings {
        /// Whether they only make sense for networks.
        pub fn names_networks(&self) -> bool {
            self.architecture.is_some()
                || self.loss.is_some()
                || self.ratio.is_some()
                || !self.quantise_aware.is_empty()
        }

        /// What suits the architecture and the loss, where they are named.
        pub fn suit(&self, options: &mut Options, shape: &[usize], tile: &[usize]) {
            if self.architecture.is_some() || self.loss.is_some() {
                let (architecture, loss) = (options.architecture.clone(), options.loss.clone());
                let architecture = self.architecture.as_ref().unwrap_or(&architecture);
                options.suit(architecture, self.loss.as_ref().unwrap_or(&loss), shape, tile);
            }
        }

        /// Everything else.
        pub fn apply(&self, options: &mut Options) -> Result<()> {
            let mut set = |key: &str, value: &Option<String>| match value {
                Some(value) => options.set(key, value),
                None => Ok(()),
            };
            set("architecture", &self.architecture)?;
            set("loss", &self.loss)?;
            set("optimizer", &self.optimizer)?;
            set("schedule", &self.schedule)?;
            if let Some(ratio) = self.ratio {
                if !(ratio >= 1.0 && ratio.is_finite()) {
                    return Err(Failure::usage(format!("--ratio {ratio}: expected 1 or more")));
                }
                let values: usize = options.tile.iter().product();
                options.latents = ((values as f64 / ratio) as usize).max(1);
            }
            options.quantise_aware = match self.quantise_aware[..] {
                [] => options.quantise_aware,
                [weights] => Some([weights, 8]),
                [weights, values] => Some([weights, values]),
                _ => return Err(Failure::usage("--quantise-aware: expected W or W,V, such as 6 or 6,8")),
            };
            options.weight_decay = self.weight_decay.unwrap_or(options.weight_decay);
            options.plateau_patience = self.patience.unwrap_or(options.plateau_patience);
            options.early_stop = self.early_stop.or(options.early_stop);
            options.min_delta = self.min_delta.unwrap_or(options.min_delta);
            if !self.dropout.is_empty() {
                options.dropout.clone_from(&self.dropout);
            }
            options.checkpoint = self.checkpoint.clone().or(options.checkpoint.take());
            options.checkpoint_epochs = self.checkpoint_epochs.unwrap_or(options.checkpoint_epochs);
            options.resume |= self.resume;
            if self.gpu {
                options.device = Device::Gpu;
            }
            for setting in &self.set {
                let (key, value) = setting
                    .split_once('=')
                    .ok_or_else(|| Failure::usage(format!("--set {setting}: expected KEY=VALUE")))?;
                options.set(key.trim(), value.trim())?;
            }
            Ok(())
        }
    }
}
