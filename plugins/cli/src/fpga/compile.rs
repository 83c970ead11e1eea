//! `baler fpga compile`: an encoder as a fixed-point program.

use super::rows::{RowsArgs, transformed};
use crate::failure::{Failure, InFile, Result};
use crate::models::{Models, read_bundle};
use crate::outcome::{Outcome, count, number, table};
use crate::output::Output;
use baler_codec::bundle::{Bundle, Normalisation, Transform};
use baler_fpga::fixed::Format;
use baler_fpga::import::Network;
use baler_fpga::ir::Program;
use baler_fpga::quantise::{Compat, Errors, Sample, Widths, calibrated, compat, measure, search};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest ONNX file that is read.
const MAX_ONNX_BYTES: u64 = 256 << 20;
/// Rows that formats are calibrated on, at most.
const CALIBRATED_ROWS: usize = 4096;

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
    /// Bits of weights [default: 8; with --budget as few as it allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=32))]
    weights_bits: Option<u32>,
    /// Bits of inputs, activations and latents
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=32), conflicts_with = "budget")]
    value_bits: u32,
    /// Look for the fewest bits with which the reconstruction error grows by at most this part: 0.02
    #[arg(long, value_name = "PART", conflicts_with = "compat")]
    budget: Option<f64>,
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
        // What belongs to a chunk and not to the model is not part of the program.
        let own: &[Transform] = if model.is_per_chunk() { &[] } else { &transforms };
        let values = rows.map(|rows| transformed(&rows, &transforms));
        let decoder = match &model.bundle {
            Some(bundle) => Some(bundle.decoder()?),
            None => None,
        };
        let sample = values.as_deref().map(|values| Sample { values, transforms: &transforms, decoder });
        let mut widths = None;
        let program = match (self.compat, self.budget) {
            (Some(CompatTool::Hls4ml), _) => {
                let accumulator = match self.accumulator.as_str() {
                    "auto" => None,
                    other => Some(other.parse()?),
                };
                compat(&name, &network, own, Compat { precision: self.precision, accumulator })?
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
                        let all = Widths::uniform(&network, self.weights_bits.unwrap_or(8), self.value_bits);
                        let n = network.n_inputs;
                        let step = (sample.values.len() / n).div_ceil(CALIBRATED_ROWS).max(1);
                        let rows: Vec<Vec<f64>> = sample
                            .values
                            .chunks_exact(n)
                            .step_by(step)
                            .map(|row| row.iter().map(|&v| v.into()).collect())
                            .collect();
                        calibrated(&name, &network, own, &rows, &all)?
                    }
                };
                // The search has seen the transforms of this sample; the program holds those of the model alone.
                let input =
                    baler_fpga::ir::Input { formats: program.input().formats.clone(), transforms: own.to_vec() };
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
            json["errors"] = json!({
                "rows": errors.rows,
                "latents_rms": number(errors.latents_rms),
                "latents_size": number(errors.latents_size),
                "float_rms": number(errors.float_rms),
                "fixed_rms": number(errors.fixed_rms),
                "overflows": errors.overflows,
            });
        }
        Outcome::new(lines.join("\n"), json)
    }
}

/// Float beside fixed, in words.
fn describe(program: &Program, errors: &Errors) -> Vec<String> {
    let mut lines = vec![format!(
        "latents on {} rows: rms {:.4}, fixed minus float rms {:.3e}",
        errors.rows, errors.latents_size, errors.latents_rms
    )];
    if !errors.columns.is_empty() {
        lines.push(format!(
            "decoded: rms error {:.5} from float latents, {:.5} from fixed ({:+.2} %)",
            errors.float_rms,
            errors.fixed_rms,
            100.0 * (errors.fixed_rms / errors.float_rms - 1.0)
        ));
        let mut rows = vec![
            ["column", "residual rms float", "fixed", "response mean float", "fixed", "rms float", "fixed"]
                .map(str::to_owned)
                .to_vec(),
        ];
        for (i, c) in errors.columns.iter().enumerate() {
            let mut row = vec![i.to_string()];
            for pair in [c.residual_rms, c.response_mean, c.response_rms] {
                row.extend(pair.map(|v| format!("{v:.4}")));
            }
            rows.push(row);
        }
        lines.push(table(&rows));
    }
    let over = program.layers().iter().zip(&errors.overflows).filter(|(_, part)| **part > 0.0);
    let over: Vec<String> = over.map(|(layer, part)| format!("{} {:.3} %", layer.name, 100.0 * part)).collect();
    let over = if over.is_empty() { "none".to_owned() } else { over.join(", ") };
    lines.push(format!("casts beyond their range: {over}"));
    lines
}

/// An encoder with what is known about it.
struct Model {
    name: String,
    encoder: Vec<u8>,
    bundle: Option<Arc<Bundle>>,
}

impl Model {
    fn open(path: &Path) -> Result<Self> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx")) {
            let mut encoder = Vec::new();
            crate::format::open_file(path)?.take(MAX_ONNX_BYTES).read_to_end(&mut encoder).in_file(path)?;
            return Ok(Self { name: stem.into_owned(), encoder, bundle: None });
        }
        let bundle = match path.is_file() {
            true => Arc::new(read_bundle(path)?),
            false => Models::standard().named(&path.to_string_lossy())?,
        };
        let encoder = bundle.encoder_onnx().map(<[u8]>::to_vec).ok_or_else(|| {
            Failure::usage(format!(
                "{}: this copy of the bundle holds no encoder.onnx to make a program of",
                path.display()
            ))
        })?;
        Ok(Self { name: bundle.manifest().name.clone(), encoder, bundle: Some(bundle) })
    }

    fn normalisation(&self) -> Option<&Normalisation> {
        self.bundle.as_ref().map(|bundle| &bundle.manifest().input.normalisation)
    }

    /// Whether each chunk has its own offset and scale.
    fn is_per_chunk(&self) -> bool {
        matches!(self.normalisation(), Some(Normalisation::Range | Normalisation::Tile))
    }

    /// One transform for each of `n` inputs; none for a bare network. `rows` give the range where a chunk's is asked for.
    fn transforms(&self, rows: Option<&[f32]>, n: usize) -> Vec<Transform> {
        match (self.normalisation(), rows) {
            (Some(Normalisation::Fixed { offset, scale }), _) => {
                vec![Transform::Linear { offset: *offset, scale: *scale }; n]
            }
            (Some(Normalisation::Columns { columns }), _) => columns.iter().cycle().take(n).copied().collect(),
            (Some(Normalisation::Range | Normalisation::Tile), Some(rows)) => {
                let (min, max) = rows.iter().fold((f32::MAX, f32::MIN), |(a, b), &v| (a.min(v), b.max(v)));
                let scale = if max > min { f64::from(max) - f64::from(min) } else { 1.0 };
                vec![Transform::Linear { offset: min.into(), scale }; n]
            }
            _ => Vec::new(),
        }
    }
}
