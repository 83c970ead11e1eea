//! From the trained model to the bundle, and what that is worth.

use super::activations::{Probe, latent_use};
use super::architectures::{Model, Pass};
use super::losses::Loss;
use super::measure::{Sample, measure};
use super::outliers;
use super::parameters::rows;
use super::rounding::Rounding;
use super::tiles::Tiles;
use super::{Epoch, Options, Report, Trained};
use crate::onnx;
use crate::steps::{self, decode_all, rms};
use baler_codec::Result;
use baler_codec::bundle::{Bundle, Contents, Family, Input, Latents, Manifest};
use baler_codec::inference::{Network, encoder_from_onnx};
use std::time::Duration;

/// The most tiles whose nodes are looked at.
const PROBED_TILES: usize = 4096;

/// Writes, packs and measures.
pub(super) fn finish(
    tiles: &Tiles,
    options: &Options,
    model: &dyn Model,
    loss: &Loss,
    rounding: Rounding,
    epochs: Vec<Epoch>,
    elapsed: Duration,
) -> Result<Trained> {
    let (d, k) = (tiles.len(), options.latents);
    let n = tiles.training.len() / d;
    let device = model.parameters().device();
    let batches = || tiles.training.chunks(options.batch * d);
    let mut latents = batches().map(|chunk| {
        let z = model.encode(rows(chunk.to_vec(), d, device), &mut Pass::as_written(None));
        if loss.learns_steps { z.round() } else { z }
    });
    let exported = model.export(rounding, &mut latents)?;
    let decoder = onnx::write("decoder", &[k], &exported.decoder_output, &exported.decoder)?;
    let encoder = onnx::write("encoder", &exported.encoder_input, &[k], &exported.encoder)?;

    let mut probe = Probe::default();
    for chunk in batches().take(PROBED_TILES.div_ceil(options.batch)) {
        let mut pass = Pass { probe: Some(&mut probe), ..Pass::as_written(Some(rounding)) };
        let z = model.encode(rows(chunk.to_vec(), d, device), &mut pass);
        model.decode(z, &mut pass);
    }

    // From here on what was written, by the engine that will run it.
    let (encoder_network, decoder_network) = (Network::from_onnx(&encoder)?, Network::from_onnx(&decoder)?);
    let encode_all = |values: &[f32]| -> Result<Vec<f32>> {
        let n = values.len() / d;
        let mut z = vec![0f32; n * k];
        encoder_network.run(n, values, &mut z)?;
        Ok(z)
    };
    let steps = match loss.learns_steps {
        true => vec![1.0; k],
        false => steps::choose(&decoder_network, &tiles.training, &encode_all(&tiles.training)?)?,
    };
    let (set, measured_on) = if tiles.test.is_empty() { (&tiles.training, "training") } else { (&tiles.test, "test") };
    let z = encode_all(set)?;
    let sample = Sample {
        tiles: set,
        latents: &z,
        steps: &steps,
        range: tiles.range,
        trained_bound: loss.learns_steps.then_some(options.rel_bound),
        rel_bound: options.rel_bound,
    };
    let measured = measure(&decoder_network, &sample)?;

    let mut manifest = Manifest {
        format: 1,
        name: options.name.clone(),
        family: Family::Autoencoder,
        description: options.description.clone(),
        license: options.license.clone(),
        input: Input { tile: tiles.tile.clone(), normalisation: tiles.normalisation.clone() },
        latents: Latents { count: k, step: steps.clone() },
        predictor: None,
        encoder: None,
        density: None,
        training: Default::default(),
        metrics: Default::default(),
    };
    if options.density || options.remove_outliers > 0 {
        let encoder = encoder_from_onnx(&encoder)?;
        let (density, _) = outliers::fit(&*encoder, &decoder_network, &tiles.training, d, options.outlier_quantile)?;
        manifest.density = Some(density);
    }
    manifest.format = manifest.least_format();
    // What is written here is part of the bundle's hash. Defaults are left out, so that older bundles can be made again.
    let mut put = |key: &str, value: toml::Value| {
        manifest.training.insert(key.into(), value);
    };
    put("rel_bound", options.rel_bound.into());
    put("seed", (options.seed as i64).into());
    put("epochs", (epochs.len() as i64).into());
    put("tiles", (n as i64).into());
    put("weight_bits", i64::from(options.weight_bits).into());
    if let Some(bits) = options.quantise_aware {
        put("quantise_aware", bits.map(i64::from).to_vec().into());
    }
    if options.architecture != Options::default().architecture {
        put("architecture", options.architecture.clone().into());
    }
    if options.loss != Options::default().loss {
        put("loss", options.loss.clone().into());
    }
    manifest.metrics.insert("measured_on".into(), measured_on.into());
    // Few decimals: further ones would change the hash for nothing.
    let mut metric = |key: String, value: f64, unit: f64| {
        manifest.metrics.insert(key, ((value * unit).round() / unit).into());
    };
    if !loss.learns_steps {
        metric("latent_psnr".into(), measured.psnr, 1e2);
        metric("latent_bits_per_value".into(), measured.latent_bits_per_value, 1e4);
        let own = rms(set, &decode_all(&decoder_network, &z)?) / tiles.range;
        metric("own_rms_error".into(), own, 1e6);
    }
    for at in &measured.at_bounds {
        metric(format!("bits_per_value_rel_{:e}", at.rel_bound), at.bits_per_value, 1e3);
    }
    if !tiles.removed.is_empty() {
        let removed: Vec<i64> = tiles.removed.iter().map(|&n| n as i64).collect();
        manifest.training.insert("outliers_removed".into(), removed.into());
    }
    if !tiles.reasons.is_empty() {
        manifest.training.insert("normalisation".into(), tiles.reasons.clone().into());
    }
    let bundle = Bundle::new(&manifest.to_toml()?, Some(encoder), decoder, options.card.clone())?;
    let report = Report {
        epochs,
        loss_unit: loss.unit,
        tiles: [n, tiles.validation.len() / d, tiles.test.len() / d],
        measured_on,
        n_values: set.len(),
        psnr: measured.psnr,
        max_error: measured.max_error,
        latent_bits_per_value: measured.latent_bits_per_value,
        at_bounds: measured.at_bounds,
        activations: probe.finish(),
        latents: latent_use(&z, &steps),
        decoder_bytes: bundle.decoder_bytes(),
        bundle_bytes: bundle.to_bytes(Contents::Full).len(),
        decoder_weights: exported.decoder_weights,
        elapsed,
    };
    Ok(Trained { bundle, report })
}
