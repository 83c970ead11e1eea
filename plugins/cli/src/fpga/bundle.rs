//! `baler fpga bundle`: a model whose latents a fixed-point program defines.

use super::model::{open_bundle, own_transforms};
use crate::failure::{Failure, InFile, Result};
use crate::outcome::Outcome;
use crate::output::Output;
use baler_codec::bundle::{Arithmetic, Bundle, Contents, EncoderDefinition};
use clap::Args;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// Makes a model whose latents are those of a fixed-point program, whatever device computes them
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler fpga compile jets.bundle --data jets.npz --budget 0.02 -o jets.fixed.json\n  \
    baler fpga bundle jets.bundle jets.fixed.json -o jets-fixed.bundle\n  \
    baler compress jets.npz jets.baler --rel 0.1 --model jets-fixed.bundle --device opencl")]
pub struct BundleArgs {
    /// The model that the program was made from: a .bundle file or a name
    model: PathBuf,
    /// The program (.json)
    program: PathBuf,
    /// Where to write the new model (.bundle)
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Its name; by default that of the model and -fixed
    #[arg(long)]
    name: Option<String>,
    /// Replace the output if it is there
    #[arg(long, short)]
    force: bool,
}

impl BundleArgs {
    pub fn run(&self) -> Result<Outcome> {
        let float = open_bundle(&self.model)?;
        let program = super::read_program(&self.program)?;
        let mut manifest = float.manifest().clone();
        let shape = (manifest.tile_values(), manifest.latents.count);
        if (program.input_len(), program.output_len()) != shape {
            return Err(Failure::usage(format!(
                "{}: a program of {} to {} values: model {} has {} and {}",
                self.program.display(),
                program.input_len(),
                program.output_len(),
                manifest.name,
                shape.0,
                shape.1
            )));
        }
        if program.input().transforms != own_transforms(&manifest.input.normalisation, shape.0) {
            return Err(Failure::usage(format!(
                "{}: its transforms are not those of model {}: name the model that it was compiled from",
                self.program.display(),
                manifest.name
            )));
        }
        manifest.name = self.name.clone().unwrap_or_else(|| format!("{}-fixed", manifest.name));
        manifest.description += " Its encoder is a fixed-point program.";
        manifest.encoder = Some(EncoderDefinition { arithmetic: Arithmetic::Fixed });
        manifest.format = manifest.least_format();
        // They were measured with latents in floating point.
        manifest.metrics.clear();
        let (json, decoder) = (program.to_json().into_bytes(), float.decoder_onnx().to_vec());
        let bundle = Bundle::with_fixed_encoder(&manifest.to_toml()?, json, None, decoder, None)?;
        let (output, mut file) = Output::create(&self.output, self.force)?;
        file.write_all(&bundle.to_bytes(Contents::Full)).in_file(&self.output)?;
        output.commit()?;
        let text = format!(
            "{}: model {} ({}), program {}",
            self.output.display(),
            manifest.name,
            bundle.id(),
            &program.digest_hex()[..16]
        );
        let json = json!({
            "output": self.output.display().to_string(),
            "name": manifest.name,
            "id": bundle.id().to_string(),
            "program": program.digest_hex(),
        });
        Ok(Outcome::new(text, json))
    }
}
