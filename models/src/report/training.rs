//! The log that `baler train` leaves beside a bundle.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Schema this reads.
const SCHEMA: &str = "baler-train-1";

/// What is known of a training; whatever the log leaves out stays empty.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct TrainingLog {
    schema: String,
    /// Of the model.
    pub name: Option<String>,
    /// Its id.
    pub bundle_id: Option<String>,
    /// Pass by pass.
    pub epochs: Vec<Epoch>,
    /// Tiles or rows for training, validation, test.
    pub tiles: Vec<u64>,
    /// Wall time.
    #[serde(deserialize_with = "loose")]
    pub elapsed_s: Option<f64>,
    /// Energy.
    #[serde(deserialize_with = "loose")]
    pub energy_j: Option<f64>,
    /// How that is known.
    pub energy_source: Option<String>,
    /// As they were given.
    pub options: Value,
    /// What it was trained on.
    pub data: Value,
    /// Mean activation of the nodes of each layer.
    #[serde(deserialize_with = "layers")]
    pub activations: Vec<Layer>,
    /// Latent by latent.
    pub latents: Vec<Latent>,
}

/// One pass over the data.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: u64,
    /// Loss on what it learns from.
    #[serde(deserialize_with = "loose")]
    pub training_loss: Option<f64>,
    /// Loss on what it does not.
    #[serde(deserialize_with = "loose")]
    pub validation_loss: Option<f64>,
    /// Step of the optimiser.
    #[serde(deserialize_with = "loose")]
    pub learning_rate: Option<f64>,
    /// Wall time since the start.
    #[serde(deserialize_with = "loose")]
    pub elapsed_s: Option<f64>,
}

/// Nodes of a layer.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Layer {
    /// Its name.
    #[serde(alias = "name")]
    pub layer: String,
    /// Mean magnitude of each node's output.
    #[serde(alias = "values", alias = "mean", deserialize_with = "loose_list")]
    pub mean_abs: Vec<Option<f64>>,
    /// Part of the outputs of each node that do not exceed 0: 1 is a dead node behind ReLU.
    #[serde(deserialize_with = "loose_list")]
    pub inactive: Vec<Option<f64>>,
}

/// How one latent is used.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Latent {
    /// Entropy of its integers in bits; 0 is a latent that says nothing.
    #[serde(deserialize_with = "loose")]
    pub entropy_bits: Option<f64>,
    /// Different integers.
    pub distinct: Option<u64>,
}

/// A number; `null`, and the text that stands for NaN and infinities in JSON, are none.
fn loose<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
    Ok(Value::deserialize(d)?.as_f64())
}

/// Of a list of those.
fn loose_list<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<Option<f64>>, D::Error> {
    Ok(Vec::<Value>::deserialize(d)?.iter().map(Value::as_f64).collect())
}

/// What cannot be read as layers is left out: the page can do without.
fn layers<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<Layer>, D::Error> {
    let value = Value::deserialize(d)?;
    let Value::Array(items) = value else { return Ok(Vec::new()) };
    let layer = |(i, item): (usize, Value)| -> Option<Layer> {
        let layer = match item {
            Value::Array(_) => Layer {
                layer: format!("layer {}", i + 1),
                mean_abs: item.as_array()?.iter().map(Value::as_f64).collect(),
                ..Layer::default()
            },
            other => serde_json::from_value(other).ok()?,
        };
        (!layer.mean_abs.is_empty()).then_some(layer)
    };
    Ok(items.into_iter().enumerate().filter_map(layer).collect())
}

impl TrainingLog {
    /// Reads a log.
    ///
    /// # Errors
    /// What is wrong with it, for people: no JSON, or not of a schema known here.
    pub fn parse(text: &str) -> Result<Self, String> {
        let log: Self = serde_json::from_str(text).map_err(|e| format!("no training log: {e}"))?;
        if log.schema != SCHEMA {
            return Err(format!(
                "no training log of a kind known here: expected \"schema\": {SCHEMA:?}, found {:?}; `baler train` writes one \
                 beside its bundle",
                log.schema
            ));
        }
        Ok(log)
    }

    /// The epoch of the smallest validation loss (training loss, where there is none).
    pub fn best(&self) -> Option<&Epoch> {
        let loss = |e: &Epoch| e.validation_loss.or(e.training_loss).filter(|l| !l.is_nan());
        self.epochs.iter().filter(|e| loss(e).is_some()).min_by(|a, b| match (loss(a), loss(b)) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => std::cmp::Ordering::Equal,
        })
    }

    /// How many epochs it was to run, as far as the options tell.
    pub fn planned_epochs(&self) -> Option<u64> {
        self.options.get("epochs")?.as_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_with_gaps_is_read_in_good_part() {
        let log = TrainingLog::parse(
            r#"{"schema":"baler-train-1","name":"m","options":{"epochs":9},"unknown":[1],
                "epochs":[{"epoch":1,"training_loss":2.0,"validation_loss":3.0},{"epoch":2,"training_loss":null,"validation_loss":"NaN"},
                          {"epoch":3,"validation_loss":2.5,"learning_rate":1e-3}],
                "activations":[[1,null,2],{"layer":"code","mean":[0.5]},{"layer":"odd"},7]}"#,
        )
        .unwrap();
        assert_eq!(log.best().map(|e| e.epoch), Some(3));
        assert_eq!(log.planned_epochs(), Some(9));
        let layers: Vec<(&str, usize)> = log.activations.iter().map(|l| (&*l.layer, l.mean_abs.len())).collect();
        assert_eq!(layers, [("layer 1", 3), ("code", 1)]);
    }

    #[test]
    fn other_files_are_refused() {
        for text in ["", "[]", "{}", r#"{"schema":"baler-bench-1"}"#, r#"{"schema":"baler-train-1","epochs":3}"#] {
            assert!(TrainingLog::parse(text).unwrap_err().starts_with("no training log"), "{text}");
        }
    }
}
