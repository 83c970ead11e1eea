//! `baler train`: a model of one's own. Without the cargo feature `train` the command is there and says how to get it.

use crate::failure::{Failure, Result};
use crate::outcome::Outcome;
use clap::Args;
use std::path::PathBuf;

#[cfg(feature = "train")]
mod autoregressive;
#[cfg(feature = "train")]
mod display;
#[cfg(feature = "train")]
mod log;
#[cfg(feature = "train")]
mod measured;
#[cfg(feature = "train")]
mod predictor;
#[cfg(feature = "train")]
mod rows;
mod settings;
#[cfg(feature = "train")]
mod split;

/// Trains a model on data (needs a build with the feature `train`)
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler train CFD_animation.npz -o flow.bundle\n  \
    baler compress CFD_animation.npz flow.baler --rel 1e-2 --model flow.bundle\n  \
    baler train runs.h5 --array speed -o speed.bundle --tile 16x16 --latents 32 --epochs 50\n  \
    baler train run1.parquet run2.parquet -o events.bundle --columns-named pt,eta,phi\n  \
    baler train folder-of-frames/ -o frames.bundle --max-rows 10000\n  \
    baler models add speed.bundle       # from now on found by its name\n  \
    baler train --recipe autoencoder-field2d -o field2d.bundle    # a built-in model, made again\n\n\
    docs/training.md says what the settings do.")]
pub struct TrainArgs {
    /// .npy, .npz, .h5, .nc, .csv or .parquet files with one array each, or folders of them, one after the other along
    /// the first axis; a recipe may make its own data
    #[arg(required_unless_present = "recipe")]
    data: Vec<PathBuf>,
    /// Where to write the bundle
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// A project's config.toml: its table [train.options] changes what follows from the data
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Settings (and data, if simulated) of a built-in model; the options below change them
    #[arg(long, value_name = "NAME")]
    recipe: Option<String>,
    /// Which array to train on
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    array: Option<String>,
    /// Columns of a table, by name, in this order; by default all (of Parquet: all floats; of .csv: all numbers)
    #[arg(long, value_name = "A,B", value_delimiter = ',', help_heading = "Data")]
    columns_named: Vec<String>,
    /// Keep at most this many rows (events, frames), evenly spaced
    #[arg(long, value_name = "N", visible_alias = "sample", help_heading = "Data",
          value_parser = clap::value_parser!(u64).range(1..))]
    max_rows: Option<u64>,
    /// How the model predicts; by default `predictor` for tables of 3 columns or more, `autoregressive` for fields, unless
    /// an option is given that only an autoencoder has, or the data are a few whole frames and the model serves these
    #[cfg(feature = "train")]
    #[arg(long, value_enum)]
    family: Option<training::FamilyName>,
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
    /// The model serves the very data it is trained on, and travels with them: nothing is held out, its bytes count.
    /// Default for a few whole frames
    #[arg(long, conflicts_with_all = ["online", "train_part", "train_rows"], help_heading = "Data")]
    offline: bool,
    /// The model is for other data like these: a part is held out, and what it takes is measured. Default for tables and
    /// tiles
    #[arg(long, help_heading = "Data")]
    online: bool,
    /// Train on the first part of the rows, measure on the rest: 0.5
    #[arg(long, value_name = "PART", conflicts_with = "train_rows", help_heading = "Data")]
    train_part: Option<f64>,
    /// Train on these rows, measure on the others: 0..5000
    #[arg(long, value_name = "A..B", help_heading = "Data")]
    train_rows: Option<String>,
    /// What is seen of it; Ctrl-C ends it early and keeps the model
    #[cfg(feature = "train")]
    #[arg(long, value_enum, value_name = "HOW", default_value_t = display::Show::Auto)]
    progress: display::Show,
    /// Trailing axes of the array that one latent vector stands for; by default whole frames if small, else 8x8
    #[arg(long, value_name = "NxN")]
    tile: Option<String>,
    /// Length of the latent vector
    #[arg(long, value_name = "N")]
    latents: Option<usize>,
    /// Widths of the hidden layers, of the encoder from left to right and of the decoder from right to left: 256,64
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    hidden: Vec<usize>,
    /// How a column of a table becomes network inputs, where not by the data's own shape: its name or number (`*`: every
    /// other), then auto, none, minmax, standard, asinh, log or angle. May be given again
    #[arg(long, value_name = "COLUMN=KIND")]
    normalise: Vec<String>,
    /// Put a density over the latents into the model, which tells outliers (`baler outliers`)
    #[arg(long)]
    density: bool,
    /// First train briefly this many times, each time leaving out the outliers found; the model has a density then
    #[arg(long, value_name = "ROUNDS")]
    remove_outliers: Option<usize>,
    /// The part of the training tiles that are no outliers; 0.999 by default
    #[arg(long, value_name = "Q")]
    outlier_quantile: Option<f64>,
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
    #[command(flatten)]
    settings: settings::Settings,
    /// Replace the output if it is there
    #[arg(long, short)]
    force: bool,
}

/// What `baler train` says where it cannot.
#[cfg(any(test, not(feature = "train")))]
fn without_training() -> Failure {
    Failure::runtime(
        "this baler was built without training, which needs a machine-learning framework; build it with \
         `cargo build --release -p baler-cli --features train`",
    )
}

#[cfg(not(feature = "train"))]
impl TrainArgs {
    pub fn run(&self, _quiet: bool) -> Result<Outcome> {
        Err(without_training())
    }
}

#[cfg(feature = "train")]
mod training {
    use super::display::{Display, epoch_json};
    use super::log::Log;
    use super::measured::Measured;
    use super::split::{Split, Wish};
    use super::*;
    use crate::dataset::{Dataset, Request};
    use crate::failure::InFile;
    use crate::outcome::{bytes, number};
    use crate::output::{Output, refuse_overwrite};
    use crate::train_log::path_of;
    use baler_codec::bundle::{Bundle, Contents, Manifest};
    use baler_models::energy::Meter;
    use baler_models::fingerprint;
    use baler_models::quantiles::Quantiles;
    use baler_models::train::recipes::{self, Data, Recipe};
    use baler_models::train::{self, Options, Report, run};
    use serde_json::json;
    use std::io::Write;
    use std::path::Path;
    use std::sync::Arc;

    /// Rows whose hashes go into a manifest, which travels with every file: enough to recognise data that overlap by a
    /// tenth, and the very data.
    const FINGERPRINTS: [usize; 2] = [64, 16];

    #[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
    pub enum FamilyName {
        /// Latents of tiles, frames or rows
        Autoencoder,
        /// Formulas that give columns of a table from others
        Predictor,
        /// A small network that gives each value of a field from those around it
        Autoregressive,
    }

    impl TrainArgs {
        pub fn run(&self, quiet: bool) -> Result<Outcome> {
            refuse_overwrite(&self.output, self.force)?;
            let recipe = self.recipe()?;
            let dataset = self.dataset(recipe.as_ref())?;
            if !quiet {
                dataset.notes().iter().for_each(|note| eprintln!("baler: {note}"));
            }
            let split = self.split(&dataset, recipe.as_ref())?;
            match self.family(&dataset) {
                FamilyName::Predictor => return predictor::run(self, &dataset, &split),
                FamilyName::Autoregressive => return autoregressive::run(self, &dataset, &split, quiet),
                FamilyName::Autoencoder => {}
            }
            let shape = dataset.shape((0..dataset.rows()).filter(|&i| split.trains_on(i)).count());
            let values = dataset.to_f32(&dataset.select(&|i| split.trains_on(i)));
            let options = self.options(recipe, &dataset, &shape)?;
            let mut display = Display::new(self.progress, quiet)?;
            let training = train::Dataset { values, shape, columns: dataset.columns.clone() };
            let mut meter = Meter::start();
            let trained = run(&training, &options, &mut |epoch| {
                meter.poll();
                display.epoch(epoch)
            })?;
            let energy = meter.stop();
            let values = training.values;
            let is_interrupted = display.is_interrupted();
            let best = display.best();
            drop(display);
            let bundle = Arc::new(with_provenance(&trained.bundle, &values, &dataset, &split)?);
            drop(values);
            let held = dataset.select(&|i| split == Split::All || !split.trains_on(i));
            let what = split.measured(dataset.rows());
            let measured = Measured::of(&bundle, &dataset.array, &held, dataset.is_table, what)?;
            let report = &trained.report;
            let log = Log {
                bundle: &bundle,
                dataset: &dataset,
                split: &split,
                options: &options,
                report,
                energy: &energy,
                measured: &measured,
                is_interrupted,
            };
            self.save(&bundle)?;
            log::write(&log.json(), &self.output)?;
            Ok(self.outcome(&log, best))
        }

        /// Writes the bundle where it is to be.
        pub(super) fn save(&self, bundle: &Bundle) -> Result<()> {
            let (output, mut file) = Output::create(&self.output, self.force)?;
            file.write_all(&bundle.to_bytes(Contents::Full)).in_file(&self.output)?;
            output.commit()
        }

        fn family(&self, dataset: &Dataset) -> FamilyName {
            // Recipes are of networks: formulas need no settings.
            let is_autoencoder = self.recipe.is_some()
                || self.latents.is_some()
                || self.tile.is_some()
                || !self.hidden.is_empty()
                || dataset.is_table && (self.epochs.is_some() || self.batch.is_some() || self.learning_rate.is_some())
                || self.density
                || self.remove_outliers.is_some()
                || self.config.is_some()
                || self.settings.names_networks();
            let shape = dataset.shape(dataset.rows());
            // A few whole frames get a model of their own, unless it is to serve others.
            let is_for_others = self.online || self.train_part.is_some() || self.train_rows.is_some();
            let is_whole_frames = Options::suited_to("", &shape, &[]).model_cost > 0.0;
            let by_default = if is_autoencoder {
                FamilyName::Autoencoder
            } else if dataset.is_table {
                if dataset.row_len() >= 3 { FamilyName::Predictor } else { FamilyName::Autoencoder }
            } else if self.offline || shape.len() < 2 || is_whole_frames && !is_for_others {
                FamilyName::Autoencoder
            } else {
                FamilyName::Autoregressive
            };
            self.family.unwrap_or(by_default)
        }

        fn outcome(&self, log: &Log<'_>, best: Option<(usize, f64)>) -> Outcome {
            let Log { bundle, options, report, measured, is_interrupted, .. } = log;
            let mut text = format!(
                "{}: model {} ({}), decoder {} ({} weights), trained on {} tiles in {:.0?} with {:.0} J ({})",
                self.output.display(),
                options.name,
                bundle.id(),
                bytes(bundle.decoder_bytes() as u64),
                report.decoder_weights,
                report.tiles[0],
                report.elapsed,
                log.energy.joules,
                log.energy.source,
            );
            if *is_interrupted {
                text += &format!(", ended early after epoch {} of {}", report.epochs.len(), options.epochs);
            }
            if let Some((epoch, loss)) = best {
                text += &format!("\n  smallest loss {loss:.4} in epoch {epoch} of {}", report.epochs.len());
            }
            text += &format!(
                "\n  decoded latents alone: PSNR {:.1} dB, largest error {:.3} of the range",
                report.psnr, report.max_error
            );
            text += &entropies(report);
            text += &format!("\n{}\nlog: {}", measured.text(), path_of(&self.output).display());
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
                "log": path_of(&self.output).display().to_string(),
                "name": options.name,
                "id": bundle.id().to_string(),
                "decoder_packed_bytes": bundle.decoder_bytes(),
                "packed_bytes": bundle.to_bytes(Contents::Full).len(),
                "tile": bundle.manifest().input.tile,
                "latents": options.latents,
                "epochs": report.epochs.len(),
                "last_epoch": report.epochs.last().map(epoch_json),
                "best_epoch": best.map(|(epoch, _)| epoch),
                "is_interrupted": is_interrupted,
                "tiles": report.tiles,
                "measured_on": report.measured_on,
                "decoder_weights": report.decoder_weights,
                "psnr": number(report.psnr),
                "max_error": number(report.max_error),
                "at_bounds": at_bounds.collect::<Vec<_>>(),
                "measured": measured.json(),
                "elapsed_s": report.elapsed.as_secs_f64(),
                "energy_j": number(log.energy.joules),
                "energy_source": log.energy.source,
            });
            Outcome::new(text, json)
        }

        /// What to train on.
        fn dataset(&self, recipe: Option<&Recipe>) -> Result<Dataset> {
            match (&self.data[..], recipe.map(|r| r.data)) {
                ([], Some(Data::Simulated(make))) => {
                    let (values, shape) = make()?;
                    Ok(Dataset::of_values(&values, &shape))
                }
                ([], Some(Data::File(file))) => {
                    Err(Failure::usage(format!("this recipe trains on the file {file}: name it before --recipe")))
                }
                (paths, _) => Dataset::read(&Request {
                    paths,
                    array: self.array.as_deref(),
                    columns: &self.columns_named,
                    most_rows: self.max_rows,
                }),
            }
        }

        /// Which rows are trained on. A recipe says so itself.
        fn split(&self, dataset: &Dataset, recipe: Option<&Recipe>) -> Result<Split> {
            let asked = self.online || self.train_part.is_some() || self.train_rows.is_some();
            let shape = dataset.shape(dataset.rows());
            let options = self.options(recipe.cloned(), dataset, &shape)?;
            let wish = Wish {
                offline: self.offline || !asked && recipe.map_or(options.model_cost > 0.0, |r| r.part == 1.0),
                part: self.train_part.or_else(|| recipe.map(|r| r.part).filter(|part| !asked && *part < 1.0)),
                rows: self.train_rows.as_deref(),
            };
            let least = if options.tile.len() == shape.len() { options.tile[0] } else { 1 };
            Split::choose(&wish, dataset.rows(), dataset.is_table, least)
        }

        /// What the model is called if nobody says.
        fn stem(&self) -> String {
            self.output.file_stem().unwrap_or_default().to_string_lossy().into_owned()
        }

        fn recipe(&self) -> Result<Option<Recipe>> {
            let Some(name) = &self.recipe else { return Ok(None) };
            recipes::recipe(name).map(Some).ok_or_else(|| {
                let names: Vec<String> = recipes::recipes().into_iter().map(|r| r.options.name).collect();
                Failure::usage(format!("no recipe {name:?}; there are: {}", names.join(", ")))
            })
        }

        pub(super) fn options(&self, recipe: Option<Recipe>, dataset: &Dataset, shape: &[usize]) -> Result<Options> {
            let mut options = match recipe {
                Some(recipe) => recipe.options,
                None if self.family(dataset) == FamilyName::Autoregressive => Options::autoregressive(self.stem()),
                None => {
                    let stem = self.stem();
                    let tile = match &self.tile {
                        Some(tile) => crate::models::extents(tile)?,
                        None if dataset.is_table => vec![dataset.row_len()],
                        None => Vec::new(),
                    };
                    let mut options = Options::suited_to(stem, shape, &tile);
                    self.settings.suit(&mut options, shape, &tile);
                    options
                }
            };
            if self.offline {
                options.model_cost = 1.0;
                (options.validation, options.test) = (0.0, 0.0);
            } else if self.online || self.train_part.is_some() || self.train_rows.is_some() {
                let usual = Options::new("");
                options.model_cost = 0.0;
                (options.validation, options.test) = (usual.validation, usual.test);
            }
            if let Some(path) = &self.config {
                configure(&mut options, path, shape).in_file(path)?;
            }
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
            options.density |= self.density;
            options.remove_outliers = self.remove_outliers.unwrap_or(options.remove_outliers);
            options.outlier_quantile = self.outlier_quantile.unwrap_or(options.outlier_quantile);
            options.normalise.extend(self.normalise.iter().cloned());
            options.rel_bound = self.rel.unwrap_or(options.rel_bound);
            options.epochs = self.epochs.unwrap_or(options.epochs);
            options.batch = self.batch.unwrap_or(options.batch);
            options.learning_rate = self.learning_rate.unwrap_or(options.learning_rate);
            options.seed = self.seed.unwrap_or(options.seed);
            self.settings.apply(&mut options)?;
            options.validate()?;
            Ok(options)
        }
    }

    /// Sets what `[train.options]` of a project says.
    fn configure(options: &mut Options, path: &Path, shape: &[usize]) -> Result<()> {
        let config: toml::Table = std::fs::read_to_string(path)?
            .parse()
            .map_err(|e: toml::de::Error| Failure::usage(e.to_string().trim_end()))?;
        let given = config.get("train").and_then(|train| train.get("options")).and_then(|o| o.as_table());
        let named = |key| given.and_then(|g: &toml::Table| g.get(key)).and_then(toml::Value::as_str);
        if named("architecture").is_some() || named("loss").is_some() {
            let (architecture, loss) = (options.architecture.clone(), options.loss.clone());
            let (architecture, loss) = (named("architecture").unwrap_or(&architecture), named("loss").unwrap_or(&loss));
            let tile = options.tile.clone();
            options.suit(architecture, loss, shape, &tile);
        }
        for (key, value) in given.into_iter().flatten() {
            options.set(key, &value.to_string())?;
        }
        // A project's files lie in the project.
        if let (Some(checkpoint), Some(folder)) = (&options.checkpoint, path.parent()) {
            options.checkpoint = Some(folder.join("output").join(checkpoint));
        }
        Ok(())
    }

    /// The same model, with what is known of its training data in the manifest.
    pub fn with_provenance(bundle: &Bundle, values: &[f32], dataset: &Dataset, split: &Split) -> Result<Bundle> {
        let mut manifest: Manifest = bundle.manifest().clone();
        put_provenance(&mut manifest, values, dataset, split);
        let encoder = bundle.encoder_onnx().map(<[u8]>::to_vec);
        let card = bundle.card().map(String::from);
        Ok(Bundle::new(&manifest.to_toml()?, encoder, bundle.decoder_onnx().to_vec(), card)?)
    }

    /// Adds what is known of the training data to a manifest.
    pub fn put_provenance(manifest: &mut Manifest, values: &[f32], dataset: &Dataset, split: &Split) {
        let all = fingerprint::of_rows(values, dataset.row_len());
        let most = FINGERPRINTS[usize::from(*split == Split::All)].min(all.len());
        let spaced: Vec<toml::Value> = (0..most).map(|i| all[i * all.len() / most].as_str().into()).collect();
        manifest.training.insert("fingerprint".into(), spaced.into());
        let columns = if dataset.is_table { dataset.row_len() } else { 0 };
        if let Some(quantiles) = Quantiles::of(values, columns, &dataset.columns) {
            quantiles.put(manifest);
        }
    }

    /// Estimates of the size at some bounds, for people.
    fn entropies(report: &Report) -> String {
        let lines = report.at_bounds.iter().map(|at| {
            format!(
                "\n  rel {:e}: {:.3} bits a value ({} latents, {} residual) on the {} tiles",
                at.rel_bound,
                at.bits_per_value,
                bytes(at.latent_bytes as u64),
                bytes(at.residual_bytes as u64),
                report.measured_on
            )
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    /// With training in it too, where the trial of the program cannot ask.
    #[test]
    fn a_program_without_training_says_how_to_get_it() {
        let failure = super::without_training();
        assert_eq!(failure.code as u8, 1);
        assert!(failure.message.contains("--features train"), "{}", failure.message);
    }
}
