//! `X.train.json`, the log beside the bundle `X.bundle`: data, options, epochs, figures. `baler report`, `diagnose` and
//! `info` read it; keys that are not known are left out.

use super::display::epoch_json;
use super::measured::Measured;
use super::split::Split;
use crate::dataset::Dataset;
use crate::failure::{InFile, Result};
use crate::outcome::number;
use crate::output::Output;
use crate::train_log::{SCHEMA, path_of};
use baler_codec::bundle::Bundle;
use baler_models::energy::Energy;
use baler_models::train::{Options, Report};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What a log tells.
pub struct Log<'a> {
    pub bundle: &'a Bundle,
    pub dataset: &'a Dataset,
    pub split: &'a Split,
    pub options: &'a Options,
    pub report: &'a Report,
    pub energy: &'a Energy,
    pub measured: &'a Measured,
    pub is_interrupted: bool,
}

impl Log<'_> {
    /// As JSON.
    pub fn json(&self) -> Value {
        let Self { bundle, dataset, split, options, report, energy, measured, is_interrupted } = self;
        json!({
            "schema": SCHEMA,
            "name": options.name,
            "bundle_id": bundle.id().to_string(),
            "data": dataset.parts_json(split.extent(dataset.rows())),
            "columns": dataset.columns,
            "rows": dataset.rows(),
            "rows_with_gaps": dataset.rows_with_gaps,
            "sampled_from": dataset.sampled_from,
            "mode": if **split == Split::All { "offline" } else { "online" },
            "options": options,
            "epochs": report.epochs.iter().map(epoch_json).collect::<Vec<_>>(),
            "loss_unit": report.loss_unit,
            "is_interrupted": is_interrupted,
            "tiles": report.tiles,
            "elapsed_s": report.elapsed.as_secs_f64(),
            "energy_j": number(energy.joules),
            "energy_source": energy.source,
            "decoder_bytes": bundle.decoder_bytes(),
            "decoder_weights": report.decoder_weights,
            "activations": report.activations,
            "latents": report.latents,
            "latent_bits_per_value": number(report.latent_bits_per_value),
            "psnr": number(report.psnr),
            "max_error": number(report.max_error),
            "measured": measured.json(),
        })
    }
}

/// Writes a log beside the bundle; where it is then.
pub fn write(log: &Value, bundle: &Path) -> Result<PathBuf> {
    let path = path_of(bundle);
    let (output, mut file) = Output::create(&path, true)?;
    writeln!(file, "{log:#}").in_file(&path)?;
    output.commit()?;
    Ok(path)
}
