//! `baler report`: what a compression did, as one HTML page. This file gathers; `baler_models::report` computes and draws.

mod compare;
mod rate;

use crate::args::{BoundArgs, FileArgs, ThreadArgs};
use crate::failure::{Code, Failure, InFile, Result};
use crate::format::{Promise, file_bytes};
use crate::models::Models;
use crate::outcome::{Outcome, Sizes, bytes, ratio, table};
use crate::output::{Output, refuse_overwrite};
use crate::verify::Comparison;
use baler_models::energy::{Energy, Meter};
use baler_models::report::{
    self, EnergyUse, Peers, Rendered, Report, TrainingLog, WORLD_CO2_G_PER_KWH, numbers, render,
};
use clap::{Args, ValueEnum};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes a page of figures: sizes, errors, distributions, frames, training, energy
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler report field.npy field.baler                        # writes report.html\n  \
    baler report events.npz events.baler -o events.html --assets figures\n  \
    baler report run.nc small.h5 --array speed --bounds none\n  \
    baler report data.npz data.baler --training flow.train.json --bench bench.json\n\n\
    The page needs no network and no other file. docs/report.md explains its plots and its JSON. Exit code 3: the bound \
    is broken; the page is written all the same.")]
pub struct ReportArgs {
    /// What was compressed: .npy, .npz, .h5 or .nc
    original: PathBuf,
    /// What it became: .baler, .h5, or any of the plain formats
    compressed: PathBuf,
    /// Where to write the page
    #[arg(long, short, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
    /// A folder for every plot as SVG, every picture as PNG, and the numbers as report.json
    #[arg(long, value_name = "DIR")]
    assets: Option<PathBuf>,
    /// The log of a training, X.train.json: losses, learning rate, activity
    #[arg(long, value_name = "FILE")]
    training: Option<PathBuf>,
    /// Results of `baler bench`, for the points of other programs
    #[arg(long, value_name = "FILE")]
    bench: Option<PathBuf>,
    /// Model that reads the file and takes part in the rate-distortion curve: name, id or .bundle file
    #[arg(long, value_name = "MODEL", default_value = "auto")]
    model: String,
    /// Bounds of the rate-distortion curve, relative to the range; `none` leaves the curve out
    #[arg(long, value_name = "X,X", value_delimiter = ',', default_value = "1e-1,1e-2,1e-3,1e-4,1e-5")]
    bounds: Vec<String>,
    /// How the axes are meant: the last one as columns of a table, or the last two as frames of a field
    #[arg(long = "as", value_enum, default_value_t = LayoutArg::Auto)]
    layout: LayoutArg,
    /// Grams of CO2 equivalent for each kWh of the grid
    #[arg(long, value_name = "G", default_value_t = WORLD_CO2_G_PER_KWH)]
    co2_g_per_kwh: f64,
    #[command(flatten)]
    bound: BoundArgs,
    /// The bound is meant of each column
    #[arg(long)]
    columns: bool,
    /// The fill value that was declared
    #[arg(long, value_name = "V", allow_hyphen_values = true)]
    fill: Option<String>,
    #[command(flatten)]
    threads: ThreadArgs,
    #[command(flatten)]
    files: FileArgs,
}

/// See [`report::Layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LayoutArg {
    /// By names of columns, by a bound of each column, or by shape
    Auto,
    /// Rows x columns
    Table,
    /// Frames
    Field,
}

impl ReportArgs {
    pub fn run(&self, quiet: bool) -> Result<Outcome> {
        refuse_overwrite(&self.output, self.files.force)?;
        let bounds = self.bounds()?;
        if !(self.co2_g_per_kwh >= 0.0 && self.co2_g_per_kwh.is_finite()) {
            return Err(Failure::usage(format!("--co2-g-per-kwh {}: expected a number from 0 up", self.co2_g_per_kwh)));
        }
        let asked = match self.bound.optional()? {
            Some(bound) => Some(Promise { bound, per_column: self.columns }),
            None if self.columns => return Err(Failure::usage("--columns goes with a bound, as --rel 1e-3 --columns")),
            None => None,
        };
        let training = self.training.as_deref().map(|path| read(path, TrainingLog::parse)).transpose()?;
        let peers = self.bench.as_deref().map(|path| read(path, Peers::parse)).transpose()?;
        let (models, model) = Models::choose(&self.model)?;

        let meter = Meter::start();
        let comparison = Comparison {
            original: &self.original,
            compressed: &self.compressed,
            files: &self.files,
            models: &models,
            fill: self.fill.as_deref(),
            threads: self.threads.n_threads(),
            quiet,
        };
        let found = compare::compare(&comparison, asked, self.layout, bounds.is_empty())?;
        let mut energy = EnergyUse { co2_g_per_kwh: self.co2_g_per_kwh, steps: Vec::new() };
        let value_bytes = found.arrays.iter().map(|a| a.value_bytes).sum();
        if let Some(log) = &training
            && let Some(joules) = log.energy_j
        {
            let source = log.energy_source.clone().unwrap_or_else(|| "training log, source not stated".into());
            energy.add("training", &Energy { joules, is_estimate: false, source }, 0);
        }
        energy.add("decoding and comparing", &meter.stop(), value_bytes);

        let meter = Meter::start();
        let rate_distortion = match found.sample {
            Some(sample) if !bounds.is_empty() => {
                let mut rate = rate::measure(&sample, &bounds, &models, model)?;
                let stem = self.original.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let shape: Vec<u64> = sample.array.shape.clone();
                rate.peers = peers.map(|p| p.of(&stem, &shape, sample.array.dtype.name())).unwrap_or_default();
                let through = rate.raw_bytes * rate.points.len() as u64;
                energy.add("rate-distortion curve", &meter.stop(), through);
                Some(rate)
            }
            _ => None,
        };
        let report = Report {
            schema: report::SCHEMA,
            program: format!("baler {}", env!("CARGO_PKG_VERSION")),
            original: file(&self.original)?,
            compressed: file(&self.compressed)?,
            sizes: sizes(if self.files.arrays.is_empty() {
                Sizes {
                    value_bytes,
                    stored_bytes: file_bytes(&self.compressed)?,
                    model_bytes: found.model_bytes,
                    decoder_bytes: found.decoder_bytes,
                }
            } else {
                // Of some arrays, what their chunks take.
                let stored_bytes = found.arrays.iter().map(|a| a.stored_bytes).sum();
                Sizes { value_bytes, stored_bytes, model_bytes: 0, decoder_bytes: found.decoder_bytes }
            }),
            kept: found.arrays.iter().all(|a| a.kept),
            arrays: found.arrays,
            training,
            rate_distortion,
            energy,
        };
        let rendered = render(&report).map_err(|e| Failure::runtime(format!("the numbers of the report: {e}")))?;
        self.write(&rendered)?;
        let mut outcome = Outcome::new(self.text(&report, &rendered), rendered.json);
        outcome.failed = (!report.kept).then_some(Code::BoundBroken);
        Ok(outcome)
    }

    fn bounds(&self) -> Result<Vec<f64>> {
        if matches!(&self.bounds[..], [one] if one == "none") {
            return Ok(Vec::new());
        }
        let mut bounds = Vec::new();
        for text in &self.bounds {
            let bound = text.trim().parse::<f64>().ok().filter(|b| *b > 0.0 && *b < 1.0);
            bounds.push(bound.ok_or_else(|| {
                Failure::usage(format!(
                    "--bounds {text}: expected numbers between 0 and 1, or none; for example 1e-2,1e-3"
                ))
            })?);
        }
        bounds.sort_by(|a, b| b.total_cmp(a));
        bounds.dedup();
        Ok(bounds)
    }

    fn write(&self, rendered: &Rendered) -> Result<()> {
        let write = |path: &Path, content: &[u8]| -> Result<()> {
            let (output, mut file) = Output::create(path, self.files.force)?;
            file.write_all(content).in_file(path)?;
            output.commit()
        };
        if let Some(folder) = &self.assets {
            std::fs::create_dir_all(folder).in_file(folder)?;
            for (name, content) in &rendered.files {
                write(&folder.join(name), content)?;
            }
            write(&folder.join("report.json"), format!("{:#}\n", rendered.json).as_bytes())?;
        }
        write(&self.output, rendered.html.as_bytes())
    }

    fn text(&self, report: &Report, rendered: &Rendered) -> String {
        let s = &report.sizes;
        let mut text = format!(
            "{}: {} -> {}, ratio {:.2} ({:.2} with every decoder), {}",
            self.output.display(),
            bytes(s.value_bytes),
            bytes(s.stored_bytes),
            s.ratio,
            s.ratio_with_model,
            if report.kept { "the bound is kept" } else { "THE BOUND IS BROKEN" }
        );
        let head =
            ["variable", "response mean", "response RMS", "residual mean", "residual RMS", "largest error", "/ bound"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        let number = |v: Option<f64>| numbers::number(v.unwrap_or(f64::NAN));
        let all = report.arrays.iter().flat_map(|a| &a.variables);
        let n = all.clone().count();
        for v in all.take(40) {
            let (response, residual) = (&v.response, &v.residual);
            let figures = [response.mean, response.rms, residual.mean, residual.rms, v.max_error, v.error_over_bound];
            let name: String = v.name.chars().take(32).map(|c| if c.is_control() { ' ' } else { c }).collect();
            rows.push(std::iter::once(name).chain(figures.map(number)).collect());
        }
        text += &format!("\n\n{}", table(&rows));
        if n > 40 {
            text += &format!("\n... and {} more", n - 40);
        }
        if let Some(folder) = &self.assets {
            text += &format!("\n\n{}: {} files and report.json", folder.display(), rendered.files.len());
        }
        text
    }
}

fn read<T>(path: &Path, parse: fn(&str) -> std::result::Result<T, String>) -> Result<T> {
    let text = std::fs::read_to_string(path).in_file(path)?;
    parse(&text).map_err(Failure::damaged).in_file(path)
}

fn file(path: &Path) -> Result<report::File> {
    Ok(report::File { path: path.display().to_string(), bytes: file_bytes(path)? })
}

fn sizes(s: Sizes) -> report::Sizes {
    let Sizes { value_bytes, stored_bytes, model_bytes, decoder_bytes } = s;
    let without = stored_bytes - model_bytes.min(stored_bytes);
    report::Sizes {
        value_bytes,
        stored_bytes,
        model_bytes,
        decoder_bytes,
        ratio: ratio(value_bytes, stored_bytes),
        ratio_without_model: ratio(value_bytes, without),
        ratio_with_model: ratio(value_bytes, without + model_bytes.max(decoder_bytes)),
    }
}
