//! `baler train`: a model of one's own. Without the cargo feature `train` the command is there and says how to get it.

use crate::failure::{Failure, Result};
use crate::outcome::Outcome;
use clap::Args;
use std::path::PathBuf;

/// Trains a model on data (needs a build with the feature `train`)
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler train CFD_animation.npz -o flow.bundle\n  \
    baler compress CFD_animation.npz flow.baler --rel 1e-2 --model flow.bundle\n  \
    baler train runs.h5 --array speed -o speed.bundle --tile 16x16 --latents 32 --epochs 50\n  \
    baler models add speed.bundle       # from now on found by its name\n  \
    baler train --recipe autoencoder-field2d -o field2d.bundle    # a built-in model, made again\n\n\
    docs/training.md says what the settings do.")]
pub struct TrainArgs {
    /// .npy, .npz, .h5 or .nc with one array, or one named by --array; a recipe may make its own data
    #[arg(required_unless_present = "recipe")]
    data: Option<PathBuf>,
    /// Where to write the bundle
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Settings (and data, if simulated) of a built-in model; the options below change them
    #[arg(long, value_name = "NAME")]
    recipe: Option<String>,
    /// Which array to train on
    #[arg(long, value_name = "NAME")]
    array: Option<String>,
    /// Name of the model; by default that of the output
    #[arg(long)]
    name: Option<String>,
    /// One or two sentences
    #[arg(long)]
    description: Option<String>,
    /// SPDX licence expression of the weights
    #[arg(long)]
    license: Option<String>,
    /// Model card to pack along: a Markdown file
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// Trailing axes of the array that one latent vector stands for; by default whole frames if small, else 8x8
    #[arg(long, value_name = "NxN")]
    tile: Option<String>,
    /// Length of the latent vector
    #[arg(long, value_name = "N")]
    latents: Option<usize>,
    /// Widths of the hidden layers, of the encoder from left to right and of the decoder from right to left: 256,64
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    hidden: Vec<usize>,
    /// The bound to train for, relative to the range of the data; 1e-2 by default
    #[arg(long, value_name = "X")]
    rel: Option<f64>,
    /// Passes over the data
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Tiles of one step of the optimiser
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Step of the optimiser at the start
    #[arg(long, value_name = "X")]
    learning_rate: Option<f64>,
    /// Seed of everything random
    #[arg(long)]
    seed: Option<u64>,
    /// Replace the output if it is there
    #[arg(long, short)]
    force: bool,
}

#[cfg(not(feature = "train"))]
impl TrainArgs {
    pub fn run(&self, _quiet: bool) -> Result<Outcome> {
        Err(Failure::runtime(
            "this baler was built without training, which needs a machine-learning framework; build it with \
             `cargo build --release -p baler-cli --features train`",
        ))
    }
}

#[cfg(feature = "train")]
mod training {
    use super::*;
    use crate::args::FileArgs;
    use crate::failure::InFile;
    use crate::format::{Array, for_each_block, open};
    use crate::outcome::{bytes, number};
    use crate::output::{Output, refuse_overwrite};
    use crate::progress::Progress;
    use baler_codec::bundle::Contents;
    use baler_codec::{ByteOrder, Dtype};
    use baler_models::train::recipes::{self, Data, Recipe};
    use baler_models::train::{Epoch, Options, run};
    use serde_json::json;
    use std::io::{IsTerminal, Write};
    use std::ops::ControlFlow;
    use std::path::Path;
    use std::time::{Duration, Instant};

    /// Time between two lines of progress where there is no terminal to draw a bar on.
    const BETWEEN_LINES: Duration = Duration::from_secs(10);

    impl TrainArgs {
        pub fn run(&self, quiet: bool) -> Result<Outcome> {
            refuse_overwrite(&self.output, self.force)?;
            let recipe = self.recipe()?;
            let (data, shape) = self.values(recipe.as_ref())?;
            let options = self.options(recipe, &shape)?;
            let mut progress = Progress::of_steps("training", options.epochs as u64, quiet);
            let lines = !quiet && !std::io::stderr().is_terminal();
            let mut last_line = Instant::now();
            let trained = run(&data, &shape, &options, &mut |epoch| {
                progress.add(1);
                if lines && (last_line.elapsed() >= BETWEEN_LINES || epoch.epoch == epoch.epochs) {
                    last_line = Instant::now();
                    eprintln!("{}", line(epoch));
                }
                ControlFlow::Continue(())
            })?;
            drop(progress);
            let (output, mut file) = Output::create(&self.output, self.force)?;
            file.write_all(&trained.bundle.to_bytes(Contents::Full))?;
            output.commit()?;
            let report = trained.report;
            let mut text = format!(
                "{}: model {} ({}), decoder {} ({} weights), trained on {} tiles in {:.0?}\n  \
                 decoded latents alone: PSNR {:.1} dB, largest error {:.3} of the range",
                self.output.display(),
                options.name,
                trained.bundle.id(),
                bytes(report.decoder_bytes as u64),
                report.decoder_weights,
                report.tiles[0],
                report.elapsed,
                report.psnr,
                report.max_error
            );
            for at in &report.at_bounds {
                text += &format!(
                    "\n  rel {:e}: {:.3} bits a value ({} latents, {} residual) on the {} tiles",
                    at.rel_bound,
                    at.bits_per_value,
                    bytes(at.latent_bytes as u64),
                    bytes(at.residual_bytes as u64),
                    report.measured_on
                );
            }
            let at_bounds = report.at_bounds.iter().map(|at| {
                json!({
                    "rel": at.rel_bound,
                    "bits_per_value": number(at.bits_per_value),
                    "latent_bytes": number(at.latent_bytes),
                    "residual_bytes": number(at.residual_bytes),
                })
            });
            let json = json!({
                "output": self.output.display().to_string(),
                "name": options.name,
                "id": trained.bundle.id().to_string(),
                "decoder_packed_bytes": report.decoder_bytes,
                "packed_bytes": report.bundle_bytes,
                "tile": trained.bundle.manifest().input.tile,
                "latents": options.latents,
                "epochs": report.epochs.len(),
                "tiles": report.tiles,
                "measured_on": report.measured_on,
                "decoder_weights": report.decoder_weights,
                "psnr": number(report.psnr),
                "max_error": number(report.max_error),
                "at_bounds": at_bounds.collect::<Vec<_>>(),
            });
            Ok(Outcome::new(text, json))
        }

        fn recipe(&self) -> Result<Option<Recipe>> {
            let Some(name) = &self.recipe else { return Ok(None) };
            recipes::recipe(name).map(Some).ok_or_else(|| {
                let names: Vec<String> = recipes::recipes().into_iter().map(|r| r.options.name).collect();
                Failure::usage(format!("no recipe {name:?}; there are: {}", names.join(", ")))
            })
        }

        /// What to train on, and its shape.
        fn values(&self, recipe: Option<&Recipe>) -> Result<(Vec<f32>, Vec<usize>)> {
            match (&self.data, recipe.map(|r| r.data)) {
                (Some(path), _) => self.read(path),
                (None, Some(Data::Simulated(make))) => Ok(make()?),
                (None, Some(Data::File(file))) => {
                    Err(Failure::usage(format!("this recipe trains on the file {file}: name it before --recipe")))
                }
                (None, None) => Err(Failure::usage("name a file to train on, or a --recipe")),
            }
        }

        fn options(&self, recipe: Option<Recipe>, shape: &[usize]) -> Result<Options> {
            let mut options = match recipe {
                Some(recipe) => recipe.options,
                None => {
                    let stem = self.output.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                    let tile = self.tile.as_deref().map_or(Ok(Vec::new()), crate::models::extents)?;
                    Options::suited_to(stem, shape, &tile)
                }
            };
            if let Some(tile) = &self.tile {
                options.tile = crate::models::extents(tile)?;
            }
            if let Some(name) = &self.name {
                options.name.clone_from(name);
            }
            if let Some(description) = &self.description {
                options.description.clone_from(description);
            }
            if let Some(license) = &self.license {
                options.license.clone_from(license);
            }
            if let Some(card) = &self.card {
                options.card = Some(std::fs::read_to_string(card).in_file(card)?);
            }
            options.latents = self.latents.unwrap_or(options.latents);
            if !self.hidden.is_empty() {
                options.encoder_hidden.clone_from(&self.hidden);
                options.decoder_hidden = self.hidden.iter().rev().copied().collect();
                // Such layers start from random weights, which have further to go than principal components.
                options.learning_rate = Options::new("").learning_rate;
            }
            options.rel_bound = self.rel.unwrap_or(options.rel_bound);
            options.epochs = self.epochs.unwrap_or(options.epochs);
            options.batch = self.batch.unwrap_or(options.batch);
            options.learning_rate = self.learning_rate.unwrap_or(options.learning_rate);
            options.seed = self.seed.unwrap_or(options.seed);
            options.validate()?;
            Ok(options)
        }

        /// The one array that is named, or the only one that is not empty.
        fn read(&self, path: &Path) -> Result<(Vec<f32>, Vec<usize>)> {
            let source = open(path)?;
            let files = FileArgs { force: false, arrays: self.array.iter().cloned().collect() };
            files.check_names(source.arrays())?;
            let chosen: Vec<usize> = (0..source.arrays().len())
                .filter(|&i| files.wants(&source.arrays()[i]) && source.arrays()[i].value_bytes() > 0)
                .collect();
            let [i] = chosen[..] else {
                let names: Vec<&str> = chosen.iter().map(|&i| source.arrays()[i].shown_name()).collect();
                let path = path.display();
                return Err(Failure::usage(match names.is_empty() {
                    true => format!("{path}: no numbers to train on"),
                    false => {
                        format!("{path}: expected one array to train on; name it with --array: {}", names.join(", "))
                    }
                }));
            };
            let array = &source.arrays()[i];
            let mut data = Vec::new();
            source.read(i, &mut |input| {
                for_each_block(array, input, &mut |block| {
                    data.extend(block.chunks_exact(array.dtype.size_bytes()).map(|b| {
                        // A gap, as NaN is one: its tile is left out.
                        if array.fill.as_deref() == Some(b) { f32::NAN } else { to_f32(array, b) }
                    }));
                    Ok(())
                })
            })?;
            Ok((data, array.shape.iter().map(|&n| n as usize).collect()))
        }
    }

    /// One line of progress.
    fn line(epoch: &Epoch) -> String {
        let validation = epoch.validation_loss.map(|loss| format!(", validation {loss:.3}")).unwrap_or_default();
        format!(
            "training: epoch {} of {}, {:.3} bits a value{validation}, {} s left",
            epoch.epoch,
            epoch.epochs,
            epoch.training_loss,
            epoch.remaining.as_secs()
        )
    }

    fn to_f32(array: &Array, bytes: &[u8]) -> f32 {
        let mut word = [0u8; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        if array.byte_order == ByteOrder::Big {
            word[..bytes.len()].reverse();
        }
        let bits = u64::from_le_bytes(word);
        match array.dtype {
            Dtype::F16 => half::f16::from_bits(bits as u16).to_f32(),
            Dtype::F32 => f32::from_bits(bits as u32),
            Dtype::F64 => f64::from_bits(bits) as f32,
            Dtype::I8 => f32::from(bits as i8),
            Dtype::I16 => f32::from(bits as i16),
            Dtype::I32 => bits as i32 as f32,
            Dtype::I64 => bits as i64 as f32,
            Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => bits as f32,
        }
    }
}
