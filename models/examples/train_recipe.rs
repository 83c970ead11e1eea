//! Makes a built-in bundle again: `cargo run --release -p baler-models --features train --example train_recipe -- NAME`.
//!
//! Writes `models/bundles/NAME/`: `NAME.bundle` and its parts. `CARD.md` is taken from there if it exists. Data that are
//! not simulated are read from the folder `BALER_DATA` (default `../shared/data`).

use baler_codec::bundle::Contents;
use baler_models::train::Dataset;
use baler_models::train::recipes::{Data, recipe, recipes};
use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some(mut recipe) = recipe(&name) else {
        let names: Vec<String> = recipes().into_iter().map(|r| r.options.name).collect();
        return Err(format!("no recipe {name:?}; there are: {}", names.join(", ")).into());
    };
    let (data, shape) = match recipe.data {
        Data::Simulated(make) => make()?,
        Data::File(file) => {
            let folder = std::env::var("BALER_DATA").unwrap_or_else(|_| "../shared/data".into());
            read_npz(&Path::new(&folder).join(file))?
        }
    };
    let root =
        std::env::var("BALER_BUNDLES").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/bundles").into());
    let folder = Path::new(&root).join(&name);
    std::fs::create_dir_all(&folder)?;
    recipe.options.card = std::fs::read_to_string(folder.join("CARD.md")).ok();
    overrides(&mut recipe.options)?;
    let mut shown = std::time::Instant::now();
    let trained = baler_models::train::run(&Dataset::new(data, shape), &recipe.options, &mut |epoch| {
        if shown.elapsed().as_secs() >= 10 || epoch.epoch == epoch.epochs {
            shown = std::time::Instant::now();
            eprintln!(
                "epoch {}/{}  loss {:.4}  validation {:?}  {:.0?} left",
                epoch.epoch, epoch.epochs, epoch.training_loss, epoch.validation_loss, epoch.remaining
            );
        }
        ControlFlow::Continue(())
    })?;
    let bundle = &trained.bundle;
    std::fs::write(folder.join("manifest.toml"), bundle.manifest_toml())?;
    std::fs::write(folder.join("decoder.onnx"), bundle.decoder_onnx())?;
    std::fs::write(folder.join("encoder.onnx"), bundle.encoder_onnx().unwrap_or_default())?;
    std::fs::write(folder.join(format!("{name}.bundle")), bundle.to_bytes(Contents::Full))?;
    let report = trained.report;
    println!("bundle {}  tiles {:?}  measured on {}", bundle.id(), report.tiles, report.measured_on);
    println!(
        "decoder {} B packed, {} weights; bundle {} B",
        report.decoder_bytes, report.decoder_weights, report.bundle_bytes
    );
    println!("PSNR {:.1} dB, max error {:.4} of the range, {:.1?}", report.psnr, report.max_error, report.elapsed);
    for at in &report.at_bounds {
        println!(
            "rel {:e}: latents {:.0} B + residual {:.0} B = {:.3} bits/value (steps x {:.2})",
            at.rel_bound, at.latent_bytes, at.residual_bytes, at.bits_per_value, at.step_factor
        );
    }
    Ok(())
}

/// `KEY=VALUE` arguments after the name, to try other settings.
fn overrides(options: &mut baler_models::train::Options) -> Result<(), Box<dyn Error>> {
    for argument in std::env::args().skip(2) {
        let (key, value) = argument.split_once('=').ok_or("expected KEY=VALUE")?;
        options.set(key, value)?;
    }
    Ok(())
}

/// Member `data` (float64 or float32, C order, not compressed) of an `.npz` file.
fn read_npz(path: &Path) -> Result<(Vec<f32>, Vec<usize>), Box<dyn Error>> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let magic = b"\x93NUMPY\x01\x00";
    let start = bytes.windows(8).position(|w| w == magic).ok_or("no uncompressed array in this file")?;
    let header_len = usize::from(u16::from_le_bytes([bytes[start + 8], bytes[start + 9]]));
    let header = std::str::from_utf8(&bytes[start + 10..start + 10 + header_len])?;
    let shape = header.split('(').nth(1).and_then(|s| s.split(')').next()).ok_or("no shape")?;
    let shape: Vec<usize> = shape.split(',').filter_map(|s| s.trim().parse().ok()).collect();
    let n: usize = shape.iter().product();
    let body = &bytes[start + 10 + header_len..];
    let data: Vec<f32> = if header.contains("<f8") {
        body.chunks_exact(8).take(n).map(|b| f64::from_le_bytes(b.try_into().expect("8 bytes")) as f32).collect()
    } else if header.contains("<f4") {
        body.chunks_exact(4).take(n).map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes"))).collect()
    } else {
        return Err(format!("expected float32 or float64: {header}").into());
    };
    Ok((data, shape))
}
