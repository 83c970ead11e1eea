//! The report of a compression: how large, how close, how costly, as one HTML page, as SVG and PNG, and as JSON.
//!
//! | file | what |
//! |---|---|
//! | `measure.rs`, `field.rs` | one pass over an array and its decoded self ([`Meter`]) |
//! | `statistics.rs`, `spectrum.rs` | sums, histograms, quantiles; power over frequency |
//! | `training.rs`, `peers.rs` | what `baler train` and `baler bench` wrote |
//! | `sections/` | one file for each section of the page, one line each in `SECTIONS` |
//! | `chart/` | axes, shapes, colours, pixels |
//! | `page.rs` | sections to HTML and files |
//!
//! The caller fills a [`Report`]; [`render`] makes the rest of it. Every number in a table of the page is looked up in the
//! JSON by its path, so the two cannot differ.
//!
//! **Architecture invariant:** no file is read or written here, nothing is compressed, and no training framework is needed.

pub mod chart;
mod field;
mod measure;
pub mod numbers;
mod page;
mod peers;
mod sections;
mod spectrum;
pub mod statistics;
mod training;

pub use field::{Field, Frame, Scores, ssim};
pub use measure::{Allowed, Layout, MAX_SAMPLE, MeanRms, Measured, Meter, Summary, Variable};
pub use page::{Rendered, render};
pub use peers::{Peer, PeerPoint, Peers};
pub use spectrum::PowerSpectrum;
pub use training::{Epoch, Latent, Layer, TrainingLog};

use crate::energy::{Energy, co2_grams};
use serde::Serialize;
use std::collections::BTreeMap;

/// Name and version of the JSON's layout.
pub const SCHEMA: &str = "baler-report-1";

/// World average of the CO2 equivalent of electricity in 2024, in g/kWh, to the nearest ten (Ember, Global Electricity
/// Review 2025). Grids range from 20 to 800: name your own.
pub const WORLD_CO2_G_PER_KWH: f64 = 470.0;

/// Everything a report says. `docs/report.md` explains the JSON it becomes.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The program that wrote it.
    pub program: String,
    /// What was compressed.
    pub original: File,
    /// What it became.
    pub compressed: File,
    /// Sizes of the whole.
    pub sizes: Sizes,
    /// Whether every array keeps its bound, and every special value came back bit for bit.
    pub kept: bool,
    /// Array by array.
    pub arrays: Vec<Array>,
    /// How the model was trained, if a log was given.
    pub training: Option<TrainingLog>,
    /// Size against error at other bounds.
    pub rate_distortion: Option<RateDistortion>,
    /// What the work took.
    pub energy: EnergyUse,
}

/// A file.
#[derive(Clone, Debug, Serialize)]
pub struct File {
    /// As it was named.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}

/// Sizes, with models counted three ways.
#[derive(Clone, Debug, Serialize)]
pub struct Sizes {
    /// Of the values in memory: number times size of the element type.
    pub value_bytes: u64,
    /// What holds them now.
    pub stored_bytes: u64,
    /// Models in it.
    pub model_bytes: u64,
    /// Every decoder that is needed, in the file or built in.
    pub decoder_bytes: u64,
    /// value / stored.
    pub ratio: f64,
    /// value / (stored without its models).
    pub ratio_without_model: f64,
    /// value / (stored with every decoder counted once).
    pub ratio_with_model: f64,
}

/// A bound.
#[derive(Clone, Debug, Serialize)]
pub struct Bound {
    /// `abs`, `rel`, `pw_rel`, `psnr`, `lossless`, `latent`.
    pub kind: &'static str,
    /// Its value; 0 for the last two.
    pub value: f64,
    /// Whether it is meant of each column.
    pub per_column: bool,
}

/// One array.
#[derive(Clone, Debug, Serialize)]
pub struct Array {
    /// As the file names it.
    pub name: String,
    /// As numpy names it.
    pub dtype: String,
    /// Slowest axis first.
    pub shape: Vec<u64>,
    /// `table` or `field`.
    pub layout: &'static str,
    /// Size of the values.
    pub value_bytes: u64,
    /// Size of its chunks; 0 where they cannot be told apart.
    pub stored_bytes: u64,
    /// How often each candidate won.
    pub candidates: BTreeMap<String, u64>,
    /// Ids of the models it needs.
    pub models: Vec<String>,
    /// What it was checked against.
    pub bound: Bound,
    /// Whether the bound was kept.
    pub kept: bool,
    /// Values in all.
    pub n_values: u64,
    /// NaN, infinities, -0.0 and fill values.
    pub n_special: u64,
    /// Values that break the bound, and special values that did not come back bit for bit.
    pub n_broken: u64,
    /// Largest error.
    pub max_error: Option<f64>,
    /// Largest error as a share of what is allowed there.
    pub max_error_over_bound: Option<f64>,
    /// In dB over the whole array; `null`: no error.
    pub psnr: Option<f64>,
    /// The array is of float64, and every value in it is one of float32: half of the ratio is a cast.
    pub is_float32_inside: bool,
    /// Rows (tables) or values (fields) behind histograms and quantiles.
    pub n_sampled: u64,
    /// Rows or values there are.
    pub n_total: u64,
    /// Its columns, or itself.
    pub variables: Vec<Variable>,
    /// Its frames.
    pub field: Option<Field>,
}

/// Size against error.
#[derive(Clone, Debug, Serialize)]
pub struct RateDistortion {
    /// Name of the array.
    pub array: String,
    /// First row and row after the last that were encoded.
    pub rows: [u64; 2],
    /// Whether that is all of it.
    pub is_whole: bool,
    /// Size of these rows.
    pub raw_bytes: u64,
    /// At each bound, loosest first.
    pub points: Vec<RatePoint>,
    /// Other programs, where they were measured on this array.
    pub peers: Vec<Peer>,
}

/// One bound.
#[derive(Clone, Debug, Serialize)]
pub struct RatePoint {
    /// Largest error relative to the range of the array (of the column, for tables).
    pub rel_bound: f64,
    /// Size.
    pub bytes: u64,
    /// Decoders it needs.
    pub decoder_bytes: u64,
    /// Without them.
    pub ratio: f64,
    /// With them.
    pub ratio_with_model: f64,
    /// Without them.
    pub bits_per_value: f64,
    /// In dB, the peak being the range of the whole array; `null`: no error.
    pub psnr: Option<f64>,
}

/// What the work took.
#[derive(Clone, Debug, Serialize)]
pub struct EnergyUse {
    /// Intensity of the grid, in g CO2 equivalent for each kWh.
    pub co2_g_per_kwh: f64,
    /// Step by step.
    pub steps: Vec<EnergyStep>,
}

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct EnergyStep {
    /// Which.
    pub step: String,
    /// Joules.
    pub joules: f64,
    /// Grams of CO2 equivalent.
    pub co2_grams: f64,
    /// Bytes of values that went through; 0 where that is not known.
    pub value_bytes: u64,
    /// How the energy is known.
    pub source: String,
}

impl EnergyUse {
    /// Adds a step.
    pub fn add(&mut self, step: impl Into<String>, energy: &Energy, value_bytes: u64) {
        self.steps.push(EnergyStep {
            step: step.into(),
            joules: energy.joules,
            co2_grams: co2_grams(energy.joules, self.co2_g_per_kwh),
            value_bytes,
            source: energy.source.clone(),
        });
    }
}
