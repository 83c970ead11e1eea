//! Whether data are like those a model was trained on: the quantiles in its manifest against a sample of the data.

use crate::compress::Tally;
use crate::dataset::to_f32;
use crate::failure::Result;
use crate::format::{Array, Source, for_each_block};
use crate::models::Models;
use crate::outcome::{Outcome, number};
use baler_codec::{BundleId, ModelChoice};
use baler_models::quantiles::{Drift, Quantiles, is_sensitive};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Values looked at: enough for quantiles, and a moment's work.
const SAMPLE_VALUES: u64 = 1 << 20;

/// The columns that differ, of one array and one model.
pub struct Found {
    array: String,
    model: String,
    columns: Vec<Drift>,
}

/// Models to compare with: the one that was asked for, and those that were taken.
pub fn suspects(asked: ModelChoice, tally: &Tally) -> BTreeSet<String> {
    let mut ids = tally.models.clone();
    if let ModelChoice::Bundle(id) = asked {
        ids.insert(id.to_string());
    }
    ids
}

/// Compares array `i` with the training data of each of the models with these ids.
pub fn check(
    source: &dyn Source,
    i: usize,
    array: &Array,
    models: &Models,
    ids: &BTreeSet<String>,
) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for id in ids {
        let Some(bundle) = id.parse::<BundleId>().ok().and_then(|id| models.registry().find(&id).ok()) else {
            continue;
        };
        let manifest = bundle.manifest();
        let Some(quantiles) = Quantiles::of_manifest(manifest).filter(|_| is_sensitive(manifest)) else { continue };
        let last_axis = array.shape.last().copied().unwrap_or(1) as usize;
        let drift = quantiles.drift(&sample(source, i, array)?, last_axis);
        let columns: Vec<Drift> = drift.into_iter().filter(|d| d.is_drift).collect();
        if !columns.is_empty() {
            found.push(Found { array: array.shown_name().to_owned(), model: manifest.name.clone(), columns });
        }
    }
    Ok(found)
}

/// Rows evenly spaced.
fn sample(source: &dyn Source, i: usize, array: &Array) -> Result<Vec<f32>> {
    let row_len = (array.row_bytes() / array.dtype.size_bytes() as u64).max(1);
    let every = array.rows().div_ceil((SAMPLE_VALUES / row_len).max(1)).max(1);
    let (mut values, mut row) = (Vec::new(), 0u64);
    source.read(i, &mut |input| {
        for_each_block(array, input, &mut |block| {
            for bytes in block.chunks_exact((array.row_bytes() as usize).max(1)) {
                if row.is_multiple_of(every) {
                    values.extend(to_f32(array, bytes));
                }
                row += 1;
            }
            Ok(())
        })
    })?;
    Ok(values)
}

impl Found {
    fn text(&self) -> String {
        let describe = |d: &Drift| {
            let column = d.column.as_ref().map(|c| format!("{c}: ")).unwrap_or_default();
            format!("{column}{:.1} % beyond its range, shifted by {:.2} of its spread", 100.0 * d.beyond, d.shift)
        };
        let mut shown: Vec<String> = self.columns.iter().take(5).map(describe).collect();
        if self.columns.len() > 5 {
            shown.push(format!("{} more columns", self.columns.len() - 5));
        }
        format!(
            "warning: {} differs from what {} was trained on ({}); the bound is kept, the ratio may not be",
            self.array,
            self.model,
            shown.join("; ")
        )
    }

    fn json(&self) -> Value {
        let columns = self
            .columns
            .iter()
            .map(|d| json!({ "column": d.column, "beyond": number(d.beyond), "shift": number(d.shift) }));
        json!({ "array": self.array, "model": self.model, "columns": columns.collect::<Vec<_>>() })
    }
}

/// Adds what was found to what a command prints.
pub fn put(found: &[Found], outcome: &mut Outcome) {
    found.iter().for_each(|f| outcome.text += &format!("\n  {}", f.text()));
    outcome.json["drift"] = found.iter().map(Found::json).collect();
}
