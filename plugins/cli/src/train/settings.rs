//! Options of training by their names, as a project's `config.toml` has them.

use crate::failure::{Failure, Result};
use baler_models::train::Options;
use serde::de::DeserializeOwned;
use toml::Value;

/// Sets one option.
pub fn set(options: &mut Options, key: &str, value: &Value) -> Result<()> {
    match key {
        "tile" => options.tile = of(key, value)?,
        "validation" => options.validation = of(key, value)?,
        "test" => options.test = of(key, value)?,
        "latents" => options.latents = of(key, value)?,
        "encoder_hidden" => options.encoder_hidden = of(key, value)?,
        "decoder_hidden" => options.decoder_hidden = of(key, value)?,
        "separable" => options.separable = Some(of(key, value)?),
        "rel_bound" => options.rel_bound = of(key, value)?,
        "model_cost" => options.model_cost = of(key, value)?,
        "weight_bits" => options.weight_bits = of(key, value)?,
        "weight_coarseness" => options.weight_coarseness = of(key, value)?,
        "epochs" => options.epochs = of(key, value)?,
        "batch" => options.batch = of(key, value)?,
        "learning_rate" => options.learning_rate = of(key, value)?,
        "seed" => options.seed = of(key, value)?,
        "description" => options.description = of(key, value)?,
        "license" => options.license = of(key, value)?,
        _ => return Err(Failure::usage(format!("[train.options] {key}: not an option of this version"))),
    }
    Ok(())
}

fn of<T: DeserializeOwned>(key: &str, value: &Value) -> Result<T> {
    value.clone().try_into().map_err(|e: toml::de::Error| {
        Failure::usage(format!("[train.options] {key} = {value}: {}", e.message().trim_end()))
    })
}
