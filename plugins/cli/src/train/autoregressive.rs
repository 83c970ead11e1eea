//! Training of the family `autoregressive`: a small network that predicts each value of a field from those around it.

use super::TrainArgs;
use super::display::{Display, epoch_json};
use super::log;
use super::measured::Measured;
use super::split::Split;
use super::training::with_provenance;
use crate::dataset::Dataset;
use crate::failure::Result;
use crate::outcome::{Outcome, bytes, number};
use crate::train_log::SCHEMA;
use baler_codec::bundle::Contents;
use baler_models::energy::Meter;
use baler_models::train::{self, run_autoregressive};
use serde_json::json;
use std::sync::Arc;

pub fn run(args: &TrainArgs, dataset: &Dataset, split: &Split, quiet: bool) -> Result<Outcome> {
    let shape = dataset.shape((0..dataset.rows()).filter(|&i| split.trains_on(i)).count());
    let values = dataset.to_f32(&dataset.select(&|i| split.trains_on(i)));
    let options = args.options(None, dataset, &shape)?;
    let mut display = Display::new(args.progress, quiet)?;
    let training = train::Dataset { values, shape, columns: Vec::new() };
    let mut meter = Meter::start();
    let trained = run_autoregressive(&training, &options, &mut |epoch| {
        meter.poll();
        display.epoch(epoch)
    })?;
    let energy = meter.stop();
    let is_interrupted = display.is_interrupted();
    drop(display);
    let bundle = Arc::new(with_provenance(&trained.bundle, &training.values, dataset, split)?);
    let held = dataset.select(&|i| *split == Split::All || !split.trains_on(i));
    let measured = Measured::of(&bundle, &dataset.array, &held, dataset.is_table, split.measured(dataset.rows()))?;
    args.save(&bundle)?;
    let log = json!({
        "schema": SCHEMA,
        "name": options.name,
        "bundle_id": bundle.id().to_string(),
        "family": "autoregressive",
        "data": dataset.parts_json(split.extent(dataset.rows())),
        "rows": dataset.rows(),
        "rows_with_gaps": dataset.rows_with_gaps,
        "sampled_from": dataset.sampled_from,
        "mode": if *split == Split::All { "offline" } else { "online" },
        "options": options,
        "epochs": trained.epochs.iter().map(epoch_json).collect::<Vec<_>>(),
        "loss_unit": "bits a value",
        "is_interrupted": is_interrupted,
        "samples": trained.samples,
        "decoder_bytes": bundle.decoder_bytes(),
        "elapsed_s": trained.elapsed.as_secs_f64(),
        "energy_j": number(energy.joules),
        "energy_source": energy.source,
        "measured": measured.json(),
    });
    let path = log::write(&log, &args.output)?;
    let mut text = format!(
        "{}: model {} ({}), network {}, trained on {} values in {:.0?} with {:.0} J ({})",
        args.output.display(),
        options.name,
        bundle.id(),
        bytes(bundle.decoder_bytes() as u64),
        trained.samples,
        trained.elapsed,
        energy.joules,
        energy.source,
    );
    if is_interrupted {
        text += &format!(", ended early after epoch {} of {}", trained.epochs.len(), options.epochs);
    }
    text += &format!("\n{}\nlog: {}", measured.text(), path.display());
    let json = json!({
        "output": args.output.display().to_string(),
        "log": path.display().to_string(),
        "name": options.name,
        "id": bundle.id().to_string(),
        "family": "autoregressive",
        "decoder_packed_bytes": bundle.decoder_bytes(),
        "packed_bytes": bundle.to_bytes(Contents::Full).len(),
        "epochs": trained.epochs.len(),
        "last_epoch": trained.epochs.last().map(epoch_json),
        "is_interrupted": is_interrupted,
        "measured": log["measured"],
        "elapsed_s": trained.elapsed.as_secs_f64(),
        "energy_j": number(energy.joules),
        "energy_source": energy.source,
    });
    Ok(Outcome::new(text, json))
}
