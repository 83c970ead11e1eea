//! `baler fpga`: encoders as fixed-point programs. One file for each subcommand.

mod bundle;
mod check_vectors;
mod compile;
mod devices;
mod emulate;
mod errors;
mod hls;
mod model;
mod report;
mod rows;
mod rtl;
mod simulate;
mod synth;

use crate::failure::{Code, Failure, InFile, Result};
use crate::models::Models;
use crate::outcome::Outcome;
use baler_codec::{Bundle, ModelChoice};
use baler_fpga::ir::Program;
use clap::{Args, Subcommand};
use std::io::Read;
use std::path::Path;

/// Fixed-point encoders for FPGAs: programs, emulation, checks
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler fpga compile jets.bundle --data jets.npz --budget 0.02 -o jets.fixed.json\n  \
    baler fpga bundle jets.bundle jets.fixed.json -o jets-fixed.bundle\n  \
    baler fpga emulate jets.fixed.json --data jets.npz -o codes.npy\n  \
    baler fpga report jets.fixed.json\n  \
    baler fpga check-vectors vectors/*.json\n  \
    baler fpga rtl jets.fixed.json -o verilog\n  \
    baler fpga simulate jets.fixed.json --tool verilator --vectors 1000000\n  \
    baler fpga devices --program jets.fixed.json    # who can run it, and why not")]
pub struct FpgaArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Compile(compile::CompileArgs),
    Bundle(bundle::BundleArgs),
    Emulate(emulate::EmulateArgs),
    Report(report::ReportArgs),
    CheckVectors(check_vectors::CheckVectorsArgs),
    Hls(hls::HlsArgs),
    Rtl(rtl::RtlArgs),
    Simulate(simulate::SimulateArgs),
    Synth(synth::SynthArgs),
    Devices(devices::DevicesArgs),
}

impl FpgaArgs {
    pub fn run(&self) -> Result<Outcome> {
        match &self.command {
            Command::Compile(args) => args.run(),
            Command::Bundle(args) => args.run(),
            Command::Emulate(args) => args.run(),
            Command::Report(args) => args.run(),
            Command::CheckVectors(args) => args.run(),
            Command::Hls(args) => args.run(),
            Command::Rtl(args) => args.run(),
            Command::Simulate(args) => args.run(),
            Command::Synth(args) => args.run(),
            Command::Devices(args) => args.run(),
        }
    }
}

/// A text file of at most `max_bytes`.
fn read_text(path: &Path, max_bytes: usize) -> Result<String> {
    let mut text = String::new();
    let mut file = crate::format::open_file(path)?.take(max_bytes as u64 + 1);
    file.read_to_string(&mut text).in_file(path)?;
    if text.len() > max_bytes {
        return Err(Failure::damaged(format!("{}: more than {max_bytes} bytes", path.display())));
    }
    Ok(text)
}

/// A program from its file, or that of a model with one: a `.bundle` file or a name.
pub fn read_program(path: &Path) -> Result<Program> {
    let is_bundle = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("bundle"));
    // Names of models have no folder and no end such as `.json`.
    let is_name = path.components().count() == 1 && path.extension().is_none() && !path.exists();
    if is_bundle || is_name {
        return program_of(&*model::open_bundle(path)?);
    }
    Program::from_json(&read_text(path, baler_fpga::ir::MAX_BYTES)?).in_file(path)
}

/// The fixed-point program of a model.
fn program_of_model((models, choice): &(Models, ModelChoice), name: &str) -> Result<Program> {
    let ModelChoice::Bundle(id) = choice else {
        return Err(Failure::usage(format!("--model {name}: name one model, or its .bundle file")));
    };
    let bundle = models.registry().find(id)?;
    program_of(&bundle)
}

/// The fixed-point program of a bundle.
pub fn program_of(bundle: &Bundle) -> Result<Program> {
    let Some(program) = bundle.fixed_program() else {
        let name = &bundle.manifest().name;
        let message = format!(
            "model {name} has no fixed-point encoder: name one that has, or make one of it with `baler fpga compile`"
        );
        return Err(Failure::new(Code::Model, message));
    };
    let text =
        std::str::from_utf8(program).map_err(|e| Failure::new(Code::Model, format!("encoder.fixed.json: {e}")))?;
    Ok(Program::from_json(text)?)
}
