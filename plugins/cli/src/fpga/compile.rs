//! `baler fpga compile`: an encoder as a fixed-point program.

use super::errors::{describe, metric, to_json};
use super::model::Model;
use super::rows::{RowsArgs, transformed};
use crate::failure::{Failure, InFile, Result};
use crate::outcome::{Outcome, count};
use crate::output::Output;
use baler_fpga::fixed::Format;
use baler_fpga::import::Network;
use baler_fpga::ir::Program;
use baler_fpga::quantise::{
    CALIBRATED_ROWS, Compat, Errors, Metric, Sample, Widths, calibrated, compat, measure, search,
};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// Makes a fixed-point program of a bundle's encoder, or of an ONNX file
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler fpga compile jets.bundle --data jets.npz -o jets.fixed.json                 # 8 bits everywhere\n  \
    baler fpga compile jets.bundle --data jets.npz --budget 0.02 -o jets.fixed.json   # the fewest bits for 2 %\n  \
    baler fpga compile encoder.onnx --compat hls4ml --precision 'ap_fixed<16,6>' -o p.json")]
pub struct CompileArgs {
    /// A .bundle file, the name of a model, or an .onnx file
    #[arg(value_name = "BUNDLE|ONNX")]
    model: PathBuf,
    #[command(flatten)]
    rows: RowsArgs,
    /// Where to write the program (.json)
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Its name; by default that of the model
    #[arg(long)]
    name: Option<String>,
    /// Bits of weights [default: those that the model was trained for (`baler train --quantise-aware`), else 8; with --budget
    /// as few as it allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=32))]
    weights_bits: Option<u32>,
    /// Bits of inputs, activations and latents [default: those that the model was trained for, else 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=32), conflicts_with = "budget")]
    value_bits: Option<u32>,
    /// Look for the fewest bits with which the metric grows by at most this part: 0.02
    #[arg(long, value_name = "PART", conflicts_with = "compat")]
    budget: Option<f64>,
    /// What the budget is about, and the report has beside it: rms; residual, response (of each column: jets); telescope (48
    /// trigger cells). Several: the worst counts
    #[arg(long, value_name = "METRIC", value_parser = metric, default_value = "rms")]
    metric: Vec<Metric>,
    /// Another tool's types and rules, for the same bits as its simulation
    #[arg(long, value_name = "TOOL")]
    compat: Option<CompatTool>,
    /// With --compat: type of weights, biases, inputs and activations
    #[arg(long, value_name = "TYPE", default_value = "ap_fixed<16,6>", requires = "compat")]
    precision: Format,
    /// With --compat: type of accumulators and of what dense layers give; `auto` loses nothing
    #[arg(long, value_name = "TYPE", default_value = "auto", requires = "compat")]
    accumulator: String,
    /// Replace the output if it is there
    #[arg(long, short)]
    force: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CompatTool {
    /// hls4ml 1.3: products cast one by one, weights by way of decimal text, tables
    Hls4ml,
}

impl CompileArgs {
    pub fn run(&self) -> Result<Outcome> {
        let model = Model::open(&self.model)?;
        let network = Network::from_onnx(&model.encoder).in_file(&self.model)?;
        let name = self.name.clone().unwrap_or_else(|| model.name.clone());
        let rows = self.rows.read(network.n_inputs)?;
        let transforms = model.transforms(rows.as_deref(), network.n_inputs);
        let own = model.own_transforms(network.n_inputs);
        let values = rows.map(|rows| transformed(&rows, &transforms));
        let decoder = match &model.bundle {
            Some(bundle) => Some(bundle.decoder()?),
            None => None,
        };
        let sample =
            values.as_deref().map(|values| Sample { values, transforms: &transforms, decoder, metrics: &self.metric });
        let mut widths = None;
        let program = match (self.compat, self.budget) {
            (Some(CompatTool::Hls4ml), _) => {
                let accumulator = match self.accumulator.as_str() {
                    "auto" => None,
                    other => Some(other.parse()?),
                };
                compat(&name, &network, &own, Compat { precision: self.precision, accumulator })?
            }
            (None, budget) => {
                let Some(sample) = &sample else {
                    return Err(Failure::usage("formats are chosen on data: name a file with --data"));
                };
                let program = match budget {
                    Some(budget) => {
                        let found = search(&name, &network, sample, budget, self.weights_bits)?;
                        widths = Some((found.widths.clone(), found.n_tried));
                        found.program
                    }
                    None => {
                        let [weights, values] = model.trained_bits().unwrap_or([8, 8]);
                        let (weights, values) =
                            (self.weights_bits.unwrap_or(weights), self.value_bits.unwrap_or(values));
                        let all = Widths::uniform(&network, weights, values);
                        let rows = sample.spaced_rows(network.n_inputs, CALIBRATED_ROWS);
                        calibrated(&name, &network, &own, &rows, &all)?
                    }
                };
                // The search has seen the transforms of this sample; the program holds those of the model alone.
                let input = baler_fpga::ir::Input { formats: program.input().formats.clone(), transforms: own };
                Program::new(name.as_str(), input, program.layers().to_vec())?
            }
        };
        let (output, mut file) = Output::create(&self.output, self.force)?;
        file.write_all(program.to_json().as_bytes()).in_file(&self.output)?;
        output.commit()?;
        let errors = sample.as_ref().map(|sample| measure(&network, &program, sample)).transpose()?;
        Ok(self.outcome(&program, errors.as_ref(), widths.as_ref()))
    }

    fn outcome(&self, program: &Program, errors: Option<&Errors>, widths: Option<&(Widths, usize)>) -> Outcome {
        let mut lines = vec![format!(
            "{}: program {} ({}), {} -> {} values, {}, {} multiplications",
            self.output.display(),
            program.name(),
            &program.digest_hex()[..16],
            program.input_len(),
            program.output_len(),
            count(program.layers().len() as u64, "layer"),
            program.multiplications()
        )];
        let mut json = json!({
            "output": self.output.display().to_string(),
            "name": program.name(),
            "digest": program.digest_hex(),
            "multiplications": program.multiplications(),
        });
        if let Some((widths, n_tried)) = widths {
            lines.push(format!(
                "bits: input {}, weights {:?}, activations {:?} ({n_tried} programs tried)",
                widths.input, widths.weights, widths.activations
            ));
            json["bits"] = json!({
                "input": widths.input, "weights": widths.weights, "activations": widths.activations,
            });
        }
        if let Some(errors) = errors {
            lines.extend(describe(program, errors));
            json["errors"] = to_json(errors);
        }
        Outcome::new(lines.join("\n"), json)
    }
}
