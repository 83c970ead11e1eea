//! Training of the family `predictor`: formulas between the columns of a table.

use super::TrainArgs;
use super::log;
use super::measured::Measured;
use super::split::Split;
use super::training::put_provenance;
use crate::dataset::Dataset;
use crate::failure::{Failure, InFile, Result};
use crate::outcome::{Outcome, number, table};
use crate::train_log::SCHEMA;
use baler_codec::bundle::{Bundle, ColumnFormula, Contents, Family, Manifest, Predictor};
use baler_models::relations::{self, Found};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

pub fn run(args: &TrainArgs, dataset: &Dataset, split: &Split) -> Result<Outcome> {
    let start = Instant::now();
    let values = dataset.to_f32(&dataset.select(&|i| split.trains_on(i)));
    let n_columns = dataset.row_len();
    let columns: Vec<Vec<f64>> =
        (0..n_columns).map(|c| values.iter().skip(c).step_by(n_columns).map(|&v| f64::from(v)).collect()).collect();
    // Seconds, whatever the table: nothing to watch.
    let n_threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let found = relations::search(&columns, n_threads);
    if found.is_empty() {
        return Err(Failure::runtime(
            "no column of this table follows from others well enough to save half a bit a value: compress it without a \
             model, whose encoder finds what columns have in common by itself",
        ));
    }
    let elapsed_s = start.elapsed().as_secs_f64();
    let bundle = Arc::new(bundle(args, dataset, split, &values, &found)?);
    let held = dataset.select(&|i| *split == Split::All || !split.trains_on(i));
    let measured = Measured::of(&bundle, &dataset.array, &held, true, split.measured(dataset.rows()))?;
    args.save(&bundle)?;
    let formulas: Vec<Value> = found
        .iter()
        .map(|f| {
            json!({
                "column": name(dataset, f.column),
                "formula": with_names(dataset, f),
                "saved_bits": f.saved_bits.map(number),
            })
        })
        .collect();
    let log = json!({
        "schema": SCHEMA,
        "name": bundle.manifest().name,
        "bundle_id": bundle.id().to_string(),
        "family": "predictor",
        "data": dataset.parts_json(split.extent(dataset.rows())),
        "columns": dataset.columns,
        "rows": dataset.rows(),
        "mode": if *split == Split::All { "offline" } else { "online" },
        "formulas": formulas,
        "judged_at": relations::BOUNDS,
        "elapsed_s": elapsed_s,
        "measured": measured.json(),
    });
    let path = log::write(&log, &args.output)?;

    let mut rows = vec![vec!["column".into(), "=".into(), "bits saved at 1e-2, 1e-3, 1e-4, 1e-5".into()]];
    for f in &found {
        let saved: Vec<String> = f.saved_bits.iter().map(|bits| format!("{bits:.1}")).collect();
        rows.push(vec![name(dataset, f.column), with_names(dataset, f), saved.join("  ")]);
    }
    let text = format!(
        "{}: model {} ({}), {} formulas from {} rows in {elapsed_s:.1} s; readers need no model\n{}\n{}\nlog: {}",
        args.output.display(),
        bundle.manifest().name,
        bundle.id(),
        found.len(),
        values.len() / n_columns,
        table(&rows),
        measured.text(),
        path.display()
    );
    let json = json!({
        "output": args.output.display().to_string(),
        "log": path.display().to_string(),
        "name": bundle.manifest().name,
        "id": bundle.id().to_string(),
        "family": "predictor",
        "decoder_packed_bytes": 0,
        "packed_bytes": bundle.to_bytes(Contents::Full).len(),
        "formulas": log["formulas"],
        "measured": log["measured"],
        "elapsed_s": elapsed_s,
    });
    Ok(Outcome::new(text, json))
}

fn bundle(args: &TrainArgs, dataset: &Dataset, split: &Split, values: &[f32], found: &[Found]) -> Result<Bundle> {
    let columns: Vec<String> = (0..dataset.row_len()).map(|c| name(dataset, c)).collect();
    let stem = args.output.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut manifest = Manifest {
        format: 2,
        name: args.name.clone().unwrap_or(stem),
        family: Family::Predictor,
        description: args.description.clone().unwrap_or_else(|| format!("Relations between {}.", columns.join(", "))),
        license: args.license.clone().unwrap_or_else(|| "LicenseRef-unknown".into()),
        input: Default::default(),
        latents: Default::default(),
        encoder: None,
        predictor: Some(Predictor {
            columns,
            formulas: found.iter().map(|f| ColumnFormula { column: f.column, formula: f.formula.clone() }).collect(),
        }),
        density: None,
        training: Default::default(),
        metrics: Default::default(),
    };
    put_provenance(&mut manifest, values, dataset, split);
    let card = args.card.as_ref().map(|card| std::fs::read_to_string(card).in_file(card)).transpose()?;
    Ok(Bundle::of_formulas(&manifest.to_toml()?, card)?)
}

fn name(dataset: &Dataset, column: usize) -> String {
    dataset.columns.get(column).cloned().unwrap_or_else(|| format!("x{column}"))
}

/// A formula as people read it: names for the columns, and no factors of 1.
fn with_names(dataset: &Dataset, found: &Found) -> String {
    let mut text = found.formula.to_string();
    for column in found.formula.columns().into_iter().rev() {
        text = text.replace(&format!("x{column})"), &format!("{})", name(dataset, column)));
        text = text.replace(&format!("*x{column}"), &format!("*{}", name(dataset, column)));
    }
    text
}
